"""`%exp` keeps to itself: what a kernel, a terminal and a project are like after it is what they were like before."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

import nbexp
from tests.journeys.test_first_minutes import EXAMPLE, Kernel, copied, start

__all__ = ["start"]  # a fixture

# Everything of the process that libraries like to change, as JSON.
STATE = """
def _state():
    import builtins, json, locale, logging, os, signal, sys, threading, warnings
    import matplotlib, pandas, altair
    shell = get_ipython()
    loggers = logging.root.manager.loggerDict
    own = [name for name in shell.user_ns if not name.startswith("_") and name not in ("In", "Out")]
    return json.dumps({
        "names": sorted(own),
        "builtins": sorted(name for name in vars(builtins) if name != "_"),
        "path": sys.path,
        "cwd": os.getcwd(),
        "environment": dict(os.environ),
        "hooks": [repr(sys.excepthook), repr(sys.displayhook), repr(sys.stdout), repr(sys.meta_path)],
        "signals": {number.name: repr(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)},
        "logging": [logging.root.level, logging.root.manager.disable, len(logging.root.handlers), logging.raiseExceptions],
        "warnings": [repr(one) for one in warnings.filters],
        "backend": matplotlib.get_backend(),
        "rc": {key: repr(value) for key, value in matplotlib.rcParams.items()},
        "pandas": [pandas.get_option("display.max_rows"), pandas.get_option("display.max_columns")],
        "altair": altair.renderers.active,
        "locale": locale.setlocale(locale.LC_ALL),
        "threads": sorted(one.name for one in threading.enumerate() if "nbexp" in one.name),
        "events": {name: len(found) for name, found in shell.events.callbacks.items()},
        "umask": os.umask(os.umask(0)),
    }, default=repr)
