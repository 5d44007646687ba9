"""Which experiments somebody means: by name, pattern, commit or full ref, here or on a remote."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping, Sequence

from nbexp.errors import NotFound, nearest
from nbexp.formats import ref_names
from nbexp.formats.ref_names import ExpRef

_LISTED = 4  # commits that a message names


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
