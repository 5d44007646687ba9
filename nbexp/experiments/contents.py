"""The bytes of any file of any commit: from its tree, or from the cache by the commit's dvc.lock."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from nbexp.errors import NotFound, StoreError
from nbexp.experiments.place import files_of
from nbexp.formats import dvc_file, dvc_lock, dvc_yaml
from nbexp.formats.dvc_lock import LockedStage
from nbexp.git import Git
from nbexp.store.cache import Cache


def read(git: Git, cache: Cache, prefix: str, rev: str, path: str) -> bytes:
    """The file at `path` (relative to the project's root) as the commit has it.

    Raises
    ------
    NotFound
        It is neither in the tree nor among the outputs.
    StoreError
        It is an output whose object the cache lacks.
    """
    top = f"{prefix}/" if prefix else ""
    data = git.read(f"{rev}:{top}{path}")
    if data is not None:
        return data
    md5 = _locked(git, cache, rev, top, path)
    if md5 is None:
        raise NotFound(f"{path} is not among the files of {rev[:7]}.")
    if not cache.has_object(md5):
        raise StoreError(
            f"The cache lacks {path} of {rev[:7]}.",
            "`nbexp data fetch` brings it when a remote has it.",
        )
    return cache.read(md5)


def _locked(git: Git, cache: Cache, rev: str, top: str, path: str) -> str | None:
    for out, md5 in outputs(git, rev, top):
        if out == path:
            return md5
        if md5.endswith(".dir") and path.startswith(out + "/") and cache.has_object(md5):
            inner = path[len(out) + 1 :]
            for item in cache.items(md5):
                if item.relpath == inner:
                    return item.md5
    return None


def outputs(git: Git, rev: str, top: str) -> Iterator[tuple[str, str]]:
    """Each output of the commit, relative to the project's root, and what it held."""
    for pipeline in git.paths_named([rev], "dvc.yaml")[rev]:
        text = git.read(f"{rev}:{pipeline}")
        lock = git.read(f"{rev}:{posixpath.join(posixpath.dirname(pipeline), 'dvc.lock')}")
        if text is None or lock is None or not pipeline.startswith(top):
            continue
        folder = posixpath.dirname(pipeline[len(top) :])
        entries = dvc_lock.parse(lock, "dvc.lock").stages
        read = files_of(git, top.rstrip("/"), rev)
        for stage in dvc_yaml.parse(text, pipeline[len(top) :], read).stages:
            entry = entries.get(stage.name)
            if not isinstance(entry, LockedStage):
                continue
            for out in entry.outs:
                base = posixpath.join(folder, stage.wdir or ".")
                yield posixpath.normpath(posixpath.join(base, out.path)), out.md5
    for tracker in git.paths_named([rev], "*.dvc")[rev]:
        text = git.read(f"{rev}:{tracker}")
        if text is not None and tracker.startswith(top):
            file = dvc_file.parse(text, tracker[len(top) :])
            for out in file.entry.outs:
                yield file.place(out.path), out.md5
