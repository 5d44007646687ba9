"""Telling of logged values: to the run that the process is a stage of, and below the cell that logs.

    {"kind": "live", "folder": "/project/dvclive"}             before this process writes the first table there
    {"kind": "metric", "step": 3, "values": {"acc": 0.5}}      after the rows of a step were written

A run also follows the tables themselves, for those whom dvclive writes; what the first line names it leaves alone,
or every value would be told twice.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

TYPE_CHECKING = False  # see nbexp.live
if TYPE_CHECKING:
    from nbexp.live.board import Board

_claimed: set[tuple[str, str]] = set()
_board: Board | None = None  # what a notebook shows of the values, once it has shown any


def claim(folder: str) -> None:
    """Say that the values of the tables below `folder` are told; to be called before the first is written."""
    events = os.environ.get("NBEXP_EVENTS", "")
    folder = os.path.realpath(folder)
    if not events or (events, folder) in _claimed:
        return
    _claimed.add((events, folder))
    _append({"kind": "live", "folder": folder})


def tell(step: float | None, values: Mapping[str, float | str]) -> None:
    """One line for whoever follows the run; a run goes on when nobody can be told."""
    if os.environ.get("NBEXP_EVENTS"):
        _append({"kind": "metric", "step": step, "values": dict(values)})


def show(step: float, values: Mapping[str, float | str]) -> None:
    """The last values, below the cell that logs them, when a notebook's kernel runs this."""
    global _board
    ipython = sys.modules.get("IPython")  # not imported here: outside of IPython there is no cell
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return
    if _board is None or _board.shell is not shell:
        from nbexp.live.board import Board

        _board = Board(shell)
    _board.add(step, values)


def _append(told: Mapping[str, object]) -> None:
    import json

    line = json.dumps(told) + "\n"
    try:
        # One write at the end of the file: lines of several processes do not mix.
        target = os.open(os.environ["NBEXP_EVENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(target, line.encode())
        finally:
            os.close(target)
    except OSError:
        pass
