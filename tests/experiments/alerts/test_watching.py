"""Runs whose alerts are due: each once, whatever goes wrong with it."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from nbexp.errors import NotFound, StageFailed, UsageError
from nbexp.events import Alert, Event, MetricLogged, Notice, RunFinished, RunStarted
from nbexp.experiments import alerts
from nbexp.experiments.alerts import delivery
from nbexp.experiments.alerts.rules import Rule


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    folder = home / ".config" / "nbexp"
    folder.mkdir(parents=True)
    (folder / "nbexp.toml").write_text("")
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def own(home: Path) -> Path:
    """The user's own settings."""
    return home / ".config" / "nbexp" / "nbexp.toml"


START = RunStarted("low-lr", "f" * 40, ("train",))
END = RunFinished("low-lr", "e" * 40)


def logged(step: int, **values: float | str) -> MetricLogged:
    return MetricLogged("train", step, values)


def watched(
    root: Path,
    *happened: Event | BaseException,
    metrics: Mapping[str, object] | None = None,
) -> list[Event]:
    """What a consumer is told of a run in which this happens."""
    told: list[Event] = []
    try:
        with alerts.watching(root, told.append, lambda _: metrics or {}) as emit:
            for one in happened:
                if isinstance(one, BaseException):
                    raise one
                emit(one)
    except (StageFailed, KeyboardInterrupt, UsageError):
        pass
    return told


def due(told: list[Event]) -> list[tuple[str, str]]:
    return [(one.name, one.state) for one in told if isinstance(one, Alert)]


def test_the_end_of_a_run_is_told_with_its_metrics(root: Path, own: Path) -> None:
    own.write_text(
        '[alerts.done]\nwhen = "finished"\ncommand = \'echo "$STATE $METRICS" >> told\'\n'
    )
    told = watched(root, START, END, metrics={"acc": 0.9, "loss": math.nan})
    assert told[:2] == [START, END]
    (alert,) = told[2:]
    assert isinstance(alert, Alert)
    assert re.fullmatch(r"`low-lr` finished in \d+\.\d+ s: acc 0\.9, loss nan", alert.message)
    assert (root / "told").read_text() == 'finished {"acc": 0.9, "loss": null}\n'


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (
            StageFailed("Stage `train` stopped: token=abc.", stage="train"),
            "failed",
            "`low-lr` failed: Stage `train` stopped: token=***",
        ),
        (KeyboardInterrupt(), "interrupted", "`low-lr` was interrupted"),
    ],
)
def test_a_run_that_stops_is_told_as_what_it_is(
    root: Path, own: Path, error: BaseException, state: str, message: str
) -> None:
    own.write_text(
        '[alerts.f]\nwhen = "failed"\n[alerts.i]\nwhen = "interrupted"\n[alerts.d]\nwhen = "finished"\n'
    )
    told = watched(root, START, error)
    assert told == [START, Alert(state[0], "low-lr", state, message)]


def test_a_run_that_goes_on_elsewhere_has_not_ended(root: Path, own: Path) -> None:
    own.write_text('[alerts.any]\nwhen = ["failed", "interrupted"]\n')
    told: list[Event] = []
    try:
        with alerts.watching(root, told.append, lambda _: {}, is_end=lambda _: False) as emit:
            emit(START)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        told.append(END)
    assert told == [START, END]


def test_a_request_that_is_refused_is_no_run(root: Path, own: Path) -> None:
    own.write_text("[alerts.any]\n")
    assert watched(root, UsageError("No.")) == []


def test_a_run_that_was_done_when_the_interrupt_came_has_finished(root: Path, own: Path) -> None:
    own.write_text('[alerts.any]\nwhen = ["finished", "interrupted"]\n')
    assert due(watched(root, START, END, KeyboardInterrupt())) == [("any", "finished")]


def test_a_bar_is_passed_once_however_often_it_is(root: Path, own: Path) -> None:
    own.write_text(
        '[alerts.good]\nwhen = ["acc > 0.95", "finished"]\ncommand = \'echo $STATE >> told\'\n'
        '[alerts.bad]\nwhen = "loss is nan"\n'
    )
    told = watched(
        root,
        START,
        logged(1, acc=0.5),
        logged(2, acc=0.96, loss=1.0),
        logged(3, acc=0.97, loss="nan"),
        logged(4, acc=0.5, loss="nan"),
        END,
        metrics={"metrics.json:acc": 0.99},
    )
    found = [one for one in told if isinstance(one, Alert)]
    assert found == [
        Alert("good", "low-lr", "running", "`low-lr`: acc > 0.95 (acc 0.96, step 2)"),
        Alert("bad", "low-lr", "running", "`low-lr`: loss is nan (loss nan, step 3)"),
    ]
    assert told.index(found[0]) == 3
    assert (root / "told").read_text() == "running\n"


