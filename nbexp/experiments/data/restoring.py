"""Data out of the cache: `checkout` makes outputs what `.dvc` files and dvc.lock say."""

from __future__ import annotations

import json
import posixpath
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nbexp import filesystem
from nbexp.errors import StoreError
from nbexp.events import Emit, Phase
from nbexp.experiments import open_notebooks
from nbexp.experiments.workspace import InPlace
from nbexp.filesystem import crash_point
from nbexp.formats.directory import Item
from nbexp.frozen import field, frozen
from nbexp.pipeline import data as tracked
from nbexp.pipeline.data import Chosen
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.pipeline.plan import hash_of
from nbexp.results import Result
from nbexp.store.cache import Contents, Hash

if TYPE_CHECKING:
    from nbexp.experiments.data import Site

_LISTED = 5  # paths that an error names
_PLACED = "placed"  # what a checkout put where: a later one removes what no file tracks any more


@frozen
class CheckedOut(Result):
    """What was restored: outputs by what happened to them, and how many files that were.

    Paths are relative to the user's directory, those of folders with a slash at their end, as DVC has them.
    """

    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    files: Mapping[str, int] = field(default_factory=dict, hash=False)
    missing: tuple[str, ...] = ()
    relinked: bool = False
    summary: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "added": list(self.added),
            "modified": list(self.modified),
            "deleted": list(self.deleted),
            "stats": dict(self.files),
            "missing": list(self.missing),
        }


@frozen
class _Step:
    """One output, or a part of one, that is not as it has to be."""

    path: str
    wanted: Hash
    kind: Literal["added", "modified"]
    contents: Contents | None
    is_legacy: bool = False


def checkout(
    site: Site,
    targets: Sequence[str],
    emit: Emit,
    *,
    with_deps: bool,
    recursive: bool,
    force: bool,
    relink: bool,
    allow_missing: bool,
) -> CheckedOut:
    """See `TrackedData.checkout`."""
    with site.workspace().held(emit) as workspace:
        graph = site.graph()
        chosen = tracked.choose(graph, targets, site.here, with_deps=with_deps, recursive=recursive)
        steps, missing = _plan(site, chosen, relink=relink)
        stale = [] if targets else _stale(site, graph)
        keep = site.open_notebooks()
        steps = [one for one in steps if not _is_open(site, one.path, keep, emit)]
        stale = [path for path in stale if not _is_open(site, path, keep, emit)]
        in_the_way = [path for step in steps for path in _unsaved(site, step)]
        if in_the_way and not force:
            raise _refused(site, in_the_way, targets)
        counts = {"modified": 0, "added": 0, "deleted": 0}
        with workspace.changing("data checkout"):
            for path in stale:
                workspace.set_aside(path)
                counts["deleted"] += 1
            for number, step in enumerate(steps):
                emit(Phase(f"checking out {step.path}", number, len(steps)))
                with site.narrating(f"checking out {step.path}", emit):
                    _restore(site, workspace, step, relink=relink)
                for word, count in _counts(site, step).items():
                    counts[word] += count
                crash_point("data.checked_out")
            # Of data of DVC 2.x the file says another digest than the workspace will.
            made = {one.path: one.wanted.md5 for one in steps if not one.is_legacy}
            point = workspace.undo_point(made)
            if point is not None:
                site.git.commit(point)
        _remember_placed(site, chosen, stale)
    if missing and not allow_missing:
        raise _lacking(site, missing, len(steps))
    words = {word: _listed(site, steps, word) for word in ("added", "modified")}
    gone = tuple(sorted(posixpath.relpath(path, site.here) for path in stale))
    return CheckedOut(
        words["added"],
        words["modified"],
        gone,
        counts,
        tuple(posixpath.relpath(path, site.here) for path in missing),
        relinked=relink,
    )


def _is_open(site: Site, path: str, keep: Mapping[str, str], emit: Emit) -> bool:
    """Whether the output is a notebook that is open, or has one inside; then it stays as it is."""
    top = posixpath.join(site.prefix, path)
    inside = [one for one in keep if is_inside(one, top)]
    for one in inside:
        emit(open_notebooks.left_alone(one, keep, None, site.prefix, label=""))
    return bool(inside)


