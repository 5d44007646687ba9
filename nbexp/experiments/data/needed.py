"""What of the cache is needed: by the workspace, by the commits that count, and by what must never be lost.

What is kept can be told from files alone: every hash that a `.dvc` file or dvc.lock names, in the workspace and in
each commit that counts. More than was asked for always counts: every experiment, removed and failed ones, undo
points, what DVC's own queue holds, stashes, other work trees of the repository, and links of the workspace that
lead into the cache. Entries that dvc.yaml does not know any more count as well; keeping too much loses nothing.
"""

from __future__ import annotations

import json
import os
import posixpath
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import GitError, NbexpError, NotFound, ProjectFileError, StoreError, UsageError
from nbexp.events import Emit, Notice, Phase
from nbexp.experiments import place
from nbexp.experiments.trash import PREFIX as TRASH
from nbexp.experiments.undo import PREFIX as UNDO
from nbexp.experiments.undo import REDO
from nbexp.formats import dvc_lock, values
from nbexp.formats.dvc_file import SUFFIX
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline.graph import stage_files
from nbexp.store.cache import Cache

if TYPE_CHECKING:
    from nbexp.experiments.data import Site

_FORM = "hashes-1"  # what is remembered of a file in Git
NAMES = ("dvc.lock", f"*{SUFFIX}")
MAX_LEAVES = 1_000_000


@frozen
class Selection:
    """Whose data is kept besides what always is; as the options of `dvc gc`.

    `num` is how many commits count from `rev` and from each branch; `since` a date.
    """

    workspace: bool = False
    rev: str | None = None
    num: int | None = None
    all_branches: bool = False
    all_tags: bool = False
    all_commits: bool = False
    all_experiments: bool = False
    since: str | None = None

    @property
    def is_empty(self) -> bool:
        return not (
            self.workspace
            or self.rev
            or self.all_branches
            or self.all_tags
            or self.all_commits
            or self.all_experiments
            or self.since
        )


def check(selection: Selection) -> None:
    """Refuse a selection that names nothing to keep, or that makes no sense."""
    if selection.is_empty:
        raise UsageError(
            "Which data is kept? Nothing was removed.",
            "`nbexp data gc -w` keeps that of the workspace, `-a` that of branches, `-A` that of every commit.",
        )
    if selection.num is not None and not (selection.rev or selection.all_branches):
        raise UsageError(
            "`--num` counts commits from `--rev` or `--all-branches`. Nothing was removed.",
            f"`nbexp data gc --rev HEAD --num {selection.num}`",
        )
    if selection.since is not None:
        try:
            date.fromisoformat(selection.since)
        except ValueError:
            raise UsageError(
                f"`{selection.since}` is no date. Nothing was removed.",
                "`nbexp data gc --date 2026-01-31`",
            ) from None


