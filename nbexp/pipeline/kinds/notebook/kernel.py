"""One kernel process for one run: ready as soon as it is, and gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty
from typing import Any

from nbexp.errors import NotFound
from nbexp.pipeline import process

# sockaddr_un holds 104 bytes on macOS, 108 on Linux; behind the folder come a name and a number.
_LONGEST_FOLDER = 85
# Kernels of other languages that ipykernel's application starts; any other may know TCP only.
_ON_IPYKERNEL = frozenset({"bash_kernel"})
_GRACE_S = 5.0  # jupyter_client's own shutdown_wait_time


class KernelDied(Exception):
    """The kernel's process ended; `returncode` is -n for signal n, None where it is not known."""

    def __init__(self, returncode: int | None) -> None:
        super().__init__(f"kernel ended with {returncode}")
        self.returncode = returncode


class KernelSilent(Exception):
    """The kernel runs, and did not answer in time."""


def installed() -> list[str]:
    """The names of the kernels that there are, sorted."""
    from jupyter_client.kernelspec import KernelSpecManager

    return sorted(KernelSpecManager().find_kernel_specs())


def check_installed(name: str, notebook: str) -> None:
    """Nothing, if there is a kernel of that name.

    Raises
    ------
    NotFound
        There is none; those that are installed are named.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    specs = KernelSpecManager()
    try:
        specs.get_kernel_spec(name)
    except NoSuchKernel:
        names = installed()
        hint = "`python -m pip install ipykernel` brings the kernel `python3`."
        if names:
            hint = f"installed: {', '.join(names)}; `--kernel {names[0]}` takes that one."
        raise NotFound(
            f"The kernel `{name}` of {notebook} is not installed. Nothing was run.", hint
        ) from None


class Kernel(ABC):
    """A kernel and the client that talks to it, without the waits that Jupyter's client adds.

    The process leads a session of its own, so signals meant for the runner do not reach it by themselves.

    Attributes
    ----------
    name
        What Jupyter calls it.
    manager
        What nbclient asks whether the kernel lives.
    info
        What it says of itself once it is ready.
    """

    name: str
    manager: Any
    client: Any
    info: dict[str, Any]
    # Whether the notebook came to its end, so that what it left in the background is meant to go on.
    is_done = False

    @property
    @abstractmethod
    def returncode(self) -> int | None:
        """-n for signal n; None while the process runs."""

    @abstractmethod
    def interrupt(self) -> None:
        """A KeyboardInterrupt in the running cell, and SIGINT for what it started in its group."""

    @abstractmethod
    def kill(self) -> None:
        """End the kernel and whatever it started, at once."""

    @abstractmethod
    def _kill_alone(self) -> None:
        """End the kernel at once, and leave alone what it started."""

    @abstractmethod
    def _wait(self, timeout_s: float) -> None:
        """Return when the process has ended, or after this time."""

    @abstractmethod
    def _clean(self) -> None:
        """Take away what the kernel needed."""

    @property
    @abstractmethod
    def _sockets(self) -> Sequence[str]:
        """The files that appear when it can be talked to; none where there are no such files."""

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return once the kernel takes code and its output arrives.

        Raises
        ------
        KernelDied
            It ended instead.
        KernelSilent
            It did not answer in time.
        """
        if not self.info:
            _sync(self._ready)(timeout_s)

    async def _ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        # A socket that connects before the other side is bound tries again 100 ms later only.
        while not all(os.path.exists(path) for path in self._sockets):
            self._check(deadline)
            await asyncio.sleep(0.002)
        self.client.start_channels(stdin=False, hb=False)
        self.client.allow_stdin = False
        while True:
            self._check(deadline)
            self.client.kernel_info()
            # An answer alone is not enough: a subscriber misses what is published before the
            # kernel knows of it. Jupyter's own wait ends with 0.2 s of silence instead.
            with contextlib.suppress(Empty):
                reply = await self.client.get_shell_msg(timeout=0.5)
                while True:
                    message = await self.client.get_iopub_msg(timeout=0.05)
                    if message["msg_type"] == "status":
                        self.info = reply["content"]
                        return

    def _check(self, deadline: float) -> None:
        if self.returncode is not None:
            raise KernelDied(self.returncode)
        if time.monotonic() > deadline:
            raise KernelSilent

    def request_end(self) -> None:
        """Ask the kernel to end, so that exit handlers run and open files are flushed; do not wait."""
        if self.returncode is None:
            self.client.shutdown()

    def close(self) -> None:
        """Wait for a kernel that was asked to end, kill one that was not, and take the sockets away."""
        self._wait(_GRACE_S)
        ended = self.returncode
        if ended is None:
            # ipykernel (7.4) waits for threads at its end that one time in twenty missed their own.
            (self._kill_alone if self.is_done else self.kill)()
        self.client.stop_channels()
        self._clean()
        marker = os.environ.get(process.MARKER)
        if marker and (ended or 0) < 0:
            # Who was killed ended nothing of its own; the marker names what is left.
            process.kill_marked(marker)

    def note(self, pid: int | None) -> None:
        """Note the process where the run notes what it started, before it is given anything to do."""
        folder = os.environ.get(process.RUN_DIR)
        if folder and pid:
            with contextlib.suppress(OSError):
                process.record(Path(folder), pid, os.environ.get(process.MARKER, ""))


