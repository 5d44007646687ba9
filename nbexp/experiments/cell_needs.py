"""What a cell takes from its session, and how another kernel can have it: a value, a param, code of earlier cells.

Values are taken before the cell runs, as text that Python reads back to the same value. What has no such text (a
table, a model) is told by name: no replay can have it.
"""

from __future__ import annotations

import ast
import json
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from nbexp.errors import UsageError, nearest
from nbexp.formats import cell_code, values
from nbexp.formats.cell_code import Names, Statement
from nbexp.formats.secrets import is_secret_name, without_secrets
from nbexp.frozen import field, frozen

Kind = Literal["param", "value", "code", "missing", "secret", "undefined"]

# A longer one is data, and belongs into a file.
_MAX_TEXT = 20_000
_MAX_SHOWN = 60
_ABSENT: Any = object()


@frozen
class Read:
    """A name that the cell takes from outside.

    Attributes
    ----------
    kind
        `param` of a params file, `value` that is recorded, `code` of earlier cells; `missing` has no text,
        `secret` is not written down, `undefined` is nothing here.
    text
        Python for a value; empty for others.
    origin
        Of a param, its file and key: `params.yaml:train.lr`.
    """

    name: str
    kind: Kind
    type: str = ""
    text: str = ""
    origin: str = ""

    @property
    def short(self) -> str:
        """The value for a line of a card; empty where there is none."""
        text = self.text
        return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"

    def to_json(self) -> dict[str, str]:
        found = {"kind": self.kind, "type": self.type}
        if self.text:
            found["repr"] = self.short
        if self.origin:
            found["from"] = self.origin
        return found


@frozen
class Param:
    """A value that the experiment has as a param: `key` of `file`, "" being the cell's own."""

    name: str
    key: str
    file: str
    value: object = field(compare=False)

    @property
    def is_lent(self) -> bool:
        """Whether it comes from a params file of the project's."""
        return bool(self.file)

    @property
    def origin(self) -> str:
        """Its file and key; empty for one of the cell's own."""
        return f"{self.file}:{self.key}" if self.file else ""


@frozen
class Needs:
    """All that a cell takes from its session.

    Attributes
    ----------
    code
        Statements of earlier cells, in their order.
    later
        Names asked for as params that the cell itself assigns: their values are known when it has run.
    """

    reads: tuple[Read, ...]
    params: tuple[Param, ...]
    code: tuple[str, ...]
    later: tuple[str, ...] = ()

    @property
    def lent(self) -> dict[str, object]:
        """What the cell gets for its run alone, by name."""
        return {one.name: one.value for one in self.params if one.is_lent}

    @property
    def lacking(self) -> tuple[Read, ...]:
        """What no replay can have."""
        return tuple(read for read in self.reads if read.kind in {"missing", "secret", "undefined"})


@frozen
class ParamsFile:
    """The params file that names are looked up in: its path from the project's root, as shown, and its values."""

    path: str
    shown: str
    flat: Mapping[str, object]


def find(
    cell: Names,
    namespace: Mapping[str, object],
    history: Sequence[str],
    asked: Sequence[str],
    file: ParamsFile,
) -> Needs:
    """What the cell takes from the namespace, and how a replay gets it.

    Parameters
    ----------
    history
        The cells that ran before, oldest first.
    asked
        Names, or dotted keys of the params file, that the experiment shall have as params.

    Raises
    ------
    UsageError
        A param that was asked for is nowhere, or no value of a params file; or a name may be several params.
        Nothing was run.
    """
    params: dict[str, Param] = {}
    later: list[str] = []
    for word in asked:
        param = _asked(word, cell, namespace, file)
        if param is None:
            later.append(word)
        else:
            params[param.name] = param
    finder = _Finder(namespace, cell_code.definitions(history), params, file)
    for name in cell.reads:
        finder.add(name, is_maybe=name in cell.maybe)
    for param in params.values():
        if param.is_lent:
            finder.note_param(param)
    statements = sorted(finder.statements.values(), key=lambda one: one[0])
    code = [text for _, text in statements]
    return Needs(
        tuple(finder.reads.values()),
        tuple(finder.params.values()),
        tuple(dict.fromkeys(code)),
        tuple(later),
    )


