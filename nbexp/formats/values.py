"""Params and metrics files: what they say. `editing` has the smallest change that makes them say something else.

By suffix: `.json`, `.toml`, `.py`, all else YAML 1.2 as DVC reads it. With `editing`, this alone knows how a
value is spelled on disk.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final, Literal, cast

from nbexp.formats import limits
from nbexp.formats.limits import MAX_BYTES, MAX_LEAVES

__all__ = [
    "MAX_BYTES",
    "MISSING",
    "child",
    "children",
    "flatten",
    "format_of",
    "lookup",
    "nearest",
    "number",
    "parse",
    "same",
]


class _Missing:
    """The type of `MISSING`, which is neither null nor anything a file can hold."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"  # pickled by name: there is one


MISSING: Final = _Missing()


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
        The file is not valid, with the line; or it is beyond the limits of `limits`.

    Notes
    -----
    YAML is read as DVC 3.67.1 reads it, which is ruamel.yaml with YAML 1.2: `1e-3` is a number, `yes` a string,
    `010` ten, a repeated key an error. `tests/formats/test_values.py` compares the two.

    Examples
    --------
    >>> parse(b"train: {lr: 1e-3, shuffle: yes}", "params.yaml")
    {'train': {'lr': 0.001, 'shuffle': 'yes'}}
    """
    text = limits.decoded(data, path)
    kind = format_of(path)
    if kind == "yaml":
        from nbexp.formats import yaml12

        return yaml12.parse(text, path, max_leaves)
    if kind == "json":
        value = _parse_json(text, path)
        # A value takes two characters at least and a level one bracket: most files need no look.
        if len(text) <= 2 * max_leaves and text.count("[") + text.count("{") <= limits.MAX_DEPTH:
            return value
    elif kind == "toml":
        value = _parse_toml(text, path)
    else:
        from nbexp.formats import python_params

        value = python_params.parse(text, path)
    limits.check_shape(value, path, max_leaves)
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
        step = child(tree, part)
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

    from nbexp.errors import nearest as nearest_word

    # A key with a dot in its name, which no key names, is not what is meant.
    names = [name for name in _names(tree) if name != key]
    last = key.rpartition(".")[2]
    close = nearest_word(key, names)
    same_end = [name for name in names if name.rpartition(".")[2] == last]
    if same_end and (close is None or "." not in key):
        return difflib.get_close_matches(key, same_end, n=1, cutoff=0.0)[0]
    return close


# ---- walking trees


def child(here: object, part: str) -> tuple[object, object] | None:
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


def children(here: object) -> Iterable[tuple[object, object]]:
    """The keys and values of a mapping, or the elements of a list by number."""
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
    for key, value in children(here):
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


def number(cell: object) -> object:
    """What a text stands for where numbers are written as texts: the number, or the text as it is.

    Examples
    --------
    >>> number("3"), number("0.5"), number("adam")
    (3, 0.5, 'adam')
    """
    if not isinstance(cell, str):
        return cell
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def same(one: object, other: object) -> bool:
    """Equal in type too, so that 1, 1.0 and true are three values; NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        alike = one == other and math.copysign(1, one) == math.copysign(1, other)
        return alike or (math.isnan(one) and math.isnan(other))
    return one == other


# ---- reading


def format_of(path: str) -> Literal["yaml", "json", "toml", "py"]:
    """The format that the suffix of `path` stands for."""
    suffix = path.lower().rpartition(".")[2]
    return cast('Literal["json", "toml", "py"]', suffix) if suffix in _SUFFIXES else "yaml"


_SUFFIXES = frozenset({"json", "toml", "py"})


def _parse_json(text: str, path: str) -> object:
    import json

    long = re.search(rf"[0-9]{{{limits.MAX_DIGITS + 1}}}", text) is not None
    try:
        return cast("object", json.loads(text, parse_int=limits.whole_number if long else None))
    except json.JSONDecodeError as error:
        raise limits.invalid("JSON", error.msg, path, error.lineno) from None
    except RecursionError:
        raise limits.too_deep(path) from None
    except ValueError as error:
        raise limits.invalid("JSON", str(error), path, None) from None


def _parse_toml(text: str, path: str) -> object:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).partition(" (at line ")
        line = re.match(r"[0-9]+", place)
        last = text.rstrip().count("\n") + 1
        raise limits.invalid("TOML", problem, path, int(line[0]) if line else last) from None
    except RecursionError:
        raise limits.too_deep(path) from None
    except ValueError:
        problem = f"a whole number has more than {limits.MAX_DIGITS:,} digits"
        raise limits.invalid("TOML", problem, path, None) from None


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
