"""Killed at any point, and the next command puts it right: nothing lost, nothing half done."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbexp import filesystem

# Where a run, an apply and an undo pass; the other points belong to the cache's own tests.
RUN_POINTS = [
    "journal.begun",
    "journal.kept",
    "journal.wrote",
    "journal.wrote@2",
    "journal.moving",
    "journal.moved",
    "journal.moved@3",
    "write.written",
    "write.replaced@2",
    "add.copied",
    "add.stored",
    "add.listed",
    "run.saved",
    "record.before",
    "record.noted",
    "record.done",
    "journal.finishing",
    "journal.finished",
]
APPLY_POINTS = [
    "journal.begun",
    "journal.kept@2",
    "journal.wrote",
    "apply.wrote",
    "apply.wrote@2",
    "journal.moved",
    "checkout.checked",
    "checkout.built",
    "apply.checked_out",
    "journal.finishing",
    "journal.finished",
]


def contents(project: Path) -> dict[str, str]:
    """Every file of the user's: digest and mode by path; DVC's and nbexp's own folders left out."""
    found = {}
    for folder, folders, files in os.walk(project):
        folders[:] = [name for name in folders if name not in {".git", ".dvc"}]
        for name in files:
            path = Path(folder, name)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[path.relative_to(project).as_posix()] = f"{digest}:{path.stat().st_mode & 0o111}"
    return found


@pytest.fixture
def ready(pipeline_project: Callable[..., Path], nbexp_cli: Callable[..., object]) -> Path:
    """A project with two recorded experiments, the workspace as after `second`."""
    project = pipeline_project()
    nbexp_cli("run", "-n", "first", cwd=project)
    nbexp_cli("run", "-n", "second", "-S", "train.lr=0.03", cwd=project)
    return project


def leftovers(project: Path) -> Iterator[Path]:
    """Temporary files and journals that should be gone; the cache sweeps its own by age."""
    own = project / ".dvc" / "tmp" / "nbexp"
    yield from own.glob("journal*")
    yield from (
        path for path in project.rglob(".nbexp-*.tmp") if not {".git", "cache"} & {*path.parts}
    )


