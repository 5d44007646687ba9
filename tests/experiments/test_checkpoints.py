"""Checkpoints: an experiment grows while it runs, keeps its steps whatever ends it, and goes on from any of them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import nbexp

Cli = Callable[..., subprocess.CompletedProcess[str]]
Git = Callable[..., str]


@pytest.fixture
def root(training_project: Callable[..., Path]) -> Path:
    return training_project()


def chain(root: Path, name: str, git: Git) -> list[str]:
    """The commits of an experiment from the first on the present commit to its tip."""
    ref = git("for-each-ref", "--format=%(refname)", f"refs/exps/**/{name}", cwd=root)
    return git("rev-list", "--reverse", f"HEAD..{ref}", cwd=root).split()


def shown(root: Path, rev: str, git: Git) -> str:
    return git("show", f"{rev}:metrics.json", cwd=root)


def test_each_checkpoint_is_the_next_commit_and_the_result_the_last(root, nbexp_cli, git):
    ran = nbexp_cli("run", "-n", "long", cwd=root)
    commits = chain(root, "long", git)
    assert [shown(root, rev, git) for rev in commits] == [
        '{"acc": 0.5, "epoch": 1}',
        '{"acc": 0.75, "epoch": 2}',
        '{"acc": 0.8333, "epoch": 3}',
        '{"acc": 0.875, "epoch": 4}',
        '{"acc": 0.875, "epoch": 4}',
    ]
    assert "epoch 4 is step 4" in ran.stdout + ran.stderr
    parents = git("log", "--format=%P", "-5", commits[-1], cwd=root).split()
    assert parents[::-1] == [git("rev-parse", "HEAD", cwd=root), *commits[:-1]]
    assert "report" in git("show", f"{commits[-1]}:dvc.lock", cwd=root)
    assert "report" not in git("show", f"{commits[2]}:dvc.lock", cwd=root)
    git("fsck", "--strict", cwd=root)


def test_a_run_that_fails_keeps_its_steps_and_goes_on_from_the_last(root, nbexp_cli, git):
    failed = nbexp_cli("run", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    assert "`long` is kept up to step 2." in failed.stderr
    assert "Hint: `nbexp run --resume long` goes on from there." in failed.stderr
    assert not (root / "model").exists()
    assert git("status", "--porcelain", cwd=root) == ""
    before = chain(root, "long", git)
    assert len(before) == 2
    resumed = nbexp_cli("run", "--resume", "long", cwd=root)
    assert "from epoch 2, step 2" in resumed.stdout + resumed.stderr
    assert "epoch 3 is step 3" in resumed.stdout + resumed.stderr
    commits = chain(root, "long", git)
    assert commits[:2] == before
    assert [shown(root, rev, git)[-2] for rev in commits] == ["1", "2", "3", "4", "4"]
    assert (root / "report.txt").read_text() == "4\n"
    assert nbexp_cli("status", cwd=root).stdout == "Data and pipelines are up to date.\n"
    nbexp_cli("undo", cwd=root)
    assert git("status", "--porcelain", cwd=root) == ""
    assert not (root / "model").exists()


def test_a_step_is_addressed_wherever_a_revision_is(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root)
    _, second, third, _, _ = chain(root, "long", git)
    nbexp_cli("apply", "long@2", cwd=root)
    assert (root / "model" / "weights.txt").read_text() == "2\n"
    assert '"epoch": 2' in (root / "metrics.json").read_text()
    # What a step left is held by it: nothing stands in the way of the next one.
    nbexp_cli("apply", "long@3", cwd=root)
    assert (root / "model" / "weights.txt").read_text() == "3\n"
    opened = nbexp_cli("open", "long@1", "metrics.json", cwd=root).stdout
    assert "metrics.json of long@1" in opened
    assert "acc    0.5\n" in opened
    diff = nbexp_cli("diff", "long@1", "long@4", cwd=root).stdout
    assert "0.5" in diff and "0.875" in diff
    nbexp_cli("branch", "long@3", "third", cwd=root)
    assert git("rev-parse", "third", cwd=root) == third
    nbexp_cli("branch", "long@2", cwd=root)
    assert git("rev-parse", "long-2-branch", cwd=root) == second
    nbexp_cli("get", "long@1", "model/weights.txt", "-o", "first.txt", cwd=root)
    assert (root / "first.txt").read_text() == "1\n"
    wrong = nbexp_cli("apply", "long@9", cwd=root, code=3).stderr
    assert "`long` has no step 9, its steps are 1 to 4." in wrong
    assert "`nbexp show --steps` lists them; the last one is `long@4`." in wrong
    listed = nbexp_cli("show", "--steps", cwd=root).stdout
    assert "long (4 steps)" in listed and "long@4" in listed and "long@5" not in listed


def told(root: Path, words: str, nbexp_cli: Cli) -> list[list[str]]:
    """The lines of a table without the column of times, as words."""
    lines = nbexp_cli(*words.split(), cwd=root).stdout.splitlines()
    return [re.sub(r"\d\d:\d\d|\d{4}-\d\d-\d\d", "", line).split() for line in lines]


def test_the_table_shows_the_tip_and_with_steps_each_of_them(root, nbexp_cli):
    nbexp_cli("run", "-n", "done", "-S", "epochs=2", cwd=root)
    nbexp_cli("run", "-n", "cut", "-S", "lr=0.1", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    short = told(root, "show --drop epoch --hide-workspace", nbexp_cli)
    assert short[0] == ["experiment", "created", "state", "acc", "lr"]
    assert sorted(short[2:]) == [
        ["cut", "(2", "steps)", "interrupted", "at", "step", "2", "0.95", "0.1"],
        ["done", "(2", "steps)", "done", "0.75", "0.5"],
    ]
    whole = told(root, "show --steps --drop epoch --hide-workspace --sort-by lr", nbexp_cli)
    assert whole[2:] == [
        ["cut", "(2", "steps)", "interrupted", "at", "step", "2", "0.95", "0.1"],
        ["cut@2", "done", "0.95", "0.1"],
        ["cut@1", "done", "0.9", "0.1"],
        ["done", "(2", "steps)", "done", "0.75", "0.5"],
        ["done@2", "done", "0.75", "0.5"],
        ["done@1", "done", "0.5", "0.5"],
    ]
    csv = nbexp_cli("show", "--steps", "--csv", "--sort-by", "lr", cwd=root).stdout.splitlines()
    assert [line.split(",")[0:3:2] for line in csv[3:]] == [
        ["cut", "branch_commit"],
        ["cut@2", "checkpoint_commit"],
        ["cut@1", "checkpoint_commit"],
        ["done", "branch_base"],
        ["done@2", "checkpoint_commit"],
        ["done@1", "checkpoint_commit"],
    ]
    markdown = nbexp_cli("show", "--steps", "--md", cwd=root).stdout
    assert "[cut@1]" in markdown
    assert "[done@2]" in markdown


def test_json_has_the_commits_of_the_chain_with_their_numbers(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "cut", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    (state,) = json.loads(nbexp_cli("show", "--json", "--hide-workspace", cwd=root).stdout)
    (member,) = state["experiments"]
    first, second = chain(root, "cut", git)
    assert (member["name"], member["executor"]) == ("cut", None)
    assert [(one["rev"], one["step"]) for one in member["revs"]] == [(second, 2), (first, 1)]
    assert (member["revs"][0]["steps"], member["revs"][0]["state"]) == (2, "interrupted")


def test_a_cell_shows_the_steps_as_rows_of_a_real_table(root, nbexp_cli, monkeypatch):
    from nbexp.jupyter import display

    nbexp_cli("run", "-n", "cut", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    monkeypatch.chdir(root)
    project = nbexp.open()
    page = display.html(project.show(steps=True))
    assert re.search(r"<th[^>]*>(<[^>]*>|&emsp;|\s)*cut@1", page)
    assert "■ interrupted at step 2" in page
    assert "(2 steps)" in page
    frame = project.show(steps=True).to_frame()
    assert list(frame["experiment"])[-3:] == ["cut", "cut@2", "cut@1"]
    project.close()


def test_a_step_in_the_middle_starts_a_branch_of_the_chain(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root)
    old = chain(root, "long", git)
    nbexp_cli("run", "--resume", "long@2", "-n", "other", "-S", "lr=0.8", cwd=root)
    new = chain(root, "other", git)
    assert new[:2] == old[:2]
    assert [shown(root, rev, git) for rev in new[2:]] == [
        '{"acc": 0.7333, "epoch": 3}',
        '{"acc": 0.8, "epoch": 4}',
        '{"acc": 0.8, "epoch": 4}',
    ]
    assert chain(root, "long", git) == old
    drawn = nbexp_cli("run", "--rev", "long@1", cwd=root).stdout
    name = re.search(r"^(\S+)   done in", drawn, re.MULTILINE)[1]
    assert chain(root, name, git)[:1] == old[:1]
    assert name != "long"


def test_a_finished_experiment_goes_on_too_and_can_be_begun_over(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", "-S", "epochs=2", cwd=root)
    old = chain(root, "long", git)
    nbexp_cli("run", "--resume", "long", "-S", "epochs=3", cwd=root)
    assert chain(root, "long", git)[:3] == old
    assert [shown(root, rev, git)[-2] for rev in chain(root, "long", git)] == list("12233")
    again = nbexp_cli("run", "--resume", "long", "--reset", cwd=root)
    assert "from epoch 0, step None" in again.stdout + again.stderr
    assert [shown(root, rev, git)[-2] for rev in chain(root, "long", git)] == list("1233")
    assert nbexp_cli("trash", cwd=root).stdout.count("long") == 1
    reset = nbexp_cli("run", "--reset", "-n", "long", "-S", "epochs=1", cwd=root)
    assert "from epoch 0" in reset.stdout + reset.stderr
    assert [shown(root, rev, git)[-2] for rev in chain(root, "long", git)] == list("11")


def test_what_was_stopped_is_no_answer_to_the_same_run(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    taken = nbexp_cli("run", "-n", "long", cwd=root, code=3).stderr
    assert "Experiment `long` already exists" in taken
    assert (
        "Hint: `nbexp run --resume long` goes on from its last step, `-n long --force` replaces it."
        in taken
    )
    ran = nbexp_cli("run", "-n", "other", cwd=root)
    assert "identical" not in ran.stdout
    assert len(chain(root, "other", git)) == 5
    assert "identical to other" in nbexp_cli("run", cwd=root).stdout


def test_nothing_of_a_resumed_stage_is_in_the_run_cache(root, nbexp_cli):
    nbexp_cli("run", "-n", "long", "-S", "lr=0.1", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    nbexp_cli("run", "--resume", "long", cwd=root)
    listed = nbexp_cli("cache", "list", cwd=root).stdout
    assert "report" in listed
    assert "train" not in listed


def test_steps_are_taken_off_and_brought_back(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root)
    whole = chain(root, "long", git)
    middle = nbexp_cli("remove", "long@2", cwd=root, code=2).stderr
    assert "Hint: `nbexp remove long@2..` takes off that one and all behind it." in middle
    assert nbexp_cli("remove", "long@3..", cwd=root).stdout == "removed long@3..\n"
    assert chain(root, "long", git) == whole[:2]
    assert "long (2 steps)" in nbexp_cli("show", cwd=root).stdout
    nbexp_cli("trash", "restore", "long", cwd=root)
    assert chain(root, "long", git) == whole
    nbexp_cli("remove", "long@4..", cwd=root)
    assert nbexp_cli("undo", cwd=root).stdout.startswith("undid remove long@4..")
    assert chain(root, "long", git) == whole
    nbexp_cli("remove", "long@2..", cwd=root)
    nbexp_cli("run", "--resume", "long", cwd=root)
    assert chain(root, "long", git)[:1] == whole[:1]
    nbexp_cli("remove", "long@1..", cwd=root)
    assert nbexp_cli("list", cwd=root).stdout == "no experiments yet. Next: nbexp run\n"


def test_while_it_runs_it_is_shown_and_its_steps_stay(root, nbexp_cli, git):
    run = nbexp_cli.start("run", "-n", "long", cwd=root, env={"TROUBLE": "wait@2"})
    wait_for(root / "waiting")
    assert "running at step 2" in nbexp_cli("show", cwd=root).stdout
    (state,) = json.loads(nbexp_cli("show", "--json", "--hide-workspace", cwd=root).stdout)
    assert state["experiments"][0]["executor"]["state"] == "running"
    for words in ("remove long@2..", "remove long", "rename long other"):
        refused = nbexp_cli(*words.split(), cwd=root, code=2).stderr
        assert "`long` is running and goes on from its last step" in refused
    run.send_signal(signal.SIGINT)
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "`long` is kept up to step 2." in stderr
    assert len(chain(root, "long", git)) == 2
    assert "interrupted at step 2" in nbexp_cli("show", cwd=root).stdout


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.05)


def test_what_explains_and_verifies_an_experiment_looks_past_its_steps(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root)
    why = nbexp_cli("why", "train", "long", cwd=root).stdout
    assert "long@" not in why
    assert "it had not run before" in why
    verified = nbexp_cli("verify", "long", cwd=root).stdout
    assert "train" in verified
    nbexp_cli("clone", "long", "-S", "lr=0.1", "-n", "cloned", cwd=root)
    assert len(chain(root, "cloned", git)) == 5
    nbexp_cli("rerun", "long", "-n", "again", cwd=root)
    assert len(chain(root, "again", git)) == 5
    script = nbexp_cli("script", "long", cwd=root).stdout
    assert "nbexp run -n long" in script


def test_two_who_go_on_at_once_go_on_one_after_the_other(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@1"})
    both = [nbexp_cli.start("run", "--resume", "long", cwd=root) for _ in range(2)]
    for one in both:
        stdout, stderr = one.communicate(timeout=300)
        assert one.returncode == 0, stderr + stdout
    # The second finds nothing left to train, and its result is one more commit.
    assert [shown(root, rev, git)[-2] for rev in chain(root, "long", git)] == list("123444")
    git("fsck", "--strict", cwd=root)


def test_edits_are_not_overwritten_by_a_step(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    script = root / "train.py"
    script.write_text(script.read_text() + "# mine\n")
    params = root / "params.yaml"
    params.write_text(params.read_text() + "mine: 1\n")
    before = script.read_bytes(), params.read_bytes()
    refused = nbexp_cli("run", "--resume", "long", cwd=root, code=3).stderr
    assert (
        "edits that no commit or experiment holds: params.yaml, train.py. Nothing was run."
        in refused
    )
    assert "`nbexp run --resume long --force`" in refused
    assert (script.read_bytes(), params.read_bytes()) == before
    nbexp_cli("run", "--resume", "long", "--force", cwd=root)
    assert "# mine" not in script.read_text()
    assert len(chain(root, "long", git)) == 5
    nbexp_cli("undo", cwd=root)
    assert (script.read_bytes(), params.read_bytes()) == before


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("run --resume long --dry", 2, "`nbexp apply long`, then `nbexp run --dry`."),
        (
            "run --resume long report -s",
            2,
            "report does not come to train, which goes on from `long`.",
        ),
        ("run --resume long -n main", 3, "`main` is a branch of this repository"),
        ("run --resume long@7", 3, "`long` has no step 7, its steps are 1 to 2."),
        ("run --resume nothing", 3, "There is no experiment `nothing`."),
        ("run --resume main", 3, "There is no experiment `main`."),
        ("run --resume long@7 -S lr=1,2", 3, "`long` has no step 7, its steps are 1 to 2."),
        ("remove long@0..", 3, "`long` has no step 0, its steps are 1 to 2."),
        ("remove long@3..", 3, "`long` has no step 3, its steps are 1 to 2."),
        ("remove --keep long@2..", 2, "those are taken off here"),
        ("diff long@1 long@99", 3, "`long` has no step 99"),
    ],
)
def test_what_cannot_be_met_is_told_and_changes_nothing(words, code, told, root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    before = git("for-each-ref", cwd=root)
    failed = nbexp_cli(*words.split(), cwd=root, code=code)
    assert told in failed.stderr
    assert git("for-each-ref", cwd=root) == before
    assert git("status", "--porcelain", cwd=root) == ""


def test_from_python_too_with_an_event_for_each_step(root, nbexp_cli, monkeypatch):
    from nbexp.events import CheckpointMade

    monkeypatch.chdir(root)
    monkeypatch.setenv("TROUBLE", "exit@2")
    project = nbexp.open()
    told: list[object] = []
    with pytest.raises(nbexp.errors.StageFailed) as failed:
        project.run(name="long", emit=told.append)
    assert failed.value.hint == "`nbexp run --resume long` goes on from there."
    steps = [event for event in told if isinstance(event, CheckpointMade)]
    assert [(one.stage, one.step, one.name) for one in steps] == [
        ("train", 1, "long"),
        ("train", 2, "long"),
    ]
    assert steps[-1].rev == project["long"].rev == project["long@2"].rev
    assert project["long@1"].metrics == {"acc": 0.5, "epoch": 1}
    assert project["long@1"].name == "long@1"
    assert json.loads(project["long@1"].read("metrics.json")) == {"acc": 0.5, "epoch": 1}
    monkeypatch.delenv("TROUBLE")
    done = project.run(resume=project["long"])
    assert (done.name, done.metrics["epoch"], done.report.steps) == ("long", 4, 4)
    assert done.report.versus == "long@2"
    other = project.run({"lr": 0.25}, resume="long@1", name="other")
    assert other.baseline == done.baseline
    row = project.show(steps=True)["other"]
    assert (row.steps, row.step, [one.step for one in row.earlier]) == (4, 5, [4, 3, 2, 1])
    assert project.remove("other@2..").names == ("other@2..",)
    assert project.show()["other"].state == "interrupted"
    project.close()


def test_it_goes_on_wherever_head_is_by_now(root, nbexp_cli, git):
    nbexp_cli("run", "-n", "long", cwd=root, code=1, env={"TROUBLE": "exit@2"})
    baseline = git("rev-parse", "HEAD", cwd=root)
    (root / "new.txt").write_text("new\n")
    (root / "params.yaml").write_text("lr: 0.3\nepochs: 9\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=later", cwd=root)
    nbexp_cli("run", "--resume", "long", cwd=root)
    ref = git("for-each-ref", "--format=%(refname)", "refs/exps/**/long", cwd=root)
    assert f"/{baseline[2:]}/" in ref
    commits = git("rev-list", "--reverse", f"{baseline}..{ref}", cwd=root).split()
    assert [shown(root, rev, git)[-2] for rev in commits] == list("12344")
    assert "new.txt" not in git("ls-tree", "-r", "--name-only", commits[-1], cwd=root)
    nbexp_cli("undo", cwd=root)
    assert git("status", "--porcelain", cwd=root) == ""
    assert (root / "new.txt").read_text() == "new\n"


def test_in_a_project_below_the_top_and_a_stage_below_that(repo, root, nbexp_cli, git):
    top = repo / "sub"
    for path in (".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes((root / path).read_bytes())
    deep = top / "deep"
    deep.mkdir()
    for path in ("train.py", "dvc.yaml", "params.yaml"):
        (deep / path).write_bytes((root / path).read_bytes())
    git("add", "--all", cwd=repo)
    git("commit", "--quiet", "--message=below", cwd=repo)
    nbexp_cli("run", "-n", "long", cwd=deep, code=1, env={"TROUBLE": "exit@2"})
    first = chain(repo, "long", git)[0]
    assert git("show", f"{first}:sub/deep/metrics.json", cwd=repo).startswith('{"acc": 0.5')
    assert "path: model" in git("show", f"{first}:sub/deep/dvc.lock", cwd=repo)
    message = git("show", "-s", "--format=%B", first, cwd=repo)
    assert "Nbexp-Stage: deep/dvc.yaml:train" in message
    # From the root, where there is no dvc.yaml, that of the stage is meant.
    nbexp_cli("run", "--resume", "long", cwd=top)
    assert len(chain(repo, "long", git)) == 5
    assert (deep / "report.txt").read_text() == "4\n"
    nbexp_cli("apply", "long@1", cwd=deep)
    assert (deep / "model" / "weights.txt").read_text() == "1\n"
