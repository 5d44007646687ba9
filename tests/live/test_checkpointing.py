"""`live.checkpoint()` from the side of the training: what it says where nobody records, and how waiting ends."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbexp import live
from nbexp.formats import checkpoint as protocol


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an engine would look for requests; it holds its lock while `engine` is open."""
    folder = tmp_path / "run" / protocol.FOLDER
    folder.mkdir(parents=True)
    monkeypatch.setenv("NBEXP_RUN_DIR", str(folder.parent))
    return folder


@pytest.fixture
def engine(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder / protocol.ALIVE, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield descriptor
    os.close(descriptor)


def answered(folder: Path, data: bytes) -> threading.Thread:
    """A thread that takes up the first request and answers it so."""

    def serve() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for request in folder.glob(f"*{protocol.REQUEST}"):
                request.unlink()
                fresh = request.with_suffix(".new")
                fresh.write_bytes(data)
                fresh.rename(request.with_suffix(protocol.ANSWER))
                return
            time.sleep(0.005)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_the_number_of_the_step_comes_back(folder: Path, engine: int) -> None:
    thread = answered(folder, protocol.answer(3, "5e" * 20, "low-lr"))
    assert live.checkpoint() == 3
    thread.join()
    assert [path.name for path in folder.iterdir()] == [protocol.ALIVE]


def test_an_error_of_the_engine_is_one_of_the_training(folder: Path, engine: int) -> None:
    thread = answered(folder, protocol.refusal("The disk is full.", "free some space."))
    with pytest.raises(live.CheckpointFailed) as raised:
        live.checkpoint()
    thread.join()
    assert str(raised.value) == "The disk is full. Hint: free some space."


def test_an_engine_that_is_gone_is_not_waited_for(folder: Path, engine: int) -> None:
    timer = threading.Timer(1, lambda: fcntl.flock(engine, fcntl.LOCK_UN))
    timer.start()
    with pytest.raises(live.CheckpointFailed, match="has ended, so there is nobody to record"):
        live.checkpoint()
    timer.join()
    assert not list(folder.glob(f"*{protocol.REQUEST}"))


def test_a_request_that_nobody_takes_up_is_taken_back(folder: Path, engine: int) -> None:
    with pytest.raises(live.CheckpointFailed) as raised:
        live.checkpoint(timeout_s=0.2)
    assert str(raised.value) == "The request for a checkpoint was not taken up within 0.2 s."
    assert [path.name for path in folder.iterdir()] == [protocol.ALIVE]


def test_where_nobody_records_it_does_nothing_and_says_so_once(tmp_path: Path) -> None:
    code = (
        "from nbexp import live; print(live.checkpoint(), live.checkpoint(), live.resumed_step())"
    )
    env = {name: value for name, value in os.environ.items() if name != "NBEXP_RUN_DIR"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert ran.stdout == "None None None\n"
    assert ran.stderr == (
        "live.checkpoint() recorded nothing: this is no run of nbexp. `nbexp run` records each one as a step.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_behind_a_checkpoint_tables_and_steps_go_on(tmp_path: Path) -> None:
    code = "from nbexp import live; [live.log(acc=n) for n in (1, 2)]; print(live.resumed_step())"
    line = [sys.executable, "-c", code]
    subprocess.run(line, cwd=tmp_path, check=True, capture_output=True)
    env = {**os.environ, protocol.RESUME: "2", protocol.DVCLIVE_RESUME: "1"}
    ran = subprocess.run(line, cwd=tmp_path, env=env, check=True, capture_output=True)
    assert ran.stdout == b"2\n"
    table = tmp_path / "dvclive" / "plots" / "metrics" / "acc.tsv"
    assert table.read_text() == "step\tacc\n0\t1\n1\t2\n2\t1\n3\t2\n"
    subprocess.run(line, cwd=tmp_path, check=True, capture_output=True)
    assert table.read_text() == "step\tacc\n0\t1\n1\t2\n"


@pytest.mark.parametrize("before_next_step", [True, False])
def test_the_class_goes_on_with_the_step_behind_the_checkpoint(
    before_next_step: bool, tmp_path: Path
) -> None:
    body = ["live.checkpoint()", "live.next_step()"]
    lines = "; ".join(body if before_next_step else body[::-1])
    code = (
        "import sys\nfrom nbexp.live import Live\n"
        "with Live(save_dvc_exp=False, dvcyaml=None) as live:\n"
        "    print(live.step)\n"
        "    for _ in range(int(sys.argv[1])):\n"
        f"        live.log_metric('acc', live.step); {lines}\n"
        "    import os; os._exit(0)\n"
    )
    first = [sys.executable, "-c", code, "1"]
    assert subprocess.run(first, cwd=tmp_path, check=True, capture_output=True).stdout == b""
    assert json.loads((tmp_path / "dvclive" / "metrics.json").read_text()) == {"acc": 0, "step": 0}
    env = {
        **os.environ,
        protocol.RESUME: "1",
        protocol.DVCLIVE_RESUME: "1",
        "PYTHONUNBUFFERED": "1",
    }
    ran = subprocess.run([*first[:-1], "2"], cwd=tmp_path, env=env, check=True, capture_output=True)
    assert ran.stdout == b"1\n"
    table = tmp_path / "dvclive" / "plots" / "metrics" / "acc.tsv"
    assert table.read_text() == "step\tacc\n0\t0\n1\t1\n2\t2\n"
