"""What `open` shows of a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, counted, printable, shown, size, sized

if TYPE_CHECKING:
    from nbexp.experiments.opened import OpenedNotebook
    from nbexp.experiments.opening import (
        OpenedBytes,
        OpenedDirectory,
        OpenedPicture,
        OpenedTable,
        OpenedText,
    )


def _opened_notebook(result: OpenedNotebook) -> str:
    return opened_notebook(result)


def opened_notebook(result: OpenedNotebook, most: int | None = None) -> str:
    """The notebook as text; of each output no more than `most` letters."""
    lines = [f"{result.path} of {result.experiment}"]
    for cell in result.cells:
        if not cell.is_code:
            lines += ["", *(f"  {line}" for line in cell.source.splitlines())]
            continue
        title = "parameters of this run:" if cell.number is None else f"cell {cell.number}:"
        lines += ["", title, *(f"  | {line}" for line in cell.source.splitlines())]
        for output in cell.outputs:
            text = shortened(_output_text(output), most)
            lines += [f"  {line}" for line in text.splitlines()]
    return "\n".join(lines)


def shortened(text: str, most: int | None) -> str:
    """The beginning of a text that is longer, and how much more there is."""
    if most is None or len(text) <= most:
        return text
    return f"{text[:most]}\n… {len(text) - most} more characters"


def _output_text(output: Mapping[str, object]) -> str:
    if output.get("output_type") == "error":
        return f"{output.get('ename')}: {output.get('evalue')}"
    if "text" in output:
        return _joined(output["text"])
    data = output.get("data")
    if isinstance(data, dict):
        if "text/plain" in data:
            return _joined(data["text/plain"])
        return f"[{', '.join(sorted(data))}]"
    return ""


def _joined(value: object) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _opened_picture(result: OpenedPicture) -> str:
    words = [f"{result.path} of {result.experiment}: {picture_words(result)}"]
    return f"{words[0]}   (write it to a file: -o FILE)"


def picture_words(result: OpenedPicture) -> str:
    """`PNG picture, 640 x 480, 34 kB`."""
    kind = result.mime.partition("/")[2].partition("+")[0].upper()
    measures = "" if result.width is None else f", {result.width} x {result.height}"
    return f"{kind} picture{measures}, {sized(result.size)}"


def _opened_table(result: OpenedTable) -> str:
    rows = [list(result.columns), *([shown(value) for value in row] for row in result.rows)]
    title = f"{result.path} of {result.experiment}: {table_words(result)}"
    return "\n".join([title, "", *aligned(rows)])


def table_words(result: OpenedTable) -> str:
    """`3 rows`; `the first 20 of 1,000 rows`; `the first 20 of about 2,000,000 rows`."""
    count = len(result.rows)
    if result.total is None:
        return f"the first {counted(count, 'row')} of {sized(result.size)}"
    if count == result.total:
        return counted(count, "row")
    about = "" if result.is_exact else "about "
    return f"the first {count:,} of {about}{result.total:,} rows"


def _opened_text(result: OpenedText) -> str:
    lines = [printable(line) for line in result.lines]
    more = text_words(result)
    title = f"{result.path} of {result.experiment}{f': {more}' if more else ''}"
    return "\n".join([title, "", *lines])


def text_words(result: OpenedText) -> str:
    """What is left out of a long text; nothing where all of it is shown."""
    count = len(result.lines)
    if result.total is None:
        return f"the first {counted(count, 'line')} of {sized(result.size)}"
    return f"the first {count:,} of {result.total:,} lines" if count < result.total else ""


def _opened_directory(result: OpenedDirectory) -> str:
    title = f"{result.path} of {result.experiment}: {directory_words(result)}"
    rows = [
        [
            f"  {printable(one.name)}",
            sized(one.size),
            "" if one.files is None else counted(one.files, "file"),
        ]
        for one in result.entries
    ]
    return "\n".join([title, "", *aligned(rows)])


def directory_words(result: OpenedDirectory) -> str:
    """`12 files, 3.4 MB`, and what is left out of a long listing."""
    words = counted(result.total, "file")
    words += "" if result.size is None else f", {size(result.size)}"
    here = sum(1 if one.files is None else one.files for one in result.entries)
    return words if here == result.total else f"{words}; the first {len(result.entries)} entries"


def _opened_bytes(result: OpenedBytes) -> str:
    first = f"{result.path} of {result.experiment}: {sized(result.size)}, md5 {result.md5}"
    return f"{first}   (write it to a file: -o FILE)"


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "OpenedBytes": _opened_bytes,
    "OpenedDirectory": _opened_directory,
    "OpenedNotebook": _opened_notebook,
    "OpenedPicture": _opened_picture,
    "OpenedTable": _opened_table,
    "OpenedText": _opened_text,
}
