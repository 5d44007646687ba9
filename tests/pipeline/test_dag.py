"""The picture of the pipelines: what is in it, how it is drawn as text and as SVG."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from nbexp.errors import NotFound
from nbexp.pipeline import dag as dags
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.dag import Dag, layout, svg, text

PIPELINE = b"""\
stages:
  prep: {cmd: x, deps: [raw.csv], outs: [clean, stats.json]}
  each:
    foreach: [us, uk]
    do: {cmd: "x ${item}", deps: [clean], outs: ["m-${item}.txt"]}
  eval: {cmd: x, deps: [m-us.txt, m-uk.txt, stats.json], metrics: [e.json]}
  alone: {cmd: x}
"""
BELOW = b"stages:\n  s: {cmd: x, deps: [../clean/part], outs: [s.txt]}\n"
GRAPH = graphs.load(Path("nowhere"), {"dvc.yaml": PIPELINE, "sub/dvc.yaml": BELOW})


def build(target: str | None = None, here: str = ".", **chosen: bool) -> Dag:
    return dags.build(GRAPH, here, target, **chosen)


def chain(line: str) -> Dag:
    """A graph of edges written as `a-b b-c`."""
    edges = [(one, other) for one, _, other in (word.partition("-") for word in line.split())]
    return Dag(tuple(dict.fromkeys(node for edge in edges for node in edge)), tuple(edges))


# --- What is in it ------------------------------------------------------------------------------


def test_edges_lead_from_what_is_needed() -> None:
    found = build()
    assert found.nodes == ("prep", "each@us", "each@uk", "eval", "alone", "sub/dvc.yaml:s")
    assert found.edges == (
        ("prep", "each@us"), ("prep", "each@uk"), ("prep", "eval"), ("prep", "sub/dvc.yaml:s"),
        ("each@us", "eval"), ("each@uk", "eval"),
    )  # fmt: skip
    assert found.to_json() == {
        "nodes": [*found.nodes],
        "edges": [[*edge] for edge in found.edges],
    }


@pytest.mark.parametrize(
    ("target", "chosen", "nodes"),
    [
        ("each@us", {}, "prep each@us"),
        ("each", {}, "prep each@us each@uk"),
        ("each@us", {"full": True}, "prep each@us each@uk eval sub/dvc.yaml:s"),
        ("clean/x", {}, "prep"),
        ("sub/dvc.yaml", {}, "prep sub/dvc.yaml:s"),
        ("alone", {"full": True}, "alone"),
        ("eval", {"collapse": True}, "prep eval each"),
        ("eval", {"outs": True}, "clean stats.json m-us.txt m-uk.txt e.json"),
        ("m-uk.txt", {"outs": True}, "clean m-uk.txt"),
        ("stats.json", {"outs": True, "full": True}, "clean stats.json m-us.txt m-uk.txt e.json sub/s.txt"),
        ("alone", {"outs": True}, ""),
    ],
)  # fmt: skip
def test_a_target_brings_what_it_needs(target: str, chosen: dict[str, bool], nodes: str) -> None:
    assert " ".join(build(target, **chosen).nodes) == nodes


def test_nodes_are_named_as_one_types_them_here() -> None:
    assert build(here="sub").nodes[-1] == "s"
    assert build(here="sub").nodes[0] == "../dvc.yaml:prep"
    assert build("../clean", here="sub", outs=True).nodes == ("../clean",)


def test_a_target_that_is_not_there_names_the_nearest() -> None:
    for outs in (False, True):
        with pytest.raises(NotFound) as caught:
            build("evla", outs=outs)
        assert caught.value.hint == "did you mean `eval`?"


def test_names_are_escaped_in_the_other_languages() -> None:
    odd = Dag(('a"b', "c\\d"), (('a"b', "c\\d"),))
    assert odd.to_dot() == 'strict digraph {\n"a\\"b";\n"c\\\\d";\n"a\\"b" -> "c\\\\d";\n}\n'
    assert (
        odd.to_mermaid() == 'flowchart TD\n\tnode1["a#quot;b"]\n\tnode2["c\\d"]\n\tnode1-->node2\n'
    )


# --- As text ------------------------------------------------------------------------------------


PICTURE = """\
                 ┌──────┐
                 │ prep │
                 └───┬──┘
     ┌────────────┬──┴────┬──────────┐
     ▼            ▼       │          ▼
