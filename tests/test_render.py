"""Results as a terminal prints them, and a cell as text: every expected text stands here whole."""

from __future__ import annotations

import json
import math
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nbexp import render
from nbexp.experiments.authoring import InitReport
from nbexp.experiments.collect import Collected, Heap
from nbexp.experiments.compare import Change, Diff, NotebookChange
from nbexp.experiments.doctor import Finding, Health
from nbexp.experiments.explore import RestoredRun
from nbexp.experiments.locked import Owner
from nbexp.experiments.opened import OpenedNotebook
from nbexp.experiments.promote import Promoted
from nbexp.experiments.record import NotRecorded
from nbexp.experiments.restore import Applied
from nbexp.experiments.run_cache import CachedRun, RunTable
from nbexp.experiments.series import Curves, Series
from nbexp.experiments.steps import Step, Steps, Undone
from nbexp.experiments.table import Data, FileError, Row, Table
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.formats.values import MISSING
from nbexp.jupyter import display
from nbexp.pipeline.plan import Reason
from nbexp.project import (
    Branched,
    Experiment,
    Listing,
    Removed,
    RunReport,
    StageReport,
    Status,
)
from nbexp.queue.reports import TaskLog
from nbexp.render import runs, words

HEAD, LOW, HIGH = "a" * 40, "b" * 40, "c" * 40
MAY = int(time.mktime((2024, 5, 4, 12, 30, 0, 0, 0, -1)))
LR = Change("params.yaml", "train.lr", 0.1, 0.03)
ACC = Change("metrics.json", "acc", 0.875, 0.945)


def report(**changes: Any) -> RunReport:
    plain: dict[str, Any] = {
        "identical": False,
        "stages": (StageReport("train", "ran", 2.7, 3),),
        "params": (LR,),
        "metrics": (ACC,),
        "versus": "dusty-crow",
        "not_recorded": (),
        "unlisted": {},
        "notebooks": ("runs/train.ipynb",),
        "elapsed_s": 2.84,
        "own_s": 0.13,
    }
    return RunReport(**{**plain, **changes})


def experiment(found: RunReport | None, name: str = "mauve-pike") -> Experiment:
    return Experiment(name, LOW, HEAD, {"train.lr": 0.03}, {"acc": 0.945}, report=found)


# --- The card of a run --------------------------------------------------------------------------


def test_a_card_against_the_run_before() -> None:
    assert render.text(experiment(report())) == (
        "mauve-pike   done in 2.8 s   (nbexp 0.1 s)\n"
        "  train.lr  0.1 -> 0.03\n"
        "  acc       0.945   +0.07 vs dusty-crow  (better)\n"
        "  stages    train ran (3 cells)\n"
        "  notebook  nbexp open mauve-pike\n"
        "keep it as a branch: nbexp branch mauve-pike my-branch"
    )


def test_a_card_tells_two_metrics_of_one_name_apart_and_null_from_nothing() -> None:
    two = (Change("cell/metrics.json", "acc", 0.9, 0.95), Change("metrics.json", "acc", 0.9, 0.9))
    params = (
        Change("params.yaml", "note", "old", ""),
        Change("params.yaml", "seed", 3, None),
        Change("params.yaml", "gone", 1, MISSING),
    )
    found = experiment(report(params=params, metrics=two))
    lines = render.text(found).splitlines()
    assert lines[1:6] == [
        '  note                   old -> ""',
        "  seed                   3 -> null",
        "  gone                   1 -> -",
        "  cell/metrics.json:acc  0.95   +0.05 vs dusty-crow  (better)",
        "  metrics.json:acc       0.9   same as dusty-crow",
    ]
    html = str(display.html(found))
    assert "cell/metrics.json:acc" in html
    assert "<b>null</b>" in html


