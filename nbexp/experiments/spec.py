"""Spec: everything that was asked for, checked against the params files before anything runs."""

from __future__ import annotations

import math
import os
import posixpath
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nbexp.errors import NameTaken, NotFound, UsageError
from nbexp.experiments import composition
from nbexp.formats import editing, ref_names, secrets, values
from nbexp.formats.interpolation import Read
from nbexp.formats.ref_names import ExpRef
from nbexp.frozen import field, frozen
from nbexp.overrides import DEFAULT_FILE, Override, resolve
from nbexp.pipeline.context import How
from nbexp.pipeline.graph import Graph, bytes_of
from nbexp.pipeline.stage import Stage


@frozen
class Which:
    """Which stages a request is about: DVC's words for them, of which some go before others."""

    pipeline: bool = False
    all_pipelines: bool = False
    recursive: bool = False
    glob: bool = False
    downstream: bool = False
    single: bool = False

    @property
    def is_whole(self) -> bool:
        return self.pipeline or self.all_pipelines

    @property
    def is_single(self) -> bool:
        return self.single and not self.is_whole

    @property
    def is_downstream(self) -> bool:
        return self.downstream and not self.is_whole and not self.single

    def stages(self, graph: Graph, targets: Sequence[str], here: str) -> tuple[Stage, ...]:
        """The stages meant by targets that were named from the directory `here`, in the order they run.

        Raises
        ------
        NotFound
            There is none of them.
        """
        found = graph.targets(
            tuple(targets),
            here,
            recursive=self.recursive,
            glob=self.glob,
            whole_pipeline=self.pipeline,
            all_pipelines=self.all_pipelines,
        )
        if self.recursive and targets and not found:
            listed = ", ".join(f"`{target}`" for target in targets)
            raise NotFound(f"There are no stages in {listed}. Nothing was run.")
        if self.is_downstream:
            return graph.downstream(found)
        return graph.order(found, single=self.is_single)


