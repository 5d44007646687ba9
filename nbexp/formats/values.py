"""Params and metrics files: what they say, and the smallest change that makes them say something else.

This module alone knows how a value is spelled on disk. By suffix: `.json`, `.toml`, `.py`, all else YAML 1.2
as DVC reads it. What is hidden here: that YAML comes from libyaml's events with our own YAML 1.2 scalars
(two thirds of the time of PyYAML's C loader, a fifteenth of ruamel.yaml's), the limits that keep a hostile
file from costing memory or the interpreter's stack, and that an edit replaces the characters of one value
and leaves every other byte alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from nbexp.errors import NotFound, ProjectFileError, UsageError

if TYPE_CHECKING:
    import ast

__all__ = [
    "MAX_BYTES",
    "MISSING",
    "Edit",
    "Op",
    "Surprise",
    "edit",
    "flatten",
    "lookup",
    "nearest",
    "parse",
    "surprises",
]

# Nobody writes by hand what is beyond these; 300 bytes of aliases can stand for 254 MB of JSON, and libyaml's
# composer overflows the stack of the process at a depth of 100,000 (measured), so events are read instead.
MAX_BYTES = 16 * 2**20
MAX_DEPTH = 100
MAX_LEAVES = 100_000
MAX_DIGITS = 4_000


class _Missing:
    """The type of `MISSING`, which is neither null nor anything a file can hold."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()

Op = Literal["change", "add", "force", "delete"]


@dataclass(frozen=True)
class Edit:
    """One change of a file, with the meaning of an override of the same kind.

    Attributes
    ----------
    key
        Dotted; a list's elements are reached by number (`layers.0`).
    op
        `change` an existing key, `add` a new one, `force` either, `delete`. A mapping is merged into a
        mapping, any other value replaces what was there.
    has_value
        For `delete`: only if the key has just this value.
    """

    key: str
    value: object = None
    op: Op = "change"
    has_value: bool = True


@dataclass(frozen=True)
class Surprise:
    """A YAML value that user code loading the file with PyYAML sees as something else than we do."""

    key: str
    line: int
    text: str
    value: object
    pyyaml: object


def parse(data: bytes, path: str, *, max_leaves: int = MAX_LEAVES) -> object:
    """What the file says, in Python's own types; `{}` for a YAML file that says nothing.

    Dates stay the text they are, tuples and sets of a Python file become lists, YAML's aliases and merge
    keys are followed (so one list or mapping may be reached on several ways: do not change what you get).

    Parameters
    ----------
    path
        Names the file in errors; its suffix picks the format.
    max_leaves
        How many values the file may hold, those reached through aliases counted each time.

    Raises
    ------
    ProjectFileError
        The file is not valid, with the line; or it is beyond the limits of this module.

    Notes
    -----
    YAML is read as DVC 3.67.1 reads it, which is ruamel.yaml with YAML 1.2: `1e-3` is a number, `yes` a string,
    `010` ten, a repeated key an error. `tests/formats/test_values.py` compares the two.

    Examples
    --------
    >>> parse(b"train: {lr: 1e-3, shuffle: yes}", "params.yaml")
    {'train': {'lr': 0.001, 'shuffle': 'yes'}}
    """
    text = _decoded(data, path)
    kind = _format_of(path)
    if kind == "yaml":
        return _parse_yaml(text, path, max_leaves)
    if kind == "json":
        value = _parse_json(text, path)
        # A value takes two characters at least and a level one bracket: most files need no look.
        if len(text) <= 2 * max_leaves and text.count("[") + text.count("{") <= MAX_DEPTH:
            return value
    elif kind == "toml":
        value = _parse_toml(text, path)
    else:
        value = _py_values(_py_tree(text, path).body)
    _check_shape(value, path, max_leaves)
    return _without_dates(value) if kind == "toml" else value


def lookup(tree: object, key: str) -> object:
    """The value at a dotted key, or `MISSING`.

    List elements are reached by number, from the end by a negative one. A key with `*`, `?` or `[` is a
    pattern, `**` standing for any number of levels, and finds something only if it matches one value alone
    (dpath's rules, which are DVC's). A key that itself has a dot in it cannot be reached.

    Examples
    --------
    >>> lookup({"train": {"layers": [64, 32]}}, "train.layers.1")
    32
    >>> lookup({"train": {"lr": 0.1}}, "train.*")
    0.1
    >>> lookup({"train": {"lr": 0.1}}, "lr")
    MISSING
    """
    if not key:
        return tree
    parts = key.split(".")
    if any(char in key for char in "*?["):
        found: list[object] = []
        _match(tree, parts, found)
        return found[0] if len(found) == 1 else MISSING
    for part in parts:
        step = _child(tree, part)
        if step is None:
            return MISSING
        tree = step[1]
    return tree


def flatten(tree: object) -> dict[str, object]:
    """Dotted key -> value, in the file's order; lists are values, empty mappings are left out.

    A tree that is no mapping is one value, under the empty key; None is nothing.

    Examples
    --------
    >>> flatten({"acc": 0.9, "by_class": {"cat": {"f1": 0.8}}, "layers": [64, 32]})
    {'acc': 0.9, 'by_class.cat.f1': 0.8, 'layers': [64, 32]}
    """
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        return {"": tree}
    flat: dict[str, object] = {}

    def walk(mapping: dict[object, object], prefix: str) -> None:
        for key, value in mapping.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{key}.")
            else:
                flat[f"{prefix}{key}"] = value

    walk(tree, "")
    return flat


def nearest(key: str, tree: object) -> str | None:
    """The key of `tree` that was most likely meant by `key`, or None if there is none near.

    Examples
    --------
    >>> nearest("train.lrr", {"train": {"lr": 0.1, "epochs": 3}})
    'train.lr'
    >>> nearest("lr", {"train": {"lr": 0.1, "epochs": 3}})
    'train.lr'
    """
    import difflib

    names = _names(tree)
    last = key.rpartition(".")[2]
    close = difflib.get_close_matches(key, names, n=1)
    same_end = [name for name in names if name != key and name.rpartition(".")[2] == last]
    if same_end and (not close or "." not in key):
        return difflib.get_close_matches(key, same_end, n=1, cutoff=0.0)[0]
    return close[0] if close else None


