"""Get a file, directory or artifact of any experiment or revision, from here or from another repository.

It comes from Git, the cache or the remote; the workspace and the history stay as they are, and nothing is run.

Examples
--------
  nbexp get low-lr model.pkl                          the model of an experiment, as ./model.pkl
  nbexp get main data/images -o images                a directory of a branch
  nbexp get v1.2 classifier -o models/                an artifact of dvc.yaml, by its name
  nbexp get https://host/group/project model.pkl      of another repository, without cloning it
  nbexp get ../project model.pkl --rev low-lr         of a clone on this disk
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from nbexp.commands import at_least_1
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

needs_project = False


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="an experiment or revision; or the URL or path of a repository",
    )
    parser.add_argument(
        "path", metavar="PATH", help="a file, a directory, or the name of an artifact"
    )
    parser.add_argument(
        "--repo", metavar="URL", help="the repository, the first word being its revision"
    )
    parser.add_argument("--rev", metavar="REV", help="the revision of a repository; default: HEAD")
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `get` and `data get` both have."""
    parser.add_argument(
        "-o", "--out", metavar="PATH", help="where to put it; default: its own name here"
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace what is at PATH")
    parser.add_argument(
        "-j", "--jobs", type=at_least_1, metavar="N", help="how many objects move at once"
    )
    parser.add_argument("-r", "--remote", metavar="NAME", help="the remote that has the data")
    parser.add_argument("--config", metavar="FILE", help="settings in addition to the repository's")
    parser.add_argument(
        "--remote-config",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="settings of the remote",
    )
    parser.add_argument(
        "--show-url", action="store_true", help="tell where the storage has it, and get nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project | None, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp import project as projects

    return projects.get(
        args.source,
        args.path,
        repo=args.repo,
        rev=args.rev,
        path_of_project=args.folder,
        **options(args),
        emit=emit,
    )


def options(args: argparse.Namespace) -> dict[str, Any]:
    """What was typed of `add_options`, as the function takes it."""
    from nbexp.errors import UsageError

    settings = {}
    for item in args.remote_config:
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"`{item}` is no NAME=VALUE. Nothing was done.")
        settings[name] = value
    names = ("out", "force", "jobs", "remote", "config", "show_url")
    return {name: getattr(args, name) for name in names} | {"remote_config": settings}
