"""Results as plain text: what a terminal prints, and the text/plain of a cell.

One short function for each kind of result, in the file of its family; lines are aligned, nothing is cut. A family is
loaded when a result of it is shown: `status` has no use for what writes a plot.
"""

from __future__ import annotations

from importlib import import_module

from nbexp.results import Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# By the names of the classes, so that none has to be loaded to be known here; `WRITERS` of each family has the functions.
FAMILIES = {
    "runs": ("Experiment", "Imported", "Verified", "Saved", "Script", "Reproduced"),
    "tables": ("Table", "Groups", "Listing", "MeasureDiff", "MetricsShown", "Curves"),
    "plots": ("PlotsShown", "Chart", "Pictures", "PlotModified"),
    "diffs": ("Diff",),
    "notebooks": ("NotebookDiff",),
    "pipelines": (
        "Detected",
        "InitReport",
        "Setup",
        "StageWritten",
        "StageList",
        "Dag",
        "AddedStage",
    ),
    "drawings": ("Plot",),
    "plans": ("Status", "Plan", "Why"),
    "undo": ("Applied", "Undone", "Steps", "TrashList", "Untrashed"),
    "upkeep": ("Health", "Collected", "Cleaned"),
    "run_cache": ("RunTable", "CachedRun", "RestoredRun", "Promoted"),
    "alerts": ("Alerts",),
    "labels": ("Recorded", "Removed", "Renamed", "Tagged"),
    "sharing": ("Branches", "Branched", "Pushed", "PulledExperiments"),
    "data": (
        "Added",
        "CheckedOut",
        "Committed",
        "DataDiff",
        "DataStatus",
        "Garbage",
        "Unprotected",
    ),
    "queue": (
        "Queued",
        "QueueStatus",
        "WorkersStarted",
        "WorkersStopped",
        "QueuePaused",
        "TasksChanged",
        "TaskLog",
        "RunOver",
    ),
    "opened": (
        "OpenedBytes",
        "OpenedDirectory",
        "OpenedNotebook",
        "OpenedPicture",
        "OpenedTable",
        "OpenedText",
    ),
    "sweeps": ("Sweep", "Sweeps", "SweepPlan", "SweepForm"),
}
_FAMILY_OF = {name: family for family, names in FAMILIES.items() for name in names}


def text(result: object) -> str:
    """The result in words; ends without a newline."""
    write = _writer(type(result).__name__)
    if write is not None:
        return write(result)
    has_own = type(result).__str__ is not Result.__str__
    return (str(result) if has_own else repr(result)).rstrip("\n")


def in_colour(result: object) -> str:
    """The text for a terminal that has colours: of code that changed, what is new is green, what is gone red."""
    if type(result).__name__ == "Table":
        found: str = import_module("nbexp.render.tables").table_in_colour(result)
        return found
    found = text(result)
    if type(result).__name__ != "Diff":
        return found
    codes = {"+": "32", "-": "31", "@": "36"}
    return "\n".join(
        f"\x1b[{codes[line[0]]}m{line}\x1b[0m" if line[:1] in codes else line
        for line in found.split("\n")
    )


def _writer(kind: str) -> Callable[[object], str] | None:
    family = _FAMILY_OF.get(kind)
    if family is None:
        return None
    writers: Mapping[str, Callable[[object], str]] = import_module(f"nbexp.render.{family}").WRITERS
    return writers[kind]
