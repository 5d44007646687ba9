"""Finding what has one file per kind: verbs, stage kinds, plot types, remotes.

The name of the file is the name users type. Other packages add to a folder through an entry-point
group of the folder's name (`nbexp.plots`, `nbexp.pipeline.kinds`, …).
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def names(package: str) -> tuple[str, ...]:
    """The names that `load` takes for `package`, sorted; built-in ones and those of entry points."""
    from importlib import metadata

    found = set(_built_in(package))
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
    from importlib import metadata  # reads every installed package: 10 ms, asked last

    for point in metadata.entry_points(group=package, name=name):
        loaded: ModuleType = point.load()
        return loaded
    raise LookupError(name)


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
