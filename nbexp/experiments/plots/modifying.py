"""Say how the plot of a stage is drawn: `plots modify` writes it into dvc.yaml."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from nbexp.errors import NotFound, nearest
from nbexp.events import Emit
from nbexp.experiments.data import Site
from nbexp.formats import plot_properties
from nbexp.frozen import field, frozen
from nbexp.pipeline import graph as graphs
from nbexp.results import Result


@frozen
class PlotModified(Result):
    """A plot of a stage, and the properties it has now; `path` is the file that says so, `changed` whether it did not."""

    plot: str
    stage: str
    path: str
    properties: Mapping[str, object] = field(hash=False)
    changed: bool

    def to_json(self) -> dict[str, object]:
        return {
            "plot": self.plot,
            "stage": self.stage,
            "path": self.path,
            "properties": dict(self.properties),
            "changed": self.changed,
        }


def modify(
    site: Site, target: str, given: Mapping[str, object], unset: Sequence[str] | None, emit: Emit
) -> PlotModified:
    """Set and take away properties of a stage's output, which becomes a plot; `undo` takes it back.

    Raises
    ------
    NotFound
        No stage writes it, or a property to take away is not there. Nothing was written.
    UsageError
        It is no plot and a property is to be taken away, or it comes from a template. Nothing was written.
    """
    place = posixpath.normpath(posixpath.join(site.here, target))
    with site.workspace().held(emit) as workspace:
        graph = site.graph()
        known = {out.path: (stage, out) for stage, out in graph.outs}
        if place not in known:
            written = [posixpath.relpath(path, site.here or ".") for path in known]
            near = nearest(target, written)
            raise NotFound(
                f"No stage writes `{target}`. Nothing was written.",
                f"did you mean `{near}`?"
                if near
                else "a file that no stage writes goes under `plots:` at the top of dvc.yaml.",
            )
        stage, out = known[place]
        if stage.data is not None:
            raise NotFound(
                f"`{target}` is data that {stage.file} tracks, and no stage writes it. Nothing was written.",
                f"put it under `plots:` at the top of dvc.yaml: `- {place}: {{x: step}}`.",
            )
        before = graphs.bytes_of(site.root, stage.file)
        assert before is not None, stage.file
        data = plot_properties.changed(before, stage.file, stage.name, out.spelled, given, unset)
        if data != before:
            with workspace.changing(f"plots modify {target}"):
                workspace.write(stage.file, data)
                undo_point = workspace.undo_point()
                if undo_point is not None:
                    site.git.commit(undo_point)
        changed = graphs.load(site.root)
    properties = next(one.spec.plot for _, one in changed.outs if one.path == place)
    shown = posixpath.relpath(stage.file, site.here or ".")
    return PlotModified(target, stage.name, shown, properties, data != before)
