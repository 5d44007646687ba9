"""Each test here starts one kernel or two; what can be told without one is told without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest

from nbexp.errors import NbexpError, NotFound, ProjectFileError, StageFailed, UsageError
from nbexp.events import CellFinished, CellStarted, Event, MetricLogged, OutputWritten
from nbexp.formats import notebook
from nbexp.pipeline import kinds
from nbexp.pipeline.kinds.notebook.runner import run_notebook


def write(path: Path, *cells: str, tags: dict[int, str] | None = None, **more: Any) -> Path:
    """A notebook of code cells; `tags` by the cell's place. The first one is tagged `parameters`."""
    tagged = {0: "parameters"} if tags is None else tags
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    made = [
        {
            "cell_type": "code",
            "id": f"c{place}",
            "metadata": {"tags": [tagged[place]]} if place in tagged else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for place, source in enumerate(cells)
    ]
    metadata = {"kernelspec": kernel} | more
    data = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(data))
    return path


@dataclass
class Heard:
    """A consumer that keeps the events, and calls `then` once at the first output holding `word`."""

    word: bytes = b""
    then: Callable[[], None] | None = None
    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self.then is not None and isinstance(event, OutputWritten) and self.word in event.data:
            call, self.then = self.then, None
            call()

    @property
    def output(self) -> str:
        told = (event.data for event in self.events if isinstance(event, OutputWritten))
        return b"".join(told).decode()


def run(folder: Path, command: str, heard: Heard | None = None) -> int | None:
    run_dir = folder / ".dvc" / "tmp" / "run"
    env = {**os.environ, "DVC_STAGE": "train"}
    env.pop(
        "PYTEST_CURRENT_TEST"
    )  # another one in each test: it would pass for a setting of the user's
    job = kinds.Job("train", command, folder, folder, env, run_dir / "train.log", run_dir)
    return kinds.run(job, heard or Heard())


def failure(folder: Path, command: str) -> StageFailed:
    with pytest.raises(StageFailed) as error:
        run(folder, command)
    return error.value


def outputs(path: Path) -> list[Any]:
    node = nbformat.reads(path.read_text(), as_version=4)
    nbformat.validate(node)
    return [cell.outputs for cell in node.cells]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in {b"Z", b"X"}


def gone(pids: Sequence[int], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(is_running, pids))


# ---- running


_TRAIN = (
    "lr = 0.1\nepochs = 10\nseed = 0",
    """\
import json, os
from helpers import score
from nbexp import live
for step in range(1, epochs + 1):
    live.log(step=step, acc=score(lr, step))
print(os.getcwd())""",
    "object()",
    # Left open on purpose: the kernel's own end has to flush it.
    'kept = open("metrics.json", "w")\nkept.write(json.dumps({"acc": score(lr, epochs)}))\nNone',
)
_HELPERS = "def score(lr, step):\n    return round(0.95 - abs(lr - 0.03) - 0.05 / step, 4)\n"


def project(folder: Path) -> Path:
    (folder / ".dvc").mkdir(parents=True)
    write(folder / "train.ipynb", *_TRAIN)
    (folder / "helpers.py").write_text(_HELPERS)
    (folder / "params.yaml").write_text("train:\n  lr: 0.03\n  epochs: 2\n")
    return folder


