"""What changed in tracked data: `status` (last commit, records on disk, data) and `diff` (two commits).

The comparison is DVC's (dvc-data 3.18, index/diff): outputs by their hash, the files of directories below them,
one deleted and one added with equal content are a rename, and what is in a directory whose listing the cache
lacks is unknown. JSON and words are those of DVC 3.67.1.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from nbexp.errors import NotFound, StoreError
from nbexp.experiments.place import files_of
from nbexp.formats.dvc_lock import LockedPath
from nbexp.frozen import brief, field, frozen
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.graph import STAGE_FILES, Graph, is_inside
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.data import Site

Word = Literal["added", "deleted", "modified", "renamed", "unchanged", "unknown"]


@frozen
class Change:
    """One path that differs (or not), with its hash before and after; `old_path` is that before a rename."""

    __repr__ = brief

    word: Word
    path: str
    old: str | None
    new: str | None
    old_path: str = ""


@frozen
class DataStatus(Result):
    """How data stands: `committed` is from HEAD to the records on disk, `uncommitted` from there to the data.

    Each maps DVC's words (modified, added, deleted, renamed, unknown) to paths relative to the project's root;
    folders end with a slash.
    """

    not_in_cache: tuple[str, ...]
    not_in_remote: tuple[str, ...]
    committed: Mapping[str, tuple[object, ...]] = field(hash=False)
    uncommitted: Mapping[str, tuple[object, ...]] = field(hash=False)
    untracked: tuple[str, ...]
    unchanged: tuple[str, ...]
    is_git_dirty: bool = False
    with_unchanged: bool = False

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {
            "not_in_cache": list(self.not_in_cache),
            "not_in_remote": list(self.not_in_remote),
            "committed": {word: list(paths) for word, paths in self.committed.items()},
            "uncommitted": {word: list(paths) for word, paths in self.uncommitted.items()},
            "untracked": list(self.untracked),
            "unchanged": list(self.unchanged) if self.with_unchanged else [],
        }
        return {key: value for key, value in found.items() if value}


@frozen
class DataDiff(Result):
    """What changed in data from one commit to another, or to the workspace; empty when nothing did."""

    changes: tuple[Change, ...]
    not_in_cache: tuple[Change, ...] = ()
    show_hash: bool = False
    hide_missing: bool = False

    def __repr__(self) -> str:
        return f"<DataDiff: {len(self.changes)} changes>"

    def of(self, word: str) -> list[Change]:
        """The changes of one kind by path."""
        if word == "not in cache":
            return sorted(self.not_in_cache, key=lambda one: one.path)
        found = (one for one in self.changes if one.word == word)
        return sorted(found, key=lambda one: one.old_path or one.path)

    @property
    def words(self) -> list[str]:
        """The kinds that are told of, in DVC's order."""
        words = ["added", "deleted", "renamed", "modified"]
        return words if self.hide_missing else [*words, "not in cache"]

    def to_json(self) -> dict[str, object]:
        if not self.changes and not self.not_in_cache:
            return {}
        words = ["added", "deleted", "modified", "renamed", *self.words[4:]]
        return {word: [self._entry(one) for one in self.of(word)] for word in words}

    def to_markdown(self) -> str:
        from nbexp.experiments.value_text import markdown

        head = ["Status", "Hash", "Path"] if self.show_hash else ["Status", "Path"]
        lines = [head]
        for word in self.words:
            for one in self.of(word):
                digest = [digest_words(one)] if self.show_hash else []
                lines.append([word, *digest, path_words(one)])
        return markdown(lines)

    def _entry(self, one: Change) -> dict[str, object]:
        path = {"old": one.old_path, "new": one.path} if one.old_path else one.path
        if not self.show_hash:
            return {"path": path}
        if one.word == "modified":
            return {"path": path, "hash": {"old": one.old, "new": one.new}}
        return {"path": path, "hash": one.new if one.word == "added" else one.old}


def path_words(one: Change) -> str:
    """A change's path; of a rename both."""
    return f"{one.old_path} -> {one.path}" if one.old_path else one.path


