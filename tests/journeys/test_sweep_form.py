"""The form of a sweep in JupyterLab: filled in, counted, started, seen to its end, and recorded."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

# The picture of docs/how-to/sweep-with-a-form.md is made anew with `NBEXP_PICTURES=docs/_static`.
PICTURE = "sweep-form.png"
PICTURES = os.environ.get("NBEXP_PICTURES") and Path(os.environ["NBEXP_PICTURES"]).resolve()
EVIL = "<script>document.title='broken into'</script>"


@pytest.fixture
def project(pipeline_project: Callable[..., Path], nbexp_cli: Any) -> Path:
    """Two experiments are recorded, so that metrics, past values and durations are known."""
    root = pipeline_project()
    for lr in ("0.05", "0.06"):
        nbexp_cli("run", "-S", f"train.lr={lr}", cwd=root, code=0)
    return root


def row(tab: Any, name: str) -> Any:
    return tab.page.get_by_role("group", name=name, exact=True)


def names(project: Path, git: Callable[..., str]) -> set[str]:
    listed = git("for-each-ref", "--format=%(refname)", "refs/exps", cwd=project)
    return {ref.rpartition("/")[2] for ref in listed.splitlines()}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_sweep_is_asked_for_by_a_form(
    open_notebook: Any, project: Path, git: Callable[..., str], theme: str, tmp_path: Path
) -> None:
    before = names(project, git)
    tab = open_notebook(project, ["%load_ext nbexp", "%exp sweep -i"], theme=theme, width=1000)
    tab.run_all()
    page = tab.page
    form = page.get_by_role("group", name="A sweep over params.yaml")
    form.wait_for()
    start = form.get_by_role("button", name="Start the sweep")
    assert start.is_disabled()
    form.get_by_text("Nothing varies yet.").wait_for()
    assert row(tab, "train.lr").get_by_text("number, now 0.06").is_visible()

    # What is wrong is said while one types, and goes when it is mended.
    lr = row(tab, "train.lr")
    lr.get_by_label("what becomes of train.lr").select_option(label="a range")
    lr.get_by_role("textbox", name="from").fill("x")
    form.get_by_text("The start `x` is no number. Hint: a number, such as 0.1 or 1e-4").wait_for()
    assert lr.get_by_role("textbox", name="from").get_attribute("aria-invalid") == "true"
    lr.get_by_role("textbox", name="from").fill("0.03")
    lr.get_by_role("textbox", name="below").fill("0.07")
    lr.get_by_role("textbox", name="step").fill("0.01")
    lr.get_by_text("4 values: 0.03, 0.04, 0.05, 0.06").wait_for()
    form.get_by_label("metric").fill("acc")
    form.get_by_label("at once (-j)").fill("2")
    # Two of the four are recorded.
    form.get_by_text(
        re.compile(r"4 runs, 2 at a time; 2 are recorded already; about [\d.]+ s by past runs")
    ).wait_for()
    line = "%exp sweep --maximize acc -S 'train.lr=range(0.03,0.07,0.01)' -j 2"
    assert form.locator(".nbexp-sweep-line").text_content() == line
    assert tab.findings(".nbexp-sweep") == []
    page.screenshot(path=tmp_path / f"sweep-form-{theme}.png")
    if theme == "light":
        form.screenshot(path=(PICTURES or tmp_path) / PICTURE)

    start.click()
    form.get_by_text(re.compile("4 of 4 trials: 4 done; best so far")).wait_for()
    form.get_by_role("button", name="Another sweep").wait_for()
    assert len(names(project, git)) == 4
    assert before < names(project, git)
    # Below stands what the sweep came to, with its history, and stays when the widgets have gone.
    page.locator(".jp-OutputArea").get_by_text("sweep-1").first.wait_for()
    page.get_by_role("img", name=re.compile(r"acc of 4 trials; the best is 0\.9333, of trial 1")).wait_for()  # fmt: skip
    assert tab.findings(".nbexp-sweep") == []
    page.screenshot(path=tmp_path / f"sweep-over-{theme}.png")
    saved = json.dumps(tab.save()["cells"])
    assert "4 of 4 trials: 4 done" in saved
    assert "best: " in saved

    # The same once more has run already, and the form says so.
    form.get_by_role("button", name="Another sweep").click()
    form.get_by_text("sweep-1 has run this already: to start it is to show it").wait_for()


def test_it_says_that_the_kernel_is_busy_and_that_it_has_gone(
    open_notebook: Any, project: Path, tmp_path: Path
) -> None:
    gate, began = tmp_path / "gate", tmp_path / "began"
    cells = [
        "%load_ext nbexp",
        "%exp sweep -i",
        f"""import os, time
