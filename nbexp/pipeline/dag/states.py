"""A pipeline while it runs, as an SVG picture: a box for each stage, with its state in words, sign and colour.

It brings its own colours, and reads on a light and on a dark page, in a page as well as in an `img`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from nbexp.frozen import frozen
from nbexp.pipeline.dag import Dag
from nbexp.pipeline.dag.layout import Node, place
from nbexp.pipeline.standing import StageNow, Standing

# Of more stages a picture is larger than a screen, and the list says more.
MAX_STAGES = 60

_LETTER, _SMALL, _AIR, _HEIGHT = 7.3, 6.3, 12.0, 46.0
# Letters of the second line that a box has room for, so that nothing moves while it runs.
_LEAST = 27
_GAP, _ROW, _MARGIN, _WIDTH = 18.0, 80.0, 6.0, 860.0
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"

SIGNS: Mapping[str, str] = {
    "waiting": "○", "running": "▶", "done": "✓", "unchanged": "=", "restored": "↺", "taken as edited": "✎",
    "failed": "✗", "interrupted": "■", "stopped": "■", "not run": "–",
}  # fmt: skip

# Of a box: what it is filled with, and its frame. Grey waits, blue runs, green is done, red has failed.
_GREY, _BLUE = ("#eceff3", "#8b95a5"), ("#dbe8ff", "#2f6fde")
_GREEN, _RED = ("#dcf3e3", "#2b8a4b"), ("#fde0dd", "#c4302b")
COLOURS: Mapping[str, tuple[str, str]] = {
    "waiting": _GREY, "running": _BLUE, "done": _GREEN, "unchanged": _GREEN, "restored": _GREEN,
    "taken as edited": _GREEN, "failed": _RED, "interrupted": _RED, "stopped": _RED, "not run": _GREY,
}  # fmt: skip


@frozen
class Picture:
    """An SVG, what it says in words, and its size in pixels."""

    svg: str
    words: str
    width: int
    height: int

    def img(self) -> str:
        """As an element that cannot run anything and that a page which removes `svg` keeps."""
        data = base64.b64encode(self.svg.encode()).decode()
        return (
            f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(self.words)}" '
            f'width="{self.width}" height="{self.height}">'
        )


def is_worth_it(standing: Standing) -> bool:
    """Whether there is a pipeline to be seen: more than one stage, and not too many."""
    return 1 < len(standing.stages) <= MAX_STAGES


def said(stage: StageNow, now_s: float) -> str:
    """The state of a stage in a few words: `▶ cell 2/3  4.1 s  ~8 s left`."""
    words = [SIGNS.get(stage.state, "?")]
    if stage.state == "running":
        words.append(f"cell {stage.cell}/{stage.cells}" if stage.cells else "running")
    else:
        words.append(stage.state)
        if stage.state not in ("done", "waiting") and stage.cell and stage.seconds is not None:
            words.append(f"cell {stage.cell}/{stage.cells}")
    elapsed = stage.elapsed_s(now_s)
    if elapsed is not None:
        words.append(brief(elapsed))
    left = stage.left_s(now_s)
    if stage.state == "running" and left:
        words.append(f"~{brief(left)} left")
    elif stage.state == "waiting" and left:
        words.append(f"~{brief(left)}")
    return " ".join(words)


@frozen
class Place:
    """Where a stage's box is: its left upper corner, and how wide it is."""

    stage: str
    x: float
    y: float
    width: float


@frozen
class Layout:
    """Where all boxes are, the ways of the edges as SVG paths, the tip of each as a triangle, and the size of all."""

    places: tuple[Place, ...]
    edges: tuple[tuple[str, str], ...]
    width: float
    height: float


