"""The objects of a cache folder: where each lies, what makes it trustworthy, and how it gets its name.

DVC's layout: `files/md5/<2>/<30>[.dir]`, and `<2>/<30>` for objects of DVC 2.x. An object under its final name is
complete: it is written under a temporary name in `files/`, flushed, and renamed, for which no lock is needed. That its
bytes are what its name says is remembered, and holds for as long as its stamp is what it was.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import StoreError
from nbexp.filesystem import crash_point
from nbexp.frozen import frozen
from nbexp.store.reading import (
    Stamp,
    are_settled,
    digest_of_stamps,
    digests_of,
    is_settled,
    legacy_digest,
    read_steadily,
    shown,
    stamp_of,
    stamps_of,
)
from nbexp.store.staging import READ_ONLY, Staged, discard, name_object
from nbexp.store.state import State
from nbexp.store.two_processes import Pair

# From so many on, that objects were just found sound is worth keeping.
_MANY = 1000
# So long a command that asked what is missing need not look at each object again to restore it.
_JUST_NOW_S = 2.0
# Each flushed by itself up to here (0.35 ms); above, one `syncfs` (0.2 s for 20,000 new files).
_SINGLE_FLUSHES = 64

# The form of what is remembered about the objects of a directory.
_SEALED = "sealed-1"
# In the place of a digest of a directory's files; the second where every object's digest was taken as it lies there.
_EACH, _VERIFIED = "each ", "each verified "
_NO_STAMP: Stamp = (0, 0, 0)
_EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
_HEX = frozenset("0123456789abcdef")

WRITE_BITS = 0o222


@frozen
class Object:
    """A file of the cache: its name, its bytes on this disk, and where it lies."""

    md5: str
    size: int
    path: str


class Objects:
    """The objects of one cache folder, with what is known of them.

    Parameters
    ----------
    folder
        The cache folder; made when something is stored.
    state
        Where it is remembered which objects were found sound.
    shared
        The folder belongs to a group of users, who all may write into it.
    """

    def __init__(self, folder: Path, state: State, *, shared: bool) -> None:
        self.folder = folder
        self.top = os.path.join(folder, "files", "md5")
        # Beside the objects, not among them: DVC takes every name below `files/md5` for an object.
        self.unfinished = folder / "files"
        self._state = state
        self._shared = shared
        self._sound: tuple[float, dict[str, Stamp]] = (-_JUST_NOW_S, {})
        self._seen: dict[str, tuple[str, list[tuple[str, Stamp]]]] = {}
        self._gathered: set[str] | None = None

    # Where they lie -------------------------------------------------------------------------------

    def place_of(self, md5: str) -> str:
        """Where the object of a digest lies, unless only DVC 2.x stored it."""
        return f"{self.top}{os.sep}{md5[:2]}{os.sep}{md5[2:]}"

    def find(self, md5: str) -> str:
        """Where the object lies: its place, or 2.x's when it is there only."""
        name = self.place_of(md5)
        if not os.path.exists(name):
            old = os.path.join(self.folder, md5[:2], md5[2:])
            if os.path.exists(old):
                return old
        return name

    def is_legacy(self, name: str) -> bool:
        """Whether an object lies where DVC 2.x stored it."""
        return not name.startswith(self.top)

    def all(self) -> Iterator[Object]:
        """Every object there is, those of DVC 2.x as well, in no order; costs a `stat` each."""
        for folder in (self.top, os.fspath(self.folder)):
            for first in _names_in(folder):
                if len(first) != 2 or not _HEX.issuperset(first):
                    continue
                with os.scandir(f"{folder}{os.sep}{first}") as found:
                    for entry in found:
                        digits = entry.name.removesuffix(".dir")
                        if len(digits) == 30 and _HEX.issuperset(digits):
                            size = entry.stat(follow_symlinks=False).st_size
                            yield Object(first + entry.name, size, entry.path)

    # Which are sound ------------------------------------------------------------------------------

    def inspect(
        self,
        md5s: Sequence[str],
        size: int = -1,
        *,
        deep: bool = False,
        legacy: bool = True,
        anew: bool = False,
    ) -> tuple[dict[str, str], dict[str, Stamp]]:
        """What is wrong with objects, in words by digest; and the stamps of those that are sound.

        Parameters
        ----------
        size
            What each must have; negative is unknown.
        deep
            Take the digest of every object that was not verified as it lies there.
        legacy
            2.x's place is as good.
        anew
            Whatever was verified before.
        """
        rows = {} if anew else self._state.objects(md5s)
        problems: dict[str, str] = {}
        stamps: dict[str, Stamp] = {}
        unsure: list[tuple[str, str]] = []
        sizes: list[int] = []
        is_vouched_for = True
        for md5 in dict.fromkeys(md5s):
            name = self.place_of(md5)
            try:
                status = os.stat(name)
            except OSError:
                try:
                    name = self.find(md5) if legacy else ""
                    status = os.stat(name)
                except OSError:
                    problems[md5] = "is missing"
                    continue
            stamps[md5] = stamp = stamp_of(status)
            if rows.get(md5) == stamp:
                continue
            if deep or status.st_mode & WRITE_BITS or 0 <= size != stamp[2]:
                unsure.append((md5, name))
                sizes.append(stamp[2])
            else:
                is_vouched_for = False

        found: list[tuple[str, Stamp]] = [("", _NO_STAMP)] * len(unsure)
        names = [name for _, name in unsure]
        digests_of(names, sizes, found.__setitem__)
        for (md5, name), (digest, stamp) in zip(unsure, found, strict=True):
            is_sound = digest == md5[:32]
            if not is_sound and self.is_legacy(name):
                digest, stamp = read_steadily(name, legacy_digest)
                is_sound = digest == md5[:32]
            if is_sound:
                stamps[md5] = stamp
                if is_settled(stamp):
                    self._state.put_object(md5, stamp)
                continue
            size_now = stamps.pop(md5)[2]
            problems[md5] = (
                f"is damaged: {size_now:,} bytes, {size:,} were stored"
                if 0 <= size != size_now
                else "is damaged: its bytes have another digest"
            )
            distrust(name)
        if is_vouched_for and not problems:
            self._keep_sound(stamps)
        return problems, stamps

    def verified(self, md5s: Sequence[str], size: int, name: str) -> dict[str, Stamp]:
        """The stamps of sound objects, of which `name` is to be made.

        Raises
        ------
        StoreError
            One is missing or damaged.
        """
        looked_at_s, stamps = self._sound
        if time.monotonic() - looked_at_s < _JUST_NOW_S and size < 0 and stamps.keys() >= {*md5s}:
            return stamps
        problems, stamps = self.inspect(md5s, size, deep=True)
        for md5, problem in problems.items():
            raise self.unusable(md5, problem, name, len(problems) - 1)
        return stamps

    def unusable(self, md5: str, problem: str, name: str = "", others: int = 0) -> StoreError:
        """What is wrong with an object, and with how many others, which `name` was to be made of."""
        more = f", and {others:,} more are not sound" if others else ""
        left = f" `{shown(name)}` was not touched." if name else ""
        return StoreError(
            f"The object {shown(self.find(md5))} of the cache {problem}{more}.{left}",
            "`nbexp data fetch` gets it from a remote; `nbexp run --force` makes stage outputs again.",
        )

    # That all objects of a directory were found sound is remembered. Where its files are hard links to them, its own
    # stat data say that these are what they were, and that their names are still there the folders of objects, by
    # their times: 256 looks instead of one for each object. Elsewhere one look at each has to do.

    def lying(self) -> str:
        """What stands for all names of objects there are now; "" where a name may change and leave it as it was."""
        found = []
        now = time.time_ns()
        for folder in _names_in(self.top):
            try:
                found.append((folder, stamp_of(os.stat(f"{self.top}{os.sep}{folder}"))))
            except OSError:
                return ""
        if not are_settled([stamp for _, stamp in found], now):
            return ""
        try:
            # Empty files are copies, whose object no other file speaks for.
            found.append(("", stamp_of(os.stat(self.place_of(_EMPTY)))))
        except OSError:
            pass
        return digest_of_stamps(found)

    def saw(self, md5: str, digest: str, found: list[tuple[str, Stamp]]) -> None:
        """Take note of the files of a directory that was just looked at, and of the digest of their stamps."""
        self._seen[md5] = (digest, found)

    def are_as_sealed(self, md5: str, lying: str, md5s: Callable[[], Iterable[str]]) -> bool:
        """Whether the objects of a directory were all sound, and none can have changed since.

        `md5s` says which they are, if one must look at each.
        """
        kept = self._state.memos(_SEALED, [md5]).get(md5, "")
        seen = self._seen.get(md5)
        if seen is not None and lying and kept == f"{seen[0]} {lying}":
            return True
        if not kept.startswith(_EACH):
            return False
        names = list(dict.fromkeys(md5s()))
        now = time.time_ns()
        try:
            stamps = stamps_of(zip(names, map(os.stat, map(self.place_of, names)), strict=True))
        except OSError:
            return False
        if kept.rpartition(" ")[2] != digest_of_stamps(stamps):
            return False
        if kept.startswith(_VERIFIED):
            self._keep_sound(dict(stamps))
        if self._are_linked(md5, dict(stamps)):
            self.seal(md5, lying, dict(stamps), now)
        return True

    def seal(
        self,
        md5: str,
        lying: str,
        stamps: Mapping[str, Stamp],
        now_ns: int,
        *,
        is_verified: bool = False,
    ) -> None:
        """Remember that the objects of a directory are sound, if any later change must be seen.

        Parameters
        ----------
        stamps
            Those of all of them, by digest, in the order of the listing.
        now_ns
            From when on a change counts as later.
        is_verified
            The digest of each was taken as it lies there.
        """
        if self._are_linked(md5, stamps):
            if lying:
                self._state.remember(_SEALED, {md5: f"{self._seen[md5][0]} {lying}"})
        elif are_settled(stamps.values(), now_ns):
            kind = _VERIFIED if is_verified or self._sound[1].items() >= stamps.items() else _EACH
            self._state.remember(_SEALED, {md5: kind + digest_of_stamps([*stamps.items()])})

    def _are_linked(self, md5: str, stamps: Mapping[str, Stamp]) -> bool:
        """Whether the files of a directory that was looked at are links to these objects."""
        seen = self._seen.get(md5)
        if seen is None:
            return False
        objects = [stamp for name, stamp in stamps.items() if name != _EMPTY]
        # Of copies the first one tells, and no set of all is made.
        if objects and not any(stamp == objects[0] for _, stamp in seen[1]):
            return False
        return {*objects} <= {stamp for _, stamp in seen[1]}

    def _keep_sound(self, stamps: dict[str, Stamp]) -> None:
        """Keep for a moment that so many objects were just found sound, the digest of each taken as it lies there."""
        if len(stamps) >= _MANY:
            self._sound = time.monotonic(), stamps

    # How they get there ---------------------------------------------------------------------------

    def put(self, md5: str, data: bytes) -> None:
        """Make an object of bytes that have this digest."""
        if not self.inspect([md5], len(data), deep=True, legacy=False)[0]:
            return
        fresh = os.fspath(filesystem.temporary(self.unfinished))
        target = self.place_of(md5)
        try:
            filesystem.atomic_write(Path(fresh), data, mode=READ_ONLY, durable=False)
            flush_names({fresh})
            stamp = stamp_of(os.stat(fresh))
            rename_into(fresh, target, self.make)
        finally:
            discard(fresh)
        self._state.put_object(md5, stamp)
        crash_point("add.stored")
        self.flush_later({os.path.dirname(target)})

    def publish(
        self,
        new: Sequence[Staged],
        objects: dict[str, Stamp],
        pair: Pair,
        meanwhile: Iterable[None],
    ) -> None:
        """Give objects their final names, unless a sound one has it; `objects` receives the stamps of those that have it.

        `meanwhile` is done beside that, if there is somebody to do it.
        """
        alone = [one for one in new if not one.is_copy]
        for start in {one.md5[:2] for one in alone}:
            self.make(f"{self.top}{os.sep}{start}")

        def named(index: int, is_done: bool | None) -> None:
            one = alone[index]
            objects[one.md5] = one.stamp if is_done else self._publish_again(one)
            crash_point("add.stored")

        names = [(one.source, one.md5) for one in alone]
        pair.each(name_object, self.top, names, named, meanwhile)
        for one in new:
            if one.is_copy:
                rename_into(one.source, self.place_of(one.md5), self.make)
                objects[one.md5] = one.stamp
                crash_point("add.stored")

    def _publish_again(self, one: Staged) -> Stamp:
        """Give a workspace file the name of an object that something has, unless that is sound."""
        target = self.place_of(one.md5)
        problems, stamps = self.inspect([one.md5], deep=True, legacy=False)
        if not problems:
            return stamps[one.md5]
        fresh = os.fspath(filesystem.temporary(self.unfinished))
        os.link(one.source, fresh)
        rename_into(fresh, target, self.make)
        return one.stamp

    def make(self, folder: str) -> None:
        """Make a folder of the cache, and those above it."""
        filesystem.make_folders(folder, is_shared=self._shared)

    def make_all(self) -> Iterator[None]:
        """Make the folders of objects, one by one, for so many objects that each is going to get some."""
        for number in range(256):
            self.make(f"{self.top}{os.sep}{number:02x}")
            yield

    @contextmanager
    def gathering(self) -> Iterator[set[str]]:
        """While inside, names of new objects and run-cache entries are put into the set, for the caller to flush.

        The bytes of each object are flushed as always, before it has its name. A caller that must not tell anybody
        of the objects before they are sure to stay flushes the set first: `filesystem.sync`. When what is inside
        fails, it is flushed here.
        """
        names: set[str] = set()
        self._gathered = names
        try:
            yield names
        except BaseException:
            filesystem.sync(names)
            raise
        finally:
            self._gathered = None
            self._state.flush()

    def flush_later(self, names: set[str]) -> None:
        """Have new names on disk: now, or when whoever gathers them flushes them."""
        if self._gathered is not None:
            self._gathered |= names
        else:
            flush_names(names)

    def remember_now(self) -> None:
        """Write what was learnt to the database, unless whoever gathers does so in the end."""
        if self._gathered is None:
            self._state.flush()


