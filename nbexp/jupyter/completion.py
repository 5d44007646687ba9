"""What Tab offers behind `%exp`: verbs, options, params with their value, experiments, stages.

Answers from the project's files and the commands' own parsers, without a Git process.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion

from nbexp.errors import NbexpError
from nbexp.jupyter import peek, words
from nbexp.render.words import clock

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult

# The hook that IPython has for a command's completion misses `x = %exp …` and adds names of its own.
_OURS = re.compile(r"^\s*(?:[\w., ]+=\s*)?%exp\s+(.*)$", re.DOTALL)
_PARAM = re.compile(r"(?P<op>~|\+\+|\+)?(?:(?P<file>[^:=]+):)?(?P<rest>.*)", re.DOTALL)


def matcher(context: CompletionContext) -> SimpleMatcherResult:
    """What may stand at the cursor in a line with `%exp`; of every other line nothing, and nobody is kept out."""
    line = context.text_until_cursor.rpartition("\n")[2]
    match = _OURS.match(line)
    if match is None:
        return {"completions": []}
    before, typed = words.last(match[1])
    found = offers(list(before), typed, Path.cwd())
    return {
        "completions": [SimpleCompletion(text, type=kind) for text, kind in found],
        "matched_fragment": typed,
        "suppress": True,
        "ordered": True,
    }


def offers(before: list[str], typed: str, here: Path) -> list[tuple[str, str]]:
    """What may stand for `typed` behind the words before it, each with what kind of thing it is.

    Nothing raises: a file that cannot be read offers nothing.
    """
    try:
        found = list(_offers(before, typed, here))
    except (NbexpError, OSError, ValueError):
        return []
    return [(text, kind) for text, kind in found if text.startswith(typed)]


def _offers(before: list[str], typed: str, here: Path) -> Iterable[tuple[str, str]]:
    if not before or before == ["help"]:
        return _verbs()
    verb, given = _verb(before[1:] if before[0] == "help" else before)
    if verb is None:
        return [(word, "command") for word in given]
    actions = _actions(verb)
    if actions is None or before[0] == "help":
        return []
    before = [verb, *given]
    options = {option: action for action in actions for option in action.option_strings}
    taker = options.get(before[-1])
    if taker is not None and taker.nargs is None:
        return _values(taker, typed, here)
    name, sign, value = typed.partition("=")
    if typed.startswith("--") and sign and name in options:
        return [(f"{name}={text}", kind) for text, kind in _values(options[name], value, here)]
    flags = [
        (option, "option")
        for option, action in options.items()
        if action.help is not argparse.SUPPRESS and (option.startswith("--") or typed == "-")
    ]
    if typed.startswith("-"):
        return flags
    places = [action for action in actions if not action.option_strings]
    if not places:
        return flags
    given = _given(before[1:], options)
    found = _values(places[min(len(given), len(places) - 1)], typed, here)
    return [*((text, kind) for text, kind in found if text not in given), *flags]


def _given(words: Sequence[str], options: Mapping[str, argparse.Action]) -> list[str]:
    """The words that are neither options nor their values."""
    found, is_value = [], False
    for word in words:
        if is_value:
            is_value = False
        elif word.startswith("-"):
            taker = options.get(word)
            is_value = taker is not None and taker.nargs is None
        else:
            found.append(word)
    return found


def _verb(before: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """The verb and what is typed behind it; None and the second words where the first is a family's."""
    from nbexp import commands

    words = commands.words(before[0])
    if not words:
        return before[0], before[1:]
    default = getattr(commands.load(before[0]), "default", None)
    if default is not None and before[1:2] and before[1].startswith("-"):
        return f"{before[0]} {default}", before[1:]
    if len(before) == 1:
        return None, words
    return f"{before[0]} {before[1]}", before[2:]


@cache
def _actions(verb: str) -> list[argparse.Action] | None:
    from nbexp import commands

    try:
        return commands.parser(verb, "%exp")._actions  # argparse has no other way to ask
    except NbexpError:
        return None


def _verbs() -> list[tuple[str, str]]:
    from nbexp import commands

    return [(name, "command") for name in [*commands.names(), *commands.ALIASES, "help"]]


