"""Data to remotes and back: `push`, `fetch`, `pull`, and how cache and remote differ."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.errors import NotFound, StoreError
from nbexp.events import Emit, Notice
from nbexp.experiments.data.used import Used, revisions, used
from nbexp.formats.config import Config
from nbexp.frozen import field, frozen
from nbexp.pipeline.graph import is_inside
from nbexp.results import Result
from nbexp.store import remotes, transfer
from nbexp.store.remotes import Remote
from nbexp.store.transfer import Transfer

if TYPE_CHECKING:
    from nbexp.experiments.data import Site
    from nbexp.experiments.data.restoring import CheckedOut

_LISTED = 5  # paths that a message names


@frozen
class Asked:
    """Which data is meant, in DVC's words."""

    targets: tuple[str, ...] = ()
    remote: str | None = None
    jobs: int | None = None
    all_branches: bool = False
    all_tags: bool = False
    all_commits: bool = False
    with_deps: bool = False
    recursive: bool = False
    glob: bool = False


@frozen
class Moved(Result):
    """What a push or fetch moved; `missing` are the paths that neither side has.

    `count` are objects, as DVC counts: files, and listings of directories.
    """

    word: str
    count: int
    size_bytes: int
    present: int
    missing: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.word} {self.count} objects>"

    def __str__(self) -> str:
        if not self.count:
            return "Everything is up to date.\n"
        return f"{self.count} file{'s' * (self.count != 1)} {self.word}\n"

    def to_json(self) -> dict[str, object]:
        return {
            self.word: self.count,
            "size": self.size_bytes,
            "present": self.present,
            "missing": list(self.missing),
        }


@frozen
class Pulled(Result):
    """What a pull fetched, and what it then did to the workspace."""

    fetched: Moved
    checkout: CheckedOut = field(repr=False)

    def __str__(self) -> str:
        lines = [
            f"{letter}\t{path}\n"
            for letter, paths in (
                ("M", self.checkout.modified),
                ("A", self.checkout.added),
                ("D", self.checkout.deleted),
            )
            for path in paths
        ]
        if self.checkout.missing:
            lines.append(f"not in the cache: {', '.join(self.checkout.missing)}\n")
        counts = {"fetched": self.fetched.count, **self.checkout.files}
        words = [f"{n} file{'s' * (n != 1)} {word}" for word, n in counts.items() if n]
        parts = [", ".join(words[:-1]), words[-1]] if words[1:] else words
        return "".join(lines) + (" and ".join(parts) or "Everything is up to date.") + "\n"

    def to_json(self) -> dict[str, object]:
        found = self.checkout.to_json()
        stats = found.get("stats")
        counts = stats if isinstance(stats, dict) else {}
        return {**found, "stats": {"fetched": self.fetched.count, **counts}}


@frozen
class CloudStatus(Result):
    """The paths of which only the cache has the data (`new`), only the remote (`deleted`), or neither (`missing`)."""

    paths: Mapping[str, str] = field(hash=False)
    remote: str

    @property
    def is_clean(self) -> bool:
        return not self.paths

    def __repr__(self) -> str:
        return f"<CloudStatus: {len(self.paths)} paths differ>"

    def __str__(self) -> str:
        if not self.paths:
            return f"Cache and remote '{self.remote}' are in sync.\n"
        return "".join(f"\t{word + ':':<20}{path}\n" for path, word in self.paths.items())

    def to_json(self) -> dict[str, str]:
        return dict(self.paths)


def push(site: Site, asked: Asked, emit: Emit, *, run_cache: bool = False) -> Moved:
    """See `TrackedData.push`."""
    every = _needed(site, asked, emit)
    needed = to_push(every)
    total = store(
        site, site.config(), every, asked.remote, emit, jobs=asked.jobs, run_cache=run_cache
    )
    return _moved(site, "pushed", total, needed, emit)


def to_push(every: Sequence[Used]) -> list[Used]:
    """Those that are for remotes: neither `push: false` nor another repository's."""
    return [one for one in every if one.out.push and not one.is_import]