open({str(began)!r}, 'w').close()
while not os.path.exists({str(gate)!r}): time.sleep(0.05)""",
        "os.kill(os.getpid(), 9)",
    ]
    tab = open_notebook(project, cells, width=1000)
    page = tab.page
    for number in (0, 1):
        activate(tab, number)
        tab.command("notebook:run-cell")
    form = page.get_by_role("group", name="A sweep over params.yaml")
    form.get_by_text("Nothing varies yet.").wait_for()
    busy, gone = form.get_by_text("The kernel is busy: "), form.get_by_text("⚠ disconnected: ")
    busy.wait_for(state="hidden")
    activate(tab, 2)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    while not began.exists():  # what is filled in before that would still be heard
        page.wait_for_timeout(20)
    lr = row(tab, "train.lr")
    lr.get_by_label("what becomes of train.lr").select_option(label="values")
    lr.get_by_role("textbox", name="values").fill("0.2, 0.3")
    busy.wait_for()
    assert gone.count() == 0
    gate.touch()
    lr.get_by_text("2 values: 0.2, 0.3").wait_for()
    busy.wait_for(state="hidden")
    start = form.get_by_role("button", name="Start the sweep")
    expect(start).to_be_enabled()
    activate(tab, 3)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    gone.wait_for()
    assert "run the cell again" in (gone.text_content() or "")
    expect(start).to_be_disabled()
    expect(lr.get_by_role("textbox", name="values")).to_be_disabled()
    assert tab.findings(".nbexp-sweep") == []


def activate(tab: Any, number: int) -> None:
    tab.page.evaluate(
        "n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n; }", number
    )


def test_it_is_filled_in_with_the_keyboard_alone(
    open_notebook: Any, project: Path, git: Callable[..., str], tmp_path: Path
) -> None:
    tab = open_notebook(project, ["%load_ext nbexp", "%exp sweep -i"], width=1000)
    tab.run_all()
    page = tab.page
    lr = row(tab, "train.lr")
    how = lr.get_by_label("what becomes of train.lr")
    how.wait_for()
    how.focus()
    page.keyboard.press("v")  # values
    page.keyboard.press("Tab")
    page.keyboard.type("0.05, 0.2")
    lr.get_by_text("2 values: 0.05, 0.2").wait_for()
    # Keys are the form's: none of them is a command of the notebook.
    assert len(tab.cells()) == 2
    start = page.get_by_role("button", name="Start the sweep")
    page.get_by_text(re.compile("2 runs; 1 is recorded already")).wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == "Start the sweep":
            break
    assert start.evaluate("node => node === document.activeElement")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Another sweep").wait_for()
    assert len(names(project, git)) == 3


def test_it_fits_a_narrow_column_and_what_is_planted_stays_text(
    open_notebook: Any, project: Path, git: Callable[..., str], tmp_path: Path
) -> None:
    params = (project / "params.yaml").read_text()
    planted = f'"{EVIL}": 1\nplanted: "{EVIL}"\n"</script><img src=x onerror=alert(1)>": "$x$"\n'
    planted += f'long: "{"x" * 5000}"\nturned: "a\\u202eb"\n'
    (project / "params.yaml").write_text(params + planted)
    git("commit", "--all", "--quiet", "--message=planted", cwd=project)
    tab = open_notebook(
        project, ["%load_ext nbexp", "%exp sweep -i -S 'planted=a,b'"], width=700, height=900
    )
    tab.run_all()
    page = tab.page
    row(tab, EVIL).get_by_text(f"in `{EVIL}=0` is no key of a param.").wait_for()
    planted_row = row(tab, "planted")
    assert planted_row.get_by_role("textbox", name="values").input_value() == "a,b"
    page.get_by_text(re.compile("^2 runs; ")).wait_for()
    planted_row.get_by_role("textbox", name="values").fill(f'"{EVIL}", c')
    page.wait_for_function(
        "() => document.querySelector('.nbexp-sweep-line').textContent.includes('<script>')"
    )
    typed = page.locator(".nbexp-sweep-line").text_content()
    assert shlex.split(typed)[-1] == (
        r"planted='<script>document.title=\'broken into\'</script>',c"
    )
    assert page.title() != "broken into"
    expect(row(tab, "turned")).to_contain_text("a\\u202eb")
    assert row(tab, "long").bounding_box()["height"] < 120
    for width in (700, 300):
        page.evaluate(
            "width => { document.querySelector('.nbexp-sweep').style.width = width + 'px'; }", width
        )
        over = page.evaluate(
            """() => [...document.querySelectorAll('.nbexp-sweep *')].filter(one => one.offsetParent
              && one.getBoundingClientRect().right
                > document.querySelector('.nbexp-sweep').getBoundingClientRect().right + 1).length"""
        )
        assert over == 0, width
        page.locator(".nbexp-sweep").screenshot(path=tmp_path / f"sweep-{width}.png")
    assert tab.findings(".nbexp-sweep") == []


@pytest.mark.parametrize("app", ["lab", "notebook"])
def test_what_waits_and_what_does_not_start_is_said(
    open_notebook: Any, project: Path, git: Callable[..., str], app: str
) -> None:
    cells = ["%load_ext nbexp", "%exp sweep -i -S train.lr=0.1,0.2"]
    tab = open_notebook(project, cells, app=app)
    tab.run_all()
    page = tab.page
    page.get_by_text(re.compile("^2 runs; ")).wait_for()
    page.get_by_label("when").select_option(label="let it wait in the queue")
    line = page.get_by_text("%exp run --queue -S train.lr=0.1,0.2", exact=True)
    line.wait_for()
    page.get_by_role("button", name="Put it into the queue").click()
    page.get_by_text("It waits in the queue.").wait_for()
    assert len(names(project, git)) == 2
    page.get_by_role("button", name="Another sweep").click()
    page.get_by_label("when").select_option(label="run now, beside your files")
    # A name that is taken is said before it starts.
    page.get_by_label("named (optional)").fill("no..name")
    page.get_by_text(re.compile("`no..name-2`")).first.wait_for()
    assert page.get_by_role("button", name="Start the sweep").is_disabled()
