"""Checkpoints of all kinds of stages: notebooks, several at once, links to the cache, and the protocol of DVC 2."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]
Git = Callable[..., str]


@pytest.fixture
def project(repo: Path, git: Git) -> Callable[[Mapping[str, str]], Path]:
    """Makes a committed project of these files."""

    def make(files: Mapping[str, str]) -> Path:
        own = {
            ".dvc/config": "",
            ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
            ".dvcignore": "",
        }
        for path, text in {**own, **files}.items():
            (repo / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / path).write_text(text)
        git("add", "--all", cwd=repo)
        git("commit", "--quiet", "--message=project", cwd=repo)
        return repo

    return make


def chain(root: Path, name: str, git: Git) -> list[str]:
    ref = git("for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}", cwd=root)
    return git("rev-list", "--reverse", f"HEAD..{ref}", cwd=root).split()


# ---- notebooks

_SETUP = """\
import json, os
from pathlib import Path
from nbexp.live import Live
model = Path("model.txt")
done = int(model.read_text()) if model.exists() else 0
live = Live(dvcyaml=None)
"""
_TRAIN = """\
for epoch in range(done + 1, epochs + 1):
    model.write_text(f"{epoch}\\n")
    live.log_metric("acc", epoch / 10)
    live.next_step()
    print("kept as", live.checkpoint())
    if os.environ.get("TROUBLE") == str(epoch):
        raise RuntimeError("trouble")
"""
CELLS = [("parameters", "epochs = 1\n"), (None, _SETUP), (None, _TRAIN), (None, "live.end()\n")]
NOTEBOOK = json.dumps(
    {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "execution_count": None,
                "metadata": {"tags": [tag]} if tag else {},
                "outputs": [],
                "source": source,
            }
            for number, (tag, source) in enumerate(CELLS)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
)
NOTEBOOK_PROJECT = {
    "train.ipynb": NOTEBOOK,
    "params.yaml": "train:\n  epochs: 3\n",
    "dvc.yaml": """\
stages:
  train:
    cmd: nbexp notebook train.ipynb runs/train.ipynb --params train
    deps: [train.ipynb]
    params: [train]
    outs: [runs/train.ipynb, model.txt]
    metrics:
    - dvclive/metrics.json: {cache: false}
    plots:
    - dvclive/plots/metrics: {x: step, cache: false}
""",
}


def test_cells_of_a_notebook_make_checkpoints_and_go_on(project, nbexp_cli, git):
    root = project(NOTEBOOK_PROJECT)
    failed = nbexp_cli("run", "-n", "book", cwd=root, code=1, env={"TROUBLE": "2"})
    assert "`book` is kept up to step 2." in failed.stderr
    first, second = chain(root, "book", git)
    table = "dvclive/plots/metrics/acc.tsv"
    assert git("show", f"{first}:{table}", cwd=root) == "step\tacc\n0\t0.1"
    assert git("show", f"{second}:{table}", cwd=root) == "step\tacc\n0\t0.1\n1\t0.2"
    assert not (root / "model.txt").exists()
    nbexp_cli("run", "--resume", "book", cwd=root)
    *_, third, result = chain(root, "book", git)
    for rev in (third, result):
        assert git("show", f"{rev}:{table}", cwd=root) == "step\tacc\n0\t0.1\n1\t0.2\n2\t0.3"
    assert json.loads(git("show", f"{result}:dvclive/metrics.json", cwd=root)) == {
        "acc": 0.3,
        "step": 2,
    }
    assert (root / "model.txt").read_text() == "3\n"
    assert "kept as 3" in (root / "runs" / "train.ipynb").read_text()
    nbexp_cli("apply", "book@2", cwd=root)
    assert (root / "model.txt").read_text() == "2\n"


# ---- several stages at once

TWO = {
    "work.py": """\
import sys
from pathlib import Path
from nbexp import live

name = sys.argv[1]
for number in (1, 2, 3):
    Path(name).write_text(f"{number}\\n")
    print(name, "step", live.checkpoint(), flush=True)
