"""How workspace files share bytes with objects: the first link type asked for that works between the two."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nbexp import filesystem
from nbexp.store.objects import Objects
from nbexp.store.staging import discard


class Links:
    """The link types asked for (`reflink`, `hardlink`, `symlink`, `copy`), each tried once for a device."""

    def __init__(self, asked: Sequence[str], objects: Objects) -> None:
        self._asked = tuple(asked)
        self._objects = objects
        self._found: dict[int, str] = {}

    def kind_at(self, name: str) -> str:
        """The first link type that works between the cache and the folder of a path; tried once per device."""
        try:
            device = os.stat(os.path.dirname(name)).st_dev
        except OSError:
            device = -1
        kind = self._found.get(device)
        if kind is None:
            self._objects.make(os.fspath(self._objects.unfinished))
            same = device in (-1, os.stat(self._objects.unfinished).st_dev)
            kind = self._found[device] = next(
                kind
                for kind in (*self._asked, "copy")
                if kind in ("symlink", "copy") or (same and self._works(kind))
            )
        return kind

    def kinds_at(self, name: str) -> tuple[str, ...]:
        """As `kind_at`, and what is done to a file that this type does not work for."""
        kind = self.kind_at(name)
        return (kind,) if kind == "copy" else (kind, "copy")

    def _works(self, kind: str) -> bool:
        probe, clone = (
            filesystem.temporary(self._objects.unfinished),
            filesystem.temporary(self._objects.unfinished),
        )
        try:
            filesystem.atomic_write(probe, b"link?", durable=False)
            filesystem.link(probe, clone, [kind])
        except OSError:
            return False
        else:
            return True
        finally:
            discard(os.fspath(probe))
            discard(os.fspath(clone))
