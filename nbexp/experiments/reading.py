"""What a commit, or the workspace, says of itself: its params, metrics, deps and outs, as `Data`.

Everything about a commit follows from its files, so it is read once and remembered by its rev. All
blobs of all new commits come through one `cat-file`.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from nbexp import filesystem
from nbexp.errors import GitError, NbexpError, ProjectFileError
from nbexp.events import Emit, Phase, ignore
from nbexp.experiments.row import Data, FileError, Row, Stored, wrapped
from nbexp.formats import dvc_file, dvc_lock, dvc_yaml, values
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.frozen import field, frozen
from nbexp.git import CommitInfo, Git
from nbexp.pipeline.graph import STAGE_FILES, as_of_the_project, stage_files
from nbexp.store.cache import Cache

# The form of what is remembered about a commit; a new form gets a new number.
_FORM = "row-5"

_DEFAULT = "params.yaml"
# How DVC calls the errors of files that cannot be parsed; all others are YAML to it.
_CORRUPTED = {".json": "JSON", ".toml": "TOML", ".py": "Python"}


class Commit(NamedTuple):
    """One commit: when, from what, in which state, and what it says; `error` tells why it says nothing."""

    time_s: int
    parent: str | None
    state: str
    data: Data | None
    error: str | None = None


def stored_row(
    stored: str, rev: str, name: str, baseline: str, labels: Mapping[str, object]
) -> Row | None:
    """The row of an experiment that the index has, where it is one commit on its baseline; None for any other."""
    # No line of JSON ends within it: what is found stands in the first line.
    head, _, text = stored.partition(f" {baseline} done\n")
    if not text or head[0] != "=":
        return None
    return Row.stored(rev, name, baseline, int(head[2:]), labels, text)


class Reader:
    """Reads commits and the workspace of one project into `Data`."""

    def __init__(self, git: Git, cache: Cache, root: Path, prefix: str) -> None:
        self._git = git
        self._cache = cache
        self._root = root
        self._top = f"{prefix}/" if prefix else ""

    def beside(self, root: Path) -> Reader:
        """The reader of another work tree of the repository, whose project is at `root`."""
        return Reader(self._git, self._cache, root, self._top.rstrip("/"))

    def workspace(self) -> Data:
        """What the files on disk say."""
        paths = stage_files(self._root)
        return self._data(_Files(paths, self._on_disk, self._below))

    def read(
        self, rev: str | None, *, targets: Sequence[str] | None = None, deps_only: bool = False
    ) -> Data:
        """What a commit says, or the workspace if `rev` is None; nothing of it is remembered.

        Parameters
        ----------
        targets
            The params and metrics files to read, whether the pipeline names them or not; folders stand for
            all files below.
        deps_only
            Of params, only what stages read.
        """
        if rev is None:
            files = _Files(stage_files(self._root), self._on_disk, self._below)
        else:
            listed = [self._git.paths_named([rev], name)[rev] for name in STAGE_FILES]
            files = self._of_commit(rev, [path for paths in listed for path in paths])
        return self._data(files, targets=targets, deps_only=deps_only)

    def commits(
        self,
        revs: Sequence[str],
        *,
        deps_only: bool = False,
        force: bool = False,
        emit: Emit = ignore,
    ) -> dict[str, Commit]:
        """What each commit says; those seen before come from the index.

        A rev that is no commit, or that this repository lacks (a shallow clone has fewer), is left out: one bad
        ref must not hide all others. For the same reason a commit whose dvc.yaml is broken has an `error`.

        Parameters
        ----------
        deps_only
            Of params, only what stages read.
        force
            Read all again, whatever the index has.
        emit
            Told how far it is where there are thousands to read.
        """
        stored, new = self.stored(revs, deps_only=deps_only, force=force, emit=emit)
        return {rev: from_memo(text) for rev, text in stored.items()} | new

    def stored(
        self,
        revs: Sequence[str],
        *,
        deps_only: bool = False,
        force: bool = False,
        emit: Emit = ignore,
    ) -> tuple[dict[str, str], dict[str, Commit]]:
        """As `commits`: those that the index has, as `from_memo` takes them, and those that were read now."""
        wanted = list(dict.fromkeys(revs))
        form = f"{_FORM}-deps" if deps_only else _FORM
        stored = {} if force else self._cache.memos(form, wanted)
        found: dict[str, Commit] = {}
        unknown = self._infos([rev for rev in wanted if rev not in stored])
        if unknown:
            listed = [self._git.paths_named(list(unknown), name) for name in STAGE_FILES]
            blobs = Blobs(self._git, self._top)
            new = list(unknown)
            # The first one alone, to learn which files there are to ask for.
            for start in [0, *range(1, len(new), _AT_ONCE)]:
                if len(new) >= _TELL_FROM and start:
                    done, total = start - 1, len(new)
                    emit(Phase(f"reading commits: {done:,} of {total:,}", done, total))
                kept: dict[str, str] = {}
                part = new[start : start + (_AT_ONCE if start else 1)]
                blobs.fetch(part)
                for rev in part:
                    paths = [path for found_named in listed for path in found_named[rev]]
                    found[rev] = self._read(
                        unknown[rev], self._of_commit(rev, paths, blobs), kept, deps_only=deps_only
                    )
                self._cache.remember_many(form, kept)
        return stored, found

    def _read(
        self, info: CommitInfo, files: _Files, kept: dict[str, str], *, deps_only: bool
    ) -> Commit:
        """What a commit says; what is worth remembering goes into `kept`."""
        parent = info.parents[0] if info.parents else None
        found = Commit(info.time_s, parent, _state_of(info.message), None, None)
        try:
            data = self._data(files, deps_only=deps_only)
        except ProjectFileError as broken:
            return found._replace(error=broken.message)
        found = found._replace(data=data)
        if files.lacking:
            return found  # what only a remote has may be here next time
        kept[info.rev] = _to_memo(found)
        return from_memo(kept[info.rev])

    def data(self, rev: str, *, deps_only: bool = False) -> Data:
        """What one commit says, from the index where it is there.

        Raises
        ------
        ProjectFileError
            Its dvc.yaml is broken.
        GitError
            There is no such commit.
        """
        found = self.commits([rev], deps_only=deps_only).get(rev)
        if found is not None and found.data is not None:
            return found.data
        self._git.commits([rev])
        return self.read(rev, deps_only=deps_only)

    def _infos(self, revs: Sequence[str]) -> dict[str, CommitInfo]:
        try:
            return dict(zip(revs, self._git.commits(revs), strict=True))
        except GitError:
            found = self._git.info_many([f"{rev}^{{commit}}" for rev in revs])
            usable = [rev for rev, info in zip(revs, found, strict=True) if info is not None]
            return dict(zip(usable, self._git.commits(usable), strict=True))

    def _of_commit(self, rev: str, paths: Sequence[str], blobs: Blobs | None = None) -> _Files:
        inside = [path[len(self._top) :] for path in paths if path.startswith(self._top)]
        commit = _Commit(self._git, rev, self._top, blobs or Blobs(self._git, self._top))
        return _Files(inside, commit.read_many, commit.below)

    def _on_disk(self, paths: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for path in paths:
            try:
                size = (self._root / path).stat().st_size
                is_big = size > values.MAX_BYTES
                found.append(TooBig(size) if is_big else (self._root / path).read_bytes())
            except OSError:
                found.append(None)
        return found

    def _below(self, folder: str) -> list[str]:
        place = self._root / folder
        found = filesystem.walk(place, None) if place.is_dir() else ()
        return [posixpath.join(folder, inner) for inner, _ in found]

    def _data(
        self, files: _Files, *, targets: Sequence[str] | None = None, deps_only: bool = False
    ) -> Data:
        pipelines = files.read(files.pipelines)
        locks = files.read(
            [posixpath.join(posixpath.dirname(p), "dvc.lock") for p in files.pipelines]
        )
        params: dict[str, Mapping[str, None] | None] = {}
        metrics: dict[str, None] = {}
        top_params: list[str] = []
        top_metrics: list[str] = []
        deps: dict[str, Mapping[str, object]] = {}
        outs: dict[str, Mapping[str, object]] = {}
        cached: dict[str, str] = {}
        used: dict[str, dict[str, object]] = {}
        for path, text, lock in zip(files.pipelines, pipelines, locks, strict=True):
            folder = posixpath.dirname(path)
            if text is None:
                continue
            if path.endswith(dvc_file.SUFFIX):
                for place, made_of, use_cache in _tracked(text, path):
                    cached.update({place: made_of.md5} if made_of.md5 and use_cache else {})
                    fields = dict(_fields(made_of))
                    outs[place] = {**fields, "use_cache": use_cache, "is_data_source": True}
                continue
            file = dvc_yaml.parse(text, path, lambda place: files.read([place])[0])
            for source, values_used in file.used.items():
                used.setdefault(source, {}).update(values_used)
            lock_file = posixpath.join(folder, "dvc.lock")
            entries = dvc_lock.parse(lock, lock_file).stages if lock else {}
            top_params += (_join(folder, listed) for listed in file.params)
            top_metrics += (_join(folder, listed) for listed in file.metrics)
            for spec in file.stages:
                stage = as_of_the_project(spec, folder, self._root)
                here = _join(folder, stage.wdir or ".")
                entry = entries.get(stage.name)
                locked = entry if isinstance(entry, LockedStage) else None
                known = {item.path: item for item in locked.deps} if locked else {}
                made = {item.path: item for item in locked.outs} if locked else {}
                elsewhere = {one.path: one.state for one in locked.sources} if locked else {}
                for param in stage.params:
                    place = _join(here, param.path)
                    asked = params.get(place, {})
                    # Without keys all of the file is asked for; one stage that does so is enough.
                    whole = asked is None or not param.keys
                    params[place] = (
                        None if whole else {**(asked or {}), **dict.fromkeys(param.keys)}
                    )
                for dep in stage.deps:
                    if not dvc_lock.is_source(dep):
                        deps[_join(here, dep)] = _fields(known.get(dep))
                    elif not dep.startswith("ds://"):  # of which DVC shows nothing either
                        deps[dep] = _source_fields(elsewhere.get(dep))
                for out in stage.outs:
                    place = _join(here, out.path)
                    # What Git tracks is read from Git: the lock's old md5 may be of another run.
                    if out.path in made and out.cache:
                        cached[place] = made[out.path].md5
                    if out.bucket == "metrics":
                        metrics[place] = None
                    elif out.bucket == "outs":
                        fields = dict(_fields(made.get(out.path)))
                        outs[place] = {**fields, "use_cache": out.cache, "is_data_source": False}
        metrics.update(dict.fromkeys(top_metrics))
        if not deps_only:
            params.update(dict.fromkeys(top_params))
            # DVC shows params.yaml whole whenever there is one, listed or not.
            if files.read([_DEFAULT])[0] is not None:
                params[_DEFAULT] = None
        if targets is not None:
            params, metrics = dict.fromkeys(targets), dict.fromkeys(targets)
            used = {}
        shown = {
            path: _picked(tree, params.get(path))
            for path, tree in self._trees(files, params, cached).items()
        }
        return Data(
            # Of a file that is in `vars` alone, DVC shows what templates took, by dotted key.
            {**used, **shown},
            {
                path: {} if (kept := _metric(tree)) is None else kept
                for path, tree in self._trees(files, metrics, cached).items()
            },
            deps,
            outs,
        )

    def _trees(
        self, files: _Files, paths: Iterable[str], cached: Mapping[str, str]
    ) -> dict[str, object]:
        wanted = list(paths)
        trees: dict[str, object] = {}
        for path, data in zip(wanted, files.read(wanted), strict=True):
            md5 = cached.get(path)
            inner = files.below(path) if data is None else []
            if inner:
                trees.update(self._trees(files, inner, {}))
            elif data is None and md5 is not None and self._cache.has(md5):
                trees.update(self._cached(path, md5))
            else:
                if data is None and md5 is not None:
                    files.lacking.append(path)
                trees[path] = _tree(path, data)
        return trees

    def _cached(self, path: str, md5: str) -> dict[str, object]:
        """What the cache holds for a file, or for each file of a directory."""
        if not md5.endswith(".dir"):
            return {path: _tree(path, self._cache.read(md5))}
        places = {posixpath.join(path, item.relpath): item.md5 for item in self._cache.items(md5)}
        return {place: _tree(place, self._cache.read(inner)) for place, inner in places.items()}


def _tracked(text: bytes, path: str) -> Iterator[tuple[str, LockedPath, bool]]:
    """The data of a `.dvc` file: where it is, what it held, and whether DVC's cache has it."""
    file = dvc_file.parse(text, path)
    for spec, content in zip(file.spec.outs, file.contents, strict=True):
        yield file.place(spec.path), content, spec.cache