def remember_placed(site: Site, paths: Mapping[str, str]) -> None:
    """Note that these outputs hold this, put there by us."""
    known = _placed(site)
    known.update(paths)
    site.cache.remember(_PLACED, str(site.root), json.dumps(known))


@frozen
class Unprotected(Result):
    """The outputs whose files are copies of their own now, and how many files were links."""

    paths: tuple[str, ...]
    files: int

    def to_json(self) -> dict[str, object]:
        return {"unprotected": list(self.paths), "files": self.files}


def unprotect(site: Site, targets: Sequence[str], emit: Emit) -> Unprotected:
    """See `TrackedData.unprotect`."""
    with site.workspace().held(emit):
        chosen = tracked.choose(site.graph(), targets, site.here)
        count = 0
        for one in chosen:
            place = site.root / one.path
            emit(Phase(f"unprotecting {one.path}"))
            inner = [*place.rglob("*")] if place.is_dir() else [place]
            count += sum(_make_own(path) for path in inner if path.is_file())
    return Unprotected(tuple(posixpath.relpath(one.path, site.here) for one in chosen), count)


def _make_own(path: Path) -> bool:
    """Make a file that shares its bytes with the cache one of its own, which may be written to."""
    status = path.lstat()
    is_own = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    if not is_own:
        filesystem.place(path.resolve(), path, ["reflink", "copy"])
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & stat.S_IWUSR:
        path.chmod(mode | (0o666 & ~filesystem.umask()))
    return not is_own


def _plan(site: Site, chosen: Sequence[Chosen], *, relink: bool) -> tuple[list[_Step], list[str]]:
    """What has to change, and the outputs of which the cache lacks something."""
    inspector = site.inspector()
    steps: list[_Step] = []
    missing: list[str] = []
    for one in chosen:
        entry = inspector.locked(one.stage)
        locked = {out.path: out for out in entry.outs} if entry is not None else {}
        if not one.out.cache or one.out.spelled not in locked:
            continue
        made = locked[one.out.spelled]
        wanted: Hash | None = hash_of(made)
        present = site.cache.hash(site.root / one.path, legacy=made.legacy and not one.inner)
        if one.inner:
            wanted = _part(site, made.md5, one.inner)
            if wanted is None:
                missing.append(one.path)
                continue
        assert wanted is not None
        same = present is not None and present.md5 == wanted.md5
        if same and not relink:
            continue
        if not (site.cache.has(wanted) if not one.inner else _has_all(site, wanted)):
            missing.append(one.path)
            continue
        contents = site.cache.contents(site.root / one.path)
        kind: Literal["added", "modified"] = "added" if present is None else "modified"
        steps.append(_Step(one.path, wanted, kind, contents, made.legacy))
    return steps, missing


def _part(site: Site, md5: str, inner: str) -> Hash | None:
    """What a tracked directory has at a path inside it; None if that is nothing, or nobody knows."""
    if not md5.endswith(".dir") or not site.cache.has_object(md5):
        return None
    below: list[Item] = []
    for item in site.cache.items(md5):
        if item.relpath == inner:
            return Hash(item.md5, -1)
        if is_inside(item.relpath, inner):
            below.append(Item(posixpath.relpath(item.relpath, inner), item.md5))
    return site.cache.list_as(below, storing=False) if below else None


def _has_all(site: Site, wanted: Hash) -> bool:
    if not wanted.is_dir:
        return site.cache.has(wanted)
    return all(site.cache.has(item.md5) for item in site.cache.items(wanted.md5))


def _unsaved(site: Site, step: _Step) -> list[str]:
    """The files that would go and whose bytes nothing holds."""
    place = site.root / step.path
    wanted = _wanted_items(site, step)
    if step.contents is None:
        found = site.cache.hash(place) if place.is_file() else None
        if found is None:
            return []  # nothing is there, or a link that holds no bytes of its own
        is_held = found.md5 == step.wanted.md5 or site.cache.has_object(found.md5)
        return [] if is_held else [step.path]
    return [
        posixpath.join(step.path, item.relpath)
        for item in step.contents.items
        if wanted.get(item.relpath) != item.md5 and not site.cache.has_object(item.md5)
    ]


