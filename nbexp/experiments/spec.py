"""Spec: everything that was asked for, checked against the params files before anything runs."""

from __future__ import annotations

import posixpath
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbexp.errors import NameTaken, NotFound, UsageError
from nbexp.formats import editing, ref_names, values
from nbexp.formats.ref_names import ExpRef
from nbexp.frozen import field, frozen
from nbexp.overrides import Override, resolve
from nbexp.pipeline.context import How


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
        Run every stage. `single` runs the targets alone, `downstream` all behind them. `new` runs even
        what is recorded already.
    carries
        Files, from the top of the work tree, that the experiment holds whatever its pipeline names.
    how
        The other options of `repro`; its `force` and `checks_out` are not looked at.
    """

    baseline: str
    name: str
    here: str = "."
    targets: tuple[str, ...] = ()
    overrides: tuple[Override, ...] = ()
    edits: Mapping[str, bytes] = field(default_factory=dict)
    message: str | None = None
    force: bool = False
    single: bool = False
    new: bool = False
    replaces: str | None = None
    named: bool = False
    downstream: bool = False
    carries: tuple[str, ...] = ()
    how: How = field(default_factory=How)

    @property
    def ref(self) -> str:
        return ExpRef(self.baseline, self.name).ref

    @property
    def asks_to_execute(self) -> bool:
        """Whether an equal experiment does not answer it: stages are to run."""
        return self.force or self.single or self.new or self.downstream or self.how.force_downstream


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
    single: bool = False,
    new: bool = False,
    downstream: bool = False,
    how: How | None = None,
    verb: str = "run",
    untouched: str = "Nothing was run.",
) -> Spec:
    """The spec of a request.

    Parameters
    ----------
    taken
        Every experiment ref and its rev.
    overrides
        As they were typed; a `${key}` in one is replaced by what the file says at the key.
    verb, untouched
        For messages: the command, and what it has left alone.

    Raises
    ------
    UsageError
        The name is not one an experiment may have, or a `${key}` names nothing.
    NameTaken
        The baseline has an experiment of that name and `force` is off.
    NotFound
        A params file or key does not exist; the nearest key is in the hint.
    """
    overrides = resolve(overrides, lambda file: values.parse(_params_file(root, here, file), file))
    replaces = None
    if name is None:
        known = {ref.name.lower() for ref in map(ref_names.parse, taken) if ref is not None}
        name = ref_names.draw(known, random.SystemRandom())
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
        edits=params_edits(root, here, overrides),
        message=message,
        force=force,
        single=single,
        new=new,
        replaces=replaces,
        named=named,
        downstream=downstream,
        how=how or How(),
    )


def params_edits(root: Path, here: str, overrides: Sequence[Override]) -> dict[str, bytes]:
    """The params files as the overrides make them; files that stay equal are left out."""
    by_file: dict[str, list[editing.Edit]] = {}
    for override in overrides:
        path = posixpath.normpath(posixpath.join(here, override.file))
        edit = editing.Edit(override.key, override.value, override.op, override.has_value)
        by_file.setdefault(path, []).append(edit)
    edits = {}
    for path, wanted in by_file.items():
        shown = posixpath.relpath(path, here)
        data = _params_file(root, here, shown)
        changed = editing.edit(data, shown, wanted)
        if changed != data:
            edits[path] = changed
    return edits


def _params_file(root: Path, here: str, file: str) -> bytes:
    """The bytes of a params file, named as from the user's directory."""
    try:
        return (root / here / file).read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotFound(
            f"There is no params file {posixpath.normpath(file)}. Nothing was run.",
            "a value of another file is set as `nbexp run -S other.json:key=value`.",
        ) from None


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
    for ref, rev in taken.items():
        parsed = ref_names.parse(ref)
        if parsed and parsed.baseline == baseline and parsed.name.lower() == name.lower():
            return parsed.name, rev
    return None
