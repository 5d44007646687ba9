"""What differs between two states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import cut, plain_text, verdict_mark
from nbexp.jupyter.markup import Markup, cell, faint, grid, head, joined, pairs, tag
from nbexp.render import diffs as texts
from nbexp.render import words as said

if TYPE_CHECKING:
    from nbexp.experiments.compare import Diff
    from nbexp.experiments.differences import Patch

_MAX_PATCH = 400


def _diff(result: Diff) -> Markup:
    if result.is_empty:
        return tag("p", plain_text(result))
    heads = [
        head(""),
        head(result.old, is_number=True),
        head(result.new, is_number=True),
        head("change"),
    ]
    lines = []
    for title, changes in (("params", result.params), ("metrics", result.metrics)):
        if changes:
            lines.append(tag("tr", head(title, span=4), class_="nbexp-base"))
        for shown_as, change in zip(texts.titles(changes), changes, strict=True):
            delta: list[Markup] = []
            if title == "metrics" and change.delta:
                delta = [faint(said.signed(change.delta)), verdict_mark(change)]
            cells = [cell(cut(said.side(one)), is_number=True) for one in (change.old, change.new)]
            name = tag("th", joined([Markup("&emsp;"), shown_as]), scope="row", align="left")
            lines.append(
                tag(
                    "tr",
                    name,
                    *cells,
                    cell(joined([p for p in delta if p], "  ")),
                    title=change.file,
                )
            )
    rows: list[tuple[object, ...]] = [("code", texts.code_words(result.code))]
    rows += [("outputs", ", ".join(f"{path} {what}" for path, what in result.outs))] * bool(
        result.outs
    )
    rows += [("notebook", f"{texts.cell_words(n.cells)} ({n.path})") for n in result.notebooks]
    inner = [texts.data_words(change) for change in result.data if change.inside]
    rows += [("data", joined(inner, Markup("<br>")))] * bool(inner)
    if result.environment is not None:
        words = texts.environment_words(result.environment)
        rows.append(("environment", joined(words, Markup("<br>"))))
    found = [grid(heads, lines)] if lines else []
    return joined([*found, pairs(rows), *map(_patch, result.patches)])


def _patch(patch: Patch) -> Markup:
    """A file's diff, folded: new lines in one colour, those that are gone in another."""
    if not patch.lines:
        return tag("p", texts.patch_words(patch))
    lines = []
    for line in patch.lines[:_MAX_PATCH]:
        style = {"+": "nbexp-good", "-": "nbexp-bad", "@": "nbexp-faint"}.get(line[:1])
        lines.append(tag("span", line, class_=style) if style else joined([line]))
    if len(patch.lines) > _MAX_PATCH:
        lines.append(faint(f"… {len(patch.lines) - _MAX_PATCH} more lines"))
    text = tag("pre", joined(lines, "\n"))
    return tag("details", tag("summary", texts.patch_words(patch)), text)


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "Diff": _diff,
}
