"""Making a project: where its root is, what a new one holds, and one commit of just the files written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import UsageError
from nbexp.formats import config
from nbexp.git import Git

# What a new repository should never track; an existing one has its own rules.
_NEW_IGNORES = b"# Notebook and Python leftovers\n.ipynb_checkpoints/\n__pycache__/\n"


def root_of(here: Path, git: Git | None) -> Path:
    """Where `.dvc` is or will be: the nearest one up to the top of the repository, else that top.

    Raises
    ------
    UsageError
        A new repository would hold the user's home directory, or the whole disk. Nothing was written.
    """
    if git is None:
        _refuse_everything(here.resolve())
        return here.resolve()
    for folder in (here.resolve(), *here.resolve().parents):
        if (folder / ".dvc").is_dir():
            return folder
        if folder == git.root:
            break
    return git.root


def _refuse_everything(root: Path) -> None:
    what = "the top of the disk" if root == Path(root.anchor) else "your home directory"
    if root in (Path(root.anchor), Path(os.path.expanduser("~")).resolve()):
        raise UsageError(
            f"{root} is {what}; a Git repository there would take all below it for its own. Nothing was written.",
            "give the project a folder: `mkdir my-project`, move the notebook there, and `nbexp init` there. "
            "(`git init` here first, if you mean it.)",
        )


def uncommitted(git: Git | None) -> tuple[str, ...]:
    """Tracked files with edits that no commit holds, from the repository's top; none where it is a new one."""
    return (
        () if git is None else tuple(change.path for change in git.status(untracked=False).changes)
    )


def write(
    root: Path, git: Git | None, files: Mapping[str, bytes], own: Sequence[Path], message: str
) -> tuple[tuple[str, ...], str]:
    """Write files and what a new project lacks, and commit them; what was written, and the commit.

    If anything fails, every file is as it was before.

    Parameters
    ----------
    git
        None: there is no repository yet, and one is made.
    files
        Relative to `root`.
    own
        Files of the user's that go into the commit as well, those that Git does not track yet.
    """
    is_more = bool(files)
    if not (root / ".dvc").is_dir():
        files = {**_dvc_folder(root), **files}
    if is_more and git is None and not (root / ".gitignore").exists() and ".gitignore" not in files:
        files = {**files, ".gitignore": _NEW_IGNORES + _environments(root)}
    before = {path: read(root / path) for path in files}
    missing = [folder for path in files for folder in (root / path).parents if not folder.exists()]
    try:
        for path, data in files.items():
            filesystem.atomic_write(root / path, data)
        repository = git if git is not None else Git.init(root)
        tracked = repository.is_tracked([_from_top(repository, path) for path in own])
        paths = [root / path for path in files]
        paths += [path for path in own if _from_top(repository, path) not in tracked]
        rev = repository.commit_paths([_from_top(repository, path) for path in paths], message)
    except BaseException:
        for path, old in before.items():
            if old is None:
                filesystem.remove(root / path)
            else:
                filesystem.atomic_write(root / path, old)
        for folder in sorted(set(missing), reverse=True):
            try:
                folder.rmdir()
            except OSError:
                pass  # not made yet, or somebody put something into it
        raise
    return _shown(files), rev


def read(path: Path) -> bytes | None:
    """The file's bytes; None where there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _environments(root: Path) -> bytes:
    """A line for each virtual environment that lies in the project and does not ignore itself, as newer ones do."""
    found = sorted(path.parent for path in root.glob("*/pyvenv.cfg"))
    return b"".join(
        os.fsencode(f"/{folder.name}/\n")
        for folder in found
        if not (folder / ".gitignore").exists()
    )


def _dvc_folder(root: Path) -> dict[str, bytes]:
    """What of `.dvc` and `.dvcignore` is missing or differs."""
    files = config.new_project().items()
    return {path: data for path, data in files if read(root / path) != data}


def _shown(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """The files in the order people look for them, `.dvc` as one."""
    plain = [path for path in files if not path.startswith(".dvc")]
    plain.sort(key=lambda path: (path.endswith(".gitignore"), path.endswith("dvc.yaml"), path))
    return (*plain, *([".dvc/"] if len(plain) < len(files) else []))


def _from_top(git: Git, path: Path) -> str:
    return path.resolve().relative_to(git.root.resolve()).as_posix()
