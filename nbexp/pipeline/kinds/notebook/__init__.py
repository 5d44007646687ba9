"""Notebooks as stages: `nbexp notebook IN OUT …`, and papermill's and Jupyter's lines that do the same.

This module answers without loading Jupyter; the run itself happens in `runner`, a process of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp import settings
from nbexp.errors import StageFailed
from nbexp.pipeline.kinds import shell
from nbexp.pipeline.kinds.notebook import command
from nbexp.pipeline.process import EVENTS_FILE

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from nbexp.pipeline.kinds import Job
    from nbexp.pipeline.process import Running

RUNNER = "nbexp.pipeline.kinds.notebook.runner"


def claims(line: str) -> bool:
    """Whether the command executes a notebook in a way that is understood to its last word."""
    return command.parse(line) is not None


def source(line: str) -> str | None:
    """The notebook that the command executes; None if it is not claimed."""
    request = command.parse(line)
    return None if request is None else request.source


def target(line: str) -> str | None:
    """The executed notebook that the command writes; None if it is not claimed or writes none."""
    request = command.parse(line)
    return None if request is None else request.output


def argv(job: Job) -> list[str]:
    """This interpreter with the runner; `-P` keeps modules of the stage's directory out of the runner."""
    request = command.parse(job.command)
    assert request is not None
    place = {"root": str(job.root), "canonical": settings.read(job.root).canonical}
    return [sys.executable, "-P", "-m", RUNNER, request.dump(), json.dumps(place)]


def start(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], stop: threading.Event | None
) -> Running:
    """Start the runner in the fastest way that is to be had (`starting`)."""
    from nbexp.pipeline.kinds.notebook import starting  # what it brings is for running alone

    return starting.start(argv, cwd, env, stop)


def failure(job: Job, returncode: int, tail: str) -> StageFailed:
    """What the runner said, with the cell; else that it was ended from outside."""
    told = _told(job)
    if told is None:
        return shell.failure(job, returncode, tail)
    cell = told.get("cell")
    return StageFailed(
        str(told.get("message", "")),
        told.get("hint"),
        stage=job.stage,
        returncode=returncode,
        cell=cell if isinstance(cell, int) else None,
        log=job.log,
        tail=tail,
    )


def _told(job: Job) -> dict[str, Any] | None:
    """The failure that the runner appended to the events, which is the last line of its kind."""
    try:
        lines = (job.run_dir / EVENTS_FILE).read_bytes().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if b'"failure"' in line:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict) and told.get("kind") == "failure":
                return told
    return None
