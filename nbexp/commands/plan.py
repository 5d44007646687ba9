"""Say what a run would do to each stage, why, and what it costs.

For each stage: whether it would run, come back from the cache, or be skipped; the reason, to the params key, the
line, the notebook's cell; and how long it will take by past runs. Nothing is run and no file changes.

Examples
--------
  nbexp plan                        what `nbexp run` would do
  nbexp plan -S train.lr=0.01       with another value
  nbexp plan train                  for this stage and what it needs
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands.run import add_selection, selection
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    parser.add_argument(
        "-S",
        "--set-param",
        action="append",
        default=[],
        metavar="[FILE:]KEY=VALUE",
        help="a value for this run; may be repeated",
    )
    parser.add_argument(
        "-f", "--force", action="store_true", help="as if every stage were run, changed or not"
    )
    parser.add_argument("--glob", action="store_true", help="names are patterns, as `train*`")
    parser.add_argument(
        "--new", action="store_true", help="as if nothing were recorded that is the same"
    )
    parser.add_argument(
        "--force-downstream",
        action="store_true",
        help="as if what needs a stage that runs were run, changed or not",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="data that is merely absent is no reason to run",
    )
    parser.add_argument(
        "--no-run-cache", action="store_true", help="nothing comes back from the run cache"
    )
    parser.add_argument(
        "--no-hydra",
        action="store_true",
        help="take params.yaml as it is, whatever the config says of Hydra",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.plan(
        args.set_param,
        force=args.force,
        glob=args.glob,
        new=args.new,
        force_downstream=args.force_downstream,
        allow_missing=args.allow_missing,
        run_cache=not args.no_run_cache,
        hydra=not args.no_hydra,
        **selection(args),
    )
