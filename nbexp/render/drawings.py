"""Pictures of experiments as numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned

if TYPE_CHECKING:
    from nbexp.experiments.plotting import Plot

MAX_LINES = 40


def _plot(result: Plot) -> str:
    """Heading, the numbers of each view, and what is left out."""
    from nbexp.plots import look

    parts = []
    for view in result.views:
        heading, _, notes = look.told(view.draw())
        lines = view.lines()
        more = len(lines) - 1 - MAX_LINES
        text = [heading or f"{view.kind} of {result.metric}", *aligned(lines[: MAX_LINES + 1])]
        if more > 0:
            text.append(f"… {more:,} more rows: `to_frame()` has all")
        parts.append("\n".join([*text, *(f"({note})" for note in notes)]))
    return "\n\n".join(parts)


WRITERS: Mapping[str, Callable[[Any], str]] = {"Plot": _plot}
