"""A run in place: recorded once, recognised afterwards, undone when it fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import events
from nbexp.errors import Interrupted, NameTaken, NotFound, ProjectFileError, StageFailed

if TYPE_CHECKING:
    from nbexp import Project

Files = Callable[[Path], dict[str, tuple[str, bytes]]]
GitState = Callable[[Path], dict[str, bytes]]
Git = Callable[..., str]


def refs(git: Git, root: Path, *prefixes: str) -> dict[str, str]:
    listed = git("for-each-ref", "--format=%(refname) %(objectname)", *prefixes, cwd=root)
    return dict(line.split(" ") for line in listed.splitlines())


def actions(experiment: object) -> list[str]:
    report = experiment.report  # type: ignore[attr-defined]
    return [f"{stage.name} {stage.action}" for stage in report.stages]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- What a run leaves --------------------------------------------------------------------------


def test_a_run_is_one_commit_on_the_present_one_and_nothing_else(
    project: Project, git: Git, git_state: GitState
) -> None:
    before = git_state(project.root)
    made = project.run({"train.lr": 0.03}, name="low-lr")
    head = git("rev-parse", "HEAD", cwd=project.root)
    assert git_state(project.root) == before
    assert refs(git, project.root, "refs/exps") == {
        f"refs/exps/{head[:2]}/{head[2:]}/low-lr": made.rev
    }
    assert git("rev-list", "--parents", "--max-count=1", made.rev, cwd=project.root) == (
        f"{made.rev} {head}"
    )
    assert git("fsck", "--strict", cwd=project.root) == ""
    assert (made.name, made.baseline, made.status) == ("low-lr", head, "done")
    assert made.params == {"prepare.rows": 20, "train.lr": 0.03, "train.epochs": 3, "seed": 0}
    assert made.metrics == {"acc": 0.9333, "steps.last": 3}


def test_everything_that_was_run_with_is_in_the_commit(project: Project, git: Git) -> None:
    """Uncommitted edits of tracked files, staged new files, params, metrics, code and hashes."""
    root = project.root
    edit(root / "train.sh", "acc %.4f", "accuracy %.4f")
    (root / "staged.py").write_text("x = 1\n")
    git("add", "staged.py", cwd=root)
    (root / "stray.txt").write_text("not mine to record\n")
    made = project.run({"train.lr": 0.03})
    listed = git("ls-tree", "-r", "--name-only", made.rev, cwd=root).splitlines()
    assert set(listed) == {
        ".dvc/.gitignore", ".dvc/config", ".dvcignore", ".gitignore", "README.md", "data/raw.csv",
        "dvc.lock", "dvc.yaml", "metrics.json", "params.yaml", "plots/acc.csv", "prepare.sh",
        "staged.py", "train.sh",
    }  # fmt: skip
    assert "accuracy" in git("show", f"{made.rev}:train.sh", cwd=root)
    assert "accuracy" not in git("show", "HEAD:train.sh", cwd=root)
    assert "lr: 0.03  # the step size" in git("show", f"{made.rev}:params.yaml", cwd=root)
    assert json.loads(git("show", f"{made.rev}:metrics.json", cwd=root))["acc"] == 0.9333
    assert "nfiles: 2" in git("show", f"{made.rev}:dvc.lock", cwd=root)
    assert git("status", "--porcelain", cwd=root).splitlines() == [
        " M params.yaml", "A  staged.py", " M train.sh", "?? .gitignore", "?? dvc.lock",
        "?? metrics.json", "?? plots/", "?? stray.txt",
    ]  # fmt: skip


def test_the_results_are_in_the_workspace(project: Project) -> None:
    project.run({"train.lr": 0.03})
    assert json.loads((project.root / "metrics.json").read_text())["acc"] == 0.9333
    assert (project.root / "prepared" / "parts" / "test.csv").exists()
    assert project.status().is_clean


@pytest.mark.parametrize("how", ["branch", "tag", "detached"])
def test_any_commit_is_a_baseline(how: str, project: Project, git: Git) -> None:
    root = project.root
    (root / "data" / "raw.csv").write_text("x,y\n1,2\n")
    git("commit", "--quiet", "--all", "--message=second", cwd=root)
    first = git("rev-parse", "HEAD~1", cwd=root)
    if how == "branch":
        git("switch", "--quiet", "--create", "other", "HEAD~1", cwd=root)
    else:
        git("tag", "v1", "HEAD~1", cwd=root)
        git("switch", "--quiet", "--detach", "v1" if how == "tag" else first, cwd=root)
    made = project.run()
    assert made.baseline == first
    assert git("rev-parse", f"{made.rev}^", cwd=root) == first


def test_names_are_two_words_and_none_is_drawn_twice(project: Project) -> None:
    names = [project.run({"seed": seed}).name for seed in range(4)]
    assert len(set(names)) == 4
    assert all(name.replace("-", "").isalpha() and name.count("-") == 1 for name in names)


def test_a_message_is_the_commits(project: Project, git: Git) -> None:
    made = project.run(message="tried less\n\nbecause of noise")
    shown = git("show", "--no-patch", "--format=%B", made.rev, cwd=project.root)
    assert shown.strip() == "tried less\n\nbecause of noise"


def test_only_what_a_change_concerns_runs(project: Project) -> None:
    assert actions(project.run()) == ["prepare ran", "train ran"]
    assert actions(project.run({"train.lr": 0.03})) == ["prepare skipped", "train ran"]
    edit(project.root / "params.yaml", "# Chosen by hand.", "other: 1")
    assert project.run().report.identical  # type: ignore[union-attr]
    made = project.run({"train.lr": 0.1}, new=True)
    assert actions(made) == ["prepare skipped", "train restored"]


def test_targets_and_single_items(project: Project) -> None:
    made = project.run(targets=["prepare"], name="first")
    assert actions(made) == ["prepare ran"]
    edit(project.root / "data" / "raw.csv", "1,1\n", "1,7\n")
    alone = project.run(targets=["train"], single_item=True)
    assert actions(alone) == ["train ran"]
    assert actions(project.run(targets=["train"])) == ["prepare ran", "train ran"]


def test_force_runs_every_stage(project: Project) -> None:
    project.run()
    assert actions(project.run(force=True)) == ["prepare ran", "train ran"]


def test_going_on_from_an_earlier_experiment(project: Project) -> None:
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5}, name="high")
    project.apply("low")
    made = project.run({"train.epochs": 5})
    assert actions(made) == ["prepare skipped", "train ran"]
    assert made.params["train.lr"] == 0.03
    assert made.metrics["acc"] == 0.94


def test_a_second_baseline_has_its_own_names(project: Project, git: Git) -> None:
    first = project.run(name="one")
    git("commit", "--quiet", "--allow-empty", "--message=more", cwd=project.root)
    second = project.run(name="one", new=True)
    assert first.baseline != second.baseline
    assert {group for group, _ in project.list(everywhere=True).groups} == {
        "main",
        first.baseline[:7],
    }


# --- Recognised ---------------------------------------------------------------------------------


def test_an_identical_run_executes_nothing_and_brings_the_workspace_back(
    project: Project, files: Files
) -> None:
    first = project.run({"train.lr": 0.03}, name="low")
    after = files(project.root)
    project.run({"train.lr": 0.5, "prepare.rows": 5}, name="high")
    told: list[events.Event] = []
    again = project.run({"train.lr": 0.03, "prepare.rows": 20}, emit=told.append)
    assert again.report is not None
    assert again.report.identical
    assert (again.name, again.rev) == ("low", first.rev)
    assert not [event for event in told if isinstance(event, events.StageStarted)]
    assert files(project.root) == after
    assert project.names == ["high", "low"]


def test_an_identical_run_with_another_name_gives_the_commit_that_name_as_well(
    project: Project,
) -> None:
    first = project.run(name="one")
    second = project.run(name="other")
    assert (second.name, second.rev) == ("other", first.rev)
    assert project["one"].rev == project["other"].rev


def test_new_runs_again(project: Project) -> None:
    first = project.run(name="one")
    again = project.run(name="again", new=True)
    assert again.rev != first.rev
    assert actions(again) == ["prepare skipped", "train skipped"]


@pytest.mark.parametrize(
    "path", ["README.md", "lab.ipynb", "notes/todo.txt", ".gitignore", "unused.py"]
)
def test_edits_of_what_no_stage_reads_do_not_make_a_new_run(path: str, project: Project) -> None:
    first = project.run(name="one")
    target = project.root / path
    target.parent.mkdir(exist_ok=True)
    with target.open("a") as file:
        file.write("\n# more\n")
    assert project.run().rev == first.rev
    assert target.read_text().endswith("# more\n")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("data/raw.csv", "1,1\n", "1,7\n"),
        ("train.sh", "acc %.4f", "accuracy %.4f"),
        ("params.yaml", "lr: 0.1", "lr: 0.2"),
        ("dvc.yaml", "x: step", "x: epoch"),
    ],
)
def test_edits_of_what_a_stage_reads_make_a_new_run(
    path: str, old: str, new: str, project: Project
) -> None:
    first = project.run()
    edit(project.root / path, old, new)
    made = project.run()
    assert made.rev != first.rev
    assert made.report is not None
    assert not made.report.identical


def test_another_baseline_makes_a_new_run(project: Project, git: Git) -> None:
    first = project.run()
    git("commit", "--quiet", "--allow-empty", "--message=more", cwd=project.root)
    second = project.run()
    assert second.rev != first.rev
    assert actions(second) == ["prepare skipped", "train skipped"]


def test_after_a_single_item_nothing_is_taken_for_identical(project: Project) -> None:
    """`train` read what `prepare` wrote before the data changed: no run of both would repeat that."""
    project.run()
    edit(project.root / "data" / "raw.csv", "1,1\n", "1,7\n")
    alone = project.run({"train.lr": 0.2}, targets=["train"], single_item=True)
    whole = project.run({"train.lr": 0.2})
    assert whole.rev != alone.rev
    assert actions(whole)[0] == "prepare ran"


def test_the_newest_of_equal_runs_is_named(project: Project, git: Git) -> None:
    project.run(name="zeta")
    time.sleep(1.1)
    project.run(name="alpha", new=True)
    assert project.run().name == "alpha"


def test_an_identical_run_whose_outputs_are_gone_from_the_cache_runs(project: Project) -> None:
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5}, name="high")
    shutil.rmtree(project.root / ".dvc" / "cache" / "files")
    (project.root / "model.txt").unlink()
    again = project.run({"train.lr": 0.03})
    assert again.report is not None
    assert not again.report.identical
    assert "train ran" in actions(again)


def test_git_tracked_metrics_of_an_identical_run_come_from_its_commit(project: Project) -> None:
    """Even when the cache lost its copies of them."""
    project.run({"train.lr": 0.03}, name="low")
    metrics = (project.root / "metrics.json").read_bytes()
    project.run({"train.lr": 0.5}, name="high")
    for path in (project.root / ".dvc" / "cache" / "files" / "md5").glob("*/*"):
        if path.read_bytes() == metrics:
            path.unlink()
    again = project.run({"train.lr": 0.03})
    assert again.report is not None
    assert again.report.identical
    assert (project.root / "metrics.json").read_bytes() == metrics


PYTHON_STAGE = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    outs: [out.txt]
"""


