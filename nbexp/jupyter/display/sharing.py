"""Experiments that went to others or came from them, and branches made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.experiments.share import PulledExperiments, Pushed
from nbexp.jupyter.display.parts import MAX_ROWS, plain_text
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, pairs, tag

if TYPE_CHECKING:
    from nbexp.project import Branches


def _shared(result: Pushed | PulledExperiments) -> Markup:
    lines = plain_text(result).splitlines()
    rows: list[tuple[object, ...]] = [(name, "new there") for name in result.names]
    if isinstance(result, PulledExperiments):
        rows = [(name, code(f"%exp apply {name}")) for name in result.names]
    rows += [(name, "up to date") for name in result.up_to_date]
    said = [tag("p", line) for line in lines[:1]]
    shown = [tag("tr", cell(name), cell(state)) for name, state in rows[:MAX_ROWS]]
    if len(rows) > MAX_ROWS:
        shown.append(tag("tr", cell(faint(f"and {len(rows) - MAX_ROWS:,} more")), cell("")))
    if shown:
        said.append(grid([head("experiment"), head(result.remote)], shown))
    if isinstance(result, Pushed) and result.colleague:
        said.append(pairs([("your colleague runs", code(line)) for line in result.colleague]))
    return joined(said)


def _branches(result: Branches) -> Markup:
    rows = [
        tag("tr", cell(one.experiment), cell(code(one.branch)), cell(code(one.rev[:7])))
        for one in result.branches
    ]
    table = grid([head("experiment"), head("branch"), head("commit")], rows)
    return joined([table, pairs([("share", code(line)) for line in result.publish])])


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "Pushed": _shared,
    "PulledExperiments": _shared,
    "Branches": _branches,
}
