"""Curves as small SVG in a page: text in the page's font and colours, and a name on each line for its script.

vl-convert draws better single charts; two hundred lines, though, take it seconds and megabytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nbexp.markup import Markup, tag
from nbexp.plots import Series
from nbexp.plots.line import COLOURS, thinned

# Twice the size it is shown in, so that whole numbers are half a pixel.
_WIDTH, _HEIGHT = 880, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 14, 14, 44
_MANY = 12


def curves(
    series: Sequence[Series],
    looks: Mapping[str, str],
    label: str,
    *,
    points: int,
    small: bool = False,
) -> Markup:
    """A chart of some series.

    Parameters
    ----------
    looks
        The class of each, by its name, which is also what the line is called in the page; see `colours`.
    points
        About how many a line may have.
    small
        The chart is shown small, so its text is larger.
    """
    known = [(one.name, _finite(one, points)) for one in series]
    known = [(name, found) for name, found in known if found]
    if not known:
        return tag("p", "No value that is a number.", class_="empty")
    steps = [step for _, found in known for step, _ in found]
    values = [value for _, found in known for _, value in found]
    x_ticks = _ticks(min(steps), max(steps), whole=all(float(one).is_integer() for one in steps))
    y_ticks = _ticks(min(values), max(values))
    across = _Scale(min(steps), max(steps), _LEFT + 10, _WIDTH - _RIGHT - 10)
    up = _Scale(min(*values, y_ticks[0]), max(*values, y_ticks[-1]), _HEIGHT - _BOTTOM, _TOP)
    parts: list[Markup] = []
    rules = "".join(f"M{_LEFT},{up(tick)}H{_WIDTH - _RIGHT}" for tick in y_ticks)
    parts.append(tag("path", class_="grid", d=rules))
    labels = [
        tag("text", text, x=str(_LEFT - 10), y=str(up(tick) + 7))
        for tick, text in zip(y_ticks, _labels(y_ticks), strict=True)
    ]
    parts.append(tag("g", *labels, class_="up"))
    labels = [
        tag("text", text, x=str(across(tick)), y=str(_HEIGHT - 10))
        for tick, text in zip(x_ticks, _labels(x_ticks), strict=True)
        if min(steps) <= tick <= max(steps)
    ]
    parts.append(tag("g", *labels, class_="along"))
    lines = [_line(name, found, looks[name], across, up) for name, found in known]
    parts.append(tag("g", *lines, class_="many" if len(known) > _MANY else None))
    return tag(
        "svg",
        *parts,
        class_="small" if small else None,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=f"{label} by step",
    )


def colours(names: Sequence[str]) -> dict[str, str]:
    """The class that gives a name its colour (`c0`, `c1`, … of site.css), the same on every page of a site."""
    return {name: f"c{at % len(COLOURS)}" for at, name in enumerate(names)}


def _line(
    name: str, found: Sequence[tuple[float, float]], colour: str, across: _Scale, up: _Scale
) -> Markup:
    places = [(across(step), up(value)) for step, value in found]
    words = tag("title", f"{name}: {found[-1][1]:.5g} at the end")
    if len(places) == 1:
        (x, y), *_ = places
        point = tag("circle", class_="point", cx=str(x), cy=str(y), r="7")
        return tag("g", words, point, data_e=name, class_=colour)
    (x, y), *rest = places
    path = f"M{x},{y}l"
    for to_x, to_y in rest:
        path += f"{to_x - x},{to_y - y} "
        x, y = to_x, to_y
    path = path.rstrip().replace(",-", "-").replace(" -", "-")
    return tag("g", words, tag("path", class_="line", d=path), data_e=name, class_=colour)


class _Scale:
    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._start = low, start
        self._factor = (end - start) / (high - low) if high > low else 0.0
        self._middle = (start + end) / 2 if high <= low else None

    def __call__(self, value: float) -> int:
        if self._middle is not None:
            return round(self._middle)
        return round(self._start + (value - self._low) * self._factor)


def _finite(one: Series, points: int) -> list[tuple[float, float]]:
    found = [
        (step, value)
        for step, value in zip(one.steps, one.values, strict=True)
        if math.isfinite(step) and math.isfinite(value)
    ]
    return thinned(found, max(points, 4))


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Four or five round numbers that span a range: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
    if whole:
        step = max(1, round(step))
    first = math.floor(low / step + 1e-9)
    count = math.ceil(high / step - 1e-9) - first
    return [float(f"{(first + at) * step:.12g}") for at in range(count + 1)]


def _labels(ticks: Sequence[float]) -> list[str]:
    """The ticks with as many decimals each; very large and small ones as powers."""
    largest = max(map(abs, ticks))
    if largest and not 1e-3 <= largest < 1e5:
        return [f"{tick:.3g}" for tick in ticks]
    for decimals in range(7):
        if all(abs(tick - round(tick, decimals)) <= 1e-9 * max(1, largest) for tick in ticks):
            return [f"{tick:.{decimals}f}" for tick in ticks]
    return [f"{tick:.3g}" for tick in ticks]
