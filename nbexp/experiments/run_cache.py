"""The run cache as something to look at: every stage run ever made, by nbexp or by DVC, and who holds it.

An entry of the run cache is an entry of a dvc.lock without the stage's name (formats.md 4.4). Name and owners
are joined from the dvc.lock of every commit, experiment and failed run, and of the workspace; what no dvc.lock
names is matched by command and outputs. `explore` has what one does with it, `promote` the making of experiments.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from nbexp.errors import NotFound, StoreError
from nbexp.events import Emit, Phase
from nbexp.experiments.locked import Known, Owner
from nbexp.experiments.value_text import markdown
from nbexp.formats import dvc_lock, values
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.frozen import frozen, replace
from nbexp.pipeline.plan import hash_of
from nbexp.results import Result
from nbexp.store import runs as files
from nbexp.store.cache import Cache
from nbexp.store.runs import RunFile

# The form of what is remembered of an entry; a new form gets a new number.
_FORM = "run-1"
_DEFAULT_PARAMS = "params.yaml"
_SHORTEST = 7
_MAX_PARAMS = 6
# A thousand entries take a third of a second to read for the first time.
_TELL_FROM, _TELL_EACH = 1000, 3000


@frozen
class CachedRun(Result):
    """One run of a stage, as the run cache keeps it.

    Attributes
    ----------
    short
        What names it on the command line: the start of its key, and of its value where one key has several.
    stages
        The stages it is a run of, as one types them here; none where nothing tells. Equal stages of two
        directories share their runs.
    is_guess
        The stage has these outputs, but no dvc.lock and no dvc.yaml has them with this command.
    saved_s
        When it was saved, in seconds since 1970.
    owners
        The experiments, branches, tags and commits whose dvc.lock holds it.
    missing
        The outputs whose objects the cache has lost, as the entry spells them.
    """

    key: str
    value: str
    short: str
    entry: LockedStage
    saved_s: float
    stages: tuple[str, ...] = ()
    is_guess: bool = False
    owners: tuple[Owner, ...] = ()
    missing: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<CachedRun {self.short} {self.stage}>"

    def __hash__(self) -> int:
        return hash((self.key, self.value))

    @property
    def stage(self) -> str:
        """The stage's name; `?` where nothing tells, and behind one that is only likely."""
        return f"{', '.join(self.stages)}{'?' * (self.is_guess or not self.stages)}"

    @property
    def command(self) -> str:
        cmd = self.entry.cmd
        return cmd if isinstance(cmd, str) else "\n".join(cmd)

    @property
    def size(self) -> int:
        """Bytes of all outputs."""
        return sum(out.size or 0 for out in self.entry.outs)

    @property
    def params(self) -> dict[str, object]:
        """Values by dotted key; `file:key` where the file is not params.yaml."""
        return {
            key if file == _DEFAULT_PARAMS else f"{file}:{key}": value
            for file, section in self.entry.params.items()
            for key, value in values.flatten(section).items()
        }

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the experiments that hold it."""
        return tuple(dict.fromkeys(one.name for one in self.owners if one.kind == "experiment"))

    @property
    def commits(self) -> tuple[str, ...]:
        """The branches and tags that hold it, and commits behind them by short rev."""
        return tuple(dict.fromkeys(one.name for one in self.owners if one.kind == "commit"))

    @property
    def failed(self) -> tuple[str, ...]:
        """The failed and interrupted runs that had it done."""
        return tuple(dict.fromkeys(one.name for one in self.owners if one.kind == "failed"))

    @property
    def is_here(self) -> bool:
        """Whether the workspace's dvc.lock holds it."""
        return any(one.kind == "workspace" for one in self.owners)

    @property
    def is_orphan(self) -> bool:
        """Whether no experiment and no commit holds it."""
        return not (self.experiments or self.commits)

    @property
    def is_stale(self) -> bool:
        """Whether outputs of it are gone from the cache, so that it cannot be brought back."""
        return bool(self.missing)

    def to_json(self) -> dict[str, object]:
        return {
            "key": self.key,
            "value": self.value,
            "stages": list(self.stages),
            "guessed": self.is_guess,
            "cmd": self.entry.cmd if isinstance(self.entry.cmd, str) else list(self.entry.cmd),
            "params": {file: dict(section) for file, section in self.entry.params.items()},
            "deps": [_path_json(dep) for dep in self.entry.deps],
            "outs": [
                {**_path_json(out), "missing": out.path in self.missing} for out in self.entry.outs
            ],
            "size": self.size,
            "saved": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(self.saved_s)),
            "experiments": list(self.experiments),
            "commits": list(self.commits),
            "failed": list(self.failed),
            "workspace": self.is_here,
            "orphan": self.is_orphan,
            "stale": self.is_stale,
        }


@frozen
class Telling:
    """What of a run tells it from the other runs of its stage that are listed with it."""

    params: Mapping[str, object]
    deps: tuple[LockedPath, ...]
    shows_command: bool

    def __hash__(self) -> int:
        return hash((tuple(self.params), self.deps))


