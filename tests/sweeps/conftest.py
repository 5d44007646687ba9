"""Projects whose stage is a small training: cheap, exact, and told step by step.

training    `training()` is a project; `train` logs `loss` for some steps and writes metrics.json
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nbexp.filesystem import FileLock

TRAIN = """\
import json, math, os, time
import yaml
from nbexp import live

params = yaml.safe_load(open("params.yaml"))["train"]
far = abs(math.log10(params["lr"]) - math.log10(0.01))
for step in range(params["steps"]):
    loss = round(far + 1 / (step + 1), 6)
    live.log(step=step, loss=loss)
    time.sleep(params["pause"])
if params["lr"] == 13:
    raise SystemExit("no luck")
json.dump({"loss": loss, "rest": {"far": round(far, 6)}}, open("metrics.json", "w"))
"""
DVC_YAML = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    params: [train]
    metrics: [{metrics.json: {cache: false}}]
"""


@pytest.fixture
def training(repo: Path, git: Callable[..., str]) -> Callable[..., Path]:
    def make(*, steps: int = 3, pause_s: float = 0.0) -> Path:
        files = {
            ".dvc/config": "",
            ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
            ".dvcignore": "",
            "dvc.yaml": DVC_YAML,
            "train.py": TRAIN,
            "params.yaml": f"train:\n  lr: 0.1\n  steps: {steps}\n  pause: {pause_s}\n  seed: 0\n",
        }
        for path, text in files.items():
            (repo / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / path).write_text(text)
        git("add", "--all", cwd=repo)
        git("commit", "--quiet", "--message=training", cwd=repo)
        return repo

    return make


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """No process of a test outlives it: the workers and leaders of its projects are ended."""
    yield
    for lock in tmp_path.rglob(".dvc/tmp/nbexp/slots/*.lock"):
        pid = leader(lock)
        if pid is not None:
            with suppress(ProcessLookupError):  # it has just gone
                os.kill(pid, signal.SIGTERM)
            wait_for(lambda lock=lock: leader(lock) is None)


def leader(lock: Path) -> int | None:
    """The process that holds a lock of a slot."""
    found = FileLock(lock)
    if not found.held():
        return None
    word = found.holder().partition(" ")[0]
    return int(word) if word.isdigit() else None


def led_by(project: Path, name: str) -> int | None:
    """The process that leads a sweep."""
    return leader(project / ".dvc" / "tmp" / "nbexp" / "slots" / f"lead-{name}.lock")


def wait_for(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Until it holds; the test fails when it does not."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
