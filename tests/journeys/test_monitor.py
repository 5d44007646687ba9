"""The queue as a panel: a day with it in a real JupyterLab, with real workers."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.queue.conftest import end_workers

# `NBEXP_SHOTS=docs/_static` renews the picture of docs/how-to/watch-the-queue.md.
SHOTS = Path(os.environ.get("NBEXP_SHOTS", "build/screenshots"))
DVC_YAML = """\
stages:
  prepare:
    cmd: python -c "open('data.txt', 'w').write('1')"
    outs: [data.txt]
  train:
    cmd: python train.py
    deps: [data.txt, train.py]
    params: [lr]
    outs: [model.txt]
"""
# Logs a step as often as the test lets it, so that what is seen does not depend on the machine's speed.
TRAIN = """\
import math, time
from pathlib import Path

import yaml
from nbexp import live

lr = yaml.safe_load(open("params.yaml"))["lr"]
gate = Path({gate!r})
if lr == 0.6:
    raise SystemExit("<script>window.hacked = 1</script> no such model")
print("training with <b>lr</b>", lr, flush=True)
step = 0
end = time.monotonic() + 300
while time.monotonic() < end:
    is_over = (gate / "done").exists() or (gate / f"done-{{lr}}").exists()
    allowed = len(list(gate.glob("step-*")))
    while step < allowed:
        step += 1
        odd = {{"<script>window.hacked = 2</script>": lr * step}} if lr == 0.3 else {{}}
        live.log(step, acc=round(1 - lr / (1 + step), 6), loss=round(lr / step, 6), **odd)
    if is_over:
        break
    time.sleep(0.02)
Path("model.txt").write_text("model")
"""


class Gate:
    """What the tasks wait for: steps they may log, and their ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.steps = 0

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.steps += 1
            (self.folder / f"step-{self.steps:04}").touch()

    def done(self, lr: float | None = None) -> None:
        (self.folder / ("done" if lr is None else f"done-{lr}")).touch()


@pytest.fixture(scope="module", autouse=True)
def _shots() -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    made = Gate(tmp_path / "gate")
    yield made
    made.done()


@pytest.fixture
def project(
    repo: Path, gate: Gate, git: Callable[..., str], nbexp_cli: Callable[..., Any]
) -> Iterator[Path]:
    nbexp_cli("init", cwd=repo)
    (repo / "dvc.yaml").write_text(DVC_YAML)
    (repo / "train.py").write_text(TRAIN.format(gate=str(gate.folder)))
    (repo / "params.yaml").write_text("lr: 0.1\n")
    (repo / ".gitignore").write_text("lab.ipynb\n/dvclive\n")
    git("add", "--all", cwd=repo)
    git("commit", "--quiet", "--message=pipeline", cwd=repo)
    yield repo
    end_workers(repo)


LRS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
QUEUED = [
    "%load_ext nbexp",
    f"%exp run --queue -n run -S lr={','.join(map(str, LRS))};",
    "%exp queue -i",
]


LOST = """
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  const text = typeof data === "string" ? data : new TextDecoder().decode(data);
  if (window.lostGreetings === undefined && text.includes('"hello"')) window.lostGreetings = 1;
  else send.call(this, data);
};
"""


def panel_of(page: Page) -> Locator:
    panel = page.get_by_role("region", name="The queue")
    panel.wait_for()
    return panel


def counts_of(panel: Locator) -> Locator:
    return panel.get_by_role("status").filter(has_text="waiting")


def row(panel: Locator, name: str) -> Locator:
    return panel.locator("tbody tr").filter(
        has=panel.page.get_by_role("button", name=name, exact=True)
    )


