"""How many stages run at once: the option of every verb that runs some."""

from __future__ import annotations

import argparse

from nbexp.commands import at_least_1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`-j`, one by default."""
    parser.add_argument(
        "-j",
        "--jobs",
        type=at_least_1,
        default=1,
        metavar="N",
        help="run N stages at once; default: 1",
    )
