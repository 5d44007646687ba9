"""Executing one notebook: `run_notebook` for the verb `nbexp notebook`, `main` for a stage's process.

Everything that can be wrong before a cell runs is found before a kernel starts. What is written is the
output alone, whole and at the end; a notebook that stopped is kept beside the run's log, or, where there
is no such folder, as the output, like papermill does.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
import os
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from nbexp import filesystem, settings
from nbexp.errors import NbexpError, NotFound, ProjectFileError, StageFailed, UsageError
from nbexp.formats import notebook, secrets, values
from nbexp.formats.notebook import Notebook, Parameters
from nbexp.frozen import frozen
from nbexp.pipeline.kinds.notebook import forking, zygote
from nbexp.pipeline.kinds.notebook.command import Request
from nbexp.pipeline.kinds.notebook.kernel import (
    Kernel,
    KernelDied,
    KernelSilent,
    StartedKernel,
    check_installed,
)
from nbexp.pipeline.process import EVENTS, RUN_DIR

if TYPE_CHECKING:
    from nbexp.pipeline.kinds.notebook.engine import Session

DEFAULT_PARAMS_FILE = "params.yaml"
# JupyterLab brings it, and jsonschema loads it where it finds it: 2 s to build a grammar for a format
# that no notebook has in it.
_SLOW = "rfc3987_syntax"
_SAVE_EVERY_S = 2.0
_INTERRUPT_GRACE_S = 0.7  # of the second that `process` waits before it sends SIGTERM
_LAST_WORDS_S, _LOOK_S = 3.0, 0.2
WAITING_S = 60.0
# Name and directory -> the run's kernel.
StartKernel = Callable[[str, str | None], Kernel]


def run_notebook(
    source: str,
    output: str,
    *,
    params: Sequence[str] = (),
    kernel: str | None = None,
    cwd: str | None = None,
    untagged: bool = False,
) -> int:
    """Execute a notebook into another file, and return how many cells ran.

    Needs no project: under `dvc repro` it does the same and writes the same bytes.

    Parameters
    ----------
    source
        Read, never written.
    output
        Gets the executed notebook in its canonical form, all at once. Folders are made.
    params
        `[FILE:]KEY` each: the mapping at KEY of a params file (params.yaml) whose keys are set as the
        notebook's parameters; an empty KEY is the whole file. Of two that set a name, the later wins.
    kernel
        A kernel's name, instead of the notebook's own.
    cwd
        Where the kernel runs, instead of the current directory.
    untagged
        Where no cell is tagged `parameters`, the first code cell holds them.

    Raises
    ------
    NotFound, ProjectFileError, UsageError
        The notebook, a value or the kernel is not as it has to be. Nothing was run.
    StageFailed
        A cell raised, ran too long, or lost its kernel. The notebook as it stopped is kept.
    KeyboardInterrupt
        It was stopped. The kernel and what it started are gone, and the notebook is kept.
    """
    request = Request(
        source,
        output,
        params=tuple(params),
        is_strict=True,
        untagged=untagged,
        kernel=kernel,
        cwd=cwd,
    )
    root = _project_root(Path.cwd())
    return execute(request, root=root, canonical=settings.read(root).canonical)


@frozen
class Zygote:
    """What a runner that was forked has of the template it comes from.

    Attributes
    ----------
    owner
        The conversation with the process that asked for the run; nothing is heard there.
    template
        The process that this one was forked from.
    kernel
        The kernel that was asked for, if one can be forked.
    """

    owner: socket.socket
    template: int
    kernel: forking.Asked | None


def main(
    arguments: Sequence[str], forked: Zygote | None = None, *, kernel: StartKernel | None = None
) -> int:
    """Execute what the arguments of `kinds.notebook.argv` ask for; the process's exit code.

    `kernel` is where the run's kernel comes from; else it is started, or forked if this process was.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
    if forked is None:
        _end_with_owner(None)
        return _main(arguments, kernel or _started)
    _end_with_owner(forked.template)
    try:
        return _main(arguments, _forked_from(forked))
    finally:
        if forked.kernel is not None:
            forked.kernel.drop()


