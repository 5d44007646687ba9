"""`%load_ext nbexp` and `%exp`: a line of a cell through the same parser as the command line.

What is loaded here is loaded with the extension, inside 25 ms; everything else waits for the first `%exp`.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import context_matcher
from IPython.core.magic import MAGIC_NO_VAR_EXPAND_ATTR

from nbexp import __version__
from nbexp.errors import Interrupted
from nbexp.results import Result

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

    from nbexp.experiments import alerting
    from nbexp.jupyter.progress import Watcher
    from nbexp.project import Project

NAME = "exp"

# What ipykernel and front ends set for the kernel alone. A stage that inherited it would draw into a
# notebook that is not there, colour its log, or talk to the kernel's debugger.
_PRIVATE = ("JPY_", "PYDEVD_", "IPY_INTERRUPT", "CLICOLOR", "FORCE_COLOR")
_NO_PAGER = ("PAGER", "GIT_PAGER")
_NOTEBOOK_BACKENDS = (
    "module://matplotlib_inline",
    "module://ipykernel",
    "module://ipympl",
)


class Exp:
    """`%exp VERB …`; as a callable object because IPython asks it for help that loads on first use."""

    # IPython then hands over the variables around the line, which in a function are not the notebook's.
    needs_local_scope = True

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._projects: list[Project] = []
        self._root = Path()
        # What this cell shows already, and in which cell that is.
        self._shown: tuple[int, object] = (0, None)
        self._count = 0
        # From when on alerts of runs that nobody waits for are told.
        self._loaded_s = time.time()
        self._alerts: alerting.News | None = None
        # The projects of which it was said how to keep them, where they go with the machine.
        self._kept: set[Path] = set()

    def __call__(self, line: str, local_ns: Mapping[str, object] | None = None) -> object:
        """Carry out a command and return its result, which is then the cell's value."""
        from nbexp import commands
        from nbexp.jupyter import words

        # One mapping: a comprehension in the braces does not see the locals of its surroundings otherwise.
        names = {**self._shell.user_ns, **(local_ns or {})}
        read = words.read(line, lambda expression: eval(expression, names))  # noqa: S307  # as IPython does
        for name in words.dollars(read.words):
            if name in names:
                sys.stdout.write(
                    f"`${name}` goes on as it is; the value of `{name}` is `{{{name}}}`\n"
                )
        if read.words == ("help", "%%exp"):
            from nbexp.jupyter import cell_magic

            return commands.Text(cell_magic.parser().format_help())
        is_quiet = read.is_silent or "-q" in read.words or "--quiet" in read.words
        watcher = self._watcher(is_quiet=is_quiet)
        try:
            outcome = commands.execute(read.words, watcher, prog="%exp", prepare=self._prepare)
        except KeyboardInterrupt as stopped:
            watcher.stopped(stopped)
            if isinstance(stopped, Interrupted):
                raise
            raise Interrupted(f"`%exp {line.strip()}` was interrupted.") from None
        except BaseException as error:
            watcher.stopped(error)
            raise
        finally:
            self._close()
        text = commands.formatted(outcome)
        if text is None and type(outcome.result).__name__ == "SweepForm":
            return self._sweep_panel(outcome.result, watcher)
        if text is None and hasattr(outcome.result, "converse"):
            return self._converse(outcome.result, watcher)
        result = outcome.result if text is None else commands.Text(text.rstrip("\r\n"))
        if text is None and getattr(result, "is_interactive", False) and _is_watched(self._shell):
            return self._panel(result)
        if (
            text is None
            and not is_quiet
            and (panel := self._table_panel(result, read.words, watcher)) is not None
        ):
            return panel
        if watcher.done(result) or is_quiet:
            self._shown = (self._shell.execution_count, result)
        failure = outcome.result.failure if isinstance(outcome.result, Result) else None
        if failure is not None:
            # The cell fails, so that papermill and CI see it; what was made is shown all the same.
            from IPython.display import display

            display(result)  # type: ignore[no-untyped-call]  # IPython gives it no types
            raise failure
        return result

    def _converse(self, result: Any, watcher: Watcher) -> object:
        """A result that has something to ask: a form where widgets are, else questions in the terminal."""
        from nbexp.experiments.guided import Setup

        if not hasattr(self._shell, "kernel"):
            return result.converse(_Terminal(), watcher)
        if not isinstance(result, Setup):
            return result
        if not _is_watched(self._shell):
            return result.converse(_Nobody(), watcher)
        from IPython.display import display

        from nbexp.jupyter.panels import setup

        display(result)  # type: ignore[no-untyped-call]  # IPython gives it no types
        display(setup.form(result).widget)  # type: ignore[no-untyped-call]
        self._shown = (self._shell.execution_count, result)
        return result

    def cell(self, line: str, source: str) -> object:
        """Run the cell and record it: `%%exp`."""
        from nbexp import commands
        from nbexp import project as projects
        from nbexp.jupyter import cell_magic, words

        read = words.read(line, self._shell.ev)
        try:
            args = cell_magic.arguments(read.words)
        except commands.HelpAsked as asked:
            return commands.Text(asked.text)
        is_quiet = read.is_silent or args.quiet
        watcher = self._watcher(is_quiet=is_quiet)
        project = projects.open(".")
        try:
            self._prepare(project)
            made = cell_magic.run(self._shell, project, source, args, watcher)
        except BaseException as error:
            watcher.stopped(error)
            raise
        finally:
            self._close()
        result = commands.Text(commands.to_json(made)) if args.json else made
        if watcher.done(result) or is_quiet:
            self._shown = (self._shell.execution_count, result)
        return result

    def _sweep_panel(self, form: Any, watcher: Watcher) -> object:
        """The form of a sweep, and below it what it comes to; its text alone where nobody can fill it in."""
        if not _is_watched(self._shell) or not form.fields:
            return form
        from IPython.display import display

        from nbexp.jupyter.panels import sweep

        watcher.done(form)
        self._count += 1
        display_id = f"nbexp-{os.getpid()}-sweep-{self._count}"

        def show(contents: dict[str, object], metadata: dict[str, object], replaces: bool) -> None:
            self._publish(contents, metadata, display_id, replaces)

        panel = sweep.Panel(form, show, self._dress)
        display(panel.widget)  # type: ignore[no-untyped-call]
        panel.begin()
        panel.follow()
        self._shown = (self._shell.execution_count, form)
        return form

    def _panel(self, result: Any) -> object:
        """A result that goes on: a panel, and beside it the static part that stays."""
        from nbexp.jupyter.panels import monitor

        monitor.show(self._root, self._shell, stage_environment(os.environ))
        self._shown = (self._shell.execution_count, result)
        return result

    def _table_panel(self, result: object, line: Sequence[str], watcher: Watcher) -> Result | None:
        """What is shown in place of a table that asks for a panel; None where it asks for none, or nobody looks on."""
        view = getattr(result, "view", None)
        if not getattr(view, "is_panel", False) or not _is_watched(self._shell):
            return None
        from IPython.display import display

        from nbexp.jupyter.panels import compare

        panel = compare.show(result, line, self._dress, view.panel_view)  # type: ignore[arg-type,union-attr]
        # Where reading took long enough to be shown, the table stands in the place of that already.
        is_shown = watcher.done(result)
        # The panel first, which is what was asked for; below it what stays when widgets have gone.
        display(panel.widget)  # type: ignore[no-untyped-call]
        if not is_shown:
            contents, metadata = compare.still(result)  # type: ignore[arg-type]
            display(contents, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        self._shown = (self._shell.execution_count, panel)
        return panel

    def getdoc(self) -> str:
        """What `%exp?` shows."""
        from nbexp import commands

        more = "A cell that begins with `%%exp` becomes an experiment; `%%exp -h` has its options."
        return f"{commands.guide('%exp')}{more}\n"

    def show_once(self, result: Result) -> None:
        """Let IPython show a result, unless this cell shows it already or was asked not to.

        IPython calls this before it draws a value; `NotImplementedError` tells it to go on.
        """
        in_cell, shown = self._shown
        if shown is not result or in_cell != self._shell.execution_count:
            raise NotImplementedError

    def _watcher(self, *, is_quiet: bool) -> Watcher:
        from nbexp.jupyter import progress

        self._count += 1
        display_id = f"nbexp-{os.getpid()}-{self._count}"
        if is_quiet or not _is_watched(self._shell):
            # A terminal's IPython has no pictures.
            show = self._publish if hasattr(self._shell, "kernel") else None
            return progress.Lines(is_quiet=is_quiet, show=show, display_id=display_id)
        return progress.Progress(self._publish, display_id)

    def _publish(
        self,
        contents: dict[str, object],
        metadata: dict[str, object],
        display_id: str,
        replaces: bool,
    ) -> None:
        transient = {"display_id": display_id}
        self._shell.display_pub.publish(contents, metadata, transient=transient, update=replaces)

    def _prepare(self, project: Project) -> None:
        """Tell the project about this kernel, and keep it to be closed behind the command."""
        self._dress(project)
        project.session_history = _history(self._shell)
        self._projects.append(project)
        self._root = project.root
        self._tell_alerts(project.root)
        self.say_how_to_keep(project.root)

    def _dress(self, project: Project) -> None:
        """Tell the project about this kernel: its environment for stages, and its own notebook."""
        project.stage_env = stage_environment(os.environ)
        project.draws = hasattr(self._shell, "kernel")
        project.asking_notebook = asking_notebook(self._shell.user_ns)

    def say_how_to_keep(self, here: Path) -> None:
        """One line, once for each project, on a machine that is taken away."""
        from nbexp.jupyter import colab, peek

        project = peek.around(here) if colab.is_here() else None
        if project is not None and project.root not in self._kept:
            self._kept.add(project.root)
            said = colab.warning(project.root, has_git_remote=bool(project.git_remotes))
            sys.stdout.write(f"{said}\n")

    def _tell_alerts(self, root: Path) -> None:
        """What alerts of runs elsewhere (a queue's worker, a terminal) have said since the last command."""
        if self._alerts is None:
            from nbexp.experiments import alerting

            self._alerts = alerting.News(self._loaded_s)
        for message in self._alerts.of(root):
            sys.stdout.write(f"alert: {message}\n")

    def _close(self) -> None:
        """End the Git process that the command kept; IPython keeps the traceback, and so the project, alive."""
        while self._projects:
            self._projects.pop().close()


class _Cell:
    """`%%exp`, for which IPython asks for help of its own."""

    def __init__(self, exp: Exp) -> None:
        self._exp = exp
        setattr(self, MAGIC_NO_VAR_EXPAND_ATTR, True)

    def __call__(self, line: str, cell: str) -> object:
        return self._exp.cell(line, cell)

    def getdoc(self) -> str:
        """What `%%exp?` shows."""
        from nbexp.jupyter import cell_magic

        return cell_magic.parser().format_help()


class _Terminal:
    """Whoever types in a terminal's IPython."""

    def __init__(self) -> None:
        self.is_person = sys.stdin.isatty()

    def say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")

    def ask(self, question: str) -> str:
        if not self.is_person:
            raise EOFError
        return input(question)


class _Nobody:
    """A kernel without a front end: `papermill`, `nbconvert --execute`."""

    is_person = False

    def say(self, text: str) -> None:
        raise EOFError

    def ask(self, question: str) -> str:
        raise EOFError


def load(shell: InteractiveShell) -> None:
    """Register `%exp` and its completion, and say in one line where one is. A second time: nothing."""
    if _registered(shell) is not None:
        return
    exp = Exp(shell)
    # The line as it was typed: see `words`.
    setattr(exp, MAGIC_NO_VAR_EXPAND_ATTR, True)
    shell.magics_manager.register_function(exp, "line", NAME)
    shell.magics_manager.register_function(_Cell(exp), "cell", NAME)
    assert shell.display_formatter is not None
    shell.display_formatter.ipython_display_formatter.for_type(Result, exp.show_once)
    shell.input_transformers_cleanup.append(help_asked)
    shell.Completer.custom_matchers.append(complete)
    sys.stdout.write(greeting(Path.cwd(), asking_notebook(shell.user_ns)) + "\n")
    exp.say_how_to_keep(Path.cwd())


def unload(shell: InteractiveShell) -> None:
    """Take back all that `load` did."""
    if _registered(shell) is None:
        return
    assert shell.display_formatter is not None
    for kind in ("line", "cell"):
        del shell.magics_manager.magics[kind][NAME]
    shell.display_formatter.ipython_display_formatter.pop(Result, None)
    shell.input_transformers_cleanup.remove(help_asked)
    shell.Completer.custom_matchers.remove(complete)


def help_asked(lines: list[str]) -> list[str]:
    """The lines of a cell with `%exp VERB?` as `%exp help VERB`; IPython would look for a variable VERB.

    And `%%exp -h` with nothing below, which IPython would refuse for that.
    """
    if lines and re.fullmatch(r"\s*%%exp\s+(-h|--help)\s*", "".join(lines)):
        return ["%exp help %%exp\n"]
    return [
        re.sub(r"^(\s*)%exp\s+(\w+(?:\s+\w+)?)\s*\?{1,2}\s*$", r"\1%exp help \2\n", line)
        if "%exp" in line and "?" in line
        else line
        for line in lines
    ]


@context_matcher(identifier="nbexp")  # type: ignore[untyped-decorator]  # IPython gives it no types
def complete(context: CompletionContext) -> SimpleMatcherResult:
    """What Tab offers in a line with `%exp`."""
    if "%exp" not in context.full_text:
        return {"completions": []}
    from nbexp.jupyter import completion

    return completion.matcher(context)


def greeting(here: Path, asking: Path | None = None) -> str:
    """One line: what there is in this directory, and what to type next."""
    from nbexp.jupyter import peek

    start = f"nbexp {__version__} - "
    project = peek.around(here)
    others = sorted(path.name for path in here.glob("*.ipynb") if path != asking)
    notebook = "train.ipynb" if "train.ipynb" in others or not others else others[0]
    init = f"init {shlex.quote(notebook)}"
    if project is None:
        return f"{start}no project here yet. Next: %exp {init}     (help: %exp?)"
    parts = [f'project "{project.root.name}"', _count(len(project.stages), "stage")]
    if project.experiments is not None:
        parts.append(_count(len(project.experiments), "experiment"))
    step = "show" if project.experiments != [] else "run" if project.stages else init
    return f"{start}{', '.join(parts)}. Next: %exp {step}"


def stage_environment(kernel: Mapping[str, str]) -> dict[str, str]:
    """The kernel's environment for stages: `python` is the kernel's own, and nothing of the kernel's private."""
    found = {name: value for name, value in kernel.items() if not _is_private(name, value)}
    if "JPY_PARENT_PID" in kernel and found.get("TERM") == "xterm-color":
        found["TERM"] = "dumb"  # ipykernel promises colours; a log has none
    folder = os.path.dirname(sys.executable)
    rest = [part for part in found.get("PATH", os.defpath).split(os.pathsep) if part != folder]
    found["PATH"] = os.pathsep.join([folder, *rest])
    return found


def asking_notebook(namespace: Mapping[str, object]) -> Path | None:
    """The notebook that this kernel serves, where the front end says so and the file is there."""
    # JupyterLab and Notebook set the first, VS Code the second. After a rename they are out of date.
    for name in (os.environ.get("JPY_SESSION_NAME"), namespace.get("__vsc_ipynb_file__")):
        if isinstance(name, str) and name and os.path.isfile(name):
            return Path(name).absolute()
    return None


def _history(shell: InteractiveShell) -> list[str]:
    """What ran in this kernel, as it was typed; the last is the cell that runs."""
    manager = shell.history_manager
    return [str(cell) for cell in (getattr(manager, "input_hist_raw", None) or [])[1:]]


def _is_private(name: str, value: str) -> bool:
    return (
        name.startswith(_PRIVATE)
        or (name in _NO_PAGER and value == "cat")
        or (name == "MPLBACKEND" and value.startswith(_NOTEBOOK_BACKENDS))
    )


def _is_watched(shell: InteractiveShell) -> bool:
    """Whether somebody looks on: a front end said which notebook this is, and nobody asked for plain lines."""
    if os.environ.get("NBEXP_PLAIN") or not hasattr(shell, "kernel"):
        return False
    return bool(os.environ.get("JPY_SESSION_NAME")) or "__vsc_ipynb_file__" in shell.user_ns


def _registered(shell: InteractiveShell) -> Exp | None:
    found = shell.magics_manager.magics["line"].get(NAME)
    return found if isinstance(found, Exp) else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
