"""Draw experiments: curves of a metric, params against a metric, and what else there is to see.

A metric alone is drawn over its steps, a line for each experiment: from the plots files of dvc.yaml, and what training
code logged with `nbexp.live.log(step=…, acc=…)`. Columns of the table before it make it a plot of points, or with two a
map. A plot type by name comes first or behind `--kind`; several are linked: what is selected in one is seen in all.

Examples
--------
  nbexp plot acc                          every experiment of the present commit
  nbexp plot acc low-lr mauve-pike        these two
  nbexp plot acc --group-by train.lr      mean and deviation over equal values
  nbexp plot train.lr acc --log-x         a param against a metric
  nbexp plot importance acc               which params it depends on
  nbexp plot parallel acc -A              all params at once, of every commit
  nbexp plot acc --kind scatter,parallel,line
  nbexp plot history loss --sweep lr-and-depth
  nbexp plot confusion predictions.csv    predicted against actual labels
  nbexp plot images roc.png               pictures side by side
  nbexp plot acc --out acc.svg            as a picture (.svg, .png, .html or .json)
  nbexp plot train.lr acc --code          the Altair code that draws it
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from nbexp.commands import _arranged, _selected
from nbexp.errors import UsageError
from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("metric", metavar="NAME", help="what was logged: acc, train/loss")
    parser.add_argument(
        "experiments",
        nargs="*",
        default=[],  # without it argparse says that it is required
        metavar="EXPERIMENT",
        help="default: all of the present commit; columns of the table are drawn against each other",
    )
    parser.add_argument(
        "-k",
        "--kind",
        action="append",
        default=[],
        metavar="TYPE",
        help="band, box, confusion, contour, history, images, importance, line, parallel, scatter; several with commas",
    )
    _arranged.add_arguments(
        parser,
        where="experiments for which this holds: 'acc > 0.9'",
        sort_by="order of experiments, the first ones are drawn; -COLUMN turns it round",
        group_by="mean and sample deviation, or a colour, for equal values; several with commas",
    )
    _selected.add_arguments(parser, branches=True)
    parser.add_argument(
        "--all-states", action="store_true", help="failed and interrupted runs as well"
    )
    parser.add_argument("--sweep", metavar="NAME", help="the trials of this sweep")
    parser.add_argument("--log-x", action="store_true", help="logarithmic from left to right")
    parser.add_argument("--log-y", action="store_true", help="logarithmic upwards")
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="draw no more than N; 0 draws all (default: 30 lines)",
    )
    parser.add_argument("--title", metavar="TEXT", help="what stands above it")
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="write a picture: .svg, .png, .html or .json"
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--code", action="store_true", help="print the Altair code that draws it")
    shape.add_argument(
        "--json", action="store_true", help="print JSON: numbers, and the Vega-Lite chart as `spec`"
    )


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    if args.limit is not None and args.limit < 0:
        raise UsageError(
            f"`--limit {args.limit}` is no number of experiments. Nothing was drawn.",
            "`--limit 0` draws all.",
        )
    revisions = _selected.revisions(args)
    plot = project.plot(
        args.metric,
        *args.experiments,
        kind=args.kind,
        where=args.where,
        sort=args.sort_by,
        descending=args.sort_order == "desc",
        group_by=args.group_by,
        revisions=None if revisions.is_default else revisions,
        all_states=args.all_states,
        sweep=args.sweep,
        log_x=args.log_x,
        log_y=args.log_y,
        limit=args.limit,
        title=args.title,
        emit=emit,
    )
    if args.out:
        plot.write(os.path.join(args.folder, args.out))
    if args.code:
        from nbexp.experiments.plotting import Code

        return Code(plot.code(), plot)
    return plot
