"""The same steps under real DVC and under nbexp, on two copies of one project.

twins       `pair = twins(project)`: two copies; `pair.run("-n", "one")` is `dvc exp run -n one` in the
            one and `nbexp run -n one` in the other; `pair.agree()` compares all that both left
ran         `ran(root)`: which stages have run so far below `root`, from a file beside the project
commit      `git add --all` and `git commit` with a fixed time, so that copies get equal commits
isolated    what nbexp must leave alone in a repository: HEAD, index, branches, stashes, reflogs
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.conftest import DVC_PROGRAMS, Program

Ran = subprocess.CompletedProcess[str]

# The commit time of everything that tests commit: two copies then have the same commits.
_DATES = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}

# How the scripted stages say that they ran: one word a line in a file beside the project.
RAN = "ran"


class RunProgram(Protocol):
    """See `Program` in tests/conftest.py."""

    def __call__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        code: int | None = 0,
        stdin: str | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> Ran: ...


class RunGit(Protocol):
    """See `git` in tests/conftest.py."""

    def __call__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        code: int | None = 0,
        stdin: str | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> str: ...


# --- What can be said of one project ------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    """An experiment as Git has it, but for its time."""

    parents: tuple[str, ...]
    author: str
    message: str
    tree: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Look:
    """Reads what a project holds; nothing is changed."""

    git: RunGit
    dvc: RunProgram
    nbexp: RunProgram

    def refs(self, root: Path, *prefixes: str) -> dict[str, str]:
        """Refs by name, with what they point to."""
        listed = self.git("for-each-ref", "--format=%(refname) %(objectname)", *prefixes, cwd=root)
        return dict(line.split(" ") for line in listed.splitlines())

    def experiments(self, root: Path) -> dict[str, str]:
        """The refs of experiments by `<baseline>/<name>`, with their commits."""
        own = ("refs/exps/exec/", "refs/exps/apply/", "refs/exps/stash", "refs/exps/celery/")
        return {
            ref.removeprefix("refs/exps/"): rev
            for ref, rev in self.refs(root, "refs/exps").items()
            if not ref.startswith(own)
        }

    def recorded(self, root: Path) -> dict[str, Recorded]:
        """Every experiment by `<baseline>/<name>`."""
        return {name: self.commit(root, rev) for name, rev in self.experiments(root).items()}

    def commit(self, root: Path, rev: str) -> Recorded:
        shown = self.git(
            "show", "--no-patch", "--format=%P%n%an <%ae> %cn <%ce>%n%B", rev, cwd=root
        )
        parents, author, message = shown.split("\n", 2)
        return Recorded(tuple(parents.split()), author, message.rstrip("\n"), self.tree(root, rev))

    def tree(self, root: Path, rev: str) -> dict[str, tuple[str, str]]:
        """Mode and blob of each path of a commit."""
        found = {}
        for line in self.git("ls-tree", "-r", "-z", rev, cwd=root).split("\0"):
            if line:
                entry, path = line.split("\t", 1)
                mode, _, oid = entry.split(" ")
                found[path] = (mode, oid)
        return found

    def files(self, root: Path) -> dict[str, tuple[int, str]]:
        """Mode and content of each file of the work tree; of a link where it leads to.

        The mode is what the owner may do: DVC takes rights of others away from programs.
        """
        found = {}
        for folder, folders, names in os.walk(root):
            place = Path(folder)
            if place == root:
                folders.remove(".git")
            if place.name == ".dvc":
                folders[:] = [name for name in folders if name not in {"tmp", "cache"}]
            for name in (*names, *(f for f in folders if (place / f).is_symlink())):
                path = place / name
                mode = stat.S_IMODE(path.lstat().st_mode) & 0o700
                if path.is_symlink():
                    content = f"-> {os.readlink(path)}".replace(str(root), "ROOT")
                else:
                    content = path.read_bytes().decode("utf-8", "backslashreplace")
                found[path.relative_to(root).as_posix()] = (mode, content)
        return found

    def cache(self, root: Path) -> dict[str, int]:
        """The objects of the cache, which are named by their content, with their modes."""
        folder = root / ".dvc" / "cache" / "files"
        return {
            path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def run_cache(self, root: Path) -> dict[str, tuple[int, str]]:
        """The entries of the run cache: name, mode and content."""
        folder = root / ".dvc" / "cache" / "runs"
        return {
            path.relative_to(folder).as_posix(): (
                stat.S_IMODE(path.stat().st_mode),
                path.read_text(),
            )
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def changes(self, root: Path) -> list[str]:
        """`git status`, whether or not a change is staged."""
        asked = ("status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
        listed = [line for line in self.git(*asked, cwd=root).split("\0") if line]
        # DVC loses what was staged: a new file is untracked after its run.
        words = {"?": "new", "A": "new", "M": "modified", "D": "deleted", "T": "type"}
        return sorted(
            f"{'new' if line[0] == 'A' else words[line[:2].strip()[-1]]} {line[3:]}"
            for line in listed
        )

    def status(self, root: Path, by: str, cwd: Path | None = None) -> Any:
        """`status --json` of `by`, which is "dvc" or "nbexp"."""
        program = self.dvc if by == "dvc" else self.nbexp
        return json.loads(program("status", "--json", cwd=cwd or root).stdout)

    def table(self, root: Path, by: str) -> list[Any]:
        """`show --json`; the order of experiments made in one second is no property of either tool."""
        words = ("exp", "show", "--json") if by == "dvc" else ("show", "--json")
        states = json.loads((self.dvc if by == "dvc" else self.nbexp)(*words, cwd=root).stdout)
        _drop_messages(states)
        for state in states:
            (state["experiments"] or []).sort(key=lambda one: one["name"])
        return list(states)


def _drop_messages(found: Any) -> None:
    """Take out the texts of errors, which are for people; their types stay."""
    if isinstance(found, dict):
        if "error" in found and isinstance(found["error"], dict):
            del found["error"]["msg"]
        for inner in found.values():
            _drop_messages(inner)
    elif isinstance(found, list):
        for inner in found:
            _drop_messages(inner)


def covered(known: Any, found: Any) -> Any:
    """`found` without the keys that `known` does not have: nbexp may add keys to DVC's JSON."""
    if isinstance(known, dict) and isinstance(found, dict):
        return {key: covered(known.get(key), value) for key, value in found.items() if key in known}
    if isinstance(known, list) and isinstance(found, list) and len(known) == len(found):
        return [covered(one, other) for one, other in zip(known, found, strict=True)]
    return found


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What DVC and nbexp have under each name for which that is not the same."""
    return {
        name: (theirs.get(name), ours.get(name))
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    }


def without_new_ignores(one: Recorded, baseline: Mapping[str, object]) -> Recorded:
    """The experiment without the ignore files that nbexp records and DVC leaves out.

    That is difference 11 of the differences from DVC.
    """
    tree = {
        path: entry
        for path, entry in one.tree.items()
        if not (path.endswith(".gitignore") and path not in baseline)
    }
    return Recorded(one.parents, one.author, one.message, tree)


# --- Two copies ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Twins:
    """Two copies of one project: `dvc_side` is driven by DVC, `nbexp_side` by nbexp."""

    dvc_side: Path
    nbexp_side: Path
    look: Look

    @property
    def sides(self) -> tuple[Path, Path]:
        return self.dvc_side, self.nbexp_side

    def run(self, *words: str, code: int = 0, cwd: str = ".", by: str = "both") -> tuple[Ran, Ran]:
        """`dvc exp run WORDS` and `nbexp run WORDS`; `code` is nbexp's exit code (DVC's is 255 then)."""
        theirs = self.look.dvc(
            "exp", "run", *words, cwd=self.dvc_side / cwd, code=255 if code else 0
        )
        return theirs, self.look.nbexp("run", *words, cwd=self.nbexp_side / cwd, code=code)

    def write(self, path: str, text: str | bytes, *, mode: int | None = None) -> None:
        """Write a file in both."""
        for side in self.sides:
            write(side, {path: text})
            if mode is not None:
                (side / path).chmod(mode)

    def replace(self, path: str, old: str, new: str) -> None:
        """Edit a file in both."""
        for side in self.sides:
            text = (side / path).read_text()
            assert old in text
            (side / path).write_text(text.replace(old, new))

    def delete(self, *paths: str) -> None:
        """Delete files and folders in both."""
        for side in self.sides:
            for path in paths:
                place = side / path
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                else:
                    place.unlink()

    def git(self, *words: str) -> None:
        """The same Git command in both, its commits at a fixed time."""
        for side in self.sides:
            self.look.git(*words, cwd=side, env=_DATES)

    def agree(self, *, undo: int = 0) -> None:
        """Fail unless both sides hold the same and each tool reads it in the same way.

        `undo` is the number of objects in nbexp's cache that only its undo points need.
        """
        __tracebackhide__ = True
        self.agree_on_refs()
        self.agree_on_files()
        self.agree_on_cache(undo=undo)
        self.agree_on_status()
        self.agree_on_table()

    def agree_on_refs(self) -> None:
        """The same experiments: parents, trees, messages, authors; and the same branches."""
        __tracebackhide__ = True
        theirs, ours = map(self.look.recorded, self.sides)
        assert sorted(ours) == sorted(theirs)
        for name, one in ours.items():
            baseline = self.look.tree(self.nbexp_side, one.parents[0])
            ours_bare = without_new_ignores(one, baseline)
            assert differences(theirs[name].tree, ours_bare.tree) == {}, name
            assert ours_bare == theirs[name], name
        kinds = ("refs/heads", "refs/tags", "refs/stash")
        theirs_kept, ours_kept = (set(self.look.refs(side, *kinds)) for side in self.sides)
        assert ours_kept == theirs_kept

    def agree_on_files(self) -> None:
        """The same files in the work tree, to the byte, the same to Git, the same objects kept."""
        __tracebackhide__ = True
        theirs, ours = map(self.look.files, self.sides)
        assert differences(theirs, ours) == {}
        theirs_changed, ours_changed = map(self.look.changes, self.sides)
        assert ours_changed == theirs_changed

    def agree_on_cache(self, *, undo: int = 0) -> None:
        """The same objects and run-cache entries."""
        __tracebackhide__ = True
        theirs, ours = map(self.look.cache, self.sides)
        if undo:
            assert len(set(ours) - set(theirs)) == undo
            ours = {name: mode for name, mode in ours.items() if name in theirs}
        assert differences(theirs, ours) == {}
        theirs_runs, ours_runs = map(self.look.run_cache, self.sides)
        assert differences(theirs_runs, ours_runs) == {}

    def only_ours(self) -> list[Path]:
        """The objects that nbexp's cache holds and DVC's does not."""
        theirs, ours = map(self.look.cache, self.sides)
        folder = self.nbexp_side / ".dvc" / "cache" / "files"
        return [folder / name for name in ours if name not in theirs]

    def agree_on_status(self) -> Any:
        """The same `status --json` by either tool of what nbexp left; returns it.

        Both sides hold the same files, so that DVC's own side would say the same once more.
        """
        __tracebackhide__ = True
        expected = self.look.status(self.nbexp_side, "dvc")
        assert self.look.status(self.nbexp_side, "nbexp") == expected
        return expected

    def agree_on_table(self) -> None:
        """The same `show --json` by either tool of what nbexp left, to the rev and the time."""
        __tracebackhide__ = True
        expected = self.look.table(self.nbexp_side, "dvc")
        assert covered(expected, self.look.table(self.nbexp_side, "nbexp")) == expected


class MakeTwins(Protocol):
    """See `twins`."""

    def __call__(self, project: Path) -> Twins: ...


@pytest.fixture
def look(git: RunGit, dvc: RunProgram, nbexp_cli: RunProgram) -> Look:
    return Look(git, dvc, nbexp_cli)


@pytest.fixture
def twins(tmp_path: Path, look: Look) -> MakeTwins:
    """Two copies of a project, each alone in a folder, so that a stage may write beside it."""

    def make(project: Path) -> Twins:
        sides = []
        for name in ("dvc", "nbexp"):
            side = tmp_path / name / "project"
            shutil.copytree(project, side, symlinks=True)
            sides.append(side)
        return Twins(sides[0], sides[1], look)

    return make


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files, their folders made."""
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data if isinstance(data, bytes) else data.encode())


