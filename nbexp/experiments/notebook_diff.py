"""What changed in executed notebooks from one state to another: cell by cell, source, text and pictures.

    cells of both -> pairs -> of each pair what differs

Cells are paired by what they say, not by their numbers, so a cell that was put in between does not make all
that follow it differ. nbdime does so for files; here the notebooks are of experiments, have a parameters cell of
their own, and 200 cells are to take no longer than a look (`docs/design/notebook-diff.md`).
"""

from __future__ import annotations

import base64
import binascii
import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from nbexp.errors import NotFound
from nbexp.experiments.pixels import Pixels
from nbexp.formats import notebook as formats
from nbexp.frozen import field, frozen
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.compare import Side

State = Literal["equal", "changed", "added", "removed"]

# Cells that have less than this in common are two cells, not one that was edited.
_LIKE = 0.5
_MAX_LINES = 2_000
_WORD = re.compile(r"\w+|[^\w\s]")
_COLOURED = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")


@frozen
class Picture:
    """A picture that a cell shows: its type, its bytes, and what stands for it as text."""

    mime: str
    data: bytes = field(repr=False)
    words: str = ""


@frozen
class OutputPair:
    """One output of a cell in both notebooks.

    Attributes
    ----------
    kind
        `text` or `picture`.
    lines
        Of text, how it differs: each line with `+`, `-` or a space in front; of equal text none.
    pixels
        Of two pictures, how far they differ; None of vector graphics, and where one is missing.
    """

    kind: Literal["text", "picture"]
    state: State
    lines: tuple[str, ...] = ()
    old: Picture | None = None
    new: Picture | None = None
    pixels: Pixels | None = None

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {"kind": self.kind, "state": self.state}
        if self.kind == "text":
            return {**found, "lines": [*self.lines]}
        found |= {"old": self.old and self.old.mime, "new": self.new and self.new.mime}
        return {**found, "pixels": self.pixels.to_json()} if self.pixels else found


@frozen
class CellPair:
    """A cell in both notebooks, or in one of them.

    Attributes
    ----------
    kind
        `code`, `markdown`, `raw`, or `parameters`: what the run was given.
    old_number, new_number
        Of code cells, as everywhere in nbexp: the n of `In [n]` after a run from top to bottom.
    old_source, new_source
        None where the cell is not there.
    source
        How the source differs, as `OutputPair.lines`; empty where it is equal. Of a cell that is in one alone, all of it.
    """

    kind: Literal["code", "markdown", "raw", "parameters"]
    state: State
    old_number: int | None
    new_number: int | None
    old_source: str | None = field(repr=False)
    new_source: str | None = field(repr=False)
    source: tuple[str, ...] = ()
    outputs: tuple[OutputPair, ...] = ()

    @property
    def outputs_differ(self) -> bool:
        return any(one.state != "equal" for one in self.outputs)

    def to_json(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "state": self.state,
            "old": self.old_number,
            "new": self.new_number,
            "source": [*self.source],
            "outputs": [one.to_json() for one in self.outputs if one.state != "equal"],
        }


@frozen
class NotebookPair:
    """An executed notebook in both states; `state` is that of the file, whose cells are all in order."""

    path: str
    state: State
    cells: tuple[CellPair, ...] = ()

    @property
    def changed(self) -> tuple[CellPair, ...]:
        """The cells that differ."""
        return tuple(cell for cell in self.cells if cell.state != "equal")

    def to_json(self) -> dict[str, object]:
        return {
            "path": self.path,
            "state": self.state,
            "cells": len(self.cells),
            "changed": [cell.to_json() for cell in self.changed],
        }


@frozen
class NotebookDiff(Result):
    """How executed notebooks differ between two states, which are `old` and `new` for people."""

    old: str
    new: str
    notebooks: tuple[NotebookPair, ...]

    def __repr__(self) -> str:
        count = sum(len(one.changed) for one in self.notebooks)
        return f"<NotebookDiff {self.old} -> {self.new}: {count} cells>"

    @property
    def is_empty(self) -> bool:
        return all(one.state == "equal" for one in self.notebooks)

    def to_json(self) -> dict[str, object]:
        return {
            "old": self.old,
            "new": self.new,
            "notebooks": [one.to_json() for one in self.notebooks],
        }

    def to_markdown(self) -> str:
        """For a pull request: a heading for each notebook, a diff for each cell; pictures as how much they differ."""
        parts = []
        for one in self.notebooks:
            parts.append(f"### {_md(one.path)}: {words(one)}")
            for cell in one.changed:
                parts.append(f"**{title(cell)}**")
                blocks = [cell.source]
                blocks += [output.lines for output in cell.outputs if output.kind == "text"]
                parts += [_fenced(context(lines)) for lines in blocks if lines]
                parts += [
                    f"- {picture_words(output)}"
                    for output in cell.outputs
                    if output.kind == "picture" and output.state != "equal"
                ]
        return "\n\n".join(parts) + "\n"


