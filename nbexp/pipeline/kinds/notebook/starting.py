"""How the processes of a notebook's run come to be, chosen here alone.

    fork       runner and kernel are forked from warm templates (`zygote`): milliseconds
    pool       they were started while the run before was going on (`pool`): the wait is over already
    papermill  they are started now

Each way gives a run a runner and a kernel that served no other, so the executed notebook is the same. A way
that is not to be had gives place to the next one: a kernel of another Python is not forked, one of another
language is started, and so is whatever goes wrong.

What waits belongs to the process that ran a notebook: a notebook's kernel, a worker, a command. It starts
with the first run, ends with its owner, however that ends, and by itself after ten minutes without work.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from nbexp.errors import UsageError
from nbexp.pipeline import process
from nbexp.pipeline.kinds.notebook import zygote

KERNELS = "NBEXP_KERNELS"
WAYS = ("fork", "pool", "papermill")
_PACKAGE = "nbexp.pipeline.kinds.notebook"
# Variables of one run: they are set after the fork, and nothing reads them when a program starts. Any other
# may be read by the interpreter or by a library, so templates serve only runs that share them all.
_OF_RUNS = ("DVC_", "NBEXP_", "JPY_")
_OF_SHELLS = frozenset({"PWD", "OLDPWD", "SHLVL", "_"})
_MOST_TEMPLATES = 2
_BOOT_S = 60.0
_LOST_S = 2.0


def way(env: Mapping[str, str]) -> str:
    """The way that `$NBEXP_KERNELS` asks for, else the fastest that the system is known to bear.

    Raises
    ------
    UsageError
        There is no such way. Nothing was run.
    """
    asked = env.get(KERNELS) or ""
    if asked and asked not in WAYS:
        raise UsageError(
            f"{KERNELS} is `{asked}`. Nothing was run.", f"it is one of {', '.join(WAYS)}."
        )
    if asked in {"", "fork"} and not hasattr(os, "fork"):
        return "pool"
    # macOS has fork, but Python's own documentation calls it unsafe there: system libraries start threads.
    return asked or ("pool" if sys.platform == "darwin" else "fork")


def start(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    stop: threading.Event | None = None,
) -> process.Running:
    """Start the runner that `argv` starts as a program (`process.Start`), in the best way there is.

    Raises
    ------
    OSError
        The directory or the program is not there. Nothing was started.
    UsageError
        `$NBEXP_KERNELS` names no way. Nothing was started.
    """
    chosen = way(env)
    os.stat(cwd)
    arguments = list(argv[-2:])
    if chosen == "fork":
        kernel = _kernel_name(arguments[0], cwd) if _owned.unforkable else ""
        if kernel not in _owned.unforkable:
            forked = _fork(arguments, cwd, env, stop)
            if forked is not None:
                return forked
            chosen = "pool"
        else:
            chosen = _owned.unforkable[kernel]
    if chosen == "pool":
        return _from_pool(argv, arguments, cwd, env)
    return _program(argv, cwd, env)


@dataclass
class _Owned:
    """What this process keeps waiting."""

    pid: int = field(default_factory=os.getpid)
    lock: threading.Lock = field(default_factory=threading.Lock)
    templates: list[_Templates] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)
    # Kernels that were found to need another way, by name.
    unforkable: dict[str, str] = field(default_factory=dict)
    # Environments whose templates did not come up.
    failed: list[Mapping[str, str]] = field(default_factory=list)

    def end(self) -> None:
        if self.pid != os.getpid():
            return
        for template in self.templates:
            template.end()
        for waiting in self.waiting:
            waiting.end()


_owned = _Owned()
if hasattr(os, "register_at_fork"):
    # A copy of this process owns nothing: its parent goes on to use what waits.
    os.register_at_fork(after_in_child=lambda: globals().update(_owned=_Owned()))


@atexit.register
def end_all() -> None:
    """End what waits, without waiting for it."""
    with _owned.lock:
        _owned.end()
        _owned.templates.clear()
        _owned.waiting.clear()


# ---- started now


def _program(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> process.Running:
    # Stream 0 says nothing; that it ends tells the runner that its owner is gone.
    return subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )


# ---- forked


@dataclass
class _Templates:
    """A running `zygote`."""

    program: subprocess.Popen[bytes]
    control: socket.socket
    shared: Mapping[str, str]
    packages: tuple[tuple[str, int], ...]
    has_served: bool = False

    def fits(self, shared: Mapping[str, str]) -> bool:
        return (
            self.program.poll() is None and self.shared == shared and self.packages == _packages()
        )

    def end(self) -> None:
        self.control.close()
        self.program.poll()


class _Forked:
    """A forked runner, which is no child of this process, seen as `subprocess.Popen` shows a started one."""

    def __init__(
        self, conversation: socket.socket, lines: zygote.Lines, pid: int, output: IO[bytes]
    ) -> None:
        self.pid = pid
        self.stdout: IO[bytes] | None = output
        self.returncode: int | None = None
        self._conversation, self._lines = conversation, lines

    def poll(self) -> int | None:
        return self._listen(0.0)

    def wait(self) -> int:
        while (code := self._listen(1.0)) is None:
            pass
        return code

    def _listen(self, timeout_s: float) -> int | None:
        while self.returncode is None:
            said = self._lines.next(timeout_s)
            if said is None:
                if self._lines.is_over:
                    self._is_lost()
                break
            if "status" in said:
                self.returncode = int(said["status"])
                self._conversation.close()
            elif "unforkable" in said:
                _owned.unforkable[str(said["unforkable"])] = str(said["way"])
        return self.returncode

    def _is_lost(self) -> None:
        """The templates were killed, and the runner, which ends with them, has hung up."""
        process.kill_family(self.pid)
        self.returncode = -9
        self._conversation.close()


def _fork(
    arguments: list[str], cwd: Path, env: Mapping[str, str], stop: threading.Event | None
) -> _Forked | None:
    """None where it cannot be done."""
    with _owned.lock:
        templates = _templates({name: env[name] for name in env if not _is_of_run(name)})
    if templates is None:
        return None
    reading, writing = os.pipe()
    output = open(reading, "rb", buffering=0)  # noqa: SIM115  # closed by who follows the run
    conversation: socket.socket | None = None
    try:
        try:
            conversation = zygote.call(templates.control)
            asked = {"arguments": arguments, "cwd": str(cwd), "env": dict(env)}
            zygote.send(conversation, asked, fds=[writing])
        except OSError:
            lines = None
        else:
            lines = zygote.Lines(conversation)
        finally:
            os.close(writing)
        for _ in range(int(_BOOT_S / 0.1)):
            if lines is None or lines.is_over:
                break
            said = lines.next(0.1)
            if said is not None:
                assert conversation is not None
                templates.has_served = True
                pid = int(said["pid"])
                if env.get(process.RUN_DIR):
                    process.record(Path(env[process.RUN_DIR]), pid, env.get(process.MARKER, ""))
                return _Forked(conversation, lines, pid, output)
            if stop is not None and stop.is_set():
                raise KeyboardInterrupt
    except BaseException:
        # Hanging up is what ends a runner that has been forked meanwhile.
        output.close()
        if conversation is not None:
            conversation.close()
        raise
    output.close()
    if conversation is not None:
        conversation.close()
    with _owned.lock:
        if templates in _owned.templates:
            _owned.templates.remove(templates)
        templates.end()
        if not templates.has_served:
            _owned.failed.append(templates.shared)
    # Those that have come up once were killed since; others come up as well.
    return _fork(arguments, cwd, env, stop) if templates.has_served else None


def _templates(shared: Mapping[str, str]) -> _Templates | None:
    """Those that wait for such a run, started if there are none."""
    for found in list(_owned.templates):
        if found.fits(shared):
            _owned.templates.remove(found)
            _owned.templates.append(found)
            return found
        if found.shared == shared or found.program.poll() is not None:
            _owned.templates.remove(found)
            found.end()
    if shared in _owned.failed:
        return None
    while len(_owned.templates) >= _MOST_TEMPLATES:
        _owned.templates.pop(0).end()
    ours, theirs = socket.socketpair()
    env = {**shared, zygote.MARKER: zygote.marker_with_room(os.environ.get(zygote.MARKER))}
    with theirs:
        program = subprocess.Popen(
            [sys.executable, zygote.__file__, str(theirs.fileno()), str(os.getpid())],
            cwd="/",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    started = _Templates(program, ours, shared, _packages())
    _owned.templates.append(started)
    return started


def _is_of_run(name: str) -> bool:
    is_ours = name.startswith(_OF_RUNS) and name != zygote.CONTROL
    return is_ours or name in _OF_SHELLS


def _packages() -> tuple[tuple[str, int], ...]:
    """When something was last installed or removed, for each folder of packages.

    A template has loaded what was there then; a kernel that loads the rest of it later would mix versions.
    """
    found = []
    for folder in sys.path:
        if os.path.basename(folder) in {"site-packages", "dist-packages"}:
            with contextlib.suppress(OSError):
                found.append((folder, os.stat(folder).st_mtime_ns))
    return tuple(found)


# ---- started ahead


@dataclass
class _Waiting:
    """A started `pool`."""

    program: subprocess.Popen[bytes]
    kernel: str
    shared: Mapping[str, str]

    def end(self) -> None:
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        self.program.stdin.close()
        self.program.stdout.close()
        self.program.poll()


def _from_pool(
    argv: Sequence[str], arguments: list[str], cwd: Path, env: Mapping[str, str]
) -> process.Running:
    kernel = _kernel_name(arguments[0], cwd)
    if not kernel:
        return _program(argv, cwd, env)
    shared = {name: env[name] for name in env if not _is_of_run(name)}
    with _owned.lock:
        taken = None
        for found in list(_owned.waiting):
            is_well = found.program.poll() is None
            if is_well and (found.kernel, found.shared) == (kernel, shared):
                taken = taken or found
        if taken is not None:
            _owned.waiting.remove(taken)
        for other in _owned.waiting:
            if other.program.poll() is not None or other.shared != shared or taken is None:
                other.end()
        _owned.waiting[:] = [
            w for w in _owned.waiting if w.program.stdin and not w.program.stdin.closed
        ]
        program = _program(argv, cwd, env) if taken is None else taken.program
        if not _owned.waiting:
            _owned.waiting.append(_Waiting(_start_ahead(kernel, shared), kernel, shared))
    if taken is None:
        return program
    job = {"arguments": arguments, "cwd": str(cwd), "env": dict(env)}
    assert taken.program.stdin is not None
    try:
        taken.program.stdin.write(json.dumps(job).encode() + b"\n")
    except OSError:
        taken.end()
        return _program(argv, cwd, env)
    return taken.program


def _start_ahead(kernel: str, shared: Mapping[str, str]) -> subprocess.Popen[bytes]:
    env = {**shared, zygote.MARKER: zygote.marker_with_room(os.environ.get(zygote.MARKER))}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", f"{_PACKAGE}.pool", kernel],
        cwd="/",
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )


def _kernel_name(request: str, cwd: Path) -> str:
    """The name of the kernel that the run will ask for; empty if the notebook cannot be read."""
    from nbexp.pipeline.kinds.notebook.command import Request

    asked = Request.load(request)
    if asked.kernel:
        return asked.kernel
    try:
        book: Any = json.loads((cwd / asked.source).read_bytes())
        return str(book.get("metadata", {}).get("kernelspec", {}).get("name") or "python3")
    except (OSError, ValueError, AttributeError):
        return ""
