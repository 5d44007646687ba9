"""Each tool brings back, without running it, what the other ran."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, Ran, RunGit
    from tests.conftest import MakePipelineProject

BOTH_WAYS = pytest.mark.parametrize(("by", "other"), [("nbexp", "dvc"), ("dvc", "nbexp")])

CACHED = "Stage '{}' is cached - skipping run, checking out outputs"


def run(look: Look, by: str, top: Path, *words: str) -> Ran:
    """`dvc repro`, or a run of nbexp that looks at no experiment; `-S` for either."""
    if by == "dvc":
        return look.dvc(*(("exp", "run") if words else ("repro",)), *words, cwd=top)
    return look.nbexp("run", "--new", *words, cwd=top)


@BOTH_WAYS
@pytest.mark.parametrize("kind", ["copy", "symlink"])
def test_what_is_deleted_comes_back(
    pipeline: MakePipelineProject,
    look: Look,
    by: str,
    other: str,
    kind: str,
    lines: Callable[[Ran], list[str]],
) -> None:
    top = pipeline(stages=3)
    (top / ".dvc" / "config").write_text(f"[cache]\n    type = {kind}\n")
    run(look, by, top)
    made, lock, runs = look.files(top), (top / "dvc.lock").read_bytes(), look.run_cache(top)
    assert len(runs) == 3
    for path in ("dvc.lock", "model.txt", "metrics.json", "plots/acc.csv", "report-1.txt"):
        (top / path).unlink()
    ran = run(look, other, top)
    assert [line for line in lines(ran) if line.startswith(("Stage", "Running"))] == [
        CACHED.format(stage) for stage in ("prepare", "train", "report-1")
    ]
    assert look.files(top) == made
    assert (top / "dvc.lock").read_bytes() == lock
    assert look.run_cache(top) == runs
    assert look.status(top, "dvc") == look.status(top, "nbexp") == {}


@BOTH_WAYS
def test_values_that_ran_before_do_not_run_again(
    pipeline: MakePipelineProject,
    look: Look,
    by: str,
    other: str,
    lines: Callable[[Ran], list[str]],
) -> None:
    top = pipeline()
    run(look, by, top, "-n", "one")
    first = look.files(top)
    run(look, by, top, "-S", "train.lr=0.01", "-S", "prepare.rows=3", "-n", "two")
    ran = run(look, other, top, "-S", "train.lr=0.1", "-S", "prepare.rows=20", "-n", "three")
    assert [line for line in lines(ran) if line.startswith(("Stage", "Running"))] == [
        CACHED.format("prepare"),
        CACHED.format("train"),
    ]
    assert look.files(top) == first
    ran = run(look, by, top)
    assert [line for line in lines(ran) if line.startswith(("Stage", "Running"))] == [
        "Stage 'prepare' didn't change, skipping",
        "Stage 'train' didn't change, skipping",
    ]


@BOTH_WAYS
def test_a_stage_without_a_dep_or_an_output_is_not_kept(
    project: MakeProject, look: Look, by: str, other: str, lines: Callable[[Ran], list[str]]
) -> None:
    top = project(
        {
            "params.yaml": "x: 1\n",
            "dvc.yaml": """\
stages:
  no-deps:
    cmd: echo made > made.txt
    outs: [made.txt]
  no-outs:
    cmd: grep -q x params.yaml
    params: [x]
  in-git:
    cmd: cp params.yaml copy.txt
    params: [x]
    outs:
    - copy.txt:
        cache: false
