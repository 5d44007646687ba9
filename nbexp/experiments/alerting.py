"""A run's events with the alerts that are set up; where none are, nothing of them is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp import settings
from nbexp.events import Emit
from nbexp.experiments import place

if TYPE_CHECKING:
    from nbexp.experiments.reading import Reader


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
