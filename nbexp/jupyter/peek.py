"""What a project holds, read from its files alone: no Git process, and no parser where a line will do.

For what must answer at once (Tab, `%load_ext`) and may be wrong where a file is unusual; every command reads
the same things properly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_LIVE = "dvclive/plots/metrics"
_RUNS = 50  # more than anybody picks from a list


class Peek:
    """A project: its root, the directory one works in, and the Git folder that has its refs."""

    def __init__(self, root: Path, here: Path, git: Path) -> None:
        self.root = root
        self.here = here
        self.git = git

    @property
    def stages(self) -> list[str]:
        """The names under `stages:` in the dvc.yaml of this directory, else of the root."""
        for folder in (self.here, self.root):
            try:
                return _keys_of((folder / "dvc.yaml").read_text(encoding="utf-8"), "stages")
            except (OSError, UnicodeDecodeError):
                continue
        return []

    @property
    def experiments(self) -> list[str] | None:
        """The names of all experiments; None where Git keeps its refs in a form of its own."""
        found = _refs(self.git, "refs/exps")
        if not found:
            return None if found is None else []
        from nbexp.formats import ref_names

        return sorted({parsed.name for ref in found if (parsed := ref_names.parse(ref))})

    @property
    def removed(self) -> list[str]:
        """The names of the experiments in the trash."""
        return sorted({ref.split("/")[-2] for ref in _refs(self.git, "refs/nbexp/trash") or ()})

    @property
    def branches(self) -> list[str]:
        return sorted(
            ref.removeprefix("refs/heads/") for ref in _refs(self.git, "refs/heads") or ()
        )

    @property
    def remotes(self) -> list[str]:
        """The Git remotes that the repository's own configuration names."""
        try:
            text = (self.git / "config").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return []
        return re.findall(r'^\s*\[remote "([^"\n]+)"\]', text, re.MULTILINE)

    @property
    def live(self) -> list[str]:
        """The names that training code logged by step, as far as they are in the workspace."""
        folders = dict.fromkeys((self.here / _LIVE, self.root / _LIVE))
        return sorted(
            {
                path.relative_to(folder).with_suffix("").as_posix()
                for folder in folders
                for path in folder.rglob("*.tsv")
            }
        )

    @property
    def runs(self) -> list[tuple[str, float]]:
        """The newest runs of the run cache, by the start of their key, and when each was saved."""
        from nbexp.experiments.place import home
        from nbexp.formats import config
        from nbexp.store import runs

        folder = config.read(self.root / ".dvc", home=home()).cache_dir
        newest = {one.key[:7]: one.mtime_ns / 1e9 for one in reversed(runs.listed(folder)[:_RUNS])}
        return [*reversed(newest.items())]

    def file(self, name: str) -> Path | None:
        """A file of the project that is named as from this directory, or from the root."""
        return next(
            (path for folder in (self.here, self.root) if (path := folder / name).is_file()), None
        )


def around(here: Path) -> Peek | None:
    """The project around a directory; None outside of one."""
    root = None
    for folder in (here, *here.parents):
        if root is None and (folder / ".dvc").is_dir():
            root = folder
        if (folder / ".git").exists():
            git = _common(folder / ".git")
            return Peek(root, here, git) if root is not None and git is not None else None
    return None


def _common(git: Path) -> Path | None:
    """The folder with the refs: `.git` itself, or where a linked work tree or submodule points."""
    try:
        if git.is_file():
            target = git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            git = git.parent / target
        link = git / "commondir"
        if link.is_file():
            git = git / link.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return git


def _refs(git: Path, prefix: str) -> set[str] | None:
    if (git / "reftable").is_dir():
        return None
    found = set(_packed(git, prefix))
    for path in (git / prefix).rglob("*"):
        if path.is_file() and path.suffix != ".lock":
            found.add(path.relative_to(git).as_posix())
    return found


def _packed(git: Path, prefix: str) -> Iterator[str]:
    try:
        lines = (git / "packed-refs").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, ref = line.partition(" ")
        if ref.startswith(f"{prefix}/") and line[0] not in "#^":
            yield ref


def _keys_of(text: str, section: str) -> list[str]:
    """The keys one level below a top-level key of a YAML file written in block style."""
    _, found, below = f"\n{text}".partition(f"\n{section}:")
    keys: list[str] = []
    indent = None
    for line in below.splitlines()[1:] if found else ():
        stripped = line.lstrip(" ")
        if not stripped or stripped.startswith("#"):
            continue
        depth = len(line) - len(stripped)
        if depth == 0:
            break
        indent = depth if indent is None else indent
        match = re.match(r"""(['"]?)([^'":]+)\1\s*:(\s|$)""", stripped)
        if depth == indent and match:
            keys.append(match[2].strip())
    return keys
