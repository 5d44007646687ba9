"""Results as plain text: what a terminal prints, and the text/plain of a cell.

One short function for each kind of result; lines are aligned, nothing is cut.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.results import Result

# Types alone: rendering a status must not load what draws a plot.
if TYPE_CHECKING:
    from nbexp.experiments.authoring import InitReport
    from nbexp.experiments.collect import Collected, Heap
    from nbexp.experiments.columns import Groups
    from nbexp.experiments.compare import Change, Diff
    from nbexp.experiments.data.adding import Added, Committed
    from nbexp.experiments.data.changes import DataDiff, DataStatus
    from nbexp.experiments.data.garbage import Garbage
    from nbexp.experiments.data.restoring import CheckedOut, Unprotected
    from nbexp.experiments.detecting import Detected
    from nbexp.experiments.differences import DataChange, EnvironmentChange, Patch
    from nbexp.experiments.doctor import Finding, Health
    from nbexp.experiments.explore import RestoredRun
    from nbexp.experiments.guided import Setup, StageWritten
    from nbexp.experiments.importing import Imported
    from nbexp.experiments.labels import Recorded, Tagged
    from nbexp.experiments.measures import MeasureDiff, MetricsShown
    from nbexp.experiments.opened import OpenedNotebook
    from nbexp.experiments.opening import (
        OpenedBytes,
        OpenedDirectory,
        OpenedPicture,
        OpenedTable,
        OpenedText,
    )
    from nbexp.experiments.planning import Plan, PlannedStage
    from nbexp.experiments.promote import Promoted
    from nbexp.experiments.ref_changes import Renamed
    from nbexp.experiments.restore import Applied
    from nbexp.experiments.run_cache import CachedRun, RunTable
    from nbexp.experiments.save import Saved
    from nbexp.experiments.script import Script
    from nbexp.experiments.series import Curves
    from nbexp.experiments.share import PulledExperiments, Pushed
    from nbexp.experiments.stages import AddedStage, StageList
    from nbexp.experiments.steps import Step, Steps, Undone
    from nbexp.experiments.table import Column, Row, Table
    from nbexp.experiments.trash import TrashList, Untrashed
    from nbexp.experiments.verify import StageVerdict, Verified
    from nbexp.experiments.why import Because, Why
    from nbexp.pipeline.dag import Dag
    from nbexp.project import (
        Branched,
        Branches,
        Experiment,
        Listing,
        Removed,
        Reproduced,
        RunReport,
        StageReport,
        Status,
    )

# Significant digits of a float that people read; JSON and CSV have them all.
DIGITS = 5
# What a card tells of at most, in one line.
MAX_WORDS = 4


def text(result: object) -> str:
    """The result in words; ends without a newline."""
    write = _WRITERS.get(type(result).__name__)
    if write is not None:
        return write(result)
    has_own = type(result).__str__ is not Result.__str__
    return (str(result) if has_own else repr(result)).rstrip("\n")


def in_colour(result: object) -> str:
    """The text for a terminal that has colours: of code that changed, what is new is green, what is gone red."""
    found = text(result)
    if type(result).__name__ != "Diff":
        return found
    codes = {"+": "32", "-": "31", "@": "36"}
    return "\n".join(
        f"\x1b[{codes[line[0]]}m{line}\x1b[0m" if line[:1] in codes else line
        for line in found.split("\n")
    )


def aligned(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Lines with their columns aligned, short rows allowed."""
    width = max((len(row) for row in rows), default=0)
    sizes = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(width)]
    return [
        gap.join(cell.ljust(size) for cell, size in zip(row, sizes, strict=False)).rstrip()
        for row in rows
    ]


def shown(value: object) -> str:
    """A value as people read it: floats short, `-` for nothing."""
    from nbexp.experiments.table import cell_text

    return cell_text(value, DIGITS)


