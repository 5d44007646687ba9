"""Where the files of a commit are, and how they come here: from Git, the cache or a remote; no workspace is touched.

`get`, `open`, `read` and `path` share it. Of a directory the listing comes first; its files only where they are
asked for, so that one file of a commit is one object of a remote.
"""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nbexp import filesystem
from nbexp.errors import NotFound, ProjectFileError, StoreError, nearest
from nbexp.events import Emit, Notice, ignore
from nbexp.experiments import place
from nbexp.experiments.data import Site
from nbexp.experiments.data.used import Used, used
from nbexp.formats import dvc_yaml
from nbexp.formats.config import Config
from nbexp.formats.dvc_file import SUFFIX
from nbexp.frozen import frozen, replace
from nbexp.pipeline.graph import DVC_YAML, is_inside
from nbexp.store import remotes, transfer

LINK = "120000"
_SUBMODULE = "160000"
_SMALL_BYTES = 8 << 20  # held in memory


@frozen
class File:
    """One file of a commit: a blob of Git (`oid`), or an object of the cache (`md5`).

    `mode` is Git's; `size` is None where only the remote knows; `remote` is the one that its output names.
    """

    oid: str = ""
    md5: str = ""
    mode: str = "100644"
    size: int | None = None
    remote: str | None = None

    @property
    def digest(self) -> str:
        """What tells its contents from all others."""
        return self.md5 or self.oid


@frozen
class Located:
    """What a path of a commit is: a file, or all files below a directory by their path there."""

    path: str
    files: Mapping[str, File]

    def __hash__(self) -> int:
        return hash((self.path, tuple(self.files)))

    @property
    def file(self) -> File | None:
        """The file that the path is; None of a directory."""
        return self.files.get("")

    def part(self, inner: str) -> Located:
        """One file of a directory."""
        return Located(posixpath.join(self.path, inner), {"": self.files[inner]})


