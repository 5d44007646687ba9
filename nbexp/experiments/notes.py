"""What is recorded about experiments outside of their commits: one JSON object each, in Git notes.

`git notes --ref=nbexp show REV` prints it. Every key has the time it was changed, so that two clones
that changed different things merge without a conflict, and of one thing the newer wins. Each tag has a
time of its own as well (`"tags:paper"`), so that tags of both clones are kept.

    {
      "note": "the one for the paper",
      "tags": ["paper"],
      "run": {"command": "nbexp run -n low-lr", ..., "packages": "5f1c..."},
      "changed": {"note": "2026-03-01T09:30:00.000000Z", ...}
    }

The tree of refs/notes/nbexp is Git's own for notes (gitformat of notes, 2.39: the hex of the commit,
split after two digits as often as one likes); what is not called so, Git leaves alone, and there stand
the lists of packages, `packages/<sha1>`, once for all experiments that have the same.

Reading any number of notes takes the one `git cat-file` that is there anyway; writing one writes a
blob, two trees and a commit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence

from nbexp import hashing
from nbexp.errors import GitError
from nbexp.frozen import field, frozen
from nbexp.git import FileContent, Git, NewCommit
from nbexp.git.remote import GitRemote, Move

REF = "refs/notes/nbexp"

# Where the notes of a remote were last seen, to fetch only what is new.
SEEN = "refs/nbexp/notes/"

_PACKAGES = "packages/"
_CHANGED = "changed"
_TAG = "tags:"  # before a tag, the key of the time at which it was set or taken away
# What a reader wants to see first comes first; all other keys follow.
_ORDER = ("note", "tags", "star", "verified", "run")
# What people say of an experiment, not of one commit of it.
_SAID = ("note", "tags", "star")

_TRIES = 10

Places = Mapping[str, Sequence[tuple[str, str]]]
"""Path and blob of a commit's notes; nearly always there is one."""


@frozen
class Note:
    """The values of a note by key, and when each was changed; a key that was taken away has its time alone."""

    values: Mapping[str, object] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)


def read(git: Git, revs: Iterable[str]) -> dict[str, dict[str, object]]:
    """What is recorded about each of these commits, full ids; those without a note are left out."""
    found = _read(git, _root(git), revs)
    return {rev: dict(note.values) for rev, note in found.items() if note.values}


def change(git: Git, changes: Mapping[str, Mapping[str, object]]) -> None:
    """Set keys of the notes of commits; None takes a key away. All of it, or nothing.

    Whatever other processes write at the same time is kept.

    Raises
    ------
    GitError
        The notes stayed locked for ten seconds, or cannot be written. They are as they were.
    """
    git.advance(lambda: _changed(git, changes, {}))


def packages(git: Git, digest: str) -> dict[str, str]:
    """The list of packages, name to version, that a note's `run` names; none if it is not there."""
    data = git.read(f"{REF}:{_PACKAGES}{digest}")
    return dict(json.loads(data)) if data is not None else {}


def packages_digest(listed: Mapping[str, str]) -> tuple[str, bytes]:
    """What a note names this list of packages by, and the bytes that are stored."""
    text = json.dumps(listed, indent=1, sort_keys=True, ensure_ascii=False)
    data = text.encode("utf-8", "backslashreplace") + b"\n"
    return hashing.sha1(data), data


