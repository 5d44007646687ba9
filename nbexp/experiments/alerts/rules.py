"""The alerts that are set up: read from the user's own settings and the project's, checked, and whether they are trusted.

    [alerts.good]
    when = "acc > 0.95"                   # or "finished", "failed", "interrupted"; a list is any of them
    command = 'notify-send "$NAME: $MESSAGE"'
    webhook = "https://hooks.example.org/${TOKEN}"

The user's own stand in `~/.config/nbexp/nbexp.toml`. A command or webhook of a project's `nbexp.toml` is code that may
have come with a clone or an experiment, so it counts once the user has agreed to just this text in just this place;
what was agreed to is remembered in the user's state folder, which no repository reaches.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from nbexp import filesystem, hashing, settings
from nbexp.errors import ProjectFileError, UsageError, nearest
from nbexp.experiments import where
from nbexp.experiments.place import home
from nbexp.formats.secrets import without_secrets
from nbexp.formats.values import MISSING
from nbexp.frozen import frozen

Metrics = Mapping[str, object]

State = Literal["running", "finished", "failed", "interrupted"]
_STATES = ("finished", "failed", "interrupted")


@frozen
class Rule:
    """One alert.

    Attributes
    ----------
    when
        Ends of a run (`finished`, `failed`, `interrupted`) and conditions over its metrics; any of them.
    notebook
        It is shown in the cell, or the terminal, that waits for the run.
    command
        Text for a shell, or words of a program; None where nothing is run.
    webhook
        Where JSON is sent to; `${NAME}` stands for a variable of the environment.
    allow_http
        The webhook may be `http://` on another machine.
    min_seconds
        Ends of runs that took less are no alert.
    file
        Where it stands, for messages.
    trusted
        Its command and webhook are carried out.
    """

    name: str
    when: tuple[str, ...] = ("finished", "failed")
    notebook: bool = True
    command: str | tuple[str, ...] | None = None
    webhook: str | None = None
    allow_http: bool = False
    min_seconds: float = 0.0
    file: str = "nbexp.toml"
    trusted: bool = True

    @property
    def acts(self) -> bool:
        """Whether it runs or sends anything."""
        return self.command is not None or self.webhook is not None

    @property
    def conditions(self) -> tuple[str, ...]:
        """Of `when`, what is no end of a run."""
        return tuple(one for one in self.when if one not in _STATES)

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "when": list(self.when),
            "notebook": self.notebook,
            "command": list(self.command) if isinstance(self.command, tuple) else self.command,
            "webhook": None if self.webhook is None else shown_url(self.webhook),
            "min_seconds": self.min_seconds,
            "file": self.file,
            "trusted": self.trusted,
        }


def read(root: Path) -> tuple[Rule, ...]:
    """The alerts of a project: the user's own first, then the project's; of one name, the user's counts.

    Raises
    ------
    ProjectFileError
        One is not as it should be; the file and the setting are named.
    """
    found = {}
    own = settings.user_file(home())
    for name, table in settings.read_user(own).items():
        found[name] = _rule(name, table, _shown(own))
    project = settings.read(root).alerts
    if project:
        file = settings.file_name(root)
        agreed = _agreed()
        for name, table in project.items():
            rule = _rule(name, table, file)
            trusted = not rule.acts or _digest(root, rule) in agreed
            found.setdefault(name, _replace_trusted(rule, trusted))
    return tuple(found.values())


def trust(root: Path) -> tuple[Rule, ...]:
    """Remember that the user agrees to the commands and webhooks of the project's settings, as they are now.

    Returns those that were not trusted before.
    """
    new = tuple(rule for rule in read(root) if not rule.trusted)
    if new:
        file = _agreed_file()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = [*_agreed(), *(_digest(root, rule) for rule in new)]
        filesystem.atomic_write(file, "".join(f"{line}\n" for line in lines).encode())
    return new


def condition(text: str) -> Callable[[Metrics], bool]:
    """A function that says of metrics whether the condition holds; a metric that is not there makes none hold.

    Raises
    ------
    UsageError
        It cannot be read.

    Examples
    --------
    >>> holds = condition("acc > 0.95 or loss is nan")
    >>> [holds({"val/acc": 0.97}), holds({"acc": 0.5, "loss": "nan"}), holds({})]
    [True, True, False]
    """
    return where.compile_filter(text, _column, times=())


def names_in(text: str, metrics: Metrics) -> dict[str, object]:
    """The metrics that a condition is about, with their values."""
    seen: dict[str, object] = {}

    def column(name: str) -> Callable[[Metrics], object]:
        value = _column(name)(metrics)
        if value is not MISSING:
            seen[name] = value
        return lambda _: value

    where.compile_filter(text, column, times=())
    return seen


def shown_url(url: str) -> str:
    """A webhook's address without what may be a secret in it: user, path and query are left out.

    Examples
    --------
    >>> shown_url("https://user:pw@hooks.slack.com/services/T0/B0/x?token=1")
    'https://hooks.slack.com/***'
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return "***" if "${" not in url else url  # the name of a variable is none
    host = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{host}" + ("/***" if rest.partition("/")[2] or "?" in rest else "")


def shown_command(command: str | Sequence[str]) -> str:
    """A command as it is told, secrets hidden."""
    import shlex

    return without_secrets(command if isinstance(command, str) else shlex.join(command))


# ---- metrics by name


def _column(name: str) -> Callable[[Metrics], object]:
    return lambda metrics: _number(_found(name, metrics))


def _found(name: str, metrics: Metrics) -> object:
    """By its whole name, or by the last parts of one; `train/acc` and `train.acc` are the same."""
    wanted = name.replace("/", ".")
    short: object = MISSING
    for key, value in metrics.items():
        plain = key.replace("/", ".")
        if wanted in (plain, plain.rpartition(":")[2]):
            return value
        if short is MISSING and plain.endswith(f".{wanted}"):
            short = value
    return short


def _number(value: object) -> object:
    """Tables of live values hold text for what is no number."""
    if isinstance(value, str) and value.lower() in ("nan", "inf", "-inf"):
        return float(value)
    return value


# ---- one table


def _rule(name: str, table: object, file: str) -> Rule:
    at = f"alerts.{name}"
    if not isinstance(table, dict):
        raise ProjectFileError(
            f"`{at}` is {table!r}; a table is expected.",
            f'`[alerts.{name}]` and below it `when = "finished"`.',
            path=file,
        )
    known = ("when", "notebook", "command", "webhook", "allow_http", "min_seconds")
    for key, value in table.items():
        if key not in known:
            near = nearest(key, known) or "when"
            raise ProjectFileError(
                f"there is no setting `{at}.{key}`.", f"did you mean `{near}`?", path=file
            )
        wanted = _wrong(key, value)
        if wanted is not None:
            raise ProjectFileError(f"`{at}.{key}` is {value!r}; {wanted} is expected.", path=file)
    when = table.get("when", ["finished", "failed"])
    when = (when,) if isinstance(when, str) else tuple(when)
    for one in when:
        if one not in _STATES:
            _check_condition(one, f"{at}.when", file)
    webhook = table.get("webhook")
    if webhook is not None and "${" not in webhook.partition("://")[0]:
        scheme = webhook.partition("://")[0].lower()
        if scheme not in ("http", "https"):
            raise ProjectFileError(
                f"`{at}.webhook` is no address that begins with https://.", path=file
            )
    command = table.get("command")
    return Rule(
        name,
        when,
        table.get("notebook", True),
        tuple(command) if isinstance(command, list) else command,
        webhook,
        table.get("allow_http", False),
        float(table.get("min_seconds", 0)),
        file,
    )


def _wrong(key: str, value: object) -> str | None:
    """What is expected in place of the value; None where it is right."""
    if key in ("notebook", "allow_http"):
        return None if isinstance(value, bool) else "true or false"
    if key == "min_seconds":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if is_number else "a number of seconds"
    if key == "webhook":
        return None if isinstance(value, str) and value else "an address"
    is_list = isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)
    if isinstance(value, str) and value.strip():
        return None
    if is_list:
        return None
    if key == "command":
        return "a line for the shell, or a list of a program and its words"
    return 'when it is due ("finished", "failed", "acc > 0.95"), or a list of that,'


def _check_condition(text: str, at: str, file: str) -> None:
    try:
        condition(text)
    except UsageError as error:
        why = error.message.partition("` ")[2] or error.message
        raise ProjectFileError(
            f"`{at}`: `{text}` {why}",
            '"finished", "failed", "interrupted", or a condition as "acc > 0.95" and "loss is nan".',
            path=file,
        ) from None
    if not any(sign in text for sign in "<>=~") and " is " not in text and " in " not in text:
        near = nearest(text, _STATES)
        raise ProjectFileError(
            f"`{at}` is {text!r}, which is no end of a run and compares nothing.",
            f'did you mean "{near}"?' if near else '"finished", "failed", or "acc > 0.95".',
            path=file,
        )


def _replace_trusted(rule: Rule, trusted: bool) -> Rule:
    from nbexp.frozen import replace

    return replace(rule, trusted=trusted)


# ---- what the user has agreed to


def _digest(root: Path, rule: Rule) -> str:
    """What stands for the actions of a rule of the project in this folder: other text is another rule."""
    command = list(rule.command) if isinstance(rule.command, tuple) else rule.command
    said = json.dumps(
        [os.path.realpath(root), rule.name, command, rule.webhook, rule.allow_http, rule.when]
    )
    return hashing.sha256(said.encode())


def _agreed() -> tuple[str, ...]:
    try:
        return tuple(_agreed_file().read_text("utf-8", "replace").split())
    except OSError:
        return ()


def _agreed_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    folder = Path(state) if state else home() / ".local" / "state"
    return folder / "nbexp" / "trusted-alerts"


def _shown(path: Path) -> str:
    try:
        return f"~/{path.relative_to(home()).as_posix()}"
    except ValueError:
        return str(path)
