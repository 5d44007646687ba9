"""What all plot types share: colours, the frame around the data, what is left out, and how views are linked.

A picture does not know whether it will stand on a white page or a dark one, nor who looks at it: everything here can be
read on both, and by those who tell few colours apart.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from nbexp.plots import Record, Spec

T = TypeVar("T")

# The colours of Okabe and Ito (2008), told apart with every common colour blindness; orange and sky blue are
# darkened and black and yellow left out, so that each has 3 : 1 against a white page and a dark one.
COLOURS = ("#0072B2", "#C68200", "#009E73", "#CC79A7", "#3D9BD4", "#D55E00")
# Dashes and shapes say the same again. Their counts and that of the colours have the least common
# multiple 60: so many lines look different.
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4])
SHAPES = ("circle", "square", "triangle-up", "diamond")

# From low to high: blue to orange, which nobody mixes up, and no end of it vanishes on either page.
RAMP = ["#0072B2", "#8C8C8C", "#C68200"]

# Grey that is legible on white (4.5 : 1) and on JupyterLab's dark page (4.1 : 1).
TEXT, RULE = "#767676", "#80808040"

# Points beyond these are not seen apart, and would be saved with every notebook.
MAX_POINTS = 2000
# More groups than this cannot be told apart by colour and shape.
MAX_GROUPS = 12

LIT, DIM = 1.0, 0.12
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"


# ---- the frame around the data


def chart(
    options: Mapping[str, object],
    columns: Mapping[str, str],
    *,
    heading: str,
    notes: Sequence[str] = (),
    width: object = 520,
    height: object = 280,
) -> Spec:
    """A chart without its data: schema, size, title and the looks of axes and legends.

    Parameters
    ----------
    columns
        What the fields of the data are called to people, in the order of a table.
    heading
        What the chart shows, in words.
    notes
        What is left out, and what else one has to know; they stand below the title.
    """
    spec: Spec = {
        "$schema": _SCHEMA,
        "background": "transparent",
        "usermeta": {
            "nbexp": {"heading": heading, "columns": distinct(columns), "notes": [*notes]}
        },
        "width": options.get("width", width),
        "height": options.get("height", height),
        "config": config(),
    }
    title = options.get("title")
    if title or notes:
        told: dict[str, object] = {"text": str(title or heading), "anchor": "start", "offset": 12}
        if notes:
            told["subtitle"] = [*notes]
        spec["title"] = told
    return spec


def ink() -> dict[str, Spec]:
    """The colours of what is around the data."""
    words: Spec = {"labelColor": TEXT, "titleColor": TEXT}
    return {
        "view": {"stroke": RULE},
        "axis": {
            **words,
            "titleFontWeight": "normal",
            "gridColor": RULE,
            "domainColor": RULE,
            "tickColor": RULE,
        },
        "legend": {**words},
        "header": {**words},
        "title": {"color": TEXT},
    }


def config() -> Spec:
    """The looks of what is around the data."""
    sizes: dict[str, Spec] = {
        "axis": {"labelFontSize": 11, "titleFontSize": 12, "titleLimit": 400},
        "legend": {"titleFontWeight": "normal", "labelFontSize": 12},
        "title": {"subtitleColor": TEXT, "fontSize": 13, "subtitlePadding": 4},
    }
    return {part: {**looks, **sizes.get(part, {})} for part, looks in ink().items()}


def distinct(columns: Mapping[str, str]) -> dict[str, str]:
    """The titles with a number behind those that another field has already."""
    found: dict[str, str] = {}
    for field, title in columns.items():
        number, told = 1, title
        while told in found.values():
            number += 1
            told = f"{title} ({number})"
        found[field] = told
    return found


def told(spec: Mapping[str, object]) -> tuple[str, dict[str, str], list[str]]:
    """What a chart says of itself: its heading, the titles of its fields, its notes. A stranger's says nothing."""
    meta = spec.get("usermeta")
    mine = meta.get("nbexp") if isinstance(meta, Mapping) else None
    if not isinstance(mine, Mapping):
        return "", {}, []
    return str(mine["heading"]), dict(mine["columns"]), list(mine["notes"])


def rows_of(spec: Mapping[str, object]) -> list[dict[str, object]]:
    """The rows of a chart's data."""
    data = spec.get("data")
    values = data.get("values") if isinstance(data, Mapping) else None
    return values if isinstance(values, list) else []


def field(options: Mapping[str, object], name: str) -> str:
    """A field of the data; among several views, whose rows meet, it is one's own."""
    return f"{options.get('prefix') or ''}{name}"


def name_column() -> Spec:
    """The experiment, as a tooltip has it."""
    return {"field": "experiment", "type": "nominal", "title": "experiment"}


# ---- values


def is_number(value: object) -> bool:
    """A finite int or float that is no boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def word(value: object) -> str:
    """A value of a category."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False, default=str)


