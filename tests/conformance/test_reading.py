"""Each tool reads, applies, branches, compares and removes what the other recorded."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, Ran, RunGit, RunProgram
    from tests.conftest import MakePipelineProject

BOTH_WAYS = pytest.mark.parametrize(("by", "other"), [("nbexp", "dvc"), ("dvc", "nbexp")])


@pytest.fixture
def recorded(
    pipeline: MakePipelineProject, dvc: RunProgram, nbexp_cli: RunProgram, git: RunGit
) -> Callable[[str], Path]:
    """`recorded("dvc")`: a project whose baseline is up to date, with the experiments low, rows and code."""

    def make(by: str) -> Path:
        top = pipeline()
        run = ("exp", "run") if by == "dvc" else ("run",)
        program = dvc if by == "dvc" else nbexp_cli
        program(*run, "-n", "base", cwd=top)
        program(*(("exp", "remove") if by == "dvc" else ("remove",)), "base", cwd=top)
        git("add", "--all", cwd=top)
        git("commit", "--quiet", "--message=up to date", cwd=top)
        program(*run, "-S", "train.lr=0.01", "-n", "low", cwd=top)
        program(*run, "-S", "prepare.rows=7", "-S", "train.lr=0.1", "-n", "rows", cwd=top)
        (top / "train.sh").write_text((top / "train.sh").read_text() + "echo 'more' >> model.txt\n")
        (top / "notes.txt").write_text("staged\n")
        git("add", "notes.txt", cwd=top)
        program(*run, "-S", "prepare.rows=20", "-n", "code", cwd=top)
        return top

    return make


def clean(top: Path, git: RunGit, dvc: RunProgram) -> None:
    """The workspace as the baseline has it."""
    git("reset", "--quiet", "--hard", cwd=top)
    git("clean", "--quiet", "--force", "-d", cwd=top)
    dvc("checkout", "--quiet", "--force", cwd=top)


@BOTH_WAYS
def test_experiments_are_listed(
    recorded: Callable[[str], Path], look: Look, by: str, other: str, git: RunGit
) -> None:
    top = recorded(by)
    git("pack-refs", "--all", cwd=top)
    theirs = look.dvc("exp", "list", "-A", "--name-only", cwd=top).stdout.split()
    ours = look.nbexp("list", "-A", "--name-only", cwd=top).stdout.split()
    assert sorted(theirs) == sorted(ours) == ["code", "low", "rows"]
    revs = look.dvc("exp", "list", "--sha-only", cwd=top).stdout.split()
    assert sorted(look.nbexp("list", "--sha-only", cwd=top).stdout.split()) == sorted(revs)
    assert look.table(top, "nbexp") == look.table(top, "dvc")
    assert look.status(top, "nbexp") == look.status(top, "dvc") == {}
    look.git("fsck", "--strict", cwd=top)


@BOTH_WAYS
def test_what_is_recorded_is_text_that_git_shows(
    recorded: Callable[[str], Path], look: Look, by: str, other: str, git: RunGit
) -> None:
    """From a row of the table to the exact inputs and results, with Git alone."""
    top = recorded(by)
    rows = {one["name"]: one["revs"][0] for one in look.table(top, "nbexp")[1]["experiments"]}
    low, code = rows["low"]["rev"], rows["code"]["rev"]
    shown = json.loads(git("show", f"{low}:metrics.json", cwd=top))
    assert shown == rows["low"]["data"]["metrics"]["metrics.json"]["data"]
    assert shown["acc"] == 0.9133
    diff = git("diff", "main", low, "--", "params.yaml", cwd=top).splitlines()
    assert [line for line in diff if line[:2] in {"+ ", "- "}] == ["-  lr: 0.1", "+  lr: 0.01"]
    assert git("diff", "--name-only", "main", code, cwd=top).split() == [
        "dvc.lock",
        "notes.txt",
        "train.sh",
    ]
    assert git("show", f"{code}:train.sh", cwd=top).endswith("echo 'more' >> model.txt")
    assert "more" not in git("show", "HEAD:train.sh", cwd=top)
    lock = git("show", f"{low}:dvc.lock", cwd=top)
    for kind in ("deps", "outs"):
        for path, fields in rows["low"]["data"][kind].items():
            assert f"path: {path}\n      hash: md5\n      md5: {fields['hash']}\n" in lock
    # The commit is the baseline's child, and on no branch.
    assert git("rev-parse", f"{low}^", cwd=top) == git("rev-parse", "main", cwd=top)
    assert git("branch", "--all", "--contains", low, cwd=top) == ""


@BOTH_WAYS
def test_experiments_are_applied_with_the_same_result(
    recorded: Callable[[str], Path],
    tmp_path: Path,
    look: Look,
    by: str,
    other: str,
    lines: Callable[[Ran], list[str]],
) -> None:
    top = recorded(by)
    expected = look.files(top)
    names = {ref.rpartition("/")[2]: ref for ref in look.experiments(top)}
    clean(top, look.git, look.dvc)
    copy = tmp_path / "copy" / "project"
    shutil.copytree(top, copy, symlinks=True)
    for name in ("low", "rows", "code"):
        look.dvc("exp", "apply", name, cwd=top)
        look.nbexp("apply", name, cwd=copy)
        assert look.files(copy) == look.files(top), name
        assert look.changes(copy) == look.changes(top), name
        assert look.status(copy, "dvc") == look.status(copy, "nbexp") == {}
        for path, (_, oid) in look.tree(copy, f"refs/exps/{names[name]}").items():
            assert look.git("hash-object", path, cwd=copy) == oid, path
    assert look.files(copy) == expected
    # Nothing has to run after that.
    ran = look.dvc("repro", cwd=copy)
    assert lines(ran) == [
        "Stage 'prepare' didn't change, skipping",
        "Stage 'train' didn't change, skipping",
    ]
    again = look.nbexp("run", cwd=copy)
    assert again.stdout.startswith("identical to code")
    again = look.nbexp("run", "--new", "-n", "again", cwd=copy)
    assert lines(again) == lines(ran)


def test_applying_over_another_set_of_stages(twins: MakeTwins, project: MakeProject) -> None:
    """The experiment has a stage that the workspace lacks, and the other way round."""
    stage = "  {0}:\n    cmd: cp in.txt {0}.txt && mkdir -p in-{0} && cp in.txt in-{0}\n    deps: [in.txt]\n    outs: [{0}.txt, in-{0}]\n"
    pair = twins(
        project(
            {
                "in.txt": "1\n",
                "dvc.yaml": "stages:\n" + stage.format("one"),
                ".gitignore": "/in-one\n/one.txt\n",
            }
        )
    )
    pair.run("-n", "one")
    pair.git("add", "dvc.lock")
    pair.git("commit", "--quiet", "--message=lock")
    pair.write("dvc.yaml", "stages:\n" + stage.format("one") + stage.format("two"))
    pair.run("-n", "two")
    pair.write("dvc.yaml", "stages:\n" + stage.format("three"))
    pair.write("in.txt", "3\n")
    pair.run("-n", "three")
    for name in ("two", "three", "two"):
        pair.look.dvc("exp", "apply", name, cwd=pair.dvc_side)
        pair.look.nbexp("apply", name, cwd=pair.nbexp_side)
        pair.agree_on_files()
        assert pair.agree_on_status() == {}


@BOTH_WAYS
def test_branches_of_experiments(
    recorded: Callable[[str], Path], look: Look, by: str, other: str, git: RunGit
) -> None:
    top = recorded(by)
    look.dvc("exp", "branch", "low", "by-dvc", cwd=top)
    look.nbexp("branch", "low", "by-nbexp", cwd=top)
    look.dvc("exp", "branch", "rows", cwd=top)
    refs = look.refs(top, "refs/heads")
    assert refs["refs/heads/by-nbexp"] == refs["refs/heads/by-dvc"]
    git("branch", "--delete", "--force", "rows-branch", cwd=top)
    look.nbexp("branch", "rows", cwd=top)
    assert look.refs(top, "refs/heads")["refs/heads/rows-branch"] == refs["refs/heads/rows-branch"]
    clean(top, git, look.dvc)
    git("checkout", "--quiet", "by-nbexp", cwd=top)
    look.dvc("checkout", cwd=top)
    assert look.status(top, "dvc") == look.status(top, "nbexp") == {}
    assert git("status", "--porcelain", cwd=top) == ""
    # Both name the row of the branch's commit after the branch now.
    theirs, ours = look.table(top, "dvc"), look.table(top, "nbexp")
    assert [one["name"] for one in ours][:2] == [one["name"] for one in theirs][:2]


@BOTH_WAYS
def test_experiments_are_removed(
    recorded: Callable[[str], Path], look: Look, by: str, other: str
) -> None:
    top = recorded(by)
    remove = ("exp", "remove") if other == "dvc" else ("remove",)
    (look.dvc if other == "dvc" else look.nbexp)(*remove, "low", "code", cwd=top)
    for program, words in ((look.dvc, ("exp", "list")), (look.nbexp, ("list",))):
        assert program(*words, "--name-only", cwd=top).stdout.split() == ["rows"]
    look.git("fsck", "--strict", cwd=top)
    look.dvc("exp", "rename", "rows", "renamed", cwd=top)
    assert look.nbexp("list", "--name-only", cwd=top).stdout.split() == ["renamed"]


def diffs(look: Look, top: Path, *words: str) -> tuple[Any, Any]:
    """What the two tools' `diff --json` say, without the keys that nbexp adds."""
    theirs = json.loads(look.dvc("exp", "diff", "--json", *words, cwd=top).stdout)
    ours = json.loads(look.nbexp("diff", "--json", *words, cwd=top).stdout)
    return theirs, {key: ours[key] for key in theirs}


