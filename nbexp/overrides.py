"""What stands after `-S`: text or a mapping in, a list of points out, each point a tuple of overrides.

The grammar is Hydra's, with DVC's file in front: `[FILE:][+|++|~]KEY[=VALUE]`. Keys are read here; so are values
that are one plain word or number, or several with commas between, which are nearly all, because importing Hydra's
parser takes 140 ms. Everything with grammar in it (quotes, brackets, functions, `${…}`) goes to hydra-core, whose one
home this is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from nbexp.errors import UsageError
from nbexp.frozen import frozen, replace

if TYPE_CHECKING:
    from decimal import Decimal

    from hydra.core.override_parser.types import RangeSweep

__all__ = [
    "DEFAULT_FILE",
    "Axis",
    "Interval",
    "Op",
    "Override",
    "axes",
    "hydra_text",
    "parse",
    "resolve",
    "spell",
]

DEFAULT_FILE = "params.yaml"
# Beyond this a sweep is a slip of the pen (`range(0,1,1e-9)`), and its points would fill the memory.
MAX_POINTS = 100_000

Op = Literal["change", "add", "force", "delete"]


@frozen
class Override:
    """One param and the value it gets, in one point of a sweep.

    Attributes
    ----------
    file
        The params file, relative to the project, as typed.
    key
        Dotted.
    value
        In Python's own types; may hold `${…}` in text until `resolve`.
    op
        `change` an existing key (no sign), `add` a new one (`+`), `force` either (`++`), `delete` (`~`).
    has_value
        Off for a bare `~key`, which deletes whatever the value is.
    text
        What was typed; where that is many points, what would be typed for this one alone.
    """

    file: str
    key: str
    value: object
    op: Op = "change"
    has_value: bool = True
    text: str = ""


@frozen
class Interval:
    """All numbers from `start` to `stop`, of which a sampler picks."""

    start: float
    stop: float
    tags: tuple[str, ...] = ()


@frozen
class Axis:
    """One `-S` item: a key, and the values it takes one after the other, or the interval it lies in."""

    file: str
    key: str
    values: tuple[object, ...] | Interval
    op: Op = "change"
    has_value: bool = True
    text: str = ""

    def at(self, value: object) -> Override:
        """The override that gives the key this value."""
        if isinstance(self.values, tuple) and len(self.values) == 1:
            return Override(self.file, self.key, value, self.op, self.has_value, self.text)
        text = f"{_address(self.file, self.op, self.key)}={spell(value)}"
        return Override(self.file, self.key, value, self.op, self.has_value, text)


def parse(items: Iterable[str] | Mapping[str, object]) -> list[tuple[Override, ...]]:
    """The points that the items span: every combination of their values, the first item slowest.

    Without a list of choices that is one point, without items one empty point. A mapping is one point: its
    values are taken as they are (a list is a value), its keys may have a sign and a file: `{"+a.b": 1}`.
    Text is one item.

    Raises
    ------
    UsageError
        An item cannot be read, has an interval (a run takes one value), or there are too many points.

    Notes
    -----
    hydra-core 1.3.8's meaning, except that a range of floats is stepped in decimals and never reaches its stop
    (`range(0.1,0.4,0.1)` is 0.1, 0.2, 0.3), text may hold any letter, and keys any but those with a
    meaning. `tests/test_overrides.py` compares the short way with Hydra's.

    Examples
    --------
    >>> [[(o.key, o.value) for o in point] for point in parse(["lr=0.1,0.2", "seed=1"])]
    [[('lr', 0.1), ('seed', 1)], [('lr', 0.2), ('seed', 1)]]
    """
    if isinstance(items, Mapping):
        point = []
        for name, value in items.items():
            file, op, key = _split_address(name, name)
            has_value = op != "delete" or value is not None
            text = _address(file, op, key) + (f"={spell(value)}" if has_value else "")
            point.append(Override(file, key, value, op, has_value, text))
        return [tuple(point)]
    if isinstance(items, str):
        items = (items,)
    chosen = axes(items)
    if any(isinstance(axis.values, tuple) and len(axis.values) > 1 for axis in chosen):
        # As Hydra's sweeper has it: what is said of a param last holds, and the values said before make no points.
        chosen = tuple({(axis.file, axis.op, axis.key): axis for axis in chosen}.values())
    points: list[tuple[Override, ...]] = [()]
    for axis in chosen:
        if isinstance(axis.values, Interval):
            raise UsageError(
                f"`{axis.text}` names an interval; a run takes one value of it. Nothing was run.",
                f"`nbexp sweep --random 20 -S '{axis.text}'` draws some, `--optuna` looks for the best.",
            )
        if len(points) * len(axis.values) > MAX_POINTS:
            raise _too_many(axis.text)
        step = [axis.at(value) for value in axis.values]
        points = [(*point, override) for point in points for override in step]
    return points


def axes(items: Iterable[str]) -> tuple[Axis, ...]:
    """The items with their choices not yet combined, for samplers; intervals are welcome here.

    Examples
    --------
    >>> axes(["lr=interval(0.001,0.1)"])[0].values
    Interval(start=0.001, stop=0.1, tags=())
    """
    return tuple(_axis(item) for item in items)


def resolve(overrides: Sequence[Override], read: Callable[[str], object]) -> tuple[Override, ...]:
    r"""The overrides with each `${key}` replaced by what the file says once the others are made.

    Parameters
    ----------
    read
        Gives the tree of a params file by its name; asked only about files with a `${…}` to resolve.

    Raises
    ------
    UsageError
        There is nothing at the key that a `${…}` names, or a key names a package of a configuration group
        (`model@big`), which no params file has.

    Notes
    -----
    OmegaConf's interpolation: `${.sibling}`, text around it, `${oc.env:HOME}`; `\${` stays a `${`.
    """
    for one in overrides:
        if "@" in one.key:
            raise _no_key(one.key, one.text)
    out = list(overrides)
    for file in dict.fromkeys(one.file for one in overrides if _interpolates(one.value)):
        ours = [one for one in overrides if one.file == file]
        for one, value in zip(ours, _resolved(ours, read(file)), strict=True):
            out[out.index(one)] = replace(one, value=value)
    return tuple(out)


def spell(value: object) -> str:
    """The value as it would be typed after `=`, so that it is read as the same value again.

    Examples
    --------
    >>> spell([1, "1", None, True, "a b", {"x": 0.5}])
    "[1,'1',null,true,a b,{x:0.5}]"
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, Mapping):
        # Hydra's grammar has no quotes for keys: one that is called `nan` or has a colon cannot be typed.
        pairs = (
            (str(key) if isinstance(key, str) else spell(key), one) for key, one in value.items()
        )
        return "{" + ",".join(f"{key}:{spell(one)}" for key, one in pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(spell, value)) + "]"
    if not isinstance(value, str):
        return str(value)
    if (
        value.isascii()
        and re.fullmatch(_WORDS, value)
        and ":" not in value
        and _scalar(value) == value
    ):
        return value
    # Backslashes count only in front of a quote: double those, and escape the quote.
    body = re.sub(r"(\\*)'", lambda run: run[1] * 2 + r"\'", value)
    tail = len(body) - len(body.rstrip("\\"))
    return f"'{body}{chr(92) * tail}'"