def test_tasks_are_queued_seen_running_paused_stopped_and_retried(
    project: Path, gate: Gate, open_notebook: Callable[..., Any]
) -> None:
    tab = open_notebook(project, QUEUED, width=1280)
    tab.run_all()
    page = tab.page
    panel = panel_of(page)
    counts = counts_of(panel)
    expect(counts).to_contain_text("workers 0 busy, 0 idle · waiting 6 · running 0")
    # The picture that stays is in the notebook, and not seen beside the panel.
    static = page.locator("[data-nbexp-static]")
    expect(static).to_have_count(1)
    expect(static).to_be_hidden()
    assert "run-1" in tab.text()
    # Two workers, by the keyboard.
    jobs = panel.get_by_label("How many workers")
    jobs.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(counts).to_contain_text("workers 2 busy, 0 idle · waiting 4 · running 2", timeout=60_000)
    expect(row(panel, "run-1")).to_contain_text("▶ running")
    expect(row(panel, "run-2")).to_contain_text("▶ running")
    gate.step(3)
    expect(row(panel, "run-1")).to_contain_text("step 3", timeout=30_000)
    expect(row(panel, "run-1")).to_contain_text("acc 0.975")
    # Of the chosen task: its stages, curves and log.
    panel.get_by_role("button", name="run-2", exact=True).click()
    graph = panel.locator(".nbq-graph")
    expect(graph).to_have_attribute(
        "aria-label", re.compile(r"prepare: (done|restored).*; train: running")
    )
    chart = panel.get_by_role("img", name="acc: run-2")
    expect(chart).to_have_attribute("data-points", "3")
    gate.step(40)
    expect(chart).to_have_attribute("data-points", "43", timeout=30_000)
    expect(panel.locator(".nbq-log")).to_contain_text("training with <b>lr</b> 0.2")
    expect(panel.locator(".nbq-legend")).to_contain_text("run-1")
    page.mouse.move(0, 0)
    panel.screenshot(path=SHOTS / "queue-panel.png")
    # Pause: what runs goes on, nothing else begins.
    panel.get_by_role("button", name="Pause").click()
    expect(counts).to_contain_text("paused")
    gate.done(0.1)
    expect(row(panel, "run-1")).to_contain_text("✓ done", timeout=60_000)
    expect(counts).to_contain_text("waiting 4 · running 1 · done 1")
    # Stop one; it can wait again.
    panel.get_by_role("button", name="run-2", exact=True).click()
    panel.get_by_role("button", name="Stop", exact=True).click()
    expect(row(panel, "run-2")).to_contain_text("■ cancelled", timeout=60_000)
    panel.get_by_role("button", name="Retry").click()
    expect(row(panel, "run-2")).to_contain_text("… queued", timeout=60_000)
    # Take one out, and go on: the others run, one of them fails and says why.
    panel.get_by_role("button", name="run-5", exact=True).click()
    panel.get_by_role("button", name="Remove").click()
    expect(row(panel, "run-5")).to_have_count(0, timeout=60_000)
    gate.done()
    panel.get_by_role("button", name="Go on").click()
    expect(counts).to_contain_text("waiting 0 · running 0 · done 4 · failed 1", timeout=120_000)
    failed = row(panel, "run-6")
    expect(failed).to_contain_text("✗ failed")
    panel.get_by_role("button", name="run-6", exact=True).click()
    expect(panel.locator(".nbq-log")).to_contain_text(
        "<script>window.hacked = 1</script> no such model"
    )
    panel.get_by_role("button", name="run-3", exact=True).click()
    expect(
        panel.get_by_role("img", name="<script>window.hacked = 2</script>: run-3")
    ).to_be_visible()
    assert page.evaluate("() => window.hacked") is None
    assert tab.findings(".nbexp-panel") == []
    # The page is loaded anew, the kernel lives: the panel is there again, with all there was, even where
    # what it asked first was lost, as on a slow page.
    tab.save()
    page.add_init_script(LOST)
    page.reload()
    panel = panel_of(page)
    expect(row(panel, "run-1")).to_contain_text("✓ done", timeout=60_000)
    assert page.evaluate("() => window.lostGreetings") == 1
    panel.get_by_role("button", name="run-1", exact=True).click()
    expect(panel.get_by_role("img", name="acc: run-1")).to_have_attribute("data-points", "43")
    panel.get_by_role("button", name="run-6", exact=True).click()
    panel.get_by_role("button", name="Retry").click()
    expect(panel.get_by_text("run-6 waits again")).to_be_visible(timeout=60_000)