def arrange(standing: Standing, now_s: float) -> Layout:
    """The stages, each below what it needs."""
    edges = [(one, name) for name, ones in standing.needs.items() for one in ones]
    dag = Dag(tuple(standing.stages), tuple(edges))
    lines = {name: said(stage, now_s) for name, stage in standing.stages.items()}
    places: list[Place] = []
    ways: list[tuple[str, str]] = []
    x, shelf, width, height = _MARGIN, _MARGIN, 0.0, 0.0
    for part in dag.pipelines():
        drawing = place(part, lambda name: _width(name, lines[name]), _GAP)
        tall = (drawing.rows - 1) * _ROW + _HEIGHT
        if x > _MARGIN and x + drawing.width > max(_WIDTH, width):
            x, shelf = _MARGIN, height + _ROW - _HEIGHT
        ways += [_edge(way, x, shelf) for way in drawing.edges]
        places += [
            Place(node.name, x + node.x - node.width / 2, shelf + node.row * _ROW, node.width)
            for node in drawing.nodes
            if node.name is not None
        ]
        x += drawing.width + 2 * _GAP
        width = max(width, x - 2 * _GAP + _MARGIN)
        height = max(height, shelf + tall)
    return Layout(tuple(places), tuple(ways), width, height + _MARGIN)


def draw(standing: Standing, now_s: float) -> Picture:
    """The stages with their states."""
    layout = arrange(standing, now_s)
    width, height = layout.width, layout.height
    body = [
        f'<path fill="none" stroke="#8b95a5" stroke-width="1.4" d="{way}"/><path fill="#8b95a5" d="{tip}"/>'
        for way, tip in layout.edges
    ]
    lines = {name: said(stage, now_s) for name, stage in standing.stages.items()}
    body += [
        _box(one, standing.stages[one.stage], lines[one.stage], now_s) for one in layout.places
    ]
    words = "; ".join(f"{name}: {line.partition(' ')[2]}" for name, line in lines.items())
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(words)}" '
        'style="max-width:100%;height:auto">'
    )
    return Picture("\n".join([head, *body, "</svg>"]), words, round(width), round(height))


def brief(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3:05`, `2:10:00`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _width(name: str, line: str) -> float:
    return max(len(name) * _LETTER, max(len(line), _LEAST) * _SMALL) + 2 * _AIR


def _edge(way: Sequence[Node], dx: float, dy: float) -> tuple[str, str]:
    """From the bottom of the first box to the top of the last, upright through what is between; and its tip."""
    y = dy + way[0].row * _ROW + _HEIGHT
    before = dx + way[0].x
    steps = [f"M{before:.1f} {y:.1f}"]
    for node in way[1:]:
        top, x = dy + node.row * _ROW, dx + node.x
        half = (y + top) / 2
        steps.append(f"C{before:.1f} {half:.1f} {x:.1f} {half:.1f} {x:.1f} {top:.1f}")
        y, before = top, x
        if node.name is None:
            y += _HEIGHT
            steps.append(f"L{x:.1f} {y:.1f}")
    tip = f"M{before - 4:.1f} {y - 6:.1f} L{before:.1f} {y:.1f} L{before + 4:.1f} {y - 6:.1f}Z"
    return "".join(steps), tip


def _box(at: Place, stage: StageNow, line: str, now_s: float) -> str:
    fill, frame = COLOURS.get(stage.state, _GREY)
    stroke = 2 if stage.state == "running" else 1.2
    box = (
        f'<rect x="{at.x:.1f}" y="{at.y:.1f}" width="{at.width:.1f}" height="{_HEIGHT:.0f}" rx="6" '
        f'fill="{fill}" stroke="{frame}" stroke-width="{stroke}"/>'
    )
    parts = [
        box,
        _text(at.x + _AIR, at.y + 19, 12, "#1b2a41", at.stage, is_bold=True),
        _text(at.x + _AIR, at.y + 35, 10.5, "#3a4658", line),
    ]
    share = stage.share(now_s) if stage.state == "running" else None
    if share is not None:
        parts.append(
            f'<rect x="{at.x + 2:.1f}" y="{at.y + _HEIGHT - 5:.1f}" width="{(at.width - 4) * share:.1f}" '
            f'height="3.5" rx="1.7" fill="{frame}"/>'
        )
    return "".join(parts)


def _text(x: float, y: float, size: float, colour: str, text: str, *, is_bold: bool = False) -> str:
    weight = ' font-weight="600"' if is_bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="{_FONT}" font-size="{size:g}"{weight} '
        f'fill="{colour}">{escape(text)}</text>'
    )
