"""A run while it goes on: one display in the cell, replaced in place, that ends as the result's card.

It shows the stages as a list and, of more than one, as a graph; what they log as values and as curves. The graph as it was
at the end stays with the card. Where nobody looks on (papermill, nbconvert, CI), lines for the starts and ends of stages
instead, and the graph with the result all the same.
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
from typing import TYPE_CHECKING, Protocol

from nbexp import events
from nbexp.errors import NbexpError, StageFailed, in_notebook_words
from nbexp.pipeline.standing import StageNow, Standing

if TYPE_CHECKING:
    from nbexp.pipeline.dag.states import Picture

# At most four times a second; and once a second for the clock, so that a long cell is seen to be alive.
_PAUSE_S, _CLOCK_S = 0.25, 1.0
# A command without stages that is over sooner is not worth a display.
_PATIENCE_S = 0.5
_BAR = 8
_TAIL_LINES = 20
_MAX_VALUES = 4
_MAX_LINE = 100
# Of a log that is followed, so much of its end is shown while it grows.
_MAX_LOG, _LOG_LINES = 20_000, 100

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


class Watcher(Protocol):
    """A consumer of events that is told how it ended."""

    def __call__(self, event: events.Event) -> None: ...

    def done(self, result: object) -> bool:
        """All went well; returns whether the result is on the page now."""

    def stopped(self, error: BaseException) -> None:
        """It ended with an error, which is drawn below by whoever raised it."""


class Lines:
    """The plain watcher: stage starts and ends, notices, and the last output of a stage that failed."""

    def __init__(
        self, *, is_quiet: bool = False, show: Show | None = None, display_id: str = ""
    ) -> None:
        self._quiet = is_quiet
        self._show = show
        self._id = display_id
        self._standing = Standing()
        self._notices: set[str] = set()

    def __call__(self, event: events.Event) -> None:
        if not _is_log(event):
            self._standing.take(event, time.monotonic())
        match event:
            case events.Notice(as_asked=True) if self._quiet:
                pass
            case events.Notice():
                _say_once(event, self._notices)
            case events.Alert(message=message):
                _say(f"alert: {message}")
            case _ if self._quiet:
                pass
            case events.OutputWritten(data=data, is_log=True):
                sys.stdout.write(data.decode("utf-8", "replace"))
                sys.stdout.flush()
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
        graph = _graph(self._standing) if _is_of_a_run(result) else None
        if self._show is None or self._quiet or graph is None:
            return False  # the cell shows it as its value
        self._show(*_with_graph(result, graph), self._id, False)
        return True

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
        self._standing = Standing()
        self._phase = ""
        self._notices: set[str] = set()
        self._alerts = 0
        self._log = b""
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
        if not self._is_shown and not self._log:
            return False
        from nbexp.jupyter import display

        if self._log:
            result = _whole(result)
        graph = _graph(self._standing) if _is_of_a_run(result) else None
        shown = display.bundle(result) if graph is None else _with_graph(result, graph)
        self._show(*shown, self._id, self._is_shown)
        return True

    def stopped(self, error: BaseException) -> None:
        self._end()
        state = "failed" if isinstance(error, NbexpError) else "interrupted"
        if not isinstance(error, (NbexpError, KeyboardInterrupt)):
            state = "stopped"
        self._standing.end(state, time.monotonic())
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
                if is_due and (self._standing.stages or self._log or is_long):
                    self._draw()

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.OutputWritten) and event.is_log:
            self._log = (self._log + event.data)[-_MAX_LOG:]
            return
        self._standing.take(event, time.monotonic())
        match event:
            case events.Moving(text=text, done=done, total=total, bytes_per_s=rate):
                self._phase = f"{text}  {done}/{total}  {rate / 1e6:,.1f} MB/s"
            case events.Phase(text=text, done=done, total=total):
                self._phase = text if total is None else f"{text}  {done or 0}/{total}"
            case events.ScriptTraced(script=script, number=number, total=total):
                self._phase = f"running {script} in a copy  {number}/{total}"
            case events.StageStarted():
                self._phase = ""
            case events.OutputWritten(stage=name, data=data) if not self._standing.of(name).cells:
                self._hear(self._standing.of(name), data)

    def _hear(self, stage: StageNow, data: bytes) -> None:
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
        rows = [_words(name, stage, now) for name, stage in self._standing.stages.items()]
        below = output if output is not None else self._said(now)
        if self._log:
            below = [*_lines_of(self._log), *below]
        text = "\n".join(
            [*aligned([[r[0], *r[1]] for r in rows]), *(f"  {line}" for line in below)]
        )
        is_over = self._over.is_set()
        graph = _graph(self._standing)
        contents: dict[str, object] = {"text/plain": text}
        if is_over and graph is not None:
            contents["image/svg+xml"] = graph.svg
        contents["text/html"] = self._html(below, graph, now, is_over=is_over)
        self._show(contents, {}, self._id, self._is_shown)
        self._is_shown, self._is_news, self._drawn_s = True, False, now

    def _said(self, now: float) -> list[str]:
        """What goes on outside of stages, the last line of each stage that runs, and how long it all goes on."""
        running = self._standing.running
        lines = [
            one.line if len(running) == 1 else f"{name} | {one.line}"
            for name, one in running.items()
            if one.line
        ]
        if self._phase:
            lines.insert(0, self._phase)
        left = self._standing.left_s(now) if len(self._standing.stages) > 1 else None
        if left and running:
            from nbexp.pipeline.dag.states import brief

            lines.append(f"at most ~{brief(left)} left, by past runs")
        return lines

    def _html(self, below: list[str], graph: Picture | None, now: float, *, is_over: bool) -> str:
        from nbexp.jupyter import curves
        from nbexp.jupyter.markup import Markup, faint, page, pairs, scrolled, tag

        rows: list[list[object]] = []
        for name, stage in self._standing.stages.items():
            parts: list[object] = list(_words(name, stage, now)[1])
            if stage.state == "running" and stage.cells:
                share = f"{stage.share(now) or 0:.2f}"
                label = f"{name}, cell {stage.cell} of {stage.cells}"
                parts[0] = tag("progress", parts[0], value=share, max="1", aria_label=label)
            if stage.state == "failed":
                parts[0] = tag("span", parts[0], class_="nbexp-bad")
            rows.append([tag("b", name), *parts])
        content = [pairs(rows)] if rows else []
        # While it goes on as `svg`, which is there at once; what stays as an `img`, which a page keeps.
        drawn = [graph, curves.draw(self._standing.curves)]
        content += [
            scrolled(Markup(one.img() if is_over else one.svg)) for one in drawn if one is not None
        ]
        if below:
            content.append(tag("pre", faint("\n".join(below))))
        return page(*content)


Show = Callable[[dict[str, object], dict[str, object], str, bool], None]


def _graph(standing: Standing) -> Picture | None:
    """The pipeline as it stands now; None where it is one stage, or nothing is known of who needs whom."""
    from nbexp.pipeline.dag import states

    if not standing.needs or not states.is_worth_it(standing):
        return None
    return states.draw(standing, time.monotonic())


# What stages were run for. The results of other commands, a table for one, are not about the last run's stages.
_OF_A_RUN = {"Experiment", "Reproduced", "RunOver"}


def _is_log(event: events.Event) -> bool:
    return isinstance(event, events.OutputWritten) and event.is_log


def _lines_of(log: bytes) -> list[str]:
    """The last lines of a log; of one that was drawn over, what stands there in the end."""
    text = log.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n")
    lines = [_CONTROL.sub("", line.rpartition("\r")[2]) for line in text.split("\n")]
    return lines[-_LOG_LINES:]


def _whole(result: object) -> object:
    """A log that was followed with its text: a terminal has that above, the display of a cell is replaced."""
    from nbexp.frozen import replace
    from nbexp.queue.reports import TaskLog

    return replace(result, was_followed=False) if isinstance(result, TaskLog) else result


def _is_of_a_run(result: object) -> bool:
    return not _OF_A_RUN.isdisjoint(kind.__name__ for kind in type(result).__mro__)


def _with_graph(result: object, graph: Picture) -> tuple[dict[str, object], dict[str, object]]:
    """What a result looks like, and below it the pipeline as it was at the end."""
    from nbexp.jupyter import display
    from nbexp.jupyter.markup import Markup, page, scrolled

    contents, metadata = display.bundle(result)
    if "text/html" in contents:
        picture = scrolled(Markup(graph.img()))
        contents["text/html"] = page(display.html(result), picture)
        contents["image/svg+xml"] = graph.svg
    return contents, metadata


def _words(name: str, stage: StageNow, now: float) -> tuple[str, list[str]]:
    """A line of the display: the stage and, by columns, what it is doing."""
    from nbexp.pipeline.dag.states import brief

    left = stage.left_s(now)
    if stage.state != "running":
        signs = {"done": "✓ done", "failed": "✗ failed", "interrupted": "■ interrupted"}
        took = [] if stage.seconds is None else [f"{stage.seconds:.1f} s"]
        if stage.state == "waiting" and left:
            took.append(f"~{brief(left)}")
        where = (
            [f"in cell {stage.cell}/{stage.cells}"]
            if stage.state in signs and stage.state != "done" and stage.cells
            else []
        )
        return name, [signs.get(stage.state, stage.state), *where, *took]
    parts = []
    if stage.cells:
        filled = round((stage.share(now) or 0) * _BAR)
        parts += [f"[{'#' * filled}{'-' * (_BAR - filled)}]", f"cell {stage.cell}/{stage.cells}"]
    else:
        parts.append("▶ running")
    if stage.step is not None:
        parts.append(f"step {stage.step:g}")
    if stage.checkpoint is not None:
        parts.append(f"checkpoint @{stage.checkpoint}")
    parts += [f"{key} {_short(value)}" for key, value in list(stage.values.items())[-_MAX_VALUES:]]
    parts.append(f"{now - stage.began_s:.1f} s")
    return name, [*parts, f"~{brief(left)} left"] if left else parts


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)[:20]


def _cells(cells: int | None) -> str:
    return "" if cells is None else f" ({cells} cells)"


def _last_output(error: BaseException) -> list[str]:
    """What a stage wrote last before it failed, and where the rest of it is."""
    if not isinstance(error, StageFailed):
        return []
    from nbexp.formats import secrets

    tail = secrets.in_output(error.tail, os.environ)
    lines = deque((_CONTROL.sub("", line) for line in tail.splitlines()), maxlen=_TAIL_LINES)
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
