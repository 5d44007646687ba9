"""Refs read from Git's own files, without a process, where these are as Git leaves them nearly always."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import GitError

HEX = frozenset("0123456789abcdef")


UNKNOWN = "?"


OWN = ("refs/bisect", "refs/worktree", "refs/rewritten")  # each work tree has its own


def moved(ref: str, seen: str | None) -> GitError:
    """That a ref is not at the value it was expected at."""
    state = "is not there" if seen is None else f"is at {seen[:7]} already"
    return GitError(f"The ref {ref} {state}; it was left as it is.")


def check_refs(refs: Iterable[str]) -> None:
    """That they are full names and cannot end a line; the rest of the rules Git checks itself."""
    for ref in refs:
        if not ref[5:] or not ref.startswith("refs/") or any(c <= " " or c == "\x7f" for c in ref):
            raise GitError(f"{ref!r} is not the full name of a ref, as refs/heads/main is.")


def is_oid(text: str) -> bool:
    """40 hex digits, or 64 in a SHA-256 repository."""
    return len(text) in (40, 64) and HEX.issuperset(text)


_REF_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=,")


_MANY_LOOSE = 2_000  # from here on Git itself is faster


# Which folders this process has read before, and what is known of the files in them: a worker looks at the same thousand
# refs for each experiment that it runs. A ref is written as a new file that takes the place of the old one.
_asked: set[str] = set()
_known: dict[str, tuple[tuple[int, ...], str]] = {}
_MOST_KNOWN = 10_000
# The stamp of a file that is younger could be that of the next one as well, where a clock is coarse.
_SETTLED_NS = 2_100_000_000


def read_loose(common: Path, ref: str, found: dict[str, str]) -> bool:
    """Read the loose refs at and below a name; False where something is not as Git leaves it.

    Notes
    -----
    From the second time on, a file that is as it was then takes a `stat`, and is not read again. Not so on the file
    systems of a network, whose `stat` may be a minute old.
    """
    top = f"{os.fspath(common)}/"
    again = top + ref in _asked and not _is_shared(common)
    _asked.add(top + ref)
    if len(_known) > _MOST_KNOWN:
        _known.clear()
    return _read_below(top, ref, found, again=again)


@lru_cache(maxsize=64)
def _is_shared(common: Path) -> bool:
    return filesystem.is_network(common)


def _read_below(top: str, ref: str, found: dict[str, str], *, again: bool) -> bool:
    try:
        entries = os.scandir(top + ref)
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return _read_ref(top + ref, ref, found)
    with entries:
        for entry in entries:
            name = entry.name
            if name.endswith(".lock"):
                continue  # being written: the ref is still what the file beside it says
            if not is_simple(name) or entry.is_symlink() or len(found) > _MANY_LOOSE:
                return False
            inner = f"{ref}/{name}"
            if entry.is_dir():
                if not _read_below(top, inner, found, again=again):
                    return False
            elif again:
                if not _read_again(entry, inner, found):
                    return False
            elif not _read_ref(entry.path, inner, found):
                return False
    return True


def _read_again(entry: os.DirEntry[str], ref: str, found: dict[str, str]) -> bool:
    """As `_read_ref`, of a file that may have been read before."""
    try:
        now = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return True  # deleted, or packed, just now
    except OSError:
        return False
    stamp = (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
    known = _known.get(entry.path)
    if known is not None and known[0] == stamp:
        found[ref] = known[1]
        return True
    # The stamp is of before the file is read: what comes in between is seen the next time.
    is_settled = time.time_ns() - max(now.st_mtime_ns, now.st_ctime_ns) > _SETTLED_NS
    if not _read_ref(entry.path, ref, found):
        return False
    if is_settled and ref in found:
        _known[entry.path] = (stamp, found[ref])
    return True


def is_simple(name: str) -> bool:
    """Whether this surely is a part of a ref's name to Git, whose rules have more exceptions."""
    odd = not _REF_LETTERS.issuperset(name) or name[:1] in ("", ".", "-") or name[-1] == "."
    return not odd and ".." not in name and not name.endswith(".lock")


def _read_ref(file: str, ref: str, found: dict[str, str]) -> bool:
    try:
        with open(file, "rb", buffering=0) as opened:
            text = opened.read()
    except (FileNotFoundError, NotADirectoryError):
        return True  # deleted, or packed, just now
    except OSError:
        return False
    oid = text.decode("latin-1").removesuffix("\n")
    if not is_oid(oid) or not oid.strip("0"):
        return False
    found[ref] = oid
    return True


def packed_refs(packed: bytes, ref: str) -> dict[str, str]:
    """The refs at and below a name in the bytes of packed-refs, which Git keeps in the order of names."""
    name = os.fsencode(ref)
    start, end = packed.find(b" " + name), packed.rfind(b" " + name)
    if start < 0:
        return {}
    lines = packed[packed.rfind(b"\n", 0, start) + 1 : packed.find(b"\n", end) + 1]
    below = f"{ref}/"
    # Ten thousand are decoded and taken apart at once, where there is nothing else between them.
    if b"^" not in lines and lines.count(b" %s/" % name) == lines.count(b"\n"):
        words = os.fsdecode(lines).replace("\n", " ").split(" ")
        return dict(zip(words[1::2], words[::2], strict=False))
    found = {}
    for line in os.fsdecode(lines).split("\n"):
        oid, _, inner = line.partition(" ")
        if inner.startswith(below) or inner == ref:
            found[inner] = oid
    return found
