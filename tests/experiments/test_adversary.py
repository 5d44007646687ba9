"""What went wrong once when nbexp was used as people do: nothing lost, nothing wrong recorded, no traceback."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import commands, events
from nbexp.errors import (
    Interrupted,
    NameTaken,
    ProjectFileError,
    StageFailed,
    StoreError,
)
from nbexp.experiments.workspace import uninterrupted

if TYPE_CHECKING:
    from nbexp import Project

Files = Callable[[Path], dict[str, tuple[str, bytes]]]
Git = Callable[..., str]


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def commit(git: Git, root: Path) -> None:
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=more", cwd=root)


def recorded_lr(project: Project, name: str) -> str:
    """The value of train.lr that the experiment recorded."""
    return str(project.experiment(name).params["train.lr"])


# --- Nothing of the user's is lost --------------------------------------------------------------


def test_an_edited_output_directory_comes_back_whole(project: Project, files: Files) -> None:
    project.run(name="first")
    (project.root / "prepared" / "train.csv").write_text("by hand\n")
    (project.root / "prepared" / "extra.csv").write_text("mine\n")
    before = files(project.root)
    project.run({"prepare.rows": 7}, name="second")
    assert not (project.root / "prepared" / "extra.csv").exists()
    project.undo()
    assert files(project.root) == before
    project.apply("second", force=True)
    project.undo()
    assert files(project.root) == before


@pytest.mark.parametrize("how", ["apply", "run cache", "identical", "undo"])
def test_what_ignore_rules_hide_in_an_output_stays(
    how: str, project: Project, git: Git, tmp_path: Path
) -> None:
    (project.root / ".dvcignore").write_text("*.note\n")
    commit(git, project.root)
    project.run(name="first")
    project.run({"prepare.rows": 7}, name="second")
    folder = project.root / "prepared"
    (folder / "my.note").write_text("mine\n")
    (folder / "parts" / "deep.note").write_text("deep\n")
    (folder / "clone" / ".git").mkdir(parents=True)
    (folder / "clone" / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "elsewhere").symlink_to(tmp_path)
    if how == "apply":
        project.apply("first")
    elif how == "undo":
        project.undo()
    else:
        project.run({"prepare.rows": 20}, new=how == "run cache")
    assert len((folder / "train.csv").read_text().splitlines()) == 21
    assert (folder / "my.note").read_text() == "mine\n"
    assert (folder / "parts" / "deep.note").read_text() == "deep\n"
    assert (folder / "clone" / ".git" / "HEAD").exists()
    assert (folder / "elsewhere").is_symlink()


def test_what_ignore_rules_hide_is_brought_back_by_undo(
    project: Project, git: Git, files: Files, tmp_path: Path
) -> None:
    (project.root / ".dvcignore").write_text("*.note\n")
    commit(git, project.root)
    project.run(name="first")
    folder = project.root / "prepared"
    (folder / "my.note").write_text("mine\n")
    before = files(project.root)
    project.run({"prepare.rows": 7})
    assert not (folder / "my.note").exists()  # the stage made its output anew
    project.undo()
    assert files(project.root) == before
    # What no object of the cache can stand for.
    (folder / "elsewhere").symlink_to(tmp_path)
    (folder / "clone" / ".git").mkdir(parents=True)
    (folder / "clone" / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    before = files(project.root)
    project.run({"prepare.rows": 8})
    project.undo()
    assert files(project.root) == before
    assert (folder / "clone" / ".git" / "HEAD").exists()


def test_apply_stops_at_an_untracked_folder_where_a_file_has_to_be(
    project: Project, git: Git, files: Files
) -> None:
    (project.root / "thing").write_text("a file\n")
    commit(git, project.root)
    project.run(name="with-file")
    git("rm", "--quiet", "thing", cwd=project.root)
    git("commit", "--quiet", "--message=gone", cwd=project.root)
    (project.root / "thing").mkdir()
    (project.root / "thing" / "mine.txt").write_text("mine\n")
    before = files(project.root)
    with pytest.raises(StoreError, match="no commit or experiment holds: thing"):
        project.apply("with-file")
    assert files(project.root) == before
    project.apply("with-file", force=True)
    assert (project.root / "thing").read_text() == "a file\n"
    project.undo()
    assert files(project.root) == before


def test_apply_stops_at_an_untracked_file_where_a_folder_has_to_be(
    project: Project, git: Git, files: Files
) -> None:
    (project.root / "package").mkdir()
    (project.root / "package" / "a.py").write_text("a = 1\n")
    commit(git, project.root)
    project.run(name="with-folder")
    git("rm", "--quiet", "-r", "package", cwd=project.root)
    git("commit", "--quiet", "--message=gone", cwd=project.root)
    (project.root / "package").write_text("mine\n")
    before = files(project.root)
    with pytest.raises(StoreError, match="no commit or experiment holds: package"):
        project.apply("with-folder")
    assert files(project.root) == before
    project.apply("with-folder", force=True)
    assert (project.root / "package" / "a.py").read_text() == "a = 1\n"
    project.undo()
    assert files(project.root) == before


def test_a_tracked_file_becomes_a_folder_and_back(project: Project, git: Git, files: Files) -> None:
    place = project.root / "package"
    place.write_text("a file\n")
    commit(git, project.root)
    project.run(name="file")
    place.unlink()
    place.mkdir()
    (place / "a.py").write_text("a = 1\n")
    commit(git, project.root)
    project.run(name="folder")
    project.apply("file")
    assert place.read_text() == "a file\n"
    project.apply("folder")
    assert (place / "a.py").read_text() == "a = 1\n"


def test_edits_that_git_was_told_to_overlook_are_in_the_way(project: Project, git: Git) -> None:
    place = project.root / "local.ini"
    place.write_text("one\n")
    commit(git, project.root)
    project.run(name="first")
    place.write_text("two\n")
    commit(git, project.root)
    git("update-index", "--assume-unchanged", "local.ini", cwd=project.root)
    place.write_text("my secret\n")
    with pytest.raises(StoreError, match=r"holds: local\.ini"):
        project.apply("first")
    assert place.read_text() == "my secret\n"


def test_who_may_read_a_file_is_the_users_own_business(project: Project) -> None:
    params = project.root / "params.yaml"
    project.run(name="first")
    params.chmod(0o600)
    project.run({"train.lr": 0.03}, name="second")
    project.apply("first")
    assert params.stat().st_mode & 0o777 == 0o600
    script = project.root / "train.sh"
    script.chmod(0o755)
    project.apply("second", force=True)
    assert script.stat().st_mode & 0o777 == 0o644
    project.undo()
    assert script.stat().st_mode & 0o777 == 0o755


def test_another_work_tree_has_its_own_undo(
    project: Project, opened: Callable[..., Project], git: Git, files: Files, tmp_path: Path
) -> None:
    project.run(name="first")
    commit(git, project.root)
    git("worktree", "add", "--quiet", "-b", "other", tmp_path / "other", cwd=project.root)
    project.run({"train.lr": 0.03}, name="second")
    other = opened(tmp_path / "other")
    before = files(other.root)
    with pytest.raises(Exception, match="There is nothing to undo"):
        other.undo(force=True)
    assert files(other.root) == before
    assert project.undo().op == "run second"


def test_another_project_of_the_repository_has_its_own_undo(
    repo: Path, pipeline_project: Callable[..., Path], opened: Callable[..., Project], git: Git
) -> None:
    source = pipeline_project("source")
    shutil.rmtree(source / ".git")
    for name in ("one", "two"):
        shutil.copytree(source, repo / name)
    commit(git, repo)
    one, two = opened(repo / "one"), opened(repo / "two")
    one.run({"train.lr": 0.03}, name="in-one")
    two.run({"train.lr": 0.05}, name="in-two")
    assert one.undo().op == "run in-one"
    assert "lr: 0.05 " in (repo / "two" / "params.yaml").read_text()
    assert two.undo().op == "run in-two"


def test_a_failed_run_is_rolled_back_below_a_very_long_path(
    project: Project, git: Git, files: Files
) -> None:
    folder = "/".join(["d" * 90] * 4)
    pipeline = project.root / "dvc.yaml"
    pipeline.write_text(
        pipeline.read_text().replace(
            "outs:\n    - model.txt", f"outs:\n    - {folder}/f\n    - model.txt"
        )
    )
    append(
        project.root / "train.sh",
        f"mkdir -p {folder}; echo x > {folder}/f\ngrep -q 'lr: 0.9' params.yaml && exit 3\ntrue\n",
    )
    commit(git, project.root)
    project.run(name="first")
    before = files(project.root)
    with pytest.raises(StageFailed):
        project.run({"train.lr": 0.9})
    assert files(project.root) == before
    project.run({"train.lr": 0.03}, name="second")


def test_a_stage_that_deletes_the_journal_is_recorded_all_the_same(
    project: Project, git: Git
) -> None:
    append(project.root / "train.sh", "rm -rf .dvc/tmp\n")
    commit(git, project.root)
    assert project.run({"train.lr": 0.03}, name="first").metrics["acc"] == 0.9333
    append(project.root / "train.sh", "exit 3\n")
    with pytest.raises(StageFailed, match=r"left as it is: params\.yaml"):
        project.run({"train.lr": 0.5})


def test_dvc_may_hold_its_lock_for_long_when_a_stage_ends(
    project: Project, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `dvc push` takes minutes; what a stage made in hours is not given up for it."""
    from nbexp.pipeline import locks

    monkeypatch.setattr(locks, "WAIT_S", 0.1)
    append(project.root / "train.sh", "touch started; until [ -e held ]; do sleep 0.02; done\n")
    commit(git, project.root)
    told: list[events.Event] = []

    def waited() -> bool:
        notices = [event.message for event in [*told] if isinstance(event, events.Notice)]
        return any(notice.startswith("Waiting for dvc (") for notice in notices)

    def hold() -> None:
        while not (project.root / "started").exists():
            time.sleep(0.02)
        with (project.root / ".dvc" / "tmp" / "lock").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (project.root / "held").touch()
            end = time.monotonic() + 60
            while not waited() and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(0.5)  # longer than `WAIT_S`

    other = threading.Thread(target=hold)
    other.start()
    experiment = project.run(name="first", emit=told.append)
    other.join()
    assert experiment.metrics["acc"] == 0.8633
    assert waited()


