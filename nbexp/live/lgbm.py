"""LightGBM: `lightgbm.train(…, callbacks=[LiveCallback()])` logs the evaluations of each iteration."""

from __future__ import annotations

from typing import Any

from nbexp.live.logger import Live


class LiveCallback:
    """Logs each metric of each data set that is evaluated; with one alone, without the name of the set.

    LightGBM does not say when a training ends: use it with `with Live() as live:`, or call `live.end()`.

    Parameters
    ----------
    live
        The `Live` to log with; None makes one of `kwargs`.
    """

    def __init__(self, live: Live | None = None, **kwargs: Any) -> None:
        self.live = live if live is not None else Live(**kwargs)

    def __call__(self, env: Any) -> None:
        """What LightGBM calls after an iteration."""
        is_one = len(env.evaluation_result_list) == 1
        for data, metric, value, *_ in env.evaluation_result_list:
            self.live.log_metric(metric if is_one else f"{data}/{metric}", value)
        self.live.next_step()


DVCLiveCallback = LiveCallback
