"""YAML 1.2 as DVC reads it, in two thirds of the time of PyYAML's C loader and a fifteenth of ruamel.yaml's.

Texts that look as DVC and most people write them are read line by line (`_simple`), which spares a command
the 15 ms that importing PyYAML takes. All else is libyaml's events; what a scalar means is decided here.
Events are read instead of nodes because libyaml's composer overflows the stack of the process at a depth of
100,000 (measured).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

from nbexp.errors import ProjectFileError
from nbexp.formats import limits

# YAML 1.2's core schema as ruamel.yaml resolves it. `.5e3` without a sign is a string there, and so here.
_WORDS: dict[str, object] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], math.nan),
    **{
        sign + word: float(f"{sign}inf")
        for sign in ("", "+", "-")
        for word in (".inf", ".Inf", ".INF")
    },
}
_INT = r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9_]+)"
_FLOAT = r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|\.[0-9_]+(?:[eE][-+][0-9]+)?)"
_DECIMAL = frozenset("0123456789_.eE+-")
_BASES = {"0b": 2, "0o": 8, "0x": 16}
TAG = "tag:yaml.org,2002:"


def plain(text: str) -> object:
    """What an unquoted YAML scalar is."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    if text.isdigit() and text.isascii() and len(text) <= limits.MAX_DIGITS:
        return int(text)
    if not _DECIMAL.issuperset(text) and text.lstrip("+-")[:2] not in _BASES:
        return text  # most digests begin so
    whole, floating = _numbers()
    try:
        if whole.fullmatch(text):
            digits = text.replace("_", "")
            sign = -1 if digits[0] == "-" else 1
            digits = digits.lstrip("+-")
            if digits[:2] in _BASES:
                return sign * limits.whole_number(digits[2:] or "-", _BASES[digits[:2]])
            return sign * limits.whole_number(digits or "-")
        if floating.fullmatch(text):
            return float(text.replace("_", ""))
    except ValueError:
        # `0x_` and `-_` look like numbers to the patterns, and no reader has a number for them.
        if len(text) > limits.MAX_DIGITS:
            raise
    return text


@cache
def _numbers() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """How whole and other numbers look; compiled for the first one, which many commands never see."""
    return re.compile(_INT), re.compile(_FLOAT)


def tagged(event: Any) -> object:
    """What a YAML scalar is that was quoted or has a tag. Raises ValueError, in words for the user."""
    text: str = event.value
    tag: str | None = event.tag
    if tag == "!" and not text and not event.style:
        return None
    if tag in {None, "!", f"{TAG}str", f"{TAG}timestamp"}:
        return text
    kind = str(tag).removeprefix(TAG)
    value = plain(text)
    if kind == "null":
        return None
    if kind == "bool":
        lowered = text.lower()
        if lowered in {"yes", "no", "on", "off", "true", "false"}:
            return lowered in {"yes", "on", "true"}
    if kind == "int" and type(value) is int:
        return value
    if kind == "float" and type(value) in {int, float}:
        return float(cast("float", value))
    if kind in {"bool", "int", "float"}:
        raise ValueError(f"`{text}` is no {kind}")
    raise ValueError(f"the tag `{_shown_tag(str(tag))}` is not understood")


def _shown_tag(tag: str) -> str:
    return tag.replace(TAG, "!!") if tag.startswith(TAG) else tag


def events(text: str) -> Iterator[Any]:
    """The parser's events, from libyaml where PyYAML has it (the wheels do)."""
    import yaml

    if not yaml.__with_libyaml__:
        return iter(yaml.SafeLoader(text).get_event, None)
    return iter(yaml.cyaml.CParser(text).get_event, None)  # type: ignore[attr-defined]  # not in the stubs


