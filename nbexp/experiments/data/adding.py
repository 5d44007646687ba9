"""Data into the cache: `add` makes `.dvc` files, `commit` brings them and dvc.lock up to date."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nbexp import filesystem
from nbexp.errors import NotFound, StoreError, UsageError
from nbexp.events import Emit, Phase
from nbexp.experiments import place as places
from nbexp.experiments.workspace import InPlace
from nbexp.filesystem import crash_point
from nbexp.formats import dvc_file
from nbexp.formats.directory import Item
from nbexp.formats.dvc_file import DvcFile
from nbexp.formats.dvc_yaml import what_is_wrong
from nbexp.frozen import frozen, replace
from nbexp.pipeline import data as tracked
from nbexp.pipeline import outputs
from nbexp.pipeline.data import Chosen
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.pipeline.plan import Inspector, hash_of, locked_path
from nbexp.pipeline.stage import Stage
from nbexp.results import Result
from nbexp.store.cache import Cache, Hash

if TYPE_CHECKING:
    from nbexp.experiments.data import Site


@frozen
class Added(Result):
    """What is tracked now, each path with its `.dvc` file; `ignores` are the .gitignore files that were edited.

    Paths are relative to the user's directory.
    """

    paths: tuple[str, ...]
    files: tuple[str, ...]
    ignores: tuple[str, ...]
    size_bytes: int
    staged: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "added": [
                {"path": path, "file": file}
                for path, file in zip(self.paths, self.files, strict=True)
            ],
            "ignores": list(self.ignores),
            "size": self.size_bytes,
        }


@frozen
class Committed(Result):
    """The stages and `.dvc` files whose data is in the cache now; `files` are those that were rewritten."""

    stages: tuple[str, ...]
    files: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {"committed": list(self.stages), "written": list(self.files)}


@frozen
class Sent:
    """Where data goes instead of the cache: a remote (None: the default one), so many files at once."""

    remote: str | None
    jobs: int | None


@frozen
class _Job:
    """One target: where the data is, what tracks it, and the part that is meant of a tracked directory."""

    source: str
    path: str
    owner: Chosen | None

    @property
    def file(self) -> str:
        if self.owner is not None:
            return self.owner.stage.file
        return self.path + dvc_file.SUFFIX


def add(
    site: Site,
    targets: Sequence[str],
    emit: Emit,
    *,
    out: str | None,
    glob: bool,
    commit: bool,
    force: bool,
    relink: bool,
    sent: Sent | None,
    notes: Mapping[str, object],
) -> Added:
    """See `TrackedData.add`."""
    if not targets:
        raise UsageError("Which data?", "`nbexp data add data/` tracks a directory.")
    with site.workspace().held(emit) as workspace:
        found = _expanded(site, targets) if glob else list(dict.fromkeys(targets))
        if (out is not None or sent is not None) and len(found) != 1:
            raise UsageError(
                f"`{'--out' if out is not None else '--to-remote'}` takes one target, and "
                f"{len(found)} are given. Nothing was added.",
                "give one call to each.",
            )
        if sent is not None and out is None:
            out = posixpath.basename(found[0].rstrip("/"))
            force = True  # nothing is written there
        graph = site.graph()
        jobs = [_job(site, graph, target, out, force=force) for target in found]
        _check_apart(jobs)
        _refuse_what_git_tracks(site, jobs)
        ignores: list[str] = []
        with workspace.changing(f"data add {found[0]}"):
            size, written = 0, []
            ahead = _stored_ahead(site, jobs, relink, emit) if commit and sent is None else {}
            for number, job in enumerate(jobs):
                emit(Phase(f"adding {job.path}", number, len(jobs)))
                with site.narrating(f"adding {job.path}", emit):
                    size += _add_one(
                        site,
                        workspace,
                        job,
                        commit=commit,
                        relink=relink,
                        sent=sent,
                        notes=notes,
                        ignores=ignores,
                        ahead=ahead,
                        emit=emit,
                    )
                written.append(job.file)
                crash_point("data.added")
            point = workspace.undo_point()
            if point is not None:
                site.git.commit(point)
        staged = site.config().is_on("core", "autostage")
        if staged:
            names = [posixpath.join(site.prefix, path) for path in (*written, *ignores)]
            site.git.run("add", "--", *names)
    return Added(
        tuple(_here(site, job.path) for job in jobs),
        tuple(_here(site, path) for path in written),
        tuple(_here(site, path) for path in dict.fromkeys(ignores)),
        size,
        staged,
    )


def commit(
    site: Site,
    targets: Sequence[str],
    emit: Emit,
    *,
    force: bool,
    with_deps: bool,
    recursive: bool,
    relink: bool,
) -> Committed:
    """See `TrackedData.commit`."""
    with site.workspace().held(emit) as workspace:
        graph, inspector = site.graph(), site.inspector()
        stages = tracked.stages_of(
            graph, targets, site.here, with_deps=with_deps, recursive=recursive
        )
        checks = {stage: inspector.check(stage) for stage in stages}
        for stage, check in checks.items():
            changed = [one for one in check.reasons if one.state != "not in cache"]
            changed = [one for one in changed if one.kind != "always"]
            if changed and not force:
                raise UsageError(
                    f"{stage.shown} changed: {', '.join(map(str, changed))}. Nothing was committed.",
                    f"`nbexp data commit {stage.address(site.here)} --force` takes it as it is now.",
                )
        for stage in stages:
            _require_all(site, stage, inspector)
        with workspace.changing("data commit"):
            context = site.context(workspace, relink=relink)
            before = _texts(site, [stage.lock_file for stage in stages])
            for number, stage in enumerate(stages):
                emit(Phase(f"committing {stage.shown}", number, len(stages)))
                with site.narrating(f"committing {stage.shown}", emit):
                    outputs.commit(checks[stage], inspector, context, emit)
                crash_point("data.committed")
            point = workspace.undo_point()
            if point is not None:
                site.git.commit(point)
        after = _texts(site, list(before))
    return Committed(
        tuple(stage.address(site.here) for stage in stages),
        tuple(_here(site, path) for path in before if before[path] != after[path]),
    )


def _require_all(site: Site, stage: Stage, inspector: Inspector) -> None:
    """An entry of dvc.lock without a dep would say that the stage needs nothing else."""
    for out in () if stage.is_data else stage.outs:
        if not (site.root / out.path).exists():
            raise NotFound(
                f"Output `{out.path}` of {stage.shown} does not exist. Nothing was committed.",
                f"`nbexp repro {stage.address(site.here)}` makes it.",
            )
    for dep in stage.deps:
        if not (site.root / dep.path).exists():
            raise NotFound(
                f"Dep `{dep.path}` of {stage.shown} does not exist. Nothing was committed.",
                f"bring it back, or correct deps in {stage.file}.",
            )
    wrong = inspector.missing_param(stage)
    if wrong is not None:
        raise NotFound(f"{wrong.message} Nothing was committed.", wrong.hint)


def _expanded(site: Site, targets: Sequence[str]) -> list[str]:
    import glob

    folder = site.root / site.here
    found = [
        path
        for target in targets
        for path in sorted(glob.glob(target, root_dir=folder, recursive=True))
    ]
    if not found:
        raise NotFound(f"Nothing is like `{targets[0]}`. Nothing was added.")
    return list(dict.fromkeys(found))


def _job(site: Site, graph: Graph, target: str, out: str | None, *, force: bool) -> _Job:
    """What a target means; raises when it cannot be tracked."""
    source = os.path.normpath(os.path.join(site.root, site.here, target))
    place = source
    if out is not None:
        place = os.path.normpath(os.path.join(site.root, site.here, out))
        if os.path.isdir(place) and not force:
            place = os.path.join(place, os.path.basename(source))
        if os.path.lexists(place) and not force:
            raise UsageError(
                f"`{_here(site, _relative(site, place))}` is there already. Nothing was added.",
                f"replace it: `nbexp data add {target} -o {out} --force`.",
            )
    path = _relative(site, place)
    if path == "." or path.startswith("../") or path == "..":
        raise UsageError(
            f"`{target}` is outside the project, which can only track what is inside."
            if path != "."
            else "The project itself cannot be tracked as data.",
            f"track a copy: `nbexp data add {target} --out {os.path.basename(source) or 'data'}`.",
        )
    wrong = what_is_wrong(path, ".")
    if wrong is not None:
        raise UsageError(f"`{path}` {wrong}. Nothing was added.")
    _refuse_links(site, path, target)
    owner = tracked.owner(graph, path)
    if owner is not None and not owner.stage.is_data:
        raise UsageError(
            f"`{path}` belongs to the output `{owner.out.path}` of {owner.stage.shown}. Nothing was added.",
            f"`nbexp run` makes it; `nbexp data commit {owner.stage.address(site.here)}` takes it as it is.",
        )
    inside = None if owner is not None else tracked.overlapping(graph, path)
    if inside is not None:
        raise UsageError(
            f"`{path}` has `{inside.out.path}` in it, which {inside.stage.shown} tracks. Nothing was added.",
            f"to track it with `{path}`, remove {inside.stage.file} first.",
        )
    is_gone = owner is not None and not os.path.lexists(source) and _was_part(site, owner)
    if not os.path.exists(source) and not is_gone:
        kind = "is a link to nothing" if os.path.islink(source) else "does not exist"
        raise NotFound(f"`{target}` {kind}. Nothing was added.")
    return _Job(source, path, owner)


def _was_part(site: Site, owner: Chosen) -> bool:
    """Whether the tracked directory has it: what is gone from it is a change, what never was is a slip."""
    known = None if owner.stage.data is None else owner.stage.data.entry
    then = {out.path: out for out in known.outs}.get(owner.out.spelled) if known else None
    if not owner.inner or then is None or not then.md5.endswith(".dir"):
        return False
    return any(is_inside(item.relpath, owner.inner) for item in site.cache.items(then.md5))


def _refuse_links(site: Site, path: str, target: str) -> None:
    """Data is at the place that its `.dvc` file names, and not where a link leads."""
    try:
        place = filesystem.check_inside(site.root, path)
    except filesystem.Outside as outside:
        raise UsageError(f"{outside} Nothing was added.") from None
    above = [*Path(path).parents][:-1]
    links = [folder for folder in above if (site.root / folder).is_symlink()]
    if place.is_symlink() and place.is_dir():
        links.append(Path(path))
    if links:
        raise UsageError(
            f"`{links[0].as_posix()}` is a link to a folder; data cannot be tracked through it. "
            "Nothing was added.",
            f"add what it leads to, or track a copy: `nbexp data add {target} --out NAME`.",
        )


def _check_apart(jobs: Sequence[_Job]) -> None:
    """Two targets of one call overlap as well."""
    new = {job.path for job in jobs if job.owner is None}
    for other in sorted(new):
        one = next(
            (f.as_posix() for f in PurePosixPath(other).parents if f.as_posix() in new), None
        )
        if one is not None:
            raise UsageError(
                f"`{other}` is in `{one}`; data is tracked once. Nothing was added.",
                f"`nbexp data add {one}` tracks both.",
            )


def _refuse_what_git_tracks(site: Site, jobs: Sequence[_Job]) -> None:
    names = {posixpath.join(site.prefix, job.path): job for job in jobs}
    held = site.git.is_tracked(names)
    for name, job in names.items():
        if name in held:
            raise UsageError(
                f"`{job.path}` is tracked by Git. Nothing was added.",
                f"`git rm -r --cached '{job.path}'` and a commit take it out of Git; the file stays.",
            )


def _add_one(
    site: Site,
    workspace: InPlace,
    job: _Job,
    *,
    commit: bool,
    relink: bool,
    sent: Sent | None,
    notes: Mapping[str, object],
    ignores: list[str],
    ahead: Mapping[Path, Hash],
    emit: Emit,
) -> int:
    place = Path(job.source)
    cache = site.cache if relink else site.cache.copying
    if sent is not None:
        found = _send(site, place, sent, emit)
    elif place != site.root / job.path:
        found = _copied(site, workspace, job)
    elif job.owner is not None and job.owner.inner:
        found = _with_part(site, job.owner, commit=commit, relink=relink)
    elif _is_as_dvc_2_has_it(site, job):
        return place.stat().st_size
    elif commit:
        found = ahead.get(place) or cache.add(place)
    else:
        hashed = site.cache.hash(place)
        assert hashed is not None, place
        found = hashed
    file = _file(job, found, notes)
    data = file.dump()
    if filesystem.read(site.root / job.file) != data:
        workspace.write(job.file, data)
    edit = tracked.ignore_edit(site.root, job.path if job.owner is None else job.owner.out.path)
    # What is sent away is not in the workspace, so DVC tells Git nothing of it.
    if edit is not None and sent is None and not _is_ignored(site, job):
        workspace.write(*edit)
        ignores.append(edit[0])
    return max(found.size, 0)


def _stored_ahead(
    site: Site, jobs: Sequence[_Job], relink: bool, emit: Emit
) -> Mapping[Path, Hash]:
    """Those big files among the targets that are stored where they are, several at once."""
    plain = [
        Path(job.source)
        for job in jobs
        if Path(job.source) == site.root / job.path
        and not (job.owner is not None and job.owner.inner)
        and not _is_as_dvc_2_has_it(site, job)
    ]
    if len(plain) < 2:
        return {}
    emit(Phase("adding files", 0, len(jobs)))
    with site.narrating("adding files", emit):
        return (site.cache if relink else site.cache.copying).add_files(plain)


def _send(site: Site, source: Path, sent: Sent, emit: Emit) -> Hash:
    """Send data to a remote through a cache of its own, which is gone afterwards."""
    from nbexp.store import remotes, transfer

    remote = remotes.open(site.config(), sent.remote)
    folder = filesystem.temporary(places.own_folder(site.root))
    passing = Cache(folder / "cache", link_types=("copy",), state=folder / "state.db")
    try:
        found = passing.add(source)
        done = transfer.push([found.md5], remote, passing, jobs=sent.jobs, emit=emit)
        if done.failed or done.missing:
            raise StoreError(
                f"{len(done.failed) + len(done.missing)} files did not arrive at {remote.url}: "
                f"{next(iter(done.failed.values()), 'they are gone')}. Nothing was added.",
                "the same command goes on where it stopped.",
            )
    finally:
        passing.close()
        remote.close()
        filesystem.remove(folder)
    return found


def _copied(site: Site, workspace: InPlace, job: _Job) -> Hash:
    """Bring the data from elsewhere to its place, through the cache; what was there is kept for `undo`."""
    found = site.cache.copying.add(Path(job.source))
    if os.path.lexists(site.root / job.path):
        workspace.set_aside(job.path)
    site.cache.checkout(found, site.root / job.path)
    return found


def _with_part(site: Site, owner: Chosen, *, commit: bool, relink: bool) -> Hash:
    """A tracked directory when a part of it is as in the workspace and the rest as it was tracked."""
    assert owner.stage.data is not None
    known = {out.path: out for out in owner.stage.data.entry.outs}.get(owner.out.spelled)
    if known is None or not known.md5.endswith(".dir"):
        raise UsageError(
            f"`{owner.out.path}` is tracked as a file. Nothing was added.",
            f"`nbexp data add {owner.out.path}` tracks what it is now.",
        )
    items = {item.relpath: item.md5 for item in site.cache.items(known.md5)}
    kept = {path: md5 for path, md5 in items.items() if not is_inside(path, owner.inner)}
    place = site.root / owner.path
    cache = site.cache if relink else site.cache.copying
    found = (cache.add(place) if commit else cache.hash(place)) if place.exists() else None
    if found is not None and found.is_dir:
        inner = site.cache.items(found.md5) if commit else _listed(site, place)
        kept.update({posixpath.join(owner.inner, item.relpath): item.md5 for item in inner})
    elif found is not None:
        kept[owner.inner] = found.md5
    whole = site.cache.list_as([Item(path, md5) for path, md5 in kept.items()], storing=commit)
    size = known.size or -1
    if whole.md5 != known.md5:
        # DVC as well knows the new size only where files came and none went or changed.
        is_more = not any(is_inside(path, owner.inner) for path in items)
        size = size + found.size if is_more and size > 0 and found is not None else -1
    return Hash(whole.md5, size, whole.nfiles)


def _listed(site: Site, place: Path) -> tuple[Item, ...]:
    contents = site.cache.contents(place)
    return () if contents is None else contents.items


def _file(job: _Job, found: Hash, notes: Mapping[str, object]) -> DvcFile:
    """The `.dvc` file as it has to be."""
    if job.owner is None:
        folder, name = posixpath.split(job.path)
        return dvc_file.new(folder, locked_path(name, found), **notes)
    data = job.owner.stage.data
    assert data is not None
    content = locked_path(job.owner.out.spelled, found)
    if found.size < 0:
        content = replace(content, size=None)
    return data.with_contents([content])


def _is_as_dvc_2_has_it(site: Site, job: _Job) -> bool:
    """Whether it is tracked by an entry of DVC 2.x and has not changed: such entries stay as they are."""
    if job.owner is None or job.owner.stage.data is None:
        return False
    entry = job.owner.stage.data.entry
    then = {out.path: out for out in entry.outs}.get(job.owner.out.spelled)
    if then is None or not then.legacy or not site.cache.has(hash_of(then)):
        return False
    found = site.cache.hash(site.root / job.owner.out.path, legacy=True)
    return found is not None and found.md5 == then.md5


def _is_ignored(site: Site, job: _Job) -> bool:
    path = job.path if job.owner is None else job.owner.out.path
    return bool(site.git.ignored([posixpath.join(site.prefix, path)]))


def _relative(site: Site, place: str) -> str:
    return Path(os.path.relpath(place, site.root)).as_posix()


def _here(site: Site, path: str) -> str:
    return posixpath.relpath(path, site.here)


def _texts(site: Site, paths: Sequence[str]) -> dict[str, bytes | None]:
    return {path: filesystem.read(site.root / path) for path in paths}
