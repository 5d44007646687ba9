"""An experiment's own state run again: with other values, or as it was.

The workspace becomes what the experiment left and the run goes on from there, in one journal: what stops it puts
everything back, and one `undo` takes everything back. What comes of it is an experiment on the same baseline,
wherever HEAD is.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nbexp.errors import UsageError
from nbexp.experiments import composition, environment, naming, restore
from nbexp.experiments import run as running
from nbexp.experiments import spec as specs
from nbexp.experiments.workspace import InPlace
from nbexp.formats import ref_names
from nbexp.frozen import frozen, replace
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.plan import Disk

if TYPE_CHECKING:
    from nbexp.events import Emit
    from nbexp.experiments.reading import Reader
    from nbexp.experiments.run import Place, Ran
    from nbexp.formats.ref_names import ExpRef
    from nbexp.git import Git
    from nbexp.overrides import Override
    from nbexp.pipeline.context import How
    from nbexp.pipeline.graph import Graph
    from nbexp.pipeline.stage import Stage


@frozen
class Source:
    """The experiment that is run again."""

    ref: ExpRef
    rev: str

    @property
    def name(self) -> str:
        return self.ref.name


@frozen
class Asked:
    """What is to be run again, and how; `force` goes on over edits, and replaces an experiment of the name."""

    verb: Literal["clone", "rerun"]
    overrides: Sequence[Override] = ()
    name: str | None = None
    message: str | None = None
    force: bool = False
    use_run_cache: bool = True


def source(git: Git, what: str | naming.Named) -> Source:
    """The experiment that is meant, by name, rev or start of a rev.

    Raises
    ------
    NotFound
        There is none.
    """
    ref, rev = naming.experiment(git, what)
    parsed = ref_names.parse(ref)
    assert parsed is not None, ref
    return Source(parsed, rev)


def run(
    place: Place,
    source: Source,
    asked: Asked,
    refs: Mapping[str, str],
    emit: Emit,
    *,
    here: str,
    keep: Mapping[str, str],
    how: How,
) -> tuple[Ran, Sequence[Stage]]:
    """Bring the experiment back and run it with the overrides; as `rerun`, every stage of it.

    Parameters
    ----------
    keep
        Files, from the top of the work tree, that must stay as they are: the notebook that asks.
    """
    git, root, verb = place.git, place.root, asked.verb
    if asked.name is not None:
        naming.refuse_git_names(git, asked.name, verb=verb)
    with InPlace(git, place.cache, root).held(emit) as workspace:
        refuse_own_notebook(place, source, keep)
        op = f"{verb} {source.name}"
        restore.bring(workspace, source.rev, source.name, emit, op=op, force=asked.force, keep=keep)
        try:
            # What the experiment was composed of is in its params.yaml.
            composition.refuse_choices(root, asked.overrides, "Nothing was run.")
            spec = specs.make(
                root,
                source.ref.baseline,
                refs,
                here=here if (root / here).is_dir() else ".",
                overrides=asked.overrides,
                name=asked.name,
                message=asked.message,
                force=asked.force,
                new=verb == "rerun",
                how=how,
                hydra=False,
                verb=op,
            )
            # `force` was about the name; whether all stages run is the verb's to say.
            spec = replace(spec, force=verb == "rerun", carries=carried(git, source.rev))
            graph = graphs.load(root, read=Disk(root, spec.edits).read)
            stages = graph.order(_recorded(graph, root))
        except BaseException:
            workspace.roll_back()
            raise
        line = environment.again_line(verb, source.name, spec, run_cache=place.use_run_cache)
        ran = running.run(spec, place, graph, stages, refs, workspace, emit, line, has_begun=True)
        return ran, stages


def differences(git: Git, reader: Reader, old: str, new: str) -> tuple[str, ...]:
    """Files and outputs that two commits do not have alike, by path from the top of the work tree or the root."""
    listed = git.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new)
    files = [path for path in os.fsdecode(listed).split("\0")[:-1] if not path.endswith("dvc.lock")]
    outs = [reader.data(rev).outs for rev in (old, new)]
    paths = {path for one in outs for path in one}
    changed = [path for path in paths if _digest(outs[0].get(path)) != _digest(outs[1].get(path))]
    return tuple(sorted({*files, *changed}))


def carried(git: Git, rev: str) -> tuple[str, ...]:
    """The files of the experiment, all of which are of the new one as far as they are still there."""
    # `dvc exp save` commits a pickle of its own there, by mistake.
    return tuple(path for path in git.tree(rev) if "/.dvc/tmp/" not in f"/{path}")


def refuse_own_notebook(place: Place, source: Source, keep: Mapping[str, str]) -> None:
    """Refuse what would be run in the notebook that asks.

    A notebook that is open stays as it is, so a stage that runs it would not run the experiment's.
    """
    graph: Graph = restore.graph_at(place.git, place.root, place.prefix, source.rev)
    top = f"{place.prefix}/" if place.prefix else ""
    read = {top + dep.path for stage in graph.stages for dep in stage.deps}
    for path in keep:
        entry = place.git.read(f"{source.rev}:{path}")
        file = place.git.root / path
        if path in read and entry is not None and file.is_file() and file.read_bytes() != entry:
            raise UsageError(
                f"{path} is the notebook you are in, and `{source.name}` has another one. Nothing was run.",
                f"in a terminal: `nbexp apply {source.name}`; {posixpath.basename(path)} then is that one.",
            )


def _digest(out: Mapping[str, object] | None) -> object:
    return None if out is None else out.get("hash")


def _recorded(graph: Graph, root: Path) -> tuple[Stage, ...]:
    """The stages that the experiment has results of, as its dvc.lock files, which are in place, say."""
    texts = {
        path: (root / path).read_bytes() if (root / path).is_file() else None
        for path in {stage.lock_file for stage in graph.stages}
    }
    found = [stage for stage in graph.stages if stage.entry_in(texts[stage.lock_file]) is not None]
    return tuple(found) or graph.stages
