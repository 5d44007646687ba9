"""Objects on this disk: hashing, storing, and putting workspace paths back from them.

The class is the table of contents: where an object lies and what makes it trustworthy is in `objects`, how workspace
and cache share bytes (copy, reflink, hard link, symbolic link) in `links`, the way in in `storing`, the way out in
`restoring`, and the memo that makes an unchanged file cost a `stat` in `state`. Objects, names and modes are DVC's
(`files/md5/<2>/<30>[.dir]`, `runs/<2>/<key>/<value>`, 2.x objects in `<2>/<30>`), see
`tests/conformance/test_cache.py`.

The memo is derived: lost or damaged, it costs time and nothing else.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path

from nbexp import filesystem, hashing
from nbexp.errors import NotFound, StoreError
from nbexp.filesystem import crash_point
from nbexp.formats import directory
from nbexp.formats.directory import Item
from nbexp.frozen import frozen
from nbexp.store import two_processes
from nbexp.store.links import Links
from nbexp.store.objects import (
    WRITE_BITS,
    Object,
    Objects,
    check_name,
    distrust,
    flush_names,
    is_name,
    rename_into,
)
from nbexp.store.reading import (
    Stamp,
    apart,
    are_settled,
    digest_of_stamps,
    digests_of,
    in_threads,
    is_settled,
    legacy_digest,
    md5_digest,
    read_steadily,
    shown,
    stamp_of,
    unreadable,
)
from nbexp.store.restoring import Restoring, folders_of, swap, take_over
from nbexp.store.staging import READ_ONLY, discard
from nbexp.store.state import State, digest_in
from nbexp.store.storing import Storing
from nbexp.store.two_processes import Pair

Skip = Callable[[str, bool], bool]

_STRAY_S = 24 * 3600.0
_TELL_S = 0.25
_MANY = 1000  # with so many files the clock is not looked at for each

_GROUP_FILE = 0o664  # DVC's, for what is no object: entries of the run cache
# What `checkout` must not create below a path, whoever wrote the directory object.
_BAD_RELPATH = r"(?i:\0|(?:^|/)(?:\.{0,2}(?:/|$)|\.git(?:/|$)|\.dvc/))"


@frozen
class Hash:
    """What a path holds: `md5` of a file, or of a directory's listing with `.dir` at its end.

    `size` is in bytes (negative: unknown), a directory's that of all its `nfiles` files; `isexec` says that the
    owner may run the file, and is False for directories.
    """

    md5: str
    size: int
    nfiles: int | None = None
    isexec: bool = False

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory's."""
        return self.md5.endswith(".dir")


