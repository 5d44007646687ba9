"""Many objects between the cache and a remote: only those that are missing, on several threads, verified.

    <url>/files/md5/<2>/<30>[.dir]      objects, as in the cache
    <url>/<2>/<30>[.dir]                those of DVC 2.x: what lies there on one side goes there on the other
    <url>/runs/<2>/<key>/<value>        the run cache

A directory's files go first and its listing, the `.dir` object, last. So its presence says that the whole directory is
there: DVC counts on that at the remote, and so does this. Stopped or killed at any instant, what has arrived stays
and has its final name, nothing else has one, and the next call moves the rest.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

from nbexp import filesystem
from nbexp.errors import StoreError
from nbexp.events import Emit, Moving, ignore
from nbexp.filesystem import crash_point
from nbexp.formats import directory, dvc_lock
from nbexp.formats import run_cache as signatures
from nbexp.formats.directory import Item
from nbexp.frozen import field, frozen
from nbexp.store import reading
from nbexp.store.cache import Cache
from nbexp.store.remotes import Entry, Remote

T = TypeVar("T")
R = TypeVar("R")

_BATCH = 4096  # objects that get their names together: one flush, of all that the disk holds back, serves them
_BATCH_BYTES = 256 << 20
_TELL_S = 0.25
_LOOK_ONE_BY_ONE = 32  # up to this many a listing cannot be cheaper
_JOIN_S = 10.0
# No other object would fare better.
_HOPELESS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.EACCES})


@frozen
class Transfer:
    """What became of the objects that were to move.

    Attributes
    ----------
    moved
        How many were moved, listings of directories included; `size_bytes` is what they have together.
    present
        How many were there already.
    missing
        Digests that neither side has.
    failed
        Digest -> why it could not be moved, in words.
    """

    moved: int = 0
    size_bytes: int = 0
    present: int = 0
    missing: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)


@frozen
class Comparison:
    """Which objects the two sides have: both, the cache alone, the remote alone, neither."""

    both: frozenset[str]
    new: frozenset[str]
    deleted: frozenset[str]
    missing: frozenset[str]


def push(
    hashes: Iterable[str],
    remote: Remote,
    cache: Cache,
    *,
    parts: Mapping[str, Sequence[str]] = {},
    jobs: int | None = None,
    emit: Emit = ignore,
) -> Transfer:
    """Store objects of the cache in the remote, with all files of the directories among them.

    Parameters
    ----------
    hashes
        Digests as dvc.lock has them, `.dir` at the end of a directory's.
    parts
        Of directories that are meant in part, the paths inside. Their listings are not stored: that would
        say that they are whole.
    jobs
        How many at once; None is what the remote says.

    Raises
    ------
    StoreError
        The remote cannot be reached, or has no room. What was stored stays.
    """
    files, folders, missing = _expanded(hashes, cache, parts)
    for md5 in parts:
        folders.pop(md5, None)
    here = _located(cache, [*files, *folders])
    there = _look(remote, {md5: here[md5] for md5 in folders if md5 in here}, jobs)
    # A directory of which the cache lost the listing can still be whole at the remote.
    missing -= set(_look(remote, {md5: _Place("", -1, False) for md5 in missing}, jobs))
    # Its listing says that a directory is whole, but DVC stores it for a part of it, too: looked at once.
    seen = cache.memos("pushed", [_at(remote, md5) for md5 in there])
    whole = {item.md5 for md5 in there if _at(remote, md5) in seen for item in folders[md5]}
    unsure = {md5: here[md5] for md5 in files if md5 in here and md5 not in whole}
    there |= _look(remote, unsure, jobs)
    lost = {md5 for md5 in files if md5 not in here and md5 not in whole}
    found = _look(remote, {md5: _Place("", -1, False) for md5 in lost}, jobs)
    there |= found
    lost -= set(found)
    todo = [md5 for md5 in unsure if md5 not in there]
    damaged = set(cache.missing(todo))
    todo = [md5 for md5 in todo if md5 not in damaged]
    lists = [md5 for md5 in folders if md5 in here and md5 not in there]
    line = _Line(f"pushing to {remote.url}", len(todo) + len(lists), emit)
    failed = _send(todo, here, remote, jobs, line)
    bad = {*failed, *damaged, *lost}
    complete = [md5 for md5 in lists if bad.isdisjoint(item.md5 for item in folders[md5])]
    if complete and todo:
        remote.flush()
    failed |= _send(complete, here, remote, jobs, line)
    if todo or complete:
        remote.flush()
    line.end()
    cache.remember_many(
        "pushed",
        {
            _at(remote, md5): "1"
            for md5, items in folders.items()
            if md5 not in bad and md5 not in failed and bad.isdisjoint(i.md5 for i in items)
        },
    )
    cache.flush()
    return Transfer(
        line.done,
        line.size_bytes,
        len(files) + len(folders) - len(todo) - len(lists) - len(lost) - len(damaged),
        tuple(sorted({*missing, *lost, *damaged})),
        failed,
    )


def fetch(
    hashes: Iterable[str],
    remote: Remote,
    cache: Cache,
    *,
    parts: Mapping[str, Sequence[str]] = {},
    jobs: int | None = None,
    emit: Emit = ignore,
) -> Transfer:
    """Bring objects into the cache, with all files of the directories among them; the workspace is not touched.

    Every object is hashed before it gets its name, and asked for once more when its bytes are wrong.

    Parameters
    ----------
    hashes
        Digests as dvc.lock has them, `.dir` at the end of a directory's.
    parts
        Of directories that are meant in part, the paths inside. Their listings come whole.
    jobs
        How many at once; None is what the remote says.

    Raises
    ------
    StoreError
        The remote cannot be reached, or this disk is full. What was brought stays.
    """
    wanted = list(dict.fromkeys(hashes))
    absent = set(cache.missing(wanted))
    lists = [md5 for md5 in wanted if md5 in absent and md5.endswith(".dir")]
    line = _Line(f"fetching from {remote.url}", len(lists), emit)
    with _Landing(cache) as landing:
        got = _bring(lists, remote, landing, jobs, line, keep=True)
        files = dict.fromkeys(md5 for md5 in wanted if not md5.endswith(".dir"))
        for md5 in wanted:
            if md5.endswith(".dir") and md5 not in got.problems:
                items = landing.items(md5) if md5 in absent else cache.items(md5)
                files.update(_in_parts(items, parts.get(md5)))
        todo = cache.missing(files)
        line.total += len(todo)
        rest = _bring(todo, remote, landing, jobs, line)
        crash_point("transfer.stored")
        landing.settle()
    line.end()
    problems = {**got.problems, **rest.problems}
    return Transfer(
        line.done,
        line.size_bytes,
        len(wanted) + len(files) - len(lists) - len(todo) - sum(m in files for m in wanted),
        tuple(sorted(md5 for md5, why in problems.items() if not why)),
        {md5: why for md5, why in problems.items() if why},
    )


def compare(
    hashes: Iterable[str], remote: Remote, cache: Cache, *, jobs: int | None = None
) -> Comparison:
    """Which of these objects the cache and the remote have; of a directory, its listing stands for all of it.

    Raises
    ------
    StoreError
        The remote cannot be reached.
    """
    wanted = dict.fromkeys(hashes)
    here = _located(cache, wanted)
    there = set(_look(remote, {md5: here.get(md5, _Place("", -1, False)) for md5 in wanted}, jobs))
    ours = set(here)
    every = set(wanted)
    return Comparison(
        frozenset(ours & there),
        frozenset(ours - there),
        frozenset(there - ours),
        frozenset(every - ours - there),
    )


def push_runs(
    remote: Remote,
    cache: Cache,
    *,
    leave_out: Collection[str] = (),
    jobs: int | None = None,
    emit: Emit = ignore,
) -> Transfer:
    """Store all entries of the run cache in the remote, after the outputs that they name.

    Parameters
    ----------
    leave_out
        Outputs that stay at home, by their paths as the entries spell them.
    """
    entries = {
        f"runs/{path.parent.parent.name}/{path.parent.name}/{path.name}": path
        for path in sorted((cache.folder / "runs").glob("??/*/*"))
        if not filesystem.is_temporary(path.name) and not path.name.endswith(".tmp")
    }
    there = {entry.key for entry in remote.list("runs/")} if entries and remote.page else set()
    new = [key for key in entries if key not in there]
    outs = {md5 for key in new for md5 in _outs_of(entries[key].read_bytes(), leave_out)}
    # An entry whose outputs are gone is of no use to anybody, but of no harm: it is left to lie here.
    sound = outs - set(cache.missing(outs))
    done = push(sound, remote, cache, jobs=jobs, emit=emit)
    line = _Line(f"pushing the run cache to {remote.url}", len(new), emit)
    failed = _through(
        new,
        lambda key: _told(line, lambda: remote.put(entries[key], key, line.moved)),
        jobs or remote.jobs,
        line,
    )
    if new:
        remote.flush()
    line.end()
    return Transfer(
        done.moved + line.done,
        done.size_bytes + line.size_bytes,
        done.present + len(entries) - len(new),
        done.missing,
        {**done.failed, **failed},
    )


def fetch_runs(
    remote: Remote, cache: Cache, *, jobs: int | None = None, emit: Emit = ignore
) -> Transfer:
    """Bring the entries of the remote's run cache that this one lacks; not their outputs.

    An entry that is not what its name says is left out: whoever may write to the remote could have put it there.
    """
    if not remote.page:
        return Transfer()
    wanted = {}
    present = 0
    for entry in remote.list("runs/"):
        parts = entry.key.split("/")
        if len(parts) == 4 and parts[2][:2] == parts[1] and _are_digests(parts[2:]):
            if cache.folder.joinpath(*parts).exists():
                present += 1
            else:
                wanted[entry.key] = parts
    line = _Line(f"fetching the run cache of {remote.url}", len(wanted), emit)

    def bring(key: str) -> str | None:
        fresh = cache.incoming()
        try:
            remote.get(key, fresh, line.moved)
            data = fresh.read_bytes()
        except FileNotFoundError:
            return ""
        finally:
            filesystem.remove(fresh)
        stage = dvc_lock.parse_entry(data)
        entry = None if stage is None else stage.entry()
        names = wanted[key][2:]
        if entry is None or [signatures.key(entry), signatures.value(entry)] != names:
            return "is no entry of a run cache, or not the one that its name says"
        cache.save_run(names[0], names[1], data)
        return None

    with cache.gathering() as names:
        failed = _through(
            list(wanted), lambda key: _told(line, lambda: bring(key)), jobs or remote.jobs, line
        )
        filesystem.sync(names)
    line.end()
    return Transfer(line.done, line.size_bytes, present, (), failed)


# What is where ------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """Where an object of the cache lies, its size, and whether that is 2.x's place."""

    path: str
    size: int
    is_legacy: bool


