"""Checkpoints: how a stage's process asks for one, and what the commit of one says of itself.

A process of a stage writes a request, and waits for the answer of that name; the engine holds the lock
beside them while the stage runs, so that nobody waits for an engine that is gone:

    $NBEXP_RUN_DIR/checkpoints/alive.lock     locked (flock) by the engine
    $NBEXP_RUN_DIR/checkpoints/ID.request     what is asked for, a JSON object; it goes when it is taken up
    $NBEXP_RUN_DIR/checkpoints/ID.answer      `{"step": 3, "rev": …, "name": …}`, or `{"error": …, "hint": …}`

DVC 2.x had one file for this, `SIGNAL`: whoever makes it, waits until it is gone (formats.md 1.8). The
commits of a chain keep DVC's message; which of them are steps, and of which stage, is told below it, so
that it goes wherever the commit goes.
"""

from __future__ import annotations

import json
from typing import Any

FOLDER = "checkpoints"
ALIVE = "alive.lock"
REQUEST, ANSWER = ".request", ".answer"

# Relative to the project's root: `make_checkpoint` of DVC 2.x.
SIGNAL = ".dvc/tmp/DVC_CHECKPOINT"
DVC_VARIABLE = "DVC_CHECKPOINT"

RESUME = "NBEXP_RESUME"
"""Set for a stage that goes on from a step: its number. dvclive looks at `DVCLIVE_RESUME`."""
DVCLIVE_RESUME = "DVCLIVE_RESUME"

STATE = "checkpoint"


def answer(step: int, rev: str, name: str) -> bytes:
    """The answer to a request that was met."""
    return json.dumps({"step": step, "rev": rev, "name": name}).encode()


def refusal(message: str, hint: str | None) -> bytes:
    """The answer to a request that could not be met."""
    return json.dumps({"error": message, "hint": hint}).encode()


def parse_answer(data: bytes) -> dict[str, Any]:
    """What an answer says; raises ValueError where it is none."""
    found = json.loads(data)
    if not isinstance(found, dict) or not ("error" in found or isinstance(found.get("step"), int)):
        raise ValueError("no answer to a checkpoint")
    return found


def message(subject: str, stage: str) -> str:
    """The message of a step's commit: that of any experiment, and whose step it is.

    Examples
    --------
    >>> stage_of(message("dvc: commit experiment 5efbe5d", "train"))
    'train'
    """
    return f"{subject}\n\nNbexp-State: {STATE}\nNbexp-Stage: {stage}\n"


def stage_of(text: str) -> str | None:
    """The stage whose step a commit with this message is; None if it is no step.

    Examples
    --------
    >>> stage_of("dvc: commit experiment 5efbe5d") is None
    True
    """
    last = text.rstrip().rpartition("\n\n")[2].splitlines()
    if f"Nbexp-State: {STATE}" not in last:
        return None
    found = (
        line.removeprefix("Nbexp-Stage: ") for line in last if line.startswith("Nbexp-Stage: ")
    )
    return next(found, "")