def edit(data: bytes, path: str, edits: Sequence[Edit]) -> bytes:
    """The file after the edits, made in order; what they do not name keeps its bytes.

    Comments, quotes, flow style, indents, line ends and the order of keys stay. A value that is set to what
    it is already keeps its spelling. The result is read back and compared with what was asked for before it
    is returned, so it is right or there is an error; all edits are made or none.

    Where YAML shares a value through an anchor, a scalar that is changed changes alone (as with DVC), and a key
    inside a shared mapping changes for all that use the mapping, as it would by hand.

    Parameters
    ----------
    path
        Names the file in errors; its suffix picks the format.

    Raises
    ------
    NotFound
        A key to change or delete is not there; the hint has the nearest one.
    UsageError
        A key to add is there, one to delete has another value, or the value does not exist in that format
        (null in TOML).
    ProjectFileError
        The file is not valid, or the change cannot be made without touching more than the one value.

    Notes
    -----
    The spellings are those that ruamel.yaml, `json` and `repr` choose (`.nan`; quotes where YAML 1.2 would read
    something else), but `1.0e-05`, which is a number for PyYAML too, `null` and not nothing, and a quoted string
    stays quoted. Costs two readings of the text for each edit. Only a YAML text whose spans are not enough (a
    removed anchor, `? ` keys) makes a round trip through ruamel.yaml, which keeps comments and order but not
    every byte.

    Examples
    --------
    >>> edit(b"lr: 0.1  # rate", "params.yaml", [Edit("lr", 0.01)])
    b'lr: 0.01  # rate'
    """
    mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
    text = original = _decoded(data, path)
    for one in edits:
        tree = parse(text.encode(), path)
        steps = _steps({} if tree is None else tree, one, path)
        if steps:
            text = _edited(text, path, tree, steps)
    return data if text == original else mark + text.encode()


def surprises(data: bytes, path: str) -> tuple[Surprise, ...]:
    """The plain YAML values that PyYAML, and so most user code, reads as something else; in file order.

    `1e-3` is a string there, `yes` a boolean, `010` eight and `12:30:45` a number. Empty for other formats.

    Examples
    --------
    >>> surprises(b"{lr: 1e-3, batch: 32}", "params.yaml")
    (Surprise(key='lr', line=1, text='1e-3', value=0.001, pyyaml='1e-3'),)
    """
    if _format_of(path) != "yaml":
        return ()
    import yaml

    text = _decoded(data, path)
    parse(data, path)
    found: list[Surprise] = []

    def walk(node: _Node, key: str) -> None:
        for index, entry in enumerate(node.entries):
            inner = f"{key}{entry.key if node.kind == 'map' else index}"
            if entry.alias is not None:
                continue
            if entry.node.kind != "leaf":
                walk(entry.node, f"{inner}.")
            elif entry.node.plain:
                spelled = text[entry.node.start : entry.node.end]
                value = _plain(spelled)
                theirs = _in_pyyaml(spelled)
                if not _same(value, theirs):
                    line = text.count("\n", 0, entry.node.start) + 1
                    found.append(Surprise(inner, line, spelled, value, theirs))

    try:
        root = _Yaml(text, path).read()
    except (yaml.YAMLError, _NotHere):
        return ()  # one of the odd texts that ruamel.yaml alone reads
    if root is not None:
        walk(root, "")
    return tuple(found)


# ---- walking trees


def _child(here: object, part: str) -> tuple[object, object] | None:
    """The real key and the value that `part` of a dotted key stands for; whole numbers are spelled as text."""
    if isinstance(here, dict):
        if part in here:
            return part, here[part]
        for key, value in here.items():
            if isinstance(key, int) and str(key) == part:
                return key, value
    elif isinstance(here, list) and re.fullmatch(r"-?[0-9]{1,9}", part):
        index = int(part)
        if -len(here) <= index < len(here):
            index %= len(here)
            return index, here[index]
    return None


def _children(here: object) -> Iterable[tuple[object, object]]:
    if isinstance(here, dict):
        return here.items()
    return enumerate(here) if isinstance(here, list) else ()


def _match(here: object, parts: Sequence[str], found: list[object]) -> None:
    """Collect what a pattern matches; two are enough to know that it is not one."""
    if not parts:
        found.append(here)
        return
    if parts[0] == "**":
        _match(here, parts[1:], found)
    for key, value in _children(here):
        if len(found) > 1:
            return
        if parts[0] == "**":
            _match(value, parts, found)
        elif fnmatchcase(str(key), parts[0]):
            _match(value, parts[1:], found)


def _names(tree: object, limit: int = 2_000) -> list[str]:
    """The dotted keys of all mappings, inner ones too; a hint needs no more than `limit`."""
    names: list[str] = []

    def walk(here: object, prefix: str) -> None:
        if isinstance(here, dict):
            for key, value in here.items():
                if len(names) < limit:
                    names.append(f"{prefix}{key}")
                    walk(value, f"{prefix}{key}.")

    walk(tree, "")
    return names


