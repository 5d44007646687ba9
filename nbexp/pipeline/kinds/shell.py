"""Any command line, run by the user's shell as DVC runs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nbexp.errors import StageFailed

if TYPE_CHECKING:
    from nbexp.pipeline.kinds import Job

# Without the user's start-up files, which may change PATH or directory (DVC 3.67.1, dvc/stage/run.py).
_QUIET = {"bash": ["--noprofile", "--norc"], "zsh": ["--no-rcs"]}


def claims(command: str) -> bool:  # noqa: ARG001  # every command can be given to the shell
    """Whether the shell runs it: always."""
    return True


def argv(job: Job) -> list[str]:
    """`$SHELL -c COMMAND`; `/bin/sh` where the variable is not set."""
    program = job.env.get("SHELL") or "/bin/sh"
    return [program, *_QUIET.get(os.path.basename(program).lower(), []), "-c", job.command]


def failure(job: Job, returncode: int, tail: str) -> StageFailed:
    """The exit code or signal, in words, and where the whole output is."""
    hint = f"the output is in {shown(job, job.log)}."
    if returncode == 127:
        words = "a program was not found"
        hint = f"the shell names it in {shown(job, job.log)}; PATH is that of nbexp itself."
    elif returncode > 128:
        words = killed_by(returncode - 128)
    else:
        words = f"exit code {returncode}"
    return StageFailed(
        f"Stage `{job.stage}` stopped, `{job.command}`: {words}.",
        hint,
        stage=job.stage,
        returncode=returncode,
        log=job.log,
        tail=tail,
    )


def killed_by(number: int) -> str:
    """`killed by signal 15 (SIGTERM)`; of SIGKILL the cause that is nearly always behind it."""
    import signal

    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"exit code {number + 128}"
    return f"killed by signal {number} ({name}{', likely out of memory' if number == 9 else ''})"


def shown(job: Job, path: os.PathLike[str]) -> str:
    """A path as a user of the project would type it from its root."""
    relative = os.path.relpath(path, job.root)
    return os.fspath(path) if relative.startswith("..") else relative
