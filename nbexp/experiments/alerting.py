"""A run's events with the alerts that are set up; where none are, nothing of them is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp import settings
from nbexp.events import Emit
from nbexp.experiments import place

if TYPE_CHECKING:
    from nbexp.experiments.reading import Reader


def log_file(root: Path) -> Path:
    """Where the alerts of a project that were due are written down, a line of JSON each."""
    return place.own_folder(root) / "alerts.jsonl"


# More came while nobody looked: `nbexp alerts` has them.
_LAST = 20


class News:
    """What alerts of other processes' runs say after `since_s`, where they are to be shown: each is told once."""

    def __init__(self, since_s: float) -> None:
        self._since_s = since_s
        self._stamps: dict[Path, tuple[int, int, int]] = {}
        self._told: dict[Path, frozenset[bytes]] = {}

    def of(self, root: Path) -> tuple[str, ...]:
        """What was said in a project since the last time, oldest first."""
        file = log_file(root)
        try:
            stat = file.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if self._stamps.get(root) == stamp:
                return ()
            lines = file.read_bytes().splitlines()[-_LAST:]
        except OSError:
            return ()
        import json

        said = []
        # By their text: one that was written late has an earlier time than those that were read before it.
        known = self._told.get(root, frozenset())
        for line in lines:
            try:
                told = json.loads(line)
                is_new = line not in known and told["time"] > self._since_s
                if is_new and told["pid"] != os.getpid() and told["notebook"]:
                    said.append(str(told["message"]))
            except (ValueError, KeyError, TypeError):
                continue  # a line that a full disk cut off
        self._stamps[root], self._told[root] = stamp, frozenset(lines)
        return tuple(said)


def watched(
    root: Path,
    found: settings.Settings,
    emit: Emit,
    reader: Callable[[], Reader],
    env: Mapping[str, str] | None = None,
    is_end: Callable[[BaseException], bool] = lambda _: True,
) -> AbstractContextManager[Emit]:
    """The consumer for one run, in a `with` around it; see `alerts.watching`.

    Parameters
    ----------
    reader
        Gives what reads the metrics of the run's commit, once it is needed.
    """
    if not found.alerts and not settings.user_file(place.home()).exists():
        return nullcontext(emit)
    from nbexp.experiments import alerts

    return alerts.watching(root, emit, alerts.metrics_of(reader), env, is_end)
