"""The form of the guided setup, without a browser; tests/journeys/test_forms.py has it in JupyterLab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from nbexp import project as projects
from nbexp.errors import UsageError
from nbexp.jupyter import display
from nbexp.jupyter.panels import setup


@pytest.fixture
def form(tmp_path: Path) -> setup.Form:
    return setup.form(projects.setup(str(tmp_path)))


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    quiet = Config()
    quiet.HistoryManager.enabled = False
    new: Any = InteractiveShell
    made = new(config=quiet)
    made.run_line_magic("load_ext", "nbexp")
    yield made
    made.restore_sys_module_state()


def test_fields_hold_the_defaults(form):
    assert {key: field.value for key, field in form.fields.items()} == {
        "cmd": "",
        "code": "src",
        "data": "data",
        "models": "models",
        "params": "params.yaml",
        "metrics": "metrics.json",
        "plots": "plots",
    }


def test_an_emptied_field_is_left_out(form, tmp_path):
    form.fields["cmd"].value = "python a.py"
    for key in ("code", "data", "models", "params", "plots"):
        form.fields[key].value = ""
    form.button.click()
    assert (tmp_path / "dvc.yaml").read_text() == (
        "stages:\n  train:\n    cmd: python a.py\n    metrics:\n    - metrics.json:\n        cache: false\n"
    )
    assert form.button.disabled
    assert 'role="status"' in form.outcome.value


def test_what_is_wrong_is_said_and_can_be_mended(form, tmp_path):
    form.button.click()
    assert 'role="alert"' in form.outcome.value
    assert "There is no command to make a stage of." in form.outcome.value
    form.fields["cmd"].value = "<b>x</b>"
    (tmp_path / "params.yaml").mkdir()
    form.button.click()
    assert "`params.yaml` is a folder; the params are in a file." in form.outcome.value
    assert not form.button.disabled
    form.fields["params"].value = "p.yaml"
    form.button.click()
    assert "&lt;b&gt;x&lt;/b&gt;" in form.outcome.value
    assert "<b>x</b>" not in form.outcome.value


def test_the_static_part_reads_the_same_everywhere(tmp_path):
    found = projects.setup(str(tmp_path))
    html = str(display.html(found))
    assert "├── metrics.json   metrics that it writes" in html
    assert "--models" in html
    assert "%exp init" in html
    assert "<script" not in html


def test_where_nobody_can_answer_one_line_says_so(shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with capture_output():
        done = shell.run_cell("%exp init -i")
    assert isinstance(done.error_in_exec, UsageError)
    assert "nobody answers here" in str(done.error_in_exec)
    assert list(tmp_path.iterdir()) == []


def test_a_proposal_in_a_cell_has_its_reasons_and_waits(shell, tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("open('b.csv', 'w').write(open('a.csv').read())\n")
    monkeypatch.chdir(tmp_path)
    with capture_output():
        done = shell.run_cell("%exp init --detect")
    done.raise_error()
    contents, _ = done.result._repr_mimebundle_()
    assert "a.py:1 reads a.csv" in contents["text/plain"]
    assert "`%exp init --detect --yes` writes this to dvc.yaml." in contents["text/plain"]
    html = str(display.html(done.result))
    assert "a.py:1 reads a.csv" in html
    assert "cmd: python a.py" in html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.py"]