def _key(md5: str, *, legacy: bool) -> str:
    name = f"{md5[:2]}/{md5[2:]}"
    return name if legacy else f"files/md5/{name}"


def _expanded(
    hashes: Iterable[str], cache: Cache, parts: Mapping[str, Sequence[str]]
) -> tuple[dict[str, None], dict[str, tuple[Item, ...]], set[str]]:
    """Files, directories with their items, and directories of which the cache has no listing."""
    files: dict[str, None] = {}
    folders: dict[str, tuple[Item, ...]] = {}
    unknown: set[str] = set()
    for md5 in dict.fromkeys(hashes):
        if not md5.endswith(".dir"):
            files[md5] = None
            continue
        try:
            folders[md5] = cache.items(md5)
        except StoreError:
            unknown.add(md5)
    for md5, items in folders.items():
        files.update(_in_parts(items, parts.get(md5)))
    return files, folders, unknown


def _in_parts(items: Iterable[Item], parts: Sequence[str] | None) -> dict[str, None]:
    """The digests of a directory's files; of those at or below the parts, if there are any."""
    if parts is None:
        return dict.fromkeys(item.md5 for item in items)
    return dict.fromkeys(
        item.md5
        for item in items
        if any(item.relpath == part or item.relpath.startswith(f"{part}/") for part in parts)
    )


