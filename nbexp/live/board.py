"""What a notebook shows of logged values while a cell runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any


class Board:
    """One line of output below the cell that logs: the last step and the last value of each name.

    It is replaced in place, four times a second at most, and once more when the cell ends, so that the
    executed notebook always holds the last values and equal runs are equal bytes.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self._cell: int | None = None
        self._values: dict[str, object] = {}
        self._text = self._shown = ""
        self._shown_s = 0.0
        shell.events.register("post_run_cell", self._flush)

    def add(self, step: float, rows: Mapping[str, float | str]) -> None:
        if self._cell != self.shell.execution_count:
            self._cell, self._values, self._shown = self.shell.execution_count, {}, ""
        self._values.update(rows)
        pairs = (f"{name} {_short(value)}" for name, value in self._values.items())
        self._text = "  ".join([f"step {_short(step)}", *pairs])
        if not self._shown or time.monotonic() - self._shown_s >= 0.25:
            self._flush()

    def _flush(self, *_: object) -> None:
        if self._text == self._shown:
            return
        self.shell.display_pub.publish(
            {"text/plain": self._text},
            transient={"display_id": f"nbexp-live-{self._cell}"},
            update=bool(self._shown),
        )
        self._shown, self._shown_s = self._text, time.monotonic()


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
