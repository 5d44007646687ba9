"""What else changed between two states: code line by line, data file by file, the environment by package."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from nbexp.experiments import notes
from nbexp.frozen import frozen
from nbexp.git import Git

Word = Literal["added", "modified", "deleted", "renamed"]

# What is longer is no code that people compare line by line, and comparing takes quadratic time.
_MAX_BYTES, _MAX_LINES = 1 << 20, 10_000


@frozen
class Patch:
    """A file of the code that changed: `lines` are its unified diff, without the two that name the file.

    Of a notebook the source of its code cells is compared. Where there are no lines, `why` says why.
    """

    path: str
    change: str
    lines: tuple[str, ...] = ()
    why: str = ""

    @property
    def added(self) -> int:
        """How many lines are new."""
        return sum(line.startswith("+") for line in self.lines)

    @property
    def removed(self) -> int:
        """How many lines are gone."""
        return sum(line.startswith("-") for line in self.lines)

    def to_json(self) -> dict[str, object]:
        return {"path": self.path, "change": self.change, "diff": "\n".join(self.lines)}


@frozen
class DataChange:
    """An output or tracked file, or a file inside of a tracked directory, that changed; sizes in bytes where known.

    `inside` is the tracked directory that it is in, "" where it is tracked itself.
    """

    path: str
    change: Word
    old_size: int | None = None
    new_size: int | None = None
    old_path: str = ""
    inside: str = ""

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {"path": self.path, "change": self.change}
        if self.old_path:
            found["old_path"] = self.old_path
        return {**found, "old_size": self.old_size, "new_size": self.new_size}


@frozen
class EnvironmentChange:
    """What differs between the environments of two runs: (name, old, new), None where a side has none.

    `machine` holds Python, platform and GPU, `packages` the packages by name.
    """

    machine: tuple[tuple[str, str, str], ...] = ()
    packages: tuple[tuple[str, str | None, str | None], ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            **{name: {"old": old, "new": new} for name, old, new in self.machine},
            "packages": [
                {"name": name, "old": old, "new": new} for name, old, new in self.packages
            ],
        }


Read = Callable[[Sequence[str]], Sequence[bytes | None]]
"""The bytes of files of one side, in their order."""


def patches(code: Iterable[tuple[str, str]], old: Read, new: Read) -> tuple[Patch, ...]:
    """The diff of each file, given what became of it."""
    listed = [*code]
    before = _read([path for path, change in listed if change != "added"], old)
    after = _read([path for path, change in listed if change != "deleted"], new)
    return tuple(_patch(path, change, before.get(path), after.get(path)) for path, change in listed)


def environment(
    old: Mapping[str, object] | None, new: Mapping[str, object] | None
) -> EnvironmentChange | None:
    """What differs between what two runs told of themselves; None where nothing does, or one is not known.

    `packages` of both are the lists themselves.
    """
    if not old or not new:
        return None
    machine = []
    for name in ("python", "platform", "gpu"):
        one, other = (_said(side.get(name)) for side in (old, new))
        if one != other and name in old and name in new:
            machine.append((name, one, other))
    before, after = (_packages(side.get("packages")) for side in (old, new))
    names = sorted({*before, *after}) if before and after else []
    packages = tuple(
        (name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )
    return EnvironmentChange(tuple(machine), packages) if machine or packages else None


def told(git: Git, revs: Sequence[str]) -> dict[str, dict[str, object]]:
    """What the runs of these commits told of themselves, `packages` being the list where the lists differ."""
    found = notes.read(git, revs)
    runs: dict[str, dict[str, object]] = {}
    for rev, note in found.items():
        run = note.get("run")
        if isinstance(run, dict):
            runs[rev] = dict(run)
    digests = {str(run.get("packages")) for run in runs.values()}
    for run in runs.values():
        digest = run.get("packages")
        if isinstance(digest, str) and (len(digests) > 1 or len(revs) == 1):
            run["packages"] = notes.packages(git, digest)
    return runs


def changed_files(git: Git, old: str, new: str) -> list[tuple[str, str | None, str | None]]:
    """The files that differ between two commits: path, and the blob of each side.

    Only folders that differ are read, through the one `git cat-file`: a tenth of the time that listing
    two commits takes.
    """
    roots = git.info_many([f"{rev}^{{tree}}" for rev in (old, new)])
    first, second = (root[0] if root else None for root in roots)
    todo = [("", first, second)]
    found: list[tuple[str, str | None, str | None]] = []
    while todo:
        asked = [oid for _, one, other in todo for oid in (one, other) if oid is not None]
        listed = dict(zip(asked, git.entries(asked), strict=True))
        inner: list[tuple[str, str | None, str | None]] = []
        for top, one, other in todo:
            before, after = (
                {name: (mode, oid) for name, mode, oid in listed[tree]} if tree else {}
                for tree in (one, other)
            )
            for name in sorted({*before, *after}):
                was, is_ = before.get(name), after.get(name)
                if was == is_:
                    continue
                # A file that became a folder, or the other way round, is both.
                folders = (_oid(was, is_folder=True), _oid(is_, is_folder=True))
                files = (_oid(was, is_folder=False), _oid(is_, is_folder=False))
                if folders != (None, None):
                    inner.append((f"{top}{name}/", *folders))
                if files != (None, None) and files[0] != files[1]:
                    found.append((top + name, *files))
        todo = inner
    return sorted(found)


def word(old: object, new: object) -> Word:
    """What became of a file, given what it was and is."""
    if old is None:
        return "added"
    return "deleted" if new is None else "modified"


def _oid(entry: tuple[str, str] | None, *, is_folder: bool) -> str | None:
    if entry is None or (entry[0] == "40000") != is_folder:
        return None
    return entry[1]


def _read(paths: Sequence[str], read: Read) -> dict[str, bytes | None]:
    return dict(zip(paths, read(paths), strict=True)) if paths else {}


def _patch(path: str, change: str, old: bytes | None, new: bytes | None) -> Patch:
    import difflib

    if (old is None and change != "added") or (new is None and change != "deleted"):
        return Patch(path, change, why="not there to be read")
    before, after = old or b"", new or b""
    if max(len(before), len(after)) > _MAX_BYTES:
        return Patch(path, change, why="too large to compare line by line")
    one, other = _lines(path, before), _lines(path, after)
    if one is None or other is None:
        return Patch(path, change, why="binary")
    if max(len(one), len(other)) > _MAX_LINES:
        return Patch(path, change, why="too long to compare line by line")
    lines = [*difflib.unified_diff(one, other, lineterm="")][2:]
    if not lines:
        is_notebook = path.endswith(".ipynb")
        return Patch(path, change, why="code unchanged" if is_notebook else "same text")
    return Patch(path, change, tuple(lines))


def _lines(path: str, data: bytes) -> list[str] | None:
    """The lines that people compare; None of what is no text."""
    if path.endswith(".ipynb") and data:
        from nbexp.errors import ProjectFileError
        from nbexp.formats import notebook

        try:
            cells = notebook.read(data, path).cells
        except ProjectFileError:
            pass
        else:
            return [
                line
                for cell in cells
                for line in (f"# %% cell {cell.number}", *cell.source.split("\n"))
            ]
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        # Text of another age: latin-1 reads any bytes, and most of it is right.
        return data.decode("latin-1").splitlines()


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value or "")


def _packages(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, Mapping) else {}


def is_code(path: str) -> bool:
    """Whether a file that is neither param, metric nor output is code to people, not a record of DVC's."""
    return posixpath.basename(path) not in ("dvc.lock", ".gitignore") and not path.endswith(".dvc")
