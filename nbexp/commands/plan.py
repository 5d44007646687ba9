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

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets", nargs="*", metavar="STAGE", help="stages to run; default: all of ./dvc.yaml"
    )
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
    parser.add_argument("-s", "--single-item", action="store_true", help="the given stages alone")
    parser.add_argument(
        "-p", "--pipeline", action="store_true", help="all stages connected to the given ones"
    )
    parser.add_argument(
        "-P", "--all-pipelines", action="store_true", help="every stage of the project"
    )
    parser.add_argument(
        "-R",
        "--recursive",
        action="store_true",
        help="a folder stands for all stages in and below it",
    )
    parser.add_argument("--glob", action="store_true", help="names are patterns, as `train*`")
    parser.add_argument(
        "--new", action="store_true", help="as if nothing were recorded that is the same"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.plan(
        args.set_param,
        targets=args.targets,
        force=args.force,
        single_item=args.single_item,
        pipeline=args.pipeline,
        all_pipelines=args.all_pipelines,
        recursive=args.recursive,
        glob=args.glob,
        new=args.new,
    )
