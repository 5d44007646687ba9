"""A run beside the user's files: from the state at the asking, with the same result as in place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import events
from nbexp.errors import NotFound, StageFailed, UsageError

if TYPE_CHECKING:
    from nbexp import Project

Files = Callable[[Path], dict[str, tuple[str, bytes]]]
GitState = Callable[[Path], dict[str, bytes]]
Git = Callable[..., str]


def actions(experiment: object) -> list[str]:
    report = experiment.report  # type: ignore[attr-defined]
    return [f"{stage.name} {stage.action}" for stage in report.stages]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def users(state: dict[str, bytes]) -> dict[str, bytes]:
    """What of the repository is the user's: not what it knows of the pool."""
    return {path: data for path, data in state.items() if not path.startswith("worktrees/")}


# --- What it leaves alone, and what it makes ----------------------------------------------------


def test_a_run_beside_makes_the_experiment_and_changes_no_file(
    project: Project, git: Git, files: Files, git_state: GitState
) -> None:
    root = project.root
    edit(root / "train.sh", "acc %.4f", "accuracy %.4f")
    before, state = files(root), git_state(root)
    made = project.run({"train.lr": 0.03}, name="low-lr", temp=True)
    assert files(root) == before
    assert users(git_state(root)) == state
    head = git("rev-parse", "HEAD", cwd=root)
    assert (made.name, made.baseline, made.metrics) == (
        "low-lr", head, {"acc": 0.9333, "steps.last": 3},
    )  # fmt: skip
    assert git("for-each-ref", "--format=%(refname)", "refs/exps", "refs/nbexp", cwd=root) == (
        f"refs/exps/{head[:2]}/{head[2:]}/low-lr"
    )
    assert git("fsck", "--strict", "--no-dangling", cwd=root) == ""


def test_it_is_the_same_experiment_as_one_in_place(project: Project, git: Git) -> None:
    edit(project.root / "train.sh", "acc %.4f", "accuracy %.4f")
    beside = project.run({"train.lr": 0.03}, name="beside", temp=True)
    here = project.run({"train.lr": 0.03}, name="here", new=True)
    tree = [git("rev-parse", f"{rev}^{{tree}}", cwd=project.root) for rev in (beside.rev, here.rev)]
    assert tree[0] == tree[1]
    assert actions(here) == ["prepare restored", "train restored"]
    assert beside.params == here.params


def test_a_second_run_takes_what_the_first_made_from_the_shared_cache(project: Project) -> None:
    assert actions(project.run({"train.lr": 0.03}, temp=True)) == ["prepare ran", "train ran"]
    assert actions(project.run({"train.lr": 0.05}, temp=True)) == ["prepare restored", "train ran"]


def test_a_clean_workspace_leaves_nothing_but_the_experiment(project: Project, git: Git) -> None:
    project.run({"train.lr": 0.03}, temp=True)
    assert git("fsck", "--strict", cwd=project.root) == ""


