"""Refs that change when a command that rewrites files is done, and only then, wherever it is killed.

Files cannot be changed in one step with refs. So the changes of refs are written down last, while the journal is
still open: killed before it is closed, files are rolled back and the note goes; killed after it, the next command
that writes makes the changes first.

    .dvc/tmp/nbexp/pending.json    {"way": "undo", "steps": […], "changes": [[ref, new or null, old or null], …]}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import GitError
from nbexp.experiments.place import own_folder
from nbexp.experiments.undo import RefChange
from nbexp.frozen import frozen
from nbexp.git import Git


@frozen
class Settled:
    """What a killed command had done, and the next one has counted: `way` is `undo` or `redo`."""

    way: str
    steps: tuple[str, ...]


def write(root: Path, changes: Sequence[RefChange], done: Settled) -> None:
    """Note what is to be done once the journal is closed."""
    noted = {"way": done.way, "steps": list(done.steps), "changes": list(changes)}
    filesystem.atomic_write(_file(root), json.dumps(noted).encode())


def is_noted(root: Path) -> bool:
    """Whether something is left to be done."""
    return _file(root).exists()


def drop(root: Path) -> None:
    """Forget it: the files are rolled back."""
    filesystem.remove(_file(root))


def complete(git: Git, root: Path) -> Settled | None:
    """Make the changes that are noted, and say what they belong to; None where nothing is noted.

    Those that are made already are left out. A ref that somebody moved meanwhile stays as it is, and all others change.
    """
    done = None
    changes: list[RefChange] = []
    try:
        noted = json.loads(_file(root).read_bytes())
        changes = [(str(ref), new, old) for ref, new, old in noted["changes"]]
        done = Settled(str(noted["way"]), tuple(map(str, noted["steps"])))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        pass  # torn by a power cut; what it was about is still in the list of steps
    present = git.refs("refs/exps/", "refs/nbexp/")
    todo = [change for change in changes if present.get(change[0]) != change[1]]
    try:
        git.update_refs(todo)
    except GitError:
        for change in todo:
            if present.get(change[0]) == change[2]:
                git.update_refs([change])
    filesystem.crash_point("undo.counted")
    drop(root)
    return done


def _file(root: Path) -> Path:
    return own_folder(root) / "pending.json"