def hydra_text(override: Override) -> str:
    """The override as Hydra itself is given it, which has no files.

    What was typed stays as it was, but for letters that Hydra's grammar does not know: these stand in quotes.

    Examples
    --------
    >>> [hydra_text(one) for one in parse(["params.yaml:+name=Zürich", "~lr"])[0]]
    ["+name='Zürich'", '~lr']
    """
    address = _address(DEFAULT_FILE, override.op, override.key)
    if not override.has_value:
        return address
    typed = override.text.partition("=")[2]
    return f"{address}={typed if typed.isascii() else spell(override.value)}"


# ---- one item


def _axis(item: str) -> Axis:
    address, equals, typed = item.partition("=")
    file, op, key = _split_address(address, item)
    if not equals:
        if op != "delete":
            raise UsageError(
                f"`{item}` gives `{key}` no value. Nothing was run.",
                f"`nbexp run -S {_address(file, op, key)}=VALUE`.",
            )
        return Axis(file, key, (None,), op, has_value=False, text=item)
    typed = typed.strip(" \t")
    if not typed:
        values: tuple[object, ...] | Interval = ("",)
    elif re.fullmatch(_WORDS, typed):
        values = (_scalar(typed),)
    elif (listed := _listed(typed)) is not None:
        values = listed
    else:
        values = _by_hydra(typed, item)
    if op == "delete" and not (isinstance(values, tuple) and len(values) == 1):
        raise UsageError(
            f"`{item}` deletes one value, not a choice of them. Nothing was run.",
            f"`nbexp run -S '{_address(file, op, key)}'` deletes the param whatever it is.",
        )
    return Axis(file, key, values, op, text=item)


_SIGNS: dict[str, Op] = {"": "change", "+": "add", "++": "force", "~": "delete"}


