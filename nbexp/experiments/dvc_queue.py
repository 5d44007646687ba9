"""What DVC's own queue holds, read and never written: what waits, what runs, what failed.

Sources (DVC 3.67.1, formats.md 1.6): the reflogs of `refs/exps/celery/stash` and `refs/exps/celery/failed`, whose
lines each name a stash commit, and the files of a task's process in `.dvc/tmp/exps/run/<rev>/`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbexp import pids
from nbexp.frozen import field, frozen
from nbexp.git import Git

_LINE = re.compile(
    rb"[0-9a-f]+ (?P<rev>[0-9a-f]{40}|[0-9a-f]{64}) [^\t]*\tcommit: "
    rb"dvc-exp:[0-9a-f]+:(?P<baseline>[0-9a-f]+):(?P<name>[^~^:\\?\[\]*]*)(?::.+)?"
)
_DONE = frozenset({3, 6})  # a task's status: success, and collected


@frozen
class Task:
    """A task of DVC's queue: its stash commit, and the executor as DVC's JSON has it."""

    rev: str
    baseline: str
    name: str | None
    state: str
    executor: dict[str, object] = field(default_factory=dict, hash=False)


@frozen
class Tasks:
    """All of them, and the executors of those that became experiments, by their refs."""

    open: tuple[Task, ...] = ()
    executors: dict[str, dict[str, object]] = field(default_factory=dict, hash=False)


def read(git: Git, root: Path) -> Tasks:
    """The tasks that DVC's queue knows of; none where DVC never queued anything. Starts no process."""
    folder = root / ".dvc" / "tmp" / "exps"
    if not (folder / "celery").is_dir():
        return Tasks()
    failed = {task.rev: task for task in _logged(git, folder, "failed")}
    waiting = [task for task in _logged(git, folder, "stash") if task.rev not in failed]
    executors: dict[str, dict[str, object]] = {}
    for info_file in sorted((folder / "run").glob("*/*.run")):
        info = _json(info_file)
        ref = info.get("result_ref")
        if info.get("location") == "dvc-task" and info.get("status") in _DONE and ref:
            local = _local(folder, info_file.stem, root=None)
            executors[str(ref)] = {"state": "success", "name": "dvc-task", "local": local}
    return Tasks((*waiting, *failed.values()), executors)


def _logged(git: Git, folder: Path, which: str) -> Iterator[Task]:
    try:
        lines = (git.common / "logs" / "refs" / "exps" / "celery" / which).read_bytes()
    except OSError:
        return
    for line in lines.splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        rev = found["rev"].decode()
        name = os.fsdecode(found["name"]) or None
        info = _json(folder / "run" / rev / f"{rev}.run")
        local: dict[str, object] | None = _local(folder, rev, root=info.get("root_dir"))
        if which == "failed":
            state, executor = "failed", None
            local = _local(folder, rev, root=None)
        elif local is not None and local["returncode"] is None and _has_process(local["pid"]):
            state, executor = "running", str(info.get("location", "dvc-task"))
        else:
            state, executor, local = "queued", "dvc-task", _empty(rev)
        shown: dict[str, object] = {"state": state, "name": executor, "local": local}
        yield Task(rev, found["baseline"].decode(), name, state, shown)


def _has_process(pid: object) -> bool:
    """Whether the process is there: the files of one that was killed stay."""
    return isinstance(pid, int) and pids.is_there(pid)


def _empty(rev: str) -> dict[str, object]:
    return {"root": None, "log": None, "pid": None, "returncode": None, "task_id": rev}


def _local(folder: Path, rev: str, *, root: str | None) -> dict[str, object] | None:
    """The process of a task; None where there was none, or DVC has cleaned up."""
    process = _json(folder / "run" / rev / f"{rev}.json")
    if not process:
        return None
    return {
        **_empty(rev),
        "root": root,
        "log": process.get("stdout"),
        "pid": process.get("pid"),
        "returncode": process.get("returncode"),
    }


def _json(path: Path) -> dict[str, Any]:
    """What a file of DVC's says; nothing where it is missing or being written."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
