"""Command lines that execute a notebook, understood word by word or not at all.

A line is taken over from its own program only if it is one simple command and every word of it is known
here; then it does what that program would do. Whatever is in doubt is left to the shell.
"""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from nbexp.frozen import field, frozen, replace


@frozen
class Request:
    """One execution of a notebook, as asked for; paths are relative to the working directory.

    Attributes
    ----------
    output
        None: the executed notebook is not kept (`jupyter execute` without `--output`).
    params
        `[FILE:]KEY` each: mappings of params files, whose keys are set in the notebook.
    given
        Further values as papermill takes them: its option's letter and that option's words.
    is_strict
        Whether a value that the parameters cell does not know is an error; papermill only warns.
    untagged
        Take the first code cell as the parameters cell where none is tagged.
    cwd
        Where the kernel runs; None is the working directory.
    timeout_s
        For each cell; None is no limit.
    """

    source: str
    output: str | None
    params: tuple[str, ...] = ()
    given: tuple[tuple[str, ...], ...] = ()
    is_strict: bool = False
    untagged: bool = False
    kernel: str | None = None
    language: str | None = None
    cwd: str | None = None
    start_timeout_s: int = 60
    timeout_s: int | None = None
    hides_input: bool = False
    stdout_file: str | None = None
    stderr_file: str | None = None

    def dump(self) -> str:
        """The request as one word of a command line; `load` reads it."""
        plain = dict(vars(self))
        return json.dumps({key: plain[key] for key in plain if plain[key] not in (None, (), False)})

    @classmethod
    def load(cls, text: str) -> Request:
        plain = json.loads(text)
        for key in ("params", "given"):
            plain[key] = tuple(tuple(v) if isinstance(v, list) else v for v in plain.get(key, ()))
        return cls(**plain)


def parse(command: str) -> Request | None:
    """The notebook that a command line executes, and how; None when the shell had better run it."""
    return _parse(command, os.environ.get("PATH", ""))


@lru_cache(maxsize=256)
def _parse(command: str, path: str) -> Request | None:
    words = simple_words(command)
    if not words:
        return None
    program, rest = os.path.basename(words[0]), words[1:]
    if program.startswith("python") and rest[:1] == ["-m"] and _is_ours(words[0], path):
        program, rest = ("-m " + rest[1] if len(rest) > 1 else ""), rest[2:]
    elif program != "nbexp" and not _is_ours(words[0], path):
        return None
    spoken = {
        "nbexp": "nbexp",
        "-m nbexp": "nbexp",
        "papermill": "papermill",
        "-m papermill": "papermill",
        "jupyter": "jupyter",
        "-m jupyter": "jupyter",
        "jupyter-execute": "execute",
        "jupyter-nbconvert": "nbconvert",
        "-m nbconvert": "nbconvert",
    }.get(program)
    if spoken in {"nbexp", "jupyter"} and rest:
        verb, rest = rest[0], rest[1:]
        known = {("nbexp", "notebook"): "notebook"} | {
            ("jupyter", verb): verb for verb in ("execute", "nbconvert")
        }
        spoken = known.get((spoken, verb))
    reader = _READERS.get(spoken or "")
    request = reader(rest) if reader is not None else None
    if request is None or not _is_path(request.source) or not request.source.endswith(".ipynb"):
        return None
    if request.output is not None and not _is_path(request.output):
        return None
    if spoken != "notebook" and request.output is not None:
        # These programs may write over their input; a stage cannot have one file as dep and output.
        same = posixpath.normpath(request.output) == posixpath.normpath(request.source)
        return None if same else request
    return request


def simple_words(command: str) -> list[str] | None:
    r"""The words of a command that any POSIX shell reads the same way; None where it would do more.

    >>> simple_words("papermill in.ipynb out.ipynb -p name 'two words'")
    ['papermill', 'in.ipynb', 'out.ipynb', '-p', 'name', 'two words']
    >>> simple_words("papermill in.ipynb out.ipynb -p lr $LR") is None
    True
    """
    words: list[str] = []
    word: str | None = None
    place = 0
    while place < len(command):
        char = command[place]
        place += 1
        if char in " \t":
            if word is not None:
                words.append(word)
            word = None
        elif char == "'":
            close = command.find("'", place)
            if close < 0:
                return None
            word = (word or "") + command[place:close]
            place = close + 1
        elif char == '"':
            word = word or ""
            while command[place : place + 1] != '"':
                char = command[place : place + 1]
                if not char or char in "$`!":
                    return None
                if char == "\\":
                    place += 1
                    escaped = command[place : place + 1]
                    if escaped in {"", "\n"}:
                        return None
                    char = escaped if escaped in {'"', "\\", "$", "`"} else "\\" + escaped
                word += char
                place += 1
            place += 1
        elif char == "\\":
            escaped = command[place : place + 1]
            if escaped in {"", "\n"}:
                return None
            word = (word or "") + escaped
            place += 1
        elif char in "|&;<>()$`*?[]{}~#!\n":
            return None
        else:
            word = (word or "") + char
    if word is not None:
        words.append(word)
    return None if words and "=" in words[0] else words


