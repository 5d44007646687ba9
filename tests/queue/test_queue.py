"""Queueing, running, looking, stopping and changing, as users do it and see it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp import render
from nbexp.errors import NameTaken, NotFound, QueueError, StageFailed, UsageError
from nbexp.queue import Queue, recovery
from nbexp.queue.owners import Owner, slot_lock
from nbexp.queue.rows import WorkerRow
from nbexp.queue.site import Site
from nbexp.queue.watching import Watcher
from nbexp.queue.worker import Worker
from tests.crashes.queueing import marked, until


def names(queue: Queue, *states: str) -> list[str]:
    return [task.name for task in queue.site.store.tasks(*states)]


def everything(project: Path, git: Callable[..., str]) -> dict[str, str]:
    """All that is the user's, so that it can be told that nothing of it changed."""
    found = {
        str(path): path.read_bytes().hex()
        for path in project.rglob("*")
        if path.is_file() and not {".git", "tmp", "cache"} & {*path.relative_to(project).parts}
    }
    found["index"] = (project / ".git" / "index").read_bytes().hex()
    found["git"] = git("for-each-ref", "refs/heads", "refs/stash", cwd=project)
    found["head"] = git("rev-parse", "HEAD", cwd=project)
    return found


def finish(queue: Queue, workers: int = 1) -> dict[str, str]:
    """Run all that waits; the state of each task by name."""
    queue.start(workers, idle_s=0.2)
    list(queue.wait())
    until(lambda: not queue.status().workers)
    return {task.name: task.state for task in queue.status().tasks}


def acc_of(project: Path, git: Callable[..., str], name: str) -> float:
    (ref,) = [
        ref
        for ref in git("for-each-ref", "--format=%(refname)", "refs/exps", cwd=project).split()
        if ref.endswith(f"/{name}")
    ]
    return float(json.loads(git("show", f"{ref}:metrics.json", cwd=project))["acc"])


@pytest.fixture
def gate(project: Path, git: Callable[..., str]) -> Path:
    """While this file is there, the stage `train` waits."""
    file = project.parent / "gate"
    file.write_text("")
    text = (project / "train.sh").read_text()
    (project / "train.sh").write_text(
        f"echo begun\ntouch {project.parent}/at-work\nwhile [ -e {file} ]; do sleep 0.02; done\n{text}"
    )
    git("commit", "--quiet", "--all", "--message=wait", cwd=project)
    return file


def at_work(project: Path) -> bool:
    return (project.parent / "at-work").exists()


class TestQueueing:
    def test_queueing_runs_nothing_and_touches_nothing(self, queue, project, git):
        before = everything(project, git)
        queued = queue.add(["train.lr=0.01,0.05", "seed=0,1"])
        assert len(queued) == 4
        assert [task.overrides for task in queued.tasks] == [
            ("train.lr=0.01", "seed=0"),
            ("train.lr=0.01", "seed=1"),
            ("train.lr=0.05", "seed=0"),
            ("train.lr=0.05", "seed=1"),
        ]
        assert {task.state for task in queued.tasks} == {"queued"}
        assert everything(project, git) == before
        assert git("for-each-ref", "refs/exps", cwd=project) == ""

    def test_what_was_queued_is_what_runs(self, queue, project, git):
        (project / "params.yaml").write_text(
            (project / "params.yaml").read_text().replace("epochs: 3", "epochs: 5")
        )
        queue.add({"train.lr": 0.03}, name="frozen")
        git("checkout", "--quiet", "--", "params.yaml", cwd=project)
        (project / "train.sh").write_text("exit 7\n")
        assert finish(queue) == {"frozen": "done"}
        assert acc_of(project, git, "frozen") == 0.94
        assert (project / "train.sh").read_text() == "exit 7\n"

    def test_one_worker_runs_them_in_the_order_in_which_they_were_queued(self, queue, project):
        queue.add(["train.lr=0.01,0.02,0.05"], name="n")
        queue.add({"train.lr": 0.04}, name="last")
        finish(queue)
        begun = [one.uid for one in queue.events() if one.kind == "running"]
        by_uid = {task.uid: task.name for task in queue.status().tasks}
        assert [by_uid[uid] for uid in begun] == ["n-1", "n-2", "n-3", "last"]

    def test_two_workers_run_two_at_once(self, queue, project, gate):
        queue.add(["train.lr=0.01,0.02,0.05"], name="n")
        queue.start(2, idle_s=0.2)
        until(lambda: len(names(queue, "running")) == 2)
        status = queue.status()
        assert [worker.slot for worker in status.workers] == ["1", "2"]
        assert {worker.task for worker in status.workers} == {"n-1", "n-2"}
        gate.unlink()
        list(queue.wait())
        assert queue.site.store.counts() == {"done": 3}

    def test_equal_points_are_one(self, queue):
        queued = queue.add(["train.lr=0.01,0.01,0.02"])
        assert len(queued) == 2
        assert queued.duplicates == 1

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            (["+train.url=path/to:x.y"], "url=path/to:x.y"),
            (["params.yaml:+train.more={a.b:1}"], "more={a.b:1}"),
            (["~train.lr", "seed=3"], "~lr seed=3"),
            (["~train.lr=0.1"], "~lr=0.1"),
        ],
    )
    def test_values_are_told_by_the_last_part_of_their_key(self, queue, asked, said):
        told = render.text(queue.add(asked, name="one")).splitlines()
        assert f"queued one: {said}" in told

    def test_names_of_a_grid_are_numbered_and_reserved(self, queue, project):
        assert queue.add(["seed=1,2"], name="grid").names == ("grid-1", "grid-2")
        with pytest.raises(NameTaken, match="has the name `grid-2`"):
            queue.add({"seed": 3}, name="Grid-2")
        project_object = nbexp.open(str(project))
        with pytest.raises(NameTaken, match="has the name `grid-1`"):
            project_object.run({"seed": 4}, name="grid-1")
        project_object.close()
        assert "seed: 0" in (project / "params.yaml").read_text(), "nothing was run"

    def test_a_run_that_was_made_before_takes_no_reserved_name(self, queue, project):
        opened = nbexp.open(str(project))
        made = opened.run(name="one")
        queue.add({"seed": 3}, name="waits")
        with pytest.raises(NameTaken, match="has the name `waits`"):
            opened.run(name="waits")
        assert opened.names == ["one"]
        assert opened.run(name="two").rev == made.rev
        assert opened.names == ["one", "two"]
        opened.close()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["train.lrr=1"], "No param `train.lrr`"),
            (["other.yaml:a=1"], "There is no params file other.yaml"),
        ],
    )
    def test_a_mistake_queues_nothing(self, words, said, queue, project, git):
        with pytest.raises((NotFound, UsageError), match=said):
            queue.add(["seed=1,2", *words])
        assert queue.status().tasks == ()
        assert git("for-each-ref", "refs/nbexp", cwd=project) == ""

    def test_a_stage_that_is_not_there_queues_nothing(self, queue, project, git):
        with pytest.raises(nbexp.errors.NbexpError, match="trian"):
            queue.add(["seed=1,2"], targets=["trian"])
        assert git("for-each-ref", "refs/nbexp", cwd=project) == ""

    def test_a_thousand_points_are_one_ref_and_a_handful_of_git_processes(
        self, queue, project, count_git, git
    ):
        queue.add(["seed=1"])
        count_git.clear()
        queue.add(
            [
                f"train.lr={','.join(str(n / 10_000) for n in range(1, 101))}",
                "seed=1,2,3,4,5,6,7,8,9,10",
            ]
        )
        assert len(count_git) <= 6
        refs = git("for-each-ref", "refs/nbexp/queue", cwd=project).splitlines()
        assert len(refs) == 2
        assert queue.site.store.counts() == {"queued": 1001}
        assert len({task.name for task in queue.site.store.tasks()}) == 1001

    def test_another_baseline(self, queue, project, git):
        git("tag", "v1", cwd=project)
        (project / "train.sh").write_text("exit 7\n")
        git("commit", "--quiet", "--all", "--message=broken", cwd=project)
        queue.add({"train.lr": 0.03}, name="old", baseline="v1")
        assert finish(queue) == {"old": "done"}
        (ref,) = git("for-each-ref", "--format=%(refname)", "refs/exps", cwd=project).split()
        first = git("rev-parse", "v1", cwd=project)
        assert ref == f"refs/exps/{first[:2]}/{first[2:]}/old"


