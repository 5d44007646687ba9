"""Reference pages made from the code, so that they say what the code does.

A line `<!-- generated: NAME [WORD] -->` in a page is replaced by what the function of that name in
`SECTIONS` returns (for that word), which is Markdown. `expand` does it for the tests, `setup` for Sphinx.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import json
import re
import tomllib
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nbexp
from nbexp import commands, errors, events, settings

EXAMPLES = Path(__file__).resolve().parents[2] / "example-notebooks"
DVC_OPTIONS = Path(__file__).resolve().parents[2] / "tests" / "conformance" / "options.toml"

_PLACEHOLDER = re.compile(r"^<!-- generated: ([\w-]+)(?: (\S+))? -->$", re.MULTILINE)

# What `project`'s methods return and users hold, in the order of the page.
RESULTS = (
    ("nbexp.project", "RunReport"),
    ("nbexp.project", "StageReport"),
    ("nbexp.project", "Reproduced"),
    ("nbexp.experiments.record", "NotRecorded"),
    ("nbexp.experiments.table", "Table"),
    ("nbexp.experiments.row", "Row"),
    ("nbexp.experiments.compare", "Diff"),
    ("nbexp.experiments.compare", "Change"),
    ("nbexp.experiments.compare", "NotebookChange"),
    ("nbexp.experiments.notebook_diff", "NotebookDiff"),
    ("nbexp.experiments.notebook_diff", "NotebookPair"),
    ("nbexp.experiments.notebook_diff", "CellPair"),
    ("nbexp.experiments.notebook_diff", "OutputPair"),
    ("nbexp.experiments.pixels", "Pixels"),
    ("nbexp.experiments.plotting", "Plot"),
    ("nbexp.experiments.series", "Curves"),
    ("nbexp.experiments.series", "Series"),
    ("nbexp.experiments.report", "Report"),
    ("nbexp.experiments.report", "Check"),
    ("nbexp.experiments.report", "Bar"),
    ("nbexp.experiments.report", "Picture"),
    ("nbexp.experiments.report", "Written"),
    ("nbexp.experiments.site", "Published"),
    ("nbexp.project", "Status"),
    ("nbexp.experiments.planning", "Plan"),
    ("nbexp.experiments.planning", "PlannedStage"),
    ("nbexp.experiments.why", "Why"),
    ("nbexp.experiments.why", "Because"),
    ("nbexp.experiments.why", "CellChange"),
    ("nbexp.store.config_files", "ConfigValue"),
    ("nbexp.store.config_files", "ConfigValues"),
    ("nbexp.experiments.measures", "MeasureDiff"),
    ("nbexp.experiments.measures", "MetricsShown"),
    ("nbexp.project", "Listing"),
    ("nbexp.project", "Branches"),
    ("nbexp.experiments.ref_changes", "Renamed"),
    ("nbexp.experiments.share", "Pushed"),
    ("nbexp.experiments.share", "PulledExperiments"),
    ("nbexp.experiments.stages", "StageList"),
    ("nbexp.pipeline.dag", "Dag"),
    ("nbexp.experiments.stages", "AddedStage"),
    ("nbexp.experiments.run_cache", "RunTable"),
    ("nbexp.experiments.run_cache", "CachedRun"),
    ("nbexp.experiments.locked", "Owner"),
    ("nbexp.experiments.explore", "RestoredRun"),
    ("nbexp.experiments.promote", "Promoted"),
    ("nbexp.experiments.opened", "OpenedNotebook"),
    ("nbexp.experiments.opening", "OpenedPicture"),
    ("nbexp.experiments.opening", "OpenedTable"),
    ("nbexp.experiments.opening", "OpenedText"),
    ("nbexp.experiments.opening", "OpenedDirectory"),
    ("nbexp.experiments.opening", "Entry"),
    ("nbexp.experiments.opening", "OpenedBytes"),
    ("nbexp.experiments.verify", "Verified"),
    ("nbexp.experiments.verify", "StageVerdict"),
    ("nbexp.experiments.verify", "OutputVerdict"),
    ("nbexp.experiments.agreement", "Tolerance"),
    ("nbexp.experiments.save", "Saved"),
    ("nbexp.experiments.importing", "Imported"),
    ("nbexp.experiments.script", "Script"),
    ("nbexp.experiments.restore", "Applied"),
    ("nbexp.experiments.steps", "Undone"),
    ("nbexp.experiments.steps", "Steps"),
    ("nbexp.experiments.steps", "Step"),
    ("nbexp.experiments.worktrees", "Cleaned"),
    ("nbexp.experiments.collect", "Collected"),
    ("nbexp.experiments.collect", "Heap"),
    ("nbexp.experiments.doctor", "Health"),
    ("nbexp.experiments.doctor", "Finding"),
    ("nbexp.experiments.trash", "TrashList"),
    ("nbexp.experiments.trash", "Discarded"),
    ("nbexp.experiments.trash", "Untrashed"),
    ("nbexp.experiments.data.adding", "Added"),
    ("nbexp.experiments.data.adding", "Committed"),
    ("nbexp.experiments.data.restoring", "CheckedOut"),
    ("nbexp.experiments.data.restoring", "Unprotected"),
    ("nbexp.experiments.data.changes", "DataStatus"),
    ("nbexp.experiments.data.changes", "DataDiff"),
    ("nbexp.experiments.data.sharing", "Moved"),
    ("nbexp.experiments.data.sharing", "Pulled"),
    ("nbexp.experiments.data.sharing", "CloudStatus"),
    ("nbexp.experiments.data.getting", "Got"),
    ("nbexp.store.configured", "RemoteList"),
    ("nbexp.store.configured", "RemoteChange"),
    ("nbexp.experiments.data.garbage", "Garbage"),
    ("nbexp.experiments.data.garbage", "Group"),
    ("nbexp.project", "Removed"),
    ("nbexp.project", "Branched"),
    ("nbexp.experiments.authoring", "InitReport"),
    ("nbexp.sweeps.results", "Sweep"),
    ("nbexp.sweeps.results", "TrialRow"),
    ("nbexp.sweeps.results", "Sweeps"),
    ("nbexp.sweeps.results", "SweepPlan"),
)

# What a family of commands is in Python: an object at the project.
FAMILIES = (
    ("nbexp.experiments.stages", "Stages", "project.stage"),
    ("nbexp.queue", "Queue", "project.queue"),
    ("nbexp.experiments.measures", "Params", "project.params"),
    ("nbexp.experiments.measures", "Metrics", "project.metrics"),
    ("nbexp.store.config_files", "Configuration", "project.config"),
    ("nbexp.store.configured", "Remotes", "project.remote"),
    ("nbexp.experiments.explore", "RunCache", "project.run_cache"),
    ("nbexp.experiments.data", "TrackedData", "project.data"),
    ("nbexp.experiments.trash", "Trash", "project.trash"),
    ("nbexp.sweeps.family", "KeptSweeps", "project.sweeps"),
)


def expand(text: str) -> str:
    """The page with what the code says in the places that ask for it."""

    def generated(match: re.Match[str]) -> str:
        return SECTIONS[match[1]](*filter(None, [match[2]]))

    return _PLACEHOLDER.sub(generated, text)


# --- Commands -----------------------------------------------------------------------------------


def command_list() -> str:
    """One line a verb."""
    rows = [["command", "what it does"]]
    rows += [
        [f"[`{verb}`](#command-{_anchor(verb)})", _inline(f"{commands.summary_of(verb)}.")]
        for verb in commands.all_names()
    ]
    return _table(rows)


def command_pages() -> str:
    """A section for each verb: what it does, how it is typed, its options, examples."""
    return "\n\n".join(_command(verb) for verb in commands.all_names())


def common_options() -> str:
    """The options that every verb has."""
    return _table([["option", "meaning"], *_options(_common(commands.parser("show")))])


def option_words(verb: str) -> dict[str, str]:
    """Every word that a verb takes as an option or argument, and its help."""
    found = {}
    for action in _own(commands.parser(verb)):
        for word in action.option_strings or [str(action.metavar or action.dest)]:
            found[word] = action.help or ""
    return found


def _command(verb: str) -> str:
    module = commands.load(verb)
    description, examples = commands.help_of(module)
    parser = commands.parser(verb)
    other = sorted(alias for alias, name in commands.ALIASES.items() if name == verb)
    parts = [f"(command-{_anchor(verb)})=", f"## {verb}", "", _prose(description), ""]
    if other:
        words = ", ".join(f"`nbexp {alias}`" for alias in other)
        parts += [f"Also typed {words}.", ""]
    parts += ["```text", _usage(verb, parser), "```", ""]
    options = _options(_own(parser))
    if options:
        parts += [_table([["option", "meaning"], *options]), ""]
    shown = examples.partition("\n")[2]
    if shown:
        parts += ["Examples:", "", "```text", inspect.cleandoc(shown), "```"]
    return "\n".join(parts)


def _anchor(verb: str) -> str:
    return verb.replace(" ", "-")


def _usage(verb: str, parser: argparse.ArgumentParser) -> str:
    """The verb with its arguments; options have a table of their own."""
    words = [f"nbexp {verb}"]
    for action in _own(parser):
        if action.option_strings:
            continue
        name = str(action.metavar or action.dest)
        more = {"*": f"[{name} …]", "?": f"[{name}]", "+": f"{name} [{name} …]"}
        words.append(more.get(str(action.nargs), name))
    if any(action.option_strings for action in _own(parser)):
        words.append("[options]")
    return " ".join(words)


def _own(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    common = {id(action) for action in _common(parser)}
    return [
        action
        for action in parser._actions
        if id(action) not in common
        and action.help is not argparse.SUPPRESS
        and "-h" not in action.option_strings
    ]


def _common(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    group = next(group for group in parser._action_groups if group.title == "everywhere")
    return list(group._group_actions)


def _options(actions: Sequence[argparse.Action]) -> list[list[str]]:
    rows = []
    for action in actions:
        name = str(action.metavar or action.dest)
        words = [f"`{word}`" for word in action.option_strings] or [f"`{name}`"]
        if action.option_strings and action.nargs != 0:
            choices = action.choices
            value = "{" + ",".join(map(str, choices)) + "}" if choices else name
            words[-1] = words[-1][:-1] + f" {value}`"
        rows.append([", ".join(words), _inline(action.help or "")])
    return rows


# --- Settings, errors, events ---------------------------------------------------------------------


def setting(name: str) -> str:
    """What a setting does, what it takes, and its default."""
    told = _docstring(settings.Settings).items("Attributes")
    default = next(f.default for f in dataclasses.fields(settings.Settings) if f.name == name)
    kind = "true or false" if isinstance(default, bool) else "text"
    shown = str(default).lower() if isinstance(default, bool) else default
    return f"{_line(told[name])} Takes {kind}; the default is `{shown}`."


def error(name: str) -> str:
    """What an error means, and the exit code it gives."""
    cls = getattr(errors, name)
    return f"{_docstring_text(_docstring(cls))}\n\nExit code {cls.exit_code}."


def error_names() -> list[str]:
    """Every error that users may catch."""
    return [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type)
        and issubclass(value, BaseException)
        and value.__module__ == errors.__name__
    ]


def remote_settings() -> str:
    """For each kind of remote what it is, and a table of its settings; those of every kind first."""
    from nbexp import plugins
    from nbexp.store import remotes

    def table(found: dict[str, str]) -> str:
        return _table([["setting", "meaning"], *([f"`{k}`", v] for k, v in sorted(found.items()))])

    parts = [f"## Every remote\n\n{table(remotes.SETTINGS)}"]
    for kind in plugins.names("nbexp.store.remotes"):
        module = plugins.load("nbexp.store.remotes", kind)
        text = _line((module.__doc__ or "").strip().split("\n\n")[0])
        settings = table(module.SETTINGS) if module.SETTINGS else "It has none of its own."
        parts.append(f"## {kind}\n\n{text}\n\n{settings}")
    return "\n\n".join(parts)


def event_list() -> str:
    """Every event with what it carries."""
    rows = [["event", "carries", "what happened"]]
    for name in event_names():
        cls = getattr(events, name)
        fields = ", ".join(f"`{field.name}`" for field in dataclasses.fields(cls)) or "–"
        rows.append([f"`{name}`", fields, _inline(_line(_docstring(cls).summary))])
    return _table(rows)


def event_names() -> list[str]:
    """Every event that a run may tell of."""
    return [
        name
        for name, value in vars(events).items()
        if isinstance(value, type) and issubclass(value, events.Event) and value is not events.Event
    ]


# --- Python -------------------------------------------------------------------------------------


def python_entry() -> str:
    """`nbexp.open`, `nbexp.get`, `Project` and `Experiment`: what one begins with."""
    from nbexp.project import Experiment, Project

    return "\n\n".join(
        [
            _function("nbexp.open", nbexp.open, level=2),
            _function("nbexp.get", nbexp.get, level=2),
            _class("nbexp.Project", Project),
            _class("nbexp.Experiment", Experiment),
        ]
    )


def python_families() -> str:
    """The objects at the project that hold a family of commands each."""
    parts = []
    for home, cls, name in FAMILIES:
        found = public(home, cls)
        parts.append(f"(python-{_slug(name)})=\n## {name}\n\n{_docstring_text(_docstring(found))}")
        parts += [
            _function(f"{name}.{member}", value)
            for member, value in vars(found).items()
            if inspect.isfunction(value) and not member.startswith("_")
        ]
    return "\n\n".join(parts)


def python_live() -> str:
    """`nbexp.live` and `nbexp.Live`."""
    from nbexp import live

    text = _prose(_clean((live.__doc__ or "").strip()))
    log = _function("nbexp.live.log", live.log)
    return f"(python-live)=\n## nbexp.live\n\n{text}\n\n{log}\n\n" + _class(
        "nbexp.live.Live", nbexp.Live
    )


def python_results() -> str:
    """The classes of what the methods return."""
    return "\n\n".join(_class(name, public(home, name)) for home, name in RESULTS)


def public(home: str, name: str) -> type:
    """A class of `RESULTS`."""
    found: type = getattr(importlib.import_module(home), name)
    return found


def _class(name: str, cls: type) -> str:
    text = _docstring(cls)
    parts = [f"(python-{_slug(name)})=\n## {name}", _docstring_text(text)]
    fields = _fields(cls, set(text.items("Attributes")))
    if fields:
        parts.append("Fields: " + ", ".join(f"`{field}`" for field in fields) + ".")
    for member, value in vars(cls).items():
        if member.startswith("_") or member == "to_json":
            continue
        if isinstance(value, property):
            told = _docstring(value)
            if told.summary:
                parts.append(f"### {_short(name)}.{member}\n\n{_docstring_text(told)}")
        elif inspect.isfunction(value):
            # By the class's whole name: `Live.log` and the function `live.log` are two.
            anchor = _slug(f"{name}.{member}")
            parts.append(_function(f"{_short(name)}.{member}", value, anchor=anchor))
    return "\n\n".join(part for part in parts if part)


def _fields(cls: type, told: set[str]) -> list[str]:
    if not dataclasses.is_dataclass(cls):
        return []
    return [
        field.name
        for field in dataclasses.fields(cls)
        if field.name not in told and not field.name.startswith("_") and field.name != "root"
    ]


def _function(
    name: str, function: Callable[..., object], *, level: int = 3, anchor: str | None = None
) -> str:
    signature = _signature(name, function)
    head = f"(python-{anchor or _slug(name)})=\n{'#' * level} {name}"
    return f"{head}\n\n```python\n{signature}\n```\n\n{_docstring_text(_docstring(function))}"


def _signature(name: str, function: Callable[..., object]) -> str:
    signature = inspect.signature(function)
    words = []
    star = False
    for parameter in signature.parameters.values():
        if parameter.name in {"self", "emit"}:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            words.append("*")
            star = True
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(
            parameter.kind, ""
        )
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        words.append(f"{prefix}{parameter.name}{default}")
    returns = signature.return_annotation
    arrow = "" if returns in {signature.empty, "None"} else f" -> {_type_name(returns)}"
    return f"{name}({', '.join(words)}){arrow}"


def _type_name(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.replace("builtins.", "").replace("typing.", "")


def _short(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _slug(name: str) -> str:
    return name.removeprefix("nbexp.").lower().replace(".", "-").replace("_", "-")


# --- Docstrings ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Docstring:
    """A NumPy-style docstring taken apart: what comes first, and its sections by title."""

    summary: str
    sections: Mapping[str, str]

    def items(self, title: str) -> dict[str, str]:
        """The entries of a section: a name, and the indented text below it."""
        found: dict[str, str] = {}
        name = ""
        for line in self.sections.get(title, "").splitlines():
            if line and not line.startswith(" "):
                name = line.strip()
                found[name] = ""
            elif name:
                found[name] = f"{found[name]}\n{line.strip()}"
        return {name: text.strip() for name, text in found.items()}


_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
# Where a fact comes from is for who changes the code; the files are not part of the documentation.
_SOURCES = re.compile(
    r"\s*\((?:[^()]*[,;] )?(?:formats|decisions|execution|performance)\.md[^()]*\)"
)


def _docstring(of: object) -> Docstring:
    parts = _SECTION.split(inspect.getdoc(of) or "")
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return Docstring(_clean(parts[0].strip()), {name: _clean(t) for name, t in sections.items()})


def _docstring_text(text: Docstring) -> str:
    parts = [_prose(text.summary)]
    for title in ("Parameters", "Attributes"):
        entries = text.items(title)
        if entries:
            rows = "\n".join(f"- `{name}`: {_line(told)}" for name, told in entries.items())
            parts.append(f"{title}:\n\n{rows}")
    for title in ("Raises", "Returns"):
        entries = text.items(title)
        if entries:
            rows = "\n".join(f"- {_codes(name)}: {_line(told)}" for name, told in entries.items())
            parts.append(f"{title}:\n\n{rows}")
    if "Examples" in text.sections:
        parts.append(f"```pycon\n{text.sections['Examples'].strip()}\n```")
    return "\n\n".join(parts)


def _codes(names: str) -> str:
    return ", ".join(f"`{name.strip()}`" for name in names.split(","))


def _clean(text: str) -> str:
    return _SOURCES.sub("", text)


def _line(text: str) -> str:
    return " ".join(text.split())


def _prose(text: str) -> str:
    """Paragraphs as Markdown; indented lines are code."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        if all(line.startswith("    ") for line in block.splitlines()):
            found.append(f"```python\n{inspect.cleandoc(block)}\n```")
        else:
            found.append(_inline(block))
    return "\n\n".join(found)


