"""Keras: `model.fit(…, callbacks=[LiveCallback()])` logs the losses and metrics of each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    from keras.callbacks import Callback
except ImportError:  # TensorFlow before 2.16 has it inside
    from tensorflow.keras.callbacks import Callback

from nbexp.live import names
from nbexp.live.logger import Live


class LiveCallback(Callback):  # type: ignore[misc]  # a class of a library that is not there for type checkers
    """Logs `train/…` and `eval/…` after each epoch, and ends the `Live` with the training.

    Parameters
    ----------
    save_weights_only
        As dvclive's, and without effect as there.
    live
        The `Live` to log with; None makes one of `kwargs`.
    """

    def __init__(
        self, save_weights_only: bool = False, live: Live | None = None, **kwargs: Any
    ) -> None:
        super().__init__()
        self.save_weights_only = save_weights_only
        self.live = live if live is not None else Live(**kwargs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            self.live.log_metric(names.of_keras(name), value)
        self.live.next_step()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self.live.end()


DVCLiveCallback = LiveCallback