def test_the_work_tree_is_kept_and_is_nobody_elses(project: Project, git: Git) -> None:
    root = project.root
    made = project.run({"train.lr": 0.03}, temp=True)
    top = root / ".dvc" / "tmp" / "nbexp" / "wt" / "temp-0"
    assert made.report is not None
    assert made.report.folder == str(top)
    assert (top.stat().st_mode & 0o777, top.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    assert git("rev-parse", "HEAD", cwd=top) == made.baseline
    assert git("status", "--porcelain", "--branch", cwd=top).startswith("## HEAD (no branch)")
    inode = (top / "train.sh").stat().st_ino
    project.run({"train.lr": 0.05}, temp=True)
    assert (top / "train.sh").stat().st_ino == inode
    assert [path.name for path in top.parent.iterdir()] == ["temp-0"]
    assert not list((root / ".dvc" / "tmp" / "nbexp" / "slots").glob("*.json"))


def test_only_where_the_cache_is_is_told_there(project: Project) -> None:
    """Passwords of remotes stand in `.dvc/config.local`; a stage that wants one does not get it here."""
    root = project.root
    (root / ".dvc" / "config.local").write_text("['remote \"s3\"']\n    password = hunter2\n")
    project.run({"train.lr": 0.03}, temp=True)
    top = root / ".dvc" / "tmp" / "nbexp" / "wt" / "temp-0"
    assert (top / ".dvc" / "config.local").read_text() == (
        f"[cache]\n    dir = {root}/.dvc/cache\n"
    )
    assert not (top / ".dvc" / "cache").exists()
    for path in top.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


def test_stages_are_told_what_dvc_tells_them(project: Project, git: Git) -> None:
    (project.root / "dvc.yaml").write_text(
        "stages:\n  told:\n    cmd: env > env.txt; pwd > pwd.txt; git rev-parse --show-toplevel > top.txt\n"
        "    params: [seed]\n    outs: [{env.txt: {cache: false}}, {pwd.txt: {cache: false}}, "
        "{top.txt: {cache: false}}]\n"
    )
    made = project.run({"seed": 7}, name="told", temp=True)
    env = dict(
        line.split("=", 1) for line in made.read("env.txt").decode().splitlines() if "=" in line
    )
    assert env["DVC_ROOT"] == str(project.root)
    assert env["DVC_EXP_NAME"] == "told"
    assert env["DVC_EXP_BASELINE_REV"] == git("rev-parse", "HEAD", cwd=project.root)
    assert env["DVC_STAGE"] == "told"
    top = f"{project.root}/.dvc/tmp/nbexp/wt/temp-0\n"
    assert (made.read("pwd.txt").decode(), made.read("top.txt").decode()) == (top, top)


@pytest.mark.parametrize("how", ["--temp", "-q"])
def test_stages_of_a_run_that_a_git_hook_started_use_their_own_repository(
    how: str, project: Project, git: Git, nbexp_cli
) -> None:
    root = project.root
    (root / "dvc.yaml").write_text(
        "stages:\n  adds:\n    cmd: date > made.txt; git add made.txt; env | grep -c ^GIT_INDEX > seen.txt || true\n"
        "    params: [seed]\n    outs: [{made.txt: {cache: false}}, {seen.txt: {cache: false}}]\n"
    )
    git("commit", "--quiet", "--all", "--message=adds", cwd=root)
    index = root / ".git" / "index.of-a-commit"
    shutil.copy2(root / ".git" / "index", index)
    before = index.read_bytes()
    env = {"GIT_DIR": str(root / ".git"), "GIT_INDEX_FILE": str(index)}
    nbexp_cli("run", how, "-n", "hooked", cwd=root, env=env)
    assert index.read_bytes() == before
    assert project["hooked"].read("seen.txt") == b"0\n"


def test_what_is_recorded_already_is_returned(project: Project, files: Files) -> None:
    first = project.run({"train.lr": 0.03}, name="first", temp=True)
    before = files(project.root)
    again = project.run({"train.lr": 0.03}, temp=True)
    assert again.report is not None
    assert (again.name, again.rev, again.report.identical) == ("first", first.rev, True)
    named = project.run({"train.lr": 0.03}, name="second", temp=True)
    assert (named.name, named.rev) == ("second", first.rev)
    assert files(project.root) == before


def test_a_stage_may_read_but_not_run(project: Project, nbexp_cli) -> None:
    """And neither may somebody who looks around where a run was."""
    root = project.root
    (root / "train.sh").write_text(
        f"{sys.executable} -m nbexp.cli list > seen.txt\n{sys.executable} -m nbexp.cli run 2> said.txt\n"
        "cat said.txt >&2; exit 4\n"
    )
    with pytest.raises(StageFailed):
        project.run(temp=True)
    top = root / ".dvc" / "tmp" / "nbexp" / "wt" / "temp-0"
    assert (top / "seen.txt").read_text()
    assert (top / "said.txt").read_text().splitlines() == [
        "These are the files of a run beside a project's own, which the next run makes anew. Nothing was changed.",
        "Hint: a stage may read (`nbexp show`), but not run, apply or undo.",
    ]
    assert "Nothing was changed." in nbexp_cli("run", cwd=top, code=2).stderr


def test_there_is_nothing_to_undo(project: Project) -> None:
    project.run({"train.lr": 0.03}, temp=True)
    with pytest.raises(NotFound):
        project.undo()


def test_a_run_starts_at_most_six_git_processes_whatever_its_stages_and_files(
    pipeline_project: Callable[..., Path], opened: Callable[..., Project], git: Git, count_git
) -> None:
    seen = []
    for stages, count in ((1, 5), (5, 300)):
        root = pipeline_project(f"of-{stages}", stages=stages)
        for number in range(count):
            (root / f"file-{number}").write_text(f"{number}\n")
        git("add", "--all", cwd=root)
        git("commit", "--quiet", "--message=files", cwd=root)
        project = opened(root)
        project.run({"prepare.rows": 7}, temp=True)
        project.close()
        (root / "file-0").write_text("edited\n")
        count_git.clear()
        project = opened(root)
        project.run({"prepare.rows": 8}, temp=True)
        project.close()
        seen.append([call.partition("core.packedRefsTimeout=2000 ")[2] for call in count_git.calls])
        assert len(seen[-1]) <= 6, seen[-1]
    assert [len(one) for one in seen] == [len(seen[0])] * 2, seen


# --- What is there, and what is not --------------------------------------------------------------


def test_added_files_come_along_and_untracked_and_ignored_ones_stay_out(
    project: Project, git: Git
) -> None:
    root = project.root
    (root / ".gitignore").write_text("*.log\n")
    git("add", ".gitignore", cwd=root)
    git("commit", "--quiet", "--message=ignore", cwd=root)
    (root / "ign.log").write_text("ignored\n")
    (root / "staged.txt").write_text("staged\n")
    (root / "untracked.txt").write_text("untracked\n")
    git("add", "staged.txt", cwd=root)
    listing(root)
    made = project.run({"seed": 1}, temp=True)
    seen = made.read("seen.txt").decode().split()
    assert "staged.txt" in seen
    assert not {"ign.log", "untracked.txt"} & {*seen}
    assert git("show", f"{made.rev}:staged.txt", cwd=root) == "staged"
    git("reset", "--quiet", cwd=root)
    assert git("status", "--porcelain", "staged.txt", cwd=root) == "?? staged.txt"


def listing(root: Path) -> None:
    """A pipeline that records which files it finds."""
    (root / "dvc.yaml").write_text(
        "stages:\n  look:\n    cmd: ls -A > seen.txt\n    params: [seed]\n"
        "    outs: [{seen.txt: {cache: false}}]\n"
    )


def test_nothing_of_one_run_is_there_in_the_next(project: Project, git: Git) -> None:
    root = project.root
    (root / "dvc.yaml").write_text(
        "stages:\n  look:\n    cmd: ls -A > seen.txt; mkdir -p deep/er; touch stray.txt deep/er/x.log;"
        " git init -q inner; rm README.md; echo edited > train.sh; git add stray.txt; chmod 500 deep/er\n"
        "    params: [seed]\n    outs: [{seen.txt: {cache: false}}]\n"
    )
    first = project.run({"seed": 1}, temp=True)
    second = project.run({"seed": 2}, temp=True)
    assert second.read("seen.txt") == first.read("seen.txt")
    assert b"stray.txt" not in second.read("seen.txt")
    assert (root / "README.md").exists()


def test_copied_files_are_there_and_in_no_experiment(project: Project, git: Git) -> None:
    root = project.root
    (root / ".gitignore").write_text(".env\n")
    (root / ".env").write_text("TOKEN=1\n")
    (root / "notes").mkdir()
    (root / "notes" / "a b.txt").write_text("untracked\n")
    (root / "notes" / "run.sh").write_text("#!/bin/sh\n")
    (root / "notes" / "run.sh").chmod(0o755)
    (root / "train.sh").write_text((root / "train.sh").read_text() + "# edited\n")
    (root / "dvc.yaml").write_text(
        "stages:\n  look:\n    cmd: cat .env 'notes/a b.txt' > seen.txt; test -x notes/run.sh\n"
        "    deps: [notes/a b.txt]\n    outs: [{seen.txt: {cache: false}}]\n"
    )
    made = project.run(temp=True, copy_paths=[str(root / ".env"), "notes/", "train.sh"])
    assert made.read("seen.txt") == b"TOKEN=1\nuntracked\n"
    listed = git("ls-tree", "-r", "--name-only", made.rev, cwd=root).splitlines()
    assert not [path for path in listed if path.startswith((".env", "notes"))]
    assert made.report is not None
    assert made.report.not_recorded == ()
    assert made.read("train.sh") == (root / "train.sh").read_bytes()
    assert not (root / ".dvc" / "tmp" / "nbexp" / "copies").exists() or not list(
        (root / ".dvc" / "tmp" / "nbexp" / "copies").iterdir()
    )


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("nowhere.txt", NotFound, "There is no nowhere.txt to copy. Nothing was run."),
        ("../other", UsageError, "`../other` is no file of the project that could be copied."),
        (".", UsageError, "`.` is no file of the project that could be copied."),
        (".dvc/config.local", UsageError, "`.dvc/config.local` is no file of the project"),
        ("/etc/passwd", UsageError, "`/etc/passwd` is no file of the project"),
    ],
)
def test_what_cannot_be_copied_is_told_before_anything_runs(
    path: str, error: type[Exception], says: str, project: Project, git: Git
) -> None:
    with pytest.raises(error) as raised:
        project.run(temp=True, copy_paths=[path])
    assert says in str(raised.value)
    assert git("for-each-ref", "refs/exps", cwd=project.root) == ""


