"""Work on many small files by two processes: what Python itself does for each file, threads cannot do side by side.

The other process does whole batches from the end of the list while this one goes on from its start, so neither
waits for the other, however long the other takes to begin. What it cannot do it leaves undone, and this process does it,
and meets the error if there is one. It has no project and no state: when it is gone, or was never there, the whole
list is done here.
"""

from __future__ import annotations

import importlib
import marshal
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import subprocess

A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")

# Files from which on it pays: a process takes 25 ms to begin, 20,000 small files 0.2 s to be read.
FROM = 3_000
# Items in a batch, and batches on their way. What waits to be read fits into a pipe: a bigger batch is handed over to an
# idle process alone, or each side could wait to write while the other does.
_BATCH = 64
_AHEAD = 2
_OWN = 32
_PIPE_BYTES = 1 << 20  # asked for; what there is for sure is a page
_PAGE_BYTES = 4 << 10


def each(
    work: Callable[[A, T], R | None],
    shared: A,
    items: Sequence[T],
    done: Callable[[int, R | None], object],
) -> None:
    """`Pair.each` for a single list."""
    with begun() as pair:
        pair.each(work, shared, items, done)


@contextmanager
def begun(count: int = 0) -> Iterator[Pair]:
    """Two processes for the lists of one command; with `count` items to come, the other begins at once."""
    pair = Pair()
    try:
        pair.expect(count)
        yield pair
    finally:
        pair.end()


class Pair:
    """This process, and another one from when a list is long enough for it."""

    def __init__(self) -> None:
        self._other: _Other | None = None

    def expect(self, count: int) -> None:
        """Have the other process begin to begin, if that pays for so many items."""
        if self._other is None and count >= FROM and processors() > 1:
            self._other = _Other.start()

    def each(
        self,
        work: Callable[[A, T], R | None],
        shared: A,
        items: Sequence[T],
        done: Callable[[int, R | None], object],
        meanwhile: Iterable[object] = (),
    ) -> None:
        """Call `work(shared, item)` for each item, in no order, and `done(index, answer)` here for each answer.

        Parameters
        ----------
        work
            A function of a module. It may run in the other process, so arguments and answers are what `marshal` writes
            (tuples, strings, numbers, None), and an answer is short. None says that it is not done, as it does there
            when an error came up; here, errors are raised.
        done
            Called in this process, also for what the other has done by the time that an error is raised.
        meanwhile
            What this process may do while the other begins with the items, in short steps. Not asked for where there is no
            other, so whoever gives it looks afterwards whether it was done.
        """
        self.expect(len(items))
        other = self._other if len(items) >= FROM else None
        if other is None or not other.set(work, shared):
            for index, item in enumerate(items):
                done(index, work(shared, item))
            return
        start, end = 0, len(items)
        steps, nothing = iter(meanwhile), object()
        is_free = False
        again: list[int] = []

        def take(index: int, answer: R | None) -> None:
            if answer is None:
                again.append(index)
            else:
                done(index, answer)

        try:
            while start < end or not is_free:
                while (other.waiting < _AHEAD or not is_free) and end - start > _BATCH:
                    if not other.give(end - _BATCH, items[end - _BATCH : end]):
                        break
                    end -= _BATCH
                is_free = is_free or next(steps, nothing) is nothing
                if is_free:
                    for index in range(start, min(start + _OWN, end)):
                        done(index, work(shared, items[index]))
                    start = min(start + _OWN, end)
                other.take(take, wait=False)
        finally:
            other.take(take, wait=True)
            left = other.owed
            if left:  # it has died
                self.end()
        for index in (*again, *left):
            done(index, work(shared, items[index]))

    def end(self) -> None:
        """Let the other process go."""
        other, self._other = self._other, None
        if other is not None:
            other.end()


