"""The cell of an experiment run again, in a fresh kernel beside the user's files.

Only the cell runs: the stages of the project that the experiment holds results of are brought back as far as the cell
reads their outputs, and are not run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.errors import NotFound
from nbexp.experiments import (
    again,
    cell_tree,
    composition,
    environment,
    isolated,
    naming,
    temp,
)
from nbexp.experiments import spec as specs
from nbexp.experiments.cell_needs import Read
from nbexp.experiments.freezing import Snapshot, View
from nbexp.experiments.place import files_of
from nbexp.frozen import replace

if TYPE_CHECKING:
    from nbexp.events import Emit
    from nbexp.experiments.again import Asked, Source
    from nbexp.experiments.run import Place, Ran
    from nbexp.pipeline.context import How
    from nbexp.pipeline.stage import Stage


def run(
    place: Place,
    source: Source,
    folder: str,
    lacking: Sequence[Read],
    asked: Asked,
    refs: Mapping[str, str],
    emit: Emit,
    *,
    how: How,
) -> tuple[Ran, Sequence[Stage]]:
    """Run the cell of the experiment, with overrides if there are any, and record it beside, on the same baseline.

    Raises
    ------
    NotFound
        The cell read what nothing recorded gives: each name is told. Nothing was run.
    """
    if asked.name is not None:
        naming.refuse_git_names(place.git, asked.name, verb=asked.verb)
    if lacking:
        raise _refused(source.name, lacking)
    # What its params were composed of is in its params.yaml.
    composition.refuse_choices(place.root, asked.overrides, "Nothing was run.")
    which = specs.Which(single=True)
    target = f"{folder}/dvc.yaml:{cell_tree.STAGE}"
    view = View(
        Snapshot(source.rev, source.ref.baseline, os.urandom(8).hex()),
        (),
        files_of(place.git, place.prefix, source.rev),
    )
    spec = specs.make(
        place.root,
        source.ref.baseline,
        refs,
        targets=(target,),
        overrides=asked.overrides,
        name=asked.name,
        message=asked.message,
        force=asked.force,
        new=True,
        how=how,
        which=which,
        run_cache=False,
        hydra=False,
        verb=f"{asked.verb} {source.name}",
        read=view.read,
    )
    # `force` was about the name; that the stage runs, whatever its lock says, is this command's own.
    spec = replace(spec, force=True, carries=again.carried(place.git, source.rev))
    stages = which.stages(isolated.graph_of(place, view, spec.edits), (target,), ".")
    line = environment.again_line(asked.verb, source.name, spec)
    return temp.run_spec(place, spec, view.snapshot, line, emit), stages


def _refused(name: str, lacking: Sequence[Read]) -> NotFound:
    why = {"undefined": "not defined", "secret": "a secret, which is not recorded"}
    told = [f"`{read.name}` ({why.get(read.kind, read.type)})" for read in lacking]
    return NotFound(
        f"The cell of `{name}` read {', '.join(told)} of its session, and nothing recorded gives that. "
        "Nothing was run.",
        f"make `{lacking[0].name}` in the cell itself, or in a function of an earlier cell, and run it again.",
    )