def _same(one: object, other: object) -> bool:
    """Equal in type too, so that 1, 1.0 and true are three values; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        alike = one == other and math.copysign(1, one) == math.copysign(1, other)
        return alike or (math.isnan(one) and math.isnan(other))
    return one == other


def _copied(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, list) else tree


def _without_empty(tree: object) -> object:
    if not isinstance(tree, dict):
        return tree
    inner = {key: _without_empty(value) for key, value in tree.items()}
    return {key: value for key, value in inner.items() if value != {}}


# ---- reading


def _format_of(path: str) -> Literal["yaml", "json", "toml", "py"]:
    suffix = path.lower().rpartition(".")[2]
    return cast('Literal["json", "toml", "py"]', suffix) if suffix in _SUFFIXES else "yaml"


_SUFFIXES = frozenset({"json", "toml", "py"})


def _decoded(data: bytes, path: str) -> str:
    if len(data) > MAX_BYTES:
        raise ProjectFileError(
            f"the file has {len(data) / 2**20:.1f} MB; up to {MAX_BYTES // 2**20} MB are read.",
            path=path,
        )
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProjectFileError("this is not UTF-8 text.", path=path, line=line) from None


def _invalid(kind: str, problem: str, path: str, line: int | None) -> ProjectFileError:
    problem = " ".join(problem.split()).rstrip(".")
    hint = None
    if kind == "YAML" and "'\\t'" in problem:
        hint = f"YAML is indented by spaces; replace the tab in line {line}."
    if problem[:1].isupper() and not problem[1:2].isupper():
        problem = problem[0].lower() + problem[1:]
    return ProjectFileError(f"this is not valid {kind}: {problem}.", hint, path=path, line=line)


def _too_deep(path: str, line: int | None = None) -> ProjectFileError:
    return ProjectFileError(
        f"values are nested deeper than {MAX_DEPTH} levels.", path=path, line=line
    )


def _too_many(path: str, limit: int, line: int | None = None) -> ProjectFileError:
    return ProjectFileError(
        f"the file holds more than {limit:,} values, those behind aliases counted.",
        path=path,
        line=line,
    )


def _check_shape(tree: object, path: str, max_leaves: int) -> None:
    """Refuse what the limits forbid, without recursion; an empty list or mapping counts as a value."""
    leaves = 0
    waiting: list[tuple[object, int]] = [(tree, 0)]
    while waiting:
        here, depth = waiting.pop()
        inner: Iterable[object] = ()
        if isinstance(here, dict):
            inner = here.values()
        elif isinstance(here, list):
            inner = here
        if depth >= MAX_DEPTH and isinstance(here, dict | list):
            raise _too_deep(path)
        before = len(waiting)
        waiting.extend((value, depth + 1) for value in inner)
        if len(waiting) == before:
            leaves += 1
        if leaves > max_leaves:
            raise _too_many(path, max_leaves)


def _whole_number(text: str, base: int = 10) -> int:
    # Python itself refuses more than 4,300 digits, with words that name a setting of the interpreter.
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a whole number has more than {MAX_DIGITS:,} digits")
    return int(text, base)


# ---- reading JSON and TOML


def _parse_json(text: str, path: str) -> object:
    import json

    long = re.search(rf"[0-9]{{{MAX_DIGITS + 1}}}", text) is not None
    try:
        return cast("object", json.loads(text, parse_int=_whole_number if long else None))
    except json.JSONDecodeError as error:
        raise _invalid("JSON", error.msg, path, error.lineno) from None
    except RecursionError:
        raise _too_deep(path) from None
    except ValueError as error:
        raise _invalid("JSON", str(error), path, None) from None


def _parse_toml(text: str, path: str) -> object:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).partition(" (at line ")
        line = re.match(r"[0-9]+", place)
        last = text.rstrip().count("\n") + 1
        raise _invalid("TOML", problem, path, int(line[0]) if line else last) from None
    except RecursionError:
        raise _too_deep(path) from None
    except ValueError:
        problem = f"a whole number has more than {MAX_DIGITS:,} digits"
        raise _invalid("TOML", problem, path, None) from None


def _without_dates(tree: object) -> object:
    """The tree with TOML's dates and times as text, which is what can go into a lock file."""
    if isinstance(tree, dict):
        return {key: _without_dates(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_dates(value) for value in tree]
    if isinstance(tree, str | int | float):
        return tree
    written: str = tree.isoformat()  # type: ignore[attr-defined]  # a date, a time or both
    return written


# ---- reading YAML

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
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9_]+)")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|\.[0-9_]+(?:[eE][-+][0-9]+)?)"
)
_BASES = {"0b": 2, "0o": 8, "0x": 16}
_YAML_TAG = "tag:yaml.org,2002:"


def _plain(text: str) -> object:
    """What an unquoted YAML scalar is."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-+.0123456789":
        return text
    try:
        if _INT.fullmatch(text):
            digits = text.replace("_", "")
            sign = -1 if digits[0] == "-" else 1
            digits = digits.lstrip("+-")
            if digits[:2] in _BASES:
                return sign * _whole_number(digits[2:] or "-", _BASES[digits[:2]])
            return sign * _whole_number(digits or "-")
        if _FLOAT.fullmatch(text):
            return float(text.replace("_", ""))
    except ValueError:
        # `0x_` and `-_` look like numbers to the patterns, and no reader has a number for them.
        if len(text) > MAX_DIGITS:
            raise
    return text


def _tagged(event: Any) -> object:
    """What a YAML scalar is that was quoted or has a tag. Raises ValueError, in words for the user."""
    text: str = event.value
    tag: str | None = event.tag
    if tag == "!" and not text and not event.style:
        return None
    if tag in {None, "!", f"{_YAML_TAG}str", f"{_YAML_TAG}timestamp"}:
        return text
    kind = str(tag).removeprefix(_YAML_TAG)
    value = _plain(text)
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
    return tag.replace(_YAML_TAG, "!!") if tag.startswith(_YAML_TAG) else tag


def _yaml_events(text: str) -> Iterator[Any]:
    """The parser's events, from libyaml where PyYAML has it (the wheels do)."""
    import yaml

    if not yaml.__with_libyaml__:
        return iter(yaml.SafeLoader(text).get_event, None)
    return iter(yaml.cyaml.CParser(text).get_event, None)  # type: ignore[attr-defined]  # not in the stubs


def _parse_yaml(text: str, path: str, max_leaves: int) -> object:
    import yaml

    # libyaml knows YAML 1.1 only in how lines end and a `:` may stand; where that matters, ruamel.yaml reads, unless
    # that takes seconds (long texts; lists of `<<`, exponentially) or makes halves of characters (`\ud83d\ude00`).
    small = len(text) <= 20_000 and "<<" not in text and "\\ud" not in text.lower()
    odd = not text.isascii() and not {"\x85", "\u2028", "\u2029"}.isdisjoint(text)
    if small and (odd or ("%YAML" in text and re.search(r"(?m)^%YAML +1\.1", text))):
        return _parse_by_ruamel(text, path, max_leaves)
    try:
        value = _yaml_value(text, path, max_leaves)
    except yaml.YAMLError as error:
        if small:
            try:
                return _parse_by_ruamel(text, path, max_leaves)
            except ProjectFileError:
                pass  # libyaml's words are as good, and its line is right
        raise _yaml_error(error, text, path) from None
    return {} if value is None else value


def _yaml_error(error: Exception, text: str, path: str) -> ProjectFileError:
    import yaml

    problem, line = str(error), None
    if isinstance(error, yaml.MarkedYAMLError):
        problem = error.problem or problem
        place = error.problem_mark or error.context_mark
        line = place.line + 1 if place else None
    elif isinstance(error, yaml.reader.ReaderError):
        char: int | str | bytes = error.character  # libyaml gives its number
        problem = (
            f"the character U+{char if isinstance(char, int) else ord(char):04X} is not allowed"
        )
        line = text.encode().count(b"\n", 0, error.position) + 1
    return _invalid("YAML", problem, path, line)


