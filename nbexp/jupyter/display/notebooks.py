"""How executed notebooks differ: both sides of each cell, and where its pictures do."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.experiments import notebook_diff as diffs
from nbexp.jupyter.display.parts import heading
from nbexp.jupyter.markup import Markup, cell, faint, head, joined, tag
from nbexp.render.words import printable

if TYPE_CHECKING:
    from nbexp.experiments.notebook_diff import (
        CellPair,
        NotebookDiff,
        NotebookPair,
        OutputPair,
        Picture,
    )

# It is saved in the notebook that shows it.
_MAX_IMAGES, _MAX_LINES = 4_000_000, 200


class _Room:
    """How much of pictures may still be shown."""

    def __init__(self) -> None:
        self.left = _MAX_IMAGES


def _notebook_diff(result: NotebookDiff) -> Markup:
    room = _Room()
    return joined(part for one in result.notebooks for part in _notebook(result, one, room))


def _notebook(result: NotebookDiff, one: NotebookPair, room: _Room) -> Iterator[Markup]:
    yield heading(one.path, faint(f"{result.old} → {result.new}: {diffs.words(one)}"))
    if one.state != "changed":
        return
    heads = [head(result.old), head(result.new)]
    if any(output.kind == "picture" for pair in one.changed for output in pair.outputs):
        heads.append(head("pixels that differ"))
    rows: list[Markup] = []
    equal: list[CellPair] = []
    for pair in one.cells:
        # What a run was given is worth a look, whether it differs or not.
        if pair.state == "equal" and pair.kind != "parameters":
            equal.append(pair)
            continue
        rows += _equal(equal, len(heads))
        equal = []
        title = tag("b", diffs.title(pair)) if pair.kind == "parameters" else diffs.title(pair)
        rows.append(tag("tr", head(title, span=len(heads)), class_="nbexp-base"))
        rows += _cell(pair, room)
    rows += _equal(equal, len(heads))
    yield tag(
        "table",
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
        class_="nbexp-grid nbexp-sides",
    )


def _equal(cells: Sequence[CellPair], span: int) -> list[Markup]:
    if not cells:
        return []
    numbers = [pair.new_number for pair in cells if pair.new_number]
    count = f"{len(cells)} equal cell{'' if len(cells) == 1 else 's'}"
    if numbers:
        count += f" ({numbers[0]}–{numbers[-1]})" if len(numbers) > 1 else f" ({numbers[0]})"
    return [tag("tr", tag("td", faint(count), colspan=str(span)))]


def _cell(pair: CellPair, room: _Room) -> Iterator[Markup]:
    if pair.source or pair.state in ("added", "removed"):
        yield _sides(pair.source)
    elif pair.kind == "parameters":
        text = tag("pre", pair.new_source or "")
        yield tag("tr", cell(text), cell(text))
    for output in pair.outputs:
        if output.state == "equal":
            continue
        if output.kind == "text":
            yield _sides(output.lines)
        else:
            yield _pictures(output, room)


def _sides(lines: Sequence[str]) -> Markup:
    """What is gone at the left, what is new at the right, equal lines on both."""
    shown = diffs.context(lines)
    columns = []
    for sign, class_ in (("-", "nbexp-bad"), ("+", "nbexp-good")):
        found: list[object] = []
        for line in shown:
            if line[:1] == sign:
                found.append(tag("span", f"{sign} {printable(line[1:])}", class_=class_))
            elif line[:1] == " ":
                found.append(f"  {printable(line[1:])}")
            elif line[:1] == "…":
                found.append(faint(line))
        if len(found) > _MAX_LINES:
            found = [*found[:_MAX_LINES], faint(f"… {len(found) - _MAX_LINES} more lines")]
        columns.append(cell(tag("pre", joined(found, "\n")) if found else ""))
    return tag("tr", *columns)


def _pictures(output: OutputPair, room: _Room) -> Markup:
    sides = [cell(_picture(one, room)) for one in (output.old, output.new)]
    words = faint(diffs.picture_words(output))
    if output.pixels is not None and output.pixels.picture:
        where = _image("image/png", output.pixels.picture, diffs.picture_words(output), room)
        return tag("tr", *sides, cell(joined([where, tag("br"), words])))
    return tag("tr", *sides, cell(words))


def _picture(picture: Picture | None, room: _Room) -> Markup:
    return Markup() if picture is None else _image(picture.mime, picture.data, picture.words, room)


def _image(mime: str, data: bytes, words: str, room: _Room) -> Markup:
    """A picture as an image that holds its data; as an image, SVG runs no script and fetches nothing."""
    address = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    if len(address) > room.left:
        return faint(f"[{mime}, {len(data) // 1000} kB, left out here] {words}")
    room.left -= len(address)
    return tag("img", src=address, alt=words or mime)


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "NotebookDiff": _notebook_diff,
}
