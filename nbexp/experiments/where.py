r"""The language of `--where`: a filter over the columns of the table, read and evaluated here and never by Python.

    acc > 0.9 and train.lr < 0.05
    0.01 <= lr < 0.1 and not star
    state in ["failed", "pruned"] or name ~ "low-*"
    created >= "2024-05-04" and "best" in tags

A value that a row lacks makes every comparison false, but those with `none`. Text is compared with text and
numbers with numbers; what cannot be compared is not equal and neither less nor more.

    expression   and, or, not, parentheses
    comparison   == != < <= > >= in, not in, is, is not, ~ (is like), !~; `a < b < c` as in mathematics
    value        0.9  "text"  'text'  [a, b]  true false none nan, the name of a column
    like         ~ "low-*" is a glob, ~ "low" is part of the text, ~ /^low-\d+$/ is a regular expression
    time         "2024-05-04", "2024-05-04 12:30", "today", "yesterday", "2 days ago"; created in ["today", "2024-05-04"]
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Generic, Literal, NoReturn, TypeVar

from nbexp.errors import NotFound, UsageError
from nbexp.formats.values import MISSING
from nbexp.frozen import frozen

R = TypeVar("R")

Value = Callable[[R], object]
"""What a row has of one operand."""

_OPERATORS = ("==", "!=", "<=", ">=", "!~", "<", ">", "=", "~")
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<regex>/(?:[^/\\]|\\.)+/)
    | `(?P<quoted>[^`]+)`
    | (?P<name>[^\W\d][\w.:@/-]*)
    | (?P<sign>==|!=|<=|>=|!~|[<>=~()\[\],])
    )""",
    re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "none": None, "null": None, "nan": math.nan}
_MAX_DEPTH = 100
_AGO = re.compile(r"(\d+) ?(minute|hour|day|week)s?(?: ago)?")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800}


@frozen
class Moment:
    """A time as it was asked for: from `start_s` until before `end_s`, a day being a span."""

    start_s: float
    end_s: float


@frozen
class _Pattern:
    """What stands right of `~` between slashes."""

    regex: re.Pattern[str]


@frozen
class _Token:
    kind: str
    text: str
    at: int


def compile_filter(
    text: str, column: Callable[[str], Value[R]], times: Sequence[str] = ("created",)
) -> Callable[[R], bool]:
    """A function that says of a row whether the expression holds.

    Parameters
    ----------
    column
        What a row has in the column of a name; raises where there is no such column.
    times
        The columns that hold seconds since 1970; a text that is compared with one is read as a time.

    Raises
    ------
    UsageError
        The text is no expression; the place is shown.
    """
    return _Reader(text, column, times).whole()


