"""`nbexp.Live` beside dvclive: the same calls leave the same files, the same experiment, the same index."""

from __future__ import annotations

import inspect
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import nbexp
from nbexp import Live
from nbexp.events import Event, MetricLogged

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, RunProgram, Twins

ROOT = Path(__file__).resolve().parents[2]
DVC_PYTHON = ROOT / ".venv-dvc" / "bin" / "python"
# dvclive's environment has no numpy and scikit-learn of its own; it has nothing that it could not read of ours.
PACKAGES = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))

START = """\
import importlib, os, sys
sys.path.extend(os.environ["PACKAGES"].split(os.pathsep))
Live = importlib.import_module(os.environ["LOGGER"]).Live
"""
SIDES = {
    "dvclive": {"LOGGER": "dvclive", "TRAINER": str(DVC_PYTHON), "PACKAGES": PACKAGES},
    "nbexp": {"LOGGER": "nbexp", "TRAINER": sys.executable, "PACKAGES": ""},
}


def trained(
    pair: Twins, script: str, *, where: str = ".", env: dict[str, str] | None = None
) -> None:
    """Run the script with dvclive on the one side and with nbexp on the other, outside of any pipeline."""
    from tests.conftest import Program

    for side, logger in zip(pair.sides, SIDES, strict=True):
        python = Program((SIDES[logger]["TRAINER"],))
        python("-c", START + script, cwd=side / where, env={**SIDES[logger], **(env or {})})


def agree_on_experiments(pair: Twins, *, twice: tuple[str, ...] = ()) -> None:
    """The same names, messages and trees, but for a file that DVC puts into its own by mistake.

    `twice` are data that DVC has in the cache and in Git as well, where one of them is enough.
    """
    theirs, ours = map(pair.look.recorded, pair.sides)
    assert sorted(ours) == sorted(theirs)
    for name in ours:
        left_out = {".dvc/tmp/repro.dat", *twice}
        assert {*twice} <= {*theirs[name].tree}
        tree = {path: e for path, e in theirs[name].tree.items() if path not in left_out}
        assert ours[name].tree == tree
        assert ours[name].message == theirs[name].message
        assert ours[name].parents == theirs[name].parents


@pytest.fixture
def pair(project: MakeProject, twins: MakeTwins) -> Twins:
    """Two copies of a repository with DVC and one tracked file."""
    return twins(project({"train.py": "# the code\n"}))


ALL = """\
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image
Image.new("RGB", (3, 2), "red").save("given.png")
with Live(save_dvc_exp=False) as live:
    live.log_param("lr", 0.1)
    live.log_params({"name": "a: b", "layers": [1, 2], "nested": {"deep": {"x": 1e-7, "none": None}}, "on": True,
                     "long": "word " * 40, "empty": {}, "text": "two\\nlines", "date": "2024-01-01", "yes": "yes"})
    for step in range(3):
        live.log_metric("train/loss", 1 / (step + 3))
        live.log_metric("acc", np.float32(0.1) * step)
        live.log_metric("count", np.int64(step))
        live.log_metric("note", 'a "quoted"\\ttext')
        live.log_metric("lost", float("nan"))
        live.log_metric("far", float("-inf"))
        live.log_metric("hidden", 7, plot=False)
        live.summary["by hand"] = [1, 2]
        live.next_step()
    live.log_plot("points", [{"x": 1, "y": 2, "z": "a"}, {"x": 2, "y": 3.5, "z": "b"}], "x", ["y", "z"],
                  template="scatter", title="T", x_label="X", y_label="Y")
    live.log_plot("deep/frame", pd.DataFrame({"a": [1, 2], "b": [0.5, 0.25]}), "a", "b")
    live.log_plot("array", np.array([[0.5, 1.0], [2.0, 3.0]]), "0", "1", template=None)
    truth, guess = [0, 0, 1, 1, 1], np.array([0.1, 0.4, 0.35, 0.8, 0.7])
    for kind in ("roc", "precision_recall", "det", "calibration"):
        live.log_sklearn_plot(kind, truth, guess)
    live.log_sklearn_plot("roc", truth, guess, name="other", title="Other", x_label="x", drop_intermediate=False)
    live.log_sklearn_plot("confusion_matrix", truth, [0, 1, 1, 1, 0], y_label="guessed")
    live.log_sklearn_plot("confusion_matrix", truth, [0, 1, 1, 1, 0], name="shares", normalized=True)
    live.log_image("array.png", np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    live.log_image("samples/0.jpg", Image.new("RGB", (3, 2), "blue"))
    live.log_image("given", "given.png")
"""


