"""List the stages, each with what it writes.

Examples
--------
  nbexp stage list                the stages of ./dvc.yaml
  nbexp stage list train          one of them, or a group that `foreach` makes
  nbexp stage list --all          of every dvc.yaml and .dvc file of the project
  nbexp stage list -R models      of the files in a directory and below
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
        "targets", nargs="*", metavar="STAGE", help="stages, files or outputs; default: ./dvc.yaml"
    )
    parser.add_argument("--all", action="store_true", help="all stages of the project")
    parser.add_argument(
        "--fail", action="store_true", help="stop at a file that cannot be read, wherever it is"
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="all stages in and below a directory"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--name-only", "--names-only", action="store_true", help="names alone")
    only.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.commands import Text

    found = project.stage.list(
        args.targets, everywhere=args.all, recursive=args.recursive, strict=args.fail
    )
    if args.name_only:
        return Text("".join(f"{name}\n" for name, _ in found.stages))
    return found
