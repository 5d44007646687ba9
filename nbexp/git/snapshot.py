"""What the work tree would be as a commit: the files that differ from HEAD, as `git add` would store them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from nbexp.errors import GitError
from nbexp.git import Git
from nbexp.git.cat_file import blob_id, tree_entries
from nbexp.git.model import SMALL_BYTES, Change, Entry, Status
from nbexp.git.process import lines


def files(
    git: Git, status: Status, extra: Iterable[str]
) -> dict[str, Entry | tuple[str, bytes] | None]:
    """What `Git.snapshot` gives."""
    changes = {change.path: change for change in status.changes}
    heads = {change.path: change.head for change in status.changes}
    tree: dict[str, Entry | tuple[str, bytes] | None] = {}
    modes: dict[str, str] = {}
    for path, change in changes.items():
        if change.worktree == "same":
            tree[path] = change.index
        elif change.worktree == "deleted" or change.mode is None:
            tree[path] = None
        else:
            modes[path] = change.mode
    modes |= _extra_modes(git, extra, changes, status.head)
    regular = {}
    for path, mode in modes.items():
        if mode == "160000":
            tree[path] = submodule(git, path) or changes[path].index
        elif mode == "120000":
            tree[path] = (mode, _link_target(git, path))
        else:
            regular[path] = mode
    plain = _plain(git, [*regular], changes)
    tree |= {path: (regular[path], data) for path, data in plain.items()}
    filtered = [path for path in regular if path not in plain]
    for path, oid in _blobs(git, filtered, changes).items():
        tree[path] = Entry(regular[path], oid)
    return {
        path: value
        for path, value in tree.items()
        if _as_entry(value, heads.get(path)) != heads.get(path)
    }


def _extra_modes(
    git: Git, extra: Iterable[str], changes: Mapping[str, Change], head: str | None
) -> dict[str, str]:
    """Modes of the files in `extra` that neither HEAD nor `git add -u` accounts for."""
    found: dict[str, os.stat_result] = {}
    for path in extra:
        normal = os.path.normpath(path).replace(os.sep, "/")
        if os.path.isabs(normal) or normal.split("/")[0] == "..":
            raise GitError(f"`{path}` is outside of the repository {git.root}.")
        if git.is_own(normal):
            found.update(_files(git, normal))
    for path, change in changes.items():
        if change.worktree != "same" or change.index is not None:
            found.pop(path, None)
    if not found:
        return {}
    known = _listed(git, head, {path.rpartition("/")[0] for path in found}) if head else set()
    modes = {}
    for path, info in found.items():
        # In HEAD and not changed is clean; in HEAD and changed is deleted in the index only.
        if path not in known or path in changes:
            modes[path] = "120000" if stat.S_ISLNK(info.st_mode) else "100644"
            if modes[path] == "100644" and info.st_mode & 0o100 and _trusts_modes(git):
                modes[path] = "100755"
    return modes


def _trusts_modes(git: Git) -> bool:
    return os.name != "nt" and git.config().get("core.filemode") != "false"


def _files(git: Git, path: str) -> Iterator[tuple[str, os.stat_result]]:
    """The file, or the files below the folder; not those of a repository inside."""
    try:
        info = os.lstat(git.root / path)
    except (OSError, ValueError):
        return
    if stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
        yield path, info
    elif stat.S_ISDIR(info.st_mode) and (path == "." or not git.has_git(path)):
        for name in sorted(os.listdir(git.root / path)):
            if name != ".git":
                yield from _files(git, name if path == "." else f"{path}/{name}")


def _listed(git: Git, rev: str, folders: Collection[str]) -> set[str]:
    """Paths of the files that lie directly in these folders of the revision's tree."""
    ordered = sorted(folders)
    trees = git.objects.ask("contents", [f"{rev}:{folder}" for folder in ordered])
    listed: set[str] = set()
    for folder, tree in zip(ordered, trees, strict=True):
        if tree and tree.kind == "tree":
            entries = tree_entries(tree.data, len(rev) // 2)
            top = f"{folder}/" if folder else ""
            listed.update(top + name for name, mode, _ in entries if mode != "40000")
    return listed


def _plain(git: Git, paths: Sequence[str], changes: Mapping[str, Change]) -> dict[str, bytes]:
    """The bytes of those small files that `git add` would store as they are."""
    if not paths or any(path.rpartition("/")[2] == ".gitattributes" for path in changes):
        return {}
    found: dict[str, bytes] = {}
    left = SMALL_BYTES
    plain_folders: dict[str, bool] = {"": _has_no_filters(git)}
    for path in paths:
        size = _size(git, path)
        if 0 <= size <= left and _is_plain(git, path.rpartition("/")[0], plain_folders):
            found[path] = (git.root / path).read_bytes()
            left -= len(found[path])
    return found


def _has_no_filters(git: Git) -> bool:
    """Whether nothing that holds for all files changes their bytes on the way into Git."""
    config = git.config()
    if {"core.autocrlf", "core.attributesfile"} & config.keys() or sys.platform == "win32":
        return False
    if _is_sparse(git):
        return False
    xdg = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    program = _program()
    installed = os.path.dirname(os.path.dirname(os.path.realpath(program))) if program else "/"
    return not any(
        os.path.lexists(place)
        for place in (
            "/etc/gitattributes",
            os.path.join(installed, "etc", "gitattributes"),
            os.path.join(xdg, "git", "attributes"),
            git.common / "info" / "attributes",
            git.root / ".gitattributes",
        )
    )


def _is_sparse(git: Git) -> bool:
    return git.config().get("core.sparsecheckout") == "true"


def _is_plain(git: Git, folder: str, known: dict[str, bool]) -> bool:
    if folder not in known:
        above = _is_plain(git, folder.rpartition("/")[0], known)
        known[folder] = above and not os.path.lexists(git.root / folder / ".gitattributes")
    return known[folder]


def _blobs(git: Git, paths: list[str], changes: Mapping[str, Change]) -> dict[str, str]:
    """Blob ids by path, written, as `git add` would make them.

    `git add` leaves line ends alone under `text=auto` if the blob in the index has CRLF; that
    rule needs the index, which hash-object does not read (2.39). So where the blob came out
    with another size than the file and the old blob has CRLF, a copy of the index is asked.
    """
    if not paths:
        return {}
    if _is_sparse(git):
        # An attributes file may be in the index alone, and that is where `git add` finds it then.
        return _index_blobs(git, paths)
    oids = dict(zip(paths, git.hash_files(paths, write=True), strict=True))
    odd = {}
    for path, blob in zip(paths, git.objects.ask("info", list(oids.values())), strict=True):
        old = changes[path].index if path in changes else None
        if blob and old and old.mode != "120000" and blob.size != _size(git, path):
            odd[path] = old.oid
    for path, data in zip(list(odd), git.read_many(list(odd.values())), strict=True):
        if b"\r\n" not in (data or b""):
            del odd[path]
    return oids | _index_blobs(git, list(odd)) if odd else oids


def _index_blobs(git: Git, paths: list[str]) -> dict[str, str]:
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory(prefix="nbexp-", dir=git.folder) as folder:
        index = Path(folder) / "index"
        shutil.copy2(git.folder / "index", index)  # Git tells racy files by its time
        env = {"GIT_INDEX_FILE": str(index)}
        git.run("update-index", "--add", "-z", "--stdin", stdin=lines(paths), env=env)
        out = git.run("ls-files", "--stage", "-z", env=env)
    staged = (os.fsdecode(line).split("\t", 1) for line in out.split(b"\0")[:-1])
    wanted = set(paths)
    return {path: meta.split(" ")[1] for meta, path in staged if path in wanted}


def _as_entry(value: Entry | tuple[str, bytes] | None, head: Entry | None) -> Entry | None:
    if not isinstance(value, tuple):
        return value
    mode, data = value
    return Entry(mode, blob_id(data, "sha256" if head and len(head.oid) == 64 else "sha1"))


def submodule(git: Git, path: str) -> Entry | None:
    """The commit that a submodule has checked out; None where it is not here."""
    inner = Git.find(git.root / path) if git.has_git(path) else None
    rev = inner.head() if inner else None
    if inner:
        inner.close()
    return Entry("160000", rev) if rev else None


def _link_target(git: Git, path: str) -> bytes:
    full = git.root / path
    # Where the file system has no links (core.symlinks=false) the file holds the target.
    return os.fsencode(os.readlink(full)) if full.is_symlink() else full.read_bytes()


def _size(git: Git, path: str) -> int:
    try:
        return os.stat(git.root / path).st_size
    except OSError:
        return -1


@cache
def _program() -> str | None:
    """Where Git is."""
    import shutil

    return shutil.which("git")