class _Open:
    """A list or mapping whose end has not come yet."""

    __slots__ = ("anchor", "key", "leaves", "list", "map", "merges")

    def __init__(self, anchor: str | None, *, is_map: bool) -> None:
        self.anchor = anchor
        self.list: list[object] | None = None if is_map else []
        self.map: dict[object, object] = {}
        self.key: object = MISSING
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


_MERGE: Final = _Missing()


def _yaml_value(text: str, path: str, max_leaves: int) -> object:
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
    root: object = MISSING
    value: object
    try:
        for event in _yaml_events(text):
            kind = type(event)
            merge = False
            anchor = None
            leaves = 1
            if kind is scalar:
                value = event.value
                anchor = event.anchor
                if event.implicit[0]:
                    merge = value == "<<"
                    value = _plain(event.value)
                elif event.tag is not None:
                    value = _tagged(event)
            elif kind is map_start or kind is list_start:
                expected = "map" if kind is map_start else "seq"
                if event.tag not in {None, "!", _YAML_TAG + expected}:
                    raise ValueError(f"the tag `{_shown_tag(event.tag)}` is not understood")
                top = _Open(event.anchor, is_map=kind is map_start)
                stack.append(top)
                if len(stack) > MAX_DEPTH:
                    raise _too_deep(path, _line(event))
                continue
            elif kind is map_end or kind is list_end:
                done = stack.pop()
                value, leaves, anchor = done.value(), done.leaves or 1, done.anchor
                top = stack[-1] if stack else None
            elif kind is yaml.AliasEvent:
                if event.anchor not in anchors:
                    raise ValueError(f"`*{event.anchor}` has no `&{event.anchor}` before it")
                value, leaves = anchors[event.anchor]
            elif kind is yaml.DocumentStartEvent and root is not MISSING:
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
                raise _too_many(path, max_leaves, _line(event))
            if top.list is not None:
                top.list.append(value)
            elif top.key is MISSING:
                if merge:
                    if top.merges is not None:
                        raise ValueError("the key `<<` is there twice")
                    value = _MERGE
                elif isinstance(value, list | dict):
                    raise ValueError("a list or mapping is used as a key")
                elif value in top.map:
                    raise ValueError(f"the key `{value}` is there twice")
                top.key = value
            elif top.key is _MERGE:
                top.merges = value if isinstance(value, list) else [value]
                top.key = MISSING
            else:
                top.map[top.key] = value
                top.key = MISSING
    except ValueError as error:
        raise _invalid("YAML", str(error), path, _line(event)) from None
    return None if root is MISSING else root


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


# ruamel.yaml lets these through on broken texts.
_PYTHONS_OWN = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


def _parse_by_ruamel(text: str, path: str, max_leaves: int) -> object:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor
    from ruamel.yaml.error import YAMLError

    class Constructor(SafeConstructor):
        """Leaves dates as they are written."""

    Constructor.add_constructor(f"{_YAML_TAG}timestamp", SafeConstructor.construct_yaml_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    try:
        value = yaml.load(text)
    except (YAMLError, RecursionError, *_PYTHONS_OWN) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise _invalid("YAML", problem, path, mark.line + 1 if mark else None) from None
    _check_shape(value, path, max_leaves)
    return {} if value is None else value


def _in_pyyaml(text: str) -> object:
    """What PyYAML's safe loader makes of an unquoted scalar; dates as the text they show."""
    import yaml

    loader = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if tag == f"{_YAML_TAG}str":
        return text
    try:
        value: object = loader.construct_document(yaml.ScalarNode(tag, text))
    except (yaml.YAMLError, ValueError):
        return text
    return value


# ---- reading Python


def _py_tree(text: str, path: str) -> ast.Module:
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a regular expression in the user's code, say
            return ast.parse(text)
    except SyntaxError as error:
        raise _invalid("Python", error.msg, path, error.lineno) from None
    except (RecursionError, MemoryError):
        raise _too_deep(path) from None
    except ValueError as error:  # a NUL byte
        raise _invalid("Python", str(error), path, None) from None


def _py_values(body: Iterable[ast.stmt], *, only_self: bool = False) -> dict[object, object]:
    """The assignments of literals in a module, a class or its `__init__` (there, those to `self`)."""
    import ast

    values: dict[object, object] = {}
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            values[statement.name] = _py_values(statement.body)
        elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            values.update(_py_values(statement.body, only_self=True))
        else:
            found = _py_assignment(statement, only_self=only_self)
            if found is not None:
                values[found[0]] = _py_literal(found[1])
    return values


def _py_assignment(statement: ast.stmt, *, only_self: bool) -> tuple[str, ast.expr] | None:
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
        _py_literal(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return name, value


def _py_literal(node: ast.expr) -> object:
    """The value of a literal, tuples and sets as lists. Raises ValueError or TypeError for all else."""
    import ast

    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_py_literal(element) for element in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {ast.literal_eval(key or ""): _py_literal(value) for key, value in pairs}
    value = ast.literal_eval(node)
    if value is None or isinstance(value, str | int | float):
        return cast("object", value)
    raise ValueError("bytes, complex numbers and `...` are no params")


# ---- what an edit means: steps on the tree

_Where = tuple[object, ...]


class _Step(NamedTuple):
    """One change of the text: `set` what stands at `where`, `insert` a key or element there, `remove` it."""

    op: Literal["set", "insert", "remove"]
    where: _Where
    value: object = None


def _steps(tree: object, edit: Edit, path: str) -> list[_Step]:
    value = None if edit.op == "delete" else _writable(edit.value, edit.key)
    if _format_of(path) in {"json", "toml"}:
        value = _with_text_keys(value)
    parts = edit.key.split(".")
    where: list[object] = []
    here = tree
    for part in parts:
        step = _child(here, part)
        if step is None:
            break
        where.append(step[0])
        here = step[1]
    at = tuple(where)
    if len(at) == len(parts):
        if edit.op == "delete":
            if edit.has_value and edit.value != here:
                raise UsageError(
                    f"`{edit.key}` in {path} is {_spelled(here)}, not {_spelled(edit.value)}. Nothing was run.",
                    f"`nbexp run -S {_typed(path, '~', edit.key)}` removes it whatever it is.",
                )
            return [_Step("remove", at)]
        if edit.op == "add" and here is not None and not isinstance(value, list | dict):
            change = f"{_typed(path, '', edit.key)}={_spelled(value)}"
            raise UsageError(
                f"`{edit.key}` is in {path} already ({_spelled(here)}). Nothing was run.",
                f"without the plus it is changed: `nbexp run -S {change}`.",
            )
        return list(_merged(at, here, value, edit, path, edit.key))
    if edit.op in {"change", "delete"}:
        raise _no_param(edit.key, edit, tree, path)
    rest = parts[len(at) :]
    if isinstance(here, list):
        if rest[0] != str(len(here)):
            raise NotFound(
                f"The list `{'.'.join(parts[: len(at)])}` in {path} has no place {rest[0]}; it has {len(here)} elements. "
                "Nothing was run.",
                f"the next one is added by `nbexp run -S "
                f"{_typed(path, '+', '.'.join([*parts[: len(at)], str(len(here))]))}={_spelled(value)}`.",
            )
        key: object = len(here)
    else:
        key = rest[0]
    for part in reversed(rest[1:]):
        value = {part: value}
    if isinstance(here, list | dict):
        return [_Step("insert", (*at, key), value)]
    return [_Step("set", at, {key: value})]


def _merged(
    at: _Where, old: object, new: object, edit: Edit, path: str, key: str
) -> Iterator[_Step]:
    """The steps that make `new` of `old`; none if it is that already."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in new.items():
            step = _child(old, str(name))
            if step is not None:
                yield from _merged((*at, step[0]), step[1], value, edit, path, f"{key}.{name}")
            elif edit.op == "change":
                raise _no_param(f"{key}.{name}", Edit(f"{key}.{name}", value), old, path, at)
            else:
                yield _Step("insert", (*at, name), value)
    elif not _same(old, new):
        yield _Step("set", at, new)


def _no_param(key: str, edit: Edit, tree: object, path: str, at: _Where = ()) -> NotFound:
    prefix = "".join(f"{part}." for part in at)
    near = nearest(key.removeprefix(prefix), tree)
    near = near and prefix + near
    message = f"No param `{key}` in {path}. Nothing was run."
    if edit.op == "delete":
        known = [near] if near else [prefix + name for name in flatten(tree)][:5]
        there = ", ".join(f"`{name}`" for name in known)
        return NotFound(
            message, f"did you mean {there}?" if near else f"{path} has {there or 'none'}."
        )
    add = f"A new param is added with a plus: `nbexp run -S {_typed(path, '+', key)}={_spelled(edit.value)}`."
    if near:
        return NotFound(message, f"did you mean `{near}`? {add}")
    known = [prefix + name for name in flatten(tree) if name]
    there = ", ".join(f"`{name}`" for name in known[:5]) + (", …" if len(known) > 5 else "")
    return NotFound(message, f"{path} has {there}. {add}" if known else add)


def _typed(path: str, sign: str, key: str) -> str:
    """A key as it is typed after `-S`."""
    return f"{sign}{key}" if path == "params.yaml" else f"{path}:{sign}{key}"


def _spelled(value: object) -> str:
    """A value as it is typed after `-S`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_spelled, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_spelled(k)}:{_spelled(v)}" for k, v in value.items()) + "}"
    text = str(value)
    simple = not isinstance(value, str) or re.fullmatch(r"[\w/.+*@%-]+( [\w/.+*@%-]+)*", text)
    return text if simple and (not isinstance(value, str) or _plain(text) == text) else f"'{text}'"


