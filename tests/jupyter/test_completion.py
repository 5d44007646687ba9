from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import CompletionContext, has_any_completions

from nbexp import commands
from nbexp.jupyter import candidates, cell_magic, completion, words

FLAGS = ["--help", "--quiet", "--verbose", "--cd"]
# What is free: a number, a time, a text, a new thing's name.
FREE = frozenset(
    "N TEXT TIME X MB SECONDS BYTES YYYY-MM-DD ENCODING TAG NEW KEY=VALUE NAME=VALUE VALUE COMMAND options".split()
)
FREE_PLACES = {
    "cache promote name",
    "cache list name",
    "lab options",
    "notebook allow",
    "queue add name",
    "remote add name",
    "rename name",
    "stage add name",
}


@pytest.fixture
def project(pipeline_project: Callable[..., Path], git: Callable[..., str]) -> Path:
    root = pipeline_project()
    head = git("rev-parse", "HEAD", cwd=root)
    for name in ("dusty-crow", "mauve-pike", "try-1", "try-2"):
        git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", head, cwd=root)
    git("remote", "add", "origin", "../origin.git", cwd=root)
    git("tag", "v1.0", cwd=root)
    (root / "train.ipynb").write_text("{}")
    (root / "old.csv").write_text("name,lr,acc\n")
    (root / "other.json").write_text('{"depth": 3, "shuffle": true}')
    (root / "metrics.json").write_text('{"acc": 0.9, "steps": {"last": 3}}')
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(
        text.replace("    params:\n", "    params:\n    - other.json:\n", 1)
    )
    (root / ".dvc" / "config").write_text("['remote \"store\"']\n    url = ../store\n")
    return root


def offered(line: str, here: Path) -> list[str]:
    typing = words.typing(line)
    head, found = completion.offers(typing.before, typing.word, here)
    return [head + text for text, _ in found]


def kinds(line: str, here: Path) -> dict[str, str]:
    """What is offered in the place of the end of the line, with its kind."""
    typing = words.typing(line)
    return dict(completion.offers(typing.before, typing.word, here)[1])


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
        ("run -Strain.l", ["-Strain.lr="]),
        ("run -S 'train.l", ["train.lr="]),
        ("run -S train.lr=0.5,", ["train.lr=0.5,0.1"]),
        ("run -S train.lr=0.1,", []),
        ("run -S seed=1 -S tr", ["train.lr=", "train.epochs="]),
        ("run -S other.json:de", ["other.json:depth="]),
        ("run -S oth", ["other.json:"]),
        ("run -S other.json:shuffle=", ["other.json:shuffle=true", "other.json:shuffle=false"]),
        ("run -m tr", []),
        ("run -n try", ["try-3", "try-1", "try-2"]),
        ("run --temp --te", []),
        ("run --queue --base", ["--baseline"]),
        ("run --baseline v1", ["v1.0"]),
        ("run --resume try", ["try-1", "try-2"]),
        ("show --sort-by ac", ["acc"]),
        ("show --sort-by acc,train.l", ["acc,train.lr"]),
        ("show --sort-by -ac", ["-acc"]),
        ("show --group-by train.lr,tr", ["train.lr,train.epochs"]),
        ("show --sort-order ", ["asc", "desc"]),
        ("show --sort-order=d", ["--sort-order=desc"]),
        ("show --json --cs", []),
        ("show --rev v", ["v1.0"]),
        ("show --where ac", ["acc"]),
        ('show --where "acc > 0.9 ', ["acc > 0.9 and", "acc > 0.9 or"]),
        ('show --where "acc > 0.9 and train.l', ["acc > 0.9 and train.lr"]),
        ("sweep -S train.l", ["train.lr="]),
        ("sweep --sampler ", ["grid", "optuna", "random"]),
        ("sweep --optuna x --sampler t", ["tpe"]),
        ("sweep --pruner me", ["median"]),
        ("sweep --optuna mi", ["minimize"]),
        ('sweep --optuna "maximize ac', ["maximize acc"]),
        ("sweep --maximize ac", ["acc"]),
        ("report try-1 --fail-under ac", ["acc="]),
        ("queue st", ["start", "status", "stop"]),
        ("plot ac", ["acc"]),
        ("plot scat", ["scatter"]),
        ("plot train.l", ["train.lr"]),
        ("plot acc du", ["dusty-crow"]),
        ("plot acc --kind scatter,par", ["scatter,parallel"]),
        ("queue nosuch ", []),
        ("branch mauve-pike ma", ["mauve-pike-branch"]),
        ("data push -r st", ["store"]),
        ("data push mod", ["model.txt"]),
        ("remote modify store jo", ["jobs"]),
        ("config core.rem", ["core.remote"]),
        ("get HEAD mod", ["model.txt"]),
        ("undo --nu", ["--num"]),
        ("plots show plots/ac", ["plots/acc.csv"]),
        ("plots diff mauve-pike w", ["workspace"]),
        ("plots diff --targets plots/ac", ["plots/acc.csv"]),
        ("plots show -t sca", ["scatter", "scatter_jitter"]),
        ("plots templates sim", ["simple"]),
        ("plots modify plots/acc.csv --unset tem", ["template"]),
        ("metrics show --al", ["--all-branches", "--all-tags", "--all-commits"]),
        ("run -S ~train.l", ["~train.lr"]),
        ("run -S ++train.l", ["++train.lr="]),
        ("run -S +train.l", []),
        ("run -S params.yaml:train.l", ["params.yaml:train.lr="]),
        ("run pre", ["prepare"]),
        ("run prepare tr", ["train"]),
        ("run -n prepare pre", ["prepare"]),
        ("apply ma", ["mauve-pike"]),
        ('apply "ma', ["mauve-pike"]),
        ("apply dusty-crow ma", []),
        ("import csv old.csv --metric ac", ["acc"]),
        ("push o", ["origin"]),
        ("push d", ["dusty-crow"]),
        ("pull origin ma", ["mauve-pike"]),
        ("list o", ["origin"]),
        ("remove -g ", ["origin"]),
        ("diff d", ["dusty-crow"]),
        ("diff dusty-crow ma", ["mauve-pike", "main"]),
        ("diff dusty-crow v", ["v1.0"]),
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
    assert found[:4] == ["dusty-crow", "mauve-pike", "try-1", "try-2"]
    assert set(FLAGS) < set(found)


