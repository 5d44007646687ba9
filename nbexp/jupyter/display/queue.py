"""What waits and runs, as a table; what was queued; and the log of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import cut, heading, in_cell_words, moment, plain_text
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, tag
from nbexp.render import queue as texts

if TYPE_CHECKING:
    from nbexp.queue.reports import Queued, QueueStatus, RunOver, TaskLog
    from nbexp.queue.rows import Task

_MARKS = {
    "queued": "… queued", "running": "▶ running", "recording": "▶ recording", "stopping": "■ stopping",
    "done": "✓ done", "failed": "✗ failed", "cancelled": "■ cancelled", "interrupted": "■ interrupted",
    "pruned": "✂ pruned",
}  # fmt: skip
_MAX_TASKS = 50
_MAX_LOG = 10_000


def _status(result: QueueStatus) -> Markup:
    shown = texts.listed(result)
    rows = [_row(task, in_detail=result.in_detail) for task in shown]
    rows += [
        tag(
            "tr",
            cell(code(one.rev[:7])),
            tag("th", one.name or "", scope="row", align="left"),
            cell(f"{one.state} by DVC"),
        )
        for one in result.of_dvc
    ]
    foot = tag("p", faint(in_cell_words(" · ".join(texts.workers_line(result).split("   ")))))
    if not rows:
        return joined([tag("p", "No experiment tasks in the queue."), foot])
    heads = [head(name) for name in texts.HEADS]
    if result.in_detail:
        heads.append(head("more"))
    left = len(result.tasks) - len(shown)
    more = [tag("p", faint(f"and {left:,} more that are over: %exp queue --json"))] if left else []
    return joined([grid(heads, rows), *more, foot])


def _row(task: Task, *, in_detail: bool) -> Markup:
    uid, name, state, stage, progress, values, elapsed = texts.cells(task)
    line = [
        cell(code(uid), title=task.uid),
        tag("th", name, scope="row", align="left"),
        cell(_MARKS.get(state, state), title=task.error),
        cell(stage),
        cell(progress),
        cell(cut(values), title=" ".join(task.overrides) or None),
        cell(elapsed, title=moment(None if task.started_s is None else int(task.started_s))),
    ]
    if in_detail:
        lines = texts.details(task)
        line.append(cell(joined(lines, tag("br"))))
    return tag("tr", *line)


def _queued(result: Queued) -> Markup:
    if result.tasks and result.tasks[0].kind == "detached":
        first, *rest = plain_text(result).splitlines()
        return joined([tag("p", first), *(tag("p", faint(line)) for line in rest)])
    parts = [heading(texts.summary(result))]
    if len(result.tasks) > 1:
        rows = [
            tag(
                "tr",
                tag("th", task.name, scope="row", align="left"),
                cell(cut(texts.values_of(task))),
            )
            for task in result.tasks[:_MAX_TASKS]
        ]
        if len(result.tasks) > _MAX_TASKS:
            rows.append(tag("tr", cell(faint(f"and {len(result.tasks) - _MAX_TASKS:,} more"))))
        parts.append(grid([head("name"), head("values")], rows))
    missing = [tag("p", f"not there when they run: {one}") for one in result.missing]
    parts += missing or [tag("p", faint("pre-flight: all inputs tracked"))]
    parts.append(tag("p", faint(in_cell_words(texts.next_step(result)))))
    return joined(parts)


def _log(result: TaskLog) -> Markup:
    text = result.text
    if len(text) > _MAX_LOG:
        text = f"…{text[-_MAX_LOG:]}"
    end = f"{result.state}{f' in {result.place}' if result.place else ''}"
    return joined([heading(result.name, faint(end)), tag("pre", text or texts.silence(result))])


def _over(result: RunOver) -> Markup:
    rows = [_row(task, in_detail=False) for task in result.tasks[:_MAX_TASKS]]
    if not rows:
        return tag("p", plain_text(result))
    last = plain_text(result).splitlines()[-1]
    return joined([grid([head(name) for name in texts.HEADS], rows), tag("p", faint(last))])


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "QueueStatus": _status,
    "Queued": _queued,
    "TaskLog": _log,
    "RunOver": _over,
}
