"""Every kind of result, made by real commands in a real kernel, read without JavaScript, on GitHub, and in a browser.

The project is hostile: script, HTML, escape sequences and turned reading directions stand in its values, names, logs,
notes and notebook outputs. Nothing of it may run, and all of it must still be readable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from nbexp.jupyter import display

# Each marks the page when it runs.
RUN = "document.documentElement.dataset.ran=1"
SCRIPT = f"<script>{RUN}</script>"
IMAGE = f'<img src=x onerror="{RUN}">'
BREAKOUT = f"</script></style></textarea></pre></td>--><svg onload={RUN}>"
TERMINAL = "\x1b[31mred\x1b]0;title\x07 \u202egnp.exe\u202c \x9b2J"
EVIL = SCRIPT + IMAGE + BREAKOUT + TERMINAL

OLD = "name,train.lr,acc\n" + IMAGE.replace('"', "'") + ",0.2,0.5\nolder,0.3,0.4\n"
# A name of a file may hold anything but a slash.
ODD = "data/x" + IMAGE + ".txt"

PARAMETERS = f"lr = 0.1\nepochs = 3\nnote = {SCRIPT + BREAKOUT!r}"
TRAINING = f"""\
import json
from IPython.display import HTML, SVG, display
from nbexp import live
print({EVIL!r})
display(HTML({SCRIPT + IMAGE!r}))
display(SVG('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>{RUN}</script></svg>'))
for step in range(1, epochs + 1):
    live.log(step=step, acc=round(0.95 - abs(lr - 0.03) - 0.05 / step, 4))
