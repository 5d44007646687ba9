"""A confusion matrix: how often each actual label was told as which, one matrix for each experiment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from nbexp.plots import Labelled, Spec, look

NEEDS = "labels"
COLUMNS = (1, 3)

# More labels make cells smaller than their numbers.
_MAX_TOLD = 15
_MAX_LABELS = 40
_MAX_MATRICES = 6


def plot(data: Sequence[Labelled], options: Mapping[str, object]) -> Spec:
    """Cells coloured by the share of their actual label, with the counts in them.

    Notes
    -----
    All matrices have the labels of all experiments, in their order: numbers by size, words by the alphabet. Beyond
    40 labels the most frequent are kept.
    """
    notes: list[str] = []
    limit = look.limit_of(options, _MAX_MATRICES)
    shown = list(data)[: limit or len(data)]
    look.note_thinned(len(shown), len(data), notes)
    order, lost = _labels(shown)
    if lost:
        notes.append(f"the {_MAX_LABELS} most frequent of {_MAX_LABELS + lost} labels are drawn")
    values = [row for one in shown for row in _rows(one, set(order))]
    for one in shown:
        right = sum(actual == told for actual, told in _words(one))
        if one.pairs:
            notes.append(
                f"{one.name}: {right:,} of {len(one.pairs):,} right, {right / len(one.pairs):.1%}"
            )
    is_told = len(order) <= _MAX_TOLD
    side = 36 if is_told else max(10, 540 // len(order))
    actual, told = (
        look.asked(options)[-2:] if len(look.asked(options)) > 2 else ("actual", "predicted")
    )
    layers: list[Spec] = [
        {
            "mark": {"type": "rect", "stroke": look.RULE},
            "encoding": {
                "color": {
                    "field": "share",
                    "type": "quantitative",
                    "title": f"share of the {actual}",
                    # From nothing, whatever the page, to blue.
                    "scale": {
                        "domain": [0, 1],
                        "range": ["#0072B200", "#0072B2"],
                        "interpolate": "rgb",
                    },
                    "legend": {"format": "%", "gradientLength": 120},
                },
                "tooltip": [
                    look.name_column(),
                    {"field": "actual", "type": "nominal", "title": actual},
                    {"field": "predicted", "type": "nominal", "title": told},
                    {"field": "count", "type": "quantitative", "title": "count"},
                    {"field": "share", "type": "quantitative", "title": "share", "format": ".1%"},
                ],
            },
        }
    ]
    if is_told:
        layers.append(
            {
                "transform": [{"filter": "datum.count > 0"}],
                "mark": {"type": "text", "fontSize": 11},
                "encoding": {
                    "text": {"field": "count", "type": "quantitative"},
                    "color": {
                        "condition": {"test": "datum.share > 0.45", "value": "white"},
                        "value": look.TEXT,
                    },
                },
            }
        )
    columns = {
        "experiment": "experiment",
        "actual": actual,
        "predicted": told,
        "count": "count",
        "share": f"share of the {actual}",
    }
    spec = look.chart(
        options, columns, heading=f"{told} against {actual}", notes=notes, width={"step": side}
    )
    del spec["width"], spec["height"]
    axis: Spec = {
        "labelAngle": 0 if max(map(len, order), default=0) <= 3 else -40,
        "labelLimit": 120,
    }
    inner: Spec = {
        "width": {"step": side},
        "height": {"step": side},
        "encoding": {
            "x": {
                "field": "predicted",
                "type": "nominal",
                "sort": order,
                "title": told,
                "axis": axis,
            },
            "y": {
                "field": "actual",
                "type": "nominal",
                "sort": order,
                "title": actual,
                "axis": {"labelLimit": 120},
            },
        },
        "layer": layers,
    }
    return spec | {
        "data": {"values": values},
        "facet": {
            "field": "experiment",
            "type": "nominal",
            "sort": [one.name for one in shown],
            "title": None,
            "header": {"labelFontSize": 12, "labelLimit": side * max(4, len(order))},
        },
        "columns": 3 if len(order) <= 6 else 2 if is_told else 1,
        "spec": inner,
    }


def table(data: Sequence[Labelled], _: Mapping[str, object]) -> list[list[str]]:
    """A matrix for each experiment, one below the other."""
    order = _labels(data)[0]
    lines = [["experiment", "actual \\ predicted", *order, "right"]]
    for one in data:
        counts = Counter(_words(one))
        name = one.name
        for actual in order:
            row = [counts[actual, told] for told in order]
            total = sum(row)
            share = f"{counts[actual, actual] / total:.0%}" if total else "-"
            lines.append([name, actual, *map(str, row), share])
            name = ""
    return lines


def _words(one: Labelled) -> list[tuple[str, str]]:
    return [(look.word(actual), look.word(told)) for actual, told in one.pairs]


def _labels(data: Sequence[Labelled]) -> tuple[list[str], int]:
    """The labels of all, in order, and how many of them are too many."""
    counts: Counter[str] = Counter()
    known: dict[str, object] = {}
    for one in data:
        for pair in one.pairs:
            for label in pair:
                counts[look.word(label)] += 1
                known.setdefault(look.word(label), label)
    kept = [label for label, _ in counts.most_common(_MAX_LABELS)]
    kept.sort(key=lambda label: look.rank(known[label]))
    return kept, len(counts) - len(kept)


def _rows(one: Labelled, labels: set[str]) -> Iterator[dict[str, object]]:
    counts = Counter(pair for pair in _words(one) if set(pair) <= labels)
    totals: Counter[str] = Counter()
    for (actual, _), count in counts.items():
        totals[actual] += count
    order = [label for label in labels if totals[label]]
    for actual in sorted(order):
        for told in sorted(labels):
            count = counts[actual, told]
            yield {
                "experiment": one.name,
                "actual": actual,
                "predicted": told,
                "count": count,
                "share": count / totals[actual],
            }
