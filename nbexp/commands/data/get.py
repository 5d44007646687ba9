"""Get a file or directory of another repository, as `dvc get` does; `nbexp get` gets from this one too.

Examples
--------
  nbexp data get https://host/group/project data/images
  nbexp data get ../project model.pkl --rev v1 -o old.pkl
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands.get import add_options, options
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

needs_project = False


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="REPOSITORY", help="its URL, or its path on this disk")
    parser.add_argument(
        "path", metavar="PATH", help="a file, a directory, or the name of an artifact"
    )
    parser.add_argument("--rev", metavar="REV", help="the revision; default: HEAD")
    add_options(parser)


def run(project: Project | None, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp import project as projects

    return projects.get(
        args.rev or "HEAD",
        args.path,
        repo=args.url,
        path_of_project=args.folder,
        **options(args),
        emit=emit,
    )
