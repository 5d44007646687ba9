"""The pages of a site: the table of all experiments, and one page for each."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping

from nbexp.experiments import look
from nbexp.experiments.compare import Change, Diff, same
from nbexp.experiments.polarity import polarity
from nbexp.experiments.report import patch
from nbexp.experiments.report import recorded as recording
from nbexp.experiments.report.recorded import Recorded
from nbexp.experiments.report.rows import cells_words, shown, title
from nbexp.experiments.row import FileError, Row
from nbexp.experiments.site import book, drawing
from nbexp.experiments.site.pictures import Picture, Pictures
from nbexp.experiments.table import Column, Table
from nbexp.experiments.value_text import is_number
from nbexp.formats import values
from nbexp.frozen import frozen
from nbexp.markup import Markup, joined, tag
from nbexp.plots import Curves

# Points of a line: of all lines of a chart together, and of the one on an experiment's own page.
_POINTS, _OWN_POINTS = 9_000, 48


@frozen
class Experiment:
    """What the page of an experiment shows.

    `key` names it in the site; `images` are pictures among its outputs by path; `notebook` is its executed
    notebook's path and bytes.
    """

    row: Row
    key: str
    baseline: str
    diff: Diff | None
    patch: str
    author: str
    images: tuple[tuple[str, Picture], ...]
    notebook: tuple[str, bytes] | None
    recorded: Recorded

    @property
    def name(self) -> str:
        return self.row.name or self.row.rev[:7]

    @property
    def page(self) -> str:
        return f"experiments/{self.key}.html"


@frozen
class Site:
    """All that a site shows; `columns` are those of the table, `names` those of the baselines by rev."""

    title: str
    table: Table
    columns: tuple[Column, ...]
    experiments: tuple[Experiment, ...]
    curves: tuple[Curves, ...]
    names: Mapping[str, str]
    origin: str

    def looks(self) -> dict[str, str]:
        return drawing.colours([one.key for one in self.experiments])


def index(site: Site) -> str:
    """The page with the table."""
    count = len(site.experiments)
    word = "experiment" if count == 1 else "experiments"
    lead = [f"{count} {word}", f" on {_on(site)}" if count else ""]
    lead += [f" · {site.origin}"] * (site.origin != site.title)
    parts = [tag("h1", site.title), tag("p", *lead, class_="lead")]
    if not site.experiments:
        empty = joined(["No experiment yet. ", tag("code", "nbexp run"), " makes one."])
        parts.append(tag("p", empty, class_="empty"))
    else:
        parts += _sheet(site)
    plots = [*_plots(site)]
    if plots:
        parts += [tag("h2", "By step"), tag("div", *plots, class_="plots")]
    return look.page(site.title, joined([*parts, _footer()], "\n"), assets="assets/")


def _on(site: Site) -> str:
    bases = {one.row.baseline for one in site.experiments}
    if len(bases) > 1:
        return f"{len(bases)} baselines"
    return next(iter({one.baseline for one in site.experiments}))


def _sheet(site: Site) -> Iterator[Markup]:
    columns = site.columns
    hidden = {column for column in columns if column.kind == "param" and _is_constant(site, column)}
    bases = len({one.row.baseline for one in site.experiments}) > 1
    best = {column: _best(site, column) for column in columns if column.kind == "metric"}
    numeric = {column for column in columns if _is_numeric(site.table, column)}
    heads = [_head("experiment", ""), _head("created", "", first="down")]
    if bases:
        heads.append(_head("baseline", ""))
    for column in columns:
        name, arrow = title(column)
        way = polarity(column.key) if column.kind == "metric" else None
        heads.append(
            _head(
                name,
                arrow,
                kind=column.kind,
                number=column in numeric,
                hidden=column in hidden,
                first="down" if way == "higher" else None,
                file=column.file,
            )
        )
    by_rev = {(one.row.rev, one.row.name): one for one in site.experiments}
    known = {row.rev: row for row in site.table.rows if row.kind == "baseline"}
    looks = site.looks()
    lines = []
    for row in site.table.rows:
        one = by_rev.get((row.rev, row.name)) if row.kind == "experiment" else None
        base = known.get(row.baseline or "")
        cells = [_first(row, one, looks), _created(row)]
        if bases:
            cells.append(tag("td", site.names.get(row.baseline or "", "")))
        for column in columns:
            value = site.table.value(row, column)
            is_same = (
                one is not None
                and base is not None
                and column.kind == "param"
                and same(value, site.table.value(base, column))
            )
            is_best = one is not None and one.key in best.get(column, ())
            class_ = " ".join(
                filter(
                    None,
                    (
                        "n" if column in numeric else "",
                        "best" if is_best else "",
                        "same" if is_same else "",
                    ),
                )
            )
            cells.append(_value(value, class_, hidden=column in hidden))
        lines.append(
            tag(
                "tr",
                *cells,
                class_="base" if row.kind == "baseline" else None,
                data_e=one.key if one else None,
            )
        )
    boxes = [
        tag("label", _box(title(column)[0], on=column not in hidden), title(column)[0])
        for column in columns
    ]
    chooser = tag("details", tag("summary", "Columns"), tag("div", *boxes), class_="choose")
    find = Markup(
        '<input type="search" id="find" placeholder="Filter: name, or acc&gt;0.9" '
        'aria-label="Filter the experiments" autocomplete="off" spellcheck="false">'
    )
    count = tag("span", id="count", class_="count", role="status")
    yield Markup(f'<div class="bar" hidden>{find}{chooser if columns else ""}{count}</div>')
    table = tag("table", tag("thead", tag("tr", *heads)), "\n", tag("tbody", joined(lines, "\n")))
    yield tag("div", table, class_="sheet", tabindex="0", role="region", aria_label="Experiments")
    yield Markup('<p class="empty" id="none" hidden>No experiment matches the filter.</p>')


def _box(name: str, *, on: bool) -> Markup:
    return tag("input", type="checkbox", value=name, checked="" if on else None)


def _head(
    name: str,
    arrow: str,
    *,
    kind: str = "",
    number: bool = False,
    hidden: bool = False,
    first: str | None = None,
    file: str | None = None,
) -> Markup:
    button = tag(
        "button",
        tag(
            "span",
            tag("span", class_="arrow", aria_hidden="true"),
            f" {kind}" if kind else Markup("&nbsp;"),
            class_="kind",
        ),
        f"{name} {arrow}".strip(),
        type="button",
    )
    return tag(
        "th",
        button,
        scope="col",
        class_="n" if number else None,
        data_title=name,
        data_first=first,
        title=file,
        hidden="" if hidden else None,
    )


def _first(row: Row, one: Experiment | None, looks: Mapping[str, str]) -> Markup:
    if one is None:
        return tag("th", row.name or row.rev[:7], scope="row", title=row.rev)
    dot = tag("span", class_=f"dot {looks[one.key]}")
    link = tag("a", one.name, href=one.page)
    labels = "".join(f" {label}" for label in _labels(one))
    return tag("th", dot, link, look.faint(labels) if labels else "", scope="row", title=row.rev)


def _labels(one: Experiment) -> list[str]:
    return [*(["★"] * one.recorded.star), *(f"#{label}" for label in one.recorded.tags)]


def _created(row: Row) -> Markup:
    if row.created_s is None:
        return tag("td", "–")
    return tag("td", moment(row.created_s), data_v=str(row.created_s))


def moment(seconds: int) -> str:
    """A time as one reads it, the same wherever the page is read."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _value(value: object, class_: str, *, hidden: bool) -> Markup:
    text = shown(value)
    exact = None
    if is_number(value) and isinstance(value, (int, float)):
        whole = repr(value)
        exact = whole if whole != text and math.isfinite(value) else None
        if math.isnan(value):
            exact = ""
    return tag(
        "td",
        text,
        class_=class_ or None,
        data_v=exact,
        title=value.msg if isinstance(value, FileError) else (exact or None),
        hidden="" if hidden else None,
    )


