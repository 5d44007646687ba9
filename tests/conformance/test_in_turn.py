"""One clone driven by DVC and nbexp in turn ends as one that DVC drove alone.

After every step both tools see the same table and the same status in the shared clone, and the stages
that ran, the files and the experiments are those of the clone that only DVC works in.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, Ran, RunGit
    from tests.conftest import MakePipelineProject

Read = Callable[[Path], list[str]]

_DATES = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}


@dataclass
class Turns:
    """`alone` is DVC's; in `shared` each step is done by the tool that is named."""

    alone: Path
    shared: Path
    look: Look
    ran: Read
    done: list[str] = field(default_factory=list)
    undo: int = 0

    def __call__(self, by: str, verb: str, *words: str) -> None:
        """One step in both clones, and the comparison."""
        __tracebackhide__ = True
        self.done.append(" ".join((by, verb, *words)))
        self._act("dvc", self.alone, verb, words)
        self._act(by, self.shared, verb, words)
        self.compare()

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        """An edit by hand, in both."""
        self.done.append(f"edit {path}")
        for top in (self.alone, self.shared):
            (top / path).write_text(change((top / path).read_text()))

    def delete(self, path: str) -> None:
        """An output deleted by hand, in both."""
        self.done.append(f"delete {path}")
        for top in (self.alone, self.shared):
            place = top / path
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)

    def commit(self, message: str) -> None:
        """What there is becomes the next baseline, in both."""
        self.done.append("commit")
        for top in (self.alone, self.shared):
            self.look.git("add", "--all", cwd=top)
            self.look.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=top, env=_DATES)

    def compare(self) -> None:
        __tracebackhide__ = True
        story = "\n".join(self.done)
        look, alone, shared = self.look, self.alone, self.shared
        assert self.ran(shared) == self.ran(alone), story
        assert look.recorded(shared) == look.recorded(alone), story
        assert look.files(shared) == look.files(alone), story
        assert look.changes(shared) == look.changes(alone), story
        expected = look.table(shared, "dvc")
        shown = {state["rev"] for state in expected}
        ours = [state for state in look.table(shared, "nbexp") if state["rev"] in shown]
        assert ours == expected, story
        status = look.status(shared, "dvc")
        assert look.status(shared, "nbexp") == status, story

    def end(self) -> None:
        """Everything else that is left behind."""
        __tracebackhide__ = True
        look, alone, shared = self.look, self.alone, self.shared
        assert look.refs(shared, "refs/heads").keys() == look.refs(alone, "refs/heads").keys()
        assert look.run_cache(shared) == look.run_cache(alone)
        theirs, ours = look.cache(alone), look.cache(shared)
        assert {name: ours[name] for name in theirs} == theirs
        # Undo points keep what was edited by hand.
        assert len(set(ours) - set(theirs)) <= self.undo
        look.git("fsck", "--strict", cwd=shared)
        assert look.git("stash", "list", cwd=shared) == ""

    def _act(self, by: str, top: Path, verb: str, words: Sequence[str]) -> Ran:
        if by == "dvc":
            in_exp = {"run", "apply", "remove", "branch", "rename", "push", "pull"}
            return self.look.dvc(*(["exp"] if verb in in_exp else []), verb, *words, cwd=top)
        # DVC records a run of nothing new once more and applies over edits; so does nbexp when told to.
        told = {"run": ["--new"], "apply": ["--force"]}.get(verb, [])
        return self.look.nbexp(verb, *words, *told, cwd=top)


@pytest.fixture
def turns(
    pipeline: MakePipelineProject, tmp_path: Path, look: Look, git: RunGit, ran: Read
) -> Turns:
    """A pipeline of three stages that note that they ran; its baseline is up to date."""
    top = pipeline("alone/project", stages=3)
    for name in ("prepare", "train"):
        script = top / f"{name}.sh"
        script.write_text(script.read_text() + f"echo {name} >> ../ran\n")
    pipeline_file = top / "dvc.yaml"
    pipeline_file.write_text(
        pipeline_file.read_text().replace("cmd: cp", "cmd: echo report >> ../ran; cp")
    )
    look.dvc("repro", "--quiet", cwd=top)
    git("add", "--all", cwd=top)
    git("commit", "--quiet", "--message=up to date", cwd=top, env=_DATES)
    assert ran(top) == ["prepare", "train", "report"]
    shared = tmp_path / "shared" / "project"
    shutil.copytree(top, shared, symlinks=True)
    return Turns(top, shared, look, ran)


def test_runs_applies_and_edits(turns: Turns) -> None:
    turns("nbexp", "run", "-S", "train.lr=0.01", "-n", "one")
    turns("dvc", "run", "-S", "train.lr=0.02", "-n", "two")
    turns("nbexp", "apply", "one")
    turns("dvc", "run", "-S", "train.epochs=4", "-n", "three")
    turns.edit("data/raw.csv", lambda text: text + "50,3\n")
    turns("nbexp", "run", "-n", "four")
    turns("dvc", "apply", "two")
    turns("nbexp", "run", "-n", "five")
    turns("nbexp", "remove", "three")
    turns("dvc", "branch", "one", "kept")
    turns.end()


