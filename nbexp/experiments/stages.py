"""The stages of a project's pipelines, to list and to add to: what `project.stage` offers."""

from __future__ import annotations

import builtins
import posixpath
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import ProjectFileError, UsageError
from nbexp.events import Emit, ignore
from nbexp.formats import ignore as gitignore
from nbexp.formats.dvc_yaml import OutSpec, StageSpec, adding
from nbexp.frozen import frozen
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.stage import Stage
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.place import GitIgnores
    from nbexp.experiments.workspace import InPlace
    from nbexp.git import Git
    from nbexp.store.cache import Cache

_LONGEST = 80


@frozen
class StageList(Result):
    """Stages as one types them here, each with what it is for: its description, or what it writes."""

    stages: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"<StageList: {len(self.stages)} stages>"

    def to_json(self) -> builtins.list[dict[str, str]]:
        return [{"name": name, "description": text} for name, text in self.stages]


@frozen
class AddedStage(Result):
    """A stage that is in dvc.yaml now; `changed` are the files that were written, `replaced` if it was there.

    `staged` if they are in Git's index as well (`core.autostage`).
    """

    name: str
    file: str
    changed: tuple[str, ...]
    replaced: bool = False
    staged: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "file": self.file,
            "changed": [*self.changed],
            "replaced": self.replaced,
        }


class Stages:
    """What one does with the stages of a project; get it as `project.stage`."""

    def __init__(self, root: Path, here: str, git: Git, cache: Cache) -> None:
        self._root = root
        self._here = here
        self._git = git
        self._cache = cache

    def list(
        self,
        targets: Sequence[str] = (),
        *,
        everywhere: bool = False,
        recursive: bool = False,
        strict: bool = False,
    ) -> StageList:
        """The stages of ./dvc.yaml, or those that the targets name.

        Parameters
        ----------
        targets
            Stages, dvc.yaml or .dvc files, outputs; with `recursive` directories as well.
        everywhere
            All stages of the project; `targets` does not count.
        strict
            A file elsewhere in the project that cannot be read is an error; else its stages are left out.
        """
        graph = graphs.load(self._root) if strict else graphs.load_readable(self._root)
        found = (
            graph.stages
            if everywhere
            else graph.targets(tuple(targets), self._here, recursive=recursive, outs=True)
        )
        return StageList(tuple((stage.address(self._here), description(stage)) for stage in found))

    def add(
        self,
        name: str,
        cmd: str,
        *,
        deps: Sequence[str] = (),
        params: Sequence[object] = (),
        outs: Sequence[object] = (),
        metrics: Sequence[object] = (),
        plots: Sequence[object] = (),
        wdir: str | None = None,
        desc: str | None = None,
        always_changed: bool = False,
        force: bool = False,
        emit: Emit = ignore,
    ) -> AddedStage:
        """Add a stage to ./dvc.yaml, and its outputs to what Git ignores; `undo` takes it back.

        What is given is as dvc.yaml has it: an output is a path, or `{path: {"cache": False}}`; a param is a
        key of params.yaml, or `{"other.yaml": ["lr"]}`. Everything else in the file stays byte for byte.

        Parameters
        ----------
        wdir
            Where the command runs, relative to here; the other paths are then relative to it.
        force
            Replace a stage of that name. What `stage add` has no option for stays as it was: description,
            `meta`, and the labels, remote and `push` of outputs that it keeps.

        Raises
        ------
        UsageError
            The definition cannot be, or makes no pipeline with the other stages. Nothing was written.
        ProjectFileError
            The file is not as it should be. Nothing was written.
        """
        from nbexp.experiments.workspace import InPlace

        definition = {
            "desc": desc,
            "cmd": cmd,
            "wdir": wdir,
            "deps": [*deps],
            "params": [*params],
            "outs": [*outs],
            "metrics": [*metrics],
            "plots": [*plots],
            "always_changed": always_changed,
        }
        given: dict[str, object] = {key: value for key, value in definition.items() if value}
        if posixpath.normpath(wdir or ".") == ".":
            given.pop("wdir", None)  # where it runs anyway
        path = posixpath.normpath(posixpath.join(self._here, "dvc.yaml"))
        with InPlace(self._git, self._cache, self._root).held(emit) as workspace:
            before = graphs.bytes_of(self._root, path)
            old = None if before is None else adding.stage_as_written(before, name, path)
            given = _with_what_stays(given, old) if force and old is not None else given
            data = adding.add_stage(
                before,
                name,
                given,
                path=path,
                force=force,
                read=partial(graphs.bytes_of, self._root),
            )
            stage = self._checked(data, path, name)
            changed = self._written(workspace, data, before, stage, path)
            staged = self._staged(changed)
        shown = tuple(posixpath.relpath(place, self._here) for place in changed)
        return AddedStage(name, posixpath.relpath(path, self._here), shown, old is not None, staged)

    def _staged(self, changed: Sequence[str]) -> bool:
        """With `core.autostage`, what was written is in Git's index; whether it is."""
        from nbexp.experiments.place import home, prefix
        from nbexp.formats import config

        settings = config.read(self._root / ".dvc", home=home())
        if not changed or not settings.is_on("core", "autostage"):
            return False
        top = prefix(self._git, self._root)
        self._git.run("add", "--", *(posixpath.join(top, path) for path in changed))
        return True

    def _checked(self, data: bytes, path: str, name: str) -> Stage:
        """The stage among all others, when they still make a pipeline."""
        texts = {
            place: graphs.bytes_of(self._root, place) for place in graphs.stage_files(self._root)
        }
        try:
            graph = graphs.load(
                self._root,
                {**{place: text or b"" for place, text in texts.items()}, path: data},
            )
        except ProjectFileError as error:
            if error.path != path:
                raise
            # The line is one of a text that nobody has seen.
            message = error.message.removeprefix(f"{path}, line {error.line}: ")
            message = f"{message[0].upper()}{message[1:]} Nothing was written."
            raise UsageError(message, error.hint) from None
        stage = next(one for one in graph.stages if one.file == path and one.name == name)
        _check_paths(stage, self._root)
        self._refuse_what_git_tracks(stage)
        return stage

    def _refuse_what_git_tracks(self, stage: Stage) -> None:
        """What DVC keeps, Git must not: the next run would be refused, or the data committed."""
        from nbexp.experiments.place import prefix

        top = prefix(self._git, self._root)
        names = {posixpath.join(top, out.path): out for out in stage.outs if out.spec.cache}
        held = self._git.is_tracked(names) if names else ()
        for name, out in names.items():
            if name in held:
                raise UsageError(
                    f"`{out.spelled}`, an output of stage `{stage.name}`, is tracked by Git. Nothing was written.",
                    f"`git rm -r --cached {shlex.quote(out.spelled)}` and a commit take it out of Git; the file stays.",
                )

    def _written(
        self,
        workspace: InPlace,
        data: bytes,
        before: bytes | None,
        stage: Stage,
        path: str,
    ) -> tuple[str, ...]:
        from nbexp.experiments.place import GitIgnores

        files = {path: data} if data != before else {}
        files.update(self._ignore_files(stage, GitIgnores(self._git, workspace.prefix)))
        with workspace.changing(f"stage add {stage.name}"):
            for place, text in files.items():
                workspace.write(place, text)
            undo_point = workspace.undo_point()
            if undo_point is not None:
                self._git.commit(undo_point)
        return tuple(files)

    def _ignore_files(self, stage: Stage, ignores: GitIgnores) -> dict[str, bytes]:
        """The .gitignore files with the stage's cached outputs in them, as far as their folders are there."""
        places = [stage.place(out.path) for out in _in_order(stage.spec) if out.cache]
        places = [place for place in places if (self._root / posixpath.dirname(place)).is_dir()]
        files: dict[str, bytes] = {}
        already = ignores.ignored(places)
        for place in places:
            folder, name = posixpath.split(place)
            path = posixpath.join(folder, ".gitignore")
            before = files.get(path, graphs.bytes_of(self._root, path))
            changed = gitignore.add_line(before, name)
            if place not in already and changed is not None:
                files[path] = changed
        return files