def brief(value: object) -> str:
    """A number as an axis or a table says it."""
    return f"{value:.5g}" if isinstance(value, float) else word(value)


def rank(value: object) -> tuple[int, Any]:
    """An order of values of any types: numbers, then words."""
    return (0, value) if is_number(value) else (1, word(value))


def is_quantity(values: Iterable[object]) -> bool:
    """Whether all of them are numbers: else they are categories, however many numbers are among them."""
    found = list(values)
    return bool(found) and all(is_number(value) for value in found)


def has(record: Record, title: str) -> bool:
    """Whether a row has anything usable in a column: text, a truth, or a finite number."""
    value = record.values.get(title)
    return value is not None and (not isinstance(value, float) or math.isfinite(value))


def numbers(
    data: Sequence[Record], title: str, notes: list[str], *, is_log: bool = False
) -> list[Record]:
    """The rows with a number in the column; that others are left out is noted."""
    found = [one for one in data if is_number(one.values.get(title))]
    if len(found) < len(data):
        notes.append(f"{len(data) - len(found)} of {len(data)} have no number in {title}")
    return above_zero(found, title, notes) if is_log else found


def above_zero(data: Sequence[Record], title: str, notes: list[str]) -> list[Record]:
    """The rows that a logarithmic axis has a place for."""
    found = [one for one in data if _number(one, title) > 0]
    if len(found) < len(data):
        notes.append(
            f"{len(data) - len(found)} at or below 0 in {title} have no place on a logarithmic axis"
        )
    return found


def _number(record: Record, title: str) -> float:
    value = record.values[title]
    assert isinstance(value, (int, float))
    return value


def number(record: Record, title: str) -> float:
    """The number that `numbers` has made sure of."""
    return _number(record, title)


def asked(options: Mapping[str, object]) -> tuple[str, ...]:
    """The columns that were asked for, the last one the metric."""
    found = options.get("columns")
    return tuple(str(one) for one in found) if isinstance(found, (list, tuple)) else ()


def short(titles: Sequence[str]) -> dict[str, str]:
    """The titles with as few of their dotted parts, from the end, as tell them apart: `lr` for `train.lr`."""
    found = {}
    for title in titles:
        parts = title.split(".")
        for count in range(1, len(parts) + 1):
            tail = ".".join(parts[-count:])
            if not any(other != title and _ends(other, tail) for other in titles):
                break
        found[title] = tail
    return found


def _ends(title: str, tail: str) -> bool:
    return title == tail or title.endswith(f".{tail}")


# ---- what is left out


def thinned(data: Sequence[T], limit: int, keys: Sequence[Mapping[int, float]]) -> list[T]:
    """About `limit` of the data, evenly, and those that are the lowest and highest by any of the keys."""
    if not limit or len(data) <= limit:
        return list(data)
    kept = {round(at * (len(data) - 1) / (limit - 1)) for at in range(limit)}
    for known in keys:
        if known:
            kept |= {min(known, key=known.__getitem__), max(known, key=known.__getitem__)}
    return [data[at] for at in sorted(kept)]


def limit_of(options: Mapping[str, object], default: int) -> int:
    """How many are drawn; 0 draws all."""
    found = options.get("limit")
    return default if not isinstance(found, int) else found


def note_thinned(shown: int, total: int, notes: list[str], what: str = "experiments") -> None:
    """Say that not all are drawn."""
    if shown < total:
        notes.append(f"{shown:,} of {total:,} {what} are drawn")


# ---- axes


def axis(
    options: Mapping[str, object],
    name: str,
    title: str,
    values: Sequence[object],
    letter: str,
) -> Spec:
    """An encoding by position: a quantity where all values are numbers, else categories in order."""
    label = str(options.get(f"{letter}_label") or title)
    if not is_quantity(values):
        found: Spec = {
            "field": name,
            "type": "nominal",
            "title": label,
            "sort": [word(value) for value in sorted(once(values), key=rank)],
            "axis": {"labelLimit": 260, "labelOverlap": True},
        }
        if letter == "x" and sum(len(word(value)) for value in once(values)) > 60:
            found["axis"] = {"labelLimit": 160, "labelAngle": -35, "labelOverlap": True}
        return found
    # Rounded ends would put the axis of a small positive param below 0.
    scale: Spec = {"zero": False, "padding": 10, **({"nice": False} if letter == "x" else {})}
    ticks: Spec = {}
    if options.get(f"log_{letter}"):
        scale = {"type": "log", "padding": 10, "nice": False}
        ticks = log_ticks(values)
    else:
        ticks = few_steps(values)
    return {"field": name, "type": "quantitative", "title": label, "scale": scale, "axis": ticks}


