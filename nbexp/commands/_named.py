"""What an experiment is recorded under: the options of every verb that makes one."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser, *, whose: str = "the experiment's") -> None:
    """`-n` and `-m`; `whose` name it is, for the help."""
    parser.add_argument("-n", "--name", metavar="NAME", help=f"{whose} name; default: two words")
    parser.add_argument(
        "-m", "--message", metavar="TEXT", help="the message of the experiment's commit"
    )
