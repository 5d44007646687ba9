"""Show what changed in tracked data since the last commit.

Examples
--------
  nbexp data status               what was committed to .dvc files, and what was not yet
  nbexp data status --granular    file by file in directories
  nbexp data status --json        in DVC's form
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="PATH", help="tracked data; default: all")
    parser.add_argument("--granular", action="store_true", help="file by file in directories")
    parser.add_argument("--unchanged", action="store_true", help="what is unchanged as well")
    parser.add_argument(
        "--untracked-files",
        nargs="?",
        choices=["no", "all"],
        const="all",
        default="no",
        help="files that neither Git nor DVC tracks as well",
    )
    parser.add_argument(
        "--not-in-remote", action="store_true", help="what the remote lacks as well"
    )
    parser.add_argument(
        "-r", "--remote", metavar="NAME", help="which remote; default: the default one"
    )
    parser.add_argument(
        "--no-remote-refresh", action="store_true", help="accepted: the remote is always asked"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, in DVC's form")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.frozen import replace

    found = project.data.status(
        *args.targets,
        granular=args.granular,
        untracked=args.untracked_files == "all",
        not_in_remote=args.not_in_remote,
        remote=args.remote,
    )
    return replace(found, with_unchanged=args.unchanged)
