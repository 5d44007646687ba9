"""The options that say which experiments are meant, in which order, and what is put together."""

from __future__ import annotations

import argparse


def add_arguments(
    parser: argparse.ArgumentParser, *, where: str, sort_by: str, group_by: str
) -> None:
    """`--where`, `--sort-by`, `--sort-order` and `--group-by`, with what they are for here."""
    parser.add_argument("--where", metavar="FILTER", help=where)
    parser.add_argument("--sort-by", action="append", default=[], metavar="COLUMN", help=sort_by)
    parser.add_argument("--sort-order", choices=("asc", "desc"), default="asc", help="default: asc")
    parser.add_argument("--group-by", action="append", default=[], metavar="COLUMN", help=group_by)