def test_a_module_that_a_stage_imports_counts_though_it_is_not_listed(
    project: Project, git: Git
) -> None:
    root = project.root
    (root / "dvc.yaml").write_text(PYTHON_STAGE)
    (root / "train.py").write_text("import helper\nopen('out.txt', 'w').write(helper.word)\n")
    (root / "helper.py").write_text("word = 'one'\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=python", cwd=root)
    first = project.run(name="one")
    assert first.report is not None
    assert first.report.unlisted == {"train": ("helper.py",)}
    assert project.run().report.identical  # type: ignore[union-attr]
    (root / "helper.py").write_text("word = 'other'\n")
    second = project.run(name="two", force=True)
    assert second.rev != first.rev
    assert (root / "out.txt").read_text() == "other"
    (root / "helper.py").write_text("word = 'one'\n")
    assert project.run().rev == first.rev
    assert (root / "out.txt").read_text() == "one"


def test_a_changed_module_that_is_not_listed_is_recorded_but_does_not_make_its_stage_run(
    project: Project, git: Git
) -> None:
    """As under DVC, which knows listed deps alone; the warning says what to do about it."""
    root = project.root
    (root / "dvc.yaml").write_text(PYTHON_STAGE)
    (root / "train.py").write_text("import helper\nopen('out.txt', 'w').write(helper.word)\n")
    (root / "helper.py").write_text("word = 'one'\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=python", cwd=root)
    first = project.run()
    (root / "helper.py").write_text("word = 'other'\n")
    second = project.run()
    assert second.rev != first.rev
    assert actions(second) == ["train skipped"]
    assert git("show", f"{second.rev}:helper.py", cwd=root) == "word = 'other'"
    assert second.report is not None
    assert second.report.unlisted == {"train": ("helper.py",)}


