"""`data add` and `data commit`: what they write, what they refuse, and what undo takes back."""

from __future__ import annotations

import hashlib
import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import events
from nbexp.errors import NbexpError, NotFound, StoreError, UsageError
from nbexp.store import cache, two_processes
from nbexp.store.cache import Cache, Hash

if TYPE_CHECKING:
    from nbexp import Project


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(NbexpError) as caught:
        call()
    return f"{caught.value.message}\n{caught.value.hint or ''}".rstrip()


def test_what_is_added_is_in_the_cache_and_told(place: Project) -> None:
    added = place.data.add("data", "raw.csv")
    assert added.to_json() == {
        "added": [
            {"path": "data", "file": "data.dvc"},
            {"path": "raw.csv", "file": "raw.csv.dvc"},
        ],
        "ignores": [".gitignore"],
        "size": 8,
    }
    assert (place.root / ".gitignore").read_text() == "/data\n/raw.csv\n"
    assert place.cache.read(hashlib.md5(b"1\n").hexdigest()) == b"1\n"
    assert str(added) == (
        "tracked 2 paths (8 bytes)\n"
        "to track the changes with Git: git add data.dvc raw.csv.dvc .gitignore"
    )


def test_notes_are_written_behind_the_path(place: Project) -> None:
    place.data.add("raw.csv", notes={"desc": "as it came", "labels": ["raw"], "type": None})
    written = (place.root / "raw.csv.dvc").read_text()
    assert written.endswith("  path: raw.csv\n  desc: as it came\n  labels:\n  - raw\n")


def test_paths_are_those_of_the_users_directory(place, nbexp_cli):
    nbexp_cli("data", "add", "a.txt", cwd=place.root / "data")
    assert (place.root / "data" / "a.txt.dvc").exists()
    assert (place.root / "data" / ".gitignore").read_text() == "/a.txt\n"


def test_undo_takes_an_add_back(place, files, nbexp_cli):
    before = files(place.root)
    place.data.add("data", "raw.csv")
    assert nbexp_cli("undo", cwd=place.root).stdout.startswith("undid data add data: ")
    assert files(place.root) == before


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_undo_of_an_add_by_links_and_gc_lose_nothing(place, opened, kind):
    (place.root / ".dvc" / "config").write_text(f"[cache]\n    type = {kind}\n")
    project = opened(place.root)
    project.data.add("data")
    project.undo()
    project.data.gc(workspace=True, yes=True)
    assert (place.root / "data" / "a.txt").read_text() == "a\n"
    assert (place.root / "data" / "sub" / "b.txt").read_text() == "b\n"


@pytest.mark.parametrize("kind", ["copy", "hardlink", "symlink"])
def test_big_files_that_are_named_together_are_stored_side_by_side(
    place: Any, opened: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.root / ".dvc" / "config").write_text(f"[cache]\n    type = {kind}\n")
    project = opened(place.root)
    content = {"one.bin": b"1" * 400_000, "two.bin": b"2" * 400_000, "same.bin": b"1" * 400_000}
    for name, data in content.items():
        (place.root / name).write_bytes(data)
    # Each waits for the others: one after the other, none would get on.
    at_work = threading.Barrier(2, timeout=20)
    add = Cache.add

    def met(self: Cache, path: Path) -> Hash:
        if path.name in ("one.bin", "two.bin"):
            at_work.wait()
        return add(self, path)

    monkeypatch.setattr(two_processes, "processors", lambda: 2)
    monkeypatch.setattr(Cache, "add", met)
    added = project.data.add("one.bin", "raw.csv", "two.bin", "same.bin", "data")
    assert [one["path"] for one in added.to_json()["added"]] == [
        "one.bin", "raw.csv", "two.bin", "same.bin", "data",
    ]  # fmt: skip
    for name, data in content.items():
        assert (place.root / name).read_bytes() == data
        md5 = hashlib.md5(data).hexdigest()
        assert project.cache.read(md5) == data
        assert f"md5: {md5}\n  size: 400000\n" in (place.root / f"{name}.dvc").read_text()
    shares = {"copy": (1, False), "hardlink": (2, False), "symlink": (1, True)}[kind]
    two = place.root / "two.bin"
    assert (os.lstat(two).st_nlink, two.is_symlink()) == shares


