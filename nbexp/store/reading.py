"""Files to digests: what is read, how steadily, on how many threads.

A digest is good for as long as the file has the stamp (inode, modification time, size) that it had while it was
read; `is_settled` says from when on no change can leave a stamp as it was. Two digests: MD5, and the one of DVC
2.x that takes the carriage returns out of texts.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from nbexp import hashing
from nbexp.errors import StoreError
from nbexp.store import two_processes

if TYPE_CHECKING:
    import hashlib

Stamp = tuple[int, int, int]  # inode, mtime in ns, size

# Below, handing a file to another thread costs more than its md5 (20,000 x 1 KiB: 379 ms against 104).
_THREADS_FROM_BYTES = 256 * 1024
CHUNK = 1 << 20  # 94-98 % of md5 in memory; DVC 2.x converts line ends in pieces of this size, too

T = TypeVar("T")


def stamp_of(status: os.stat_result) -> Stamp:
    """What tells one state of a file from another."""
    # SQLite's integers are signed; some network file systems number inodes with all 64 bits.
    return status.st_ino & 0x7FFF_FFFF_FFFF_FFFF, status.st_mtime_ns, status.st_size


def stamps_of(
    found: Iterable[tuple[str, os.stat_result]],
) -> list[tuple[str, Stamp]]:
    """`stamp_of` for a whole tree, by path."""
    most = 0x7FFF_FFFF_FFFF_FFFF
    return [(path, (s.st_ino & most, s.st_mtime_ns, s.st_size)) for path, s in found]


FINE_NS, _COARSE_NS = 100_000_000, 2_000_000_000


def is_settled(stamp: Stamp, now_ns: int | None = None) -> bool:
    """Whether any change after `now_ns` must give the file another modification time.

    File systems stamp with the kernel's tick, 10 ms at most, and the coarse ones (ext3, HFS+, FAT) with whole seconds,
    two at most; a time without a fraction tells those. Git calls the others "racily clean".
    """
    age = (now_ns or time.time_ns()) - stamp[1]
    return age > (_COARSE_NS if stamp[1] % 1_000_000_000 == 0 else FINE_NS)


def are_settled(stamps: Iterable[Stamp], now_ns: int | None = None) -> bool:
    """`is_settled` for every one of them."""
    now = now_ns or time.time_ns()
    young = [stamp for stamp in stamps if now - stamp[1] <= _COARSE_NS]
    return all(is_settled(stamp, now) for stamp in young)


class Stopped(Exception):
    """Another thread failed or the user interrupted; what this one does is not wanted any more."""


never = threading.Event()
READ: int = os.O_RDONLY | getattr(os, "O_BINARY", 0)
Digest = Callable[[int, int, threading.Event], str]


def read_steadily(name: str, digest: Digest, stop: threading.Event = never) -> tuple[str, Stamp]:
    """A file's digest and stamp, taken while it did not change."""
    for _ in range(3):
        try:
            descriptor = os.open(name, READ)
        except OSError as error:
            raise unreadable(error, name) from None
        try:
            before = stamp_of(os.fstat(descriptor))
            result = digest(descriptor, before[2], stop)
            if stamp_of(os.fstat(descriptor)) == before:
                return result, before
        finally:
            os.close(descriptor)
    raise changing(name)


def new_md5() -> hashlib._Hash:
    """A running MD5, of what is read piece by piece."""
    import hashlib

    return hashlib.md5(usedforsecurity=False)


def md5_digest(descriptor: int, size: int, stop: threading.Event) -> str:
    """The MD5 of an open file of about this size."""
    if size < CHUNK:
        return hashing.md5(os.read(descriptor, size + 1))
    digest = new_md5()
    for data in chunks(descriptor, stop):
        digest.update(data)
    return digest.hexdigest()


def chunks(descriptor: int, stop: threading.Event) -> Iterator[memoryview]:
    """The bytes of an open file, piece by piece in one buffer; `Stopped` once `stop` is set."""
    buffer = bytearray(CHUNK)
    whole = memoryview(buffer)
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        while count := file.readinto(buffer):
            if stop.is_set():
                raise Stopped
            yield whole[:count]


