"""Alerts of real runs, as users have them: in a terminal, and in a cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import nbexp

OWN = """\
[alerts.end]
when = ["finished", "failed"]
command = 'echo "end $NAME $STATE $METRICS" >> ../told'

[alerts.good]
when = "acc > 0.5"
notebook = false
command = ["sh", "-c", 'echo "good $NAME $STATE" >> ../told']
"""


@pytest.fixture
def root(pipeline_project: Callable[..., Path], home: Path) -> Path:
    folder = home / ".config" / "nbexp"
    folder.mkdir(parents=True)
    (folder / "nbexp.toml").write_text(OWN)
    return pipeline_project()


def told(root: Path) -> list[str]:
    file = root.parent / "told"
    return sorted(file.read_text().splitlines()) if file.exists() else []


def test_each_alert_is_carried_out_once_for_each_run(
    root: Path, nbexp_cli: Callable[..., Any]
) -> None:
    ran = nbexp_cli("run", "-q", "-n", "first", cwd=root)
    acc = json.loads((root / "metrics.json").read_text())["acc"]
    (end, good) = told(root)
    assert end.startswith("end first finished {")
    assert json.loads(end.removeprefix("end first finished "))["acc"] == acc > 0.5
    assert good == "good first finished"
    assert [line.partition(" in ")[0] for line in ran.stderr.splitlines()] == [
        "alert: `first` finished"
    ]
    # Nothing runs, so nothing ends.
    nbexp_cli("run", "-q", cwd=root)
    assert len(told(root)) == 2
    nbexp_cli("clone", "first", "-q", "-S", "train.lr=0.03", "-n", "second", cwd=root)
    assert [line.split(" ")[:3] for line in told(root)] == [
        ["end", "first", "finished"],
        ["end", "second", "finished"],
        ["good", "first", "finished"],
        ["good", "second", "finished"],
    ]


def test_a_failed_run_is_told_with_its_reason_and_leaves_the_workspace_as_it_was(
    root: Path, nbexp_cli: Callable[..., Any]
) -> None:
    (root / "train.sh").write_text("echo no luck; exit 3\n")
    before = (root / "params.yaml").read_bytes()
    ran = nbexp_cli("run", "-q", "-n", "bad", "-S", "train.lr=0.5", cwd=root, code=1)
    assert "alert: `bad` failed: Stage `train` stopped, `sh train.sh`: exit code 3" in ran.stderr
    assert told(root) == ["end bad failed {}"]
    assert (root / "params.yaml").read_bytes() == before


def test_an_alert_that_cannot_be_read_stops_a_run_before_it_begins(
    root: Path, nbexp_cli: Callable[..., Any]
) -> None:
    (root / "nbexp.toml").write_text('[alerts.x]\nwhen = "acc >"\n')
    ran = nbexp_cli("run", cwd=root, code=3)
    assert ran.stderr.startswith(
        "nbexp.toml: `alerts.x.when`: `acc >` ends where a value is expected"
    )
    assert nbexp.open(root).names == []
    # What does not run is not kept from its work.
    nbexp_cli("show", cwd=root)


def test_the_list_in_a_cell_is_a_table(root: Path, nbexp_cli: Callable[..., Any]) -> None:
    (root / "nbexp.toml").write_text(
        '[alerts.theirs]\nwebhook = "https://u:secret@example.org/<b>/x"\nmin_seconds = 60\n'
    )
    nbexp_cli("run", "-q", "-n", "first", cwd=root)
    listed = nbexp.open(root).alerts()
    contents, _ = listed._repr_mimebundle_()
    page, text = str(contents["text/html"]), str(contents["text/plain"])
    assert "https://example.org/***" in page
    assert "secret" not in page + text
    assert "not carried out: `%exp alerts --trust` agrees to it" in text
    assert "finished, failed after 60 s" in text
    assert text.splitlines()[1].split("  ")[0] == "end"
    assert "due last" in text
    assert "`first` finished in" in page


def test_an_alert_of_a_run_elsewhere_is_told_in_the_next_cell(
    root: Path,
    nbexp_cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(root)
    nbexp_cli("run", "-q", "-n", "before", cwd=root)
    shell = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "nbexp")
        nbexp_cli("run", "-q", "-S", "train.lr=0.2", "-n", "elsewhere", cwd=root)
        capsys.readouterr()
        shell.run_line_magic("exp", "list")
        (line,) = capsys.readouterr().out.splitlines()
        # Once, and not what this kernel has told itself.
        shell.run_line_magic("exp", "run -q -S train.lr=0.3 -n here")
        capsys.readouterr()
        shell.run_line_magic("exp", "list")
        assert capsys.readouterr().out == ""
    finally:
        shell.run_line_magic("unload_ext", "nbexp")
        InteractiveShell.clear_instance()
    assert line.startswith("alert: `elsewhere` finished in ")


def test_a_run_in_a_cell_shows_what_is_due(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    shell = InteractiveShell.instance()
    try:
        shell.run_line_magic("load_ext", "nbexp")
        shell.run_line_magic("exp", "run -q -n first")
    finally:
        shell.run_line_magic("unload_ext", "nbexp")
        InteractiveShell.clear_instance()
    assert "alert: `first` finished in" in capsys.readouterr().out
    assert [line.split(" ")[0] for line in told(root)] == ["end", "good"]


def test_queued_runs_are_told_of_by_their_worker(root: Path, nbexp_cli: Callable[..., Any]) -> None:
    nbexp_cli("run", "--queue", "-S", "train.lr=0.1,0.2", "-n", "q", cwd=root)
    nbexp_cli("run", "--run-all", cwd=root)
    assert [line.split(" ")[:3] for line in told(root)] == [
        ["end", "q-1", "finished"],
        ["end", "q-2", "finished"],
        ["good", "q-1", "finished"],
        ["good", "q-2", "finished"],
    ]
    assert {one.run for one in nbexp.open(root).alerts().past} == {"q-1", "q-2"}