def _inline(text: str) -> str:
    """Text with what Markdown would take for emphasis kept as it is, outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([*<])", r"\\\1", p) for p in parts)


def _table(rows: Sequence[Sequence[str]]) -> str:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def cells(path: str) -> str:
    """The code cells of an example notebook, as they are in the file."""
    book = json.loads((EXAMPLES / path).read_text(encoding="utf-8"))
    parts = []
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            tags = cell["metadata"].get("tags", [])
            tagged = f"The cell with the tag `{tags[0]}`:\n\n" if tags else ""
            parts.append(f"{tagged}```python\n{''.join(cell['source'])}\n```")
    return "\n\n".join(parts)


# --- Beside DVC ---------------------------------------------------------------------------------


def dvc_options() -> str:
    """For each command a table of DVC's options: the test that compares them, or the reason for none."""
    parts = []
    for verb, rows in tomllib.loads(DVC_OPTIONS.read_text("utf-8")).items():
        if verb == "without":
            continue
        table = [["option", "compared by"]]
        table += [[f"`{name}`", _compared(row)] for name, row in rows.items() if name != "dvc"]
        parts.append(f"## {verb}\n\nDVC's `dvc {rows['dvc']}`.\n\n{_table(table)}")
    return "\n\n".join(parts)


def dvc_commands() -> str:
    """DVC's commands, each with the one here."""
    rows = [["DVC", "nbexp"]]
    for verb, listed in tomllib.loads(DVC_OPTIONS.read_text("utf-8")).items():
        if verb in commands.all_names():
            theirs = listed["dvc"].replace("experiments", "exp")
            rows.append(
                [
                    f"`dvc {theirs}`",
                    f"[`nbexp {verb}`](#command-{_anchor(verb)})",
                ]
            )
    return _table(rows)


