"""Which experiment the workspace equals: every file of it, and the outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.errors import ProjectFileError

if TYPE_CHECKING:
    from nbexp.experiments.data import Site
    from nbexp.git import Git


def newest(site: Site, ours: Mapping[str, str]) -> dict[str, str]:
    """The experiment that the workspace equals: of several with the same content the newest."""
    alike = equal_to_workspace(site, ours)
    if len(alike) > 1:
        infos = site.git.commits(list(alike.values()))
        newest = max(zip(alike, infos, strict=True), key=lambda one: (one[1].time_s, one[0]))
        alike = {newest[0]: alike[newest[0]]}
    return alike


def equal_to_workspace(site: Site, refs: Mapping[str, str]) -> dict[str, str]:
    """The experiments whose files the workspace has, all of them as they are, outputs included.

    Notes
    -----
    `dvc.lock` tells most experiments apart without a process; one `git diff-tree` compares all that are left.
    """
    git, top = site.git, f"{site.prefix}/" if site.prefix else ""
    head = git.head()
    if head is None or not refs:
        return {}
    try:
        lock: str | None = git.hash_bytes((site.root / "dvc.lock").read_bytes())
    except OSError:
        lock = None
    locks = git.info_many([f"{rev}:{top}dvc.lock" for rev in refs.values()])
    alike = {
        ref: rev
        for (ref, rev), found in zip(refs.items(), locks, strict=True)
        if (found[0] if found else None) == lock
    }
    if not alike:
        return {}
    changed = _changed_from(git, head, list(alike.values()))
    status = git.status()
    every = {path for paths in changed.values() for path in paths}
    snapshot = git.snapshot(status, [path for path in status.untracked if path in every])
    tracked = {change.path for change in status.changes}
    here: dict[str, str | None] = {}
    for path, value in snapshot.items():
        if isinstance(value, tuple):
            here[path] = f"{value[0]} {git.hash_bytes(value[1])}"
        else:
            here[path] = f"{value.mode} {value.oid}" if value is not None else None
    same = {}
    for ref, rev in alike.items():
        theirs = changed[rev]
        paths = {*theirs, *(path for path in here if path in tracked)}
        if all(here.get(path, "same") == theirs.get(path, "same") for path in paths):
            same[ref] = rev
    return same if same and _outputs_are_theirs(site) else {}


def _changed_from(git: Git, head: str, revs: Sequence[str]) -> dict[str, dict[str, str | None]]:
    """Mode and blob of each path in which a commit differs from `head`; None where it has no such path."""
    lines = "".join(f"{rev} {head}\n" for rev in dict.fromkeys(revs))
    out = git.run(
        "diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "-m", "--always",
        stdin=lines.encode(),
    )  # fmt: skip
    found: dict[str, dict[str, str | None]] = {rev: {} for rev in revs}
    current: dict[str, str | None] = {}
    parts = iter(os.fsdecode(out).split("\0"))
    for part in parts:
        if part.startswith(":"):
            _, mode, _, oid, _ = part.split(" ")
            path = next(parts)
            # DVC's own `save` records a file of its scratch folder.
            if "/.dvc/tmp/" not in f"/{path}":
                current[path] = None if mode == "000000" else f"{mode} {oid}"
        elif part.strip():
            current = found[part.split()[0]]
    return found


def _outputs_are_theirs(site: Site) -> bool:
    """Whether outputs and tracked data are what the files of the workspace say."""
    try:
        graph = site.graph()
    except ProjectFileError:
        return False  # of a pipeline that cannot be read nothing is known
    inspector = site.inspector()
    return not any(inspector.check(stage).reasons for stage in graph.stages)
