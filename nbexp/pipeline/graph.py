"""Stages to a directed acyclic graph: who needs whom, in which order they run.

An edge leads from a stage to the owner of each of its deps and params files. Paths are compared by
overlap, not equality: a dep inside a directory output needs that output's stage (formats.md 2.5).
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

from nbexp.errors import NotFound, ProjectFileError, nearest
from nbexp.formats import dvc_file, dvc_yaml
from nbexp.formats.dvc_yaml import PipelineFile, StageSpec
from nbexp.formats.ignore import DvcIgnore
from nbexp.formats.interpolation import Parsing, Read
from nbexp.frozen import field, frozen, replace
from nbexp.pipeline.stage import Out, Stage

DVC_YAML = "dvc.yaml"
# How many names an error lists.
_MANY = 12
# What stages are in, as `Git.paths_named` takes it.
STAGE_FILES = ("dvc.yaml", "*.dvc")

# Never part of a project's own files, and costly to walk.
_NOT_SEARCHED = frozenset(
    {".git", ".hg", ".dvc", "__pycache__", "node_modules", ".ipynb_checkpoints"}
)


@frozen
class Graph:
    """Every stage of a project, in file order, and what each needs.

    `files` maps each dvc.yaml (relative to the root) to what it holds; those of a folder come before those of
    the folders in it, as for DVC. `broken` has what is wrong with files whose stages are left out. Below
    `root` a directory may be one that has no stages.
    """

    files: Mapping[str, PipelineFile]
    stages: tuple[Stage, ...]
    needs: Mapping[Stage, tuple[Stage, ...]] = field(repr=False)
    broken: Mapping[str, ProjectFileError] = field(default_factory=dict, repr=False)
    root: Path | None = field(default=None, repr=False)

    @property
    def outs(self) -> Iterator[tuple[Stage, Out]]:
        return ((stage, out) for stage in self.stages for out in stage.outs)

    def order(self, targets: Sequence[Stage], *, single: bool = False) -> tuple[Stage, ...]:
        """The targets and all they need, each after what it needs; with `single` the targets alone."""
        if single:
            return tuple(dict.fromkeys(targets))
        done: dict[Stage, None] = {}
        for target in targets:
            # Not recursive: a chain may be longer than Python's stack is deep.
            path = [] if target in done else [(target, self._before(target))]
            while path:
                other = next(path[-1][1], None)
                if other is None:
                    done[path.pop()[0]] = None
                elif other not in done:
                    path.append((other, self._before(other)))
        return tuple(done)

    def downstream(self, targets: Iterable[Stage]) -> tuple[Stage, ...]:
        """The targets and all that need them, each after what it needs; a frozen stage needs nothing."""
        behind: dict[Stage, list[Stage]] = {stage: [] for stage in self.stages}
        for stage in self.stages:
            for other in self._before(stage):
                behind[other].append(stage)
        seen = set(targets)
        ahead = [*seen]
        while ahead:
            more = [stage for stage in behind[ahead.pop()] if stage not in seen]
            seen.update(more)
            ahead += more
        members = [stage for stage in self.stages if stage in seen]
        return tuple(stage for stage in self.order(members) if stage in seen)

    def targets(
        self,
        names: Sequence[str],
        here: str,
        *,
        recursive: bool = False,
        glob: bool = False,
        outs: bool = False,
        whole_pipeline: bool = False,
        all_pipelines: bool = False,
    ) -> tuple[Stage, ...]:
        """The stages that `names` mean when typed in the directory `here`, each once.

        A name is a stage (`train`), all that a template generates (`grp` for every `grp@…`), a stage of
        another file (`sub/dvc.yaml:train`), or a file (`sub/dvc.yaml`). No name means the stages of the
        dvc.yaml there, as in DVC.

        Parameters
        ----------
        recursive
            A name may be a directory: every stage of the files in it and below.
        glob
            A name is a pattern: `grp@*`, `sub/dvc.yaml:train*`.
        outs
            A name may be an output, or a path in one: its stage.
        whole_pipeline
            Further, all stages that are connected to these.
        all_pipelines
            Every stage there is; `names` does not count.

        Raises
        ------
        NotFound
            No such stage, or no dvc.yaml in `here`; the nearest name is in the hint.
        """
        if all_pipelines:
            return self.stages
        found: dict[Stage, None] = {}
        for name in names or ["dvc.yaml"]:
            if recursive and self._is_folder(name, here):
                found.update(dict.fromkeys(self._inside(name, here)))
            elif glob:
                found.update(dict.fromkeys(self._like(name, here)))
            else:
                found.update(dict.fromkeys(self._named(name, here, outs=outs)))
        return self._connected(found) if whole_pipeline else tuple(found)

    def look_at(
        self, names: Sequence[str], here: str, *, with_deps: bool = False, recursive: bool = False
    ) -> dict[Stage, str | None]:
        """The stages that `status` is asked about, each with the one output of it that is meant, if so.

        No name means every stage of the project; with `with_deps`, what they need comes along.

        Raises
        ------
        NotFound
            A name is neither a stage nor a file nor an output.
        """
        found: dict[Stage, str | None] = {} if names else dict.fromkeys(self.stages)
        for name in names:
            try:
                stages = self.targets([name], here, recursive=recursive)
            except NotFound:
                place = _place(here, name)
                owner = self.owner(place)
                if owner is None:
                    raise
                found[owner] = place  # alone even with `with_deps`, as in DVC
                continue
            found.update(dict.fromkeys(self._with_needs(stages) if with_deps else stages))
        return found

    def _with_needs(self, stages: Sequence[Stage]) -> list[Stage]:
        """The stages and all they need, frozen or not."""
        found = dict.fromkeys(stages)
        ahead = [*stages]
        while ahead:
            more = [stage for stage in self.needs[ahead.pop()] if stage not in found]
            found.update(dict.fromkeys(more))
            ahead += more
        return [*found]

    def owner(self, path: str) -> Stage | None:
        """The stage that writes `path`, or a directory it is in."""
        for stage, out in self.outs:
            if is_inside(path, out.path):
                return stage
        return None

    def _before(self, stage: Stage) -> Iterator[Stage]:
        # A frozen stage does not wait for, nor refresh, what it reads (formats.md 4.5).
        return iter(() if stage.spec.frozen else self.needs[stage])

    @cached_property
    def _by_file(self) -> Mapping[str, Mapping[str, Stage]]:
        found: dict[str, dict[str, Stage]] = {file: {} for file in self.files}
        for stage in self.stages:
            found.setdefault(stage.file, {})[stage.name] = stage
        return found

    def _named(self, name: str, here: str, *, outs: bool) -> tuple[Stage, ...]:
        file, stage_name = _split(name)
        if stage_name is None:
            return self._of_file(_place(here, file), here)
        in_file = self._by_file.get(_place(here, file), {})
        if stage_name in in_file:
            return (in_file[stage_name],)
        group = tuple(stage for stage in in_file.values() if stage.spec.group == stage_name)
        if group:
            return group
        if outs and (owner := self.owner(_place(here, name))) is not None:
            return (owner,)
        self._of_file(_place(here, file), here)
        raise self._unknown(name, here, "no stage")

    def _like(self, pattern: str, here: str) -> tuple[Stage, ...]:
        """The stages of a file whose names are like a pattern; of a generated group by its name as well."""
        file, _, wanted = pattern.rpartition(":")
        place = _place(here, file or DVC_YAML)
        found = tuple(
            stage
            for stage in self._of_file(place, here)
            if stage.spec.group == wanted or fnmatch.fnmatchcase(stage.name, wanted or "*")
        )
        if not found:
            raise self._unknown(pattern, here, "no stage like")
        return found

    def _is_folder(self, name: str, here: str) -> bool:
        folder = _place(here, name)
        if any(is_inside(file, folder) and file != folder for file in self._by_file):
            return True
        return self.root is not None and (self.root / folder).is_dir()

    def _inside(self, name: str, here: str) -> tuple[Stage, ...]:
        folder = _place(here, name)
        return tuple(stage for stage in self.stages if is_inside(stage.file, folder))

    def _connected(self, found: Iterable[Stage]) -> tuple[Stage, ...]:
        """All stages of the pipelines that these are part of, in the order of the files."""
        beside: dict[Stage, list[Stage]] = {stage: [*self.needs[stage]] for stage in self.stages}
        for stage in self.stages:
            for other in self.needs[stage]:
                beside[other].append(stage)
        seen = set(found)
        ahead = [*seen]
        while ahead:
            more = [other for other in beside[ahead.pop()] if other not in seen]
            seen.update(more)
            ahead += more
        return tuple(stage for stage in self.stages if stage in seen)

    def _unknown(self, name: str, here: str, what: str) -> NotFound:
        known = {stage.address(here): None for stage in self.stages}
        known.update(
            (stage.address(here).removesuffix(stage.name) + stage.spec.group, None)
            for stage in self.stages
            if stage.spec.group
        )
        near = nearest(name, known)
        listed = ", ".join([*known][:_MANY]) + ", …" * (len(known) > _MANY)
        hint = f"did you mean `{near}`?" if near else f"stages: {listed or 'none'}."
        return NotFound(f"There is {what} `{name}`. Nothing was run.", hint)

    def _of_file(self, file: str, here: str) -> tuple[Stage, ...]:
        if file in self.broken:
            raise self.broken[file]
        if file in self._by_file:
            return tuple(self._by_file[file].values())
        shown = posixpath.relpath(file, here)
        if not self.files:
            raise NotFound(
                f"There is no {shown} and so no pipeline to run.",
                "`nbexp init train.ipynb` makes one of a notebook.",
            )
        known = [posixpath.relpath(path, here) for path in sorted(self.files)]
        folder = posixpath.dirname(known[0])
        hint = f"`nbexp run --cd {shlex.quote(folder)}` runs the pipeline of that directory."
        if "dvc.yaml" in known:
            hint = "`nbexp run` runs the pipeline of this directory."
        raise NotFound(f"There is no {shown} here; this project has {', '.join(known)}.", hint)


def _split(name: str) -> tuple[str, str | None]:
    """The file and the stage's name of a target; no name where the target is a file."""
    # A key of a generated stage, behind the `@`, may have any character in it.
    group, at, key = name.partition("@")
    file, colon, last = group.rpartition(":")
    if colon and not set(last) & {"/", "\\"}:
        return file or DVC_YAML, f"{last}{at}{key}" if last else None
    if not at and (posixpath.basename(name) == DVC_YAML or name.endswith(".dvc")):
        return name, None
    return DVC_YAML, name


