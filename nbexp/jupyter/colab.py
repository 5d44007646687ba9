"""Google Colab: whether a project outlives the virtual machine that it is on, and how to keep it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def is_here(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the kernel runs on Colab."""
    return "COLAB_RELEASE_TAG" in environ or "google.colab" in sys.modules


def warning(here: Path, *, has_git_remote: bool, mounts: Path = Path("/proc/self/mounts")) -> str:
    """What to do before the machine is taken away."""
    push = (
        "%exp push --all" if has_git_remote else "!git remote add origin URL, then %exp push --all"
    )
    if _is_on_drive(here, mounts):
        return (
            "Colab: this folder is on Google Drive and stays when the machine goes; Git and data are slow there. "
            f"A clone in /content is fast; {push} keeps what is in it."
        )
    return f"Colab: this folder goes with the machine. Before it does: {push}"


def _is_on_drive(here: Path, mounts: Path) -> bool:
    """Whether the folder is on the file system that `drive.mount` mounted, wherever that was."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    drives = [
        Path(parts[1].replace("\\040", " "))
        for line in lines
        if len(parts := line.split()) > 2 and parts[0] == "drive" and parts[2].startswith("fuse")
    ]
    drives.append(Path("/content/drive"))
    return any(here.is_relative_to(drive) for drive in drives)
