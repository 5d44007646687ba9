"""Stages and pipelines: proposed, written, listed, drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, counted, shown

if TYPE_CHECKING:
    from nbexp.experiments.authoring import InitReport
    from nbexp.experiments.detecting import Detected
    from nbexp.experiments.guided import Setup, StageWritten
    from nbexp.experiments.stages import AddedStage, StageList
    from nbexp.pipeline.dag import Dag


# Of params in one line, and of the files that are named.
_WIDTH, _MOST_PATHS = 80, 6


def _init_report(result: InitReport) -> str:
    if result.found_project:
        found = f"{counted(result.stages, 'stage')}, {counted(result.experiments, 'experiment')}"
        step = "nbexp show" if result.experiments else _first_run(result)
        return f"DVC project found: {found}. Nothing to do. Next: {step}"
    rows: list[list[str]] = []
    words = [f"{name}={value} ({kind})" for name, value, kind in result.parameters]
    rows += _wrapped("parameters", words, f"from {result.from_cell}")
    rows += _wrapped("computed", result.computed, "left to the notebook")
    for path, cell in result.metrics:
        rows.append(["metrics", path, _place("written", cell)])
    for name, cell in result.live:
        rows.append(["live", f"{name} by step", _place("logged", cell)])
    rows += _wrapped("modules", result.modules, "imported; deps of the stage")
    for name, value, default in result.differing:
        rows.append(["kept", f"{name}={value}", f"in params.yaml; the notebook says {default}"])
    rows.append(["wrote", "  ".join(result.wrote)])
    if result.baseline:
        rows.append(["baseline", f'{result.baseline[:7]} "{result.message}"'])
    lines = aligned(rows, gap="   ")
    if result.new_repository:
        lines[-1] += "   (new Git repository)"
    if result.uncommitted:
        lines.append(f"not in it: {left_out(result.uncommitted)}")
    if result.notebook:
        lines.append(f"{result.notebook} was not changed. Next: {_first_run(result)}")
    else:
        lines.append("Next: nbexp init train.ipynb, or write a dvc.yaml and nbexp run")
    return "\n".join(lines)


def _first_run(result: InitReport) -> str:
    """The line that runs the notebook from where `init` was typed: in a folder it has a pipeline of its own."""
    if result.folder == ".":
        return "nbexp run"
    import shlex

    return f"nbexp run --cd {shlex.quote(result.folder)}"


def left_out(paths: Sequence[str]) -> str:
    """`your edits of a.py, b.py and 3 more`: what a commit of nbexp's own files leaves to the user."""
    more = f" and {len(paths) - _MOST_PATHS} more" if len(paths) > _MOST_PATHS else ""
    return f"your edits of {', '.join(map(shown, paths[:_MOST_PATHS]))}{more}"


def _wrapped(head: str, words: Sequence[str], note: str) -> list[list[str]]:
    """Rows of the words, the first with what they are and where they are from."""
    lines = enumerate(_lines(words))
    return [["", line, ""] if number else [head, line, note] for number, line in lines]


def _lines(words: Sequence[str]) -> list[str]:
    """The words in lines that a terminal has room for."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 2 + len(word) <= _WIDTH:
            lines[-1] += f"  {word}"
        else:
            lines.append(word)
    return lines


def _place(what: str, cell: int | None) -> str:
    return "" if cell is None else f"{what} in cell {cell}"


def _added_stage(result: AddedStage) -> str:
    done = f"{'Replaced' if result.replaced else 'Added'} stage '{result.name}' in '{result.file}'"
    if not result.changed:
        return f"Stage '{result.name}' is in '{result.file}' as it was given"
    if result.staged:
        return done
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


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Detected": _detected,
    "InitReport": _init_report,
    "Setup": _setup,
    "StageWritten": _stage_written,
    "StageList": _stage_list,
    "Dag": _dag,
    "AddedStage": _added_stage,
}
