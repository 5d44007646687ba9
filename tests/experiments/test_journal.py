"""The old state of what a command changes: kept before the change, put back whatever happens."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nbexp.errors import StoreError
from nbexp.experiments.journal import Journal

Files = Callable[[Path], dict[str, tuple[str, bytes]]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one of everything."""
    root = tmp_path / "work"
    (root / "out" / "deep").mkdir(parents=True)
    (root / "a.txt").write_text("a\n")
    (root / "run.sh").write_text("echo\n")
    (root / "run.sh").chmod(0o755)
    (root / "out" / "x").write_text("x\n")
    (root / "out" / "deep" / "y").write_text("y\n")
    (root / "link").symlink_to("a.txt")
    return root


@pytest.fixture
def journal(root: Path) -> Journal:
    found = Journal(root, root / ".dvc" / "tmp" / "nbexp" / "journal")
    found.begin("run low-lr", "u1")
    return found


def reread(journal: Journal) -> Journal:
    """The journal as another process finds it after this one was killed."""
    found = Journal(journal.root, journal.folder)
    found.read()
    return found


def written_by_a_stage(journal: Journal, path: str) -> None:
    """A command writes the path, and then a stage that has it as an output."""
    journal.write(path, b"of the command\n")
    journal.set_aside(path)
    (journal.root / path).write_bytes(b"of the stage\n")


