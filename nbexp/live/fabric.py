"""Lightning Fabric: `Fabric(loggers=[LiveLogger()])` logs what `fabric.log(…)` and `fabric.log_dict(…)` report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbexp.live import lightning


class LiveLogger(lightning.LiveLogger):
    """Lightning's logger, but that everything is written with each call: Fabric has no end of a step."""

    def log_metrics(
        self, metrics: Mapping[str, Any], step: int | None = None, sync: bool | None = True
    ) -> None:
        super().log_metrics(metrics, step, sync)


DVCLiveLogger = LiveLogger