def test_the_card_of_a_first_run() -> None:
    first = report(params=(), metrics=(Change("metrics.json", "acc", MISSING, 0.875),), versus=None)
    assert render.text(experiment(first)) == (
        "mauve-pike   done in 2.8 s   (nbexp 0.1 s)\n"
        "  acc                  0.875\n"
        "  stages               train ran (3 cells)\n"
        "  notebook             nbexp open mauve-pike\n"
        "  changes vs baseline  none\n"
        "keep it as a branch: nbexp branch mauve-pike my-branch"
    )


def test_a_card_says_what_became_of_each_stage_and_what_is_not_recorded() -> None:
    full = report(
        stages=(
            StageReport("prepare", "skipped"),
            StageReport("split", "restored"),
            StageReport("train", "ran", 1.0),
            StageReport("test", "ran", 1.0, 1),
        ),
        params=(LR, Change("params.yaml", "new", MISSING, [1, 2])),
        metrics=(
            ACC,
            Change("metrics.json", "loss", 0.2, 0.2),
            Change("metrics.json", "rows", 10, 12),
            Change("metrics.json", "note", MISSING, "good"),
        ),
        not_recorded=(
            NotRecorded("a.csv", "train"),
            NotRecorded("b.csv", "train"),
            NotRecorded("c.csv", "test"),
        ),
        unlisted={"train": ("features.py", "models/net.py")},
        notebooks=(),
        hints=False,
    )
    assert render.text(experiment(full)) == (
        "mauve-pike   done in 2.8 s   (nbexp 0.1 s)\n"
        "  train.lr  0.1 -> 0.03\n"
        "  new       - -> [1, 2]\n"
        "  acc       0.945   +0.07 vs dusty-crow  (better)\n"
        "  loss      0.2   same as dusty-crow\n"
        "  rows      12   +2 vs dusty-crow\n"
        "  note      good\n"
        "  stages    prepare unchanged, split restored from the run cache, train ran, test ran (1 cell)\n"
        "`train` imports features.py, models/net.py, not among its deps. Hint: add it to deps of `train`\n"
        "not recorded: a.csv, b.csv. Hint: add it to outs of `train`\n"
        "not recorded: c.csv. Hint: add it to outs of `test`"
    )


def test_an_identical_run_is_one_line() -> None:
    same = report(identical=True, elapsed_s=0.08)
    assert render.text(experiment(same)) == (
        "identical to mauve-pike (same code, data and parameters): nothing to run"
        "      0.1 s      --new runs it again"
    )
    unlisted = report(identical=True, elapsed_s=0.08, unlisted={"train": ("a.py",)})
    assert render.text(experiment(unlisted)) == (
        "identical to mauve-pike (same code, data and parameters): nothing to run"
        "      0.1 s      --new runs it again\n"
        "`train` imports a.py, not among its deps. Hint: add it to deps of `train`"
    )


def test_an_experiment_without_a_run_is_its_values() -> None:
    assert render.text(experiment(None)) == (
        "mauve-pike   bbbbbbb\n  acc       0.945\n  train.lr  0.03"
    )


# --- The table ----------------------------------------------------------------------------------


def data(lr: object, acc: object = None, **more: object) -> Data:
    metrics = {} if acc is None else {"metrics.json": {"acc": acc}}
    return Data({"params.yaml": {"train": {"lr": lr}, **more}}, metrics)


ROWS = (
    Row("workspace", None, "workspace", data(0.5, 0.8)),
    Row(HEAD, "main", "baseline", data(0.1), created_s=MAY),
    Row(HIGH, "dusty-crow", "experiment", data(0.5, 0.8), HEAD, MAY),
    Row(LOW, "mauve-pike", "experiment", data(0.03, 0.9123456789, on=True), HEAD, MAY),
    Row("d" * 40, None, "baseline", data(0.1), created_s=MAY),
)


def test_a_table() -> None:
    assert render.text(Table(ROWS)) == (
        "experiment    created     acc      train.lr  on\n"
        "workspace     -           0.8      0.5       -\n"
        "main          2024-05-04  -        0.1       -\n"
        "  dusty-crow  2024-05-04  0.8      0.5       -\n"
        "  mauve-pike  2024-05-04  0.91235  0.03      true\n"
        "ddddddd       2024-05-04  -        0.1       -"
    )