def test_tracked_data_comes_from_the_cache_by_links(
    project: Project, git: Git, dvc: Callable[..., object]
) -> None:
    root = project.root
    (root / "big.bin").write_bytes(b"0123456789" * 1000)
    dvc("config", "cache.type", "hardlink", cwd=root)
    dvc("add", "big.bin", cwd=root)
    (root / "dvc.yaml").write_text(
        "stages:\n  look:\n    cmd: wc -c < big.bin > size.txt; stat -c %h-%i big.bin > link.txt\n"
        "    deps: [big.bin]\n    outs: [size.txt, link.txt]\n"
    )
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=data", cwd=root)
    (root / "big.bin").unlink()
    project.close()
    made = project.run(temp=True)
    assert project.read(made, "size.txt").decode().strip() == "10000"
    links, inode = project.read(made, "link.txt").decode().strip().split("-")
    objects = [path for path in (root / ".dvc" / "cache" / "files").rglob("*") if path.is_file()]
    assert int(inode) in {path.stat().st_ino for path in objects}
    assert int(links) >= 2
    assert not (root / "big.bin").exists()


@pytest.fixture
def with_data(project: Project, git: Git) -> Project:
    """A directory and a file of data, the file's name one that ignore rules could misread."""
    root = project.root
    (root / "big" / "er").mkdir(parents=True)
    for name in ("a", "er/b"):
        (root / "big" / name).write_text(f"{name}\n")
    (root / "!odd [1]*.bin").write_text("odd\n")
    project.data.add("big", "!odd [1]*.bin")
    (root / "dvc.yaml").write_text(
        "stages:\n  look:\n    cmd: find big -type f | sort > seen.txt; cat '!odd [1]*.bin' big/a >> seen.txt; "
        "stat -c %i big/a > inode.txt; sh more.sh\n"
        "    deps: [big, '!odd [1]*.bin', more.sh]\n    params: [seed]\n"
        "    outs: [{seen.txt: {cache: false}}, inode.txt]\n"
    )
    (root / "more.sh").write_text("true\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=data", cwd=root)
    return project


def test_data_that_is_there_from_the_run_before_is_not_copied_again(with_data: Project) -> None:
    made = [with_data.run({"seed": seed}, temp=True) for seed in (1, 2)]
    inodes = {with_data.read(one, "inode.txt") for one in made}
    assert len(inodes) == 1
    assert len({with_data.read(one, "seen.txt") for one in made}) == 1


