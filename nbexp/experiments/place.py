"""Where a project is, and what Git knows of it that the pipeline asks for."""

from __future__ import annotations

import fnmatch
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from nbexp import filesystem, hashing
from nbexp.git import Git


def home() -> Path:
    """The user's home folder; one that does not exist for a user without any, as in containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def own_folder(root: Path) -> Path:
    """Where nbexp keeps what is derived or in flight; ignored by Git and by DVC."""
    return root / ".dvc" / "tmp" / "nbexp"


def journal_folder(root: Path) -> Path:
    """Where the journal of the command at work is."""
    return own_folder(root) / "journal"


def workspace_lock(root: Path) -> filesystem.FileLock:
    """The lock of whoever changes the user's files."""
    return filesystem.FileLock(own_folder(root) / "locks" / "workspace.lock")


def shared_locks(git: Git, root: Path, prefix: str, cache: Path) -> Path:
    """Where all who share the project's cache lock what only one of them should do.

    That is the main work tree's folder, unless this one keeps a cache of its own.
    """
    main = git.common.parent / prefix
    is_linked = git.folder != git.common and git.common.name == ".git"
    if is_linked and cache != root / ".dvc" / "cache" and (main / ".dvc").is_dir():
        return own_folder(main) / "locks"
    return own_folder(root) / "locks"


def unfinished(root: Path) -> str | None:
    """The command that was killed half-way, for a read-only command's warning; None if there is none."""
    lines = journal_folder(root) / "lines"
    if not lines.exists() or workspace_lock(root).held():
        return None
    try:
        import json

        return str(json.loads(lines.read_bytes().split(b"\n", 1)[0])["op"])
    except (ValueError, KeyError, OSError):
        return "command"


def prefix(git: Git, root: Path) -> str:
    """The project's root as seen from the top of the Git work tree; empty when it is the same."""
    relative = os.path.relpath(root.resolve(), git.root)
    return "" if relative == "." else Path(relative).as_posix()


def undo_place(git: Git, root: Path) -> str:
    """What tells the workspace from all others of its repository, wherever it may be moved to."""
    work_tree = os.path.relpath(git.folder, git.common)
    return f"{Path(work_tree).as_posix()}:{prefix(git, root)}"


def files_of(git: Git, prefix: str, rev: str) -> Callable[[str], bytes | None]:
    """Reads the files of a commit, by their path relative to the project's root."""

    def read(path: str) -> bytes | None:
        place = posixpath.join(prefix, path)
        # A project in a folder may read a params file of the repository around it.
        place = posixpath.normpath(place) if path.startswith("../") else place
        return None if place.startswith("../") else git.read(f"{rev}:{place}")

    return read


class GitIgnores:
    """What Git ignores, asked with paths relative to the project's root."""

    def __init__(self, git: Git, prefix: str) -> None:
        self._git = git
        self._top = f"{prefix}/" if prefix else ""

    def ignored(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths that Git ignores; costs no process where no rule comes near them."""
        asked = [self._top + path for path in paths]
        if not any(map(self._may_be_ignored, asked)):
            return set()
        return {path.removeprefix(self._top) for path in self._git.ignored(asked)}

    def tracked(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths that the present commit holds, as file or folder."""
        head = self._git.head()
        if head is None:
            return set()
        found = self._git.info_many([f"{head}:{self._top}{path}" for path in paths])
        return {path for path, info in zip(paths, found, strict=True) if info is not None}

    def _may_be_ignored(self, path: str) -> bool:
        """Whether the last part of some rule is like a part of the path, without which none matches."""
        parts = [part.casefold() for part in path.split("/")]
        for rule in self._rules(path):
            if not rule or rule.startswith((b"#", b"!")):
                continue
            last = os.fsdecode(rule).rstrip().rstrip("/").rpartition("/")[2].casefold()
            if not {*"\\["}.isdisjoint(last) or fnmatch.filter(parts, last):
                return True
        return False

    def _rules(self, path: str) -> Iterator[bytes]:
        folders = [Path(path), *Path(path).parents][1:]
        files = [self._git.root / folder / ".gitignore" for folder in folders]
        files.append(self._git.common / "info" / "exclude")
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config")
        own = self._git.config().get("core.excludesfile")
        files.append(Path(os.path.expanduser(own)) if own else settings / "git" / "ignore")
        for file in files:
            try:
                yield from file.read_bytes().splitlines()
            except OSError:
                continue


class DvcIgnores:
    """What `.dvcignore` files leave out of the directories of a project, as they are at each look."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def below(self, folder: Path) -> Callable[[str, bool], bool] | None:
        """Whether a path below `folder` does not count; None where no rule can apply."""
        from nbexp.formats.ignore import DvcIgnore

        relative = os.path.relpath(folder, self._root)
        if relative == os.pardir or relative.startswith(f"{os.pardir}{os.sep}"):
            return None
        if ".dvc" in Path(relative).parts:
            return None  # an old output, kept whole there until its command is done
        return DvcIgnore.on_disk(self._root).below(Path(relative).as_posix())


class GitMeanings:
    """Looks for a notebook's old bytes in HEAD, then in the experiments."""

    def __init__(self, git: Git, prefix: str, refs: Mapping[str, str]) -> None:
        self._git = git
        self._top = f"{prefix}/" if prefix else ""
        self._refs = refs

    def notebook(self, path: str, md5: str) -> bytes | None:
        """The notebook at `path` whose bytes had this md5; None when no commit has it."""
        specs = [f"{rev}:{self._top}{path}" for rev in ("HEAD", *self._refs.values())]
        for data in self._git.read_many(specs):
            if data is not None and hashing.md5(data) == md5:
                return data
        return None
