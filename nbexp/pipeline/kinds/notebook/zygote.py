"""Processes that runners and kernels are forked from, in milliseconds and as fresh as started ones.

Run as a program by `starting`, it becomes a small tree:

    template of runners     papermill is loaded; each fork of it executes one notebook (`runner`)
    └─ template of kernels  ipykernel is loaded; each fork of it is the kernel of one run
       └─ with libraries    the same with numpy, pandas, … loaded, for notebooks that begin with them

A template has one thread, no socket of ZeroMQ and no event loop: those are made in the fork. Between a
template and a kernel stands a keeper, which waits for the kernel, hands signals on, and ends whatever
descends from it once the runner has hung up, however the runner ended.

A template knows nothing of a project: its directory is `/`, no module of nbexp is loaded where kernels
come from, and variables, directory and streams are those of the run from the fork on.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[
        0
    ]  # the folder of this file: its `command` and `kernel` are no modules of a notebook

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MARKER, CONTROL = "NBEXP_ITEM", "NBEXP_PROCESS_CONTROL"
IDLE_S = 600.0

# /proc shows a fork with the environment of its template. The marker is given this much room there, and
# a fork writes its own over it, so that whoever looks for the processes of a run finds forks as well.
_ROOM = 240
_PATIENCE_S = 30.0
_LAST_WORDS_S = 1.0
_TICK_S = 0.2
_MOST_TEMPLATES = 3
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
# After a fork they are broken where their devices or threads were in use before it.
_NEVER = (
    "torch",
    "tensorflow",
    "jax",
    "jaxlib",
    "cupy",
    "numba.cuda",
    "pycuda",
    "paddle",
    "polars",
)


class _Forked(BaseException):
    """Raised in a fork, where all that is on the stack is the template's; `life` is what it does now."""

    def __init__(self, life: Callable[[], object]) -> None:
        super().__init__()
        self.life = life


def serve(arguments: Sequence[str]) -> None:
    """Become the template of runners, for requests over an inherited socket, until the owner is gone."""
    control, owner = socket.socket(fileno=int(arguments[0])), int(arguments[1])
    control.set_inheritable(False)
    place = marker_place()
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _load_kernel()
    # A thread of a start-up file would be missing in every fork.
    unfit = "a thread runs" if _threads() > 1 else ""
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    kernels = os.fork()
    if kernels == 0:
        control.close()
        ours.close()
        end_with(parent, signal.SIGKILL)
        raise _Forked(lambda: _Kernels(theirs, parent, place, unfit=unfit).serve())
    theirs.close()
    from nbexp.pipeline.kinds.notebook import runner

    runner.rehearse()
    _Runners(control, owner, place, ours, kernels).serve()


# ---- what the system offers


def has_process_control() -> bool:
    """Whether the system can end a process with its parent and give orphans to a chosen ancestor: Linux.

    `NBEXP_PROCESS_CONTROL=off` does without both, as other systems have to.
    """
    return sys.platform == "linux" and os.environ.get(CONTROL) != "off"


def end_with(parent: int, number: int) -> None:
    """Have the system send `number` to this process when `parent` ends, however that ends.

    Only for a process whose parent has a single thread: the system takes the thread that forked for the
    parent. Without process control nothing is done, and somebody has to look (`getppid`).
    """
    if has_process_control():
        _prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def marker_with_room(outer: str | None) -> str:
    """The marker of a template, below that of its owner, with room for those of its forks."""
    # No two are equal, so that whoever ends the processes of one ends no other's.
    start = f"{outer}." if outer else ""
    return f"{start}{os.urandom(6).hex()}.".ljust(_ROOM, "-")


def marker_place() -> tuple[int, int]:
    """Where the marker stands in the memory that /proc shows as the environment, and its length."""
    text = os.environ.get(MARKER, "")
    if sys.platform != "linux" or not text:
        return 0, 0
    import ctypes

    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    return getenv(MARKER.encode()) or 0, len(text)