class _Reader(Generic[R]):
    """Recursive descent over the tokens; each method reads one level of the grammar."""

    def __init__(self, text: str, column: Callable[[str], Value[R]], times: Sequence[str]) -> None:
        self._text = text
        self._column = column
        self._times = times
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0
        # Texts are read as times: those of a list in which a time is looked for.
        self._wants_times = False

    def whole(self) -> Callable[[R], bool]:
        found = self._either()
        if self._next < len(self._tokens):
            self._wrong(self._tokens[self._next].at)
        return found

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        while self._text[at:].strip():
            found = _TOKEN.match(self._text, at)
            if found is None:
                self._wrong(at + len(self._text[at:]) - len(self._text[at:].lstrip()))
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            at = found.end()
        return tokens

    def _named(self, name: str) -> Value[R]:
        try:
            return self._column(name)
        except NotFound as error:
            # Who forgets the quotes of a text is told of a column.
            raise NotFound(
                error.message, f'{error.hint or ""} Text is quoted: "{name}".'.lstrip()
            ) from None

    def _wrong(self, at: int, what: str = "") -> NoReturn:
        rest = self._text[at:].strip()
        place = f"at `{rest[:30]}`" if rest else "at its end"
        said = what or "cannot be understood"
        raise UsageError(
            f"The filter `{self._text}` {said} {place}.",
            '`nbexp show --where "acc > 0.9 and train.lr < 0.05"`',
        )

    def _is(self, *words: str) -> bool:
        """Whether the next token is one of these words or signs."""
        if self._next >= len(self._tokens):
            return False
        token = self._tokens[self._next]
        return token.kind in ("name", "sign") and token.text in words

    def _took(self, *words: str) -> bool:
        found = self._is(*words)
        self._next += found
        return found

    def _either(self) -> Callable[[R], bool]:
        parts = [self._both()]
        while self._took("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _both(self) -> Callable[[R], bool]:
        parts = [self._negated()]
        while self._took("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _negated(self) -> Callable[[R], bool]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._wrong(self._place(), "is nested too deep")
        try:
            if self._took("not"):
                inner = self._negated()
                return lambda row: not inner(row)
            return self._compared()
        finally:
            self._depth -= 1

    def _place(self) -> int:
        rest = self._tokens[self._next :]
        return rest[0].at if rest else len(self._text)

    def _compared(self) -> Callable[[R], bool]:
        if self._is("("):
            start = self._next
            self._next += 1
            inner = self._either()
            if not self._took(")"):
                self._wrong(self._place(), "lacks a `)`")
            if not self._is("in", "is", *_OPERATORS):
                return inner
            self._next = start  # `("a") in tags`
        start = self._next
        first = left = self._operand()
        tests: list[Callable[[R], bool]] = []
        while (operator := self._operator()) is not None:
            middle = self._next
            self._wants_times = operator in ("in", "not in") and self._is_time(start)
            right = self._operand()
            self._wants_times = False
            if operator in ("~", "!~"):
                self._check_like(middle)
            else:
                left, right = self._timed(left, start, right, middle)
            tests.append(_test(left, operator, right))
            start, left = middle, right
        if not tests:
            return lambda row: _is_true(first(row))
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _timed(
        self, left: Value[R], start: int, right: Value[R], middle: int
    ) -> tuple[Value[R], Value[R]]:
        """Both sides, a text as the time it names where the other side is a time."""
        if self._is_time(start):
            return left, self._as_time(right, middle)  # a list has its times already
        return (self._as_time(left, start), right) if self._is_time(middle) else (left, right)

    def _is_time(self, at: int) -> bool:
        token = self._tokens[at]
        return token.kind in ("name", "quoted") and token.text in self._times

    def _as_time(self, value: Value[R], at: int) -> Value[R]:
        token = self._tokens[at]
        if token.kind != "text":
            return value
        found = moment(str(self._literal(token)))
        if found is None:
            self._wrong(token.at, "compares with a time, which is written 2024-05-04, and has none")
        return _constant(found)

    def _check_like(self, at: int) -> None:
        token = self._tokens[at]
        if token.kind not in ("text", "regex"):
            self._wrong(
                token.at, "compares with `~`, which takes a text or a /regex/, not what stands"
            )

    def _operator(self) -> str | None:
        if self._is("not") and self._next + 1 < len(self._tokens):
            after = self._tokens[self._next + 1]
            if after.kind == "name" and after.text == "in":
                self._next += 2
                return "not in"
        if self._took("is"):
            return "!=" if self._took("not") else "=="
        if self._is("in", *_OPERATORS):
            self._next += 1
            said = self._tokens[self._next - 1].text
            return "==" if said == "=" else said
        return None

    def _operand(self) -> Value[R]:
        if self._next >= len(self._tokens):
            self._wrong(len(self._text), "ends where a value is expected,")
        token = self._tokens[self._next]
        self._next += 1
        if token.kind == "sign":
            if token.text not in ("[", "("):
                self._wrong(token.at)
            return self._listed("]" if token.text == "[" else ")")
        if token.kind == "quoted":
            return self._named(token.text)
        if token.kind == "name":
            if token.text in ("and", "or", "not", "in", "is"):
                self._wrong(token.at)
            if token.text.lower() in _WORDS:
                return _constant(_WORDS[token.text.lower()])
            return self._named(token.text)
        value: Value[R] = _constant(self._literal(token))
        return self._as_time(value, self._next - 1) if self._wants_times else value

    def _listed(self, end: str) -> Value[R]:
        items: list[Value[R]] = []
        commas = 0
        while not self._took(end):
            if items:
                if not self._took(","):
                    self._wrong(self._place(), f"lacks a `{end}`")
                commas += 1
            if self._took(end):
                break
            items.append(self._operand())
        if end == ")" and len(items) == 1 and not commas:
            return items[0]
        return lambda row: [item(row) for item in items]

    def _literal(self, token: _Token) -> object:
        if token.kind == "number":
            text = token.text.replace("_", "")
            return int(text) if text.lstrip("+-").isdigit() and len(text) < 300 else float(text)
        if token.kind == "regex":
            try:
                return _Pattern(re.compile(token.text[1:-1].replace(r"\/", "/")))
            except re.error as error:
                self._wrong(token.at, f"has a regular expression that is none ({error})")
        return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)


def _constant(value: object) -> Value[R]:
    return lambda _: value


def _is_true(value: object) -> bool:
    return value is not MISSING and bool(value)


def _test(left: Value[R], operator: str, right: Value[R]) -> Callable[[R], bool]:
    compare = _COMPARISONS[operator]
    return lambda row: compare(left(row), right(row))


def _equal(one: object, other: object) -> bool:
    if one is MISSING or other is MISSING:
        return None in (one, other)  # what a row lacks is none
    for moment, seconds in ((one, other), (other, one)):
        if isinstance(moment, Moment):
            return _order(seconds, moment) == 0
    if isinstance(one, Moment) or isinstance(other, Moment):
        return False
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return one == other


def _unequal(one: object, other: object) -> bool:
    if MISSING in (one, other) and None not in (one, other):
        return False
    return not _equal(one, other)


def _order(one: object, other: object) -> int | None:
    """-1, 0 or 1 as `one` is less than, equal to or more than `other`; None where neither can be said."""
    if isinstance(other, Moment) and isinstance(one, Moment):
        one, other = one.start_s, other.start_s
    if isinstance(other, Moment) and _is_number(one):
        return -1 if one < other.start_s else int(one >= other.end_s)  # type: ignore[operator]
    if isinstance(one, Moment) and _is_number(other):
        found = _order(other, one)
        return None if found is None else -found
    alike = (_is_number(one) and _is_number(other)) or (
        isinstance(one, str) and isinstance(other, str)
    )
    if not alike or one != one or other != other:
        return None
    return int(one > other) - int(one < other)  # type: ignore[operator]  # both numbers or both text


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ordered(wanted: tuple[int, ...]) -> Callable[[object, object], bool]:
    return lambda one, other: _order(one, other) in wanted


def _within(one: object, other: object) -> bool:
    if isinstance(other, (list, tuple)):
        return any(_equal(one, item) for item in other)
    return isinstance(one, str) and isinstance(other, str) and one in other


def _like(one: object, other: object) -> bool:
    texts = one if isinstance(one, (list, tuple)) else [one]
    return any(_is_like(str(text), other) for text in texts if text not in (MISSING, None))


def _is_like(text: str, pattern: object) -> bool:
    if isinstance(pattern, _Pattern):
        return pattern.regex.search(text) is not None
    wanted = str(pattern)
    if any(letter in wanted for letter in "*?["):
        return fnmatchcase(text, wanted)
    return wanted in text


_COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "==": _equal,
    "!=": _unequal,
    "<": _ordered((-1,)),
    "<=": _ordered((-1, 0)),
    ">": _ordered((1,)),
    ">=": _ordered((0, 1)),
    "in": _within,
    "not in": lambda one, other: one is not MISSING and not _within(one, other),
    "~": _like,
    "!~": lambda one, other: one is not MISSING and not _like(one, other),
}


