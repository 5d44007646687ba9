"""Every option of DVC's commands is one of nbexp's, with a test that compares what it does, or stands here with a reason.

`options.toml` is the list; real DVC's parsers say which options there are, so that none can be missing from it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nbexp import commands
from tests.test_rows import PARTS, problems

ROOT = Path(__file__).parents[2]
TABLE: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "options.toml").read_text("utf-8")
)
WITHOUT = TABLE.pop("without")
# The pieces of work that are finished: no row waits for them.
DONE: set[str] = {"data", "exec", "files", "readers", "remotes"}
PIECES = {"exec", "readers", "files", "data", "remotes"}

# Every parser of the program, as `-h` shows it: what is hidden there is no option for users.
_DVC = """
import argparse, json
from dvc.cli.parser import get_main_parser
found = {}
def walk(parser, path):
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for name, inner in {id(p): (n, p) for n, p in reversed(below[0].choices.items())}.values() if below else ():
        walk(inner, [*path, name])
    if not below:
        shown = [a for a in parser._actions if a.help != argparse.SUPPRESS]
        found[" ".join(path)] = [[a.option_strings, a.dest, a.nargs == 0] for a in shown]
walk(get_main_parser(), [])
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Option:
    """One option, or argument if it has no spellings."""

    spellings: tuple[str, ...]
    dest: str
    is_flag: bool

    @property
    def name(self) -> str:
        return max(self.spellings, key=len) if self.spellings else self.dest


@cache
def of_dvc() -> dict[str, list[Option]]:
    """The options of each command, those that every command has left out."""
    python = ROOT / ".venv-dvc" / "bin" / "python"
    done = subprocess.run([python, "-c", _DVC], text=True, capture_output=True, check=True)
    found = {}
    for command, listed in json.loads(done.stdout).items():
        # `status -q` does more than to print less.
        everywhere = {"help", "verbose"} if command == "status" else {"help", "verbose", "quiet"}
        options = [Option(tuple(words), dest, flag) for words, dest, flag in listed]
        found[command] = [option for option in options if option.dest not in everywhere]
    return found


def of_nbexp(verb: str) -> list[Option]:
    if verb not in commands.all_names():
        return []
    return [
        Option(tuple(action.option_strings), action.dest, action.nargs == 0)
        for action in commands.parser(verb)._actions
        if action.help != argparse.SUPPRESS
    ]


def test_the_list_has_every_command_once() -> None:
    counterparts = [rows["dvc"] for rows in TABLE.values()]
    assert sorted([*counterparts, *WITHOUT]) == sorted(of_dvc())


@pytest.mark.parametrize("verb", TABLE)
def test_the_list_has_every_option_of_a_command(verb: str) -> None:
    rows = TABLE[verb]
    assert [name for name in rows if name != "dvc"] == [o.name for o in of_dvc()[rows["dvc"]]]


@pytest.mark.parametrize("verb", TABLE)
def test_an_option_means_the_same_or_says_why_not(verb: str) -> None:
    rows = TABLE[verb]
    theirs, ours = of_dvc()[rows["dvc"]], of_nbexp(verb)
    by_word = {word: option for option in ours for word in option.spellings}
    arguments = [option for option in ours if not option.spellings]
    wrong = []
    for option in theirs:
        row = rows[option.name]
        if option.spellings:
            found = [by_word.get(word) for word in option.spellings]
            missing = [w for w, o in zip(option.spellings, found, strict=True) if o is None]
        else:
            found = [arguments.pop(0) if arguments else None]
            missing = [] if found[0] else [option.dest]
        if isinstance(row, str | list):
            wrong += [f"{word} is missing" for word in missing]
            if any(other and other.is_flag != option.is_flag for other in found):
                wrong.append(f"{option.name} takes a value in one of the two")
        elif not missing and "waits" not in row:
            wrong.append(f"{option.name} is there; its row says otherwise")
    assert wrong == []


@pytest.mark.parametrize("verb", TABLE)
def test_an_option_names_the_test_that_compares_it(verb: str) -> None:
    wrong = []
    for name, row in TABLE[verb].items():
        if name == "dvc":
            continue
        if isinstance(row, Mapping):
            wrong += _reason_problems(name, row)
            continue
        for test in [row] if isinstance(row, str) else row:
            wrong += problems(test, ROOT)
            words = next(o for o in of_dvc()[TABLE[verb]["dvc"]] if o.name == name).spellings
            text = (ROOT / test.partition("::")[0]).read_text("utf-8")
            if words and not any(_is_used(word, text) for word in words):
                wrong.append(f"{test} does not use {name}")
    assert wrong == []


def test_what_has_no_counterpart_says_what_to_do() -> None:
    wrong = [
        problem
        for name, row in WITHOUT.items()
        if isinstance(row, Mapping)
        for problem in _reason_problems(name, row)
    ]
    assert wrong == []
    assert [name for name, row in WITHOUT.items() if not row] == []


def test_every_verb_has_what_every_command_of_dvc_has() -> None:
    for verb in commands.all_names():
        words = {word for option in of_nbexp(verb) for word in option.spellings}
        assert {"-h", "--help", "-q", "--quiet", "-v", "--verbose"} <= words, verb


def _is_used(word: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){word}(?![\w-])", text) is not None


def _reason_problems(name: str, row: Mapping[str, str]) -> list[str]:
    (kind, value), *more = row.items()
    if more or kind not in {"later", "differs", "waits"}:
        return [f"{name}: one of later, differs, waits is expected"]
    if kind == "later" and value not in PARTS:
        return [f"{name}: there is no part {value}"]
    if kind == "waits" and (value not in PIECES or value in DONE):
        return [f"{name}: {value} is done, or no piece of work"]
    return []