def show_marker(env: Mapping[str, str], place: tuple[int, int]) -> None:
    """Have /proc show this process with the marker of `env`."""
    address, length = place
    marker = env.get(MARKER, "").encode()
    if address and len(marker) <= length:
        import ctypes

        ctypes.memmove(address, marker.ljust(length, b"\0"), length)


def _settle(env: Mapping[str, str], cwd: str, place: tuple[int, int]) -> None:
    """Give a fork the variables and the directory of its run, and stream 0 an end."""
    show_marker(env, place)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _direct(output: int, errors: int) -> None:
    """Lead the standard streams to these files."""
    import io

    for name, fd, target in (("stdout", output, 1), ("stderr", errors, 2)):
        os.dup2(fd, target)
        old: Any = getattr(sys, f"__{name}__")
        raw = open(target, "wb", buffering=0, closefd=False)  # noqa: SIM115
        # The old one has looked at what it wrote to, and takes it for a file still.
        new = io.TextIOWrapper(
            raw if old.write_through else io.BufferedWriter(raw),
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=old.line_buffering,
            write_through=old.write_through,
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


# ---- conversations


def call(control: socket.socket) -> socket.socket:
    """A new conversation with the template behind `control`, which many processes may share."""
    ours, theirs = socket.socketpair()
    with theirs:
        # A single byte arrives whole, whoever else is sending.
        socket.send_fds(control, [b"+"], [theirs.fileno()])
    return ours


def send(conversation: socket.socket, *lines: object, fds: Sequence[int] = ()) -> None:
    """Lines of JSON, with open files for the other side."""
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    sent = socket.send_fds(conversation, [data], fds) if fds else 0
    # To send nothing is an error too where the other side has hung up after its answer.
    if sent < len(data):
        conversation.sendall(data[sent:])


class Lines:
    """What the other side of a conversation says, line by line."""

    def __init__(self, conversation: socket.socket) -> None:
        self._conversation = conversation
        self._rest = b""
        self.is_over = False

    def next(self, timeout_s: float) -> dict[str, Any] | None:
        """The next line; None where none came in time, or where the other side has hung up (`is_over`)."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._rest and not self.is_over:
            if not _is_readable(self._conversation, max(0.0, deadline - time.monotonic())):
                return None
            data = b""
            with contextlib.suppress(OSError):
                data = self._conversation.recv(65536)
            self._rest += data
            self.is_over = not data
        line, end, rest = self._rest.partition(b"\n")
        if not end:
            return None
        self._rest = rest
        said: dict[str, Any] = json.loads(line)
        return said


def _is_readable(conversation: socket.socket, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(conversation, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _head(conversation: socket.socket) -> dict[str, Any]:
    """The first line, which stays unread for whoever serves the request."""
    conversation.settimeout(_PATIENCE_S)
    data = conversation.recv(1 << 16, socket.MSG_PEEK)
    conversation.settimeout(None)  # the setting is of the socket, whoever holds it
    head: dict[str, Any] = json.loads(data.partition(b"\n")[0])
    return head


def _receive(conversation: socket.socket, lines: int = 1) -> tuple[dict[str, Any], list[int]]:
    """The last of the first `lines`, and the files that came with them."""
    conversation.settimeout(_PATIENCE_S)
    data, fds, _, _ = socket.recv_fds(conversation, 1 << 16, 4)
    while data.count(b"\n") < lines:
        more = conversation.recv(1 << 16)
        if not more:
            raise ConnectionError
        data += more
    conversation.settimeout(None)
    asked: dict[str, Any] = json.loads(data.split(b"\n")[lines - 1])
    return asked, fds


# ---- templates


class _Template:
    """Waits for calls and for the ends of forks; it ends itself without a parent, or idle for too long."""

    idle_s = float("inf")
    is_over = False

    def __init__(self, control: socket.socket, parent: int, place: tuple[int, int]) -> None:
        self.control, self.parent, self.place = control, parent, place
        self.poll = select.poll()

    def serve(self) -> None:
        gc.collect()
        gc.freeze()  # the collector writes into what it looks at, and a page that is written to is copied
        with _child_signals() as ended, _end_of(self.parent) as watched:
            poll = self.poll
            for file in (ended, self.control.fileno(), watched):
                if file is not None:
                    poll.register(file, select.POLLIN)
            since = time.monotonic()
            while True:
                now = time.monotonic()
                since = since if self.is_idle else now
                if now >= since + self.idle_s:
                    break
                waits = min(since + self.idle_s - now, _TICK_S if watched is None else _PATIENCE_S)
                ready = {file for file, _ in poll.poll(waits * 1000 + 1)}
                _empty(ended)
                for pid, code in _reaped():
                    self.ended(pid, code)
                if os.getppid() != self.parent:
                    break
                if self.is_over and self.control.fileno() >= 0:
                    poll.unregister(self.control)
                    self.control.close()
                if self.is_over and self.is_idle:
                    break
                self.look()
                if self.control.fileno() in ready:
                    since = time.monotonic()
                    data, fds, _, _ = socket.recv_fds(self.control, 1, 1)
                    if not data:
                        break
                    for fd in fds:
                        with contextlib.suppress(OSError, ValueError):
                            self.answer(socket.socket(fileno=fd))
        self.end()

    @property
    def is_idle(self) -> bool:
        return True

    def look(self) -> None:
        """See to what else there is; called at every event."""

    def answer(self, conversation: socket.socket) -> None:
        """Begin what is asked for."""
        raise NotImplementedError

    def ended(self, pid: int, code: int) -> None:
        """A fork has ended."""

    def end(self) -> None:
        """Nothing more will be asked."""


class _Runners(_Template):
    """The template of runners, and the parent of each."""

    idle_s = IDLE_S

    def __init__(
        self,
        control: socket.socket,
        parent: int,
        place: tuple[int, int],
        kernels: socket.socket,
        kernels_pid: int,
    ) -> None:
        super().__init__(control, parent, place)
        self.kernels, self.kernels_pid = kernels, kernels_pid
        self.running: dict[int, socket.socket] = {}
        self.told: set[int] = set()

    @property
    def is_idle(self) -> bool:
        return not self.running

    def answer(self, conversation: socket.socket) -> None:
        from nbexp.pipeline.kinds.notebook import forking

        asked, fds = _receive(conversation)
        # The kernel comes up while the runner is forked and makes ready.
        kernel = forking.ask(
            asked["arguments"][0], Path(asked["cwd"]), asked["env"], self.kernels, fds[0]
        )
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            for other in (self.control, self.kernels, *self.running.values()):
                other.close()
            raise _Forked(
                lambda: _run_notebook(asked, fds[0], parent, self.place, conversation, kernel)
            )
        if kernel is not None:
            kernel.conversation.close()
        for fd in fds:
            os.close(fd)
        self.running[pid] = conversation
        self.poll.register(conversation, select.POLLIN)
        with contextlib.suppress(OSError):
            send(conversation, {"pid": pid})

    def ended(self, pid: int, code: int) -> None:
        # Without the template of kernels this one takes no more calls: whoever needs one starts others.
        self.is_over = self.is_over or pid == self.kernels_pid
        conversation = self.running.pop(pid, None)
        self.told.discard(pid)
        if conversation is not None:
            self._forget(conversation)
            with conversation, contextlib.suppress(OSError):
                send(conversation, {"status": code})

    def _forget(self, conversation: socket.socket) -> None:
        # A file that is closed while it is watched would wake the loop for ever.
        with contextlib.suppress(KeyError):
            self.poll.unregister(conversation)

    def look(self) -> None:
        for pid, conversation in self.running.items():
            # Nothing is said there: it is readable once whoever asked for the run is gone.
            if pid not in self.told and _is_readable(conversation, 0):
                self.told.add(pid)
                self._forget(conversation)
                os.kill(pid, signal.SIGTERM)

    def end(self) -> None:
        # A runner that is told to end keeps the notebook as it is and ends its kernel.
        for pid in self.running:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _LAST_WORDS_S
        while self.running and time.monotonic() < deadline:
            time.sleep(0.01)
            for pid, code in _reaped():
                self.ended(pid, code)
        for pid in self.running:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)


def _run_notebook(
    asked: Mapping[str, Any],
    output: int,
    parent: int,
    place: tuple[int, int],
    conversation: socket.socket,
    kernel: Any,
) -> None:
    """The life of a fork of the template of runners."""
    os.setsid()
    _direct(output, output)
    os.close(output)
    code = 1
    try:
        _settle(asked["env"], asked["cwd"], place)
        end_with(parent, signal.SIGTERM)
        from nbexp.pipeline.kinds.notebook import runner

        code = runner.main(asked["arguments"], runner.Zygote(conversation, parent, kernel))
    except BaseException:  # noqa: BLE001  # it ends here, and its words go to the run's log
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


class _Kernels(_Template):
    """A template of kernels; one with `libraries` serves the runs that want just these."""

    def __init__(
        self,
        control: socket.socket,
        parent: int,
        place: tuple[int, int],
        libraries: Sequence[str] = (),
        *,
        unfit: str = "",
    ) -> None:
        super().__init__(control, parent, place)
        self.libraries = libraries
        self.others: dict[tuple[str, ...], socket.socket] = {}
        before = _top_level()
        self.unfit = unfit or _load(libraries)
        self.brought = _top_level() - before

    def look(self) -> None:
        """Take back what a template with libraries does not serve."""
        for wanted, other in list(self.others.items()):
            while _is_readable(other, 0):
                data, fds, _, _ = socket.recv_fds(other, 1, 1)
                for fd in fds:
                    with contextlib.suppress(OSError, ValueError):
                        self._fork(socket.socket(fileno=fd))
                if not data:
                    self._drop(wanted)
                    break

    def answer(self, conversation: socket.socket) -> None:
        head = _head(conversation)
        wanted = tuple(head["libraries"])
        if self.libraries and (self.unfit or _has_any(head["cwd"], self.brought)):
            socket.send_fds(self.control, [b"-"], [conversation.fileno()])
            conversation.close()
        elif not self.libraries and wanted and self._hand_on(wanted, conversation):
            conversation.close()
        else:
            self._fork(conversation)

    def _hand_on(self, wanted: tuple[str, ...], conversation: socket.socket) -> bool:
        if wanted not in self.others:
            if len(self.others) >= _MOST_TEMPLATES:
                self._drop(next(iter(self.others)))
            self.others[wanted] = self._template_with(wanted)
            self.poll.register(self.others[wanted], select.POLLIN)
        try:
            socket.send_fds(self.others[wanted], [b"+"], [conversation.fileno()])
        except OSError:
            return False
        return True

    def _drop(self, wanted: tuple[str, ...]) -> None:
        """End a template with libraries, or let go of one that has ended."""
        other = self.others.pop(wanted)
        self.poll.unregister(other)
        other.close()

    def _template_with(self, libraries: Sequence[str]) -> socket.socket:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        if os.fork() == 0:
            self._leave()
            ours.close()
            end_with(parent, signal.SIGKILL)
            raise _Forked(lambda: _Kernels(theirs, parent, self.place, libraries).serve())
        theirs.close()
        return ours

    def _fork(self, conversation: socket.socket) -> None:
        # Read in any case: what is hung up on with words unread is an error for the other side.
        asked, fds = _receive(conversation, 2)
        if self.unfit:
            with contextlib.suppress(OSError):
                send(conversation, {"unfit": self.unfit})
        elif os.fork() == 0:
            self._leave()
            raise _Forked(lambda: _keep(conversation, asked, fds, self.place))
        conversation.close()
        for fd in fds:
            os.close(fd)

    def _leave(self) -> None:
        self.control.close()
        for other in self.others.values():
            other.close()


# ---- kernels


def _keep(
    conversation: socket.socket,
    asked: Mapping[str, Any],
    fds: Sequence[int],
    place: tuple[int, int],
) -> None:
    """The life of a keeper: fork the kernel, serve its runner, and end when nothing is left to keep."""
    os.setsid()
    if has_process_control():
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.getpid()
    with _child_signals() as ended:
        kernel = os.fork()
        if kernel == 0:
            conversation.close()
            raise _Forked(lambda: _become_kernel(asked, fds, keeper, place))
        for fd in fds:
            os.close(fd)
        with contextlib.suppress(OSError):
            send(conversation, {"pid": kernel})
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        poll.register(conversation, select.POLLIN)
        code: int | None = None
        is_spared = False
        while code is None:
            ready = {file for file, _ in poll.poll()}
            _empty(ended)
            code = dict(_reaped()).get(kernel)
            if code is None and conversation.fileno() in ready:
                said = b""
                with contextlib.suppress(OSError):
                    said = conversation.recv(1)
                if said == b"i":
                    with contextlib.suppress(OSError):
                        os.killpg(kernel, signal.SIGINT)
                elif said == b"s":
                    is_spared = True
                    os.kill(kernel, signal.SIGKILL)
                else:
                    _end_all(kernel)
                    poll.unregister(conversation)
    if code < 0 and not is_spared:
        _end_all(None)
    with conversation, contextlib.suppress(OSError):
        send(conversation, {"status": code})
    os._exit(0)


def _end_all(kernel: int | None) -> None:
    """End the kernel and all that descends from it; `kernel` is None once it has ended."""
    if kernel is not None:
        with contextlib.suppress(OSError):
            os.kill(kernel, signal.SIGSTOP)  # so that it starts nothing while it is looked at
    from nbexp.pipeline import process

    if kernel is not None:
        process.kill_family(kernel)
    process.kill_descendants()


def _become_kernel(
    asked: Mapping[str, Any], fds: Sequence[int], keeper: int, place: tuple[int, int]
) -> None:
    """The life of a kernel; the return of this function is the beginning of the interpreter's own end."""
    os.setsid()
    end_with(keeper, signal.SIGKILL)
    _direct(*fds)
    for fd in fds:
        os.close(fd)
    env = {**_variables, **asked["env"], "JPY_PARENT_PID": str(keeper)}
    _settle(env, asked["cwd"], place)
    _reseed()
    loaded = set(sys.modules)
    launcher = importlib.util.find_spec("ipykernel_launcher")
    sys.argv = [str(launcher.origin if launcher else ""), *asked["arguments"]]
    sys.orig_argv = [sys.executable, "-m", "ipykernel_launcher", *asked["arguments"]]
    from ipykernel.kernelapp import IPKernelApp

    app: Any = IPKernelApp.instance()
    # ipykernel looks once a second whether this process still exists, as it does for a started kernel.
    app.initialize([*asked["arguments"], f"--IPKernelApp.parent_handle={keeper}"])
    app.kernel._process_children = _only_with_children(app.kernel._process_children)
    app.start()
    _end_interpreter(app, loaded)


def _only_with_children(look: Callable[[], object]) -> Callable[[], object]:
    """`look`, which loads psutil (20 ms) at the end of a kernel, for a kernel that has children at all."""

    def quickly() -> object:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return []
        return look()

    return quickly


def _end_interpreter(app: Any, template: set[str]) -> None:
    """What the end of an interpreter does for a notebook, without taking the template's modules apart (25 ms).

    Threads are waited for, exit handlers run, and what the notebook and its modules still hold is let go
    of: objects that end something when they go do it, and files are flushed.
    """
    import atexit
    import io
    import threading

    # Nobody listens any more. ipykernel (7.4) waits in these for threads that one time in twenty have missed
    # that they are to end.
    atexit.unregister(app.close)
    atexit.unregister(app.iopub_thread.stop)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for name in [name for name in sys.modules if name not in template]:
        file = getattr(sys.modules[name], "__file__", None)
        if isinstance(file, str) and not _is_installed(file):
            vars(sys.modules[name]).clear()
    sys.modules["__main__"].__dict__.clear()
    gc.collect()
    for found in gc.get_objects():
        if issubclass(type(found), io.IOBase):
            with contextlib.suppress(Exception):
                found.flush()
    os._exit(0)


def _is_installed(file: str) -> bool:
    folders = (os.path.dirname(os.__file__), sys.prefix)
    return any(os.path.abspath(file).startswith(folder + os.sep) for folder in folders) or any(
        part in {"site-packages", "dist-packages"} for part in file.split(os.sep)
    )


def _reseed() -> None:
    """Generators and keys that were made in the template are each fork's own."""
    import random

    random.seed()
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    multiprocessing: Any = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None:
        multiprocessing.current_process().authkey = os.urandom(32)


# What a kernel loads on its way to the first cell. A module that a started kernel has not loaded by then is
# none of them: a notebook would find it there instead of its own, or without what loading it does.
_OF_KERNELS = (
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "faulthandler",
    "pdb",
    "runpy",
    "sqlite3",
    "tornado.platform.asyncio",
    "tornado.queues",
)


# Variables that were set by what is loaded: a kernel that loads it has them.
_variables: dict[str, str] = {}


def _load_kernel() -> None:
    with _keeping_variables():
        for name in _OF_KERNELS:
            # Another version of ipykernel may do without one, or lack what it needs.
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


@contextlib.contextmanager
def _keeping_variables() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        changed = {name: text for name, text in os.environ.items() if before.get(name) != text}
        _variables.update(changed)


def _load(libraries: Sequence[str]) -> str:
    """Import `libraries`; why no kernel can be forked from what came of it, empty if one can."""
    import io
    import warnings

    shown: list[object] = []
    said = io.StringIO()
    kept = sys.stdout, sys.stderr, warnings.showwarning, os.environ.get("MPLBACKEND")
    sys.stdout = sys.stderr = said
    warnings.showwarning = lambda *about, **_more: shown.append(about)
    if not kept[3]:
        # What ipykernel sets, before anything of a notebook is imported.
        os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    try:
        with _keeping_variables():
            for name in libraries:
                importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001  # whatever it is, the notebook meets it by itself
        return f"{type(error).__name__} while loading {', '.join(libraries)}"
    finally:
        sys.stdout, sys.stderr, warnings.showwarning = kept[:3]
        if not kept[3]:
            del os.environ["MPLBACKEND"]
    if shown or said.getvalue():
        return "a library speaks when it is loaded"  # what the notebook's output would lack
    for name in _NEVER:
        if name in sys.modules:
            return f"{name} is loaded"
    # Libraries that can be forked (OpenBLAS) end their threads before it; the others are found by this.
    probe = os.fork()
    if probe == 0:
        os._exit(0)
    os.waitpid(probe, 0)
    return "a thread runs" if _threads() > 1 else ""


def _threads() -> int:
    """How many threads run; where the system does not tell, those that Python knows."""
    import threading

    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def _top_level() -> set[str]:
    return {name.partition(".")[0] for name in list(sys.modules)}


def _has_any(folder: str, names: set[str]) -> bool:
    """Whether a module of the folder, which a kernel there finds first, has one of the names."""
    try:
        return any(entry.partition(".")[0] in names for entry in os.listdir(folder))
    except OSError:
        return True


# ---- other processes


@contextlib.contextmanager
def _end_of(parent: int) -> Iterator[int | None]:
    """A file that is readable once the parent has ended; None where there is no such thing."""
    watched = None
    if has_process_control():
        with contextlib.suppress(OSError):
            watched = os.pidfd_open(parent)
    try:
        yield watched
    finally:
        if watched is not None:
            os.close(watched)


@contextlib.contextmanager
def _child_signals() -> Iterator[int]:
    """A file that is readable once a child has ended."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, before)
        os.close(reading)
        os.close(writing)


def _empty(file: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(file, 4096):
            pass


def _reaped() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    _life: Callable[[], object] | None = lambda: serve(sys.argv[1:])  # noqa: E731
    while _life is not None:
        try:
            _life()
            _life = None
        except _Forked as _fork:
            _life = _fork.life
