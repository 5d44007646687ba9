"""The verbs: one file each, with its help, its arguments and what it does. Every face uses these.

A verb's module has

- a docstring: the first line is its summary, the lines below `Examples` are shown by `-h`;
- `arguments(parser)`, which adds its options to an `argparse` parser;
- `run(project, args, emit)`, which returns a result object (`to_json()` where `--json` is offered);
- `needs_project = False` where it works anywhere (`project` is None then).

A family of verbs (`stage add`, `stage list`) is a folder: `stage/__init__.py` has the docstring of the family and
nothing else, and each other file in the folder is a verb like any other, called by two words. `"stage list"`, with
the space, is the name of such a verb everywhere here. A family may name a `default`, the word that is meant where none
is typed: `nbexp cache` is `nbexp cache list`.

No verb knows who called it. A verb of another package is an entry point of the group `nbexp.commands`; one for a
family is of the group `nbexp.commands.stage`.
"""

from __future__ import annotations

import argparse
import builtins
import errno
import os
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Literal, NoReturn, Protocol, cast

from nbexp import plugins
from nbexp.errors import ProjectFileError, StoreError, UsageError, nearest
from nbexp.events import Emit
from nbexp.frozen import frozen
from nbexp.results import Result, strict
from nbexp.version import __version__

if TYPE_CHECKING:
    from nbexp.project import Project

# Old words and short ones; kept here so that finding a verb does not load them all.
ALIASES = {"ls": "list", "rm": "remove"}

# The order of the help page: what one needs first comes first; verbs not named come last.
_ORDER = "init run repro plan why show diff plot alerts open sweep save clone rerun queue logs stop verify status apply get undo branch tag note list push pull rename remove trash clean gc doctor report publish script import stage dag params metrics plots data cache remote config notebook demo lab".split()

# Families that whoever needs them knows: on the help page, which is one screen, they share a line.
_AS_IN_DVC = frozenset({"stage", "dag", "params", "metrics", "plots", "data", "remote", "config"})

# Options of all commands that take no value; they may stand before the verb as well.
_EVERYWHERE = frozenset({"-q", "--quiet", "-v", "-vv", "--verbose"})

# What a disk or its permissions say no with; any other error of the system is a bug of ours.
_REFUSALS = frozenset(
    {
        errno.EACCES,
        errno.EBUSY,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    }
)

Shape = Literal["text", "json", "md", "csv"]


class Verb(Protocol):
    """What the module of a verb offers."""

    __doc__: str

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's own options."""

    def run(self, project: Project, args: argparse.Namespace, emit: Emit) -> object:
        """Do it, and return what it came to."""


class HelpAsked(Exception):
    """`-h` or `--version`: the text to show instead of doing anything."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@frozen
class Text(Result):
    """A result that is its own text: help, JSON, Markdown, CSV."""

    text: str

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> object:
        return self.text


@frozen
class Outcome:
    """What a command line came to: its result, the shape it was asked in, and how loudly."""

    verb: str
    result: object
    shape: Shape = "text"
    quiet: bool = False
    is_paged: bool = False


class _Unsized(argparse.RawDescriptionHelpFormatter):
    """For argparse's checks of each option: to look up the terminal's width takes 3 ms of imports."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


class Parser(argparse.ArgumentParser):
    """argparse that raises instead of printing and leaving: the faces print."""

    def format_help(self) -> str:
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()
        if message.startswith("unrecognized") and unknown[0].startswith("-"):
            option = unknown[0].partition("=")[0]
            near = nearest(option, self._option_string_actions)
            hint = f"did you mean `{near}`?" if near else f"`{self.prog} -h` has the options."
            raise UsageError(f"There is no option `{option}`. Nothing was done.", hint)
        raise UsageError(
            f"{_sentence(message)} Nothing was done.", f"`{self.prog} -h` has the options."
        )

    def joined(self, rest: list[str]) -> list[str]:
        """The words, with `--sort-by -acc` as `--sort-by=-acc`: argparse takes the minus for an option's."""
        if "--sort-by" not in self._option_string_actions:
            return rest
        found: list[str] = []
        for word in rest:
            is_turned = word[:1] == "-" and word[1:2] not in ("", "-")
            if (
                found[-1:] == ["--sort-by"]
                and is_turned
                and word not in self._option_string_actions
            ):
                found[-1] = f"--sort-by={word}"
            else:
                found.append(word)
        return found

    def print_help(self, file: object = None) -> None:
        raise HelpAsked(self.format_help())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise HelpAsked(message or "")


def names() -> list[str]:
    """Every first word, verb or family, in the order of the help page."""
    known = plugins.names(__name__)
    first = [name for name in _ORDER if name in known]
    return first + [name for name in known if name not in first]


def words(name: str) -> list[str]:
    """The second words of a family, sorted; none of a verb that is no family."""
    module = load(name)
    return [*plugins.names(module.__name__)] if is_family(module) else []