class Cache:
    """The objects of one cache folder, and the memo of what workspace files hash to.

    Safe to use from several threads; any number of processes may use one folder.

    Parameters
    ----------
    folder
        `.dvc/cache`, or where `cache.dir` points. Made when something is stored.
    link_types
        How workspace files share bytes with objects, tried in this order: `reflink`, `hardlink`, `symlink`, `copy`.
    state
        The memo's database, `.dvc/tmp/nbexp/state.db`. Opened when first needed; if it cannot be used, a private one
        in memory takes its place.
    skip
        Given a directory that is hashed, says which paths below it do not count (`.dvcignore`). None, and None
        as its answer, leave out `.git`, `.hg` and `.dvc` only, which always are.
    shared
        The folder belongs to a group of users, who all may write into it (`cache.shared`).
    """

    def __init__(
        self,
        folder: Path,
        *,
        link_types: Sequence[str] = ("reflink", "copy"),
        state: Path,
        skip: Callable[[Path], Skip | None] | None = None,
        shared: bool = False,
    ) -> None:
        self.folder = Path(os.path.abspath(folder))
        self.link_types = tuple(link_types)
        self._state = State(Path(state))
        self._objects = Objects(self.folder, self._state, shared=shared)
        self._links = Links(self.link_types, self._objects)
        self._skip = skip
        self._shared = shared
        self._swept = False
        self._listings: dict[str, tuple[Item, ...]] = {}
        self._listener: list[Callable[[int, int], None] | None] = [None]  # shared with `copying`

    # What is on disk ------------------------------------------------------------------------------

    def hash(self, path: Path, *, legacy: bool = False) -> Hash | None:
        """What `path` holds now, or None when nothing is there; the cache is neither read nor written.

        Costs one `stat` per file that is known and unchanged (inode, modification time, size), and reads the others.

        Parameters
        ----------
        legacy
            The digest that DVC 2.x recorded, for which text files have their carriage returns taken out.

        Raises
        ------
        StoreError
            It is neither file nor directory, holds a link to nothing, or changes while it is read.
        """
        name = os.path.abspath(path)
        try:
            status = os.stat(name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return None  # a link that leads to itself leads to nothing
        if not stat.S_ISREG(status.st_mode):
            return self._scan(name, status, legacy=legacy).hash
        key = name + "\0" if legacy else name
        row = self._state.get(key)
        if row is not None and row[0] == stamp_of(status):
            md5 = row[1]
        else:
            md5, stamp = read_steadily(name, legacy_digest if legacy else md5_digest)
            self._note(key, stamp, md5)
        return Hash(md5, status.st_size, isexec=bool(status.st_mode & stat.S_IXUSR))

    def contents(self, path: Path, *, legacy: bool = False) -> Contents | None:
        """What a directory holds, file by file; None if there is none, or it is a link to one.

        Costs as `hash`. It serves `checkout` to take over unchanged files after the directory was moved.
        """
        name = os.path.abspath(path)
        try:
            status = os.lstat(name)
        except OSError:
            return None
        if not stat.S_ISDIR(status.st_mode):
            return None
        return self._scan(name, status, legacy=legacy, listing=True)

    # Into the cache -------------------------------------------------------------------------------

    def add(self, path: Path) -> Hash:
        """Store what `path` holds and say what that is; with link types that link, `path` then is a link.

        Killed half-way, some files of a directory are stored and the directory is not; calling again goes on from
        there.

        Raises
        ------
        NotFound
            Nothing is at `path`.
        StoreError
            As `hash`; or a file's name is one that could not be restored.
        """
        name = os.path.abspath(path)
        try:
            status = os.stat(name)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"`{shown(name)}` is not there, so it cannot be stored.") from None
        if not self._swept:
            self._swept = True
            filesystem.sweep(self._objects.unfinished, _STRAY_S)
        with _reported(name, "cannot be stored"):
            if stat.S_ISREG(status.st_mode):
                files = [(name, stamp_of(status))]
                row = self._state.get(name)
                rows = {} if row is None else {name: row}
                md5 = self._storing(Pair()).store(files, rows, name)[0][0]
                is_exec = bool(status.st_mode & stat.S_IXUSR)
                if is_exec and self._links.kind_at(name) in ("hardlink", "symlink"):
                    _allow_running(name)
                whole = Hash(md5, status.st_size, isexec=is_exec)
            else:
                whole = self._scan(name, status, storing=True).hash
        self._objects.remember_now()
        return whole

    def add_files(self, paths: Sequence[Path]) -> dict[Path, Hash]:
        """`add` for each of several big files, as many at once as there are processors; {} for fewer than two.

        Small ones are left out: a thread for each costs more than their digest.

        Raises
        ------
        StoreError
            As `add`, of one of them. Some of the others are stored.
        """
        big = [path for path in paths if _is_big(path)]
        found: dict[Path, Hash] = {}
        if len(big) > 1:
            count = self._counter(len(big))

            def store(path: Path, _stop: object) -> None:
                found[path] = self.add(path)
                count()

            in_threads(big, store)
        return found

    def put(self, data: bytes) -> Hash:
        """Store bytes that are in memory."""
        md5 = hashing.md5(data)
        with _reported(self._objects.place_of(md5), "cannot be stored"):
            self._objects.put(md5, data)
        return Hash(md5, len(data))

    def list_as(self, items: Iterable[Item], *, storing: bool = True) -> Hash:
        """The hash of a directory with these files, whose sizes are not known; `storing` keeps the listing.

        Without, this object alone can check it out, and nothing is written: for a part of a directory.
        """
        listed = tuple(sorted(items))
        data = directory.dump(listed)
        md5 = hashing.md5(data) + ".dir"
        _check_relpaths([item.relpath for item in listed], "the directory")
        if storing:
            with _reported(self._objects.place_of(md5), "cannot be stored"):
                self._objects.put(md5, data)
        self._listings[md5] = listed
        return Hash(md5, -1, len(listed))

    @cached_property
    def copying(self) -> Cache:
        """This cache, but its workspace files are copies: for outputs that Git tracks as well."""
        import copy

        twin = copy.copy(self)
        twin.link_types = ("reflink", "copy")
        twin._links = Links(twin.link_types, twin._objects)
        return twin

    def without(self, skip: Callable[[Path], Skip | None]) -> Cache:
        """This cache, its memo too, for another folder, where other paths do not count."""
        import copy

        twin = copy.copy(self)
        twin.__dict__.pop("copying", None)
        twin._skip = skip
        return twin

    # From elsewhere -------------------------------------------------------------------------------

    def missing(self, md5s: Iterable[str]) -> list[str]:
        """Those that no sound object has; of a directory, only its listing is looked at."""
        wanted = list(dict.fromkeys(md5s))
        for md5 in wanted:
            check_name(md5)
        problems = self._objects.inspect(wanted, deep=True)[0]
        return [md5 for md5 in wanted if md5 in problems]

    def incoming(self) -> Path:
        """A fresh name for a file that `take_in` is to make an object of."""
        if not self._swept:
            self._objects.make(os.fspath(self._objects.unfinished))
            filesystem.sweep(self._objects.unfinished, _STRAY_S)
            self._swept = True  # last: other threads go on from here
        return filesystem.temporary(self._objects.unfinished)

    def take_in(self, arrived: Sequence[tuple[str, Path, bool]]) -> None:
        """Make objects of files of ours: digest, file, and whether it goes to the place of DVC 2.x.

        The caller has found that their bytes have these digests, and nobody else has them open.
        """
        for _, fresh, _ in arrived:
            os.chmod(fresh, READ_ONLY)
        flush_names({os.fspath(fresh) for _, fresh, _ in arrived})
        folders = set()
        for md5, fresh, is_legacy in arrived:
            old = os.path.join(self.folder, md5[:2], md5[2:])
            target = old if is_legacy else self._objects.place_of(md5)
            stamp = stamp_of(os.stat(fresh))
            rename_into(os.fspath(fresh), target, self._objects.make)
            self._state.put_object(md5, stamp)
            folders.add(os.path.dirname(target))
        self._objects.flush_later(folders)
        self._objects.remember_now()

    # Out of the cache -----------------------------------------------------------------------------

    def path(self, md5: str) -> Path:
        """Where the object of that digest lies or would lie."""
        check_name(md5)
        return Path(self._objects.find(md5))

    def has_object(self, md5: str) -> bool:
        """Whether the object itself is there; of a directory, its listing."""
        return os.path.exists(self._objects.find(md5))

    def has(self, hash: Hash | str) -> bool:
        """Whether the object is there and has the right size; of a directory, every file's object too.

        An object that may be written to was never verified (DVC's rule), so its digest is taken.
        """
        md5 = hash if isinstance(hash, str) else hash.md5
        check_name(md5)
        size = -1 if isinstance(hash, str) or hash.is_dir else hash.size
        if self._objects.inspect([md5], size)[0]:
            return False
        return not md5.endswith(".dir") or self._has_all(md5, self._objects.lying(), {})

    def lacking(self, hashes: Iterable[Hash]) -> set[str]:
        """The digests of those that `has` would deny, found for many at once."""
        wanted = {one.md5: one for one in hashes}
        found = {md5 for md5 in wanted if not is_name(md5)}
        problems, stamps = self._objects.inspect([md5 for md5 in wanted if md5 not in found])
        found |= problems.keys()
        folders = []
        for md5, one in wanted.items():
            if md5 in found:
                continue
            if one.is_dir:
                folders.append(md5)
            elif 0 <= one.size != stamps[md5][2] and not self.has(one):
                found.add(md5)
        known: dict[str, Stamp | None] = {}
        lying = self._objects.lying() if folders else ""
        found.update(md5 for md5 in folders if not self._has_all(md5, lying, known))
        return found

    def _has_all(self, md5_dir: str, lying: str, known: dict[str, Stamp | None]) -> bool:
        """Whether all objects of a directory whose listing is there are sound.

        `known` has the stamps of objects that were looked at, None for one that is not sound, and receives them.
        """
        if self._objects.are_as_sealed(md5_dir, lying, lambda: self._digests_in(md5_dir)):
            return True
        now = time.time_ns()
        try:
            inner = dict.fromkeys(item.md5 for item in self.items(md5_dir))
        except StoreError:
            return False
        unknown = [md5 for md5 in inner if md5 not in known]
        stamps = self._objects.inspect(unknown)[1]
        known.update((md5, stamps.get(md5)) for md5 in unknown)
        sound = {md5: stamp for md5 in inner if (stamp := known[md5]) is not None}
        if len(sound) < len(inner):
            return False
        self._objects.seal(md5_dir, lying, sound, now)
        return True

    def _digests_in(self, md5_dir: str) -> list[str]:
        known = self._listings.get(md5_dir)
        try:
            return [item.md5 for item in known] if known else directory.digests(self.read(md5_dir))
        except StoreError:
            return []

    def read(self, md5: str) -> bytes:
        """The bytes of an object.

        Raises
        ------
        StoreError
            It is missing, or its bytes have another digest.
        """
        check_name(md5)
        name = self._objects.find(md5)
        try:
            data = Path(name).read_bytes()
        except OSError:
            raise self._objects.unusable(md5, "is missing") from None
        digest = hashing.md5(data)
        if digest != md5[:32] and not (
            self._objects.is_legacy(name) and read_steadily(name, legacy_digest)[0] == md5[:32]
        ):
            distrust(name)
            raise self._objects.unusable(md5, "is damaged: its bytes have another digest")
        return data

    def items(self, md5_dir: str) -> tuple[Item, ...]:
        """The files of a directory object.

        Raises
        ------
        StoreError
            It is missing or damaged, or names a path that must not be created.
        """
        known = self._listings.get(md5_dir)
        if known is None:
            data = self.read(md5_dir)
            try:
                known = directory.parse(data)
            except StoreError:
                problem = (
                    "cannot be used: it is no list of files, or lists one outside the directory"
                )
                raise self._objects.unusable(md5_dir, problem) from None
            _check_relpaths([item.relpath for item in known], shown(self._objects.find(md5_dir)))
            if (
                len(self._listings) >= 8
            ):  # enough for a pipeline; a listing may have a million names
                self._listings.clear()
            self._listings[md5_dir] = known
        return known

    def checkout(
        self,
        hash: Hash,
        path: Path,
        *,
        relink: bool = False,
        moved: tuple[Contents, Path] | None = None,
    ) -> bool:
        """Make `path` exactly what `hash` says, and say whether anything had to change.

        Objects are verified first: the size always, the digest when this object as it lies there was never verified.
        A directory is rebuilt beside `path`, taking over what is unchanged, what the ignore rules hide and links to
        folders, and then swapped in; whatever else was at `path` is gone. Killed at any instruction, `path` is the old one, the
        new one, or for an instant absent, and the next call completes it.

        Parameters
        ----------
        relink
            Place every file anew, so that it shares bytes with the cache as `link_types` say.
        moved
            Where the directory that was at `path` is now, with its contents: what is unchanged is taken over
            from there.

        Raises
        ------
        StoreError
            An object is missing or damaged, or the path cannot be written. `path` was not touched.
        """
        check_name(hash.md5)
        name = os.path.abspath(path)
        parent = Path(os.path.dirname(name))
        items: tuple[Item, ...] = ()
        if hash.is_dir:
            old = self._present(name, hash)
            if old is not None and old.hash.md5 == hash.md5:
                if not relink:
                    return False
                old = Contents(
                    old.hash, (), (), self._scan(name, os.stat(name), listing=True).hidden
                )
            items = self.items(hash.md5)
            stamps = self._objects.verified([item.md5 for item in items], -1, name)
        else:
            present = self._present_file(name)
            if present is not None and present.md5 == hash.md5 and not relink:
                if hash.isexec and not present.isexec:
                    _allow_running(name)
                    return True
                return False
            stamps = self._objects.verified([hash.md5], hash.size, name)
        crash_point("checkout.checked")
        fresh = os.fspath(filesystem.temporary(parent))
        restoring = Restoring(name, self._objects, self._links, self._state, self._counter)
        try:
            with _reported(name, "cannot be restored"), two_processes.begun(len(items)) as pair:
                parent.mkdir(parents=True, exist_ok=True)
                if hash.is_dir:
                    source = name
                    if moved is not None and old is None:
                        source = os.fspath(moved[1])
                        old = Contents(moved[0].hash, moved[0].items, moved[0].stamps, ())
                    restoring.build(
                        fresh, items, stamps, old.by_path() if old else {}, source, pair
                    )
                    take_over(old.hidden if old else (), source, fresh)
                else:
                    stamp = restoring.link(fresh, hash.md5, stamps[hash.md5])
                    if hash.isexec:
                        _allow_running(fresh)
                crash_point("checkout.built")
                swap(fresh, name)
        finally:
            discard(fresh)
        if hash.is_dir:
            restoring.learn(hash.md5)
        else:
            self._note(name, stamp, hash.md5)
        self._objects.remember_now()
        return True

    # What is in it --------------------------------------------------------------------------------

    def objects(self) -> Iterator[Object]:
        """Every object there is, those of DVC 2.x as well, in no order; costs a `stat` each."""
        return self._objects.all()

    def problems(self, objects: Sequence[Object], *, anew: bool = False) -> dict[str, str]:
        """What is wrong with these objects, in words by digest; each is read unless it is known to be sound.

        `anew` reads those as well. A damaged one stays where it is, and is not trusted any more.
        """
        md5s = [one.md5 for one in objects]
        return self._objects.inspect(md5s, deep=True, anew=anew)[0]

    def doubtful(self, objects: Sequence[Object]) -> list[Object]:
        """Those that may be written to, or are not as they were when they were last found sound."""
        rows = self._state.objects([one.md5 for one in objects])
        found = []
        for one in objects:
            try:
                status = os.stat(one.path)
            except FileNotFoundError:
                continue  # collected meanwhile
            known = rows.get(one.md5)
            if status.st_mode & WRITE_BITS or (known is not None and known != stamp_of(status)):
                found.append(one)
        return found

    def discard(self, objects: Iterable[Object]) -> int:
        """Remove objects for good, listings of directories first; how many bytes that freed.

        Killed half-way, no listing is left whose files are gone.
        """
        freed = 0
        ordered = sorted(objects, key=lambda one: not one.md5.endswith(".dir"))
        for one in ordered:
            try:
                os.unlink(one.path)
            except FileNotFoundError:
                continue
            freed += one.size
            crash_point("gc.removed")
        self._listings.clear()
        return freed

    # The run cache --------------------------------------------------------------------------------

    def run_cache(self, key: str) -> list[bytes]:
        """The entries saved under a key, as the bytes they were saved as, newest first."""
        try:
            with os.scandir(self._run_folder(key)) as found:
                entries = [
                    (entry.stat().st_mtime_ns, entry.name, entry.path)
                    for entry in found
                    if entry.is_file() and not entry.name.endswith(".tmp")
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [Path(path).read_bytes() for _, _, path in sorted(entries, reverse=True)]

    def save_run(self, key: str, value: str, entry_yaml: bytes) -> None:
        """Keep what a stage came to, under its signature; it is the newest entry of `key` from now on."""
        folder = self._run_folder(key)
        fresh = filesystem.temporary(self._objects.unfinished)
        try:
            filesystem.atomic_write(fresh, entry_yaml, durable=False)
            if self._shared:
                os.chmod(fresh, _GROUP_FILE)
            rename_into(os.fspath(fresh), os.path.join(folder, value), self._objects.make)
        finally:
            discard(os.fspath(fresh))
        crash_point("run.saved")
        # Torn by a power cut it says nothing, and counts as not there.
        self._objects.flush_later({os.path.join(folder, value), folder})

    def _run_folder(self, key: str) -> str:
        return os.path.join(self.folder, "runs", key[:2], key)

    # While many things are stored or restored -----------------------------------------------------

    def gathering(self) -> AbstractContextManager[set[str]]:
        """While inside, names of new objects and run-cache entries are put into the set, for the caller to flush.

        The bytes of each object are flushed as always, before it has its name. A caller that must not tell anybody
        of the objects before they are sure to stay flushes the set first: `filesystem.sync`. When what is inside
        fails, it is flushed here.
        """
        return self._objects.gathering()

    @contextmanager
    def narrating(self, say: Callable[[int, int], None]) -> Iterator[None]:
        """While inside, `say` is told how many files of how many are done, four times a second at most.

        It may be called by any thread, by one at a time.
        """
        self._listener[0] = say
        try:
            yield
        finally:
            self._listener[0] = None

    def _counter(self, total: int) -> Callable[[], None]:
        """What to call for each file that is done."""
        say = self._listener[0]
        if say is None or total < 2:
            return lambda: None
        turn = threading.Lock()
        done = itertools.count(1)
        last = time.monotonic()

        def count() -> None:
            nonlocal last
            now_done = next(done)
            if total >= _MANY and now_done % 64:
                return
            with turn:
                now = time.monotonic()
                if now - last >= _TELL_S:
                    last = now
                    say(now_done, total)

        return count

    # Derived facts that others keep here ----------------------------------------------------------

    def memo(self, kind: str, key: str) -> str | None:
        """What was remembered, or None; it may be forgotten at any time."""
        return self._state.memos(kind, [key]).get(key)

    def memos(self, kind: str, keys: Sequence[str]) -> dict[str, str]:
        """What was remembered of these keys, one query for 500 of them."""
        return self._state.memos(kind, keys)

    def remember(self, kind: str, key: str, value: str) -> None:
        """Keep a fact that can be derived again."""
        self._state.remember(kind, {key: value})

    def remember_many(self, kind: str, facts: Mapping[str, str]) -> None:
        """Keep many facts that can be derived again."""
        self._state.remember(kind, facts)

    def flush(self) -> None:
        """Write what was learnt to the database, in one transaction."""
        self._state.flush()

    def close(self) -> None:
        """Write what was learnt and close the database; the next call opens it again."""
        self._state.close()

    def _storing(self, pair: Pair) -> Storing:
        return Storing(self._objects, self._links, self._state, self._counter, pair)

    # Hashing --------------------------------------------------------------------------------------

    def _note(self, key: str, stamp: Stamp, md5: str) -> None:
        """Remember a digest, unless the file is so young that a later change might keep its stamp."""
        if is_settled(stamp):
            self._state.put(key, stamp, md5)

    def _scan(
        self,
        name: str,
        status: os.stat_result,
        *,
        legacy: bool = False,
        storing: bool = False,
        listing: bool = False,
    ) -> Contents:
        """What a directory holds; `storing` puts it into the cache, `listing` asks for its items as well."""
        if not stat.S_ISDIR(status.st_mode):
            raise StoreError(f"`{shown(name)}` is neither a file nor a directory.")
        with two_processes.begun() as pair:
            return self._scan_by(pair, name, legacy=legacy, storing=storing, listing=listing)

    def _scan_by(
        self, pair: Pair, name: str, *, legacy: bool, storing: bool, listing: bool
    ) -> Contents:
        hidden: list[str] = []
        known = None if legacy or listing else self._state.get_tree(name)
        # What is new is going to be read: the other process may begin before all files are found.
        found = self._found(name, hidden, pair if storing and known is None else None)
        size = sum(stamp[2] for _, stamp in found)
        kind = self._links.kind_at(name) if storing else ""
        digest = digest_of_stamps(found)
        if known is not None and known[0] == digest:
            whole = Hash(known[1], size, len(found))
            linked = kind in ("", "copy", "reflink") or kind == known[2]
            self._objects.saw(whole.md5, digest, found)
            if not storing or (linked and self.has(whole)):
                return Contents(whole, (), (), ())
        prefix = os.path.join(name, "")
        files = [(prefix + relpath, stamp) for relpath, stamp in found]
        rows = self._state.below(prefix)
        if storing:
            _check_relpaths([relpath for relpath, _ in found], f"`{shown(name)}`")
            way_in = self._storing(pair)
            md5s, stamps = way_in.store(files, rows, name)
            found = [(relpath, stamp) for (relpath, _), stamp in zip(found, stamps, strict=True)]
            digest = digest_of_stamps(found)
        else:
            md5s = self._digests(files, rows, legacy)
        items = tuple(Item(relpath, md5) for (relpath, _), md5 in zip(found, md5s, strict=True))
        data = directory.dump(items)
        md5 = hashing.md5(data) + ".dir"
        whole = Hash(md5, size, len(items))
        if storing:
            crash_point("add.listed")
            self._objects.put(md5, data)
            objects = {one: way_in.objects[one] for one in md5s}
            self._objects.seal(md5, "", objects, time.time_ns(), is_verified=True)
        if not legacy and are_settled(stamp for _, stamp in found):
            self._state.put_tree(name, digest, whole.md5, kind)
        return Contents(whole, items, tuple(stamp for _, stamp in found), tuple(hidden))

    def _found(self, name: str, hidden: list[str], pair: Pair | None) -> list[tuple[str, Stamp]]:
        """The files of a directory with their stamps; `pair` is told when there are many."""
        count = itertools.count(1)

        def keep(status: os.stat_result) -> Stamp:
            if next(count) == two_processes.FROM and pair is not None:
                pair.expect(two_processes.FROM)
            return stamp_of(status)

        skip = self._skip_in(name, hidden)
        try:
            return list(filesystem.walk(Path(name), skip, keep=keep if pair else stamp_of))
        except OSError as error:
            raise unreadable(error, name) from None

    def _digests(
        self,
        files: Sequence[tuple[str, Stamp]],
        rows: Mapping[str, tuple[Stamp, str]],
        legacy: bool,
    ) -> list[str]:
        """The digests of files, read where `rows` does not know them."""
        end = "\0" if legacy else ""
        result = [digest_in(rows, name + end, stamp) for name, stamp in files]
        unknown = [index for index, md5 in enumerate(result) if not md5]

        count = self._counter(len(unknown))

        def keep(number: int, found: tuple[str, Stamp]) -> None:
            index = unknown[number]
            result[index] = found[0]
            self._note(files[index][0] + end, found[1], found[0])
            count()

        names = [files[index][0] for index in unknown]
        digests_of(names, [files[index][1][2] for index in unknown], keep, legacy=legacy)
        return result

    def _skip_in(self, name: str, hidden: list[str]) -> Skip:
        """The ignore rules of a directory; what they hide goes into `hidden`.

        The folders of records are hidden whatever the rules say, and so are links to folders, as by DVC.
        """
        return _Hiding(name, self._skip(Path(name)) if self._skip is not None else None, hidden)

    def _present(self, name: str, wanted: Hash) -> Contents | None:
        """The directory at a path, with its items if it is not the wanted one."""
        try:
            status = os.stat(name)
            if not stat.S_ISDIR(status.st_mode):
                return None
            tree = self._scan(name, status)
            if tree.hash.md5 == wanted.md5:
                return tree
            if os.path.islink(name):
                return None  # what it leads to is somebody else's: nothing is taken over from there
            return tree if tree.items else self._scan(name, status, listing=True)
        except (OSError, StoreError):
            return None

    def _present_file(self, name: str) -> Hash | None:
        try:
            return self.hash(Path(name))
        except (OSError, StoreError):  # a pipe, a link into itself: not this file, whatever it is
            return None


@frozen
class Contents:
    """A directory as it was found; items and stamps side by side, empty when the memo knew the whole."""

    hash: Hash
    items: tuple[Item, ...]
    stamps: tuple[Stamp, ...]
    hidden: tuple[str, ...]

    def by_path(self) -> dict[str, tuple[str, Stamp]]:
        """The digest and the stamp of each file."""
        return {
            item.relpath: (item.md5, stamp)
            for item, stamp in zip(self.items, self.stamps, strict=True)
        }


class _Hiding:
    """What a walk leaves out, and a list of it."""

    def __init__(self, name: str, rules: Skip | None, hidden: list[str]) -> None:
        self._name = name
        self._rules = rules
        self._hidden = hidden

    def __call__(self, relpath: str, is_dir: bool) -> bool:
        last = relpath.rpartition("/")[2]
        if (
            last == ".git"
            or (is_dir and (last in (".dvc", ".hg") or os.path.islink(f"{self._name}/{relpath}")))
            or (self._rules is not None and self._rules(relpath, is_dir))
        ):
            self._hidden.append(relpath)
            return True
        return False

    def frees(self, folder: str) -> bool:
        """As `filesystem.walk` asks."""
        if self._rules is None:
            return True
        frees = getattr(self._rules, "frees", None)
        return frees is not None and bool(frees(folder))


def _is_big(path: Path) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False  # whoever adds it says what is wrong
    return stat.S_ISREG(status.st_mode) and bool(apart([status.st_size])[1])


def _allow_running(name: str) -> None:
    """Let the owner run the file. DVC does the same to a link, and so to the object."""
    os.chmod(name, stat.S_IMODE(os.stat(name).st_mode) | stat.S_IXUSR)


@contextmanager
def _reported(name: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"`{shown(name)}` {what}: {error.strerror or error}.") from error


def _check_relpaths(relpaths: Sequence[str], place: str) -> None:
    is_bad = re.compile(_BAD_RELPATH).search
    for relpath in relpaths if directory.may_lead_elsewhere(relpaths) else ():
        if is_bad(relpath):
            raise StoreError(
                f"{place} names {relpath!r}, which lies outside it or among Git's or DVC's records."
            )
    names = set(relpaths)
    if len(names) < len(relpaths) or not names.isdisjoint(folders_of(relpaths)):
        raise StoreError(f"{place} names one path twice.")