def store(
    site: Site,
    config: Config,
    every: Sequence[Used],
    name: str | None,
    emit: Emit,
    *,
    jobs: int | None = None,
    run_cache: bool = False,
) -> Transfer:
    """Store what the outputs need in their own remotes, else in that of `name`, None being the default one."""
    at_home = {one.locked.path for one in every if not one.out.push}
    total = Transfer()
    groups = by_remote(to_push(every), name)
    if run_cache:
        groups.setdefault(name, [])
    for each, group in groups.items():
        remote = remotes.open(config, each)
        parts = _parts(group)
        done = transfer.push(
            [one.md5 for one in group], remote, site.cache, parts=parts, jobs=jobs, emit=emit
        )
        total = added(total, done)
        if run_cache and each == name:
            total = added(
                total,
                transfer.push_runs(remote, site.cache, leave_out=at_home, jobs=jobs, emit=emit),
            )
        remote.close()
    return total


def fetch(
    site: Site,
    asked: Asked,
    emit: Emit,
    *,
    run_cache: bool = False,
    max_size: int | None = None,
    types: Sequence[str] = (),
) -> Moved:
    """See `TrackedData.fetch`."""
    config = site.config()
    needed = [
        one
        for one in _needed(site, asked, emit)
        if (not types or one.out.bucket in types)
        and (max_size is None or one.locked.size is None or one.locked.size < max_size)
    ]
    total = bring(site, config, needed, asked.remote, emit, jobs=asked.jobs, run_cache=run_cache)
    return _moved(site, "fetched", total, needed, emit)


def bring(
    site: Site,
    config: Config,
    needed: Sequence[Used],
    name: str | None,
    emit: Emit,
    *,
    jobs: int | None = None,
    run_cache: bool = False,
) -> Transfer:
    """Fetch what the outputs need from their own remotes, else from that of `name`, None being the default one."""
    total = Transfer()
    groups = by_remote(needed, name)
    if run_cache:
        groups.setdefault(name, [])
    for each, group in groups.items():
        remote = _open_to_fetch(site, config, each, group, emit)
        if remote is None:
            continue
        if run_cache and each == name:
            total = added(total, transfer.fetch_runs(remote, site.cache, jobs=jobs, emit=emit))
        done = transfer.fetch(
            [one.md5 for one in group],
            remote,
            site.cache,
            parts=_parts(group),
            jobs=jobs,
            emit=emit,
        )
        total = added(total, done)
        remote.close()
    return total


def pull(
    site: Site,
    asked: Asked,
    emit: Emit,
    *,
    run_cache: bool = False,
    force: bool = False,
    allow_missing: bool = False,
) -> Pulled:
    """See `TrackedData.pull`."""
    from nbexp.experiments.data import restoring

    fetched = fetch(site, asked, emit, run_cache=run_cache)
    targets = asked.targets
    if asked.glob:
        found = used(site, targets, glob=True, emit=emit)
        targets = tuple(dict.fromkeys(posixpath.relpath(one.path, site.here) for one in found))
    checkout = restoring.checkout(
        site,
        targets,
        emit,
        with_deps=asked.with_deps,
        recursive=asked.recursive,
        force=force,
        relink=False,
        allow_missing=allow_missing,
    )
    return Pulled(fetched, checkout)


def compare(site: Site, asked: Asked, emit: Emit) -> CloudStatus:
    """See `TrackedData.compare`; outputs that have a remote of their own are left out, as by DVC."""
    config = site.config()
    needed = [
        one
        for one in _needed(site, asked, emit)
        if one.out.push and one.out.remote is None and not one.is_import
    ]
    remote = remotes.open(config, asked.remote)
    labels = labelled(site, needed)
    sides = transfer.compare(labels, remote, site.cache, jobs=asked.jobs)
    remote.close()
    found: dict[str, str] = {}
    for word, md5s in (
        ("deleted", sides.deleted),
        ("new", sides.new),
        ("missing", sides.missing),
    ):
        found.update((path, word) for md5, path in labels.items() if md5 in md5s)
    return CloudStatus(found, asked.remote or config.remote or "")


