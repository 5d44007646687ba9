"""What every remote is held to: subclass `RemoteContract` beside a fixture `remote`, and pytest runs it.

    from nbexp.testing.remotes import RemoteContract

    class TestMine(RemoteContract):
        @pytest.fixture
        def remote(self):
            return Remote("mine://somewhere/new", {})

The storage must be empty at the start. One that can only be read has a fixture `seed` as well, which puts bytes under
a key behind its back.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nbexp.errors import StoreError
from nbexp.store.remotes import Remote

Seed = Callable[[str, bytes], None]

_KEYS = (
    "files/md5/00/0123456789abcdef0123456789abcd",
    "files/md5/0a/0123456789abcdef0123456789abcd.dir",
    "runs/ab/abcdef/012345",
    "ab/cdef0123456789abcdef0123456789",
    "files/größe 1 ✓.txt",
)
_SIZES = (0, 1, 5_000_000)


class Stop(Exception):
    """What a test's interrupt raises."""


def ignore(count: int) -> None:
    """A consumer of progress that does nothing."""


class RemoteContract:
    """The tests; each is about one promise of `nbexp.store.remotes.Remote`."""

    can_write = True

    @pytest.fixture
    def seed(self, remote: Remote, tmp_path: Path) -> Seed:
        """Puts bytes under a key, through the remote unless a subclass says otherwise."""

        def put(key: str, data: bytes) -> None:
            source = tmp_path / "seed"
            source.write_bytes(data)
            remote.put(source, key, ignore)

        return put

    def got(self, remote: Remote, key: str, folder: Path) -> bytes:
        """What is under a key."""
        target = folder / f"got-{threading.get_ident()}"
        target.unlink(missing_ok=True)
        remote.get(key, target, ignore)
        return target.read_bytes()

    def test_it_says_where_it_is_and_how_it_is_used_best(self, remote: Remote) -> None:
        assert remote.url
        assert remote.jobs >= 1
        assert remote.page >= 0

    @pytest.mark.parametrize("key", _KEYS)
    def test_what_was_put_is_there(
        self, remote: Remote, seed: Seed, tmp_path: Path, key: str
    ) -> None:
        seed(key, b"some bytes")
        found = remote.exists(key)
        assert found is not None
        assert (found.key, found.size) == (key, 10)
        assert found.md5 in (None, hashlib.md5(b"some bytes", usedforsecurity=False).hexdigest())
        assert self.got(remote, key, tmp_path) == b"some bytes"

    @pytest.mark.parametrize("size", _SIZES)
    def test_any_size_comes_back_as_it_was(
        self, remote: Remote, seed: Seed, tmp_path: Path, size: int
    ) -> None:
        data = hashlib.shake_128(b"nbexp").digest(size)
        seed(_KEYS[0], data)
        found = remote.exists(_KEYS[0])
        assert found is not None
        assert found.size == size
        counts: list[int] = []
        remote.get(_KEYS[0], tmp_path / "got", counts.append)
        assert (tmp_path / "got").read_bytes() == data
        assert sum(counts) in (0, size)  # a library need not tell of progress, but not wrongly

    def test_nothing_is_under_an_unknown_key(self, remote: Remote, tmp_path: Path) -> None:
        assert remote.exists(_KEYS[0]) is None
        with pytest.raises(FileNotFoundError):
            remote.get(_KEYS[0], tmp_path / "got", ignore)

    def test_a_folder_is_no_object(self, remote: Remote, seed: Seed) -> None:
        seed(_KEYS[0], b"1")
        assert remote.exists("files/md5/00") is None
        assert remote.exists("files/md5") is None

    def test_a_listing_has_all_below_a_prefix_and_nothing_else(
        self, remote: Remote, seed: Seed
    ) -> None:
        for number, key in enumerate(_KEYS):
            seed(key, b"1" * number)
        if not remote.page:
            with pytest.raises(StoreError):
                list(remote.list("files/"))
            return
        every = {key: number for number, key in enumerate(_KEYS)}
        for prefix in ("files/md5/", "files/md5/00/", "files/md5/0a/", "files/", "runs/", "ab/"):
            found = {entry.key: entry.size for entry in remote.list(prefix)}
            assert found == {key: n for key, n in every.items() if key.startswith(prefix)}, prefix
        assert list(remote.list("files/md5/ff/")) == []
        assert list(remote.list("nowhere/")) == []

    def test_many_are_listed_completely(self, remote: Remote, seed: Seed) -> None:
        if not remote.page or not self.can_write:
            return
        wanted = {f"files/md5/00/{number:030x}" for number in range(60)}
        for key in wanted:
            seed(key, b"x")
        assert {entry.key for entry in remote.list("files/md5/")} == wanted

    def test_what_is_put_again_replaces_what_was_there(
        self, remote: Remote, seed: Seed, tmp_path: Path
    ) -> None:
        seed(_KEYS[0], b"first")
        seed(_KEYS[0], b"the second")
        assert self.got(remote, _KEYS[0], tmp_path) == b"the second"
        found = remote.exists(_KEYS[0])
        assert found is not None
        assert found.size == 10

    def test_what_is_removed_is_gone_and_removing_nothing_is_fine(
        self, remote: Remote, seed: Seed
    ) -> None:
        seed(_KEYS[0], b"1")
        if not self.can_write:
            with pytest.raises(StoreError, match="can only be read"):
                remote.remove(_KEYS[0])
            return
        remote.remove(_KEYS[0])
        assert remote.exists(_KEYS[0]) is None
        remote.remove(_KEYS[0])
        remote.remove(_KEYS[3])

    def test_a_put_that_is_stopped_leaves_the_old_bytes_or_all_of_the_new(
        self, remote: Remote, seed: Seed, tmp_path: Path
    ) -> None:
        source = tmp_path / "source"
        source.write_bytes(b"n" * 5_000_000)
        if not self.can_write:
            with pytest.raises(StoreError, match="can only be read"):
                remote.put(source, _KEYS[0], ignore)
            return

        def stop(_count: int) -> None:
            raise Stop

        seed(_KEYS[0], b"old")
        for key, old in ((_KEYS[0], b"old"), (_KEYS[1], None)):
            with pytest.raises((Stop, StoreError)):
                remote.put(source, key, stop)
            found = remote.exists(key)
            data = None if found is None else self.got(remote, key, tmp_path)
            assert data in (old, source.read_bytes())
        names = {entry.key for entry in remote.list("files/")} if remote.page else set()
        assert names <= set(_KEYS[:2])
        # The name that was in use for it is free again.
        seed(_KEYS[1], b"now")
        assert self.got(remote, _KEYS[1], tmp_path) == b"now"

    def test_several_threads_may_use_it_at_once(
        self, remote: Remote, seed: Seed, tmp_path: Path
    ) -> None:
        if not self.can_write:
            seed(_KEYS[0], b"1")
        errors: list[BaseException] = []

        def work(thread: int) -> None:
            try:
                for number in range(5):
                    key = f"files/md5/{thread:02x}/{number:030x}"
                    source = tmp_path / f"source{thread}"
                    source.write_bytes(f"{thread} {number}".encode())
                    if self.can_write:
                        remote.put(source, key, ignore)
                    else:
                        key = _KEYS[0]
                    assert remote.exists(key) is not None
                    wanted = source.read_bytes() if self.can_write else b"1"
                    assert self.got(remote, key, tmp_path) == wanted
            except BaseException as error:  # noqa: BLE001 - raised again by the test's own thread
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def test_it_can_be_used_again_after_it_was_closed(
        self, remote: Remote, seed: Seed, tmp_path: Path
    ) -> None:
        seed(_KEYS[0], b"1")
        remote.flush()
        remote.close()
        assert self.got(remote, _KEYS[0], tmp_path) == b"1"
