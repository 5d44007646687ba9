"""Free disk space: remove from the cache what nothing needs.

Shows what it would free and where that came from; nothing is removed without `--yes`. Whatever you ask for, the
data of the workspace, of every experiment and of every undo point is kept.

Examples
--------
  nbexp data gc -w                keep what the workspace and experiments need
  nbexp data gc -a -T             and the tips of branches, and tags
  nbexp data gc -A --yes          and every commit; remove the rest for good
  nbexp data gc --rev main -n 5   and the last 5 commits of main
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import at_least_1
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    kept = parser.add_argument_group("what is kept; at least one is needed")
    kept.add_argument("-w", "--workspace", action="store_true", help="the data of the workspace")
    kept.add_argument("--rev", metavar="COMMIT", help="that of a commit")
    kept.add_argument(
        "-n", "--num", type=int, metavar="N", help="and of N - 1 before it, or before each branch"
    )
    kept.add_argument("-a", "--all-branches", action="store_true", help="of the tip of each branch")
    kept.add_argument("-T", "--all-tags", action="store_true", help="of each tag")
    kept.add_argument("-A", "--all-commits", action="store_true", help="of every commit")
    kept.add_argument("--date", metavar="YYYY-MM-DD", help="of every commit since then")
    kept.add_argument(
        "--all-experiments", action="store_true", help="of experiments, which always is"
    )
    kept.add_argument(
        "-p", "--projects", nargs="*", default=(), metavar="DIR", help="of other projects as well"
    )
    parser.add_argument(
        "--skip-failed", action="store_true", help="go on where a commit cannot be read"
    )
    away = parser.add_argument_group("the remote")
    where = away.add_mutually_exclusive_group()
    where.add_argument(
        "--not-in-remote", action="store_true", help="do not keep what the remote has"
    )
    where.add_argument("-c", "--cloud", action="store_true", help="collect there as well")
    away.add_argument("-r", "--remote", metavar="NAME", help="which; default: the default one")
    away.add_argument(
        "-j", "--jobs", type=at_least_1, metavar="N", help="how many questions at once"
    )
    parser.add_argument("-f", "--force", "--yes", action="store_true", help="remove it for good")
    parser.add_argument("--dry", action="store_true", help="only show it, with --yes as well")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.data.gc(
        workspace=args.workspace,
        rev=args.rev,
        num=args.num,
        all_branches=args.all_branches,
        all_tags=args.all_tags,
        all_commits=args.all_commits,
        all_experiments=args.all_experiments,
        since=args.date,
        projects=args.projects,
        not_in_remote=args.not_in_remote,
        cloud=args.cloud,
        remote=args.remote,
        jobs=args.jobs,
        skip_failed=args.skip_failed,
        yes=args.force and not args.dry,
        emit=emit,
    )
