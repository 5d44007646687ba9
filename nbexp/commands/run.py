"""Run what changed and record it as an experiment.

Brings the stages of ./dvc.yaml up to date and commits params, metrics, code and the hashes of outputs as an
experiment on the present commit; branches, index and history stay as they are. A run that is recorded
already returns that experiment at once. When a stage fails, the workspace is as it was before.

Examples
--------
  nbexp run                                    run what changed
  nbexp run -S train.lr=0.01                   with another value
  nbexp run -S train.lr=0.01 -n low-lr         and a name
  nbexp run -S +train.momentum=0.9             add a param
  nbexp run -S other.json:depth=3              a param of another file
  nbexp run train                              only this stage and what it needs
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


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
        "-n", "--name", metavar="NAME", help="the experiment's name; default: two words"
    )
    parser.add_argument(
        "-m", "--message", metavar="TEXT", help="the message of the experiment's commit"
    )
    parser.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="run every stage even if it did not change, and replace an experiment of that name",
    )
    parser.add_argument(
        "-s",
        "--single-item",
        action="store_true",
        help="run the given stages alone, not what they need",
    )
    parser.add_argument(
        "--new", action="store_true", help="run and record even what is recorded already"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.run(
        args.set_param,
        targets=args.targets,
        name=args.name,
        message=args.message,
        force=args.force,
        single_item=args.single_item,
        new=args.new,
        emit=emit,
    )
