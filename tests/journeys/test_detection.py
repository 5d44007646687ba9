"""From a folder of scripts to experiments: what `init --detect --yes` writes is what both tools run."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.terminals import on_a_terminal

Run = Callable[..., Any]
DETECTION = Path(__file__).parents[1] / "detection"
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "finding-a-pipeline.md"


def _scoring() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scoring", DETECTION / "scoring.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scoring"] = module
    spec.loader.exec_module(module)
    return module


scoring = _scoring()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Every sample, read and run once in its copy."""
    work = tmp_path_factory.mktemp("detection")
    projects = sorted(path for path in scoring.PROJECTS.iterdir() if path.is_dir())
    return [scoring.measure(project, work, traced=True) for project in projects]


def test_every_script_and_notebook_ran_in_the_copy(measured):
    problems = {
        stage.source: stage.problem
        for one in measured
        for stage in one.proposal.stages
        if not stage.is_traced
    }
    assert problems == {}


@pytest.mark.parametrize("kind", ["deps", "outs", "params", "metrics", "plots"])
def test_nine_in_ten_are_found_and_right(measured, kind):
    score = scoring.total(measured, kind)
    assert score.right >= 5, "a score of nothing says nothing"
    assert (score.precision >= 0.9, score.recall >= 0.9) == (True, True), scoring.table(measured)


def test_stages_come_in_the_order_they_run_in(measured):
    assert [one.name for one in measured if not one.order] == []


def test_the_documentation_has_the_table(measured):
    assert scoring.table(measured) in PAGE.read_text(), (
        "python tests/detection/scoring.py prints it"
    )
    explained = PAGE.read_text()
    for error in scoring.errors(measured):
        assert f"`{error}`" in explained


