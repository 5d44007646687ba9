"""What besides numbers can be logged: pictures, plots of points, and scikit-learn's plots; dvclive's files.

numpy, pandas, PIL, matplotlib and scikit-learn are imported where an object of theirs, or a plot that only they
compute, was handed over; never before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

IMAGES = (".jpg", ".jpeg", ".gif", ".png")
SUBFOLDERS = ("sklearn", "metrics", "images", "custom")


class Plot:
    """A plot that was logged: its file, and what dvc.yaml says of it."""

    def __init__(self, name: str, folder: str, config: Mapping[str, object]) -> None:
        self.name = name.replace(".json", "")
        self.path = Path(folder) / f"{self.name}.json"
        order = ("template", "x", "y", "title", "x_label", "y_label")
        self.config = {key: config[key] for key in order if config.get(key) is not None}

    def write(self, data: object) -> None:
        write_json(self.path, data)


def write_json(path: str | os.PathLike[str], data: object) -> None:
    """The data as dvclive writes JSON, in one step: nobody reads half of it."""
    from nbexp import filesystem

    text = json.dumps(data, indent=4, default=_number) + "\n"
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    filesystem.atomic_write(target, text.encode(), durable=False)


def _number(value: object) -> object:
    """What numpy and its kind wrap; JSON knows none of it."""
    if getattr(value, "ndim", None) == 0:
        return value.item()  # type: ignore[attr-defined]
    raise TypeError(f"a plot or metric holds a {type(value).__name__}, which JSON cannot have")


# ---- pictures


def image_name(name: str, value: object) -> str:
    """The name with the suffix of the picture that `value` is the path of, where it has none.

    Raises
    ------
    TypeError
        The value is no picture.
    ValueError
        The name has the suffix of no picture.
    """
    from nbexp.live import tables

    if isinstance(value, str | PurePath):
        suffix = Path(value).suffix
        if not Path(name).suffix and suffix in IMAGES:
            name = f"{name}{suffix}"
    elif not any(_is(value, *kind) for kind in _PICTURES):
        raise TypeError(
            f"`{name}` is {type(value).__name__}; log_image takes a path, an array of numpy, a figure of "
            "matplotlib or an image of PIL"
        )
    tables.check(name, "picture")
    if Path(name).suffix not in IMAGES:
        raise ValueError(f"`{name}` is no name for a picture: it ends in {', '.join(IMAGES)}")
    return name


def save_image(path: Path, value: Any) -> None:
    """Write the picture to `path`, whose suffix says in which form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if _is(value, "matplotlib.figure", "Figure"):
        from matplotlib import pyplot as plt

        value.savefig(path)
        plt.close(value)
    elif _is(value, "PIL.Image", "Image"):
        value.save(path)
    elif _is(value, "numpy", "ndarray"):
        from PIL import Image

        Image.fromarray(value).save(path)
    else:
        _save_file(path, Path(value))


def _save_file(path: Path, source: Path) -> None:
    try:
        from PIL import Image
    except ImportError:
        if source.suffix != path.suffix:
            raise
        import shutil

        shutil.copyfile(source, path)  # the same form: nothing has to be read
        return
    with Image.open(source) as image:
        image.save(path)


_PICTURES = (("numpy", "ndarray"), ("matplotlib.figure", "Figure"), ("PIL.Image", "Image"))


def _is(value: object, module: str, name: str) -> bool:
    """Whether it is an instance of the class, which is not imported for the question."""
    return any((kind.__module__, kind.__name__) == (module, name) for kind in type(value).__mro__)


# ---- plots of points


def points(data: Any) -> list[dict[Any, Any]]:
    """The rows of a list of dicts, a DataFrame or an array.

    Raises
    ------
    TypeError
        It is none of them.
    """
    rows = data
    if any(kind.__name__ == "DataFrame" for kind in type(data).__mro__) and hasattr(
        data, "to_dict"
    ):
        rows = data.to_dict(orient="records")
    elif _is(data, "numpy", "ndarray"):
        names = data.dtype.names
        rows = [
            dict(enumerate(row) if names is None else zip(names, row, strict=True)) for row in data
        ]
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return rows
    raise TypeError(
        f"the datapoints are {type(data).__name__}; log_plot takes a list of dicts, a DataFrame or an array of numpy"
    )


