"""Share experiments through a Git remote, with their data.

Without words: the starred ones and the one that the workspace equals. With a remote alone: those of the present
commit. Only what is missing moves, data first; stopped, the next push goes on.

Examples
--------
  nbexp push                      the best ones, to the default remote
  nbexp push low-lr high-lr       these
  nbexp push origin 'lr-*'        all that are called so, to that remote
  nbexp push --all --no-cache     all there are, without data
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import _sharing
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    _sharing.add_arguments(parser, all_of="experiments here", there="on the remote")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.push(*_sharing.words(args), emit=emit, **_sharing.keywords(args))
