"""Undo points: how the workspace was before a command changed it, kept in Git and the cache.

An undo point is a commit without parent under `refs/nbexp/undo/<time>-<command>`. Its tree holds
`manifest.json` and the old bytes of files as `files/N`, those of notebooks at their own path, so that `open` shows
them; old outputs are objects of the cache, named by the manifest. Directories that no object can stand for (a
repository or a link inside) are kept as they are below `.dvc/tmp/nbexp/undo`. What a command did to refs
of experiments stands in the manifest alone. Points stay until `gc --yes`.

A step that was undone becomes a point under `refs/nbexp/redo`, which leads forward again. Both kinds of one step have
the same `step`, and a point that leads forward says which step was the newest when it was made (`above`): once
another command has run, it leads nowhere any more.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from nbexp import hashing
from nbexp.errors import NameTaken, StoreError
from nbexp.experiments.journal import Journal, Line
from nbexp.frozen import frozen, replace
from nbexp.git import Git, NewCommit
from nbexp.store.cache import Cache, Hash

PREFIX = "refs/nbexp/undo/"
REDO = "refs/nbexp/redo/"

RefChange = tuple[str, str | None, str | None]
"""A ref, what it becomes, what it must be; None: not there."""

# What a file may have to be kept in Git instead of in the cache, where both could hold it.
_SMALL_BYTES = 1 << 20


@frozen
class UndoPoint:
    """A state one can go back to: `op` is the command that was about to change the workspace.

    `refs` are the experiments it changed: (ref, before, after) each. `step` is the same in a point that leads
    back and in the one that leads forward again, `above` the step that was the newest then.
    """

    ref: str
    rev: str
    op: str
    time_s: float
    paths: tuple[str, ...]
    refs: tuple[RefChange, ...] = ()
    step: str = ""
    above: str | None = None
    place: str | None = None

    @property
    def short(self) -> str:
        """What people call it by."""
        return self.rev[:7]

    def to_json(self) -> dict[str, object]:
        return {"rev": self.rev, "before": self.op, "time": self.time_s, "paths": list(self.paths)}


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
    return _commit(
        {"op": journal.op, "time": time.time(), "place": place, "step": journal.uid},
        entries,
        files,
        PREFIX,
    )


def _commit(
    manifest: Mapping[str, object],
    entries: Sequence[dict[str, object]],
    files: Mapping[str, bytes],
    prefix: str,
    number: int = 0,
) -> NewCommit:
    """The commit of a point; `number` orders those that are made in the same microsecond."""
    text = json.dumps({**manifest, "entries": entries}, indent=1)
    op, step = str(manifest["op"]), str(manifest["step"])
    return NewCommit(
        ref=f"{prefix}{int(time.time() * 1e6) + number:017d}-{op.split()[0]}-{step[:8]}",
        parent=None,
        message=f"nbexp: undo point before {op}\n".encode(),
        base=None,
        files={"manifest.json": text.encode() + b"\n", **files},
    )


def points(git: Git, place: str | None, prefix: str = PREFIX) -> list[UndoPoint]:
    """Every undo point of the workspace `place` (None: of all), newest first; a damaged one is left out."""
    refs = git.refs(prefix)
    ordered = sorted(refs.items(), reverse=True)
    manifests = git.read_many([f"{rev}:manifest.json" for _, rev in ordered])
    found = []
    for (ref, rev), data in zip(ordered, manifests, strict=True):
        one = parse(ref, rev, data, place)
        if one is not None:
            found.append(one)
    return found


def parse(ref: str, rev: str, data: bytes | None, place: str | None = None) -> UndoPoint | None:
    """The point of a manifest's bytes; None where it is damaged, or of another workspace than `place`."""
    try:
        manifest = json.loads(data or b"")
        if place is not None and manifest.get("place", place) != place:
            return None
        return UndoPoint(
            ref,
            rev,
            str(manifest["op"]),
            float(manifest["time"]),
            tuple(str(entry["path"]) for entry in manifest["entries"]),
            tuple((str(name), old, new) for name, old, new in manifest.get("refs", ())),
            str(manifest.get("step", rev)),
            manifest.get("above"),
            manifest.get("place"),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def ahead(git: Git, place: str, back: Sequence[UndoPoint]) -> list[UndoPoint]:
    """The points that lead forward from here, the next one first; `back` are those that lead back."""
    newest = back[0].step if back else ""
    found = []
    for one in points(git, place, REDO):
        if one.above != newest:
            break
        found.append(one)
        newest = one.step
    return found


def change_refs(git: Git, changes: Sequence[RefChange], *, op: str, place: str | None) -> None:
    """Change refs of experiments, all or none, as one step that `undo` takes back.

    Raises
    ------
    GitError
        One of them is not what it must be. Nothing was changed.
    """
    where = {} if place is None else {"place": place}
    refs = [[ref, old, new] for ref, new, old in changes]
    manifest = {"op": op, "time": time.time(), **where, "step": os.urandom(8).hex(), "refs": refs}
    made = _commit(manifest, [], {}, PREFIX)
    assert made.ref is not None
    (rev,) = git.commit(replace(made, ref=None))
    git.update_refs([*changes, (made.ref, rev, None)])


def check_refs(git: Git, undo_point: UndoPoint, present: Mapping[str, str]) -> None:
    """Refuse to go back over experiments that were changed since; `present` are the refs as they are.

    Raises
    ------
    NameTaken
        An experiment that would come back has a namesake now.
    StoreError
        An experiment is not what the command left, or its commit is gone.
    """
    for ref, before, after in undo_point.refs:
        if present.get(ref) == before or not ref.startswith("refs/exps/"):
            continue
        shown = ref.rpartition("/")[2]
        if present.get(ref) != after and after is None:
            raise NameTaken(
                f"Experiment `{shown}` exists again, so that of `{undo_point.op}` cannot come back. "
                "Nothing was undone.",
                f"`nbexp trash restore {shown} --name {shown}-1` brings it back under another name.",
            )
        if present.get(ref) != after:
            raise StoreError(
                f"Experiment `{shown}` was changed since `{undo_point.op}`. Nothing was undone.",
                "`nbexp undo --list` shows the steps.",
            )
        if before is not None and git.resolve(before) is None:
            raise StoreError(
                f"The commit {before[:7]} of `{shown}` is gone: the trash was emptied. Nothing was undone."
            )


def folders(git: Git, undo_points: Sequence[UndoPoint]) -> set[str]:
    """The directories below `.dvc/tmp/nbexp/undo` that the points need."""
    return {
        str(entry["old"]["kept"])
        for one in undo_points
        for entry in _entries(git, one)
        if isinstance(entry["old"], dict) and entry["old"]["kind"] == "tree"
    }


def lacking(git: Git, cache: Cache, kept: Path, undo_point: UndoPoint) -> list[str]:
    """The paths that cannot come back any more: their object, or their directory below `kept`, is gone."""
    found = []
    for entry in _entries(git, undo_point):
        old = entry["old"]
        if not isinstance(old, dict):
            continue
        is_lost = (old["kind"] == "out" and not cache.has_object(str(old["md5"]))) or (
            old["kind"] == "tree" and not (kept / str(old["kept"])).is_dir()
        )
        if is_lost:
            found.append(str(entry["path"]))
    return found


def experiments(undo_point: UndoPoint) -> tuple[str, ...]:
    """The names of experiments that going back brings back."""
    return tuple(
        ref.rpartition("/")[2]
        for ref, before, _ in undo_point.refs
        if before is not None and ref.startswith("refs/exps/")
    )


def size_bytes(git: Git, undo_points: Sequence[UndoPoint]) -> dict[str, int]:
    """How much each point keeps, by its rev: old files and outputs."""
    found: dict[str, int] = {}
    blobs: list[tuple[str, str]] = []
    for one in undo_points:
        total = 0
        for entry in _entries(git, one):
            old = entry["old"]
            if isinstance(old, dict) and "blob" in old:
                blobs.append((one.rev, f"{one.rev}:{old['blob']}"))
            elif isinstance(old, dict):
                total += int(str(old.get("size") or 0))
        found[one.rev] = total
    infos = git.info_many([spec for _, spec in blobs])
    for (rev, _), info in zip(blobs, infos, strict=True):
        found[rev] += info[2] if info is not None else 0
    return found


def edited_since(
    git: Git, cache: Cache, root: Path, undo_point: UndoPoint, keep: Collection[str] = ()
) -> list[str]:
    """The paths that were changed after the command which the point belongs to, but for those of `keep`."""
    changed = []
    for entry in _entries(git, undo_point):
        if entry["path"] in keep:
            continue
        present = _present(root / str(entry["path"]), cache)
        if present != entry["new"] and not _is_old(git, undo_point, entry, root, cache):
            changed.append(str(entry["path"]))
    return changed


@frozen
class Way:
    """Which way a point leads: below which refs it is, and which step is the newest beneath it.

    With `is_step`, going back counts as a command of its own. `number` is its place among those made at once.
    """

    place: str
    prefix: str
    above: str
    number: int
    is_step: bool


@frozen
class Flipped:
    """What going back along a point changed: the paths, those left alone, and how all of it was before.

    `kept` is (path, where the bytes that it did not get are in the opposite point) each; None where it is no file.
    """

    paths: tuple[str, ...]
    kept: tuple[tuple[str, str | None], ...]
    entries: tuple[dict[str, object], ...]
    files: dict[str, bytes]


def go_back(
    git: Git,
    cache: Cache,
    journal: Journal,
    undo_point: UndoPoint,
    carry_over: Callable[[str], None],
    *,
    keep: Collection[str],
) -> Flipped:
    """Put every path of the point back, through the journal, but for those of `keep`.

    Parameters
    ----------
    carry_over
        Gives a directory that came back what ignore rules hide in the one set aside.

    Raises
    ------
    StoreError
        Something that was kept is gone. Nothing was changed.
    """
    entries = _entries(git, undo_point)
    for entry in entries:
        _require(cache, journal, entry)
    files: dict[str, bytes] = {}
    changed: list[str] = []
    kept: list[tuple[str, str | None]] = []
    opposite: list[dict[str, object]] = []
    for entry in entries:
        path, old = str(entry["path"]), entry["old"]
        if _is_old(git, undo_point, entry, journal.root, cache):
            continue
        if path in keep:
            kept.append((path, _keep_other(git, undo_point, path, old, files)))
            continue
        now = _as_now(journal, path, old, cache, files, f"{undo_point.step[:8]}-{len(opposite)}")
        if old is None:
            journal.set_aside(path)
        else:
            assert isinstance(old, dict)
            _put(git, cache, journal, undo_point, path, old)
        carry_over(path)
        changed.append(path)
        opposite.append({"path": path, "old": now, "new": _present(journal.root / path, cache)})
    return Flipped(tuple(changed), tuple(kept), tuple(opposite), files)


def opposite(undo_point: UndoPoint, flipped: Flipped, way: Way) -> NewCommit:
    """The point that leads back along the one that was gone along."""
    manifest = {
        "op": "undo" if way.is_step else undo_point.op,
        "time": time.time() if way.is_step else undo_point.time_s,
        "place": way.place,
        "step": os.urandom(8).hex() if way.is_step else undo_point.step,
        "above": way.above,
        "refs": [[ref, after, before] for ref, before, after in undo_point.refs],
    }
    return _commit(manifest, flipped.entries, flipped.files, way.prefix, way.number)


def _keep_other(
    git: Git, undo_point: UndoPoint, path: str, old: object, files: dict[str, bytes]
) -> str | None:
    """Keep the version that a file left alone would have got; where it is in the point that is made."""
    if not isinstance(old, dict) or "blob" not in old:
        return None
    data = git.read(f"{undo_point.rev}:{old['blob']}")
    if data is None:
        return None
    name = _place_in_tree(path, files)
    files[name] = data
    return name


def _as_now(
    journal: Journal,
    path: str,
    other: object,
    cache: Cache,
    files: dict[str, bytes],
    name: str,
) -> dict[str, object] | None:
    """What is at a path, kept so that it can come back; None where nothing is.

    `other` is what takes its place: a file that Git keeps stays one, whatever the cache has.
    """
    target = journal.root / path
    if not os.path.lexists(target):
        return None
    found = cache.hash(target)
    if target.is_symlink() and (found is None or not _leads_to_object(target, cache)):
        return {"kind": "link", "target": os.readlink(target)}
    assert found is not None
    is_out = isinstance(other, dict) and other["kind"] == "out"
    is_git = isinstance(other, dict) and other["kind"] == "file"
    has = cache.has(found) and not _holds_more(target, found, cache)
    if not found.is_dir and (
        is_git or (not has and not is_out and target.stat().st_size <= _SMALL_BYTES)
    ):
        blob = _place_in_tree(path, files)
        files[blob] = target.read_bytes()
        return {"kind": "file", "mode": target.stat().st_mode & 0o777, "blob": blob}
    seen = found.md5
    if not has:
        if found.is_dir and _is_beyond_objects(target):
            return {"kind": "tree", "kept": _keep_tree(journal, target, name), "seen": seen}
        found = cache.copying.add(target)
    return _out(found, seen, target)


def _place_in_tree(path: str, files: Mapping[str, bytes]) -> str:
    """Where a point keeps the bytes of a file: a notebook at its own path, for `open`."""
    is_own = path.endswith(".ipynb") and not path.startswith("files/") and path not in files
    return path if is_own else f"files/{len(files)}"


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
        if target.is_dir() or target.is_symlink():
            journal.set_aside(path)
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
        blob = _place_in_tree(line.path, files)
        files[blob] = saved.read_bytes()
        return {"kind": "file", "mode": line.mode or 0o644, "blob": blob}
    seen = None if found is None else found.md5
    if found is None or not cache.has(found) or _holds_more(saved, found, cache):
        if _is_beyond_objects(saved):
            return {"kind": "tree", "kept": _keep_tree(journal, saved, saved.name), "seen": seen}
        found = cache.copying.add(saved)
    return _out(found, seen or found.md5, saved)


def _out(found: Hash, seen: str, path: Path) -> dict[str, object]:
    return {
        "kind": "out",
        "md5": found.md5,
        "seen": seen,
        "size": found.size,
        "nfiles": found.nfiles,
        "isexec": found.isexec,
        "copied": not path.is_symlink() and path.is_file() and os.access(path, os.W_OK),
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


def _keep_tree(journal: Journal, saved: Path, label: str) -> str:
    """Keep a directory as it is, without copying a byte; its name for `_kept`."""
    import shutil

    name = f"{journal.uid}-{label}"
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
        blob = str(old["blob"])
        same = hashing.md5(files[blob]) == new
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