def test_a_table_with_runs_that_failed_says_their_state() -> None:
    rows = (*ROWS[:3], Row(LOW, "bad", "experiment", data(9), HEAD, MAY, state="failed"))
    assert render.text(Table(rows)) == (
        "experiment    created     state   acc  train.lr\n"
        "workspace     -           -       0.8  0.5\n"
        "main          2024-05-04  -       -    0.1\n"
        "  dusty-crow  2024-05-04  done    0.8  0.5\n"
        "  bad         2024-05-04  failed  -    9"
    )


def test_what_was_made_today_has_its_time() -> None:
    now = int(time.time())
    assert words.clock(now) == time.strftime("%H:%M", time.localtime(now))
    assert words.clock(None) == "-"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456789, "0.12346"), (1e-5, "1e-05"), (1.0, "1"), (123456.0, "1.2346e+05"), (100000, "100000"),
        (math.nan, "nan"), (True, "true"), (False, "false"), (None, "-"), (MISSING, "-"), (FileError("E", "m"), "!"), (FileError("FileNotFoundError", "m"), "-"),
        ("text", "text"), ("", ""), ("é", "é"), ("two\nlines", '"two\\nlines"'), ("\x1b[31mred", '"\\u001b[31mred"'),
        ([1, "a"], '[1, "a"]'), ({"a": 1}, '{"a": 1}'),
    ],
)  # fmt: skip
def test_values_as_people_read_them(value: object, text: str) -> None:
    assert words.shown(value) == text


# --- A diff -------------------------------------------------------------------------------------


def test_a_diff() -> None:
    diff = Diff(
        "dusty-crow",
        "mauve-pike",
        (LR, Change("params.yaml", "seed", 0, 1)),
        (ACC, Change("metrics.json", "loss", 0.5, 0.75), Change("metrics.json", "n", MISSING, 3)),
        (("train.py", "modified"), ("new.py", "added")),
        (NotebookChange("runs/train.ipynb", (2,)), NotebookChange("runs/test.ipynb", (1, 3))),
        (("model.pkl", "modified"),),
    )
    assert render.text(diff) == (
        "params   train.lr  0.1    ->  0.03\n"
        "         seed      0      ->  1\n"
        "metrics  acc       0.875  ->  0.945  +0.07  (better)\n"
        "         loss      0.5    ->  0.75   +0.25  (worse)\n"
        "         n         -      ->  3\n"
        "code     train.py modified, new.py added\n"
        "outputs  model.pkl modified\n"
        "notebook cell 2 output differs (runs/train.ipynb)\n"
        "notebook cells 1, 3 outputs differ (runs/test.ipynb)"
    )


def test_a_diff_of_values_alone_says_that_the_code_is_the_same() -> None:
    assert render.text(Diff("a", "b", (LR,), ())) == (
        "params   train.lr  0.1  ->  0.03\ncode     no change"
    )


def test_no_difference_is_a_sentence() -> None:
    assert render.text(Diff("HEAD", "workspace", (), ())) == (
        "no difference between HEAD and workspace"
    )


# --- init ---------------------------------------------------------------------------------------


def test_what_init_found_and_wrote() -> None:
    found = InitReport(
        Path("/project"),
        "train.ipynb",
        parameters=(("lr", "0.1", "float"), ("epochs", "10", "int")),
        from_cell='the cell tagged "parameters"',
        metrics=(("metrics.json", 3), ("scores.csv", None)),
        live=(("acc", 2),),
        modules=("features.py",),
        wrote=("params.yaml", "dvc.yaml", ".gitignore", ".dvc/"),
        baseline=HEAD,
        message="nbexp: track train.ipynb",
        new_repository=True,
        differing=(("lr", "0.5", "0.1"),),
    )
    assert render.text(found) == (
        'parameters   lr=0.1 (float)  epochs=10 (int)            from the cell tagged "parameters"\n'
        "metrics      metrics.json                               written in cell 3\n"
        "metrics      scores.csv\n"
        "live         acc by step                                logged in cell 2\n"
        "modules      features.py                                imported; deps of the stage\n"
        "kept         lr=0.5                                     in params.yaml; the notebook says 0.1\n"
        "wrote        params.yaml  dvc.yaml  .gitignore  .dvc/\n"
        'baseline     aaaaaaa "nbexp: track train.ipynb"   (new Git repository)\n'
        "train.ipynb was not changed. Next: nbexp run"
    )


