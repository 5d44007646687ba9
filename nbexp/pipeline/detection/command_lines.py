"""Command lines as the code sees them: `sys.argv`, and argparse with its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.pipeline.detection.symbols import UNKNOWN, Arguments, Option, Parser
from nbexp.pipeline.detection.texts import name_of

if TYPE_CHECKING:
    from nbexp.pipeline.detection.reading import Reader


class Argv:
    """`sys.argv`."""

    def __init__(self, script: str, words: Sequence[str] | None) -> None:
        self.known = words is not None
        self.words = [script, *(words or ())]

    def word(self, key: object, reader: Reader) -> object:
        if isinstance(key, int) and -len(self.words) <= key < len(self.words):
            return self.words[key]
        if not self.known and isinstance(key, int) and key > 0:
            reader._needs_words = True
        return UNKNOWN


class ParserMethods:
    """An argparse parser; sub-parsers and groups share its options."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser

    def call(
        self, reader: Reader, name: str, words: list[object], named: dict[str, object]
    ) -> object:
        if name == "add_argument":
            option = argparse_option(words, named, reader._line)
            if option is not None:
                self.parser.options.append(option)
            return UNKNOWN
        if name in {"parse_args", "parse_known_args", "parse_intermixed_args"}:
            for option in self.parser.options:
                if (
                    (
                        option.is_required
                        and given_for(option, self.parser.options, reader._words) is None
                    )
                    and reader._guessed(option) is None
                    and reader._words is None
                ):
                    reader._needs_words = True
            found = Arguments(self.parser)
            return (found, UNKNOWN) if name == "parse_known_args" else found
        if name == "set_defaults":
            for option in self.parser.options:
                if option.dest in named:
                    option.default = named[option.dest]
            return UNKNOWN
        return self if name.startswith("add_") else UNKNOWN


def argparse_option(words: list[object], named: Mapping[str, object], line: int) -> Option | None:
    """The option that `add_argument` makes of its words; None where they are not known."""
    names = tuple(word for word in words if isinstance(word, str))
    if not names:
        return None
    flags = tuple(name for name in names if name.startswith("-"))
    longest = max(flags or names, key=lambda name: (name.startswith("--"), len(name)))
    first_long = next((name for name in flags if name.startswith("--")), longest)
    dest = named.get("dest")
    action = named.get("action")
    nargs = named.get("nargs")
    is_switch = isinstance(action, str) and action not in {"store", "append"}
    is_switch = is_switch or "BooleanOptionalAction" in name_of(action)
    kind = name_of(named.get("type", UNKNOWN))
    default = named.get("default")
    return Option(
        flags,
        dest if isinstance(dest, str) else first_long.lstrip("-").replace("-", "_"),
        (default if default is not None else False) if is_switch else default,
        is_switch=is_switch,
        is_path="Path" in kind or "FileType" in kind,
        is_required=named.get("required") is True
        or (not flags and default is None and nargs not in {"?", "*"}),
        line=line,
        takes=kind.rpartition(".")[2],
    )


def given_for(option: Option, among: Sequence[Option], words: Sequence[str] | None) -> object:
    """What the command line says for an option; None where it says nothing."""
    if not words:
        return None
    if option.flag is None:
        takes_none = {name for one in among if one.is_switch for name in one.names}
        plain: list[str] = []
        skip = False
        for word in words:
            if skip:
                skip = False
            elif word.startswith("-") and len(word) > 1:
                skip = "=" not in word and word not in takes_none
            else:
                plain.append(word)
        place = [one.dest for one in among if one.flag is None].index(option.dest)
        return plain[place] if place < len(plain) else None
    for place, word in enumerate(words):
        if word in option.names:
            if option.is_switch:
                return True
            return words[place + 1] if place + 1 < len(words) else None
        for name in option.names:
            if word.startswith(f"{name}="):
                return word[len(name) + 1 :]
    return None