@pytest.mark.usefixtures("way")
def test_a_notebook_runs_and_two_runs_in_two_places_are_equal_bytes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = project(tmp_path / "here"), project(tmp_path / "there" / "deep")
    source = (here / "train.ipynb").read_bytes()
    heard = Heard()
    command = "nbexp notebook train.ipynb runs/train.ipynb --params train"
    assert run(here, command, heard) == 4

    cells = [event for event in heard.events if isinstance(event, CellStarted | CellFinished)]
    assert [(type(event).__name__, event.cell, event.total) for event in cells] == [
        (kind, cell, 4) for cell in (1, 2, 3, 4) for kind in ("CellStarted", "CellFinished")
    ]
    logged = [event for event in heard.events if isinstance(event, MetricLogged)]
    assert logged == [
        MetricLogged("train", 1, {"acc": 0.9}),
        MetricLogged("train", 2, {"acc": 0.925}),
    ]
    said = heard.output.splitlines()
    assert (
        said[0]
        == "params.yaml over the cell of train.ipynb: lr 0.03 (cell: 0.1), epochs 2 (cell: 10)"
    )
    assert said[1] == str(here)
    assert (here / "metrics.json").read_text() == '{"acc": 0.925}'
    assert (here / "dvclive/plots/metrics/acc.tsv").read_text() == "step\tacc\n1\t0.9\n2\t0.925\n"
    assert (here / "train.ipynb").read_bytes() == source

    result = json.loads((here / "runs/train.ipynb").read_text())
    assert [cell["execution_count"] for cell in result["cells"]] == [1, None, 2, 3, 4]
    assert result["cells"][1]["source"] == ["# Parameters\n", "lr = 0.03\n", "epochs = 2\n"]
    assert [cell["id"] for cell in result["cells"]] == [
        "c0",
        "injected-parameters",
        "c1",
        "c2",
        "c3",
    ]

    # As the verb under plain `dvc repro`: no engine, no events, another folder.
    monkeypatch.chdir(there)
    assert run_notebook("train.ipynb", "runs/train.ipynb", params=["train"]) == 4
    assert (there / "runs/train.ipynb").read_bytes() == (here / "runs/train.ipynb").read_bytes()
    assert capfd.readouterr().out.splitlines()[1] == str(there)


def test_a_tuple_of_the_notebook_is_one_with_values_of_params_yaml(tmp_path: Path) -> None:
    root = project(tmp_path)
    cell = "size = (8, 8)\none = (1,)\nnested = {'grid': [(1, 2), 3]}\nlayers = [1, 2]\nempty = ()"
    write(root / "train.ipynb", cell, "print(size, one, nested, layers, empty)")
    (root / "params.yaml").write_text(
        "train:\n  size: [4, 4, 4]\n  one: [2]\n  nested: {grid: [[3, 4], 5]}\n  layers: [3]\n  empty: []\n"
    )
    heard = Heard()
    run(root, "nbexp notebook train.ipynb runs/train.ipynb --params train", heard)
    assert heard.output.splitlines()[-1] == ("(4, 4, 4) (2,) {'grid': [(3, 4), 5]} [3] ()")


def test_a_papermill_line_gives_what_papermill_gives(tmp_path: Path) -> None:
    cells = (
        "a = b = c = d = e = f = g = None",
        "[(type(x).__name__, x) for x in (a, b, c, d, e, f, g)]",
        "print('x', end='')\nprint('y')\nunknown",
    )
    write(tmp_path / "in.ipynb", *cells)
    (tmp_path / "more.yaml").write_text("e: [1, two, 2026-01-01]\nf: 010\ng: from file\n")
    line = (
        "papermill in.ipynb {} -p a -1 -p b 1_000 -p c text -r d 1 -f more.yaml -y '{{g: yes}}' "
        "-p unknown True --no-progress-bar"
    )
    theirs = Path(sys.executable).parent / "papermill"
    subprocess.run(f"{theirs.parent}/{line.format('theirs.ipynb')}", shell=True, cwd=tmp_path,
                   check=True, capture_output=True)  # fmt: skip
    heard = Heard()
    assert run(tmp_path, line.format("ours.ipynb"), heard) == 3
    assert heard.output.startswith("not in the parameters cell of in.ipynb: unknown\n")
    expected = notebook.canonical(
        (tmp_path / "theirs.ipynb").read_bytes(), source=(tmp_path / "in.ipynb").read_bytes()
    )
    assert (tmp_path / "ours.ipynb").read_bytes() == expected
    assert b"('str', '1')" in expected


