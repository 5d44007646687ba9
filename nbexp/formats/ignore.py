"""What Git and DVC are told to leave alone: lines of .gitignore, rules of .dvcignore.

Each cached output has a line `/<name>` in the .gitignore of its own directory. A `.dvcignore`, in any
directory, has Git's syntax and says what is no data: it is not hashed, not stored and not searched
(DVC 3.67.1, formats.md 3.4). DVC tries its rules one by one, the last that matches wins, and below a
directory that is left alone nothing can be brought back; so does `DvcIgnore`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from nbexp.errors import ProjectFileError

_SPECIAL = r"([\\\[\]!*#?])"


def add_line(existing: bytes | None, name: str) -> bytes | None:
    r"""The .gitignore with a line for `name`, None if it has that line already.

    Parameters
    ----------
    existing
        The file's bytes, None where there is no file. They all stay as they are.
    name
        An entry of the file's own directory, without a slash.

    Notes
    -----
    Escaped as DVC 3.67.1 does, and a space at the end as well, which Git would drop.

    Examples
    --------
    >>> add_line(b"*.tmp", "model[1].bin")
    b'*.tmp\n/model\\[1\\].bin\n'
    """
    escaped = re.sub(_SPECIAL, r"\\\1", name)
    if escaped.endswith(" "):
        escaped = f"{escaped[:-1]}\\ "
    line = f"/{escaped}".encode("utf-8", "surrogateescape")
    present = existing or b""
    if line in (other.rstrip(b"\r") for other in present.split(b"\n")):
        return None
    gap = b"" if not present or present.endswith(b"\n") else b"\n"
    return present + gap + line + b"\n"


# Consecutive rules of one kind as one regular expression, whether they ignore (or bring back), and
# whether they are about directories only.
_Run = tuple[re.Pattern[str], bool, bool]


class DvcIgnore:
    """The `.dvcignore` files of a project, each read when a path below it is first asked for.

    Parameters
    ----------
    read
        The bytes of a file by its path (relative to the project's root, POSIX), None if not there.
    is_project
        Whether a directory holds a project of its own, which belongs to it alone.
    """

    def __init__(
        self, read: Callable[[str], bytes | None], is_project: Callable[[str], bool] | None = None
    ) -> None:
        self._read = read
        self._is_project = is_project
        self._ignored_folders: dict[str, bool] = {"": False}
        # For a directory the rules that apply in it, the nearest file's first; a file's rules come
        # with the length of what its own directory takes of a path.
        self._rules: dict[str, tuple[tuple[int, tuple[_Run, ...]], ...]] = {}

    @classmethod
    def on_disk(cls, root: Path) -> DvcIgnore:
        """That of the project in `root`."""

        def read(path: str) -> bytes | None:
            try:
                return (root / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

        return cls(read, lambda folder: (root / folder / ".dvc").is_dir())

    def matches(self, relpath: str, is_dir: bool = False) -> bool:
        """Whether the path (relative to the project's root, POSIX) is left alone.

        Raises
        ------
        ProjectFileError
            A rule above it cannot be understood.
        """
        folder, _, name = relpath.rpartition("/")
        if folder and self._is_ignored(folder):
            return True
        if name in _ALWAYS and (is_dir or name == ".git"):
            return True
        if is_dir and self._is_project is not None and self._is_project(relpath):
            return True
        for taken, runs in self._rules_in(folder):
            path = relpath[taken:]
            for expression, ignores, for_directories in runs:
                if for_directories and not is_dir:
                    continue
                if expression.match(path) or (is_dir and expression.match(f"{path}/")):
                    return ignores
        return False

    def below(self, folder: str) -> Callable[[str, bool], bool]:
        """`matches` for paths relative to `folder`, as a walk of that directory asks."""
        return _Below(self, folder)

    def _is_ignored(self, folder: str) -> bool:
        known = self._ignored_folders.get(folder)
        if known is None:
            known = self._ignored_folders[folder] = self.matches(folder, is_dir=True)
        return known

    def _rules_in(self, folder: str) -> tuple[tuple[int, tuple[_Run, ...]], ...]:
        known = self._rules.get(folder)
        if known is None:
            above = self._rules_in(folder.rpartition("/")[0]) if folder else ()
            path = f"{folder}/.dvcignore" if folder else ".dvcignore"
            data = self._read(path)
            own = _runs(data, path) if data is not None else ()
            known = ((len(folder) + 1 if folder else 0, own), *above) if own else above
            self._rules[folder] = known
        return known


class _Below:
    """The rules as the walk of one folder asks for them."""

    def __init__(self, rules: DvcIgnore, folder: str) -> None:
        self._rules = rules
        folder = posixpath.normpath(folder)
        self._start = "" if folder == "." else f"{folder}/"
        self._known: dict[str, bool] = {}

    def __call__(self, relpath: str, is_dir: bool) -> bool:
        if is_dir:
            return self._rules.matches(self._start + relpath, is_dir)
        inner, _, name = relpath.rpartition("/")
        return name == ".git" if self.frees(inner) else self._rules.matches(self._start + relpath)

    def frees(self, folder: str) -> bool:
        """Of a folder that is walked: whether a file in it can only be left alone for its name, `.git`."""
        known = self._known.get(folder)
        if known is None:
            place = (self._start + folder).rstrip("/")
            rules = self._rules
            known = not (place and rules._is_ignored(place)) and not rules._rules_in(place)
            self._known[folder] = known
        return known


_ALWAYS = frozenset({".git", ".hg", ".dvc"})


def _runs(data: bytes, path: str) -> tuple[_Run, ...]:
    """The rules of one file, the last first."""
    lines = enumerate(data.decode("utf-8", "surrogateescape").splitlines(), start=1)
    rules = [(number, rule) for number, line in lines if (rule := line.strip()) and rule[0] != "#"]
    runs: list[tuple[list[str], bool, bool]] = []
    for number, rule in rules:
        try:
            expression, ignores = _expression(rule)
        except ValueError:
            raise ProjectFileError(
                f"`{rule}` is no pattern.", "see `man gitignore`.", path=path, line=number
            ) from None
        if expression is None:
            continue
        # Joined below, their group names would clash; nobody asks which part matched.
        expression = re.sub(r"\(\?P<\w+>", "(?:", expression)
        kind = (ignores, rule.endswith("/"))
        if runs and runs[-1][1:] == kind:
            runs[-1][0].append(expression)
        else:
            runs.append(([expression], *kind))
    return tuple(
        (re.compile("|".join(expressions)), ignores, for_directories)
        for expressions, ignores, for_directories in reversed(runs)
    )


def _expression(rule: str) -> tuple[str | None, bool]:
    """A rule as a regular expression, None if it is none, and whether it ignores or brings back."""
    from pathspec import GitIgnoreSpec

    pattern = next(iter(GitIgnoreSpec.from_lines([rule]).patterns))
    expression = pattern.regex.pattern if pattern.regex is not None else None
    return expression, bool(pattern.include)
