"""Plots of any revision: what `project.plots` offers.

The JSON is that of `dvc plots show`, `dvc plots diff` and `dvc plots templates`.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import NotFound, ProjectFileError, StoreError, nearest
from nbexp.events import Emit, Notice, ignore
from nbexp.experiments.data import Site
from nbexp.experiments.plots import matching
from nbexp.experiments.plots.definitions import Options, defined
from nbexp.experiments.plots.held import Held, InCommit, OnDisk, Tree
from nbexp.experiments.plots.matching import Read
from nbexp.experiments.plots.shown import Chart, Picture, Pictures, PlotsShown, Problem
from nbexp.formats import plot_files
from nbexp.frozen import frozen
from nbexp.plots import Spec, templates
from nbexp.plots.templates import rows
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.plots.modifying import PlotModified

__all__ = [
    "Chart",
    "Picture",
    "Pictures",
    "Plots",
    "PlotsShown",
    "Problem",
    "Template",
    "Templates",
]

WORKSPACE = "workspace"


@frozen
class Templates(Result):
    """The names of templates: those that every project has, then the project's own."""

    built_in: tuple[str, ...]
    own: tuple[str, ...] = ()

    def to_json(self) -> object:
        return [*self.built_in, *self.own]

    def __str__(self) -> str:
        return "\n".join([*self.built_in, *self.own])


@frozen
class Template(Result):
    """The chart of a template, its anchors not filled."""

    name: str
    spec: Mapping[str, object]

    def __hash__(self) -> int:
        return hash(self.name)

    def to_json(self) -> object:
        return dict(self.spec)

    def __str__(self) -> str:
        return json.dumps(self.spec, indent=2, ensure_ascii=False)


@frozen
class Settings:
    """What the configuration says of plots: where pages go, what they look like, whether they are opened."""

    folder: str = "dvc_plots"
    template: Path | None = None
    opens: bool = False


