"""What a cell shows of each kind of result: plain text, HTML, and pictures of plots.

The plain text is `render.text`, the same as a terminal prints, with commands spelled as in a cell. All of it
is static: it reads the same on GitHub, in nbconvert, and after the kernel has gone.
"""

from __future__ import annotations

import base64
import json
import math
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from typing import TYPE_CHECKING

from nbexp import commands, render
from nbexp.experiments.authoring import InitReport
from nbexp.experiments.collect import Collected
from nbexp.experiments.columns import Groups
from nbexp.experiments.compare import Change, Diff
from nbexp.experiments.detecting import Detected
from nbexp.experiments.differences import Patch
from nbexp.experiments.doctor import Health
from nbexp.experiments.guided import Setup, StageWritten
from nbexp.experiments.importing import Imported
from nbexp.experiments.labels import Recorded, Tagged
from nbexp.experiments.measures import MeasureDiff, MetricsShown
from nbexp.experiments.opened import OpenedNotebook
from nbexp.experiments.opening import (
    Opened,
    OpenedDirectory,
    OpenedPicture,
    OpenedTable,
    OpenedText,
)
from nbexp.experiments.planning import Plan
from nbexp.experiments.polarity import polarity
from nbexp.experiments.report import Printed, Report
from nbexp.experiments.report import rows as report_rows
from nbexp.experiments.run_cache import CachedRun, RunTable
from nbexp.experiments.save import Saved
from nbexp.experiments.script import Script
from nbexp.experiments.series import Curves
from nbexp.experiments.share import PulledExperiments, Pushed
from nbexp.experiments.steps import Steps
from nbexp.experiments.table import Column, FileError, Row, Table, is_number
from nbexp.experiments.trash import TrashList
from nbexp.experiments.verify import Verified
from nbexp.experiments.why import Because, Why
from nbexp.formats import values
from nbexp.frozen import replace
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, page, pairs, tag
from nbexp.pipeline.dag import Dag, svg
from nbexp.plots import render as pictures
from nbexp.project import Branches, Experiment, Listing, RunReport, Status
from nbexp.results import Bundle

if TYPE_CHECKING:
    import altair as alt

MAX_ROWS, MAX_COLUMNS = 50, 20
# What is shown of an executed notebook is saved in the notebook that shows it.
_MAX_TEXT, _MAX_IMAGES = 10_000, 4_000_000
_MAX_VALUE = 60
_MAX_TABLE_COLUMNS = 100
_MAX_PATCH = 400

_STATES = {
    "done": "✓ done", "running": "▶ running", "failed": "✗ failed", "interrupted": "■ interrupted",
    "pruned": "✂ pruned", "queued": "… queued",
}  # fmt: skip
_COLOURED = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


