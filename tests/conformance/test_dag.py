"""`dag`: the same nodes and edges in both tools' texts, for each option."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject

FILES = {
    "dvc.yaml": """\
stages:
  prep: {cmd: x, deps: [raw.csv], outs: [clean, stats.json]}
  each:
    foreach: [us, uk]
    do: {cmd: "x ${item}", deps: [clean], outs: ["m-${item}.txt"]}
  mat:
    matrix: {a: [1, 2], b: [x]}
    cmd: x ${key}
    deps: [m-us.txt]
    params: [{conf.yaml: [lr]}]
    outs: ["z-${key}.txt"]
  conf: {cmd: x, outs: [conf.yaml]}
  eval: {cmd: x, deps: [m-us.txt, m-uk.txt, stats.json], metrics: [e.json], frozen: true}
  alone: {cmd: x}
  solo: {cmd: x, outs: [solo.txt]}
""",
    "sub/dvc.yaml": "stages:\n  s: {cmd: x, deps: [../clean/part], outs: [s.txt]}\n",
    "raw.csv.dvc": "outs:\n- md5: 0cc175b9c0f1b6a831c399e269772661\n  size: 1\n  hash: md5\n  path: raw.csv\n",
}


def test_the_texts_say_what_dvcs_say(project: MakeProject, look: Look) -> None:
    root = project(FILES)
    for line in (
        "--dot",
        "--dot -o",
        "--dot --collapse-foreach-matrix",
        "--dot each@us",
        "--dot --full each@us",
        "--dot clean",
        "--dot -o eval",
        "--dot each",
        "--dot sub/dvc.yaml",
        "--dot --full raw.csv.dvc",
        "--dot --full --outs conf",
    ):
        theirs = look.dvc("dag", *line.split(), cwd=root).stdout
        ours = look.nbexp("dag", *line.split(), cwd=root).stdout
        # The order of DVC's lines is that of its file system.
        assert sorted(ours.splitlines()) == sorted(theirs.strip().splitlines()), line
        assert ours.startswith("strict digraph {\n")
    for line in ("--mermaid eval", "--md --full each@us", "--mermaid -o eval", "--md s"):
        where = root / "sub" if line.endswith(" s") else root
        theirs = look.dvc("dag", *line.split(), cwd=where).stdout
        assert look.nbexp("dag", *line.split(), cwd=where).stdout == theirs, line


def test_the_whole_as_mermaid_differs_by_the_order_of_pipelines_alone(
    project: MakeProject, look: Look
) -> None:
    root = project(FILES)

    def read(text: str) -> tuple[list[str], list[tuple[str, ...]]]:
        lines = [line.strip() for line in text.splitlines()[1:]]
        named = dict(line[:-2].split('["') for line in lines if "[" in line)
        edges = [tuple(named[end] for end in line.split("-->")) for line in lines if "-->" in line]
        return sorted(named.values()), sorted(edges)

    for words in (
        ["--mermaid"],
        ["--mermaid", "--outs"],
        ["--mermaid", "--collapse-foreach-matrix"],
    ):
        theirs = look.dvc("dag", *words, cwd=root).stdout
        assert read(look.nbexp("dag", *words, cwd=root).stdout) == read(theirs)


@pytest.mark.parametrize("words", [["nope"], ["--outs", "--collapse-foreach-matrix"]])
def test_what_dvc_refuses_is_refused(words: list[str], project: MakeProject, look: Look) -> None:
    root = project(FILES)
    look.dvc("dag", *words, cwd=root, code=255)
    look.nbexp("dag", *words, cwd=root, code=2 if len(words) > 1 else 3)
