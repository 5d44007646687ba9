"""The one door to Git: text, bytes and paths in and out, and as few processes as the work allows.

What it hides: which Git program answers a question, how its streams are framed and kept from
blocking each other, what of the user's set-up must not leak in (hooks, signing, prompts, `GIT_DIR`
and its kin), and how commits come into being without HEAD, the index, a branch or the stash moving.

Objects are read through one `git cat-file` per `Git`, which lives as long as the object does. All
else is one short process per call, whatever the number of paths, refs or commits in it.

    git = Git.find(Path.cwd())
    status = git.status()
    files = git.snapshot(status, extra=["dvc.lock"])
    git.commit(NewCommit(ref, status.head, b"message", base=status.head, files=files))

GitPython is imported by `Git.repo` alone. It stays out of the way elsewhere because it lists packed
refs in quadratic time and rewrites the index in Python.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, NoReturn, cast

from nbexp.errors import GitError
from nbexp.git.cat_file import Objects, commit_info, tree_entries
from nbexp.git.model import (
    Beside,
    Change,
    CommitInfo,
    Entry,
    FileContent,
    Identity,
    NewCommit,
    Status,
)
from nbexp.git.process import Counted, end, file_stamp, refused, run, spawn, talk
from nbexp.git.ref_files import (
    OWN,
    UNKNOWN,
    check_refs,
    is_oid,
    is_simple,
    moved,
    packed_refs,
    read_loose,
)

if TYPE_CHECKING:
    from git import Repo

    from nbexp.git import loose


__all__ = [
    "Beside", "Change", "CommitInfo", "Entry", "FileContent", "Git", "Identity", "NewCommit", "Status",
]  # fmt: skip


class Git(Counted):
    """One work tree and the repository behind it. Safe to share among threads.

    Attributes
    ----------
    processes
        How many Git programs this Python process has started, through any `Git`.
    root
        The top of the work tree, symbolic links resolved, as Git itself resolves them.
    folder
        The work tree's own Git directory: its HEAD and index are there.
    common
        The Git directory shared by all work trees: refs, objects and config are there.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.common = _common(folder)
        self._objects = Objects(root)
        self._config: tuple[object, dict[str, str], tuple[str, ...]] | None = None
        self._repo: Repo | None = None
        self._trees: dict[str, list[tuple[str, str, str]]] = {}
        self._entries_by_tree: dict[str, list[tuple[str, str, str]]] = {}
        self._commits: dict[str, CommitInfo] = {}

    def __repr__(self) -> str:
        return f"Git({str(self.root)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # As if found anew: the process that reads objects stays where it is.
        return type(self), (self.root, self.folder)

    @classmethod
    def find(cls, path: Path) -> Git | None:
        """The repository whose work tree holds `path`, None if there is none. Starts no process.

        Raises
        ------
        GitError
            A `.git` file points to a place where no repository is. An outer repository is not
            taken instead: commits would end up in the wrong one.
        """
        start = path.resolve()
        for root in (start, *start.parents):
            link = root / ".git"
            if link.is_file():
                return cls(root, _linked(link))
            if _is_repository(link):
                return cls(root, link)
        return None

    @classmethod
    def bare(cls, path: Path) -> Git | None:
        """The repository without a work tree in the folder `path`, to be read; None if it is none."""
        folder = path.resolve()
        is_one = folder.is_dir() and (folder / "objects").is_dir() and _is_repository(folder)
        return cls(folder, folder) if is_one and (folder / "refs").is_dir() else None

    @classmethod
    def init(cls, path: Path, branch: str = "main") -> Git:
        """A new repository in `path`, its HEAD on the unborn `branch`; an existing one is kept."""
        path.mkdir(parents=True, exist_ok=True)
        run(path, ["init", "--quiet", f"--initial-branch={branch}"])
        git = cls.find(path)
        assert git is not None
        return git

    def close(self) -> None:
        """End the reading process; the next question starts another."""
        self._objects.close()
        if self._repo is not None:
            self._repo.close()

    @property
    def repo(self) -> Repo:
        """GitPython's view of this repository, for users; the package is imported on first use."""
        if self._repo is None:
            from git import Repo

            self._repo = Repo(self.root)
        return self._repo

    # Reading objects: no process but the one that is there.

    def head(self) -> str | None:
        """The commit HEAD is at, None before the first one; read from Git's files where a branch has it."""
        branch = self.branch()
        return self.resolve("HEAD") if branch is None else self.commit_at(f"refs/heads/{branch}")

    def commit_at(self, ref: str) -> str | None:
        """The commit that a ref of commits holds, None if it is not there; read from Git's files where they tell."""
        # That a branch holds a commit Git sees to.
        seen = self._seen(ref)
        return self.resolve(ref) if seen == UNKNOWN else seen

    def branch(self) -> str | None:
        """The branch HEAD is on, born or not; None when HEAD is detached."""
        file = self.folder / "HEAD"
        text = "" if file.is_symlink() else os.fsdecode(file.read_bytes()).strip()
        if is_oid(text):
            return None
        # A reftable repository keeps "ref: refs/heads/.invalid" there, and an old one a link.
        if not text.startswith("ref: refs/heads/") or text.endswith("/.invalid"):
            out = self.run("symbolic-ref", "--quiet", "HEAD", allowed=(0, 1))
            text = f"ref: {os.fsdecode(out).strip()}"
        branch = text.removeprefix("ref: refs/heads/")
        return None if branch == text else branch

    def branch_at(self, name: str) -> str | None:
        """The commit of the local branch `name`, None if there is no such branch."""
        return self.commit_at(f"refs/heads/{name}")

    def resolve(self, rev: str) -> str | None:
        """The commit that any of Git's ways to write a revision means, None if it means none."""
        if rev.startswith(":/"):  # a regex to the end of the line: a suffix would become part of it
            found = self.info(rev)
            return found[0] if found and found[1] == "commit" else None
        found = self.info(f"{rev}^{{commit}}") if rev else None
        return found[0] if found else None

    def info(self, spec: str) -> tuple[str, str, int] | None:
        """Object id, type and size of what `spec` names, None if it names nothing."""
        found = self._objects.ask("info", [spec])[0]
        return (found.oid, found.kind, found.size) if found else None

    def read(self, spec: str) -> bytes | None:
        """The bytes of an object: "<rev>:<path>" or an id; None if there is no such object or it is a folder.

        Specs that read the index (":path") answer for the index as it was when first asked.
        """
        return self.read_many([spec])[0]

    def read_many(self, specs: Sequence[str]) -> list[bytes | None]:
        """As `read`, for each of many, in their order; questions and answers overlap."""
        found = self._objects.ask("contents", specs)
        return [one.data if one and one.kind != "tree" else None for one in found]

    @contextmanager
    def streamed(self, oid: str) -> Iterator[BinaryIO]:
        """The bytes of a big blob, to read from its beginning; one process, ended when nobody reads on."""
        process = spawn(self.root, ["cat-file", "blob", oid], alone=True)
        try:
            yield io.BufferedReader(cast("io.RawIOBase", process.stdout), 1 << 16)
        finally:
            process.terminate()
            end(process)

    def commits(self, revs: Sequence[str]) -> list[CommitInfo]:
        """Each of the commits, in their order.

        Raises
        ------
        GitError
            One of `revs` is no commit.
        """
        # A full id means the same commit for ever; other ways to write a revision may not.
        unknown = [rev for rev in revs if rev not in self._commits]
        found = self._objects.ask("contents", [f"{rev}^{{commit}}" for rev in unknown])
        fresh = {
            rev: commit_info(commit) if commit else _no_commit(rev)
            for rev, commit in zip(unknown, found, strict=True)
        }
        self._commits.update({rev: info for rev, info in fresh.items() if is_oid(rev)})
        return [self._commits.get(rev) or fresh[rev] for rev in revs]

    def info_many(self, specs: Sequence[str]) -> list[tuple[str, str, int] | None]:
        """As `info`, for each of many, in their order."""
        found = self._objects.ask("info", specs)
        return [(one.oid, one.kind, one.size) if one else None for one in found]

    def paths_named(self, revs: Sequence[str], name: str) -> dict[str, list[str]]:
        """For each revision the paths of its files called `name`, sorted; `*.dvc` is all that end so.

        Trees that revisions share are read once, and none twice in the life of this object, so that
        experiments of one baseline cost little more than the baseline.
        """
        roots = self._objects.ask("info", [f"{rev}^{{tree}}" for rev in revs])
        todo = {root.oid for root in roots if root} - self._trees.keys()
        while todo:
            ordered = sorted(todo)
            trees = self._objects.ask("contents", ordered)
            for oid, tree in zip(ordered, trees, strict=True):
                self._trees[oid] = tree_entries(tree.data if tree else b"", len(oid) // 2)
            inner = {oid for one in ordered for _, mode, oid in self._trees[one] if mode == "40000"}
            todo = inner - self._trees.keys()
        return {
            rev: sorted(self._named(root.oid, name, "")) if root else []
            for rev, root in zip(revs, roots, strict=True)
        }

    def entries(self, trees: Sequence[str]) -> list[list[tuple[str, str, str]]]:
        """Name, mode and object id of what lies directly in each of these trees, given by id."""
        known = self._entries_by_tree
        if len(known) > _MANY_TREES:
            known.clear()
        fresh = [oid for oid in dict.fromkeys(trees) if oid not in known]
        if len(fresh) > _MANY_TREES:  # not to be kept
            found = self._objects.ask("contents", trees)
            return [
                tree_entries(tree.data if tree else b"", len(oid) // 2)
                for oid, tree in zip(trees, found, strict=True)
            ]
        read = self._objects.ask("contents", fresh) if fresh else []
        for oid, tree in zip(fresh, read, strict=True):
            known[oid] = tree_entries(tree.data if tree else b"", len(oid) // 2)
        return [known[oid] for oid in trees]

    def hash_bytes(self, data: bytes) -> str:
        """The id a blob of these bytes has in this repository."""
        return _blob_id(data, self.config().get("extensions.objectformat", "sha1"))

    # Listing: one process each.

    def refs(self, *prefixes: str) -> dict[str, str]:
        """Object id by full ref name, in the order of names; no prefix lists all.

        A prefix is a whole name or ends at a slash. Tags are peeled to what they tag.

        Notes
        -----
        Read from Git's files, without a process, where these are as Git leaves them nearly always.
        """
        found = self._refs_in_files(prefixes) if prefixes else None
        if found is not None:
            return found
        # Peeling opens every object: it doubles the time for 10,000 experiments, none of them a tag.
        peel = not prefixes or any(
            prefix.startswith("refs/tags") or "refs/tags/".startswith(prefix) for prefix in prefixes
        )
        fields = "%(objectname) %(*objectname)" if peel else "%(objectname) "
        out = self.run("for-each-ref", f"--format={fields} %(refname)", *prefixes)
        refs = {}
        for line in os.fsdecode(out).splitlines():
            oid, peeled, name = line.split(" ", 2)
            refs[name] = peeled or oid
        return refs

    def tree(self, rev: str, *, prefix: str = "") -> dict[str, Entry]:
        """Every file below a revision or tree by path; `prefix` keeps one file or folder of it."""
        found = self.info(f"{rev}^{{tree}}")
        if found is None:
            _no_commit(rev)
        out = self.run(
            "--literal-pathspecs", "ls-tree", "-r", "-z", "--full-tree", found[0], "--",
            *([prefix] if prefix else []),
        )  # fmt: skip
        tree = {}
        for line in out.split(b"\0")[:-1]:
            meta, path = line.split(b"\t", 1)
            mode, _, oid = meta.decode("ascii").split(" ")
            tree[os.fsdecode(path)] = Entry(mode, oid)
        return tree

    def status(self, *, untracked: bool = True) -> Status:
        """Where HEAD, index and work tree differ now; the index file is not refreshed.

        Renames are a deletion and a new file. What is inside a submodule is not looked at, only
        which commit it has checked out.
        """
        out = self.run(
            "status", "--porcelain=v2", "-z", "--branch", "--no-ahead-behind", "--no-renames",
            "--ignore-submodules=dirty", f"--untracked-files={'all' if untracked else 'no'}",
        )  # fmt: skip
        changes, others, head = [], [], None
        for line in os.fsdecode(out).split("\0")[:-1]:
            if line.startswith(("1 ", "u ")):
                changes.append(_change(line))
            elif line.startswith("? "):
                others.append(line[2:])
            elif line.startswith("# branch.oid ") and line != "# branch.oid (initial)":
                head = line.removeprefix("# branch.oid ")
        return Status(tuple(changes), tuple(others), head)

    def ignored(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths` that Git ignores; a tracked path never is. They need not exist."""
        asked = [path for path in paths if self._is_own(path)]
        if not asked:
            return set()
        out = self.run("check-ignore", "-z", "--stdin", stdin=_lines(asked), allowed=(0, 1))
        return {os.fsdecode(path) for path in out.split(b"\0")[:-1]}

    def is_tracked(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths` that are in the index, or are folders of files in the index."""
        asked = [path for path in paths if self._is_own(path)]
        if not asked:
            return set()
        # The command line has a limit, so many paths mean to list all and look here.
        named = asked if sum(map(len, asked)) < 50_000 else []
        out = self.run("--literal-pathspecs", "ls-files", "-z", "--", *named)
        files = os.fsdecode(out).split("\0")[:-1]
        tracked = set(files)
        tracked.update(file[:cut] for file in files for cut in _slashes(file))
        return {path for path in asked if path.rstrip("/") in tracked}

    # Who the user is.

    def config(self) -> Mapping[str, str]:
        """Git's configuration for this repository; section and variable in lower case, last wins.

        One process, and none while every file it came from (includes too) is as it was.
        """
        if self._config is None or self._config[0] != self._config_stamp(self._config[2]):
            out = run(self.root, ["config", "--list", "-z", "--show-origin"], settings=())
            parts = os.fsdecode(out).split("\0")[:-1]
            values = {}
            for item in parts[1::2]:
                key, _, value = item.partition("\n")
                values[key] = value if "\n" in item else "true"  # `[core] bare` means true
            files = tuple({part[5:] for part in parts[::2] if part.startswith("file:")})
            self._config = (self._config_stamp(files), values, files)
        return self._config[1]

    def identity(self, role: Literal["author", "committer"] = "author") -> Identity:
        """Who commits: the environment, else the configuration, else `nbexp`; never an error."""

        config = self.config()

        def find(field: str) -> str:
            return (
                _ident(os.environ.get(f"GIT_{role}_{field}".upper(), ""))
                or _ident(config.get(f"{role}.{field}", ""))
                or _ident(config.get(f"user.{field}", ""))
                or (_ident(os.environ.get("EMAIL", "")) if field == "email" else "")
            )

        return Identity(find("name") or "nbexp", find("email") or "nbexp@localhost")

    # What the work tree would be as a commit.

    def hash_files(self, paths: Sequence[str], *, write: bool) -> list[str]:
        """The blob ids `paths` would get from `git add`, filters applied; `write` keeps the blobs.

        Symbolic links are followed.

        Raises
        ------
        GitError
            A path is no file. Blobs of paths before it may have been written.
        """
        if not paths:
            return []
        names = [os.fsencode(path) for path in paths]
        lines = b"".join((_quoted(n) if n[:1] == b'"' or b"\n" in n else n) + b"\n" for n in names)
        out = self.run("hash-object", "--stdin-paths", *(["-w"] if write else []), stdin=lines)
        return out.decode("ascii").split()

    def snapshot(
        self, status: Status, extra: Iterable[str] = ()
    ) -> dict[str, Entry | tuple[str, bytes] | None]:
        """What differs from HEAD's tree in a commit of the index, `git add -u` and `extra`.

        The mapping fits `NewCommit.files` with `status.head` as base. Small files come as their
        bytes; where filters or size ask for Git, blobs are written, one process for all. The index
        is not written.

        Parameters
        ----------
        extra
            Files and folders to add even if ignored (`git add -f`). Missing ones, and those in a
            repository of their own or behind a symbolic link, are left out.

        Notes
        -----
        A submodule is recorded at the commit it has checked out, as `git add -u` does.
        """
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
        modes |= self._extra_modes(extra, changes, status.head)
        regular = {}
        for path, mode in modes.items():
            if mode == "160000":
                tree[path] = self._submodule(path) or changes[path].index
            elif mode == "120000":
                tree[path] = (mode, self._link_target(path))
            else:
                regular[path] = mode
        plain = self._plain([*regular], changes)
        tree |= {path: (regular[path], data) for path, data in plain.items()}
        filtered = [path for path in regular if path not in plain]
        for path, oid in self._blobs(filtered, changes).items():
            tree[path] = Entry(regular[path], oid)
        return {
            path: value
            for path, value in tree.items()
            if self._as_entry(value, heads.get(path)) != heads.get(path)
        }

    def export(self, rev: str, paths: Sequence[str], folder: Path) -> None:
        """Write files of a revision below `folder`, filters applied as in a checkout."""
        if not paths:
            return
        env = {"GIT_INDEX_FILE": str(folder / ".nbexp-index")}
        self.run("read-tree", self._oid(f"{rev}^{{tree}}"), env=env)
        lines = b"".join(os.fsencode(path) + b"\0" for path in paths)
        prefix = f"--prefix={folder}{os.sep}"
        self.run("checkout-index", "-z", "--stdin", prefix, stdin=lines, env=env)
        (folder / ".nbexp-index").unlink()

    # Writing commits and refs.

    def commit(
        self,
        *commits: NewCommit,
        resets: Sequence[tuple[str, str]] = (),
        one_by_one: bool = False,
        beside: Beside | None = None,
        fence: Callable[[Sequence[str]], None] | None = None,
    ) -> list[str]:
        """Make commits, then set all their refs and the `resets` (ref, rev) or none of them.

        HEAD, index, work tree and stash are not involved; no hook runs and nothing is signed.
        Objects and refs are on the disk when it returns. Killed half-way, it leaves at most objects
        without a name, which Git collects in time.

        Parameters
        ----------
        one_by_one
            New refs need not appear together: one process fewer, and when it is killed, or one of
            them was taken meanwhile, the others may be there.
        beside
            One more commit, made of the revs of these, whose ref is set before theirs: see `Beside`.
        fence
            Called with the revs when the commits are on disk and nothing has a name yet; where it raises,
            nothing gets one.

        Returns
        -------
        list of str
            The revs, in the order of `commits`.

        Raises
        ------
        GitError
            A ref is not what was expected, maybe as another process was faster, or a revision or
            object is missing. No ref has moved, but for `one_by_one`.

        Notes
        -----
        A few small files are written as loose objects, and new refs or a single ref as files, without
        a process.
        Else one `git fast-import` writes whatever there is. It also sets the ref if it is a single
        new one: it refuses to where the ref has come to hold a commit that the new one does not
        contain, so of two racing writers one loses. All else is a transaction of a second process,
        `git update-ref`, because fast-import moves several refs one after the other, and takes no
        expected value. Less than a hundred objects end up loose (fast-import unpacks them itself),
        more as a pack; `git cat-file` finds both while it runs.
        """
        moves: dict[str, tuple[str, str | None]] = {}  # ref -> what it becomes, what it must be
        for number, new in enumerate(commits, 1):
            if new.ref is not None:
                expect = moves[new.ref][1] if new.ref in moves else new.expect
                moves[new.ref] = (f":{number}", expect)
        moves.update((ref, (rev, "any")) for ref, rev in resets)
        check_refs(moves)
        seen = {ref: self._seen(ref) for ref in moves}
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
        written = self._write(commits, beside)
        extra: NewCommit | None = None
        if written is None:
            direct_import = direct and beside is None and fence is None
            revs = self._import(commits, direct=direct_import)
        else:
            direct_import = False
            revs, extra = written
        if fence is not None:
            fence(revs[: len(commits)])
        made: set[str] = set()
        if direct_import:
            made = {*moves}
        if beside is not None:
            made = self._set_beside(beside, commits if direct else (), revs, extra)
        if direct and not made:
            made = self._create_refs(commits, revs)
        if len(moves) == 1 and not made:
            made = {
                ref
                for ref, (rev, old) in moves.items()
                if rev == ":1" and old is not None and self._replace_ref(ref, revs[0], old)
            }
        moves = {ref: move for ref, move in moves.items() if ref not in made}
        if moves:
            marks = {f":{number}": rev for number, rev in enumerate(revs, 1)}
            self.update_refs(
                [(ref, marks.get(rev) or self._oid(rev), old) for ref, (rev, old) in moves.items()]
            )
        return revs

    def advance(self, make: Callable[[], NewCommit | None]) -> str | None:
        """Set a ref to a commit made of what it holds, however many do so at once; its rev.

        Parameters
        ----------
        make
            The commit, its `expect` being what the ref was found at; None: there is nothing to change.
            Called again when another process was faster.

        Raises
        ------
        GitError
            The ref stayed locked for ten seconds, or it cannot be written. It has not moved.
        """
        last_s = time.monotonic() + _PATIENCE_S
        while True:
            new = make()
            if new is None or new.ref is None:
                return None
            try:
                return self.commit(new)[0]
            except GitError:
                lock = self.common / f"{new.ref}.lock"
                busy = lock.exists()
                if busy and _age_s(lock) > _STALE_S:
                    # Git holds it for milliseconds: whoever made this one was killed.
                    lock.unlink(missing_ok=True)
                    continue
                if time.monotonic() > last_s or (not busy and self.resolve(new.ref) == new.expect):
                    raise
            # Not all at the same moment again; `random` takes 3 ms to load.
            time.sleep(os.urandom(1)[0] / 12_800)

    def update_refs(self, changes: Sequence[tuple[str, str | None, str | None]]) -> None:
        """Set or delete refs, all or none: (ref, new, old) each.

        `new` None deletes the ref. `old` None: it must not be there (a ref to be deleted may be
        anything); a full hex rev: it must be that; "any": whatever it is.

        Raises
        ------
        GitError
            A ref is not at its `old`, or is locked. No ref has moved.
        """
        if not changes:
            return
        check_refs(ref for ref, _, _ in changes)
        orders = []
        for ref, new, old in changes:
            known = "" if old in (None, "any") else old
            if new is None:
                orders.append(f"delete {ref}\0{known}\0")
            elif old is None:
                orders.append(f"create {ref}\0{new}\0")
            else:
                orders.append(f"update {ref}\0{new}\0{known}\0")
        try:
            self.run("update-ref", "-z", "--stdin", stdin=os.fsencode("".join(orders)))
        except GitError:
            for ref, new, old in changes:
                unchecked = old == "any" or (new is None and old is None)
                if not unchecked and (seen := self._seen(ref)) not in (old, UNKNOWN):
                    raise moved(ref, seen) from None
            raise

    def create_branch(self, name: str, rev: str) -> None:
        """A new branch `name` at `rev`; HEAD stays where it is.

        Raises
        ------
        GitError
            The branch exists, Git allows no such name, or `rev` is no commit.
        """
        if name.startswith("-") or name == "HEAD":
            raise GitError(f"`{name}` cannot be the name of a branch.")
        self.update_refs([(f"refs/heads/{name}", self.resolve(rev) or _no_commit(rev), None)])

    def is_branch_name(self, name: str) -> bool:
        """Whether Git allows a branch of that name."""
        if not name or name.startswith("-") or name == "HEAD" or "\0" in name:
            return False
        try:
            self.run("check-ref-format", f"refs/heads/{name}")
        except GitError:
            return False
        return True

    def commit_paths(self, paths: Sequence[str], message: str) -> str:
        """Commit just these paths, as they are on disk, on the current branch; the new rev.

        What else the user has staged stays staged. No hook runs, nothing is signed, ignore rules
        do not matter, and nothing to commit is no error: HEAD's rev comes back.

        Raises
        ------
        GitError
            A path neither exists nor is tracked, a merge is under way, or the index stays locked.
        """
        if not paths:
            return self.head() or _no_commit("HEAD")
        author, committer = self.identity("author"), self.identity("committer")
        env = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
        }
        self._wait_for_index()
        self.run("--literal-pathspecs", "add", "--force", "--", *paths)
        self._wait_for_index()
        try:
            self.run(
                "-c", "i18n.commitEncoding=UTF-8",
                "--literal-pathspecs", "commit", "--quiet", "--only", "--no-verify",
                "--no-gpg-sign", "--allow-empty-message", "--cleanup=verbatim", "--file=-",
                "--", *paths, stdin=message.encode(), env=env,
            )  # fmt: skip
        except GitError:
            changed = self.run("--literal-pathspecs", "status", "--porcelain", "--", *paths)
            if changed:
                raise
        return self.head() or _no_commit("HEAD")

    def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        allowed: Collection[int] = (0,),
    ) -> bytes:
        """What one Git command prints, run at the top of the work tree under this door's rules.

        Put `--end-of-options` or `--` before text that a user typed.

        Raises
        ------
        GitError
            It ended with an exit code that is not `allowed`.
        """
        return run(self.root, arguments, stdin=stdin, env=env, allowed=allowed)

    # What the public methods share.

    def _oid(self, rev: str) -> str:
        found = self.info(rev)
        return found[0] if found else _no_commit(rev)

    def _named(self, tree: str, name: str, folder: str) -> Iterator[str]:
        for entry, mode, oid in self._trees[tree]:
            if mode == "40000":
                yield from self._named(oid, name, f"{folder}{entry}/")
            elif mode != "160000" and (
                entry == name or (name[0] == "*" and entry.endswith(name[1:]) and entry != name[1:])
            ):
                yield folder + entry

    def _refs_in_files(self, prefixes: Sequence[str]) -> dict[str, str] | None:
        """What `refs` answers, None where it takes Git to tell."""
        if (self.common / "reftable").is_dir() or any(ref.startswith(OWN) for ref in prefixes):
            return None
        # Loose refs first: who packs them writes the pack before it takes them away.
        loose: dict[str, str] = {}
        for prefix in prefixes:
            if not read_loose(self.common, prefix.rstrip("/"), loose):
                return None
        try:
            packed = (self.common / "packed-refs").read_bytes()
        except FileNotFoundError:
            packed = b""
        found: dict[str, str] = {}
        for prefix in prefixes:
            found.update(packed_refs(packed, prefix.rstrip("/")))
        is_sorted = len(prefixes) == 1 and not loose and b" sorted" in packed[:80]
        found |= loose
        # Ten thousand experiments are not looked through for tags.
        hold_tags = [p for p in prefixes if "refs/tags/".startswith(p) or p.startswith("refs/tags")]
        tags = [ref for ref in found if ref.startswith("refs/tags/")] if hold_tags else []
        peeled = self._objects.ask("info", [f"{found[tag]}^{{}}" for tag in tags]) if tags else []
        found.update((tag, one.oid) for tag, one in zip(tags, peeled, strict=True) if one)
        return found if is_sorted else dict(sorted(found.items()))

    def _seen(self, ref: str) -> str | None:
        """What the ref holds, None if it is not there, `UNKNOWN` where only Git can tell.

        Not asked of cat-file: to that, a name that ends in `-gabc1234` means commit abc1234.
        """
        if ref.startswith(OWN) or (self.common / "reftable").is_dir():
            return UNKNOWN
        try:
            text = (self.common / ref).read_text(encoding="ascii").strip()
            return text if is_oid(text) else UNKNOWN
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            pass
        except (OSError, ValueError):
            return UNKNOWN
        try:
            packed = (self.common / "packed-refs").read_bytes()
        except FileNotFoundError:
            return None
        end = packed.find(b" " + os.fsencode(ref) + b"\n")
        return packed[packed.rfind(b"\n", 0, end) + 1 : end].decode() if end >= 0 else None

    def _set_beside(
        self,
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
                    first = self._replacement(written.ref, rev, written.expect)
                    made = self._create_refs(commits, revs, first) if first is not None else set()
                    if first is not None and first.is_set:
                        return made
                elif self._seen(written.ref) is None and written.ref in self._create_refs(
                    [written], [rev]
                ):
                    return set()
            self.advance(lambda: beside.make(revs))
        except GitError as error:
            beside.failed(error)
        return set()

    def _replace_ref(self, ref: str, new: str, old: str) -> bool:
        """Whether the ref could be set from `old` to `new` without Git."""
        first = self._replacement(ref, new, old)
        if first is not None:
            self._create_refs((), (), first)
        return first is not None and first.is_set

    def _replacement(self, ref: str, new: str, old: str) -> loose.Replacement | None:
        """The ref set from `old` to `new`, None where that is Git's to do."""
        from nbexp.git import loose

        # Of these Git keeps a log, which it begins itself; of others where there is one already.
        if ref.startswith(("refs/heads/", "refs/remotes/", *OWN)) or not is_oid(old):
            return None
        if not all(map(is_simple, ref.split("/"))) or (self.common / "reftable").is_dir():
            return None
        if self.config().get("core.logallrefupdates", "").lower() == "always":
            return None
        who = self.identity("committer")
        log = self.common / "logs" / ref
        line = f"{old} {new} {_signed(who, int(time.time()))}\n" if log.is_file() else None
        return loose.Replacement(ref, new, lambda: self._seen(ref) == old, line)

    def _write(
        self, commits: Sequence[NewCommit], beside: Beside | None = None
    ) -> tuple[list[str], NewCommit | None] | None:
        """The revs of these commits, written as loose objects; None where that is Git's to do.

        The commit beside them comes as well, and its rev as the last.
        """
        from nbexp.git import loose  # hashlib and zlib take 4 ms, which who only reads can save

        files = [value for new in commits for value in new.files.values()]
        size = sum(len(_data_of(value)) for value in files)
        config = self.config()
        if len(files) > _FEW or size > _SMALL_BYTES or "core.sharedrepository" in config:
            return None
        digest = config.get("extensions.objectformat", "sha1")
        writer = loose.Writer(self.common / "objects", digest)
        # An id that names nothing would make a commit that nobody can check out.
        known = [
            value.oid for value in files if isinstance(value, Entry) and value.mode != "160000"
        ]
        if None in self._objects.ask("info", known):
            return None
        identities = (self.identity("author"), self.identity("committer"))
        revs: list[str] = []
        extra = None
        try:
            for new in commits:
                # Of a commit that is only now being made there is no object to read a tree from.
                if new.base is not None and not _is_rev(new.base):
                    return None
                revs.append(self._write_one(new, revs, identities, writer))
            try:
                extra = beside.make(revs) if beside is not None else None
            except GitError:
                extra = None  # found again, and told, when the others are safe
            if extra is not None:
                revs.append(self._write_one(extra, revs, identities, writer))
            writer.flush(self._objects.learn)
        except (loose.NotSimple, OSError):
            return None
        return revs, extra

    def _write_one(
        self,
        new: NewCommit,
        made: Sequence[str],
        identities: tuple[Identity, Identity],
        writer: loose.Writer,
    ) -> str:
        from nbexp.git import loose

        time_s = int(time.time()) if new.time_s is None else new.time_s
        base = self._tree_of(new.base) if new.base else None
        tree = loose.tree(base, _entries_of(new.files, writer), self._entries, writer)
        signed = [loose.Signature(who.name, who.email, time_s, _zone(time_s)) for who in identities]
        parent = self._parent(new.parent, made)
        return loose.commit(tree, parent, (signed[0], signed[1]), new.message, writer)

    def _tree_of(self, rev: str) -> str:
        try:
            return self.commits([rev])[0].tree
        except GitError:  # a tree may be a base as well
            return self._oid(f"{rev}^{{tree}}")

    def _parent(self, parent: str | None, made: Sequence[str]) -> str | None:
        if parent is None:
            return None
        if _is_rev(parent):
            return self.commits([parent])[0].rev
        number = int(parent.removeprefix(":"))
        return made[number - 1] if 0 < number <= len(made) else _no_commit(f"mark {parent}")

    def _entries(self, oid: str) -> list[tuple[str, str, str]]:
        """The entries of a tree, which is read once; not kept with those whose folders are read as well."""
        return self.entries([oid])[0]

    def _create_refs(
        self,
        commits: Sequence[NewCommit],
        revs: Sequence[str],
        first: loose.Replacement | None = None,
    ) -> set[str]:
        """The new refs that could be made without Git, the last one first; `first` is set before."""
        from nbexp.git import loose

        if self.config().get("core.logallrefupdates", "").lower() == "always":
            return set()
        pairs = reversed([*zip(commits, revs if commits else (), strict=True)])
        refs = {new.ref or "": rev for new, rev in pairs}
        if not all(is_simple(part) for ref in refs for part in ref.split("/")):
            return set()
        return loose.create_refs(self.common, refs, first)

    def _import(self, commits: Sequence[NewCommit], *, direct: bool) -> list[str]:
        wanted = {f"{new.parent}^{{commit}}" for new in commits if _is_rev(new.parent)}
        wanted |= {f"{new.base}^{{tree}}" for new in commits if _is_rev(new.base)}
        specs = sorted(wanted)
        found = self._objects.ask("info", specs)
        known = {
            spec: one or _no_commit(spec.rpartition("^")[0])
            for spec, one in zip(specs, found, strict=True)
        }
        author, committer = self.identity("author"), self.identity("committer")
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
                tree = known.get(f"{new.base}^{{tree}}") or _no_commit(new.base)
                # The empty tree may not be there as an object, and is not written when it is named.
                out.append(f'M 040000 {tree.oid} ""\n'.encode() if tree.size else b"deleteall\n")
            out.extend(_file_commands(new.files))
            out.append(b"\n")
        if not direct:
            out.append(b"reset %s\n\n" % _SCRATCH)  # a branch without a commit is not written
        out.extend(b"get-mark :%d\n" % number for number in range(1, len(commits) + 1))
        out.append(b"done\n")
        process = spawn(self.root, ["fast-import", "--quiet", "--done", "--date-format=raw"])
        printed, errors = talk(process, b"".join(out))
        revs = printed.decode("ascii").split()
        if process.returncode == 0 and len(revs) == len(commits):
            return revs
        (self.folder / f"fast_import_crash_{process.pid}").unlink(missing_ok=True)
        made = {new.ref: rev for new, rev in zip(commits, revs, strict=False) if new.ref and direct}
        for name, rev in made.items():
            if (seen := self._seen(name)) not in (rev, None, UNKNOWN):
                raise moved(name, seen)
        raise refused(["fast-import"], errors)

    def _extra_modes(
        self, extra: Iterable[str], changes: Mapping[str, Change], head: str | None
    ) -> dict[str, str]:
        """Modes of the files in `extra` that neither HEAD nor `git add -u` accounts for."""
        found: dict[str, os.stat_result] = {}
        for path in extra:
            normal = os.path.normpath(path).replace(os.sep, "/")
            if os.path.isabs(normal) or normal.split("/")[0] == "..":
                raise GitError(f"`{path}` is outside of the repository {self.root}.")
            if self._is_own(normal):
                found.update(self._files(normal))
        for path, change in changes.items():
            if change.worktree != "same" or change.index is not None:
                found.pop(path, None)
        if not found:
            return {}
        known = self._listed(head, {path.rpartition("/")[0] for path in found}) if head else set()
        modes = {}
        for path, info in found.items():
            # In HEAD and not changed is clean; in HEAD and changed is deleted in the index only.
            if path not in known or path in changes:
                modes[path] = "120000" if stat.S_ISLNK(info.st_mode) else "100644"
                if modes[path] == "100644" and info.st_mode & 0o100 and self._trusts_modes():
                    modes[path] = "100755"
        return modes

    def _trusts_modes(self) -> bool:
        return os.name != "nt" and self.config().get("core.filemode") != "false"

    def _files(self, path: str) -> Iterator[tuple[str, os.stat_result]]:
        """The file, or the files below the folder; not those of a repository inside."""
        try:
            info = os.lstat(self.root / path)
        except (OSError, ValueError):
            return
        if stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode):
            yield path, info
        elif stat.S_ISDIR(info.st_mode) and (path == "." or not self._has_git(path)):
            for name in sorted(os.listdir(self.root / path)):
                if name != ".git":
                    yield from self._files(name if path == "." else f"{path}/{name}")

    def _listed(self, rev: str, folders: Collection[str]) -> set[str]:
        """Paths of the files that lie directly in these folders of the revision's tree."""
        ordered = sorted(folders)
        trees = self._objects.ask("contents", [f"{rev}:{folder}" for folder in ordered])
        listed: set[str] = set()
        for folder, tree in zip(ordered, trees, strict=True):
            if tree and tree.kind == "tree":
                entries = tree_entries(tree.data, len(rev) // 2)
                top = f"{folder}/" if folder else ""
                listed.update(top + name for name, mode, _ in entries if mode != "40000")
        return listed

    def _plain(self, paths: Sequence[str], changes: Mapping[str, Change]) -> dict[str, bytes]:
        """The bytes of those small files that `git add` would store as they are."""
        if not paths or any(path.rpartition("/")[2] == ".gitattributes" for path in changes):
            return {}
        found: dict[str, bytes] = {}
        left = _SMALL_BYTES
        plain_folders: dict[str, bool] = {"": self._has_no_filters()}
        for path in paths:
            size = self._size(path)
            if 0 <= size <= left and self._is_plain(path.rpartition("/")[0], plain_folders):
                found[path] = (self.root / path).read_bytes()
                left -= len(found[path])
        return found

    def _has_no_filters(self) -> bool:
        """Whether nothing that holds for all files changes their bytes on the way into Git."""
        config = self.config()
        if {"core.autocrlf", "core.attributesfile"} & config.keys() or sys.platform == "win32":
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
                self.common / "info" / "attributes",
                self.root / ".gitattributes",
            )
        )

    def _is_plain(self, folder: str, known: dict[str, bool]) -> bool:
        if folder not in known:
            above = self._is_plain(folder.rpartition("/")[0], known)
            known[folder] = above and not os.path.lexists(self.root / folder / ".gitattributes")
        return known[folder]

    def _blobs(self, paths: list[str], changes: Mapping[str, Change]) -> dict[str, str]:
        """Blob ids by path, written, as `git add` would make them.

        `git add` leaves line ends alone under `text=auto` if the blob in the index has CRLF; that
        rule needs the index, which hash-object does not read (2.39). So where the blob came out
        with another size than the file and the old blob has CRLF, a copy of the index is asked.
        """
        oids = dict(zip(paths, self.hash_files(paths, write=True), strict=True))
        odd = {}
        for path, blob in zip(paths, self._objects.ask("info", list(oids.values())), strict=True):
            old = changes[path].index if path in changes else None
            if blob and old and old.mode != "120000" and blob.size != self._size(path):
                odd[path] = old.oid
        for path, data in zip(list(odd), self.read_many(list(odd.values())), strict=True):
            if b"\r\n" not in (data or b""):
                del odd[path]
        return oids | self._index_blobs(list(odd)) if odd else oids

    def _index_blobs(self, paths: list[str]) -> dict[str, str]:
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory(prefix="nbexp-", dir=self.folder) as folder:
            index = Path(folder) / "index"
            shutil.copy2(self.folder / "index", index)  # Git tells racy files by its time
            env = {"GIT_INDEX_FILE": str(index)}
            self.run("update-index", "-z", "--stdin", stdin=_lines(paths), env=env)
            out = self.run("ls-files", "--stage", "-z", env=env)
        staged = (os.fsdecode(line).split("\t", 1) for line in out.split(b"\0")[:-1])
        wanted = set(paths)
        return {path: meta.split(" ")[1] for meta, path in staged if path in wanted}

    def _as_entry(
        self, value: Entry | tuple[str, bytes] | None, head: Entry | None
    ) -> Entry | None:
        if not isinstance(value, tuple):
            return value
        mode, data = value
        return Entry(mode, _blob_id(data, "sha256" if head and len(head.oid) == 64 else "sha1"))

    def _submodule(self, path: str) -> Entry | None:
        inner = Git.find(self.root / path) if self._has_git(path) else None
        rev = inner.head() if inner else None
        if inner:
            inner.close()
        return Entry("160000", rev) if rev else None

    def _link_target(self, path: str) -> bytes:
        full = self.root / path
        # Where the file system has no links (core.symlinks=false) the file holds the target.
        return os.fsencode(os.readlink(full)) if full.is_symlink() else full.read_bytes()

    def _size(self, path: str) -> int:
        try:
            return os.stat(self.root / path).st_size
        except OSError:
            return -1

    def _has_git(self, path: str) -> bool:
        return os.path.lexists(self.root / path / ".git")

    def _is_own(self, path: str) -> bool:
        """Whether Git would say something about the path, and not stop at it.

        It stops all paths at one that is empty, outside, behind a link or in another repository.
        """
        parts = path.rstrip("/").split("/")
        if not {"", "..", ".git"}.isdisjoint(parts) or "\0" in path or os.path.isabs(path):
            return False
        parents = ["/".join(parts[:count]) for count in range(1, len(parts))]
        return not any(
            os.path.islink(self.root / parent) or self._has_git(parent) for parent in parents
        )

    def _wait_for_index(self) -> None:
        """Git retries a locked ref itself, but not a locked index."""
        lock = self.folder / "index.lock"
        for _ in range(20):
            if not lock.exists():
                return
            time.sleep(0.1)

    def _config_stamp(self, files: Iterable[str]) -> object:
        home = os.path.expanduser("~")
        xdg = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
        root, folder = os.fspath(self.root), os.fspath(self.folder)
        places = (
            *(os.path.join(root, file) for file in files),
            f"{folder}/HEAD",  # `includeIf "onbranch:…"`
            f"{folder}/config.worktree",
            f"{os.fspath(self.common)}/config",
            f"{home}/.gitconfig",
            f"{xdg}/git/config",
            os.environ.get("GIT_CONFIG_GLOBAL", ""),
            os.environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig"),
        )
        return [(place, file_stamp(place)) for place in dict.fromkeys(places)]


_PATIENCE_S = 10.0


_STALE_S = 60.0


def _age_s(path: Path) -> float:
    """The seconds since the file was changed; 0 where it is gone."""
    stamp = file_stamp(str(path))
    return 0.0 if stamp is None else time.time() - stamp[0] / 1e9


_MANY_TREES = 500  # kept in memory by a session that goes on for days


_FEW = 100  # files; from there on a pack is better than as many loose objects


_SMALL_BYTES = 16 << 20  # held in memory


_SCRATCH = b"refs/nbexp/scratch"  # a branch inside one fast-import; never a ref


def _no_commit(rev: str) -> NoReturn:
    raise GitError(f"The repository has no revision `{rev}`.")


def _is_repository(folder: Path) -> bool:
    return os.path.lexists(folder / "HEAD") and (_common(folder) / "objects").is_dir()


def _linked(link: Path) -> Path:
    """Where a `.git` file of a work tree or submodule points to."""
    text = os.fsdecode(link.read_bytes()).strip()
    folder = Path(os.path.normpath(link.parent / text.removeprefix("gitdir: ")))
    if not text.startswith("gitdir: ") or not _is_repository(folder):
        raise GitError(
            f"{link} points to {folder}, where there is no Git repository.",
            "`git worktree repair` in the main work tree mends links after a move.",
        )
    return folder


def _common(folder: Path) -> Path:
    try:
        text = os.fsdecode((folder / "commondir").read_bytes()).strip()
    except OSError:
        return folder
    return Path(os.path.normpath(folder / text))


def _change(line: str) -> Change:
    """A line of `git status --porcelain=v2` for a tracked path."""
    if line.startswith("u "):
        # u <XY> <sub> <3 modes> <mode on disk> <3 ids> <path>: stage 2 is ours
        _, state, _, _, ours, _, mode, _, oid, _, path = line.split(" ", 10)
        return Change(
            path,
            head=_entry(ours, oid),
            index=None,
            worktree="modified" if _exists(mode) else "deleted",
            unmerged=True,
            mode=mode if _exists(mode) else None,
        )
    # 1 <XY> <sub> <mode in HEAD> <in the index> <on disk> <id in HEAD> <in the index> <path>
    _, state, _, head_mode, index_mode, mode, head, index, path = line.split(" ", 8)
    return Change(
        path,
        head=_entry(head_mode, head),
        index=_entry(index_mode, index),
        worktree=_WORKTREE.get(state[1], "modified"),
        mode=mode if _exists(mode) else None,
    )


_WORKTREE: dict[str, Literal["same", "modified", "deleted", "type"]] = {
    ".": "same",
    "D": "deleted",
    "T": "type",
}


def _exists(mode: str) -> bool:
    return mode != "000000"


def _entry(mode: str, oid: str) -> Entry | None:
    return Entry(mode, oid) if _exists(mode) else None


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
    return _quoted(os.fsencode(path))


def _quoted(name: bytes) -> bytes:
    escaped = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"%s"' % escaped


@cache
def _program() -> str | None:
    """Where Git is."""
    import shutil

    return shutil.which("git")


def _lines(paths: Iterable[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _slashes(path: str) -> Iterator[int]:
    at = path.find("/")
    while at >= 0:
        yield at
        at = path.find("/", at + 1)


def _is_rev(rev: str | None) -> bool:
    """Whether it has to be looked up; ":1" is a commit that is yet to be made."""
    return rev is not None and not (rev[:1] == ":" and rev[1:].isascii() and rev[1:].isdigit())


def _ident(text: str) -> str:
    """A name or address as Git stores it: without what would end the field, crud at its ends."""
    kept = "".join(letter for letter in text if letter not in "\0\n<>")
    return kept.strip(" .,:;\"\\'\t\r")


def _signed(who: Identity, time_s: int) -> str:
    return f"{who.name} <{who.email}> {time_s} {_zone(time_s)}"


def _zone(time_s: int) -> str:
    return time.strftime("%z", time.localtime(time_s)) or "+0000"


def _blob_id(data: bytes, digest: str) -> str:
    import hashlib

    return hashlib.new(digest, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