@pytest.mark.usefixtures("way")
def test_modules_of_the_stage_do_not_reach_the_runner_and_sys_exit_ends_well(
    tmp_path: Path,
) -> None:
    (tmp_path / "papermill.py").write_text("raise RuntimeError('a module of the user')\n")
    (tmp_path / "nb").mkdir()
    write(
        tmp_path / "nb" / "in.ipynb", "open('beside', 'w')\nNone", "import sys\nsys.exit()", "1 / 0"
    )
    line = "jupyter nbconvert --execute --to notebook nb/in.ipynb --output-dir runs"
    assert run(tmp_path, line) == 2
    assert (tmp_path / "nb" / "beside").exists()
    kept = outputs(tmp_path / "runs" / "in.ipynb")
    # IPython adds a warning of its own to the exit.
    assert (kept[0], kept[1][0].ename, kept[2]) == ([], "SystemExit", [])


# ---- stopping


@pytest.mark.usefixtures("way")
def test_an_error_names_cell_and_line_and_the_notebook_is_kept(tmp_path: Path) -> None:
    cells = (
        "x = 1",
        "def f():\n    return 1/0",
        "y = 2\n\nf()  # here\nz = 3",
        "print('not reached')",
    )
    write(tmp_path / "train.ipynb", *cells)
    error = failure(tmp_path, "nbexp notebook train.ipynb runs/train.ipynb")
    assert error.message == (
        "Stage `train` stopped in cell 3 of train.ipynb, `f()  # here`: "
        "ZeroDivisionError: division by zero."
    )
    assert error.hint == "the notebook as it stopped is .dvc/tmp/run/train.ipynb."
    assert (error.stage, error.cell, error.returncode) == ("train", 3, 1)
    assert error.tail.endswith("ZeroDivisionError: division by zero")
    assert not (tmp_path / "runs").exists()
    kept = outputs(tmp_path / ".dvc/tmp/run/train.ipynb")
    assert [[output.output_type for output in cell] for cell in kept] == [[], [], ["error"], []]


@pytest.mark.usefixtures("way")
def test_a_dead_kernel_is_told_with_its_signal(tmp_path: Path) -> None:
    write(
        tmp_path / "train.ipynb",
        # In the cell before: what a process says in its last millisecond may not get out of it.
        "print('before')",
        "import os\nos.kill(os.getpid(), 9)",
    )
    error = failure(tmp_path, "nbexp notebook train.ipynb runs/train.ipynb")
    assert error.message == (
        "Stage `train` stopped in cell 2 of train.ipynb: "
        "the kernel was killed by signal 9 (SIGKILL, likely out of memory)."
    )
    assert "before" in error.tail
    assert (tmp_path / ".dvc/tmp/run/train.ipynb").exists()


def test_an_error_that_the_kernel_calls_ok_fails_and_an_expected_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swallowed = "try:\n    open('absent')\nexcept OSError:\n    get_ipython().showtraceback()"
    write(
        tmp_path / "train.ipynb",
        "x = 1",
        "1 / 0",
        swallowed,
        tags={0: "parameters", 1: "raises-exception"},
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageFailed) as error:
        run_notebook("train.ipynb", "runs/train.ipynb", cwd=None)
    assert error.value.cell == 3
    assert error.value.message == (
        "The notebook stopped in cell 3 of train.ipynb, `get_ipython().showtraceback()`: "
        "FileNotFoundError: [Errno 2] No such file or directory: 'absent'."
    )
    # Without a run's folder the notebook is kept where papermill would leave it.
    assert error.value.hint == "the notebook as it stopped is runs/train.ipynb."
    assert [len(cell) for cell in outputs(tmp_path / "runs/train.ipynb")] == [0, 1, 1]


_CHILDREN = """
import os, subprocess, sys, time
child = "import os, signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; time.sleep(60)"
plain = subprocess.Popen([sys.executable, "-c", child])
daemon = subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
bare = subprocess.Popen([sys.executable, "-c", child], start_new_session=True, env={})
open("pids", "w").write(f"{os.getpid()} {plain.pid} {daemon.pid} {bare.pid}")
time.sleep(0.3)
print("ready", flush=True)
"""