_HEAD = "key stage when cmd params deps outs size experiments commits orphan missing".split()


@frozen
class RunTable(Result):
    """Runs of stages, newest first unless asked otherwise.

    A list: `len(runs)`, `for run in runs`, `runs["3f2a91c"]`; `to_frame()` gives a pandas DataFrame.

    Attributes
    ----------
    total
        How many there are, filters and `--num` aside.
    unreadable
        Files of entries that cannot be read, relative to the cache: damaged, or of a kind that DVC alone knows.
    """

    runs: tuple[CachedRun, ...]
    total: int
    unreadable: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<RunTable: {len(self.runs)} of {self.total} runs>"

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[CachedRun]:
        return iter(self.runs)

    def __getitem__(self, key: str) -> CachedRun:
        return pick(self.runs, key)

    def telling(self) -> list[Telling]:
        """For each run what a table for people shows of it, where all would be too wide.

        Params: all of them up to six, else those that differ among the runs of the stage. Deps and command:
        where they differ.
        """
        groups: dict[tuple[str, tuple[str, ...]], list[CachedRun]] = {}
        for run in self.runs:
            groups.setdefault(_group(run), []).append(run)
        shown = {group: _differing(runs) for group, runs in groups.items()}
        return [
            Telling(
                {key: value for key, value in run.params.items() if key in shown[_group(run)][0]},
                tuple(dep for dep in run.entry.deps if dep.path in shown[_group(run)][1]),
                shown[_group(run)][2],
            )
            for run in self.runs
        ]

    def to_json(self) -> list[dict[str, object]]:
        return [run.to_json() for run in self.runs]

    def to_csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_HEAD)
        writer.writerows(_cells(run, exact=True) for run in self.runs)
        return out.getvalue()

    def to_markdown(self) -> str:
        lines = [
            [cell.replace("|", "\\|").replace("\n", "<br>") or "-" for cell in _cells(run)]
            for run in self.runs
        ]
        return markdown([_HEAD, *lines])

    def to_frame(self) -> Any:
        """A pandas DataFrame: a line for each run, a typed column for each param."""
        import pandas as pd

        head = [name for name in _HEAD if name != "params"]
        records = []
        for run in self.runs:
            record: dict[str, object] = {
                "key": run.short,
                "stage": ", ".join(run.stages) or None,
                "when": pd.Timestamp(run.saved_s, unit="s", tz="UTC"),
                "cmd": run.command,
                "deps": {dep.path: dep.md5 for dep in run.entry.deps},
                "outs": {out.path: out.md5 for out in run.entry.outs},
                "size": run.size,
                "experiments": list(run.experiments),
                "commits": list(run.commits),
                "orphan": run.is_orphan,
                "missing": list(run.missing),
            }
            record.update({f"params.{key}": value for key, value in run.params.items()})
            records.append(record)
        params = dict.fromkeys(f"params.{key}" for run in self.runs for key in run.params)
        return pd.DataFrame(records, columns=[*head, *params]).infer_objects()


def read(cache: Cache, emit: Emit) -> tuple[list[CachedRun], list[str]]:
    """Every run of the cache, newest first, without its stages and owners; and what cannot be read.

    Notes
    -----
    Each entry is parsed once and remembered by its path and time; after that 10,000 take about a second.
    """
    found = files.listed(cache.folder)
    known = cache.memos(_FORM, [_memo_key(one) for one in found])
    unknown = len(found) - len(known)
    fresh: dict[str, str] = {}
    runs: list[CachedRun] = []
    unreadable: list[str] = []
    shorts = _shorts(found)
    for one in found:
        memo = _memo_key(one)
        if memo in known:
            entry = LockedStage.from_entry(json.loads(known[memo]))
        else:
            if unknown >= _TELL_FROM and len(fresh) % _TELL_EACH == 0:
                text = f"reading the run cache: {len(fresh):,} of {unknown:,} runs"
                emit(Phase(text, len(fresh), unknown))
            entry = _parsed(one.path)
            text = json.dumps(None if entry is None else entry.entry(), default=str)
            # What JSON cannot hold (a date, a number as a key) is read anew each time.
            if entry is None or json.loads(text) == entry.entry():
                fresh[memo] = text
        if entry is None:
            unreadable.append(f"runs/{one.key[:2]}/{one.key}/{one.value}")
        else:
            short = shorts[one.key, one.value]
            runs.append(CachedRun(one.key, one.value, short, entry, one.mtime_ns / 1e9))
    cache.remember_many(_FORM, fresh)
    return runs, unreadable


def _parsed(path: str) -> LockedStage | None:
    try:
        return dvc_lock.parse_entry(Path(path).read_bytes())
    except FileNotFoundError:
        return None


def named(runs: Iterable[CachedRun], known: Known, here: str) -> list[CachedRun]:
    """The runs with their stages, as one types them in `here`, and their owners."""
    found = []
    for run in runs:
        names, is_guess = known.stages(run.key, run.value, run.entry)
        stages = tuple(name.address(here) for name in names)
        owners = known.owners(run.key, run.value)
        found.append(replace(run, stages=stages, is_guess=is_guess, owners=owners))
    return found


