"""Widgets in JupyterLab and Notebook, through a real server, kernel and browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PICTURE = "setup-form.png"


@pytest.fixture(params=["lab", "notebook"])
def tab(request: pytest.FixtureRequest, open_notebook: Any, tmp_path: Path) -> Any:
    """A notebook that asks for the form, in a folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    found = open_notebook(folder, ["%load_ext nbexp", "%exp init -i"], app=request.param)
    found.run_all()
    return found


def test_the_seven_questions_are_a_form(tab: Any, tmp_path: Path) -> None:
    page, folder = tab.page, tab.path.parent
    command = page.get_by_label("Command to run")
    command.wait_for()
    # The static part is beside it, and stays when the widgets have gone.
    assert page.get_by_text("├── metrics.json").first.is_visible()
    values = {
        label: page.get_by_label(label).input_value()
        for label in (
            "Code, a file or folder",
            "Data, a file or folder",
            "Metrics file",
            "Plots, a file or folder",
        )
    }
    assert list(values.values()) == ["src", "data", "metrics.json", "plots"]
    # By the keyboard alone: a field, the next one with Tab, and the button with Enter.
    command.focus()
    page.keyboard.type("python train.py")
    for word in ("train.py", None, "n", None, None, "n"):
        page.keyboard.press("Tab")
        if word is not None:
            page.keyboard.press("Control+A")
            page.keyboard.type(word)
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Write the stage"
    page.screenshot(path=tmp_path / PICTURE)
    page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text="python train.py").wait_for()
    assert (folder / "dvc.yaml").read_text() == (
        "stages:\n"
        "  train:\n"
        "    cmd: python train.py\n"
        "    deps:\n"
        "    - data\n"
        "    - train.py\n"
        "    params:\n"
        "    - params.yaml:\n"
        "    metrics:\n"
        "    - metrics.json:\n"
        "        cache: false\n"
    )
    assert page.get_by_role("button", name="Write the stage").is_disabled()
    page.screenshot(path=tmp_path / "setup-written.png")


def test_a_wrong_answer_is_said_in_the_form(tab: Any) -> None:
    page, folder = tab.page, tab.path.parent
    page.get_by_label("Command to run").wait_for()
    page.get_by_role("button", name="Write the stage").click()
    page.get_by_role("alert").filter(has_text="There is no command").wait_for()
    assert not (folder / "dvc.yaml").exists()
