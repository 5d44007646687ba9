"""The alerts that are set up, and those that were due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.experiments.alerts.rules import shown_command, shown_url
from nbexp.render.words import aligned, clock

if TYPE_CHECKING:
    from nbexp.experiments.alerts import Alerts, Rule

EMPTY = 'There is no alert. In nbexp.toml, `[alerts.done]` and below it `when = ["finished", "failed"]` makes one.'
WAITS = "not carried out: `nbexp alerts --trust` agrees to it"


def _alerts(result: Alerts) -> str:
    lines = notes(result)
    if not result.rules:
        return "\n".join([*lines, EMPTY])
    rows = [["alert", "when", "does", "from"], *map(rule_cells, result.rules)]
    lines += aligned(rows)
    if result.past:
        past = [[clock(int(one.time_s)), one.alert, one.message] for one in result.past]
        lines += ["", "due last", *aligned(past)]
    return "\n".join(lines)


def notes(result: Alerts) -> list[str]:
    """What the command did, before the list."""
    lines = []
    if result.agreed:
        lines.append(
            f"You agreed to {', '.join(f'`{name}`' for name in result.agreed)}, as it is now."
        )
    if result.tried is not None:
        lines += result.problems or [f"The alert `{result.tried}` was carried out."]
    return lines


def rule_cells(rule: Rule) -> list[str]:
    """One alert, as cells of text."""
    does = []
    if rule.notebook:
        does.append("a line")
    if rule.command is not None:
        does.append(f"`{shown_command(rule.command)}`")
    if rule.webhook is not None:
        does.append(shown_url(rule.webhook))
    does = does or ["nothing but this list"]
    if not rule.trusted:
        does.append(WAITS)
    when = ", ".join(rule.when)
    if rule.min_seconds:
        when += f" after {rule.min_seconds:g} s"
    return [rule.name, when, "; ".join(does), rule.file]


WRITERS: Mapping[str, Callable[[Any], str]] = {"Alerts": _alerts}
