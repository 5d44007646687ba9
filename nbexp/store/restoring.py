"""Workspace paths from the cache: made of objects beside their place, and then put there.

Killed at any instruction, what was at the path is still there, or the new one is, or for an instant the old one lies
beside it under a temporary name.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nbexp import filesystem
from nbexp.filesystem import crash_point
from nbexp.formats.directory import Item
from nbexp.store.links import Links
from nbexp.store.objects import Objects
from nbexp.store.reading import Stamp, are_settled, digest_of_stamps, is_settled
from nbexp.store.staging import name_again, place, settle
from nbexp.store.state import State
from nbexp.store.storing import STEP
from nbexp.store.two_processes import Pair


class Restoring:
    """One path on its way out of the cache.

    Parameters
    ----------
    name
        Where it is going to be.
    counter
        Given how many files there are to make, says what to call for each that is done.
    """

    def __init__(
        self,
        name: str,
        objects: Objects,
        links: Links,
        state: State,
        counter: Callable[[int], Callable[[], None]],
    ) -> None:
        self._name = name
        self._objects = objects
        self._links = links
        self._state = state
        self._counter = counter
        self._items: Sequence[Item] = ()
        self._placed: dict[str, Stamp] = {}
        self._noted: set[str] = set()  # those whose digest is remembered already

    def link(self, fresh: str, md5: str, stamp: Stamp) -> Stamp:
        """Make a file at `fresh` of an object that has this stamp; the stamp that the file has."""
        kinds = self._links.kinds_at(fresh)
        return self._place(kinds, (self._objects.place_of(md5), fresh, stamp), md5)

    def build(
        self,
        fresh: str,
        items: Sequence[Item],
        stamps: Mapping[str, Stamp],
        old: Mapping[str, tuple[str, Stamp]],
        source: str,
        pair: Pair,
    ) -> None:
        """Make the whole tree at `fresh`, taking over what is unchanged in the old one.

        Parameters
        ----------
        items
            What it is to hold, and with `stamps` what its objects have, by digest.
        old
            The digests and stamps of the old tree's files by path, and with `source` where that tree is.
        pair
            Two processes, for many files.
        """
        name, placed, noted = self._name, self._placed, self._noted
        self._items = items
        kinds = self._links.kinds_at(name)
        folders = folders_of(item.relpath for item in items)
        os.mkdir(fresh)
        for folder in sorted(folders):
            os.mkdir(f"{fresh}/{folder}")
        count = self._counter(len(items))
        anew: list[Item] = []
        same: list[Item] = []
        for item in items:
            present = old.get(item.relpath)
            (same if present is not None and present[0] == item.md5 else anew).append(item)

        def keep_old(index: int, is_done: bool | None) -> None:
            item = same[index]
            if not is_done:  # too many names, or a file system without hard links
                anew.append(item)
                return
            placed[item.relpath] = old[item.relpath][1]
            count()

        pairs = [(f"{source}/{item.relpath}", f"{fresh}/{item.relpath}") for item in same]
        pair.each(name_again, None, pairs, keep_old)
        place_of = self._objects.place_of
        asked = [(place_of(item.md5), f"{fresh}/{item.relpath}", stamps[item.md5]) for item in anew]

        def keep(index: int, stamp: Stamp | None) -> None:
            item = anew[index]
            placed[item.relpath] = stamp or self._place(kinds, asked[index], item.md5)
            count()

        def learn() -> Iterator[None]:
            now = time.time_ns()
            for start in range(0, len(anew), STEP):
                files = {}
                for item, (_, _, stamp) in zip(anew[start:][:STEP], asked[start:], strict=False):
                    if stamp[2] and is_settled(stamp, now):
                        noted.add(item.relpath)
                        files[f"{name}/{item.relpath}"] = (stamp, item.md5)
                self._state.put_many(files, {})
                self._objects.remember_now()
                yield

        # A link has the stamp of its object, and a name that is not there yet is not found under it.
        pair.each(place, kinds, asked, keep, learn() if kinds[0] == "hardlink" else ())
        # Nobody but us has had the youngest copies open: with an older time the next look need not read them again.
        now = time.time_ns()
        for item, (_, target, stamp) in zip(anew, asked, strict=True):
            made = placed[item.relpath]
            if made != stamp and not is_settled(made, now):
                placed[item.relpath] = settle(target, made)

    def learn(self, md5: str) -> None:
        """Remember what the tree holds, now that it is in its place."""
        name, placed, noted = self._name, self._placed, self._noted
        now = time.time_ns()
        for item in self._items:
            if item.relpath not in noted and is_settled(placed[item.relpath], now):
                self._state.put(f"{name}/{item.relpath}", placed[item.relpath], item.md5)
        if are_settled(placed.values(), now):
            digest = digest_of_stamps(sorted(placed.items()))
            self._state.put_tree(name, digest, md5, self._links.kind_at(name))

    def _place(self, kinds: tuple[str, ...], asked: tuple[str, str, Stamp], md5: str) -> Stamp:
        """As `place`, for an object of DVC 2.x as well."""
        stamp = place(kinds, asked) or place(kinds, (self._objects.find(md5), *asked[1:]))
        if stamp is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), asked[0])
        return stamp


def take_over(relpaths: Iterable[str], source: str, fresh: str) -> None:
    """Give what the ignore rules hide a second name in the new tree, so that no instant has it nowhere."""
    for relpath in relpaths:
        _take_over(f"{source}/{relpath}", f"{fresh}/{relpath}")


def swap(fresh: str, name: str) -> None:
    """Put what is complete at `fresh` in the place of whatever is at `name`."""
    try:
        is_folder = stat.S_ISDIR(os.lstat(name).st_mode)
    except FileNotFoundError:
        is_folder = False
    else:
        is_folder = is_folder or os.path.isdir(fresh)
    if not is_folder:
        os.replace(fresh, name)
        return
    aside = os.fspath(filesystem.temporary(Path(os.path.dirname(name))))
    try:
        os.rename(name, aside)
    except OSError as error:
        # A mount point cannot be renamed, nor on overlayfs a folder of a lower layer.
        if error.errno not in (errno.EBUSY, errno.EXDEV, errno.EINVAL) or not os.path.isdir(fresh):
            raise
        _pour(fresh, name)
        return
    crash_point("checkout.moved")
    try:
        os.rename(fresh, name)
    except BaseException:
        os.rename(aside, name)
        raise
    crash_point("checkout.swapped")
    filesystem.remove(Path(aside))


def _pour(fresh: str, name: str) -> None:
    """Make the folder `name` equal to `fresh` file by file, where it cannot be swapped as a whole."""
    wanted = {""}
    for folder, folders, files in os.walk(fresh):
        inner = os.path.relpath(folder, fresh) if folder != fresh else ""
        for one in folders:
            relpath = os.path.join(inner, one)
            target = os.path.join(name, relpath)
            wanted.add(relpath)
            if os.path.islink(target) or not os.path.isdir(target):
                filesystem.remove(Path(target))
                os.mkdir(target)
        for one in files:
            relpath = os.path.join(inner, one)
            target = os.path.join(name, relpath)
            wanted.add(relpath)
            if os.path.isdir(target) and not os.path.islink(target):
                filesystem.remove(Path(target))
            try:
                os.replace(os.path.join(folder, one), target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                filesystem.place(Path(folder, one), Path(target), ["copy"])
    for folder, folders, files in os.walk(name, topdown=False):
        inner = os.path.relpath(folder, name) if folder != name else ""
        for one in (*files, *folders):
            if os.path.join(inner, one) not in wanted:
                filesystem.remove(Path(folder, one))


def _take_over(source: str, target: str) -> None:
    if os.path.isdir(source) and not os.path.islink(source):
        os.makedirs(target, exist_ok=True)
        for name in os.listdir(source):
            _take_over(f"{source}/{name}", f"{target}/{name}")
        return
    folder = os.path.dirname(target)
    leads = os.path.islink(source) and os.path.exists(source)
    if leads and not os.path.exists(os.path.join(folder, os.readlink(source))):
        return  # what it led to goes with the old tree: a link to nothing cannot be looked into
    os.makedirs(folder, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        pass
    except OSError:
        import shutil

        shutil.copy2(source, target, follow_symlinks=False)


def folders_of(relpaths: Iterable[str]) -> set[str]:
    """Every folder that the files lie in, at any depth."""
    folders: set[str] = set()
    for relpath in relpaths:
        folder = relpath.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders
