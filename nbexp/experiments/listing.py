"""The names of experiments, the newest first: `list`, which loads and reads nothing else of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbexp.formats import ref_names

if TYPE_CHECKING:
    from nbexp.git import Git
    from nbexp.store.cache import Cache

# What is remembered of a commit to list it: its time.
_WHEN = "when-1"


def listed(
    git: Git, cache: Cache, refs: Mapping[str, str]
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Name and rev of experiments by baseline, the newest first; of each commit its time alone is read, once."""
    known = cache.memos(_WHEN, list(refs.values()))
    new = [rev for rev in dict.fromkeys(refs.values()) if rev not in known]
    if new:
        # What is no commit, or is not in a shallow clone, cannot be applied either: it is left out.
        found = git.info_many([f"{rev}^{{commit}}" for rev in new])
        usable = [rev for rev, info in zip(new, found, strict=True) if info is not None]
        times = {
            rev: str(info.time_s) for rev, info in zip(usable, git.commits(usable), strict=True)
        }
        cache.remember_many(_WHEN, times)
        known = {**known, **times}
    members: dict[str, list[tuple[int, str, str]]] = {}
    for ref, baseline, name in ref_names.experiments(refs):
        rev = refs[ref]
        if rev in known:
            members.setdefault(baseline, []).append((-int(known[rev]), name, rev))
    newest = sorted(members.items(), key=lambda item: min(item[1]))
    return {
        baseline: tuple((name, rev) for _, name, rev in sorted(group)) for baseline, group in newest
    }
