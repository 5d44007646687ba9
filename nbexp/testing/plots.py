"""What every plot type is held to: subclass `PlotContract` beside a fixture `kind`, and pytest runs it.

    from nbexp.testing.plots import PlotContract

    class TestMine(PlotContract):
        @pytest.fixture
        def kind(self):
            return my_module

The module of a plot type is what `nbexp.plots.Plot` says.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from nbexp.frozen import frozen
from nbexp.plots import Spec

HOSTILE = (
    "<script>alert(1)</script>",
    "a.b[0]",
    'it\'s "quoted"',
    "datum['x']",
    "]}</svg><img src=x onerror=alert(1)>",
    "\\",
)
"""Names as commits of other people may have them."""

_RED_DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


@frozen
class _Series:
    name: str
    x: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


@frozen
class _Record:
    name: str
    values: Mapping[str, object]


@frozen
class _Labelled:
    name: str
    pairs: tuple[tuple[object, object], ...]


@frozen
class _Image:
    name: str
    path: str
    url: str
    size: tuple[int, int]


PARAMS = ("train.lr", "train.optimizer", "model[0].deep", "is 'big'", "seed")


class PlotContract:
    """The tests; each is about one promise of `nbexp.plots.Plot`."""

    def test_the_chart_is_valid_vega_lite(self, kind: ModuleType) -> None:
        for names in (("one", "two", "three"), HOSTILE):
            spec = self.drawn(kind, names)
            assert spec["$schema"] == "https://vega.github.io/schema/vega-lite/v5.json"
            assert problems(spec) == []

    def test_it_is_drawn_without_a_network(self, kind: ModuleType) -> None:
        from nbexp.plots import render

        picture = render.svg(self.drawn(kind, ("one", "two", "three")))
        assert picture.startswith("<svg")

    def test_the_same_data_give_the_same_chart(self, kind: ModuleType) -> None:
        names = ("one", "two", "three")
        assert self.drawn(kind, names) == self.drawn(kind, names)

    def test_it_is_strict_json(self, kind: ModuleType) -> None:
        spec = self.drawn(kind, ("one", "two", "three"), odd=True)
        json.dumps(spec, allow_nan=False)

    def test_no_name_is_a_field_or_in_an_expression(self, kind: ModuleType) -> None:
        spec = self.drawn(kind, HOSTILE)
        theirs = [*HOSTILE, *PARAMS]
        for key, value in _spoken(spec):
            assert not any(name in value for name in theirs if len(name) > 1), (key, value)
            assert re.fullmatch(r"[\w .>='<()&|-]+", value), (key, value)

    def test_a_name_cannot_leave_the_picture(self, kind: ModuleType) -> None:
        from xml.etree import ElementTree as ET

        from nbexp.plots import render

        # Nothing in it can end the script of a page that it stands in.
        assert "<" not in render.embedded(self.drawn(kind, HOSTILE))
        drawing = ET.fromstring(render.svg(self.drawn(kind, HOSTILE)))  # noqa: S314 - made here
        tags = {element.tag.rpartition("}")[2] for element in drawing.iter()}
        assert not tags & {"script", "foreignObject", "iframe", "a"}

    def test_one_experiment_or_none_is_no_mistake(self, kind: ModuleType) -> None:
        from nbexp.plots import render

        for names in ((), ("alone",)):
            spec = self.drawn(kind, names)
            assert problems(spec) == []
            assert render.svg(spec).startswith("<svg")

    def test_equal_values_are_no_mistake(self, kind: ModuleType) -> None:
        from nbexp.plots import render

        spec = self.drawn(kind, ("one", "two", "three"), constant=True)
        assert problems(spec) == []
        assert render.svg(spec).startswith("<svg")

    def test_ten_thousand_are_drawn_in_few_bytes(self, kind: ModuleType) -> None:
        if getattr(kind, "NEEDS", "series") not in ("series", "rows"):
            return  # of files, `plot` reads a handful
        spec = self.drawn(kind, tuple(f"exp-{at}" for at in range(10_000)), long=False)
        limit = 400_000 if getattr(kind, "NEEDS", "series") == "rows" else 6_000_000
        assert len(json.dumps(spec)) < limit

    def drawn(self, kind: ModuleType, names: Sequence[str], **how: bool) -> Spec:
        """The chart of some experiments of these names."""
        needs = getattr(kind, "NEEDS", "series")
        options: dict[str, object] = {"y_label": "acc", "better": "higher"}
        if needs == "rows":
            least, most = getattr(kind, "COLUMNS", (1, 1))
            count = min(most, len(PARAMS) + 1) if most > 3 else least
            options["columns"] = (*PARAMS[: count - 1], "acc")
        if needs == "labels":
            options["columns"] = ("predictions.csv", "actual", "predicted")
        data: Sequence[Any] = [*_data(needs, names, **how)]
        return strict(kind.plot(data, options))


def strict(spec: Spec) -> Spec:
    """As a chart is shown: through JSON, in which there is no NaN."""
    found: Spec = json.loads(json.dumps(spec))
    return found


def problems(spec: Spec) -> list[str]:
    """What of a chart is not Vega-Lite, by the schema that Altair brings."""
    return [error.message[:300] for error in _validator().iter_errors(spec)]


@cache
def _validator() -> Any:
    import altair as alt
    import jsonschema

    place = Path(alt.__file__).parent / "vegalite"
    (schema,) = place.glob("v*/schema/vega-lite-schema.json")
    return jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))


def _data(
    needs: str,
    names: Sequence[str],
    *,
    odd: bool = False,
    constant: bool = False,
    long: bool = True,
) -> Iterator[object]:
    dice = random.Random(0)
    for number, name in enumerate(names):
        acc = 0.5 if constant else round(dice.uniform(0.3, 0.9), 4)
        if needs == "series":
            steps = tuple(range(1, 11 if long else 3))
            values = [acc * step for step in steps]
            if odd:
                values[:2] = [math.nan, math.inf]
            yield _Series(name, "step", steps, tuple(values))
        elif needs == "rows":
            values_of: dict[str, object] = {
                "train.lr": 0.1 if constant else 10 ** dice.uniform(-4, -1),
                "train.optimizer": dice.choice(("adam", "sgd", HOSTILE[0])),
                "model[0].deep": dice.choice((1, "1", True)),
                "is 'big'": number % 2 == 0,
                "seed": number,
                "acc": acc,
            }
            if odd and number == 0:
                values_of["acc"] = math.nan
            if odd and number == 1:
                values_of = {"acc": "high", "train.lr": math.inf}
            yield _Record(name, values_of)
        elif needs == "labels":
            labels = (HOSTILE[0], "b", 3)
            yield _Labelled(name, tuple((labels[at % 3], labels[at % 2]) for at in range(12)))
        else:
            yield _Image(name, f"plots/{HOSTILE[0]}.png", _RED_DOT, (1, 1))


def _spoken(value: object) -> Iterator[tuple[str, str]]:
    """What Vega reads as the name of a field, or as an expression."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("values", "usermeta"):
                continue
            if key in ("field", "filter", "calculate", "test", "expr", "as", "lookup") and (
                isinstance(inner, str)
            ):
                yield key, inner
            elif key == "fields":
                yield from (("fields", one) for one in inner)
            else:
                yield from _spoken(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _spoken(inner)
