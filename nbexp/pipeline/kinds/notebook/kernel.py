"""One kernel process for one run: started or forked, ready as soon as it is, and gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from queue import Empty
from typing import Any

from nbexp.errors import NotFound
from nbexp.pipeline import process
from nbexp.pipeline.kinds.notebook import zygote

# sockaddr_un holds 104 bytes on macOS, 108 on Linux; behind the folder come a name and a number.
_LONGEST_FOLDER = 85
# Kernels of other languages that ipykernel's application starts; any other may know TCP only.
_ON_IPYKERNEL = frozenset({"bash_kernel"})
_GRACE_S = 5.0  # jupyter_client's own shutdown_wait_time
_FORK_S = 60.0  # loading libraries into a new template comes before its first fork


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

    Parameters
    ----------
    template
        Where a kernel is forked, if this one can be; else its program is started.
    libraries
        What the fork may have loaded already.
    """

    def __init__(
        self,
        name: str,
        cwd: str | None,
        *,
        template: socket.socket | None = None,
        libraries: Sequence[str] = (),
    ) -> None:
        from jupyter_client.manager import AsyncKernelManager

        self.name = name
        self._folder = tempfile.mkdtemp(prefix="nbexp-")
        self.manager = AsyncKernelManager(kernel_name=name)
        self.manager.connection_file = os.path.join(self._folder, "kernel.json")
        spec = self.manager.kernel_spec
        assert spec is not None
        self.is_ipython = _is_ipython(spec)
        self.cannot_fork = "" if template is None else _cannot_fork(spec)
        if template is not None and not self.cannot_fork:
            self.manager.kernel_id = self.manager.kernel_id or os.path.basename(self._folder)
            self.manager.provisioner = _forking()(
                template,
                libraries,
                kernel_id=self.manager.kernel_id,
                kernel_spec=spec,
                parent=self.manager,
            )
        speaks_ipc = self.is_ipython or any(word in _ON_IPYKERNEL for word in spec.argv)
        if speaks_ipc and os.name == "posix" and len(self._folder) < _LONGEST_FOLDER:
            # Sockets in a private folder: no port that another process may take first.
            self.manager.transport = "ipc"
            self.manager.ip = os.path.join(self._folder, "s")
        # The history of one's own shell is a database, which parallel kernels would lock.
        arguments = ["--HistoryManager.hist_file=:memory:"] if self.is_ipython else []
        # A kernel started from a notebook in JupyterLab would take itself for that notebook.
        env = {key: value for key, value in os.environ.items() if key != "JPY_SESSION_NAME"}
        self._env = dict(env)
        _sync(self.manager.start_kernel)(extra_arguments=arguments, cwd=cwd, env=env)
        self.client = self.manager.client()
        self.info: dict[str, Any] = {}
        self._note()

    def _note(self) -> None:
        """Note the process where the run notes what it started, before it is given anything to do."""
        folder, pid = (
            os.environ.get(process.RUN_DIR),
            getattr(self.manager.provisioner, "pid", None),
        )
        if folder and pid:
            with contextlib.suppress(OSError):
                process.record(Path(folder), pid)

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
        if not self.info:
            _sync(self._ready)(timeout_s)

    def move(self, cwd: str, env: Mapping[str, str]) -> None:
        """Give a kernel of IPython that waits in the pool the directory and the variables of its run.

        Nothing of it shows in the notebook: no name, no number, no output.

        Raises
        ------
        KernelDied, KernelSilent
            It did not survive the wait.
        """
        old, new = self._env, {**env}
        changed = {name: value for name, value in new.items() if old.get(name) != value}
        gone = [name for name in old if name not in new]
        code = (
            f"(lambda os: (os.chdir({cwd!r}), os.environ.update({changed!r}), "
            f"[os.environ.pop(name, None) for name in {gone!r}]) and None)(__import__('os'))"
        )
        _sync(self._quietly)(code)
        self._note()

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

    async def _ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        if self.manager.transport == "ipc":
            # A socket that connects before the other side is bound tries again 100 ms later only.
            ports = [self.manager.shell_port, self.manager.iopub_port, self.manager.control_port]
            sockets = [f"{self.manager.ip}-{port}" for port in ports]
            while not all(os.path.exists(path) for path in sockets):
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

    def interrupt(self) -> None:
        """A KeyboardInterrupt in the running cell, and SIGINT for what it started in its group."""
        if self.returncode is not None:
            return
        started: Any = getattr(self.manager.provisioner, "process", None)
        if isinstance(started, _Fork):
            started.interrupt()
            return
        group = getattr(self.manager.provisioner, "pgid", None)
        if group:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGINT)

    def kill(self) -> None:
        """End the kernel and whatever it started, at once."""
        started: Any = getattr(self.manager.provisioner, "process", None)
        if isinstance(started, _Fork):
            started.end()
        elif self.returncode is None and (pid := getattr(self.manager.provisioner, "pid", None)):
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
        marker = os.environ.get(process.MARKER)
        if marker and (self.returncode or 0) < 0:
            # Who was killed ended nothing of its own; nbexp's environment names what is left.
            process.kill_marked(marker)