""",
        }
    )
    run(look, by, top)
    assert look.run_cache(top) == {}
    (top / "dvc.lock").unlink()
    ran = run(look, other, top)
    assert [line for line in lines(ran) if line.startswith(("Stage", "Running"))] == [
        "Running stage 'no-deps':",
        "Running stage 'no-outs':",
        "Running stage 'in-git':",
    ]
    assert look.run_cache(top) == {}


def test_equal_stages_of_two_directories_share_an_entry(
    project: MakeProject, look: Look, git: RunGit, lines: Callable[[Ran], list[str]]
) -> None:
    """The key holds no directory, as with DVC: what ran here is brought back there."""
    stage = "stages:\n  {}:\n    cmd: cp in.txt out.txt\n    deps: [in.txt]\n    outs: [out.txt]\n"
    top = project(
        {
            "a/dvc.yaml": stage.format("one"),
            "a/in.txt": "1\n",
            "b/dvc.yaml": stage.format("two"),
            "b/in.txt": "1\n",
        }
    )
    look.dvc("repro", cwd=top / "a")
    ran = look.nbexp("run", cwd=top / "b")
    assert CACHED.format("two") in lines(ran)
    assert len(look.run_cache(top)) == 1
    assert look.status(top, "dvc") == look.status(top, "nbexp") == {}


def lose(top: Path, path: str) -> None:
    """Take the object of an output out of the cache, as a careless `gc` on another branch does."""
    md5 = hashlib.md5((top / path).read_bytes(), usedforsecurity=False).hexdigest()
    place = top / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]
    place.chmod(0o644)
    place.unlink()


@BOTH_WAYS
def test_a_run_whose_output_is_gone_runs_again_and_takes_its_place(
    pipeline: MakePipelineProject,
    look: Look,
    by: str,
    other: str,
    lines: Callable[[Ran], list[str]],
) -> None:
    """Stale entries are never served: by neither tool, whoever saved them."""
    top = pipeline()
    run(look, by, top, "-n", "one")
    made, runs = look.files(top), look.run_cache(top)
    lose(top, "model.txt")
    (top / "model.txt").unlink()
    (top / "dvc.lock").unlink()
    listed = json.loads(look.nbexp("cache", "--stale", "--json", cwd=top).stdout)
    assert [[out["path"] for out in one["outs"] if out["missing"]] for one in listed] == [
        ["model.txt"]
    ]
    ran = run(look, other, top)
    assert [line for line in lines(ran) if line.startswith(("Stage", "Running"))] == [
        CACHED.format("prepare"),
        "Running stage 'train':",
    ]
    if other == "nbexp":
        assert (
            "Stage `train` has run on the same before, but the cache has lost model.txt; it runs again."
        ) in ran.stderr
    assert look.files(top) == made
    assert look.run_cache(top) == runs
    assert json.loads(look.nbexp("cache", "--stale", "--json", cwd=top).stdout) == []


def test_an_older_run_of_the_same_is_served_when_the_newest_is_gone(
    project: MakeProject, look: Look, lines: Callable[[Ran], list[str]]
) -> None:
    """Where DVC looks at the newest entry alone, and runs the stage."""
    top = project(
        {
            "dvc.yaml": "stages:\n  draw:\n    cmd: date +%N > drawn.txt\n    deps: [seed.txt]\n"
            "    outs: [drawn.txt]\n",
            "seed.txt": "1\n",
        }
    )
    look.dvc("repro", cwd=top)
    first = (top / "drawn.txt").read_text()
    look.dvc("repro", "--force", cwd=top)
    runs = json.loads(look.nbexp("cache", "--json", cwd=top).stdout)
    assert len(runs) == 2
    assert runs[0]["key"] == runs[1]["key"]
    lose(top, "drawn.txt")
    (top / "drawn.txt").unlink()
    (top / "dvc.lock").unlink()
    ran = run(look, "nbexp", top)
    assert CACHED.format("draw") in lines(ran)
    assert (top / "drawn.txt").read_text() == first
    assert look.status(top, "dvc") == {}


def test_a_commit_keeps_outputs_that_git_has_as_well(
    twins: MakeTwins, project: MakeProject
) -> None:
    """A run of such a stage is not kept, and a stage whose outputs are committed as they are is."""
    pair = twins(
        project(
            {
                "in.txt": "1\n",
                "dvc.yaml": "stages:\n  copy:\n    cmd: cat in.txt > cached; cat in.txt > plain\n    deps: [in.txt]\n"
                "    outs: [cached, plain: {cache: false}]\n",
            }
        )
    )

    def agree() -> dict[str, tuple[int, str]]:
        pair.agree_on_files()
        pair.agree_on_cache()
        return pair.look.run_cache(pair.nbexp_side)

    def repro() -> tuple[str, str]:
        theirs = pair.look.dvc("repro", cwd=pair.dvc_side).stdout
        return theirs, pair.look.nbexp("repro", cwd=pair.nbexp_side).stdout

    repro()
    assert agree() == {}
    pair.look.dvc("commit", "--force", cwd=pair.dvc_side)
    pair.look.nbexp("data", "commit", "--force", cwd=pair.nbexp_side)
    assert len(agree()) == 1
    pair.delete("dvc.lock", "cached", "plain")
    assert all("Stage 'copy' is cached - skipping run" in said for said in repro())
    agree()