# --- Failed and interrupted ---------------------------------------------------------------------


def break_training(root: Path, line: str = "echo half > model.txt; exit 3") -> None:
    edit(root / "train.sh", "set -eu\n", f"set -eu\n{line}\n")


def test_a_failed_run_leaves_the_workspace_to_the_byte(
    project: Project, files: Files, git_state: GitState, git: Git
) -> None:
    project.run(name="good")
    (project.root / "model.txt").write_text("edited by hand\n")
    break_training(project.root)
    before, state = files(project.root), git_state(project.root)
    with pytest.raises(StageFailed) as caught:
        project.run({"train.lr": 0.5, "prepare.rows": 5}, name="bad")
    assert caught.value.stage == "train"
    assert caught.value.returncode == 3
    assert caught.value.experiment == "bad"
    assert files(project.root) == before
    assert git_state(project.root) == state
    assert project.names == ["good"]


def test_what_a_failed_run_left_is_kept_and_shown(project: Project, git: Git) -> None:
    head = git("rev-parse", "HEAD", cwd=project.root)
    break_training(project.root)
    with pytest.raises(StageFailed):
        project.run({"train.lr": 0.5}, name="bad")
    assert list(refs(git, project.root, "refs/nbexp/failed")) == [
        f"refs/nbexp/failed/{head[:2]}/{head[2:]}/bad"
    ]
    assert [row.name for row in project.show().experiments] == []
    (row,) = project.show(all_states=True).experiments
    assert (row.name, row.state, row.params["train.lr"]) == ("bad", "failed", 0.5)
    assert project.read("bad", "model.txt") == b"half\n"
    assert project.read("bad", "prepared/train.csv").startswith(b"x,y\n")


