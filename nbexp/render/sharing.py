"""Experiments that went to others or came from them, and branches made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbexp.render.words import aligned, counted, size

if TYPE_CHECKING:
    from nbexp.experiments.share import PulledExperiments, Pushed
    from nbexp.project import Branched, Branches


def _pushed(result: Pushed) -> str:
    lines = []
    if result.names:
        moved = f"{counted(len(result.names), 'ref')}, {counted(result.files, 'file')}"
        moved += f", {size(result.size_bytes)}" if result.files else ""
        lines.append(f"pushed {', '.join(result.names)} to {result.remote} ({moved})")
    elif result.up_to_date:
        sent = f" ({counted(result.files, 'file')} sent)" if result.files else ""
        lines.append(f"{', '.join(result.up_to_date)} up to date on {result.remote}{sent}")
    else:
        lines.append("no experiments to push")
    if result.left:
        lines[0] += f"   not pushed: {counted(result.left, 'local experiment')}"
    if result.colleague:
        lines.append(f"your colleague runs:   {'      or   '.join(result.colleague)}")
    return "\n".join(lines)


def _pulled(result: PulledExperiments) -> str:
    if result.names:
        moved = f"{counted(len(result.names), 'ref')}, {counted(result.files, 'file')}"
        moved += f", {size(result.size_bytes)}" if result.files else ""
        lines = [f"pulled {', '.join(result.names)} from {result.remote} ({moved})"]
        lines.append(f"bring it into the workspace: nbexp apply {result.names[0]}")
    elif result.up_to_date:
        brought = f" ({counted(result.files, 'file')} fetched)" if result.files else ""
        lines = [f"{', '.join(result.up_to_date)} up to date with {result.remote}{brought}"]
    else:
        lines = ["no experiments to pull"]
        if result.others:
            lines[0] += f"   of other commits: {result.others:,}"
            lines.append(
                f"see them: nbexp list {result.remote} -A   or bring all: nbexp pull --all"
            )
    return "\n".join(lines)


def _branched(result: Branched) -> str:
    import shlex

    how = f"switch to it with: git switch {shlex.quote(result.branch)}"
    if result.is_here:
        # Git takes files that are equal for edits it would overwrite; with these commands no file is touched.
        ref = shlex.quote(f"refs/heads/{result.branch}")
        how = f"your files are its files, so switch to it with: git symbolic-ref HEAD {ref} && git reset -q"
    return (
        f"branch {result.branch} is at {result.experiment} ({result.rev[:7]}); {how}"
        + _publishing(result.publish)
    )


def _branches(result: Branches) -> str:
    rows = [[one.experiment, one.branch, one.rev[:7]] for one in result.branches]
    return "\n".join(aligned([["experiment", "branch", "commit"], *rows])) + _publishing(
        result.publish
    )


def _publishing(commands: Sequence[str]) -> str:
    """How branches are shared, a command a line."""
    words = {"git": "share:", "gh": "pull request:", "glab": "merge request:"}
    rows = [[words[command.split()[0]], command] for command in commands]
    return "".join(f"\n{line}" for line in aligned(rows))


WRITERS: Mapping[str, Callable[[Any], str]] = {
    "Branches": _branches,
    "Branched": _branched,
    "Pushed": _pushed,
    "PulledExperiments": _pulled,
}
