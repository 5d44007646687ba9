"""Workspace files into the cache: hashed, flushed, named, and linked to their objects if that is asked for.

Nothing under a final name is ever half done, neither object nor workspace file: whoever is killed starts again.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from nbexp import filesystem
from nbexp.filesystem import crash_point
from nbexp.store.links import Links
from nbexp.store.objects import Objects, flush_names
from nbexp.store.reading import Stamp, apart, changing, in_threads, is_settled, stamp_of
from nbexp.store.staging import Place, Staged, discard, stage, stage_small, staged
from nbexp.store.state import State, digest_in
from nbexp.store.two_processes import Pair

# Rows written in one go while another process links files; in the order of their keys, or all pages are written each time.
STEP = 2000

_source_of = attrgetter("source")
_md5_of = attrgetter("md5")


class Storing:
    """One call's files on their way into the cache.

    Parameters
    ----------
    counter
        Given how many files there are to hash, says what to call for each that is done.
    pair
        Two processes, for small files.
    """

    def __init__(
        self,
        objects: Objects,
        links: Links,
        state: State,
        counter: Callable[[int], Callable[[], None]],
        pair: Pair,
    ) -> None:
        self._objects = objects
        self._links = links
        self._state = state
        self._counter = counter
        self._pair = pair
        # Those that have themselves become objects, and those whose digest is remembered already.
        self._adopted: set[str] = set()
        self._noted: set[str] = set()
        self.objects: Mapping[str, Stamp] = {}

    def store(
        self,
        files: Sequence[tuple[str, Stamp]],
        rows: Mapping[str, tuple[Stamp, str]],
        home: str,
    ) -> tuple[list[str], list[Stamp]]:
        """Put files into the cache, link them if that is asked for; their digests, and stamps from now on.

        `rows` has what is remembered of the files, `home` is the path that is stored. The stamps of the objects are
        then in `objects`, by digest.
        """
        kind = self._links.kind_at(home)
        md5s = [digest_in(rows, name, stamp) for name, stamp in files]
        problems, objects = self._objects.inspect(
            [md5 for md5 in dict.fromkeys(md5s) if md5], deep=True, legacy=False
        )
        todo = [index for index, md5 in enumerate(md5s) if not md5 or md5 in problems]
        if todo:
            objects.update(self._store_missing(files, md5s, todo, kind))
        self.objects = objects
        adopted, noted = self._adopted, self._noted
        stamps = [stamp for _, stamp in files]
        if kind in ("hardlink", "symlink"):
            for index, (name, stamp) in enumerate(files):
                if kind == "symlink" or name not in adopted:
                    md5 = md5s[index]
                    stamps[index] = self._relink(name, stamp, md5, objects[md5], kind)
        now = time.time_ns()
        learnt = {
            name: (stamp, md5)
            for (name, _), stamp, md5 in zip(files, stamps, md5s, strict=True)
            if not (name in noted and name in adopted)
            and is_settled(stamp, now)
            and digest_in(rows, name, stamp) != md5
        }
        self._state.put_many(learnt, {})
        return md5s, stamps

    def _store_missing(
        self,
        files: Sequence[tuple[str, Stamp]],
        md5s: list[str],
        todo: Sequence[int],
        kind: str,
    ) -> dict[str, Stamp]:
        """Hash and store the files `todo`, all of them flushed before the first gets its name as an object.

        `md5s` receives their digests; the answer has the stamps of the objects.
        """
        unfinished = self._objects.unfinished
        self._objects.make(os.fspath(unfinished))
        copies = 0 if kind in ("hardlink", "symlink") else len(todo)
        with filesystem.scattered(unfinished, copies) as folders:
            place = (kind, os.stat(unfinished).st_dev, folders)
            return self._store_by(place, files, md5s, todo)

    def _store_by(
        self,
        place: Place,
        files: Sequence[tuple[str, Stamp]],
        md5s: list[str],
        todo: Sequence[int],
    ) -> dict[str, Stamp]:
        temporary: set[str] = set()
        modes: dict[str, int] = {}
        changed: list[str] = []
        wanted: dict[str, Staged] = {}

        count = self._counter(len(todo))

        def keep(number: int, one: Staged) -> None:
            if one.is_copy:
                temporary.add(one.source)
            else:
                modes[one.source] = one.mode
            index = todo[number]
            md5s[index] = one.md5
            if one.read != files[index][1]:
                changed.append(files[index][0])
            wanted.setdefault(one.md5, one)
            count()

        try:
            names = [files[index][0] for index in todo]
            small, big = apart([files[index][1][2] for index in todo])

            def keep_small(index: int, one: tuple[Any, ...] | None) -> None:
                assert one is not None
                number = small[index]
                keep(number, staged(names[number], one))

            self._pair.each(
                stage_small,
                place,
                [names[number] for number in small],
                keep_small,
                self._objects.make_all(),
            )
            in_threads(big, lambda number, stop: keep(number, stage(place, names[number], stop)))
            crash_point("add.hashed")
            if changed:
                raise changing(min(changed))
            # A copy replaces what is there, a link does not: only before the first kind must one look.
            copies = [one.md5 for one in wanted.values() if one.is_copy]
            problems, objects = self._objects.inspect(copies, deep=True, legacy=False)
            new = [one for md5, one in wanted.items() if not one.is_copy or md5 in problems]
            flush_names({one.source for one in new})

            def learn() -> Iterator[None]:
                now = time.time_ns()
                alone = [one for one in new if not one.is_copy and is_settled(one.stamp, now)]
                by_name, by_md5 = sorted(alone, key=_source_of), sorted(alone, key=_md5_of)
                yield
                for start in range(0, len(alone), STEP):
                    files, named = by_name[start:][:STEP], by_md5[start:][:STEP]
                    self._noted.update([one.source for one in files])
                    self._state.put_many(
                        {one.source: (one.stamp, one.md5) for one in files},
                        {one.md5: one.stamp for one in named},
                    )
                    self._objects.remember_now()
                    yield

            self._objects.publish(new, objects, self._pair, learn())
            temporary.difference_update(one.source for one in new)
            self._objects.flush_later(
                {f"{self._objects.top}{os.sep}{start}" for start in {one.md5[:2] for one in new}}
            )
        except BaseException:
            for name, mode in modes.items():
                _restore_mode(name, mode)
            raise
        finally:
            for name in temporary:
                discard(name)
        now = time.time_ns()
        learnt: dict[str, Stamp] = {}
        for one in new:
            stamp = objects[one.md5]
            if one.is_copy:
                learnt[one.md5] = stamp  # nobody else ever had it open
                continue
            if stamp[0] == one.stamp[0]:
                self._adopted.add(one.source)
            if (stamp != one.stamp or one.source not in self._noted) and is_settled(stamp, now):
                learnt[one.md5] = stamp
        self._state.put_many({}, learnt)
        return objects

    def _relink(self, name: str, stamp: Stamp, md5: str, object_stamp: Stamp, kind: str) -> Stamp:
        """Make a workspace file a link to its object, if it is none; its stamp afterwards."""
        if kind == "hardlink" and stamp[2] == 0:
            return (
                stamp  # DVC too: a data set may have more empty files than an inode may have names
            )
        if kind == "hardlink" and stamp[0] == object_stamp[0] and not os.path.islink(name):
            return object_stamp
        source = self._objects.place_of(md5)
        if kind == "symlink" and os.path.islink(name) and os.readlink(name) == source:
            return object_stamp
        # A link to another file of this directory has the object's stamp when that file was replaced before it.
        if stamp_of(os.stat(name)) not in (stamp, object_stamp):
            raise changing(name)
        # Not beside the file: what a killed process leaves would lie among the user's data.
        fresh = os.fspath(filesystem.temporary(self._objects.unfinished))
        try:
            filesystem.link(source, fresh, self._links.kinds_at(name))
            crash_point("place.linked")
            os.replace(fresh, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            filesystem.place(Path(source), Path(name), self._links.kinds_at(name))
        finally:
            discard(fresh)
        crash_point("add.linked")
        return stamp_of(os.stat(name))


def _restore_mode(name: str, mode: int) -> None:
    """Make a workspace file as writable as it was, if it has not become an object."""
    try:
        if os.stat(name).st_nlink == 1:
            os.chmod(name, mode)
    except OSError:
        pass  # gone meanwhile
