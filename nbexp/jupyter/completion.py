"""What Tab offers behind `%exp`: verbs, options, and what may stand for their values.

Which of them may stand where the cursor is follows from the commands' own parsers; `candidates` has the values.
Answers from the project's files and what is remembered of them, without a Git process.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion

from nbexp.errors import NbexpError
from nbexp.frozen import frozen
from nbexp.jupyter import candidates, peek, words
from nbexp.jupyter.candidates import Offers, Place

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult

    from nbexp.commands import Parser

# The hook that IPython has for a command's completion misses `x = %exp …` and adds names of its own.
_OURS = re.compile(r"^\s*(?:[\w., ]+=\s*)?(?P<cell>%)?%exp\s+(?P<words>.*)$", re.DOTALL)
_CELL = "%%exp"
_SEVERAL = ("*", "+", argparse.REMAINDER)


class _NothingElse:
    """No completions, where IPython's own would be wrong: it keeps them out for a matcher that has some alone."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[SimpleCompletion]:
        return iter(())


def matcher(context: CompletionContext) -> SimpleMatcherResult:
    """What may stand at the cursor in a line with `%exp`; of every other line nothing, and nobody is kept out."""
    match = _OURS.match(_logical_line(context))
    if match is None:
        return {"completions": []}
    typing = words.typing(match["words"])
    if typing.in_python:  # `-S train.lr={l`: IPython knows the names
        return {"completions": []}
    before = (_CELL, *typing.before) if match["cell"] else typing.before
    head, found = ("", []) if typing.in_comment else offers(before, typing.word, Path.cwd())
    rest = typing.word.removeprefix(head)
    if not match["words"].endswith(
        rest
    ):  # a quote in the middle of the word: what would be replaced?
        rest, found = "", []
    # JupyterLab breaks the kind at its spaces, and the lines fall over each other.
    listed = [
        SimpleCompletion(
            _quoted(text, head, typing.quote), type=kind.replace(" ", "\N{NO-BREAK SPACE}")
        )
        for text, kind in found[: context.limit]
    ]
    return {
        "completions": listed or _NothingElse(),  # type: ignore[typeddict-item]  # has all that is asked of it
        "matched_fragment": rest,
        "suppress": True,
        "ordered": True,
    }


def offers(before: Sequence[str], typed: str, here: Path) -> tuple[str, list[tuple[str, str]]]:
    """What may stand for `typed` behind the words before it, each with what kind of thing it is.

    Returns the start of `typed` that stays as it is, and what may follow it. Nothing raises: a file that cannot
    be read offers nothing.
    """
    try:
        head, found = _offers(tuple(before), typed, here)
        rest = typed[len(head) :]
        return head, [one for one in found if one[0].startswith(rest)]
    except (NbexpError, OSError, ValueError):
        return "", []


def _logical_line(context: CompletionContext) -> str:
    """The text up to the cursor, with the lines before it that end in a backslash."""
    lines = context.full_text.split("\n")[: context.cursor_line]
    text = context.text_until_cursor
    while lines and lines[-1].endswith("\\"):
        text = f"{lines.pop()[:-1]} {text}"
    return text


def _quoted(text: str, head: str, quote: str) -> str:
    """A completion as it is typed: in quotes where a shell would need them and none are open."""
    return shlex.quote(text) if not quote and not head and re.search(r"[\s'\"#;]", text) else text


@frozen(eq=False)
class _Line:
    """The words behind a verb, told apart: options that were given, and how many places are filled."""

    verb: str
    parser: Parser
    before: tuple[str, ...]
    given: frozenset[argparse.Action]
    places: tuple[str, ...]
    taker: argparse.Action | None
    is_over: bool
    """Behind `--`, where no option stands."""


