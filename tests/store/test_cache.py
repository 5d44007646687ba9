from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nbexp import filesystem
from nbexp.errors import NotFound, StoreError
from nbexp.formats.directory import Item
from nbexp.store import cache as module
from nbexp.store import objects, reading, staging, state
from nbexp.store.cache import Cache, Hash
from nbexp.store.objects import Objects

Make = Callable[..., Cache]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Opens the cache of a project in `tmp_path`, as a process of its own would."""

    def open_cache(*link_types: str, **options: Any) -> Cache:
        return Cache(
            tmp_path / "project" / ".dvc" / "cache",
            link_types=link_types or ("reflink", "copy"),
            state=tmp_path / "project" / ".dvc" / "tmp" / "nbexp" / "state.db",
            **options,
        )

    (tmp_path / "project").mkdir()
    return open_cache


@pytest.fixture
def project(make: Make, tmp_path: Path) -> Path:
    return tmp_path / "project"


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def write(path: Path, data: bytes, *, age_s: float = 60) -> Path:
    """A file that was last changed a while ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    then = time.time_ns() - int(age_s * 1e9) + 1
    os.utime(path, ns=(then, then))
    return path


TREE = {
    "a.txt": b"a\n",
    "b/c.txt": b"c\n",
    "b/d/e": b"e\n",
    "empty": b"",
    "\u00fc \u4e2d.csv": b"1,2\n",
}


