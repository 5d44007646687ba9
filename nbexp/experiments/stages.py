"""The stages of a project's pipelines as things to list: what `project.stage` offers."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from pathlib import Path

from nbexp.frozen import frozen
from nbexp.pipeline.stage import Stage
from nbexp.results import Result

_LONGEST = 80


@frozen
class StageList(Result):
    """Stages as one types them here, each with what it is for: its description, or what it writes."""

    stages: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"<StageList: {len(self.stages)} stages>"

    def to_json(self) -> builtins.list[dict[str, str]]:
        return [{"name": name, "description": text} for name, text in self.stages]


class Stages:
    """What one does with the stages of a project; get it as `project.stage`."""

    def __init__(self, root: Path, here: str) -> None:
        self._root = root
        self._here = here

    def list(self, targets: Sequence[str] = (), *, everywhere: bool = False) -> StageList:
        """The stages of ./dvc.yaml, or those that the targets name; `everywhere`: of the whole project."""
        from nbexp.pipeline import graph as graphs

        graph = graphs.load(self._root)
        found = graph.stages if everywhere else graph.targets(tuple(targets), self._here)
        return StageList(
            tuple((stage.address(self._here), description(stage)) for stage in dict.fromkeys(found))
        )


def description(stage: Stage) -> str:
    """What a stage is for, in one line, in DVC's words."""
    text = (stage.spec.desc or "").strip().partition("\n")[0] or _written(stage)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _written(stage: Stage) -> str:
    outs = [out.spelled for out in stage.outs if out.spec.bucket == "outs"]
    reports = [out.spelled for out in stage.outs if out.spec.bucket != "outs"]
    parts = ["Outputs " + ", ".join(outs)] * bool(outs)
    parts += ["Reports " + ", ".join(reports)] * bool(reports)
    if not parts and stage.deps:
        return "Depends on " + ", ".join(dep.spelled for dep in stage.deps)
    return "; ".join(parts) or "No outputs or dependencies"
