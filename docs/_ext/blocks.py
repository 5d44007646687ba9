"""The commands of a page: read from its Markdown, run in a fresh project, compared with what it shows.

A page is a terminal session, from its top to its end, in a new folder:

    <!-- project: first-notebook -->      which files are there at the start; see `PROJECTS`
    ```console                            commands after `$ ` (`> ` goes on with the line before), and
    $ nbexp run                           below each what it writes to the terminal
    ...
    ```
    <!-- hidden                           commands that the reader need not see
    $ git config advice.all false
    -->
    ```{code-block} python                a block with a caption is written to that file
    :caption: train.py
    ```

What is shown is compared with what comes out, trailing spaces aside. `...` stands for any text in a line, and
for any lines where it is a line of its own. Times (`2.9 s`, `10:04`), abbreviated commits (`4f2c1e9`) and
the baseline in a ref (`4f/2c1e9…`) stand for any other of their kind. A command has to end with exit code 0, unless the page shows a `Hint:` of it, or
the next command is `echo $?`.

`python docs/_ext/blocks.py PAGE …` puts what comes out into the pages where it differs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "example-notebooks"

# What stands between two outputs; no program writes it.
_MARK = "\x1e"

# What the shell says of a command that was killed; on a terminal it is the word alone.
_KILLED = re.compile(r"bash: line \d+: +\d+ Killed .*")

_GIT_CONFIG = """\
[user]
\tname = Ada
\temail = ada@example.org
[init]
\tdefaultBranch = main
[advice]
\tdetachedHead = false
"""
_DVC_CONFIG = "[core]\n    analytics = false\n    check_update = false\n"


@dataclass(frozen=True)
class Step:
    """One thing to do: a command, or a file to write when `file` is set.

    `shown` is the output in the page, None where nothing is compared; `first` and `last` are the lines
    of the page that hold it, as a slice.
    """

    text: str
    shown: str | None = None
    file: str | None = None
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Page:
    """A page's steps, and the project they start in."""

    path: Path
    project: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Result:
    """What a step came to."""

    step: Step
    output: str
    code: int


