"""Which files are stages, and which are not, with the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nbexp import events
from nbexp.pipeline import detection
from nbexp.pipeline.detection import Proposal

WRITES = "open('{}', 'w').write('1')\n"


def propose(
    folder: Path, files: Mapping[str, str] | None = None, *, traced: bool = False
) -> Proposal:
    for name, text in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return detection.propose(folder, events.ignore, traced=traced)


def test_what_is_no_stage_says_why(tmp_path):
    found = propose(
        tmp_path,
        {
            "a.py": WRITES.format("a"),
            "b.py": "open('a').read()\nopen('b', 'w')\n",
            "all.py": "import subprocess\nsubprocess.run(['python', 'a.py'])\nsubprocess.run(['python', 'b.py'])\n",
            "app.py": "import flask\napp = flask.Flask('x')\nopen('log.txt', 'w')\n",
            "look.py": "print(open('b').read())\n",
            "words.py": "import sys\nopen(sys.argv[1], 'w').write('1')\n",
            "tests/test_a.py": WRITES.format("t"),
            "setup.py": WRITES.format("s"),
            "library.py": "def f():\n    open('never', 'w')\n",
        },
    )
    assert [stage.name for stage in found.stages] == ["a", "b"]
    assert dict(found.left_out) == {
        "all.py": "it runs a.py, b.py: stages of their own",
        "app.py": "it imports flask: a program that waits for its users is no stage",
        "look.py": "it writes no file of the project",
        "words.py": (
            "it needs words behind its name; a line in Makefile, run.sh or README.md would tell them"
        ),
    }


def test_a_line_in_the_readme_tells_the_words(tmp_path):
    (tmp_path / "README.md").write_text("Run it:\n\n```bash\n$ python words.py out.txt 3\n```\n")
    found = propose(
        tmp_path, {"words.py": "import sys\nopen(sys.argv[1], 'w').write(sys.argv[2])\n"}
    )
    assert [stage.cmd for stage in found.stages] == ["python words.py out.txt 3"]
    assert [entry.name for entry in found.stages[0].outs] == ["out.txt"]


def test_a_file_that_two_write_has_one_stage(tmp_path):
    found = propose(
        tmp_path,
        {"one.py": WRITES.format("x"), "two.py": WRITES.format("x") + WRITES.format("y")},
    )
    assert {stage.name: [e.path for e in stage.outs] for stage in found.stages} == {
        "one": ["x"],
        "two": ["y"],
    }
    assert found.notes == ("two.py writes x as well as one.py; an output has one stage.",)


def test_stages_of_dvc_yaml_are_left_alone(tmp_path):
    (tmp_path / "dvc.yaml").write_text("stages:\n  a:\n    cmd: python a.py\n    outs:\n    - a\n")
    found = propose(tmp_path, {"a.py": WRITES.format("a"), "b.py": WRITES.format("b")})
    assert [stage.name for stage in found.stages] == ["b"]
    assert found.left_out == (("a.py", "a stage of dvc.yaml runs it"),)


def test_equal_names_get_their_folders(tmp_path):
    found = propose(tmp_path, {"x/train.py": WRITES.format("a"), "y/train.py": WRITES.format("b")})
    assert [stage.name for stage in found.stages] == ["x-train", "y-train"]


def test_an_output_that_git_tracks_stays_there(tmp_path, git):
    git("init", "--quiet", cwd=tmp_path)
    (tmp_path / "a").write_text("1")
    git("add", "a", cwd=tmp_path)
    found = propose(tmp_path, {"a.py": WRITES.format("a")})
    assert found.stages[0].definition()["outs"] == [{"a": {"cache": False}}]


def test_logs_and_caches_are_no_outputs(tmp_path):
    code = "".join(
        WRITES.format(p) for p in ("run.log", "logs/x.txt", "mlruns/0/m", "a.csv", "__pycache__/q")
    )
    found = propose(tmp_path, {"a.py": code})
    assert [entry.path for entry in found.stages[0].outs] == ["a.csv"]


def test_modules_in_src_are_found_by_the_command(tmp_path):
    files = {
        "src/tools/__init__.py": "",
        "src/tools/io.py": "def put(p):\n    open(p, 'w').write('1')\n",
        "steps/make.py": "from tools.io import put\nput('made.txt')\n",
    }
    (stage,) = propose(tmp_path, files).stages
    assert stage.cmd == "PYTHONPATH=src python steps/make.py"
    (tmp_path / "setup.py").write_text("")
    (stage,) = propose(tmp_path).stages
    assert stage.cmd == "python steps/make.py"
    traced = propose(tmp_path, traced=True)
    assert [one.is_traced for one in traced.stages] == [True]


def test_modules_beside_the_root_make_it_a_module(tmp_path):
    files = {
        "lib.py": "def put(p):\n    open(p, 'w').write('1')\n",
        "steps/make.py": "from lib import put\nput('made.txt')\n",
    }
    (stage,) = propose(tmp_path, files).stages
    assert stage.cmd == "python -m steps.make"
    assert [entry.path for entry in stage.deps] == ["lib.py"]


def test_drafts_beside_a_pipeline_are_neither_stages_nor_run(tmp_path):
    book = {
        "cells": [
            {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": code}
            for code in ("open('../made-by-draft', 'w')",)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip
    files = {
        "a.py": WRITES.format("a"),
        "b.py": "open('a').read()\nopen('b', 'w')\n",
        "notebooks/try.ipynb": json.dumps(book),
    }
    found = propose(tmp_path, files)
    assert [stage.name for stage in found.stages] == ["a", "b"]
    assert found.left_out == (
        ("notebooks/try.ipynb", "a notebook beside scripts that make a pipeline"),
    )
    assert found.untraced == ("a.py", "b.py")


def test_a_project_of_nothing_has_nothing(tmp_path):
    assert propose(tmp_path).stages == ()
