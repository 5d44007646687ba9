"""A graph as an SVG picture that reads on a light and on a dark page: it brings the colours of its boxes."""

from __future__ import annotations

from html import escape

from nbexp.pipeline.dag import Dag
from nbexp.pipeline.dag.layout import Drawing, Node, place

_LETTER, _AIR, _HEIGHT = 7.25, 14.0, 30.0
_GAP, _ROW, _MARGIN = 22.0, 72.0, 8.0
_STYLE = """\
<style>
.box{fill:#e8f0fb;stroke:#5b8def;stroke-width:1.2}
.data{fill:#e7f5ec;stroke:#3fa66b;stroke-width:1.2}
.name{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1b2a41}
.edge{fill:none;stroke:#8b95a5;stroke-width:1.4}
.tip{fill:#8b95a5}
</style>"""


def draw(dag: Dag) -> str:
    """The pipelines beside each other, each from the top down."""
    parts = sorted(dag.pipelines(), key=lambda part: len(part.nodes) == 1)
    body: list[str] = []
    x, width, height = _MARGIN, 0.0, 0.0
    shelf = _MARGIN
    for part in parts:
        drawing = place(part, lambda name: len(name) * _LETTER + 2 * _AIR, _GAP)
        tall = (drawing.rows - 1) * _ROW + _HEIGHT
        if x > _MARGIN and x + drawing.width > max(900.0, width):
            x, shelf = _MARGIN, height + _ROW - _HEIGHT
        body.append(f'<g transform="translate({x:.1f} {shelf:.1f})">{_part(drawing)}</g>')
        x += drawing.width + 2 * _GAP
        width = max(width, x - 2 * _GAP + _MARGIN)
        height = max(height, shelf + tall)
    height += _MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{len(dag.nodes)} nodes, {len(dag.edges)} edges">'
    )
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path class="tip" d="M0 0.8 8 4 0 7.2z"/></marker></defs>'
    )
    return "\n".join([head, _STYLE, tip, *body, "</svg>"])


def _part(drawing: Drawing) -> str:
    edges = "".join(
        f'<path class="edge" marker-end="url(#tip)" d="{_curve(way)}"/>' for way in drawing.edges
    )
    boxes = "".join(_box(node, node.name) for node in drawing.nodes if node.name is not None)
    return edges + boxes


def _curve(way: tuple[Node, ...]) -> str:
    """From the bottom of the first box to the top of the last, upright through what is between."""
    start = way[0].row * _ROW + _HEIGHT
    steps = [f"M{way[0].x:.1f} {start:.1f}"]
    y = start
    for node in way[1:]:
        top = node.row * _ROW - (2.0 if node.name is not None else 0.0)
        half = (y + top) / 2
        x = way[way.index(node) - 1].x
        steps.append(f"C{x:.1f} {half:.1f} {node.x:.1f} {half:.1f} {node.x:.1f} {top:.1f}")
        y = top
        if node.name is None:
            y = top + _HEIGHT
            steps.append(f"L{node.x:.1f} {y:.1f}")
    return "".join(steps)


def _box(node: Node, name: str) -> str:
    kind = "data" if name.endswith(".dvc") else "box"
    top = node.row * _ROW
    return (
        f'<rect class="{kind}" x="{node.x - node.width / 2:.1f}" y="{top:.1f}" '
        f'width="{node.width:.1f}" height="{_HEIGHT:.0f}" rx="6"/>'
        f'<text class="name" x="{node.x:.1f}" y="{top + _HEIGHT / 2 + 4:.1f}" '
        f'text-anchor="middle">{escape(name)}</text>'
    )
