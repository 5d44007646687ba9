r"""What the parameters cell of a notebook in another language than Python assigns, as far as it can be told.

papermill writes parameters in many languages and reads them in one. Here assignments are found line by line,
and a value is read where it is written the same way everywhere, or in a way of the language that is known:
numbers, text in quotes, true and false, lists of these. All else is named, and left without a value.

>>> [(one.name, one.value) for one in assigned("val lr: Double = 0.1  // a rate", "scala")]
[('lr', 0.1)]
>>> [(one.name, one.value) for one in assigned("lr=0.1; name=small\nfiles=(a.csv b.csv)", "bash")]
[('lr', 0.1), ('name', 'small'), ('files', ['a.csv', 'b.csv'])]
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple


class Assigned(NamedTuple):
    """A name that is assigned, its value as it is written, and what that is where `is_literal`."""

    name: str
    text: str
    value: object
    is_literal: bool


SHELLS = frozenset({"bash", "sh", "zsh", "ksh", "shell"})

_WORDS = {
    "true": True,
    "false": False,
    "TRUE": True,
    "FALSE": False,
    "NULL": None,
    "nothing": None,
    "null": None,
}
# `val x: Int = 1`, `let x = 1`, `x <- 1`, `double x = 1;`, `$x = 1`
_PLAIN = re.compile(
    r"\s*(?:(?:val|var|let|const|local|double|float|int|string|bool)\s+)?\$?([A-Za-z_][\w.]*)"
    r"(?:\s*:\s*[\w\[\]., ]+?)?\s*(?:<-|=)(?![=>])\s*(.+)$"
)
_NUMBER = re.compile(r"([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)[LlFfDdMm]?")
_SHELL = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_DECLARES = frozenset({"export", "declare", "local", "typeset"})
_OPERATOR = re.compile(r"[&|<>]")
_COMMENTS = {"scala": "//", "javascript": "//", "typescript": "//", "java": "//", "kotlin": "//",
             "c#": "//", "csharp": "//", "f#": "//", "fsharp": "//", "go": "//", "rust": "//", "c++": "//",
             "matlab": "%"}  # fmt: skip


def assigned(source: str, language: str) -> list[Assigned]:
    """What a cell in that language assigns, the last of each name."""
    language = language.lower()
    lines = source.splitlines()
    found = (
        [one for line in lines for one in _in_shell(line)]
        if language in SHELLS
        else [one for line in lines for one in _in_line(line, _COMMENTS.get(language, "#"))]
    )
    return list({one.name: one for one in found}.values())


def _in_line(line: str, comment: str) -> list[Assigned]:
    match = _PLAIN.match(_without_comment(line, comment))
    if match is None:
        return []
    text = match[2].rstrip("; \t")
    is_literal, value = _literal(text)
    return [Assigned(match[1], text, value, is_literal)]


def _literal(text: str) -> tuple[bool, object]:
    if text in _WORDS:
        return True, _WORDS[text]
    number = _NUMBER.fullmatch(text)
    try:
        return True, ast.literal_eval(number[1] if number else text)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False, None


def _without_comment(line: str, mark: str) -> str:
    quote = ""
    for place, char in enumerate(line):
        if quote:
            quote = "" if char == quote and line[place - 1] != "\\" else quote
        elif char in "\"'":
            quote = char
        elif line.startswith(mark, place):
            return line[:place]
    return line


def _in_shell(line: str) -> list[Assigned]:
    found = []
    for words in _statements(line):
        while words and (words[0] in _DECLARES or words[0].startswith("-")):
            words = words[1:]
        matches = [_SHELL.fullmatch(word) for word in words]
        if None in matches:
            continue  # a command, which may well have assignments of its own in front
        for match in filter(None, matches):
            is_literal, value = _shell_literal(match[2])
            found.append(Assigned(match[1], match[2], value, is_literal))
    return found


def _statements(line: str) -> list[list[str]]:
    """The words of each statement in a line of shell, quotes kept; a comment ends it, an operator spoils it."""
    statements: list[list[str]] = [[]]
    word, quote, depth = "", "", 0
    for place, char in enumerate([*line, ";"]):
        if quote:
            quote = "" if char == quote and line[place - 1] != "\\" else quote
            word += char
        elif depth:
            depth += (char == "(") - (char == ")")
            word += char
        elif char in " \t;" or (char == "#" and not word):
            if word:
                statements[-1].append(word)
            word = ""
            if char == "#":
                break
            if char == ";":
                statements.append([])
        else:
            quote = char if char in "\"'" else ""
            depth += char == "("
            word += char
    if quote or depth:
        return statements[:-1]  # it goes on in the next line
    return [words for words in statements if words and not _OPERATOR.search(_unquoted(words))]


def _unquoted(words: list[str]) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"|\$?\([^)]*\)", "", " ".join(words))


# Letters that mean themselves, and quotes in which nothing is filled in.
_WORD = re.compile(r"""(?:[\w./:,+@%=#-]|'[^']*'|"[^"$`\\!]*")+""")
_LITERAL = re.compile(rf"[ \t]*(?:{_WORD.pattern}(?:[ \t]+{_WORD.pattern})*)?[ \t]*")
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


def _shell_literal(text: str) -> tuple[bool, object]:
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        words = _words(text[1:-1])
        return (True, [_scalar(*word) for word in words]) if words is not None else (False, None)
    words = _words(text)
    if words is None or len(words) > 1:
        return False, None
    return True, _scalar(*words[0]) if words else ""


def _words(text: str) -> list[tuple[str, bool]] | None:
    """The words of a shell value and whether each was quoted; None where the shell would fill something in."""
    if not _LITERAL.fullmatch(text):
        return None
    return [
        (_QUOTED.sub(lambda match: match[1] or match[2] or "", word), word[0] in "'\"")
        for word in _WORD.findall(text)
    ]


def _scalar(word: str, is_quoted: bool) -> object:
    if is_quoted:
        return word
    if word in {"true", "false"}:
        return word == "true"
    if re.fullmatch(r"[-+]?(?:0|[1-9]\d*)", word):
        return int(word)
    if re.fullmatch(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?", word) and not re.fullmatch(
        r"0\d+", word
    ):
        return float(word)
    return word
