"""One `git cat-file` that answers questions about objects, and the bytes of these objects taken apart."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, cast

from nbexp import hashing
from nbexp.errors import GitError
from nbexp.git.model import CommitInfo
from nbexp.git.process import end, run, spawn
from nbexp.git.ref_files import HEX

if TYPE_CHECKING:
    import subprocess
    import weakref


_KINDS = {b"commit": "commit", b"tree": "tree", b"blob": "blob", b"tag": "tag"}


class Object(NamedTuple):
    """An object as Git answered: `data` is empty where only its kind was asked for."""

    oid: str
    kind: str
    size: int
    data: bytes


class _Unknown:
    """That no remembered object has the answer."""


_UNKNOWN = _Unknown()
_KEPT_BYTES = 4 << 20
_KEPT_EACH_BYTES = 1 << 18


class _Ended(Exception):
    """The process went away in the middle of an answer."""


class Objects:
    """One `git cat-file` that answers until it is closed, and is started when first needed.

    It reads refs and objects afresh for each question, so what other processes write is seen; but small objects that
    were read or written lately, which their ids name for ever, are remembered. It runs in a session of its own (Ctrl-C in the terminal is for us, not for it) and ends with its
    input, that is with this process at the latest. A child made by fork starts its own.
    """

    _has_commands: ClassVar[bool] = True  # `--batch-command` is Git 2.36; else `--batch`

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: io.BufferedReader | None = None
        self._stop: weakref.finalize[..., object] | None = None
        self._memory: dict[str, Object] = {}
        self._memory_bytes = 0

    def learn(self, oid: str, kind: str, data: bytes) -> None:
        """Remember an object that is in the repository, so that reading it takes no question."""
        with self._lock:
            self._keep(Object(oid, kind, len(data), data))

    def ask(self, verb: Literal["info", "contents"], specs: Sequence[str]) -> list[Object | None]:
        """What each spec names, None where it names nothing or cannot be asked (a line end in it).

        An interrupt between question and answer ends the process: the next question would get an
        answer that was meant for this one.
        """
        found: list[Object | None] = [None] * len(specs)
        asked: list[tuple[int, bytes]] = []
        done = 0
        with self._lock:
            for at, spec in enumerate(specs):
                known = self._recall(verb, spec)
                if isinstance(known, _Unknown):
                    line = _question(spec)
                    if line:
                        asked.append((at, line))
                else:
                    found[at] = known
            while done < len(asked):
                fresh, before = self._process is None, done
                try:
                    for answer in self._exchange(verb, [line for _, line in asked[done:]]):
                        found[asked[done][0]] = answer
                        done += 1
                        if answer is not None and verb == "contents":
                            self._keep(answer)
                except (_Ended, BrokenPipeError):
                    code = self.close()
                    if code == 129 and self._has_commands:
                        Objects._has_commands = False
                    elif fresh and done == before:
                        raise self._explain(specs[asked[done][0]]) from None
                except BaseException:
                    self.close()
                    raise
        return found

    def close(self) -> int | None:
        """End the process; its exit code, None if there was none."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None and self._stop is not None:
                self._stop()
                return process.returncode
            return None

    def forget(self) -> None:
        """Let go of the parent's process, in a child that fork has just made."""
        self._lock = threading.RLock()
        process, self._process = self._process, None
        if process is not None and self._stop is not None:
            self._stop.detach()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.returncode = 0  # it is not our child: there is nothing to wait for

    def _keep(self, object: Object) -> None:
        if len(object.data) != object.size or object.size > _KEPT_EACH_BYTES:
            return
        if object.oid not in self._memory:
            self._memory_bytes += object.size
        if self._memory_bytes > _KEPT_BYTES:
            self._memory.clear()
            self._memory_bytes = object.size
        self._memory[object.oid] = object

    def _recall(self, verb: str, spec: str) -> Object | _Unknown | None:
        """The answer, where objects that are remembered have it.

        Whether an object of some id is there is always asked: it may have been collected.
        """
        cut = min((at for at in (spec.find("^"), spec.find(":")) if at >= 0), default=len(spec))
        base, rest = spec[:cut], spec[cut:]
        here = self._memory.get(base)
        if here is None or (verb == "info" and rest in ("", "^{commit}")):
            return _UNKNOWN
        if not rest or (rest == "^{commit}" and here.kind == "commit"):
            return here
        if rest != "^{tree}" and not rest.startswith(":"):
            return _UNKNOWN
        if here.kind == "commit":
            here = self._memory.get(here.data[5:].partition(b"\n")[0].decode("ascii"))
        if rest == "^{tree}":
            return here if here is not None and here.kind == "tree" else _UNKNOWN
        for part in rest[1:].split("/"):
            if here is None or here.kind != "tree" or part in ("", ".", ".."):
                return _UNKNOWN
            entries = tree_entries(here.data, len(base) // 2)
            oid = next((oid for name, _, oid in entries if name == part), None)
            if oid is None:
                return None
            here = self._memory.get(oid)
        return here or _UNKNOWN

    def _exchange(self, verb: str, lines: Sequence[bytes]) -> Iterator[Object | None]:
        """Answers one by one, with as many questions ahead as surely fit into the pipe.

        More could block both sides for good: Git on an answer nobody reads, we on a question.
        """
        self._start()
        prefix = f"{verb} ".encode() if self._has_commands else b""
        sent = ahead = 0
        for line in lines:
            # Not one by one: a write for each question takes as long as its answer.
            if ahead < _WINDOW // 4:
                chunk = bytearray()
                while sent < len(lines) and (ahead + len(chunk) < _WINDOW // 2 or not chunk):
                    chunk += prefix + lines[sent]
                    sent += 1
                self._write(chunk)
                ahead += len(chunk)
            yield self._answer(verb)
            ahead -= len(prefix) + len(line)

    def _start(self) -> None:
        global _alive
        if self._process is None:
            import weakref  # 2 ms, which commands that ask nothing of Git do not need

            mode = "--batch-command" if self._has_commands else "--batch"
            process = spawn(self._root, ["cat-file", mode], alone=True)
            self._process = process
            self._answers = io.BufferedReader(cast("io.RawIOBase", process.stdout), 1 << 16)
            self._stop = weakref.finalize(self, end, process)
            _alive = weakref.WeakSet() if _alive is None else _alive
            _alive.add(self)

    def _write(self, data: bytearray) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) :]

    def _answer(self, verb: str) -> Object | None:
        assert self._answers is not None
        line = self._answers.readline()
        if not line.endswith(b"\n"):
            raise _Ended
        oid, _, rest = line[:-1].partition(b" ")
        word, _, digits = rest.partition(b" ")
        kind = _KINDS.get(word)
        if (
            kind is None
            or not digits.isdigit()
            or len(oid) < 40
            or not HEX.issuperset(oid.decode("latin-1"))
        ):
            return None  # "<spec> missing", "<spec> ambiguous"
        size = int(digits)
        data = b""
        if verb == "contents" or not self._has_commands:
            data = self._answers.read(size)
            if len(data) < size or self._answers.read(1) != b"\n":
                raise _Ended
        return Object(oid.decode(), kind, size, data)

    def _explain(self, spec: str) -> GitError:
        run(self._root, ["rev-parse", "--git-dir"])  # raises what is wrong with the repository
        return GitError(
            f"Git stopped while reading `{spec}`; an object of the repository may be damaged.",
            "`git fsck` names damaged objects.",
        )


