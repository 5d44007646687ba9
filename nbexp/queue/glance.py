"""What the queue's database says at a glance: for Tab, which must neither wait for a lock nor make or mend a file."""

from __future__ import annotations

import json
from pathlib import Path

_NEWEST = 200  # tasks, more than anybody picks from a list


def newest(folder: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """The newest tasks of the `queue.db` in this folder: name, state, and what was typed after each `-S`.

    Whatever is wrong with the database, there is then nothing to tell.
    """
    path = folder / "queue.db"
    if not path.exists():
        return []
    import sqlite3

    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)
        try:
            rows = db.execute(
                "SELECT name, state, spec FROM tasks ORDER BY id DESC LIMIT ?", [_NEWEST]
            ).fetchall()
        finally:
            db.close()
    except sqlite3.Error:
        return []
    return [(str(name), str(state), _typed(spec)) for name, state, spec in rows]


def _typed(spec: str) -> tuple[str, ...]:
    try:
        return tuple(str(one["text"]) for one in json.loads(spec).get("overrides", ()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
