"""Commits and refs written: as loose files where that is safe and few, else by Git's own programs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from nbexp.errors import GitError
from nbexp.git import Git, loose
from nbexp.git.model import SMALL_BYTES, Beside, Entry, FileContent, Identity, NewCommit
from nbexp.git.process import no_commit, quoted, refused, spawn, talk
from nbexp.git.ref_files import OWN, UNKNOWN, check_refs, is_oid, is_simple, moved

_FEW = 100  # files; from there on a pack is better than as many loose objects
_SCRATCH = b"refs/nbexp/scratch"  # a branch inside one fast-import; never a ref


def commit(
    git: Git,
    commits: Sequence[NewCommit],
    resets: Sequence[tuple[str, str]],
    beside: Beside | None,
    fence: Callable[[Sequence[str]], None] | None,
    *,
    one_by_one: bool,
) -> list[str]:
    """What `Git.commit` does."""
    moves: dict[str, tuple[str, str | None]] = {}  # ref -> what it becomes, what it must be
    for number, new in enumerate(commits, 1):
        if new.ref is not None:
            expect = moves[new.ref][1] if new.ref in moves else new.expect
            moves[new.ref] = (f":{number}", expect)
    moves.update((ref, (rev, "any")) for ref, rev in resets)
    check_refs(moves)
    seen = {ref: git.seen(ref) for ref in moves}
    for ref, (_, expect) in moves.items():
        if expect != "any" and seen[ref] not in (expect, UNKNOWN):
            raise moved(ref, seen[ref])
    direct = (
        (len(moves) == 1 or (one_by_one and len(moves) == len(commits)))
        and not resets
        and all(new.ref is not None for new in commits)
        and (one_by_one or all(new.parent is not None for new in commits[1:]))
        and set(seen.values()) == {None}
        and all(new.expect is None for new in commits)
    )
    written = _write(git, commits, beside)
    extra: NewCommit | None = None
    if written is None:
        direct_import = direct and beside is None and fence is None
        revs = _import(git, commits, direct=direct_import)
    else:
        direct_import = False
        revs, extra = written
    if fence is not None:
        fence(revs[: len(commits)])
    made: set[str] = set()
    if direct_import:
        made = {*moves}
    if beside is not None:
        made = _set_beside(git, beside, commits if direct else (), revs, extra)
    if direct and not made:
        made = _create_refs(git, commits, revs)
    if len(moves) == 1 and not made:
        made = {
            ref
            for ref, (rev, old) in moves.items()
            if rev == ":1" and old is not None and _replace_ref(git, ref, revs[0], old)
        }
    moves = {ref: move for ref, move in moves.items() if ref not in made}
    if moves:
        marks = {f":{number}": rev for number, rev in enumerate(revs, 1)}
        git.update_refs(
            [(ref, marks.get(rev) or git.oid(rev), old) for ref, (rev, old) in moves.items()]
        )
    return revs


def _set_beside(
    git: Git,
    beside: Beside,
    commits: Sequence[NewCommit],
    revs: list[str],
    written: NewCommit | None,
) -> set[str]:
    """Set the ref of the commit beside, and, where that can be done at once, those of `commits`, which it returns.

    Where the commit beside is `written`, its rev is the last of `revs`, and is taken off.
    """
    try:
        if written is not None and written.ref is not None:
            rev = revs.pop()
            if written.expect is not None:
                first = _replacement(git, written.ref, rev, written.expect)
                made = _create_refs(git, commits, revs, first) if first is not None else set()
                if first is not None and first.is_set:
                    return made
            elif git.seen(written.ref) is None and written.ref in _create_refs(
                git, [written], [rev]
            ):
                return set()
        git.advance(lambda: beside.make(revs))
    except GitError as error:
        beside.failed(error)
    return set()


def _replace_ref(git: Git, ref: str, new: str, old: str) -> bool:
    """Whether the ref could be set from `old` to `new` without Git."""
    first = _replacement(git, ref, new, old)
    if first is not None:
        _create_refs(git, (), (), first)
    return first is not None and first.is_set


def _replacement(git: Git, ref: str, new: str, old: str) -> loose.Replacement | None:
    """The ref set from `old` to `new`, None where that is Git's to do."""
    # Of these Git keeps a log, which it begins itself; of others where there is one already.
    if ref.startswith(("refs/heads/", "refs/remotes/", *OWN)) or not is_oid(old):
        return None
    if not all(map(is_simple, ref.split("/"))) or (git.common / "reftable").is_dir():
        return None
    if _is_more_than_a_file(git):
        return None
    who = git.identity("committer")
    log = git.common / "logs" / ref
    line = f"{old} {new} {_signed(who, int(time.time()))}\n" if log.is_file() else None
    return loose.Replacement(ref, new, lambda: git.seen(ref) == old, line)


