"""The files of one revision, or of the workspace: from Git or the disk, else from the cache as dvc.lock has them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from nbexp import filesystem
from nbexp.formats import dvc_file, dvc_lock, dvc_yaml
from nbexp.formats.dvc_lock import LockedStage
from nbexp.formats.dvc_yaml import PipelineFile, StageSpec
from nbexp.formats.ignore import DvcIgnore
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline.graph import stage_files, stage_files_among
from nbexp.store.cache import Cache


class Tree(Protocol):
    """Files by their path relative to the project's root."""

    def stage_files(self) -> list[str]:
        """Every dvc.yaml and `.dvc` file."""

    def read(self, paths: Sequence[str]) -> list[bytes | None]:
        """The bytes of each; None where there is no file."""

    def below(self, folder: str) -> list[str] | None:
        """The paths of all files below; None where it is no folder."""


class OnDisk:
    """The files of a work tree."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rules = DvcIgnore.on_disk(root)

    def stage_files(self) -> list[str]:
        return stage_files(self._root)

    def read(self, paths: Sequence[str]) -> list[bytes | None]:
        return [self._bytes(path) for path in paths]

    def below(self, folder: str) -> list[str] | None:
        place = self._root / folder
        if not place.is_dir():
            return None
        found = filesystem.walk(place, self._rules.below(folder))
        return [_join(folder, inner) for inner, _ in found]

    def _bytes(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except OSError:
            return None


class InCommit:
    """The files of a commit; whatever is asked of Git goes through its one long-lived process."""

    def __init__(self, git: Git, root: Path, prefix: str, rev: str) -> None:
        self._git = git
        self._root = root
        self._top = f"{prefix}/" if prefix else ""
        self._at = f"{rev}:{self._top}"
        self._rev = rev

    def stage_files(self) -> list[str]:
        named = [self._git.paths_named([self._rev], name)[self._rev] for name in _STAGE_FILES]
        inside = [path[len(self._top) :] for one in named for path in one if self._is_inside(path)]
        return sorted(stage_files_among(self._root, inside))

    def read(self, paths: Sequence[str]) -> list[bytes | None]:
        return self._git.read_many([f"{self._at}{path}" for path in paths])

    def below(self, folder: str) -> list[str] | None:
        found = self._git.info(self._at + ("" if folder == "." else folder))
        if found is None or found[1] != "tree":
            return None
        return [*self._files(found[0], "" if folder == "." else f"{folder}/")]

    def _files(self, tree: str, prefix: str) -> Iterator[str]:
        for name, mode, oid in self._git.entries([tree])[0]:
            if mode == "40000":
                yield from self._files(oid, f"{prefix}{name}/")
            elif mode != _SUBMODULE:
                yield f"{prefix}{name}"

    def _is_inside(self, path: str) -> bool:
        return path.startswith(self._top)


_STAGE_FILES = ("dvc.yaml", f"*{dvc_file.SUFFIX}")
_SUBMODULE = "160000"


@frozen
class Pipeline:
    """A dvc.yaml: its path, and what it says."""

    path: str
    file: PipelineFile

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)

    def place(self, stage: StageSpec, path: str) -> str:
        """Where a path of a stage is, relative to the project's root."""
        return _join(self.folder, stage.wdir or ".", path)


class Held:
    """What a revision holds: its pipelines, and its files, those of the cache too.

    Raises
    ------
    ProjectFileError
        One of its files of stages cannot be read.
    """

    def __init__(self, tree: Tree, cache: Cache) -> None:
        self._tree = tree
        self._cache = cache
        self._cached: dict[str, str] = {}
        self.pipelines = [*self._read_pipelines()]

    @property
    def objects(self) -> Mapping[str, str]:
        """The outputs that the cache has, or should have, with their hashes."""
        return self._cached

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder, here or in the cache."""
        return (
            self._tree.read([path])[0] is not None
            or self._tree.below(path) is not None
            or path in self._cached
            or path in self._listed(path)
        )

    def below(self, folder: str) -> list[str] | None:
        """The files below a folder, those that only the cache has too; None where it is no folder."""
        found = self._tree.below(folder)
        cached = self._listed(folder)
        inner = [path for path in cached if path.startswith(f"{folder}/") or folder == "."]
        if found is None and not inner and not self._is_cached_folder(folder):
            return None
        return sorted({*(found or ()), *inner} - {*self._records(found or ())})

    def read(self, paths: Iterable[str]) -> dict[str, bytes | None]:
        """The bytes of each file; None where neither the revision nor the cache has it."""
        wanted = [*paths]
        found = dict(zip(wanted, self._tree.read(wanted), strict=True))
        for path, data in found.items():
            if data is None:
                md5 = self.md5(path)
                if md5 is not None and self._cache.has_object(md5):
                    found[path] = self._cache.read(md5)
        return found

    def md5(self, path: str) -> str | None:
        """The object that a path is, where the cache keeps it."""
        md5 = self._cached.get(path)
        if md5 is not None and not md5.endswith(".dir"):
            return md5
        return self._listed(path).get(path)

    def _listed(self, path: str) -> dict[str, str]:
        """The files of the cache's directories that a path is in, or that are below it."""
        found: dict[str, str] = {}
        for out, md5 in self._cached.items():
            is_near = path == "." or f"{out}/".startswith(f"{path}/") or path.startswith(f"{out}/")
            if not is_near:
                continue
            if not md5.endswith(".dir"):
                found[out] = md5
            elif self._cache.has_object(md5):
                found.update((_join(out, one.relpath), one.md5) for one in self._cache.items(md5))
        return found

    def _is_cached_folder(self, folder: str) -> bool:
        return any(
            f"{out}/".startswith(f"{folder}/") and (out != folder or md5.endswith(".dir"))
            for out, md5 in self._cached.items()
        )

    def _records(self, paths: Iterable[str]) -> Iterator[str]:
        """Files about data, which are not data themselves."""
        for path in paths:
            name = posixpath.basename(path)
            if name in _RECORDS or name.endswith(dvc_file.SUFFIX):
                yield path

    def _read_pipelines(self) -> Iterator[Pipeline]:
        paths = self._tree.stage_files()
        locks = [_join(posixpath.dirname(path), "dvc.lock") for path in paths]
        texts = self._tree.read([*paths, *locks])
        for at, path in enumerate(paths):
            text, lock = texts[at], texts[at + len(paths)]
            if text is None:
                continue
            if path.endswith(dvc_file.SUFFIX):
                file = dvc_file.parse(text, path)
                for spec, content in zip(file.spec.outs, file.contents, strict=True):
                    if spec.cache and content.md5:
                        self._cached[file.place(spec.path)] = content.md5
                continue
            found = Pipeline(path, dvc_yaml.parse(text, path, self._read_one))
            entries = dvc_lock.parse(lock, locks[at]).stages if lock else {}
            for stage in found.file.stages:
                entry = entries.get(stage.name)
                made = entry.outs if isinstance(entry, LockedStage) else ()
                known = {out.path: out.md5 for out in made if out.md5}
                for out in stage.outs:
                    if out.cache and out.path in known:
                        self._cached[found.place(stage, out.path)] = known[out.path]
            yield found

    def _read_one(self, path: str) -> bytes | None:
        return self._tree.read([path])[0]


_RECORDS = ("dvc.yaml", "dvc.lock", ".dvcignore")


def _join(*parts: str) -> str:
    return posixpath.normpath(posixpath.join(*parts))