def _split_address(address: str, item: str) -> tuple[str, Op, str]:
    """File, kind and key of what stands before the `=`; the sign may be before the file or before the key."""
    found = re.fullmatch(r"\s*(\+\+|\+|~|)(?:([^:]*):)?(\+\+|\+|~|)([^:]*?)\s*", address, re.DOTALL)
    if found is None or (found[1] and found[3]):
        raise _unreadable(item)
    sign, file, key = found[1] or found[3], found[2], found[4]
    if file == "":
        raise UsageError(
            f"`{item}` has no file before its colon. Nothing was run.",
            f"`nbexp run -S {sign}{key}=VALUE` changes {DEFAULT_FILE}.",
        )
    if "[" in key or "]" in key:
        dotted = re.sub(r"\[(-?[0-9]+)\]", r".\1", key).lstrip(".")
        value = item.partition("=")[2]
        raise UsageError(
            f"`{item}` has brackets in its key. Nothing was run.",
            f"an element of a list is named by a dot: `nbexp run -S {_address(file or DEFAULT_FILE, _SIGNS[sign], dotted)}={value}`.",
        )
    # `group@package` chooses a configuration where params are composed; elsewhere `resolve` refuses it.
    if not key or not all(
        re.fullmatch(r"[\w$/@-](?:[\w$/@ -]*[\w$/@-])?", part) for part in key.split(".")
    ):
        raise _no_key(key, item)
    return file or DEFAULT_FILE, _SIGNS[sign], key


def _no_key(key: str, item: str) -> UsageError:
    return UsageError(
        f"`{key}` in `{item}` is no key of a param. Nothing was run."
        if key
        else f"`{item}` has no key before its `=`. Nothing was run.",
        "a key is names with dots between them: `nbexp run -S train.lr=0.1`.",
    )


def _address(file: str, op: Op, key: str) -> str:
    sign = next(sign for sign, kind in _SIGNS.items() if kind == op)
    return f"{sign}{key}" if file == DEFAULT_FILE else f"{file}:{sign}{key}"


# ---- values without grammar

# Patterns as text, which `re` compiles when the first is asked for: most commands ask for none.
# What Hydra takes without quotes, and the letters beyond ASCII, which it does not know. A colon with space around
# it keeps that, even at the end of a value, and `\` and `$` may begin something: these go the long way.
_CHAR = r"""[^\x00-\x20\x7f-\xa0!"#$&'(),:;<=>\[\\\]^`{}~]"""
_WORDS = rf"{_CHAR}+(?:[: \t]{_CHAR}+)*"
_DIGITS = "[0-9](?:_?[0-9])*"
_WHOLE = "(?:0|[1-9](?:_?[0-9])*)"
_POINT = rf"(?:{_WHOLE}\.|{_WHOLE}?\.{_DIGITS})"
_INT = rf"[+-]?{_WHOLE}"
_FLOAT = rf"[+-]?(?:{_POINT}|(?:{_POINT}|{_WHOLE})[eE][+-]?{_DIGITS}|[iI][nN][fF]|[nN][aA][nN])"
_NAMED: dict[str, object] = {"true": True, "false": False, "null": None}


def _scalar(text: str) -> object:
    """What Hydra makes of a value that is one token, or of several that together are text."""
    lowered = text.lower()
    if lowered in _NAMED:
        return _NAMED[lowered]
    try:
        if re.fullmatch(_INT, text):
            return int(text)
        if re.fullmatch(_FLOAT, text):
            return float(text)
    except ValueError:  # more digits than Python takes
        raise UsageError(f"The number {text[:20]}… has too many digits. Nothing was run.") from None
    return text


def _listed(text: str) -> tuple[object, ...] | None:
    """The values of a list with commas between, of which each is plain; None where there is grammar in one."""
    parts = [part.strip(" \t") for part in text.split(",")]
    return tuple(map(_scalar, parts)) if all(re.fullmatch(_WORDS, one) for one in parts) else None


# ---- values with grammar


def _by_hydra(typed: str, item: str) -> tuple[object, ...] | Interval:
    from hydra.core.override_parser import types
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        value = OverridesParser.create().parse_override(f"key={typed}")._value
    except (HydraException, ValueError, RecursionError) as error:
        raise _unreadable(item, str(error)) from None
    if isinstance(value, types.IntervalSweep):
        start, stop = cast("float", value.start), cast("float", value.end)
        return Interval(start, stop, tuple(sorted(value.tags)))
    if isinstance(value, types.Glob):
        raise UsageError(
            f"`{item}` has a glob, which stands for the files of a configuration group. Nothing was run.",
            f"name the values: `nbexp run -S {item.partition('=')[0]}=x,y --queue`.",
        )
    if not isinstance(value, types.Sweep):
        return (_unquoted(value),)
    found: list[object]
    if isinstance(value, types.RangeSweep):
        found = _range(value, item)
    else:
        found = [_unquoted(one) for one in cast("Any", value).list]
    if cast("Any", value).shuffle:
        import random

        random.shuffle(found)
    return tuple(found)