def project(tmp_path: Path, start: str) -> Path:
    (source,) = scoring.PROJECTS.glob(f"{start}-*")
    folder = shutil.copytree(source, tmp_path / "work")
    (folder / "truth.toml").unlink()
    return Path(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """The files of the user's and of DVC's, without what Git and the cache keep."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".git", ".dvc", "__pycache__"} & set(path.parts)
    }


@pytest.mark.parametrize(
    ("start", "param", "runs"),
    [
        ("03", "fit.degree=2", ["fit"]),
        ("05", "02-fit.degree=2", ["02-fit", "03-report"]),
        ("07", "conf/config.yml:fit.degree=2", ["2_fit", "report"]),
        ("08", None, []),
        ("10", "model.kinds.ridge.alpha=0.5", ["train", "evaluate"]),
    ],
)
def test_what_is_written_runs_under_both_tools(tmp_path, start, param, runs, nbexp_cli, dvc, git):
    folder = project(tmp_path, start)
    before = contents(folder)
    nbexp_cli("init", "--detect", "--yes", cwd=folder)
    after = contents(folder)
    assert {path for path in before if after[path] != before[path]} <= {"params.yaml"}
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message=data", cwd=folder)
    first = json.loads(nbexp_cli("run", "--json", cwd=folder).stdout)
    assert {stage["action"] for stage in first["stages"]} == {"ran"}
    assert "up to date" in dvc("repro", cwd=folder).stdout
    assert dvc("status", cwd=folder).stdout == "Data and pipelines are up to date.\n"
    if param is not None:
        second = json.loads(nbexp_cli("run", "-S", param, "--json", cwd=folder).stdout)
        ran = [stage["name"] for stage in second["stages"] if stage["action"] == "ran"]
        assert ran == runs


def test_without_consent_nothing_is_written(tmp_path, nbexp_cli):
    folder = project(tmp_path, "01")
    before = contents(folder)
    said = nbexp_cli("init", "--detect", cwd=folder).stdout
    assert "prepare.py:8 reads houses.csv" in said
    assert "Nothing is written yet: `nbexp init --detect --yes` writes this to dvc.yaml." in said
    nbexp_cli("init", "--detect", "--trace", cwd=folder)
    assert contents(folder) == before


def test_a_second_time_there_is_nothing_more_to_find(tmp_path, nbexp_cli):
    folder = project(tmp_path, "01")
    nbexp_cli("init", "--detect", "--yes", "--no-trace", cwd=folder)
    before = contents(folder)
    said = nbexp_cli("init", "--detect", "--yes", cwd=folder).stdout
    assert "No stage was found that dvc.yaml does not have. Nothing was written." in said
    assert contents(folder) == before


def test_a_new_script_becomes_one_more_stage(tmp_path, nbexp_cli):
    folder = project(tmp_path, "01")
    nbexp_cli("init", "--detect", "--yes", "--no-trace", cwd=folder)
    text = "# Mine.\n" + (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(text)
    (folder / "more.py").write_text("open('more.txt', 'w').write(open('metrics.json').read())\n")
    nbexp_cli("init", "--detect", "--yes", cwd=folder)
    assert (folder / "dvc.yaml").read_text() == text + (
        "  more:\n    cmd: python more.py\n    deps:\n    - metrics.json\n    - more.py\n"
        "    outs:\n    - more.txt\n"
    )


def test_a_script_that_fails_is_proposed_from_its_code(tmp_path, nbexp_cli):
    (tmp_path / "bad.py").write_text(
        "open('b', 'w').write(open('a').read())\nraise SystemExit('no licence')\n"
    )
    (tmp_path / "a").write_text("1")
    said = nbexp_cli("init", "--detect", "--trace", cwd=tmp_path)
    assert "deps  a  bad.py:1 reads a" in " ".join(said.stdout.split()).replace(
        "deps a", "deps  a  "
    ).replace("   ", "  ")
    assert "note: bad.py did not end well in the copy (no licence)." in said.stdout


def talk(argv: list[str], folder: Path, answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Run a program on a terminal, type each answer once its question is there; exit code and screen."""
    child, terminal = on_a_terminal(argv, folder)
    screen = ""
    left = list(answers)
    asked = 0
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            screen += data.decode("utf-8", "replace")
        if left and left[0][0] in screen[asked:]:
            asked = len(screen)
            os.write(terminal, left.pop(0)[1].encode() + b"\n")
    code = child.wait(60)
    os.close(terminal)
    assert left == [], screen
    return code, screen.replace("\r\n", "\n")


def test_on_a_terminal_both_consents_are_asked_for(tmp_path, git):
    folder = project(tmp_path, "01")
    program = [sys.executable, "-m", "nbexp.cli", "init", "--detect"]
    code, screen = talk(
        program,
        folder,
        [
            ("Run the 3 scripts once, in a copy, to see what they really open? [y/N]", "y"),
            ("Write this to dvc.yaml? [y/N]", "n"),
        ],
    )
    assert code == 0
    assert "running in a copy, 2 of 3: train.py" in screen
    assert not (folder / "dvc.yaml").exists()
    code, screen = talk(
        program,
        folder,
        [("really open? [y/N]", "n"), ("Write this to dvc.yaml? [y/N]", "y")],
    )
    assert code == 0
    assert (folder / "dvc.yaml").exists()
    assert git("log", "--format=%s", cwd=folder) == "nbexp: track prepare, train, evaluate"
    assert git("status", "--porcelain", cwd=folder) == "?? README.md\n?? houses.csv"


def test_seven_questions_on_a_terminal(tmp_path):
    code, screen = talk(
        [sys.executable, "-m", "nbexp.cli", "init", "-i"],
        tmp_path,
        [
            ("Command to run: ", "python src/train.py"),
            ("Code, a file or folder [src, n to omit]: ", ""),
            ("Data, a file or folder [data, n to omit]: ", "raw"),
            ("Model, a file or folder [models, n to omit]: ", "model.pkl"),
            ("Params file [params.yaml, n to omit]: ", ""),
            ("Metrics file [metrics.json, n to omit]: ", ""),
            ("Plots, a file or folder [plots, n to omit]: ", "n"),
        ],
    )
    assert code == 0
    for line in (
        "├── data",
        "├── metrics.json",
        "├── models",
        "├── params.yaml",
        "├── plots",
        "└── src",
    ):
        assert line in screen
    assert (tmp_path / "dvc.yaml").read_text() == (
        "stages:\n"
        "  train:\n"
        "    cmd: python src/train.py\n"
        "    deps:\n"
        "    - raw\n"
        "    - src\n"
        "    params:\n"
        "    - params.yaml:\n"
        "    outs:\n"
        "    - model.pkl\n"
        "    metrics:\n"
        "    - metrics.json:\n"
        "        cache: false\n"
    )