class Keeper:
    """Gathers the hashes that are needed: `kept` all of them, `always` those that no option lets go of.

    `without` are refs that are looked at as if they were gone.
    """

    def __init__(
        self,
        git: Git,
        skip_failed: bool,
        emit: Emit,
        site: Site,
        *,
        without: Collection[str] = (),
    ) -> None:
        self._without = without
        self.kept: set[str] = set()
        self.always: set[str] = set()
        self._git = git
        self._skip_failed = skip_failed
        self._emit = emit
        self._site, self._cache = site, site.cache

    def keep_project(self, root: Path, prefix: str, selection: Selection) -> None:
        """What a project's workspace and its repository need."""
        self._keep_workspace(root)
        self._keep_links(root)
        top = f"{prefix}/" if prefix else ""
        away = []
        for tree, head in self._work_trees():
            other = tree / prefix
            if head and not tree.exists():  # its disk is not mounted just now
                away.append(head)
            if other.is_dir() and other.resolve() != root.resolve():
                _refuse_busy(other)
                self._keep_workspace(other)
                self._keep_links(other)
        # First: it tells of a ref that leads nowhere.
        always = [*self._always(), *away]
        asked = self._asked(selection)
        self._emit(Phase(f"reading {len({*asked, *always})} commits"))
        self.kept |= hashes_of(self._git, self._cache, asked, top, self._failed)
        self.always |= hashes_of(self._git, self._cache, always, top, self._failed)
        self._keep_undo_points()
        self.kept |= self.always

    def keep_other(self, path: Path, selection: Selection) -> None:
        """What another project that shares the cache needs."""
        folder = Path(self._site.root, self._site.here, path).resolve()
        git = Git.find(folder)
        if git is None or not (folder / ".dvc").is_dir():
            raise NotFound(f"`{path}` is no project. Nothing was removed.")
        _refuse_busy(folder)
        other = Keeper(git, self._skip_failed, self._emit, self._site)
        other.keep_project(folder, place.prefix(git, folder), selection)
        self.kept |= other.kept
        self.always |= other.always
        git.close()

    def keep_listed(self) -> None:
        """What is in the directories that are kept."""
        for md5 in [md5 for md5 in self.kept if md5.endswith(".dir")]:
            try:
                inner = [item.md5 for item in self._cache.items(md5)]
            except StoreError:
                continue  # nobody has the listing, so nobody can know its files
            self.kept.update(inner)
            if md5 in self.always:
                self.always.update(inner)

    def _keep_workspace(self, root: Path) -> None:
        if not (root / ".dvc").is_dir():
            return
        files = stage_files(root)
        locks = {posixpath.join(posixpath.dirname(file), "dvc.lock") for file in files}
        for path in {*(file for file in files if file.endswith(SUFFIX)), *locks}:
            try:
                data = (root / path).read_bytes()
            except OSError:
                continue
            try:
                self.kept.update(_hashes(data, path))
            except ProjectFileError as error:
                self._failed("the workspace", error)

    def _keep_links(self, root: Path) -> None:
        """Links into the cache that no `.dvc` file tracks (an undone `add`): without the object they lead nowhere."""
        cache = os.fspath(self._cache.folder)
        for folder, folders, names in os.walk(root):
            folders[:] = [
                name for name in folders if name != ".git" and os.path.join(folder, name) != cache
            ]
            for name in names:
                path = os.path.join(folder, name)
                if os.path.islink(path) and (target := os.readlink(path)).startswith(cache):
                    inner = os.path.relpath(target, cache).split(os.sep)
                    self.always.add("".join(inner[-2:]))

    def _keep_undo_points(self) -> None:
        refs = self._git.refs(UNDO, REDO)
        revs = [rev for ref, rev in refs.items() if ref not in self._without]
        for data in self._git.read_many([f"{rev}:manifest.json" for rev in revs]):
            for entry in _entries_of(data):
                old = entry.get("old")
                if isinstance(old, dict) and isinstance(old.get("md5"), str):
                    self.always.add(old["md5"])

    def _work_trees(self) -> list[tuple[Path, str]]:
        """Where each work tree is, or was last, and the commit that it is at; "" where it has none."""
        listed = os.fsdecode(self._git.worktree("list", "--porcelain"))  # with `-z` from 2.36 on
        found = []
        for block in listed.split("\n\n"):
            told = dict(line.partition(" ")[::2] for line in block.split("\n"))
            if "worktree" in told:
                head = told.get("HEAD", "")
                found.append((Path(told["worktree"]), head if head.strip("0") else ""))
        return found

    def _always(self) -> list[str]:
        """The commits whose data is kept whatever is asked for."""
        git = self._git
        always = git.refs("refs/exps/", "refs/nbexp/")
        for ref in self._without:
            always.pop(ref, None)
        infos = self._git.info_many([*always.values()])
        for ref in [ref for ref, one in zip(always, infos, strict=True) if one is None]:
            gone = GitError(
                f"`{ref}` points to {always.pop(ref)[:7]}, which is not in this repository."
            )
            self._failed(f"`{ref.rpartition('/')[2]}`", gone)
        revs = {rev: None for ref, rev in always.items() if not ref.startswith((UNDO, REDO))}
        for name in ("refs/stash", "refs/exps/celery/stash", "refs/exps/celery/failed"):
            if git.resolve(name) is not None:
                revs.update(lines(git.run("log", "-g", "--format=%H", name, "--")))
        # A chain of checkpoints is an experiment as a whole.
        whole = ("refs/exps/", TRASH)
        chains = [rev for ref, rev in always.items() if ref.startswith(whole)]
        if chains:
            walk = git.run("rev-list", "--stdin", stdin=_asked(chains, git))
            revs.update(lines(walk))
        return list(revs)

    def _asked(self, selection: Selection) -> list[str]:
        """The commits that the options name."""
        git = self._git
        revs: dict[str, None] = {}
        if selection.all_commits:
            revs.update(lines(git.run("rev-list", "--ignore-missing", "--all")))
        if selection.since is not None:
            revs.update(self._since(selection.since))
        if selection.all_branches:
            for rev in git.refs("refs/heads/").values():
                revs.update(self._first(rev, selection.num or 1))
        if selection.all_tags:
            revs.update(dict.fromkeys(git.refs("refs/tags/").values()))
        if selection.rev is not None:
            found = git.resolve(f"{selection.rev}^{{commit}}")
            if found is None:
                raise NotFound(f"`{selection.rev}` is no commit here. Nothing was removed.")
            revs.update(self._first(found, selection.num or 1))
        return list(revs)

    def _first(self, rev: str, num: int) -> dict[str, None]:
        """A commit and its first parents, `num` in all; a negative number means all of them."""
        limit = [f"--max-count={num}"] if num >= 0 else []
        return lines(self._git.run("rev-list", "--first-parent", *limit, rev))

    def _since(self, day: str) -> dict[str, None]:
        first = datetime.combine(date.fromisoformat(day), datetime.min.time()).timestamp()
        found: dict[str, None] = {}
        for line in (
            self._git.run("log", "--ignore-missing", "--all", "--format=%H %ct")
            .decode()
            .splitlines()
        ):
            rev, time = line.split(" ")
            if int(time) >= first:
                found[rev] = None
        return found

    def _failed(self, where: str, error: NbexpError) -> None:
        if not self._skip_failed:
            raise StoreError(
                f"What {where} needs cannot be told: {error.message} Nothing was removed.",
                "`--skip-failed` goes on without it, and so does not keep its data.",
            ) from error
        self._emit(Notice(f"Data of {where} is not kept: {error.message}"))


