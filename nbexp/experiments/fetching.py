"""Missing data from the remotes, while stages run: what `--pull` brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nbexp.errors import NotFound, StoreError
from nbexp.events import Emit, Notice
from nbexp.experiments.place import home
from nbexp.formats import config
from nbexp.store import remotes, transfer
from nbexp.store.cache import Cache, Hash
from nbexp.store.remotes import Remote


class FromRemotes:
    """Fetches into the cache from the remotes of the project in `root`; each is opened when first asked.

    A remote that is not there or does not answer is told once; stages then run as they would without.
    """

    def __init__(self, root: Path, cache: Cache, emit: Emit) -> None:
        self._root = root
        self._cache = cache
        self._emit = emit
        self._opened: dict[str | None, Remote | None] = {}

    def runs(self) -> None:
        remote = self._open(None)
        if remote is None:
            return
        try:
            done = transfer.fetch_runs(remote, self._cache, emit=self._emit)
        except StoreError as error:
            self._give_up(None, error)
            return
        for name, why in done.failed.items():
            self._emit(
                Notice(f"The entry {name} of the remote's run cache was left out: it {why}.")
            )

    def objects(self, hashes: Sequence[Hash], remote: str | None) -> None:
        """As `Fetch.objects`."""
        opened = self._open(remote)
        if opened is None:
            raise StoreError("There is no remote to fetch from.")
        try:
            done = transfer.fetch([one.md5 for one in hashes], opened, self._cache, emit=self._emit)
        except StoreError as error:
            self._give_up(remote, error)
            raise
        if done.missing or done.failed:
            lost = [*done.missing, *done.failed]
            raise StoreError(f"The remote has no sound {', '.join(lost)}.")

    def close(self) -> None:
        for remote in self._opened.values():
            if remote is not None:
                remote.close()

    def _open(self, name: str | None) -> Remote | None:
        if name not in self._opened:
            settings = config.read(self._root / ".dvc", home=home())
            try:
                self._opened[name] = remotes.open(settings, name)
            except (NotFound, StoreError) as error:
                self._give_up(name, error)
        return self._opened[name]

    def _give_up(self, name: str | None, error: NotFound | StoreError) -> None:
        self._opened[name] = None
        self._emit(Notice(f"{error.message} Nothing is pulled.", error.hint))
