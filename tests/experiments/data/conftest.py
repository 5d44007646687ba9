"""What tests of tracked data stand on.

place       an opened project with data/ (three files) and raw.csv, which nothing tracks yet
tracked     the same with both tracked and committed
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from nbexp import Project

FILES = {"data/a.txt": "a\n", "data/sub/b.txt": "b\n", "data/c.txt": "c\n", "raw.csv": "1\n"}


@pytest.fixture
def place(
    repo: Path,
    git: Callable[..., Any],
    opened: Callable[..., Project],
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    for path, text in {".dvc/config": "", ".dvc/.gitignore": "/tmp\n/cache\n", **FILES}.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_text(text)
    git("add", ".dvc", cwd=repo)
    git("commit", "--quiet", "--message=project", cwd=repo)
    monkeypatch.chdir(repo)
    return opened(repo)


@pytest.fixture
def tracked(place: Project, git: Callable[..., Any]) -> Project:
    place.data.add("data", "raw.csv")
    git("add", "--all", cwd=place.root)
    git("commit", "--quiet", "--message=data", cwd=place.root)
    return place