def moment(text: str, now_s: float | None = None) -> Moment | None:
    """The time that a text names, as the local clock has it; None if it names none."""
    now_s = time.time() if now_s is None else now_s
    text = text.strip()
    ago = _AGO.fullmatch(text.lower())
    if ago is not None:
        at = now_s - int(ago[1][:9]) * _SECONDS[ago[2]]
        return Moment(at, at)
    day = time.localtime(now_s)
    if text.lower() in ("today", "yesterday"):
        return _span((day.tm_year, day.tm_mon, day.tm_mday - (text.lower() == "yesterday")))
    found = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?", text, flags=re.ASCII
    )
    if found is None:
        return None
    return _span(tuple(int(part) for part in found.groups() if part is not None))


def _span(parts: Sequence[int]) -> Moment | None:
    """The day, minute or second with these numbers; None where the calendar has none."""
    import datetime as dt

    # The day before the first of a month has the number 0.
    shift, parts = (1, [*parts[:2], 1]) if parts[2] == 0 else (0, [*parts])
    step: Literal["days", "minutes", "seconds"] = (
        "days" if len(parts) == 3 else "minutes" if len(parts) == 5 else "seconds"
    )
    try:
        start = dt.datetime(*parts) - dt.timedelta(days=shift)  # type: ignore[arg-type]
        end = start + dt.timedelta(**{step: 1})
        return Moment(start.timestamp(), end.timestamp())
    except (ValueError, OverflowError):
        return None
