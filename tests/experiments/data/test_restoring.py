"""`data checkout`: edits are safe, damaged objects are told, and what it did is undone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import StoreError

if TYPE_CHECKING:
    from nbexp import Project


def test_what_is_missing_comes_back_and_is_counted(tracked: Project) -> None:
    shutil.rmtree(tracked.root / "data")
    (tracked.root / "raw.csv").unlink()
    found = tracked.data.checkout()
    assert found.to_json() == {
        "added": ["data/", "raw.csv"],
        "modified": [],
        "deleted": [],
        "stats": {"modified": 0, "added": 4, "deleted": 0},
        "missing": [],
    }
    assert (tracked.root / "data" / "sub" / "b.txt").read_text() == "b\n"
    assert str(tracked.data.checkout()) == "Everything was as it is tracked."


def test_edits_that_nothing_holds_stop_it(tracked, files):
    (tracked.root / "raw.csv").write_text("mine\n")
    (tracked.root / "data" / "new.txt").write_text("mine\n")
    before = files(tracked.root)
    with pytest.raises(StoreError) as caught:
        tracked.data.checkout()
    assert caught.value.message == (
        "2 files have edits that nothing holds: data/new.txt, raw.csv. Nothing was checked out."
    )
    assert files(tracked.root) == before
    tracked.data.checkout(force=True)
    assert (tracked.root / "raw.csv").read_text() == "1\n"
    tracked.undo()
    assert files(tracked.root) == before


def test_an_edit_that_the_cache_holds_is_no_loss(tracked: Project) -> None:
    (tracked.root / "raw.csv").write_text("a\n")  # what data/a.txt has
    assert tracked.data.checkout("raw.csv").modified == ("raw.csv",)


def test_one_file_of_a_directory(tracked: Project) -> None:
    (tracked.root / "data" / "a.txt").unlink()
    (tracked.root / "data" / "c.txt").write_text("edited\n")
    tracked.data.checkout("data/a.txt")
    assert (tracked.root / "data" / "a.txt").read_text() == "a\n"
    assert (tracked.root / "data" / "c.txt").read_text() == "edited\n"


def test_a_truncated_object_is_never_put_into_the_workspace(tracked: Project) -> None:
    (tracked.root / "raw.csv").unlink()
    entry = (tracked.root / "raw.csv.dvc").read_text()
    md5 = entry.split("md5: ")[1][:32]
    place = tracked.cache.path(md5)
    place.chmod(0o644)
    place.write_bytes(b"")
    place.chmod(0o444)
    with pytest.raises(StoreError) as caught:
        tracked.data.checkout("raw.csv")
    assert "raw.csv" in caught.value.message
    assert not (tracked.root / "raw.csv").exists()


def test_a_damaged_object_of_a_directory_leaves_the_old_one(tracked: Project) -> None:
    before = sorted(path.name for path in (tracked.root / "data").rglob("*"))
    (tracked.root / "data" / "a.txt").unlink()
    place = tracked.cache.path("60b725f10c9c85c70d97880dfe8191b3")
    place.chmod(0o644)
    place.write_bytes(b"b\n")
    with pytest.raises(StoreError):
        tracked.data.checkout("data")
    now = sorted(path.name for path in (tracked.root / "data").rglob("*"))
    assert now == [name for name in before if name != "a.txt"]


def test_what_the_cache_lacks_is_told_and_all_else_comes(tracked: Project) -> None:
    shutil.rmtree(tracked.root / "data")
    (tracked.root / "raw.csv").unlink()
    tracked.cache.path("b026324c6904b2a9cb4b88d6d61c81d1").unlink()
    with pytest.raises(StoreError) as caught:
        tracked.data.checkout()
    assert caught.value.message == ("The cache lacks raw.csv. All else was checked out (1).")
    assert (tracked.root / "data" / "a.txt").exists()
    assert tracked.data.checkout(allow_missing=True).missing == ("raw.csv",)


def test_unchanged_files_keep_their_place_on_the_disk(tracked: Project) -> None:
    inode = (tracked.root / "data" / "c.txt").stat().st_ino
    (tracked.root / "data" / "a.txt").unlink()
    tracked.data.checkout("data")
    assert (tracked.root / "data" / "c.txt").stat().st_ino == inode


def test_what_ignore_rules_hide_stays(tracked: Project) -> None:
    (tracked.root / ".dvcignore").write_text("*.tmp\n")
    (tracked.root / "data" / "x.tmp").write_text("mine\n")
    (tracked.root / "data" / "a.txt").unlink()
    tracked.data.checkout("data")
    assert (tracked.root / "data" / "x.tmp").read_text() == "mine\n"
    assert (tracked.root / "data" / "a.txt").exists()


def test_another_version_and_back(tracked, git):
    (tracked.root / "raw.csv").write_text("2\n")
    tracked.data.add("raw.csv")
    git("commit", "--quiet", "--all", "--message=second", cwd=tracked.root)
    git("checkout", "--quiet", "HEAD~1", cwd=tracked.root)
    assert tracked.data.checkout().modified == ("raw.csv",)
    assert (tracked.root / "raw.csv").read_text() == "1\n"
    git("checkout", "--quiet", "main", cwd=tracked.root)
    tracked.data.checkout()
    assert (tracked.root / "raw.csv").read_text() == "2\n"


def test_a_thousand_files_take_few_git_processes(place, count_git, nbexp_cli):
    for number in range(1000):
        (place.root / "data" / f"{number}.txt").write_text(f"{number}\n")
    nbexp_cli("data", "add", "data", cwd=place.root)
    shutil.rmtree(place.root / "data")
    count_git.clear()
    nbexp_cli("data", "checkout", cwd=place.root)
    assert len(count_git) <= 4