@BOTH_WAYS
def test_diffs_of_experiments_branches_and_the_workspace(
    recorded: Callable[[str], Path], look: Look, by: str, other: str, git: RunGit
) -> None:
    top = recorded(by)
    git("tag", "v1", cwd=top)
    rev = look.experiments(top)[
        next(name for name in look.experiments(top) if name.endswith("/low"))
    ]
    for words in (
        (),
        ("low",),
        ("low", "rows"),
        ("main", rev),
        ("v1", "code", "--all"),
        ("rows", rev[:8]),
    ):
        theirs, ours = diffs(look, top, *words)
        assert ours == theirs, words
    for words in (("low", "rows"), ("main", "code")):
        theirs_md = look.dvc("exp", "diff", "--md", *words, cwd=top).stdout
        ours_md = look.nbexp("diff", "--md", *words, cwd=top).stdout
        assert sorted(ours_md.split("\n")) == sorted([*theirs_md.rstrip("\n").split("\n"), ""])


def test_diffs_of_every_kind_of_value(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(
        project(
            {
                "params.yaml": "num: 1\ntext: a\nflag: true\nlist: [1, 2]\ngone: 5\nnull_now: 3\ntree: {a: {b: 1}}\nsame: 0\n",
                "dvc.yaml": "stages:\n  one:\n    cmd: cat params.yaml > m.yaml; cat params.yaml > n.yaml\n    params:\n    - params.yaml:\n"
                "    metrics:\n    - m.yaml:\n        cache: false\n    - n.yaml\n",
            }
        )
    )
    pair.run("-n", "before")
    pair.write(
        "params.yaml",
        "num: 2.5\ntext: b\nflag: false\nlist: [1, 3]\nnew: 5\nnull_now:\ntree: {a: {b: 1, c: x}}\nsame: 0\n",
    )
    pair.run("-n", "after")
    pair.agree()
    for words in (
        ("before", "after"),
        ("after", "before"),
        ("before",),
        ("before", "after", "--all"),
    ):
        theirs, ours = diffs(pair.look, pair.nbexp_side, *words)
        assert ours == theirs, words
        theirs_md, ours_md = (
            program(*verb, *words, "--md", cwd=pair.nbexp_side).stdout.rstrip("\n").splitlines()
            for program, verb in ((pair.look.dvc, ("exp", "diff")), (pair.look.nbexp, ("diff",)))
        )
        assert sorted(ours_md) == sorted(theirs_md), words
    # Null says as much as nothing: without the file, what was null there has not changed.
    pair.write("params.yaml", "null_now:\nnum: 2.5\n")
    theirs, ours = diffs(pair.look, pair.nbexp_side, "after")
    assert ours == theirs
    assert "null_now" not in ours["params"]["params.yaml"]


def test_git_s_own_words_are_no_experiments(
    pipeline: MakePipelineProject, look: Look, dvc: RunProgram, nbexp_cli: RunProgram
) -> None:
    """DVC lets an experiment be called HEAD, which is Git's word for the present commit all the same."""
    top = pipeline(stages=1)
    dvc("exp", "run", "-S", "prepare.rows=3", "-n", "HEAD", cwd=top)
    dvc("exp", "run", "-S", "prepare.rows=4", cwd=top)
    theirs, ours = diffs(look, top, "HEAD")
    assert ours == theirs
    assert ours["params"]["params.yaml"]["prepare.rows"]["new"] == 4
    assert (
        json.loads(nbexp_cli("diff", "HEAD", "workspace", "--json", cwd=top).stdout)["params"]
        == (theirs["params"])
    )
    assert "HEAD" in nbexp_cli("show", "--csv", cwd=top).stdout


def test_experiments_come_newest_first(
    pipeline: MakePipelineProject, look: Look, dvc: RunProgram, nbexp_cli: RunProgram
) -> None:
    top = pipeline(stages=1)
    nbexp_cli("run", "-S", "prepare.rows=3", "-n", "b-first", cwd=top)
    # Commit times are whole seconds.
    time.sleep(1.1)
    dvc("exp", "run", "-S", "prepare.rows=4", "-n", "c-second", cwd=top)
    time.sleep(1.1)
    nbexp_cli("run", "-S", "prepare.rows=5", "-n", "a-third", cwd=top)
    found = {}
    for by, words in (("dvc", ("exp", "show", "--json")), ("nbexp", ("show", "--json"))):
        table = json.loads((dvc if by == "dvc" else nbexp_cli)(*words, cwd=top).stdout)
        found[by] = [one["name"] for one in table[1]["experiments"]]
    assert found["nbexp"] == found["dvc"] == ["a-third", "c-second", "b-first"]
    for shape in ("--csv", "--md"):
        theirs = dvc("exp", "show", shape, cwd=top).stdout
        assert nbexp_cli("show", shape, cwd=top).stdout.rstrip("\n") == theirs.rstrip("\n")


def test_what_dvc_saved_without_running_it(
    pipeline: MakePipelineProject, look: Look, git: RunGit
) -> None:
    """DVC commits a pickle of its own by mistake; nbexp neither shows nor restores it."""
    top = pipeline(stages=1)
    look.dvc("exp", "run", "-n", "run", cwd=top)
    git("add", "--all", cwd=top)
    git("commit", "--quiet", "--message=up to date", cwd=top)
    (top / "README.md").write_text("edited\n")
    look.dvc("exp", "save", "-n", "saved", cwd=top)
    saved = next(rev for name, rev in look.experiments(top).items() if name.endswith("/saved"))
    assert ".dvc/tmp/repro.dat" in look.tree(top, saved)
    theirs, ours = look.table(top, "dvc"), look.table(top, "nbexp")
    assert ours == theirs
    # To people nbexp shows the experiments of other commits as well.
    text = look.nbexp("show", cwd=top).stdout
    assert [line.split()[0] for line in text.splitlines() if line.startswith("  ")] == [
        "saved",
        "run",
    ]
    git("checkout", "--quiet", "README.md", cwd=top)
    (top / ".dvc" / "tmp" / "repro.dat").unlink(missing_ok=True)
    look.nbexp("apply", "saved", cwd=top)
    assert (top / "README.md").read_text() == "edited\n"
    assert not (top / ".dvc" / "tmp" / "repro.dat").exists()
    assert look.status(top, "dvc") == {}


def test_experiments_that_dvc_has_queued(
    pipeline: MakePipelineProject, look: Look, git: RunGit
) -> None:
    """They are DVC's: not among nbexp's experiments, and nbexp's commands leave them as they are."""
    top = pipeline(stages=1)
    look.dvc("exp", "run", "--queue", "-S", "prepare.rows=3", "-n", "waiting", cwd=top)
    before = look.refs(top, "refs/exps")
    look.nbexp("run", "-n", "one", cwd=top)
    assert look.nbexp("list", "--name-only", cwd=top).stdout.split() == ["one"]
    look.nbexp("apply", "one", cwd=top)
    look.nbexp("remove", "one", cwd=top)
    assert look.refs(top, "refs/exps") == before
    assert "waiting" in look.dvc("queue", "status", cwd=top).stdout


def test_the_other_tool_s_experiment_is_gone_on_from(
    recorded: Callable[[str], Path], look: Look, git: RunGit, lines: Callable[[Ran], list[str]]
) -> None:
    """Apply what the one recorded, change a value, run with the other: only what it touches runs."""
    top = recorded("dvc")
    clean(top, git, look.dvc)
    look.nbexp("apply", "rows", cwd=top)
    ran = look.nbexp("run", "-S", "train.epochs=4", "-n", "on", cwd=top)
    assert [line for line in lines(ran) if "stage" in line.lower()] == [
        "Stage 'prepare' didn't change, skipping",
        "Running stage 'train':",
    ]
    look.dvc("exp", "apply", "on", cwd=top)
    ran = look.dvc("exp", "run", "-S", "train.epochs=5", "-n", "further", cwd=top)
    assert [line for line in lines(ran) if "stage" in line.lower()] == [
        "Stage 'prepare' didn't change, skipping",
        "Running stage 'train':",
    ]
    assert look.status(top, "nbexp") == look.status(top, "dvc") == {}
