"""Tracking data from within a stage that nbexp runs: into the cache, with a `.dvc` file beside it.

What `nbexp data add` does for a new path, without the lock and the undo point: the run that this is a stage of
has both.
"""

from __future__ import annotations

import os
from pathlib import Path


def track(root: Path, path: Path) -> bool:
    """Put the data at `path` into the cache, and write its `.dvc` file and ignore line; whether it was done.

    Data that Git tracks, or that is outside of the project, stays as it is, with a warning.
    """
    from nbexp import filesystem
    from nbexp.errors import NbexpError
    from nbexp.formats import config, dvc_file, ignore
    from nbexp.formats.dvc_lock import LockedPath
    from nbexp.git import Git
    from nbexp.live.around import warn
    from nbexp.store.cache import Cache

    place = Path(os.path.realpath(path.parent)) / path.name
    git = Git.find(place.parent)
    if not place.is_relative_to(root):
        warn(f"`{path}` is outside of the project, which can only track what is inside.")
        return False
    if git is not None and git.is_tracked([os.path.relpath(place.resolve(), git.root)]):
        warn(f"`{path}` is tracked by Git, and so not by DVC as well.")
        return False
    found = config.read(root / ".dvc", home=Path(os.path.expanduser("~")))
    rules = ignore.DvcIgnore.on_disk(root)
    cache = Cache(
        found.cache_dir,
        link_types=found.cache_types,
        state=root / ".dvc" / "tmp" / "nbexp" / "state.db",
        skip=lambda folder: rules.below(Path(os.path.relpath(folder, root)).as_posix()),
        shared=found.shared_cache,
    )
    try:
        hashed = cache.add(place)
    except (NbexpError, OSError) as error:
        warn(f"`{path}` is not tracked: {error}")
        return False
    finally:
        cache.close()
    content = LockedPath(
        path=place.name,
        md5=hashed.md5,
        size=hashed.size,
        nfiles=hashed.nfiles,
        isexec=hashed.isexec,
    )
    folder = Path(os.path.relpath(place.parent, root)).as_posix()
    pointer = place.with_name(place.name + dvc_file.SUFFIX)
    known = filesystem.read(pointer)
    file = dvc_file.new("" if folder == "." else folder, content)
    if known is not None:
        file = dvc_file.parse(known, str(pointer.relative_to(root))).with_contents([content])
    filesystem.atomic_write(pointer, file.dump())
    rule = place.parent / ".gitignore"
    edited = ignore.add_line(filesystem.read(rule), place.name)
    if edited is not None:
        filesystem.atomic_write(rule, edited)
    return True