def _is_constant(site: Site, column: Column) -> bool:
    found = {repr(site.table.value(row, column)) for row in site.table.rows}
    return len(found) == 1 and len(site.experiments) > 1


def _is_numeric(table: Table, column: Column) -> bool:
    found = [table.value(row, column) for row in table.rows]
    known = [v for v in found if v is not values.MISSING and v is not None]
    known = [v for v in known if not isinstance(v, FileError)]
    return bool(known) and all(is_number(v) for v in known)


def _best(site: Site, column: Column) -> set[str]:
    way = polarity(column.key)
    found = {
        one.key: float(value)
        for one in site.experiments
        if isinstance(value := site.table.value(one.row, column), (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
    }
    if way is None or len(set(found.values())) < 2:
        return set()
    top = (max if way == "higher" else min)(found.values())
    return {key for key, value in found.items() if value == top}


def _plots(site: Site) -> Iterator[Markup]:
    total = max(sum(len(curves.series) for curves in site.curves), 1)
    # Lines are drawn with fewer points where there are many, so that a page stays light.
    points = max(12, min(200, _POINTS * max(1, min(3, len(site.curves))) // total))
    looks = site.looks()
    for curves in site.curves:
        drawn = drawing.curves(curves.series, looks, curves.metric, points=points)
        yield tag("figure", tag("figcaption", curves.metric, look.faint(" by step")), drawn)


# ---- an experiment


def experiment(site: Site, one: Experiment, pictures: Pictures, shared: book.Cells) -> str:
    """The page of one experiment."""
    opened = f"nbexp open {one.name}"
    plots = [*_own_plots(site, one)]
    images = [*_images(one, pictures, opened)]
    parts: list[Markup] = []
    sections: list[tuple[str, str]] = []

    def section(key: str, name: str, *content: Markup) -> None:
        sections.append((key, name))
        parts.append(tag("h2", name, id=key))
        parts.extend(content)

    if one.diff is not None:
        section("changes", f"What changed from {one.baseline}", *_changes(one, one.diff))
    run = [*_run(one.recorded)]
    if run:
        section("run", "How it was run", tag("ul", *run, class_="plain"))
    if plots:
        section("plots", "By step", tag("div", *plots, class_="plots small"))
    if images:
        section("pictures", "Pictures", tag("div", *images, class_="plots"))
    if one.notebook is not None:
        path, data = one.notebook
        section(
            "notebook",
            "Notebook",
            tag("p", tag("code", path), class_="lead"),
            book.write(data, pictures, shared, "../", opened),
        )
    links = [tag("a", name, href=f"#{key}") for key, name in sections]
    nav = tag("nav", tag("a", "← All experiments", href="../index.html"), *links)
    lead: list[object] = [tag("code", one.row.rev[:7]), f" · on {one.baseline}"]
    if one.row.created_s is not None:
        lead.append(f" · {moment(one.row.created_s)}")
    lead += [f" · {one.author}"] * bool(one.author)
    lead += [f" · {label}" for label in _labels(one)]
    head = [nav, tag("h1", one.name), tag("p", *lead, class_="lead")]
    head += [tag("p", one.recorded.note)] * bool(one.recorded.note)
    head += [tag("p", one.row.error, class_="bad")] * bool(one.row.error)
    head.append(_facts(site, one))
    foot = joined(["bring it back: ", tag("code", f"nbexp apply {one.name}")])
    page = joined([*head, *parts, _footer(foot)], "\n")
    return look.page(
        f"{one.name} – {site.title}",
        page,
        assets="../assets/",
        has_cells=one.notebook is not None,
        class_="narrow",
    )


def _facts(site: Site, one: Experiment) -> Markup:
    base = next(
        (r for r in site.table.rows if r.kind == "baseline" and r.rev == one.row.baseline), None
    )
    halves = []
    for kind, name, none in (
        ("metric", "Metrics", "No metric is recorded."),
        ("param", "Params", "No param is recorded."),
    ):
        lines = []
        for column in site.columns:
            new = site.table.value(one.row, column)
            if column.kind != kind or new is values.MISSING:
                continue
            old = site.table.value(base, column) if base is not None else values.MISSING
            lines.append(_fact(column, Change(column.file, column.key, old, new)))
        table = tag("div", tag("table", tag("tbody", *lines), class_="facts"), class_="scroll")
        content = table if lines else tag("p", none, class_="empty")
        halves.append(tag("div", tag("h2", name), content))
    return tag("div", *halves, class_="halves")


def _fact(column: Column, change: Change) -> Markup:
    name, arrow = title(column)
    words: object = ""
    if column.kind == "metric" and change.delta is not None:
        words = look.delta(
            f"{change.delta:+.5g}" if not same(change.old, change.new) else "±0", change.verdict
        )
    elif column.kind == "param" and not same(change.old, change.new):
        words = look.faint(f"was {shown(change.old)}")
    number = is_number(change.new)
    text = shown(change.new)
    changed = column.kind == "metric" or words
    return tag(
        "tr",
        tag("th", f"{name} {arrow}".strip(), scope="row", title=column.file),
        tag("td", tag("b", text) if changed else text, class_="n" if number else "long"),
        tag("td", words, class_="why") if words else "",
    )


def _changes(one: Experiment, diff: Diff) -> Iterator[Markup]:
    lines = []
    for word, found in (("code", diff.code), ("outputs", diff.outs)):
        if found:
            paths = joined([joined([tag("code", path), f" {what}"]) for path, what in found], ", ")
            lines.append(tag("li", look.faint(f"{word} "), paths))
    lines += [
        tag("li", look.faint("notebook "), tag("code", note.path), f" {cells_words(note.cells)}")
        for note in diff.notebooks
    ]
    params = [change for change in diff.params if not same(change.old, change.new)]
    words = [
        joined([tag("code", change.key), f" {shown(change.old)} → ", tag("b", shown(change.new))])
        for change in params
    ]
    if words:
        lines.insert(0, tag("li", look.faint("params "), joined(words, ", ")))
    if not lines:
        yield tag("p", "Nothing.", class_="faint")
        return
    yield tag("ul", *lines, class_="plain")
    if one.patch:
        added, removed = patch.counted(one.patch)
        summary = tag("summary", f"Code, +{added} −{removed} lines")
        yield tag("details", summary, look.diff(one.patch), class_="more")


def _run(recorded: Recorded) -> Iterator[Markup]:
    if recorded.command:
        yield tag("li", look.faint("command "), tag("code", recorded.command))
    if recorded.seconds:
        took = ", ".join(f"{name} {recording.words(one)}" for name, one in recorded.seconds.items())
        yield tag("li", look.faint("stages "), took)


def _own_plots(site: Site, one: Experiment) -> Iterator[Markup]:
    looks = site.looks()
    for curves in site.curves:
        own = [series for series in curves.series if series.name == one.key]
        if own:
            drawn = drawing.curves(own, looks, curves.metric, points=_OWN_POINTS, small=True)
            yield tag("figure", tag("figcaption", curves.metric, look.faint(" by step")), drawn)


def _images(one: Experiment, pictures: Pictures, hint: str) -> Iterator[Markup]:
    for path, picture in one.images:
        image = tag("div", tag("img", src=f"../{picture.path}", alt=path), class_="paper")
        content = image if pictures.has(picture) else book.left_out(picture, hint)
        yield tag("figure", tag("figcaption", path), content)


def _footer(*more: object) -> Markup:
    return tag(
        "footer", "Made with ", tag("code", "nbexp publish"), *(joined([" · ", m]) for m in more)
    )
