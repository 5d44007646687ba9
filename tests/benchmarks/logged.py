"""What logging from training code takes (performance.md 6: T18), and how soon somebody else sees a value."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.meter import DVC, NBEXP, REPO, Meter, Row

# `make bench` makes it: MLflow's pins are not ours.
MLFLOW = Path(os.environ.get("NBEXP_BENCH_MLFLOW", REPO / ".venv-mlflow" / "bin" / "python"))
_VALUES = 10


class Logged(Meter):
    """Ten params and ten metrics, by the loggers turn by turn; and one value on its way."""

    def logging(self, peers: tuple[str, ...] = ("dvclive", "mlflow")) -> list[Row]:
        """T18: everything from the run's beginning to its end, in a process that has all imported."""
        pythons = {
            "nbexp": sys.executable,
            "dvclive": str(DVC.with_name("python")),
            "mlflow": str(MLFLOW),
        }
        servers = {}
        for name in ("nbexp", *peers):
            folder = self.folder / name
            folder.mkdir()
            servers[name] = _Logger(pythons[name], _LOGGERS[name], folder, self.env)
        try:
            times = self.turns({name: server.ask for name, server in servers.items()})
        finally:
            for server in servers.values():
                server.close()
        names = {"dvclive": "DVCLive", "mlflow": "MLflow on SQLite"}
        bars = {"dvclive": 2.0, "mlflow": 10.0}
        what = f"log {_VALUES} params and {_VALUES} metrics (bar: 1.5 ms)"
        return [
            Row("T18", f"{what}; beside {names[peer]}", times["nbexp"], times[peer], bars[peer])
            for peer in peers
        ]

    def latency(self, points: int) -> list[Row]:
        """From `live.log` in a queued run to whoever follows the queue in another process."""
        from nbexp.project import opening

        project, logged = self.folder / "latency", self.folder / "logged"
        project.mkdir()
        (project / "train.py").write_text(_TRAIN.format(points=points, logged=str(logged)))
        (project / "dvc.yaml").write_text(
            f"stages:\n  train:\n    cmd: {sys.executable} train.py\n    deps: [train.py]\n"
        )
        for words in (
            ["git", "init", "-q", "-b", "main"],
            [*NBEXP, "init"],
            ["git", "add", "--all"],
            ["git", "commit", "-qm", "first"],
            [*NBEXP, "run", "--queue", "-n", "one"],
        ):
            self.time(words, project)
        seen: dict[int, float] = {}
        opened = opening.open(project)
        try:
            self.time([*NBEXP, "queue", "start"], project)
            for change in opened.queue.wait(timeout_s=300):
                if change.kind == "metric":
                    seen.setdefault(int(str(change.data["step"])), time.time())
        finally:
            opened.close()
            self.time([*NBEXP, "queue", "stop", "--kill"], project)
        at = [float(line) for line in logged.read_text().split()]
        delays = [(seen[n] - at[n - 1]) * 1000 for n in range(1, points + 1) if n in seen]
        what = "`live.log` in a queued run to who follows the queue (bar: 1000 ms)"
        return [Row("T18", what, statistics.median(delays), None, None)]


class _Logger:
    """A process that has its logger imported, and logs one run for each line it is sent."""

    def __init__(self, python: str, code: str, folder: Path, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [python, "-c", f"{_HEAD}{code}{_LOOP}"],
            cwd=folder,
            env={**env, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


_HEAD = f"""
import sys, time
params = {{f"p{{n}}": n / 7 for n in range({_VALUES})}}
metrics = {{f"m{{n}}": n / 3 for n in range({_VALUES})}}
"""
_LOGGERS = {
    "nbexp": """
import nbexp

def log():
    with nbexp.Live(save_dvc_exp=False, dvcyaml=None) as live:
        live.log_params(params)
        live.log(**metrics)
""",
    "dvclive": """
import logging
logging.disable(logging.WARNING)
from dvclive import Live

def log():
    with Live(save_dvc_exp=False, dvcyaml=None) as live:
        live.log_params(params)
        for name, value in metrics.items():
            live.log_metric(name, value)
        live.next_step()
""",
    "mlflow": """
import logging, os
import mlflow
logging.disable(logging.WARNING)
mlflow.set_tracking_uri(f"sqlite:///{os.getcwd()}/mlflow.db")
mlflow.set_experiment("bench")

def log():
    with mlflow.start_run():
        mlflow.log_params(params)
        mlflow.log_metrics(metrics)
""",
}
_LOOP = """
for _ in sys.stdin:
    began = time.perf_counter()
    log()
    print((time.perf_counter() - began) * 1000, flush=True)
"""
_TRAIN = """\
import time
from nbexp import live

with open({logged!r}, "w") as file:
    for step in range(1, {points} + 1):
        time.sleep(0.3)
        file.write(f"{{time.time()}}\\n")
        file.flush()
        live.log(step, acc=1 / step)
"""


def rows(folder: Path, reps: int, *, points: int = 10) -> list[Row]:
    """Every row; MLflow's where `make bench` has installed it."""
    logged = Logged(folder, reps)
    peers = ("dvclive", "mlflow") if MLFLOW.exists() else ("dvclive",)
    return [*logged.logging(peers), *logged.latency(points)]
