"""Where the stages of a run stand: kept from its events as they come, or from the lines that it wrote of them.

Every face that shows a run while it goes on asks here, so that a cell, a panel and a picture say the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbexp import events
from nbexp.pipeline.stage_lines import event_of

# Beyond so many points every second one of a curve goes: nobody sees the difference, and memory has an end.
MAX_POINTS = 50_000
_OPEN = ("waiting", "running")


@dataclass
class StageNow:
    """Where one stage stands.

    Attributes
    ----------
    state
        `waiting`, `running`, `done`, `unchanged`, `restored`, `taken as edited`, `failed`, `interrupted`,
        `stopped` or `not run`.
    began_s, seconds
        When it began, by the clock of whoever tells; how long it took, once it is over.
    cell, cells, finished
        Of a notebook: the cell that runs, how many there are, and how many are done.
    expected_s
        How long it takes by past runs; None where there was none.
    line
        What it wrote last.
    """

    state: str = "waiting"
    began_s: float = 0.0
    seconds: float | None = None
    cell: int = 0
    cells: int = 0
    finished: int = 0
    step: float | None = None
    checkpoint: int | None = None
    values: dict[str, object] = field(default_factory=dict)
    expected_s: float | None = None
    line: str = ""

    def elapsed_s(self, now_s: float) -> float | None:
        """How long it runs, or ran."""
        if self.state == "running":
            return max(0.0, now_s - self.began_s)
        return self.seconds

    def left_s(self, now_s: float) -> float | None:
        """How long it will go on, or take, by past runs; None where nobody knows."""
        if self.state not in _OPEN:
            return 0.0
        if self.expected_s is None:
            return None
        if self.state == "waiting":
            return self.expected_s
        return max(0.0, self.expected_s - (now_s - self.began_s))

    def share(self, now_s: float) -> float | None:
        """How far it is, from 0 to 1: by its cells, the one that runs counted half, else by past runs."""
        if self.cells:
            is_in_one = self.cell > self.finished
            return min(1.0, (self.finished + (0.5 if is_in_one else 0)) / self.cells)
        if self.expected_s:
            return min(0.99, (now_s - self.began_s) / self.expected_s)
        return None


@dataclass
class Curve:
    """The values that a stage logged under one name, in the order they came."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: float, value: float) -> None:
        self.steps.append(step)
        self.values.append(value)
        if len(self.steps) > MAX_POINTS:
            self.steps, self.values = self.steps[::2], self.values[::2]


class Standing:
    """The stages of one run, who needs whom, and what they logged."""

    def __init__(self) -> None:
        self.stages: dict[str, StageNow] = {}
        self.needs: Mapping[str, tuple[str, ...]] = {}
        self.jobs = 1
        self.curves: dict[tuple[str, str], Curve] = {}

    def take(self, event: events.Event, now_s: float | None = None) -> None:
        """Note what an event says; `now_s` is when it came, by the clock that later questions go by."""
        now = time.time() if now_s is None else now_s
        match event:
            case events.RunStarted(stages=stages):
                self._begin(stages, {}, 1, {})
            case events.Planned(stages=stages, needs=needs, jobs=jobs, seconds=seconds):
                self._begin(stages, needs, jobs, seconds)
            case events.StageSkipped(stage=name):
                self.of(name).state = "unchanged"
            case events.DataTaken(stage=name):
                self.of(name).state = "taken as edited"
            case events.StageRestored(stage=name):
                self.of(name).state = "restored"
            case events.StageStarted(stage=name):
                stage = self.of(name)
                stage.state, stage.began_s, stage.line = "running", now, ""
            case events.CellStarted(stage=name, cell=number, total=total):
                stage = self.of(name)
                stage.cell, stage.cells, stage.line = number, total, ""
            case events.CellFinished(stage=name, cell=number, total=total):
                stage = self.of(name)
                stage.cell, stage.cells, stage.finished = number, total, stage.finished + 1
            case events.MetricLogged(stage=name, step=step, values=values):
                self._log(name, step, values)
            case events.CheckpointMade(stage=name, step=number):
                self.of(name).checkpoint = number
            case events.StageFinished(stage=name, seconds=seconds):
                stage = self.of(name)
                stage.state, stage.seconds = "done", seconds
            case events.StageStopped(stage=name):
                stage = self.of(name)
                stage.seconds = stage.elapsed_s(now)
                stage.state = "failed"
            case events.StageNotRun(stage=name):
                self.of(name).state = "not run"

    def of(self, name: str) -> StageNow:
        """The stage of that name, which may be one that nobody planned."""
        return self.stages.setdefault(name, StageNow())

    def end(self, state: str, now_s: float | None = None) -> None:
        """The run is over: what still runs is in this state now, and what waits does not run."""
        now = time.time() if now_s is None else now_s
        for stage in self.stages.values():
            if stage.state == "running":
                stage.seconds, stage.state = stage.elapsed_s(now), state
            elif stage.state == "waiting":
                stage.state = "not run"

    @property
    def running(self) -> dict[str, StageNow]:
        return {name: one for name, one in self.stages.items() if one.state == "running"}

    def left_s(self, now_s: float) -> float | None:
        """How long the run goes on at most, by past runs and with as many at once; None where nobody knows.

        At most, because stages that wait may turn out unchanged.
        """
        left = {name: one.left_s(now_s) for name, one in self.stages.items()}
        if not left or any(one is None for one in left.values()):
            return None
        ends: dict[str, float] = {
            name: 0.0 if one.state not in _OPEN else float(left[name] or 0)
            for name, one in self.stages.items()
            if one.state != "waiting"
        }
        # When each of the places becomes free; stages take them in their order.
        free = sorted(ends[name] for name in self.running)
        free = [0.0] * max(0, self.jobs - len(free)) + free
        for name in self.stages:
            if name in ends:
                continue
            ready = max((ends.get(other, 0.0) for other in self.needs.get(name, ())), default=0.0)
            ends[name] = max(ready, free.pop(0)) + float(left[name] or 0)
            free = sorted([*free, ends[name]])
        return max(ends.values())

    def tell(self, line: Mapping[str, Any]) -> None:
        """Note a line that `line_of` made; one of another version says nothing."""
        found = event_of(line)
        if found is not None:
            self.take(found, float(line.get("at", 0.0)))

    def _begin(
        self,
        stages: tuple[str, ...],
        needs: Mapping[str, tuple[str, ...]],
        jobs: int,
        seconds: Mapping[str, float],
    ) -> None:
        self.stages = {name: StageNow(expected_s=seconds.get(name)) for name in stages}
        self.needs = {}
        if needs:  # of a run that has only its name yet, nobody knows
            self.needs = {
                name: tuple(one for one in needs.get(name, ()) if one in self.stages)
                for name in stages
            }
        self.jobs = jobs
        self.curves = {}

    def _log(self, name: str, step: float | None, values: Mapping[str, float | int | str]) -> None:
        stage = self.of(name)
        stage.step = step
        stage.values |= values
        for key, value in values.items():
            if isinstance(value, str) or not math.isfinite(value):
                continue
            curve = self.curves.setdefault((name, key), Curve())
            curve.add(float(len(curve.steps) if step is None else step), float(value))