def _at(remote: Remote, md5: str) -> str:
    return f"{remote.url}\0{md5}"


def _located(cache: Cache, md5s: Iterable[str]) -> dict[str, _Place]:
    """The objects that the cache has."""
    found: dict[str, _Place] = {}
    top = os.fspath(cache.folder)
    for md5 in md5s:
        for legacy in (False, True):
            path = f"{top}/{_key(md5, legacy=legacy)}"
            try:
                found[md5] = _Place(path, os.stat(path).st_size, legacy)
                break
            except OSError:
                continue
    return found


def _look(remote: Remote, wanted: Mapping[str, _Place], jobs: int | None) -> dict[str, Entry]:
    """Those that the remote has with the right size; by listings or one by one, as is cheaper.

    One listing brings `remote.page` names, of which the remote may have many more than are asked for. How many it
    has in all is told by one of the 256 folders: digests are spread evenly.
    """
    if not wanted:
        return {}
    keys = {_key(md5, legacy=place.is_legacy): md5 for md5, place in wanted.items()}
    entries: dict[str, Entry] = {}
    folders = sorted({key[: len(key) - len(md5) + 2] for key, md5 in keys.items()})
    total = 0
    if remote.page and len(keys) > _LOOK_ONE_BY_ONE:
        sample = list(remote.list(folders[0]))
        entries.update((entry.key, entry) for entry in sample if entry.key in keys)
        total = 256 * len(sample)
    if remote.page and len(keys) > _LOOK_ONE_BY_ONE + len(folders) + total // remote.page:

        def listed(folder: str) -> list[Entry]:
            return [entry for entry in remote.list(folder) if entry.key in keys]

        for found in _answers(folders[1:], listed, jobs or remote.jobs):
            entries.update((entry.key, entry) for entry in found)
    else:
        rest = [key for key in keys if key not in entries]
        for entry in _answers(rest, remote.exists, jobs or remote.jobs):
            if entry is not None:
                entries[entry.key] = entry
    there = {}
    for key, entry in entries.items():
        md5 = keys[key]
        size = wanted[md5].size
        is_whole = size < 0 or entry.size == size
        is_same = entry.md5 is None or wanted[md5].is_legacy or entry.md5 == md5[:32]
        if is_whole and is_same:
            there[md5] = entry
    # Of what the cache lacks one cannot know in which of the two places the remote has it.
    old = {md5: _Place("", -1, True) for md5, place in wanted.items() if place == ("", -1, False)}
    return there | _look(remote, {m: p for m, p in old.items() if m not in there}, jobs)