def digest_words(one: Change) -> str:
    """The first digits of a change's hashes, as DVC shows them."""
    if one.word == "modified":
        return f"{(one.old or '')[:8]}..{(one.new or '')[:8]}"
    return ((one.new if one.word == "added" else one.old) or "")[:8]


def status(
    site: Site,
    targets: Sequence[str],
    *,
    granular: bool,
    untracked: bool,
    not_in_remote: bool = False,
    remote: str | None = None,
) -> DataStatus:
    """See `TrackedData.status`."""
    wanted = [posixpath.normpath(posixpath.join(site.here, target)) for target in targets]
    graph = site.graph()
    on_disk = _recorded(site, graph)
    now = _Workspace(site, on_disk)
    records = _Records(site, on_disk)
    uncommitted, lacking = _compare(records, now, wanted, granular=granular)
    head = site.git.head()
    committed: list[Change] = []
    if head is not None:
        before = _Records(site, _recorded_in(site, head))
        committed, _ = _compare(before, records, wanted, granular=granular)
    else:
        committed, _ = _compare(_Records(site, {}), records, wanted, granular=granular)
    same = {one.path for one in uncommitted if one.word == "unchanged"}
    same &= {one.path for one in committed if one.word == "unchanged"}
    git = site.git.status(untracked=True)
    top = f"{site.prefix}/" if site.prefix else ""
    loose = [path[len(top) :] for path in git.untracked if path.startswith(top)]
    if wanted:
        loose = [path for path in loose if any(is_inside(path, one) for one in wanted)]
    return DataStatus(
        tuple(sorted(lacking)),
        _not_in_remote(site, graph, records, wanted, remote, granular=granular)
        if not_in_remote
        else (),
        _by_word(committed),
        _by_word(uncommitted),
        tuple(posixpath.relpath(path, site.here) for path in loose) if untracked else (),
        tuple(sorted(same)),
        bool(git.changes or (untracked and git.untracked)),
    )


def diff(site: Site, old: str, new: str | None, targets: Sequence[str]) -> DataDiff:
    """See `TrackedData.diff`."""
    if site.git.head() is None:
        return DataDiff(())
    wanted = [posixpath.normpath(posixpath.join(site.here, target)) for target in targets]
    before_rev = site.rev_of(old)
    before = _Records(site, _recorded_in(site, before_rev))
    if new is None:
        records = _recorded(site, site.graph())
        after: _Side = _Workspace(site, records)
        known = {*before.outs, *records}
    else:
        after_rev = site.rev_of(new)
        after = _Records(site, _recorded_in(site, after_rev))
        known = {*before.outs, *after.outs}
    for target, path in zip(targets, wanted, strict=True):
        if not any(is_inside(path, out) or is_inside(out, path) for out in known):
            raise NotFound(f"`{target}` is no tracked data, neither in `{old}` nor after it.")
    changes, lacking = _compare(before, after, wanted, granular=True, by_hash=False)
    told = tuple(one for one in changes if one.word not in ("unchanged", "unknown"))
    if new is not None:
        return DataDiff(told, hide_missing=True)
    return DataDiff(
        told, tuple(Change("unknown", path, md5, None) for path, md5 in lacking.items())
    )


def between(site: Site, old: str | None, new: str | None) -> tuple[Change, ...]:
    """What changed in outputs and tracked data between two commits, None being the workspace."""
    now = None if None not in (old, new) else _recorded(site, site.graph())
    sides = [
        _Workspace(site, now or {}) if rev is None else _Records(site, _recorded_in(site, rev))
        for rev in (old, new)
    ]
    found, _ = _compare(sides[0], sides[1], (), granular=True, by_hash=False)
    return tuple(one for one in found if one.word not in ("unchanged", "unknown"))


