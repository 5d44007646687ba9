"""What the detector proposes: stages with the reason for each entry, and the dvc.yaml that says the same."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path

from nbexp.formats import editing, values
from nbexp.formats.dvc_yaml import adding
from nbexp.formats.editing import Edit
from nbexp.frozen import field, frozen
from nbexp.results import Result


@frozen
class Entry:
    """One line of a stage: a path, or a params file's key, relative to the project, and why it is there.

    Attributes
    ----------
    path
        A file or folder; of params the file that the key stands in.
    key
        Of params only: empty is the whole file.
    files
        Of a folder: what of it is read or written, as far as it is known.
    """

    path: str
    why: str
    key: str = ""
    files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.path}:{self.key}" if self.key else self.path


@frozen
class ProposedStage:
    """A stage as it would stand in dvc.yaml; paths are relative to the project.

    Attributes
    ----------
    source
        The script or notebook.
    values
        What is to be added to params.yaml under the stage's name: values that the code has now.
    is_traced
        Whether it ran to its end in the copy; `problem` says why not.
    output
        Of a notebook: where its executed copy goes.
    """

    name: str
    source: str
    cmd: str
    wdir: str = "."
    deps: tuple[Entry, ...] = ()
    params: tuple[Entry, ...] = ()
    outs: tuple[Entry, ...] = ()
    metrics: tuple[Entry, ...] = ()
    plots: tuple[Entry, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    is_traced: bool = False
    problem: str = ""
    output: str | None = None
    in_git: frozenset[str] = frozenset()

    def definition(self) -> dict[str, object]:
        """The stage in the words of dvc.yaml."""
        stage: dict[str, object] = {"cmd": self.cmd}
        if self.wdir != ".":
            stage["wdir"] = self.wdir
        stage["deps"] = [
            self._spelled(path) for path in (self.source, *(e.path for e in self.deps))
        ]
        params: dict[str, list[str]] = {}
        for entry in self.params:
            params.setdefault(self._spelled(entry.path), []).append(entry.key)
        if params:
            stage["params"] = [
                key
                for file, keys in params.items()
                for key in (
                    keys
                    if file == "params.yaml" and all(keys)
                    else [{file: keys if all(keys) else None}]
                )
            ]
        outs: list[object] = [] if self.output is None else [self._spelled(self.output)]
        for entry in self.outs:
            path = self._spelled(entry.path)
            outs.append({path: {"cache": False}} if entry.path in self.in_git else path)
        if outs:
            stage["outs"] = outs
        for bucket, entries in (("metrics", self.metrics), ("plots", self.plots)):
            if entries:
                stage[bucket] = [{self._spelled(e.path): {"cache": False}} for e in entries]
        return stage

    def _spelled(self, path: str) -> str:
        return posixpath.relpath(path, self.wdir)

    def to_json(self) -> dict[str, object]:
        return {
            "source": self.source,
            "cmd": self.cmd,
            "wdir": self.wdir,
            **{
                kind: {entry.name: entry.why for entry in getattr(self, kind)}
                for kind in ("deps", "params", "outs", "metrics", "plots")
            },
            "traced": self.is_traced,
            "problem": self.problem or None,
        }


@frozen
class Proposal(Result):
    """The pipeline that was found; nothing is written yet.

    Attributes
    ----------
    stages
        In the order they run in.
    left_out
        (file, why) of scripts that are no stages.
    notes
        What the user should know before it is written, a sentence each.
    untraced
        The scripts that a traced run would run, where there was none.
    """

    root: Path
    stages: tuple[ProposedStage, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    untraced: tuple[str, ...] = ()

    def files(self) -> dict[str, bytes]:
        """dvc.yaml and params.yaml as they would be, relative to the project; all else in them is kept."""
        found: dict[str, bytes] = {}
        pipeline, params = _bytes(self.root / "dvc.yaml"), self.params()

        def read(path: str) -> bytes | None:
            return params if path == "params.yaml" and params else _bytes(self.root / path)

        for stage in self.stages:
            pipeline = adding.add_stage(pipeline, stage.name, stage.definition(), read=read)
        if pipeline is not None and self.stages:
            found["dvc.yaml"] = pipeline
        if params is not None:
            found["params.yaml"] = params
        return found

    def params(self) -> bytes | None:
        """params.yaml with what the stages add to it; None where they add nothing."""
        params = _bytes(self.root / "params.yaml")
        is_more = False
        for stage in self.stages:
            if stage.values:
                params, is_more = _with_values(params, stage.name, stage.values), True
        return params if is_more else None

    def to_json(self) -> dict[str, object]:
        return {
            "root": str(self.root),
            "stages": {stage.name: stage.to_json() for stage in self.stages},
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            "files": {path: data.decode() for path, data in self.files().items()},
        }


def _with_values(data: bytes | None, stage: str, given: Mapping[str, object]) -> bytes:
    """params.yaml with the stage's values that it lacks."""
    tree = values.parse(data, "params.yaml") if data else None
    present = values.lookup(tree, stage) if tree else values.MISSING
    if present is values.MISSING:
        return editing.edit(data or b"", "params.yaml", [Edit(stage, dict(given), "add", True)])
    lacking = {
        k: v for k, v in given.items() if not isinstance(present, Mapping) or k not in present
    }
    edits = [Edit(f"{stage}.{key}", value, "add", True) for key, value in lacking.items()]
    return editing.edit(data or b"", "params.yaml", edits) if edits else data or b""


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
