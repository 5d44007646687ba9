"""The command line: argv to a verb, its result to stdout, everything else to stderr.

Exit codes: 0 done, 1 the experiment failed (or a metric its bar, or `verify` found another result, or `status -q` changes),
2 wrong usage, 3 an error that is explained, 130 interrupted. Anything that is none of these is a bug and shows its traceback.
"""

from __future__ import annotations

import errno
import os
import sys

from nbexp.version import __version__

# What a command needs is imported when it is known which one it is.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import TextIO

    from nbexp import commands, events
    from nbexp.project import Project


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["--version"], ["-V"]):
        print(f"nbexp {__version__}")
        return 0
    import gc

    # What is imported and parsed lives until the end: looking through it for cycles finds nothing.
    gc.set_threshold(100_000, 50, 50)
    if argv is not None:
        return _run(words)
    _heed_being_told_to_go()
    code = _run(words)
    _leave(code)
    return code


def _heed_being_told_to_go() -> None:
    """End as by an interrupt, with the workspace put back, when a closed terminal or `kill` ends the process.

    What is ignored already stays so: `nohup` is for runs that go on without their terminal.
    """
    import signal

    def end(_number: int, _frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)  # waits where interrupts are held back

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def _leave(code: int) -> None:
    """End the process at once: to take apart what was imported takes 7 ms, and everything is written.

    Not where something was loaded that may have work to do at the end: threads, child processes, logs.
    """
    if not sys.modules.keys() & {"concurrent.futures", "logging", "multiprocessing"}:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            return  # the reader is gone, or the disk full: Python has its own words for that
        os._exit(code)