# Moving -------------------------------------------------------------------------------------------


def _send(
    md5s: Sequence[str],
    here: Mapping[str, _Place],
    remote: Remote,
    jobs: int | None,
    line: _Line,
) -> dict[str, str]:
    """Store objects and look whether they are there; why not, by digest."""

    def send(md5: str) -> str | None:
        place = here[md5]
        try:
            remote.put(Path(place.path), _key(md5, legacy=place.is_legacy), line.moved)
        except FileNotFoundError:
            return "vanished from the cache"
        return None

    left = _sent_small(md5s, here, remote, line) if jobs is None else md5s
    failed = _through(left, lambda md5: _told(line, lambda: send(md5)), jobs or remote.jobs, line)
    sent = {md5: here[md5] for md5 in md5s if md5 not in failed}
    there = _look(remote, sent, jobs)
    for md5 in sent:
        if md5 not in there:
            failed[md5] = "did not arrive whole"
            line.done -= 1
    return failed


def _sent_small(
    md5s: Sequence[str], here: Mapping[str, _Place], remote: Remote, line: _Line
) -> Sequence[str]:
    """Store many small objects at once, where the remote has a way to; those that are left."""
    put_small = getattr(remote, "put_small", None)
    if put_small is None:
        return md5s
    asked = [
        (here[md5].path, _key(md5, legacy=here[md5].is_legacy), here[md5].size) for md5 in md5s
    ]

    def stored(index: int) -> None:
        line.moved(asked[index][2])
        line.finished()
        line.tell()

    return [md5s[index] for index in put_small(asked, stored)]


class _Brought(NamedTuple):
    problems: dict[str, str]  # digest -> why; "" is that the remote does not have it


