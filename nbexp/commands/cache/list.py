"""List every stage run ever made, by nbexp or by DVC, and which experiments and branches hold it.

A run that none holds is an orphan; one whose outputs the cache has lost is stale. `nbexp cache` alone is
this command.

Examples
--------
  nbexp cache list                            all runs, newest first
  nbexp cache list --orphans                  those that nothing records
  nbexp cache list --stage train --params 'lr>0.01' --sort lr
  nbexp cache list --since 2d -n 10 --json
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit, Notice

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stage", metavar="STAGE", help="runs of this stage; `?`: of none that is known"
    )
    parser.add_argument(
        "--params",
        metavar="CONDITION",
        action="append",
        default=[],
        help="runs whose param meets it: 'lr>0.01', epochs=3; may be repeated",
    )
    parser.add_argument("--since", metavar="TIME", help="runs since then: 2h, 3d, 2026-11-20")
    parser.add_argument("--orphans", action="store_true", help="runs that nothing records")
    parser.add_argument("--stale", action="store_true", help="runs with outputs that are lost")
    parser.add_argument("--sort", metavar="BY", help="when (the default), size, stage, or a param")
    parser.add_argument("-n", "--num", metavar="N", type=count, help="at most N runs")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--csv", action="store_true", help="print CSV")
    shape.add_argument("--md", action="store_true", help="print Markdown")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    found = project.run_cache.list(
        stage=args.stage,
        params=args.params,
        since=args.since,
        orphans=args.orphans,
        stale=args.stale,
        sort=args.sort,
        num=args.num,
        emit=emit,
    )
    if found.unreadable:
        many = "1 entry" if len(found.unreadable) == 1 else f"{len(found.unreadable)} entries"
        emit(Notice(f"{many} of the run cache cannot be read: {', '.join(found.unreadable[:3])}."))
    return found


def count(text: str) -> int:
    """A number of runs; its name is what argparse calls one that is none."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number
