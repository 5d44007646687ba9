"""Look at everything a command may stumble over, and mend what is derived.

Git and who commits, ignore rules, refs, undo steps, notes, locks, killed commands, DVC's files, the cache: a line each,
`ok`, `mended` or `needs you` with one thing to do. Ends with 1 where something needs you.

Examples
--------
  nbexp doctor                    look only
  nbexp doctor --fix              and mend what can be made again; nothing that is recorded changes
  nbexp doctor --rebuild          make all that is derived anew
  nbexp doctor --full             read every object of the cache, and follow every ref
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fix", action="store_true", help="mend what is derived or left half done")
    parser.add_argument("--rebuild", action="store_true", help="and make all that is derived anew")
    parser.add_argument("--full", action="store_true", help="read every object of the cache")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.doctor(fix=args.fix, rebuild=args.rebuild, full=args.full, emit=emit)