def _main(arguments: Sequence[str], kernel: StartKernel) -> int:
    request, place = Request.load(arguments[0]), json.loads(arguments[1])
    try:
        root = Path(place["root"])
        execute(request, root=root, canonical=place["canonical"], kernel=kernel)
    except NbexpError as error:
        told: dict[str, object] = {"message": error.message, "hint": error.hint}
        if isinstance(error, StageFailed):
            told["cell"] = error.cell
        if not _tell({"kind": "failure", **told}):
            sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def rehearse() -> None:
    """Load what a run needs and go through it once, so that a fork of this process finds it done."""
    _load_engine()
    source = json.dumps({**_EMPTY, "cells": [{**_CELL, "metadata": {"tags": ["parameters"]}}]})
    with tempfile.TemporaryDirectory(prefix="nbexp-") as folder:
        path = os.path.join(folder, "x.ipynb")
        Path(path).write_text(source, encoding="utf-8")
        book = notebook.read(source.encode(), path)
        request = Request(path, None, is_strict=True)
        node = _prepared(request, book, notebook.parameters(book), {"x": 1}, "python3")
        notebook.canonical(json.dumps(node).encode(), source=source.encode(), folders=[folder])
    values.parse(b"x: 1\n", DEFAULT_PARAMS_FILE)
    forking.rehearse()


_EMPTY = {"metadata": {}, "nbformat": 4, "nbformat_minor": 5}
_CELL: dict[str, object] = {
    "cell_type": "code",
    "id": "x",
    "source": "x = 0",
    "outputs": [],
    "execution_count": None,
}


def execute(
    request: Request, *, root: Path, canonical: bool, kernel: StartKernel | None = None
) -> int:
    """Do what `request` asks for; as `run_notebook`, with every choice made."""
    data = _read(request.source)
    same = request.output is not None and Path(request.output).resolve()
    if same == Path(request.source).resolve():
        raise UsageError(
            f"{request.source} would be written over by its own output. Nothing was run.",
            f"give the output a folder: `nbexp notebook {request.source} runs/{request.source}`.",
        )
    book = notebook.read(data, request.source)
    known = notebook.parameters(book)
    given = _given(request, book, known)
    name = request.kernel or book.kernel or "python3"
    check_installed(name, request.source)
    if request.cwd is not None and not Path(request.cwd).is_dir():
        raise NotFound(f"No folder `{request.cwd}` to run {request.source} in. Nothing was run.")
    run = _Run(request, data, root, canonical)
    with run.signals(), contextlib.ExitStack() as files:
        # The kernel boots while papermill is imported: 0.15 s that nobody waits for.
        run.kernel = (kernel or _started)(name, request.cwd)
        try:
            cells = run.execute(name, book, known, given, files)
        except BaseException:
            run.kernel.kill()
            raise
        finally:
            run.kernel.close()
    return cells


