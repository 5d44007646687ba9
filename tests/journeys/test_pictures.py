"""Results as a browser shows them: legible in every theme, aligned, inside their cell, and dead to scripts."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nbexp.experiments.agreement import Tolerance
from nbexp.experiments.compare import Change, Diff
from nbexp.experiments.locked import Owner
from nbexp.experiments.opened import OpenedNotebook
from nbexp.experiments.opening import (
    Entry,
    OpenedDirectory,
    OpenedPicture,
    OpenedTable,
    OpenedText,
)
from nbexp.experiments.planning import Plan, PlannedStage
from nbexp.experiments.plots import Chart, Picture, Pictures, PlotsShown
from nbexp.experiments.report import Bar, Check, Report
from nbexp.experiments.run_cache import CachedRun, RunTable
from nbexp.experiments.series import Curves, Series
from nbexp.experiments.table import Data, Row, Table
from nbexp.experiments.verify import OutputVerdict, StageVerdict, Verified
from nbexp.experiments.why import Because, CellChange, Why
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.jupyter import display
from nbexp.plots import templates
from nbexp.project import Experiment, RunReport, StageReport

BASE = "4f2c1e9" + "0" * 33
EVIL = "<img src=x onerror=\"document.title='broken into'\"><script>document.title='broken into'</script>"

# JupyterLab 4.6's own values; VS Code's default dark theme; a page that knows neither.
THEMES: Mapping[str, tuple[str, str, str]] = {
    "JupyterLab light": (
        "#ffffff",
        "rgba(0, 0, 0, .87)",
        (
            "--jp-content-font-color1: rgba(0, 0, 0, .87); --jp-content-font-color2: rgba(0, 0, 0, .54);"
            "--jp-border-color2: #e0e0e0; --jp-success-color1: #388e3c; --jp-error-color1: #d32f2f"
        ),
    ),
    "JupyterLab dark": (
        "#111111",
        "rgba(255, 255, 255, 1)",
        (
            "--jp-content-font-color1: rgba(255, 255, 255, 1); --jp-content-font-color2: rgba(255, 255, 255, .7);"
            "--jp-border-color2: #424242; --jp-success-color1: #4caf50; --jp-error-color1: #f44336"
        ),
    ),
    "VS Code dark": (
        "#1f1f1f",
        "#cccccc",
        (
            "--vscode-editor-foreground: #cccccc; --vscode-descriptionForeground: #9d9d9d;"
            "--vscode-panel-border: #2b2b2b; --vscode-testing-iconPassed: #73c991; --vscode-errorForeground: #f85149"
        ),
    ),
    "plain light": ("#ffffff", "#1f2328", ""),
    "plain dark": ("#0d1117", "#e6edf3", ""),
}

# Writes what it measured to the end of the page, where the test reads it.
MEASURE = """
const channel = c => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parsed = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
const page = parsed(getComputedStyle(document.body).backgroundColor);
const over = ([r, g, b, a]) => [r, g, b].map((c, i) => a * c + (1 - a) * page[i]);
const texts = [];
const walker = document.createTreeWalker(document.querySelector(".nbexp"), NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode;
  if (!node.data.trim()) continue;
  const [one, two] = [luminance(over(parsed(getComputedStyle(node.parentElement).color))), luminance(page)];
  texts.push([node.data, (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05)]);
}
const edges = [...document.querySelectorAll(".nbexp-grid tbody tr")].map(
  row => [...row.querySelectorAll(".nbexp-n")].map(cell => {
    const range = document.createRange(); range.selectNodeContents(cell);
    return Math.round(range.getBoundingClientRect().right);
  })).filter(row => row.length);
