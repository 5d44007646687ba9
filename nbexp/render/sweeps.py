"""Sweeps: their trials, the best first, and what they would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, counted, duration, shown

if TYPE_CHECKING:
    from nbexp.sweeps.results import Sweep, SweepPlan, Sweeps, TrialRow

# Of more trials than this the text shows the best.
_MAX_ROWS = 60


def _sweep(result: Sweep) -> str:
    lines = [head(result)]
    rows = result.ranked
    if rows:
        kept = rows if len(rows) <= _MAX_ROWS else rows[: _MAX_ROWS * 2 // 3]
        table = [columns(result), *(cells(result, one) for one in kept)]
        lines += [f"  {line}" for line in aligned(table)]
        if len(kept) < len(rows):
            lines.append(f"  … {counted(len(rows) - len(kept), 'more trial')}: nbexp show")
    lines += notes(result)
    return "\n".join(lines)


def head(result: Sweep) -> str:
    """What it is about, and how far it is."""
    parts = [result.name]
    if result.metric is not None:
        parts.append(f"{result.direction} {result.metric}")
    return "   ".join([*parts, progress(result), duration(result.elapsed_s)])


def progress(result: Sweep) -> str:
    """`20 of 20 trials: 14 done, 6 pruned`."""
    counts = result.counts
    live = sum(counts.get(state, 0) for state in ("queued", "running", "committing"))
    words = [
        f"{counts[state]} {state}"
        for state in ("done", "pruned", "failed", "cancelled", "interrupted")
        if counts.get(state)
    ]
    told = ", ".join(words) or "none over yet"
    return f"{len(result.trials) - live} of {counted(result.planned, 'trial')}: {told}"


def columns(result: Sweep) -> list[str]:
    """The titles of the table of trials."""
    metric = [result.metric] if result.metric is not None else []
    return ["trial", "name", "state", *metric, *result.params, "time"]


def cells(result: Sweep, one: TrialRow) -> list[str]:
    """A trial as a line of it."""
    value = [shown(one.value)] if result.metric is not None else []
    params = [shown(one.point[param]) if param in one.point else "" for param in result.params]
    time = duration(one.seconds) if one.seconds is not None else "-"
    return [str(one.number), one.name, one.state, *value, *params, time]


def notes(result: Sweep) -> list[str]:
    """The best, what went wrong, and what to do next."""
    found = []
    best = result.best
    if best is not None:
        found.append(best_line(result, best))
    failed = [one for one in result.trials if one.state == "failed"]
    found += [
        f"failed: {one.name}: {one.error or 'no reason is known'}   (nbexp logs {one.name})"
        for one in failed[:3]
    ]
    if len(failed) > 3:
        found.append(f"… {counted(len(failed) - 3, 'more failure')}")
    if result.note:
        found.append(f"over: {result.note}")
    if result.state == "running":
        found.append(
            f"it goes on: nbexp sweep --resume {result.name} watches, nbexp stop {result.name} ends it"
        )
    elif result.state in ("waiting", "stopped") or (result.note and result.state == "failed"):
        found.append(f"go on: nbexp sweep --resume {result.name}")
    return found


def best_line(result: Sweep, best: TrialRow) -> str:
    """`best: fond-lynx acc 0.94 (train.lr 0.03, train.epochs 20)`."""
    point = ", ".join(f"{param} {shown(value)}" for param, value in best.point.items())
    return f"best: {best.name} {result.metric} {shown(best.value)} ({point})"


def _sweeps(result: Sweeps) -> str:
    if not result.sweeps:
        return "no sweeps yet. Next: nbexp sweep -S train.lr=0.1,0.2"
    rows = [["name", "state", "trials", "sampler", "objective", "best"]]
    for one in result.sweeps:
        best = one.best
        rows.append(
            [
                one.name,
                one.state,
                progress(one),
                one.sampler,
                f"{one.direction} {one.metric}" if one.metric else "",
                f"{best.name} {shown(best.value)}" if best else "",
            ]
        )
    return "\n".join(aligned(rows))


def _plan(result: SweepPlan) -> str:
    at_once = f"{result.jobs} at a time" if result.jobs > 1 else "one after the other"
    line = f"{counted(result.trials, 'run')}, {at_once}, picked by {result.sampler}"
    if result.goes_on is not None:
        line = f"{result.goes_on} goes on: {line}"
    if result.seconds is None:
        lines = [line, "how long one takes is not known: none has run yet"]
    else:
        whole = result.whole_s or 0.0
        lines = [line, f"about {duration(whole)} by past runs, {duration(result.seconds)} each"]
    lines += [f"  {point}" for point in result.first]
    if len(result.first) < result.trials and result.first:
        lines.append("  …")
    return "\n".join([*lines, "Nothing was run."])


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Sweep": _sweep,
    "Sweeps": _sweeps,
    "SweepPlan": _plan,
}
