"""`%%exp` as a notebook's user meets it: real kernels, a fresh one for the replay, real DVC beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import kernels

SPAWNED: list[Kernel] = []


class Kernel:
    """A kernel as a front end drives it."""

    def __init__(self, folder: Path, notebook: str | None = None, **env: str) -> None:
        self._manager = kernels.manager()
        names = {**os.environ, **env}
        if notebook is not None:
            names["JPY_SESSION_NAME"] = str(folder / notebook)
        self._manager.start_kernel(cwd=str(folder), env=names, stderr=subprocess.DEVNULL)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        SPAWNED.append(self)

    def run(self, code: str) -> Any:
        """What the cell came to: its status, what it printed, the bundles that it showed, and its error."""
        answer: dict[str, Any] = {"printed": "", "shown": [], "error": ""}

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                answer["printed"] += content["text"]
            elif message["msg_type"] in ("execute_result", "display_data"):
                answer["shown"].append(content["data"])
            elif message["msg_type"] == "error":
                answer["error"] += "\n".join(content["traceback"]) + "\n"

        reply = self._client.execute_interactive(
            code, store_history=True, output_hook=take, timeout=120, allow_stdin=False
        )
        answer["status"] = reply["content"]["status"]
        answer["error"] = re.sub(r"\x1b\[[\d;]*m", "", answer["error"])
        return answer

    def ask(self, code: str) -> None:
        """Run a cell without waiting for it."""
        self._client.execute(code)

    def is_alive(self) -> bool:
        return bool(self._manager.is_alive())

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def complete(self, code: str) -> list[str]:
        reply = self._client.complete(code, reply=True, timeout=60)["content"]
        found: list[str] = reply["matches"]
        return found

    def stop(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()


@pytest.fixture(autouse=True)
def _stopped() -> Iterator[None]:
    yield
    while SPAWNED:
        SPAWNED.pop().stop()


@pytest.fixture
def project(pipeline_project: Callable[..., Path], nbexp_cli: Any) -> Path:
    """A project whose pipeline has run, with a module, and a file that a stage makes."""
    root = pipeline_project()
    (root / "steps.py").write_text("def half(x):\n    return x / 2\n")
    subprocess.run(["git", "add", "steps.py"], cwd=root, check=True)
    subprocess.run(["git", "commit", "--quiet", "-m", "steps"], cwd=root, check=True)
    nbexp_cli("run", "-q", "-n", "base", cwd=root)
    return root


EARLIER = """\
import math
from steps import half

weights = [1, 2, 3]

def scale(x):
    return math.sqrt(half(x)) * weights[-1]
"""

CELL = """\
%%exp -n by-hand -P momentum,epochs
momentum = 0.9
from nbexp import live
for step in range(epochs):
    live.log(step=step, loss=scale(step + 1))
