"""Changing JSON where a value stands."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nbexp.formats.editing.steps import Step
from nbexp.formats.editing.text import Entry, Node, NotHere, Text


class Json(Text):
    """JSON: its indent, its separators and whether it escapes letters stay."""

    gap = r"[ \t\r\n]*"
    string = r'"(?:[^"\\]|\\.)*"'
    word = r"[^\s,\]}]+"

    def read(self) -> Node:
        return self.node(self.after_gap(0))

    def node(self, start: int) -> Node:
        import json

        opening = self.text[start]
        if opening not in "[{":
            end = self.at(self.string if opening == '"' else self.word, start)
            if end is None:
                raise NotHere
            return Node("leaf", start, end)
        node = Node("map" if opening == "{" else "list", start, start)
        place = self.after_gap(start + 1)
        while self.text[place] not in "]}":
            key, entry_start, key_end = None, place, place
            if opening == "{":
                key_end = self.at(self.string, place) or place
                key = json.loads(self.text[place:key_end])
                place = self.after_gap(self.after_gap(key_end) + 1)
            value = self.node(place)
            node.entries.append(Entry(key, entry_start, key_end, value))
            place = self.after_gap(value.end)
            if self.text[place] == ",":
                place = self.after_gap(place + 1)
        node.end = place + 1
        return node

    def flow(self, value: object) -> str:
        return self.dumped(value, None)

    def dumped(self, value: object, indent: str | None) -> str:
        import json

        comma = "," if self.colon == ":" else ", "
        return json.dumps(
            value,
            ensure_ascii=self.text.isascii(),
            indent=indent,
            separators=(comma if indent is None else ",", self.colon),
        )

    def make(self, steps: Iterable[Step]) -> str:
        between = re.search(r'"\s*(:[ \t]*)', self.text)
        self.colon = between[1] if between else ": "
        return super().make(steps)

    def spelled(self, value: object, node: Node, *, beside: bool = False) -> str:
        """As the file does it: over several lines where the old value is, or in a mapping what stands beside it."""
        inner = re.search(r"[{\[][ \t]*\r?\n([ \t]+)", self.text)
        if not inner or not isinstance(value, dict | list) or not value:
            return self.flow(value)
        spread = node.kind == "leaf" or "\n" in self.text[node.start : node.end]
        if not spread or (isinstance(value, list) and (beside or node.kind == "leaf")):
            return self.flow(value)
        place = node.entries[-1].start if beside and node.entries else node.start
        start = self.line_start(place)
        indent = self.text[start : self.at("[ \t]*", start)]
        return self.dumped(value, inner[1]).replace("\n", self.newline + indent)