def test_big_files_that_are_added_together_are_counted(
    place: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_TELL_S", 0)
    names = [f"{number}.bin" for number in range(3)]
    for name in names:
        (place.root / name).write_bytes(name.encode() * 100_000)
    heard: list[events.Event] = []
    place.data.add(*names, emit=heard.append)
    told = [
        (one.done, one.total)
        for one in heard
        if isinstance(one, events.Phase) and one.text == "adding files"
    ]
    assert told[0] == (0, 3)
    assert sorted(told)[1:] == [(1, 3), (2, 3), (3, 3)]


def test_of_big_files_of_which_one_cannot_be_read_none_is_tracked(
    place: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one.bin", "two.bin"):
        (place.root / name).write_bytes(name.encode() * 100_000)
    add = Cache.add

    def refused(self: Cache, path: Path) -> Hash:
        if path.name == "two.bin":
            raise StoreError("`two.bin` cannot be read: Input/output error.")
        return add(self, path)

    monkeypatch.setattr(Cache, "add", refused)
    assert refusal(lambda: place.data.add("one.bin", "two.bin")) == (
        "`two.bin` cannot be read: Input/output error."
    )
    assert not (place.root / "one.bin.dvc").exists()
    assert not (place.root / ".gitignore").exists()


def test_equal_data_is_stored_once(place: Project) -> None:
    (place.root / "copy.csv").write_text("1\n")
    place.data.add("raw.csv", "copy.csv")
    objects = [one.md5 for one in place.cache.objects()]
    assert objects == [hashlib.md5(b"1\n").hexdigest()]


def test_twenty_experiments_with_one_output_keep_it_once(pipeline_project, opened, monkeypatch):
    root = pipeline_project()
    (root / "big.py").write_text("open('big.bin', 'wb').write(bytes(2_000_000))\n")
    (root / "dvc.yaml").write_text(
        "stages:\n  big:\n    cmd: python big.py\n    deps: [big.py]\n    params: [train.lr]\n"
        "    outs: [big.bin]\n"
    )
    monkeypatch.chdir(root)
    project = opened(root)
    sizes = []
    for number in range(20):
        project.run({"train.lr": number + 1}, name=f"exp{number}")
        sizes.append(sum(one.size for one in project.cache.objects()))
    assert len(project.names) == 20
    assert set(sizes) == {2_000_000}


def test_a_directory_of_many_files_tells_how_far_it_is(place, monkeypatch):
    from nbexp.events import Phase
    from nbexp.store import cache

    monkeypatch.setattr(cache, "_TELL_S", 0.0)
    told: list[Any] = []
    place.data.add("data", emit=told.append)
    counted = [(one.done, one.total) for one in told if isinstance(one, Phase) and one.done]
    assert counted == [(1, 3), (2, 3), (3, 3)]
    assert {one.text for one in told if isinstance(one, Phase)} == {"adding data"}


# --- What is refused ----------------------------------------------------------------------------


def test_what_is_not_there_is_told(place: Project) -> None:
    assert refusal(lambda: place.data.add("nope.csv")) == (
        "`nope.csv` does not exist. Nothing was added."
    )
    (place.root / "dangling").symlink_to("nowhere")
    assert "`dangling` is a link to nothing." in refusal(lambda: place.data.add("dangling"))
    with pytest.raises(NotFound):
        place.data.add("*.parquet", glob=True)


def test_a_link_that_leaves_the_project_is_not_followed(place: Project, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.csv").write_text("secret\n")
    (place.root / "way").symlink_to(outside)
    for target in ("way", "way/x.csv"):
        assert "way" in refusal(lambda target=target: place.data.add(target))
    assert sorted(os.listdir(outside)) == ["x.csv"]
    assert not (place.root / "way.dvc").exists()
    assert list(place.cache.objects()) == []


@pytest.mark.parametrize("target", ["../far.csv", "/etc/hostname"])
def test_what_is_outside_can_be_tracked_as_a_copy_only(place, target):
    (place.root.parent / "far.csv").write_text("far\n")
    said = refusal(lambda: place.data.add(target))
    assert f"`{target}` is outside the project" in said
    assert "--out" in said


def test_names_that_begin_with_a_dash_are_names(place, nbexp_cli):
    (place.root / "-f").write_text("odd\n")
    (place.root / "--all").write_text("odder\n")
    nbexp_cli("data", "add", "--", "-f", "--all", cwd=place.root)
    (place.root / "-f").unlink()
    nbexp_cli("data", "checkout", "--", "-f.dvc", cwd=place.root)
    assert (place.root / "-f").read_text() == "odd\n"
    assert place.data.status().to_json()["committed"] == {"added": ["--all", "-f"]}


def test_records_and_pipes_are_no_data(place: Project) -> None:
    assert "is in .dvc" in refusal(lambda: place.data.add(".dvc/config"))
    assert "is in .git" in refusal(lambda: place.data.add(".git"))
    os.mkfifo(place.root / "pipe")
    assert "`pipe` is neither a file nor a directory" in refusal(lambda: place.data.add("pipe"))
    assert not (place.root / "pipe.dvc").exists()


def test_two_targets_of_which_one_holds_the_other(place: Project) -> None:
    assert refusal(lambda: place.data.add("data/sub/b.txt", "data")) == (
        "`data/sub/b.txt` is in `data`; data is tracked once. Nothing was added.\n"
        "`nbexp data add data` tracks both."
    )


def test_what_overlaps_is_told_with_who_tracks_it(tracked: Project) -> None:
    (tracked.root / "up").mkdir()
    (tracked.root / "up" / "x").write_text("x\n")
    tracked.data.add("up/x")
    assert "`up` has `up/x` in it, which up/x.dvc tracks" in refusal(lambda: tracked.data.add("up"))


def test_what_git_tracks_is_told_with_the_way_out(place, git):
    git("add", "raw.csv", cwd=place.root)
    assert refusal(lambda: place.data.add("raw.csv")) == (
        "`raw.csv` is tracked by Git. Nothing was added.\n"
        "`git rm -r --cached 'raw.csv'` and a commit take it out of Git; the file stays."
    )


# --- Faults -------------------------------------------------------------------------------------


def test_a_disk_that_fills_up_leaves_nothing_behind(place, files, nbexp_cli):
    (place.root / "big.bin").write_bytes(os.urandom(3_000_000))
    before = files(place.root)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        done = nbexp_cli("data", "add", "raw.csv", "big.bin", cwd=place.root, code=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "`big.bin` cannot be stored: File too large." in done.stderr
    assert files(place.root) == before
    unfinished = [path.name for path in (place.root / ".dvc/cache/files").iterdir()]
    assert unfinished in (["md5"], [])
    nbexp_cli("data", "add", "raw.csv", "big.bin", cwd=place.root)
    assert nbexp_cli("data", "status", "--json", cwd=place.root).stdout == (
        '{"committed": {"added": ["big.bin", "raw.csv"]}}\n'
    )


def test_an_interrupt_puts_everything_back(place, files, monkeypatch):
    before = files(place.root)
    adding = place.cache.add

    def interrupted(path: Path) -> Any:
        if path.name == "raw.csv":
            raise KeyboardInterrupt
        return adding(path)

    monkeypatch.setattr(place.cache, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        place.data.add("data", "raw.csv")
    assert files(place.root) == before


def test_a_dvc_command_at_work_is_waited_for(place, nbexp_cli):
    from nbexp import filesystem

    lock = filesystem.FileLock(place.root / ".dvc" / "tmp" / "lock")
    lock.acquire()
    running = nbexp_cli.start("data", "add", "raw.csv", cwd=place.root)
    try:
        with pytest.raises(Exception, match="timed out"):
            running.wait(timeout=2)
        assert not (place.root / "raw.csv.dvc").exists()
    finally:
        lock.release()
    assert running.wait(timeout=60) == 0
    assert (place.root / "raw.csv.dvc").exists()


# --- commit -------------------------------------------------------------------------------------


def test_commit_tells_what_changed_and_how_to_take_it(tracked: Project) -> None:
    (tracked.root / "raw.csv").write_text("2\n")
    assert refusal(lambda: tracked.data.commit("raw.csv")) == (
        "raw.csv.dvc changed: raw.csv changed. Nothing was committed.\n"
        "`nbexp data commit raw.csv.dvc --force` takes it as it is now."
    )
    done = tracked.data.commit("raw.csv", force=True)
    assert done.to_json() == {"committed": ["raw.csv.dvc"], "written": ["raw.csv.dvc"]}
    tracked.undo()
    assert tracked.data.status().to_json() == {"uncommitted": {"modified": ["raw.csv"]}}


def test_commit_of_what_is_gone_changes_nothing(tracked, files):
    (tracked.root / "raw.csv").unlink()
    before = files(tracked.root)
    with pytest.raises(NbexpError):
        tracked.data.commit(force=True)
    assert files(tracked.root) == before


def test_no_target_is_a_question(place: Project) -> None:
    with pytest.raises(UsageError):
        place.data.add()
    with pytest.raises(StoreError):
        place.cache.read("0" * 32)
