"""Files of commits as paths that any library opens, without the workspace: `exp.path("model.pkl")`.

    .dvc/tmp/nbexp/paths/<2 hex>/<38 hex>/model.pkl      by the digest of what it holds

What the cache has is linked, so a model of 5 GB costs a link; what Git has is written. All of it is for reading, and
may be deleted at any time: the next call makes it again.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from nbexp import filesystem, hashing
from nbexp.experiments import place
from nbexp.experiments.data.located import LINK, Contents, File, Located
from nbexp.frozen import replace

_STRAY_S = 3600.0
# A link to the object is the object; the others are for where there are no links.
_KINDS = ("symlink", "reflink", "hardlink", "copy")


def folder(root: Path) -> Path:
    """Where all of them are."""
    return place.own_folder(root) / "paths"


def path(contents: Contents, located: Located, root: Path) -> Path:
    """The file or directory at a place of its own under its own name, its bytes here; made in one step, once.

    Raises
    ------
    StoreError
        Neither cache nor remote has a file of it.
    """
    contents.bring(located)
    safe = _without_ways_out(contents, located)
    name = posixpath.basename(located.path) if located.path != "." else "project"
    digest = _digest(safe)
    home = folder(root) / digest[:2] / digest[2:]
    target = home / name
    if os.path.exists(target):
        return target
    home.mkdir(parents=True, exist_ok=True)
    filesystem.sweep(home, _STRAY_S)
    fresh = filesystem.temporary(home)
    try:
        contents.build(safe, fresh, _KINDS)
        _protect(fresh)
        try:
            os.replace(fresh, target)
        except OSError:
            # A directory that another process put there meanwhile; by its name it is the same.
            if not os.path.exists(target):
                raise
    finally:
        filesystem.remove(fresh)
    return target


def _without_ways_out(contents: Contents, located: Located) -> Located:
    """Links that Git has and that lead out of the directory become files that hold where they led to, as Git makes them
    where there are no links: whoever made the commit must not choose what of this machine is read.
    """
    found: dict[str, File] = {}
    for inner, file in located.files.items():
        if file.mode == LINK:
            to = posixpath.normpath(
                posixpath.join(posixpath.dirname(inner), os.fsdecode(contents.read(file)))
            )
            if not inner or posixpath.isabs(to) or to == ".." or to.startswith("../"):
                file = replace(file, mode="100644")
        found[inner] = file
    return Located(located.path, found)


def _digest(located: Located) -> str:
    """What tells these contents from all others: every path, mode and digest."""
    lines = [f"{inner}\0{f.mode}\0{f.digest}\n" for inner, f in sorted(located.files.items())]
    return hashing.sha1("".join(lines).encode("utf-8", "surrogateescape"))


def _protect(fresh: Path) -> None:
    """Nobody writes: what is a link leads to an object of the cache, which is read-only as well."""
    if fresh.is_symlink():
        return
    if fresh.is_file():
        fresh.chmod(fresh.stat().st_mode & ~0o222)
        return
    for parent, _, names in os.walk(fresh):
        for name in names:
            one = Path(parent, name)
            if not one.is_symlink():
                one.chmod(one.stat().st_mode & ~0o222)
