"""Real `dvc` and nbexp wait for each other, and say whom they wait for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbexp.errors import StoreError
from nbexp.pipeline import locks
from nbexp.pipeline.locks import DvcLock, declared, others

HOLD = """\
import fcntl, os, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
file.write(f" {os.getpid()}")
file.flush()
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def hold(path: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process that holds a lock the way DVC does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def rwlock(tmp: Path) -> object:
    return json.loads((tmp / "rwlock").read_text())


def test_a_lock_that_is_let_go_in_time_is_waited_for(tmp_path: Path) -> None:
    with hold(tmp_path / "lock", 2):
        began = time.monotonic()
        lock = DvcLock(tmp_path)
        lock.take()
        assert time.monotonic() - began > 0.2
        lock.release()


def test_a_lock_that_is_not_let_go_names_its_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT_S", 0.2)
    with hold(tmp_path / "lock", 30) as child:
        with pytest.raises(StoreError) as caught:
            DvcLock(tmp_path).take()
        child.kill()
    assert str(caught.value) == (
        f"A dvc command ({child.pid}) holds .dvc/tmp/lock. Nothing was changed.\n"
        "Hint: wait until it is done and try again."
    )


def test_a_lock_may_be_released_without_being_held(tmp_path: Path) -> None:
    lock = DvcLock(tmp_path)
    lock.release()
    lock.take()
    lock.release()
    lock.release()


def test_while_a_stage_runs_dvc_sees_what_it_reads_and_writes(tmp_path: Path) -> None:
    mine = {"pid": os.getpid(), "cmd": "nbexp run"}
    with declared(tmp_path, ["/p/a.csv", "/p/b.csv"], ["/p/out"]):
        assert rwlock(tmp_path) == {
            "read": {"/p/a.csv": [mine], "/p/b.csv": [mine]},
            "write": {"/p/out": mine},
        }
    assert rwlock(tmp_path) == {"read": {}, "write": {}}


def test_what_others_declared_stays(tmp_path: Path) -> None:
    other = {"pid": 1, "cmd": "dvc repro"}
    theirs = {"read": {"/p/a.csv": [other]}, "write": {"/p/x": other}}
    (tmp_path / "rwlock").write_text(json.dumps(theirs))
    with declared(tmp_path, ["/p/a.csv"], ["/p/out"]):
        assert len(json.loads((tmp_path / "rwlock").read_text())["read"]["/p/a.csv"]) == 2
    assert rwlock(tmp_path) == theirs


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"read": 3}', '{"read": {"/p/a": 3}}'])
def test_a_broken_rwlock_is_begun_anew(content: str, tmp_path: Path) -> None:
    (tmp_path / "rwlock").write_text(content)
    with declared(tmp_path, ["/p/a"], ["/p/b"]):
        lock = rwlock(tmp_path)
        assert isinstance(lock, dict)
        assert set(lock["read"]) == {"/p/a"}
        assert set(lock["write"]) == {"/p/b"}
    assert rwlock(tmp_path) == {"read": {}, "write": {}}


def test_a_stage_that_raises_leaves_nothing_declared(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), declared(tmp_path, ["/p/a"], ["/p/b"]):
        raise KeyboardInterrupt
    assert rwlock(tmp_path) == {"read": {}, "write": {}}


# --- Locks by name: `core.hardlink_lock` ----------------------------------------------------------

HOLD_BY_NAME = """
import sys, time
from dvc.lock import make_lock
lock = make_lock(sys.argv[1], tmp_dir=sys.argv[2], hardlink_lock=True)
lock.lock()
print("held", flush=True)
time.sleep(float(sys.argv[3]))
lock.unlock()
"""


def dvc_holds(tmp: Path, seconds: float) -> subprocess.Popen[str]:
    """Real DVC with its lock by name."""
    python = Path(__file__).parents[2] / ".venv-dvc" / "bin" / "python"
    child = subprocess.Popen(
        [python, "-c", HOLD_BY_NAME, str(tmp / "lock"), str(tmp), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_lock_by_name_of_dvc_is_waited_for(tmp_path: Path) -> None:
    with dvc_holds(tmp_path, 3):
        waited: list[str] = []
        lock = DvcLock(tmp_path, by_link=True)
        lock.take(on_wait=waited.append)
        assert waited == [""]  # DVC does not say whose it is
        assert (tmp_path / "lock").stat().st_nlink == 2
        lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_by_name_that_is_not_let_go_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT_S", 0.2)
    with dvc_holds(tmp_path, 30) as child:
        with pytest.raises(StoreError, match=r"if none runs, it was killed: remove \.dvc/tmp/lock"):
            DvcLock(tmp_path, by_link=True).take()
        child.kill()


def test_declarations_that_a_killed_dvc_has_locked_by_name_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT_S", 0.2)
    claim = tmp_path / "claim.lock"
    claim.write_text(str(claim))
    os.utime(claim, (2**32, 2**32))  # nobody may break it
    os.link(claim, tmp_path / "rwlock.lock")
    with pytest.raises(StoreError, match=r"has held \.dvc/tmp/rwlock\.lock") as raised:
        others(tmp_path, by_link=True)
    assert raised.value.hint == "if it does not run any more, remove .dvc/tmp/rwlock.lock."
    (tmp_path / "rwlock.lock").unlink()
    assert others(tmp_path, by_link=True) == []


def test_a_lock_by_name_is_had_though_the_answer_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS: the name was made, and the question put again says that it is there."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    lock = DvcLock(tmp_path, by_link=True)
    lock.take(on_wait=lambda by: pytest.fail(f"waits for {by}"))
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_dvc_waits_for_our_lock_by_name(tmp_path: Path) -> None:
    lock = DvcLock(tmp_path, by_link=True)
    lock.take()
    python = Path(__file__).parents[2] / ".venv-dvc" / "bin" / "python"
    words = [python, "-c", HOLD_BY_NAME, str(tmp_path / "lock"), str(tmp_path), "0"]
    refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "Unable to acquire lock" in refused.stderr
    lock.release()
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "held\n"


def test_a_lock_by_name_of_a_dead_process_is_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from nbexp.pipeline.locks import DvcLock; "
        "DvcLock(Path(sys.argv[1]), by_link=True).take(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert (tmp_path / "lock").exists()
    with declared(tmp_path, [], ["/p/out"], by_link=True):
        lock = DvcLock(tmp_path, by_link=True)
        lock.take(on_wait=lambda by: pytest.fail(f"waits for {by}"))
        assert (tmp_path / "lock").read_text().split("|")[2] == str(os.getpid())
        lock.release()
    assert not (tmp_path / "lock").exists()
    assert not (tmp_path / "rwlock.lock").exists()


def test_where_there_is_no_flock_a_dead_ones_lock_by_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks, "WAIT_S", 0.2)
    code = (
        "import os, sys; from pathlib import Path; from nbexp.pipeline.locks import DvcLock; "
        "DvcLock(Path(sys.argv[1]), by_link=True).take(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    monkeypatch.setattr("nbexp.filesystem.FileLock.acquire", none)
    with pytest.raises(StoreError, match=r"holds \.dvc/tmp/lock") as raised:
        DvcLock(tmp_path, by_link=True).take()
    assert "remove .dvc/tmp/lock" in str(raised.value.hint)
