"""Every stage run there is, and experiments made of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, clock, counted, shown, sized

if TYPE_CHECKING:
    from nbexp.experiments.explore import RestoredRun
    from nbexp.experiments.promote import Promoted
    from nbexp.experiments.run_cache import CachedRun, RunTable


def _run_table(result: RunTable) -> str:
    if not result.runs:
        return "no run meets these conditions" if result.total else "no runs yet. Next: nbexp run"
    tellings = result.telling()
    deps, commands = any(one.deps for one in tellings), any(one.shows_command for one in tellings)
    stale = any(run.is_stale for run in result.runs)
    head = ["key", "stage", "when", "params", *(["deps"] * deps), *(["command"] * commands), "outs"]
    rows = [[*head, "held by", *(["lost"] * stale)]]
    for run, told in zip(result.runs, tellings, strict=True):
        row = [run.short, run.stage, clock(int(run.saved_s)), param_words(told.params)]
        row += [", ".join(f"{dep.path} {dep.md5[:7]}" for dep in told.deps)] * deps
        row += [shown(run.command) if told.shows_command else ""] * commands
        rows.append([*row, out_words(run), holders(run), *([", ".join(run.missing)] * stale)])
    lines = aligned(rows)
    if len(result) < result.total:
        lines.append(f"{len(result)} of {counted(result.total, 'run')}")
    return "\n".join(lines)


def param_words(params: Mapping[str, object]) -> str:
    """`train.lr=0.1 train.epochs=3`."""
    return " ".join(f"{key}={shown(value)}" for key, value in params.items()) or "-"


def out_words(run: CachedRun) -> str:
    """The outputs of a run with their sizes."""
    return ", ".join(f"{out.path} {sized(out.size)}" for out in run.entry.outs)


def holders(run: CachedRun) -> str:
    """The experiments and branches that hold a run; `orphan` if none does."""
    found = [*run.experiments, *run.commits]
    notes = [f"failed {name}" for name in run.failed] + ["workspace"] * run.is_here
    if run.is_orphan:
        return f"orphan ({', '.join(notes)})" if notes else "orphan"
    return ", ".join(found)


def _cached_run(result: CachedRun) -> str:
    rows = [[name, value] for name, value in run_rows(result)]
    return "\n".join([f"{result.short}   {result.stage}", *("  " + line for line in aligned(rows))])


def run_rows(run: CachedRun) -> list[tuple[str, str]]:
    """All of a run, a line for each thing that it has."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.saved_s))
    rows = [("key", run.key), ("value", run.value), ("saved", moment)]
    rows += [("command", shown(line)) for line in run.command.splitlines()]
    rows += [(f"param {key}", shown(value)) for key, value in run.params.items()]
    rows += [(f"dep {dep.path}", f"{dep.md5}  {sized(dep.size)}") for dep in run.entry.deps]
    for out in run.entry.outs:
        lost = "  lost: the cache lacks it" if out.path in run.missing else ""
        rows.append((f"out {out.path}", f"{out.md5}  {sized(out.size)}{lost}"))
    return [*rows, ("held by", holders(run))]


def _restored_run(result: RestoredRun) -> str:
    if result.outs:
        lines = [
            f"restored {', '.join(result.outs)} of {result.stage}   (nbexp undo takes it back)"
        ]
    else:
        lines = [f"the outputs of {result.stage} are those of run {result.short} already"]
    if result.saved:
        lines.append(f"edits kept as an undo point: {', '.join(result.saved)}")
    if result.differing:
        lines.append(f"{result.stage} would run again: {', '.join(result.differing)}")
    return "\n".join(lines)


def _promoted(result: Promoted) -> str:
    rows = [["baseline", result.baseline[:7]]]
    rows += [[key, shown(value)] for key, value in result.params.items()]
    rows += [["stages", ", ".join(f"{stage} ({short})" for stage, short in result.stages)]]
    if result.from_workspace:
        rows.append(["taken from the workspace", ", ".join(result.from_workspace)])
    lines = [f"{result.name}   {result.rev[:7]}   made of a run of {result.stages[0][0]}"]
    lines += ["  " + line for line in aligned(rows)]
    lines.append(f"bring it back: nbexp apply {result.name}")
    return "\n".join(lines)


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "RunTable": _run_table,
    "CachedRun": _cached_run,
    "RestoredRun": _restored_run,
    "Promoted": _promoted,
}