CHANGES: dict[str, Callable[[Journal], None]] = {
    "a file is written": lambda j: j.write("a.txt", b"b\n"),
    "a file is written twice": lambda j: (j.write("a.txt", b"b\n"), j.write("a.txt", b"c\n"))[0],
    "a new file is written": lambda j: j.write("new/deep/file", b"n\n"),
    "a program is written": lambda j: j.write("run.sh", b"#!/bin/sh\n", mode=0o644),
    "a link is written over": lambda j: j.write("link", b"no link\n"),
    "a link is made": lambda j: j.link("new-link", "a.txt"),
    "a link is made over a file": lambda j: j.link("a.txt", "run.sh"),
    "a file is removed": lambda j: j.remove("a.txt"),
    "a link is removed": lambda j: j.remove("link"),
    "a directory is set aside": lambda j: j.set_aside("out"),
    "a file is set aside": lambda j: j.set_aside("a.txt"),
    "nothing is set aside": lambda j: j.set_aside("never"),
    "a file is written over a directory": lambda j: j.write("out", b"flat\n"),
    "removed, then written": lambda j: (j.remove("a.txt"), j.write("a.txt", b"z"))[0],
    "written, then made by a stage": lambda j: written_by_a_stage(j, "a.txt"),
    "new, then made by a stage": lambda j: written_by_a_stage(j, "new/made"),
    "set aside, then written": lambda j: (j.set_aside("a.txt"), j.write("a.txt", b"z"))[0],
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("killed", [False, True])
def test_a_change_is_rolled_back_to_the_byte(
    what: str, killed: bool, root: Path, journal: Journal, files: Files
) -> None:
    before = files(root)
    CHANGES[what](journal)
    if what != "nothing is set aside":
        assert files(root) != before
    found = reread(journal) if killed else journal
    assert found.roll_back() == []
    assert files(root) == before
    assert not journal.is_open


def test_all_of_it_together_is_rolled_back_in_any_number_of_tries(
    root: Path, journal: Journal, files: Files
) -> None:
    before = files(root)
    journal.write("a.txt", b"b\n")
    journal.write("new", b"n\n")
    journal.set_aside("out")
    (root / "out").mkdir()
    (root / "out" / "made").write_text("by the stage\n")
    journal.link("link", "run.sh")
    for line in reversed(reread(journal).lines[2:]):
        reread(journal)._put_back(line)
    assert reread(journal).roll_back() == []
    assert files(root) == before


def test_what_was_made_over_a_moved_output_is_kept_among_the_unfinished(
    root: Path, journal: Journal
) -> None:
    journal.set_aside("out")
    (root / "out").mkdir()
    (root / "out" / "model").write_text("half\n")
    journal.roll_back()
    kept = root / ".dvc" / "tmp" / "nbexp" / "unfinished" / "u1" / "out" / "model"
    assert kept.read_text() == "half\n"


def test_a_copy_is_kept_of_what_is_changed_in_place(
    root: Path, journal: Journal, files: Files
) -> None:
    before = files(root)
    journal.copy_aside("out")
    journal.copy_aside("run.sh")
    journal.copy_aside("later")
    (root / "out" / "x").write_text("appended\n")
    (root / "run.sh").unlink()
    (root / "later").write_text("made\n")
    assert reread(journal).roll_back() == []
    assert files(root) == before


def test_a_file_that_somebody_edits_meanwhile_stays_as_edited(root: Path, journal: Journal) -> None:
    journal.write("a.txt", b"by the command\n")
    journal.write("new.txt", b"by the command\n")
    (root / "a.txt").write_text("by the user\n")
    (root / "new.txt").write_text("by the user\n")
    assert sorted(reread(journal).roll_back()) == ["a.txt", "new.txt"]
    assert (root / "a.txt").read_text() == "by the user\n"
    assert (root / "new.txt").read_text() == "by the user\n"


def test_finished_is_finished(root: Path, journal: Journal) -> None:
    journal.write("a.txt", b"b\n")
    assert journal.is_open
    journal.finish()
    assert not journal.is_open
    assert list(journal.folder.parent.glob("journal*")) == []
    assert (root / "a.txt").read_text() == "b\n"


def test_a_journal_whose_last_line_is_torn_is_read_up_to_it(root: Path, journal: Journal) -> None:
    journal.write("a.txt", b"b\n")
    with (journal.folder / "lines").open("ab") as lines:
        lines.write(b'{"path": "run.sh", "ki')
    found = reread(journal)
    assert found.op == "run low-lr"
    assert [line.path for line in found.lines] == ["a.txt"]
    found.roll_back()
    assert (root / "a.txt").read_text() == "a\n"


def test_the_line_is_on_disk_before_the_change(journal: Journal) -> None:
    journal.write("a.txt", b"b\n")
    lines = [json.loads(line) for line in (journal.folder / "lines").read_bytes().splitlines()]
    assert lines[0]["op"] == "run low-lr"
    assert lines[0]["pid"] == os.getpid()
    assert lines[1] | {"folders": 0} == {
        "path": "a.txt", "kind": "file", "saved": "0", "mode": 0o644, "folders": 0, "old": "YQo=",
    }  # fmt: skip
    assert lines[2]["wrote"] == "a.txt"
    assert (journal.folder / "saved" / "0").read_bytes() == b"a\n"


def test_what_a_change_needs_is_flushed_before_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def spied(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            seen.append(name)
            return real(*args, **more)

        return call

    for name in ("fdatasync", "fsync", "replace", "rename", "unlink"):
        monkeypatch.setattr(os, name, spied(name, getattr(os, name)))
    journal.write("a.txt", b"b\n")
    assert seen == ["fdatasync", "replace"]
    seen.clear()
    journal.write("a.txt", b"c\n")
    journal.set_aside("out")
    assert seen == ["replace", "rename"]
    seen.clear()
    journal.remove("run.sh")
    assert seen == ["fdatasync", "unlink"]
    seen.clear()
    journal.finish()
    assert sorted(seen[: seen.index("rename")]) == ["fsync", "fsync"]


def after_power_cut(journal: Journal, *, lost_lines: int = 0) -> Journal:
    """The journal after a new start of the machine, the last lines not having reached the disk."""
    file = journal.folder / "lines"
    lines = file.read_bytes().splitlines(keepends=True)
    first = {**json.loads(lines[0]), "boot": "an earlier one"}
    kept = lines[1 : len(lines) - lost_lines]
    file.write_bytes(b"".join([json.dumps(first).encode() + b"\n", *kept]))
    return reread(journal)


def test_after_a_power_cut_an_output_tells_where_it_was(root: Path, journal: Journal) -> None:
    (root / "out" / "n-1 %é").mkdir()
    (root / "out" / "n-1 %é" / "f").write_text("f\n")
    journal.set_aside("out/n-1 %é")
    journal.set_aside("a.txt")
    found = after_power_cut(journal, lost_lines=2)
    assert found.roll_back() == []
    assert (root / "out" / "n-1 %é" / "f").read_text() == "f\n"
    assert (root / "a.txt").read_text() == "a\n"


def test_after_a_power_cut_a_file_comes_back_from_its_line(root: Path, journal: Journal) -> None:
    journal.write("run.sh", b"new\n")
    (journal.folder / "saved" / "0").unlink()
    assert after_power_cut(journal).roll_back() == []
    assert (root / "run.sh").read_text() == "echo\n"
    assert (root / "run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("torn", [b"", b"\0\0\0"])
def test_after_a_power_cut_a_torn_file_is_no_edit(
    root: Path, journal: Journal, torn: bytes
) -> None:
    journal.write("a.txt", b"b\n")
    (root / "a.txt").write_bytes(torn)
    assert after_power_cut(journal).roll_back() == []
    assert (root / "a.txt").read_text() == "a\n"


def test_without_a_power_cut_an_emptied_file_is_an_edit(root: Path, journal: Journal) -> None:
    journal.write("a.txt", b"b\n")
    (root / "a.txt").write_bytes(b"")
    assert reread(journal).roll_back() == ["a.txt"]
    assert (root / "a.txt").read_bytes() == b""


def test_a_file_edited_after_a_power_cut_stays_as_edited(root: Path, journal: Journal) -> None:
    journal.write("a.txt", b"b\n")
    (root / "a.txt").write_text("mine\n")
    assert after_power_cut(journal).roll_back() == ["a.txt"]
    assert (root / "a.txt").read_text() == "mine\n"


def test_where_there_are_no_hard_links_a_file_is_copied(
    root: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    journal.write("run.sh", b"new\n")
    assert reread(journal).roll_back() == []
    assert (root / "run.sh").read_text() == "echo\n"
    assert (root / "run.sh").stat().st_mode & 0o777 == 0o755


def test_a_long_file_is_kept_by_its_second_name_alone(root: Path, journal: Journal) -> None:
    (root / "a.txt").write_bytes(b"x" * 100_000)
    journal.write("a.txt", b"b\n")
    assert len((journal.folder / "lines").read_bytes()) < 1_000
    assert reread(journal).roll_back() == []
    assert (root / "a.txt").read_bytes() == b"x" * 100_000


@pytest.mark.parametrize(
    "path",
    ["../outside", "out/../../outside", ".git/config", "sub/.git/hooks/x", ".dvc/tmp/lock", "up/x"],
)
def test_nothing_is_written_out_of_the_work_tree_or_into_git(
    path: str, root: Path, journal: Journal, files: Files
) -> None:
    (root / "up").symlink_to(root.parent)
    before = files(root.parent)
    for change in (
        lambda: journal.write(path, b"x"),
        lambda: journal.link(path, "a.txt"),
        lambda: journal.set_aside(path),
        lambda: journal.remove(path),
    ):
        with pytest.raises(StoreError) as caught:
            change()
        assert caught.value.message.endswith("Nothing was changed.")
    assert {k: v for k, v in files(root.parent).items() if "/journal/" not in k} == before


@pytest.mark.parametrize("path", [".dvc/config", ".dvc/.gitignore", ".dvc/plots/mine.json"])
def test_what_dvc_keeps_in_git_of_its_folder_may_be_written(
    path: str, root: Path, journal: Journal
) -> None:
    journal.write(path, b"x\n")
    assert (root / path).read_bytes() == b"x\n"


def test_what_a_killed_finish_left_is_swept(root: Path, journal: Journal) -> None:
    rubbish = journal.folder.with_name("journal-done-1-2") / "saved"
    rubbish.mkdir(parents=True)
    (rubbish / "0").write_text("old")
    journal.sweep()
    assert not rubbish.parent.exists()
    assert journal.is_open
