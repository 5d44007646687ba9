"""What all benchmarks share: a row of the table, twin projects, and times that are taken turn by turn."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DVC = Path(os.environ.get("NBEXP_TEST_DVC", REPO / ".venv-dvc" / "bin" / "dvc"))
NBEXP = (str(Path(sys.executable).with_name("nbexp")),)


@dataclass(frozen=True)
class Row:
    """One line of the table: `bar` is the least ratio (dvc's time by nbexp's) that a release keeps.

    Where there is nothing of dvc to compare with, `what` names the tool in its place.
    """

    budget: str
    what: str
    nbexp_ms: float
    dvc_ms: float | None
    bar: float | None
    unit: str = "ms"

    @property
    def ratio(self) -> float | None:
        return None if self.dvc_ms is None else self.dvc_ms / max(self.nbexp_ms, 0.01)


class Meter:
    """The projects and the measuring; everything below one folder."""

    def __init__(self, folder: Path, reps: int) -> None:
        self.folder = folder
        self.reps = reps
        self.env = environment(folder)

    def twins(self, name: str, *, stages: int) -> tuple[Path, Path]:
        project = project_of(self.folder / f"{name}-nbexp", stages, self.env)
        return project, self.copy(f"{name}-dvc", project)

    def copy(self, name: str, project: Path) -> Path:
        return Path(shutil.copytree(project, self.folder / name, symlinks=True))

    def turns(self, cases: Mapping[str, Callable[[], float]]) -> dict[str, float]:
        """The median of each case in ms, the cases taken turn by turn, one round for warming up."""
        found: dict[str, list[float]] = {name: [] for name in cases}
        for turn in range(self.reps + 1):
            for name, case in cases.items():
                took = case()
                if turn:
                    found[name].append(took)
        return {name: statistics.median(times) for name, times in found.items()}

    def time(self, words: Sequence[str], cwd: Path) -> float:
        """The time of a command that is not to flush, or to wait for, what was written before it."""
        os.sync()
        start = time.perf_counter()
        done = subprocess.run(words, cwd=cwd, env=self.env, capture_output=True, check=False)
        took = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"{words} ended with {done.returncode}: {done.stderr.decode()}")
        return took * 1000

    def peak_mb(self, words: Sequence[str], cwd: Path) -> float:
        """The memory that a command needs at most, itself and what it starts."""
        code = (
            "import resource, subprocess, sys\n"
            "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
            "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=cwd,
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
        )
        returncode, peak = done.stdout.split()
        assert returncode == "0", done.stderr
        return int(peak) / (1024 * 1024 if sys.platform == "darwin" else 1024)


def project_of(path: Path, stages: int, env: Mapping[str, str], *, work_s: float = 0) -> Path:
    """A committed DVC project whose stages cost nothing but sleep: `sh` and `sed`."""
    path.mkdir(parents=True)
    (path / "step.sh").write_text(
        (f"sleep {work_s}\n" if work_s else "")
        + 'sed -n "/^s$1:/,/x:/p" params.yaml > out$1.txt\necho "{\\"m\\": $1}" > metrics$1.json\n'
    )
    numbers = range(1, stages + 1)
    (path / "params.yaml").write_text("".join(f"s{n}:\n  x: {n}\n" for n in numbers))
    lines = ["stages:"]
    for n in numbers:
        deps = ["step.sh"] + ([f"out{n - 1}.txt"] if n > 1 else [])
        lines += [f"  s{n}:", f"    cmd: sh step.sh {n}", "    deps:"]
        lines += [f"    - {dep}" for dep in deps]
        # Every stage reads s1.x too, so that one new value makes all of them run.
        lines += ["    params:", *([f"    - s{n}.x"] if n > 1 else []), "    - s1.x"]
        lines += ["    outs:", f"    - out{n}.txt", "    metrics:"]
        lines += [f"    - metrics{n}.json:", "        cache: false"]
    (path / "dvc.yaml").write_text("\n".join(lines) + "\n")
    for words in (
        ["git", "init", "-q", "-b", "main"],
        [str(DVC), "init", "-q"],
        [str(DVC), "repro", "-q"],
        ["git", "add", "-A"],
        ["git", "commit", "-q", "-m", "start"],
    ):
        subprocess.run(words, cwd=path, env=dict(env), check=True, capture_output=True)
    return path


def environment(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_"))
    }
    # Compiled modules are what an installed package has; a cold compiler is not what is compared.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    kept.pop("PYTHONUNBUFFERED", None)
    return {
        **kept,
        "HOME": str(home),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "site"),
        "PYTHONPATH": str(REPO),
    }
