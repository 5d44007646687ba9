"""dvc.yaml: the stages of a pipeline, and the metrics, plots and artifacts it declares.

The whole schema of DVC 3.67.1 is checked (formats.md 2.1), and what is wrong is told with its line.
Paths are what the file's author writes, who may be anybody: none may lead out of the project
(execution.md S3). `adding` puts a new stage in.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from nbexp.errors import ProjectFileError, nearest
from nbexp.formats import dvc_lock, interpolation, values, yaml12
from nbexp.formats.interpolation import Context, Parsing, Read, Unfilled
from nbexp.formats.ref_names import DEVICES
from nbexp.frozen import field, frozen

if TYPE_CHECKING:
    import yaml

Bucket = Literal["outs", "metrics", "plots"]

DEFAULT_PARAMS_FILE = "params.yaml"


def no_files(path: str) -> bytes | None:  # noqa: ARG001  # as every `Read`
    """Where there are no params files to fill templates in from."""
    return None


def _as_by_default() -> Parsing:
    return {}


@frozen
class ParamSpec:
    """A params file that a stage reads, and which keys of it; no keys means all of the file."""

    path: str
    keys: tuple[str, ...] = ()


@frozen
class OutSpec:
    """A file or directory that a stage writes, and how it is kept.

    `plot` holds the options of a plot: template, x, y, x_label, y_label, title, header.
    """

    path: str
    bucket: Bucket = "outs"
    cache: bool = True
    persist: bool = False
    checkpoint: bool = False  # of DVC 2: kept, and without effect
    remote: str | None = None
    push: bool = True
    plot: Mapping[str, object] = field(default_factory=dict, hash=False)
    desc: str | None = None
    type: str | None = None
    labels: tuple[str, ...] = ()
    meta: object = field(default=None, hash=False)


@frozen
class StageSpec:
    """A stage as dvc.yaml defines it, paths as it spells them (relative to `wdir`).

    Attributes
    ----------
    commands
        What is run, one process each: the items of a list, the lines of a text.
    cmd
        The same as it is in the file, which is what dvc.lock keeps.
    wdir
        Where commands run, relative to the directory of the file; None: there.
    line
        Where in the file the stage begins.
    group
        The name that the file has it under, where a `foreach` or `matrix` generates it.
    """

    name: str
    commands: tuple[str, ...]
    cmd: str | tuple[str, ...]
    wdir: str | None = None
    deps: tuple[str, ...] = ()
    params: tuple[ParamSpec, ...] = ()
    outs: tuple[OutSpec, ...] = ()
    frozen: bool = False
    always_changed: bool = False
    desc: str | None = None
    meta: object = None
    line: int | None = None
    group: str | None = None

    # Stages are the keys of a graph's mappings; a file has one of each name, and `meta` is anything.
    def __hash__(self) -> int:
        return hash((self.name, self.line))


@frozen
class PlotSpec:
    """A plot declared at the top of the file: a path or a title, and the options given for it."""

    id: str
    options: Mapping[str, object] | None = field(default=None, hash=False)


@frozen
class PipelineFile:
    """All that a dvc.yaml says. Paths at the top are relative to the file's own directory.

    Attributes
    ----------
    datasets
        Each with its `name`, `type` and what else the file says of it.
    used
        The values that templates of stages took from params files, by file (relative to the project's
        root) and dotted key.
    read
        The files that were looked for to fill templates in, relative to the root.
    hidden
        What templates cannot name in the stages that a `foreach` or `matrix` generates, because its own
        `item` or `key` stands there, by the name of that group.
    """

    stages: tuple[StageSpec, ...] = ()
    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    plots: tuple[PlotSpec, ...] = ()
    artifacts: Mapping[str, Mapping[str, object]] = field(default_factory=dict, hash=False)
    datasets: tuple[Mapping[str, object], ...] = field(default=(), hash=False)
    used: Mapping[str, Mapping[str, object]] = field(default_factory=dict, hash=False)
    read: tuple[str, ...] = ()
    hidden: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


def parse(
    data: bytes,
    path: str,
    read: Read = no_files,
    parsing: Callable[[], Parsing] = _as_by_default,
) -> PipelineFile:
    """The pipeline that these bytes define, its templates filled in.

    Parameters
    ----------
    path
        Where the file is, relative to the project's root: for messages, and to see where its paths lead.
    read
        Gives the params files that templates are filled in from: on disk, with edits, or of a commit.
    parsing
        Asked for DVC's configuration `parsing` where a template stands for a mapping.

    Raises
    ------
    ProjectFileError
        It is no YAML, breaks the schema, has a path out of the project, or a template that names nothing.

    Notes
    -----
    One run looks at the same bytes several times, and the next run again: the last files are remembered,
    each with what was read to fill it in.
    """
    known = _REMEMBERED.get((path, data), ())
    for around, result in known:
        if around.is_as(read, parsing):
            return result
    around = Around(read, parsing)
    result = _parse(data, path, around)
    while len(_REMEMBERED) >= _MANY:
        _REMEMBERED.pop(next(iter(_REMEMBERED)), None)
    _REMEMBERED[path, data] = (*known[-3:], (around, result))
    return result


def _parse(data: bytes, path: str, around: Around) -> PipelineFile:
    dvc_lock.check_merged(data, path)
    # First, because it has the limits that keep the second reading from harm.
    tree = values.parse(data, path)
    places = _Places(data)
    try:
        return Reader(posixpath.dirname(path), places, around).file(tree)
    except Refused as refused:
        line = _line(places.root, refused.at)
        raise ProjectFileError(refused.message, refused.hint, path=path, line=line) from None


class Around:
    """What lies around a dvc.yaml, and what was asked of it."""

    def __init__(self, read: Read, parsing: Callable[[], Parsing] = _as_by_default) -> None:
        self._read, self._parsing = read, parsing
        self.files: dict[str, bytes | None] = {}
        self._said: Parsing | None = None

    def read(self, path: str) -> bytes | None:
        if path not in self.files:
            self.files[path] = self._read(path)
        return self.files[path]

    def parsing(self) -> Parsing:
        if self._said is None:
            self._said = self._parsing()
        return self._said

    def is_as(self, read: Read, parsing: Callable[[], Parsing]) -> bool:
        """Whether others would give the same to all that was asked."""
        same = all(read(path) == data for path, data in self.files.items())
        return same and (self._said is None or self._said == parsing())


_REMEMBERED: dict[tuple[str, bytes], tuple[tuple[Around, PipelineFile], ...]] = {}
_MANY = 16


def line_of(data: bytes, at: Iterable[str | int]) -> int | None:
    """The line of a key or item, such as `("stages", "train", "cmd")`; of what it is in, where it is not there."""
    return _line(compose(data), at)


# --- Reading ---------------------------------------------------------------------------------------

_FILE_KEYS = ("vars", "params", "metrics", "plots", "artifacts", "datasets", "stages")
_STAGE_KEYS = (
    "cmd", "wdir", "deps", "params", "outs", "metrics", "plots", "frozen", "always_changed", "desc", "meta",
    "vars", "matrix", "foreach", "do",
)  # fmt: skip
_NOTE_KEYS = ("desc", "type", "labels", "meta")
_OUT_KEYS = ("cache", "persist", "remote", "push", *_NOTE_KEYS, "checkpoint")
PLOT_KEYS = ("template", "x", "y", "x_label", "y_label", "title", "header")
_TOP_PLOT_KEYS = ("x", "y", "x_label", "y_label", "title", "template")

_PATHS = "a list of paths"
# ASCII punctuation that a stage's name must not have (DVC 3.67.1).
PUNCTUATION = frozenset("!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~")
# Where a dep may be outside of the project: storages that tell when they change, and DVC's data sets.
SOURCES = frozenset({"http", "https", "s3", "gs", "azure", "remote", "ds"})
_BUCKETS = ("outs", "metrics", "plots")
_FLAGS = ("cache", "persist", "push", "checkpoint", "header")
_NOT_FILLED = ("vars", "frozen", "always_changed")


class Refused(Exception):
    """What is wrong, and where in the tree."""

    def __init__(self, message: str, at: tuple[str | int, ...], hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint


class Value:
    """A value of the file, which knows what to call itself when it is wrong."""

    __slots__ = ("_called", "_parent", "_step", "value")

    def __init__(
        self,
        value: object,
        parent: Value | None = None,
        step: str | int | None = None,
        *,
        called: str | None = None,
    ) -> None:
        self.value = value
        self._parent = parent
        self._step = step
        self._called = called

    @property
    def name(self) -> str:
        """For messages: "item 2 of `deps` of stage `train`"."""
        if self._called is not None:
            return self._called
        above = self._parent
        if above is None or self._step is None:
            return above.name if above is not None else "this file"
        if isinstance(self._step, int):
            return f"item {self._step + 1} of {above.name}"
        if above._is_item and above._parent is not None:
            return f"`{self._step}` in {above._parent.name}"
        return f"`{self._step}` of {above.name}" if above._parent is not None else f"`{self._step}`"

    @property
    def _is_item(self) -> bool:
        return isinstance(self._step, int)

    def around(self, text: str) -> str:
        """What has `text` in it: as an item, as a key, or as this value."""
        above = self._parent
        if above is not None and self._step == text:
            return above.around("") if above._is_item else above.name
        return above.name if above is not None and self._is_item else self.name

    @property
    def parent(self) -> Value | None:
        return self._parent

    @property
    def step(self) -> str | int | None:
        return self._step

    @property
    def at(self) -> tuple[str | int, ...]:
        """The keys and numbers that lead to it from the top of the file."""
        above = self._parent.at if self._parent is not None else ()
        return above if self._step is None else (*above, self._step)

    def refused(self, message: str, hint: str | None = None) -> Refused:
        return Refused(message, self.at, hint)

    def wrong(self, expected: str) -> Refused:
        """That its type is another than expected."""
        return self.refused(f"{self.name} is {_kind(self.value)}; {expected} is expected.")

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("text")
        return self.value

    def scalar(self) -> str:
        """Its text; what was filled in may be a number."""
        if not isinstance(self.value, (str, int, float)):
            raise self.wrong("text")
        return interpolation.text(self.value)

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def items(self, expected: str) -> Iterator[Value]:
        if not isinstance(self.value, list):
            raise self.wrong(expected)
        for number, item in enumerate(self.value):
            yield Value(item, self, number)

    def texts(self, expected: str) -> tuple[str, ...]:
        return tuple(item.text() for item in self.items(expected))

    def entries(self, known: tuple[str, ...] = (), of: str = "") -> dict[str, Value]:
        """Its keys and values; with `known`, no other keys are allowed."""
        if not isinstance(self.value, Mapping):
            raise self.wrong("a mapping")
        found: dict[str, Value] = {}
        for key, value in self.value.items():
            if not isinstance(key, str):
                raise Value(value, self, str(key)).refused(
                    f"`{_shown(key)}` in {self.name} is no text.", "put it in quotes."
                )
            entry = found[key] = Value(value, self, key)
            if known and key not in known:
                near = nearest(key, known)
                hint = f"did you mean `{near}`?" if near else f"keys: {', '.join(sorted(known))}."
                raise entry.refused(f"`{key}` is no key of {of or self.name}.", hint)
        return found


class Reader:
    """Makes the objects of a dvc.yaml in the directory `folder` (relative to the project's root).

    Without `around`, templates are left as they stand.
    """

    def __init__(self, folder: str, places: _Places | None, around: Around | None) -> None:
        self._folder = folder
        self._places = places
        self._around = around
        self._used: dict[str, dict[str, object]] = {}
        self._hidden: dict[str, tuple[str, ...]] = {}

    def file(self, tree: object) -> PipelineFile:
        top = Value(tree).entries(_FILE_KEYS, "a dvc.yaml")
        context = self.context(top)
        stages: list[StageSpec] = []
        for key, found in top.items():
            if key == "stages":
                for name, stage in found.entries().items():
                    taken = {one.name for one in stages}
                    stages += self._stages(name, stage, context)
                    twice = next(
                        (one.name for one in stages[len(taken) :] if one.name in taken), None
                    )
                    if twice is not None:
                        raise stage.refused(
                            f"two entries make a stage `{twice}`.", "give one of them another name."
                        )
            elif key == "artifacts":
                found.value = _filled_in(found, context, None)
            elif key != "vars" and isinstance(found.value, list):
                found.value = [_filled_in(item, context, None) for item in found.items("")]
        nothing = Value([])
        return PipelineFile(
            tuple(stages),
            self._paths(top.get("params", nothing), self._folder),
            self._paths(top.get("metrics", nothing), self._folder),
            tuple(self._top_plots(top.get("plots", nothing))),
            self._artifacts(top["artifacts"]) if "artifacts" in top else {},
            tuple(_datasets(top["datasets"])) if "datasets" in top else (),
            self._used,
            tuple(self._around.files) if self._around is not None else (),
            self._hidden,
        )

    def context(self, top: Mapping[str, Value]) -> Context | None:
        """What the templates of a file may name: params.yaml beside it, then its `vars`."""
        listed = top.get("vars")
        if self._around is None:
            return None
        context = Context(self._around.read, self._around.parsing)
        if (listed is not None and listed.value) or _has_dollar(
            entry.value for entry in top.values()
        ):
            context.load_default(posixpath.join(self._folder, DEFAULT_PARAMS_FILE))
        if listed is not None:
            self._load_vars(listed, context, self._folder)
        return context

    def _load_vars(self, listed: Value, context: Context, folder: str) -> None:
        for item in listed.items("a list of files and mappings"):
            with _told_of(item):
                context.load(item.value, folder)

    def _stages(self, name: str, found: Value, context: Context | None) -> Iterator[StageSpec]:
        """The stage of that name, or all that its `foreach` or `matrix` generates."""
        stage = Value(found.value, found.parent, name, called=f"stage `{name}`")
        keys = stage.entries()
        if "foreach" in keys or "do" in keys:
            stage.entries(("foreach", "do"), f"{stage.name}, which has `foreach`")
            for key in ("foreach", "do"):
                if key not in keys:
                    raise stage.refused(f"{stage.name} has no `{key}`.")
            through, template = keys["foreach"], keys["do"]
            if template.entries().keys() & {"foreach", "do"}:
                raise template.refused(f"{template.name} has `foreach` or `do` once more.")
        elif "matrix" in keys:
            through = keys.pop("matrix")
            through.entries()
            template = Value({key: entry.value for key, entry in keys.items()}, stage.parent, name)
        else:
            yield self.stage(name, stage, context)
            return
        if context is None:
            raise through.refused(f"{through.name} makes several stages; one is expected.")
        size = repr(template.value)
        with _told_of(through):
            nodes = context.nodes(through.value)
            if "foreach" in keys:
                each = [*interpolation.generated(nodes)]
            else:
                assert isinstance(nodes, Mapping)
                each = [*interpolation.combined(nodes)]
        hidden = tuple(one for one in (each[0][1] if each else ()) if context.has(one))
        if hidden:
            self._hidden[name] = hidden
        for key, bound in each:
            generated = f"{name}@{key}"
            with _told_of(through):
                context.spend(size)
            called = Value(
                template.value, template.parent, template.step, called=f"stage `{generated}`"
            )
            yield self.stage(generated, called, context.copy(**bound), group=name)

    def stage(
        self, name: str, stage: Value, context: Context | None, group: str | None = None
    ) -> StageSpec:
        found = stage.entries(_STAGE_KEYS)
        found.pop("matrix", None)  # in a `foreach`, where DVC does nothing about it
        if context is not None:
            context = context.copy()
            if "vars" in found:
                self._load_stage_vars(found, context)
            for key, entry in found.items():
                if key not in _NOT_FILLED:
                    entry.value = _filled_in(entry, context, key)
            for file, used in context.used.items():
                self._used.setdefault(file, {}).update(used)
        cmd = _cmd(stage, found)
        wdir = found["wdir"].text() if "wdir" in found else None
        if wdir is not None:
            self._check(wdir, self._folder, found["wdir"])
        base = posixpath.join(self._folder, wdir or ".")
        nothing = Value([])
        return StageSpec(
            name,
            tuple(line for line in cmd.splitlines() if line.strip())
            if isinstance(cmd, str)
            else cmd,
            cmd,
            wdir,
            self._deps(found.get("deps", nothing), base),
            self._params(found.get("params", nothing), base),
            self._outs(found, base),
            "frozen" in found and found["frozen"].flag(),
            "always_changed" in found and found["always_changed"].flag(),
            found["desc"].scalar() if "desc" in found else None,
            found["meta"].value if "meta" in found else None,
            self._places.stage(group or name) if self._places is not None else None,
            group,
        )

    def _load_stage_vars(self, found: Mapping[str, Value], context: Context) -> None:
        folder = self._folder
        if "wdir" in found:
            # A stage's own files are relative to its directory, which is known without them.
            with _told_of(found["wdir"]):
                wdir = context.copy().fill(found["wdir"].text(), "wdir")
            folder = posixpath.join(folder, interpolation.text(wdir))
        self._load_vars(found["vars"], context, folder)

    def _paths(self, listed: Value, base: str) -> tuple[str, ...]:
        return tuple(self._check(item.text(), base, item) for item in listed.items(_PATHS))

    def _deps(self, listed: Value, base: str) -> tuple[str, ...]:
        paths = []
        for item in listed.items(_PATHS):
            path = item.text()
            is_fine = _may_be_read(path) or is_elsewhere(path, base)
            paths.append(path if is_fine else self._check(path, base, item))
        return tuple(paths)

    def _params(self, listed: Value, base: str) -> tuple[ParamSpec, ...]:
        """Each params file once, with all keys asked of it; if all of it is asked for, that counts."""
        wanted: dict[str, dict[str, None] | None] = {}
        for item in listed.items("a list of keys"):
            if isinstance(item.value, str):
                asked: list[tuple[str, tuple[str, ...]]] = [(DEFAULT_PARAMS_FILE, (item.value,))]
            elif isinstance(item.value, Mapping):
                asked = []
                for path, keys in item.entries().items():
                    if not is_elsewhere(path, base):
                        self._check(path, base, keys)
                    listed_keys = () if keys.value is None else keys.texts("a list of keys")
                    asked.append((path, listed_keys))
            else:
                raise item.wrong("a key, or a params file with its keys,")
            for path, names in asked:
                known = wanted.setdefault(path, {})
                if not names:
                    wanted[path] = None
                elif known is not None:
                    known.update(dict.fromkeys(names))
        return tuple(ParamSpec(path, tuple(keys or ())) for path, keys in wanted.items())

    def _outs(self, found: Mapping[str, Value], base: str) -> tuple[OutSpec, ...]:
        outs: dict[str, OutSpec] = {}
        buckets: tuple[Bucket, ...] = ("outs", "metrics", "plots")
        for bucket in buckets:
            for item in found[bucket].items(_PATHS) if bucket in found else ():
                if isinstance(item.value, str):
                    spelled = {item.value: item}
                elif isinstance(item.value, Mapping):
                    spelled = item.entries()
                else:
                    raise item.wrong("a path, or a path with options,")
                for path, options in spelled.items():
                    self._check(path, base, options)
                    if path in outs and outs[path].bucket != bucket:
                        raise options.refused(
                            f"`{path}` is in `{outs[path].bucket}` and in `{bucket}`.",
                            "keep one of the two; a metric or plot is an output already.",
                        )
                    outs[path] = (
                        OutSpec(path, bucket) if options is item else _out(path, bucket, options)
                    )
        return tuple(outs.values())

    def _top_plots(self, listed: Value) -> Iterator[PlotSpec]:
        for item in listed.items("a list of plots"):
            if isinstance(item.value, str):
                yield PlotSpec(self._check(item.value, self._folder, item))
            elif isinstance(item.value, Mapping):
                for name, options in item.entries().items():
                    yield self._top_plot(name, options)
            else:
                raise item.wrong("a path, or a path or title with options,")

    def _top_plot(self, name: str, options: Value) -> PlotSpec:
        if options.value is None:
            return PlotSpec(self._check(name, self._folder, options))
        found = options.entries(_TOP_PLOT_KEYS)
        files = []
        for key, value in found.items():
            if key in {"x", "y"} and isinstance(value.value, Mapping):
                columns = value.entries()
                files += [(path, column) for path, column in columns.items()]
            else:
                columns = {key: value}
            for column in columns.values():
                if key == "y" and isinstance(column.value, list):
                    column.texts("a list of columns")
                else:
                    column.text()
        if not ("y" in found and isinstance(found["y"].value, Mapping)):
            # Without files named in `y`, the name is the file.
            files.append((name, options))
        for path, where in files:
            self._check(path, self._folder, where)
        return PlotSpec(name, _plain(found))

    def _artifacts(self, artifacts: Value) -> dict[str, Mapping[str, object]]:
        plain: dict[str, Mapping[str, object]] = {}
        for name, artifact in artifacts.entries().items():
            found = artifact.entries(("path", *_NOTE_KEYS))
            if "path" not in found:
                raise artifact.refused(f"{artifact.name} has no `path`.")
            self._check(found["path"].text(), self._folder, found["path"])
            _check_notes(found)
            plain[name] = _plain(found)
        return plain

    def _check(self, path: str, base: str, where: Value) -> str:
        """The path, if it leads to a place inside the project (execution.md S3)."""
        wrong = what_is_wrong(path, base)
        if wrong:
            hint = "`dvc import-url` brings data into the project." if _is_url(path) else None
            raise where.refused(f"`{_on_a_line(path)}` in {where.around(path)} {wrong}.", hint)
        return path


@contextmanager
def _told_of(where: Value) -> Iterator[None]:
    """What is wrong with a template, told of the value that has it."""
    try:
        yield
    except Unfilled as wrong:
        raise where.refused(f"{where.name} {wrong.message}", wrong.hint) from None


def _filled_in(entry: Value, context: Context | None, key: str | None) -> object:
    """The value with all templates in it filled in; `key` is that of the stage which has it."""
    value = entry.value
    if isinstance(value, str):
        if "${" not in value or context is None:
            return value
        with _told_of(entry):
            return context.fill(value, key)
    if isinstance(value, Mapping):
        # What DVC checks to be true or false before it fills anything in.
        plain = _FLAGS if key in _BUCKETS else ()
        return {
            _filled_in(Value(name, entry), context, key): inner
            if name in plain
            else _filled_in(Value(inner, entry, str(name)), context, key)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_filled_in(item, context, key) for item in entry.items("")]
    return value


def _has_dollar(found: Iterable[object]) -> bool:
    """Whether a template may be in one of the values."""
    for value in found:
        if isinstance(value, str):
            if "${" in value:
                return True
        elif isinstance(value, Mapping):
            if _has_dollar(value) or _has_dollar(value.values()):
                return True
        elif isinstance(value, list) and _has_dollar(value):
            return True
    return False


def _datasets(listed: Value) -> Iterator[Mapping[str, object]]:
    for item in listed.items("a list of datasets"):
        found = item.entries()
        for key in ("name", "type"):
            if key not in found:
                raise item.refused(f"{item.name} has no `{key}`.")
            found[key].text()
        yield _plain(found)


def _cmd(stage: Value, found: Mapping[str, Value]) -> str | tuple[str, ...]:
    if "cmd" not in found:
        raise stage.refused(f"{stage.name} has no `cmd`.")
    cmd = found["cmd"]
    if isinstance(cmd.value, list):
        return cmd.texts("")
    if isinstance(cmd.value, str):
        # One without a word in it is no error of the file, whose other stages run: the plan refuses the stage.
        return cmd.value
    raise cmd.wrong("a command, or a list of them,")


def _out(path: str, bucket: Bucket, options: Value) -> OutSpec:
    if options.value is None:
        raise options.refused(
            f"`{path}` has a colon and no options after it.",
            f"write `- {path}`, or put options below.",
        )
    found = options.entries((*_OUT_KEYS, *PLOT_KEYS) if bucket == "plots" else _OUT_KEYS)
    for key, value in found.items():
        if key in _FLAGS:
            value.flag()
        elif key not in _NOTE_KEYS:
            value.text()
    _check_notes(found)
    plain = _plain(found)
    plot = {key: plain.pop(key) for key in PLOT_KEYS if key in plain}
    labels = found["labels"].texts("") if "labels" in found else ()
    return OutSpec(path, bucket, plot=plot, **{**plain, "labels": labels})  # type: ignore[arg-type]


def _check_notes(found: Mapping[str, Value]) -> None:
    for key in ("desc", "type"):
        if key in found:
            found[key].text()
    if "labels" in found:
        found["labels"].texts("a list of labels")


def _plain(found: Mapping[str, Value]) -> dict[str, object]:
    return {key: entry.value for key, entry in found.items()}


def _on_a_line(text: str) -> str:
    """The text with what would break a line or colour it written as in Python."""
    return text if text.isprintable() else repr(text)[1:-1]


def what_is_wrong(path: str, base: str) -> str | None:
    """Why a path, relative to the folder `base` of the project, is none for a stage; None if it is one."""
    expected = "a path inside the project is expected"
    place = posixpath.normpath(posixpath.join(base, path))
    if not path:
        return f"is empty; {expected}"
    if _is_url(path):
        return f"is a URL; {expected}"
    if path.startswith(("/", "\\")) or (":" in path and re.match(r"[A-Za-z]:[\\/]", path)):
        return f"is an absolute path; {expected}"
    if place == ".." or place.startswith("../"):
        return f"leads out of the project; {expected}"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        return "has a control character in it"
    for part in path.split("/"):
        folded = part.casefold()
        if folded in {".git", ".dvc"}:
            return f"is in {folded}, which is not for stages"
        if part not in {"", ".", ".."} and part[-1] in ". ":
            return "has a name with a dot or space at its end, which not every system can hold"
        if folded.split(".")[0] in DEVICES:
            return "has a name that Windows keeps for a device"
    return None


def _is_url(path: str) -> bool:
    return dvc_lock.is_source(path)


def _may_be_read(path: str) -> bool:
    """Whether a dep is a URL whose state can be asked for, or a dataset."""
    return _is_url(path) and path.partition("://")[0] in SOURCES and path.isprintable()


def is_elsewhere(path: str, base: str) -> bool:
    """Whether a dep is a file outside of the project, and no folder that the project lies in."""
    if not path.isprintable() or _is_url(path) or path.startswith("\\"):
        return False
    place = posixpath.normpath(posixpath.join(base, path))
    if place.startswith("/"):
        return bool(place.strip("/"))
    return place.startswith("../") and posixpath.basename(place) != ".."


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return f"`{_shown(value)}`"
    if isinstance(value, int | float):
        return f"a number ({_shown(value)})"
    if isinstance(value, str):
        return f"text (`{_shown(value)}`)"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


# --- Where things stand ----------------------------------------------------------------------------


class _Places:
    """The lines of a dvc.yaml, looked for when they are asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @cached_property
    def root(self) -> yaml.Node | None:
        return compose(self._data)

    @cached_property
    def _stages(self) -> Mapping[object, int] | None:
        return yaml12.lines_of(self._data.decode().removeprefix("\ufeff"), "stages")

    def stage(self, name: str) -> int | None:
        """The line that the definition of a stage begins in."""
        if self._stages is not None:
            return self._stages.get(name)
        return _line(self.root, ("stages", name))


def compose(data: bytes) -> yaml.Node | None:
    """The file as nodes, which know their lines; None where it is empty."""
    import yaml

    # What a scalar means comes from `values.parse`; only places are looked up here.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: yaml.Node | None = yaml.compose(data, Loader=loader)
    return found


def _line(root: yaml.Node | None, at: Iterable[str | int]) -> int | None:
    """The line of a key or item; of what it is in, where it is not written itself."""
    node, line = root, None
    for step in at:
        found = child(node, step)
        if found is None:
            break
        line, node = found
    return line


def child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """The line of a key of a mapping, or of an item of a list, and the node it leads to."""
    import yaml

    if isinstance(node, yaml.MappingNode) and isinstance(step, str):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item.start_mark.line + 1, item
    return None
