"""A template and the rows of a plot become a chart: each anchor is replaced by what it stands for.

The anchors and what fills them are those of DVC 3.67.1, colours too: who looks at the JSON of both sees one chart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, islice

from nbexp.plots import Spec
from nbexp.plots.templates.pieces import anchor
from nbexp.plots.templates.rows import Row

_RANGES: Mapping[str, Sequence[object]] = {
    "color": ["#945dd6", "#13adc7", "#f46837", "#48bb78", "#4299e1", "#ed8936", "#f56565"],
    "stroke_dash": [[1, 0], [8, 8], [8, 4], [4, 4], [4, 2], [2, 1], [1, 1]],
    "shape": ["circle", "square", "triangle", "diamond"],
}
_FIXED: Mapping[str, object] = {
    "zoom_and_pan": {"name": "grid", "select": "interval", "bind": "scales"},
    "plot_height": 300,
    "plot_width": 300,
}
# Looks of dashes and shapes in the legend: filled, they would all be blots.
_HOLLOW = {"legend": {"symbolFillColor": "transparent", "symbolStrokeColor": "grey"}}
# What `split` leaves in the chart, to be filled by who shows it.
_SPLIT = frozenset(
    "color data plot_height plot_width shape stroke_dash title tooltip x_label y_label zoom_and_pan".split()
)
# All that a template may leave out.
_OPTIONAL = (
    "color", "column", "group_by_x", "group_by_y", "group_by", "pivot_field", "plot_height",
    "plot_width", "row", "shape", "stroke_dash", "tooltip", "zoom_and_pan",
)  # fmt: skip
_APART = "::"


class BadTemplate(Exception):
    """The template cannot take the data."""


def filled(
    template: Spec,
    rows: Sequence[Row],
    properties: Mapping[str, object],
    revisions: Sequence[str],
    *,
    split: bool = False,
) -> tuple[Spec, dict[str, object]]:
    """The chart, and with `split` what was left out of it by anchor.

    Parameters
    ----------
    rows, properties
        Of all revisions, as `rows.prepared` gives them. Columns that say the same in all rows are left out.

    Raises
    ------
    BadTemplate
        The template has no place for the data.
    """
    left = _SPLIT if split else frozenset()
    apart: dict[str, object] = {}
    content: object = template

    def fill(name: str, value: object) -> None:
        nonlocal content
        if name in left:
            apart[anchor(name)] = value
        else:
            content = _replaced(content, anchor(name), value)

    wanted = [name for name in _OPTIONAL if _has(template, anchor(name))]
    shown = [*rows]
    if wanted:
        varied = _varied(properties)
        values = _optional(properties, revisions, varied)
        for name in wanted:
            if name in values:
                fill(name, values[name])
            elif not varied:
                content = _replaced(content, anchor(name), {})
        shown = [_labelled(row, varied) for row in rows]
    x, y = properties.get("x"), properties.get("y")
    last = {
        "title": properties.get("title", ""),
        "x": _escaped(x),
        "y": _escaped(y),
        "x_label": properties.get("x_label", x),
        "y_label": properties.get("y_label", y),
        "data": shown,
    }
    if not split and not _has(content, anchor("data")):
        raise BadTemplate(f"the template has no `{anchor('data')}`, where its data would go.")
    for name, value in last.items():
        if value is not None:
            fill(name, value)
    return content, apart  # type: ignore[return-value]  # a mapping with its anchors replaced is one


def _optional(
    properties: Mapping[str, object], revisions: Sequence[str], varied: Sequence[str]
) -> dict[str, object]:
    """What fills the anchors that a template may leave out."""
    x, y = properties.get("x"), properties.get("y")
    several = _APART.join(varied)
    by = ["rev", several] if varied else ["rev"]
    told: list[object] = [{"field": name} for name in ("rev", x, y)]
    found = {
        "color": _mapping("color", "rev", revisions),
        **_FIXED,
        "group_by": by,
        "group_by_x": [*by, x],
        "group_by_y": [*by, y],
        "pivot_field": f" + '{_APART}' + ".join(f"datum.{name}" for name in ("rev", *varied)),
        "tooltip": told,
    }
    if varied:
        told.append({"field": several})
        place = {"field": several, "sort": []}
        found.update(row=place, column=place)
        domain = sorted(
            {_APART.join(one[key] for key in varied) for one in _definitions(properties)}
        )
        for name in ("stroke_dash", "shape"):
            found[name] = _mapping(name, several, domain) | _HOLLOW
    return found


def _mapping(name: str, column: str, domain: Sequence[str]) -> dict[str, object]:
    """Looks for the values of a column; they begin again where there are more values."""
    looks = [*islice(cycle(_RANGES[name]), len(domain))]
    return {"field": column, "scale": {"domain": [*domain], "range": looks}}


def _definitions(properties: Mapping[str, object]) -> list[dict[str, str]]:
    found = properties.get("anchors_y_definitions")
    return found if isinstance(found, list) else []


def _varied(properties: Mapping[str, object]) -> list[str]:
    """Which of file and column tell the lines of a plot apart; none where there is one line."""
    listed = _definitions(properties)
    if len(listed) <= 1:
        return []
    return [key for key in ("filename", "field") if len({one[key] for one in listed}) > 1]


def _labelled(row: Row, varied: Sequence[str]) -> Row:
    """The row with what tells its line apart in one column, and without what does not."""
    both = len(varied) == 2
    found = {
        key: value
        for key, value in row.items()
        if key not in ("filename", "field") or (key in varied and not both)
    }
    if both:
        found[_APART.join(varied)] = _APART.join(str(row[key]) for key in varied)
    return found


def _escaped(name: object) -> object:
    """A column's name for Vega, which takes dots and brackets for ways into an object."""
    if not isinstance(name, str):
        return name
    for character in ".[]":
        name = name.replace(character, f"\\{character}")
    return name


def _has(tree: object, text: str) -> bool:
    """Whether an anchor stands anywhere as a value of its own."""
    if isinstance(tree, dict):
        return any(_has(value, text) for value in tree.values())
    if isinstance(tree, list):
        return any(_has(value, text) for value in tree)
    return tree == text


def _replaced(tree: object, text: str, value: object) -> object:
    """A copy in which the value stands for the anchor; a text also where the anchor is part of one."""
    if isinstance(tree, dict):
        return {key: _put(inner, text, value) for key, inner in tree.items()}
    if isinstance(tree, list):
        return [value if inner == text else _replaced(inner, text, value) for inner in tree]
    return tree


def _put(inner: object, text: str, value: object) -> object:
    if isinstance(inner, str):
        if inner == text:
            return value
        return inner.replace(text, value) if isinstance(value, str) else inner
    return _replaced(inner, text, value)
