"""A run while it goes on: one display in the cell, replaced in place, that ends as the result's card.

Where nobody looks on (papermill, nbconvert, CI), lines for the starts and ends of stages instead.
"""

from __future__ import annotations

import contextvars
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from nbexp import events
from nbexp.errors import NbexpError, StageFailed, in_notebook_words

# At most four times a second; and once a second for the clock, so that a long cell is seen to be alive.
_PAUSE_S, _CLOCK_S = 0.25, 1.0
# A command without stages that is over sooner is not worth a display.
_PATIENCE_S = 0.5
_BAR = 8
_TAIL_LINES = 20
_MAX_VALUES = 4
_MAX_LINE = 100

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


class Watcher(Protocol):
    """A consumer of events that is told how it ended."""

    def __call__(self, event: events.Event) -> None: ...

    def done(self, result: object) -> bool:
        """All went well; returns whether the result is on the page now."""

    def stopped(self, error: BaseException) -> None:
        """It ended with an error, which is drawn below by whoever raised it."""


@dataclass
class _Stage:
    state: str = "waiting"
    started_s: float = 0.0
    cell: int = 0
    cells: int = 0
    finished: int = 0
    step: float | None = None
    checkpoint: int | None = None
    values: dict[str, object] = field(default_factory=dict)
    seconds: float | None = None
    line: str = ""


