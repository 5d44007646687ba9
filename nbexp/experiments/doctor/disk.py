"""What `doctor` looks at on the disk: commands that were killed, locks, databases, DVC's files, the cache."""

from __future__ import annotations

import os
import posixpath
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nbexp import filesystem, settings
from nbexp.errors import NbexpError, ProjectFileError
from nbexp.events import Phase
from nbexp.experiments import pending, place
from nbexp.experiments.doctor import Check, Finding, Visit, counted, some
from nbexp.formats import dvc_file, dvc_lock, dvc_yaml
from nbexp.pipeline import graph as graphs
from nbexp.pipeline import locks
from nbexp.store import state
from nbexp.store.objects import Object

_SAMPLE = 64  # objects that a quick look reads, and how much of them at most
_SAMPLE_BYTES = 256 << 20
_LEFT_S = 3600.0


def unfinished_commands(visit: Visit) -> Iterator[Finding]:
    """A command that was killed half-way, whose files are put back by the next one that writes."""
    site = visit.site
    op = place.unfinished(site.root)
    is_pending = pending.is_noted(site.root)
    if op is None and not is_pending:
        yield Finding("unfinished commands", "ok", "none was killed half-way")
        return
    what = f"A `{op}`" if op is not None else "An `undo`"
    if not visit.fix:
        yield Finding(
            "unfinished commands",
            "needs you",
            f"{what} was killed half-way; files may be half changed.",
            "`nbexp doctor --fix` puts them right, and so does the next command that writes.",
        )
        return
    with site.workspace().held(visit.emit):
        pass
    yield Finding("unfinished commands", "mended", f"{what} that was killed half-way is put right")


def dvc_locks(visit: Visit) -> Iterator[Finding]:
    """Locks of processes that are gone; those of living ones are no fault."""
    root = visit.site.root
    dvc_tmp = root / ".dvc" / "tmp"
    try:
        by_link = visit.site.config().is_on("core", "hardlink_lock")
    except ProjectFileError:
        by_link = False  # another line says so
    dead = locks.left_by_the_dead(dvc_tmp, mend=visit.fix, by_link=by_link)
    if dead and visit.fix:
        yield Finding("locks", "mended", f".dvc/tmp/rwlock is free of {some(dead)}")
    elif dead:
        yield Finding(
            "locks",
            "needs you",
            f".dvc/tmp/rwlock names commands that do not run any more: {some(dead)}.",
            "`nbexp doctor --fix` takes them out.",
        )
    held = [
        f"{path.name} by {lock.holder()}"
        for path in sorted((place.own_folder(root) / "locks").glob("*.lock"))
        if (lock := filesystem.FileLock(path)).held()
    ]
    if held or not dead:
        yield Finding("locks", "ok", f"held: {some(held)}" if held else "none is held")


def databases(visit: Visit) -> Iterator[Finding]:
    """The memo and other databases below .dvc/tmp/nbexp."""
    own = place.own_folder(visit.site.root)
    memo = own / "state.db"
    for path in sorted(own.glob("*.db")):
        wrong = _problem(path)
        name = f".dvc/tmp/nbexp/{path.name}"
        if path == memo and (wrong is not None or visit.rebuild) and visit.fix:
            visit.site.cache.close()
            state.remove_database(path)
            why = f"it was damaged ({wrong})" if wrong else "as you asked"
            yield Finding("databases", "mended", f"{name} is begun anew: {why}")
        elif wrong is not None:
            hint = "`nbexp doctor --fix` begins it anew; it holds nothing but what is known again."
            if path != memo:
                hint = f"move it away: `mv {name} {name}.damaged`."
            yield Finding("databases", "needs you", f"{name} is damaged: {wrong}.", hint)
        else:
            yield Finding("databases", "ok", name)
    if not memo.exists() and not visit.rebuild:
        yield Finding("databases", "ok", "no memo yet: the first command that needs one makes it")


