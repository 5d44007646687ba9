"""What a notebook reads, writes and logs, found by reading its code; nothing is run.

`init` writes a stage from it, and a run warns of project modules that a stage imports without listing
them. All of it is a best effort: a name built while the code runs is not seen.
"""

from __future__ import annotations

import ast
import itertools
import os
import posixpath
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from nbexp.errors import ProjectFileError
from nbexp.formats import notebook
from nbexp.formats.notebook import Parameters
from nbexp.frozen import frozen

_METRIC_NAME = re.compile(r"metric|score|result", re.IGNORECASE)
_DATA_SUFFIXES = (".json", ".yaml", ".yml", ".toml")
_RUN = re.compile(r"^\s*%run\s+(?:-\w+\s+)*[\"']?([^\s\"']+\.(?:py|ipynb))", re.MULTILINE)
_WRITERS = frozenset({"write_text", "write_bytes", "to_json"})


@frozen
class Place:
    """Where something stands: a notebook's cell by its number, or a module by its path."""

    cell: int | None = None
    module: str | None = None

    def __str__(self) -> str:
        return f"cell {self.cell}" if self.cell is not None else str(self.module)


@frozen
class MetricFile:
    """A metrics file, its path as the code spells it, and where it is written first."""

    path: str
    place: Place


@frozen
class Series:
    """A name that `live.log` gets, and where first."""

    name: str
    place: Place


@frozen
class Found:
    """What a notebook takes, imports, writes and logs.

    `modules` are the project's own files that it imports, directly or through each other, as paths
    relative to the root; an `__init__.py` on the way is one of them.
    """

    parameters: Parameters
    modules: tuple[str, ...]
    metrics: tuple[MetricFile, ...]
    live: tuple[Series, ...]


def inspect(path: Path, root: Path) -> Found:
    """What the notebook at `path` takes, imports, writes and logs; its modules are looked at as well.

    Raises
    ------
    ProjectFileError
        The file is no notebook.
    """
    book = notebook.read(path.read_bytes(), _relative(path, root) or path.name)
    modules = imports(path, root)
    units = [(Place(cell=number), tree) for number, tree in _trees(book)]
    for module in modules:
        tree = _parsed(root / module)
        if tree is not None:
            units.append((Place(module=module), tree))
    metrics: dict[str, MetricFile] = {}
    series: dict[str, Series] = {}
    cells = [tree for place, tree in units if place.cell is not None]
    for place, tree in units:
        scope = cells if place.cell is not None else [tree]
        names, loggers = _paths(scope), _loggers(scope)
        for written in _written(tree, names):
            metrics.setdefault(written, MetricFile(written, place))
        for name in _logged(tree, loggers):
            series.setdefault(name, Series(name, place))
    return Found(
        notebook.parameters(book), modules, tuple(metrics.values()), tuple(series.values())
    )


def imports(script: Path, root: Path, *, folders: Sequence[Path] = ()) -> tuple[str, ...]:
    """The project's own modules that a script or notebook imports, sorted, relative to `root`.

    Parameters
    ----------
    script
        A `.py` or `.ipynb` file. Absent, or not to be parsed: it imports nothing.
    folders
        Where Python looks besides the script's folder, the root and `src`: the stage's wdir, say.

    Notes
    -----
    Cost: one parse of each file, kept until the file changes; no process, no import.
    """
    script = Path(os.path.normpath(script))
    search = list(dict.fromkeys([script.parent, *folders, root, root / "src"]))
    found: set[str] = set()
    todo = [script]
    while todo:
        for module in _imported_by(todo.pop(), search, root):
            path = root / module
            if module not in found and path != script:
                found.add(module)
                todo.append(path)
    return tuple(sorted(found))


def scripts(command: str, cwd: Path) -> tuple[Path, ...]:
    """The Python files and notebooks that a command line names, as far as they exist.

    Words that end in `.py` or `.ipynb`, relative to `cwd`, and the module behind `-m`.
    """
    try:
        words = shlex.split(command, comments=False)
    except ValueError:
        words = command.split()
    found = [cwd / word for word in words if word.endswith((".py", ".ipynb"))]
    for option, name in itertools.pairwise(words):
        if option == "-m" and re.fullmatch(r"[A-Za-z_][\w.]*", name):
            base = cwd.joinpath(*name.split("."))
            found += [base.with_name(base.name + ".py"), base / "__main__.py"]
    return tuple(path for path in dict.fromkeys(found) if path.is_file())


