"""The panel of a sweep without a browser; tests/journeys/test_sweep_form.py has it in JupyterLab."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp import commands
from nbexp.jupyter import words
from nbexp.jupyter.panels import pump, sweep
from nbexp.sweeps.form import Answer, Answers


class Shown:
    """What stands below the panel: contents by MIME type, the last of them on top."""

    def __init__(self) -> None:
        self.all: list[tuple[dict[str, Any], bool]] = []

    def __call__(self, contents: dict[str, Any], metadata: dict[str, Any], replaces: bool) -> None:
        self.all.append((contents, replaces))

    @property
    def text(self) -> str:
        return str(self.all[-1][0]["text/plain"])


def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def project(pipeline_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    root = pipeline_project()
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def panel(project: Path, shown: Shown) -> Iterator[sweep.Panel]:
    opened = nbexp.open(project)
    made = sweep.Panel(opened.sweeps.form(), shown)
    opened.close()
    made.begin()
    yield made
    made.widget.close()


def answer(panel: sweep.Panel, **changes: Any) -> None:
    """As the page sends it: a message of the widget's."""
    lr = {"train.lr": Answer("values", values="0.03, 0.2")}
    panel.widget.answers = Answers(**{"params": lr, "metric": "acc", **changes}).to_json()


def say(panel: sweep.Panel, what: str) -> None:
    panel.widget._handle_custom_msg({"do": what}, [])


def told(panel: sweep.Panel) -> dict[str, Any]:
    return dict(panel.widget.told)


def test_below_the_form_stand_the_params_as_text_and_as_a_table(
    panel: sweep.Panel, shown: Shown
) -> None:
    ((contents, replaces),) = shown.all
    assert not replaces
    assert "train.lr      number        0.1" in contents["text/plain"]
    assert "for example: %exp sweep -S prepare.rows=20,40" in contents["text/plain"]
    assert '<table class="nbexp-grid">' in contents["text/html"]
    assert "<script" not in contents["text/html"]


