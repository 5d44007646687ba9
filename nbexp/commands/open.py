"""Show the executed notebook of an experiment, or any file or directory of it; the workspace is untouched.

A notebook, picture, table, text or directory of any experiment, branch, tag or commit is shown as such, straight
from Git, the cache or a remote; of other files size and md5 are told.

Examples
--------
  nbexp open low-lr                           its executed notebook
  nbexp open low-lr runs/train.ipynb          another of its notebooks
  nbexp open low-lr plots/acc.csv -n 100      the first rows of a table
  nbexp open main data                        what is in a directory, on a branch
  nbexp open low-lr model.pkl -o model.pkl    write it to a new file
  nbexp open low-lr --git-remote origin       an experiment that is not here
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.commands import at_least_1
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

needs_project = False


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment",
        metavar="EXPERIMENT",
        help="its name, a failed run's too; or a branch, tag or commit",
    )
    parser.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="a file, directory or artifact; default: the first notebook that a stage wrote",
    )
    parser.add_argument("-o", "--out", metavar="FILE", help="write it to a new file or directory")
    parser.add_argument(
        "-n",
        "--limit",
        type=at_least_1,
        metavar="N",
        help="show N rows of a table, lines of a text or entries of a directory",
    )
    parser.add_argument(
        "--git-remote", metavar="NAME", help="look at an experiment of this Git remote"
    )
    parser.add_argument(
        "--repo", metavar="URL", help="the URL or path of another repository that has it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project | None, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp import project as projects

    here = Path(args.folder).absolute()
    repo = args.repo or projects.bare(here)
    if repo is not None:
        return projects.open_elsewhere(
            repo, args.experiment, args.path, limit=args.limit, out=args.out, here=here, emit=emit
        )
    opened = projects.open(here)
    try:
        projects.warn_unfinished(opened, emit)
        return opened.open(
            args.experiment,
            args.path,
            limit=args.limit,
            out=args.out,
            git_remote=args.git_remote,
            emit=emit,
        )
    finally:
        opened.close()
