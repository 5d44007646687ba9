"""Lightning: `Trainer(logger=LiveLogger())` logs what `self.log(…)` reports.

Both names of the package are taken: `lightning` and the older `pytorch_lightning`.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

try:
    from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
    from lightning.pytorch.utilities import rank_zero_only
except ImportError:
    from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
    from pytorch_lightning.utilities import rank_zero_only

from nbexp.live import names
from nbexp.live.logger import Live


class LiveLogger(Logger):  # type: ignore[misc]  # a class of a library that is not there for type checkers
    """A logger whose `experiment` is a `Live`, of the first process alone.

    Parameters
    ----------
    run_name
        Lightning's name for the version.
    prefix
        Goes before the names of all metrics, with a slash.
    log_model
        True tracks the checkpoints, and the best one as a model, at the end; `"all"` with each one saved.
    experiment
        The `Live` to log with; None makes one of `kwargs` when it is first needed.
    """

    LOGGER_JOIN_CHAR = "/"

    def __init__(
        self,
        run_name: str | None = "dvclive_run",
        prefix: str = "",
        log_model: str | bool = False,
        experiment: Live | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._run_name = run_name
        self._prefix = prefix
        self._log_model = log_model
        self._experiment = experiment
        self._kwargs = kwargs
        self._checkpoints: Any = None

    @property
    def name(self) -> str:
        return "LiveLogger"

    @property
    def version(self) -> str:
        return self._run_name or ""

    @property
    @rank_zero_experiment  # type: ignore[untyped-decorator]  # of the same library
    def experiment(self) -> Live:
        """The `Live`; in processes that do not log, something that takes every call."""
        if self._experiment is None:
            self._experiment = Live(**self._kwargs)
        return self._experiment

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_metrics(
        self, metrics: Mapping[str, Any], step: int | None = None, sync: bool | None = False
    ) -> None:
        live: Live = self.experiment
        live.step = step or live.step + 1
        for name, value in metrics.items():
            full = f"{self._prefix}/{name}" if self._prefix else name
            if hasattr(value, "detach"):
                value = value.cpu().detach().item()
            live.log_metric(names.of_lightning(full), value)
        if sync or _is_end_of_step():
            live.sync()

    @rank_zero_only  # type: ignore[untyped-decorator]
    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace, *_args: Any, **_kwargs: Any
    ) -> None:
        given = vars(params) if isinstance(params, Namespace) else params
        self.experiment.log_params({name: _sane(value) for name, value in given.items()})

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        if self._log_model not in {True, "all"}:
            return
        self._checkpoints = checkpoint_callback
        if self._log_model == "all" or checkpoint_callback.save_top_k == -1:
            self._track(checkpoint_callback)

    @rank_zero_only  # type: ignore[untyped-decorator]
    def finalize(self, status: str) -> None:
        if self._checkpoints is not None:
            self._track(self._checkpoints)
            best = self._checkpoints.best_model_path
            if best:
                self.experiment.log_artifact(best, name="best", type="model", copy=True)
        if self._experiment is not None:
            self._experiment.end()

    def _track(self, callback: Any) -> None:
        if callback.dirpath and Path(callback.dirpath).exists():
            self.experiment.log_artifact(callback.dirpath)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_experiment": None}


def _sane(value: Any) -> object:
    """The value where YAML has a form for it, else its text."""
    if callable(value):
        try:
            value = value()
        except Exception:  # noqa: BLE001  # of a user's function: its name has to do
            return getattr(value, "__name__", str(value))
    if isinstance(value, Mapping):
        return {str(key): _sane(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_sane(inner) for inner in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return value.item() if getattr(value, "ndim", None) == 0 else str(value)


def _is_end_of_step() -> bool:
    """Whether Lightning itself reports a step or epoch, and not some other callback in between."""
    frame = sys._getframe(1)
    ends = {"update_train_step_metrics", "update_train_epoch_metrics", "log_eval_end_metrics"}
    while frame is not None:
        if frame.f_code.co_name in ends:
            return True
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return False


DVCLiveLogger = LiveLogger
