"""`gc`: what nbexp keeps besides experiments is listed by kind and size, and goes with consent alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import events, filesystem
from nbexp.errors import NbexpError, NotFound, UsageError
from nbexp.experiments import place

if TYPE_CHECKING:
    from nbexp import Project
    from tests.conftest import Program

Git = Callable[..., str]
KINDS = ["trash", "undo", "failed", "logs", "temporary"]


@pytest.fixture
def full(project: Project) -> Project:
    """Three experiments of which one was removed, a failed run, an edit that only an undo step holds."""
    project.run({"seed": 1}, name="one")
    project.run({"seed": 2}, name="two")
    (project.root / "model.txt").unlink()
    (project.root / "model.txt").write_text("only here\n" * 1000)
    project.run({"seed": 3}, name="three")
    project.remove("two")
    script = project.root / "train.sh"
    text = script.read_text()
    script.write_text(text.replace("set -eu\n", "set -eu\nexit 1\n"))
    with pytest.raises(NbexpError):
        project.run(name="broken")
    script.write_text(text)
    own = place.own_folder(project.root)
    for name in (".nbexp-0123456789abcdef.tmp", "apply-x"):
        (own / name).write_text("left")
        os.utime(own / name, (1, 1))
    return project


def heaps(project: Project, *kinds: str, **words: object) -> dict[str, tuple[int, int]]:
    found = project.gc(*kinds, **words)  # type: ignore[arg-type]
    return {heap.kind: (heap.items, heap.kept) for heap in found.heaps}


def everything(project: Project) -> dict[str, bytes]:
    found = {}
    for path in sorted(project.root.rglob("*")):
        inner = path.relative_to(project.root).as_posix()
        if path.is_file() and "state.db" not in inner and not inner.startswith(".git/objects"):
            found[inner] = path.read_bytes()
    return found


def test_everything_is_listed_with_its_size_and_nothing_goes(full: Project) -> None:
    before = everything(full)
    found = full.gc()
    assert everything(full) == before
    assert not found.removed
    assert [heap.kind for heap in found.heaps] == KINDS
    by_kind = {heap.kind: heap for heap in found.heaps}
    assert {kind: heap.items for kind, heap in by_kind.items()} == {
        "trash": 1, "undo": 4, "failed": 1, "logs": 4, "temporary": 2,
    }  # fmt: skip
    assert by_kind["trash"].names == ("two",)
    assert by_kind["undo"].names == ("remove two", "run three", "run two", "run one")
    assert all(heap.size_bytes > 0 for heap in found.heaps)
    assert by_kind["temporary"].size_bytes == 8
    # Only the step before `run three` has what was written by hand; nobody else has data of `two`.
    assert found.data_bytes is not None
    assert found.data_bytes > 10_000
    lines = str(found).splitlines()
    assert lines[0].split() == ["kind", "items", "size", "oldest", "kept"]
    assert [line.split()[0] for line in lines[1:6]] == KINDS
    assert lines[6] == "Nothing was removed. The same with --yes removes it for good."
    assert lines[7].startswith("data of the cache that `nbexp data gc -a -T` could free then: 1")


def test_with_yes_it_says_that_it_is_final_and_goes(full: Project) -> None:
    told: list[events.Event] = []
    files = {path: data for path, data in everything(full).items() if not path.startswith(".")}
    names = full.names
    found = full.gc(yes=True, emit=told.append)
    (notice,) = [event for event in told if isinstance(event, events.Notice)]
    assert notice.message == (
        "Removing 1 experiment in the trash, 4 undo steps, 1 failed run, 4 log folders and 2 temporary items. "
        "This is final."
    )
    assert found.removed
    assert full.names == names
    assert full.git.refs("refs/nbexp/") == {}
    own = place.own_folder(full.root)
    left = {path.name for path in own.iterdir() if "state" not in path.name}
    # The list of what has run stays, and of who runs nothing is left.
    assert left - {"queue.db-shm", "queue.db-wal"} == {
        "locks", "ongoing", "queue.db", "runs", "workers",
    }  # fmt: skip
    assert [*own.glob("ongoing/*"), *own.glob("workers/*")] == []
    assert list((own / "runs").iterdir()) == []
    assert {
        path: data for path, data in everything(full).items() if not path.startswith(".")
    } == files
    with pytest.raises(NotFound):
        full.undo()
    again = full.gc(yes=True)
    assert str(again) == "There is nothing to remove."


def test_what_is_promised_to_be_freed_is_freed_by_data_gc(full: Project) -> None:
    promised = full.gc().data_bytes
    assert full.data.gc(all_branches=True, all_tags=True).size_bytes == 0
    full.gc(yes=True)
    freed = full.data.gc(all_branches=True, all_tags=True, yes=True)
    assert freed.size_bytes == promised
    for name in full.names:
        full.apply(name, force=True)
        assert full.status().is_clean


def test_kinds_are_chosen(full: Project) -> None:
    assert heaps(full, "trash", "failed", yes=True) == {"trash": (1, 0), "failed": (1, 0)}
    kinds = {ref.split("/")[2] for ref in full.git.refs("refs/nbexp/")}
    assert kinds == {"undo"}
    # The removal could not be undone any more; the runs can.
    assert [one.op for one in full.steps().back] == ["run three", "run two", "run one"]


def test_the_newest_of_each_kind_stay(full: Project) -> None:
    assert heaps(full, "undo", "logs", keep_last=2, yes=True) == {"undo": (2, 2), "logs": (2, 2)}
    assert [one.op for one in full.steps().back] == ["remove two", "run three"]
    full.undo(2)
    assert (full.root / "model.txt").read_text() == "only here\n" * 1000


def test_only_what_is_older_goes(full: Project) -> None:
    assert heaps(full, older_than="1h") == {
        "trash": (0, 1), "undo": (0, 4), "failed": (0, 1), "logs": (0, 4), "temporary": (2, 0),
    }  # fmt: skip
    day = time.strftime("%Y-%m-%d", time.localtime(time.time() + 48 * 3600))
    assert heaps(full, "trash", older_than=day) == {"trash": (1, 0)}


@pytest.mark.parametrize(
    ("kinds", "words", "message"),
    [
        (("cache",), {}, "There is no kind `cache`. Nothing was removed."),
        ((), {"older_than": "soon"}, "`soon` is no time. Nothing was removed."),
        ((), {"keep_last": -1}, "-1 cannot be kept. Nothing was removed."),
    ],
)
def test_what_makes_no_sense_is_refused(
    kinds: tuple[str, ...], words: dict[str, object], message: str, full: Project
) -> None:
    with pytest.raises(UsageError) as caught:
        full.gc(*kinds, yes=True, **words)  # type: ignore[arg-type]
    assert caught.value.message == message
    assert heaps(full)["undo"] == (4, 0)


@pytest.mark.parametrize(
    "words",
    [
        "-w",
        "-a -T",
        "-A",
        "-c -r store",
        "--rev main -n 2",
        "-f",
        "-p ../a ../b",
        "--date 2026-01-31",
    ],
)
def test_options_of_the_other_collector_are_refused_with_its_name(
    words: str, full: Project, nbexp_cli: Program
) -> None:
    refused = nbexp_cli("gc", *words.split(), "--yes", cwd=full.root, code=2)
    assert refused.stderr == (
        f"`{words.split()[0]}` says which data of the cache is kept, and `gc` collects what nbexp keeps besides. "
        f"Nothing was removed.\nHint: `nbexp data gc {words}` is DVC's command.\n"
    )
    assert heaps(full)["undo"] == (4, 0)


def test_what_queued_tasks_printed_goes_with_the_logs(project: Project) -> None:
    project.queue.add({"seed": 4}, name="waited")
    project.queue.run("waited")
    project.close()
    log = place.own_folder(project.root) / "log"
    assert [path.suffix for path in sorted(log.iterdir())] == [".jsonl", ".log"]
    assert heaps(project, "logs")["logs"] == (3, 0)  # and the folder of the run
    heaps(project, "logs", yes=True)
    assert list(log.iterdir()) == []
    assert [row.name for row in project.show().experiments] == ["waited"]


def test_logs_and_work_trees_of_a_living_worker_stay(
    full: Project, tmp_path: Path, git: Git
) -> None:
    own = place.own_folder(full.root)
    git("worktree", "add", "--quiet", "--detach", own / "wt" / "0", cwd=full.root)
    lock = own / "workers" / "w1.lock"
    code = (
        "import sys, time; from pathlib import Path; from nbexp.filesystem import FileLock; "
        "FileLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "held\n"
        found = full.gc(yes=True)
        assert found.in_use == ("workers/w1.lock",)
        assert {heap.kind: heap.items for heap in found.heaps} == {
            "trash": 1, "undo": 4, "failed": 1, "logs": 0, "temporary": 0,
        }  # fmt: skip
        assert len(list((own / "runs").iterdir())) == 4
        assert (own / "wt" / "0" / "dvc.yaml").exists()
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()  # type: ignore[union-attr]
    found = full.gc("temporary", yes=True)
    assert set(found.heaps[0].names) >= {"wt/0", "apply-x"}
    assert not (own / "wt" / "0").exists()
    assert len(git("worktree", "list", cwd=full.root).splitlines()) == 1


def test_steps_of_another_work_tree_stay_until_it_is_gone(
    full: Project, opened: Callable[..., Project], tmp_path: Path, git: Git
) -> None:
    second = tmp_path / "second"
    git("worktree", "add", "--quiet", "-b", "other", second, cwd=full.root)
    other = opened(second)
    other.run({"seed": 8}, name="there")
    full.gc("undo", yes=True)
    assert [one.op for one in other.steps().back] == ["run there"]
    git("worktree", "remove", "--force", second, cwd=full.root)
    assert full.gc("undo", yes=True).heaps[0].names == ("run there",)


def test_directories_that_only_a_step_holds_go_with_it(project: Project, git: Git) -> None:
    project.run(name="one")
    extra = project.root / "prepared" / "inner"
    extra.mkdir()
    git("init", "--quiet", cwd=extra)
    project.run({"prepare.rows": 3}, name="two")
    kept = place.own_folder(project.root) / "undo"
    assert len(list(kept.iterdir())) == 1
    (kept / "orphan").mkdir()
    assert project.gc("undo", keep_last=1).heaps[0].items == 2  # the oldest step, and the orphan
    project.gc("undo", keep_last=1, yes=True)
    assert len(list(kept.iterdir())) == 1
    project.undo()
    assert (extra / ".git" / "HEAD").exists()
    project.gc("undo", yes=True)
    assert list(kept.iterdir()) == []


def test_gc_waits_for_the_command_at_work(full: Project) -> None:
    """Another command holds the workspace: the list says so, and leaves its logs out."""
    lock = filesystem.FileLock(place.workspace_lock(full.root).path)
    code = (
        "import sys, time; from pathlib import Path; from nbexp.filesystem import FileLock; "
        "FileLock(Path(sys.argv[1])).acquire(); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lock.path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        found = full.gc()
        assert found.in_use == ("locks/workspace.lock",)
        assert {heap.kind: heap.items for heap in found.heaps}["logs"] == 0
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()  # type: ignore[union-attr]