def words(one: NotebookPair) -> str:
    """`3 of 12 cells differ`, `equal`, `only in the new one`."""
    if one.state == "equal":
        return "all cells are equal"
    if one.state != "changed":
        return f"only in the {'new' if one.state == 'added' else 'old'} one"
    count, total = len(one.changed), len(one.cells)
    return f"{count} of {total} cell{'' if total == 1 else 's'} differ{'s' if count == 1 else ''}"


def title(cell: CellPair) -> str:
    """`cell 4: output differs`, `cell 5 (was 4): source and output differ`, `text added`."""
    number = cell.new_number if cell.new_number is not None else cell.old_number
    if cell.kind == "parameters":
        name = "parameters of this run"
    elif cell.kind != "code":
        name = "text"
    else:
        name = "cell" if not number else f"cell {number}"
    was, now = cell.old_number, cell.new_number
    if was and now and was != now:
        name += f" (was {was})"
    if cell.state in ("added", "removed"):
        return f"{name} {cell.state}"
    parts = ["source"] * bool(cell.source) + ["output"] * cell.outputs_differ
    if not parts:
        return name
    return f"{name}: {' and '.join(parts)} differ{'' if len(parts) == 2 else 's'}"


def picture_words(output: OutputPair) -> str:
    """`picture 640 x 480: 1,203 of 307,200 pixels differ (0.4 %)`."""
    if output.state in ("added", "removed"):
        return f"picture {output.state}"
    found = output.pixels
    if found is None:
        return "picture differs"
    if found.changed is None:
        if found.old_size and found.new_size and found.old_size != found.new_size:
            return f"picture: {_measures(found.old_size)} -> {_measures(found.new_size)}"
        return f"picture differs: {found.why}"
    size = _measures(found.new_size)
    if not found.changed:
        return f"picture {size}: all pixels are equal"
    share = 100 * found.changed / found.total
    shown = f"{share:.2g}" if share < 99.5 else f"{share:.0f}"
    return f"picture {size}: {found.changed:,} of {found.total:,} pixels differ ({shown} %)"


def context(lines: Sequence[str], around: int = 3) -> list[str]:
    """The lines that differ, with a few around them; what is left out is one line that says so."""
    near = {
        other
        for at, line in enumerate(lines)
        if line[:1] != " "
        for other in range(at - around, at + around + 1)
    }
    found: list[str] = []
    skipped = 0
    for at, line in enumerate(lines):
        if at in near:
            if skipped:
                found.append(f"… {skipped} equal line{'' if skipped == 1 else 's'}")
            skipped = 0
            found.append(line)
        else:
            skipped += 1
    if skipped:
        found.append(f"… {skipped} equal line{'' if skipped == 1 else 's'}")
    return found


def _measures(size: tuple[int, int] | None) -> str:
    return "" if size is None else f"{size[0]} x {size[1]}"


