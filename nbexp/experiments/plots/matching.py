"""Plots of several revisions laid over each other: what has one name is one plot.

The properties of a plot are those of the first revision that has it; what later ones say besides counts as well.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence

from nbexp.errors import ProjectFileError
from nbexp.experiments.plots.definitions import Found, Options
from nbexp.experiments.plots.shown import Chart, Picture, Pictures, Problem
from nbexp.formats import plot_files
from nbexp.frozen import field, frozen
from nbexp.plots import Spec
from nbexp.plots.templates import rows
from nbexp.plots.templates.rows import NoPlot, Row

# How DVC calls what is wrong with a file, by its ending.
_CORRUPTED = {
    ".json": "JSONFileCorruptedError",
    ".toml": "TOMLFileCorruptedError",
    ".py": "PythonFileCorruptedError",
    ".yaml": "YAMLFileCorruptedError",
    ".yml": "YAMLFileCorruptedError",
}


@frozen
class Read:
    """A revision: its plots, what their files hold, and why others hold nothing."""

    name: str
    found: Found = field(hash=False)
    contents: Mapping[str, object] = field(hash=False)
    wrong: Mapping[str, tuple[str, str]] = field(hash=False)


def read(
    name: str,
    found: Found,
    data: Mapping[str, bytes | None],
    headless: Mapping[str, bool],
    parse: Callable[[bytes, str, bool], object],
) -> Read:
    """What the files of a revision hold.

    Parameters
    ----------
    data
        Their bytes, by path; None of what is nowhere.
    headless
        The files whose first line is no header.
    """
    contents: dict[str, object] = {}
    wrong: dict[str, tuple[str, str]] = {}
    for path, held in data.items():
        if held is None:
            # DVC looks at the ending before it looks for the file.
            kind = "FileNotFoundError" if plot_files.is_known(path) else "PlotMetricTypeError"
            wrong[path] = kind, f"[Errno 2] No such file or directory: '{path}'"
            continue
        try:
            content = parse(held, path, not headless.get(path, False))
        except ProjectFileError as error:
            ending = posixpath.splitext(path)[1]
            wrong[path] = _kind(held, ending), error.message
            continue
        if content:  # a file without rows is no error, and no plot
            contents[path] = content
    return Read(name, found, contents, wrong)


def matched(
    revisions: Sequence[Read], template: Callable[[object], Spec]
) -> tuple[list[Chart | Pictures], list[Problem]]:
    """The plots of all revisions, and what of them could not be drawn.

    Parameters
    ----------
    template
        Gives the chart of a template's name; None is the default one.
    """
    groups: dict[str, list[tuple[Read, str, Options]]] = {}
    for one in revisions:
        for full, (name, options) in _by_id(one.found).items():
            groups.setdefault(full, []).append((one, name, options))
    plots: dict[str, Chart | Pictures] = {}
    problems: list[Problem] = []
    for full, group in groups.items():
        shown = group[-1][1] if plot_files.is_picture(group[-1][1]) else full
        for one, name, options in group:
            problems += (
                Problem(one.name, *one.wrong[path], plot=shown, source=path)
                for path in rows.sources(name, options)
                if path in one.wrong
            )
        if plot_files.is_picture(group[-1][1]):
            plots[shown] = _pictures(shown, group)
        else:
            plots[shown] = _chart(shown, group, template, problems)
    return [*plots.values()], problems


def _by_id(found: Found) -> dict[str, tuple[str, Options]]:
    """The plots of a revision; one that several files define has the file before its name."""
    files: dict[str, list[str]] = {}
    for file, plots in found.items():
        for name in plots:
            files.setdefault(name, []).append(file)
    return {
        f"{file}::{name}" if len(defining) > 1 and file else name: (name, found[file][name])
        for name, defining in files.items()
        for file in defining
    }


def _pictures(shown: str, group: Sequence[tuple[Read, str, Options]]) -> Pictures:
    return Pictures(
        shown,
        tuple(
            Picture(one.name, path, content)
            for one, name, options in group
            for path in rows.sources(name, options)
            if isinstance(content := one.contents.get(path), bytes)
        ),
    )


def _chart(
    shown: str,
    group: Sequence[tuple[Read, str, Options]],
    template: Callable[[object], Spec],
    problems: list[Problem],
) -> Chart:
    properties: Options = {}
    for _, _, options in reversed(group):
        properties = {**properties, **options}
    found: list[Row] = []
    revisions: list[str] = []
    shaped: Mapping[str, object] = {}
    for one, name, options in group:
        contents = {
            path: one.contents[path] for path in rows.sources(name, options) if path in one.contents
        }
        try:
            part = rows.prepared(name, contents, properties, one.name)
        except NoPlot as error:
            problems.append(Problem(one.name, error.kind, str(error), plot=shown))
            continue
        if part.rows:
            revisions.append(one.name)
            found += part.rows
            shaped = shaped or part.properties
    if not found:
        return Chart(shown, ())
    return Chart(
        shown,
        tuple(revisions),
        tuple(found),
        {"title": shown, **shaped},
        template(shaped.get("template")),
    )


def _kind(data: bytes, ending: str) -> str:
    kind = "Error" if ending in (".csv", ".tsv") else _CORRUPTED.get(ending)
    if kind is None:
        return "PlotMetricTypeError"
    try:
        data.decode()
    except UnicodeDecodeError:
        return "EncodingError"
    return kind