""",
    "dvc.yaml": """\
stages:
  left: {cmd: python work.py left, deps: [work.py], outs: [left]}
  right: {cmd: python work.py right, deps: [work.py], outs: [right]}
""",
}


def test_stages_that_run_at_once_add_to_one_chain(project, nbexp_cli, git):
    root = project(TWO)
    ran = nbexp_cli("run", "-n", "both", "-j", "2", cwd=root)
    steps = re.findall(r"(left|right) step (\d)", ran.stdout + ran.stderr)
    assert sorted(number for _, number in steps) == list("123456")
    commits = chain(root, "both", git)
    assert len(commits) == 7
    # Each step has the outputs of its stage as they were, and those of the other as far as it was done.
    for name, number in steps:
        lock = git("show", f"{commits[int(number) - 1]}:dvc.lock", cwd=root)
        assert f"path: {name}" in lock
    lock = git("show", f"{commits[-1]}:dvc.lock", cwd=root)
    assert lock.index("left:") < lock.index("right:")
    git("fsck", "--strict", cwd=root)


def test_an_interrupt_ends_stages_that_wait_for_their_checkpoints(project, nbexp_cli):
    text = TWO["work.py"].replace("(1, 2, 3)", "range(10_000)")
    root = project({**TWO, "work.py": text})
    run = nbexp_cli.start("run", "-n", "both", "-j", "2", cwd=root)
    lines = []
    assert run.stdout is not None
    for line in run.stdout:
        lines.append(line)
        if "step 4" in line:
            break
    run.send_signal(2)
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "`both` is kept up to step " in stderr


# ---- links to the cache

LINKED = {
    "grow.py": """\
import os
from pathlib import Path
from nbexp import live

os.makedirs("model", exist_ok=True)
for number in range(len(list(Path("model").iterdir())), 3):
    with open("model/log.txt", "a") as log:  # in place, as a framework may write
        log.write(f"{number}\\n")
    Path(f"model/{number}.txt").write_text(str(number))
    live.checkpoint()
    if os.environ.get("TROUBLE") == str(number):
        raise SystemExit(3)
""",
    "dvc.yaml": "stages:\n  grow: {cmd: python grow.py, deps: [grow.py], outs: [model]}\n",
}


@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy"])
def test_what_goes_on_never_writes_into_the_cache(kind, project, nbexp_cli, git):
    root = project({**LINKED, ".dvc/config": f"[cache]\n    type = {kind}\n"})
    nbexp_cli("run", "-n", "grown", cwd=root, code=1, env={"TROUBLE": "0"})
    nbexp_cli("run", "--resume", "grown", cwd=root)
    assert (root / "model" / "log.txt").read_text() == "0\n2\n"
    assert nbexp_cli("doctor", "--full", cwd=root).returncode == 0
    nbexp_cli("apply", "grown@1", cwd=root)
    assert (root / "model" / "log.txt").read_text() == "0\n"
    assert sorted(os.listdir(root / "model")) == ["0.txt", "log.txt"]


def test_a_step_whose_data_is_lost_cannot_be_gone_on_from(project, nbexp_cli, git):
    root = project(LINKED)
    nbexp_cli("run", "-n", "grown", cwd=root, code=1, env={"TROUBLE": "0"})
    for path in (root / ".dvc" / "cache" / "files").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.unlink()
    failed = nbexp_cli("run", "--resume", "grown", cwd=root, code=3).stderr
    assert "The cache lacks model" in failed
    assert git("status", "--porcelain", cwd=root) == ""


# ---- what can go wrong

UNREADABLE = {
    "train.py": """\
import os
from pathlib import Path
from nbexp import live

os.symlink("nowhere", "model")
try:
    live.checkpoint()
except live.CheckpointFailed as error:
    print(f"told: {error}")  # in one piece, whoever else writes
