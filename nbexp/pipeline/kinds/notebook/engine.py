"""papermill's execution with nbexp's eyes and ears: cell events, output as it comes, every status read.

Importing this module loads papermill (0.15 s); only a process that runs a notebook does.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines
from papermill.log import logger

from nbexp.formats.notebook import INJECTED
from nbexp.frozen import frozen
from nbexp.pipeline.kinds.notebook.kernel import Kernel

NAME = "nbexp"
_RAISES, _SKIPPED = "raises-exception", "skip-execution"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@frozen
class Stopped:
    """Why a notebook did not reach its end; `cell` is None for the injected parameters."""

    cell: int | None
    words: str
    line: str = ""


@dataclass
class Session:
    """What one execution reads and tells.

    Attributes
    ----------
    tell
        Gets each event, as plain values.
    save
        Keeps the notebook as it is now; called often, so it decides itself whether it is time.
    stopped
        Set when the notebook stopped early and that is a failure.
    """

    kernel: Kernel
    tell: Callable[[Mapping[str, object]], object]
    save: Callable[[], None]
    timeout_s: int | None = None
    stdout_file: TextIO | None = None
    stderr_file: TextIO | None = None
    is_running_cell: bool = False
    was_interrupted: bool = False
    cells_run: int = 0
    stopped: Stopped | None = None


# A kernel says that a cell is done before all of its output has been read: 100 MB take a minute where the machine is
# busy. nbclient waits 4 s, and papermill then calls that a timeout.
_OUTPUT_S = 600


class NbexpEngine(Engine):  # type: ignore[misc]  # papermill has no types
    """The engine that papermill's registry knows as `nbexp`."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, *, session: Session, **options: Any
    ) -> None:
        del options  # papermill's own, which the session replaces
        client = _Client(
            nb_man,
            session,
            kernel_name=kernel_name,
            timeout=session.timeout_s,
            iopub_timeout=_OUTPUT_S,
            stdout_file=session.stdout_file,
            stderr_file=session.stderr_file,
            log=logger,
        )
        client.execute()


papermill_engines.register(NAME, NbexpEngine)


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    def __init__(self, nb_man: NotebookExecutionManager, session: Session, **options: Any) -> None:
        super().__init__(nb_man, km=session.kernel.manager, **options)
        self._session = session
        self._reply: Mapping[str, Any] = {}
        self.on_cell_executed = self._executed

    def execute(self, **_options: Any) -> Any:
        self.reset_execution_trackers()
        self.kc = self._session.kernel.client
        self.papermill_execute_cells()
        self.nb.metadata["language_info"] = self._session.kernel.info.get("language_info", {})
        self.set_widgets_metadata()
        return self.nb

    def papermill_execute_cells(self) -> None:
        numbers = _numbers(self.nb.cells)
        total = max(numbers.values(), default=0)
        for index, cell in enumerate(self.nb.cells):
            runs = cell.cell_type == "code" and bool(cell.source.strip())
            if not runs or _SKIPPED in cell.metadata.get("tags", []):
                continue
            number = numbers.get(index)
            about = {"cell": number, "total": total}
            if number is not None:
                self._session.tell({"kind": "cell_started", **about, "source": cell.source[:2000]})
            started = time.monotonic()
            goes_on = self._run_cell(cell, index, number)
            if number is not None and self._session.stopped is None:
                seconds = round(time.monotonic() - started, 3)
                self._session.cells_run += 1
                self._session.tell({"kind": "cell_finished", **about, "seconds": seconds})
            self._session.save()
            if not goes_on or self._session.was_interrupted:
                break

    def _run_cell(self, cell: Any, index: int, number: int | None) -> bool:
        """Run one cell; whether the next one may run."""
        session, self._reply = self._session, {}
        self.nb_man.cell_start(cell, index)
        session.is_running_cell = True
        try:
            # Injected parameters leave the kernel's count alone, so that `In [n]` in a traceback
            # is the cell that nbexp calls n.
            self.execute_cell(cell, index, store_history=number is not None)
            found = None if _RAISES in cell.metadata.get("tags", []) else self._unnoticed(cell)
        except CellExecutionError as error:
            self.nb_man.cell_exception(cell, cell_index=index, exception=error)
            if error.ename == "SystemExit" and error.evalue in {"", "0", "None"}:
                return False  # `sys.exit()`: the notebook ends here, and well, as papermill has it
            found = (error.ename, error.evalue)
        except CellTimeoutError:
            words = f"it ran longer than {session.timeout_s} s"
            if session.timeout_s is None:
                words = f"it was done, and what it wrote had not arrived {_OUTPUT_S} s later"
            session.stopped = Stopped(number, words)
            return False
        except DeadKernelError:
            session.stopped = Stopped(number, _death(session.kernel.returncode))
            return False
        finally:
            session.is_running_cell = False
            self.nb_man.cell_complete(cell, cell_index=index)
        if found is not None:
            name, value = found
            said = value.strip().splitlines()[0][:200] if value.strip() else ""
            # A shell's error has no name: its value is the exit code of the cell's last command.
            name = name or ("exit code" if said.isdigit() else "error")
            words = f"{name} {said}" if said.isdigit() else f"{name}: {said}" if said else name
            session.stopped = Stopped(number, words.rstrip("."), _line(cell, number))
        return found is None

    def _executed(self, cell: Any, cell_index: int, execute_reply: Mapping[str, Any]) -> None:
        del cell, cell_index
        self._reply = execute_reply.get("content", {})

    def _unnoticed(self, cell: Any) -> tuple[str, str] | None:
        """An error that nbclient did not raise: magics and some kernels print one and answer "ok"."""
        for output in cell.outputs:
            if output.output_type == "error":
                return output.ename, output.evalue
        if self._session.kernel.info.get("implementation") == "bash_kernel" and _is_anew(cell):
            return "bash ended in it", "`exit`, or a command that failed after `set -e`"
        status = self._reply.get("status", "ok")
        return None if status == "ok" else ("the kernel answered", f"`{status}`")

    def process_message(self, *args: Any, **options: Any) -> Any:
        output = super().process_message(*args, **options)
        if output:
            message = args[0] if args else options["msg"]
            shown_as = message["content"].get("transient", {}).get("display_id", "")
            # Values that are logged go by as events; their line in the notebook is for later.
            if not str(shown_as).startswith("nbexp-live-"):
                _echo(output)
            self._session.save()
        return output


