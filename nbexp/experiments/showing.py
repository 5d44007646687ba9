"""From refs to the rows of the table: which commits are shown, in which groups, in which state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nbexp.errors import GitError, ProjectFileError
from nbexp.events import Emit, ignore
from nbexp.experiments import dvc_queue, ongoing
from nbexp.experiments.reading import Commit, Reader, from_memo, stored_row
from nbexp.experiments.row import Data, Row
from nbexp.experiments.selection import Revisions
from nbexp.formats import checkpoint, ref_names
from nbexp.frozen import frozen, replace
from nbexp.git import Git

if TYPE_CHECKING:
    from nbexp.experiments.naming import Named

Labels = Callable[[Sequence[str]], Mapping[str, Mapping[str, object]]]
"""Gives the labels (`tags`, `star`, `note`) of those of the revs that have any."""


@frozen
class Asked:
    """What `show` was asked for; the words are those of its options.

    `revisions` None stands for every commit that has experiments, the present one first.
    """

    revisions: Revisions | None = None
    all_states: bool = False
    hide_workspace: bool = False
    hide_queued: bool = False
    hide_failed: bool = False
    sha: bool = False
    param_deps: bool = False
    force: bool = False


class _Member(NamedTuple):
    """A failed run, or what DVC's queue knows of, before it is read."""

    baseline: str
    name: str | None
    rev: str
    state: str = "done"
    executor: Mapping[str, object] | None = None
    error: str | None = None


class _Group(NamedTuple):
    """What is to be shown below a baseline: name and rev of experiments, of which there may be ten thousand, and others."""

    experiments: list[tuple[str, str]]
    others: list[_Member]

    @property
    def revs(self) -> list[str]:
        return [*(rev for _, rev in self.experiments), *(member.rev for member in self.others)]


def rows(
    git: Git,
    reader: Reader,
    root: Path,
    asked: Asked,
    names: Mapping[str, str],
    labels: Labels = lambda _: {},
    emit: Emit = ignore,
    is_running: Callable[[str], bool] = lambda _: False,
) -> tuple[Row, ...]:
    """The workspace, then each baseline with its experiments, the newest first.

    Parameters
    ----------
    names
        Of commits that have one: the tag's or branch's.
    labels
        Asked once, for all experiments.
    is_running
        Whether the run of an experiment's ref, which has made checkpoints, goes on.

    Raises
    ------
    NotFound
        A `--rev` names no commit.

    Notes
    -----
    One process that reads objects, however many experiments; one more to find out which baselines no
    branch leads to, where any is not the tip of one.
    """
    found = [] if asked.hide_workspace else [_workspace(reader, deps_only=asked.param_deps)]
    head = git.head()
    if head is None:
        return tuple(found)
    groups = _groups(git, root, asked)
    going: dict[str, list[ongoing.Ongoing]] = {}
    for one in ongoing.read(root):
        going.setdefault(one.baseline, []).append(one)
    baselines = _baselines(git, asked.revisions, head, {*groups, *going})
    shown = [(rev, groups[rev].revs) for rev in baselines if rev in groups]
    members = [rev for _, revs in shown for rev in revs]
    stored, commits = reader.stored(
        [*baselines, *members], deps_only=asked.param_deps, force=asked.force, emit=emit
    )
    commits.update((rev, from_memo(stored[rev])) for rev in baselines if rev in stored)
    if asked.revisions is None:
        baselines.sort(
            key=lambda rev: (rev != head, -(commits[rev].time_s if rev in commits else 0), rev)
        )
    detached = _detached(git, asked.revisions, [rev for rev in baselines if rev in commits], names)
    detached |= {rev for rev in baselines if rev not in commits}
    baselines.sort(key=lambda rev: rev in detached)
    known = _Known(stored, commits, labels(members), reader, asked, is_running)
    for rev in baselines:
        listed = known.rows(rev, groups[rev]) if rev in groups else []
        if rev not in commits and not listed and rev not in going:
            continue
        commit = commits.get(rev)
        found.append(
            Row(
                rev,
                None if asked.sha else names.get(rev),
                "baseline",
                commit.data if commit else None,
                created_s=commit.time_s if commit else None,
                error=commit.error if commit else None,
                is_detached=rev in detached,
            )
        )
        if rev in going:
            files = _metric_files(row.data for row in [found[-1], *listed[:_SOME]])
            found += (_running(one, reader, root, files, asked) for one in going[rev])
        found += listed
    return tuple(found)


