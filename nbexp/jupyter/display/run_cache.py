"""Every stage run there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp import render
from nbexp.frozen import replace
from nbexp.jupyter.display.parts import MAX_ROWS, brief, heading, moment, plain_text
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, pairs, scrolled, tag
from nbexp.render import run_cache as texts
from nbexp.render import words as said

if TYPE_CHECKING:
    from nbexp.experiments.run_cache import CachedRun, RunTable


def _run_table(result: RunTable) -> Markup:
    if not result.runs:
        return tag("p", plain_text(result))
    tellings = result.telling()
    deps, commands = any(one.deps for one in tellings), any(one.shows_command for one in tellings)
    names = ["key", "stage", "when", "params", *(["deps"] * deps), *(["command"] * commands)]
    lines = []
    for run, told in zip(result.runs[:MAX_ROWS], tellings, strict=False):
        name = tag("th", code(run.short), scope="row", align="left", title=f"{run.key}/{run.value}")
        when = cell(said.clock(int(run.saved_s)), title=moment(int(run.saved_s)))
        stage = cell(run.stage, title=run.command)
        cells = [name, stage, when, cell(_params(told.params), title=_all_params(run))]
        if deps:
            short = joined([_dep(dep.path, dep.md5) for dep in told.deps], Markup("<br>"))
            cells.append(cell(short))
        if commands:
            cells.append(cell(code(run.command) if told.shows_command else ""))
        outs = [_out(out.path, out.size, out.path in run.missing) for out in run.entry.outs]
        holders = texts.holders(run)
        cells += [
            cell(joined(outs, Markup("<br>"))),
            cell(faint(holders) if run.is_orphan else holders),
        ]
        lines.append(tag("tr", *cells))
    notes = []
    if len(result) > MAX_ROWS:
        notes.append(f"… {len(result) - MAX_ROWS} more runs: `%exp cache --csv` has all")
    elif len(result) < result.total:
        notes.append(f"{len(result)} of {result.total} runs")
    if any(run.is_stale for run in result.runs):
        notes.append("✗ lost: the cache lacks it, so the run cannot be brought back")
    found = grid([head(title) for title in [*names, "outs", "held by"]], lines)
    return joined([found, *(tag("p", faint(note)) for note in notes)])


def _params(params: Mapping[str, object]) -> Markup:
    parts = [joined([faint(f"{key} "), brief(value)]) for key, value in params.items()]
    return joined(parts, Markup("<br>"))


def _all_params(run: CachedRun) -> str:
    return "\n".join(f"{key} = {said.shown(value)}" for key, value in run.params.items())


def _dep(path: str, md5: str) -> Markup:
    return joined([path, " ", tag("span", code(md5[:7]), class_="nbexp-faint", title=md5)])


def _out(path: str, size: int | None, is_lost: bool) -> Markup:
    if is_lost:
        return tag("span", f"✗ {path} lost", class_="nbexp-bad")
    return joined([path, " ", faint(said.sized(size))])


def _cached_run(result: CachedRun) -> Markup:
    rows = [(name, code(value)) for name, value in texts.run_rows(result)]
    return joined([heading(result.stage, faint(result.short)), scrolled(pairs(rows))])


def _shorter(result: RunTable) -> str:
    """The text of a table, of one that is longer than a cell should be its first rows."""
    if len(result) <= MAX_ROWS:
        return plain_text(result)
    shown = render.text(replace(result, runs=result.runs[:MAX_ROWS]))
    return f"{shown}: `%exp cache --csv` has all"


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "RunTable": _run_table,
    "CachedRun": _cached_run,
}

TEXTS: Mapping[str, Callable[[Any], str]] = {"RunTable": _shorter}
