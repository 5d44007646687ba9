"""Programs on a terminal of their own; Linux and macOS."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence
from pathlib import Path


def on_a_terminal(argv: Sequence[str], folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The program, started, and the end of its terminal that a person sits at; to be closed by the caller.

    Not by `pty.fork`, whose child may wait for ever for a lock of another thread of the tests.
    """
    terminal, end = pty.openpty()
    # What leads a session has the terminal that it opens first.
    opened = ["sh", "-c", 'exec "$@" < "$0" > "$0" 2>&1', os.ttyname(end)]
    child = subprocess.Popen(
        [*opened, *argv], cwd=folder, stdin=end, stdout=end, stderr=end, start_new_session=True
    )
    os.close(end)
    return child, terminal