def _is_path(text: str) -> bool:
    """A file here: no URL, no standard stream, no pattern that papermill would fill in."""
    return bool(text) and text != "-" and "://" not in text and "{" not in text


@lru_cache(maxsize=64)
def _is_ours(program: str, path: str) -> bool:
    """Whether the program belongs to the environment that runs nbexp, or is not to be found.

    Another environment has other kernels and packages: its programs do their work themselves.
    """
    if os.sep in program and not os.path.isabs(program):
        return False  # relative to the stage's directory, which is not known here
    found = shutil.which(program, path=path or None)
    if found is None:
        return not os.path.isabs(program)
    here = os.path.dirname(sys.executable)
    try:
        return os.path.samefile(os.path.dirname(found), here)
    except OSError:
        return False


# ---- the programs


@frozen
class _Options:
    """What a program's options are called: those with a value, those without, those of no effect here."""

    values: Mapping[str, str]
    flags: Mapping[str, str] = field(default_factory=dict)
    ignored_values: frozenset[str] = frozenset()
    ignored_flags: frozenset[str] = frozenset()


class _Line:
    def __init__(self) -> None:
        self.words: list[str] = []
        self.values: dict[str, list[str]] = {}
        self.flags: set[str] = set()
        self.given: list[tuple[str, ...]] = []

    def last(self, name: str) -> str | None:
        return self.values[name][-1] if name in self.values else None


def _read(words: Sequence[str], options: _Options, given: Mapping[str, int]) -> _Line | None:
    """The line taken apart; None at the first word that is not known. `given`: papermill's values."""
    line = _Line()
    todo = list(words)
    while todo:
        word = todo.pop(0)
        if word == "-" or not word.startswith("-"):
            line.words.append(word)
            continue
        name, equals, value = word.partition("=")
        if equals and not word.startswith("--"):
            return None
        known = options.values.get(name)
        if name in given or known is not None or name in options.ignored_values:
            wanted = given.get(name, 1)
            taken = [value] if equals else todo[:wanted]
            if len(taken) != wanted:
                return None
            del todo[: 0 if equals else wanted]
            if name in given:
                line.given.append((_LETTERS[name], *taken))
            elif known is not None:
                line.values.setdefault(known, []).extend(taken)
        elif equals:
            return None
        elif name in options.flags:
            line.flags.add(options.flags[name])
        elif name not in options.ignored_flags:
            return None
    return line


_NOTEBOOK = _Options(
    values={"--params": "params", "--kernel": "kernel", "-k": "kernel", "--cwd": "cwd"},
    flags={"--untagged": "untagged"},
)


def _notebook(words: Sequence[str]) -> Request | None:
    line = _read(words, _NOTEBOOK, {})
    if line is None or len(line.words) != 2:
        return None
    return Request(
        line.words[0],
        line.words[1],
        params=tuple(line.values.get("params", ())),
        is_strict=True,
        untagged="untagged" in line.flags,
        kernel=line.last("kernel"),
        cwd=line.last("cwd"),
    )


# papermill 2.7.0, `papermill --help`; `--engine`, `--prepare-only`, `--help-notebook` and `--version` are
# left out on purpose, because they do something else.
_LETTERS = {
    "-p": "p",
    "--parameters": "p",
    "-r": "r",
    "--parameters_raw": "r",
    "-f": "f",
    "--parameters_file": "f",
    "-y": "y",
    "--parameters_yaml": "y",
    "-b": "b",
    "--parameters_base64": "b",
}
_GIVEN = {option: 2 if letter in "pr" else 1 for option, letter in _LETTERS.items()}
_PAPERMILL = _Options(
    values={
        "--kernel": "kernel",
        "-k": "kernel",
        "--language": "language",
        "-l": "language",
        "--cwd": "cwd",
        "--start-timeout": "start_timeout",
        "--start_timeout": "start_timeout",
        "--execution-timeout": "timeout",
        "--stdout-file": "stdout_file",
        "--stderr-file": "stderr_file",
    },
    flags={
        "--inject-input-path": "input_path",
        "--inject-output-path": "output_path",
        "--inject-paths": "paths",
        "--report-mode": "report",
        "--prepare-execute": "",
    },
    ignored_values=frozenset({"--autosave-cell-every", "--log-level"}),
    ignored_flags=frozenset(
        {
            "--progress-bar",
            "--no-progress-bar",
            "--log-output",
            "--no-log-output",
            "--request-save-on-cell-execute",
            "--no-request-save-on-cell-execute",
            "--no-report-mode",
        }
    ),
)