acc = round(0.95 - abs(lr - 0.03) - 0.05 / epochs, 4)
import matplotlib.pyplot as plt
plt.plot([1, 2, lr]);"""
METRICS = f"""\
json.dump({{"acc": acc, "label": {EVIL!r}, {IMAGE!r}: acc}}, open("metrics.json", "w"))"""
SCRIPTS = {
    "prepare.py": "open('clean.csv', 'w').write(open('raw.csv').read())\n",
    "raw.csv": "x\n1\n",
}

# What makes each kind; `!` and Python set the scene. A kind is what the value of the cell is.
CELLS = f"""
%load_ext nbexp
InitReport: %exp init train.ipynb
Status: %exp status
Experiment: %exp run -n first
Experiment: %exp run -S train.lr=0.03 -n second
import nbexp; project = nbexp.open(); key = project.run_cache.list().runs[0].key[:7]
!git add -A; git commit -q -m 'results'; git branch 'f/<svg/onload={RUN}>'; git init -q --bare ../origin.git; git remote add origin ../origin.git
Experiment: %exp run -S train.lr=0.05 -n third
Experiment: %exp run -S train.lr=0.05 -S train.epochs=4 -n fourth
Tagged: %exp tag third '{SCRIPT}' --star
Recorded: %exp note third '{SCRIPT + IMAGE}'
Recorded: %exp note third
Table: %exp show
Groups: %exp show --group-by train.lr
Listing: %exp list
MetricsShown: %exp metrics show
MeasureDiff: %exp metrics diff first second
MeasureDiff: %exp params diff first second
RunTable: %exp cache
CachedRun: %exp cache show {{key}}
Diff: %exp diff first second
NotebookDiff: %exp diff first second --notebook
Report: %exp report second first
Printed: %exp report second first --html
size = open("nbexp.toml", "w").write('[alerts.good]\\nwhen = "acc > 0.5"\\n')
Alerts: %exp alerts
Plan: %exp plan -S train.epochs=20
Why: %exp why train third
Dag: %exp dag
Plot: %exp plot acc
Plot: %exp plot train.lr acc
Plot: %exp plot acc --kind line,parallel,box
Code: %exp plot acc --code
Pushed: %exp push third
Branches: %exp branch third fourth
PulledExperiments: %exp pull third
OpenedNotebook: %exp open third
OpenedText: %exp open third params.yaml
OpenedTable: %exp open third dvclive/plots/metrics/acc.tsv
OpenedDirectory: %exp open third .
import pathlib, base64; pathlib.Path("data").mkdir(); pathlib.Path("data/a.png").write_bytes(base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")); pathlib.Path({ODD!r}).write_text("odd name")
!git add data
Saved: %exp save -n saved
OpenedPicture: %exp open saved data/a.png
OpenedDirectory: %exp open saved data
Queued: %exp run --queue -S train.lr=0.2,0.3
QueueStatus: %exp queue
task = project.queue.status().tasks[0].name
RunOver: %exp run --run-all
TaskLog: %exp logs {{task}}
Sweep: %exp sweep -S train.lr=0.07,0.08 --maximize acc
Sweeps: %exp sweep
SweepForm: project.sweeps.form()
open("old.csv", "w").write({OLD!r})
Imported: %exp import csv old.csv --metric acc
Verified: %exp verify second
%exp rm fourth
TrashList: %exp trash
Steps: %exp undo --list
Cleaned: %exp clean
Collected: %exp gc
Health: %exp doctor
size = open("dvc.yaml", "a").write("plots:\\n- data/a.png\\n- dvclive/plots/metrics/acc.tsv:\\n    x: step\\n    y: acc\\n")
PlotsShown: %exp plots show
Chart: next(one for one in project.plots.show() if "acc" in one.id)
Pictures: next(one for one in project.plots.show() if "png" in one.id)
%cd -q ../scripts
Detected: %exp init --detect --no-trace
%cd -q ../guided
Setup: nbexp.project.setup(given={{"cmd": "python train.py"}})
StageWritten: %exp init 'python train.py'
"""

# What is no table, because it is one line, a list of files, or a picture.
PLAIN = frozenset(
    "Plot Code OpenedNotebook StageWritten Chart Pictures PlotsShown Dag Why Tagged Queued Pushed PulledExperiments OpenedText OpenedPicture TaskLog Printed Health".split()
)


@dataclass(frozen=True)
class Shown:
    """What a cell shows in the end, and of which kind it is."""

    source: str
    kind: str
    data: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.data["text/plain"])

    @property
    def html(self) -> str:
        return str(self.data.get("text/html", ""))


@dataclass(frozen=True)
class Book:
    """The executed notebook, and what its cells show."""

    notebook: nbformat.NotebookNode
    shown: tuple[Shown, ...]


class Page(HTMLParser):
    """HTML as people see it: tables as rows of cells, all text, and what there is of tags and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in {"td", "th"} and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self._open):
            return
        self.text += data
        if {"td", "th"} & set(self._open) and self.tables and self.tables[-1]:
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """The notebook of all kinds, executed as papermill and CI do it."""
    folder = tmp_path_factory.mktemp("everywhere")
    for name in ("churn", "scripts", "guided"):
        (folder / name).mkdir()
    train = nbformat.v4.new_notebook()
    train.cells = [nbformat.v4.new_code_cell(cell) for cell in (PARAMETERS, TRAINING, METRICS)]
    train.cells[0].metadata["tags"] = ["parameters"]
    train.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(train, folder / "churn" / "train.ipynb")
    for path, text in SCRIPTS.items():
        (folder / "scripts" / path).write_text(text)
    notebook = nbformat.v4.new_notebook()
    kinds = []
    for line in CELLS.strip().splitlines():
        kind, _, source = re.fullmatch(r"(?:(\w+): )?()(.*)", line).groups()  # type: ignore[union-attr]
        kinds.append(kind)
        notebook.cells.append(nbformat.v4.new_code_cell(source))
        notebook.cells.append(nbformat.v4.new_code_cell("print(type(_).__name__)"))
    done = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder / "churn"}}).execute()  # fmt: skip
    shown = []
    for kind, cell, told in zip(kinds, done.cells[::2], done.cells[1::2], strict=True):
        if kind is not None:
            results = [one for one in cell.outputs if one.output_type != "stream"]
            assert len(results) == 1, (cell.source, cell.outputs)
            assert told.outputs[0].text.strip() == kind, cell.source
            shown.append(Shown(cell.source, kind, dict(results[0].data)))
    done.cells = done.cells[::2]
    return Book(done, tuple(shown))


def test_every_kind_of_result_is_among_them(book: Book) -> None:
    """A kind that is new gets a line in CELLS."""
    known = {name for names in display.FAMILIES.values() for name in names} | {"Plot", "Dag"}
    assert known - {one.kind for one in book.shown} == set()


def test_every_result_is_text_and_html_or_a_picture(book: Book) -> None:
    for one in book.shown:
        assert one.text.strip(), one.source
        page = Page(one.html)
        if one.kind in ("Plot", "Dag"):
            assert "<svg" in str(one.data["image/svg+xml"])
        else:
            assert page.text.strip(), one.source
        if one.kind not in PLAIN:
            assert page.tables and page.tables[0], (one.source, one.html)
    plots = [one for one in book.shown if one.kind == "Plot"]
    assert all(one.data["image/png"].startswith("iVBORw0KGgo") for one in plots) and plots


