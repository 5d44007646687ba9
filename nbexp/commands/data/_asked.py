"""Which data of which commits is meant, and how it moves: what `push`, `pull` and `fetch` share."""

from __future__ import annotations

import argparse
from typing import Any

from nbexp.commands import at_least_1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of DVC's that all three have."""
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help="data, .dvc files or stages; default: all"
    )
    parser.add_argument(
        "-r", "--remote", metavar="NAME", help="the remote; default: the default one"
    )
    parser.add_argument(
        "-j", "--jobs", type=at_least_1, metavar="N", help="how many objects move at once"
    )
    parser.add_argument(
        "-a", "--all-branches", action="store_true", help="what any branch needs as well"
    )
    parser.add_argument("-T", "--all-tags", action="store_true", help="what any tag needs as well")
    parser.add_argument(
        "-A", "--all-commits", action="store_true", help="what any commit needs as well"
    )
    parser.add_argument(
        "-d", "--with-deps", action="store_true", help="what the targets' stages read, too"
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="a TARGET may be a folder of .dvc files"
    )
    parser.add_argument(
        "--run-cache",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="the finished stages that the run cache knows, as well",
    )


def keywords(args: argparse.Namespace) -> dict[str, Any]:
    """What was typed, as `project.data` takes it."""
    names = ("remote", "jobs", "all_branches", "all_tags", "all_commits", "with_deps", "recursive")
    return {name: getattr(args, name) for name in names}
