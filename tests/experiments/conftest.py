"""What tests of experiments stand on.

project     a project of two stages (see `pipeline_project`), opened; the current directory is its root
opened      `opened(folder)`: the project around any folder, closed when the test ends
files       `files(root)`: content and mode of each file of the user's
git_state   `git_state(root)`: HEAD, index, branches, tags, stashes, reflogs, config: all that a
            command must leave alone; what nbexp and DVC keep below refs/exps and refs/nbexp is left out
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import nbexp

if TYPE_CHECKING:
    from nbexp import Project

Files = dict[str, tuple[str, bytes]]


@pytest.fixture
def opened() -> Iterator[Callable[..., Project]]:
    found: list[Project] = []

    def opened(folder: Path) -> Project:
        found.append(nbexp.open(folder))
        return found[-1]

    yield opened
    for project in found:
        project.git.close()
        project.cache.close()


@pytest.fixture
def project(
    pipeline_project: Callable[..., Path],
    opened: Callable[..., Project],
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    root = pipeline_project()
    monkeypatch.chdir(root)
    return opened(root)


@pytest.fixture
def files() -> Callable[[Path], Files]:
    return _files


@pytest.fixture
def git_state() -> Callable[[Path], dict[str, bytes]]:
    return _git_state


def _files(root: Path) -> Files:
    found: Files = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        if Path(folder).name == ".dvc":
            folders[:] = [name for name in folders if name not in {"tmp", "cache"}]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in (*names, *links):
            path = Path(folder, name)
            key = path.relative_to(root).as_posix()
            if path.is_symlink():
                found[key] = ("link", os.fsencode(os.readlink(path)))
            else:
                found[key] = (f"{path.stat().st_mode & 0o777:o}", path.read_bytes())
    return found


def _git_state(root: Path) -> dict[str, bytes]:
    folder = root / ".git"
    found = {}
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        own = key.startswith(
            ("objects/", "refs/exps/", "refs/nbexp/", "refs/notes/nbexp", "logs/refs/exps/")
        )
        if path.is_file() and not own:
            found[key] = path.read_bytes()
    return found
