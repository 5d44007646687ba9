"""The first minutes and the first day in a browser, cell by cell, as the product's script has them (4.1, 4.2)."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.journeys.test_first_minutes import EXAMPLE, NAME, TIME, git

FIRST_MINUTES = [
    "%load_ext nbexp",
    "%exp init train.ipynb",
    "%exp run -n dusty-crow",
    "%exp run -S train.lr=0.03 -n mauve-pike",
    "%exp run -S train.lr=0.03",
    "%exp run -S train.lrr=0.03",
    "%exp show",
    "%exp diff dusty-crow mauve-pike",
    "%exp plot acc",
]


def in_project(tmp_path: Path) -> Path:
    folder = tmp_path / "churn"
    folder.mkdir()
    shutil.copy(EXAMPLE / "train.ipynb", folder)
    return folder


def outputs(tab: Any) -> list[list[dict[str, Any]]]:
    return [cell.get("outputs", []) for cell in tab.cells()]


def plain(found: list[dict[str, Any]]) -> str:
    """What a cell shows in the end, and prints, as text."""
    parts = []
    for one in found:
        said = (
            one.get("data", {}).get("text/plain") or one.get("text") or one.get("traceback") or ""
        )
        ends = "\n" if said == one.get("traceback") else ""
        parts.append(said if isinstance(said, str) else ends.join(said))
    return "\n".join(parts)


def run_each(tab: Any, count: int) -> None:
    """Run the cells one after the other, also behind one that fails."""
    for number in range(count):
        tab.page.evaluate(
            "n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n; }", number
        )
        tab.command("notebook:run-cell", 180)


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_the_first_minutes(app: str, open_notebook: Any, tmp_path: Path) -> None:
    folder = in_project(tmp_path)
    before = (folder / "train.ipynb").read_bytes()
    tab = open_notebook(folder, FIRST_MINUTES, app=app)
    run_each(tab, len(FIRST_MINUTES))
    found = outputs(tab)
    assert all(found), [plain(one) for one in found]
    said = [plain(one) for one in found]
    assert "no project here yet. Next: %exp init train.ipynb" in said[0]
    commit = git("rev-parse", "--short=7", "main", cwd=folder).strip()
    assert [re.sub(r" {2,}", "  ", line) for line in said[1].splitlines()] == [
        'parameters  lr=0.1 (float)  epochs=10 (int)  seed=0 (int)  from the cell tagged "parameters"',
        "metrics  metrics.json  written in cell 3",
        "live  acc by step  logged in cell 2",
        "wrote  params.yaml  dvc.yaml  .gitignore  runs/.gitignore  .dvc/",
        f'baseline  {commit} "nbexp: track train.ipynb"  (new Git repository)',
        "train.ipynb was not changed. Next: %exp run",
    ]
    assert re.search(rf"dusty-crow   done in {TIME}   \(nbexp {TIME}\)\n  acc +0\.875\n", said[2])
    assert re.search(
        rf"mauve-pike   done in {TIME}   \(nbexp {TIME}\)\n  train\.lr +0\.1 -> 0\.03\n"
        r"  acc +0\.945   \+0\.07 vs dusty-crow  \(better\)\n",
        said[3],
    )
    assert re.search(
        rf"identical to mauve-pike \(same code, data and parameters\): nothing to run +{TIME} +--new runs it again",
        said[4],
    )
    assert said[5].splitlines() == [
        "No param `train.lrr` in params.yaml. Nothing was run.",
        "Hint: did you mean `train.lr`? A new param is added with a plus: `%exp run -S +train.lrr=0.03`.",
    ]
    assert [line.split()[0] for line in said[6].splitlines()] == [
        "experiment", "workspace", "main", "mauve-pike", "dusty-crow",
    ]  # fmt: skip
    assert said[7].splitlines()[0].split() == ["params", "train.lr", "0.1", "->", "0.03"]
    # As people see it: tables and a picture, whole and on the page.
    page = tab.page
    show = page.locator(".jp-OutputArea-output table").filter(has_text="mauve-pike").first
    assert show.is_visible()
    rows = [
        [cell.strip() for cell in row.locator("th,td").all_text_contents()]
        for row in page.locator(".jp-Cell").nth(6).locator("table tr").all()
    ]
    assert [[row[0], *row[2:]] for row in rows] == [
        ["experiment", "acc ↑", "train.lr", "train.epochs", "train.seed"],
        ["workspace", "0.945", "0.03", "10", "0"],
        ["main", "-", "0.1", "10", "0"],
        ["mauve-pike", "★ 0.945", "0.03", "10", "0"],
        ["dusty-crow", "0.875", "0.1", "10", "0"],
    ]
    plot = page.locator(".jp-Cell").nth(8)
    plot.scroll_into_view_if_needed()
    drawing = plot.locator(".jp-OutputArea-output").locator("svg, canvas, img").first
    drawing.wait_for()
    box = drawing.bounding_box()
    assert box is not None and box["width"] > 300 and box["height"] > 150
    page.screenshot(path=tmp_path / f"first-minutes-{app}.png")
    assert (tab.outside, tab.errors) == ([], [])
    assert (folder / "train.ipynb").read_bytes() == before
    assert json.loads((folder / "metrics.json").read_text()) == {"acc": 0.945}


def test_tab_shows_the_present_value_of_a_param(open_notebook: Any, tmp_path: Path) -> None:
    folder = in_project(tmp_path)
    tab = open_notebook(folder, ["%load_ext nbexp\n%exp init train.ipynb", "%exp run -S tr"])
    tab.page.evaluate(
        "() => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = 0; }"
    )
    tab.command("notebook:run-cell-and-select-next")
    page = tab.page
    page.locator(".jp-Cell").nth(1).locator(".cm-content").click()
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    box = page.locator(".jp-Completer")
    box.wait_for()
    listed = [one.strip() for one in box.locator(".jp-Completer-match").all_text_contents()]
    # JupyterLab orders them by name.
    assert listed == ["train.epochs=", "train.lr=", "train.seed="]
    kinds = box.locator(".jp-Completer-typeExtended")
    assert [one.split() for one in kinds.all_text_contents()] == [
        ["now", "10"],
        ["now", "0.1"],
        ["now", "0"],
    ]
    heights = [one.bounding_box()["height"] for one in kinds.all()]
    assert max(heights) < 30, "each is one line"
    page.screenshot(path=tmp_path / "completion.png")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.source === '%exp run -S train.lr='"
    )


FIRST_DAY = {
    11: "%exp run --queue -S train.lr=0.01,0.05,0.001 -S train.seed=0,1",
    12: "%exp queue start -j 2",
    13: "%exp queue -i",
    14: "%exp logs {first} -f",
    15: '%exp show --where "acc > 0.92" --sort-by acc --sort-order desc --group-by train.lr',
    16: '%exp sweep --optuna "maximize acc" -S "train.lr=interval(0.001,0.2)" -S train.epochs=5,10,20 --trials 20 -j 2 --seed 1 -n search',
    17: """%%exp -n try-momentum