class _Finder:
    def __init__(
        self,
        namespace: Mapping[str, object],
        definitions: Mapping[str, Statement],
        params: Mapping[str, Param],
        file: ParamsFile,
    ) -> None:
        self.reads: dict[str, Read] = {}
        self.params = dict(params)
        self.statements: dict[str, tuple[tuple[int, int], str]] = {}
        self._namespace = namespace
        self._definitions = definitions
        self._file = file

    def note_param(self, param: Param) -> None:
        text = literal(param.value) or ""
        self.reads[param.name] = Read(
            param.name, "param", type(param.value).__name__, text, param.origin
        )

    def add(self, name: str, *, is_maybe: bool) -> None:
        if name in self.reads:
            return
        if name in self.params:
            self.note_param(self.params[name])
            return
        value = self._namespace.get(name, _ABSENT)
        if value is _ABSENT:
            param = _lent(name, self._file)
            if param is not None:
                self.params[name] = param
                self.note_param(param)
            elif not is_maybe:
                self.reads[name] = Read(name, "undefined")
            return
        self.reads[name] = self._read(name, value)

    def _read(self, name: str, value: object) -> Read:
        kind = type(value).__name__
        if _is_code(value):
            return Read(name, "code" if self._has_code(name, value) else "missing", kind)
        text = literal(value)
        if text is not None:
            if (isinstance(value, str) and is_secret_name(name)) or without_secrets(text) != text:
                return Read(name, "secret", kind)
            return Read(name, "value", kind, text)
        return Read(name, "code" if self._is_imported(name, value) else "missing", kind)

    def _has_code(self, name: str, value: Any) -> bool:
        """Whether a statement gives the module, function or class; it and what it reads are then taken."""
        if isinstance(value, types.ModuleType):
            if not self._is_imported(name, value):
                as_name = f" as {name}" if name != value.__name__ else ""
                self._take(name, f"import {value.__name__}{as_name}")
            return True
        module = getattr(value, "__module__", None)
        if module in (None, "__main__"):
            statement = self._definitions.get(name)
            if statement is None:
                return self._has_source(name, value)
            self._take_statement(name, statement)
            return True
        if not self._is_imported(name, value):
            own = getattr(value, "__qualname__", "")
            if getattr(sys.modules.get(str(module)), own, None) is not value:
                return False
            as_name = f" as {name}" if name != own else ""
            self._take(name, f"from {module} import {own}{as_name}")
        return True

    def _has_source(self, name: str, value: Any) -> bool:
        """Whether Python knows the code of a function that no cell of the history defines, as of a file that was run."""
        import inspect
        import textwrap

        try:
            source = textwrap.dedent(inspect.getsource(value)).rstrip()
        except (OSError, TypeError):
            return False
        names = cell_code.names(source)
        if names is None or names.binds != {name}:
            return False
        # What a decorator, a base or a default names has to be there before.
        for read in names.reads:
            self.add(read, is_maybe=read in names.maybe)
        self._take(name, source)
        return True

    def _is_imported(self, name: str, value: object) -> bool:
        """Whether the import of an earlier cell gives this very value; it is then taken."""
        statement = self._definitions.get(name)
        if statement is None or _imported(statement.source, name) is not value:
            return False
        self._take_statement(name, statement)
        return True

    def _take(self, name: str, source: str) -> None:
        self.statements[name] = ((-1, len(self.statements)), source)

    def _take_statement(self, name: str, statement: Statement) -> None:
        self.statements[name] = (statement.place, statement.source)
        for read in statement.names.reads:
            if read not in statement.names.binds:
                self.add(read, is_maybe=read in statement.names.maybe)


def literal(value: object) -> str | None:
    """Python for the value, from which an equal one of the same type comes; None where there is none.

    Examples
    --------
    >>> literal({"lr": 0.1, "sizes": (1, 2)}), literal(object()) is None
    ("{'lr': 0.1, 'sizes': (1, 2)}", True)
    """
    try:
        text = _literal(value)
    except RecursionError:
        return None
    return text if text is not None and len(text) <= _MAX_TEXT else None


