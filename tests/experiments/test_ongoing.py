"""A run that goes on is seen by every other process, with the last values it logged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import nbexp
from nbexp.events import Event, MetricLogged, StageStarted
from nbexp.experiments import ongoing
from nbexp.experiments.ongoing import Ongoing

TRAIN = """\
import os, sys, time
def wait(name):
    end = time.monotonic() + 60
    while not os.path.exists(name) and time.monotonic() < end:
        time.sleep(0.01)
    os.path.exists(name) or sys.exit("nobody heard")
"""
LOG = """\
import nbexp
for step in range(3):
    nbexp.live.log({"train/loss": 1 / (step + 1)}, step=step, acc=step)
    wait(f"go-{step}")
open("metrics.json", "w").write('{"acc": 2}')
"""
LIVE = """\
import nbexp
with nbexp.Live(dvcyaml=None) as live:
    for step in range(3):
        live.log_metric("train/loss", 1 / (step + 1))
        live.log_metric("acc", step)
        live.next_step()
        wait(f"go-{step}")
open("metrics.json", "w").write('{"acc": 2}')
"""
PIPELINE = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    params: [lr]
    metrics: [{metrics.json: {cache: false}}]
    plots: [{dvclive/plots/metrics: {x: step, cache: false}}]
"""


@pytest.fixture
def project(repo: Path, git) -> Callable[[str], Path]:
    def make(script: str) -> Path:
        (repo / "train.py").write_text(TRAIN + script)
        (repo / "dvc.yaml").write_text(PIPELINE)
        (repo / "params.yaml").write_text("lr: 0.1\n")
        (repo / ".gitignore").write_text("go-*\n")
        subprocess.run([sys.executable, "-m", "nbexp.cli", "init", "-q"], cwd=repo, check=True)
        git("add", "--all", cwd=repo)
        git("commit", "--quiet", "--message=pipeline", cwd=repo)
        return repo

    return make


def row_of(nbexp_cli, root: Path, name: str) -> dict[str, object] | None:
    """The experiment in `show --json` of another process, which has it once."""
    states = json.loads(nbexp_cli("show", "--json", cwd=root).stdout)
    listed = [found for state in states for found in state["experiments"] or []]
    rows = [dict(found) for found in listed if found["name"] == name]
    assert len(rows) <= 1
    return rows[0] if rows else None


