"""One engine, several faces: each verb as a command line, as a magic and as a Python call says the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import nbexp
from nbexp import commands
from nbexp import project as projects
from nbexp.project import Project
from tests.crashes.queueing import marked

NOTEBOOK = Path(__file__).parents[1] / "example-notebooks" / "first-notebook" / "train.ipynb"

# In the run cache, the run of `train` that the experiment `first` holds.
KEY = "03c147f"

# Each verb: the words of the command, and the same in Python.
CALLS: dict[str, tuple[str, Callable[[Project], Any]]] = {
    "run": ("run -S train.lr=0.05 -n third", lambda p: p.run({"train.lr": 0.05}, name="third")),
    "sweep": (
        "sweep -S train.lr=0.05,0.07 --seed 1 -n third",
        lambda p: p.sweep({"train.lr": [0.05, 0.07]}, seed=1, name="third"),
    ),
    "save": ("save -n third", lambda p: p.save(name="third")),
    "clone": (
        "clone first -S train.lr=0.05 -n third",
        lambda p: p.clone("first", {"train.lr": 0.05}, name="third"),
    ),
    "rerun": ("rerun first -n third", lambda p: p.rerun("first", name="third")),
    "repro": ("repro", lambda p: p.repro()),
    "show": ("show", lambda p: p.show()),
    "diff": ("diff first second", lambda p: p.diff("first", "second")),
    "list": ("list", lambda p: p.list()),
    "status": ("status", lambda p: p.status()),
    "plan": ("plan -S train.lr=0.2", lambda p: p.plan({"train.lr": 0.2})),
    "why": ("why train second", lambda p: p.why("train", "second")),
    "config": ("config --project -l", lambda p: p.config.list(level="project")),
    "params diff": ("params diff first second", lambda p: p.params.diff("first", "second")),
    "metrics show": ("metrics show", lambda p: p.metrics.show()),
    "metrics diff": ("metrics diff first", lambda p: p.metrics.diff("first")),
    "plots show": ("plots show", lambda p: p.plots.show()),
    "plots diff": ("plots diff first second", lambda p: p.plots.diff("first", "second")),
    "plots modify": (
        "plots modify plots/acc.csv -t simple",
        lambda p: p.plots.modify("plots/acc.csv", template="simple"),
    ),
    "plots templates": ("plots templates", lambda p: p.plots.templates()),
    "verify": ("verify first", lambda p: p.verify("first")),
    "apply": ("apply first", lambda p: p.apply("first")),
    "undo": ("undo", lambda p: p.undo()),
    "alerts": ("alerts", lambda p: p.alerts()),
    "clean": ("clean", lambda p: p.clean()),
    "doctor": ("doctor --fix", lambda p: p.doctor(fix=True)),
    "gc": ("gc --undo --failed", lambda p: p.gc("undo", "failed")),
    "branch": ("branch first kept", lambda p: p.branch("first", "kept")),
    "push": ("push second", lambda p: p.push("second")),
    "pull": ("pull origin first", lambda p: p.pull("origin", "first")),
    "rename": ("rename first other", lambda p: p.rename("first", "other")),
    "tag": ("tag first paper --star", lambda p: p.tag("first", "paper", star=True)),
    "note": ("note first good", lambda p: p.note("first", "good")),
    "remove": ("remove first", lambda p: p.remove("first")),
    "plot": ("plot acc", lambda p: p.plot("acc")),
    "report": ("report second first", lambda p: p.report("second", "first")),
    "publish": ("publish site first", lambda p: p.publish("site", "first")),
    "dag": ("dag train", lambda p: p.dag("train")),
    "stage add": (
        "stage add -n more -d raw.txt -o more.txt cp raw.txt more.txt",
        lambda p: p.stage.add("more", "cp raw.txt more.txt", deps=["raw.txt"], outs=["more.txt"]),
    ),
    "stage list": ("stage list", lambda p: p.stage.list()),
    "remote add": (
        "remote add -d store ../s",
        lambda p: p.remote.add("store", "../s", default=True),
    ),
    "remote list": ("remote list", lambda p: p.remote.list()),
    "remote modify": (
        "remote modify --local kept jobs 8",
        lambda p: p.remote.modify("kept", "jobs", "8", level="local"),
    ),
    "remote default": (
        "remote default --local kept",
        lambda p: p.remote.default("kept", level="local"),
    ),
    "remote rename": (
        "remote rename --local kept new",
        lambda p: p.remote.rename("kept", "new", level="local"),
    ),
    "remote remove": (
        "remote remove --local kept",
        lambda p: p.remote.remove("kept", level="local"),
    ),
    "cache list": ("cache list --stage train", lambda p: p.run_cache.list(stage="train")),
    "cache show": (f"cache show {KEY}", lambda p: p.run_cache.show(KEY)),
    "cache restore": (f"cache restore {KEY}", lambda p: p.run_cache.restore(KEY)),
    "cache promote": (
        f"cache promote {KEY} -n third",
        lambda p: p.run_cache.promote(KEY, name="third"),
    ),
    "data add": ("data add extra.txt", lambda p: p.data.add("extra.txt")),
    "data checkout": ("data checkout", lambda p: p.data.checkout()),
    "data commit": ("data commit", lambda p: p.data.commit()),
    "data diff": ("data diff first second", lambda p: p.data.diff("first", "second")),
    "data gc": ("data gc --workspace", lambda p: p.data.gc(workspace=True)),
    "data unprotect": ("data unprotect train", lambda p: p.data.unprotect("train")),
    "data status": ("data status", lambda p: p.data.status()),
    "data push": ("data push", lambda p: p.data.push()),
    "data fetch": ("data fetch", lambda p: p.data.fetch()),
    "data pull": ("data pull", lambda p: p.data.pull()),
    "import mlflow": ("import mlflow", lambda p: p.import_mlflow()),
    "import csv": (
        "import csv old.csv --metric acc",
        lambda p: p.import_csv("old.csv", metrics=["acc"]),
    ),
    "script": ("script first second", lambda p: p.script("first", "second")),
    "get": ("get first model.txt -o got", lambda p: p.get("first", "model.txt", out="got")),
    "data get": (
        "data get . model.txt --rev first -o got",
        lambda p: p.get(".", "model.txt", rev="first", out="got"),
    ),
    "init": ("init", lambda p: projects.init(path=str(p.root))),
    "queue status": ("queue status", lambda p: p.queue.status()),
    "queue start": ("queue start", lambda p: p.queue.start()),
    "queue stop": ("queue stop", lambda p: p.queue.stop()),
    "queue pause": ("queue pause", lambda p: p.queue.pause()),
    "queue remove": ("queue remove waits", lambda p: p.queue.remove("waits")),
    "queue retry": ("queue retry waits", lambda p: p.queue.retry("waits")),
    "queue kill": ("queue kill waits", lambda p: p.queue.kill("waits")),
    "queue move": ("queue move waits --last", lambda p: p.queue.move("waits", last=True)),
    "queue edit": (
        "queue edit waits -S train.lr=0.3",
        lambda p: p.queue.edit("waits", ["train.lr=0.3"]),
    ),
    "queue run": ("queue run waits", lambda p: p.queue.run("waits")),
    "queue logs": ("queue logs second", lambda p: p.queue.logs("second")),
    "logs": ("logs second", lambda p: p.queue.logs("second")),
    "stop": ("stop waits", lambda p: p.queue.stop_run("waits")),
}
# What makes a project or runs for long has journeys of its own, which go through the same functions.
ELSEWHERE = {"demo": "tests/test_examples.py", "lab": "tests/test_examples.py"}


@pytest.fixture
def recorded(
    pipeline_project: Callable[..., Path], nbexp_cli: Callable[..., Any], git: Callable[..., str]
) -> Path:
    """A project with two experiments, the workspace as after the second."""
    project = pipeline_project()
    nbexp_cli("run", "-n", "first", cwd=project)
    nbexp_cli("run", "-n", "second", "-S", "train.lr=0.03", cwd=project)
    nbexp_cli("run", "--queue", "-n", "waits", "-S", "train.lr=0.2", cwd=project)
    nbexp_cli("remote", "add", "--local", "-d", "kept", ".dvc/tmp/kept", cwd=project)
    # Inside, and named as seen from the top, so that each copy of the project has its own.
    git("init", "--quiet", "--bare", ".dvc/tmp/origin.git", cwd=project)
    git("remote", "add", "origin", ".dvc/tmp/origin.git", cwd=project)
    nbexp_cli("push", "first", cwd=project)
    (project / "extra.txt").write_text("data\n")
    (project / "old.csv").write_text("name,train.lr,acc\nold,0.2,0.5\n")
    run = project / "mlruns" / "0" / "4f0b"
    for path, text in {
        "../meta.yaml": "name: Default\n",
        "meta.yaml": "run_id: 4f0b\nrun_name: older\nstatus: 3\nstart_time: 1700000000000\n",
        "params/train.lr": "0.2",
        "metrics/acc": "1700000000000 0.5 0\n",
    }.items():
        (run / path).parent.mkdir(parents=True, exist_ok=True)
        (run / path).write_text(text)
    return project


@pytest.fixture
def magic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Path], str]]:
    """What `%exp LINE` shows in a directory."""
    quiet = Config()
    quiet.HistoryManager.enabled = False
    new: Any = InteractiveShell
    shell = new(config=quiet)
    shell.run_line_magic("load_ext", "nbexp")

    def say(line: str, folder: Path) -> str:
        monkeypatch.chdir(folder)
        with capture_output():
            done = shell.run_cell(f"%exp {line}")
        done.raise_error()
        return str(done.result)

    yield say
    shell.restore_sys_module_state()


def masked(found: object) -> object:
    """The result without what differs between two moments or two folders: commits, seconds, places."""
    text = json.dumps(found)
    text = re.sub(r"[0-9a-f]{40}", "COMMIT", text)
    text = re.sub(r'"seconds": [0-9.e-]+', '"seconds": 0', text)
    text = re.sub(r'"bytes": [0-9]+', '"bytes": 0', text)  # pages have their folder's name
    text = re.sub(r'"(root|place)": "[^"]*"', r'"\1": "ROOT"', text)
    text = re.sub(r'"(created|started|ended)": [0-9.]+', r'"\1": 0', text)
    text = re.sub(r'"timestamp": "[^"]*"', '"timestamp": "THEN"', text)
    return json.loads(text)


@pytest.mark.parametrize("verb", CALLS)
def test_a_verb_says_the_same_in_every_face(verb, recorded, nbexp_cli, magic, tmp_path):
    words, call = CALLS[verb]
    # Behind the verb: what a line ends with may be a command of the user's.
    words = words.replace(verb, f"{verb} --json", 1)
    places = [tmp_path / name for name in ("cli", "magic", "python")]
    for place in places:
        shutil.copytree(recorded, place, symlinks=True)
    printed = json.loads(nbexp_cli(*words.split(), cwd=places[0]).stdout)
    in_a_cell = json.loads(magic(words, places[1]))
    project = nbexp.open(places[2])
    called = json.loads(commands.to_json(call(project)))
    project.close()
    for place in places:
        for pid in marked(place):
            with suppress(ProcessLookupError):  # a stage that has just ended
                os.kill(pid, signal.SIGKILL)
    assert masked(in_a_cell) == masked(printed)
    assert masked(called) == masked(printed)


def test_open_says_the_same_in_every_face(tmp_path, nbexp_cli, magic):
    shutil.copy(NOTEBOOK, tmp_path)
    nbexp_cli("init", "train.ipynb", cwd=tmp_path)
    nbexp_cli("run", "-n", "first", cwd=tmp_path)
    printed = json.loads(nbexp_cli("open", "first", "--json", cwd=tmp_path).stdout)
    assert json.loads(magic("open first --json", tmp_path)) == printed
    assert json.loads(commands.to_json(nbexp.open(tmp_path)["first"].open())) == printed
    assert printed["path"] == "runs/train.ipynb"
    for path in ("metrics.json", "params.yaml", "dvclive", "."):
        printed = json.loads(nbexp_cli("open", "first", path, "--json", cwd=tmp_path).stdout)
        assert json.loads(magic(f"open first {path} --json", tmp_path)) == printed
        assert json.loads(commands.to_json(nbexp.open(tmp_path)["first"].open(path))) == printed


def test_the_trash_says_the_same_in_every_face(recorded, nbexp_cli, magic):
    nbexp_cli("remove", "first", cwd=recorded)
    printed = json.loads(nbexp_cli("trash", "list", "--json", cwd=recorded).stdout)
    assert [one["name"] for one in printed["trash"]] == ["first"]
    assert json.loads(magic("trash list --json", recorded)) == printed
    assert json.loads(commands.to_json(nbexp.open(recorded).trash.list())) == printed
    back = json.loads(nbexp_cli("trash", "restore", "first", "--json", cwd=recorded).stdout)
    nbexp_cli("undo", cwd=recorded)
    assert json.loads(magic("trash restore first --json", recorded)) == back
    nbexp_cli("undo", cwd=recorded)
    assert json.loads(commands.to_json(nbexp.open(recorded).trash.restore("first"))) == back


def test_a_notebook_is_executed_the_same_by_command_and_cell(tmp_path, nbexp_cli, magic):
    shutil.copy(NOTEBOOK, tmp_path)
    nbexp_cli("notebook", "train.ipynb", "one.ipynb", cwd=tmp_path)
    magic("notebook train.ipynb two.ipynb", tmp_path)
    assert (tmp_path / "one.ipynb").read_bytes() == (tmp_path / "two.ipynb").read_bytes()


def test_every_verb_is_tried_in_every_face():
    tried = {*CALLS, *ELSEWHERE, "open", "notebook", "trash list", "trash restore"}
    assert tried == set(commands.all_names())
