"""Curves of what a run logs, as small SVG charts that can be made four times a second.

No drawing library: of a long curve the least and the greatest value of each pixel are kept, so that a picture has a size
that does not grow with the curve. It brings its own colours, and reads on a light and on a dark page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from nbexp.pipeline.dag.states import Picture
from nbexp.pipeline.standing import Curve

# What is drawn at most: charts, and lines in one of them. The text beside has every last value.
MAX_CHARTS, _MAX_LINES = 6, 4
_WIDE, _TALL, _GAP = 214.0, 118.0, 8.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 8.0, 8.0, 30.0, 18.0
_PIXELS = 180  # that a line is long
_COLUMNS = 4
_LINES = ("#2f6fde", "#c2571a", "#2b8a4b", "#8a4fbf")
_FONT = "system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif"


def draw(curves: Mapping[tuple[str, str], Curve]) -> Picture | None:
    """A chart for each name that has two values at least, of several stages one line each; None: there is none."""
    charts: dict[str, list[tuple[str, Curve]]] = {}
    for (stage, name), curve in curves.items():
        if len(curve.steps) > 1:
            charts.setdefault(name, []).append((stage, curve))
    shown = [*charts.items()][:MAX_CHARTS]
    if not shown:
        return None
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    width = columns * (_WIDE + _GAP) - _GAP + 2
    height = rows * (_TALL + _GAP) - _GAP + 2
    body = []
    for number, (name, lines) in enumerate(shown):
        x = 1 + number % columns * (_WIDE + _GAP)
        y = 1 + number // columns * (_TALL + _GAP)
        body.append(f'<g transform="translate({x:.0f} {y:.0f})">{_chart(name, lines)}</g>')
    words = "; ".join(_words(name, lines) for name, lines in shown)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(words)}" '
        'style="max-width:100%;height:auto">'
    )
    return Picture("\n".join([head, *body, "</svg>"]), words, round(width), round(height))


def thinned(
    steps: Sequence[float], values: Sequence[float], pixels: int = _PIXELS
) -> list[tuple[float, float]]:
    """The points of a curve that are seen on so many pixels: the first, least, greatest and last of each."""
    if len(steps) <= 2 * pixels:
        return [*zip(steps, values, strict=True)]
    found: list[tuple[float, float]] = []
    for number in range(pixels):
        start = number * len(steps) // pixels
        stop = (number + 1) * len(steps) // pixels
        part = range(start, stop)
        least = min(part, key=values.__getitem__)
        most = max(part, key=values.__getitem__)
        kept = sorted({start, least, most, stop - 1})
        found += [(steps[at], values[at]) for at in kept]
    return found


def _chart(name: str, lines: Sequence[tuple[str, Curve]]) -> str:
    lines = lines[:_MAX_LINES]
    low = min(min(curve.values) for _, curve in lines)
    high = max(max(curve.values) for _, curve in lines)
    first = min(min(curve.steps) for _, curve in lines)
    last = max(max(curve.steps) for _, curve in lines)
    across, up = last - first or 1.0, high - low or 1.0
    inner, tall = _WIDE - _LEFT - _RIGHT, _TALL - _TOP - _BOTTOM
    parts = [
        f'<rect width="{_WIDE:.0f}" height="{_TALL:.0f}" rx="6" fill="#fbfcfe" stroke="#c3ccd9"/>',
        f'<path d="M{_LEFT:.0f} {_TOP + tall:.1f}h{inner:.0f}" stroke="#c3ccd9"/>',
    ]
    for number, (_, curve) in enumerate(lines):
        points = [
            (_LEFT + (step - first) / across * inner, _TOP + (high - value) / up * tall)
            for step, value in thinned(curve.steps, curve.values)
        ]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour = _LINES[number % len(_LINES)]
        x, y = points[-1]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round" points="{way}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>'
        )
    value = _number(lines[0][1].values[-1]) if len(lines) == 1 else f"{len(lines)} stages"
    bottom = f"{_TALL - 6:.0f}"
    parts += [
        _text(_LEFT, 17, name[:22], weight=600),
        _text(_WIDE - _RIGHT, 17, value, anchor="end", weight=600),
        _text(_LEFT, float(bottom), f"{first:g}", size=9.5),
        _text(_WIDE - _RIGHT, float(bottom), f"step {last:g}", size=9.5, anchor="end"),
        _text(_WIDE / 2, float(bottom), f"{_number(low)} to {_number(high)}", size=9.5, anchor="middle"),
    ]  # fmt: skip
    return "".join(parts)


def _words(name: str, lines: Sequence[tuple[str, Curve]]) -> str:
    said = [
        f"{f'{stage} ' if len(lines) > 1 else ''}{_number(curve.values[-1])} at step {curve.steps[-1]:g}"
        for stage, curve in lines[:_MAX_LINES]
    ]
    return f"{name}: {', '.join(said)}"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _text(
    x: float, y: float, text: str, *, size: float = 11.5, anchor: str = "start", weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="{_FONT}" font-size="{size:g}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="#1b2a41">{escape(text)}</text>'
    )