@pytest.mark.parametrize(
    "meddle",
    [
        "echo edited > big/a",
        "rm big/a",
        "echo more > big/c",
        "mkdir big/empty",
        "echo '*.tmp' > .dvcignore; echo x > big/c.tmp",
        "rm -r big; echo x > big",
        "chmod +x '!odd [1]*.bin'",
        "echo edited > '!odd [1]*.bin'",
        "cp -r big other; rm -r big; ln -s other big",
        "mv big/a other; ln -s ../other big/a",
    ],
)
def test_data_that_a_stage_changed_is_as_ever_in_the_next_run(
    meddle: str, with_data: Project, git: Git
) -> None:
    root = with_data.root
    first = with_data.run({"seed": 1}, temp=True)
    (root / "more.sh").write_text(f"{meddle}\n")
    with_data.run({"seed": 2}, temp=True)
    git("checkout", "--quiet", "more.sh", cwd=root)
    last = with_data.run({"seed": 3}, temp=True)
    assert with_data.read(last, "seen.txt") == with_data.read(first, "seen.txt")
    top = root / ".dvc/tmp/nbexp/wt/temp-0"
    assert sorted(path.name for path in (top / "big").iterdir()) == ["a", "er"]
    assert not os.access(top / "!odd [1]*.bin", os.X_OK)
    assert git("status", "--porcelain", "--ignored", cwd=top).count("!!") >= 2


# --- Frozen when asked ---------------------------------------------------------------------------


def test_edits_made_while_it_runs_do_not_leak_in(project: Project) -> None:
    root = project.root
    (root / "dvc.yaml").write_text(
        "stages:\n  slow:\n    cmd: touch started; while [ ! -e $GATE ]; do sleep 0.02; done; "
        "cat train.sh params.yaml > seen.txt\n"
        "    params: [seed]\n    outs: [{seen.txt: {cache: false}}]\n"
    )
    gate = root.parent / "gate"
    project.stage_env = {**os.environ, "GATE": str(gate)}
    before = (root / "train.sh").read_text()
    top = root / ".dvc" / "tmp" / "nbexp" / "wt" / "temp-0"

    def meddle(event: events.Event) -> None:
        if isinstance(event, events.CommandStarted):
            edit(root / "params.yaml", "seed: 0", "seed: 5")
            (root / "train.sh").write_text("edited\n")
            gate.touch()

    made = project.run({"seed": 3}, temp=True, emit=meddle)
    assert made.params["seed"] == 3
    assert made.read("seen.txt").decode().startswith(before)
    assert (root / "train.sh").read_text() == "edited\n"
    assert "seed: 5" in (root / "params.yaml").read_text()
    assert top.is_dir()


def test_it_runs_while_a_run_in_place_holds_the_workspace(
    project: Project, nbexp_cli: Callable[..., object], tmp_path: Path
) -> None:
    """What that run has changed is not the user's: `lr: 0.5` and its metrics are not in the other."""
    root = project.root
    project.run(name="first")
    (root / "dvc.yaml").write_text(
        (root / "dvc.yaml").read_text().replace("sh train.sh", "sh wait.sh; sh train.sh")
    )
    (root / "wait.sh").write_text('[ -z "$GATE" ] || while [ ! -e "$GATE" ]; do sleep 0.02; done\n')
    subprocess.run(["git", "add", "wait.sh"], cwd=root, check=True)
    edit(root / "params.yaml", "seed: 0", "seed: 4")
    gate = tmp_path / "gate"
    running = nbexp_cli.start(  # type: ignore[attr-defined]
        "run", "-S", "train.lr=0.5", "-n", "here", cwd=root, env={"GATE": str(gate)}
    )
    deadline = time.monotonic() + 60
    while "lr: 0.5" not in (root / "params.yaml").read_text() or (root / "model.txt").exists():
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    made = project.run(name="beside", temp=True)
    assert running.poll() is None
    assert (made.params["train.lr"], made.params["seed"]) == (0.1, 4)
    gate.touch()
    assert running.wait(60) == 0
    project.close()
    assert project["here"].params["train.lr"] == 0.5
    assert made.read("wait.sh") == (root / "wait.sh").read_bytes()


# --- From another version ------------------------------------------------------------------------


@pytest.fixture
def versions(project: Project, git: Git) -> Project:
    """HEAD has another train.sh, and a file more, than the tag `v1`; params.yaml is edited."""
    root = project.root
    git("tag", "v1", cwd=root)
    git("branch", "old", cwd=root)
    (root / "train.sh").write_text((root / "train.sh").read_text() + "# second\n")
    (root / "new.txt").write_text("new\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=second", cwd=root)
    edit(root / "params.yaml", "seed: 0", "seed: 4")
    return project


@pytest.mark.parametrize("what", ["v1", "old", "HEAD~1", "rev", "experiment"])
def test_a_run_starts_from_any_version(
    what: str, versions: Project, git: Git, files: Files, git_state: GitState
) -> None:
    root = versions.root
    rev = git("rev-parse", "v1", cwd=root)
    if what == "experiment":
        rev = versions.run({"seed": 9}, name="known", temp=True).rev
    before, state = files(root), git_state(root)
    typed = {"rev": rev, "experiment": "known"}.get(what, what)
    made = versions.run({"train.lr": 0.03}, name="from-there", temp=True, baseline=typed)
    assert made.baseline == rev
    assert git("rev-parse", f"{made.rev}^", cwd=root) == rev
    assert made.params["seed"] == (9 if what == "experiment" else 0)
    assert b"# second" in made.read("train.sh") or what != "experiment"
    assert (b"# second" in made.read("train.sh")) == (what == "experiment")
    assert files(root) == before
    assert users(git_state(root)) == users(state)
    assert versions.git.head() == git("rev-parse", "main", cwd=root)


def test_edits_go_along_when_asked(versions: Project, git: Git) -> None:
    root = versions.root
    made = versions.run(temp=True, baseline="v1", with_edits=True)
    assert made.params["seed"] == 4
    assert b"# second" not in made.read("train.sh")
    # What both changed, in different lines, is merged.
    script = (root / "train.sh").read_text().splitlines(keepends=True)
    (root / "train.sh").write_text("".join([script[0], "# mine\n", *script[1:]]))
    made = versions.run(temp=True, baseline="v1", with_edits=True)
    assert b"# mine" in made.read("train.sh")
    assert b"# second" not in made.read("train.sh")


