from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbexp import live
from nbexp.live import telling

REPOSITORY = Path(__file__).resolve().parents[2]
DVC_PYTHON = REPOSITORY / ".venv-dvc" / "bin" / "python"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test is as a new process: no table begun, no step counted."""
    monkeypatch.setattr(live, "_started", {})
    monkeypatch.setattr(live, "_last_step", None)
    monkeypatch.setattr(telling, "_claimed", set())
    monkeypatch.chdir(tmp_path)


def table(name: str, folder: str = "dvclive") -> str:
    return (Path(folder) / "plots" / "metrics" / f"{name}.tsv").read_bytes().decode()


def test_each_name_has_a_table_with_a_row_for_each_step() -> None:
    live.log(step=1, loss=0.5, acc=0.25)
    live.log(step=2, loss=0.25, acc=0.5)
    assert table("loss") == "step\tloss\n1\t0.5\n2\t0.25\n"
    assert table("acc") == "step\tacc\n1\t0.25\n2\t0.5\n"


def test_a_row_is_on_disk_when_log_returns() -> None:
    live.log(loss=1)
    assert table("loss") == "step\tloss\n0\t1\n"


def test_slashes_make_folders_and_the_column_has_the_last_part() -> None:
    live.log({"train/loss": 0.5}, step=3)
    assert table("train/loss") == "step\tloss\n3\t0.5\n"


def test_steps_count_on_from_the_last() -> None:
    live.log(a=1)
    live.log(a=2)
    live.log(7, a=3)
    live.log({"b": 4})
    assert (table("a"), table("b")) == ("step\ta\n0\t1\n1\t2\n7\t3\n", "step\tb\n8\t4\n")


def test_the_first_row_of_a_process_begins_the_table_anew() -> None:
    script = "from nbexp import live; live.log(step=1, acc=0.5)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script], check=True)
    assert table("acc") == "step\tacc\n1\t0.5\n"


def test_all_goes_where_the_first_call_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.log(acc=1)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    live.log(acc=2)
    monkeypatch.chdir(tmp_path)
    assert table("acc") == "step\tacc\n0\t1\n1\t2\n"


def test_the_folder_can_be_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBEXP_LIVE_DIR", "curves")
    live.log(acc=1)
    assert table("acc", "curves") == "step\tacc\n0\t1\n"


def test_a_number_of_a_library_is_unwrapped() -> None:
    import numpy as np

    class Tensor:
        ndim = 0

        def item(self) -> float:
            return 0.25

    live.log(loss=Tensor(), rate=np.float32(0.1), scale=np.array(2.5))  # type: ignore[arg-type]
    assert (table("loss"), table("rate")) == ("step\tloss\n0\t0.25\n", "step\trate\n0\t0.1\n")
    assert table("scale") == "step\tscale\n0\t2.5\n"


@pytest.mark.parametrize("value", [None, [1.0], {"a": 1}, object()])
def test_what_is_no_number_is_refused_and_nothing_written(value: object) -> None:
    with pytest.raises(TypeError, match=r"`b` is .*; live.log takes numbers and text"):
        live.log(a=1, b=value)  # type: ignore[arg-type]
    assert not Path("dvclive").exists()


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "", "train/", "a/../../b"])
def test_a_name_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a metric"):
        live.log({name: 1})
    assert not Path("dvclive").exists()


def test_one_line_tells_whoever_follows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NBEXP_EVENTS", str(tmp_path / "events"))
    live.log({"train/loss": float("nan")}, step=3, acc=0.5)
    live.log(acc=1)
    lines = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert lines == [
        {"kind": "live", "folder": str(tmp_path / "dvclive")},
        {"kind": "metric", "step": 3, "values": {"train/loss": "nan", "acc": 0.5}},
        {"kind": "metric", "step": 4, "values": {"acc": 1}},
    ]


def test_logging_goes_on_when_nobody_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBEXP_EVENTS", "/nowhere/at/all")
    live.log(acc=1)
    assert table("acc") == "step\tacc\n0\t1\n"


_CALLS = """\
values = [0.5, 1, -0.0, 1e-7, 1e22, 0.1 + 0.2, True, float("nan"), float("inf"), float("-inf"),
          "text", "with\\ttab", 'with "quotes"', "two\\nlines", "", 12345678901234567890]
rows = [{"train/loss": value, "acc": value} for value in values]
import numpy as np
rows += [{"acc": value} for value in (np.float32(0.1), np.float64(0.1), np.int64(3))]
"""
_DVCLIVE = """\
from dvclive import Live
with Live(save_dvc_exp=False, dvcyaml=None, monitor_system=False) as log:
    for row in rows:
        for name, value in row.items():
            log.log_metric(name, value)
        log.next_step()
"""


def test_the_tables_are_dvclives_to_the_byte(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    loop = _CALLS + "from nbexp import live\nfor row in rows:\n    live.log(row)\n"
    # dvclive's environment has no numpy of its own; ours has none that it could not read.
    packages = [path for path in sys.path if path.endswith("site-packages")]
    subprocess.run([sys.executable, "-c", loop], cwd=ours, check=True)
    subprocess.run(
        [DVC_PYTHON, "-c", f"import sys\nsys.path.extend({packages!r})\n" + _CALLS + _DVCLIVE],
        cwd=theirs,
        check=True,
        capture_output=True,
    )
    found = {
        folder.name: {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted((folder / "dvclive" / "plots" / "metrics").rglob("*.tsv"))
        }
        for folder in (ours, theirs)
    }
    assert sorted(found["ours"]) == [
        "dvclive/plots/metrics/acc.tsv",
        "dvclive/plots/metrics/train/loss.tsv",
    ]
    assert found["ours"] == found["theirs"]


def test_a_thousand_rows_cost_less_than_a_second() -> None:
    took = []
    for round_ in range(3):
        started = time.monotonic()
        for step in range(round_ * 1000, round_ * 1000 + 1000):
            live.log(step=step, loss=1 / (step + 1))
        took.append(time.monotonic() - started)
    assert min(took) < 1
