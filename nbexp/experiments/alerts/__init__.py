"""Alerts: somebody is told when a run is done, has failed, or a metric passes a bar.

A run is told of by its events, so whoever makes a run wraps its consumer once:

    with alerts.watching(root, emit, metrics) as emit:
        running.run(..., emit, ...)

Each rule is due once in a run. Commands and webhooks are carried out on threads of their own; they hold nothing up while
the run goes on, at its end they are waited for a few seconds, and what goes wrong with them is a notice.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import NbexpError, NotFound, nearest
from nbexp.events import Alert, Emit, Event, MetricLogged, Notice, RunFinished, RunStarted
from nbexp.experiments import alerting
from nbexp.experiments.alerts import delivery, rules
from nbexp.experiments.alerts.delivery import Told
from nbexp.experiments.alerts.rules import Rule
from nbexp.experiments.reading import Reader
from nbexp.formats.secrets import without_secrets
from nbexp.frozen import frozen
from nbexp.results import Result, strict

__all__ = ["Alerts", "Rule", "Told", "listing", "metrics_of", "try_out", "watching"]

# A little more than a command and a webhook may take.
_WAIT_S = delivery.COMMAND_S + 2.0
_SHOWN = 20
_MAX_LOG = 256 * 1024


@frozen
class Past:
    """An alert that was due."""

    time_s: float
    alert: str
    run: str
    state: str
    message: str

    def to_json(self) -> dict[str, object]:
        return {
            "time": self.time_s,
            "alert": self.alert,
            "name": self.run,
            "state": self.state,
            "message": self.message,
        }


@frozen
class Alerts(Result):
    """The alerts that are set up, and those that were due last, newest first.

    Attributes
    ----------
    agreed
        Names of those that were trusted by this command.
    problems
        Of an alert that was tried out, why it was not carried out.
    tried
        The one that was tried out.
    """

    rules: tuple[Rule, ...]
    past: tuple[Past, ...] = ()
    agreed: tuple[str, ...] = ()
    tried: str | None = None
    problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Alerts: {len(self.rules)} set up, {len(self.past)} past>"

    @property
    def exit_code(self) -> int:
        """3 where one was tried out and nobody was told."""
        return 3 if self.problems else 0

    def to_json(self) -> dict[str, object]:
        return {
            "alerts": [rule.to_json() for rule in self.rules],
            "past": [one.to_json() for one in self.past],
            "agreed": list(self.agreed),
            "tried": self.tried,
            "problems": list(self.problems),
        }


def listing(root: Path, *, trust: bool = False) -> Alerts:
    """The alerts of a project; with `trust`, its commands and webhooks are agreed to first.

    Raises
    ------
    ProjectFileError
        One is not set up as it should be.
    """
    agreed = rules.trust(root) if trust else ()
    return Alerts(rules.read(root), _past(root), tuple(rule.name for rule in agreed))


def try_out(root: Path, name: str, env: Mapping[str, str] | None = None) -> Alerts:
    """Carry an alert out now, as if a run called `test` had ended.

    Raises
    ------
    NotFound
        There is no alert of that name.
    """
    found = rules.read(root)
    rule = next((one for one in found if one.name == name), None)
    if rule is None:
        near = nearest(name, [one.name for one in found])
        known = ", ".join(f"`{one.name}`" for one in found)
        hint = f"did you mean `{near}`?" if near else (f"there is {known}." if known else None)
        raise NotFound(f"There is no alert `{name}`. Nothing was sent.", hint)
    told = Told(name, "test", "finished", f"`test`: the alert `{name}` works", None, {}, root.name)
    problems = (
        [_untrusted([rule]).message] if not rule.trusted else _carried_out(rule, told, root, env)
    )
    return Alerts(found, _past(root), tried=name, problems=tuple(problems))


def metrics_of(reader: Callable[[], Reader]) -> Callable[[str], Mapping[str, object]]:
    """What `watching` asks for the metrics of a commit: by key, with the file before it where two files have one."""

    def read(rev: str) -> Mapping[str, object]:
        flat = reader().data(rev).flat("metrics")
        keys = [key for _, key in flat]
        return {
            key if keys.count(key) == 1 else f"{file}:{key}": value
            for (file, key), value in flat.items()
        }

    return read


@contextmanager
def watching(
    root: Path,
    emit: Emit,
    metrics: Callable[[str], Mapping[str, object]],
    env: Mapping[str, str] | None = None,
    is_end: Callable[[BaseException], bool] = lambda _: True,
) -> Iterator[Emit]:
    """A consumer that passes events on to `emit` and carries out the alerts that become due in one run.

    Parameters
    ----------
    metrics
        The metrics of a commit by name, for what a run is worth when it is done.
    env
        For commands and webhooks; None is this process's.
    is_end
        Whether the run is over with an exception; no, where a worker gives it back to be run again.

    Raises
    ------
    ProjectFileError
        An alert is not set up as it should be. Nothing was run.
    """
    found = rules.read(root)
    if not found:
        yield emit
        return
    watch = _Watch(found, root, emit, metrics, env)
    try:
        yield watch
    except BaseException as error:
        if is_end(error):
            watch.stopped(error)
        raise
    finally:
        watch.close()


class _Watch:
    """The consumer: knows of one run what has happened, and of each rule whether it was due."""

    def __init__(
        self,
        found: tuple[Rule, ...],
        root: Path,
        emit: Emit,
        metrics: Callable[[str], Mapping[str, object]],
        env: Mapping[str, str] | None,
    ) -> None:
        self._rules = found
        self._conditions = {
            rule.name: [(text, rules.condition(text)) for text in rule.conditions] for rule in found
        }
        self._root = root
        self._emit = emit
        self._metrics = metrics
        self._env = env
        self._due: set[str] = set()
        self._run: str | None = None
        self._is_over = False
        self._began_s = time.monotonic()
        self._values: dict[str, object] = {}
        self._threads: list[threading.Thread] = []
        # Filled by threads; told by whoever tells the next event.
        self._problems: list[str] = []

    def __call__(self, event: Event) -> None:
        self._emit(event)
        if isinstance(event, RunStarted):
            self._run = event.name
            self._began_s = time.monotonic()
            untrusted = [rule for rule in self._rules if not rule.trusted]
            if untrusted:
                self._emit(_untrusted(untrusted))
        elif isinstance(event, MetricLogged):
            self._values.update(event.values)
            step = "" if event.step is None else f", step {event.step:g}"
            self._check("running", None, step)
        elif isinstance(event, RunFinished):
            self._run = event.name
            self._is_over = True
            try:
                self._values.update(self._metrics(event.rev))
            except (NbexpError, OSError, ValueError) as error:
                self._problems.append(
                    f"The metrics of `{event.name}` could not be read for alerts: {error}"
                )
            self._check("finished", event.rev)
            took = time.monotonic() - self._began_s
            values = ", ".join(f"{key} {_short(value)}" for key, value in self._best())
            message = f"`{event.name}` finished in {_duration(took)}" + (
                f": {values}" if values else ""
            )
            self._ended("finished", message, event.rev)
        self._tell_problems()

    def stopped(self, error: BaseException) -> None:
        """The run ended with an error."""
        if self._run is None or self._is_over:
            return
        self._is_over = True
        state = "failed" if isinstance(error, Exception) else "interrupted"
        said = str(getattr(error, "message", "") or type(error).__name__).rstrip(".")
        what = f": {without_secrets(said)}" if state == "failed" else ""
        try:
            self._ended(
                state, f"`{self._run}` {'failed' if what else 'was interrupted'}{what}", None
            )
        except OSError as problem:
            self._problems.append(str(problem))

    def close(self) -> None:
        """Wait a little for what is under way, and tell of what went wrong."""
        deadline = time.monotonic() + _WAIT_S
        try:
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        except KeyboardInterrupt:
            pass  # the run is over as it is; nobody waits any more
        late = [thread.name for thread in self._threads if thread.is_alive()]
        self._problems += [f"The alert `{name}` is still on its way." for name in late]
        self._tell_problems()

    def _check(self, state: str, rev: str | None, step: str = "") -> None:
        for rule in self._rules:
            if rule.name in self._due:
                continue
            for text, holds in self._conditions[rule.name]:
                if not holds(self._values):
                    continue
                about = rules.names_in(text, self._values)
                values = ", ".join(f"{key} {_short(value)}" for key, value in about.items())
                message = f"`{self._run}`: {text} ({values}{step})"
                self._carry_out(rule, state, message, rev)
                break

    def _ended(self, state: str, message: str, rev: str | None) -> None:
        took = time.monotonic() - self._began_s
        for rule in self._rules:
            if state in rule.when and rule.name not in self._due and took >= rule.min_seconds:
                self._carry_out(rule, state, message, rev)

    def _carry_out(self, rule: Rule, state: str, message: str, rev: str | None) -> None:
        self._due.add(rule.name)
        values = strict(dict(self._values))
        assert isinstance(values, dict)
        told = Told(rule.name, self._run or "", state, message, rev, values, self._root.name)
        problem = _remember(self._root, rule, told)
        if problem is not None:
            self._problems.append(problem)
        if rule.notebook:
            self._emit(Alert(rule.name, told.run, state, message))
        if rule.acts and rule.trusted:
            thread = threading.Thread(
                target=self._act, args=(rule, told), name=rule.name, daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _act(self, rule: Rule, told: Told) -> None:
        self._problems += _carried_out(rule, told, self._root, self._env)

    def _tell_problems(self) -> None:
        while self._problems:
            self._emit(Notice(self._problems.pop(0)))

    def _best(self) -> list[tuple[str, object]]:
        """The first few metrics, for a message."""
        return list(self._values.items())[:4]


def _carried_out(rule: Rule, told: Told, root: Path, env: Mapping[str, str] | None) -> list[str]:
    """What went wrong with the command and the webhook."""
    env = os.environ if env is None else env
    problems = []
    if rule.command is not None:
        problems.append(delivery.command(rule, told, root, env))
    if rule.webhook is not None:
        problems.append(delivery.webhook(rule, told, env))
    return [one for one in problems if one is not None]


def _untrusted(found: list[Rule]) -> Notice:
    names = ", ".join(f"`{rule.name}`" for rule in found)
    one = len(found) == 1
    return Notice(
        f"The alert{'' if one else 's'} {names} of {found[0].file} run{'s' if one else ''} commands or call{'s' if one else ''} "
        f"webhooks, and came with the project; {'it is' if one else 'they are'} not carried out until you agree.",
        "`nbexp alerts` shows them, `nbexp alerts --trust` agrees.",
    )


def _remember(root: Path, rule: Rule, told: Told) -> str | None:
    """One line in the log, whoever's process this is; why there is none."""
    line = json.dumps(
        {
            "time": time.time(),
            "alert": told.alert,
            "name": told.run,
            "state": told.state,
            "message": told.message,
            "notebook": rule.notebook,
            "pid": os.getpid(),
        }
    )
    path = alerting.log_file(root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and path.stat().st_size > _MAX_LOG:
            kept = path.read_bytes().splitlines(keepends=True)[-500:]
            filesystem.atomic_write(path, b"".join(kept), durable=False)
        # One write at the end of the file: lines of several processes do not mix.
        target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(target, f"{line}\n".encode())
        finally:
            os.close(target)
    except OSError as error:
        return f"The alert `{told.alert}` could not be written down: {error}."
    return None


def _past(root: Path) -> tuple[Past, ...]:
    try:
        lines = alerting.log_file(root).read_bytes().splitlines()[-_SHOWN:]
    except OSError:
        return ()
    found = []
    for line in reversed(lines):
        try:
            said = json.loads(line)
            found.append(
                Past(
                    float(said["time"]),
                    str(said["alert"]),
                    str(said["name"]),
                    str(said["state"]),
                    str(said["message"]),
                )
            )
        except (ValueError, KeyError, TypeError):
            continue  # a line that a full disk cut off
    return tuple(found)


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)[:40]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
