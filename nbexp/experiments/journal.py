"""The old state of everything a command changes in the user's files, kept until the command is done.

A command that rewrites files opens the journal, changes paths only through it, and ends with
`finish` or `roll_back`. Killed in between, it leaves the journal, and the next writing command of any
face rolls back first. The rule behind it: the line that says how to put a path back is on disk before
the path changes.

    .dvc/tmp/nbexp/journal/lines      one JSON object a line: what was where
    .dvc/tmp/nbexp/journal/saved/N    the old bytes, or the old output itself, moved
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from nbexp import filesystem
from nbexp.errors import StoreError
from nbexp.frozen import frozen

_DVC_IN_GIT = (["config"], [".gitignore"], ["plots"])


@frozen
class Line:
    """How one path was before: `saved` is its file below `saved/`, None where nothing was there.

    Where nothing was, `folders` counts the folders above that were not there either.
    """

    path: str
    kind: Literal["file", "moved", "copied", "absent"]
    saved: str | None
    mode: int | None = None
    folders: int = 0


class Journal:
    """What one command changes below `root` (the top of the Git work tree).

    Parameters
    ----------
    folder
        Where the journal is kept; on the file system of `root`, so that outputs can be moved.
    op
        The command, for the message when it has to be rolled back: "run", "apply low-lr".
    uid
        Marks the processes of the command, so that the rollback can end those that outlived it.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.op = ""
        self.uid = ""
        self.lines: list[Line] = []
        self.written: dict[str, set[str]] = {}
        self._known: set[str] = set()
        self._file: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether a command left off in the middle (or is in it)."""
        return (self.folder / "lines").exists()

    def peek_uid(self) -> str:
        """The uid of the command that has the journal open now; empty when none has."""
        try:
            return str(next(_lines(self.folder / "lines"), {}).get("uid", ""))
        except OSError:
            return ""

    def begin(self, op: str, uid: str) -> None:
        """Open the journal; there must be none."""
        (self.folder / "saved").mkdir(parents=True, exist_ok=True)
        self.op, self.uid = op, uid
        self.lines, self.written, self._known = [], {}, set()
        self._file = os.open(
            self.folder / "lines", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self._append({"op": op, "uid": uid, "pid": os.getpid(), "time": time.time()})
        filesystem.crash_point("journal.begun")

    def write(self, path: str, data: bytes, *, mode: int | None = None) -> None:
        """Write a file in one step, its old bytes kept; `path` is relative to the root, POSIX.

        Raises
        ------
        StoreError
            The path leads out of the root, through a link or otherwise.
        """
        target = self._allowed(path)
        self._clear_the_way(path)
        self._keep_file(path)
        self._wrote(path, data)
        filesystem.atomic_write(target, data, mode=mode if mode is not None else _mode(target))
        filesystem.crash_point("journal.wrote")

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link there, what was there kept."""
        place = self._allowed(path)
        self._clear_the_way(path)
        self._keep_file(path)
        self._wrote(path, os.fsencode(target))
        place.parent.mkdir(parents=True, exist_ok=True)
        filesystem.remove(place)
        os.symlink(target, place)

    def remove(self, path: str) -> None:
        """Remove a file, its bytes kept."""
        target = self._allowed(path)
        self._keep_file(path)
        self.written.setdefault(path, set()).add("")
        self._append({"wrote": path, "md5": ""})
        filesystem.remove(target)
        filesystem.crash_point("journal.removed")

    def set_aside(self, path: str) -> None:
        """Move a file or directory away; afterwards nothing is there."""
        target = self._allowed(path)
        if path in self._known:
            filesystem.remove(target)
            return
        if not os.path.lexists(target):
            self._note_absent(path)
            return
        line = Line(path, "moved", str(len(self.lines)))
        self._note(line)
        filesystem.crash_point("journal.moving")
        _move(target, self.folder / "saved" / str(line.saved))
        filesystem.crash_point("journal.moved")

    def copy_aside(self, path: str) -> None:
        """Keep a copy of a file or directory that is about to be changed in place."""
        import shutil

        target = self._allowed(path)
        if path in self._known:
            return
        if not os.path.lexists(target):
            self._note_absent(path)
            return
        name = str(len(self.lines))
        saved = self.folder / "saved" / name
        if target.is_dir():
            shutil.copytree(target, saved, symlinks=True)
        else:
            shutil.copy2(target, saved, follow_symlinks=False)
        self._note(Line(path, "copied", name))

    def aside(self, path: str) -> Path | None:
        """Where what stood at the path was moved to; None when nothing was."""
        found = [line for line in self.lines if line.path == path and line.kind == "moved"]
        return self.saved(found[-1]) if found else None

    def saved(self, line: Line) -> Path | None:
        """Where the old content of a line is; None where nothing was."""
        return None if line.saved is None else self.folder / "saved" / line.saved

    def finish(self) -> None:
        """Everything is done: forget the old state."""
        filesystem.crash_point("journal.finishing")
        self._close()
        if not self.is_open:
            return
        # One rename takes the journal out of the way whole; what is left of it then is rubbish.
        rubbish = self.folder.with_name(f"journal-done-{os.getpid()}-{time.monotonic_ns()}")
        os.rename(self.folder, rubbish)
        # Whatever happens from here on, there is nothing to put back any more.
        self.lines, self.written, self._known = [], {}, set()
        filesystem.crash_point("journal.finished")
        filesystem.remove(rubbish)

    def roll_back(self) -> list[str]:
        """Put every path back as it was; the paths that somebody edited since, which stay as they are.

        Can be killed and called again at any point; once the journal is finished it does nothing.
        """
        self._close()
        if not self.is_open:
            # Finished; or somebody deleted it (`git clean -fdx` in a stage), and what it kept with it.
            return [line.path for line in self.lines if line.saved is not None]
        edited = []
        for line in reversed(self.lines):
            if not self._put_back(line):
                edited.append(line.path)
            filesystem.crash_point("journal.put_back")
        self.finish()
        return edited

    def read(self) -> None:
        """Load what a killed command left."""
        self.lines, self.written, self._known = [], {}, set()
        for number, entry in enumerate(_lines(self.folder / "lines")):
            if number == 0:
                self.op, self.uid = str(entry.get("op", "")), str(entry.get("uid", ""))
            elif "wrote" in entry:
                self.written.setdefault(str(entry["wrote"]), set()).add(str(entry["md5"]))
            else:
                line = Line(
                    entry["path"],
                    entry["kind"],
                    entry["saved"],
                    entry["mode"],
                    entry.get("folders", 0),
                )
                self.lines.append(line)
                self._known.add(line.path)

    @property
    def folders(self) -> set[Path]:
        """The folders of all paths that the command announced."""
        return {(self.root / line.path).parent for line in self.lines}

    def sweep(self) -> None:
        """Remove what finished journals left when they were killed while tidying up."""
        for rubbish in self.folder.parent.glob("journal-done-*"):
            filesystem.remove(rubbish)

    def _allowed(self, path: str) -> Path:
        """Where the path is on disk; raises StoreError when it must not be written.

        What a commit may bring into a `.dvc` folder is what DVC keeps in Git there.
        """
        inner = path.split("/")
        if ".dvc" in inner and inner[inner.index(".dvc") + 1 :][:1] in _DVC_IN_GIT:
            return self.root / path
        try:
            return filesystem.check_inside(self.root, path)
        except filesystem.Outside as outside:
            raise StoreError(f"{outside} Nothing was changed.") from None

    def _clear_the_way(self, path: str) -> None:
        """Set aside a file that stands where the path needs a folder."""
        parts = path.split("/")
        for count in range(1, len(parts)):
            folder = "/".join(parts[:count])
            if os.path.lexists(self.root / folder) and not (self.root / folder).is_dir():
                self.set_aside(folder)

    def _keep_file(self, path: str) -> None:
        if path in self._known:
            return
        target = self.root / path
        if target.is_symlink() or target.is_dir():
            self.set_aside(path)
            return
        try:
            data = target.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            self._note_absent(path)
            return
        name = str(len(self.lines))
        filesystem.atomic_write(self.folder / "saved" / name, data)
        self._note(Line(path, "file", name, _mode(target)))
        filesystem.crash_point("journal.kept")

    def _wrote(self, path: str, data: bytes) -> None:
        digest = _md5(data)
        self.written.setdefault(path, set()).add(digest)
        self._append({"wrote": path, "md5": digest})

    def _note_absent(self, path: str) -> None:
        above = [*(self.root / path).parents]
        missing = sum(not folder.exists() for folder in above)
        self._note(Line(path, "absent", None, folders=missing))

    def _note(self, line: Line) -> None:
        self._append(
            {
                "path": line.path,
                "kind": line.kind,
                "saved": line.saved,
                "mode": line.mode,
                "folders": line.folders,
            }
        )
        self.lines.append(line)
        self._known.add(line.path)

    def _append(self, entry: dict[str, object]) -> None:
        assert self._file is not None, "the journal is not open"
        rest = memoryview(json.dumps(entry).encode() + b"\n")
        while rest:  # a disk that is nearly full takes a part of it first
            rest = rest[os.write(self._file, rest) :]
        os.fdatasync(self._file)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _put_back(self, line: Line) -> bool:
        """Restore one path; False if it was edited since the command wrote it."""
        target, saved = self.root / line.path, self.saved(line)
        if line.kind == "file" and (saved is None or not saved.exists()):
            return True  # put back already, by a rollback that was killed behind it
        if line.kind in {"file", "absent"} and self._edited_since(line, saved):
            return False
        if line.kind == "absent":
            self._leave(target)
            for folder in [*target.parents][: line.folders]:
                try:
                    folder.rmdir()
                except OSError:
                    break  # not there, or somebody put something into it
        elif line.kind == "file":
            assert saved is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir() and not target.is_symlink():
                self._leave(target)
            if line.mode is not None:
                os.chmod(saved, line.mode)
            # Moved, not written: a full disk is what many rollbacks are due to.
            _move(saved, target)
        elif saved is not None and os.path.lexists(saved):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._leave(target)
            _move(saved, target)
        return True

    def _edited_since(self, line: Line, saved: Path | None) -> bool:
        wrote = self.written.get(line.path)
        if wrote is None:
            return False
        target = self.root / line.path
        try:
            present = (
                os.fsencode(os.readlink(target)) if target.is_symlink() else target.read_bytes()
            )
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        return _md5(present) not in wrote and not (
            saved is not None and saved.exists() and saved.read_bytes() == present
        )

    def _leave(self, target: Path) -> None:
        """Take what an unfinished command made out of the way, without destroying it."""
        if not os.path.lexists(target):
            return
        kept = self.folder.parent / "unfinished" / (self.uid or "unknown")
        place = kept / target.relative_to(self.root)
        filesystem.remove(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        _move(target, place)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for raw in path.read_bytes().splitlines():
        try:
            yield json.loads(raw)
        except ValueError:
            # The last line of a killed command may be torn; the change it announces never happened.
            return


def _move(source: Path, target: Path) -> None:
    """Rename, also to another file system; there the target appears whole, then the source goes."""
    try:
        os.rename(source, target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    import shutil

    fresh = filesystem.temporary(target.parent)
    try:
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, fresh, symlinks=True)
        else:
            shutil.copy2(source, fresh, follow_symlinks=False)
        os.rename(fresh, target)
    except BaseException:
        filesystem.remove(fresh)
        raise
    filesystem.remove(source)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