@pytest.mark.parametrize("point", RUN_POINTS)
def test_a_killed_run_is_rolled_back_by_the_next_command(point, ready, nbexp_cli, git):
    before = contents(ready)
    index = (ready / ".git" / "index").read_bytes()
    killed = nbexp_cli(
        "run", "-n", "third", "-S", "train.lr=0.05", "-S", "prepare.rows=7",
        cwd=ready, code=None, env={"NBEXP_CRASH": point},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    # The next writing command repairs; nothing of the killed run shows in the files.
    repaired = nbexp_cli("apply", "second", cwd=ready)
    assert contents(ready) == before
    assert (ready / ".git" / "index").read_bytes() == index
    if point not in {"journal.finished", "journal.begun"} and "journal" in point:
        assert "has been rolled back" in repaired.stderr
    assert list(leftovers(ready)) == []
    git("fsck", "--strict", cwd=ready)
    # The run can be asked for again, and ends as if never killed.
    again = nbexp_cli(
        "run", "-n", "third", "--force", "-S", "train.lr=0.05", "-S", "prepare.rows=7", cwd=ready
    )
    assert "third" in again.stdout
    assert nbexp_cli("status", cwd=ready).stdout == "Data and pipelines are up to date.\n"


@pytest.mark.parametrize("point", ["record.before", "record.noted", "record.done"])
def test_no_experiment_is_without_its_note_wherever_its_run_is_killed(point, ready, nbexp_cli, git):
    words = ("run", "-S", "train.lr=0.05", "-n", "third")
    nbexp_cli(*words, cwd=ready, code=None, env={"NBEXP_CRASH": point})
    refs = git("for-each-ref", "--format=%(objectname)", "refs/exps", cwd=ready).split()
    noted = git("notes", "--ref=nbexp", "list", cwd=ready).splitlines()
    assert {*refs} <= {line.split()[1] for line in noted}
    assert len(noted) == (2 if point == "record.before" else 3)
    nbexp_cli(*words, cwd=ready, code=None)
    nbexp_cli("note", "third", "after the kill", cwd=ready)
    told = nbexp_cli("note", "third", cwd=ready).stdout
    assert "nbexp run -S train.lr=0.05 -n third" in told
    assert "after the kill" in told
    git("notes", "--ref=nbexp", "prune", cwd=ready)
    assert "after the kill" in nbexp_cli("note", "third", cwd=ready).stdout
    git("fsck", "--strict", cwd=ready)


@pytest.mark.parametrize("point", APPLY_POINTS)
def test_a_killed_apply_leaves_the_old_or_the_new_state(point, ready, nbexp_cli):
    before = contents(ready)
    killed = nbexp_cli("apply", "first", cwd=ready, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    finished = point == "journal.finished"
    nbexp_cli("apply", "first" if finished else "second", cwd=ready)
    if not finished:
        assert contents(ready) == before
    nbexp_cli("apply", "first", cwd=ready)
    assert '"acc": 0.8633' in (ready / "metrics.json").read_text()
    assert list(leftovers(ready)) == []


@pytest.mark.parametrize(
    "point",
    ["journal.begun", "journal.wrote", "journal.moved", "journal.finishing", "journal.finished"],
)
def test_a_killed_undo_can_be_done_again(point, ready, nbexp_cli):
    after_second = contents(ready)
    nbexp_cli("apply", "first", cwd=ready)
    killed = nbexp_cli("undo", cwd=ready, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    nbexp_cli("undo", cwd=ready)
    assert contents(ready) == after_second


@pytest.mark.parametrize(
    "point",
    ["journal.begun", "journal.wrote", "journal.wrote@2", "journal.finishing", "journal.finished"],
)
def test_a_killed_stage_add_leaves_the_old_or_the_new_files(point, ready, nbexp_cli):
    before = contents(ready)
    line = [
        "stage",
        "add",
        "-n",
        "more",
        "-d",
        "model.txt",
        "-o",
        "more.txt",
        "cp model.txt more.txt",
    ]
    killed = nbexp_cli(*line, cwd=ready, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    if point != "journal.finished":
        nbexp_cli("apply", "second", cwd=ready)
        assert contents(ready) == before
        nbexp_cli(*line, cwd=ready)
    else:
        nbexp_cli("stage", "add", "-n", "later", "true", cwd=ready)
    assert "  more:\n" in (ready / "dvc.yaml").read_text()
    assert "/more.txt\n" in (ready / ".gitignore").read_text()
    assert list(leftovers(ready)) == []


@pytest.mark.parametrize("kills", [1, 2, 4])
def test_a_rollback_that_is_killed_goes_on_where_it_was(kills, ready, nbexp_cli):
    before = contents(ready)
    nbexp_cli(
        "run", "-S", "train.lr=0.05", "-S", "prepare.rows=7",
        cwd=ready, code=None, env={"NBEXP_CRASH": "record.before"},
    )  # fmt: skip
    assert contents(ready) != before
    for _ in range(kills):
        killed = nbexp_cli(
            "apply", "second", cwd=ready, code=None, env={"NBEXP_CRASH": "journal.put_back"}
        )
        assert killed.returncode == -signal.SIGKILL
    nbexp_cli("apply", "second", cwd=ready)
    assert contents(ready) == before


def test_a_read_only_command_warns_and_changes_nothing(ready, nbexp_cli):
    nbexp_cli(
        "run", "-S", "train.lr=0.05", cwd=ready, code=None, env={"NBEXP_CRASH": "record.before"}
    )
    half_way = contents(ready)
    shown = nbexp_cli("show", cwd=ready)
    assert "was killed half-way; files may be half changed." in shown.stderr
    assert contents(ready) == half_way


def test_edits_made_after_the_kill_survive_the_rollback(ready, nbexp_cli):
    nbexp_cli(
        "run", "-S", "train.lr=0.05", cwd=ready, code=None, env={"NBEXP_CRASH": "record.before"}
    )
    params = ready / "params.yaml"
    params.write_text(params.read_text() + "# mine\n")
    done = nbexp_cli("undo", cwd=ready, code=None)
    assert "Edited since, and so left alone: params.yaml." in done.stderr
    assert params.read_text().endswith("# mine\n")


def test_processes_of_a_killed_run_are_ended_by_the_next_command(pipeline_project, nbexp_cli):
    project = pipeline_project()
    pipeline = project / "dvc.yaml"
    nap = f"sleep 300.{random.randrange(10**8):08}"  # other tests sleep, too
    pipeline.write_text(f"stages:\n  slow:\n    cmd: setsid {nap} & {nap}\n    outs: [out.txt]\n")
    running = nbexp_cli.start("run", cwd=project)
    deadline = time.monotonic() + 60
    while len(_sleepers(nap)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(_sleepers(nap)) == 2
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    nbexp_cli("undo", cwd=project, code=None)
    assert not _sleepers(nap)


def _sleepers(command: str) -> set[int]:
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    lines = (line.split(None, 1) for line in listed.stdout.splitlines())
    return {int(pid) for pid, args in lines if args.strip() == command}


def test_every_crash_point_of_runs_and_applies_is_known():
    points = {point.partition("@")[0] for point in (*RUN_POINTS, *APPLY_POINTS)}
    assert points <= filesystem.CRASH_POINTS
    own = {
        point
        for point in filesystem.CRASH_POINTS
        if point.startswith(("journal.", "record.", "apply."))
    }
    assert own - points <= {"journal.put_back", "journal.removed"}


def test_a_hundred_kills_at_random_times_lose_nothing(ready, nbexp_cli, tmp_path):
    """Bounded: 25 runs, each killed after a random time, on one project; then it works as ever."""
    random_times = random.Random(7)
    before = contents(ready)
    for number in range(25):
        running = nbexp_cli.start("run", "-S", f"train.lr=0.{number + 11}", cwd=ready)
        time.sleep(random_times.uniform(0.05, 0.7))
        running.kill()
        running.wait()
        nbexp_cli("apply", "second", "--force", cwd=ready)
        assert contents(ready) == before
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    assert nbexp_cli("status", cwd=ready).stdout == "Data and pipelines are up to date.\n"


# --- Several stages at once, and repro ------------------------------------------------------------

WIDE = "stages:\n" + "".join(
    f"  s{n}:\n    cmd: sleep 0.{n}; cat in.txt dvc.yaml | tail -n +{n} > o{n}\n    deps: [in.txt]\n    outs: [o{n}]\n"
    for n in range(4)
)
REPRO_POINTS = [
    "journal.begun",
    "journal.moved",
    "journal.moved@3",
    "journal.wrote",
    "journal.wrote@3",
    "add.copied",
    "add.copied@2",
    "run.saved@2",
    "journal.finishing",
    "journal.finished",
]


@pytest.fixture
def wide(pipeline_project: Callable[..., Path], nbexp_cli: Callable[..., object], git) -> Path:
    """Four stages that need none of the others, up to date, and an edit that makes all of them run."""
    project = pipeline_project()
    (project / "dvc.yaml").write_text(WIDE)
    (project / "in.txt").write_text("1\n")
    git("add", "--all", cwd=project)
    git("commit", "--quiet", "--message=wide", cwd=project)
    nbexp_cli("repro", cwd=project)
    (project / "in.txt").write_text("2\n")
    return project


@pytest.mark.parametrize("point", REPRO_POINTS)
@pytest.mark.parametrize("verb", ["run", "repro"])
def test_a_killed_command_of_several_stages_is_rolled_back(verb, point, wide, nbexp_cli, git):
    killed = nbexp_cli(verb, "-j", "3", cwd=wide, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    # The next command rolls back first, unless all was done.
    repaired = nbexp_cli("undo", cwd=wide)
    assert ("has been rolled back" in repaired.stderr) is (point != "journal.finished")
    if point == "journal.finishing":
        # Its undo point was there already, and led nowhere.
        assert "the workspace was so already" in repaired.stdout
        nbexp_cli("undo", cwd=wide)
    assert (wide / "o0").exists() is (point == "journal.finished")
    git("fsck", "--strict", cwd=wide)
    nbexp_cli("repro", "-j", "3", cwd=wide)
    assert (wide / "o0").read_text().startswith("2\n")
    assert nbexp_cli("status", cwd=wide).stdout == "Data and pipelines are up to date.\n"
    assert list(leftovers(wide)) == []


def test_the_processes_of_all_stages_of_a_killed_run_are_ended(wide, nbexp_cli):
    text = (wide / "dvc.yaml").read_text()
    for n in range(4):
        text = text.replace(f"sleep 0.{n};", "setsid sleep 299 & sleep 299;")
    (wide / "dvc.yaml").write_text(text)
    running = nbexp_cli.start("repro", "-j", "4", cwd=wide)
    deadline = time.monotonic() + 30
    while len(_sleepers("sleep 299")) < 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    started = _sleepers("sleep 299")
    assert len(started) == 8
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    nbexp_cli("undo", cwd=wide, code=None)
    assert not (_sleepers("sleep 299") & started)


def test_an_interrupt_of_several_stages_leaves_no_process(wide, nbexp_cli):
    text = (wide / "dvc.yaml").read_text()
    for n in range(4):
        text = text.replace(f"sleep 0.{n};", "trap '' INT TERM; sleep 298;")
    (wide / "dvc.yaml").write_text(text)
    before = contents(wide)
    running = nbexp_cli.start("run", "-j", "4", cwd=wide)
    deadline = time.monotonic() + 30
    while len(_sleepers("sleep 298")) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    started = _sleepers("sleep 298")
    assert len(started) == 4
    for _ in range(3):  # impatient
        running.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert running.wait(timeout=20) == 130
    assert not (_sleepers("sleep 298") & started)
    assert contents(wide) == before
    assert list(leftovers(wide)) == []


@pytest.mark.parametrize(
    "point",
    [
        "journal.begun",
        "journal.kept",
        "journal.moved",
        "journal.moved@2",
        "checkout.checked",
        "checkout.built@2",
        "journal.wrote",
        "journal.finishing",
        "journal.finished",
    ],
)
def test_a_killed_cache_restore_leaves_the_old_or_the_new_state(point, ready, nbexp_cli, git):
    """Its key is that of the run of `train` which `first` holds."""
    before = contents(ready)
    words = ("cache", "restore", "03c147f")
    killed = nbexp_cli(*words, cwd=ready, code=None, env={"NBEXP_CRASH": point})
    assert killed.returncode == -signal.SIGKILL, f"{point} is never passed"
    if point != "journal.finished":
        nbexp_cli("apply", "second", cwd=ready)
        assert contents(ready) == before
    nbexp_cli(*words, cwd=ready)
    assert '"acc": 0.8633' in (ready / "metrics.json").read_text()
    assert list(leftovers(ready)) == []
    nbexp_cli("undo", cwd=ready)
    assert contents(ready) == before


def test_kills_at_random_times_of_several_stages_lose_nothing(wide, nbexp_cli):
    random_times = random.Random(11)
    text = (wide / "dvc.yaml").read_text()
    (wide / "dvc.yaml").write_text(text.replace("sleep 0.3;", "sleep 0.3; test -e go || sleep 60;"))
    for _ in range(8):
        running = nbexp_cli.start("repro", "-j", "3", cwd=wide)
        time.sleep(random_times.uniform(0.1, 1.2))
        running.kill()
        running.wait()
    (wide / "go").touch()
    nbexp_cli("repro", "-j", "3", cwd=wide)
    assert nbexp_cli("status", cwd=wide).stdout == "Data and pipelines are up to date.\n"
    assert (wide / "o3").read_text().startswith("  s0:")
    for _ in range(2):  # the last repro, and the first
        nbexp_cli("undo", cwd=wide)
    assert [name for name in ("o0", "o1", "o2", "o3", "dvc.lock") if (wide / name).exists()] == []
    assert list(leftovers(wide)) == []
