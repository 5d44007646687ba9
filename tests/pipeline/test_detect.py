from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbexp.pipeline import detect


def write(path: Path, *cells: str, tagged: bool = False) -> Path:
    """A notebook of code cells, or a script; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".py":
        path.write_text("\n".join(cells))
        return path
    made = [
        {
            "cell_type": "code",
            "metadata": {"tags": ["parameters"]} if tagged and not number else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(cells)
    ]
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    return path


def metrics(tmp_path: Path, *cells: str) -> list[tuple[str, str]]:
    found = detect.inspect(write(tmp_path / "a.ipynb", *cells), tmp_path)
    return [(item.path, str(item.place)) for item in found.metrics]


def series(tmp_path: Path, *cells: str) -> list[tuple[str, str]]:
    found = detect.inspect(write(tmp_path / "a.ipynb", *cells), tmp_path)
    return [(item.name, str(item.place)) for item in found.live]


def test_the_first_notebook_is_told_as_init_shows_it(tmp_path: Path) -> None:
    found = detect.inspect(
        write(
            tmp_path / "train.ipynb",
            "lr = 0.1\nepochs = 10\nseed = 0",
            "import json, time\nfrom nbexp import live\n"
            "for step in range(1, epochs + 1):\n    live.log(step=step, acc=round(0.5, 4))",
            'json.dump({"acc": 1}, open("metrics.json", "w"))',
            tagged=True,
        ),
        tmp_path,
    )
    items = [(item.name, item.value, item.type) for item in found.parameters.items]
    assert items == [("lr", 0.1, "float"), ("epochs", 10, "int"), ("seed", 0, "int")]
    assert found.parameters.tagged
    assert [(item.path, str(item.place)) for item in found.metrics] == [("metrics.json", "cell 3")]
    assert [(item.name, str(item.place)) for item in found.live] == [("acc", "cell 2")]
    assert found.modules == ()


@pytest.mark.parametrize(
    "source",
    [
        'json.dump(m, open("metrics.json", "w"))',
        'with open("metrics.json", mode="wt") as f:\n    json.dump(m, f)',
        'Path("metrics.json").write_text(json.dumps(m))',
        'pathlib.Path("./metrics.json").write_bytes(b"")',
        'with Path("metrics.json").open("w") as f:\n    f.write("")',
        'pd.Series(m).to_json("metrics.json")',
        'name = "metrics.json"\nwith open(name, "w") as f: ...',
        'out = Path()\n(out / "metrics.json").write_text("")',
        'def save(m):\n    open("metrics.json", "w").write(m)',
    ],
)
def test_a_metrics_file_is_found_however_it_is_written(tmp_path: Path, source: str) -> None:
    assert metrics(tmp_path, "x = 1", f"%matplotlib inline\n{source}") == [
        ("metrics.json", "cell 2")
    ]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ('open("out/test_scores.yaml", "w")', "out/test_scores.yaml"),
        ('D = Path("out")\n(D / "eval" / "results.json").write_text("")', "out/eval/results.json"),
        ('open(os.path.join("out", "Metrics.json"), "w")', "out/Metrics.json"),
    ],
)
def test_names_and_folders_are_put_together(tmp_path: Path, source: str, path: str) -> None:
    assert metrics(tmp_path, source) == [(path, "cell 1")]


@pytest.mark.parametrize(
    "source",
    [
        'json.load(open("metrics.json"))',
        'open("metrics.json", "r")',
        'open("config.json", "w")',
        'open("metrics.txt", "w")',
        'open("/tmp/metrics.json", "w")',
        'open("../metrics.json", "w")',
        'open(f"metrics-{n}.json", "w")',
        'for name in ("a", "b"):\n    p = name + "metrics.json"\n    open(p, "w")',
        '# open("metrics.json", "w")',
        "%%bash\necho > metrics.json",
    ],
)
def test_what_is_not_surely_a_metrics_file_is_left_out(tmp_path: Path, source: str) -> None:
    assert metrics(tmp_path, source) == []


def test_a_metrics_file_of_a_module_is_placed_there(tmp_path: Path) -> None:
    write(tmp_path / "report.py", 'def save():\n    open("metrics.json", "w")')
    assert metrics(tmp_path, "import report") == [("metrics.json", "report.py")]


@pytest.mark.parametrize(
    "source",
    [
        "from nbexp import live\nlive.log(step=1, acc=1)",
        "from nbexp import live as board\nboard.log(acc=1)",
        "from nbexp.live import log\nlog(acc=1)",
        "import nbexp\nnbexp.live.log(acc=1)",
        "import nbexp.live as l\nl.log({'acc': 1}, step=2)",
        "import nbexp.live\nnbexp.live.log(**{'acc': 1})",
    ],
)
def test_a_series_is_found_under_any_name_of_the_module(tmp_path: Path, source: str) -> None:
    assert series(tmp_path, source) == [("acc", "cell 1")]


def test_an_import_in_one_cell_serves_the_others(tmp_path: Path) -> None:
    cells = (
        "from nbexp import live",
        "live.log({'train/loss': 1}, step=1, acc=2)",
        "live.log(acc=1)",
    )
    assert series(tmp_path, *cells) == [("acc", "cell 2"), ("train/loss", "cell 2")]


def test_another_log_is_no_series(tmp_path: Path) -> None:
    assert series(tmp_path, "import math, wandb\nmath.log(2)\nwandb.log(acc=1)\nlog(acc=2)") == []


def test_modules_are_followed_through_packages(tmp_path: Path) -> None:
    write(tmp_path / "helpers.py", "import numpy\nfrom churn.features import build")
    write(tmp_path / "churn" / "__init__.py", "from . import data")
    write(tmp_path / "churn" / "data.py", "from .sub.deep import x\nimport json")
    write(tmp_path / "churn" / "features.py", "from .data import load")
    write(tmp_path / "churn" / "sub" / "deep.py")
    write(tmp_path / "churn" / "unused.py")
    book = write(tmp_path / "train.ipynb", "import os, helpers", "x = 1")
    assert detect.imports(book, tmp_path) == (
        "churn/__init__.py",
        "churn/data.py",
        "churn/features.py",
        "churn/sub/deep.py",
        "helpers.py",
    )


def test_modules_that_import_each_other_end(tmp_path: Path) -> None:
    write(tmp_path / "a.py", "import b")
    write(tmp_path / "b.py", "import a")
    assert detect.imports(tmp_path / "a.py", tmp_path) == ("b.py",)


@pytest.mark.parametrize(
    "source",
    [
        "from helpers import f",
        "import helpers as h",
        "try:\n    import helpers\nexcept ImportError:\n    pass",
        "def f():\n    import helpers",
        "import importlib\nimportlib.import_module('helpers')",
        "%run helpers.py",
        "%load_ext autoreload\n%autoreload 2\nimport helpers",
    ],
)
def test_a_module_is_found_however_it_is_imported(tmp_path: Path, source: str) -> None:
    write(tmp_path / "helpers.py")
    assert detect.imports(write(tmp_path / "a.ipynb", source), tmp_path) == ("helpers.py",)


def test_modules_stand_beside_the_script_in_src_and_where_the_path_is_led(tmp_path: Path) -> None:
    write(tmp_path / "src" / "churn.py")
    write(tmp_path / "tools" / "near.py")
    write(tmp_path / "lib" / "far.py")
    write(tmp_path / "work" / "here.py")
    source = "import sys\nsys.path.insert(0, '../lib')\nimport churn, near, far, here"
    script = write(tmp_path / "tools" / "run.py", source)
    assert detect.imports(script, tmp_path, folders=[tmp_path / "work"]) == (
        "lib/far.py",
        "src/churn.py",
        "tools/near.py",
        "work/here.py",
    )


def test_the_standard_library_and_installed_packages_are_not_the_projects(tmp_path: Path) -> None:
    write(tmp_path / "random.py")
    write(tmp_path / "venv" / "lib" / "site-packages" / "own.py")
    source = "import random, numpy, sys\nsys.path.append('venv/lib/site-packages')\nimport own"
    assert detect.imports(write(tmp_path / "a.py", source), tmp_path) == ()


def test_modules_outside_of_the_root_are_not_the_projects(tmp_path: Path) -> None:
    write(tmp_path / "outside.py")
    script = write(
        tmp_path / "project" / "a.py", "import sys\nsys.path.append('..')\nimport outside"
    )
    assert detect.imports(script, tmp_path / "project") == ()


def test_a_script_that_cannot_be_read_imports_nothing(tmp_path: Path) -> None:
    broken = write(tmp_path / "a.py", "import b\nx = = 1")
    assert detect.imports(broken, tmp_path) == ()
    assert detect.imports(tmp_path / "absent.py", tmp_path) == ()
    (tmp_path / "c.ipynb").write_text("no notebook")
    assert detect.imports(tmp_path / "c.ipynb", tmp_path) == ()


def test_an_edit_is_seen(tmp_path: Path) -> None:
    write(tmp_path / "b.py")
    script = write(tmp_path / "a.py", "x = 1")
    assert detect.imports(script, tmp_path) == ()
    write(script, "import b  # now")
    assert detect.imports(script, tmp_path) == ("b.py",)


def test_the_scripts_of_a_command_line_are_found(tmp_path: Path) -> None:
    for name in ("train.py", "in.ipynb", "churn/cli.py", "tool/__main__.py", "quoted name.py"):
        write(tmp_path / name)
    line = (
        "python train.py --data absent.py && papermill in.ipynb out.ipynb; python 'quoted name.py'"
    )
    names = [path.name for path in detect.scripts(line, tmp_path)]
    assert names == ["train.py", "in.ipynb", "quoted name.py"]
    assert detect.scripts("python -m churn.cli x", tmp_path) == (tmp_path / "churn/cli.py",)
    assert detect.scripts("python -m tool", tmp_path) == (tmp_path / "tool/__main__.py",)
    assert detect.scripts("echo 'open", tmp_path) == ()
