"""What is selected in a view is seen: in itself, and of several in one picture in all that show experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nbexp.plots import Spec, look

# Of a chart by itself; in a picture of several they stand once, at the top.
_OUTER = ("$schema", "background", "config", "usermeta")
_BRUSHED = "brushed"

View = tuple[str, Callable[[Mapping[str, object]], Spec]]
"""The name of a view, and what draws it, given what it is to add to its options."""


def alone(
    draw: Callable[[Mapping[str, object]], Spec], added: Mapping[str, object] | None = None
) -> Spec:
    """A view by itself: a click or, among points, a rectangle leaves the experiments in it as they are and dims the others."""
    added = {**(added or {}), "brush": "brush"}
    spec = draw(added)
    selections = _params(spec)
    return draw({**added, "selections": selections}) if len(selections) > 1 else spec


def compose(views: Sequence[View], title: str | None = None) -> Spec:
    """The views below each other, linked.

    A rectangle drawn in a view of points, and a click on a point or line of any view, leaves the experiments in it as they
    are and dims the others everywhere. A double click clears it.

    Notes
    -----
    A rectangle selects by the fields of its own view; other views look these up by the name of the experiment,
    so their rows need not have them.
    """
    adds = [_added(number) for number in range(len(views))]
    first = [draw(added) for (_, draw), added in zip(views, adds, strict=True)]
    selections = [str(name) for spec in first for name in _params(spec)]
    specs = [
        draw({**added, "selections": selections})
        for (_, draw), added in zip(views, adds, strict=True)
    ]
    brushes = [
        (number, fields)
        for number, spec in enumerate(specs)
        if f"brush_{number}" in _params(spec) and (fields := _placed(spec))
    ]
    inner: list[Spec] = []
    notes: list[str] = []
    headings: list[str] = []
    columns: list[dict[str, str]] = []
    for number, spec in enumerate(specs):
        heading, named, told = look.told(spec)
        columns.append(named)
        headings.append(heading)
        notes += told
        part = {key: value for key, value in spec.items() if key not in _OUTER}
        fields = [field for at, names in brushes if at != number for field in names]
        if fields and _is_by_experiment(spec):
            _look_up(part, fields)
        inner.append(part)
    whole: Spec = {key: specs[0][key] for key in _OUTER if key in specs[0]}
    whole["usermeta"] = {
        "nbexp": {
            "heading": "; ".join(headings),
            "columns": {},
            "notes": notes,
            "views": columns,
        }
    }
    if title:
        whole["title"] = {"text": title, "anchor": "start"}
    if brushes:
        whole["datasets"] = {_BRUSHED: _brushed(specs, brushes)}
    return whole | {
        "vconcat": inner,
        "spacing": 28,
        "resolve": {
            "scale": dict.fromkeys(
                ("color", "shape", "strokeDash", "opacity", "fillOpacity"), "independent"
            )
        },
    }


def _added(number: int) -> dict[str, object]:
    return {"prefix": f"v{number}_", "pick": f"pick_{number}", "brush": f"brush_{number}"}


def _params(spec: Mapping[str, object]) -> list[object]:
    """The names of the selections of a view, of its layers too."""
    own = spec.get("params")
    found: list[object] = [param["name"] for param in own] if isinstance(own, list) else []
    layers = spec.get("layer")
    for layer in layers if isinstance(layers, list) else []:
        found += _params(layer)
    return found


def _placed(spec: Mapping[str, object]) -> list[str]:
    """The fields that a rectangle of the view selects by."""
    rows = look.rows_of(spec)
    return [key for key in rows[0] if key[:1] == "v" and "_" in key] if rows else []


def _is_by_experiment(spec: Mapping[str, object]) -> bool:
    if any("experiment" in row for row in look.rows_of(spec)[:1]):
        return True
    layers = spec.get("layer")
    return isinstance(layers, list) and any(_is_by_experiment(layer) for layer in layers)


def _look_up(part: Spec, fields: Sequence[str]) -> None:
    """Let the rows of a view, or of its layers with rows of their own, have those fields of their experiment."""
    layers = part.get("layer")
    own = [layer for layer in layers if "data" in layer] if isinstance(layers, list) else []
    if own:
        part["layer"] = [dict(layer) for layer in layers]  # type: ignore[attr-defined]  # a list, as just asked
        for layer in part["layer"]:  # type: ignore[attr-defined]  # the same
            if "data" in layer and _is_by_experiment(layer):
                _look_up(layer, fields)
        if "data" not in part:
            return
    steps = part.get("transform")
    part["transform"] = [
        {
            "lookup": "experiment",
            "from": {"data": {"name": _BRUSHED}, "key": "experiment", "fields": [*fields]},
        },
        *(steps if isinstance(steps, list) else []),
    ]


def _brushed(
    specs: Sequence[Mapping[str, object]], brushes: Sequence[tuple[int, Sequence[str]]]
) -> list[dict[str, object]]:
    found: dict[object, dict[str, object]] = {}
    for number, fields in brushes:
        for row in look.rows_of(specs[number]):
            mine = found.setdefault(row["experiment"], {"experiment": row["experiment"]})
            mine.update({field: row[field] for field in fields})
    return [*found.values()]