def _place(here: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(here, path))


def load(
    root: Path, pipelines: Mapping[str, bytes] | None = None, read: Read | None = None
) -> Graph:
    """The graph of the project in `root`.

    Parameters
    ----------
    pipelines
        The dvc.yaml and `.dvc` files by path, where they are not on disk (a commit's); None: look below `root`.
    read
        Gives the params files that templates are filled in from, and the files of stages where `pipelines`
        does not; None: the disk.

    Raises
    ------
    ProjectFileError
        A file cannot be read, two stages own one output, or the stages need each other in a circle.
    """
    if read is None:
        read = partial(bytes_of, root)
    if pipelines is None:
        pipelines = {path: read(path) or b"" for path in stage_files(root)}
    graph = _graph(root, pipelines, read)
    _check_outs(graph.stages)
    _check_cycles(graph)
    return graph


def load_readable(root: Path) -> Graph:
    """The graph of what can be read: a broken file is told when its stages are asked for, or none of it is."""
    read = partial(bytes_of, root)
    pipelines = {path: read(path) or b"" for path in stage_files(root)}
    broken: dict[str, ProjectFileError] = {}
    for path, data in pipelines.items():
        try:
            _graph(root, {path: data}, read)
        except ProjectFileError as error:
            broken[path] = error
    readable = {path: data for path, data in pipelines.items() if path not in broken}
    return replace(_graph(root, readable, read), broken=broken)


