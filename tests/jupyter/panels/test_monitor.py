"""The panel of the queue without a browser: what it leaves in a cell, and what it sends; tests/journeys/test_monitor.py has it in JupyterLab."""

from __future__ import annotations

import base64
import json
import os
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbexp import events
from nbexp.experiments import alerting
from nbexp.jupyter.panels import monitor, pump
from nbexp.pipeline import stage_lines
from nbexp.project import opening
from nbexp.queue import state
from nbexp.queue.owners import Owner
from nbexp.queue.rows import NewTask, Task
from tests import kernels

WIDGET = "application/vnd.jupyter.widget-view+json"


class Sent:
    """What a panel sends, as the browser gets it."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.size_bytes = 0
        self.points: list[tuple[float, float]] = []

    def __call__(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.messages.append(json.loads(json.dumps(content)))
        self.size_bytes += len(json.dumps(content)) + sum(map(len, buffers or []))
        count = sum(n for _, n in content.get("curves", []))
        if count:
            assert buffers is not None
            steps = struct.unpack(f"{count}d", buffers[0][: 8 * count])
            values = struct.unpack(f"{count}f", buffers[0][8 * count :])
            self.points += [*zip(steps, values, strict=True)]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.messages if one["kind"] == kind]


class Panel:
    """A panel of a project whose one task runs, told of by the test in place of a worker."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.queue = opening.open(project).queue
        self.queue.add({"train.lr": 0.5}, name="one")
        self.owner = Owner(project / ".dvc" / "tmp" / "nbexp")
        task = self.queue.site.store.claim(self.owner.id)
        assert task is not None
        self.task: Task = task
        self.shown: list[tuple[dict[str, object], bool]] = []
        self.log = project / ".dvc" / "tmp" / "nbexp" / "log"
        self.log.mkdir(parents=True, exist_ok=True)
        self.tell(events.Planned(("prepare", "train"), {"prepare": (), "train": ("prepare",)}))
        self.monitor = monitor.Monitor(
            project, lambda contents, _, replaces: self.shown.append((contents, replaces))
        )
        self.sent = Sent()
        self.monitor.widget.send = self.sent

    def tell(self, *told: events.Event) -> None:
        """What a run would write of itself."""
        with open(self.log / f"{self.task.uid}-{self.task.attempt}.jsonl", "ab") as file:
            file.writelines(stage_lines.line_of(event, time.time()) or b"" for event in told)

    def write(self, data: bytes) -> None:
        with open(self.log / f"{self.task.uid}-{self.task.attempt}.log", "ab") as file:
            file.write(data)

    def hear(self, **content: object) -> None:
        self.monitor._hear(None, content, [])

    def close(self) -> None:
        self.monitor.widget.close()
        self.monitor.end()
        self.queue.site.close()
        self.owner.close()


@pytest.fixture
def panel(pipeline_project: Callable[..., Path]) -> Iterator[Panel]:
    made = Panel(pipeline_project())
    yield made
    made.close()


def metric(step: int) -> events.MetricLogged:
    return events.MetricLogged("train", step, {"acc": step / 4096})


def test_a_curve_of_two_thousand_points_sends_less_than_sixty_kilobytes(panel: Panel) -> None:
    panel.monitor.pump()
    panel.sent.messages.clear()
    before = panel.sent.size_bytes
    for start in range(0, 2000, 20):  # two hundred values a second, ten looks a second
        panel.tell(*map(metric, range(start, start + 20)))
        panel.monitor.pump()
    assert panel.sent.points == [(float(step), step / 4096) for step in range(2000)]
    assert panel.sent.size_bytes - before < 60_000
    # Who is who is said once.
    assert sum("names" in one for one in panel.sent.messages) == 1


def test_nothing_new_is_nothing_sent(panel: Panel) -> None:
    panel.monitor.pump()
    count = len(panel.sent.messages)
    for _ in range(10):
        panel.monitor.pump()
    assert len(panel.sent.messages) == count


def test_a_silent_queue_still_says_that_the_kernel_is_there(panel: Panel) -> None:
    end = time.monotonic() + 30
    while not panel.sent.of("beat"):
        assert time.monotonic() < end
        panel.monitor.pump()
        time.sleep(0.05)