# --- Nothing wrong is recorded ------------------------------------------------------------------


def test_a_commit_made_meanwhile_is_in_the_tree_and_its_index_stays(
    project: Project, git: Git
) -> None:
    (project.root / "code.py").write_text("version = 1\n")
    append(project.root / "train.sh", "git commit --quiet --message=mine code.py\n")
    commit(git, project.root)
    baseline = git("rev-parse", "HEAD", cwd=project.root)
    (project.root / "code.py").write_text("version = 2\n")
    told: list[events.Event] = []
    experiment = project.run(name="first", emit=told.append)
    assert experiment.baseline == baseline
    assert project.read("first", "code.py") == b"version = 2\n"
    # The old index would have taken the commit back with the next one.
    assert git("diff", "--cached", "--name-only", cwd=project.root) == ""
    assert any(
        isinstance(event, events.Notice) and event.message.startswith("HEAD moved to ")
        for event in told
    )


def test_a_failed_run_with_a_commit_made_meanwhile_leaves_that_commit_alone(
    project: Project, git: Git
) -> None:
    (project.root / "code.py").write_text("version = 1\n")
    append(project.root / "train.sh", "git commit --quiet --message=mine code.py; exit 3\n")
    commit(git, project.root)
    (project.root / "code.py").write_text("version = 2\n")
    with pytest.raises(StageFailed):
        project.run()
    assert git("diff", "--cached", "--name-only", cwd=project.root) == ""
    assert (project.root / "code.py").read_text() == "version = 2\n"