def test_all_that_can_be_logged_is_the_same_to_the_byte(pair: Twins) -> None:
    trained(pair, ALL)
    files = pair.look.files(pair.nbexp_side)
    assert len([path for path in files if path.startswith("dvclive/")]) == 21
    pair.agree_on_files()
    assert pair.look.experiments(pair.nbexp_side) == {}


LATER = """\
with Live(save_dvc_exp=False) as live:
    live.next_step()
    live.log_metric("acc", 1)
    live.next_step()
    live.log_param("lr", 0.1)
    live.next_step()
"""


def test_what_is_logged_later_comes_later_in_dvc_yaml(pair: Twins) -> None:
    trained(pair, LATER)
    listed = (pair.nbexp_side / "dvc.yaml").read_text()
    assert [line for line in listed.splitlines() if line[0] not in " -"] == [
        "metrics:", "plots:", "params:",
    ]  # fmt: skip
    pair.agree_on_files()


def test_a_folder_without_dvc_becomes_a_project_as_with_dvclive(
    repo: Path, twins: MakeTwins
) -> None:
    pair = twins(repo)
    trained(pair, "with Live(save_dvc_exp=False) as live:\n    live.log_metric('a', 1)\n")
    assert (pair.nbexp_side / ".dvc" / "config").exists()
    pair.agree_on_files()
    assert pair.look.git("status", "--porcelain", cwd=pair.nbexp_side) == pair.look.git(
        "status", "--porcelain", cwd=pair.dvc_side
    )


DVC_YAML = """\
# how it is made
stages:
  prepare:
    cmd: echo 1 > one.txt   # quickly
    outs: [one.txt]
metrics: [scores.json, "dvclive/old.json"]
plots:
  - curve.csv: {x: a, y: b}
  - dvclive/plots/gone: {x: step}
artifacts:
  other: {path: other.bin, type: data}
  mine: {path: dvclive/artifacts/m.bin}
"""


@pytest.mark.parametrize("place", ["dvc.yaml", "sub/dvc.yaml"])
def test_a_dvc_yaml_that_is_there_is_changed_in_the_same_places(pair: Twins, place: str) -> None:
    pair.write(place, DVC_YAML)
    pair.write("sub/notes.md", "a folder\n")
    trained(
        pair,
        f"with Live(save_dvc_exp=False, dvcyaml={place!r}) as live:\n"
        "    live.log_param('lr', 1)\n    live.log_metric('a/b', 1)\n    live.next_step()\n"
        "    live.log_image('i.png', __import__('numpy').zeros((2, 2), 'uint8'))\n",
    )
    text = (pair.nbexp_side / place).read_text()
    assert "# quickly" in text and "scores.json" in text
    assert ("dvclive/old.json" in text) is (place != "dvc.yaml")
    pair.agree_on_files()


def test_a_second_training_in_the_folder_begins_anew_or_resumes(pair: Twins) -> None:
    train = (
        "with Live(save_dvc_exp=False, resume={resume}) as live:\n"
        "    live.log_param({name!r}, 1)\n"
        "    for _ in range(2):\n"
        "        live.log_metric('loss', 1 / (live.step + 1))\n        live.next_step()\n"
        "    print(live.step)\n"
    )
    trained(pair, train.format(resume=False, name="a"))
    trained(pair, train.format(resume=True, name="b"))
    pair.agree_on_files()
    table = (pair.nbexp_side / "dvclive" / "plots" / "metrics" / "loss.tsv").read_text()
    assert table.splitlines()[1:] == ["0\t1.0", "1\t0.5", f"2\t{1 / 3}", "3\t0.25"]
    trained(pair, train.format(resume=False, name="c"), env={"DVCLIVE_RESUME": "true"})
    pair.agree_on_files()
    assert "5\t" in (pair.nbexp_side / "dvclive" / "plots" / "metrics" / "loss.tsv").read_text()
    trained(pair, train.format(resume=False, name="d"))
    pair.agree_on_files()
    assert (pair.nbexp_side / "dvclive" / "params.yaml").read_text() == "d: 1\n"


def test_steps_set_by_hand_and_other_folders(pair: Twins) -> None:
    trained(
        pair,
        "live = Live('out/live', save_dvc_exp=False, dvcyaml=None)\n"
        "live.step = 10\nlive.log_metric('a', 1)\nlive.make_summary()\nlive.step = 20\n"
        "live.log_metric('a', 2)\nlive.end()\n",
    )
    pair.agree_on_files()
    assert not (pair.nbexp_side / "dvc.yaml").exists()
    assert json.loads((pair.nbexp_side / "out/live/metrics.json").read_text()) == {
        "a": 2,
        "step": 10,
    }


