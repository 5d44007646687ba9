"""The queue as a panel: what waits and runs, stages, curves and logs as they come, and what one does about it.

The view draws (`extension/src/panels/monitor`); this follows the queue in the thread of `pump`, and sends what is new:

    {"kind": "all" | "new", "rows": {uid: …}, "order": [uid, …], "stages": {uid: …}, "curves": [[id, n], …], …}   and points as bytes
    {"kind": "beat"}                          where nothing else was sent for a while
    {"kind": "ack", "id": 3, "state": "taken" | "done" | "failed", "text": …}
    {"kind": "alert" | "error", "text": …}

All that was sent can be sent again: whoever looks on late, or anew, says `hello` and gets it, with the names of all who are
heard (`views`); who is not among them says it again, for what a page sends before its line to the kernel stands is lost. What one asks for comes as
`{"kind": "do", "id": 3, "what": "stop", "uid": …}`. The kernel hears it once the cell that runs is done; the view says so.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from nbexp.errors import NbexpError, NotFound
from nbexp.experiments import alerting
from nbexp.formats import secrets
from nbexp.frozen import replace
from nbexp.jupyter import curves as pictures
from nbexp.jupyter import display
from nbexp.jupyter.markup import Markup, page, scrolled, tag
from nbexp.jupyter.panels import bundled, pump
from nbexp.pipeline.dag import states
from nbexp.pipeline.standing import Curve, Standing
from nbexp.project import opening
from nbexp.queue.lookout import Change, Lookout
from nbexp.queue.state import ACTIVE, LIVE
from nbexp.render import queue as texts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbexp.pipeline.standing import StageNow
    from nbexp.queue.reports import QueueStatus
    from nbexp.queue.rows import Task

# The view counts as cut off after five seconds of silence.
BEAT_S = 1.5
MAX_ROWS = 200
_KEYFRAME_S, _KEYFRAMES = 2.0, 30
_POINTS = 300  # of a curve that is sent anew; what comes after that comes whole
_GONE_S = 10.0
_STATIC_S, _QUIET_STATIC_S = 3.0, 15.0
_MOST_LOG = 4_096
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_numbers = itertools.count(1)


class Widget(anywidget.AnyWidget):
    """What the browser has: the module, the style, and what stood when it was made."""

    _esm = traitlets.Unicode("").tag(sync=True)
    _css = traitlets.Unicode("").tag(sync=True)
    start = traitlets.Dict().tag(sync=True)
    static = traitlets.Unicode("").tag(sync=True)

    def __repr__(self) -> str:
        return "<nbexp: the queue as a panel>"


class Monitor:
    """A panel of a project's queue; `widget` is what a cell shows.

    Parameters
    ----------
    publish
        Called with contents by MIME type, the id of a display, and whether it replaces that: for the static picture.
    env
        What workers that are started here inherit.
    """

    def __init__(
        self,
        root: Path,
        publish: Callable[[dict[str, object], str, bool], None],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._root = root
        self._publish = publish
        self._env = env
        self._project = opening.open(root)
        self._lookout = Lookout(self._project.queue)
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._views: set[str] = set()
        self._had_views = False
        self._left_s = time.monotonic()
        self._wants_all = False
        self._asked: list[str] = []
        self._acks: list[dict[str, object]] = []
        self._busy_since_s: float | None = time.monotonic()
        self._told_busy = False
        self._said_s = self._made_s = time.monotonic()
        self._keyframes = 0
        self._rows: dict[str, dict[str, object]] = {}
        self._order: list[str] = []
        self._ids: dict[tuple[str, str, str], int] = {}
        self._laid: dict[str, int] = {}
        self._alerts = alerting.News(time.time())
        self._static_s = 0.0
        self._is_static_old = False
        self._is_ended = False
        self.on_end: list[Callable[[], None]] = []
        self.static_id = f"nbexp-queue-{os.getpid()}-{next(_numbers)}"
        js, css = bundled.read("monitor")
        message, _ = self._all()
        start = {
            key: value for key, value in message.items() if key not in ("curves", "logs", "views")
        }
        self.widget = Widget(_esm=js, _css=css, start=start, static=self.static_id)
        self.widget.on_msg(self._hear)

    # ---- what the cell shows besides

    def show_static(self, *, replaces: bool = False) -> None:
        """Leave what stands now as text, tables and pictures, which need nothing to be seen."""
        self._static_s, self._is_static_old = time.monotonic(), False
        self._publish(
            static(self._status(), self._lookout, self.static_id), self.static_id, replaces
        )

    def cell_began(self, *_: object) -> None:
        """A cell runs in this kernel: what is asked for waits."""
        self._busy_since_s = time.monotonic()

    def cell_ended(self, *_: object) -> None:
        self._busy_since_s = None

    # ---- what the pump asks

    @property
    def is_open(self) -> bool:
        if self._is_ended or self.widget.comm is None:
            return False
        with self._lock:
            return bool(
                self._views or not self._had_views or time.monotonic() - self._left_s < _GONE_S
            )

    def pump(self) -> bool:
        change = self._lookout.look()
        self._is_static_old |= bool(change)
        now = time.monotonic()
        with self._lock:
            wants_all, self._wants_all = self._wants_all, False
            asked, self._asked = self._asked, []
            acks, self._acks = self._acks, []
            is_new = not self._had_views
        if is_new and self._keyframes < _KEYFRAMES and now - self._said_s > _KEYFRAME_S:
            # Whoever runs all cells has the view long before the kernel can hear that it is there.
            wants_all = True
            self._keyframes += 1
        for ack in acks:
            self._send(ack)
        if wants_all:
            self._send(*self._all())
        elif change:
            self._send(*self._new(change))
        for uid in asked:
            self._send(*self._one(uid))
        self._tell_alerts()
        is_busy = self._busy_since_s is not None and now - self._busy_since_s > 0.3
        if is_busy != self._told_busy:
            self._told_busy = is_busy
            self._send({"kind": "new", "busy": is_busy})
        if now - self._said_s > BEAT_S:
            self._send({"kind": "beat"})
        pause_s = _STATIC_S if any(change.tasks) else _QUIET_STATIC_S
        if self._is_static_old and now - self._static_s > pause_s:
            self.show_static(replaces=True)
        return bool(change) or any(task.state in ACTIVE for task in self._lookout.tasks.values())

    def fail(self, error: Exception) -> None:
        said = display.in_cell_words(str(error)) if isinstance(error, NbexpError) else repr(error)
        with contextlib.suppress(Exception):
            self._send({"kind": "error", "text": said})

    def end(self) -> None:
        self._is_ended = True
        for forget in self.on_end:
            forget()
        with contextlib.suppress(Exception):
            self.show_static(replaces=True)
        self._project.close()
        self._project.queue.site.close()

    # ---- what is sent

    def _send(self, content: dict[str, object], buffers: list[bytes] | None = None) -> None:
        self._said_s = time.monotonic()
        self.widget.send(content, buffers=buffers)

    def _all(self) -> tuple[dict[str, object], list[bytes]]:
        """All that there is to be seen."""
        tasks = self._lookout.ordered()
        shown = tasks[:MAX_ROWS]
        self._rows = {task.uid: self._row(task) for task in shown}
        self._order = [task.uid for task in shown]
        self._laid = {}
        followed = [uid for uid in self._lookout.followed if uid in self._rows]
        message: dict[str, object] = {
            "kind": "all",
            "rows": {uid: _aged(one, self._lookout.tasks[uid]) for uid, one in self._rows.items()},
            "order": self._order,
            "stages": {uid: self._stages(uid) for uid in followed},
            "logs": {uid: _log(self._lookout.log_tail(uid)[-_MOST_LOG:]) for uid in followed},
            "busy": self._told_busy,
            "views": sorted(self._views),
            **self._around(len(tasks)),
        }
        curves = [
            (uid, stage, name, pictures.thinned(curve.steps, curve.values, _POINTS // 2))
            for uid in followed
            for (stage, name), curve in self._curves(uid).items()
        ]
        return message, self._points(curves, message)

    def _new(self, change: Change) -> tuple[dict[str, object], list[bytes]]:
        """What is other than it was."""
        message: dict[str, object] = {"kind": "new"}
        tasks = self._lookout.ordered()
        order = [task.uid for task in tasks[:MAX_ROWS]]
        rows: dict[str, dict[str, object]] = {}
        wanted = {*change.tasks, *(set(order) - self._rows.keys())}
        # What runs in a cell tells the queue nothing of its stages.
        told = {*change.staged, *change.points} & self._lookout.tasks.keys()
        wanted |= {uid for uid in told if self._lookout.tasks[uid].is_attended}
        for uid in wanted & {*order}:
            task = self._lookout.tasks[uid]
            made = self._row(task)
            known = self._rows.get(uid, {})
            other = {key: value for key, value in made.items() if known.get(key) != value}
            if other:
                rows[uid] = _aged(other, task) if "state" in other else other
            self._rows[uid] = made
        if rows:
            message["rows"] = rows
        if order != self._order:
            message["order"] = self._order = order
            self._rows = {uid: self._rows[uid] for uid in order}
        if change.tasks or change.gone or change.is_other:
            message |= self._around(len(tasks))
        if change.staged:
            message["stages"] = {uid: self._stages(uid) for uid in change.staged}
        if change.logs:
            message["logs"] = {uid: _log(data[-_MOST_LOG:]) for uid, data in change.logs.items()}
        curves = [
            (uid, stage, name, points)
            for uid, found in change.points.items()
            for (stage, name), points in found.items()
        ]
        return message, self._points(curves, message)

    def _one(self, uid: str) -> tuple[dict[str, object], list[bytes]]:
        """What there is to be seen of one task, however long it is over."""
        task = self._lookout.tasks.get(uid)
        if task is None:
            return {"kind": "beat"}, []
        standing, tail = self._lookout.back(task)
        message: dict[str, object] = {
            "kind": "new",
            "stages": {uid: _stages_of(standing, with_layout=True)},
            "logs": {uid: _log(tail[-_MOST_LOG:])},
            "again": [uid],
        }
        curves = [
            (uid, stage, name, pictures.thinned(curve.steps, curve.values, _POINTS // 2))
            for (stage, name), curve in standing.curves.items()
        ]
        return message, self._points(curves, message)

    def _around(self, count: int) -> dict[str, object]:
        counts = {"queued": 0, "running": 0, "done": 0, "failed": 0}
        for task in self._lookout.tasks.values():
            state = "running" if task.state in ACTIVE else task.state
            counts[state] = counts.get(state, 0) + 1
        workers = [
            {"slot": one.slot, "task": one.task, "stops": one.stops}
            for one in self._lookout.workers
        ]
        more = max(0, count - MAX_ROWS)
        return {
            "counts": counts, "workers": workers, "paused": self._lookout.is_paused, "more": more,
        }  # fmt: skip

    def _row(self, task: Task) -> dict[str, object]:
        standing = self._lookout.standing(task.uid) if task.is_attended else None
        return row(task if standing is None else replace(task, live=_live(standing)))

    def _stages(self, uid: str) -> dict[str, object] | None:
        standing = self._lookout.standing(uid)
        if standing is None:
            return None
        shape = hash((tuple(standing.stages), tuple(standing.needs.items())))
        is_new = self._laid.get(uid) != shape
        self._laid[uid] = shape
        return _stages_of(standing, with_layout=is_new)

    def _curves(self, uid: str) -> Mapping[tuple[str, str], Curve]:
        standing = self._lookout.standing(uid)
        return {} if standing is None else standing.curves

    def _points(
        self,
        curves: Iterable[tuple[str, str, str, list[tuple[float, float]]]],
        message: dict[str, object],
    ) -> list[bytes]:
        """Points as bytes: all steps as doubles, then all values as floats; who is who stands in the message."""
        steps, values = array("d"), array("f")
        parts: list[list[int]] = []
        names: dict[int, list[str]] = {}
        for uid, stage, name, points in curves:
            key = (uid, stage, name)
            is_new = key not in self._ids
            number = self._ids.setdefault(key, len(self._ids))
            if is_new or message["kind"] == "all":
                names[number] = [uid, stage, name]
            parts.append([number, len(points)])
            for step, value in points:
                steps.append(step)
                values.append(value)
        if not parts:
            return []
        message["curves"] = parts
        if names:
            message["names"] = names
        return [steps.tobytes() + values.tobytes()]

    def _tell_alerts(self) -> None:
        for said in self._alerts.of(self._root):
            self._send({"kind": "alert", "text": said})

    def _status(self) -> QueueStatus:
        return self._project.queue.status()

    # ---- what is asked for

    def _hear(self, _widget: object, content: Mapping[str, Any], _buffers: object) -> None:
        """On whatever thread the kernel hears it; nothing here waits."""
        kind = content.get("kind")
        with self._lock:
            if kind == "hello":
                self._views.add(str(content.get("view", "")))
                self._had_views = self._wants_all = True
            elif kind == "bye":
                self._views.discard(str(content.get("view", "")))
                self._left_s = time.monotonic()
            elif kind == "look":
                self._asked.append(str(content.get("uid", "")))
            elif kind == "do":
                self._acks.append(
                    {"kind": "ack", "id": content.get("id"), "state": "taken", "text": ""}
                )
                threading.Thread(
                    target=self._carry_out,
                    args=(dict(content),),
                    name="nbexp-panel-do",
                    daemon=True,
                ).start()

    def _carry_out(self, asked: dict[str, Any]) -> None:
        state, text = "done", ""
        with self._turn:
            try:
                text = self._do(
                    str(asked.get("what")), str(asked.get("uid", "")), asked.get("jobs")
                )
            except NbexpError as error:
                state, text = "failed", display.in_cell_words(str(error))
            except Exception as error:  # noqa: BLE001  # shown in the panel: there is no cell it belongs to
                state, text = "failed", repr(error)
        with self._lock:
            self._acks.append({"kind": "ack", "id": asked.get("id"), "state": state, "text": text})

    def _do(self, what: str, uid: str, jobs: object) -> str:
        project = opening.open(self._root)
        project.stage_env = self._env
        queue = project.queue
        try:
            match what:
                case "pause":
                    return display.plain(queue.pause())
                case "start":
                    count = max(1, int(str(jobs or 1)))
                    started = queue.start(count)
                    beyond = [one.slot for one in queue.workers() if int(one.slot) > count]
                    if beyond:
                        queue.site.store.stop_workers(stops=True, slots=beyond)
                    return display.plain(started)
                case "stop":
                    return display.plain(queue.stop_run(uid))
                case "stop-all":
                    # What somebody waits for in a cell or a terminal is not the queue's.
                    running = [
                        task.uid
                        for task in queue.site.store.tasks("running")
                        if not task.is_attended
                    ]
                    return display.plain(queue.kill(*running)) if running else "nothing runs"
                case "retry":
                    return display.plain(queue.retry(uid))
                case "remove":
                    return display.plain(queue.remove(uid))
        finally:
            queue.site.close()
            project.close()
        raise NotFound(f"There is no action `{what}`. Nothing was changed.")


def show(root: Path, shell: InteractiveShell, env: Mapping[str, str]) -> Monitor:
    """Show the panel in the cell that runs, and beside it what stays when there is no kernel any more."""
    from IPython.display import display as show_in_cell

    def publish(contents: dict[str, object], display_id: str, replaces: bool) -> None:
        transient = {"display_id": display_id}
        shell.display_pub.publish(contents, {}, transient=transient, update=replaces)

    monitor = Monitor(root, publish, env)
    monitor.show_static()
    show_in_cell(monitor.widget)  # type: ignore[no-untyped-call]  # IPython gives it no types
    for event, hear in (
        ("pre_run_cell", monitor.cell_began),
        ("post_run_cell", monitor.cell_ended),
    ):
        shell.events.register(event, hear)
        monitor.on_end.append(functools.partial(shell.events.unregister, event, hear))
    pump.follow(monitor)
    return monitor


def static(status: QueueStatus, lookout: Lookout, static_id: str) -> dict[str, object]:
    """The queue as it stands: text, a table, and of what runs, or ran last, the stages and the curves as pictures."""
    contents: dict[str, object] = {"text/plain": display.plain(status)}
    parts: list[object] = [display.html(status)]
    chosen = next((uid for uid in _by_interest(lookout) if lookout.standing(uid)), None)
    standing = lookout.standing(chosen) if chosen is not None else None
    if chosen is not None and standing is not None:
        name = lookout.tasks[chosen].name
        drawn = []
        if standing.stages and len(standing.stages) <= states.MAX_STAGES:
            drawn.append(states.draw(standing, time.time()))
            contents["image/svg+xml"] = drawn[0].svg
        curves = pictures.draw(standing.curves)
        drawn += [curves] if curves is not None else []
        parts.append(tag("p", tag("b", name)))
        parts += [scrolled(Markup(one.img())) for one in drawn]
    contents["text/html"] = page(tag("div", *parts, data_nbexp_static=static_id))
    return contents


def row(task: Task) -> dict[str, object]:
    """A task as a line of the table."""
    uid, name, state, stage, progress, values, _ = texts.cells(task)
    return {
        "id": uid, "name": name, "state": state, "stage": stage, "progress": progress, "values": values,
        "given": " ".join(task.overrides), "error": task.error or "", "attempt": task.attempt,
    }  # fmt: skip


def _live(standing: Standing) -> dict[str, object]:
    """What a run is at, as a worker writes it to the queue."""
    found: dict[str, object] = {}
    for name, stage in standing.stages.items():
        if stage.state == "running" or (stage.values and "stage" not in found):
            found = {"stage": name, "values": dict(stage.values)}
            found |= {"cell": stage.cell, "cells": stage.cells} if stage.cells else {}
            found |= {"step": stage.step} if stage.step is not None else {}
    return found


def _aged(one: dict[str, object], task: Task) -> dict[str, object]:
    """With how long it runs, or ran: seconds, because clocks of two machines differ."""
    elapsed = task.elapsed_s
    return {
        **one,
        "age": None if elapsed is None else round(elapsed, 2),
        "live": task.state in LIVE,
    }


def _stages_of(standing: Standing, *, with_layout: bool) -> dict[str, object]:
    now = time.time()
    found: dict[str, object] = {
        "states": {name: _stage(one, now) for name, one in standing.stages.items()}
    }
    if with_layout and standing.stages and len(standing.stages) <= states.MAX_STAGES:
        layout = states.arrange(standing, now)
        found["layout"] = {
            "boxes": {
                one.stage: [round(one.x, 1), round(one.y, 1), round(one.width, 1)]
                for one in layout.places
            },
            "edges": layout.edges,
            "size": [round(layout.width), round(layout.height)],
        }
    return found


def _stage(one: StageNow, now: float) -> list[object]:
    elapsed = one.elapsed_s(now)
    return [
        one.state,
        None if elapsed is None else round(elapsed, 2),
        one.cell,
        one.cells,
        one.finished,
        one.expected_s,
    ]


def _log(data: bytes) -> str:
    """What was written as text without what steers a terminal; a line that was drawn over is its last state."""
    text = _CONTROL.sub("", data.decode("utf-8", "replace").replace("\r\n", "\n"))
    return secrets.in_output(text, os.environ)


def _by_interest(lookout: Lookout) -> list[str]:
    return [task.uid for task in lookout.ordered() if task.state != "queued"]
