"""List the stages, each with what it writes.

Examples
--------
  nbexp stage list                the stages of ./dvc.yaml
  nbexp stage list --all          of every dvc.yaml of the project
  nbexp stage list --name-only    names alone, for scripts
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets", nargs="*", metavar="STAGE", help="stages or dvc.yaml files; default: ./dvc.yaml"
    )
    parser.add_argument("--all", action="store_true", help="all stages of the project")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--name-only", "--names-only", action="store_true", help="names alone")
    only.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.commands import Text

    found = project.stage.list(args.targets, everywhere=args.all)
    if args.name_only:
        return Text("".join(f"{name}\n" for name, _ in found.stages))
    return found
