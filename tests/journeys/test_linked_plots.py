"""Views that are linked, in a real browser: what is selected in one is seen in all."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbexp.experiments.plotting import Plot, View
from nbexp.experiments.plotting.asking import Record
from nbexp.experiments.series import Series

EVIL = "<img src=x onerror=\"document.title='broken into'\">"
ACC = {"low": 0.5, "mid": 0.7, EVIL: 0.8, "top": 0.95}
ROWS = [
    Record(name, {"train.lr": at + 1, "opt": "ab"[at % 2], "acc": acc})
    for at, (name, acc) in enumerate(ACC.items())
]
CURVES = [Series(name, "step", (1, 2, 3), (acc / 3, acc / 2, acc)) for name, acc in ACC.items()]
VIEWS = Plot(
    "acc",
    (
        View("scatter", ROWS, {"columns": ("train.lr", "acc")}),
        View("parallel", ROWS, {"columns": ("train.lr", "opt", "acc")}),
        View("line", CURVES, {"y_label": "acc"}),
        View("history", ROWS, {"columns": ("acc",), "better": "higher"}),
    ),
)
# How visible each kind of mark is where it is selected, or nothing is.
LIT = {"scatter": "0.85", "parallel": "0.8", "line": "1", "history": "0.85"}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    VIEWS.write(tmp_path / "views.html")
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1000, "height": 1700})
        raised: list[str] = []
        asked: list[str] = []
        tab.on("pageerror", lambda error: raised.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((tmp_path / "views.html").as_uri())
        tab.wait_for_selector("svg .mark-line path", state="attached")
        yield tab
        assert raised == []
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        assert tab.title() != "broken into"
        browser.close()


def lit(page: Any) -> dict[str, int]:
    """How many experiments are as they are in each view, by what its marks are told to screen readers."""
    marks: list[list[str]] = page.evaluate(
        """() => [...document.querySelectorAll('g.mark-line > path, g.mark-symbol > path')]
            .map(path => [path.parentNode.getAttribute('class'), path.getAttribute('opacity')])"""
    )
    found: Counter[str] = Counter()
    for at, kind in enumerate(LIT):
        for name, opacity in marks:
            wanted = "mark-line" if kind in ("parallel", "line") else "mark-symbol"
            if f"concat_{at}_" in name and wanted in name and opacity == LIT[kind]:
                found[kind] += 1
    return dict(found)


def point(page: Any, label: str) -> tuple[float, float]:
    """Where the point of an experiment in the scatter plot is."""
    found: list[float] = page.evaluate(
        """label => {
            const paths = [...document.querySelectorAll('g.mark-symbol.concat_0_marks > path')]
            const path = paths.find(one => one.getAttribute('aria-label').includes(label))
            const box = path.getBoundingClientRect()
            return [box.x + box.width / 2, box.y + box.height / 2]
        }""",
        label,
    )
    return found[0], found[1]


def test_a_rectangle_in_one_view_dims_the_others_in_all(page: Any) -> None:
    everything = {"scatter": 4, "parallel": 4, "line": 4, "history": 4}
    assert lit(page) == everything
    (left, bottom), (right, top) = (point(page, "acc: 0.8;"), point(page, "acc: 0.95;"))
    page.mouse.move(left - 12, top - 6)
    page.mouse.down()
    page.mouse.move(right + 8, bottom + 12, steps=10)
    page.mouse.up()
    page.wait_for_function(
        "() => document.querySelectorAll('g.mark-line > path[opacity=\"0.12\"]').length == 2"
    )
    assert lit(page) == {"scatter": 2, "parallel": 2, "line": 2, "history": 2}
    page.mouse.dblclick(left - 30, top + 20)
    page.wait_for_function("() => document.querySelectorAll('path[opacity=\"0.12\"]').length == 0")
    assert lit(page) == everything


def test_a_click_on_a_point_leaves_its_experiment_alone(page: Any) -> None:
    page.mouse.click(*point(page, "acc: 0.95;"))
    page.wait_for_function(
        "() => document.querySelectorAll('g.mark-line > path[opacity=\"0.12\"]').length == 3"
    )
    assert lit(page) == {"scatter": 1, "parallel": 1, "line": 1, "history": 1}


def test_the_rectangle_has_no_words_and_so_is_not_there_for_who_hears_the_page(page: Any) -> None:
    page.wait_for_function(
        "() => document.querySelectorAll('g[class*=brush_][aria-hidden=true]').length > 0"
    )
    assert page.locator("g[class*=brush_]:not([aria-hidden=true])").count() == 0


def test_a_tooltip_shows_a_strange_name_as_text(page: Any) -> None:
    page.mouse.move(*point(page, "acc: 0.8;"))
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert EVIL in page.inner_text("#vg-tooltip-element")
    assert page.query_selector("#vg-tooltip-element img") is None


@pytest.mark.parametrize(("kind", "theme"), [("scatter,line", "dark"), ("parallel", "light")])
def test_jupyterlab_draws_them_itself(
    kind: str, theme: str, open_notebook: Callable[..., Any], pipeline_project: Any
) -> None:
    """Its own renderer of Vega-Lite 5, with no other machine asked."""
    folder = pipeline_project()
    cells = [
        "%load_ext nbexp",
        "%exp sweep -q -S train.lr=0.01,0.03,0.1 -S seed=0,1",
        f"%exp plot acc --kind {kind}",
    ]
    tab = open_notebook(folder, cells, theme=theme)
    tab.run_all()
    tab.page.wait_for_selector(".jp-OutputArea .vega-embed svg, .jp-OutputArea .vega-embed canvas")


CELLS = [
    "%load_ext nbexp",
    "%exp sweep -q -S train.lr=0.01,0.03,0.1 -S seed=0,1",
    "%exp plot train.lr acc",
    "%exp plot acc --kind history,parallel",
    "%exp plot importance acc",
    "plot = %exp plot acc --group-by train.lr\nplot.to_frame().shape",
    "%exp plot train.l acc",
    "code = %exp plot seed acc --code\nexec(str(code))\nchart.to_dict()['mark']['type']",
]


def test_each_part_of_a_plot_comes_through_a_real_kernel(pipeline_project: Any) -> None:
    import nbformat
    from nbclient import NotebookClient

    root = pipeline_project()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    place = {"metadata": {"path": str(root)}}
    NotebookClient(notebook, kernel_name="python3", allow_errors=True, resources=place).execute()
    outputs = {number: cell.outputs for number, cell in enumerate(notebook.cells)}
    for number, heading in (
        (2, "acc against train.lr"),
        (3, "acc by experiment, oldest first; the line is the best so far (higher is better)"),
        (4, "importance of params for acc"),
    ):
        (shown,) = outputs[number]
        assert {*shown.data} == {
            "text/plain",
            "image/png",
            "image/svg+xml",
            "application/vnd.vegalite.v5+json",
        }
        assert shown.data["text/plain"].splitlines()[0] == heading
        assert shown.data["image/svg+xml"].startswith("<svg")
    assert outputs[5][-1].data["text/plain"] == "(9, 7)"
    (refused,) = [one for one in outputs[6] if one.output_type == "error"]
    assert "Hint: did you mean `train.lr`?" in "\n".join(refused.traceback)
    assert outputs[7][-1].data["text/plain"] == "'point'"
