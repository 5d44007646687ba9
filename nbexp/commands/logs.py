"""What a run has written: queued, temporary or in your folder, at work or over.

Examples
--------
  nbexp logs calm-otter        so far
  nbexp logs calm-otter -f     and what follows; Ctrl-C ends the following, not the run
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the experiment's name, or the task's id")
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="show what it writes as it comes, until it is over",
    )
    parser.add_argument(
        "-e",
        "--encoding",
        metavar="ENCODING",
        help="the text encoding of what it writes; default: utf-8",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.queue.logs(args.name, follow=args.follow, encoding=args.encoding, emit=emit)
