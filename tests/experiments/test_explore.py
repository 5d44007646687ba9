"""The run cache: every run is listed with its stage and its holders, comes back, and becomes an experiment."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import commands
from nbexp.errors import NameTaken, NotFound, StoreError, UsageError
from nbexp.events import Event, Notice
from nbexp.experiments import conditions
from nbexp.formats import dvc_lock, run_cache
from nbexp.formats.dvc_lock import LockedPath, LockedStage
from nbexp.render.run_cache import holders

if TYPE_CHECKING:
    from nbexp import Project

FilesOf = Callable[[Path], dict[str, tuple[str, bytes]]]
GitState = Callable[[Path], dict[str, bytes]]
Git = Callable[..., str]

RATES = (0.1, 0.2, 0.3)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def repro(project: Project, git: Git, **values: object) -> None:
    """Run without keeping the experiment: the run cache alone knows of it, as after `dvc repro`."""
    made = project.run({f"train.{key}": value for key, value in values.items()}, new=True)
    git(
        "update-ref",
        "-d",
        f"refs/exps/{made.baseline[:2]}/{made.baseline[2:]}/{made.name}",
        cwd=project.root,
    )


@pytest.fixture
def tried(project: Project, git: Git) -> Project:
    """Three runs of `train` that nothing records; the workspace is as after the last."""
    for rate in RATES:
        repro(project, git, lr=rate)
    return project


def key_of(project: Project, rate: float) -> str:
    [run] = project.run_cache.list(stage="train", params=[f"lr={rate}"])
    return run.short


def notices(told: list[Event]) -> list[str]:
    return [one.message for one in told if isinstance(one, Notice)]


# --- Listing ------------------------------------------------------------------------------------


def test_every_run_has_its_stage_and_what_went_in_and_out(tried: Project) -> None:
    runs = tried.run_cache.list()
    assert [(run.stage, run.params.get("train.lr")) for run in runs] == [
        ("train", 0.3),
        ("train", 0.2),
        ("train", 0.1),
        ("prepare", None),
    ]
    newest = runs.runs[0]
    assert newest.command == "sh train.sh"
    assert [dep.path for dep in newest.entry.deps] == ["prepared", "train.sh"]
    assert [(out.path, out.size) for out in newest.entry.outs] == [
        ("metrics.json", 38),
        ("model.txt", 110),
        ("plots/acc.csv", 36),
    ]
    assert abs(newest.saved_s - time.time()) < 60
    assert all(run.is_orphan and not run.is_stale for run in runs)


def test_who_holds_a_run(tried: Project, git: Git) -> None:
    root = tried.root
    tried.run({"train.lr": 0.2}, name="second")
    tried.run({"train.lr": 0.1})
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=first", cwd=root)
    tried.run({"train.lr": 0.3})
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=third", cwd=root)
    git("tag", "v1", cwd=root)
    held = {
        run.params["train.lr"]: (run.experiments[-1:], run.commits, run.is_here)
        for run in tried.run_cache.list(stage="train")
    }
    first = git("rev-parse", "--short=7", "HEAD~1", cwd=root)
    assert held[0.2] == (("second",), (), False)
    assert held[0.1][1:] == ((first,), False)
    assert held[0.3][1:] == (("main", "v1"), True)
    assert not tried.run_cache.list(orphans=True).runs


def test_a_failed_run_is_named_with_its_finished_stages(project: Project) -> None:
    edit(project.root / "train.sh", "set -eu", "exit 3")
    with pytest.raises(Exception, match="exit code 3"):
        project.run(name="broken")
    [run] = project.run_cache.list()
    assert (run.stage, run.failed, run.is_orphan) == ("prepare", ("broken",), True)
    assert holders(run) == "orphan (failed broken)"


def test_a_stage_that_was_renamed_and_changed_is_guessed_by_its_outputs_or_unknown(
    tried: Project,
) -> None:
    root = tried.root
    (root / "dvc.lock").unlink()
    edit(root / "dvc.yaml", "cmd: sh train.sh", "cmd: sh train.sh --fast")
    assert {run.stage for run in tried.run_cache.list(params=["lr>0"])} == {"train?"}
    edit(root / "dvc.yaml", "- model.txt", "- other.txt")
    assert {run.stage for run in tried.run_cache.list(params=["lr>0"])} == {"?"}
    assert len(tried.run_cache.list(stage="?")) == 3


def test_conditions_pick_runs(tried: Project) -> None:
    def rates(**asked: Any) -> list[object]:
        found = tried.run_cache.list(stage="train", **asked)
        return [run.params["train.lr"] for run in found]

    assert rates(params=["lr>0.1"]) == [0.3, 0.2]
    assert rates(params=["train.lr<=0.2", "epochs=3"]) == [0.2, 0.1]
    assert rates(params=["lr!=0.2"]) == [0.3, 0.1]
    assert rates(params=["lr>big"]) == []
    assert rates(params=["nothing=1"]) == []
    assert rates(sort="lr") == [0.1, 0.2, 0.3]
    assert rates(sort="lr", num=2) == [0.1, 0.2]
    assert rates(since="1h") == [0.3, 0.2, 0.1]
    assert rates(since="2999-01-01") == []
    assert rates(num=0) == []
    by_size = [run.size for run in tried.run_cache.list(sort="size")]
    assert by_size == sorted(by_size, reverse=True)
    assert [run.stage for run in tried.run_cache.list(sort="stage")] == ["prepare"] + ["train"] * 3
    for old, run in enumerate(tried.run_cache.list(stage="train").runs):
        path = tried.cache.folder / "runs" / run.key[:2] / run.key / run.value
        os.utime(path, (time.time() - 3000 * old,) * 2)
    assert rates(since="90m") == [0.3, 0.2]


@pytest.mark.parametrize("text", ["lr", ">1", "", "lr ~ 2"])
def test_what_is_no_condition_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no condition on a param"):
        conditions.condition(text)


def test_what_cannot_be_meant_is_told_with_the_nearest(tried: Project) -> None:
    with pytest.raises(NotFound) as told:
        tried.run_cache.list(stage="tran")
    assert told.value.hint == "did you mean `train`?"
    with pytest.raises(NotFound) as told:
        tried.run_cache.list(sort="train.l")
    assert told.value.hint == "did you mean `train.lr`?"
    with pytest.raises(UsageError, match="`soon` is no time"):
        tried.run_cache.list(since="soon")
    with pytest.raises(NotFound, match="has no run `beef`"):
        tried.run_cache.show("beef")


def test_two_results_of_one_key_are_told_apart(project: Project, git: Git) -> None:
    """A stage that is not deterministic, run twice on the same."""
    edit(project.root / "train.sh", "set -eu", "set -eu; date +%N > model.txt; m=$(cat model.txt)")
    edit(project.root / "train.sh", "{ tail", "{ echo $m; tail")
    project.run(new=True, force=True, name="a")
    project.run(new=True, force=True, name="b")
    one, other = project.run_cache.list(stage="train")
    assert one.key == other.key
    assert one.short != other.short
    assert project.run_cache.show(one.short).value == one.value
    with pytest.raises(NotFound, match="2 runs of the run cache start with"):
        project.run_cache.show(one.key)


def test_damaged_entries_are_told_and_hide_no_other(tried: Project) -> None:
    run = tried.run_cache.list(stage="train").runs[0]
    folder = tried.cache.folder / "runs"
    path = folder / run.key[:2] / run.key / run.value
    path.write_bytes(b"cmd: [1\n")
    (folder / "README").write_text("not ours")
    (folder / run.key[:2] / run.key / "tmp.part").write_text("cmd: x\n")
    told: list[Event] = []
    found = tried.run_cache.list(emit=told.append)
    assert len(found) == 3
    assert found.unreadable == (f"runs/{run.key[:2]}/{run.key}/{run.value}",)
    assert found.total == 4


def test_a_hostile_entry_reads_nothing_outside_of_the_cache(tried: Project) -> None:
    outs = (LockedPath("../../etc/passwd", "../" * 12 + "etc/passwd", 1),)
    entry = LockedStage("x", (LockedPath("a", "0" * 32),), {}, outs)
    plain = entry.entry()
    tried.cache.save_run(run_cache.key(plain), run_cache.value(plain), dvc_lock.dump_entry(entry))
    [run] = tried.run_cache.list(stage="?")
    assert run.missing == ("../../etc/passwd",)
    with pytest.raises(StoreError, match="The cache lacks"):
        tried.run_cache.restore(run.short)
    with pytest.raises(StoreError, match="The cache lacks"):
        tried.run_cache.promote(run.short)


def test_the_shapes_of_the_list(tried: Project) -> None:
    runs = tried.run_cache.list(stage="train", sort="lr")
    assert [json.loads(commands.to_json(runs))[0][key] for key in ("stages", "cmd", "orphan")] == [
        ["train"], "sh train.sh", True,
    ]  # fmt: skip
    lines = runs.to_csv().splitlines()
    assert lines[0] == "key,stage,when,cmd,params,deps,outs,size,experiments,commits,orphan,missing"
    assert lines[1].startswith(f"{runs.runs[0].key}/{runs.runs[0].value},train,")
    assert lines[1].endswith(",184,,,orphan,")
    markdown = runs.to_markdown().splitlines()
    assert len(markdown) == 5
    assert "seed=0 train.epochs=3 train.lr=0.1" in markdown[2]
    frame = runs.to_frame()
    assert list(frame["params.train.lr"]) == [0.1, 0.2, 0.3]
    assert frame["when"].dt.tz is not None
    assert list(frame["size"]) == [184, 184, 184]
    assert runs[runs.runs[1].key[:9]] == runs.runs[1]


def test_nothing_has_run_yet(project: Project) -> None:
    runs = project.run_cache.list()
    assert str(runs) == "no runs yet. Next: nbexp run"
    assert len(runs.to_frame()) == 0


# --- Lost outputs -------------------------------------------------------------------------------


def lose(project: Project, md5: str) -> None:
    path = project.cache.folder / "files" / "md5" / md5[:2] / md5[2:]
    path.chmod(0o644)
    path.unlink()


def test_a_run_whose_outputs_are_gone_is_stale_and_runs_again(tried: Project, git: Git) -> None:
    key = key_of(tried, 0.1)
    run = tried.run_cache.show(key)
    model = next(out.md5 for out in run.entry.outs if out.path == "model.txt")
    lose(tried, model)
    [stale] = tried.run_cache.list(stale=True)
    assert (stale.key, stale.missing) == (run.key, ("model.txt",))
    with pytest.raises(StoreError) as told:
        tried.run_cache.restore(key)
    assert told.value.message == f"The cache lacks model.txt of run `{key}`. Nothing was restored."
    with pytest.raises(StoreError, match="Nothing was recorded"):
        tried.run_cache.promote(key)
    made = tried.run({"train.lr": 0.1})
    assert made.report is not None
    assert [stage.action for stage in made.report.stages] == ["skipped", "ran"]
    assert not tried.run_cache.list(stale=True).runs
    assert tried.run_cache.show(key).experiments == (made.name,)


def test_a_directory_that_lacks_one_file_is_stale(tried: Project) -> None:
    [run] = tried.run_cache.list(stage="prepare")
    inner = tried.cache.items(run.entry.outs[0].md5)
    lose(tried, inner[0].md5)
    assert tried.run_cache.show(run.short).missing == ("prepared",)


def test_a_truncated_object_is_lost(tried: Project) -> None:
    run = tried.run_cache.show(key_of(tried, 0.1))
    model = next(out.md5 for out in run.entry.outs if out.path == "model.txt")
    path = tried.cache.folder / "files" / "md5" / model[:2] / model[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-3])
    path.chmod(0o444)
    assert tried.run_cache.show(run.short).missing == ("model.txt",)


# --- Restoring ----------------------------------------------------------------------------------


def test_outputs_come_back_and_undo_takes_them_away(
    tried: Project, files: FilesOf, git_state: GitState
) -> None:
    root = tried.root
    before, state = files(root), git_state(root)
    restored = tried.run_cache.restore(key_of(tried, 0.1))
    assert restored.outs == ("metrics.json", "model.txt", "plots/acc.csv")
    assert restored.differing == ("params.yaml:train.lr 0.3 -> 0.1",) or restored.differing == (
        "params.yaml:train.lr 0.1 -> 0.3",
    )
    assert json.loads((root / "metrics.json").read_text())["acc"] == 0.8633
    edit(root / "params.yaml", "lr: 0.3", "lr: 0.1")
    assert tried.status().is_clean
    edit(root / "params.yaml", "lr: 0.1", "lr: 0.3")
    tried.undo()
    assert files(root) == before
    assert git_state(root) == state


def test_a_run_that_is_there_already_changes_nothing(tried: Project, files: FilesOf) -> None:
    before = files(tried.root)
    restored = tried.run_cache.restore(key_of(tried, 0.3))
    assert (restored.outs, restored.differing) == ((), ())
    assert files(tried.root) == before


def test_edits_that_nothing_holds_stop_it(tried: Project, files: FilesOf) -> None:
    key = key_of(tried, 0.1)
    (tried.root / "model.txt").unlink()
    (tried.root / "model.txt").write_text("mine\n")
    (tried.root / "metrics.json").write_text('{"acc": 1}\n')
    before = files(tried.root)
    with pytest.raises(StoreError) as told:
        tried.run_cache.restore(key)
    assert told.value.message == (
        "2 outputs have edits that no commit, experiment or cache holds: metrics.json, model.txt. "
        "Nothing was restored."
    )
    assert files(tried.root) == before
    restored = tried.run_cache.restore(key, force=True)
    assert restored.saved == ("metrics.json", "model.txt")
    tried.undo()
    assert files(tried.root) == before


def test_a_run_of_no_stage_here_is_told(tried: Project, files: FilesOf) -> None:
    key = key_of(tried, 0.1)
    edit(tried.root / "dvc.yaml", "- model.txt", "- other.txt")
    before = files(tried.root)
    with pytest.raises(NotFound, match="which no stage here makes"):
        tried.run_cache.restore(key)
    assert files(tried.root) == before


SHARED = "stages:\n  {}:\n    cmd: cp in.txt out.txt\n    deps: [in.txt]\n    outs: [out.txt]\n"


@pytest.fixture
def shared(repo: Path, opened: Callable[..., Project], git: Git) -> Project:
    """Two stages of two directories that share a run."""
    for folder, name in (("a", "one"), ("b", "two")):
        (repo / folder).mkdir()
        (repo / folder / "dvc.yaml").write_text(SHARED.format(name))
        (repo / folder / "in.txt").write_text("1\n")
    (repo / ".dvc").mkdir()
    (repo / ".dvc" / ".gitignore").write_text("/tmp\n/cache\n")
    (repo / ".dvc" / "config").write_text("")
    git("add", "--all", cwd=repo)
    git("commit", "--quiet", "--message=two", cwd=repo)
    project = opened(repo)
    project.run(targets=["a/dvc.yaml:one"], name="first")
    return project


def test_which_of_two_stages_is_meant_has_to_be_said(shared: Project) -> None:
    [run] = shared.run_cache.list()
    assert run.stages == ("a/dvc.yaml:one",)
    with pytest.raises(UsageError) as told:
        shared.run_cache.restore(run.short)
    assert "a/dvc.yaml:one, b/dvc.yaml:two" in told.value.message
    assert (
        told.value.hint == f"say which: `nbexp cache restore {run.short} --stage a/dvc.yaml:one`."
    )
    restored = shared.run_cache.restore(run.short, stage="b/dvc.yaml:two")
    assert restored.outs == ("b/out.txt",)
    assert shared.status().is_clean
    with pytest.raises(UsageError, match="may be of each"):
        shared.run_cache.promote(run.short)
    made = shared.run_cache.promote(run.short, stage="b/dvc.yaml:two", name="of-two")
    assert made.stages == (("b/dvc.yaml:two", run.short),)
    assert b"out.txt" in shared.read("of-two", "b/dvc.lock")


# --- Promoting ----------------------------------------------------------------------------------


def test_an_orphan_becomes_what_its_run_would_have_recorded(
    tried: Project, git: Git, files: FilesOf, git_state: GitState
) -> None:
    """Beside the experiment of a run with the same values, but for its time."""
    before, state = files(tried.root), git_state(tried.root)
    made = tried.run_cache.promote(key_of(tried, 0.1), name="late", message="found again")
    assert files(tried.root) == before
    assert git_state(tried.root) == state
    assert made.stages[1][0] == "prepare"
    assert tried["late"].metrics["acc"] == 0.8633
    assert git("log", "-1", "--format=%B", made.rev, cwd=tried.root).strip() == "found again"
    told = tried["late"].recorded.run
    assert told["command"] == f"nbexp cache promote {key_of(tried, 0.1)} -n late -m 'found again'"
    # Nobody knows in what it ran.
    assert not {"python", "packages", "host"} & set(told)
    real = tried.run({"train.lr": 0.1}, name="real", new=True)
    assert git("diff", "--stat", made.rev, real.rev, cwd=tried.root) == ""
    git("checkout", "--quiet", "--", ".", cwd=tried.root)
    tried.apply("late", force=True)
    assert tried.status().is_clean


def test_its_values_go_into_the_params_file_and_nothing_else_of_it_changes(tried: Project) -> None:
    made = tried.run_cache.promote(key_of(tried, 0.2), name="late")
    assert made.params == {"train.lr": 0.2}
    text = tried.read("late", "params.yaml").decode()
    assert "lr: 0.2  # the step size" in text
    assert text.startswith("# Chosen by hand.\n")


def test_code_that_was_never_committed_comes_from_the_workspace(project: Project, git: Git) -> None:
    edit(project.root / "train.sh", "set -eu", "set -eu # better")
    repro(project, git, lr=0.2)
    made = project.run_cache.promote(key_of(project, 0.2), name="late")
    assert made.from_workspace == ("train.sh",)
    assert project.read("late", "train.sh") == (project.root / "train.sh").read_bytes()


def test_code_of_an_earlier_commit_makes_that_the_baseline(tried: Project, git: Git) -> None:
    first = git("rev-parse", "HEAD", cwd=tried.root)
    key = key_of(tried, 0.1)
    edit(tried.root / "train.sh", "set -eu", "set -eu # better")
    git("commit", "--quiet", "--all", "--message=better", cwd=tried.root)
    told: list[Event] = []
    made = tried.run_cache.promote(key, name="late", emit=told.append)
    assert made.baseline == first
    assert notices(told)[-1] == (
        f"HEAD is not what run `{key}` read (train.sh is another); the experiment is on {first[:7]}, "
        "which is."
    )
    assert tried["late"].metrics["acc"] == 0.8633


def test_a_long_history_costs_a_look_at_what_differs_in_it(
    tried: Project, git: Git, count_git: Any, opened: Callable[..., Project]
) -> None:
    """Three hundred commits after the one it ran on, of which one changed what it read."""
    first = git("rev-parse", "HEAD", cwd=tried.root)
    key = key_of(tried, 0.1)
    edit(tried.root / "train.sh", "set -eu", "set -eu # better")
    git("commit", "--quiet", "--all", "--message=better", cwd=tried.root)
    tree = git("rev-parse", "HEAD^{tree}", cwd=tried.root)
    head = "HEAD"
    for number in range(300):
        head = git("commit-tree", tree, "-p", head, "-m", str(number), cwd=tried.root)
    git("update-ref", "refs/heads/main", head, cwd=tried.root)
    count_git.clear()
    made = opened(tried.root).run_cache.promote(key, name="late")
    assert made.baseline == first
    assert len(count_git) <= 12


def test_a_dep_seen_from_a_wdir_tells_commits_apart(chain: Project, git: Git) -> None:
    root = chain.root
    (root / "dvc.yaml").write_text(
        "stages:\n  copy:\n    cmd: cp ../code/a.txt out.txt\n    wdir: work\n    deps: [../code/a.txt]\n"
        "    outs: [out.txt]\n"
    )
    for folder in ("code", "work"):
        (root / folder).mkdir()
    (root / "work" / "keep").write_text("")
    revs = []
    for text in ("one", "two", "three"):
        (root / "code" / "a.txt").write_text(text)
        git("add", "--all", cwd=root)
        git("commit", "--quiet", f"--message={text}", cwd=root)
        revs.append(git("rev-parse", "HEAD", cwd=root))
        rerun(chain, git)
        git("checkout", "--quiet", "--", ".", cwd=root)
    runs = chain.run_cache.list().runs[::-1]
    assert [chain.run_cache.promote(run.short).baseline for run in runs] == revs


def test_code_that_is_nowhere_is_told(project: Project, git: Git) -> None:
    edit(project.root / "train.sh", "set -eu", "set -eu # better")
    repro(project, git, lr=0.2)
    key = key_of(project, 0.2)
    edit(project.root / "train.sh", "better", "best")
    with pytest.raises(NotFound) as told:
        project.run_cache.promote(key)
    assert told.value.message == (
        f"No commit has what run `{key}` read: train.sh is another. Nothing was recorded."
    )


def test_a_taken_name_is_refused(tried: Project, git: Git) -> None:
    key = key_of(tried, 0.1)
    tried.run_cache.promote(key, name="late")
    with pytest.raises(NameTaken, match="Experiment `late` already exists on baseline"):
        tried.run_cache.promote(key, name="late")
    with pytest.raises(NameTaken, match="`main` is a branch of this repository"):
        tried.run_cache.promote(key, name="main")
    with pytest.raises(UsageError, match="cannot be the name of an experiment"):
        tried.run_cache.promote(key, name="a b")


CHAIN = """\
stages:
  prepare:
    cmd: cut -c1-3 words.txt > prepared.txt
    deps: [words.txt]
    params: [rows]
    outs: [prepared.txt]
  train:
    cmd: cp prepared.txt model.txt
    deps: [prepared.txt]
    params: [lr]
    outs: [model.txt]
  report:
    cmd: wc -c < model.txt > m.yaml
    deps: [model.txt]
    params: [title]
    metrics: [{m.yaml: {cache: false}}]
