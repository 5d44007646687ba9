"""Which dvc.lock holds which run of a stage: of commits, experiments, failed runs, and the workspace.

What a commit's dvc.lock says never changes, so it is remembered by its blob; what the history says by the
refs it was read for. Looking again costs one look at the refs.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from nbexp import hashing
from nbexp.errors import NbexpError, ProjectFileError
from nbexp.formats import dvc_lock, ref_names, run_cache
from nbexp.formats.dvc_lock import LockedStage
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline import graph as graphs
from nbexp.store.cache import Cache

_FORM = "locked-1"
_HISTORY = "lock-history-1"


@frozen
class Owner:
    """Who has a run in its dvc.lock: an experiment, a commit (by branch, tag or short rev), a failed run, or the workspace."""

    kind: Literal["experiment", "commit", "failed", "workspace"]
    name: str


class StageName(NamedTuple):
    """A stage by its dvc.yaml's folder (from the project's root, "" is the root) and its name there."""

    folder: str
    name: str

    def address(self, here: str) -> str:
        """As one types it in the directory `here`."""
        if (self.folder or ".") == here:
            return self.name
        return f"{posixpath.relpath(posixpath.join(self.folder, 'dvc.yaml'), here)}:{self.name}"


class _Run(NamedTuple):
    """An entry of a dvc.lock, as far as it takes to find it again."""

    name: StageName
    key: str
    value: str
    form: str
    outs: str


class Known:
    """What dvc.lock files tell of runs: their stages and their owners."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], dict[Owner, None]] = {}
        self._by_value: dict[tuple[str, str], set[StageName]] = {}
        self._by_key: dict[str, set[StageName]] = {}
        self._by_form: dict[str, set[StageName]] = {}
        self._by_outs: dict[str, set[StageName]] = {}

    def add(self, run: _Run, owner: Owner) -> None:
        """Take in an entry of the owner's dvc.lock."""
        self._owners.setdefault((run.key, run.value), {})[owner] = None
        self._by_value.setdefault((run.key, run.value), set()).add(run.name)
        self._by_key.setdefault(run.key, set()).add(run.name)
        self.add_stage(run.name, run.form, run.outs)

    def add_stage(self, name: StageName, form: str, outs: str) -> None:
        """Take in a stage by its command and outputs."""
        self._by_form.setdefault(form, set()).add(name)
        self._by_outs.setdefault(outs, set()).add(name)

    def names(self, here: str) -> set[str]:
        """Every stage that is known, as one types it in `here`."""
        return {name.address(here) for found in self._by_outs.values() for name in found}

    def owners(self, key: str, value: str) -> tuple[Owner, ...]:
        """Who holds the entry: experiments first, each kind by name."""
        order = ("experiment", "commit", "failed", "workspace")
        found = self._owners.get((key, value), {})
        return tuple(sorted(found, key=lambda one: (order.index(one.kind), one.name)))

    def stages(
        self, key: str, value: str, entry: LockedStage
    ) -> tuple[tuple[StageName, ...], bool]:
        """The stages that an entry of the run cache is of, and whether that is only likely.

        Nearest first: a dvc.lock that holds it; one with the same inputs; a stage with the same command and
        outputs; the one stage that has these outputs, whose command may have been another then.
        """
        form, outs = _form(entry.cmd, (out.path for out in entry.outs))
        for found in (
            self._by_value.get((key, value)),
            self._by_key.get(key),
            self._by_form.get(form),
        ):
            if found:
                return tuple(sorted(found)), False
        likely = self._by_outs.get(outs, set())
        return (tuple(likely), True) if len(likely) == 1 else ((), False)


def read(git: Git, cache: Cache, root: Path, prefix: str) -> Known:
    """What all dvc.lock files of the repository and the workspace tell."""
    known = Known()
    top = f"{prefix}/" if prefix else ""
    refs = git.refs("refs/heads/", "refs/tags/", "refs/remotes/", "refs/exps/", ref_names.FAILED)
    tips: dict[str, list[Owner]] = {}
    for ref, rev in refs.items():
        owner = _owner(ref)
        if owner is not None:
            tips.setdefault(rev, []).append(owner)
    head = git.head()
    if head is not None and head not in tips:
        tips[head] = [Owner("commit", head[:7])]
    for rev, blobs in _at(git, cache, top, [*tips]).items():
        for path, oid in blobs.items():
            for run in _runs(git, cache, path, oid):
                for owner in tips[rev]:
                    known.add(run, owner)
    ours = [rev for rev, owners in tips.items() if any(one.kind == "commit" for one in owners)]
    for rev, path, oid in _history(git, cache, top, ours):
        if rev not in tips:
            for run in _runs(git, cache, path, oid):
                known.add(run, Owner("commit", rev[:7]))
    _add_workspace(known, root)
    return known


