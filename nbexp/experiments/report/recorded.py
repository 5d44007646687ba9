"""What is recorded about experiments beside their commits, as far as reports and sites show it.

It is JSON in Git notes, which `git notes --ref=nbexp show REV` prints. Where a run took place (host, user) is
left out on purpose: reports and sites go to other people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbexp.experiments import notes
from nbexp.frozen import field, frozen
from nbexp.git import Git


@frozen
class Recorded:
    """`seconds` are those of the stages that ran, by name; `command` is the line that makes the run again."""

    command: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    tags: tuple[str, ...] = ()
    star: bool = False


def read(git: Git, revs: Iterable[str]) -> dict[str, Recorded]:
    """What is known of each commit; those of which nothing is are left out."""
    return {rev: _of(told) for rev, told in notes.read(git, list(revs)).items()}


def words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes} min {left} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _of(told: Mapping[str, object]) -> Recorded:
    run = told.get("run")
    run = run if isinstance(run, Mapping) else {}
    stages = run.get("stages")
    seconds = {}
    for name, stage in (stages if isinstance(stages, Mapping) else {}).items():
        took = stage.get("seconds") if isinstance(stage, Mapping) else None
        if isinstance(took, (int, float)) and stage.get("action", "ran") == "ran":
            seconds[str(name)] = float(took)
    tags = told.get("tags")
    return Recorded(
        str(run.get("command") or ""),
        seconds,
        str(told.get("note") or ""),
        tuple(map(str, tags)) if isinstance(tags, list) else (),
        told.get("star") is True,
    )
