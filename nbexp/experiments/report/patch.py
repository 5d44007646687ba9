"""The code that differs between two states, as a unified diff.

Of a notebook it is the source of its code cells: its JSON is no text for people, and its outputs are no code.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

from nbexp.errors import ProjectFileError
from nbexp.formats import notebook

# A comment on GitHub holds 65,536 characters, and nobody reads a thousand lines in one.
MAX_LINES, MAX_LINE, _MAX_BYTES = 400, 500, 1_000_000
# What steers a terminal, or turns the direction of writing; neither belongs to code that is read.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")

Read = Callable[[str], bytes | None]


def unified(changes: Iterable[tuple[str, str]], old: Read, new: Read) -> str:
    """What changed in each file of (path, "added" | "modified" | "deleted"); empty when nothing did.

    What is no text, or large, is told in one line. After `MAX_LINES` lines the rest is counted, not shown.
    """
    lines: list[str] = []
    for path, _ in changes:
        before, after = _text(path, old(path)), _text(path, new(path))
        if isinstance(before, str) or isinstance(after, str):
            words = before if isinstance(before, str) else after
            lines.append(f"{path}: {words}")
            continue
        found = difflib.unified_diff(
            before or [],
            after or [],
            "/dev/null" if before is None else f"a/{path}",
            "/dev/null" if after is None else f"b/{path}",
            lineterm="",
        )
        lines += [_seen(line) for line in found]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [f"… {len(lines) - MAX_LINES} more lines"]
    return "\n".join(lines)


def counted(patch: str) -> tuple[int, int]:
    """The lines that a patch adds and those it takes away."""
    lines = patch.splitlines()
    return (
        sum(line.startswith("+") and not line.startswith("+++ ") for line in lines),
        sum(line.startswith("-") and not line.startswith("--- ") for line in lines),
    )


def _text(path: str, data: bytes | None) -> list[str] | str | None:
    """The lines of a file; a text that says why there are none to show; None when there is no file."""
    if data is None:
        return None
    if len(data) > _MAX_BYTES:
        return f"{len(data) / 1e6:.1f} MB, not shown"
    if path.endswith(".ipynb"):
        try:
            cells = notebook.read(data, path).cells
        except ProjectFileError:
            return "a notebook that cannot be read"
        return [
            line
            for cell in cells
            for line in (f"# cell {cell.number}", *cell.source.splitlines(), "")
        ]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return "not text"
    return "not text" if "\0" in text else text.splitlines()


def _seen(line: str) -> str:
    found = _UNSEEN.sub("�", line)
    return found if len(found) <= MAX_LINE else f"{found[:MAX_LINE]}…"
