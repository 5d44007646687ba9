"""`script`: run in a clean clone, it makes the same experiments again."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp.errors import NotFound
from nbexp.experiments import notes

if TYPE_CHECKING:
    from nbexp import Project

HOSTILE = 'it\'s $HOME `id` "q" \\ ; rm -rf * | é & # {x}'


@pytest.fixture
def replay(
    tmp_path: Path, git: Callable[..., str], opened: Callable[..., Project]
) -> Callable[..., Project]:
    """The script of a project, run in a clean clone of it; the clone."""

    def replay(project: Project, text: str, *, below: str = ".") -> Project:
        clone = tmp_path / f"clone-{len(list(tmp_path.glob('clone-*')))}"
        git("clone", "--quiet", project.git.root, clone)
        file = tmp_path / "again.sh"
        file.write_text(text)
        program = tmp_path / "bin"
        program.mkdir(exist_ok=True)
        (program / "nbexp").write_text(f'#!/bin/sh\nexec {sys.executable} -m nbexp.cli "$@"\n')
        (program / "nbexp").chmod(0o755)
        env = {**os.environ, "PATH": f"{program}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", file], cwd=clone, env=env, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr + text
        return opened(clone / below)

    return replay


def agree(project: Project, made: Project) -> None:
    """The same names, baselines, trees and metrics."""
    assert made.names == project.names
    for name in project.names:
        ours, theirs = project[name], made[name]
        assert theirs.baseline == ours.baseline
        assert made.git.tree(theirs.rev) == project.git.tree(ours.rev), name
        assert (theirs.metrics, theirs.params) == (ours.metrics, ours.params)


def test_a_session_comes_out_the_same_in_a_clean_clone(
    project: Project, replay: Callable[..., Project]
) -> None:
    root = project.root
    project.run(name="first")
    project.run({"train.lr": 0.03, "prepare.rows": 5})
    script = root / "train.sh"
    script.write_text(script.read_text() + "# it's `edited` $HOME\nEND=1\n")
    project.run({"seed": 3}, name="edited", message="what's $this\nabout?")
    params = root / "params.yaml"
    params.write_text(params.read_text() + f"text: {json.dumps(HOSTILE)}\n# a remark\n")
    project.run(["seed=4", f"+other={quoted(HOSTILE)}"], name="hostile")
    project.clone("first", {"train.lr": 0.07}, name="cloned")
    made = project.script()
    assert made.experiments[0] == "first"
    agree(project, replay(project, made.text))


def quoted(text: str) -> str:
    from nbexp.overrides import spell

    return spell(text)


def test_the_line_is_the_one_that_was_typed(project: Project) -> None:
    project.run({"train.lr": 0.03}, name="low", jobs=2)
    lines = project.script().text.splitlines()
    assert "nbexp run -S train.lr=0.03 -n low -j 2" in lines
    assert "git apply" not in "\n".join(lines)


def test_without_a_note_the_line_is_derived(
    project: Project, replay: Callable[..., Project], git: Callable[..., str]
) -> None:
    project.run(
        ["train.lr=0.03", f"+other={quoted(HOSTILE)}", "+list=[1,a b]", "+flag=true"], name="low"
    )
    git("update-ref", "-d", notes.REF, cwd=project.root)
    text = project.script().text
    (line,) = [line for line in text.splitlines() if line.startswith("nbexp run")]
    words = shlex.split(line)
    assert words[:4] == ["nbexp", "run", "-S", "train.lr=0.03"]
    assert words[-2:] == ["-n", "low"]
    assert "git apply" not in text
    agree(project, replay(project, text))


def test_new_deleted_binary_and_executable_files_come_along(
    project: Project, replay: Callable[..., Project], git: Callable[..., str]
) -> None:
    (project.root / "raw.bin").write_bytes(bytes(range(256)))
    (project.root / "latin.txt").write_bytes(b"caf\xe9\r\n")
    tool = project.root / "a b'c.sh"
    tool.write_text("echo\n")
    tool.chmod(0o755)
    git("add", "--all", cwd=project.root)
    (project.root / "data" / "raw.csv").write_text("7\n8\n")
    project.run(name="one")
    git("reset", "--quiet", "--hard", cwd=project.root)
    project.run({"train.lr": 0.2}, name="two")
    text = project.script().text
    clone = replay(project, text)
    assert clone["two"].read("data/raw.csv") == project["two"].read("data/raw.csv")
    agree(project, clone)


def test_a_repository_without_a_pipeline_is_saved_again(
    repo: Path, opened: Callable[..., Project], replay: Callable[..., Project],
    git: Callable[..., str],
) -> None:  # fmt: skip
    (repo / ".dvc").mkdir()
    (repo / ".dvc" / "config").touch()
    (repo / "params.yaml").write_text("lr: 0.1\n")
    git("add", "--all", cwd=repo)
    git("commit", "--quiet", "--message=start", cwd=repo)
    project = opened(repo)
    (repo / "params.yaml").write_text("lr: 0.2\n")
    (repo / "notes.md").write_text("seen\n")
    project.save(name="plain", include_untracked=["notes.md"])
    text = project.script().text
    assert "nbexp save -n plain -I notes.md" in text
    agree(project, replay(project, text))


def test_a_hidden_secret_comes_from_what_was_recorded(
    project: Project, replay: Callable[..., Project]
) -> None:
    project.run(["train.lr=0.03", "+db.password=hunter2"], name="low")
    text = project.script().text
    assert "***" not in text
    agree(project, replay(project, text))


def test_a_name_that_was_changed_since_is_the_present_one(
    project: Project, git: Callable[..., str]
) -> None:
    made = project.run({"train.lr": 0.03}, name="low")
    ref = f"refs/exps/{made.baseline[:2]}/{made.baseline[2:]}/"
    git("update-ref", f"{ref}lower", made.rev, cwd=project.root)
    git("update-ref", "-d", f"{ref}low", cwd=project.root)
    assert "nbexp run -S train.lr=0.03 -n lower" in project.script().text.splitlines()


def test_names_given_are_written_oldest_first(project: Project) -> None:
    for name in ("one", "two", "three"):
        project.run({"train.lr": len(name) / 10}, name=name, new=True)
    assert project.script("two", "one").experiments == ("one", "two")


def test_dvc_makes_the_same(
    project: Project, tmp_path: Path, git: Callable[..., str], dvc: Any,
    opened: Callable[..., Project],
) -> None:  # fmt: skip
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.04}, name="new", new=True)
    text = project.script(as_dvc=True).text
    assert "dvc exp run -S train.lr=0.03 -n low" in text.splitlines()
    clone = tmp_path / "clone"
    git("clone", "--quiet", project.root, clone)
    (line,) = [one for one in text.splitlines() if one.endswith("-n low")]
    dvc(*shlex.split(line)[1:], cwd=clone)
    made = opened(clone)
    assert made["low"].metrics == project["low"].metrics


def test_it_refuses_to_run_over_edits(project: Project, tmp_path: Path, git: Any) -> None:
    project.run(name="one")
    clone = tmp_path / "clone"
    git("clone", "--quiet", project.root, clone)
    (clone / "params.yaml").write_text("mine: 1\n")
    done = subprocess.run(
        ["sh"], input=project.script().text, cwd=clone, text=True, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert "a clean clone is needed" in done.stderr
    assert (clone / "params.yaml").read_text() == "mine: 1\n"


def test_without_an_experiment_there_is_nothing_to_write(project: Project) -> None:
    with pytest.raises(NotFound, match="no experiment"):
        project.script()


def test_a_project_in_a_folder(
    project: Project, tmp_path: Path, git: Callable[..., str], opened: Callable[..., Project],
    replay: Callable[..., Project],
) -> None:  # fmt: skip
    outer = tmp_path / "outer"
    shutil.copytree(project.root, outer / "in ner", ignore=shutil.ignore_patterns(".git"))
    git("init", "--quiet", "--initial-branch=main", outer)
    git("add", "--all", cwd=outer)
    git("commit", "--quiet", "--message=all", cwd=outer)
    inner = opened(outer / "in ner")
    inner.run({"train.lr": 0.03}, name="low")
    agree(inner, replay(inner, inner.script().text, below="in ner"))


def test_what_was_composed_is_set_and_not_composed_again(
    project: Project, replay: Callable[..., Project], git: Callable[..., str]
) -> None:
    root = project.root
    (root / "conf" / "train").mkdir(parents=True)
    (root / "conf" / "config.yaml").write_text(
        "defaults: [train: slow, _self_]\nprepare:\n  rows: 10\nseed: 0\n"
    )
    for name, lr in (("slow", "0.1"), ("fast", "0.4")):
        text = f"lr: {lr}\nepochs: 3\nlayers: [1]\n"
        (root / "conf" / "train" / f"{name}.yaml").write_text(text)
    (root / ".dvc" / "config").write_text("[hydra]\n    enabled = true\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=composed", cwd=root)
    project.run(["train=fast", "prepare.rows=20"], name="fast")
    text = project.script().text
    assert "nbexp run --no-hydra -n fast" in text
    agree(project, replay(project, text))
