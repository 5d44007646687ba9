"""What verbs return, as objects: short in a list, usable as keys, sent between processes, shown everywhere."""

from __future__ import annotations

import inspect
import os
import pickle
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import nbexp
from nbexp import commands
from nbexp.jupyter import display
from nbexp.project import Project
from nbexp.results import Result
from tests.crashes.queueing import marked
from tests.test_faces import CALLS, masked, recorded  # noqa: F401  # a fixture


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A project of its own with two experiments and one that waits."""
    template = getattr(request.config, "_recorded_project", None)
    if template is None:
        template = tmp_path_factory.mktemp("recorded") / "project"
        shutil.copytree(request.getfixturevalue("recorded"), template, symlinks=True)
        request.config._recorded_project = template  # type: ignore[attr-defined]
    folder = tmp_path / "copy"
    shutil.copytree(template, folder, symlinks=True)
    yield folder
    for pid in marked(folder):
        with suppress(ProcessLookupError):  # a stage that has just ended
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def opened(place: Path) -> Iterator[Project]:
    project = nbexp.open(place)
    yield project
    project.close()


@pytest.mark.parametrize("verb", CALLS)
def test_a_result_is_an_object_that_one_can_keep(verb: str, opened: Project) -> None:
    result = CALLS[verb][1](opened)
    assert isinstance(result, Result)
    for one in (result, *_parts(result)):
        said = repr(one)
        assert len(said) <= 130 and "\n" not in said and " at 0x" not in said, said
        hash(one)
        assert (type(one).__doc__ or "").strip() and not (type(one).__doc__ or "").startswith(
            f"{type(one).__name__}("
        )
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result)
    assert repr(again) == repr(result)
    assert masked(json_of(again)) == masked(json_of(result))
    contents, _ = display.bundle(result)
    assert str(contents["text/plain"]).strip()
    assert {"text/html", "image/svg+xml"} & set(contents)


def json_of(result: object) -> object:
    import json

    return json.loads(commands.to_json(result))


def _parts(result: object) -> list[object]:
    """The objects of ours that one gets out of it: rows, stages, changes."""
    values = [value for name, value in inspect.getmembers(result) if not name.startswith("_")]
    listed = [one for value in values if isinstance(value, tuple) for one in value[:3]]
    return [one for one in [*values, *listed] if hasattr(type(one), "__shape__")]


def test_a_project_travels_as_the_place_it_is(opened: Project) -> None:
    again = pickle.loads(pickle.dumps(opened))
    assert again.root == opened.root
    assert [row.name for row in again.show()] == [row.name for row in opened.show()]
    assert len({opened, opened}) == 1
    again.close()


def test_frames_are_plain_and_have_types(opened: Project) -> None:
    import pandas as pd

    frame = opened.show().to_frame()
    assert type(frame) is pd.DataFrame
    kinds = {name: frame[name].dtype.kind for name in frame.columns}
    assert kinds["acc"] == "f" and kinds["train.lr"] == "f"
    assert kinds["train.epochs"] in "iu"
    assert kinds["created"] == "M"
    assert frame[frame["experiment"] == "second"]["train.lr"].tolist() == [0.03]
    for made in (
        opened.list(),
        opened.run_cache.list(),
        opened.queue.status(),
        opened.diff("first", "second"),
        opened.show(group_by="train.lr"),
        opened.plot("acc"),
    ):
        if hasattr(made, "to_frame"):
            assert type(made.to_frame()) is pd.DataFrame, type(made)
