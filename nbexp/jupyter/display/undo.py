"""What brings things back: undo and the trash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import moment, plain_text
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, tag
from nbexp.render import undo as texts
from nbexp.render import words as said

if TYPE_CHECKING:
    from nbexp.experiments.steps import Steps
    from nbexp.experiments.trash import TrashList


def _trash_list(result: TrashList) -> Markup:
    lines = [
        tag(
            "tr",
            tag("th", one.name, scope="row", align="left"),
            cell(code(one.rev[:7])),
            cell(code(one.baseline[:7])),
            cell(said.clock(one.removed_s), title=moment(one.removed_s)),
        )
        for one in result.entries
    ]
    notes = [
        tag("p", faint(line))
        for line in plain_text(result).splitlines()[-1 - bool(result.failed) :]
    ]
    if not lines:
        return joined(notes)
    names = ("experiment", "commit", "baseline", "removed")
    return joined([grid([head(name) for name in names], lines), *notes])


def _steps(result: Steps) -> Markup:
    if not result.ahead and not result.back:
        return tag("p", plain_text(result))
    lines = []
    for number, one in enumerate([*result.ahead, *result.back]):
        if result.ahead and number == len(result.ahead):
            lines.append(tag("tr", head("you are here", span=5), class_="nbexp-base"))
        step, when, op, brings, size = texts.step_cells(one)
        name = tag("th", code(step), scope="row", align="left")
        cells = [
            cell(when, title=moment(int(one.time_s))),
            cell(op),
            cell(brings, title="\n".join(one.paths)),
            cell(size, is_number=True),
        ]
        lines.append(tag("tr", name, *cells))
    names = [head(name) for name in ("step", "when", "takes back", "puts back")]
    return grid([*names, head("size", is_number=True)], lines)


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "TrashList": _trash_list,
    "Steps": _steps,
}
