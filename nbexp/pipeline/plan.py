"""What would happen to a stage, and why: comparing dvc.yaml, dvc.lock and the disk.

The checks and their order are DVC's (formats.md 4.5), with one more: a notebook that a notebook
stage runs has changed only when its parameters or the source of its code cells have.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from nbexp.errors import NotFound, ProjectFileError, StoreError, nearest
from nbexp.formats import dvc_lock, values
from nbexp.formats.dvc_lock import LockedPath, LockedSource, LockedStage, LockFile
from nbexp.frozen import frozen, replace
from nbexp.pipeline import kinds
from nbexp.pipeline.graph import Graph, bytes_of, is_inside
from nbexp.pipeline.stage import Dep, Out, Param, Stage
from nbexp.store import remotes
from nbexp.store.cache import Cache, Hash

State = Literal["new", "modified", "deleted", "not in cache", "not in sync"]


@frozen
class Reason:
    """One thing that makes a stage run: `subject` is a path or `file:key`, `state` DVC's word for it.

    `path` is where the file is, relative to the project's root. For a param, `declared` is the params
    file and the key as the stage lists them; the subject may be a leaf below that key. `file_state` is
    DVC's word where it has one for the whole params file.
    """

    kind: Literal["forced", "always", "command", "dep", "param", "out"]
    subject: str = ""
    state: State = "modified"
    detail: str = ""
    declared: tuple[str, str] = ("", "")
    path: str = ""
    file_state: Literal["", "new", "deleted"] = ""

    def __str__(self) -> str:
        if self.kind == "forced":
            return "asked for"
        if self.kind == "always":
            return "it always runs"
        if self.kind == "command":
            return "its command changed"
        if self.detail:
            return f"{self.subject} {self.detail}"
        words = {"new": "is new", "modified": "changed", "deleted": "is missing"}
        return f"{self.subject} {words.get(self.state, self.state)}"


@frozen
class Check:
    """What a look at one stage found.

    `now` holds cmd, deps and params as they are (no outs); `locked` is dvc.lock's entry, if any.
    `refreshed` is an entry equal in meaning to `locked` whose notebook md5s are those of today.
    """

    stage: Stage
    now: LockedStage
    locked: LockedStage | None
    reasons: tuple[Reason, ...]
    refreshed: LockedStage | None = None

    @property
    def only_outs(self) -> bool:
        """Whether all that is wrong is that outputs are missing or edited."""
        return bool(self.reasons) and all(reason.kind == "out" for reason in self.reasons)


class Files(Protocol):
    """Where params and notebooks are read: the disk, or the disk with edits laid over it."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a path relative to the project's root; None where there is no file."""


@frozen
class Disk:
    """The files below `root`, as they will be once `edits` are written."""

    root: Path
    edits: Mapping[str, bytes]

    def read(self, path: str) -> bytes | None:
        if path in self.edits:
            return self.edits[path]
        return bytes_of(self.root, path)