def test_who_comes_late_gets_all_there_is(panel: Panel) -> None:
    panel.tell(events.StageSkipped("prepare"), events.StageStarted("train", ()))
    panel.tell(events.CellStarted("train", 2, 3), *map(metric, range(2000)))
    panel.write(b"10%\r50%\rready \x1b[31mred\x1b[0m <script>\n")
    panel.monitor.pump()
    panel.sent.messages.clear()
    panel.sent.points.clear()
    panel.hear(kind="hello")
    panel.monitor.pump()
    (full,) = panel.sent.of("all")
    uid = panel.task.uid
    assert full["rows"][uid]["name"] == "one"
    assert full["rows"][uid]["state"] == "running"
    assert full["counts"]["running"] == 1
    states = full["stages"][uid]["states"]
    assert [one[0] for one in states.values()] == ["unchanged", "running"]
    assert states["train"][2:4] == [2, 3]
    assert set(full["stages"][uid]["layout"]["boxes"]) == {"prepare", "train"}
    assert full["logs"][uid] == "10%\r50%\rready red <script>\n"
    # The curve is thinned: its ends and peaks are what is seen.
    assert len(panel.sent.points) <= 600
    assert panel.sent.points[0] == (0.0, 0.0)
    assert panel.sent.points[-1] == (1999.0, 1999 / 4096)


def test_a_view_that_says_hello_again_is_one_view(panel: Panel) -> None:
    """What a page sends before its line to the kernel stands is lost, so it asks until it is answered."""
    panel.hear(kind="hello", view="a")
    panel.hear(kind="hello", view="b")
    panel.hear(kind="hello", view="a")
    panel.monitor.pump()
    (full,) = panel.sent.of("all")
    assert full["views"] == ["a", "b"]
    panel.hear(kind="bye", view="a")
    assert panel.monitor.is_open
    panel.hear(kind="hello", view="b")
    panel.monitor.pump()
    assert panel.sent.of("all")[-1]["views"] == ["b"]
    panel.hear(kind="bye", view="b")
    panel.monitor._left_s -= monitor._GONE_S
    assert not panel.monitor.is_open


def test_stages_and_rows_come_as_what_changed(panel: Panel) -> None:
    panel.hear(kind="hello")
    panel.monitor.pump()
    panel.sent.messages.clear()
    panel.tell(events.StageStarted("prepare", ()))
    panel.queue.site.store.tell(panel.task.uid, "stage", {}, {"stage": "prepare"})
    panel.monitor.pump()
    (new,) = panel.sent.of("new")
    assert new["rows"] == {panel.task.uid: {"stage": "prepare"}}
    assert "layout" not in new["stages"][panel.task.uid]
    assert "order" not in new
    assert len(json.dumps(new)) < 600


def test_what_is_asked_for_is_carried_out_and_told(panel: Panel) -> None:
    def answer(number: int) -> dict[str, Any]:
        end = time.monotonic() + 60
        while True:
            panel.monitor.pump()
            found = [one for one in panel.sent.of("ack") if one["id"] == number]
            if found and found[-1]["state"] != "taken":
                return found[-1]
            assert time.monotonic() < end
            time.sleep(0.02)

    panel.hear(kind="do", id=1, what="pause")
    assert answer(1)["state"] == "done"
    assert panel.queue.status().is_paused
    assert [one["state"] for one in panel.sent.of("ack")] == ["taken", "done"]
    panel.hear(kind="do", id=2, what="remove", uid=panel.task.uid)
    assert "stays as it was: it is running" in answer(2)["text"]
    panel.hear(kind="do", id=3, what="retry", uid="ffffffffffff")
    failed = answer(3)
    assert (failed["state"], failed["text"].startswith("There is no task `ffffffffffff`")) == (
        "failed", True,
    )  # fmt: skip
    assert "nbexp queue" not in failed["text"]  # commands are spelled as in a cell
    panel.hear(kind="do", id=4, what="rm -rf")
    assert answer(4)["state"] == "failed"


def test_a_task_that_is_over_for_long_can_be_looked_at(panel: Panel) -> None:
    panel.tell(events.StageStarted("train", ()), metric(1), metric(2))
    panel.write(b"the end\n")
    store = panel.queue.site.store
    store.apply(panel.task.uid, state.Ended(panel.owner.id, panel.task.attempt, "failed", "no"))
    panel.monitor.pump()
    panel.sent.messages.clear()
    panel.hear(kind="look", uid=panel.task.uid)
    panel.monitor.pump()
    found = next(one for one in panel.sent.of("new") if "again" in one)
    assert found["again"] == [panel.task.uid]
    assert [one[0] for one in found["stages"][panel.task.uid]["states"].values()] == [
        "not run",
        "failed",
    ]
    assert found["logs"][panel.task.uid] == "the end\n"


def test_what_stays_is_text_a_table_and_pictures(panel: Panel) -> None:
    panel.tell(events.StageStarted("train", ()), metric(1), metric(2))
    panel.monitor.pump()
    panel.monitor.show_static()
    contents, replaces = panel.shown[-1]
    assert not replaces
    assert {*contents} == {"text/plain", "text/html", "image/svg+xml"}
    assert "Worker status: 0 active, 0 idle" in str(contents["text/plain"])
    html = str(contents["text/html"])
    assert "<table" in html
    assert "<script" not in html
    assert "<svg" not in html
    alts = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]*)"', html)
    assert [words.partition(":")[0] for _, words in alts] == ["prepare", "acc"]
    assert base64.b64decode(alts[0][0]).decode() == contents["image/svg+xml"]