def _values(action: argparse.Action, typed: str, here: Path) -> Iterable[tuple[str, str]]:
    """The values of an option or a place, by what its help calls it."""
    if action.choices is not None:
        return [(str(choice), "value") for choice in action.choices]
    look = _BY_NAME.get(str(action.metavar or action.dest))
    if look is None:
        return []
    if look in (_files, _notebooks):
        return look(None, typed, here)
    project = peek.around(here)
    if project is None:
        return []
    return look(project, typed, here)


Look = Callable[[peek.Peek | None, str, Path], Iterable[tuple[str, str]]]


def _experiments(project: peek.Peek | None, typed: str, here: Path) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    assert project is not None
    return [(name, "experiment") for name in project.experiments or ()]


def _removed(project: peek.Peek | None, typed: str, here: Path) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    assert project is not None
    return [(name, "in the trash") for name in project.removed]


def _revisions(project: peek.Peek | None, typed: str, here: Path) -> Iterable[tuple[str, str]]:
    assert project is not None
    branches = [(name, "branch") for name in project.branches]
    states = [("workspace", "files here"), ("HEAD", "commit")]
    return [*_experiments(project, typed, here), *branches, *states]


def _remotes(project: peek.Peek | None, typed: str, here: Path) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    assert project is not None
    return [(name, "Git remote") for name in project.remotes]


def _shared(project: peek.Peek | None, typed: str, here: Path) -> Iterable[tuple[str, str]]:
    """The first word of `push` and `pull`, which may be a remote."""
    return [*_experiments(project, typed, here), *_remotes(project, typed, here)]


def _stages(project: peek.Peek | None, typed: str, here: Path) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    assert project is not None
    return [(name, "stage") for name in project.stages]


def _runs(project: peek.Peek | None, typed: str, here: Path) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    assert project is not None
    return [(key, f"run of {clock(int(saved_s))}") for key, saved_s in project.runs]


def _live(project: peek.Peek | None, typed: str, here: Path) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    assert project is not None
    return [(name, "logged by step") for name in project.live]


def _params(project: peek.Peek | None, typed: str, here: Path) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    """`train.lr=` with its present value beside it; behind the `=` that value."""
    assert project is not None
    match = _PARAM.fullmatch(typed)
    assert match is not None
    file = match["file"] or "params.yaml"
    path = project.file(file)
    # A plus alone adds a key that is not there yet.
    if path is None or match["op"] == "+":
        return []
    before = typed[: match.start("rest")]
    key, sign, _ = match["rest"].partition("=")
    status = path.stat()
    params = _read(path, status.st_mtime_ns, status.st_size)
    if sign:
        return [(f"{before}{key}={params[key]}", "present value")] if key in params else []
    end = "" if match["op"] == "~" else "="
    return [(f"{before}{name}{end}", f"now {value}") for name, value in params.items()]


@cache
def _read(path: Path, mtime_ns: int, size: int) -> dict[str, str]:  # noqa: ARG001  # a changed file is read anew
    from nbexp.formats import values
    from nbexp.jupyter.words import spelled

    tree = values.flatten(values.parse(path.read_bytes(), path.name))
    return {key: spelled(value) for key, value in tree.items()}


def _notebooks(project: object, typed: str, here: Path) -> Iterable[tuple[str, str]]:
    return [
        (name, kind)
        for name, kind in _files(project, typed, here)
        if name.endswith((".ipynb", "/"))
    ]


def _files(project: object, typed: str, here: Path) -> Iterable[tuple[str, str]]:  # noqa: ARG001
    folder, slash, _ = typed.rpartition("/")
    entries = sorted((here / (folder + slash)).iterdir())
    return [
        (f"{folder}{slash}{entry.name}{'/' if entry.is_dir() else ''}", "path")
        for entry in entries
        if not entry.name.startswith(".")
    ]


# What the commands call their values in help texts, or the argument's name where they do not.
_BY_NAME: dict[str, Look] = {
    "EXPERIMENT": _experiments,
    "REMOVED": _removed,
    "GIT_REMOTE": _remotes,
    "REMOTE": _shared,
    "A": _revisions,
    "B": _revisions,
    "STAGE": _stages,
    "KEY": _runs,
    "[FILE:]KEY=VALUE": _params,
    "NAME": _live,
    "NOTEBOOK": _notebooks,
    "WHAT": _notebooks,  # what `init` makes a stage of
    "notebook": _notebooks,
    "FILE": _files,
    "DIR": _files,
}
