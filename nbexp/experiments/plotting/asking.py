"""From the words of `plot` to what is drawn: which are columns, which experiments, which plot type fits them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbexp import plots
from nbexp.errors import NotFound, UsageError, nearest
from nbexp.experiments import columns, series
from nbexp.experiments.plotting import Plot, View
from nbexp.experiments.polarity import polarity
from nbexp.experiments.row import FileError, Row
from nbexp.experiments.table import Table
from nbexp.formats import values
from nbexp.frozen import frozen, replace
from nbexp.git import Git
from nbexp.plots import look
from nbexp.plots.importance import MIN_ROWS, importances
from nbexp.store.cache import Cache

if TYPE_CHECKING:
    from nbexp.experiments.data.located import Contents
    from nbexp.experiments.naming import Named
    from nbexp.experiments.selection import Revisions

State = tuple[str, str | None]
"""A name, and a rev; None is the workspace, or a run that goes on."""

MAX_LINES = 30
"""More lines than this are not told apart; 60 differ in looks."""
MAX_FILES = 6
"""So many experiments are side by side where each is a picture of its own."""

# What a param is called that only makes the luck of a run repeatable.
_SEEDS = ("seed", "random_state", "random_seed", "rng")


@frozen
class Record:
    """An experiment as a row of numbers and words."""

    name: str
    values: Mapping[str, object]


@frozen
class Request:
    """What was asked for; the words are those of `Project.plot`."""

    words: tuple[str | Named, ...]
    kinds: tuple[str, ...] = ()
    where: str | None = None
    sort: tuple[str, ...] = ()
    descending: bool = False
    group_by: tuple[str, ...] = ()
    revisions: Revisions | None = None
    all_states: bool = False
    sweep: str | None = None
    log_x: bool = False
    log_y: bool = False
    limit: int | None = None
    title: str | None = None

    @property
    def is_of_rows(self) -> bool:
        """Whether it takes the table to know which experiments are meant."""
        return bool(self.where or self.sort or self.group_by or self.sweep) or not (
            self.revisions is None and not self.all_states
        )


@frozen
class Home:
    """What of the project is asked; each is read only when it is needed.

    `recent` are the experiments of the present commit, newest first; `rows` those of other commits, or as asked;
    `of` the rows of states; `trials` the names of a sweep's experiments, in order.
    """

    git: Git
    cache: Cache
    root: Path
    prefix: str
    folders: Mapping[str, Path]
    better: Mapping[str, str]
    recent: Callable[[], list[State]]
    rows: Callable[[Request], Table]
    of: Callable[[Sequence[State]], Table]
    resolve: Callable[[str | Named], State]
    contents: Callable[[str], Contents]
    trials: Callable[[str], list[str]]


def make(home: Home, request: Request) -> Plot:
    """The plot that was asked for.

    Raises
    ------
    NotFound
        There is no such metric, param or experiment; the nearest is in the hint.
    UsageError
        There is no such plot type, or it needs other columns.
    """
    return _Maker(home, request).plot()


class _Maker:
    def __init__(self, home: Home, request: Request) -> None:
        self._home = home
        self._request = request
        self._columns: list[str] = []
        self._experiments: list[State] = []
        self._kinds, words = self._typed()
        self._sort_out(words)

    def plot(self) -> Plot:
        kinds = self._kinds or self._fitting()
        metric = self._columns[-1] if self._columns else ", ".join(kinds)
        if kinds == ("line",) and not self._kinds:
            try:
                views: tuple[View, ...] = (self._view("line"),)
            except NotFound:
                # Not logged by step: then what it came to in each experiment, if that is known.
                found = self._kind_of(metric)
                if found == "param":
                    raise UsageError(
                        f"`{metric}` is a param: there is nothing to draw without a metric.",
                        f"`nbexp plot {metric} {self._some_metric()}`",
                    ) from None
                if found != "metric":
                    raise
                views = (self._view("history"),)
        else:
            views = tuple(self._view(kind) for kind in kinds)
        return Plot(metric, views, self._request.title, self._call(views))

    # ---- words

    def _typed(self) -> tuple[tuple[str, ...], list[str | Named]]:
        """The plot types, and the words without one that comes first: `plot scatter train.lr acc`."""
        words = list(self._request.words)
        kinds = self._request.kinds
        known = plots.kinds()
        first = words[0] if words else None
        if not kinds and isinstance(first, str) and first in known:
            alone = len(words) == 1
            if (not alone or plots.columns(first)[0] == 0) and not self._is_column(first):
                kinds = (first,)
                words = words[1:]
        for kind in kinds:
            if kind not in known:
                near = nearest(kind, known)
                raise UsageError(
                    f"There is no plot type `{kind}`. Nothing was drawn.",
                    f"did you mean `--kind {near}`?" if near else f"there are {', '.join(known)}.",
                )
        return kinds, words

    def _sort_out(self, words: list[str | Named]) -> None:
        """Columns first, then experiments; a word that is both is an experiment, unless columns are lacking."""
        least = max((plots.columns(kind)[0] for kind in self._kinds), default=1)
        files = any(plots.needs(kind) in ("labels", "images") for kind in self._kinds)
        for word in words:
            if not isinstance(word, str):
                self._experiments.append(self._home.resolve(word))
            elif self._is_lacking(word, least, is_file=files):
                self._columns.append(word)
            elif word in self._home.folders:
                self._experiments.append((word, None))
            else:
                self._add(word, is_file=files)
        if not self._columns and least:
            raise UsageError(
                "There is nothing to draw: no metric is named.", "`nbexp plot acc` draws one."
            )

    def _is_lacking(self, word: str, least: int, *, is_file: bool) -> bool:
        """Whether the word is a column because one is needed: the first one always, then what is known as one."""
        if not self._columns:
            return bool(least) or not self._is_experiment(word)
        return len(self._columns) < least and not is_file and self._is_column(word)

    def _add(self, word: str, *, is_file: bool) -> None:
        try:
            self._experiments.append(self._home.resolve(word))
        except NotFound as unknown:
            if is_file or self._is_column(word):
                self._columns.append(word)
                return
            if not self._whole.experiments:
                raise self._nothing() from None
            near = nearest(word, [column.title for column in self._whole.columns()])
            if near and "did you mean" not in (unknown.hint or ""):
                unknown.hint = f"did you mean the column `{near}`?"
            raise

    def _is_experiment(self, word: str) -> bool:
        try:
            self._home.resolve(word)
        except NotFound:
            return False
        return True

    def _is_column(self, word: str) -> bool:
        try:
            self._known.find(word)
        except NotFound:
            return False
        except UsageError:
            return True  # of several: said when it is drawn
        return True

    def _kind_of(self, word: str) -> str | None:
        try:
            column = self._named.find(word)
        except (NotFound, UsageError):
            return None
        return None if column is None else column.kind

    def _fitting(self) -> tuple[str, ...]:
        """The plot type for what is asked without one."""
        request, count = self._request, len(self._columns)
        if count == 1:
            if request.sweep:
                return ("history",)
            return ("band",) if request.group_by else ("line",)
        if count == 2:
            first = self._title(self._columns[0])
            found = [one.values[first] for one in self._records if look.has(one, first)]
            return ("scatter",) if look.is_quantity(found) else ("box",)
        return ("contour",) if count == 3 else ("parallel",)

    # ---- what is drawn

    def _view(self, kind: str) -> View:
        needs = plots.needs(kind)
        if needs == "series":
            return self._curves(kind)
        if needs == "rows":
            return self._rows(kind)
        from nbexp.experiments.plotting import outputs

        states = self._states
        if needs == "labels":
            if len(self._kinds) > 1 and not self._columns:
                raise UsageError("A confusion matrix needs the file of its labels.")
            found, titles, notes = outputs.labels(
                self._home.contents, states, self._columns, self._request.limit or MAX_FILES
            )
            return View(kind, found, self._options(columns=titles, notes=notes))
        pictures, notes = outputs.images(
            self._home, states, self._columns, self._request.limit or MAX_FILES
        )
        return View(kind, pictures, self._options(notes=notes))

    def _curves(self, kind: str) -> View:
        metric = self._columns[-1]
        home = self._home
        limit = self._request.limit
        if limit is None:
            limit = 0 if kind == "band" or self._experiments else MAX_LINES
        finder = series.Finder(home.git, home.cache, home.root, home.prefix)
        states = self._states
        found = finder.read(metric, states or [("workspace", None)], home.folders, limit=limit)
        notes = []
        if limit and len(found.series) >= limit and len(states) > limit:
            notes.append(
                f"the first {limit} of {len(states):,} experiments are drawn; `--limit 0` draws all"
            )
        options = self._options(y_label=metric, notes=notes)
        options.pop("limit", None)
        if kind == "band" and not self._request.group_by:
            options |= self._by_seed([one.name for one in found.series])
        return View(kind, found.series, options)

    def _rows(self, kind: str) -> View:
        least, most = plots.columns(kind)
        metric = self._title(self._columns[-1])
        found = self._records
        if not found:
            raise self._nothing()
        if not any(look.is_number(one.values.get(metric)) for one in found):
            words = any(metric in one.values for one in found)
            raise NotFound(
                f"`{metric}` is no number in any of these experiments."
                if words
                else f"No experiment here has a value of `{metric}`.",
                self._metrics_hint(metric),
            )
        params = [self._title(one) for one in self._columns[:-1]]
        notes = []
        if len(params) < least - 1 or (
            not params and getattr(plots.load(kind), "TAKES_PARAMS", False)
        ):
            params, told = self._chosen(kind, metric, params, least - 1)
            notes += told
        params = params[-(most - 1) :] if most > 1 else []
        options = self._options(
            columns=(*params, metric),
            better=polarity(self._key(self._columns[-1]), self._home.better),
            notes=notes,
        )
        if kind == "history":
            found = self._in_order(found)
            if self._request.sweep:
                options["order"] = f"trial of {self._request.sweep}"
            elif self._request.sort:
                options["order"] = f"experiment by {', '.join(self._request.sort)}"
        return View(kind, found, options)

    def _chosen(
        self, kind: str, metric: str, params: list[str], count: int
    ) -> tuple[list[str], list[str]]:
        """The params for a plot type that was asked for a metric alone: all that differ, or those that say most of it."""
        differing = [one for one in self._differing if one != metric and one not in params]
        if getattr(plots.load(kind), "TAKES_PARAMS", False):
            if not differing:
                raise UsageError(
                    "No param differs between these experiments, so there is nothing to hold "
                    f"{metric} against.",
                    f"`nbexp plot {metric} --kind history`",
                )
            return differing, []
        lacking = count - len(params)
        if len(differing) < lacking:
            raise UsageError(
                f"A {kind} plot takes {count} params and a metric, and only {len(differing)} of "
                "the params differ between these experiments."
                if differing
                else f"No param differs between these experiments, so there is nothing to hold "
                f"{metric} against.",
                f"`nbexp plot {metric} --kind history`",
            )
        known = [one for one in self._records if look.is_number(one.values.get(metric))]
        ranked = differing
        if len(known) >= MIN_ROWS:
            ranked = [one.param for one in importances(known, differing, metric)]
        return [*params, *ranked[:lacking]], []

    # ---- rows and their columns

    @cached_property
    def _table(self) -> Table:
        home, request = self._home, self._request
        if self._experiments:
            table = home.of(self._experiments)
            if request.where is not None:
                table = columns.matching(table, request.where)
            if request.sort:
                table = columns.order(table, request.sort, descending=request.descending)
            return table
        table = home.rows(request) if request.where or request.sort else self._whole
        if request.sweep:
            names = home.trials(request.sweep)
            place = {name: at for at, name in enumerate(names)}
            rows = [row for row in table.rows if row.name in place]
            rows.sort(key=lambda row: place[row.name or ""])
            table = replace(table, rows=tuple(rows))
        return table

    @cached_property
    def _whole(self) -> Table:
        """All experiments that may be meant, as they come: what columns there are."""
        return self._home.rows(replace(self._request, where=None, sort=()))

    @cached_property
    def _known(self) -> columns.Named:
        return columns.Named(self._whole)

    def _some_metric(self) -> str:
        return next((c.title for c in self._table.columns() if c.kind == "metric"), "acc")

    @cached_property
    def _named(self) -> columns.Named:
        return columns.Named(self._table)

    @cached_property
    def _shown(self) -> list[Row]:
        return [row for row in self._table.rows if row.kind == "experiment" and not row.is_step]

    @cached_property
    def _twice(self) -> set[str]:
        """The names that experiments of several commits have."""
        counts = Counter(row.name for row in self._shown)
        return {name for name, count in counts.items() if name and count > 1}

    def _name(self, row: Row) -> str:
        """What a row is called: with its commit behind where that alone tells it from others."""
        if not row.name:
            return row.rev[:7]
        return f"{row.name} ({row.rev[:7]})" if row.name in self._twice else row.name

    @cached_property
    def _records(self) -> list[Record]:
        """Each experiment with what it has in the columns that are asked for, or that any plot type may take."""
        wanted = {title: self._value(title) for title in self._all_titles}
        found = []
        for row in self._shown:
            if row.state == "running":
                continue  # what it came to is not known yet
            cells = {
                title: cell
                for title, value in wanted.items()
                if not isinstance(cell := value(row), (FileError, list, dict))
                and cell is not values.MISSING
            }
            found.append(Record(self._name(row), cells))
        return found

    @cached_property
    def _all_titles(self) -> dict[str, str]:
        """The columns by title, and by what they are called: those named, and every param."""
        found = {self._title(word): word for word in self._columns}
        for column in self._table.columns():
            if column.kind == "param":
                found.setdefault(column.title, f"{column.file}:{column.key}")
        return found

    def _value(self, title: str) -> Callable[[Row], object]:
        return self._named.value(self._all_titles[title])

    def _title(self, word: str) -> str:
        """What a column is called in the table.

        Raises
        ------
        NotFound
            There is none; what there is of metrics is in the hint.
        """
        try:
            column = self._named.find(word)
        except NotFound:
            if not self._shown:
                raise self._nothing() from None
            raise NotFound(
                f"No experiment here has a metric or param `{word}`.", self._metrics_hint(word)
            ) from None
        return word if column is None else column.title

    def _nothing(self) -> NotFound:
        if self._request.where and self._whole.experiments:
            return NotFound(
                "No experiment matches, so there is nothing to draw.",
                "`nbexp show` lists those there are.",
            )
        return NotFound("There are no experiments to draw.", "`nbexp run` makes one.")

    def _key(self, word: str) -> str:
        column = self._named.find(word)
        return word if column is None else column.key

    def _metrics_hint(self, word: str) -> str | None:
        titles = [column.title for column in self._table.columns()]
        near = nearest(word, [title for title in titles if title != word])
        if near:
            return f"did you mean `{near}`?"
        # What can be drawn: an experiment has a number in it.
        metrics = [
            column.title
            for column in self._table.columns()
            if column.kind == "metric"
            and any(look.is_number(self._table.value(row, column)) for row in self._shown)
        ]
        return f"there are {', '.join(metrics[:20])}." if metrics else None

    @cached_property
    def _differing(self) -> list[str]:
        """The params that are not the same in all of them."""
        titles = [c.title for c in self._table.columns() if c.kind == "param"]
        return [
            title
            for title in titles
            if len(look.once(one.values.get(title) for one in self._records)) > 1
        ]

    def _in_order(self, found: Sequence[Record]) -> list[Record]:
        """As they were made; as they were sorted, where that was asked for."""
        if self._request.sort or self._request.sweep:
            return list(found)
        at = {self._name(row): row.created_s or 0 for row in self._shown}
        # The newest come first, those of one second by name: turned round, that is how they were made.
        oldest_first = list(found)[::-1]
        oldest_first.sort(key=lambda one: at[one.name])
        return oldest_first

    @cached_property
    def _states(self) -> list[State]:
        if self._experiments and not (self._request.where or self._request.sort):
            return self._experiments
        if self._experiments or self._request.is_of_rows:
            return [
                (self._name(row), None if row.rev == "workspace" else row.rev)
                for row in self._shown
            ]
        return self._home.recent()

    # ---- options

    def _options(self, **more: object) -> dict[str, object]:
        request = self._request
        found: dict[str, object] = {"log_x": request.log_x, "log_y": request.log_y, **more}
        if request.limit is not None:
            found["limit"] = request.limit
        if request.group_by:
            found |= self._grouped(request.group_by)
        return {key: value for key, value in found.items() if value not in (None, False, [])}

    def _grouped(self, by: Sequence[str]) -> dict[str, object]:
        getters = [self._named.value(name) for name in by]
        groups: dict[str, str] = {}
        cells: dict[str, list[tuple[int, Any]]] = {}
        for row in self._shown:
            found = [getter(row) for getter in getters]
            text = ", ".join("–" if cell is values.MISSING else look.word(cell) for cell in found)
            groups[self._name(row)] = text
            cells[text] = [(2, "") if cell is values.MISSING else look.rank(cell) for cell in found]
        order = sorted(cells, key=lambda text: cells[text])
        return {"groups": groups, "group_title": ", ".join(by), "group_order": order}

    def _by_seed(self, names: Sequence[str]) -> dict[str, object]:
        """Groups that differ in their seed alone; none, so that all are one, where there is no seed."""
        params = self._differing
        seeds = [one for one in params if one.rpartition(".")[2].lower() in _SEEDS]
        rest = [one for one in params if one not in seeds]
        if not seeds or not rest:
            return {}
        short = look.short(rest)
        groups = {
            one.name: ", ".join(
                f"{short[title]}={look.word(one.values[title]) if title in one.values else '–'}"
                for title in rest
            )
            for one in self._records
        }
        found = {name: groups[name] for name in names if name in groups}
        if len(set(found.values())) == len(found):
            return {}  # no two differ in their seed alone
        title = f"over {', '.join(look.short(seeds).values())}"
        return {"groups": found, "group_title": title}

    # ---- Python

    def _call(self, views: Sequence[View]) -> str:
        """The call of `project.plot` that makes the same."""
        request = self._request
        words: list[str] = [*self._columns, *(name for name, _ in self._experiments)]
        said = [repr(word) for word in words]
        kinds = [view.kind for view in views]
        if kinds != ["line"] or self._kinds:
            said.append(f"kind={kinds[0]!r}" if len(kinds) == 1 else f"kind={kinds!r}")
        for name in ("where", "sweep", "limit"):
            value = getattr(request, name)
            if value is not None:
                said.append(f"{name}={value!r}")
        said += [
            f"{name}={[*getattr(request, name)]!r}"
            for name in ("sort", "group_by")
            if getattr(request, name)
        ]
        said += [
            f"{name}=True"
            for name in ("descending", "all_states", "log_x", "log_y")
            if getattr(request, name)
        ]
        if request.revisions is not None and not request.revisions.is_default:
            fields: dict[str, Any] = {
                name: value
                for name in ("rev", "num", "all_commits", "all_branches", "all_tags")
                if (value := getattr(request.revisions, name)) not in (None, False, ())
            }
            inner = ", ".join(f"{name}={value!r}" for name, value in fields.items())
            said.append(f"revisions=Revisions({inner})")
        return f"plot({', '.join(said)})"