def project_files(visit: Visit) -> Iterator[Finding]:
    """Settings, dvc.yaml, dvc.lock and `.dvc` files: each that cannot be read, and what they make together."""
    site = visit.site
    wrong: list[NbexpError] = []
    files = graphs.stage_files(site.root)
    for path in files:
        data = (site.root / path).read_bytes()
        lock = posixpath.join(posixpath.dirname(path), "dvc.lock")
        try:
            if path.endswith(dvc_file.SUFFIX):
                dvc_file.parse(data, path)
                continue
            dvc_yaml.parse(data, path, _reader(site.root))
        except NbexpError as error:
            wrong.append(error)
        try:
            if (site.root / lock).is_file():
                dvc_lock.parse((site.root / lock).read_bytes(), lock)
        except NbexpError as error:
            wrong.append(error)
    for read in (site.config, lambda: settings.read(site.root)):
        try:
            read()
        except NbexpError as error:
            wrong.append(error)
    if not wrong:
        try:
            site.graph()  # what they make together: a cycle, one output of two stages
        except NbexpError as error:
            wrong.append(error)
    for told in wrong:
        yield Finding("project files", "needs you", told.message, told.hint)
    if not wrong:
        yield Finding("project files", "ok", f"{counted(len(files), 'file')} of stages and data")


def cache_objects(visit: Visit) -> Iterator[Finding]:
    """Objects whose bytes are not those of their name: all with `full`, else those in doubt and a sample."""
    cache = visit.site.cache
    if visit.fix and cache.folder.is_dir():
        filesystem.sweep(cache.folder, _LEFT_S, recursive=True)
    objects = list(cache.objects())
    asked = objects if visit.full else _sample(visit, objects)
    visit.emit(Phase(f"reading {len(asked):,} objects of the cache"))
    problems = cache.problems(asked, anew=visit.full)
    damaged = [one for one in asked if one.md5 in problems]
    if not damaged:
        how = "all read" if visit.full else f"{len(asked):,} read"
        yield Finding("cache", "ok", f"{counted(len(objects), 'object')}, {how}")
        return
    from nbexp.experiments.data import garbage

    groups = garbage.origins(visit.site, damaged, visit.emit)
    paths = [f"{one.path} ({one.last})" if one.last else one.path for one in groups]
    what = f"{len(damaged):,} of {len(objects):,} objects" if len(damaged) > 1 else "1 object"
    first = damaged[0]
    shown = f"{what} of the cache {'are' if len(damaged) > 1 else 'is'} damaged: {some(paths)}"
    where = f"{first.md5[:2]}/{first.md5[2:9]}… {problems[first.md5].removeprefix('is damaged: ')}"
    again = "`nbexp data fetch` gets them from a remote; `nbexp run --force` makes outputs again."
    if not visit.fix:
        hint = f"`nbexp doctor --fix` sets them aside; then {again}"
        yield Finding("cache", "needs you", f"{shown}; {where}.", hint)
        return
    _set_aside(visit, damaged)
    yield Finding("cache", "needs you", f"{shown}; set aside in .dvc/tmp/nbexp/damaged.", again)


FIRST: tuple[Check, ...] = (unfinished_commands, dvc_locks, databases)
LAST: tuple[Check, ...] = (project_files, cache_objects)


def _problem(path: Path) -> str | None:
    """What SQLite finds wrong with a database; None where it is sound."""
    import sqlite3

    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2.0)
        try:
            rows = connection.execute("PRAGMA quick_check(1)").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        return str(error)
    said = str(rows[0][0]) if rows else ""
    return None if said == "ok" else said


def _reader(root: Path) -> Callable[[str], bytes | None]:
    def read(path: str) -> bytes | None:
        try:
            return (root / path).read_bytes()
        except OSError:
            return None

    return read


def _sample(visit: Visit, objects: Sequence[Object]) -> list[Object]:
    """Objects in doubt, all of them, and some of the others."""
    cache = visit.site.cache
    doubtful = cache.doubtful(objects)
    left = [one for one in objects if one not in set(doubtful)]
    random.shuffle(left)
    found, total = [*doubtful], 0
    for one in left[:_SAMPLE]:
        total += one.size
        if total > _SAMPLE_BYTES:
            break
        found.append(one)
    return found


def _set_aside(visit: Visit, damaged: Sequence[Object]) -> None:
    """Move objects out of the cache, so that it says that it lacks them; their bytes stay."""
    folder = place.own_folder(visit.site.root) / "damaged"
    folder.mkdir(parents=True, exist_ok=True)
    with visit.site.workspace().held(visit.emit):
        for one in damaged:
            try:
                os.rename(one.path, folder / one.md5)
            except OSError:  # the cache is on another file system
                import shutil

                shutil.copy2(one.path, folder / one.md5)
                filesystem.remove(Path(one.path))
