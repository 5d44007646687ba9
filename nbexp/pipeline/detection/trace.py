"""Running scripts once in a copy of the project, and seeing which files they really open.

Python processes, children and kernels among them, tell by an audit hook (`hook/sitecustomize.py`, found through
PYTHONPATH). What other programs and compiled libraries open is seen in the copy's own files: a new or changed
file was written, and one whose access time, set to long ago, has moved was read. Nothing of the user's
is written: the copy is another folder, and the hook refuses a change below the project itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from nbexp import filesystem
from nbexp.errors import StoreError
from nbexp.frozen import frozen
from nbexp.pipeline import process
from nbexp.pipeline.detection import candidates

MAX_BYTES, MAX_FILES = 4 << 30, 50_000
TIMEOUT_S = 300.0
_LONG_AGO_NS = 1_000_000_000  # 1970: with `relatime` the next read moves it
_TAIL_BYTES = 4_000
_HOOK = Path(__file__).parent / "hook"


@frozen
class Opened:
    """A file of the project that a run opened; `where` is the line that did, empty where unknown.

    `does` is `read`, `write`, `list` (looked through) or `import`.
    """

    path: str
    does: str
    where: str


@frozen
class Run:
    """One traced run; `is_late` is set where the time was up and it was stopped."""

    opened: tuple[Opened, ...]
    returncode: int
    seconds: float
    tail: str
    is_late: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it ran to its end, so that what was not opened is not needed."""
        return self.returncode == 0 and not self.is_late


