"""The report of an experiment against others."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.experiments.report import rows as report_rows
from nbexp.jupyter.display.parts import heading
from nbexp.jupyter.markup import Markup, cell, grid, head, joined, tag
from nbexp.plots import render as pictures
from nbexp.render import tables as texts

if TYPE_CHECKING:
    from nbexp.experiments.report import Printed, Report


def _report(result: Report) -> Markup:
    """The table, experiments across, and the curves; pictures of outputs are in the file that `-o` writes."""
    rows = [result.table.rows[at] for at in (1, 0, *range(2, len(result.table)))]
    heads = [head(""), *(head(texts.row_name(row), is_number=True) for row in rows)]
    lines = []
    for column in report_rows.columns(result):
        found = [report_rows.cell(result, row, column) for row in rows]
        cells = [
            cell(
                joined([_delta(one), tag("b", one.text)] if one.delta else [one.text], "  "),
                is_number=True,
            )
            for one in found
        ]
        name = " ".join(filter(None, report_rows.title(column)))
        lines.append(
            tag("tr", tag("th", name, scope="row", align="left", title=column.file), *cells)
        )
    images = [
        tag(
            "p",
            tag("img", src=f"data:image/svg+xml;base64,{encoded}", alt=f"{curves.metric} by step"),
        )
        for curves in result.curves
        for encoded in [base64.b64encode(pictures.svg(pictures.spec_of(curves)).encode()).decode()]
    ]
    checks = [
        tag(
            "p", "✓ " if one.holds else "✗ ", one, class_="nbexp-good" if one.holds else "nbexp-bad"
        )
        for one in result.checks
    ]
    return joined([heading(result.title), *checks, grid(heads, lines), *images])


def _delta(one: report_rows.Cell) -> Markup:
    class_ = {"better": "nbexp-good", "worse": "nbexp-bad"}.get(one.verdict or "", "nbexp-faint")
    return tag("span", " ".join(filter(None, (one.delta, one.verdict))), class_=class_)


def _printed(result: Printed) -> Markup:
    return _report(result.report)


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "Report": _report,
    "Printed": _printed,
}
