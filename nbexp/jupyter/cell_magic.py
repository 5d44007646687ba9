"""`%%exp`: the cell below runs in this kernel and becomes an experiment.

What is typed behind `%%exp` has a parser of its own, since it asks for no verb; its help is `%%exp -h`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbexp import commands, live
from nbexp.errors import Interrupted, StageFailed, UsageError
from nbexp.jupyter.capture import Capture

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbexp.events import Emit
    from nbexp.experiments.cells import Cell, State
    from nbexp.project import Experiment, Project

_DESCRIPTION = """\
Run the cell in this kernel and record it as an experiment: its code, what it reads, what it shows, and its metrics,
which are what it logs and the dict that it ends with. The files of the project are recorded as they are; none changes.

Params that the cell reads and this session does not have are lent to it from params.yaml."""
_EXAMPLES = """\
examples:
  %%exp                                under a name of two words
  %%exp -n try-momentum                and a name of one's own
  %%exp -P lr,epochs                   `lr` and `epochs` are params of the experiment
  %%exp -P train.lr -n slow -f         `lr` is train.lr of params.yaml; replaces `slow`

`%exp rerun NAME` runs the cell again in a fresh kernel."""


@cache
def parser() -> commands.Parser:
    """The parser of what stands behind `%%exp`."""
    found = commands.Parser(
        prog="%%exp",
        usage="%%%%exp [options]",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    found.add_argument("-n", "--name", metavar="EXPERIMENT_NAME", help="the experiment's name")
    found.add_argument(
        "-P",
        "--params",
        action="append",
        default=[],
        metavar="PARAM[,PARAM]",
        help="variables, or keys of params.yaml, that are params of the experiment",
    )
    found.add_argument("-m", "--message", metavar="TEXT", help="the commit's message")
    found.add_argument(
        "-f",
        "--force",
        action="store_true",
        help="replace an experiment of that name, which goes to the trash",
    )
    found.add_argument("--json", action="store_true", help="print JSON")
    found.add_argument("-q", "--quiet", action="store_true", help="show what the cell shows only")
    return found


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The options as they were typed.

    Raises
    ------
    UsageError
        They are none of `%%exp`. Nothing was run.
    """
    known = [word for word in words if not word.startswith("-")][:1]
    if known and words[0] == known[0]:
        hint = "`%%exp -h` has what there is."
        if known[0] in {*commands.names(), *commands.ALIASES}:
            hint = f"`%exp {known[0]}` on a line of its own is that command."
        raise UsageError(
            f"`%%exp` runs the cell below and takes options alone, not `{known[0]}`. Nothing was run.",
            hint,
        )
    return parser().parse_args(list(words))


def run(
    shell: InteractiveShell,
    project: Project,
    source: str,
    args: argparse.Namespace,
    emit: Emit,
) -> Experiment:
    """Run the source in the shell and record it; the experiment, or what stopped it is raised.

    Raises
    ------
    UsageError, NotFound, NameTaken
        The request cannot be met; the cell did not run.
    StageFailed
        The cell raised an error, which IPython has shown.
    Interrupted
        The cell was interrupted.
    """
    if _is_inside():
        raise UsageError(
            "A cell that is being recorded cannot hold another `%%exp`. Nothing was run.",
            "give each a cell of its own.",
        )
    names = [name.strip() for text in args.params for name in text.split(",") if name.strip()]
    _refuse_await(shell, source)
    cell = project.cell(
        source,
        params=tuple(dict.fromkeys(names)),
        name=args.name,
        message=args.message,
        force=args.force,
        namespace=shell.user_ns,
        history=project.session_history[:-1],
        cwd=Path.cwd(),
    )
    return _run(shell, cell, source, emit)


def _run(shell: InteractiveShell, cell: Cell, source: str, emit: Emit) -> Experiment:
    capture = Capture(shell)
    quiet = getattr(shell.displayhook, "semicolon_at_end_of_expression", None)
    capture.is_quiet = bool(quiet is not None and quiet(source))
    binds = _bound(source)
    # IPython forgets whose value is shown when a cell inside of another ends.
    hook: Any = shell.displayhook
    outer = getattr(hook, "exec_result", None)
    began = time.monotonic()
    try:
        with _logging_to(cell.live), _lent(shell.user_ns, cell.lent, binds), capture.going():
            # Its own magics, `%%time` for one, work because IPython runs it like any cell.
            result: Any = shell.run_cell(source, store_history=False)  # type: ignore[no-untyped-call]
    except BaseException:
        cell.drop()
        raise
    finally:
        hook.exec_result = outer
    seconds = time.monotonic() - began
    error = result.error_before_exec or result.error_in_exec
    state: State = "done"
    if error is not None:
        state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    made: Experiment = cell.record(
        outputs=capture.outputs,
        last=capture.last,
        namespace=shell.user_ns,
        state=state,
        error="" if error is None else _line(error),
        seconds=seconds,
        emit=emit,
    )
    if error is None:
        return made
    hint = f"`nbexp open {made.name}` is what there was; `nbexp show --all-states` lists it."
    if state == "interrupted":
        raise Interrupted(f"The cell was interrupted, and is recorded as `{made.name}`.", hint)
    failed = StageFailed(
        f"The cell stopped with {_line(error)} and is recorded as `{made.name}`, which failed.",
        hint,
        stage="cell",
    )
    failed.experiment = made.name
    raise failed from None


_depth = [0]


def _is_inside() -> bool:
    return _depth[0] > 0


@contextmanager
def _logging_to(folder: Path) -> Iterator[None]:
    """While inside, what is logged goes into the folder, from its first step on."""
    names = ("NBEXP_LIVE_DIR", "NBEXP_CELL")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(folder)))
    begun = live.begin_anew()
    _depth[0] += 1
    try:
        yield
    finally:
        _depth[0] -= 1
        live.begin_anew(*begun)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _lent(
    namespace: dict[str, Any], values: dict[str, object], binds: frozenset[str]
) -> Iterator[None]:
    """While inside, the names have these values; what the cell has assigned itself stays."""
    before = {name: namespace[name] for name in values if name in namespace}
    namespace.update(values)
    try:
        yield
    finally:
        for name in values:
            if name in binds:
                continue
            if name in before:
                namespace[name] = before[name]
            else:
                namespace.pop(name, None)


def _bound(source: str) -> frozenset[str]:
    from nbexp.formats import cell_code

    names = cell_code.names(source)
    return frozenset() if names is None else names.binds


def _refuse_await(shell: InteractiveShell, source: str) -> None:
    """IPython runs such a cell on the loop that is waiting for this one to end."""
    asks: Callable[..., bool] | None = getattr(shell, "should_run_async", None)
    if asks is None:
        return
    try:
        plain = shell.transform_cell(source)  # type: ignore[no-untyped-call]
        is_async = asks(source, transformed_cell=plain)
    except Exception:  # noqa: BLE001  # whatever is wrong with the cell, running it says
        return
    if is_async:
        raise UsageError(
            "`await` at the top of a cell does not work below `%%exp`. Nothing was run.",
            "put it into an `async def`, and run that in a thread: `asyncio.run` there.",
        )


def _line(error: BaseException) -> str:
    text = str(error).strip()
    first = text.splitlines()[0][:200] if text else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
