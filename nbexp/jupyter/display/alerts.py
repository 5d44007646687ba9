"""The alerts that are set up, and those that were due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import in_cell_words
from nbexp.jupyter.markup import Markup, cell, grid, head, joined, tag
from nbexp.render import alerts as texts
from nbexp.render.words import clock

if TYPE_CHECKING:
    from nbexp.experiments.alerts import Alerts


def _alerts(result: Alerts) -> Markup:
    parts = [tag("p", in_cell_words(line)) for line in texts.notes(result)]
    if not result.rules:
        return joined([*parts, tag("p", in_cell_words(texts.EMPTY))])
    lines = []
    for rule in result.rules:
        name, *cells = map(in_cell_words, texts.rule_cells(rule))
        first = tag("th", name, scope="row", align="left")
        lines.append(tag("tr", first, *map(cell, cells)))
    parts.append(grid([head(name) for name in ("alert", "when", "does", "from")], lines))
    if result.past:
        past = []
        for one in result.past:
            kind = {"failed": "nbexp-bad", "finished": "nbexp-good"}.get(one.state)
            state = tag("span", one.state, class_=kind)
            first = tag("th", one.alert, scope="row", align="left")
            when = cell(clock(int(one.time_s)))
            past.append(tag("tr", first, when, cell(state), cell(one.message)))
        parts.append(grid([head("due last"), head(""), head(""), head("")], past))
    return joined(parts)


WRITERS: Mapping[str, Callable[[Any], Markup]] = {"Alerts": _alerts}
