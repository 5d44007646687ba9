"""The first five minutes with nbexp, cell by cell, through a real kernel (product 4.1; cells 24 and 25 of 4.2)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psutil
import pytest

import nbexp
from nbexp.filesystem import FileLock
from nbexp.formats import ref_names
from tests import kernels

EXAMPLE = Path(__file__).parents[2] / "example-notebooks" / "first-notebook"

CELLS = {
    2: "%load_ext nbexp",
    3: "%exp init train.ipynb",
    4: "%exp run",
    5: "%exp run -S train.lr=0.03",
    6: "%exp run -S train.lr=0.03",
    7: "%exp run -S train.lrr=0.03",
    8: "%exp show",
    # The names were drawn; the cells that a user would type have them in place of the braces.
    9: "%exp diff {first} {second}",
    10: "%exp plot acc",
}
TIME = r"\d+\.\d s"
NAME = r"[a-z]+-[a-z]+"


class Words(HTMLParser):
    """What people see of HTML: tables as rows of cells, and which tags there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[str] = []
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[-1][-1][-1] += data


@dataclass
class Answer:
    """What a cell came to."""

    status: str
    printed: str = ""
    # Displays in their order, each with all its states; the last is what stays on the page.
    displays: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    pager: str = ""

    @property
    def shown(self) -> dict[str, Any]:
        """The one thing that the cell shows in the end."""
        found = [states[-1] for states in self.displays.values()] + (
            [self.result] if self.result else []
        )
        assert len(found) == 1, found
        return found[0]

    @property
    def text(self) -> str:
        return str(self.shown["text/plain"])

    @property
    def html(self) -> Words:
        return Words(self.shown["text/html"])