class Beside:
    """The `run` of an experiment that is being recorded, as the note that comes with its commit.

    `error` says afterwards why there is none. What people said of the commit `follows`, the note of this one
    says as well: it is the same experiment, one step further.
    """

    def __init__(self, git: Git, run: Mapping[str, object], stored: Mapping[str, bytes]) -> None:
        self.error: GitError | None = None
        self.follows: str | None = None
        self._git = git
        self._run = run
        self._stored = stored

    def add(self, **told: object) -> None:
        """Tell more of the run."""
        self._run = {**self._run, **told}

    def make(self, revs: Sequence[str]) -> NewCommit | None:
        """The commit of the notes that tells of the first of `revs`."""
        old = [] if self.follows is None else [self.follows]
        said = list(read(self._git, old).values())
        kept = {key: note[key] for note in said for key in _SAID if key in note}
        return _changed(self._git, {revs[0]: {**kept, "run": self._run}}, self._stored)

    def write(self, rev: str) -> None:
        """Write it for a commit that is there already; `error` says where that did not work."""
        try:
            self._git.advance(lambda: self.make([rev]))
        except GitError as error:
            self.failed(error)

    def failed(self, error: GitError) -> None:
        """Remember why it could not be made."""
        self.error = error


def send(git: Git, remote: str, revs: Iterable[str]) -> tuple[str, ...]:
    """Bring what is recorded about these commits to a Git remote; the commits whose notes changed there.

    What the remote has of them is merged in, and what it has of others stays.

    Raises
    ------
    GitError
        The remote cannot be reached, refuses, or changed each time. What it has is as it was.
    """
    revs = [*revs]
    for left in reversed(range(_TRIES)):
        seen = _fetch(git, remote)
        mine = _read(git, _root(git), revs)
        places = _places(git, seen, mine)
        theirs = _read_at(git, places)
        merged = {rev: _merge(theirs.get(rev), note) for rev, note in mine.items()}
        merged = {rev: note for rev, note in merged.items() if note != theirs.get(rev)}
        if not merged:
            return ()
        files = _files(places, merged) | _packages_of(git, _root(git), seen, merged.values())
        made = git.commit(NewCommit(None, seen, _MESSAGE, base=seen, files=files))[0]
        there = GitRemote(git, remote)
        refusals = there.push([Move(REF, made, seen)])
        if refusals:
            if not left or _at_remote(git, remote) == seen:  # nobody was faster
                raise GitError(f"{there.shown} refused {REF}: {refusals[REF]}.")
            continue
        git.update_refs([(_seen_ref(remote), made, "any")])
        return tuple(merged)
    return ()


def receive(git: Git, remote: str, revs: Iterable[str]) -> tuple[str, ...]:
    """Take over what a Git remote has recorded about these commits; those whose notes changed here.

    Raises
    ------
    GitError
        The remote cannot be reached, or the notes here cannot be written. They are as they were.
    """
    seen = _fetch(git, remote)
    theirs = _read(git, seen, revs)
    changed: dict[str, Note] = {}

    def make() -> NewCommit | None:
        root = _root(git)
        places = _places(git, root, theirs)
        mine = _read_at(git, places)
        changed.clear()
        for rev, note in theirs.items():
            merged = _merge(mine.get(rev), note)
            if merged != mine.get(rev):
                changed[rev] = merged
        files = _files(places, changed) | _packages_of(git, seen, root, changed.values())
        return (
            NewCommit(REF, root, _MESSAGE, base=root, files=files, expect=root) if files else None
        )

    git.advance(make)
    return tuple(changed)


_MESSAGE = b"Notes of nbexp\n"


def _root(git: Git) -> str | None:
    return git.commit_at(REF)


def _changed(
    git: Git, changes: Mapping[str, Mapping[str, object]], stored: Mapping[str, bytes]
) -> NewCommit | None:
    """The commit that has these changes, None where nothing changes."""
    root = _root(git)
    places = _places(git, root, changes)
    found = _read_at(git, places)
    new = {rev: _with(found.get(rev, Note()), keys) for rev, keys in changes.items()}
    new = {rev: note for rev, note in new.items() if note != found.get(rev, Note())}
    files = _files(places, new)
    if stored:
        names = [_PACKAGES + name for name in stored]
        known = git.info_many([f"{root}:{name}" for name in names]) if root else [None] * len(names)
        absent = (name for name, info in zip(stored, known, strict=True) if info is None)
        files.update((_PACKAGES + name, stored[name]) for name in absent)
    return NewCommit(REF, root, _MESSAGE, base=root, files=files, expect=root) if files else None