# ---- what becomes of it


TRAIN = """\
with Live(exp_name="by-hand", exp_message="what it was\\n\\nfor") as live:
    live.log_param("lr", 0.5)
    for step in range(2):
        live.log_metric("acc", step)
        live.next_step()
"""


def test_outside_of_a_pipeline_the_end_saves_the_same_experiment(pair: Twins) -> None:
    pair.write("train.py", "# edited\n")
    pair.write("unknown.txt", "not part of it\n")
    trained(pair, TRAIN)
    agree_on_experiments(pair)
    (recorded,) = pair.look.recorded(pair.nbexp_side).values()
    assert {"train.py", "dvc.yaml", "dvclive/metrics.json", "dvclive/params.yaml"} <= {
        *recorded.tree
    }
    assert "unknown.txt" not in recorded.tree
    assert recorded.message == "what it was\n\nfor"
    pair.agree_on_files()
    pair.agree_on_table()


def test_in_a_folder_of_the_project_the_same_experiment_is_saved(pair: Twins) -> None:
    pair.write("sub/readme.md", "a folder\n")
    trained(pair, TRAIN, where="sub")
    agree_on_experiments(pair)
    pair.agree_on_files()


def test_an_artifact_is_tracked_and_described_and_part_of_the_experiment(pair: Twins) -> None:
    pair.write("model.pt", "weights\n")
    pair.write("data/one.txt", "1\n")
    trained(
        pair,
        "import pathlib\n"
        "with Live(exp_name='one', cache_images=True) as live:\n"
        "    live.log_artifact('model.pt', type='model', name='net', desc='best', labels=['a', 'b'], meta={'k': 1})\n"
        "    live.log_artifact(pathlib.Path('data'))\n"
        "    live.log_artifact('model.pt', name='copied', copy=True, cache=False)\n"
        "    live.log_artifact('data', type='t', name='no good name!')\n"
        "    live.log_image('i.png', __import__('numpy').zeros((2, 2), 'uint8'))\n",
    )
    agree_on_experiments(pair, twice=("dvclive/plots/images/i.png",))
    pair.agree_on_files()
    pair.agree_on_cache()
    text = (pair.nbexp_side / "dvc.yaml").read_text()
    assert "net:" in text and "dvclive/artifacts/model.pt" in text and "no good" not in text


STAGE = {
    "dvc.yaml": """\
stages:
  train:
    cmd: '"$TRAINER" train.py'
    deps: [train.py]
    params: [lr]
    outs: [model.pt]
""",
    "params.yaml": "lr: 0.1\n",
    "train.py": START
    + """\
with Live(exp_name="ignored") as live:
    live.log_param("lr", 0.1)
    for step in range(3):
        live.log_metric("train/acc", step / 10)
        live.next_step()
    open("model.pt", "w").write("weights")
    live.log_artifact("model.pt", type="model", name="net")
""",
}


@pytest.fixture
def stage(project: MakeProject, twins: MakeTwins) -> Twins:
    return twins(project(STAGE))


