"""Finding what has one file per kind: verbs, stage kinds, plot types, remotes.

The name of the file is the name users type. Other packages add to a folder through an entry-point
group of the folder's name (`nbexp.plots`, `nbexp.pipeline.kinds`, …).
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def names(package: str) -> tuple[str, ...]:
    """The names that `load` takes for `package`, sorted; built-in ones and those of entry points."""
    found = set(_built_in(package))
    if _has_others():
        from importlib import metadata

        found.update(point.name for point in metadata.entry_points(group=package))
    return tuple(sorted(found))


@cache
def load(package: str, name: str) -> ModuleType:
    """The module of `package` called `name`; a built-in one wins over an entry point.

    Raises
    ------
    LookupError
        There is none. The caller says it in the user's words.
    """
    module = name.replace("-", "_")
    if module in _built_in(package):
        return importlib.import_module(f"{package}.{module}")
    if _has_others():
        from importlib import metadata

        for point in metadata.entry_points(group=package, name=name):
            loaded: ModuleType = point.load()
            return loaded
    raise LookupError(name)


@cache
def _has_others() -> bool:
    """Whether any installed package has entry points for nbexp.

    `importlib.metadata` takes 13 ms to load and 10 more to read what every package says; few users have such a
    package. Where a package may lie that this does not find (in an archive, or by a finder of its own), the answer is yes.
    """
    for folder in sys.path:
        try:
            inside = os.listdir(folder or ".")
        except NotADirectoryError:
            return True
        except OSError:
            continue
        for name in inside:
            if name.endswith(".egg"):
                return True
            if not name.endswith((".dist-info", ".egg-info")):
                continue
            try:
                with open(os.path.join(folder, name, "entry_points.txt"), "rb") as file:
                    if b"[nbexp." in file.read():
                        return True
            except OSError:
                continue  # most have none
    return False


@cache
def _built_in(package: str) -> frozenset[str]:
    home = importlib.import_module(package)
    found: set[str] = set()
    for folder in home.__path__:
        for entry in Path(folder).iterdir():
            if entry.name.startswith("_"):
                continue
            if entry.suffix == ".py":
                found.add(entry.stem)
            elif (entry / "__init__.py").exists():
                found.add(entry.name)
    return frozenset(found)
