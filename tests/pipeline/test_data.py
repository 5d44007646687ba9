"""Which data a target means."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbexp.errors import NotFound
from nbexp.pipeline import data
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.graph import Graph

TRACKED = "outs:\n- md5: 60b725f10c9c85c70d97880dfe8191b3\n  hash: md5\n  path: {}\n"
FILES = {
    "raw.dvc": TRACKED.format("raw"),
    "more/x.csv.dvc": TRACKED.format("x.csv"),
    "dvc.yaml": "stages:\n  a: {cmd: a, deps: [raw], outs: [b]}\n  c: {cmd: c, deps: [b], outs: [d]}\n",
}


@pytest.fixture
def graph() -> Graph:
    return graphs.load(Path("nowhere"), {path: text.encode() for path, text in FILES.items()})


def paths(graph: Graph, *targets: str, here: str = ".", **options: bool) -> list[str]:
    return [one.path for one in data.choose(graph, targets, here, **options)]


def test_no_target_means_all_outputs(graph: Graph) -> None:
    assert sorted(paths(graph)) == ["b", "d", "more/x.csv", "raw"]


def test_a_target_is_an_output_its_file_or_its_stage(graph: Graph) -> None:
    assert paths(graph, "raw") == paths(graph, "raw.dvc") == ["raw"]
    assert paths(graph, "a") == paths(graph, "b") == ["b"]
    assert paths(graph, "x.csv", here="more") == ["more/x.csv"]
    with pytest.raises(NotFound):
        paths(graph, "nothing")


def test_a_path_in_an_output_means_that_part(graph: Graph) -> None:
    (one,) = data.choose(graph, ["raw/sub/x"], ".")
    assert (one.path, one.out.path, one.inner) == ("raw/sub/x", "raw", "sub/x")
    assert paths(graph, "raw/sub/x", "raw.dvc") == ["raw"]


def test_what_stages_read_and_what_folders_hold(graph: Graph) -> None:
    assert paths(graph, "c", with_deps=True) == ["raw", "b", "d"]
    assert paths(graph, "d", with_deps=True) == ["d", "raw", "b"]
    assert paths(graph, "more", recursive=True) == ["more/x.csv"]
    with pytest.raises(NotFound):
        paths(graph, "more")


def test_what_a_folder_would_swallow(graph: Graph) -> None:
    found = data.overlapping(graph, "more")
    assert found is not None
    assert found.path == "more/x.csv"
    assert data.overlapping(graph, "raw/sub") is None
    assert data.owner(graph, "rawer") is None


def test_an_ignore_line_is_written_once(tmp_path: Path) -> None:
    assert data.ignore_edit(tmp_path, "sub/x.csv") == ("sub/.gitignore", b"/x.csv\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".gitignore").write_bytes(b"*.tmp\n/x.csv\n")
    assert data.ignore_edit(tmp_path, "sub/x.csv") is None
