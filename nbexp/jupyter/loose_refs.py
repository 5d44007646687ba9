"""Git's refs, read from the files they are in: no process is started, and what did not change is not read again.

Ten thousand names must be there before the key is up. A folder of loose refs is listed again when its time
changed, `packed-refs` when it is another file. Of a repository with the `reftable` format, which is binary,
Git is asked, once for each change, and only where the caller can wait for that.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

Mark = tuple[int, int, int]

# Two changes within one tick of the file system's clock leave a folder the same time.
_TICK_NS = 100_000_000

_packed: dict[str, tuple[Mark | None, dict[str, str]]] = {}
_listed: dict[str, tuple[int, list[str], list[str]]] = {}
_tables: dict[str, tuple[Mark | None, list[str]]] = {}


def names(git: Path, prefix: str, *, may_ask: bool = False) -> list[str] | None:
    """Every ref below the prefix, sorted; None where only Git could tell and it may not be asked.

    Parameters
    ----------
    git
        The folder with `refs`, that of the repository where there are several work trees.
    prefix
        Ends with a slash.
    """
    tables = git / "reftable"
    if tables.is_dir():
        if not may_ask:
            return None
        return [ref for ref in _in_tables(git, tables) if ref.startswith(prefix)]
    found = {ref for ref in _in_packed(git / "packed-refs") if ref.startswith(prefix)}
    _walk(str(git / prefix.rstrip("/")), prefix, found)
    return sorted(found)


def mark(path: Path) -> Mark | None:
    """What changes when the file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def target(git: Path, ref: str) -> str | None:
    """The object a ref of such a file points to."""
    try:
        return (git / ref).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return _in_packed(git / "packed-refs").get(ref)


def _in_packed(path: Path) -> dict[str, str]:
    now = mark(path)
    known = _packed.get(str(path))
    if known is None or known[0] != now:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        pairs = (line.split(" ", 1) for line in lines if line and line[0] not in "#^")
        refs = {pair[1]: pair[0] for pair in pairs if len(pair) == 2}
        known = _packed[str(path)] = now, refs
    return known[1]


def _in_tables(git: Path, tables: Path) -> list[str]:
    now = mark(tables / "tables.list")
    known = _tables.get(str(git))
    if known is None or known[0] != now:
        from nbexp.git import Git

        asked = Git(git, git)
        try:
            known = _tables[str(git)] = now, sorted(asked.refs("refs/"))
        finally:
            asked.close()
    return known[1]


def _walk(folder: str, prefix: str, found: set[str]) -> None:
    """Add the refs that are files below the folder."""
    try:
        changed_ns = os.stat(folder).st_mtime_ns
    except OSError:
        return
    known = _listed.get(folder)
    if known is None or known[0] != changed_ns:
        files, folders = [], []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif not entry.name.endswith(".lock"):
                    files.append(entry.name)
        known = changed_ns, files, folders
        if time.time_ns() - changed_ns > _TICK_NS:
            _listed[folder] = known
    found.update([prefix + name for name in known[1]])
    for name in known[2]:
        _walk(f"{folder}/{name}", f"{prefix}{name}/", found)