def _bring(
    md5s: Sequence[str],
    remote: Remote,
    landing: _Landing,
    jobs: int | None,
    line: _Line,
    *,
    keep: bool = False,
) -> _Brought:
    """Fetch and verify objects; with `keep` they wait in `landing` until it is settled."""

    def bring(md5: str) -> str | None:
        fresh = landing.fresh()
        try:
            return bring_to(fresh, md5)
        except BaseException:
            with suppress(OSError):
                filesystem.remove(fresh)
            raise

    def bring_to(fresh: Path, md5: str) -> str | None:
        for _ in range(2):
            for legacy in (False, True):
                try:
                    remote.get(_key(md5, legacy=legacy), fresh, line.moved)
                except FileNotFoundError:
                    filesystem.remove(fresh)
                    continue
                size = _size_if_sound(fresh, md5, legacy, line.stop)
                if size is not None:
                    landing.add(md5, fresh, legacy, size, keep=keep)
                    return None
                filesystem.remove(fresh)
                break
            else:
                return ""
        return "arrived twice with bytes that are not the object's"

    failed = _through(
        md5s,
        lambda md5: _told(line, lambda: bring(md5)),
        jobs or remote.jobs,
        line,
        after=landing.land,
    )
    if not keep:
        landing.land(everything=True)
    return _Brought(failed)


def _size_if_sound(path: Path, md5: str, legacy: bool, stop: threading.Event) -> int | None:
    """How many bytes a file has, if they are those of the object."""
    name = os.fspath(path)
    for digest in (reading.md5_digest, reading.legacy_digest)[: 1 + legacy]:
        found, stamp = reading.read_steadily(name, digest, stop)
        if found == md5[:32]:
            return stamp[2]
    return None


