"""Show or change settings of DVC's configuration.

A setting is called `core.remote`, or `remote.store.url`. Without `--local`, `--global` or `--system` all files are
read, and `.dvc/config` is changed. Comments stay. Settings of nbexp itself are in nbexp.toml.

Examples
--------
  nbexp config core.autostage true           change one
  nbexp config cache.type hardlink,copy
  nbexp config --list --show-origin          what is set, and where
  nbexp config -u core.autostage             take it away
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import config_levels
from nbexp.errors import NotFound, UsageError
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project
    from nbexp.store.config_files import Configuration

# The user's own file can be read and changed anywhere.
needs_project = False


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="SECTION.OPTION or remote.NAME.OPTION"
    )
    parser.add_argument("value", nargs="?", metavar="VALUE", help="what to set it to")
    parser.add_argument("-u", "--unset", action="store_true", help="take the setting away")
    parser.add_argument("-l", "--list", action="store_true", help="every setting that is set")
    parser.add_argument("--show-origin", action="store_true", help="the file of each as well")
    config_levels(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    _check(args)
    found = _configuration(args.folder)
    if args.list:
        return found.list(level=args.level, origin=args.show_origin)
    if args.unset:
        return found.unset(args.name, level=args.level)
    if args.value is not None:
        return found.set(args.name, args.value, level=args.level, emit=emit)
    return found.get(args.name, level=args.level, origin=args.show_origin)


def _check(args: argparse.Namespace) -> None:
    if args.list and (args.name or args.unset):
        raise UsageError(
            "`--list` shows every setting, so it takes no name. Nothing was done.",
            "`nbexp config --list`, or `nbexp config NAME`.",
        )
    if not args.list and args.name is None:
        raise UsageError(
            "Which setting? Nothing was done.", "`nbexp config --list` has those that are set."
        )
    if args.show_origin and (args.unset or args.value is not None):
        raise UsageError(
            "`--show-origin` is for reading; with a value or `--unset` it means nothing. Nothing was done.",
            "`nbexp config --show-origin NAME`.",
        )
    if args.unset and args.value is not None:
        raise UsageError(
            "`--unset` takes no value. Nothing was done.", f"`nbexp config -u {args.name}`."
        )


def _configuration(folder: str) -> Configuration:
    from pathlib import Path

    from nbexp import project as projects

    try:
        project = projects.open(folder)
    except NotFound:
        return projects.user_configuration(Path(folder).absolute())
    try:
        return project.config
    finally:
        project.close()
