"""The history of a sweep as a small picture: the value of each trial in the order they were asked for, and the best so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nbexp.jupyter.markup import Markup, joined, tag
from nbexp.render import words as said

if TYPE_CHECKING:
    from nbexp.sweeps.results import Sweep, TrialRow

_WIDE, _HIGH = 560.0, 120.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 8.0, 10.0, 20.0
# Middle tones, which read on a light and on a dark page; the page's own where it has them.
_LINE = "var(--jp-brand-color1, var(--vscode-charts-blue, #3b82c4))"
_FAINT = "var(--jp-content-font-color2, var(--vscode-descriptionForeground, #808080))"


def drawn(result: Sweep) -> Markup:
    """The picture; nothing where no metric was asked for, or fewer than two trials have a value."""
    rows = [one for one in result.trials if one.value is not None and math.isfinite(one.value)]
    done = [one for one in rows if one.state == "done"]
    if result.direction is None or len(done) < 2:
        return Markup()
    values = [one.value or 0.0 for one in rows]
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    last = max(one.number for one in rows)

    def x(number: float) -> float:
        return _LEFT + (_WIDE - _LEFT - _RIGHT) * (number - 1) / max(last - 1, 1)

    def y(value: float) -> float:
        return _TOP + (_HIGH - _TOP - _BOTTOM) * (high - value) / (high - low)

    dots = [_mark(one, x(one.number), y(one.value or 0.0)) for one in rows]
    path = _stairs(
        [(x(number), y(value)) for number, value in _best(done, result.direction)], x(last)
    )
    ends = [_text(said.shown(value), _LEFT - 6, y(value) + 4, "end") for value in (high, low)]
    pruned = any(one.state == "pruned" for one in rows)
    legend = f"{result.metric} by trial, 1 to {last}; the line is the best so far" + (
        ", a cross was pruned" if pruned else ""
    )
    best = result.best
    label = f"{result.metric} of {len(rows)} trials"
    if best is not None:
        label += f"; the best is {said.shown(best.value)}, of trial {best.number}"
    return tag(
        "svg",
        tag("path", d=path, fill="none", stroke=_LINE, stroke_width="1.5"),
        *dots,
        *ends,
        _text(legend, _LEFT, _HIGH - 4, "start"),
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_label=label,
        viewBox=f"0 0 {_WIDE:.0f} {_HIGH:.0f}",
        style=f"display:block;width:100%;max-width:{_WIDE:.0f}px;height:auto;margin:4px 0",
    )


def _best(done: Sequence[TrialRow], direction: str) -> list[tuple[int, float]]:
    """The trials that were better than all before them."""
    found: list[tuple[int, float]] = []
    for one in sorted(done, key=lambda row: row.number):
        value = one.value or 0.0
        is_first = not found
        if is_first or (value < found[-1][1] if direction == "minimize" else value > found[-1][1]):
            found.append((one.number, value))
    return found


def _stairs(points: Sequence[tuple[float, float]], end: float) -> str:
    start, *rest = points
    steps = [f"M{start[0]:.1f} {start[1]:.1f}"]
    steps += [f"H{x:.1f}V{y:.1f}" for x, y in rest]
    return "".join([*steps, f"H{end:.1f}"])


def _mark(one: TrialRow, x: float, y: float) -> Markup:
    title = tag("title", f"{one.name}: {said.shown(one.value)}, {one.state}")
    if one.state == "done":
        return tag("circle", title, cx=f"{x:.1f}", cy=f"{y:.1f}", r="3", fill=_LINE)
    cross = f"M{x - 3:.1f} {y - 3:.1f}l6 6m0-6l-6 6"
    return tag("path", title, d=cross, stroke=_FAINT, stroke_width="1.2", fill="none")


def _text(text: str, x: float, y: float, anchor: str) -> Markup:
    return tag(
        "text",
        joined([text]),
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        text_anchor=anchor,
        style=f"font-size:11px;fill:{_FAINT}",
    )
