"""The Git remotes that a project shares experiments through: which one is meant, and what it has."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import NotFound, nearest
from nbexp.experiments import naming, notes, trash
from nbexp.formats import ref_names
from nbexp.git.remote import GitRemote, names, without_secrets

if TYPE_CHECKING:
    from nbexp.experiments.data import Site
    from nbexp.git import Git

# Where fetched experiments wait for their data: nothing lists them there, and Git keeps them.
INCOMING = "refs/nbexp/incoming/"


def find(
    site: Site, words: Sequence[str], git_remote: str | None = None
) -> tuple[GitRemote, tuple[str, ...]]:
    """The Git remote that is meant, and the words that are left for experiments.

    The first word is it only if it names one, or is a URL or path. Else `exp.git_remote` of DVC's configuration is,
    `origin` by default, or the only one there is.

    Raises
    ------
    NotFound
        There is no such remote, or none at all.
    """
    known = names(site.git)
    if git_remote is not None:
        return _named_remote(site, git_remote, known), tuple(words)
    if words and is_place(site, words[0], known):
        return _named_remote(site, words[0], known), tuple(words[1:])
    default = site.config().exp_git_remote
    if default not in known and len(known) == 1 and default == "origin":
        default = known[0]
    return _named_remote(site, default, known), tuple(words)


def is_place(site: Site, word: str, known: Iterable[str]) -> bool:
    """Whether a word is a Git remote, a URL or a path, and no experiment."""
    if word in known:
        return True
    if word.startswith(ref_names.PREFIX) or naming.is_pattern(word):
        return False
    if ":" in word or "/" in word or word in (".", ".."):
        return True
    folder = Path(site.root, site.here, word)
    return any((folder / inner).is_file() for inner in ("HEAD", ".git/HEAD"))


def _named_remote(site: Site, place: str, known: Sequence[str]) -> GitRemote:
    if place in known:
        return GitRemote(site.git, place)
    if place and is_place(site, place, known):
        folder = Path(site.root, site.here, os.path.expanduser(place))
        # Git works at the top of the work tree, and the user maybe elsewhere.
        return GitRemote(site.git, str(folder.resolve()) if folder.exists() else place)
    shown = without_secrets(place)
    if not known:
        raise NotFound(
            "This repository has no Git remote to share experiments through.",
            f"`git remote add {shown or 'origin'} URL` adds one.",
        )
    near = nearest(place, known)
    raise NotFound(
        f"There is no Git remote `{shown}`.",
        f"did you mean `{near}`?" if near else f"there are: {', '.join(known)}.",
    )


def experiments(remote: GitRemote) -> dict[str, str]:
    """Every experiment of a remote, ref to rev; what DVC may have left beside them is left out."""
    return look(remote)[0]


def look(remote: GitRemote) -> tuple[dict[str, str], bool]:
    """Every experiment of a remote, ref to rev, and whether anything is recorded there about any."""
    refs = remote.refs(ref_names.PREFIX, notes.REF)
    return {ref: rev for ref, rev in refs.items() if ref_names.parse(ref)}, notes.REF in refs


def local(git: Git) -> dict[str, str]:
    """Every experiment here, ref to rev."""
    return {ref: rev for ref, rev in git.refs(ref_names.PREFIX).items() if ref_names.parse(ref)}


def keep(git: Git, remote: GitRemote, refs: Mapping[str, str]) -> None:
    """Put experiments that are about to go from a remote into the trash here, but for those that are here."""
    ours = git.refs(ref_names.PREFIX) if refs else {}
    refs = {ref: rev for ref, rev in refs.items() if ours.get(ref) != rev}
    now_s = time.time()
    kept = {ref: trash.ref_of(ref, rev, now_s) for ref, rev in refs.items()}
    missing = {ref: kept[ref] for ref, rev in refs.items() if git.info(f"{rev}^{{commit}}") is None}
    remote.fetch(missing)
    known = git.refs(trash.PREFIX) if refs else {}
    git.update_refs(
        [
            (kept[ref], rev, None)
            for ref, rev in refs.items()
            if ref not in missing and kept[ref] not in known
        ]
    )