# ---- scikit-learn's

Compute = Callable[..., list[dict[str, object]]]


def sklearn_plot(
    kind: str, name: str, folder: str, config: Mapping[str, object], *, normalized: bool
) -> Plot:
    """The plot of that kind, with dvclive's titles where `config` has none.

    Raises
    ------
    ValueError
        There is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"`{kind}` is no kind of plot; there are {', '.join(KINDS)}")
    x, y, title, x_label, y_label, _ = KINDS[kind]
    template = "simple"
    if kind == "confusion_matrix":
        template = "confusion_normalized" if normalized else "confusion"
    own = {
        "template": template,
        "x": x,
        "y": y,
        "title": title,
        "x_label": x_label,
        "y_label": y_label,
    }
    return Plot(name, folder, {**own, **config})


def sklearn_data(kind: str, labels: Any, predictions: Any, options: Mapping[str, Any]) -> object:
    """What the plot's file holds; all but a confusion matrix is computed by scikit-learn."""
    rows = KINDS[kind][5](labels, predictions, **options)
    return rows if kind == "confusion_matrix" else {kind: rows}


def _rows(keys: Sequence[str], columns: Iterable[Iterable[object]]) -> list[dict[str, object]]:
    # The columns may differ in length: scikit-learn's precision and recall have one value more.
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=False)]


def _roc(labels: Any, predictions: Any, **options: Any) -> list[dict[str, object]]:
    from sklearn import metrics

    found = metrics.roc_curve(y_true=labels, y_score=predictions, **options)
    return _rows(("fpr", "tpr", "threshold"), found)


def _precision_recall(labels: Any, predictions: Any, **options: Any) -> list[dict[str, object]]:
    from sklearn import metrics

    found = metrics.precision_recall_curve(y_true=labels, y_score=predictions, **options)
    return _rows(("precision", "recall", "threshold"), found)


def _det(labels: Any, predictions: Any, **options: Any) -> list[dict[str, object]]:
    from sklearn import metrics

    found = metrics.det_curve(y_true=labels, y_score=predictions, **options)
    return _rows(("fpr", "fnr", "threshold"), found)


def _confusion(labels: Any, predictions: Any, **_: Any) -> list[dict[str, object]]:
    return _rows(("actual", "predicted"), (map(str, labels), map(str, predictions)))


def _calibration(labels: Any, predictions: Any, **options: Any) -> list[dict[str, object]]:
    from sklearn import calibration

    found = calibration.calibration_curve(y_true=labels, y_prob=predictions, **options)
    return _rows(("prob_true", "prob_pred"), found)


# Of each kind: x, y, title, the labels of both, and how its rows are computed.
KINDS: Mapping[str, tuple[str, str, str, str, str, Compute]] = {
    "calibration": (
        "prob_pred",
        "prob_true",
        "Calibration Curve",
        "Mean Predicted Probability",
        "Fraction of Positives",
        _calibration,
    ),
    "confusion_matrix": (
        "actual",
        "predicted",
        "Confusion Matrix",
        "True Label",
        "Predicted Label",
        _confusion,
    ),
    "det": (
        "fpr",
        "fnr",
        "Detection error tradeoff (DET)",
        "False Positive Rate",
        "False Negative Rate",
        _det,
    ),
    "precision_recall": (
        "recall",
        "precision",
        "Precision-Recall Curve",
        "Recall",
        "Precision",
        _precision_recall,
    ),
    "roc": (
        "fpr",
        "tpr",
        "Receiver operating characteristic (ROC)",
        "False Positive Rate",
        "True Positive Rate",
        _roc,
    ),
}
