"""A runner with its kernel, started ahead: it waits for its one run, and serves no other.

This is for systems without fork and for kernels of another Python. `starting` keeps one of these waiting;
the run comes as a line on stream 0, which stays open as long as whoever sent it lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence

from nbexp.pipeline.kinds.notebook import runner, zygote
from nbexp.pipeline.kinds.notebook.kernel import Kernel, KernelDied, KernelSilent, StartedKernel


def main(arguments: Sequence[str]) -> int:
    """Start the kernel named in `arguments`, wait for a run, and return its exit code."""
    name, place = arguments[0], zygote.marker_place()
    os.environ.pop(zygote.MARKER, None)  # what waits belongs to no run
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it belongs to a run only once there is one
    waiting: StartedKernel | None = None
    try:
        waiting = StartedKernel(name, os.path.expanduser("~"))
        runner.rehearse()
        if waiting.is_ipython:
            waiting.wait_until_ready(runner.WAITING_S)
        else:
            _drop(waiting)  # only IPython can be told to change its directory and its variables
            waiting = None
    except Exception:  # noqa: BLE001  # whatever it is, the run meets it again and tells it
        _drop(waiting)
        waiting = None
    line = _next_line()
    if not line:
        _drop(waiting)
        return 0
    job = json.loads(line)
    zygote.show_marker(job["env"], place)
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])

    def kernel(name: str, cwd: str | None) -> Kernel:
        """The one that waits, if it is of the right kind and still well."""
        if waiting is not None and waiting.name == name:
            with contextlib.suppress(KernelDied, KernelSilent):
                waiting.move(os.path.abspath(cwd or os.getcwd()))
                return waiting
        _drop(waiting)
        return StartedKernel(name, cwd)

    return runner.main(job["arguments"], kernel=kernel)


def _drop(waiting: StartedKernel | None) -> None:
    if waiting is not None:
        with contextlib.suppress(Exception):
            waiting.kill()
            waiting.close()


def _next_line() -> bytes:
    """The line that the run comes in; empty if there will be none: the owner is gone, or it took too long."""
    import select

    readable, _, _ = select.select([0], [], [], zygote.IDLE_S)
    line = b""
    while readable and not line.endswith(b"\n"):
        data = os.read(0, 1 << 16)
        if not data:
            return b""
        line += data
    return line


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