@frozen
class Resumed:
    """The step of an experiment that a run goes on from.

    Attributes
    ----------
    rev
        Its commit, the parent of the run's first one.
    step
        Its number.
    stages
        The stages that go on from it, by address from the root.
    """

    rev: str
    step: int
    stages: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {"rev": self.rev, "step": self.step, "stages": list(self.stages)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Resumed:
        stages = tuple(map(str, stored["stages"]))
        return cls(str(stored["rev"]), int(stored["step"]), stages)


@frozen
class Spec:
    """A run as it was asked for, frozen.

    Attributes
    ----------
    baseline
        The commit the experiment starts from.
    name
        Reserved: no experiment of `baseline` has it, or `replaces` is that experiment's rev.
    here
        The user's directory, relative to the project's root; targets and params files are named
        from there.
    edits
        The params files with the overrides written into them, by path relative to the root.
    force
        Run every stage. `new` runs even what is recorded already.
    carries
        Files, from the top of the work tree, that the experiment holds whatever its pipeline names.
    how
        The other options of `repro`; its `force` and `checks_out` are not looked at.
    which
        Which stages, beside the targets.
    pull
        Missing data is fetched from the remote.
    run_cache
        A stage may be restored from an earlier run.
    copies
        Files and folders, relative to the user's directory, that are copied to where an isolated run
        works; no experiment holds them.
    resumed
        The step that it goes on from; None: it begins on the baseline.
    hydra
        Params may be composed, where the project's config says so.
    composed
        The text of params.yaml that was composed when the run was asked for; None where that is off.
    """

    baseline: str
    name: str
    here: str = "."
    targets: tuple[str, ...] = ()
    overrides: tuple[Override, ...] = ()
    edits: Mapping[str, bytes] = field(default_factory=dict)
    message: str | None = None
    force: bool = False
    new: bool = False
    replaces: str | None = None
    named: bool = False
    carries: tuple[str, ...] = ()
    how: How = field(default_factory=How)
    which: Which = field(default_factory=Which)
    pull: bool = False
    run_cache: bool = True
    copies: tuple[str, ...] = ()
    resumed: Resumed | None = None
    hydra: bool = True
    composed: str | None = None

    @property
    def ref(self) -> str:
        return ExpRef(self.baseline, self.name).ref

    @property
    def single(self) -> bool:
        """Whether the targets run alone, without what they need."""
        return self.which.is_single

    @property
    def downstream(self) -> bool:
        """Whether all that needs the targets runs as well."""
        return self.which.is_downstream

    @property
    def asks_to_execute(self) -> bool:
        """Whether an equal experiment does not answer it: stages are to run."""
        options = (self.force, self.single, self.new, self.downstream, self.how.force_downstream)
        return any(options) or self.resumed is not None

    def to_json(self) -> dict[str, object]:
        """The spec in JSON's own types, without its `edits`, which are made again where it runs.

        Examples
        --------
        >>> spec = Spec("5e" + "f" * 38, "low-lr", targets=("train",))
        >>> Spec.from_json(spec.to_json()) == spec
        True
        """
        how, which = self.how, self.which
        return {
            "version": _VERSION,
            "baseline": self.baseline,
            "name": self.name,
            "here": self.here,
            "targets": list(self.targets),
            "overrides": [_override_json(one) for one in self.overrides],
            "message": self.message,
            "force": self.force,
            "new": self.new,
            "replaces": self.replaces,
            "named": self.named,
            "carries": list(self.carries),
            "how": {
                "force_downstream": how.force_downstream,
                "allow_missing": how.allow_missing,
                "on_failure": how.on_failure,
                "jobs": how.jobs,
                "totals": dict(how.totals),
            },
            "which": {
                "pipeline": which.pipeline,
                "all_pipelines": which.all_pipelines,
                "recursive": which.recursive,
                "glob": which.glob,
                "downstream": which.downstream,
                "single": which.single,
            },
            "pull": self.pull,
            "run_cache": self.run_cache,
            "copies": list(self.copies),
            "resumed": None if self.resumed is None else self.resumed.to_json(),
            "hydra": self.hydra,
            "composed": self.composed,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Spec:
        """The spec that `to_json` told.

        Raises
        ------
        UsageError
            It was stored by another nbexp, or is damaged.
        """
        try:
            if stored["version"] != _VERSION:
                raise ValueError
            return cls(
                baseline=str(stored["baseline"]),
                name=str(stored["name"]),
                here=str(stored["here"]),
                targets=tuple(map(str, stored["targets"])),
                overrides=tuple(map(_override, stored["overrides"])),
                message=stored["message"],
                force=bool(stored["force"]),
                new=bool(stored["new"]),
                replaces=stored["replaces"],
                named=bool(stored["named"]),
                carries=tuple(map(str, stored["carries"])),
                how=How(**stored["how"]),
                which=Which(**stored["which"]),
                pull=bool(stored["pull"]),
                run_cache=bool(stored["run_cache"]),
                copies=tuple(map(str, stored["copies"])),
                resumed=Resumed.from_json(stored["resumed"]) if stored.get("resumed") else None,
                hydra=bool(stored["hydra"]),
                composed=stored["composed"],
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UsageError(
                "What was asked for is stored in a form that this version does not read."
            ) from None


def make(
    root: Path,
    baseline: str,
    taken: Mapping[str, str],
    *,
    here: str = ".",
    targets: Sequence[str] = (),
    overrides: Sequence[Override] = (),
    name: str | None = None,
    message: str | None = None,
    force: bool = False,
    new: bool = False,
    how: How | None = None,
    which: Which | None = None,
    pull: bool = False,
    run_cache: bool = True,
    copies: Sequence[str] = (),
    hydra: bool = True,
    composed: str | None = None,
    verb: str = "run",
    untouched: str = "Nothing was run.",
    read: Read | None = None,
) -> Spec:
    """The spec of a request.

    Parameters
    ----------
    taken
        Every experiment ref and its rev.
    overrides
        As they were typed; a `${key}` in one is replaced by what the file says at the key.
    hydra
        Compose params.yaml where the project's config says so. `composed` is its text where that was done
        before, for all points of a sweep at once (`composition.compose_all`).
    verb, untouched
        For messages: the command, and what it has left alone.
    read
        Gives the params files by their path relative to the root; None: the disk.

    Raises
    ------
    UsageError
        The name is not one an experiment may have, or a `${key}` names nothing.
    NameTaken
        The baseline has an experiment of that name and `force` is off.
    NotFound
        A params file or key does not exist; the nearest key is in the hint.
    """
    read = read or partial(bytes_of, root)
    if hydra and composed is None:
        composed = composition.compose(root, here, overrides)
    overrides = resolved(read, here, overrides, composed)
    replaces = None
    if name is None:
        known = {name.lower() for _, _, name in ref_names.experiments(taken)}
        name = ref_names.draw(known)
        named = False
    else:
        named = True
        ref_names.check_name(name)
        holder = _holder(name, baseline, taken)
        replaces = holder and holder[1]
        if holder is not None and (holder[0] != name or not force):
            raise NameTaken(
                f"Experiment `{holder[0]}` already exists on baseline {baseline[:7]}. {untouched}",
                f"`nbexp {verb} -n {holder[0]} --force` replaces it; without `-n` a fresh name is drawn.",
            )
    return Spec(
        baseline=baseline,
        name=name,
        here=here,
        targets=tuple(targets),
        overrides=overrides,
        edits=params_edits(root, here, overrides, read, composed=composed),
        message=None if message is None else _sayable(message),
        force=force,
        new=new,
        replaces=replaces,
        named=named,
        how=how or How(),
        which=which or Which(),
        pull=pull,
        run_cache=run_cache,
        copies=tuple(_as_seen_from(root, here, path) for path in copies),
        hydra=hydra,
        composed=composed,
    )


def _as_seen_from(root: Path, here: str, path: str) -> str:
    """A path of the project's, relative to the user's directory, however it was typed."""
    if not Path(path).is_absolute() or not Path(path).is_relative_to(root):
        return path
    return posixpath.relpath(Path(path).as_posix(), (root / here).as_posix())


def resolved(
    read: Read, here: str, overrides: Sequence[Override], composed: str | None
) -> tuple[Override, ...]:
    """The overrides with values in place of `${key}`; those that went into a composition as they were typed."""
    plain = [one for one in overrides if composed is None or not composition.is_composed(one)]
    found = iter(resolve(plain, lambda file: values.parse(_params_file(read, here, file), file)))
    return tuple(next(found) if one in plain else one for one in overrides)


def _sayable(message: str) -> str:
    """The message without secrets: it goes into a commit, which is pushed as it is."""
    return secrets.in_prose(message, os.environ)


def params_edits(
    root: Path,
    here: str,
    overrides: Sequence[Override],
    read: Read | None = None,
    *,
    composed: str | None = None,
) -> dict[str, bytes]:
    """The params files as the overrides make them; files that stay equal are left out.

    Parameters
    ----------
    composed
        What params.yaml says instead of what is in it; the overrides that went into that are passed over.
    """
    read = read or partial(bytes_of, root)
    by_file: dict[str, list[editing.Edit]] = {}
    start: dict[str, bytes] = {}
    if composed is not None:
        overrides = [one for one in overrides if not composition.is_composed(one)]
        start[posixpath.normpath(posixpath.join(here, DEFAULT_FILE))] = composed.encode()
    for override in overrides:
        path = posixpath.normpath(posixpath.join(here, override.file))
        edit = editing.Edit(override.key, override.value, override.op, override.has_value)
        by_file.setdefault(path, []).append(edit)
    edits = {path: data for path, data in start.items() if read(path) != data}
    for path, wanted in by_file.items():
        shown = posixpath.relpath(path, here)
        data = start.get(path) or _params_file(read, here, shown)
        changed = editing.edit(data, shown, wanted)
        if changed != data:
            edits[path] = changed
    return edits


def _above(here: str) -> Iterator[str]:
    """The folders above, from the nearest to the project's root."""
    while here:
        here = posixpath.dirname(here)
        yield here


def _params_file(read: Read, here: str, file: str) -> bytes:
    """The bytes of a params file, named as from the user's directory."""
    data = read(posixpath.normpath(posixpath.join(here, file)))
    pipeline = posixpath.normpath(posixpath.join(here, "dvc.yaml"))
    if data is None and here not in ("", ".") and read(pipeline) is None:
        above = next(
            (one for one in _above(here) if read(posixpath.join(one, "dvc.yaml")) is not None), None
        )
        if above is not None:
            up = posixpath.relpath(above or ".", here)
            raise NotFound(
                f"There is neither {posixpath.normpath(file)} nor a dvc.yaml here. Nothing was run.",
                f"`nbexp run --cd {shlex.quote(up)}` runs the pipeline of that directory.",
            )
    if data is None:
        raise NotFound(
            f"There is no params file {posixpath.normpath(file)}. Nothing was run.",
            "a value of another file is set as `nbexp run -S other.json:key=value`.",
        )
    return data


def one_point(points: Sequence[tuple[Override, ...]]) -> tuple[Override, ...]:
    """The overrides of a request that must not be a sweep.

    Raises
    ------
    UsageError
        They give several values to a key.
    """
    if len(points) > 1:
        key = next(one.key for one in points[0] if _varies(one.key, points))
        first = next(one for one in points[0] if one.key == key)
        raise UsageError(
            f"`-S {key}=…` gives several values, which make {len(points)} experiments; `run` makes one. "
            "Nothing was run.",
            f"`nbexp run -S {first.text}`, then the next; text that holds a comma is quoted: "
            f"`-S \"{key}='a,b'\"`.",
        )
    return points[0] if points else ()


def _varies(key: str, points: Sequence[tuple[Override, ...]]) -> bool:
    seen = [override.value for point in points for override in point if override.key == key]
    return any(value != seen[0] for value in seen)


def _holder(name: str, baseline: str, taken: Mapping[str, str]) -> tuple[str, str] | None:
    """Name and rev of the baseline's experiment of that name; case does not tell two apart (S1)."""
    exact = ExpRef(baseline, name).ref
    if exact in taken:
        return name, taken[exact]
    for ref, of, other in ref_names.experiments(taken):
        if of == baseline and other.lower() == name.lower():
            return other, taken[ref]
    return None


# The form of a stored spec; a new form gets a new number.
_VERSION = 1


def _override_json(override: Override) -> dict[str, object]:
    stored: dict[str, object] = {
        "file": override.file,
        "key": override.key,
        "op": override.op,
        "text": override.text,
    }
    if override.has_value:
        stored["value"] = _value_json(editing.writable(override.value, override.key))
    return stored


def _override(stored: Mapping[str, Any]) -> Override:
    if stored["op"] not in ("change", "add", "force", "delete"):
        raise ValueError(stored["op"])
    has_value = "value" in stored
    value = _value(stored["value"]) if has_value else None
    return Override(
        str(stored["file"]), str(stored["key"]), value, stored["op"], has_value, stored["text"]
    )


def _value_json(value: object) -> object:
    """A value that may stand in a params file, in JSON that tells every type apart.

    JSON has neither numbers that are none nor keys that are not text, so these stand in an object, and
    so, lest they be taken for one, do mappings.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, dict):
        return {"map": [[_value_json(key), _value_json(one)] for key, one in value.items()]}
    return [_value_json(one) for one in value] if isinstance(value, list) else value


def _value(stored: object) -> object:
    if isinstance(stored, list):
        return [_value(one) for one in stored]
    if not isinstance(stored, dict):
        return stored
    if "float" in stored:
        return float(stored["float"])
    return {_value(key): _value(one) for key, one in stored["map"]}
