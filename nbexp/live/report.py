"""The report that a training writes of itself while it goes on: a page, a Markdown file, or below the cell.

Params and the last metrics as tables, each metric as a curve over its steps, pictures, and the plots that were
logged. A page holds all of that itself and loads itself again every five seconds until the end; a Markdown file has
its drawings beside it in `report/`.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from nbexp.live import drawing
from nbexp.markup import Markup, escaped, joined, tag

if TYPE_CHECKING:
    from nbexp.live.logger import ReportMode
    from nbexp.live.plots import Plot

_PACE_S = 1.0
_STYLE = "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;margin:0 0 1em}td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}img{max-width:420px;margin:.3em}"


class Report:
    """How a `Live` draws what it logs; `mode` is `html`, `md` or `notebook`."""

    def __init__(self, mode: ReportMode) -> None:
        self.mode = mode
        self._drawn_s: float | None = None
        self._is_shown = self._is_open = False

    @classmethod
    def of(cls, mode: str) -> Report | None:
        """A report of that mode; None where a notebook is asked for and there is none, with a warning.

        Raises
        ------
        ValueError
            There is no such mode.
        """
        from nbexp.live.around import warn
        from nbexp.live.logger import ReportMode

        if mode not in get_args(ReportMode):
            raise ValueError(
                f"`{mode}` is no kind of report; there are {', '.join(get_args(ReportMode))}"
            )
        if mode == "notebook" and _shell() is None:
            warn("`report='notebook'` has no effect outside of a notebook.")
            return None
        return cls(mode)  # type: ignore[arg-type]  # one of them, as just asked

    def file(self, folder: str) -> str | None:
        """Where the report is written; None below a cell."""
        return None if self.mode == "notebook" else str(Path(folder) / f"report.{self.mode}")

    def is_due(self) -> bool:
        """Whether the last one is a second old: drawing takes longer than a step may."""
        return self._drawn_s is None or time.monotonic() - self._drawn_s >= _PACE_S

    def make(
        self,
        folder: str,
        *,
        params: Mapping[str, Any],
        summary: Mapping[str, Any],
        plots: Sequence[Plot],
        goes_on: bool,
    ) -> None:
        """Draw what is in the folder as of now."""
        root = Path(folder)
        tables = {"params": _flat(params), "metrics": _flat(summary)}
        tables = {title: rows for title, rows in tables.items() if rows}
        figures = [*_metrics(root), *(_drawn(plot) for plot in plots)]
        if self.mode == "md":
            self._write_md(root, tables, figures)
        elif self.mode == "html":
            page = _page(_body(root, tables, figures), goes_on=goes_on)
            self._write(root / "report.html", page)
        else:
            self._show(_body(root, tables, figures), _text(tables))
        self._drawn_s = time.monotonic()

    def open(self, folder: str) -> None:
        """Open the page in a browser, once."""
        file = self.file(folder)
        if not self._is_open and file is not None:
            import webbrowser

            self._is_open = True
            webbrowser.open(Path(file).resolve().as_uri())

    def _write_md(
        self,
        root: Path,
        tables: Mapping[str, Mapping[str, str]],
        figures: Sequence[tuple[str, Markup]],
    ) -> None:
        lines: list[str] = []
        for title, rows in tables.items():
            lines += [f"## {title}", "", "| name | value |", "| --- | --- |"]
            lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items()]
            lines.append("")
        for name, svg in figures:
            path = root / "report" / f"{name}.svg"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, svg)
            lines += [f"![{name}]({path.relative_to(root).as_posix().replace(' ', '%20')})", ""]
        for image in _images(root):
            place = image.relative_to(root).as_posix()
            lines += [f"![{image.name}]({place.replace(' ', '%20')})", ""]
        self._write(root / "report.md", "\n".join(lines))

    def _write(self, path: Path, text: str) -> None:
        from nbexp import filesystem

        filesystem.atomic_write(path, text.encode(), durable=False)

    def _show(self, body: Markup, text: str) -> None:
        shell = _shell()
        if shell is None:
            return
        shell.display_pub.publish(
            {"text/html": f"<style>{_STYLE.replace('body{', '.nbexp-live{')}</style>"
             f'<div class="nbexp-live">{body}</div>', "text/plain": text},
            transient={"display_id": f"nbexp-live-report-{id(self)}"},
            update=self._is_shown,
        )  # fmt: skip
        self._is_shown = True


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if hasattr(shell, "kernel") else None


def _page(body: Markup, *, goes_on: bool) -> Markup:
    again = tag("meta", http_equiv="refresh", content="5") if goes_on else ""
    style = tag("style", Markup(_STYLE))
    head = tag("head", tag("meta", charset="utf-8"), again, tag("title", "Live report"), style)
    return Markup(f"<!DOCTYPE html>\n{tag('html', head, tag('body', body), lang='en')}\n")


def _body(
    root: Path, tables: Mapping[str, Mapping[str, str]], figures: Sequence[tuple[str, Markup]]
) -> Markup:
    parts: list[Markup] = []
    for title, rows in tables.items():
        cells = (tag("tr", tag("th", name), tag("td", value)) for name, value in rows.items())
        parts += [tag("h2", title), tag("table", *cells)]
    parts += [svg for _, svg in figures]
    for image in _images(root):
        data = base64.b64encode(image.read_bytes()).decode()
        kind = {".jpg": "jpeg"}.get(image.suffix, image.suffix[1:])
        parts.append(tag("img", src=f"data:image/{kind};base64,{data}", alt=image.name))
    return joined(parts)


def _text(tables: Mapping[str, Mapping[str, str]]) -> str:
    return "\n".join(f"{name}  {value}" for rows in tables.values() for name, value in rows.items())


def _metrics(root: Path) -> Iterator[tuple[str, Markup]]:
    """A curve for each table."""
    import csv

    folder = root / "plots" / "metrics"
    for file in sorted(folder.rglob("*.tsv")):
        name = file.relative_to(folder).with_suffix("").as_posix()
        with file.open(encoding="utf-8", newline="") as table:
            rows = list(csv.DictReader(table, delimiter="\t"))
        points = _points(rows, "step", file.stem)
        yield name, drawing.curves(name, "step", file.stem, {name: points})


def _drawn(plot: Plot) -> tuple[str, Markup]:
    """A plot that was logged, by its template."""
    found = json.loads(plot.path.read_text(encoding="utf-8"))
    # scikit-learn's are in a mapping of one list.
    rows = next(iter(found.values()), []) if isinstance(found, dict) else found
    config = plot.config
    x, ys = str(config["x"]), config["y"]
    names = [str(y) for y in ys] if isinstance(ys, list) else [str(ys)]
    title = str(config.get("title", plot.name))
    labels = str(config.get("x_label", x)), str(config.get("y_label", ", ".join(names)))
    template = str(config.get("template", "linear"))
    if template.startswith("confusion"):
        pairs = [(str(row.get(x)), str(row.get(names[0]))) for row in rows]
        return plot.name, drawing.matrix(title, *labels, pairs, shares=template != "confusion")
    if template.startswith("bar"):
        # DVC's horizontal bars have the numbers along x.
        shares = [(str(row.get(names[0])), _as_number(row.get(x))) for row in rows]
        known = [(name, value) for name, value in shares if value is not None]
        known.sort(key=lambda one: -one[1] if template.endswith("sorted") else 0)
        return plot.name, drawing.bars(title, *labels, known)
    series = {name: _points(rows, x, name) for name in names}
    is_line = not template.startswith("scatter")
    return plot.name, drawing.curves(title, *labels, series, joined_up=is_line)


def _points(rows: Sequence[Mapping[Any, Any]], x: str, y: str) -> list[tuple[float, float]]:
    found = []
    for number, row in enumerate(rows):
        across, up = _as_number(row.get(x)), _as_number(row.get(y))
        if up is not None:
            found.append((float(number) if across is None else across, up))
    return found


def _as_number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]  # what else it may be is refused by it
    except (TypeError, ValueError):
        return None


def _images(root: Path) -> list[Path]:
    from nbexp.live.plots import IMAGES

    folder = root / "plots" / "images"
    return sorted(path for path in folder.rglob("*") if path.suffix in IMAGES)


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = f"{value:.5g}" if isinstance(value, float) else str(value)
    return found


def _cell(text: str) -> str:
    return escaped(text).replace("|", "\\|").replace("\n", " ")
