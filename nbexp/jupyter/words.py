"""A line behind `%exp` to the words of a command: as a shell splits it, with `{expression}` filled in.

IPython would fill in `$name` and `{name}` anywhere, and give up without a word where a brace is the
grammar of an override (`{lr:0.1}`, `${model.name}`); so `%exp` gets the line as it was typed. Here a brace
counts only as a whole value, `-S train.lr={lr}` or `-n {name}`, and only if it holds Python.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from nbexp.errors import UsageError
from nbexp.frozen import frozen

Evaluate = Callable[[str], object]

# The braces may stand alone or behind `key=`.
_FILLED = re.compile(r"([^{}=]+=)?\{(.+)\}", re.DOTALL)
# A stand-in for braces while the line is split; nobody can type NUL.
_HELD = re.compile(r"\0(\d+)\0")


@frozen
class Line:
    """The words of a command; `is_silent`: the line ended in a semicolon, so nothing is shown."""

    words: tuple[str, ...]
    is_silent: bool = False


def read(line: str, evaluate: Evaluate) -> Line:
    """The words of the line, without a comment or semicolon at its end.

    Parameters
    ----------
    evaluate
        The value of a Python expression in the user's namespace; raises what Python raises.

    Raises
    ------
    UsageError
        An expression has no value, or one that no override can have.
    """
    held: list[str] = []
    text = _uncommented(_hold(line, held)).rstrip()
    is_silent = text.endswith(";")
    if is_silent:
        text = text.rstrip(";").rstrip()
    words = [_held_in(word, held) for word in _split(text)]
    if "--no-expand" in words:
        words.remove("--no-expand")
    else:
        words = [_filled(word, evaluate) for word in words]
    return Line(tuple(words), is_silent)


def line(words: Sequence[str]) -> str:
    """The line that `read` makes these words of: `%exp` and the words, in quotes where they need some.

    Examples
    --------
    >>> line(["run", "-S", "train.lr=interval(0,1)"])
    "%exp run -S 'train.lr=interval(0,1)'"
    """
    from nbexp.sweeps import form

    typed = form.joined(words)
    if read(typed, _nothing).words != tuple(words):
        # A brace that would be filled in, and that means a brace.
        typed = f"{typed} --no-expand"
    return f"%exp {typed}"


def dollars(words: Sequence[str]) -> list[str]:
    """The names in whole values `$name`, which IPython's own magics would fill in.

    Examples
    --------
    >>> dollars(["run", "-S", "train.lr=$lr", "-S", "a=${b}"])
    ['lr']
    """
    found = (re.fullmatch(r"(?:[^=$]+=)?\$([A-Za-z_]\w*)", word) for word in words)
    return [match[1] for match in found if match]


def _nothing(expression: str) -> object:  # noqa: ARG001  # as any other that gives values
    return None


def spelled(value: object) -> str:
    """A Python value as one would type it behind `-S key=`.

    Text is taken as it is, so that it means what it would mean when typed.

    Examples
    --------
    >>> spelled([0.1, "a b", None, True])
    "[0.1,'a b',null,true]"

    Raises
    ------
    TypeError
        It is neither a number, text, list nor mapping.
    """
    return value if isinstance(value, str) else _inner(value)


def _readable(text: str) -> str:
    """The text as it is if that is the value of a param, in quotes if nobody could have typed it."""
    from nbexp import overrides

    try:
        overrides.axes([f"key={text}"])
    except UsageError:
        return overrides.spell(text)
    return text


def _inner(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, (int, float)):
        # Subclasses (numpy's float64, IntEnum) spell themselves otherwise.
        return repr(float(value) if isinstance(value, float) else int(value))
    if isinstance(value, os.PathLike):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_inner(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_inner, value)) + "]"
    # Arrays and their numbers: numpy, torch, pandas.
    method = {0: "item", 1: "tolist"}.get(getattr(value, "ndim", -1))
    if method is None or not hasattr(value, method):
        raise TypeError(type(value).__name__)
    return _inner(getattr(value, method)())


def _hold(line: str, held: list[str]) -> str:
    """The line with the braces that hold Python taken out: their quotes and spaces split nothing."""
    parts: list[str] = []
    at = 0
    while (start := line.find("{", at)) >= 0:
        end = _closing(line, start) if start == 0 or line[start - 1] in " \t=" else None
        if end is None:
            parts.append(line[at : start + 1])
            at = start + 1
        else:
            parts.append(f"{line[at:start]}\0{len(held)}\0")
            held.append(line[start:end])
            at = end
    return "".join([*parts, line[at:]])


def _closing(line: str, start: int) -> int | None:
    """Behind the brace that ends the Python begun at `start`, if what stands there is a whole value."""
    end = start
    while (end := line.find("}", end + 1)) >= 0:
        if (end + 1 == len(line) or line[end + 1] in " \t;") and _is_python(line[start + 1 : end]):
            return end + 1
    return None


def _is_python(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _uncommented(text: str) -> str:
    """The text up to a `#` that begins a word outside of quotes; `#ff0000` behind a `=` is a value."""
    quote = ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and (at == 0 or text[at - 1].isspace()):
            return text[:at]
    return text


def _filled(word: str, evaluate: Evaluate) -> str:
    match = _FILLED.fullmatch(word)
    if match is None or not _is_python(match[2]):
        return word
    expression = match[2].strip()
    try:
        value = evaluate(expression)
    except NameError as error:
        raise UsageError(
            f"`{{{expression}}}`: there is no variable `{error.name}` in this notebook. Nothing was done.",
            "`--no-expand` passes braces on as they are.",
        ) from None
    except Exception as error:  # noqa: BLE001  # whatever the user's own expression raises
        raise UsageError(
            f"`{{{expression}}}` has no value: {type(error).__name__}: {error}. Nothing was done.",
            "`--no-expand` passes braces on as they are.",
        ) from None
    try:
        if match[1] is None and (points := _points(value)) is not None:
            return points
        address = match[1] or ""
        # Behind an option (`--message=`) no grammar is read.
        is_param = bool(address) and not address.startswith("-")
        return address + (
            _readable(value) if is_param and isinstance(value, str) else spelled(value)
        )
    except TypeError:
        raise UsageError(
            f"`{{{expression}}}` is a {type(value).__name__}; a param is a number, text, list or mapping. "
            "Nothing was done."
        ) from None


def _points(value: object) -> str | None:
    """A list of mappings, or a table, as the JSON that `sweep` takes for points; None where it is neither."""
    is_table = hasattr(value, "to_dict") and hasattr(value, "columns")
    listed = value if isinstance(value, (list, tuple)) else ()
    if not is_table and not (listed and all(isinstance(one, Mapping) for one in listed)):
        return None
    import json

    from nbexp.sweeps import space

    return json.dumps(space.points_of(value))


@frozen
class Typing:
    """What is typed up to the cursor: the whole words, and the one that is begun, without its opening quote.

    `in_python`: the cursor is in braces that a value began with; `in_comment`: nothing there is read.
    """

    before: tuple[str, ...]
    word: str
    quote: str = ""
    in_python: bool = False
    in_comment: bool = False


def typing(text: str) -> Typing:
    """A line that is not finished, up to the cursor."""
    held: list[str] = []
    line = _hold(text, held)
    if _uncommented(line) != line:
        return Typing((), "", in_comment=True)
    start = at = opened = 0
    quote = ""
    while at < len(line):
        letter = line[at]
        if quote:
            quote = "" if letter == quote else quote
        elif letter == "\\":
            at += 1  # the next one is a letter like any other
        elif letter in "'\"":
            quote, opened = letter, at
        elif letter.isspace():
            start = at + 1
        at += 1
    words = tuple(_held_in(word, held) for word in _split(line[:start]))
    word = line[opened + 1 if quote else start :]
    if quote and opened > start:
        word = line[start:opened] + word
    in_python = re.search(r"(?:^|[\s=])\{[^{}]*$", line) is not None
    return Typing(words, _held_in(word, held), quote, in_python)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # an open quote, as in `-m don't`
        return text.split()


def _held_in(word: str, held: Sequence[str]) -> str:
    return _HELD.sub(lambda match: held[int(match[1])], word)