def clock(seconds: int | None) -> str:
    """When something was made: the time if today, else the date."""
    if seconds is None:
        return "-"
    moment = time.localtime(seconds)
    today = moment[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d", moment)


def signed(delta: float) -> str:
    """A difference with its sign."""
    return f"{delta:+.{DIGITS}g}"


def row_name(row: Row) -> str:
    """What the first column of the table says of a row."""
    if row.kind == "workspace":
        return "workspace"
    if row.is_detached:
        return f"detached baseline {row.rev[:7]}"
    return row.name or row.rev[:7]


def _experiment(result: Experiment) -> str:
    if result.report is None:
        pairs = [*result.metrics.items(), *result.params.items()]
        lines = [f"{result.name}   {result.rev[:7]}"]
        return "\n".join(
            lines + ["  " + line for line in aligned([[k, shown(v)] for k, v in pairs])]
        )
    return card(result, result.report)


def card(experiment: Experiment, report: RunReport) -> str:
    """The card that a run ends with."""
    if report.identical:
        line = f"identical to {experiment.name} (same code, data and parameters): nothing to run"
        line += f"      {report.elapsed_s:.1f} s      --new runs it again"
        return "\n".join([line, *unlisted_lines(report)])
    lines = [f"{experiment.name}   done in {report.elapsed_s:.1f} s   (nbexp {report.own_s:.1f} s)"]
    rows = [[c.key, f"{shown(c.old)} -> {shown(c.new)}"] for c in report.params]
    rows += [metric_row(change, report.versus) for change in report.metrics]
    rows.append(["stages", ", ".join(stage_words(stage) for stage in report.stages) or "none"])
    if report.notebooks:
        rows.append(["notebook", f"nbexp open {experiment.name}"])
    changed = changed_rows(report)
    rows += [[name, value] for name, value in changed]
    if not report.params and not changed and report.versus is None:
        rows.append(["changes vs baseline", "none"])
    lines += ["  " + line for line in aligned(rows)]
    lines += repeated_lines(report)
    lines += unlisted_lines(report)
    lines += not_recorded_lines(report)
    if report.hints:
        lines.append(f"keep it as a branch: nbexp branch {experiment.name} my-branch")
    return "\n".join(lines)


def repeated_lines(report: RunReport) -> list[str]:
    """What came out of running an experiment again."""
    if report.differs is None:
        return []
    if not report.differs:
        return [f"every file and output is as in {report.versus}"]
    return [f"not as in {report.versus}: {', '.join(report.differs)}"]


def changed_rows(report: RunReport) -> list[tuple[str, str]]:
    """What else changed since the run before, a line each and short; nothing where nothing did."""
    rows = []
    if report.code:
        rows.append(("code", _few([patch_words(patch) for patch in report.code])))
    if report.data:
        rows.append(("data", _few([data_words(change) for change in report.data])))
    if report.environment is not None:
        rows.append(("environment", _few(environment_words(report.environment))))
    return rows


def _few(words: Sequence[str]) -> str:
    more = len(words) - MAX_WORDS
    return ", ".join(words[:MAX_WORDS]) + (f" and {more} more" if more > 0 else "")


def patch_words(patch: Patch) -> str:
    """`train.py modified (+3 -1)`."""
    counts = f"+{patch.added} -{patch.removed}" if patch.lines else patch.why
    return f"{shown(patch.path)} {patch.change} ({counts})"


def data_words(change: DataChange) -> str:
    """`images/3.png modified (1.2 kB -> 3 kB)`."""
    path = shown(change.path)
    if change.old_path:
        path = f"{shown(change.old_path)} -> {path}"
    sizes = [sized(one) for one in (change.old_size, change.new_size) if one is not None]
    size = f" ({' -> '.join(dict.fromkeys(sizes))})" if sizes else ""
    return f"{path} {change.change}{size}"


def environment_words(change: EnvironmentChange) -> list[str]:
    """`python 3.11.7 -> 3.12.1`, `numpy 1.26.4 -> 2.1.0`, `+ torch 2.5.0`, `- pandas 2.2.0`."""
    found = [f"{name} {shown(old)} -> {shown(new)}" for name, old, new in change.machine]
    for name, old, new in change.packages:
        if old is None:
            found.append(f"+ {name} {new}")
        elif new is None:
            found.append(f"- {name} {old}")
        else:
            found.append(f"{name} {old} -> {new}")
    return found


def _reproduced(result: Reproduced) -> str:
    failed = [stage_words(stage) for stage in result.stages if stage.action == "failed"]
    if failed:
        return f"{', '.join(failed)}; ignored, as asked"
    if not result.changed:
        return "Data and pipelines are up to date."
    return "Use `nbexp data push` to send your updates to remote storage."


def metric_row(change: Change, versus: str | None) -> list[str]:
    """A metric of the card: its value and, against another experiment, the difference."""
    value = shown(change.new)
    if change.delta is None or versus is None:
        return [change.key, value]
    if change.delta == 0:
        return [change.key, f"{value}   same as {versus}"]
    verdict = f"  ({change.verdict})" if change.verdict else ""
    return [change.key, f"{value}   {signed(change.delta)} vs {versus}{verdict}"]


def stage_words(stage: StageReport) -> str:
    """`train ran (3 cells)`, `prepare unchanged`, `train restored`, `data.dvc taken as edited`."""
    if stage.action == "skipped":
        return f"{stage.name} unchanged"
    if stage.action == "restored":
        return f"{stage.name} restored from the run cache"
    if stage.action == "taken":
        return f"{stage.name} taken as edited"
    if stage.action in {"failed", "not run"}:
        return f"{stage.name} {stage.action}"
    cells = "" if stage.cells is None else f" ({_count(stage.cells, 'cell')})"
    return f"{stage.name} ran{cells}"


def not_recorded_lines(report: RunReport) -> list[str]:
    """What a stage wrote and nothing keeps, with what to do about it."""
    lines = []
    stages = list(dict.fromkeys(left.stage for left in report.not_recorded))
    for stage in stages:
        paths = [left.path for left in report.not_recorded if left.stage == stage]
        lines.append(f"not recorded: {', '.join(folded(paths))}. Hint: add it to outs of `{stage}`")
    return lines


def folded(paths: Sequence[str]) -> list[str]:
    """The paths, those of a folder that has many of them as one: `mlruns/ (12 files)`."""
    tops = [path.partition("/")[0] for path in paths]
    many = {top for top in tops if tops.count(top) > 3}
    found = {
        f"{top}/ ({tops.count(top)} files)" if top in many else path: None
        for path, top in zip(paths, tops, strict=True)
    }
    return [*found]


def unlisted_lines(report: RunReport) -> list[str]:
    """Modules a stage imports without listing them."""
    return [
        f"`{stage}` imports {', '.join(paths)}, not among its deps. Hint: add it to deps of `{stage}`"
        for stage, paths in report.unlisted.items()
    ]


def _table(result: Table) -> str:
    columns = result.shown_columns()
    states = any(row.state != "done" for row in result.rows)
    is_flat = result.view.is_flat
    head = ["experiment", *(["baseline"] if is_flat else []), "created"]
    rows = [[*head, *(["state"] if states else []), *(column.title for column in columns)]]
    for row in result.rows:
        line = [f"  {row_name(row)}" if row.kind == "experiment" and not is_flat else row_name(row)]
        if result.view.reference is not None and row.rev == result.view.reference.rev:
            line[0] += " (reference)"
        if is_flat:
            line.append(result.view.names.get(row.baseline or "", (row.baseline or "-")[:7]))
        line.append(clock(row.created_s))
        if states:
            line.append(row.state if row.kind == "experiment" else "-")
        rows.append(line + [result.text(row, c) + delta_words(result, row, c) for c in columns])
    return "\n".join(aligned(rows))


def delta_words(table: Table, row: Row, column: Column) -> str:
    """` (+0.05, better)`: how far a metric is from the reference's; empty where there is nothing to say."""
    delta = table.delta(row, column)
    if not delta:
        return ""
    verdict = table.verdict(row, column)
    return f" ({signed(delta)}, {verdict})" if verdict else f" ({signed(delta)})"


def _groups(result: Groups) -> str:
    return "\n".join(aligned(result.lines()))


def _diff(result: Diff) -> str:
    if result.is_empty:
        return f"no difference between {result.old} and {result.new}"
    rows: list[list[str]] = []
    for title, changes in (("params", result.params), ("metrics", result.metrics)):
        for number, change in enumerate(changes):
            first = title if number == 0 else ""
            delta = signed(change.delta) if change.delta is not None and title == "metrics" else ""
            verdict = f"({change.verdict})" if title == "metrics" and change.verdict else ""
            rows.append(
                [first, change.key, shown(change.old), "->", shown(change.new), delta, verdict]
            )
    lines = aligned(rows)
    lines += aligned([["code   ", code_words(result.code)]])
    if result.outs:
        lines += aligned([["outputs", ", ".join(f"{path} {what}" for path, what in result.outs)]])
    for note in result.notebooks:
        lines.append(f"notebook {cell_words(note.cells)} ({note.path})")
    for title, words in (
        ("data", [data_words(change) for change in result.data if change.inside]),
        ("environment", environment_words(result.environment) if result.environment else []),
    ):
        lines += aligned([[title if number == 0 else "", one] for number, one in enumerate(words)])
    for patch in result.patches:
        lines += ["", patch_words(patch), *(_printable(line) for line in patch.lines)]
    return "\n".join(lines)


def _printable(line: str) -> str:
    """A line of a file as it is, but for what a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in line)


def code_words(code: Iterable[tuple[str, str]]) -> str:
    """`no change`, or what changed."""
    return ", ".join(f"{path} {what}" for path, what in code) or "no change"


def cell_words(cells: Sequence[int]) -> str:
    """`cell 2 output differs`, `cells 2, 3 output differs`."""
    if len(cells) == 1:
        return f"cell {cells[0]} output differs"
    return f"cells {', '.join(map(str, cells))} outputs differ"


def _init_report(result: InitReport) -> str:
    if result.found_project:
        found = f"{_count(result.stages, 'stage')}, {_count(result.experiments, 'experiment')}"
        step = "show" if result.experiments else "run"
        return f"DVC project found: {found}. Nothing to do. Next: nbexp {step}"
    rows: list[list[str]] = []
    if result.parameters:
        words = "  ".join(f"{name}={value} ({kind})" for name, value, kind in result.parameters)
        rows.append(["parameters", words, f"from {result.from_cell}"])
    if result.computed:
        rows.append(["computed", "  ".join(result.computed), "left to the notebook"])
    for path, cell in result.metrics:
        rows.append(["metrics", path, _place("written", cell)])
    for name, cell in result.live:
        rows.append(["live", f"{name} by step", _place("logged", cell)])
    if result.modules:
        rows.append(["modules", "  ".join(result.modules), "imported; deps of the stage"])
    for name, value, default in result.differing:
        rows.append(["kept", f"{name}={value}", f"in params.yaml; the notebook says {default}"])
    rows.append(["wrote", "  ".join(result.wrote)])
    if result.baseline:
        rows.append(["baseline", f'{result.baseline[:7]} "{result.message}"'])
    lines = aligned(rows, gap="   ")
    if result.new_repository:
        lines[-1] += "   (new Git repository)"
    if result.notebook:
        lines.append(f"{result.notebook} was not changed. Next: nbexp run")
    else:
        lines.append("Next: nbexp init train.ipynb, or write a dvc.yaml and nbexp run")
    return "\n".join(lines)


def _added_stage(result: AddedStage) -> str:
    done = f"{'Replaced' if result.replaced else 'Added'} stage '{result.name}' in '{result.file}'"
    if not result.changed:
        return f"Stage '{result.name}' is in '{result.file}' as it was given"
    import shlex

    return f"{done}\nTo keep it in Git: git add {' '.join(map(shlex.quote, result.changed))}"


def _detected(result: Detected) -> str:
    """Each stage with the reason for each of its lines; then what was left out, and what to do next."""
    proposal = result.proposal
    lines: list[str] = []
    for stage in proposal.stages:
        place = "" if stage.wdir == "." else f"   (in {stage.wdir})"
        lines.append(f"{stage.name}: {stage.cmd}{place}")
        rows = []
        for kind in ("deps", "params", "outs", "metrics", "plots"):
            for number, entry in enumerate(getattr(stage, kind)):
                rows.append(["  " + ("" if number else kind), entry.name, entry.why])
        lines += aligned(rows)
        lines.append("")
    if proposal.left_out:
        lines += ["left out", *aligned([[f"  {path}", why] for path, why in proposal.left_out]), ""]
    return "\n".join([*lines, detected_notes(result)])


def detected_notes(result: Detected) -> str:
    """What is to be known of a proposal, and what to do next."""
    proposal = result.proposal
    lines = [f"note: {note}" for note in proposal.notes]
    if result.untracked:
        shown = " ".join(result.untracked[:3])
        more = f" (and {len(result.untracked) - 3} more)" if len(result.untracked) > 3 else ""
        lines.append(
            f"note: in neither Git nor DVC: {shown}{more}. `nbexp data add` or `git add` keeps them."
        )
    if result.wrote:
        lines.append(f"wrote      {'  '.join(result.wrote)}")
        new = "   (new Git repository)" if result.new_repository else ""
        lines.append(f'baseline   {(result.baseline or "")[:7]} "{result.message}"{new}')
        lines.append("Next: nbexp run")
    elif not proposal.stages:
        lines.append("No stage was found that dvc.yaml does not have. Nothing was written.")
    else:
        lines.append("Nothing is written yet: `nbexp init --detect --yes` writes this to dvc.yaml.")
        if proposal.untraced:
            lines.append(
                "From reading alone: with `--trace` the scripts run once in a copy, to see what they open."
            )
    return "\n".join(lines)


def _setup(result: Setup) -> str:
    rows = [
        [question.text, result.defaults.get(question.key, ""), f"--{question.key}"]
        for question in result.questions
        if question.key != "cmd"
    ]
    command = result.given.get("cmd", "python src/train.py")
    lines = [
        result.guide,
        result.tree,
        "",
        *aligned([["question", "default", "option"], *rows]),
        "",
    ]
    lines.append(f"As one line: nbexp init '{command}', with the options above for other paths.")
    return "\n".join(lines)


def _stage_written(result: StageWritten) -> str:
    rows = [["stage", f"{result.stage}   {result.definition['cmd']}"]]
    for kind in ("deps", "params", "outs", "metrics", "plots"):
        entries = result.definition.get(kind)
        if isinstance(entries, list) and entries:
            names = [next(iter(one)) if isinstance(one, dict) else str(one) for one in entries]
            rows.append([kind, "  ".join(names)])
    if result.created:
        rows.append(["created", "  ".join(result.created)])
    rows.append(["wrote", "  ".join(result.wrote)])
    rows.append(["baseline", f'{result.baseline[:7]} "{result.message}"'])
    lines = aligned(rows, gap="   ")
    if result.new_repository:
        lines[-1] += "   (new Git repository)"
    if result.outs:
        lines.append(f"The command has to write {', '.join(result.outs)}. Next: nbexp run")
    else:
        lines.append("Next: nbexp run")
    return "\n".join(lines)


def _dag(result: Dag) -> str:
    from nbexp.pipeline.dag import text as drawn

    return drawn.draw(result) or "This project has no stages."


def _stage_list(result: StageList) -> str:
    return "\n".join(aligned(result.stages))


def _listing(result: Listing) -> str:
    if not result.groups and result.remote is not None:
        return f"{result.remote} has no such experiments. All it has: nbexp list {result.remote} -A"
    if not result.groups:
        return "no experiments yet. Next: nbexp run"
    lines = []
    for baseline, members in result.groups:
        lines.append(f"{baseline}:")
        lines += [f"\t{rev[:7]} [{name}]" for name, rev in members]
    return "\n".join(lines)


def _status(result: Status) -> str:
    if result.is_clean:
        return (
            "Data and pipelines are up to date."
            if result.count
            else "There are no stages in this project."
        )
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
    count = f"{len(result.running)} of {_count(len(result.stages), 'stage')} would run"
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


def _measure_diff(result: MeasureDiff) -> str:
    if not result.changes:
        return f"no difference in {result.what} between {result.old} and {result.new}"
    return "\n".join(aligned(result.lines()))


def _metrics_shown(result: MetricsShown) -> str:
    lines = result.lines()
    return "\n".join(aligned(lines)) if len(lines) > 1 else "no metrics"


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


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _applied(result: Applied) -> str:
    changed = len(result.written) + len(result.removed) + len(result.outs)
    if not changed:
        return f"the workspace is {result.name} already"
    lines = [
        f"applied {result.name}: {_count(changed, 'file')} changed   (nbexp undo takes it back)"
    ]
    if result.saved:
        lines.append(f"edits kept as an undo point: {', '.join(result.saved)}")
    return "\n".join(lines)


def _undone(result: Undone) -> str:
    way, done, word = ("forward", "redid", "redo") if result.is_redo else ("back", "undid", "undo")
    left = (
        f"{_count(result.left, 'step')} further {way}"
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
            f"{_count(result.failed, 'failed or interrupted run')} kept apart: nbexp show --all-states"
        )
    return "\n".join(lines)


def _untrashed(result: Untrashed) -> str:
    names = ", ".join(f"{name} ({rev[:7]})" for name, rev in result.restored)
    return f"restored {names}   (nbexp undo takes it back)"


def _health(result: Health) -> str:
    rows = [[one.verdict, one.check, finding_words(one)] for one in result.findings]
    count = len(result.open)
    end = (
        f"{_count(count, 'thing')} {'needs' if count == 1 else 'need'} you"
        if count
        else "all is well"
    )
    return "\n".join([*aligned(rows), end])


def finding_words(finding: Finding) -> str:
    """What a check found, and what to do."""
    return f"{finding.text} Hint: {finding.hint}" if finding.hint else finding.text


_KINDS = {
    "trash": "removed and replaced experiments",
    "undo": "steps that undo goes",
    "failed": "failed and interrupted runs",
    "logs": "logs of runs",
    "temporary": "temporary files and work trees",
}


def _collected(result: Collected) -> str:
    rows = [heap_cells(heap) for heap in result.heaps if heap.items or heap.kept]
    lines = aligned([["kind", "items", "size", "oldest", "kept", ""], *rows]) if rows else []
    if not result.items:
        lines.append("There is nothing to remove.")
    elif result.removed:
        lines.append(f"removed {_count(result.items, 'item')}: {size(result.size_bytes)}")
    else:
        lines.append("Nothing was removed. The same with --yes removes it for good.")
    if result.data_bytes:
        words = "can free now" if result.removed else "could free then"
        lines.append(
            f"data of the cache that `nbexp data gc -a -T` {words}: {size(result.data_bytes)}"
        )
    if result.in_use:
        lines.append(f"logs and temporary files are left alone, in use: {', '.join(result.in_use)}")
    return "\n".join(lines)


def heap_cells(heap: Heap) -> list[str]:
    """One kind of what can go, as cells of text."""
    oldest = "-" if heap.oldest_s is None else clock(int(heap.oldest_s))
    return [
        heap.kind,
        f"{heap.items:,}",
        size(heap.size_bytes),
        oldest,
        f"{heap.kept:,}",
        _KINDS[heap.kind],
    ]


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
        lines.append(f"{len(result)} of {_count(result.total, 'run')}")
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


def sized(count: int | None) -> str:
    """A number of bytes as people read it."""
    if count is None:
        return "?"
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{count} B" if units[0] == "B" else f"{size:.3g} {units[0]}"


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


def _imported(result: Imported) -> str:
    made = len(result.experiments)
    lines = [
        f"imported {_count(made, 'experiment')} from {result.source} on baseline {result.baseline[:7]}"
    ]
    rows = []
    if result.experiments:
        rows.append(["names", _listed_names([name for name, _ in result.experiments])])
    if result.failed:
        rows.append(["not finished", _listed_names(result.failed)])
    if result.renamed:
        renamed = [f"{old} as {new}" for new, old in result.renamed.items()]
        rows.append(["renamed", _listed_names(renamed)])
    if result.known:
        rows.append(["there already", _listed_names(result.known)])
    return "\n".join(lines + ["  " + line for line in aligned(rows)])


def _listed_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def _script(result: Script) -> str:
    return result.text


def _saved(result: Saved) -> str:
    if result.identical:
        lines = [f"{result.name}   {result.rev[:7]}   is recorded already, with these files"]
    else:
        lines = [f"{result.name}   {result.rev[:7]}   saved on baseline {result.baseline[:7]}"]
    if result.written:
        lines.append(
            f"brought up to date: {', '.join(result.written)}   (nbexp undo takes it back)"
        )
    return "\n".join(lines)


def _removed(result: Removed) -> str:
    where = f" from {result.remote}" if result.remote is not None else ""
    return f"removed {', '.join(result.names)}{where}" if result.names else "nothing to remove"


def _renamed(result: Renamed) -> str:
    places = ["here"] * (result.here and result.remote is not None)
    places += [f"on {result.remote}"] if result.remote is not None else []
    where = f" {' and '.join(places)}" if places else ""
    replaced = (
        f"; the old {result.name} ({result.replaced[:7]}) is in the trash"
        if result.replaced
        else ""
    )
    return f"{result.old} is now {result.name}{where}{replaced}"


def _pushed(result: Pushed) -> str:
    lines = []
    if result.names:
        moved = f"{_count(len(result.names), 'ref')}, {_count(result.files, 'file')}"
        moved += f", {size(result.size_bytes)}" if result.files else ""
        lines.append(f"pushed {', '.join(result.names)} to {result.remote} ({moved})")
    elif result.up_to_date:
        sent = f" ({_count(result.files, 'file')} sent)" if result.files else ""
        lines.append(f"{', '.join(result.up_to_date)} up to date on {result.remote}{sent}")
    else:
        lines.append("no experiments to push")
    if result.left:
        lines[0] += f"   not pushed: {_count(result.left, 'local experiment')}"
    if result.colleague:
        lines.append(f"your colleague runs:   {'      or   '.join(result.colleague)}")
    return "\n".join(lines)


def _pulled(result: PulledExperiments) -> str:
    if result.names:
        moved = f"{_count(len(result.names), 'ref')}, {_count(result.files, 'file')}"
        moved += f", {size(result.size_bytes)}" if result.files else ""
        lines = [f"pulled {', '.join(result.names)} from {result.remote} ({moved})"]
        lines.append(f"bring it into the workspace: nbexp apply {result.names[0]}")
    elif result.up_to_date:
        brought = f" ({_count(result.files, 'file')} fetched)" if result.files else ""
        lines = [f"{', '.join(result.up_to_date)} up to date with {result.remote}{brought}"]
    else:
        lines = ["no experiments to pull"]
        if result.others:
            lines[0] += f"   of other commits: {result.others:,}"
            lines.append(
                f"see them: nbexp list {result.remote} -A   or bring all: nbexp pull --all"
            )
    return "\n".join(lines)


def _branched(result: Branched) -> str:
    return (
        f"branch {result.branch} is at {result.experiment} ({result.rev[:7]}); "
        f"switch to it with: git switch {result.branch}" + _publishing(result.publish)
    )


def _branches(result: Branches) -> str:
    rows = [[one.experiment, one.branch, one.rev[:7]] for one in result.branches]
    return "\n".join(aligned([["experiment", "branch", "commit"], *rows])) + _publishing(
        result.publish
    )


def _publishing(commands: Sequence[str]) -> str:
    """How branches are shared, a command a line."""
    words = {"git": "share:", "gh": "pull request:", "glab": "merge request:"}
    rows = [[words[command.split()[0]], command] for command in commands]
    return "".join(f"\n{line}" for line in aligned(rows))


def _tagged(result: Tagged) -> str:
    star = "  ★" if result.star else ""
    return f"{result.experiment}: {', '.join(result.tags) or 'no tags'}{star}"


def _recorded(result: Recorded) -> str:
    star = "   ★" if result.star else ""
    rows = recorded_rows(result)
    if not rows:
        return (
            f"{result.experiment}   {result.rev[:7]}{star}\nnothing is recorded beside its commit"
        )
    lines = ["  " + line for line in aligned([[name, value] for name, value in rows])]
    return "\n".join([f"{result.experiment}   {result.rev[:7]}{star}", *lines])


def recorded_rows(result: Recorded) -> list[tuple[str, str]]:
    """What is recorded about an experiment, a line each; what is not there is left out."""
    run = result.run
    rows: list[tuple[str, object]] = [
        ("note", "\n".join(shown(line) for line in result.note.splitlines())),
        ("tags", ", ".join(result.tags)),
        *((name, run.get(name)) for name in ("command", "magic", "dvc", "directory", "started")),
    ]
    took = run.get("seconds")
    rows.append(("took", duration(took) if isinstance(took, (int, float)) else ""))
    stages = run.get("stages")
    if isinstance(stages, Mapping):
        rows.append(("stages", ", ".join(_stage_time(name, one) for name, one in stages.items())))
    cpus, user = run.get("cpus"), run.get("user")
    rows.append(("host", f"{run.get('host')}{f' ({user})' if user else ''}" if run else ""))
    platform = run.get("platform")
    rows.append(("platform", f"{platform}{f', {cpus} CPUs' if cpus else ''}" if platform else ""))
    gpus = run.get("gpu")
    rows.append(("gpu", ", ".join(map(str, gpus)) if isinstance(gpus, list) else ""))
    count = f", {_count(len(result.packages), 'package')}" if result.packages else ""
    rows.append(("python", f"{run.get('python')}{count}" if run.get("python") else ""))
    rows.append(("nbexp", run.get("nbexp")))
    return [(name, value if name == "note" else shown(value)) for name, value in rows if value]  # type: ignore[misc]


def _stage_time(name: str, told: object) -> str:
    action, seconds = (
        (told.get("action"), told.get("seconds")) if isinstance(told, Mapping) else (None, None)
    )
    if action == "ran" and isinstance(seconds, (int, float)):
        return f"{name} {duration(seconds)}"
    words = {"skipped": "unchanged", "taken": "taken as edited"}
    return f"{name} {words.get(str(action), action)}"


def _curves(result: Curves) -> str:
    rows = [["experiment", "steps", "first", "last", "min", "max"]]
    for one in result.series:
        known = one.values or (float("nan"),)
        rows.append(
            [
                one.name,
                str(len(one.values)),
                *(shown(float(v)) for v in (known[0], known[-1], min(known), max(known))),
            ]
        )
    return "\n".join([f"{result.metric} by {result.series[0].x}", *aligned(rows)])


def _opened_notebook(result: OpenedNotebook) -> str:
    lines = [f"{result.path} of {result.experiment}"]
    number = 0
    for cell in json.loads(result.data).get("cells", []):
        source = _joined(cell.get("source", ""))
        if cell.get("cell_type") != "code":
            lines += ["", *(f"  {line}" for line in source.splitlines())]
            continue
        injected = "injected-parameters" in cell.get("metadata", {}).get("tags", [])
        number += 0 if injected else 1
        lines += ["", "parameters of this run:" if injected else f"cell {number}:"]
        lines += [f"  | {line}" for line in source.splitlines()]
        for output in cell.get("outputs", []):
            lines += [f"  {line}" for line in _output_text(output).splitlines()]
    return "\n".join(lines)


def _opened_picture(result: OpenedPicture) -> str:
    words = [f"{result.path} of {result.experiment}: {picture_words(result)}"]
    return f"{words[0]}   (write it to a file: -o FILE)"


def picture_words(result: OpenedPicture) -> str:
    """`PNG picture, 640 x 480, 34 kB`."""
    kind = result.mime.partition("/")[2].partition("+")[0].upper()
    measures = "" if result.width is None else f", {result.width} x {result.height}"
    return f"{kind} picture{measures}, {sized(result.size)}"


def _opened_table(result: OpenedTable) -> str:
    rows = [list(result.columns), *([shown(value) for value in row] for row in result.rows)]
    title = f"{result.path} of {result.experiment}: {table_words(result)}"
    return "\n".join([title, "", *aligned(rows)])


def table_words(result: OpenedTable) -> str:
    """`3 rows`; `the first 20 of 1,000 rows`; `the first 20 of about 2,000,000 rows`."""
    count = len(result.rows)
    if result.total is None:
        return f"the first {_count(count, 'row')} of {sized(result.size)}"
    if count == result.total:
        return _count(count, "row")
    about = "" if result.is_exact else "about "
    return f"the first {count:,} of {about}{result.total:,} rows"


def _opened_text(result: OpenedText) -> str:
    lines = [printable(line) for line in result.lines]
    more = text_words(result)
    title = f"{result.path} of {result.experiment}{f': {more}' if more else ''}"
    return "\n".join([title, "", *lines])


def text_words(result: OpenedText) -> str:
    """What is left out of a long text; nothing where all of it is shown."""
    count = len(result.lines)
    if result.total is None:
        return f"the first {_count(count, 'line')} of {sized(result.size)}"
    return f"the first {count:,} of {result.total:,} lines" if count < result.total else ""


def printable(line: str) -> str:
    """The line without what would move the cursor or change colours of a terminal."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in line)


def _opened_directory(result: OpenedDirectory) -> str:
    title = f"{result.path} of {result.experiment}: {directory_words(result)}"
    rows = [
        [
            f"  {printable(one.name)}",
            sized(one.size),
            "" if one.files is None else _count(one.files, "file"),
        ]
        for one in result.entries
    ]
    return "\n".join([title, "", *aligned(rows)])


def directory_words(result: OpenedDirectory) -> str:
    """`12 files, 3.4 MB`, and what is left out of a long listing."""
    words = _count(result.total, "file")
    words += "" if result.size is None else f", {size(result.size)}"
    here = sum(1 if one.files is None else one.files for one in result.entries)
    return words if here == result.total else f"{words}; the first {len(result.entries)} entries"


def _opened_bytes(result: OpenedBytes) -> str:
    first = f"{result.path} of {result.experiment}: {sized(result.size)}, md5 {result.md5}"
    return f"{first}   (write it to a file: -o FILE)"


def _verified(result: Verified) -> str:
    lines = [verdict_words(result)]
    rows = []
    for stage in result.stages:
        rows.append([stage.name, stage_verdict_words(stage)])
        rows += [[f"  {one.path}", one.verdict, printable(one.detail)] for one in stage.outputs]
    return "\n".join([*lines, *aligned(rows), *map(printable, verdict_notes(result))])


def verdict_words(result: Verified) -> str:
    """`low-lr comes out again: all 4 outputs identical   (in 3.2 s)`."""
    count = sum(len(stage.outputs) for stage in result.stages)
    outputs = "the output is" if count == 1 else f"all {count} outputs are"
    words = {
        "identical": f"comes out again: {outputs} identical",
        "close": f"comes out again: {outputs} identical, or close within the tolerance",
        "different": "does not come out again",
        "failed": "cannot be run again",
    }[result.verdict]
    return f"{result.experiment} {words}   (in {duration(result.elapsed_s)})"


def stage_verdict_words(stage: StageVerdict) -> str:
    """What became of a stage: its worst verdict, or that it did not run."""
    if stage.state == "kept":
        return "frozen, taken as it is"
    return stage.state if stage.state != "ran" else (stage.verdict or "no outputs")


def verdict_notes(result: Verified) -> list[str]:
    """Where it began to differ or stopped, and what may be the reason."""
    lines = []
    if result.problem:
        lines.append(result.problem)
    lines += [
        f"{path} is in your workspace and in no commit. Hint: `git add {path}`, or `nbexp data add {path}`"
        for path in result.missing
    ]
    if result.first is not None:
        stage, output = result.first
        detail = f": {output.detail}" if output.detail else ""
        lines.append(f"it begins in stage {stage.name}, {output.path}{detail}")
        if stage.suspect:
            lines.append(f"likely because {stage.suspect}")
    return lines


def _output_text(output: dict[str, object]) -> str:
    if output.get("output_type") == "error":
        return f"{output.get('ename')}: {output.get('evalue')}"
    if "text" in output:
        return _joined(output["text"])
    data = output.get("data")
    if isinstance(data, dict):
        if "text/plain" in data:
            return _joined(data["text/plain"])
        return f"[{', '.join(sorted(data))}]"
    return ""


def _joined(value: object) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _place(what: str, cell: int | None) -> str:
    return "" if cell is None else f"{what} in cell {cell}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# By the name of the class, so that no class has to be loaded to be known here.
def _added(result: Added) -> str:
    """What to commit now, as DVC says it; what `git add` has to be told of a name with a space is quoted."""
    import shlex

    names = " ".join(shlex.quote(path) for path in (*result.files, *result.ignores))
    lines = [f"tracked {path} ({size(result.size_bytes)})" for path in result.paths[:1]]
    if len(result.paths) != 1:
        lines = [f"tracked {_count(len(result.paths), 'path')} ({size(result.size_bytes)})"]
    if not result.staged:
        lines.append(f"to track the changes with Git: git add {names}")
    return "\n".join(lines)


def size(size_bytes: int) -> str:
    """Bytes as people say them: `12 bytes`, `3.4 MB`."""
    if size_bytes < 1000:
        return _count(size_bytes, "byte")
    value, units = float(size_bytes), iter("kMGT")
    unit = ""
    while value >= 999.5:
        value, unit = value / 1000, next(units)
    return f"{value:.3g} {unit}B"


def _committed(result: Committed) -> str:
    if not result.stages:
        return "There is no tracked data and no stage in this project."
    wrote = f"; written: {', '.join(result.files)}" if result.files else ""
    return f"committed {', '.join(result.stages)}{wrote}"


def _checked_out(result: CheckedOut) -> str:
    """DVC's lines: `M`, `A` or `D` and a path; with `--summary` how many files."""
    lines = []
    if result.summary:
        parts = [f"{_count(n, 'file')} {word}" for word, n in result.files.items() if n]
        lines = [", ".join(parts) if parts else "No changes."]
    else:
        for letter, paths in (
            ("M", result.modified),
            ("A", result.added),
            ("D", result.deleted),
        ):
            lines += [f"{letter}       {path}" for path in paths]  # a tab that DVC expands
    if result.missing:
        lines.append(f"not in the cache: {', '.join(result.missing)}")
    if result.relinked:
        lines.append("Relinked successfully")
    return "\n".join(lines) or "Everything was as it is tracked."


_DATA_STATUS: tuple[tuple[str, str, list[str]], ...] = (
    ("not_in_cache", "Not in cache", ["`nbexp data fetch` gets it from a remote"]),
    ("not_in_remote", "Not in remote", ["`nbexp data push` sends it"]),
    ("committed", "Changes committed to .dvc files and dvc.lock", ["`git commit` records them"]),
    (
        "uncommitted",
        "Changes not committed yet",
        ["`nbexp data commit` takes them", "`nbexp data checkout` discards them"],
    ),
    ("untracked", "Untracked files", ["`nbexp data add`, or `git add`"]),
    ("unchanged", "Unchanged", []),
)


def _data_status(result: DataStatus) -> str:
    parts = []
    found = result.to_json()
    for key, head, hints in _DATA_STATUS:
        if key not in found:
            continue
        value: Any = found[key]
        lines = [f"{head}:"]
        lines += [f"  ({hint})" for hint in hints]
        if isinstance(value, dict):
            for word, paths in value.items():
                lines += [f"        {word}: {_moved(path)}" for path in paths]
        else:
            lines += [f"        {path}" for path in value]
        parts.append("\n".join(lines))
    if not parts:
        parts.append("No changes.")
    if result.is_git_dirty:
        other = "other " if found else ""
        parts.append(f"(there are {other}changes that Git tracks: `git status`)")
    return "\n\n".join(parts)


def _unprotected(result: Unprotected) -> str:
    made = "a copy" if result.files == 1 else "copies"
    return f"{', '.join(result.paths)}: {_count(result.files, 'link')} made {made}"


_MOST_GROUPS = 20


def _garbage(result: Garbage) -> str:
    """What goes, biggest first, and how to let it go."""
    count = f"{_count(result.objects, 'object')} of {result.folder}"
    if not result.objects and not result.in_remote:
        return f"Everything in {result.folder} is needed ({_count(result.kept, 'object')})."
    shown = result.groups[:_MOST_GROUPS]
    rows = [
        [size(one.size_bytes), _count(one.objects, "object"), one.path, one.last] for one in shown
    ]
    if result.removed:
        lines = [f"removed {count}: {size(result.size_bytes)}"]
    else:
        lines = [f"Nothing needs {count}: {size(result.size_bytes)}"]
    lines += [f"  {line}" for line in aligned(rows)]
    if len(result.groups) > _MOST_GROUPS:
        lines.append(f"  and {len(result.groups) - _MOST_GROUPS:,} more paths")
    if result.runs:
        words = "lost" if result.removed else "would lose"
        lines.append(
            f"{_count(len(result.runs), 'run')} of the run cache {words} outputs: "
            f"{', '.join(result.runs[:5])}{', ...' if len(result.runs) > 5 else ''}"
        )
    if result.in_remote:
        there = f"{_count(result.in_remote, 'object')} of the remote: {size(result.remote_bytes)}"
        lines.append(f"removed {there}" if result.removed else f"Nothing needs {there}")
    if not result.removed:
        lines.append("Nothing was removed. The same with --yes removes it for good.")
    return "\n".join(lines)


def _moved(path: Any) -> str:
    return f"{path['old']} -> {path['new']}" if isinstance(path, dict) else str(path)


def _data_diff(result: DataDiff) -> str:
    """DVC's text: each kind with its paths, then a line of counts."""
    from nbexp.experiments.data.changes import digest_words, path_words

    parts, counts = [], []
    for word in result.words:
        found = result.of(word)
        if not found:
            continue
        digests = [f"{digest_words(one)}  " if result.show_hash else "" for one in found]
        lines = [f"    {d}{path_words(one)}" for d, one in zip(digests, found, strict=True)]
        parts.append("\n".join([f"{word.capitalize()}:", *lines]))
        files = sum(not one.path.endswith("/") for one in found)
        counts += [f"{files} {word}"] if files else []
    if counts:
        parts.append(f"files summary: {', '.join(counts)}")
    return "\n\n".join(parts) or "No data changed."


_WRITERS: dict[str, Callable[[Any], str]] = {
    "Added": _added,
    "CheckedOut": _checked_out,
    "Committed": _committed,
    "DataDiff": _data_diff,
    "DataStatus": _data_status,
    "Experiment": _experiment,
    "Garbage": _garbage,
    "Table": _table,
    "Groups": _groups,
    "Diff": _diff,
    "Detected": _detected,
    "InitReport": _init_report,
    "Setup": _setup,
    "StageWritten": _stage_written,
    "Imported": _imported,
    "Listing": _listing,
    "StageList": _stage_list,
    "Dag": _dag,
    "AddedStage": _added_stage,
    "Status": _status,
    "Plan": _plan,
    "Why": _why,
    "MeasureDiff": _measure_diff,
    "MetricsShown": _metrics_shown,
    "Applied": _applied,
    "Undone": _undone,
    "Verified": _verified,
    "Steps": _steps,
    "Health": _health,
    "Collected": _collected,
    "TrashList": _trash_list,
    "Untrashed": _untrashed,
    "Unprotected": _unprotected,
    "Recorded": _recorded,
    "Removed": _removed,
    "Saved": _saved,
    "Renamed": _renamed,
    "Branches": _branches,
    "Tagged": _tagged,
    "Script": _script,
    "Reproduced": _reproduced,
    "RunTable": _run_table,
    "CachedRun": _cached_run,
    "RestoredRun": _restored_run,
    "Promoted": _promoted,
    "Branched": _branched,
    "Pushed": _pushed,
    "PulledExperiments": _pulled,
    "Curves": _curves,
    "OpenedBytes": _opened_bytes,
    "OpenedDirectory": _opened_directory,
    "OpenedNotebook": _opened_notebook,
    "OpenedPicture": _opened_picture,
    "OpenedTable": _opened_table,
    "OpenedText": _opened_text,
}
