"""Show what changed in tracked data between two commits, or up to the workspace.

Examples
--------
  nbexp data diff                 from HEAD to the workspace
  nbexp data diff main            from the tip of main
  nbexp data diff v1 v2 --md      two commits, as a Markdown table
  nbexp data diff --targets data/raw
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "a_rev", nargs="?", default="HEAD", metavar="A", help="the old commit; default: HEAD"
    )
    parser.add_argument("b_rev", nargs="?", metavar="B", help="the new one; default: the workspace")
    parser.add_argument("--targets", nargs="*", metavar="PATH", default=(), help="only these")
    parser.add_argument("--show-hash", action="store_true", help="with hashes")
    parser.add_argument(
        "--hide-missing", action="store_true", help="do not tell what the cache lacks"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON, in DVC's form")
    shape.add_argument("--md", action="store_true", help="print a Markdown table")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.frozen import replace

    found = project.data.diff(args.a_rev, args.b_rev, targets=args.targets)
    hide = found.hide_missing or args.hide_missing
    return replace(found, show_hash=args.show_hash, hide_missing=hide)
