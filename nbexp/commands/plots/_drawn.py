"""What `plots show` and `plots diff` share: their options, and what becomes of the plots."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import UsageError
from nbexp.events import Emit, Notice

if TYPE_CHECKING:
    from nbexp.experiments.plots import PlotsShown
    from nbexp.project import Project

_PROPERTIES = ("template", "x", "y", "header", "title", "x_label", "y_label")


def add_properties(parser: argparse.ArgumentParser) -> None:
    """The options that go before what dvc.yaml says of a plot."""
    parser.add_argument(
        "-t",
        "--template",
        nargs="?",
        metavar="TEMPLATE",
        help="how rows are drawn: `plots templates`",
    )
    parser.add_argument("-x", metavar="COLUMN", help="the column of the x axis")
    parser.add_argument("-y", metavar="COLUMN", help="the column of the y axis")
    parser.add_argument(
        "--no-header",
        action="store_false",
        dest="header",
        default=None,
        help="CSV and TSV files without a line of names: columns are 0, 1, …",
    )
    parser.add_argument("--title", metavar="TEXT", help="the title of the plot")
    parser.add_argument("--x-label", metavar="TEXT", help="what stands at the x axis")
    parser.add_argument("--y-label", metavar="TEXT", help="what stands at the y axis")


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options that say what is made of the plots."""
    parser.add_argument(
        "-o", "--out", metavar="DIR", help="where the page goes; default: dvc_plots"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument(
        "--html-template", metavar="FILE", help="a page with `{plot_divs}` where plots go"
    )
    parser.add_argument(
        "--show-vega", action="store_true", help="print the Vega-Lite chart of one plot"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--split", action="store_true", help="in JSON, what fills the charts stands apart"
    )


def properties(args: argparse.Namespace) -> dict[str, object]:
    """The properties that were given."""
    return {name: value for name in _PROPERTIES if (value := getattr(args, name)) is not None}


def check(args: argparse.Namespace, verb: str) -> None:
    """Refuse what does not go together, before anything is read."""
    if not args.show_vega:
        return
    asked = args.targets or []
    listed = "--targets acc.csv" if verb == "diff" else "acc.csv"
    if len(asked) != 1:
        raise UsageError(
            f"`--show-vega` is of one plot; {len(asked)} are named. Nothing was done.",
            f"`nbexp plots {verb} --show-vega {listed}`",
        )
    if args.json:
        raise UsageError(
            "`--show-vega` and `--json` print different things. Nothing was done.",
            "leave one of the two out.",
        )


def _nothing(targets: Sequence[str]) -> Notice:
    """Why nothing is shown, and what would be."""
    if not targets:
        return Notice(
            "dvc.yaml lists no plots.",
            "`nbexp plots show acc.csv` draws a file that is not listed.",
        )
    named = ", ".join(f"`{one}`" for one in targets)
    return Notice(f"No plot or file is called {named}.", "`nbexp plots show` has all there are.")


def finished(project: Project, args: argparse.Namespace, found: PlotsShown, emit: Emit) -> object:
    """The plots in the shape that was asked for: a chart's JSON, all of it as JSON, a page."""
    from nbexp.commands import Text
    from nbexp.experiments.plots import Chart, page
    from nbexp.frozen import replace

    for line in found.unreadable:
        emit(Notice(f"Could not be read: {line}"))
    if not found.plots and not found.problems:
        emit(_nothing(args.targets or ()))
    if args.show_vega:
        import json

        from nbexp.results import strict

        charts = [one for one in found if isinstance(one, Chart)]
        return Text(json.dumps(strict(charts[0].spec())) if charts else "")
    settings = project.plots.settings()
    folder = Path(os.path.abspath(Path(args.folder) / (args.out or settings.folder)))
    in_the_way = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    if not in_the_way.is_dir() or (folder / "index.html").is_dir():
        raise UsageError(
            f"The page cannot be at {args.out or settings.folder}: something else is there. Nothing was written.",
            "`-o DIR` names a folder, there or not.",
        )
    if args.json:
        return replace(found.written(folder), split=args.split)
    is_asked = args.out or args.open or args.html_template
    if not found.plots or (project.draws and not is_asked):
        return found
    given = Path(args.folder) / args.html_template if args.html_template else settings.template
    written = page.write(found, folder, given)
    if args.open or settings.opens:
        import webbrowser

        assert written.page is not None
        if not webbrowser.open(written.page.as_uri()):
            emit(Notice("No browser could be opened."))
    return written