def test_output_that_is_read_slowly_is_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 MB are on their way for longer than the kernel needs to write them."""
    from nbexp.pipeline.kinds.notebook import engine

    read = engine._Client.process_message

    def slowly(self: Any, message: Any, *more: Any) -> Any:
        if message["msg_type"] == "display_data":
            time.sleep(0.12)
        return read(self, message, *more)

    monkeypatch.setattr(engine._Client, "process_message", slowly)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "train.ipynb", "for n in range(40):\n    display(n)")
    run_notebook("train.ipynb", "out.ipynb")
    assert [one.data["text/plain"] for one in outputs(tmp_path / "out.ipynb")[0]] == [
        str(n) for n in range(40)
    ]


@pytest.mark.usefixtures("way")
def test_an_interrupt_ends_the_kernel_and_its_children_and_keeps_the_notebook(
    tmp_path: Path,
) -> None:
    cell = _CHILDREN + "try:\n    time.sleep(60)\nfinally:\n    open('tidied', 'w')\n"
    write(tmp_path / "train.ipynb", "x = 1", cell)
    marks: list[float] = []

    def interrupt() -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        marks.append(time.monotonic() + 0.05)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "nbexp notebook train.ipynb runs/train.ipynb", Heard(b"ready", interrupt))
    assert time.monotonic() - marks[0] < 10
    pids = [int(text) for text in (tmp_path / "pids").read_text().split()]
    assert gone(pids, 0)
    assert (tmp_path / "tidied").exists()
    kept = outputs(tmp_path / ".dvc/tmp/run/train.ipynb")
    assert kept[1][0].text == "ready\n"
    assert kept[1][1].ename == "KeyboardInterrupt"
    assert not (tmp_path / "runs").exists()


def test_a_termination_of_the_verb_leaves_nothing_behind(tmp_path: Path) -> None:
    cell = (
        _CHILDREN
        + "while True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass\n"
    )
    write(tmp_path / "train.ipynb", "x = 1", cell)
    script = "from nbexp.pipeline.kinds.notebook import runner; runner.run_notebook('train.ipynb', 'o.ipynb')"
    verb = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert verb.stdout is not None
    assert verb.stdout.readline() == b"ready\n"
    pids = [int(text) for text in (tmp_path / "pids").read_text().split()]
    # The cell swallows an interrupt, so the verb has to end it all itself, less than a second later.
    verb.send_signal(signal.SIGINT)
    assert gone(pids, 15)  # of 60
    verb.wait(20)  # what it still writes is not waited for by anybody
    verb.stdout.close()
    assert outputs(tmp_path / "o.ipynb")[1][0].text == "ready\n"


# ---- what is found before a kernel starts


def refusal(
    folder: Path, *cells: str, tags: dict[int, str] | None = None, **options: Any
) -> NbexpError:
    """The error of a run in `folder`, which must have started nothing and written nothing."""
    if cells:
        write(folder / "train.ipynb", *cells, tags=tags)
    before = sorted(folder.iterdir())
    with pytest.raises(NbexpError) as error:
        run_notebook("train.ipynb", "out.ipynb", **options)
    assert sorted(folder.iterdir()) == before
    return error.value


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        "train:\n  lrr: 0.03\nempty:\nnumber: 3\nfit: {lr: 0.03}\n"
    )
    return tmp_path


def test_a_key_that_the_notebook_lacks_is_named_with_those_it_has(here: Path) -> None:
    error = refusal(here, "lr = 0.1\nepochs = 3", params=["train"])
    assert isinstance(error, NotFound)
    assert str(error) == (
        "No parameter `lrr` in the parameters cell of train.ipynb; it has lr, epochs. Nothing was run.\n"
        "Hint: did you mean `lr`? rename `train.lrr` in params.yaml, or assign `lrr` in that cell."
    )


def test_params_for_a_notebook_without_a_tagged_cell_say_what_to_tag(here: Path) -> None:
    error = refusal(here, "lr = 0.1", tags={}, params=["fit"])
    assert isinstance(error, ProjectFileError)
    assert str(error) == (
        "train.ipynb: no cell is tagged `parameters`, so `params.yaml:fit` cannot be set. "
        "Nothing was run.\n"
        "Hint: tag the cell that assigns them `parameters`, or let `--untagged` take cell 1 (lr)."
    )


def test_a_kernel_that_is_not_installed_is_named_with_those_that_are(here: Path) -> None:
    error = refusal(here, "lr = 0.1", kernel="julia-1.9")
    assert isinstance(error, NotFound)
    assert str(error) == (
        "The kernel `julia-1.9` of train.ipynb is not installed. Nothing was run.\n"
        "Hint: installed: python3; `--kernel python3` takes that one."
    )


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (
            "trian",
            "No param `trian` in params.yaml. Nothing was run.\nHint: did you mean `train`?",
        ),
        (
            "other.yaml:train",
            """\
