"""A chart said in Altair's words: code that draws the same in a notebook of its own, to be changed by hand.

It is made from the chart itself, so it says what is drawn, whatever the plot type. Names of users stand in it as Python's
literals, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nbexp.plots import Spec, look

_WIDTH = 96
# Altair reads no more rows than this, unless it is told to.
_MAX_ROWS = 5000


def write(spec: Spec, call: str, kinds: Sequence[str]) -> str:
    """The code, which ends in the chart.

    Parameters
    ----------
    call
        What makes the plot of a project: `plot('acc')`.
    kinds
        The plot types of its views.
    """
    lines = ["import altair as alt", "import nbexp"]
    if "revisions=Revisions(" in call:
        lines.append("from nbexp.experiments.selection import Revisions")
    lines.append("")
    lines.append(f"plot = nbexp.open().{call}")
    parts: Any = spec.get("vconcat")
    views: list[Spec] = [spec] if parts is None else parts
    if max((len(rows) for view in views for rows in _all_rows(view)), default=0) > _MAX_ROWS:
        lines.append("alt.data_transformers.disable_max_rows()")
    columns = _columns(spec, len(views))
    names = ["data"] if parts is None else [f"data_{at + 1}" for at in range(len(views))]
    charts = []
    for at, view in enumerate(views):
        which = "" if parts is None else f"{kinds[at]!r}, "
        frame = f"plot.to_frame({which}drawn=True)"
        renamed = {title: field for field, title in columns[at].items() if title != field}
        lines.append(f"{names[at]} = {frame}")
        if renamed:
            lines += _laid(
                f"{names[at]} = {names[at]}.rename(columns=", "{", _pairs(renamed), "}", ")"
            )
        place = "plot.spec" if parts is None else f"plot.spec['vconcat'][{at}]"
        charts.append(_chart(view, names[at], place))
    lines.append("")
    if parts is None:
        lines += [f"chart = {charts[0]}"]
    else:
        for at, chart in enumerate(charts):
            lines.append(f"view_{at + 1} = {chart}")
        inner = ", ".join(f"view_{at + 1}" for at in range(len(charts)))
        spacing = f", spacing={spec['spacing']!r}" if "spacing" in spec else ""
        lines.append(f"chart = alt.vconcat({inner}{spacing}){_resolved(spec)}")
        if "title" in spec:
            lines.append(f"chart = chart.properties(title={spec['title']!r})")
    lines += _laid("chart = chart.configure(", "", _named(_configured(spec)), "", ")")
    lines.append("chart")
    return "\n".join(lines)


def _columns(spec: Spec, count: int) -> list[dict[str, str]]:
    """Of each view, what its fields are called in its frame."""
    meta: Any = spec.get("usermeta") or {}
    mine = meta.get("nbexp", {})
    views = mine.get("views")
    return views if views is not None else [mine.get("columns", {})] * count


def _all_rows(spec: Mapping[str, Any]) -> list[list[dict[str, object]]]:
    return [
        look.rows_of(spec),
        *(rows for layer in spec.get("layer", ()) for rows in _all_rows(layer)),
    ]


def _configured(spec: Spec) -> dict[str, object]:
    found: Any = spec.get("config", {})
    return {"background": spec.get("background", "white"), **found}


# ---- charts


def _chart(spec: Mapping[str, Any], data: str, place: str) -> str:
    """An expression that makes the chart; `data` is the variable with its rows, `place` the chart in the plot."""
    if "facet" in spec:
        inner = _chart(spec["spec"], "", f"{place}['spec']")
        facet = dict(spec["facet"])
        arguments = [f"facet={_object('Facet', facet)}", f"columns={spec['columns']!r}"]
        return f"{inner}.facet({', '.join(arguments)}, data={data}){_properties(spec)}"
    if "layer" not in spec:
        return f"{_unit(spec, data)}{_properties(spec)}{_resolved(spec)}"
    own = not look.rows_of(spec)
    layers = []
    for at, layer in enumerate(spec["layer"]):
        rows = ""
        if "data" in layer:
            rows = f"alt.Data(values={place}['layer'][{at}]['data']['values'])"
            if own and at == 0 and data:
                rows = data
        layers.append(_unit(layer, rows))
    head = "alt.layer(\n" + "".join(f"{_in(layer)},\n" for layer in layers)
    shared = f"{_in(f'data={data}')},\n" if data and not own else ""
    return (
        f"{head}{shared}){_encoded(spec)}{_transformed(spec)}{_properties(spec)}{_resolved(spec)}"
    )


def _unit(spec: Mapping[str, Any], data: str) -> str:
    mark = dict(spec["mark"])
    kind = mark.pop("type")
    head = f"alt.Chart({data})"
    marked = "\n".join(_laid(f".mark_{kind}(", "", _named(mark), "", ")"))
    return f"{head}{_transformed(spec)}{marked}{_encoded(spec)}{_selecting(spec)}"


def _encoded(spec: Mapping[str, Any]) -> str:
    encoding = spec.get("encoding")
    if not encoding:
        return ""
    items = []
    for channel, told in encoding.items():
        name = channel[0].upper() + channel[1:]
        if isinstance(told, list):
            inner = ", ".join(_object(name, one) for one in told)
            text = f"{channel}=[{inner}]"
            if len(text) > _WIDTH - 8:
                lines = "".join(f"{_in(_object(name, one))},\n" for one in told)
                text = f"{channel}=[\n{lines}]"
        else:
            text = f"{channel}={_object(name, told)}"
        items.append(text)
    return ".encode(\n" + "".join(f"{_in(item)},\n" for item in items) + ")"


def _object(name: str, told: Mapping[str, Any]) -> str:
    """A channel: `alt.X(field='x', type='quantitative')`."""
    if "value" in told and "field" not in told:
        return "\n".join(_laid(f"alt.{name}Value(", "", _named(told), "", ")"))
    return "\n".join(_laid(f"alt.{name}(", "", _named(told), "", ")"))


def _selecting(spec: Mapping[str, Any]) -> str:
    found = []
    for param in spec.get("params", ()):
        select = dict(param["select"])
        kind = select.pop("type")
        arguments = {"name": param["name"], **select}
        if "bind" in param:
            arguments["bind"] = param["bind"]
        found.append(f"alt.selection_{kind}({', '.join(_named(arguments))})")
    return f".add_params({', '.join(found)})" if found else ""


def _transformed(spec: Mapping[str, Any]) -> str:
    found = ""
    for step in spec.get("transform", ()):
        if "filter" in step:
            found += f".transform_filter({step['filter']!r})"
        elif "calculate" in step:
            found += f".transform_calculate(**{{{step['as']!r}: {step['calculate']!r}}})"
        else:
            source = step["from"]
            rows = f"alt.Data(values=plot.spec['datasets'][{source['data']['name']!r}])"
            inner = f"data={rows}, key={source['key']!r}, fields={source['fields']!r}"
            found += f".transform_lookup(lookup={step['lookup']!r}, from_=alt.LookupData({inner}))"
    return found


def _properties(spec: Mapping[str, Any]) -> str:
    found = {key: spec[key] for key in ("width", "height", "title", "view") if key in spec}
    return "\n".join(_laid(".properties(", "", _named(found), "", ")")) if found else ""


def _resolved(spec: Mapping[str, Any]) -> str:
    scales = spec.get("resolve", {}).get("scale")
    return f".resolve_scale({', '.join(_named(scales))})" if scales else ""


# ---- text


def _named(values: Mapping[str, object]) -> list[str]:
    """Arguments by name; a word of Python's is handed over as one of a dict."""
    return [f"{key}={value!r}" for key, value in values.items()]


def _pairs(values: Mapping[str, object]) -> list[str]:
    return [f"{key!r}: {value!r}" for key, value in values.items()]


def _laid(before: str, opened: str, items: Iterable[str], closed: str, after: str) -> list[str]:
    """All on one line where it fits, else a line for each item."""
    items = list(items)
    whole = f"{before}{opened}{', '.join(items)}{closed}{after}"
    if len(whole) <= _WIDTH - 8 or not items:
        return [whole]
    return [f"{before}{opened}", *(f"    {item}," for item in items), f"{closed}{after}"]


def _in(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