def test_columns_of_the_text_are_aligned(book: Book) -> None:
    for one in book.shown:
        if one.kind in ("Table", "Groups", "MetricsShown", "MeasureDiff", "QueueStatus", "RunTable"):  # fmt: skip
            head, *rows = one.text.splitlines()
            starts = [match.start() for match in re.finditer(r"(?<=  )\S", head)]
            assert starts, one.source
            for row in rows:
                if row.startswith("Worker status"):
                    break
                assert all(row[at - 1 : at] in (" ", "") for at in starts[:2]), (
                    one.source,
                    one.text,
                )


def test_no_script_no_handler_and_nothing_from_elsewhere(book: Book) -> None:
    for one in book.shown:
        page = Page(one.html)
        assert {"script", "iframe", "object", "embed", "form", "base", "link"}.isdisjoint(page.tags), one.source  # fmt: skip
        for name, value in page.attributes:
            assert not name.startswith("on"), (one.source, name)
            if name in ("src", "href"):
                assert str(value).startswith(("data:image/", "#")), (one.source, value)
        assert "<script" not in str(one.data.get("image/svg+xml", "")).lower()


def test_nothing_turns_round_or_colours_what_is_read(book: Book) -> None:
    for one in book.shown:
        for kind in ("text/plain", "text/html"):
            found = re.findall(
                "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]",
                str(one.data.get(kind, "")),
            )
            assert found == [], (one.source, kind, found)


def test_without_javascript_tables_and_pictures_are_there(book: Book, tmp_path: Path) -> None:
    html, _ = HTMLExporter(template_name="lab").from_notebook_node(book.notebook)
    bare = re.sub(r"<script\b.*?</script\s*>", "", html, flags=re.DOTALL | re.IGNORECASE)
    page = Page(bare)
    expected = sum(len(Page(one.html).tables) for one in book.shown)
    assert len(page.tables) >= expected > 30
    assert page.tags.count("img") + page.tags.count("svg") >= 4
    there = _rows(page)
    for one in book.shown:
        for row in _rows(Page(one.html)):
            assert row in there, one.source


def _rows(page: Page) -> list[list[str]]:
    """The rows of all tables, runs of spaces as one: nbconvert leaves no others."""
    return [[" ".join(cell.split()) for cell in row] for table in page.tables for row in table]


def test_it_reads_the_same_on_github(book: Book) -> None:
    """GitHub takes styles, classes and whatever acts out of the HTML of outputs."""
    for one in book.shown:
        clean = re.sub(r"<style\b.*?</style>", "", one.html, flags=re.DOTALL)
        clean = re.sub(r'\s(?:style|class|id|data-[\w-]+|aria-[\w-]+)="[^"]*"', "", clean)
        before, after = Page(one.html), Page(clean)
        assert after.tables == before.tables and after.text == before.text, one.source
        assert "{" not in after.text.replace(EVIL, "") or one.kind in ("Code", "OpenedNotebook", "NotebookDiff", "OpenedText", "Alerts"), one.source  # fmt: skip
    table = next(one for one in book.shown if one.kind == "Table")
    assert 'align="right"' in table.html


def test_what_was_planted_is_told_and_does_not_run(
    book: Book, chromium: Callable[..., Any], tmp_path: Path
) -> None:
    said = "".join(Page(one.html).text for one in book.shown)
    assert SCRIPT in said and IMAGE in said and f"onload={RUN}" in said
    file = tmp_path / "book.html"
    html, _ = HTMLExporter(template_name="lab").from_notebook_node(book.notebook)
    file.write_text(html)
    assert not _has_run(chromium(file).dom)
    # As a front end puts it on the page: into an element of it.
    shown = [one.html for one in book.shown] + [
        str(one.data["image/svg+xml"]) for one in book.shown if "image/svg+xml" in one.data
    ]
    texts = json.dumps(shown).replace("<", "\\u003c")
    file.write_text(
        f"<!doctype html><meta charset=utf-8><body><script>for (const html of {texts}) {{"
        "const box = document.createElement('div'); document.body.append(box); box.innerHTML = html; }</script>"
    )
    looked = chromium(file)
    assert len(re.findall("<table", looked.dom)) > 30
    assert not _has_run(looked.dom)


def test_the_browser_would_tell(chromium: Callable[..., Any], tmp_path: Path) -> None:
    """The planted text does run where it is not escaped, or the test above says nothing."""
    for planted in (SCRIPT, IMAGE, BREAKOUT):
        (tmp_path / "page.html").write_text(f"<!doctype html><body>{planted}")
        assert _has_run(chromium(tmp_path / "page.html").dom)


def _has_run(dom: str) -> bool:
    return re.search(r"<html[^>]*data-ran", dom) is not None