def test_the_view_hears_that_the_kernel_is_there_for_as_long_as_it_is_seen(
    panel: sweep.Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []
    monkeypatch.setattr(panel.widget, "send", said.append)
    monkeypatch.setattr(sweep, "BEAT_S", 0.05)
    panel.follow()
    panel.follow()
    assert [one for one in pump.panels() if one is panel] == [panel]
    until(lambda: said.count({"say": "beat"}) > 2)
    panel.widget._handle_custom_msg({"do": "hello"}, [])
    assert {"say": "heard"} in said
    panel.widget._view_count = 1
    assert panel.is_open
    panel.widget._view_count = 0
    until(lambda: panel not in pump.panels())
    panel.widget._view_count = 1
    until(lambda: panel in pump.panels())
    panel.widget._view_count = 0
    until(lambda: panel not in pump.panels())


def test_answers_are_counted_and_come_to_a_line(panel: sweep.Panel) -> None:
    assert told(panel)["line"] == ""
    assert [one["message"] for one in told(panel)["problems"]] == ["Nothing varies yet."]
    answer(panel)
    assert told(panel)["line"] == "%exp sweep --maximize acc -S train.lr=0.03,0.2"
    assert told(panel)["params"] == {"train.lr": "2 values: 0.03, 0.2"}
    until(lambda: told(panel)["summary"] != "counting …")
    assert told(panel)["summary"] == "2 runs; how long is not known, for none has run yet"
    answer(panel, name="a..b")
    until(lambda: told(panel)["problems"])
    assert told(panel)["line"] == ""
    assert "`a..b-2`" in told(panel)["problems"][0]["message"]


def test_only_what_is_typed_last_is_counted(
    panel: sweep.Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[list[str]] = []
    carry_out = commands.execute
    wait = threading.Event()

    def slow(argv: list[str], *args: Any, **kwargs: Any) -> Any:
        counted.append(argv)
        wait.wait(30)
        return carry_out(argv, *args, **kwargs)

    monkeypatch.setattr(commands, "execute", slow)
    began = time.monotonic()
    for last in range(1, 9):
        answer(panel, jobs=str(last))
    # No answer waited for a count.
    assert time.monotonic() - began < 10
    assert told(panel)["line"].endswith("-j 8")
    assert told(panel)["summary"] == "counting …"
    until(lambda: counted)
    wait.set()
    until(lambda: told(panel)["summary"] != "counting …")
    assert 1 <= len(counted) <= 2
    assert counted[-1][-3:] == ["-j", "8", "--dry"]


def test_it_starts_shows_its_course_and_leaves_what_it_came_to(
    panel: sweep.Panel, shown: Shown, project: Path
) -> None:
    answer(panel, jobs="2")
    say(panel, "start")
    assert told(panel)["phase"] == "starting"
    answer(panel, jobs="7")  # too late
    until(lambda: told(panel)["phase"] == "over")
    assert told(panel)["progress"]["text"].startswith("2 of 2 trials: 2 done; best so far ")
    assert (told(panel)["progress"]["done"], told(panel)["progress"]["total"]) == (2, 2)
    assert shown.text.splitlines()[0].startswith("sweep-1   maximize acc   2 of 2 trials: 2 done")
    assert shown.text.splitlines()[-1].startswith("best: ")
    assert "<svg" in shown.all[-1][0]["text/html"]
    assert all(replaces for _, replaces in shown.all[1:])
    opened = nbexp.open(project)
    assert [one.jobs for one in opened.sweeps.list().sweeps] == [2]
    assert len(opened.show().experiments) == 2
    opened.close()
    say(panel, "again")
    until(lambda: told(panel)["phase"] == "asking" and told(panel)["line"])


def test_optuna_picks_the_points_and_the_course_says_how_many_fell_behind(
    panel: sweep.Panel, shown: Shown
) -> None:
    between = Answer("interval", low="0.01", high="0.3", log=True)
    answer(panel, params={"train.lr": between}, sampler="optuna", trials="3", pruner="none")
    assert told(panel)["params"] == {
        "train.lr": "any number from 0.01 to 0.3, by orders of magnitude"
    }
    assert told(panel)["line"] == (
        "%exp sweep --optuna 'maximize acc' --trials 3 --pruner none -S 'train.lr=tag(log,interval(0.01,0.3))'"
    )
    say(panel, "start")
    until(lambda: told(panel)["phase"] == "over", 120)
    assert "3 of 3 trials: 3 done" in shown.text
    # A sampler that asks for one point after the other does not repeat one.
    say(panel, "again")
    answer(panel, sampler="optuna", trials="3", repeat="2")
    until(lambda: [one for one in told(panel)["problems"] if "--repeat" in one["message"]])
    assert told(panel)["line"] == ""


def test_a_started_sweep_can_be_stopped(panel: sweep.Panel, shown: Shown, project: Path) -> None:
    (project / "train.sh").write_text("sleep 600\n" + (project / "train.sh").read_text())
    answer(panel)
    say(panel, "start")
    until(lambda: told(panel)["phase"] == "running")
    until(lambda: "running" in shown.text)
    say(panel, "stop")
    until(lambda: told(panel)["phase"] == "over")
    assert "go on: %exp sweep --resume sweep-1" in shown.text


def test_what_cannot_start_is_said_and_the_form_stays(panel: sweep.Panel, project: Path) -> None:
    answer(panel)
    until(lambda: told(panel)["summary"] != "counting …")
    (project / "dvc.yaml").write_text("stages: 3\n")
    say(panel, "start")
    until(lambda: told(panel)["phase"] == "asking")
    (problem,) = told(panel)["problems"]
    assert problem["message"].startswith("dvc.yaml")
    # Nonsense of a page is no command.
    for what in ("stop", "again", "<script>"):
        say(panel, what)
    panel.widget._handle_custom_msg("start", [])
    assert told(panel)["phase"] == "asking"


@pytest.mark.parametrize(
    "typed",
    [
        ["run", "-S", "train.lr=0.1"],
        ["sweep", "-S", "lr=interval(0,1)", "--optuna", "minimize loss"],
        ["sweep", "-S", "name='a b','it\\'s',\"x\""],
        ["sweep", "-S", "x={a}", "-S", "y={1+1}"],
        ["sweep", "-S", "x=${a.b} $HOME `ls` \\ # no comment;"],
        ["sweep", "-S", "x='{a}',{b:1}"],
        ["sweep", "-S", "x=a!b;"],
    ],
)
def test_a_written_line_reads_back_as_the_same_words(typed: list[str]) -> None:
    def evaluate(expression: str) -> object:
        raise AssertionError(expression)

    line = words.line(typed)
    assert line.startswith("%exp ")
    assert words.read(line.removeprefix("%exp "), evaluate).words == tuple(typed)
