"""Compare the experiments: metrics and params by row.

The workspace comes first, then each baseline with its experiments, newest first. Every commit that has
experiments is shown; `--json`, `--csv` and `--md` have the present commit, as DVC, unless told otherwise.
`--json` is DVC's `exp show --json`.

Examples
--------
  nbexp show                                        the table
  nbexp show --where "acc>0.9"                      some of it: `and`, `or`, `not` as well
  nbexp show --sort-by acc --sort-order desc        the best first
  nbexp show --group-by train.lr                    mean and deviation of each metric
  nbexp show --reference low-lr --only-changed      how much better or worse than that one
  nbexp show --all-states                           failed and interrupted runs as well
  nbexp show --steps                                the checkpoints of each experiment
  nbexp show -A --csv > runs.csv                    all there is, in full precision
  nbexp show -i                                     in a notebook: a panel to sort, filter, compare and act in
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nbexp.commands import _arranged, _selected
from nbexp.errors import UsageError
from nbexp.events import Emit, Notice
from nbexp.experiments.table import Table
from nbexp.frozen import replace

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    _selected.add_arguments(parser, branches=True)
    _arranged.add_arguments(
        parser,
        where="rows for which this holds: 'acc > 0.9 and lr < 0.05'",
        sort_by="sort the experiments of each baseline; several with commas, -COLUMN turns one round",
        group_by="mean and sample deviation of metrics over equal values; several with commas",
    )
    parser.add_argument(
        "--reference", metavar="NAME", help="show how far metrics are from those of this one"
    )
    parser.add_argument(
        "--flat", action="store_true", help="one list of all, not below their baselines"
    )
    parser.add_argument(
        "--only-changed", action="store_true", help="only columns that differ between rows"
    )
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="REGEX",
        help="leave out columns whose title begins with this; may be repeated",
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="REGEX",
        help="never leave out columns whose title begins with this; may be repeated",
    )
    parser.add_argument(
        "--param-deps", action="store_true", help="of params, only those that stages read"
    )
    parser.add_argument(
        "--sha", action="store_true", help="commits instead of names of branches and tags"
    )
    parser.add_argument(
        "--all-states", action="store_true", help="failed and interrupted runs as well"
    )
    parser.add_argument(
        "--steps", action="store_true", help="the checkpoints of each experiment below it"
    )
    parser.add_argument("--hide-failed", action="store_true", help="no failed ones")
    parser.add_argument("--hide-queued", action="store_true", help="no queued ones")
    parser.add_argument("--hide-workspace", action="store_true", help="no row of the workspace")
    parser.add_argument(
        "--precision",
        type=int,
        metavar="N",
        help="significant digits of floats; default: 5, and all of them in CSV",
    )
    parser.add_argument(
        "-f", "--force", action="store_true", help="read all commits again, not from the index"
    )
    parser.add_argument(
        "--no-pager", action="store_true", help="print a long table at once, not page by page"
    )
    parser.add_argument(
        "-i",
        "--interactive",
        action="store_true",
        help="in a notebook: a panel, with actions on rows and linked plots; elsewhere the table",
    )
    parser.add_argument(
        "--view", metavar="NAME", help="with -i: the columns, filter and order saved in the panel"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON, in DVC's form")
    shape.add_argument("--csv", action="store_true", help="print CSV")
    shape.add_argument("--md", action="store_true", help="print Markdown")


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    revisions = _selected.revisions(args)
    is_for_programs = args.json or args.csv or args.md
    if args.view is not None and not args.interactive:
        raise UsageError(
            f"`--view {args.view}` is of the panel, and shows nothing without it.",
            f"`nbexp show -i --view {args.view}`",
        )
    if args.interactive and is_for_programs:
        raise UsageError(
            "`-i` is for people; `--json`, `--csv` and `--md` are for programs.",
            "`nbexp show -i`, or one of those without `-i`.",
        )
    if is_for_programs and project.git.head() is None:
        return Table(())  # as DVC has it: before the first commit it shows nothing
    found: object = project.show(
        args.where,
        sort=args.sort_by,
        descending=args.sort_order == "desc",
        group_by=args.group_by,
        revisions=None if revisions.is_default and not is_for_programs else revisions,
        all_states=args.all_states,
        only_changed=args.only_changed,
        drop=args.drop,
        keep=args.keep,
        reference=args.reference,
        precision=args.precision,
        flat=args.flat,
        param_deps=args.param_deps,
        sha=args.sha,
        hide_workspace=args.hide_workspace,
        hide_queued=args.hide_queued,
        hide_failed=args.hide_failed,
        force=args.force,
        steps=args.steps,
        emit=emit,
    )
    for row in getattr(found, "rows", ()):
        if row.error is not None and row.executor is None:
            where = "" if row.kind == "workspace" else f"{row.name or row.rev[:7]}: "
            emit(Notice(f"{where}{row.error}"))
    if isinstance(found, Table) and not is_for_programs and not args.group_by:
        is_panel = args.interactive or project.settings.interactive
        return replace(found, view=replace(found.view, is_panel=is_panel, panel_view=args.view))
    return found