class Lines:
    """The plain watcher: stage starts and ends, notices, and the last output of a stage that failed."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._quiet = is_quiet
        self._notices: set[str] = set()

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.Notice():
                _say_once(event, self._notices)
            case events.Alert(message=message):
                _say(f"alert: {message}")
            case _ if self._quiet:
                pass
            case events.StageStarted(stage=stage):
                _say(f"{stage}  started")
            case events.StageFinished(stage=stage, seconds=seconds, cells=cells):
                _say(f"{stage}  done in {seconds:.1f} s{_cells(cells)}")
            case events.CheckpointMade(stage=stage, step=step, name=name):
                _say(f"{stage}  checkpoint {name}@{step}")
            case events.StageSkipped(stage=stage):
                _say(f"{stage}  unchanged")
            case events.DataTaken(stage=stage):
                _say(f"{stage}  taken as edited")
            case events.StageRestored(stage=stage):
                _say(f"{stage}  restored from the run cache")
            case events.StageStopped(stage=stage, message=message, goes_on=True):
                _say(f"{stage}  failed: {message}")
            case events.StageNotRun(stage=stage, because=because) if because is not None:
                _say(f"{stage}  not run, because {because} failed")
            case events.ScriptTraced(script=script, number=number, total=total):
                _say(f"running in a copy, {number} of {total}: {script}")

    def done(self, result: object) -> bool:
        return False  # the cell shows it as its value

    def stopped(self, error: BaseException) -> None:
        for line in _last_output(error):
            _say(line)


class Progress:
    """The watcher for people: one display, replaced in place.

    Parameters
    ----------
    show
        Called with (contents by MIME type, metadata, display id, whether it replaces the display of that id).
    """

    def __init__(self, show: Show, display_id: str) -> None:
        self._show = show
        self._id = display_id
        self._lock = threading.Lock()
        self._stages: dict[str, _Stage] = {}
        self._phase = ""
        self._notices: set[str] = set()
        self._alerts = 0
        self._is_shown = False
        self._is_news = False
        self._drawn_s = self._began_s = time.monotonic()
        self._over = threading.Event()
        self._clock: threading.Thread | None = None

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Notice):
            _say_once(event, self._notices)
            return
        if isinstance(event, events.Alert):
            self._alert(event)
            return
        with self._lock:
            self._take(event)
            self._is_news = True
        if self._clock is None:
            # A thread of its own draws: the last news of a burst is shown too, and the clock goes on.
            context = contextvars.copy_context()  # which cell this is, to ipykernel
            self._clock = threading.Thread(target=context.run, args=(self._follow,), daemon=True)
            self._clock.start()

    def done(self, result: object) -> bool:
        """Replace the display by what `result` looks like; False if there never was one."""
        self._end()
        if not self._is_shown:
            return False
        from nbexp.jupyter import display

        self._show(*display.bundle(result), self._id, True)
        return True

    def stopped(self, error: BaseException) -> None:
        self._end()
        state = "failed" if isinstance(error, NbexpError) else "interrupted"
        if not isinstance(error, (NbexpError, KeyboardInterrupt)):
            state = "stopped"
        for stage in self._stages.values():
            if stage.state == "running":
                stage.state, stage.seconds = state, time.monotonic() - stage.started_s
        self._phase = ""
        output = _last_output(error)
        if self._is_shown or output:
            self._draw(output)

    def _alert(self, alert: events.Alert) -> None:
        """A display of its own, which stays; a screen reader reads it out."""
        from nbexp.jupyter.markup import page, tag

        self._alerts += 1
        kind = "nbexp-bad" if alert.state == "failed" else "nbexp-good"
        line = tag("p", tag("b", "alert", class_=kind), f" {alert.message}", role="alert")
        self._show(
            {
                "text/plain": f"alert: {alert.message}",
                "text/html": page(tag("div", line, class_="nbexp-alert")),
            },
            {},
            f"{self._id}-alert-{self._alerts}",
            False,
        )

    def _end(self) -> None:
        self._over.set()
        if self._clock is not None:
            self._clock.join()

    def _follow(self) -> None:
        while not self._over.wait(_PAUSE_S if self._is_shown else 0.05):
            with self._lock:
                now = time.monotonic()
                is_due = self._is_news or now - self._drawn_s >= _CLOCK_S
                is_long = bool(self._phase) and now - self._began_s >= _PATIENCE_S
                if is_due and (self._stages or is_long):
                    self._draw()

    def _take(self, event: events.Event) -> None:
        match event:
            case events.RunStarted(stages=stages) | events.Planned(stages=stages):
                self._stages = {name: _Stage() for name in stages}
            case events.Moving(text=text, done=done, total=total, bytes_per_s=rate):
                self._phase = f"{text}  {done}/{total}  {rate / 1e6:,.1f} MB/s"
            case events.Phase(text=text, done=done, total=total):
                self._phase = text if total is None else f"{text}  {done or 0}/{total}"
            case events.ScriptTraced(script=script, number=number, total=total):
                self._phase = f"running {script} in a copy  {number}/{total}"
            case events.StageSkipped(stage=name):
                self._of(name).state = "unchanged"
            case events.DataTaken(stage=name):
                self._of(name).state = "taken as edited"
            case events.StageRestored(stage=name):
                self._of(name).state = "restored"
            case events.StageStarted(stage=name):
                stage = self._of(name)
                stage.state, stage.started_s = "running", time.monotonic()
                stage.line = self._phase = ""
            case events.CellStarted(stage=name, cell=number, total=total):
                stage = self._of(name)
                stage.cell, stage.cells = number, total
                stage.line = ""
            case events.CellFinished(stage=name, cell=number, total=total):
                stage = self._of(name)
                stage.cell, stage.cells, stage.finished = number, total, stage.finished + 1
            case events.MetricLogged(stage=name, step=step, values=found):
                stage = self._of(name)
                stage.step = step
                stage.values |= found
            case events.CheckpointMade(stage=name, step=number):
                self._of(name).checkpoint = number
            case events.OutputWritten(stage=name, data=data) if not self._of(name).cells:
                self._hear(self._of(name), data)
            case events.StageFinished(stage=name, seconds=seconds):
                stage = self._of(name)
                stage.state, stage.seconds = "done", seconds
            case events.StageStopped(stage=name):
                stage = self._of(name)
                if stage.state == "running":
                    stage.seconds = time.monotonic() - stage.started_s
                stage.state = "failed"
            case events.StageNotRun(stage=name):
                self._of(name).state = "not run"

    def _of(self, name: str) -> _Stage:
        return self._stages.setdefault(name, _Stage())

    def _hear(self, stage: _Stage, data: bytes) -> None:
        """Keep the last line of the output that says anything; a bar that redraws itself counts as lines."""
        for line in reversed(
            data[-4096:].decode("utf-8", "replace").replace("\r", "\n").split("\n")
        ):
            said = _CONTROL.sub("", line).strip()
            if said:
                stage.line = said[:_MAX_LINE]
                return

    def _draw(self, output: list[str] | None = None) -> None:
        from nbexp.render.words import aligned

        now = time.monotonic()
        rows = [_words(name, stage, now) for name, stage in self._stages.items()]
        below = output if output is not None else self._said()
        text = "\n".join(
            [*aligned([[r[0], *r[1]] for r in rows]), *(f"  {line}" for line in below)]
        )
        self._show(
            {"text/plain": text, "text/html": self._html(below)}, {}, self._id, self._is_shown
        )
        self._is_shown, self._is_news, self._drawn_s = True, False, now

    def _said(self) -> list[str]:
        """What goes on outside of stages, and the last line of each stage that runs."""
        running = {name: one for name, one in self._stages.items() if one.state == "running"}
        lines = [
            one.line if len(running) == 1 else f"{name} | {one.line}"
            for name, one in running.items()
            if one.line
        ]
        return [self._phase, *lines] if self._phase else lines

    def _html(self, below: list[str]) -> str:
        from nbexp.jupyter.markup import faint, page, pairs, tag

        now = time.monotonic()
        rows: list[list[object]] = []
        for name, stage in self._stages.items():
            parts: list[object] = list(_words(name, stage, now)[1])
            if stage.state == "running" and stage.cells:
                share = f"{_share(stage):.2f}"
                label = f"{name}, cell {stage.cell} of {stage.cells}"
                parts[0] = tag("progress", parts[0], value=share, max="1", aria_label=label)
            if stage.state == "failed":
                parts[0] = tag("span", parts[0], class_="nbexp-bad")
            rows.append([tag("b", name), *parts])
        content = [pairs(rows)] if rows else []
        if below:
            content.append(tag("pre", faint("\n".join(below))))
        return page(*content)


Show = Callable[[dict[str, object], dict[str, object], str, bool], None]


def _words(name: str, stage: _Stage, now: float) -> tuple[str, list[str]]:
    """A line of the display: the stage and, by columns, what it is doing."""
    if stage.state != "running":
        signs = {"done": "✓ done", "failed": "✗ failed", "interrupted": "■ interrupted"}
        took = [] if stage.seconds is None else [f"{stage.seconds:.1f} s"]
        where = (
            [f"in cell {stage.cell}/{stage.cells}"]
            if stage.state in signs and stage.state != "done" and stage.cells
            else []
        )
        return name, [signs.get(stage.state, stage.state), *where, *took]
    parts = []
    if stage.cells:
        filled = round(_share(stage) * _BAR)
        parts += [f"[{'#' * filled}{'-' * (_BAR - filled)}]", f"cell {stage.cell}/{stage.cells}"]
    else:
        parts.append("▶ running")
    if stage.step is not None:
        parts.append(f"step {stage.step:g}")
    if stage.checkpoint is not None:
        parts.append(f"checkpoint @{stage.checkpoint}")
    parts += [f"{key} {_short(value)}" for key, value in list(stage.values.items())[-_MAX_VALUES:]]
    return name, [*parts, f"{now - stage.started_s:.1f} s"]


def _share(stage: _Stage) -> float:
    """How far a notebook is, the cell that runs counted half."""
    running = stage.cell > stage.finished
    return min(1.0, (stage.finished + (0.5 if running else 0)) / max(1, stage.cells))


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)[:20]


def _cells(cells: int | None) -> str:
    return "" if cells is None else f" ({cells} cells)"


def _last_output(error: BaseException) -> list[str]:
    """What a stage wrote last before it failed, and where the rest of it is."""
    if not isinstance(error, StageFailed):
        return []
    lines = deque((_CONTROL.sub("", line) for line in error.tail.splitlines()), maxlen=_TAIL_LINES)
    # The hint names the log of most failures; once is enough.
    is_named = error.log is None or error.log.name in (error.hint or "")
    return [*lines] if is_named else [*lines, f"log: {_from_here(error.log)}"]


def _from_here(path: object) -> str:
    relative = os.path.relpath(str(path))
    return str(path) if relative.startswith("..") else relative


def _say_once(notice: events.Notice, said: set[str]) -> None:
    text = notice.message if notice.hint is None else f"{notice.message} Hint: {notice.hint}"
    if text not in said:
        said.add(text)
        _say(in_notebook_words(text))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
