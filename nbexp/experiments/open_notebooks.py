"""Notebooks that somebody has open: a file that changes under an editor costs one of its two versions.

What can be known without asking the editor, which no protocol of Jupyter's lets a program do:

- the notebook whose kernel asks (`Project.asking_notebook`);
- every notebook that a Jupyter server of this machine has a kernel for: jupyter_client writes its path into the
  kernel's connection file as `jupyter_session` (8.10, `local_provisioner.py`), and a kernel that lives listens at the ports named there.

Whether there is something unsaved in them is known to the browser alone: checkpoints and autosaves are made when the
file itself is written, so neither is ever newer. So all of these count as having unsaved changes. Not known are
notebooks of editors that start kernels their own way (VS Code), but for the one that asks, and those opened without a kernel.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from nbexp.errors import ProjectFileError
from nbexp.events import Notice
from nbexp.experiments import place
from nbexp.git import Git

ASKING, SERVED = "is the notebook you are in", "is open in Jupyter"

_WAIT_S = 0.2


def found(top: Path, asking: Path | None) -> dict[str, str]:
    """The open notebooks below `top`, by their path from there, and in what way each is open."""
    known = [(path, SERVED) for path in _served()]
    if asking is not None:
        known.append((asking, ASKING))
    root = top.resolve()
    ways = {}
    for path, way in known:
        try:
            ways[path.resolve().relative_to(root).as_posix()] = way
        except (ValueError, OSError):
            continue
    return ways


def to_keep(git: Git, root: Path, prefix: str, asking: Path | None) -> dict[str, str]:
    """The notebooks that must not be rewritten, from the top of the work tree, and in what way each is open.

    One that a stage writes and that somebody looks at is no work of theirs.
    """
    ways = found(git.root, asking)
    if SERVED in ways.values():
        from nbexp.pipeline import graph as graphs

        try:
            made = [posixpath.join(prefix, out.path) for _, out in graphs.load(root).outs]
        except ProjectFileError:
            made = []
        ways = {
            path: way
            for path, way in ways.items()
            if way == ASKING or not any(graphs.is_inside(path, out) for out in made)
        }
    return ways


def left_alone(
    path: str, keep: Mapping[str, str], rev: str | None, prefix: str, *, label: str
) -> Notice:
    """That a notebook stays as it is, and how to get the version that it would have become.

    Parameters
    ----------
    path
        From the top of the work tree; `prefix` is the project's root as seen from there.
    rev
        The commit that has that version at its path; None: no commit has it.
    label
        What tells that version from others, for the name it gets.
    """
    shown = posixpath.relpath(path, prefix or ".")
    hint = None
    if rev is not None:
        hint = f"`nbexp open {rev[:7]} {shown} -o {beside(shown, label)}` writes the other version beside it."
    return Notice(f"{shown} {keep.get(path, SERVED)} and stays as it is.", hint)


def beside(path: str, label: str) -> str:
    """The name of another version of a file, beside it: `lab@low-lr.ipynb`."""
    stem, suffix = posixpath.splitext(path)
    return f"{stem}@{re.sub(r'[^A-Za-z0-9._-]+', '-', label).strip('-')}{suffix}"


def _served() -> Iterator[Path]:
    """The notebooks that Jupyter servers of this machine have living kernels for."""
    try:
        files = sorted(_runtime_folder().glob("kernel-*.json"))
    except OSError:
        return
    for file in files:
        try:
            told = json.loads(file.read_bytes())
            session = told.get("jupyter_session")
        except (OSError, ValueError, AttributeError):
            continue
        is_one = isinstance(session, str) and session.endswith(".ipynb") and os.path.isfile(session)
        if is_one and _lives(told):
            yield Path(session)


def _lives(told: Mapping[str, object]) -> bool:
    """Whether the kernel of a connection file listens; a file alone may be left from before a crash."""
    import ipaddress
    import socket

    address, port = str(told.get("ip", "")), told.get("shell_port")
    # Never a name that would have to be looked up.
    host = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1"}.get(address, address)  # noqa: S104
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if told.get("transport") != "tcp" or not is_here:
        return True  # that cannot be asked from here; better one notebook too many left alone
    if not isinstance(port, int) or not 0 < port < 65536:
        return False
    try:
        with socket.create_connection((host, port), timeout=_WAIT_S):
            return True
    except OSError:
        return False


def _runtime_folder() -> Path:
    """Where Jupyter keeps connection files, as jupyter_core finds it."""
    own = os.environ.get("JUPYTER_RUNTIME_DIR")
    if own:
        return Path(own)
    data = os.environ.get("JUPYTER_DATA_DIR")
    if data:
        return Path(data) / "runtime"
    if sys.platform == "darwin":
        return place.home() / "Library" / "Jupyter" / "runtime"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", place.home())) / "jupyter" / "runtime"
    share = os.environ.get("XDG_DATA_HOME") or place.home() / ".local" / "share"
    return Path(share) / "jupyter" / "runtime"
