"""Start JupyterLab on a folder's lab notebook.

It runs until it is stopped there, or by Ctrl-C here.

Examples
--------
  nbexp lab                           on lab.ipynb of this folder
  nbexp lab nbexp-demo                on that of another
  nbexp lab . -- --no-browser         with options of JupyterLab's own
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import NotFound
from nbexp.events import Emit
from nbexp.frozen import frozen
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.project import Project

needs_project = False

LAB = "lab.ipynb"


@frozen
class LabReport(Result):
    """JupyterLab has ended; `returncode` is what it ended with."""

    folder: Path
    returncode: int

    def to_json(self) -> dict[str, object]:
        return {"folder": str(self.folder), "returncode": self.returncode}

    def __str__(self) -> str:
        return "JupyterLab has ended."


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        default=".",
        help=f"the folder that holds {LAB} (default: this one)",
    )
    parser.add_argument(
        "options", metavar="OPTION", nargs="*", help="after `DIR --`: options for JupyterLab"
    )


def run(project: Project | None, args: argparse.Namespace, emit: Emit) -> LabReport:
    """Start JupyterLab with this process's terminal and wait for its end."""
    folder = Path(args.folder, Path(args.directory).expanduser()).resolve()
    if not (folder / LAB).is_file():
        raise NotFound(
            f"No {LAB} in {args.directory}. Nothing was started.",
            "`nbexp demo` makes a folder with one.",
        )
    if importlib.util.find_spec("jupyterlab") is None:
        raise NotFound("JupyterLab is not installed.", '`pip install "nbexp[lab]"`')
    child = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", LAB, *args.options], cwd=folder, env=_environment()
    )
    while True:
        try:
            return LabReport(folder, child.wait())
        except KeyboardInterrupt:
            # On a terminal Ctrl-C reaches JupyterLab too, which asks whether it is meant; in a
            # notebook only this process hears of it.
            if not sys.stdin.isatty():
                child.terminate()


def _environment() -> dict[str, str]:
    """Stages and kernels find the `python` and the `nbexp` that this is, also outside an activated one."""
    programs = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))
    return {**os.environ, "PATH": os.pathsep.join(programs), "JUPYTER_PREFER_ENV_PATH": "1"}