def _writable(value: object, key: str) -> object:
    """The value in Python's own types (numbers of NumPy are not), or a UsageError."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The value of `{key}` is not valid text: {value!r}.") from None
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dict):
        return {
            _writable(name, key): _writable(inner, f"{key}.{name}") for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_writable(inner, f"{key}.{index}") for index, inner in enumerate(value)]
    for convert in ("tolist", "item"):  # numpy arrays and scalars, which are the usual guests
        method = getattr(value, convert, None)
        if callable(method):
            plain = method()
            if isinstance(plain, bool | int | float | str | list):
                return _writable(plain, key)
    raise UsageError(
        f"The value of `{key}` is a {type(value).__name__}; numbers, text, true, false, null, lists and mappings "
        "can be params.",
    )


def _with_text_keys(value: object) -> object:
    """The value with the keys that JSON and TOML can have."""
    if isinstance(value, dict):
        pairs = (
            (key if isinstance(key, str) else _spelled(key), one) for key, one in value.items()
        )
        return {key: _with_text_keys(one) for key, one in pairs}
    return [_with_text_keys(one) for one in value] if isinstance(value, list) else value


def _apply(tree: object, steps: Iterable[_Step]) -> object:
    """The tree after the steps; the text has to say just this afterwards."""
    tree = _copied({} if tree is None else tree)
    for step in steps:
        if not step.where:
            tree = step.value
            continue
        here = tree
        for key in step.where[:-1]:
            here = here[key]  # type: ignore[index]  # a mapping or a list, as `_steps` found it
        last = step.where[-1]
        if step.op == "remove":
            del here[last]  # type: ignore[attr-defined]
        elif isinstance(here, list) and last == len(here):
            here.append(step.value)
        else:
            here[last] = step.value  # type: ignore[index]
    return tree


# ---- changing text


class _NotHere(Exception):
    """The change cannot be made by replacing spans of this text."""


def _edited(text: str, path: str, tree: object, steps: Sequence[_Step]) -> str:
    """The text after the steps, proven by reading it."""
    expected = _apply(tree, steps)
    kind = _format_of(path)
    writers: list[Callable[[], str]] = [lambda: _TEXTS[kind](text, path).make(steps)]
    if kind == "yaml":
        writers.append(lambda: _by_ruamel(text, steps))
    for write in writers:
        try:
            written = write()
            if _says(written, path, tree, expected, steps):
                return written
        except (_NotHere, ProjectFileError, IndexError, ValueError):
            continue  # a way of writing that the scanners here do not know: the next writer, or none
    key = ".".join(map(str, steps[0].where))
    raise ProjectFileError(
        f"`{key}` cannot be changed without touching more than its value. Nothing was run.",
        "change it in an editor and run again.",
        path=path,
    )


def _says(text: str, path: str, tree: object, expected: object, steps: Sequence[_Step]) -> bool:
    """Whether the text says what is expected of the steps on the tree."""
    found = parse(text.encode(), path)
    if _same(found, expected):
        return True
    if _format_of(path) == "toml":
        # A table that dotted keys made goes with the last of them.
        return _same(_without_empty(found), _without_empty(expected))
    if "*" not in text or _format_of(path) != "yaml":
        return False
    # What a shared mapping holds changes in several places at once: what was asked for is there, and nothing
    # came up anywhere that was not asked for.
    asked = list[object]()
    for step in steps:
        here: object = found
        for key in step.where:
            inner = dict(_children(here))
            if key not in inner:
                here = MISSING
                break
            here = inner[key]
        if step.op == "remove":
            asked += flatten(found).values()  # a key that `<<` brings may come into sight
        elif not _same(here, step.value):
            return False
        asked += flatten(step.value).values() if isinstance(step.value, dict) else [step.value]
    before = flatten(tree)
    return all(
        (key in before and _same(value, before[key])) or any(_same(value, one) for one in asked)
        for key, value in flatten(found).items()
    )


class _Node:
    """A value of the text: what kind, and from where to where it stands (anchor and tag not included).

    Written out and not a dataclass: making those costs a module 2 ms each, and this one is read early.
    """

    def __init__(
        self, kind: Literal["map", "list", "leaf"], start: int, end: int, *, flow: bool = True
    ) -> None:
        self.kind = kind
        self.start = start
        self.end = end
        self.flow = flow  # between brackets, or a scalar; else its entries have lines of their own
        self.entries: list[_Entry] = []
        self.plain = False  # a scalar without quotes
        self.quote = ""
        # YAML: where anchor and tag stand, and what refers to the anchor
        self.properties: tuple[int, int] | None = None
        self.anchor: str | None = None
        self.aliases: list[tuple[int, int]] = []
        # TOML: behind which line a new key goes (None: nowhere), and what its dotted key begins with
        self.tail: int | None = None
        self.prefix = ""


class _Entry:
    """A key and its value, or an element of a list (whose key is None)."""

    def __init__(self, key: object, start: int, key_end: int, node: _Node) -> None:
        self.key = key
        self.start = start
        self.key_end = key_end
        self.node = node
        self.end = node.end
        # Where the value stands here, if `node` stands where the anchor is.
        self.alias: tuple[int, int] | None = None


class _Text:
    """A text whose values can be replaced where they stand; the formats differ in how it is read and spelled.

    Here is what all of them share: values between brackets.
    """

    gap = r"(?:[ \t\r\n]|#[^\n]*)*"  # white space and comments
    colon = ": "

    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.newline = "\r\n" if "\r\n" in text else "\n"

    def make(self, steps: Iterable[_Step]) -> str:
        for step in steps:
            if step.op == "remove":
                self.remove(step.where)
            elif step.op == "insert":
                self.insert(step.where, step.value)
            else:
                self.set(step.where, step.value)
        return self.text

    def read(self) -> _Node | None:
        raise NotImplementedError

    def flow(self, value: object) -> str:
        """The value on one line, as it stands between brackets."""
        raise NotImplementedError

    def set(self, where: _Where, value: object) -> None:
        node = self.find(where)
        if not node.flow:
            raise _NotHere
        self.splice(node.start, node.end, self.spelled(value, node))

    def insert(self, where: _Where, value: object) -> None:
        node = self.find(where[:-1])
        if not node.flow or node.kind == "leaf":
            raise _NotHere
        self.insert_in_flow(node, where[-1], value)

    def remove(self, where: _Where) -> None:
        node = self.find(where[:-1])
        if not node.flow:
            raise _NotHere
        self.remove_from_flow(node, self.index_of(node, where[-1]))

    def spelled(self, value: object, node: _Node, *, beside: bool = False) -> str:
        """The value as it replaces the node, or as it is put into it beside others."""
        return self.flow(value)

    # what the formats build on

    def find(self, where: _Where) -> _Node:
        node = self.read()
        if node is None:
            raise _NotHere
        for key in where:
            node = node.entries[self.index_of(node, key)].node
        return node

    @staticmethod
    def index_of(node: _Node, key: object) -> int:
        if node.kind == "list" and isinstance(key, int) and key < len(node.entries):
            return key
        if node.kind == "map":
            # From the end: where Python assigns a name twice, the last one counts.
            for index in range(len(node.entries) - 1, -1, -1):
                if node.entries[index].key == key:
                    return index
        raise _NotHere

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

    def pair(self, node: _Node, key: object, value: object) -> str:
        if node.kind == "list":
            return self.spelled(value, node, beside=True)
        return f"{self.key(key)}{self.colon}{self.spelled(value, node, beside=True)}"

    def key(self, key: object) -> str:
        return self.flow(key)

    def insert_in_flow(self, node: _Node, key: object, value: object) -> None:
        new = self.pair(node, key, value)
        opening, closing = self.text[node.start], self.text[node.end - 1]
        if opening not in "[{(" or closing not in "]})":
            raise _NotHere  # YAML's `[a: 1]`
        if not node.entries:
            if self.text[node.start + 1 : node.end - 1].strip():
                raise _NotHere  # a comment, which stays
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

    def comma_gap(self, node: _Node) -> str:
        """What stands between a comma and the next entry."""
        if len(node.entries) < 2:
            return " "
        before = self.text[: node.entries[-1].start]
        gap = before[len(before.rstrip()) :]
        return gap if "\n" not in gap else " "

    def remove_from_flow(self, node: _Node, index: int) -> None:
        entries = node.entries
        entry = entries[index]
        if len(entries) == 1:
            self.splice(node.start + 1, node.end - 1, "")
        elif index + 1 < len(entries):
            self.splice(entry.start, entries[index + 1].start, "")
        else:
            self.splice(entries[index - 1].end, entry.end, "")


# ---- changing JSON


class _Json(_Text):
    gap = r"[ \t\r\n]*"
    string = r'"(?:[^"\\]|\\.)*"'
    word = r"[^\s,\]}]+"

    def read(self) -> _Node:
        return self.node(self.after_gap(0))

    def node(self, start: int) -> _Node:
        import json

        opening = self.text[start]
        if opening not in "[{":
            end = self.at(self.string if opening == '"' else self.word, start)
            if end is None:
                raise _NotHere
            return _Node("leaf", start, end)
        node = _Node("map" if opening == "{" else "list", start, start)
        place = self.after_gap(start + 1)
        while self.text[place] not in "]}":
            key, entry_start, key_end = None, place, place
            if opening == "{":
                key_end = self.at(self.string, place) or place
                key = json.loads(self.text[place:key_end])
                place = self.after_gap(self.after_gap(key_end) + 1)
            value = self.node(place)
            node.entries.append(_Entry(key, entry_start, key_end, value))
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

    def make(self, steps: Iterable[_Step]) -> str:
        between = re.search(r'"\s*(:[ \t]*)', self.text)
        self.colon = between[1] if between else ": "
        return super().make(steps)

    def spelled(self, value: object, node: _Node, *, beside: bool = False) -> str:
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


# ---- changing YAML


class _Yaml(_Text):
    def read(self) -> _Node | None:
        import yaml

        stack: list[tuple[_Node, list[_Entry]]] = []  # with the key whose value comes next
        root: _Node | None = None
        anchors: dict[str, _Node] = {}
        for event in _yaml_events(self.text):
            start, end = event.start_mark.index, event.end_mark.index
            alias: tuple[int, int] | None = None
            key: object = MISSING
            if isinstance(event, yaml.AliasEvent):
                node = anchors[str(event.anchor)]
                alias = (start, end)
                node.aliases.append(alias)
            elif isinstance(event, yaml.ScalarEvent):
                node = self.leaf(event)
                key = _plain(event.value) if node.plain else _tagged(event)
                if node.plain and key == "<<":
                    key = _MERGE
                if event.anchor:
                    anchors[event.anchor] = node
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                is_map = isinstance(event, yaml.MappingStartEvent)
                node = _Node("map" if is_map else "list", start, end)
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
                pending.append(_Entry(key, start, alias[1] if alias else node.end, node))
                continue
            entry = entry or _Entry(None, start, start, node)
            entry.node, entry.end, entry.alias = node, alias[1] if alias else node.end, alias
            parent.entries.append(entry)
        return root

    def leaf(self, event: Any) -> _Node:
        node = _Node("leaf", event.start_mark.index, event.end_mark.index)
        node.plain = event.implicit[0]
        self.properties(node, event)
        first = self.text[node.start : node.start + 1]
        if not node.plain and first in {"'", '"'}:
            node.quote = first
        elif not node.plain:
            # The end of `|` and `>` is where the next thing begins.
            node.end = node.start + len(self.text[node.start : node.end].rstrip())
        return node

    def properties(self, node: _Node, event: Any) -> None:
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

    def find(self, where: _Where) -> _Node:
        node = self.read()
        if node is None:
            raise _NotHere
        for key in where:
            node = self.entry_of(node, key)[0].node
        return node

    def entry_of(self, node: _Node, key: object) -> tuple[_Entry, bool]:
        """The entry, and whether it is the mapping's own or comes through `<<`."""
        try:
            return node.entries[self.index_of(node, key)], True
        except _NotHere:
            for entry in node.entries:
                if entry.key is not _MERGE:
                    continue
                sources = [entry.node]
                if entry.node.kind == "list":
                    sources = [inner.node for inner in entry.node.entries]
                for source in sources:
                    try:
                        return self.entry_of(source, key)[0], False
                    except _NotHere:
                        continue
            raise

    def column(self, position: int) -> int:
        return position - self.line_start(position)

    def step(self, root: _Node) -> int:
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

    def dash(self, node: _Node, index: int) -> int:
        """Where the `-` of a block list's element is."""
        place = self.after_gap(node.entries[index - 1].end if index else node.start)
        if self.text[place : place + 1] != "-":
            raise _NotHere
        return place

    # changing

    def set(self, where: _Where, value: object) -> None:
        root = self.read()
        if root is None or not where:
            raise _NotHere
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
                raise _NotHere
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

    def set_inline(self, parent: _Node, entry: _Entry, value: object, *, own_line: bool) -> None:
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
                    raise _NotHere
                new = f": {new}"
                place = entry.key_end
            elif place and self.text[place - 1] not in " \t":
                new = f" {new}"
            if self.text[place : place + 1] not in {"", " ", "\t", "\r", "\n", ",", "}", "]"}:
                new += " "
            self.splice(place, place, new)
        else:
            self.splice(before, node.end, new)

    def set_below(self, entry: _Entry, lines: list[str]) -> None:
        """Replace what stands behind a key by lines below it; a comment there stays with the key."""
        node = entry.node
        start = node.properties[0] if node.properties else node.start
        stop = self.line_end(node.end)
        rest = self.text[node.end : stop]
        kept = self.text[:start].rstrip(" \t")
        if not kept.endswith(":"):
            raise _NotHere
        comment = f" {rest.strip()}" if rest.strip() else ""
        below = self.newline.join(["", *lines])
        self.text = kept + comment + below + self.text[stop:]

    def drop_properties(self, node: _Node) -> None:
        if node.properties:
            start, stop = node.properties
            self.splice(len(self.text[:start].rstrip(" \t")), stop, "")

    def lines(self, parent: _Node, entry: _Entry, value: object, root: _Node) -> list[str] | None:
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

    def insert(self, where: _Where, value: object) -> None:
        root = self.read()
        if root is None or (root.kind == "leaf" and root.start == root.end):
            self.append({where[0]: value}, where)
            return
        node = root
        for key in where[:-1]:
            node = self.entry_of(node, key)[0].node
        if node.flow:
            if node.kind == "leaf":
                raise _NotHere
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

    def append(self, mapping: dict[object, object], where: _Where) -> None:
        """Write the first keys of a file that has none, below its comments."""
        if len(where) != 1:
            raise _NotHere
        if self.text and not self.text.endswith("\n"):
            self.text += self.newline
        self.text += self.newline.join([*self.block(mapping, 0, 2), ""])

    def remove(self, where: _Where) -> None:
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
            raise _NotHere

    # spelling

    def flow(self, value: object, *, inside: bool = True, quote: str = "") -> str:
        """The value on one line, `inside` brackets or not; `quote` is what a string had around it."""
        if isinstance(value, dict):
            pairs = (f"{self.flow(key)}: {self.flow(inner)}" for key, inner in value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self.flow, value)) + "]"
        if isinstance(value, str):
            return _yaml_string(value, inside=inside, quote=quote)
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        if isinstance(value, float):
            return _yaml_float(value)
        return str(value)


