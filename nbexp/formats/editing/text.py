"""A text whose values can be replaced where they stand: what the formats share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from nbexp.formats.editing.steps import Step, Where


class NotHere(Exception):
    """The change cannot be made by replacing spans of this text."""


class Node:
    """A value of the text: what kind, and from where to where it stands (anchor and tag not included)."""

    def __init__(
        self, kind: Literal["map", "list", "leaf"], start: int, end: int, *, flow: bool = True
    ) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.flow = flow  # between brackets, or a scalar; else its entries have lines of their own
        self.entries: list[Entry] = []
        self.plain = False  # a scalar without quotes
        self.quote = ""
        # YAML: where anchor and tag stand, and what refers to the anchor
        self.properties: tuple[int, int] | None = None
        self.anchor: str | None = None
        self.aliases: list[tuple[int, int]] = []
        # TOML: behind which line a new key goes (None: nowhere), and what its dotted key begins with
        self.tail: int | None = None
        self.prefix = ""


class Entry:
    """A key and its value, or an element of a list (whose key is None)."""

    def __init__(self, key: object, start: int, key_end: int, node: Node) -> None:
        self.key = key
        self.start = start
        self.key_end = key_end
        self.node = node
        self.end = node.end
        # Where the value stands here, if `node` stands where the anchor is.
        self.alias: tuple[int, int] | None = None


class Text:
    """A text whose values can be replaced where they stand; the formats differ in how it is read and spelled.

    Here is what all of them share: values between brackets.
    """

    gap = r"(?:[ \t\r\n]|#[^\n]*)*"  # white space and comments
    colon = ": "

    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.newline = "\r\n" if "\r\n" in text else "\n"

    def make(self, steps: Iterable[Step]) -> str:
        for step in steps:
            if step.op == "remove":
                self.remove(step.where)
            elif step.op == "insert":
                self.insert(step.where, step.value)
            else:
                self.set(step.where, step.value)
        return self.text

    def read(self) -> Node | None:
        raise NotImplementedError

    def flow(self, value: object) -> str:
        """The value on one line, as it stands between brackets."""
        raise NotImplementedError

    def set(self, where: Where, value: object) -> None:
        node = self.find(where)
        if not node.flow:
            raise NotHere
        self.splice(node.start, node.end, self.spelled(value, node))

    def insert(self, where: Where, value: object) -> None:
        node = self.find(where[:-1])
        if not node.flow or node.kind == "leaf":
            raise NotHere
        self.insert_in_flow(node, where[-1], value)

    def remove(self, where: Where) -> None:
        node = self.find(where[:-1])
        if not node.flow:
            raise NotHere
        self.remove_from_flow(node, self.index_of(node, where[-1]))

    def spelled(self, value: object, node: Node, *, beside: bool = False) -> str:
        """The value as it replaces the node, or as it is put into it beside others."""
        return self.flow(value)

    # what the formats build on

    def find(self, where: Where) -> Node:
        node = self.read()
        if node is None:
            raise NotHere
        for key in where:
            node = node.entries[self.index_of(node, key)].node
        return node

    @staticmethod
    def index_of(node: Node, key: object) -> int:
        if node.kind == "list" and isinstance(key, int) and key < len(node.entries):
            return key
        if node.kind == "map":
            # From the end: where Python assigns a name twice, the last one counts.
            for index in range(len(node.entries) - 1, -1, -1):
                if node.entries[index].key == key:
                    return index
        raise NotHere

    def splice(self, start: int, end: int, new: str) -> None:
        self.text = self.text[:start] + new + self.text[end:]

    def after_gap(self, position: int) -> int:
        return self.at(self.gap, position) or position

    def at(self, pattern: str, position: int) -> int | None:
        """Where what the pattern matches at `position` ends; None if it does not. `re` keeps the compiled form."""
        found = re.compile(pattern, re.DOTALL).match(self.text, position)
        return found.end() if found else None

    def line_start(self, position: int) -> int:
        return self.text.rfind("\n", 0, position) + 1

    def line_end(self, position: int) -> int:
        """The end of the line's characters, in front of what ends it."""
        end = self.text.find("\n", position)
        if end < 0:
            return len(self.text)
        return end - 1 if end > position and self.text[end - 1] == "\r" else end

    def next_line(self, position: int) -> int:
        end = self.text.find("\n", position)
        return len(self.text) if end < 0 else end + 1

    def remove_lines(self, start: int, end: int) -> None:
        """Take out the lines from that of `start` to that of `end`; whether a final newline is there stays."""
        first, last = self.line_start(start), self.next_line(end)
        if last == len(self.text) and not self.text.endswith("\n") and first:
            first -= len(self.newline) if self.text.endswith(self.newline, 0, first) else 1
        self.splice(first, last, "")

    def indent_of(self, position: int) -> str | None:
        """What stands between the start of the line and `position`, if that is white space."""
        before = self.text[self.line_start(position) : position]
        return None if before.strip() else before

    def pair(self, node: Node, key: object, value: object) -> str:
        if node.kind == "list":
            return self.spelled(value, node, beside=True)
        return f"{self.key(key)}{self.colon}{self.spelled(value, node, beside=True)}"

    def key(self, key: object) -> str:
        return self.flow(key)

    def insert_in_flow(self, node: Node, key: object, value: object) -> None:
        new = self.pair(node, key, value)
        opening, closing = self.text[node.start], self.text[node.end - 1]
        if opening not in "[{(" or closing not in "]})":
            raise NotHere  # YAML's `[a: 1]`
        if not node.entries:
            if self.text[node.start + 1 : node.end - 1].strip():
                raise NotHere  # a comment, which stays
            self.splice(node.start + 1, node.end - 1, new)
            return
        last = node.entries[-1]
        comma = self.after_gap(last.end)
        trailing = self.text[comma] == ","
        indent = self.indent_of(last.start)
        if indent is None or "\n" not in self.text[node.start : last.start]:
            place, before = (comma + 1, "") if trailing else (last.end, ",")
            self.splice(
                place, place, f"{before}{self.comma_gap(node)}{new}{',' if trailing else ''}"
            )
            return
        # One entry a line: the new line comes after the comment that follows the last entry.
        place = self.line_end(comma if trailing else last.end)
        if place >= node.end:
            place = comma + 1 if trailing else last.end
        self.splice(place, place, f"{self.newline}{indent}{new}{',' if trailing else ''}")
        if not trailing:
            self.splice(last.end, last.end, ",")

    def comma_gap(self, node: Node) -> str:
        """What stands between a comma and the next entry."""
        if len(node.entries) < 2:
            return " "
        before = self.text[: node.entries[-1].start]
        gap = before[len(before.rstrip()) :]
        return gap if "\n" not in gap else " "

    def remove_from_flow(self, node: Node, index: int) -> None:
        entries = node.entries
        entry = entries[index]
        if len(entries) == 1:
            self.splice(node.start + 1, node.end - 1, "")
        elif index + 1 < len(entries):
            self.splice(entry.start, entries[index + 1].start, "")
        else:
            self.splice(entries[index - 1].end, entry.end, "")
