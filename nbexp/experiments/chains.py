"""Chains: the commits of an experiment that made checkpoints, and what their steps are called.

Each `live.checkpoint()` is one more commit on the experiment's ref, the result of the run is the last
(formats.md 1.8). Steps are counted from the baseline: `low-lr@3` is the third commit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nbexp import hashing
from nbexp.errors import GitError, NameTaken, NotFound, UsageError
from nbexp.filesystem import FileLock
from nbexp.formats import checkpoint as protocol
from nbexp.formats import ref_names
from nbexp.formats.ref_names import ExpRef
from nbexp.frozen import frozen
from nbexp.git import Git

# No experiment has so many steps; a ref that leads past them is none.
_DEEPEST = 100_000

_ADDRESS = re.compile(r"(.+)@(\d+)")
_RANGE = re.compile(r"(.+)@(\d+)\.\.")


@frozen
class Commit:
    """One commit of a chain; `stage` is that of a step, None of a run's result."""

    rev: str
    stage: str | None
    time_s: int


def chain(git: Git, baseline: str, rev: str) -> tuple[Commit, ...]:
    """The commits of an experiment from the first on its baseline to its tip: one, but for checkpoints."""
    found: list[Commit] = []
    current: str | None = rev
    while current is not None and current != baseline and len(found) < _DEEPEST:
        if git.info(f"{current}^{{commit}}") is None:
            current = None  # a shallow clone ends here
            break
        info = git.commits([current])[0]
        found.append(Commit(current, protocol.stage_of(info.message), info.time_s))
        current = info.parents[0] if info.parents else None
    # One that does not come down to its baseline at all is a single commit to whoever looks at it.
    return tuple(reversed(found if current == baseline else found[:1]))


def split(word: str) -> tuple[str, int] | None:
    """The name and the number in the address of a step; None for any other word.

    Examples
    --------
    >>> split("low-lr@3"), split("low-lr"), split("HEAD@{1}")
    (('low-lr', 3), None, None)
    """
    found = _ADDRESS.fullmatch(word)
    return (found[1], int(found[2])) if found else None


def at(git: Git, ref: str, rev: str, step: int) -> str:
    """The commit of a step of the experiment of a ref, whose tip is `rev`.

    Raises
    ------
    NotFound
        It has no such step.
    """
    name, parsed = ref_names.name_of(ref), ref_names.parse(ref)
    commits = chain(git, parsed.baseline if parsed else "", rev)
    if len(commits) == 1 and commits[0].stage is None:
        raise NotFound(
            f"`{name}` has no steps: it made no checkpoints.",
            f"`{name}` is the experiment itself.",
        )
    if 1 <= step <= len(commits):
        return commits[step - 1].rev
    # What a run that came to its end has recorded behind its last step is the experiment, and in no list of steps.
    last = len(commits) - (commits[-1].stage is None and len(commits) > 1)
    raise NotFound(
        f"`{name}` has no step {step}, its steps are 1 to {last}.",
        f"`nbexp show --steps` lists them; the last one is `{name}@{last}`.",
    )


def is_unfinished(git: Git, rev: str) -> bool:
    """Whether the run of an experiment did not come to its end: its tip is a step."""
    try:
        return protocol.stage_of(git.commits([rev])[0].message) is not None
    except GitError:
        return False


# ---- taking steps off


@frozen
class Cut:
    """The steps of an experiment from `first` on; `old` is its tip, `new` what stays, None: nothing."""

    ref: str
    old: str
    new: str | None
    first: int

    @property
    def shown(self) -> str:
        return f"{ref_names.name_of(self.ref)}@{self.first}.."


@contextmanager
def hinted(git: Git, refs: Mapping[str, str], baseline: str, name: str | None) -> Iterator[None]:
    """Where the name inside is taken by an experiment that was stopped, the hint is to go on with it."""
    try:
        yield
    except NameTaken as taken:
        rev = refs.get(ExpRef(baseline, name or "").ref)
        if rev is not None and is_unfinished(git, rev):
            taken.hint = f"`nbexp run --resume {name}` goes on from its last step, `-n {name} --force` replaces it."
        raise


def range_of(word: str) -> tuple[str, int] | None:
    """The name and first number in `NAME@4..`; None for any other word."""
    found = _RANGE.fullmatch(word)
    return (found[1], int(found[2])) if found else None


def cut(git: Git, ref: str, rev: str, first: int) -> Cut:
    """What takes off the steps from `first` on.

    Raises
    ------
    NotFound
        There is no such step.
    """
    at(git, ref, rev, first)
    parsed = ref_names.parse(ref)
    commits = chain(git, parsed.baseline if parsed else "", rev)
    return Cut(ref, rev, commits[first - 2].rev if first > 1 else None, first)


# ---- while it grows


def lock_of(locks: Path, ref: str) -> FileLock:
    """The lock of whoever runs the experiment of a ref."""
    name = hashing.sha1(ref.encode())[:16]
    return FileLock(locks / f"experiment-{name}.lock")


def require_still(locks: Path, refs: Iterable[str], untouched: str) -> None:
    """Refuse what would be done to experiments while they grow.

    Raises
    ------
    UsageError
        One of them is running.
    """
    for ref in refs:
        lock = lock_of(locks, ref)
        if lock.held():
            name = ref_names.name_of(ref)
            raise UsageError(
                f"`{name}` is running and goes on from its last step ({lock.holder()}). {untouched}",
                "wait for its end, or stop it first.",
            )