┌─────────┐  ┌─────────┐  │ ┌────────────────┐
│ each@us │  │ each@uk │  │ │ sub/dvc.yaml:s │
└────┬────┘  └────┬────┘  │ └────────────────┘
     └────────────┼───────┘
                  ▼
              ┌──────┐
              │ eval │
              └──────┘

┌───────┐
│ alone │
└───────┘"""
CROSSING = """\
    ┌───┐  ┌───┐
    │ a │  │ b │
    └─┬─┘  └─┬─┘
  ┌───┴──┬───│──┐
  ├──────┼───┴──┤
  ▼      ▼      ▼
┌───┐  ┌───┐  ┌───┐
│ x │  │ y │  │ z │
└───┘  └───┘  └───┘"""


def test_a_pipeline_is_drawn_from_the_top_down() -> None:
    assert text.draw(build()) == PICTURE


def test_lines_that_cross_do_not_touch() -> None:
    assert text.draw(chain("a-x a-y a-z b-x b-y b-z")) == CROSSING


def test_a_drawing_that_is_too_wide_is_a_list() -> None:
    wide = chain(" ".join(f"start-{'long' * 4}{n}" for n in range(12)) + f" {'long' * 4}3-end")
    lines = text.draw(wide).splitlines()
    assert lines[:2] == ["start", "longlonglonglong0   <- start"]
    assert lines[-1] == "end                 <- longlonglonglong3"
    assert len(lines) == len(wide.nodes)
    assert text.draw(wide, max_width=400).startswith(" ")


def test_nodes_without_edges_fill_lines() -> None:
    drawn = text.draw(Dag(tuple(f"stage-{n}" for n in range(12)), ()), max_width=60)
    assert len(drawn.splitlines()) == 9
    assert max(map(len, drawn.splitlines())) <= 60
    assert drawn.count("stage-") == 12


def test_nothing_is_drawn_of_nothing() -> None:
    assert text.draw(Dag((), ())) == ""
    assert svg.draw(Dag((), ())).startswith("<svg")


def test_what_leads_to_itself_is_drawn_once() -> None:
    assert text.draw(Dag(("each",), (("each", "each"),))) == "┌──────┐\n│ each │\n└──────┘"


# --- Any graph ----------------------------------------------------------------------------------


def some(seed: int) -> Dag:
    dice = random.Random(seed)
    count = dice.randint(1, 14)
    nodes = tuple("n" * dice.randint(1, 9) + str(n) for n in range(count))
    edges = [
        (nodes[one], nodes[other])
        for other in range(count)
        for one in range(other)
        if dice.random() < dice.choice([0.1, 0.3])
    ]
    return Dag(nodes, tuple(edges))


@pytest.mark.parametrize("seed", range(60))
def test_boxes_stand_below_what_they_need_and_apart(seed: int) -> None:
    for part in some(seed).pipelines():
        drawing = layout.place(part, lambda name: len(name) + 4.0, 2)
        row = {node.name: node.row for node in drawing.nodes if node.name}
        assert sorted(row) == sorted(part.nodes)
        assert all(row[one] < row[other] for one, other in part.edges)
        rows: dict[int, list[layout.Node]] = defaultdict(list)
        for node in drawing.nodes:
            rows[node.row].append(node)
            assert node.x - node.width / 2 >= -0.001
            assert node.x + node.width / 2 <= drawing.width + 0.001
        for nodes in rows.values():
            for left, right in itertools.pairwise(nodes):
                assert left.x + left.width / 2 + 1 <= right.x - right.width / 2 + 0.001
        ends = {(way[0].name, way[-1].name) for way in drawing.edges}
        assert ends == set(part.edges)
        assert all(len(way) == way[-1].row - way[0].row + 1 for way in drawing.edges)


def joined(lines: list[str], names: Collection[str]) -> set[tuple[str, str]]:
    """The edges that the lines of a drawing show, followed from box to box; crossings are passed straight."""
    grid = {(y, x): sign for y, line in enumerate(lines) for x, sign in enumerate(line)}
    boxes: dict[tuple[int, int], str] = {}
    for y, line in enumerate(lines):
        x = 0
        while x < len(line):
            if (
                line[x] == "│"
                and line[x + 1 : x + 2] == " "
                and grid.get((y - 1, x)) == "┌"
                and "│" in line[x + 1 :]
            ):
                end = line.index("│", x + 1)
                if grid.get((y - 1, end)) == "┐" and line[x + 2 : end - 1] in names:
                    for at in range(x, end + 1):
                        boxes[y + 1, at] = boxes[y - 1, at] = line[x + 2 : end - 1]
                    x = end
            x += 1
    opens = {"│": "ud", "─": "lr", "┌": "dr", "┐": "dl", "└": "ur", "┘": "ul", "├": "udr", "┤": "udl",
             "┬": "dlr", "┴": "ulr", "┼": "udlr", "▼": "ud"}  # fmt: skip
    step = {"u": (-1, 0), "d": (1, 0), "l": (0, -1), "r": (0, 1)}
    back = {"u": "d", "d": "u", "l": "r", "r": "l"}
    found = set()
    for (y, x), sign in grid.items():
        if sign != "┬" or (y, x) not in boxes:
            continue
        seen = set()
        ahead = [(y + 1, x, "d")]
        while ahead:
            at = ahead.pop()
            if at in seen or (at[0], at[1]) not in grid:
                continue
            seen.add(at)
            line, column, going = at
            if (line, column) in boxes:
                if going == "d":
                    found.add((boxes[y, x], boxes[line, column]))
                continue
            here = grid[line, column]
            if here == "│" and going in "lr":  # an upright line passes over this one
                ahead.append((line, column + step[going][1], going))
                continue
            # What comes down never goes up again.
            onward = [way for way in opens.get(here, "") if way not in ("u", back[going])]
            ahead += [(line + step[way][0], column + step[way][1], way) for way in onward]
    return found


@pytest.mark.parametrize("seed", range(60))
def test_no_edge_is_missing_in_a_drawing(seed: int) -> None:
    dag = some(seed)
    drawn = joined(text.draw(dag, max_width=1000).splitlines(), dag.nodes)
    # Lines that come together may show more than there is; they never show less.
    assert set(dag.edges) <= drawn


@pytest.mark.parametrize("seed", range(20))
def test_a_picture_is_whole_and_holds_every_name(seed: int) -> None:
    dag = some(seed)
    root = ET.fromstring(svg.draw(dag))
    space = "{http://www.w3.org/2000/svg}"
    assert sorted(found.text or "" for found in root.iter(f"{space}text")) == sorted(dag.nodes)
    assert len(
        [found for found in root.iter(f"{space}path") if found.get("class") == "edge"]
    ) == len(dag.edges)
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for group in root.iter(f"{space}g"):
        left, top = map(float, group.get("transform", "")[10:-1].split())
        for box in group.iter(f"{space}rect"):
            assert left + float(box.get("x", -1)) >= 0
            assert left + float(box.get("x", -1)) + float(box.get("width", 0)) <= width
            assert top + float(box.get("y", -1)) + float(box.get("height", 0)) <= height


def test_a_name_cannot_break_the_picture() -> None:
    found = ET.fromstring(svg.draw(Dag(("<script>&", "b"), (("<script>&", "b"),))))
    assert "<script>&" in [one.text for one in found.iter("{http://www.w3.org/2000/svg}text")]