def dvc_without() -> str:
    """DVC's other commands, and what to do instead."""
    rows = tomllib.loads(DVC_OPTIONS.read_text("utf-8"))["without"]
    listed = [[f"`dvc {name}`", _compared(row)] for name, row in rows.items()]
    return _table([["command", "instead"], *listed])


def _compared(row: object) -> str:
    if isinstance(row, Mapping):
        ((kind, value),) = row.items()
        return str(value) if kind == "differs" else "not yet"
    if isinstance(row, str) and ".py::" not in row:
        return row
    names = [row] if isinstance(row, str) else list(typing.cast("list[str]", row))
    return ", ".join(f"`{name.removeprefix('tests/conformance/')}`" for name in names)


SECTIONS: Mapping[str, Callable[..., str]] = {
    "command-list": command_list,
    "command-pages": command_pages,
    "common-options": common_options,
    "setting": setting,
    "error": error,
    "event-list": event_list,
    "remote-settings": remote_settings,
    "cells": cells,
    "python-entry": python_entry,
    "python-families": python_families,
    "python-live": python_live,
    "python-results": python_results,
    "dvc-options": dvc_options,
    "dvc-commands": dvc_commands,
    "dvc-without": dvc_without,
}


def setup(app: typing.Any) -> dict[str, bool]:
    """What Sphinx calls: pages are expanded as they are read."""

    def source_read(_app: typing.Any, _name: str, content: list[str]) -> None:
        content[0] = expand(content[0])

    def outdated(
        _app: typing.Any, env: typing.Any, added: set[str], changed: set[str], removed: set[str]
    ) -> list[str]:
        # The code may have changed though the page has not.
        return [
            name for name in env.found_docs - added - changed - removed if is_generated(env, name)
        ]

    def is_generated(env: typing.Any, name: str) -> bool:
        return _PLACEHOLDER.search(Path(env.doc2path(name)).read_text(encoding="utf-8")) is not None

    app.connect("source-read", source_read)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True}