def _papermill(words: Sequence[str]) -> Request | None:
    line = _read(words, _PAPERMILL, _GIVEN)
    if line is None or len(line.words) != 2 or {"--report-mode", "--no-report-mode"} <= {*words}:
        return None
    source, output = line.words
    given = list(line.given)
    if line.flags & {"input_path", "paths"}:
        given.append(("inject", "PAPERMILL_INPUT_PATH", source))
    if line.flags & {"output_path", "paths"}:
        given.append(("inject", "PAPERMILL_OUTPUT_PATH", output))
    request = Request(
        source,
        output,
        given=tuple(given),
        kernel=line.last("kernel"),
        language=line.last("language"),
        cwd=line.last("cwd"),
        hides_input="report" in line.flags,
        stdout_file=line.last("stdout_file"),
        stderr_file=line.last("stderr_file"),
    )
    return _timed(request, line)


# nbclient 0.11 (`jupyter execute --help`). `--inplace` and `--allow-errors` stay with the program.
_EXECUTE = _Options(
    values={
        "--timeout": "timeout",
        "--startup_timeout": "start_timeout",
        "--kernel_name": "kernel",
        "--output": "output",
    },
    ignored_values=frozenset({"--log-level"}),
    ignored_flags=frozenset({"--debug"}),
)


def _execute(words: Sequence[str]) -> Request | None:
    line = _read(words, _EXECUTE, {})
    if line is None or len(line.words) != 1:
        return None
    source = PurePosixPath(line.words[0]).with_suffix(".ipynb")
    output = None
    name = line.last("output")
    if name is not None:
        # Next to the notebook, whatever the working directory.
        name = name.replace("{notebook_name}", source.stem)
        output = str((source.parent / name).with_suffix(".ipynb"))
    request = Request(str(source), output, kernel=line.last("kernel"), cwd=_folder_of(str(source)))
    return _timed(request, line)


# nbconvert 7.17 (`jupyter nbconvert --help-all`).
_NBCONVERT = _Options(
    values={
        "--to": "to",
        "--output": "output",
        "--output-dir": "folder",
        "--ExecutePreprocessor.timeout": "timeout",
        "--ExecutePreprocessor.startup_timeout": "start_timeout",
        "--ExecutePreprocessor.kernel_name": "kernel",
    },
    flags={"--execute": "execute"},
    ignored_values=frozenset({"--log-level"}),
    ignored_flags=frozenset({"--debug"}),
)


def _nbconvert(words: Sequence[str]) -> Request | None:
    line = _read(words, _NBCONVERT, {})
    if line is None or len(line.words) != 1 or "execute" not in line.flags:
        return None
    if line.last("to") != "notebook":
        return None
    source, name, folder = line.words[0], line.last("output"), line.last("folder")
    stem = posixpath.basename(source).removesuffix(".ipynb")
    if name is not None:
        stem = name.replace("{notebook_name}", stem).removesuffix(".ipynb")
    elif folder is None:
        stem += ".nbconvert"
    output = posixpath.join(folder or posixpath.dirname(source), stem + ".ipynb")
    request = Request(source, output, kernel=line.last("kernel"), cwd=_folder_of(source))
    return _timed(request, line)


def _timed(request: Request, line: _Line) -> Request | None:
    """With the line's time limits; papermill's 0, and -1 elsewhere, are none."""
    try:
        start = int(line.last("start_timeout") or request.start_timeout_s)
        limit = int(line.last("timeout") or 0)
    except ValueError:
        return None
    return replace(request, start_timeout_s=start, timeout_s=limit if limit > 0 else None)


def _folder_of(source: str) -> str | None:
    return posixpath.dirname(source) or None


_READERS: Mapping[str, Callable[[Sequence[str]], Request | None]] = {
    "notebook": _notebook,
    "papermill": _papermill,
    "execute": _execute,
    "nbconvert": _nbconvert,
}
