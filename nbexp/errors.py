"""What nbexp tells a user who can do something about it.

    NbexpError            message (one sentence) and hint (one thing to do, as it would be typed)
    ├── UsageError        what was typed is wrong whatever the project holds
    ├── NotFound          a name, path, key or revision that is not there
    ├── NameTaken         an experiment of that name exists
    ├── ProjectFileError  a file of the project cannot be used; carries its path and line
    ├── StageFailed       a stage stopped; carries its exit code, notebook cell and log
    ├── CheckFailed       a metric did not clear the bar it was held against
    ├── GitError          Git refused, or another process was faster
    ├── StoreError        an object of the cache or a remote is missing, damaged or in the way
    └── QueueError        the queue cannot do that now

`Interrupted` is not among them: it is a `KeyboardInterrupt`, so that nothing but the user's own
handler swallows it, and it carries message and hint all the same. Anything else that is raised is a bug.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class NbexpError(Exception):
    """An explained error: `message` says what is the case, `hint` what to do, typed with `nbexp`.

    Front ends print both and nothing else; `exit_code` is what a process ends with.
    """

    exit_code = 3

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nHint: {self.hint}"

    def retell(self, untouched: str, line: str | None = None) -> None:
        """Say it to who asked for something else than a run: what stays as it was, and what is typed for `nbexp run -S`."""
        self.message = self.message.replace("Nothing was run.", untouched)
        if line is not None and self.hint is not None:
            self.hint = self.hint.replace("nbexp run -S", line)

    def __reduce__(self) -> tuple[object, ...]:
        # As it is: its own `__init__` would want what it was made of, and put the place before it again.
        return _remade, (type(self), self.args, vars(self))

    def _render_traceback_(self) -> list[str]:
        """What IPython draws instead of a traceback: the two lines a user needs."""
        return in_notebook_words(str(self)).splitlines()


class UsageError(NbexpError):
    """What was typed is wrong whatever the project holds."""

    exit_code = 2


class NotFound(NbexpError):
    """A name, path, key or revision that is not there."""


class NameTaken(NbexpError):
    """An experiment of that name exists on the baseline; nothing was run."""


class ProjectFileError(NbexpError):
    """A file of the project cannot be used.

    The message starts with the place, so that an editor can jump to it: `dvc.yaml, line 12: …`.
    """

    def __init__(
        self, message: str, hint: str | None = None, *, path: str, line: int | None = None
    ) -> None:
        place = path if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: {message}", hint)
        self.path = path
        self.line = line


class StageFailed(NbexpError):
    """A stage stopped before its end; the workspace is as it was before the run."""

    exit_code = 1

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        stage: str,
        returncode: int | None = None,
        cell: int | None = None,
        log: Path | None = None,
        tail: str = "",
    ) -> None:
        super().__init__(message, hint)
        self.stage = stage
        self.returncode = returncode
        self.cell = cell
        self.log = log
        self.tail = tail
        self.experiment: str | None = None


class CheckFailed(NbexpError):
    """What was asked to hold does not: a metric is under or over its bar. What the command makes is there."""

    exit_code = 1


class GitError(NbexpError):
    """Git refused, or another process moved a ref between the look and the write."""


class StoreError(NbexpError):
    """An object of the cache or of a remote is missing, damaged or in the way."""


class QueueError(NbexpError):
    """The queue cannot do that now."""


class Interrupted(KeyboardInterrupt):
    """The user stopped it; `message` says what was put back."""

    exit_code = 130

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nHint: {self.hint}"

    def _render_traceback_(self) -> list[str]:
        return in_notebook_words(str(self)).splitlines()


def _remade(
    kind: type[NbexpError], args: tuple[object, ...], state: dict[str, object]
) -> NbexpError:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is spelled most like `word`, for a hint; None if none is near."""
    import difflib  # only a mistake needs it

    found = difflib.get_close_matches(word, list(known))
    # Letters that changed places count as little as they mean: `dpes` is `deps`, not `desc`.
    swapped = [one for one in found if sorted(one) == sorted(word)]
    return next(iter(swapped or found), None)


def in_notebook_words(text: str) -> str:
    """The text with every `` `nbexp `` that would be typed spelled `` `%exp `` as in a cell."""
    return text.replace("`nbexp ", "`%exp ")