# So many experiments tell in which files metrics are.
_SOME = 20


def _running(
    one: ongoing.Ongoing, reader: Reader, root: Path, files: Mapping[str, str], asked: Asked
) -> Row:
    """A run that goes on: the params it has, and the last values it logged in the columns they will have.

    Beside the workspace the metrics files are its own as well; in place they may be those of the run before.
    """
    in_place = one.folder == root
    values = {**one.values, **({} if one.step is None else {"step": one.step})}
    metrics: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        file = files.get(name.replace("/", "."), "dvclive/metrics.json")
        metrics.setdefault(file, {})[name] = value
    there = reader if in_place else reader.beside(one.folder)
    files_there = _workspace(there, deps_only=asked.param_deps).data
    logged: dict[str, object] = {}
    if files_there is not None and not in_place:
        logged.update(files_there.metrics)
    logged.update((file, ongoing.tree(found)) for file, found in metrics.items())
    data = Data(files_there.params if files_there is not None else {}, logged)
    local = {"root": str(one.folder), "log": None, "pid": one.pid, "returncode": None}
    executor = {
        "state": "running",
        "name": "workspace" if in_place else "nbexp",
        "local": {**local, "task_id": None},
    }
    return Row(
        "workspace",
        one.name,
        "experiment",
        data,
        one.baseline,
        int(one.started_s),
        "running",
        executor=executor,
    )


def _metric_files(known: Iterable[Data | None]) -> dict[str, str]:
    """The file that each metric is in, by the metric's dotted key."""
    return {key: file for data in known if data is not None for file, key in data.flat("metrics")}


# Tasks of DVC's queue come as DVC has them: what runs, what is done, what waits, what failed.
_ORDER = {"running": 0, "done": 1, "queued": 2, "failed": 3}


def _workspace(reader: Reader, *, deps_only: bool) -> Row:
    try:
        return Row("workspace", None, "workspace", reader.read(None, deps_only=deps_only))
    except ProjectFileError as error:
        return Row("workspace", None, "workspace", None, error=error.message)


def _groups(git: Git, root: Path, asked: Asked) -> dict[str, _Group]:
    """Every experiment, failed run and task of DVC's queue that is asked for, by baseline."""
    queue = dvc_queue.read(git, root)
    refs = git.refs(ref_names.PREFIX)
    groups: dict[str, _Group] = {}
    for baseline, listed in ref_names.by_baseline(refs).items():
        groups[baseline] = _Group(listed, [])
    for ref, executor in queue.executors.items():
        # What DVC's queue made is an experiment like any other, and says who ran it.
        made = ref_names.parse(ref) if ref in refs else None
        if made is not None:
            groups[made.baseline].experiments.remove((made.name, refs[ref]))
            member = _Member(made.baseline, made.name, refs[ref], "done", executor)
            groups[made.baseline].others.append(member)
    others = []
    for task in queue.open:
        hidden = {"queued": asked.hide_queued, "failed": asked.hide_failed}
        if not hidden.get(task.state, False):
            error = "Experiment run failed" if task.state == "failed" else None
            others.append(
                _Member(task.baseline, task.name, task.rev, task.state, task.executor, error)
            )
    if asked.all_states and not asked.hide_failed:
        for ref, rev in git.refs(ref_names.FAILED).items():
            parsed = ref_names.parse_failed(ref)
            others.append(_Member(parsed.baseline, parsed.name, rev, "failed"))
    for member in others:
        groups.setdefault(member.baseline, _Group([], [])).others.append(member)
    return groups


def _baselines(git: Git, revisions: Revisions | None, head: str, found: Iterable[str]) -> list[str]:
    if revisions is None:
        return list(dict.fromkeys([head, *sorted(found)]))
    asked = revisions.baselines(git)
    # Every experiment is asked for then, also one whose baseline was rebased away.
    return list(dict.fromkeys([*asked, *sorted(found)])) if revisions.all_commits else asked