def description(stage: Stage) -> str:
    """What a stage is for, in one line, in DVC's words."""
    lines = [line for line in (stage.spec.desc or "").splitlines() if line]
    text = lines[0].strip() if lines else _writes(stage)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _writes(stage: Stage) -> str:
    outs = [out.spelled for out in stage.outs if out.spec.bucket == "outs"]
    reports = [out.spelled for out in stage.outs if out.spec.bucket != "outs"]
    parts = ["Outputs " + ", ".join(outs)] * bool(outs)
    parts += ["Reports " + ", ".join(reports)] * bool(reports)
    reads = [dep.spelled for dep in stage.deps] + [param.spelled for param in stage.params]
    if not parts and reads:
        return "Depends on " + ", ".join(reads)
    return "; ".join(parts) or "No outputs or dependencies"


def _with_what_stays(given: Mapping[str, object], old: StageSpec) -> dict[str, object]:
    """The new definition with what only the file can say of the old one."""
    kept: dict[str, object] = {**given, "desc": given.get("desc") or old.desc, "meta": old.meta}
    notes = {
        out.path: {
            key: value
            for key, value in {
                "desc": out.desc,
                "type": out.type,
                "labels": [*out.labels],
                "meta": out.meta,
                "remote": out.remote,
                "push": None if out.push else False,
            }.items()
            if value or value is False
        }
        for out in old.outs
    }
    for bucket in ("outs", "metrics", "plots"):
        listed = given.get(bucket)
        if isinstance(listed, builtins.list):
            kept[bucket] = [_with_notes(item, notes) for item in listed]
    return {key: value for key, value in kept.items() if value}


def _with_notes(item: object, notes: Mapping[str, Mapping[str, object]]) -> object:
    options = item if isinstance(item, Mapping) else {item: {}}
    return (
        {path: {**notes.get(path, {}), **(chosen or {})} for path, chosen in options.items()}
        if any(notes.get(path) for path in options)
        else item
    )


def _in_order(spec: StageSpec) -> Iterator[OutSpec]:
    """The outputs in the order in which DVC has them ignored."""
    yield from (out for out in spec.outs if out.bucket == "outs" and out.persist)
    yield from (out for out in spec.outs if out.bucket != "outs")
    yield from (out for out in spec.outs if out.bucket == "outs" and not out.persist)


def _check_paths(stage: Stage, root: Path) -> None:
    if not (root / stage.cwd).is_dir():
        raise UsageError(
            f"There is no directory {stage.spec.wdir} for the command to run in. Nothing was written.",
            f"`mkdir {stage.spec.wdir}`",
        )
    seen: set[str] = set()
    for path in [dep.path for dep in stage.deps] + [out.path for out in stage.outs]:
        if path in seen:
            raise UsageError(f"`{path}` is given more than once. Nothing was written.")
        seen.add(path)
