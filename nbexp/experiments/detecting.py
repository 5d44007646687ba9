"""`init --detect`: the proposal of the detector, what is asked about it, and writing it once agreed."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from nbexp.events import Emit, ignore
from nbexp.experiments import founding
from nbexp.formats import ignore as ignores
from nbexp.frozen import field, frozen, replace
from nbexp.git import Git
from nbexp.results import Asker, Result

if TYPE_CHECKING:
    from nbexp.pipeline.detection import Proposal

# The time that each script may take in the copy, unless told otherwise.
TIMEOUT_S = 300.0


@frozen
class Detected(Result):
    """The pipeline that was found, and what was written of it.

    Attributes
    ----------
    untracked
        Deps that neither Git nor DVC keeps: an experiment in a copy of the project would lack them.
    wrote
        Empty as long as nothing was agreed.
    may_trace
        Whether a traced run may be asked for.
    """

    proposal: Proposal
    untracked: tuple[str, ...] = ()
    wrote: tuple[str, ...] = ()
    baseline: str | None = None
    message: str | None = None
    new_repository: bool = False
    may_trace: bool = True
    timeout_s: float = field(default=TIMEOUT_S, repr=False)

    def to_json(self) -> dict[str, object]:
        return {
            **self.proposal.to_json(),
            "untracked": list(self.untracked),
            "wrote": list(self.wrote),
            "baseline": self.baseline,
        }

    def converse(self, asker: Asker, emit: Emit = ignore) -> Detected:
        """Show the proposal and ask for the two consents: to run the scripts in a copy, and to write.

        Where nobody is there to ask, the proposal is left as it is.
        """
        if self.wrote or not asker.is_person or not self.proposal.stages:
            return self
        found = self
        asker.say(str(found))
        scripts = found.proposal.untraced
        if scripts and self.may_trace:
            count = "the script" if len(scripts) == 1 else f"the {len(scripts)} scripts"
            if _agrees(asker, f"Run {count} once, in a copy, to see what they really open?"):
                found = detect(found.proposal.root, emit, traced=True, timeout_s=self.timeout_s)
                asker.say(str(found))
        if found.proposal.stages and _agrees(asker, "Write this to dvc.yaml?"):
            return found.write()
        return found

    def write(self) -> Detected:
        """Write dvc.yaml and params.yaml as proposed, and commit them with the code that they name.

        Raises
        ------
        ProjectFileError, UsageError
            A file changed meanwhile, so that the proposal does not fit any more. Nothing was written.
        """
        proposal = self.proposal
        here = proposal.root
        git = Git.find(here)
        root = founding.root_of(here, git)
        start = here.resolve().relative_to(root.resolve()).as_posix()
        files = {
            posixpath.normpath(posixpath.join(start, path)): data
            for path, data in proposal.files().items()
        }
        if not files:
            return self
        for stage in proposal.stages:
            if stage.output is not None:
                _ignore(root, posixpath.normpath(posixpath.join(start, stage.output)), files)
        own = [here / path for path in _code(proposal) if (here / path).is_file()]
        names = ", ".join(stage.name for stage in proposal.stages)
        message = f"nbexp: track {names}"
        wrote, rev = founding.write(root, git, files, own, message)
        return replace(self, wrote=wrote, baseline=rev, message=message, new_repository=git is None)


def detect(
    here: Path,
    emit: Emit,
    *,
    traced: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> Detected:
    """What the scripts and notebooks below `here` make; nothing is written.

    Parameters
    ----------
    traced
        Run each of them once in a copy of the project.
    timeout_s
        The time that each may take there.
    """
    from nbexp.pipeline import detection

    proposal = detection.propose(here, emit, traced=traced, timeout_s=timeout_s)
    return Detected(proposal, _untracked(here, proposal), timeout_s=timeout_s)


def _agrees(asker: Asker, question: str) -> bool:
    try:
        return asker.ask(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _code(proposal: Proposal) -> list[str]:
    """The files that have to be in Git for the stages to be the same ones elsewhere."""
    found: dict[str, None] = {}
    for stage in proposal.stages:
        found[stage.source] = None
        for entry in (*stage.deps, *stage.params):
            if entry.path.endswith((".py", ".sh", ".R")) or entry in stage.params:
                found[entry.path] = None
    return list(found)


def _untracked(here: Path, proposal: Proposal) -> tuple[str, ...]:
    outs = {
        entry.path
        for stage in proposal.stages
        for entry in (*stage.outs, *stage.metrics, *stage.plots)
    }
    inside = {file for stage in proposal.stages for entry in stage.outs for file in entry.files}
    code = set(_code(proposal))
    data = {
        entry.path
        for stage in proposal.stages
        for entry in stage.deps
        if entry.path not in outs | inside | code and not _is_below(entry.path, outs)
    }
    git = Git.find(here)
    if git is None:
        return tuple(sorted(data))
    start = here.resolve().relative_to(git.root.resolve()).as_posix()
    spelled = {posixpath.normpath(posixpath.join(start, path)): path for path in data}
    kept = {spelled[path] for path in git.is_tracked(spelled) if path in spelled}
    return tuple(sorted(path for path in data - kept if not _has_dvc_file(here, path)))


def _is_below(path: str, outs: set[str]) -> bool:
    return any(path.startswith(f"{out}/") for out in outs)


def _has_dvc_file(here: Path, path: str) -> bool:
    parts = path.split("/")
    return any(
        (here / f"{'/'.join(parts[:size])}.dvc").exists() for size in range(1, len(parts) + 1)
    )


def _ignore(root: Path, path: str, files: dict[str, bytes]) -> None:
    """Keep an executed notebook out of Git, as `init train.ipynb` does."""
    file = posixpath.join(posixpath.dirname(path), ".gitignore")
    old = files.get(file, founding.read(root / file))
    line = ignores.add_line(old, posixpath.basename(path))
    if line is not None:
        files[file] = line