# ---- what a file imports


@frozen
class _Wanted:
    names: tuple[str, ...] = ()
    relative: tuple[tuple[int, str], ...] = ()
    added: tuple[str, ...] = ()  # folders put on sys.path
    run: tuple[str, ...] = ()  # scripts of `%run`


def _imported_by(file: Path, search: Sequence[Path], root: Path) -> Iterator[str]:
    wanted = _wanted(file)
    places = [*search, *(_resolved(file.parent, folder) for folder in wanted.added)]
    for name in wanted.names:
        if name.split(".")[0] not in sys.stdlib_module_names:
            yield from _modules(name, places, root)
    for level, name in wanted.relative:
        package = file.parents[min(level, len(file.parents)) - 1]
        yield from _modules(name, [package], root, is_relative=True)
    for path in wanted.run:
        module = _relative(_resolved(file.parent, path), root)
        if module is not None and (root / module).is_file():
            yield module


def _wanted(file: Path) -> _Wanted:
    try:
        stat = file.stat()
    except OSError:
        return _Wanted()
    return _wanted_of(str(file), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2048)
def _wanted_of(path: str, _mtime_ns: int, _size: int) -> _Wanted:
    file = Path(path)
    if file.suffix != ".ipynb":
        tree = _parsed(file)
        return _imported([tree]) if tree is not None else _Wanted()
    try:
        book = notebook.read(file.read_bytes(), file.name)
    except (OSError, ProjectFileError):
        return _Wanted()
    wanted = _imported([tree for _, tree in _trees(book)])
    code = "\n".join(cell.source for cell in book.cells) if book.is_python else ""
    return _Wanted(wanted.names, wanted.relative, wanted.added, tuple(_RUN.findall(code)))


def _imported(trees: Sequence[ast.Module]) -> _Wanted:
    names: dict[str, None] = {}
    relative: dict[tuple[int, str], None] = {}
    added: dict[str, None] = {}
    paths = _paths(trees)
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names.update(dict.fromkeys(alias.name for alias in node.names))
            elif isinstance(node, ast.ImportFrom):
                # Of `from a import b`, b may be a module: looked for as one, absent otherwise.
                start = f"{node.module}." if node.module else ""
                wanted = [node.module] if node.module else []
                wanted += [start + alias.name for alias in node.names if alias.name != "*"]
                if node.level:
                    relative.update(dict.fromkeys((node.level, name) for name in ["", *wanted]))
                else:
                    names.update(dict.fromkeys(wanted))
            elif isinstance(node, ast.Call):
                called = dotted(node.func)
                if called in {"importlib.import_module", "import_module", "__import__"}:
                    if node.args and (name := _string(node.args[0])) and name[0] != ".":
                        names[name] = None
                elif called in {"sys.path.append", "sys.path.insert"} and node.args:
                    folder = _path(node.args[-1], paths)
                    added.update({folder: None} if folder else {})
    return _Wanted(tuple(names), tuple(relative), tuple(added))


def _modules(
    name: str, places: Sequence[Path], root: Path, *, is_relative: bool = False
) -> list[str]:
    """The files that importing `name` executes, if it is found in one of the places below `root`."""
    parts = name.split(".") if name else []
    for place in places:
        found: list[Path] = []
        folder, is_there = place, True
        if is_relative:
            found.append(folder / "__init__.py")
        for part in parts:
            if (folder / part / "__init__.py").is_file():
                found.append(folder / part / "__init__.py")
            elif (folder / f"{part}.py").is_file():
                found.append(folder / f"{part}.py")
            elif not (folder / part).is_dir():
                is_there = False
                break
            folder /= part
        inside = [_relative(path, root) for path in found if path.is_file()]
        if is_there and any(inside):
            return [path for path in inside if path is not None]
    return []


def _resolved(folder: Path, path: str) -> Path:
    return Path(os.path.normpath(folder / path))


def _relative(path: Path, root: Path) -> str | None:
    """`path` as seen from `root`; None outside of it and in folders that hold installed packages."""
    relative = os.path.relpath(path, root)
    parts = Path(relative).parts
    if ".." in parts or os.path.isabs(relative) or {"site-packages", "dist-packages"} & set(parts):
        return None
    return Path(relative).as_posix()


