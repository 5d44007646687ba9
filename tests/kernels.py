"""Kernels that tests start themselves: over sockets in a folder of their own.

A port that is free when a kernel is asked for may be another process's when the kernel takes it, two seconds later.
"""

from __future__ import annotations

import tempfile

from jupyter_client.manager import KernelManager


def manager() -> KernelManager:
    """The manager of a Python kernel that is not yet started."""
    folder = tempfile.TemporaryDirectory(prefix="nbk-")  # short: the path of a socket has a limit
    made = KernelManager(
        kernel_name="python3",
        transport="ipc",
        ip=f"{folder.name}/s",
        connection_file=f"{folder.name}/kernel.json",
    )
    made._folder = folder  # type: ignore[attr-defined]  # goes with the manager
    return made
