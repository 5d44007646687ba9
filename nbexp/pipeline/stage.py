"""A stage as the engine sees it: where its paths really are, and where its entry in dvc.lock is."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from functools import cached_property

from nbexp.formats import dvc_file, dvc_lock
from nbexp.formats.dvc_file import DvcFile
from nbexp.formats.dvc_lock import LockedStage
from nbexp.formats.dvc_yaml import OutSpec, StageSpec
from nbexp.frozen import field, frozen


@frozen
class Dep:
    """A file or directory that a stage reads.

    `path` is relative to the project's root; `spelled` is the path as dvc.yaml and dvc.lock have it.
    """

    path: str
    spelled: str

    @property
    def is_outside(self) -> bool:
        """Whether it is no file of the project: its path is absolute, or leads out. Nothing records such files."""
        return self.path.startswith(("/", "../"))


@frozen
class Out:
    """A file or directory that a stage writes; metrics and plots are outs as well."""

    path: str
    spelled: str
    spec: OutSpec

    @property
    def cache(self) -> bool:
        """Whether DVC's cache holds it; else Git does."""
        return self.spec.cache


@frozen
class Param:
    """A params file a stage reads; `keys` empty means all of it."""

    path: str
    spelled: str
    keys: tuple[str, ...]

    @property
    def is_outside(self) -> bool:
        """As `Dep.is_outside`."""
        return self.path.startswith(("/", "../"))


@frozen(eq=False)
class Stage:
    """One stage of one dvc.yaml, or the one that a `.dvc` file is; equal only to itself.

    `file` is the dvc.yaml and `cwd` the directory its commands run in, both relative to the
    project's root, in POSIX form; the root itself is ".". `data` is the `.dvc` file. `datasets` are
    those of the whole project: by name the dvc.yaml that declares it, and what it says.
    """

    spec: StageSpec
    file: str
    data: DvcFile | None = None
    datasets: Mapping[str, tuple[str, Mapping[str, object]]] = field(
        default_factory=dict, repr=False
    )

    @property
    def name(self) -> str:
        return self.spec.name

    @cached_property
    def folder(self) -> str:
        """The directory of its dvc.yaml."""
        return posixpath.dirname(self.file) or "."

    @cached_property
    def cwd(self) -> str:
        return posixpath.normpath(posixpath.join(self.folder, self.spec.wdir or "."))

    @cached_property
    def lock_file(self) -> str:
        """Where its hashes are: dvc.lock, or the `.dvc` file itself."""
        if self.data is not None:
            return self.file
        return posixpath.join(posixpath.dirname(self.file), "dvc.lock")

    @cached_property
    def deps(self) -> tuple[Dep, ...]:
        """The files and directories of the project that it reads."""
        local = (path for path in self.spec.deps if not dvc_lock.is_source(path))
        return tuple(Dep(self.place(path), path) for path in local)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """What it reads from elsewhere: URLs, and datasets as `ds://name`."""
        return tuple(path for path in self.spec.deps if dvc_lock.is_source(path))

    @cached_property
    def outs(self) -> tuple[Out, ...]:
        return tuple(Out(self.place(out.path), out.path, out) for out in self.spec.outs)

    @cached_property
    def params(self) -> tuple[Param, ...]:
        return tuple(
            Param(self.place(param.path), param.path, param.keys) for param in self.spec.params
        )

    @property
    def always_runs(self) -> bool:
        """Whether nothing that is the same can keep it from running: declared so, or it names no files."""
        return self.spec.always_changed or (bool(self.spec.cmd) and not self._names_files)

    @property
    def lacks_a_command(self) -> bool:
        """Whether running it is asking too much: an empty text, or list, may stand for nothing to do alone."""
        named = self.spec.always_changed or self._names_files
        return self.data is None and not self.spec.cmd and named

    @property
    def _names_files(self) -> bool:
        return bool(self.deps or self.sources or self.outs or self.params)

    @property
    def is_data(self) -> bool:
        """Whether it is data that a `.dvc` file tracks, and no command makes."""
        return self.data is not None and not self.spec.commands

    @property
    def shown(self) -> str:
        """What to call it in a message."""
        return self.file if self.data is not None else f"stage `{self.name}`"

    def entry_in(self, data: bytes | None) -> LockedStage | None:
        """The stage's entry in a `lock_file` with these bytes; None if it has none."""
        if data is None:
            return None
        if self.data is not None:
            return dvc_file.parse(data, self.file).entry
        found = dvc_lock.parse(data, self.lock_file).stages.get(self.name)
        return found if isinstance(found, LockedStage) else None

    def place(self, path: str) -> str:
        """A path of this stage's definition, relative to the project's root."""
        return posixpath.normpath(posixpath.join(self.cwd, path))

    def address(self, here: str = ".") -> str:
        """The stage as one types it in the directory `here`: `train`, or `sub/dvc.yaml:train`."""
        if self.data is not None:
            return posixpath.relpath(self.file, here)
        if self.folder == here:
            return self.name
        return f"{posixpath.relpath(self.file, here)}:{self.name}"
