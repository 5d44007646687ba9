"""Saved views of the compare panel: which columns in which order, filter, order and groups, under a name.

    .dvc/tmp/nbexp/views.json    {"best": {"where": "acc > 0.9", "sort": [{"column": "metric:metrics.json:acc", …}], …}}

They are one user's way to look at a project, as what is open in an editor; so they are no file of the project.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import NotFound, UsageError, nearest
from nbexp.experiments import place

_MAX_BYTES = 1 << 16


def read(root: Path) -> dict[str, dict[str, object]]:
    """All of them; none where the file is missing or is no JSON."""
    try:
        found = json.loads(_file(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): view for name, view in found.items() if isinstance(view, dict)}


def of(root: Path, name: str) -> dict[str, object]:
    """The view of that name.

    Raises
    ------
    NotFound
        There is none; the nearest is in the hint.
    """
    known = read(root)
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean `nbexp show -i --view {near}`?" if near else None
        if hint is None:
            hint = (
                f"there are {', '.join(sorted(known))}."
                if known
                else "`nbexp show -i`, then `Save view` in the panel."
            )
        raise NotFound(f"There is no view `{name}`.", hint)
    return known[name]


def change(
    root: Path, name: str, view: Mapping[str, object] | None, *, remove: object = False
) -> dict[str, dict[str, object]]:
    """Save a view under a name, or take it away; all that there are then.

    Raises
    ------
    UsageError
        It has no name, or is larger than any view is.
    """
    name = name.strip()
    if not name:
        raise UsageError("A view needs a name. Nothing was saved.")
    known = read(root)
    if remove:
        known.pop(name, None)
    elif view is not None:
        known[name] = dict(view)
    text = json.dumps(known, ensure_ascii=False, indent=1)
    if len(text) > _MAX_BYTES:
        raise UsageError(
            f"The views are larger than {_MAX_BYTES >> 10} kB with `{name}`. Nothing was saved.",
            "take away some that are no longer needed.",
        )
    filesystem.atomic_write(_file(root), text.encode())
    return known


def _file(root: Path) -> Path:
    return place.own_folder(root) / "views.json"
