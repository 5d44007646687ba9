"""Stages to a graph: who needs whom, in which order, and what is told when there is none."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from nbexp.errors import NotFound, ProjectFileError
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.graph import Graph


def load(*stages: str, **files: str) -> Graph:
    """A graph of stages written as `a: raw.csv -> out.csv`; further dvc.yaml files by folder."""
    texts = {"dvc.yaml": pipeline(*stages).encode()}
    texts.update({f"{folder}/dvc.yaml": text.encode() for folder, text in files.items()})
    return graphs.load(Path("nowhere"), texts)


def pipeline(*stages: str) -> str:
    lines = ["stages:"]
    for stage in stages:
        name, _, rest = stage.partition(":")
        deps, _, outs = rest.partition("->")
        lines += [f"  {name}:", "    cmd: 'true'"]
        lines += [f"    deps: [{', '.join(deps.split())}]"] if deps.split() else []
        lines += [f"    outs: [{', '.join(outs.split())}]"] if outs.split() else []
    return "\n".join(lines) + "\n"


def names(graph: Graph, *targets: str, single: bool = False) -> list[str]:
    return [stage.name for stage in graph.order(graph.targets(targets, "."), single=single)]


def write(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


# --- Order --------------------------------------------------------------------------------------


def test_downstream_is_what_needs_the_targets_each_after_what_it_needs() -> None:
    graph = load(
        "d: c.txt b.txt ->", "a: -> a.txt", "b: a.txt -> b.txt", "c: b.txt -> c.txt", "x: -> x.txt"
    )
    chosen = graph.downstream(graph.targets(("b",), "."))
    assert [stage.name for stage in chosen] == ["b", "c", "d"]
    assert [s.name for s in graph.downstream(graph.targets(("x", "c"), "."))] == ["c", "d", "x"]


def test_downstream_ends_at_a_frozen_stage() -> None:
    text = pipeline("a: -> a.txt", "b: a.txt -> b.txt", "c: b.txt ->")
    text = text.replace("  b:\n", "  b:\n    frozen: true\n")
    graph = graphs.load(Path("nowhere"), {"dvc.yaml": text.encode()})
    assert [stage.name for stage in graph.downstream(graph.targets(("a",), "."))] == ["a"]


def test_a_stage_comes_after_what_it_needs() -> None:
    graph = load("c: b.txt ->", "b: a.txt -> b.txt", "a: -> a.txt")
    assert names(graph) == ["a", "b", "c"]


def test_stages_that_need_nothing_keep_the_order_of_the_file() -> None:
    assert names(load("z: -> z.txt", "m: -> m.txt", "a: -> a.txt")) == ["z", "m", "a"]


def test_a_diamond_has_its_ends_once() -> None:
    graph = load("d: b c ->", "b: a -> b", "c: a -> c", "a: -> a")
    assert names(graph) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("dep", "out"),
    [("data", "data"), ("data/part/x.csv", "data"), ("data", "data/x.csv"), ("./data/", "data")],
)
def test_a_dep_inside_or_around_an_output_needs_its_stage(dep: str, out: str) -> None:
    assert names(load(f"reads: {dep} ->", f"writes: -> {out}")) == ["writes", "reads"]


def test_a_dep_that_only_begins_like_an_output_does_not_need_its_stage() -> None:
    assert names(load("reads: data.csv ->", "writes: -> data")) == ["reads", "writes"]


def test_a_params_file_that_a_stage_writes_is_needed() -> None:
    text = pipeline("first: -> conf.yaml") + (
        "  second:\n    cmd: 'true'\n    params: [{conf.yaml: [lr]}]\n"
    )
    graph = graphs.load(Path("nowhere"), {"dvc.yaml": text.encode()})
    assert names(graph, "second") == ["first", "second"]


def test_a_frozen_stage_does_not_bring_what_it_reads() -> None:
    text = pipeline("a: -> a.txt", "b: a.txt -> b.txt").replace(
        "  b:\n", "  b:\n    frozen: true\n"
    )
    graph = graphs.load(Path("nowhere"), {"dvc.yaml": text.encode()})
    assert names(graph, "b") == ["b"]


def test_a_single_item_is_alone_and_once() -> None:
    graph = load("a: -> a.txt", "b: a.txt -> b.txt")
    assert names(graph, "b", "b", single=True) == ["b"]


def test_stages_of_several_files_need_each_other() -> None:
    graph = load("train: sub/clean.csv ->", sub=pipeline("clean: raw.csv -> clean.csv"))
    order = graph.order(graph.targets(["train"], "."))
    assert [stage.address() for stage in order] == ["sub/dvc.yaml:clean", "train"]


@hypothesis.given(st.integers(0, 2**32), st.integers(1, 12))
@hypothesis.settings(max_examples=60)
def test_any_graph_without_a_circle_is_put_in_order(seed: int, count: int) -> None:
    dice = random.Random(seed)
    needs = {n: [m for m in range(n) if dice.random() < 0.4] for n in range(count)}
    stages = [
        f"s{n}: {' '.join(f'o{m}' for m in needs[n])} -> o{n}"
        for n in dice.sample(range(count), count)
    ]
    order = names(load(*stages))
    assert sorted(order) == sorted(f"s{n}" for n in range(count))
    for n, earlier in needs.items():
        assert all(order.index(f"s{m}") < order.index(f"s{n}") for m in earlier)


def test_a_chain_of_two_thousand_stages_is_put_in_order() -> None:
    chain = [f"s{n}: {f'o{n - 1}' if n else ''} -> o{n}" for n in reversed(range(2000))]
    assert names(load(*chain)) == [f"s{n}" for n in range(2000)]


# --- Targets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "here", "found"),
    [
        ("train", ".", ["train"]),
        ("dvc.yaml:train", ".", ["train"]),
        ("dvc.yaml", ".", ["train", "test"]),
        ("sub/dvc.yaml:clean", ".", ["clean"]),
        ("sub/dvc.yaml", ".", ["clean"]),
        ("clean", "sub", ["clean"]),
        ("../dvc.yaml:train", "sub", ["train"]),
        ("../dvc.yaml", "sub", ["train", "test"]),
        (":train", ".", ["train"]),
        (":", ".", ["train", "test"]),
        ("sub/dvc.yaml:", ".", ["clean"]),
    ],
)
def test_a_target_is_a_stage_or_a_file_as_seen_from_here(
    target: str, here: str, found: list[str]
) -> None:
    graph = load("train: -> a", "test: -> b", sub=pipeline("clean: -> c"))
    assert [stage.name for stage in graph.targets([target], here)] == found


def options(graph: Graph, *targets: str, here: str = ".", **chosen: bool) -> list[str]:
    return [stage.address() for stage in graph.targets(targets, here, **chosen)]


def test_a_directory_means_all_stages_below_it() -> None:
    deep = {"sub/a": pipeline("x: -> x"), "sub": pipeline("y: -> y"), "subs": pipeline("z: -> z")}
    graph = load("train: -> t", **deep)
    found = ["sub/dvc.yaml:y", "sub/a/dvc.yaml:x"]
    assert options(graph, "sub", recursive=True) == found
    assert options(graph, "../sub/", here="subs", recursive=True) == found
    assert options(graph, ".", recursive=True) == ["train", *found, "subs/dvc.yaml:z"]
    assert options(graph, "sub/a", "train", "sub", recursive=True) == [found[1], "train", found[0]]
    for name, recursive in (("sub", False), ("nowhere", True)):
        with pytest.raises(NotFound, match=f"There is no stage `{name}`"):
            graph.targets([name], ".", recursive=recursive)


@pytest.mark.parametrize(
    ("pattern", "here", "found"),
    [
        ("t*", ".", ["train", "test"]),
        ("*", ".", ["train", "test", "other"]),
        ("te[rs]t", ".", ["test"]),
        ("dvc.yaml:t*", ".", ["train", "test"]),
        ("../dvc.yaml:?r*", "sub", ["train"]),
        ("sub/dvc.yaml:c*", ".", ["sub/dvc.yaml:clean"]),
    ],
)
def test_a_pattern_means_the_stages_that_are_like_it(
    pattern: str, here: str, found: list[str]
) -> None:
    graph = load("train: -> a", "test: -> b", "other: -> d", sub=pipeline("clean: -> c"))
    assert options(graph, pattern, here=here, glob=True) == found


def test_a_pattern_that_no_stage_is_like_is_no_request_for_all_of_them() -> None:
    with pytest.raises(NotFound) as caught:
        load("train: -> a").targets(["trian*"], ".", glob=True)
    assert str(caught.value) == (
        "There is no stage like `trian*`. Nothing was run.\nHint: did you mean `train`?"
    )


def test_a_whole_pipeline_is_all_that_is_connected() -> None:
    graph = load("a: -> a", "b: a -> b", "c: a -> c", "alone: -> z", "d: c x ->", "other: -> x")
    assert options(graph, "b", whole_pipeline=True) == ["a", "b", "c", "d", "other"]
    assert options(graph, "alone", whole_pipeline=True) == ["alone"]
    assert len(options(graph, "b", all_pipelines=True)) == 6


def test_all_pipelines_are_those_of_every_directory() -> None:
    graph = load("a: -> a", sub=pipeline("b: -> b"))
    assert options(graph, here="nowhere", all_pipelines=True) == ["a", "sub/dvc.yaml:b"]


def test_an_output_means_its_stage_where_it_may() -> None:
    graph = load("a: -> data", "b: data/part -> b.txt", "c: -> a")
    assert options(graph, "data/part/one.csv", "b.txt", outs=True) == ["a", "b"]
    assert options(graph, "../b.txt", here="sub", outs=True) == ["b"]
    assert options(graph, "a", outs=True) == ["a"]
    with pytest.raises(NotFound, match=r"There is no stage `b\.txt`"):
        graph.targets(["b.txt"], ".")


def test_no_target_means_the_file_of_this_directory() -> None:
    graph = load("train: -> a", sub=pipeline("clean: -> c"))
    assert [stage.name for stage in graph.targets([], ".")] == ["train"]
    assert [stage.name for stage in graph.targets([], "sub")] == ["clean"]


@pytest.mark.parametrize(
    ("target", "here", "text"),
    [
        (
            "trian",
            ".",
            "There is no stage `trian`. Nothing was run.\nHint: did you mean `train`?",
        ),
        (
            "xyz",
            ".",
            "There is no stage `xyz`. Nothing was run.\nHint: stages: train, sub/dvc.yaml:clean.",
        ),
        (
            "claen",
            "sub",
            "There is no stage `claen`. Nothing was run.\nHint: did you mean `clean`?",
        ),
        (
            "sub/dvc.yaml:claen",
            ".",
            (
                "There is no stage `sub/dvc.yaml:claen`. Nothing was run.\n"
                "Hint: did you mean `sub/dvc.yaml:clean`?"
            ),
        ),
    ],
)
def test_an_unknown_stage_names_the_nearest(target: str, here: str, text: str) -> None:
    graph = load("train: -> a", sub=pipeline("clean: -> c"))
    with pytest.raises(NotFound) as caught:
        graph.targets([target], here)
    assert str(caught.value) == text


def test_a_directory_without_dvc_yaml_names_those_there_are() -> None:
    graph = graphs.load(Path("nowhere"), {"exp/a/dvc.yaml": pipeline("s: -> o").encode()})
    with pytest.raises(NotFound) as caught:
        graph.targets([], ".")
    assert str(caught.value) == (
        "There is no dvc.yaml here; this project has exp/a/dvc.yaml.\n"
        "Hint: `nbexp run --cd exp/a` runs the pipeline of that directory."
    )


def test_a_project_without_stages_says_how_to_get_one() -> None:
    with pytest.raises(NotFound) as caught:
        graphs.load(Path("nowhere"), {}).targets([], ".")
    assert str(caught.value) == (
        "There is no dvc.yaml and so no pipeline to run.\n"
        "Hint: `nbexp init train.ipynb` makes one of a notebook."
    )


def test_a_missing_file_in_a_target_names_those_there_are() -> None:
    with pytest.raises(NotFound) as caught:
        load("train: -> a").targets(["sub/dvc.yaml:train"], ".")
    assert str(caught.value) == (
        "There is no sub/dvc.yaml here; this project has dvc.yaml.\n"
        "Hint: `nbexp run` runs the pipeline of this directory."
    )


# --- What is no graph ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stages", "text"),
    [
        (
            ["a: c -> a", "b: a -> b", "c: b -> c"],
            (
                "dvc.yaml, line 2: the stages `a` -> `b` -> `c` -> `a` need each other in a circle.\n"
                "Hint: take one of these deps out of dvc.yaml."
            ),
        ),
        (
            ["x: -> x", "b: c x -> b", "c: b -> c"],
            (
                "dvc.yaml, line 5: the stages `b` -> `c` -> `b` need each other in a circle.\n"
                "Hint: take one of these deps out of dvc.yaml."
            ),
        ),
        (
            ["a: data/x -> data"],
            (
                "dvc.yaml, line 2: stage `a` has `data` as an output and as a dep.\n"
                "Hint: take it out of one of the two in dvc.yaml."
            ),
        ),
        (
            ["a: -> out.csv", "b: -> out.csv"],
            (
                "dvc.yaml, line 5: stages `a` and `b` both have the output `out.csv`; an output belongs "
                "to one stage.\n"
                "Hint: take it out of the outs of one of them, or have it write elsewhere."
            ),
        ),
        (
            ["a: -> data", "b: -> data/b.csv"],
            (
                "dvc.yaml, line 5: the output `data/b.csv` of stage `b` and the output `data` of stage "
                "`a` overlap; an output belongs to one stage.\n"
                "Hint: take it out of the outs of one of them, or have it write elsewhere."
            ),
        ),
    ],
)
def test_what_makes_no_graph_is_told_with_its_line(stages: list[str], text: str) -> None:
    with pytest.raises(ProjectFileError) as caught:
        load(*stages)
    assert str(caught.value) == text


def test_two_files_may_not_write_one_output() -> None:
    with pytest.raises(ProjectFileError) as caught:
        load("a: -> sub/out.csv", sub=pipeline("b: -> out.csv"))
    assert caught.value.path == "sub/dvc.yaml"
    assert caught.value.line == 2
    assert "stages `a` and `b` both have the output `sub/out.csv`" in caught.value.message


def test_the_stage_that_writes_a_file_is_its_owner() -> None:
    graph = load("a: -> data", "b: -> other.csv")
    owner = graph.owner("data/x/y.csv")
    assert owner is not None and owner.name == "a"
    assert graph.owner("database.csv") is None


# --- Finding the files --------------------------------------------------------------------------


def test_pipelines_are_found_below_the_root_but_not_in_other_projects(tmp_path: Path) -> None:
    wanted = ["a/b/dvc.yaml", "dvc.yaml", "notebooks/dvc.yaml"]
    others = [
        "nested/dvc.yaml",
        "clone/dvc.yaml",
        "venv/lib/dvc.yaml",
        "node_modules/x/dvc.yaml",
        ".ipynb_checkpoints/dvc.yaml",
        ".dvc/tmp/dvc.yaml",
    ]
    write(tmp_path, dict.fromkeys((*wanted, *others), "stages: {}\n"))
    write(tmp_path, {"nested/.dvc/config": "", "clone/.git/HEAD": "", "venv/pyvenv.cfg": ""})
    assert graphs.pipeline_files(tmp_path) == wanted


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"a/dvc.yaml": "stages: {}\n"})
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert graphs.pipeline_files(tmp_path) == ["a/dvc.yaml"]


def test_a_directory_called_dvc_yaml_is_no_pipeline(tmp_path: Path) -> None:
    write(tmp_path, {"dvc.yaml/x.txt": "", "b/dvc.yaml": "stages: {}\n"})
    assert graphs.pipeline_files(tmp_path) == ["b/dvc.yaml"]


# --- Data that .dvc files track -----------------------------------------------------------------


TRACKED = "outs:\n- md5: 60b725f10c9c85c70d97880dfe8191b3\n  hash: md5\n  path: {}\n"


def test_data_is_a_stage_that_comes_before_what_reads_it(tmp_path: Path) -> None:
    write(
        tmp_path, {"dvc.yaml": pipeline("a: data/x.txt -> b"), "data.dvc": TRACKED.format("data")}
    )
    graph = graphs.load(tmp_path)
    assert names(graph) == ["data.dvc", "a"]
    assert [stage.is_data for stage in graph.stages] == [True, False]
    assert names(graph, "data.dvc") == ["data.dvc"]


def test_data_is_addressed_by_its_file(tmp_path: Path) -> None:
    write(tmp_path, {"raw/in.csv.dvc": TRACKED.format("in.csv"), "dvc.yaml": pipeline("a: -> b")})
    graph = graphs.load(tmp_path)
    (found,) = graph.targets(["raw/in.csv.dvc"], ".")
    assert (found.outs[0].path, found.address("."), found.address("raw")) == (
        "raw/in.csv",
        "raw/in.csv.dvc",
        "in.csv.dvc",
    )
    assert graph.targets(["in.csv.dvc"], "raw") == (found,)
    with pytest.raises(NotFound) as caught:
        graph.targets(["other.dvc"], ".")
    assert "There is no other.dvc here" in caught.value.message


def test_data_and_a_stage_do_not_share_an_output(tmp_path: Path) -> None:
    write(tmp_path, {"dvc.yaml": pipeline("a: -> out"), "out.dvc": TRACKED.format("out")})
    with pytest.raises(ProjectFileError) as caught:
        graphs.load(tmp_path)
    assert "stage `a` and out.dvc both have the output `out`" in caught.value.message
    write(tmp_path, {"dvc.yaml": pipeline("a: -> out/inner")})
    with pytest.raises(ProjectFileError) as caught:
        graphs.load(tmp_path)
    assert "the output `out` of out.dvc and the output `out/inner` of stage `a` overlap" in str(
        caught.value.message
    )


def test_nothing_inside_tracked_data_is_a_stage(tmp_path: Path) -> None:
    write(tmp_path, {"data.dvc": TRACKED.format("data"), "data/dvc.yaml": "no: pipeline",
        "data/x.dvc": TRACKED.format("x"), "other/x.dvc": TRACKED.format("x")})  # fmt: skip
    assert graphs.stage_files(tmp_path) == ["data.dvc", "other/x.dvc"]
    assert graphs.pipeline_files(tmp_path) == []


def test_dvcignore_hides_dvc_files_as_well(tmp_path: Path) -> None:
    write(tmp_path, {"old/data.dvc": TRACKED.format("data"), ".dvcignore": "old/\n",
        "new.dvc": TRACKED.format("new")})  # fmt: skip
    assert graphs.stage_files(tmp_path) == ["new.dvc"]