No params file `other.yaml` here. Nothing was run.
Hint: `--params [FILE:]KEY` names another one.""",
        ),
        (
            "number",
            "params.yaml: `number` is 3; a mapping of the notebook's parameters is expected.",
        ),
    ],
)
def test_params_that_cannot_be_read_are_said(here: Path, params: str, text: str) -> None:
    assert str(refusal(here, "lr = 0.1", params=[params])) == text


def test_a_notebook_that_is_not_there_is_said(here: Path) -> None:
    assert str(refusal(here)) == "No notebook `train.ipynb` here. Nothing was run."


def test_metadata_that_is_not_as_the_format_says_is_told(here: Path) -> None:
    path = write(here / "train.ipynb", "x = 1")
    book = json.loads(path.read_text())
    book["cells"][0]["metadata"] = []
    path.write_text(json.dumps(book))
    error = refusal(here)
    assert isinstance(error, ProjectFileError)
    assert error.message.startswith(
        "train.ipynb: the notebook's metadata is not as its format says"
    )


def test_a_notebook_is_not_written_over_itself(here: Path) -> None:
    write(here / "train.ipynb", "x = 1")
    with pytest.raises(UsageError) as error:
        run_notebook("train.ipynb", "./train.ipynb")
    assert error.value.message == (
        "train.ipynb would be written over by its own output. Nothing was run."
    )


def test_a_folder_to_run_in_has_to_be_there(here: Path) -> None:
    error = refusal(here, "x = 1", cwd="nowhere")
    assert error.message == "No folder `nowhere` to run train.ipynb in. Nothing was run."


def test_a_wrong_parameter_fails_the_stage_in_its_own_words(here: Path) -> None:
    write(here / "train.ipynb", "lr = 0.1")
    error = failure(here, "nbexp notebook train.ipynb out.ipynb --params train")
    assert error.message.startswith("No parameter `lrr` in the parameters cell of train.ipynb;")
    assert (error.stage, error.returncode, error.cell) == ("train", 3, None)


def test_an_untagged_cell_other_files_and_another_folder_are_taken_when_asked(here: Path) -> None:
    write(
        here / "train.ipynb",
        "lr = 0.1\nlayers = [1]",
        "print(lr, layers)\nopen('was_here', 'w')",
        tags={},
    )
    (here / "more.json").write_text('{"layers": [{"size": 8}, null, 1e-3]}')
    (here / "work").mkdir()
    (here / "nbexp.toml").write_text("canonical = false\n")
    cells = run_notebook(
        "train.ipynb", "out.ipynb", params=["fit", "more.json:"], untagged=True, cwd="work"
    )
    assert cells == 2
    assert (here / "work" / "was_here").exists()
    # Not made canonical, the output says what papermill says: times, the paths.
    about = json.loads((here / "out.ipynb").read_text())["metadata"]["papermill"]
    assert (about["input_path"], about["duration"] > 0) == ("train.ipynb", True)
    assert outputs(here / "out.ipynb")[2][0].text == "0.03 [{'size': 8}, None, 0.001]\n"