class _Read(Protocol):
    def __call__(self, paths: Sequence[str]) -> list[bytes | None]: ...


@frozen
class _Files:
    pipelines: Sequence[str]
    read: _Read
    below: Callable[[str], list[str]]
    # Paths whose content the lock names and no cache here has.
    lacking: list[str] = field(default_factory=list, hash=False)


# Commits whose files are asked for together: their contents are in memory at the same time.
_AT_ONCE = 500
# Fewer are read within a second.
_TELL_FROM = 1500


class TooBig(bytes):
    """In place of the bytes of a file that is too big to be parsed: there are none, but a size."""

    size_bytes: int

    def __new__(cls, size_bytes: int) -> Self:
        new = super().__new__(cls)
        new.size_bytes = size_bytes
        return new


class Blobs:
    """The files of many commits, asked of Git at once: those that the commits before turned out to need.

    Experiments of one project differ little, so the second commit needs the paths of the first, and a blob
    that several have is read once.
    """

    def __init__(self, git: Git, top: str) -> None:
        self._git = git
        self._top = top
        self._needed: dict[str, None] = {}
        self._infos: dict[tuple[str, str], tuple[str, str, int] | None] = {}
        self._contents: dict[str, bytes | None] = {}

    def fetch(self, revs: Sequence[str]) -> None:
        """Ask for what these commits most likely need; what was asked for before is let go."""
        self._infos.clear()
        self._contents.clear()
        if self._needed:
            self._ask([(rev, path) for rev in revs for path in self._needed])

    def info(self, rev: str, path: str) -> tuple[str, str, int] | None:
        """As `Git.info`."""
        if (rev, path) not in self._infos:
            self._needed[path] = None
            self._infos[rev, path] = self._git.info(f"{rev}:{self._top}{path}")
        return self._infos[rev, path]

    def read(self, rev: str, paths: Sequence[str]) -> list[bytes | None]:
        """The bytes of each file; None for what is none."""
        unknown = [(rev, path) for path in paths if (rev, path) not in self._infos]
        if unknown:
            self._needed.update(dict.fromkeys(path for _, path in unknown))
            self._ask(unknown)
        infos = [self._infos[rev, path] for path in paths]
        return [self._contents.get(info[0]) if info else None for info in infos]

    def _ask(self, wanted: Sequence[tuple[str, str]]) -> None:
        infos = self._git.info_many([f"{rev}:{self._top}{path}" for rev, path in wanted])
        self._infos.update(zip(wanted, infos, strict=True))
        new: dict[str, None] = {}
        for info in infos:
            if info is None or info[1] != "blob" or info[0] in self._contents:
                continue
            if info[2] > values.MAX_BYTES:
                self._contents[info[0]] = TooBig(info[2])
            else:
                new[info[0]] = None
        self._contents.update(zip(new, self._git.read_many(list(new)), strict=True))


