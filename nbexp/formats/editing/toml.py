"""Changing TOML where a value stands."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nbexp.errors import UsageError
from nbexp.formats.editing.steps import Where
from nbexp.formats.editing.text import Entry, Node, NotHere, Text


class Toml(Text):
    """TOML: tables, dotted keys and arrays of tables as the file has them."""

    colon = " = "
    bare = r"[A-Za-z0-9_-]+"
    quoted = r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\''
    scalar = (
        rf'"""(?:\\.|[^\\])*?"{{3,5}}|\'\'\'.*?\'{{3,5}}|{quoted}'
        r"|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[^\s,\]}#]+|[^\s,\[\]{}#=]+"
    )

    def read(self) -> Node:
        root = Node("map", 0, 0, flow=False)
        self.sections: list[tuple[Where, int, int]] = []
        table, at, section = root, 0, 0
        path: Where = ()
        while (at := self.after_gap(at)) < len(self.text):
            if self.text[at] == "[":
                self.sections.append((path, section, self.line_start(at)))
                section = self.line_start(at)
                many = self.text.startswith("[[", at)
                keys, stop = self.keys(self.skip(at + 1 + many))
                table, path = self.table(root, keys, many=many)
                if root.tail is None:
                    root.tail = section  # the root's keys stand before the first table
                at = table.tail = self.next_line(stop)
                continue
            keys, stop = self.keys(at)
            value = self.value(self.skip(self.skip(stop) + 1))
            home = table
            for index, key in enumerate(keys[:-1]):
                home = self.inner(home, key)
                home.prefix = "".join(f"{self.key(k)}." for k in keys[: index + 1])
                home.tail = self.next_line(value.end)
            home.entries.append(Entry(keys[-1], at, stop, value))
            at = table.tail = self.next_line(value.end)
        self.sections.append((path, section, len(self.text)))
        if root.tail is None:
            root.tail = len(self.text)
        return root

    def skip(self, position: int) -> int:
        return self.at("[ \t]*", position) or position

    def keys(self, at: int) -> tuple[list[str], int]:
        """A dotted key, and where it ends."""
        import tomllib

        names: list[str] = []
        while True:
            end = self.at(f"{self.bare}|{self.quoted}", at)
            if end is None:
                raise NotHere
            names += tomllib.loads(f"{self.text[at:end]} = 0")
            at = end
            if self.text[self.skip(at) : self.skip(at) + 1] != ".":
                return names, at
            at = self.skip(self.skip(at) + 1)

    def inner(self, node: Node, key: str) -> Node:
        """The table of a key inside a table, made if it was not spoken of before."""
        if node.kind == "list":
            node = node.entries[-1].node
        for entry in node.entries:
            if entry.key == key:
                last = entry.node
                return last.entries[-1].node if last.kind == "list" and not last.flow else last
        made = Node("map", 0, 0, flow=False)
        node.entries.append(Entry(key, 0, 0, made))
        return made

    def table(self, root: Node, keys: Sequence[str], *, many: bool) -> tuple[Node, Where]:
        node, path = root, list[object]()
        for key in keys[: -1 if many else None]:
            node = self.inner(node, key)
            path.append(key)
        if many:
            entry = next((entry for entry in node.entries if entry.key == keys[-1]), None)
            if entry is None:
                entry = Entry(keys[-1], 0, 0, Node("list", 0, 0, flow=False))
                node.entries.append(entry)
            path += [keys[-1], len(entry.node.entries)]
            node = Node("map", 0, 0, flow=False)
            entry.node.entries.append(Entry(None, 0, 0, node))
        return node, tuple(path)

    def value(self, start: int) -> Node:
        opening = self.text[start]
        if opening not in "[{":
            end = self.at(self.scalar, start)
            if end is None:
                raise NotHere
            node = Node("leaf", start, end)
            node.quote = opening if opening in "'\"" else ""
            return node
        node = Node("map" if opening == "{" else "list", start, start)
        at = self.after_gap(start + 1)
        while self.text[at] not in "]}":
            if opening == "[":
                value = self.value(at)
                node.entries.append(Entry(None, at, at, value))
            else:
                keys, stop = self.keys(at)
                if len(keys) > 1:
                    raise NotHere
                value = self.value(self.skip(self.skip(stop) + 1))
                node.entries.append(Entry(keys[0], at, stop, value))
            at = self.after_gap(value.end)
            if self.text[at] == ",":
                at = self.after_gap(at + 1)
        node.end = at + 1
        return node

    def insert(self, where: Where, value: object) -> None:
        node = self.find(where[:-1])
        if node.flow:
            super().insert(where, value)
            return
        if node.kind == "list" and isinstance(value, dict) and value:
            ours = [end for path, _, end in self.sections if path[: len(where) - 1] == where[:-1]]
            head = f"{self.newline}[[{'.'.join(map(self.key, where[:-1]))}]]{self.newline}"
            pairs = (
                f"{self.key(key)} = {self.flow(one)}{self.newline}" for key, one in value.items()
            )
            self.splice(ours[-1], ours[-1], head + "".join(pairs))
            return
        if node.kind != "map":
            raise NotHere
        line = f"{node.prefix}{self.key(where[-1])} = {self.flow(value)}{self.newline}"
        place = node.tail
        if place is None:
            # A table that only its inner tables speak of gets a heading of its own.
            line = f"{self.newline}[{'.'.join(map(self.key, where[:-1]))}]{self.newline}{line}"
            place = len(self.text)
        elif node.entries and node is not self.find(()):
            first = next((entry for entry in node.entries if entry.start), None)
            line = ((self.indent_of(first.start) or "") if first else "") + line
        if place and self.text[place - 1] != "\n":
            line = self.newline + line.removesuffix(self.newline)
        self.splice(place, place, line)

    def remove(self, where: Where) -> None:
        parent = self.find(where[:-1])
        if parent.flow:
            super().remove(where)
            return
        index = self.index_of(parent, where[-1])
        node = parent.entries[index].node
        if node.flow:
            self.remove_lines(parent.entries[index].start, node.end)
            return
        sections = [part for part in self.sections if part[0][: len(where)] == where]
        for _, start, end in reversed(sections):
            self.splice(start, end, "")
        if not sections:  # a table that only dotted keys speak of
            for entry in reversed(self.lines_of(node)):
                self.remove_lines(entry.start, entry.end)

    def lines_of(self, node: Node) -> list[Entry]:
        found: list[Entry] = []
        for entry in node.entries:
            found += [entry] if entry.node.flow else self.lines_of(entry.node)
        return found

    def key(self, key: object) -> str:
        text = str(key)
        return text if re.fullmatch(self.bare, text) else self.flow(text)

    def spelled(self, value: object, node: Node, *, beside: bool = False) -> str:
        literal = isinstance(value, str) and node.quote == "'" and not beside
        if literal and not re.search("['\x00-\x1f\x7f]", str(value)):
            return f"'{value}'"
        return self.flow(value)

    def flow(self, value: object) -> str:
        if value is None:
            raise UsageError(
                f"TOML has no null, so {self.path} cannot hold one. Nothing was run.",
                "leave the param out, or use a YAML or JSON file.",
            )
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return float.__repr__(value)
        if isinstance(value, list):
            return "[" + ", ".join(map(self.flow, value)) + "]"
        if isinstance(value, dict):
            pairs = ", ".join(
                f"{self.key(key)} = {self.flow(inner)}" for key, inner in value.items()
            )
            return f"{{ {pairs} }}" if pairs else "{}"
        if isinstance(value, str):
            import json

            # JSON's escapes are among TOML's; it leaves alone one character that TOML does not.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        return str(value)
