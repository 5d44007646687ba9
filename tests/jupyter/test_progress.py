from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from nbexp import events
from nbexp.errors import Interrupted, NotFound, StageFailed
from nbexp.experiments.card import StageReport
from nbexp.jupyter import progress
from nbexp.project import Branched
from nbexp.project.results import Reproduced
from nbexp.queue.reports import TaskLog


class Page:
    """Keeps what was shown: each a text, whether it replaced what was there, and when."""

    def __init__(self) -> None:
        self.contents: list[dict[str, object]] = []
        self.texts: list[str] = []
        self.pages: list[str] = []
        self.replaced: list[bool] = []
        self.ids: set[str] = set()
        self.times_s: list[float] = []

    def __call__(
        self,
        contents: dict[str, object],
        metadata: dict[str, object],
        display_id: str,
        replaces: bool,
    ) -> None:
        self.contents.append(contents)
        self.pages.append(str(contents["text/html"]))
        self.replaced.append(replaces)
        self.ids.add(display_id)
        self.times_s.append(time.monotonic())
        self.texts.append(str(contents["text/plain"]))  # last: `wait_for` waits for it

    def wait_for(self, text: str) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for shown in self.texts:
                if text in shown:
                    return shown
            time.sleep(0.01)
        raise AssertionError(f"{text!r} is in none of {self.texts}")


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def watcher(page: Page) -> progress.Progress:
    return progress.Progress(page, "run-1")


RESULT = Branched("low-lr", "better", "a" * 40)


def test_a_notebook_stage_shows_its_cell_step_and_metrics(
    watcher: progress.Progress, page: Page
) -> None:
    watcher(events.RunStarted("low-lr", "a" * 40, ("train",)))
    watcher(events.StageStarted("train", ("nbexp notebook train.ipynb",)))
    watcher(events.CellStarted("train", 1, 3))
    watcher(events.CellFinished("train", 1, 3))
    watcher(events.CellStarted("train", 2, 3))
    watcher(events.MetricLogged("train", 4, {"acc": 0.8675}))
    shown = page.wait_for("step 4")
    watcher.done(RESULT)
    assert shown.rpartition("  ")[0] == "train  [####----]  cell 2/3  step 4  acc 0.8675"
    assert 'value="0.50" max="1" aria-label="train, cell 2 of 3"' in page.pages[-2]


def test_an_alert_is_a_line_of_its_own_that_stays(watcher: progress.Progress, page: Page) -> None:
    watcher(events.RunStarted("low-lr", "a" * 40, ("train",)))
    watcher(events.StageStarted("train", ("python train.py",)))
    page.wait_for("running")
    watcher(events.Alert("bad", "low-lr", "running", "`low-lr`: loss is nan (loss <nan>, step 3)"))
    watcher(events.Alert("any", "low-lr", "failed", "`low-lr` failed: no memory"))
    watcher.stopped(KeyboardInterrupt())
    at = page.texts.index("alert: `low-lr`: loss is nan (loss <nan>, step 3)")
    assert page.replaced[at] is False
    assert '<p role="alert"><b class="nbexp-good">alert</b>' in page.pages[at]
    assert "loss &lt;nan&gt;" in page.pages[at]
    assert page.texts.count("alert: `low-lr`: loss is nan (loss <nan>, step 3)") == 1
    assert page.ids == {"run-1", "run-1-alert-1", "run-1-alert-2"}
    assert (
        '<b class="nbexp-bad">alert</b>'
        in page.pages[page.texts.index("alert: `low-lr` failed: no memory")]
    )