class _Commit:
    def __init__(self, git: Git, rev: str, top: str, blobs: Blobs) -> None:
        self._git = git
        self._rev, self._top = rev, top
        self._blobs = blobs

    def read_many(self, paths: Sequence[str]) -> list[bytes | None]:
        return self._blobs.read(self._rev, paths)

    def below(self, folder: str) -> list[str]:
        found = self._blobs.info(self._rev, folder)
        if found is None or found[1] != "tree":
            return []
        inner = self._git.tree(self._rev, prefix=self._top + folder)
        return [path.removeprefix(self._top) for path in inner]


def _metric(tree: object) -> object:
    """What counts as metrics: numbers, booleans and text; lists and nulls are dropped, as DVC does."""
    if isinstance(tree, Mapping):
        inner = {key: _metric(value) for key, value in tree.items()}
        return {key: value for key, value in inner.items() if value not in (None, {})}
    return tree if isinstance(tree, (int, float, str, FileError)) else None


def _tree(path: str, data: bytes | None) -> object:
    if data is None:
        return FileError("FileNotFoundError", f"[Errno 2] No such file or directory: '{path}'")
    corrupted = _CORRUPTED.get(posixpath.splitext(path)[1], "YAML") + "FileCorruptedError"
    if isinstance(data, TooBig):
        size_mb, most_mb = data.size_bytes / 2**20, values.MAX_BYTES // 2**20
        return FileError(
            corrupted, f"{path}: the file has {size_mb:.1f} MB; up to {most_mb} MB are read."
        )
    try:
        return values.parse(data, path)
    except NbexpError as error:
        return FileError(corrupted, error.message)


