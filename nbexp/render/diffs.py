"""What differs between two states: values, code, data, environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, printable, shown, side, signed, sized

if TYPE_CHECKING:
    from nbexp.experiments.compare import Change, Diff
    from nbexp.experiments.differences import DataChange, EnvironmentChange, Patch


def _diff(result: Diff) -> str:
    if result.is_empty:
        return f"no difference between {result.old} and {result.new}"
    rows: list[list[str]] = []
    for title, changes in (("params", result.params), ("metrics", result.metrics)):
        named = zip(titles(changes), changes, strict=True)
        for number, (name, change) in enumerate(named):
            first = title.ljust(len("metrics")) if number == 0 else ""
            delta = signed(change.delta) if change.delta is not None and title == "metrics" else ""
            verdict = f"({change.verdict})" if title == "metrics" and change.verdict else ""
            rows.append([first, name, side(change.old), "->", side(change.new), delta, verdict])
    lines = aligned(rows)
    lines += aligned([["code   ", code_words(result.code)]])
    if result.outs:
        lines += aligned([["outputs", ", ".join(f"{path} {what}" for path, what in result.outs)]])
    for note in result.notebooks:
        lines.append(f"notebook {cell_words(note.cells)} ({note.path})")
    for title, words in (
        ("data", [data_words(change) for change in result.data if change.inside]),
        ("environment", environment_words(result.environment) if result.environment else []),
    ):
        lines += aligned([[title if number == 0 else "", one] for number, one in enumerate(words)])
    for patch in result.patches:
        lines += ["", patch_words(patch), *(printable(line) for line in patch.lines)]
    return "\n".join(lines)


def titles(changes: Sequence[Change]) -> list[str]:
    """The key of each change, with its file before it where another file has that key."""
    keys = [change.key for change in changes]
    return [
        change.key if keys.count(change.key) == 1 else f"{change.file}:{change.key}"
        for change in changes
    ]


def patch_words(patch: Patch) -> str:
    """`train.py modified (+3 -1)`."""
    counts = f"+{patch.added} -{patch.removed}" if patch.lines else patch.why
    return f"{shown(patch.path)} {patch.change} ({counts})"


def data_words(change: DataChange) -> str:
    """`images/3.png modified (1.2 kB -> 3 kB)`."""
    path = shown(change.path)
    if change.old_path:
        path = f"{shown(change.old_path)} -> {path}"
    sizes = [sized(one) for one in (change.old_size, change.new_size) if one is not None]
    size = f" ({' -> '.join(dict.fromkeys(sizes))})" if sizes else ""
    return f"{path} {change.change}{size}"


def environment_words(change: EnvironmentChange) -> list[str]:
    """`python 3.11.7 -> 3.12.1`, `numpy 1.26.4 -> 2.1.0`, `+ torch 2.5.0`, `- pandas 2.2.0`."""
    found = [f"{name} {shown(old)} -> {shown(new)}" for name, old, new in change.machine]
    for name, old, new in change.packages:
        if old is None:
            found.append(f"+ {name} {new}")
        elif new is None:
            found.append(f"- {name} {old}")
        else:
            found.append(f"{name} {old} -> {new}")
    return found


def code_words(code: Iterable[tuple[str, str]]) -> str:
    """`no change`, or what changed."""
    return ", ".join(f"{path} {what}" for path, what in code) or "no change"


def cell_words(cells: Sequence[int]) -> str:
    """`cell 2 output differs`, `cells 2, 3 output differs`."""
    if len(cells) == 1:
        return f"cell {cells[0]} output differs"
    return f"cells {', '.join(map(str, cells))} outputs differ"


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Diff": _diff,
}