class _Other:
    """The other process, as this one sees it."""

    def __init__(self, process: subprocess.Popen[bytes], room: int) -> None:
        self._process = process
        self._room = room
        self._asked: list[tuple[range, int]] = []  # with the size of what was written, oldest first
        self._is_whole = True  # nothing was read of an answer that is not told
        import select

        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)

    @classmethod
    def start(cls) -> _Other | None:
        """A process that has begun to begin; None where there can be none."""
        import subprocess

        if sys.platform == "win32" or not sys.executable:
            return None  # Windows cannot tell whether a pipe has something to read
        code = f"import sys; sys.path[:0] = {[_folder_of(__name__)]!r}; import {__name__} as here; here.main()"
        try:
            process = subprocess.Popen(
                # Its own session: an interrupt is this process's to handle.
                [sys.executable, "-I", "-S", "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        except OSError:
            return None
        assert process.stdin is not None
        assert process.stdout is not None
        _widened(process.stdout)
        return cls(process, _widened(process.stdin))

    def set(self, work: Callable[[A, T], R], shared: A) -> bool:
        """Say what is to be done with the items to come; whether that could be said."""
        what = (_folder_of(work.__module__), work.__module__, work.__name__, shared)
        return self._process.poll() is None and _write(self._questions, _framed(what))

    @property
    def waiting(self) -> int:
        """How many batches it has not answered."""
        return len(self._asked)

    @property
    def owed(self) -> list[int]:
        """The items of those."""
        return [index for batch, _ in self._asked for index in batch]

    @property
    def _answers(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdout)

    def give(self, first: int, items: Sequence[object]) -> bool:
        """Hand a batch over; whether it could be."""
        data = _framed([*items])
        waiting = sum(size for _, size in self._asked)
        # Half: a pipe is full before its last page is.
        if self._asked and waiting + len(data) > self._room // 2:
            return False
        if self._process.poll() is not None or not _write(self._questions, data):
            return False
        self._asked.append((range(first, first + len(items)), len(data)))
        return True

    def take(self, done: Callable[[int, R | None], object], *, wait: bool) -> None:
        """Take the answers that are there; with `wait`, all of them."""
        # An interrupt in the middle of an answer leaves nobody to tell where the next one begins.
        while self._is_whole and self._asked and (wait or self._poll.poll(0)):
            self._is_whole = False
            answers = _receive(self._answers)
            if answers is None:
                return  # it has died
            batch = self._asked.pop(0)[0]
            self._is_whole = True
            told = zip(batch, cast("list[R | None]", answers), strict=True)
            try:
                for index, answer in told:
                    done(index, answer)
            except BaseException:
                for index, answer in told:
                    done(index, answer)
                raise

    def end(self) -> None:
        """Let it go."""
        for pipe in (self._questions, self._answers):
            try:
                pipe.close()
            except OSError:
                pass  # it has died
        self._process.wait()

    @property
    def _questions(self) -> IO[bytes]:
        return cast("IO[bytes]", self._process.stdin)


def main() -> None:
    """The life of the other process: batches come, answers go, until nobody asks any more."""
    asked, answers = open(0, "rb", buffering=0), open(1, "wb")  # noqa: SIM115 - as long as this process
    work: Callable[[object, object], object] | None = None
    shared: object = None
    while (what := _receive(asked)) is not None:
        if isinstance(what, tuple):
            folder, module, name, shared = what
            if folder not in sys.path:
                sys.path.insert(0, folder)
            work = getattr(importlib.import_module(module), name)
            continue
        found = []
        for item in what:
            try:
                found.append(cast("Callable[[object, object], object]", work)(shared, item))
            except Exception:  # noqa: BLE001 - whatever it is, the asking process comes upon it as well
                found.append(None)
        if not _write(answers, _framed(found)):
            break
    os._exit(0)  # nothing is left to be put in order, and nobody is to wait for that


def _widened(pipe: IO[bytes]) -> int:
    """How many bytes the pipe holds, once it was asked to hold many."""
    if sys.platform != "linux":
        return _PAGE_BYTES
    import fcntl

    try:
        return fcntl.fcntl(pipe.fileno(), 1031, _PIPE_BYTES)  # F_SETPIPE_SZ
    except OSError:  # the user's pipes have had their share
        return fcntl.fcntl(pipe.fileno(), 1032)  # F_GETPIPE_SZ


def _framed(what: object) -> bytes:
    """A value as bytes, with their number before them."""
    data = marshal.dumps(cast("Any", what))
    return len(data).to_bytes(4, "big") + data


def _write(pipe: IO[bytes], data: bytes) -> bool:
    """Write all of it; False when nobody reads any more."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[pipe.write(rest) :]
        pipe.flush()
    except OSError:
        return False
    return True


def _receive(pipe: IO[bytes]) -> Any:
    """The next value, not a byte more, so that `poll` tells whether there is another; None at the end."""
    size = _read(pipe, 4)
    data = _read(pipe, int.from_bytes(size, "big")) if size else b""
    return marshal.loads(data) if data else None  # noqa: S302 - written by the process at the other end


def _read(pipe: IO[bytes], count: int) -> bytes:
    parts = []
    while count:
        part = pipe.read(count)
        if not part:
            return b""
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _folder_of(module: str) -> str:
    """Where Python looks for the outermost package of a module."""
    file = sys.modules[module].__file__ or ""
    return os.fspath(Path(file).resolve().parents[module.count(".")])


def processors() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
