"""The database: what is added is there, once, whoever writes beside it, and a damaged one is made anew."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from pathlib import Path

import pytest

from nbexp import filesystem
from nbexp.errors import NameTaken, QueueError
from nbexp.queue import state as states
from nbexp.queue.rows import NewTask
from nbexp.queue.state import Do
from nbexp.queue.store import KEPT_EVENTS, Store

BASELINE = "5e" + "f" * 38


def new(name: str, **more: object) -> NewTask:
    asked = {
        "uid": f"uid{name}", "batch": "b1", "baseline": BASELINE, "name": name,
        "snapshot": "a" * 40, "spec": {"name": name},
    }  # fmt: skip
    return NewTask(**{**asked, **more})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def names(store: Store, *of: str) -> list[str]:
    return [task.name for task in store.tasks(*of)]


def test_looking_makes_no_file(store):
    assert store.tasks() == []
    assert store.counts() == {}
    assert store.claim("w1") is None
    assert not store.path.exists()


def test_tasks_are_taken_in_the_order_in_which_they_were_added(store):
    store.add([new("a"), new("b")])
    store.add([new("c")])
    taken = [store.claim("w1").name for _ in range(3)]
    assert taken == ["a", "b", "c"]
    assert store.claim("w1") is None
    assert store.counts() == {"running": 3}


def test_a_name_is_reserved_until_its_task_is_over(store):
    store.add([new("low-lr")])
    with pytest.raises(NameTaken, match="has the name `low-lr`"):
        store.add([new("other"), new("Low-LR", uid="u2")])
    assert names(store) == ["low-lr"], "all or none"
    store.add([new("low-lr", uid="u3", baseline="0" * 40)])
    store.apply("uidlow-lr", states.StopAsked())
    store.add([new("low-lr", uid="u4")])
    assert store.reserved(BASELINE) == {"low-lr": "low-lr"}


def test_a_task_that_is_done_says_so_with_its_times_and_its_rev(store):
    store.add([new("a")])
    task = store.claim("w1", place="/there")
    assert (task.state, task.owner, task.attempt, task.place) == ("running", "w1", 1, "/there")
    assert store.apply(task.uid, states.Fenced("w1", 1, "b" * 40)).do == ()
    done = store.apply(task.uid, states.Finished("w1", 1, "b" * 40))
    assert done.do == (Do.SETTLE,)
    task = store.task(task.uid)
    assert (task.state, task.rev) == ("done", "b" * 40)
    assert task.created_s <= task.started_s <= task.ended_s
    assert [one.kind for one in store.events()] == ["queued", "running", "committing", "done"]
    assert not store.is_needed("b1")


def test_a_result_of_a_worker_that_lost_its_task_is_not_wanted(store):
    store.add([new("a")])
    store.claim("w1")
    store.apply("uida", states.OwnerLost("w1", 1, "worker died (signal 9)"))
    assert store.task("uida").error == "worker died (signal 9)"
    store.claim("w2")
    assert store.apply("uida", states.Fenced("w1", 1, "b" * 40)).do == (Do.DISCARD,)
    assert store.task("uida").state == "running"


def test_tasks_are_moved(store):
    store.add([new(name) for name in "abcde"])
    store.arrange(["uidd", "uide"], before=None, first=True)
    assert names(store) == ["d", "e", "a", "b", "c"]
    store.arrange(["uida"], before=None)
    assert names(store) == ["d", "e", "b", "c", "a"]
    store.arrange(["uida"], before="uide")
    assert names(store) == ["d", "a", "e", "b", "c"]
    store.claim("w1")
    with pytest.raises(QueueError, match="has begun meanwhile"):
        store.arrange(["uidd"], before=None, first=True)
    assert names(store, "queued") == ["a", "e", "b", "c"]


def test_what_runs_at_once_needs_no_more_than_there_is(store):
    store.add([new("a", resources={"gpu": 1}), new("b", resources={"gpu": 2}), new("c")])
    totals = {"gpu": 2}
    assert store.claim("w1", totals=totals).name == "a"
    assert store.claim("w2", totals=totals) is None, "nothing overtakes what waits for room"
    store.apply("uida", states.Finished("w1", 1, "b" * 40))
    assert store.claim("w2", totals=totals).name == "b"
    assert store.claim("w1", totals=totals).name == "c"


def test_a_task_that_needs_more_than_there_is_runs_alone(store):
    store.add([new("a", resources={"gpu": 9})])
    assert store.claim("w1", totals={"gpu": 2}).name == "a"


def test_a_paused_queue_gives_nothing_out_but_what_is_named(store):
    store.add([new("a"), new("b")])
    store.set("paused", "1")
    assert store.claim("w1") is None
    assert store.claim("w1", uid="uidb").name == "b"
    store.set("paused", None)
    assert store.claim("w1").name == "a"


def test_what_runs_are_at_is_told_and_the_history_does_not_grow_for_ever(store):
    store.add([new("a")])
    store.claim("w1")
    for step in range(KEPT_EVENTS + 1500):
        if step % 100 == 0:
            store.tell("uida", "metric", {"step": step}, {"step": step, "values": {"acc": 0.9}})
    assert store.task("uida").live == {"step": KEPT_EVENTS + 1400, "values": {"acc": 0.9}}
    last = store.last_event()
    assert store.events(last - 1)[0].data == {"step": KEPT_EVENTS + 1400}


def claims(folder: str, started: object, taken: object) -> None:
    store = Store(Path(folder))
    started.wait()
    mine = []
    while (task := store.claim(f"w{os.getpid()}")) is not None:
        mine.append(task.uid)
        store.apply(task.uid, states.Finished(task.owner, 1, "b" * 40))
    taken.put(mine)


def test_eight_processes_take_each_task_once(store):
    store.add([new(f"n{number}") for number in range(200)])
    store.close()
    context = multiprocessing.get_context("spawn")
    started, taken = context.Event(), context.Queue()
    workers = [
        context.Process(target=claims, args=(str(store.path.parent), started, taken))
        for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    started.set()
    found = [uid for _ in workers for uid in taken.get(timeout=60)]
    for worker in workers:
        worker.join()
    assert sorted(found) == sorted(f"uidn{number}" for number in range(200))
    assert store.counts() == {"done": 200}


def adds(folder: str, started: object, number: int, said: object) -> None:
    store = Store(Path(folder))
    started.wait()
    try:
        store.add([new("same", uid=f"u{number}"), new(f"own{number}")])
        said.put(True)
    except NameTaken:
        said.put(False)


def test_of_several_that_queue_one_name_at_once_one_gets_it(store):
    context = multiprocessing.get_context("spawn")
    started, said = context.Event(), context.Queue()
    them = [
        context.Process(target=adds, args=(str(store.path.parent), started, number, said))
        for number in range(6)
    ]
    for one in them:
        one.start()
    started.set()
    assert sorted(said.get(timeout=60) for _ in them) == [False] * 5 + [True]
    for one in them:
        one.join()
    assert len(store.tasks()) == 2, "the others have queued nothing"


def rebuilt() -> list[tuple[NewTask, states.State, str | None]]:
    return [(new("kept"), "queued", None), (new("was-done"), "done", "b" * 40)]


@pytest.mark.parametrize("harm", ["emptied", "cut", "filled with something", "gone"])
def test_a_damaged_database_is_set_aside_and_made_anew(harm, tmp_path):
    said: list[str] = []
    first = Store(tmp_path)
    first.add([new(f"n{number}") for number in range(100)])
    first.close()
    data = first.path.read_bytes()
    if harm == "gone":
        first.path.unlink()
    else:
        first.path.write_bytes({"emptied": b"", "cut": data[:9000]}.get(harm, b"x" * 20_000))
    store = Store(tmp_path, rebuilt, said.append)
    store.set("paused", None)  # what writes makes it anew
    assert {task.name: task.state for task in store.tasks()} == {
        "kept": "queued",
        "was-done": "done",
    }
    kept = sorted(path.name for path in tmp_path.glob("queue.db.damaged-*"))
    assert kept == ([] if harm == "gone" else ["queue.db.damaged-1"])
    assert said[-1] == "The queue was made anew from Git: 1 task waits, 1 were over."
    if harm != "gone":
        assert "is set aside as queue.db.damaged-1" in said[0]


def test_a_page_that_is_damaged_is_found_when_it_is_read(tmp_path):
    said: list[str] = []
    store = Store(tmp_path, rebuilt, said.append)
    store.add([new(f"n{number}", spec={"text": "x" * 3000}) for number in range(50)])
    store.close()
    data = bytearray(store.path.read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    store.path.write_bytes(data)
    assert [task.name for task in store.tasks("queued")] == ["kept"]
    assert said


def test_a_process_that_has_the_old_file_open_goes_on_with_the_new_one(tmp_path):
    here = Store(tmp_path)
    here.add([new("a")])
    there = Store(tmp_path, rebuilt)
    os.replace(here.path, tmp_path / "queue.db.damaged-1")
    there.set("paused", None)
    here.add([new("b")])
    assert sorted(names(there)) == ["b", "kept", "was-done"]


def test_an_io_error_of_a_full_disk_is_told_as_one(tmp_path, monkeypatch):
    """Where the memory that WAL shares cannot grow, SQLite says no more than that."""
    store = Store(tmp_path)
    store.add([new("a")])

    def full(*_: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
        raise error

    monkeypatch.setattr(Store, "_insert", full)
    for free, told in ((0, "The disk is full, so the queue"), (1 << 20, "cannot be written: disk")):
        there = os.statvfs(tmp_path)
        room = os.statvfs_result((*there[:4], free // there.f_frsize, *there[5:]))
        monkeypatch.setattr(os, "statvfs", lambda _, room=room: room)
        with pytest.raises(QueueError, match=told):
            store.add([new("b")])


def test_where_a_file_system_takes_no_shared_memory_a_journal_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr("nbexp.filesystem.is_network", lambda _: True)
    store = Store(tmp_path)
    store.add([new("a")])
    store.close()
    assert Store(tmp_path).claim("w1").name == "a"
    db = sqlite3.connect(store.path)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    db.close()
    assert not store.path.with_name("queue.db-wal").exists()


def test_network_file_systems_are_known_by_their_mounts(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"rootfs / ext4 rw 0 0\nserver:/home {tmp_path}/far nfs4 rw 0 0\ntmp {tmp_path}/far/near tmpfs rw 0 0\n"
    )
    assert filesystem.is_network(tmp_path / "far" / "project", str(mounts))
    assert not filesystem.is_network(tmp_path / "far" / "near", str(mounts))
    assert not filesystem.is_network(tmp_path / "farther", str(mounts))
    assert not filesystem.is_network(tmp_path, str(tmp_path / "none"))


def test_a_newer_database_is_left_alone(store):
    store.add([new("a")])
    store.close()
    db = sqlite3.connect(store.path)
    db.execute("PRAGMA user_version = 99")
    db.commit()
    db.close()
    before = store.path.read_bytes()
    with pytest.raises(QueueError, match="written by a newer nbexp"):
        store.tasks()
    assert store.path.read_bytes() == before


def test_a_folder_that_nobody_may_write_is_told(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.add([new("a")])
    store.close()

    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = 13
        raise error

    monkeypatch.setattr(Store, "_insert", full)
    with pytest.raises(QueueError, match="disk is full") as caught:
        store.add([new("b")])
    assert "Nothing was changed" in caught.value.message
    monkeypatch.undo()
    assert names(store) == ["a"]
    store.add([new("b")])


def test_another_process_sees_a_change_by_one_number(tmp_path):
    here, there = Store(tmp_path), Store(tmp_path)
    here.add([new("a")])
    before = there.data_version()
    assert there.data_version() == before
    here.apply("uida", states.StopAsked())
    assert there.data_version() != before


def test_a_thousand_tasks_are_listed_and_added_in_no_time(store):
    took_s = []
    for turn in range(3):
        names = [f"n{turn}-{number}" for number in range(1000)]
        begun = time.perf_counter()
        store.add([new(name, spec={"overrides": [{"text": "a=1"}]}) for name in names])
        assert len(store.tasks()) == 1000 * (turn + 1)
        took_s.append(time.perf_counter() - begun)
    assert min(took_s) < 5


def adds_one(folder: str, name: str) -> None:
    other = Store(Path(folder))
    other.add([new(name)])
    other.close()


def test_two_connections_of_one_process_keep_the_file_from_being_taken_away(tmp_path):
    """POSIX drops all locks of a process on a file when it closes any descriptor of it (sqlite.org/howtocorrupt.html, 2.2)."""
    kept, run = Store(tmp_path), multiprocessing.get_context("spawn")
    kept.add([new("a")])
    kept.close()  # the log is empty now
    assert names(kept) == ["a"]
    for number in range(3):
        second = Store(tmp_path)
        assert names(second)[0] == "a"
        second.close()
        child = run.Process(target=adds_one, args=(str(tmp_path), f"from-there-{number}"))
        child.start()
        child.join(60)
        kept.add([new(f"from-here-{number}")])
    found = ["a", *(f"from-{where}-{n}" for n in range(3) for where in ("there", "here"))]
    assert names(kept) == found
    child = run.Process(target=adds_one, args=(str(tmp_path), "last"))
    child.start()
    child.join(60)
    fresh = Store(tmp_path)
    assert names(fresh) == names(kept) == [*found, "last"]
    assert not list(tmp_path.glob("*damaged*"))