def rehearse() -> None:
    """Load what starting a kernel and talking to it needs."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    from jupyter_client.manager import AsyncKernelManager

    with contextlib.suppress(NoSuchKernel):
        KernelSpecManager().get_kernel_spec("python3")
    AsyncKernelManager(kernel_name="python3").client_factory  # noqa: B018
    _forking()


# ---- a kernel that is forked


class _Fork:
    """A forked kernel, seen as `subprocess.Popen` shows a started one; its keeper is its parent."""

    def __init__(self, conversation: socket.socket, lines: zygote.Lines, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = self.stdout = self.stderr = None
        self._conversation, self._lines = conversation, lines

    def poll(self, timeout_s: float = 0.0) -> int | None:
        if self.returncode is None:
            said = self._lines.next(timeout_s)
            if said is not None:
                self.returncode = int(said["status"])
            elif self._lines.is_over:
                self.returncode = -int(
                    signal.SIGKILL
                )  # the keeper was killed, and the kernel with it
        return self.returncode

    def wait(self) -> int:
        while self.poll(1.0) is None:
            pass
        assert self.returncode is not None
        return self.returncode

    def interrupt(self) -> None:
        with contextlib.suppress(OSError):
            self._conversation.send(b"i")

    def send_signal(self, number: int) -> None:
        if number == signal.SIGINT:
            self.interrupt()
        else:
            self.end()

    def end(self) -> None:
        """Return when the kernel and what it started are gone."""
        with contextlib.suppress(OSError):
            self._conversation.send(b"k")
        if self.poll(_GRACE_S) is None:  # the keeper is stopped or lost
            process.kill_family(self.pid)

    kill = terminate = end


@lru_cache(maxsize=1)
def _forking() -> Any:
    """The class of provisioners that fork; made on first use, because its base loads Jupyter's client."""
    from jupyter_client.provisioning import LocalProvisioner

    class Forking(LocalProvisioner):
        """Lets Jupyter's manager have a forked process where it would start a program."""

        def __init__(
            self, template: socket.socket, libraries: Sequence[str], **traits: Any
        ) -> None:
            super().__init__(**traits)
            self._template, self._libraries = template, libraries

        async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
            forked = self._forked(cmd[3:], kwargs)
            if forked is None:
                return await super().launch_kernel(cmd, **kwargs)
            self.process: Any = forked
            self.pid = self.pgid = forked.pid
            self.cwd = kwargs.get("cwd") or os.getcwd()
            return self.connection_info

        def _forked(self, arguments: Sequence[str], options: Mapping[str, Any]) -> _Fork | None:
            """None where the template does not fork; then the program is started as ever."""
            asked = {
                "arguments": list(arguments),
                "env": options["env"],
                "cwd": os.path.abspath(options.get("cwd") or os.getcwd()),
            }
            head = {"libraries": list(self._libraries), "cwd": asked["cwd"]}
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            try:
                conversation = zygote.call(self._template)
                zygote.send(conversation, head, asked, fds=(1, 2))
            except OSError:
                return None
            lines = zygote.Lines(conversation)
            said = lines.next(_FORK_S)
            if said is None or "pid" not in said:
                conversation.close()
                return None
            return _Fork(conversation, lines, int(said["pid"]))

    return Forking


def _is_ipython(spec: Any) -> bool:
    return any("ipykernel" in word for word in spec.argv)


def _cannot_fork(spec: Any) -> str:
    """Why a kernel of this kind is not the one that the template holds; empty if it is."""
    words = [word for word in spec.argv if word != "-Xfrozen_modules=off"]
    if words[1:5] != ["-m", "ipykernel_launcher", "-f", "{connection_file}"]:
        return "it is no kernel of ipykernel"
    if words[0] not in _PYTHONS and not _is_this_python(words[0]):
        return "it belongs to another Python"
    if spec.env or spec.interrupt_mode != "signal" or "kernel_provisioner" in spec.metadata:
        return "it is started in a way of its own"
    return ""


# jupyter_client takes these names for the interpreter that runs it.
_PYTHONS = frozenset(
    {"python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}"}
)


def _is_this_python(program: str) -> bool:
    # A virtual environment's interpreter is a link to another's: the link says whose packages it sees.
    return os.path.abspath(program) == os.path.abspath(sys.executable)


def _sync(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """The asynchronous function to be called from code that is not, on the loop that nbclient uses."""
    from jupyter_client import utils

    wrapped: Callable[..., Any] = utils.run_sync(function)  # type: ignore[attr-defined]
    return wrapped
