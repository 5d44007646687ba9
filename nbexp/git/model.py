"""What goes in and out through the door to Git: plain values, frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from nbexp.frozen import field, frozen

if TYPE_CHECKING:
    from nbexp.errors import GitError

SMALL_BYTES = 16 << 20
"""So much of files is held in memory."""


@frozen
class Identity:
    """Who an author or committer is."""

    name: str
    email: str


@frozen
class Entry:
    """A file of a Git tree; mode 100644, 100755, 120000 (symbolic link) or 160000 (submodule)."""

    mode: str
    oid: str


@frozen
class Change:
    """A tracked path that differs between HEAD, the index and the work tree.

    Attributes
    ----------
    path
        Relative to the top of the work tree, with slashes.
    head, index
        What each of them holds; None where it holds nothing (also after `git add -N`).
    worktree
        The file on disk against the index.
    unmerged
        A conflict is open; `head` is then our side and `index` None.
    mode
        The mode Git would give the file on disk, None if there is no file.
    """

    path: str
    head: Entry | None
    index: Entry | None
    worktree: Literal["same", "modified", "deleted", "type"]
    unmerged: bool = False
    mode: str | None = None


@frozen
class Status:
    """Where the work tree differs from HEAD at one moment.

    `untracked` leaves out ignored files; a repository inside this one is one path with a slash at
    its end. `head` is the commit it was compared with, None before the first one.
    """

    changes: tuple[Change, ...]
    untracked: tuple[str, ...]
    head: str | None = None


@frozen
class CommitInfo:
    """A commit as it is stored: author "Name <email>", seconds of the committer's clock."""

    rev: str
    tree: str
    parents: tuple[str, ...]
    author: str
    time_s: int
    message: str


FileContent = Entry | bytes | tuple[str, bytes] | None


@frozen
class NewCommit:
    """A commit to be made.

    Attributes
    ----------
    ref
        The full name of the ref that shall point to it; None makes a commit that nothing holds yet.
    parent
        A revision, None for a root commit; ":1" is the first commit of the same call.
    message
        Stored byte for byte, nothing is added.
    base
        Whose tree the files are put onto: a revision or tree; None starts from nothing. ":1" is
        possible where it is the parent too.
    files
        By path: an object that is there, bytes of a regular file, (mode, bytes), or None to delete
        a file or folder. Deletions come first.
    expect
        What the ref must be at the moment it is set: None not there, a full hex rev, or "any".
    time_s
        Of author and committer, in seconds since 1970; None is now.
    """

    ref: str | None
    parent: str | None
    message: bytes
    base: str | None = None
    files: Mapping[str, FileContent] = field(default_factory=dict)
    expect: str | None = None
    time_s: int | None = None


class Beside(Protocol):
    """A commit that tells of others which are made by the same call, as a note does.

    It is written together with them, and its ref is set before theirs: killed in between, it tells of
    commits that nothing names. That it cannot be made does not keep the others from being made.
    """

    def make(self, revs: Sequence[str]) -> NewCommit | None:
        """The commit, of what its ref holds now and the revs of the others; None for none."""

    def failed(self, error: GitError) -> None:
        """Called where its ref could not be set."""
