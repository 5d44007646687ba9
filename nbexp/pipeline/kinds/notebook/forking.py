"""A kernel that is forked from a template (`zygote`), and asked for before the runner exists.

The template of runners reads the notebook, asks for the kernel, and forks the runner while the kernel
comes up; the runner takes it over, or hangs up, which ends it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from nbexp.errors import NbexpError
from nbexp.formats import notebook
from nbexp.frozen import frozen
from nbexp.pipeline import process
from nbexp.pipeline.kinds.notebook import preloading, zygote
from nbexp.pipeline.kinds.notebook.command import Request
from nbexp.pipeline.kinds.notebook.kernel import (
    ARGUMENTS,
    Kernel,
    can_hold_sockets,
    environment,
    is_ipython,
)

_ANSWER_S = 60.0  # loading libraries into a new template comes before its first fork
_GRACE_S = 5.0


@frozen
class Asked:
    """A kernel that is on its way.

    Attributes
    ----------
    folder
        Holds the connection file `kernel.json` and the sockets.
    """

    name: str
    folder: str
    conversation: socket.socket

    def drop(self) -> None:
        """Do without it, which ends it; also what is left to do once it has ended."""
        self.conversation.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def ask(
    line: str, cwd: Path, env: Mapping[str, str], template: socket.socket, output: int
) -> Asked | None:
    """Ask for the kernel of a run; None where it cannot be forked.

    None as well where something is wrong with the run, which the runner has to say.

    Parameters
    ----------
    line
        The run, as `Request.dump` writes it.
    cwd, env
        Those of the runner.
    output
        Gets what the kernel writes past its streams.
    """
    try:
        request = Request.load(line)
        book = notebook.read((cwd / request.source).read_bytes(), request.source)
        name = request.kernel or book.kernel or "python3"
        folder = (cwd / (request.cwd or ".")).resolve(strict=True)
        if cannot_fork(name):
            return None
    except (OSError, ValueError, KeyError, NbexpError):
        return None
    head = {
        "libraries": preloading.libraries([cell.source for cell in book.cells], folder, env),
        "cwd": str(folder),
    }
    own = tempfile.mkdtemp(prefix="nbexp-")
    try:
        path = _connection_file(own, name)
        asked = {"arguments": ["-f", path, *ARGUMENTS], "env": environment(env), "cwd": str(folder)}
        conversation = zygote.call(template)
        zygote.send(conversation, head, asked, fds=(output, output))
    except OSError:
        shutil.rmtree(own, ignore_errors=True)
        return None
    return Asked(name, own, conversation)


def _connection_file(folder: str, name: str) -> str:
    from jupyter_client.connect import write_connection_file
    from jupyter_client.session import new_id_bytes

    if not can_hold_sockets(folder):
        raise OSError
    path, _ = write_connection_file(
        os.path.join(folder, "kernel.json"),
        ip=os.path.join(folder, "s"),
        key=new_id_bytes(),
        transport="ipc",
        kernel_name=name,
    )
    return str(path)


def cannot_fork(name: str) -> str:
    """Why the kernel of this name is not the one that a template holds; empty if it is.

    Raises
    ------
    KeyError
        There is no such kernel.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec(name)
    words = [word for word in spec.argv if word != "-Xfrozen_modules=off"]
    if words[1:] != ["-m", "ipykernel_launcher", "-f", "{connection_file}"]:
        return "another Python's" if is_ipython(spec) else "no kernel of IPython"
    # A virtual environment's interpreter is a link to another's: the link says whose packages it sees.
    here = os.path.abspath(sys.executable)
    if words[0] not in _PYTHONS and os.path.abspath(words[0]) != here:
        return "another Python's"
    if spec.env or spec.interrupt_mode != "signal" or "kernel_provisioner" in spec.metadata:
        return "started in a way of its own"
    return ""


# jupyter_client (8.10, `format_kernel_cmd`) takes these names for the interpreter that runs it.
_PYTHONS = frozenset(
    {"python", f"python{sys.version_info[0]}", f"python{sys.version_info[0]}.{sys.version_info[1]}"}
)


class Unfit(Exception):
    """The template is one that no kernel can be forked from."""


def take(asked: Asked) -> ForkedKernel | None:
    """The kernel that was asked for, once it is there; None if it was lost on its way.

    Raises
    ------
    Unfit
        It cannot be forked, now or later.
    """
    lines = zygote.Lines(asked.conversation)
    said = lines.next(_ANSWER_S)
    if said is not None and "unfit" in said:
        raise Unfit(said["unfit"])
    if said is None or "pid" not in said:
        return None
    return ForkedKernel(asked, lines, int(said["pid"]))


class ForkedKernel(Kernel):
    """A forked kernel. Its keeper is its parent, and tells of its end."""

    def __init__(self, asked: Asked, lines: zygote.Lines, pid: int) -> None:
        self.name, self.info, self.pid = asked.name, {}, pid
        self._asked, self._lines = asked, lines
        self._code: int | None = None
        self.note(pid)
        self.manager = self
        self.client = _client_class()(self)
        self.client.load_connection_file(os.path.join(asked.folder, "kernel.json"))

    async def is_alive(self) -> bool:
        """What nbclient asks of a manager."""
        return self.returncode is None

    async def interrupt_kernel(self) -> None:
        """What nbclient asks of a manager."""
        self.interrupt()

    @property
    def returncode(self) -> int | None:
        self._listen(0.0)
        return self._code

    def _listen(self, timeout_s: float) -> None:
        if self._code is None:
            said = self._lines.next(timeout_s)
            if said is not None:
                self._code = int(said["status"])
            elif self._lines.is_over:
                self._code = -int(signal.SIGKILL)  # the keeper was killed, and the kernel with it

    @property
    def _sockets(self) -> Sequence[str]:
        ports = [self.client.shell_port, self.client.iopub_port, self.client.control_port]
        return [f"{self.client.ip}-{port}" for port in ports]

    def interrupt(self) -> None:
        with contextlib.suppress(OSError):
            self._asked.conversation.send(b"i")

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._asked.conversation.send(b"k")
        self._wait(_GRACE_S)
        if self._code is None:  # its keeper is stopped
            process.kill_family(self.pid)

    def _wait(self, timeout_s: float) -> None:
        self._listen(timeout_s)

    def _clean(self) -> None:
        self._asked.drop()


@lru_cache(maxsize=1)
def _client_class() -> Any:
    """The class of clients; made on first use, because its base loads Jupyter's client."""
    from jupyter_client.asynchronous.client import AsyncKernelClient

    class Client(AsyncKernelClient):
        """Answers nbclient's question whether the kernel lives from what its keeper says."""

        def __init__(self, kernel: ForkedKernel) -> None:
            super().__init__()
            self._kernel = kernel

        async def is_alive(self) -> bool:
            return self._kernel.returncode is None

    return Client


def rehearse() -> None:
    """Load what the functions here load."""
    with contextlib.suppress(KeyError):
        cannot_fork("python3")
    _client_class()
    from jupyter_client.connect import write_connection_file  # noqa: F401
