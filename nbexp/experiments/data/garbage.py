"""What nothing needs any more: which objects of the cache, where they came from, and taking them away."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import ProjectFileError
from nbexp.events import Emit, Phase
from nbexp.experiments.data.needed import MAX_LEAVES, NAMES, Keeper, Selection, check, lines
from nbexp.formats import dvc_lock, values
from nbexp.formats.dvc_file import SUFFIX
from nbexp.frozen import field, frozen
from nbexp.results import Result
from nbexp.store import runs
from nbexp.store.objects import Object

if TYPE_CHECKING:
    from nbexp.experiments.data import Site
    from nbexp.store.remotes import Entry

_UNKNOWN = "(known to no commit)"


@frozen
class Group:
    """Objects that nothing needs and that were at one path; `last` is the newest commit that has them there."""

    path: str
    objects: int
    size_bytes: int
    last: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "path": self.path,
            "objects": self.objects,
            "size": self.size_bytes,
            "last": self.last,
        }


@frozen
class Elsewhere:
    """What is asked of a remote (None: the default one): not to keep what it has, or to collect there as well."""

    not_in_remote: bool = False
    cloud: bool = False
    remote: str | None = None
    jobs: int | None = None


@frozen
class Garbage(Result):
    """What nothing needs: `groups` by path, biggest first; `runs` are run-cache entries that lose an output.

    `removed` says whether it is gone. `in_remote` are objects of the remote that nothing needs.
    """

    folder: str
    objects: int
    size_bytes: int
    kept: int
    groups: tuple[Group, ...]
    runs: tuple[str, ...] = ()
    removed: bool = False
    in_remote: int = 0
    remote_bytes: int = 0
    md5s: tuple[str, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, object]:
        return {
            "removed": self.removed,
            "objects": self.objects,
            "size": self.size_bytes,
            "kept": self.kept,
            "cache": self.folder,
            "from": [group.to_json() for group in self.groups],
            "runs": list(self.runs),
            "in_remote": {"objects": self.in_remote, "size": self.remote_bytes},
        }


def collect(
    site: Site,
    selection: Selection,
    emit: Emit,
    *,
    projects: Sequence[str | os.PathLike[str]] = (),
    skip_failed: bool = False,
    yes: bool = False,
    elsewhere: Elsewhere = Elsewhere(),  # noqa: B008 - it is frozen
) -> Garbage:
    """See `TrackedData.gc`."""
    check(selection)
    with site.workspace().held(emit):
        keeper = Keeper(site.git, skip_failed, emit, site)
        keeper.keep_project(site.root, site.prefix, selection)
        for other in projects:
            keeper.keep_other(Path(other), selection)
        keeper.keep_listed()
        if elsewhere.not_in_remote:
            _let_go_of_what_is_there(site, keeper, elsewhere)
        found = [*site.cache.objects()]
        garbage = [one for one in found if one.md5 not in keeper.kept]
        lost = _runs_without(site, {one.md5 for one in garbage})
        groups = _groups(site, garbage, emit) if garbage else ()
        there = _in_remote(site, keeper.kept, elsewhere) if elsewhere.cloud else []
        if yes:
            emit(Phase("removing objects", 0, len(garbage)))
            site.cache.discard(garbage)
            _remove_there(site, there, elsewhere)
    return Garbage(
        _shown(site),
        len(garbage),
        sum(one.size for one in garbage),
        len(found) - len(garbage),
        groups,
        lost,
        yes,
        len(there),
        sum(one.size for one in there),
        tuple(one.md5 for one in garbage),
    )


def _let_go_of_what_is_there(site: Site, keeper: Keeper, elsewhere: Elsewhere) -> None:
    """What was asked for is kept only as far as the remote lacks it; what always is, stays kept."""
    from nbexp.store import remotes, transfer

    remote = remotes.open(site.config(), elsewhere.remote)
    optional = keeper.kept - keeper.always
    sides = transfer.compare(optional, remote, site.cache, jobs=elsewhere.jobs)
    remote.close()
    keeper.kept -= sides.both | sides.deleted


def _in_remote(site: Site, kept: set[str], elsewhere: Elsewhere) -> list[Entry]:
    """The objects of the remote that nothing needs, listings of directories first."""
    from nbexp.store import remotes

    remote = remotes.open(site.config(), elsewhere.remote)
    found = [
        entry
        for entry in remote.list("files/md5/")
        if _OBJECT.fullmatch(entry.key) and "".join(entry.key.split("/")[-2:]) not in kept
    ]
    remote.close()
    return sorted(found, key=lambda entry: not entry.key.endswith(".dir"))


_OBJECT = re.compile(r"files/md5/[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?")


def _remove_there(site: Site, entries: Sequence[Entry], elsewhere: Elsewhere) -> None:
    from nbexp.store import remotes

    if entries:
        remote = remotes.open(site.config(), elsewhere.remote)
        for entry in entries:
            remote.remove(entry.key)
        remote.close()


def origins(site: Site, objects: Iterable[Object], emit: Emit) -> tuple[Group, ...]:
    """Which paths of which commits these objects were at, the biggest first."""
    return _groups(site, objects, emit)


def _groups(site: Site, garbage: Iterable[Object], emit: Emit) -> tuple[Group, ...]:
    """The objects by the path they were at, as far as a commit or the run cache knows one."""
    sizes = {one.md5: one.size for one in garbage}
    emit(Phase("looking where it came from"))
    owners: dict[str, tuple[str, str]] = {}
    for path, md5, last in [*_known_in_git(site), *_known_in_runs(site)]:
        names = [md5]
        if md5.endswith(".dir") and md5 in sizes and site.cache.has_object(md5):
            names += [item.md5 for item in site.cache.items(md5)]
        for name in names:
            if name in sizes:
                owners.setdefault(name, (path, last))
    totals: dict[str, tuple[int, int, str]] = {}
    for md5, size in sizes.items():
        path, last = owners.get(md5, (_UNKNOWN, ""))
        count, total, first = totals.get(path, (0, 0, last))
        totals[path] = (count + 1, total + size, first or last)
    groups = [Group(path, count, total, last) for path, (count, total, last) in totals.items()]
    return tuple(sorted(groups, key=lambda one: (-one.size_bytes, one.path)))


def _known_in_git(site: Site) -> Iterator[tuple[str, str, str]]:
    """The path, hash and commit of outputs in all commits there are, the newest first."""
    git, top = site.git, f"{site.prefix}/" if site.prefix else ""
    revs = list(
        lines(git.run("rev-list", "--ignore-missing", "--all", f"--max-count={_MOST_COMMITS}"))
    )
    seen: set[str] = set()
    for name in NAMES:
        listed = git.paths_named(revs, name)
        places = [(rev, path) for rev in revs for path in listed[rev] if path.startswith(top)]
        infos = git.info_many([f"{rev}:{path}" for rev, path in places])
        new = []
        for (rev, path), info in zip(places, infos, strict=True):
            if info is not None and info[0] not in seen:
                seen.add(info[0])
                new.append((rev, path, info[0]))
        texts = git.read_many([oid for _, _, oid in new])
        for (rev, path, _), data in zip(new, texts, strict=True):
            folder = posixpath.dirname(path[len(top) :])
            for out, md5 in _paths_in(data or b"", path):
                yield posixpath.normpath(posixpath.join(folder, out)), md5, rev[:7]


_MOST_COMMITS = 10_000


def _known_in_runs(site: Site) -> Iterator[tuple[str, str, str]]:
    for _, entry in _run_entries(site):
        for out in entry.outs:
            yield out.path, out.md5, "run cache"


def _paths_in(data: bytes, path: str) -> Iterator[tuple[str, str]]:
    try:
        tree = values.parse(data, path, max_leaves=MAX_LEAVES)
    except ProjectFileError:
        return
    if not isinstance(tree, Mapping):
        return
    stages = tree.get("stages")
    entries = [tree] if path.endswith(SUFFIX) else []
    if isinstance(stages, Mapping):
        entries += [one for one in stages.values() if isinstance(one, Mapping)]
    for entry in entries:
        outs = entry.get("outs")
        for out in outs if isinstance(outs, list) else ():
            if isinstance(out, Mapping) and isinstance(out.get("md5"), str):
                yield str(out.get("path")), str(out["md5"])


def _run_entries(site: Site) -> Iterator[tuple[str, dvc_lock.LockedStage]]:
    for file in runs.listed(site.cache.folder):
        entry = dvc_lock.parse_entry(Path(file.path).read_bytes())
        if entry is not None:
            yield file.key, entry


def _runs_without(site: Site, gone: set[str]) -> tuple[str, ...]:
    """The run-cache entries that can bring nothing back any more, by their outputs and the start of their key."""
    return tuple(
        f"{key[:7]} ({', '.join(out.path for out in entry.outs)})"
        for key, entry in _run_entries(site)
        if any(out.md5 in gone for out in entry.outs)
    )


def _shown(site: Site) -> str:
    folder = site.cache.folder
    try:
        return folder.relative_to(site.root).as_posix()
    except ValueError:
        return str(folder)
