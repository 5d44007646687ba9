"""The user's own files, one command at a time, DVC kept out meanwhile, and put right after a kill."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import events
from nbexp.errors import StageFailed
from nbexp.experiments import place
from nbexp.experiments.workspace import InPlace

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]


@pytest.fixture
def in_place(project: Project) -> InPlace:
    return InPlace(project.git, project.cache, project.root)


def edited(project: Project) -> str:
    return (project.root / "params.yaml").read_text()


def test_a_change_is_kept_when_the_command_ends_well(project: Project, in_place: InPlace) -> None:
    with in_place.held(events.ignore), in_place.changing("test"):
        in_place.write("params.yaml", b"lr: 1\n")
    assert edited(project) == "lr: 1\n"
    assert place.unfinished(project.root) is None


def test_a_change_is_rolled_back_when_it_does_not(project: Project, in_place: InPlace) -> None:
    before = edited(project)

    def change() -> None:
        with in_place.held(events.ignore), in_place.changing("test"):
            in_place.write("params.yaml", b"lr: 1\n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert edited(project) == before
    assert place.unfinished(project.root) is None


def test_the_index_has_the_bytes_it_had(project: Project, in_place: InPlace, git: Git) -> None:
    index = project.root / ".git" / "index"
    before = index.read_bytes()
    with in_place.held(events.ignore), in_place.changing("test"):
        (project.root / "new.txt").write_text("x")
        git("add", "new.txt", cwd=project.root)
        assert index.read_bytes() != before
    assert index.read_bytes() == before


def test_two_commands_on_one_workspace_wait_for_each_other(
    project: Project, in_place: InPlace
) -> None:
    told: list[events.Event] = []
    order: list[str] = []

    def second() -> None:
        other = InPlace(project.git, project.cache, project.root)
        with other.held(told.append):
            order.append("second")

    waiter = threading.Thread(target=second)
    with in_place.held(events.ignore):
        waiter.start()
        end = time.monotonic() + 60
        while not told and time.monotonic() < end:
            time.sleep(0.01)
        order.append("first")
    waiter.join()
    assert order == ["first", "second"]
    assert any(
        isinstance(event, events.Notice) and event.message.startswith("Waiting for another")
        for event in told
    )


def test_a_stage_that_calls_nbexp_on_its_own_project_is_told_so(project: Project) -> None:
    """It would wait for itself."""
    (project.root / "dvc.yaml").write_text(
        f"stages:\n  a:\n    cmd: {sys.executable} -m nbexp.cli run\n    outs: [o]\n"
    )
    told: list[events.Event] = []
    with pytest.raises(StageFailed):
        project.run(emit=told.append)
    written = b"".join(e.data for e in told if isinstance(e, events.OutputWritten)).decode()
    assert "Nothing was" in written
    assert "Traceback" not in written


def test_dvc_is_let_in_while_a_stage_runs_and_only_then(
    project: Project, in_place: InPlace
) -> None:
    from nbexp.filesystem import FileLock

    dvc = FileLock(project.root / ".dvc" / "tmp" / "lock")
    with in_place.held(events.ignore):
        assert dvc.held()
        with in_place.declared(["/a"], ["/b"]), in_place.waiting():
            assert not dvc.held()
        assert dvc.held()
    assert not dvc.held()


def test_what_a_killed_command_left_is_put_right_by_the_next(
    project: Project, in_place: InPlace
) -> None:
    before = edited(project)
    with in_place.held(events.ignore):
        in_place.begin("run low-lr")
        in_place.write("params.yaml", b"lr: 1\n")
    # As if killed: the journal is open and nobody holds the lock.
    assert place.unfinished(project.root) == "run low-lr"
    told: list[events.Event] = []
    with InPlace(project.git, project.cache, project.root).held(told.append):
        assert edited(project) == before
    assert told == [events.Notice("A `run low-lr` that was killed half-way has been rolled back.")]


def test_edits_made_after_the_kill_stay_and_are_named(project: Project, in_place: InPlace) -> None:
    with in_place.held(events.ignore):
        in_place.begin("run low-lr")
        in_place.write("params.yaml", b"lr: 1\n")
    (project.root / "params.yaml").write_text("lr: mine\n")
    told: list[events.Event] = []
    with InPlace(project.git, project.cache, project.root).held(told.append):
        pass
    assert edited(project) == "lr: mine\n"
    (notice,) = told
    assert isinstance(notice, events.Notice)
    assert notice.message.endswith("Edited since, and so left alone: params.yaml.")


def test_folders_that_were_made_for_an_output_go_again(project: Project, in_place: InPlace) -> None:
    def change() -> None:
        with in_place.held(events.ignore), in_place.changing("test"):
            in_place.set_aside("runs/deep/out.ipynb")
            (project.root / "runs" / "deep").mkdir(parents=True)
            in_place.write("made/too/.gitignore", b"/x\n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert not (project.root / "runs").exists()
    assert not (project.root / "made").exists()


def test_a_folder_somebody_put_something_into_stays(project: Project, in_place: InPlace) -> None:
    def change() -> None:
        with in_place.held(events.ignore), in_place.changing("test"):
            in_place.set_aside("runs/out.ipynb")
            (project.root / "runs").mkdir()
            (project.root / "runs" / "mine.txt").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert (project.root / "runs" / "mine.txt").exists()


def test_a_project_below_the_top_of_its_repository_is_journalled_from_the_top(
    pipeline_project: Callable[..., Path], opened: Callable[[Path], Project]
) -> None:
    top = pipeline_project()
    inner = top / "inner"
    inner.mkdir()
    (inner / ".dvc").mkdir()
    (inner / "params.yaml").write_text("lr: 1\n")
    project = opened(inner)
    assert project.prefix == "inner"
    in_place = InPlace(project.git, project.cache, project.root)
    with in_place.held(events.ignore), in_place.changing("test"):
        in_place.write("params.yaml", b"lr: 2\n")
        assert [line.path for line in in_place.journal.lines] == ["inner/params.yaml"]