class Inspector:
    """Looks at stages: hashes deps and outs through the cache's memo and reads params.

    Parameters
    ----------
    files
        Where params come from; hashes always come from the disk.
    meanings
        Tells what a notebook of a given md5 meant when the index does not know: its bytes, or None.
    """

    def __init__(self, root: Path, cache: Cache, files: Files, meanings: Meanings) -> None:
        self.root = root
        self.cache = cache
        self.files = files
        self._meanings = meanings
        self._locks: dict[str, LockFile] = {}
        self._lock_data: dict[str, bytes | None] = {}
        self._parsed: dict[tuple[str, bytes], object] = {}
        self._inside: set[str] = set()
        self._seen: dict[str, Mapping[str, object] | StoreError | None] = {}

    def lock(self, path: str) -> LockFile:
        """The dvc.lock at `path`, empty where there is none; kept until `reread_lock` or `set_lock`."""
        if path not in self._locks:
            return self.reread_lock(path)
        return self._locks[path]

    def reread_lock(self, path: str) -> LockFile:
        """The dvc.lock as it is by now: a stage's command, or dvc beside it, may have written to it."""
        data = self.files.read(path)
        if path not in self._locks or data != self._lock_data[path]:
            self._locks[path] = dvc_lock.parse(data, path) if data else LockFile({})
            self._lock_data[path] = data
        return self._locks[path]

    def set_lock(self, path: str, lock: LockFile, data: bytes) -> None:
        """`lock` was written as these bytes."""
        self._locks[path], self._lock_data[path] = lock, data

    def locked(self, stage: Stage) -> LockedStage | None:
        """The stage's entry, in dvc.lock or in its `.dvc` file."""
        if stage.data is not None:
            return stage.entry_in(self.files.read(stage.file))
        found = self.lock(stage.lock_file).stages.get(stage.name)
        return found if isinstance(found, LockedStage) else None

    def check(self, stage: Stage, *, force: bool = False) -> Check:
        """Compare the stage with dvc.lock and the disk."""
        entry = self.locked(stage)
        now = self.now(stage)
        reasons: list[Reason] = []
        if force:
            reasons.append(Reason("forced"))
        if stage.always_runs:
            reasons.append(Reason("always"))
        if entry is not None and entry.cmd != stage.spec.cmd:
            reasons.append(Reason("command"))
        refreshed = None
        if not stage.spec.frozen:
            found, refreshed = self._deps(stage, now, entry)
            reasons += found
            for one in params_reasons(stage, now, entry):
                is_outside = one.path.startswith("../")
                path = os.path.normpath(self.root / one.path) if is_outside else one.path
                reasons.append(replace(one, path=path))
        reasons += self._outs(stage, entry)
        return Check(stage, now, entry, tuple(reasons), refreshed)

    def now(self, stage: Stage) -> LockedStage:
        """The stage's entry as it would be written, without its outs."""
        deps = []
        for dep in sorted(stage.deps, key=lambda dep: dep.spelled):
            found = self.hash(dep.path)
            if found is not None:
                deps.append(locked_path(dep.spelled, found))
        looked = ((source, self._if_told(stage, source)) for source in sorted(stage.sources))
        outside = tuple(LockedSource(path, state) for path, state in looked if state is not None)
        return LockedStage(stage.spec.cmd, tuple(deps), self._param_values(stage), (), outside)

    def source(self, stage: Stage, source: str) -> Mapping[str, object] | None:
        """What dvc.lock would say of a dep that is no file of the project; None where there is nothing.

        Raises
        ------
        NotFound
            No dvc.yaml declares the dataset.
        StoreError
            The storage of a URL does not answer, or tells nothing that changes with the content.
        """
        if source.startswith("ds://"):
            found = self._dataset(stage, source)
            return None if found is None else {"dataset": found}
        if source not in self._seen:
            from nbexp.store import sources

            try:
                self._seen[source] = sources.look(source, self.root / ".dvc")
            except StoreError as error:
                self._seen[source] = error
        seen = self._seen[source]
        if isinstance(seen, StoreError):
            raise seen
        return seen

    def _if_told(self, stage: Stage, source: str) -> Mapping[str, object] | None:
        """The same; without a network nobody can tell, and what is looked at is not in order."""
        try:
            return self.source(stage, source)
        except StoreError:
            return None

    def look_again(self) -> None:
        """Whatever was seen of URLs may be another by now."""
        self._seen.clear()

    def _dataset(self, stage: Stage, source: str) -> Mapping[str, object] | None:
        """The dataset's entry in the dvc.lock beside the file that declares it, if it is one of this dataset."""
        name = source.removeprefix("ds://")
        if name not in stage.datasets:
            near = nearest(name, stage.datasets)
            raise NotFound(
                f"Stage `{stage.name}` reads the dataset `{name}`, which no dvc.yaml declares.",
                f"did you mean `{near}`?"
                if near
                else f"`dvc ds add` declares one, or correct deps in {stage.file}.",
            )
        file, declared = stage.datasets[name]
        held = self.lock(posixpath.join(posixpath.dirname(file), "dvc.lock")).others.get("datasets")
        for entry in held if isinstance(held, list) else ():
            if isinstance(entry, Mapping) and entry.get("name") == name:
                same = all(entry.get(key) == declared.get(key) for key in ("url", "type"))
                if declared.get("type") == "dvc":
                    same = same and (entry.get("path") or "") == (declared.get("path") or "")
                    same = same and entry.get("rev") == declared.get("rev")
                return entry if same else None
        return None

    def hash(self, path: str) -> Hash | None:
        """What is at a path relative to the root, None where nothing is."""
        return self.cache.hash(self.root / path)

    def require_inputs(self, stages: Sequence[Stage], graph: Graph) -> None:
        """Make sure that all which no stage will write is there, before anything runs.

        Raises
        ------
        NotFound
            A wdir, dep or params file is missing and no stage of the graph writes it, or a params
            file lacks a key; the nearest key is in the hint.
        ProjectFileError
            A dvc.lock or params file cannot be read, an output lies behind a link out of the project, or a
            stage has no command.
        """
        for stage in stages:
            if stage.data is None:
                self.lock(stage.lock_file)
            self._require_inside(stage)
            if stage.spec.frozen:
                continue
            if stage.lacks_a_command:
                raise ProjectFileError(
                    f"stage `{stage.name}` has no command to run. Nothing was run.",
                    "give it a `cmd`, or `frozen: true`.",
                    path=stage.file,
                    line=stage.spec.line,
                )
            if graph.owner(stage.cwd) is None and not (self.root / stage.cwd).is_dir():
                raise NotFound(
                    f"The wdir `{stage.spec.wdir}` of stage `{stage.name}` is no directory. "
                    "Nothing was run.",
                    f"create it, or correct wdir in {stage.file}.",
                )
            for dep in stage.deps:
                place = self.root / dep.path
                if graph.owner(dep.path) is None and not (place.is_file() or place.is_dir()):
                    raise _missing_dep(stage, dep, self.root)
            for source in stage.sources:
                self._require_source(stage, source)
            for param in stage.params:
                if graph.owner(param.path) is None:
                    self._require_params(stage, param)

    def missing_param(self, stage: Stage) -> NotFound | None:
        """What the stage reads of a params file and is not there, as an error to raise."""
        try:
            for param in stage.params:
                self._require_params(stage, param, "")
        except NotFound as error:
            return error
        return None

    def tree(self, path: str) -> object:
        """The parsed params file at `path`, `values.MISSING` where there is none."""
        data = self.files.read(path)
        if data is None:
            return values.MISSING
        key = (path, data)
        if key not in self._parsed:
            self._parsed[key] = values.parse(data, path)
        return self._parsed[key]

    def notebook_identity(self, path: str, md5: str) -> str | None:
        """What the notebook at `path` meant when its md5 was this; None when nobody knows any more."""
        known = self.cache.memo("notebook", md5)
        if known is None:
            data = self._meanings.notebook(path, md5)
            if data is None:
                return None
            from nbexp.formats import notebook

            known = notebook.identity(data, path)
            self.cache.remember("notebook", md5, known)
        return known

    def _param_values(self, stage: Stage) -> dict[str, dict[str, object]]:
        found: dict[str, dict[str, object]] = {}
        for param in sorted(
            stage.params, key=lambda param: (param.spelled != "params.yaml", param.spelled)
        ):
            tree = self.tree(param.path)
            if tree is values.MISSING:
                continue
            keys: Sequence[str] = param.keys
            if not keys:
                whole = tree if isinstance(tree, Mapping) else {}
                found.setdefault(param.spelled, {}).update({str(key): whole[key] for key in whole})
                continue
            section = found.setdefault(param.spelled, {})
            for key in keys:
                value = values.lookup(tree, key)
                if value is not values.MISSING:
                    section[key] = value
        return {path: dict(sorted(section.items())) for path, section in found.items()}

    def _require_inside(self, stage: Stage) -> None:
        """What a stage writes is made anew, so nothing of it may be somebody else's."""
        for folder in {os.path.dirname(out.path) for out in stage.outs} - self._inside:
            real = os.path.realpath(self.root / folder)
            top = os.path.realpath(self.root)
            if real != top and not real.startswith(top + os.sep):
                out = next(one for one in stage.outs if os.path.dirname(one.path) == folder)
                raise ProjectFileError(
                    f"the output `{out.spelled}` of stage `{stage.name}` lies behind a symbolic link that "
                    "leads out of the project. Nothing was run.",
                    f"put a folder in the place of the link, or correct outs of `{stage.name}`.",
                    path=stage.file,
                    line=stage.spec.line,
                )
            self._inside.add(folder)

    def _require_source(self, stage: Stage, source: str) -> None:
        if self.source(stage, source) is not None:
            return
        if source.startswith("ds://"):
            name = source.removeprefix("ds://")
            raise NotFound(
                f"dvc.lock does not hold the dataset `{name}` as {stage.datasets[name][0]} declares it. "
                "Nothing was run.",
                f"`dvc ds update {name}` looks it up.",
            )
        raise NotFound(
            f"Dep `{remotes.without_secrets(source)}` of stage `{stage.name}` does not exist. Nothing was run.",
            f"correct deps in {stage.file}.",
        )

    def _require_params(
        self, stage: Stage, param: Param, behind: str = " Nothing was run."
    ) -> None:
        tree = self.tree(param.path)
        if tree is values.MISSING:
            raise NotFound(
                f"Params file `{param.path}` of stage `{stage.name}` does not exist.{behind}",
                f"create it, or correct params in {stage.file}.",
            )
        for key in param.keys:
            if values.lookup(tree, key) is values.MISSING:
                near = values.nearest(key, tree)
                hint = f"did you mean `{near}`?" if near else f"add `{key}` to {param.path}."
                raise NotFound(
                    f"No param `{key}` in {param.path}, which stage `{stage.name}` reads.{behind}",
                    hint,
                )

    def _deps(
        self, stage: Stage, now: LockedStage, entry: LockedStage | None
    ) -> tuple[list[Reason], LockedStage | None]:
        then = {dep.path: dep for dep in entry.deps} if entry else {}
        today = {dep.path: dep for dep in now.deps}
        notebooks = notebook_sources(stage)
        reasons = _source_reasons(stage, now, entry)
        refreshed = entry
        for dep in stage.deps:
            old, new = then.get(dep.spelled), today.get(dep.spelled)
            # DVC calls what is no file of the project by its absolute path.
            path = os.path.normpath(self.root / dep.path) if dep.is_outside else dep.path
            if new is None:
                reasons.append(Reason("dep", dep.spelled, "deleted", path=path))
            elif old is None:
                reasons.append(Reason("dep", dep.spelled, "new", path=path))
            elif not same_content(old, new, self.root / dep.path, self.cache):
                if dep.path in notebooks and self._same_notebook(dep, old, new):
                    assert refreshed is not None
                    refreshed = _with_dep(refreshed, new)
                else:
                    reasons.append(Reason("dep", dep.spelled, "modified", path=path))
        return reasons, refreshed if refreshed is not entry else None

    def _same_notebook(self, dep: Dep, old: LockedPath, new: LockedPath) -> bool:
        before = self.notebook_identity(dep.path, old.md5)
        if before is None:
            return False
        after = self.cache.memo("notebook", new.md5)
        if after is None:
            from nbexp.formats import notebook

            data = self.files.read(dep.path)
            after = notebook.identity(data, dep.path) if data is not None else None
            if after is not None:
                self.cache.remember("notebook", new.md5, after)
        return before == after

    def _outs(self, stage: Stage, entry: LockedStage | None) -> list[Reason]:
        then = {out.path: out for out in entry.outs} if entry else {}
        reasons = []
        for out in stage.outs:
            state = self._out_state(out, then.get(out.spelled))
            if state is not None:
                reasons.append(Reason("out", out.spelled, state, path=out.path))
        return reasons

    def _out_state(self, out: Out, old: LockedPath | None) -> State | None:
        """What is wrong with an output, in DVC's order: a lost object comes before a missing file."""
        found = self.hash(out.path)
        if old is not None and out.cache and not self.cache.has(hash_of(old)):
            return "not in cache"
        if found is None:
            return "deleted"
        if old is None:
            return "new"
        now = locked_path(out.spelled, found)
        if not same_content(old, now, self.root / out.path, self.cache):
            return "modified"
        return None


