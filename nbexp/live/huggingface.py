"""Hugging Face: `Trainer(…, callbacks=[LiveCallback()])` logs what the trainer logs.

transformers itself has a `DVCLiveCallback`, which needs dvclive; with a folder of it nbexp follows that as well.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from transformers import TrainerCallback

from nbexp.live import names
from nbexp.live.logger import Live


class LiveCallback(TrainerCallback):  # type: ignore[misc]  # a class of a library that is not there for type checkers
    """Logs the arguments of the training, and `train/…` and `eval/…` as they come; ends the `Live` with it.

    Parameters
    ----------
    live
        The `Live` to log with; None makes one of `kwargs`.
    log_model
        `"all"` tracks the folder of checkpoints with each that is saved; True the best or last model at the end.
    """

    def __init__(
        self,
        live: Live | None = None,
        log_model: Literal["all"] | bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self._log_model = log_model
        self.live = live if live is not None else Live(**kwargs)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.live.log_params(args.to_dict())

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        for name, value in kwargs["logs"].items():
            self.live.log_metric(names.of_huggingface(name), value)
        self.live.next_step()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._log_model == "all" and state.is_world_process_zero:
            self.live.log_artifact(args.output_dir)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        if self._log_model is True:
            name = "best" if args.load_best_model_at_end else "last"
            folder = os.path.join(args.output_dir, name)
            kwargs["model"].save_pretrained(folder)
            tokenizer = kwargs.get("processing_class") or kwargs.get("tokenizer")
            if tokenizer is not None:
                tokenizer.save_pretrained(folder)
            self.live.log_artifact(folder, name=name, type="model", copy=True)
        self.live.end()


DVCLiveCallback = LiveCallback
