"""Where and how stages run: what `execute` is given, and what it asks of those above it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol

from nbexp.frozen import field, frozen
from nbexp.pipeline.checkpoint import Recorder
from nbexp.store.cache import Cache, Hash

OnFailure = Literal["stop", "keep-going", "ignore"]


class Guard(Protocol):
    """Told before anything of the user's changes, so that it can be put back.

    Called by one thread at a time.
    """

    def write(self, path: str, data: bytes) -> None:
        """Write the file at `path` (relative to the root) in one step, the old bytes kept."""

    def remember(self, path: str) -> None:
        """The output at `path` is about to be changed in place; a copy of it is kept."""

    def set_aside(self, path: str) -> None:
        """The output at `path` is about to be made anew; afterwards nothing is there."""

    def carry_over(self, path: str) -> None:
        """The output at `path` came back from the cache; it gets what ignore rules hid in the old one."""

    def declared(
        self, reads: Sequence[str], writes: Sequence[str]
    ) -> AbstractContextManager[object]:
        """While a stage's command runs: other tools keep off these (absolute) paths."""

    def waiting(self) -> AbstractContextManager[object]:
        """While nothing is changed from here: other tools may work on what is not declared."""


class IgnoreRules(Protocol):
    """What Git ignores."""

    def ignored(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths (relative to the root) that Git ignores."""

    def tracked(self, paths: Sequence[str]) -> set[str]:
        """Those of the paths that the present commit holds."""


class Fetch(Protocol):
    """Brings what a remote has into the cache."""

    def runs(self) -> None:
        """Every entry of the remote's run cache; nothing where there is no remote."""

    def objects(self, hashes: Sequence[Hash], remote: str | None) -> None:
        """These objects, of a directory its files too; raises StoreError when one is not to be had.

        `remote` is the one that an output names; None is the default one.
        """


@frozen
class Context:
    """Where stages run.

    Attributes
    ----------
    env
        The environment of every command, without the name of the stage.
    run_dir
        A private folder of this run: logs, events, the notebook of a stage that failed.
    here
        The user's directory relative to the root; stages are named as seen from there.
    use_run_cache
        Whether a stage may be restored from an earlier run with the same key.
    flights
        Where the locks of running stages are, for all that share the cache; None: nobody does.
    confirm
        Asks the user a question with yes or no before each stage; None: nobody is asked.
    fetch
        Where missing data comes from; None: nowhere.
    steps
        Records a checkpoint of a stage that runs; None: nobody does.
    resumed
        The stages that run although they are as dvc.lock says, by address from the root: they go on from the
        step of this number, or begin anew where it is 0.
    """

    root: Path
    cache: Cache
    guard: Guard
    ignores: IgnoreRules
    env: Mapping[str, str]
    run_dir: Path
    here: str = "."
    use_run_cache: bool = True
    flights: Path | None = None
    confirm: Callable[[str], bool] | None = None
    fetch: Fetch | None = None
    steps: Recorder | None = None
    resumed: Mapping[str, int] = field(default_factory=dict)


@frozen
class How:
    """Which stages run, and what happens when one fails: the options of `repro` (formats.md 4.5).

    Attributes
    ----------
    force
        Every stage runs, changed or not.
    force_downstream
        What needs a stage that ran, runs.
    allow_missing
        A dep or output that is merely absent is no reason to run.
    commit
        Outputs go into the cache.
    checks_out
        Before a stage is looked at, its outputs come back from the cache, as in `dvc exp run`.
    on_failure
        `stop`: those that run are let finish, nothing starts; `keep-going`: all that does not need the
        stage that failed; `ignore`: all.
    jobs
        How many stages run at once.
    totals
        What there is of each resource that stages share: name -> amount.
    """

    force: bool = False
    force_downstream: bool = False
    allow_missing: bool = False
    commit: bool = True
    checks_out: bool = False
    on_failure: OnFailure = "stop"
    jobs: int = 1
    totals: Mapping[str, float] = field(default_factory=dict)
