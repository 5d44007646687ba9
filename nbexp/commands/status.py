"""Which stages are not up to date, and why; with `--cloud`, which objects cache and remote lack.

Examples
--------
  nbexp status                    all stages
  nbexp status train              one
  nbexp status -d train           and all that it needs
  nbexp status data/clean.csv     an output
  nbexp status -q                 nothing printed; exit code 1 when something changed
  nbexp status -c                 what the default remote and the cache do not both have
  nbexp status -r store -a        the same of another remote, for what any branch needs
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import at_least_1
from nbexp.errors import UsageError
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="STAGE",
        help="stages, dvc.yaml or .dvc files, paths of outputs; default: every stage",
    )
    parser.add_argument(
        "-d", "--with-deps", action="store_true", help="what the given ones need as well"
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="of a folder: all stages in and below it"
    )
    parser.add_argument(
        "--no-updates",
        action="store_true",
        help="do not look for newer versions of imports, which is never done here",
    )
    parser.add_argument(
        "-c", "--cloud", action="store_true", help="compare the cache with the default remote"
    )
    parser.add_argument("-r", "--remote", metavar="NAME", help="compare it with this remote")
    parser.add_argument(
        "-a", "--all-branches", action="store_true", help="with -c: what any branch needs as well"
    )
    parser.add_argument(
        "-T", "--all-tags", action="store_true", help="with -c: what any tag needs as well"
    )
    parser.add_argument(
        "-A", "--all-commits", action="store_true", help="with -c: what any commit needs as well"
    )
    parser.add_argument(
        "-j", "--jobs", type=at_least_1, metavar="N", help="with -c: how many questions at once"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, in DVC's form")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.cloud or args.remote:
        return project.data.compare(
            *args.targets,
            remote=args.remote,
            jobs=args.jobs,
            all_branches=args.all_branches,
            all_tags=args.all_tags,
            all_commits=args.all_commits,
            with_deps=args.with_deps,
            recursive=args.recursive,
            emit=emit,
        )
    for name in ("all_branches", "all_tags", "all_commits", "jobs"):
        if getattr(args, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"`{option}` says nothing without `--cloud`. Nothing was done.",
                f"`nbexp status --cloud {option}` compares the cache with a remote.",
            )
    return project.status(args.targets, with_deps=args.with_deps, recursive=args.recursive)
