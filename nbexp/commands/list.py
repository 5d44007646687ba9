"""List the experiments by name.

Without options: those of the present commit. `-A` also has those that no branch leads to any more.

Examples
--------
  nbexp list                      those of the present commit
  nbexp list -A                   those of every commit
  nbexp list --rev v1 -n 3        those of v1 and of the two commits before it
  nbexp list origin               those that a Git remote has
  nbexp list --name-only          names alone, for scripts
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import _selected
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "git_remote",
        nargs="?",
        metavar="GIT_REMOTE",
        help="a Git remote, URL or path; default: here",
    )
    _selected.add_arguments(parser, branches=False)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--name-only", "--names-only", action="store_true", help="names alone")
    only.add_argument("--sha-only", "--shas-only", action="store_true", help="commits alone")
    only.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.commands import Text

    asked = _selected.revisions(args)
    if args.git_remote is not None:
        found = project.list_remote(args.git_remote, revisions=asked)
    else:
        found = project.list(revisions=asked)
    members = [member for _, group in found.groups for member in group]
    if args.name_only:
        return Text("".join(f"{name}\n" for name, _ in members))
    if args.sha_only:
        return Text("".join(f"{rev}\n" for _, rev in members))
    return found