def test_what_a_notebook_holds_of_the_panel_is_small(panel: Panel) -> None:
    held = panel.monitor.widget.get_state()
    kept = {key: held[key] for key in ("start", "static")}
    assert len(json.dumps(kept)) < 4_000
    assert len(held["_esm"]) + len(held["_css"]) < 40_000


def test_one_thread_keeps_all_panels_up_to_date_and_ends_with_them(panel: Panel) -> None:
    def names() -> list[str]:
        return [one.name for one in threading.enumerate()]

    other = monitor.Monitor(panel.project, lambda *_: None)
    pump.follow(panel.monitor)
    pump.follow(other)
    assert names().count("nbexp-panels") == 1
    assert len(pump.panels()) == 2
    panel.hear(kind="hello")
    end = time.monotonic() + 30
    while not panel.sent.of("all"):
        assert time.monotonic() < end
        time.sleep(0.02)
    panel.monitor.widget.close()
    other.widget.close()
    while "nbexp-panels" in names():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert pump.panels() == ()


def test_an_alert_of_a_run_elsewhere_is_told_once(panel: Panel) -> None:
    panel.monitor.pump()
    told = {"time": time.time() + 1, "pid": 1, "notebook": True, "message": "`one`: acc <b> > 0.9"}
    alerting.log_file(panel.project).write_text(json.dumps(told) + "\n")
    panel.monitor.pump()
    assert panel.sent.of("alert") == [{"kind": "alert", "text": "`one`: acc <b> > 0.9"}]
    # One that was due a moment before, and is written a moment later.
    late = {**told, "time": time.time() + 0.5, "message": "`two`: acc > 0.9"}
    with alerting.log_file(panel.project).open("a") as file:
        file.write(json.dumps(late) + "\n")
    panel.monitor.pump()
    panel.monitor.pump()
    texts = [one["text"] for one in panel.sent.of("alert")]
    assert texts == ["`one`: acc <b> > 0.9", "`two`: acc > 0.9"]


def test_stopping_all_leaves_what_somebody_waits_for(panel: Panel) -> None:
    store = panel.queue.site.store
    new = NewTask("f" * 12, "", "0" * 40, "here", "", {}, kind="place", max_attempts=1)
    store.begin(new, panel.owner.id)
    store.apply(panel.task.uid, state.Ended(panel.owner.id, panel.task.attempt, "failed", "no"))
    panel.hear(kind="do", id=1, what="stop-all")
    end = time.monotonic() + 60
    while not any(one["state"] == "done" for one in panel.sent.of("ack")):
        assert time.monotonic() < end
        panel.monitor.pump()
        time.sleep(0.02)
    assert panel.sent.of("ack")[-1]["text"] == "nothing runs"
    task = store.task("f" * 12)
    assert task is not None
    assert task.state == "running"


def test_what_goes_wrong_is_shown_in_the_panel(panel: Panel) -> None:
    panel.monitor.fail(ValueError("<no>"))
    assert panel.sent.of("error") == [{"kind": "error", "text": "ValueError('<no>')"}]


# ---- in a kernel


@pytest.fixture
def cells(pipeline_project: Callable[..., Path]) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    started: list[Any] = []

    def run(*sources: str, **env: str) -> list[dict[str, Any]]:
        """What the cells show, in a kernel of a front end where `JPY_SESSION_NAME` is given."""
        manager = kernels.manager()
        manager.start_kernel(cwd=str(pipeline_project()), env={**os.environ, **env})
        client = manager.client()
        client.start_channels()
        started.append((client, manager))
        client.wait_for_ready(timeout=60)
        found: list[dict[str, Any]] = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] in ("display_data", "execute_result", "error"):
                found.append(message["content"])

        for source in sources:
            client.execute_interactive(source, output_hook=take, timeout=120)
        return found

    yield run
    for client, manager in started:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


CELLS = ("%load_ext nbexp", "%exp run --queue -n one -S train.lr=0.5;", "%exp queue -i")


def test_the_cell_has_the_picture_that_stays_and_the_panel(cells: Callable[..., Any]) -> None:
    static, panel = cells(*CELLS, JPY_SESSION_NAME="lab.ipynb")
    assert {"text/plain", "text/html"} <= static["data"].keys()
    assert WIDGET not in static["data"]
    assert "one" in static["data"]["text/plain"]
    assert panel["data"][WIDGET]["model_id"]
    assert panel["data"]["text/plain"] == "<nbexp: the queue as a panel>"


def test_where_nobody_looks_on_there_is_the_table_alone(cells: Callable[..., Any]) -> None:
    (table,) = cells(*CELLS)
    assert {*table["data"]} == {"text/plain", "text/html"}
    assert "waiting 1" in table["data"]["text/plain"]
