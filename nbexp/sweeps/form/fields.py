"""What there is to ask: the params of the workspace, with the values that experiments had, and the metrics."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping

from nbexp import overrides
from nbexp.errors import UsageError
from nbexp.experiments.row import Data
from nbexp.overrides import spell
from nbexp.sweeps.form import Field, Metric, direction_of, kind_of, plain

# Of what experiments had, more than this is no choice that anybody reads.
_MOST_KNOWN = 12


def params(present: Data, past: Iterable[Data], here: str = ".") -> tuple[Field, ...]:
    """The params of the workspace, those of params.yaml first, with the values that experiments had."""
    flat = present.flat("params")
    seen: dict[tuple[str, str], dict[str, object]] = {at: {} for at in flat}
    for data in past:
        for at, value in data.flat("params").items():
            known = seen.get(at)
            if known is not None and len(known) <= _MOST_KNOWN and _can_be_chosen(value):
                known.setdefault(spell(value), value)
    default = posixpath.normpath(posixpath.join(here, overrides.DEFAULT_FILE))
    found = []
    for file, key in sorted(flat, key=lambda at: at[0] != default):
        shown = posixpath.relpath(file, here)
        name = key if file == default else f"{shown}:{key}"
        value = flat[file, key]
        known = dict(seen[file, key])
        if isinstance(value, bool):
            known = {spell(one): one for one in (True, False)}
        elif _can_be_chosen(value):
            known = {spell(value): value, **known}
        chosen = sorted(known.values(), key=_order)[:_MOST_KNOWN]
        found.append(Field(name, value, tuple(chosen), _untypable(name)))
    return tuple(found)


def metrics(known: Iterable[Data], better: Mapping[str, str]) -> tuple[Metric, ...]:
    """The metrics that are numbers, by the shortest name that means one alone."""
    found: dict[tuple[str, str], None] = {}
    for data in known:
        for at, value in data.flat("metrics").items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.setdefault(at)
    keys = [key for _, key in found]
    listed = []
    for file, key in found:
        name = key if keys.count(key) == 1 else f"{file}:{key}"
        listed.append(Metric(name, direction_of(key, better)))
    # Those of which it is known what is better are most likely what a sweep is about.
    return tuple(sorted(listed, key=lambda one: one.direction is None))


def _can_be_chosen(value: object) -> bool:
    """Whether it can be typed: on one line, and read as the same again."""
    if kind_of(value) == "other" or not spell(value).isprintable():
        return False
    try:
        (axis,) = overrides.axes([f"x={spell(value)}"])
    except UsageError:
        return False
    return axis.values == (value,)


def _untypable(name: str) -> str | None:
    try:
        overrides.axes([f"{name}=0"])
    except UsageError as error:
        return plain(error.message)
    return None if name.isprintable() else "Its name cannot be typed on one line."


def _order(value: object) -> tuple[int, float, str]:
    """Numbers by size, then the rest as it is spelled."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        return 0, float(value), ""
    return 1, 0.0, spell(value)
