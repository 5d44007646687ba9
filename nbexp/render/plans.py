"""What would run, what is out of date, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, counted, duration, sized

if TYPE_CHECKING:
    from nbexp.experiments.planning import Plan, PlannedStage
    from nbexp.experiments.why import Because, Why
    from nbexp.project import Status


def _status(result: Status) -> str:
    if result.is_clean:
        return "Data and pipelines are up to date." if result.count else "There are no stages here."
    lines = []
    for name, reasons in result.stages.items():
        lines.append(f"{name}:")
        lines += [f"  {reason}" for reason in reasons]
    return "\n".join(lines)


def _plan(result: Plan) -> str:
    if not result.stages:
        return "There are no stages to run."
    rows: list[list[str]] = []
    for stage in result.stages:
        reasons = [reason_words(reason) for reason in stage.reasons]
        rows.append([stage.name, action_words(stage), cost_words(stage), *(reasons[:1])])
        rows += [["", "", "", reason] for reason in reasons[1:]]
    return "\n".join([*aligned(rows), plan_words(result)])


def action_words(stage: PlannedStage) -> str:
    """`run`, `may run`, `restore`, `skip`."""
    return stage.action if stage.certain else f"may {stage.action}"


def cost_words(stage: PlannedStage) -> str:
    """`12 s`, `1.23 MB`, nothing where it is not known."""
    if stage.seconds is not None:
        return duration(stage.seconds)
    return sized(stage.size_bytes) if stage.size_bytes else ""


def plan_words(result: Plan) -> str:
    """What all of it comes to."""
    if result.identical is not None:
        return (
            f"identical to {result.identical} (same code, data and parameters): nothing would run"
            "      --new runs it again"
        )
    if not result.running:
        back = any(stage.action == "restore" for stage in result.stages)
        return "nothing would run" if back else "nothing to do: every stage is up to date"
    count = f"{len(result.running)} of {counted(len(result.stages), 'stage')} would run"
    unsure = [stage for stage in result.running if not stage.certain]
    if unsure:
        count += f", {len(unsure)} of them only if what is made anew before comes out different"
    return count if result.seconds is None else f"{count}; about {duration(result.seconds)} in all"


def reason_words(reason: Because) -> str:
    """A reason on one line, with its place."""
    if reason.cells:
        more = f" (and {len(reason.cells) - 1} more)" if len(reason.cells) > 1 else ""
        return f"{reason.subject} {reason.cells[0]}{more}"
    if reason.files:
        more = f" and {len(reason.files) - 3} more" if len(reason.files) > 3 else ""
        return f"{reason.text}: {', '.join(reason.files[:3])}{more}"
    if reason.line is None:
        return reason.text
    # A file that is named already is not named twice.
    named = reason.text.startswith(reason.file)
    return f"{reason.text}   ({'line ' + str(reason.line) if named else reason.place})"


def _why(result: Why) -> str:
    if not result.changed:
        return (
            f"{result.stage} did not run in {result.what}: command, deps, params and outputs are those of "
            f"{result.versus}"
        )
    than = f" (compared with {result.versus})" if result.versus else ""
    lines = [f"{result.stage} ran in {result.what}{than} because"]
    for reason in result.reasons:
        lines.append(f"  {reason_words(reason)}")
        lines += [f"    {cell}" for cell in reason.cells[1:]]
    return "\n".join(lines)


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Status": _status,
    "Plan": _plan,
    "Why": _why,
}
