"""A graph drawn with the box characters of a terminal; where that is too wide, as lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from nbexp.pipeline.dag import Dag
from nbexp.pipeline.dag.layout import Drawing, Node, place

# Beyond this a drawing is longer to read than a list.
MAX_WIDTH = 118

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = {
    _UP: "╵", _DOWN: "╷", _LEFT: "╴", _RIGHT: "╶",
    _UP | _DOWN: "│", _LEFT | _RIGHT: "─", _DOWN | _RIGHT: "┌", _DOWN | _LEFT: "┐", _UP | _RIGHT: "└",
    _UP | _LEFT: "┘", _UP | _DOWN | _RIGHT: "├", _UP | _DOWN | _LEFT: "┤", _DOWN | _LEFT | _RIGHT: "┬",
    _UP | _LEFT | _RIGHT: "┴", 15: "┼",
}  # fmt: skip


def draw(dag: Dag, *, max_width: int = MAX_WIDTH) -> str:
    """The pipelines below each other; those of one node beside each other at the end."""
    parts = dag.pipelines()
    alone = [part.nodes[0] for part in parts if len(part.nodes) == 1]
    texts = [_drawn(part, max_width) for part in parts if len(part.nodes) > 1]
    if alone:
        texts.append("\n".join(_boxes_in_rows(alone, max_width)))
    return "\n\n".join(texts)


def listed(dag: Dag) -> str:
    """Each node on a line, with what it needs."""
    needs: dict[str, list[str]] = {node: [] for node in dag.nodes}
    for one, other in dag.edges:
        needs[other].append(one)
    width = max(map(len, dag.nodes), default=0)
    return "\n".join(
        f"{node:<{width}}  <- {', '.join(needs[node])}" if needs[node] else node
        for node in _in_order(dag, needs)
    )


def _drawn(part: Dag, max_width: int) -> str:
    drawing = place(part, lambda name: len(name) + 4, 2)
    if drawing.width > max_width:
        return listed(part)
    return "\n".join(_Canvas(drawing).lines())


def _boxes_in_rows(names: Sequence[str], max_width: int) -> Iterator[str]:
    rows: list[list[str]] = [[]]
    for name in names:
        if rows[-1] and sum(len(other) + 5 for other in rows[-1]) + len(name) + 4 > max_width:
            rows.append([])
        rows[-1].append(name)
    for row in rows:
        yield " ".join(f"┌{'─' * (len(name) + 2)}┐" for name in row)
        yield " ".join(f"│ {name} │" for name in row)
        yield " ".join(f"└{'─' * (len(name) + 2)}┘" for name in row)


def _in_order(dag: Dag, needs: dict[str, list[str]]) -> list[str]:
    done: dict[str, None] = {}

    def visit(start: str) -> None:
        path = [(start, iter(needs[start]))]
        while path:
            other = next(path[-1][1], None)
            if other is None:
                done[path.pop()[0]] = None
            elif other not in done and other != path[-1][0]:
                path.append((other, iter(needs[other])))

    for node in dag.nodes:
        if node not in done:
            visit(node)
    return list(done)


class _Canvas:
    """Lines of characters: boxes of three lines, and between two rows of them the tracks of their edges."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        # Of each cell: which directions lines of one source leave it in.
        self._cells: dict[tuple[int, int], dict[int, int]] = {}
        self._signs: dict[tuple[int, int], str] = {}
        self._height = 0

    def lines(self) -> list[str]:
        between = [self._links(row) for row in range(self._drawing.rows - 1)]
        tops = [0]
        for links in between:
            tracks = _tracks(links)
            tops.append(tops[-1] + 3 + max(tracks.values(), default=-1) + 2)
            self._connect(links, tracks, tops[-2] + 3, tops[-1])
        self._height = tops[-1] + 3
        for node in self._drawing.nodes:
            if node.name is None:
                for line in range(tops[node.row], tops[node.row] + 3):
                    self._mark(line, _column(node), -_column(node) - 1, _UP | _DOWN)
            else:
                self._box(node, node.name, tops[node.row])
        lines = [self._line(number) for number in range(self._height)]
        indent = min(len(line) - len(line.lstrip()) for line in lines)
        return [line[indent:] for line in lines]

    def _links(self, row: int) -> dict[int, list[tuple[int, bool]]]:
        """The edges from this row to the next by the column they leave from: where they go, if into a box."""
        found: dict[int, dict[tuple[int, bool], None]] = {}
        for way in self._drawing.edges:
            for one, other in itertools.pairwise(way):
                if one.row == row:
                    found.setdefault(_column(one), {})[_column(other), other.name is not None] = (
                        None
                    )
        return {column: list(to) for column, to in sorted(found.items())}

    def _connect(
        self,
        links: dict[int, list[tuple[int, bool]]],
        tracks: dict[int, int],
        top: int,
        bottom: int,
    ) -> None:
        for start, ends in links.items():
            track = top + max(tracks[start], 0)
            for line in range(top, track):
                self._mark(line, start, start, _UP | _DOWN)
            self._mark(track, start, start, _UP)
            for end, into_box in ends:
                low, high = sorted((start, end))
                for column in range(low, high):
                    self._mark(track, column, start, _RIGHT)
                    self._mark(track, column + 1, start, _LEFT)
                self._mark(track, end, start, _DOWN)
                for line in range(track + 1, bottom):
                    self._mark(line, end, start, _UP | _DOWN)
                if into_box:
                    self._signs[bottom - 1, end] = "▼"

    def _mark(self, line: int, column: int, source: int, directions: int) -> None:
        cell = self._cells.setdefault((line, column), {})
        cell[source] = cell.get(source, 0) | directions

    def _box(self, node: Node, name: str, top: int) -> None:
        left = _column(node) - (len(name) + 4) // 2
        has_edges = any(way[0] == node for way in self._drawing.edges)
        bottom = "└" + "─" * (len(name) + 2) + "┘"
        if has_edges:
            at = _column(node) - left
            bottom = f"{bottom[:at]}┬{bottom[at + 1 :]}"
        for number, text in enumerate((f"┌{'─' * (len(name) + 2)}┐", f"│ {name} │", bottom)):
            for place_, sign in enumerate(text):
                self._signs[top + number, left + place_] = sign

    def _line(self, number: int) -> str:
        columns = [column for line, column in (*self._cells, *self._signs) if line == number]
        signs = [self._sign(number, column) for column in range(max(columns, default=-1) + 1)]
        return "".join(signs).rstrip()

    def _sign(self, line: int, column: int) -> str:
        if (line, column) in self._signs:
            return self._signs[line, column]
        sources = self._cells.get((line, column), {})
        if not sources:
            return " "
        # Lines of two sources that cross do not touch: the upright one passes over the other.
        straight = {_UP | _DOWN, _LEFT | _RIGHT}
        if len(sources) > 1 and set(sources.values()) <= straight:
            return "│" if _UP | _DOWN in sources.values() else "─"
        directions = 0
        for one in sources.values():
            directions |= one
        return _LINES[directions]