def _owner(ref: str) -> Owner | None:
    if ref.startswith("refs/exps/"):
        parsed = ref_names.parse(ref)
        return None if parsed is None else Owner("experiment", parsed.name)
    if ref.startswith(ref_names.FAILED):
        return Owner("failed", ref_names.name_of(ref))
    return None if ref.endswith("/HEAD") else Owner("commit", ref.split("/", 2)[2])


def _at(git: Git, cache: Cache, top: str, revs: Sequence[str]) -> dict[str, dict[str, str]]:
    """The blob of each dvc.lock of each commit, by path from the project's root."""
    stored = cache.memos(_FORM, [f"{rev}:{top}" for rev in revs])
    found = {rev: json.loads(stored[f"{rev}:{top}"]) for rev in revs if f"{rev}:{top}" in stored}
    unknown = [rev for rev in revs if rev not in found]
    listed = git.paths_named(unknown, "dvc.lock")
    specs = [(rev, path) for rev in unknown for path in listed[rev] if path.startswith(top)]
    infos = git.info_many([f"{rev}:{path}" for rev, path in specs])
    found.update((rev, {}) for rev in unknown)
    for (rev, path), info in zip(specs, infos, strict=True):
        if info is not None:
            found[rev][path[len(top) :]] = info[0]
    cache.remember_many(_FORM, {f"{rev}:{top}": json.dumps(found[rev]) for rev in unknown})
    return found


def _history(git: Git, cache: Cache, top: str, tips: Sequence[str]) -> list[tuple[str, str, str]]:
    """Each version of each dvc.lock that the commits behind `tips` have: rev, path and blob."""
    if not tips:
        return []
    key = hashing.sha256("\n".join([top, *sorted(tips)]).encode())
    stored = cache.memo(_HISTORY, key)
    if stored is None:
        out = git.run(
            "log", "--stdin", "--format=%x01%H", "--raw", "--no-abbrev", "--no-renames", "-z",
            "--", f":(top,glob){_escaped(top)}**/dvc.lock", stdin="\n".join(tips).encode(),
        )  # fmt: skip
        stored = json.dumps(_parsed(out, top))
        cache.remember(_HISTORY, key, stored)
    return [tuple(one) for one in json.loads(stored)]


def _parsed(out: bytes, top: str) -> list[tuple[str, str, str]]:
    """`git log --raw -z`: a commit's rev, then for each file its modes and blobs, and its path."""
    found = []
    rev, words = "", iter(out.decode("utf-8", "surrogateescape").split("\0"))
    for word in words:
        text = word.lstrip("\n")
        if text.startswith("\x01"):
            rev = text[1:]
        elif text.startswith(":"):
            oid, path = text.split(" ")[3], next(words)
            if set(oid) != {"0"}:
                found.append((rev, path[len(top) :], oid))
    return found


def _escaped(path: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in path)


def _runs(git: Git, cache: Cache, path: str, oid: str) -> list[_Run]:
    """The entries of a dvc.lock by its blob; one that nobody can read has none."""
    stored = cache.memo(_FORM, oid)
    if stored is None:
        entries = _entries(git.read(oid) or b"", path)
        stored = json.dumps([_facts(name, entry) for name, entry in entries.items()])
        cache.remember(_FORM, oid, stored)
    folder = posixpath.dirname(path)
    return [_Run(StageName(folder, name), *facts) for name, *facts in json.loads(stored)]


def _entries(data: bytes, path: str) -> Mapping[str, LockedStage]:
    try:
        stages = dvc_lock.parse(data, path).stages
    except ProjectFileError:
        return {}
    return {name: one for name, one in stages.items() if isinstance(one, LockedStage)}


def _facts(name: str, entry: LockedStage) -> list[str]:
    plain = entry.entry()
    form, outs = _form(entry.cmd, (out.path for out in entry.outs))
    return [name, run_cache.key(plain), run_cache.value(plain), form, outs]


def _form(cmd: str | tuple[str, ...], outs: Iterable[str]) -> tuple[str, str]:
    """What a stage is told by when nothing else does: its command with its outputs, and these alone."""
    listed = json.dumps(sorted(outs))
    text = json.dumps([cmd if isinstance(cmd, str) else [*cmd], listed])
    return hashing.sha256(text.encode()), listed


def _add_workspace(known: Known, root: Path) -> None:
    """The dvc.lock files on disk, and the stages of the dvc.yaml files; what cannot be read tells nothing."""
    try:
        graph = graphs.load(root)
    except NbexpError:
        return
    stages = [stage for stage in graph.stages if stage.data is None]
    for lock_file in dict.fromkeys(stage.lock_file for stage in stages):
        try:
            data = (root / lock_file).read_bytes()
        except OSError:
            continue
        folder = posixpath.dirname(lock_file)
        for name, entry in _entries(data, lock_file).items():
            run = _Run(StageName(folder, name), *_facts(name, entry)[1:])
            known.add(run, Owner("workspace", "workspace"))
    for stage in stages:
        folder = "" if stage.folder == "." else stage.folder
        form, outs = _form(stage.spec.cmd, (out.spelled for out in stage.outs))
        known.add_stage(StageName(folder, stage.name), form, outs)
