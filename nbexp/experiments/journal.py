"""The old state of everything a command changes in the user's files, kept until the command is done.

A command that rewrites files opens the journal, changes paths only through it, and ends with
`finish` or `roll_back`. Killed in between, it leaves the journal, and the next writing command of any
face rolls back first. The rule behind it: what says how to put a path back is on disk before the path
changes.

    .dvc/tmp/nbexp/journal/lines           one JSON object a line: what was where
    .dvc/tmp/nbexp/journal/saved/N         the old file, under a second name, or a copy of it
    .dvc/tmp/nbexp/journal/saved/N-PATH    the old output itself, moved

Each flush costs as much as all else that is done to a file, so there are few: one for the line of a file
before it is first replaced (the line holds the old bytes of a small one), none for an output, which tells by
its own name where it was, and one for each file that was written, at the end.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes

from nbexp import filesystem, hashing
from nbexp.errors import StoreError
from nbexp.frozen import field, frozen

_DVC_IN_GIT = (["config"], [".gitignore"], ["plots"])
# Old bytes up to here are kept in the line as well; a longer file takes a flush of its folder.
_IN_LINE_BYTES = 32 * 1024
_NAME_BYTES = 250


@frozen
class Line:
    """How one path was before: `saved` is its file below `saved/`, None where nothing was there.

    Where nothing was, `folders` counts the folders above that were not there either. `old` has the bytes
    of a small file once more, in case a power cut came before `saved` was on the disk.
    """

    path: str
    kind: Literal["file", "moved", "copied", "absent"]
    saved: str | None
    mode: int | None = None
    folders: int = 0
    old: bytes | None = field(default=None, repr=False)


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
        self._is_behind = False  # lines are there that must be on the disk before the next change
        self._replaced: set[Path] = set()  # written, and not yet flushed
        self._has_rebooted = False

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
        entry = {"op": op, "uid": uid, "pid": os.getpid(), "time": time.time(), "boot": _boot()}
        self._append(entry)
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
        self._flush()
        mode = mode if mode is not None else _mode(target)
        filesystem.atomic_write(target, data, mode=mode, durable=False)
        self._replaced.add(target)
        filesystem.crash_point("journal.wrote")

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link there, what was there kept."""
        place = self._allowed(path)
        self._clear_the_way(path)
        self._keep_file(path)
        self._wrote(path, os.fsencode(target))
        self._flush()
        place.parent.mkdir(parents=True, exist_ok=True)
        filesystem.remove(place)
        os.symlink(target, place)

    def remove(self, path: str) -> None:
        """Remove a file, its bytes kept."""
        target = self._allowed(path)
        self._keep_file(path)
        self.written.setdefault(path, set()).add("")
        self._append({"wrote": path, "md5": ""})
        self._flush()
        filesystem.remove(target)
        filesystem.crash_point("journal.removed")

    def set_aside(self, path: str) -> None:
        """Move a file or directory away; afterwards nothing is there."""
        target = self._allowed(path)
        if path in self._known:
            self._hand_over(path)
            filesystem.remove(target)
            return
        if not os.path.lexists(target):
            self._note_absent(path)
            return
        name = f"{len(self.lines)}-{quote(os.fsencode(path), safe='')}"
        if len(name) > _NAME_BYTES:
            name = name.partition("-")[0]
        line = Line(path, "moved", name)
        self._note(line)
        if "-" not in name:
            self._is_behind = True
            self._flush()
        filesystem.crash_point("journal.moving")
        _move(target, self.folder / "saved" / str(line.saved))
        filesystem.crash_point("journal.moved")

    def copy_aside(self, path: str) -> None:
        """Keep a copy of a file or directory that is about to be changed in place."""
        import shutil

        target = self._allowed(path)
        if path in self._known:
            self._hand_over(path)
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
        self._is_behind = True
        self._flush()

    def aside(self, path: str) -> Path | None:
        """Where what stood at the path was moved to; None when nothing was."""
        found = [line for line in self.lines if line.path == path and line.kind == "moved"]
        return self.saved(found[-1]) if found else None

    def is_edited(self, line: Line) -> bool:
        """Whether the path holds what somebody else than the command, or a stage, has written since."""
        return line.kind in {"file", "absent"} and self._edited_since(line, self.saved(line))

    def saved(self, line: Line) -> Path | None:
        """Where the old content of a line is; None where nothing was."""
        return None if line.saved is None else self.folder / "saved" / line.saved

    def finish(self) -> None:
        """Everything is done: forget the old state."""
        filesystem.crash_point("journal.finishing")
        filesystem.sync(self.unflushed())
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

    def unflushed(self) -> set[str]:
        """The files that were written, and their folders, which are not flushed to disk yet; they count as such now."""
        names = {os.fspath(file) for file in self._replaced}
        self._replaced = set()
        return names | {os.path.dirname(name) for name in names}

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
                self._has_rebooted = bool(_boot()) and entry.get("boot") != _boot()
            elif "handed" in entry:
                self.written.pop(str(entry["handed"]), None)
            elif "wrote" in entry:
                self.written.setdefault(str(entry["wrote"]), set()).add(str(entry["md5"]))
            else:
                line = Line(
                    entry["path"],
                    entry["kind"],
                    entry["saved"],
                    entry["mode"],
                    entry.get("folders", 0),
                    _from_text(entry["old"]) if entry.get("old") is not None else None,
                )
                self.lines.append(line)
                self._known.add(line.path)
        self._read_names()

    def _read_names(self) -> None:
        """Add the outputs that were moved whose lines a power cut took."""
        told = {line.saved for line in self.lines}
        names = [name for name in _listed(self.folder / "saved") if "-" in name]
        for name in sorted(set(names) - told, key=lambda name: int(name.partition("-")[0])):
            path = os.fsdecode(unquote_to_bytes(name.partition("-")[2]))
            line = Line(path, "moved", name)
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
        saved = self.folder / "saved" / name
        try:
            os.link(target, saved, follow_symlinks=False)
        except OSError:  # no hard links there, or the file is another user's
            filesystem.atomic_write(saved, data)
        self._is_behind = True
        is_small = len(data) <= _IN_LINE_BYTES
        self._note(Line(path, "file", name, _mode(target), old=data if is_small else None))
        if not is_small:
            filesystem.sync_folder(saved.parent)
        filesystem.crash_point("journal.kept")

    def _wrote(self, path: str, data: bytes) -> None:
        digest = hashing.md5(data)
        self.written.setdefault(path, set()).add(digest)
        self._append({"wrote": path, "md5": digest})

    def _hand_over(self, path: str) -> None:
        """From here on a stage writes the path: other bytes than this command's own are no edit of the user's."""
        if self.written.pop(path, None) is not None:
            self._append({"handed": path})
            self._is_behind = True
            self._flush()

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
                "old": None if line.old is None else _as_text(line.old),
            }
        )
        self.lines.append(line)
        self._known.add(line.path)

    def _append(self, entry: dict[str, object]) -> None:
        assert self._file is not None, "the journal is not open"
        rest = memoryview(json.dumps(entry).encode() + b"\n")
        while rest:  # a disk that is nearly full takes a part of it first
            rest = rest[os.write(self._file, rest) :]

    def _flush(self) -> None:
        """Have on the disk how to put back what is about to change."""
        assert self._file is not None, "the journal is not open"
        if self._is_behind:
            os.fdatasync(self._file)
            self._is_behind = False

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _put_back(self, line: Line) -> bool:
        """Restore one path; False if it was edited since the command wrote it."""
        target, saved = self.root / line.path, self.saved(line)
        if line.kind == "file" and (saved is None or not saved.exists()):
            if saved is None or line.old is None or not self._has_rebooted:
                return True  # put back already, by a rollback that was killed behind it
            filesystem.atomic_write(saved, line.old)
        if self.is_edited(line):
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
        if self._has_rebooted and not present.strip(b"\0"):
            return False  # written, and the power went before its bytes were on the disk
        return hashing.md5(present) not in wrote and not (
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


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _boot() -> str:
    """What tells this run of the machine from all others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


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


def _as_text(data: bytes) -> str:
    from binascii import b2a_base64  # as base64 does, which takes 1 ms to load

    return b2a_base64(data, newline=False).decode()


def _from_text(text: str) -> bytes:
    from binascii import a2b_base64

    return a2b_base64(text)
