"""Cells as experiments, without a kernel: what whoever runs one hands over, and what is recorded of it."""

from __future__ import annotations

import importlib.util
import json
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp.errors import NameTaken, NotFound, UsageError
from nbexp.experiments import cell_needs, cell_results
from nbexp.formats import cell_code
from nbexp.project import Project


@pytest.fixture
def project(
    pipeline_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    monkeypatch.chdir(pipeline_project())
    found = nbexp.open()
    yield found
    found.close()


def test_who_runs_it_gets_params_lent_and_an_experiment(project: Project) -> None:
    cell = project.cell("{'acc': 1 - lr}", name="by-hand")
    assert cell.lent == {"lr": 0.1}
    made = cell.record(last={"acc": 0.9})
    assert (made.name, made.metrics["acc"]) == ("by-hand", 0.9)
    assert project.names == ["by-hand"]
    assert project["by-hand"].metrics["acc"] == 0.9
    with pytest.raises(NameTaken):
        project.cell("1", name="by-hand")


def test_a_cell_that_never_runs_leaves_nothing(project: Project) -> None:
    cell = project.cell("1")
    cell.drop()
    assert project.names == []
    assert not (project.root / ".dvc" / "tmp" / "nbexp" / "cells").exists()


def test_what_a_killed_process_left_is_swept_up(project: Project) -> None:
    left = project.root / ".dvc" / "tmp" / "nbexp" / "cells" / "999999999-abc"
    left.mkdir(parents=True)
    project.cell("1").record()
    assert not left.exists()


def test_a_failed_one_keeps_its_output_aside(project: Project) -> None:
    outputs = [{"output_type": "stream", "name": "stdout", "text": "so far\n"}]
    made = project.cell("boom()", name="broken").record(
        outputs=outputs, state="failed", error="NameError: boom"
    )
    assert made.status == "failed"
    assert project.names == []
    assert b"so far" in project.open("broken").data  # type: ignore[union-attr]


def test_another_cell_takes_the_folder_over(project: Project, git: Callable[..., str]) -> None:
    project.cell("1", name="with-metrics").record(last={"a": 1})
    project.apply("with-metrics", force=True)
    made = project.cell("2", name="without").record()
    files = git("ls-tree", "-r", "--name-only", made.rev, "cell/", cwd=project.root).split()
    assert files == ["cell/.gitignore", "cell/cell.ipynb", "cell/dvc.lock", "cell/dvc.yaml"]


def test_it_is_found_from_a_folder_below(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / "notebooks").mkdir()
    monkeypatch.chdir(project.root / "notebooks")
    with_below = nbexp.open()
    with_below.cell("{'a': lr}", name="below").record(last={"a": 0.1})
    stage = with_below.read("below", "cell/dvc.yaml").decode()
    assert "wdir: ../notebooks\n" in stage
    assert "cmd: nbexp notebook ../cell/cell.ipynb ../cell/run.ipynb\n" in stage
    assert "nbexp run -n below ../cell/dvc.yaml:cell)" in with_below.script("below").text
    with_below.close()


def test_a_cell_that_was_merged_makes_no_other_experiment_a_cell(
    project: Project, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.cell("1", name="merged").record(last={"a": 1})
    project.apply("merged", force=True)
    git("add", "cell", cwd=project.root)
    git("commit", "--quiet", "-m", "the cell is part of the project", cwd=project.root)
    made = project.run({"train.lr": 0.03})
    assert [stage.name for stage in made.report.stages] == ["prepare", "train"]  # type: ignore[union-attr]
    again = project.clone(made.name, {"train.lr": 0.05})
    assert "train" in [stage.name for stage in again.report.stages]  # type: ignore[union-attr]


def test_a_replay_without_what_it_read_is_refused_by_name(project: Project) -> None:
    project.cell("f(table)", name="x", namespace={"f": print, "table": object()}).record()
    with pytest.raises(NotFound, match=r"read `table` \(object\) of its session"):
        project.rerun("x")
    project.cell("nowhere", name="y").record(state="done")
    with pytest.raises(NotFound, match=r"read `nowhere` \(not defined\) of its session"):
        project.rerun("y")


# ---- what it needs


FILE = cell_needs.params_file(b"train:\n  lr: 0.1\n", "params.yaml", "params.yaml")


def needs(source: str, namespace: dict[str, Any], *history: str) -> cell_needs.Needs:
    names = cell_code.names(source)
    assert names is not None
    return cell_needs.find(names, namespace, history, (), FILE)


def test_code_comes_with_all_that_it_needs_in_the_order_of_the_session() -> None:
    history = ("import math", "rate = 2", "def inner(x):\n    return math.sqrt(x) * rate",
               "def outer(x):\n    return inner(x)", "def unused():\n    pass")  # fmt: skip
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for cell in history:
        exec(cell, namespace)
    found = needs("outer(4)", namespace, *history)
    assert found.code == (history[0], history[2], history[3])
    assert {read.name: read.kind for read in found.reads} == {
        "outer": "code",
        "inner": "code",
        "math": "code",
        "rate": "value",
    }


def test_imports_that_no_cell_shows_are_written_anew() -> None:
    found = needs("js.dumps(Path('a'))", {"js": json, "Path": Path})
    assert found.code == ("import json as js", "from pathlib import Path")


def test_a_function_of_a_file_that_was_run_is_found(tmp_path: Path) -> None:
    (tmp_path / "run_me.py").write_text("K = 2\ndef double(x):\n    return K * x\n")
    spec = importlib.util.spec_from_file_location("__main__", tmp_path / "run_me.py")
    assert spec is not None and spec.loader is not None
    module = types.ModuleType("__main__")
    module.__file__ = str(tmp_path / "run_me.py")
    exec(compile((tmp_path / "run_me.py").read_text(), module.__file__, "exec"), vars(module))
    found = needs("double(3)", vars(module))
    assert found.code == ("def double(x):\n    return K * x",)
    assert {read.name: read.text for read in found.reads}["K"] == "2"


def test_a_name_that_was_given_another_value_is_not_taken_for_its_import() -> None:
    found = needs("config", {"config": object()}, "from os import path as config")
    assert [(read.name, read.kind) for read in found.reads] == [("config", "missing")]


@pytest.mark.parametrize(
    "value",
    [1, 0.1, -1e300, float("inf"), "a'b\n", b"x", None, True, (1,), (), [], {"a": (1, [2])}, {1, 2}, set(), 2j],
)  # fmt: skip
def test_a_value_is_written_so_that_it_comes_back(value: object) -> None:
    text = cell_needs.literal(value)
    assert text is not None
    back = eval(text)
    assert (type(back), back) == (type(value), value)


def test_what_is_long_nested_without_end_or_no_plain_value_has_no_text() -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in (endless, "x" * 30_000, [0] * 30_000, object(), [object()], {"a": print}):
        assert cell_needs.literal(value) is None


# ---- what came of it


def test_a_dict_goes_before_what_was_logged_and_what_is_no_number_is_named(tmp_path: Path) -> None:
    table = tmp_path / "plots" / "metrics" / "train" / "loss.tsv"
    table.parent.mkdir(parents=True)
    table.write_text("step\tloss\n0\t0.5\n1\t0.25\n")
    found = cell_results.metrics(
        {"train": {"acc": 1}, "model": object(), "nan": float("nan")}, tmp_path
    )
    assert found.values == {"train": {"loss": 0.25, "acc": 1}, "nan": "nan"}
    assert found.left_out == ("model",)
    assert cell_results.metrics([1], tmp_path).values == {"train": {"loss": 0.25}}


@pytest.mark.parametrize("params", [("lr", "nothing"), ("open",)])
def test_params_that_are_nowhere(project: Project, params: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        project.cell("1", params=params)
