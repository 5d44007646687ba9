"""Change a setting of a remote.

Which settings there are depends on the kind of storage; the reference page "Remotes" lists them.

Examples
--------
  nbexp remote modify store jobs 8                                 how many objects move at once
  nbexp remote modify --local store secret_access_key SECRET       secrets stay out of Git
  nbexp remote modify --unset store region                         take a setting away
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
    parser.add_argument("name", metavar="NAME", help="the remote")
    parser.add_argument("option", metavar="OPTION", help="the setting")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="its value")
    parser.add_argument("-u", "--unset", action="store_true", help="take the setting away")
    config_levels(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.remote.modify(
        args.name, args.option, args.value, unset=args.unset, level=args.level, emit=emit
    )
