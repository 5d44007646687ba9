"""Result: what commands return, so that a cell, a terminal and a log can each show it their way.

A result knows nothing of how it looks. The face that draws it in a notebook is found by its name, as
plug-ins are, when a notebook asks; where none asks, nothing of it is loaded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from nbexp import plugins

if TYPE_CHECKING:
    from nbexp.errors import NbexpError

Bundle = tuple[dict[str, object], dict[str, object]]
"""What Jupyter shows: contents by MIME type, and metadata about some of them."""


class Asker(Protocol):
    """Somebody who reads and answers: a terminal, or lines that are piped in."""

    is_person: bool
    """Whether a person is there; lines of a pipe are answers that were written before."""

    def say(self, text: str) -> None:
        """Show a text."""

    def ask(self, question: str) -> str:
        """The answer to a question, without its line end; `EOFError` where nobody answers."""


class Result:
    """The base of everything a command returns; shown in a cell as text, as HTML, and plots as pictures."""

    __slots__ = ()

    @property
    def failure(self) -> NbexpError | None:
        """What was asked to hold and does not: told after the result, and what a cell fails with. None: all holds."""
        return None

    @property
    def exit_code(self) -> int:
        """What the process ends with that shows the result."""
        return 0 if self.failure is None else self.failure.exit_code

    def __repr__(self) -> str:
        """One short line, whatever the result holds: in a list, a debugger or a log."""
        shape = getattr(type(self), "__shape__", None)
        said = (_said(name, getattr(self, name)) for name in (shape.shown if shape else ()))
        text = ", ".join(filter(None, said))
        return f"<{type(self).__name__}{f': {_cut(text, _MAX_REPR)}' if text else ''}>"

    def __str__(self) -> str:
        """What a terminal shows: `print(project.show())` is the table."""
        text: str = plugins.load("nbexp", "render").text(self)
        return text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        """What IPython asks of the last value of a cell; it picks from it what was asked for itself."""
        found: Bundle = plugins.load("nbexp.jupyter", "display").bundle(self)
        return found


def _said(name: str, value: object) -> str:
    """A field in a few words; nothing of one that holds nothing."""
    if value is None or value is False or value in ("", (), {}):
        return ""
    if isinstance(value, str):
        return f"{name}={_cut(value, 30)!r}"
    if isinstance(value, (bool, int, float)):
        return f"{name}={value!r}"
    if isinstance(value, (tuple, list, dict)):
        return f"{len(value)} {name}"
    return f"{name}={_cut(repr(value), 30)}"


def _cut(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


_MAX_REPR = 90


def strict(value: object) -> object:
    """The value as strict JSON can hold it: what is not a number there (NaN, infinity) becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): strict(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(inner) for inner in value]
    return value