def _not_in_remote(
    site: Site,
    graph: Graph,
    records: _Records,
    wanted: Sequence[str],
    name: str | None,
    *,
    granular: bool,
) -> tuple[str, ...]:
    """The paths whose objects their remote lacks; a directory's listing stands for all of it unless `granular`."""
    from nbexp.store import remotes, transfer

    by_remote: dict[str | None, dict[str, list[str]]] = {}
    for _, out in graph.outs:
        md5 = records.outs.get(out.path)
        if md5 is None or not out.spec.push:
            continue
        paths = by_remote.setdefault(out.spec.remote or name, {})
        paths.setdefault(md5, []).append(_shown(out.path, md5))
        inner = records.files(out.path) if granular and md5.endswith(".dir") else None
        for path, one in (inner or {}).items():
            paths.setdefault(one, []).append(posixpath.join(out.path, path))
    found: list[str] = []
    for chosen, paths in by_remote.items():
        remote = remotes.open(site.config(), chosen)
        sides = transfer.compare(paths, remote, site.cache)
        remote.close()
        found += [path for md5 in sides.new | sides.missing for path in paths[md5]]
    if wanted:
        found = [path for path in found if any(is_inside(path.rstrip("/"), w) for w in wanted)]
    return tuple(sorted(found))


class _Side:
    """One side of a comparison: what outputs hold, and the files of those that are directories."""

    outs: Mapping[str, str]

    def files(self, path: str) -> Mapping[str, str] | None:
        """The files of the directory output `path`; None if nobody knows them."""
        raise NotImplementedError

    def folders(self, path: str) -> Sequence[str]:
        """The folders in the directory output `path`, as far as they are told of."""
        return ()

    def has(self, md5: str) -> bool:
        """Whether the cache has the object."""
        raise NotImplementedError


class _Records(_Side):
    """What `.dvc` files and dvc.lock say, of a commit or on disk."""

    def __init__(self, site: Site, recorded: Mapping[str, LockedPath]) -> None:
        self._cache = site.cache
        self.outs = {path: one.md5 for path, one in recorded.items() if one.md5}

    def files(self, path: str) -> Mapping[str, str] | None:
        md5 = self.outs[path]
        try:
            return {item.relpath: item.md5 for item in self._cache.items(md5)}
        except StoreError:
            return None

    def has(self, md5: str) -> bool:
        return self._cache.has_object(md5)


class _Workspace(_Side):
    """What is there now."""

    def __init__(self, site: Site, recorded: Mapping[str, LockedPath]) -> None:
        self._site = site
        self._legacy = {path for path, one in recorded.items() if one.legacy and one.md5}
        found = {
            path: site.cache.hash(site.root / path, legacy=path in self._legacy)
            for path in recorded
        }
        self.outs = {path: one.md5 for path, one in found.items() if one is not None}

    def files(self, path: str) -> Mapping[str, str] | None:
        contents = self._site.cache.contents(self._site.root / path, legacy=path in self._legacy)
        return {item.relpath: item.md5 for item in contents.items} if contents else None

    def folders(self, path: str) -> Sequence[str]:
        top = self._site.root / path
        return [
            os.path.relpath(os.path.join(folder, name), top)
            for folder, names, _ in os.walk(top)
            for name in sorted(names)
        ]

    def has(self, md5: str) -> bool:
        return True


def _compare(
    old: _Side,
    new: _Side,
    wanted: Sequence[str],
    *,
    granular: bool,
    by_hash: bool = True,
) -> tuple[list[Change], dict[str, str]]:
    """Every path of either side with what became of it, and old ones whose object the cache lacks, by path."""
    changes: list[Change] = []
    lacking: dict[str, str] = {}
    for path in sorted({*old.outs, *new.outs}):
        if wanted and not any(is_inside(path, one) or is_inside(one, path) for one in wanted):
            continue
        for change in _below(old, new, path, granular=granular):
            place = change.path.rstrip("/")
            if wanted and not any(is_inside(place, one) for one in wanted):
                continue
            if change.word == "unknown" and by_hash and change.new is None:
                continue
            changes.append(change)
            if change.old is not None and not old.has(change.old):
                lacking[_shown(place, change.old)] = change.old
    return list(_with_renames(changes)), lacking


