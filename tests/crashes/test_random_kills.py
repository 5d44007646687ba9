"""Whoever works for the queue is killed, hundreds of times, at random: none lost, none twice, none stuck, nothing left.

A seed, which is in the message of a failure, says who and when. `NBEXP_TEST_KILLS` says how often (500); a machine that is
busy with other things is given up after five minutes with what it has come to, and all that is asserted holds then too.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
import pytest

from nbexp.queue import Queue
from nbexp.queue.site import Site
from tests.crashes.queueing import Killing, marked

KILLS = int(os.environ.get("NBEXP_TEST_KILLS", "500"))
_LONGEST_S = 150.0
_APPEARS_S = 1.0
SLOTS = (1, 2)

_PARAMS = "lr: 0\n"
_SHELL = """\
stages:
  train:
    cmd: sh train.sh
    deps: [train.sh]
    params: [lr]
    outs: [model.txt]
    metrics: [{metrics.json: {cache: false}}]
"""
_SCRIPT = """\
set -e  # whoever is killed of it, it has failed
lr=$(sed -n 's/^lr: //p' params.yaml)
sleep 0.03 & (setsid sleep 300 >/dev/null 2>&1 &)
wait %1
echo "model $lr" > model.txt
echo "{\\"acc\\": $lr}" > metrics.json
"""
_NOTEBOOK = """\
stages:
  train:
    cmd: nbexp notebook train.ipynb runs/train.ipynb --params train
    deps: [train.ipynb]
    params: [train]
    outs: [runs/train.ipynb, model.txt]
    metrics: [{metrics.json: {cache: false}}]
"""
_CELLS = [
    "import json, time; from pathlib import Path; time.sleep(0.05)",
    "Path('model.txt').write_text(f'model {lr}\\n')",
    "Path('metrics.json').write_text(json.dumps({'acc': lr}))",
]


def shell_files() -> dict[str, str]:
    return {"dvc.yaml": _SHELL, "train.sh": _SCRIPT, "params.yaml": _PARAMS}


def notebook_files() -> dict[str, str]:
    book = nbformat.v4.new_notebook()
    first = nbformat.v4.new_code_cell("lr = 0", metadata={"tags": ["parameters"]})
    book.cells = [first, *map(nbformat.v4.new_code_cell, _CELLS)]
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    return {
        "dvc.yaml": _NOTEBOOK,
        "train.ipynb": nbformat.writes(book),
        "params.yaml": "train:\n  lr: 0\n",
    }


class Shooting:
    """A queue that is always full, two workers that are always there, and somebody who kills what works."""

    def __init__(self, killing: Killing, key: str, chance: random.Random) -> None:
        self._killing = killing
        self._key = key
        self._chance = chance
        self._site = Site.at(killing.project)
        self.queue = Queue(self._site)
        self.asked: dict[str, int] = {}
        self.kills: Counter[str] = Counter()

    def close(self) -> None:
        self._site.close()
        self._site.git.close()

    def shoot(self, kills: int, longest_s: float) -> None:
        end = time.monotonic() + longest_s
        workers = {slot: self._killing.start(slot) for slot in SLOTS}
        while self.kills.total() < kills and time.monotonic() < end:
            for slot, worker in workers.items():
                if worker.poll() is not None:
                    workers[slot] = self._killing.start(slot)
            self._feed()
            time.sleep(self._chance.uniform(0.0, 0.2))
            found = self._aim({worker.pid for worker in workers.values()})
            if not found:
                continue
            kind = self._chance.choice(sorted(found))
            try:
                os.kill(self._chance.choice(found[kind]), signal.SIGKILL)
                self.kills[kind] += 1
            except ProcessLookupError:
                pass

    def finish(self) -> None:
        """Workers that nobody kills; what failed because its stage was killed is wanted all the same."""
        for worker in self._killing.workers:
            if worker.poll() is None:
                worker.terminate()
                worker.wait(60)
        for _ in range(5):
            self.queue.retry(failed=True)
            self._killing.finish(len(SLOTS))
            if not self._site.store.tasks("queued", "failed"):
                return

    def _feed(self) -> None:
        self.queue.retry(failed=True)
        if sum(self._site.store.counts().get(state, 0) for state in ("queued", "running")) < 4:
            first = len(self.asked) + 1
            values = range(first, first + 10)
            queued = self.queue.add([f"{self._key}=range({first},{first + 10})"], name=f"b{first}")
            self.asked |= {
                task.name: value for task, value in zip(queued.tasks, values, strict=True)
            }

    def _aim(self, workers: set[int]) -> dict[str, list[int]]:
        """Whom to kill now: as often what a worker has started, for which it takes time, as a worker itself."""
        found = self._victims(workers)
        if self._chance.random() < 0.5:
            return {"worker": found["worker"]} if "worker" in found else {}
        end = time.monotonic() + _APPEARS_S
        while not (found.keys() - {"worker"}) and time.monotonic() < end:
            time.sleep(0.01)
            found = self._victims(workers)
        time.sleep(self._chance.uniform(0.0, 0.05))
        found = self._victims(workers)
        return {kind: pids for kind, pids in found.items() if kind != "worker"}

    def _victims(self, workers: set[int]) -> dict[str, list[int]]:
        """Everybody who works for the queue, by what they are."""
        parents: dict[int, int] = {}
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    stat = Path(entry.path, "stat").read_text()
                except OSError:
                    continue
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
        found: dict[str, list[int]] = {}
        for pid in sorted(parents):
            line = [pid]
            while line[-1] in parents and line[-1] not in workers:
                line.append(parents[line[-1]])
            if line[-1] in workers and (kind := _kind(pid, len(line) - 1)):
                found.setdefault(kind, []).append(pid)
        return found


def _kind(pid: int, depth: int) -> str:
    """What a process is that is so far below a worker."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    if depth == 0:
        return "worker"
    if b"zygote.py" in words:
        # The first is the template that runners are forked from; what is below are templates, keepers and kernels.
        return "zygote" if depth == 1 else "kernel"
    if words.startswith(b"git\0") or b"/git\0" in words:
        return ""  # as good as the worker itself
    return "kernel" if b"python" in words else "stage"


