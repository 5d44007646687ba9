"""One command of a stage as a process: its output as it comes, its events, and an end that leaves nothing.

Each command leads a session of its own and carries a marker in its environment. When the run is
stopped, whatever descends from the command, shares its session or carries the marker is ended, so
neither `setsid` nor `nohup` nor a handler that ignores signals keeps a process alive.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, Self

from nbexp.events import CellFinished, CellStarted, Emit, Event, MetricLogged, OutputWritten
from nbexp.frozen import frozen
from nbexp.pipeline.live_tables import Tables

if TYPE_CHECKING:
    from nbexp.pipeline.kinds import Job

MARKER, EVENTS, RUN_DIR = "NBEXP_ITEM", "NBEXP_EVENTS", "NBEXP_RUN_DIR"
EVENTS_FILE, PROCESSES_FILE = "events.jsonl", "processes.jsonl"

# From an interrupt to SIGKILL; with the sweep behind it all is over within 2 s.
AFTER_INT_S, _AFTER_TERM_S, _SWEEP_S = 1.0, 0.8, 1.0
grace_s = AFTER_INT_S
"""What commands of this process get to end themselves after an interrupt; a queue's worker gives more."""
_TICK_S = 0.05
_BURST_S = 0.005
_BUFFER = 1 << 18
_PIPE = 1 << 20
# As much of a process's environment as is read at once.
_BUFFER_OF_PROC = 1 << 15
# How often, a millisecond apart, a process is looked at that shows none: `execve` of a Python takes less than one.
_TRIES = 5


class Running(Protocol):
    """A started command, of which `subprocess.Popen` is one form."""

    pid: int
    stdout: IO[bytes] | None

    def poll(self) -> int | None:
        """The exit code, or -n when signal n ended it; None while it runs."""

    def wait(self) -> int:
        """The same at its end."""


class Start(Protocol):
    """What starts a command as the leader of a session, its two outputs going to `stdout`."""

    def __call__(
        self,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        stop: threading.Event | None,
    ) -> Running: ...


def run_process(
    argv: Sequence[str],
    *,
    job: Job,
    emit: Emit,
    stop: threading.Event | None = None,
    start: Start | None = None,
) -> int:
    """Run a command to its end and return its exit code; 128 + n when signal n ended it.

    Output goes to `job.log` and to `emit` as it comes. Lines that the command, or what it starts,
    appends to `$NBEXP_EVENTS` become events. A background process that outlives the command does not
    delay the return.

    Parameters
    ----------
    stop
        For callers on another thread than the main one, which gets no interrupt: once it is set, the
        command is stopped as by an interrupt.
    start
        What starts the command, if it is not to be a new program.

    Raises
    ------
    KeyboardInterrupt
        The user stopped it. The command and everything it started are gone.
    OSError
        The program or the working directory is not there. Nothing was started.

    Notes
    -----
    What `emit` raises stops the command in the same way, and is raised again. Cost beyond the command's
    own start: no further process, and no thread.
    """
    marker = _marker(job.env)
    job.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    events = job.run_dir / EVENTS_FILE
    env = {"PYTHONUNBUFFERED": "1", **job.env}
    env |= {MARKER: marker, EVENTS: str(events), RUN_DIR: str(job.run_dir)}
    child: _Child | None = None
    with _Log(job.log) as log, _Events(events, job, emit) as follower:
        tables = Tables(job.live, follower.logged, follower.tells_of)
        try:
            child = _Child((start or _start_program)(argv, job.cwd, env, stop))

            def heard(data: bytes) -> None:
                log.write(data)
                emit(OutputWritten(job.stage, data))

            running = child

            def between() -> None:
                log.tick()
                follower.poll()
                tables.poll()
                if stop is not None and stop.is_set():
                    raise KeyboardInterrupt

            def so_far() -> None:
                between()
                running.hand_on(heard)

            def behind() -> None:
                if job.checkpoints is not None:
                    job.checkpoints.serve(so_far)

            child.follow(heard, between, behind)
            tables.poll(at_once=True)
        except BaseException:
            # The first words of whoever is being stopped may be the last; they go to the log, but no
            # longer to a consumer that may be what failed.
            _end(marker, child, log.write)
            raise
        finally:
            if child is not None:
                child.close()
    return child.returncode


