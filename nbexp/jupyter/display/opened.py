"""What `open` shows of a path. It is saved in the notebook that shows it, so it is bounded."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.experiments.value_text import is_number
from nbexp.formats import values
from nbexp.jupyter.display.parts import brief, heading
from nbexp.jupyter.markup import Markup, cell, code, faint, grid, head, joined, scrolled, tag
from nbexp.render import opened as texts
from nbexp.render import words as said

if TYPE_CHECKING:
    from nbexp.experiments.opened import OpenedNotebook
    from nbexp.experiments.opening import OpenedDirectory, OpenedPicture, OpenedTable, OpenedText

_MAX_TEXT, _MAX_IMAGES = 10_000, 4_000_000
_MAX_TABLE_COLUMNS = 100
_COLOURED = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


def _opened_notebook(result: OpenedNotebook) -> Markup:
    left = _MAX_IMAGES
    parts: list[Markup] = [heading(result.path, faint(f"of {result.experiment}"))]
    for found in result.cells:
        if not found.is_code:
            parts.append(tag("pre", found.source))
            continue
        title = "parameters of this run" if found.number is None else f"cell {found.number}"
        parts.append(tag("p", faint(title)))
        parts.append(tag("div", tag("pre", found.source), class_="nbexp-cell"))
        for output in found.outputs:
            shown, size = _output(output, left)
            left -= size
            parts += shown
    return joined(parts)


def _opened_picture(result: OpenedPicture) -> Markup:
    title = heading(result.path, faint(f"of {result.experiment}: {texts.picture_words(result)}"))
    address = f"data:{result.mime};base64,{base64.b64encode(result.data).decode()}"
    if len(address) > _MAX_IMAGES:
        return joined([title, tag("p", "too large for a cell; ", code("-o FILE"), " writes it")])
    # As an image, SVG runs no script and fetches nothing.
    image = Markup(tag("img", src=address, alt=result.path).removesuffix("</img>"))
    return joined([title, tag("p", image)])


def _opened_table(result: OpenedTable) -> Markup:
    shown = result.columns[:_MAX_TABLE_COLUMNS]
    numeric = [
        all(_is_numeral(row[at]) for row in result.rows if at < len(row))
        for at in range(len(shown))
    ]
    heads = [head(name, is_number=number) for name, number in zip(shown, numeric, strict=True)]
    lines = [
        tag(
            "tr",
            *(
                cell(brief(value), is_number=number)
                for value, number in zip(row, numeric, strict=False)
            ),
        )
        for row in result.rows
    ]
    more = len(result.columns) - len(shown)
    words = f"of {result.experiment}: {texts.table_words(result)}"
    left_out = f", {more} more columns" if more else ""
    return joined([heading(result.path, faint(words + left_out)), grid(heads, lines)])


def _is_numeral(value: object) -> bool:
    """Whether a cell is a number, or the text of one."""
    if is_number(value) or value is values.MISSING or value is None or value == "":
        return True
    try:
        float(value)  # type: ignore[arg-type]  # what is no text either says so
    except (TypeError, ValueError):
        return False
    return True


def _opened_text(result: OpenedText) -> Markup:
    more = texts.text_words(result)
    words = f"of {result.experiment}{f': {more}' if more else ''}"
    body = tag("pre", "\n".join(map(said.printable, result.lines)))
    return joined([heading(result.path, faint(words)), scrolled(body)])


def _opened_directory(result: OpenedDirectory) -> Markup:
    words = f"of {result.experiment}: {texts.directory_words(result)}"
    lines = [
        tag(
            "tr",
            tag("th", one.name, scope="row", align="left"),
            cell(said.sized(one.size), is_number=True),
            cell("" if one.files is None else one.files, is_number=True),
        )
        for one in result.entries
    ]
    heads = [head("name"), head("size", is_number=True), head("files", is_number=True)]
    return joined([heading(result.path, faint(words)), grid(heads, lines)])


def _output(output: Mapping[str, object], room: int) -> tuple[list[Markup], int]:
    """An output without anything that acts: images as data, all else as its text."""
    if output.get("output_type") == "error":
        trace = output.get("traceback")
        lines = "\n".join(map(str, trace)) if isinstance(trace, list) and trace else ""
        said = lines or f"{output.get('ename')}: {output.get('evalue')}"
        return [tag("pre", "✗ ", _shortened(said), class_="nbexp-bad")], 0
    data = output.get("data")
    if not isinstance(data, Mapping):
        return [tag("pre", _shortened(_text(output.get("text"))))], 0
    words = _shortened(_text(data.get("text/plain")))
    for mime, address in _images(data):
        if len(address) > room:
            return [
                tag("p", faint(f"[{mime}, {len(address) // 1000} kB, left out here] {words}"))
            ], 0
        return [tag("p", tag("img", src=address, alt=words))], len(address)
    others = ", ".join(sorted(set(data) - {"text/plain"}))
    return [tag("pre", words or f"[{others}]")], 0


def _images(data: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Images as addresses that hold their data. As an image, SVG runs no script and fetches nothing."""
    for mime in ("image/png", "image/jpeg", "image/gif", "image/webp"):
        content = _text(data.get(mime))
        if content and _BASE64.fullmatch(content):
            yield mime, f"data:{mime};base64,{''.join(content.split())}"
    drawing = _text(data.get("image/svg+xml"))
    if drawing:
        yield (
            "image/svg+xml",
            f"data:image/svg+xml;base64,{base64.b64encode(drawing.encode()).decode()}",
        )


def _text(value: object) -> str:
    """A text of the notebook format, which may be a list of lines."""
    if value is None:
        return ""
    return (
        "".join(map(str, value))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else str(value)
    )


def _shortened(text: str) -> str:
    return texts.shortened(_COLOURED.sub("", text).rstrip("\n"), _MAX_TEXT)


def _notebook_text(result: OpenedNotebook) -> str:
    return texts.opened_notebook(result, _MAX_TEXT)


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "OpenedNotebook": _opened_notebook,
    "OpenedPicture": _opened_picture,
    "OpenedTable": _opened_table,
    "OpenedText": _opened_text,
    "OpenedDirectory": _opened_directory,
}

TEXTS: Mapping[str, Callable[[Any], str]] = {"OpenedNotebook": _notebook_text}