def _literal(value: object) -> str | None:
    if value is None or type(value) in (bool, int, str, bytes, complex):
        return repr(value)
    if type(value) is float:
        # `nan` and `inf` are names.
        return repr(value) if value - value == 0 else f"float({str(value)!r})"
    if type(value).__module__ == "numpy" and type(value).__name__ in {"float64", "int64", "bool"}:
        return _literal(value.item())  # type: ignore[attr-defined]
    if type(value) in (list, tuple, set):
        parts = []
        total = 0
        for one in value:  # type: ignore[attr-defined]
            part = _literal(one)
            total += len(part or "")
            if part is None or total > _MAX_TEXT:
                return None
            parts.append(part)
        if type(value) is set:
            return "{" + ", ".join(sorted(parts)) + "}" if parts else "set()"
        inner = ", ".join(parts)
        if type(value) is list:
            return f"[{inner}]"
        return f"({inner},)" if len(parts) == 1 else f"({inner})"
    if type(value) is dict:
        pairs = [(_literal(key), _literal(inner)) for key, inner in [*value.items()][:_MAX_TEXT]]
        if any(key is None or inner is None for key, inner in pairs):
            return None
        return "{" + ", ".join(f"{key}: {inner}" for key, inner in pairs) + "}"
    return None


def as_param(value: object, name: str) -> object:
    """The value as a params file can have it.

    Raises
    ------
    UsageError
        It is neither a number, text, list nor mapping, or it is a secret.
    """
    if isinstance(value, str) and (is_secret_name(name) or without_secrets(value) != value):
        raise UsageError(
            f"`{name}` is a secret, and params are written down. Nothing was recorded of it."
        )
    if type(value).__module__ != "builtins" and getattr(value, "ndim", None) == 0:
        value = value.item()  # type: ignore[attr-defined]
    try:
        found: object = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        raise UsageError(
            f"`-P {name}`: it is a {type(value).__name__}; a param is a number, text, list or mapping. "
            "Nothing was run."
        ) from None
    return found


def params_file(data: bytes | None, path: str, shown: str) -> ParamsFile:
    """The params file, with nothing in it where there is none.

    Raises
    ------
    ProjectFileError
        It cannot be read.
    """
    flat = {} if data is None else values.flatten(values.parse(data, shown))
    return ParamsFile(path, shown, flat)


def _may_be_param(name: str, value: object) -> bool:
    return not name.startswith("_") and not callable(value)


def _asked(
    word: str, cell: Names, namespace: Mapping[str, object], file: ParamsFile
) -> Param | None:
    """The param that `-P` asks for; None where the cell has yet to assign it."""
    if "." in word and word in file.flat:
        return Param(word.rpartition(".")[2], word, file.path, file.flat[word])
    if word in cell.binds and word not in cell.reads:
        return None
    if word in namespace:
        return Param(word, word, "", as_param(namespace[word], word))
    lent = _lent(word, file)
    if lent is not None:
        return lent
    if word in cell.binds:
        return None
    # What IPython puts there (`open`, `exit`) is nobody's param.
    own = (name for name, value in namespace.items() if _may_be_param(name, value))
    names = [*file.flat, *own]
    near = nearest(word, names)
    raise UsageError(
        f"`-P {word}` is neither a variable of this session nor a param of {file.shown}. Nothing was run.",
        f"did you mean `-P {near}`?" if near else None,
    )


def _lent(name: str, file: ParamsFile) -> Param | None:
    """The param that the last part of its key names.

    Raises
    ------
    UsageError
        Several have it.
    """
    keys = [key for key in file.flat if key.rpartition(".")[2] == name]
    if len(keys) > 1:
        raise UsageError(
            f"`{name}` may be {' or '.join(f'`{key}`' for key in keys)} of {file.shown}. Nothing was run.",
            f"`%%exp -P {keys[0]}` says which.",
        )
    return Param(name, keys[0], file.path, file.flat[keys[0]]) if keys else None


def _is_code(value: object) -> bool:
    return isinstance(
        value, types.ModuleType | types.FunctionType | types.BuiltinFunctionType | type
    )


def _imported(source: str, name: str) -> object:
    """What an import gives the name, as far as its module is loaded."""
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return _ABSENT
    for node in ast.walk(ast.Module(body, [])):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name.partition(".")[0]) == name:
                    wanted = alias.name if alias.asname else name
                    return sys.modules.get(wanted, _ABSENT)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    module = sys.modules.get(node.module or "")
                    inner = sys.modules.get(f"{node.module}.{alias.name}", _ABSENT)
                    return getattr(module, alias.name, inner)
    return _ABSENT
