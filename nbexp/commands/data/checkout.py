"""Bring data and outputs back from the cache, as .dvc files and dvc.lock say.

Stops before anything changes when that would overwrite edits which nothing holds, and lists them.
`nbexp undo` takes it back.

Examples
--------
  nbexp data checkout             all of the project, after `git switch` for one
  nbexp data checkout data/       one
  nbexp data checkout data/a.csv  one file of a directory
  nbexp data checkout --relink    as links or copies, by the cache.type of today
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
    parser.add_argument("--summary", action="store_true", help="print counts of files only")
    parser.add_argument(
        "-d", "--with-deps", action="store_true", help="what the targets' stages read, too"
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="a TARGET may be a folder of .dvc files"
    )
    parser.add_argument(
        "-f", "--force", action="store_true", help="go on over edits, which `undo` brings back"
    )
    parser.add_argument("--relink", action="store_true", help="place unchanged files anew as well")
    parser.add_argument(
        "--allow-missing", action="store_true", help="what the cache lacks is no error"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.frozen import replace

    found = project.data.checkout(
        *args.targets,
        with_deps=args.with_deps,
        recursive=args.recursive,
        force=args.force,
        relink=args.relink,
        allow_missing=args.allow_missing,
        emit=emit,
    )
    return replace(found, summary=args.summary)
