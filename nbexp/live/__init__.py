"""Logging values from training code, step by step: `live.log(step=3, loss=0.2, acc=0.91)`.

The values go where dvclive puts them, one table per name below `dvclive/plots/metrics`, so that `dvc
plots` and every tool that knows dvclive read them; under nbexp they also drive the live display. This
module loads the standard library only, and of that as little as it can: it runs in the user's process.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, SupportsFloat

from nbexp.live.checkpointing import CheckpointFailed, checkpoint, resumed_step

__all__ = ["CheckpointFailed", "checkpoint", "log", "resumed_step"]

Value = SupportsFloat | str

_FOLDER = os.path.join("plots", "metrics")
_started: dict[str, str] = {}  # name -> its file, once this process has begun it
_last_step: float | None = None
_board: _Board | None = None  # what a notebook shows of the values, once it has shown any


def log(
    values: Mapping[str, Value] | float | None = None,
    /,
    *,
    step: float | None = None,
    **named: Value,
) -> None:
    """Append one row to the table of each name; everything is on disk when this returns.

    The first row that a process logs under a name begins its table anew.

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
    plain = {name: _plain(name, value) for name, value in rows.items()}
    if step is None:
        step = 0 if _last_step is None else math.floor(_last_step) + 1
    else:
        step = _number("step", step)
    files = {name: _file(name) for name in rows}
    _last_step = step
    for name, value in rows.items():
        # numpy prints a float32 by its own digits; as a Python float it would have seventeen.
        is_numpy = type(value).__module__ == "numpy"
        _append(name, files[name], step, str(value) if is_numpy else plain[name])
    _tell(step, plain)
    _show(step, plain)


def _plain(name: str, value: object) -> float | str:
    if isinstance(value, str):
        return value
    number = _number(name, value)
    # As dvclive has it: text in the tables, so that JSON made of them stays valid.
    return number if math.isfinite(number) else str(number)


def _number(name: str, value: object) -> float:
    if not isinstance(value, int | float) and getattr(value, "ndim", None) == 0:
        # numpy, torch, tensorflow, jax: a number of no dimension.
        value = value.item()  # type: ignore[attr-defined]  # each of them has it
    if isinstance(value, int | float):
        return value
    raise TypeError(f"`{name}` is {type(value).__name__}; live.log takes numbers and text")


def _file(name: str) -> str:
    if name in _started:
        return _started[name]
    parts = name.replace("\\", "/").split("/")
    if not parts[-1] or ".." in parts or os.path.isabs(name):
        raise ValueError(f"`{name}` is no name for a metric; slashes may only make folders")
    folder = os.environ.get("NBEXP_LIVE_DIR") or "dvclive"
    return os.path.abspath(os.path.join(folder, _FOLDER, f"{name}.tsv"))


def _append(name: str, file: str, step: float, value: float | str) -> None:
    import csv

    is_new = name not in _started
    if is_new:
        os.makedirs(os.path.dirname(file), exist_ok=True)
        _started[name] = file
    with open(file, "w" if is_new else "a", encoding="utf-8", newline="") as table:
        rows = csv.writer(table, delimiter="\t", lineterminator=os.linesep)
        if is_new:
            rows.writerow(("step", os.path.basename(name)))
        rows.writerow((step, value))


def _tell(step: float, rows: Mapping[str, float | str]) -> None:
    """One line for whoever follows the run; a run goes on when nobody can be told."""
    events = os.environ.get("NBEXP_EVENTS")
    if not events:
        return
    import json

    line = json.dumps({"kind": "metric", "step": step, "values": dict(rows)}) + "\n"
    try:
        # One write at the end of the file: lines of several processes do not mix.
        target = os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(target, line.encode())
        finally:
            os.close(target)
    except OSError:
        pass


class _Board:
    """One line of output below the cell that logs: the last step and the last value of each name.

    It is replaced in place, four times a second at most, and once more when the cell ends, so that the
    executed notebook always holds the last values and equal runs are equal bytes.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._cell: int | None = None
        self._values: dict[str, object] = {}
        self._text = self._shown = ""
        self._shown_s = 0.0
        shell.events.register("post_run_cell", self._flush)

    def add(self, step: float, rows: Mapping[str, float | str]) -> None:
        if self._cell != self._shell.execution_count:
            self._cell, self._values, self._shown = self._shell.execution_count, {}, ""
        self._values.update(rows)
        pairs = (f"{name} {_short(value)}" for name, value in self._values.items())
        self._text = "  ".join([f"step {_short(step)}", *pairs])
        if not self._shown or time.monotonic() - self._shown_s >= 0.25:
            self._flush()

    def _flush(self, *_: object) -> None:
        if self._text == self._shown:
            return
        self._shell.display_pub.publish(
            {"text/plain": self._text},
            transient={"display_id": f"nbexp-live-{self._cell}"},
            update=bool(self._shown),
        )
        self._shown, self._shown_s = self._text, time.monotonic()


def _show(step: float, rows: Mapping[str, float | str]) -> None:
    """The last values, below the cell that logs them, when a notebook's kernel runs this."""
    global _board
    ipython = sys.modules.get("IPython")  # not imported here: outside of IPython there is no cell
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return
    if _board is None or _board._shell is not shell:
        _board = _Board(shell)
    _board.add(step, rows)


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
