"""What is around a `Live`: the pipeline it is a stage of, or the repository where it saves an experiment itself.

The variables are those that DVC sets for its stages, and nbexp as well (formats.md 1.9):

    DVC_ROOT                a pipeline runs, and nothing is saved from within
    DVC_EXP_BASELINE_REV    it runs as an experiment, which takes in what is staged in Git
    NBEXP_EVENTS            nbexp runs it

Saving and tracking are the work of `nbexp save` and `nbexp data add`, which are above this layer and may hold
locks, roll back, and keep what `undo` needs. So each is a process of its own: training code loads none of it,
and an interrupt of the one does not leave the other half done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbexp.git import Git


class Around:
    """Looked up when a `Live` is made.

    Attributes
    ----------
    root
        The project's root; None where there is neither a project nor a repository to make one in.
    in_pipeline
        A stage runs this.
    in_experiment
        And what runs it records an experiment.
    """

    def __init__(self) -> None:
        self.in_pipeline = bool(os.environ.get("DVC_ROOT"))
        self.in_experiment = self.in_pipeline and bool(os.environ.get("DVC_EXP_BASELINE_REV"))
        self.root = _project_root(Path.cwd())
        self._git: Git | None = None

    @property
    def git(self) -> Git | None:
        """The repository around the current directory; nothing of Git is loaded before somebody asks."""
        if self._git is None:
            from nbexp.errors import GitError
            from nbexp.git import Git

            try:
                self._git = Git.find(Path.cwd())
            except GitError:
                return None  # a link to a repository that is gone
        return self._git

    def make_project(self) -> None:
        """Make the repository a project, as dvclive does; what is written is staged."""
        if self.root is not None or self.git is None:
            return
        from nbexp import filesystem
        from nbexp.formats import config

        self.root = self.git.root
        written = []
        for path, data in config.new_project().items():
            if not (self.root / path).exists():
                filesystem.atomic_write(self.root / path, data)
                written.append(path)
        self.git.run("add", "--", *written)

    def name(self, asked: str | None) -> str:
        """The name under which an experiment will be saved: the one asked for, or two words."""
        from nbexp.errors import UsageError
        from nbexp.formats import ref_names

        git = self.git
        assert git is not None
        head = git.head()
        assert head is not None
        prefix = ref_names.prefix(head)
        taken = {ref.removeprefix(prefix) for ref in git.refs(prefix)}
        if asked is None:
            return ref_names.draw(taken)
        if asked in taken:
            warn(f"There is an experiment `{asked}` on this commit already; another name is drawn.")
            return ref_names.draw(taken)
        try:
            ref_names.check_name(asked)
        except UsageError as error:
            warn(f"{error.message} Another name is drawn.")
            return ref_names.draw(taken)
        return asked

    def save(self, name: str, message: str | None, untracked: Sequence[str]) -> None:
        """Record the workspace as an experiment, in place of one that has the name; a failure is a warning."""
        words = ["save", "--quiet", "--force", "--name", name]
        words += [] if message is None else ["--message", message]
        for path in dict.fromkeys(untracked):
            words += ["--include-untracked", path]
        _call(words, "No experiment was saved")

    def track(self, path: str) -> list[str]:
        """Track a file or folder as data; the `.dvc` file and the ignore file that belong to it.

        In a pipeline, an output of the stage is left to it. A failure is a warning.
        """
        owner = self._owner(path) if self.in_pipeline else None
        if owner is not None:
            return []
        if self.in_pipeline:
            warn(
                f"`{path}` is no output of a stage. Listed under `outs` in dvc.yaml, it is kept with each run."
            )
        if self.in_pipeline and os.environ.get("NBEXP_EVENTS"):
            # The run that this is a stage of holds the workspace: `data add` would wait for itself.
            from nbexp.live import artifacts

            assert self.root is not None
            done = artifacts.track(self.root, Path(path))
        else:
            done = _call(["data", "add", "--quiet", "--", path], f"`{path}` is not tracked")
        if not done:
            return []
        return [f"{path}.dvc", os.path.join(os.path.dirname(path), ".gitignore")]

    def stage_in_git(self, folder: str, *files: str) -> None:
        """Let the experiment that runs this take in what is new in `folder`, but for outputs of stages."""
        git = self.git
        if git is None:
            return
        from nbexp.errors import GitError

        try:
            top = os.path.relpath(os.path.realpath(folder), git.root)
            listed = git.run(
                "--literal-pathspecs", "ls-files", "--others", "--exclude-standard", "-z", "--", top
            )
            new = [path for path in os.fsdecode(listed).split("\0") if path]
            new = [path for path in new if self._owner(str(git.root / path)) is None]
            new += [os.path.relpath(os.path.realpath(file), git.root) for file in files]
            if new:
                git.run("--literal-pathspecs", "add", "--", *new)
        except GitError as error:
            warn(f"What is new in {folder} is no part of the experiment: {error.message}")

    def _owner(self, path: str) -> str | None:
        """The stage, of those in the running one's dvc.yaml, that has `path` in its outputs."""
        wanted = os.path.realpath(path)
        for stage, out in self._outs():
            if wanted == out or wanted.startswith(out + os.sep):
                return stage
        return None

    def _outs(self) -> Iterator[tuple[str, str]]:
        from nbexp.errors import NbexpError
        from nbexp.formats import dvc_yaml

        file, is_elsewhere, _ = os.environ.get("DVC_STAGE", "").rpartition(":")
        file = file if is_elsewhere else "dvc.yaml"
        root = self.root
        if root is None:
            return

        def read(path: str) -> bytes | None:
            try:
                return (root / path).read_bytes()
            except OSError:
                return None

        try:
            found = dvc_yaml.parse(read(file) or b"", file, read=read)
        except NbexpError:
            return  # whoever runs the pipeline tells of it
        for stage in found.stages:
            base = root / os.path.dirname(file) / (stage.wdir or ".")
            for out in stage.outs:
                yield stage.name, os.path.normpath(base / out.path)