def _with(note: Note, keys: Mapping[str, object]) -> Note:
    """The note with keys set, or taken away; one that stays as it is keeps its time."""
    values, changed = dict(note.values), dict(note.changed)
    for key, value in keys.items():
        if key == _CHANGED:
            raise ValueError(key)
        # As it will be read: a tuple comes back as a list.
        value = json.loads(json.dumps(value, default=str))
        if values.get(key) == value:
            continue
        changed[key] = _later_than(changed.get(key, ""))
        if key == "tags":
            before, after = (_texts(one) for one in (values.get(key), value))
            changed.update({f"{_TAG}{tag}": changed[key] for tag in {*before} ^ {*after}})
        values[key] = value
        if value is None:
            del values[key]
    return Note(values, changed)


def _later_than(time_text: str) -> str:
    """The present; after what another machine, whose clock may be ahead, has written."""
    now = time.time_ns() // 1000
    text = _time_text(now)
    if text > time_text:
        return text
    from datetime import datetime

    try:
        last = datetime.fromisoformat(time_text)
    except ValueError:
        return text
    return _time_text(round(last.timestamp() * 1_000_000) + 1)


def _time_text(us: int) -> str:
    seconds, rest = divmod(us, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:06}Z"


def _merge(one: Note | None, other: Note) -> Note:
    """Of each key what was changed last; whichever way round they are given."""
    if one is None:
        return other
    values: dict[str, object] = {}
    changed: dict[str, str] = {}
    for key in dict.fromkeys([*one.values, *other.values, *one.changed, *other.changed]):
        newer = max(one, other, key=lambda note: _rank(note, key))
        if key in newer.values:
            values[key] = newer.values[key]
        if key in newer.changed:
            changed[key] = newer.changed[key]
    first = max(one, other, key=lambda note: _rank(note, "tags"))
    tags = _merged_tags(first, other if first is one else one)
    if tags:
        values["tags"] = tags
    elif isinstance(values.get("tags"), list):
        del values["tags"]
    return Note(values, changed)


def _merged_tags(first: Note, second: Note) -> list[str]:
    """The tags of both, without those that one of them took away later than the other set them."""
    lists = [_texts(note.values.get("tags")) for note in (first, second)]
    known = dict.fromkeys([*lists[0], *lists[1]])

    def last(note: Note, has: bool, tag: str) -> tuple[str, bool]:
        # A list that another tool wrote has one time for all of it; what never was there has none.
        return note.changed.get(_TAG + tag, note.changed.get("tags", "") if has else ""), has

    return [
        tag
        for tag in known
        if max(last(first, tag in lists[0], tag), last(second, tag in lists[1], tag))[1]
    ]


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _rank(note: Note, key: str) -> tuple[str, str]:
    # Of two changes at the same microsecond one has to win, the same one everywhere.
    text = json.dumps(note.values[key], sort_keys=True) if key in note.values else ""
    return note.changed.get(key, ""), text


def _text(note: Note) -> bytes:
    ordered = {key: note.values[key] for key in _ORDER if key in note.values} | dict(note.values)
    whole = {**ordered, _CHANGED: dict(sorted(note.changed.items()))}
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _parse(data: bytes) -> Note:
    """What a note says; text that people add with `git notes` becomes its `note`.

    Git itself joins notes one below the other, so there may be several objects and text around them.
    """
    text = data.decode("utf-8", "replace").strip()
    decoder = json.JSONDecoder()
    found, written = Note(), []
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except ValueError:
            value, end = None, 0
        if not isinstance(value, dict):
            line, _, text = text.partition("\n")
            written.append(line)
            continue
        times = value.pop(_CHANGED, None)
        times = times if isinstance(times, dict) else {}
        known = {str(key): str(when) for key, when in times.items()}
        found = _merge(found, Note({k: v for k, v in value.items() if v is not None}, known))
        text = text[end:].strip()
    if written:
        said = found.values.get("note")
        whole = "\n".join([*([str(said)] if said else []), *written]).strip()
        found = Note({**found.values, "note": whole}, found.changed)
    return found