@pytest.fixture
def pipeline(pipeline_project: Callable[..., Path], git: RunGit) -> Callable[..., Path]:
    """As `pipeline_project`, its params.yaml such that DVC, which lays it out anew, changes nothing else."""

    def make(folder: str = "project", **asked: Any) -> Path:
        top = pipeline_project(folder, **asked)
        params = next(top.rglob("params.yaml"))
        params.write_text(params.read_text().replace("  # the step size", ""))
        git("commit", "--quiet", "--all", "--amend", "--no-edit", cwd=top)
        return top

    return make


class MakeProject(Protocol):
    """See `project`."""

    def __call__(self, files: Mapping[str, str | bytes], *, ignore: str = "") -> Path: ...


@pytest.fixture
def project(repo: Path, git: RunGit) -> MakeProject:
    """A committed DVC project of the files given: `project({"dvc.yaml": "…", "params.yaml": "…"})`."""

    def make(files: Mapping[str, str | bytes]) -> Path:
        settings = {
            ".dvc/config": "",
            ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
            ".dvcignore": "",
        }
        write(repo, {**settings, **files})
        git("add", "--all", cwd=repo)
        git("commit", "--quiet", "--message=pipeline", cwd=repo)
        return repo

    return make


@pytest.fixture
def ran() -> Callable[[Path], list[str]]:
    """`ran(root)`: what stages have written to the file `ran` beside the project, and a fresh start."""

    def read(root: Path) -> list[str]:
        log = root.parent / RAN
        found = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return found

    return read