def test_in_a_stage_no_experiment_is_saved_and_the_runs_one_has_the_files(
    stage: Twins, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = (("exp", "run", "-n", "one"), ("run", "-n", "one"))
    programs = (look.dvc, look.nbexp)
    for side, program, words, env in zip(stage.sides, programs, runs, SIDES.values(), strict=True):
        ran = program(*words, cwd=side, env=env)
        assert ran.returncode == 0
    stage.agree_on_refs()
    stage.agree_on_files()
    stage.agree_on_cache()
    (recorded,) = look.recorded(stage.nbexp_side).values()
    assert "dvclive/plots/metrics/train/acc.tsv" in recorded.tree
    assert "net:" in (stage.nbexp_side / "dvc.yaml").read_text()
    for name, value in SIDES["nbexp"].items():
        monkeypatch.setenv(name, value)
    stage.agree_on_table()


@pytest.mark.parametrize("words", [("exp", "run", "-n", "one"), ("repro",)], ids=" ".join)
def test_under_real_dvc_it_does_as_dvclive(
    stage: Twins, look: Look, words: tuple[str, ...]
) -> None:
    said = []
    for side, env in zip(stage.sides, SIDES.values(), strict=True):
        ran = look.dvc(*words, cwd=side, env=env)
        said.append(ran.stdout + ran.stderr)
    stage.agree_on_refs()
    stage.agree_on_files()
    stage.agree_on_cache()
    assert ("no experiment" in said[1] or "without an experiment" in said[1]) is (
        words == ("repro",)
    )
    assert len(look.experiments(stage.nbexp_side)) == (words != ("repro",))


def test_an_artifact_that_is_no_output_of_the_stage_is_tracked_from_within(
    stage: Twins, look: Look
) -> None:
    stage.replace("train.py", 'live.log_artifact("model.pt"', 'live.log_artifact("other/"')
    stage.replace(
        "train.py",
        'open("model.pt"',
        'os.makedirs("other", exist_ok=True)\n    open("other/a", "w")\n    open("model.pt"',
    )
    programs = ((look.dvc, ("exp", "run", "-n", "one")), (look.nbexp, ("run", "-n", "one")))
    said = []
    for side, (program, words), env in zip(stage.sides, programs, SIDES.values(), strict=True):
        ran = program(*words, cwd=side, env=env)
        said.append(ran.stdout + ran.stderr)
    assert "`other/` is no output of a stage" in said[1]
    stage.agree_on_cache()
    theirs, ours = map(look.files, stage.sides)
    # The same lines: what a stage writes is hidden from Git before it runs, by DVC afterwards.
    lines = [sorted(files.pop(".gitignore")[1].splitlines()) for files in (theirs, ours)]
    assert lines == [["/model.pt", "/other"]] * 2
    assert ours == theirs
    assert "other.dvc" in ours


# ---- while it goes on


def test_dvclive_itself_in_a_stage_is_followed_value_by_value(
    project: MakeProject, nbexp_cli: RunProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = """\
import time
with Live(dir="logs") as live:
    for step in range(3):
        live.log_metric("train/loss", 1 / (step + 1))
        live.log_metric("note", "a\\tb")
        live.next_step()
        end = time.monotonic() + 60
        while not os.path.exists(f"../go-{step}"):
            assert time.monotonic() < end, "nobody heard"
            time.sleep(0.01)
"""
    pipeline = STAGE["dvc.yaml"].replace("outs: [model.pt]", "metrics: [logs/metrics.json]")
    root = project({**STAGE, "dvc.yaml": pipeline, "train.py": START + train})
    for name, value in SIDES["dvclive"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(root)
    heard: dict[object, dict[str, object]] = {}
    shown = []

    def look(event: Event) -> None:
        if isinstance(event, MetricLogged):
            assert (event.stage, event.experiment) == ("train", "one")
            heard.setdefault(event.step, {}).update(event.values)
            if len(heard[event.step]) == 2:
                table = json.loads(nbexp_cli("show", "--json", cwd=root).stdout)
                (row,) = table[1]["experiments"]
                shown.append(row["revs"][0]["data"]["metrics"]["dvclive/metrics.json"]["data"])
                (root.parent / f"go-{event.step}").touch()

    nbexp.open().run(name="one", emit=look)
    assert heard == {n: {"train/loss": 1 / (n + 1), "note": "a\tb"} for n in range(3)}
    assert shown == [{"train": {"loss": 1 / (n + 1)}, "note": "a\tb", "step": n} for n in range(3)]


def test_what_nbexp_logs_is_told_once(stage: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SIDES["nbexp"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(stage.nbexp_side)
    heard: list[MetricLogged] = []
    nbexp.open().run(
        name="one",
        emit=lambda event: heard.append(event) if isinstance(event, MetricLogged) else None,
    )
    assert [(one.step, dict(one.values)) for one in heard] == [
        (step, {"train/acc": step / 10}) for step in range(3)
    ]


# ---- the calls themselves


def test_every_method_is_there_with_the_same_arguments() -> None:
    from tests.conftest import Program

    asked = (
        "import inspect, json, dvclive\n"
        "def real(it):\n"  # what is behind its decorator, which does not say so
        "    held = [cell.cell_contents for cell in it.__closure__ or ()]\n"
        "    return next((one for one in held if inspect.isfunction(one) and one.__name__ in vars(dvclive.Live)), it)\n"
        "found = {name: [[p.name, str(p.kind), repr(p.default)] for p in inspect.signature(real(it)).parameters.values()]\n"
        "         for name, it in vars(dvclive.Live).items() if callable(it)}\n"
        "properties = [name for name, it in vars(dvclive.Live).items() if isinstance(it, property)]\n"
        "print(json.dumps([found, properties]))\n"
    )
    methods, properties = json.loads(Program((str(DVC_PYTHON),))("-c", asked).stdout)
    public = {name for name in methods if not name.startswith("_") or name == "__init__"}
    # Nothing is sent to DVC Studio.
    public.remove("post_data_to_studio")
    for name in sorted(public):
        ours = inspect.signature(vars(Live)[name]).parameters.values()
        assert [[p.name, str(p.kind), repr(p.default)] for p in ours] == methods[name], name
    for name in properties:
        assert isinstance(vars(Live)[name], property), name