def parse(text: str, path: str, max_leaves: int) -> object:
    """What the text says; `{}` where it says nothing. Errors as of `values.parse`."""
    simple = _simple(text, max_leaves)
    if simple is not None:
        return simple
    import yaml

    # libyaml knows YAML 1.1 only in how lines end and a `:` may stand; where that matters, ruamel.yaml reads, unless
    # that takes seconds (long texts; lists of `<<`, exponentially) or makes halves of characters (`\ud83d\ude00`).
    small = len(text) <= 20_000 and "<<" not in text and "\\ud" not in text.lower()
    odd = not text.isascii() and not {"\x85", "\u2028", "\u2029"}.isdisjoint(text)
    if small and (odd or ("%YAML" in text and re.search(r"(?m)^%YAML +1\.1", text))):
        return _by_ruamel(text, path, max_leaves)
    try:
        value = _value(text, path, max_leaves)
    except yaml.YAMLError as error:
        if small:
            try:
                return _by_ruamel(text, path, max_leaves)
            except ProjectFileError:
                pass  # libyaml's words are as good, and its line is right
        raise _error(error, text, path) from None
    return {} if value is None else value


def lines_of(text: str, key: str) -> Mapping[object, int] | None:
    """The lines of the keys below a key at the top; None where only a full parser can tell."""
    lines: dict[tuple[int, object], int] = {}
    tree = _simple(text, limits.MAX_LEAVES, lines)
    if tree is None:
        return None
    inner = id(tree.get(key))
    return {name: line for (mapping, name), line in lines.items() if mapping == inner}


def scalar_spans(text: str, keys: Iterable[Sequence[object]]) -> list[tuple[int, int]] | None:
    """From where to where the scalars at these keys stand, each the value of a key of a mapping.

    None where only a full parser can tell: not a simple text, or no scalar written there.
    """
    places: dict[tuple[int, object], int] = {}
    tree = _simple(text, limits.MAX_LEAVES, places)
    if tree is None:
        return None
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    spans = []
    for where in keys:
        parent: Any = tree
        for key in where[:-1]:
            parent = parent[key]
        if (
            type(parent) is not dict
            or where[-1] not in parent
            or isinstance(parent.get(where[-1]), list | dict)
        ):
            return None
        number = places[id(parent), where[-1]]
        line = text[starts[number - 1] : starts[number] - 1]
        before, _, rest = line.partition(":")
        value = rest.lstrip(" ")
        if not value or value[0] == "#":
            return None
        end = value.find(value[0], 1) + 1 if value[0] in "'\"" else len(_without_comment(value))
        start = starts[number - 1] + len(before) + 1 + len(rest) - len(value)
        spans.append((start, start + end))
    return spans


