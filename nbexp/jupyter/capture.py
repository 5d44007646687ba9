"""What a cell shows and what its last value is, taken down while it goes on to the front end as always.

Works in the kernel in which `%%exp` runs a cell and in the one that replays it. What `%%capture` keeps from being
shown does not come here either.
"""

from __future__ import annotations

import base64
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Capture:
    """Takes down what is shown between `start` and `stop`.

    Attributes
    ----------
    outputs
        As the outputs of a code cell in nbformat 4.
    last
        The value of the last expression that a cell ended with, shown or not; None if there was none.
    """

    def __init__(self, shell: Any) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.last: object = None
        self.is_quiet = False
        self._shell = shell
        self._undo: list[Callable[[], None]] = []
        self._shown_as: dict[str, list[dict[str, Any]]] = {}
        self._clears = False
        self._is_showing = False

    def start(self) -> None:
        shell = self._shell
        self._replace(shell.display_pub, "publish", self._publish)
        self._replace(shell.display_pub, "clear_output", self._clear)
        self._replace(shell, "_showtraceback", self._error)
        for name in ("stdout", "stderr"):
            self._replace(getattr(sys, name), "write", self._writer(name))
        # IPython sets its hook when the outermost cell begins: inside of one, that of the system is in use.
        trap = shell.display_trap
        hook = sys.displayhook if trap.is_active else trap.hook

        def show(value: object) -> None:
            if value is not None:
                self.last = value
                if not self.is_quiet:
                    self._is_showing = True
                    hook(value)
                    self._is_showing = False

        before = trap.hook, sys.displayhook
        trap.hook = show
        if trap.is_active:
            sys.displayhook = show

        def back() -> None:
            trap.hook = before[0]
            if sys.displayhook is show:
                sys.displayhook = before[1]

        self._undo.append(back)
        # What is shown of a value is made once: the formatters of users may count.
        if hasattr(hook, "write_format_data"):
            self._replace(hook, "write_format_data", self._result)

    def stop(self) -> None:
        while self._undo:
            self._undo.pop()()

    @contextlib.contextmanager
    def going(self) -> Iterator[Capture]:
        """While inside, it takes down."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def _replace(
        self, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        """Put a function around a method of one object, and remember how to take it off."""
        was = vars(owner).get(name) if hasattr(owner, "__dict__") else None
        before = getattr(owner, name)
        with contextlib.suppress(AttributeError):  # an object of C without a place for it
            setattr(owner, name, make(before))

            def back() -> None:
                with contextlib.suppress(AttributeError):
                    if was is not None:
                        setattr(owner, name, was)
                    else:
                        delattr(owner, name)

            self._undo.append(back)

    # ---- what stands around the methods

    def _publish(self, before: Callable[..., Any]) -> Callable[..., Any]:
        def publish(data: Any, metadata: Any = None, *args: Any, **options: Any) -> Any:
            self._note(data, metadata, options.get("transient"), bool(options.get("update")))
            return before(data, metadata, *args, **options)

        return publish

    def _note(self, data: Any, metadata: Any, transient: Any, is_update: bool) -> None:
        shown_as = (transient or {}).get("display_id")
        about = {"data": _plain(data), "metadata": dict(metadata or {})}
        if is_update:
            for output in self._shown_as.get(str(shown_as), ()):
                output.update(about)
            return
        output = {"output_type": "display_data", **about}
        if shown_as:
            self._shown_as.setdefault(str(shown_as), []).append(output)
        self._add(output)

    def _result(self, before: Callable[..., Any]) -> Callable[..., Any]:
        def write(data: Any, metadata: Any = None) -> Any:
            self._add(
                {
                    "output_type": "execute_result",
                    "execution_count": None,
                    "data": _plain(data),
                    "metadata": dict(metadata or {}),
                }
            )
            return before(data, metadata)

        return write

    def _error(self, before: Callable[..., Any]) -> Callable[..., Any]:
        def show(kind: Any, error: Any, lines: Any) -> Any:
            self._add(
                {
                    "output_type": "error",
                    "ename": str(getattr(kind, "__name__", kind)),
                    "evalue": str(error),
                    "traceback": [str(line) for line in lines],
                }
            )
            return before(kind, error, lines)

        return show

    def _writer(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def make(before: Callable[..., Any]) -> Callable[..., Any]:
            def write(text: Any, *args: Any) -> Any:
                if isinstance(text, str) and text:
                    self._text(name, text)
                return before(text, *args)

            return write

        return make

    def _text(self, name: str, text: str) -> None:
        if self._is_showing and not hasattr(self._shell, "kernel"):
            return  # a terminal prints the value that is taken down as a value
        last = self.outputs[-1] if self.outputs and not self._clears else {}
        if last.get("output_type") == "stream" and last.get("name") == name:
            last["text"] += text
        else:
            self._add({"output_type": "stream", "name": name, "text": text})

    def _clear(self, before: Callable[..., Any]) -> Callable[..., Any]:
        def clear(wait: bool = False) -> Any:
            self._clears = wait
            if not wait:
                self.outputs.clear()
            return before(wait)

        return clear

    def _add(self, output: dict[str, Any]) -> None:
        if self._clears:
            self.outputs.clear()
            self._clears = False
        self.outputs.append(output)


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """A bundle as a notebook has it: bytes as base64."""
    return {
        mime: base64.b64encode(content).decode() if isinstance(content, bytes) else content
        for mime, content in data.items()
    }
