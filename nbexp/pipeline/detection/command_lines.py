"""Command lines as the code sees them: `sys.argv`, the options of argparse and click, and what they are given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.pipeline.detection.seen import Seen
from nbexp.pipeline.detection.symbols import UNKNOWN, Arguments, Option, Parser, PathText
from nbexp.pipeline.detection.texts import name_of

if TYPE_CHECKING:
    from nbexp.pipeline.detection.reading import Reader

_CONFIG_FILES = tuple(
    f"{folder}{name}.{suffix}"
    for folder in ("", "config/", "configs/", "conf/", "src/config/")
    for name in ("params", "config", "parameters", "settings")
    for suffix in ("yaml", "yml", "toml", "json")
)


class CommandLine:
    """The words of a command line, without the script; None where they are not known."""

    def __init__(self, seen: Seen, words: Sequence[str] | None) -> None:
        self.seen = seen
        self.words = None if words is None else list(words)

    def option(self, arguments: Arguments, name: str) -> object:
        """The value of an option: from the known command line, else its default."""
        for option in arguments.parser.options:
            if option.dest == name:
                return self.value_of(option, arguments.parser.options)
        return UNKNOWN

    def value_of(self, option: Option, among: Sequence[Option]) -> object:
        if option not in self.seen.options:
            self.seen.options.append(option)
        given = given_for(option, among, self.words)
        if given is None and option.flag is not None and option.default is None:
            given = self.guessed(option)
        if given is None:
            if option.is_required or (option.flag is None and option.default is None):
                if self.words is None:
                    self.seen.needs_words = True
                return UNKNOWN
            value = option.default
        else:
            value = given
        if option.is_path and isinstance(value, str):
            return PathText(value)
        return value

    def guessed(self, option: Option) -> str | None:
        """The project's one config file, for an option that asks for one."""
        if not re.fullmatch(
            r"--?(config|params|cfg|settings)([-_]?(path|file))?", str(option.flag)
        ):
            return None
        found = [
            name for name in _CONFIG_FILES if (self.seen.root / self.seen.cwd / name).is_file()
        ]
        if found and (str(option.flag), found[0]) not in self.seen.guesses:
            self.seen.guesses.append((str(option.flag), found[0]))
        return found[0] if found else None

    def values_of(self, options: Sequence[Option]) -> dict[str, object]:
        return {option.dest: self.value_of(option, options) for option in options}


class Argv:
    """`sys.argv`."""

    def __init__(self, script: str, words: Sequence[str] | None) -> None:
        self.known = words is not None
        self.words = [script, *(words or ())]

    def word(self, key: object, reader: Reader) -> object:
        if isinstance(key, int) and -len(self.words) <= key < len(self.words):
            return self.words[key]
        if not self.known and isinstance(key, int) and key > 0:
            reader.seen.needs_words = True
        return UNKNOWN


class ParserMethods:
    """An argparse parser; sub-parsers and groups share its options."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser

    def call(
        self, reader: Reader, name: str, words: list[object], named: dict[str, object]
    ) -> object:
        if name == "add_argument":
            option = argparse_option(words, named, reader.seen.line)
            if option is not None:
                self.parser.options.append(option)
            return UNKNOWN
        if name in {"parse_args", "parse_known_args", "parse_intermixed_args"}:
            for option in self.parser.options:
                if (
                    (
                        option.is_required
                        and given_for(option, self.parser.options, reader.command_line.words)
                        is None
                    )
                    and reader.command_line.guessed(option) is None
                    and reader.command_line.words is None
                ):
                    reader.seen.needs_words = True
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


def click_option(name: str, words: list[object], named: Mapping[str, object], line: int) -> Option:
    """The option that a decorator of click makes of its words."""
    texts = [word for word in words if isinstance(word, str)]
    kind = name_of(named.get("type", UNKNOWN))
    default = named.get("default")
    flags = tuple(text.split("/")[0] for text in texts if text.startswith("-"))
    plain = [text for text in texts if not text.startswith("-")]
    if name.endswith("argument"):
        dest = plain[0] if plain else "word"
        is_required = default is None and named.get("required", True) is not False
        return Option((), dest, default, is_path="Path" in kind, is_required=is_required, line=line)
    longest = max(flags, key=len, default="--option")
    dest = plain[0] if plain else longest.lstrip("-").replace("-", "_")
    return Option(
        flags,
        dest,
        default,
        is_switch=bool(named.get("is_flag"))
        or any("/" in text for text in texts)
        or isinstance(default, bool),
        is_path="Path" in kind or "File" in kind,
        is_required=named.get("required") is True,
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