"""


@pytest.fixture
def chain(repo: Path, opened: Callable[..., Project], git: Git) -> Project:
    """Three stages in a row; what `prepare` makes does not depend on its param `rows`."""
    (repo / ".dvc").mkdir()
    (repo / ".dvc" / ".gitignore").write_text("/tmp\n/cache\n")
    (repo / ".dvc" / "config").write_text("")
    (repo / "dvc.yaml").write_text(CHAIN)
    (repo / "params.yaml").write_text("rows: 1\nlr: 1\ntitle: a\n")
    (repo / "words.txt").write_text("alpha\nbeta\n")
    git("add", "--all", cwd=repo)
    git("commit", "--quiet", "--message=chain", cwd=repo)
    return opened(repo)


def rerun(project: Project, git: Git, **values: object) -> None:
    made = project.run(values, new=True)
    git(
        "update-ref",
        "-d",
        f"refs/exps/{made.baseline[:2]}/{made.baseline[2:]}/{made.name}",
        cwd=project.root,
    )


def test_of_several_runs_before_it_one_has_to_be_named(chain: Project, git: Git) -> None:
    rerun(chain, git, rows=1, lr=1)
    rerun(chain, git, rows=2, lr=1)  # the same prepared.txt, so `train` is not run again
    [train] = chain.run_cache.list(stage="train")
    first = chain.run_cache.list(stage="prepare", params=["rows=1"]).runs[0]
    second = chain.run_cache.list(stage="prepare", params=["rows=2"]).runs[0]
    with pytest.raises(UsageError) as told:
        chain.run_cache.promote(train.short)
    assert told.value.message.startswith("2 runs of stage `prepare` made what `train` read:")
    assert f"`{first.short}`" in told.value.message
    assert f"`{second.short}`" in told.value.message
    made = chain.run_cache.promote(train.short, using=[second.short], name="late")
    assert dict(made.stages) == {
        "train": train.short,
        "prepare": second.short,
        "report": chain.run_cache.list(stage="report").runs[0].short,
    }
    assert chain.read("late", "params.yaml") == b"rows: 2\nlr: 1\ntitle: a\n"
    chain.apply("late", force=True)
    assert chain.status().is_clean


def test_what_has_not_run_after_it_is_told(chain: Project, git: Git) -> None:
    rerun(chain, git, lr=1)
    chain.run({"lr": 5}, targets=["train"], new=True, name="part")
    git(
        "update-ref",
        "-d",
        git("for-each-ref", "--format=%(refname)", "refs/exps", cwd=chain.root),
        cwd=chain.root,
    )
    (chain.root / "words.txt").write_text("gamma\n")
    chain.run(targets=["train"], new=True, name="part")
    git(
        "update-ref",
        "-d",
        git("for-each-ref", "--format=%(refname)", "refs/exps", cwd=chain.root),
        cwd=chain.root,
    )
    newest = chain.run_cache.list(stage="train").runs[0]
    told: list[Event] = []
    made = chain.run_cache.promote(newest.short, name="late", emit=told.append)
    assert [stage for stage, _ in made.stages] == ["train", "prepare"]
    assert made.from_workspace == ("words.txt",)
    assert notices(told) == [
        "Stage `report`, which comes after, is as in the baseline: it has no run on this."
    ]


def test_a_run_whose_earlier_stage_left_no_run_is_told(chain: Project, git: Git) -> None:
    rerun(chain, git, lr=1)
    prepare = chain.run_cache.list(stage="prepare").runs[0]
    shutil.rmtree(chain.cache.folder / "runs" / prepare.key[:2] / prepare.key)
    told: list[Event] = []
    made = chain.run_cache.promote(
        chain.run_cache.list(stage="train").runs[0].short, name="late", emit=told.append
    )
    assert [stage for stage, _ in made.stages] == ["train", "report"]
    assert notices(told) == [
        (
            "The run cache has no run of stage `prepare` that made what `train` read; the experiment "
            "has the baseline's entry of it."
        )
    ]


TEMPLATES = """\
stages:
  prepare:
    cmd: head -n ${rows} words.txt > prepared-${rows}.txt
    deps: [words.txt]
    params: [rows]
    outs:
    - prepared-${rows}.txt
  train:
    cmd: echo ${lr} $(cat prepared-${rows}.txt) > model.txt
    deps:
    - prepared-${rows}.txt
    params: [lr, rows]
    outs: [model.txt]