const found = { texts, edges, title: document.title, scripts: document.querySelectorAll(".nbexp script").length,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  images: [...document.images].filter(image => image.naturalWidth > 0).length };
const written = document.createElement("pre");
written.id = "measured"; written.textContent = JSON.stringify(found); document.body.append(written);
"""


def row(name: str, acc: float | None, lr: float, kind: str = "experiment") -> Row:
    metrics = {} if acc is None else {"metrics.json": {"acc": acc, "loss": 1 - acc}}
    data = Data({"params.yaml": {"train": {"lr": lr, "epochs": 10, "note": EVIL}}}, metrics)
    rev = {"workspace": "workspace", "baseline": BASE}.get(kind, name.ljust(40, "0"))
    return Row(rev, name, kind, data, baseline=BASE if kind == "experiment" else None)  # type: ignore[arg-type]


TABLE = Table(
    (
        row("workspace", 0.945, 0.03, "workspace"),
        row("main", None, 0.1, "baseline"),
        row("mauve-pike", 0.945, 0.03),
        row("dusty-crow", 0.875, 0.1),
        row(EVIL, 0.5, 0.001),
    )
)
CARD = Experiment(
    "mauve-pike",
    "a" * 40,
    BASE,
    {},
    {},
    report=RunReport(
        identical=False,
        stages=(StageReport("train", "ran", 2.7, 3),),
        params=(Change("params.yaml", "train.lr", 0.1, 0.03),),
        metrics=(
            Change("metrics.json", "acc", 0.875, 0.945),
            Change("metrics.json", "loss", 0.1, 0.2),
        ),
        versus="dusty-crow",
        not_recorded=(),
        unlisted={},
        notebooks=("runs/train.ipynb",),
        elapsed_s=2.8,
        own_s=0.1,
    ),
)
DIFF = Diff(
    "dusty-crow",
    "mauve-pike",
    (Change("params.yaml", "train.lr", 0.1, 0.03), Change("params.yaml", EVIL, "a", EVIL)),
    (Change("metrics.json", "acc", 0.875, 0.945), Change("metrics.json", "loss", 0.125, 0.2)),
)
NOTEBOOK = OpenedNotebook(
    "mauve-pike",
    "runs/train.ipynb",
    json.dumps(
        {
            "cells": [
                {"cell_type": "markdown", "source": EVIL},
                {
                    "cell_type": "code",
                    "metadata": {},
                    "source": "plot()",
                    "outputs": [
                        {
                            "output_type": "display_data",
                            "data": {"text/html": EVIL, "text/plain": "<Frame>"},
                        },
                        {
                            "output_type": "display_data",
                            "data": {
                                "image/svg+xml": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
                                "<script>top.document.title='broken into'</script></svg>"
                            },
                        },
                    ],
                },
            ],
            "nbformat": 4,
        }
    ).encode(),
)
RUNS = RunTable(
    tuple(
        CachedRun(
            key=str(number) * 64,
            value="b" * 64,
            short=str(number) * 7,
            entry=LockedStage(
                EVIL if number else "python train.py",
                (LockedPath(EVIL, str(number) * 32, 9),),
                {"params.yaml": {"train": {"lr": number / 10, "note": EVIL}}},
                (LockedPath("model.bin", "c" * 32, 2_300_000), LockedPath(EVIL, "d" * 32, 17)),
            ),
            saved_s=1_700_000_000.0,
            stages=(EVIL,) if number else ("train",),
            owners=(Owner("experiment", EVIL),) if number else (),
            missing=("model.bin",) if number == 1 else (),
        )
        for number in range(3)
    ),
    total=5,
)
_KEY = Because(
    "param",
    "params.yaml:train.lr",
    "modified",
    "params.yaml:train.lr 0.1 -> 0.03",
    "params.yaml",
    5,
)
_CELLS = Because(
    "dep",
    "train.ipynb",
    "modified",
    "train.ipynb changed",
    "train.ipynb",
    cells=(CellChange(2, "changed", "model = fit(lr)"), CellChange(4, "new", EVIL)),
)
PLAN = Plan(
    (
        PlannedStage("prepare", "skip"),
        PlannedStage("train", "run", reasons=(_KEY, _CELLS), seconds=12.3),
        PlannedStage(
            EVIL,
            "run",
            certain=False,
            reasons=(Because("dep", "model", "modified", "model is made anew by `train`"),),
            seconds=200,
        ),
        PlannedStage("report", "restore", reasons=(_KEY,), size_bytes=1_234_567),
    )
)
WHY = Why("train", "mauve-pike", "main", changed=True, reasons=(_KEY, _CELLS))
OPENED = {
    "opened-table": OpenedTable(
        "mauve-pike", "plots/acc.csv", 2_300, ("step", EVIL), ((1, EVIL), (2, "0.5")), 1_000
    ),
    "opened-text": OpenedText("mauve-pike", EVIL, 90, ("# Notes", EVIL, "three", "four"), 4),
    "opened-directory": OpenedDirectory(
        EVIL, "data", 2_300_000, (Entry("parts/", 2_000_000, 3), Entry(EVIL, 300_000)), 4
    ),
    "opened-picture": OpenedPicture(
        "mauve-pike",
        EVIL,
        160,
        "image/svg+xml",
        None,
        None,
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><title>one two three</title>'
        b"<script>top.document.title='broken into'</script></svg>",
    ),
    "verified": Verified(
        EVIL,
        "a" * 40,
        "different",
        (
            StageVerdict("prepare", "ran", (OutputVerdict("data", "identical"),), 1.5),
            StageVerdict(
                EVIL,
                "ran",
                (
                    OutputVerdict("runs/train.ipynb", "different", f"cell 3: 0.5 -> {EVIL}", 3),
                    OutputVerdict("metrics.json", "close", "numbers differ by at most 1e-07"),
                ),
                2.5,
                "cell 2 calls `random.random` with no seed",
            ),
        ),
        Tolerance(),
    ),
}
CURVES = Curves(
    "acc",
    (
        Series("dusty-crow", "step", (1, 2, 3), (0.83, 0.85, 0.875)),
        Series("mauve-pike", "step", (1, 2, 3), (0.9, 0.925, 0.945)),
    ),
)

REPORT = Report(
    EVIL,
    Table((TABLE.rows[2], TABLE.rows[4])),
    DIFF,
    curves=(CURVES,),
    checks=(Check(Bar("acc", 0.9, "under"), 0.945), Check(Bar(EVIL, 0.9, "over"), 0.945)),
)

Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(tmp_path: Path, chromium: Callable[..., Any]) -> Look:
    """Opens a result on a page of that theme and measures it; `picture` is what it looks like."""

    def measure(content: str, theme: str, width: int = 900) -> dict[str, Any]:
        ground, ink, variables = THEMES[theme]
        page = tmp_path / "page.html"
        page.write_text(
            f'<!DOCTYPE html><meta charset="utf-8"><title>fine</title>'
            f"<style>body {{ background: {ground}; color: {ink}; font: 14px sans-serif; {variables} }}</style>"
            f"<body>{content}<script>window.onload = () => {{ {MEASURE} }};</script>",
            encoding="utf-8",
        )
        seen = chromium(page, width=width, height=700)
        written = re.search(r'<pre id="measured">(.*?)</pre>', seen.dom, re.DOTALL)
        assert written is not None, seen.dom
        return {**json.loads(html.unescape(written[1])), "picture": seen.picture}

    return measure


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    "result",
    [CARD, TABLE, DIFF, NOTEBOOK, RUNS, RUNS.runs[1], PLAN, WHY, REPORT, *OPENED.values()],
    ids=["card", "table", "diff", "notebook", "runs", "run", "plan", "why", "report", *OPENED],
)
def test_every_word_is_legible_and_nothing_acts(result: object, theme: str, look: Look) -> None:
    seen = look(_html(result), theme)
    faint = [(text, ratio) for text, ratio in seen["texts"] if ratio < 3.9]
    assert faint == []
    # A text and a picture are a title and themselves.
    assert len(seen["texts"]) > (1 if isinstance(result, OpenedText | OpenedPicture) else 4)
    assert seen["title"] == "fine"
    assert seen["scripts"] == 0


def test_numbers_end_on_one_line(look: Look) -> None:
    edges = look(_html(TABLE), "JupyterLab light")["edges"]
    assert len(edges) == 5
    assert len({tuple(line) for line in edges}) == 1


@pytest.mark.parametrize(
    "result",
    [CARD, TABLE, DIFF, NOTEBOOK, RUNS, RUNS.runs[1], PLAN, WHY, REPORT, *OPENED.values()],
    ids=["card", "table", "diff", "notebook", "runs", "run", "plan", "why", "report", *OPENED],
)
def test_a_narrow_cell_scrolls_inside(result: object, look: Look) -> None:
    assert look(_html(result), "JupyterLab light", width=500)["overflow"] == 0


def test_pictures_of_an_executed_notebook_are_shown_and_their_scripts_are_not_run(
    look: Look,
) -> None:
    seen = look(_html(NOTEBOOK), "JupyterLab light")
    assert seen["images"] == 1
    assert seen["title"] == "fine"
    seen = look(_html(OPENED["opened-picture"]), "JupyterLab light")
    assert (seen["images"], seen["title"], seen["scripts"]) == (1, "fine", 0)


@pytest.mark.parametrize("theme", ["JupyterLab light", "JupyterLab dark"])
@pytest.mark.parametrize("kind", ["image/svg+xml", "image/png"])
def test_a_plot_stands_on_the_ground_of_its_page(kind: str, theme: str, look: Look) -> None:
    contents, metadata = display.bundle(CURVES)
    if kind == "image/svg+xml":
        drawn = str(contents[kind])
    else:
        size = metadata[kind]
        assert isinstance(size, dict)
        drawn = (
            f'<img width="{size["width"]}" height="{size["height"]}"'
            f' src="data:image/png;base64,{contents[kind]}">'
        )
    seen = look(f'<div class="nbexp">{drawn}</div>', theme)
    colours = _colours(seen["picture"])
    ground = tuple(int(THEMES[theme][0][at : at + 2], 16) for at in (1, 3, 5))
    assert max(colours, key=lambda colour: colours[colour]) == ground
    for line in ((0x00, 0x72, 0xB2), (0xC6, 0x82, 0x00)):
        assert colours.get(line, 0) > 100, line


@pytest.mark.parametrize("theme", ["JupyterLab light", "JupyterLab dark"])
@pytest.mark.parametrize("name", ["linear", "confusion", "bar_horizontal"])
def test_plots_are_drawn_and_nothing_in_them_acts(name: str, theme: str, look: Look) -> None:
    revs = ("low-lr", EVIL)
    rows = tuple(
        {"step": step, EVIL: str(step * number), "rev": rev, "filename": EVIL, "field": EVIL}
        for number, rev in enumerate(revs, 1)
        for step in range(5)
    )
    words = dict.fromkeys(("title", "x_label", "y_label"), EVIL)
    properties = {"x": "step", "y": EVIL, "template": name, **words}
    chart = Chart(EVIL, revs, rows, properties, templates.built_in(name) or {})
    script = EVIL[EVIL.index("<script") :]
    drawing = f"<svg xmlns='http://www.w3.org/2000/svg' width='40' height='30'>{script}</svg>"
    found = Pictures("fig.svg", tuple(Picture(rev, "fig.svg", drawing.encode()) for rev in revs))
    seen = look(_html(PlotsShown((chart, found))), theme)
    assert (seen["title"], seen["scripts"]) == ("fine", 0)
    assert seen["images"] == 3
    assert [text for text, ratio in seen["texts"] if ratio < 3.9] == []
    colours = _colours(seen["picture"])
    assert colours.get((0x94, 0x5D, 0xD6), 0) > 50 or name == "confusion"


def _html(result: object) -> str:
    contents, _ = display.bundle(result)
    return str(contents["text/html"])


def _colours(picture: Path) -> dict[tuple[int, ...], int]:
    image = Image.open(picture).convert("RGB")
    found = image.getcolors(maxcolors=image.width * image.height)
    assert found is not None
    return {colour: count for count, colour in found if isinstance(colour, tuple)}