def test_workers_go_on_when_the_kernel_is_killed_and_the_cell_shows_them_again(
    project: Path, gate: Gate, open_notebook: Callable[..., Any]
) -> None:
    tab = open_notebook(
        project,
        [*QUEUED[:2], "import os; print('pid', os.getpid())", "%exp queue start;", QUEUED[2]],
    )
    tab.run_all()
    page = tab.page
    panel = panel_of(page)
    gate.step(2)
    expect(row(panel, "run-1")).to_contain_text("step 2", timeout=60_000)
    # The picture beside the panel follows; it is what a reader without a kernel has.
    expect(page.locator("[data-nbexp-static]")).to_contain_text("running", timeout=30_000)
    page.wait_for_function(
        "() => document.querySelector('[data-nbexp-static] img') !== null", timeout=60_000
    )
    pid = int(tab.text().split("pid ")[1].split()[0])
    os.kill(pid, signal.SIGKILL)
    expect(panel.get_by_text("disconnected")).to_be_visible(timeout=60_000)
    # The page hears of the kernel's end after the panel does; from then on the panel is not kept with the notebook.
    end = time.monotonic() + 60
    while '"nbexp-queue-' in json.dumps(tab.save()["metadata"].get("widgets", {})):
        assert time.monotonic() < end
        page.wait_for_timeout(200)
    gate.step(3)
    page.reload()
    page.wait_for_function(
        "() => !!window.jupyterapp && !!window.jupyterapp.shell.currentWidget?.content"
    )
    static = page.locator("[data-nbexp-static]")
    expect(static).to_be_visible(timeout=60_000)
    expect(static).to_contain_text("run-1")
    page.evaluate(
        "async () => { await window.jupyterapp.shell.currentWidget.context.sessionContext.ready; }"
    )
    for number, cell in enumerate(tab.cells()):
        if cell["source"] not in ("%load_ext nbexp", "%exp queue -i"):
            page.evaluate(
                "n => window.jupyterapp.shell.currentWidget.content.model.sharedModel.getCell(n).setSource('')",
                number,
            )
    tab.run_all()
    panel = panel_of(page)
    expect(row(panel, "run-1")).to_contain_text("step 5", timeout=60_000)
    expect(panel.get_by_role("img", name="acc: run-1")).to_have_attribute("data-points", "5")
    expect(static).to_be_hidden()


def test_a_busy_kernel_is_said_and_what_is_asked_for_waits(
    project: Path, gate: Gate, open_notebook: Callable[..., Any], tmp_path: Path
) -> None:
    free = tmp_path / "free"
    wait = f"import time, pathlib\nwhile not pathlib.Path({str(free)!r}).exists(): time.sleep(0.05)"
    tab = open_notebook(
        project,
        [*QUEUED[:2], "%exp queue start -j 2;", QUEUED[2], wait],
        app="notebook",
        theme="dark",
    )
    page = tab.page
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    panel = panel_of(page)
    gate.step(2)
    # The cell below runs; the panel keeps up all the same.
    expect(row(panel, "run-1")).to_contain_text("step 2", timeout=60_000)
    expect(panel.get_by_text("a cell runs")).to_be_visible(timeout=30_000)
    panel.get_by_role("button", name="Pause").click()
    expect(
        panel.get_by_text(
            "pause: waits for the kernel; it takes effect when the cell that runs is done"
        )
    ).to_be_visible()
    gate.step(1)
    expect(row(panel, "run-1")).to_contain_text("step 3", timeout=30_000)
    # An alert that a worker gave is shown for a while.
    said = "<img src=x onerror='window.hacked = 3'> acc > 0.9"
    told = {"time": time.time() + 1, "pid": 1, "notebook": True, "message": said}
    (project / ".dvc" / "tmp" / "nbexp" / "alerts.jsonl").write_text(json.dumps(told) + "\n")
    expect(panel.get_by_role("alert")).to_contain_text(said, timeout=30_000)
    panel.screenshot(path=SHOTS / "queue-panel-dark.png")
    assert tab.findings(".nbexp-panel") == []
    panel.get_by_role("button", name="Close this alert").click()
    expect(panel.get_by_text(said)).to_have_count(0)
    assert page.evaluate("() => window.hacked") is None
    free.touch()
    counts = counts_of(panel)
    expect(counts).to_contain_text("paused", timeout=60_000)
    expect(panel.get_by_text("a cell runs")).to_have_count(0, timeout=30_000)
    # In a narrow side bar everything is still there.
    page.evaluate("() => { document.querySelector('.nbq').style.width = '300px'; }")
    panel.screenshot(path=SHOTS / "queue-panel-narrow.png")
    assert panel.evaluate("e => e.scrollWidth <= e.clientWidth + 1")
