"""What of a notebook's session its file does not say: cells that changed after they ran, and cells it does not have.

The kernel knows the source of every cell that it ran, the file what was saved; a cell's number says which belong
together. A number that is left from another session of the kernel is recognised by what ran under it: something that
is another cell of the file, or nothing like this one.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from nbexp.errors import ProjectFileError
from nbexp.events import Notice
from nbexp.formats import notebook

_FEW = 5
# Cells that have less in common are two cells, not one that was edited.
_ALIKE = 0.5


def notices(data: bytes, path: str, history: Sequence[str]) -> list[Notice]:
    """What is to be said before a notebook is recorded as its session's.

    Parameters
    ----------
    data
        The notebook as it was saved last.
    history
        What ran in its kernel: number n is element n - 1, the last one the cell that asks.
    """
    try:
        cells = [cell for cell in notebook.numbered(data, path) if cell[1].strip()]
    except ProjectFileError:
        return []
    ran = [text.strip() for text in history]
    saved = {source.strip() for _, source in cells}
    changed = [
        number
        for number, source in cells
        if number is not None
        and 0 < number < len(ran) + 1
        and source.strip() not in ran
        and ran[number - 1] not in saved
        and _is_alike(ran[number - 1], source.strip())
    ]
    found = []
    if changed:
        which = _listed(changed)
        does = "has" if len(changed) == 1 else "have"
        found.append(
            Notice(
                f"{which} of {path} {does} changed since running, so what this session holds is not what the file says.",
                "run them again, or the notebook from the top.",
            )
        )
    # The cell that asks is saved in any other case.
    if ran and ran[-1] and ran[-1] not in saved:
        found.append(
            Notice(
                f"{path} has edits that are not saved; the experiment has the file as it was saved last.",
                "save the notebook first.",
            )
        )
    return found


def _is_alike(one: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio() > _ALIKE


def _listed(numbers: Sequence[int]) -> str:
    named = ", ".join(f"[{number}]" for number in numbers[:_FEW])
    more = f" and {len(numbers) - _FEW} more" if len(numbers) > _FEW else ""
    return f"{'Cell' if len(numbers) == 1 else 'Cells'} {named}{more}"