def test_a_failed_run_takes_no_name(project: Project) -> None:
    break_training(project.root)
    with pytest.raises(StageFailed):
        project.run(name="try")
    with pytest.raises(StageFailed):
        project.run(name="try")
    edit(project.root / "train.sh", "echo half > model.txt; exit 3\n", "")
    assert project.run(name="try").name == "try"


def test_stages_that_were_done_when_a_run_failed_come_from_the_run_cache(project: Project) -> None:
    break_training(project.root)
    with pytest.raises(StageFailed):
        project.run()
    edit(project.root / "train.sh", "echo half > model.txt; exit 3\n", "")
    assert actions(project.run()) == ["prepare restored", "train ran"]


def test_a_stage_that_stages_files_with_git_does_not_change_the_users_index(
    project: Project, git_state: GitState, git: Git
) -> None:
    """dvclive runs `git add` in training; what it added is recorded all the same."""
    break_training(project.root, "echo more > live.txt; git add live.txt")
    before = git_state(project.root)
    made = project.run()
    assert git_state(project.root) == before
    assert git("show", f"{made.rev}:live.txt", cwd=project.root) == "more"


def test_an_edit_made_while_a_failing_run_is_on_survives_it(project: Project) -> None:
    break_training(project.root, "echo '# mine' >> params.yaml; exit 1")
    with pytest.raises(StageFailed) as caught:
        project.run({"train.lr": 0.5})
    assert caught.value.message.endswith("Edited meanwhile, and so left as it is: params.yaml.")
    assert (project.root / "params.yaml").read_text().endswith("# mine\n")


def test_a_tracked_file_that_a_failing_stage_edits_is_named(project: Project, git: Git) -> None:
    (project.root / "notes.txt").write_text("mine\n")
    (project.root / "edited.txt").write_text("before\n")
    git("add", "notes.txt", "edited.txt", cwd=project.root)
    git("commit", "-qm", "notes", cwd=project.root)
    (project.root / "edited.txt").write_text("an edit before the run\n")
    os.utime(project.root / "edited.txt", (1, 1))
    break_training(project.root, "echo by the stage > notes.txt; exit 1")
    with pytest.raises(StageFailed) as caught:
        project.run({"train.lr": 0.5})
    assert caught.value.message.endswith("Edited meanwhile, and so left as it is: notes.txt.")


def test_an_interrupted_run_leaves_the_workspace_to_the_byte(
    project: Project, files: Files, git_state: GitState, git: Git
) -> None:
    project.run(name="good")
    break_training(project.root, "echo half > model.txt; touch ../started; sleep 60")
    before, state = files(project.root), git_state(project.root)
    began = threading.Event()

    def interrupt() -> None:
        while not (project.root.parent / "started").exists():
            time.sleep(0.01)
        began.set()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted) as caught:
        project.run({"train.lr": 0.5}, name="stopped")
    assert began.is_set()
    assert str(caught.value) == (
        "Run `stopped` was interrupted. Your workspace is as it was before it.\n"
        "Hint: `nbexp show --all-states` lists it."
    )
    assert files(project.root) == before
    assert git_state(project.root) == state
    (row,) = [row for row in project.show(all_states=True).experiments if row.state != "done"]
    assert (row.name, row.state) == ("stopped", "interrupted")
    assert project.read("stopped", "model.txt") == b"half\n"
    # No lock is left: the next run starts at once.
    edit(project.root / "train.sh", "echo half > model.txt; touch ../started; sleep 60\n", "")
    assert project.run({"train.lr": 0.5}, name="stopped").name == "stopped"


