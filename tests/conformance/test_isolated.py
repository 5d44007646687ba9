"""`run --temp` beside `dvc exp run --temp`: the same experiment, and the workspace as it was under both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conformance.conftest import differences, without_new_ignores

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, Ran, Twins
    from tests.conftest import MakePipelineProject

LOOKING = {
    "dvc.yaml": "stages:\n  look:\n    cmd: ls -A | grep -v -e .git -e seen.txt > seen.txt\n    params: [seed]\n"
    "    outs: [{seen.txt: {cache: false}}]\n",
    "params.yaml": "seed: 0\n",
    ".gitignore": "*.log\n",
    "tracked.txt": "tracked\n",
}


def unfinished_work(pair: Twins) -> None:
    """Every kind of file that is not in the last commit."""
    pair.write("ign.log", "ignored\n")
    pair.write("untracked.txt", "untracked\n")
    pair.write("staged.txt", "staged\n")
    pair.git("add", "staged.txt")
    pair.write("tracked.txt", "edited\n")


def agree_on_experiments(pair: Twins) -> dict[str, dict[str, tuple[str, str]]]:
    """The same refs, trees, messages and parents; the trees by name."""
    theirs, ours = map(pair.look.recorded, pair.sides)
    assert sorted(ours) == sorted(theirs)
    found = {}
    for name, one in ours.items():
        bare = without_new_ignores(one, pair.look.tree(pair.nbexp_side, one.parents[0]))
        assert differences(theirs[name].tree, bare.tree) == {}, name
        assert bare == theirs[name], name
        found[name.rpartition("/")[2]] = one.tree
    return found


def test_a_run_beside_the_workspace_is_the_same_experiment(
    twins: MakeTwins, pipeline: MakePipelineProject, lines: Callable[[Ran], list[str]]
) -> None:
    """Edits, other params and a message; and in place the same request ends differently."""
    pair = twins(pipeline())
    pair.replace("train.sh", "set -eu", "set -eu\n# edited")
    before = pair.look.files(pair.nbexp_side)
    theirs, ours = pair.run(
        "--temp", "-S", "train.lr=0.01", "-S", "prepare.rows=10", "-n", "low", "-m", "low lr"
    )
    assert "Ran experiment(s): low" in theirs.stdout
    assert "Ran experiment(s): low\n" in ours.stdout
    assert pair.look.files(pair.nbexp_side) == before
    assert pair.look.files(pair.dvc_side) == before
    pair.agree()
    pair.run("-S", "train.lr=0.02", "-n", "here")
    pair.agree()
    assert pair.look.files(pair.nbexp_side) != before


def test_ignored_and_untracked_files_stay_out_and_added_ones_come_along(
    twins: MakeTwins, project: MakeProject
) -> None:
    """Q011, Q012. In place, every file is seen."""
    pair = twins(project(LOOKING))
    unfinished_work(pair)
    pair.run("--temp", "-n", "beside")
    tree = agree_on_experiments(pair)["beside"]
    assert {"staged.txt", "tracked.txt", "seen.txt"} <= tree.keys()
    assert not {"ign.log", "untracked.txt"} & tree.keys()
    for side in pair.sides:
        (rev,) = pair.look.experiments(side).values()
        seen = pair.look.git("show", f"{rev}:seen.txt", cwd=side).split()
        assert "staged.txt" in seen
        assert not {"ign.log", "untracked.txt"} & {*seen}
        pair.look.git("reset", "--quiet", cwd=side)
        assert "?? staged.txt" in pair.look.git("status", "--porcelain", cwd=side).splitlines()
    pair.run("-S", "seed=1", "-n", "here")
    for side in pair.sides:
        assert {"ign.log", "untracked.txt"} <= {*(side / "seen.txt").read_text().split()}


COPYING = {
    "dvc.yaml": "stages:\n  copy:\n    cmd: cat secret.log extra/* > seen.txt\n    params: [seed]\n"
    "    outs: [{seen.txt: {cache: false}}]\n",
    "params.yaml": "seed: 0\n",
    ".gitignore": "*.log\n",
}


@pytest.mark.parametrize("spelling", ["-C", "--copy-paths"])
def test_copied_paths(spelling: str, twins: MakeTwins, project: MakeProject) -> None:
    """With them the run comes to its end and no experiment holds them; without, it fails under both tools."""
    pair = twins(project(COPYING))
    pair.write("secret.log", "secret\n")
    pair.write("extra/a.txt", "a\n")
    theirs, ours = pair.run("--temp", "-n", "without", code=1)
    assert theirs.returncode == 255
    assert pair.look.experiments(pair.nbexp_side) == {}
    pair.run("--temp", spelling, "secret.log", spelling, "extra", "-n", "with")
    tree = agree_on_experiments(pair)["with"]
    assert not {"secret.log", "extra/a.txt"} & tree.keys()
    for side in pair.sides:
        (rev,) = pair.look.experiments(side).values()
        assert pair.look.git("show", f"{rev}:seen.txt", cwd=side) == "secret\na"
    assert ours.returncode == 1


def test_copied_paths_of_a_run_in_place_are_nothing(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(project(COPYING))
    pair.write("secret.log", "secret\n")
    pair.write("extra/a.txt", "a\n")
    pair.run("-C", "extra", "-n", "here")
    agree_on_experiments(pair)


def test_a_run_beside_the_workspace_that_fails(
    twins: MakeTwins, pipeline: MakePipelineProject
) -> None:
    pair = twins(pipeline())
    pair.write("train.sh", "exit 3\n")
    before = pair.look.files(pair.nbexp_side)
    pair.run("--temp", code=1)
    assert pair.look.files(pair.nbexp_side) == pair.look.files(pair.dvc_side) == before
    assert pair.look.experiments(pair.nbexp_side) == pair.look.experiments(pair.dvc_side) == {}


def test_each_takes_up_what_the_other_ran_beside_the_workspace(
    twins: MakeTwins, pipeline: MakePipelineProject, ran: Callable[[Path], list[str]]
) -> None:
    pair = twins(pipeline())
    side = pair.nbexp_side
    pair.look.nbexp("run", "--temp", "-n", "ours", "-S", "train.lr=0.01", cwd=side)
    pair.look.dvc("exp", "apply", "ours", cwd=side)
    assert pair.look.status(side, "dvc") == {}
    assert "didn't change, skipping" in pair.look.dvc("repro", cwd=side).stdout
    pair.look.git("stash", "--quiet", "--include-untracked", cwd=side)
    pair.look.dvc("exp", "run", "--temp", "-n", "theirs", "-S", "train.lr=0.02", cwd=side)
    pair.look.nbexp("apply", "theirs", cwd=side)
    assert pair.look.status(side, "nbexp") == {}
    told = pair.look.nbexp("run", "--temp", "-S", "train.lr=0.02", cwd=side).stdout
    assert "identical to theirs" in told


def test_clean_leaves_experiments_and_workspace_alone(
    twins: MakeTwins, pipeline: MakePipelineProject, look: Look
) -> None:
    """`dvc exp clean` removes its own leftovers, `nbexp clean` those of nbexp; without it they stay."""
    pair = twins(pipeline())
    pair.run("--temp", "-n", "first")
    pool = pair.nbexp_side / ".dvc" / "tmp" / "nbexp" / "wt"
    assert [path.name for path in pool.iterdir()] == ["temp-0"]
    before = [pair.look.recorded(side) for side in pair.sides]
    pair.look.dvc("exp", "clean", cwd=pair.dvc_side)
    pair.look.nbexp("clean", cwd=pair.nbexp_side)
    assert list(pool.iterdir()) == []
    assert [pair.look.recorded(side) for side in pair.sides] == before
    pair.agree()
    pair.run("--temp", "-S", "train.lr=0.01", "-n", "second")
    pair.agree()
