"""`repro`: the same stages without an experiment; what fails stays, what is killed is rolled back, undo works."""

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
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import events, render
from nbexp.errors import Interrupted, NotFound, StageFailed, UsageError

if TYPE_CHECKING:
    from nbexp import Project

Files = Callable[[Path], dict[str, tuple[str, bytes]]]
GitState = Callable[[Path], dict[str, bytes]]
Git = Callable[..., str]


def actions(done: object) -> list[str]:
    return [f"{stage.name} {stage.action}" for stage in done.stages]  # type: ignore[attr-defined]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_stages_are_up_to_date_afterwards_and_no_experiment_is_made(
    project: Project, git: Git, git_state: GitState
) -> None:
    before = git_state(project.root)
    done = project.repro()
    assert actions(done) == ["prepare ran", "train ran"]
    assert render.text(done) == "Use `nbexp data push` to send your updates to remote storage."
    assert git_state(project.root) == before
    assert git("for-each-ref", "refs/exps", cwd=project.root) == ""
    assert project.status().is_clean
    again = project.repro()
    assert actions(again) == ["prepare skipped", "train skipped"]
    assert render.text(again) == "Data and pipelines are up to date."


def test_a_failed_stage_leaves_its_mark_and_those_before_it_their_results(
    project: Project, files: Files
) -> None:
    root = project.root
    before = files(root)
    edit(root / "train.sh", "set -eu", "set -eu; mkdir -p plots; echo half > plots/acc.csv; exit 3")
    with pytest.raises(StageFailed) as caught:
        project.repro()
    assert caught.value.message == "Stage `train` stopped, `sh train.sh`: exit code 3."
    assert (root / "plots" / "acc.csv").read_text() == "half\n"
    lock = (root / "dvc.lock").read_text()
    assert "  prepare:\n" in lock
    assert "  train:\n" not in lock
    # Git is told of the outputs that are there.
    ignored = (root / ".gitignore").read_text()
    assert "/model.txt" not in ignored
    edit(root / "train.sh", "; mkdir -p plots; echo half > plots/acc.csv; exit 3", "")
    assert actions(project.repro()) == ["prepare skipped", "train ran"]
    project.undo()
    project.undo()
    assert files(root) == before


def test_undo_puts_all_of_it_back(project: Project, files: Files) -> None:
    project.repro()
    edit(project.root / "params.yaml", "lr: 0.1", "lr: 0.02")
    (project.root / "model.txt").write_text("mine\n")
    before = files(project.root)
    project.repro()
    assert files(project.root) != before
    assert project.undo().op == "repro"
    assert files(project.root) == before


def test_what_a_stage_stages_in_git_stays_staged(project: Project, git: Git) -> None:
    """`run` puts the index back because the experiment holds it; here nothing else would."""
    edit(project.root / "train.sh", "set -eu", "set -eu; echo new > new.txt; git add new.txt")
    project.repro()
    assert git("diff", "--cached", "--name-only", cwd=project.root) == "new.txt"


def test_an_output_that_is_missing_or_edited_comes_back(project: Project) -> None:
    project.repro()
    model = project.root / "model.txt"
    right = model.read_text()
    model.unlink()
    assert actions(project.repro()) == ["prepare skipped", "train restored"]
    model.write_text("mine\n")
    assert actions(project.repro()) == ["prepare skipped", "train restored"]
    assert model.read_text() == right


def test_outputs_that_are_not_committed_are_in_dvc_lock_alone(project: Project) -> None:
    assert actions(project.repro(commit=False)) == ["prepare ran", "train ran"]
    assert not (project.root / ".dvc" / "cache" / "files").exists()
    assert not (project.root / ".dvc" / "cache" / "runs").exists()
    assert [str(reason) for reason in project.status().stages["train"]] == [
        "model.txt not in cache"
    ]
    assert actions(project.repro()) == ["prepare ran", "train ran"]
    assert project.status().is_clean


def test_an_interrupt_leaves_what_was_done(project: Project) -> None:
    edit(project.root / "train.sh", "set -eu", "set -eu; touch started; exec sleep 30")

    def interrupt() -> None:
        while not (project.root / "started").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted) as caught:
        project.repro()
    assert str(caught.value) == (
        "`repro` was interrupted. Stages that were done are in dvc.lock.\n"
        "Hint: `nbexp undo` puts back all that it changed."
    )
    assert "  prepare:\n" in (project.root / "dvc.lock").read_text()
    project.undo()
    assert not (project.root / "dvc.lock").exists()