def tree(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for relpath, data in (TREE if files is None else files).items():
        write(folder / relpath, data)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def mode_of(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def stored(project: Path) -> dict[str, bytes]:
    """The objects by name, each checked: complete, of its digest, read-only; nothing else lies there."""
    objects = project / ".dvc" / "cache" / "files" / "md5"
    found = {}
    for path in sorted(objects.rglob("*")) if objects.exists() else ():
        if path.is_file():
            name = path.parent.name + path.name
            assert md5(path.read_bytes()) == name.removesuffix(".dir")
            assert mode_of(path) == 0o444
            found[name] = path.read_bytes()
    return found


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths whose bytes are hashed from now on."""
    names: list[str] = []
    steadily, alone = reading.read_steadily, staging._read_alone
    for place in (module, objects, reading, staging):
        monkeypatch.setattr(
            place,
            "read_steadily",
            lambda name, *rest: (names.append(name), steadily(name, *rest))[1],
        )
    monkeypatch.setattr(
        staging, "_read_alone", lambda name, *rest: (names.append(name), alone(name, *rest))[1]
    )
    return names


def count_inspected(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many objects are asked about at a time, from now on."""
    asked: list[int] = []
    inspect = Objects.inspect

    def counted(self: Objects, md5s: Any, *args: Any, **options: Any) -> Any:
        asked.append(len(md5s))
        return inspect(self, md5s, *args, **options)

    monkeypatch.setattr(Objects, "inspect", counted)
    return asked


# What is on disk


def test_a_file_has_the_digest_and_size_of_its_bytes(make: Make, project: Path) -> None:
    write(project / "data.csv", b"x,y\n1,2\n").chmod(0o644)
    write(project / "run.sh", b"#!/bin/sh\n").chmod(0o755)
    cache = make()
    assert cache.hash(project / "data.csv") == Hash(md5(b"x,y\n1,2\n"), 8)
    assert cache.hash(project / "run.sh") == Hash(md5(b"#!/bin/sh\n"), 10, isexec=True)
    assert cache.hash(project / "missing") is None
    assert cache.hash(project / "data.csv" / "below") is None
    assert stored(project) == {}


def test_a_directory_has_the_digest_of_its_listing(make: Make, project: Path) -> None:
    tree(project / "data", {"a.txt": b"a", "sub/z": b"zz"})
    (project / "data" / "link").symlink_to("a.txt")
    (project / "data" / "empty").mkdir()
    listing = [
        {"md5": md5(b"a"), "relpath": "a.txt"},
        {"md5": md5(b"a"), "relpath": "link"},
        {"md5": md5(b"zz"), "relpath": "sub/z"},
    ]
    found = make().hash(project / "data")
    assert found == Hash(md5(json.dumps(listing).encode()) + ".dir", 4, 3)
    assert found.is_dir
    (project / "none").mkdir()
    assert make().hash(project / "none") == Hash("d751713988987e9331980363e24189ce.dir", 0, 0)


def test_what_the_ignore_rules_hide_does_not_count(make: Make, project: Path) -> None:
    plain = make().hash(tree(project / "data"))
    write(project / "data" / "notes.tmp", b"1")
    write(project / "data" / ".git" / "HEAD", b"ref")
    write(project / "data" / "b" / ".dvc" / "config", b"")
    asked: list[Path] = []

    def rules(folder: Path) -> Callable[[str, bool], bool]:
        asked.append(folder)
        return lambda relpath, _is_dir: relpath.endswith(".tmp")

    assert make(skip=rules).hash(project / "data") == plain
    assert asked == [project / "data"]
    assert make(skip=lambda _: None).hash(project / "data") != plain


def test_an_unchanged_path_is_not_read_again(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(project / "data")
    write(project / "x", b"x")
    first = make()
    answers = first.hash(project / "data"), first.hash(project / "x")
    first.close()
    reads = count_reads(monkeypatch)
    later = make()
    assert (later.hash(project / "data"), later.hash(project / "x")) == answers
    assert reads == []
    write(project / "data" / "b" / "d" / "e", b"changed")
    changed = later.hash(project / "data")
    assert reads == [str(project / "data" / "b" / "d" / "e")]
    assert changed is not None
    assert changed != answers[0]


def test_a_young_file_is_read_again_for_it_may_change_within_the_tick(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "metrics.json"
    path.write_bytes(b'{"acc": 1}')
    stamp = path.stat().st_mtime_ns
    monkeypatch.setattr(reading.time, "time_ns", lambda: stamp + 50_000_000)
    cache = make()
    cache.hash(path)
    path.write_bytes(b'{"acc": 2}')
    os.utime(path, ns=(stamp, stamp))
    assert cache.hash(path) == Hash(md5(b'{"acc": 2}'), 10)


def test_a_whole_second_is_taken_for_a_coarse_clock(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(project / "x", b"one")
    now = time.time_ns() // 10**9 * 10**9
    monkeypatch.setattr(reading.time, "time_ns", lambda: now + 10**9)
    os.utime(path, ns=(now, now))
    cache = make()
    cache.hash(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(now, now))
    assert cache.hash(path) == Hash(md5(b"two"), 3)


def test_a_file_of_the_future_is_always_read(make: Make, project: Path) -> None:
    path = write(project / "x", b"one", age_s=-3600)
    stamp = path.stat().st_mtime_ns
    cache = make()
    cache.hash(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(stamp, stamp))
    assert cache.hash(path) == Hash(md5(b"two"), 3)


def test_big_files_have_the_right_digest(make: Make, project: Path) -> None:
    """Two of them, so that they are read on threads, and a size beside a whole number of pieces."""
    data = os.urandom(1 << 20) * 3 + b"end"
    tree(project / "data", {"big": data, "bigger": data + data, "small": b"1", "x": data[:300_000]})
    cache = make()
    added = cache.add(project / "data")
    assert {item.relpath: item.md5 for item in cache.items(added.md5)} == {
        "big": md5(data), "bigger": md5(data + data), "small": md5(b"1"), "x": md5(data[:300_000])
    }  # fmt: skip
    assert make().hash(project / "data") == added
    assert make().hash(project / "data" / "big") == Hash(md5(data), len(data))


def test_what_cannot_be_hashed_is_named(make: Make, project: Path) -> None:
    tree(project / "data")
    (project / "data" / "gone").symlink_to("nothing")
    with pytest.raises(StoreError) as refused:
        make().hash(project / "data")
    assert refused.value.message == f"`{project}/data/gone` is a link to nothing."
    (project / "data" / "gone").unlink()
    (project / "data" / "b" / "self").symlink_to("self")
    with pytest.raises(StoreError) as refused:
        make().hash(project / "data")
    assert refused.value.message == f"`{project}/data/b/self` is a link that leads to itself."
    os.mkfifo(project / "pipe")
    with pytest.raises(StoreError, match="neither a file nor a directory"):
        make().hash(project / "pipe")


def test_a_file_that_is_being_written_is_no_answer(make: Make, project: Path) -> None:
    path = write(project / "log", b"x" * (8 << 20))
    done = threading.Event()

    def append() -> None:
        with path.open("ab", buffering=0) as file:
            while not done.is_set():
                file.write(b"x")
                time.sleep(0.0002)

    writer = threading.Thread(target=append)
    writer.start()
    try:
        with pytest.raises(StoreError, match="changes while it is read"):
            make().add(path)
    finally:
        done.set()
        writer.join()
    assert stored(project) == {}


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_big_file_is_copied_and_hashed_side_by_side(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch, in_kernel: bool
) -> None:
    if not in_kernel:
        monkeypatch.delattr(os, "copy_file_range")
    for size in (1 << 20, (3 << 20) + 17, 20 << 20):
        data = os.urandom(size)
        added = make("copy").add(write(project / "big", data))
        assert added == Hash(md5(data), size)
        assert stored(project)[md5(data)] == data
        assert mode_of(project / "big") == 0o644


def test_a_big_file_that_cannot_be_copied_leaves_nothing(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_old: int, _new: int, _count: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full)
    path = write(project / "big", os.urandom(4 << 20))
    threads = set(threading.enumerate())
    with pytest.raises(StoreError, match=r"`.*big` cannot be stored: No space left on device"):
        make("copy").add(path)
    assert stored(project) == {}
    assert os.listdir(project / ".dvc" / "cache" / "files") == []
    assert set(threading.enumerate()) <= threads


def test_an_interrupt_ends_the_copy_of_a_big_file(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy goes on in a thread, which must be gone before its file is."""
    chunk = staging.new_md5

    class Interrupted:
        def update(self, _data: bytes) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(staging, "new_md5", lambda *data: chunk(*data) if data else Interrupted())
    path = write(project / "big", os.urandom(64 << 20))
    threads = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        make("copy").add(path)
    assert set(threading.enumerate()) <= threads
    opened = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    assert [name for name in opened if name.endswith(("/big", ".tmp"))] == []
    assert os.listdir(project / ".dvc" / "cache" / "files") == []


def test_a_file_that_changed_once_while_it_was_copied_is_copied_again(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(project / "x", b"one")
    real, times = staging.stamp_of, iter(range(9))

    def moving(status: os.stat_result) -> reading.Stamp:
        return (0, 0, 0) if next(times) == 0 else real(status)

    monkeypatch.setattr(reading, "stamp_of", moving)
    staged = staging.stage(("copy", 0, (str(project),)), str(path))
    assert (staged.md5, Path(staged.source).read_bytes()) == (md5(b"one"), b"one")
    assert mode_of(Path(staged.source)) == 0o444


@pytest.mark.parametrize("kind", ["copy", "hardlink"])
def test_many_files_are_stored_as_few_are(make: Make, project: Path, kind: str) -> None:
    files = {f"d{n % 7}/{n}": b"%d" % n for n in range(3_300)}
    added = make(kind).add(tree(project / "data", files))
    assert len(make(kind).items(added.md5)) == 3_300
    assert stored(project).keys() == {added.md5, *(md5(data) for data in files.values())}
    assert os.listdir(project / ".dvc" / "cache" / "files") == ["md5"]
    assert content(project / "data") == files


def test_the_digest_of_dvc_2_takes_carriage_returns_out_of_texts(make: Make, project: Path) -> None:
    text = write(project / "text", b"a\r\nb\r\n")
    data = write(project / "data", b"a\r\n\0b\r\n")
    cache = make()
    assert cache.hash(text, legacy=True) == Hash("dd8c6a395b5dd36c56d23275028f526c", 6)
    assert cache.hash(text) == Hash("59b0d7772f0561efb95518f3cb8abc60", 6)
    assert cache.hash(text, legacy=True) == Hash("dd8c6a395b5dd36c56d23275028f526c", 6)
    assert cache.hash(data, legacy=True) == cache.hash(data)
    tree(project / "folder", {"x": b"a\r\nb\r\n"})
    old, new = cache.hash(project / "folder", legacy=True), cache.hash(project / "folder")
    assert old is not None
    assert new is not None
    assert old.md5 != new.md5


def test_objects_of_dvc_2_are_used_where_they_lie(make: Make, project: Path) -> None:
    old = project / ".dvc" / "cache" / "dd"
    write(old / "8c6a395b5dd36c56d23275028f526c", b"a\r\nb\r\n")
    cache = make()
    wanted = Hash("dd8c6a395b5dd36c56d23275028f526c", 6)
    assert cache.has(wanted)
    assert cache.read(wanted.md5) == b"a\r\nb\r\n"
    assert cache.checkout(wanted, project / "out")
    assert (project / "out").read_bytes() == b"a\r\nb\r\n"


# Into the cache


def test_a_stored_file_stays_as_it_is(make: Make, project: Path) -> None:
    path = write(project / "model", b"weights")
    path.chmod(0o640)
    before = path.stat()
    cache = make()
    assert cache.add(path) == Hash(md5(b"weights"), 7)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns, mode_of(path)) == (
        before.st_ino,
        before.st_mtime_ns,
        0o640,
    )
    assert stored(project) == {md5(b"weights"): b"weights"}
    assert cache.path(md5(b"weights")).parent.name == md5(b"weights")[:2]
    assert cache.put(b"{}") == Hash(md5(b"{}"), 2)
    assert cache.read(md5(b"{}")) == b"{}"


def test_a_stored_directory_is_its_files_and_its_listing(make: Make, project: Path) -> None:
    tree(project / "data", {**TREE, "copy of a": b"a\n"})
    cache = make()
    added = cache.add(project / "data")
    assert added == make().hash(project / "data")
    assert set(stored(project)) == {added.md5, *(md5(data) for data in TREE.values())}
    assert {item.relpath for item in cache.items(added.md5)} == {*TREE, "copy of a"}
    assert cache.has(added)
    assert cache.has(added.md5)
    (project / ".dvc" / "cache" / "files" / "md5" / md5(b"e\n")[:2] / md5(b"e\n")[2:]).unlink()
    assert not cache.has(added)


def test_adding_again_reads_and_writes_what_changed_only(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"s{n % 7}/{n}": b"%d" % n for n in range(200)}
    first = make().add(tree(project / "data", files))
    reads = count_reads(monkeypatch)
    assert make().add(project / "data") == first
    assert reads == []
    before = stored(project)
    write(project / "data" / "s0" / "0", b"new")
    second = make().add(project / "data")
    assert reads == [str(project / "data" / "s0" / "0")]
    assert set(stored(project)) - set(before) == {second.md5, md5(b"new")}


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_files_become_links_where_that_is_asked_for(make: Make, project: Path, kind: str) -> None:
    tree(project / "data")
    added = make(kind).add(project / "data")
    assert content(project / "data") == TREE
    assert set(stored(project)) == {added.md5, *(md5(data) for data in TREE.values())}
    path, object_ = project / "data" / "a.txt", make().path(md5(b"a\n"))
    if kind == "hardlink":
        assert path.samefile(object_)
        assert (path.stat().st_nlink, mode_of(path)) == (2, 0o444)
        assert (project / "data" / "empty").stat().st_nlink == 1
    else:
        assert os.readlink(path) == str(object_)
    assert make(kind).add(project / "data") == added
    assert make(kind).hash(project / "data") == added


def test_more_files_than_are_flushed_one_by_one_become_links(make: Make, project: Path) -> None:
    files = {f"{n:03}": b"%d" % n for n in range(100)}
    added = make("hardlink").add(tree(project / "data", files))
    assert len(stored(project)) == 101
    assert all(path.stat().st_nlink == 2 for path in (project / "data").iterdir())
    shutil.rmtree(project / "data")
    assert make("hardlink").checkout(added, project / "data")
    assert content(project / "data") == files


def test_linking_concerns_no_file_that_has_another_name(make: Make, project: Path) -> None:
    """What a link leads to, or what shares an inode with somebody else's file, is copied instead."""
    theirs = write(project / "theirs", b"outside")
    twin = write(project / "twin", b"two names")
    tree(project / "data", {"a": b"a"})
    (project / "data" / "link").symlink_to(theirs)
    (project / "data" / "a again").symlink_to("a")
    os.link(twin, project / "data" / "twin")
    for path in (theirs, twin):
        path.chmod(0o644)
    make("hardlink").add(project / "data")
    assert (mode_of(theirs), mode_of(twin)) == (0o644, 0o644)
    assert (theirs.stat().st_nlink, twin.stat().st_nlink) == (1, 1)
    twin.write_bytes(b"changed by its owner")
    assert stored(project)[md5(b"two names")] == b"two names"
    assert content(project / "data") == {
        "a": b"a", "a again": b"a", "link": b"outside", "twin": b"two names"
    }  # fmt: skip


def test_a_linked_program_can_still_be_run(make: Make, project: Path) -> None:
    write(project / "run.sh", b"#!/bin/sh\n").chmod(0o755)
    assert make("hardlink").add(project / "run.sh").isexec
    assert mode_of(project / "run.sh") == 0o544


def test_a_failed_addition_leaves_files_as_writable_as_they_were(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(project / "data")

    link = os.link

    def full(source: str, *rest: Any, **more: Any) -> None:
        if "/data/" in os.fspath(source):
            raise OSError(28, "No space left on device")
        link(source, *rest, **more)  # what is tried before

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StoreError) as refused:
        make("hardlink").add(project / "data")
    assert refused.value.message == f"`{project}/data` cannot be stored: No space left on device."
    assert {mode_of(path) for path in (project / "data").rglob("*") if path.is_file()} == {0o644}
    assert os.listdir(project / ".dvc" / "cache" / "files") == ["md5"]
    assert stored(project) == {}


def test_a_damaged_object_is_replaced_when_its_content_is_added_again(
    make: Make, project: Path
) -> None:
    for kind in ("copy", "hardlink"):
        path = write(project / kind, kind.encode())
        make(kind).add(path)
        object_ = make().path(md5(kind.encode()))
        object_.chmod(0o644)
        shutil.copy(path, project / "good")
        object_.write_bytes(b"bad")
        shutil.copy(project / "good", path)
        (project / "fresh").unlink(missing_ok=True)
        (project / "good").rename(project / "fresh")
        make(kind).add(project / "fresh")
        assert make().read(md5(kind.encode())) == kind.encode()


def test_adding_what_is_not_there_or_could_not_come_back_is_refused(
    make: Make, project: Path
) -> None:
    with pytest.raises(NotFound, match=r"`.*missing` is not there"):
        make().add(project / "missing")
    tree(project / "data", {"sub/.GIT/config": b""})
    with pytest.raises(StoreError, match="records"):
        make().add(project / "data")


# Out of the cache

KINDS = ["copy", "hardlink", "symlink"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_comes_back_as_its_link_type_asks(make: Make, project: Path, kind: str) -> None:
    cache = make(kind)
    wanted = make().add(write(project / "x", b"content"))
    path = project / "deep" / "out"
    assert cache.checkout(wanted, path) is True
    assert path.read_bytes() == b"content"
    object_ = cache.path(wanted.md5)
    if kind == "copy":
        assert (path.stat().st_nlink, mode_of(path)) == (1, 0o666 & ~filesystem.umask())
    elif kind == "hardlink":
        assert (path.samefile(object_), mode_of(path)) == (True, 0o444)
    else:
        assert os.readlink(path) == str(object_)
    assert cache.checkout(wanted, path) is False
    assert mode_of(object_) == 0o444
    assert os.listdir(path.parent) == ["out"]
    empty = cache.put(b"")
    assert cache.checkout(empty, project / "empty")
    assert (project / "empty").read_bytes() == b""
    assert (project / "empty").is_symlink() == (kind == "symlink")
    assert cache.path(empty.md5).stat().st_nlink == 1


def test_a_program_comes_back_as_one(make: Make, project: Path) -> None:
    write(project / "run.sh", b"#!/bin/sh\n").chmod(0o755)
    cache = make()
    wanted = cache.add(project / "run.sh")
    (project / "run.sh").chmod(0o644)
    assert cache.checkout(wanted, project / "run.sh") is True
    assert mode_of(project / "run.sh") == 0o744
    assert cache.checkout(wanted, project / "run.sh") is False
    (project / "run.sh").unlink()
    cache.checkout(wanted, project / "run.sh")
    assert mode_of(project / "run.sh") == 0o744


@pytest.mark.parametrize("kind", KINDS)
def test_a_directory_comes_back_exactly(make: Make, project: Path, kind: str) -> None:
    cache = make(kind)
    wanted = make().add(tree(project / "data"))
    kept = (project / "data" / "b" / "c.txt").stat()
    (project / "data" / "a.txt").write_bytes(b"edited")
    (project / "data" / "b" / "d" / "e").unlink()
    write(project / "data" / "extra" / "x", b"")
    assert cache.checkout(wanted, project / "data") is True
    assert content(project / "data") == TREE
    assert sorted(os.listdir(project / "data")) == sorted(
        ["a.txt", "b", "empty", "\u00fc \u4e2d.csv"]
    )
    after = (project / "data" / "b" / "c.txt").stat()
    assert (after.st_ino, after.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert cache.checkout(wanted, project / "data") is False
    assert sorted(os.listdir(project)) == [".dvc", "data"]
    shutil.rmtree(project / "data")
    assert cache.checkout(wanted, project / "data") is True
    assert content(project / "data") == TREE
    assert make(kind).hash(project / "data") == wanted
    assert set(stored(project)) == {wanted.md5, *(md5(data) for data in TREE.values())}


def test_a_directory_that_comes_back_keeps_what_is_ignored(make: Make, project: Path) -> None:
    cache = make(skip=lambda _: lambda relpath, _is_dir: relpath.endswith(("tmp", "checkpoints")))
    wanted = cache.add(tree(project / "data"))
    write(project / "data" / "b" / "notes.tmp", b"mine")
    write(project / "data" / "checkpoints" / "deep" / "1", b"mine too")
    (project / "data" / "link.tmp").symlink_to("nowhere")
    write(project / "data" / "a.txt", b"edited")
    assert cache.checkout(wanted, project / "data")
    assert os.readlink(project / "data" / "link.tmp") == "nowhere"
    assert content(project / "data") == {
        **TREE, "b/notes.tmp": b"mine", "checkpoints/deep/1": b"mine too"
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_stood_at_the_path_makes_room(make: Make, project: Path, kind: str) -> None:
    cache = make(kind)
    folder = make().add(tree(project / "data"))
    file = make().add(write(project / "x", b"content"))
    theirs = tree(project / "theirs", {"x": b"theirs"})

    def link(path: Path) -> None:
        path.symlink_to(theirs)

    befores: list[Callable[[Path], object]] = [
        link, tree, os.mkfifo, lambda path: write(path, b"old"), lambda path: path.symlink_to("no"),
    ]  # fmt: skip
    for number, before in enumerate(befores):
        for wanted in (folder, file):
            path = project / f"{number}-{wanted.is_dir}"
            before(path)
            if before is tree and wanted is folder:
                write(path / "more", b"")
            assert cache.checkout(wanted, path) is True
            assert cache.hash(path) == wanted
            assert stat.S_ISDIR(path.lstat().st_mode) == wanted.is_dir
    assert content(theirs) == {"x": b"theirs"}
    assert [name for name in os.listdir(project) if filesystem.is_temporary(name)] == []


def test_a_linked_folder_stays_a_link_and_does_not_count(make: Make, project: Path) -> None:
    theirs = tree(project / "theirs", {"x": b"1"})
    (project / "data").mkdir()
    (project / "data" / "sub").symlink_to(theirs)
    write(project / "data" / "y", b"2")
    cache = make("hardlink")
    wanted = cache.add(project / "data")
    assert cache.items(wanted.md5) == (Item("y", md5(b"2")),)
    (project / "data" / "y").unlink()
    write(project / "data" / "y", b"edited")
    assert cache.checkout(wanted, project / "data")
    assert os.readlink(project / "data" / "sub") == str(theirs)
    assert (project / "data" / "y").read_bytes() == b"2"
    assert mode_of(theirs / "x") == 0o644


@pytest.mark.parametrize("errno", [16, 18])
def test_a_folder_that_cannot_be_renamed_is_filled_in_place(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch, errno: int
) -> None:
    """A mount point (EBUSY), or a folder of an image's lower layer on overlayfs (EXDEV)."""
    cache = make(skip=lambda _: lambda relpath, _is_dir: relpath == "notes")
    wanted = cache.add(tree(project / "data"))
    write(project / "data" / "a.txt", b"edited")
    write(project / "data" / "notes", b"mine")
    write(project / "data" / "extra" / "x", b"")
    shutil.rmtree(project / "data" / "b")
    write(project / "data" / "b", b"a file in the way")
    (project / "data" / "empty").unlink()
    (project / "data" / "empty").mkdir()
    inode = (project / "data").stat().st_ino
    rename = os.rename

    def refuse(source: str, target: str) -> None:
        if source == str(project / "data"):
            raise OSError(errno, os.strerror(errno))
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    assert cache.checkout(wanted, project / "data") is True
    assert content(project / "data") == {**TREE, "notes": b"mine"}
    assert (project / "data").stat().st_ino == inode
    assert cache.hash(project / "data") == wanted


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
        return
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1] if how == "truncated" else data[:-1] + b"?")
    path.chmod(0o444)


@pytest.mark.parametrize("how", ["truncated", "overwritten", "missing"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_damaged_object_is_named_and_the_path_stays(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch, how: str, known: bool
) -> None:
    file = make().add(write(project / "x", b"content"))
    folder = make().add(tree(project / "data"))
    if not known:
        shutil.rmtree(project / ".dvc" / "tmp")
    damage(make().path(file.md5), how)
    damage(make().path(md5(b"e\n")), how)
    write(project / "x", b"mine")
    shutil.rmtree(project / "data")
    tree(project / "data", {"mine": b"too"})
    monkeypatch.chdir(project)
    cache = make()
    for wanted, name, md5_ in ((file, "x", file.md5), (folder, "data", md5(b"e\n"))):
        with pytest.raises(StoreError) as refused:
            cache.checkout(wanted, project / name)
        problem = {
            "missing": "is missing",
            "truncated": "is damaged: 6 bytes, 7 were stored"
            if wanted is file
            else "is damaged: its bytes have another digest",
            "overwritten": "is damaged: its bytes have another digest",
        }[how]
        assert refused.value.message == (
            f"The object .dvc/cache/files/md5/{md5_[:2]}/{md5_[2:]} of the cache {problem}."
            f" `{name}` was not touched."
        )
        assert refused.value.hint == (
            "`nbexp data fetch` gets it from a remote; `nbexp run --force` makes stage outputs again."
        )
        assert not cache.has(wanted)
    assert (project / "x").read_bytes() == b"mine"
    assert content(project / "data") == {"mine": b"too"}
    assert sorted(os.listdir(project)) == [".dvc", "data", "x"]
    # What is fetched replaces it.
    cache.put(b"content")
    cache.put(b"e\n")
    assert cache.checkout(file, project / "x")
    assert cache.checkout(folder, project / "data")


def test_an_object_edited_through_a_link_is_found_out(make: Make, project: Path) -> None:
    cache = make("hardlink")
    wanted = cache.add(write(project / "x", b"content"))
    (project / "x").chmod(0o644)
    (project / "x").write_bytes(b"CONTENT")
    assert cache.hash(project / "x") == Hash(md5(b"CONTENT"), 7)
    with pytest.raises(StoreError, match="another digest"):
        cache.checkout(wanted, project / "x")
    assert (project / "x").read_bytes() == b"CONTENT"
    assert cache.add(project / "x") == Hash(md5(b"CONTENT"), 7)
    assert cache.read(md5(b"CONTENT")) == b"CONTENT"


@pytest.mark.parametrize("data", [b"not json", b'[{"md5": "x", "relpath": "y"}]', b"[1]"])
def test_a_listing_that_is_none_is_refused(make: Make, project: Path, data: bytes) -> None:
    cache = make()
    name = cache.put(data).md5
    cache.path(name).rename(f"{cache.path(name)}.dir")
    with pytest.raises(StoreError, match="cannot be used: it is no list of files"):
        cache.items(f"{name}.dir")
    assert not cache.has(f"{name}.dir")


@pytest.mark.parametrize(
    "paths",
    [
        ["../x"], ["/etc/x"], ["a/../../x"], ["a//b"], ["."], ["a/"], [""], [".git/hooks/x"], ["sub/.GIT/x"],
        [".dvc/config"], ["a\0"], ["a", "a"], ["a", "a/b"],
    ],
)  # fmt: skip
def test_a_listing_that_leads_elsewhere_creates_nothing(
    make: Make, project: Path, paths: list[str]
) -> None:
    cache = make()
    entry = cache.put(b"evil")
    listing = json.dumps([{"md5": entry.md5, "relpath": path} for path in paths]).encode()
    name = cache.put(listing).md5
    cache.path(name).rename(f"{cache.path(name)}.dir")
    with pytest.raises(StoreError):
        cache.checkout(Hash(f"{name}.dir", 4, 1), project / "out")
    assert os.listdir(project) == [".dvc"]


@pytest.mark.parametrize("name", ["", "../../../x", "abc", "A" * 32, "0" * 32 + ".dirs"])
def test_the_name_of_an_object_leads_nowhere_else(make: Make, project: Path, name: str) -> None:
    cache = make()
    for ask in (cache.read, cache.has, cache.items, cache.path):
        with pytest.raises(StoreError, match="is not the name of an object"):
            ask(name)
    with pytest.raises(StoreError):
        cache.checkout(Hash(name, 1), project / "x")


def test_what_stands_in_the_way_of_the_path_is_told(make: Make, project: Path) -> None:
    cache = make()
    wanted = cache.put(b"content")
    write(project / "file", b"mine")
    with pytest.raises(StoreError, match=r"`.*file/below` cannot be restored: "):
        cache.checkout(wanted, project / "file" / "below")
    assert (project / "file").read_bytes() == b"mine"


def test_a_name_that_is_no_unicode_survives(make: Make, project: Path) -> None:
    path = os.path.join(os.fsencode(project), b"data", b"caf\xe9")
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(b"x")
    os.utime(path, (1, 1))
    cache = make()
    wanted = cache.add(project / "data")
    cache.close()
    shutil.rmtree(project / "data")
    assert make().checkout(wanted, project / "data")
    assert os.listdir(os.path.dirname(path)) == [b"caf\xe9"]
    assert make().hash(project / "data") == wanted


def test_a_big_copy_is_known_at_the_next_look(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = make().add(write(project / "big", os.urandom(5 << 20)))
    cache = make()
    cache.checkout(wanted, project / "copy")
    reads = count_reads(monkeypatch)
    assert cache.hash(project / "copy") == wanted
    assert reads == []


def test_a_directory_of_copies_is_known_at_the_next_look(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = make("copy").add(tree(project / "data"))
    cache = make("copy")
    cache.checkout(wanted, project / "copy")
    assert content(project / "copy") == TREE
    cache.close()
    reads = count_reads(monkeypatch)
    assert make("copy").hash(project / "copy") == wanted
    assert reads == []
    path = project / "copy" / "a.txt"
    path.write_bytes(b"b\n")
    assert make("copy").hash(project / "copy") != wanted
    assert reads == [str(path)]


# The run cache


def test_runs_come_back_newest_first(make: Make, project: Path) -> None:
    cache = make()
    key, old, new = "ab" + "0" * 62, "1" * 64, "2" * 64
    assert cache.run_cache(key) == []
    cache.save_run(key, new, b"new")
    cache.save_run(key, old, b"old")
    folder = project / ".dvc" / "cache" / "runs" / "ab" / key
    assert {path.name: mode_of(path) for path in folder.iterdir()} == {
        old: 0o666 & ~filesystem.umask(), new: 0o666 & ~filesystem.umask()
    }  # fmt: skip
    os.utime(folder / old, (1, 1))
    assert cache.run_cache(key) == [b"new", b"old"]
    cache.save_run(key, old, b"old again")
    assert cache.run_cache(key) == [b"old again", b"new"]
    assert os.listdir(project / ".dvc" / "cache" / "files") == []


# Killed

CHILD = """
import sys
from pathlib import Path
from nbexp.store.cache import Cache, Hash
project, kind, what, md5, size = sys.argv[1:]
cache = Cache(Path(project) / ".dvc/cache", link_types=[kind], state=Path(project) / ".dvc/tmp/nbexp/state.db")
if what == "add":
    cache.add(Path(project) / "data")
elif what == "run":
    cache.save_run("k" * 64, "v" * 64, b"entry")
else:
    cache.checkout(Hash(md5, int(size)), Path(project) / "data")
cache.close()
"""


def run_child(
    project: Path, kind: str, what: str, *, crash: str, wanted: Hash | None = None
) -> subprocess.CompletedProcess[bytes]:
    md5_, size = ("", 0) if wanted is None else (wanted.md5, wanted.size)
    return subprocess.run(
        [sys.executable, "-c", CHILD, project, kind, what, md5_, str(size)],
        env={**os.environ, "NBEXP_CRASH": crash},
        capture_output=True,
        check=False,
        timeout=60,
    )


ADD = {
    "copy": [
        "add.copied", "add.copied@4", "add.hashed", "add.stored", "add.stored@3", "add.listed",
        "write.written", "write.replaced", "state.flush",
    ],
    "hardlink": ["add.hashed", "add.stored@3", "add.linked", "place.linked", "add.listed", "state.flush"],
    "symlink": ["add.hashed", "add.stored@3", "add.linked@3", "place.linked", "add.listed"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "point"), [(kind, point) for kind, points in ADD.items() for point in points]
)
def test_an_addition_killed_anywhere_leaves_whole_objects_and_can_be_repeated(
    make: Make, project: Path, kind: str, point: str
) -> None:
    make().add(write(project / "known", b"c\n"))  # one of the files is stored before
    tree(project / "data")
    ran = run_child(project, kind, "add", crash=point)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert content(project / "data") == TREE
    stored(project)
    added = make(kind).add(project / "data")
    assert added == make(kind).hash(project / "data")
    assert content(project / "data") == TREE
    assert set(stored(project)) == {added.md5, *(md5(data) for data in TREE.values())}
    filesystem.sweep(project / ".dvc" / "cache" / "files", 0)
    assert os.listdir(project / ".dvc" / "cache" / "files") == ["md5"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", ["checked", "built", "moved", "swapped", "state.flush"])
def test_a_checkout_killed_anywhere_leaves_the_old_or_the_new_and_can_be_repeated(
    make: Make, project: Path, kind: str, point: str
) -> None:
    old = {"a.txt": b"a\n", "mine": b"x"}
    wanted = make().add(tree(project / "data"))
    shutil.rmtree(project / "data")
    tree(project / "data", old)
    point = point if "." in point else f"checkout.{point}"
    ran = run_child(project, kind, "checkout", crash=point, wanted=wanted)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    left = content(project / "data") if (project / "data").exists() else None
    expected = {"checkout.checked": old, "checkout.built": old, "checkout.moved": None}
    assert left == expected.get(point, TREE)
    assert make(kind).checkout(wanted, project / "data") == (left != TREE)
    assert content(project / "data") == TREE
    filesystem.sweep(project, 0)
    assert sorted(os.listdir(project)) == [".dvc", "data"]
    stored(project)


@pytest.mark.parametrize("point", ["write.written", "write.replaced", "run.saved"])
def test_a_run_entry_is_there_as_a_whole_or_not_at_all(
    make: Make, project: Path, point: str
) -> None:
    assert run_child(project, "copy", "run", crash=point).returncode == -signal.SIGKILL
    assert make().run_cache("k" * 64) == ([b"entry"] if point == "run.saved" else [])
    make().save_run("k" * 64, "v" * 64, b"entry")
    assert make().run_cache("k" * 64) == [b"entry"]


def test_old_strays_go_with_the_next_addition(make: Make, project: Path) -> None:
    cache = make()
    cache.put(b"x")
    files = project / ".dvc" / "cache" / "files"
    for name, age_s in (("old", 90_000), ("young", 60)):
        write(files / f".nbexp-{name}.tmp", b"half", age_s=age_s)
    cache.add(write(project / "y", b"y"))
    assert sorted(os.listdir(files)) == [".nbexp-young.tmp", "md5"]


def test_two_processes_may_add_the_same_at_once(make: Make, project: Path) -> None:
    files = {f"{n}": b"%d" % n for n in range(200)}
    for kind in ("copy", "hardlink"):
        tree(project / "data", files)
        children = [
            subprocess.Popen(
                [sys.executable, "-c", CHILD, project, kind, "add", "", "0"], stderr=subprocess.PIPE
            )
            for _ in range(3)
        ]
        errors = [child.communicate()[1] for child in children]
        # Turning a file into a link that another process is reading is the one thing that may be refused.
        assert all(error == b"" or b"changes while it is read" in error for error in errors)
        make(kind).add(project / "data")
        assert content(project / "data") == files
        assert len(stored(project)) == 201
        shutil.rmtree(project / "data")


# The memo


def test_facts_are_remembered_until_the_database_goes(make: Make, project: Path) -> None:
    cache = make()
    assert cache.memo("identity", "k") is None
    cache.remember("identity", "k", "v")
    cache.remember_many("meaning", {f"{n}": str(n * n) for n in range(1200)})
    assert cache.memo("identity", "k") == "v"
    cache.close()
    later = make()
    assert later.memo("identity", "k") == "v"
    assert later.memo("meaning", "k") is None
    assert later.memos("meaning", [*map(str, range(1500))]) == {
        f"{n}": str(n * n) for n in range(1200)
    }
    later.remember("identity", "k", "w")
    assert later.memo("identity", "k") == "w"
    later.close()
    shutil.rmtree(project / ".dvc" / "tmp")
    assert make().memo("identity", "k") is None


def test_the_database_is_opened_when_it_is_needed(make: Make, project: Path) -> None:
    cache = make()
    cache.save_run("k" * 64, "v" * 64, b"x")
    assert cache.run_cache("k" * 64) == [b"x"]
    cache.flush()
    cache.close()
    assert not (project / ".dvc" / "tmp").exists()


@pytest.mark.parametrize(
    "rubbish", [b"not a database" * 100, b"", b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_database_is_begun_anew(make: Make, project: Path, rubbish: bytes) -> None:
    path = project / ".dvc" / "tmp" / "nbexp" / "state.db"
    write(path, rubbish)
    wanted = make().add(tree(project / "data"))
    cache = make()
    assert cache.hash(project / "data") == wanted
    cache.remember("k", "k", "v")
    cache.close()
    assert make().memo("k", "k") == "v"
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_database_damaged_while_it_is_used_costs_the_memo_only(make: Make, project: Path) -> None:
    cache = make()
    wanted = cache.add(tree(project / "data", {str(n): b"%d" % n for n in range(2000)}))
    cache.close()
    path = project / ".dvc" / "tmp" / "nbexp" / "state.db"
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    cache = make()
    assert cache.hash(project / "data") == wanted
    assert cache.add(project / "data") == wanted
    cache.remember("k", "k", "v")
    cache.close()
    assert make().memo("k", "k") == "v"


def test_another_versions_database_is_begun_anew(make: Make, project: Path) -> None:
    path = project / ".dvc" / "tmp" / "nbexp" / "state.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE files (something TEXT)")
        connection.execute("PRAGMA user_version = 99")
    cache = make()
    wanted = cache.add(tree(project / "data"))
    cache.close()
    assert make().hash(project / "data") == wanted


def test_without_a_place_for_the_database_everything_still_works(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "cache", state=tmp_path / "file" / "state.db")
    wanted = cache.add(tree(tmp_path / "data"))
    shutil.rmtree(tmp_path / "data")
    assert cache.checkout(wanted, tmp_path / "data")
    cache.remember("k", "k", "v")
    assert cache.memo("k", "k") == "v"
    cache.close()


def test_a_database_that_another_process_locks_stops_nobody(
    make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_BUSY_S", 0.05)
    tree(project / "data")
    make().hash(project / "data")
    connection = sqlite3.connect(
        project / ".dvc" / "tmp" / "nbexp" / "state.db", isolation_level=None
    )
    connection.execute("BEGIN EXCLUSIVE")
    cache = make()
    wanted = cache.add(project / "data")
    assert cache.has(wanted)
    cache.close()
    connection.execute("ROLLBACK")
    connection.close()
    assert make().hash(project / "data") == wanted


def test_a_forked_process_uses_a_connection_of_its_own(make: Make, project: Path) -> None:
    path = write(project / "x", b"x")
    cache = make()
    cache.hash(path)
    cache.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            cache.remember("k", "from the child", "v")
            cache.close()
            status = 0 if cache.hash(path) == Hash(md5(b"x"), 1) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    cache.remember("k", "from the parent", "v")
    cache.close()
    assert make().memos("k", ["from the child", "from the parent"]) == {
        "from the child": "v", "from the parent": "v"
    }  # fmt: skip


def test_several_threads_may_use_one_cache(make: Make, project: Path) -> None:
    cache = make()
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            folder = tree(project / str(number), {str(n): b"%d" % n for n in range(50)})
            wanted = cache.add(folder)
            shutil.rmtree(folder)
            assert cache.checkout(wanted, folder)
            cache.flush()
            assert cache.hash(folder) == wanted
        except (AssertionError, OSError, RuntimeError, StoreError) as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(stored(project)) == 51


def test_items_are_those_of_the_listing(make: Make, project: Path) -> None:
    cache = make()
    added = cache.add(tree(project / "data", {"b": b"2", "a": b"1"}))
    assert cache.items(added.md5) == (Item("a", md5(b"1")), Item("b", md5(b"2")))


def test_an_unchanged_path_costs_one_question_to_the_database(make: Make, project: Path) -> None:
    path = write(project / "x", b"x")
    tree(project / "data", {str(n): b"%d" % n for n in range(100)})
    cache = make()
    for known in (path, project / "data"):
        cache.hash(known)
    cache.flush()
    asked: list[str] = []
    cache._state._open().set_trace_callback(asked.append)
    for known in (path, project / "data"):
        asked.clear()
        cache.hash(known)
        assert len(asked) == 1


def test_what_was_learnt_is_written_in_one_transaction(make: Make, project: Path) -> None:
    tree(project / "data", {str(n): b"%d" % n for n in range(100)})
    cache = make()
    cache.memo("open", "the database")
    asked: list[str] = []
    cache._state._open().set_trace_callback(asked.append)
    cache.add(project / "data")
    assert asked.count("COMMIT") == 1


class TestADirectoryOfLinks:
    """What is remembered of its objects must not outlive them."""

    @pytest.fixture
    def known(self, make: Make, project: Path) -> Callable[[], bool]:
        """A directory of hard links that was found sound; asks a new process whether it still is."""
        for name in ("a", "b", "empty"):
            write(project / "data" / name, b"" if name == "empty" else name.encode())
        made = make("hardlink").add(project / "data")
        for folder in (project / ".dvc" / "cache" / "files" / "md5").iterdir():
            os.utime(folder, (time.time() - 60, time.time() - 60))

        def is_sound() -> bool:
            cache = make("hardlink")
            assert cache.hash(project / "data") == made
            answers = {cache.has(made), not cache.lacking([made])}
            cache.close()
            [answer] = answers
            return answer

        assert is_sound()
        return is_sound

    def test_its_objects_are_not_looked_at_again(
        self, known: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = count_inspected(monkeypatch)
        assert known()
        assert max(asked) == 1  # the listing of the directory

    def test_an_object_that_is_gone_is_missed(self, known: Callable[[], bool], make: Make) -> None:
        make().path(md5(b"a")).unlink()
        assert not known()

    def test_an_object_that_another_took_the_place_of_is_looked_at(
        self, known: Callable[[], bool], make: Make
    ) -> None:
        place = make().path(md5(b"b"))
        place.unlink()
        place.write_bytes(b"damaged")
        assert not known()

    def test_an_empty_object_that_was_written_to_is_missed(
        self, known: Callable[[], bool], make: Make
    ) -> None:
        place = make().path(md5(b""))
        place.chmod(0o644)
        place.write_bytes(b"no longer")
        assert not known()


class TestADirectoryOfCopies:
    """Its files say nothing of the objects: each of these is looked at, and not more than that."""

    @pytest.fixture
    def made(self, make: Make, project: Path) -> Hash:
        return make("copy").add(tree(project / "data"))

    @pytest.fixture
    def is_sound(self, make: Make, project: Path, made: Hash) -> Callable[[], bool]:
        """Asks a new process whether it still is."""

        def ask() -> bool:
            cache = make("copy")
            assert cache.hash(project / "data") == made
            answers = {cache.has(made), not cache.lacking([made])}
            cache.close()
            [answer] = answers
            return answer

        return ask

    def test_what_was_stored_or_looked_at_once_is_not_asked_for_again(
        self, is_sound: Callable[[], bool], project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        time.sleep(0.15)  # what was just stored might be changed within the tick
        assert is_sound()
        asked = count_inspected(monkeypatch)
        assert is_sound()
        assert max(asked) == 1  # the listing of the directory

    @pytest.mark.parametrize("how", ["gone", "shorter", "other bytes", "replaced"])
    def test_an_object_that_is_no_longer_sound_is_missed(
        self, is_sound: Callable[[], bool], make: Make, how: str
    ) -> None:
        time.sleep(0.15)
        assert is_sound()
        place = make().path(md5(b"c\n"))
        if how != "gone":
            place.chmod(0o644)
        if how in ("gone", "replaced"):
            place.unlink()
        if how != "gone":
            place.write_bytes(b"c" if how == "shorter" else b"d\n")
        assert not is_sound()

    def test_an_object_that_was_written_to_and_is_the_same_is_sound(
        self, is_sound: Callable[[], bool], make: Make
    ) -> None:
        time.sleep(0.15)
        assert is_sound()
        place = make().path(md5(b"c\n"))
        place.chmod(0o644)
        place.write_bytes(b"c\n")
        assert is_sound()

    def test_what_is_restored_is_looked_at_once(
        self, make: Make, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        added = make("copy").add(tree(project / "many", {str(n): b"%d" % n for n in range(1_100)}))
        time.sleep(0.15)
        asked = count_inspected(monkeypatch)
        monkeypatch.setattr(objects, "_JUST_NOW_S", 600.0)
        for most in (1, 0):  # young objects may have to be looked at again
            cache = make("copy")
            asked.clear()
            assert cache.lacking([added]) == set()
            shutil.rmtree(project / "many")
            assert cache.checkout(added, project / "many")
            assert asked.count(1_100) <= most
            cache.close()

    def test_a_digest_that_was_never_taken_is_taken_before_it_is_restored(
        self, make: Make, project: Path
    ) -> None:
        files = {str(n): b"%d" % n for n in range(1_100)}
        cache = make("copy")
        added = cache.add(tree(project / "many", files))
        cache.close()
        (project / ".dvc" / "tmp" / "nbexp" / "state.db").unlink()
        place = cache.path(md5(b"7"))
        place.chmod(0o644)
        place.write_bytes(b"8")
        place.chmod(0o444)
        for folder in (place, *(project / ".dvc" / "cache" / "files" / "md5").iterdir()):
            os.utime(folder, (time.time() - 60, time.time() - 60))
        time.sleep(0.15)
        for _ in range(2):  # that nobody may write to it is enough for a look (DVC's rule)
            cache = make("copy")
            assert cache.has(added)
            cache.close()
        shutil.rmtree(project / "many")
        with pytest.raises(StoreError, match="is damaged: its bytes have another digest"):
            make("copy").checkout(added, project / "many")

    def test_one_that_becomes_linked_is_known_by_its_links(
        self, make: Make, project: Path, made: Hash, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        time.sleep(0.15)
        linking = make("hardlink")
        linking.checkout(made, project / "data", relink=True)
        linking.close()
        for folder in (project / ".dvc" / "cache" / "files" / "md5").iterdir():
            os.utime(folder, (time.time() - 60, time.time() - 60))
        for _ in range(2):
            cache = make("hardlink")
            assert cache.hash(project / "data") == made
            assert cache.has(made)
            cache.close()
        looks: list[str] = []
        look = Objects.place_of
        monkeypatch.setattr(
            Objects, "place_of", lambda self, m: (looks.append(m), look(self, m))[1]
        )
        cache = make("hardlink")
        assert cache.hash(project / "data") == made
        assert cache.has(made)
        assert {*looks} == {made.md5, md5(b"")}