def bundle(result: object) -> Bundle:
    """Contents by MIME type, and metadata; a terminal gets the text alone, no picture is made for it."""
    contents: dict[str, object] = {"text/plain": plain(result)}
    metadata: dict[str, object] = {}
    if _is_terminal():
        return contents, metadata
    if isinstance(result, Curves):
        spec = pictures.spec_of(result)
        image = pictures.png(spec, scale=2)
        contents["application/vnd.vegalite.v5+json"] = spec
        contents["image/svg+xml"] = pictures.svg(spec)
        contents["image/png"] = base64.b64encode(image).decode()
        width, height = (int.from_bytes(image[at : at + 4], "big") // 2 for at in (16, 20))
        metadata["image/png"] = {"width": width, "height": height}
    elif isinstance(result, Dag):
        contents["image/svg+xml"] = svg.draw(result)
    elif not isinstance(result, commands.Text):
        contents["text/html"] = page(html(result))
    return contents, metadata


def chart(curves: Curves) -> alt.LayerChart:
    """The plot as an Altair chart, to go on with: `chart(curves).properties(width=800)`."""
    import altair as alt

    return alt.LayerChart.from_dict(pictures.spec_of(curves))


def plain(result: object) -> str:
    """The text of a result; of a table that is longer than a cell should be, its first rows."""
    if isinstance(result, Table) and len(result) > MAX_ROWS:
        text = render.text(replace(result, rows=result.rows[:MAX_ROWS]))
        return f"{text}\n{_more(result, len(result.shown_columns()))}"
    if isinstance(result, RunTable) and len(result) > MAX_ROWS:
        text = render.text(replace(result, runs=result.runs[:MAX_ROWS]))
        return f"{text}: `%exp cache --csv` has all"
    text = render.text(result)
    # Text of the user's own is left as it is; `nbexp run` may be a line of theirs.
    return (
        text
        if isinstance(result, (commands.Text, Table, OpenedNotebook, Opened, CachedRun, Script))
        else in_cell_words(text)
    )


def in_cell_words(text: str) -> str:
    """The text with every command spelled as in a cell: `%exp run` for `nbexp run`."""
    return _commands().sub("%exp ", text)


@singledispatch
def html(result: object) -> Markup:
    """The inside of the HTML of a result; of a kind without its own, its text."""
    lines = plain(result).splitlines()
    return tag("div", lines[0]) if len(lines) == 1 else tag("pre", "\n".join(lines))


# ---- a run


@html.register
def _(result: Experiment) -> Markup:
    if result.report is None:
        rows = [(key, render.shown(value)) for key, value in result.metrics.items()]
        rows += [(key, render.shown(value)) for key, value in result.params.items()]
        return joined([_title(result.name, faint(result.rev[:7])), pairs(rows)])
    return _card(result, result.report)


def _card(experiment: Experiment, report: RunReport) -> Markup:
    notes = [
        tag("p", "⚠ ", in_cell_words(line))
        for line in (*render.unlisted_lines(report), *render.not_recorded_lines(report))
    ]
    notes = [*(tag("p", line) for line in render.repeated_lines(report)), *notes]
    if report.identical:
        name = tag("b", experiment.name)
        again = joined([f"{report.elapsed_s:.1f} s  ", code("--new"), " runs it again"])
        words = ["= identical to ", name, " (same code, data and parameters): nothing to run  "]
        return joined([tag("p", *words, faint(again)), *notes])
    took = f"✓ done in {report.elapsed_s:.1f} s"
    rows: list[tuple[object, ...]] = [(change.key, _arrow(change)) for change in report.params]
    rows += [(change.key, _metric(change, report.versus)) for change in report.metrics]
    rows.append(("stages", ", ".join(map(render.stage_words, report.stages)) or "none"))
    if report.notebooks:
        rows.append(("notebook", code(f"%exp open {experiment.name}")))
    rows += render.changed_rows(report)
    if not report.params and not render.changed_rows(report) and report.versus is None:
        rows.append(("changes vs baseline", "none"))
    if report.hints:
        rows.append(("keep it", code(f"%exp branch {experiment.name} my-branch")))
    return joined(
        [
            _title(experiment.name, took, faint(f"(nbexp {report.own_s:.1f} s)")),
            pairs(rows),
            *notes,
        ]
    )


@html.register
def _(result: Saved) -> Markup:
    rows: list[tuple[object, ...]] = [("baseline", code(result.baseline[:7]))]
    if result.written:
        rows.append(("brought up to date", ", ".join(result.written)))
    word = "= recorded already, with these files" if result.identical else "✓ saved"
    return joined([_title(result.name, word, faint(result.rev[:7])), pairs(rows)])


@html.register
def _(result: Imported) -> Markup:
    rows: list[tuple[object, ...]] = [
        (tag("b", name), code(rev[:7]), result.renamed.get(name, ""))
        for name, rev in result.experiments[:MAX_ROWS]
    ]
    rows += [(name, "not finished", result.renamed.get(name, "")) for name in result.failed]
    rows += [(name, "there already", "") for name in result.known]
    said = f"imported {len(result.experiments)} from {result.source}"
    return joined([tag("p", said), pairs(rows)])


def _title(name: str, *words: object) -> Markup:
    return tag("p", joined([tag("b", name), *words], "  "))


def _arrow(change: Change) -> Markup:
    return joined([_value(change.old), "→", tag("b", _value(change.new))], " ")


def _metric(change: Change, versus: str | None) -> Markup:
    value = tag("b", _value(change.new))
    if change.delta is None or versus is None:
        return value
    if change.delta == 0:
        return joined([value, faint(f"same as {versus}")], "  ")
    words = [value, faint(f"{render.signed(change.delta)} vs {versus}"), _verdict(change)]
    return joined([word for word in words if word], "  ")


def _verdict(change: Change) -> Markup:
    if change.verdict is None:
        return Markup()
    is_better = change.verdict == "better"
    sign = "✓" if is_better else "✗"
    return tag(
        "span", f"{sign} {change.verdict}", class_="nbexp-good" if is_better else "nbexp-bad"
    )


# ---- the table


@html.register
def _(result: Table) -> Markup:
    columns = result.shown_columns()
    shown = columns[:MAX_COLUMNS]
    best = {column: _best(result, column) for column in shown if column.kind == "metric"}
    states = any(row.state != "done" for row in result.rows)
    is_flat = result.view.is_flat
    numeric = {column for column in shown if _is_numeric(result, column)}
    heads = [head("experiment"), *([head("baseline")] if is_flat else []), head("created")]
    heads += [head("state")] if states else []
    heads += [
        head(_column_title(result, column, best), is_number=column in numeric) for column in shown
    ]
    bases = {row.rev: row for row in result.rows if row.kind == "baseline"}
    lines = []
    for row in result.rows[:MAX_ROWS]:
        is_member = row.kind == "experiment"
        base = bases.get(row.baseline or "")
        cells = [
            tag(
                "th",
                _row_name(result, row),
                scope="row",
                align="left",
                title=None if row.rev == "workspace" else row.rev,
            )
        ]
        if is_flat:
            cells.append(cell(result.view.names.get(row.baseline or "", (row.baseline or "")[:7])))
        cells.append(cell(render.clock(row.created_s), title=_moment(row.created_s)))
        if states:
            cells.append(cell(_STATES.get(row.state, row.state) if is_member else ""))
        for column in shown:
            value = result.value(row, column)
            is_same = (
                base is not None and column.kind == "param" and value == result.value(base, column)
            )
            content: object = _cut(result.text(row, column))
            if is_same:
                content = faint(content)
            elif row.rev in best.get(column, ()):
                content = tag("b", joined(["★ ", content]), title=f"best {column.title}")
            if words := render.delta_words(result, row, column):
                verdict = result.verdict(row, column)
                class_ = _VERDICTS.get(verdict or "", "nbexp-faint")
                content = joined([content, tag("span", words, class_=class_)])
            why = value.msg if isinstance(value, FileError) else None
            cells.append(cell(content, is_number=column in numeric, title=why))
        lines.append(tag("tr", *cells, class_=None if is_member else "nbexp-base"))
    notes = [_more(result, len(columns))] if _more(result, len(columns)) else []
    if any(best.values()):
        notes.append("★ best of its column")
    return joined([grid(heads, lines), *(tag("p", faint(note)) for note in notes)])


_VERDICTS = {"better": "nbexp-good", "worse": "nbexp-bad"}


def _row_name(table: Table, row: Row) -> Markup:
    indent = row.kind == "experiment" and not table.view.is_flat
    parts: list[object] = [Markup("&emsp;")] if indent else []
    parts.append(render.row_name(row))
    if table.view.reference is not None and row.rev == table.view.reference.rev:
        parts.append(faint(" (reference)"))
    return joined(parts)


@html.register
def _(result: Groups) -> Markup:
    first, *rest = result.lines()
    names = len(result.by)
    heads = [head(title, is_number=at >= names) for at, title in enumerate(first)]
    lines = [
        tag(
            "tr",
            *(cell(_cut(text), is_number=at >= names) for at, text in enumerate(line)),
        )
        for line in rest[:MAX_ROWS]
    ]
    more = len(rest) - MAX_ROWS
    notes = (
        [tag("p", faint(f"… {more} more groups: the same with `--csv` has all"))]
        if more > 0
        else []
    )
    return joined([grid(heads, lines), *notes])


def _best(table: Table, column: Column) -> set[str]:
    """The revs that have the best value; none when the name does not say which way is better, or all are equal."""
    way = polarity(column.key, table.view.better)
    found = {
        row.rev: value
        for row in table.rows
        if row.kind != "workspace" and is_number(value := table.value(row, column))
        and math.isfinite(value)  # type: ignore[arg-type]  # a number, as just asked
    }  # fmt: skip
    if way is None or len(set(found.values())) < 2:
        return set()
    top = (max if way == "higher" else min)(found.values())  # type: ignore[type-var]  # numbers alone
    return {rev for rev, value in found.items() if value == top}


def _column_title(table: Table, column: Column, best: Mapping[Column, set[str]]) -> Markup:
    """The key; of a metric with a best value also which way is better."""
    if not best.get(column):
        return tag("span", column.title, title=column.file)
    sign, words = (
        ("↑", "higher") if polarity(column.key, table.view.better) == "higher" else ("↓", "lower")
    )
    return tag("span", f"{column.title} {sign}", title=f"{column.file}, {words} is better")


def _is_numeric(table: Table, column: Column) -> bool:
    found = [table.value(row, column) for row in table.rows]
    known = [value for value in found if value is not values.MISSING and value is not None]
    return bool(known) and all(is_number(v) or isinstance(v, FileError) for v in known)


def _more(table: Table, columns: int) -> str:
    """What the cap leaves out, and how to see it; empty when all is there."""
    rows = max(0, len(table) - MAX_ROWS)
    parts = [f"{rows} more rows"] * (rows > 0)
    parts += [f"{columns - MAX_COLUMNS} more columns"] * (columns > MAX_COLUMNS)
    return f"… {' and '.join(parts)}: `%exp show -A --csv` has all" if parts else ""


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _value(value: object) -> Markup:
    """A value as text; of a long one the beginning, with the whole under the pointer."""
    return _cut(render.shown(value))


def _cut(text: str) -> Markup:
    if len(text) <= _MAX_VALUE:
        return joined([text])
    return tag("span", f"{text[:_MAX_VALUE]}…", title=text)


# ---- the run cache


@html.register
def _(result: RunTable) -> Markup:
    if not result.runs:
        return tag("p", plain(result))
    tellings = result.telling()
    deps, commands = any(one.deps for one in tellings), any(one.shows_command for one in tellings)
    names = ["key", "stage", "when", "params", *(["deps"] * deps), *(["command"] * commands)]
    lines = []
    for run, told in zip(result.runs[:MAX_ROWS], tellings, strict=False):
        name = tag("th", code(run.short), scope="row", align="left", title=f"{run.key}/{run.value}")
        when = cell(render.clock(int(run.saved_s)), title=_moment(int(run.saved_s)))
        stage = cell(run.stage, title=run.command)
        cells = [name, stage, when, cell(_params(told.params), title=_all_params(run))]
        if deps:
            short = joined([_dep(dep.path, dep.md5) for dep in told.deps], Markup("<br>"))
            cells.append(cell(short))
        if commands:
            cells.append(cell(code(run.command) if told.shows_command else ""))
        outs = [_out(out.path, out.size, out.path in run.missing) for out in run.entry.outs]
        holders = render.holders(run)
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
    parts = [joined([faint(f"{key} "), _value(value)]) for key, value in params.items()]
    return joined(parts, Markup("<br>"))


def _all_params(run: CachedRun) -> str:
    return "\n".join(f"{key} = {render.shown(value)}" for key, value in run.params.items())


def _dep(path: str, md5: str) -> Markup:
    return joined([path, " ", tag("span", code(md5[:7]), class_="nbexp-faint", title=md5)])


def _out(path: str, size: int | None, is_lost: bool) -> Markup:
    if is_lost:
        return tag("span", f"✗ {path} lost", class_="nbexp-bad")
    return joined([path, " ", faint(render.sized(size))])


@html.register
def _(result: CachedRun) -> Markup:
    rows = [(name, code(value)) for name, value in render.run_rows(result)]
    return joined(
        [_title(result.stage, faint(result.short)), tag("div", pairs(rows), class_="nbexp-scroll")]
    )


# ---- the others


@html.register
def _(result: Diff) -> Markup:
    if result.is_empty:
        return tag("p", plain(result))
    heads = [
        head(""),
        head(result.old, is_number=True),
        head(result.new, is_number=True),
        head("change"),
    ]
    lines = []
    for title, changes in (("params", result.params), ("metrics", result.metrics)):
        if changes:
            lines.append(tag("tr", head(title, span=4), class_="nbexp-base"))
        for change in changes:
            delta: list[Markup] = []
            if title == "metrics" and change.delta:
                delta = [faint(render.signed(change.delta)), _verdict(change)]
            cells = [cell(_value(side), is_number=True) for side in (change.old, change.new)]
            name = tag("th", joined([Markup("&emsp;"), change.key]), scope="row", align="left")
            lines.append(
                tag(
                    "tr",
                    name,
                    *cells,
                    cell(joined([p for p in delta if p], "  ")),
                    title=change.file,
                )
            )
    rows: list[tuple[object, ...]] = [("code", render.code_words(result.code))]
    rows += [("outputs", ", ".join(f"{path} {what}" for path, what in result.outs))] * bool(
        result.outs
    )
    rows += [("notebook", f"{render.cell_words(n.cells)} ({n.path})") for n in result.notebooks]
    inner = [render.data_words(change) for change in result.data if change.inside]
    rows += [("data", joined(inner, Markup("<br>")))] * bool(inner)
    if result.environment is not None:
        words = render.environment_words(result.environment)
        rows.append(("environment", joined(words, Markup("<br>"))))
    found = [grid(heads, lines)] if lines else []
    return joined([*found, pairs(rows), *map(_patch, result.patches)])


def _patch(patch: Patch) -> Markup:
    """A file's diff, folded: new lines in one colour, those that are gone in another."""
    if not patch.lines:
        return tag("p", render.patch_words(patch))
    lines = []
    for line in patch.lines[:_MAX_PATCH]:
        style = {"+": "nbexp-good", "-": "nbexp-bad", "@": "nbexp-faint"}.get(line[:1])
        lines.append(tag("span", line, class_=style) if style else joined([line]))
    if len(patch.lines) > _MAX_PATCH:
        lines.append(faint(f"… {len(patch.lines) - _MAX_PATCH} more lines"))
    text = tag("pre", joined(lines, "\n"))
    return tag("details", tag("summary", render.patch_words(patch)), text)


@html.register
def _(result: Report) -> Markup:
    """The table, experiments across, and the curves; pictures of outputs are in the file that `-o` writes."""
    rows = [result.table.rows[at] for at in (1, 0, *range(2, len(result.table)))]
    heads = [head(""), *(head(render.row_name(row), is_number=True) for row in rows)]
    lines = []
    for column in report_rows.columns(result):
        found = [report_rows.cell(result, row, column) for row in rows]
        cells = [
            cell(
                joined([_delta(one), tag("b", one.text)] if one.delta else [one.text], "  "),
                is_number=True,
            )
            for one in found
        ]
        name = " ".join(filter(None, report_rows.title(column)))
        lines.append(
            tag("tr", tag("th", name, scope="row", align="left", title=column.file), *cells)
        )
    images = [
        tag(
            "p",
            tag("img", src=f"data:image/svg+xml;base64,{encoded}", alt=f"{curves.metric} by step"),
        )
        for curves in result.curves
        for encoded in [base64.b64encode(pictures.svg(pictures.spec_of(curves)).encode()).decode()]
    ]
    checks = [
        tag(
            "p", "✓ " if one.holds else "✗ ", one, class_="nbexp-good" if one.holds else "nbexp-bad"
        )
        for one in result.checks
    ]
    return joined([_title(result.title), *checks, grid(heads, lines), *images])


def _delta(one: report_rows.Cell) -> Markup:
    class_ = {"better": "nbexp-good", "worse": "nbexp-bad"}.get(one.verdict or "", "nbexp-faint")
    return tag("span", " ".join(filter(None, (one.delta, one.verdict))), class_=class_)


@html.register
def _(result: Printed) -> Markup:
    return html(result.report)


def _(result: Tagged) -> Markup:
    star = [tag("span", "★", title="starred")] if result.star else []
    return _title(result.experiment, ", ".join(result.tags) or faint("no tags"), *star)


@html.register
def _(result: Recorded) -> Markup:
    star = [tag("span", "★", title="starred")] if result.star else []
    title = _title(result.experiment, faint(result.rev[:7]), *star)
    rows: list[tuple[object, ...]] = [
        (name, code(value) if name in ("command", "magic", "dvc") else value)
        for name, value in render.recorded_rows(result)
    ]
    if not rows:
        return joined([title, tag("p", faint("nothing is recorded beside its commit"))])
    listed = [
        tag(
            "p",
            faint(f"{len(result.packages)} packages: "),
            code(f"%exp note {result.experiment} --json"),
        )
    ]
    return joined([title, pairs(rows), *(listed if result.packages else [])])


@html.register
def _(result: InitReport) -> Markup:
    lines = plain(result).splitlines()
    if result.found_project:
        return joined([tag("p", line) for line in lines])
    rows: list[tuple[object, ...]] = []
    if result.parameters:
        words = [
            joined([tag("b", name), " = ", code(value), faint(f" {kind}")])
            for name, value, kind in result.parameters
        ]
        rows.append(("parameters", joined(words, ",  "), faint(f"from {result.from_cell}")))
    rows += [("metrics", path, faint(_place("written", number))) for path, number in result.metrics]
    rows += [
        ("live", f"{name} by step", faint(_place("logged", number))) for name, number in result.live
    ]
    if result.modules:
        rows.append(("modules", ", ".join(result.modules), faint("imported; deps of the stage")))
    rows += [
        ("kept", f"{name}={value}", faint(f"in params.yaml; the notebook says {default}"))
        for name, value, default in result.differing
    ]
    rows.append(("wrote", ", ".join(result.wrote), ""))
    if result.baseline:
        new = "new Git repository" if result.new_repository else ""
        rows.append(("baseline", f'{result.baseline[:7]} "{result.message}"', faint(new)))
    return joined([pairs(rows), tag("p", lines[-1])])


@html.register
def _(result: Detected) -> Markup:
    """The dvc.yaml as it would be, each line with its reason; then what was left out and what to do next."""
    parts: list[object] = []
    for stage in result.proposal.stages:
        place = "" if stage.wdir == "." else f" in {stage.wdir}"
        parts.append(_title(stage.name, code(stage.cmd), faint(place)))
        rows = [
            (kind if not number else "", code(entry.name), faint(entry.why))
            for kind in ("deps", "params", "outs", "metrics", "plots")
            for number, entry in enumerate(getattr(stage, kind))
        ]
        parts.append(pairs(rows))
    if result.proposal.left_out:
        parts.append(_title("left out"))
        parts.append(pairs([(path, faint(why)) for path, why in result.proposal.left_out]))
    if result.proposal.stages and not result.wrote:
        text = result.proposal.files()["dvc.yaml"].decode()
        summary = tag("summary", "dvc.yaml as it would be")
        parts.append(tag("details", summary, tag("pre", text)))
    notes = in_cell_words(render.detected_notes(result)).splitlines()
    parts += [tag("p", line) for line in notes]
    return joined(parts)


@html.register
def _(result: Setup) -> Markup:
    rows = [
        [cell(q.text), cell(code(result.defaults.get(q.key, ""))), cell(code(f"--{q.key}"))]
        for q in result.questions
        if q.key != "cmd"
    ]
    heads = [head("question"), head("default"), head("option")]
    lines = [tag("tr", joined(row)) for row in rows]
    last = plain(result).splitlines()[-1]
    return joined(
        [
            *(tag("p", line) for line in result.guide.splitlines()),
            tag("pre", result.tree),
            grid(heads, lines),
            tag("p", faint(last)),
        ]
    )


@html.register
def _(result: StageWritten) -> Markup:
    lines = plain(result).splitlines()
    return joined([tag("pre", "\n".join(lines[:-1])), tag("p", lines[-1])])


def _place(what: str, number: int | None) -> str:
    return "" if number is None else f"{what} in cell {number}"


@html.register
def _(result: Listing) -> Markup:
    if not result.groups:
        return tag("p", plain(result))
    lines = []
    for baseline, members in result.groups:
        lines.append(tag("tr", head(baseline, span=2), class_="nbexp-base"))
        lines += [
            tag(
                "tr",
                tag("th", joined([Markup("&emsp;"), name]), scope="row", align="left"),
                cell(code(rev[:7])),
            )
            for name, rev in members
        ]
    return grid([head("experiment"), head("commit")], lines)


@html.register(Pushed)
@html.register(PulledExperiments)
def _(result: Pushed | PulledExperiments) -> Markup:
    lines = plain(result).splitlines()
    rows: list[tuple[object, ...]] = [(name, "new there") for name in result.names]
    if isinstance(result, PulledExperiments):
        rows = [(name, code(f"%exp apply {name}")) for name in result.names]
    rows += [(name, "up to date") for name in result.up_to_date]
    said = [tag("p", line) for line in lines[:1]]
    shown = [tag("tr", cell(name), cell(state)) for name, state in rows[:MAX_ROWS]]
    if len(rows) > MAX_ROWS:
        shown.append(tag("tr", cell(faint(f"and {len(rows) - MAX_ROWS:,} more")), cell("")))
    if shown:
        said.append(grid([head("experiment"), head(result.remote)], shown))
    if isinstance(result, Pushed) and result.colleague:
        said.append(pairs([("your colleague runs", code(line)) for line in result.colleague]))
    return joined(said)


@html.register
def _(result: Branches) -> Markup:
    rows = [
        tag("tr", cell(one.experiment), cell(code(one.branch)), cell(code(one.rev[:7])))
        for one in result.branches
    ]
    table = grid([head("experiment"), head("branch"), head("commit")], rows)
    return joined([table, pairs([("share", code(line)) for line in result.publish])])


@html.register
def _(result: TrashList) -> Markup:
    lines = [
        tag(
            "tr",
            tag("th", one.name, scope="row", align="left"),
            cell(code(one.rev[:7])),
            cell(code(one.baseline[:7])),
            cell(render.clock(one.removed_s), title=_moment(one.removed_s)),
        )
        for one in result.entries
    ]
    notes = [
        tag("p", faint(line)) for line in plain(result).splitlines()[-1 - bool(result.failed) :]
    ]
    if not lines:
        return joined(notes)
    names = ("experiment", "commit", "baseline", "removed")
    return joined([grid([head(name) for name in names], lines), *notes])


@html.register
def _(result: Steps) -> Markup:
    if not result.ahead and not result.back:
        return tag("p", plain(result))
    lines = []
    for number, one in enumerate([*result.ahead, *result.back]):
        if result.ahead and number == len(result.ahead):
            lines.append(tag("tr", head("you are here", span=5), class_="nbexp-base"))
        step, when, op, brings, size = render.step_cells(one)
        name = tag("th", code(step), scope="row", align="left")
        cells = [
            cell(when, title=_moment(int(one.time_s))),
            cell(op),
            cell(brings, title="\n".join(one.paths)),
            cell(size, is_number=True),
        ]
        lines.append(tag("tr", name, *cells))
    names = [head(name) for name in ("step", "when", "takes back", "puts back")]
    return grid([*names, head("size", is_number=True)], lines)


@html.register
def _(result: Collected) -> Markup:
    lines = []
    for heap in result.heaps:
        kind, *cells, what = render.heap_cells(heap)
        name = tag("th", kind, scope="row", align="left", title="\n".join(heap.names[:MAX_ROWS]))
        lines.append(tag("tr", name, *(cell(one, is_number=True) for one in cells), cell(what)))
    shown = sum(1 for heap in result.heaps if heap.items or heap.kept)
    notes = [tag("p", faint(line)) for line in plain(result).splitlines()[shown + bool(shown) :]]
    numbers = [head(name, is_number=True) for name in ("items", "size", "oldest", "kept")]
    return joined([grid([head("kind"), *numbers, head("")], lines), *notes])


@html.register
def _(result: Health) -> Markup:
    marks = {"ok": "✓ ok", "mended": "✓ mended", "needs you": "✗ needs you"}
    lines = []
    for one in result.findings:
        mark = tag("span", marks[one.verdict], class_="nbexp-bad" * (one.verdict == "needs you"))
        name = tag("th", one.check, scope="row", align="left")
        hint = faint(in_cell_words(f" {one.hint}")) if one.hint else ""
        lines.append(tag("tr", name, cell(mark), cell(joined([one.text, hint]))))
    end = plain(result).splitlines()[-1]
    return joined([grid([head("check"), head(""), head("")], lines), tag("p", end)])


@html.register
def _(result: Status) -> Markup:
    if result.is_clean:
        return tag("p", "✓ " if result.count else "", plain(result))
    lines = [
        tag(
            "tr",
            tag("th", name, scope="row", align="left"),
            cell(joined([joined([reason]) for reason in reasons], Markup("<br>"))),
        )
        for name, reasons in result.stages.items()
    ]
    return grid([head("stage"), head("would run because")], lines)


@html.register
def _(result: Plan) -> Markup:
    if not result.stages:
        return tag("p", plain(result))
    lines = []
    for stage in result.stages:
        sign = {"run": "▶", "restore": "↺", "take": "✓", "skip": "–"}[stage.action]
        action: object = f"{sign} {render.action_words(stage)}"
        lines.append(
            tag(
                "tr",
                tag("th", stage.name, scope="row", align="left"),
                cell(faint(action) if stage.action == "skip" else action),
                cell(render.cost_words(stage), is_number=True),
                cell(_reasons(stage.reasons)),
            )
        )
    heads = [head("stage"), head("would"), head("takes", is_number=True), head("because")]
    return joined([grid(heads, lines), tag("p", in_cell_words(render.plan_words(result)))])


@html.register(MeasureDiff)
@html.register(MetricsShown)
def _(result: MeasureDiff | MetricsShown) -> Markup:
    first, *rows = result.lines()
    if not rows:
        return tag("p", plain(result))
    # What comes before the values is text: files, keys, revisions.
    texts = {"Revision", "Path", "Param", "Metric"}
    heads = [head(name, is_number=name not in texts) for name in first]
    lines = [
        tag(
            "tr",
            *(
                cell(value, is_number=name not in texts)
                for name, value in zip(first, row, strict=True)
            ),
        )
        for row in rows
    ]
    return grid(heads, lines)


@html.register
def _(result: Why) -> Markup:
    first = plain(result).partition("\n")[0]
    return joined([tag("p", tag("b", first)), tag("p", _reasons(result.reasons, all_cells=True))])


def _reasons(reasons: Sequence[Because], *, all_cells: bool = False) -> Markup:
    """One line each: what changed, and faintly where that stands; of a notebook the cells as code."""
    lines: list[Markup] = []
    for reason in reasons:
        if not reason.cells:
            words = render.reason_words(reason)
            text, gap, place = words.partition("   (")
            lines.append(joined([text, faint(f"{gap}{place}")]))
        for change in reason.cells if all_cells else reason.cells[:1]:
            more = len(reason.cells) - 1
            rest = f" (and {more} more)" if more and not all_cells else ""
            words = f"{reason.subject} cell {change.number} {change.change}: "
            lines.append(joined([words, code(change.first_line), faint(rest)]))
    return joined(lines, Markup("<br>"))


@html.register
def _(result: OpenedNotebook) -> Markup:
    left = _MAX_IMAGES
    parts: list[Markup] = [_title(result.path, faint(f"of {result.experiment}"))]
    number = 0
    for found in json.loads(result.data).get("cells", []):
        source = _text(found.get("source"))
        if found.get("cell_type") != "code":
            parts.append(tag("pre", source))
            continue
        injected = "injected-parameters" in found.get("metadata", {}).get("tags", [])
        number += 0 if injected or not source.strip() else 1
        parts.append(tag("p", faint("parameters of this run" if injected else f"cell {number}")))
        parts.append(tag("div", tag("pre", source), class_="nbexp-cell"))
        for output in found.get("outputs", []):
            shown, size = _output(output, left)
            left -= size
            parts += shown
    return joined(parts)


@html.register
def _(result: OpenedPicture) -> Markup:
    title = _title(result.path, faint(f"of {result.experiment}: {render.picture_words(result)}"))
    address = f"data:{result.mime};base64,{base64.b64encode(result.data).decode()}"
    if len(address) > _MAX_IMAGES:
        return joined([title, tag("p", "too large for a cell; ", code("-o FILE"), " writes it")])
    # As an image, SVG runs no script and fetches nothing.
    image = Markup(tag("img", src=address, alt=result.path).removesuffix("</img>"))
    return joined([title, tag("p", image)])


@html.register
def _(result: OpenedTable) -> Markup:
    shown = result.columns[:_MAX_TABLE_COLUMNS]
    numeric = [
        all(_is_numeral(row[at]) for row in result.rows if at < len(row))
        for at in range(len(shown))
    ]
    heads = [head(name, is_number=number) for name, number in zip(shown, numeric, strict=True)]
    lines = [
        tag(
            "tr",
            *(
                cell(_value(value), is_number=number)
                for value, number in zip(row, numeric, strict=False)
            ),
        )
        for row in result.rows
    ]
    more = len(result.columns) - len(shown)
    words = f"of {result.experiment}: {render.table_words(result)}"
    left_out = f", {more} more columns" if more else ""
    return joined([_title(result.path, faint(words + left_out)), grid(heads, lines)])


def _is_numeral(value: object) -> bool:
    """Whether a cell is a number, or the text of one."""
    if is_number(value) or value is values.MISSING or value is None or value == "":
        return True
    try:
        float(value)  # type: ignore[arg-type]  # what is no text either says so
    except (TypeError, ValueError):
        return False
    return True


@html.register
def _(result: OpenedText) -> Markup:
    more = render.text_words(result)
    words = f"of {result.experiment}{f': {more}' if more else ''}"
    body = tag("pre", "\n".join(map(render.printable, result.lines)))
    return joined([_title(result.path, faint(words)), tag("div", body, class_="nbexp-scroll")])


@html.register
def _(result: OpenedDirectory) -> Markup:
    words = f"of {result.experiment}: {render.directory_words(result)}"
    lines = [
        tag(
            "tr",
            tag("th", one.name, scope="row", align="left"),
            cell(render.sized(one.size), is_number=True),
            cell("" if one.files is None else one.files, is_number=True),
        )
        for one in result.entries
    ]
    heads = [head("name"), head("size", is_number=True), head("files", is_number=True)]
    return joined([_title(result.path, faint(words)), grid(heads, lines)])


_MARKS = {"identical": "✓ ", "close": "≈ ", "different": "✗ ", "missing": "✗ ", "failed": "✗ "}


@html.register
def _(result: Verified) -> Markup:
    lines = []
    for stage in result.stages:
        lines.append(
            tag(
                "tr",
                tag("th", stage.name, scope="row", align="left"),
                cell(_verdict_of(render.stage_verdict_words(stage))),
                cell(""),
                class_="nbexp-base",
            )
        )
        lines += [
            tag(
                "tr",
                tag("th", joined([Markup("&emsp;"), one.path]), scope="row", align="left"),
                cell(_verdict_of(one.verdict)),
                cell(_value(one.detail) if one.detail else ""),
            )
            for one in stage.outputs
        ]
    heads = [head("stage, output"), head("verdict"), head("first difference")]
    title = _verdict_of(result.verdict, render.verdict_words(result))
    notes = [tag("p", in_cell_words(note)) for note in render.verdict_notes(result)]
    return joined([tag("p", tag("b", title)), grid(heads, lines), *notes])


def _verdict_of(verdict: str, words: str | None = None) -> Markup:
    good = verdict in ("identical", "close")
    bad = verdict in ("different", "missing", "failed")
    class_ = "nbexp-good" if good else "nbexp-bad" if bad else "nbexp-faint"
    return tag("span", f"{_MARKS.get(verdict, '')}{words or verdict}", class_=class_)


def _output(output: Mapping[str, object], room: int) -> tuple[list[Markup], int]:
    """An output without anything that acts: images as data, all else as its text."""
    if output.get("output_type") == "error":
        trace = output.get("traceback")
        lines = "\n".join(map(str, trace)) if isinstance(trace, list) and trace else ""
        said = lines or f"{output.get('ename')}: {output.get('evalue')}"
        return [tag("pre", "✗ ", _shortened(said), class_="nbexp-bad")], 0
    data = output.get("data")
    if not isinstance(data, Mapping):
        return [tag("pre", _shortened(_text(output.get("text"))))], 0
    words = _shortened(_text(data.get("text/plain")))
    for mime, address in _images(data):
        if len(address) > room:
            return [
                tag("p", faint(f"[{mime}, {len(address) // 1000} kB, left out here] {words}"))
            ], 0
        return [tag("p", tag("img", src=address, alt=words))], len(address)
    others = ", ".join(sorted(set(data) - {"text/plain"}))
    return [tag("pre", words or f"[{others}]")], 0


def _images(data: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Images as addresses that hold their data. As an image, SVG runs no script and fetches nothing."""
    for mime in ("image/png", "image/jpeg", "image/gif", "image/webp"):
        content = _text(data.get(mime))
        if content and _BASE64.fullmatch(content):
            yield mime, f"data:{mime};base64,{''.join(content.split())}"
    drawing = _text(data.get("image/svg+xml"))
    if drawing:
        yield (
            "image/svg+xml",
            f"data:image/svg+xml;base64,{base64.b64encode(drawing.encode()).decode()}",
        )


def _text(value: object) -> str:
    """A text of the notebook format, which may be a list of lines."""
    if value is None:
        return ""
    return (
        "".join(map(str, value))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )


def _shortened(text: str) -> str:
    found = _COLOURED.sub("", text).rstrip("\n")
    if len(found) <= _MAX_TEXT:
        return found
    return f"{found[:_MAX_TEXT]}\n… {len(found) - _MAX_TEXT} more characters"


def _commands() -> re.Pattern[str]:
    """`nbexp` where one of its verbs follows; `notebook` is a stage's command, the same everywhere."""
    verbs = [*commands.names(), *commands.ALIASES, "help"]
    words = "|".join(re.escape(verb) for verb in verbs if verb != "notebook")
    return re.compile(rf"(?<![\w/.-])(?<!-m )nbexp (?=(?:{words})\b)")


def _is_terminal() -> bool:
    """Whether IPython runs in a terminal, which shows text alone."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    formatter = getattr(running, "display_formatter", None)
    return formatter is not None and formatter.active_types == ["text/plain"]