def test_what_init_leaves_out_is_said() -> None:
    found = InitReport(
        Path("/project"),
        "train.ipynb",
        parameters=tuple((f"param_{n}", f"'{'x' * 20}'", "str") for n in range(4)),
        from_cell="the first code cell",
        computed=("labels",),
        modules=tuple(f"package/module_{n}.py" for n in range(6)),
        wrote=("dvc.yaml",),
        baseline=HEAD,
        message="nbexp: track train.ipynb",
        uncommitted=tuple(f"{letter}.py" for letter in "abcdefgh"),
    )
    x = "x" * 20
    assert render.text(found) == (
        f"parameters   param_0='{x}' (str)  param_1='{x}' (str)   from the first code cell\n"
        f"             param_2='{x}' (str)  param_3='{x}' (str)\n"
        "computed     labels                                                                       left to the notebook\n"
        "modules      package/module_0.py  package/module_1.py  package/module_2.py                imported; deps of the stage\n"
        "             package/module_3.py  package/module_4.py  package/module_5.py\n"
        "wrote        dvc.yaml\n"
        'baseline     aaaaaaa "nbexp: track train.ipynb"\n'
        "not in it: your edits of a.py, b.py, c.py, d.py, e.py, f.py and 2 more\n"
        "train.ipynb was not changed. Next: nbexp run"
    )
    html = str(display.html(found))
    assert "left to the notebook" in html
    assert "your edits of a.py" in html


def test_what_init_found_in_a_project() -> None:
    assert render.text(InitReport(Path("/p"), None, stages=3, experiments=12)) == (
        "DVC project found: 3 stages, 12 experiments. Nothing to do. Next: nbexp show"
    )
    assert render.text(InitReport(Path("/p"), None, stages=1)) == (
        "DVC project found: 1 stage, 0 experiments. Nothing to do. Next: nbexp run"
    )


def test_a_bare_project() -> None:
    bare = InitReport(
        Path("/p"), None, wrote=(".dvc/",), baseline=HEAD, message="nbexp: start the project"
    )
    assert render.text(bare) == (
        "wrote      .dvc/\n"
        'baseline   aaaaaaa "nbexp: start the project"\n'
        "Next: nbexp init train.ipynb, or write a dvc.yaml and nbexp run"
    )


# --- status, list, apply, undo, remove, branch ----------------------------------------------------


def test_a_status() -> None:
    reasons = (
        Reason("dep", "data.csv", "modified"),
        Reason("dep", "new.csv", "new"),
        Reason("param", "params.yaml:lr", "modified", "0.1 -> 0.2", ("params.yaml", "lr")),
        Reason("out", "model.pkl", "deleted"),
        Reason("out", "plot.png", "not in cache"),
        Reason("command"),
    )
    assert render.text(Status({"train": reasons, "ping": (Reason("always"),)}, 3)) == (
        "train:\n"
        "  data.csv changed\n"
        "  new.csv is new\n"
        "  params.yaml:lr 0.1 -> 0.2\n"
        "  model.pkl is missing\n"
        "  plot.png not in cache\n"
        "  its command changed\n"
        "ping:\n"
        "  it always runs"
    )
    assert render.text(Status({}, 3)) == "Data and pipelines are up to date."
    assert render.text(Status({}, 0)) == "There are no stages here."


def test_a_listing_is_dvcs() -> None:
    listing = Listing((("main", (("low", LOW), ("high", HIGH))), ("ddddddd", (("old", HEAD),))))
    assert render.text(listing) == (
        "main:\n\tbbbbbbb [low]\n\tccccccc [high]\nddddddd:\n\taaaaaaa [old]"
    )
    assert render.text(Listing(())) == "no experiments yet. Next: nbexp run"
    there = "no experiments there; 3 are on other commits: nbexp list -A"
    assert render.text(Listing((), elsewhere=3)) == there


