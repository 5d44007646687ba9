"""A finished workspace to a commit and a ref; and taking refs away again.

What goes into the tree is decided in one place, `recorded_paths` (decisions.md, "Recording,
precisely"; formats.md 1.3): the user's index and every edit of a tracked file, plus the stage files,
what stages read from Git, outputs with `cache: false`, and the ignore files of outputs. Never all
untracked files.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp import filesystem, hashing
from nbexp.experiments import chains, notes, trash
from nbexp.experiments.spec import Spec
from nbexp.formats import ref_names, secrets
from nbexp.formats.dvc_lock import LockedStage
from nbexp.frozen import frozen
from nbexp.git import FileContent, Git, NewCommit, Status
from nbexp.pipeline import kinds
from nbexp.pipeline.execute import Outcome, StageResult, labels
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.pipeline.stage import Stage

if TYPE_CHECKING:
    from nbexp.experiments.checkpoints import Growing

TRASH = trash.PREFIX


@frozen
class NotRecorded:
    """A file that a stage wrote and nothing keeps: neither an output nor tracked by Git."""

    path: str
    stage: str

    def to_json(self) -> dict[str, str]:
        return {"path": self.path, "stage": self.stage}


@frozen
class Recorded:
    """The commit of a run, and what it leaves out.

    `ignored` are outputs, because Git ignores them; `repositories` are folders that stages read and that are Git
    repositories of their own.
    """

    ref: str
    rev: str
    not_recorded: tuple[NotRecorded, ...]
    ignored: tuple[str, ...]
    repositories: tuple[str, ...] = ()


def record(
    git: Git,
    root: Path,
    prefix: str,
    spec: Spec,
    graph: Graph,
    stages: Sequence[Stage],
    outcome: Outcome,
    *,
    started_s: float,
    undo_point: NewCommit | None,
    flushed: Callable[[], None],
    note: notes.Beside | None = None,
    growing: Growing | None = None,
    fence: Callable[[str], None] | None = None,
) -> Recorded:
    """Commit what a finished run left in the workspace, and name the commit.

    The commit's only parent is the baseline, or the last step of the run, and only a ref under `refs/exps`
    points to it, so no branch moves. Killed half-way, this leaves at most objects without a name, which Git collects.

    Parameters
    ----------
    prefix
        The project's root as seen from the top of the work tree; "" when it is the same.
    started_s
        When the run began, by the clock of the file system: an untracked file changed since then
        was written by a stage.
    undo_point
        Kept by the same call to Git.
    flushed
        Waits until what the experiment refers to is on disk; called before it gets its ref.
    note
        What is told of the run; there before the experiment has its name, so never missing.
    growing
        The experiment as far as it is, where the run made checkpoints or goes on from one.
    fence
        Called with the rev when the commit is on disk and has no name yet; where it raises, it gets none.

    Raises
    ------
    GitError
        Another process took the name between the look and the write. Nothing was recorded.

    Notes
    -----
    One Git process for a few small files, `git status`; at most four whatever the number of stages and
    files.
    """
    status = git.status()
    untracked = without_copies(prefix, spec, status.untracked)
    extra = [*recorded_paths(prefix, spec, graph, stages, untracked), *spec.carries]
    files = git.snapshot(status, extra)
    commit = NewCommit(
        ref=spec.ref,
        parent=spec.baseline if growing is None else growing.parent,
        message=(spec.message or message(entries_of(outcome))).encode(),
        # A commit made meanwhile, by a stage or in another window, is what `status` compared with.
        base=status.head or spec.baseline,
        files=files,
        expect=spec.replaces if growing is None else growing.expect,
    )
    replaced = spec.replaces if growing is None else growing.thrown_away
    # What a damaged repository lacks cannot be kept.
    is_kept = replaced is not None and git.info(replaced) is not None
    resets = [(trash_ref(spec.ref, replaced), replaced)] if replaced and is_kept else []
    flushed()
    filesystem.crash_point("record.before")
    commits = [commit] if undo_point is None else [commit, undo_point]
    # The undo point may be there without the experiment: undoing what never was changes nothing.
    rev = git.commit(
        *commits,
        resets=resets,
        one_by_one=True,
        beside=note,
        fence=None if fence is None else lambda revs: fence(revs[0]),
    )[0]
    filesystem.crash_point("record.done")
    left_out = _not_recorded(git.root, prefix, untracked, extra, outcome.stages, started_s)
    ignored = _ignored_outs(git, root, prefix, rev, stages, status)
    return Recorded(spec.ref, rev, left_out, ignored, _repositories(prefix, stages, untracked))


def record_failed(
    git: Git,
    root: Path,
    prefix: str,
    spec: Spec,
    graph: Graph,
    stages: Sequence[Stage],
    *,
    state: str,
    stage: str,
    error: str,
    run_dir: Path,
    note: notes.Beside | None = None,
) -> str:
    """Keep what a failed or interrupted run left, under `refs/nbexp/failed/`; the commit's rev.

    Outputs are kept as files of the tree, so that the notebook of a failed stage can be opened; a
    notebook that stopped is in `run_dir` instead of at its place.
    """
    status: Status = git.status()
    extra = {
        *recorded_paths(
            prefix, spec, graph, stages, without_copies(prefix, spec, status.untracked)
        ),
        *spec.carries,
    }
    for member in stages:
        for out in member.outs:
            extra.update(_small_files(root, prefix, out.path))
    files: dict[str, FileContent] = dict(git.snapshot(status, sorted(extra)))
    for member, label in labels(stages).items():
        for path in notebook_targets([member]):
            name = posixpath.basename(path)
            # Of stages that ran at once each has a folder of its own.
            for stopped in (run_dir / label / name, run_dir / name):
                if not (root / path).exists() and stopped.is_file():
                    files.setdefault(posixpath.join(prefix, path), stopped.read_bytes())
    message = (
        f"nbexp: {state} experiment {spec.name}\n\n{secrets.in_output(error, os.environ)}\n\n"
        f"Nbexp-State: {state}\nNbexp-Stage: {stage}\n"
    )
    commit = NewCommit(
        ref=ref_names.FAILED + spec.ref.removeprefix("refs/exps/"),
        parent=spec.baseline,
        message=message.encode(),
        base=status.head or spec.baseline,
        files=files,
        expect="any",
    )
    return git.commit(commit, beside=note)[0]


def stopped_stage(message: str) -> str | None:
    """The stage that the commit of a failed run says it stopped in; None where it says none."""
    lines = message.rstrip().rpartition("\n\n")[2].splitlines()
    found = (
        line.removeprefix("Nbexp-Stage: ") for line in lines if line.startswith("Nbexp-Stage:")
    )
    return next(found, None) or None


def stopped_notebook(root: Path, stages: Iterable[Stage], run_dir: Path) -> Path | None:
    """The first executed notebook that a run left; None where it was stopped before a cell could run."""
    for member, label in labels(list(stages)).items():
        for path in notebook_targets([member]):
            name = posixpath.basename(path)
            for found in (root / path, run_dir / label / name, run_dir / name):
                if found.is_file():
                    return found
    return None


def notebook_targets(stages: Iterable[Stage]) -> list[str]:
    """The executed notebooks that stages write, relative to the root."""
    targets = (
        (stage, kinds.notebook_target(command))
        for stage in stages
        for command in stage.spec.commands
    )
    return [stage.place(target) for stage, target in targets if target is not None]


def entries_of(outcome: Outcome) -> dict[str, LockedStage]:
    """The lock entries of the stages that ran or were restored, by name."""
    return {
        result.stage.name: result.entry
        for result in outcome.changed
        if result.entry is not None and result.stage.data is None
    }


def message(entries: Mapping[str, LockedStage]) -> str:
    """DVC's message of an experiment, with its hash: over the entries of the stages that ran or were restored."""
    plain = {name: entry.entry() for name, entry in entries.items()}
    digest = hashing.sha256(json.dumps(plain, sort_keys=True).encode())
    return f"dvc: commit experiment {digest}"


