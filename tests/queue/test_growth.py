"""What grows with the number of experiments that wait or were run, counted and not timed; and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from nbexp.queue import Queue, store
from tests.crashes.queueing import until


def run_all(queue: Queue, values: range) -> None:
    """Run one experiment for each value, by one worker, from its first breath to its last."""
    queue.add([f"seed={','.join(map(str, values))}"])
    queue.start(1, idle_s=0.2)
    changes = list(queue.wait())
    assert [change.kind for change in changes].count("done") == len(values)
    # One that leaves looks once more whether work has come.
    until(lambda: not queue.status().workers and not queue.site.store.workers())


@pytest.fixture
def interpreters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that has a line for each Python interpreter that was started since."""
    folder, counted = tmp_path / "first", tmp_path / "interpreters"
    folder.mkdir()
    counted.touch()
    (folder / "sitecustomize.py").write_text(
        f"with open({str(counted)!r}, 'a') as file:\n    file.write('one\\n')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return counted


def test_a_worker_starts_three_git_processes_for_an_experiment_and_no_interpreter(
    queue: Queue, count_git, interpreters: Path
) -> None:
    run_all(queue, range(100, 102))
    assert [call.count("worktree add") for call in count_git.calls].count(1) == 1
    seen = []
    for values in (range(200, 202), range(300, 309)):
        count_git.clear()
        interpreters.write_text("")
        run_all(queue, values)
        starts = len(interpreters.read_text().splitlines())
        seen.append((len(count_git), starts))
        assert not [call for call in count_git.calls if "worktree add" in call]
    (few, first), (many, second) = seen
    assert many - few == 3 * 7
    assert first == second == 1


def test_a_worker_does_not_grow_with_the_experiments_it_has_run(
    queue: Queue, project: Path, git: Callable[..., str]
) -> None:
    told = project.parent / "told"
    # A shell may stand between the worker and the script: not every one gives its place to its last command.
    line = (
        "pid=$PPID\n"
        "grep -q nbexp.queue.worker /proc/$pid/cmdline || pid=$(cut -d' ' -f4 /proc/$pid/stat)\n"
        "echo $(grep -c nbexp.queue.worker /proc/$pid/cmdline) $(ls /proc/$pid/fd | wc -l)"
        f" $(ls /proc/$pid/task | wc -l) >> {told}\n"
    )
    (project / "train.sh").write_text(line + (project / "train.sh").read_text())
    git("commit", "--quiet", "--all", "--message=tell", cwd=project)
    run_all(queue, range(100, 130))
    is_worker, files, threads = zip(*map(str.split, told.read_text().splitlines()), strict=True)
    assert is_worker == ("1",) * 30
    # Of several: what looks for news has a file open for an instant.
    for counts in (files, threads):
        assert median(map(int, counts[20:])) <= median(map(int, counts[5:15])), counts


def test_giving_a_task_out_reads_one_of_those_that_wait(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    whole = store.task_of
    monkeypatch.setattr(store, "task_of", lambda row: read.append(row) or whole(row))
    seen = []
    for count in (2, 300):
        queue.add([f"seed={','.join(map(str, range(count, 2 * count)))}"])
        read.clear()
        assert queue.site.store.claim(queue.site.owner.id, totals={"gpu": 1.0}) is not None
        seen.append(len(read))
    # What runs is read as well, since it takes room: one more the second time.
    assert seen == [2, 3]


def test_queueing_many_is_one_transaction_and_the_same_git_processes(
    queue: Queue, count_git
) -> None:
    queue.add(["seed=1"])
    asked: list[str] = []
    queue.site.store._connection.set_trace_callback(asked.append)
    seen = []
    for values in (range(100, 102), range(1000, 1400)):
        count_git.clear()
        asked.clear()
        queue.add([f"seed={','.join(map(str, values))}"])
        seen.append((len(count_git), asked.count("COMMIT")))
    assert seen[0] == seen[1]
    assert seen[0][1] == 1
