"""Write a report for a pull request: params, metrics, code and plots of an experiment against another.

A is held against B, or against its baseline; more experiments stand beside them. Each is an experiment, a
branch, a commit or `workspace`. Markdown (the default) is what a comment on GitHub or GitLab takes; its pictures
are written beside it, as `cml comment create` wants them. HTML is one file that needs nothing else.

With `--fail-under` or `--fail-over` the exit code is 1 when a metric of A does not clear the bar; the report
is written all the same.

Examples
--------
  nbexp report low-lr                              against its baseline, as Markdown
  nbexp report HEAD origin/main -o report.md       pictures in report_files
  nbexp report low-lr mauve-pike -o report.html    one page, pictures inside
  nbexp report low-lr --fail-under acc=0.9         exit code 1 below 0.9
"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from nbexp.events import Emit

if TYPE_CHECKING:
    from nbexp.project import Project


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="A", help="the experiment that is reported")
    parser.add_argument(
        "others",
        nargs="*",
        default=[],
        metavar="B",
        help="what it is held against, and more to stand beside it; default: its baseline",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--md", dest="form", action="store_const", const="md", help="Markdown, the default"
    )
    shape.add_argument(
        "--html", dest="form", action="store_const", const="html", help="one HTML page"
    )
    shape.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="write it to a file, .md or .html; default: print it"
    )
    parser.add_argument(
        "--no-pictures",
        action="store_true",
        help="Markdown without pictures; what was logged by step is told as a table",
    )
    parser.add_argument("--title", metavar="TEXT", help="the headline")
    parser.add_argument(
        "--fail-under",
        action="append",
        default=[],
        metavar="[FILE:]METRIC=NUMBER",
        help="exit code 1 when the metric is lower; may be given several times",
    )
    parser.add_argument(
        "--fail-over",
        action="append",
        default=[],
        metavar="[FILE:]METRIC=NUMBER",
        help="exit code 1 when the metric is higher; may be given several times",
    )


def run(project: Project, args: argparse.Namespace, emit: Emit) -> object:
    from nbexp.experiments.report import Printed

    report = project.report(
        args.experiment,
        *args.others,
        title=args.title,
        fail_under=args.fail_under,
        fail_over=args.fail_over,
    )
    if args.out:
        is_html = None if args.form is None else args.form == "html"
        path = os.path.normpath(os.path.join(args.folder, args.out))
        return report.write(path, html=is_html, pictures=not args.no_pictures)
    return Printed(report.to_html(), report) if args.form == "html" else report
