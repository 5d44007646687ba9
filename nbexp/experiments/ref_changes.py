"""What is done to the names of experiments, here or on a Git remote: listed, removed, renamed, made branches.

On a remote each is one `git push` that names what every ref must be until then; what goes there is first kept in the
trash here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.errors import GitError, NameTaken, UsageError
from nbexp.experiments import chains, git_remotes, naming, place, record, trash
from nbexp.experiments.selection import Revisions
from nbexp.formats import ref_names
from nbexp.formats.ref_names import ExpRef
from nbexp.frozen import frozen
from nbexp.git.remote import GitRemote, Move, names
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.data import Site
    from nbexp.git import Git


@frozen
class Renamed(Result):
    """An experiment that has another name; `remote` is the Git remote where it was renamed, `here` whether here too.

    `replaced` is the commit that had the new name before.
    """

    old: str
    name: str
    rev: str
    here: bool = True
    remote: str | None = None
    replaced: str | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "renamed": self.old,
            "name": self.name,
            "rev": self.rev,
            "here": self.here,
            "remote": self.remote,
            "replaced": self.replaced,
        }


def on_remote(
    site: Site, place: str, revisions: Revisions
) -> tuple[str, dict[str, dict[str, str]]]:
    """A Git remote for people, and its experiments: baseline -> name -> rev."""
    remote, _ = git_remotes.find(site, (), place)
    theirs = git_remotes.experiments(remote)
    found: dict[str, dict[str, str]] = {}
    for ref, rev in revisions.experiments(site.git, theirs).items():
        parsed = ref_names.parse(ref)
        assert parsed is not None
        found.setdefault(parsed.baseline, {})[parsed.name] = rev
    return remote.shown, found


def remove(
    site: Site,
    words: Sequence[str],
    revisions: Revisions,
    *,
    keep: bool,
    git_remote: str | None,
) -> tuple[tuple[str, ...], str | None]:
    """See `Project.remove`: the names, and the remote for people."""
    git = site.git
    if not words and revisions.is_default:
        raise UsageError("Which experiment?", "`nbexp remove NAME`; `nbexp list` has the names.")
    remote = None if git_remote is None else git_remotes.find(site, (), git_remote)[0]
    refs = git_remotes.local(git) if remote is None else git_remotes.experiments(remote)
    where = None if remote is None else remote.shown
    cuts = _cuts(git, words, refs, only=remote is None and not keep)
    words = [word for word in words if chains.range_of(word) is None]
    found = naming.chosen(words, refs, git.head(), where=where)
    if not revisions.is_default:
        found |= revisions.experiments(git, refs)
    if keep:
        found = {ref: rev for ref, rev in refs.items() if ref not in found}
    if remote is None:
        found |= {one.ref: one.old for one in cuts if one.new is None}
        cuts = [one for one in cuts if one.ref not in found]
        refuse_growing(site, [*found, *(one.ref for one in cuts)], "Nothing was removed.")
        record.remove(git, found, place=place.undo_place(git, site.root), cut=cuts)
    else:
        _remove_there(git, remote, found)
    return (*map(ref_names.name_of, found), *(one.shown for one in cuts)), where


def _cuts(
    git: Git, words: Sequence[str], refs: Mapping[str, str], *, only: bool
) -> list[chains.Cut]:
    """What the words of the form `NAME@4..` take off."""
    found = []
    for word in words:
        named, step = chains.range_of(word), chains.split(word)
        if step is not None and not naming.is_known(word, refs):
            raise UsageError(
                f"`{word}` is one step of a chain, and what comes behind it builds on it. Nothing was removed.",
                f"`nbexp remove {word}..` takes off that one and all behind it.",
            )
        if named is None:
            continue
        if not only:
            raise UsageError(
                f"`{word}` are steps; those are taken off here, one experiment after the other. Nothing was removed.",
                f"`nbexp remove {word}`",
            )
        ((ref, rev),) = naming.chosen([named[0]], refs, git.head()).items()
        found.append(chains.cut(git, ref, rev, named[1]))
    return found


def refuse_growing(site: Site, refs: Sequence[str], untouched: str) -> None:
    """Refuse what is done to experiments of which a run, which makes checkpoints, goes on."""
    locks = place.shared_locks(site.git, site.root, site.prefix, site.cache.folder)
    chains.require_still(locks, refs, untouched)


def _remove_there(git: Git, remote: GitRemote, refs: Mapping[str, str]) -> None:
    if not refs:
        return
    git_remotes.keep(git, remote, refs)
    refused = remote.push([Move(ref, None, rev) for ref, rev in refs.items()])
    if refused:
        gone = len(refs) - len(refused)
        rest = f" The other {gone:,} {'is' if gone == 1 else 'are'} removed." if gone else ""
        raise GitError(
            f"{remote.shown} keeps {naming.shown(refused)}: {next(iter(refused.values()))}.{rest}",
            f"`nbexp list {remote.shown} -A` shows what it has now.",
        )


def rename(site: Site, old: str, new: str, *, force: bool, git_remote: str | None) -> Renamed:
    """See `Project.rename`."""
    git = site.git
    ref_names.check_name(new)
    for kind, prefix in (("branch", "refs/heads/"), ("tag", "refs/tags/")):
        if git.resolve(prefix + new) is not None:
            raise NameTaken(
                f"`{new}` is a {kind} of this repository, so an experiment of that name could not be told "
                "from it. Nothing was renamed.",
                f"for example `nbexp rename {old} {new}-1`.",
            )
    ours = git_remotes.local(git)
    if git_remote is None:
        ref, rev = next(iter(naming.chosen([old], ours, git.head()).items()))
        naming.require_commit(git, ref, rev, "Nothing was renamed.")
        target = _target(ref, new)
        _refuse_taken(ref, target, ours, old, force=force, where="here")
        replaced = ours.get(target) if target != ref else None
        refuse_growing(site, [ref, target], "Nothing was renamed.")
        _rename_here(git, ref, target, rev, replaced)
        return Renamed(ref_names.name_of(ref), new, rev, replaced=replaced)
    remote, _ = git_remotes.find(site, (), git_remote)
    theirs = git_remotes.experiments(remote)
    chosen = naming.chosen([old], theirs, git.head(), where=remote.shown)
    ref, rev = next(iter(chosen.items()))
    target = _target(ref, new)
    _refuse_taken(ref, target, theirs, old, force=force, where=f"on {remote.shown}")
    is_here = ours.get(ref) == rev
    if is_here:
        _refuse_taken(ref, target, ours, old, force=force, where="here")
    replaced = theirs.get(target) if target != ref else None
    _rename_there(git, remote, ref, target, rev, replaced)
    if is_here:
        _rename_here(git, ref, target, rev, ours.get(target))
    return Renamed(ref_names.name_of(ref), new, rev, is_here, remote.shown, replaced)


def _target(ref: str, name: str) -> str:
    parsed = ref_names.parse(ref)
    assert parsed is not None
    return ExpRef(parsed.baseline, name).ref


def _refuse_taken(
    ref: str, target: str, refs: Mapping[str, str], old: str, *, force: bool, where: str
) -> None:
    if target in refs and target != ref and not force:
        new = ref_names.name_of(target)
        raise NameTaken(
            f"An experiment `{new}` is {where} on the same commit. Nothing was renamed.",
            f"`nbexp rename {old} {new} --force` replaces it; the old one goes to the trash.",
        )


def _rename_here(git: Git, ref: str, target: str, rev: str, replaced: str | None) -> None:
    if ref == target:
        return
    changes: list[tuple[str, str | None, str | None]] = []
    if replaced is not None and replaced != rev:
        kept = trash.ref_of(target, replaced)
        changes += [(kept, replaced, None)] if kept not in git.refs(trash.PREFIX) else []
    changes += [(target, rev, replaced), (ref, None, rev)]
    git.update_refs(changes)


def _rename_there(
    git: Git, remote: GitRemote, ref: str, target: str, rev: str, replaced: str | None
) -> None:
    if ref == target:
        return
    if replaced is not None:
        git_remotes.keep(git, remote, {target: replaced})
    waiting = git_remotes.INCOMING + ref.removeprefix(ref_names.PREFIX)
    is_known = git.info(f"{rev}^{{commit}}") is not None
    if not is_known:
        remote.fetch({ref: waiting})  # Git pushes what it has
    moves = [Move(target, rev, replaced), Move(ref, None, rev)]
    refused = remote.push(moves, atomic=True)
    if not is_known:
        git.update_refs([(waiting, None, None)])
    if refused:
        raise GitError(
            f"{remote.shown} did not rename {ref_names.name_of(ref)}: {next(iter(refused.values()))}. "
            "It is as it was there.",
            f"`nbexp list {remote.shown} -A` shows what it has now.",
        )


def create_branches(git: Git, wanted: Mapping[str, tuple[str, str]]) -> None:
    """Make branches of (experiment, rev), all or none.

    Raises
    ------
    UsageError, NameTaken
        A branch cannot be called so, or is there already. Nothing was made.
    """
    for branch, (name, _) in wanted.items():
        if not git.is_branch_name(branch):
            raise UsageError(
                f"`{branch}` is not a name that Git gives a branch.",
                f"`nbexp branch {name} better-lr`",
            )
        if git.resolve(f"refs/heads/{branch}") is not None:
            raise NameTaken(
                f"Branch `{branch}` already exists.", f"`nbexp branch {name} another-name`"
            )
    git.update_refs([(f"refs/heads/{branch}", rev, None) for branch, (_, rev) in wanted.items()])


def publishing(site: Site, *branches: str) -> tuple[str, ...]:
    """The lines that bring branches to the Git remote, and open a pull request where the host has a program for it."""
    git = site.git
    known = names(git)
    wanted = site.config().exp_git_remote
    if not known:
        return ()
    name = wanted if wanted in known else known[0]
    lines = [f"git push -u {name} {' '.join(branches)}"]
    host = _host(GitRemote(git, name).url)
    if "github" in host:
        lines += [f"gh pr create --head {branch}" for branch in branches]
    elif "gitlab" in host:
        lines += [f"glab mr create --source-branch {branch}" for branch in branches]
    return tuple(lines)


def _host(url: str) -> str:
    """The host in a URL, or in `git@host:path`; empty for a path.

    Examples
    --------
    >>> _host("git@github.com:ada/churn.git"), _host("https://me@gitlab.example.org:8443/x"), _host("../github")
    ('github.com', 'gitlab.example.org', '')
    """
    found = re.match(r"\w+://(?:[^/@]*@)?([^/:]+)", url) or re.match(r"(?:[^/@]*@)?([^/:]+):", url)
    return found[1].lower() if found and not url.startswith("file:") else ""
