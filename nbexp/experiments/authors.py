"""Whose code a command is about to run: somebody else's experiment is told as such before it runs.

Authors that the user has agreed to stand in `.dvc/tmp/nbexp/authors`, an address a line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import UsageError
from nbexp.events import Emit, Notice
from nbexp.experiments import place
from nbexp.git import Git


def check(
    git: Git,
    root: Path,
    rev: str,
    name: str,
    confirm: Callable[[str], bool] | None,
    emit: Emit,
) -> None:
    """Say in one line whose code runs where it is not the user's own, and ask where somebody can answer.

    Raises
    ------
    UsageError
        The user said no. Nothing was run.
    """
    author = git.commits([rev])[0].author
    mine = git.identity("author")
    address = author.rpartition("<")[2].rstrip(">").strip()
    if address == mine.email or author == f"{mine.name} <{mine.email}>":
        return
    emit(Notice(f"`{name}` is by {author}: this runs their code."))
    file = place.own_folder(root) / "authors"
    known = file.read_text("utf-8", "replace").splitlines() if file.is_file() else []
    if confirm is None or address in known:
        return
    if not confirm(f"Run the code of {author}?"):
        raise UsageError(f"`{name}` was not run, as you said. Nothing was changed.")
    file.parent.mkdir(parents=True, exist_ok=True)
    filesystem.atomic_write(file, "".join(f"{one}\n" for one in [*known, address]).encode())