class TestRunning:
    def test_a_stage_that_several_share_runs_once(self, queue, project, git):
        runs = project.parent / "runs"
        text = (project / "prepare.sh").read_text()
        (project / "prepare.sh").write_text(f"echo once >> {runs}\nsleep 0.5\n{text}")
        queue.add([f"train.lr={','.join(str(n / 100) for n in range(1, 9))}"])
        assert [*finish(queue, 2).values()] == ["done"] * 8
        assert runs.read_text() == "once\n"

    def test_the_results_are_those_of_runs_in_place(self, queue, project, git):
        queue.add({"train.lr": 0.05}, name="queued")
        finish(queue)
        here = nbexp.open(str(project))
        made = here.run({"train.lr": 0.05}, name="placed", new=True, run_cache=False)
        here.close()
        ref = "refs/exps/**/queued"
        queued = git("for-each-ref", "--format=%(tree)", ref, cwd=project)
        assert queued == git("rev-parse", f"{made.rev}^{{tree}}", cwd=project)

    def test_a_failed_task_says_why_and_is_kept(self, queue, project, git):
        (project / "train.sh").write_text("echo trying; echo no >&2; exit 3\n")
        queue.add({"train.lr": 0.05}, name="bad")
        assert finish(queue) == {"bad": "failed"}
        task = queue.find("bad")
        assert "train" in task.error
        assert "3" in task.error
        assert "trying\nno\n" in queue.logs("bad").text
        kept = git(
            "for-each-ref", "--format=%(refname:lstrip=-1)", "refs/nbexp/failed", cwd=project
        )
        assert kept == "bad"
        assert git("for-each-ref", "refs/nbexp/queue", cwd=project) == ""

    def test_a_failed_task_is_retried_from_what_it_was_queued_with(self, queue, project, git):
        gone = project.parent / "gone"
        gone.write_text("")
        text = (project / "train.sh").read_text()
        (project / "train.sh").write_text(f"[ -e {gone} ] && exit 3\n{text}")
        queue.add(["train.lr=0.05,0.02"], name="n")
        assert finish(queue) == {"n-1": "failed", "n-2": "failed"}
        git("checkout", "--quiet", "--", "train.sh", cwd=project)
        gone.unlink()
        assert queue.retry("n-1").names == ("n-1",)
        assert queue.retry(failed=True).names == ("n-2",)
        assert queue.retry("n-1").refused == {"n-1": "waits"}
        assert finish(queue) == {"n-1": "done", "n-2": "done"}
        assert queue.retry("n-1").refused == {"n-1": "is done"}

    def test_a_run_takes_too_long(self, queue, project, gate):
        queue.add({"train.lr": 0.05}, name="slow", timeout_s=0.3)
        assert finish(queue) == {"slow": "failed"}
        assert queue.find("slow").error == "it took longer than 0.3 s"
        until(lambda: not list(marked(project)))

    def test_a_task_is_run_here_and_now_whatever_is_before_it(self, queue, project, git):
        queue.add(["train.lr=0.05,0.02"], name="n")
        done = queue.run("n-2")
        assert [(task.name, task.state) for task in done.tasks] == [("n-2", "done")]
        assert names(queue, "queued") == ["n-1"]
        with pytest.raises(QueueError, match="does not wait: it is done"):
            queue.run("n-2")

    def test_a_task_that_fails_here_says_so(self, queue, project):
        (project / "train.sh").write_text("exit 3\n")
        queue.add({"train.lr": 0.05}, name="bad")
        with pytest.raises(StageFailed):
            queue.run("bad")
        assert queue.find("bad").state == "failed"

    def test_a_detached_run_goes_on_without_anybody(self, queue, project, gate, nbexp_cli, git):
        said = nbexp_cli(
            "run", "--temp", "--detach", "-n", "alone", "-S", "train.lr=0.05", cwd=project
        )
        assert said.stdout.startswith("alone runs beside your files")
        until(lambda: at_work(project))
        assert queue.find("alone").state == "running"
        gate.unlink()
        list(queue.wait())
        assert queue.find("alone").state == "done"
        assert acc_of(project, git, "alone") == 0.9133

    def test_workers_go_when_there_is_nothing_left(self, queue, project):
        queue.add({"train.lr": 0.05})
        queue.start(2, idle_s=0.2)
        list(queue.wait())
        until(lambda: not queue.status().workers)
        until(lambda: not list(marked(project)))
        assert list((project / ".dvc/tmp/nbexp/workers").glob("*.lock")) == []

    def test_work_that_comes_in_the_last_moment_is_done(self, queue, project, git):
        """Each is queued when a worker is about to go, which is when a wake-up would be lost."""
        for number in range(6):
            queue.add({"seed": number + 1}, name=f"n{number}")
            queue.start(1, idle_s=0.05)
            until(lambda number=number: queue.find(f"n{number}").state == "done")
            time.sleep(0.01 * number)
        assert queue.site.store.counts() == {"done": 6}

    def test_starting_twice_starts_nothing(self, queue, project, gate):
        queue.add(["train.lr=0.01,0.02"], name="n")
        assert queue.start(1, idle_s=0.2).started == 1
        until(lambda: at_work(project))
        again = queue.start(1)
        assert (again.started, again.running) == (0, 1)
        assert queue.start(2, idle_s=0.2).started == 1
        gate.unlink()
        list(queue.wait())

    def test_more_workers_than_cores_is_told(self, queue, project):
        said: list[Any] = []
        cores = len(os.sched_getaffinity(0))
        queue.start(cores + 1, idle_s=0.05, emit=said.append)
        assert f"{cores + 1} workers are more than the {cores} core" in said[0].message
        assert said[0].hint == f"`nbexp queue start -j {cores}`"

    def test_stages_know_their_slot_and_the_devices_that_are_theirs(self, queue, project, git):
        (project / "nbexp.toml").write_text('[resources]\ngpu = ["4", "7"]\n')
        text = (project / "train.sh").read_text()
        (project / "train.sh").write_text(
            f'echo "slot $NBEXP_SLOT gpu $CUDA_VISIBLE_DEVICES"\n{text}'
        )
        queue.add({"train.lr": 0.05}, name="n")
        queue.start(1, idle_s=0.2)
        list(queue.wait())
        assert "slot 1 gpu 4" in queue.logs("n").text

    def test_tasks_at_once_need_no_more_than_there_is(self, queue, project, git):
        (project / "nbexp.toml").write_text("[resources]\ngpu = 1\n")
        dvc_yaml = (project / "dvc.yaml").read_text()
        (project / "dvc.yaml").write_text(
            dvc_yaml.replace("  train:\n", "  train:\n    meta: {nbexp: {resources: {gpu: 1}}}\n")
        )
        overlap = project.parent / "overlap"
        text = (project / "train.sh").read_text()
        (project / "train.sh").write_text(
            f"mkdir {project.parent}/one || touch {overlap}\nsleep 0.3\n{text}\nrmdir {project.parent}/one\n"
        )
        queued = queue.add(["train.lr=0.01,0.02,0.05"], name="n")
        assert queued.tasks[0].resources == {"gpu": 1.0}
        assert [*finish(queue, 2).values()] == ["done"] * 3
        assert not overlap.exists()


