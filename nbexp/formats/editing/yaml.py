"""Changing YAML where a value stands; by ruamel.yaml where spans are not enough."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from nbexp.errors import UsageError
from nbexp.formats import values, yaml12
from nbexp.formats.editing.steps import Step, Where
from nbexp.formats.editing.text import Entry, Node, NotHere, Text


class Yaml(Text):
    """YAML: block and flow style, anchors and comments as the file has them."""

    def make(self, steps: Iterable[Step]) -> str:
        """The text after the steps; that of a simple one is found without a parser, which takes 15 ms to load."""
        todo = list(steps)
        scalars = all(step.op == "set" and not isinstance(step.value, list | dict) for step in todo)
        spans = yaml12.scalar_spans(self.text, [step.where for step in todo]) if scalars else None
        if spans is None:
            return super().make(todo)
        places = sorted(zip(spans, todo, strict=True), key=lambda place: place[0], reverse=True)
        for (start, end), step in places:
            first = self.text[start]
            quote = first if first in "'\"" else ""
            self.splice(start, end, self.flow(step.value, inside=False, quote=quote))
        return self.text

    def read(self) -> Node | None:
        import yaml

        stack: list[tuple[Node, list[Entry]]] = []  # with the key whose value comes next
        root: Node | None = None
        anchors: dict[str, Node] = {}
        for event in yaml12.events(self.text):
            start, end = event.start_mark.index, event.end_mark.index
            alias: tuple[int, int] | None = None
            key: object = values.MISSING
            if isinstance(event, yaml.AliasEvent):
                node = anchors[str(event.anchor)]
                alias = (start, end)
                node.aliases.append(alias)
            elif isinstance(event, yaml.ScalarEvent):
                node = self.leaf(event)
                key = yaml12.plain(event.value) if node.plain else yaml12.tagged(event)
                if node.plain and key == "<<":
                    key = yaml12.MERGE
                if event.anchor:
                    anchors[event.anchor] = node
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                is_map = isinstance(event, yaml.MappingStartEvent)
                node = Node("map" if is_map else "list", start, end)
                self.properties(node, event)
                # libyaml's events leave `flow_style` unset, the bracket tells.
                node.flow = self.text[node.start : node.start + 1] in {"{", "["}
                stack.append((node, []))
                if event.anchor:
                    anchors[event.anchor] = node
                continue
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                node, _ = stack.pop()
                if node.flow:
                    node.end = end
                elif node.entries:
                    # A block ends, for libyaml, where the next thing begins: comments would be part of it.
                    node.end = node.entries[-1].end
                    if node.kind == "map":
                        node.start = node.entries[0].start
                    else:
                        node.start = self.after_gap(node.start)
                start, end = (node.properties or (node.start, 0))[0], node.end
            else:
                continue
            if not stack:
                root = node
                continue
            parent, pending = stack[-1]
            entry = pending.pop() if pending else None
            if parent.kind == "map" and entry is None:
                pending.append(Entry(key, start, alias[1] if alias else node.end, node))
                continue
            entry = entry or Entry(None, start, start, node)
            entry.node, entry.end, entry.alias = node, alias[1] if alias else node.end, alias
            parent.entries.append(entry)
        return root

    def leaf(self, event: Any) -> Node:
        node = Node("leaf", event.start_mark.index, event.end_mark.index)
        node.plain = event.implicit[0]
        self.properties(node, event)
        first = self.text[node.start : node.start + 1]
        if not node.plain and first in {"'", '"'}:
            node.quote = first
        elif not node.plain:
            # The end of `|` and `>` is where the next thing begins.
            node.end = node.start + len(self.text[node.start : node.end].rstrip())
        return node

    def properties(self, node: Node, event: Any) -> None:
        """Find where the anchor and the tag of a node end and the node itself begins."""
        node.anchor = event.anchor
        if event.anchor is None and event.tag is None:
            return
        found = re.compile(r"(?:(?:!<[^>]*>|[&!][^\s\[\]{},]*)[ \t]*)+").match(
            self.text, node.start
        )
        if found is None:
            return
        stop = node.start + len(found[0].rstrip())
        node.properties = (node.start, stop)
        node.start = self.after_gap(found.end())
        if node.kind == "leaf" and node.start >= node.end:
            node.start = node.end = stop  # `a: &x` and no value

    # finding

    def find(self, where: Where) -> Node:
        node = self.read()
        if node is None:
            raise NotHere
        for key in where:
            node = self.entry_of(node, key)[0].node
        return node

    def entry_of(self, node: Node, key: object) -> tuple[Entry, bool]:
        """The entry, and whether it is the mapping's own or comes through `<<`."""
        try:
            return node.entries[self.index_of(node, key)], True
        except NotHere:
            for entry in node.entries:
                if entry.key is not yaml12.MERGE:
                    continue
                sources = [entry.node]
                if entry.node.kind == "list":
                    sources = [inner.node for inner in entry.node.entries]
                for source in sources:
                    try:
                        return self.entry_of(source, key)[0], False
                    except NotHere:
                        continue
            raise

    def column(self, position: int) -> int:
        return position - self.line_start(position)

    def step(self, root: Node) -> int:
        """By how much the file indents."""
        waiting = [root]
        while waiting:
            node = waiting.pop()
            for entry in node.entries:
                inner = entry.node
                if entry.alias is not None or inner.kind == "leaf":
                    continue
                if inner.kind == node.kind == "map" and not node.flow and not inner.flow:
                    step = self.column(inner.start) - self.column(node.start)
                    if step > 0:
                        return step
                waiting.append(inner)
        return 2

    def dash(self, node: Node, index: int) -> int:
        """Where the `-` of a block list's element is."""
        place = self.after_gap(node.entries[index - 1].end if index else node.start)
        if self.text[place : place + 1] != "-":
            raise NotHere
        return place

    # changing

    def set(self, where: Where, value: object) -> None:
        root = self.read()
        if root is None or not where:
            raise NotHere
        parent = root
        for key in where[:-1]:
            parent = self.entry_of(parent, key)[0].node
        entry, own = self.entry_of(parent, where[-1])
        if not own:
            self.insert(where, value)
            return
        if entry.alias is not None:
            self.splice(*entry.alias, self.flow(value, inside=parent.flow))
            return
        node = entry.node
        if node.aliases:
            # A shared scalar changes alone: the first of its aliases becomes the place where it is defined.
            definition = self.text[node.properties[0] : node.end] if node.properties else "\n"
            if node.kind != "leaf" or "\n" in definition:
                raise NotHere
            self.splice(*node.aliases[0], definition)
        own_line = self.indent_of(node.start) is not None and not node.flow
        lines = self.lines(parent, entry, value, root)
        if lines is None:
            self.set_inline(parent, entry, value, own_line=own_line)
        elif own_line:
            stop = self.line_end(node.end)
            self.splice(self.line_start(node.start), stop, self.newline.join(lines))
            self.drop_properties(node)
        else:
            self.set_below(entry, lines)

    def set_inline(self, parent: Node, entry: Entry, value: object, *, own_line: bool) -> None:
        node = entry.node
        new = self.flow(value, inside=parent.flow, quote=node.quote)
        before = node.properties[0] if node.properties else node.start
        if own_line:
            # `key:` and lines below it become `key: value`; what is said between them stays.
            self.remove_lines(node.start, node.end)
            if node.properties:
                self.splice(*node.properties, new)
                return
            if parent.kind == "map":
                place = self.text.index(":", self.after_gap(entry.key_end)) + 1
            else:
                place = self.dash(parent, parent.entries.index(entry)) + 1
            self.splice(place, place, f" {new}")
        elif node.start == node.end and not node.properties:
            place = node.start
            if parent.kind == "map" and ":" not in self.text[entry.key_end : place]:
                if not parent.flow:
                    raise NotHere
                new = f": {new}"
                place = entry.key_end
            elif place and self.text[place - 1] not in " \t":
                new = f" {new}"
            if self.text[place : place + 1] not in {"", " ", "\t", "\r", "\n", ",", "}", "]"}:
                new += " "
            self.splice(place, place, new)
        else:
            self.splice(before, node.end, new)

    def set_below(self, entry: Entry, lines: list[str]) -> None:
        """Replace what stands behind a key by lines below it; a comment there stays with the key."""
        node = entry.node
        start = node.properties[0] if node.properties else node.start
        stop = self.line_end(node.end)
        rest = self.text[node.end : stop]
        kept = self.text[:start].rstrip(" \t")
        if not kept.endswith(":"):
            raise NotHere
        comment = f" {rest.strip()}" if rest.strip() else ""
        below = self.newline.join(["", *lines])
        self.text = kept + comment + below + self.text[stop:]

    def drop_properties(self, node: Node) -> None:
        if node.properties:
            start, stop = node.properties
            self.splice(len(self.text[:start].rstrip(" \t")), stop, "")

    def lines(self, parent: Node, entry: Entry, value: object, root: Node) -> list[str] | None:
        """The lines that a value takes below its key, or None if it goes on the key's line."""
        if parent.flow or parent.kind != "map" or not value:
            return None
        old = entry.node
        if isinstance(value, dict):
            return self.block(value, self.column(entry.start) + self.step(root), self.step(root))
        if isinstance(value, list) and old.kind == "list" and not old.flow:
            pad = " " * self.column(old.start)
            return [f"{pad}- {self.flow(inner, inside=False)}" for inner in value]
        return None

    def block(self, mapping: dict[object, object], column: int, step: int) -> list[str]:
        lines = []
        for key, value in mapping.items():
            head = f"{' ' * column}{self.flow(key, inside=False)}:"
            if isinstance(value, dict) and value:
                lines += [head, *self.block(value, column + step, step)]
            else:
                lines.append(f"{head} {self.flow(value, inside=False)}")
        return lines

    def insert(self, where: Where, value: object) -> None:
        root = self.read()
        if root is None or (root.kind == "leaf" and root.start == root.end):
            self.append({where[0]: value}, where)
            return
        node = root
        for key in where[:-1]:
            node = self.entry_of(node, key)[0].node
        if node.flow:
            if node.kind == "leaf":
                raise NotHere
            self.insert_in_flow(node, where[-1], value)
            return
        last = node.entries[-1]
        if node.kind == "list":
            dash = self.dash(node, len(node.entries) - 1)
            lines = [f"{' ' * self.column(dash)}- {self.flow(value, inside=False)}"]
        else:
            lines = self.block({where[-1]: value}, self.column(node.start), self.step(root))
        place = self.line_end(last.end)
        self.splice(place, place, self.newline.join(["", *lines]))

    def append(self, mapping: dict[object, object], where: Where) -> None:
        """Write the first keys of a file that has none, below its comments."""
        if len(where) != 1:
            raise NotHere
        if self.text and not self.text.endswith("\n"):
            self.text += self.newline
        self.text += self.newline.join([*self.block(mapping, 0, 2), ""])

    def remove(self, where: Where) -> None:
        parent = self.find(where[:-1])
        entry, own = self.entry_of(parent, where[-1])
        if not own:
            raise UsageError(
                f"`{'.'.join(map(str, where))}` comes into {self.path} through `<<`. Nothing was run.",
                "remove it where the anchor is defined.",
            )
        index = parent.entries.index(entry)
        if parent.flow:
            self.remove_from_flow(parent, index)
            return
        if len(parent.entries) == 1 and len(where) > 1:
            self.set(where[:-1], {} if parent.kind == "map" else [])
            return
        start = entry.start if parent.kind == "map" else self.dash(parent, index)
        if self.indent_of(start) is not None:
            self.remove_lines(start, entry.end)
        elif (
            index + 1 < len(parent.entries) and "?" not in self.text[self.line_start(start) : start]
        ):
            # The first key behind a dash: the next one takes its place.
            following = parent.entries[index + 1]
            after = following.start if parent.kind == "map" else self.dash(parent, index + 1)
            self.splice(start, after, "")
        else:
            raise NotHere

    # spelling

    def flow(self, value: object, *, inside: bool = True, quote: str = "") -> str:
        """The value on one line, `inside` brackets or not; `quote` is what a string had around it."""
        if isinstance(value, dict):
            pairs = (f"{self.flow(key)}: {self.flow(inner)}" for key, inner in value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self.flow, value)) + "]"
        if isinstance(value, str):
            return _string(value, inside=inside, quote=quote)
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        if isinstance(value, float):
            return _float(value)
        return str(value)


