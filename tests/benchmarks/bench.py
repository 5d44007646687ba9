"""Times beside those of dvc, measured in one run and given as ratios.

    python tests/benchmarks/bench.py [--reps N] [--readme]

Absolute times mean nothing on a shared machine; both tools are measured turn by turn on copies of one
project, and the medians are divided. "Own" is what a tool adds to the bare commands of the stages.
`--readme` writes the table between the bench marks of README.md; with an `--only-…`, the rows of that part.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# A script has only its own folder on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks import logged, queued
from tests.benchmarks.meter import DVC, NBEXP, REPO, Meter, Row, project_of

HERE = Path(__file__).resolve().parent
DATA: dict[str, list[str]] = {"nbexp": [*NBEXP, "data"], "dvc": [str(DVC)]}


def measure(reps: int) -> list[Row]:
    """Every budget that this version has to keep (performance.md 6: T1 to T4, T15)."""
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        bench = Bench(Path(folder), reps)
        return [
            *bench.startup(),
            *bench.runs(1),
            *bench.runs(5),
            *bench.loading(),
            *bench.completing(10_000),
        ]


def measure_data(reps: int, *, files: int = 20_000, size_bytes: int = 2 << 30) -> list[Row]:
    """What data costs (performance.md 6: T11, T12): one big file, and many small ones.

    DVC copies by default; nbexp is measured with hard links beside that, and both with the same `cache.type`.
    """
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        bench = Bench(Path(folder), reps)
        return [*bench.big_file(size_bytes), *bench.small_files(files)]


def measure_sharing(reps: int, *, files: int = 20_000) -> list[Row]:
    """What it takes to push many objects to a folder, to find nothing new, and to pull them elsewhere.

    Then the same for experiments.
    """
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        bench = Bench(Path(folder), reps)
        return [*bench.sharing(files), *bench.sharing_experiments(20)]


def measure_experiments_shared(reps: int, *, count: int = 20) -> list[Row]:
    """What it takes to push and pull experiments (performance.md 6: T14)."""
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        return Bench(Path(folder), reps).sharing_experiments(count)


def measure_tables(reps: int, *, counts: Sequence[int] = (10, 1_000, 10_000)) -> list[Row]:
    """What it takes to show and list many experiments (performance.md 6: T8, T9)."""
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        bench = Bench(Path(folder), reps)
        return [row for count in counts for row in bench.tables(count)]


def measure_notebooks(reps: int) -> list[Row]:
    """What a notebook of three cells costs beside papermill's own way, a new kernel each (T10)."""
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        return Bench(Path(folder), reps).notebooks()


def measure_sweeps(reps: int, *, trials: int = 200) -> list[Row]:
    """What an adaptive sampler takes for a trial (performance.md 6: T17): asked, told three live values and the last."""
    from nbexp.sweeps import samplers
    from nbexp.sweeps.samplers import Study
    from nbexp.sweeps.space import Dimension, Space

    numbers = [Dimension(f"p{n}", low=1e-4, high=1.0, is_log=True) for n in range(3)]
    others = [Dimension("kind", ("a", "b", "c")), Dimension("depth", low=1, high=9, is_whole=True)]
    space = Space((*numbers, *others))
    rows = []
    for name, options in (("random", {}), ("optuna", {"sampler": "random"}), ("optuna", {})):
        times: list[float] = []
        for seed in range(reps):
            direction = "minimize" if name == "optuna" else None
            sampler = samplers.make(name, Study(space, direction, seed, options))
            for number in range(trials):
                began = time.process_time()
                (point,) = sampler.ask(1)
                value = float(sum(one for one in point.values() if isinstance(one, float)))
                behind = [sampler.prune(number, step, value) for step in range(3)]
                sampler.tell(number, None if any(behind) else value)
                if number >= trials - 20:
                    times.append(time.process_time() - began)
        picked = " ".join([name, options.get("sampler", "tpe")] if name == "optuna" else [name])
        what = f"sweep, {picked}: a trial after {trials} others, 5 params, 3 live values, CPU (bar: 5 ms)"
        rows.append(Row("T17", what, statistics.median(times) * 1000, None, None))
    return rows


def measure_queue(reps: int, **sizes: Any) -> list[Row]:
    """What queued experiments take beside dvc's (performance.md 6: T5 to T7, T10, T13, T16)."""
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        return queued.rows(Path(folder), reps, **sizes)


def measure_logging(reps: int, *, points: int = 10) -> list[Row]:
    """What logging takes beside other loggers (performance.md 6: T18), and how soon a value is seen."""
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        return logged.rows(Path(folder), reps, points=points)


def measure_monitor(*, points: int = 20) -> list[Row]:
    """What the panel of the queue takes: a value that training logs until it is drawn, and a long curve on the wire.

    In JupyterLab, in a browser without a window, which draws with the processor.
    """
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        bench = Bench(Path(folder), 1)
        return [*bench.drawn(points), *bench.wire(2000)]


