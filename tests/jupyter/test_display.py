from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest

from nbexp import render
from nbexp.commands import Text
from nbexp.experiments import columns
from nbexp.experiments.authoring import InitReport
from nbexp.experiments.collect import Collected, Heap
from nbexp.experiments.compare import Change, Diff, NotebookChange
from nbexp.experiments.differences import Patch
from nbexp.experiments.doctor import Finding, Health
from nbexp.experiments.labels import Tagged
from nbexp.experiments.measures import MeasureDiff, MetricsShown
from nbexp.experiments.opened import OpenedNotebook
from nbexp.experiments.planning import Plan, PlannedStage
from nbexp.experiments.record import NotRecorded
from nbexp.experiments.ref_changes import Renamed
from nbexp.experiments.restore import Applied
from nbexp.experiments.run_cache import CachedRun, RunTable
from nbexp.experiments.series import Curves, Series
from nbexp.experiments.share import PulledExperiments, Pushed
from nbexp.experiments.steps import Step, Steps
from nbexp.experiments.table import Data, FileError, Row, Table, View
from nbexp.experiments.trash import Discarded, TrashList
from nbexp.experiments.why import Because, CellChange, Why
from nbexp.formats import values
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.jupyter import display
from nbexp.jupyter.display import tables
from nbexp.pipeline.dag import Dag
from nbexp.project import (
    Branched,
    Branches,
    Experiment,
    Listing,
    RunReport,
    StageReport,
    Status,
)
from nbexp.queue.reports import TaskLog

BASE = "4f2c1e9" + "0" * 33
EVIL = "<script>alert('x')</script>"
EVIL_REASON = Because("dep", EVIL, "modified", EVIL, EVIL, 1, (CellChange(1, "new", EVIL),))


