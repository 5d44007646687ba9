"""Add a remote: a folder, s3://, gs://, azure://, ssh://, webdavs://, webhdfs://, hdfs:// or https://.

Examples
--------
  nbexp remote add -d store /mnt/data          a folder, and the default remote
  nbexp remote add -d store s3://bucket/path   a bucket
  nbexp remote add --local mine ../store       for this clone only
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
    parser.add_argument("name", metavar="NAME", help="what to call it")
    parser.add_argument("url", metavar="URL", help="where it is; a path is relative to here")
    parser.add_argument("-d", "--default", action="store_true", help="make it the default one")
    parser.add_argument("-f", "--force", action="store_true", help="replace one of that name")
    config_levels(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.remote.add(
        args.name, args.url, default=args.default, force=args.force, level=args.level
    )