@dataclass
class _Run:
    """One execution from the kernel's start to the written file."""

    request: Request
    source: bytes
    root: Path
    canonical: bool
    kernel: Kernel | None = None
    session: Session | None = None
    node: Any = None
    _saved: float = field(default_factory=time.monotonic)

    def execute(
        self,
        name: str,
        book: Notebook,
        known: Parameters,
        given: Mapping[str, object],
        files: contextlib.ExitStack,
    ) -> int:
        _load_engine()
        from papermill.engines import papermill_engines

        from nbexp.pipeline.kinds.notebook import engine

        assert self.kernel is not None
        request = self.request
        self.node = _prepared(request, book, known, given, name)
        self.session = engine.Session(self.kernel, _tell, self.save_if_due, request.timeout_s)
        if request.stdout_file is not None:
            self.session.stdout_file = files.enter_context(_opened(request.stdout_file))
        if request.stderr_file is not None:
            self.session.stderr_file = files.enter_context(_opened(request.stderr_file))
        try:
            self.kernel.wait_until_ready(request.start_timeout_s)
        except KernelDied as death:
            words = f"The kernel `{name}` of {request.source} ended before it was ready"
            raise self._failed(f"{words} (exit code {death.returncode}).", None, "") from None
        except KernelSilent:
            words = f"The kernel `{name}` of {request.source} did not answer"
            limit = request.start_timeout_s
            raise self._failed(f"{words} within {limit} s.", None, "") from None
        papermill_engines.execute_notebook_with_engine(
            engine.NAME,
            self.node,
            name,
            output_path=None,
            progress_bar=False,
            autosave_cell_every=0,
            session=self.session,
        )
        stopped = self.session.stopped
        if self.session.was_interrupted:
            self.save()
            raise KeyboardInterrupt
        # Files that the notebook left open are flushed when the kernel ends, so it is asked to, and
        # the result is put into form meanwhile.
        self.kernel.is_done = stopped is None
        self.kernel.request_end()
        if stopped is None:
            if request.output is not None:
                _write(Path(request.output), self._bytes())
            return self.session.cells_run
        kept = self.save()
        where = f"in cell {stopped.cell} of" if stopped.cell is not None else "in the parameters of"
        line = f", `{_short(stopped.line)}`" if stopped.line else ""
        place = f"stopped {where} {request.source}{line}: {stopped.words}."
        hint = "" if kept is None else f"the notebook as it stopped is {self._shown(kept)}."
        raise self._failed(place, stopped.cell, hint)

    def _failed(self, words: str, cell: int | None, hint: str) -> StageFailed:
        # The exception's text goes into a commit, a database and a table.
        words = secrets.in_output(words, os.environ)
        stage = os.environ.get("DVC_STAGE", "")
        if words.startswith("stopped"):
            words = f"Stage `{stage}` {words}" if stage else f"The notebook {words}"
        return StageFailed(words, hint or None, stage=stage, cell=cell)

    def save_if_due(self) -> None:
        if time.monotonic() - self._saved >= _SAVE_EVERY_S:
            self.save()

    def save(self) -> Path | None:
        """Keep the notebook as it is now; None where there is no place for it."""
        self._saved = time.monotonic()
        folder = os.environ.get(RUN_DIR)
        if folder:
            path = Path(folder) / Path(self.request.source).name
        elif self.request.output is not None:
            path = Path(self.request.output)
        else:
            return None
        if self.node is None:
            return None
        _write(path, self._bytes(), durable=False)
        return path

    def _bytes(self) -> bytes:
        if not self.canonical:
            import nbformat

            text: str = nbformat.writes(self.node)  # type: ignore[no-untyped-call]
            return (text + "\n").encode()
        folders = [str(self.root), str(self.root.resolve())]
        return notebook.canonical(
            json.dumps(self.node).encode(), source=self.source, folders=folders
        )

    def _shown(self, path: Path) -> str:
        relative = os.path.relpath(path, self.root)
        return str(path) if relative.startswith("..") else relative

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """While inside: SIGINT interrupts the cell, and a moment later, as SIGTERM does, ends it all."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {
            signal.SIGINT: self._interrupted,
            signal.SIGTERM: self._ended,
            signal.SIGALRM: self._ended,
        }
        before = {number: signal.signal(number, handle) for number, handle in handlers.items()}
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handle in before.items():
                signal.signal(number, handle)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        session = self.session
        if session is None or session.was_interrupted or not session.is_running_cell:
            self._ended(number, frame)
            return
        session.was_interrupted = True
        session.kernel.interrupt()
        signal.setitimer(signal.ITIMER_REAL, _INTERRUPT_GRACE_S)

    def _ended(self, _number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        if self.kernel is not None:
            self.kernel.kill()
        if self.session is not None:
            self.save()
        raise KeyboardInterrupt


# ---- the process of a stage


def _started(name: str, cwd: str | None) -> Kernel:
    return StartedKernel(name, cwd)


def _forked_from(forked: Zygote) -> StartKernel:
    def kernel(name: str, cwd: str | None) -> Kernel:
        try:
            taken = None if forked.kernel is None else forking.take(forked.kernel)
            is_other = forked.kernel is None and bool(forking.cannot_fork(name))
        except forking.Unfit:
            taken, is_other = None, True
        if taken is not None:
            return taken
        made = StartedKernel(name, cwd)
        if is_other:
            # Its next run takes another way from the start.
            way = "pool" if made.is_ipython else "papermill"
            with contextlib.suppress(OSError):
                zygote.send(forked.owner, {"unforkable": name, "way": way})
        return made

    return kernel


def _end_with_owner(template: int | None) -> None:
    """End the run, and its kernel with it, when the process that asked for it is gone.

    A runner that is a program has stream 0 from it; one that was forked ends with its template, of which
    the system tells, or which is looked for.
    """
    if template is not None:
        if zygote.has_process_control():
            return

        def wait() -> None:
            while os.getppid() == template:
                time.sleep(_LOOK_S)
    elif stat.S_ISFIFO(os.fstat(0).st_mode):

        def wait() -> None:
            while os.read(0, 4096):
                pass
    else:
        return

    def watch() -> None:
        wait()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_LAST_WORDS_S)
        os._exit(130)

    threading.Thread(target=watch, name="owner", daemon=True).start()


def _load_engine() -> None:
    with _without(_SLOW):
        from nbexp.pipeline.kinds.notebook import engine  # noqa: F401


# ---- before the run


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise NotFound(f"No notebook `{path}` here. Nothing was run.") from None
    except IsADirectoryError:
        raise NotFound(f"`{path}` is a folder, no notebook. Nothing was run.") from None


def _given(request: Request, book: Notebook, known: Parameters) -> dict[str, object]:
    """The values to set in the notebook."""
    if not request.is_strict:
        return _as_papermill(request, known)
    given: dict[str, object] = {}
    origin: dict[str, tuple[str, str]] = {}
    for asked in request.params:
        file, _, key = asked.rpartition(":")
        file = file or DEFAULT_PARAMS_FILE
        for name, value in _mapping(file, key).items():
            given[str(name)] = value
            origin[str(name)] = file, f"{key}.{name}" if key else str(name)
    if not given:
        return given
    if known.index is None or not (known.tagged or request.untagged):
        raise _untagged(request, known)
    if known.names or book.is_python:
        for name in given:
            if known.get(name) is None:
                raise _unknown(request, known, name, *origin[name])
    differing = [
        f"{name} {value!r} (cell: {default.text})"
        for name, value in given.items()
        if (default := known.get(name)) and default.is_literal and _listed(default.value) != value
    ]
    if differing:
        files = ", ".join(dict.fromkeys(file for file, _ in origin.values()))
        sys.stdout.write(f"{files} over the cell of {request.source}: {', '.join(differing)}\n")
        sys.stdout.flush()
    return {
        name: _as_default(value, default.value if (default := known.get(name)) else None)
        for name, value in given.items()
    }


def _as_default(value: object, default: object) -> object:
    """The value with a tuple wherever the notebook's default has one: a params file knows lists alone."""
    if isinstance(value, list) and isinstance(default, list | tuple):
        defaults = [*default, *[None] * len(value)]
        inner = [_as_default(one, other) for one, other in zip(value, defaults, strict=False)]
        return tuple(inner) if isinstance(default, tuple) else inner
    if isinstance(value, Mapping) and isinstance(default, Mapping):
        return {key: _as_default(one, default.get(key)) for key, one in value.items()}
    return value


