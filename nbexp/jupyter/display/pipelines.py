"""Stages and pipelines: proposed and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import heading, in_cell_words, plain_text
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, pairs, tag
from nbexp.render import pipelines as texts

if TYPE_CHECKING:
    from nbexp.experiments.authoring import InitReport
    from nbexp.experiments.detecting import Detected
    from nbexp.experiments.guided import Setup, StageWritten


def _init_report(result: InitReport) -> Markup:
    lines = plain_text(result).splitlines()
    if result.found_project:
        return joined([tag("p", line) for line in lines])
    rows: list[tuple[object, ...]] = []
    if result.parameters:
        words = [
            joined([tag("b", name), " = ", code(value), faint(f" {kind}")])
            for name, value, kind in result.parameters
        ]
        rows.append(("parameters", joined(words, ",  "), faint(f"from {result.from_cell}")))
    if result.computed:
        rows.append(("computed", ", ".join(result.computed), faint("left to the notebook")))
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
    if result.uncommitted:
        rows.append(("not in it", texts.left_out(result.uncommitted), ""))
    return joined([pairs(rows), tag("p", lines[-1])])


def _place(what: str, number: int | None) -> str:
    return "" if number is None else f"{what} in cell {number}"


def _detected(result: Detected) -> Markup:
    """The dvc.yaml as it would be, each line with its reason; then what was left out and what to do next."""
    parts: list[object] = []
    for stage in result.proposal.stages:
        place = "" if stage.wdir == "." else f" in {stage.wdir}"
        parts.append(heading(stage.name, code(stage.cmd), faint(place)))
        rows = [
            (kind if not number else "", code(entry.name), faint(entry.why))
            for kind in ("deps", "params", "outs", "metrics", "plots")
            for number, entry in enumerate(getattr(stage, kind))
        ]
        parts.append(pairs(rows))
    if result.proposal.left_out:
        parts.append(heading("left out"))
        parts.append(pairs([(path, faint(why)) for path, why in result.proposal.left_out]))
    if result.proposal.stages and not result.wrote:
        text = result.proposal.files()["dvc.yaml"].decode()
        summary = tag("summary", "dvc.yaml as it would be")
        parts.append(tag("details", summary, tag("pre", text)))
    notes = in_cell_words(texts.detected_notes(result)).splitlines()
    parts += [tag("p", line) for line in notes]
    return joined(parts)


def _setup(result: Setup) -> Markup:
    rows = [
        [cell(q.text), cell(code(result.defaults.get(q.key, ""))), cell(code(f"--{q.key}"))]
        for q in result.questions
        if q.key != "cmd"
    ]
    heads = [head("question"), head("default"), head("option")]
    lines = [tag("tr", joined(row)) for row in rows]
    last = plain_text(result).splitlines()[-1]
    return joined(
        [
            *(tag("p", line) for line in result.guide.splitlines()),
            tag("pre", result.tree),
            grid(heads, lines),
            tag("p", faint(last)),
        ]
    )


def _stage_written(result: StageWritten) -> Markup:
    lines = plain_text(result).splitlines()
    return joined([tag("pre", "\n".join(lines[:-1])), tag("p", lines[-1])])


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "InitReport": _init_report,
    "Detected": _detected,
    "Setup": _setup,
    "StageWritten": _stage_written,
}
