from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nbexp import filesystem
from nbexp.filesystem import FileLock, Locked, Outside


def python(code: str, *arguments: object, crash: str = "") -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own, killed at the point `crash`."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "NBEXP_CRASH": crash},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def mode_of(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


# Writing


def test_a_write_makes_missing_folders_and_follows_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    filesystem.atomic_write(path, b"text")
    assert path.read_bytes() == b"text"
    assert mode_of(path) == 0o666 & ~filesystem.umask()
    assert names(path.parent) == ["b.txt"]


def test_a_write_keeps_the_mode_of_the_file_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    path.write_bytes(b"old")
    path.chmod(0o750)
    filesystem.atomic_write(path, b"new")
    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o750)


def test_a_write_gives_the_mode_it_is_asked_for_whatever_the_umask(tmp_path: Path) -> None:
    filesystem.atomic_write(tmp_path / "x", b"", mode=0o666)
    filesystem.atomic_write(tmp_path / "y", b"object", mode=0o444)
    assert [mode_of(tmp_path / name) for name in "xy"] == [0o666, 0o444]


def test_a_write_replaces_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"cached")
    (tmp_path / "out").symlink_to("object")
    filesystem.atomic_write(tmp_path / "out", b"new", durable=False)
    assert not (tmp_path / "out").is_symlink()
    assert (tmp_path / "object").read_bytes() == b"cached"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(OSError):
        filesystem.atomic_write(tmp_path / "folder", b"x")
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize(("point", "left"), [("write.written", b"old"), ("write.replaced", b"new")])
def test_a_write_killed_at_any_point_leaves_a_whole_file(
    tmp_path: Path, point: str, left: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = "import sys; from pathlib import Path; from nbexp import filesystem as f\n"
    ran = python(code + "f.atomic_write(Path(sys.argv[1]), b'new')", path, crash=point)
    assert ran.returncode == -signal.SIGKILL
    assert path.read_bytes() == left
    assert [relpath for relpath, _ in filesystem.walk(tmp_path)] == ["file"]
    filesystem.sweep(tmp_path, 0)
    assert names(tmp_path) == ["file"]


def test_a_crash_point_counts_its_calls() -> None:
    code = "from nbexp import filesystem as f\nfor n in (1, 2, 3): print(n, flush=True); f.crash_point('run.saved')"
    assert python(code, crash="run.saved@2").stdout == "1\n2\n"
    assert python(code, crash="run.saved").stdout == "1\n"
    assert python(code, crash="write.written").stdout == "1\n2\n3\n"
    with pytest.raises(AssertionError):
        filesystem.crash_point("no.such.point")


# Paths that somebody else chose


def test_a_path_inside_is_written_with_its_folders(tmp_path: Path) -> None:
    filesystem.write_inside(tmp_path, "a/./b/c.txt", b"text", 0o600)
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"text"
    assert mode_of(tmp_path / "a" / "b" / "c.txt") == 0o600
    filesystem.write_inside(tmp_path, "a/b/c.txt", b"other")
    assert mode_of(tmp_path / "a" / "b" / "c.txt") == 0o600
    assert names(tmp_path / "a" / "b") == ["c.txt"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "C:/x", "..", "../x", "a/../../x", "a/../b", "", ".", "a\0b", ".git/hooks/post-checkout",
        ".GIT/config", "sub/.git/config", ".dvc/config", "sub/.dvc/cache/x", "nul", "con.txt", "a /b", "a./b",
    ],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(Outside):
        filesystem.check_inside(root, path)
    with pytest.raises(Outside):
        filesystem.write_inside(root, path, b"x")
    assert names(root) == []
    assert names(tmp_path) == ["root"]


def test_a_refusal_names_the_path_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/tmp")
    with pytest.raises(Outside) as refused:
        filesystem.check_inside(tmp_path, "data/x.csv")
    assert str(refused.value) == ("`data/x.csv` leads out of the project through a symbolic link.")
    with pytest.raises(Outside) as refused:
        filesystem.check_inside(tmp_path, ".git/hooks/x")
    assert str(refused.value) == "`.git/hooks/x` lies in `.git`, which holds the project's records."


def test_names_that_only_look_alike_are_fine(tmp_path: Path) -> None:
    for path in (".gitignore", ".dvcignore", "data.dvc", "a..b", "console", "x/.git2"):
        assert filesystem.check_inside(tmp_path, path) == tmp_path / path


def test_a_link_to_a_folder_inside_is_followed_and_one_into_git_is_not(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "inside").symlink_to("real")
    (tmp_path / "hooks").symlink_to(".git")
    filesystem.write_inside(tmp_path, "inside/x", b"1")
    assert (tmp_path / "real" / "x").read_bytes() == b"1"
    with pytest.raises(Outside):
        filesystem.write_inside(tmp_path, "hooks/x", b"1")
    assert names(tmp_path / ".git") == []


def test_the_last_component_may_be_a_link_and_is_replaced(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    root = tmp_path / "root"
    root.mkdir()
    (root / "x").symlink_to(outside)
    filesystem.write_inside(root, "x", b"ours")
    assert (root / "x").read_bytes() == b"ours"
    assert outside.read_bytes() == b"theirs"


def test_a_folder_that_became_a_link_after_the_check_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "a" / "sub").mkdir(parents=True)
    outside.mkdir()
    check = filesystem._resolved_folder

    def check_then_swap(*arguments: Any) -> tuple[str, tuple[str, ...]]:
        answer = check(*arguments)
        (root / "a" / "sub").rmdir()
        (root / "a" / "sub").symlink_to(outside)
        return answer

    monkeypatch.setattr(filesystem, "_resolved_folder", check_then_swap)
    with pytest.raises(Outside) as refused:
        filesystem.write_inside(root, "a/sub/x", b"1")
    assert str(refused.value) == "`a/sub/x` passes through `sub`, which is not a folder."
    assert names(outside) == []


# Locks

HOLD = """
import sys, time
from pathlib import Path
from nbexp.filesystem import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def holding(path: Path, seconds: float) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_lock_keeps_others_out_and_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "workspace.lock"
    child = holding(path, 60)
    try:
        lock = FileLock(path)
        assert lock.held()
        with pytest.raises(Locked) as refused:
            lock.acquire(blocking=False)
        assert refused.value.holder.split()[0] == str(child.pid)
        waits: list[str] = []
        with pytest.raises(Locked):
            lock.acquire(timeout_s=0.05, on_wait=waits.append)
        assert [wait.split()[0] for wait in waits] == [str(child.pid)]
    finally:
        child.kill()
        child.communicate()
    assert not lock.held()
    with lock:
        assert path.read_bytes().startswith(b" %d " % os.getpid())
    assert path.read_bytes() == b""


def test_a_wait_ends_when_the_holder_does(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    child = holding(path, 60)
    waits: list[str] = []

    def waiting(holder: str) -> None:
        waits.append(holder)
        child.kill()

    lock = FileLock(path)
    lock.acquire(on_wait=waiting)
    assert len(waits) == 1
    lock.release()
    child.communicate()


def test_one_that_looks_is_no_holder_and_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)  # what `held()` does for microseconds
        assert not FileLock(path).held()
        done = threading.Timer(0.2, lambda: fcntl.flock(looking, fcntl.LOCK_UN))
        done.start()
        lock = FileLock(path)
        lock.acquire(blocking=False)
        done.join()
        lock.release()
        # One that was suspended while it looked is not waited for, for ever.
        fcntl.flock(looking, fcntl.LOCK_SH)
        with pytest.raises(Locked):
            lock.acquire(blocking=False)


def test_looking_at_a_lock_never_keeps_anybody_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            FileLock(path).held()

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(100):
            with FileLock(path):
                pass
            lock = FileLock(path)
            lock.acquire(blocking=False)
            lock.release()
    finally:
        done.set()
        looker.join()


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    """As a zygote's children, which outlive the worker that held the lock."""
    code = """
import os, sys, time
from pathlib import Path
from nbexp.filesystem import FileLock
lock = FileLock(Path(sys.argv[1]))
lock.acquire()
if os.fork() == 0:
    os.close(1); os.close(2)
    time.sleep(30)
    os._exit(0)
os.kill(os.getpid(), 9)
"""
    path = tmp_path / "lock"
    python(code, path)
    end = time.monotonic() + 5
    while FileLock(path).held():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_object_is_not_taken_twice_and_released_any_number_of_times(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    lock.acquire()
    with pytest.raises(RuntimeError):
        lock.acquire()
    other = FileLock(tmp_path / "lock")
    assert other.held()
    lock.release()
    lock.release()
    other.acquire(blocking=False)
    other.release()


# Links, lists, removal


def test_each_kind_of_link_is_what_it_says(tmp_path: Path) -> None:
    source = tmp_path / "object"
    source.write_bytes(b"content")
    source.chmod(0o444)
    for kind in ("copy", "hardlink", "symlink"):
        assert filesystem.place(source, tmp_path / kind, [kind]) == kind
        assert (tmp_path / kind).read_bytes() == b"content"
    assert mode_of(tmp_path / "copy") == 0o666 & ~filesystem.umask()
    assert (tmp_path / "hardlink").samefile(source)
    assert mode_of(tmp_path / "hardlink") == 0o444
    assert os.readlink(tmp_path / "symlink") == str(source)
    assert filesystem.place(source, tmp_path / "any", ["reflink", "copy"]) in ("reflink", "copy")
    assert names(tmp_path) == ["any", "copy", "hardlink", "object", "symlink"]


@pytest.mark.parametrize("refused", [None, errno.EXDEV, errno.EINVAL, errno.EPERM, "missing"])
def test_what_is_poured_is_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int | str | None
) -> None:
    """In the kernel, or, where that cannot be, piece by piece; a refusal half-way loses nothing."""
    real = os.copy_file_range

    def once(source: int, target: int, count: int) -> int:
        if refused and os.lseek(target, 0, os.SEEK_CUR) > 200_000:
            raise OSError(refused, os.strerror(int(refused)))
        return real(source, target, min(count, 100_000))

    if refused == "missing":
        monkeypatch.delattr(os, "copy_file_range")
    else:
        monkeypatch.setattr(os, "copy_file_range", once)
    for size in (0, 5, 128 << 10, (128 << 10) + 1, 3_000_000):
        data = os.urandom(size)
        (tmp_path / "old").write_bytes(b"read" + data)
        with (tmp_path / "old").open("rb", 0) as old, (tmp_path / "new").open("wb", 0) as new:
            assert old.read(4) == b"read"
            assert sum(filesystem.pour(old.fileno(), new.fileno())) == size
        assert (tmp_path / "new").read_bytes() == data


def test_a_full_disk_in_the_middle_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full)
    (tmp_path / "source").write_bytes(bytes(1 << 20))
    with pytest.raises(OSError, match="No space left"):
        filesystem.place(tmp_path / "source", tmp_path / "target", ["copy"])
    assert names(tmp_path) == ["source"]


