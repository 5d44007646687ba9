"""Sweeps: their trials, the best first, and what they would be."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.overrides import spell
from nbexp.render.words import aligned, counted, duration, shown

if TYPE_CHECKING:
    from nbexp.sweeps.form import Field, SweepForm
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
    return ["trial", "name", "state", *result.measured, *result.params, "time"]


def cells(result: Sweep, one: TrialRow) -> list[str]:
    """A trial as a line of it."""
    values = [shown(value) for value in measured(result, one)]
    params = [shown(one.point[param]) if param in one.point else "" for param in result.params]
    time = duration(one.seconds) if one.seconds is not None else "-"
    return [str(one.number), one.name, one.state, *values, *params, time]


def measured(result: Sweep, one: TrialRow) -> list[object]:
    """What a trial has in the columns of the metrics; None where it has nothing."""
    if result.metric is not None:
        return [one.value]
    return [one.metrics.get(key) for key in result.measured]


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
    if result.recorded:
        line = f"{line}; {recorded(result.recorded, result.trials)}"
    if result.recorded and result.recorded == result.trials:
        lines = [line]
    elif result.seconds is None:
        lines = [line, "how long one takes is not known: none has run yet"]
    else:
        whole = result.whole_s or 0.0
        lines = [line, f"about {duration(whole)} by past runs, {duration(result.seconds)} each"]
    lines += [f"  {point}" for point in result.first]
    if len(result.first) < result.trials and result.first:
        lines.append("  …")
    return "\n".join([*lines, "Nothing was run."])


def foretold(result: SweepPlan) -> str:
    """What is known before it starts, in one line: `6 runs, 2 at a time; 1 is recorded already; about 3 min`."""
    if result.goes_on is not None and not result.trials:
        return f"{result.goes_on} has run this already: to start it is to show it"
    at_once = f", {result.jobs} at a time" if result.jobs > 1 and result.trials > 1 else ""
    words = [f"{counted(result.trials, 'run')}{at_once}"]
    if result.goes_on is not None:
        words[0] = f"{result.goes_on} goes on: {words[0]}"
    if result.recorded:
        words.append(recorded(result.recorded, result.trials))
    if result.recorded and result.recorded == result.trials:
        words.append("no time at all")
    elif result.whole_s is None:
        words.append("how long is not known, for none has run yet")
    else:
        words.append(f"about {duration(result.whole_s)} by past runs")
    return "; ".join(words)


def recorded(number: int, total: int) -> str:
    """`2 are recorded already`."""
    which = "all" if number == total else str(number)
    return f"{which} {'is' if number == 1 else 'are'} recorded already"


def _form(result: SweepForm) -> str:
    if not result.fields:
        return f"There are no params in {result.file} that a sweep could vary."
    rows = [form_columns(), *(form_cells(one) for one in result.fields)]
    return "\n".join([*aligned(rows), *form_notes(result)])


def form_columns() -> list[str]:
    """The titles of the table of params."""
    return ["param", "is", "now", "had"]


def form_cells(one: Field) -> list[str]:
    """A param as a line of it."""
    had = [spell(value) for value in one.known if spell(value) != spell(one.value)]
    return [one.name, one.kind, spell(one.value), ", ".join(had)]


def form_notes(result: SweepForm) -> list[str]:
    """The metrics there are, and the line of what was asked for, or what a line would look like."""
    found = []
    if result.metrics:
        names = [
            one.name if one.direction is None else f"{one.name} ({one.direction})"
            for one in result.metrics
        ]
        found.append(f"metrics: {', '.join(names)}")
    asked = result.ask()
    if asked.line:
        return [*found, f"the line: {asked.line}"]
    if result.answers.params:
        found += [
            f"{one.where.lstrip(':') or 'all'}: {one.message}"
            + (f" Hint: {one.hint}" if one.hint else "")
            for one in asked.problems
        ]
        return found
    example = next((one for one in result.fields if one.problem is None), None)
    if example is not None:
        values = example.example
        found.append(f"for example: nbexp sweep -S {shlex.quote(f'{example.name}={values}')}")
    return found


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Sweep": _sweep,
    "Sweeps": _sweeps,
    "SweepPlan": _plan,
    "SweepForm": _form,
}