def _source_reasons(stage: Stage, now: LockedStage, entry: LockedStage | None) -> list[Reason]:
    """What is other with the deps that are no files of the project."""
    reasons = []
    then = {source.path: source.state for source in entry.sources} if entry else {}
    today = {source.path: source.state for source in now.sources}
    for source in stage.sources:
        old, new = then.get(source), today.get(source)
        if new is None:
            # DVC's word for a dataset whose entry in dvc.lock is not what dvc.yaml says.
            state: State = "not in sync" if source.startswith("ds://") else "deleted"
            reasons.append(Reason("dep", source, state, path=source))
        elif old is None:
            reasons.append(Reason("dep", source, "new", path=source))
        elif old != new:
            reasons.append(Reason("dep", source, "modified", path=source))
    return reasons


def without_missing(check: Check, inspector: Inspector, graph: Graph) -> Check:
    """The look without what is merely absent, as `--allow-missing` has it (formats.md 4.5).

    A dep that is absent counts all the same where the stage that writes it has made another one since.
    """
    written = {
        out.path: hash_of(locked).md5
        for stage in graph.needs[check.stage]
        for out in stage.outs
        for locked in _locked_outs(stage, inspector)
        if locked.path == out.spelled
    }
    read = {dep.path: dep.md5 for dep in check.locked.deps} if check.locked else {}
    kept = []
    for reason in check.reasons:
        if reason.kind == "out" and reason.state in {"deleted", "not in cache"}:
            continue
        if reason.kind == "param" and reason.file_state == "deleted":
            continue
        if reason.kind == "dep" and reason.state == "deleted":
            made = written.get(reason.path)
            if made is None or made == read.get(reason.subject):
                continue
        kept.append(reason)
    return replace(check, reasons=tuple(kept))


