"""Result: what commands return, so that a cell, a terminal and a log can each show it their way.

A result knows nothing of how it looks. The face that draws it in a notebook is found by its name, as
plug-ins are, when a notebook asks; where none asks, nothing of it is loaded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from nbexp import plugins
from nbexp.frozen import brief

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

    __repr__ = brief

    def __str__(self) -> str:
        """What a terminal shows: `print(project.show())` is the table."""
        text: str = plugins.load("nbexp", "render").text(self)
        return text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        """What IPython asks of the last value of a cell; it picks from it what was asked for itself."""
        found: Bundle = plugins.load("nbexp.jupyter", "display").bundle(self)
        return found


def strict(value: object) -> object:
    """The value as strict JSON can hold it: what is not a number there (NaN, infinity) becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): strict(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(inner) for inner in value]
    return value