def test_an_alert_is_told_where_nobody_looks_on(capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress.Lines(is_quiet=True)
    lines(events.Alert("any", "low-lr", "failed", "`low-lr` failed: no memory"))
    assert capsys.readouterr().out == "alert: `low-lr` failed: no memory\n"


def test_stages_are_listed_in_order_with_what_became_of_them(
    watcher: progress.Progress, page: Page
) -> None:
    watcher(events.RunStarted("low-lr", "a" * 40, ("get", "prepare", "train", "report")))
    watcher(events.StageSkipped("get"))
    watcher(events.StageRestored("prepare"))
    watcher(events.StageStarted("train", ("sh train.sh",)))
    watcher(events.OutputWritten("train", b"epoch 1\nepoch 2\r\x1b[32mepoch 3\x1b[0m\n\n"))
    shown = page.wait_for("epoch 3")
    watcher.done(RESULT)
    lines = shown.splitlines()
    assert lines[:2] == ["get      unchanged", "prepare  restored"]
    assert lines[2].startswith("train    ▶ running  ")
    assert lines[3:] == ["report   waiting", "  epoch 3"]


def test_one_display_is_replaced_and_ends_as_the_result(
    watcher: progress.Progress, page: Page
) -> None:
    watcher(events.RunStarted("low-lr", "a" * 40, ("train",)))
    watcher(events.StageStarted("train", ("sh train.sh",)))
    page.wait_for("running")
    assert watcher.done(RESULT)
    assert page.replaced == [False] + [True] * (len(page.texts) - 1)
    assert page.ids == {"run-1"}
    assert page.texts[-1] == (
        "branch better is at low-lr (aaaaaaa); switch to it with: git switch better"
    )


def test_a_log_that_is_followed_is_shown_as_it_grows_and_stays_whole(
    watcher: progress.Progress, page: Page
) -> None:
    watcher(events.OutputWritten("low-lr", b"<b>begun</b>\nepoch 1\n", is_log=True))
    page.wait_for("epoch 1")
    assert "low-lr" not in page.texts[-1], "it is no stage that waits"
    assert "&lt;b&gt;begun&lt;/b&gt;\nepoch 1" in re.sub(r"  (?=epoch)", "", page.pages[-1])
    watcher(events.OutputWritten("low-lr", b" 10%\r100%\repoch 2\n", is_log=True))
    assert "100%" not in page.wait_for("epoch 2")
    data = b"<b>begun</b>\nepoch 1\nepoch 2\n"
    assert watcher.done(TaskLog("low-lr", "done", data, was_followed=True))
    assert page.texts[-1] == "<b>begun</b>\nepoch 1\nepoch 2\nlow-lr: done"
    assert "epoch 1" in page.pages[-1]
    assert page.ids == {"run-1"}


def test_a_log_that_was_over_at_once_is_shown_whole(watcher: progress.Progress, page: Page) -> None:
    watcher(events.OutputWritten("low-lr", b"all of it\n", is_log=True))
    assert watcher.done(TaskLog("low-lr", "done", b"all of it\n", was_followed=True))
    assert page.texts[-1] == "all of it\nlow-lr: done"


def test_without_onlookers_a_log_is_printed_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress.Lines()
    lines(events.OutputWritten("low-lr", b"one\nha", is_log=True))
    lines(events.OutputWritten("low-lr", b"lf\n", is_log=True))
    assert capsys.readouterr().out == "one\nhalf\n"
    assert not lines.done(TaskLog("low-lr", "done", b"one\nhalf\n", was_followed=True))


def test_a_flood_of_events_is_shown_four_times_a_second(
    watcher: progress.Progress, page: Page
) -> None:
    watcher(events.StageStarted("train", ("sh train.sh",)))
    started_s = time.monotonic()
    step = 0
    while len(page.texts) < 6 and time.monotonic() < started_s + 60:
        step += 1
        watcher(events.MetricLogged("train", step, {"acc": 0.5}))
        time.sleep(0.001)
    watcher.done(RESULT)
    gaps = [
        later - earlier for earlier, later in zip(page.times_s, page.times_s[1:-1], strict=False)
    ]
    assert len(gaps) >= 3
    assert min(gaps) > 0.2


def test_the_clock_goes_on_while_nothing_happens(watcher: progress.Progress, page: Page) -> None:
    watcher(events.StageStarted("train", ("sh train.sh",)))
    began_s = time.monotonic()
    first = page.wait_for("running")
    while page.texts[-1] == first and time.monotonic() < began_s + 60:
        time.sleep(0.01)
    assert page.texts[-1] != first
    watcher.done(RESULT)
    assert len(page.texts) <= 3 + (time.monotonic() - began_s) / progress._CLOCK_S


def test_a_command_that_is_over_at_once_shows_no_progress(
    watcher: progress.Progress, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_S", 60.0)
    watcher(events.Phase("restoring 3 files", 0, 3))
    time.sleep(0.1)
    assert not watcher.done(RESULT)
    assert page.texts == []


def test_a_long_phase_is_shown(watcher: progress.Progress, page: Page) -> None:
    watcher(events.Phase("restoring 812 files", 400, 812))
    assert page.wait_for("restoring") == "  restoring 812 files  400/812"
    assert watcher.done(RESULT)


def test_a_failed_stage_shows_its_last_twenty_lines_and_the_log(
    watcher: progress.Progress, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    watcher(events.StageStarted("train", ("sh train.sh",)))
    tail = "\n".join(f"line {number} <b>" for number in range(1, 31))
    log = tmp_path / "logs" / "train.log"
    watcher.stopped(StageFailed("Stage `train` stopped.", stage="train", tail=tail, log=log))
    lines = page.texts[-1].splitlines()
    assert lines[0].startswith("train  ✗ failed  ")
    assert lines[1:] == [f"  line {number} <b>" for number in range(11, 31)] + [
        "  log: logs/train.log"
    ]
    assert "line 30 &lt;b&gt;" in page.pages[-1]


def test_a_log_that_the_hint_names_is_not_named_twice(
    watcher: progress.Progress, page: Page, tmp_path: Path
) -> None:
    log = tmp_path / "train.log"
    error = StageFailed("No.", "the output is in train.log.", stage="train", tail="last", log=log)
    watcher.stopped(error)
    assert page.texts == ["  last"]


def test_an_interrupted_run_says_so_and_where(watcher: progress.Progress, page: Page) -> None:
    watcher(events.StageStarted("train", ("x",)))
    watcher(events.CellStarted("train", 2, 3))
    page.wait_for("cell 2/3")
    watcher.stopped(Interrupted("Stopped."))
    assert page.texts[-1].startswith("train  ■ interrupted  in cell 2/3  ")


def test_a_mistake_before_anything_ran_shows_nothing(
    watcher: progress.Progress, page: Page
) -> None:
    watcher.stopped(NotFound("No param `train.lrr` in params.yaml."))
    assert page.texts == []


@pytest.mark.parametrize("kind", ["page", "lines"])
def test_a_notice_is_said_once(
    kind: str, watcher: progress.Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    consumer = watcher if kind == "page" else progress.Lines(is_quiet=True)
    for _ in range(3):
        consumer(events.Notice("A run was killed half-way.", "`nbexp run` puts it right."))
    consumer.done(RESULT)
    assert capsys.readouterr().out == "A run was killed half-way. Hint: `%exp run` puts it right.\n"


def test_without_onlookers_stages_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress.Lines()
    for event in (
        events.RunStarted("low-lr", "a" * 40, ("get", "prepare", "train")),
        events.StageSkipped("get"),
        events.StageRestored("prepare"),
        events.StageStarted("train", ("x",)),
        events.CellStarted("train", 1, 3),
        events.OutputWritten("train", b"epoch 1\n"),
        events.MetricLogged("train", 1, {"acc": 0.5}),
        events.StageFinished("train", 2.71, 3),
    ):
        lines(event)
    assert not lines.done(RESULT)
    assert capsys.readouterr().out == (
        "get  unchanged\n"
        "prepare  restored from the run cache\n"
        "train  started\n"
        "train  done in 2.7 s (3 cells)\n"
    )


def test_without_onlookers_a_failed_stage_shows_its_last_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = progress.Lines()
    lines.stopped(
        StageFailed("No.", "see train.log", stage="train", tail="a\nb", log=Path("train.log"))
    )
    assert capsys.readouterr().out == "a\nb\n"


def test_quiet_says_nothing_of_stages(capsys: pytest.CaptureFixture[str]) -> None:
    cast("Callable[[events.Event], None]", progress.Lines(is_quiet=True))(
        events.StageStarted("train", ("x",))
    )
    assert capsys.readouterr().out == ""


# --- Several stages at once -----------------------------------------------------------------------


def test_stages_that_run_at_once_are_shown_with_their_last_lines(
    watcher: progress.Progress, page: Page
) -> None:
    needs = {"data": (), "linear": ("data",), "forest": ("data",), "best": ("linear", "forest")}
    watcher(events.Planned(tuple(needs), needs, jobs=2))
    watcher(events.StageSkipped("data"))
    for name in ("linear", "forest"):
        watcher(events.StageStarted(name, ("python",)))
        watcher(events.OutputWritten(name, f"fitting {name}\n".encode()))
    text = page.wait_for("forest | fitting forest")
    lines = text.splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [
        ["data", "unchanged"], ["linear", "▶"], ["forest", "▶"], ["best", "waiting"],
    ]  # fmt: skip
    assert lines[4:] == ["  linear | fitting linear", "  forest | fitting forest"]
    watcher(events.StageFinished("linear", 1.25))
    watcher(events.StageStopped("forest", "Stage `forest` stopped.", ("best",), goes_on=True))
    watcher(events.StageNotRun("best", "forest"))
    text = page.wait_for("not run")
    assert [line.split()[:3] for line in text.splitlines()[:4]] == [
        ["data", "unchanged"], ["linear", "✓", "done"], ["forest", "✗", "failed"], ["best", "not", "run"],
    ]  # fmt: skip
    watcher.stopped(StageFailed("Stage `forest` stopped.", stage="forest"))
    assert [line.split()[1] for line in page.texts[-1].splitlines()[:4]] == [
        "unchanged",
        "✓",
        "✗",
        "not",
    ]


NEEDS = {"data": (), "linear": ("data",), "forest": ("data",), "best": ("linear", "forest")}
RAN = Reproduced((StageReport("linear", "ran", 1.25), StageReport("forest", "ran", 2.0)), 3.5, 0.1)


def test_the_graph_below_the_cell_says_what_each_stage_is_at(
    watcher: progress.Progress, page: Page
) -> None:
    watcher(events.Planned(tuple(NEEDS), NEEDS, jobs=2, seconds={"linear": 90.0, "best": 30.0}))
    watcher(events.StageSkipped("data"))
    for name in ("linear", "forest"):
        watcher(events.StageStarted(name, ("python",)))
    watcher(events.CellStarted("forest", 2, 5))
    page.wait_for("cell 2/5")
    shown = page.pages[-1]
    (label,) = re.findall(r'role="img" aria-label="([^"]*)"', shown)
    said = [one.partition(": ") for one in label.split("; ")]
    assert [(name, words.split()[:2]) for name, _, words in said] == [
        ("data", ["unchanged"]), ("linear", ["running", said[1][2].split()[1]]), ("forest", ["cell", "2/5"]),
        ("best", ["waiting", "~30"]),
    ]  # fmt: skip
    assert re.fullmatch(r"running \d\.\d s ~1:\d\d left", said[1][2])
    # Grey waits, blue runs, green is done; two run at once.
    colours = ("#eceff3", "#dbe8ff", "#dcf3e3")
    assert [shown.count(f'fill="{colour}"') for colour in colours] == [1, 2, 1]
    assert "<script" not in shown
    watcher.done(RESULT)


def test_how_long_all_of_it_goes_on_is_told_where_every_stage_ran_before(
    watcher: progress.Progress, page: Page
) -> None:
    seconds = {"data": 0.0, "linear": 100.0, "forest": 40.0, "best": 20.0}
    watcher(events.Planned(tuple(NEEDS), NEEDS, jobs=2, seconds=seconds))
    watcher(events.StageSkipped("data"))
    watcher(events.StageStarted("linear", ("python",)))
    watcher(events.StageStarted("forest", ("python",)))
    text = page.wait_for("by past runs")
    assert re.search(r"at most ~(2:00|1:5\d) left, by past runs", text)
    watcher.done(RESULT)


def test_the_graph_as_it_was_at_the_end_stays_with_the_card(
    watcher: progress.Progress, page: Page
) -> None:
    watcher(events.Planned(tuple(NEEDS), NEEDS, jobs=2))
    watcher(events.StageSkipped("data"))
    for name in ("linear", "forest"):
        watcher(events.StageStarted(name, ("python",)))
    page.wait_for("running")
    watcher(events.StageFinished("linear", 1.25))
    watcher(events.StageFinished("forest", 2.0))
    watcher(events.StageRestored("best"))
    assert watcher.done(RAN)
    last = page.contents[-1]
    picture = str(last["image/svg+xml"])
    for words in ("= unchanged", "✓ done 1.2 s", "✓ done 2.0 s", "↺ restored"):
        assert f">{words}</text>" in picture
    html = str(last["text/html"])
    assert "<svg" not in html  # which pages that do not trust it leave out
    image = r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="data: unchanged'
    (drawn,) = re.findall(image, html)
    assert base64.b64decode(drawn).decode() == picture


def test_the_graph_of_a_run_that_failed_stays_too(watcher: progress.Progress, page: Page) -> None:
    watcher(events.Planned(tuple(NEEDS), NEEDS, jobs=2))
    watcher(events.StageSkipped("data"))
    watcher(events.StageStarted("linear", ("python",)))
    page.wait_for("running")
    watcher(events.StageStopped("linear", "it stopped"))
    watcher.stopped(StageFailed("Stage `linear` stopped.", stage="linear"))
    picture = str(page.contents[-1]["image/svg+xml"])
    assert ">✗ failed " in picture
    assert picture.count(">– not run</text>") == 2


def test_other_results_are_not_about_the_stages_that_ran_last(
    watcher: progress.Progress, page: Page
) -> None:
    watcher(events.Planned(tuple(NEEDS), NEEDS, jobs=2))
    watcher(events.StageStarted("linear", ("python",)))
    page.wait_for("running")
    watcher.done(RESULT)
    assert "image/svg+xml" not in page.contents[-1]


def test_one_stage_is_no_graph(watcher: progress.Progress, page: Page) -> None:
    watcher(events.Planned(("train",), {"train": ()}))
    watcher(events.StageStarted("train", ("python",)))
    page.wait_for("running")
    watcher.done(RAN)
    assert all("<svg" not in shown for shown in page.pages)
    assert "image/svg+xml" not in page.contents[-1]


def test_logged_values_are_curves_within_a_second(watcher: progress.Progress, page: Page) -> None:
    watcher(events.Planned(("train",), {"train": ()}))
    watcher(events.StageStarted("train", ("python",)))
    took_s = []
    for step in range(1, 31):
        logged_s = time.monotonic()
        watcher(events.MetricLogged("train", step, {"acc": step / 100, "word": "x"}))
        if step % 10:
            time.sleep(0.02)
            continue
        page.wait_for(f"step {step}")
        at = next(n for n, text in enumerate(page.texts) if f"step {step}" in text)
        took_s.append(page.times_s[at] - logged_s)
    assert min(took_s) < 1
    assert 'aria-label="acc: 0.3 at step 30"' in page.pages[at]
    assert "acc 0.3" in page.texts[at]  # in words beside it
    watcher.done(RESULT)


def test_without_onlookers_the_graph_comes_with_the_result(
    page: Page, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = progress.Lines(show=page, display_id="run-1")
    lines(events.Planned(tuple(NEEDS), NEEDS, jobs=2))
    lines(events.StageSkipped("data"))
    lines(events.StageStarted("linear", ("python",)))
    lines(events.StageFinished("linear", 1.25))
    assert lines.done(RAN)
    capsys.readouterr()
    assert page.replaced == [False]
    assert ">✓ done 1.2 s</text>" in str(page.contents[0]["image/svg+xml"])
    assert "<img " in page.pages[0]


def test_without_onlookers_what_fails_meanwhile_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watcher = progress.Lines()
    watcher(events.StageStopped("a", "Stage `a` stopped.", ("b",), goes_on=True))
    watcher(events.StageNotRun("b", "a"))
    watcher(events.StageStopped("c", "Stage `c` stopped."))
    watcher(events.StageNotRun("d"))
    assert capsys.readouterr().out == (
        "a  failed: Stage `a` stopped.\nb  not run, because a failed\n"
    )