"""


def test_templates_are_filled_in_with_the_params_of_the_run(chain: Project, git: Git) -> None:
    root = chain.root
    (root / "dvc.yaml").write_text(TEMPLATES)
    git("commit", "--quiet", "--all", "--message=templates", cwd=root)
    rerun(chain, git, rows=1, lr=1)
    rerun(chain, git, rows=2, lr=2)
    git("checkout", "--quiet", "--", "params.yaml", cwd=root)
    runs = {run.params["lr"]: run for run in chain.run_cache.list(stage="train")}
    assert runs[2].command == "echo 2 $(cat prepared-2.txt) > model.txt"
    made = chain.run_cache.promote(runs[2].short, name="late")
    assert [stage for stage, _ in made.stages] == ["train", "prepare"]
    assert chain.read("late", "params.yaml") == b"rows: 2\nlr: 2\ntitle: a\n"
    chain.apply("late", force=True)
    assert (root / "model.txt").read_text() == "2 alpha beta\n"
    assert (root / "prepared-2.txt").read_text() == "alpha\nbeta\n"
    assert chain.status().is_clean


def test_a_value_that_only_the_command_has_is_not_made_up(chain: Project, git: Git) -> None:
    """No param of the run says it, so no params file can be given it."""
    (chain.root / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: echo ${lr} > model.txt\n    deps: [words.txt]\n    outs: [model.txt]\n"
    )
    git("commit", "--quiet", "--all", "--message=templates", cwd=chain.root)
    rerun(chain, git, lr=2)
    git("checkout", "--quiet", "--", "params.yaml", cwd=chain.root)
    [run] = chain.run_cache.list()
    with pytest.raises(NotFound) as told:
        chain.run_cache.promote(run.short)
    assert "the command of stage `train` is another" in told.value.message


def test_edits_of_the_workspace_that_no_chosen_run_read_are_left_out(
    chain: Project, git: Git
) -> None:
    rerun(chain, git, lr=1)
    chain.run({"lr": 2}, new=True, name="second")
    first = chain.run_cache.list(stage="train", params=["lr=1"]).runs[0]
    (chain.root / "words.txt").write_text("gamma\n")
    made = chain.run_cache.promote(first.short, name="late")
    assert made.from_workspace == ()
    assert chain.read("late", "words.txt") == b"alpha\nbeta\n"


# --- Cost ---------------------------------------------------------------------------------------


def fill(project: Project, count: int) -> None:
    """So many runs of a stage like `train`, as DVC would have saved them; one object holds all outputs."""
    made = project.cache.put(b"model\n")
    folder = project.cache.folder / "runs"
    for number in range(count):
        entry = LockedStage(
            "sh train.sh",
            (LockedPath("prepared", f"{number:032x}.dir", 10, 2), LockedPath("train.sh", "1" * 32, 9)),
            {"params.yaml": {"train.lr": number / 1000, "train.epochs": 3}},
            (LockedPath("metrics.json", made.md5, 6), LockedPath("model.txt", made.md5, 6),
             LockedPath("plots/acc.csv", made.md5, 6)),
        )  # fmt: skip
        plain = entry.entry()
        key, value = run_cache.key(plain), run_cache.value(plain)
        path = folder / key[:2] / key / value
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dvc_lock.dump_entry(entry))


def test_ten_thousand_runs_are_read_once_and_then_listed_at_once(project: Project) -> None:
    fill(project, 10_000)
    assert len(project.run_cache.list(params=["lr>=5"])) == 5000
    opens: list[str] = []
    listening = True

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event == "open" and "/cache/runs/" in str(arguments[0]):
            opens.append(str(arguments[0]))

    sys.addaudithook(listen)
    started = time.monotonic()
    runs = project.run_cache.list(params=["lr>=5"])
    again_s = time.monotonic() - started
    listening = False
    assert (len(runs), runs.total, runs.runs[0].stage) == (5000, 10_000, "train")
    assert opens == []
    assert again_s < 30, f"{again_s:.1f} s; 1 s on two idle cores"


def test_git_processes_do_not_grow_with_runs_or_experiments(
    tried: Project, git: Git, count_git: Any, opened: Callable[..., Project]
) -> None:
    counts = []
    for number in range(3):
        fill(tried, 10 * number)
        tried.run({"train.lr": 0.5 + number})
        count_git.clear()
        opened(tried.root).run_cache.list()
        counts.append(len(count_git))
    assert counts[1] == counts[2]
    assert max(counts) <= 4


# --- Places -------------------------------------------------------------------------------------


def test_a_project_below_the_top_of_its_repository(
    chain: Project, opened: Callable[..., Project], git: Git
) -> None:
    """Paths of commits, of the cache and of the user differ there."""
    chain.close()
    root = chain.root
    inner = root / "deep" / "project"
    inner.mkdir(parents=True)
    for name in (".dvc", "dvc.yaml", "params.yaml", "words.txt"):
        (root / name).rename(inner / name)
    (inner / "notes").mkdir()
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=moved", cwd=root)
    project = opened(inner)
    rerun(project, git, lr=1)
    rerun(project, git, lr=2)
    project.run({"lr": 3}, name="third")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=third", cwd=root)
    below = opened(inner / "notes")
    runs = {run.params["lr"]: run for run in below.run_cache.list(params=["lr>0"])}
    assert {run.stage for run in runs.values()} == {"../dvc.yaml:train"}
    assert (runs[3].experiments, runs[3].commits) == (("third",), ("main",))
    assert runs[1].is_orphan
    made = below.run_cache.promote(runs[1].short, name="late")
    assert made.stages[0] == ("../dvc.yaml:train", runs[1].short)
    assert git("show", f"{made.rev}:deep/project/params.yaml", cwd=root) == (
        "rows: 1\nlr: 1\ntitle: a"
    )
    restored = below.run_cache.restore(runs[2].short)
    assert restored.stage == "../dvc.yaml:train"
    assert not restored.saved
    project.apply("late", force=True)
    assert project.status().is_clean


def test_data_that_dvc_tracks_is_what_a_run_read(chain: Project, git: Git, dvc: Any) -> None:
    """A dep that a `.dvc` file has, or a folder of one, as HEAD has it or as the workspace does."""
    root = chain.root
    (root / "data" / "inner").mkdir(parents=True)
    (root / "data" / "inner" / "words.txt").write_text("alpha\n")
    text = CHAIN.replace("words.txt > prepared", "data/inner/words.txt > prepared")
    (root / "dvc.yaml").write_text(text.replace("deps: [words.txt]", "deps: [data/inner]"))
    dvc("add", "data", cwd=root)
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=data", cwd=root)
    rerun(chain, git, lr=1)
    rerun(chain, git, lr=2)
    first = chain.run_cache.list(stage="train", params=["lr=1"]).runs[0]
    made = chain.run_cache.promote(first.short, name="late")
    assert [stage for stage, _ in made.stages] == ["train", "prepare", "report"]
    (root / "data" / "inner" / "words.txt").unlink()
    (root / "data" / "inner" / "words.txt").write_text("omega\n")
    dvc("commit", "--force", "data.dvc", cwd=root)
    rerun(chain, git, lr=5)
    edited = chain.run_cache.list(stage="train", params=["lr=5"]).runs[0]
    made = chain.run_cache.promote(edited.short, name="later")
    assert made.from_workspace == ("data.dvc",)
    chain.apply("late", force=True)
    chain.apply("later", force=True)
    assert (root / "data" / "inner" / "words.txt").read_text() == "omega\n"
    assert json.loads(dvc("status", "--json", cwd=root).stdout) == {}
