"""The trash: experiments that were removed, or replaced by a run of their name, until `gc` takes them.

Each is a ref `refs/nbexp/trash/<2 hex>/<the other hex>/<name>/<12 hex>-<seconds>`: baseline and name as below
`refs/exps`, the start of the experiment's commit, and when it was thrown away. Putting one there and taking it out
again is one transaction of Git with the undo point of it. Failed and interrupted runs are no trash: they are listed
by `show --all-states`.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nbexp.errors import NameTaken, NotFound, UsageError, nearest
from nbexp.experiments import chains, undo
from nbexp.experiments.place import undo_place
from nbexp.filesystem import crash_point
from nbexp.formats import ref_names
from nbexp.formats.ref_names import ExpRef
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.results import Result

PREFIX = "refs/nbexp/trash/"


@frozen
class Discarded(Result):
    """An experiment in the trash; `removed_s` is None where its ref does not say when."""

    name: str
    rev: str
    baseline: str
    ref: str
    removed_s: int | None = None

    @property
    def since_s(self) -> int:
        """When it was thrown away, as far as that is known."""
        return self.removed_s or 0

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "rev": self.rev,
            "baseline": self.baseline,
            "removed": self.removed_s,
        }


@frozen
class TrashList(Result):
    """What is in the trash, the last thrown away first; `failed` counts the failed runs, which are kept apart."""

    entries: tuple[Discarded, ...]
    failed: int = 0

    def __repr__(self) -> str:
        return f"<TrashList: {len(self.entries)} experiments>"

    def to_json(self) -> dict[str, object]:
        return {"trash": [one.to_json() for one in self.entries], "failed": self.failed}


@frozen
class Untrashed(Result):
    """The experiments that are back in the list: (name, rev) each."""

    restored: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, object]:
        return {"restored": [{"name": name, "rev": rev} for name, rev in self.restored]}


class Trash:
    """What one does with removed experiments; get it as `project.trash`."""

    def __init__(self, git: Git, root: Path) -> None:
        self._git = git
        self._root = root

    def list(self) -> TrashList:
        """The experiments that were removed or replaced, the last thrown away first."""
        shown: dict[tuple[str, str, str], Discarded] = {}
        for one in entries(self._git):
            shown.setdefault((one.baseline, one.name, one.rev), one)
        return TrashList(tuple(shown.values()), len(self._git.refs(ref_names.FAILED)))

    def restore(self, *names: str, name: str | None = None) -> Untrashed:
        """Put experiments back into the list, under their names and on their baselines; `undo` takes it back.

        Parameters
        ----------
        names
            Names, or the starts of commits.
        name
            Another name for the one that is restored.

        Raises
        ------
        NotFound
            The trash has no such experiment, or several. Nothing was restored.
        NameTaken
            There is an experiment of that name again. Nothing was restored.
        UsageError
            `name` is none, or more than one experiment would get it.
        """
        if not names:
            raise UsageError(
                "Which experiment? Nothing was restored.",
                "`nbexp trash restore NAME`; `nbexp trash` lists them.",
            )
        if name is not None and len(names) > 1:
            raise UsageError(
                f"{len(names)} experiments cannot all be called `{name}`. Nothing was restored.",
                f"`nbexp trash restore {names[0]} --name {name}`",
            )
        if name is not None:
            ref_names.check_name(name)
        known = entries(self._git)
        chosen = list(dict.fromkeys(_found(known, one) for one in names))
        self._put_back([(one, ExpRef(one.baseline, name or one.name)) for one in chosen], known)
        return Untrashed(tuple((name or one.name, one.rev) for one in chosen))

    def _put_back(
        self, wanted: Sequence[tuple[Discarded, ExpRef]], known: Sequence[Discarded]
    ) -> None:
        taken = self._git.refs(ref_names.PREFIX)
        new: dict[str, str] = {}
        changes: builtins.list[undo.RefChange] = []
        for one, target in wanted:
            before = taken.get(target.ref)
            if before is None or not self._goes_on(one, before):
                before = None
                _refuse_taken(one, target, {**taken, **new})
            new[target.ref] = one.rev
            changes.append((target.ref, one.rev, before))
            # The same experiment may have been removed more than once.
            same = [o for o in known if (o.rev, o.name, o.baseline) == _key(one)]
            changes += [(entry.ref, None, entry.rev) for entry in same]
        op = f"trash restore {' '.join(one.name for one, _ in wanted)}"
        crash_point("trash.before")
        undo.change_refs(self._git, changes, op=op, place=undo_place(self._git, self._root))
        crash_point("trash.done")

    def _goes_on(self, one: Discarded, present: str) -> bool:
        """Whether it is the present experiment with steps that were taken off."""
        commits = chains.chain(self._git, one.baseline, one.rev)
        return present != one.rev and present in {commit.rev for commit in commits}


def entries(git: Git) -> list[Discarded]:
    """Everything in the trash, the last thrown away first."""
    found = []
    for ref, rev in git.refs(PREFIX).items():
        one = parse(ref, rev)
        if one is not None:
            found.append(one)
    return sorted(found, key=lambda one: (-one.since_s, one.name, one.ref))


def parse(ref: str, rev: str) -> Discarded | None:
    """The experiment that a ref of the trash holds; None for any other."""
    parts = ref.removeprefix(PREFIX).split("/")
    if not ref.startswith(PREFIX) or len(parts) != 4:
        return None
    start, rest, name, mark = parts
    seconds = mark.partition("-")[2]
    when = int(seconds) if seconds.isascii() and seconds.isdigit() else None
    if ref_names.parse(ExpRef(start + rest, name).ref) is None:
        return None
    return Discarded(name, rev, start + rest, ref, when)


def ref_of(ref: str, rev: str, now_s: float | None = None) -> str:
    """Where the experiment of a ref below `refs/exps` is kept when it is thrown away now."""
    # The rev tells apart what had the same name on the same baseline at different times.
    when = int(time.time() if now_s is None else now_s)
    return f"{PREFIX}{ref.removeprefix(ref_names.PREFIX)}/{rev[:12]}-{when}"


def throw_away(
    git: Git, refs: Mapping[str, str], *, place: str | None, cut: Sequence[chains.Cut] = ()
) -> None:
    """Take experiments out of the list, by ref, and steps off others; all goes to the trash, so nothing is lost.

    What a damaged repository lacks cannot be kept: of that one the name goes, and no undo point has it.
    `place` is the workspace whose `undo` takes it back; None: that of any.
    """
    if not refs and not cut:
        return
    changes: list[undo.RefChange] = []
    now_s = time.time()  # one for all: what goes together is listed together
    present = git.refs(PREFIX)
    objects = git.info_many([*refs.values()])
    lost = {ref: rev for (ref, rev), one in zip(refs.items(), objects, strict=True) if one is None}
    for ref, rev in refs.items():
        if ref in lost:
            continue
        kept = ref_of(ref, rev, now_s)
        if kept not in present:
            changes.append((kept, rev, None))
        changes.append((ref, None, rev))
    for one in cut:
        kept = ref_of(one.ref, one.old, now_s)
        if kept not in present:
            changes.append((kept, one.old, None))
        changes.append((one.ref, one.new, one.old))
    names = " ".join([*map(ref_names.name_of, refs), *(one.shown for one in cut)])
    crash_point("trash.before")
    if changes:
        undo.change_refs(git, changes, op=f"remove {names}", place=place)
    git.update_refs([(ref, None, rev) for ref, rev in lost.items()])
    crash_point("trash.done")


def _key(one: Discarded) -> tuple[str, str, str]:
    return one.rev, one.name, one.baseline


def _found(known: Sequence[Discarded], asked: str) -> Discarded:
    """The one in the trash that a name or the start of a commit means."""
    fits = [one for one in known if one.name == asked]
    if not fits and len(asked) >= 4:
        fits = [one for one in known if one.rev.startswith(asked.lower())]
    if not fits:
        near = nearest(asked, _names(known))
        hint = f"did you mean `{near}`?" if near else "`nbexp trash` lists what there is."
        raise NotFound(f"The trash has no experiment `{asked}`. Nothing was restored.", hint)
    if len({_key(one) for one in fits}) > 1:
        revs = ", ".join(dict.fromkeys(one.rev[:7] for one in fits))
        raise NotFound(
            f"The trash has {len({_key(one) for one in fits})} experiments `{asked}`: {revs}. "
            "Nothing was restored.",
            f"name one by its commit: `nbexp trash restore {fits[0].rev[:7]}`.",
        )
    return fits[0]


def _names(known: Iterable[Discarded]) -> list[str]:
    return list(dict.fromkeys(one.name for one in known))


def _refuse_taken(one: Discarded, target: ExpRef, taken: Mapping[str, str]) -> None:
    """A name that differs by case alone is taken as well: not every file system could hold both."""
    for ref, rev in taken.items():
        if ref.lower() != target.ref.lower():
            continue
        held = ref_names.name_of(ref)
        raise NameTaken(
            f"Experiment `{held}` ({rev[:7]}) exists on baseline {target.baseline[:7]}. "
            "Nothing was restored.",
            f"`nbexp trash restore {one.rev[:7]} --name {target.name}-1`",
        )
