"""Python files as params: the literals that a module, a class or its `__init__` assigns; nothing is run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from nbexp.formats import limits

if TYPE_CHECKING:
    import ast


def parse(text: str, path: str) -> dict[object, object]:
    """The values by name, tuples and sets as lists; classes are mappings."""
    return _values(tree(text, path).body)


def tree(text: str, path: str) -> ast.Module:
    """The parsed module, or a ProjectFileError with the line."""
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a regular expression in the user's code, say
            return ast.parse(text)
    except SyntaxError as error:
        raise limits.invalid("Python", error.msg, path, error.lineno) from None
    except (RecursionError, MemoryError):
        raise limits.too_deep(path) from None
    except ValueError as error:  # a NUL byte
        raise limits.invalid("Python", str(error), path, None) from None


def _values(body: Iterable[ast.stmt], *, only_self: bool = False) -> dict[object, object]:
    """The assignments of literals in a module, a class or its `__init__` (there, those to `self`)."""
    import ast

    values: dict[object, object] = {}
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            values[statement.name] = _values(statement.body)
        elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            values.update(_values(statement.body, only_self=True))
        else:
            found = assignment(statement, only_self=only_self)
            if found is not None:
                values[found[0]] = _literal(found[1])
    return values


def assignment(statement: ast.stmt, *, only_self: bool) -> tuple[str, ast.expr] | None:
    """The name and the literal of `name = literal` or `self.name = literal`; None for all else."""
    import ast

    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target: ast.expr = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target = statement.target
    else:
        return None
    if isinstance(target, ast.Name) and not only_self:
        name = target.id
    elif (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    ):
        name = target.attr
    else:
        return None
    value = cast("ast.expr", statement.value)
    try:
        _literal(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return name, value


def _literal(node: ast.expr) -> object:
    """The value of a literal, tuples and sets as lists. Raises ValueError or TypeError for all else."""
    import ast

    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_literal(element) for element in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {ast.literal_eval(key or ""): _literal(value) for key, value in pairs}
    value = ast.literal_eval(node)
    if value is None or isinstance(value, str | int | float):
        return cast("object", value)
    raise ValueError("bytes, complex numbers and `...` are no params")
