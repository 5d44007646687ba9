"""Changing the literals of a Python file where they stand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nbexp.errors import UsageError
from nbexp.formats import python_params
from nbexp.formats.editing.steps import Where
from nbexp.formats.editing.text import Entry, Node, Text

if TYPE_CHECKING:
    import ast


class Python(Text):
    """Python: the place of a literal is what `ast` says it is."""

    def read(self) -> Node:
        self.starts = [0]
        # Python ends lines at these three; str.splitlines knows more.
        for end in re.finditer(r"\r\n|\r|\n", self.text):
            self.starts.append(end.end())
        return self.body(python_params.tree(self.text, self.path).body, only_self=False)

    def place(self, line: int, column: int) -> int:
        """The place of a position of `ast`, whose columns are bytes."""
        start = self.starts[line - 1]
        end = self.starts[line] if line < len(self.starts) else len(self.text)
        return start + len(self.text[start:end].encode()[:column].decode())

    def body(self, body: Iterable[ast.stmt], *, only_self: bool) -> Node:
        import ast

        node = Node("map", 0, 0, flow=False)
        for statement in body:
            if isinstance(statement, ast.ClassDef):
                inner = self.body(statement.body, only_self=False)
                node.entries.append(Entry(statement.name, 0, 0, inner))
            elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                node.entries += self.body(statement.body, only_self=True).entries
            else:
                found = python_params.assignment(statement, only_self=only_self)
                if found is not None:
                    value = self.node(found[1])
                    node.entries.append(Entry(found[0], 0, 0, value))
        return node

    def node(self, value: ast.expr) -> Node:
        import ast

        start = self.place(value.lineno, value.col_offset)
        end = self.place(value.end_lineno or 0, value.end_col_offset or 0)
        if isinstance(value, ast.Dict):
            node = Node("map", start, end)
            for key, inner in zip(value.keys, value.values, strict=True):
                assert key is not None  # `**other` is no literal
                one = self.node(inner)
                key_start = self.place(key.lineno, key.col_offset)
                key_end = self.place(key.end_lineno or 0, key.end_col_offset or 0)
                name = ast.literal_eval(key)
                node.entries.append(Entry(name, key_start, key_end, one))
            return node
        if isinstance(value, ast.List | ast.Tuple | ast.Set):
            node = Node("list", start, end)
            node.quote = "(" if isinstance(value, ast.Tuple) else ""
            for element in value.elts:
                one = self.node(element)
                node.entries.append(Entry(None, one.start, one.start, one))
            return node
        return Node("leaf", start, end)

    def insert(self, where: Where, value: object) -> None:
        if len(where) > 1 or not str(where[0]).isidentifier():
            super().insert(where, value)
            return
        if self.text and not self.text.endswith("\n"):
            self.text += self.newline
        self.text += f"{where[0]} = {self.flow(value)}{self.newline}"

    def spelled(self, value: object, node: Node, *, beside: bool = False) -> str:
        text = self.flow(value)
        if isinstance(value, list) and node.quote == "(" and not beside:
            return f"({text[1:-1]}{',' if len(value) == 1 else ''})"
        return text

    def flow(self, value: object) -> str:
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(
                f"Python has no literal for {value}, so it cannot be written into {self.path}. Nothing was run."
            )
        if isinstance(value, list):
            return "[" + ", ".join(map(self.flow, value)) + "]"
        if isinstance(value, dict):
            pairs = (f"{self.flow(key)}: {self.flow(inner)}" for key, inner in value.items())
            return "{" + ", ".join(pairs) + "}"
        text = repr(value)
        if (
            isinstance(value, str)
            and '"' not in text
            and self.text.count('"') > self.text.count("'")
        ):
            return f'"{text[1:-1]}"' if "'" not in text[1:-1] else text
        return text
