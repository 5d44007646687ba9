"""What reading code has seen so far: files and how they are used, keys of config files, options, folders."""

from __future__ import annotations

import os
from pathlib import Path

from nbexp.frozen import frozen
from nbexp.pipeline.detection import calls
from nbexp.pipeline.detection.symbols import GAP, Config, Content, Handle, Option, Unit


@frozen
class Access:
    """A file that code reads, writes or looks through; `path` is relative to the project, gaps included.

    `is_added_to`: what is in the file stays (`open(…, "a")`), as in a log.
    """

    path: str
    does: calls.Does
    where: str
    is_added_to: bool = False


@frozen
class Key:
    """A key of a config file or a constant of a module that code takes; `key` empty is all of it."""

    file: str
    key: str
    where: str


@frozen
class Reading:
    """What reading a script or notebook found.

    Attributes
    ----------
    options
        Those of its command line that it looks at.
    folders
        Those that it makes.
    needs_words
        Its command line has words without which it cannot run, and they are not known.
    guesses
        Options that take a config file, and the project's.
    runs
        Words of the programs that it starts.
    is_quiet
        Nothing in it does anything but define and import.
    """

    accesses: tuple[Access, ...]
    keys: tuple[Key, ...]
    configs: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    folders: frozenset[str]
    needs_words: bool
    guesses: tuple[tuple[str, str], ...]
    runs: tuple[tuple[str, ...], ...]
    constants: tuple[Key, ...]
    path_texts: frozenset[str]
    mentioned: frozenset[str]


class Seen:
    """All that one reading has seen, and where it is: `unit`, `cell` and `line`."""

    def __init__(self, root: Path, script: str, cwd: str) -> None:
        self.root = root
        self.cwd = cwd
        self.accesses: dict[tuple[str, str], Access] = {}
        self.keys: dict[tuple[str, str], Key] = {}
        self.configs: dict[str, str] = {}
        self.constants: dict[tuple[str, str], Key] = {}
        self.options: list[Option] = []
        self.runs: list[tuple[str, ...]] = []
        self.path_texts: set[str] = set()
        self.folders: set[str] = set()
        self.guesses: list[tuple[str, str]] = []
        self.needs_words = False
        self.unit = Unit(script, (), {})
        self.cell: int | None = None
        self.line = 0

    @property
    def where(self) -> str:
        if self.cell is not None:
            return f"{self.unit.path} cell {self.cell}"
        return f"{self.unit.path}:{self.line}"

    def touch(self, value: object, does: calls.Does, *, is_added_to: bool = False) -> str | None:
        if isinstance(value, (Config, Content, Handle)) or not isinstance(value, str) or not value:
            return None
        if "://" in value or value in {"-", GAP} or "\n" in value or len(value) > 400:
            return None
        path = self.inside(value)
        if path is None:
            return None
        self.path_texts.update({value, path, *path.split("/")})
        if does == "list" and path in {".", ""}:
            return path
        key = (path, does)
        if key not in self.accesses:
            self.accesses[key] = Access(path, does, self.where, is_added_to)
        return path

    def make_folder(self, value: object) -> None:
        inside = self.inside(value) if isinstance(value, str) and value else None
        if inside is not None and GAP not in inside:
            self.folders.add(inside)
            self.path_texts.update({str(value), *inside.split("/")})

    def inside(self, text: str) -> str | None:
        """The path relative to the project; None outside of it."""
        joined = os.path.normpath(os.path.join(self.root, self.cwd, os.path.expanduser(text)))
        relative = os.path.relpath(joined, self.root)
        if relative.startswith("..") or os.path.isabs(relative):
            return None
        return relative.replace(os.sep, "/")

    def take(self, config: Config) -> None:
        """The code takes this part of a config file."""
        key = ".".join(config.keys)
        self.keys.setdefault((config.file, key), Key(config.file, key, self.where))

    def use(self, value: object) -> None:
        """A value goes somewhere that cannot be followed: of a config file, all of it is taken."""
        if isinstance(value, Config):
            self.take(value)
        elif isinstance(value, (list, tuple)):
            for inner in value[:50]:
                self.use(inner)
        elif isinstance(value, dict):
            for inner in list(value.values())[:50]:
                self.use(inner)
