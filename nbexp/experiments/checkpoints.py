"""Checkpoints: an experiment that grows commit by commit while it runs, and what its steps are called.

Each `live.checkpoint()` is one more commit on the experiment's ref: the first one's parent is the
baseline, the next one's the one before, and the result of the run is the last (formats.md 1.8). So the
ref is a chain, as DVC 2.x made them; every step is a whole experiment by itself. Steps are counted from
the baseline: `low-lr@3` is the third commit.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import UsageError
from nbexp.experiments import chains, environment, notes, record, trash
from nbexp.experiments.spec import Resumed, Spec
from nbexp.experiments.workspace import uninterrupted
from nbexp.filesystem import Locked
from nbexp.formats import checkpoint as protocol
from nbexp.formats.dvc_lock import LockedStage
from nbexp.git import FileContent, Git, NewCommit
from nbexp.pipeline.checkpoint import Made, Step
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.stage import Stage


class Growing:
    """The experiment of a run that goes on: `record.record` and each checkpoint add to it.

    Nothing is there, on disk or in Git, before the first checkpoint.

    Parameters
    ----------
    spec
        The run's; its `resumed` is the step that it goes on from.
    locks
        The folder of the locks that all who share the repository take.
    """

    def __init__(
        self, git: Git, root: Path, prefix: str, spec: Spec, locks: Path, note: environment.Recorder
    ) -> None:
        self._git = git
        self._root = root
        self._prefix = prefix
        self._spec = spec
        self._lock = chains.lock_of(locks, spec.ref)
        self._note = note
        # The last step of the run itself, and its number.
        self.tip: str | None = None
        self.step = spec.resumed.step if spec.resumed is not None else 0

    @property
    def parent(self) -> str:
        """What the next commit is on top of."""
        if self.tip is not None:
            return self.tip
        return self._spec.resumed.rev if self._spec.resumed is not None else self._spec.baseline

    @property
    def expect(self) -> str | None:
        """What the experiment's ref holds until then."""
        return self.tip if self.tip is not None else self._spec.replaces

    @property
    def thrown_away(self) -> str | None:
        """The commit of an experiment that had the name and is replaced, for the trash."""
        if self.tip is not None or self._spec.replaces is None:
            return None
        goes_on = self._spec.resumed is not None and self._spec.resumed.rev == self._spec.replaces
        return None if goes_on else self._spec.replaces

    def hold(self) -> None:
        """Nobody else goes on with the experiment, or takes steps off it, until `release`.

        Raises
        ------
        UsageError
            Another run does. Nothing was changed.
        """
        if self._lock.is_mine:
            return
        try:
            self._lock.acquire(blocking=False)
        except Locked as locked:
            raise UsageError(
                f"`{self._spec.name}` is running ({locked.holder or 'in another process'}). Nothing was run.",
                f"`nbexp show --steps` shows how far it is; a step as another experiment: "
                f"`nbexp run --resume {self._spec.name}@1`.",
            ) from None

    def release(self) -> None:
        self._lock.release()

    def add(
        self,
        step: Step,
        entries: Mapping[str, LockedStage],
        graph: Graph,
        stages: Sequence[Stage],
        flush: Callable[[], None],
    ) -> Made:
        """Record a step, which is on disk with all that it refers to when this returns.

        Parameters
        ----------
        entries
            Of the stages that are new, by name, as they would be.
        flush
            Has on disk what was put into the cache.

        Raises
        ------
        GitError
            The experiment's ref is not what this run left. Nothing was recorded.
        """
        spec, git = self._spec, self._git
        self.hold()
        status = git.status()
        untracked = record.without_copies(self._prefix, spec, status.untracked)
        extra = record.recorded_paths(self._prefix, spec, graph, stages, untracked)
        files: dict[str, FileContent] = dict(git.snapshot(status, [*extra, *spec.carries]))
        files |= {posixpath.join(self._prefix, path): data for path, data in step.files.items()}
        subject = spec.message or record.message(entries)
        commit = NewCommit(
            ref=spec.ref,
            parent=self.parent,
            message=protocol.message(subject, step.stage.address()).encode(),
            base=status.head or spec.baseline,
            files=files,
            expect=self.expect,
        )
        resets = self.resets()
        note = self.carried(self._note.beside(None))
        flush()
        filesystem.crash_point("checkpoint.kept")
        with uninterrupted() as came:
            self.tip = git.commit(commit, resets=resets, beside=note)[0]
            self.step += 1
        filesystem.crash_point("checkpoint.committed")
        if came:
            raise KeyboardInterrupt
        return Made(self.step, self.tip, spec.name)

    def resets(self) -> list[tuple[str, str]]:
        """Where what had the name before goes."""
        old = self.thrown_away
        return [] if old is None else [(trash.ref_of(self._spec.ref, old), old)]

    def carried(self, note: notes.Beside) -> notes.Beside:
        """The note with what people said of the experiment as far as it is: it is said of its tip."""
        goes_on = self.tip is not None or self.thrown_away is None
        note.follows = self.expect if goes_on else None
        return note


def resumed(git: Git, baseline: str, rev: str, graph: Graph, name: str) -> Resumed:
    """What a run that goes on from this commit of an experiment needs to know.

    Parameters
    ----------
    graph
        The stages as the commit has them. Where no step of the chain names one of them, as of DVC 2.x, those go
        on that have an output with `checkpoint: true`.

    Raises
    ------
    UsageError
        No stage can go on from it.
    """
    commits = chains.chain(git, baseline, rev)
    known = {stage.address(): stage for stage in graph.stages}
    named = [commit.stage for commit in reversed(commits) if commit.stage is not None]
    here = [stage for stage in named if stage in known][:1]
    if not here:
        here = [
            address
            for address, stage in known.items()
            if any(out.spec.checkpoint for out in stage.outs)
        ]
    if not here:
        raise UsageError(
            f"`{name}` has no checkpoint to go on from. Nothing was run.",
            f"`nbexp rerun {name}` runs it again; a stage makes them with `live.checkpoint()`.",
        )
    return Resumed(rev, len(commits), tuple(here))
