"""Pipelines with templates, run and recorded: values set for a run are filled in, and so are those of commits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp.errors import NotFound, ProjectFileError
from nbexp.project import Project

PIPELINE = """\
vars: [models.json]
stages:
  each:
    foreach: ${names}
    do:
      cmd: echo ${item} ${lr} > ${item}.txt; echo ${item} >> ../log
      outs: [ "${item}.txt" ]
  all:
    cmd: |-
      echo 'lr: ${lr}' > all.yaml; echo all >> ../log
    metrics: [{all.yaml: {cache: false}}]
"""


@pytest.fixture
def project(_repo_template: Path, tmp_path: Path, git: Callable[..., str]) -> Project:
    import shutil

    root = Path(shutil.copytree(_repo_template, tmp_path / "project", symlinks=True))
    files = {
        ".dvc/config": "",
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        "dvc.yaml": PIPELINE,
        "params.yaml": "lr: 0.1\nnames:\n- a\n- b\n",
        "models.json": '{"models": {"a": {"depth": 2}}}\n',
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=pipeline", cwd=root)
    return nbexp.open(root)


def ran(project: Project) -> list[str]:
    log = project.root.parent / "log"
    words = log.read_text().split() if log.exists() else []
    log.unlink(missing_ok=True)
    return words


def test_values_set_for_a_run_are_filled_in(project: Project) -> None:
    project.run(name="one")
    assert ran(project) == ["a", "b", "all"]
    project.run({"lr": 0.2}, name="two")
    assert ran(project) == ["a", "b", "all"]
    assert (project.root / "a.txt").read_text() == "a 0.2\n"
    # A stage that is new by a value, and nothing else.
    project.run({"names": ["a", "b", "c"]}, name="three")
    assert ran(project) == ["c"]
    assert project.experiment("three").read("c.txt") == b"c 0.2\n"


def test_commits_are_read_with_their_own_values(project: Project) -> None:
    project.run(name="one")
    project.run({"names": ["c"], "lr": 0.3}, name="two")
    (project.root / "params.yaml").write_text("lr: 9\nnames: [z]\n")
    assert project.experiment("one").read("b.txt") == b"b 0.1\n"
    assert project.experiment("two").read("c.txt") == b"c 0.3\n"
    with pytest.raises(NotFound):
        project.experiment("two").read("b.txt")
    table = project.show()
    outs = {row.name: sorted(row.data.outs) for row in table.experiments if row.data}
    assert outs == {"one": ["a.txt", "b.txt"], "two": ["c.txt"]}
    assert {row.name: row.metrics for row in table.experiments} == {
        "one": {"lr": 0.1},
        "two": {"lr": 0.3},
    }
    project.apply("one", force=True)
    assert (project.root / "b.txt").read_text() == "b 0.1\n"
    assert not project.status().stages


def test_a_run_that_is_recorded_is_found_by_what_its_templates_make(project: Project) -> None:
    first = project.run(name="one")
    project.run({"names": ["a"]}, name="fewer")
    ran(project)
    # The stage of the second is one of the first, but the first has more: it is no repetition.
    again = project.run({"names": ["a"]})
    assert (again.name, ran(project)) == ("fewer", [])
    back = project.run({"names": ["a", "b"]})
    assert (back.rev, ran(project)) == (first.rev, [])
    assert (project.root / "b.txt").read_text() == "b 0.1\n"


def test_a_group_is_a_target(project: Project) -> None:
    project.run(targets=["each"], name="one")
    assert ran(project) == ["a", "b"]
    project.run(targets=["each@b"], name="two", force=True)
    assert ran(project) == ["b"]
    assert sorted(project.status(["each", "all"]).stages) == ["all"]


def test_values_in_files_of_vars_are_shown(project: Project) -> None:
    text = (project.root / "dvc.yaml").read_text()
    (project.root / "dvc.yaml").write_text(text.replace("echo all ", "echo all${models.a.depth} "))
    project.run(name="one")
    (row,) = project.show().experiments
    assert row.data is not None
    assert row.data.params == {
        "params.yaml": {"lr": 0.1, "names": ["a", "b"]},
        "models.json": {"models.a.depth": 2},
    }
    # An untracked file of `vars` is recorded: without it nobody could tell the stages.
    (project.root / "more.json").write_text('{"more": 3}\n')
    text = (project.root / "dvc.yaml").read_text()
    (project.root / "dvc.yaml").write_text(
        text.replace("[models.json]", "[models.json, more.json]")
    )
    assert project.run(name="two").read("more.json") == b'{"more": 3}\n'


def test_a_value_that_breaks_the_pipeline_changes_nothing(project: Project) -> None:
    before = (project.root / "params.yaml").read_bytes()
    with pytest.raises(ProjectFileError, match="is neither a list nor a mapping"):
        project.run({"names": 3})
    with pytest.raises(ProjectFileError, match=r"`\$\{lr\}`, which is a list"):
        project.run(["lr=[1]"])
    assert (project.root / "params.yaml").read_bytes() == before
    assert ran(project) == []


def test_a_commit_whose_templates_name_nothing_is_one_row_with_its_reason(
    project: Project, git: Callable[..., Any]
) -> None:
    project.run(name="one")
    (project.root / "models.json").write_text("{}\n")
    (project.root / "dvc.yaml").write_text("stages: {s: {cmd: 'x ${gone}'}}\n")
    git("commit", "--quiet", "--all", "--message=broken", cwd=project.root)
    rows = project.show().rows
    broken = [row for row in rows if row.error]
    assert len(broken) == 2  # the workspace and HEAD
    assert broken[0].error == (
        "dvc.yaml, line 1: `cmd` of stage `s` has `${gone}`, and there is no `gone` in params.yaml."
    )
    assert [row.name for row in rows if row.data is not None and row.kind == "experiment"] == [
        "one"
    ]


def test_the_configuration_says_how_a_mapping_is_written(project: Project) -> None:
    (project.root / ".dvc" / "config").write_text(
        "[parsing]\n    bool = boolean_optional\n    list = append\n"
    )
    (project.root / "dvc.yaml").write_text(
        "stages: {s: {cmd: 'echo ${d} > o.txt', outs: [o.txt]}}\n"
    )
    (project.root / "params.yaml").write_text("d: {no: false, l: [1, 2]}\n")
    project.run(name="one")
    assert (project.root / "o.txt").read_text() == "--no-no --l 1 --l 2\n"


def test_a_stage_is_made_of_a_command_or_a_notebook_beside_templates(
    project: Project, nbexp_cli: Callable[..., Any]
) -> None:
    text = (project.root / "dvc.yaml").read_text()
    (project.root / "train.py").write_text("print(1)\n")
    nbexp_cli("init", "python train.py", "--name", "train", "--code", "train.py", cwd=project.root)
    assert (project.root / "dvc.yaml").read_text().startswith(text)
    assert [name for name, _ in nbexp.open(project.root).stage.list().stages][-1] == "train"


def test_a_value_of_a_file_of_vars_is_set_for_a_run(project: Project) -> None:
    text = (project.root / "dvc.yaml").read_text()
    (project.root / "dvc.yaml").write_text(text.replace("lr: ${lr}", "depth: ${models.a.depth}"))
    assert project.run(["models.json:models.a.depth=7"], name="deep").metrics == {"depth": 7}
    assert (project.root / "models.json").read_text() == '{"models": {"a": {"depth": 7}}}\n'
