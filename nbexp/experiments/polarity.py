"""Which way is better for a metric: what the settings say of it, else what its name says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, cast

# What a metric's name says of which way is better; the longest match wins.
_LOWER = (
    "loss",
    "error",
    "err",
    "rmse",
    "mse",
    "mae",
    "mape",
    "perplexity",
    "latency",
    "time",
    "wer",
    "fpr",
    "fnr",
)
_HIGHER = (
    "acc",
    "accuracy",
    "auc",
    "f1",
    "precision",
    "recall",
    "score",
    "r2",
    "iou",
    "map",
    "bleu",
    "dice",
    "tpr",
    "reward",
)

Polarity = Literal["higher", "lower"]


def said(name: str, better: Mapping[str, str]) -> Polarity | None:
    """Which way is better, as the settings say it: of the whole key, or of its last part."""
    found = better.get(name) or better.get(name.rpartition(".")[2])
    return cast("Polarity | None", found)


def polarity(name: str, better: Mapping[str, str] = MappingProxyType({})) -> Polarity | None:
    """Which way is better for a metric of that name, as far as the settings or the name tell."""
    if (known := said(name, better)) is not None:
        return known
    words = name.lower().replace("/", ".").replace("-", "_").replace(".", "_").split("_")
    if any(_says(word, known) for word in words for known in _LOWER):
        return "lower"
    if any(_says(word, known) for word in words for known in _HIGHER):
        return "higher"
    return None


def _says(word: str, known: str) -> bool:
    """`acc5` says acc, `logloss` says loss; `account` says nothing: a wrong verdict is worse than none."""
    rest = word.removeprefix(known)
    is_known = word.startswith(known) and (not rest or rest.isdigit())
    return is_known or (len(known) > 3 and word.endswith(known))