class TestStopping:
    def test_a_task_that_runs_is_killed_with_all_it_has_started(self, queue, project, gate, git):
        queue.add(["train.lr=0.05,0.02"], name="n")
        queue.start(1, idle_s=0.2)
        until(lambda: at_work(project))
        assert queue.kill("n-1").names == ("n-1",)
        assert queue.find("n-1").state == "cancelled"
        gate.unlink()
        list(queue.wait())
        assert {task.name: task.state for task in queue.status().tasks} == {
            "n-1": "cancelled",
            "n-2": "done",
        }
        until(lambda: not list(marked(project)))

    def test_a_stage_has_time_to_end_unless_it_is_forced(self, queue, project, git):
        kept = project.parent / "kept"
        text = (
            f"trap 'sleep 2; echo saved > {kept}; exit 1' INT\ntouch {project.parent}/at-work\n"
            "while true; do sleep 0.05; done\n"
        )
        (project / "train.sh").write_text(text)
        queue.add({"train.lr": 0.05}, name="slow")
        queue.add({"train.lr": 0.02}, name="quick")
        queue.start(1, idle_s=0.2)
        until(lambda: at_work(project))
        (project.parent / "at-work").unlink()
        assert queue.kill("slow").names == ("slow",)
        assert kept.read_text() == "saved\n", "longer than Ctrl-C in a terminal gives it"
        kept.unlink()
        until(lambda: queue.find("quick").state == "running" and at_work(project))
        assert queue.kill("quick", force=True).names == ("quick",)
        assert not kept.exists()

    def test_what_does_not_run_is_not_killed(self, queue, project):
        queue.add({"train.lr": 0.05}, name="waits")
        assert queue.kill("waits").refused == {"waits": "it waits"}
        with pytest.raises(NotFound, match="There is no task `wats`") as caught:
            queue.kill("wats")
        assert caught.value.hint == "did you mean `waits`?"

    def test_workers_stop_when_their_tasks_are_done(self, queue, project, gate):
        queue.add(["train.lr=0.05,0.02"], name="n")
        queue.start(1)
        until(lambda: at_work(project))
        assert queue.stop().workers == 1
        assert queue.status().workers[0].stops
        gate.unlink()
        until(lambda: not queue.status().workers)
        assert {task.name: task.state for task in queue.status().tasks} == {
            "n-2": "queued",
            "n-1": "done",
        }

    def test_starting_again_keeps_a_worker_that_was_told_to_stop(self, queue, project, gate):
        queue.add(["train.lr=0.05,0.02"], name="n")
        queue.start(1, idle_s=0.2)
        until(lambda: at_work(project))
        queue.stop()
        queue.start(1, idle_s=0.2)
        gate.unlink()
        list(queue.wait())
        assert queue.site.store.counts() == {"done": 2}

    def test_stopping_with_kill_ends_what_runs(self, queue, project, gate):
        queue.add(["train.lr=0.05,0.02"], name="n")
        queue.start(1)
        until(lambda: at_work(project))
        assert queue.stop(kill=True).killed == ("n-1",)
        until(lambda: not queue.status().workers)
        assert queue.site.store.counts() == {"cancelled": 1, "queued": 1}

    def test_a_worker_that_does_not_answer_is_told_of_and_ended_by_force(
        self, queue, project, gate, monkeypatch, git
    ):
        monkeypatch.setattr("nbexp.queue.ending._KILL_S", 1.0)
        monkeypatch.setattr("nbexp.queue.ending._FORCE_S", 0.2)
        queue.add(["train.lr=0.05,0.02"], name="n")
        queue.start(1, idle_s=0.2)
        until(lambda: at_work(project))
        worker = queue.status().workers[0].pid
        os.kill(worker, signal.SIGSTOP)
        stopped = queue.stop(kill=True)
        assert (stopped.killed, stopped.left) == ((), ("n-1",))
        assert render.text(stopped) == (
            "n-1 is told to stop, but the worker has not answered.\n"
            "end it at once: nbexp queue kill --force n-1"
        )
        waits = {"n-1": "it is being stopped, and whoever runs it has not answered yet"}
        assert queue.kill("n-1").refused == waits
        monkeypatch.setattr("nbexp.queue.ending._KILL_S", 20.0)
        assert queue.kill("n-1", force=True).names == ("n-1",)
        assert {task.name: task.state for task in queue.status().tasks} == {
            "n-1": "cancelled", "n-2": "queued",
        }  # fmt: skip
        assert list(marked(project)) == []
        gate.unlink()
        assert finish(queue) == {"n-1": "cancelled", "n-2": "done"}

    def test_a_paused_queue_finishes_what_runs_and_goes_on_when_started(self, queue, project, gate):
        queue.add(["train.lr=0.05,0.02"], name="n")
        queue.start(1, idle_s=0.2)
        until(lambda: at_work(project))
        paused = queue.pause()
        assert (paused.running, paused.waiting) == (1, 1)
        gate.unlink()
        until(lambda: queue.find("n-1").state == "done")
        until(lambda: not queue.status().workers)
        assert queue.status().is_paused
        assert finish(queue) == {"n-1": "done", "n-2": "done"}

    def test_a_run_in_the_workspace_is_stopped_from_another_terminal(
        self, queue, project, gate, nbexp_cli, git
    ):
        before = everything(project, git)
        running = nbexp_cli.start("run", "-S", "train.lr=0.05", "-n", "here", cwd=project)
        until(lambda: at_work(project))
        task = queue.find("here")
        assert (task.kind, task.state, task.place) == ("place", "running", str(project))
        until(lambda: "begun" in queue.logs("here").text)
        assert nbexp_cli("stop", "here", cwd=project).stdout == "stopped here\n"
        assert running.wait(60) == 130
        assert queue.find("here").state == "cancelled"
        assert everything(project, git) == before

    def test_a_run_that_waits_is_stopped_before_it_begins(self, queue, project, nbexp_cli, git):
        queue.add({"train.lr": 0.05}, name="waits")
        assert nbexp_cli("stop", "waits", cwd=project).stdout == "stopped waits\n"
        assert queue.find("waits").state == "cancelled"
        assert git("for-each-ref", "refs/nbexp/queue", cwd=project) == ""

    def test_a_temporary_run_is_stopped(self, queue, project, gate, nbexp_cli, git):
        running = nbexp_cli.start(
            "run", "--temp", "-S", "train.lr=0.05", "-n", "beside", cwd=project
        )
        until(lambda: at_work(project))
        assert queue.find("beside").kind == "temp"
        nbexp_cli("stop", "beside", cwd=project)
        assert running.wait(60) == 130
        until(lambda: not list(marked(project)))