def _listed(value: object) -> object:
    """The value as a params file gives it back, which has no tuples."""
    if isinstance(value, Mapping):
        return {key: _listed(inner) for key, inner in value.items()}
    return [_listed(inner) for inner in value] if isinstance(value, list | tuple) else value


def _mapping(file: str, key: str) -> Mapping[Any, object]:
    try:
        data = Path(file).read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"No params file `{file}` here. Nothing was run.",
            "`--params [FILE:]KEY` names another one.",
        ) from None
    tree = values.parse(data, file)
    found = values.lookup(tree, key) if key else tree
    if found is values.MISSING:
        names = [str(name) for name in tree] if isinstance(tree, Mapping) else []
        near = difflib.get_close_matches(key, names, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"{file} has {', '.join(names) or 'none'}."
        raise NotFound(f"No param `{key}` in {file}. Nothing was run.", hint)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        what = f"`{key}`" if key else "the file"
        raise ProjectFileError(
            f"{what} is {found!r}; a mapping of the notebook's parameters is expected.", path=file
        )
    return found


def _untagged(request: Request, known: Parameters) -> ProjectFileError:
    hint = "tag the cell that assigns them `parameters`"
    if known.names:
        hint += f", or let `--untagged` take cell {known.cell} ({', '.join(known.names)})"
    return ProjectFileError(
        f"no cell is tagged `parameters`, so {_spelled(request.params)} cannot be set. "
        "Nothing was run.",
        f"{hint}.",
        path=request.source,
    )


def _unknown(request: Request, known: Parameters, name: str, file: str, key: str) -> NotFound:
    has = f"it has {', '.join(known.names)}" if known.names else "it assigns nothing"
    near = difflib.get_close_matches(name, known.names, n=1)
    guess = f"did you mean `{near[0]}`? " if near else ""
    return NotFound(
        f"No parameter `{name}` in the parameters cell of {request.source}; {has}. Nothing was run.",
        f"{guess}rename `{key}` in {file}, or assign `{name}` in that cell.",
    )


def _spelled(params: Sequence[str]) -> str:
    return " and ".join(
        f"`{asked}`" if ":" in asked else f"`{DEFAULT_PARAMS_FILE}:{asked}`" for asked in params
    )


def _as_papermill(request: Request, known: Parameters) -> dict[str, object]:
    """The values of a papermill line, read as papermill 2.7.0 reads them, in its order."""
    if not request.given:
        return {}
    import base64

    with _without(_SLOW):
        from papermill import iorw

    def of(letter: str) -> list[tuple[str, ...]]:
        return [words for kind, *words in request.given if kind == letter]  # type: ignore[misc]

    def load(text: str | bytes) -> dict[str, object]:
        # PyYAML's safe loader, which in papermill's form leaves dates as text.
        loader = iorw.NoDatesSafeLoader(text)
        try:
            return loader.get_single_data() or {}
        finally:
            loader.dispose()

    given: dict[str, object] = {}
    try:
        given.update((name, value) for name, value in of("inject"))
        for (text,) in of("b"):
            given.update(load(base64.b64decode(text)))
        for (path,) in of("f"):
            given.update(iorw.read_yaml_file(path) or {})
        for (text,) in of("y"):
            given.update(load(text))
    except FileNotFoundError as error:
        raise NotFound(f"No params file `{error.filename}` here. Nothing was run.") from None
    except (iorw.yaml.YAMLError, ValueError, TypeError) as error:
        what = str(error).splitlines()[0]
        raise UsageError(
            f"A parameter of {request.source} is no YAML ({what}). Nothing was run."
        ) from None
    given.update((name, _typed(value)) for name, value in of("p"))
    given.update((name, value) for name, value in of("r"))
    unknown = [name for name in given if known.names and known.get(name) is None]
    if unknown:
        sys.stdout.write(f"not in the parameters cell of {request.source}: {', '.join(unknown)}\n")
    return given


def _typed(text: str) -> object:
    words: dict[str, object] = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _prepared(
    request: Request, book: Notebook, known: Parameters, given: Mapping[str, object], kernel: str
) -> Any:
    """The notebook as papermill holds it, with the values injected."""
    import warnings

    from papermill.execute import prepare_notebook_metadata, remove_error_markers
    from papermill.iorw import load_notebook_node
    from papermill.log import logger
    from papermill.parameterize import parameterize_notebook

    logger.setLevel("ERROR")  # what it would warn of has been said in our words
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            node = load_notebook_node(request.source)
        except (ValueError, TypeError, AttributeError, KeyError, LookupError) as error:
            # What papermill and nbformat take for granted, a file by another hand may lack.
            raise ProjectFileError(
                f"the notebook's metadata is not as its format says ({type(error).__name__}: {error}). "
                "Nothing was run.",
                path=request.source,
            ) from None
        if request.untagged and not known.tagged and known.index is not None:
            node.cells[known.index].metadata["tags"].append(notebook.PARAMETERS)
        if given:
            language = request.language or book.language or "python"
            _teach_tuples()
            _require_words(request, given, kernel, language)
            node = parameterize_notebook(
                node,
                dict(given),
                report_mode=request.hides_input,
                kernel_name=kernel,
                language=language,
            )
        node = prepare_notebook_metadata(node, request.source, request.output, request.hides_input)
        return remove_error_markers(node)


def _teach_tuples() -> None:
    """Let papermill 2.7.0 write a tuple in Python, which it would turn into text."""
    from papermill.translators import PythonTranslator, papermill_translators

    class WithTuples(PythonTranslator):  # type: ignore[misc]
        @classmethod
        def translate(cls, val: object) -> str:
            if not isinstance(val, tuple):
                return str(super().translate(val))
            inner = ", ".join(map(cls.translate, val))
            return f"({inner},)" if len(val) == 1 else f"({inner})"

    papermill_translators.register("python", WithTuples)


def _require_words(
    request: Request, given: Mapping[str, object], kernel: str, language: str
) -> None:
    """Refuse a value that papermill has no words for in the notebook's language."""
    from papermill.exceptions import PapermillException
    from papermill.translators import translate_parameters

    for name, value in given.items():
        try:
            translate_parameters(kernel, language, {name: value}, "")
        except PapermillException:
            raise UsageError(
                f"papermill cannot write parameters in {language}, the language of {request.source}. "
                "Nothing was run.",
                "without `--params` the notebook runs with its own values; its code may read the params file.",
            ) from None
        except NotImplementedError:
            kind = type(value).__name__
            raise UsageError(
                f"`{name}` is a {kind}, which papermill cannot write in {language}. Nothing was run.",
                f"give {request.source} its parts under names of their own.",
            ) from None


@contextlib.contextmanager
def _without(package: str) -> Iterator[None]:
    """While inside, `package` counts as not installed, unless it is loaded already."""
    if package in sys.modules:
        yield
        return
    modules: dict[str, Any] = sys.modules
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]


