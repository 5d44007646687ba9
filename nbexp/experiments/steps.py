"""Going back, any number of steps, and forward again: what `undo` does and lists.

One call is one change of the workspace, however many steps it goes: all of them or none. What was undone leads forward
again until another command has changed the workspace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nbexp.errors import NotFound, StoreError, UsageError
from nbexp.events import Emit, Phase
from nbexp.experiments import open_notebooks, pending, undo
from nbexp.experiments.place import undo_place
from nbexp.experiments.undo import Flipped, RefChange, UndoPoint, Way
from nbexp.experiments.workspace import InPlace
from nbexp.filesystem import crash_point
from nbexp.frozen import frozen, replace
from nbexp.git import Git, NewCommit
from nbexp.results import Result
from nbexp.store.cache import Cache


@frozen
class Undone(Result):
    """What `undo` did: the commands undone (or redone), and the paths and experiments that are as before.

    `left` counts the steps that lead further the same way; `kept` are files left alone because they are open.
    """

    op: str
    paths: tuple[str, ...]
    left: int
    steps: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    is_redo: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "redone" if self.is_redo else "undone": self.op,
            "steps": list(self.steps),
            "paths": list(self.paths),
            "experiments": list(self.experiments),
            "kept": list(self.kept),
            "left": self.left,
        }


@frozen
class Step(Result):
    """One step back, or forward where `is_ahead`: the command, when it was, and what comes back.

    `size_bytes` is what is kept for it.
    """

    id: str
    op: str
    time_s: float
    paths: tuple[str, ...]
    experiments: tuple[str, ...]
    size_bytes: int
    is_ahead: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "before": self.op,
            "time": self.time_s,
            "paths": list(self.paths),
            "experiments": list(self.experiments),
            "size": self.size_bytes,
        }


@frozen
class Steps(Result):
    """The steps of a workspace: `ahead` were undone and lead forward, the next last; `back` lead back, the next first."""

    ahead: tuple[Step, ...]
    back: tuple[Step, ...]

    def __repr__(self) -> str:
        return f"<Steps: {len(self.back)} back, {len(self.ahead)} forward>"

    def to_json(self) -> dict[str, object]:
        return {
            "ahead": [one.to_json() for one in self.ahead],
            "back": [one.to_json() for one in self.back],
        }


def listed(git: Git, root: Path) -> Steps:
    """Every step of this workspace, the way back and the way forward."""
    place = undo_place(git, root)
    back = undo.points(git, place)
    ahead = undo.ahead(git, place, back)
    sizes = undo.size_bytes(git, [*back, *ahead])

    def step(one: UndoPoint, is_ahead: bool) -> Step:
        names = undo.experiments(one)
        return Step(one.short, one.op, one.time_s, one.paths, names, sizes[one.rev], is_ahead)

    return Steps(
        tuple(step(one, True) for one in reversed(ahead)), tuple(step(one, False) for one in back)
    )


def undo_steps(
    git: Git,
    cache: Cache,
    root: Path,
    emit: Emit,
    *,
    num: int | None = None,
    to: str | None = None,
    redo: bool = False,
    force: bool = False,
    keep: Mapping[str, str] = {},
) -> Undone:
    """Put back what the last commands changed, or with `redo` what was undone; all of the steps or none.

    Parameters
    ----------
    num
        How many steps; one by default.
    to
        The id of a step: all down to that one, wherever it leads.
    force
        Even over files that were edited since; the edits become a step of their own.
    keep
        Notebooks, from the top of the work tree, that must stay as they are, and in what way each is open.

    Raises
    ------
    NotFound
        There are no such steps.
    StoreError, NameTaken
        A path or an experiment was changed since and `force` is off, or what was kept is gone. Nothing was changed.
    """
    with InPlace(git, cache, root).held(emit) as workspace:
        place = undo_place(git, root)
        back = undo.points(git, place)
        ahead = undo.ahead(git, place, back)
        settled = workspace.settled
        if settled is not None and to is None and settled.way == ("redo" if redo else "undo"):
            # It had been done when it was killed; asked for again, it is not to go further.
            left = len(ahead if redo else back)
            return Undone(", ".join(settled.steps), (), left, settled.steps, is_redo=redo)
        chosen, redo = _chosen(back, ahead, num, to, redo)
        word = "redo" if redo else "undo"
        present = git.refs("refs/exps/", "refs/nbexp/trash/")
        flipped: list[Flipped] = []
        is_edited = False
        with workspace.changing(word):
            for number, point in enumerate(chosen):
                emit(Phase(f"going along {point.op}", number, len(chosen)))
                edited = undo.edited_since(git, cache, git.root, point, keep)
                if edited and not force:
                    raise _edited(point, edited, word)
                is_edited = is_edited or bool(edited)
                undo.check_refs(git, point, present)
                present = _after(present, point)
                one = undo.go_back(
                    git,
                    cache,
                    workspace.journal,
                    point,
                    workspace.carry_over_below_top,
                    keep=keep,
                )
                flipped.append(one)
            # What leads back over edits is a step as any other, so that the next undo finds them.
            is_step = is_edited and not redo
            prefix = undo.PREFIX if is_step or redo else undo.REDO
            beneath = [*(one.step for one in back[1:]), ""]
            new = [
                undo.opposite(
                    point,
                    one,
                    Way(place, prefix, "" if redo else beneath[number], number, is_step),
                )
                for number, (point, one) in enumerate(zip(chosen, flipped, strict=True))
            ]
            revs = git.commit(*(replace(one, ref=None) for one in new))
            ops = tuple(one.op for one in chosen)
            pending.write(root, _counted(chosen, new, revs), pending.Settled(word, ops))
            crash_point("undo.back")
        pending.complete(git, root)
        left = len(ahead if redo else undo.points(git, place)) - (len(chosen) if redo else 0)
    kept = _kept(flipped, revs)
    for path, rev in kept.items():
        emit(
            open_notebooks.left_alone(
                path, keep, rev, workspace.prefix, label=f"{word}-{chosen[-1].op}"
            )
        )
    return Undone(
        ", ".join(one.op for one in chosen),
        tuple(dict.fromkeys(path for one in flipped for path in one.paths)),
        left,
        tuple(one.op for one in chosen),
        tuple(dict.fromkeys(name for one in chosen for name in undo.experiments(one))),
        tuple(kept),
        redo,
    )


def _chosen(
    back: Sequence[UndoPoint],
    ahead: Sequence[UndoPoint],
    num: int | None,
    to: str | None,
    redo: bool,
) -> tuple[list[UndoPoint], bool]:
    """The points to go along, and whether that is forward."""
    if to is not None:
        for points, is_ahead in ((back, False), (ahead, True)):
            for number, one in enumerate(points, 1):
                if len(to) >= 4 and one.rev.startswith(to.lower()):
                    return [*points[:number]], is_ahead
        raise NotFound(
            f"There is no step `{to}`. Nothing was changed.", "`nbexp undo --list` shows the steps."
        )
    count = 1 if num is None else num
    if count < 1:
        raise UsageError(f"{count} steps are none. Nothing was changed.", "`nbexp undo -n 2`")
    points = ahead if redo else back
    if not points and redo:
        raise NotFound(
            "There is nothing to redo: no step was undone, or another command has run since.",
            "`nbexp undo --list` shows the steps.",
        )
    if not points:
        raise NotFound(
            "There is nothing to undo: no command has changed this workspace.",
            "`nbexp run` and `nbexp apply` make undo points.",
        )
    if count > len(points):
        word = "redo" if redo else "undo"
        raise NotFound(
            f"There {'is' if len(points) == 1 else 'are'} {len(points)} to {word}, not {count}. "
            "Nothing was changed.",
            f"`nbexp undo{' --redo' if redo else ''} -n {len(points)}` goes all the way.",
        )
    return [*points[:count]], redo


def _after(present: dict[str, str], point: UndoPoint) -> dict[str, str]:
    """The refs as they will be when the point was gone along."""
    found = dict(present)
    for ref, before, _ in point.refs:
        if before is None:
            found.pop(ref, None)
        else:
            found[ref] = before
    return found


def _counted(
    chosen: Sequence[UndoPoint], new: Sequence[NewCommit], revs: Sequence[str]
) -> list[RefChange]:
    """The changes of refs that make the points gone along and those that lead the other way what they are."""
    changes: dict[str, tuple[str | None, str | None]] = {}  # ref -> what it becomes, what it is
    for point, made, rev in zip(chosen, new, revs, strict=True):
        assert made.ref is not None
        changes[point.ref] = (None, point.rev)
        changes[made.ref] = (rev, None)
        for ref, before, after in point.refs:
            # Two steps may have changed the same one.
            changes[ref] = (before, changes[ref][1] if ref in changes else after)
    return [(ref, now, was) for ref, (now, was) in changes.items() if now != was]


def _kept(flipped: Sequence[Flipped], revs: Sequence[str]) -> dict[str, str | None]:
    """The files that were left alone, and the commit that has what they would have become."""
    return {
        path: rev if at == path else None
        for one, rev in zip(flipped, revs, strict=True)
        for path, at in one.kept
    }


def _edited(point: UndoPoint, paths: Sequence[str], word: str) -> StoreError:
    have = "1 file has" if len(paths) == 1 else f"{len(paths)} files have"
    done, option = ("redone", " --redo") if word == "redo" else ("undone", "")
    return StoreError(
        f"{have} been edited since `{point.op}`: {', '.join(paths)}. Nothing was {done}.",
        f"keep the edits as an undo point and go on: `nbexp undo{option} --force`.",
    )