def test_the_runs_of_the_cache_are_offered_newest_first(
    project: Path, nbexp_cli: Callable[..., Any]
) -> None:
    nbexp_cli("run", "-n", "first", cwd=project)
    found = kinds("cache show ", project)
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
    assert kinds("run -S tr", project) == {"train.lr=": "now 0.1", "train.epochs=": "now 3"}
    assert kinds("run -S train.lr=", project) == {"0.1": "present value"}


def test_values_that_were_tried_are_offered_with_where(
    project: Path, nbexp_cli: Callable[..., Any]
) -> None:
    nbexp_cli("run", "--queue", "-S", "train.lr=0.5", "-n", "big-steps", cwd=project)
    assert kinds("run -S train.lr=", project) == {
        "0.1": "present value",
        "0.5": "tried in big-steps",
    }
    assert kinds("queue run ", project)["big-steps"] == "queued"
    assert kinds("stop b", project) == {"big-steps": "queued"}
    assert offered("queue kill b", project) == []


def test_each_item_of_a_foreach_is_a_stage_to_run(project: Path) -> None:
    (project / "dvc.yaml").write_text(
        "stages:\n  fit:\n    foreach: [a, b]\n    do:\n      cmd: echo ${item}\n  last:\n    cmd: x\n"
    )
    assert offered("run f", project) == ["fit@a", "fit@b"]


def test_saved_views_of_the_panel_are_offered(project: Path) -> None:
    path = project / ".dvc" / "tmp" / "nbexp" / "views.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"best": {"where": "acc > 0.9"}}')
    assert kinds("show -i --view ", project) == {"best": "saved view"}


def test_what_a_name_with_a_space_needs_is_typed_for_one(project: Path) -> None:
    (project / "my model.ipynb").write_text("{}")
    assert answer("%exp init my", project)[0] == ["'my model.ipynb'"]
    assert answer("%exp init 'my", project)[0] == ["my model.ipynb"]


def test_groups_of_composed_params_are_offered(project: Path) -> None:
    for name in ("big", "small"):
        path = project / "conf" / "model" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("depth: 1\n")
    with (project / ".dvc" / "config").open("a") as config:
        config.write("[hydra]\n    enabled = true\n")
    assert offered("run -S mod", project) == ["model="]
    assert kinds("run -S model=", project) == {"big": "option", "small": "option"}


# ---- in a shell