def test_targets_that_are_not_there_change_nothing(project: Project, files: Files) -> None:
    before = files(project.root)
    for words, said in (
        ({"targets": ["trian"]}, "There is no stage `trian`. Nothing was run."),
        (
            {"targets": ["tr[x]*"], "glob": True},
            "There is no stage like `tr[x]*`. Nothing was run.",
        ),
    ):
        with pytest.raises(NotFound) as caught:
            project.repro(**words)  # type: ignore[arg-type]
        assert caught.value.message == said
    (project.root / "prepare.sh").unlink()
    with pytest.raises(NotFound, match=r"Dep `prepare.sh` of stage `prepare` does not exist"):
        project.repro()
    assert files(project.root) == {k: v for k, v in before.items() if k != "prepare.sh"}


def test_less_than_one_stage_at_once_is_refused(project: Project) -> None:
    with pytest.raises(UsageError, match="0 stages at once is none"):
        project.repro(jobs=0)


def test_nobody_to_ask_is_told_before_anything_runs(project: Project) -> None:
    with pytest.raises(UsageError) as caught:
        project.repro(interactive=True)
    assert str(caught.value) == (
        "`-i` asks before each stage, and there is no terminal to ask on. Nothing was run.\n"
        "Hint: `nbexp run --dry` says what would run."
    )


def test_each_stage_that_would_run_is_asked_about(project: Project) -> None:
    asked: list[str] = []

    def answer(question: str) -> bool:
        asked.append(question)
        return "prepare" in question

    project.confirm = answer
    with pytest.raises(StageFailed) as caught:
        project.repro(interactive=True, jobs=2)
    assert caught.value.message == "Stage `train` was not run, as you said."
    assert asked == [
        f"Going to reproduce stage: '{name}'. Are you sure you want to continue?"
        for name in ("prepare", "train")
    ]
    project.confirm = lambda question: asked.append(question) is None
    assert actions(project.repro(interactive=True)) == ["prepare skipped", "train ran"]
    assert len(asked) == 3
    # As DVC's own setting has it; without a terminal there is nobody to ask, and it goes on.
    (project.root / ".dvc" / "config").write_text("[core]\n    interactive = true\n")
    project.repro(force=True)
    assert len(asked) == 5
    project.confirm = None
    assert actions(project.repro(force=True)) == ["prepare ran", "train ran"]


def test_what_would_run_is_said_and_nothing_changes(
    project: Project, files: Files, nbexp_cli: Callable[..., Any]
) -> None:
    project.repro()
    edit(project.root / "params.yaml", "lr: 0.1", "lr: 0.02")
    (project.root / "model.txt").unlink()
    before = files(project.root)

    def planned(*words: str) -> list[str]:
        plan = json.loads(nbexp_cli(*words, "--dry", "--json", cwd=project.root).stdout)
        return [f"{stage['name']} {stage['action']}" for stage in plan["stages"]]

    for verb in ("run", "repro"):
        assert planned(verb) == ["prepare skip", "train run"]
        assert planned(verb, "-f") == ["prepare run", "train run"]
        assert planned(verb, "-s", "prepare") == ["prepare skip"]
        assert planned(verb, "--allow-missing") == ["prepare skip", "train run"]
    assert planned("run", "-S", "train.lr=0.1") == ["prepare skip", "train restore"]
    assert planned("run", "-S", "train.lr=0.1", "--allow-missing") == ["prepare skip", "train skip"]
    assert planned("run", "-S", "prepare.rows=7") == ["prepare run", "train run"]
    edit(project.root / "prepare.sh", "set -eu", "set -e -u")
    before = files(project.root)
    assert planned("repro", "--force-downstream") == ["prepare run", "train run"]
    assert planned("repro", "--downstream", "train") == ["train run"]
    assert files(project.root) == before


def test_without_a_remote_pull_says_so_once_and_stages_run(project: Project) -> None:
    told: list[events.Event] = []
    assert actions(project.repro(pull=True, emit=told.append)) == ["prepare ran", "train ran"]
    notices = [event for event in told if isinstance(event, events.Notice)]
    assert [(one.message, one.hint) for one in notices] == [
        (
            "The project has no remote. Nothing is pulled.",
            "`nbexp remote add -d store /path/or/url` adds one.",
        )
    ]


def test_what_a_remote_holds_is_pulled_and_what_it_lacks_is_made(
    project: Project, tmp_path: Path
) -> None:
    root, store = project.root, tmp_path / "store"
    project.repro()
    shutil.copytree(root / ".dvc" / "cache" / "files", store / "files")
    project.remote.add("store", str(store), default=True)
    project.close()
    shutil.rmtree(root / ".dvc" / "cache")
    model, right = root / "model.txt", (root / "model.txt").read_text()
    model.unlink()
    told: list[events.Event] = []
    assert actions(project.repro(pull=True, emit=told.append)) == [
        "prepare skipped",
        "train skipped",
    ]
    assert model.read_text() == right
    assert events.Notice("Pulling data for stage `train`.") in told
    project.close()
    shutil.rmtree(root / ".dvc" / "cache")
    shutil.rmtree(store)
    store.mkdir()
    told.clear()
    assert actions(project.repro(pull=True, emit=told.append)) == ["prepare ran", "train ran"]
    assert events.Notice("Unable to pull data for stage `train`.") in told
    project.close()


