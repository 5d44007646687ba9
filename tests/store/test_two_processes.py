"""Work on many items by two processes: each is done once, whatever becomes of the other process."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from nbexp.store import remotes, transfer, two_processes
from nbexp.store.cache import Cache, Hash
from tests.store.work_on_items import MANY, dies, double, echo, fails, odd_here


def test_each_item_is_done_once_and_both_processes_work() -> None:
    before = psutil.Process().children(recursive=True)
    done: dict[int, int] = {}
    pids: set[int] = set()

    def keep(index: int, answer: tuple[int, int] | None) -> None:
        assert answer is not None
        assert index not in done
        done[index] = answer[0]
        pids.add(answer[1])

    for _ in range(3):  # the other may begin after all is done
        done.clear()
        two_processes.each(double, 0, range(200_000), keep)
        assert done == {number: number * 2 for number in range(200_000)}
    assert len(pids) > 1
    assert {*psutil.Process().children(recursive=True)} <= {*before}


def test_few_items_need_no_other_process() -> None:
    done: dict[int, tuple[int, int] | None] = {}
    two_processes.each(double, 0, [5, 6], done.__setitem__)
    assert done == {0: (10, os.getpid()), 1: (12, os.getpid())}


def test_questions_and_answers_bigger_than_a_pipe_stop_neither_process() -> None:
    items = [
        f"{number:06}" * 700 for number in range(MANY)
    ]  # 4,200 letters, as long as a path may be
    done: dict[int, str | None] = {}
    two_processes.each(echo, 0, items, done.__setitem__)
    assert done == {number: item + item for number, item in enumerate(items)}


def test_what_the_other_leaves_undone_is_done_here() -> None:
    done: dict[int, int | None] = {}
    two_processes.each(odd_here, os.getpid(), range(MANY), done.__setitem__)
    assert done == {number: number for number in range(MANY)}


def test_an_error_is_raised_here_and_what_is_done_is_told() -> None:
    before = psutil.Process().children(recursive=True)
    done: dict[int, int | None] = {}
    with pytest.raises(OSError, match="no space for"):
        two_processes.each(fails, 0, range(MANY), done.__setitem__)
    assert done.items() <= {number: number for number in range(MANY)}.items()
    assert {*psutil.Process().children(recursive=True)} <= {*before}


def test_several_lists_are_done_by_the_same_two_and_other_work_beside_them() -> None:
    before = psutil.Process().children(recursive=True)
    pids: set[int] = set()
    steps: list[int] = []
    with two_processes.begun(MANY) as pair:
        (other,) = {*psutil.Process().children()} - {*before}
        for _ in range(3):
            done: dict[int, tuple[int, int] | None] = {}
            beside = (steps.append(number) for number in range(50))
            pair.each(double, 0, range(200_000), done.__setitem__, beside)
            answers = [answer for answer in done.values() if answer is not None]
            assert sorted(answer[0] for answer in answers) == [*range(0, 400_000, 2)]
            pids |= {answer[1] for answer in answers}
        numbers: dict[int, int | None] = {}
        pair.each(odd_here, os.getpid(), range(MANY), numbers.__setitem__)
        assert numbers == {number: number for number in range(MANY)}
    assert steps == [*range(50)] * 3
    assert pids == {os.getpid(), other.pid}
    assert {*psutil.Process().children(recursive=True)} <= {*before}


def test_without_another_process_there_is_nothing_beside() -> None:
    done: dict[int, tuple[int, int] | None] = {}
    steps: list[int] = []
    with two_processes.begun(2) as pair:
        pair.each(double, 0, [5, 6], done.__setitem__, (steps.append(n) for n in range(2)))
    assert done == {0: (10, os.getpid()), 1: (12, os.getpid())}
    assert steps == []


def test_what_the_other_has_answered_is_told_whatever_interrupts() -> None:
    before = psutil.Process().children(recursive=True)
    told: list[int] = []

    def keep(index: int, answer: tuple[int, int] | None) -> None:
        told.append(index)
        if len(told) == 20_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        two_processes.each(double, 0, range(200_000), keep)
    assert len({*told}) == len(told)
    assert len(told) >= 20_000
    assert {*psutil.Process().children(recursive=True)} <= {*before}


def test_a_pipe_that_holds_a_page_stops_neither_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a user's pipes have had their share, each new one has a page or two."""
    monkeypatch.setattr(two_processes, "_PIPE_BYTES", 4096)
    items = [f"{number:06}" * 30 for number in range(MANY)]
    done: dict[int, str | None] = {}
    two_processes.each(echo, 0, items, done.__setitem__)
    assert done == {number: item + item for number, item in enumerate(items)}