def recorded_paths(
    prefix: str,
    spec: Spec,
    graph: Graph,
    stages: Sequence[Stage],
    untracked: Iterable[str],
) -> list[str]:
    """What the tree holds beyond tracked files: those of `untracked` that the pipeline names.

    Paths are from the top of the work tree. What Git ignores is not among `untracked` and stays out,
    whoever names it; DVC asks Git in the same way.
    """
    named: set[str] = set(spec.edits)
    for path, file in graph.files.items():
        folder = posixpath.dirname(path)
        # Without these nobody could tell what its stages are.
        named.update(file.read)
        for listed in (*file.params, *file.metrics, *(plot.id for plot in file.plots)):
            named.add(posixpath.normpath(posixpath.join(folder, listed)))
    for stage in stages:
        named.update((stage.file, stage.lock_file))
        named.update(dep.path for dep in stage.deps if not dep.is_outside)
        named.update(param.path for param in stage.params if not param.is_outside)
        for out in stage.outs:
            ignore_file = posixpath.join(posixpath.dirname(out.path), ".gitignore")
            named.add(ignore_file if out.cache else out.path)
    cached = [posixpath.join(prefix, out.path) for _, out in graph.outs if out.cache]
    wanted = [posixpath.normpath(posixpath.join(prefix, path)) for path in named]
    wanted = [path for path in wanted if not path.startswith("../")]
    return sorted(
        path
        for path in untracked
        if any(is_inside(path, place) for place in wanted)
        and not any(is_inside(path, out) for out in cached)
    )