def test_a_stage_that_dvc_runs_is_waited_for(project: Project, git: Git) -> None:
    tmp = project.root / ".dvc" / "tmp"
    tmp.mkdir(parents=True, exist_ok=True)
    # A living process that is called as its entry says, as `dvc repro` is while a stage runs.
    words = [sys.executable, "-c", "import sys; sys.stdin.read()", "repro"]
    child = subprocess.Popen(words, stdin=subprocess.PIPE)
    entry = f'{{"pid": {child.pid}, "cmd": "{sys.executable} repro"}}'
    (tmp / "rwlock").write_text(
        f'{{"read": {{}}, "write": {{"{project.root}/model.txt": {entry}}}}}'
    )
    told: list[events.Event] = []

    def hear(event: events.Event) -> None:
        told.append(event)
        if isinstance(event, events.Notice):
            assert child.stdin is not None
            child.stdin.close()

    project.run(name="first", emit=hear)
    assert child.poll() is not None
    assert [event.message for event in told if isinstance(event, events.Notice)][:1] == [
        f"Waiting for a command that works on these files ({child.pid} {sys.executable} repro)."
    ]


def test_a_killed_dvc_is_not_waited_for(project: Project) -> None:
    tmp = project.root / ".dvc" / "tmp"
    tmp.mkdir(parents=True, exist_ok=True)
    # This process lives, but it is no `dvc`: the id was used again.
    entry = f'{{"pid": {os.getppid()}, "cmd": "/opt/never/dvc-xyz repro"}}'
    (tmp / "rwlock").write_text(
        f'{{"read": {{}}, "write": {{"{project.root}/model.txt": {entry}}}}}'
    )
    assert project.run(name="first").metrics["acc"] == 0.8633