def _write(
    git: Git, commits: Sequence[NewCommit], beside: Beside | None = None
) -> tuple[list[str], NewCommit | None] | None:
    """The revs of these commits, written as loose objects; None where that is Git's to do.

    The commit beside them comes as well, and its rev as the last.
    """
    files = [value for new in commits for value in new.files.values()]
    size = sum(len(_data_of(value)) for value in files)
    config = git.config()
    if len(files) > _FEW or size > SMALL_BYTES or "core.sharedrepository" in config:
        return None
    digest = config.get("extensions.objectformat", "sha1")
    writer = loose.Writer(git.common / "objects", digest)
    # An id that names nothing would make a commit that nobody can check out.
    known = [value.oid for value in files if isinstance(value, Entry) and value.mode != "160000"]
    if None in git.objects.ask("info", known):
        return None
    identities = (git.identity("author"), git.identity("committer"))
    revs: list[str] = []
    extra = None
    try:
        for new in commits:
            # Of a commit that is only now being made there is no object to read a tree from.
            if new.base is not None and not _is_rev(new.base):
                return None
            revs.append(_write_one(git, new, revs, identities, writer))
        try:
            extra = beside.make(revs) if beside is not None else None
        except GitError:
            extra = None  # found again, and told, when the others are safe
        if extra is not None:
            revs.append(_write_one(git, extra, revs, identities, writer))
        writer.flush(git.objects.learn)
    except (loose.NotSimple, OSError):
        return None
    return revs, extra


def _write_one(
    git: Git,
    new: NewCommit,
    made: Sequence[str],
    identities: tuple[Identity, Identity],
    writer: loose.Writer,
) -> str:
    time_s = int(time.time()) if new.time_s is None else new.time_s
    base = _tree_of(git, new.base) if new.base else None
    tree = loose.tree(
        base, _entries_of(new.files, writer), lambda oid: git.entries([oid])[0], writer
    )
    signed = [loose.Signature(who.name, who.email, time_s, _zone(time_s)) for who in identities]
    parent = _parent(git, new.parent, made)
    return loose.commit(tree, parent, (signed[0], signed[1]), new.message, writer)


def _tree_of(git: Git, rev: str) -> str:
    try:
        return git.commits([rev])[0].tree
    except GitError:  # a tree may be a base as well
        return git.oid(f"{rev}^{{tree}}")


def _parent(git: Git, parent: str | None, made: Sequence[str]) -> str | None:
    if parent is None:
        return None
    if _is_rev(parent):
        return git.commits([parent])[0].rev
    number = int(parent.removeprefix(":"))
    return made[number - 1] if 0 < number <= len(made) else no_commit(f"mark {parent}")


def _create_refs(
    git: Git,
    commits: Sequence[NewCommit],
    revs: Sequence[str],
    first: loose.Replacement | None = None,
) -> set[str]:
    """The new refs that could be made without Git, the last one first; `first` is set before."""
    if _is_more_than_a_file(git):
        return set()
    pairs = reversed([*zip(commits, revs if commits else (), strict=True)])
    refs = {new.ref or "": rev for new, rev in pairs}
    if not all(is_simple(part) for ref in refs for part in ref.split("/")):
        return set()
    return loose.create_refs(git.common, refs, first)


def _is_more_than_a_file(git: Git) -> bool:
    """Whether Git is set up to keep a log of every ref, or to let a group write in the folders that it makes for them."""
    config = git.config()
    logs = config.get("core.logallrefupdates", "").lower()
    return logs == "always" or "core.sharedrepository" in config


