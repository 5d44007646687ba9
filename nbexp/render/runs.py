"""What runs came to: experiments that were run, saved, imported, run again and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.render.diffs import data_words, environment_words, patch_words, titles
from nbexp.render.words import aligned, counted, duration, printable, shown, side, signed

if TYPE_CHECKING:
    from nbexp.experiments.cell_needs import Param
    from nbexp.experiments.cells import CellReport
    from nbexp.experiments.compare import Change
    from nbexp.experiments.importing import Imported
    from nbexp.experiments.save import Saved
    from nbexp.experiments.script import Script
    from nbexp.experiments.verify import StageVerdict, Verified
    from nbexp.project import Experiment, Reproduced, RunReport, StageReport


# What a card tells of at most, in one line.
MAX_WORDS = 4
MAX_NAMES = 8


def _experiment(result: Experiment) -> str:
    if result.cell is not None:
        return cell_card(result, result.cell)
    if result.report is None:
        pairs = [*result.metrics.items(), *result.params.items()]
        lines = [f"{result.name}   {result.rev[:7]}"]
        return "\n".join(
            lines + ["  " + line for line in aligned([[k, shown(v)] for k, v in pairs])]
        )
    return card(result, result.report)


def cell_card(experiment: Experiment, report: CellReport) -> str:
    """The card that a cell ends with that was recorded as an experiment."""
    lines = [f"{experiment.name}   done in {report.elapsed_s:.1f} s   (nbexp {report.own_s:.1f} s)"]
    rows = [[key, shown(value)] for key, value in report.metrics.items()]
    rows += [[name, value] for name, value in cell_rows(report)]
    rows.append(["notebook", f"nbexp open {experiment.name}"])
    if not report.lacking:
        rows.append(["again", f"nbexp rerun {experiment.name}"])
    lines += ["  " + line for line in aligned(rows)]
    return "\n".join(printable(line) for line in [*lines, *cell_notes(report)])


def cell_rows(report: CellReport) -> list[tuple[str, str]]:
    """What the cell took from its session and what it showed, a line each."""
    rows = []
    if report.params:
        rows.append(("params", ", ".join(map(_param, report.params))))
    values = [f"{read.name}={read.short}" for read in report.reads if read.kind == "value"]
    code = [read.name for read in report.reads if read.kind == "code"]
    if values or code:
        rows.append(("read", _few([*values, *code], MAX_NAMES)))
    if report.figures:
        rows.append(("figures", str(report.figures)))
    return rows


def _param(param: Param) -> str:
    value = shown(param.value)
    return f"{param.name}={value} ({param.file})" if param.is_lent else f"{param.name}={value}"


def cell_notes(report: CellReport) -> list[str]:
    """What is not recorded of a cell, with what to do about it."""
    lines = []
    if report.left_out:
        lines.append(f"no metrics, being no numbers: {', '.join(report.left_out)}")
    if report.lacking:
        why = {"secret": "a secret", "undefined": "undefined"}
        names = [f"`{read.name}` ({why.get(read.kind, read.type)})" for read in report.lacking]
        lines.append(
            f"it cannot be run again: it read {', '.join(names)} of this session, which is not recorded. "
            f"Hint: make `{report.lacking[0].name}` in the cell, or in a function"
        )
    if report.not_recorded:
        paths = folded([left.path for left in report.not_recorded])
        lines.append(f"not recorded: {', '.join(paths)}. Hint: `git add` it before the cell runs")
    return lines


def card(experiment: Experiment, report: RunReport) -> str:
    """The card that a run ends with."""
    if report.identical:
        line = f"identical to {experiment.name} (same code, data and parameters): nothing to run"
        line += f"      {report.elapsed_s:.1f} s      --new runs it again"
        return "\n".join([line, *unlisted_lines(report)])
    lines = [f"{experiment.name}   done in {report.elapsed_s:.1f} s   (nbexp {report.own_s:.1f} s)"]
    rows = [
        [name, f"{side(change.old)} -> {side(change.new)}"]
        for name, change in zip(titles(report.params), report.params, strict=True)
    ]
    rows += [
        [name, metric_words(change, report.versus)]
        for name, change in zip(titles(report.metrics), report.metrics, strict=True)
    ]
    rows.append(["stages", ", ".join(stage_words(stage) for stage in report.stages) or "none"])
    if report.steps:
        rows.append(["checkpoints", f"{experiment.name}@1 to {experiment.name}@{report.steps}"])
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
    if report.hints and report.folder is not None:
        lines.append(f"bring it here: nbexp apply {experiment.name}")
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


def _few(words: Sequence[str], most: int = MAX_WORDS) -> str:
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")


def metric_words(change: Change, versus: str | None) -> str:
    """A metric of the card: its value and, against another experiment, the difference."""
    value = side(change.new)
    if change.delta is None or versus is None:
        return value
    if change.delta == 0:
        return f"{value}   same as {versus}"
    verdict = f"  ({change.verdict})" if change.verdict else ""
    return f"{value}   {signed(change.delta)} vs {versus}{verdict}"


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
    cells = "" if stage.cells is None else f" ({counted(stage.cells, 'cell')})"
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


def _reproduced(result: Reproduced) -> str:
    failed = [stage_words(stage) for stage in result.stages if stage.action == "failed"]
    if failed:
        return f"{', '.join(failed)}; ignored, as asked"
    if not result.changed:
        return "Data and pipelines are up to date."
    return "Use `nbexp data push` to send your updates to remote storage."


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


def _imported(result: Imported) -> str:
    made = len(result.experiments)
    lines = [
        f"imported {counted(made, 'experiment')} from {result.source} on baseline {result.baseline[:7]}"
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


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Experiment": _experiment,
    "Imported": _imported,
    "Verified": _verified,
    "Saved": _saved,
    "Script": _script,
    "Reproduced": _reproduced,
}
