"""What is recorded about experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.jupyter.display.parts import heading
from nbexp.jupyter.markup import Markup, code, faint, joined, pairs, tag
from nbexp.render import labels as texts

if TYPE_CHECKING:
    from nbexp.experiments.labels import Recorded, Tagged


def _tagged(result: Tagged) -> Markup:
    star = [tag("span", "★", title="starred")] if result.star else []
    return heading(result.experiment, ", ".join(result.tags) or faint("no tags"), *star)


def _recorded(result: Recorded) -> Markup:
    star = [tag("span", "★", title="starred")] if result.star else []
    title = heading(result.experiment, faint(result.rev[:7]), *star)
    rows: list[tuple[object, ...]] = [
        (name, code(value) if name in ("command", "magic", "dvc") else value)
        for name, value in texts.recorded_rows(result)
    ]
    if not rows:
        return joined([title, tag("p", faint("nothing is recorded beside its commit"))])
    listed = [
        tag(
            "p",
            faint(f"{len(result.packages)} packages: "),
            code(f"%exp note {result.experiment} --json"),
        )
    ]
    return joined([title, pairs(rows), *(listed if result.packages else [])])


WRITERS: Mapping[str, Callable[[Any], Markup]] = {
    "Tagged": _tagged,
    "Recorded": _recorded,
}