def _offers(before: tuple[str, ...], typed: str, here: Path) -> tuple[str, Offers]:
    if not before or before == ("help",):
        return "", _verbs()
    helps = before[0] == "help"
    verb, rest = _verb(before[1:] if helps else before)
    if verb is None:
        return "", [(word, "command") for word in rest]
    parser = None if helps else _parser(verb)
    if parser is None:
        return "", []
    line = _read(verb, parser, tuple(rest))
    project = peek.around(here, may_ask=True)

    def values(action: argparse.Action, word: str) -> tuple[str, Offers]:
        return candidates.at(Place(verb, action, before, word, here, project))

    if line.taker is not None and line.taker.nargs is None:
        return values(line.taker, typed)
    flags = [] if line.is_over else _flags(line, typed)
    attached = None if line.is_over else _attached(parser, typed)
    if attached is not None:
        action, start = attached
        head, found = values(action, typed[len(start) :])
        return start + head, found
    place = line.taker or _place(line)
    if place is None or typed.startswith("--") or typed == "-":
        return "", flags
    head, found = values(place, typed)
    fresh = [one for one in found if head or one[0] not in line.places]
    return (head, fresh) if head else ("", [*fresh, *flags])


def _read(verb: str, parser: Parser, before: tuple[str, ...]) -> _Line:
    options = parser._option_string_actions  # argparse has no other way to ask
    given, places = set(), []
    taker: argparse.Action | None = None
    is_over = False
    for word in before:
        if taker is not None and taker.nargs in (None, "?"):
            taker = None
        elif is_over or word[:1] != "-" or word == "-":
            if taker is None or taker.nargs not in _SEVERAL:
                places.append(word)
        elif word == "--":
            is_over, taker = True, None
        else:
            action = options.get(word.partition("=")[0])
            taker = None
            if action is not None:
                given.add(action)
                if "=" not in word and action.nargs != 0:
                    taker = action
    return _Line(verb, parser, before, frozenset(given), tuple(places), taker, is_over)


def _flags(line: _Line, typed: str) -> list[tuple[str, str]]:
    """The options that may still be given: long ones, or all behind a single minus."""
    groups = line.parser._mutually_exclusive_groups
    out = {
        action
        for group in groups
        if line.given & {*group._group_actions}
        for action in group._group_actions
    } | {action for action in line.given if not _is_repeatable(action)}
    return [
        (option, "option")
        for option, action in line.parser._option_string_actions.items()
        if action.help is not argparse.SUPPRESS
        and action not in out
        and (option.startswith("--") or typed == "-")
    ]


def _is_repeatable(action: argparse.Action) -> bool:
    return type(action).__name__ in ("_AppendAction", "_CountAction")


def _attached(parser: Parser, typed: str) -> tuple[argparse.Action, str] | None:
    """The option whose value is typed in one word with it, and that start: `--set-param=tr`, `-Str`."""
    options: Mapping[str, argparse.Action] = parser._option_string_actions
    name, sign, _ = typed.partition("=")
    if typed.startswith("--"):
        return (options[name], f"{name}=") if sign and name in options else None
    short = options.get(typed[:2]) if typed[:1] == "-" and len(typed) > 2 else None
    return (short, typed[:2]) if short is not None and short.nargs is None else None


def _place(line: _Line) -> argparse.Action | None:
    """The argument that the next word is for."""
    places = [action for action in line.parser._actions if not action.option_strings]
    filled = len(line.places)
    for action in places:
        if action.nargs in _SEVERAL or filled == 0:
            return action
        filled -= 1
    return None


def _verb(before: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The verb and what is typed behind it; None and the second words where the first is a family's."""
    from nbexp import commands

    if before[0] == _CELL:
        return _CELL, before[1:]
    seconds = _seconds(before[0])
    if not seconds:
        return before[0], before[1:]
    default = getattr(commands.load(before[0]), "default", None)
    if default is not None and before[1:2] and before[1].startswith("-"):
        return f"{before[0]} {default}", before[1:]
    if len(before) == 1:
        return None, seconds
    return f"{before[0]} {before[1]}", before[2:]


# Which verbs there are is asked of every installed package, which takes longer than a key may.


@cache
def _seconds(verb: str) -> tuple[str, ...]:
    from nbexp import commands

    return tuple(commands.words(verb))


@cache
def _verbs() -> tuple[tuple[str, str], ...]:
    from nbexp import commands

    return tuple((name, "command") for name in [*commands.names(), *commands.ALIASES, "help"])


@cache
def _parser(verb: str) -> Parser | None:
    from nbexp import commands

    if verb == _CELL:
        from nbexp.jupyter import cell_magic

        return cell_magic.parser()
    try:
        return commands.parser(verb, "%exp")
    except NbexpError:
        return None
