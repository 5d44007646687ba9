"""What the reader of code knows of a value: a constant, a path with gaps, a piece of a config file, …

A text may have gaps: a part that only running the code would tell is the character `GAP`. So
`f"models/{name}.pkl"` is a text as any other, and what it stands for is seen by `split` and `join` alike.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

GAP = "\0"


class _Unknown:
    """A value that only running the code would tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


class PathText(str):
    """A `pathlib` path."""

    __slots__ = ()


class Chosen(str):
    """A text that stands in a config file: what it selects is known only for its present value."""

    __slots__ = ()


@dataclass
class External:
    """Something of another package, by its full name: `pandas.read_csv`, `os.path.join`."""

    name: str


@dataclass
class Config:
    """A config file's content, or a part of it: `keys` lead there."""

    file: str
    keys: tuple[str, ...]
    value: object
    groups: Mapping[str, Config] = field(default_factory=dict)  # of Hydra: in files of their own


@dataclass
class Handle:
    """An open file."""

    path: str


@dataclass
class Content:
    """A file's text."""

    path: str


@dataclass
class Scope:
    """Names and what they stand for, innermost first."""

    unit: Unit
    parent: Scope | None = None
    names: dict[str, object] = field(default_factory=dict)

    def find(self, name: str) -> Scope | None:
        here: Scope | None = self
        while here is not None:
            if name in here.names:
                return here
            here = here.parent
        return None


@dataclass
class Unit:
    """A script, a module or a notebook: its pieces of code, with the cell each is from."""

    path: str
    trees: tuple[tuple[int | None, ast.Module], ...]
    literals: Mapping[str, object]  # what is given a literal on the top level, once
    scope: Scope | None = None


@dataclass
class Function:
    """A function of the project, or a method with what it is bound to."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    bound: object = None
    options: tuple[Option, ...] | None = None  # of click
    config: Config | None = None  # of Hydra


@dataclass
class Class:
    """A class of the project."""

    node: ast.ClassDef
    scope: Scope
    attributes: dict[str, object] = field(default_factory=dict)
    bases: tuple[object, ...] = ()


@dataclass
class Instance:
    """An object of a class of the project."""

    cls: Class
    attributes: dict[str, object] = field(default_factory=dict)


@dataclass
class Option:
    """An option or word of a command line, as argparse, click or typer know it."""

    names: tuple[str, ...]
    dest: str
    default: object = None
    is_switch: bool = False
    is_path: bool = False
    is_required: bool = False
    line: int = 0
    takes: str = ""  # the type's name, as far as it says something

    @property
    def flag(self) -> str | None:
        """How it is given; None for a word by its place."""
        long = [name for name in self.names if name.startswith("--")]
        short = [name for name in self.names if name.startswith("-")]
        return next(iter(long or short), None)


@dataclass
class Parser:
    """What reads a command line; `used` are the options that the code looks at."""

    options: list[Option] = field(default_factory=list)


@dataclass
class Arguments:
    """The values that a parser found."""

    parser: Parser


@dataclass
class Module:
    """A module of the project."""

    unit: Unit