rows = len(open("model.txt").read().splitlines())
print("rows", rows)
import matplotlib.pyplot as plt
plt.plot(weights)
plt.show()
{"acc": 0.95 - abs(lr - 0.03) * (1 - momentum), "rows": rows}
"""


def state(root: Path, git: Callable[..., str]) -> list[object]:
    """All that is the user's: files, index, HEAD, branches, stash."""
    files = sorted(
        (path.relative_to(root).as_posix(), path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
        and not path.relative_to(root).as_posix().startswith((".git/", ".dvc/tmp/", ".dvc/cache/"))
        and "__pycache__" not in path.parts
        and ".ipynb_checkpoints" not in path.parts
    )
    index = (root / ".git" / "index").read_bytes()
    heads = git("for-each-ref", "refs/heads", "refs/stash", cwd=root)
    return [files, index, heads, git("symbolic-ref", "HEAD", cwd=root)]


def test_a_cell_is_an_experiment_for_every_tool_and_comes_again(
    project: Path, git: Callable[..., str], nbexp_cli: Any, dvc: Any, tmp_path: Path
) -> None:
    kernel = Kernel(project)
    kernel.run("%load_ext nbexp")
    kernel.run(EARLIER)
    before = state(project, git)
    answer = kernel.run(CELL)

    # What the user sees: the cell's own output, then the card as text and as HTML.
    assert answer["status"] == "ok", answer["error"]
    assert answer["printed"] == "rows 22\n"
    card = answer["shown"][-1]
    assert [" ".join(line.split()) for line in card["text/plain"].splitlines()[1:]] == [
        "loss 3.6742",
        "acc 0.943",
        "rows 22",
        "params epochs=3 (params.yaml), lr=0.1 (params.yaml), momentum=0.9",
        "read weights=[1, 2, 3], math, half, scale",
        "figures 1",
        "notebook %exp open by-hand",
        "again %exp rerun by-hand",
    ]
    assert "<table" in card["text/html"]
    assert state(project, git) == before
    assert kernel.run("print(momentum, 'lr' in globals())")["printed"] == "0.9 False\n"
    assert (
        "by-hand"
        in kernel.run("_1 if False else [e for e in Out.values() if hasattr(e, 'cell')][0]")[
            "shown"
        ][0]["text/plain"]
    )

    # DVC lists it with params and metrics.
    listed = json.loads(dvc("exp", "show", "--json", cwd=project).stdout)
    found = next(
        experiment["revs"][0]["data"]
        for entry in listed
        for experiment in entry["experiments"] or ()
        if experiment["name"] == "by-hand"
    )
    assert found["metrics"]["cell/metrics.json"]["data"]["acc"] == 0.943
    assert found["params"]["cell/params.yaml"]["data"] == {"momentum": 0.9}

    # A replay in a fresh kernel gives the same bytes, beside the user's files.
    replay = kernel.run("%exp rerun by-hand -n again")
    assert replay["status"] == "ok", replay["error"]
    assert "every file and output is as in by-hand" in replay["shown"][-1]["text/plain"]
    assert state(project, git) == before

    # With another value the cell alone runs, too.
    other = kernel.run("%exp clone by-hand -S train.lr=0.03 -n better")
    assert other["status"] == "ok", other["error"]
    assert "0.95   +0.007 vs by-hand  (better)" in other["shown"][-1]["text/plain"]
    assert state(project, git) == before

    # The executed notebook is what `open` shows, and the code of two cells is compared.
    opened = kernel.run("%exp open by-hand")["shown"][-1]
    assert "rows 22" in opened["text/plain"] + opened.get("text/html", "")
    kernel.run(CELL.replace("by-hand", "other").replace("0.95", "0.96"))
    told = kernel.run("%exp diff by-hand other")["shown"][-1]["text/plain"]
    assert '+{"acc": 0.96' in told
    curves = json.loads(nbexp_cli("plot", "loss", "by-hand", "other", "--json", cwd=project).stdout)
    assert {one["name"] for one in curves["series"]} == {"by-hand", "other"}

    # DVC takes it to a clone and runs it there.
    clone = tmp_path / "clone"
    dvc("exp", "apply", "by-hand", cwd=project)
    shutil.copytree(project, clone, symlinks=True)
    (clone / "cell" / "metrics.json").unlink()
    ran = dvc("repro", "--force", "--single-item", "cell/dvc.yaml:cell", cwd=clone)
    assert "nbexp notebook cell/cell.ipynb cell/run.ipynb" in ran.stdout
    assert (clone / "cell" / "metrics.json").read_bytes() == (
        project / "cell" / "metrics.json"
    ).read_bytes()
    assert dvc("status", "cell/dvc.yaml:cell", cwd=clone).stdout.strip() == (
        "Data and pipelines are up to date."
    )


def test_a_script_makes_it_again_in_a_clean_clone(
    project: Path, git: Callable[..., str], nbexp_cli: Any, tmp_path: Path
) -> None:
    kernel = Kernel(project)
    kernel.run("%load_ext nbexp")
    made = kernel.run("%%exp -n small\n{'acc': 1 - lr}")
    assert made["status"] == "ok", made["error"]
    script = nbexp_cli("script", "small", cwd=project).stdout
    git("clone", "--quiet", str(project), str(tmp_path / "clean"), cwd=tmp_path)
    (tmp_path / "again.sh").write_text(script)
    ran = subprocess.run(
        ["sh", str(tmp_path / "again.sh")],
        cwd=tmp_path / "clean",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    clean = tmp_path / "clean"
    made_again = git("show", f"{_ref(git, clean)}:cell/metrics.json", cwd=clean)
    assert json.loads(made_again) == {"acc": 0.9}


def _ref(git: Callable[..., str], root: Path) -> str:
    (line,) = git("for-each-ref", "--format=%(objectname)", "refs/exps", cwd=root).splitlines()
    return line


def test_names_that_a_replay_cannot_have_are_told(project: Path) -> None:
    kernel = Kernel(project)
    kernel.run("%load_ext nbexp")
    kernel.run("import io\nhandle = io.StringIO('x')")
    made = kernel.run("%%exp -n opaque\n{'n': len(handle.getvalue()) + lr}")
    assert "it cannot be run again: it read `handle` (StringIO)" in made["shown"][-1]["text/plain"]
    refused = kernel.run("%exp rerun opaque")
    assert refused["status"] == "error"
    assert refused["error"].splitlines() == [
        (
            "The cell of `opaque` read `handle` (StringIO) of its session, and nothing recorded gives that. "
            "Nothing was run."
        ),
        "Hint: make `handle` in the cell itself, or in a function of an earlier cell, and run it again.",
    ]


def test_an_error_and_an_interrupt_are_shown_and_kept(
    project: Path, git: Callable[..., str]
) -> None:
    kernel = Kernel(project)
    kernel.run("%load_ext nbexp")
    failed = kernel.run("%%exp -n broken\nx = 1\nx / 0")
    assert failed["status"] == "error"
    assert "----> 2 x / 0" in failed["error"]
    assert "is recorded as `broken`, which failed." in failed["error"]
    kernel.ask(
        "%%exp -n stopped\nimport time\nprint('on')\nopen('on', 'w').close()\ntime.sleep(60)"
    )
    _until((project / "on").exists)
    kernel.interrupt()
    # What is asked before the interrupt has ended the cell is not carried out.
    while (table := kernel.run("%exp show --all-states"))["status"] == "aborted":
        pass
    assert "interrupted" in table["shown"][-1]["text/plain"]
    refs = git("for-each-ref", "--format=%(refname)", "refs/nbexp/failed", cwd=project)
    assert sorted(ref.rpartition("/")[2] for ref in refs.splitlines()) == ["broken", "stopped"]
    # The kernel goes on, and logs where it would.
    assert kernel.run("import os; print('NBEXP_CELL' in os.environ)")["printed"] == "False\n"


STEPS = ["cell.ended", "cell.stored", "record.before", "record.noted", "record.done"]


@pytest.mark.parametrize("step", STEPS)
def test_a_kernel_that_is_killed_while_it_records_leaves_all_as_it_was(
    project: Path, git: Callable[..., str], nbexp_cli: Any, step: str
) -> None:
    before = state(project, git)
    kernel = Kernel(project, NBEXP_CRASH=step)
    kernel.run("%load_ext nbexp")
    kernel.ask("%%exp -n killed\n{'acc': lr}")
    _until(lambda: not kernel.is_alive())
    assert state(project, git) == before
    assert git("fsck", "--strict", cwd=project) is not None
    names = nbexp_cli("list", "--name-only", cwd=project).stdout.split()
    assert ("killed" in names) == (step == "record.done")
    after = Kernel(project)
    after.run("%load_ext nbexp")
    again = after.run("%%exp -n after\n{'acc': lr}")
    assert again["status"] == "ok", again["error"]
    assert not [*(project / ".dvc" / "tmp" / "nbexp" / "cells").iterdir()]


def test_save_tells_of_cells_that_changed_after_they_ran(project: Path) -> None:
    notebook = project / "lab.ipynb"

    def write(*cells: tuple[int | None, str]) -> None:
        listed = [
            {
                "cell_type": "code",
                "execution_count": number,
                "metadata": {},
                "outputs": [],
                "source": source,
            }
            for number, source in cells
        ]
        notebook.write_text(
            json.dumps({"cells": listed, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        )

    write((None, "%load_ext nbexp"))
    kernel = Kernel(project, notebook="lab.ipynb")
    kernel.run("%load_ext nbexp")
    kernel.run("rate = 0.1")
    write((1, "%load_ext nbexp"), (2, "rate = 0.2"), (None, "%exp save -n now"))
    said = kernel.run("%exp save -n now")["printed"]
    assert "Cell [2] of lab.ipynb has changed since running" in said
    assert "not saved" not in said
    said = kernel.run("%exp save -n now -f")["printed"]
    assert "lab.ipynb has edits that are not saved" in said


EVIL = "<script>document.title='broken into'</script>"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_in_a_browser_the_cells_output_is_above_the_card_and_nothing_planted_runs(
    open_notebook: Any, project: Path, theme: str, tmp_path: Path
) -> None:
    tab = open_notebook(
        project,
        [
            "%load_ext nbexp",
            f"label = {EVIL!r}",
            (
                "%%exp -n shown -P label\n"
                "import matplotlib.pyplot as plt\n"
                "plt.figure(figsize=(2, 1)); plt.plot([1, 2]); plt.show()\n"
                "print('text', len(label))\n"
                f'{{"acc": round(1 - lr, 2), {EVIL!r}: 2, "table": [1]}}'
            ),
        ],
        theme=theme,
    )
    tab.run_all()
    card = tab.page.locator(".nbexp").last
    card.wait_for()
    seen = card.inner_text()
    assert "shown" in seen
    assert "0.9" in seen
    assert f"label={EVIL}" in seen
    assert "no metrics, being no numbers: table" in seen
    assert "broken into" not in tab.page.title()
    kinds = [sorted(one.get("data", {"stream": 1})) for one in tab.cells()[-1]["outputs"]]
    # ipykernel sends the text when it has time to; the card is last.
    assert kinds[-1] == ["text/html", "text/plain"]
    assert ["image/png", "text/plain"] in kinds
    tab.page.screenshot(path=tmp_path / f"cell-{theme}.png")


def test_tab_offers_its_options_and_params(project: Path) -> None:
    kernel = Kernel(project)
    kernel.run("%load_ext nbexp")
    assert kernel.complete("%%exp --pa") == ["--params"]
    assert kernel.complete("%%exp -P train.l") == ["train.lr"]
    assert "usage: %%exp" in kernel.run("%%exp -h")["shown"][-1]["text/plain"]


def _until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    import time

    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)
