"""Run what changed in the workspace, without recording an experiment.

Brings the stages of ./dvc.yaml up to date. When a stage fails, those before it are done and in dvc.lock, and
what it wrote stays as it is; `nbexp undo` takes all of it back. `nbexp run` does the same and records it.

Examples
--------
  nbexp repro                       run what changed
  nbexp repro train                 only this stage and what it needs
  nbexp repro -j 4                  four stages at once
  nbexp repro -P --dry              what would run in all of the project
  nbexp repro --glob 'train@*'      every stage whose name is like that
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import run as running
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    running.add_selection(parser)
    parser.add_argument("--glob", action="store_true", help="the stages are patterns: 'train@*'")
    parser.add_argument(
        "-f", "--force", action="store_true", help="run every stage even if it did not change"
    )
    running.add_manner(parser)
    parser.add_argument(
        "--no-commit", action="store_true", help="do not put outputs into the cache"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.dry:
        return project.plan(glob=args.glob, force=args.force, new=True, **running.planned(args))
    return project.repro(
        glob=args.glob,
        force=args.force,
        commit=not args.no_commit,
        emit=emit,
        **running.selection(args),
        **running.manner(args),
    )