def without_copies(prefix: str, spec: Spec, untracked: Sequence[str]) -> Sequence[str]:
    """Those of the paths that were not copied to where the run was: no experiment holds these."""
    copied = [
        posixpath.normpath(posixpath.join(prefix, spec.here, path.rstrip("/")))
        for path in spec.copies
    ]
    return [path for path in untracked if not any(is_inside(path, one) for one in copied)]


def remove(
    git: Git,
    refs: Mapping[str, str],
    *,
    place: str | None = None,
    cut: Sequence[chains.Cut] = (),
) -> None:
    """Take experiments out of the list, and steps off others; what goes, goes to the trash: nothing is lost.

    `place` is the workspace whose `undo` brings them back; None: that of any.
    """
    trash.throw_away(git, refs, place=place, cut=cut)


def trash_ref(ref: str, rev: str) -> str:
    """Where the experiment of a ref is kept when it is removed or replaced now."""
    return trash.ref_of(ref, rev)


def _files(root: Path, prefix: str, path: str) -> list[str]:
    """The files at or below a path, from the top of the work tree."""
    target = root / path
    if target.is_file() or target.is_symlink():
        return [posixpath.join(prefix, path)]
    if target.is_dir():
        return [posixpath.join(prefix, path, inner) for inner, _ in filesystem.walk(target, None)]
    return []


# Larger outputs of a failed run are not worth a place in the repository.
_SMALL_BYTES = 16 << 20


def _small_files(root: Path, prefix: str, path: str) -> list[str]:
    return [
        found
        for found in _files(root, prefix, path)
        if os.stat(root / os.path.relpath(found, prefix or ".")).st_size <= _SMALL_BYTES
    ]


def _ignored_outs(
    git: Git, root: Path, prefix: str, rev: str, stages: Sequence[Stage], status: Status
) -> tuple[str, ...]:
    """The outputs with `cache: false`, from the root, that Git ignores and so nothing keeps."""
    seen = {*status.untracked, *(change.path for change in status.changes)}
    kept_in_git = [out.path for stage in stages for out in stage.outs if not out.cache]
    files = {path: _files(root, prefix, path) for path in kept_in_git}
    doubtful = [path for inner in files.values() for path in inner if path not in seen]
    infos = git.info_many([f"{rev}:{path}" for path in doubtful])
    absent = {path for path, info in zip(doubtful, infos, strict=True) if info is None}
    return tuple(path for path, inner in files.items() if absent.intersection(inner))


def _repositories(
    prefix: str, stages: Sequence[Stage], untracked: Iterable[str]
) -> tuple[str, ...]:
    """The folders, from the root, that stages read and Git does not look into: it lists such a one with a slash."""
    folders = [path.rstrip("/") for path in untracked if path.endswith("/")]
    deps = (dep for stage in stages for dep in stage.deps if not dep.is_outside)
    read = [posixpath.join(prefix, dep.path) for dep in deps] if folders else []
    return tuple(
        posixpath.relpath(folder, prefix or ".")
        for folder in folders
        if any(is_inside(folder, path) or is_inside(path, folder) for path in read)
    )


def _not_recorded(
    top: Path,
    prefix: str,
    untracked: Sequence[str],
    extra: Sequence[str],
    results: Sequence[StageResult],
    started_s: float,
) -> tuple[NotRecorded, ...]:
    found = []
    kept = set(extra)
    ran = sorted(
        (result for result in results if result.action == "ran"), key=lambda result: result.ended
    )
    own = posixpath.join(prefix, ".dvc", "")
    for path in untracked:
        if path in kept or not ran or path.startswith(own):
            continue  # Git sees the records where `.dvc/.gitignore` is gone: no stage made them
        try:
            changed_s = os.lstat(top / path).st_mtime
        except FileNotFoundError:
            continue
        if changed_s < started_s:
            continue
        # A file's time never runs ahead of the clock, so no stage is blamed for the next one's files.
        writer = next((r for r in ran if changed_s <= r.ended), ran[-1])
        shown = posixpath.relpath(path, prefix) if prefix else path
        found.append(NotRecorded(shown, writer.stage.name))
    return tuple(found)
