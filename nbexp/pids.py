"""Whether a process is there, told by its number alone; such numbers are used again."""

from __future__ import annotations

import os
import sys


def is_there(pid: int) -> bool:
    """Whether there may be a process of this number; False only where there surely is none.

    Examples
    --------
    >>> is_there(os.getpid()), is_there(0), is_there(1 << 80)
    (True, False, False)
    """
    if pid <= 0:
        return False  # a group of processes, which has no number of its own
    if sys.platform == "win32":
        return True  # where the question would end the process
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # another user's
    return True