def _parsed(file: Path) -> ast.Module | None:
    try:
        return notebook.syntax(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return None


def _trees(book: notebook.Notebook) -> Iterator[tuple[int, ast.Module]]:
    for cell in book.cells if book.is_python else ():
        tree = notebook.syntax(cell.source)
        if tree is not None:
            yield cell.number, tree


# ---- what code writes


def _written(tree: ast.Module, names: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        path = None
        if dotted(node.func) in {"open", "io.open"} and node.args:
            if _is_writing(node, place=1):
                path = _path(node.args[0], names)
        elif isinstance(node.func, ast.Attribute):
            if node.func.attr == "open" and _is_writing(node, place=0):
                path = _path(node.func.value, names)
            elif node.func.attr == "to_json" and node.args:
                path = _path(node.args[0], names)
            elif node.func.attr in _WRITERS:
                path = _path(node.func.value, names)
        if path is not None and _is_metrics(path):
            yield path


def _is_writing(call: ast.Call, *, place: int) -> bool:
    mode = _string(call.args[place]) if len(call.args) > place else None
    for keyword in call.keywords:
        if keyword.arg == "mode":
            mode = _string(keyword.value)
    return mode is not None and mode[:1] in {"w", "x", "a"}


def _is_metrics(path: str) -> bool:
    name = posixpath.basename(path)
    is_inside = not posixpath.isabs(path) and not posixpath.normpath(path).startswith("../")
    return is_inside and name.endswith(_DATA_SUFFIXES) and bool(_METRIC_NAME.search(name))


def _paths(trees: Sequence[ast.Module]) -> dict[str, str]:
    """Names that are given one text or path and no other."""
    found: dict[str, str | None] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target, value = node.targets[0], node.value
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                target, value = node.target, node.value
            else:
                continue
            if isinstance(target, ast.Name):
                path = _path(value, {name: text for name, text in found.items() if text})
                is_same = found.get(target.id, path) == path
                found[target.id] = path if is_same else None
    return {name: text for name, text in found.items() if text is not None}


def _path(node: ast.expr, names: Mapping[str, str]) -> str | None:
    """The path that an expression of literals and known names stands for, with `/`."""
    if isinstance(node, ast.Constant):
        return posixpath.normpath(node.value) if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return names.get(node.id)
    parts: list[ast.expr] = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        parts = [node.left, node.right]
    elif isinstance(node, ast.Call):
        called = dotted(node.func) or ""
        is_path = called.split(".")[-1] in {"Path", "PurePath", "PosixPath"}
        if is_path or called.endswith("path.join") or called in {"str", "os.fspath"}:
            parts = node.args
        if is_path and not node.args:
            return "."
    known = [_path(part, names) for part in parts]
    texts = [text for text in known if text is not None]
    if not known or len(texts) != len(known):
        return None
    return posixpath.normpath(posixpath.join(*texts))


def _string(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def dotted(node: ast.AST) -> str | None:
    """`a.b.c` of an expression that is just that; None of any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        start = dotted(node.value)
        return None if start is None else f"{start}.{node.attr}"
    return None


# ---- what code logs


def _loggers(trees: Sequence[ast.Module]) -> frozenset[str]:
    """The names under which `nbexp.live.log` is called: `live.log`, `log`, `nbexp.live.log`, …"""
    found = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in {"nbexp", "nbexp.live"}:
                        start = alias.asname or alias.name.split(".")[0]
                        is_live = alias.asname is not None and alias.name == "nbexp.live"
                        found.add(f"{start}.log" if is_live else f"{start}.live.log")
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    name = alias.asname or alias.name
                    if (node.module, alias.name) == ("nbexp", "live"):
                        found.add(f"{name}.log")
                    elif (node.module, alias.name) == ("nbexp.live", "log"):
                        found.add(name)
    return frozenset(found)


def _logged(tree: ast.Module, loggers: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or dotted(node.func) not in loggers:
            continue
        given = list(node.args[:1])
        for keyword in node.keywords:
            if keyword.arg is None:
                given.append(keyword.value)
            elif keyword.arg != "step":
                yield keyword.arg
        for argument in given:
            if isinstance(argument, ast.Dict):
                for key in argument.keys:
                    name = _string(key) if key is not None else None
                    if name:
                        yield name
