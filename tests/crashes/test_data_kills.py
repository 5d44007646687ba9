"""`data add`, `checkout`, `commit` and `gc` killed at any point: nothing partial shows, and the same command completes."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILES = {"data/a.txt": "a\n", "data/sub/b.txt": "b\n", "raw.csv": "1\n"}

COMMON = ["journal.begun", "journal.finishing", "journal.finished"]
ADD_POINTS = [
    *COMMON,
    "add.hashed",
    "add.copied",
    "add.copied@2",
    "add.stored",
    "add.stored@3",
    "add.listed",
    "journal.wrote",
    "journal.wrote@2",
    "data.added",
    "data.added@2",
    "write.written",
    "write.replaced",
]
CHECKOUT_POINTS = [
    *COMMON,
    "journal.moving",
    "journal.moved",
    "journal.moved@2",
    "checkout.checked",
    "checkout.built",
    "checkout.built@2",
    "data.checked_out",
    "data.checked_out@2",
]
COMMIT_POINTS = [
    *COMMON,
    "add.hashed",
    "add.stored",
    "add.listed",
    "journal.wrote",
    "data.committed",
]


SAVE_POINTS = [*COMMON, "add.hashed", "add.stored", "journal.wrote", "save.hashed", "record.before"]


def seen(project: Path) -> dict[str, str]:
    """Every file of the user's, by path; the cache and nbexp's own folder left out."""
    return {
        path.relative_to(project).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(project.rglob("*"))
        if path.is_file() and not {".git", "cache", "tmp"} & {*path.relative_to(project).parts}
    }


def sound(project: Path) -> None:
    """Each object has the digest of its name, and no listing lacks a file."""
    cache = project / ".dvc" / "cache" / "files" / "md5"
    for path in cache.rglob("*"):
        if not path.is_file():
            continue
        data = path.read_bytes()
        assert (path.parent.name + path.name)[:32] == hashlib.md5(data).hexdigest()
        if path.name.endswith(".dir"):
            inner = [item["md5"] for item in json.loads(data)]
            assert [md5 for md5 in inner if not (cache / md5[:2] / md5[2:]).exists()] == []


@pytest.fixture
def loose(repo: Path, git: Callable[..., Any], tmp_path: Path) -> Path:
    """A committed project with data that nothing tracks yet."""
    for path, text in {".dvc/config": "", ".dvc/.gitignore": "/tmp\n/cache\n", **FILES}.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(text)
    git("add", ".dvc", cwd=repo)
    git("commit", "--quiet", "--message=project", cwd=repo)
    return repo


@pytest.fixture
def tracked(loose: Path, git: Callable[..., Any], nbexp_cli: Callable[..., Any]) -> Path:
    """The same with two versions of the data, the second checked out and the first named `first`."""
    nbexp_cli("data", "add", "data", "raw.csv", cwd=loose)
    git("add", "--all", cwd=loose)
    git("commit", "--quiet", "--message=data", cwd=loose)
    git("tag", "first", cwd=loose)
    (loose / "data" / "a.txt").write_text("edited\n")
    (loose / "data" / "new.txt").write_text("new\n")
    (loose / "raw.csv").write_text("2\n")
    nbexp_cli("data", "add", "data", "raw.csv", cwd=loose)
    git("commit", "--quiet", "--all", "--message=second", cwd=loose)
    return loose


def killed(nbexp_cli: Callable[..., Any], point: str, *words: str, cwd: Path) -> None:
    done = nbexp_cli(*words, cwd=cwd, code=None, env={"NBEXP_CRASH": point})
    assert done.returncode == -signal.SIGKILL, f"{point} is never passed: {done.stderr}"


@pytest.mark.parametrize("point", ADD_POINTS)
def test_a_killed_add_leaves_nothing_half_done(point, loose, nbexp_cli, dvc):
    before = seen(loose)
    killed(nbexp_cli, point, "data", "add", "data", "raw.csv", cwd=loose)
    sound(loose)
    nbexp_cli("undo", cwd=loose, code=None)  # the next command that writes puts the files right
    if point != "journal.finished":
        assert seen(loose) == before
    nbexp_cli("data", "add", "data", "raw.csv", cwd=loose)
    sound(loose)
    assert {*seen(loose)} == {*before, ".gitignore", "data.dvc", "raw.csv.dvc"}
    assert {path: md5 for path, md5 in seen(loose).items() if path in before} == before


def test_dvc_goes_on_after_a_killed_add(loose, nbexp_cli, dvc):
    killed(nbexp_cli, "data.added", "data", "add", "data", "raw.csv", cwd=loose)
    nbexp_cli("undo", cwd=loose, code=None)
    dvc("add", "--quiet", "data", "raw.csv", cwd=loose)
    assert json.loads(nbexp_cli("status", "--json", cwd=loose).stdout) == {}


@pytest.mark.parametrize("point", CHECKOUT_POINTS)
def test_a_killed_checkout_leaves_the_old_or_the_new_data(point, tracked, nbexp_cli, git):
    second = seen(tracked)
    git("checkout", "--quiet", "first", cwd=tracked)
    before = seen(tracked)
    killed(nbexp_cli, point, "data", "checkout", cwd=tracked)
    sound(tracked)
    finished = point == "journal.finished"
    nbexp_cli("data", "checkout", cwd=tracked)
    assert {path: (tracked / path).read_text() for path in FILES} == FILES
    assert not (tracked / "data" / "new.txt").exists()
    if not finished:
        nbexp_cli("undo", cwd=tracked)
        assert seen(tracked) == before
        nbexp_cli("data", "checkout", cwd=tracked)
    git("checkout", "--quiet", "main", cwd=tracked)
    nbexp_cli("data", "checkout", cwd=tracked)
    assert seen(tracked) == second


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_a_killed_commit_can_be_given_again(point, tracked, nbexp_cli):
    (tracked / "data" / "more.txt").write_text("more\n")
    before = seen(tracked)
    killed(nbexp_cli, point, "data", "commit", "--force", "data.dvc", cwd=tracked)
    sound(tracked)
    nbexp_cli("data", "commit", "--force", "data.dvc", cwd=tracked)
    sound(tracked)
    after = seen(tracked)
    assert [path for path in after if after[path] != before.get(path)] == ["data.dvc"]
    assert json.loads(nbexp_cli("status", "--json", cwd=tracked).stdout) == {}


@pytest.mark.parametrize("point", ["gc.removed", "gc.removed@3"])
def test_a_killed_gc_leaves_no_listing_without_its_files(point, tracked, git, nbexp_cli):
    for name in git("for-each-ref", "--format=%(refname)", "refs/nbexp", cwd=tracked).split():
        git("update-ref", "-d", name, cwd=tracked)
    killed(nbexp_cli, point, "data", "gc", "-w", "--yes", cwd=tracked)
    sound(tracked)
    nbexp_cli("data", "gc", "-w", "--yes", cwd=tracked)
    assert json.loads(nbexp_cli("status", "--json", cwd=tracked).stdout) == {}
    assert "is needed (5 objects)" in nbexp_cli("data", "gc", "-w", cwd=tracked).stdout


@pytest.mark.parametrize("point", SAVE_POINTS)
def test_a_killed_save_leaves_nothing_half_done(point, tracked, git, nbexp_cli, dvc):
    for name in git("for-each-ref", "--format=%(refname)", "refs/nbexp", cwd=tracked).split():
        git("update-ref", "-d", name, cwd=tracked)
    (tracked / "raw.csv").write_text("3\n")
    before = seen(tracked)
    killed(nbexp_cli, point, "save", "-n", "mine", cwd=tracked)
    sound(tracked)
    nbexp_cli("undo", cwd=tracked, code=None)  # the next command that writes puts the files right
    assert seen(tracked) == before
    is_done = point.startswith("journal.finish")
    named = git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps", cwd=tracked).split()
    assert named == (["mine"] if is_done else [])
    nbexp_cli("save", "-n", "mine", "-f", cwd=tracked)
    sound(tracked)
    assert dvc("exp", "list", "--name-only", cwd=tracked).stdout.split()[-1:] == ["mine"]
    assert json.loads(nbexp_cli("status", "--json", cwd=tracked).stdout) == {}