def kill_marked(uid: str) -> int:
    """End at once every process of this user that a run called `uid` left behind, and count them.

    The run set `NBEXP_ITEM` to `uid` in the environment of its commands. Where there is no `/proc`,
    nothing is found.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + _SWEEP_S
    while left := _marked(uid):
        killed.update(found.pid for found in left)
        _signal(left, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)
    return len(killed)


def kill_family(pid: int) -> None:
    """End at once the leader of a session, everything in its session and all that descends from it."""
    _Family(pid, None).kill()


def kill_descendants() -> None:
    """End at once whatever descends from this process."""
    deadline = time.monotonic() + _SWEEP_S
    while left := _below({os.getpid()}, list(_processes())):
        _signal(left, signal.SIGKILL)
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)


# ---- processes that show no marker


def record(run_dir: Path, pid: int, marker: str = "") -> None:
    """Note the leader of a session for `kill_recorded`: its pid, its group, and when it started.

    The pid alone is used again; with the start it names the process for good.

    A process that was forked shows its marker in `/proc` only; where there is none, this note is what the
    next command has.
    """
    # It may be forked and not yet lead its group, which has its number.
    noted = {"pid": pid, "group": pid, "start": _start(pid), "marker": marker}
    line = json.dumps(noted) + "\n"
    target = os.open(run_dir / PROCESSES_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(target, line.encode())
    finally:
        os.close(target)


def kill_recorded(run_dir: Path, uid: str = "") -> int:
    """End at once those noted processes of a run that are still the same, with their groups; count them.

    With `uid`, only those whose marker is that, or below it.
    """
    killed = 0
    try:
        lines = (run_dir / PROCESSES_FILE).read_bytes().splitlines()
    except OSError:
        return 0
    for line in lines:
        try:
            noted = json.loads(line)
            pid, group, start = int(noted["pid"]), int(noted["group"]), str(noted["start"])
        except (ValueError, KeyError, TypeError):
            continue  # the line that was being written when its writer was killed
        if not start or _start(pid) != start:
            continue
        if uid and not _is_below(str(noted.get("marker", "")), uid):
            continue
        killed += 1
        kill_family(pid)
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        if group not in {0, os.getpgrp()}:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
    return killed


def kill_run(uid: str, folder: Path) -> None:
    """End at once what the run called `uid` left behind: marked, or noted anywhere below its `folder`."""
    kill_marked(uid)
    for noted in folder.rglob(PROCESSES_FILE):
        kill_recorded(noted.parent, uid)


def _is_below(marker: str, uid: str) -> bool:
    return marker == uid or marker.startswith((f"{uid}.", f"{uid}:"))


def _start(pid: int) -> str:
    """When a process started, in the words of the system; empty if it does not run."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        if os.path.isdir("/proc/self"):
            return ""
        asked = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    fields = text[text.rindex(b")") + 2 :].split()
    return "" if fields[0] in {b"Z", b"X"} else fields[19].decode()


# ---- the child


def _start_program(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], _stop: threading.Event | None
) -> Running:
    return subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )


