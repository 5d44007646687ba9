"""What the queue takes beside dvc's (performance.md 6: T5 to T7, T13, T16), and notebooks that wait in it (T10).

Two tools cannot drain two queues at once on one machine, so they take turns, each on a project of its own. The CPU time
of all processes stands beside the times: that ratio holds on a busy machine as well.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.meter import DVC, NBEXP, Meter, Row, project_of

_TOOLS: Mapping[str, dict[str, list[str]]] = {
    "nbexp": {
        "queue": [*NBEXP, "run", "--queue"],
        "start": [*NBEXP, "queue", "start"],
        "stop": [*NBEXP, "queue", "stop"],
        "status": [*NBEXP, "queue", "status"],
    },
    "dvc": {
        "queue": [str(DVC), "exp", "run", "--queue"],
        "start": [str(DVC), "queue", "start"],
        "stop": [str(DVC), "queue", "stop"],
        "status": [str(DVC), "queue", "status"],
    },
}


@dataclass(frozen=True)
class Drained:
    """How one queue was emptied; `memory`: results so far, MB of all processes, MB of the largest."""

    stamps: list[float]
    cpu_s: float
    memory: list[tuple[int, float, float]]

    @property
    def makespan_s(self) -> float:
        return self.stamps[-1]

    def each_s(self, workers: int) -> float:
        """What a worker takes for one, once all of them are at work."""
        first = min(workers, len(self.stamps) - 1)
        return (self.stamps[-1] - self.stamps[first - 1]) / (len(self.stamps) - first) * workers

    @property
    def peak_mb(self) -> float:
        return max(size for _, size, _ in self.memory)


class Queued(Meter):
    """Queues of projects whose one stage sleeps."""

    def __init__(self, folder: Path, reps: int) -> None:
        super().__init__(folder, reps)
        # dvc's workers are `dvc` of PATH, and a notebook's command is `nbexp`.
        here = (str(DVC.parent), str(Path(sys.executable).parent))
        self.env = {**self.env, "PATH": os.pathsep.join((*here[::-1], self.env["PATH"]))}

    def queueing(self, count: int) -> list[Row]:
        """T5: a grid in one command, and the list of what waits."""
        mine, theirs = (f"queueing-{tool}" for tool in _TOOLS)
        project = project_of(self.folder / mine, 1, self.env)
        copies = {"dvc": self.copy(theirs, project)}
        words = ["-S", f"s1.x=range(2,{count + 2})"]
        times = []
        for turn in range(self.reps):
            copies["nbexp"] = self.copy(f"{mine}-{turn}", project)
            times.append(self.time([*_TOOLS["nbexp"]["queue"], *words], copies["nbexp"]))
            if not turn:  # it takes dvc as long each time
                dvc = self.time([*_TOOLS["dvc"]["queue"], *words], copies["dvc"])
        status = self.turns(
            {
                tool: lambda tool=tool: self.time(_TOOLS[tool]["status"], copies[tool])
                for tool in _TOOLS
            }
        )
        # The bars are for 1,000; with few, starting is most of what either takes.
        bars = (45.0, 4.0) if count >= 1000 else (None, None)
        return [
            Row(
                "T5",
                f"queue {count:,} points in one command",
                statistics.median(times),
                dvc,
                bars[0],
            ),
            Row("T5", f"`queue status`, {count:,} tasks", status["nbexp"], status["dvc"], bars[1]),
        ]

    def draining(self, count: int, work_s: float, workers: int) -> list[Row]:
        """T6, T7: from `queue start` to the last result."""
        budget = "T6" if work_s < 1 else "T7"
        found = {tool: self._drained(tool, count, work_s, workers) for tool in _TOOLS}
        mine, theirs = found["nbexp"], found["dvc"]
        what = f"queue, {count} stages of {work_s:g} s, {workers} worker{'s' * (workers > 1)}"

        def lost(one: Drained) -> float:
            return 100 * (1 - count * work_s / (workers * one.makespan_s))

        bars = {("T6", 2): 9.0, ("T6", 1): 8.0, ("T7", 2): 2.6, ("T7", 1): 2.1}
        own = [max(one.each_s(workers) - work_s, 0) * 1000 for one in (mine, theirs)]
        rows = [
            Row(
                budget,
                f"{what}: to the last result",
                mine.makespan_s * 1000,
                theirs.makespan_s * 1000,
                bars[budget, workers],
            ),
            Row(
                budget,
                f"{what}: workers' time that is no work (bar: {30 if budget == 'T6' else 5} %)",
                lost(mine),
                lost(theirs),
                None,
                "%",
            ),
            Row(budget, f"{what}: own time of each", *own, 25.0 if budget == "T6" else None),
            Row(
                budget,
                f"{what}: CPU time of each, all processes",
                *(one.cpu_s / count * 1000 for one in (mine, theirs)),
                25.0 if budget == "T6" else None,
            ),
        ]
        if budget == "T6":
            first = [one.stamps[0] * 1000 for one in (mine, theirs)]
            rows.append(Row("T7", f"{what}: to the first result", *first, 6.0))
        if workers > 1:
            sizes = [one.peak_mb for one in (mine, theirs)]
            what = f"{what}: memory of all processes (bar: 140 MB)"
            rows.append(Row("T16", what, *sizes, 3.0, "MB"))
            largest = max(size for _, _, size in mine.memory)
            rows.append(Row("T16", "the largest of them (bar: 45 MB)", largest, None, None, "MB"))
        return rows

    def memory(self) -> list[Row]:
        """T16: what a command that reads takes at most."""
        mine, theirs = self.twins("memory", stages=1)
        sizes = self.peak_mb([*NBEXP, "status"], mine), self.peak_mb([str(DVC), "status"], theirs)
        return [Row("T16", "`status`: memory at most (bar: 30 MB)", *sizes, None, "MB")]

    def many_files(self, files: int, count: int) -> list[Row]:
        """T13: experiments of a repository with many files, beside the user's; dvc's are run with `--temp`."""
        project = project_of(self.folder / "files", 1, self.env)
        for number in range(files):
            place = project / "src" / f"{number // 100:03}" / f"{number:05}.txt"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"{number}\n" * 20)
        # Nothing of Git's goes on behind, where the project is copied next.
        git = ["git", "-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false"]
        for words in ([*git, "add", "--all"], [*git, "commit", "--quiet", "--message=files"]):
            self.time(words, project)
        theirs = self.copy("files-dvc", project)
        temp = [str(DVC), "exp", "run", "--temp", "-S"]
        queue = {tool: [*words["queue"], "-S"] for tool, words in _TOOLS.items()}
        values = iter(range(1000, 10_000))
        one = self.turns(
            {
                "nbexp": lambda: self.time([*queue["nbexp"], f"s1.x={next(values)}"], project),
                "dvc": lambda: self.time([*queue["dvc"], f"s1.x={next(values)}"], theirs),
            }
        )
        self.time([*NBEXP, "queue", "remove", "--queued"], project)
        self.time([*queue["nbexp"], f"s1.x=range(2,{count + 2})"], project)
        mine = self._drain("nbexp", project, count, 1)
        runs = [self.time([*temp, f"s1.x={next(values)}"], theirs) for _ in range(self.reps)]
        what = f"{files:,} files: "
        return [
            Row("T13", f"{what}queue one", one["nbexp"], one["dvc"], None),
            Row(
                "T13",
                f"{what}each queued one after the first; dvc's `--temp`",
                mine.each_s(1) * 1000,
                statistics.median(runs),
                60.0 if files >= 10_000 else None,
            ),
        ]

    def in_a_row(self, count: int) -> list[Row]:
        """One worker that runs experiment after experiment: the last ones take what the first ones took."""
        project = project_of(self.folder / "row", 1, self.env)
        self.time([*_TOOLS["nbexp"]["queue"], "-S", f"s1.x=range(2,{count + 2})"], project)
        drained = self._drain("nbexp", project, count, 1)
        tenth = max(count // 10, 2)
        stamps = drained.stamps
        first = (stamps[2 * tenth - 1] - stamps[tenth - 1]) / tenth * 1000
        last = (stamps[-1] - stamps[-1 - tenth]) / tenth * 1000
        early = _worker_mb(drained, tenth, 2 * tenth)
        late = _worker_mb(drained, count - tenth, count + 1)
        grown = (late - early) * 1000 / count
        what = f"{count:,} experiments in a row"
        return [
            Row("T6", f"{what}: each of the last {tenth:,}", last, None, None),
            Row(
                "T6", f"{what}: what that is more than of the early ones", last - first, None, None
            ),
            Row("T16", f"{what}: what the worker grows by with each", grown, None, None, "kB"),
        ]

    def notebooks(self, count: int, workers: int) -> list[Row]:
        """T10: notebooks of three cells that wait in the queue, beside a loop over `papermill.execute_notebook`."""
        project = self._notebook_project(f"notebooks-{workers}")
        self.time([*_TOOLS["nbexp"]["queue"], "-S", f"train.lr=range(1,{count + 1})"], project)
        mine = self._drain("nbexp", project, count, workers)
        words = [sys.executable, "-c", _LOOP, str(count)]
        told = subprocess.run(
            words, cwd=project, env=self.env, check=True, capture_output=True, text=True
        ).stdout.split()
        took_s, cpu_s = map(float, told[-2:])
        what = f"{count} notebooks of three cells, {workers} worker{'s' * (workers > 1)}; beside papermill in a loop"
        return [
            Row("T10", what, mine.makespan_s * 1000, took_s * 1000, 2.0 + workers),
            Row("T10", f"{what}: CPU time", mine.cpu_s * 1000, cpu_s * 1000, None),
        ]

    def _notebook_project(self, name: str) -> Path:
        import nbformat

        project = self.folder / name
        project.mkdir()
        sources = ("lr = 0.1", "x = lr * 2", "print(x)")
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        cells[0].metadata["tags"] = ["parameters"]
        node = nbformat.v4.new_notebook(cells=cells)
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        node.metadata["kernelspec"] = spec
        nbformat.write(node, project / "train.ipynb")
        for words in (
            ["git", "init", "--quiet", "--initial-branch=main"],
            ["git", "add", "--all"],
            ["git", "commit", "--quiet", "--message=notebook"],
            [*NBEXP, "init", "train.ipynb"],
        ):
            self.time(words, project)
        return project

    def _drained(self, tool: str, count: int, work_s: float, workers: int) -> Drained:
        name = f"drain-{work_s:g}"
        made = self.folder / name
        project = made if made.exists() else project_of(made, 1, self.env, work_s=work_s)
        place = self.copy(f"{name}-{workers}-{tool}", project)
        self.time([*_TOOLS[tool]["queue"], "-S", f"s1.x=range(2,{count + 2})"], place)
        return self._drain(tool, place, count, workers)

    def _drain(self, tool: str, project: Path, count: int, workers: int) -> Drained:
        words = _TOOLS[tool]
        asked = {
            "start": [*words["start"], "-j", str(workers)],
            "stop": words["stop"],
            "count": count,
        }
        script = str(Path(__file__).with_name("drain.py"))
        ran = subprocess.run(
            [sys.executable, script, json.dumps(asked)],
            cwd=project, env=self.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ran.returncode:
            raise RuntimeError(ran.stderr)
        told = json.loads(ran.stdout)
        return Drained(told["stamps"], told["cpu_s"], told["memory"])


# The loop that one would write without a queue, in a process that has everything imported.
_LOOP = """
import resource, sys, time
import papermill
began = time.perf_counter()
for number in range(1, int(sys.argv[1]) + 1):
    papermill.execute_notebook("train.ipynb", f"theirs-{number}.ipynb", {"lr": number}, progress_bar=False)
took = time.perf_counter() - began
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(took, sum(one.ru_utime + one.ru_stime for one in used))
"""


def _worker_mb(drained: Drained, start: int, end: int) -> float:
    """What the worker held while so many experiments were done; between two looks, by the nearest one."""
    sizes = [size for done, _, size in drained.memory if start <= done < end and size]
    if not sizes:
        looks = [(done, size) for done, _, size in drained.memory if size]
        sizes = [min(looks, key=lambda look: abs(look[0] - start))[1]]
    return statistics.median(sizes)


def rows(
    folder: Path,
    reps: int,
    *,
    points: int = 1000,
    drains: Sequence[tuple[int, float]] = ((40, 0.1), (10, 1.0)),
    files: int = 10_000,
    in_a_row: int = 1000,
    notebooks: int = 30,
) -> list[Row]:
    """Every row of the queue."""
    queued = Queued(folder, reps)
    found = queued.queueing(points)
    for count, work_s in drains:
        for workers in (1, 2):
            found += queued.draining(count, work_s, workers)
    found += queued.memory()
    found += queued.many_files(files, 5 if files < 1000 else 10)
    found += queued.in_a_row(in_a_row)
    for workers in (1, 2):
        found += queued.notebooks(notebooks, workers)
    return found
