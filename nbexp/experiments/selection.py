"""Which commits a command is about: `-A`, `-a`, `-T`, `--rev` and `-n`, with DVC's meaning of each.

The commits are baselines: an experiment belongs to the one that it starts from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nbexp.errors import NotFound, nearest
from nbexp.formats import ref_names
from nbexp.frozen import frozen
from nbexp.git import Git


@frozen
class Revisions:
    """The commits that were asked for; none of the fields set means HEAD.

    Attributes
    ----------
    rev
        Any of Git's ways to write a revision, or the name of an experiment.
    num
        How many commits from each `rev` and branch back, along first parents; negative means all, None one.
    all_commits, all_branches, all_tags
        Every commit that a branch, tag or remote branch leads to; every tip of a branch; every tag.

    Notes
    -----
    DVC 3.67.1, `dvc/scm.py:iter_revs`: what is asked for in several ways is added up.
    """

    rev: tuple[str, ...] = ()
    num: int | None = None
    all_commits: bool = False
    all_branches: bool = False
    all_tags: bool = False

    @property
    def is_default(self) -> bool:
        """Whether nothing was asked for, `num` included."""
        return self.num is None and not self._asks()

    def baselines(self, git: Git) -> list[str]:
        """The commits, each once, in the order they were asked for; none before the first commit.

        Raises
        ------
        NotFound
            A `rev` names no commit.
        """
        head = git.head()
        if head is None:
            return []
        tips = [resolve(git, one) for one in self.rev] if self._asks() else [head]
        if self.all_commits:
            listed = git.run("rev-list", "HEAD", "--branches", "--tags", "--remotes")
            return list(dict.fromkeys([*self._back(git, tips), *listed.decode().split()]))
        if self.all_branches:
            tips += commits_at(git, "refs/heads/").values()
        tags = commits_at(git, "refs/tags/").values() if self.all_tags else ()
        return list(dict.fromkeys([*self._back(git, tips), *tags]))

    def experiments(self, git: Git, refs: Mapping[str, str]) -> dict[str, str]:
        """Those of the experiment `refs` (name to rev) that start from one of the commits.

        All of them with `all_commits`, also those whose baseline no branch leads to any more.

        Raises
        ------
        NotFound
            A `rev` names no commit.
        """
        if self.all_commits:
            return dict(refs)
        starts = tuple(ref_names.prefix(rev) for rev in self.baselines(git))
        return {ref: rev for ref, rev in refs.items() if ref.startswith(starts)}

    def _asks(self) -> bool:
        return bool(self.rev or self.all_commits or self.all_branches or self.all_tags)

    def _back(self, git: Git, tips: Sequence[str]) -> list[str]:
        """The commits from each tip back; one Git process a tip where it is more than the tips."""
        if self.num in (None, 1):
            return list(tips)
        found: list[str] = []
        for tip in tips if self.num else ():
            listed = git.run("rev-list", "--first-parent", f"--max-count={self.num}", tip)
            found += listed.decode().split()
        return found


def resolve(git: Git, rev: str) -> str:
    """The commit that `rev` names: as Git reads it, else the experiment of that name.

    Raises
    ------
    NotFound
        There is none, or several experiments have the name and none is on the present commit.
    """
    found = git.resolve(rev)
    if found is not None:
        return found
    refs = {ref: oid for ref, oid in git.refs(ref_names.PREFIX).items() if ref_names.parse(ref)}
    named = {ref: oid for ref, oid in refs.items() if rev in (ref, ref_names.name_of(ref))}
    head = git.head()
    here = named.get(ref_names.ExpRef(head, rev).ref) if head else None
    if here or len(named) == 1:
        return here or next(iter(named.values()))
    if named:
        raise NotFound(
            f"{len(named)} experiments are called `{rev}`, none of them on the present commit.",
            f"name one by its commit: `--rev {next(iter(named.values()))[:7]}`.",
        )
    heads = [ref.split("/", 2)[2] for ref in git.refs("refs/heads/", "refs/tags/")]
    near = nearest(rev, [*heads, *map(ref_names.name_of, refs)])
    raise NotFound(
        f"`{rev}` names no commit, branch, tag or experiment.",
        f"did you mean `{near}`?" if near else "`git log --oneline` lists commits.",
    )


def commits_at(git: Git, prefix: str) -> dict[str, str]:
    """The commit that each ref below a prefix leads to, in the order of names; a tag may lead to none."""
    found = {ref: git.resolve(f"{ref}^{{commit}}") for ref in sorted(git.refs(prefix))}
    return {ref: rev for ref, rev in found.items() if rev is not None}
