"""Write a note about an experiment, or show all that is recorded about it.

Without a text: its note and tags, the command line it was made by, how long each stage took, on which machine,
with which Python, GPU and packages (`--json` lists them). It is stored in Git, beside the experiment's commit.

Examples
--------
  nbexp note low-lr                           what is recorded
  nbexp note low-lr "the one for the paper"   write a note, in place of the one there is
  nbexp note low-lr --remove                  take the note away
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", help="its name; a branch, tag or commit of Git as well"
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="default: show what is recorded")
    parser.add_argument("--remove", action="store_true", help="take the note away")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.errors import UsageError

    text = " ".join(args.text) if args.text else None
    if args.remove and text is not None:
        raise UsageError(
            "A note is written or taken away, not both. Nothing was changed.",
            f"`nbexp note {args.experiment} --remove`",
        )
    return project.note(args.experiment, "" if args.remove else text)