@pytest.mark.parametrize("temp", [False, True], ids=["in place", "beside"])
@pytest.mark.parametrize("script", [LOG, LIVE], ids=["live.log", "Live"])
def test_each_value_is_seen_by_another_process_before_the_next_is_logged(
    script: str,
    temp: bool,
    project: Callable[[str], Path],
    nbexp_cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = project(script)
    monkeypatch.chdir(root)
    seen: dict[float, tuple[dict[str, object], str]] = {}

    def look(event: Event) -> None:
        if not isinstance(event, MetricLogged) or "acc" not in event.values:
            return
        assert (event.experiment, event.stage) == ("one", "train")
        row = row_of(nbexp_cli, root, "one")
        assert row is not None and event.step is not None
        seen[event.step] = row, nbexp_cli("plot", "train/loss", cwd=root).stdout
        (going,) = ongoing.read(root)
        assert (going.folder == root) is not temp
        (going.folder / f"go-{event.step}").touch()

    with closing(nbexp.open()) as opened:
        opened.run({"lr": 0.5}, name="one", temp=temp, emit=look)
    assert sorted(seen) == [0, 1, 2]
    for step, (row, curve) in seen.items():
        assert row["executor"]["state"] == "running"
        assert row["executor"]["local"]["pid"] == os.getpid()
        (state,) = row["revs"]
        data = state["data"]
        assert data["params"]["params.yaml"]["data"] == {"lr": 0.5}
        metrics = data["metrics"]["dvclive/metrics.json"]["data"]
        assert metrics == {"train": {"loss": 1 / (step + 1)}, "acc": step, "step": step}
        assert curve.splitlines()[2].split()[:3] == ["one", str(step + 1), "1"]
    row = row_of(nbexp_cli, root, "one")
    assert row is not None and row["executor"] is None
    assert row["revs"][0]["data"]["metrics"]["metrics.json"]["data"] == {"acc": 2}
    assert ongoing.read(root) == ()


def test_a_running_one_has_its_values_in_the_columns_of_those_that_are_done(
    project: Callable[[str], Path], nbexp_cli
) -> None:
    root = project(LOG)
    for step in range(3):
        (root / f"go-{step}").touch()
    nbexp_cli("run", "-q", "-n", "first", cwd=root)
    for step in (1, 2):
        (root / f"go-{step}").unlink()
    child = nbexp_cli.start("run", "-q", "-n", "second", "-S", "lr=0.7", cwd=root)
    wait_for(lambda: any(one.step == 1 for one in ongoing.read(root)))
    table = nbexp_cli("show", "--hide-workspace", cwd=root).stdout
    lines = [line.split() for line in table.splitlines()]
    head = lines[0]
    second = next(line for line in lines if line[0] == "second")
    shown = dict(zip(head, second, strict=True))
    del shown["created"]
    # `acc` is in metrics.json once a run is done, and what else is logged where dvclive has it.
    assert shown == {
        "experiment": "second", "state": "running", "acc": "1", "train.loss": "0.5", "step": "1", "lr": "0.7",
    }  # fmt: skip
    # What it will have come to is not known: its curve is drawn, it is no point among those that are done.
    points = nbexp_cli("plot", "lr", "acc", cwd=root).stdout.splitlines()
    assert [line.split()[0] for line in points[2:]] == ["first"]
    curves = nbexp_cli("plot", "train/loss", cwd=root).stdout.splitlines()
    assert [line.split()[0] for line in curves[2:]] == ["second", "first"]
    for step in (1, 2):
        (root / f"go-{step}").touch()
    assert child.wait(60) == 0


def test_a_run_that_was_killed_is_not_running_and_the_next_takes_its_file_away(
    project: Callable[[str], Path], nbexp_cli
) -> None:
    root = project(LOG)
    child = nbexp_cli.start("run", "-q", "-n", "one", cwd=root)
    wait_for(lambda: any(one.values for one in ongoing.read(root)))
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    folder = root / ".dvc" / "tmp" / "nbexp" / "ongoing"
    (left,) = folder.glob("*.jsonl")
    assert ongoing.read(root) == ()
    assert row_of(nbexp_cli, root, "one") is None
    for step in range(3):
        (root / f"go-{step}").touch()
    nbexp_cli("run", "-q", "-n", "two", cwd=root)
    assert not left.exists()
    assert [*folder.iterdir()] == []


def test_a_running_one_is_shown_in_a_cell_as_running(
    project: Callable[[str], Path], nbexp_cli
) -> None:
    from nbexp.jupyter import display

    root = project(LOG)
    child = nbexp_cli.start("run", "-q", "-n", "one", cwd=root)
    wait_for(lambda: any(one.values for one in ongoing.read(root)))
    with closing(nbexp.open(root)) as opened:
        shown = display.html(opened.show())
    assert "▶ running" in shown
    for step in range(3):
        (root / f"go-{step}").touch()
    assert child.wait(60) == 0


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it did not come to it within a minute"
        time.sleep(0.01)


# ---- the file


def run(uid: str = "a", name: str = "one", started_s: float = 1.0) -> Ongoing:
    return Ongoing(uid, name, "0" * 40, Path("/there"), os.getpid(), started_s)


def test_the_last_value_of_each_name_is_read(tmp_path: Path) -> None:
    heard: list[Event] = []
    with ongoing.told(tmp_path, run(), heard.append) as emit:
        (found,) = ongoing.read(tmp_path)
        assert (found.name, found.stage, found.step, found.values) == ("one", None, None, {})
        emit(StageStarted("train", ("x",)))
        emit(MetricLogged("train", 1, {"a": 1, "b": "x"}))
        emit(MetricLogged("train", 2, {"a": 0.5}))
        (found,) = ongoing.read(tmp_path)
        assert (found.stage, found.step, found.values) == ("train", 2, {"a": 0.5, "b": "x"})
    assert len(heard) == 3
    assert ongoing.read(tmp_path) == ()


def test_runs_at_once_are_read_in_the_order_they_began(tmp_path: Path) -> None:
    with (
        ongoing.told(tmp_path, run("b", "late", 2.0), lambda _: None),
        ongoing.told(tmp_path, run("a", "early", 1.0), lambda _: None),
    ):
        assert [one.name for one in ongoing.read(tmp_path)] == ["early", "late"]
    assert ongoing.read(tmp_path) == ()


def test_a_long_training_does_not_make_the_file_grow_without_end(tmp_path: Path) -> None:
    with ongoing.told(tmp_path, run(), lambda _: None) as emit:
        emit(MetricLogged("train", 0, {"once": 1}))
        for step in range(20_000):
            emit(MetricLogged("train", step, {"acc": step / 7}))
        (path,) = (tmp_path / ".dvc" / "tmp" / "nbexp" / "ongoing").glob("*.jsonl")
        assert path.stat().st_size <= 1 << 18
        (found,) = ongoing.read(tmp_path)
    assert found.values == {"once": 1, "acc": 19_999 / 7}
    assert found.step == 19_999


def test_names_with_slashes_are_a_tree_unless_one_is_in_the_way() -> None:
    assert ongoing.tree({"a/b": 1, "a/c": 2, "d": 3}) == {"a": {"b": 1, "c": 2}, "d": 3}
    assert ongoing.tree({"a": 1, "a/b": 2}) == {"a": 1}
    assert ongoing.tree({"a/b": 2, "a": 1}) == {"a": {"b": 2}}