def _float(value: float) -> str:
    if math.isnan(value):
        return ".nan"
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    text = float.__repr__(value)
    # `1e-05` is a string for YAML 1.1 readers, `1.0e-05` a number for all.
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


# What a reader may take for a date, DVC's among them; `=` it cannot load at all.
_DATE = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?"
_INDICATOR = r"""[#,\[\]{}&*!|>'"%@`]|[-?:](?: |$)|---|\.\.\."""
_ESCAPES = {
    char: f"\\{letter}"
    for char, letter in zip(
        '\\"\0\a\b\t\n\v\f\r\x1b\x85\u2028\u2029', '\\"0abtnvfreNLP', strict=True
    )
}


def _string(text: str, *, inside: bool, quote: str) -> str:
    """A string as ruamel.yaml spells it on one line: plain if it can be, else in the quotes it needs."""
    if quote == '"' or not all(map(_shows, text)):
        return '"' + "".join(map(_escaped, text)) + '"'
    plain = (
        not quote
        and type(yaml12.plain(text)) is str
        and text == text.strip(" ")
        and not re.match(_INDICATOR, text)
        and not re.search(r": |:$| #", text)
        and not (inside and re.search(r"[,\[\]{}?:]|^-", text))
        and not re.fullmatch(_DATE, text)
        and text not in {"=", "<<"}
    )
    if plain:
        return text
    if "'" in text and not quote:
        return _string(text, inside=inside, quote='"')
    return "'" + text.replace("'", "''") + "'"