def is_family(module: ModuleType) -> bool:
    """Whether it has verbs in it, one of which may be called `run`, instead of being one."""
    return not callable(getattr(module, "run", None))


def all_names() -> list[str]:
    """Every verb that does something, those of families by both words."""
    found: builtins.list[str] = []
    for name in names():
        found += [f"{name} {word}" for word in words(name)] or [name]
    return found


def load(verb: str) -> ModuleType:
    """The module of a verb, family or alias; `stage list` is a verb of a family.

    Raises
    ------
    UsageError
        There is no such verb; the nearest is in the hint.
    """
    first, _, second = verb.partition(" ")
    package, known, said = __name__, names, "nbexp "
    if second:
        family = load(first)
        package, known, said = family.__name__, lambda: words(first), f"nbexp {first} "
    word = second or first
    try:
        return plugins.load(package, ALIASES.get(word, word))
    except LookupError:
        near = nearest(word, [*known(), *(alias for alias in ALIASES if not second)])
        listed = f"`{said}-h`" if second else "`nbexp help`"
        hint = f"did you mean `{said}{near}`?" if near else f"{listed} lists what there is."
        raise UsageError(f"There is no command `{verb}`.", hint) from None


def parser(verb: str, prog: str = "nbexp") -> Parser:
    """The parser of one verb, or of a family for its help; `prog` stands before it, `nbexp` or `%exp`."""
    module = load(verb)
    summary, examples = help_of(module, prog)
    if is_family(module):
        return Parser(
            prog=f"{prog} {verb}",
            usage="%(prog)s COMMAND",
            description=summary,
            epilog=_listed(verb, prog),
            formatter_class=_Unsized,
        )
    found = Parser(
        prog=f"{prog} {verb}",
        description=summary,
        epilog=examples,
        formatter_class=_Unsized,
        allow_abbrev=False,
    )
    cast("Verb", module).arguments(found)
    common = found.add_argument_group("everywhere")
    common.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    common.add_argument("-v", "--verbose", action="count", default=0, help="say more")
    common.add_argument("--cd", metavar="DIR", help="work as if started in DIR")
    return found


def help_of(module: ModuleType, prog: str = "nbexp") -> tuple[str, str]:
    """A verb's description and its examples, with `prog` for the program's name."""
    text = (module.__doc__ or "").strip()
    description, _, examples = text.partition("\nExamples\n")
    examples = examples.lstrip("-\n").rstrip()
    if prog != "nbexp":
        examples = examples.replace("nbexp ", f"{prog} ")
    return description.strip(), f"examples:\n{examples}" if examples else ""


def summary_of(verb: str) -> str:
    """What a verb does, in one line without a full stop."""
    return (load(verb).__doc__ or "").strip().splitlines()[0].rstrip(".")


def guide(prog: str = "nbexp") -> str:
    """One screen: what there is, and where to begin."""
    lines = [
        "Experiment versioning for notebooks: every run becomes a Git experiment.",
        "",
        f"  {prog} init train.ipynb             make a project of a notebook with a parameters cell",
        f"  {prog} run -S train.lr=0.01         run it with another value, and record it",
        f"  {prog} show                         compare what was recorded",
        f"  {prog} apply NAME                   bring one back",
        "",
        "commands:",
    ]
    lines += [f"  {name:<10} {summary_of(name)}" for name in names() if name not in _AS_IN_DVC]
    lines += [f"  as in DVC  {', '.join(name for name in names() if name in _AS_IN_DVC)}"]
    lines += ["", f"`{prog} help COMMAND` or `{prog} COMMAND -h` has options and examples."]
    return "\n".join(lines) + "\n"


def config_levels(parser: argparse.ArgumentParser) -> None:
    """The options that say which file of the configuration is meant, as `args.level`."""
    levels = parser.add_mutually_exclusive_group()
    for level, words in (
        ("global", "the user's configuration"),
        ("system", "the machine's configuration"),
        ("project", ".dvc/config"),
        ("local", ".dvc/config.local, which Git ignores"),
    ):
        levels.add_argument(
            f"--{level}", dest="level", action="store_const", const=level, help=words
        )


def execute(
    argv: Sequence[str],
    emit: Emit,
    *,
    prog: str = "nbexp",
    directory: str | None = None,
    prepare: object = None,
) -> Outcome:
    """Parse and carry out a command line.

    Parameters
    ----------
    argv
        The words after the program's name.
    directory
        Where to work; None is the current directory.
    prepare
        Called with the project before the verb runs: a face's chance to tell it about itself.

    Raises
    ------
    UsageError
        The words make no command; nothing was done.
    NbexpError
        As the verb says.
    """
    try:
        return _execute([*argv], emit, prog, directory, prepare)
    except HelpAsked as asked:
        return Outcome("help", Text(asked.text))
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        where = f": {os.fsdecode(error.filename)}" if error.filename else ""
        hint = "make room on the disk." if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        raise StoreError(f"The system refused: {error.strerror}{where}.", hint) from error
    except ProjectFileError as error:
        error.hint = error.hint or _how_to_mend(error)
        raise