def test_what_apply_did() -> None:
    assert render.text(Applied("low", LOW, ("params.yaml",), ("x.py",), ("model.pkl",))) == (
        "applied low: 3 files changed   (nbexp undo takes it back)"
    )
    forced = Applied("low", LOW, ("params.yaml",), (), (), saved=("params.yaml", "model.pkl"))
    assert render.text(forced) == (
        "applied low: 1 file changed   (nbexp undo takes it back)\n"
        "edits kept as an undo point: params.yaml, model.pkl"
    )
    assert render.text(Applied("low", LOW, (), (), ())) == "the workspace is low already"


def test_what_undo_did() -> None:
    assert render.text(Undone("run low", ("params.yaml", "dvc.lock"), 2)) == (
        "undid run low: params.yaml, dvc.lock as before   (2 steps further back)"
    )
    assert render.text(Undone("apply low", ("a",), 1)) == (
        "undid apply low: a as before   (1 step further back)"
    )
    assert render.text(Undone("run low", (), 0)) == (
        "undid run low: the workspace was so already   (nothing further to undo)"
    )


def test_what_undo_brought_back_besides_files_and_the_way_forward() -> None:
    undone = Undone("run b, remove a", ("x",), 0, ("run b", "remove a"), ("a",))
    assert render.text(undone) == (
        "undid run b, remove a: x, experiment a as before   (nothing further to undo)"
    )
    redone = Undone("run b", ("x",), 1, ("run b",), is_redo=True)
    assert render.text(redone) == "redid run b: x as before   (1 step further forward)"


def test_the_steps_of_undo() -> None:
    steps = Steps(
        (Step("aaaaaaa", "run b", 0.0, ("p", "q", "r", "s"), (), 12, is_ahead=True),),
        (Step("bbbbbbb", "remove a", 0.0, (), ("a",), 0),),
    )
    assert render.text(steps) == (
        "step     when        takes back    puts back            size\n"
        "aaaaaaa  1970-01-01  run b         p, q, r, and 1 more  12 bytes\n"
        "                     you are here\n"
        "bbbbbbb  1970-01-01  remove a      experiment a         0 bytes\n"
        "all down to one of them: nbexp undo --to bbbbbbb\n"
        "the steps above `you are here` were undone: nbexp undo --redo"
    )


def test_what_gc_found_and_removed() -> None:
    heaps = (
        Heap("trash", 0, 0, 0, None, ()),
        Heap("undo", 2, 1200, 3, 0.0, ("run b", "run a")),
        Heap("logs", 1, 7, 0, 0.0, ("0123",)),
    )
    assert render.text(
        Collected(heaps, 5_000_000, in_use=("slots/1.lock", "workers/w1.lock", "locks/x.lock"))
    ) == (
        "kind  items  size     oldest      kept\n"
        "undo  2      1.2 kB   1970-01-01  3     steps that undo goes\n"
        "logs  1      7 bytes  1970-01-01  0     logs of runs\n"
        "Nothing was removed. The same with --yes removes it for good.\n"
        "data of the cache that `nbexp data gc -a -T` could free then: 5 MB\n"
        "logs and temporary files are left alone, in use: 1 worker, locks/x.lock"
    )
    assert render.text(Collected(heaps, None, removed=True)).splitlines()[-1] == (
        "removed 3 items: 1.21 kB"
    )


def test_what_doctor_found() -> None:
    health = Health(
        (
            Finding("git", "ok", "git version 2.39"),
            Finding("refs", "needs you", "`refs/exps/odd` is odd.", "`git update-ref -d X`"),
        )
    )
    assert render.text(health) == (
        "ok         git   git version 2.39\n"
        "needs you  refs  `refs/exps/odd` is odd. Hint: `git update-ref -d X`\n"
        "1 thing needs you"
    )
    assert health.exit_code == 1
    assert health.to_json()["healthy"] is False