def test_edits_that_do_not_fit_are_named_in_one_line(
    versions: Project, git: Git, files: Files
) -> None:
    root = versions.root
    (root / "train.sh").write_text((root / "train.sh").read_text().replace("# second", "# third"))
    (root / "new.txt").write_text("newer\n")
    before = files(root)
    with pytest.raises(UsageError) as raised:
        versions.run(temp=True, baseline="v1", with_edits=True)
    rev = git("rev-parse", "v1", cwd=root)[:7]
    assert str(raised.value).splitlines() == [
        f"Your edits of new.txt, train.sh do not fit on {rev}. Nothing was run.",
        "Hint: without `--with-edits` the run has that version's own files.",
    ]
    assert files(root) == before
    assert git("for-each-ref", "refs/exps", cwd=root) == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"baseline": "v1"}, "`--baseline` is for a run that leaves your files alone."),
        ({"with_edits": True}, "`--with-edits` says that edits go along to another `--baseline`"),
        ({"temp": True, "with_edits": True}, "`--with-edits` says that edits go along to another"),
    ],
)
def test_options_that_do_not_go_together(
    options: dict[str, object], says: str, versions: Project
) -> None:
    with pytest.raises(UsageError, match=says):
        versions.run(**options)  # type: ignore[arg-type]


def test_a_baseline_that_is_nothing(versions: Project) -> None:
    with pytest.raises(NotFound, match="nothing-of-that-name"):
        versions.run(temp=True, baseline="nothing-of-that-name")


# --- When it does not end well -------------------------------------------------------------------


def test_a_failed_run_is_kept_and_the_next_one_is_none_the_worse(
    project: Project, git: Git, files: Files
) -> None:
    root = project.root
    (root / "train.sh").write_text("echo partial > model.txt\nexit 3\n")
    before = files(root)
    with pytest.raises(StageFailed) as raised:
        project.run(name="bad", temp=True)
    assert raised.value.experiment == "bad"
    assert files(root) == before
    kept = git("for-each-ref", "--format=%(refname)", "refs/nbexp/failed", cwd=root)
    assert kept.endswith("/bad")
    assert git("show", f"{kept}:model.txt", cwd=root) == "partial"
    log = list((root / ".dvc" / "tmp" / "nbexp" / "runs").rglob("train.log"))
    assert log
    git("checkout", "--quiet", "train.sh", cwd=root)
    assert actions(project.run(temp=True)) == ["prepare restored", "train ran"]


def test_an_interrupted_run_leaves_no_process_and_a_pool_that_works(
    project: Project, nbexp_cli, git: Git, files: Files, tmp_path: Path
) -> None:
    root = project.root
    marker = tmp_path / "pid"
    (root / "train.sh").write_text(f"sleep 300 & echo $! > {marker}; wait\n")
    before = files(root)
    running = nbexp_cli.start("run", "--temp", "-n", "stopped", cwd=root)
    wait_for(lambda: marker.exists() and marker.read_text().strip())
    os.kill(running.pid, 2)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "Run `stopped` was interrupted. Your workspace is as it was before it." in err
    assert files(root) == before
    wait_for(lambda: not Path(f"/proc/{marker.read_text().strip()}").exists())
    assert "refs/nbexp/failed" in git("for-each-ref", cwd=root)
    git("checkout", "--quiet", "train.sh", cwd=root)
    assert "train" in nbexp_cli("run", "--temp", cwd=root).stdout
    assert [path.name for path in (root / ".dvc/tmp/nbexp/wt").iterdir()] == ["temp-0"]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_at_once_have_a_slot_each_and_run_a_shared_stage_once(
    project: Project, nbexp_cli, git: Git, tmp_path: Path
) -> None:
    root = project.root
    (root / "prepare.sh").write_text(
        f"echo x >> {tmp_path}/ran; sleep 1\n" + (root / "prepare.sh").read_text()
    )
    running = [
        nbexp_cli.start(
            "run", "--temp", "-S", f"train.lr=0.{number}", "-n", f"lr-{number}", cwd=root
        )
        for number in (2, 3)
    ]
    for one in running:
        out, err = one.communicate(timeout=120)
        assert one.returncode == 0, out + err
    assert (tmp_path / "ran").read_text() == "x\n"
    found = git("for-each-ref", "--format=%(refname:lstrip=-1)", "refs/exps", cwd=root).split()
    assert sorted(found) == ["lr-2", "lr-3"]