# ---- what the VS Code extension watches (dvclive 3.49.1, vscode.py)


def mark_step(step: int) -> None:
    """Tell that a step is complete."""
    root = _marks_root()
    if root is not None:
        _mark(root, "DVCLIVE_STEP_COMPLETED", {"pid": os.getpid(), "step": step})


def unmark_step() -> None:
    """Take that back at the end."""
    _unmark(_marks_root(), "DVCLIVE_STEP_COMPLETED")


def mark_alone(name: str) -> None:
    """Tell that this process itself will save the experiment `name`."""
    root = _project_root(Path.cwd())
    if root is not None:
        _mark(root, "DVCLIVE_ONLY", {"exp_name": name, "pid": os.getpid()})


def unmark_alone() -> None:
    """Take that back at the end."""
    _unmark(_project_root(Path.cwd()), "DVCLIVE_ONLY")


def _marks_root() -> Path | None:
    root = os.environ.get("DVC_ROOT")
    return Path(root) if root else _project_root(Path.cwd())


def _mark(root: Path, file: str, said: Mapping[str, object]) -> None:
    folder = root / ".dvc" / "tmp" / "exps" / "run"
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    except OSError:
        pass  # nobody's result depends on it


def _unmark(root: Path | None, file: str) -> None:
    if root is not None:
        try:
            (root / ".dvc" / "tmp" / "exps" / "run" / file).unlink(missing_ok=True)
        except OSError:
            pass


# ---- the rest


def is_on(variable: str) -> bool:
    """Whether an environment variable says yes, by dvclive's rule: it has a 1, a y or a `true` in it."""
    text = os.environ.get(variable, "").lower()
    return any(word in text for word in ("1", "y", "true"))


def warn(message: str) -> None:
    """A warning of the logger `nbexp.live`, which Python prints unless told otherwise."""
    import logging

    logging.getLogger("nbexp.live").warning(message)


def _project_root(here: Path) -> Path | None:
    for folder in (here.resolve(), *here.resolve().parents):
        if (folder / ".dvc").is_dir():
            return folder
        if os.path.ismount(folder):
            break
    return None


def _call(words: Sequence[str], otherwise: str) -> bool:
    # -P keeps a user's `nbexp.py` or `json.py` in the current directory out of it.
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "nbexp.cli", *words],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    if ran.returncode:
        warn(f"{otherwise}: {ran.stderr.strip()}")
    return not ran.returncode
