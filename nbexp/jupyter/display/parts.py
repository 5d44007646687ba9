"""What the HTML of every family is made of: titles, values cut to a length, commands as a cell spells them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from nbexp import commands, render
from nbexp.jupyter.markup import Markup, joined, tag
from nbexp.render import words as said

if TYPE_CHECKING:
    from nbexp.experiments.compare import Change

MAX_ROWS = 50
MAX_VALUE = 60
# What is made of code, logs and values, and proposes no command of its own.
_OF_THE_USER = {
    "Text", "Table", "OpenedNotebook", "Opened", "CachedRun", "Script", "Diff", "NotebookDiff", "TaskLog", "Report",
    "Printed",
}  # fmt: skip


def heading(name: str, *words: object) -> Markup:
    """What a result is about, on a line of its own."""
    return tag("p", joined([tag("b", name), *words], "  "))


def brief(value: object) -> Markup:
    """A value as text; of a long one the beginning, with the whole under the pointer."""
    return cut(said.shown(value))


def cut(text: str) -> Markup:
    """A text; of a long one the beginning, with the whole under the pointer."""
    if len(text) <= MAX_VALUE:
        return joined([text])
    return tag("span", f"{text[:MAX_VALUE]}…", title=text)


def moment(seconds: int | None) -> str | None:
    """Date and time, to the second; for what stands under the pointer."""
    return None if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def verdict_mark(change: Change) -> Markup:
    """`✓ better` or `✗ worse` in their colours; nothing where neither is known."""
    if change.verdict is None:
        return Markup()
    is_better = change.verdict == "better"
    sign = "✓" if is_better else "✗"
    return tag(
        "span", f"{sign} {change.verdict}", class_="nbexp-good" if is_better else "nbexp-bad"
    )


def plain_text(result: object) -> str:
    """The text of a result, as a terminal shows it, with commands spelled as in a cell."""
    text = render.text(result)
    # Text of the user's own is left as it is; `nbexp run` may be a line of theirs.
    is_theirs = not _OF_THE_USER.isdisjoint(kind.__name__ for kind in type(result).__mro__)
    return text if is_theirs else in_cell_words(text)


def in_cell_words(text: str) -> str:
    """The text with every command spelled as in a cell: `%exp run` for `nbexp run`."""
    return _commands().sub("%exp ", text)


def _commands() -> re.Pattern[str]:
    """`nbexp` where one of its verbs follows; `notebook` is a stage's command, the same everywhere."""
    verbs = [*commands.names(), *commands.ALIASES, "help"]
    words = "|".join(re.escape(verb) for verb in verbs if verb != "notebook")
    return re.compile(rf"(?<![\w/.-])(?<!-m )nbexp (?=(?:{words})\b)")
