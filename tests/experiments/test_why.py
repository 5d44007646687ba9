"""Why a stage ran, afterwards and from Git alone."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import nbexp
from nbexp import render
from nbexp.experiments import why
from nbexp.render import plans

if TYPE_CHECKING:
    from nbexp import Project


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def recorded(project: Project) -> Project:
    """A baseline whose lock is committed; `low` with another lr, `code` with another script and more rows."""
    project.run(name="first")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message=results")
    project.run({"train.lr": 0.01}, name="low")
    script = project.root / "train.sh"
    script.write_text(script.read_text().replace("0.95", "0.96"))
    project.run({"train.lr": 0.1, "prepare.rows": 21}, name="code")
    return project


def test_the_key_the_file_and_the_stage_before(recorded):
    assert render.text(recorded.why("train", "low")).splitlines() == [
        "train ran in low (compared with main) because",
        "  params.yaml:train.lr 0.1 -> 0.01   (line 5)",
    ]
    assert render.text(recorded.why("train", "code")).splitlines() == [
        "train ran in code (compared with main) because",
        "  prepared was made anew by `prepare`",
        "  train.sh changed   (line 9)",
    ]
    assert render.text(recorded.why("prepare")).splitlines() == [
        "prepare ran in code (compared with main) because",
        "  params.yaml:prepare.rows 20 -> 21   (line 3)",
    ]


def test_a_stage_that_did_not_run(recorded):
    found = recorded.why("prepare", "low")
    assert not found.changed
    assert render.text(found) == (
        "prepare did not run in low: command, deps, params and outputs are those of main"
    )


def test_a_fresh_clone_says_the_same(recorded, tmp_path, opened):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(recorded.root), str(clone))
    git(clone, "fetch", "--quiet", "origin", "refs/exps/*:refs/exps/*")
    other = opened(clone)
    for stage, name in (("train", "low"), ("train", "code"), ("prepare", "low")):
        assert other.why(stage, name).to_json() == recorded.why(stage, name).to_json()


def test_without_a_lock_in_the_baseline_it_is_the_run_before(project):
    project.run(name="first")
    project.run({"train.lr": 0.01}, name="low")
    assert render.text(project.why("train", "low")).splitlines() == [
        "train ran in low (compared with first) because",
        "  params.yaml:train.lr 0.1 -> 0.01   (line 5)",
    ]
    assert render.text(project.why("train", "first")).splitlines() == [
        "train ran in first (compared with main) because",
        "  it had not run before: the dvc.lock of main has no entry of it",
    ]


def test_of_two_runs_of_one_second_the_one_begun_first_is_the_one_before(project, monkeypatch):
    second, ticks = float(int(time.time())), itertools.count(1)
    # Fewer than a thousand looks at the clock: all of them in one second.
    monkeypatch.setattr("time.time", lambda: second + next(ticks) / 4000)
    project.run(name="a-first")
    project.run({"train.lr": 0.03}, name="z-second")
    assert len({row.created_s for row in project.show().experiments}) == 1
    found = project.why("train")
    assert (found.what, found.versus) == ("z-second", "a-first")
    assert "params.yaml:train.lr 0.1 -> 0.03" in render.text(found)


def test_without_experiments_it_is_the_last_commit_that_changed_the_entry(recorded, opened):
    root = recorded.root
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=more rows")
    git(root, "commit", "--quiet", "--allow-empty", "--message=nothing")
    before, after = (git(root, "rev-parse", rev)[:7] for rev in ("HEAD~2", "HEAD~1"))
    found = recorded.why("prepare")
    assert (found.what, found.versus) == (after, before)
    assert [reason.subject for reason in found.reasons] == ["params.yaml:prepare.rows"]


def test_what_was_forced(recorded):
    recorded.apply("first", force=True)
    recorded.run(force=True, name="again")
    assert not recorded.why("train", "again").changed  # the same came out, so dvc.lock says nothing
    with pytest.raises(nbexp.errors.NotFound) as caught:
        recorded.why("trian", "low")
    assert "did you mean `train`?" in (caught.value.hint or "")


def test_what_never_ran(project):
    with pytest.raises(nbexp.errors.NotFound) as caught:
        project.why("train")
    assert caught.value.message == (
        "Stage `train` has not run yet: no commit has an entry of it in dvc.lock."
    )


def test_one_of_many_stages_has_to_be_named(project):
    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(
        pipeline.read_text()
        + "  each:\n    foreach: [a, b]\n    do:\n      cmd: touch ${item}\n      outs: ['${item}']\n"
    )
    project.run(name="all")
    with pytest.raises(nbexp.errors.UsageError) as caught:
        project.why("each")
    assert caught.value.message == "`each` is 2 stages: each@a, each@b."
    assert caught.value.hint == "name one: `nbexp why each@a`."
    assert project.why("each@a").changed


def cells(*sources: str) -> bytes:
    listed = [
        {"cell_type": "code", "metadata": {}, "source": source, "outputs": []} for source in sources
    ]
    return json.dumps(
        {"cells": listed, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    ).encode()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (("a = 1", "b = 2"), ("a = 1", "b = 3"), ["cell 2 changed: b = 3"]),
        (("a = 1",), ("a = 1", "# more\nb = 2"), ["cell 2 new: # more"]),
        (("a = 1", "b = 2"), ("b = 2",), ["cell 1 removed: a = 1"]),
        (("a", "b", "c"), ("a", "x", "y", "c"), ["cell 2 changed: x", "cell 3 new: y"]),
        (("a",), ("a  \n",), []),
        (("a",), ("",), ["cell 1 removed: a"]),
    ],
)
def test_cells_that_changed(before, after, said):
    found = why.changed_cells(cells(*before), cells(*after), "n.ipynb")
    assert [str(change) for change in found] == said


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [(b"a\nb\n", b"a\nc\n", 2), (b"a\n", b"a\nb\n", 2), (b"a", b"b", 1), (b"\0", b"b", None)],
)
def test_the_first_line_that_changed(before, after, line):
    assert why.first_changed_line(before, after) == line


def test_a_notebook_and_a_folder_in_an_experiment(
    opened: Callable[[Path], Project], after_notebooks: Path
):
    project = opened(after_notebooks)
    found = project.why("study", "second")
    assert [plans.reason_words(reason) for reason in found.reasons] == [
        "inputs changed: two.txt",
        "study.ipynb cell 1 changed: x = 2",
    ]


@pytest.fixture
def after_notebooks(repo: Path) -> Path:
    """Two commits as an experiment leaves them, written by hand: no kernel is needed to look at them."""
    (repo / ".dvc").mkdir()
    (repo / "inputs").mkdir()
    stage = (
        "cmd: nbexp notebook study.ipynb out.ipynb\n    deps:\n    - inputs\n    - study.ipynb\n"
    )
    (repo / "dvc.yaml").write_text(f"stages:\n  study:\n    {stage}    outs:\n    - out.ipynb\n")
    for number in (1, 2):
        (repo / "inputs" / "one.txt").write_text("1")
        (repo / "inputs" / "two.txt").write_text(str(number))
        (repo / "study.ipynb").write_bytes(cells(f"x = {number}", "print(x)"))
        (repo / "dvc.lock").write_text(
            "schema: '2.0'\nstages:\n  study:\n    cmd: nbexp notebook study.ipynb out.ipynb\n    deps:\n"
            f"    - path: inputs\n      hash: md5\n      md5: a{number:031}.dir\n"
            f"    - path: study.ipynb\n      hash: md5\n      md5: a{number:031}\n"
            f"    outs:\n    - path: out.ipynb\n      hash: md5\n      md5: a{number:031}\n"
        )
        git(repo, "add", "--all", "--force")
        git(repo, "commit", "--quiet", f"--message={number}")
    baseline = git(repo, "rev-parse", "HEAD~1").strip()
    git(repo, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/second", "HEAD")
    git(repo, "reset", "--quiet", "--hard", "HEAD~1")
    return Path(shutil.copytree(repo, repo.parent / "notebooks", symlinks=True))


def test_of_a_tracked_directory_the_files_that_changed_are_named(project, opened):
    root = project.root
    (root / "raw").mkdir()
    for number in range(3):
        (root / "raw" / f"{number}.csv").write_text(f"{number}\n")
    project.data.add("raw")
    pipeline = root / "dvc.yaml"
    pipeline.write_text(
        pipeline.read_text() + "  sum:\n    cmd: cat raw/*.csv > sum.txt\n"
        "    deps: [raw]\n    outs: [sum.txt]\n"
    )
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=data")
    project.run(name="before")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=results")
    (root / "raw" / "1.csv").write_text("one\n")
    (root / "raw" / "3.csv").write_text("3\n")
    (root / "raw" / "0.csv").unlink()
    project.data.add("raw")
    project.run(name="after")
    said = [plans.reason_words(reason) for reason in project.why("sum", "after").reasons]
    assert said == ["raw changed: 0.csv, 1.csv, 3.csv"]

    # Where the objects are not, as in a fresh clone, the directory alone is known.
    shutil.rmtree(root / ".dvc" / "cache")
    other = opened(root)
    assert [plans.reason_words(reason) for reason in other.why("sum", "after").reasons] == [
        "raw changed"
    ]
