"""What `doctor`, `gc` and `clean` found and did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import MAX_ROWS, in_cell_words, plain_text
from nbexp.jupyter.markup import Markup, cell, faint, grid, head, joined, tag
from nbexp.render import upkeep as texts

if TYPE_CHECKING:
    from nbexp.experiments.collect import Collected
    from nbexp.experiments.doctor import Health
    from nbexp.experiments.worktrees import Cleaned


def _collected(result: Collected) -> Markup:
    lines = []
    for heap in result.heaps:
        kind, *cells, what = texts.heap_cells(heap)
        name = tag("th", kind, scope="row", align="left", title="\n".join(heap.names[:MAX_ROWS]))
        lines.append(tag("tr", name, *(cell(one, is_number=True) for one in cells), cell(what)))
    shown = sum(1 for heap in result.heaps if heap.items or heap.kept)
    notes = [
        tag("p", faint(line)) for line in plain_text(result).splitlines()[shown + bool(shown) :]
    ]
    numbers = [head(name, is_number=True) for name in ("items", "size", "oldest", "kept")]
    return joined([grid([head("kind"), *numbers, head("")], lines), *notes])


def _cleaned(result: Cleaned) -> Markup:
    trees = [(name, "removed") for name in result.work_trees]
    trees += [(name, "in use, left alone") for name in result.in_use]
    lines = [
        tag("tr", tag("th", name, scope="row", align="left"), cell(what)) for name, what in trees
    ]
    table = [grid([head("work tree"), head("")], lines)] if lines else []
    left = [] if result.work_trees or result.in_use else texts.cleaned_lines(result)
    if trees and result.leftovers:
        left = [line for line in texts.cleaned_lines(result) if "leftover" in line]
    return joined([*table, *(tag("p", line) for line in left)])


def _health(result: Health) -> Markup:
    marks = {"ok": "✓ ok", "mended": "✓ mended", "needs you": "✗ needs you"}
    lines = []
    for one in result.findings:
        mark = tag("span", marks[one.verdict], class_="nbexp-bad" * (one.verdict == "needs you"))
        name = tag("th", one.check, scope="row", align="left")
        hint = faint(in_cell_words(f" {one.hint}")) if one.hint else ""
        lines.append(tag("tr", name, cell(mark), cell(joined([one.text, hint]))))
    end = plain_text(result).splitlines()[-1]
    return joined([grid([head("check"), head(""), head("")], lines), tag("p", end)])


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "Cleaned": _cleaned,
    "Collected": _collected,
    "Health": _health,
}
