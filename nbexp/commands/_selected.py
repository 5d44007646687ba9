"""The options that say which commits, and so which experiments, a verb is about."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbexp.experiments.selection import Revisions


def add_arguments(parser: argparse.ArgumentParser, *, branches: bool) -> None:
    """`-A`, `--rev` and `-n`; where `branches` is set `-a` and `-T` as well."""
    parser.add_argument(
        "-A", "--all-commits", action="store_true", help="experiments of every commit"
    )
    parser.add_argument(
        "--rev",
        action="append",
        default=[],
        metavar="REV",
        help="experiments of this commit, branch or tag; may be repeated",
    )
    parser.add_argument(
        "-n",
        "--num",
        type=int,
        metavar="N",
        help="of the last N commits from each --rev back, along first parents; negative: of all",
    )
    if branches:
        parser.add_argument(
            "-a", "--all-branches", action="store_true", help="experiments of every branch's tip"
        )
        parser.add_argument(
            "-T", "--all-tags", action="store_true", help="experiments of every tag"
        )


def revisions(args: argparse.Namespace) -> Revisions:
    """What those options came to."""
    from nbexp.experiments.selection import Revisions

    return Revisions(
        tuple(args.rev),
        args.num,
        args.all_commits,
        getattr(args, "all_branches", False),
        getattr(args, "all_tags", False),
    )
