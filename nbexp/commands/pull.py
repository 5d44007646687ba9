"""Bring experiments of a Git remote here, with their data.

Without experiments: those of the present commit. The workspace stays as it is; `apply` brings one into it.

Examples
--------
  nbexp pull low-lr               one, from the default remote
  nbexp pull origin 'lr-*'        all that are called so
  nbexp pull --all                all that the remote has
  nbexp pull --no-cache           without data, to look at params and metrics
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import _sharing
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    _sharing.add_arguments(parser, all_of="experiments of the remote", there="here")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.pull(*_sharing.words(args), emit=emit, **_sharing.keywords(args))
