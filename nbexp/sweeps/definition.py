"""A sweep as it was asked for, kept in the repository, so that any process can go on with it.

    refs/nbexp/sweeps/<name>  ->  nbexp: sweep sweep-1
                                                          (an empty line)
                                  {"version": 1, …}       (all that was asked for, one line)

The commit's tree is the state that every trial starts from, frozen at the moment of asking; its parent is the
baseline. The same line again is recognised by `key`, a digest of what was asked, and by the files of its
pipeline, which must be as they were.
"""

from __future__ import annotations

import json
import posixpath
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from nbexp import hashing
from nbexp.errors import GitError, NotFound, ProjectFileError, UsageError, nearest
from nbexp.experiments.spec import Spec
from nbexp.filesystem import crash_point
from nbexp.formats import notebook, values
from nbexp.frozen import field, frozen, replace
from nbexp.git import Git, NewCommit
from nbexp.overrides import parse
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.pipeline.stage import Stage
from nbexp.sweeps.samplers import Study, Trial
from nbexp.sweeps.space import Space

PREFIX = "refs/nbexp/sweeps/"
_VERSION = 1

Direction = Literal["minimize", "maximize"]


@frozen
class Definition:
    """What was asked for.

    Attributes
    ----------
    name
        `sweep-1`, or the prefix that was asked for.
    batch
        Names its trials in the queue.
    snapshot
        The commit that trials start from, which is the one that holds this; "" before there is one.
    spec
        What all trials have in common; its name is empty.
    sampler, options, metric, direction, seed
        See `samplers.Study`; metric and direction are None where nothing is optimised.
    trials
        How many there will be.
    jobs
        How many run at once.
    prefix
        What their names begin with; None: each gets two words.
    resources
        What each of them needs.
    timeout_s
        Seconds after which one is stopped and has failed.
    mark
        The project's in its repository, whose queue has the trials (`queue.batches`); None in those kept by nbexp
        before it was told.
    """

    name: str
    batch: str
    key: str
    baseline: str
    space: Space
    spec: Spec
    sampler: str
    options: Mapping[str, str]
    metric: str | None
    direction: Direction | None
    trials: int
    jobs: int
    seed: int
    prefix: str | None = None
    created_s: float = 0.0
    snapshot: str = ""
    resources: Mapping[str, float] = field(default_factory=dict)
    timeout_s: float | None = None
    mark: str | None = None

    def study(self, past: Sequence[Trial] = ()) -> Study:
        return Study(self.space, self.direction, self.seed, self.options, past)

    def to_json(self) -> dict[str, object]:
        return {
            "version": _VERSION,
            "batch": self.batch,
            "key": self.key,
            "space": self.space.to_json(),
            "spec": self.spec.to_json(),
            "sampler": self.sampler,
            "options": dict(self.options),
            "metric": self.metric,
            "direction": self.direction,
            "trials": self.trials,
            "jobs": self.jobs,
            "seed": self.seed,
            "prefix": self.prefix,
            "created": self.created_s,
            "resources": dict(self.resources),
            "timeout": self.timeout_s,
            "mark": self.mark,
        }


def key_of(
    baseline: str,
    space: Space,
    spec: Spec,
    sampler: str,
    options: Mapping[str, str],
    metric: str | None,
    direction: Direction | None,
    seed: int | None,
    prefix: str | None,
    trials: int | None,
    *,
    start: str | None = None,
    mark: str = "",
) -> str:
    """A digest by which the same request is recognised; `start` is the commit that trials go on from, if they do, `mark` the project's.

    How many run at once is no part of it, nor is the number of trials where it can grow.
    """
    asked = space.to_json()
    for one in cast("list[dict[str, Any]]", asked["dimensions"]):
        # A shuffled choice is the same choice.
        one["choices"] = sorted(map(repr, one.get("choices", ())))
    common = {**spec.to_json(), "name": "", "baseline": ""}
    whole = [
        baseline, asked, common, sampler, dict(options), metric, direction, seed, prefix, trials,
    ]  # fmt: skip
    whole += [one for one in (start, mark) if one]
    return hashing.sha256(json.dumps(whole, sort_keys=True).encode())


def keep(git: Git, wanted: Definition, state: str) -> Definition:
    """Give the sweep its name and its place in the repository; `state` is the commit that was frozen.

    Raises
    ------
    UsageError
        There is a sweep of the name that was asked for. Nothing was run.
    """
    number = 1
    known = {ref.removeprefix(PREFIX) for ref in git.refs(PREFIX)}
    while True:
        name = wanted.prefix or f"sweep-{number}"
        if name not in known:
            body = json.dumps(wanted.to_json(), allow_nan=False)
            commit = NewCommit(
                ref=PREFIX + name,
                parent=wanted.baseline,
                message=f"nbexp: sweep {name}\n\n{body}\n".encode(),
                base=state,
            )
            try:
                crash_point("sweep.keeping")
                rev = git.commit(commit)[0]
                crash_point("sweep.kept")
                return replace(wanted, name=name, snapshot=rev)
            except GitError:
                # Another notebook was faster with the name; any other trouble comes again.
                if PREFIX + name not in git.refs(PREFIX):
                    raise
        if wanted.prefix is not None:
            raise UsageError(
                f"There is a sweep `{name}` already, of other values or files. Nothing was run.",
                f"another name: `nbexp sweep --name {name}-2`.",
            )
        number += 1


