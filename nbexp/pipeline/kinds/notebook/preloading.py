"""Which libraries a kernel may have loaded before its notebook asks for them.

Only those that the notebook imports, before it does anything that could change what loading them does, and
only from the list here: large, installed by the user, the same whoever loads them. A library that starts
threads or touches a device when it is loaded is not on it, nor is a module of a project.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# What is imported -> what is loaded for it. `matplotlib.pyplot` looks for the notebook's shell when it is
# loaded, so it is left to the notebook; what takes its time is below it.
_LOADED: Mapping[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "pandas": ("pandas",),
    "PIL": ("PIL.Image",),
    "matplotlib": (
        "matplotlib",
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
    ),
}
_IMPORT = re.compile(
    r"^[ \t]*(?:import[ \t]+(.+)|from[ \t]+([A-Za-z_][\w.]*)[ \t]+import\b.*)$", re.MULTILINE
)
# After one of these, a library may be loaded in another way, or another one.
_CHANGES = re.compile(
    r"environ|putenv|set_env|%env|%pip|%conda|pip install|sys\.|importlib|%run|chdir|%cd"
)
_MATPLOTLIBRC = "matplotlibrc"


def libraries(cells: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[str, ...]:
    """The modules to load ahead for a notebook of these code cells, in the order of the list."""
    wanted: set[str] = set()
    for cell in cells:
        if _CHANGES.search(cell):
            break
        wanted.update(_imported(cell))
    if "matplotlib" in wanted and _has_matplotlibrc(cwd, env):
        wanted.discard("matplotlib")
    return tuple(
        module for name, modules in _LOADED.items() if name in wanted for module in modules
    )


def _imported(cell: str) -> Iterator[str]:
    """The names of packages that import statements of the cell begin with."""
    for found in _IMPORT.finditer(cell):
        for part in (found[1] or found[2]).split(","):
            yield part.split()[0].partition(".")[0] if part.split() else ""


def _has_matplotlibrc(cwd: Path, env: Mapping[str, str]) -> bool:
    """Whether matplotlib would read settings of the user or the project, which it does when it is loaded."""
    home = Path(env.get("HOME") or os.path.expanduser("~"))
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "matplotlib"
    folders = [cwd, config, home / ".matplotlib"]
    if env.get("MPLCONFIGDIR"):
        folders.append(Path(env["MPLCONFIGDIR"]))
    return "MATPLOTLIBRC" in env or any((folder / _MATPLOTLIBRC).exists() for folder in folders)
