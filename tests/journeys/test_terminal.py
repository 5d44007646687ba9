"""Stories told at a terminal: the first steps, and what plain Git shows of experiments."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

from tests.terminals import on_a_terminal

NOTEBOOK = Path(__file__).resolve().parents[2] / "example-notebooks/first-notebook/train.ipynb"


def test_the_first_steps_need_no_git_command_and_no_other_program(tmp_path, nbexp_cli):
    """Only `git`, `sh` and Python are on PATH; nothing is asked before the first run."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "sh"):
        (programs / name).symlink_to(shutil.which(name))
    (programs / "python").symlink_to(sys.executable)
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copy(NOTEBOOK, folder)
    env = {"PATH": str(programs), "SHELL": str(programs / "sh")}
    started = time.monotonic()
    nbexp_cli("init", "train.ipynb", cwd=folder, env=env)
    nbexp_cli("run", "-n", "first", cwd=folder, env=env)
    shown = nbexp_cli("show", cwd=folder, env=env).stdout.splitlines()
    assert time.monotonic() - started < 60
    assert shown[0].split() == [
        "experiment",
        "created",
        "acc",
        "train.lr",
        "train.epochs",
        "train.seed",
    ]
    assert shown[3].split()[0] == "first"
    assert shown[3].split()[2:] == ["0.875", "0.1", "10", "0"]


def test_a_script_that_knows_nothing_of_nbexp_is_captured_whole(pipeline_project, nbexp_cli, git):
    project = pipeline_project()
    before = {path.name: path.read_bytes() for path in project.glob("*.sh")}
    assert before
    recorded = json.loads(nbexp_cli("run", "--json", cwd=project).stdout)
    assert recorded["metrics"]["acc"] == 0.8633
    assert recorded["params"]["train.lr"] == 0.1
    assert {path.name: path.read_bytes() for path in project.glob("*.sh")} == before
    # From the row of the table back to its inputs: each blob of the commit is what was on disk.
    rows = json.loads(nbexp_cli("show", "--json", cwd=project).stdout)
    rev = rows[1]["experiments"][0]["revs"][0]["rev"]
    assert rev == recorded["rev"]
    for name, data in before.items():
        assert git("show", f"{rev}:{name}", cwd=project).encode() == data.rstrip(b"\n")


def test_everything_that_is_recorded_is_text_that_git_shows(pipeline_project, nbexp_cli, git):
    project = pipeline_project()
    nbexp_cli("run", "-n", "low", "-S", "train.lr=0.03", cwd=project)
    head = git("rev-parse", "HEAD", cwd=project)
    ref = f"refs/exps/{head[:2]}/{head[2:]}/low"
    assert json.loads(git("show", f"{ref}:metrics.json", cwd=project))["acc"] == 0.9333
    assert "lr: 0.03" in git("show", f"{ref}:params.yaml", cwd=project)
    assert git("show", f"{ref}:dvc.lock", cwd=project).startswith("schema: '2.0'\n")
    assert git("rev-parse", f"{ref}^", cwd=project) == head
    changed = git("diff", "main", ref, "--", "params.yaml", cwd=project).splitlines()
    assert [line for line in changed if line[:1] in "+-" and line[:3] not in ("+++", "---")] == [
        "-  lr: 0.1  # the step size",
        "+  lr: 0.03  # the step size",
    ]


def test_set_params_change_their_values_and_nothing_else_of_the_files(pipeline_project, nbexp_cli):
    project = pipeline_project()
    params = project / "params.yaml"
    params.write_text("# the model\n" + params.read_text().replace("lr: 0.1", "lr: 0.1   # slow"))
    other = project / "more.json"
    other.write_text('{\n    "deep": {"er": 1},\n    "kept": [1, 2]\n}\n')
    pipeline = project / "dvc.yaml"
    pipeline.write_text(
        pipeline.read_text().replace("  train:\n", "  train:\n    frozen: false\n", 1)
    )
    words = ("-S", "train.lr=0.05", "-S", "train.epochs=7", "-S", "more.json:deep.er=2")
    before = params.read_text()
    nbexp_cli("run", *words, cwd=project)
    expected = before.replace("lr: 0.1   # slow", "lr: 0.05   # slow")
    lines = [
        line.partition(":")[0] + ": 7" if line.strip().startswith("epochs:") else line
        for line in expected.splitlines()
    ]
    assert params.read_text().splitlines() == lines
    assert other.read_text() == '{\n    "deep": {"er": 2},\n    "kept": [1, 2]\n}\n'


def test_an_experiment_becomes_a_branch_as_the_card_says(pipeline_project, nbexp_cli, git):
    project = pipeline_project()
    ran = nbexp_cli("run", "-n", "low", cwd=project).stdout
    assert "keep it as a branch: nbexp branch low my-branch" in ran
    rev = json.loads(nbexp_cli("branch", "low", "my-branch", "--json", cwd=project).stdout)["rev"]
    assert git("rev-parse", "refs/heads/my-branch", cwd=project) == rev
    assert git("branch", "--show-current", cwd=project) == "main"
    nbexp_cli("branch", "low", cwd=project)
    assert git("rev-parse", "refs/heads/low-branch", cwd=project) == rev
    (project / "nbexp.toml").write_text("hints = false\n")
    assert "keep it" not in nbexp_cli("run", "-S", "train.lr=0.2", cwd=project).stdout


def test_metrics_of_every_format_are_read_as_dvc_reads_them(repo, nbexp_cli, dvc, git):
    dvc("init", "-q", cwd=repo)
    (repo / "a.json").write_text('{"acc": 0.5, "deep": {"er": {"loss": 1e-3}}, "ok": true}')
    (repo / "b.yaml").write_text("f1: 0.25\nname: best\n")
    (repo / "c.toml").write_text("[eval]\nrecall = 0.75\n")
    (repo / "dvc.yaml").write_text("metrics:\n- a.json\n- b.yaml\n- c.toml\n")
    git("add", "-A", cwd=repo)
    git("commit", "-q", "-m", "metrics", cwd=repo)
    mine = json.loads(nbexp_cli("show", "--json", cwd=repo).stdout)
    assert mine == json.loads(dvc("exp", "show", "--json", cwd=repo).stdout)
    head = nbexp_cli("show", cwd=repo).stdout.splitlines()[0].split()
    assert head[2:] == ["acc", "deep.er.loss", "ok", "f1", "name", "eval.recall"]


def test_before_each_stage_a_question_is_asked_at_the_terminal(pipeline_project, nbexp_cli):
    project = pipeline_project()
    said, code = _at_a_terminal(project, ["repro", "-i"], ["maybe", "y", "n"])
    question = "Going to reproduce stage: '{}'. Are you sure you want to continue? [y/n]: "
    assert said.count(question.format("prepare")) == 2
    assert "Your response must be one of: y, n." in said
    assert said.count(question.format("train")) == 1
    assert "Stage `train` was not run, as you said." in said
    assert code == 1
    lock = (project / "dvc.lock").read_text()
    assert "  prepare:\n" in lock
    assert "  train:\n" not in lock


def _at_a_terminal(folder: Path, words: list[str], answers: list[str]) -> tuple[str, int]:
    """What a command shows on a terminal of its own, each answer typed when a question is asked."""
    import os

    child, terminal = on_a_terminal([sys.executable, "-m", "nbexp.cli", *words], folder)
    said = b""
    while True:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        said += read
        if said.rstrip().endswith(b"[y/n]:") and answers:
            os.write(terminal, f"{answers.pop(0)}\n".encode())
            said += b" "
    os.close(terminal)
    return said.decode().replace("\r\n", "\n"), child.wait()