def crowd() -> float:
    """How many processes there are for each core, this one's own among them; seconds are those of a machine of one's own."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


class Kernel:
    """A kernel as a front end drives it; with `notebook`, as JupyterLab does."""

    def __init__(self, folder: Path, notebook: str | None = None) -> None:
        env = dict(os.environ)
        if notebook is not None:
            env["JPY_SESSION_NAME"] = str(folder / notebook)
        self._manager = kernels.manager()
        self._manager.start_kernel(cwd=str(folder), env=env, stderr=subprocess.DEVNULL)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        self.process = psutil.Process(self._manager.provisioner.pid)  # type: ignore[union-attr]

    def run(self, code: str, *, hears: Callable[[str], None] | None = None) -> Answer:
        """Run a cell; `hears` gets the text of every display as it comes."""
        answer = Answer("")
        names = 0

        def take(message: dict[str, Any]) -> None:
            nonlocal names
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    answer.printed += content["text"]
                case "execute_result":
                    answer.result = content["data"]
                case "error":
                    answer.error = "\n".join(content["traceback"])
                case "display_data" | "update_display_data":
                    names += 1
                    name = content.get("transient", {}).get("display_id", f"unnamed-{names}")
                    answer.displays.setdefault(name, []).append(content["data"])
                    if hears is not None:
                        hears(content["data"]["text/plain"])

        reply = self._client.execute_interactive(
            code, store_history=True, output_hook=take, timeout=120, allow_stdin=False
        )["content"]
        answer.status = reply["status"]
        answer.pager = "".join(page["data"]["text/plain"] for page in reply.get("payload", ()))
        return answer

    def complete(self, code: str, at: int | None = None) -> list[str]:
        """What Tab offers at the end of the code, or at a place in it."""
        return list(self.completion(code, at)["matches"])

    def completion(self, code: str, at: int | None = None) -> dict[str, Any]:
        """The whole answer: also what is replaced, and the kind of each."""
        content: dict[str, Any] = self._client.complete(code, at, reply=True, timeout=60)["content"]
        return content

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def stop(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def start() -> Iterator[Callable[..., Kernel]]:
    started: list[Kernel] = []

    def begin(folder: Path, notebook: str | None = None) -> Kernel:
        started.append(Kernel(folder, notebook))
        return started[-1]

    yield begin
    for kernel in started:
        kernel.stop()


@dataclass
class Story:
    """The cells run once, for all tests that look at them."""

    folder: Path
    answers: dict[int, Answer]
    before: dict[str, bytes]
    seconds: float

    @property
    def first(self) -> str:
        return self.answers[4].text.split()[0]

    @property
    def second(self) -> str:
        return self.answers[5].text.split()[0]


def copied(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("train.ipynb", "lab.ipynb"):
        shutil.copy(EXAMPLE / name, folder)
    return folder


@pytest.fixture(scope="module", params=["watched", "headless"])
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    """In JupyterLab, where a run has a live display, and headless, as papermill and nbconvert run it."""
    folder = copied(tmp_path_factory.mktemp(request.param) / "churn")
    before = {name: (folder / name).read_bytes() for name in ("train.ipynb", "lab.ipynb")}
    kernel = Kernel(folder, "lab.ipynb" if request.param == "watched" else None)
    found = Story(folder, {}, before, 0)
    started_s = time.monotonic()
    try:
        for number, cell in CELLS.items():
            if number == 9:
                cell = cell.format(first=found.first, second=found.second)
            found.answers[number] = kernel.run(cell)
        found.seconds = time.monotonic() - started_s
        yield found
    finally:
        kernel.stop()


def git(*words: str, cwd: Path) -> str:
    return subprocess.run(
        ["git", *words], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


# ---- cells 2 to 10


def test_cell_2_says_what_to_type_next(story: Story) -> None:
    assert story.answers[2].printed == (
        f"nbexp {nbexp.__version__} - no project here yet. "
        "Next: %exp init train.ipynb     (help: %exp?)\n"
    )


def test_cell_3_makes_the_project(story: Story) -> None:
    answer = story.answers[3]
    commit = git("rev-parse", "--short=7", "main", cwd=story.folder).strip()
    said = [re.sub(r"  +", "  ", line) for line in answer.text.splitlines()]
    assert said == [
        'parameters  lr=0.1 (float)  epochs=10 (int)  seed=0 (int)  from the cell tagged "parameters"',
        "metrics  metrics.json  written in cell 3",
        "live  acc by step  logged in cell 2",
        "wrote  params.yaml  dvc.yaml  .gitignore  runs/.gitignore  .dvc/",
        f'baseline  {commit}  "nbexp: track train.ipynb"  (new Git repository)'.replace(
            '  "', ' "'
        ),
        "train.ipynb was not changed. Next: %exp run",
    ]
    assert answer.html.tables[0][1] == ["metrics", "metrics.json", "written in cell 3"]
    assert git("log", "--format=%s", "main", cwd=story.folder) == "nbexp: track train.ipynb\n"


def test_cell_4_records_the_first_experiment(story: Story) -> None:
    answer = story.answers[4]
    assert re.fullmatch(
        rf"({NAME})   done in {TIME}   \(nbexp {TIME}\)\n"
        r"  acc                  0\.875\n"
        r"  stages               train ran \(3 cells\)\n"
        r"  notebook             %exp open \1\n"
        r"  changes vs baseline  none\n"
        r"keep it as a branch: %exp branch \1 my-branch",
        answer.text,
    )
    assert answer.html.tables[0][:2] == [["acc", "0.875"], ["stages", "train ran (3 cells)"]]


def test_cell_5_says_that_it_is_better(story: Story) -> None:
    answer = story.answers[5]
    assert re.match(
        rf"({NAME})   done in {TIME}   \(nbexp {TIME}\)\n"
        r"  train\.lr  0\.1 -> 0\.03\n"
        rf"  acc       0\.945   \+0\.07 vs {story.first}  \(better\)\n"
        r"  stages    train ran \(3 cells\)\n",
        answer.text,
    )
    assert answer.html.tables[0][:2] == [
        ["train.lr", "0.1 → 0.03"],
        ["acc", f"0.945  +0.07 vs {story.first}  ✓ better"],
    ]


def test_cell_6_runs_nothing(story: Story) -> None:
    answer = story.answers[6]
    assert re.fullmatch(
        rf"identical to {story.second} \(same code, data and parameters\): nothing to run {{6}}{TIME} {{6}}"
        r"--new runs it again",
        answer.text,
    )
    assert len(_experiments(story.folder)) == 2


def test_cell_7_explains_the_mistake_and_fails(story: Story) -> None:
    answer = story.answers[7]
    assert answer.status == "error"
    assert answer.error == (
        "No param `train.lrr` in params.yaml. Nothing was run.\n"
        "Hint: did you mean `train.lr`? A new param is added with a plus: `%exp run -S +train.lrr=0.03`."
    )
    assert answer.displays == {}


def test_cell_8_shows_the_table(story: Story) -> None:
    answer = story.answers[8]
    rows = [line.split() for line in answer.text.splitlines()]
    clock = rows[2][1]
    assert re.fullmatch(r"\d\d:\d\d", clock)
    assert [[cell.replace(":", "") if ":" in cell else cell for cell in row] for row in rows][
        :2
    ] == [
        ["experiment", "created", "acc", "train.lr", "train.epochs", "train.seed"],
        ["workspace", "-", "0.945", "0.03", "10", "0"],
    ]
    assert [[row[0], *row[2:]] for row in rows[2:]] == [
        ["main", "-", "0.1", "10", "0"],
        [story.second, "0.945", "0.03", "10", "0"],
        [story.first, "0.875", "0.1", "10", "0"],
    ]
    table = answer.html.tables[0]
    assert [[row[0], *row[2:]] for row in table] == [
        ["experiment", "acc ↑", "train.lr", "train.epochs", "train.seed"],
        ["workspace", "0.945", "0.03", "10", "0"],
        ["main", "-", "0.1", "10", "0"],
        [f"\u2003{story.second}", "★ 0.945", "0.03", "10", "0"],
        [f"\u2003{story.first}", "0.875", "0.1", "10", "0"],
    ]


def test_cell_9_shows_the_difference(story: Story) -> None:
    answer = story.answers[9]
    lines = [line.split() for line in answer.text.splitlines()]
    assert lines[:3] == [
        ["params", "train.lr", "0.1", "->", "0.03"],
        ["metrics", "acc", "0.875", "->", "0.945", "+0.07", "(better)"],
        ["code", "no", "change"],
    ]
    assert ["\u2003acc", "0.875", "0.945", "+0.07  ✓ better"] in answer.html.tables[0]


def test_cell_10_draws_both_runs_step_by_step(story: Story) -> None:
    shown = story.answers[10].shown
    spec = shown["application/vnd.vegalite.v5+json"]
    rows = spec["data"]["values"]
    expected = [round(0.95 - abs(0.1 - 0.03) - 0.05 / step, 4) for step in range(1, 11)]
    assert [row["value"] for row in rows if row["experiment"] == story.first] == expected
    assert [row["step"] for row in rows if row["experiment"] == story.second] == list(range(1, 11))
    drawing = ET.fromstring(shown["image/svg+xml"])
    texts = {element.text for element in drawing.iter() if element.tag.endswith("text")}
    assert {story.first, story.second, "acc", "step"} <= texts
    assert shown["image/png"].startswith("iVBORw0KGgo")
    assert shown["text/plain"].splitlines()[0] == "acc by step"


def test_every_result_is_one_thing_without_a_script(story: Story) -> None:
    for number in (3, 4, 5, 6, 8, 9):
        html = story.answers[number].html
        assert "script" not in html.tags, number
    for number in (3, 4, 5, 8, 9):
        assert story.answers[number].html.tables, number


def test_the_notebooks_are_as_they_were(story: Story) -> None:
    assert {name: (story.folder / name).read_bytes() for name in story.before} == story.before


def test_the_workspace_equals_the_last_run(story: Story) -> None:
    assert json.loads((story.folder / "metrics.json").read_text()) == {"acc": 0.945}
    assert _experiments(story.folder) == {story.first, story.second}


def test_the_whole_story_takes_less_than_20_seconds(story: Story) -> None:
    assert story.seconds < 20 * crowd()


def test_real_dvc_lists_the_experiments(story: Story, dvc: Any) -> None:
    shown = json.loads(dvc("exp", "show", "--json", cwd=story.folder).stdout)
    accs = {
        found["name"]: found["revs"][0]["data"]["metrics"]["metrics.json"]["data"]["acc"]
        for found in shown[1]["experiments"]
    }
    assert accs == {story.first: 0.875, story.second: 0.945}


# ---- what cells say beside it


def test_a_run_is_one_display_that_is_replaced_and_ends_as_the_card(
    tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    folder = copied(tmp_path / "churn")
    kernel = start(folder, "lab.ipynb")
    kernel.run("%load_ext nbexp\n%exp init train.ipynb")
    answer = kernel.run("%exp run -S train.epochs=100")  # five seconds
    assert answer.printed == "" and answer.result == {}
    (states,) = answer.displays.values()
    lines = [state["text/plain"].splitlines()[0] for state in states]
    live = [line for line in lines if "step" in line]
    assert live
    assert re.fullmatch(r"train  \[####----\]  cell 2/3  step \d+  acc 0\.8\d+  \d+\.\d s", live[0])
    assert re.fullmatch(rf"{NAME}   done in .*", lines[-1])
    assert kernel.run("_.metrics['acc']").result["text/plain"] == "0.8795"


def test_headless_a_run_is_lines_for_its_stages(story: Story) -> None:
    answer = story.answers[4]
    if answer.displays:  # watched: the display says it
        assert answer.printed == ""
    else:
        assert re.fullmatch(rf"train  started\ntrain  done in {TIME} \(3 cells\)\n", answer.printed)


def test_results_are_objects(tmp_path: Path, start: Callable[..., Kernel]) -> None:
    folder = copied(tmp_path / "churn")
    kernel = start(folder)
    kernel.run("%load_ext nbexp\n%exp init train.ipynb;")
    assigned = kernel.run("lr = 0.05\ne = %exp run -S train.lr={lr} -n my-run   # a comment")
    assert assigned.result == {} and assigned.status == "ok"
    assert (
        kernel.run("e.name, e.metrics['acc'], e.params['train.lr']").text
        == "('my-run', 0.925, 0.05)"
    )
    assert kernel.run("e").html.tables[0][0] == ["train.lr", "0.1 → 0.05"]
    assert kernel.run("%exp show;").displays == {}
    assert kernel.run("len(_), _['my-run'].name").text == "(3, 'my-run')"
    kernel.run("table = %exp show")
    assert kernel.run("table.to_frame()['train.lr'].tolist()").text == "[0.05, 0.1, 0.05]"
    # Each verb is a module of its own, and none gets into the way of the next.
    for verb in ("list", "show", "status", "list", "diff", "help"):
        assert kernel.run(f"%exp {verb}").status == "ok", verb


def test_the_python_api_shows_itself_without_the_extension(
    tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    folder = copied(tmp_path / "churn")
    kernel = start(folder)
    kernel.run("%load_ext nbexp\n%exp init train.ipynb\n%unload_ext nbexp")
    answer = kernel.run("import nbexp\nnbexp.open().show()")
    assert answer.html.tables[0][0][:2] == ["experiment", "created"]


def test_help_is_in_the_notebook(tmp_path: Path, start: Callable[..., Kernel]) -> None:
    kernel = start(tmp_path)
    kernel.run("%load_ext nbexp")
    assert "%exp run -S train.lr=0.01" in kernel.run("%exp?").pager
    assert kernel.run("%exp run -h").text.startswith("usage: %exp run")
    assert kernel.run("%exp help run").text.startswith("usage: %exp run")


def test_tab_offers_what_fits(tmp_path: Path, start: Callable[..., Kernel]) -> None:
    folder = copied(tmp_path / "churn")
    kernel = start(folder)
    kernel.run("%load_ext nbexp\n%exp init train.ipynb\n%exp run -n dusty-crow")
    assert kernel.complete("%exp ru") == ["run"]
    assert kernel.complete("x = %exp run -S tr") == ["train.lr=", "train.epochs=", "train.seed="]
    assert kernel.complete("1 + 1\n%exp apply du") == ["dusty-crow"]
    assert kernel.complete("%exp run --set-p") == ["--set-param"]
    took_s = []
    for _ in range(5):
        started_s = time.monotonic()
        assert kernel.complete("%exp run -S train.l") == ["train.lr="]
        took_s.append(time.monotonic() - started_s)
    assert min(took_s) < 0.5
    kernel.run("%exp run -q -S train.lr=0.03 -n mauve-pike")
    # The present value of a param, and those that were tried, stand beside them.
    types = "_jupyter_types_experimental"
    (shown,) = kernel.completion("%exp run -S train.lr")["metadata"][types]
    assert (shown["text"], shown["type"]) == ("train.lr=", "now\N{NO-BREAK SPACE}0.03")
    assert kernel.complete("%exp show --sort-by acc,train.e") == ["train.epochs"]
    assert kernel.complete("%exp diff mauve-pike d") == ["dusty-crow"]
    # Only what fits: a word that is nothing of ours is not guessed at.
    assert kernel.complete("%exp apply pri") == []
    assert kernel.complete("learning_rate = 1\n%exp run -S train.lr={pri") == ["print"]


@pytest.mark.parametrize(
    ("code", "replaced", "match"),
    [
        ("%exp apply du|", "du", "dusty-crow"),
        ("x = 1\n%exp apply du|\ny = 2", "du", "dusty-crow"),
        ("é = '𝛼'; x = 1\nz = %exp apply du|", "du", "dusty-crow"),
        ("%exp diff du| main", "du", "dusty-crow"),
        ("%exp apply 'du|", "du", "dusty-crow"),
        ("%exp run --set-param=train.l|", "train.l", "train.lr="),
        ("%exp show --sort-by acc,train.l|", "train.l", "train.lr"),
        ("%exp run \\\n  -S train.l|", "train.l", "train.lr="),
    ],
)
def test_a_completion_replaces_the_word_at_the_cursor_alone(
    code: str, replaced: str, match: str, completing: Kernel
) -> None:
    at = code.index("|")
    code = code.replace("|", "")
    answer = completing.completion(code, at)
    assert answer["matches"] == [match]
    assert (answer["cursor_start"], answer["cursor_end"]) == (at - len(replaced), at)


@pytest.fixture(scope="module")
def completing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel in a project with the experiment `dusty-crow`."""
    kernel = Kernel(copied(tmp_path_factory.mktemp("completing") / "churn"))
    try:
        kernel.run("%load_ext nbexp\n%exp init train.ipynb\n%exp run -n dusty-crow")
        yield kernel
    finally:
        kernel.stop()


