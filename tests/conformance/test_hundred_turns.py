"""A hundred operations on one clone, each by the other tool than the one before (G-U04).

Beside it goes a clone in which DVC does everything. After each step both have the same experiments, trees, files, cache
objects and state to Git, and both tools say the same `status` of the shared one; the tables are compared every ten
steps, and at the end the objects' bytes are those their names say. A seed makes a sequence the same every time; `-k
short` runs a tenth of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import Look, Recorded
from tests.conftest import DVC_PROGRAMS

if TYPE_CHECKING:
    from tests.conformance.conftest import Ran, RunGit, RunProgram
    from tests.conftest import MakePipelineProject

_DATES = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}

# Real DVC, loaded once and forked for each command: two thirds of what a command takes is to load it.
_SERVER = """
import json, os, sys
from dvc.cli.parser import get_main_parser
get_main_parser()
import dvc.repo, dvc.repo.experiments, dvc.repo.experiments.queue.celery, dvc.repo.reproduce, dvc.repo.status
import dvc.repo.experiments.executor.local, dvc.repo.experiments.show, dvc.utils.hydra, dvc.utils.serialize
import dvc_data.index, dulwich.porcelain, pygit2, omegaconf, networkx
from dvc.cli import main
for line in sys.stdin:
    words, cwd, env, out, err = json.loads(line)
    child = os.fork()
    if not child:
        code = 1
        try:
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(env)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(os.open(out, os.O_WRONLY), 1)
            os.dup2(os.open(err, os.O_WRONLY), 2)
            code = main(words)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Dvc:
    """Real DVC, called as the fixture `dvc` is."""

    def __init__(self, folder: Path) -> None:
        self._out, self._err = folder / "out", folder / "err"
        self._process = subprocess.Popen(
            [DVC_PROGRAMS / "python", "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        code: int | None = 0,
        stdin: str | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> Ran:
        __tracebackhide__ = True
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for file in (self._out, self._err):
            file.write_bytes(b"")
        path = os.pathsep.join((str(DVC_PROGRAMS), os.environ["PATH"]))
        request = [
            list(map(str, arguments)),
            str(cwd),
            {**os.environ, "PATH": path},
            str(self._out),
            str(self._err),
        ]
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ended = int(self._process.stdout.readline())
        out, err = self._out.read_text(), self._err.read_text()
        if code is not None and ended != code:
            pytest.fail(f"`dvc {' '.join(map(str, arguments))}` ended with {ended}.\n{out}\n{err}")
        return subprocess.CompletedProcess(list(map(str, arguments)), ended, out, err)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


@dataclass
class Turns:
    """`alone` is DVC's; in `shared` each step is done by the tool whose turn it is."""

    alone: Path
    shared: Path
    look: Look
    done: list[str] = field(default_factory=list)

    @property
    def both(self) -> tuple[Path, Path]:
        return self.alone, self.shared

    def act(self, by: str, *words: str) -> None:
        """A step, as it is typed after `nbexp`, in both clones."""
        __tracebackhide__ = True
        self.done.append(" ".join((by, *words)))
        self._act("dvc", self.alone, words)
        self._act(by, self.shared, words)

    def by_dvc(self, *words: str) -> None:
        """What only DVC does, in both."""
        self.done.append(" ".join(("dvc", *words)))
        for top in self.both:
            self.look.dvc(*words, cwd=top)

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        self.done.append(f"edit {path}")
        for top in self.both:
            text = (top / path).read_text()
            (top / path).unlink()  # DVC's links to the cache may not be written to
            (top / path).write_text(change(text))

    def commit(self, message: str) -> None:
        self.done.append("commit")
        for top in self.both:
            self.look.git("add", "--all", cwd=top)
            self.look.git("commit", "--quiet", "--allow-empty", "-m", message, cwd=top, env=_DATES)

    def compare(self, *, table: bool) -> None:
        """Fail unless the shared clone is as the other one, and both tools see it in the same way."""
        __tracebackhide__ = True
        story = "\n".join(self.done)
        look, alone, shared = self.look, self.alone, self.shared
        assert _without_pickle(look.recorded(shared)) == _without_pickle(look.recorded(alone)), (
            story
        )
        assert look.files(shared) == look.files(alone), story
        assert look.changes(shared) == look.changes(alone), story
        theirs, ours = look.cache(alone), look.cache(shared)
        assert theirs.keys() - ours.keys() == set(), story
        assert look.run_cache(shared) == look.run_cache(alone), story
        assert look.status(shared, "nbexp") == look.status(shared, "dvc"), story
        if table:
            expected = look.table(shared, "dvc")
            shown = {state["rev"] for state in expected}
            ours_shown = [one for one in look.table(shared, "nbexp") if one["rev"] in shown]
            assert ours_shown == expected, story

    def end(self) -> None:
        """What else is left behind: branches, both remotes, objects whose bytes are what their names say."""
        __tracebackhide__ = True
        look = self.look
        story = "\n".join(self.done)
        theirs, ours = (look.refs(top, "refs/heads").keys() for top in self.both)
        assert ours == theirs, story
        there = [
            sorted(
                ref.rpartition("/")[2] for ref in look.refs(top.parent / "bare.git", "refs/exps")
            )
            for top in self.both
        ]
        assert there[1] == there[0], story
        stores = [
            {path.name for path in (top.parent / "store").rglob("*") if path.is_file()}
            for top in self.both
        ]
        assert stores[1] == stores[0], story
        for folder in (self.shared / ".dvc/cache/files/md5", self.shared.parent / "store"):
            for path in folder.rglob("*"):
                if path.is_file() and "runs" not in path.parts:
                    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
                    assert path.parent.name + path.name.removesuffix(".dir") == digest
        look.git("fsck", "--strict", cwd=self.shared)
        assert look.git("stash", "list", cwd=self.shared) == ""

    def _act(self, by: str, top: Path, words: Sequence[str]) -> None:
        verb, *rest = words
        if by == "dvc":
            if verb == "data":
                self.look.dvc(*rest, cwd=top)
            else:
                in_exp = verb != "repro"
                self.look.dvc(*(["exp"] if in_exp else []), verb, *rest, cwd=top)
            return
        # DVC records a run of nothing new once more and goes over edits; so does nbexp when told to.
        told = {"run": ["--new"], "apply": ["--force"]}.get(verb, [])
        if words[:2] == ("data", "checkout"):
            told = ["--force"]
        self.look.nbexp(*words, *told, cwd=top)


def _without_pickle(recorded: Mapping[str, Recorded]) -> dict[str, Any]:
    """The experiments without `.dvc/tmp/repro.dat`, which `dvc exp save` commits by mistake."""
    return {
        name: (
            one.parents,
            one.author,
            one.message,
            {path: entry for path, entry in one.tree.items() if path != ".dvc/tmp/repro.dat"},
        )
        for name, one in recorded.items()
    }


@pytest.fixture
def turns(
    pipeline: MakePipelineProject, tmp_path: Path, nbexp_cli: RunProgram, git: RunGit
) -> Iterator[Turns]:
    """A pipeline and tracked data, up to date and committed, with a Git remote and a folder for data."""
    dvc = Dvc(tmp_path)
    top = pipeline("alone/project", stages=3)
    (top / "extra.csv").write_text("a,b\n1,2\n")
    (top / "parts").mkdir()
    for number in range(3):
        (top / "parts" / f"{number}.txt").write_text(f"part {number}\n")
    for words in (("add", "--quiet", "extra.csv", "parts"), ("repro", "--quiet")):
        dvc(*words, cwd=top)
    config = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
    (top / ".dvc" / "config").write_text(config)
    git("add", "--all", cwd=top)
    git("commit", "--quiet", "--message=up to date", cwd=top, env=_DATES)
    shared = tmp_path / "shared" / "project"
    shutil.copytree(top, shared, symlinks=True)
    for one in (top, shared):
        git("init", "--quiet", "--bare", one.parent / "bare.git", cwd=one)
        git("remote", "add", "origin", one.parent / "bare.git", cwd=one)
    yield Turns(top, shared, Look(git, dvc, nbexp_cli))
    dvc.close()


class Story:
    """Picks the operations; what can be done next depends on what there is."""

    WEIGHTS: Mapping[str, int] = {
        "set": 14, "run": 6, "repro": 5, "apply": 8, "save": 5, "branch": 3, "remove": 5, "rename": 4, "push": 4,
        "pull": 3, "edit": 8, "data add": 4, "data commit": 3, "data checkout": 4, "data push": 3, "commit": 2, "queue": 2,
    }  # fmt: skip
    # Few values, so that many runs come from the run cache.
    VALUES = ("train.lr=0.1", "train.lr=0.2", "train.epochs=2", "train.epochs=3", "prepare.rows=9")

    def __init__(self, turns: Turns, seed: int) -> None:
        self.turns = turns
        self.chance = random.Random(seed)
        self.names: list[str] = []
        self.pushed: list[str] = []
        self.count = 0

    def step(self, by: str) -> None:
        self.count += 1
        verb = self.chance.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
        needs_one = {"apply", "branch", "remove", "rename", "push"}
        if (verb in needs_one and not self.names) or (verb == "pull" and not self.pushed):
            verb = "set"
        getattr(self, f"_{verb.replace(' ', '_')}")(by)

    def _new(self) -> str:
        self.names.append(f"exp-{self.count}-x")
        return self.names[-1]

    def _one(self) -> str:
        return self.chance.choice(self.names)

    def _set(self, by: str) -> None:
        self.turns.act(by, "run", "-S", self.chance.choice(self.VALUES), "-n", self._new())

    def _run(self, by: str) -> None:
        self.turns.act(by, "run", "-n", self._new())

    def _repro(self, by: str) -> None:
        self.turns.act(by, "repro")

    def _apply(self, by: str) -> None:
        self.turns.act(by, "apply", self._one())

    def _save(self, by: str) -> None:
        self.turns.act(by, "save", "-m", f"step {self.count}", "-n", self._new())

    def _branch(self, by: str) -> None:
        self.turns.act(by, "branch", self._one(), f"branch-{self.count}")

    def _remove(self, by: str) -> None:
        name = self.names.pop(self.chance.randrange(len(self.names)))
        self.turns.act(by, "remove", name)

    def _rename(self, by: str) -> None:
        at = self.chance.randrange(len(self.names))
        old, self.names[at] = self.names[at], f"new-{self.count}-x"
        self.turns.act(by, "rename", old, self.names[at])

    def _push(self, by: str) -> None:
        name = self._one()
        if name not in self.pushed:
            self.pushed.append(name)
            self.turns.act(by, "push", "origin", name)
        else:
            self.turns.act(by, "data", "push")

    def _pull(self, by: str) -> None:
        name = self.chance.choice(self.pushed)
        self.turns.act(by, "pull", "origin", name)
        if name not in self.names:
            self.names.append(name)

    def _edit(self, by: str) -> None:
        path = self.chance.choice(
            ["data/raw.csv", "train.sh", "extra.csv", "README.md", "parts/1.txt"]
        )
        line = (
            f"# {self.chance.randrange(3)}\n"
            if path.endswith(("sh", "md"))
            else f"{self.count},1\n"
        )
        self.turns.edit(path, lambda text: text + line)

    def _data_add(self, by: str) -> None:
        self.turns.act(by, "data", "add", self.chance.choice(["extra.csv", "parts"]))

    def _data_commit(self, by: str) -> None:
        self.turns.act(by, "data", "commit", "-f")

    def _data_checkout(self, by: str) -> None:
        self.turns.act(
            by, "data", "checkout", self.chance.choice(["extra.csv.dvc", "parts.dvc"]), "-f"
        )

    def _data_push(self, by: str) -> None:
        self.turns.act(by, "data", "push")

    def _commit(self, by: str) -> None:
        self.turns.commit(f"step {self.count}")
        self.names.clear()
        self.pushed.clear()

    def _queue(self, by: str) -> None:
        """DVC's own queue, which nbexp lists and leaves alone."""
        name = f"queued-{self.count}-x"
        self.turns.by_dvc("exp", "run", "--queue", "-S", "train.lr=0.7", "-n", name)
        assert name in self.turns.look.nbexp("show", "--json", cwd=self.turns.shared).stdout
        self.turns.by_dvc("queue", "remove", "--all")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("seed", "steps"), [pytest.param(2, 10, id="short"), pytest.param(1, 100, id="hundred")]
)
def test_both_tools_in_turn_on_one_clone_end_as_dvc_alone(
    turns: Turns, seed: int, steps: int
) -> None:
    story = Story(turns, seed)
    for number in range(steps):
        story.step(("nbexp", "dvc")[number % 2])
        turns.compare(table=number % 10 == 9)
    turns.end()
    assert sum(line.startswith("nbexp") for line in turns.done) >= steps // 4