def test_when_the_other_dies_all_is_done_here() -> None:
    done: dict[int, int | None] = {}
    two_processes.each(dies, os.getpid(), range(MANY), done.__setitem__)
    assert done == {number: number for number in range(MANY)}


@pytest.mark.parametrize("kind", ["copy", "hardlink", "symlink"])
def test_many_files_come_into_the_cache_and_back_as_few_do(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "many"
    for number in range(MANY):
        place = folder / f"{number % 10}" / f"{number}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{number % 4_000}\n")  # a thousand twice
        os.utime(place, (1_700_000_000, 1_700_000_000))
    (folder / "0" / "empty").touch()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    cache = Cache(tmp_path / "cache", link_types=(kind,), state=tmp_path / "state.db")
    whole = cache.add(folder)
    assert whole == alone(tmp_path, before)
    assert {path: path.read_bytes() for path in before} == before
    assert cache.missing({item.md5 for item in cache.items(whole.md5)}) == []
    if kind == "symlink":
        assert all(path.is_symlink() for path in before)
    # From the cache, and with one file that is another now.
    (folder / "3" / "3.txt").unlink()
    (folder / "3" / "3.txt").write_text("edited")
    assert cache.checkout(whole, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    cache.close()
    fresh = Cache(tmp_path / "cache", link_types=(kind,), state=tmp_path / "other.db")
    assert fresh.checkout(whole, tmp_path / "elsewhere")
    assert len([path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()]) == MANY + 1
    assert fresh.hash(tmp_path / "elsewhere") == whole
    fresh.close()


def test_many_objects_go_to_a_folder_and_what_cannot_be_stored_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number}.txt").write_text(f"{number}\n")
    cache = Cache(tmp_path / "cache", link_types=("copy",), state=tmp_path / "state.db")
    whole = cache.add(folder)
    items = cache.items(whole.md5)
    away = tmp_path / "away"
    taken = away / "files" / "md5" / items[7].md5[:2] / items[7].md5[2:]
    (taken / "in the way").mkdir(parents=True)
    remote = remotes.at(os.fspath(away), {})
    first = transfer.push([whole.md5], remote, cache)
    assert (first.moved, list(first.failed)) == (MANY - 1, [items[7].md5])
    (taken / "in the way").rmdir()
    taken.rmdir()
    second = transfer.push([whole.md5], remote, cache)
    assert (second.moved, second.present, second.failed) == (2, MANY - 1, {})
    for item in items:
        stored = away / "files" / "md5" / item.md5[:2] / item.md5[2:]
        assert stored.read_bytes() == (folder / item.relpath).read_bytes()
        assert stored.stat().st_mode & 0o777 == 0o444
    assert [path.name for path in (away / "files").iterdir()] == ["md5"]
    cache.close()


def alone(tmp_path: Path, files: dict[Path, bytes]) -> Hash:
    """What one process says that the files are."""
    twin = tmp_path / "twin"
    for path, data in files.items():
        place = twin / path.relative_to(tmp_path / "many")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    cache = Cache(tmp_path / "twin-cache", link_types=("copy",), state=tmp_path / "twin.db")
    before = two_processes.FROM
    two_processes.FROM = 1_000_000
    try:
        return cache.add(twin)
    finally:
        two_processes.FROM = before
        cache.close()
