"""Optuna: `study.optimize(objective, callbacks=[LiveCallback()])` saves each trial as an experiment.

For a study of one's own, outside of a pipeline; `nbexp sweep --optuna` runs trials as experiments by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbexp.live.logger import Live


class LiveCallback:
    """Logs params and values of each trial with a `Live` of its own.

    Parameters
    ----------
    metric_name
        Of the value; of several, one name each, or one to be numbered.
    kwargs
        For each `Live`; the folder is `dvclive-optuna` unless given.
    """

    def __init__(self, metric_name: str | Sequence[str] = "metric", **kwargs: Any) -> None:
        kwargs.setdefault("dir", "dvclive-optuna")
        kwargs.pop("save_dvc_exp", None)
        self.metric_name = metric_name
        self.live_kwargs = kwargs

    def __call__(self, study: Any, trial: Any) -> None:
        """What Optuna calls after a trial."""
        named = dict(zip(self._names(trial.values), trial.values or (), strict=True))
        with Live(**self.live_kwargs) as live:
            live.summary.update(named)
            live.log_params(trial.params)

    def _names(self, values: Sequence[float] | None) -> list[str]:
        count = len(values or ())
        if not isinstance(self.metric_name, str):
            if values is not None and len(self.metric_name) != count:
                raise ValueError(
                    f"a trial has {count} values, and {len(self.metric_name)} names are given for them"
                )
            return [*self.metric_name] if count else []
        return (
            [f"{self.metric_name}_{n}" for n in range(count)]
            if count > 1
            else [self.metric_name] * count
        )


DVCLiveCallback = LiveCallback
