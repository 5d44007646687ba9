"""What a project holds, read from its files alone: no Git process, and no parser where a line will do.

For what must answer at once (Tab, `%load_ext`) and may be wrong where a file is unusual; every command reads
the same things properly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nbexp.jupyter import loose_refs

if TYPE_CHECKING:
    from nbexp.formats.config import Config
    from nbexp.pipeline.graph import Graph

T = TypeVar("T")

_LIVE = "dvclive/plots/metrics"
_RUNS = 50  # more than anybody picks from a list
_LEAVES = 10_000  # a file of more values is data, whatever dvc.yaml calls it
_KEPT = 256

# What was read of files, by what it is and where, as long as these files are the same.
_known: dict[object, tuple[object, Any]] = {}


class Peek:
    """A project: its root, the directory one works in, and the Git folder that has its refs.

    With `may_ask` Git is asked for what only Git can read, which one key in a thousand has to wait for.
    """

    def __init__(self, root: Path, here: Path, git: Path, *, may_ask: bool = False) -> None:
        self.root = root
        self.here = here
        self.git = git
        self.may_ask = may_ask

    @property
    def stages(self) -> list[str]:
        """The names under `stages:` in the dvc.yaml of this directory, else of the root."""
        path = self._pipeline()
        if path is None:
            return []
        try:
            return _keys_of(path.read_text(encoding="utf-8"), "stages")
        except (OSError, UnicodeDecodeError):
            return []

    @property
    def targets(self) -> list[str]:
        """The same as one types them to run them: `train@a` for each item of a `foreach`."""
        graph, path = self._graph(), self._pipeline()
        if graph is None or path is None:
            return self.stages
        file = path.relative_to(self.root).as_posix()
        return [stage.name for stage in graph.stages if stage.file == file]

    @property
    def outs(self) -> list[str]:
        """What the stages of that dvc.yaml write, as paths from this directory."""
        graph = self._graph()
        found = (out.path for stage in (graph.stages if graph else ()) for out in stage.outs)
        return [self._from_here(path) for path in found]

    @property
    def plots(self) -> list[str]:
        """What `plots show` draws: plots of stages as paths from this directory, and those at the top of that dvc.yaml."""
        graph, path = self._graph(), self._pipeline()
        if graph is None or path is None:
            return []
        found = [
            out.path for stage in graph.stages for out in stage.outs if out.spec.bucket == "plots"
        ]
        from nbexp.errors import NbexpError
        from nbexp.formats import dvc_yaml

        try:
            top = dvc_yaml.parse(path.read_bytes(), path.name).plots
        except (NbexpError, OSError):
            top = ()
        return [*map(self._from_here, found), *(plot.id for plot in top)]

    @property
    def params_files(self) -> list[str]:
        """The params files that the stages read, and params.yaml where it is."""
        graph = self._graph()
        found = [one.path for stage in (graph.stages if graph else ()) for one in stage.params]
        own = ["params.yaml"] if (self.root / "params.yaml").is_file() else []
        return [self._from_here(path) for path in dict.fromkeys([*own, *found])]

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics in the workspace's files, as columns of the table have them."""
        graph = self._graph()
        files = [
            out.path
            for stage in (graph.stages if graph else ())
            for out in stage.outs
            if out.spec.bucket == "metrics"
        ]
        keys = (key for file in files for key in self.values_of(self.root / file))
        return [*dict.fromkeys(keys)]

    @property
    def params(self) -> list[str]:
        """The keys of all params files."""
        files = (self.file(name) for name in self.params_files)
        keys = (key for path in files if path is not None for key in self.values_of(path))
        return [*dict.fromkeys(keys)]

    def values_of(self, path: Path) -> Mapping[str, object]:
        """The leaves of a file of params or metrics by dotted key; none where it cannot be read."""
        from nbexp.errors import NbexpError

        def read() -> dict[str, object]:
            from nbexp.formats import values

            try:
                return values.flatten(
                    values.parse(path.read_bytes(), path.name, max_leaves=_LEAVES)
                )
            except (NbexpError, OSError):
                return {}

        return _remembered(("values", path), [path], read)

    @property
    def tasks(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """The newest runs and tasks of the queue: name, state, and what was typed after each `-S`."""
        from nbexp.experiments import place
        from nbexp.queue import glance

        folder = place.own_folder(self.root)
        files = [folder / "queue.db", folder / "queue.db-wal"]
        return _remembered(("tasks", folder), files, lambda: glance.newest(folder))

    @property
    def experiments(self) -> list[str] | None:
        """The names of all experiments; None where Git keeps its refs in a form of its own."""
        found = self._refs("refs/exps/")
        return None if found is None else sorted({name for ref in found if (name := _named(ref))})

    @property
    def removed(self) -> list[str]:
        """The names of the experiments in the trash."""
        return sorted({ref.split("/")[-2] for ref in self._refs("refs/nbexp/trash/") or ()})

    @property
    def failed(self) -> list[str]:
        """The names of runs that failed or were interrupted."""
        return sorted({ref.rpartition("/")[2] for ref in self._refs("refs/nbexp/failed/") or ()})

    @property
    def sweeps(self) -> list[str]:
        return self._below("refs/nbexp/sweeps/")

    @property
    def branches(self) -> list[str]:
        return self._below("refs/heads/")

    @property
    def tags(self) -> list[str]:
        return self._below("refs/tags/")

    @property
    def undo_points(self) -> list[tuple[str, str]]:
        """How each is called, and which command it was made for; the newest first."""
        refs = reversed(self._refs("refs/nbexp/undo/") or ())
        found = ((loose_refs.target(self.git, ref), ref.split("-")[1]) for ref in refs)
        return [(rev[:7], command) for rev, command in found if rev]

    @property
    def git_remotes(self) -> list[str]:
        """The Git remotes that the repository's own configuration names."""
        try:
            text = (self.git / "config").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return []
        return re.findall(r'^\s*\[remote "([^"\n]+)"\]', text, re.MULTILINE)

    @property
    def remotes(self) -> list[str]:
        """Where data goes: the remotes of DVC's configuration."""
        return [*self.config.remotes]

    @property
    def config(self) -> Config:
        """DVC's configuration of this project."""
        from nbexp.experiments.place import home
        from nbexp.formats import config

        return config.read(self.root / ".dvc", home=home())

    @property
    def groups(self) -> Mapping[str, list[str]]:
        """Where params are composed by Hydra: the groups and their options."""
        config = self.config
        if not config.is_on("hydra", "enabled"):
            return {}
        folder = self.root / str(config.get("hydra", "config_dir") or "conf")
        found: dict[str, list[str]] = {}
        for path in sorted(folder.glob("*/**/*.yaml")):
            group = path.parent.relative_to(folder).as_posix()
            found.setdefault(group, []).append(path.stem)
        return found

    @property
    def live(self) -> list[str]:
        """The names that training code logged by step, as far as they are in the workspace."""
        folders = dict.fromkeys((self.here / _LIVE, self.root / _LIVE))
        return sorted(
            {
                path.relative_to(folder).with_suffix("").as_posix()
                for folder in folders
                for path in folder.rglob("*.tsv")
            }
        )

    @property
    def alerts(self) -> list[str]:
        """The alerts of the project and of the user."""
        from nbexp import settings
        from nbexp.experiments.place import home

        own = settings.read(self.root).alerts
        return [*dict.fromkeys([*own, *settings.read_user(settings.user_file(home()))])]

    @property
    def views(self) -> list[str]:
        """The views of the compare panel that were saved."""
        from nbexp.jupyter.panels import views

        return [*views.read(self.root)]

    @property
    def runs(self) -> list[tuple[str, float]]:
        """The newest runs of the run cache, by the start of their key, and when each was saved."""
        from nbexp.store import runs

        folder = self.config.cache_dir
        newest = {one.key[:7]: one.mtime_ns / 1e9 for one in reversed(runs.listed(folder)[:_RUNS])}
        return [*reversed(newest.items())]

    def file(self, name: str) -> Path | None:
        """A file of the project that is named as from this directory, or from the root."""
        return next(
            (path for folder in (self.here, self.root) if (path := folder / name).is_file()), None
        )

    def _pipeline(self) -> Path | None:
        return self.file("dvc.yaml")

    def _graph(self) -> Graph | None:
        """The stages of the one dvc.yaml; templates are filled in from the files that they name."""
        path = self._pipeline()
        if path is None:
            return None
        pipeline, asked = path, [path]

        def read() -> Graph | None:
            from nbexp.errors import NbexpError
            from nbexp.pipeline import graph

            def fetch(name: str) -> bytes | None:
                asked.append(self.root / name)
                return graph.bytes_of(self.root, name)

            try:
                file = pipeline.relative_to(self.root).as_posix()
                return graph.load(self.root, {file: pipeline.read_bytes()}, fetch)
            except (NbexpError, OSError):
                return None

        return _remembered(("graph", pipeline), asked, read)

    def _refs(self, prefix: str) -> list[str] | None:
        return loose_refs.names(self.git, prefix, may_ask=self.may_ask)

    def _below(self, prefix: str) -> list[str]:
        return [ref.removeprefix(prefix) for ref in self._refs(prefix) or ()]

    def _from_here(self, path: str) -> str:
        import posixpath

        try:
            return posixpath.relpath(path, self.here.relative_to(self.root).as_posix())
        except ValueError:
            return path


def around(here: Path, *, may_ask: bool = False) -> Peek | None:
    """The project around a directory; None outside of one."""
    root = None
    for folder in (here, *here.parents):
        if root is None and (folder / ".dvc").is_dir():
            root = folder
        if (folder / ".git").exists():
            git = _common(folder / ".git")
            found = root is not None and git is not None
            return Peek(root, here, git, may_ask=may_ask) if found else None  # type: ignore[arg-type]  # mypy does not see that `found` says it
    return None


def _common(git: Path) -> Path | None:
    """The folder with the refs: `.git` itself, or where a linked work tree or submodule points."""
    try:
        if git.is_file():
            target = git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            git = git.parent / target
        link = git / "commondir"
        if link.is_file():
            git = git / link.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return git


@lru_cache(maxsize=65_536)
def _named(ref: str) -> str | None:
    """The name in an experiment's ref; None of what DVC keeps for itself."""
    from nbexp.formats import ref_names

    parsed = ref_names.parse(ref)
    return parsed.name if parsed else None


def _remembered(key: object, files: Iterable[Path], read: Callable[[], T]) -> T:
    """What `read` gives, which is called again when one of the files is another than it was; it may add to them."""
    known = _known.get(key)
    if known is not None:
        marks, found = known
        if marks == [(path, loose_refs.mark(path)) for path, _ in marks]:  # type: ignore[attr-defined]
            value: T = found
            return value
    value = read()
    if len(_known) >= _KEPT:
        _known.clear()
    _known[key] = [(path, loose_refs.mark(path)) for path in files], value
    return value


def _keys_of(text: str, section: str) -> list[str]:
    """The keys one level below a top-level key of a YAML file written in block style."""
    _, found, below = f"\n{text}".partition(f"\n{section}:")
    keys: list[str] = []
    indent = None
    for line in below.splitlines()[1:] if found else ():
        stripped = line.lstrip(" ")
        if not stripped or stripped.startswith("#"):
            continue
        depth = len(line) - len(stripped)
        if depth == 0:
            break
        indent = depth if indent is None else indent
        match = re.match(r"""(['"]?)([^'":]+)\1\s*:(\s|$)""", stripped)
        if depth == indent and match:
            keys.append(match[2].strip())
    return keys
