"""Which experiments there are, by ref, by commit and by baseline; Git alone is read, and of commits only what heads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence

from nbexp.errors import GitError, NotFound
from nbexp.formats import checkpoint, ref_names
from nbexp.git import CommitInfo, Git

# What lists experiments with their values costs more to load than `status` has to spare.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from nbexp.experiments.row import Row
    from nbexp.store.cache import Cache


def head(git: Git) -> str:
    """The present commit, from which an experiment starts.

    Raises
    ------
    NotFound
        The repository has no commit yet.
    """
    found = git.head()
    if found is None:
        raise NotFound(
            "This repository has no commit yet, so an experiment has nothing to start from.",
            "`nbexp init train.ipynb` makes the first one, or `git commit`.",
        )
    return found


def refs(git: Git) -> dict[str, str]:
    """Every experiment ref; what lies below `refs/exps` for DVC's own use is left out."""
    found = git.refs(ref_names.PREFIX)
    if ref_names.are_experiments(found):
        return found  # nothing else among them, as nearly always
    return {ref: found[ref] for ref, _, _ in ref_names.experiments(found)}


def infos(git: Git, revs: Sequence[str]) -> dict[str, CommitInfo]:
    """The commits by rev; what is no commit, or is gone, is left out.

    A ref may hold anything, or what a shallow clone lacks: it must not hide all the others.
    """
    try:
        return dict(zip(revs, git.commits(revs), strict=True))
    except GitError:
        found = git.info_many([f"{rev}^{{commit}}" for rev in revs])
        usable = [rev for rev, info in zip(revs, found, strict=True) if info is not None]
        return dict(zip(usable, git.commits(usable), strict=True))


def of_baseline(git: Git, baseline: str, refs: Mapping[str, str] | None = None) -> list[Row]:
    """The experiments of a commit, newest first, without what they say; of these refs, where given."""
    from nbexp.experiments.row import Row

    listed = git.refs(ref_names.prefix(baseline)) if refs is None else refs
    found = [
        (name, listed[ref]) for ref, of, name in ref_names.experiments(listed) if of == baseline
    ]
    known = infos(git, [rev for _, rev in found])
    rows = [
        Row(rev, name, "experiment", None, baseline, known[rev].time_s)
        for name, rev in found
        if rev in known
    ]
    rows.sort(key=lambda row: row.name or "")
    rows.sort(key=lambda row: row.created_s or 0, reverse=True)
    return as_begun(git, rows, {rows[0].created_s}) if rows else rows


def as_begun(git: Git, rows: Sequence[Row], seconds: Container[int | None]) -> list[Row]:
    """The rows, newest first, with those of one of these seconds as their runs were begun: Git has whole seconds."""
    count = Counter(row.created_s for row in rows)
    tied = [row for row in rows if count[row.created_s] > 1 and row.created_s in seconds]
    if not tied:
        return [*rows]
    from nbexp.experiments import notes

    told = notes.read(git, [row.rev for row in tied])

    def begun(row: Row) -> tuple[int, str]:
        run = told.get(row.rev, {}).get("run")
        started = str(run.get("started") or "") if isinstance(run, Mapping) else ""
        return row.created_s or 0, started

    in_turn = iter(sorted(tied, key=begun, reverse=True))
    moved = {row.rev for row in tied}
    return [next(in_turn) if row.rev in moved else row for row in rows]


def baseline_of(git: Git, rev: str) -> str | None:
    """What a commit starts from: its parent, or, of an experiment with checkpoints, what its first step has there."""
    known = {baseline for _, baseline, _ in ref_names.experiments(git.refs(ref_names.PREFIX))}
    info = git.commits([rev])[0]
    first = info.parents[0] if info.parents else None
    while info.parents and info.parents[0] not in known:
        info = git.commits(info.parents[:1])[0]
        if checkpoint.stage_of(info.message) is None:
            return first
    return info.parents[0] if info.parents else first


def baseline_names(git: Git) -> dict[str, str]:
    """Tag, else branch, of each commit that has one; the current branch before all others."""
    names: dict[str, str] = {}
    for prefix in ("refs/heads/", "refs/tags/"):
        for ref, rev in sorted(git.refs(prefix).items(), reverse=True):
            names[rev] = ref.removeprefix(prefix)
    branch, present = git.branch(), git.head()
    if branch is not None and present is not None:
        names[present] = branch
    return names


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
    when = dict(zip(known, map(int, known.values()), strict=True))
    members: dict[str, tuple[tuple[str, str], ...]] = {}
    for baseline, pairs in ref_names.by_baseline(refs).items():
        group = sorted([pair for pair in pairs if pair[1] in when])
        group.sort(key=lambda pair: when[pair[1]], reverse=True)
        if group:
            members[baseline] = tuple(group)
    return dict(sorted(members.items(), key=lambda item: (-when[item[1][0][1]], *item[1][0])))
