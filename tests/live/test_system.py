"""What the machine does, as metrics: names and units are dvclive's, figures those of psutil."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from nbexp import Live
from nbexp.live import system

DVC_PYTHON = Path(__file__).resolve().parents[2] / ".venv-dvc" / "bin" / "python"


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it did not come to it within a minute"
        time.sleep(0.01)


def test_it_is_off_by_default_and_its_thread_ends_with_the_training() -> None:
    def watching() -> int:
        return [thread.name for thread in threading.enumerate()].count("nbexp-live-system")

    with Live(save_dvc_exp=False) as live:
        live.log(acc=1)
        assert watching() == 0
    with Live(save_dvc_exp=False, monitor_system=True) as live:
        assert watching() == 1
    assert watching() == 0


def test_names_and_plots_are_those_of_dvclive() -> None:
    script = """\
import time
import dvclive.monitor_system
# Where its library for GPUs finds no driver, dvclive logs nothing at all.
dvclive.monitor_system.GPU_AVAILABLE = False
with dvclive.Live("theirs", save_dvc_exp=False, dvcyaml=None) as live:
    live.monitor_system(interval=0.01, num_samples=2, directories_to_monitor={"main": "/", "tmp": "/tmp"})
    end = time.monotonic() + 60
    while len(live.summary.get("system", {})) < 3 and time.monotonic() < end:
        time.sleep(0.01)
"""
    subprocess.run([DVC_PYTHON, "-c", script], check=True, capture_output=True, timeout=120)
    with Live("ours", save_dvc_exp=False, dvcyaml=None) as live:
        live.monitor_system(
            interval=0.01, num_samples=2, directories_to_monitor={"main": "/", "tmp": "/tmp"}
        )
        wait_for(lambda: len(live.summary.get("system", {})) == 3)
    found = []
    for side in ("theirs", "ours"):
        summary = json.loads(Path(side, "metrics.json").read_text())["system"]
        tables = sorted(path.relative_to(side).as_posix() for path in Path(side).rglob("*.tsv"))
        heads = {Path(side, path).read_text().splitlines()[0].split("\t")[0] for path in tables}
        found.append(({name: sorted(one) for name, one in summary.items()}, tables, heads))
    assert found[0] == found[1]
    assert found[1][0] == {
        "cpu": ["count", "parallelization (%)", "usage (%)"],
        "disk": ["total (GB)", "usage (%)", "usage (GB)"],
        "ram": ["total (GB)", "usage (%)", "usage (GB)"],
    }
    assert found[1][2] == {"timestamp"}


def test_figures_are_those_of_the_machine() -> None:
    found: dict[str, float] = {}
    monitor = system.Monitor(
        lambda name, value, **_: found.__setitem__(name, value), 0.01, 3, {"here": "."}
    )
    wait_for(lambda: "system/disk/total (GB)/here" in found)
    monitor.end()
    assert found["system/cpu/count"] == psutil.cpu_count()
    assert 0 <= found["system/cpu/usage (%)"] <= 100
    memory = psutil.virtual_memory()
    assert found["system/ram/total (GB)"] == memory.total / 1024**3
    # Others on the machine take and give memory meanwhile.
    assert abs(found["system/ram/usage (%)"] - memory.percent) < 25
    disk = psutil.disk_usage(".")
    assert found["system/disk/total (GB)/here"] == disk.total / 1024**3
    assert abs(found["system/disk/usage (%)/here"] - disk.percent) < 5


def test_a_busy_core_counts_as_used() -> None:
    cpu = system._Cpu()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    assert cpu.look()["system/cpu/usage (%)"] > 0


def test_a_disk_that_is_not_there_is_told_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows: list[str] = []
    disks = {"gone": "/nowhere/at/all", "main": "/"}
    monitor = system.Monitor(lambda name, *_, **__: rows.append(name), 0.001, 1, disks)
    wait_for(lambda: rows.count("system/disk/usage (%)/main") > 2)
    monitor.end()
    assert caplog.text.count("There is no `/nowhere/at/all`") == 1
    assert not [name for name in rows if name.endswith("/gone")]


@pytest.mark.parametrize("name", ["../a", "/a", "a/../b"])
def test_a_disks_name_stays_in_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a disk"):
        Live(save_dvc_exp=False).monitor_system(directories_to_monitor={name: "/"})


def test_what_is_asked_too_often_is_put_right(caplog: pytest.LogCaptureFixture) -> None:
    live = Live(save_dvc_exp=False)
    live.monitor_system(interval=5, num_samples=99)
    live.end()
    assert "`interval` is 5; 0.001 to 0.1 is possible, and 0.1 is taken." in caplog.text
    assert "`num_samples` is 99; 1 to 30 is possible, and 30 is taken." in caplog.text


def test_gpus_are_read_from_the_drivers_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The words are those of nvidia-smi 550: utilization.gpu, memory.used, memory.total in %, MiB, MiB.
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '37, 2048, 8192'\necho '0, 0, 8192'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert system._gpu()() == {
        "system/gpu/count": 2,
        "system/gpu/usage (%)/0": 37,
        "system/vram/usage (%)/0": 25,
        "system/vram/usage (GB)/0": 2,
        "system/vram/total (GB)/0": 8,
        "system/gpu/usage (%)/1": 0,
        "system/vram/usage (%)/1": 0,
        "system/vram/usage (GB)/1": 0,
        "system/vram/total (GB)/1": 8,
    }


def test_without_a_gpu_there_are_no_figures_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert system._gpu()() == {}


def test_a_training_that_is_never_ended_does_not_hang(tmp_path: Path) -> None:
    import sys

    script = "import nbexp; nbexp.Live(save_dvc_exp=False, monitor_system=True).log(acc=1)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
