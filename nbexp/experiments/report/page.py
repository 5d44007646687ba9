"""A report as one HTML page: its style and its pictures are inside, it has no script and asks no network."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from nbexp.experiments import look
from nbexp.experiments.report import Report, patch, recorded, reference, rows
from nbexp.experiments.table import Column
from nbexp.markup import Markup, joined, tag
from nbexp.plots import render


def write(report: Report) -> str:
    """The whole page."""
    parts = [tag("h1", report.title), *_checks(report)]
    parts.append(_tall(report) if rows.is_tall(report) else _wide(report))
    parts += _changes(report)
    parts += _times(report)
    if report.curves:
        parts += [tag("h2", "By step"), tag("div", *_curves(report), class_="plots")]
    pictures = [*_pictures(report)]
    if pictures:
        parts += [tag("h2", "Pictures"), *pictures]
    return look.page(report.title, joined(parts, "\n"), class_="narrow")


def _checks(report: Report) -> list[Markup]:
    lines = [
        tag("li", "✓ " if check.holds else "✗ ", check, class_="good" if check.holds else "bad")
        for check in report.checks
    ]
    return [tag("ul", *lines, class_="checks")] if lines else []


def _wide(report: Report) -> Markup:
    columns = rows.columns(report)
    heads = [tag("th", "experiment", scope="col"), *(_title(column, "col") for column in columns)]
    lines = [
        tag("tr", _name(report, index, "row"), *(_cell(rows.cell(report, row, c)) for c in columns))
        for index, row in enumerate(report.table)
    ]
    return _table(heads, lines)


def _tall(report: Report) -> Markup:
    columns = rows.columns(report)
    if not columns:
        return tag("p", "No metric, and no param that differs.", class_="empty")
    order = [1, 0, *range(2, len(report.table))]
    heads = [tag("td"), *(_name(report, index, "col") for index in order)]
    lines = []
    for kind, name in (("metric", "metrics"), ("param", "params that differ")):
        found = [column for column in columns if column.kind == kind]
        if found:
            span = str(len(order) + 1)
            lines.append(tag("tr", tag("th", name, colspan=span, scope="colgroup"), class_="group"))
        for column in found:
            cells = [_cell(rows.cell(report, report.table.rows[i], column)) for i in order]
            lines.append(tag("tr", _title(column, "row"), *cells))
    return _table(heads, lines)


def _table(heads: list[Markup], lines: list[Markup]) -> Markup:
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines), class_="facts")
    return tag("div", table, class_="scroll")


def _name(report: Report, index: int, scope: str) -> Markup:
    row = report.table.rows[index]
    name = row.name or row.rev[:7]
    title = None if row.rev == "workspace" else row.rev
    shown = tag("b", name) if index == 0 else name
    return tag("th", shown, scope=scope, title=title, class_="n" if scope == "col" else None)


def _title(column: Column, scope: str) -> Markup:
    name, arrow = rows.title(column)
    class_ = "n" if scope == "col" else None
    return tag("th", f"{name} {arrow}".strip(), scope=scope, title=column.file, class_=class_)


def _cell(cell: rows.Cell) -> Markup:
    if not cell.delta:
        return look.number(cell.text)
    return look.number(joined([look.delta(cell.delta, cell.verdict), tag("b", cell.text)], "  "))


def _changes(report: Report) -> list[Markup]:
    diff = report.diff
    lines = [
        tag("li", look.faint(f"{word} "), _paths(found))
        for word, found in (("code", diff.code), ("outputs", diff.outs))
        if found
    ]
    lines += [
        tag(
            "li",
            look.faint("notebook "),
            tag("code", note.path),
            f" the outputs of {rows.cells_words(note.cells)}",
        )
        for note in diff.notebooks
    ]
    parts = [tag("h2", f"From {diff.old} to {diff.new}")]
    parts.append(
        tag("ul", *lines, class_="plain")
        if lines
        else tag("p", "No code and no output differs.", class_="faint")
    )
    if report.patch:
        added, removed = patch.counted(report.patch)
        summary = tag("summary", f"Code, +{added} −{removed} lines")
        parts.append(tag("details", summary, look.diff(report.patch), class_="more"))
    return parts


def _times(report: Report) -> list[Markup]:
    known = [row for row in report.table if row.rev in report.seconds]
    if not known:
        return []
    heads = [tag("th", "stage", scope="col")]
    heads += [tag("th", row.name or row.rev[:7], scope="col", class_="n") for row in known]
    lines = []
    for stage in report.stages():
        took = [report.seconds[row.rev].get(stage) for row in known]
        cells = [
            look.number(look.faint("did not run") if one is None else recorded.words(one))
            for one in took
        ]
        lines.append(tag("tr", tag("th", stage, scope="row"), *cells))
    return [tag("h2", "Times"), _table(heads, lines)]


def _paths(changes: tuple[tuple[str, str], ...]) -> Markup:
    return joined([joined([tag("code", path), f" {what}"]) for path, what in changes], ", ")


def _curves(report: Report) -> Iterator[Markup]:
    for curves in report.curves:
        image = tag(
            "img",
            src=_address("image/svg+xml", render.svg(render.spec_of(curves)).encode()),
            alt=f"{curves.metric} by step",
        )
        yield tag("figure", tag("figcaption", curves.metric, look.faint(" by step")), image)


def _pictures(report: Report) -> Iterator[Markup]:
    old, new = reference(report.table).name or "", report.table.rows[0].name or ""
    for picture in report.pictures:
        both = picture.old is not None and picture.old != picture.new
        note = " the same in both" if picture.old == picture.new else ""
        sides = []
        for side, data in ((old, picture.old if both else None), (new, picture.new)):
            if data is not None:
                image = tag(
                    "img", src=_address(picture.mime, data), alt=f"{picture.path} of {side}"
                )
                caption = tag("figcaption", side, look.faint(f" {picture.path}{note}"))
                sides.append(tag("figure", caption, tag("div", image, class_="paper")))
        yield tag("div", *sides, class_="plots")


def _address(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