def test_a_metric_that_is_there_at_the_end_alone_counts(root: Path, own: Path) -> None:
    own.write_text('[alerts.good]\nwhen = "acc > 0.95"\n')
    told = watched(root, START, END, metrics={"metrics.json:acc": 0.99})
    assert due(told) == [("good", "finished")]
    assert due(watched(root, START, END, metrics={"metrics.json:acc": 0.9})) == []


def test_a_short_run_is_no_alert_where_only_long_ones_are(root: Path, own: Path) -> None:
    own.write_text("[alerts.long]\nmin_seconds = 60\n[alerts.any]\n")
    assert due(watched(root, START, END)) == [("any", "finished")]


def test_what_goes_wrong_with_an_alert_is_a_notice_and_the_run_goes_on(
    root: Path, own: Path
) -> None:
    own.write_text(
        '[alerts.a]\ncommand = "exit 3"\nwebhook = "http://127.0.0.1:1/x"\n[alerts.b]\ncommand = "touch b"\n'
    )
    told = watched(root, START, END)
    assert sorted(one.message for one in told if isinstance(one, Notice)) == [
        "The webhook http://127.0.0.1:1/*** of the alert `a` was not reached: [Errno 111] Connection refused.",
        "`exit 3` of the alert `a` ended with exit code 3.",
    ]
    assert (root / "b").exists()


def test_the_run_does_not_wait_for_an_alert_while_it_goes_on(
    root: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.write_text('[alerts.slow]\nwhen = "acc > 0"\ncommand = "slow"\n')
    may_end, ended = threading.Event(), list[str]()

    def slow(rule: Rule, *_: object) -> str:
        may_end.wait(60)
        ended.append(rule.name)
        return "It was slow."

    monkeypatch.setattr(delivery, "command", slow)
    told: list[Event] = []
    with alerts.watching(root, told.append, lambda _: {}) as emit:
        emit(START)
        emit(logged(1, acc=1))
        assert ended == []
        may_end.set()
        emit(END)
    assert told[-1] == Notice("It was slow.")


def test_what_came_with_the_project_is_shown_and_not_carried_out(root: Path) -> None:
    (root / "nbexp.toml").write_text('[alerts.theirs]\ncommand = "touch hacked"\n')
    told = watched(root, START, END)
    assert told[1] == Notice(
        "The alert `theirs` of nbexp.toml runs commands or calls webhooks, and came with the project; it is not carried "
        "out until you agree.",
        "`nbexp alerts` shows them, `nbexp alerts --trust` agrees.",
    )
    assert due(told) == [("theirs", "finished")]
    assert not (root / "hacked").exists()
    assert alerts.listing(root, trust=True).agreed == ("theirs",)
    watched(root, START, END)
    assert (root / "hacked").exists()


def test_those_that_were_due_are_listed_newest_first(root: Path, own: Path) -> None:
    own.write_text('[alerts.good]\nwhen = "acc > 0.95"\n[alerts.any]\n')
    watched(root, START, logged(1, acc=1), END)
    log = root / ".dvc" / "tmp" / "nbexp" / "alerts.jsonl"
    with log.open("a") as file:
        file.write('{"time": 1, "al')
    listed = alerts.listing(root)
    assert [(one.alert, one.state) for one in listed.past] == [
        ("any", "finished"),
        ("good", "running"),
    ]
    assert json.loads(json.dumps(listed.to_json()))["alerts"][0]["when"] == ["acc > 0.95"]


def test_the_list_of_those_that_were_due_does_not_grow_without_end(root: Path, own: Path) -> None:
    own.write_text("[alerts.any]\n")
    log = root / ".dvc" / "tmp" / "nbexp" / "alerts.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(
        '{"time": 1, "alert": "old", "name": "x", "state": "failed", "message": "m"}\n' * 5000
    )
    watched(root, START, END)
    assert len(log.read_text().splitlines()) == 501
    assert alerts.listing(root).past[0].alert == "any"


def test_an_alert_is_tried_out(root: Path, own: Path) -> None:
    own.write_text('[alerts.ok]\ncommand = "touch ok"\n[alerts.bad]\ncommand = "exit 2"\n')
    tried = alerts.try_out(root, "ok")
    assert (tried.problems, tried.exit_code) == ((), 0)
    assert (root / "ok").exists()
    tried = alerts.try_out(root, "bad")
    assert tried.problems == ("`exit 2` of the alert `bad` ended with exit code 2.",)
    assert tried.exit_code == 3
    with pytest.raises(NotFound) as caught:
        alerts.try_out(root, "bd")
    assert str(caught.value) == (
        "There is no alert `bd`. Nothing was sent.\nHint: did you mean `bad`?"
    )
