"""A report as the Markdown of GitHub and GitLab.

Names, params and metrics may come from a commit of somebody else. They are written so that they are text and
nothing else: no table breaks, no HTML and no formula acts, and nobody is notified by an `@`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nbexp.experiments.report import Report, file_names, patch, recorded, reference, rows
from nbexp.experiments.series import Curves
from nbexp.experiments.table import Column
from nbexp.plots import render

# What Markdown, GitHub or GitLab reads as more than a letter; `_` only where it is not inside a word.
_SPECIAL = re.compile(r"[\\`*{}\[\]<>|~$:@#!&\"']|_(?![A-Za-z0-9])|(?<![A-Za-z0-9])_")
# A control character has no business in a comment; a line end would end a table.
_UNSEEN = re.compile("[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]+")
# GitHub's limit for a comment is 65,536 characters; CML adds links of its own.
_MAX_CHARACTERS = 60_000

Pictures = tuple[str, dict[str, bytes]]


def write(report: Report, pictures: Pictures | None) -> str:
    """The whole text.

    Parameters
    ----------
    pictures
        The folder that pictures will be in, relative to the text, and where to put them; None: the text
        gets by without.
    """
    found = _written(report, pictures, with_patch=True)
    if len(found) > _MAX_CHARACTERS:
        found = _written(report, pictures, with_patch=False)
    return found


def text(value: object) -> str:
    """The value as text in Markdown, in a table as well; an invisible joiner keeps `@name` from being one."""
    return re.sub("&#(?:64|35);", r"\g<0>&#8288;", _plain(value))


def code(value: object) -> str:
    """A name or value that is shown as it is typed. As code, no name, number or commit becomes a link."""
    return f"<code>{_plain(value)}</code>" if str(value).strip() else ""


def _plain(value: object) -> str:
    found = _UNSEEN.sub(" ", str(value)).strip()
    return _SPECIAL.sub(lambda match: f"&#{ord(match[0])};", found)


def _written(report: Report, pictures: Pictures | None, *, with_patch: bool) -> str:
    parts = [f"## {text(report.title)}", *_checks(report)]
    parts.append(_tall(report) if rows.is_tall(report) else _wide(report))
    parts += _changes(report, with_patch=with_patch)
    parts += _times(report)
    parts += _curves(report, pictures)
    parts += _pictures(report, pictures)
    return "\n\n".join(part for part in parts if part) + "\n"


def _checks(report: Report) -> list[str]:
    lines = [f"- {'✅' if check.holds else '❌'} {text(check)}" for check in report.checks]
    return ["\n".join(lines)] if lines else []


def _wide(report: Report) -> str:
    columns = rows.columns(report)
    heads = ["experiment", *(_title(column) for column in columns)]
    lines = [
        [_name(report, index), *(_cell(rows.cell(report, row, column)) for column in columns)]
        for index, row in enumerate(report.table)
    ]
    return _table(heads, lines, ["", *([":"] * len(columns))])


def _tall(report: Report) -> str:
    """Experiments across, the reference first of two, so that it reads from old to new."""
    order = [1, 0, *range(2, len(report.table))]
    if not rows.columns(report):
        return "No metric, and no param that differs."
    heads = ["", *(_name(report, index) for index in order)]
    lines = [
        [
            _title(column),
            *(_cell(rows.cell(report, report.table.rows[index], column)) for index in order),
        ]
        for column in rows.columns(report)
    ]
    return _table(heads, lines, ["", *([":"] * len(order))])


def _name(report: Report, index: int) -> str:
    row = report.table.rows[index]
    name = code(row.name or row.rev[:7])
    return f"<b>{name}</b>" if index == 0 else name


def _title(column: Column) -> str:
    name, arrow = rows.title(column)
    return f"{code(name)} {arrow}".strip()


def _cell(cell: rows.Cell) -> str:
    value = cell.text if cell.is_number or cell.text == "–" else code(cell.text)
    if not cell.delta:
        return value
    sign = {"better": "🟢 ", "worse": "🔴 "}.get(cell.verdict or "", "")
    return f"{sign}<b>{value}</b> ({' '.join(filter(None, (cell.delta, cell.verdict)))})"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]], align: Sequence[str]) -> str:
    rule = [f"---{side}" for side in align]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rule, *lines))


def _changes(report: Report, *, with_patch: bool) -> list[str]:
    diff = report.diff
    old, new = code(diff.old), code(diff.new)
    lines = [
        f"- {word}: {', '.join(f'{code(path)} {what}' for path, what in found)}"
        for word, found in (("code", diff.code), ("outputs", diff.outs))
        if found
    ]
    lines += [
        f"- notebook {code(note.path)}: the outputs of {rows.cells_words(note.cells)}"
        for note in diff.notebooks
    ]
    parts = [f"### From {old} to {new}"]
    parts.append("\n".join(lines) or "No code and no output differs.")
    if report.patch and with_patch:
        added, removed = patch.counted(report.patch)
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", report.patch)), 3)
        parts.append(
            f"<details><summary>Code, +{added} −{removed} lines</summary>\n\n"
            f"{fence}diff\n{report.patch}\n{fence}\n\n</details>"
        )
    elif report.patch:
        parts.append(
            f"The code's diff is too long for a comment: {code(f'nbexp diff {diff.old} {diff.new}')}"
        )
    return parts


def _times(report: Report) -> list[str]:
    if not report.seconds:
        return []
    rows_known = [row for row in report.table if row.rev in report.seconds]
    heads = ["stage", *(code(row.name or row.rev[:7]) for row in rows_known)]
    lines = [
        [code(stage), *(_took(report, row.rev, stage) for row in rows_known)]
        for stage in report.stages()
    ]
    return ["### Times", _table(heads, lines, ["", *([":"] * len(rows_known))])]


def _took(report: Report, rev: str, stage: str) -> str:
    seconds = report.seconds[rev].get(stage)
    return "did not run" if seconds is None else recorded.words(seconds)


def _curves(report: Report, pictures: Pictures | None) -> list[str]:
    if not report.curves:
        return []
    parts = ["### By step"]
    name = file_names()
    for curves in report.curves:
        if pictures is None:
            parts.append(f"{code(curves.metric)}\n\n{_steps(curves)}")
        else:
            folder, files = pictures
            file = name(curves.metric, ".png")
            files[file] = render.png(render.spec_of(curves))
            parts.append(f"![{text(curves.metric)} by step]({_link(folder, file)})")
    return parts


def _link(folder: str, file: str) -> str:
    """The address of a picture; in brackets where a space or a parenthesis would end it."""
    found = f"{folder}/{file}"
    return found if re.fullmatch(r"[\w./-]+", found) else f"<{found}>"


def _steps(curves: Curves) -> str:
    heads = ["experiment", "steps", "first", "last", "lowest", "highest"]
    lines = []
    for one in curves.series:
        found = (one.values[0], one.values[-1], min(one.values), max(one.values))
        lines.append([code(one.name), str(len(one.values)), *map(rows.shown, found)])
    return _table(heads, lines, ["", *([":"] * 5)])


def _pictures(report: Report, pictures: Pictures | None) -> list[str]:
    if pictures is None or not report.pictures:
        return []
    folder, files = pictures
    sides = (reference(report.table).name or "", report.table.rows[0].name or "")
    name = file_names()
    parts = ["### Pictures"]
    for picture in report.pictures:
        stem, dot, ending = picture.path.rpartition(".")
        found = []
        both = picture.old is not None and picture.old != picture.new
        for side, data in zip(sides, (picture.old if both else None, picture.new), strict=True):
            if data is not None:
                file = name(f"{stem}-{side}", f"{dot}{ending.lower()}")
                files[file] = data
                found.append(
                    (side, f"![{text(picture.path)} of {text(side)}]({_link(folder, file)})")
                )
        if len(found) == 2:
            shown = _table(
                [code(side) for side, _ in found], [[link for _, link in found]], ["", ""]
            )
        elif found:
            same = ", the same in both" if picture.old == picture.new else ""
            shown = found[0][1]
            parts.append(f"{code(picture.path)}{same}\n\n{shown}")
            continue
        else:
            continue
        parts.append(f"{code(picture.path)}\n\n{shown}")
    return parts if len(parts) > 1 else []