class _Landing:
    """Verified files on their way into the cache: made objects in batches, so that one flush serves many.

    Left by an error or an interrupt it makes objects of the files that have arrived, and removes all others.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._arrived: list[tuple[str, Path, bool]] = []
        self._bytes = 0
        self._kept: dict[str, tuple[str, Path, bool]] = {}
        self._made: set[Path] = set()
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, StoreError):
            self.land(everything=True)
        with self._lock:
            self._closed = True  # a second interrupt may have left threads at work
            left, self._made = self._made, set()
        for path in left:
            with suppress(OSError):
                filesystem.remove(path)

    def fresh(self) -> Path:
        path = self._cache.incoming()
        with self._lock:
            if self._closed:
                raise reading.Stopped
            self._made.add(path)
        return path

    def add(self, md5: str, path: Path, legacy: bool, size: int, *, keep: bool) -> None:
        with self._lock:
            if self._closed:
                raise reading.Stopped
            if keep:
                self._kept[md5] = (md5, path, legacy)
            else:
                self._arrived.append((md5, path, legacy))
                self._bytes += size

    def items(self, md5: str) -> tuple[Item, ...]:
        """The files of a directory whose listing waits."""
        return directory.parse(self._kept[md5][1].read_bytes())

    def land(self, *, everything: bool = False) -> None:
        """Make objects of what has arrived, once it is enough for a batch."""
        with self._lock:
            if not everything and len(self._arrived) < _BATCH and self._bytes < _BATCH_BYTES:
                return
            batch, self._arrived, self._bytes = self._arrived, [], 0
        self._take_in(batch)

    def settle(self) -> None:
        """Make objects of the listings, now that their files are in the cache."""
        self.land(everything=True)
        self._take_in(list(self._kept.values()))
        self._kept = {}

    def _take_in(self, batch: list[tuple[str, Path, bool]]) -> None:
        if not batch:
            return
        crash_point("transfer.arrived")
        self._cache.take_in(batch)
        with self._lock:
            self._made.difference_update(path for _, path, _ in batch)


# Threads ------------------------------------------------------------------------------------------


class _Line:
    """How far a transfer is, and the sign for its threads to stop."""

    def __init__(self, text: str, total: int, emit: Emit) -> None:
        self.text = text
        self.total = total
        self.done = 0
        self.size_bytes = 0
        self.stop = threading.Event()
        self._emit = emit
        self._lock = threading.Lock()
        self._started = self._told = time.monotonic()

    def moved(self, count: int) -> None:
        if self.stop.is_set():
            raise reading.Stopped
        with self._lock:
            self.size_bytes += count

    def finished(self) -> None:
        with self._lock:
            self.done += 1

    def tell(self) -> None:
        """Say how far it is, four times a second at most."""
        now = time.monotonic()
        if now - self._told >= _TELL_S:
            self._told = now
            self._say(now)

    def end(self) -> None:
        """Say how it ended, if anything was said before."""
        if self._told != self._started:
            self._say(time.monotonic())

    def _say(self, now: float) -> None:
        rate = self.size_bytes / max(now - self._started, 1e-9)
        self._emit(Moving(self.text, self.done, self.total, self.size_bytes, rate))


def _told(line: _Line, work: Callable[[], str | None]) -> str | None:
    """Why `work` did not succeed, in words; None, and counted, if it did."""
    try:
        problem = work()
    except StoreError as error:
        return error.message
    except OSError as error:
        if error.errno in _HOPELESS:
            raise
        return f"the system refused: {error.strerror or error}"
    if problem is None:
        line.finished()
    return problem


def _through(
    items: Sequence[str],
    work: Callable[[str], str | None],
    jobs: int,
    line: _Line,
    after: Callable[[], None] | None = None,
) -> dict[str, str]:
    """`work` on every item, and why it failed where it did; `after` is called now and then, on this thread.

    Where the first ones all fail the others are not tried: a password is wrong, a server is down.
    """
    failed: dict[str, str] = {}
    tried = 0

    def take(item: str, problem: str | None) -> None:
        nonlocal tried
        tried += 1
        if problem is not None:
            failed[item] = problem
            if problem and tried == len(failed) and tried >= 2 * jobs:
                raise StoreError(problem)

    def pause() -> None:
        line.tell()
        if after is not None:
            after()

    _spread(items, work, jobs, take, pause, line.stop)
    if failed and all(failed.values()) and len(failed) == len(items) > 1:
        raise StoreError(next(iter(failed.values())))
    return failed


def _answers(items: Sequence[str], work: Callable[[str], R], jobs: int) -> list[R]:
    """`work` on every item, on several threads; the first error of any is raised."""
    answers: list[R] = []
    _spread(
        items, work, jobs, lambda _, answer: answers.append(answer), _nothing, threading.Event()
    )
    return answers


def _nothing() -> None:
    pass


def _spread(
    items: Sequence[str],
    work: Callable[[str], R],
    jobs: int,
    take: Callable[[str, R], None],
    pause: Callable[[], None],
    stop: threading.Event,
) -> None:
    """`work` on `jobs` threads; `take` has the answers and `pause` the turns between, both on this thread."""
    import queue

    if jobs < 2 or len(items) < 2:
        for item in items:
            take(item, work(item))
            pause()
        return
    answers: queue.SimpleQueue[list[tuple[str, R]] | BaseException | None] = queue.SimpleQueue()
    # A few at a time: handing over each alone would cost more than moving a small file.
    size = max(1, min(32, len(items) // (4 * jobs)))
    left = iter([items[start : start + size] for start in range(0, len(items), size)])
    turn = threading.Lock()

    def loop() -> None:
        try:
            while not stop.is_set():
                with turn:
                    piece = next(left, None)
                if piece is None:
                    break
                done: list[tuple[str, R]] = []
                try:
                    for item in piece:
                        if stop.is_set():
                            break
                        done.append((item, work(item)))
                finally:
                    answers.put(done)
            answers.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again below, by the caller's thread
            answers.put(error)

    threads = [threading.Thread(target=loop, daemon=True) for _ in range(min(jobs, len(items)))]
    running = len(threads)
    try:
        # An interrupt may come before the last has started: the first may have done much by then.
        for thread in threads:
            thread.start()
        while running:
            try:
                answer = answers.get(timeout=_TELL_S)
            except queue.Empty:
                pause()
                continue
            if answer is None:
                running -= 1
            elif isinstance(answer, BaseException):
                raise answer
            else:
                for item, result in answer:
                    take(item, result)
                pause()
    except BaseException:
        stop.set()
        end = time.monotonic() + _JOIN_S
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, end - time.monotonic()))
        raise


# The run cache ------------------------------------------------------------------------------------


def _outs_of(data: bytes, leave_out: Collection[str]) -> list[str]:
    stage = dvc_lock.parse_entry(data)
    outs = [] if stage is None else stage.outs
    return [out.md5 for out in outs if out.md5 and out.path not in leave_out]


def _are_digests(names: Sequence[str]) -> bool:
    return all(len(name) == 64 and set(name) <= set("0123456789abcdef") for name in names)
