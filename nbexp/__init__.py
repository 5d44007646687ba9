"""Experiment versioning for people who work in notebooks.

    project = nbexp.open()                          # the project around the current directory
    exp = project.run({"train.lr": 0.01})           # an Experiment: name, rev, baseline, params, metrics
    project.show().to_frame()                       # every experiment as a pandas DataFrame
    nbexp.get("low-lr", "model.pkl", out="m.pkl")   # a file of any experiment, also from another repository
    with nbexp.Live() as live: live.log(acc=0.93)   # in training code

In a notebook: `%load_ext nbexp`, then `%exp init train.ipynb`, `%exp run`, `%exp show`.

Importing this package loads the standard library only; each name is loaded on first use.
"""

from __future__ import annotations

from nbexp.version import __version__

TYPE_CHECKING = False  # `typing` itself takes 4 ms, and `nbexp --version` needs nothing else of it
if TYPE_CHECKING:
    from typing import Any

    from nbexp import errors, live
    from nbexp.live import Live
    from nbexp.project import Experiment, Project, get, open  # noqa: A004  (`nbexp.open()` is the API)

__all__ = ["Experiment", "Live", "Project", "__version__", "errors", "get", "live", "open"]

_HOMES = {
    "Experiment": "nbexp.project",
    "Live": "nbexp.live",
    "Project": "nbexp.project",
    "get": "nbexp.project",
    "open": "nbexp.project",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in {"errors", "live"}:
        return importlib.import_module(f"nbexp.{name}")
    raise AttributeError(f"module 'nbexp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(ipython: Any) -> None:
    """What `%load_ext nbexp` calls."""
    from nbexp.jupyter import magics

    magics.load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """What `%unload_ext nbexp` calls."""
    from nbexp.jupyter import magics

    magics.unload(ipython)
