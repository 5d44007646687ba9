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


def news(root: Path, since_s: float) -> tuple[str, ...]:
    """What alerts of other processes' runs said since then, oldest first, where they are to be shown."""
    file = log_file(root)
    try:
        if file.stat().st_mtime <= since_s:
            return ()
        lines = file.read_bytes().splitlines()[-_LAST:]
    except OSError:
        return ()
    import json

    said = []
    for line in lines:
        try:
            told = json.loads(line)
            if told["time"] > since_s and told["pid"] != os.getpid() and told["notebook"]:
                said.append(str(told["message"]))
        except (ValueError, KeyError, TypeError):
            continue  # a line that a full disk cut off
    return tuple(said)


# More came while nobody looked: `nbexp alerts` has them.
_LAST = 20


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
