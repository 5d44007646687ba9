"""Make an experiment of a run that nothing records; the workspace is left as it is.

The experiment has the code that the run read, its params, its entry in dvc.lock and its metrics, and so the runs of
stages before and after it that fit. It starts from HEAD, or from the newest commit that has what the run read.

Examples
--------
  nbexp cache promote 3f2a91c -n low-lr
  nbexp cache promote 3f2a91c --with 9e1d0b2      which run of an earlier stage is meant
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="the run's key or the start of it")
    parser.add_argument("-n", "--name", metavar="NAME", help="the experiment's name")
    parser.add_argument("-m", "--message", metavar="TEXT", help="the commit's message")
    parser.add_argument(
        "--stage", metavar="STAGE", help="which stage it is of, where several make these outputs"
    )
    parser.add_argument(
        "--with",
        dest="using",
        metavar="KEY",
        action="append",
        default=[],
        help="the run of another stage to take, where several fit; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.run_cache.promote(
        args.key,
        name=args.name,
        message=args.message,
        stage=args.stage,
        using=args.using,
        emit=emit,
    )
