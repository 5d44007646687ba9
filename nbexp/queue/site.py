"""The project as the queue sees it: made of its folder alone, in a worker as in a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp import settings
from nbexp.errors import NbexpError, QueueError
from nbexp.events import Emit, Notice
from nbexp.experiments import place as places
from nbexp.git import Git
from nbexp.queue import batches
from nbexp.queue.owners import Owner
from nbexp.queue.rows import NewTask
from nbexp.queue.state import State
from nbexp.queue.store import Store

# Looking at the queue, as every `show` does, loads nothing of what runs stages.
if TYPE_CHECKING:
    from nbexp.experiments import run as running
    from nbexp.store.cache import Cache


class Site:
    """A project's folder, with what running tasks takes.

    Parameters
    ----------
    env
        The environment of stages and workers; None is this process's own.
    cache
        Gives the one that whoever asks has open.
    """

    def __init__(
        self,
        git: Git,
        root: Path,
        here: str = ".",
        *,
        env: Mapping[str, str] | None = None,
        cache: Callable[[], Cache] | None = None,
    ) -> None:
        self.git = git
        self.root = root
        self.here = here
        self.env = env
        self.prefix = places.prefix(git, root)
        self.folder = places.own_folder(root)
        self.owner = Owner(self.folder)
        self.said: list[str] = []
        self._shared_cache = cache

    @classmethod
    def at(cls, root: Path) -> Site:
        """The project in a folder.

        Raises
        ------
        QueueError
            There is none any more.
        """
        git = Git.find(root)
        if git is None or not (root / ".dvc").is_dir():
            raise QueueError(f"There is no project in {root} any more.")
        return cls(git, root)

    @cached_property
    def mark(self) -> str:
        """What its batches end with, which others of its repository do not."""
        return batches.mark(self.git, self.root)

    @cached_property
    def settings(self) -> settings.Settings:
        return settings.read(self.root)

    @cached_property
    def cache(self) -> Cache:
        if self._shared_cache is not None:
            return self._shared_cache()
        from nbexp.formats import config
        from nbexp.store.cache import Cache

        found = config.read(self.root / ".dvc", home=places.home())
        return Cache(
            found.cache_dir,
            link_types=found.cache_types,
            state=self.folder / "state.db",
            skip=places.DvcIgnores(self.root).below,
            shared=found.shared_cache,
        )

    @cached_property
    def store(self) -> Store:
        return Store(self.folder, self._what_git_knows, self._damaged)

    def place(self, emit: Emit, *, pull: bool = False, run_cache: bool = True) -> running.Place:
        """For running stages."""
        from nbexp.experiments import run as running

        fetch = None
        if pull:
            from nbexp.experiments.fetching import FromRemotes

            fetch = FromRemotes(self.root, self.cache, emit)
        return running.Place(
            self.git,
            self.cache,
            self.root,
            self.prefix,
            run_cache and self.settings.run_cache,
            self.env,
            None,
            fetch,
        )

    def tell(self, emit: Emit) -> None:
        """Say what was found about the database since the last time."""
        while self.said:
            emit(Notice(self.said.pop(0)))

    def close(self) -> None:
        store = self.__dict__.pop("store", None)
        if store is not None:
            store.close()
        self.owner.close()

    def _what_git_knows(self) -> list[tuple[NewTask, State, str | None]]:
        """The tasks of a database that is lost, from the snapshots of batches that were not over.

        What was removed from such a batch comes back.
        """
        from nbexp.experiments import freezing
        from nbexp.formats import ref_names

        found: dict[str, tuple[NewTask, State, str | None]] = {}
        kept_for = batches.own(self.git, self.mark)
        done = self.git.refs("refs/exps/") if kept_for else {}
        failed = self.git.refs(ref_names.FAILED) if kept_for else {}
        for batch, rev in kept_for.items():
            ref = batches.SNAPSHOTS + batch
            try:
                specs = freezing.thaw(self.git, ref)
            except (NbexpError, ValueError):
                self.said.append(f"What was queued as {batch} cannot be read, and stays in {ref}.")
                continue
            for spec in specs:
                new = NewTask(
                    batches.uid_of(batch, spec.baseline, spec.name),
                    batch,
                    spec.baseline,
                    spec.name,
                    rev,
                    spec.to_json(),
                )
                kept = ref_names.FAILED + spec.ref.removeprefix("refs/exps/")
                key = spec.ref.lower()
                if spec.ref in done and done[spec.ref] != spec.replaces:
                    found[key] = (new, "done", done[spec.ref])
                else:
                    # What got other values in the queue is in a later batch as well.
                    found[key] = (new, "failed" if kept in failed else "queued", None)
        return [*found.values()]

    def _damaged(self, what: str) -> None:
        self.said.append(what)