# What a plain scalar begins with in a simple text, apart from `-`.
_STARTS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+~$(")
_NOT_IN_FLOW = frozenset("[]{}\"'#&*!|>%@`?:")


class _Unusual(Exception):
    """Not a simple text, or one with a mistake in it: libyaml shall say what it is."""


def _simple(
    text: str, max_leaves: int, lines: dict[tuple[int, object], int] | None = None
) -> dict[object, object] | None:
    """What a simple text says: block mappings and lists of scalars on one line; None if it is not one.

    Parameters
    ----------
    lines
        Gets the line of each key, by the `id` of its mapping and the key.
    """
    # A value takes two characters at least.
    if not text.isascii() or len(text) > 2 * max_leaves:
        return None
    if not text.replace("\n", "").isprintable():
        return None
    root: dict[object, object] = {}
    here: Any = root
    column = 0
    above: list[tuple[int, Any]] = []  # the columns and containers around `here`
    waiting: tuple[dict[object, object], object] | None = None  # whose value stands below, if any
    try:
        for number, line in enumerate(text.split("\n"), 1):
            rest = line.lstrip(" ")
            if not rest or rest[0] == "#":
                continue
            at = len(line) - len(rest)
            is_item = rest[0] == "-"
            if is_item and rest[1] != " ":
                return None
            if waiting is not None:
                if at > column or (is_item and at == column):
                    above.append((column, here))
                    column, here = at, ([] if is_item else {})
                    if len(above) >= limits.MAX_DEPTH:
                        return None
                    waiting[0][waiting[1]] = here
                else:
                    waiting[0][waiting[1]] = None
                waiting = None
            # A list may stand as far left as the key it belongs to, which is then below it here.
            while at < column or (not is_item and at == column and type(here) is list):
                column, here = above.pop()
            if at != column:
                return None
            if is_item:
                if type(here) is not list:
                    return None
                inner = rest[1:].lstrip(" ")
                key = _simple_key(inner)
                if key is None:
                    here.append(_simple_scalar(inner))
                    continue
                above.append((column, here))
                column, here = at + len(rest) - len(inner), {}
                above[-1][1].append(here)
                rest = inner
            else:
                key = _simple_key(rest)
                if key is None:
                    return None
            name = plain(key)
            if name in here:
                return None
            if lines is not None:
                lines[id(here), name] = number
            value = rest[len(key) + 1 :].lstrip(" ")
            if value and value[0] != "#":
                here[name] = _simple_scalar(value)
            else:
                waiting = here, name
                here[name] = None
    except (_Unusual, IndexError, ValueError):
        return None
    return root or None


def _simple_key(text: str) -> str | None:
    """The plain key that a line begins with; None where it begins with something else."""
    key, colon, rest = text.partition(":")
    if not colon or (rest and rest[0] != " ") or len(key) > 200:
        return None
    letters = key.replace("_", "a").replace(".", "a").replace("-", "a").replace("/", "a")
    if not letters.isalnum() or key[0] in ".-/":
        return None
    return key


def _simple_scalar(text: str) -> object:
    """The value that the rest of a line is."""
    text = text.rstrip(" ")
    first = text[0]
    if first in _STARTS or (first == "-" and text[1] != " "):
        text = _without_comment(text)
        if ":" in text and (": " in text or text[-1] == ":"):
            raise _Unusual
        return plain(text)
    last = text[-1]
    if first == last and (first == "'" or (first == '"' and "\\" not in text)):
        if text.count(first) != 2:
            raise _Unusual
        return text[1:-1]
    if first == "[" and last == "]" and _NOT_IN_FLOW.isdisjoint(text[1:-1]):
        items = [item.strip(" ") for item in text[1:-1].split(",")]
        return [] if items == [""] else [_simple_item(item) for item in items]
    if text == "{}":
        return {}
    raise _Unusual


def _without_comment(text: str) -> str:
    return text.partition(" #")[0].rstrip(" ")


def _simple_item(text: str) -> object:
    if text[0] in _STARTS or (text[0] == "-" and text[1] in _STARTS):
        return plain(text)
    raise _Unusual


def _error(error: Exception, text: str, path: str) -> ProjectFileError:
    import yaml

    problem, line = str(error), None
    if isinstance(error, yaml.MarkedYAMLError):
        problem = error.problem or problem
        place = error.problem_mark or error.context_mark
        line = place.line + 1 if place else None
        if "nesting depth" in problem:  # the libyaml in PyYAML 6.0.4 stops by itself
            return limits.too_deep(path, line)
    elif isinstance(error, yaml.reader.ReaderError):
        char: int | str | bytes = error.character  # libyaml gives its number
        problem = (
            f"the character U+{char if isinstance(char, int) else ord(char):04X} is not allowed"
        )
        line = text.encode().count(b"\n", 0, error.position) + 1
    return limits.invalid("YAML", problem, path, line)


_NONE: Final = object()
MERGE: Final = object()


class _Open:
    """A list or mapping whose end has not come yet."""

    __slots__ = ("anchor", "key", "leaves", "list", "map", "merges")

    def __init__(self, anchor: str | None, *, is_map: bool) -> None:
        self.anchor = anchor
        self.list: list[object] | None = None if is_map else []
        self.map: dict[object, object] = {}
        self.key: object = _NONE
        self.merges: list[object] | None = None
        self.leaves = 0

    def value(self) -> object:
        if self.list is not None:
            return self.list
        if self.merges is None:
            return self.map
        # Own keys win, then earlier mappings; the keys of later mappings stand first (PyYAML's and ruamel's order).
        merged: dict[object, object] = {}
        for one in reversed(self.merges):
            if not isinstance(one, dict):
                raise ValueError("`<<` takes a mapping or a list of mappings")
            merged.update(one)
        merged.update(self.map)
        return merged


def _value(text: str, path: str, max_leaves: int) -> object:
    """The one document of `text`, read in one pass over the events, without recursion.

    This loop is most of what `show` spends on a thousand experiments: it tells events apart by identity of
    their type, and looks at what is rare last.
    """
    import yaml

    scalar, map_start, list_start = (
        yaml.ScalarEvent,
        yaml.MappingStartEvent,
        yaml.SequenceStartEvent,
    )
    map_end, list_end = yaml.MappingEndEvent, yaml.SequenceEndEvent
    stack: list[_Open] = []
    top: _Open | None = None
    anchors: dict[str, tuple[object, int]] = {}
    root: object = _NONE
    value: object
    try:
        for event in events(text):
            kind = type(event)
            merge = False
            anchor = None
            leaves = 1
            if kind is scalar:
                value = event.value
                anchor = event.anchor
                if event.implicit[0]:
                    merge = value == "<<"
                    value = plain(event.value)
                elif event.tag is not None:
                    value = tagged(event)
            elif kind is map_start or kind is list_start:
                expected = "map" if kind is map_start else "seq"
                if event.tag not in {None, "!", TAG + expected}:
                    raise ValueError(f"the tag `{_shown_tag(event.tag)}` is not understood")
                top = _Open(event.anchor, is_map=kind is map_start)
                stack.append(top)
                if len(stack) > limits.MAX_DEPTH:
                    raise limits.too_deep(path, _line(event))
                continue
            elif kind is map_end or kind is list_end:
                done = stack.pop()
                value, leaves, anchor = done.value(), done.leaves or 1, done.anchor
                top = stack[-1] if stack else None
            elif kind is yaml.AliasEvent:
                if event.anchor not in anchors:
                    raise ValueError(f"`*{event.anchor}` has no `&{event.anchor}` before it")
                value, leaves = anchors[event.anchor]
            elif kind is yaml.DocumentStartEvent and root is not _NONE:
                raise ValueError("a second document begins")
            else:
                continue

            if anchor is not None:
                anchors[anchor] = (value, leaves)
            if top is None:
                root = value
                continue
            top.leaves += leaves
            if top.leaves > max_leaves:
                raise limits.too_many(path, max_leaves, _line(event))
            if top.list is not None:
                top.list.append(value)
            elif top.key is _NONE:
                if merge:
                    if top.merges is not None:
                        raise ValueError("the key `<<` is there twice")
                    value = MERGE
                elif isinstance(value, list | dict):
                    raise ValueError("a list or mapping is used as a key")
                elif value in top.map:
                    raise ValueError(f"the key `{value}` is there twice")
                top.key = value
            elif top.key is MERGE:
                top.merges = value if isinstance(value, list) else [value]
                top.key = _NONE
            else:
                top.map[top.key] = value
                top.key = _NONE
    except ValueError as error:
        raise limits.invalid("YAML", str(error), path, _line(event)) from None
    return None if root is _NONE else root


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


# ruamel.yaml lets these through on broken texts.
PYTHONS_OWN = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


def _by_ruamel(text: str, path: str, max_leaves: int) -> object:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor
    from ruamel.yaml.error import YAMLError

    class Constructor(SafeConstructor):
        """Leaves dates as they are written."""

    Constructor.add_constructor(f"{TAG}timestamp", SafeConstructor.construct_yaml_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    try:
        value = yaml.load(text)
    except (YAMLError, RecursionError, *PYTHONS_OWN) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise limits.invalid("YAML", problem, path, mark.line + 1 if mark else None) from None
    limits.check_shape(value, path, max_leaves)
    return {} if value is None else value


def in_pyyaml(text: str) -> object:
    """What PyYAML's safe loader makes of an unquoted scalar; dates as the text they show."""
    import yaml

    loader = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if tag == f"{TAG}str":
        return text
    try:
        value: object = loader.construct_document(yaml.ScalarNode(tag, text))
    except (yaml.YAMLError, ValueError):
        return text
    return value
