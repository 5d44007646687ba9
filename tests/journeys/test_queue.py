"""Product 4.2, cells 11 to 15, through real kernels: one is killed in the middle, then a worker."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.crashes.queueing import marked, until
from tests.journeys.test_first_minutes import Kernel, start

__all__ = ["start"]  # a fixture


@pytest.fixture
def project(pipeline_project: Callable[..., Path], git: Callable[..., str]) -> Iterator[Path]:
    """Stages that wait while the file `gate` is there, and log a value before."""
    made = pipeline_project()
    text = (made / "train.sh").read_text()
    line = '{"kind": "metric", "step": 7, "values": {"acc": 0.9229}}'
    (made / "train.sh").write_text(
        f"echo '{line}' >> $NBEXP_EVENTS\nwhile [ -e {made.parent}/gate ]; do sleep 0.02; done\n{text}"
    )
    git("commit", "--quiet", "--all", "--message=wait", cwd=made)
    (made.parent / "gate").write_text("")
    yield made
    for pid in marked(made):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)


def status(nbexp_cli: Callable[..., Any], project: Path) -> dict[str, Any]:
    found = json.loads(nbexp_cli("queue", "status", "--json", cwd=project).stdout)
    return dict(found)


def states(nbexp_cli: Callable[..., Any], project: Path) -> list[str]:
    return [task["state"] for task in status(nbexp_cli, project)["tasks"]]


def test_the_queue_outlives_the_kernel_and_a_worker(
    project: Path,
    start: Callable[..., Kernel],
    nbexp_cli: Callable[..., Any],
    git: Callable[..., str],
) -> None:
    kernel = start(project, "lab.ipynb")
    kernel.run("%load_ext nbexp")
    queued = kernel.run("%exp run --queue -S train.lr=0.01,0.05,0.001 -S seed=0,1")
    assert queued.text.splitlines() == [
        "queued 6   duplicates 0   first key slowest: lr=0.01 seed=0, lr=0.01 seed=1, lr=0.05 seed=0 …",
        "pre-flight: all inputs tracked",
        "start: %exp queue start -j 2",
    ]
    assert [row[1] for row in queued.html.tables[0][1:]][:2] == ["lr=0.01 seed=0", "lr=0.01 seed=1"]
    assert kernel.run("%exp queue start -j 2").text == (
        "Started '2' new experiments task queue workers."
    )
    until(lambda: states(nbexp_cli, project).count("running") == 2)
    until(lambda: status(nbexp_cli, project)["tasks"][0]["live"].get("values"))
    shown = kernel.run("%exp queue")
    (table,) = shown.html.tables
    assert table[0] == ["task", "name", "state", "stage", "progress", "values", "elapsed"]
    assert table[1][2:6] == ["▶ running", "train", "step 7", "acc 0.9229"]
    assert [row[2] for row in table[3:]] == ["… queued"] * 4
    assert "Worker status: 2 active, 0 idle   waiting 4" in shown.text
    name = table[1][1]

    # The kernel is killed: nothing of the queue was its own.
    os.kill(kernel.process.pid, signal.SIGKILL)
    kernel.process.wait(60)
    assert states(nbexp_cli, project).count("running") == 2
    again = start(project, "lab.ipynb")
    again.run("%load_ext nbexp")
    assert "Worker status: 2 active" in again.run("%exp queue").text

    # Then a worker: its task waits again, once, and with the reason.
    worker = next(one for one in status(nbexp_cli, project)["workers"] if one["task"] == name)
    os.kill(worker["pid"], signal.SIGKILL)
    until(lambda: any(task["error"] for task in status(nbexp_cli, project)["tasks"]))
    (task,) = [one for one in status(nbexp_cli, project)["tasks"] if one["error"]]
    assert (task["name"], task["error"]) == (name, "worker died (signal 9)")

    (project.parent / "gate").unlink()
    followed = again.run(f"%exp logs {name} -f")
    assert "epoch 3" in followed.shown["text/html"]
    until(lambda: set(states(nbexp_cli, project)) == {"done"})
    refs = git("for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps", cwd=project).split()
    assert len(refs) == len(set(refs)) == 6
    assert sorted(refs) == sorted(task["name"] for task in status(nbexp_cli, project)["tasks"])
    best = again.run(
        '%exp show --where "acc > 0.9" --sort-by acc --sort-order desc --group-by train.lr'
    )
    groups = sorted(row[:2] for row in best.html.tables[0][1:])
    assert groups == [["0.001", "2"], ["0.01", "2"], ["0.05", "2"]]
    assert git("status", "--porcelain", cwd=project) == ""
    again.run("%exp queue stop")
    until(lambda: not list(marked(project)))


def test_the_folder_of_a_run_is_shown(project: Path, nbexp_cli: Callable[..., Any]) -> None:
    nbexp_cli("run", "--queue", "-S", "train.lr=0.05", "-n", "one", cwd=project)
    nbexp_cli("queue", "start", cwd=project)
    until(lambda: states(nbexp_cli, project) == ["running"])
    shown = nbexp_cli("queue", "status", "-v", cwd=project).stdout
    (line,) = [line for line in shown.splitlines() if "folder:" in line]
    folder = Path(line.partition("folder: ")[2])
    until(
        lambda: (
            (folder / "params.yaml").exists() and "lr: 0.05" in (folder / "params.yaml").read_text()
        )
    )
    assert folder.is_relative_to(project / ".dvc" / "tmp" / "nbexp")
    assert nbexp_cli("queue", "logs", "one", cwd=project).stdout.splitlines()[-1] == (
        f"one: running in {folder}"
    )
    (project.parent / "gate").unlink()
    until(lambda: states(nbexp_cli, project) == ["done"])
