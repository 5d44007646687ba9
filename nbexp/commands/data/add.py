"""Track data files and directories.

Their bytes go into the cache, and a `.dvc` file beside each, which you commit, says which bytes they are. Git
is told to leave the data alone. `nbexp undo` takes it back.

Examples
--------
  nbexp data add data/            a directory, as one
  nbexp data add raw.csv labels.csv
  nbexp data add data/new.csv     one more file of a directory that is tracked
  nbexp data add /mnt/raw.csv -o data/raw.csv    a copy of what lies elsewhere
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import at_least_1
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project

writes = True


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="+", metavar="PATH", help="files and directories")
    parser.add_argument(
        "--no-commit",
        action="store_true",
        help="only write .dvc files; `data commit` stores the data",
    )
    parser.add_argument(
        "--glob", action="store_true", help="a PATH may have wildcards: * ** ? [...]"
    )
    parser.add_argument(
        "-o", "--out", metavar="PATH", help="copy the data there and track the copy"
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace what is at --out")
    parser.add_argument(
        "--no-relink", action="store_true", help="leave files as they are, whatever cache.type says"
    )
    away = parser.add_argument_group("to a remote, without a copy in the cache")
    away.add_argument("--to-remote", action="store_true", help="send the data there")
    away.add_argument("-r", "--remote", metavar="NAME", help="which; default: the default one")
    away.add_argument(
        "--remote-jobs", type=at_least_1, metavar="N", help="how many files move at once"
    )
    notes = parser.add_argument_group("for new .dvc files")
    notes.add_argument("--desc", metavar="TEXT", help="what the data is")
    notes.add_argument("--type", metavar="TEXT", help="what kind of artifact it is")
    notes.add_argument("--label", action="append", metavar="TEXT", help="a label; may be repeated")
    notes.add_argument("--meta", action="append", metavar="KEY=VALUE", help="anything else of note")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    notes: dict[str, object] = {"desc": args.desc, "type": args.type, "labels": args.label}
    if args.meta:
        notes["meta"] = dict(pair.partition("=")[::2] for pair in args.meta)
    return project.data.add(
        *args.targets,
        out=args.out,
        glob=args.glob,
        commit=not args.no_commit,
        force=args.force,
        relink=not args.no_relink,
        to_remote=args.to_remote,
        remote=args.remote,
        jobs=args.remote_jobs,
        notes=notes,
        emit=emit,
    )