def _wanted_items(site: Site, step: _Step) -> dict[str, str]:
    if not step.wanted.is_dir:
        return {"": step.wanted.md5}
    return {item.relpath: item.md5 for item in site.cache.items(step.wanted.md5)}


def _restore(site: Site, workspace: InPlace, step: _Step, *, relink: bool) -> None:
    target = site.root / step.path
    workspace.set_aside(step.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    old = workspace.journal.aside(posixpath.join(site.prefix, step.path))
    moved = (step.contents, old) if step.contents and old and not relink else None
    site.cache.checkout(step.wanted, target, moved=moved)
    workspace.carry_over(step.path)


def _counts(site: Site, step: _Step) -> dict[str, int]:
    """How many files of a step were added, modified and deleted."""
    if step.contents is None:
        count = step.wanted.nfiles if step.wanted.is_dir else 1
        return {step.kind: 1 if count is None else count}
    before = {item.relpath: item.md5 for item in step.contents.items}
    after = _wanted_items(site, step)
    both = before.keys() & after.keys()
    return {
        "modified": sum(before[path] != after[path] for path in both),
        "added": len(after.keys() - before.keys()),
        "deleted": len(before.keys() - after.keys()),
    }


def _listed(site: Site, steps: Iterable[_Step], kind: str) -> tuple[str, ...]:
    """The outputs of one kind, folders first, as DVC lists them."""
    paths = []
    for step in steps:
        if step.kind == kind:
            path = posixpath.relpath(step.path, site.here)
            paths.append(f"{path}/" if step.wanted.is_dir else path)
    return tuple(sorted(paths, key=lambda path: (not path.endswith("/"), path)))


def _placed(site: Site) -> dict[str, str]:
    known = site.cache.memo(_PLACED, str(site.root))
    return dict(json.loads(known)) if known else {}


def _stale(site: Site, graph: Graph) -> list[str]:
    """Outputs that were put there, are as they were put, and that nothing tracks any more (after `git switch`)."""
    now = {out.path for _, out in graph.outs}
    found = []
    for path, md5 in sorted(_placed(site).items()):
        if any(is_inside(path, out) or is_inside(out, path) for out in now):
            continue
        there = site.cache.hash(site.root / path)
        if there is not None and there.md5 == md5 and site.cache.has(there):
            found.append(path)
    return found


def _remember_placed(site: Site, chosen: Sequence[Chosen], stale: Sequence[str]) -> None:
    known = _placed(site)
    after = {path: md5 for path, md5 in known.items() if path not in stale}
    inspector = site.inspector()
    for one in chosen:
        entry = inspector.locked(one.stage)
        for out in entry.outs if entry is not None and one.out.cache and not one.inner else ():
            if out.path == one.out.spelled:
                after[one.out.path] = out.md5
    if after != known:
        site.cache.remember(_PLACED, str(site.root), json.dumps(after))


def _refused(site: Site, paths: Sequence[str], targets: Sequence[str]) -> StoreError:
    shown = [posixpath.relpath(path, site.here) for path in paths]
    more = f" and {len(shown) - _LISTED:,} more" if len(shown) > _LISTED else ""
    have = "1 file has" if len(shown) == 1 else f"{len(shown):,} files have"
    words = " ".join(["nbexp data checkout", *targets, "--force"])
    return StoreError(
        f"{have} edits that nothing holds: {', '.join(shown[:_LISTED])}{more}. Nothing was checked out.",
        f"`nbexp data commit --force` keeps them; `{words}` overwrites them (then `nbexp undo` brings them back).",
    )


def _lacking(site: Site, paths: Sequence[str], restored: int) -> StoreError:
    shown = [posixpath.relpath(path, site.here) for path in paths]
    more = f" and {len(shown) - _LISTED:,} more" if len(shown) > _LISTED else ""
    others = f" All else was checked out ({restored})." if restored else " Nothing was changed."
    return StoreError(
        f"The cache lacks {', '.join(shown[:_LISTED])}{more}.{others}",
        "`nbexp data pull` gets data from a remote; `--allow-missing` makes this no error.",
    )