momentum = 0.9
acc = 0.95 - abs(lr - 0.03) * (1 - momentum)
{"acc": round(acc, 4)}""",
    18: "%exp open dusty-crow",
    19: "%exp diff dusty-crow mauve-pike --notebook",
    20: "%exp why train mauve-pike",
    21: "%exp plan -S train.epochs=20",
    22: "%exp cache",
    23: "%exp dag",
    24: "%exp apply dusty-crow",
    25: "%exp apply dusty-crow --force",
    26: "%exp undo",
    27: "%exp verify mauve-pike",
    28: "%exp rm dusty-crow",
    29: "%exp trash restore dusty-crow",
    30: "%exp gc",
}


def test_the_first_day(open_notebook: Any, tmp_path: Path) -> None:
    folder = in_project(tmp_path)
    setting = [
        "%load_ext nbexp\n%exp init train.ipynb\nimport nbexp; project = nbexp.open()",
        "%exp run -q -n dusty-crow\n%exp run -q -S train.lr=0.03 -n mauve-pike",
    ]
    edit = "with open('params.yaml', 'a') as file: _ = file.write('# by hand\\nother: 1\\n')"
    first = "first = project.queue.status().tasks[0].name"
    wait = "import time\nwhile any(one.state != 'done' for one in project.queue.status().tasks): time.sleep(0.2)"
    cells = {**FIRST_DAY, 11.5: first, 14.5: wait, 23.5: edit}
    order = sorted(cells)
    tab = open_notebook(folder, [*setting, *(cells[number] for number in order)])
    run_each(tab, len(setting) + len(order))
    said = dict(zip(order, (plain(one) for one in outputs(tab)[len(setting) :]), strict=True))
    assert re.match(r"queued 6   duplicates 0   .*lr=0\.01.*seed=0", said[11])
    assert said[11].splitlines()[1:] == [
        "pre-flight: all inputs tracked",
        "start: %exp queue start -j 2",
    ]
    assert said[12] == "Started '2' new experiments task queue workers."
    assert "task     name" in said[13]
    panel = tab.page.get_by_role("region", name="The queue")
    panel.scroll_into_view_if_needed()
    expect(
        panel.get_by_text(re.compile(r"waiting 0 · running 0 · done 6 · failed 0"))
    ).to_be_visible()
    # Lab takes what is outside the window off the page and puts it back: what is read is waited for.
    heads = ["name", "state", "stage", "progress", "values", "elapsed"]
    expect(panel.locator("thead th")).to_have_text(heads, use_inner_text=True)
    expect(panel.locator("tbody tr").filter(has_text="✓ done")).to_have_count(6)
    # Lines from before it was asked, what follows, and the end.
    followed = said[14].splitlines()
    assert followed[:2] == [
        "Running stage 'train':",
        "> nbexp notebook train.ipynb runs/train.ipynb --params train",
    ]
    assert followed[-1].endswith(": done")
    groups = [line.split() for line in said[15].splitlines()]
    assert groups[0][:2] == ["train.lr", "n"]
    assert sorted((row[0], row[1], row[2]) for row in groups[1:]) == [
        ("0.01", "2", "0.9255"), ("0.03", "1", "0.9450"), ("0.05", "2", "0.9255"),
    ]  # fmt: skip
    assert "± 0.0007" in said[15]
    assert re.search(r"best: search-\d+ acc 0\.9\d+ \(train\.lr 0\.0\d+, epochs|best: search-\d+ acc 0\.9", said[16])  # fmt: skip
    shown = [re.sub(r" {2,}", "  ", line.strip()) for line in said[17].splitlines()]
    assert re.fullmatch(rf"try-momentum  done in {TIME}  \(nbexp {TIME}\)", shown[1])
    assert [shown[0], *shown[2:]] == [
        "{'acc': 0.95}",
        "acc  0.95",
        "params  lr=0.03 (params.yaml)",
        "notebook  %exp open try-momentum",
        "again  %exp rerun try-momentum",
    ]
    assert "runs/train.ipynb" in said[18]
    assert said[20].startswith("train ran in mauve-pike") and "params.yaml:train.lr 0.1 -> 0.03" in said[20]  # fmt: skip
    assert re.search(r"train +run +(~?\d+\.\d s +)?.*train\.epochs 10 -> 20", said[21])
    assert "train" in said[22]
    assert said[24].splitlines() == [
        "1 file has edits that no commit or experiment holds: params.yaml. Nothing was applied.",
        "Hint: keep them as an undo point and go on: `%exp apply dusty-crow --force` (then `%exp undo` brings them back).",
    ]
    assert "dusty-crow" in said[25]
    assert (folder / "params.yaml").read_text().endswith("# by hand\nother: 1\n")
    assert "identical" in said[27] and "different" not in said[27]
    assert "dusty-crow" in said[28] and "dusty-crow" in said[29]
    assert "--yes" in said[30]
    assert (tab.outside, tab.errors) == ([], [])
    names = set(git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps", cwd=folder).split())  # fmt: skip
    assert {"dusty-crow", "mauve-pike", "try-momentum"} <= names
    assert len([one for one in names if re.fullmatch(NAME, one)]) >= 8
    assert "20 of 20" in said[16] or "20 trials" in said[16], said[16]


def test_the_square_button_ends_the_following_of_a_log_and_not_the_run(
    open_notebook: Any, tmp_path: Path, nbexp_cli: Any
) -> None:
    folder = in_project(tmp_path)
    nbexp_cli("init", "train.ipynb", cwd=folder)
    nbexp_cli("run", "--queue", "-n", "calm-otter", "-S", "train.epochs=100000", cwd=folder)
    nbexp_cli("queue", "start", cwd=folder)

    def state() -> str:
        (task,) = json.loads(nbexp_cli("queue", "status", "--json", cwd=folder).stdout)["tasks"]
        return str(task["state"])

    try:
        tab = open_notebook(folder, ["%load_ext nbexp", "%exp logs calm-otter -f", "1 + 1"])
        run_each(tab, 1)
        page = tab.page
        page.evaluate(
            "() => { const j = window.jupyterapp; j.shell.currentWidget.content.activeCellIndex = 1; j.commands.execute('notebook:run-cell'); }"
        )
        shown = page.locator(".jp-Cell").nth(1).locator(".jp-OutputArea")
        expect(shown).to_contain_text("Running stage 'train'")
        page.get_by_role("button", name="Interrupt the kernel").click()
        page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget.content.widgets[1].model.executionCount != null"
        )
        assert not [one for one in outputs(tab)[1] if one["output_type"] == "error"]
        assert state() == "running"
        page.evaluate(
            "() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2; }"
        )
        tab.command("notebook:run-cell")
        assert plain(outputs(tab)[2]) == "2"
        assert state() == "running"
    finally:
        nbexp_cli("stop", "calm-otter", cwd=folder)
        nbexp_cli("queue", "stop", "--kill", cwd=folder, code=None)
