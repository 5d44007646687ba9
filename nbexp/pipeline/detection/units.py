"""The code of a file as the detector reads it: syntax trees, what is literal in them, what they import."""

from __future__ import annotations

import ast
import glob
import re
from collections.abc import Iterable
from pathlib import Path

from nbexp.errors import NbexpError
from nbexp.formats import notebook
from nbexp.pipeline.detect import dotted
from nbexp.pipeline.detection.symbols import GAP, Unit

_MAX_UNREAD = 20


def unit(root: Path, path: str) -> Unit | None:
    """The code of a file; None where it is none or cannot be read."""
    try:
        data = (root / path).read_bytes()
        if path.endswith(".ipynb"):
            book = notebook.read(data, path)
            if not book.is_python:
                return None
            pairs: list[tuple[int | None, ast.Module | None]] = [
                (cell.number, notebook.syntax(cell.source)) for cell in book.cells
            ]
            trees: tuple[tuple[int | None, ast.Module], ...] = tuple(
                (number, tree) for number, tree in pairs if tree is not None
            )
        else:
            tree = _tolerant(data.decode("utf-8-sig"))
            if tree is None:
                return None
            trees = ((None, tree),)
    except (OSError, UnicodeDecodeError, NbexpError, RecursionError):
        return None
    return Unit(path, trees, _literals([tree for _, tree in trees]))


def imported_names(one: Unit) -> list[tuple[str, int]]:
    """What a file imports, by name and by how many levels above."""
    found: list[tuple[str, int]] = []
    for _, tree in one.trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found += [(alias.name, 0) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found.append((node.module or "", node.level))
                found += [
                    (f"{node.module}.{alias.name}" if node.module else alias.name, node.level)
                    for alias in node.names
                    if alias.name != "*"
                ]
    return found


def changes_path(one: Unit) -> bool:
    """Whether a file adds folders to where Python looks for modules."""
    return any(dotted(node) == "sys.path" for _, tree in one.trees for node in ast.walk(tree))


def expand(root: Path, path: str) -> list[str]:
    """The files that a path with gaps may mean, as far as they are there."""
    if GAP not in path:
        return [path]
    pattern = re.sub(f"{GAP}+", "*", "".join(GAP if c == GAP else glob.escape(c) for c in path))
    found = sorted(root.glob(pattern)) if pattern.strip("*/") else []
    return [one.relative_to(root).as_posix() for one in found if one.is_file()]


def _tolerant(source: str) -> ast.Module | None:
    """The code, without lines that this Python cannot read: of a later version, or of Python 2."""
    tree = notebook.syntax(source)
    lines = source.splitlines()
    for _ in range(_MAX_UNREAD):
        if tree is not None:
            return tree
        try:
            return ast.parse("\n".join(lines))
        except SyntaxError as error:
            if error.lineno is None or error.lineno > len(lines):
                return None
            line = lines[error.lineno - 1]
            space = line[: len(line) - len(line.lstrip())]
            if line.strip() == "pass":
                return None  # the fault lies before it, and is none of one line
            lines[error.lineno - 1] = f"{space}pass"
        except (ValueError, MemoryError, RecursionError):
            return None
    return None


def _literals(trees: Iterable[ast.Module]) -> dict[str, object]:
    """Top-level names, and `Class.name`, that are given a literal and nothing else."""
    found: dict[str, object] = {}
    again: set[str] = set()

    def take(target: ast.expr, value: ast.expr | None, prefix: str) -> None:
        if isinstance(target, ast.Name) and value is not None:
            name = prefix + target.id
            if name in found:
                again.add(name)
            try:
                found[name] = ast.literal_eval(value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                again.add(name)

    for tree in trees:
        for node in tree.body:
            inner = node.body if isinstance(node, ast.ClassDef) else [node]
            prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            for statement in inner:
                if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                    take(statement.targets[0], statement.value, prefix)
                elif isinstance(statement, ast.AnnAssign):
                    take(statement.target, statement.value, prefix)
        for inside in ast.walk(tree):
            if isinstance(inside, ast.AugAssign) and isinstance(inside.target, ast.Name):
                again.add(inside.target.id)
            elif isinstance(inside, (ast.For, ast.comprehension)):
                names = [n for n in ast.walk(inside.target) if isinstance(n, ast.Name)]
                again.update(name.id for name in names)
            elif isinstance(inside, ast.Global):
                again.update(inside.names)
    assigned: dict[str, int] = {}
    for tree in trees:
        for statement in tree.body:
            for name in _assignments(statement):
                assigned[name] = assigned.get(name, 0) + 1
    again.update(name for name, count in assigned.items() if count > 1)
    return {name: value for name, value in found.items() if name not in again}


def _assignments(statement: ast.stmt) -> Iterable[str]:
    """Names that a top-level statement gives a value to, but not inside of functions and classes."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