def test_a_damaged_object_makes_the_stage_run_again(project: Project) -> None:
    first = project.run(name="first")
    project.run({"train.lr": 0.03}, name="second")
    model = project.read("first", "model.txt")
    for path in (project.root / ".dvc" / "cache" / "files").rglob("*"):
        if path.is_file() and path.read_bytes() == model:
            path.chmod(0o644)
            path.write_bytes(b"?" * len(model))
            path.chmod(0o444)
    again = project.run({"train.lr": 0.1}, name="again")
    assert (project.root / "model.txt").read_bytes() == model
    assert again.metrics == first.metrics
    assert project.read("first", "model.txt") == model


def test_a_stage_cannot_wait_for_the_run_it_is_part_of(project: Project, git: Git) -> None:
    append(project.root / "train.sh", f"{sys.executable} -m nbexp.cli apply HEAD 2> told || true\n")
    commit(git, project.root)
    project.run(name="first")
    assert (
        (project.root / "told")
        .read_text()
        .startswith("This is a stage of a run that holds the workspace. Nothing was changed.\n")
    )


def test_nan_stays_nan(project: Project, git: Git) -> None:
    params = project.root / "params.yaml"
    params.write_text(params.read_text().replace("seed: 0", "seed: .nan"))
    commit(git, project.root)
    project.run(name="first")
    assert project.status().is_clean


def test_a_name_that_git_gave_a_branch_or_tag_is_refused(project: Project, git: Git) -> None:
    git("branch", "feature", cwd=project.root)
    git("tag", "v1", cwd=project.root)
    for name in ("main", "feature", "v1"):
        with pytest.raises(NameTaken, match=f"`{name}` is a (branch|tag) of this repository"):
            project.run({"train.lr": 0.03}, name=name)
    assert project.names == []


def test_a_name_that_differs_in_case_replaces_nothing(project: Project) -> None:
    project.run(name="low")
    with pytest.raises(NameTaken, match="Experiment `low` already exists"):
        project.run({"train.lr": 0.03}, name="Low", force=True)
    assert project.names == ["low"]
    assert recorded_lr(project, "low") == "0.1"


# --- Interrupts ---------------------------------------------------------------------------------