def _column(node: Node) -> int:
    # One to the right: half a place is lost to the left of a box of even width.
    return int(node.x) + 1


def _tracks(links: dict[int, list[tuple[int, bool]]]) -> dict[int, int]:
    """The line between two rows that the edges of each source run along: -1 for those straight down.

    No two that overlap share one; one that ends where another begins runs below it.
    """
    spans = {
        start: (min(start, *(end for end, _ in ends)), max(start, *(end for end, _ in ends)))
        for start, ends in links.items()
    }
    tracks = {start: -1 for start, (low, high) in spans.items() if low == high}
    waiting = [start for start in spans if start not in tracks]
    while waiting:
        # Those whose ends are the beginnings of others that wait come later.
        ready = [
            start
            for start in waiting
            if not any(end in waiting and end != start for end, _ in links[start])
        ]
        start = (ready or waiting)[0]
        waiting.remove(start)
        low, high = spans[start]
        taken = {
            tracks[other]
            for other in tracks
            if spans[other][0] <= high
            and spans[other][1] >= low
            and tracks[other] >= 0
            # Those that all go to one and the same box come together on their way.
            and not (len(links[start]) == 1 and links[other] == links[start])
        }
        above = [tracks[end] + 1 for end, _ in links[start] if tracks.get(end, -1) >= 0]
        track = max(above, default=0)
        while track in taken:
            track += 1
        tracks[start] = track
    return tracks
