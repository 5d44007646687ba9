"""What a cell shows while stages run: the graph of the pipeline and the curves of what is logged, through a real kernel."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import kernels

DVC_YAML = """\
stages:
  data:
    cmd: cp source.txt data.txt
    deps: [source.txt]
    outs: [data.txt]
  linear:
    cmd: python wait.py linear
    deps: [data.txt, wait.py]
    outs: [linear.txt]
  forest:
    cmd: python wait.py forest
    deps: [data.txt, wait.py]
    outs: [forest.txt]
  report:
    cmd: nbexp notebook report.ipynb runs/report.ipynb
    deps: [report.ipynb, linear.txt, forest.txt]
    outs: [runs/report.ipynb]
"""
# A stage that logs two steps, and goes on when somebody has seen them.
WAIT = """\
import sys, time
from pathlib import Path

from nbexp import live

name = sys.argv[1]
for step in (1, 2, 3):
    live.log(step, **{"loss <b>": 1 / step})
end = time.monotonic() + 120
while not Path("seen").exists() and time.monotonic() < end:
    time.sleep(0.02)
Path(f"{name}.txt").write_text("done")
"""
# A cell that goes on when somebody has seen that it runs.
CELL = """\
import time
from pathlib import Path

end = time.monotonic() + 120
while not Path("cell-seen").exists() and time.monotonic() < end:
    time.sleep(0.02)
"""


@pytest.fixture
def project(repo: Path, git: Callable[..., str], nbexp_cli: Callable[..., Any]) -> Path:
    import nbformat

    nbexp_cli("init", cwd=repo)
    sources = ["x = 1", CELL, "x = 3", "x = 4"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in sources])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, repo / "report.ipynb")
    (repo / "dvc.yaml").write_text(DVC_YAML)
    (repo / "wait.py").write_text(WAIT)
    (repo / "source.txt").write_text("1\n")
    (repo / ".gitignore").write_text("seen\ncell-seen\n/dvclive\n")
    git("add", "--all", cwd=repo)
    git("commit", "--quiet", "--message=pipeline", cwd=repo)
    return repo


class Cells:
    """A kernel, and what each of its cells shows, message by message."""

    def __init__(self, folder: Path, **env: str) -> None:
        self._manager = kernels.manager()
        self._manager.start_kernel(
            cwd=str(folder), env={**os.environ, **env}, stderr=subprocess.DEVNULL
        )
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(
        self, code: str, hears: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> list[dict[str, Any]]:
        """The messages of a cell that show something; `hears` gets each as it comes."""
        found: list[dict[str, Any]] = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] in ("display_data", "update_display_data", "execute_result"):
                found.append(message)
                hears(message)

        reply = self._client.execute_interactive(code, output_hook=take, timeout=180)
        assert reply["content"]["status"] == "ok", reply["content"]
        return found

    def stop(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def start() -> Iterator[Callable[..., Cells]]:
    started: list[Cells] = []

    def begin(folder: Path, **env: str) -> Cells:
        started.append(Cells(folder, **env))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


def states(html: str) -> dict[str, str]:
    """The stages of the graph in a display, and what they are at in words."""
    found = re.search(r'(?:aria-label|alt)="(data: [^"]*)"', html)
    return {} if found is None else dict(re.findall(r"(\w+): ([^;]*)", found[1]))


def test_the_graph_and_the_curves_are_seen_while_two_stages_run(
    project: Path, start: Callable[..., Cells], tmp_path: Path
) -> None:
    cells = start(project, JPY_SESSION_NAME=str(project / "work.ipynb"))
    cells.run("%load_ext nbexp")
    frames: list[dict[str, str]] = []
    pages: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        html = message["content"]["data"]["text/html"]
        pages.append(html)
        frames.append(states(html))
        curve = re.search(r'aria-label="(loss[^"]*)"', html)
        both = curve is not None and curve[1].count("at step 3") == 2
        if both and all(frames[-1][name].startswith("running") for name in ("linear", "forest")):
            (project / "seen").touch()
        if frames[-1].get("report", "").startswith("cell 2/4"):
            (project / "cell-seen").touch()

    shown = cells.run("%exp run -j 2 -n both", hear)
    # All of it is one display, replaced in place and not too often.
    assert {one["content"]["transient"]["display_id"] for one in shown} == {
        shown[0]["content"]["transient"]["display_id"]
    }
    assert [one["msg_type"] for one in shown] == ["display_data"] + ["update_display_data"] * (
        len(shown) - 1
    )
    # The stages wait until their third step was seen: it was, while both ran. So does the second cell.
    assert (project / "seen").exists()
    label = next(
        found[1]
        for page in pages
        if (found := re.search(r'aria-label="(loss[^"]*)"', page)) and found[1].count("step 3") == 2
    )
    name, _, said = label.partition(": ")
    assert name == "loss &lt;b&gt;"
    assert sorted(said.split(", ")) == ["forest 0.3333 at step 3", "linear 0.3333 at step 3"]
    assert (project / "cell-seen").exists()
    assert any(frame.get("report") == "waiting" for frame in frames)
    # What stays is the card, and below it the graph as a picture that runs nothing.
    last = shown[-1]["content"]["data"]
    assert last["text/plain"].startswith("both   done in ")
    assert [states(last["text/html"])[name].split()[0] for name in frames[-1]] == ["done"] * 4
    drawn = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)"', last["text/html"])
    assert [base64.b64decode(one).decode() for one in drawn] == [last["image/svg+xml"]]
    # The second time it is known how long it takes.
    (project / "source.txt").write_text("2\n")
    known: list[str] = []
    cells.run("%exp run -j 2", lambda one: known.append(one["content"]["data"]["text/plain"]))
    assert any(re.search(r"^report +waiting +~", text, re.MULTILINE) for text in known)
    assert any("left, by past runs" in text for text in known)


def test_a_notebook_that_nobody_looks_at_keeps_the_graph(
    project: Path, start: Callable[..., Cells]
) -> None:
    (project / "seen").touch()
    (project / "cell-seen").touch()
    cells = start(project)
    cells.run("%load_ext nbexp")
    (shown,) = cells.run("%exp run -j 2")
    data = shown["content"]["data"]
    assert {"text/plain", "text/html", "image/svg+xml"} <= data.keys()
    assert set(states(data["text/html"])) == {"data", "linear", "forest", "report"}
    assert data["image/svg+xml"].count(">✓ done ") == 4


def test_a_table_after_a_run_has_no_graph(project: Path, start: Callable[..., Cells]) -> None:
    cells = start(project, JPY_SESSION_NAME=str(project / "work.ipynb"))
    cells.run("%load_ext nbexp")
    (shown,) = cells.run("%exp dag")
    assert "✓" not in shown["content"]["data"]["image/svg+xml"]