def _locked_outs(stage: Stage, inspector: Inspector) -> Sequence[LockedPath]:
    entry = inspector.locked(stage)
    return entry.outs if entry is not None else ()


class Meanings(Protocol):
    """Finds what the index has forgotten."""

    def notebook(self, path: str, md5: str) -> bytes | None:
        """The notebook at `path` whose bytes had this md5, from Git; None when it is nowhere."""


def locked_path(spelled: str, found: Hash) -> LockedPath:
    """The dvc.lock entry of a path with this content."""
    return LockedPath(
        path=spelled, md5=found.md5, size=found.size, nfiles=found.nfiles, isexec=found.isexec
    )


def hash_of(locked: LockedPath) -> Hash:
    """The content that a dvc.lock entry stands for."""
    size = -1 if locked.size is None else locked.size
    return Hash(locked.md5, size, locked.nfiles, locked.isexec)


def same_content(old: LockedPath, new: LockedPath, path: Path, cache: Cache) -> bool:
    """Whether the lock's entry still describes what is on disk at `path`.

    Entries of DVC 2.x hold the digest of text with its line ends made Unix's (formats.md 3.2).
    """
    if not old.legacy:
        return old.md5 == new.md5
    found = cache.hash(path, legacy=True)
    return found is not None and found.md5 == old.md5


