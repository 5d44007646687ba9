"""Notebooks that somebody has open: a file that changes under an editor costs one of its two versions.

The one whose kernel asks is known from that kernel (`Project.asking_notebook`). It is left alone by whatever rewrites
files, is named, and its other version is offered under another name.
"""

from __future__ import annotations

import posixpath
import re

from nbexp.events import Notice


def left_alone(path: str, rev: str | None, prefix: str, *, label: str) -> Notice:
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
    return Notice(f"{shown} is the notebook you are in and stays as it is.", hint)


def beside(path: str, label: str) -> str:
    """The name of another version of a file, beside it: `lab@low-lr.ipynb`."""
    stem, suffix = posixpath.splitext(path)
    return f"{stem}@{re.sub(r'[^A-Za-z0-9._-]+', '-', label).strip('-')}{suffix}"
