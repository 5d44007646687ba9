"""`doctor`: what is wrong is told a line each with one thing to do, and what is derived is mended."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp.experiments import place
from nbexp.experiments.doctor import Finding

if TYPE_CHECKING:
    from nbexp import Project
    from tests.conftest import Program

Git = Callable[..., str]
Files = dict[str, tuple[str, bytes]]


@pytest.fixture
def two(project: Project) -> Project:
    project.run({"seed": 1}, name="one")
    project.run({"seed": 2}, name="two")
    return project


def wrong(project: Project, **words: bool) -> list[Finding]:
    return list(project.doctor(**words).open)


def one_wrong(project: Project, **words: bool) -> Finding:
    (found,) = wrong(project, **words)
    return found


def age(path: Path, seconds: float = 3600) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_a_sound_project_is_told_to_be_one(two: Project, files: Callable[[Path], Files]) -> None:
    before = files(two.root)
    health = two.doctor(full=True)
    assert health.exit_code == 0
    assert {one.verdict for one in health.findings} == {"ok"}
    checks = [one.check for one in health.findings]
    assert checks == [
        "unfinished commands", "locks", "databases", "databases", "git", "identity", "ignore rules", "git locks", "refs",
        "undo steps", "notes", "git objects", "project files", "cache",
    ]  # fmt: skip
    lines = str(health).splitlines()
    assert "ok  refs                 2 experiments, 2 other refs" in lines
    assert "ok  identity             Ada <ada@example.org>" in lines
    assert lines[-1] == "all is well"
    assert files(two.root) == before


def test_the_command_ends_with_1_where_something_needs_the_user(
    two: Project, nbexp_cli: Program, git: Git
) -> None:
    assert nbexp_cli("doctor", cwd=two.root).stdout.endswith("\nall is well\n")
    git("update-ref", "refs/exps/odd", "HEAD", cwd=two.root)
    shown = nbexp_cli("doctor", cwd=two.root, code=1)
    assert shown.stdout.endswith("\n1 thing needs you\n")
    told = json.loads(nbexp_cli("doctor", "--json", cwd=two.root, code=1).stdout)
    assert told["healthy"] is False
    (found,) = [one for one in told["findings"] if one["verdict"] == "needs you"]
    assert found["check"] == "refs"


def test_nobody_to_commit_as_is_told(two: Project, git: Git) -> None:
    git("config", "--global", "--remove-section", "user")
    found = one_wrong(two)
    assert (found.check, found.text) == (
        "identity",
        "Git does not know who you are: experiments are by nbexp <nbexp@localhost>.",
    )


def test_refs_of_odd_shapes_are_told_and_hide_nothing(two: Project, git: Git) -> None:
    blob = git("hash-object", "-w", "--stdin", cwd=two.root, stdin="x")
    head = str(two.git.head())
    odd = {
        "refs/exps/odd": "HEAD",
        "refs/exps/zz/short/name": "HEAD",
        f"refs/exps/{head[:2]}/{head[2:]}/deep/er": "HEAD",
        f"refs/exps/{head[:2]}/{head[2:]}/blob": blob,
        "refs/nbexp/trash/x": "HEAD",
        "refs/nbexp/failed/y": "HEAD",
    }
    for ref, rev in odd.items():
        git("update-ref", ref, rev, cwd=two.root)
    # DVC's own are none of these.
    git("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD", cwd=two.root)
    git("update-ref", "refs/exps/stash", "HEAD", cwd=two.root)
    found = wrong(two)
    assert {one.check for one in found} == {"refs"}
    assert sorted(ref for ref in odd if any(f"`{ref}`" in one.text for one in found)) == sorted(odd)
    assert any(one.text.endswith("which is a blob.") for one in found)
    assert two.names == ["blob", "one", "two"]
    assert {row.name for row in two.show().experiments} == {"one", "two"}
    for one in found:
        assert one.hint is not None
        words = one.hint.split("`")[1].split()
        git(*words[1:], cwd=two.root)
    assert wrong(two) == []


def test_a_ref_whose_commit_is_gone_and_one_that_a_power_cut_emptied(
    two: Project, git: Git
) -> None:
    head = str(two.git.head())
    folder = two.git.common / "refs" / "exps" / head[:2] / head[2:]
    (folder / "lost").write_text("1" * 40 + "\n")
    (folder / "empty").write_bytes(b"")
    texts = sorted(one.text for one in wrong(two))
    assert texts == [
        f".git/refs/exps/{head[:2]}/{head[2:]}/empty is empty, so nobody sees that ref.",
        f"`refs/exps/{head[:2]}/{head[2:]}/lost` points to 1111111, which is not there.",
    ]
    assert {row.name for row in two.show().experiments} == {"one", "two"}


def test_a_corrupt_memo_is_begun_anew(two: Project, nbexp_cli: Program) -> None:
    two.close()
    memo = place.own_folder(two.root) / "state.db"
    memo.write_bytes(b"no database" * 1000)
    found = one_wrong(two)
    assert found.check == "databases"
    assert found.text.startswith(".dvc/tmp/nbexp/state.db is damaged: ")
    two.close()
    memo.write_bytes(b"no database" * 1000)
    health = two.doctor(fix=True)
    assert health.exit_code == 0
    assert [one.text for one in health.findings if one.verdict == "mended"] == [
        ".dvc/tmp/nbexp/state.db is begun anew: it was damaged (file is not a database)"
    ]
    two.close()
    assert nbexp_cli("status", cwd=two.root).stdout == "Data and pipelines are up to date.\n"
    assert nbexp_cli("doctor", cwd=two.root).stdout.endswith("all is well\n")


def test_rebuilding_makes_all_that_is_derived_anew(two: Project) -> None:
    two.show()
    two.close()
    memo = place.own_folder(two.root) / "state.db"
    with sqlite3.connect(memo) as connection:
        connection.execute("INSERT INTO facts VALUES ('lie', 'a', 'b')")
    health = two.doctor(rebuild=True)
    assert [one.text for one in health.findings if one.verdict == "mended"] == [
        ".dvc/tmp/nbexp/state.db is begun anew: as you asked"
    ]
    two.close()
    with sqlite3.connect(memo) as connection:
        assert connection.execute("SELECT * FROM facts WHERE kind = 'lie'").fetchall() == []


@pytest.mark.parametrize("full", [False, True])
def test_a_truncated_object_is_told_by_its_path_and_set_aside(two: Project, full: bool) -> None:
    two.close()
    objects = [one for one in two.cache.objects() if not one.md5.endswith(".dir")]
    md5 = max(objects, key=lambda one: one.size).md5
    path = two.cache.path(md5)
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:3])
    path.chmod(0o444)
    found = one_wrong(two, full=full)
    assert found.check == "cache"
    assert found.text.startswith("1 object of the cache is damaged: ")
    assert f"; {md5[:2]}/{md5[2:9]}… " in found.text
    assert path.exists()
    found = one_wrong(two, fix=True, full=full)
    assert found.text.endswith("; set aside in .dvc/tmp/nbexp/damaged.")
    assert not path.exists()
    assert (place.own_folder(two.root) / "damaged" / md5).read_bytes() == data[:3]
    # The step back needs it; nothing else is wrong any more.
    assert [one.check for one in wrong(two, full=full)] == ["undo steps"]
    assert two.gc("temporary").heaps[0].names == (f"damaged/{md5}",)


def test_a_full_look_finds_what_was_changed_behind_its_time(two: Project) -> None:
    """Same size, same time, other bytes: no quick look can tell."""
    one = max(two.cache.objects(), key=lambda one: one.size)
    path = Path(one.path)
    status, data = path.stat(), path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes(len(data)))
    path.chmod(0o444)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert one_wrong(two, full=True).check == "cache"


def test_a_killed_command_is_told_and_put_right(
    two: Project, nbexp_cli: Program, files: Callable[[Path], Files]
) -> None:
    before = files(two.root)
    two.close()
    nbexp_cli(
        "apply", "one", cwd=two.root, code=None, env={"NBEXP_CRASH": "apply.wrote"}
    )  # fmt: skip
    assert files(two.root) != before
    found = one_wrong(two)
    assert found.text == "A `apply one` was killed half-way; files may be half changed."
    health = two.doctor(fix=True)
    assert health.exit_code == 0
    assert health.findings[0].text == "A `apply one` that was killed half-way is put right"
    assert files(two.root) == before


def test_locks_of_the_dead_are_told_and_taken_out(two: Project) -> None:
    rwlock = two.root / ".dvc" / "tmp" / "rwlock"
    alive = {"pid": os.getpid(), "cmd": "python"}
    dead = {"pid": 2**22 - 3, "cmd": "dvc repro"}
    rwlock.write_text(json.dumps({"write": {"/a": dead}, "read": {"/b": [dead, alive]}}))
    found = one_wrong(two)
    assert found.text == (
        f".dvc/tmp/rwlock names commands that do not run any more: {2**22 - 3} dvc repro."
    )
    two.doctor(fix=True)
    assert json.loads(rwlock.read_text())["read"] == {"/b": [alive]}
    assert json.loads(rwlock.read_text())["write"] == {}
    rwlock.write_text("{ no json")
    assert "(damaged)" in one_wrong(two).text
    assert two.doctor(fix=True).exit_code == 0
    assert json.loads(rwlock.read_text()) == {"read": {}, "write": {}}


def test_what_stops_real_dvc_is_what_doctor_tells(
    two: Project, nbexp_cli: Program, dvc: Program, git: Git
) -> None:
    """A lock file that a killed dvc left broken, and a ref that it cannot read."""
    rwlock = two.root / ".dvc" / "tmp" / "rwlock"
    rwlock.write_text("{ no json")
    assert dvc("repro", "--force", cwd=two.root, code=None).returncode != 0
    nbexp_cli("doctor", "--fix", cwd=two.root)
    dvc("repro", "--force", cwd=two.root)
    git("update-ref", "refs/exps/odd", "HEAD", cwd=two.root)
    stopped = dvc("exp", "list", "-A", cwd=two.root, code=None)
    assert "'refs/exps/odd' is not a valid experiment refname" in stopped.stderr
    found = one_wrong(two)
    assert found.hint is not None
    git(*found.hint.split("`")[1].split()[1:], cwd=two.root)
    assert "two" in dvc("exp", "list", "-A", cwd=two.root).stdout


def test_locks_that_git_left_are_told_and_stay(two: Project) -> None:
    lock = two.root / ".git" / "index.lock"
    lock.write_text("")
    assert wrong(two) == []  # a Git may be at work
    age(lock)
    found = one_wrong(two, fix=True)
    assert found.text == ".git/index.lock is 60 minutes old: a Git that was killed left it."
    assert found.hint == "`rm .git/index.lock` if no Git is at work."
    assert lock.exists()


def test_notes_that_are_no_json_are_told(two: Project, git: Git) -> None:
    rev = two.experiment("one").rev
    git(
        "notes",
        "--ref=nbexp",
        "add",
        "-f",
        "-m",
        '{"star": true}',
        two.experiment("two").rev,
        cwd=two.root,
    )
    git("notes", "--ref=nbexp", "add", "-f", "-m", "hello", rev, cwd=two.root)
    assert one_wrong(two).text == f"The note of {rev[:7]} is no JSON object."


def test_a_step_whose_data_is_gone_is_told(two: Project) -> None:
    one = next(one for one in two.steps().back if one.op == "run two")
    for found in list(two.cache.objects()):
        os.unlink(found.path)
    told = [one for one in wrong(two) if one.check == "undo steps"]
    (lost,) = told
    assert lost.text.startswith(f"Step {one.id} (`run two`) cannot bring back model.txt, ")
    assert lost.text.endswith(": the old data is gone.")


def test_ignore_rules_are_written_anew(two: Project, git: Git) -> None:
    rules = two.root / ".dvc" / ".gitignore"
    rules.unlink()
    assert one_wrong(two).check == "ignore rules"
    assert two.doctor(fix=True).exit_code == 0
    assert set(rules.read_text().splitlines()) >= {"/config.local", "/tmp", "/cache"}
    git("add", "--force", ".dvc/tmp/nbexp/state.db", cwd=two.root)
    assert one_wrong(two, fix=True).text == "Files of .dvc/tmp are tracked by Git."


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("dvc.yaml", "stages: 3\n", "dvc.yaml"),
        ("dvc.lock", "schema: '2.0'\nstages: [\n", "dvc.lock"),
        ("data.dvc", "outs: 7\n", "data.dvc"),
        (".dvc/config", "[core\n", "config"),
        ("nbexp.toml", "hints = 3\n", "nbexp.toml"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    path: str, text: str, message: str, two: Project
) -> None:
    (two.root / path).write_text(text)
    found = [one for one in wrong(two) if one.check == "project files"]
    assert found
    assert message in found[0].text


def test_a_full_look_misses_no_object_of_git(two: Project) -> None:
    blob = two.git.info(f"{two.experiment('one').rev}:params.yaml")
    assert blob is not None
    two.close()
    (two.git.common / "objects" / blob[0][:2] / blob[0][2:]).unlink()
    found = [one for one in wrong(two, full=True) if one.check == "git objects"]
    assert found
    assert blob[0] in found[0].text


def test_nothing_of_the_record_is_lost_without_nbexps_own_files(
    two: Project, nbexp_cli: Program, dvc: Program, git: Git
) -> None:
    """Every file, ref and note of nbexp's own is deleted: experiments, data and all verbs are as before."""
    two.remove("one")
    two.undo()
    root = two.root
    shown = json.loads(nbexp_cli("show", "--json", cwd=root).stdout)
    diff = nbexp_cli("diff", "one", "two", cwd=root).stdout
    two.close()
    shutil.rmtree(place.own_folder(root))
    for ref in git(
        "for-each-ref", "--format=%(refname)", "refs/nbexp", "refs/notes/nbexp", cwd=root
    ).split():
        git("update-ref", "-d", ref, cwd=root)
    git("gc", "--quiet", "--prune=now", cwd=root)
    assert nbexp_cli("doctor", cwd=root).stdout.endswith("all is well\n")
    assert json.loads(nbexp_cli("show", "--json", cwd=root).stdout) == shown
    assert nbexp_cli("diff", "one", "two", cwd=root).stdout == diff
    assert nbexp_cli("trash", cwd=root).stdout == "Nothing is in the trash.\n"
    assert nbexp_cli("undo", "--list", cwd=root).stdout.startswith("There is nothing to undo")
    assert nbexp_cli("gc", cwd=root).stdout == "There is nothing to remove.\n"
    nbexp_cli("apply", "one", cwd=root)
    assert nbexp_cli("status", cwd=root).stdout == "Data and pipelines are up to date.\n"
    assert dvc("status", cwd=root).stdout == "Data and pipelines are up to date.\n"
    nbexp_cli("undo", cwd=root)
    done = nbexp_cli("run", "-S", "seed=1", cwd=root)
    assert "one" in done.stdout  # recognised as the run that is recorded
    nbexp_cli("cache", cwd=root)
    nbexp_cli("branch", "one", cwd=root)
    nbexp_cli("remove", "one", "two", cwd=root)
    nbexp_cli("trash", "restore", "one", "two", cwd=root)
    listed = json.loads(nbexp_cli("list", "--json", cwd=root).stdout)
    assert sorted(one["name"] for members in listed.values() for one in members) == ["one", "two"]
