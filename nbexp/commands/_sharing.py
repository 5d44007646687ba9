"""Which experiments are shared, and how: what `push` and `pull` have in common."""

from __future__ import annotations

import argparse
from typing import Any

from nbexp.commands import _selected, at_least_1


def add_arguments(parser: argparse.ArgumentParser, *, all_of: str, there: str) -> None:
    """DVC's options of both; `all_of` is whose experiments `--all` means, `there` where `-f` replaces them."""
    parser.add_argument(
        "git_remote",
        nargs="?",
        metavar="REMOTE",
        help="a Git remote, URL or path; anything else is the first experiment",
    )
    parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help="names, patterns or commits"
    )
    _selected.add_arguments(parser, branches=False)
    parser.add_argument("--all", action="store_true", dest="everything", help=f"all {all_of}")
    parser.add_argument(
        "-f", "--force", action="store_true", help=f"replace experiments of the same name {there}"
    )
    parser.add_argument("--no-cache", action="store_false", dest="cache", help="leave out data")
    parser.add_argument(
        "-r", "--remote", metavar="NAME", help="the remote for data; default: the default one"
    )
    parser.add_argument(
        "-j", "--jobs", type=at_least_1, metavar="N", help="how many objects move at once"
    )
    parser.add_argument(
        "--run-cache",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="the finished stages that the run cache knows, as well",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def words(args: argparse.Namespace) -> list[str]:
    """The words of the command, of which the first may be the remote."""
    return [*([] if args.git_remote is None else [args.git_remote]), *args.experiments]


def keywords(args: argparse.Namespace) -> dict[str, Any]:
    """What was typed, as `project.push` and `project.pull` take it."""
    names = ("everything", "force", "cache", "remote", "jobs", "run_cache")
    return {"revisions": _selected.revisions(args), **{name: getattr(args, name) for name in names}}
