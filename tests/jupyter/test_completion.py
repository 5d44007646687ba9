from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbexp.jupyter import completion

FLAGS = ["--help", "--quiet", "--verbose", "--cd"]


@pytest.fixture
def project(pipeline_project: Callable[..., Path], git: Callable[..., str]) -> Path:
    root = pipeline_project()
    head = git("rev-parse", "HEAD", cwd=root)
    for name in ("dusty-crow", "mauve-pike"):
        git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", head, cwd=root)
    git("remote", "add", "origin", "../origin.git", cwd=root)
    (root / "train.ipynb").write_text("{}")
    return root


def offered(line: str, here: Path) -> list[str]:
    before, _, typed = line.rpartition(" ")
    return [text for text, _ in completion.offers(before.split(), typed, here)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ru", ["run"]),
        ("help sh", ["show"]),
        ("r", ["run", "repro", "rerun", "rename", "remove", "report", "remote", "rm"]),
        ("run --set", ["--set-param"]),
        ("run -S tr", ["train.lr=", "train.epochs="]),
        ("run --set-param tr", ["train.lr=", "train.epochs="]),
        ("run --set-param=tr", ["--set-param=train.lr=", "--set-param=train.epochs="]),
        ("run -S train.lr=", ["train.lr=0.1"]),
        ("run -S train.lr=9", []),
        ("run -S ~train.l", ["~train.lr"]),
        ("run -S ++train.l", ["++train.lr="]),
        ("run -S +train.l", []),
        ("run -S params.yaml:train.l", ["params.yaml:train.lr="]),
        ("run pre", ["prepare"]),
        ("run prepare tr", ["train"]),
        ("run -n prepare pre", ["prepare"]),
        ("apply ma", ["mauve-pike"]),
        ("push o", ["origin"]),
        ("push d", ["dusty-crow"]),
        ("pull origin ma", ["mauve-pike"]),
        ("list o", ["origin"]),
        ("remove -g ", ["origin"]),
        ("diff d", ["dusty-crow"]),
        ("diff dusty-crow ma", ["mauve-pike", "main"]),
        ("diff dusty-crow w", ["workspace"]),
        ("report dusty-crow ma", ["mauve-pike", "main"]),
        ("remove dusty-crow d", []),
        ("init tr", ["train.ipynb", "train.sh"][:1]),
        ("show --cs", ["--csv"]),
        ("nosuch ", []),
        ("sta", ["status", "stage"]),
        ("stage li", ["list"]),
        ("help stage li", ["list"]),
        ("stage list --na", ["--name-only", "--names-only"]),
        ("stage list pre", ["prepare"]),
        ("stage nosuch ", []),
    ],
)
def test_what_tab_offers(line: str, found: list[str], project: Path) -> None:
    assert offered(line, project) == found


def test_a_verb_alone_offers_its_values_before_its_options(project: Path) -> None:
    found = offered("apply ", project)
    assert found[:2] == ["dusty-crow", "mauve-pike"]
    assert set(FLAGS) < set(found)


def test_the_runs_of_the_cache_are_offered_newest_first(
    project: Path, nbexp_cli: Callable[..., Any]
) -> None:
    nbexp_cli("run", "-n", "first", cwd=project)
    found = dict(completion.offers(["cache", "show"], "", project))
    assert next(key for key, kind in found.items() if kind.startswith("run of ")) == "03c147f"
    assert offered("cache restore 03", project) == ["03c147f"]
    assert offered("cache pro", project) == ["promote"]
    assert offered("cache --orphans --stage tr", project) == ["train"]


def test_what_is_in_the_trash_is_offered_where_it_comes_back(
    project: Path, git: Callable[..., str]
) -> None:
    assert offered("trash restore go", project) == []
    ref = f"refs/nbexp/trash/aa/{'b' * 38}/gone/{'c' * 12}-1700000000"
    git("update-ref", ref, "HEAD", cwd=project)
    assert offered("trash restore go", project) == ["gone"]
    assert offered("apply go", project) == []


def test_params_carry_the_value_they_have_now(project: Path) -> None:
    found = dict(completion.offers(["run", "-S"], "tr", project))
    assert found == {"train.lr=": "now 0.1", "train.epochs=": "now 3"}


def test_an_edited_params_file_is_read_anew(project: Path) -> None:
    completion.offers(["run", "-S"], "", project)
    (project / "params.yaml").write_text("train:\n  momentum: 0.95\n")
    assert offered("run -S ", project)[0] == "train.momentum="


def test_a_params_file_that_cannot_be_read_offers_nothing(project: Path) -> None:
    (project / "params.yaml").write_text("a: [1\n")
    assert offered("run -S t", project) == []


def test_outside_of_a_project_verbs_and_notebooks_are_offered(tmp_path: Path) -> None:
    (tmp_path / "train.ipynb").write_text("{}")
    (tmp_path / "notes.txt").write_text("")
    assert offered("ini", tmp_path) == ["init"]
    assert offered("init ", tmp_path)[0] == "train.ipynb"
    assert offered("apply x", tmp_path) == []


def test_no_git_process_is_started(project: Path, count_git: Any) -> None:
    assert offered("apply ma", project) == ["mauve-pike"]
    assert offered("run -S tr", project) != []
    assert len(count_git) == 0
