"""List the alerts: who is told when a run is done, has failed, or a metric passes a bar.

Alerts stand in `nbexp.toml` of the project, or in `~/.config/nbexp/nbexp.toml` for all projects: `[alerts.good]` and
below it `when = "acc > 0.95"`. Below them are those that were due last. A command or webhook that came with the project
is carried out once you have agreed to it.

Examples
--------
  nbexp alerts                    what is set up, and what was due
  nbexp alerts --test good        carry one out now
  nbexp alerts --trust            agree to the commands and webhooks of this project's settings
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--test", metavar="ALERT", help="carry this one out now")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="agree to the commands and webhooks of this project's settings, as they are now",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    return project.alerts(trust=args.trust, test=args.test)