def test_sharing_from_one_clone_by_either_tool(turns: Turns, git: RunGit) -> None:
    for top in (turns.alone, turns.shared):
        (top / ".dvc" / "config.local").write_text(
            "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
        )
        git("init", "--quiet", "--bare", top.parent / "bare.git", cwd=top)
        git("remote", "add", "origin", top.parent / "bare.git", cwd=top)
    turns("dvc", "run", "-S", "train.lr=0.01", "-n", "one")
    turns("nbexp", "run", "-S", "train.lr=0.02", "-n", "two")
    turns("nbexp", "push", "origin", "one")
    turns("dvc", "push", "origin", "two")
    turns("nbexp", "remove", "one", "two")
    turns("dvc", "pull", "origin", "one")
    turns("nbexp", "pull", "origin", "-A")
    turns("nbexp", "apply", "one")
    turns("nbexp", "rename", "one", "kept")
    turns("dvc", "push", "origin")
    turns("nbexp", "remove", "-g", "origin", "one")
    turns("dvc", "rename", "kept", "again")
    turns("nbexp", "push", "--force", "origin", "again")
    stores = [
        {path.name for path in (top.parent / "store").rglob("*") if path.is_file()}
        for top in (turns.alone, turns.shared)
    ]
    assert stores[0] == stores[1]
    shared = [
        sorted(
            ref.rpartition("/")[2] for ref in turns.look.refs(top.parent / "bare.git", "refs/exps")
        )
        for top in (turns.alone, turns.shared)
    ]
    assert shared[0] == shared[1] == ["again", "kept", "two"]
    turns.end()


def test_new_baselines_failures_and_deleted_outputs(turns: Turns) -> None:
    turns("dvc", "run", "-S", "prepare.rows=5", "-n", "one")
    turns.commit("one")
    turns("nbexp", "run", "-S", "prepare.rows=20", "-n", "two")
    turns.delete("prepared")
    turns("nbexp", "run", "-S", "train.lr=0.3", "-n", "three")
    turns.delete("model.txt")
    turns("dvc", "run", "-S", "train.lr=0.4", "-n", "four")
    turns.edit("train.sh", lambda text: text.replace("set -eu", "set -eu\n# edited"))
    turns("nbexp", "repro")
    turns("nbexp", "run", "-n", "five")
    turns.commit("five")
    turns("nbexp", "run", "-f", "-n", "six")
    turns("dvc", "run", "-f", "-n", "seven")
    turns.end()


def test_a_run_that_is_recorded_is_not_recorded_again(turns: Turns, look: Look, ran: Read) -> None:
    """Difference 2: what the other tool ran counts as well, and nothing runs."""
    top = turns.shared
    look.dvc("exp", "run", "-S", "train.lr=0.01", "-n", "one", cwd=top)
    look.dvc("exp", "run", "-S", "train.lr=0.02", "-n", "two", cwd=top)
    assert ran(top) == ["train", "report"] * 2
    after_two, before = look.files(top), look.experiments(top)
    look.nbexp("run", "-S", "train.lr=0.01", cwd=top)
    again = look.nbexp("run", "-S", "train.lr=0.02", cwd=top)
    assert again.stdout.startswith("identical to two ")
    assert ran(top) == []
    assert look.experiments(top) == before
    assert look.files(top) == after_two
    assert look.status(top, "dvc") == look.status(top, "nbexp") == {}
    look.dvc("exp", "run", "-n", "three", cwd=top)
    assert ran(top) == []


@pytest.mark.parametrize("seed", [1])
def test_a_random_sequence(turns: Turns, seed: int) -> None:
    """About 25 steps, each by either tool; the seed makes it the same every time."""
    chance = random.Random(seed)
    names: list[str] = []
    turns.undo = 12
    for number in range(25):
        by = chance.choice(["dvc", "nbexp"])
        verb = chance.choices(
            ["run", "set", "apply", "remove", "repro", "branch", "edit", "delete", "commit"],
            [2, 6, 4, 2, 2, 1, 4, 2, 1],
        )[0]
        if verb in {"apply", "remove", "branch"} and not names:
            verb = "set"
        name = f"exp-{number}-x"
        if verb == "run":
            turns(by, "run", "-n", name)
            names.append(name)
        elif verb == "set":
            # Few values, so that many runs come from the run cache.
            value = chance.choice(
                [
                    "train.lr=0.1",
                    "train.lr=0.2",
                    "train.epochs=2",
                    "train.epochs=3",
                    "prepare.rows=9",
                ]
            )
            turns(by, "run", "-S", value, "-n", name)
            names.append(name)
        elif verb == "repro":
            turns(by, "repro")
        elif verb == "edit":
            path = chance.choice(["data/raw.csv", "train.sh", "params.yaml", "README.md"])
            line = {"data/raw.csv": f"{number},1\n"}.get(path, f"# {chance.randrange(3)}\n")
            turns.edit(path, lambda text, line=line: text + line)  # type: ignore[misc]
        elif verb == "delete":
            turns.delete(chance.choice(["prepared", "model.txt", "report-1.txt"]))
        elif verb == "commit":
            turns.commit(f"step {number}")
            names.clear()
        elif verb == "branch":
            turns(by, "branch", chance.choice(names), f"branch-{number}")
        elif verb == "remove":
            name = names.pop(chance.randrange(len(names)))
            turns(by, "remove", name)
        else:
            turns(by, "apply", chance.choice(names))
    turns.end()
