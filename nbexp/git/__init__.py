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
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from nbexp.errors import GitError
from nbexp.git.cat_file import Objects, blob_id, commit_info, tree_entries
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
from nbexp.git.process import (
    Counted,
    end,
    file_stamp,
    lines,
    no_commit,
    quoted,
    run,
    spawn,
)
from nbexp.git.ref_files import (
    OWN,
    UNKNOWN,
    check_refs,
    is_oid,
    moved,
    packed_refs,
    read_loose,
)

if TYPE_CHECKING:
    from git import Repo


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
        self.objects = Objects(root)
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
            taken instead: commits would end up in the wrong one. Or Git is set up to look for the
            files elsewhere, and would find all that are here deleted.
        """
        start = path.resolve()
        for root in (start, *start.parents):
            link = root / ".git"
            if link.is_file() or _is_repository(link):
                found = cls(root, _linked(link) if link.is_file() else link)
                found._check_place()
                return found
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
        self.objects.close()
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
        seen = self.seen(ref)
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
        found = self.objects.ask("info", [spec])[0]
        return (found.oid, found.kind, found.size) if found else None

    def read(self, spec: str) -> bytes | None:
        """The bytes of an object: "<rev>:<path>" or an id; None if there is no such object or it is a folder.

        Specs that read the index (":path") answer for the index as it was when first asked.
        """
        return self.read_many([spec])[0]

    def read_many(self, specs: Sequence[str]) -> list[bytes | None]:
        """As `read`, for each of many, in their order; questions and answers overlap."""
        found = self.objects.ask("contents", specs)
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
        found = self.objects.ask("contents", [f"{rev}^{{commit}}" for rev in unknown])
        fresh = {
            rev: commit_info(commit) if commit else no_commit(rev)
            for rev, commit in zip(unknown, found, strict=True)
        }
        self._commits.update({rev: info for rev, info in fresh.items() if is_oid(rev)})
        return [self._commits.get(rev) or fresh[rev] for rev in revs]

    def info_many(self, specs: Sequence[str]) -> list[tuple[str, str, int] | None]:
        """As `info`, for each of many, in their order."""
        found = self.objects.ask("info", specs)
        return [(one.oid, one.kind, one.size) if one else None for one in found]

    def paths_named(self, revs: Sequence[str], name: str) -> dict[str, list[str]]:
        """For each revision the paths of its files called `name`, sorted; `*.dvc` is all that end so.

        Trees that revisions share are read once, and none twice in the life of this object, so that
        experiments of one baseline cost little more than the baseline.
        """
        roots = self.objects.ask("info", [f"{rev}^{{tree}}" for rev in revs])
        todo = {root.oid for root in roots if root} - self._trees.keys()
        while todo:
            ordered = sorted(todo)
            trees = self.objects.ask("contents", ordered)
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
            found = self.objects.ask("contents", trees)
            return [
                tree_entries(tree.data if tree else b"", len(oid) // 2)
                for oid, tree in zip(trees, found, strict=True)
            ]
        read = self.objects.ask("contents", fresh) if fresh else []
        for oid, tree in zip(fresh, read, strict=True):
            known[oid] = tree_entries(tree.data if tree else b"", len(oid) // 2)
        return [known[oid] for oid in trees]

    def hash_bytes(self, data: bytes) -> str:
        """The id a blob of these bytes has in this repository."""
        return blob_id(data, self.config().get("extensions.objectformat", "sha1"))

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
        # Git's own peeling opens every object: with one that is lost there would be no answer at all.
        out = self.run("for-each-ref", "--format=%(objectname) %(refname)", *prefixes)
        refs = {}
        for line in os.fsdecode(out).splitlines():
            oid, name = line.split(" ", 1)
            refs[name] = oid
        self._peel(refs, prefixes)
        return refs

    def tree(self, rev: str, *, prefix: str = "") -> dict[str, Entry]:
        """Every file below a revision or tree by path; `prefix` keeps one file or folder of it."""
        found = self.info(f"{rev}^{{tree}}")
        if found is None:
            no_commit(rev)
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
        asked = [path for path in paths if self.is_own(path)]
        if not asked:
            return set()
        out = self.run("check-ignore", "-z", "--stdin", stdin=lines(asked), allowed=(0, 1))
        return {os.fsdecode(path) for path in out.split(b"\0")[:-1]}

    def is_tracked(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths` that are in the index, or are folders of files in the index."""
        asked = [path for path in paths if self.is_own(path)]
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
        lines = b"".join((quoted(n) if n[:1] == b'"' or b"\n" in n else n) + b"\n" for n in names)
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
        from nbexp.git import snapshot

        return snapshot.files(self, status, extra)

    def export(self, rev: str, paths: Sequence[str], folder: Path) -> None:
        """Write files of a revision below the empty `folder`, filters applied as in a checkout of it."""
        if not paths:
            return
        env = {"GIT_INDEX_FILE": str(folder / ".nbexp-index")}
        self.run("read-tree", self.oid(f"{rev}^{{tree}}"), env=env)
        # Attributes are looked for in the work tree first, and only then in the index: the user's own are
        # those of another revision.
        env |= {"GIT_DIR": str(self.folder), "GIT_WORK_TREE": str(folder)}
        names = b"".join(os.fsencode(path) + b"\0" for path in paths)
        self.run("checkout-index", "-z", "--stdin", stdin=names, env=env)
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
        from nbexp.git import writing

        return writing.commit(self, commits, resets, beside, fence, one_by_one=one_by_one)

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
                # Of a ref that stands for another, the ref itself is meant, and not the other.
                orders.append(f"option no-deref\0delete {ref}\0{known}\0")
            elif old is None:
                orders.append(f"create {ref}\0{new}\0")
            else:
                orders.append(f"update {ref}\0{new}\0{known}\0")
        try:
            self.run("update-ref", "-z", "--stdin", stdin=os.fsencode("".join(orders)))
        except GitError:
            for ref, new, old in changes:
                unchecked = old == "any" or (new is None and old is None)
                if not unchecked and (seen := self.seen(ref)) not in (old, UNKNOWN):
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
        self.update_refs([(f"refs/heads/{name}", self.resolve(rev) or no_commit(rev), None)])

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
            A path neither exists nor is tracked, a merge or its like is under way, or the index stays locked.
        """
        if not paths:
            return self.head() or no_commit("HEAD")
        # Git itself stops at some of these, and not before the index has the paths.
        for mark, (what, verb) in _UNDER_WAY.items():
            if (self.folder / mark).exists():
                raise GitError(
                    f"A {what} is under way, in which nothing can be committed. Nothing was changed.",
                    f"finish it first, or leave it: `git {verb}`.",
                )
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
        return self.head() or no_commit("HEAD")

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

    def worktree(
        self,
        *arguments: str,
        allowed: Collection[int] = (0,),
        before: Callable[[], object] = lambda: None,
    ) -> bytes:
        """What a `git worktree …` prints; put again while another process is making a work tree.

        Git (2.39) looks at all of them, and stops at one whose files are not all written: "failed to read
        .git/worktrees/2/commondir". `before` is called before each time.
        """
        last_s = time.monotonic() + _MAKING_S
        while True:
            before()
            try:
                return self.run("worktree", *arguments, allowed=allowed)
            except GitError as error:
                if "/commondir" not in error.message or time.monotonic() > last_s:
                    raise
            time.sleep(0.02)

    # What the public methods share.

    def oid(self, rev: str) -> str:
        found = self.info(rev)
        return found[0] if found else no_commit(rev)

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
        self._peel(found, prefixes)
        return found if is_sorted else dict(sorted(found.items()))

    def _peel(self, refs: dict[str, str], prefixes: Sequence[str]) -> None:
        """Put what they tag in the place of the tags among them."""
        # Ten thousand experiments are not looked through for tags.
        hold_tags = [p for p in prefixes if "refs/tags/".startswith(p) or p.startswith("refs/tags")]
        if prefixes and not hold_tags:
            return
        tags = [ref for ref in refs if ref.startswith("refs/tags/")]
        peeled = self.objects.ask("info", [f"{refs[tag]}^{{}}" for tag in tags]) if tags else []
        refs.update((tag, one.oid) for tag, one in zip(tags, peeled, strict=True) if one)

    def seen(self, ref: str) -> str | None:
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

    def has_git(self, path: str) -> bool:
        return os.path.lexists(self.root / path / ".git")

    def is_own(self, path: str) -> bool:
        """Whether Git would say something about the path, and not stop at it.

        It stops all paths at one that is empty, outside, behind a link or in another repository.
        """
        parts = path.rstrip("/").split("/")
        if not {"", "..", ".git"}.isdisjoint(parts) or "\0" in path or os.path.isabs(path):
            return False
        parents = ["/".join(parts[:count]) for count in range(1, len(parts))]
        return not any(
            os.path.islink(self.root / parent) or self.has_git(parent) for parent in parents
        )

    def _check_place(self) -> None:
        """That Git looks for the files here; a linked work tree heeds no setting that says otherwise."""
        if self.folder != self.common:
            return
        try:
            text = os.fsdecode((self.folder / "config").read_bytes())
        except OSError:
            return
        # In a submodule the setting is always there, and leads here: no process for that.
        if not any(self._leads_away(place) for place in _WORK_TREE.findall(text)):
            return
        place = self.config().get("core.worktree", "")
        if place and self._leads_away(place):
            raise GitError(
                f"By `core.worktree` the files of {self.folder} are not in {self.root} but in {place}.",
                "`git config --unset core.worktree`, or work there.",
            )

    def _leads_away(self, place: str) -> bool:
        return os.path.realpath(os.path.join(os.path.realpath(self.folder), place)) != str(
            self.root
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


_WORK_TREE = re.compile(r"^\s*worktree\s*=\s*(.*?)\s*$", re.IGNORECASE | re.MULTILINE)

_UNDER_WAY = {
    "MERGE_HEAD": ("merge", "merge --abort"),
    "CHERRY_PICK_HEAD": ("cherry-pick", "cherry-pick --abort"),
    "REVERT_HEAD": ("revert", "revert --abort"),
    "rebase-merge": ("rebase", "rebase --abort"),
    "rebase-apply": ("rebase", "rebase --abort"),
    "BISECT_LOG": ("bisection", "bisect reset"),
}

_PATIENCE_S = 10.0
_MAKING_S = 3.0  # Git writes the files of a work tree within milliseconds


_STALE_S = 60.0


def _age_s(path: Path) -> float:
    """The seconds since the file was changed; 0 where it is gone."""
    stamp = file_stamp(str(path))
    return 0.0 if stamp is None else time.time() - stamp[0] / 1e9


_MANY_TREES = 500  # kept in memory by a session that goes on for days


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


def _slashes(path: str) -> Iterator[int]:
    at = path.find("/")
    while at >= 0:
        yield at
        at = path.find("/", at + 1)


def _ident(text: str) -> str:
    """A name or address as Git stores it: without what would end the field, crud at its ends."""
    kept = "".join(letter for letter in text if letter not in "\0\n<>")
    return kept.strip(" .,:;\"\\'\t\r")
