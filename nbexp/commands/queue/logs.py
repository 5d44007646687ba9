"""What a run has written: a task that runs, or that is over.

Examples
--------
  nbexp queue logs calm-otter        so far
  nbexp queue logs calm-otter -f     and what follows; Ctrl-C ends the following, not the run
"""

from __future__ import annotations

# DVC has it in this family; `nbexp logs` is the same of any run.
from nbexp.commands.logs import arguments, run

__all__ = ["arguments", "run"]
