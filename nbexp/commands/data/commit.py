"""Store what tracked data and outputs hold now.

Their bytes go into the cache, their hashes into .dvc files and dvc.lock; no stage runs. What changed since
these were written is taken with `--force` only.

Examples
--------
  nbexp data commit               after `data add --no-commit` or `run --no-commit`
  nbexp data commit -f data.dvc   data that was edited
  nbexp data commit -f train      a stage whose outputs were made by hand
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
        "targets", nargs="*", metavar="TARGET", help="data, .dvc files or stages; default: all"
    )
    parser.add_argument("-f", "--force", action="store_true", help="also what has changed")
    parser.add_argument(
        "-d", "--with-deps", action="store_true", help="what the targets' stages read, too"
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="a TARGET may be a folder of .dvc files"
    )
    parser.add_argument(
        "--no-relink", action="store_true", help="leave files as they are, whatever cache.type says"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.data.commit(
        *args.targets,
        force=args.force,
        with_deps=args.with_deps,
        recursive=args.recursive,
        relink=not args.no_relink,
        emit=emit,
    )