def test_an_interrupt_while_recording_comes_too_late(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbexp.experiments import record

    real = record.record

    def interrupted(*words: object, **named: object) -> record.Recorded:
        os.kill(os.getpid(), signal.SIGINT)
        return real(*words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(record, "record", interrupted)
    with pytest.raises(Interrupted, match="Run `first` was done and is recorded"):
        project.run({"train.lr": 0.03}, name="first")
    assert recorded_lr(project, "first") == "0.03"
    assert "lr: 0.03 " in (project.root / "params.yaml").read_text()
    assert project.undo().op == "run first"


def test_a_second_interrupt_does_not_stop_the_rollback(
    project: Project, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbexp.experiments import journal, record

    project.run(name="first")
    before = files(project.root)

    def stopped(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    real = journal.Journal._put_back

    def impatient(self: journal.Journal, line: journal.Line) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return real(self, line)

    monkeypatch.setattr(record, "record", stopped)
    monkeypatch.setattr(journal.Journal, "_put_back", impatient)
    with pytest.raises(Interrupted, match="Your workspace is as it was"):
        project.run({"train.lr": 0.03}, name="second")
    assert files(project.root) == before
    monkeypatch.undo()
    os.chdir(project.root)
    project.run({"train.lr": 0.03}, name="third")  # and nothing is held any more


def test_an_interrupt_is_held_back_and_told_of() -> None:
    before = signal.getsignal(signal.SIGINT)
    with uninterrupted() as came:
        os.kill(os.getpid(), signal.SIGINT)
        subprocess.run(["true"], check=True)
    assert came
    assert signal.getsignal(signal.SIGINT) is before


def test_what_fails_after_the_end_of_a_run_puts_nothing_back(project: Project) -> None:
    def consumer(event: events.Event) -> None:
        if isinstance(event, events.RunFinished):
            raise RuntimeError("the consumer has a bug")

    with pytest.raises(RuntimeError):
        project.run({"train.lr": 0.03}, name="first", emit=consumer)
    assert project.names == ["first"]
    assert "lr: 0.03 " in (project.root / "params.yaml").read_text()
    assert (project.root / "model.txt").exists()


# --- One broken thing hides nothing else --------------------------------------------------------


@pytest.fixture
def broken(project: Project, git: Git) -> Project:
    """The experiment `first`, then a commit whose dvc.yaml is broken, and a workspace that mended it."""
    project.run(name="first")
    good = (project.root / "dvc.yaml").read_text()
    (project.root / "dvc.yaml").write_text("stages: [")
    git("commit", "--quiet", "--all", "--message=broken", cwd=project.root)
    (project.root / "dvc.yaml").write_text(good)
    return project


def test_a_run_on_a_broken_baseline_is_reported_as_done(broken: Project) -> None:
    second = broken.run({"train.lr": 0.03}, name="second")
    assert second.metrics["acc"] == 0.9333


def test_show_names_the_broken_commit_and_shows_the_others(broken: Project) -> None:
    broken.run({"train.lr": 0.03}, name="second")
    table = broken.show()
    assert [row.name for row in table.experiments] == ["second", "first"]
    assert table["first"].metrics["acc"] == 0.8633
    assert [row.name for row in table if row.error] == ["main"]


def test_diff_says_which_side_is_broken(broken: Project) -> None:
    with pytest.raises(ProjectFileError, match=r"HEAD: dvc.yaml, line \d: "):
        broken.diff("HEAD", "first")
    broken.run({"train.lr": 0.03}, name="second")
    (broken.root / "dvc.yaml").write_text("stages: [")
    assert [change.key for change in broken.diff("first", "second").params] == ["train.lr"]


def test_a_broken_lock_of_somebody_else_is_no_reason_not_to_run(project: Project, git: Git) -> None:
    head = git("rev-parse", "HEAD", cwd=project.root)
    lock = project.root / "dvc.lock"
    lock.write_text("schema: '2.0'\nstages: [\n")
    commit(git, project.root)
    theirs = git("rev-parse", "HEAD", cwd=project.root)
    git("reset", "--quiet", "--hard", "HEAD~1", cwd=project.root)
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/theirs", theirs, cwd=project.root)
    assert project.run(name="mine").metrics["acc"] == 0.8633


def test_a_ref_to_something_else_hides_no_experiment(project: Project, git: Git) -> None:
    project.run(name="first")
    head = git("rev-parse", "HEAD", cwd=project.root)
    git("tag", "--annotate", "--message=x", "v1", cwd=project.root)
    for name, what in (("blob", "HEAD:params.yaml"), ("tag", "v1")):
        oid = git("rev-parse", what, cwd=project.root)
        git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", oid, cwd=project.root)
    (project.root / ".git" / "refs" / "exps" / head[:2] / head[2:] / "gone").write_text(
        "1" * 40 + "\n"
    )
    names = {name for _, group in project.list().groups for name, _ in group}
    assert names == {"first", "tag"}
    assert {row.name for row in project.show().experiments} == {"first", "tag"}
    project.run({"train.lr": 0.03}, name="second")


# --- Faces --------------------------------------------------------------------------------------


def test_a_reader_that_has_read_enough_does_not_end_the_run(project: Project, git: Git) -> None:
    append(project.root / "train.sh", "for i in $(seq 1 30000); do echo line $i; done\n")
    commit(git, project.root)
    line = f"{sys.executable} -m nbexp.cli run -n first | head -n 1"
    done = subprocess.run(
        line, shell=True, cwd=project.root, capture_output=True, text=True, check=False
    )
    assert done.stdout == "Running experiment 'first'\n"
    assert project.names == ["first"]


def test_names_that_are_no_text_are_shown(
    project: Project, git: Git, nbexp_cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    append(project.root / "train.sh", "touch \"$(printf 'bad\\377')\"\n")
    commit(git, project.root)
    done = nbexp_cli("run", cwd=project.root, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert "not recorded: bad\\udcff." in done.stdout
    assert "Traceback" not in done.stderr


def test_a_refusal_of_the_disk_is_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, files: Files
) -> None:
    from nbexp import filesystem

    project.run(name="first")
    before = files(project.root)

    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(filesystem, "atomic_write", full)
    with pytest.raises(StoreError, match="The system refused: No space left on device"):
        commands.execute(["run", "-S", "train.lr=0.5"], events.ignore, directory=str(project.root))
    assert files(project.root) == before


def test_a_user_without_a_home_can_work(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert project.run(name="first").metrics["acc"] == 0.8633


def test_what_a_command_learnt_is_known_to_the_next(project: Project) -> None:
    project.run(name="first")
    rev = project.experiment("first").rev
    project.close()
    commands.execute(["show"], events.ignore, directory=str(project.root))
    from nbexp.experiments.reading import _FORM

    assert project.cache.memo(_FORM, rev) is not None