def test_a_bug_in_a_listener_leaves_the_workspace_to_the_byte(
    project: Project, files: Files
) -> None:
    before = files(project.root)

    def listen(event: events.Event) -> None:
        if isinstance(event, events.StageFinished):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        project.run({"train.lr": 0.5}, emit=listen)
    assert files(project.root) == before


# --- Refused ------------------------------------------------------------------------------------


def test_a_taken_name_is_refused_and_with_force_replaced(project: Project, git: Git) -> None:
    first = project.run(name="one")
    with pytest.raises(NameTaken):
        project.run({"train.lr": 0.5}, name="one")
    second = project.run({"train.lr": 0.5}, name="one", force=True)
    assert project["one"].rev == second.rev
    trash = refs(git, project.root, "refs/nbexp/trash")
    assert list(trash.values()) == [first.rev]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"set_params": {"train.lrr": 1}}, NotFound),
        ({"targets": ["trian"]}, NotFound),
        ({"name": "one"}, NameTaken),
    ],
)
def test_what_is_refused_changes_nothing(
    request_: dict[str, object],
    error: type[Exception],
    project: Project,
    files: Files,
    git_state: GitState,
    git: Git,
) -> None:
    project.run(name="one")
    before, state, exps = files(project.root), git_state(project.root), refs(git, project.root)
    with pytest.raises(error):
        project.run(**request_)  # type: ignore[arg-type]
    assert files(project.root) == before
    assert git_state(project.root) == state
    assert refs(git, project.root) == exps


def test_a_dep_that_is_missing_is_told_before_a_params_file_changes(
    project: Project, files: Files
) -> None:
    (project.root / "data" / "raw.csv").unlink()
    before = files(project.root)
    with pytest.raises(NotFound):
        project.run({"train.lr": 0.5})
    assert files(project.root) == before


def test_a_broken_lock_is_told_before_anything_is_announced(project: Project) -> None:
    (project.root / "dvc.lock").write_text("stages: [\n")
    told: list[events.Event] = []
    with pytest.raises(ProjectFileError):
        project.run(emit=told.append)
    assert told == []


# --- Not recorded -------------------------------------------------------------------------------


def test_files_that_a_stage_wrote_and_nothing_keeps_are_named(project: Project) -> None:
    root = project.root
    (root / "old.txt").write_text("here before\n")
    (root / "ignored.log").write_text("")
    (root / ".gitignore").write_text("*.log\n")
    edit(root / "prepare.sh", "set -eu\n", "set -eu\necho 1 > first.txt\n")
    break_training(
        root,
        "echo 1 > second.txt; echo 2 >> old.txt; echo 3 > ignored.log; mkdir -p d; echo 4 > d/e.csv",
    )
    made = project.run()
    assert made.report is not None
    assert [(left.path, left.stage) for left in made.report.not_recorded] == [
        ("d/e.csv", "train"),
        ("first.txt", "prepare"),
        ("old.txt", "train"),
        ("second.txt", "train"),
    ]
    assert made.to_json()["not_recorded"] == [
        {"path": "d/e.csv", "stage": "train"},
        {"path": "first.txt", "stage": "prepare"},
        {"path": "old.txt", "stage": "train"},
        {"path": "second.txt", "stage": "train"},
    ]


def test_untracked_files_that_no_stage_touched_are_not_named(project: Project) -> None:
    (project.root / "notes.txt").write_text("mine\n")
    made = project.run()
    assert made.report is not None
    assert made.report.not_recorded == ()


def test_the_records_are_not_named_where_git_is_not_told_to_ignore_them(project: Project) -> None:
    (project.root / ".dvc" / ".gitignore").unlink(missing_ok=True)
    made = project.run()
    assert made.report is not None
    assert made.report.not_recorded == ()


# --- Cost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stages", "extra"), [(1, 5), (5, 5), (5, 200)])
def test_a_run_starts_at_most_six_git_processes(
    stages: int,
    extra: int,
    pipeline_project: Callable[..., Path],
    opened: Callable[[Path], Project],
    count_git: object,
    git: Git,
) -> None:
    root = pipeline_project(stages=stages)
    for number in range(extra):
        (root / "data" / f"{number}.csv").write_text(f"{number}\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=more", cwd=root)
    for number in range(0, extra, 2):
        (root / "data" / f"{number}.csv").write_text("edited\n")
    count_git.clear()  # type: ignore[attr-defined]
    opened(root).run({"prepare.rows": 5})
    calls = [call.partition(" --")[0] for call in count_git.calls]  # type: ignore[attr-defined]
    assert len(calls) <= 6, calls