def test_a_cell_that_stops_is_shown_with_its_line(
    tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    folder = copied(tmp_path / "churn")
    _edit(folder / "train.ipynb", 2, lambda _: 'print("about to stop")\nprint(1 / (lr - 0.1))')
    kernel = start(folder, "lab.ipynb")
    kernel.run("%load_ext nbexp\n%exp init train.ipynb")
    before = _files(folder)
    answer = kernel.run("%exp run")
    assert answer.status == "error"
    assert answer.error.startswith("Stage `train` stopped in cell 3 of train.ipynb")
    assert "ZeroDivisionError" in answer.error
    assert "Traceback" not in answer.error
    assert answer.text.splitlines()[0].startswith("train  ✗ failed  in cell 3/3  ")
    assert _files(folder) == before


# ---- interrupting


def left_of(kernel: Kernel, count: int) -> list[str]:
    """Where the processes below a kernel are, once there are no more than that: one that ends is there for a moment."""
    end = time.monotonic() + 20
    while True:
        places = []
        for process in kernel.process.children(recursive=True):
            with suppress(psutil.Error):
                places.append(process.cwd())
        if len(places) == count or time.monotonic() > end:
            return places
        time.sleep(0.05)


@pytest.mark.parametrize("notebook", ["lab.ipynb", None], ids=["watched", "headless"])
def test_an_interrupt_ends_the_run_and_leaves_the_workspace_as_it_was(
    notebook: str | None, tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    folder = copied(tmp_path / "churn")
    _edit(folder / "train.ipynb", 1, lambda source: _STUBBORN + source)
    kernel = start(folder, notebook)
    kernel.run("%load_ext nbexp\n%exp init train.ipynb")
    before = _files(folder)
    interrupted_s: list[float] = []

    def interrupt_in_cell_2() -> None:
        pids = folder / "started"
        deadline = time.monotonic() + 60
        while not pids.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        assert len(kernel.process.children(recursive=True)) >= 3
        interrupted_s.append(time.monotonic())
        kernel.interrupt()

    other = threading.Thread(target=interrupt_in_cell_2)
    other.start()
    answer = kernel.run("%exp run -S train.epochs=100000 -n long")
    took_s = time.monotonic() - interrupted_s[0] if interrupted_s else -1
    other.join()
    assert interrupted_s

    assert took_s < 2.5 * crowd()  # 2 s, and the way of the messages
    assert answer.status == "error"
    assert answer.error == (
        "Run `long` was interrupted. Your workspace is as it was before it.\n"
        "Hint: `%exp open long` shows the notebook as it stopped."
    )
    # The two templates of the next run's processes stay; a template is in no project's directory.
    assert left_of(kernel, 2) == ["/", "/"]
    (folder / "started").unlink()
    assert _files(folder) == before
    assert git("status", "--porcelain", cwd=folder) == "?? lab.ipynb\n"
    states = kernel.run("%exp show --all-states").text
    assert re.search(r"  long +\d\d:\d\d +interrupted ", states)
    assert _experiments(folder) == set()
    assert list((folder / ".git").rglob("*.lock")) == []
    for lock in (folder / ".dvc" / "tmp").rglob("*lock"):
        assert not lock.is_file() or not FileLock(lock).held(), lock


# ---- cells 24 and 25


def test_apply_guards_edits_and_undo_brings_back_the_exact_bytes(
    tmp_path: Path, start: Callable[..., Kernel]
) -> None:
    folder = copied(tmp_path / "churn")
    kernel = start(folder, "lab.ipynb")
    for cell in (
        "%load_ext nbexp",
        "%exp init train.ipynb",
        "%exp run -n dusty-crow",
        "%exp run -S train.lr=0.03 -n mauve-pike",
    ):
        assert kernel.run(cell).status == "ok"
    params = folder / "params.yaml"
    edited = params.read_bytes() + b"# by hand\nother: 1\n"
    params.write_bytes(edited)

    refused = kernel.run("%exp apply dusty-crow")
    assert refused.status == "error"
    assert refused.error == (
        "1 file has edits that no commit or experiment holds: params.yaml. Nothing was applied.\n"
        "Hint: keep them as an undo point and go on: `%exp apply dusty-crow --force` "
        "(then `%exp undo` brings them back)."
    )
    assert params.read_bytes() == edited

    assert kernel.run("%exp apply dusty-crow --force").status == "ok"
    assert b"lr: 0.1" in params.read_bytes()
    assert json.loads((folder / "metrics.json").read_text()) == {"acc": 0.875}

    assert kernel.run("%exp undo").status == "ok"
    assert params.read_bytes() == edited
    assert json.loads((folder / "metrics.json").read_text()) == {"acc": 0.945}
    assert (folder / "lab.ipynb").read_bytes() == (EXAMPLE / "lab.ipynb").read_bytes()


def _experiments(folder: Path) -> set[str]:
    refs = git("for-each-ref", "--format=%(refname)", "refs/exps", cwd=folder).split()
    return {parsed.name for ref in refs if (parsed := ref_names.parse(ref))}


def _files(folder: Path) -> dict[str, bytes]:
    """Every file of the workspace but what Git and nbexp keep for themselves."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {".git", "tmp", "cache"} & set(path.relative_to(folder).parts)
    }


def _edit(path: Path, number: int, change: Callable[[str], str]) -> None:
    notebook = json.loads(path.read_bytes())
    cell = notebook["cells"][number]
    cell["source"] = change("".join(cell["source"]))
    path.write_text(json.dumps(notebook, indent=1))


# A process in a session of its own that ignores being asked to stop.
_STUBBORN = """\
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", '''
import signal, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
open("started", "w").close()
time.sleep(600)
'''], start_new_session=True)
"""