def _unquoted(value: Any) -> object:
    """A value of Hydra's without the memory of its quotes."""
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    if isinstance(value, dict):
        return {_unquoted(key): _unquoted(one) for key, one in value.items()}
    return value.text if type(value).__name__ == "QuotedString" else value


def _range(sweep: RangeSweep, item: str) -> list[object]:
    """The numbers of a range, its stop excluded; floats as short as they are typed."""
    whole = all(isinstance(one, int) for one in (sweep.start, sweep.stop, sweep.step))
    try:
        # Adding 0.1 three times in binary gives 0.30000000000000004, and with it a fourth value before 0.4.
        start, stop, step = (_decimal(one) for one in (sweep.start, sweep.stop, sweep.step))
        size = math.ceil((stop - start) / step) if step else 0
    except (ArithmeticError, ValueError):  # an end that is infinite or no number
        raise _unreadable(item) from None
    if not step:
        raise UsageError(
            f"`{item}` has a step of 0. Nothing was run.",
            "the third number of `range` is its step.",
        )
    if size <= 0:
        raise UsageError(
            f"`{item}` is an empty range. Nothing was run.",
            "the stop of `range` is not part of it.",
        )
    if size > MAX_POINTS:
        raise _too_many(item)
    numbers = [start + step * index for index in range(size)]
    return [int(one) if whole else float(one) for one in numbers]


def _decimal(number: object) -> Decimal:
    from decimal import Decimal

    text = repr(number)
    # Hydra's sort() computes new ends in binary; nobody types the 16th digit.
    if isinstance(number, float) and len(text.replace(".", "").lstrip("-0")) > 15:
        text = f"{number:.15g}"
    return Decimal(text)


def _too_many(item: str) -> UsageError:
    return UsageError(
        f"With `{item}` there are more than {MAX_POINTS:,} points. Nothing was run.",
        "give fewer values, or a larger step.",
    )


def _unreadable(item: str, problem: str = "") -> UsageError:
    reason = re.search(r"evaluating '.*': (.*)", problem)
    if reason:
        why = f": {reason[1].split('.')[0].strip()}"
        functions = "choice, range, interval, sort, shuffle, tag, int, float, str and bool"
        return UsageError(
            f"`{item}` cannot be read{why}. Nothing was run.", f"there are {functions}."
        )
    address, _, typed = item.partition("=")
    shown = repr(item)[1:-1] if "\n" in item else item
    return UsageError(
        f"`{shown}` cannot be read. Nothing was run.",
        f"text with grammar in it stands in quotes: `nbexp run -S {_in_quotes(address.strip(), typed.strip())}`.",
    )


def _in_quotes(address: str, typed: str) -> str:
    """The item as a shell is given it so that the value is this very text; without quotes of its own around it."""
    if len(typed) > 1 and typed[0] == typed[-1] and typed[0] in "'\"":
        typed = typed[1:-1]
    typed = " ".join(typed.splitlines())
    # The shell takes one kind of quotes and Hydra the other; where both are in the text, Hydra's are escaped.
    if "'" not in typed:
        escaped = typed.replace('"', '\\"')
        return f"""'{address}="{escaped}"'"""
    for letter in ("'", '"', "$", "`"):
        typed = typed.replace(letter, f"\\{letter}")
    return f""""{address}='{typed}'\""""


# ---- interpolation


def _interpolates(value: object) -> bool:
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, Mapping):
        return any(map(_interpolates, value.values()))
    return isinstance(value, list | tuple) and any(map(_interpolates, value))


def _resolved(overrides: Sequence[Override], tree: object) -> list[object]:
    """The values of one file's overrides after all of them were made."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        config = OmegaConf.create(cast("dict[str, Any]", tree or {}))
        for one in overrides:
            if one.op != "delete":
                OmegaConf.update(config, one.key, one.value, merge=True, force_add=True)
        values: list[object] = []
        for one in overrides:
            if not _interpolates(one.value):
                values.append(one.value)
                continue
            value = OmegaConf.select(config, one.key)
            if OmegaConf.is_config(value):
                # A mapping was merged into one that is there: keep to the keys that were given.
                value = OmegaConf.to_container(value, resolve=True)
                if isinstance(one.value, Mapping) and isinstance(value, dict):
                    value = {key: value[key] for key in one.value}
            values.append(value)
    except (OmegaConfBaseException, ValueError) as error:
        name = re.search(r"Interpolation key '([^']*)'", str(error))
        texts = ", ".join(f"`{one.text}`" for one in overrides if _interpolates(one.value))
        why = (
            f"there is no `{name[1]}` in {overrides[0].file}"
            if name
            else str(error).partition("\n")[0]
        )
        raise UsageError(
            f"{texts} cannot be resolved: {why}. Nothing was run.",
            "`${key}` stands for the value of another param of the same file.",
        ) from None
    return values