def notebook_sources(stage: Stage) -> frozenset[str]:
    """The deps (relative to the root) that the stage runs as notebooks."""
    found = set()
    for command in stage.spec.commands:
        source = kinds.notebook_source(command)
        if source is not None:
            found.add(stage.place(source))
    return frozenset(found)


def inner_deps(stage: Stage, graph: Graph) -> frozenset[str]:
    """The deps, as spelled, that another stage writes."""
    return frozenset(
        dep.spelled
        for dep in stage.deps
        if any(
            is_inside(dep.path, out.path) or is_inside(out.path, dep.path)
            for other in graph.needs[stage]
            for out in other.outs
        )
    )


def _with_dep(entry: LockedStage, dep: LockedPath) -> LockedStage:
    deps = tuple(dep if old.path == dep.path else old for old in entry.deps)
    return replace(entry, deps=deps)


def params_reasons(stage: Stage, now: LockedStage, entry: LockedStage | None) -> list[Reason]:
    """The params of the stage that `now` and the entry of dvc.lock do not agree on, to the leaf."""
    reasons = []
    for param in stage.params:
        then = entry.params.get(param.spelled, {}) if entry else {}
        today = now.params.get(param.spelled, {})
        whole: Literal["", "new", "deleted"] = ""
        if param.spelled not in now.params:
            whole = "deleted"
        elif entry is None or param.spelled not in entry.params:
            whole = "new"
        keys = sorted(set(param.keys) or {*then, *today})
        if whole and not keys:  # a file that is listed as a whole, and that nothing is known of
            reasons.append(
                Reason("param", param.spelled, whole, "", (param.spelled, ""), param.path, whole)
            )
        for key in keys:
            declared = (param.spelled, key)
            found: list[Reason] = []
            if key not in today:
                found.append(Reason("param", ":".join(declared), "deleted", declared=declared))
            elif key not in then:
                found.append(Reason("param", ":".join(declared), "new", declared=declared))
            elif _differs(then[key], today[key]):
                found += _value_reasons(declared, then[key], today[key])
            reasons += [replace(one, path=param.path, file_state=whole) for one in found]
    return reasons