def test_what_remove_and_branch_did() -> None:
    assert render.text(Removed(("low", "high"))) == "removed low, high"
    assert render.text(Removed(("low",), "origin")) == "removed low from origin"
    assert render.text(Removed(())) == "nothing to remove"
    assert render.text(Branched("low", "better-lr", LOW)) == (
        "branch better-lr is at low (bbbbbbb); switch to it with: git switch better-lr"
    )
    assert render.text(Branched("low", "it's", LOW, is_here=True)) == (
        "branch it's is at low (bbbbbbb); your files are its files, so switch to it with: "
        """git symbolic-ref HEAD 'refs/heads/it'"'"'s' && git reset -q"""
    )


# --- Curves and notebooks -------------------------------------------------------------------------


def test_curves_as_numbers() -> None:
    curves = Curves(
        "acc",
        (
            Series("dusty-crow", "step", (1, 2, 3), (0.5, 0.9, 0.875)),
            Series("low", "step", (1,), (0.94512345,)),
            Series("none", "step", (), ()),
        ),
    )
    assert render.text(curves) == (
        "acc by step\n"
        "experiment  steps  first    last     min      max\n"
        "dusty-crow  3      0.5      0.875    0.5      0.9\n"
        "low         1      0.94512  0.94512  0.94512  0.94512\n"
        "none        0      nan      nan      nan      nan"
    )


def test_an_executed_notebook_as_text() -> None:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "prose"]},
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "lr = 0.1", "outputs": []},
        {
            "cell_type": "code",
            "metadata": {"tags": ["injected-parameters"]},
            "source": "# Parameters\nlr = 0.03",
            "outputs": [],
        },
        {
            "cell_type": "code",
            "metadata": {},
            "source": "print(lr)\nlr",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["0.03\n"]},
                {"output_type": "execute_result", "data": {"text/plain": "0.03"}, "metadata": {}},
                {"output_type": "display_data", "data": {"image/png": "…"}, "metadata": {}},
                {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero"},
            ],
        },
    ]  # fmt: skip
    book = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    assert render.text(OpenedNotebook("low", "runs/train.ipynb", book.encode())) == (
        "runs/train.ipynb of low\n"
        "\n"
        "  # Title\n"
        "  prose\n"
        "\n"
        "cell 1:\n"
        "  | lr = 0.1\n"
        "\n"
        "parameters of this run:\n"
        "  | # Parameters\n"
        "  | lr = 0.03\n"
        "\n"
        "cell 2:\n"
        "  | print(lr)\n"
        "  | lr\n"
        "  0.03\n"
        "  0.03\n"
        "  [image/png]\n"
        "  ZeroDivisionError: division by zero"
    )


def test_what_has_no_writer_of_its_own_is_its_text() -> None:
    assert render.text("plain\n") == "plain"
    assert words.aligned([]) == []
    assert words.aligned([["a"], ["bb", "c"]]) == ["a", "bb  c"]


def test_columns_are_as_wide_as_a_terminal_draws_them() -> None:
    rows = [["漢字", "1"], ["e\u0301te\u0301", "2"], ["Größe", "3"], ["🎉", "4"]]
    assert words.aligned(rows) == [
        "漢字   1",
        "e\u0301te\u0301    2",
        "Größe  3",
        "🎉     4",
    ]


# --- The run cache


def cached(number: int, **changes: Any) -> CachedRun:
    entry = LockedStage(
        "python train.py",
        (LockedPath("data.csv", "d" * 32, 10), LockedPath("train.py", f"{number}" * 32, 900)),
        {"params.yaml": {"lr": number / 10}, "conf.json": {"seed": 1}},
        (LockedPath("m.json", "e" * 32, 12), LockedPath("model.bin", "f" * 32, 2_345_678)),
    )
    plain: dict[str, Any] = {
        "key": f"{number}" * 64,
        "value": "b" * 64,
        "short": f"{number}" * 7,
        "entry": entry,
        "saved_s": float(MAY),
        "stages": ("train",),
    }
    return CachedRun(**{**plain, **changes})