def _fields(locked: LockedPath | None) -> dict[str, object]:
    if locked is None:
        return {"hash": None, "size": None, "nfiles": None}
    return {"hash": locked.md5, "size": locked.size, "nfiles": locked.nfiles}


def _source_fields(state: Mapping[str, object] | None) -> dict[str, object]:
    """The same of a URL: what its storage calls the state of the content stands for the hash."""
    state = state or {}
    told = state.get("checksum") or state.get("etag")
    return {"hash": told, "size": state.get("size"), "nfiles": None}


def _picked(tree: object, keys: Iterable[str] | None) -> object:
    """The part of a params file that is asked for by key; None asks for all of it."""
    if keys is None or isinstance(tree, FileError):
        return tree
    found: dict[str, object] = {}
    for key in keys:
        value = values.lookup(tree, key)
        if value is not values.MISSING:
            _place(found, tree, key.split("."), value)
    return found


def _place(found: dict[str, object], tree: object, parts: Sequence[str], value: object) -> None:
    """Put the value where it stands in `tree`; a list on the way is taken whole."""
    inner = tree[parts[0]] if isinstance(tree, Mapping) else None
    if len(parts) == 1 or not isinstance(inner, Mapping):
        found[parts[0]] = value if len(parts) == 1 else inner
        return
    below = found.setdefault(parts[0], {})
    if isinstance(below, dict):
        below = found[parts[0]] = dict(below)
        _place(below, inner, parts[1:], value)


