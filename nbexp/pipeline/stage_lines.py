"""The lines in which a run tells other processes what its stages are at, and the events that lines were made of.

    {"at": 1764450000.1, "kind": "plan", "needs": {"train": ["prepare"]}, "jobs": 2, "seconds": {"train": 3.1}}
    {"at": 1764450000.2, "kind": "start", "stage": "prepare"}
    {"at": 1764450001.4, "kind": "metric", "stage": "train", "step": 1, "values": {"acc": 0.5}}

Every run writes them, so that this loads nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from nbexp import events


def line_of(event: events.Event, at_s: float) -> bytes | None:
    """An event as a line for other processes, with its end; None for one that says nothing of stages."""
    said: dict[str, object]
    match event:
        case events.Planned(needs=needs, jobs=jobs, seconds=seconds):
            said = {"kind": "plan", "needs": needs, "jobs": jobs, "seconds": seconds}
        case events.StageSkipped(stage=stage):
            said = {"kind": "unchanged", "stage": stage}
        case events.DataTaken(stage=stage):
            said = {"kind": "taken", "stage": stage}
        case events.StageRestored(stage=stage):
            said = {"kind": "restored", "stage": stage}
        case events.StageStarted(stage=stage):
            said = {"kind": "start", "stage": stage}
        case events.CellStarted(stage=stage, cell=cell, total=total):
            said = {"kind": "cell", "stage": stage, "cell": cell, "cells": total}
        case events.CellFinished(stage=stage, cell=cell, total=total):
            said = {"kind": "cell-done", "stage": stage, "cell": cell, "cells": total}
        case events.MetricLogged(stage=stage, step=step, values=values):
            said = {"kind": "metric", "stage": stage, "step": step, "values": dict(values)}
        case events.CheckpointMade(stage=stage, step=step, name=name, rev=rev):
            said = {"kind": "checkpoint", "stage": stage, "step": step, "name": name, "rev": rev}
        case events.StageFinished(stage=stage, seconds=seconds_taken, cells=cells):
            said = {"kind": "done", "stage": stage, "seconds": seconds_taken, "cells": cells}
        case events.StageStopped(stage=stage, message=message):
            said = {"kind": "failed", "stage": stage, "message": message}
        case events.StageNotRun(stage=stage, because=because):
            said = {"kind": "not-run", "stage": stage, "because": because}
        case _:
            return None
    return json.dumps({"at": round(at_s, 3), **said}, separators=(",", ":")).encode() + b"\n"


def event_of(line: Mapping[str, Any]) -> events.Event | None:
    """The event that a line was made of; None where it is none of this version's."""
    try:
        return _event_of(line)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _event_of(line: Mapping[str, Any]) -> events.Event | None:
    stage = str(line.get("stage", ""))
    match line.get("kind"):
        case "plan":
            needs = {str(name): tuple(map(str, of)) for name, of in line["needs"].items()}
            seconds = {str(name): float(one) for name, one in line["seconds"].items()}
            return events.Planned(tuple(needs), needs, int(line["jobs"]), seconds)
        case "unchanged":
            return events.StageSkipped(stage)
        case "taken":
            return events.DataTaken(stage)
        case "restored":
            return events.StageRestored(stage)
        case "start":
            return events.StageStarted(stage, ())
        case "cell":
            return events.CellStarted(stage, int(line["cell"]), int(line["cells"]))
        case "cell-done":
            return events.CellFinished(stage, int(line["cell"]), int(line["cells"]))
        case "metric":
            return events.MetricLogged(stage, line["step"], line["values"])
        case "checkpoint":
            return events.CheckpointMade(stage, int(line["step"]), line["name"], line["rev"])
        case "done":
            return events.StageFinished(stage, float(line["seconds"]), line.get("cells"))
        case "failed":
            return events.StageStopped(stage, str(line["message"]))
        case "not-run":
            return events.StageNotRun(stage, line.get("because"))
    return None


def read(data: bytes) -> Iterator[Mapping[str, Any]]:
    """The whole lines of what a run wrote of itself; a torn one says nothing."""
    for line in data.split(b"\n"):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found