def few_steps(steps: Sequence[object]) -> Spec:
    """Ticks for a handful of whole steps. Vega would divide them (1.0, 1.2, …), whatever `tickMinStep` says."""
    known = [step for step in steps if isinstance(step, (int, float))]
    if not known or not all(float(step).is_integer() for step in known):
        return one_tick(known)
    first, last = int(min(known)), int(max(known))
    return {"values": list(range(first, last + 1)), "format": "d"} if last - first <= 10 else {}


def one_tick(values: Iterable[object]) -> Spec:
    """What an axis needs whose values are all one: without digits asked for, Vega writes 1 for 0.9 at its only tick."""
    return {"format": ".6~g"} if len({value for value in values if is_number(value)}) == 1 else {}


def log_ticks(values: Iterable[object]) -> Spec:
    """Ticks of a logarithmic axis: the powers of ten, with 2 and 5 between them where there are few. Vega has nine a decade."""
    known = [value for value in values if isinstance(value, (int, float)) and value > 0]
    found: Spec = {"format": "~g", "labelOverlap": True}
    if known:
        low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
        between = (1, 2, 5) if high - low <= 3 else (1,)
        # Exact: 10 ** -3 is a float's 0.001, 2 * 10 ** -3 need not be its 0.002.
        ticks = [float(f"{one}e{power}") for power in range(low, high + 1) for one in between]
        found["values"] = [t for t in ticks if min(known) / 2 <= t <= max(known) * 2]
    return found


def once(values: Iterable[object]) -> list[object]:
    """Each value once, in the order they came in."""
    found: dict[str, object] = {}
    for value in values:
        found.setdefault(f"{type(value).__name__}{value!r}", value)
    return [*found.values()]


# ---- groups and names


def groups(names: Sequence[str], options: Mapping[str, object], notes: list[str]) -> dict[str, str]:
    """The group of each name; the smallest beyond `MAX_GROUPS` go together. Empty where none were asked for."""
    given = options.get("groups")
    if not isinstance(given, Mapping):
        return {}
    found = {name: str(given.get(name, "–")) for name in names}
    counts = Counter(found.values())
    if len(counts) <= MAX_GROUPS:
        return found
    kept = {group for group, _ in counts.most_common(MAX_GROUPS - 1)}
    notes.append(f"{len(counts) - len(kept)} of {len(counts)} groups go together as “others”")
    return {name: group if group in kept else "others" for name, group in found.items()}


def group_names(groups: Mapping[str, str], options: Mapping[str, object]) -> list[str]:
    """The groups there are, in the order of `group_order` where one is given, “others” last."""
    found = list(dict.fromkeys(groups.values()))
    order = options.get("group_order")
    if isinstance(order, (list, tuple)):
        place = {group: at for at, group in enumerate(order)}
        found.sort(key=lambda group: place.get(group, len(place)))
    return found


def by_name(
    name: str, domain: Sequence[str], looks: Sequence[object], legend: Mapping[str, object] | None
) -> Spec:
    """An encoding that gives each name its look, the same whatever the order of the data."""
    return {
        "field": name,
        "type": "nominal",
        "scale": {
            "domain": list(domain),
            "range": [looks[at % len(looks)] for at in range(len(domain))],
        },
        "legend": legend,
    }


def legend(names: Sequence[str], title: str | None = None, **more: object) -> Spec:
    """A legend in as many columns as it needs."""
    return {
        "title": title,
        "columns": math.ceil(len(names) / _LEGEND_ROWS) or 1,
        "labelLimit": 240,
        **more,
    }


_LEGEND_ROWS = 14


def ramp(name: str, title: str) -> Spec:
    """Colour by a number."""
    return {
        "field": name,
        "type": "quantitative",
        "title": title,
        "scale": {"range": RAMP, "zero": False, "interpolate": "lab"},
        "legend": {"gradientLength": 140, "titleLimit": 180, "format": ".4~g"},
    }


# ---- linked views


def pick(options: Mapping[str, object], *, legend: bool = False) -> list[Spec]:
    """The selection that a click makes; with `legend` by a click on its entries as well."""
    found: Spec = {
        "name": options.get("pick") or "pick",
        "select": {"type": "point", "fields": ["experiment"]},
    }
    return [{**found, "bind": "legend"} if legend else found]


def brush(options: Mapping[str, object]) -> list[Spec]:
    """The selection that a drawn rectangle makes: only where several views are shown together."""
    name = options.get("brush")
    return [{"name": name, "select": {"type": "interval"}}] if name else []


def dimmed(options: Mapping[str, object], lit: float = LIT, dim: float = DIM) -> Spec:
    """How visible a mark is: as it is where it is selected or nothing is, else hardly."""
    names = options.get("selections")
    if not isinstance(names, (list, tuple)) or len(names) < 2:
        own = names[0] if names else options.get("pick") or "pick"  # type: ignore[index]  # a list, as just asked
        return {"condition": {"param": own, "value": lit}, "value": dim}
    return {
        "condition": {"test": {"and": [{"param": name} for name in names]}, "value": lit},
        "value": dim,
    }
