"""What experiments are called, and what is recorded about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, counted, duration, shown

if TYPE_CHECKING:
    from nbexp.experiments.labels import Recorded, Tagged
    from nbexp.experiments.ref_changes import Renamed
    from nbexp.project import Removed


def _removed(result: Removed) -> str:
    where = f" from {result.remote}" if result.remote is not None else ""
    return f"removed {', '.join(result.names)}{where}" if result.names else "nothing to remove"


def _renamed(result: Renamed) -> str:
    places = ["here"] * (result.here and result.remote is not None)
    places += [f"on {result.remote}"] if result.remote is not None else []
    where = f" {' and '.join(places)}" if places else ""
    replaced = (
        f"; the old {result.name} ({result.replaced[:7]}) is in the trash"
        if result.replaced
        else ""
    )
    if result.old == result.name:
        return f"{result.name} is called so already"
    return f"{result.old} is now {result.name}{where}{replaced}"


def _tagged(result: Tagged) -> str:
    star = "  ★" if result.star else ""
    return f"{result.experiment}: {', '.join(result.tags) or 'no tags'}{star}"


def _recorded(result: Recorded) -> str:
    star = "   ★" if result.star else ""
    rows = recorded_rows(result)
    if not rows:
        return (
            f"{result.experiment}   {result.rev[:7]}{star}\nnothing is recorded beside its commit"
        )
    cells = [
        [name if number == 0 else "", line]
        for name, value in rows
        for number, line in enumerate(value.split("\n"))
    ]
    lines = ["  " + line for line in aligned(cells)]
    return "\n".join([f"{result.experiment}   {result.rev[:7]}{star}", *lines])


def recorded_rows(result: Recorded) -> list[tuple[str, str]]:
    """What is recorded about an experiment, a line each; what is not there is left out."""
    run = result.run
    rows: list[tuple[str, object]] = [
        ("note", "\n".join(shown(line) for line in result.note.splitlines())),
        ("tags", ", ".join(result.tags)),
        *((name, run.get(name)) for name in ("command", "magic", "dvc", "directory", "started")),
    ]
    took = run.get("seconds")
    rows.append(("took", duration(took) if isinstance(took, (int, float)) else ""))
    stages = run.get("stages")
    if isinstance(stages, Mapping):
        rows.append(("stages", ", ".join(_stage_time(name, one) for name, one in stages.items())))
    cpus, user = run.get("cpus"), run.get("user")
    rows.append(("host", f"{run.get('host')}{f' ({user})' if user else ''}" if run else ""))
    platform = run.get("platform")
    rows.append(("platform", f"{platform}{f', {cpus} CPUs' if cpus else ''}" if platform else ""))
    gpus = run.get("gpu")
    rows.append(("gpu", ", ".join(map(str, gpus)) if isinstance(gpus, list) else ""))
    count = f", {counted(len(result.packages), 'package')}" if result.packages else ""
    rows.append(("python", f"{run.get('python')}{count}" if run.get("python") else ""))
    rows.append(("nbexp", run.get("nbexp")))
    return [(name, value if name == "note" else shown(value)) for name, value in rows if value]  # type: ignore[misc]


def _stage_time(name: str, told: object) -> str:
    action, seconds = (
        (told.get("action"), told.get("seconds")) if isinstance(told, Mapping) else (None, None)
    )
    if action == "ran" and isinstance(seconds, (int, float)):
        return f"{name} {duration(seconds)}"
    words = {"skipped": "unchanged", "taken": "taken as edited"}
    return f"{name} {words.get(str(action), action)}"


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Recorded": _recorded,
    "Removed": _removed,
    "Renamed": _renamed,
    "Tagged": _tagged,
}
