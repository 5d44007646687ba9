"""Sweeps: their trials as a table, the best first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display import history
from nbexp.jupyter.display.parts import MAX_ROWS, brief, cut, heading, in_cell_words, plain_text
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, tag
from nbexp.render import sweeps as texts
from nbexp.render import words as said

if TYPE_CHECKING:
    from nbexp.sweeps.form import SweepForm
    from nbexp.sweeps.results import Sweep, Sweeps, TrialRow

_GOOD, _BAD = ("done",), ("failed", "cancelled", "interrupted")


def _sweep(result: Sweep) -> Markup:
    parts = [_title(result), history.drawn(result)]
    rows = result.ranked
    if rows:
        best = result.best
        lines = [_line(result, one, is_best=one is best) for one in rows[:MAX_ROWS]]
        parts.append(grid(_heads(result), lines))
    if len(rows) > MAX_ROWS:
        parts.append(tag("p", faint(f"… {len(rows) - MAX_ROWS} more trials: `%exp show` has all")))
    for note in texts.notes(result):
        text = in_cell_words(note)
        class_ = "nbexp-bad" if note.startswith(("failed:", "over:")) else None
        is_best = note.startswith("best:")
        parts.append(tag("p", tag("b", text) if is_best else text, class_=class_))
    return joined(parts)


def _title(result: Sweep) -> Markup:
    words: list[object] = []
    if result.metric is not None:
        words.append(f"{result.direction} {result.metric}")
    words += [texts.progress(result), faint(said.duration(result.elapsed_s))]
    return heading(result.name, *words)


def _heads(result: Sweep) -> list[Markup]:
    numbers = {"trial", "time", *result.measured, *result.params}
    return [head(title, is_number=title in numbers) for title in texts.columns(result)]


def _line(result: Sweep, one: TrialRow, *, is_best: bool) -> Markup:
    class_ = "nbexp-good" if one.state in _GOOD else "nbexp-bad" if one.state in _BAD else None
    state = tag("span", one.state, class_=class_ or "nbexp-faint", title=one.error)
    cells = [cell(one.number, is_number=True), cell(tag("b", one.name) if is_best else one.name)]
    cells.append(cell(state))
    cells += [
        cell(brief(value), is_number=True, title=_whole(value))
        for value in texts.measured(result, one)
    ]
    for param in result.params:
        value = one.point.get(param, "")
        cells.append(
            cell(brief(value) if param in one.point else "", is_number=True, title=_whole(value))
        )
    took = said.duration(one.seconds) if one.seconds is not None else "-"
    return tag("tr", *cells, cell(took, is_number=True))


def _whole(value: object) -> str | None:
    return repr(value) if isinstance(value, float) else None


def _sweeps(result: Sweeps) -> Markup:
    if not result.sweeps:
        return tag("p", plain_text(result))
    lines = []
    for one in result.sweeps:
        best = one.best
        lines.append(
            tag(
                "tr",
                cell(tag("b", one.name)),
                cell(one.state),
                cell(texts.progress(one)),
                cell(one.sampler),
                cell(f"{one.direction} {one.metric}" if one.metric else ""),
                cell(f"{best.name} {said.shown(best.value)}" if best else ""),
            )
        )
    return grid(
        [head(t) for t in ("name", "state", "trials", "sampler", "objective", "best")], lines
    )


def _form(result: SweepForm) -> Markup:
    if not result.fields:
        return tag("p", plain_text(result))
    lines = [
        tag("tr", *(cell(code(brief_text) if at in (0, 2) else brief_text) for at, brief_text in enumerate(map(cut, texts.form_cells(one)))))
        for one in result.fields
    ]  # fmt: skip
    notes = [tag("p", in_cell_words(note)) for note in texts.form_notes(result)]
    return joined([grid([head(title) for title in texts.form_columns()], lines), *notes])


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "Sweep": _sweep,
    "Sweeps": _sweeps,
    "SweepForm": _form,
}