class TestChanging:
    def test_tasks_are_moved(self, queue, project):
        queue.add(["train.lr=0.01,0.02,0.05"], name="n")
        queue.move("n-3", first=True)
        assert names(queue) == ["n-3", "n-1", "n-2"]
        queue.move("n-3", last=True)
        queue.move("n-2", before="n-1")
        assert names(queue) == ["n-2", "n-1", "n-3"]
        with pytest.raises(UsageError, match="Where to"):
            queue.move("n-1")

    def test_a_task_gets_other_values(self, queue, project, git):
        queue.add(["train.lr=0.01,0.02"], name="n")
        queue.edit("n-1", ["train.lr=0.03", "seed=2"])
        assert queue.find("n-1").overrides == ("train.lr=0.03", "seed=2")
        with pytest.raises(NotFound) as unknown:
            queue.edit("n-1", ["train.lrr=1"])
        assert str(unknown.value) == (
            "No param `train.lrr` in params.yaml. The task is as it was.\n"
            "Hint: did you mean `train.lr`? A new param is added with a plus: "
            "`nbexp queue edit n-1 -S +train.lrr=1`."
        )
        with pytest.raises(
            UsageError, match=r"has one value of each param, and these are .* of 2"
        ) as several:
            queue.edit("n-1", ["train.lr=0.1,0.2"])
        assert several.value.hint == "`nbexp queue edit n-1 -S train.lr=0.1`"
        assert finish(queue) == {"n-1": "done", "n-2": "done"}
        assert acc_of(project, git, "n-1") == 0.9353
        assert git("for-each-ref", "refs/nbexp/queue", cwd=project) == ""

    def test_other_values_outlive_the_database(self, queue, project):
        queue.add(["train.lr=0.01,0.02"], name="n")
        queue.edit("n-1", ["train.lr=0.03"])
        queue.site.store.path.unlink()
        assert {task.name: task.overrides for task in queue.status().tasks} == {
            "n-1": ("train.lr=0.03",),
            "n-2": ("train.lr=0.02",),
        }

    def test_what_failed_and_whose_name_another_has_stays_and_the_others_wait_again(
        self, queue, project, git
    ):
        (project / "train.sh").write_text("exit 3\n")
        for name in ("one", "two"):
            queue.add({"train.lr": 0.02}, name=name)
        assert finish(queue) == {"one": "failed", "two": "failed"}
        old = queue.find("one").uid
        queue.add({"train.lr": 0.05}, name="one")
        done = queue.retry(failed=True)
        assert done.names == ("two",)
        kept = git("for-each-ref", "refs/nbexp/queue", cwd=project).splitlines()
        assert len(kept) == 2, "those of the tasks that wait"
        assert done.refused == {f"one ({old[:7]})": "another task that waits or runs has its name"}

    def test_what_waits_is_removed_and_its_snapshot_goes(self, queue, project, git):
        queue.add(["train.lr=0.01,0.02"], name="n")
        assert queue.remove("n-1").names == ("n-1",)
        assert len(git("for-each-ref", "refs/nbexp/queue", cwd=project).splitlines()) == 1
        assert queue.remove(queued=True).names == ("n-2",)
        assert git("for-each-ref", "refs/nbexp/queue", cwd=project) == ""
        assert queue.remove(everything=True).names == ()

    def test_what_is_removed_by_its_state(self, queue, project, git):
        queue.add({"train.lr": 0.01}, name="good")
        (project / "train.sh").write_text("exit 3\n")
        queue.add({"train.lr": 0.02}, name="bad")
        finish(queue)
        queue.add({"train.lr": 0.04}, name="waits")
        assert queue.remove(success=True).names == ("good",)
        assert queue.remove(failed=True).names == ("bad",)
        assert names(queue) == ["waits"]
        listed = git("for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps", cwd=project)
        assert listed == "good", "an experiment that is recorded stays"

    def test_what_runs_is_not_removed(self, queue, project, gate):
        queue.add({"train.lr": 0.01}, name="runs")
        queue.start(1, idle_s=0.2)
        until(lambda: at_work(project))
        assert queue.remove("runs").refused == {"runs": "is running"}
        gate.unlink()
        list(queue.wait())

    def test_an_experiment_is_cloned_into_the_queue(self, queue, project, git):
        here = nbexp.open(str(project))
        here.run({"train.lr": 0.05, "seed": 2}, name="first")
        git("checkout", "--quiet", "--", ".", cwd=project)
        (project / "train.sh").write_text("exit 3\n")
        before = everything(project, git)
        queued = here.clone_to_queue("first", {"train.lr": 0.03}, name="second")
        assert queued.names == ("second",)
        here.close()
        assert finish(queue)["second"] == "done"
        assert acc_of(project, git, "second") == 0.9353
        assert everything(project, git) == before


