"""What runs came to: cards of experiments, what was saved, imported, run again and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import MAX_ROWS, brief, cut, heading, in_cell_words, verdict_mark
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, pairs, tag
from nbexp.render import runs as texts
from nbexp.render import words as said
from nbexp.render.diffs import titles

if TYPE_CHECKING:
    from nbexp.experiments.cells import CellReport
    from nbexp.experiments.compare import Change
    from nbexp.experiments.importing import Imported
    from nbexp.experiments.save import Saved
    from nbexp.experiments.verify import Verified
    from nbexp.project import Experiment, RunReport

_MARKS = {"identical": "✓ ", "close": "≈ ", "different": "✗ ", "missing": "✗ ", "failed": "✗ "}


def _experiment(result: Experiment) -> Markup:
    if result.cell is not None:
        return _cell_card(result, result.cell)
    if result.report is None:
        rows = [(key, said.shown(value)) for key, value in result.metrics.items()]
        rows += [(key, said.shown(value)) for key, value in result.params.items()]
        return joined([heading(result.name, faint(result.rev[:7])), pairs(rows)])
    return _card(result, result.report)


def _cell_card(experiment: Experiment, report: CellReport) -> Markup:
    took = f"✓ done in {report.elapsed_s:.1f} s"
    rows: list[tuple[object, ...]] = [
        (key, tag("b", brief(value))) for key, value in report.metrics.items()
    ]
    rows += texts.cell_rows(report)
    rows.append(("notebook", code(f"%exp open {experiment.name}")))
    if not report.lacking:
        rows.append(("again", code(f"%exp rerun {experiment.name}")))
    notes = [tag("p", "⚠ ", in_cell_words(line)) for line in texts.cell_notes(report)]
    return joined(
        [
            heading(experiment.name, took, faint(f"(nbexp {report.own_s:.1f} s)")),
            pairs(rows),
            *notes,
        ]
    )


def _card(experiment: Experiment, report: RunReport) -> Markup:
    notes = [
        tag("p", "⚠ ", in_cell_words(line))
        for line in (*texts.unlisted_lines(report), *texts.not_recorded_lines(report))
    ]
    notes = [*(tag("p", line) for line in texts.repeated_lines(report)), *notes]
    if report.identical:
        name = tag("b", experiment.name)
        again = joined([f"{report.elapsed_s:.1f} s  ", code("--new"), " runs it again"])
        words = ["= identical to ", name, " (same code, data and parameters): nothing to run  "]
        return joined([tag("p", *words, faint(again)), *notes])
    took = f"✓ done in {report.elapsed_s:.1f} s"
    rows: list[tuple[object, ...]] = [
        (name, _arrow(change))
        for name, change in zip(titles(report.params), report.params, strict=True)
    ]
    rows += [
        (name, _metric(change, report.versus))
        for name, change in zip(titles(report.metrics), report.metrics, strict=True)
    ]
    rows.append(("stages", ", ".join(map(texts.stage_words, report.stages)) or "none"))
    if report.steps:
        rows.append(("checkpoints", f"{experiment.name}@1 to {experiment.name}@{report.steps}"))
    if report.notebooks:
        rows.append(("notebook", code(f"%exp open {experiment.name}")))
    rows += texts.changed_rows(report)
    if not report.params and not texts.changed_rows(report) and report.versus is None:
        rows.append(("changes vs baseline", "none"))
    if report.hints and report.folder is not None:
        rows.append(("bring it here", code(f"%exp apply {experiment.name}")))
    if report.hints:
        rows.append(("keep it", code(f"%exp branch {experiment.name} my-branch")))
    return joined(
        [
            heading(experiment.name, took, faint(f"(nbexp {report.own_s:.1f} s)")),
            pairs(rows),
            *notes,
        ]
    )


def _arrow(change: Change) -> Markup:
    return joined([cut(said.side(change.old)), "→", tag("b", cut(said.side(change.new)))], " ")


def _metric(change: Change, versus: str | None) -> Markup:
    value = tag("b", cut(said.side(change.new)))
    if change.delta is None or versus is None:
        return value
    if change.delta == 0:
        return joined([value, faint(f"same as {versus}")], "  ")
    words = [value, faint(f"{said.signed(change.delta)} vs {versus}"), verdict_mark(change)]
    return joined([word for word in words if word], "  ")


def _saved(result: Saved) -> Markup:
    rows: list[tuple[object, ...]] = [("baseline", code(result.baseline[:7]))]
    if result.written:
        rows.append(("brought up to date", ", ".join(result.written)))
    word = "= recorded already, with these files" if result.identical else "✓ saved"
    return joined([heading(result.name, word, faint(result.rev[:7])), pairs(rows)])


def _imported(result: Imported) -> Markup:
    rows: list[tuple[object, ...]] = [
        (tag("b", name), code(rev[:7]), result.renamed.get(name, ""))
        for name, rev in result.experiments[:MAX_ROWS]
    ]
    rows += [(name, "not finished", result.renamed.get(name, "")) for name in result.failed]
    rows += [(name, "there already", "") for name in result.known]
    said = f"imported {len(result.experiments)} from {result.source}"
    return joined([tag("p", said), pairs(rows)])


def _verified(result: Verified) -> Markup:
    lines = []
    for stage in result.stages:
        lines.append(
            tag(
                "tr",
                tag("th", stage.name, scope="row", align="left"),
                cell(_verdict_of(texts.stage_verdict_words(stage))),
                cell(""),
                class_="nbexp-base",
            )
        )
        lines += [
            tag(
                "tr",
                tag("th", joined([Markup("&emsp;"), one.path]), scope="row", align="left"),
                cell(_verdict_of(one.verdict)),
                cell(brief(one.detail) if one.detail else ""),
            )
            for one in stage.outputs
        ]
    heads = [head("stage, output"), head("verdict"), head("first difference")]
    title = _verdict_of(result.verdict, texts.verdict_words(result))
    notes = [tag("p", in_cell_words(note)) for note in texts.verdict_notes(result)]
    return joined([tag("p", tag("b", title)), grid(heads, lines), *notes])


def _verdict_of(verdict: str, words: str | None = None) -> Markup:
    good = verdict in ("identical", "close")
    bad = verdict in ("different", "missing", "failed")
    class_ = "nbexp-good" if good else "nbexp-bad" if bad else "nbexp-faint"
    return tag("span", f"{_MARKS.get(verdict, '')}{words or verdict}", class_=class_)


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "Experiment": _experiment,
    "Saved": _saved,
    "Imported": _imported,
    "Verified": _verified,
}
