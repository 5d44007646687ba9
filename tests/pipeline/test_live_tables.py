from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbexp.pipeline import live_tables
from nbexp.pipeline.live_tables import Tables, folders

Heard = list[tuple[float | None, dict[str, float | int | str]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "dvclive"


@pytest.fixture
def heard() -> Heard:
    return []


def follow(folder: Path, heard: Heard, told: tuple[Path, ...] = ()) -> Tables:
    paths = {os.path.realpath(path) for path in told}
    return Tables(
        [folder], lambda step, values: heard.append((step, dict(values))), paths.__contains__
    )


def write(folder: Path, name: str, text: str, *, anew: bool = False) -> None:
    path = folder / "plots" / "metrics" / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w" if anew else "a", newline="") as table:
        table.write(text)


def test_rows_of_a_step_are_told_together_and_in_the_order_of_steps(
    folder: Path, heard: Heard
) -> None:
    tables = follow(folder, heard)
    write(folder, "train/loss", "step\tloss\n0\t0.5\n1\t0.25\n")
    write(folder, "acc", "step\tacc\n0\t1\n1\t2\n")
    tables.poll(at_once=True)
    assert heard == [(0, {"acc": 1, "train/loss": 0.5}), (1, {"acc": 2, "train/loss": 0.25})]
    write(folder, "acc", "2\t3\n")
    tables.poll(at_once=True)
    assert heard[2:] == [(2, {"acc": 3})]


def test_what_an_earlier_training_left_is_not_told(folder: Path, heard: Heard) -> None:
    write(folder, "acc", "step\tacc\n0\t1\n")
    tables = follow(folder, heard)
    tables.poll(at_once=True)
    assert heard == []
    # Resumed, it goes on in the same table.
    write(folder, "acc", "1\t0.5\n")
    tables.poll(at_once=True)
    assert heard == [(1, {"acc": 0.5})]


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_table_that_is_begun_anew_is_read_anew(
    folder: Path, heard: Heard, is_deleted: bool
) -> None:
    write(folder, "acc", "step\tacc\n0\t111\n1\t222\n")
    tables = follow(folder, heard)
    if is_deleted:
        (folder / "plots" / "metrics" / "acc.tsv").unlink()
        tables.poll(at_once=True)
    write(folder, "acc", "step\tacc\n0\t3\n", anew=True)
    tables.poll(at_once=True)
    assert heard == [(0, {"acc": 3})]


def test_half_a_line_waits_for_its_end(folder: Path, heard: Heard) -> None:
    tables = follow(folder, heard)
    for part in ("ste", "p\tacc\n", "0\t0.", "25", "\n1\t"):
        write(folder, "acc", part)
        tables.poll(at_once=True)
    assert heard == [(0, {"acc": 0.25})]


def test_text_times_and_what_is_no_number_come_as_they_are(folder: Path, heard: Heard) -> None:
    tables = follow(folder, heard)
    write(folder, "note", 'step\tnote\n0\t"a ""b""\tc"\n')
    write(folder, "system/cpu", "timestamp\tstep\tcpu\n1700000000000\t0\t12.5\n")
    write(folder, "loss", "step\tloss\n0\tnan\n")
    write(folder, "odd", "no\theads\n0\t1\n")
    tables.poll(at_once=True)
    assert heard == [(0, {"loss": "nan", "note": 'a "b"\tc', "system/cpu": 12.5})]


def test_tables_of_somebody_who_tells_of_them_are_left_alone(folder: Path, heard: Heard) -> None:
    tables = follow(folder, heard, (folder,))
    write(folder, "acc", "step\tacc\n0\t1\n")
    tables.poll(at_once=True)
    assert heard == []


def test_looking_is_put_off_when_it_was_done_just_now(
    folder: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_tables, "_PACE_S", 60)
    tables = follow(folder, heard)
    tables.poll()
    write(folder, "acc", "step\tacc\n0\t1\n")
    for _ in range(10):
        tables.poll()
    assert heard == []
    tables.poll(at_once=True)
    assert heard == [(0, {"acc": 1})]


def test_outputs_say_where_else_tables_may_be(tmp_path: Path) -> None:
    from nbexp.pipeline import graph

    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: x\n    wdir: sub\n    metrics: [live/metrics.json]\n"
        "    plots: [logs/plots/metrics, more/plots]\n    outs: [whole, model.pt]\n"
    )
    (tmp_path / "sub").mkdir()
    (stage,) = graph.load(tmp_path).stages
    found = [path.relative_to(tmp_path).as_posix() for path in folders(stage, tmp_path)]
    assert sorted(found) == ["sub/dvclive", "sub/live", "sub/logs", "sub/more", "sub/whole"]
