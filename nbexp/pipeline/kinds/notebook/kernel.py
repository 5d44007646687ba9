"""One kernel process for one run: started, ready as soon as it is, and gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
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
        installed = sorted(specs.find_kernel_specs())
        hint = "`python -m pip install ipykernel` brings the kernel `python3`."
        if installed:
            hint = f"installed: {', '.join(installed)}; `--kernel {installed[0]}` takes that one."
        raise NotFound(
            f"The kernel `{name}` of {notebook} is not installed. Nothing was run.", hint
        ) from None


class Kernel:
    """A kernel as papermill would start it, without the waits that Jupyter's client adds.

    Its process leads a session of its own, so signals meant for the runner do not reach it by
    themselves.
    """

    def __init__(self, name: str, cwd: str | None) -> None:
        from jupyter_client.manager import AsyncKernelManager

        self._folder = tempfile.mkdtemp(prefix="nbexp-")
        self.manager = AsyncKernelManager(kernel_name=name)
        self.manager.connection_file = os.path.join(self._folder, "kernel.json")
        spec = self.manager.kernel_spec
        assert spec is not None
        is_ipython = any("ipykernel" in word for word in spec.argv)
        speaks_ipc = is_ipython or any(word in _ON_IPYKERNEL for word in spec.argv)
        if speaks_ipc and os.name == "posix" and len(self._folder) < _LONGEST_FOLDER:
            # Sockets in a private folder: no port that another process may take first.
            self.manager.transport = "ipc"
            self.manager.ip = os.path.join(self._folder, "s")
        # The history of one's own shell is a database, which parallel kernels would lock.
        arguments = ["--HistoryManager.hist_file=:memory:"] if is_ipython else []
        # A kernel started from a notebook in JupyterLab would take itself for that notebook.
        env = {key: value for key, value in os.environ.items() if key != "JPY_SESSION_NAME"}
        _sync(self.manager.start_kernel)(extra_arguments=arguments, cwd=cwd, env=env)
        self.client = self.manager.client()
        self.info: dict[str, Any] = {}

    @property
    def returncode(self) -> int | None:
        """None while the process runs."""
        started = getattr(self.manager.provisioner, "process", None)
        code: int | None = None if started is None else started.poll()
        return code

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return once the kernel takes code and its output arrives.

        Raises
        ------
        KernelDied
            It ended instead.
        KernelSilent
            It did not answer in time.
        """
        _sync(self._ready)(timeout_s)

    async def _ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        if self.manager.transport == "ipc":
            # A socket that connects before the other side is bound tries again 100 ms later only.
            ports = [self.manager.shell_port, self.manager.iopub_port, self.manager.control_port]
            sockets = [f"{self.manager.ip}-{port}" for port in ports]
            while not all(os.path.exists(path) for path in sockets):
                self._check(deadline)
                await asyncio.sleep(0.005)
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

    def interrupt(self) -> None:
        """A KeyboardInterrupt in the running cell, and SIGINT for what it started in its group."""
        group = getattr(self.manager.provisioner, "pgid", None)
        if group and self.returncode is None:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGINT)

    def kill(self) -> None:
        """End the kernel and whatever it started, at once."""
        pid = getattr(self.manager.provisioner, "pid", None)
        if pid and self.returncode is None:
            process.kill_family(pid)

    def request_end(self) -> None:
        """Ask the kernel to end, so that exit handlers run and open files are flushed; do not wait."""
        if self.returncode is None:
            self.client.shutdown()

    def close(self) -> None:
        """Wait for a kernel that was asked to end, kill one that was not, and take the sockets away."""
        deadline = time.monotonic() + _GRACE_S
        while self.returncode is None and time.monotonic() < deadline:
            time.sleep(0.002)
        if self.returncode is None:
            self.kill()
        self.client.stop_channels()
        _sync(self.manager.cleanup_resources)()
        shutil.rmtree(self._folder, ignore_errors=True)


def _sync(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """The asynchronous function to be called from code that is not, on the loop that nbclient uses."""
    from jupyter_client import utils

    wrapped: Callable[..., Any] = utils.run_sync(function)  # type: ignore[attr-defined]
    return wrapped
