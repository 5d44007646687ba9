"""Which experiments somebody means: by name, pattern, commit or full ref, here or on a remote."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from nbexp.errors import GitError, NameTaken, NotFound, UsageError, nearest
from nbexp.experiments import catalogue, chains
from nbexp.formats import ref_names
from nbexp.formats.ref_names import ExpRef
from nbexp.git import Git

_LISTED = 4  # commits that a message names
_GIT_NAMES = {"branch": "refs/heads/", "tag": "refs/tags/"}


class Named(Protocol):
    """An experiment that is at hand, and so needs no search."""

    @property
    def name(self) -> str: ...
    @property
    def rev(self) -> str: ...
    @property
    def baseline(self) -> str: ...


def words(experiments: Sequence[str | Named]) -> tuple[str, ...]:
    """Experiments as words that name them."""
    return tuple(
        one if isinstance(one, str) else ExpRef(one.baseline, one.name).ref for one in experiments
    )


def experiment(git: Git, what: str | Named) -> tuple[str, str]:
    """The ref and rev of an experiment, by name, rev or start of a rev; of a step of it with `@3` behind.

    Raises
    ------
    NotFound
        It names none, or several of which none is of the present commit, or there is no such step.
    GitError
        There is no commit behind the ref.
    """
    if not isinstance(what, str):
        return ExpRef(what.baseline, what.name).ref, what.rev
    refs = catalogue.refs(git)
    head = git.head()
    named = [
        (ref, rev) for ref, rev in refs.items() if ref_names.name_of(ref) == what or ref == what
    ]
    here = [found for found in named if head and found[0] == ExpRef(head, what).ref]
    if not named and len(what) >= 4:
        named = [(ref, rev) for ref, rev in refs.items() if rev.startswith(what.lower())]
    if here or len(named) == 1:
        ref, rev = (here or named)[0]
        require_commit(git, ref, rev)
        return ref, rev
    if named:
        revs = ", ".join(rev[:7] for _, rev in named)
        raise NotFound(
            f"{len(named)} experiments are called `{what}`: {revs}.",
            f"name one by its commit: `{named[0][1][:7]}`.",
        )
    step = chains.split(what)
    if step is not None:
        ref, rev = experiment(git, step[0])
        return ref, chains.at(git, ref, rev, step[1])
    known = [ref_names.name_of(ref) for ref in refs]
    near = nearest(what, known)
    if near:
        hint = f"did you mean `{near}`?"
    else:
        hint = "`nbexp list` shows those there are." if known else "`nbexp run` makes one."
    raise NotFound(f"There is no experiment `{what}`.", hint)


def without_commit(git: Git, refs: Mapping[str, str]) -> list[str]:
    """Those of the refs that lead to no commit: somebody else wrote them, or the object is lost."""
    found = git.info_many([f"{rev}^{{commit}}" for rev in refs.values()])
    return [ref for ref, info in zip(refs, found, strict=True) if info is None]


def require_commit(git: Git, ref: str, rev: str, untouched: str = "") -> None:
    """Refuse an experiment that has no commit.

    Raises
    ------
    GitError
        Its ref leads to another object, or to none.
    """
    if not without_commit(git, {ref: rev}):
        return
    name, info = ref_names.name_of(ref), git.info(rev)
    what = "is not in this repository" if info is None else f"is a {info[1]} and no commit"
    raise GitError(
        f"Experiment `{name}` points to {rev[:7]}, which {what}. {untouched}".rstrip(),
        f"`nbexp remove {name}` takes the name away.",
    )


def commit(git: Git, what: str | Named, *, failed: bool = False) -> tuple[str, str]:
    """A name for people, and the rev, of an experiment or any commit; with `failed`, of a failed run as well."""

    if not isinstance(what, str):
        return what.name, what.rev
    if what == "HEAD":  # which DVC takes for the name of an experiment
        return what, catalogue.head(git)
    for prefix in _GIT_NAMES.values():
        rev = git.resolve(prefix + what)
        if rev is not None:
            return what, rev
    try:
        ref, rev = experiment(git, what)
        return name_of(ref, what), rev
    except NotFound:
        if failed:
            for ref, rev in sorted(git.refs(ref_names.FAILED).items()):
                if ref_names.name_of(ref) == what:
                    return what, rev
        found = git.resolve(what)
        if found is None:
            raise
        return what, found


def name_of(ref: str, what: str) -> str:
    """What people call what `what` names, the experiment of the ref or a step of it."""
    name = ref_names.name_of(ref)
    step = None if what == name else chains.split(what)
    return name if step is None else f"{name}@{step[1]}"


def state(git: Git, what: str | Named) -> tuple[str, str | None]:
    """The same, and of the workspace, whose rev is None."""
    if what == "workspace":
        return "workspace", None
    if what == "HEAD":
        return "HEAD", catalogue.head(git)
    return commit(git, what)


def looked_at(git: Git, what: str | Named, git_remote: str | None = None) -> tuple[str, str]:
    """As `commit`, for what only looks: failed runs as well, and the experiments of a Git remote."""
    if git_remote is not None:
        from nbexp.experiments import elsewhere

        name = what if isinstance(what, str) else what.name
        step = chains.split(name)
        ref, rev = elsewhere.fetch(git, git_remote, name if step is None else step[0])
        return name, rev if step is None else chains.at(git, ref, rev, step[1])
    try:
        return commit(git, what, failed=True)
    except NotFound as error:
        known = [key[7:-4] for key in git.config() if re.fullmatch(r"remote\..+\.url", key)]
        if known and "did you mean" not in (error.hint or ""):
            remote = "origin" if "origin" in known else known[0]
            error.hint = f"`nbexp open {what} --git-remote {remote}` asks that remote."
        raise


def baseline(git: Git, what: str) -> str | None:
    """The commit that an experiment starts from, named or by its rev; None of what is no experiment."""
    rev = commit(git, what)[1]
    for ref, at in catalogue.refs(git).items():
        parsed = ref_names.parse(ref)
        if at == rev and parsed is not None:
            return parsed.baseline
    return None


def before(git: Git, name: str, rev: str | None) -> str:
    """What a state is held against where nothing is named: the baseline, or the commit before."""
    if rev is None:
        return "HEAD"
    found = [
        parsed.baseline
        for ref, at in catalogue.refs(git).items()
        if at == rev and (parsed := ref_names.parse(ref)) is not None
    ]
    found += git.commits([rev])[0].parents[:1]
    if not found:
        raise UsageError(
            f"`{name}` has no commit before it to be held against. Nothing was written.",
            f"name something: `nbexp report {name} workspace`.",
        )
    return catalogue.baseline_names(git).get(found[0], found[0][:7])


def refuse_git_names(
    git: Git, name: str, untouched: str = "Nothing was run.", verb: str = "run"
) -> None:
    """A branch or tag comes before an experiment of its name, for DVC as well: it could not be meant."""
    for kind, prefix in _GIT_NAMES.items():
        if git.resolve(prefix + name) is not None:
            raise NameTaken(
                f"`{name}` is a {kind} of this repository, so an experiment of that name could "
                f"not be told from it. {untouched}",
                f"for example `nbexp {verb} -n {name}-1`.",
            )


def chosen(
    words: Sequence[str],
    refs: Mapping[str, str],
    head: str | None,
    *,
    where: str | None = None,
    otherwise: str | None = None,
) -> dict[str, str]:
    """The refs, with what they hold, that the words name; each once, in the order of the words.

    Parameters
    ----------
    refs
        Every experiment there is, ref to rev.
    head
        Of several experiments with one name, that of this commit is meant.
    where
        The remote whose experiments they are, for messages; None: they are here.
    otherwise
        The hint where a name is not known and no other is near.

    Raises
    ------
    NotFound
        A word names none, or several of which none is on `head`.
    """
    found: dict[str, str] = {}
    by_name: dict[str, list[str]] = {}
    for ref in refs:
        by_name.setdefault(ref_names.name_of(ref), []).append(ref)
    for word in words:
        if word in refs:
            found[word] = refs[word]
        elif is_pattern(word):
            matching = [ref for name in fnmatch.filter(by_name, word) for ref in by_name[name]]
            if not matching:
                raise _unknown(word, by_name, where, otherwise)
            found.update((ref, refs[ref]) for ref in matching)
        else:
            ref = _one(word, refs, by_name, head, where, otherwise)
            found[ref] = refs[ref]
    return found


def is_pattern(word: str) -> bool:
    """Whether a word stands for all names that are like it."""
    return not {*"*?["}.isdisjoint(word)


def is_known(word: str, refs: Mapping[str, str]) -> bool:
    """Whether an experiment is called so."""
    return any(ref_names.name_of(ref) == word for ref in refs)


def shown(refs: Collection[str], limit: int = 8) -> str:
    """The names of experiments in a sentence: all of a few, the first ones of many."""
    names = [ref_names.name_of(ref) for ref in refs]
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[: limit - 2])} and {len(names) - limit + 2:,} more"


def _one(
    word: str,
    refs: Mapping[str, str],
    by_name: Mapping[str, Sequence[str]],
    head: str | None,
    where: str | None,
    otherwise: str | None,
) -> str:
    named = by_name.get(word, ())
    if not named and len(word) >= 4:
        named = [ref for ref, rev in refs.items() if rev.startswith(word.lower())]
        if len({refs[ref] for ref in named}) > 1:
            raise _several(word, named, refs, where)
    here = ExpRef(head, word).ref if head else None
    if here in named:
        return str(here)
    if len(named) > 1:
        raise _several(word, named, refs, where)
    if not named:
        raise _unknown(word, by_name, where, otherwise)
    return named[0]


def _several(
    word: str, named: Sequence[str], refs: Mapping[str, str], where: str | None
) -> NotFound:
    revs = [refs[ref][:7] for ref in named]
    listed = ", ".join(revs[:_LISTED]) + ", …" * (len(revs) > _LISTED)
    place = f" on {where}" if where else ""
    return NotFound(
        f"{len(named)} experiments{place} are called `{word}`: {listed}.",
        f"name one by its commit: `{revs[0]}`.",
    )


def _unknown(
    word: str, names: Mapping[str, object], where: str | None, otherwise: str | None
) -> NotFound:
    near = nearest(word, names)
    what = "like" if is_pattern(word) else "named"
    if where is None:
        message = f"There is no experiment `{word}`."
        other = "`nbexp list -A` shows those there are." if names else "`nbexp run` makes one."
    else:
        message = f"{where} has no experiment {what} `{word}`."
        other = f"`nbexp list {where} -A` shows those it has."
    return NotFound(message, f"did you mean `{near}`?" if near else otherwise or other)