def _read(git: Git, root: str | None, revs: Iterable[str]) -> dict[str, Note]:
    return _read_at(git, _places(git, root, revs))


def _read_at(git: Git, places: Places) -> dict[str, Note]:
    ordered = [(rev, oid) for rev, found in places.items() for _, oid in found]
    notes: dict[str, Note] = {}
    for (rev, _), data in zip(ordered, git.read_many([oid for _, oid in ordered]), strict=True):
        notes[rev] = _merge(notes.get(rev), _parse(data or b""))
    return notes


def _places(git: Git, root: str | None, revs: Iterable[str]) -> Places:
    """Path and blob of each of these commits' notes, at whatever depth Git has put them."""
    tree = git.info(f"{root}^{{tree}}") if root is not None else None
    wanted = set(revs)
    found: dict[str, list[tuple[str, str]]] = {}
    todo: list[tuple[str, str, set[str]]] = [(tree[0], "", wanted)] if tree and wanted else []
    while todo:
        inner: list[tuple[str, str, set[str]]] = []
        listed = git.entries([oid for oid, _, _ in todo])
        for (_, top, below), entries in zip(todo, listed, strict=True):
            start = top.replace("/", "")
            groups: dict[str, set[str]] = {}
            for rev in below:
                groups.setdefault(rev[len(start) : len(start) + 2], set()).add(rev)
            for name, mode, oid in entries:
                if mode != "40000" and start + name in below:
                    found.setdefault(start + name, []).append((top + name, oid))
                elif mode == "40000" and name in groups:
                    inner.append((oid, f"{top}{name}/", groups[name]))
        todo = inner
    return found


def _files(places: Places, notes: Mapping[str, Note]) -> dict[str, FileContent]:
    """The files of a tree that make it hold these notes, each in one place."""
    files: dict[str, FileContent] = {path: None for rev in notes for path, _ in places.get(rev, ())}
    files.update((f"{rev[:2]}/{rev[2:]}", _text(note)) for rev, note in notes.items())
    return files


def _packages_of(
    git: Git, source: str | None, target: str | None, notes: Iterable[Note]
) -> dict[str, FileContent]:
    """The lists of packages that these notes name and only the source has."""
    named: set[str] = set()
    for note in notes:
        run = note.values.get("run")
        if isinstance(run, dict) and isinstance(run.get("packages"), str):
            named.add(_PACKAGES + run["packages"])
    paths = sorted(named)
    known = git.info_many([f"{target}:{path}" for path in paths]) if target else [None] * len(paths)
    absent = [path for path, info in zip(paths, known, strict=True) if info is None]
    texts = git.read_many([f"{source}:{path}" for path in absent]) if source else []
    return {path: text for path, text in zip(absent, texts, strict=False) if text is not None}


def _fetch(git: Git, remote: str) -> str | None:
    """The commit of the remote's notes, which is here then; None if it has none."""
    there = _at_remote(git, remote)
    if there is None or git.info(there) is not None:
        return there
    git.run(
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
        "--refmap=", "--", remote, f"+{REF}:{_seen_ref(remote)}",
    )  # fmt: skip
    return git.resolve(_seen_ref(remote))


def _at_remote(git: Git, remote: str) -> str | None:
    out = git.run("ls-remote", "--quiet", "--", remote, REF).decode("ascii", "replace")
    return out.split("\t")[0] if out else None


def _seen_ref(remote: str) -> str:
    return SEEN + hashing.sha1(remote.encode("utf-8", "surrogateescape"))[:16]