def check_name(md5: str) -> None:
    """Refuse what would lead out of the cache: digests come from files that anybody may have written."""
    if not is_name(md5):
        raise StoreError(f"`{md5}` is not the name of an object of the cache.")


def is_name(md5: str) -> bool:
    """Whether it is a digest, or one with `.dir` at its end."""
    digits = md5.removesuffix(".dir")
    return len(digits) == 32 and _HEX.issuperset(digits)


def rename_into(source: str, target: str, make: Callable[[str], None]) -> None:
    """Move a file into a folder that is made when it is not there."""
    try:
        os.replace(source, target)
    except FileNotFoundError:
        make(os.path.dirname(target))
        os.replace(source, target)


def flush_names(names: set[str]) -> None:
    """Have files and folders on disk, each by itself or, if they are many, all that the file system holds back."""
    if len(names) > _SINGLE_FLUSHES:
        _flush_all(os.path.dirname(next(iter(names))))
    else:
        filesystem.sync(names)


def _flush_all(folder: str) -> None:
    """Flush the file system that `folder` lies in."""
    if sys.platform == "win32":
        return
    if sys.platform != "linux":
        os.sync()
        return
    import ctypes

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None).syncfs(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)


def distrust(name: str) -> None:
    """Take the read-only mode from a damaged object: `dvc status` then takes its digest, and says what is missing."""
    try:
        os.chmod(name, stat.S_IMODE(os.stat(name).st_mode) | stat.S_IWUSR)
    except OSError:
        pass  # not ours to change; nbexp looks at the bytes anyway


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
