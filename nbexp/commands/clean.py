"""Remove work trees that nothing runs in, and what killed commands left.

Runs beside your files (`run --temp`, the queue) keep a work tree each for the next; this takes them away,
ends what a killed run left running, and has Git forget work trees whose folders are gone. What runs now is left
alone; experiments, logs and data stay (`nbexp gc` looks at those).

Examples
--------
  nbexp clean                     free what nothing uses
  nbexp clean --json              say what went, for programs
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.clean(emit=emit)