def _entries_of(manifest: bytes | None) -> list[dict[str, object]]:
    """What an undo point keeps; nothing of one that is damaged, which can bring nothing back."""
    try:
        found = json.loads(manifest or b"")["entries"]
    except (ValueError, TypeError, KeyError):
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def hashes_of(
    git: Git,
    cache: Cache,
    revs: Sequence[str],
    top: str,
    failed: Callable[[str, ProjectFileError], None],
) -> set[str]:
    """The hashes that the `.dvc` files and dvc.lock below `top` name in these commits.

    Each version of a file is read once in its life: what it names is remembered by its blob.
    """
    by_name = [git.paths_named(revs, name) for name in NAMES]
    places = [
        (rev, path)
        for listed in by_name
        for rev in revs
        for path in listed[rev]
        if path.startswith(top)
    ]
    infos = git.info_many([f"{rev}:{path}" for rev, path in places])
    oids = {info[0]: path for info, (_, path) in zip(infos, places, strict=True) if info}
    known = {oid: tuple(json.loads(text)) for oid, text in cache.memos(_FORM, [*oids]).items()}
    unknown = [oid for oid in oids if oid not in known]
    fresh: dict[str, str] = {}
    broken: dict[str, ProjectFileError] = {}
    for oid, data in zip(unknown, git.read_many(unknown), strict=True):
        try:
            known[oid] = tuple(sorted(_hashes(data or b"", oids[oid])))
            fresh[oid] = json.dumps(known[oid])
        except ProjectFileError as error:
            broken[oid] = error
    cache.remember_many(_FORM, fresh)
    for (rev, path), info in zip(places, infos, strict=True):
        if info is not None and info[0] in broken:
            failed(f"{rev[:7]}:{path}", broken[info[0]])
    return {md5 for md5s in known.values() for md5 in md5s}


def _hashes(data: bytes, path: str) -> set[str]:
    """Every hash that the outputs of a `.dvc` file or dvc.lock have."""
    dvc_lock.check_merged(data, path)
    tree = values.parse(data, path, max_leaves=MAX_LEAVES)
    if not isinstance(tree, Mapping):
        return set()
    if path.endswith(SUFFIX):
        return set(_md5s_in(tree.get("outs")))
    stages = tree.get("stages")
    found: set[str] = set()
    for entry in stages.values() if isinstance(stages, Mapping) else ():
        if isinstance(entry, Mapping):
            found.update(_md5s_in(entry.get("outs")))
    return found


def _md5s_in(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        md5 = value.get("md5")
        if isinstance(md5, str):
            yield md5
        yield from _md5s_in(value.get("files"))
    elif isinstance(value, list):
        for one in value:
            yield from _md5s_in(one)


def _asked(chains: Sequence[str], git: Git) -> bytes:
    """What to walk: experiments without the history below them."""
    below = git.refs("refs/heads/", "refs/tags/", "refs/remotes/").values()
    head = git.head()
    bottoms = {*below, *([head] if head else [])}
    return "".join([*(f"{one}\n" for one in chains), *(f"^{one}\n" for one in bottoms)]).encode()


def lines(data: bytes) -> dict[str, None]:
    """What Git listed, each once, in its order."""
    return dict.fromkeys(data.decode().split())


def _refuse_busy(root: Path) -> None:
    """Another work tree has results that no file names while a command is at work there."""
    if not (root / ".dvc").is_dir():
        return
    if place.unfinished(root) is not None or place.workspace_lock(root).held():
        raise StoreError(
            f"A command is at work in {root}, or was killed there. Nothing was removed.",
            f"wait for it, or put right what it left: `nbexp undo --cd {shlex.quote(str(root))}`.",
        )
