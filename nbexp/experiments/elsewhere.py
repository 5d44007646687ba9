"""A commit of a Git remote, by the name it has there: asked for alone, and kept below a ref of nbexp's own.

    refs/nbexp/remote/<remote>/exps/<2 hex>/<38 hex>/<name>     an experiment that was looked at
    refs/nbexp/remote/<remote>/heads/<branch>, …/tags/<tag>

Neither `refs/exps` nor the branches that follow the remote move, so what was looked at is no experiment of this
repository: `pull` makes it one. Git sends what is not here yet, which of an experiment on a known baseline is one
commit and the files that differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nbexp import hashing
from nbexp.errors import GitError, NotFound, nearest
from nbexp.git import Git
from nbexp.store.remotes import without_secrets

PREFIX = "refs/nbexp/remote/"


def listed(git: Git, address: str) -> dict[str, str]:
    """Every ref of a Git remote, by name or URL, tags peeled; it costs one exchange with it.

    Raises
    ------
    NotFound
        There is no such remote, or it cannot be reached.
    """
    try:
        out = git.run("ls-remote", "--", address)
    except GitError as error:
        raise unreachable(address, error) from None
    refs: dict[str, str] = {}
    for line in out.decode("utf-8", "replace").splitlines():
        oid, _, ref = line.partition("\t")
        refs[ref.removesuffix("^{}")] = oid
    return refs


def meant(refs: Mapping[str, str], name: str, address: str) -> str:
    """The ref that a name means among those of a remote: a branch, tag or experiment, or the start of its rev.

    Raises
    ------
    NotFound
        None is, or several experiments of different baselines are; the nearest name is in the hint.
    """
    shown = without_secrets(address)
    plain = [ref for ref in (name, f"refs/heads/{name}", f"refs/tags/{name}") if ref in refs]
    exps = [r for r in refs if r.startswith("refs/exps/") and r.rpartition("/")[2] == name]
    found = plain or exps
    if not found and re.fullmatch("[0-9a-f]{4,64}", name):
        found = [ref for ref, oid in refs.items() if oid.startswith(name)]
    if not found:
        known = [ref.rpartition("/")[2] for ref in refs]
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else None
        raise NotFound(f"{shown} has no revision `{name}`.", hint)
    if not plain and len({refs[ref] for ref in found}) > 1:
        revs = ", ".join(refs[ref][:7] for ref in found)
        raise NotFound(
            f"{shown} has {len(found)} experiments called `{name}`: {revs}.",
            f"name one by its commit: `{refs[found[0]][:7]}`.",
        )
    return found[0]


def fetch(git: Git, address: str, name: str) -> tuple[str, str]:
    """The ref at the remote and the commit that a name means there; the commit is here afterwards.

    Raises
    ------
    NotFound
        There is no such remote, it cannot be reached, or has no such name.
    """
    refs = listed(git, address)
    ref = meant(refs, name, address)
    own = _own(address, ref)
    if git.refs(own).get(own) != refs[ref]:
        try:
            # An empty refmap: what the user's configuration maps elsewhere is not moved along.
            git.run(
                "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
                "--refmap=", "--", address, f"+{ref}:{own}",
            )  # fmt: skip
        except GitError as error:
            raise unreachable(address, error) from None
    rev = git.resolve(own)
    if rev is None:
        raise NotFound(f"`{name}` of {without_secrets(address)} is no commit.")
    return ref, rev


def unreachable(address: str, error: GitError) -> NotFound:
    """What is told of a repository that cannot be asked, without the passwords in its address."""
    said = without_secrets(error.message)
    return NotFound(
        f"{without_secrets(address)} cannot be fetched: {said}",
        "check the address, and whether you may read it.",
    )


def _own(address: str, ref: str) -> str:
    """The ref of ours for one of a remote; an address is told by its digest."""
    is_name = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", address) is not None
    place = address if is_name else hashing.sha256(address.encode())[:16]
    return f"{PREFIX}{place}/{ref.removeprefix('refs/')}"