class Contents:
    """The files of one commit, wherever they are.

    Parameters
    ----------
    config
        Gives the configuration of the remotes; asked when something has to come from one.
    remote
        The remote that has the data, instead of those that the outputs name.
    """

    def __init__(
        self,
        site: Site,
        rev: str,
        config: Callable[[], Config],
        *,
        remote: str | None = None,
        jobs: int | None = None,
        emit: Emit = ignore,
    ) -> None:
        self.site = site
        self.rev = rev
        self._config = config
        self._remote = remote
        self._jobs = jobs
        self._emit = emit
        self._top = f"{site.prefix}/" if site.prefix else ""
        self._known: list[Used] | None = None

    @property
    def outs(self) -> list[Used]:
        """The outputs of the commit, and what each held; none where its files of stages cannot be read, which is told."""
        if self._known is None:
            try:
                self._known = used(self.site, revs=[self.rev], workspace=False, emit=self._emit)
            except ProjectFileError as error:
                self._emit(Notice(f"The data of {self.rev[:7]} is left out: {error.message}"))
                self._known = []
        return self._known

    def resolved(self, path: str) -> str:
        """The path that is meant, relative to the root: as typed here, else as the project has it, else an artifact.

        Raises
        ------
        NotFound
            The commit has no such path; the nearest is in the hint.
        """
        plain = path.rstrip("/") or "."
        for wanted in dict.fromkeys(
            (posixpath.normpath(posixpath.join(self.site.here, plain)), posixpath.normpath(plain))
        ):
            if wanted == "." or self.site.git.info(f"{self.rev}:{self._top}{wanted}") is not None:
                return wanted
            if any(is_inside(wanted, one.path) or is_inside(one.path, wanted) for one in self.outs):
                return wanted
        artifact = self._artifact(path)
        if artifact is not None:
            return artifact
        raise self.unknown(path)

    def locate(self, path: str, *, records: bool = True) -> Located:
        """The file or directory at a path, relative to the root; of a directory in the cache, its listing comes here.

        Parameters
        ----------
        records
            `.dvc` and dvc.yaml files are among the files of a directory.

        Raises
        ------
        NotFound
            There is nothing at the path.
        StoreError
            Neither cache nor remote has the listing of the directory.
        """
        # What a failed run left of its outputs is in the tree; its dvc.lock says what was there before.
        found = self._tracked(path, records=records)
        held = [posixpath.join(path, inner) if inner else path for inner in found]
        for one in self.outs:
            if not (is_inside(path, one.path) or is_inside(one.path, path)):
                continue
            if any(is_inside(posixpath.normpath(inner), one.path) for inner in held):
                continue
            remote = one.out.remote
            if not one.md5.endswith(".dir"):
                if is_inside(one.path, path):
                    mode = "100755" if one.locked.isexec else "100644"
                    file = File(md5=one.md5, mode=mode, size=one.locked.size, remote=remote)
                    found[_below(one.path, path)] = file
                continue
            if not self.site.cache.has_object(one.md5):
                self._fetch({one.md5: one.path}, remote, listings=True)
            for item in self.site.cache.items(one.md5):
                inner = posixpath.join(one.path, item.relpath)
                if is_inside(inner, path):
                    found[_below(inner, path)] = File(md5=item.md5, remote=remote)
        if not found:
            raise self.unknown(path)
        return Located(path, found)

    def bring(self, located: Located) -> None:
        """Have the bytes of all these files on this disk: what the cache lacks is fetched, and nothing else.

        Raises
        ------
        StoreError
            Neither cache nor remote has one of them.
        """
        wanted = {
            file.md5: (file.remote, posixpath.join(located.path, inner) if inner else located.path)
            for inner, file in located.files.items()
            if file.md5
        }
        lacking = self.site.cache.missing(wanted)
        groups: dict[str | None, dict[str, str]] = {}
        for md5 in lacking:
            remote, shown = wanted[md5]
            groups.setdefault(remote, {})[md5] = shown
        for remote, paths in groups.items():
            self._fetch(paths, remote)

    def sized(self, located: Located) -> Located:
        """The same with the sizes that are known without fetching anything."""
        oids = [file.oid for file in located.files.values() if file.oid]
        infos = dict(zip(oids, self.site.git.info_many(oids), strict=True))
        found = {}
        for inner, file in located.files.items():
            size = file.size
            if file.oid:
                info = infos[file.oid]
                size = info[2] if info is not None else None
            elif size is None:
                size = _size(self.site.cache.path(file.md5))
            found[inner] = replace(file, size=size)
        return Located(located.path, found)

    def read(self, file: File) -> bytes:
        """The bytes of a file that is here."""
        if file.md5:
            return self.site.cache.read(file.md5)
        return self.site.git.read(file.oid) or b""

    @contextmanager
    def opened(self, file: File) -> Iterator[BinaryIO]:
        """A file that is here, to read from its beginning; a big one is never in memory whole."""
        if file.md5:
            with open(self.site.cache.path(file.md5), "rb") as stream:
                yield stream
        elif file.size is not None and file.size > _SMALL_BYTES:
            with self.site.git.streamed(file.oid) as stream:
                yield stream
        else:
            yield io.BytesIO(self.read(file))

    def write(self, located: Located, target: Path) -> int:
        """Put the file or directory, which is here, at `target` in one step, replacing what is there; its size."""
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = filesystem.temporary(target.parent)
        try:
            size = self.build(located, fresh, ["reflink", "copy"])
            if os.path.lexists(target):
                filesystem.remove(target)
            os.replace(fresh, target)
        finally:
            filesystem.remove(fresh)
        return size

    def build(self, located: Located, fresh: Path, kinds: Sequence[str]) -> int:
        """Make the file or directory at a place where nothing is, objects of the cache linked as said; its size."""
        size = 0
        for inner, file in located.files.items():
            target = fresh / inner if inner else fresh
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.md5:
                kind = filesystem.link(self.site.cache.path(file.md5), target, kinds)
                if file.mode == "100755" and kind in ("reflink", "copy"):
                    target.chmod(target.stat().st_mode | 0o111)
            elif file.mode == LINK:
                os.symlink(os.fsdecode(self.read(file)), target)
                continue
            else:
                with self.opened(file) as source, target.open("xb") as out:
                    while data := source.read(1 << 20):
                        out.write(data)
                if file.mode == "100755":
                    target.chmod(target.stat().st_mode | 0o111)
            size += target.stat().st_size
        return size

    def unknown(self, path: str) -> NotFound:
        """That the commit has nothing of that name, with what is spelled like it."""
        outs = [one.path for one in self.outs]
        near = nearest(path, outs)
        if near is None:
            tree = self.site.git.tree(self.rev, prefix=self._top.rstrip("/"))
            near = nearest(path, [name.removeprefix(self._top) for name in tree])
        hint = f"did you mean `{near}`?" if near else None
        if hint is None and outs:
            hint = f"its data: {', '.join(sorted(outs)[:5])}."
        return NotFound(
            f"{self.rev[:7]} has no `{path}`, as a file, as data or as an artifact.", hint
        )

    def _tracked(self, path: str, *, records: bool) -> dict[str, File]:
        """The files that Git has at the path or below it."""
        prefix = f"{self._top}{path}" if path != "." else self._top.rstrip("/")
        found = {}
        for name, entry in self.site.git.tree(self.rev, prefix=prefix).items():
            inner = name.removeprefix(self._top)
            is_record = inner.endswith(SUFFIX) or posixpath.basename(inner) == DVC_YAML
            # Git refuses such names, but whoever makes a commit need not ask Git.
            is_odd = not {"", ".", ".."}.isdisjoint(inner.split("/"))
            if not is_inside(inner, path) or entry.mode == _SUBMODULE or is_odd:
                continue
            if inner == path or records or not is_record:
                found[_below(inner, path)] = File(oid=entry.oid, mode=entry.mode)
        return found

    def _artifact(self, name: str) -> str | None:
        """The path of an artifact: `NAME`, or `sub/dvc.yaml:NAME`, or `sub:NAME`."""
        file, colon, last = name.rpartition(":")
        if colon and posixpath.basename(file) != DVC_YAML:
            file = posixpath.join(file, DVC_YAML)
        file = posixpath.normpath(posixpath.join(self.site.here, file or DVC_YAML))
        read = place.files_of(self.site.git, self.site.prefix, self.rev)
        for folder in dict.fromkeys((file, DVC_YAML)):
            data = read(folder)
            if data is None:
                continue
            found = dvc_yaml.parse(data, folder, read).artifacts.get(last)
            path = found.get("path") if found is not None else None
            if isinstance(path, str):
                return posixpath.normpath(posixpath.join(posixpath.dirname(folder), path))
        return None

    def _fetch(
        self, paths: Mapping[str, str], remote: str | None, *, listings: bool = False
    ) -> None:
        """Bring objects into the cache: digest -> the path to name in a message."""
        shown = next(iter(paths.values()))
        name = self._remote or remote
        try:
            opened = remotes.open(self._config(), name)
        except NotFound:
            if name is not None:
                raise
            raise StoreError(
                f"The cache lacks {shown} of {self.rev[:7]}.",
                "`nbexp data fetch` brings it when a remote has it.",
            ) from None
        parts: dict[str, Sequence[str]] = dict.fromkeys(paths, ()) if listings else {}
        try:
            done = transfer.fetch(
                paths, opened, self.site.cache, parts=parts, jobs=self._jobs, emit=self._emit
            )
        finally:
            opened.close()
        lost = [*done.missing, *done.failed]
        if lost:
            why = next(iter(done.failed.values()), "it is not there")
            raise StoreError(
                f"{opened.url} cannot give {paths.get(lost[0], shown)}: {why}. Nothing was written.",
                "who has the data can `nbexp data push` it.",
            )


def _below(path: str, folder: str) -> str:
    return "" if path == folder else posixpath.relpath(path, folder)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