def _is_anew(cell: Any) -> bool:
    """Whether bash_kernel (0.10) began a new shell, without the variables of the old one, and answered "ok"."""
    streams = [output.text for output in cell.outputs if output.output_type == "stream"]
    return bool(streams) and streams[-1].rstrip().endswith("Restarting Bash")


def _numbers(cells: Sequence[Any]) -> dict[int, int]:
    """The number of each code cell by its place, as `formats.notebook` counts."""
    found: dict[int, int] = {}
    for index, cell in enumerate(cells):
        is_injected = INJECTED in cell.metadata.get("tags", [])
        if cell.cell_type == "code" and cell.source.strip() and not is_injected:
            found[index] = len(found) + 1
    return found


def _echo(output: Any) -> None:
    """What a cell shows, for the log and the terminal."""
    target, text = sys.stdout, ""
    if output.output_type == "stream":
        target = sys.stderr if output.name == "stderr" else sys.stdout
        text = output.text
    elif output.output_type == "error":
        target = sys.stderr
        text = _COLOUR.sub("", "\n".join(output.traceback)) + "\n"
    elif "text/plain" in output.get("data", {}):
        text = output.data["text/plain"] + "\n"
    with contextlib.suppress(BrokenPipeError, UnicodeEncodeError):
        target.write(text)
        target.flush()


def _line(cell: Any, number: int | None) -> str:
    """The line of the cell that an error came through, from the traceback; empty if it does not say."""
    lines = cell.source.splitlines()
    for output in cell.outputs:
        if output.output_type == "error":
            traceback = _COLOUR.sub("", "\n".join(output.traceback))
            found = re.search(rf"Cell In\[{number}\], line (\d+)", traceback)
            if found and int(found[1]) <= len(lines):
                return str(lines[int(found[1]) - 1].strip())
    return str(lines[0].strip()) if len(lines) == 1 else ""


def _death(returncode: int | None) -> str:
    from nbexp.pipeline.kinds.shell import killed_by

    if returncode is not None and returncode < 0:
        return f"the kernel was {killed_by(-returncode)}"
    ended = "" if returncode is None else f" (exit code {returncode})"
    return f"the kernel ended by itself{ended}"