# Bytes of questions under way. A pipe holds 64 KiB on Linux, 16 KiB and more on macOS.
_WINDOW = 1 << 14


_alive: weakref.WeakSet[Objects] | None = None  # those that have started a process


def _after_fork() -> None:
    for objects in list(_alive or ()):
        objects.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def commit_info(commit: Object) -> CommitInfo:
    """What a commit object says."""
    head, _, message = commit.data.partition(b"\n\n")
    fields: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        fields.setdefault(key, []).append(value)  # a line that goes on has an empty key
    codec = fields.get(b"encoding", [b"utf-8"])[0].decode("ascii", "replace")
    return CommitInfo(
        rev=commit.oid,
        tree=fields[b"tree"][0].decode("ascii"),
        parents=tuple(parent.decode("ascii") for parent in fields.get(b"parent", [])),
        author=_text(_signature(fields[b"author"][0])[0], codec),
        time_s=_signature(fields.get(b"committer", [b""])[0])[1],
        message=_text(message, codec),
    )


def _signature(field: bytes) -> tuple[bytes, int]:
    """Who and when, of "Name <email> 1700000000 +0100"."""
    who, _, rest = field.rpartition(b" ")
    who, _, seconds = who.rpartition(b" ")
    is_zone = len(rest) == 5 and rest[:1] in b"+-" and rest[1:].isdigit()
    if is_zone and seconds.removeprefix(b"-").isdigit():
        return who, int(seconds)
    return field, 0


def _text(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _question(spec: str) -> bytes | None:
    """A line for cat-file; None for what cannot be one, and so cannot be the name of an object."""
    try:
        line = os.fsencode(spec)
    except UnicodeEncodeError:
        return None
    # Git would look for `rev:../path` above its own directory, and stop there.
    is_odd = not line or b"\n" in line or b"\0" in line or b":../" in line
    return None if is_odd else line + b"\n"


def tree_entries(data: bytes, size: int) -> list[tuple[str, str, str]]:
    """Name, mode and object id of each entry of a tree object, whose ids have `size` bytes."""
    entries, position = [], 0
    while position < len(data):
        end = data.index(b"\0", position)
        mode, name = data[position:end].split(b" ", 1)
        oid = data[end + 1 : end + 1 + size].hex()
        entries.append((os.fsdecode(name), mode.decode("ascii"), oid))
        position = end + 1 + size
    return entries


def blob_id(data: bytes, digest: str) -> str:
    """The id of a blob of these bytes; `digest` is the repository's object format."""
    return hashing.named(digest, b"blob %d\0" % len(data) + data)