class StartedKernel(Kernel):
    """A kernel whose program is started, as papermill would start it."""

    def __init__(self, name: str, cwd: str | None) -> None:
        from jupyter_client.manager import AsyncKernelManager

        self.name, self.info = name, {}
        self._folder = tempfile.mkdtemp(prefix="nbexp-")
        self.manager = AsyncKernelManager(kernel_name=name)
        self.manager.connection_file = os.path.join(self._folder, "kernel.json")
        spec = self.manager.kernel_spec
        self.is_ipython = is_ipython(spec)
        speaks_ipc = self.is_ipython or any(word in _ON_IPYKERNEL for word in spec.argv)
        if speaks_ipc and can_hold_sockets(self._folder):
            # Sockets in a private folder: no port that another process may take first.
            self.manager.transport = "ipc"
            self.manager.ip = os.path.join(self._folder, "s")
        arguments = ARGUMENTS if self.is_ipython else []
        self._env = environment(os.environ)
        _sync(self.manager.start_kernel)(extra_arguments=arguments, cwd=cwd, env=dict(self._env))
        self.client = self.manager.client()
        self.note(self.manager.provisioner.pid)

    @property
    def returncode(self) -> int | None:
        started = getattr(self.manager.provisioner, "process", None)
        code: int | None = None if started is None else started.poll()
        return code

    @property
    def _sockets(self) -> Sequence[str]:
        if self.manager.transport != "ipc":
            return ()
        ports = [self.manager.shell_port, self.manager.iopub_port, self.manager.control_port]
        return [f"{self.manager.ip}-{port}" for port in ports]

    def interrupt(self) -> None:
        group = getattr(self.manager.provisioner, "pgid", None)
        if group and self.returncode is None:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGINT)

    def kill(self) -> None:
        pid = getattr(self.manager.provisioner, "pid", None)
        if pid and self.returncode is None:
            process.kill_family(pid)

    def _kill_alone(self) -> None:
        pid = getattr(self.manager.provisioner, "pid", None)
        if pid and self.returncode is None:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def move(self, cwd: str) -> None:
        """Give a kernel of IPython that was started ahead the directory and the variables of its run.

        Nothing of it shows in the notebook: no name, no number, no output.

        Raises
        ------
        KernelDied, KernelSilent
            It did not survive the wait.
        """
        old, new = self._env, environment(os.environ)
        changed = {name: value for name, value in new.items() if old.get(name) != value}
        gone = [name for name in old if name not in new]
        code = (
            f"(lambda os: (os.chdir({cwd!r}), os.environ.update({changed!r}), "
            f"[os.environ.pop(name, None) for name in {gone!r}]) and None)(__import__('os'))"
        )
        _sync(self._quietly)(code)
        self.note(self.manager.provisioner.pid)

    async def _quietly(self, code: str) -> None:
        asked = self.client.execute(code, silent=True, store_history=False, allow_stdin=False)
        deadline = time.monotonic() + _GRACE_S
        is_answered = is_idle = False
        while not (is_answered and is_idle):
            self._check(deadline)
            with contextlib.suppress(Empty):
                if not is_answered:
                    reply = await self.client.get_shell_msg(timeout=0.2)
                    is_answered = reply["parent_header"].get("msg_id") == asked
                told = await self.client.get_iopub_msg(timeout=0.2)
                is_idle = (
                    told["parent_header"].get("msg_id") == asked
                    and told["msg_type"] == "status"
                    and told["content"]["execution_state"] == "idle"
                )

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self.returncode is None and time.monotonic() < deadline:
            time.sleep(0.002)

    def _clean(self) -> None:
        _sync(self.manager.cleanup_resources)()
        shutil.rmtree(self._folder, ignore_errors=True)


# The history of one's own shell is a database, which parallel kernels would lock.
ARGUMENTS = ["--HistoryManager.hist_file=:memory:"]


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of a kernel, which are those of its runner but for one.

    With it, a kernel started from a notebook in JupyterLab would take itself for that notebook.
    """
    return {key: env[key] for key in env if key != "JPY_SESSION_NAME"}


def can_hold_sockets(folder: str) -> bool:
    """Whether paths of sockets in the folder are short enough for the system."""
    return os.name == "posix" and len(folder) < _LONGEST_FOLDER


def is_ipython(spec: Any) -> bool:
    """Whether a kernel of this kind runs IPython, in whatever Python."""
    return any("ipykernel" in word for word in spec.argv)


def _sync(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """The asynchronous function to be called from code that is not, on the loop that nbclient uses."""
    from jupyter_client import utils

    wrapped: Callable[..., Any] = utils.run_sync(function)  # type: ignore[attr-defined]
    return wrapped