def read(path: Path) -> Page:
    """The steps of a Markdown page, in order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    steps: list[Step] = []
    project = "empty"
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if match := re.fullmatch(r"<!-- project: ([\w-]+) -->", line):
            project = match[1]
        elif line == "<!-- hidden":
            end = lines.index("-->", number)
            steps += [replace(step, shown=None) for step in _session(lines, number, end)]
            number = end + 1
        elif match := re.fullmatch(r"(`{3,})console", line):
            end = lines.index(match[1], number)
            steps += _session(lines, number, end)
            number = end + 1
        elif match := re.fullmatch(r"(`{3,})\{code-block\} \w+", line):
            end = lines.index(match[1], number)
            caption = re.fullmatch(r":caption: (\S+)", lines[number])
            if caption:
                start = number + 1
                while start < end and (not lines[start] or lines[start].startswith(":")):
                    start += 1
                text = "\n".join(lines[start:end]) + "\n"
                steps.append(Step(text, file=caption[1], first=start, last=end))
            number = end + 1
        elif match := re.match(r"(`{3,}|~{3,})", line):
            number = lines.index(match[1], number) + 1
    return Page(path, project, tuple(steps))


def run(page: Page, folder: Path) -> list[Result]:
    """Carry the steps out in a new folder below `folder`, all in one shell."""
    home = folder / "home"
    start = folder / "work"
    variables = environment(home)
    _prepare(page.project, start, variables)
    script = ["set +o history"]
    for step in page.steps:
        if step.file is not None:
            source = folder / f"file-{len(script)}"
            source.write_text(step.text, encoding="utf-8")
            script.append(f"mkdir -p \"$(dirname '{step.file}')\"; cp '{source}' '{step.file}'")
        else:
            script.append(step.text)
        script.append(f"__code=$?; printf '{_MARK}%d{_MARK}' $__code; (exit $__code)")
    ran = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", "\n".join(script)],
        cwd=start,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    parts = _KILLED.sub("Killed", ran.stdout).split(_MARK)
    outputs, codes = parts[0::2], parts[1::2]
    if len(codes) != len(page.steps):
        raise ValueError(f"{page.path}: the shell ended early: {parts[-1]}")
    return [
        Result(step, output, int(code))
        for step, output, code in zip(page.steps, outputs, codes, strict=False)
    ]


def problems(results: Sequence[Result]) -> list[str]:
    """What differs from the page, in words; nothing when all is as shown."""
    found = []
    for number, result in enumerate(results):
        step, place = result.step, f"line {result.step.first}: $ {result.step.text}"
        if result.code and not _may_fail(results, number):
            found.append(f"{place}\nexit code {result.code}\n{result.output}")
        elif step.shown is not None and not matches(step.shown, result.output):
            found.append(f"{place}\n--- the page\n{step.shown}\n--- what came\n{result.output}")
    return found


def matches(shown: str, output: str) -> bool:
    """Whether the output is what the page shows, by the rules above."""
    pattern = ""
    for line in lines_of(shown):
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else _pattern(line) + "\n"
    text = "".join(f"{line}\n" for line in lines_of(output))
    return re.fullmatch(pattern, text) is not None


def update(page: Page, results: Sequence[Result]) -> int:
    """Write outputs into the page where they differ; how many did. Those of a failed command are not."""
    lines = page.path.read_text(encoding="utf-8").splitlines()
    changed = 0
    for number, result in reversed(list(enumerate(results))):
        step = result.step
        if result.code and not _may_fail(results, number):
            continue
        if step.shown is not None and not matches(step.shown, result.output):
            lines[step.first : step.last] = lines_of(result.output)
            changed += 1
    page.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return changed


# --- Reading ------------------------------------------------------------------------------------


def _session(lines: Sequence[str], start: int, end: int) -> list[Step]:
    steps: list[Step] = []
    number = start
    while number < end:
        if not lines[number].startswith("$ "):
            raise ValueError(f"line {number + 1}: a command starts with `$ `: {lines[number]}")
        command = [lines[number][2:]]
        number += 1
        while number < end and lines[number].startswith("> "):
            command.append(lines[number][2:])
            number += 1
        first = number
        while number < end and not lines[number].startswith("$ "):
            number += 1
        shown = "\n".join(lines[first:number])
        steps.append(Step("\n".join(command), shown, first=first, last=number))
    return steps


# --- Comparing ----------------------------------------------------------------------------------

_KINDS = (
    (re.compile(r"\.\.\."), r".*?"),
    # From ten seconds on without tenths.
    (re.compile(r"\d+\.\d s\b"), r"(?:\\d+(?:\\.\\d)? s|\\d+ min)"),
    (re.compile(r"\b\d\d:\d\d\b"), r"\\d\\d:\\d\\d"),
    (re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{7}\b"), r"[0-9a-f]{7}"),
    (re.compile(r"\b[0-9a-f]{2}/[0-9a-f]{38}\b"), r"[0-9a-f]{2}/[0-9a-f]{38}"),
)
_ANY_KIND = re.compile("|".join(f"({kind.pattern})" for kind, _ in _KINDS))


def _pattern(line: str) -> str:
    found = ""
    place = 0
    for match in _ANY_KIND.finditer(line):
        found += re.escape(line[place : match.start()])
        found += _KINDS[match.lastindex - 1][1].replace("\\\\", "\\") if match.lastindex else ""
        place = match.end()
    return found + re.escape(line[place:])


def lines_of(text: str) -> list[str]:
    """The lines of an output without spaces at their ends, and without empty ones at its own."""
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _may_fail(results: Sequence[Result], number: int) -> bool:
    shows_hint = re.search(r"^Hint: ", results[number].step.shown or "", re.MULTILINE) is not None
    return shows_hint or (number + 1 < len(results) and results[number + 1].step.text == "echo $?")


# --- Where it runs ------------------------------------------------------------------------------


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's; `nbexp` and `python` are those of this interpreter, `dvc` the oracle's."""
    (home / ".config" / "dvc").mkdir(parents=True)
    (home / ".gitconfig").write_text(_GIT_CONFIG)
    (home / ".config" / "dvc" / "config").write_text(_DVC_CONFIG)
    programs = (Path(sys.executable).parent, ROOT / ".venv-dvc" / "bin")
    return {
        "PATH": os.pathsep.join([*map(str, programs), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "XDG_CONFIG_HOME": str(home / ".config"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(home / ".cache"),
        "IPYTHONDIR": str(home / ".ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "SHELL": "/bin/sh",
        "TERM": "dumb",
    }


def _prepare(project: str, folder: Path, variables: Mapping[str, str]) -> None:
    """The files a page starts with.

    `empty`: none. `notebook`: the train.ipynb of the first example. `scripts`: a DVC project of two
    scripts, committed. Another name is a folder of `docs/_projects`, copied.
    """
    if project == "empty":
        folder.mkdir()
    elif project == "notebook":
        folder.mkdir()
        shutil.copy(EXAMPLES / "first-notebook" / "train.ipynb", folder)
    else:
        shutil.copytree(ROOT / "docs" / "_projects" / project, folder)
        for words in (
            ["init", "--quiet"],
            ["add", "--all"],
            ["commit", "--quiet", "--message=The pipeline"],
        ):
            subprocess.run(["git", *words], cwd=folder, env=variables, check=True)


def main(paths: Sequence[str]) -> int:
    """Update the pages; exit code 1 if a command failed that should not."""
    failed = False
    for path in paths:
        page = read(Path(path))
        if not page.steps:
            continue
        with tempfile.TemporaryDirectory() as folder:
            results = run(page, Path(folder))
        changed = update(page, results)
        left = [
            f"line {one.step.first}: $ {one.step.text}\nexit code {one.code}\n{one.output}"
            for number, one in enumerate(results)
            if one.code and not _may_fail(results, number)
        ]
        failed = failed or bool(left)
        sys.stdout.write(f"{path}: {len(results)} steps, {changed} outputs written\n")
        sys.stdout.write("".join(f"{one}\n" for one in left))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
