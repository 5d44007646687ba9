"""What `nbexp.Live` does besides dvclive's files, which tests/conformance/test_live.py compares."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import nbexp
from nbexp import Live
from nbexp.live import telling


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(telling, "_claimed", set())


def metrics() -> object:
    return json.loads(Path("dvclive/metrics.json").read_text())


def table(name: str) -> str:
    return Path(f"dvclive/plots/metrics/{name}.tsv").read_text()


def test_the_short_form_logs_a_step_in_one_call() -> None:
    with nbexp.Live() as live:
        live.log(acc=0.5, loss=2)
        live.log({"train/loss": 1}, acc=0.75)
        live.log(7, acc=1)
        live.log(step=9, acc=1.5)
        assert live.step == 10
    assert table("acc") == "step\tacc\n0\t0.5\n1\t0.75\n7\t1\n9\t1.5\n"
    assert metrics() == {"acc": 1.5, "loss": 2, "train": {"loss": 1}, "step": 9}


def test_nothing_is_written_of_a_step_with_a_wrong_value() -> None:
    live = Live(save_dvc_exp=False)
    with pytest.raises(TypeError, match=r"`b` is list; live\.log takes numbers and text"):
        live.log(a=1, b=[1])
    with pytest.raises(ValueError, match=r"`\.\./c` is no name for a metric"):
        live.log({"a": 1, "../c": 2})
    assert not Path("dvclive/plots").exists()
    assert live.step == 0


def test_a_name_below_one_that_has_a_value_is_refused() -> None:
    live = Live(save_dvc_exp=False)
    live.log_metric("a", 1)
    with pytest.raises(ValueError, match="`a/b` cannot be logged beside `a`, which has a value"):
        live.log_metric("a/b", 1)
    assert [*Path("dvclive/plots/metrics").rglob("*.tsv")] == [Path("dvclive/plots/metrics/a.tsv")]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda live: live.log_param("a", object()), TypeError, "a param has no form in YAML"),
        (lambda live: live.log_image("a.png", 3), TypeError, "`a.png` is int; log_image takes a path"),
        (lambda live: live.log_image("a.bmp", "x.bmp"), ValueError, "`a.bmp` is no name for a picture"),
        (lambda live: live.log_image("../a.png", "x.png"), ValueError, "is no name for a picture"),
        (lambda live: live.log_plot("a", {"x": 1}, "x", "y"), TypeError, "the datapoints are dict; log_plot"),
        (lambda live: live.log_plot("/a", [], "x", "y"), ValueError, "`/a` is no name for a plot"),
        (lambda live: live.log_sklearn_plot("lift", [], []), ValueError, "`lift` is no kind of plot; there are cal"),
        (lambda live: live.log_artifact(3), TypeError, "3 is int; log_artifact takes a path"),
    ],
)  # fmt: skip
def test_what_cannot_be_logged_is_told_and_leaves_nothing(
    call: Callable[[Live], None], error: type[Exception], message: str
) -> None:
    live = Live(save_dvc_exp=False)
    live.log_param("known", 1)
    before = sorted(Path("dvclive").rglob("*"))
    with pytest.raises(error, match=message):
        call(live)
    assert sorted(Path("dvclive").rglob("*")) == before
    assert Path("dvclive/params.yaml").read_text() == "known: 1\n"


def test_words_that_mean_nothing_are_refused_at_once() -> None:
    with pytest.raises(
        ValueError, match="`pdf` is no kind of report; there are md, notebook, html"
    ):
        Live(report="pdf")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`x\.yaml` is not the path of a dvc\.yaml"):
        Live(dvcyaml="x.yaml")
    assert not Path("dvclive").exists()


def test_outside_of_a_repository_values_are_logged_and_nothing_is_saved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Live() as live:
        live.log(acc=1)
        Path("model.pt").touch()
        live.log_artifact("model.pt")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "No experiment will be saved: there is no Git repository: `git init` makes one.",
        "Outside of a repository nothing can be tracked; `model.pt` is left alone.",
    ]
    assert metrics() == {"acc": 1, "step": 0}
    assert not Path(".dvc").exists()


def test_a_dvc_yaml_that_cannot_be_read_stays_and_training_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Path("dvc.yaml").write_text("stages: [\n")
    with Live(save_dvc_exp=False) as live:
        live.log(acc=1)
    assert Path("dvc.yaml").read_text() == "stages: [\n"
    assert any("dvc.yaml" in record.getMessage() for record in caplog.records)
    assert metrics() == {"acc": 1, "step": 0}


def test_a_name_that_is_taken_gives_way_and_both_experiments_stay(
    repo: Path, git, nbexp_cli, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    nbexp_cli("init", "-q", cwd=repo)
    for value in (1, 2):
        with Live(exp_name="mine") as live:
            live.log(acc=value)
    assert "There is an experiment `mine` on this commit already" in caplog.text
    names = git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps", cwd=repo).splitlines()
    assert len(names) == 2 and "mine" in names


def test_a_failed_save_is_a_warning_and_the_files_stay(
    repo: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    with Live() as live:
        live.log(acc=1)
        (repo / ".git" / "objects").chmod(0o500)
        (repo / ".dvc" / "config").write_text("[core\n")
    (repo / ".git" / "objects").chmod(0o700)
    assert "No experiment was saved" in caplog.text
    assert metrics() == {"acc": 1, "step": 0}


def test_a_module_beside_the_training_does_not_get_in_the_way_of_saving(
    repo: Path, git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    Path("json.py").write_text("raise SystemExit('of the project')\n")
    script = (
        "import sys; sys.path.remove(''); import nbexp\nwith nbexp.Live() as live: live.log(a=1)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert git("for-each-ref", "refs/exps", cwd=repo)


def test_importing_and_logging_load_no_library() -> None:
    script = (
        "import sys\nbefore = set(sys.modules)\nimport nbexp\n"
        "with nbexp.Live() as live:\n"
        "    live.log_params({'lr': 0.1, 'name': 'a'})\n"
        "    live.log(acc=0.5)\n"
        "    live.log_plot('p', [{'x': 1, 'y': 2}], 'x', 'y')\n"
        "own = {name.partition('.')[0] for name in {*sys.modules} - before} - sys.stdlib_module_names\n"
        "print(sorted(own))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert ran.stdout == b"['nbexp']\n"


def test_ten_params_and_ten_metrics_take_few_milliseconds() -> None:
    live = Live(save_dvc_exp=False, dvcyaml=None)
    params = {f"param{n}": n / 7 for n in range(10)}
    best = 60.0
    for _ in range(20):
        started = time.perf_counter()
        live.log_params(params)
        for n in range(10):
            live.log_metric(f"metric{n}", n / 7)
        live.next_step()
        best = min(best, time.perf_counter() - started)
    # 0.8 ms where it was measured; MLflow takes 15.
    assert best < 0.015


def test_a_value_is_told_to_the_run_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NBEXP_EVENTS", str(tmp_path / "events"))
    live = Live(save_dvc_exp=False)
    live.log_metric("a/b", 1)
    live.log_metric("c", float("inf"), plot=False)
    live.step = 5
    live.log_metric("a/b", 2)
    lines = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert lines == [
        {"kind": "live", "folder": os.path.realpath("dvclive")},
        {"kind": "metric", "step": 0, "values": {"a/b": 1}},
        {"kind": "metric", "step": 0, "values": {"c": "inf"}},
        {"kind": "metric", "step": 5, "values": {"a/b": 2}},
    ]


def test_a_picture_is_copied_where_nothing_can_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    Path("plot.png").write_bytes(b"whatever a program wrote")
    live = Live(save_dvc_exp=False)
    live.log_image("seen", "plot.png")
    assert Path("dvclive/plots/images/seen.png").read_bytes() == b"whatever a program wrote"


def test_for_tests_of_other_libraries_everything_goes_elsewhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DVCLIVE_TEST", "true")
    with caplog.at_level(logging.WARNING), Live() as live:
        live.log(acc=1)
    assert [*Path().iterdir()] == []
    assert json.loads(Path(live.metrics_file).read_text()) == {"acc": 1, "step": 0}
