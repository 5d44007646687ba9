"""fastai: `learn.fit_one_cycle(2, cbs=[LiveCallback()])` logs what the recorder prints after each epoch."""

from __future__ import annotations

import inspect
from typing import Any

from fastai.callback.core import Callback

from nbexp.live import names
from nbexp.live.logger import Live


class LiveCallback(Callback):  # type: ignore[misc]  # a class of a library that is not there for type checkers
    """Logs params and `train/…`, `eval/…` of each epoch; ends the `Live` with the fit.

    Parameters
    ----------
    with_opt
        As dvclive's, and without effect as there.
    live
        The `Live` to log with; None makes one of `kwargs`.
    """

    def __init__(self, with_opt: bool = False, live: Live | None = None, **kwargs: Any) -> None:
        super().__init__()
        self.with_opt = with_opt
        self.live = live if live is not None else Live(**kwargs)
        self.freeze_stage_ended = False

    def before_fit(self) -> None:
        if self._is_no_training():
            return
        frozen = getattr(self.opt, "frozen_idx", -1)
        self.live.log_params(
            {
                "model": type(self.learn.model).__qualname__,
                "batch_size": getattr(self.dls, "bs", None),
                "batch_per_epoch": len(getattr(self.dls, "train", [])),
                "frozen": bool(frozen),
                "frozen_idx": frozen,
                "transforms": f"{getattr(self.dls, 'tfms', None)}",
            }
        )

    def after_epoch(self) -> None:
        if self._is_no_training():
            return
        found = zip(self.learn.recorder.metric_names, self.learn.recorder.log, strict=False)
        rows = {name: value for name, value in found if name != "epoch"}
        for name, value in rows.items():
            self.live.log_metric(names.of_fastai(name), float(value))
        # An epoch that is passed over when a fit goes on from an earlier one has no values.
        if rows:
            self.live.next_step()

    def after_fit(self) -> None:
        if self._is_no_training():
            return
        if _is_first_of_two() and not self.freeze_stage_ended:
            self.freeze_stage_ended = True
            return
        saved = getattr(self, "save_model", None)
        if saved is not None and saved.last_saved_path:
            self.live.log_artifact(str(saved.last_saved_path))
        self.live.end()

    def _is_no_training(self) -> bool:
        return hasattr(self, "lr_finder") or hasattr(self, "gather_preds")


def _is_first_of_two() -> bool:
    """Whether this is the frozen part of `learn.fine_tune`, which fits twice; fastai does not say so."""
    callers = {frame.function for frame in inspect.stack()}
    return {"fine_tune", "fit_one_cycle"} <= callers


DVCLiveCallback = LiveCallback