def kept(git: Git, mark: str) -> list[Definition]:
    """Every sweep of the project of that mark, the newest first.

    Work trees share the refs, and no queue knows of another's trials.
    """
    refs = git.refs(PREFIX)
    infos = {info.rev: info.message for info in git.commits([*refs.values()])} if refs else {}
    found = [
        one
        for ref, rev in refs.items()
        if rev in infos
        and (one := _read(ref.removeprefix(PREFIX), rev, infos[rev])) is not None
        and one.mark in (None, mark)
    ]
    return sorted(found, key=lambda one: -one.created_s)


def load(git: Git, name: str, mark: str) -> Definition:
    """The sweep of that name in the project of that mark.

    Raises
    ------
    NotFound
        There is none; the nearest is in the hint.
    UsageError
        It is another project's, whose queue has its trials.
    """
    refs = git.refs(PREFIX)
    rev = refs.get(PREFIX + name)
    if rev is not None:
        (info,) = git.commits([rev])
        found = _read(name, rev, info.message)
        if found is not None and found.mark not in (None, mark):
            raise UsageError(
                f"The sweep `{name}` was asked for in another work tree or project of this repository.",
                f"`nbexp sweep --resume {name}`, typed there, goes on with it.",
            )
        if found is not None:
            return found
        raise UsageError(f"The sweep `{name}` is stored in a form that this version does not read.")
    names = [ref.removeprefix(PREFIX) for ref in refs]
    near = nearest(name, names)
    if near:
        hint = f"did you mean `{near}`?"
    else:
        hint = (
            "`nbexp sweep` lists them." if names else "`nbexp sweep -S train.lr=0.1,0.2` makes one."
        )
    raise NotFound(f"There is no sweep `{name}`.", hint)


def _read(name: str, rev: str, message: str) -> Definition | None:
    """What the commit of a sweep says; None of another version's, or what is none."""
    try:
        stored = json.loads(message.partition("\n\n")[2])
        if stored["version"] != _VERSION:
            return None
        spec = Spec.from_json(stored["spec"])
        return Definition(
            name,
            stored["batch"],
            stored["key"],
            spec.baseline,
            Space.from_json(stored["space"]),
            spec,
            stored["sampler"],
            stored["options"],
            stored["metric"],
            stored["direction"],
            stored["trials"],
            stored["jobs"],
            stored["seed"],
            stored["prefix"],
            stored["created"],
            rev,
            stored["resources"],
            stored.get("timeout"),
            stored.get("mark"),
        )
    except (ValueError, KeyError, TypeError, UsageError):
        return None


def now_s() -> float:
    """The present, as sweeps are dated."""
    return time.time()


# ---- what changed since


def changed(
    git: Git, prefix: str, sweep: Definition, state: str, graph: Graph, stages: Iterable[Stage]
) -> list[str]:
    """The files of the pipeline that are not what they were when the sweep was asked for.

    Parameters
    ----------
    prefix
        The project's root as seen from the top of the work tree.
    state
        A commit with the files as they are now.
    graph, stages
        Of the pipeline as it is now.
    """
    listed = git.run("diff-tree", "-r", "-z", "--name-only", sweep.snapshot, state)
    top = f"{prefix}/" if prefix else ""
    paths = [path[len(top) :] for path in listed.decode().split("\0") if path.startswith(top)]
    reads: set[str] = set(graph.files)
    params: set[str] = set()
    for stage in stages:
        reads.add(stage.file)
        reads.update(f"{dep.path}.dvc" for dep in stage.deps)
        reads.update(dep.path for dep in stage.deps)
        params.update(param.path for param in stage.params)
    swept = _swept(sweep)
    found = []
    for path in paths:
        if not path or not any(is_inside(path, one) for one in (*reads, *params)):
            continue
        old, new = git.read_many([f"{sweep.snapshot}:{top}{path}", f"{state}:{top}{path}"])
        if path in params:
            is_same = _params(old, path, swept) == _params(new, path, swept)
        elif path.endswith(".ipynb"):
            is_same = old is not None and new is not None and _notebooks_equal(old, new)
        else:
            is_same = False
        if not is_same:
            found.append(path)
    return found


def _swept(sweep: Definition) -> set[tuple[str, str]]:
    """File and key of everything that the sweep sets itself."""
    ours = [*sweep.spec.overrides, *parse(dict.fromkeys(sweep.space.params))[0]]
    here = sweep.spec.here
    return {(posixpath.normpath(posixpath.join(here, one.file)), one.key) for one in ours}


def _params(data: bytes | None, path: str, swept: set[tuple[str, str]]) -> object:
    if data is None:
        return None
    try:
        leaves = values.flatten(values.parse(data, path))
    except ProjectFileError:
        return data
    keys = [key for file, key in swept if file == path]
    return {
        leaf: value
        for leaf, value in leaves.items()
        if not any(leaf == key or leaf.startswith(f"{key}.") for key in keys)
    }


def _notebooks_equal(old: bytes, new: bytes) -> bool:
    try:
        return notebook.identity(old) == notebook.identity(new)
    except ProjectFileError:
        return False