def _differs(old: object, new: object) -> bool:
    if isinstance(old, tuple):
        old = list(old)
    if isinstance(new, tuple):
        new = list(new)
    is_nan = old != old and new != new
    return old != new and not is_nan


def _value_reasons(declared: tuple[str, str], old: object, new: object) -> list[Reason]:
    """One reason for each leaf that differs, so that it names `train.lr` and not all of `train`."""
    subject = ":".join(declared)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        before, after = values.flatten(old), values.flatten(new)
        found = [
            Reason(
                "param",
                f"{subject}.{key}",
                "modified",
                f"{shown(before.get(key, values.MISSING))} -> {shown(after.get(key, values.MISSING))}",
                declared,
            )
            for key in sorted(set(before) | set(after))
            if before.get(key, values.MISSING) != after.get(key, values.MISSING)
        ]
        if found:
            return found
    return [Reason("param", subject, "modified", f"{shown(old)} -> {shown(new)}", declared)]


def shown(value: object) -> str:
    """A param or metric value as one line of text."""
    if value is values.MISSING:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not value.isprintable():
        return repr(value)
    return "null" if value is None else str(value)


def _missing_dep(stage: Stage, dep: Dep, root: Path) -> NotFound:
    place = root / dep.path
    siblings = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
    near = nearest(place.name, [name for name in siblings if name != place.name])
    hint = f"did you mean `{near}`?" if near else f"create it, or correct deps in {stage.file}."
    wrong = "is neither a file nor a directory" if place.exists() else "does not exist"
    return NotFound(f"Dep `{dep.path}` of stage `{stage.name}` {wrong}. Nothing was run.", hint)
