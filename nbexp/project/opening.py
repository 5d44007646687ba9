"""How a project is found, made or looked into from outside; also what is asked for where there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.errors import NotFound
from nbexp.events import Emit, Notice, ignore
from nbexp.experiments import place
from nbexp.git import Git
from nbexp.project.project import Project

if TYPE_CHECKING:
    from nbexp.experiments import authoring, detecting, guided
    from nbexp.experiments.data.getting import Got
    from nbexp.experiments.opened import OpenedNotebook
    from nbexp.experiments.opening import Opened
    from nbexp.store.config_files import Configuration


def open(path: str | os.PathLike[str] = ".") -> Project:  # noqa: A001  (`nbexp.open()` is the API)
    """The project around `path`.

    Raises
    ------
    NotFound
        `path` is in no Git repository, or the repository has no `.dvc`.
    """
    here = Path(path).absolute()
    if here.is_file():
        here = here.parent
    git = Git.find(here)
    if git is None:
        raise NotFound(
            f"{here} is in no Git repository.",
            "`nbexp init train.ipynb` makes one around a notebook.",
        )
    for folder in (here, *here.parents):
        if (folder / ".dvc").is_dir():
            return Project(folder, git, here)
        if folder == git.root:
            break
    raise NotFound(
        f"The repository {git.root} is no project yet: it has no .dvc folder.",
        "`nbexp init train.ipynb` makes it one.",
    )


def init(
    notebook: str | None = None,
    *,
    path: str = ".",
    untagged: bool = False,
    emit: Emit = ignore,
) -> authoring.InitReport:
    """Make a project of the directory, and a stage of the notebook.

    An existing DVC project is left as it is; the report says what was found. With `untagged` the first
    code cell's plain assignments are the parameters where no cell is tagged so.
    """
    from nbexp.experiments import authoring

    return authoring.init(Path(path).absolute(), notebook, emit, untagged=untagged)


def detect(
    path: str = ".",
    *,
    traced: bool = False,
    timeout_s: float = 300.0,
    emit: Emit = ignore,
) -> detecting.Detected:
    """The stages that the scripts and notebooks of a directory make; `.write()` writes them.

    With `traced`, each runs once in a copy of the directory, at most `timeout_s` seconds.
    """
    from nbexp.experiments import detecting

    return detecting.detect(Path(path).absolute(), emit, traced=traced, timeout_s=timeout_s)


def setup(
    path: str = ".",
    given: Mapping[str, str] | None = None,
    *,
    explicit: bool = False,
    name: str = "train",
    kind: str = "default",
    force: bool = False,
) -> guided.Setup:
    """A stage of a command in the layout that DVC 2 assumed; `.answer({…})` writes it."""
    from nbexp.experiments import guided

    here = Path(path).absolute()
    return guided.prepare(here, given or {}, explicit=explicit, name=name, kind=kind, force=force)


def user_configuration(cwd: Path) -> Configuration:
    """DVC's settings where there is no project: those of the user and of the machine."""
    from nbexp.store.config_files import Configuration

    return Configuration(None, place.home(), cwd)


def get(
    source: str,
    path: str,
    *,
    repo: str | None = None,
    rev: str | None = None,
    out: str | os.PathLike[str] | None = None,
    remote: str | None = None,
    force: bool = False,
    jobs: int | None = None,
    show_url: bool = False,
    config: str | None = None,
    remote_config: Mapping[str, str] | None = None,
    path_of_project: str = ".",
    emit: Emit = ignore,
) -> Got:
    """Bring a file, directory or artifact of any revision to `out`: `Project.get`, also where there is no project.

    Parameters
    ----------
    source
        An experiment, branch, tag or commit of the project around `path_of_project`; or the URL or path of another
        repository.
    path
        A path in the project, or the name of an artifact of dvc.yaml.
    repo
        The URL or path of another repository, `source` being a revision of it.
    rev
        The revision, where `source` is a repository; its HEAD by default.
    out
        Where to put it, relative to the current directory; by default its own name there.
    remote
        The remote that has the data.
    force
        Replace what is at `out`.
    show_url
        Tell where the storage has it, and get nothing.
    config, remote_config
        A file of settings, and settings of the remote, in addition to the repository's.

    Raises
    ------
    NotFound
        There is no such revision, path or artifact, or no project around `path_of_project`.
    UsageError
        Something is at `out` already. Nothing was written.
    StoreError
        Neither cache nor remote has the data. Nothing was written.

    Examples
    --------
    `nbexp.get("low-lr", "model.pkl", out="low.pkl")`, `nbexp.get("https://host/team/repo.git", "best", rev="v1")`
    """
    from nbexp.experiments.data import getting

    here = Path(path_of_project).absolute()
    repo, source = getting.asked(source, repo, rev, here)
    wish = getting.Wish(
        path,
        source,
        None if out is None else os.fspath(out),
        remote,
        force,
        jobs,
        show_url,
        config,
        remote_config or {},
    )
    if repo is not None:
        return getting.get(None, repo, wish, here, emit)
    project = open(here)
    try:
        return getting.get(project._site(), None, wish, here, emit)
    finally:
        project.close()


def bare(folder: Path) -> str | None:
    """The folder, if it is a repository without a work tree: it can be looked at, but is no project."""
    return None if Git.bare(folder) is None else os.fspath(folder)


def open_elsewhere(
    repo: str,
    experiment: str,
    path: str | None = None,
    *,
    limit: int | None = None,
    out: str | os.PathLike[str] | None = None,
    here: Path,
    emit: Emit = ignore,
) -> OpenedNotebook | Opened:
    """`Project.open` of another repository: one on this disk, a bare one too, or of a URL, without cloning it."""
    from nbexp.experiments import opening

    return opening.elsewhere(repo, experiment, path, limit=limit, out=out, here=here, emit=emit)


def warn_unfinished(project: Project, emit: Emit) -> None:
    """What a read-only command says when a killed one left files half changed."""
    op = place.unfinished(project.root)
    if op is not None:
        emit(
            Notice(
                f"A `{op}` was killed half-way; files may be half changed.",
                "the next command that writes puts them back: `nbexp run`, or `nbexp undo`.",
            )
        )
