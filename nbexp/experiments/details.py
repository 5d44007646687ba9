"""The details of a comparison: code line by line, data file by file, environments by package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from nbexp.experiments import differences
from nbexp.experiments.compare import Diff, Side
from nbexp.experiments.data import Site
from nbexp.experiments.data import changes as data_changes
from nbexp.experiments.differences import DataChange, Patch
from nbexp.experiments.row import Data
from nbexp.frozen import replace
from nbexp.git import Git
from nbexp.pipeline.graph import is_inside
from nbexp.store.cache import Cache


def add(
    diff: Diff, old: Side, new: Side, site: Site, present: Callable[[], Mapping[str, object]]
) -> Diff:
    """The comparison of two sides with its details; `present` tells of the workspace's environment."""
    code = [one for one in diff.code if differences.is_code(one[0])]
    revs = [side.rev for side in (old, new) if side.rev is not None]
    runs = differences.told(site.git, revs)
    told = [
        present() if side.rev is None and runs else runs.get(side.rev or "") for side in (old, new)
    ]
    return replace(
        diff,
        patches=differences.patches(code, _reader(site.git, old.rev), _reader(site.git, new.rev)),
        data=_data(site, old, new),
        environment=differences.environment(*told),
    )


def between_runs(
    git: Git, prefix: str, old: tuple[str, Data], new: tuple[str, Data], outs: Iterable[str]
) -> tuple[tuple[Patch, ...], tuple[DataChange, ...], differences.EnvironmentChange | None]:
    """Code, tracked data and environment that differ between two commits, for the card of a run.

    Notes
    -----
    Of a few hundred files of code it takes under a millisecond, and no process.
    """
    top = f"{prefix}/" if prefix else ""
    known = [
        top + path for _, data in (old, new) for path in (*data.params, *data.metrics, *data.outs)
    ] + [top + path for path in outs]
    code = [
        (path, differences.word(was, is_))
        for path, was, is_ in differences.changed_files(git, old[0], new[0])
        if differences.is_code(path) and not any(is_inside(path, one) for one in known)
    ]
    patches = differences.patches(code, _reader(git, old[0]), _reader(git, new[0]))
    before, after = (
        {path: out for path, out in data.outs.items() if out.get("is_data_source")}
        for _, data in (old, new)
    )
    data = [
        DataChange(
            path,
            differences.word(before.get(path), after.get(path)),
            _recorded_size(before.get(path)),
            _recorded_size(after.get(path)),
        )
        for path in sorted({*before, *after})
        if (before.get(path) or {}).get("hash") != (after.get(path) or {}).get("hash")
    ]
    runs = differences.told(git, [old[0], new[0]])
    environment = differences.environment(runs.get(old[0]), runs.get(new[0]))
    return patches, tuple(data), environment


def _reader(git: Git, rev: str | None) -> differences.Read:
    """Reads files of a commit, or those on disk."""
    if rev is not None:
        return lambda paths: git.read_many([f"{rev}:{path}" for path in paths])

    def on_disk(paths: Sequence[str]) -> list[bytes | None]:
        return [_bytes(git.root / path) for path in paths]

    return on_disk


def _bytes(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _data(site: Site, old: Side, new: Side) -> tuple[DataChange, ...]:
    # What is compared by value or by cell is not told of a second time.
    told = {*old.notebooks, *new.notebooks}
    for side in (old, new):
        told.update((*side.data.params, *side.data.metrics))
    outs = {**old.data.outs, **new.data.outs}
    found = []
    for one in data_changes.between(site, old.rev, new.rev):
        path = one.path.rstrip("/")
        if path in told:
            continue
        before = one.old_path.rstrip("/") or path
        inside = next((out for out in outs if path != out and is_inside(path, out)), "")
        found.append(
            DataChange(
                path,
                one.word,  # type: ignore[arg-type]  # those that are no change were left out
                _size(site, old, before, one.old),
                _size(site, new, path, one.new),
                one.old_path.rstrip("/"),
                inside,
            )
        )
    return tuple(sorted(found, key=lambda change: change.path))


def _size(site: Site, side: Side, path: str, md5: str | None) -> int | None:
    """The bytes of a file or directory of a side; None where there is none or nobody knows."""
    if md5 is None:
        return None
    recorded = side.data.outs.get(path)
    if recorded and recorded.get("hash") == md5 and isinstance(recorded.get("size"), int):
        return _recorded_size(recorded)
    place = _object(site.cache, md5) if side.rev is not None else site.root / path
    try:
        return place.stat().st_size if place is not None and place.is_file() else None
    except OSError:
        return None


def _object(cache: Cache, md5: str) -> Path | None:
    return None if md5.endswith(".dir") else cache.path(md5)


def _recorded_size(out: Mapping[str, object] | None) -> int | None:
    size = (out or {}).get("size")
    return size if isinstance(size, int) else None
