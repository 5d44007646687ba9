"""`make demo` without make: the example project, its lab notebook run headless, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path


def test_the_demo_tells_the_whole_story_of_the_digits(tmp_path, nbexp_cli, dvc):
    folder = tmp_path / "digits"
    done = nbexp_cli("demo", str(folder), timeout_s=300)
    check_the_printed_table(done.stdout, folder)
    check_the_executed_lab_notebook(folder)
    # Real DVC takes the demo for a project of its own.
    assert json.loads(dvc("status", "--json", cwd=folder).stdout) == {}
    theirs = json.loads(dvc("exp", "show", "--json", cwd=folder).stdout)
    assert json.loads(nbexp_cli("show", "--json", cwd=folder).stdout) == theirs
    # The picture of where the model errs is kept with each experiment.
    opened = json.loads(nbexp_cli("open", "smooth", "--json", cwd=folder).stdout)
    outputs = [out for cell in opened["notebook"]["cells"] for out in cell.get("outputs", [])]
    assert any("image/png" in out.get("data", {}) for out in outputs)


def check_the_printed_table(printed: str, folder: Path) -> None:
    lines = printed.splitlines()
    head = next(line for line in lines if line.startswith("experiment "))
    columns = ["experiment", "created", "accuracy", "train_accuracy", "worst_accuracy"]
    assert head.split()[:5] == columns
    names = [line.split()[0] for line in lines[lines.index(head) + 1 :][:5]]
    assert names[:2] == ["workspace", "main"]
    assert sorted(names[2:]) == ["plain", "sharp", "smooth"]
    assert f"notebook  {folder / 'lab.executed.ipynb'}" in lines
    assert f"page      {folder / 'lab.html'}" in lines


def check_the_executed_lab_notebook(folder: Path) -> None:
    cells = json.loads((folder / "lab.executed.ipynb").read_bytes())["cells"]
    shown = [
        output["data"]
        for cell in cells
        for output in cell.get("outputs", [])
        if output["output_type"] in {"execute_result", "display_data"}
    ]
    html = "".join("".join(data.get("text/html", "")) for data in shown)
    assert "<table" in html
    assert "<script" not in html
    assert any("image/svg+xml" in data or "image/png" in data for data in shown)