@pytest.fixture
def chance() -> Iterator[random.Random]:
    seed = random.SystemRandom().randrange(1 << 30)
    try:
        yield random.Random(seed)
    finally:
        print(f"seed {seed}")  # in the report of a failure


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("files", "key", "share"),
    [(shell_files, "lr", 0.7), (notebook_files, "train.lr", 0.3)],
    ids=["shell", "notebook"],
)
def test_whoever_works_is_killed_at_random_times(
    files: Callable[[], dict[str, str]],
    key: str,
    share: float,
    repo: Path,
    git: Callable[..., str],
    chance: random.Random,
) -> None:
    own = {".dvc/config": "", ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n", ".dvcignore": ""}
    for path, text in {**own, **files(), ".gitignore": "/model.txt\n/runs\n"}.items():
        (repo / path).parent.mkdir(exist_ok=True)
        (repo / path).write_text(text)
    git("add", "--all", cwd=repo)
    git("commit", "--quiet", "--message=project", cwd=repo)
    killing = Killing(repo, git)
    shooting = Shooting(killing, key, chance)
    try:
        shooting.shoot(round(KILLS * share), _LONGEST_S)
        shooting.finish()
        _check(killing, shooting, git)
    finally:
        killing.end()
        left = [*marked(repo)]
        for pid in left:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        shooting.close()


def _check(killing: Killing, shooting: Shooting, git: Callable[..., str]) -> None:
    root = killing.project
    # Not stuck, not lost: all that was asked for is done.
    tasks = {task.name: (task.state, task.error) for task in shooting.queue.status().tasks}
    assert tasks == dict.fromkeys(shooting.asked, ("done", None))
    # Nor twice, nor another one's: one experiment of each name, with its own value in it.
    listed: Any = git("for-each-ref", "--format=%(refname)", "refs/exps", cwd=root).split()
    assert sorted(ref.rpartition("/")[2] for ref in listed) == sorted(shooting.asked)
    for ref in listed:
        acc = json.loads(git("show", f"{ref}:metrics.json", cwd=root))["acc"]
        assert acc == shooting.asked[ref.rpartition("/")[2]], ref
    assert git("for-each-ref", "refs/nbexp/queue", cwd=root) == ""
    git("fsck", "--strict", cwd=root)
    assert killing.workspace() == killing.before
    assert list(marked(root)) == []
    print(dict(shooting.kills))
    assert shooting.kills.total() >= KILLS // 50
    assert shooting.kills["worker"] > 0
