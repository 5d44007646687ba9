"""What may stand at a place of a command line: experiments, param keys with their present value, columns, files.

A place is found by the verb and the argument's name (`sweep sampler`) or, where all verbs mean the same, by what
help texts call it (`EXPERIMENT`). Places of free text (`TEXT`, `N`) are in no table, and offer nothing.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from nbexp.frozen import frozen
from nbexp.jupyter import words
from nbexp.jupyter.peek import Peek
from nbexp.render.words import clock

Offers = Iterable[tuple[str, str]]
"""Texts, each with what kind of thing it is."""


@frozen(eq=False)
class Place:
    """Where something is being typed: behind which words, and in which project."""

    verb: str
    action: argparse.Action
    before: tuple[str, ...]
    typed: str
    here: Path
    project: Peek | None

    def has(self, *options: str) -> bool:
        """Whether one of these was typed before."""
        return any(option in self.before for option in options)


Look = Callable[[Place], tuple[str, Offers]]
"""The start of what is typed that stays as it is, and what may follow it."""


def at(place: Place) -> tuple[str, Offers]:
    """What fits the place; nothing where text is free."""
    if place.action.choices is not None:
        return "", [(str(choice), "value") for choice in place.action.choices]
    look = _look(place.verb, place.action)
    if look is None or (place.project is None and look not in _ANYWHERE):
        return "", []
    return look(place)


def is_known(verb: str, action: argparse.Action) -> bool:
    """Whether there is something to offer for it at all."""
    return action.choices is not None or _look(verb, action) is not None


def _look(verb: str, action: argparse.Action) -> Look | None:
    own = f"{verb} {action.dest}"
    if own in _BY_PLACE:
        return _BY_PLACE[own]
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    return _BY_NAME.get(name)


def _plain(kind: str, names: Callable[[Peek], Iterable[str] | None]) -> Look:
    """Names of one kind, each a whole word."""

    def look(place: Place) -> tuple[str, Offers]:
        found = names(_project(place)) or ()
        return "", [(name, kind) for name in found]

    return look


def _project(place: Place) -> Peek:
    assert place.project is not None
    return place.project


# ---- experiments and commits

_experiments = _plain("experiment", lambda project: project.experiments)


def _states(place: Place) -> tuple[str, Offers]:
    """Experiments, and runs that came to none: both are opened by their name."""
    project = _project(place)
    failed = [(name, "failed run") for name in project.failed]
    return "", [*_experiments(place)[1], *failed]


def _revisions(place: Place) -> tuple[str, Offers]:
    project = _project(place)
    branches = [(name, "branch") for name in project.branches]
    tags = [(name, "Git tag") for name in project.tags]
    states = [("workspace", "files here"), ("HEAD", "commit")]
    return "", [*_states(place)[1], *branches, *tags, *states]


def _commits(place: Place) -> tuple[str, Offers]:
    """The same without the workspace, which is none."""
    return "", [one for one in _revisions(place)[1] if one[0] != "workspace"]


def _shared(place: Place) -> tuple[str, Offers]:
    """The first word of `push` and `pull`, which may be a Git remote."""
    remotes = [(name, "Git remote") for name in _project(place).git_remotes]
    return "", [*_experiments(place)[1], *remotes]


def _new_branches(place: Place) -> tuple[str, Offers]:
    """Behind an experiment: the branch that it becomes, or more of them."""
    own = [(f"{name}-branch", "new branch") for name in place.before[-1:] if name[:1] != "-"]
    return "", [*own, *_experiments(place)[1]]


def _new_names(place: Place) -> tuple[str, Offers]:
    """The next of a series that was begun (`try-3` behind `try-2`), then the names that are taken."""
    names = _project(place).experiments or []
    kind = "is replaced" if place.has("-f", "--force") else "taken; -f replaces it"
    return "", [*_next(names), *((name, kind) for name in names)]


def _next(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    last: dict[str, int] = {}
    for name in names:
        match = re.fullmatch(r"(.*[^0-9])([0-9]{1,6})", name)
        if match:
            last[match[1]] = max(last.get(match[1], 0), int(match[2]))
    for start, number in last.items():
        yield f"{start}{number + 1}", "free"


def _tasks(place: Place) -> tuple[str, Offers]:
    """Tasks of the queue, in the state that the verb is for, the newest first."""
    wanted = _STATES_OF.get(place.verb)
    found = {
        name: state
        for name, state, _ in reversed(_project(place).tasks)
        if wanted is None or state in wanted
    }
    return "", reversed(found.items())


_STATES_OF = {
    "queue edit": ("queued",),
    "queue move": ("queued",),
    "queue run": ("queued",),
    "queue kill": ("running", "committing"),
    "queue retry": ("failed", "interrupted", "cancelled"),
    "stop": ("queued", "running", "committing"),
}


def _stoppable(place: Place) -> tuple[str, Offers]:
    return "", [*_tasks(place)[1], *((name, "sweep") for name in _project(place).sweeps)]


# ---- params


def _overrides(place: Place) -> tuple[str, Offers]:
    """`train.lr=` with its present value beside it; behind the `=` that value, others tried, and after a comma more."""
    match = _PARAM.fullmatch(place.typed)
    assert match is not None
    op, file, rest = match["op"] or "", match["file"], match["rest"]
    key, sign, value = rest.partition("=")
    head = place.typed[: match.start("rest")]
    params = _params_of(place, file)
    if sign:
        done, comma, _ = value.rpartition(",")
        given = done.split(",") if comma else []
        found = _values(place, file, key, params)
        return head + key + "=" + done + comma, [one for one in found if one[0] not in given]
    if op == "+":  # a key that is not there yet
        return head, []
    end = "" if op == "~" else "="
    keys = [(f"{name}{end}", f"now {_short(shown)}") for name, shown in params.items()]
    if file is not None or op:
        return head, keys
    project = _project(place)
    groups = [(f"{name}=", "group") for name in project.groups]
    files = [(f"{name}:", "params file") for name in project.params_files if name != "params.yaml"]
    return head, [*keys, *groups, *files]


_PARAM = re.compile(r"(?P<op>~|\+\+|\+)?(?:(?P<file>[^:=]+):)?(?P<rest>.*)", re.DOTALL)


def _params_of(place: Place, file: str | None) -> Mapping[str, str]:
    path = _project(place).file(file or "params.yaml")
    if path is None:
        return {}
    found: dict[str, str] = {}
    for key, value in _project(place).values_of(path).items():
        try:
            found[key] = words.spelled(value)
        except TypeError:  # a date
            found[key] = str(value)
    return found


def _values(place: Place, file: str | None, key: str, params: Mapping[str, str]) -> Offers:
    project = _project(place)
    found: dict[str, str] = {}
    if key in params:
        found[params[key]] = "present value"
        if params[key] in ("true", "false"):
            found.setdefault("true" if params[key] == "false" else "false", "value")
    asked = f"{file}:{key}=" if file else f"{key}="
    for name, _, typed in project.tasks:
        for one in typed:
            if one.startswith(asked) and "," not in one:
                found.setdefault(one.removeprefix(asked), f"tried in {name}")
    for option in project.groups.get(key, ()):
        found.setdefault(option, "option")
    return found.items()


def _keys(place: Place) -> tuple[str, Offers]:
    """Keys alone, as `--params` of a notebook takes one and `stage add` several."""
    head, _, _ = place.typed.rpartition(",")
    start = f"{head}," if head else ""
    file, colon, _ = (head or place.typed).partition(":")
    params = _params_of(place, file if colon else None)
    names = dict.fromkeys(
        part
        for key in params
        for part in (key.rpartition(".")[0], key)
        if part
    )  # fmt: skip
    if not head and colon:
        start = f"{file}:"
    kinds = ((name, f"now {_short(params[name])}" if name in params else "mapping") for name in names)  # fmt: skip
    return start, kinds


def _of_a_cell(place: Place) -> tuple[str, Offers]:
    """Params of params.yaml, several of them with commas between."""
    head, comma, _ = place.typed.rpartition(",")
    params = _params_of(place, None)
    return head + comma, [(key, f"now {_short(shown)}") for key, shown in params.items()]


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:29]}…"


# ---- columns and metrics


def _columns(place: Place) -> tuple[str, Offers]:
    """Columns of the table, several with commas; `-column` turns one round."""
    done, comma, last = place.typed.rpartition(",")
    minus = "-" if last.startswith("-") and place.action.dest == "sort_by" else ""
    given = done.split(",")
    return done + comma + minus, [one for one in _named(place) if one[0] not in given]


def _named(place: Place) -> list[tuple[str, str]]:
    project = _project(place)
    metrics = [(name, "metric") for name in project.metrics]
    params = [(name, "param") for name in project.params]
    own = [(name, "column") for name in ("created", "experiment", "state", "tags", "star", "note")]
    return [*metrics, *params, *own]


def _filter(place: Place) -> tuple[str, Offers]:
    """The column that is being named in a condition, or what may stand between two."""
    match = re.search(r"[\w.:/-]*$", place.typed)
    assert match is not None
    before = place.typed[: match.start()].rstrip()
    if before and before[-1] not in "(<>=!" and before.split()[-1] not in ("and", "or", "not"):
        return place.typed[: match.start()], [(word, "word") for word in ("and", "or")]
    return place.typed[: match.start()], _named(place)


_metrics = _plain("metric", lambda project: project.metrics)


def _bars(place: Place) -> tuple[str, Offers]:
    return "", [(f"{name}=", "metric") for name in _project(place).metrics]


def _objective(place: Place) -> tuple[str, Offers]:
    """`minimize loss`, which is in quotes; the direction first."""
    direction, space, _ = place.typed.partition(" ")
    if space:
        return f"{direction} ", [(name, "metric") for name in _project(place).metrics]
    return "", [(word, "direction") for word in ("minimize", "maximize")]


def _csv_columns(place: Place) -> tuple[str, Offers]:
    """The head of the file that was named before."""
    for word in reversed(place.before):
        try:
            with (place.here / word).open(encoding="utf-8") as file:
                head = file.readline(10_000).strip()
        except (OSError, UnicodeDecodeError):
            continue
        return "", [(name.strip('"'), "column") for name in re.split(r"[,;\t]", head)]
    return "", []


# ---- the queue's and sweeps' own


def _samplers(place: Place) -> tuple[str, Offers]:
    if place.has("--optuna"):
        from nbexp.sweeps.samplers import optuna

        return "", [(name, "Optuna's") for name in optuna.SAMPLERS]
    return "", [(name, "sampler") for name in _sampler_names()]


@cache
def _sampler_names() -> tuple[str, ...]:
    from nbexp import plugins

    return plugins.names("nbexp.sweeps.samplers")


def _pruners(place: Place) -> tuple[str, Offers]:  # noqa: ARG001
    from nbexp.sweeps.samplers import optuna

    return "", [(name, "Optuna's") for name in optuna.PRUNERS]


# ---- settings


def _settings(place: Place) -> tuple[str, Offers]:
    from nbexp.formats import config_settings

    remotes = _project(place).remotes
    found = []
    for name in config_settings.names():
        if name.startswith("remote.NAME."):
            found += [(name.replace("NAME", remote, 1), "of a remote") for remote in remotes]
        else:
            found.append((name, "setting"))
    return "", found


def _remote_settings(place: Place) -> tuple[str, Offers]:  # noqa: ARG001
    from nbexp.formats import config_settings

    start = "remote.NAME."
    names = (name for name in config_settings.names() if name.startswith(start))
    return "", [(name.removeprefix(start), "setting") for name in names]


def _kernels(place: Place) -> tuple[str, Offers]:  # noqa: ARG001
    from nbexp.pipeline.kinds.notebook import kernel

    return "", [(name, "kernel") for name in kernel.installed()]


# ---- files and stages


def _stages(place: Place) -> tuple[str, Offers]:
    return "", [(name, "stage") for name in _project(place).targets]


def _targets(place: Place) -> tuple[str, Offers]:
    """Stages, what they write, and files; the same word may name any of them."""
    head, files = _files(place)
    if "/" in place.typed:
        return head, files
    outs = [(name, "out") for name in _project(place).outs]
    return head, [*_stages(place)[1], *outs, *files]


def _paths(place: Place) -> tuple[str, Offers]:
    """What stages write, and files: an experiment may have what is not here."""
    head, files = _files(place)
    if place.project is None or "/" in place.typed:
        return head, files
    return head, [*((name, "out") for name in place.project.outs), *files]


def _plots(place: Place) -> tuple[str, Offers]:
    """The plots that dvc.yaml lists, and files, which can be drawn without being listed."""
    head, files = _files(place)
    listed = [name[len(head) :] for name in _project(place).plots if name.startswith(head)]
    return head, [*((name, "plot") for name in listed), *(f for f in files if f[0] not in listed)]


def _templates(place: Place) -> tuple[str, Offers]:
    from nbexp.plots import templates

    folder = _project(place).root / ".dvc" / "plots"
    own = sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []
    names = templates.names()
    return "", [
        *((name, "of this project") for name in own),
        *((name, "template") for name in names if name not in own),
    ]


def _plot_columns(place: Place) -> tuple[str, Offers]:
    """The columns of the files that were named before, else of the plots of dvc.yaml."""
    from nbexp.errors import NbexpError
    from nbexp.formats import rows

    named = [word for word in place.before if Path(place.here, word).is_file()]
    found: dict[str, None] = {}
    for name in named or _project(place).plots:
        path = Path(place.here, name)
        try:
            if path.stat().st_size < _MOST_READ:
                for row in rows.parse(path.read_bytes(), name)[:1]:
                    found.update(dict.fromkeys(map(str, row)))
        except (NbexpError, OSError):
            continue
    return "", [(name, "column") for name in found]


def _notebooks(place: Place) -> tuple[str, Offers]:
    head, files = _files(place)
    return head, [one for one in files if one[0].endswith((".ipynb", "/"))]


def _files(place: Place) -> tuple[str, Offers]:
    folder, slash, _ = place.typed.rpartition("/")
    head = folder + slash
    try:
        entries = sorted(Path(place.here, Path(head).expanduser()).iterdir())
    except OSError:
        return head, []
    return head, [
        (f"{entry.name}{'/' if entry.is_dir() else ''}", "folder" if entry.is_dir() else "file")
        for entry in entries
        if not entry.name.startswith(".") or place.typed.startswith(f"{head}.")
    ]


def _runs(place: Place) -> tuple[str, Offers]:
    runs = _project(place).runs
    return "", [(key, f"run of {clock(int(saved_s))}") for key, saved_s in runs]


def _undo_points(place: Place) -> tuple[str, Offers]:
    points = _project(place).undo_points
    return "", [(rev, f"before {command}") for rev, command in points]


def _orders(place: Place) -> tuple[str, Offers]:
    return "", [*((name, "order") for name in ("when", "size", "stage")), *((name, "param") for name in _project(place).params)]  # fmt: skip


def _times(place: Place) -> tuple[str, Offers]:  # noqa: ARG001
    today = time.strftime("%Y-%m-%d")
    return "", [("1h", "an hour"), ("1d", "a day"), ("7d", "a week"), (today, "today")]


def _plot_types(place: Place) -> tuple[str, Offers]:
    """Types of plots, several with commas."""
    done, comma, _ = place.typed.rpartition(",")
    return done + comma, [(n, "plot type") for n in _type_names() if n not in done.split(",")]


@cache
def _type_names() -> tuple[str, ...]:
    from nbexp import plots

    return plots.kinds()


def _drawable(place: Place) -> tuple[str, Offers]:
    """What `plot` takes first: what was logged by step, a type, or a column of the table."""
    types = [(name, "plot type") for name in _type_names()]
    columns = [one for one in _named(place) if one[1] != "column"]
    found = dict([*types, *columns, *_live(place)[1]])
    return "", found.items()


def _drawn(place: Place) -> tuple[str, Offers]:
    """What it takes then: experiments, or the columns that are drawn against the first."""
    columns = [one for one in _named(place) if one[1] != "column"]
    return "", [*_experiments(place)[1], *columns]


_git_remotes = _plain("Git remote", lambda project: project.git_remotes)
_remotes = _plain("remote", lambda project: project.remotes)
_sweeps = _plain("sweep", lambda project: project.sweeps)
_live = _plain("logged by step", lambda project: project.live)

# These need no project.
_ANYWHERE: frozenset[Look] = frozenset({_files, _notebooks, _paths, _csv_columns, _kernels, _times})

_PLOT_PROPERTIES = ("template", "x", "y", "x_label", "y_label", "title", "header")

# A file of more bytes is not read while somebody types.
_MOST_READ = 1 << 18

# What the commands call their values in help texts, or the argument's name where they do not.
_BY_NAME: dict[str, Look] = {
    "EXPERIMENT": _experiments,
    "REMOVED": _plain("in the trash", lambda project: project.removed),
    "GIT_REMOTE": _git_remotes,
    "REMOTE": _shared,
    "A": _revisions,
    "B": _revisions,
    "REV": _commits,
    "COMMIT": _commits,
    "SOURCE": _commits,
    "PLOT": _plots,
    "STAGE": _stages,
    "TEMPLATE": _templates,
    "TARGET": _targets,
    "KEY": _runs,
    "[FILE:]KEY=VALUE": _overrides,
    "[FILE:]KEY=VALUES": _overrides,
    "[FILE:]KEY": _keys,
    "[FILE:]KEY,…": _keys,
    "[FILE:]METRIC=NUMBER": _bars,
    "METRIC": _metrics,
    "OBJECTIVE": _objective,
    "FILTER": _filter,
    "CONDITION": _filter,
    "COLUMN": _columns,
    "REGEX": _columns,
    "TASK": _tasks,
    "OTHER": _tasks,
    "ALERT": _plain("alert", lambda project: project.alerts),
    "ID": _undo_points,
    "BY": _orders,
    "PREFIX": _new_names,
    "NOTEBOOK": _notebooks,
    "WHAT": _notebooks,  # what `init` makes a stage of
    "notebook": _notebooks,
    "IN": _notebooks,
    "OUT": _files,
    "FILE": _files,
    "PATH": _files,
    "DIR": _files,
    "URL": _files,
    "REPOSITORY": _files,
}

# Where the name alone does not say it, by the verb and the argument.
_BY_PLACE: dict[str, Look] = {
    "branch branch": _new_branches,
    "cache list since": _times,
    "clone name": _new_names,
    "config name": _settings,
    "data add remote": _remotes,
    "data fetch remote": _remotes,
    "data gc remote": _remotes,
    "data get remote": _remotes,
    "data pull remote": _remotes,
    "data push remote": _remotes,
    "data status remote": _remotes,
    "gc older_than": _times,
    "get path": _paths,
    "get remote": _remotes,
    "import csv metric": _csv_columns,
    "import csv param": _csv_columns,
    "init name": _plain("stage", lambda project: project.stages),
    "logs name": _tasks,
    "notebook kernel": _kernels,
    "open experiment": _states,
    "open git_remote": _git_remotes,
    "open path": _paths,
    "plot experiments": _drawn,
    "plot kind": _plot_types,
    "plot metric": _drawable,
    "plot sweep": _sweeps,
    "plots diff revisions": _revisions,
    "plots diff x": _plot_columns,
    "plots diff y": _plot_columns,
    "plots modify unset": lambda _: ("", [(name, "property") for name in _PLOT_PROPERTIES]),
    "plots modify x": _plot_columns,
    "plots modify y": _plot_columns,
    "plots show x": _plot_columns,
    "plots show y": _plot_columns,
    "pull remote": _remotes,
    "push remote": _remotes,
    "queue logs name": _tasks,
    "remote default name": _remotes,
    "remote modify name": _remotes,
    "remote modify option": _remote_settings,
    "remote remove name": _remotes,
    "remote rename name": _remotes,
    "%%exp name": _new_names,
    "%%exp params": _of_a_cell,
    "rerun name": _new_names,
    "run name": _new_names,
    "run resume": _experiments,
    "save name": _new_names,
    "show reference": _experiments,
    "show view": _plain("saved view", lambda project: project.views),
    "status remote": _remotes,
    "stop name": _stoppable,
    "sweep pruner": _pruners,
    "sweep resume": _sweeps,
    "sweep sampler": _samplers,
    "sweep seed_param": _plain("param", lambda project: project.params),
    "trash restore name": _new_names,
    "why experiment": _states,
}