SHARED = """\
stages:
  slow:
    cmd: echo ran >> %s; sleep 3; cp in.txt out.txt
    deps: [in.txt]
    outs: [out.txt]
"""


def test_eight_work_trees_that_need_one_stage_run_it_once(
    project: Project, git: Git, tmp_path: Path, nbexp_cli: Callable[..., object]
) -> None:
    counter, root = tmp_path / "counter", project.root
    (root / "dvc.yaml").write_text(SHARED % counter)
    (root / "in.txt").write_text("1\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message", "a slow stage", cwd=root)
    trees = [tmp_path / f"tree-{n}" for n in range(8)]
    for tree in trees:
        git("worktree", "add", "--quiet", "--detach", tree, cwd=root)
        local = f"[cache]\n    dir = {root / '.dvc' / 'cache'}\n"
        (tree / ".dvc" / "config.local").write_text(local)
    words = [sys.executable, "-m", "nbexp.cli", "repro"]
    running = [
        subprocess.Popen(
            words, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for tree in trees
    ]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 8, said
    assert counter.read_text() == "ran\n"
    assert [(tree / "out.txt").read_text() for tree in trees] == ["1\n"] * 8
    assert sum("Running stage 'slow':" in text for text in said) == 1
    waited = [text for text in said if "Waiting for stage `slow`, which process" in text]
    assert waited
    assert all("Stage 'slow' is cached" in text for text in waited)


def test_who_waits_for_a_process_that_is_killed_runs_the_stage(
    project: Project, git: Git, tmp_path: Path
) -> None:
    counter, root = tmp_path / "counter", project.root
    slow = (SHARED % counter).replace("sleep 3", "test -e fast || sleep 60")
    (root / "dvc.yaml").write_text(slow)
    (root / "in.txt").write_text("1\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message", "a slow stage", cwd=root)
    tree = tmp_path / "tree"
    git("worktree", "add", "--quiet", "--detach", tree, cwd=root)
    (tree / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {root / '.dvc' / 'cache'}\n")
    (tree / "fast").touch()
    words = [sys.executable, "-m", "nbexp.cli", "repro"]
    first = subprocess.Popen(words, cwd=root, stdout=subprocess.DEVNULL)
    while not counter.exists():
        time.sleep(0.02)
    second = subprocess.Popen(
        words, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    assert second.stdout is not None
    said = []
    while not any("Waiting for stage" in line for line in said):
        said.append(second.stdout.readline())
        assert said[-1]
    assert f"which process {first.pid} runs" in said[-1]
    first.kill()
    first.wait()
    said += second.communicate(timeout=60)[0].splitlines()
    assert second.returncode == 0
    assert counter.read_text() == "ran\nran\n"
    with pytest.raises(NotFound):  # it rolled back, and ended the sleep that the killed one left
        project.undo()
    assert not (root / "dvc.lock").exists()


def test_work_trees_with_caches_of_their_own_do_not_wait(project: Project, git: Git) -> None:
    from nbexp.experiments import place
    from nbexp.git import Git as OwnGit

    root = project.root
    tree = root.parent / "tree"
    git("worktree", "add", "--quiet", "--detach", tree, cwd=root)
    found = OwnGit.find(tree)
    assert found is not None
    own, shared = tree / ".dvc" / "cache", root / ".dvc" / "cache"
    assert place.shared_locks(found, tree, "", own) == tree / ".dvc/tmp/nbexp/locks"
    assert place.shared_locks(found, tree, "", shared) == root / ".dvc/tmp/nbexp/locks"
    assert place.shared_locks(project.git, root, "", shared) == root / ".dvc/tmp/nbexp/locks"
    found.close()


def test_a_run_with_several_stages_at_once_is_recorded_and_a_failed_one_undone(
    project: Project, files: Files
) -> None:
    (project.root / "dvc.yaml").write_text(
        "stages:\n"
        + "".join(
            f"  s{n}: {{cmd: 'sleep 0.2; cp params.yaml o{n}', params: [seed], outs: [o{n}]}}\n"
            for n in range(4)
        )
    )
    told: list[events.Event] = []
    made = project.run(jobs=4, emit=told.append)
    assert made.report is not None
    assert actions(made.report) == [f"s{n} ran" for n in range(4)]
    assert made.report.own_s >= 0
    edit(project.root / "dvc.yaml", "cp params.yaml o2'", "exit 1'")
    before = files(project.root)
    with pytest.raises(StageFailed):
        project.run({"seed": 1}, jobs=4, on_failure="keep-going")
    assert files(project.root) == before
    made = project.run({"seed": 1}, jobs=2, on_failure="ignore")
    assert made.report is not None
    assert actions(made.report) == ["s0 restored", "s1 restored", "s2 failed", "s3 restored"]