def bytes_of(root: Path, path: str) -> bytes | None:
    """The bytes of a file on disk; None where there is none."""
    try:
        return (root / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _graph(root: Path, pipelines: Mapping[str, bytes], read: Read) -> Graph:
    parsing = partial(_parsing, root)
    pipelines = dict(sorted(pipelines.items(), key=lambda item: _from_the_top(item[0])))
    files = {
        path: dvc_yaml.parse(data, path, read, parsing)
        for path, data in pipelines.items()
        if not path.endswith(dvc_file.SUFFIX)
    }
    datasets = {
        str(dataset["name"]): (path, dataset)
        for path, file in files.items()
        for dataset in file.datasets
    }
    stages: list[Stage] = []
    for path, data in pipelines.items():
        if path in files:
            folder = posixpath.dirname(path)
            specs = (as_of_the_project(spec, folder, root) for spec in files[path].stages)
            stages += (Stage(spec, path, datasets=datasets) for spec in specs)
        else:
            tracked = dvc_file.parse(data, path)
            stages.append(Stage(tracked.spec, tracked.path, tracked))
    return Graph(files, tuple(stages), _needs(stages), root=root)


def _from_the_top(path: str) -> tuple[tuple[bool, str], ...]:
    """What sorts the files of a folder before those of the folders in it."""
    *folders, name = path.split("/")
    return (*((True, folder) for folder in folders), (False, name))


def as_of_the_project(spec: StageSpec, folder: str, root: Path) -> StageSpec:
    """The stage of a dvc.yaml in `folder`; what it reads by an absolute path into the project is spelled
    as any other file of the project, as DVC does.
    """
    places = {
        path: os.path.normpath(path)
        for path in (*spec.deps, *(param.path for param in spec.params))
        if path.startswith("/")
    }
    cwd = root / folder / (spec.wdir or ".")
    known = {
        path: os.path.relpath(place, cwd)
        for path, place in places.items()
        if is_inside(place, str(root))
    }
    if not known:
        return spec
    deps = tuple(known.get(path, path) for path in spec.deps)
    params = tuple(replace(one, path=known.get(one.path, one.path)) for one in spec.params)
    return replace(spec, deps=deps, params=params)


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it."""
    return path == folder or path.startswith(folder + "/") or folder == "."


def overlap(one: str, other: str) -> bool:
    """Whether writing one of the two paths can change the other."""
    return is_inside(one, other) or is_inside(other, one)


def pipeline_files(root: Path) -> list[str]:
    """Every dvc.yaml below `root` (relative, POSIX, sorted), nested projects and environments left out."""
    return [path for path in stage_files(root) if not path.endswith(dvc_file.SUFFIX)]


_STAGE_ENDS = ("dvc.yaml", dvc_file.SUFFIX)


def stage_files(root: Path) -> list[str]:
    """Every dvc.yaml and `.dvc` file below `root`, as `pipeline_files`; none in a directory that one tracks."""
    found = []
    ignores = False
    tracked: set[str] = set()
    stack = ["."]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(root / folder) as entries:
                listed = list(entries)
        except OSError:
            if folder == ".":
                raise
            continue  # somebody else's, or gone meanwhile
        names = {entry.name for entry in listed}
        if folder != "." and not names.isdisjoint(_NOT_OURS):
            continue
        ignores = ignores or ".dvcignore" in names
        folders = []
        prefix = "" if folder == "." else f"{folder}/"
        for entry in listed:
            name = entry.name
            if name.endswith(_STAGE_ENDS):
                path = prefix + name
                suffix = posixpath.splitext(name)[1]
                is_one = name == "dvc.yaml" or suffix == dvc_file.SUFFIX
                # Not `entry.is_file`, to which a link to itself is an error.
                if is_one and (root / path).is_file():
                    found.append(path)
                    if suffix == dvc_file.SUFFIX:
                        tracked |= _tracked_by(root, path)
                    continue
            # Last: of the files of a data set, of which there may be many, nothing else is asked.
            if entry.is_dir(follow_symlinks=False) and name not in _NOT_SEARCHED:
                folders.append(prefix + name)
        stack += [path for path in folders if path not in tracked]
    if ignores:
        rules = DvcIgnore.on_disk(root)
        found = [path for path in found if not rules.matches(path)]
    return sorted(found)


def stage_files_among(root: Path, paths: Iterable[str]) -> list[str]:
    """Those of `paths`, all dvc.yaml and `.dvc` files there may be, that `stage_files` finds; without a search."""
    rules = DvcIgnore.on_disk(root)
    is_searched: dict[str, bool] = {"": True}

    def searched(folder: str) -> bool:
        if folder not in is_searched:
            above, _, name = folder.rpartition("/")
            is_searched[folder] = (
                searched(above)
                and name not in _NOT_SEARCHED
                and not any((root / folder / mark).exists() for mark in _NOT_OURS)
            )
        return is_searched[folder]

    found = [
        path
        for path in paths
        if searched(posixpath.dirname(path)) and (root / path).is_file() and not rules.matches(path)
    ]
    tracked = {
        out for path in found if path.endswith(dvc_file.SUFFIX) for out in _tracked_by(root, path)
    }
    return sorted(path for path in found if not any(is_inside(path, one) for one in tracked))


# A folder with one of these is another project, or an environment.
_NOT_OURS = (".dvc", ".git", "pyvenv.cfg")


def _tracked_by(root: Path, path: str) -> set[str]:
    try:
        file = dvc_file.parse((root / path).read_bytes(), path)
    except (ProjectFileError, OSError):
        return set()  # told when it is looked at
    return {out.path for out in Stage(file.spec, path, file).outs}


def _parsing(root: Path) -> Parsing:
    """How the configuration has mappings written in commands."""
    from nbexp.formats import config

    home = Path(os.path.expanduser("~"))
    return config.read(root / ".dvc", home=home).values.get("parsing", {})


def _needs(stages: Sequence[Stage]) -> dict[Stage, tuple[Stage, ...]]:
    written = _Written()
    for number, stage in enumerate(stages):
        for out in stage.outs:
            written.add(number, stage, out)
    needs = {}
    for stage in stages:
        read = [dep.path for dep in stage.deps] + [param.path for param in stage.params]
        found = {number: other for path in read for number, other, _ in written.touching(path)}
        # In the order of what it reads, as DVC walks: two that do not need each other run in this order.
        needs[stage] = tuple(other for other in found.values() if other is not stage)
    return needs


class _Written:
    """Who writes what, found by path: every stage against every other would be quadratic."""

    def __init__(self) -> None:
        self._at: dict[str, list[tuple[int, Stage, Out]]] = {}
        self._below: dict[str, list[tuple[int, Stage, Out]]] = {}

    def add(self, number: int, stage: Stage, out: Out) -> None:
        self._at.setdefault(out.path, []).append((number, stage, out))
        for folder in _folders(out.path):
            self._below.setdefault(folder, []).append((number, stage, out))

    def touching(self, path: str) -> list[tuple[int, Stage, Out]]:
        """The outputs that overlap `path`, in the order of their stages."""
        found = [*self._at.get(path, ()), *self._below.get(path, ())]
        for folder in _folders(path):
            found += self._at.get(folder, ())
        return sorted(found, key=lambda writer: writer[0])


def _folders(path: str) -> list[str]:
    """The folders that a path is in, the root included."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))] + ["."] * (path != ".")


def _check_outs(stages: Sequence[Stage]) -> None:
    written = _Written()
    for number, stage in enumerate(stages):
        for out in stage.outs:
            for _, other, theirs in written.touching(out.path):
                if out.path == theirs.path:
                    both = f"stages `{other.name}` and `{stage.name}`"
                    if stage.data is not None or other.data is not None:
                        both = f"{other.shown} and {stage.shown}"
                    what = f"{both} both have the output `{out.path}`"
                else:
                    what = (
                        f"the output `{out.path}` of {stage.shown} and the output "
                        f"`{theirs.path}` of {other.shown} overlap"
                    )
                raise ProjectFileError(
                    f"{what}; an output belongs to one stage.",
                    "take it out of the outs of one of them, or have it write elsewhere.",
                    path=stage.file,
                    line=stage.spec.line,
                )
            written.add(number, stage, out)
    for stage in stages:
        for _, other, out in written.touching(stage.file):
            # A run makes outputs anew: the pipeline would be gone with them.
            raise ProjectFileError(
                f"the output `{out.spelled}` of {other.shown} holds {stage.file} itself.",
                "write to a folder of its own.",
                path=other.file,
                line=other.spec.line,
            )


def _check_cycles(graph: Graph) -> None:
    done: set[Stage] = set()
    for stage in graph.stages:
        path = {} if stage in done else {stage: iter(graph.needs[stage])}
        while path:
            last = next(reversed(path))
            other = next(path[last], None)
            if other is None:
                done.add(path.popitem()[0])
            elif other in path:
                members = [*path]
                circle = [*members[members.index(other) :], other]
                names = " -> ".join(f"`{member.name}`" for member in reversed(circle))
                raise ProjectFileError(
                    f"the stages {names} need each other in a circle.",
                    f"take one of these deps out of {other.file}.",
                    path=other.file,
                    line=other.spec.line,
                )
            elif other not in done:
                path[other] = iter(graph.needs[other])
        own = [dep.path for dep in stage.deps]
        for out in stage.outs:
            if any(overlap(out.path, path) for path in own):
                raise ProjectFileError(
                    f"stage `{stage.name}` has `{out.path}` as an output and as a dep.",
                    f"take it out of one of the two in {stage.file}.",
                    path=stage.file,
                    line=stage.spec.line,
                )
