"""Sharing as in product 4.3: cell 30 in one kernel, a colleague's cells in another on a clone, and one who has DVC alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.journeys.test_first_minutes import Answer, Kernel

if TYPE_CHECKING:
    from tests.conftest import MakePipelineProject, Program, RunGit


@pytest.fixture
def kernel() -> Iterator[Callable[[Path], Kernel]]:
    started: list[Kernel] = []

    def begin(folder: Path) -> Kernel:
        started.append(Kernel(folder))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


def said(answer: Answer) -> str:
    assert answer.status == "ok", answer.error
    return answer.text


def test_what_one_records_a_colleague_goes_on_with(
    pipeline_project: MakePipelineProject,
    tmp_path: Path,
    git: RunGit,
    dvc: Program,
    kernel: Callable[[Path], Kernel],
) -> None:
    mine = pipeline_project("mine")
    git("init", "--quiet", "--bare", "--initial-branch=main", tmp_path / "bare.git", cwd=tmp_path)
    git("remote", "add", "origin", f"file://{tmp_path / 'bare.git'}", cwd=mine)
    (mine / ".dvc" / "config").write_text(
        f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'store'}\n"
    )
    git("commit", "--quiet", "--all", "--message=where data is", cwd=mine)
    git("push", "--quiet", "origin", "main", cwd=mine)

    first = kernel(mine)
    first.run("%load_ext nbexp\n%exp run -S train.lr=0.01 -n fond-lynx;")
    first.run("%exp run -S train.lr=0.03 -n mauve-pike;")
    pushed = first.run("%exp push")
    assert said(pushed) == (
        "pushed mauve-pike to origin (1 ref, 4 files, 380 bytes)   not pushed: 1 local experiment\n"
        "your colleague runs:   %exp pull mauve-pike      or   dvc exp pull origin mauve-pike"
    )
    assert pushed.html.tables[0] == [["experiment", "origin"], ["mauve-pike", "new there"]]
    line = pushed.html.tables[1][0][1]

    git("clone", "--quiet", f"file://{tmp_path / 'bare.git'}", tmp_path / "theirs", cwd=tmp_path)
    theirs = tmp_path / "theirs"
    second = kernel(theirs)
    second.run("%load_ext nbexp")
    assert said(second.run("%exp ls origin")).splitlines()[1].endswith("[mauve-pike]")
    assert said(second.run(line)) == (
        "pulled mauve-pike from origin (1 ref, 4 files, 380 bytes)\n"
        "bring it into the workspace: %exp apply mauve-pike"
    )
    assert said(second.run("%exp apply mauve-pike")).startswith("applied mauve-pike: ")
    assert "mauve-pike" in said(second.run("%exp show"))
    ran = second.run("%exp run -S train.epochs=20 -n further")
    # What the colleague's run did upstream is not done again.
    assert "prepare unchanged, train ran" in said(ran)
    branched = said(second.run("%exp branch mauve-pike better-lr")).splitlines()
    assert branched[1:] == ["share:  git push -u origin better-lr"]
    git("push", "--quiet", "-u", "origin", "better-lr", cwd=theirs)
    assert said(second.run("%exp push further")).startswith("pushed further to origin")

    # One who does not have nbexp.
    shutil.rmtree(tmp_path / "store" / "runs", ignore_errors=True)
    git("clone", "--quiet", f"file://{tmp_path / 'bare.git'}", tmp_path / "dvc-only", cwd=tmp_path)
    other = tmp_path / "dvc-only"
    for name in ("mauve-pike", "further"):
        dvc("exp", "pull", "origin", name, cwd=other)
        dvc("exp", "apply", name, cwd=other)
        assert dvc("status", cwd=other).stdout == "Data and pipelines are up to date.\n"
    assert (other / "model.txt").read_bytes() == (theirs / "model.txt").read_bytes()

    # And back to the first.
    assert said(first.run("%exp pull further")).startswith(
        "pulled further from origin (1 ref, 1 file,"
    )
    first.run("%exp apply further")
    assert (mine / "model.txt").read_bytes() == (theirs / "model.txt").read_bytes()
