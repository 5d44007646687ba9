"""How executed notebooks differ, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import printable, shown

if TYPE_CHECKING:
    from nbexp.experiments.notebook_diff import CellPair, NotebookDiff


def _notebook_diff(result: NotebookDiff) -> str:
    from nbexp.experiments import notebook_diff as diffs

    lines: list[str] = []
    for one in result.notebooks:
        lines += [""] * bool(lines)
        lines.append(f"{shown(one.path)}  {result.old} -> {result.new}: {diffs.words(one)}")
        for cell in one.changed:
            lines += ["", diffs.title(cell), *_cell(cell)]
    return "\n".join(lines)


def _cell(cell: CellPair) -> list[str]:
    from nbexp.experiments import notebook_diff as diffs

    found = _indented(diffs.context(cell.source), "| ")
    for output in cell.outputs:
        if output.kind == "text":
            found += _indented(diffs.context(output.lines), "")
        elif output.state != "equal":
            found.append(f"    {diffs.picture_words(output)}")
    return found


def _indented(lines: list[str], bar: str) -> list[str]:
    return [f"  {bar}{printable(line)}" for line in lines]


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "NotebookDiff": _notebook_diff,
}