class Plots:
    """The plots of any revision; get it as `project.plots`.

    Parameters
    ----------
    resolve
        Gives the commit that a name means.
    folders
        Gives the work trees of runs that go on, by the names of their experiments.
    baseline
        Gives the commit that an experiment starts from; None of what is no experiment.
    """

    def __init__(
        self,
        site: Site,
        resolve: Callable[[str], str],
        folders: Callable[[], Mapping[str, Path]],
        baseline: Callable[[str], str | None],
    ) -> None:
        self._site = site
        self._resolve = resolve
        self._folders = folders
        self._baseline = baseline

    def show(
        self,
        targets: Sequence[str] = (),
        *,
        emit: Emit = ignore,
        **properties: object,
    ) -> PlotsShown:
        """The plots of the workspace.

        Parameters
        ----------
        targets
            Plots by their name, or files, listed in dvc.yaml or not; none: all plots.
        **properties
            What goes before the properties in dvc.yaml: `template`, `x`, `y`, `title`, `x_label`, `y_label`,
            `header`.

        Raises
        ------
        NotFound
            There is no such template.
        """
        return self._shown([WORKSPACE], targets, properties, emit)

    def diff(
        self,
        *revisions: str,
        targets: Sequence[str] = (),
        experiment: bool = False,
        emit: Emit = ignore,
        **properties: object,
    ) -> PlotsShown:
        """The plots of several revisions in one.

        Parameters
        ----------
        revisions
            Experiments, branches, tags, commits or `workspace`. One is compared with the workspace; none: the
            workspace with HEAD, where it has changes.
        experiment
            One revision is compared with the commit that it starts from instead.
        targets, **properties
            As for `show`.

        Raises
        ------
        NotFound
            There is no such revision or template.
        """
        if self._site.git.head() is None:
            return PlotsShown(())
        names = [*revisions]
        if experiment and len(names) == 1:
            before = self._baseline(names[0])
            names += [before[:7]] if before is not None else []
        if len(names) < 2:
            if not names and self._site.git.status(untracked=False).changes:
                names.append("HEAD")
            names.append(WORKSPACE)
        # The workspace comes first, as in DVC.
        ordered = sorted(dict.fromkeys(names), key=lambda name: name != WORKSPACE)
        return self._shown(ordered, targets, properties, emit)

    def modify(
        self,
        target: str,
        *,
        unset: Sequence[str] | None = None,
        emit: Emit = ignore,
        **properties: object,
    ) -> PlotModified:
        """Say in dvc.yaml how the plot of a stage is drawn; an output that is none yet becomes one. `undo` takes it back.

        Parameters
        ----------
        target
            An output of a stage.
        unset
            Properties to take away.
        **properties
            As for `show`.

        Raises
        ------
        NotFound
            No stage writes it; it lacks a property to take away; there is no such template. Nothing was written.
        UsageError
            It is no plot and a property is to be taken away, or it comes from a template. Nothing was written.
        """
        from nbexp.experiments.plots import modifying

        given = {key: value for key, value in properties.items() if value is not None}
        if "template" in given:
            self._template(given["template"])
        return modifying.modify(self._site, target, given, unset, emit)

    def templates(self) -> Templates:
        """The templates there are."""
        folder = self._site.root / ".dvc" / "plots"
        own = sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []
        return Templates(
            templates.names(), tuple(name for name in own if name not in templates.names())
        )

    def template(self, name: str) -> Template:
        """The chart of a template: the project's own, else one that every project has.

        Raises
        ------
        NotFound
            There is none of that name.
        ProjectFileError
            The project's own is no chart.
        """
        return Template(name, self._template(name))

    def settings(self) -> Settings:
        """The section `plots` of DVC's configuration; its page is relative to `.dvc`."""
        config = self._site.config()
        out, page = (config.get("plots", name) for name in ("out_dir", "html_template"))
        return Settings(
            str(out or "dvc_plots"),
            self._site.root / ".dvc" / str(page) if page else None,
            config.is_on("plots", "auto_open"),
        )

    def _shown(
        self,
        names: Sequence[str],
        targets: Sequence[str],
        properties: Mapping[str, object],
        emit: Emit,
    ) -> PlotsShown:
        given = {key: value for key, value in properties.items() if value is not None}
        wanted = [self._target(one) for one in targets]
        held: dict[str, Held] = {}
        problems: list[Problem] = []
        for name, tree in self._trees(names).items():
            try:
                held[name] = Held(tree, self._site.cache)
            except ProjectFileError as error:
                is_syntax = "not valid YAML" in error.message
                kind = "YAMLSyntaxError" if is_syntax else "YAMLValidationError"
                problems.append(Problem(name, kind, error.message))
        read = self._read(held, wanted, given, emit)
        plots, more = matching.matched(read, self._template)
        return PlotsShown(tuple(plots), (*more, *problems))

    def _read(
        self, held: Mapping[str, Held], targets: Sequence[str], given: Options, emit: Emit
    ) -> list[Read]:
        """What each revision has. A file that several have alike is parsed once."""
        here = self._site.here
        found = {
            name: defined(one, here, targets, given, is_workspace=name == WORKSPACE)
            for name, one in held.items()
        }
        paths = {
            name: {
                path: _join(here, path)
                for plots in listed.values()
                for plot, options in plots.items()
                for path in rows.sources(plot, options)
            }
            for name, listed in found.items()
        }
        self._bring(held, paths, emit)
        parsed: dict[tuple[bytes, str, bool], object] = {}

        def parse(data: bytes, path: str, has_header: bool) -> object:
            key = data, path, has_header
            if key not in parsed:
                parsed[key] = plot_files.parse(data, path, has_header=has_header)
            return parsed[key]

        read = []
        for name, one in held.items():
            data = one.read(paths[name].values())
            headers = _headless(one, given)
            read.append(
                matching.read(
                    name,
                    found[name],
                    {path: data[place] for path, place in paths[name].items()},
                    {path: headers(place) for path, place in paths[name].items()},
                    parse,
                )
            )
        return read

    def _bring(
        self, held: Mapping[str, Held], paths: Mapping[str, Mapping[str, str]], emit: Emit
    ) -> None:
        """Fetch what only a remote has, where there is a default one."""
        cache = self._site.cache
        wanted: dict[str, str] = {}
        for name, one in held.items():
            places = [*paths[name].values()] if one.objects else []
            for place, data in one.read(places).items():
                md5 = one.md5(place) if data is None else None
                if md5 is not None:
                    wanted[md5] = place
        lacking = {md5: wanted[md5] for md5 in cache.missing(wanted)}
        if not lacking:
            return
        from nbexp.store import remotes, transfer

        config = self._site.config()
        if config.remote is None:
            return
        try:
            opened = remotes.open(config, None)
            try:
                transfer.fetch(lacking, opened, cache, parts={}, jobs=None, emit=emit)
            finally:
                opened.close()
        except (NotFound, StoreError) as error:
            emit(Notice(f"Data of plots could not be fetched: {error.message}"))

    def _trees(self, names: Sequence[str]) -> dict[str, Tree]:
        site, found = self._site, dict[str, Tree]()
        folders = self._folders() if any(name != WORKSPACE for name in names) else {}
        for name in names:
            if name == WORKSPACE:
                found[name] = OnDisk(site.root)
            elif name in folders:
                found[name] = OnDisk(folders[name])
            else:
                found[name] = InCommit(site.git, site.root, site.prefix, self._resolve(name))
        return found

    def _target(self, target: str) -> str:
        """A target as DVC takes it: a path that is relative, all else as it is."""
        if not os.path.isabs(target):
            return Path(target).as_posix() if os.sep != "/" else target
        return Path(os.path.relpath(target, self._site.root / self._site.here)).as_posix()

    def _template(self, name: object) -> Spec:
        if name is None:
            name = templates.DEFAULT
        asked = str(name)
        file = self._template_file(asked)
        if file is None:
            found = templates.built_in(asked)
            if found is None:
                own = self.templates()
                near = nearest(asked, [*own.built_in, *own.own])
                raise NotFound(
                    f"There is no template `{asked}`.",
                    f"did you mean `{near}`?" if near else "`nbexp plots templates` lists them.",
                )
            return found
        path = Path(os.path.relpath(file, self._site.root)).as_posix()
        try:
            content = json.loads(file.read_bytes())
        except ValueError as error:
            raise ProjectFileError(f"this template is no JSON: {error}.", path=path) from None
        if not isinstance(content, dict) or not content:
            raise ProjectFileError("this template is no Vega-Lite chart.", path=path)
        return content

    def _template_file(self, name: str) -> Path | None:
        """The file of a template: in .dvc/plots, its ending left out or not, else at a path."""
        folder = self._site.root / ".dvc" / "plots"
        here = self._site.root / self._site.here
        own = folder / name
        candidates = [own, *([own.with_suffix(".json")] if own.name else []), here / name]
        return next((path for path in candidates if path.is_file()), None)


def _headless(held: Held, given: Options) -> Callable[[str], bool]:
    """Which files have no header: as asked, else as the stage says that writes them."""
    said = {
        pipeline.place(stage, out.path): out.plot.get("header", True) is False
        for pipeline in held.pipelines
        for stage in pipeline.file.stages
        for out in stage.outs
        if out.bucket == "plots"
    }
    asked = given.get("header")
    return lambda place: asked is False if asked is not None else said.get(place, False)


def _join(*parts: str) -> str:
    return posixpath.normpath(posixpath.join(*parts))
