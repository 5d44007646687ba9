"""Running in a copy: all that is opened is seen, and nothing of the user's is touched."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

import psutil
import pytest

from nbexp.errors import StoreError
from nbexp.pipeline.detection import trace
from nbexp.pipeline.detection.trace import Copy, Run


def ran(folder: Path, code: str, **options: float) -> Run:
    (folder / "step.py").write_text(code)
    with Copy(folder, **options) as copy:
        return copy.run([sys.executable, "step.py"], ".")


def opened(run: Run, does: str) -> set[str]:
    return {one.path for one in run.opened if one.does == does}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.csv").write_text("x\n1\n")
    (folder / "other.txt").write_text("not read\n")
    return folder


def test_reads_and_writes_are_seen_with_their_lines(project):
    run = ran(project, "text = open('data/a.csv').read()\n\nopen('out.txt', 'w').write(text)\n")
    assert run.is_done
    assert opened(run, "read") == {"data/a.csv"}
    assert "out.txt" in opened(run, "write")
    where = {one.path: one.where for one in run.opened if one.where}
    assert where == {"data/a.csv": "step.py:1", "out.txt": "step.py:3"}


def test_other_programs_are_seen_as_well(project):
    run = ran(
        project,
        "import subprocess\nsubprocess.run('tail -n 1 data/a.csv > b', shell=True, check=True)\n",
    )
    assert run.is_done
    assert "data/a.csv" in opened(run, "touched")
    assert "b" in opened(run, "write")
    assert "other.txt" not in {one.path for one in run.opened}


def test_child_processes_are_seen(project):
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', \"open('data/a.csv')\"], check=True)\n"
    assert "data/a.csv" in opened(ran(project, code), "read")


@pytest.mark.parametrize(
    "change",
    [
        "open({there!r}, 'w').write('gone')",
        "open({there!r}, 'a').write('more')",
        "import os; os.remove({there!r})",
        "import os; os.rename({there!r}, {there!r} + 'x')",
        "import os; os.truncate({there!r}, 0)",
        "import shutil; shutil.rmtree({folder!r})",
        "import pathlib; pathlib.Path({there!r}).unlink()",
        "import os; os.chdir({folder!r}); open('a.csv', 'w')",
        "import os; os.open({there!r}, os.O_RDWR | os.O_TRUNC)",
    ],
)
def test_the_project_itself_cannot_be_changed(project, change):
    there = str(project / "data" / "a.csv")
    run = ran(project, change.format(there=there, folder=str(project / "data")))
    assert run.returncode == 1
    assert "may not change" in run.tail
    assert (project / "data" / "a.csv").read_text() == "x\n1\n"


def test_a_link_out_of_the_project_is_a_copy(project, tmp_path):
    away = tmp_path / "away"
    away.mkdir()
    (away / "kept.txt").write_text("kept")
    (project / "linked").symlink_to(away)
    (project / "file").symlink_to(away / "kept.txt")
    run = ran(project, "open('linked/kept.txt', 'w').write('1')\nopen('file', 'w').write('2')\n")
    assert run.is_done
    assert (away / "kept.txt").read_text() == "kept"


def test_what_takes_too_long_is_stopped_with_all_it_started(project):
    code = (
        "import subprocess, time\nopen('data/a.csv')\n"
        "open('pid', 'w').write(str(subprocess.Popen(['sleep', '60']).pid))\ntime.sleep(60)\n"
    )
    (project / "step.py").write_text(code)
    started = time.monotonic()
    with Copy(project, timeout_s=6) as copy:
        run = copy.run([sys.executable, "step.py"], ".")
        child = int((copy.root / "pid").read_text())
    assert run.is_late
    assert not run.is_done
    assert opened(run, "read") == {"data/a.csv"}
    assert time.monotonic() - started < 50
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_the_copy_is_gone_afterwards(project):
    with Copy(project) as copy:
        assert copy.exists("data/a.csv")
        place = copy.root
    assert not place.exists()


def test_git_and_environments_are_not_copied(project):
    for path in (
        ".git/config",
        "env/pyvenv.cfg",
        "env/lib/a.py",
        "mine/pyvenv.cfg",
        ".dvc/cache/files/x",
        ".dvc/config",
    ):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("")
    with Copy(project) as copy:
        there = sorted(
            p.relative_to(copy.root).as_posix() for p in copy.root.rglob("*") if p.is_file()
        )
    assert there == [".dvc/config", "data/a.csv", "other.txt"]


def test_a_project_that_is_too_large_is_not_copied(project, monkeypatch):
    monkeypatch.setattr(trace, "MAX_BYTES", 3)
    with pytest.raises(StoreError) as refused, Copy(project):
        pass
    assert refused.value.hint == "`nbexp init --detect --no-trace` only reads the code."


def test_a_program_that_is_not_there_is_a_failed_run(project):
    with Copy(project) as copy:
        run = copy.run(["no-such-program"], ".")
    assert run.returncode == 127
    assert not run.is_done