def test_the_runs_of_the_cache() -> None:
    here = (Owner("experiment", "low"), Owner("commit", "main"), Owner("workspace", "workspace"))
    runs = (
        cached(1, owners=here),
        cached(2, owners=(Owner("failed", "bad"),), missing=("model.bin",)),
        cached(3, stages=(), saved_s=MAY + 1.0),
    )
    assert (
        render.text(RunTable(runs, 4))
        == """\
key      stage  when        params                   deps              outs                            held by              lost
1111111  train  2024-05-04  lr=0.1 conf.json:seed=1  train.py 1111111  m.json 12 B, model.bin 2.35 MB  low, main
2222222  train  2024-05-04  lr=0.2 conf.json:seed=1  train.py 2222222  m.json 12 B, model.bin 2.35 MB  orphan (failed bad)  model.bin
3333333  ?      2024-05-04  lr=0.3 conf.json:seed=1                    m.json 12 B, model.bin 2.35 MB  orphan
3 of 4 runs"""
    )


def test_one_run_of_the_cache() -> None:
    run = cached(1, owners=(Owner("commit", "main"),), missing=("model.bin",), is_guess=True)
    assert (
        render.text(run)
        == f"""\
1111111   train?
  key                   {"1" * 64}
  value                 {"b" * 64}
  saved                 2024-05-04 12:30:00
  command               python train.py
  param lr              0.1
  param conf.json:seed  1
  dep data.csv          {"d" * 32}  10 B
  dep train.py          {"1" * 32}  900 B
  out m.json            {"e" * 32}  12 B
  out model.bin         {"f" * 32}  2.35 MB  lost: the cache lacks it
  held by               main"""
    )


def test_what_restoring_and_promoting_did() -> None:
    done = RestoredRun("1111111", "train", ("model.bin",), ("model.bin",), ("lr 0.1 -> 0.2",))
    assert render.text(done) == (
        "restored model.bin of train   (nbexp undo takes it back)\n"
        "edits kept as an undo point: model.bin\n"
        "train would run again: lr 0.1 -> 0.2"
    )
    assert render.text(RestoredRun("1111111", "train", ())) == (
        "the outputs of train are those of run 1111111 already"
    )
    made = Promoted(
        "late",
        LOW,
        HEAD,
        (("train", "1111111"), ("prepare", "2222222")),
        {"lr": 0.1},
        ("train.py",),
    )
    assert render.text(made) == (
        "late   bbbbbbb   made of a run of train\n"
        "  baseline                  aaaaaaa\n"
        "  lr                        0.1\n"
        "  stages                    train (1111111), prepare (2222222)\n"
        "  taken from the workspace  train.py\n"
        "bring it back: nbexp apply late"
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "?"), (0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_499, "999 kB"), (1_500_000, "1.5 MB"),
     (3 << 40, "3.3 TB")],
)  # fmt: skip
def test_a_size(count: int | None, text: str) -> None:
    assert words.sized(count) == text


def test_a_folder_with_many_files_is_one_thing() -> None:
    paths = ["a.txt", *(f"mlruns/0/{n}" for n in range(5)), "few/1", "few/2"]
    assert runs.folded(paths) == ["a.txt", "mlruns/ (5 files)", "few/1", "few/2"]


@pytest.mark.parametrize("family", sorted(render.FAMILIES))
def test_a_family_writes_what_is_listed_of_it(family: str) -> None:
    writers = import_module(f"nbexp.render.{family}").WRITERS
    assert sorted(writers) == sorted(render.FAMILIES[family])


@pytest.mark.parametrize(
    ("state", "text"), [("running", "(nothing yet)"), ("done", "(it wrote nothing)")]
)
def test_a_run_that_wrote_nothing(state: str, text: str) -> None:
    log = TaskLog("one", state, b"")
    assert render.text(log) == f"{text}\none: {state}"
    assert text in str(display.html(log))