def _join(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def _state_of(message: str) -> str:
    """The state that the commit of a failed run names; any other commit is done."""
    for line in message.splitlines() if "\nNbexp-State: " in message else ():
        if line.startswith("Nbexp-State: "):
            return line.removeprefix("Nbexp-State: ")
    return "done"


def _to_memo(commit: Commit) -> str:
    """Time, parent and state in one line, then the data in DVC's JSON, which is shown without a look at it."""
    assert commit.data is not None
    trees = {
        what: {path: wrapped(tree) for path, tree in getattr(commit.data, what).items()}
        for what in ("params", "metrics")
    }
    whole = {**trees, "deps": dict(commit.data.deps), "outs": dict(commit.data.outs), "meta": {}}
    try:
        text, mark = json.dumps(whole, allow_nan=False), "="
    except ValueError:
        text, mark = json.dumps(whole), "~"  # not JSON for others as it stands
    return f"{mark} {commit.time_s} {commit.parent or '-'} {commit.state}\n{text[1:-1]}"


def from_memo(stored: str) -> Commit:
    """The commit of which the index has this."""
    head, _, text = stored.partition("\n")
    mark, time_s, parent, state = head.split(" ", 3)
    data = Stored(text, is_strict=mark == "=")
    return Commit(int(time_s), None if parent == "-" else parent, state, data)
