"""Forget a remote; what is stored there stays.

Examples
--------
  nbexp remote remove store             out of .dvc/config
  nbexp remote remove --local mine      out of .dvc/config.local
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
    config_levels(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.remote.remove(args.name, level=args.level)