@pytest.fixture
def handlers():
    """What signals do in this process, put back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(number, signal.getsignal(number)) for number in numbers]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def test_a_worker_sent_away_behind_its_task_leaves_nothing_of_it(
    queue, project, git, monkeypatch, handlers
):
    queue.add({"train.lr": 0.05}, name="n")
    let_go = recovery.let_go

    def sent_away(*more):
        os.kill(os.getpid(), signal.SIGTERM)
        let_go(*more)

    monkeypatch.setattr(recovery, "let_go", sent_away)
    worker = Worker(Site.at(project), "1", None)
    worker.run_one(queue.find("n").uid)
    assert queue.find("n").state == "done"
    assert acc_of(project, git, "n") == 0.9133
    assert git("for-each-ref", "refs/nbexp/queue", cwd=project) == ""


def test_a_worker_that_was_told_to_stop_and_then_not_to_goes_on(queue, project):
    site = Site.at(project)
    own, lock = site.owner.id, slot_lock(site.folder, "1")
    lock.acquire()
    worker = Worker(site, "1", lock)
    site.store.sign_on(WorkerRow(own, "1", os.getpid(), time.time(), False))
    assert not worker._goes(was_told=True), "nothing waits, but it was just asked to be there"
    assert lock.is_mine
    assert worker._goes(was_told=False), "nothing waits"
    assert not lock.is_mine
    lock.acquire()
    site.store.stop_workers(stops=True)
    assert worker._goes(was_told=True)
    assert not lock.is_mine
    site.close()


class TestLooking:
    def test_status_is_true_after_a_worker_was_killed(self, queue, project, gate):
        queue.add({"train.lr": 0.05}, name="n")
        queue.start(1)
        until(lambda: at_work(project))
        (worker,) = queue.status().workers
        os.kill(worker.pid, signal.SIGKILL)
        said: list[Any] = []
        until(lambda: not queue.status(emit=said.append).workers)
        task = queue.find("n")
        assert (task.state, task.error) == ("queued", "worker died (signal 9)")
        assert [one.message for one in said] == ["n: worker died (signal 9). It waits again."]
        gate.unlink()
        assert finish(queue) == {"n": "done"}

    def test_a_worker_that_dies_while_it_is_looked_at_is_not_missing_beside_its_task(
        self, queue, project, gate, monkeypatch
    ):
        queue.add({"train.lr": 0.05}, name="n")
        queue.start(1)
        until(lambda: at_work(project))
        (worker,) = queue.status().workers
        recover = queue.recover

        def recover_and_die(emit):
            recover(emit)
            os.kill(worker.pid, signal.SIGKILL)
            until(lambda: not queue.workers())

        monkeypatch.setattr(queue, "recover", recover_and_die)
        seen = queue.status()
        monkeypatch.undo()
        assert [(task.name, task.state) for task in seen.tasks] == [("n", "running")]
        assert [one.task for one in seen.workers] == ["n"]
        seen = queue.status()
        assert [(task.name, task.state) for task in seen.tasks] == [("n", "queued")]
        assert not seen.workers
        gate.unlink()
        assert finish(queue) == {"n": "done"}

    def test_who_has_lost_its_slot_and_not_yet_its_tasks_is_no_dead_worker(self, queue, project):
        store, folder = queue.site.store, queue.site.folder
        queue.add({"train.lr": 0.05}, name="n")
        dying = Owner(folder)
        store.sign_on(WorkerRow(dying.id, "1", os.getpid(), time.time(), False))
        assert store.claim(dying.id, place=str(project)) is not None
        (folder / "slots").mkdir(exist_ok=True)
        (folder / "slots" / "1.lock").touch()
        seen = queue.status()
        assert [(one.slot, one.pid, one.task) for one in seen.workers] == [("1", os.getpid(), "n")]
        assert seen.counts == {"running": 1}
        dying.close()
        seen = queue.status()
        assert (seen.workers, seen.counts) == ((), {"queued": 1})

    def test_runs_of_one_second_are_listed_the_last_one_first(self, project, monkeypatch):
        second = int(time.time())
        monkeypatch.setattr("nbexp.git.time.time", lambda: float(second))
        opened = nbexp.open(project)
        for name, lr in (("b-first", 0.01), ("c-second", 0.02), ("a-third", 0.03)):
            opened.run({"train.lr": lr}, name=name)
        table = opened.show()
        assert len({row.created_s for row in table if row.kind == "experiment"}) == 1
        listed = [row.name for row in table if row.kind == "experiment"]
        assert listed == ["a-third", "c-second", "b-first"]

    def test_metrics_are_seen_while_a_queued_run_goes_on(
        self, queue, project, gate, nbexp_cli, git
    ):
        text = (project / "train.sh").read_text()
        line = '{"kind": "metric", "step": 7, "values": {"acc": 0.91}}'
        (project / "train.sh").write_text(f"echo '{line}' >> $NBEXP_EVENTS\n{text}")
        queue.add({"train.lr": 0.05}, name="n")
        queue.start(1, idle_s=0.2)
        live = until(lambda: queue.find("n").live.get("values") and queue.find("n").live)
        assert live == {"stage": "train", "step": 7, "values": {"acc": 0.91}}
        shown = nbexp_cli("queue", cwd=project).stdout
        assert "step 7" in shown
        assert "acc 0.91" in shown
        gate.unlink()
        list(queue.wait())

    def test_the_table_has_what_waits_and_what_runs_with_its_metrics_so_far(
        self, queue, project, gate, nbexp_cli, git
    ):
        text = (project / "train.sh").read_text()
        (project / "train.sh").write_text(f"echo '{{\"acc\": 0.5}}' > metrics.json\n{text}")
        queue.add(["train.lr=0.05,0.02"], name="n")
        queue.start(1, idle_s=0.2)
        until(lambda: at_work(project))
        here = nbexp.open(str(project))
        rows = {row.name: row for row in here.show().rows}
        assert (rows["n-1"].state, rows["n-1"].metrics["acc"]) == ("running", 0.5)
        assert (rows["n-2"].state, rows["n-2"].params["train.lr"]) == ("queued", 0.02)
        assert rows["n-2"].metrics == {}
        assert [row.name for row in here.show().rows if row.kind == "experiment"] == ["n-1", "n-2"]
        hidden = [row.name for row in here.show(hide_queued=True).rows]
        assert "n-1" in hidden
        assert "n-2" not in hidden
        here.close()
        told = json.loads(nbexp_cli("show", "--json", cwd=project).stdout)
        listed = [one for entry in told for one in entry.get("experiments") or []]
        states = {
            one["revs"][0]["name"] if "name" in one["revs"][0] else one["name"]: one["executor"][
                "state"
            ]
            for one in listed
        }
        assert states == {"n-1": "running", "n-2": "queued"}
        gate.unlink()
        list(queue.wait())

    def test_a_log_is_followed_while_it_is_written_and_to_its_end(
        self, queue, project, gate, nbexp_cli
    ):
        queue.add({"train.lr": 0.05}, name="n")
        following = nbexp_cli.start("queue", "logs", "n", "-f", cwd=project)
        queue.start(1, idle_s=0.2)
        lines = []
        for line in following.stdout:
            lines.append(line)
            if line == "begun\n":
                break
        gate.unlink()
        rest, _ = following.communicate(timeout=60)
        assert "epoch 3 acc 0.9133\n" in rest
        assert rest.endswith("n: done\n")
        assert nbexp_cli("logs", "n", cwd=project).stdout.endswith("epoch 3 acc 0.9133\nn: done\n")

    def test_who_follows_what_waits_hears_that_nobody_works(self, queue, project, nbexp_cli):
        queue.add({"train.lr": 0.05}, name="n")
        following = nbexp_cli.start("queue", "logs", "n", "-f", cwd=project)
        said = following.stderr.readline()
        assert said == "n waits, and no worker is at work. Hint: `nbexp queue start`\n"
        finish(queue)
        rest, _ = following.communicate(timeout=60)
        assert rest.endswith("n: done\n")

    def test_a_stage_that_stopped_is_said_to_once(self, queue, project, git):
        (project / "train.sh").write_text("echo so far; exit 3\n")
        queue.add({"train.lr": 0.05}, name="n")
        finish(queue)
        lines = queue.logs("n").text.splitlines()
        said = [line for line in lines if line.startswith("Stage `train` stopped")]
        assert said == ["Stage `train` stopped, `sh train.sh`: exit code 3."]
        assert lines[-1].startswith("Hint: the output is in ")

    def test_an_encoding_that_is_none_is_told(self, queue, project):
        queue.add({"train.lr": 0.05}, name="n")
        finish(queue)
        with pytest.raises(UsageError, match="There is no text encoding `klingon`"):
            queue.logs("n", encoding="klingon")
        assert "epoch" in queue.logs("n", encoding="latin-1").text

    def test_what_has_not_begun_has_no_log(self, queue, project):
        queue.add({"train.lr": 0.05}, name="n")
        with pytest.raises(NotFound, match="has not begun"):
            queue.logs("n")

    def test_every_run_is_a_row_with_how_it_ended(self, queue, project):
        here = nbexp.open(str(project))
        here.run({"train.lr": 0.05}, name="good")
        (project / "train.sh").write_text("exit 3\n")
        with pytest.raises(StageFailed):
            here.run({"train.lr": 0.02}, name="bad")
        here.close()
        rows = {task.name: (task.kind, task.state) for task in queue.site.store.tasks()}
        assert rows == {"good": ("place", "done"), "bad": ("place", "failed")}
        assert queue.status().tasks == (), "the queue lists what is of the queue"
        assert "epoch" in queue.logs("good").text

    def test_a_run_in_the_workspace_that_was_killed_is_over(self, queue, project, gate, nbexp_cli):
        running = nbexp_cli.start("run", "-n", "here", "-S", "train.lr=0.05", cwd=project)
        until(lambda: at_work(project))
        running.kill()
        running.wait()
        said: list[Any] = []
        until(lambda: queue.status(emit=said.append) and queue.find("here").state != "running")
        task = queue.find("here")
        assert (task.state, task.error) == ("interrupted", "process died (signal 9)")
        assert list(marked(project)) == []

    def test_a_queue_of_dvc_is_listed_and_left_alone(self, queue, project, dvc, git):
        dvc("exp", "run", "--queue", "-n", "theirs", "-S", "train.lr=0.2", cwd=project)
        before = git("for-each-ref", cwd=project)
        status = queue.status()
        assert [(one.name, one.state) for one in status.of_dvc] == [("theirs", "queued")]
        assert "queued by DVC" in str(status)
        queue.add({"train.lr": 0.05}, name="ours")
        assert finish(queue) == {"ours": "done"}
        assert {*before.splitlines()} <= {*git("for-each-ref", cwd=project).splitlines()}
        assert "theirs" in dvc("queue", "status", cwd=project).stdout

    def test_two_that_queue_at_once_both_get_theirs(self, project, nbexp_cli):
        them = [
            nbexp_cli.start("run", "--queue", "-S", f"seed={n},{n + 10}", cwd=project)
            for n in (1, 2, 3)
        ]
        assert [one.wait(120) for one in them] == [0, 0, 0]
        site = Site.at(project)
        assert len({task.name for task in Queue(site).status().tasks}) == 6
        site.close()


class TestWorkers:
    def test_a_worker_starts_light_and_fast(self, project):
        """Budgets T7 and T16: under 150 ms and 45 MB; nothing that only notebooks or tables need."""
        code = (
            "import sys, nbexp.queue.worker as w\n"
            "from nbexp.queue.site import Site\n"
            "import nbexp.queue.carrying, nbexp.queue.recovery, nbexp.experiments.isolated\n"
            "heavy = {'pandas', 'papermill', 'optuna', 'dask', 'git', 'hydra', 'nbformat', 'IPython', 'altair'}\n"
            "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
            "status = open('/proc/self/status').read()\n"
            "print(status.partition('VmHWM:')[2].split()[0])\n"
        )
        ran = subprocess.run(
            [sys.executable, "-P", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=project,
        )
        loaded, size = ran.stdout.splitlines()
        assert loaded == "[]"
        assert int(size) < 45_000

    def test_a_file_of_the_project_does_not_take_the_place_of_a_module(self, queue, project, git):
        (project / "queue.py").write_text("raise SystemExit('not this one')\n")
        (project / "json.py").write_text("raise SystemExit('not this one')\n")
        queue.add({"train.lr": 0.05}, name="n")
        assert finish(queue) == {"n": "done"}

    def test_a_worker_that_cannot_begin_is_told(self, queue, project):
        (project / "nbexp.toml").write_text("no toml\n")
        with pytest.raises(QueueError, match="A worker ended with 1 before it took a task"):
            queue.start(1)

    def test_a_disk_that_is_full_when_queueing_leaves_nothing(
        self, queue, project, git, monkeypatch
    ):
        import sqlite3

        queue.add({"seed": 1}, name="before")
        refs = git("for-each-ref", cwd=project)

        def full(*_: object) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = 13
            raise error

        monkeypatch.setattr(type(queue.site.store), "_insert", full)
        with pytest.raises(QueueError, match="disk is full"):
            queue.add({"seed": 2}, name="after")
        monkeypatch.undo()
        assert git("for-each-ref", cwd=project) == refs
        assert names(queue) == ["before"]

    def test_one_cell_waits_while_another_thread_looks(self, queue, project, gate, monkeypatch):
        waits, pause = threading.Event(), Watcher.pause
        monkeypatch.setattr(Watcher, "pause", lambda one: (waits.set(), pause(one)))
        queue.add({"train.lr": 0.05}, name="n")
        queue.start(1, idle_s=0.2)
        until(lambda: at_work(project))
        seen: list[str] = []
        waiting = threading.Thread(
            target=lambda: seen.extend(change.kind for change in queue.wait())
        )
        waiting.start()
        assert queue.status().counts == {"running": 1}
        assert waits.wait(60)
        gate.unlink()
        waiting.join(60)
        assert seen[-1] == "done"


# ---- several queues in one repository


def test_work_trees_of_one_repository_have_queues_of_their_own(
    project, queue, queue_of, git, tmp_path
):
    git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "beside"), cwd=project)
    queue.add({"train.lr": 0.02}, name="here")
    beside = queue_of(tmp_path / "beside")
    assert beside.status().tasks == (), "what waits in the one does not come back in the other"
    beside.add({"train.lr": 0.05}, name="there")
    # A worker sweeps what killed commands left behind an hour ago: nothing of the other's.
    old = {**os.environ, "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"}
    for ref in git("for-each-ref", "--format=%(refname)", "refs/nbexp/queue", cwd=project).split():
        tree = git("rev-parse", f"{ref}^{{tree}}", cwd=project).strip()
        message = git("log", "-1", "--format=%B", ref, cwd=project)
        words = ["git", "commit-tree", tree, "-p", "HEAD", "-m", message]
        rev = subprocess.check_output(words, cwd=project, env=old, text=True).strip()
        git("update-ref", ref, rev, cwd=project)
    assert finish(beside) == {"there": "done"}
    (left,) = git("for-each-ref", "--format=%(refname)", "refs/nbexp/queue", cwd=project).split()
    # A database that is lost comes back with its own tasks alone, whichever of them it is.
    for one, waits in ((beside, []), (queue, ["here"])):
        one.site.store.close()
        (one.site.folder / "queue.db").unlink()
        assert [task.name for task in one.status().tasks] == waits
    assert finish(queue) == {"here": "done"}
    assert left.rpartition("/")[2].count("-") == 3, "the main work tree's have no mark"


def test_projects_of_one_repository_have_queues_of_their_own(
    pipeline_project, nbexp_cli, git, tmp_path
):
    top, made = tmp_path / "top", pipeline_project()
    for name in ("one", "two"):
        shutil.copytree(made, top / name, ignore=shutil.ignore_patterns(".git"))
    git("init", "--quiet", "--initial-branch=main", cwd=top)
    git("add", "--all", cwd=top)
    git("commit", "--quiet", "--message=both", cwd=top)
    nbexp_cli("run", "--queue", "-S", "train.lr=0.02", "-n", "first", cwd=top / "one")
    assert nbexp_cli("queue", cwd=top / "two").stdout.startswith("No experiment tasks in the queue")
    nbexp_cli("run", "--queue", "-S", "train.lr=0.05", "-n", "second", cwd=top / "two")
    for name, task in (("one", "first"), ("two", "second")):
        nbexp_cli("run", "--run-all", cwd=top / name)
        listed = json.loads(nbexp_cli("queue", "--json", cwd=top / name).stdout)["tasks"]
        assert [(one["name"], one["state"]) for one in listed] == [(task, "done")]