os.unlink("model")
Path("model").write_text("good")
print(f"then: {live.checkpoint()}")
""",
    "dvc.yaml": "stages:\n  train: {cmd: python train.py, deps: [train.py], outs: [model]}\n",
}


def test_what_cannot_be_kept_is_told_to_the_training_which_may_go_on(project, nbexp_cli, git):
    folder = UNREADABLE["train.py"].replace(
        'os.symlink("nowhere", "model")', 'os.mkdir("model"); os.symlink("nowhere", "model/link")'
    )
    folder = folder.replace('os.unlink("model")', 'os.unlink("model/link"); os.rmdir("model")')
    root = project({**UNREADABLE, "train.py": folder})
    ran = nbexp_cli("run", "-n", "good", cwd=root)
    said = ran.stdout + ran.stderr
    assert re.search(r"told: No checkpoint was made: .*model/link", said)
    assert "then: 1" in said
    assert len(chain(root, "good", git)) == 2


def test_what_was_said_of_an_experiment_goes_with_its_tip(training_project, nbexp_cli, git):
    root = training_project()
    nbexp_cli("run", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    nbexp_cli("note", "long", "for the paper", cwd=root)
    nbexp_cli("tag", "long", "paper", "--star", cwd=root)
    nbexp_cli("run", "--resume", "long", cwd=root)
    table = nbexp_cli("show", cwd=root).stdout
    (line,) = (line for line in table.splitlines() if "long" in line)
    assert "★" in line
    assert "paper" in line
    told = nbexp_cli("note", "long", cwd=root).stdout
    assert "for the paper" in told
    assert "nbexp run --resume long" in told


# ---- the protocol of DVC 2

DVC_2 = {
    "train.py": """\
import os, sys, time
from pathlib import Path

def make_checkpoint():  # dvc 2.58, dvc/api: what every project of that time calls
    if os.environ.get("DVC_CHECKPOINT") is None:
        return
    signal = Path(os.environ["DVC_ROOT"], ".dvc", "tmp", "DVC_CHECKPOINT")
    signal.write_text("")
    while signal.exists():
        time.sleep(0.1)

model = Path("model.txt")
for number in range(int(model.read_text()) + 1 if model.exists() else 1, 4):
    model.write_text(f"{number}\\n")
    make_checkpoint()
    if os.environ.get("TROUBLE") == str(number):
        sys.exit(1)
""",
    "dvc.yaml": """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    outs:
    - model.txt: {checkpoint: true}