class _Child:
    """A started command and the reading end of its output."""

    def __init__(self, started: Running) -> None:
        self._process = started
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._is_open = True
        os.set_blocking(self._output, False)
        self._enlarge()
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN | select.POLLHUP)
        self._exit: int | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._exit = os.pidfd_open(self.pid)
                self._poll.register(self._exit, select.POLLIN)

    @property
    def returncode(self) -> int:
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def follow(
        self,
        heard: Callable[[bytes], None],
        between: Callable[[], None],
        behind: Callable[[], None],
        until: float | None = None,
    ) -> None:
        """Hand on the output until the command ends, or the monotonic clock shows `until`.

        Before each piece of it, `between` is called, and `behind` after it.
        """
        last = 0.0
        while until is None or time.monotonic() < until:
            self._wait(_TICK_S if until is None else min(_TICK_S, until - time.monotonic()))
            data = self._read()
            between()  # what was told before the output was written comes first
            if data:
                heard(data)
            behind()
            if data:
                # A command that writes line by line would wake this process for each line; a pause
                # makes it a few hundred times a second, whatever there is to read.
                now = time.monotonic()
                if now - last < 2 * _BURST_S:
                    self._pause(_BURST_S)
                last = now
            if not self.is_running:
                break
        else:
            return
        self._drain(heard)
        between()
        behind()

    def hand_on(self, heard: Callable[[bytes], None]) -> None:
        """Hand on what the command has written by now: no more than its pipe holds."""
        for _ in range(_PIPE // _BUFFER):
            data = self._read()
            if not data:
                return
            heard(data)

    def close(self) -> None:
        if self._exit is not None:
            os.close(self._exit)
            self._exit = None
        for stream in (self._process.stdout, getattr(self._process, "stdin", None)):
            if stream is not None:
                stream.close()

    def _wait(self, seconds: float) -> None:
        # Without a descriptor that tells of the exit, the exit is asked for more often.
        limit = seconds if self._exit is not None or self._is_open else min(seconds, 0.005)
        self._poll.poll(max(0.0, limit * 1000))

    def _pause(self, seconds: float) -> None:
        if self._exit is None:
            time.sleep(seconds)
        else:
            select.select([self._exit], [], [], seconds)

    def _read(self) -> bytes:
        if not self._is_open:
            return b""
        try:
            data = os.read(self._output, _BUFFER)
        except BlockingIOError:
            return b""
        if not data:
            self._is_open = False
            self._poll.unregister(self._output)
        return data

    def _drain(self, heard: Callable[[bytes], None]) -> None:
        """What the ended command wrote; a process it left behind may write on, and is not waited for."""
        deadline = time.monotonic() + 0.1
        pieces = 0
        # However late it is: what fits the pipe may be the command's own.
        while self._is_open and (pieces <= _PIPE // _BUFFER or time.monotonic() < deadline):
            data = self._read()
            pieces += 1
            if data:
                heard(data)
            elif self._is_open:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    break
                select.select([self._output], [], [], rest)

    def _enlarge(self) -> None:
        """Room for 1 MiB instead of 64 KiB, so that a chatty command does not wait for its reader."""
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(self._output, fcntl.F_SETPIPE_SZ, _PIPE)


class _Log:
    """The log of a stage: what was written, of each line only what a terminal would show in the end.

    The line being written is held back, for at most a second unless it is a progress bar. A full disk
    does not stop the run.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._held = b""
        self._since = 0.0
        self._is_mid_line = False

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self

    def __exit__(self, *exc: object) -> None:
        self._put([self._held])
        os.close(self._file)

    def write(self, data: bytes) -> None:
        now = time.monotonic()
        *lines, rest = (self._held + data).split(b"\n")
        if lines or not self._held:
            self._since = now
        self._held = _shown(rest)
        if lines:
            self._put([*map(_shown, lines), b""])
            self._is_mid_line = False

    def tick(self) -> None:
        is_bar = b"\r" in self._held
        is_due = time.monotonic() - self._since >= 1 or len(self._held) > _BUFFER
        if self._held and is_due and not is_bar:
            self._put([self._held])
            self._held, self._is_mid_line = b"", True

    def _put(self, lines: list[bytes]) -> None:
        if self._is_mid_line and lines[0].startswith(b"\r"):
            lines = [b"", *lines]
        data = b"\n".join(line.removeprefix(b"\r") for line in lines)
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._file, data) :]


def _shown(line: bytes) -> bytes:
    r"""The line with its last state alone, behind a `\r` while it can still be replaced."""
    if b"\r" not in line:
        return line
    kept, _, last = line.rpartition(b"\r")
    if last:
        return b"\r" + last
    return kept.rpartition(b"\r")[2] + b"\r"


class _Events:
    """The file behind `$NBEXP_EVENTS`: lines appended to it become events."""

    def __init__(self, path: Path, job: Job, emit: Emit) -> None:
        self._path, self._stage, self._emit = path, job.stage, emit
        self._experiment = job.env.get("DVC_EXP_NAME", "")
        self._file = -1
        self._rest = b""
        self._folders: set[str] = set()

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_RDONLY | os.O_CREAT, 0o600)
        os.lseek(self._file, 0, os.SEEK_END)
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._file)

    def poll(self) -> None:
        data = os.read(self._file, _BUFFER)
        while data:
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._tell(line)
            data = os.read(self._file, _BUFFER)

    def tells_of(self, folder: str) -> bool:
        """Whether whoever writes tables below the folder tells of the values here as well."""
        self.poll()
        return folder in self._folders

    def logged(self, step: float | None, values: Mapping[str, float | int | str]) -> None:
        """Values that were found otherwise."""
        self._emit(MetricLogged(self._stage, step, values, self._experiment))

    def _tell(self, line: bytes) -> None:
        # Anything may have written the line; one that makes no sense is passed over.
        try:
            told = json.loads(line)
            kind, stage = told["kind"], self._stage
            event: Event
            if kind == "cell_started":
                source = str(told.get("source", ""))
                event = CellStarted(stage, int(told["cell"]), int(told["total"]), source)
            elif kind == "cell_finished":
                seconds = float(told.get("seconds", 0))
                event = CellFinished(stage, int(told["cell"]), int(told["total"]), seconds)
            elif kind == "metric":
                values = dict(told["values"])
                event = MetricLogged(stage, told.get("step"), values, self._experiment)
            elif kind == "live":
                self._folders.add(str(told["folder"]))
                return
            else:
                return
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return
        self._emit(event)


# ---- the end


def _end(marker: str, child: _Child | None, heard: Callable[[bytes], None]) -> None:
    """End the command and all that it started: asked, then told, then killed; a second interrupt hurries."""
    if child is None:
        kill_marked(marker)
        return
    begun = time.monotonic()
    family: _Family | None = None
    try:
        family = _Family(child.pid, marker)
        family.interrupt()
        child.follow(heard, _nothing, _nothing, until=begun + grace_s)
        if child.is_running or family.left():
            family.signal(signal.SIGTERM)
            # The last moment is counted from the interrupt: looking for processes adds nothing to it.
            deadline = min(time.monotonic(), begun + grace_s) + _AFTER_TERM_S
            while time.monotonic() < deadline and (child.is_running or family.left()):
                if child.is_running:
                    child.follow(heard, _nothing, _nothing, until=time.monotonic() + 0.02)
                else:
                    time.sleep(0.02)
    except KeyboardInterrupt:
        pass
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            (family or _Family(child.pid, marker)).kill()
            _ = child.returncode
            return


def _nothing() -> None:
    pass


@frozen
class _Process:
    pid: int
    parent: int
    group: int
    session: int
    start: int

    @property
    def key(self) -> tuple[int, int]:
        """Names the process for good: process ids are used again."""
        return self.pid, self.start


class _Family:
    """The processes that belong to a command, as far as they can be told."""

    def __init__(self, pid: int, marker: str | None) -> None:
        self._pid, self._marker = pid, marker
        # Who runs without our marker and leaves the session is known only while its parent lives.
        every = list(_processes())
        self._known = {found.key for found in _below({pid}, every)}
        self._own_line = _own_line(every)

    def interrupt(self) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._pid, signal.SIGINT)

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self._pid, number)
        _signal([found for found in self.left() if found.pid not in self._own_line], number)

    def left(self) -> list[_Process]:
        every = list(_processes())
        own = {
            found.pid
            for found in every
            if self._pid in {found.pid, found.group, found.session}
            or found.key in self._known
            or (self._marker is not None and _is_marked(found.pid, self._marker))
        }
        members = [found for found in every if found.pid in own] + _below(own, every)
        self._known.update(found.key for found in members)
        return members

    def kill(self) -> None:
        deadline = time.monotonic() + _SWEEP_S
        self.signal(signal.SIGKILL)
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.005)
            self.signal(signal.SIGKILL)


def _marker(env: Mapping[str, str]) -> str:
    own = os.urandom(6).hex()
    outer = env.get(MARKER)
    return f"{outer}.{own}" if outer else own


def _marked(uid: str) -> list[_Process]:
    """Every process of this user that shows the marker, but this one and those it descends from.

    Nearly always there is none, and a worker asks after each run: so a process costs one read as a rule, and only what
    has the marker is asked for more.
    """
    pids = [pid for pid in _pids() if _is_marked(pid, uid)]
    own = set(_line_up()) if pids else set()
    return [found for pid in pids if pid not in own and (found := _process(pid)) is not None]


def _line_up() -> Iterator[int]:
    """This process's number and those of all that it descends from."""
    pid = os.getpid()
    while pid > 1:
        yield pid
        found = _process(pid, anybodys=True)
        pid = found.parent if found is not None else 0


def _is_marked(pid: int, uid: str) -> bool:
    wanted = f"{MARKER}={uid}".encode()
    environ = _environ(pid)
    place = environ.find(b"\0" + wanted)
    # `uid` itself, an attempt of it (`uid:2`), or a command of it (`uid.1f…`); not a longer name.
    behind = (environ + b"\0")[place + 1 + len(wanted) :][:1]
    return place >= 0 and behind in {b"\0", b".", b":"}


def _environ(pid: int) -> bytes:
    """The variables that a process was started with, each behind a zero byte; none where they cannot be read."""
    environ = b"\0"
    for _ in range(_TRIES):
        try:
            file = os.open(f"/proc/{pid}/environ", os.O_RDONLY)
        except OSError:
            break
        try:
            while data := os.read(file, _BUFFER_OF_PROC):
                environ += data
        except OSError:
            break
        finally:
            os.close(file)
        if len(environ) > 1:
            break
        try:
            os.readlink(f"/proc/{pid}/exe")
        except OSError:
            break  # of the kernel, or ended
        # It becomes another program in this moment: shown in a moment.
        time.sleep(0.001)
    return environ


def _signal(targets: Sequence[_Process], number: signal.Signals) -> None:
    for found in targets:
        with contextlib.suppress(OSError):
            os.kill(found.pid, number)


def _own_line(every: Sequence[_Process]) -> frozenset[int]:
    """This process and those it descends from, which are never signalled."""
    parents = {found.pid: found.parent for found in every}
    line, pid = {os.getpid()}, os.getppid()
    while pid > 1 and pid not in line:
        line.add(pid)
        pid = parents.get(pid, 0)
    return frozenset(line)


def _below(roots: set[int], every: Sequence[_Process]) -> list[_Process]:
    children: dict[int, list[_Process]] = {}
    for found in every:
        children.setdefault(found.parent, []).append(found)
    todo, below = list(roots), []
    while todo:
        for found in children.pop(todo.pop(), []):
            below.append(found)
            todo.append(found.pid)
    return below


def _pids() -> list[int]:
    """The number of everything that runs, from `/proc`; none where there is no such folder."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _processes() -> Iterator[_Process]:
    """Every running process of this user."""
    for pid in _pids():
        found = _process(pid)
        if found is not None:
            yield found


def _process(pid: int, *, anybodys: bool = False) -> _Process | None:
    """The process of this number if it runs and is this user's."""
    try:
        if not anybodys and os.stat(f"/proc/{pid}").st_uid != os.getuid():
            return None
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            text = file.read()
    except OSError:
        return None
    # proc(5): "pid (name) state ppid pgrp session …", the name may hold anything.
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] in {b"Z", b"X"}:
        return None
    parent, group, session, start = (int(fields[n]) for n in (1, 2, 3, 19))
    return _Process(pid, parent, group, session, start)