def _shows(char: str) -> bool:
    """Whether YAML lets the character stand for itself (and it does not end a line)."""
    if char < "\x7f":
        return char >= " "
    return char >= "\xa0" and char not in "\u2028\u2029\ufeff\ufffe\uffff"


def _escaped(char: str) -> str:
    if char not in _ESCAPES and _shows(char):
        return char
    code = ord(char)
    return _ESCAPES.get(char) or (f"\\x{code:02X}" if code < 256 else f"\\u{code:04X}")


def by_ruamel(text: str, steps: Sequence[Step]) -> str:
    """The text after the steps, by a round trip that keeps comments and order."""
    import io

    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**20
    try:
        tree = yaml.load(text)
        for step in steps:
            here = tree
            for key in step.where[:-1]:
                here = here[key]
            last = step.where[-1]
            if step.op == "remove":
                del here[last]
            elif isinstance(here, list) and last == len(here):
                here.append(step.value)
            else:
                here[last] = step.value
        out = io.StringIO()
        yaml.dump(tree, out)
    except (YAMLError, RecursionError, *yaml12.PYTHONS_OWN):
        raise NotHere from None
    newline = "\r\n" if "\r\n" in text else "\n"
    return out.getvalue().replace("\r\n", "\n").replace("\n", newline)