def _run(words: list[str]) -> int:
    from nbexp import commands
    from nbexp.errors import Interrupted, NbexpError

    for stream in (sys.stdout, sys.stderr):
        # A file's name may hold bytes that are no text, and a terminal may know few characters.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    narrator = Narrator(is_quiet="-q" in words or "--quiet" in words, is_json="--json" in words)
    try:
        outcome = commands.execute(words, narrator, prepare=_prepare)
        return _show(outcome, narrator)
    except NbexpError as error:
        narrator.end_line()
        print(f"{error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stopped:
        try:
            narrator.end_line()
            if isinstance(stopped, Interrupted):
                print(f"{stopped}", file=sys.stderr, flush=True)
        except OSError:
            # The terminal was closed, and nobody is there to read it.
            for stream in (sys.stdout, sys.stderr):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return Interrupted.exit_code
    except BrokenPipeError:
        # The reader (`| head`) has what it wanted. Nothing more can be said on this stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _prepare(project: Project) -> None:
    """Let the project ask whoever sits at the terminal, if anybody does."""
    if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        project.confirm = _confirm


def _confirm(question: str) -> bool:
    while True:
        try:
            said = input(f"{question} [y/n]: ").strip().lower()
        except EOFError:
            return False
        if said in {"y", "yes"}:
            return True
        if said in {"n", "no"}:
            return False
        print("Your response must be one of: y, n.")


def _show(outcome: commands.Outcome, narrator: Narrator) -> int:
    from nbexp import commands

    text = commands.formatted(outcome)
    if text is None:
        from nbexp import render

        result = outcome.result
        if hasattr(result, "converse"):
            result = result.converse(Terminal(), narrator)
        has_colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        text = render.in_colour(result) if has_colours else render.text(result)
    if not outcome.quiet or outcome.shape != "text":
        whole = text if text.endswith("\n") or not text else text + "\n"
        if not (outcome.is_paged and sys.stdout.isatty() and _page(whole)):
            sys.stdout.write(whole)
            sys.stdout.flush()
    return _exit_code(outcome)


def _exit_code(outcome: commands.Outcome) -> int:
    """What the process ends with, by the result; what failed of it is told."""
    from nbexp.results import Result

    result = outcome.result
    if outcome.quiet and outcome.verb == "status":
        return 0 if getattr(result, "is_clean", True) else 1
    if not isinstance(result, Result):
        return 0
    if result.failure is not None:
        print(result.failure, file=sys.stderr)
    return result.exit_code


def _page(text: str) -> bool:
    """Show a text that is longer or wider than the terminal page by page; False where it fits, or nothing can.

    `DVC_PAGER` is asked first, as by dvc, then `PAGER`; else it is `less`, which keeps lines whole.
    """
    import re
    import shlex
    import shutil
    import subprocess

    width, height = shutil.get_terminal_size()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    if len(lines) < height and all(len(line) <= width for line in lines):
        return False
    command = os.environ.get("DVC_PAGER") or os.environ.get("PAGER") or "less"
    env = {**os.environ, "LESS": os.environ.get("LESS", "FRSX"), "LESSCHARSET": "utf-8"}
    try:
        words = shlex.split(command)
        if os.path.basename(words[0]) == "less":
            words.append("-R")  # colours are colours, whatever LESS says
        with subprocess.Popen(words, stdin=subprocess.PIPE, env=env) as pager:
            try:
                pager.communicate(text.encode("utf-8", "backslashreplace"))
            except KeyboardInterrupt:
                pass  # it is the pager's to answer: in `less` it stops a search
        return pager.returncode != 127
    except (OSError, ValueError, IndexError):
        return False  # there is no such program


class Terminal:
    """Whoever sits at stdin: questions go to stderr, as the result alone is for stdout."""

    def __init__(self) -> None:
        self.is_person = bool(sys.stdin and sys.stdin.isatty())

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def ask(self, question: str) -> str:
        print(question, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline() if sys.stdin else ""
        if not self.is_person or not line:
            print(file=sys.stderr)  # nobody typed the line end
        if not line:
            raise EOFError
        return line.rstrip("\r\n")


class Narrator:
    """Prints events as DVC words them; with `--json` to stderr, so that stdout is JSON alone."""

    def __init__(self, *, is_quiet: bool = False, is_json: bool = False) -> None:
        self._quiet = is_quiet
        self._json = is_json
        self._line_open = False
        # What each of several stages has written of a line that is not complete yet.
        self._lines: dict[str, bytes] | None = None

    def __call__(self, event: events.Event) -> None:
        try:
            self._tell(event)
        except OSError as error:
            # `| head` has read enough, or the terminal was closed. That is no reason to give a run's results up, or
            # to leave its files as they are half-way.
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def _tell(self, event: events.Event) -> None:
        from nbexp import events

        if self._quiet and not isinstance(event, events.Notice | events.Alert):
            return
        if self._quiet and isinstance(event, events.Notice) and event.as_asked:
            return
        match event:
            case events.RunStarted(name=name):
                self._say(f"Running experiment '{name}'")
            case events.StageSkipped(stage=stage, is_data=is_data):
                self._say(f"{'' if is_data else 'Stage '}'{stage}' didn't change, skipping")
            case events.DataTaken(stage=stage):
                self._say(f"Verifying data sources in stage: '{stage}'")
            case events.StageRestored(stage=stage):
                self._say(f"Stage '{stage}' is cached - skipping run, checking out outputs")
            case events.StageStarted(stage=stage, reasons=reasons):
                self._say(f"Running stage '{stage}':")
                if reasons:
                    self._aside(f"  because {', '.join(reasons)}")
            case events.Planned(jobs=jobs):
                self._lines = {} if jobs > 1 else None
            case events.CommandStarted(stage=stage, command=command):
                self._say(f"> {command}" if self._lines is None else f"{stage} > {command}")
            case events.OutputWritten(stage=stage, data=data):
                if self._lines is None:
                    self._pass_on(data)
                else:
                    self._pass_on_lines(stage, data)
            case events.LockUpdated(path=path, created=created):
                if created:
                    self._say(f"Generating lock file '{path}'")
                self._say(f"Updating lock file '{path}'")
            case events.CheckpointMade(step=step, name=name):
                self._aside(f"checkpoint {name}@{step}")
            case events.RunFinished(name=name):
                self._say(f"Ran experiment(s): {name}")
            case events.TaskQueued(name=name, overrides=overrides):
                if overrides:
                    by_file = {file: list(texts) for file, texts in overrides.items()}
                    self._say(f"Queueing with overrides '{by_file}'.")
                self._say(f"Queued experiment '{name}' for future execution.")
            case events.ScriptTraced(script=script, number=number, total=total):
                self._aside(f"running in a copy, {number} of {total}: {script}")
            case events.StageFinished(stage=stage):
                self._end_lines(stage)
            case events.StageStopped(stage=stage, message=message, left_out=left, goes_on=goes_on):
                self._end_lines(stage)
                if goes_on:
                    self._aside(message)
                if left:
                    names = ", ".join(f"'{name}'" for name in left)
                    word = "Stages" if len(left) > 1 else "Stage"
                    self._aside(f"{word} {names} will be skipped due to this failure")
            case events.Notice(message=message, hint=hint):
                self._aside(message if hint is None else f"{message} Hint: {hint}")
            case events.Alert(message=message):
                # A terminal in the background marks its tab.
                self._aside(f"alert: {message}" + ("\a" if sys.stderr.isatty() else ""))
            case events.Phase(text=text, total=total) if total and total > 100:
                self._aside(text)
            case events.Moving():
                self._moving(event)

    def _pass_on_lines(self, stage: str, data: bytes) -> None:
        """The output of one of several stages, whole lines with the stage's name before each."""
        assert self._lines is not None
        *lines, rest = (self._lines.get(stage, b"") + data).split(b"\n")
        self._lines[stage] = rest
        name = f"{stage} | ".encode()
        # Of a bar that redraws itself, what it says in the end.
        shown = [name + line.rstrip(b"\r").rpartition(b"\r")[2] + b"\n" for line in lines]
        if shown:
            self._pass_on(b"".join(shown))

    def _end_lines(self, stage: str) -> None:
        """The stage writes no more: a last line without an end is shown as it is."""
        if self._lines is not None and self._lines.get(stage):
            self._pass_on_lines(stage, b"\n")
        self.end_line()

    def end_line(self) -> None:
        """Begin a new line if a stage's output left the last one open."""
        if self._line_open:
            self._stream.write("\n")
            self._stream.flush()
            self._line_open = False

    def _moving(self, event: events.Moving) -> None:
        """How far a transfer is, on one line that is written over; a log gets none of it."""
        if not sys.stderr.isatty():
            return
        done, rate = f"{event.size_bytes / 1e6:,.1f} MB", f"{event.bytes_per_s / 1e6:,.1f} MB/s"
        end = "\n" if event.done == event.total else ""
        line = f"{event.text}: {event.done:,} of {event.total:,} objects, {done}, {rate}"
        print(f"\r{line:<78}", end=end, file=sys.stderr, flush=True)

    @property
    def _stream(self) -> TextIO:
        return sys.stderr if self._json else sys.stdout

    def _say(self, line: str) -> None:
        self.end_line()
        print(line, file=self._stream, flush=True)

    def _aside(self, line: str) -> None:
        self.end_line()
        print(line, file=sys.stderr, flush=True)

    def _pass_on(self, data: bytes) -> None:
        """A stage's output as it came, bytes and carriage returns included."""
        stream = self._stream
        stream.flush()
        buffer = getattr(stream, "buffer", None)
        if buffer is None:
            stream.write(data.decode("utf-8", "replace"))
        else:
            buffer.write(data)
        stream.flush()
        self._line_open = not data.endswith(b"\n")


if __name__ == "__main__":
    sys.exit(main())
