"""A folder whose contents are replaced as one, with nothing in it lost that somebody else put there.

The new contents are written beside it and exchanged with the old ones in one step. What each file of ours was
is kept in the folder itself, so that one that was edited since is noticed.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from nbexp import filesystem, hashing
from nbexp.errors import StoreError, UsageError

MARK = ".nbexp-site.json"
_FORM = 1
# From linux/fs.h and fcntl.h.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100


def check(target: Path, files: Mapping[str, bytes] | None = None, *, named: str) -> list[str]:
    """What in the folder is not ours and stays, as paths relative to it; `named` is what errors call it.

    Raises
    ------
    UsageError
        It is a file, or the folder around it is not there.
    StoreError
        It holds files and no site, a file of the site was edited, or a new file would take a foreign one's
        place.
    """
    if target.exists() and not target.is_dir():
        raise UsageError(f"{named} is a file. Nothing was written.", "`nbexp publish site`")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {Path(named).parent}. Nothing was written.")
    found = sorted(_below(target)) if target.is_dir() else []
    ours = _ours(target)
    if ours is None and all(path.startswith(".") for path in found):
        return found  # a clone without a commit, say: what is there stays
    if ours is None:
        some = ", ".join(sorted({path.partition("/")[0] for path in found})[:4])
        raise StoreError(
            f"{named} holds what `publish` did not make: {some}. Nothing was written.",
            f"publish to a folder of its own: `nbexp publish {named}/site`.",
        )
    edited = [
        path
        for path, digest in ours.items()
        if (target / path).is_file() and hashing.md5((target / path).read_bytes()) != digest
    ]
    if edited:
        raise StoreError(
            f"{named}/{edited[0]} was edited since it was published. Nothing was written.",
            f"take the edit elsewhere and remove the file, or publish to another folder: "
            f"`nbexp publish {named}-2`.",
        )
    foreign = [path for path in found if path not in ours and path != MARK]
    for path in foreign:
        if path in (files or ()):
            raise StoreError(
                f"{named}/{path} is not of `publish`, and a page of the site has its name. "
                "Nothing was written.",
                "move it elsewhere.",
            )
    return foreign


def replace(target: Path, files: Mapping[str, bytes], *, named: str = "") -> None:
    """Make the folder hold these files and whatever foreign ones it has; all of them, or nothing changes."""
    target = Path(os.path.realpath(target))
    kept_aside = target.with_name(f".{target.name}.before-publish")
    if kept_aside.is_dir() and not target.exists():
        os.rename(kept_aside, target)  # killed between the two steps of `_exchange`
    foreign = check(target, files, named=named or target.name)
    filesystem.sweep(target.parent, 3600)
    fresh = filesystem.temporary(target.parent)
    try:
        marks = {path: hashing.md5(data) for path, data in files.items()}
        mark = json.dumps({"form": _FORM, "files": marks}, indent=0).encode()
        for path, data in {**files, MARK: mark}.items():
            place = fresh / path
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            except FileNotFoundError as error:  # a file system that lets nobody make folders
                raise StoreError(
                    f"No folder can be made in {target.parent}. Nothing was written.",
                    "publish to another place: `nbexp publish site`.",
                ) from error
        for path in foreign:
            _carry(target / path, fresh / path)
        filesystem.crash_point("site.written")
        if not target.exists() or not any(target.iterdir()):
            os.rename(fresh, target)
        else:
            shutil.copymode(target, fresh)
            _exchange(fresh, target, kept_aside)
        filesystem.crash_point("site.swapped")
    finally:
        filesystem.remove(fresh)


def _ours(target: Path) -> dict[str, str] | None:
    """The files of the site that is there, by path; None when there is none."""
    try:
        found = json.loads((target / MARK).read_bytes())
        return dict(found["files"]) if found["form"] == _FORM else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _below(target: Path) -> list[str]:
    """All files and links below, and folders that are empty; hidden ones too."""
    found = []
    for folder, folders, names in os.walk(target):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        here = os.path.relpath(folder, target)
        found += [os.path.join(here, name) for name in (*names, *links)]
        if not folders and not names and folder != os.fspath(target):
            found.append(here)
    return [Path(path).as_posix() for path in found]


def _carry(source: Path, target: Path) -> None:
    """The same file in the new folder: as a second name for it where the disk can, else as a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        os.symlink(os.readlink(source), target)
    elif source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)


def _exchange(fresh: Path, target: Path, kept_aside: Path) -> None:
    """Let the two folders change places: in one step where the system can (Linux), else in two."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        rename = getattr(libc, "renameat2", None)
        if rename is not None and not rename(
            _AT_FDCWD, os.fsencode(fresh), _AT_FDCWD, os.fsencode(target), _RENAME_EXCHANGE
        ):
            return
    filesystem.remove(kept_aside)
    os.rename(target, kept_aside)
    try:
        os.rename(fresh, target)
    except OSError:
        os.rename(kept_aside, target)
        raise
    filesystem.remove(kept_aside)
