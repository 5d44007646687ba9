"""What changed the workspace, and what brings things back: undo and the trash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, clock, counted, shown, size

if TYPE_CHECKING:
    from nbexp.experiments.restore import Applied
    from nbexp.experiments.steps import Step, Steps, Undone
    from nbexp.experiments.trash import TrashList, Untrashed


def _applied(result: Applied) -> str:
    changed = len(result.written) + len(result.removed) + len(result.outs)
    if not changed:
        return f"the workspace is {result.name} already"
    lines = [
        f"applied {result.name}: {counted(changed, 'file')} changed   (nbexp undo takes it back)"
    ]
    if result.saved:
        lines.append(f"edits kept as an undo point: {', '.join(result.saved)}")
    return "\n".join(lines)


def _undone(result: Undone) -> str:
    way, done, word = ("forward", "redid", "redo") if result.is_redo else ("back", "undid", "undo")
    left = (
        f"{counted(result.left, 'step')} further {way}"
        if result.left
        else f"nothing further to {word}"
    )
    if not result.paths and not result.experiments:
        return f"{done} {result.op}: the workspace was so already   ({left})"
    names = [*result.paths, *(f"experiment {name}" for name in result.experiments)]
    return f"{done} {result.op}: {', '.join(names)} as before   ({left})"


def _steps(result: Steps) -> str:
    rows = [step_cells(one) for one in result.ahead]
    if result.ahead:
        rows.append(["", "", "you are here", "", ""])
    rows += [step_cells(one) for one in result.back]
    if not rows:
        return "There is nothing to undo: no command has changed this workspace."
    lines = aligned([["step", "when", "takes back", "puts back", "size"], *rows])
    ids = [one.id for one in result.back[-1:]]
    lines += [f"all down to one of them: nbexp undo --to {one}" for one in ids]
    if result.ahead:
        lines.append("the steps above `you are here` were undone: nbexp undo --redo")
    return "\n".join(lines)


def step_cells(step: Step) -> list[str]:
    """One step as cells of text; `takes back` is the command."""
    names = [*(f"experiment {name}" for name in step.experiments), *step.paths]
    more = f", and {len(names) - 3:,} more" if len(names) > 3 else ""
    back = ", ".join(map(shown, names[:3])) + more
    return [step.id, clock(int(step.time_s)), shown(step.op), back, size(step.size_bytes)]


def _trash_list(result: TrashList) -> str:
    rows = [
        [one.name, one.rev[:7], one.baseline[:7], clock(one.removed_s)] for one in result.entries
    ]
    lines = aligned([["name", "rev", "baseline", "removed"], *rows]) if rows else []
    lines.append("bring one back: nbexp trash restore NAME" if rows else "Nothing is in the trash.")
    if result.failed:
        lines.append(
            f"{counted(result.failed, 'failed or interrupted run')} kept apart: nbexp show --all-states"
        )
    return "\n".join(lines)


def _untrashed(result: Untrashed) -> str:
    names = ", ".join(f"{name} ({rev[:7]})" for name, rev in result.restored)
    return f"restored {names}   (nbexp undo takes it back)"


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Applied": _applied,
    "Undone": _undone,
    "Steps": _steps,
    "TrashList": _trash_list,
    "Untrashed": _untrashed,
}