def checked(runs: Sequence[CachedRun], cache: Cache) -> list[CachedRun]:
    """The runs with those outputs of theirs that the cache has lost."""
    lacking = cache.lacking(hash_of(out) for run in runs for out in run.entry.outs)
    if not lacking:
        return [*runs]
    return [
        replace(run, missing=tuple(out.path for out in run.entry.outs if out.md5 in lacking))
        for run in runs
    ]


def pick(runs: Iterable[CachedRun], asked: str) -> CachedRun:
    """The one run that `asked` names: the start of its key, and behind a slash that of its value.

    Raises
    ------
    NotFound
        None or several are called so; the hint has their names.
    """
    key, _, value = asked.lower().partition("/")
    found = [one for one in runs if one.key.startswith(key) and one.value.startswith(value)]
    if not key or not found:
        raise NotFound(
            f"The run cache has no run `{asked}`.", "`nbexp cache` lists them, each with its key."
        )
    if len(found) > 1:
        names = ", ".join(f"`{one.short}`" for one in found[:5])
        more = " and others" if len(found) > 5 else ""
        raise NotFound(
            f"{len(found)} runs of the run cache start with `{asked}`: {names}{more}.",
            f"`nbexp cache show {found[0].short}` shows the newest.",
        )
    return found[0]


def refuse_stale(run: CachedRun, what: str) -> None:
    """Stop where the cache has lost outputs of the run.

    Raises
    ------
    StoreError
        It has; `what` says that nothing was done.
    """
    if run.missing:
        raise StoreError(
            f"The cache lacks {', '.join(run.missing)} of run `{run.short}`. {what}",
            "`nbexp data fetch --run-cache` brings it when a remote has it; running the stage again makes it.",
        )


def _group(run: CachedRun) -> tuple[str, tuple[str, ...]]:
    return run.stage, () if run.stages else tuple(out.path for out in run.entry.outs)


def _differing(runs: Sequence[CachedRun]) -> tuple[set[str], set[str], bool]:
    """The params to show of runs of one stage, the deps that differ, and whether the commands do."""
    params: dict[str, set[str]] = {}
    for run in runs:
        for key, value in run.params.items():
            params.setdefault(key, set()).add(json.dumps(value, default=str))
    shared = [key for key in params if all(key in run.params for run in runs)]
    if len(params) > _MAX_PARAMS:
        same = {key for key in shared if len(params[key]) == 1}
        params = {key: values for key, values in params.items() if key not in same}
    deps: dict[str, set[str]] = {}
    for run in runs:
        for dep in run.entry.deps:
            deps.setdefault(dep.path, set()).add(dep.md5)
    commands = {run.entry.cmd for run in runs}
    return set(params), {path for path, found in deps.items() if len(found) > 1}, len(commands) > 1


def _cells(run: CachedRun, *, exact: bool = False) -> list[str]:
    """A line of CSV or Markdown, in the order of `_HEAD`."""
    return [
        f"{run.key}/{run.value}" if exact else run.short,
        run.stage,
        time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(run.saved_s)),
        run.command,
        " ".join(f"{key}={_plain(value)}" for key, value in run.params.items()),
        " ".join(f"{dep.path}@{_hash(dep, exact)}" for dep in run.entry.deps),
        " ".join(f"{out.path}@{_hash(out, exact)}" for out in run.entry.outs),
        str(run.size),
        " ".join(run.experiments),
        " ".join(run.commits),
        "orphan" if run.is_orphan else "",
        " ".join(run.missing),
    ]


def _hash(path: LockedPath, exact: bool) -> str:
    return path.md5 if exact else path.md5[:_SHORTEST]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _path_json(path: LockedPath) -> dict[str, object]:
    return {"path": path.path, "md5": path.md5, "size": path.size, "nfiles": path.nfiles}


def _memo_key(one: RunFile) -> str:
    return f"{one.path}:{one.mtime_ns}"


def _shorts(found: Sequence[RunFile]) -> dict[tuple[str, str], str]:
    """The shortest unambiguous name of each entry, of at least seven digits of its key."""
    keys = sorted({one.key for one in found})
    lengths = dict.fromkeys(keys, _SHORTEST)
    for one, other in pairwise(keys):
        shared = next((n for n in range(64) if one[n] != other[n]), 64)
        lengths[one] = max(lengths[one], shared + 1)
        lengths[other] = max(lengths[other], shared + 1)
    of_key: dict[str, list[str]] = {}
    for one_file in found:
        of_key.setdefault(one_file.key, []).append(one_file.value)
    names = {}
    for key, its in of_key.items():
        size = 0 if len(its) == 1 else 4
        while size and len({value[:size] for value in its}) < len(its):
            size += 1
        for value in its:
            names[key, value] = key[: lengths[key]] + (f"/{value[:size]}" if size else "")
    return names
