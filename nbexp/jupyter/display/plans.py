"""What would run, what is out of date, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import in_cell_words, plain_text
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, tag
from nbexp.render import plans as texts

if TYPE_CHECKING:
    from nbexp.experiments.planning import Plan
    from nbexp.experiments.why import Because, Why
    from nbexp.project import Status


def _status(result: Status) -> Markup:
    if result.is_clean:
        return tag("p", "✓ " if result.count else "", plain_text(result))
    lines = [
        tag(
            "tr",
            tag("th", name, scope="row", align="left"),
            cell(joined([joined([reason]) for reason in reasons], Markup("<br>"))),
        )
        for name, reasons in result.stages.items()
    ]
    return grid([head("stage"), head("would run because")], lines)


def _plan(result: Plan) -> Markup:
    if not result.stages:
        return tag("p", plain_text(result))
    lines = []
    for stage in result.stages:
        sign = {"run": "▶", "restore": "↺", "take": "✓", "skip": "–"}[stage.action]
        action: object = f"{sign} {texts.action_words(stage)}"
        lines.append(
            tag(
                "tr",
                tag("th", stage.name, scope="row", align="left"),
                cell(faint(action) if stage.action == "skip" else action),
                cell(texts.cost_words(stage), is_number=True),
                cell(_reasons(stage.reasons)),
            )
        )
    heads = [head("stage"), head("would"), head("takes", is_number=True), head("because")]
    return joined([grid(heads, lines), tag("p", in_cell_words(texts.plan_words(result)))])


def _why(result: Why) -> Markup:
    first = plain_text(result).partition("\n")[0]
    return joined([tag("p", tag("b", first)), tag("p", _reasons(result.reasons, all_cells=True))])


def _reasons(reasons: Sequence[Because], *, all_cells: bool = False) -> Markup:
    """One line each: what changed, and faintly where that stands; of a notebook the cells as code."""
    lines: list[Markup] = []
    for reason in reasons:
        if not reason.cells:
            words = texts.reason_words(reason)
            text, gap, place = words.partition("   (")
            lines.append(joined([text, faint(f"{gap}{place}")]))
        for change in reason.cells if all_cells else reason.cells[:1]:
            more = len(reason.cells) - 1
            rest = f" (and {more} more)" if more and not all_cells else ""
            words = f"{reason.subject} cell {change.number} {change.change}: "
            lines.append(joined([words, code(change.first_line), faint(rest)]))
    return joined(lines, Markup("<br>"))


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "Status": _status,
    "Plan": _plan,
    "Why": _why,
}
