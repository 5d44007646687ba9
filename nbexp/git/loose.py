r"""Objects and refs written as files, as Git itself leaves them, without a process for each.

A run records a handful of small files under one or two new refs. For that `git fast-import` takes
14 ms and `git hash-object` 3 more: they pass bytes from process to process and flush one file after
the other. Here it takes 3. What is not of this simple kind is left to Git.

Formats (Git 2.39, gitformat-loose, gitformat-tree): an object is `<kind> <size>\0` and its bytes,
compressed by zlib, at `objects/<2 hex>/<the others>`; a tree is sorted as if the names of folders
ended in a slash; a ref is changed by whoever could make `<ref>.lock`.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from nbexp import filesystem, hashing
from nbexp.frozen import frozen

_FOLDER = "40000"
_READ_ONLY = 0o444
_HELD_S = 1.0
TreeEntries = Sequence[tuple[str, str, str]]
"""Name, mode and object id of each entry of a tree."""


class NotSimple(Exception):
    """Only Git can tell how, or whether, this is to be written."""


@frozen
class Signature:
    """A line of a commit: name, mail address, seconds since 1970 and a time zone like "+0100"."""

    name: str
    email: str
    time_s: int
    zone: str

    def __bytes__(self) -> bytes:
        text = self.name + self.email
        # Git leaves these characters out, or refuses: who is called so is Git's to decide.
        if not self.name.strip() or not self.email or not set("<>\n\0").isdisjoint(text):
            raise NotSimple
        return f"{self.name} <{self.email}> {self.time_s} {self.zone}".encode()


class Writer:
    """New objects, on disk under their names once `flush` has returned.

    Killed before, it leaves at most files named `tmp_obj_…`, which `git gc` takes away as its own.
    """

    def __init__(self, objects: Path, digest: str) -> None:
        self._objects = os.fspath(objects)
        self._digest = digest
        self._new: dict[str, bytes] = {}

    def add(self, kind: str, data: bytes) -> str:
        """The id of an object with these bytes, which `flush` will write."""
        whole = b"%s %d\0%s" % (kind.encode(), len(data), data)
        oid = hashing.named(self._digest, whole)
        self._new.setdefault(oid, whole)
        return oid

    def flush(self, learn: Callable[[str, str, bytes], object]) -> None:
        """Write what is not there yet: all bytes are on the disk before the first name is.

        `learn` is told id, kind and bytes of each object that then is there.

        Raises
        ------
        OSError
            The disk is full, or the repository is somebody else's. Some objects may be there.
        """
        fresh: dict[str, str] = {}
        try:
            for oid, whole in self._new.items():
                target = os.path.join(self._objects, oid[:2], oid[2:])
                if not os.path.exists(target):
                    fresh[target] = self._write(target, oid, whole)
            filesystem.sync(fresh.values())
            # In the order in which they were added: an object comes after those that it names.
            for target, temporary in fresh.items():
                os.rename(temporary, target)
        finally:
            for temporary in fresh.values():
                try:
                    os.unlink(temporary)
                except FileNotFoundError:
                    continue
        for oid, whole in self._new.items():
            head, _, data = whole.partition(b"\0")
            learn(oid, head.partition(b" ")[0].decode("ascii"), data)
        self._new.clear()

    def _write(self, target: str, oid: str, whole: bytes) -> str:
        folder = os.path.dirname(target)
        temporary = os.path.join(folder, f"tmp_obj_{oid[-6:]}{os.urandom(4).hex()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(temporary, flags, _READ_ONLY)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            descriptor = os.open(temporary, flags, _READ_ONLY)
        try:
            view = memoryview(zlib.compress(whole, 1))
            while view:
                view = view[os.write(descriptor, view) :]
        except BaseException:
            os.close(descriptor)
            os.unlink(temporary)
            raise
        os.close(descriptor)
        return temporary


def tree(
    base: str | None,
    files: Mapping[str, tuple[str, str] | None],
    read: Callable[[str], TreeEntries],
    writer: Writer,
) -> str:
    """The id of the tree `base` (None: an empty one) with these files set or, where None, taken out.

    Parameters
    ----------
    files
        Mode and id of the blob by path. Deletions come first: a file may become a folder.
    read
        The entries of a tree by its id.

    Raises
    ------
    NotSimple
        A path is to be a file and a folder.
    """
    return writer.add("tree", _tree_bytes(_changed(base, files, read, writer)))


def _changed(
    base: str | None,
    files: Mapping[str, tuple[str, str] | None],
    read: Callable[[str], TreeEntries],
    writer: Writer,
) -> dict[str, tuple[str, str]]:
    entries = {name: (mode, oid) for name, mode, oid in read(base)} if base else {}
    inner: dict[str, dict[str, tuple[str, str] | None]] = {}
    for path, value in files.items():
        name, slash, rest = path.partition("/")
        if slash:
            inner.setdefault(name, {})[rest] = value
        elif value is None:
            entries.pop(name, None)
    for path, value in files.items():
        if "/" not in path and value is not None:
            if any(one is not None for one in inner.pop(path, {}).values()):
                raise NotSimple
            entries[path] = value
    for name, below in inner.items():
        mode, oid = entries.get(name, ("", ""))
        is_folder = mode == _FOLDER
        if not is_folder and all(value is None for value in below.values()):
            continue  # nothing there to take out
        found = _changed(oid if is_folder else None, below, read, writer)
        if found:
            entries[name] = (_FOLDER, writer.add("tree", _tree_bytes(found)))
        else:
            entries.pop(name, None)  # Git keeps no empty folders
    return entries


def commit(
    tree: str,
    parent: str | None,
    signed: tuple[Signature, Signature],
    message: bytes,
    writer: Writer,
) -> str:
    """The id of that commit; `signed` are its author and its committer."""
    lines = [f"tree {tree}".encode()]
    if parent is not None:
        lines.append(f"parent {parent}".encode())
    lines += [b"author " + bytes(signed[0]), b"committer " + bytes(signed[1])]
    return writer.add("commit", b"\n".join(lines) + b"\n\n" + message)


class Replacement:
    """A ref that is there and is to be set, on disk; `is_set` tells afterwards whether it was.

    `is_as_expected` is asked while nobody else can change the ref; `line` goes into its log.
    """

    def __init__(
        self, ref: str, oid: str, is_as_expected: Callable[[], bool], line: str | None
    ) -> None:
        self.ref = ref
        self.oid = oid
        self.is_set = False
        self._is_as_expected = is_as_expected
        self._line = line

    def take_place(self, common: Path, written: str) -> None:
        """Set the ref to what is `written`, unless it has been changed."""

        def may_be_set() -> bool:
            if not self._is_as_expected():
                return False
            if self._line is not None:
                with open(os.path.join(common, "logs", self.ref), "ab") as log:
                    log.write(self._line.encode())
            return True

        self.is_set = _take_place(common, self.ref, written, may_be_set)


def create_refs(
    common: Path, refs: Mapping[str, str], first: Replacement | None = None
) -> set[str]:
    """Make refs that are not there yet, in the order given; those that could be made, on disk.

    Left to Git is a ref that is there already, in whose place something stands, whose lock another
    process holds, and whatever comes after it. What is to be replaced `first` is set before them; if that
    is left to Git, all are.

    They are flushed to the disk together and before a lock is taken, which is held for microseconds then:
    a lock that a killed process leaves is in everybody's way. What is left else, `git gc` takes away.
    """
    written: dict[str, str] = {}
    made: set[str] = set()
    try:
        for ref, oid in [*([(first.ref, first.oid)] if first else []), *refs.items()]:
            name = os.path.join(common, "objects", f"tmp_ref_{os.urandom(8).hex()}")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(name, flags, 0o666)
            written[ref] = name
            try:
                os.write(descriptor, f"{oid}\n".encode())
            finally:
                os.close(descriptor)
        filesystem.sync(written.values())
        if first is not None:
            first.take_place(common, written[first.ref])
            if not first.is_set:
                return made
            filesystem.crash_point("record.noted")
        for ref in refs:
            if not _take_place(common, ref, written[ref], partial(_is_free, common, ref)):
                break
            made.add(ref)
    except OSError:
        pass  # Git finds the same in its way, and says it
    finally:
        for name in written.values():
            os.unlink(name)
    return made


def release_dead(common: Path, ref: str) -> bool:
    """Take away the lock of a ref whose holder was killed; whether there was one.

    To be called by who knows that nobody else has to do with that ref. A lock is held for milliseconds, by a Git process
    too that has outlived who started it: one that is still there after a second is nobody's.
    """
    lock = f"{os.path.join(common, ref)}.lock"
    end = time.monotonic() + _HELD_S
    try:
        held = os.stat(lock).st_ino
        while time.monotonic() < end:
            time.sleep(0.02)
            if os.stat(lock).st_ino != held:
                return False
        os.unlink(lock)
    except OSError:
        return False
    return True


def _take_place(common: Path, ref: str, written: str, may_be_set: Callable[[], bool]) -> bool:
    """Whether the file `written` became that of the ref, which nobody else can change while that is asked."""
    target = os.path.join(common, ref)
    lock = f"{target}.lock"
    os.makedirs(os.path.dirname(lock), exist_ok=True)  # of packed refs Git removes the folders
    os.link(written, lock)
    try:
        if may_be_set():
            os.rename(lock, target)
            return True
    except BaseException:
        os.unlink(lock)
        raise
    os.unlink(lock)
    return False


def _is_free(common: Path, ref: str) -> bool:
    return not os.path.lexists(os.path.join(common, ref)) and not _is_packed(common, ref)


def _is_packed(common: Path, ref: str) -> bool:
    """Whether packed-refs has the ref, one inside of it, or one that it would be inside of."""
    try:
        packed = (common / "packed-refs").read_bytes()
    except FileNotFoundError:
        return False
    parts = os.fsencode(ref).split(b"/")
    names = [b"/".join(parts[:count]) + b"\n" for count in range(1, len(parts) + 1)]
    return any(b" " + name in packed for name in (*names, os.fsencode(ref) + b"/"))


def _tree_bytes(entries: Mapping[str, tuple[str, str]]) -> bytes:
    named = [(os.fsencode(name), mode, oid) for name, (mode, oid) in entries.items()]
    named.sort(key=lambda entry: entry[0] + b"/" if entry[1] == _FOLDER else entry[0])
    return b"".join(
        b"%s %s\0%s" % (mode.encode(), name, bytes.fromhex(oid)) for name, mode, oid in named
    )