def _below(old: _Side, new: _Side, path: str, *, granular: bool) -> Iterator[Change]:
    """The changes of an output and, if it is a directory, of its files."""
    before, after = old.outs.get(path), new.outs.get(path)
    yield Change(_word(before, after), _shown(path, after or before or ""), before, after)
    if not granular:
        return
    then: Mapping[str, str] | None = {}
    now: Mapping[str, str] | None = {}
    if before is not None and before.endswith(".dir"):
        then = old.files(path)
    if after is not None and after.endswith(".dir"):
        now = then if before == after and then is not None else new.files(path)
    unknown = then is None or now is None
    then, now = then or {}, now or {}
    if unknown:
        # DVC tells of the folders that are there as well; in all other cases they say nothing.
        for folder in new.folders(path):
            yield Change("unknown", posixpath.join(path, folder, ""), None, "")
    for inner in sorted({*then, *now}):
        was, is_ = then.get(inner), now.get(inner)
        word = "unknown" if unknown else _word(was, is_)
        yield Change(word, posixpath.join(path, inner), was, is_)


def _word(old: str | None, new: str | None) -> Word:
    if old == new:
        return "unchanged"
    if old is None:
        return "added"
    return "deleted" if new is None else "modified"


def _with_renames(changes: Iterable[Change]) -> Iterator[Change]:
    """A file deleted here and one added there with the same content are one that was renamed."""
    added, deleted = [], []
    for change in changes:
        if change.word == "added":
            added.append(change)
        elif change.word == "deleted":
            deleted.append(change)
        else:
            yield change
    gone: dict[str | None, list[Change]] = {}
    for change in sorted(deleted, key=lambda one: one.path.rstrip("/").split("/")):
        gone.setdefault(change.old, []).append(change)
    for change in sorted(added, key=lambda one: one.path.rstrip("/").split("/")):
        before = gone.get(change.new)
        if before:
            first = before.pop(0)
            yield Change("renamed", change.path, first.old, change.new, first.path)
        else:
            yield change
    for rest in gone.values():
        yield from rest


def _by_word(changes: Iterable[Change]) -> dict[str, tuple[object, ...]]:
    found: dict[str, list[object]] = {}
    for one in changes:
        if one.word != "unchanged":
            renamed = {"old": one.old_path, "new": one.path}
            found.setdefault(one.word, []).append(renamed if one.old_path else one.path)
    return {word: tuple(paths) for word, paths in found.items()}


def _shown(path: str, md5: str) -> str:
    return f"{path}/" if md5.endswith(".dir") else path


def _recorded(site: Site, graph: Graph) -> dict[str, LockedPath]:
    """What the records on disk say of each cached output; an `md5` of "" where they say nothing."""
    inspector = site.inspector()
    found = {}
    for stage in graph.stages:
        entry = inspector.locked(stage)
        made = {out.path: out for out in entry.outs} if entry is not None else {}
        for out in stage.outs:
            if out.cache:
                found[out.path] = made.get(out.spelled, LockedPath(out.spelled, ""))
    return found


def _recorded_in(site: Site, rev: str) -> dict[str, LockedPath]:
    """The same of a commit."""
    git, top = site.git, f"{site.prefix}/" if site.prefix else ""
    listed = [path for name in STAGE_FILES for path in git.paths_named([rev], name)[rev]]
    paths = [path[len(top) :] for path in listed if path.startswith(top)]
    texts = dict(zip(paths, git.read_many([f"{rev}:{top}{path}" for path in paths]), strict=True))
    found_texts = {path: text for path, text in texts.items() if text is not None}
    graph = graphs.load(site.root, found_texts, files_of(git, site.prefix, rev))
    locks = sorted({stage.lock_file for stage in graph.stages})
    read = dict(zip(locks, git.read_many([f"{rev}:{top}{path}" for path in locks]), strict=True))
    found = {}
    for stage in graph.stages:
        entry = stage.entry_in(read[stage.lock_file])
        made = {out.path: out for out in entry.outs} if entry is not None else {}
        for out in stage.outs:
            if out.cache and out.spelled in made:
                found[out.path] = made[out.spelled]
    return found
