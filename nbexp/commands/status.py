"""Which stages are not up to date, and why.

Examples
--------
  nbexp status                    all stages
  nbexp status train              one
  nbexp status -q                 nothing printed; exit code 1 when something changed
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="STAGE", help="default: every stage")
    parser.add_argument("--json", action="store_true", help="print JSON, in DVC's form")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.status(args.targets)
