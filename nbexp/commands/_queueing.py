"""Runs that are not waited for: the options of `run` that queue experiments, run all that are queued, or detach one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from nbexp.errors import UsageError
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--queue`, `--run-all`, `--detach` and `--timeout`."""
    parser.add_argument(
        "--queue",
        action="store_true",
        help="do not run it now: let it wait for `queue start`; a list of values makes one for each",
    )
    parser.add_argument(
        "--run-all",
        action="store_true",
        help="run all that is queued, -j of them at once, and wait",
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="with --temp: do not wait; it goes on without this process",
    )
    parser.add_argument(
        "--timeout",
        type=duration,
        metavar="TIME",
        help="with --queue or --detach: stop it after so long, for example 90s, 30m or 12h",
    )


def is_meant(args: argparse.Namespace) -> bool:
    """Whether one of them was given."""
    return bool(args.queue or args.run_all or args.detach or args.timeout)


def run(project: Project, args: argparse.Namespace, emit: Emit, options: dict[str, Any]) -> object:
    """Do what they say; `options` are those of `project.run`."""
    if args.run_all:
        return project.queue.run_all(args.jobs, emit=emit)
    if args.detach and not options.pop("temp"):
        raise UsageError(
            "`--detach` is for runs beside your files. Nothing was run.",
            "`nbexp run --temp --detach`; or `nbexp run --queue`, then `nbexp queue start`.",
        )
    if not (args.queue or args.detach):
        raise UsageError(
            "`--timeout` is for runs that nobody waits for. Nothing was run.",
            "`nbexp run --queue --timeout 30m`",
        )
    if options.pop("interactive"):
        raise UsageError(
            "Nobody is there to be asked when a queued experiment runs. Nothing was queued.",
            "`nbexp run --queue` without `-i`",
        )
    options.pop("temp", None)
    options["with_edits"] = options["with_edits"] or None
    return project.queue.add(
        args.set_param,
        timeout_s=args.timeout,
        in_detail=args.verbose > 0,
        detached=args.detach,
        emit=emit,
        **options,
    )


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration(text: str) -> float:
    """A time in seconds, or with a unit: `90`, `90s`, `30m`, `12h`, `1d`."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        found = float(number) * _UNITS[unit]
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"`{text}` is no time; for example 90s, 30m or 12h")
    return found