@pytest.fixture
def isolated(look: Look) -> Callable[[Path], dict[str, object]]:
    """What a run must not touch: HEAD, index, branches, tags, stashes and every reflog, to the byte."""

    def read(root: Path) -> dict[str, object]:
        folder = root / ".git"
        logs = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted((folder / "logs").rglob("*"))
            if path.is_file()
        }
        return {
            "HEAD": (folder / "HEAD").read_bytes(),
            "index": (folder / "index").read_bytes(),
            "refs": look.refs(root, "refs/heads", "refs/tags", "refs/stash", "refs/remotes"),
            "logs": logs,
            "others": sorted(path.name for path in folder.iterdir() if path.name.endswith("HEAD")),
        }

    return read


@pytest.fixture
def lines() -> Callable[[Ran], list[str]]:
    """`lines(run)`: the lines a run printed that are DVC's own, in order, of stages and lock files."""
    starts = ("Running stage", "Stage '", "> ", "Updating lock file", "Generating lock file")

    def read(done: Ran) -> list[str]:
        return [line for line in done.stdout.splitlines() if line.startswith(starts)]

    return read


# --- Many commands of DVC in one process ----------------------------------------------------------

MANY_IN_ONE = """
import json, os, sys, tempfile
from dvc.cli import main
said = []
real = os.fdopen(os.dup(1), "w")
for words in json.load(sys.stdin):
    with tempfile.TemporaryFile() as out:
        os.dup2(out.fileno(), 1)
        code = main(words)
        sys.stdout.flush()
        out.seek(0)
        said.append([code, out.read().decode()])
    os.chdir(sys.argv[1])
real.write(json.dumps(said))
"""

Said = tuple[int, str]


class ToldByDvc(Protocol):
    """See `told_by_dvc`."""

    def __call__(
        self,
        folder: Path,
        commands: Sequence[Sequence[str]],
        env: Mapping[str, str | None] | None = None,
    ) -> list[Said]: ...


@pytest.fixture(scope="session")
def told_by_dvc() -> ToldByDvc:
    """`told_by_dvc(folder, commands)`: exit code and output of each; what takes DVC long is to start."""
    python = Program((str(DVC_PROGRAMS / "python"),), (DVC_PROGRAMS,))

    def run(
        folder: Path,
        commands: Sequence[Sequence[str]],
        env: Mapping[str, str | None] | None = None,
    ) -> list[Said]:
        words = json.dumps([[*one] for one in commands])
        done = python("-c", MANY_IN_ONE, str(folder), cwd=folder, stdin=words, env=env)
        return [(code, out) for code, out in json.loads(done.stdout)]

    return run