class Reader(HTMLParser):
    """The tables of a page as lists of rows, every tag, and the text that people see."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data


def look(result: object) -> Reader:
    contents, _ = display.bundle(result)
    reader = Reader()
    reader.feed(str(contents["text/html"]))
    return reader


def row(
    name: str,
    acc: object = values.MISSING,
    lr: object = 0.1,
    *,
    kind: str = "experiment",
    state: str = "done",
) -> Row:
    metrics = {} if acc is values.MISSING else {"metrics.json": {"acc": acc}}
    data = Data({"params.yaml": {"train": {"lr": lr, "epochs": 10}}}, metrics)
    rev = {"workspace": "workspace", "baseline": BASE}.get(kind, name.ljust(40, "0"))
    baseline = BASE if kind == "experiment" else None
    return Row(rev, name, kind, data, baseline=baseline, state=state)  # type: ignore[arg-type]


TABLE = Table(
    (
        row("workspace", 0.945, 0.03, kind="workspace"),
        row("main", kind="baseline"),
        row("mauve-pike", 0.945, 0.03),
        row("dusty-crow", 0.875),
    )
)


def run_of(**changes: object) -> Experiment:
    report: dict[str, object] = {
        "identical": False,
        "stages": (StageReport("train", "ran", 2.7, 3),),
        "params": (Change("params.yaml", "train.lr", 0.1, 0.03),),
        "metrics": (Change("metrics.json", "acc", 0.875, 0.945),),
        "versus": "dusty-crow",
        "not_recorded": (),
        "unlisted": {},
        "notebooks": ("runs/train.ipynb",),
        "elapsed_s": 2.8,
        "own_s": 0.1,
    }
    return Experiment(
        "mauve-pike",
        "a" * 40,
        BASE,
        {},
        {"acc": 0.945},
        report=RunReport(**{**report, **changes}),  # type: ignore[arg-type]
    )


# ---- a run


def test_the_card_shows_what_changed_and_whether_it_is_better() -> None:
    card = look(run_of())
    assert card.text.startswith("mauve-pike  ✓ done in 2.8 s  (nbexp 0.1 s)")
    assert card.tables == [
        [
            ["train.lr", "0.1 → 0.03"],
            ["acc", "0.945  +0.07 vs dusty-crow  ✓ better"],
            ["stages", "train ran (3 cells)"],
            ["notebook", "%exp open mauve-pike"],
            ["keep it", "%exp branch mauve-pike my-branch"],
        ]
    ]


def test_the_text_of_the_card_is_that_of_a_terminal_with_commands_as_in_a_cell() -> None:
    assert display.plain(run_of()) == (
        "mauve-pike   done in 2.8 s   (nbexp 0.1 s)\n"
        "  train.lr  0.1 -> 0.03\n"
        "  acc       0.945   +0.07 vs dusty-crow  (better)\n"
        "  stages    train ran (3 cells)\n"
        "  notebook  %exp open mauve-pike\n"
        "keep it as a branch: %exp branch mauve-pike my-branch"
    )


def test_a_worse_metric_says_so() -> None:
    worse = run_of(metrics=(Change("metrics.json", "loss", 0.2, 0.3),))
    assert ["loss", "0.3  +0.1 vs dusty-crow  ✗ worse"] in look(worse).tables[0]


def test_the_first_run_is_compared_with_nothing() -> None:
    first = run_of(params=(), versus=None)
    assert look(first).tables[0][:3] == [
        ["acc", "0.945"],
        ["stages", "train ran (3 cells)"],
        ["notebook", "%exp open mauve-pike"],
    ]


def test_an_identical_run_is_one_line() -> None:
    same = look(run_of(identical=True, elapsed_s=0.1))
    assert same.tables == []
    assert same.text == (
        "= identical to mauve-pike (same code, data and parameters): nothing to run  "
        "0.1 s  --new runs it again"
    )


def test_what_is_not_recorded_stands_below_the_card() -> None:
    card = look(run_of(not_recorded=(NotRecorded(stage="train", path="x.csv"),)))
    assert "⚠ not recorded: x.csv. Hint: add it to outs of `train`" in card.text


def test_an_experiment_without_a_run_shows_its_values() -> None:
    found = look(Experiment("low-lr", "b" * 40, BASE, {"train.lr": 0.01}, {"acc": 0.925}))
    assert found.tables == [[["acc", "0.925"], ["train.lr", "0.01"]]]


# ---- the table


def test_the_table_groups_experiments_below_their_baseline() -> None:
    assert look(TABLE).tables == [
        [
            ["experiment", "created", "acc ↑", "train.lr", "train.epochs"],
            ["workspace", "-", "0.945", "0.03", "10"],
            ["main", "-", "-", "0.1", "10"],
            ["\u2003mauve-pike", "-", "★ 0.945", "0.03", "10"],
            ["\u2003dusty-crow", "-", "0.875", "0.1", "10"],
        ]
    ]


def test_the_lowest_loss_is_the_best() -> None:
    assert _stars("loss", [0.3, 0.1, 0.2]) == ["0.3", "★ 0.1", "0.2"]


def test_equal_best_values_are_all_marked() -> None:
    assert _stars("acc", [0.9, 0.9, 0.5]) == ["★ 0.9", "★ 0.9", "0.5"]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("acc", [0.9, 0.9]),  # nothing is better than the rest
        ("depth", [1, 2]),  # the name does not say which way is better
        ("acc", ["high", "low"]),
        ("acc", [True, False]),
    ],
)
def test_no_best_value_is_made_up(key: str, found: list[object]) -> None:
    assert not any(cell.startswith("★") for cell in _stars(key, found))


def test_a_value_that_is_no_number_is_never_the_best() -> None:
    assert _stars("loss", [float("nan"), 0.2, 0.1, float("-inf")])[2] == "★ 0.1"


def test_states_are_words_and_symbols() -> None:
    failed = Table(
        (row("main", kind="baseline"), row("bad", state="failed"), row("cut", state="interrupted"))
    )
    cells = [line[:3] for line in look(failed).tables[0]]
    assert cells == [
        ["experiment", "created", "state"],
        ["main", "-", ""],
        ["\u2003bad", "-", "✗ failed"],
        ["\u2003cut", "-", "■ interrupted"],
    ]


def test_a_file_that_could_not_be_read_says_why_under_the_pointer() -> None:
    broken = Row(
        "c" * 40, "broken", "experiment", Data({}, {"metrics.json": FileError("JSON", "line 3")})
    )
    contents, _ = display.bundle(Table((row("good", 0.5), broken)))
    assert 'title="line 3"' in str(contents["text/html"])


def test_groups_are_a_table_of_means_and_deviations() -> None:
    rows = [row(f"n{at}", acc) for at, acc in enumerate([0.9, 0.8, 0.7])]
    found = look(columns.arranged(rows, View(), None, group_by=("train.lr",)))
    assert found.tables == [
        [
            ["train.lr", "n", "acc (mean ± sample std)"],
            [found.tables[0][1][0], "3", "0.800 ± 0.100"],
        ]
    ]


def test_differences_from_a_reference_are_marked_as_better_or_worse() -> None:
    first, second, third = (row(f"n{at}", acc) for at, acc in enumerate([0.8, 0.9, 0.7]))
    contents, _ = display.bundle(Table((first, second, third), View(reference=first)))
    html = str(contents["text/html"])
    assert '<span class="nbexp-good"> (+0.1, better)</span>' in html
    assert '<span class="nbexp-bad"> (-0.1, worse)</span>' in html
    lines = look(Table((first, second, third), View(reference=first))).tables[0]
    assert lines[1][0] == "\u2003n0 (reference)"


def test_a_baseline_that_no_branch_leads_to_says_so() -> None:
    lost = Row("d" * 40, None, "baseline", None, is_detached=True)
    assert look(Table((lost,))).tables[0][1][0] == "detached baseline ddddddd"


def test_a_long_value_is_cut_in_text_and_html() -> None:
    long = Row("a" * 40, "long", "experiment", Data({}, {"metrics.json": {"note": "x" * 5000}}))
    assert display.plain(Table((long,))).splitlines()[1].endswith(f" {'x' * 60}…")
    assert look(Table((long,))).tables[0][1][-1] == "x" * 60 + "…"


def test_a_long_table_is_cut_and_says_what_is_missing() -> None:
    rows = [row(f"exp-{number}", number / 100) for number in range(80)]
    table = Table((row("main", kind="baseline"), *rows))
    shown = look(table)
    assert len(shown.tables[0]) == 1 + display.MAX_ROWS
    assert "… 31 more rows: `%exp show -A --csv` has all" in shown.text
    text = display.plain(table)
    assert len(text.splitlines()) == 1 + display.MAX_ROWS + 1
    assert text.endswith("… 31 more rows: `%exp show -A --csv` has all")


def test_a_wide_table_is_cut_as_well() -> None:
    wide = Row(
        "d" * 40, "wide", "experiment", Data({"params.yaml": {f"p{n}": n for n in range(25)}})
    )
    shown = look(Table((wide,)))
    assert len(shown.tables[0][0]) == 2 + tables.MAX_COLUMNS
    assert "… 5 more columns: `%exp show -A --csv` has all" in shown.text


def test_a_long_value_is_shortened() -> None:
    cells = look(Table((row("long", 0.5, "x" * 500),))).tables[0][1]
    assert cells[3] == "x" * 60 + "…"


# ---- the run cache


def cached(number: int, missing: tuple[str, ...] = (), evil: str = "train") -> CachedRun:
    entry = LockedStage(
        evil,
        (LockedPath(evil, f"{number:032x}", 9),),
        {"params.yaml": {"lr": number, "note": evil}},
        (LockedPath("model.bin", "c" * 32, 2_300_000), LockedPath(evil, "d" * 32, 17)),
    )
    key = f"{number:064x}"
    return CachedRun(key, "b" * 64, key[-7:], entry, 1.7e9, (evil,), missing=missing)


def test_the_runs_of_the_cache_are_a_table() -> None:
    shown = look(RunTable((cached(1), cached(2, ("model.bin",))), 3))
    head, first, second = shown.tables[0]
    assert head == ["key", "stage", "when", "params", "deps", "outs", "held by"]
    assert first[:2] == ["0000001", "train"]
    assert first[3] == "lr 1note train"
    assert first[5:] == ["model.bin 2.3 MBtrain 17 B", "orphan"]
    assert second[5] == "✗ model.bin losttrain 17 B"
    assert "2 of 3 runs" in shown.text
    assert "✗ lost: the cache lacks it" in shown.text


def test_a_long_list_of_runs_is_cut_and_says_so() -> None:
    runs = RunTable(tuple(cached(number) for number in range(80)), 80)
    shown = look(runs)
    assert len(shown.tables[0]) == 1 + display.MAX_ROWS
    assert "… 30 more runs: `%exp cache --csv` has all" in shown.text
    text = display.plain(runs)
    assert len(text.splitlines()) == 1 + display.MAX_ROWS + 1
    assert text.endswith("50 of 80 runs: `%exp cache --csv` has all")


# ---- the others


def test_a_diff_has_both_values_and_the_difference() -> None:
    diff = Diff(
        "dusty-crow",
        "mauve-pike",
        (Change("params.yaml", "train.lr", 0.1, 0.03),),
        (
            Change("metrics.json", "acc", 0.875, 0.945),
            Change("metrics.json", "auc", values.MISSING, 0.9),
        ),
        notebooks=(NotebookChange("runs/train.ipynb", (2,)),),
    )
    assert look(diff).tables == [
        [
            ["", "dusty-crow", "mauve-pike", "change"],
            ["params"],
            ["\u2003train.lr", "0.1", "0.03", ""],
            ["metrics"],
            ["\u2003acc", "0.875", "0.945", "+0.07  ✓ better"],
            ["\u2003auc", "-", "0.9", ""],
        ],
        [["code", "no change"], ["notebook", "cell 2 output differs (runs/train.ipynb)"]],
    ]


def test_no_difference_is_one_line() -> None:
    assert look(Diff("a", "b", (), ())).text == "no difference between a and b"


def test_init_shows_what_it_found() -> None:
    report = InitReport(
        Path(),
        "train.ipynb",
        (("lr", "0.1", "float"), ("epochs", "10", "int")),
        'the cell tagged "parameters"',
        (("metrics.json", 3),),
        (("acc", 2),),
        wrote=("params.yaml", "dvc.yaml"),
        baseline=BASE,
        message="nbexp: track train.ipynb",
        new_repository=True,
    )
    shown = look(report)
    assert shown.tables == [
        [
            ["parameters", "lr = 0.1 float,  epochs = 10 int", 'from the cell tagged "parameters"'],
            ["metrics", "metrics.json", "written in cell 3"],
            ["live", "acc by step", "logged in cell 2"],
            ["wrote", "params.yaml, dvc.yaml", ""],
            ["baseline", '4f2c1e9 "nbexp: track train.ipynb"', "new Git repository"],
        ]
    ]
    assert shown.text.endswith("train.ipynb was not changed. Next: %exp run")


def test_a_listing_groups_names_below_their_baseline() -> None:
    listing = Listing((("main", (("mauve-pike", "a" * 40), ("dusty-crow", "b" * 40))),))
    assert look(listing).tables == [
        [
            ["experiment", "commit"],
            ["main"],
            ["\u2003mauve-pike", "aaaaaaa"],
            ["\u2003dusty-crow", "bbbbbbb"],
        ]
    ]


def test_what_was_pushed_is_a_table_with_the_line_for_a_colleague() -> None:
    told = ("%exp pull low mid", "dvc exp pull origin low mid")
    shown = look(Pushed("origin", ("low",), ("mid",), 14, 48_000, 24, told))
    assert shown.tables == [
        [["experiment", "origin"], ["low", "new there"], ["mid", "up to date"]],
        [["your colleague runs", told[0]], ["your colleague runs", told[1]]],
    ]
    first = "pushed low to origin (1 ref, 14 files, 48 kB)   not pushed: 24 local experiments"
    assert shown.text.startswith(first)


def test_what_was_pulled_is_a_table_with_how_to_apply_it() -> None:
    shown = look(PulledExperiments("origin", ("low",), (), 4, 380, 0))
    assert shown.tables == [[["experiment", "origin"], ["low", "%exp apply low"]]]
    many = look(PulledExperiments("origin", tuple(f"e{n}" for n in range(70)), (), 4, 380, 0))
    assert many.tables[0][-1] == ["and 20 more", ""]


def test_branches_of_several_experiments_are_a_table() -> None:
    made = Branches((Branched("low", "low-branch", "a" * 40),), ("git push -u origin low-branch",))
    assert look(made).tables == [
        [["experiment", "branch", "commit"], ["low", "low-branch", "aaaaaaa"]],
        [["share", "git push -u origin low-branch"]],
    ]


def test_the_trash_is_a_table_of_names_as_text() -> None:
    trash = TrashList((Discarded("<b>low</b>", "a" * 40, BASE, "refs/x", 0),), failed=2)
    seen = look(trash)
    assert seen.tables == [
        [
            ["experiment", "commit", "baseline", "removed"],
            ["<b>low</b>", "aaaaaaa", BASE[:7], "1970-01-01"],
        ]
    ]
    assert "bring one back: %exp trash restore NAME" in seen.text
    assert "2 failed or interrupted runs kept apart: %exp show --all-states" in seen.text


def test_the_steps_of_undo_are_a_table_with_the_place_one_is_at() -> None:
    steps = Steps(
        (Step("aaaaaaa", "run b", 0.0, ("p",), (), 12, is_ahead=True),),
        (Step("bbbbbbb", "remove <a>", 0.0, (), ("<a>",), 0),),
    )
    assert look(steps).tables == [
        [
            ["step", "when", "takes back", "puts back", "size"],
            ["aaaaaaa", "1970-01-01", "run b", "p", "12 bytes"],
            ["you are here"],
            ["bbbbbbb", "1970-01-01", "remove <a>", "experiment <a>", "0 bytes"],
        ]
    ]


def test_what_gc_would_take_is_a_table_by_kind() -> None:
    found = Collected((Heap("undo", 2, 1200, 3, 0.0, ("run <b>", "run a")),), 5_000_000)
    seen = look(found)
    assert seen.tables == [
        [
            ["kind", "items", "size", "oldest", "kept", ""],
            ["undo", "2", "1.2 kB", "1970-01-01", "3", "steps that undo goes"],
        ]
    ]
    assert "Nothing was removed. The same with --yes removes it for good." in seen.text
    assert "`%exp data gc -a -T` could free then: 5 MB" in seen.text


def test_what_doctor_found_is_a_table_with_what_to_do() -> None:
    health = Health(
        (
            Finding("git", "ok", "git version 2.39"),
            Finding("refs", "needs you", "<odd>", "`nbexp doctor --fix`"),
        )
    )
    seen = look(health)
    assert seen.tables == [
        [
            ["check", "", ""],
            ["git", "✓ ok", "git version 2.39"],
            ["refs", "✗ needs you", "<odd> `%exp doctor --fix`"],
        ]
    ]
    assert seen.text.endswith("1 thing needs you")


def test_a_clean_status_is_one_line() -> None:
    assert look(Status({}, 2)).text == "✓ Data and pipelines are up to date."


def test_a_result_without_a_table_is_its_text() -> None:
    branched = Branched("low-lr", "better", "a" * 40)
    assert look(branched).text == display.plain(branched)
    applied = Applied("low-lr", "a" * 40, ("params.yaml",), (), ())
    assert display.plain(applied) == "applied low-lr: 1 file changed   (%exp undo takes it back)"


def test_text_is_shown_as_it_is() -> None:
    contents, _ = display.bundle(Text("run it with `nbexp run`\n"))
    assert contents == {"text/plain": "run it with `nbexp run`"}


def test_code_and_logs_are_shown_as_they_are() -> None:
    lines = ("@@ -1 +1 @@", "-from nbexp import live", "+!nbexp run -S lr=1")
    patch = Patch("train.py", "modified", lines)
    diff = Diff("one", "two", (), (), (("train.py", "modified"),), patches=(patch,))
    assert display.plain(diff).endswith("\n".join(lines))
    log = TaskLog("one", "done", b"> nbexp run train\n")
    assert display.plain(log) == "> nbexp run train\none: done"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Next: nbexp run", "Next: %exp run"),
        ("(nbexp undo takes it back)", "(%exp undo takes it back)"),
        ("done in 2.8 s   (nbexp 0.1 s)", "done in 2.8 s   (nbexp 0.1 s)"),
        ("cmd: nbexp notebook in.ipynb out.ipynb", "cmd: nbexp notebook in.ipynb out.ipynb"),
        ("python -m nbexp run", "python -m nbexp run"),
        ("the nbexp runner", "the nbexp runner"),
    ],
)
def test_commands_are_spelled_as_in_a_cell(text: str, found: str) -> None:
    assert display.in_cell_words(text) == found


# ---- an executed notebook


def notebook(*outputs: Mapping[str, object]) -> OpenedNotebook:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title"},
        {
            "cell_type": "code",
            "metadata": {"tags": ["injected-parameters"]},
            "source": ["lr = 0.1\n", "epochs = 10"],
            "outputs": [],
        },
        {"cell_type": "code", "metadata": {}, "source": "train()", "outputs": list(outputs)},
    ]
    book = {"cells": cells, "nbformat": 4}
    return OpenedNotebook("low-lr", "runs/train.ipynb", json.dumps(book).encode())


def data(contents: Mapping[str, object]) -> dict[str, object]:
    return {"output_type": "display_data", "data": contents, "metadata": {}}


def test_an_executed_notebook_shows_cells_and_their_output() -> None:
    shown = look(
        notebook({"output_type": "stream", "name": "stdout", "text": ["epoch 1\n", "epoch 2\n"]})
    )
    for text in (
        "runs/train.ipynb  of low-lr",
        "# Title",
        "parameters of this run",
        "lr = 0.1\nepochs = 10",
    ):
        assert text in shown.text
    assert shown.text.endswith("cell 1train()epoch 1\nepoch 2")


def test_an_old_notebook_and_an_odd_one_are_shown_too() -> None:
    cells = [{"cell_type": "code", "input": "old = 1", "outputs": [], "language": "python"}]
    three = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}
    old = OpenedNotebook("low-lr", "old.ipynb", json.dumps(three).encode())
    assert look(old).text.endswith("cell 1old = 1")
    assert display.plain(old) == "old.ipynb of low-lr\n\ncell 1:\n  | old = 1"
    cells = [{"cell_type": "code", "source": " ", "outputs": None}, {"cell_type": "code", "metadata": None, "source": "x", "outputs": [1]}]  # fmt: skip
    odd = OpenedNotebook(
        "low-lr", "odd.ipynb", json.dumps({"nbformat": 4, "cells": cells}).encode()
    )
    assert look(odd).text.endswith("cell 1x")
    assert display.plain(odd) == "odd.ipynb of low-lr\n\ncell 1:\n  | x"


def test_a_long_output_is_cut_in_what_a_cell_keeps() -> None:
    long = notebook({"output_type": "stream", "name": "stdout", "text": "x" * 12_345})
    assert look(long).text.endswith("x\n… 2345 more characters")
    assert display.plain(long).endswith("x\n  … 2345 more characters")
    assert len(render.text(long)) > 12_345  # a terminal has it all


def test_html_of_a_notebook_is_not_html_here() -> None:
    shown = look(notebook(data({"text/html": f"<table>{EVIL}</table>", "text/plain": "   a  b"})))
    assert shown.tags == {"style", "div", "p", "b", "span", "pre"}
    assert shown.text.endswith("   a  b")


def test_output_without_text_is_named() -> None:
    shown = look(notebook(data({"application/javascript": "alert(1)", "text/html": EVIL})))
    assert shown.text.endswith("[application/javascript, text/html]")


def test_a_picture_is_shown_from_its_data() -> None:
    pixel = base64.b64encode(b"\x89PNG").decode()
    contents, _ = display.bundle(
        notebook(data({"image/png": pixel + "\n", "text/plain": "<Figure>"}))
    )
    assert f'<img src="data:image/png;base64,{pixel}" alt="&lt;Figure&gt;">' in str(
        contents["text/html"]
    )


def test_a_drawing_is_a_picture_so_that_its_scripts_are_dead() -> None:
    contents, _ = display.bundle(notebook(data({"image/svg+xml": f"<svg>{EVIL}</svg>"})))
    page = str(contents["text/html"])
    assert '<img src="data:image/svg+xml;base64,' in page
    assert "<script" not in page and "<svg" not in page


def test_what_only_says_it_is_a_picture_is_not_one() -> None:
    shown = look(notebook(data({"image/png": '" onerror="alert(1)'})))
    assert "img" not in shown.tags
    assert shown.text.endswith("[image/png]")


def test_pictures_have_a_limit_and_say_so() -> None:
    huge = "A" * 5_000_000
    shown = look(notebook(data({"image/png": huge, "text/plain": "<Figure>"})))
    assert shown.text.endswith("[image/png, 5000 kB, left out here] <Figure>")


def test_an_error_is_shown_without_its_colours() -> None:
    error = {
        "output_type": "error",
        "ename": "ZeroDivisionError",
        "evalue": "division by zero",
        "traceback": ["\x1b[0;31mTraceback\x1b[0m", "ZeroDivisionError: division by zero"],
    }
    assert look(notebook(error)).text.endswith("✗ Traceback\nZeroDivisionError: division by zero")


def test_long_output_is_cut() -> None:
    shown = look(notebook({"output_type": "stream", "text": "x" * 25_000}))
    assert shown.text.endswith("\n… 15000 more characters")


# ---- a plot


CURVES = Curves(
    "acc",
    (
        Series("dusty-crow", "step", (1, 2), (0.83, 0.875)),
        Series("mauve-pike", "step", (1, 2), (0.9, 0.945)),
    ),
)


def test_a_plot_is_text_and_three_kinds_of_picture() -> None:
    contents, metadata = display.bundle(CURVES)
    assert list(contents) == [
        "text/plain",
        "application/vnd.vegalite.v5+json",
        "image/svg+xml",
        "image/png",
    ]
    assert contents["text/plain"] == (
        "acc by step\n"
        "experiment  steps  first  last   min   max\n"
        "dusty-crow  2      0.83   0.875  0.83  0.875\n"
        "mauve-pike  2      0.9    0.945  0.9   0.945"
    )
    assert ET.fromstring(str(contents["image/svg+xml"])).tag == "{http://www.w3.org/2000/svg}svg"
    image = base64.b64decode(str(contents["image/png"]))
    width, height = struct.unpack(">II", image[16:24])
    assert metadata == {
        "image/png": {"width": width // 2, "height": height // 2},
        "application/vnd.vegalite.v5+json": {"embed_options": {"renderer": "svg"}},
    }
    json.dumps(contents, allow_nan=False)


def test_a_plot_is_an_altair_chart_for_those_who_go_on_with_it() -> None:
    chart = display.chart(CURVES).properties(width=800)
    assert chart.to_dict()["width"] == 800


# ---- nothing that is shown can act


@pytest.mark.parametrize(
    "result",
    [
        Table((row(EVIL, 0.5, EVIL, state=EVIL),)),
        Diff(EVIL, EVIL, (Change(EVIL, EVIL, EVIL, EVIL),), (), code=((EVIL, "modified"),)),
        Listing(((EVIL, ((EVIL, "a" * 40),)),)),
        run_of(
            params=(Change(EVIL, EVIL, EVIL, EVIL),),
            stages=(StageReport(EVIL, "ran"),),
            not_recorded=(NotRecorded(EVIL, EVIL),),
            unlisted={EVIL: (EVIL,)},
            versus=EVIL,
        ),
        Experiment(EVIL, "a" * 40, BASE, {EVIL: EVIL}, {EVIL: EVIL}),
        InitReport(Path(), EVIL, ((EVIL, EVIL, EVIL),), EVIL, ((EVIL, 1),), wrote=(EVIL,)),
        Branched(EVIL, EVIL, "a" * 40),
        Branches((Branched(EVIL, EVIL, "a" * 40),), (f"git {EVIL}",)),
        Pushed(EVIL, (EVIL,), (EVIL,), 1, 1, 1, (EVIL,)),
        PulledExperiments(EVIL, (EVIL,), (EVIL,), 1, 1, 1),
        Renamed(EVIL, EVIL, "a" * 40, remote=EVIL),
        OpenedNotebook(
            EVIL,
            EVIL,
            json.dumps(
                {"cells": [{"cell_type": "markdown", "source": EVIL}], "nbformat": 4}
            ).encode(),
        ),
        Status({EVIL: ()}, 1),
        RunTable((cached(1, evil=EVIL), cached(2, evil=EVIL)), 2),
        cached(1, (EVIL,), EVIL),
        Plan((PlannedStage(EVIL, "run", reasons=(EVIL_REASON,)),), EVIL),
        Why(EVIL, EVIL, EVIL, changed=True, reasons=(EVIL_REASON,)),
    ],
    ids=lambda result: type(result).__name__,
)
def test_what_others_committed_is_text_wherever_it_is_shown(result: object) -> None:
    shown = look(result)
    assert "script" not in shown.tags
    assert not {name for name in shown.attributes if name.startswith("on")}
    assert EVIL in shown.text


PLAN = Plan(
    (
        PlannedStage("prepare", "skip"),
        PlannedStage(
            "train",
            "run",
            reasons=(
                Because("param", "params.yaml:lr", "modified", "params.yaml:lr 0.1 -> 0.2", "params.yaml", 3),
                Because(
                    "dep", "train.ipynb", "modified", "train.ipynb changed", "train.ipynb", None,
                    (CellChange(2, "changed", "fit(lr)"), CellChange(4, "new", "plot()")),
                ),
            ),
            seconds=200,
        ),
        PlannedStage(
            "report", "run", certain=False,
            reasons=(Because("dep", "model", "modified", "model is made anew by `train`"),),
        ),
        PlannedStage("old", "restore", reasons=(), size_bytes=1_234_567),
    )
)  # fmt: skip


def test_a_plan_says_what_would_run_and_where_the_reason_stands() -> None:
    shown = look(PLAN)
    assert shown.tables[0] == [
        ["stage", "would", "takes", "because"],
        ["prepare", "– skip", "", ""],
        [
            "train",
            "▶ run",
            "3 min",
            "params.yaml:lr 0.1 -> 0.2   (line 3)train.ipynb cell 2 changed: fit(lr) (and 1 more)",
        ],
        ["report", "▶ may run", "", "model is made anew by `train`"],
        ["old", "↺ restore", "1.23 MB", ""],
    ]
    assert "2 of 4 stages would run, 1 of them only if" in shown.text


def test_metrics_of_revisions_are_tables() -> None:
    shown = look(
        MetricsShown({"main": {"m.json": {"acc": 0.9, "deep": {"f1": 1}}}, "v1": {"m.json": {}}})
    )
    assert shown.tables[0] == [
        ["Revision", "Path", "acc", "deep.f1"],
        ["main", "m.json", "0.9", "1"],
        ["v1", "m.json", "-", "-"],
    ]
    changes = (Change("m.json", "acc", 0.5, 0.75), Change("m.json", "new", values.MISSING, "x"))
    shown = look(MeasureDiff("metrics", "HEAD", "workspace", changes))
    assert shown.tables[0][1:] == [
        ["m.json", "acc", "0.5", "0.75", "0.25"],
        ["m.json", "new", "-", "x", "-"],
    ]
    none = look(MeasureDiff("params", "HEAD", "main", ()))
    assert none.text == "no difference in params between HEAD and main"


def test_why_shows_every_cell() -> None:
    shown = look(Why("train", "low", "main", changed=True, reasons=PLAN.stages[1].reasons))
    assert "train ran in low (compared with main) because" in shown.text
    assert "train.ipynb cell 4 new: plot()" in shown.text


def test_the_results_of_commands_show_themselves_without_the_extension() -> None:
    contents, _ = TABLE._repr_mimebundle_()
    assert set(contents) == {"text/plain", "text/html"}


def _stars(key: str, found: Sequence[object]) -> list[str]:
    rows = [
        Row(
            f"{number:040}", f"exp-{number}", "experiment", Data({}, {"metrics.json": {key: value}})
        )
        for number, value in enumerate(found)
    ]
    return [line[2] for line in look(Table(tuple(rows))).tables[0][1:]]


def test_the_pipelines_are_a_picture_with_the_text_beside_it() -> None:
    contents, _ = display.bundle(Dag(("prepare", "train"), (("prepare", "train"),)))
    assert "│ prepare │" in str(contents["text/plain"])
    assert str(contents["image/svg+xml"]).startswith("<svg ")
    assert ">train</text>" in str(contents["image/svg+xml"])
    assert "text/html" not in contents


@pytest.mark.parametrize("family", sorted(display.FAMILIES))
def test_a_family_writes_what_is_listed_of_it(family: str) -> None:
    home = import_module(f"nbexp.jupyter.display.{family}")
    assert sorted(home.WRITERS) == sorted(display.FAMILIES[family])
    assert set(getattr(home, "TEXTS", {})) <= set(home.WRITERS)


def test_tags_stand_beside_the_name_and_the_star() -> None:
    shown = look(Tagged("low-lr", "a" * 40, ("best", EVIL), star=True))
    assert "script" not in shown.tags
    assert shown.text == f"low-lr  best, {EVIL}  ★"


def test_a_cell_that_shows_one_kind_loads_no_other() -> None:
    script = (
        "import sys\n"
        "from nbexp.jupyter import display\n"
        "from nbexp.project import Status\n"
        "assert 'text/html' in display.bundle(Status({}, 1))[0]\n"
        "print(*sorted(name for name in sys.modules if name.startswith('nbexp.jupyter.display.')))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["nbexp.jupyter.display.parts", "nbexp.jupyter.display.plans"]