def formatted(outcome: Outcome) -> str | None:
    """The result as the text of the shape that was asked for; None when that is plain text."""
    if outcome.shape == "text":
        return None
    if outcome.shape == "json":
        return to_json(outcome.result) + "\n"
    method = "to_markdown" if outcome.shape == "md" else "to_csv"
    return str(getattr(outcome.result, method)())


def to_json(result: object) -> str:
    """Strict JSON of a result: what is not a number there (NaN, infinity) becomes null."""
    import json

    if hasattr(result, "json_text"):
        return str(result.json_text())
    found = result.to_json() if hasattr(result, "to_json") else result
    return json.dumps(strict(found), ensure_ascii=False, default=str)


def _execute(
    argv: list[str], emit: Emit, prog: str, directory: str | None, prepare: object
) -> Outcome:
    # Before the words, which may end with a command of the user's.
    common = _leading(argv)
    asked = argv[len(common) :]
    if not argv or asked[:1] in (["-h"], ["--help"]) or asked == ["help"]:
        return Outcome("help", Text(guide(prog)))
    if asked[:1] in (["--version"], ["-V"]):
        return Outcome("version", Text(f"nbexp {__version__}\n"))
    if asked[:1] == ["help"]:
        raise HelpAsked(parser(" ".join(asked[1:3]), prog).format_help())
    if len(common) == len(argv):
        raise UsageError(
            f"There is no command behind `{' '.join(common)}`. Nothing was done.",
            f"`{prog} help` lists what there is.",
        )
    verb, *rest = asked
    if is_family(load(verb)):
        default = getattr(load(verb), "default", None)
        if rest[:1] in (["-h"], ["--help"]) or (not rest and default is None):
            raise HelpAsked(parser(verb, prog).format_help())
        if default is not None and (not rest or rest[0].startswith("-")):
            rest = [default, *rest]
        verb, rest = f"{verb} {rest[0]}", rest[1:]
    rest = [*common, *rest]
    module = load(verb)
    known = parser(verb, prog)
    args = known.parse_args(known.joined(rest))
    folder = args.cd if directory is None else os.path.join(directory, args.cd or "")
    if folder and not os.path.isdir(folder):
        raise UsageError(
            f"There is no directory {args.cd}. Nothing was done.",
            f"`{prog} {verb} --cd DIR` takes one that is there.",
        )
    project = None
    if getattr(module, "needs_project", True):
        from nbexp import project as projects

        project = projects.open(folder or ".")
        if callable(prepare):
            prepare(project)
        if not getattr(module, "writes", False):
            projects.warn_unfinished(project, emit)
    args.folder = folder or "."
    try:
        result = cast("Verb", module).run(cast("Project", project), args, emit)
    finally:
        if project is not None:
            project.close()  # what it learnt of commits and files is known to the next command
    shape = _shape(args)
    is_paged = shape == "text" and not getattr(args, "no_pager", True)
    return Outcome(_spelled(verb), result, shape, args.quiet, is_paged)


def _leading(argv: Sequence[str]) -> list[str]:
    """The options of all commands that stand before the verb, as many tools have them."""
    at = 0
    while at < len(argv) and (argv[at] in _EVERYWHERE or argv[at].partition("=")[0] == "--cd"):
        at += 2 if argv[at] == "--cd" else 1
    return [*argv[:at]]


def _spelled(verb: str) -> str:
    """A verb without its alias."""
    return " ".join(ALIASES.get(word, word) for word in verb.split(" "))


def _listed(family: str, prog: str) -> str:
    """The verbs of a family with a line each, for its help."""
    lines = [f"  {word:<10} {summary_of(f'{family} {word}')}" for word in words(family)]
    more = f"`{prog} {family} COMMAND -h` has options and examples."
    return "\n".join(["commands:", *lines, "", more])


def at_least_1(text: str) -> int:
    """A number above 0, for `type` of an option."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"`{text}` is no number above 0")
    return int(text)


def number(text: str) -> int:
    """A number, 0 too, for `type` of an option."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"`{text}` is no number")
    return int(text)


def _how_to_mend(error: ProjectFileError) -> str:
    """What helps with any file that cannot be read, where the message has already said what is wrong."""
    if error.path.endswith(".ipynb"):
        return f"open it in JupyterLab, or take the last committed one: `git restore {error.path}`."
    place = error.path if error.line is None else f"line {error.line} of {error.path}"
    return f"correct {place}; `git diff {error.path}` shows what changed since the last commit."


def _shape(args: argparse.Namespace) -> Shape:
    shapes: tuple[Shape, ...] = ("json", "md", "csv")
    for shape in shapes:
        if getattr(args, shape, False):
            return shape
    return "text"


def _sentence(message: str) -> str:
    text = message[0].upper() + message[1:]
    return text if text.endswith(".") else text + "."