def _needed(site: Site, asked: Asked, emit: Emit) -> list[Used]:
    revs = revisions(
        site,
        all_branches=asked.all_branches,
        all_tags=asked.all_tags,
        all_commits=asked.all_commits,
    )
    return used(
        site,
        asked.targets,
        revs=revs,
        with_deps=asked.with_deps,
        recursive=asked.recursive,
        glob=asked.glob,
        emit=emit,
    )


def by_remote(needed: Sequence[Used], asked: str | None) -> dict[str | None, list[Used]]:
    """The outputs by the remote that they go to: their own, or the one asked for, None being the default.

    With one asked for, outputs that have another of their own are left out, as by DVC.
    """
    found: dict[str | None, list[Used]] = {}
    for one in needed:
        own = one.out.remote
        if asked is None or own is None or own == asked:
            found.setdefault(own or asked, []).append(one)
    return found


def _open_to_fetch(
    site: Site, config: Config, name: str | None, group: Sequence[Used], emit: Emit
) -> Remote | None:
    """The remote; None where there is none and nothing is needed from it."""
    try:
        return remotes.open(config, name)
    except NotFound as error:
        if name is not None or not all(site.cache.has(one.md5) for one in group):
            raise
        emit(Notice(f"{error.message} Everything is in the cache already.", error.hint))
        return None


def _parts(group: Sequence[Used]) -> dict[str, list[str]]:
    """Of directories that are meant in part, which parts; one that is meant whole as well is not among them."""
    whole = {one.md5 for one in group if not one.inner}
    parts: dict[str, list[str]] = {}
    for one in group:
        if one.inner and one.md5 not in whole:
            parts.setdefault(one.md5, []).append(one.inner)
    return parts


def labelled(site: Site, needed: Sequence[Used]) -> dict[str, str]:
    """Digest -> the first path that has it, relative to the user's directory; files of directories too."""
    labels: dict[str, str] = {}
    for one in needed:
        path = posixpath.relpath(one.path, site.here)
        labels.setdefault(one.md5, path)
        if one.md5.endswith(".dir") and site.cache.has_object(one.md5):
            for item in site.cache.items(one.md5):
                if not one.inner or is_inside(item.relpath, one.inner):
                    labels.setdefault(item.md5, posixpath.join(path, item.relpath))
    return labels


def added(one: Transfer, other: Transfer) -> Transfer:
    """Both transfers as one."""
    return Transfer(
        one.moved + other.moved,
        one.size_bytes + other.size_bytes,
        one.present + other.present,
        (*one.missing, *other.missing),
        {**one.failed, **other.failed},
    )


def _moved(site: Site, word: str, done: Transfer, needed: Sequence[Used], emit: Emit) -> Moved:
    """The result for people; raises where something could not be moved."""
    labels = labelled(site, needed) if done.missing or done.failed else {}
    if done.failed:
        first, why = next(iter(done.failed.items()))
        count = len(done.failed)
        more = f" and {count - 1:,} more" if count > 1 else ""
        verb = "push" if word == "pushed" else "fetch"
        raise StoreError(
            f"{labels.get(first, first)}{more} could not be {word}: {why}. "
            f"The other {done.moved:,} were.",
            f"`nbexp data {verb}` again moves what is missing.",
        )
    missing = tuple(labels.get(md5, md5) for md5 in done.missing)
    if missing:
        names = ", ".join(missing[:_LISTED])
        more = f" and {len(missing) - _LISTED:,} more" if len(missing) > _LISTED else ""
        emit(
            Notice(
                f"Neither cache nor remote has {names}{more}.",
                "`nbexp repro --force STAGE` makes outputs again; "
                "who has the data can `nbexp data push` it.",
            )
        )
    return Moved(word, done.moved, done.size_bytes, done.present, missing)
