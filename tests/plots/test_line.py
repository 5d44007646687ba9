from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import pytest

from nbexp.plots import line, render


@dataclass(frozen=True)
class Series:
    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    x: str = "step"


LOW = Series("low-lr", (1, 2, 3), (0.8, 0.85, 0.875))
HIGH = Series("high-lr", (1, 2, 3), (0.9, 0.925, 0.945))


def test_each_step_is_a_row_with_the_name_of_its_experiment() -> None:
    spec = line.plot([LOW, HIGH], {"y_label": "acc"})
    assert spec["data"] == {
        "values": [
            {"experiment": "low-lr", "step": 1, "value": 0.8},
            {"experiment": "low-lr", "step": 2, "value": 0.85},
            {"experiment": "low-lr", "step": 3, "value": 0.875},
            {"experiment": "high-lr", "step": 1, "value": 0.9},
            {"experiment": "high-lr", "step": 2, "value": 0.925},
            {"experiment": "high-lr", "step": 3, "value": 0.945},
        ]
    }


def test_the_axes_say_what_they_show() -> None:
    by_epoch = Series("low-lr", (1, 2), (0.8, 0.9), x="epoch")
    encoding = line.plot([by_epoch], {"y_label": "acc"})["encoding"]
    assert isinstance(encoding, dict)
    assert [encoding[axis]["title"] for axis in "xy"] == ["epoch", "acc"]


def test_the_chart_is_a_fifth_vega_lite_on_the_ground_of_its_page() -> None:
    spec = line.plot([LOW], {})
    assert spec["$schema"] == "https://vega.github.io/schema/vega-lite/v5.json"
    assert spec["background"] == "transparent"


def test_sixty_experiments_differ_in_colour_dash_or_shape() -> None:
    series = [Series(f"exp-{n}", (1, 2), (n, n)) for n in range(60)]
    looks = list(
        zip(*(_looks(series, channel) for channel in ("color", "strokeDash", "shape")), strict=True)
    )
    assert len({json.dumps(look) for look in looks}) == 60


def test_two_experiments_differ_without_their_colour() -> None:
    assert _looks([LOW, HIGH], "strokeDash") == [[1, 0], [6, 3]]
    assert _looks([LOW, HIGH], "shape") == ["circle", "square"]


def test_every_colour_and_the_text_stand_out_on_white_and_on_black_pages() -> None:
    for page in ("#FFFFFF", "#111111"):
        assert min(_contrast(colour, page) for colour in line.COLOURS) >= 3
        assert _contrast(line.TEXT, page) >= 4


@pytest.mark.parametrize(
    ("steps", "ticks"),
    [
        ((1, 2, 3), ["1", "2", "3"]),
        ((5.0,), ["5"]),
        ((0, 10), [str(number) for number in range(11)]),
        ((0.5, 1.0), ["0.50", "0.55"]),
    ],
)
def test_a_handful_of_whole_steps_has_whole_ticks(
    steps: tuple[float, ...], ticks: list[str]
) -> None:
    drawing = ET.fromstring(render.svg(line.plot([Series("low-lr", steps, steps)], {})))
    groups = [g for g in drawing.iter() if (g.get("aria-label") or "").startswith("X-axis")]
    texts = [text.text or "" for text in groups[0].iter() if text.tag.endswith("text")]
    assert [text for text in texts if text in ticks] == ticks


def test_what_is_no_number_leaves_a_gap() -> None:
    spec = line.plot([Series("broken", (1, 2, 3), (0.5, math.nan, math.inf))], {})
    data = json.loads(json.dumps(spec, allow_nan=False))["data"]["values"]
    assert [row["value"] for row in data] == [0.5, None, None]


def test_a_long_series_is_thinned_and_keeps_its_ends_and_its_peak() -> None:
    values = [math.sin(step / 50) for step in range(20_000)]
    values[12_345] = 7.0
    spec = line.plot([Series("long", tuple(range(20_000)), tuple(values))], {})
    data = spec["data"]
    assert isinstance(data, dict)
    rows = data["values"]
    assert len(rows) <= line.MAX_STEPS + 2
    assert [rows[0]["step"], rows[-1]["step"]] == [0, 19_999]
    assert {"experiment": "long", "step": 12_345, "value": 7.0} in rows


def test_points_are_drawn_where_they_can_be_told_apart() -> None:
    few = line.plot([LOW], {})["layer"]
    many = line.plot([Series("long", tuple(range(100)), tuple(range(100)))], {})["layer"]
    assert isinstance(few, list) and isinstance(many, list)
    assert [layer["mark"]["type"] for layer in few] == ["line", "point"]
    assert [layer["mark"]["type"] for layer in many] == ["line"]


@pytest.mark.parametrize("name", ["a.b", "a[0]", "datum.x", "'", "</script>"])
def test_a_strange_name_is_data_and_never_a_field(name: str) -> None:
    spec = line.plot([Series(name, (1, 2), (1, 2))], {"y_label": name})
    fields = [key["field"] for key in _encodings(spec) if "field" in key]
    assert set(fields) == {"experiment", "step", "value"}


def test_altair_reads_the_chart() -> None:
    import altair as alt

    chart = alt.LayerChart.from_dict(line.plot([LOW, HIGH], {"y_label": "acc"}))
    assert [layer["mark"]["type"] for layer in chart.to_dict()["layer"]] == ["line", "point"]


def _looks(series: list[Series], channel: str) -> list[object]:
    for encoding in _channels(line.plot(series, {}), channel):
        return list(encoding["scale"]["range"])
    raise AssertionError(channel)


def _channels(spec: dict[str, object], channel: str) -> list[dict[str, dict[str, list[object]]]]:
    layers = spec["layer"]
    assert isinstance(layers, list)
    return [layer["encoding"][channel] for layer in layers if channel in layer["encoding"]]


def _encodings(spec: dict[str, object]) -> list[dict[str, str]]:
    layers, top = spec["layer"], spec["encoding"]
    assert isinstance(layers, list) and isinstance(top, dict)
    found: list[dict[str, str]] = []
    for encoding in (top, *(layer["encoding"] for layer in layers)):
        for channel in encoding.values():
            found += channel if isinstance(channel, list) else [channel]
    return found


def _contrast(one: str, other: str) -> float:
    """WCAG 2.1, contrast ratio."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