def _detached(
    git: Git, revisions: Revisions | None, baselines: Sequence[str], names: Mapping[str, str]
) -> set[str]:
    """Those of the baselines that no branch, tag or remote branch leads to."""
    if revisions is not None and not revisions.all_commits:
        return set()
    doubtful = [rev for rev in baselines if rev not in names and rev != git.head()]
    if not doubtful:
        return set()
    known = ("--not", "HEAD", "--branches", "--tags", "--remotes")
    try:
        # Git before 2.42 takes commits from its input, and no options.
        listed = git.run("rev-list", "--stdin", *known, stdin="\n".join([*doubtful, ""]).encode())
    except GitError:
        return set()  # a broken ref elsewhere must not hide the table
    return set(doubtful).intersection(listed.decode().split())


@frozen
class _Known:
    """What is known of commits: text of the index, or what was read now, and their labels."""

    stored: Mapping[str, str]
    commits: Mapping[str, Commit]
    labels: Mapping[str, Mapping[str, object]]
    reader: Reader
    asked: Asked
    is_running: Callable[[str], bool]

    def rows(self, baseline: str, group: _Group) -> list[Row]:
        """The rows below a baseline, newest first; what is no commit is left out."""
        stored, labels = self.stored, self.labels
        found: list[Row] = []
        for name, rev in group.experiments:
            text = stored.get(rev)
            row = None
            if text is not None:
                row = stored_row(text, rev, name, baseline, labels.get(rev) or {})
            if row is None:
                row = self._row(_Member(baseline, name, rev))
            if row is not None:
                found.append(row)
        found += filter(None, map(self._row, group.others))
        found.sort(key=lambda row: row.name or "")
        found.sort(key=lambda row: row.created_s or 0, reverse=True)
        if group.others:
            found.sort(key=lambda row: _ORDER.get(row.state, 1) if row.executor else 1)
        return found

    def _row(self, member: _Member) -> Row | None:
        commit = self.commits.get(member.rev)
        if commit is None and member.rev in self.stored:
            commit = from_memo(self.stored[member.rev])
        if commit is None:
            return None
        data, state = commit.data, member.state
        dvc_data = None
        if data is not None and member.executor is not None and state in ("queued", "failed"):
            # It starts from the baseline's results, which are not its own; of a failed one DVC shows them.
            dvc_data = data if state == "failed" else None
            data = Data(data.params, {}, data.deps, data.outs)
        if state == "failed" and member.executor is None:
            state = commit.state
        row = Row(
            member.rev,
            member.name,
            "experiment",
            data,
            member.baseline,
            commit.time_s,
            state,
            member.error or commit.error,
            "" if member.error else "ProjectFileError",
            member.executor,
            (),
            self.labels.get(member.rev, {}),
            dvc_data=dvc_data,
        )
        is_step = commit.state == checkpoint.STATE
        is_single = commit.parent in (member.baseline, None)
        if (is_single and not is_step) or (member.executor is not None and state != "done"):
            return row
        earlier, is_whole = _earlier(self.reader, self.asked, commit.parent, member.baseline)
        if is_step:
            ref = ref_names.ExpRef(member.baseline, member.name or "").ref
            row = replace(row, state="running" if self.is_running(ref) else "interrupted")
        if not is_whole:
            return replace(row, earlier=earlier)
        steps = len(earlier) + is_step
        return replace(row, earlier=earlier, step=len(earlier) + 1, steps=steps)


def _earlier(
    reader: Reader, asked: Asked, rev: str | None, baseline: str
) -> tuple[tuple[Row, ...], bool]:
    """The chain below the tip of an experiment, and whether it comes down to its baseline."""
    found: list[Row] = []
    while rev is not None and rev != baseline:
        commit = reader.commits([rev], deps_only=asked.param_deps, force=asked.force).get(rev)
        if commit is None:
            break
        found.append(
            Row(
                rev,
                None,
                "experiment",
                commit.data,
                baseline,
                commit.time_s,
                error=commit.error,
            )
        )
        rev = commit.parent
    if rev != baseline:
        return tuple(found), False
    count = len(found)
    return tuple(replace(row, step=count - at) for at, row in enumerate(found)), True


def reference(git: Git, reader: Reader, what: str | Named) -> Row:
    """The row that the others of a table are compared with: of the workspace, an experiment or any commit."""
    from nbexp.experiments import naming

    if what == "workspace":
        return Row("workspace", None, "workspace", reader.workspace())
    name, rev = naming.commit(git, what)
    return Row(rev, name, "experiment", reader.data(rev))