def answer(cell: str, here: Path, limit: int | None = None) -> tuple[list[str], str, bool]:
    """The texts for the end of a cell, what they replace, and whether IPython's own are kept out."""
    lines = cell.split("\n")
    context = CompletionContext(
        token="", full_text=cell, cursor_position=len(lines[-1]), cursor_line=len(lines) - 1, limit=limit
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        found = completion.matcher(context)
    return (
        [one.text for one in found["completions"]],
        found.get("matched_fragment", ""),
        bool(found.get("suppress")) and has_any_completions(found),
    )


@pytest.mark.parametrize(
    ("cell", "texts", "fragment"),
    [
        ("%exp ru", ["run"], "ru"),
        ("x = %exp run -S tr", ["train.lr=", "train.epochs="], "tr"),
        ("a, b = %exp ru", ["run"], "ru"),
        ("1 + 1\n%exp apply ma", ["mauve-pike"], "ma"),
        ("%exp run \\\n  -S see", ["seed="], "see"),
        ('%exp apply "ma', ["mauve-pike"], "ma"),
        ("%exp show --sort-by acc,se", ["seed"], "se"),
        ("%exp run --set-param=see", ["seed="], "see"),
        ("é = %exp apply ma", ["mauve-pike"], "ma"),
        # Nothing fits, and IPython's guesses would be wrong.
        ("%exp apply nosuch", [], "nosuch"),
        ("%exp run -m pri", [], "pri"),
        ("%exp run # pri", [], ""),
    ],
)
def test_only_what_fits_is_offered_in_a_line_with_exp(
    cell: str, texts: list[str], fragment: str, project: Path
) -> None:
    assert answer(cell, project) == (texts, fragment, True)


@pytest.mark.parametrize(
    "cell", ["pri", "%experiment ru", "x = exp", "%exp run -S train.lr={pri", "%exp run\npri"]
)
def test_other_lines_and_python_in_braces_are_ipythons(cell: str, project: Path) -> None:
    assert answer(cell, project) == ([], "", False)


def test_columns_of_plots_are_those_of_the_files_named_or_listed(project: Path) -> None:
    (project / "plots").mkdir(exist_ok=True)
    (project / "plots" / "acc.csv").write_text("step,acc\n1,2\n")
    (project / "more.json").write_text('[{"epoch": 1, "loss": 2}]')
    assert offered("plots show -x ", project)[:2] == ["step", "acc"]
    assert offered("plots show more.json -y ", project)[:2] == ["epoch", "loss"]


def test_ten_thousand_experiments_are_no_wait(project: Path, git: Callable[..., str]) -> None:
    head = git("rev-parse", "HEAD", cwd=project)
    folder = project / ".git" / "refs" / "exps" / head[:2] / head[2:]
    for number in range(5_000):
        (folder / f"loose-{number}").write_text(f"{head}\n")
    with (project / ".git" / "packed-refs").open("a") as packed:
        packed.writelines(
            f"{head} refs/exps/{head[:2]}/{head[2:]}/packed-{number:04}\n"
            for number in range(5_000)
        )
    assert len(offered("apply ", project)) > 10_000
    took_s = []
    for _ in range(3):
        started_s = time.monotonic()
        assert offered("apply packed-498", project)[0] == "packed-4980"
        assert len(answer("%exp apply l", project, 500)[0]) == 500
        took_s.append(time.monotonic() - started_s)
    assert min(took_s) < 0.5
    # What was removed and added since is seen.
    (folder / "loose-1").unlink()
    (folder / "loose-x").write_text(f"{head}\n")
    assert offered("apply loose-x", project) == ["loose-x"]
    assert "loose-1" not in offered("apply loose-1", project)


def test_every_value_of_every_option_is_offered_or_free() -> None:
    unknown = set()
    for verb in commands.all_names():
        for action in commands.parser(verb)._actions:
            name = action.metavar or action.dest
            takes = action.nargs != 0 and action.help != argparse.SUPPRESS
            place = f"{verb} {action.dest}"
            if takes and name not in FREE and place not in FREE_PLACES and action.dest != "message":
                unknown |= set() if candidates.is_known(verb, action) else {f"{place} ({name})"}
    assert unknown == set()


def test_no_place_is_listed_that_no_verb_has() -> None:
    there = {
        f"{verb} {action.dest}"
        for verb in commands.all_names()
        for action in commands.parser(verb)._actions
    }
    there |= {f"%%exp {action.dest}" for action in cell_magic.parser()._actions}
    assert set(candidates._BY_PLACE) - there == set()


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
