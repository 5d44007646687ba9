"""A notebook stage is an ordinary stage to DVC: it runs it, restores it and finds it unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, Ran

_STAGE = """\
stages:
  train:
    cmd: nbexp notebook train.ipynb runs/train.ipynb --params train
    deps:
    - train.ipynb
    params:
    - train
    outs:
    - runs/train.ipynb
    metrics:
    - metrics.json:
        cache: false
"""


def notebook(prose: str = "# Training", code: str = "") -> str:
    """A notebook as an editor writes it: a parameters cell, prose and one cell of work."""
    work = [
        "import json\n",
        "print('lr', lr)\n",
        f"json.dump({{'acc': 1 - lr}}, open('metrics.json', 'w')){code}",
    ]
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": [prose]},
        {
            "cell_type": "code",
            "id": "b",
            "metadata": {"tags": ["parameters"]},
            "source": ["lr = 0.5"],
            "outputs": [],
            "execution_count": None,
        },
        {
            "cell_type": "code",
            "id": "c",
            "metadata": {},
            "source": work,
            "outputs": [],
            "execution_count": None,
        },
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def test_both_tools_run_a_notebook_to_the_same_bytes(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {"dvc.yaml": _STAGE, "train.ipynb": notebook(), "params.yaml": "train:\n  lr: 0.25\n"}
        )
    )
    theirs, ours = pair.run("-n", "first")
    assert lines(ours) == lines(theirs)
    pair.agree()
    executed = json.loads((pair.nbexp_side / "runs" / "train.ipynb").read_text())
    assert executed["cells"][-1]["outputs"][0]["text"] == ["lr 0.25\n"]
    pair.run("-S", "train.lr=0.125", "-n", "second")
    pair.agree()


def test_prose_does_not_count_and_dvc_agrees(
    project: MakeProject, look: Look, lines: Callable[[Ran], list[str]]
) -> None:
    """dvc.lock gets the md5 of today, so that DVC sees nothing to do either."""
    top: Path = project(
        {"dvc.yaml": _STAGE, "train.ipynb": notebook(), "params.yaml": "train:\n  lr: 0.25\n"}
    )
    look.nbexp("run", "-n", "first", cwd=top)
    skipped = ["Stage 'train' didn't change, skipping"]
    executed = json.loads((top / "runs" / "train.ipynb").read_text())
    for edited in (
        notebook(prose="# Training, in other words"),
        json.dumps(
            executed
            | {
                "cells": [
                    cell
                    for cell in executed["cells"]
                    if "injected-parameters" not in cell["metadata"].get("tags", [])
                ]
            }
        ),
    ):
        # Other prose; then the notebook as it looks after it was run by hand.
        (top / "train.ipynb").write_text(edited)
        ran = look.nbexp("run", "--new", cwd=top)
        assert [line for line in lines(ran) if line.startswith(("Stage", "Running"))] == skipped
        assert look.status(top, "dvc") == look.status(top, "nbexp") == {}
        assert lines(look.dvc("repro", cwd=top)) == skipped
    (top / "train.ipynb").write_text(notebook(code="\nprint('done')"))
    for by in ("dvc", "nbexp"):
        assert look.status(top, by) == {"train": [{"changed deps": {"train.ipynb": "modified"}}]}
    ran = look.nbexp("run", "-n", "code", cwd=top)
    assert "Running stage 'train':" in lines(ran)
    assert look.status(top, "dvc") == {}
