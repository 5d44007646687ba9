"""What a file is to a stage: data in or out, a metrics file, a plot, or nothing worth a line."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbexp.errors import NbexpError
from nbexp.formats import values

_NO_DATA = re.compile(
    r"(^|/)(__pycache__|\.ipynb_checkpoints|\.git|\.dvc|mlruns|mlartifacts|wandb|lightning_logs|\.hydra|logs?"
    r"|\.cache|\.pytest_cache|\.mypy_cache|catboost_info|node_modules|\.matplotlib)(/|$)"
    r"|\.(log|tmp|lock|pyc|pid|swp|sock)$|(^|/)(events\.out\.tfevents[^/]*|\.DS_Store|\.coverage|nohup\.out)$"
    r"|(^|/)\.(env|gitignore|dvcignore|gitkeep)$|(^|/)(dvc\.(yaml|lock)|pyproject\.toml|setup\.cfg)$"
)
_NUMBERS = re.compile(
    r"metric|score|result|eval|summary|accura|quality|stat|perform|report|mean|loss", re.IGNORECASE
)
_NO_NUMBERS = re.compile(
    r"model|vocab|label|mapping|classes|encod|config|param|weights|schema|column|token|index",
    re.IGNORECASE,
)
_SERIES = re.compile(
    r"plot|curve|histor|(^|[^a-z])(roc|prc?|auc)([^a-z]|$)|confusion|loss|importance|residual|calibration|learning"
    r"|training_log|precision_recall|classes\.csv",
    re.IGNORECASE,
)
_IMAGES = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".webp")
_TABLES = (".csv", ".tsv", ".json", ".yaml", ".yml")
_MAX_METRICS_BYTES, _MAX_NUMBERS = 100_000, 60


def is_data(path: str) -> bool:
    """Whether a file may be a line of a stage: no log, cache, lock or file of a tool's."""
    return not _NO_DATA.search(path)


def kind(path: str, content: Path | None, *, is_read: bool) -> str:
    """`outs`, `metrics` or `plots`.

    Parameters
    ----------
    content
        A file to look into; None where there is none.
    is_read
        Whether another stage reads it: then it is data, unless its name says otherwise.
    """
    suffix = posixpath.splitext(path)[1].lower()
    name = path.lower()
    if suffix in {".json", ".yaml", ".yml", ".toml"} and not _SERIES.search(name):
        says = bool(_NUMBERS.search(posixpath.basename(name)))
        if content is not None:
            numbers = _numbers(content)
            if numbers and (
                says or (not is_read and numbers <= _MAX_NUMBERS and not _NO_NUMBERS.search(name))
            ):
                return "metrics" if not is_read or says else "outs"
            return "outs"
        return "metrics" if says and not is_read else "outs"
    if not is_read:
        if suffix in _IMAGES:
            return "plots"
        if suffix in _TABLES and _SERIES.search(name):
            return "plots"
    return "outs"


def _numbers(file: Path) -> int:
    """How many numbers a file of nothing but numbers holds; 0 where there is anything else in it."""
    try:
        if file.stat().st_size > _MAX_METRICS_BYTES:
            return 0
        tree = values.parse(file.read_bytes(), file.name)
    except (OSError, NbexpError):
        return 0
    if not isinstance(tree, Mapping):
        return 0
    found = 0
    for value in values.flatten(tree).values():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return 0
        found += 1
    return found


def content(roots: Sequence[Path], path: str) -> Path | None:
    """The file in the first of the folders that has it."""
    return next((root / path for root in roots if (root / path).is_file()), None)
