"""Tags, star and note of an experiment, and all that is recorded about it beside its commit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from nbexp import hashing
from nbexp.errors import UsageError
from nbexp.experiments import notes
from nbexp.frozen import field, frozen
from nbexp.git import Git
from nbexp.results import Result
from nbexp.store.cache import Cache

_MAX_TAG = 100


@frozen
class Tagged(Result):
    """The tags and the star that an experiment has now."""

    experiment: str
    rev: str
    tags: tuple[str, ...] = ()
    star: bool = False

    def to_json(self) -> dict[str, object]:
        return {
            "experiment": self.experiment,
            "rev": self.rev,
            "tags": list(self.tags),
            "star": self.star,
        }


@frozen
class Recorded(Result):
    """What is recorded about an experiment beside its commit.

    `run` is what its run told: command line, stages, machine, Python; `packages` the version of each package
    by name; both are empty where another tool made the experiment.
    """

    experiment: str
    rev: str
    note: str = ""
    tags: tuple[str, ...] = ()
    star: bool = False
    run: Mapping[str, object] = field(default_factory=dict, hash=False)
    packages: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        return f"<Recorded: {self.experiment}>"

    def to_json(self) -> dict[str, object]:
        return {
            "experiment": self.experiment,
            "rev": self.rev,
            "note": self.note,
            "tags": list(self.tags),
            "star": self.star,
            "run": {**self.run, "packages": dict(self.packages)} if self.run else {},
        }


def of_many(git: Git, cache: Cache, revs: Sequence[str]) -> dict[str, dict[str, object]]:
    """Tags, star and note of those of the commits that have any, for a table.

    Notes
    -----
    As long as no note changes, what was found for the same commits is remembered: 10,000 notes take 0.2 s to read.
    """
    root = git.refs(notes.REF).get(notes.REF)
    if root is None or not revs:
        return {}
    which = hashing.sha256("\n".join(sorted(revs)).encode())
    known = cache.memo("labels", f"{root}:{which}")
    if known is None:
        found = {
            rev: labels
            for rev, told in notes.read(git, revs).items()
            if (labels := {key: told[key] for key in ("tags", "star", "note") if told.get(key)})
        }
        known = json.dumps(found)
        cache.remember("labels", f"{root}:{which}", known)
    return dict(json.loads(known))


def tag(
    git: Git,
    name: str,
    rev: str,
    tags: Sequence[str],
    *,
    remove: bool = False,
    star: bool | None = None,
) -> Tagged:
    """Add tags, or take them away (all, if none is named); set or take away the star.

    Raises
    ------
    UsageError
        It cannot be a tag, or the experiment has no such tag. Nothing was changed.
    """
    before = of_note(name, rev, notes.read(git, [rev]).get(rev, {}))
    for one in tags:
        _check(one, name)
        if remove and one not in before.tags:
            has = f"it has {', '.join(before.tags)}." if before.tags else "it has none."
            raise UsageError(f"`{name}` has no tag `{one}`. Nothing was changed.", has)
    if remove:
        kept = [one for one in before.tags if tags and one not in tags]
    else:
        kept = [*before.tags, *(one for one in dict.fromkeys(tags) if one not in before.tags)]
    changes: dict[str, object] = {"tags": kept or None} if tags or remove else {}
    if star is not None:
        changes["star"] = star or None
    if changes:
        notes.change(git, {rev: changes})
    is_starred = before.star if star is None else star
    return Tagged(name, rev, tuple(kept), is_starred)


def write(git: Git, name: str, rev: str, text: str) -> Recorded:
    """Make `text` the note of an experiment; an empty one takes it away."""
    notes.change(git, {rev: {"note": text.strip() or None}})
    return read(git, name, rev)


def read(git: Git, name: str, rev: str) -> Recorded:
    """What is recorded about an experiment; nothing but its name where nothing is."""
    note = notes.read(git, [rev]).get(rev, {})
    labels = of_note(name, rev, note)
    run = note.get("run")
    run = dict(run) if isinstance(run, dict) else {}
    digest = run.pop("packages", None)
    packages = notes.packages(git, digest) if isinstance(digest, str) else {}
    text = note.get("note")
    said = text if isinstance(text, str) else ""
    return Recorded(name, rev, said, labels.tags, labels.star, run, packages)


def of_note(name: str, rev: str, note: Mapping[str, object]) -> Tagged:
    """The tags and star in a note, which another tool may have written."""
    tags = note.get("tags")
    known = tuple(one for one in tags if isinstance(one, str)) if isinstance(tags, list) else ()
    return Tagged(name, rev, known, note.get("star") is True)


def _check(tag: str, name: str) -> None:
    if not tag.strip() or tag != tag.strip() or not tag.isprintable() or "," in tag:
        raise UsageError(
            f"{tag!r} cannot be a tag: it is a word or several, without commas. Nothing was changed.",
            f"`nbexp tag {name} paper`; a longer text is a note: `nbexp note {name} TEXT`.",
        )
    if len(tag) > _MAX_TAG:
        raise UsageError(
            f"A tag of {len(tag)} letters is too long. Nothing was changed.",
            f"`nbexp note {name} TEXT` keeps text of any length.",
        )
