"""Which stages may run side by side: those that nothing holds back, in file order, while there is room.

Nothing here starts or waits for anything. Two stages of which one reads what the other writes are done
in the order that they would have one after the other; everything else may overlap.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from nbexp.errors import ProjectFileError
from nbexp.pipeline.context import How
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.stage import Stage

S = TypeVar("S")

# Bytes for each unit of a size; what has no unit is a count.
_UNITS = {"": 1, "B": 1} | {
    f"{letter}{suffix}": base**power
    for power, letter in enumerate("KMGT", 1)
    for suffix, base in (("", 1000), ("B", 1000), ("iB", 1024), ("i", 1024))
}


class Schedule(Generic[S]):
    """The stages that are left, and who of them may start now.

    Parameters
    ----------
    stages
        In the order in which they would run one after the other.
    after
        For each stage those that have to be over before it starts.
    jobs
        How many may run at once.
    demands
        What a stage needs of each resource while it runs.
    totals
        What there is of each resource. A stage alone gets what it needs, however much that is.
    """

    def __init__(
        self,
        stages: Sequence[S],
        after: Mapping[S, Iterable[S]],
        *,
        jobs: int,
        demands: Mapping[S, Mapping[str, float]] | None = None,
        totals: Mapping[str, float] | None = None,
    ) -> None:
        self._stages = stages
        self._number = {stage: number for number, stage in enumerate(stages)}
        self._missing = {stage: set(after.get(stage, ())) for stage in stages}
        self._before: dict[S, list[S]] = {}
        for stage, others in self._missing.items():
            for other in others:
                self._before.setdefault(other, []).append(stage)
        # Numbers, in order: file order decides among those that may start.
        self._ready = [n for n, stage in enumerate(stages) if not self._missing[stage]]
        self._running: set[S] = set()
        self._jobs = jobs
        self._demands = demands or {}
        self._free = dict(totals or {})

    def next(self) -> S | None:
        """The stage to start now, which counts as running from here on; None: wait for one to end."""
        if len(self._running) >= self._jobs:
            return None
        for place, number in enumerate(self._ready):
            stage = self._stages[number]
            if not self._running or self._has_room(stage):
                del self._ready[place]
                self._running.add(stage)
                self._use(stage, 1)
                return stage
        return None

    def end(self, stage: S) -> None:
        """The stage is over: those that waited for it alone may start."""
        self._running.remove(stage)
        self._use(stage, -1)
        for other in self._before.get(stage, ()):
            self._missing[other].discard(stage)
            if not self._missing[other]:
                bisect.insort(self._ready, self._number[other])

    def _has_room(self, stage: S) -> bool:
        needs = self._demands.get(stage, {})
        return all(self._free.get(name, 0) >= amount for name, amount in needs.items())

    def _use(self, stage: S, times: int) -> None:
        for name, amount in self._demands.get(stage, {}).items():
            self._free[name] = self._free.get(name, 0) - times * amount


def order_constraints(stages: Sequence[Stage], graph: Graph) -> dict[Stage, set[Stage]]:
    """For each stage those of `stages` that come before it and read or write what it writes or reads.

    Not what a stage needs: a frozen one, or one that was asked for alone, may come before that.
    """
    number = {stage: place for place, stage in enumerate(stages)}
    after: dict[Stage, set[Stage]] = {stage: set() for stage in stages}
    for stage in stages:
        for other in graph.needs[stage]:
            if other in number:
                first, then = sorted((stage, other), key=number.__getitem__)
                after[then].add(first)
    return after


def demands(stages: Sequence[Stage], totals: Mapping[str, float]) -> dict[Stage, dict[str, float]]:
    """What each stage says it needs while it runs, under `meta: {nbexp: {resources: …}}`.

    Raises
    ------
    ProjectFileError
        An amount is none, or a stage needs more than there is; the stage is named.
    """
    found = {}
    for stage in stages:
        meta = stage.spec.meta
        own = meta.get("nbexp") if isinstance(meta, Mapping) else None
        asked = own.get("resources") if isinstance(own, Mapping) else None
        if asked is None:
            continue
        what = f"resources of stage `{stage.name}`"
        found[stage] = amounts(asked, what, stage.file, stage.spec.line)
        for name, amount in found[stage].items():
            if name in totals and amount > totals[name]:
                assert isinstance(asked, Mapping)
                raise ProjectFileError(
                    f"stage `{stage.name}` needs {name}: {asked[name]}, which is more than there is.",
                    f"lower it, or raise `{name}` below `[resources]` in nbexp.toml.",
                    path=stage.file,
                    line=stage.spec.line,
                )
    return found


def require_room(stages: Sequence[Stage], how: How) -> dict[Stage, dict[str, float]]:
    """`demands`, once it is sure that each stage can have what it needs.

    Raises
    ------
    ProjectFileError
        As `demands`; or stages are to run at once, and nobody knows how much there is of a resource.
    """
    found = demands(stages, how.totals)
    for stage, asked in found.items() if how.jobs > 1 else ():
        for name in asked:
            if name not in how.totals:
                raise ProjectFileError(
                    f"stage `{stage.name}` needs {name}, and no setting says how much there is of it. "
                    "Nothing was run.",
                    f'write "{name} = 1" below "[resources]" in nbexp.toml, or run without -j.',
                    path=stage.file,
                    line=stage.spec.line,
                )
    return found


def amounts(found: object, what: str, path: str, line: int | None = None) -> dict[str, float]:
    """Amounts by name: numbers, or sizes such as 4GB and 512MiB.

    Raises
    ------
    ProjectFileError
        It is no mapping of names to such amounts; `what` and `path` say where it stands.
    """
    if not isinstance(found, Mapping):
        raise ProjectFileError(
            f"{what} are {found!r}; a mapping such as {{gpu: 1}} is expected.", path=path, line=line
        )
    read = {}
    for name, value in found.items():
        amount = _amount(value)
        if amount is None:
            raise ProjectFileError(
                f"{what}: {name} is {value!r}; a number above 0 or a size such as 4GB is expected.",
                path=path,
                line=line,
            )
        read[str(name)] = amount
    return read


def _amount(value: object) -> float | None:
    """The number of a count or size, or of the things in a list; None where it is none of these."""
    if isinstance(value, list):
        value = len(value)
    if isinstance(value, str):
        digits = value.strip()
        unit = digits.lstrip("0123456789.").strip()
        factor = {name.upper(): size for name, size in _UNITS.items()}.get(unit.upper())
        number = digits[: len(digits) - len(unit)].strip() if unit else digits
        if factor is None or number.count(".") > 1 or not number.strip("."):
            return None
        value = float(number) * factor
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < float("inf") else None
