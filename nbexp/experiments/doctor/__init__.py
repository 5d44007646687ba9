"""Is all as it should be: one look at everything a command may stumble over, and mending what is derived.

Each check is a function that tells findings, one line each. What only the user can decide is left as it is, with one
thing to do. With `fix` what can be made again from what is recorded is mended: nothing of the record is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from nbexp.errors import NbexpError
from nbexp.events import Emit, Phase
from nbexp.frozen import frozen
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.data import Site

Verdict = Literal["ok", "mended", "needs you"]

_LISTED = 3  # of many things found, so many are named


@frozen
class Finding(Result):
    """What one check found: `verdict` is `ok`, `mended` or `needs you`; `hint` is what to do then."""

    check: str
    verdict: Verdict
    text: str
    hint: str | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "check": self.check,
            "verdict": self.verdict,
            "text": self.text,
            "hint": self.hint,
        }


@frozen
class Health(Result):
    """What `doctor` found, check by check."""

    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        return f"<Health: {len(self.open)} of {len(self.findings)} findings need you>"

    @property
    def open(self) -> tuple[Finding, ...]:
        """The findings that need the user."""
        return tuple(one for one in self.findings if one.verdict == "needs you")

    @property
    def exit_code(self) -> int:
        return 1 if self.open else 0

    def to_json(self) -> dict[str, object]:
        return {
            "healthy": not self.open,
            "findings": [one.to_json() for one in self.findings],
        }


@frozen
class Visit:
    """What checks look at, and what they may do: `fix` mends, `rebuild` makes all that is derived anew, `full` reads
    every object of the cache.
    """

    site: Site
    emit: Emit
    fix: bool = False
    rebuild: bool = False
    full: bool = False


def counted(number: int, noun: str) -> str:
    """`1 note`, `2,000 notes`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def some(words: Sequence[str]) -> str:
    """The first few, and how many more there are: `a, b, c and 4 more`."""
    more = f" and {len(words) - _LISTED:,} more" if len(words) > _LISTED else ""
    return f"{', '.join(words[:_LISTED])}{more}"


Check = Callable[[Visit], Iterator[Finding]]


def examine(
    site: Site, emit: Emit, *, fix: bool = False, rebuild: bool = False, full: bool = False
) -> Health:
    """Every check, one after the other; one that cannot be carried out says why, and the others go on."""
    from nbexp.experiments.doctor import disk, repository

    visit = Visit(site, emit, fix or rebuild, rebuild, full)
    found: list[Finding] = []
    for check in (*disk.FIRST, *repository.CHECKS, *disk.LAST):
        name = check.__name__.replace("_", " ")
        emit(Phase(f"looking at {name}"))
        try:
            told = [*check(visit)]
        except (NbexpError, OSError) as error:
            hint = error.hint if isinstance(error, NbexpError) else None
            message = error.message if isinstance(error, NbexpError) else str(error)
            told = [Finding(name, "needs you", message, hint)]
        found += told
    return Health(tuple(found))