def _yaml_float(value: float) -> str:
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


def _yaml_string(text: str, *, inside: bool, quote: str) -> str:
    """A string as ruamel.yaml spells it on one line: plain if it can be, else in the quotes it needs."""
    if quote == '"' or not all(map(_shows, text)):
        return '"' + "".join(map(_escaped, text)) + '"'
    plain = (
        not quote
        and type(_plain(text)) is str
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
        return _yaml_string(text, inside=inside, quote='"')
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


def _by_ruamel(text: str, steps: Sequence[_Step]) -> str:
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
    except (YAMLError, RecursionError, *_PYTHONS_OWN):
        raise _NotHere from None
    newline = "\r\n" if "\r\n" in text else "\n"
    return out.getvalue().replace("\r\n", "\n").replace("\n", newline)


# ---- changing TOML


class _Toml(_Text):
    colon = " = "
    bare = r"[A-Za-z0-9_-]+"
    quoted = r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\''
    scalar = (
        rf'"""(?:\\.|[^\\])*?"{{3,5}}|\'\'\'.*?\'{{3,5}}|{quoted}'
        r"|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[^\s,\]}#]+|[^\s,\[\]{}#=]+"
    )

    def read(self) -> _Node:
        root = _Node("map", 0, 0, flow=False)
        self.sections: list[tuple[_Where, int, int]] = []
        table, at, section = root, 0, 0
        path: _Where = ()
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
            home.entries.append(_Entry(keys[-1], at, stop, value))
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
                raise _NotHere
            names += tomllib.loads(f"{self.text[at:end]} = 0")
            at = end
            if self.text[self.skip(at) : self.skip(at) + 1] != ".":
                return names, at
            at = self.skip(self.skip(at) + 1)

    def inner(self, node: _Node, key: str) -> _Node:
        """The table of a key inside a table, made if it was not spoken of before."""
        if node.kind == "list":
            node = node.entries[-1].node
        for entry in node.entries:
            if entry.key == key:
                last = entry.node
                return last.entries[-1].node if last.kind == "list" and not last.flow else last
        made = _Node("map", 0, 0, flow=False)
        node.entries.append(_Entry(key, 0, 0, made))
        return made

    def table(self, root: _Node, keys: Sequence[str], *, many: bool) -> tuple[_Node, _Where]:
        node, path = root, list[object]()
        for key in keys[: -1 if many else None]:
            node = self.inner(node, key)
            path.append(key)
        if many:
            entry = next((entry for entry in node.entries if entry.key == keys[-1]), None)
            if entry is None:
                entry = _Entry(keys[-1], 0, 0, _Node("list", 0, 0, flow=False))
                node.entries.append(entry)
            path += [keys[-1], len(entry.node.entries)]
            node = _Node("map", 0, 0, flow=False)
            entry.node.entries.append(_Entry(None, 0, 0, node))
        return node, tuple(path)

    def value(self, start: int) -> _Node:
        opening = self.text[start]
        if opening not in "[{":
            end = self.at(self.scalar, start)
            if end is None:
                raise _NotHere
            node = _Node("leaf", start, end)
            node.quote = opening if opening in "'\"" else ""
            return node
        node = _Node("map" if opening == "{" else "list", start, start)
        at = self.after_gap(start + 1)
        while self.text[at] not in "]}":
            if opening == "[":
                value = self.value(at)
                node.entries.append(_Entry(None, at, at, value))
            else:
                keys, stop = self.keys(at)
                if len(keys) > 1:
                    raise _NotHere
                value = self.value(self.skip(self.skip(stop) + 1))
                node.entries.append(_Entry(keys[0], at, stop, value))
            at = self.after_gap(value.end)
            if self.text[at] == ",":
                at = self.after_gap(at + 1)
        node.end = at + 1
        return node

    def insert(self, where: _Where, value: object) -> None:
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
            raise _NotHere
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

    def remove(self, where: _Where) -> None:
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

    def lines_of(self, node: _Node) -> list[_Entry]:
        found: list[_Entry] = []
        for entry in node.entries:
            found += [entry] if entry.node.flow else self.lines_of(entry.node)
        return found

    def key(self, key: object) -> str:
        text = str(key)
        return text if re.fullmatch(self.bare, text) else self.flow(text)

    def spelled(self, value: object, node: _Node, *, beside: bool = False) -> str:
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


# ---- changing Python


class _Py(_Text):
    def read(self) -> _Node:
        self.starts = [0]
        # Python ends lines at these three; str.splitlines knows more.
        for end in re.finditer(r"\r\n|\r|\n", self.text):
            self.starts.append(end.end())
        return self.body(_py_tree(self.text, self.path).body, only_self=False)

    def place(self, line: int, column: int) -> int:
        """The place of a position of `ast`, whose columns are bytes."""
        start = self.starts[line - 1]
        end = self.starts[line] if line < len(self.starts) else len(self.text)
        return start + len(self.text[start:end].encode()[:column].decode())

    def body(self, body: Iterable[ast.stmt], *, only_self: bool) -> _Node:
        import ast

        node = _Node("map", 0, 0, flow=False)
        for statement in body:
            if isinstance(statement, ast.ClassDef):
                inner = self.body(statement.body, only_self=False)
                node.entries.append(_Entry(statement.name, 0, 0, inner))
            elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                node.entries += self.body(statement.body, only_self=True).entries
            else:
                found = _py_assignment(statement, only_self=only_self)
                if found is not None:
                    value = self.node(found[1])
                    node.entries.append(_Entry(found[0], 0, 0, value))
        return node

    def node(self, value: ast.expr) -> _Node:
        import ast

        start = self.place(value.lineno, value.col_offset)
        end = self.place(value.end_lineno or 0, value.end_col_offset or 0)
        if isinstance(value, ast.Dict):
            node = _Node("map", start, end)
            for key, inner in zip(value.keys, value.values, strict=True):
                assert key is not None  # `**other` is no literal
                one = self.node(inner)
                key_start = self.place(key.lineno, key.col_offset)
                key_end = self.place(key.end_lineno or 0, key.end_col_offset or 0)
                name = ast.literal_eval(key)
                node.entries.append(_Entry(name, key_start, key_end, one))
            return node
        if isinstance(value, ast.List | ast.Tuple | ast.Set):
            node = _Node("list", start, end)
            node.quote = "(" if isinstance(value, ast.Tuple) else ""
            for element in value.elts:
                one = self.node(element)
                node.entries.append(_Entry(None, one.start, one.start, one))
            return node
        return _Node("leaf", start, end)

    def insert(self, where: _Where, value: object) -> None:
        if len(where) > 1 or not str(where[0]).isidentifier():
            super().insert(where, value)
            return
        if self.text and not self.text.endswith("\n"):
            self.text += self.newline
        self.text += f"{where[0]} = {self.flow(value)}{self.newline}"

    def spelled(self, value: object, node: _Node, *, beside: bool = False) -> str:
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


_TEXTS: dict[str, Callable[[str, str], _Text]] = {
    "json": _Json,
    "yaml": _Yaml,
    "toml": _Toml,
    "py": _Py,
}
