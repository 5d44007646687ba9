"""scikit-learn: what a fit reports while it goes on, and what an estimator says of itself afterwards.

    with nbexp.Live() as live:
        callback = LiveCallback(live)
        GradientBoostingClassifier().fit(X, y, monitor=callback)     # each stage of the boosting
        callback.log_fit(MLPClassifier().fit(X, y))                  # params and learning curve of any estimator

dvclive has nothing like it beside `Live.log_sklearn_plot`, which is for its plots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from nbexp.live.logger import Live

# What estimators keep of a fit, one number for each of its iterations.
_CURVES = {
    "loss_curve_": "train/loss",  # MLP
    "train_score_": "train/score",  # boosting
    "validation_scores_": "eval/score",  # MLP with early stopping
    "validation_score_": "eval/score",  # histogram boosting
    "oob_scores_": "oob/score",
}


class LiveCallback:
    """For `fit(…, monitor=…)` of gradient boosting, and for any fitted estimator.

    Parameters
    ----------
    live
        The `Live` to log with; None makes one of `kwargs`. End it with `with`, or `live.end()`.
    """

    def __init__(self, live: Live | None = None, **kwargs: Any) -> None:
        self.live = live if live is not None else Live(**kwargs)

    def __call__(self, iteration: int, estimator: Any, variables: Any) -> bool:
        """What gradient boosting calls after each stage; it goes on."""
        for attribute, name in (*_CURVES.items(), ("oob_improvement_", "oob/improvement")):
            values = getattr(estimator, attribute, None)
            if values is not None and len(values) > iteration:
                self.live.log_metric(name, float(values[iteration]))
        self.live.next_step()
        return False

    def log_fit(self, estimator: Any, prefix: str = "") -> None:
        """Log an estimator's params, and the curves that it kept of its fit, as steps.

        Parameters
        ----------
        prefix
            Goes before the names of the curves: `"mlp/"`.
        """
        self.live.log_params(dict(_params(estimator)))
        curves = {
            f"{prefix}{name}": list(values)
            for attribute, name in _CURVES.items()
            if (values := getattr(estimator, attribute, None)) is not None
        }
        for step in range(max(map(len, curves.values()), default=0)):
            for name, values in curves.items():
                if step < len(values) and math.isfinite(float(values[step])):
                    self.live.log_metric(name, float(values[step]))
            self.live.next_step()


def _params(estimator: Any) -> Iterator[tuple[str, object]]:
    """What is plain as it is; steps of a pipeline and its kind by their class."""
    for name, value in estimator.get_params().items():
        if isinstance(value, str | bool | int | float | None):
            yield name, value
        elif isinstance(value, list | tuple) and all(
            isinstance(v, str | int | float) for v in value
        ):
            yield name, list(value)
        elif hasattr(value, "get_params") or isinstance(value, type):
            yield name, (value if isinstance(value, type) else type(value)).__name__
