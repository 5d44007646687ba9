"""Storage in this process's memory, for tests and trials: `memory://any-name`. The smallest remote there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from nbexp.formats.config import Value
from nbexp.store.remotes import Entry, Moved

SETTINGS: dict[str, str] = {}

_stores: dict[str, dict[str, bytes]] = {}  # by URL, so that a second look finds what the first left


class Remote:
    """A dictionary: setting an item is one step, so no key ever has half of its bytes."""

    jobs = 4
    page = 1000

    def __init__(self, url: str, settings: Mapping[str, Value]) -> None:
        self.url = url
        self._objects = _stores.setdefault(url, {})

    def exists(self, key: str) -> Entry | None:
        data = self._objects.get(key)
        return None if data is None else Entry(key, len(data))

    def get(self, key: str, target: Path, moved: Moved) -> None:
        try:
            data = self._objects[key]
        except KeyError:
            raise FileNotFoundError(key) from None
        target.write_bytes(data)
        moved(len(data))

    def put(self, source: Path, key: str, moved: Moved) -> None:
        data = source.read_bytes()
        self._objects[key] = data
        moved(len(data))

    def remove(self, key: str) -> None:
        self._objects.pop(key, None)

    def list(self, prefix: str) -> Iterator[Entry]:
        for key, data in list(self._objects.items()):
            if key.startswith(prefix):
                yield Entry(key, len(data))

    def flush(self) -> None:
        """Nothing of it outlives the process."""

    def close(self) -> None:
        """There is nothing to let go of."""