def test_many_temporary_files_are_scattered_and_few_are_not(tmp_path: Path) -> None:
    with filesystem.scattered(tmp_path, 10) as folders:
        assert folders == (str(tmp_path),)
    with filesystem.scattered(tmp_path, 20_000) as folders:
        made = [Path(filesystem.temporary_in(folders)) for _ in range(100)]
        for path in made:
            path.touch()
        assert {path.parent for path in made} == {Path(folder) for folder in folders}
        assert [name for name, _ in filesystem.walk(tmp_path)] == []
    assert names(tmp_path) == []


def test_scattered_files_of_a_killed_process_are_swept_when_none_is_young(tmp_path: Path) -> None:
    code = "import os, signal, sys; from pathlib import Path; from nbexp import filesystem as f\n"
    code += "with f.scattered(Path(sys.argv[1]), 5000) as folders:\n"
    code += (
        "    open(f.temporary_in(folders), 'w').close()\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    python(code, tmp_path)
    [left] = tmp_path.iterdir()
    folders = sorted(left.iterdir())
    for path in (*folders[:-1], left):
        os.utime(path, (1, 1))
    assert filesystem.sweep(tmp_path, 60) == 0
    os.utime(folders[-1], (1, 1))
    assert filesystem.sweep(tmp_path, 60) == 1
    assert names(tmp_path) == []


def test_placing_replaces_what_is_there_and_falls_back(tmp_path: Path) -> None:
    source = tmp_path / "object"
    source.write_bytes(b"content")
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    (tmp_path / "target").symlink_to(other)
    assert filesystem.place(source, tmp_path / "target", ["hardlink", "copy"]) == "hardlink"
    assert filesystem.place(source, tmp_path / "target", ["hardlink", "copy"]) == "hardlink"
    assert other.read_bytes() == b"theirs"
    assert names(tmp_path) == ["object", "other", "target"]
    # No hard link crosses to another file system.
    assert filesystem.place(Path("/proc/self/comm"), tmp_path / "c", ["hardlink", "copy"]) == "copy"


def test_placing_what_is_missing_leaves_the_target(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        filesystem.place(tmp_path / "no", tmp_path / "target", ["reflink", "hardlink", "copy"])
    assert (tmp_path / "target").read_bytes() == b"old"
    assert names(tmp_path) == ["target"]


def test_placing_killed_in_between_leaves_the_target(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"old")
    code = "import sys; from pathlib import Path; from nbexp import filesystem as f\n"
    code += "f.place(Path(sys.argv[1]), Path(sys.argv[2]), ['copy'])"
    python(code, tmp_path / "source", tmp_path / "target", crash="place.linked")
    assert (tmp_path / "target").read_bytes() == b"old"


def test_a_walk_lists_files_by_code_points_and_follows_links_to_files(tmp_path: Path) -> None:
    for relpath in ("a/b", "a.txt", "é", "B", "sub/deep/x"):
        (tmp_path / relpath).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / relpath).write_text(relpath)
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("a.txt")
    (tmp_path / "twin").symlink_to("sub")
    (tmp_path / ".nbexp-0011223344556677.tmp").touch()
    os.mkfifo(tmp_path / "pipe")
    found = dict(filesystem.walk(tmp_path))
    assert list(found) == ["B", "a.txt", "a/b", "link", "sub/deep/x", "é"]
    assert found["link"].st_size == len("a.txt")


def test_a_walk_does_not_enter_what_is_skipped(tmp_path: Path) -> None:
    for relpath in ("keep/x", "drop/x", "keep/y.tmp"):
        (tmp_path / relpath).parent.mkdir(exist_ok=True)
        (tmp_path / relpath).touch()
    asked: list[tuple[str, bool]] = []

    def skip(relpath: str, is_dir: bool) -> bool:
        asked.append((relpath, is_dir))
        return relpath == "drop" or relpath.endswith(".tmp")

    assert [relpath for relpath, _ in filesystem.walk(tmp_path, skip)] == ["keep/x"]
    assert sorted(asked) == [
        ("drop", True),
        ("keep", True),
        ("keep/x", False),
        ("keep/y.tmp", False),
    ]


def test_a_walk_tells_of_links_to_nothing_and_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "self").symlink_to("self")
    with pytest.raises(OSError, match="symbolic links"):
        list(filesystem.walk(tmp_path))
    (tmp_path / "a" / "self").unlink()
    assert list(filesystem.walk(tmp_path)) == []
    (tmp_path / "a" / "gone").symlink_to("nothing")
    with pytest.raises(FileNotFoundError):
        list(filesystem.walk(tmp_path))


def test_anything_can_be_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "x").touch()
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "object").touch(mode=0o444)
    (tree / "link").symlink_to(kept)
    (tree / "sub").chmod(0o555)
    (tmp_path / "dangling").symlink_to("nothing")
    for name in ("tree", "dangling", "missing"):
        filesystem.remove(tmp_path / name)
    assert names(tmp_path) == ["kept"]
    assert names(kept) == ["x"]


def test_a_sweep_takes_old_strays_only(tmp_path: Path) -> None:
    old, young = filesystem.temporary(tmp_path), filesystem.temporary(tmp_path)
    inner = filesystem.temporary(tmp_path / "sub")
    (tmp_path / "sub").mkdir()
    (tmp_path / ".nbexp-notes.txt").touch()
    old.mkdir()
    (old / "x").touch()
    for path in (young, inner):
        path.touch()
    for path in (old, inner):
        os.utime(path, (1, 1))
    assert filesystem.sweep(tmp_path, 60) == 1
    assert names(tmp_path) == sorted([".nbexp-notes.txt", young.name, "sub"])
    assert filesystem.sweep(tmp_path, 60, recursive=True) == 1
    assert filesystem.sweep(tmp_path / "missing", 60) == 0