# ---- afterwards


def _write(path: Path, data: bytes, *, durable: bool = True) -> None:
    mode = None
    with contextlib.suppress(OSError):
        # A linked object of the cache is read-only; the file that replaces the link is the user's.
        mode = (path.stat().st_mode & 0o777) | 0o200
    filesystem.atomic_write(path, data, mode=mode, durable=durable)


def _opened(path: str) -> TextIO:
    return Path(path).open("w", encoding="utf-8")


def _tell(event: Mapping[str, object]) -> bool:
    """Append one line to `$NBEXP_EVENTS`; False where nobody listens."""
    path = os.environ.get(EVENTS)
    if not path:
        return False
    line = json.dumps(event) + "\n"
    with contextlib.suppress(OSError):
        target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(target, line.encode())
        finally:
            os.close(target)
        return True
    return False


def _short(line: str) -> str:
    return line if len(line) <= 60 else line[:59] + "…"


def _project_root(start: Path) -> Path:
    """The folder with `.dvc` around `start`, else the one with `.git`, else `start`."""
    for mark in (".dvc", ".git"):
        for folder in (start, *start.parents):
            if (folder / mark).exists():
                return folder
    return start


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # The interpreter's own end costs 50 ms here: ZeroMQ's threads, and every module's objects.
    os._exit(code)
