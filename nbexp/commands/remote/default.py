"""Tell, set or unset the default remote.

Examples
--------
  nbexp remote default              which one it is
  nbexp remote default store        make it `store`
  nbexp remote default --unset      have none
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import config_levels
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="the remote; none: tell which it is"
    )
    parser.add_argument("-u", "--unset", action="store_true", help="have no default")
    config_levels(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.remote.default(args.name, unset=args.unset, level=args.level)
