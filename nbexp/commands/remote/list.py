"""List the remotes, the default one marked.

Examples
--------
  nbexp remote list               all of them
  nbexp remote list --local       those of .dvc/config.local
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import config_levels
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    config_levels(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.remote.list(level=args.level)