""",
}


def test_a_project_of_dvc_2_makes_checkpoints_as_it_did(project, nbexp_cli, git):
    root = project(DVC_2)
    (root / ".dvc" / "tmp").mkdir(exist_ok=True)
    (root / ".dvc" / "tmp" / "DVC_CHECKPOINT").write_text("")  # of a run that was killed
    nbexp_cli("run", "-n", "old", cwd=root, code=1, env={"TROUBLE": "2"})
    assert len(chain(root, "old", git)) == 2
    nbexp_cli("run", "--rev", "old", cwd=root)
    assert len(chain(root, "old", git)) == 4
    assert (root / "model.txt").read_text() == "3\n"


def test_a_chain_that_dvc_2_made_is_gone_on_from(project, nbexp_cli, git):
    """Its commits have no more in their messages than those of any experiment."""
    root = project(DVC_2)
    nbexp_cli("run", "-n", "old", cwd=root, code=1, env={"TROUBLE": "1"})
    (step,) = chain(root, "old", git)
    head = git("rev-parse", "HEAD", cwd=root)
    plain = git(
        "commit-tree", f"{step}^{{tree}}", "-p", head, "-m", "dvc: commit experiment", cwd=root
    )
    ref = git("for-each-ref", "--format=%(refname)", "refs/exps/**/old", cwd=root)
    git("update-ref", ref, plain, cwd=root)
    nbexp_cli("run", "--resume", "old", cwd=root)
    assert chain(root, "old", git)[0] == plain
    assert len(chain(root, "old", git)) == 4


def test_what_made_no_checkpoint_cannot_be_gone_on_from(pipeline_project, nbexp_cli):
    root = pipeline_project()
    nbexp_cli("run", "-n", "plain", cwd=root)
    failed = nbexp_cli("run", "--resume", "plain", cwd=root, code=2).stderr
    assert "`plain` has no checkpoint to go on from. Nothing was run." in failed
    assert "Hint: `nbexp rerun plain` runs it again" in failed
    failed = nbexp_cli("apply", "plain@1", cwd=root, code=3).stderr
    assert "`plain` has no steps: it made no checkpoints." in failed
    failed = nbexp_cli("run", "--resume", "plian", cwd=root, code=3).stderr
    assert "There is no experiment `plian`." in failed
    assert "did you mean `plain`?" in failed


# ---- beside the workspace


def test_a_run_beside_the_workspace_makes_checkpoints_and_goes_on(training_project, nbexp_cli, git):
    root = training_project()
    failed = nbexp_cli("run", "--temp", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    assert "`long` is kept up to step 2." in failed.stderr
    assert "long (2 steps)" in nbexp_cli("show", cwd=root).stdout
    (root / "README.md").write_text("mine\n")
    nbexp_cli("run", "--temp", "--resume", "long", cwd=root)
    assert len(chain(root, "long", git)) == 5
    nbexp_cli("run", "--temp", "--resume", "long@1", "-n", "other", "-S", "lr=0.1", cwd=root)
    assert chain(root, "other", git)[:1] == chain(root, "long", git)[:1]
    assert (
        git("show", "-s", "--format=%P", chain(root, "other", git)[1], cwd=root)
        == (chain(root, "long", git)[0])
    )
    assert git("status", "--porcelain", cwd=root) == " M README.md"
    assert not (root / "model").exists()
    git("checkout", "--quiet", "README.md", cwd=root)
    nbexp_cli("apply", "other", cwd=root)
    assert (root / "report.txt").read_text() == "4\n"


def test_what_goes_on_can_wait_in_the_queue(training_project, nbexp_cli, git):
    root = training_project()
    nbexp_cli("run", "--temp", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    old = chain(root, "long", git)
    queued = nbexp_cli("run", "--queue", "--resume", "long", cwd=root)
    assert "long" in queued.stdout
    assert chain(root, "long", git) == old
    # It waits under the experiment's own name, which nothing else can have meanwhile.
    again = nbexp_cli("run", "--queue", "--resume", "long", cwd=root, code=3)
    assert "`long`" in again.stderr
    nbexp_cli("run", "--run-all", cwd=root)
    assert chain(root, "long", git)[: len(old)] == old
    assert len(chain(root, "long", git)) == 5
    shown = nbexp_cli("show", "--json", cwd=root).stdout
    assert '"epoch": 4' in shown
    assert git("status", "--porcelain", cwd=root) == ""


def test_several_values_go_on_from_a_step_as_new_experiments(training_project, nbexp_cli, git):
    root = training_project()
    nbexp_cli("run", "--temp", "-n", "long", cwd=root)
    old = chain(root, "long", git)
    words = ["--resume", "long@2", "-n", "more", "-S", "lr=0.1,0.8"]
    nbexp_cli("run", "--queue", *words, cwd=root)
    nbexp_cli("run", "--run-all", "-j", "2", cwd=root)
    for name, acc in (("more-1", "0.975"), ("more-2", "0.8")):
        found = chain(root, name, git)
        assert found[:2] == old[:2]
        assert len(found) == 5
        assert acc in git("show", f"{found[-1]}:metrics.json", cwd=root)
    assert chain(root, "long", git) == old
    unknown = nbexp_cli("run", "--queue", "--resume", "lnog", cwd=root, code=3)
    assert "There is no experiment `lnog`." in unknown.stderr


def test_several_values_go_on_from_a_step_at_once(training_project, nbexp_cli, git):
    root = training_project()
    nbexp_cli("run", "--temp", "-n", "long", cwd=root)
    old, before = chain(root, "long", git), git("status", "--porcelain", cwd=root)
    words = ["run", "--resume", "long@2", "-n", "more", "-S", "lr=0.1,0.8"]
    ran = nbexp_cli(*words, "-j", "2", cwd=root)
    assert "more: 2 experiments, 2 at a time, beside your files." in ran.stderr
    for name, acc in (("more-1", "0.975"), ("more-2", "0.8")):
        found = chain(root, name, git)
        assert (found[:2], len(found)) == (old[:2], 5)
        assert acc in git("show", f"{found[-1]}:metrics.json", cwd=root)
    again = nbexp_cli(*words, cwd=root)
    assert "more has run this already." in again.stderr
    # From its last commit, and without a name, they are others; the experiment itself stays as it was.
    nbexp_cli("run", "--resume", "long", "-S", "lr=0.1,0.8", "-S", "epochs=6", cwd=root)
    listed = json.loads(nbexp_cli("show", "--json", cwd=root).stdout)
    names = [one["name"] for one in listed[1]["experiments"]]
    assert len(names) == 5
    for name in {*names} - {"long", "more-1", "more-2"}:
        assert chain(root, name, git)[:5] == old
        assert len(chain(root, name, git)) == 8, "two epochs more, and the end"
    assert chain(root, "long", git) == old
    assert git("status", "--porcelain", cwd=root) == before
    unknown = nbexp_cli("run", "--resume", "lnog", "-S", "lr=1,2", cwd=root, code=3)
    assert "There is no experiment `lnog`." in unknown.stderr


def test_a_project_of_dvc_2_beside_the_workspace(project, nbexp_cli, git):
    root = project(DVC_2)
    nbexp_cli("run", "--temp", "-n", "old", cwd=root, code=1, env={"TROUBLE": "2"})
    nbexp_cli("run", "--temp", "--resume", "old", cwd=root)
    assert len(chain(root, "old", git)) == 4
    assert (
        git("show", f"{chain(root, 'old', git)[-1]}:dvc.lock", cwd=root).count("path: model.txt")
        == 1
    )


def test_a_task_that_was_killed_goes_on_from_its_last_checkpoint(
    training_project, nbexp_cli, git, opened, monkeypatch
):
    from nbexp.experiments import freezing, resuming
    from nbexp.experiments import spec as specs
    from nbexp.project import runs

    root = training_project()
    monkeypatch.chdir(root)
    project = opened(root)
    where = runs.place_of(project, lambda _: None)
    spec = specs.make(root, project.git.head(), {}, name="task")
    snapshot = freezing.look(where).snapshot
    assert resuming.continued(where, spec, snapshot) == (spec, snapshot)
    # What a worker that was killed at its second step has left.
    crash = {"NBEXP_CRASH": "checkpoint.committed@2"}
    nbexp_cli("run", "--temp", "-n", "task", cwd=root, code=None, env=crash)
    again, at_step = resuming.continued(where, spec, snapshot)
    assert (again.resumed.step, at_step.rev) == (2, chain(root, "task", git)[1])
    assert specs.Spec.from_json(again.to_json()) == again
    # Beside the workspace, the next command sees that the process of the killed run is gone.
    nbexp_cli("run", "--temp", "--resume", "task", cwd=root)
    assert len(chain(root, "task", git)) == 5


def test_a_queued_run_whose_worker_is_killed_goes_on_from_its_last_checkpoint(
    training_project, nbexp_cli, git
):
    root = training_project()
    nbexp_cli("run", "--queue", "-n", "task", cwd=root)
    crash = {"NBEXP_CRASH": "checkpoint.committed@2"}
    nbexp_cli("queue", "run", "task", cwd=root, code=None, env=crash)
    before = chain(root, "task", git)
    assert len(before) == 2
    deadline = time.monotonic() + 120
    while len(chain(root, "task", git)) < 5 and time.monotonic() < deadline:
        nbexp_cli("queue", "start", cwd=root, code=None)
        nbexp_cli("queue", "status", cwd=root)
        time.sleep(0.2)
    commits = chain(root, "task", git)
    assert commits[:2] == before
    assert len(commits) == 5
