"""Plots as SVG, from the standard library alone: lines, points, bars and the cells of a confusion matrix.

For reports that a training writes of itself, which need no browser's libraries and no network. All else is drawn
by `nbexp plot`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from nbexp.markup import Markup, joined, tag

WIDTH, HEIGHT = 420, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 28, 40
_MANY = 1000  # points of a line; a screen shows no more
# DVC's colours of revisions, in its order.
_COLOURS = ("#945dd6", "#13adc7", "#f46837", "#48bb78", "#4299e1", "#ed8936", "#f56565")

Points = Sequence[tuple[float, float]]


def curves(
    title: str, x_label: str, y_label: str, series: Mapping[str, Points], *, joined_up: bool = True
) -> Markup:
    """Lines, or with `joined_up` off points, one colour for each name; a legend where there are several."""
    known = {name: _thinned(points) for name, points in series.items() if points}
    every = [point for points in known.values() for point in points]
    if not every:
        return _frame(title, tag("text", "no numbers", x=str(WIDTH // 2), y=str(HEIGHT // 2)))
    x_ticks = _ticks(min(x for x, _ in every), max(x for x, _ in every))
    y_ticks = _ticks(min(y for _, y in every), max(y for _, y in every))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return (
            _LEFT + across * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM),
        )

    parts = [_axes(x_label, y_label)]
    parts += [_x_tick(place(at, y_ticks[0])[0], _number(at)) for at in x_ticks]
    parts += [_y_tick(place(x_ticks[0], at)[1], _number(at)) for at in y_ticks]
    for number, (name, points) in enumerate(known.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        placed = [place(x, y) for x, y in points]
        if joined_up and len(placed) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            parts.append(
                tag("polyline", points=path, fill="none", stroke=colour, stroke_width="1.5")
            )
        else:
            parts += [
                tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="2.5", fill=colour) for x, y in placed
            ]
        if len(known) > 1:
            y = str(_TOP + 14 * number + 4)
            parts.append(
                tag("text", name, x=str(WIDTH - _RIGHT), y=y, fill=colour, text_anchor="end")
            )
    return _frame(title, *parts)


def bars(title: str, x_label: str, y_label: str, shares: Sequence[tuple[str, float]]) -> Markup:
    """Horizontal bars, the first twelve."""
    shown = shares[:12]
    most = max((abs(value) for _, value in shown), default=0) or 1
    height = (HEIGHT - _TOP - _BOTTOM) / max(len(shown), 1)
    left = 2 * _LEFT
    parts = [_axes(x_label, y_label)]
    for number, (name, value) in enumerate(shown):
        y = _TOP + number * height
        width = abs(value) / most * (WIDTH - left - _RIGHT)
        parts += [
            tag("rect", x=str(left), y=f"{y + 1:.1f}", width=f"{width:.1f}", height=f"{height - 2:.1f}", fill=_COLOURS[0]),
            tag("text", name[:18], x=str(left - 4), y=f"{y + height / 2 + 4:.1f}", text_anchor="end"),
            tag("text", _number(value), x=f"{left + 4}", y=f"{y + height / 2 + 4:.1f}"),
        ]  # fmt: skip
    return _frame(title, *parts)


def matrix(
    title: str, x_label: str, y_label: str, pairs: Sequence[tuple[str, str]], *, shares: bool
) -> Markup:
    """How often each pair of labels comes: one cell each, darker for more; with `shares` of its row."""
    counts = Counter(pairs)
    rows = sorted({actual for actual, _ in pairs})
    columns = sorted({predicted for _, predicted in pairs})
    totals = Counter(actual for actual, _ in pairs)
    width = (WIDTH - _LEFT - _RIGHT) / max(len(columns), 1)
    height = (HEIGHT - _TOP - _BOTTOM) / max(len(rows), 1)
    most = max(counts.values(), default=1)
    parts = [_axes(y_label, x_label)]
    for down, actual in enumerate(rows):
        y = _TOP + down * height
        parts.append(_y_tick(y + height / 2, actual[:9]))
        for right, predicted in enumerate(columns):
            count = counts[actual, predicted]
            share = count / totals[actual]
            x, depth = _LEFT + right * width, share if shares else count / most
            parts += [
                tag("rect", x=f"{x:.1f}", y=f"{y:.1f}", width=f"{width:.1f}", height=f"{height:.1f}", fill=_COLOURS[0], fill_opacity=f"{depth:.2f}"),
                tag("text", f"{share:.2f}" if shares else str(count), x=f"{x + width / 2:.1f}", y=f"{y + height / 2 + 4:.1f}", text_anchor="middle"),
            ]  # fmt: skip
    parts += [
        _x_tick(_LEFT + (right + 0.5) * width, name[:9]) for right, name in enumerate(columns)
    ]
    return _frame(title, *parts)


def _frame(title: str, *parts: Markup) -> Markup:
    return tag(
        "svg",
        tag("rect", width="100%", height="100%", fill="white"),
        tag("text", title, x=str(WIDTH // 2), y="17", text_anchor="middle", font_weight="bold"),
        joined(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=str(WIDTH),
        height=str(HEIGHT),
        font_family="sans-serif",
        font_size="11",
    )


def _axes(x_label: str, y_label: str) -> Markup:
    bottom, middle = HEIGHT - _BOTTOM, (HEIGHT - _BOTTOM + _TOP) // 2
    path = f"M{_LEFT},{_TOP}V{bottom}H{WIDTH - _RIGHT}"
    return joined(
        [
            tag("path", d=path, fill="none", stroke="#888"),
            tag("text", x_label, x=str((WIDTH + _LEFT) // 2), y=str(HEIGHT - 8), text_anchor="middle"),
            tag("text", y_label, text_anchor="middle", transform=f"translate(12 {middle}) rotate(-90)"),
        ]
    )  # fmt: skip


def _x_tick(x: float, text: str) -> Markup:
    return tag("text", text, x=f"{x:.1f}", y=str(HEIGHT - _BOTTOM + 14), text_anchor="middle")


def _y_tick(y: float, text: str) -> Markup:
    return tag("text", text, x=str(_LEFT - 5), y=f"{y + 4:.1f}", text_anchor="end")


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers from below `low` to above `high`."""
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(round_ for round_ in (1, 2, 2.5, 5, 10) if raw <= round_ * power * 1.0001)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _number(value: float) -> str:
    return f"{value:.4g}"


def _thinned(points: Points) -> list[tuple[float, float]]:
    usable = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    every = -(-len(usable) // _MANY)
    return usable[:: every or 1] if len(usable) <= _MANY else [*usable[::every], usable[-1]]
