"""An adaptive sweep over notebooks, asked for in a cell, through kills of kernel, worker and leader (G-U05, cell 16)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp.filesystem import FileLock
from tests.kernels import manager

LINE = (
    '%exp sweep --optuna "minimize loss" -S "train.lr=tag(log,interval(1e-4,10))" '
    "--trials 40 -j 4 --seed 3"
)
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "id": "params",
            "metadata": {"tags": ["parameters"]},
            "source": "lr = 0.1\nsteps = 6",
            "outputs": [],
            "execution_count": None,
        },
        {
            "cell_type": "code",
            "id": "train",
            "metadata": {},
            "source": (
                "import json, math, time\n"
                "from nbexp import live\n"
                "far = abs(math.log10(lr) + 2)\n"
                "for step in range(steps):\n"
                "    loss = round(far + 1 / (step + 1), 6)\n"
                "    live.log(step=step, loss=loss)\n"
                "    time.sleep(0.12)\n"
                'json.dump({"loss": loss}, open("metrics.json", "w"))'
            ),
            "outputs": [],
            "execution_count": None,
        },
    ],
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


class Kernel:
    """A real kernel in the project's folder."""

    def __init__(self, project: Path) -> None:
        self.manager = manager()
        self.manager.start_kernel(cwd=os.fspath(project))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def start(self, source: str) -> None:
        """Run a cell, and do not wait."""
        self.client.execute(source)

    def run(self, source: str) -> str:
        """Run a cell; the text of what it shows."""
        shown: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] in ("display_data", "execute_result", "update_display_data"):
                shown.append(content["data"].get("text/plain", ""))
            elif message["msg_type"] == "stream":
                shown.append(content["text"])

        reply = self.client.execute_interactive(source, timeout=400, output_hook=hear)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "\n".join(shown)

    def kill(self) -> None:
        self.client.stop_channels()
        pid = self.manager.provisioner.pid
        os.kill(pid, signal.SIGKILL)
        self.manager.cleanup_resources()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernels(tmp_path: Path) -> Iterator[Callable[[Path], Kernel]]:
    made: list[Kernel] = []

    def make(project: Path) -> Kernel:
        made.append(Kernel(project))
        return made[-1]

    yield make
    for one in made:
        if one.manager.has_kernel:
            one.close()
    for lock in tmp_path.rglob(".dvc/tmp/nbexp/slots/*.lock"):
        pid = holder(lock)
        if pid is not None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGTERM)
            wait_for(lambda lock=lock: holder(lock) is None)


def holder(lock: Path) -> int | None:
    found = FileLock(lock)
    word = found.holder().partition(" ")[0] if found.held() else ""
    return int(word) if word.isdigit() else None


def wait_for(condition: Callable[[], object], timeout_s: float = 240.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def test_a_sweep_of_forty_notebooks_outlives_kernel_worker_and_leader(
    repo: Path, kernels: Callable[[Path], Kernel], nbexp_cli: Any, git: Callable[..., str]
) -> None:
    (repo / "train.ipynb").write_text(json.dumps(NOTEBOOK))
    nbexp_cli("init", "train.ipynb", cwd=repo)
    before = git("status", "--porcelain", cwd=repo), git("rev-parse", "HEAD", cwd=repo)
    project = nbexp.open(repo)
    slots = repo / ".dvc" / "tmp" / "nbexp" / "slots"

    kernel = kernels(repo)
    kernel.run("%load_ext nbexp")
    kernel.start(LINE)

    def over() -> int:
        if "sweep-1" not in project.sweeps:
            return 0
        counts = project.sweeps.show("sweep-1").counts
        return counts.get("done", 0) + counts.get("pruned", 0)

    wait_for(lambda: over() >= 12)
    kernel.kill()
    worker = next(pid for lock in sorted(slots.glob("sweep-1.?.lock")) if (pid := holder(lock)))
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: over() >= 20)
    leader = holder(slots / "lead-sweep-1.lock")
    assert leader is not None, "without its kernel the sweep went on"
    os.kill(leader, signal.SIGKILL)
    wait_for(lambda: holder(slots / "lead-sweep-1.lock") is None)

    again = kernels(repo)
    again.run("%load_ext nbexp")
    shown = again.run(LINE)
    assert "Going on with sweep-1" in shown

    sweep = project.sweeps.show("sweep-1")
    done = {one.name: one.rev for one in sweep.trials if one.state == "done"}
    pruned = {one.name for one in sweep.trials if one.state == "pruned"}
    assert sweep.state == "done"
    assert [one.number for one in sweep.trials] == [*range(1, 41)]
    assert len(done) + len(pruned) == 40
    assert len(pruned) >= 1
    there = dict(
        reversed(line.split())
        for line in git(
            "for-each-ref", "--format=%(objectname) %(refname:lstrip=4)", "refs/exps", cwd=repo
        ).splitlines()
    )
    assert there == done
    stopped = []
    for trial in sweep.trials:
        if trial.state != "pruned":
            continue
        name = trial.name
        ref = git("for-each-ref", "--format=%(refname)", f"refs/nbexp/failed/*/*/{name}", cwd=repo)
        assert "Nbexp-State: pruned" in git("show", "-s", "--format=%B", ref, cwd=repo)
        assert str(trial.point["train.lr"]) in git("show", f"{ref}:params.yaml", cwd=repo)
        stopped.append("runs/train.ipynb" in git("ls-tree", "-r", "--name-only", ref, cwd=repo))
    # That of the killed worker may have left nothing but its values.
    assert stopped.count(False) <= 2
    assert any(stopped)
    best = sweep.best
    assert best is not None
    assert f"best: {best.name} loss " in shown
    assert 0.001 < float(str(best.point["train.lr"])) < 0.1
    assert git("fsck", "--strict", "--no-dangling", cwd=repo) == ""
    assert (git("status", "--porcelain", cwd=repo), git("rev-parse", "HEAD", cwd=repo)) == before
    assert [lock.name for lock in slots.glob("sweep-*.lock") if holder(lock)] == []
    project.close()
