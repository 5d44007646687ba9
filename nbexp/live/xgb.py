"""XGBoost: `xgboost.train(…, callbacks=[LiveCallback()])` logs the evaluations of each round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xgboost.callback import TrainingCallback

from nbexp.live.logger import Live


class LiveCallback(TrainingCallback):  # type: ignore[misc]  # a class of a library that is not there for type checkers
    """Logs `DATA/METRIC` after each round, and ends the `Live` with the training.

    Parameters
    ----------
    metric_data
        Only of this data set, and without its name.
    live
        The `Live` to log with; None makes one of `kwargs`.
    """

    def __init__(
        self, metric_data: str | None = None, live: Live | None = None, **kwargs: Any
    ) -> None:
        super().__init__()
        self._metric_data = metric_data
        self.live = live if live is not None else Live(**kwargs)

    def after_iteration(
        self, model: Any, epoch: int, evals_log: Mapping[str, Mapping[str, Sequence[Any]]]
    ) -> bool:
        if self._metric_data:
            evals_log = {"": evals_log[self._metric_data]}
        for data, metrics in evals_log.items():
            for metric, values in metrics.items():
                last = values[-1]
                # Of a cross-validation: mean and deviation.
                value = last[0] if isinstance(last, tuple) else last
                self.live.log_metric(f"{data}/{metric}" if data else metric, value)
        self.live.next_step()
        return False

    def after_training(self, model: Any) -> Any:
        self.live.end()
        return model


DVCLiveCallback = LiveCallback
