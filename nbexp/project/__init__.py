"""The project: the object users hold (`Project`), how it is found or made (`opening`), and what it answers (`results`)."""

from nbexp.experiments.card import RunReport, StageReport
from nbexp.project.opening import (
    bare,
    detect,
    get,
    init,
    open,  # noqa: A004  (`nbexp.open()` is the API)
    open_elsewhere,
    setup,
    user_configuration,
    warn_unfinished,
)
from nbexp.project.project import Project
from nbexp.project.results import (
    Branched,
    Branches,
    Experiment,
    Listing,
    Removed,
    Reproduced,
    ShowOptions,
    Status,
)

__all__ = [
    "Branched",
    "Branches",
    "Experiment",
    "Listing",
    "Project",
    "Removed",
    "Reproduced",
    "RunReport",
    "ShowOptions",
    "StageReport",
    "Status",
    "bare",
    "detect",
    "get",
    "init",
    "open",
    "open_elsewhere",
    "setup",
    "user_configuration",
    "warn_unfinished",
]