def test_it_goes_on_when_the_shell_is_closed(project: Project, git: Git, tmp_path: Path) -> None:
    root = project.root
    gate = tmp_path / "gate"
    (root / "train.sh").write_text(
        f"touch {tmp_path}/started; while [ ! -e {gate} ]; do sleep 0.02; done\n"
        + (root / "train.sh").read_text()
    )
    shell = subprocess.Popen(
        ["setsid", "--wait", "sh", "-c", f"nohup {sys.executable} -m nbexp.cli run --temp -n kept & wait"],
        cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for((tmp_path / "started").exists)
    group = int(subprocess.run(
        ["ps", "-o", "pgid=", "--ppid", str(shell.pid)], capture_output=True, text=True, check=True
    ).stdout.split()[0])  # fmt: skip
    os.killpg(group, 1)  # what a terminal sends to all when it closes
    gate.touch()
    wait_for(lambda: git("for-each-ref", "refs/exps", cwd=root).endswith("/kept"))
    shell.wait(60)


# --- The pool -----------------------------------------------------------------------------------


def break_link(root: Path, top: Path) -> None:
    (top / ".git").write_text("gitdir: /nowhere\n")


def break_index(root: Path, top: Path) -> None:
    (root / ".git" / "worktrees" / "temp-0" / "index").write_bytes(b"no index")


def break_head(root: Path, top: Path) -> None:
    (root / ".git" / "worktrees" / "temp-0" / "HEAD").unlink()


def lose_tree(root: Path, top: Path) -> None:
    shutil.rmtree(top)


def lose_all(root: Path, top: Path) -> None:
    shutil.rmtree(root / ".dvc" / "tmp")


def lose_metadata(root: Path, top: Path) -> None:
    shutil.rmtree(root / ".git" / "worktrees")


def leave_locks(root: Path, top: Path) -> None:
    (root / ".git" / "worktrees" / "temp-0" / "index.lock").write_bytes(b"")


def switch_branch(root: Path, top: Path) -> None:
    subprocess.run(["git", "switch", "-qc", "theirs"], cwd=top, check=True)
    subprocess.run(["git", "rm", "-q", "train.sh"], cwd=top, check=True)
    subprocess.run(["git", "commit", "-qm", "theirs"], cwd=top, check=True)


def make_it_a_file(root: Path, top: Path) -> None:
    shutil.rmtree(top)
    top.write_text("")


def prune_it(root: Path, top: Path) -> None:
    shutil.rmtree(top)
    subprocess.run(["git", "worktree", "unlock", top], cwd=root, check=True)
    subprocess.run(["git", "worktree", "prune"], cwd=root, check=True)


@pytest.mark.parametrize(
    "damage",
    [
        break_link, break_index, break_head, lose_tree, lose_all, lose_metadata, leave_locks,
        switch_branch, make_it_a_file, prune_it,
    ],
)  # fmt: skip
def test_a_damaged_work_tree_is_made_anew(
    damage: Callable[[Path, Path], None], project: Project, git: Git
) -> None:
    root = project.root
    top = root / ".dvc" / "tmp" / "nbexp" / "wt" / "temp-0"
    project.run({"train.lr": 0.2}, temp=True)
    damage(root, top)
    project.close()
    made = project.run({"train.lr": 0.03}, temp=True)
    assert made.metrics["acc"] == 0.9333
    assert git("rev-parse", "HEAD", cwd=top) == made.baseline
    listed = git("worktree", "list", "--porcelain", cwd=root)
    assert listed.count("worktree ") == 2
    git("fsck", "--strict", cwd=root)


def test_a_project_in_a_subdirectory(
    pipeline_project: Callable[..., Path], opened: Callable[..., Project], git: Git, files: Files
) -> None:
    top = pipeline_project(subdir="deep/er")
    project = opened(top / "deep" / "er")
    before = files(top)
    made = project.run({"train.lr": 0.03}, temp=True)
    assert made.metrics["acc"] == 0.9333
    assert files(top) == before
    assert "deep/er/metrics.json" in git("ls-tree", "-r", "--name-only", made.rev, cwd=top)


def test_a_project_below_the_repository(
    tmp_path: Path, opened: Callable[..., Project], git: Git, dvc, files: Files
) -> None:
    top = tmp_path / "mono"
    git("init", "--quiet", top)
    (top / "other.txt").write_text("other\n")
    root = top / "projects" / "one"
    root.mkdir(parents=True)
    dvc("init", "--quiet", "--subdir", cwd=root)
    (root / "params.yaml").write_text("seed: 0\n")
    (root / "dvc.yaml").write_text(
        "stages:\n  look:\n    cmd: cat ../../other.txt params.yaml > seen.txt\n    params: [seed]\n"
        "    outs: [seen.txt]\n"
    )
    git("add", "--all", cwd=top)
    git("commit", "--quiet", "--message=mono", cwd=top)
    (top / "other.txt").write_text("edited\n")
    project = opened(root)
    before = files(top)
    for seed in (1, 2):
        made = project.run({"seed": seed}, temp=True)
        assert project.read(made, "seen.txt") == f"edited\nseed: {seed}\n".encode()
    assert files(top) == before
    assert made.report is not None
    assert made.report.folder == f"{root}/.dvc/tmp/nbexp/wt/temp-0/projects/one"


def test_a_work_tree_of_the_users_own(
    project: Project, opened: Callable[..., Project], git: Git, git_state: GitState
) -> None:
    """Its HEAD, index and edits are what counts, not those of the main one."""
    root = project.root
    other = root.parent / "other"
    git("worktree", "add", "--quiet", "-b", "side", other, cwd=root)
    edit(other / "params.yaml", "seed: 0", "seed: 8")
    git("commit", "--quiet", "--all", "--message=side", cwd=other)
    edit(other / "params.yaml", "seed: 8", "seed: 9")
    state = git_state(root)
    made = opened(other).run({"train.lr": 0.03}, temp=True)
    assert made.params["seed"] == 9
    assert made.baseline == git("rev-parse", "side", cwd=root)
    after = git_state(root)
    mine = {path: data for path, data in after.items() if not path.startswith("worktrees/temp-0/")}
    assert mine == state


def test_a_notebook_is_the_same_beside_as_in_place(project: Project, git: Git, nbexp_cli) -> None:
    """Where it ran shows in none of its bytes."""
    root = project.root
    cells = [
        {"source": "lr = 0.1", "tags": ["parameters"]},
        {"source": "import os; print(os.getcwd()); open('m.json', 'w').write('{\"acc\": %s}' % lr)", "tags": []},
    ]  # fmt: skip
    book = {
        "cells": [
            {
                "cell_type": "code", "execution_count": None, "id": f"c{number}", "outputs": [],
                "metadata": {"tags": cell["tags"]}, "source": cell["source"],
            }
            for number, cell in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}},
        "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    (root / "train.ipynb").write_text(json.dumps(book))
    (root / "params.yaml").write_text("train: {lr: 0.1}\n")
    (root / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: nbexp notebook train.ipynb runs/train.ipynb --params train\n"
        "    deps: [train.ipynb]\n    params: [train]\n    outs: [runs/train.ipynb]\n"
        "    metrics: [{m.json: {cache: false}}]\n"
    )
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=notebook", cwd=root)
    made = project.run({"train.lr": 0.5}, name="beside", temp=True)
    assert made.metrics == {"acc": 0.5}
    assert not (root / "runs").exists()
    here = project.run({"train.lr": 0.5}, name="here", new=True, run_cache=False)
    assert project.read("beside", "runs/train.ipynb") == project.read("here", "runs/train.ipynb")
    assert git("rev-parse", f"{made.rev}^{{tree}}", cwd=root) == git(
        "rev-parse", f"{here.rev}^{{tree}}", cwd=root
    )


def test_the_doctor_has_nothing_against_it(project: Project) -> None:
    project.run({"train.lr": 0.2}, temp=True)
    assert [(one.check, one.text) for one in project.doctor(full=True).open] == []


def test_a_repository_that_was_moved_or_copied(
    project: Project, opened: Callable[..., Project], git: Git
) -> None:
    root = project.root
    project.run({"train.lr": 0.2}, temp=True)
    project.close()
    copy = root.parent / "copy"
    shutil.copytree(root, copy, symlinks=True)
    made = opened(copy).run({"train.lr": 0.03}, temp=True)
    assert git("for-each-ref", "refs/exps", cwd=root).count("\n") == 0
    assert made.rev in git("for-each-ref", "refs/exps", cwd=copy)
    moved = root.parent / "moved"
    root.rename(moved)
    again = opened(moved).run({"train.lr": 0.05}, temp=True)
    assert again.report is not None
    assert again.report.folder == str(moved / ".dvc/tmp/nbexp/wt/temp-0")
    git("fsck", "--strict", cwd=moved)


def test_a_sparse_checkout_stays_sparse_there(project: Project, git: Git) -> None:
    root = project.root
    for name in ("big", "small"):
        (root / name).mkdir()
        (root / name / "x").write_text(name)
    listing(root)
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=folders", cwd=root)
    git("sparse-checkout", "set", "small", "data", "prepared", cwd=root)
    made = project.run({"seed": 1}, temp=True)
    seen = made.read("seen.txt").decode().split()
    assert ("small" in seen, "big" in seen) == (True, False)
    assert "big/x" in git("ls-tree", "-r", "--name-only", made.rev, cwd=root)
    git("sparse-checkout", "disable", cwd=root)
    project.close()
    made = project.run({"seed": 2}, temp=True)
    assert "big" in made.read("seen.txt").decode().split()


# --- Submodules ---------------------------------------------------------------------------------


@pytest.fixture
def with_submodule(project: Project, git: Git, tmp_path: Path) -> Project:
    root = project.root
    lib = tmp_path / "lib"
    git("init", "--quiet", lib)
    (lib / "lib.txt").write_text("one\n")
    git("add", "--all", cwd=lib)
    git("commit", "--quiet", "--message=one", cwd=lib)
    git("submodule", "--quiet", "add", lib, "libs/lib", cwd=root)
    (root / "dvc.yaml").write_text(
        "stages:\n  look:\n    cmd: cat libs/lib/lib.txt > seen.txt; git -C libs/lib rev-parse HEAD >> seen.txt\n"
        "    params: [seed]\n    outs: [{seen.txt: {cache: false}}]\n"
    )
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=submodule", cwd=root)
    return project


def test_submodules_are_there(with_submodule: Project, git: Git, files: Files) -> None:
    root = with_submodule.root
    rev = git("rev-parse", "HEAD", cwd=root / "libs" / "lib")
    for seed in (1, 2):
        made = with_submodule.run({"seed": seed}, temp=True)
        assert made.read("seen.txt").decode().split() == ["one", rev]
    inner = root / "libs" / "lib"
    (inner / "lib.txt").write_text("two\n")
    git("commit", "--quiet", "--all", "--message=two", cwd=inner)
    made = with_submodule.run({"seed": 3}, temp=True)
    newer = git("rev-parse", "HEAD", cwd=inner)
    assert made.read("seen.txt").decode().split() == ["two", newer]
    assert newer in git("ls-tree", made.rev, "libs/lib", cwd=root)
    assert git("status", "--porcelain", cwd=inner) == ""


@pytest.mark.parametrize("setting", ["submodule.recurse", "core.splitIndex"])
def test_submodules_are_there_however_git_is_set_up(
    setting: str, with_submodule: Project, git: Git, files: Files
) -> None:
    root = with_submodule.root
    git("config", setting, "true", cwd=root)
    before = {path.name for path in (root / ".git").iterdir()}
    for seed in (1, 2):
        made = with_submodule.run({"seed": seed}, temp=True)
        assert made.read("seen.txt").decode().split()[0] == "one"
    with_submodule.apply(made.name)
    assert {path.name for path in (root / ".git").iterdir()} == before | {"worktrees"}


def test_what_is_in_a_submodule_is_not_said_to_be_absent(
    with_submodule: Project, nbexp_cli, git: Git
) -> None:
    root = with_submodule.root
    inner = root / "libs" / "lib"
    (inner / "own.py").write_text("X = 1\n")
    git("add", "own.py", cwd=inner)
    git("commit", "--quiet", "--message=own", cwd=inner)
    (inner / "new.txt").write_text("new\n")
    (root / "dvc.yaml").write_text(
        "stages:\n  look:\n    cmd: cat libs/lib/own.py > seen.txt; cat libs/lib/new.txt || true\n"
        "    deps: [libs/lib/own.py]\n    outs: [{seen.txt: {cache: false}}]\n"
    )
    told = nbexp_cli("run", "--temp", cwd=root).stderr
    absent = [line for line in told.splitlines() if "will not be in the run's folder" in line]
    assert len(absent) == 1
    assert "libs/lib/new.txt" in absent[0]
    assert "own.py" not in absent[0]


def test_apply_says_which_submodule_it_leaves_as_it_is(
    with_submodule: Project, nbexp_cli, git: Git
) -> None:
    root = with_submodule.root
    inner = root / "libs" / "lib"
    old = git("rev-parse", "HEAD", cwd=inner)
    (inner / "lib.txt").write_text("two\n")
    git("commit", "--quiet", "--all", "--message=two", cwd=inner)
    new = git("rev-parse", "HEAD", cwd=inner)
    with_submodule.run({"seed": 3}, name="newer")
    rev = with_submodule["newer"].rev
    git("checkout", "--quiet", old, cwd=inner)
    told = nbexp_cli("apply", "newer", cwd=root).stderr
    assert f"The submodule libs/lib stays at {old[:7]}; {rev[:7]} has it at {new[:7]}." in told
    assert f"`git -C libs/lib checkout {new[:7]}`" in told
    assert git("rev-parse", "HEAD", cwd=inner) == old
    git("checkout", "--quiet", new, cwd=inner)
    assert "submodule" not in nbexp_cli("apply", "newer", cwd=root).stderr


def test_a_submodule_that_is_not_here_is_refused_in_one_line(
    with_submodule: Project, git: Git
) -> None:
    root = with_submodule.root
    git("submodule", "--quiet", "deinit", "--force", "libs/lib", cwd=root)
    with pytest.raises(UsageError) as raised:
        with_submodule.run({"seed": 1}, temp=True)
    rev = git("rev-parse", "HEAD:libs/lib", cwd=root)[:7]
    assert str(raised.value).splitlines() == [
        f"The submodule libs/lib is not here at commit {rev}, which the run needs. Nothing was run.",
        "Hint: `git submodule update --init libs/lib`",
    ]


# --- Cleaning -----------------------------------------------------------------------------------


def test_clean_takes_away_what_nothing_runs_in(
    project: Project, nbexp_cli, git: Git, tmp_path: Path
) -> None:
    root = project.root
    project.run({"train.lr": 0.2}, temp=True)
    own = root / ".dvc" / "tmp" / "nbexp"
    gate = tmp_path / "gate"
    (root / "train.sh").write_text(f"touch {gate}; sleep 300\n")
    running = nbexp_cli.start("run", "--temp", cwd=root)
    wait_for(gate.exists)
    (own / "wt" / "temp-7").mkdir()
    (own / "copies" / "lost").mkdir(parents=True)
    os.utime(own / "copies" / "lost", (0, 0))
    told = json.loads(nbexp_cli("clean", "--json", cwd=root).stdout)
    assert told == {"work_trees": ["temp-7"], "leftovers": 1, "in_use": ["temp-0"]}
    running.kill()
    running.wait()
    told = json.loads(nbexp_cli("clean", "--json", cwd=root).stdout)
    assert told == {"work_trees": ["temp-0"], "leftovers": 0, "in_use": []}
    assert not list((own / "wt").iterdir())
    assert git("worktree", "list", "--porcelain", cwd=root).count("worktree ") == 1
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    assert str(gate) not in listed
    assert nbexp_cli("clean", cwd=root).stdout == "Nothing to clean.\n"
    git("checkout", "--quiet", "train.sh", cwd=root)
    assert "train" in nbexp_cli("run", "--temp", cwd=root).stdout


def test_clean_forgets_work_trees_that_are_gone(project: Project, nbexp_cli, git: Git) -> None:
    root = project.root
    project.run({"train.lr": 0.2}, temp=True)
    shutil.rmtree(root / ".dvc" / "tmp")
    assert nbexp_cli("clean", cwd=root).stdout == "1 leftover of killed commands removed.\n"
    assert git("worktree", "list", "--porcelain", cwd=root).count("worktree ") == 1


@pytest.mark.parametrize("verb", ["clean", "gc"])
def test_a_work_tree_of_the_users_own_whose_disk_is_away_is_not_forgotten(
    verb: str, project: Project, nbexp_cli, git: Git, tmp_path: Path
) -> None:
    root, mine, away = project.root, tmp_path / "mine", tmp_path / "away"
    git("worktree", "add", "--quiet", "--detach", mine, cwd=root)
    (mine / "seed.txt").write_text("only there\n")
    git("add", "seed.txt", cwd=mine)
    git("commit", "--quiet", "--all", "--message=only there", cwd=mine)
    rev = git("rev-parse", "HEAD", cwd=mine)
    mine.rename(away)
    project.run({"train.lr": 0.2}, temp=True)
    nbexp_cli(verb, *["--yes"] * (verb == "gc"), cwd=root)
    listed = git("worktree", "list", cwd=root).splitlines()
    assert [line.split()[0] for line in listed] == [str(root), str(mine)]
    away.rename(mine)
    assert git("rev-parse", "HEAD", cwd=mine) == rev
