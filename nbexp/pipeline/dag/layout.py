"""Where the nodes of a graph stand in a drawing: in rows, each below what it needs, lines as short as can be.

The steps are Sugiyama's: rows by the longest way from above, a stand-in on each row that an edge passes, the order
in a row by where the neighbours are, then places that are as near to the neighbours as the widths let them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from nbexp.frozen import frozen
from nbexp.pipeline.dag import Dag

_SWEEPS = 8


@frozen
class Node:
    """A box, or (without a name) where an edge passes a row; `x` is its middle."""

    row: int
    x: float
    width: float
    name: str | None = None


@frozen
class Drawing:
    """Nodes with their places from the left, and each edge as the nodes it goes through."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[Node, ...], ...]
    width: float
    rows: int


def place(dag: Dag, width_of: Callable[[str], float], gap: float) -> Drawing:
    """Where all nodes of one connected graph stand.

    Parameters
    ----------
    width_of
        How wide the box of a name is.
    gap
        The least room between two boxes of a row; an edge that passes takes as much.
    """
    edges = [edge for edge in dag.edges if edge[0] != edge[1]]
    row_of = _rows(dag.nodes, edges)
    rows: list[list[int]] = [[] for _ in range(max(row_of.values(), default=-1) + 1)]
    names: list[str | None] = []
    for name in dag.nodes:
        rows[row_of[name]].append(len(names))
        names.append(name)
    number = {name: n for n, name in enumerate(dag.nodes)}
    ways: list[list[int]] = []
    for one, other in edges:
        way = [number[one]]
        for row in range(row_of[one] + 1, row_of[other]):
            rows[row].append(len(names))
            way.append(len(names))
            names.append(None)
        ways.append([*way, number[other]])
    above: dict[int, list[int]] = {n: [] for n in range(len(names))}
    below: dict[int, list[int]] = {n: [] for n in range(len(names))}
    for way in ways:
        for upper, lower in itertools.pairwise(way):
            above[lower].append(upper)
            below[upper].append(lower)
    widths = [0.0 if name is None else width_of(name) for name in names]
    _order(rows, above, below)
    xs = _places(rows, above, below, widths, gap)
    nodes = {n: Node(r, xs[n], widths[n], names[n]) for r, row in enumerate(rows) for n in row}
    width = max((node.x + node.width / 2 for node in nodes.values()), default=0.0)
    return Drawing(
        tuple(nodes.values()),
        tuple(tuple(nodes[n] for n in way) for way in ways),
        width,
        len(rows),
    )


def _rows(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    above: dict[str, list[str]] = {node: [] for node in nodes}
    below: dict[str, list[str]] = {node: [] for node in nodes}
    for one, other in edges:
        above[other].append(one)
        below[one].append(other)
    waits = {node: len(above[node]) for node in nodes}
    ready = [node for node in nodes if not waits[node]]
    row: dict[str, int] = {}
    for node in ready:  # grows while it is gone through
        row[node] = 1 + max((row[other] for other in above[node]), default=-1)
        for other in below[node]:
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    # What needs nothing stands right above the first that needs it.
    for node in nodes:
        if not above[node] and below[node]:
            row[node] = min(row[other] for other in below[node]) - 1
    return row


def _order(
    rows: list[list[int]], above: Mapping[int, list[int]], below: Mapping[int, list[int]]
) -> None:
    """Sort each row by where its neighbours are, down and up again, until few lines cross."""
    for sweep in range(_SWEEPS):
        is_down = sweep % 2 == 0
        near = above if is_down else below
        through = range(1, len(rows)) if is_down else range(len(rows) - 2, -1, -1)
        for number in through:
            at = _along(rows[number - 1 if is_down else number + 1])
            own = _along(rows[number])
            middle = {n: _mean([at[m] for m in near[n]], own[n]) for n in rows[number]}
            rows[number].sort(key=middle.__getitem__)


def _along(row: Sequence[int]) -> dict[int, float]:
    """How far along its row each node is, from 0 to 1."""
    return {n: place / max(len(row) - 1, 1) for place, n in enumerate(row)}


def _places(
    rows: Sequence[Sequence[int]],
    above: Mapping[int, list[int]],
    below: Mapping[int, list[int]],
    widths: Sequence[float],
    gap: float,
) -> list[float]:
    xs = [0.0] * len(widths)
    for row in rows:
        for n, x in zip(row, _spread([0.0] * len(row), [widths[n] for n in row], gap), strict=True):
            xs[n] = x
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [
                _mean([xs[m] for m in (*above[n], *below[n])], xs[n])
                if sweep == _SWEEPS - 1
                else _mean([xs[m] for m in (above if sweep % 2 == 0 else below)[n]], xs[n])
                for n in row
            ]
            spread = _spread(wanted, [widths[n] for n in row], gap)
            for n, x in zip(row, spread, strict=True):
                xs[n] = x
    for row in rows[1:]:
        _straighten(row, above, xs, widths, gap)
    left = min((x - width / 2 for x, width in zip(xs, widths, strict=True)), default=0.0)
    return [x - left for x in xs]


def _straighten(
    row: Sequence[int],
    above: Mapping[int, list[int]],
    xs: list[float],
    widths: Sequence[float],
    gap: float,
) -> None:
    """Put a node right below one that it is nearly below, where there is room: an edge without a kink."""
    for place, n in enumerate(row):
        lowest, highest = -math.inf, math.inf
        if place:
            before = row[place - 1]
            lowest = xs[before] + widths[before] / 2 + gap / 2 + widths[n] / 2
        if place + 1 < len(row):
            after = row[place + 1]
            highest = xs[after] - widths[after] / 2 - gap / 2 - widths[n] / 2
        for m in above[n]:
            if abs(xs[m] - xs[n]) <= gap and lowest <= xs[m] <= highest:
                xs[n] = xs[m]
                break


def _spread(wanted: Sequence[float], widths: Sequence[float], gap: float) -> Iterator[float]:
    """The places nearest to the wanted ones that keep the order and leave the gaps (least squares)."""
    offsets, at = [], 0.0
    for n, width in enumerate(widths):
        at += (widths[n - 1] / 2 + gap + width / 2) if n else 0.0
        offsets.append(at)
    # Pools of neighbours that stand as close as they may; each stands at the mean of what its own want.
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        pools.append((want - offset, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (one, many), (other, more) = pools.pop(-2), pools.pop()
            pools.append(((one * many + other * more) / (many + more), many + more))
    starts = (start for start, count in pools for _ in range(count))
    return (start + offset for start, offset in zip(starts, offsets, strict=True))


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
