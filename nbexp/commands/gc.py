"""Let go of what is kept besides experiments: the trash, undo steps, failed runs, logs, temporary files.

Shows how many there are of each kind and how big they are; nothing is removed without `--yes`, and then for good.
Experiments and what a command is at work on are never touched. Data of the cache is `nbexp data gc`: it can free what
only these needed, afterwards.

Examples
--------
  nbexp gc                        what there is, and how big
  nbexp gc --older-than 30d       of that, what is older than a month
  nbexp gc --undo --keep-last 20 --yes
  nbexp gc --trash --failed --yes
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import number
from nbexp.errors import UsageError
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True

_KINDS = {
    "trash": "experiments that were removed or replaced",
    "undo": "steps that `undo` goes back or forward",
    "failed": "what failed and interrupted runs left",
    "logs": "output and scratch files of runs",
    "temporary": "what killed commands left, and unused work trees",
}
# Those of `dvc gc`, with how many words follow; this command has another meaning, so it takes none of them.
_DVC: dict[tuple[str, ...], str | int] = {
    ("-w", "--workspace"): 0,
    ("-a", "--all-branches"): 0,
    ("-T", "--all-tags"): 0,
    ("-A", "--all-commits"): 0,
    ("--all-experiments",): 0,
    ("-c", "--cloud"): 0,
    ("-f", "--force"): 0,
    ("--dry",): 0,
    ("--not-in-remote",): 0,
    ("--skip-failed",): 0,
    ("--rev",): 1,
    ("-n", "--num"): 1,
    ("--date",): 1,
    ("-r", "--remote"): 1,
    ("-j", "--jobs"): 1,
    ("-p", "--projects"): "*",
}


class _OfDvc(argparse.Action):
    """Gathers the options of DVC's collector as they were typed."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        words = values if isinstance(values, list) else [] if values is None else [values]
        namespace.of_dvc = [*namespace.of_dvc, option_string, *words]


def arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_argument_group("which kinds; all by default")
    for kind, words in _KINDS.items():
        kinds.add_argument(
            f"--{kind}", dest="kinds", action="append_const", const=kind, default=[], help=words
        )
    parser.add_argument(
        "--older-than", metavar="TIME", help="only what is older: 30d, 12h, 2026-11-20"
    )
    parser.add_argument(
        "--keep-last", type=number, default=0, metavar="N", help="keep the newest N of each kind"
    )
    parser.add_argument("--yes", action="store_true", help="remove it, for good")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(of_dvc=[])
    for spellings, count in _DVC.items():
        parser.add_argument(
            *spellings,
            dest="of_dvc",
            action=_OfDvc,
            nargs=None if count == 1 else count,
            default=[],
            help=argparse.SUPPRESS,
        )


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.of_dvc:
        words = " ".join(args.of_dvc)
        raise UsageError(
            f"`{args.of_dvc[0]}` says which data of the cache is kept, and `gc` collects what nbexp keeps besides. "
            "Nothing was removed.",
            f"`nbexp data gc {words}` is DVC's command.",
        )
    return project.gc(
        *args.kinds,
        older_than=args.older_than,
        keep_last=args.keep_last,
        yes=args.yes,
        emit=emit,
    )