def measure_panels() -> str:
    """What the compare panel takes in JupyterLab, as lines: there is nothing of dvc to compare it with."""
    path = HERE / "panels.py"
    spec = importlib.util.spec_from_file_location("nbexp_bench_panels", path)
    assert spec is not None and spec.loader is not None
    panels = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(panels)
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as folder:
        return str(panels.text(panels.measure(Path(folder))))


class Bench(Meter):
    """The cases that are measured."""

    def startup(self) -> list[Row]:
        """T1: nothing but starting, and commands that only read."""
        mine, theirs = self.twins("startup", stages=1)
        rows = []
        for what, words, dvc_words, bar in (
            ("`--version`", ["--version"], ["--version"], 1.7),
            ("`status`, 1 stage", ["status"], ["status"], 4.0),
            ("`list`", ["list"], ["exp", "list"], 4.0),
        ):
            times = self.turns(
                {
                    "nbexp": lambda words=words: self.time([*NBEXP, *words], mine),
                    "dvc": lambda words=dvc_words: self.time([str(DVC), *words], theirs),
                }
            )
            rows.append(Row("T1", what, times["nbexp"], times["dvc"], bar))
        return rows

    def runs(self, stages: int) -> list[Row]:
        """T2 to T4: a run with a new value, and one where nothing changed."""
        mine, theirs = self.twins(f"run-{stages}", stages=stages)
        api = shutil.copytree(mine, self.folder / f"api-{stages}", symlinks=True)
        server = _Server(Path(api), self.env)
        bare = self.copy(f"bare-{stages}", mine)
        values = iter(range(1000, 100000))
        noun = "1 stage" if stages == 1 else f"{stages} stages"

        def new(tool: Sequence[str], project: Path) -> float:
            return self.time([*tool, "-S", f"s1.x={next(values)}"], project)

        run, exp_run = [*NBEXP, "run"], [str(DVC), "exp", "run"]
        script = ";".join(f"sh step.sh {number}" for number in range(1, stages + 1))
        times = self.turns(
            {
                "bare": lambda: self.time(["sh", "-c", script], bare),
                "nbexp": lambda: new(run, mine),
                "dvc": lambda: new(exp_run, theirs),
                "api": lambda: server.ask("run", f"s1.x={next(values)}"),
                # `dvc repro` has run it with 1.
                "cached": lambda: self.time([*run, "--new", "-S", "s1.x=1"], mine),
                "dvc cached": lambda: self.time([*exp_run, "-S", "s1.x=1"], theirs),
                "same": lambda: self.time(run, mine),
                "dvc same": lambda: self.time(exp_run, theirs),
                "api same": lambda: server.ask("run", ""),
            }
        )
        server.close()
        spent = times["bare"]
        bars = {1: (45.0, 7.5, 10.0), 5: (30.0, 9.0, 10.0)}[stages]
        return [
            Row(
                "T2",
                f"run, new value, {noun}: own time in a notebook",
                times["api"] - spent,
                times["dvc"] - spent,
                bars[0],
            ),
            Row(
                "T3", f"run, new value, {noun}: command line", times["nbexp"], times["dvc"], bars[1]
            ),
            Row(
                "T3",
                f"run, all from the run cache, {noun}: command line",
                times["cached"],
                times["dvc cached"],
                bars[1],
            ),
            Row(
                "T4",
                f"nothing changed, {noun}: command line",
                times["same"],
                times["dvc same"],
                bars[2],
            ),
            Row(
                "T4",
                f"nothing changed, {noun}: in a notebook",
                times["api same"],
                times["dvc same"],
                60.0,
            ),
        ]

    def loading(self) -> list[Row]:
        """T15: `%load_ext nbexp` in a kernel that runs already."""
        code = (
            "import time, resource, sys\n"
            "from IPython.core.interactiveshell import InteractiveShell\n"
            "import ipykernel.ipkernel, traitlets, json, logging\n"
            "shell = InteractiveShell.instance()\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "sys.stdout.write('')\n"
            "start = time.perf_counter()\n"
            "shell.run_line_magic('load_ext', 'nbexp')\n"
            "took = time.perf_counter() - start\n"
            "print()\n"
            "print(took * 1000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
        )
        found, grown = [], []
        for _ in range(self.reps):
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=self.folder,
                env=self.env,
                capture_output=True,
                text=True,
                check=True,
            )
            took, kilobytes = map(float, done.stdout.split("\n")[-2].split())
            found.append(took)
            grown.append(kilobytes / 1024)
        size = statistics.median(grown)
        return [
            Row("T15", "`%load_ext nbexp` (bar: 25 ms)", statistics.median(found), None, None),
            Row("T15", "`%load_ext nbexp`: memory (bar: 5 MB)", size, None, None, "MB"),
        ]

    def completing(self, count: int) -> list[Row]:
        """Tab behind `%exp`, in the process of a kernel: what a project with that many experiments offers."""
        project = Path(tempfile.mkdtemp(dir=self.folder))
        subprocess.run([*NBEXP, "init"], cwd=project, env=self.env, check=True, capture_output=True)
        (project / "params.yaml").write_text("".join(f"p{n}: {n}\n" for n in range(100)))
        for where in range(20):
            folder = project / ".git" / "refs" / "exps" / f"{where:02}" / ("0" * 38)
            folder.mkdir(parents=True)
            for number in range(count // 20):
                (folder / f"exp-{where:02}-{number}").write_text("0" * 40 + "\n")
        code = (
            "import statistics, sys, time\n"
            "from IPython.core.completer import provisionalcompleter\n"
            "from IPython.core.interactiveshell import InteractiveShell\n"
            "shell = InteractiveShell.instance()\n"
            "shell.run_line_magic('load_ext', 'nbexp')\n"
            "print()\n"
            "for cell in ('%exp run -S p', '%exp apply exp-1'):\n"
            "    times = []\n"
            "    for _ in range(10):\n"
            "        start = time.perf_counter()\n"
            "        with provisionalcompleter():\n"
            "            found = list(shell.Completer.completions(cell, len(cell)))\n"
            "        times.append((time.perf_counter() - start) * 1000)\n"
            "    assert len(found) >= 100, found\n"
            "    print(statistics.median(times))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=project,
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
        )
        params, names = map(float, done.stdout.split("\n")[-3:-1])
        return [
            Row("Tab", "Tab behind `%exp run -S`, 100 params (bar: 50 ms)", params, None, None),
            Row("Tab", f"the same of {count:,} experiments (bar: 50 ms)", names, None, None),
        ]

    def big_file(self, size_bytes: int) -> list[Row]:
        """T11: `data add` of one big file, beside dvc and beside Python's md5 of the file."""
        sides = self._sides("big")
        for side in sides.values():
            with open(side / "big.bin", "wb") as file:
                file.writelines(os.urandom(1 << 20) for _ in range(0, size_bytes, 1 << 20))

        def raw() -> float:
            start = time.perf_counter()
            with open(sides["nbexp", "copy"] / "big.bin", "rb") as file:
                hashlib.file_digest(file, "md5")
            return (time.perf_counter() - start) * 1000

        cases: dict[Any, Callable[[], float]] = {
            (tool, links): lambda w=DATA[tool], s=side: self._added([*w, "add", "big.bin"], s)
            for (tool, links), side in sides.items()
        }
        times = self.turns({**cases, "raw": raw})

        def checkout(words: Sequence[str], side: Path) -> float:
            (side / "big.bin").unlink()
            return self.time([*words, "checkout"], side)

        back = self.turns(
            {
                (tool, links): lambda w=DATA[tool], s=side: checkout(w, s)
                for (tool, links), side in sides.items()
            }
        )
        size = f"{size_bytes / (1 << 20):.0f} MiB"
        rows = []
        for (links, theirs), what, bar, limit in (
            (("hardlink", "copy"), "hard link; dvc's copy", 2.0, None),
            (("hardlink", "hardlink"), "hard link", None, 0.87),
            (("copy", "copy"), "copy", 1.5, 0.67),
        ):
            mine = times["nbexp", links]
            name = f"`data add` of {size}, {what}"
            rows.append(Row("T11", name, mine, times["dvc", theirs], bar))
            if limit is not None:
                rows.append(Row("T11", f"{name}: md5 alone as dvc", mine, times["raw"], limit))
        ours, dvcs = back["nbexp", "copy"], back["dvc", "copy"]
        rows.append(Row("T11", f"`data checkout` of {size}, copy", ours, dvcs, None))
        return [*rows, self._two_at_once(sides["nbexp", "hardlink"], size_bytes // 4)]

    def _two_at_once(self, side: Path, size_bytes: int) -> Row:
        """Two files beside the one after the other: both cores are used."""
        names = ["one.bin", "two.bin"]
        for name in names:
            with open(side / name, "wb") as file:
                file.writelines(os.urandom(1 << 20) for _ in range(0, size_bytes, 1 << 20))
        words = [*NBEXP, "data", "add"]
        times = self.turns(
            {
                "both": lambda: self._added_all(words, side, names),
                "one": lambda: self._added_all(words, side, names[:1]),
            }
        )
        what = f"`data add` of two files of {size_bytes / (1 << 20):.0f} MiB: one of them, twice, as dvc"
        return Row("T11", what, times["both"], 2 * times["one"], 1.85)

    def small_files(self, count: int) -> list[Row]:
        """T12: many small files added, looked at again, added again, and checked out."""
        sides = self._sides("small")
        for side in sides.values():
            for number in range(count):
                place = side / "many" / f"{number % 100:02}" / f"{number}.txt"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(f"{number}\n" * 100)

        def checkout(tool: str, side: Path) -> float:
            shutil.rmtree(side / "many")
            return self.time([*DATA[tool], "checkout"], side)

        def status(tool: str, side: Path) -> float:
            words = [*NBEXP, "status"] if tool == "nbexp" else [*DATA[tool], "status"]
            return self.time(words, side)

        def add_again(tool: str, side: Path) -> float:
            return self.time([*DATA[tool], "add", "many"], side)

        cases: dict[str, tuple[Callable[[str, Path], float], float]] = {
            "`data add` of {}": (lambda t, s: self._added([*DATA[t], "add", "many"], s), 7.0),
            "`data add` of {}, unchanged": (add_again, 7.0),
            "`data checkout` of {}": (checkout, 12.0),
            "`status` of {}, unchanged": (status, 4.0),
        }
        rows = []
        for what, (case, bar) in cases.items():
            time.sleep(2.1)  # files just written may change within one tick of the clock
            times = self.turns(
                {
                    key: lambda case=case, tool=key[0], side=side: case(tool, side)
                    for key, side in sides.items()
                }
            )
            name = what.format(f"{count:,} files")
            for links, theirs, end, least in (
                ("hardlink", "copy", "hard links; dvc's copies", bar),
                ("hardlink", "hardlink", "hard links", None),
                ("copy", "copy", "copies", None),
            ):
                ours, dvcs = times["nbexp", links], times["dvc", theirs]
                rows.append(Row("T12", f"{name}, {end}", ours, dvcs, least))
        sizes = []
        for tool, words in DATA.items():
            side = sides[tool, "hardlink"]
            shutil.rmtree(side / ".dvc" / "cache")
            (side / "many.dvc").unlink()
            sizes.append(self.peak_mb([*words, "add", "many"], side))
        what = f"`data add` of {count:,} files: memory (bar: 200 MB)"
        return [*rows, Row("T12", what, *sizes, None, "MB")]

    def _sides(self, name: str) -> dict[tuple[str, str], Path]:
        """A project for each tool and link type; with `copy`, dvc's is as it comes."""
        first = project_of(self.folder / f"{name}-nbexp-copy", 1, self.env)
        sides = {("nbexp", "copy"): first}
        for tool, links in (("nbexp", "hardlink"), ("dvc", "hardlink"), ("dvc", "copy")):
            sides[tool, links] = self.copy(f"{name}-{tool}-{links}", first)
        for (_, links), side in sides.items():
            if links != "copy":
                (side / ".dvc" / "config").write_text(f"[cache]\n    type = {links}\n")
        return sides

    def _added(self, words: Sequence[str], side: Path) -> float:
        return self._added_all(words[:-1], side, words[-1:])

    def _added_all(self, words: Sequence[str], side: Path, names: Sequence[str]) -> float:
        """Add data that neither the cache nor anybody's memory knows."""
        paths = [side / name for name in names]
        for left in (*(f"{path}.dvc" for path in paths), side / ".dvc" / "cache"):
            if os.path.isdir(left):
                shutil.rmtree(left)
            elif os.path.exists(left):
                os.unlink(left)
        past = time.time() - 60
        for place in [place for path in paths for place in (path, *path.rglob("*"))]:
            if place.is_file():
                place.chmod(0o644)
                os.utime(place, (past, past))
        return self.time([*words, *names], side)

    def sharing(self, count: int) -> list[Row]:
        """T14 for data: `data push`, again, and `data pull` without a cache."""
        sides = self.twins("sharing", stages=1)
        tools: dict[str, tuple[Sequence[str], Path]] = {
            "nbexp": ([*NBEXP, "data"], sides[0]),
            "dvc": ([str(DVC)], sides[1]),
        }
        for _, side in tools.values():
            for number in range(count):
                place = side / "many" / f"{number % 100:02}" / f"{number}.bin"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(f"{number} ".encode().ljust(1024, b"-"))
            store = side.parent / f"{side.name}-store"
            for words in (["add", "-q", "many"], ["remote", "add", "-q", "-d", "store", store]):
                subprocess.run([DVC, *words], cwd=side, env=self.env, check=True)

        def push(words: Sequence[str], side: Path) -> float:
            shutil.rmtree(side.parent / f"{side.name}-store", ignore_errors=True)
            shutil.rmtree(self.folder / "site", ignore_errors=True)  # DVC's list of what it pushed
            return self.time([*words, "push"], side)

        def pull(words: Sequence[str], side: Path) -> float:
            shutil.rmtree(side / "many")
            shutil.rmtree(side / ".dvc" / "cache")
            return self.time([*words, "pull", "many"], side)

        rows = []
        for what, case, bar in (
            ("`data push`", push, 2.0),
            (
                "`data push`, nothing new",
                lambda words, side: self.time([*words, "push"], side),
                2.0,
            ),
            ("`data pull`", pull, 2.0),
        ):
            times = self.turns(
                {name: lambda case=case, a=asked: case(*a) for name, asked in tools.items()}
            )
            rows.append(
                Row("T14", f"{what} of {count:,} objects", times["nbexp"], times["dvc"], bar)
            )
        return rows

    def sharing_experiments(self, count: int) -> list[Row]:
        """T14: `push` of experiments to a bare repository and a folder, again, and `pull` into a new clone."""
        project = project_of(self.folder / "made", 1, self.env)

        def do(*words: str | Path, cwd: Path) -> None:
            subprocess.run(words, cwd=cwd, env=self.env, check=True, capture_output=True)

        # DVC reads the remote from each experiment's commit, so it has to be there before them.
        do(*NBEXP, "remote", "add", "-q", "-d", "store", "/nowhere", cwd=project)
        do("git", "commit", "-q", "-a", "-m", "remote", cwd=project)
        for number in range(count):
            do(*NBEXP, "run", "-q", "-S", f"s1.x={number + 1000}", "-n", f"e{number}", cwd=project)
        tools = {
            "nbexp": (list(NBEXP), self._place("nbexp", project)),
            "dvc": ([str(DVC), "exp"], self._place("dvc", project)),
        }

        def push(words: Sequence[str], place: Path) -> float:
            shutil.rmtree(place / "bare.git")
            shutil.copytree(place / "empty.git", place / "bare.git")
            for folder in (place / "store", self.folder / "site"):  # DVC's list of what it pushed
                shutil.rmtree(folder, ignore_errors=True)
            return again(words, place)

        def again(words: Sequence[str], place: Path) -> float:
            return self.time([*words, "push", "origin"], place / "project")

        def pull(words: Sequence[str], place: Path) -> float:
            clone = place / "clone"
            shutil.rmtree(clone, ignore_errors=True)
            do("git", "clone", "-q", place / "bare.git", clone, cwd=place)
            shutil.copy(place / "project" / ".dvc" / "config.local", clone / ".dvc")
            return self.time([*words, "pull", "origin"], clone)

        rows = []
        for what, case, bar in (
            ("`push`", push, 2.6),
            ("`push`, nothing new", again, 3.8),
            ("`pull`", pull, 2.6),
        ):
            times = self.turns(
                {name: lambda case=case, a=asked: case(*a) for name, asked in tools.items()}
            )
            rows.append(
                Row("T14", f"{what} of {count} experiments", times["nbexp"], times["dvc"], bar)
            )
        return rows

    def _place(self, name: str, project: Path) -> Path:
        """A folder with a copy of the project, a bare repository that has its main, and a storage to come."""
        place = self.folder / f"shared-{name}"
        copy = place / "project"
        shutil.copytree(project, copy, symlinks=True)
        (copy / ".dvc" / "config.local").write_text(
            f"['remote \"store\"']\n    url = {place / 'store'}\n"
        )
        for words in (
            ["git", "clone", "-q", "--bare", copy, place / "empty.git"],
            ["git", "remote", "add", "origin", place / "bare.git"],
        ):
            subprocess.run(words, cwd=copy, env=self.env, check=True, capture_output=True)
        shutil.copytree(place / "empty.git", place / "bare.git")
        return place

    def tables(self, count: int) -> list[Row]:
        """T8 and T9: `show` of many, read for the first time and again, one more on top of them, `list`."""
        mine = project_of(self.folder / f"table-{count}", 1, self.env)
        record_many(mine, count, self.env)
        theirs = self.copy(f"table-{count}-dvc", mine)
        show, dvc_show = [*NBEXP, "show", "--json"], [str(DVC), "exp", "show", "--json"]
        # The first time is there once; ten thousand take dvc minutes.
        cold = self.time(show, mine), self.time(dvc_show, theirs)
        # The bars of performance.md are for 10,000; with few, starting is most of what either takes.
        first, again, more, listed = (50.0, 19.0, 13.0, 12.0) if count >= 10_000 else (4.0,) * 4
        rows = [Row("T8", f"`show` of {count:,}, first time", *cold, first)]
        numbers = iter(range(count, count + 1_000))

        def one_more(words: Sequence[str], project: Path) -> float:
            record_many(project, 1, self.env, first=next(numbers))
            return self.time(words, project)

        times = self.turns(
            {
                "show": lambda: self.time(show, mine),
                "dvc show": lambda: self.time(dvc_show, theirs),
                "more": lambda: one_more(show, mine),
                "dvc more": lambda: one_more(dvc_show, theirs),
                "list": lambda: self.time([*NBEXP, "list"], mine),
                "dvc list": lambda: self.time([str(DVC), "exp", "list"], theirs),
            }
        )
        for budget, what, name, bar in (
            ("T8", f"`show` of {count:,}, again", "show", again),
            ("T8", f"`show` of {count:,}, one of them new", "more", more),
            ("T9", f"`list` of {count:,}", "list", listed),
        ):
            rows.append(Row(budget, what, times[name], times[f"dvc {name}"], bar))
        sizes = self.peak_mb(show, mine), self.peak_mb(dvc_show, theirs)
        what = f"`show` of {count:,}, again: memory (bar: 80 MB)"
        return [*rows, Row("T8", what, *sizes, None, "MB"), *self._one_of(count, mine, theirs)]

    def _one_of(self, count: int, mine: Path, theirs: Path) -> list[Row]:
        """`diff` of two experiments among that many, and `apply` of the one and the other in turn."""
        names = ["exp-n00001", "exp-n00002"]
        turn = itertools.cycle(names)
        for project in (mine, theirs):  # what was recorded by hand has no objects in the cache
            self.time(["git", "checkout", "--quiet", "."], project)
        apply, dvc_apply = [*NBEXP, "apply", "--force"], [str(DVC), "exp", "apply"]
        times = self.turns(
            {
                "diff": lambda: self.time([*NBEXP, "diff", *names], mine),
                "dvc diff": lambda: self.time([str(DVC), "exp", "diff", *names], theirs),
                "apply": lambda: self.time([*apply, next(turn)], mine),
                "dvc apply": lambda: self.time([*dvc_apply, next(turn)], theirs),
            }
        )
        return [
            Row("T8", f"`{verb}` among {count:,}", times[verb], times[f"dvc {verb}"], 4.0)
            for verb in ("diff", "apply")
        ]

    def notebooks(self) -> list[Row]:
        """T10: a notebook stage after the first one of a process, beside `papermill.execute_notebook`.

        Both are called in a process that has everything imported, turn by turn.
        """
        rows = []
        for what, cell, bar in (
            ("light", "x = lr * 2", 7.0),
            ("numpy and pandas", "import numpy as np, pandas as pd\nx = lr * 2", 8.0),
        ):
            folder = self.folder / what.partition(" ")[0]
            folder.mkdir()
            ran = subprocess.run(
                [sys.executable, "-c", _NOTEBOOKS, cell, str(self.reps)],
                cwd=folder,
                env={**self.env, "NBEXP_KERNELS": "fork"},
                capture_output=True,
                text=True,
                check=False,
            )
            if ran.returncode:
                raise RuntimeError(ran.stderr)
            mine, theirs = map(float, ran.stdout.split()[-2:])
            rows.append(Row("T10", f"notebook, {what}; beside papermill", mine, theirs, bar))
        return rows

    def drawn(self, points: int) -> list[Row]:
        """From `live.log` in a worker to the point on the screen (bar: 500 ms)."""
        from playwright.sync_api import sync_playwright

        browsing = _load(HERE.parent / "browsing.py")
        project = self.folder / "drawn"
        logged = self.folder / "logged"
        train = _TRAIN_LIVE.format(points=points, logged=str(logged))
        self._live_project(project, train)
        cells = [
            "%load_ext nbexp",
            "%exp run --queue -n one;",
            "%exp queue start;",
            "%exp queue -i",
        ]
        with _environ(self.env), sync_playwright() as playwright:
            server = browsing.Server("lab", self.folder, self.folder / "home-of-jupyter")
            browser = browsing.launch(playwright)
            try:
                page = browsing.open_tab(server, browser, project, cells).page
                page.evaluate(_NOTE_POINTS)
                page.evaluate(
                    "() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
                )
                page.wait_for_function(
                    "count => window.drawn?.[count]", arg=points, timeout=300_000
                )
                drawn = {int(n): at for n, at in page.evaluate("() => window.drawn").items()}
            finally:
                browser.close()
                server.end_sessions()
                server.close()
                self._end_workers(project)
        at = [float(line) for line in logged.read_text().split()]
        # The first points come before the panel is there.
        delays = [drawn[n] - at[n - 1] * 1000 for n in range(points // 2, points + 1) if n in drawn]
        what = "panel of the queue: `live.log` to the drawn point, JupyterLab (bar: 500 ms)"
        return [Row("T15", what, statistics.median(delays), None, None)]

    def _end_workers(self, project: Path) -> None:
        """Nobody works in the folder any more, which is about to go."""
        self.time([*NBEXP, "queue", "stop", "--kill"], project)
        words = [*NBEXP, "queue", "--json"]
        while json.loads(
            subprocess.run(words, cwd=project, env=self.env, capture_output=True, check=True).stdout
        )["workers"]:
            time.sleep(0.2)

    def wire(self, points: int) -> list[Row]:
        """The bytes that a curve sends, of a run that logs two hundred values a second (bar: 60 kB)."""
        from nbexp import events
        from nbexp.jupyter.panels import monitor
        from nbexp.pipeline import stage_lines
        from nbexp.project import opening
        from nbexp.queue.owners import Owner

        project = self.folder / "wire"
        self._live_project(project, "")
        queue = opening.open(project).queue
        (task,) = queue.add(name="one").tasks
        owner = Owner(queue.site.folder)
        queue.site.store.claim(owner.id)
        told = queue.site.folder / "log" / f"{task.uid}-1.jsonl"
        told.parent.mkdir(parents=True, exist_ok=True)
        panel = monitor.Monitor(project, lambda *_: None)
        sizes: list[int] = []

        def send(content: object, buffers: Sequence[bytes] | None = None) -> None:
            sizes.append(len(json.dumps(content)) + sum(map(len, buffers or ())))

        panel.widget.send = send
        panel.pump()
        sizes.clear()
        for start in range(0, points, 20):
            lines = [
                stage_lines.line_of(
                    events.MetricLogged("train", step, {"acc": 1 / (step + 1)}), 0.0
                )
                for step in range(start, start + 20)
            ]
            with open(told, "ab") as file:
                file.writelines(line for line in lines if line is not None)
            panel.pump()
        panel.end()
        owner.close()
        what = f"panel of the queue: what a curve of {points:,} points sends (bar: 60 kB)"
        return [Row("T15", what, sum(sizes) / 1000, None, None, "kB")]

    def _live_project(self, project: Path, train: str) -> None:
        project.mkdir(parents=True)
        files = {
            "dvc.yaml": "stages:\n  train:\n    cmd: python train.py\n    deps: [train.py]\n    outs: [model.txt]\n",
            "train.py": train,
            ".gitignore": "lab.ipynb\n/dvclive\n",
        }
        for name, text in files.items():
            (project / name).write_text(text)
        self.time(["git", "init", "-q", "-b", "main"], project)
        self.time([*NBEXP, "init"], project)
        self.time(["git", "add", "--all"], project)
        self.time(["git", "commit", "-qm", "first"], project)


# Logs as many steps as it is told, and writes down when.
_TRAIN_LIVE = """\
import time
from nbexp import live

time.sleep(3)
with open({logged!r}, "w") as file:
    for step in range(1, {points} + 1):
        file.write(f"{{time.time()}}\\n")
        file.flush()
        live.log(step, acc=1 / step)
        time.sleep(0.5)
open("model.txt", "w").write("x")
"""
# Notes in the page when a curve has so many points; both clocks are this machine's.
_NOTE_POINTS = """() => {
  window.drawn = {};
  new MutationObserver(() => {
    const chart = document.querySelector('.nbq-chart');
    const count = chart?.getAttribute('data-points');
    if (count && !window.drawn[count]) window.drawn[count] = Date.now();
  }).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""


def _load(path: Path) -> Any:
    """A module beside this script, which is no package."""
    spec = importlib.util.spec_from_file_location(f"nbexp_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _environ(env: Mapping[str, str]) -> Iterator[None]:
    """This process's environment while inside, for what starts processes with it."""
    before = dict(os.environ)
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _Server:
    """A Python process that holds a project open, as a notebook's kernel does."""

    CODE = (
        "import sys, time, nbexp\n"
        "project = nbexp.open()\n"
        "for line in sys.stdin:\n"
        "    words = line.split()[1:]\n"
        "    start = time.perf_counter()\n"
        "    project.run(words)\n"
        "    print((time.perf_counter() - start) * 1000, flush=True)\n"
    )

    def __init__(self, project: Path, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.CODE],
            cwd=project,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *words: str) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.sync()  # as `Meter.time` does
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


_NOTEBOOKS = """
import os, statistics, sys, time
from pathlib import Path
import nbformat, papermill
from nbexp.events import ignore
from nbexp.pipeline import kinds

cells = [nbformat.v4.new_code_cell(source) for source in ("lr = 0.1", sys.argv[1], "print(x)")]
cells[0].metadata["tags"] = ["parameters"]
node = nbformat.v4.new_notebook(cells=cells)
node.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
nbformat.write(node, "in.ipynb")
Path("params.yaml").write_text("train: {lr: 0.25}\\n")
here, run = Path.cwd(), Path("run")
line = "nbexp notebook in.ipynb out.ipynb --params train"
job = kinds.Job("train", line, here, here, dict(os.environ), run / "log", run)
mine, theirs = [], []
for turn in range(int(sys.argv[2]) + 2):
    start = time.perf_counter()
    kinds.run(job, ignore)
    middle = time.perf_counter()
    papermill.execute_notebook("in.ipynb", "theirs.ipynb", {"lr": 0.25}, progress_bar=False)
    end = time.perf_counter()
    for path in ("out.ipynb", "theirs.ipynb"):
        assert nbformat.read(path, 4).cells[-1].outputs[0].text == "0.5\\n"
    if turn > 1:
        mine.append((middle - start) * 1000)
        theirs.append((end - middle) * 1000)
print(statistics.median(mine), statistics.median(theirs))
"""


def record_many(
    project: Path, count: int, env: Mapping[str, str] | None = None, *, first: int = 0
) -> None:
    """Record `count` experiments on the present commit by one `git fast-import`, as many runs would have.

    They differ in a param, in dvc.lock and in the metrics, and are packed, refs too.
    """

    def git(*words: str, stdin: bytes | None = None) -> bytes:
        return subprocess.run(
            ["git", *words], cwd=project, env=None if env is None else dict(env), input=stdin,
            check=True, capture_output=True,
        ).stdout  # fmt: skip

    head = git("rev-parse", "HEAD").decode().strip()
    when = int(git("show", "--no-patch", "--format=%ct", "HEAD"))
    params, lock = (git("show", f"HEAD:{path}") for path in ("params.yaml", "dvc.lock"))
    stream = bytearray()
    for number in range(first, first + count):
        value = b"x: %d.5" % number
        files = {
            b"params.yaml": params.replace(b"x: 1", value, 1),
            b"dvc.lock": lock.replace(b"x: 1", value),
            b"metrics1.json": b'{"m": %d.25, "loss": %.6f}\n' % (number, 1 / (number + 1)),
        }
        stream += b"commit refs/exps/%s/%s/exp-n%05d\n" % (
            head[:2].encode(), head[2:].encode(), number,
        )  # fmt: skip
        stream += b"committer Ada <ada@example.org> %d +0000\n" % (when + number + 1)
        stream += b"data 0\nfrom %s\n" % head.encode()
        for path, data in files.items():
            stream += b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(data), data)
    git("fast-import", "--quiet", stdin=bytes(stream))
    git("pack-refs", "--all")


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown, as the README shows them."""
    lines = [
        "| budget | what | nbexp | dvc | ratio | bar |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        dvc = "-" if row.dvc_ms is None else f"{row.dvc_ms:.0f} {row.unit}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.1f}x"
        bar = "-" if row.bar is None else f"{row.bar:g}x"
        lines.append(
            f"| {row.budget} | {row.what} | {row.nbexp_ms:.1f} {row.unit} | {dvc} | {ratio} | {bar} |"
        )
    return "\n".join(lines)


def write_readme(rows: Sequence[Row], *, is_whole: bool) -> None:
    """Put the table between the bench marks of README.md; the rows of a part take the place of the same ones."""
    path = REPO / "README.md"
    before = path.read_text(encoding="utf-8")
    marked = re.compile(r"(<!-- bench -->\n)(.*?)\n(<!-- /bench -->)", re.DOTALL)
    found = marked.search(before)
    if found is None:
        raise SystemExit("README.md has no bench marks")
    text = table(rows) if is_whole else merged(found[2], table(rows))
    after = before[: found.start(2)] + text + before[found.end(2) :]
    path.write_text(after, encoding="utf-8")


def merged(old: str, new: str) -> str:
    """The old table with the rows of the new one, in their old places where they have one."""

    def keyed(text: str) -> dict[str, str]:
        return {"|".join(line.split("|", 3)[:3]): line for line in text.splitlines()}

    return "\n".join({**keyed(old), **keyed(new)}.values())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=9)
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parts: dict[str, tuple[str, Callable[[], list[Row]]]] = {
        "data": (
            "what data costs, and samplers",
            lambda: [*measure_data(reps), *measure_sharing(reps), *measure_sweeps(reps)],
        ),
        "tables": ("tables", lambda: measure_tables(reps)),
        "notebooks": ("notebooks", lambda: measure_notebooks(args.reps)),
        "queue": ("the queue", lambda: measure_queue(reps)),
        "logging": ("what training code logs", lambda: measure_logging(args.reps)),
        "monitor": ("the panel of the queue", measure_monitor),
    }
    for name, (what, _) in parts.items():
        parser.add_argument(
            f"--only-{name}", action="store_true", help=f"measure {what}, and nothing else"
        )
    parser.add_argument(
        "--only-panels", action="store_true", help="measure panels in a browser, and nothing else"
    )
    args = parser.parse_args()
    reps = min(args.reps, 3)
    if args.only_panels:
        print(measure_panels())
        return
    wanted = [name for name in parts if vars(args)[f"only_{name}"]]
    rows = [] if wanted else measure(args.reps)
    for name in wanted or parts:
        rows += parts[name][1]()
    if args.json:
        print(json.dumps([row.__dict__ for row in rows]))
        return
    print(table(rows))
    if not wanted:
        print(measure_panels())
    if args.readme:
        write_readme(rows, is_whole=not wanted)


if __name__ == "__main__":
    main()
