"""The compare panel, `%exp show -i`, in a real JupyterLab and Notebook 7: what users click, press and see."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from nbexp.jupyter.panels import bundled, rows
from tests.journeys.test_first_minutes import EXAMPLE
from tests.jupyter.panels.test_compare import row as row_of
from tests.jupyter.panels.test_compare import table as table_of

NAMES = ("high-lr", "mid-lr", "low-lr", "tiny-lr")
RATES = (0.1, 0.05, 0.03, 0.001)
CELLS = ["%load_ext nbexp", "panel = %exp show -i", "print([one.name for one in panel.selected])"]
PICTURES = Path(__file__).resolve().parents[2] / "docs" / "_static"


@pytest.fixture(scope="session")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared") / "kept"


@pytest.fixture
def compared(_kept: Path, pipeline_project: Any, nbexp_cli: Any, tmp_path: Path) -> Path:
    """A project of four experiments: high-lr, mid-lr, low-lr and tiny-lr; acc 0.8633, 0.9133, 0.9333, 0.9043."""
    if not _kept.exists():
        project = pipeline_project("made")
        for name, rate in zip(NAMES, RATES, strict=True):
            nbexp_cli("run", "-S", f"train.lr={rate}", "-n", name, cwd=project)
        shutil.copytree(project, _kept, symlinks=True)
    return Path(shutil.copytree(_kept, tmp_path / "project", symlinks=True))


@pytest.fixture
def panel(open_notebook: Callable[..., Any], compared: Path) -> Callable[..., tuple[Any, Locator]]:
    def shown(cells: Any = CELLS, count: int = 4, **options: Any) -> tuple[Any, Locator]:
        tab = open_notebook(compared, cells, **options)
        tab.run_all()
        found = tab.page.get_by_role("region", name="Compare experiments")
        expect(found.get_by_text(f"{count} experiments", exact=True)).to_be_visible()
        # The columns stand once the page has given the table its size.
        expect(found.get_by_role("columnheader", name="created")).to_be_visible()
        return tab, found

    return shown


def names(panel: Locator) -> list[str]:
    """The names of the rows as they stand one below the other."""
    found: list[str] = panel.evaluate(
        """panel => [...panel.querySelectorAll('.nbx-body .nbx-row:not([hidden])')]
          .sort((a, b) => a.dataset.index - b.dataset.index)
          .map(row => row.querySelector('.nbx-name')?.textContent ?? row.querySelector('[role=rowheader]').textContent)"""
    )
    return found


def row(panel: Locator, name: str) -> Locator:
    return panel.locator(".nbx-row", has=panel.page.get_by_text(name, exact=True))


def menu(panel: Locator, name: str, item: str) -> None:
    row(panel, name).click(button="right")
    panel.get_by_role("menuitem", name=item, exact=True).click()


def outcome(panel: Locator) -> Locator:
    return panel.locator(".nbx-outcome")


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_the_table_is_sorted_filtered_grouped_and_folded(panel: Any, app: str) -> None:
    _tab, found = panel(app=app)
    assert names(found)[:2] == ["workspace", "main"]
    assert set(names(found)[2:]) == set(NAMES)
    head = found.get_by_role("columnheader", name="acc")
    head.click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert names(found)[2:] == ["high-lr", "tiny-lr", "mid-lr", "low-lr"]
    head.click()
    expect(head).to_have_attribute("aria-sort", "descending")
    assert names(found)[2:] == ["low-lr", "mid-lr", "tiny-lr", "high-lr"]
    field = found.get_by_label("Filter")
    field.fill("acc > 0.91 and lr < 0.04")
    expect(found.get_by_text("1 of 4 experiments")).to_be_visible()
    assert names(found) == ["main", "low-lr"]
    # No part of what cannot be read is passed over.
    field.fill("acc > 0.91 and lrr < 0.04")
    alert = found.get_by_role("alert")
    expect(alert).to_contain_text("The table has no column `lrr`.")
    expect(found.get_by_text("4 experiments", exact=True)).to_be_visible()
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("")
    expect(alert).to_be_hidden()
    found.get_by_label("Group by").select_option(label="train.lr")
    expect(found.get_by_text("train.lr = 0.001")).to_be_visible()
    assert [name for name in names(found) if "=" in name] == [
        "▾train.lr = 0.001 1", "▾train.lr = 0.03 1", "▾train.lr = 0.05 1", "▾train.lr = 0.1 1",
    ]  # fmt: skip
    found.get_by_label("Group by").select_option(label="baseline")
    main = row(found, "main")
    expect(main).to_have_attribute("aria-expanded", "true")
    main.locator(".nbx-fold").click()
    expect(main).to_have_attribute("aria-expanded", "false")
    assert names(found) == ["workspace", "main"]


def test_columns_are_hidden_pinned_and_moved(panel: Any) -> None:
    _tab, found = panel(width=1280)
    titles = lambda: found.get_by_role("columnheader").all_inner_texts()  # noqa: E731
    assert titles()[:3] == ["experiment", "created", "acc ↑"]
    found.get_by_role("columnheader", name="seed").click(button="right")
    found.get_by_role("menuitem", name="Pin left").click()
    assert titles()[:3] == ["experiment", "seed", "created"]
    found.get_by_role("columnheader", name="created").click(button="right")
    found.get_by_role("menuitem", name="Hide").click()
    found.get_by_role("columnheader", name="train.lr").click(button="right")
    found.get_by_role("menuitem", name="Move left").click()
    assert titles() == [
        "experiment",
        "seed",
        "acc ↑",
        "steps.last",
        "train.lr",
        "prepare.rows",
        "train.epochs",
    ]
    found.get_by_role("button", name="Columns").click()
    found.get_by_role("button", name="Show all").click()
    assert "created" in titles()


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_what_is_chosen_is_drawn_and_known_in_python(panel: Any, app: str) -> None:
    tab, found = panel(app=app)
    row(found, "low-lr").click()
    row(found, "high-lr").click()
    expect(found.get_by_text("2 selected")).to_be_visible()
    expect(found.locator(".nbx-legend")).to_have_text("low-lrhigh-lr")
    expect(row(found, "low-lr")).to_have_attribute("aria-selected", "true")
    # What is brushed in a plot is chosen in the table.
    stage = found.get_by_role("img", name="acc against train.lr of 4 experiments")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    tab.page.mouse.move(box["x"] + 54, box["y"] + 4)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] - 36)
    tab.page.mouse.up()
    expect(found.get_by_text("3 selected")).to_be_visible()
    expect(row(found, "high-lr")).to_have_attribute("aria-selected", "false")
    tab.page.evaluate(
        "() => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = 2; }"
    )
    end = time.monotonic() + 30  # the page tells the kernel once the choice before is answered
    printed: set[str] = set()
    while printed != {"tiny-lr", "low-lr", "mid-lr"} and time.monotonic() < end:
        tab.command("notebook:run-cell")
        said = "".join(tab.cells()[2]["outputs"][0]["text"])
        printed = {name for name in NAMES if name in said}
    assert printed == {"tiny-lr", "low-lr", "mid-lr"}


def activate(tab: Any, number: int) -> None:
    tab.page.evaluate(
        "n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n; }", number
    )


PLOTS = ("%exp plot train.lr acc", "%exp plot acc --kind scatter,parallel --limit 0")


def lit(plot: Locator) -> list[float]:
    """The params of the points that are not dimmed, as people read them: `train.lr: 0.03; acc: 0.9333`."""
    found: list[float] = plot.evaluate(
        """plot => [...plot.querySelectorAll('g.mark-symbol > path')]
          .filter(path => Number(path.getAttribute('opacity')) > 0.5)
          .map(path => Number(/train\\.lr: ([0-9.]+)/.exec(path.getAttribute('aria-label'))[1]))
          .sort((a, b) => a - b)"""
    )
    return found


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_what_is_brushed_in_a_plot_of_another_cell_is_chosen_and_back(
    open_notebook: Callable[..., Any], compared: Path, app: str
) -> None:
    tab = open_notebook(compared, [*CELLS[:2], *PLOTS, CELLS[2]], app=app, height=2600)
    tab.run_all()
    found = tab.page.get_by_role("region", name="Compare experiments")
    plots = tab.page.locator(".vega-embed")
    expect(plots.nth(1).locator("g.mark-symbol > path")).to_have_count(4)
    first, second = plots.nth(0), plots.nth(1)
    everything = sorted(RATES)
    assert (lit(first), lit(second)) == (everything, everything)
    # Vega has no words for the rectangle, so that none are missing for those who hear the page.
    assert first.locator("g[class*='brush_']").count() == 2
    expect(tab.page.locator("g[class*='brush_']:not([aria-hidden=true])")).to_have_count(0)
    # A rectangle around the two best, in the one plot.
    first.scroll_into_view_if_needed()
    points = {
        rate: first.locator(f"g.mark-symbol > path[aria-label*='train.lr: {rate}']").bounding_box()
        for rate in (0.03, 0.05)
    }
    (left, right) = (points[0.03], points[0.05])
    assert left is not None and right is not None
    tab.page.mouse.move(left["x"] - 8, left["y"] - 8)
    tab.page.mouse.down()
    tab.page.mouse.move(right["x"] + 16, right["y"] + 16, steps=8)
    tab.page.mouse.up()
    expect(found.get_by_text("2 selected")).to_be_visible()
    for name in NAMES:
        chosen = str(name in ("low-lr", "mid-lr")).lower()
        expect(row(found, name)).to_have_attribute("aria-selected", chosen)
    expect(found.locator(".nbx-legend")).to_contain_text("low-lr")
    tab.page.wait_for_function(
        "() => document.querySelectorAll('.vega-embed')[1].querySelectorAll('g.mark-line > path[opacity=\"0.06\"]').length == 2"
    )
    assert (lit(first), lit(second)) == ([0.03, 0.05], [0.03, 0.05])
    # And what is chosen in the table is selected in each plot, in place of the rectangle.
    found.get_by_role("button", name="Clear").click()
    row(found, "tiny-lr").click()
    tab.page.wait_for_function(
        "() => document.querySelectorAll('g.mark-line > path[opacity=\"0.06\"]').length == 3"
    )
    assert (lit(first), lit(second)) == ([0.001], [0.001])
    # A plot that is drawn anew shows what is chosen.
    activate(tab, 2)
    tab.page.evaluate("() => { document.querySelectorAll('.vega-embed')[0].dataset.old = ''; }")
    tab.command("notebook:run-cell")
    tab.page.wait_for_function(
        "() => document.querySelectorAll('.vega-embed').length == 2 && !document.querySelector('[data-old]')"
    )
    tab.page.wait_for_function(
        "() => document.querySelectorAll('.vega-embed')[0].querySelectorAll('g.mark-symbol > path[opacity=\"0.12\"]').length == 3"
    )
    assert lit(first) == [0.001]
    # A click on a point is one experiment; a double click none.
    second.scroll_into_view_if_needed()
    second.locator("g.mark-symbol > path[aria-label*='train.lr: 0.1']").first.click()
    expect(row(found, "high-lr")).to_have_attribute("aria-selected", "true")
    expect(found.get_by_text("1 selected")).to_be_visible()
    activate(tab, 4)
    tab.command("notebook:run-cell")
    assert "".join(tab.cells()[4]["outputs"][0]["text"]) == "['high-lr']\n"
    box = second.locator("svg.marks").bounding_box()
    assert box is not None
    tab.page.mouse.dblclick(box["x"] + 80, box["y"] + 30)
    expect(found.locator(".nbx-chosen-bar")).to_be_hidden()
    expect(row(found, "high-lr")).to_have_attribute("aria-selected", "false")
    assert (lit(first), lit(second)) == (everything, everything)


def test_a_row_is_tagged_noted_branched_and_removed(
    panel: Any, compared: Path, git: Any, nbexp_cli: Any
) -> None:
    _tab, found = panel()
    menu(found, "low-lr", "Star")
    expect(outcome(found)).to_contain_text("%exp tag low-lr --star")
    menu(found, "low-lr", "Tag…")
    found.get_by_label("Tags, with spaces between").fill("best paper")
    found.get_by_role("button", name="OK").click()
    expect(found.get_by_role("columnheader", name="tags")).to_be_visible()
    menu(found, "low-lr", "Note…")
    found.get_by_label("Note", exact=True).fill("the one to keep")
    found.get_by_role("button", name="OK").click()
    expect(row(found, "low-lr")).to_contain_text("the one to keep")
    menu(found, "low-lr", "Branch…")
    found.get_by_label("Name of the branch").fill("better")
    found.get_by_role("button", name="OK").click()
    expect(outcome(found)).to_contain_text("branch better is at low-lr")
    assert git("rev-parse", "better", cwd=compared) == git(
        "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/low-lr", cwd=compared
    )
    menu(found, "tiny-lr", "Remove…")
    expect(found.get_by_role("dialog")).to_contain_text("%exp remove tiny-lr")
    found.get_by_role("button", name="Remove", exact=True).click()
    expect(found.get_by_text("3 experiments", exact=True)).to_be_visible()
    said = json.loads(nbexp_cli("tag", "low-lr", "--json", cwd=compared).stdout)
    assert said["tags"] == ["best", "paper"]
    assert "tiny-lr" in nbexp_cli("trash", cwd=compared).stdout


def test_apply_asks_before_it_overwrites_and_compare_shows_what_differs(
    panel: Any, compared: Path, nbexp_cli: Any
) -> None:
    _tab, found = panel()
    params = compared / "params.yaml"
    edited = params.read_text().replace("rows: 20", "rows: 7")
    params.write_text(edited)
    menu(found, "low-lr", "Apply")
    expect(outcome(found)).to_contain_text("params.yaml")
    assert params.read_text() == edited
    outcome(found).get_by_role("button", name="Apply over them").click()
    expect(outcome(found)).to_contain_text("%exp apply low-lr --force")
    expect(outcome(found)).not_to_contain_text("waiting")
    assert "lr: 0.03" in params.read_text()
    nbexp_cli("undo", cwd=compared)
    assert params.read_text() == edited
    menu(found, "high-lr", "Compare with its baseline")
    expect(outcome(found)).to_contain_text("0.8633")
    menu(found, "low-lr", "Queue with changes…")
    found.get_by_role("dialog").get_by_label("train.lr").fill("0.02")
    expect(found.get_by_role("dialog")).to_contain_text("-S train.lr=0.02")
    found.get_by_role("button", name="Queue", exact=True).click()
    expect(outcome(found)).not_to_contain_text("waiting")
    expect(outcome(found)).to_contain_text("train.lr=0.02")
    queued = json.loads(nbexp_cli("queue", "status", "--json", cwd=compared).stdout)
    assert "0.02" in json.dumps(queued)


def test_a_row_is_opened(open_notebook: Callable[..., Any], nbexp_cli: Any, tmp_path: Path) -> None:
    folder = tmp_path / "churn"
    folder.mkdir()
    shutil.copy(EXAMPLE / "train.ipynb", folder)
    nbexp_cli("init", "train.ipynb", cwd=folder)
    nbexp_cli("run", "-n", "dusty-crow", "-S", "train.epochs=2", cwd=folder)
    params = (folder / "params.yaml").read_bytes()
    tab = open_notebook(folder, CELLS[:2])
    tab.run_all()
    found = tab.page.get_by_role("region", name="Compare experiments")
    menu(found, "dusty-crow", "Open")
    shown = outcome(found)
    expect(shown).to_contain_text("runs/train.ipynb of dusty-crow")
    expect(shown).to_contain_text("parameters of this run")
    expect(shown).to_contain_text("epochs = 2")
    expect(shown).to_contain_text("for step in range(1, epochs + 1):")
    assert (folder / "params.yaml").read_bytes() == params


def test_a_row_is_applied_compared_and_pushed(
    panel: Any, compared: Path, git: Any, tmp_path: Path
) -> None:
    remote, data = tmp_path / "origin.git", tmp_path / "data"
    git("init", "--quiet", "--bare", str(remote), cwd=tmp_path)
    git("remote", "add", "origin", str(remote), cwd=compared)
    # Not in the file that Git has: `apply` would take that to what the experiment had.
    (compared / ".dvc" / "config.local").write_text(
        f"[core]\n    remote = here\n['remote \"here\"']\n    url = {data}\n"
    )
    _tab, found = panel()
    menu(found, "low-lr", "Apply")
    expect(outcome(found)).not_to_contain_text("waiting")
    expect(outcome(found)).to_contain_text("%exp apply low-lr")
    assert "lr: 0.03" in (compared / "params.yaml").read_text()
    assert json.loads((compared / "metrics.json").read_text())["acc"] == 0.9333
    expect(row(found, "workspace")).to_contain_text("0.9333")
    row(found, "high-lr").click()
    menu(found, "low-lr", "Compare with high-lr")
    expect(outcome(found)).to_contain_text("%exp diff high-lr low-lr")
    expect(outcome(found)).not_to_contain_text("waiting")
    cells = outcome(found).get_by_role("cell").all_inner_texts()
    assert {"0.8633", "0.9333"} <= {cell.strip() for cell in cells}
    row(found, "low-lr").click()
    found.get_by_role("button", name="Compare the two").click()
    expect(outcome(found)).to_contain_text("%exp diff high-lr low-lr")
    menu(found, "mid-lr", "Push…")
    expect(found.get_by_role("dialog")).to_contain_text("%exp push mid-lr")
    assert git("for-each-ref", "refs/exps", cwd=remote) == ""
    found.get_by_role("button", name="Push", exact=True).click()
    expect(outcome(found)).to_contain_text("pushed mid-lr to origin")
    refs = git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps", cwd=remote).split()
    assert refs == ["mid-lr"]
    assert [*data.rglob("*")], "its data went along"
    # Several at once, by the buttons below the table.
    found.get_by_role("button", name="Push…").click()
    found.get_by_role("button", name="Push", exact=True).click()
    expect(outcome(found)).to_contain_text("%exp push high-lr low-lr")
    expect(outcome(found)).to_contain_text("to origin")
    refs = git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps", cwd=remote).split()
    assert sorted(refs) == ["high-lr", "low-lr", "mid-lr"]


def test_a_run_that_goes_on_shows_its_log_and_is_stopped(
    panel: Any, compared: Path, nbexp_cli: Any
) -> None:
    train = compared / "train.sh"
    waits = f"echo the log of it\nwhile [ ! -e {compared.parent}/over ]; do sleep 0.1; done\n"
    train.write_text(waits + train.read_text())
    try:
        nbexp_cli("run", "--queue", "-n", "slow", "-S", "train.lr=0.2", cwd=compared)
        nbexp_cli("run", "--queue", "-n", "later", "-S", "train.lr=0.4", cwd=compared)
        nbexp_cli("queue", "start", cwd=compared)
        _tab, found = panel(count=6)
        expect(row(found, "slow")).to_contain_text("running")
        menu(found, "slow", "Logs")
        expect(outcome(found)).to_contain_text("the log of it")
        menu(found, "later", "Stop…")
        found.get_by_role("button", name="Stop", exact=True).click()
        expect(outcome(found)).to_contain_text("stopped later")
        expect(row(found, "later")).to_have_count(0)
        menu(found, "slow", "Stop…")
        expect(found.get_by_role("dialog")).to_contain_text("%exp stop slow")
        found.get_by_role("button", name="Stop", exact=True).click()
        expect(found.get_by_text("4 experiments", exact=True)).to_be_visible()
        assert names(found)[2:] == ["tiny-lr", "low-lr", "mid-lr", "high-lr"]
        tasks = json.loads(nbexp_cli("queue", "status", "--json", cwd=compared).stdout)["tasks"]
        assert {task["name"]: task["state"] for task in tasks} == {
            "slow": "cancelled",
            "later": "cancelled",
        }
    finally:
        (compared.parent / "over").touch()


def test_a_journey_by_the_keyboard_alone(panel: Any, compared: Path, nbexp_cli: Any) -> None:
    tab, found = panel()
    page: Page = tab.page
    field = found.get_by_label("Filter")
    field.focus()
    page.keyboard.type("acc > 0.91")
    page.keyboard.press("ArrowDown")
    grid = found.get_by_role("treegrid")
    expect(grid).to_be_focused()
    expect(found.get_by_text("2 of 4 experiments")).to_be_visible()
    page.keyboard.press("Home")
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowUp")  # the head
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(found.get_by_role("columnheader", name="acc")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.keyboard.press("Control+Home")
    page.keyboard.press("ArrowLeft")  # main is folded …
    assert names(found) == ["main"]
    page.keyboard.press("ArrowRight")  # … and unfolded
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    expect(row(found, "mid-lr")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(found.get_by_role("menuitem", name="Open")).to_be_focused()
    page.keyboard.press("Escape")
    expect(found.get_by_role("menu")).to_have_count(0)
    expect(grid).to_be_focused()
    page.keyboard.press("Shift+F10")
    page.keyboard.type("n")  # Note…
    expect(found.get_by_role("menuitem", name="Note…")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("by keys")
    page.keyboard.press("Enter")
    expect(row(found, "mid-lr")).to_contain_text("by keys")
    assert "by keys" in nbexp_cli("note", "mid-lr", cwd=compared).stdout


@pytest.mark.parametrize(
    ("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 1920), ("dark", 1920)]
)
def test_nothing_hinders_in_either_theme(
    panel: Any, theme: str, width: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tab, found = panel(theme=theme, width=width)
    found.get_by_label("Colours").check()
    row(found, "low-lr").click()
    row(found, "high-lr").click()
    expect(found.locator(".nbx-legend")).to_have_text("low-lrhigh-lr")
    assert tab.findings(".nbexp-panel") == []
    found.screenshot(path=tmp_path / "panel.png")
    row(found, "low-lr").click(button="right")
    assert tab.findings(".nbexp-panel") == []
    found.screenshot(path=tmp_path / "menu.png")
    if request.config.getoption("--write-pictures") and width == 1280:
        shutil.copy(tmp_path / "panel.png", PICTURES / f"compare-panel-{theme}.png")
        if theme == "light":
            shutil.copy(tmp_path / "menu.png", PICTURES / "compare-menu.png")


def test_the_panel_keeps_its_state_and_not_its_rows(
    panel: Any, compared: Path, nbexp_cli: Any
) -> None:
    tab, found = panel()
    found.get_by_label("Filter").fill("acc > 0.9")
    expect(found.get_by_text("3 of 4 experiments")).to_be_visible()
    found.get_by_label("Views").select_option(label="Save view…")
    found.get_by_label("Name").fill("good")
    found.get_by_role("button", name="Save", exact=True).click()
    expect(outcome(found)).to_contain_text("%exp show -i --view good")
    saved = tab.save()["metadata"]["widgets"]
    text = json.dumps(saved)
    assert len(text) < 200_000
    assert "acc > 0.9" in text
    assert "tiny-lr" not in text
    # An experiment that somebody else makes is there by itself.
    nbexp_cli("run", "-S", "train.lr=0.02", "-n", "new-one", cwd=compared)
    expect(row(found, "new-one")).to_be_visible()
    expect(found.get_by_text("4 of 5 experiments")).to_be_visible()
    # After the page was loaded again, the rows come from the kernel, which lives.
    tab.open()
    again = tab.page.get_by_role("region", name="Compare experiments")
    expect(again.get_by_text("4 of 5 experiments")).to_be_visible()
    expect(again.get_by_label("Filter")).to_have_value("acc > 0.9")


def test_nothing_of_a_commit_runs_in_the_panel(
    open_notebook: Callable[..., Any], compared: Path, nbexp_cli: Any
) -> None:
    evil = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
    params = compared / "params.yaml"
    params.write_text(params.read_text() + f'"{evil}": "{evil}"\nturned: "a\\u202eb"\n')
    train = compared / "train.sh"
    train.write_text(
        train.read_text()
        + 'printf \'{"acc": 1, "<img src=x onerror=window.pwned=2>": 2}\' > metrics.json\n'
    )
    nbexp_cli("run", "-n", "evil", cwd=compared)
    nbexp_cli("note", "evil", evil, cwd=compared)
    nbexp_cli("tag", "evil", "<b>", cwd=compared, code=None)
    tab = open_notebook(compared, CELLS)
    tab.run_all()
    found = tab.page.get_by_role("region", name="Compare experiments")
    expect(found.get_by_text("5 experiments", exact=True)).to_be_visible()
    row(found, "evil").click()
    # Nothing is read from right to left, and a long name does not break the lines above table and plots.
    found.locator(".nbx-grid").evaluate("grid => { grid.scrollLeft = grid.scrollWidth; }")
    expect(row(found, "evil").get_by_text('"a\\u202eb"', exact=True)).to_be_visible()
    lines = found.locator(".nbx-bar, .nbx-plot figcaption").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().height)"
    )
    assert len(lines) >= 3
    assert max(lines) < 40
    for item in ("Compare with its baseline", "Compare with the workspace"):
        menu(found, "evil", item)
        expect(outcome(found)).not_to_contain_text("waiting")
    found.get_by_label("Filter").fill(evil)
    expect(found.get_by_role("alert").first).to_be_visible()
    menu(found, "evil", "Note…")
    expect(found.get_by_label("Note", exact=True)).to_have_value(evil)
    assert tab.page.evaluate("() => window.pwned") is None
    assert found.locator("script").count() == 0


# The panel on a page of its own, with a kernel that answers when it is let.
ALONE = """async ([js, css, data]) => {
  document.head.append(Object.assign(document.createElement('style'), {textContent: css}));
  const module = await import(URL.createObjectURL(new Blob([js], {type: 'text/javascript'})));
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const state = {uid: 'u', view: '{}', data: new DataView(bytes.buffer)};
  const heard = [];
  window.asked = [];
  window.answer = number => heard.forEach(hear => hear({say: 'done', number}, []));
  const model = {
    get: name => state[name], set: (name, value) => { state[name] = value; }, save_changes() {}, off() {},
    on: (name, act) => { if (name === 'msg:custom') heard.push(act); }, send: content => window.asked.push(content),
  };
  const el = document.createElement('div');
  document.body.append(el);
  module.default.initialize({model});
  module.default.render({model, el});
}"""
SCROLL = """async steps => {
  const grid = document.querySelector('.nbx-grid');
  const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  let writes = 0;
  const seen = new MutationObserver(found => { writes += found.length; });
  seen.observe(grid, {subtree: true, childList: true, attributes: true, characterData: true});
  for (const [down, right] of steps) {
    grid.scrollTop += down;
    grid.scrollLeft = right;
    await frame();
    await frame();
  }
  seen.disconnect();
  const rows = [...grid.querySelectorAll('.nbx-body .nbx-row')].sort((a, b) => a.dataset.index - b.dataset.index);
  const cells = rows.map(row => [...row.querySelectorAll('[role=gridcell], [role=rowheader]')].map(
    cell => [Number(cell.getAttribute('aria-colindex')), (cell.querySelector('.nbx-name') ?? cell).textContent]));
  const box = grid.getBoundingClientRect();
  const away = [...grid.querySelectorAll('.nbx-body .nbx-row')].filter(row => {
    const top = row.getBoundingClientRect().top - box.top + grid.scrollTop - 31;
    return Math.abs(top - row.dataset.index * 26) > 1.5;
  }).length;
  const heads = [...grid.querySelectorAll('[role=columnheader]')].map(head => [Number(head.getAttribute('aria-colindex')), head.getBoundingClientRect().left]);
  const lefts = [...rows[0].querySelectorAll('[role=gridcell], [role=rowheader]')].map(cell => [Number(cell.getAttribute('aria-colindex')), cell.getBoundingClientRect().left]);
  return {writes: writes / steps.length, first: Number(rows[0].dataset.index), cells, away, heads, lefts};
}"""


@pytest.fixture
def alone(_browser: Any) -> Any:
    """The panel with 3,000 experiments of 14 metrics and 16 params, without a notebook."""
    made = [
        row_of(
            f"exp-{number}",
            {f"m{column:02}": number * 100 + column for column in range(14)},
            {f"p{column:02}": number * 100 + 50 + column for column in range(16)},
            number,
        )
        for number in range(3000)
    ]
    packed = base64.b64encode(rows.whole(rows.of(table_of(*made)))).decode()
    page = _browser.new_page(viewport={"width": 1280, "height": 1000})
    page.evaluate(ALONE, [*bundled.read("compare"), packed])
    expect(page.get_by_text("3000 experiments")).to_be_visible()
    yield page
    page.close()


@pytest.fixture
def bare(_browser: Any) -> Any:
    """The panel with no experiment, without a notebook."""
    page = _browser.new_page()
    packed = base64.b64encode(rows.whole(rows.of(table_of()))).decode()
    page.evaluate(ALONE, [*bundled.read("compare"), packed])
    yield page
    page.close()


def test_a_frame_that_scrolls_writes_what_is_new_alone_and_each_cell_is_right(alone: Any) -> None:
    steps = [(333, at % 30 * 40) for at in range(45)] + [(-1900, 1100), (27, 1060), (4000, 0), (55, 640)]  # fmt: skip
    found = alone.evaluate(SCROLL, steps)
    # 30 rows of 12 cells are in view, and half of them are others in each frame; all of their attributes would be 2,100.
    assert found["writes"] < 600
    assert found["away"] == 0
    assert found["heads"] == found["lefts"]
    for at, cells in enumerate(found["cells"]):
        number = found["first"] + at - 2  # the workspace and main come first
        assert [column for column, _ in cells] == sorted(column for column, _ in cells)
        for column, text in cells:
            if column == 1:
                assert text == f"exp-{number}"
            elif column > 2:
                place = column - 3
                value = number * 100 + (place if place < 14 else 36 + place)
                assert text.removeprefix("★ ") == str(value)


def test_before_the_first_experiment_it_is_said_how_one_is_made(bare: Any) -> None:
    expect(bare.get_by_text("No experiments yet: %exp run makes one.")).to_be_visible()


def test_choices_that_follow_each_other_are_told_once(alone: Any) -> None:
    for _ in range(10):
        alone.locator(".nbx-grid").focus()
        alone.keyboard.press("Shift+ArrowDown")
    expect(alone.get_by_text("10 selected")).to_be_visible()
    said = "() => window.asked.filter(one => one.do === 'select').map(one => [one.number, one.ids.length])"
    (first, count), *more = alone.evaluate(said)
    assert (count, more) == (1, []), "the first is on its way, and the last waits"
    alone.evaluate("number => window.answer(number)", first)
    alone.wait_for_function(f"() => ({said})().length === 2")
    assert [count for _, count in alone.evaluate(said)] == [1, 10]
