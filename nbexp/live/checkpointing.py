"""Asking the engine for a checkpoint, from any process of a stage, and waiting for it.

This runs in the user's process: the standard library only, and nothing of the project is touched.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # as in the package: what costs time is loaded when it is needed
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_has_said = False

# Between two looks at the answer: a small experiment has its commit in 20 ms, a large model takes minutes.
_FIRST_LOOK_S, _LOOK_S = 0.004, 0.05


class CheckpointFailed(RuntimeError):
    """No checkpoint was made; the text says why. The training may go on."""


def checkpoint(*, timeout_s: float = 60.0) -> int | None:
    """Record params, metrics and outputs as they are now, as the next step of this run's experiment.

    Returns once the step is on disk: whatever happens from then on, `nbexp run --resume NAME` goes on
    from it. Write what the step is to hold before the call, and close the files.

    Parameters
    ----------
    timeout_s
        For how long the engine may leave the request unread; recording itself takes as long as it takes.

    Returns
    -------
    int or None
        The number of the step: `NAME@3` is the third. None where nobody records, as under `dvc repro`
        or without any; that is said once, and nothing else happens.

    Raises
    ------
    CheckpointFailed
        The step could not be recorded, or the engine is gone. No step was made.
    """
    from nbexp.formats import checkpoint as protocol

    run_dir = os.environ.get("NBEXP_RUN_DIR")
    folder = os.path.join(run_dir, protocol.FOLDER) if run_dir else ""
    if not folder or not os.path.isdir(folder):
        _say_once()
        return None
    told = _ask(folder, timeout_s)
    if "error" in told:
        hint = f" Hint: {told['hint']}" if told.get("hint") else ""
        raise CheckpointFailed(f"{told['error']}{hint}")
    return int(told["step"])


def _ask(folder: str, timeout_s: float) -> Mapping[str, Any]:
    import contextlib
    import json

    from nbexp.filesystem import crash_point
    from nbexp.formats import checkpoint as protocol

    name = os.path.join(folder, f"{os.getpid()}-{os.urandom(6).hex()}")
    request, answer = name + protocol.REQUEST, name + protocol.ANSWER
    alive = os.path.join(folder, protocol.ALIVE)
    data = json.dumps({"pid": os.getpid(), "time": time.time()}).encode()
    try:
        with open(name, "xb") as file:
            file.write(data)
        crash_point("checkpoint.asking")
        os.rename(name, request)
    except OSError as error:
        raise CheckpointFailed(
            f"The request for a checkpoint could not be written: {error.strerror}: {folder}."
        ) from None
    crash_point("checkpoint.asked")
    begun, pause = time.monotonic(), _FIRST_LOOK_S
    try:
        while True:
            is_gone = not _is_held(
                alive
            )  # asked first: the last thing that the engine does is to answer
            with contextlib.suppress(FileNotFoundError), open(answer, "rb") as told:
                return protocol.parse_answer(told.read())
            if is_gone:
                raise CheckpointFailed(
                    "The run that this belongs to has ended, so there is nobody to record a checkpoint."
                )
            if time.monotonic() - begun > timeout_s and os.path.exists(request):
                raise CheckpointFailed(
                    f"The request for a checkpoint was not taken up within {timeout_s:g} s."
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LOOK_S)
    finally:
        # Whoever stops waiting, by an interrupt too, takes the request back.
        for path in (request, answer):
            with contextlib.suppress(OSError):
                os.unlink(path)


def _is_held(path: str) -> bool:
    """Whether the engine holds its lock, as it does while the stage runs."""
    try:
        import fcntl
    except ImportError:  # Windows: its death cannot be told from patience
        return True
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)  # lets go as well
    return False


def _say_once() -> None:
    global _has_said
    if not _has_said:
        _has_said = True
        sys.stderr.write(
            "live.checkpoint() recorded nothing: this is no run of nbexp. `nbexp run` records each one as a step.\n"
        )


def resumed_step() -> int | None:
    """The number of the step that this stage goes on from; None where it starts at its beginning.

    Examples
    --------
    >>> resumed_step() is None
    True
    """
    text = os.environ.get("NBEXP_RESUME", "")
    return int(text) if text.isascii() and text.isdigit() else None