# Printable ASCII and the controls that texts have: DVC 2.x's test (dvc-data 3.18, hashfile/istextfile).
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"


def legacy_digest(descriptor: int, _size: int, stop: threading.Event) -> str:
    """2.x's `md5-dos2unix`: of a text, every CR LF counts as LF (but not one across two pieces)."""
    digest = new_md5()
    is_text: bool | None = None
    for data in chunks(descriptor, stop):
        if is_text is None:
            start = bytes(data[:512])
            is_text = b"\0" not in start and len(start.translate(None, _TEXT)) <= 0.3 * len(start)
        digest.update(bytes(data).replace(b"\r\n", b"\n") if is_text else data)
    return digest.hexdigest()


def digest_of_stamps(found: Sequence[tuple[str, Stamp]]) -> str:
    """One digest that stands for the stat data of a whole tree."""
    from array import array

    names = "\0".join([name for name, _ in found])
    numbers = array("q")
    for _, stamp in found:
        numbers.extend(stamp)
    return hashing.blake2b(names.encode("utf-8", "surrogateescape"), numbers.tobytes())


def apart(sizes: Sequence[int]) -> tuple[list[int], list[int]]:
    """The indices of small files, which two processes read best, and those of big ones, for threads."""
    small = [index for index, size in enumerate(sizes) if size < _THREADS_FROM_BYTES]
    big = [index for index, size in enumerate(sizes) if size >= _THREADS_FROM_BYTES]
    return small, big


def digests_of(
    names: Sequence[str],
    sizes: Sequence[int],
    done: Callable[[int, tuple[str, Stamp]], object],
    *,
    legacy: bool = False,
) -> None:
    """Take the digest of each file; `done` receives the index, the digest and the stamp, in no order."""
    small, big = apart(sizes)

    def keep(index: int, found: tuple[str, Stamp] | None) -> None:
        assert found is not None
        done(small[index], found)

    two_processes.each(read_small, legacy, [names[index] for index in small], keep)
    digest = legacy_digest if legacy else md5_digest
    in_threads(big, lambda index, stop: done(index, read_steadily(names[index], digest, stop)))


def read_small(legacy: bool, name: str) -> tuple[str, Stamp]:
    """`read_steadily` for the other of two processes."""
    return read_steadily(name, legacy_digest if legacy else md5_digest)


def in_threads(items: Sequence[T], work: Callable[[T, threading.Event], object]) -> None:
    """`work` on each item, on as many threads as there are processors."""
    stop = threading.Event()
    processors = two_processes.processors()
    if len(items) < 2 or processors < 2:
        for item in items:
            work(item, stop)
        return
    errors: list[BaseException] = []
    left = iter(items)
    turn = threading.Lock()
    none = object()

    def loop() -> None:
        while not stop.is_set():
            with turn:
                item = next(left, none)
            if item is none:
                return
            try:
                work(cast("T", item), stop)
            except BaseException as error:  # noqa: BLE001 - raised again below, by the caller's thread
                errors.append(error)
                stop.set()

    threads = [threading.Thread(target=loop) for _ in range(min(processors, len(items)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        stop.set()
        for thread in threads:
            thread.join()
        raise
    if errors:
        raise errors[0]


def shown(name: str) -> str:
    """A path as a user would type it: relative where it lies below the current directory."""
    try:
        return Path(name).relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return name


def unreadable(error: OSError, name: str) -> StoreError:
    """Why a file cannot be read, and what to do."""
    place = shown(os.fsdecode(error.filename)) if error.filename else shown(name)
    if error.errno == errno.ENOENT and os.path.islink(error.filename or name):
        return StoreError(
            f"`{place}` is a link to nothing.", "remove the link, or make what it points to."
        )
    if error.errno == errno.ELOOP:
        return StoreError(f"`{place}` is a link that leads to itself.", "remove the link.")
    return StoreError(f"`{place}` cannot be read: {error.strerror or error}.")


def changing(name: str) -> StoreError:
    """Somebody writes the file that is being read."""
    return StoreError(
        f"`{shown(name)}` changes while it is read.",
        "try again when no process writes it any more.",
    )
