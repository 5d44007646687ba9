"""Logging values from training code, step by step: `live.log(step=3, loss=0.2, acc=0.91)`.

The values go where dvclive puts them, one table per name below `dvclive/plots/metrics`, so that `dvc
plots` and every tool that knows dvclive read them; under nbexp they also drive the live display.
`Live` is dvclive's class, method for method, and `nbexp.live.keras` and its neighbours are its callbacks.

This package loads the standard library only, and of that as little as it can: it runs in the user's process.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping

from nbexp.live import tables, telling
from nbexp.live.checkpointing import CheckpointFailed, checkpoint, resumed_step

TYPE_CHECKING = False  # `typing` itself takes most of the time that this package does
if TYPE_CHECKING:
    from typing import Any, SupportsFloat

    from nbexp.live.logger import Live

    Value = SupportsFloat | str

__all__ = ["CheckpointFailed", "Live", "checkpoint", "log", "resumed_step"]

_started: dict[str, str] = {}  # name -> its file, once this process has begun it
_last_step: float | None = None


def __getattr__(name: str) -> Any:
    if name == "Live":
        from nbexp.live.logger import Live

        return Live
    raise AttributeError(f"module 'nbexp.live' has no attribute {name!r}")


def log(
    values: Mapping[str, Value] | float | None = None,
    /,
    *,
    step: float | None = None,
    **named: Value,
) -> None:
    """Append one row to the table of each name; everything is on disk when this returns.

    The first row that a process logs under a name begins its table anew; in a stage that goes on from a
    checkpoint (`nbexp run --resume`) the table goes on as well, and so do the steps.

    Parameters
    ----------
    values
        A mapping, for names that are no Python names: `log({"train/loss": 0.3}, step=1)`. Slashes make
        folders. A number here is the step.
    step
        The row's number; None counts on from the last one, beginning at 0.
    named
        Numbers, or text. What a library wraps as a number of no dimension is unwrapped.

    Raises
    ------
    TypeError
        A value is neither a number nor text. Nothing was written.
    ValueError
        A name would leave the folder. Nothing was written.

    Notes
    -----
    The layout and the bytes are dvclive 3.49.1's (formats.md 8.3). The folder is `dvclive` in the
    current directory of the first call, or `$NBEXP_LIVE_DIR`.
    """
    global _last_step  # the steps of a process are one count, as in dvclive
    rows: dict[str, object] = {}
    if isinstance(values, Mapping):
        rows.update(values)
    elif values is not None:
        step = values if step is None else step
    rows.update(named)
    plain = {name: tables.plain(name, value) for name, value in rows.items()}
    files = {name: _file(name) for name in rows}
    if step is None:
        last = _last_step if _last_step is not None else _last_before(files.values())
        step = 0 if last is None else math.floor(last) + 1
    else:
        step = tables.number("step", step)
    _last_step = step
    for name, value in rows.items():
        _append(name, files[name], step, tables.as_written(value, plain[name]))
    telling.tell(step, plain)
    telling.show(step, plain)


def begin_anew(
    started: Mapping[str, str] | None = None, last_step: float | None = None
) -> tuple[dict[str, str], float | None]:
    """Count and begin tables as a process that logs for the first time, or as one that had begun these.

    For what runs several trainings in one process; gives what was begun before.
    """
    global _last_step
    before = dict(_started), _last_step
    _started.clear()
    _started.update(started or {})
    _last_step = last_step
    return before


def _file(name: str) -> str:
    if name in _started:
        return _started[name]
    tables.check(name)
    folder = os.environ.get("NBEXP_LIVE_DIR") or "dvclive"
    return os.path.abspath(os.path.join(folder, tables.FOLDER, f"{name}.tsv"))


def _append(name: str, file: str, step: float, value: float | str) -> None:
    is_new = name not in _started
    if is_new:
        telling.claim(file[: -len(os.path.join(tables.FOLDER, f"{name}.tsv"))])
        os.makedirs(os.path.dirname(file), exist_ok=True)
        _started[name] = file
    anew = is_new and not (resumed_step() is not None and os.path.exists(file))
    tables.append(file, ("step", os.path.basename(name)), (step, value), anew=anew)


def _last_before(files: Iterable[str]) -> float | None:
    """The last step of the tables, in a stage that goes on from a checkpoint; None where it begins at 0."""
    if resumed_step() is None:
        return None
    found = [step for step in map(tables.last_step, files) if step is not None]
    return max(found, default=None)
