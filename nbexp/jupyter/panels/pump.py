"""What keeps panels up to date: one thread for all panels of a kernel, which is there while one of them is open.

It goes on while a cell runs, for the interpreter lets it; it prints nothing, and what goes wrong is shown in the panel.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

# At most ten updates a second; where nothing goes on, a look now and then.
PACE_S, SILENT_S = 0.1, 0.25


class Pumped(Protocol):
    """A panel that is to be kept up to date."""

    @property
    def is_open(self) -> bool:
        """Whether somebody may see it."""

    def pump(self) -> bool:
        """Send what is new; whether more is to be expected soon."""

    def fail(self, error: Exception) -> None:
        """Show that this went wrong."""

    def end(self) -> None:
        """Nobody sees it any more: let go of all that it holds."""


_lock = threading.Lock()
_open: list[Pumped] = []
_thread: threading.Thread | None = None


def follow(panel: Pumped) -> None:
    """Keep a panel up to date until it is closed."""
    global _thread
    with _lock:
        _open.append(panel)
        if _thread is None:
            _thread = threading.Thread(target=_run, name="nbexp-panels", daemon=True)
            _thread.start()


def panels() -> tuple[Pumped, ...]:
    """The panels that are open in this kernel."""
    with _lock:
        return tuple(_open)


def _run() -> None:
    global _thread
    while True:
        with _lock:
            gone = [panel for panel in _open if not panel.is_open]
            for panel in gone:
                _open.remove(panel)
            left = [*_open]
            if not left:
                _thread = None
        for panel in gone:
            panel.end()
        if not left:
            return
        began = time.monotonic()
        is_lively = False
        for panel in left:
            try:
                is_lively |= panel.pump()
            except Exception as error:  # noqa: BLE001  # told where it is seen; the others go on
                panel.fail(error)
        took = time.monotonic() - began
        time.sleep(max(0.02, (PACE_S if is_lively else SILENT_S) - took))