"""


@pytest.mark.parametrize("notebook", ["lab.ipynb", None], ids=["watched", "headless"])
def test_a_session_leaves_the_kernel_as_it_was(
    notebook: str | None, tmp_path: Path, start: Callable[..., Kernel], git: Callable[..., str]
) -> None:
    folder = copied(tmp_path / "churn")
    kernel = start(folder, notebook)
    kernel.run("%matplotlib inline\nimport logging, warnings, pandas, altair\n" + STATE)

    def state() -> dict[str, Any]:
        text = kernel.run("print(_state())").printed
        found: dict[str, Any] = json.loads(text)
        return found

    state()  # what it imports itself is there now
    before = state()
    for cell in (
        "%load_ext nbexp",
        "%exp init train.ipynb",
        "%exp run -n first",
        "%exp run -S train.lr=0.03 -n second",
        "%exp show",
        "%exp diff first second --notebook",
        "%exp plot acc",
        "%exp dag",
        "%exp run --queue -S train.lr=0.05 -n third",
        "%exp run --run-all",
        "%exp sweep -S train.lr=0.01,0.02",
        "%exp open first",
        "%exp verify second",
    ):
        assert kernel.run(cell).status == "ok", cell
    kernel.run("%exp run -S train.nosuch=1")
    assert state() == before
    assert (folder / "lab.ipynb").read_bytes() == (EXAMPLE / "lab.ipynb").read_bytes()
    assert not list((folder / ".git").glob("hooks/*")) or all(
        path.suffix == ".sample" for path in (folder / ".git" / "hooks").iterdir()
    )
    assert git("config", "--get", "core.hooksPath", cwd=folder, code=None) == ""


def test_unloading_leaves_nothing_of_it(tmp_path: Path, start: Callable[..., Kernel]) -> None:
    kernel = start(copied(tmp_path / "churn"))
    kernel.run("%load_ext nbexp\n%exp init train.ipynb")
    assert kernel.run("%load_ext nbexp").printed == (
        "The nbexp extension is already loaded. To reload it, use:\n  %reload_ext nbexp\n"
    )
    kernel.run("%reload_ext nbexp")
    assert kernel.complete("%exp ru") == ["run"]
    kernel.run("%unload_ext nbexp")
    assert "not found" in kernel.run("%exp show").printed + kernel.run("%exp show").error
    assert "run" not in kernel.complete("%exp ru")
    assert "%exp" not in kernel.complete("%ex")
    kernel.run("%load_ext nbexp")
    assert kernel.run("%exp show").status == "ok"


def test_a_variable_called_exp_gets_into_nobodys_way(
    tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    kernel = start(copied(tmp_path / "churn"))
    kernel.run("%load_ext nbexp\n%exp init train.ipynb")
    kernel.run("exp = %exp run -S train.lr=0.03 -n mine")
    assert kernel.run("exp.name").text == "'mine'"
    assert kernel.run("%exp show").html.tables
    assert kernel.complete("exp = %exp apply mi") == ["mine"]


def test_a_line_of_a_cell_is_read_as_the_documentation_says(
    tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    kernel = start(copied(tmp_path / "churn"))
    kernel.run("%load_ext nbexp\n%exp init train.ipynb")
    kernel.run("%exp run -q -n first\nlr, grid, train = 0.03, [0.01, 0.05], 3")
    plans = {
        "%exp plan -S train.lr={lr}": "0.1 -> 0.03",
        "%exp plan -S train.lr={lr * 2}  # twice": "0.1 -> 0.06",
        "%exp plan -S train.lr={grid[0]}": "0.1 -> 0.01",
        "%exp plan \\\n  -S train.lr=0.07": "0.1 -> 0.07",
    }
    for cell, said in plans.items():
        assert said in kernel.run(cell).text, cell
    for cell, said in {
        "%exp run -S train.lr={nosuch}": "there is no variable `nosuch` in this notebook",
        "%exp run -S train.lr={1/0}": "has no value: ZeroDivisionError",
        "%exp rnu": "did you mean `%exp run`?",
        "%exp run --quue": "did you mean `--queue`?",
        "%exp queue strat": "did you mean `%exp queue start`?",
        "%exp apply frist": "There is no experiment `frist`",
        "%exp diff $train HEAD": "`$train`",
    }.items():
        answer = kernel.run(cell)
        assert answer.status == "error" and said in answer.error, (cell, answer.error)
        assert "Traceback" not in answer.error and len(answer.error.splitlines()) <= 2
    # None of them made an experiment.
    assert kernel.run("%exp list --name-only").text == "first"


def test_quiet_and_captured_cells_show_nothing(
    tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    kernel = start(copied(tmp_path / "churn"), "lab.ipynb")
    kernel.run("%load_ext nbexp\n%exp init train.ipynb")
    for cell in (
        "%exp run -q",
        "%exp show;",
        "x = %exp show",
        "%%capture out\n%exp run -S train.lr=0.03",
    ):
        answer = kernel.run(cell)
        assert (answer.printed, answer.displays, answer.result) == ("", {}, {}), cell
    assert kernel.run("len(out.outputs) > 0").text == "True"
    assert kernel.run("x.to_frame().shape[0]").text == "3"


def test_text_has_no_colour_and_no_carriage_return_where_nobody_looks_on(
    tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    kernel = start(copied(tmp_path / "churn"))
    kernel.run("%load_ext nbexp\n%exp init train.ipynb")
    for cell in (
        "%exp run -S train.epochs=60",
        "%exp sweep -S train.lr=0.01,0.02,0.03",
        "%exp show",
    ):
        answer = kernel.run(cell)
        assert "\r" not in answer.printed and "\x1b" not in answer.printed
        assert len(answer.printed.splitlines()) < 20, answer.printed
        assert all(len(states) == 1 for states in answer.displays.values())
        for shown in [*(states[-1] for states in answer.displays.values()), answer.result]:
            assert "\x1b" not in str(shown.get("text/plain", ""))
            assert not any("widget" in kind for kind in shown)


# ---- the line that made it


@pytest.mark.parametrize(
    ("cells", "name", "line"),
    [
        (["%exp run -S train.lr=0.03 -n low"], "low", "%exp run -S train.lr=0.03 -n low"),
        (
            ["lr = 0.03", "x = %exp run -S train.lr={lr} -n low  # why"],
            "low",
            "%exp run -S train.lr=0.03 -n low",
        ),
        (
            ["%exp run --queue -S train.lr=0.03 -n low", "%exp run --run-all"],
            "low",
            "%exp run -S train.lr=0.03 -n low",
        ),
        (
            ["%exp run --temp -S train.lr=0.03 -n low"],
            "low",
            "%exp run -S train.lr=0.03 -n low --temp",
        ),
        (
            ["%exp run -n first", "%exp clone first -S train.lr=0.03 -n low"],
            "low",
            "%exp clone first -S train.lr=0.03 -n low",
        ),
        (["%exp run -n first", "%exp rerun first -n low"], "low", "%exp rerun first -n low"),
        (
            ["%exp run -n first", "open('metrics.json', 'a').write(' ')", "%exp save -n low"],
            "low",
            "%exp save -n low",
        ),
        (
            ["%exp sweep -S train.lr=0.03,0.05 -n low"],
            "low-1",
            "%exp run -S train.lr=0.03 -n low-1",
        ),
    ],
)
def test_an_experiment_knows_the_line_that_made_it(
    cells: list[str], name: str, line: str, tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    kernel = start(copied(tmp_path / "churn"))
    kernel.run("%load_ext nbexp\n%exp init train.ipynb")
    for cell in cells:
        assert kernel.run(cell).status == "ok", cell
    kernel.run(f"found = %exp note {name}")
    said = kernel.run("print(found.run['magic'], '|', found.run['command'])").printed.strip()
    assert said.startswith(line), said
    assert said.partition(" | ")[2].startswith(line.replace("%exp", "nbexp"))


# ---- IPython in a terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[pexpect.spawn[str]]:
    """`ipython` in a pseudo-terminal, in a folder with the first notebook."""
    folder = copied(tmp_path / "churn")
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    child = pexpect.spawn(
        sys.executable,
        [
            "-m",
            "IPython",
            "--no-banner",
            "--no-confirm-exit",
            "--colors=nocolor",
            "--simple-prompt",
        ],
        cwd=str(folder),
        env=env,
        encoding="utf-8",
        timeout=120,
        dimensions=(50, 200),
    )
    child.setecho(False)
    child.expect(r"In \[1\]: ")
    yield child
    child.close(force=True)


def _typed(terminal: pexpect.spawn[str], line: str) -> str:
    terminal.sendline(line)
    terminal.expect(r"In \[\d+\]: ")
    return str(terminal.before).replace("\r\n", "\n").removeprefix(f"{line}\n")


def test_in_a_terminal_results_are_text(terminal: pexpect.spawn[str]) -> None:
    assert "no project here yet. Next: %exp init train.ipynb" in _typed(terminal, "%load_ext nbexp")
    assert "baseline" in _typed(terminal, "%exp init train.ipynb")
    ran = _typed(terminal, "%exp run -S train.lr=0.03 -n low")
    assert re.search(r"low   done in \d+\.\d s", ran) and "acc" in ran
    assert "\x1b" not in ran
    shown = _typed(terminal, "%exp show")
    assert (
        re.search(r"^experiment +created +acc", shown.partition("Out")[2] or shown, re.MULTILINE)
        or "experiment" in shown
    )
    assert "<div" not in shown and "<table" not in shown
    mistake = _typed(terminal, "%exp run -S train.lrr=1")
    assert "No param `train.lrr` in params.yaml" in mistake and "Traceback" not in mistake
    assert "%exp run -S train.lr=0.01" in _typed(terminal, "%exp run -h")
    assert "acc by step" in _typed(terminal, "%exp plot acc")


# ---- notebooks in notebooks


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """A notebook that makes a project of its folder and runs an experiment; papermill gives it `lr`."""
    folder = copied(tmp_path / "outer")
    cells = [
        ("lr = 0.1", ["parameters"]),
        ("%load_ext nbexp", []),
        ("%exp init train.ipynb", []),
        ("e = %exp run -S train.lr={lr} -n inner", []),
        ("print(e.metrics['acc'])", []),
        ("%exp show", []),
    ]
    book = {
        "cells": [
            {
                "cell_type": "code",
                "id": f"c{n}",
                "metadata": {"tags": tags},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for n, (source, tags) in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (folder / "outer.ipynb").write_text(json.dumps(book))
    return folder


@pytest.mark.parametrize(
    ("command", "acc"),
    [
        ("papermill outer.ipynb out.ipynb -p lr 0.03", "0.945"),
        ("jupyter execute outer.ipynb --output=out.ipynb", "0.875"),
        ("jupyter nbconvert --to notebook --execute outer.ipynb --output out.ipynb", "0.875"),
        ("nbexp notebook outer.ipynb out.ipynb", "0.875"),
    ],
)
def test_a_notebook_that_runs_experiments_is_executed_headless(
    command: str, acc: str, outer: Path
) -> None:
    program, *words = command.split()
    subprocess.run(
        [Path(sys.executable).parent / program, *words], cwd=outer, check=True, capture_output=True
    )
    book = json.loads((outer / "out.ipynb").read_text())
    outputs = [one for cell in book["cells"] for one in cell["outputs"]]
    printed = "".join("".join(one.get("text", "")) for one in outputs)
    assert acc in printed.splitlines()
    assert "\r" not in printed and re.search(r"train  done in \d+\.\d s \(3 cells\)", printed)
    assert not any("widget" in kind for one in outputs for kind in one.get("data", {}))
    assert any("<table" in "".join(one.get("data", {}).get("text/html", "")) for one in outputs)


def test_a_notebook_that_runs_experiments_is_a_stage_itself(
    outer: Path, tmp_path: Path, nbexp_cli: Any, dvc: Any
) -> None:
    """The outer project's stage is a notebook whose cells run experiments of another project."""
    inner = outer / "study"
    inner.mkdir()
    shutil.move(outer / "train.ipynb", inner)
    book = json.loads((outer / "outer.ipynb").read_text())
    book["cells"][1]["source"] = "%load_ext nbexp\n%cd -q study"
    (outer / "outer.ipynb").write_text(json.dumps(book))
    (outer / ".gitignore").write_text("/study\n")
    subprocess.run(["git", "init", "-q", "study"], cwd=outer, check=True)
    nbexp_cli("init", "outer.ipynb", cwd=outer)
    done = json.loads(
        nbexp_cli("run", "-S", "outer.lr=0.03", "-n", "around", "--json", cwd=outer).stdout
    )
    assert (done["status"], done["params"]) == ("done", {"outer.lr": 0.03})
    names = nbexp_cli("list", "--name-only", cwd=outer).stdout.split()
    assert names == ["around"]
    assert nbexp_cli("list", "--name-only", cwd=inner).stdout.split() == ["inner"]
    assert nbexp.open(inner)["inner"].metrics["acc"] == 0.945
