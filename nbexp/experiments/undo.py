"""Undo points: how the workspace was before a command changed it, kept in Git and the cache.

An undo point is a commit without parent under `refs/nbexp/undo/<time>-<command>`. Its tree holds
`manifest.json` and the old bytes of files as `files/N`; old outputs are objects of the cache, named
by the manifest. Directories that no object can stand for (a repository or a link inside) are kept as
they are below `.dvc/tmp/nbexp/undo`. Points stay until `gc --yes`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from nbexp.errors import NotFound, StoreError
from nbexp.experiments.journal import Journal, Line
from nbexp.frozen import frozen
from nbexp.git import Git, NewCommit
from nbexp.results import Result
from nbexp.store.cache import Cache, Hash

PREFIX = "refs/nbexp/undo/"


@frozen
class UndoPoint:
    """A state one can go back to: `op` is the command that was about to change the workspace."""

    ref: str
    rev: str
    op: str
    time_s: float
    paths: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {"rev": self.rev, "before": self.op, "time": self.time_s, "paths": list(self.paths)}


@frozen
class Undone(Result):
    """What `undo` did: the command undone, and the paths that are as before."""

    op: str
    paths: tuple[str, ...]
    left: int

    def to_json(self) -> dict[str, object]:
        return {"undone": self.op, "paths": list(self.paths), "left": self.left}


def point(
    journal: Journal,
    cache: Cache,
    *,
    root: Path,
    place: str,
    hashes: dict[str, Hash | None],
    made: Mapping[str, str] = {},
) -> NewCommit | None:
    """The commit that keeps what the journal holds; None when the command changed nothing.

    Old outputs that only the workspace had are copied into the cache here. `place` names the workspace
    among all that share the repository: its other work trees and projects have undo points of their own.
    `made` tells what paths hold now, as far as the caller has just made them.
    """
    entries: list[dict[str, object]] = []
    files: dict[str, bytes] = {}
    for line in journal.lines:
        saved = journal.saved(line)
        if saved is not None and not os.path.lexists(saved):
            continue  # a stage deleted it; the run has its results all the same
        old = _old(journal, line, cache, hashes, files)
        new = made.get(line.path) or _present(root / line.path, cache)
        if _same(old, new, files, root / line.path):
            continue
        entries.append({"path": line.path, "old": old, "new": new})
    if not entries:
        return None
    now = time.time()
    manifest = {"op": journal.op, "time": now, "place": place, "entries": entries}
    tree: dict[str, bytes] = {"manifest.json": json.dumps(manifest, indent=1).encode() + b"\n"}
    tree.update(files)
    return NewCommit(
        ref=f"{PREFIX}{int(now * 1e6):017d}-{journal.op.split()[0]}-{journal.uid[:8]}",
        parent=None,
        message=f"nbexp: undo point before {journal.op}\n".encode(),
        base=None,
        files=tree,
    )


def points(git: Git, place: str) -> list[UndoPoint]:
    """Every undo point of the workspace `place`, newest first."""
    refs = git.refs(PREFIX)
    ordered = sorted(refs.items(), reverse=True)
    manifests = git.read_many([f"{rev}:manifest.json" for _, rev in ordered])
    found = []
    for (ref, rev), data in zip(ordered, manifests, strict=True):
        if data is not None:
            manifest = json.loads(data)
            if manifest.get("place", place) != place:
                continue
            paths = tuple(entry["path"] for entry in manifest["entries"])
            found.append(UndoPoint(ref, rev, manifest["op"], manifest["time"], paths))
    return found


def newest(git: Git, place: str) -> UndoPoint:
    """The point that `undo` goes back to.

    Raises
    ------
    NotFound
        There is nothing to undo.
    """
    found = points(git, place)
    if not found:
        raise NotFound(
            "There is nothing to undo: no command has changed this workspace.",
            "`nbexp run` and `nbexp apply` make undo points.",
        )
    return found[0]


def edited_since(git: Git, cache: Cache, root: Path, undo_point: UndoPoint) -> list[str]:
    """The paths that were changed after the command which the point belongs to."""
    changed = []
    for entry in _entries(git, undo_point):
        present = _present(root / str(entry["path"]), cache)
        if present != entry["new"] and not _is_old(git, undo_point, entry, root, cache):
            changed.append(str(entry["path"]))
    return changed


def restore(
    git: Git,
    cache: Cache,
    journal: Journal,
    undo_point: UndoPoint,
    carry_over: Callable[[str], None],
) -> list[str]:
    """Put every path of the point back, through the journal; the paths that changed.

    `carry_over` gives a directory that came back what ignore rules hide in the one set aside.
    """
    changed = []
    entries = _entries(git, undo_point)
    for entry in entries:
        _require(cache, journal, entry)
    for entry in entries:
        path = str(entry["path"])
        if _is_old(git, undo_point, entry, journal.root, cache):
            continue
        old = entry["old"]
        if old is None:
            journal.set_aside(path)
        else:
            assert isinstance(old, dict)
            _put(git, cache, journal, undo_point, path, old)
        carry_over(path)
        changed.append(path)
    return changed


def forget(git: Git, undo_point: UndoPoint) -> None:
    """The point was gone back to: it is not the newest any more."""
    git.update_refs([(undo_point.ref, None, undo_point.rev)])


def _put(
    git: Git,
    cache: Cache,
    journal: Journal,
    undo_point: UndoPoint,
    path: str,
    old: dict[str, object],
) -> None:
    target = journal.root / path
    if old["kind"] == "link":
        journal.link(path, str(old["target"]))
    elif old["kind"] == "tree":
        import shutil

        journal.set_aside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(_kept(journal, str(old["kept"])), target, symlinks=True)
    elif old["kind"] == "file":
        data = git.read(f"{undo_point.rev}:{old['blob']}")
        assert data is not None, f"{undo_point.rev} lacks {old['blob']}"
        journal.write(path, data, mode=int(str(old["mode"])))
    else:
        journal.set_aside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        (cache.copying if old.get("copied") else cache).checkout(_hash(old), target)


def _require(cache: Cache, journal: Journal, entry: dict[str, object]) -> None:
    old = entry["old"]
    if isinstance(old, dict) and old["kind"] == "tree":
        kept = _kept(journal, str(old["kept"]))
        if not kept.is_dir():
            raise StoreError(
                f"The old `{entry['path']}` was kept in {kept}, which is gone. Nothing was changed."
            )
    if isinstance(old, dict) and old["kind"] == "out" and not cache.has(_hash(old)):
        raise StoreError(
            f"The old `{entry['path']}` is not in the cache any more. Nothing was changed.",
            "`nbexp undo` needs the objects that `nbexp data gc` removed.",
        )


def _old(
    journal: Journal,
    line: Line,
    cache: Cache,
    hashes: dict[str, Hash | None],
    files: dict[str, bytes],
) -> dict[str, object] | None:
    saved = journal.saved(line)
    if saved is None:
        return None
    found = hashes.get(line.path)
    if saved.is_symlink() and (found is None or not _leads_to_object(saved, cache)):
        return {"kind": "link", "target": os.readlink(saved)}
    if line.kind == "file":
        blob = f"files/{len(files)}"
        files[blob] = saved.read_bytes()
        return {"kind": "file", "mode": line.mode or 0o644, "blob": blob}
    seen = None if found is None else found.md5
    if found is None or not cache.has(found) or _holds_more(saved, found, cache):
        if _is_beyond_objects(saved):
            return {"kind": "tree", "kept": _keep_tree(journal, saved), "seen": seen}
        found = cache.copying.add(saved)
    return {
        "kind": "out",
        "md5": found.md5,
        "seen": seen or found.md5,
        "size": found.size,
        "nfiles": found.nfiles,
        "isexec": found.isexec,
        "copied": not saved.is_symlink() and saved.is_file() and os.access(saved, os.W_OK),
    }


def _leads_to_object(link: Path, cache: Cache) -> bool:
    return Path(os.readlink(link)).is_relative_to(cache.folder)


def _holds_more(saved: Path, found: Hash, cache: Cache) -> bool:
    """Whether an old directory has what its object lacks: ignore rules hid it when it was hashed."""
    if not found.is_dir:
        return False
    listed = {item.relpath for item in cache.items(found.md5)}
    for folder, folders, names in os.walk(saved):
        inner = Path(folder).relative_to(saved)
        if any((inner / name).as_posix() not in listed for name in names):
            return True
        if any(Path(folder, name).is_symlink() for name in folders):
            return True
    return False


def _is_beyond_objects(saved: Path) -> bool:
    """Whether a directory has what a cache object cannot hold: records, links, no plain files."""
    for folder, folders, names in os.walk(saved):
        for name in folders:
            if name in {".git", ".hg", ".dvc"} or Path(folder, name).is_symlink():
                return True
        for name in names:
            path = Path(folder, name)
            is_link = path.is_symlink()
            if name == ".git" or not path.is_file() or (is_link and os.readlink(path)[0] != "/"):
                return True
    return False


def _keep_tree(journal: Journal, saved: Path) -> str:
    """Keep a directory as it is, without copying a byte; its name for `_kept`."""
    import shutil

    name = f"{journal.uid}-{saved.name}"
    place = _kept(journal, name)
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(saved, place, symlinks=True, copy_function=os.link)
    return name


def _kept(journal: Journal, name: str) -> Path:
    return journal.folder.parent / "undo" / name


def _present(path: Path, cache: Cache) -> str | None:
    """A digest of what is at the path now; None where nothing is."""
    if not os.path.lexists(path):
        return None
    found = cache.hash(path)
    return found.md5 if found is not None else "link:" + os.readlink(path)


def _same(
    old: dict[str, object] | None, new: str | None, files: dict[str, bytes], path: Path
) -> bool:
    if old is None or new is None:
        return old is None and new is None
    if old["kind"] in {"out", "tree"}:
        return old.get("seen", old.get("md5")) == new
    if old["kind"] == "file":
        import hashlib

        blob = str(old["blob"])
        same = hashlib.md5(files[blob], usedforsecurity=False).hexdigest() == new
        same = same and _is_program(path) == bool(int(str(old["mode"])) & 0o100)
        if same:
            del files[blob]
        return same
    return False


def _is_old(
    git: Git, undo_point: UndoPoint, entry: dict[str, object], root: Path, cache: Cache
) -> bool:
    """Whether the path is already as it was (an undo that was killed before it was counted)."""
    old, path = entry["old"], root / str(entry["path"])
    if old is None:
        return not os.path.lexists(path)
    assert isinstance(old, dict)
    if old["kind"] == "link":
        return path.is_symlink() and os.readlink(path) == old["target"]
    if old["kind"] == "file":
        data = git.read(f"{undo_point.rev}:{old['blob']}")
        is_plain = path.is_file() and not path.is_symlink()
        was_program = bool(int(str(old["mode"])) & 0o100)
        return is_plain and path.read_bytes() == data and _is_program(path) == was_program
    present = _present(path, cache)
    return present is not None and present in {old.get("md5"), old.get("seen")}


def _is_program(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


def _entries(git: Git, undo_point: UndoPoint) -> list[dict[str, object]]:
    data = git.read(f"{undo_point.rev}:manifest.json")
    assert data is not None
    entries: list[dict[str, object]] = json.loads(data)["entries"]
    return entries


def _hash(old: dict[str, object]) -> Hash:
    nfiles = old["nfiles"]
    return Hash(
        str(old["md5"]),
        int(str(old["size"])),
        None if nfiles is None else int(str(nfiles)),
        bool(old["isexec"]),
    )