class Copy:
    """A copy of the project to run things in; gone when left.

    Raises
    ------
    StoreError
        The project is too large to copy, or the disk too full. Nothing was run.
    """

    def __init__(self, root: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._source = Path(os.path.realpath(root))
        self._timeout_s = timeout_s
        self._base = Path()
        self.root = Path()
        self.scratch = Path()
        self._sees_reads = False

    def __enter__(self) -> Self:
        self._base = Path(os.path.realpath(tempfile.mkdtemp(prefix="nbexp-trace-")))
        self.root = self._base / (self._source.name or "project")
        self.scratch = self._base
        try:
            self._fill()
        except BaseException:
            shutil.rmtree(self._base, ignore_errors=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        filesystem.remove(self._base)

    def run(self, argv: Sequence[str], cwd: str, env: Mapping[str, str] | None = None) -> Run:
        """Run a command in the folder `cwd` of the copy, and say what it opened.

        Whatever it leaves running is ended. An interrupt ends it as well, and is raised again.
        """
        log, output = self._base / "opened.jsonl", self._base / "output"
        log.write_bytes(b"")
        before = self._look(reset=True)
        started = time.monotonic()
        whole = self._environment({**os.environ, **(env or {})}, log)
        is_late = False
        with output.open("wb") as sink:
            try:
                child = subprocess.Popen(
                    list(argv),
                    cwd=self.root / cwd,
                    env=whole,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                return Run((), 127, 0.0, f"{error.strerror}: {error.filename}")
            try:
                child.wait(self._timeout_s)
            except subprocess.TimeoutExpired:
                is_late = True
            finally:
                process.kill_family(child.pid)
                child.wait()
        seconds = time.monotonic() - started
        opened = [*self._told(log), *self._seen(before)]
        found: dict[tuple[str, str], Opened] = {}
        for one in opened:
            found.setdefault((one.path, one.does), one)
        with output.open("rb") as stream:
            stream.seek(max(0, output.stat().st_size - _TAIL_BYTES))
            tail = stream.read().decode("utf-8", "replace")
        return Run(tuple(found.values()), child.returncode, seconds, tail, is_late)

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder in the copy."""
        return (self.root / path).exists()

    # ---- the copy

    def _fill(self) -> None:
        size = 0
        names = candidates.files(self._source)
        if len(names) > MAX_FILES:
            raise StoreError(
                f"The project has {len(names):,} files, too many to copy for a traced run.",
                "`nbexp init --detect --no-trace` only reads the code.",
            )
        free = shutil.disk_usage(self._base).free
        for name in names:
            with contextlib.suppress(OSError):
                size += (self._source / name).stat().st_size
        if size > min(MAX_BYTES, free // 2):
            raise StoreError(
                f"The project has {size / 1e9:.1f} GB, too much to copy for a traced run.",
                "`nbexp init --detect --no-trace` only reads the code.",
            )
        self.root.mkdir()
        for name in names:
            source, target = self._source / name, self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                filesystem.link(os.path.realpath(source), target, ("reflink", "copy"))
                target.chmod(source.stat().st_mode | 0o600)
            except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError):
                continue  # a broken link, a socket, what may not be read: the script sees the same
        for folder in self._folders_linked_to():
            shutil.copytree(
                self._source / folder, self.root / folder, dirs_exist_ok=True, symlinks=False
            )
        self._sees_reads = self._probe()

    def _folders_linked_to(self) -> Iterator[str]:
        """Links to folders: `os.walk` does not go into them."""
        for folder, names, _ in os.walk(self._source):
            names[:] = [name for name in names if name not in candidates.COPIED_NOT]
            for name in names:
                path = os.path.join(folder, name)
                if os.path.islink(path) and os.path.isdir(path):
                    yield os.path.relpath(path, self._source)

    def _probe(self) -> bool:
        """Whether reading a file moves its access time here."""
        probe = self._base / "probe"
        probe.write_bytes(b"x")
        os.utime(probe, ns=(_LONG_AGO_NS, probe.stat().st_mtime_ns))
        probe.read_bytes()
        return probe.stat().st_atime_ns != _LONG_AGO_NS

    def _environment(self, env: dict[str, str], log: Path) -> dict[str, str]:
        # What tells a process about a run or project of nbexp is not this one's.
        env = {k: v for k, v in env.items() if not k.startswith(("NBEXP_", "DVC_", "JPY_"))}
        path = env.get("PYTHONPATH")
        return env | {
            "PYTHONPATH": os.pathsep.join([str(_HOOK), *([path] if path else [])]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), env.get("PATH", os.defpath)]),
            "MPLBACKEND": "Agg",
            "NBEXP_TRACE_LOG": str(log),
            "NBEXP_TRACE_ROOT": str(self.root),
            "NBEXP_TRACE_KEEP": str(self._source),
        }

    # ---- what was opened

    def _told(self, log: Path) -> Iterator[Opened]:
        """What the hook wrote; of a line that was cut off there is nothing."""
        for line in log.read_bytes().splitlines():
            try:
                does, path, where = json.loads(line)
            except (ValueError, TypeError):
                continue
            relative = self._relative(path)
            if relative is not None:
                yield Opened(relative, does, where)

    def _relative(self, path: str) -> str | None:
        for base in (self.root, self._source):
            relative = os.path.relpath(path, base).replace(os.sep, "/")
            if relative != ".." and not relative.startswith("../"):
                return relative
        return None

    def _look(self, *, reset: bool = False) -> dict[str, tuple[int, int, int, int]]:
        found: dict[str, tuple[int, int, int, int]] = {}
        todo = [str(self.root)]
        while todo:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in candidates.COPIED_NOT:
                            todo.append(entry.path)
                        continue
                    try:
                        stat = entry.stat(follow_symlinks=False)
                        if reset and self._sees_reads:
                            os.utime(entry.path, ns=(_LONG_AGO_NS, stat.st_mtime_ns))
                    except OSError:
                        continue
                    relative = os.path.relpath(entry.path, self.root).replace(os.sep, "/")
                    found[relative] = (
                        stat.st_mtime_ns,
                        stat.st_size,
                        stat.st_ino,
                        _LONG_AGO_NS if reset else stat.st_atime_ns,
                    )
        return found

    def _seen(self, before: Mapping[str, tuple[int, int, int, int]]) -> Iterator[Opened]:
        for path, after in self._look().items():
            was = before.get(path)
            if was is None or was[:3] != after[:3]:
                yield Opened(path, "write", "")
            elif self._sees_reads and after[3] != _LONG_AGO_NS:
                yield Opened(path, "touched", "")
