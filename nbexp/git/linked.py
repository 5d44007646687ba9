"""A work tree linked to a repository, looked at without a reading process or configuration of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from nbexp.git import Git
from nbexp.git.cat_file import Object, Objects
from nbexp.git.process import run
from nbexp.git.ref_files import is_oid

_HEAD = re.compile(r"HEAD(?=$|[:^~@])")


class Linked(Git):
    """The work tree `root` of the repository that `main` is another work tree of.

    Objects are read through the process of `main`, and the configuration is that of `main`: who the
    user is there, they are here. To be closed before `main` is, which closing leaves alone.
    """

    def __init__(self, root: Path, folder: Path, main: Git) -> None:
        super().__init__(root, folder)
        self._main = main
        self.objects = _Shared(self, main.objects)

    def config(self) -> Mapping[str, str]:
        return self._main.config()


class _Shared(Objects):
    """The questions of a linked work tree, its own HEAD named in full, put to another's process."""

    def __init__(self, tree: Git, main: Objects) -> None:
        super().__init__(tree.root)
        self._tree = tree
        self._main = main

    def ask(self, verb: Literal["info", "contents"], specs: Sequence[str]) -> list[Object | None]:
        return self._main.ask(verb, [self._named(spec) for spec in specs])

    def _named(self, spec: str) -> str:
        return _HEAD.sub(self._head(), spec, count=1) if spec.startswith("HEAD") else spec

    def _head(self) -> str:
        """What HEAD is here: a commit, or a branch, whose name means the same in all work trees."""
        text = os.fsdecode((self._tree.folder / "HEAD").read_bytes()).strip()
        if is_oid(text):
            return text
        branch = text.removeprefix("ref: ")
        if branch != text and not branch.endswith("/.invalid"):
            return branch
        # A reftable repository keeps it elsewhere.
        found = run(self._tree.root, ["rev-parse", "--verify", "--quiet", "HEAD"], allowed=(0, 1))
        return found.decode().strip() or "HEAD"
