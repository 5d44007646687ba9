"""Run an experiment again with other values, as a new experiment on its baseline.

Your folder becomes what the experiment left (code, params, data), the values are set, and the stages that they
concern run. It stops before anything changes where that would overwrite edits which no commit and no experiment holds.
One `nbexp undo` takes all of it back.

Examples
--------
  nbexp clone low-lr -S train.lr=0.02
  nbexp clone low-lr -S train.lr=0.02 -n lower-lr
  nbexp clone low-lr -S train.lr=0.02 --force     edits in the way are kept as an undo point
  nbexp clone low-lr -S train.lr=0.02 --queue     later, beside your files
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import _jobs, _named
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment", metavar="EXPERIMENT", help="its name, or the start of its rev"
    )
    parser.add_argument(
        "-S",
        "--set-param",
        action="append",
        default=[],
        metavar="[FILE:]KEY=VALUE",
        help="another value; may be repeated",
    )
    parser.add_argument("--no-run-cache", action="store_true", help="run stages that ran before")
    parser.add_argument(
        "--queue",
        action="store_true",
        help="do not run it now and leave your folder alone: let it wait for `queue start`",
    )
    add_common(parser)


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.queue:
        return project.clone_to_queue(
            args.experiment,
            args.set_param,
            name=args.name,
            message=args.message,
            force=args.force,
            jobs=args.jobs,
            run_cache=not args.no_run_cache,
            in_detail=args.verbose > 0,
            emit=emit,
        )
    return project.clone(
        args.experiment,
        args.set_param,
        name=args.name,
        message=args.message,
        force=args.force,
        jobs=args.jobs,
        run_cache=not args.no_run_cache,
        emit=emit,
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """What `rerun` has as well."""
    _named.add_arguments(parser, whose="the new experiment's")
    parser.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="go on over edits, which `undo` brings back, and replace an experiment of that name",
    )
    _jobs.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
