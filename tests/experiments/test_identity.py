"""Recognising a run that is recorded already; what a run of it looks like is in test_run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from nbexp.experiments import identity
from nbexp.experiments.place import GitMeanings
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.plan import Disk, Inspector

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]


def find(project: Project, *targets: str, edits: dict[str, bytes] | None = None) -> str | None:
    """The name of the experiment that a run would repeat."""
    graph = graphs.load(project.root)
    stages = graph.order(graph.targets(targets, "."))
    refs = project.git.refs("refs/exps/")
    inspector = Inspector(
        project.root,
        project.cache,
        Disk(project.root, edits or {}),
        GitMeanings(project.git, "", refs),
    )
    head = project.git.head()
    assert head is not None
    found = identity.find(
        project.git, project.cache, project.root, "", head, refs, stages, graph, inspector
    )
    return None if found is None else found[0].rpartition("/")[2]


@pytest.fixture
def one(project: Project) -> Project:
    project.run(name="one")
    return project


def test_the_same_again_is_found_and_another_value_is_not(one: Project) -> None:
    assert find(one) == "one"
    params = (one.root / "params.yaml").read_bytes()
    assert find(one, edits={"params.yaml": params.replace(b"0.1", b"0.2")}) is None
    assert find(one, edits={"params.yaml": params.replace(b"Chosen", b"Taken")}) == "one"


def test_nothing_is_found_where_nothing_is_recorded(project: Project) -> None:
    assert find(project) is None


def test_fewer_stages_are_found_in_an_experiment_of_more(one: Project) -> None:
    assert find(one, "prepare") == "one"


def test_more_stages_are_not_found_in_an_experiment_of_fewer(project: Project) -> None:
    project.run(targets=["prepare"], name="half")
    assert find(project, "prepare") == "half"
    assert find(project) is None


def test_outputs_on_disk_do_not_count(one: Project) -> None:
    (one.root / "model.txt").write_text("edited\n")
    (one.root / "metrics.json").unlink()
    assert find(one) == "one"


def test_a_dep_that_is_gone_is_not_the_same(one: Project) -> None:
    (one.root / "data" / "raw.csv").unlink()
    assert find(one) is None


def test_an_experiment_of_another_baseline_is_not_the_same(one: Project, git: Git) -> None:
    git("commit", "--quiet", "--allow-empty", "--message=more", cwd=one.root)
    assert find(one) is None


def test_an_experiment_of_dvc_is_found_as_well(
    project: Project, dvc: Callable[..., object]
) -> None:
    dvc("exp", "run", "--name", "theirs", cwd=project.root)
    assert find(project) == "theirs"


def test_two_experiments_with_each_others_params_are_told_apart(project: Project) -> None:
    project.run({"train.lr": 0.2, "train.epochs": 4}, name="one")
    project.run({"train.lr": 0.4, "train.epochs": 2}, name="other")
    params = (project.root / "params.yaml").read_bytes()
    swapped = params.replace(b"0.4", b"0.2").replace(b"epochs: 2", b"epochs: 4")
    assert find(project) == "other"
    assert find(project, edits={"params.yaml": swapped}) == "one"


# --- Modules ------------------------------------------------------------------------------------


def test_modules_that_are_imported_but_not_listed_are_named(project: Project) -> None:
    root = project.root
    (root / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: python a.py\n    deps: [a.py, listed.py, pack]\n    outs: [o]\n"
    )
    (root / "a.py").write_text("import listed, unlisted, pack.inner, json\n")
    (root / "listed.py").write_text("import deeper\n")
    (root / "unlisted.py").write_text("")
    (root / "deeper.py").write_text("")
    (root / "pack").mkdir()
    (root / "pack" / "__init__.py").write_text("")
    (root / "pack" / "inner.py").write_text("")
    found = identity.unlisted_modules(root, graphs.load(root).stages)
    assert {stage: sorted(paths) for stage, paths in found.items()} == {
        "a": ["deeper.py", "unlisted.py"]
    }


def test_a_stage_that_lists_all_it_imports_is_not_named(project: Project) -> None:
    root = project.root
    (root / "dvc.yaml").write_text("stages:\n  a:\n    cmd: python a.py\n    deps: [a.py, b.py]\n")
    (root / "a.py").write_text("import b\nimport os\n")
    (root / "b.py").write_text("")
    assert identity.unlisted_modules(root, graphs.load(root).stages) == {}