def _md(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def _fenced(lines: Sequence[str]) -> str:
    """A block of a diff; its fence is longer than any in it, so nothing in it ends it."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}diff", *lines, fence])


def compare(old: Side, new: Side) -> NotebookDiff:
    """How the executed notebooks of two states differ.

    Raises
    ------
    NotFound
        Neither has any.
    ProjectFileError
        One of them is no notebook.
    """
    paths = sorted({*old.notebooks, *new.notebooks})
    if not paths:
        raise NotFound(
            f"Neither {old.name} nor {new.name} has an executed notebook.",
            "a notebook becomes a stage by `nbexp init train.ipynb`.",
        )
    return NotebookDiff(
        old.name,
        new.name,
        tuple(_notebook(path, old.notebooks.get(path), new.notebooks.get(path)) for path in paths),
    )


def _notebook(path: str, old: bytes | None, new: bytes | None) -> NotebookPair:
    if old is None or new is None:
        return NotebookPair(path, "added" if old is None else "removed")
    before, after = _cells(old, path), _cells(new, path)
    cells = tuple(
        _cell(
            None if left is None else before[left],
            None if right is None else after[right],
        )
        for left, right in aligned([one.key for one in before], [one.key for one in after])
    )
    is_equal = all(cell.state == "equal" for cell in cells)
    return NotebookPair(path, "equal" if is_equal else "changed", cells)


# ---- one notebook


@frozen
class _Cell:
    kind: Literal["code", "markdown", "raw", "parameters"]
    number: int | None
    source: str
    outputs: tuple[Picture | str, ...]

    @property
    def key(self) -> tuple[str, str]:
        # What a run was given is one cell, whatever it says.
        return (self.kind, "" if self.kind == "parameters" else self.source)


def _cells(data: bytes, path: str) -> list[_Cell]:
    numbers = {cell.index: cell.number for cell in formats.read(data, path).cells}
    found = []
    for index, raw in enumerate(json.loads(data).get("cells", [])):
        kind = raw.get("cell_type")
        tags = raw.get("metadata", {}).get("tags", [])
        if kind == "code" and formats.INJECTED in tags:
            kind = "parameters"
        elif kind not in ("code", "markdown"):
            kind = "raw"
        outputs = raw.get("outputs") if isinstance(raw.get("outputs"), list) else []
        found.append(
            _Cell(kind, numbers.get(index), _text(raw.get("source")), tuple(_outputs(outputs)))
        )
    return found


def _outputs(raw: Sequence[Mapping[str, Any]]) -> Iterator[Picture | str]:
    """The outputs in order; text that follows text is one output, as it was written in pieces."""
    text: list[str] = []
    for output in raw:
        picture = _picture(output)
        if picture is None:
            text.append(_said(output))
            continue
        if text:
            yield "".join(text)
            text = []
        yield picture
    if text:
        yield "".join(text)


def _picture(output: Mapping[str, Any]) -> Picture | None:
    data = output.get("data")
    if not isinstance(data, Mapping):
        return None
    for mime in _PICTURES:
        content = _text(data.get(mime))
        if not content:
            continue
        if mime == "image/svg+xml":
            return Picture(mime, content.encode(), _text(data.get("text/plain")))
        try:
            return Picture(mime, base64.b64decode(content), _text(data.get("text/plain")))
        except (binascii.Error, ValueError):
            continue
    return None


def _said(output: Mapping[str, Any]) -> str:
    if output.get("output_type") == "error":
        text = f"{output.get('ename')}: {output.get('evalue')}"
    elif isinstance(output.get("data"), Mapping):
        data = output["data"]
        text = _text(data.get("text/plain")) or f"[{', '.join(sorted(data))}]"
    else:
        text = _text(output.get("text"))
    text = _COLOURED.sub("", text)
    return text if not text or text.endswith("\n") else f"{text}\n"


def _text(value: object) -> str:
    """A text of the notebook format, which may be a list of lines."""
    if value is None:
        return ""
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


# ---- pairs


def aligned(
    old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]]
) -> list[tuple[int | None, int | None]]:
    """The places of both in one order: equal cells side by side, edited ones beside what they were.

    Examples
    --------
    >>> aligned([("code", "a = 1"), ("code", "b")], [("code", "a = 2"), ("code", "x y z"), ("code", "b")])
    [(0, 0), (None, 1), (1, 2)]
    """
    found: list[tuple[int | None, int | None]] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            found += zip(range(a, b), range(c, d), strict=True)
        else:
            found += _alike(old, new, range(a, b), range(c, d))
    return found


def _alike(
    old: Sequence[tuple[str, str]],
    new: Sequence[tuple[str, str]],
    left: range,
    right: range,
) -> Iterator[tuple[int | None, int | None]]:
    """Between two equal stretches: the pairs in order that have most in common."""
    words = {i: _words(old[i][1]) for i in left}, {j: _words(new[j][1]) for j in right}
    ratios = {
        (i, j): ratio
        for i in left
        for j in right
        if old[i][0] == new[j][0] and (ratio := _ratio(words[0][i], words[1][j])) >= _LIKE
    }
    # best[i][j]: what the cells from the i-th and the j-th on have in common at most.
    best = [[0.0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for at in reversed(range(len(left))):
        for to in reversed(range(len(right))):
            with_both = ratios.get((left[at], right[to]))
            best[at][to] = max(best[at + 1][to], best[at][to + 1])
            if with_both is not None:
                best[at][to] = max(best[at][to], with_both + best[at + 1][to + 1])
    at = to = 0
    while at < len(left) or to < len(right):
        both = ratios.get((left[at], right[to])) if at < len(left) and to < len(right) else None
        if both is not None and best[at][to] == both + best[at + 1][to + 1]:
            yield left[at], right[to]
            at, to = at + 1, to + 1
        elif at < len(left) and (to == len(right) or best[at][to] == best[at + 1][to]):
            yield left[at], None
            at += 1
        else:
            yield None, right[to]
            to += 1


def _words(source: str) -> frozenset[tuple[str, int]]:
    """What a cell says, word by word; a word that comes twice counts twice."""
    seen: Counter[str] = Counter()
    found = set()
    for word in _WORD.findall(source):
        seen[word] += 1
        found.add((word, seen[word]))
    return frozenset(found)


def _ratio(old: frozenset[tuple[str, int]], new: frozenset[tuple[str, int]]) -> float:
    """How much of two cells is the same, from 0 to 1. In what order is not asked: each is held against each."""
    total = len(old) + len(new)
    return 2 * len(old & new) / total if total else 1.0


def _cell(old: _Cell | None, new: _Cell | None) -> CellPair:
    one = new if new is not None else old
    assert one is not None
    source = _lines("" if old is None else old.source, "" if new is None else new.source)
    outputs = tuple(_paired(old.outputs if old else (), new.outputs if new else ()))
    state: State = "equal"
    if old is None:
        state = "added"
    elif new is None:
        state = "removed"
    elif source or any(output.state != "equal" for output in outputs):
        state = "changed"
    return CellPair(
        one.kind,
        state,
        old.number if old else None,
        new.number if new else None,
        old.source if old else None,
        new.source if new else None,
        source,
        outputs,
    )


def _paired(old: Sequence[Picture | str], new: Sequence[Picture | str]) -> Iterator[OutputPair]:
    """The outputs of a cell beside each other: the first text beside the first text, and so on."""
    before, after = ([isinstance(one, str) for one in side] for side in (old, new))
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            for left, right in zip(old[a:b], new[c:d], strict=True):
                yield _output(left, right)
            continue
        for one in old[a:b]:
            yield _output(one, None)
        for one in new[c:d]:
            yield _output(None, one)


def _output(old: Picture | str | None, new: Picture | str | None) -> OutputPair:
    state: State = "added" if old is None else "removed" if new is None else "changed"
    if isinstance(old, str) or isinstance(new, str):
        assert not isinstance(old, Picture)
        assert not isinstance(new, Picture)
        lines = _lines(old or "", new or "")
        return OutputPair("text", state if lines or state != "changed" else "equal", lines)
    if old is not None and new is not None:
        if old.data == new.data:
            return OutputPair("picture", "equal", (), old, new)
        if "image/svg+xml" not in (old.mime, new.mime):
            from nbexp.experiments import pixels

            found = pixels.compare(old.data, new.data)
            # Bytes differ where a library writes its version or the time into the file.
            state = "equal" if found.changed == 0 else "changed"
            return OutputPair("picture", state, (), old, new, found)
    return OutputPair("picture", state, (), old, new)


def _lines(old: str, new: str) -> tuple[str, ...]:
    """The lines of both, with `-`, `+` or a space in front; none where they are equal."""
    if old == new:
        return ()
    before, after = old.splitlines(), new.splitlines()
    if before == after:
        return ()
    cut = len(before) > _MAX_LINES or len(after) > _MAX_LINES
    matcher = difflib.SequenceMatcher(None, before[:_MAX_LINES], after[:_MAX_LINES], autojunk=False)
    found: list[str] = []
    for what, a, b, c, d in matcher.get_opcodes():
        if what == "equal":
            found += [f" {line}" for line in before[a:b]]
            continue
        found += [f"-{line}" for line in before[a:b]]
        found += [f"+{line}" for line in after[c:d]]
    if cut:
        found.append(f"… what comes after line {_MAX_LINES:,} was not compared")
    return tuple(found)
