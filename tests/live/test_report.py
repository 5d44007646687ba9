"""The report that a training writes of itself."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nbexp import Live
from nbexp.live import drawing, report


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def log(live: Live) -> None:
    live.log_params({"lr": 0.1, "name": "<b>|"})
    for step in range(3):
        live.log_metric("train/loss", 1 / (step + 1))
        live.next_step()
    live.log_image("seen.png", np.zeros((2, 2), "uint8"))
    live.log_plot("points", [{"x": 1, "y": 2, "z": 3}, {"x": 2, "y": 3, "z": 4}], "x", ["y", "z"])
    live.log_sklearn_plot("confusion_matrix", ["a", "b", "b"], ["a", "a", "b"])
    live.log_plot("shares", [{"share": 0.7, "of": "age"}, {"share": 0.9, "of": "sex"}], "share", "of",
                  template="bar_horizontal_sorted")  # fmt: skip


def test_a_page_holds_tables_curves_pictures_and_plots_in_itself() -> None:
    with Live(save_dvc_exp=False, report="html") as live:
        log(live)
        assert live.report_file == "dvclive/report.html"
        live.make_report()
        # While the training goes on, the page looks again every five seconds.
        assert 'http-equiv="refresh" content="5"' in Path("dvclive/report.html").read_text()
    page = Path("dvclive/report.html").read_text()
    assert "refresh" not in page
    assert "<th>lr</th><td>0.1</td>" in page
    assert "<td>&lt;b&gt;|</td>" in page
    assert "<th>train.loss</th><td>0.33333</td>" in page
    assert page.count("<svg") == 4
    assert page.count("<polyline") == 3  # the loss, y and z
    assert 'src="data:image/png;base64,' in page
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    # A share of one, by rows: of `b`, one is right and one is not.
    cells = re.findall(r">(\d+)</text>", page.split("Confusion Matrix")[1].split("</svg>")[0])
    assert cells == ["1", "0", "1", "1"]


def test_markdown_has_its_drawings_beside_it() -> None:
    with Live(save_dvc_exp=False, report="md") as live:
        log(live)
    text = Path("dvclive/report.md").read_text()
    assert "| lr | 0.1 |\n" in text
    assert "| name | &lt;b&gt;\\| |\n" in text
    names = re.findall(r"!\[.*\]\((.*)\)", text)
    assert names == [
        "report/train/loss.svg",
        "report/points.svg",
        "report/confusion_matrix.svg",
        "report/shares.svg",
        "plots/images/seen.png",
    ]
    assert all(Path("dvclive", name).exists() for name in names)
    # The next training begins without them.
    Live(save_dvc_exp=False)
    assert sorted(path.name for path in Path("dvclive").iterdir()) == ["plots"]


def test_a_notebook_is_asked_for_where_there_is_none(caplog: pytest.LogCaptureFixture) -> None:
    with Live(save_dvc_exp=False, report="notebook") as live:
        live.log(acc=1)
        assert live.report_file is None
    assert "`report='notebook'` has no effect outside of a notebook." in caplog.text


def test_below_a_cell_one_output_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    class Publisher:
        def publish(self, data: dict[str, str], transient: dict[str, str], update: bool) -> None:
            shown.append((data, transient["display_id"], update))

    monkeypatch.setattr(report, "_shell", lambda: SimpleNamespace(display_pub=Publisher()))
    with Live(save_dvc_exp=False, report="notebook") as live:
        live.log_param("lr", 0.1)
        live.log(acc=0.5)
        live.make_report()
    assert [update for _, _, update in shown] == [False, True, True]
    assert len({place for _, place, _ in shown}) == 1
    assert shown[-1][0]["text/plain"] == "lr  0.1\nacc  0.5\nstep  0"
    assert "<svg" in shown[-1][0]["text/html"]


def test_drawing_does_not_slow_a_training_down() -> None:
    live = Live(save_dvc_exp=False, report="html", dvcyaml=None)
    drawn = set()
    for step in range(50):
        live.log(acc=step)
        drawn.add(Path("dvclive/report.html").stat().st_mtime_ns)
    assert len(drawn) < 25


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.25, 0.5, 0.75, 1.0]),
        (0, 3, [0, 1, 2, 3]),
        (5, 5, [2, 4, 6, 8]),
        (0, 0, [-0.5, -0.25, 0, 0.25, 0.5]),
        (-1e-9, 1e-9, [-1e-9, -5e-10, 0, 5e-10, 1e-9]),
        (0.13, 0.97, [0, 0.25, 0.5, 0.75, 1.0]),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, expected: list[float]) -> None:
    found = drawing._ticks(low, high)
    assert found == pytest.approx(expected)
    assert found[0] <= low and found[-1] >= high


def test_a_plot_without_numbers_says_so() -> None:
    svg = drawing.curves("note", "step", "note", {"note": [(0, float("nan"))]})
    assert "no numbers" in svg


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    points = [(float(n), float(n)) for n in range(100_000)]
    kept = drawing._thinned(points)
    assert len(kept) <= 1001
    assert kept[0] == (0, 0) and kept[-1] == (99_999, 99_999)