def _import(git: Git, commits: Sequence[NewCommit], *, direct: bool) -> list[str]:
    wanted = {f"{new.parent}^{{commit}}" for new in commits if _is_rev(new.parent)}
    wanted |= {f"{new.base}^{{tree}}" for new in commits if _is_rev(new.base)}
    specs = sorted(wanted)
    found = git.objects.ask("info", specs)
    known = {
        spec: one or no_commit(spec.rpartition("^")[0])
        for spec, one in zip(specs, found, strict=True)
    }
    author, committer = git.identity("author"), git.identity("committer")
    out: list[bytes] = []
    for number, new in enumerate(commits, 1):
        if not direct:
            out.append(b"reset %s\n\n" % _SCRATCH)
        ref = os.fsencode(new.ref) if direct and new.ref else _SCRATCH
        time_s = int(time.time()) if new.time_s is None else new.time_s
        out.append(b"commit %s\nmark :%d\n" % (ref, number))
        out.append(f"author {_signed(author, time_s)}\n".encode())
        out.append(f"committer {_signed(committer, time_s)}\n".encode())
        out.append(b"data %d\n%s\n" % (len(new.message), new.message))
        if new.parent is not None:
            parent = known.get(f"{new.parent}^{{commit}}")
            out.append(f"from {parent.oid if parent else new.parent}\n".encode())
        if new.base is None:
            out.append(b"deleteall\n")
        elif new.base != new.parent:
            tree = known.get(f"{new.base}^{{tree}}") or no_commit(new.base)
            # The empty tree may not be there as an object, and is not written when it is named.
            out.append(f'M 040000 {tree.oid} ""\n'.encode() if tree.size else b"deleteall\n")
        out.extend(_file_commands(new.files))
        out.append(b"\n")
    if not direct:
        out.append(b"reset %s\n\n" % _SCRATCH)  # a branch without a commit is not written
    out.extend(b"get-mark :%d\n" % number for number in range(1, len(commits) + 1))
    out.append(b"done\n")
    process = spawn(git.root, ["fast-import", "--quiet", "--done", "--date-format=raw"])
    printed, errors = talk(process, b"".join(out))
    revs = printed.decode("ascii").split()
    if process.returncode == 0 and len(revs) == len(commits):
        return revs
    (git.folder / f"fast_import_crash_{process.pid}").unlink(missing_ok=True)
    made = {new.ref: rev for new, rev in zip(commits, revs, strict=False) if new.ref and direct}
    for name, rev in made.items():
        if (seen := git.seen(name)) not in (rev, None, UNKNOWN):
            raise moved(name, seen)
    raise refused(["fast-import"], errors)


def _data_of(value: FileContent) -> bytes:
    """The bytes of a file that is to be written; none where its blob is there already."""
    if isinstance(value, Entry) or value is None:
        return b""
    return value[1] if isinstance(value, tuple) else value


def _entries_of(
    files: Mapping[str, FileContent], writer: loose.Writer
) -> dict[str, tuple[str, str] | None]:
    """Mode and blob of each file, those given as bytes handed to the writer."""
    entries: dict[str, tuple[str, str] | None] = {}
    for path, value in files.items():
        _tree_path(path)
        if isinstance(value, Entry):
            entries[path] = (value.mode, value.oid)
        elif value is None:
            entries[path] = None
        else:
            mode = value[0] if isinstance(value, tuple) else "100644"
            entries[path] = (mode, writer.add("blob", _data_of(value)))
    return entries


def _file_commands(files: Mapping[str, FileContent]) -> Iterator[bytes]:
    """The fast-import commands for these files; deletions first: a file can become a folder."""
    for path, value in files.items():
        if value is None:
            yield b"D %s\n" % _tree_path(path)
    for path, value in files.items():
        if isinstance(value, Entry):
            yield b"M %s %s %s\n" % (value.mode.encode(), value.oid.encode(), _tree_path(path))
        elif value is not None:
            mode, data = value if isinstance(value, tuple) else ("100644", value)
            yield b"M %s inline %s\n" % (mode.encode(), _tree_path(path))
            yield b"data %d\n" % len(data)
            yield data
            yield b"\n"


def _tree_path(path: str) -> bytes:
    """The path quoted; refused where a checkout of it would not stay inside the work tree."""
    for part in path.split("/"):
        if part in ("", ".", "..") or part.rstrip(". ").lower() in (".git", "git~1"):
            raise GitError(f"`{path}` cannot be the path of a file in a commit.")
    return quoted(os.fsencode(path))


def _is_rev(rev: str | None) -> bool:
    """Whether it has to be looked up; ":1" is a commit that is yet to be made."""
    return rev is not None and not (rev[:1] == ":" and rev[1:].isascii() and rev[1:].isdigit())


def _signed(who: Identity, time_s: int) -> str:
    return f"{who.name} <{who.email}> {time_s} {_zone(time_s)}"


def _zone(time_s: int) -> str:
    return time.strftime("%z", time.localtime(time_s)) or "+0000"
