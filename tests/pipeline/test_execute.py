"""Bringing stages up to date: skip, restore or run, and what dvc.lock, cache and Git's rules get."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from nbexp import events
from nbexp.errors import StageFailed
from nbexp.formats import dvc_file
from nbexp.pipeline.plan import locked_path

if TYPE_CHECKING:
    from tests.pipeline.conftest import Bench

Words = Callable[[type[events.Event]], list[events.Event]]

PIPELINE = """\
stages:
  prepare:
    cmd: cp raw.csv clean.csv
    deps: [raw.csv]
    outs: [clean.csv]
  train:
    cmd: sh -c 'cat clean.csv params.yaml > model.txt'
    deps: [clean.csv]
    params: [lr]
    outs: [model.txt]
"""


@pytest.fixture
def project(bench: Bench) -> Bench:
    bench.write(dvc__yaml=PIPELINE, params__yaml="lr: 1\n", raw__csv="a\n")
    return bench


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


# --- Skip, restore, run -------------------------------------------------------------------------


def test_every_stage_runs_once_and_then_none(project: Bench) -> None:
    assert project.actions() == ["prepare ran", "train ran"]
    assert project.read("model.txt") == "a\nlr: 1\n"
    assert project.actions() == ["prepare skipped", "train skipped"]


def test_only_what_reads_a_change_runs(project: Bench) -> None:
    project.run()
    project.write(params__yaml="lr: 2\n")
    assert project.actions() == ["prepare skipped", "train ran"]
    project.write(raw__csv="b\n")
    assert project.actions() == ["prepare ran", "train ran"]


def test_a_stage_whose_input_came_out_as_before_does_not_run(project: Bench) -> None:
    project.write(
        dvc__yaml=PIPELINE.replace("cp raw.csv clean.csv", "tr -d x < raw.csv > clean.csv")
    )
    project.run()
    project.write(raw__csv="ax\n")
    assert project.actions() == ["prepare ran", "train skipped"]


def test_what_ran_before_under_the_same_conditions_is_restored(project: Bench) -> None:
    project.run()
    project.write(params__yaml="lr: 2\n")
    project.run()
    project.write(params__yaml="lr: 1\n")
    assert project.actions() == ["prepare skipped", "train restored"]
    assert project.read("model.txt") == "a\nlr: 1\n"


def test_without_the_run_cache_it_runs_again(project: Bench) -> None:
    project.run()
    project.write(params__yaml="lr: 2\n")
    project.run()
    project.write(params__yaml="lr: 1\n")
    assert project.actions(use_run_cache=False) == ["prepare skipped", "train ran"]


def test_a_missing_or_edited_output_comes_back_from_the_cache(project: Bench) -> None:
    project.run()
    (project.root / "clean.csv").unlink()
    project.write(model__txt="edited\n")
    assert project.actions() == ["prepare restored", "train restored"]
    assert project.read("clean.csv") == "a\n"
    assert project.read("model.txt") == "a\nlr: 1\n"
    assert project.guard.told == ["set aside clean.csv", "set aside model.txt"]


def test_an_output_that_the_cache_lost_is_made_again(project: Bench) -> None:
    project.run()
    (project.root / "clean.csv").unlink()
    project.cache.path(md5("a\n")).unlink()
    assert project.actions() == ["prepare ran", "train skipped"]


def test_an_older_run_will_do_when_the_newest_one_lost_its_objects(bench: Bench) -> None:
    """A command that does not give the same twice: the run cache has both, newest first."""
    bench.write(
        dvc__yaml="stages:\n  draw:\n    cmd: cat .dvc/next > out.txt\n    deps: [in.txt]\n    outs: [out.txt]\n",
        in__txt="x\n",
    )
    for text in ("first\n", "second\n"):
        bench.write(__dvc___next=text)
        bench.run(force=True)
    bench.cache.path(md5("second\n")).unlink()
    (bench.root / "out.txt").unlink()
    assert bench.actions() == ["draw restored"]
    assert bench.read("out.txt") == "first\n"


def test_force_runs_all_and_restores_nothing(project: Bench) -> None:
    project.run()
    assert project.actions(force=True) == ["prepare ran", "train ran"]


def test_a_stage_that_always_changes_runs_every_time(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: echo 1 > o\n    always_changed: true\n    outs: [o]\n"
    )
    assert bench.actions() == ["a ran"]
    assert bench.actions() == ["a ran"]


def test_a_frozen_stage_is_left_alone(project: Bench) -> None:
    project.run()
    project.write(
        dvc__yaml=PIPELINE.replace("  train:\n", "  train:\n    frozen: true\n"), raw__csv="b\n"
    )
    assert project.actions() == ["prepare ran", "train skipped"]
    assert project.read("model.txt") == "a\nlr: 1\n"


def test_a_frozen_stage_without_its_output_is_told_as_such(project: Bench) -> None:
    project.write(dvc__yaml=PIPELINE.replace("  train:\n", "  train:\n    frozen: true\n"))
    with pytest.raises(StageFailed) as caught:
        project.run("train", checks_out=False)
    assert str(caught.value) == (
        "The output `model.txt` of stage `train` is not there, and the stage is frozen.\n"
        "Hint: take `frozen` out of `train` in dvc.yaml, or bring the output back: `nbexp data checkout`."
    )


# --- Outputs ------------------------------------------------------------------------------------


def test_old_outputs_are_out_of_the_way_before_the_command(project: Bench) -> None:
    project.run()
    project.write(raw__csv="b\n")
    project.run()
    assert project.guard.told == [
        "set aside clean.csv", "busy", "done", "write dvc.lock",
        "set aside model.txt", "busy", "done", "write dvc.lock",
    ]  # fmt: skip


def test_an_output_that_persists_is_there_for_its_command(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: cat in.txt >> log.txt\n    deps: [in.txt]\n"
        "    outs: [{log.txt: {persist: true}}]\n",
        in__txt="1\n",
    )
    bench.run()
    bench.write(in__txt="2\n")
    bench.run()
    assert bench.read("log.txt") == "1\n2\n"
    assert "remember log.txt" in bench.guard.told


def test_a_directory_is_an_output(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: mkdir -p out/in && cp x.csv out/in && echo > out/e\n"
        "    deps: [x.csv]\n    outs: [out]\n",
        x__csv="1\n",
    )
    bench.run()
    assert "md5: " in bench.read("dvc.lock")
    assert "nfiles: 2" in bench.read("dvc.lock")
    bench.write(out___extra="stray\n")
    assert bench.actions() == ["a restored"]
    assert sorted(path.name for path in (bench.root / "out").rglob("*")) == ["e", "in", "x.csv"]


def test_the_folder_of_an_output_is_made_for_the_command(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: echo 1 > deep/er/o.txt\n    outs: [deep/er/o.txt]\n"
    )
    assert bench.actions() == ["a ran"]


def test_metrics_that_git_keeps_come_back_as_well(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: cp in.json m.json\n    deps: [in.json]\n"
        "    metrics: [{m.json: {cache: false}}]\n",
        in__json='{"acc": 1}',
    )
    bench.run()
    (bench.root / "m.json").unlink()
    assert bench.actions() == ["a restored"]
    assert bench.read("m.json") == '{"acc": 1}'
    assert os.access(bench.root / "m.json", os.W_OK)


def test_a_stage_that_leaves_out_an_output_has_failed(project: Bench) -> None:
    project.write(dvc__yaml=PIPELINE.replace("cp raw.csv clean.csv", "'true'"))
    with pytest.raises(StageFailed) as caught:
        project.run()
    assert str(caught.value) == (
        "Stage `prepare` ended without writing its output `clean.csv`.\n"
        "Hint: correct outs of `prepare` in dvc.yaml, or what it writes."
    )
    assert not (project.root / "dvc.lock").exists()


def test_a_dep_that_the_stages_before_did_not_write_stops_the_run(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: mkdir d\n    outs: [d]\n"
        "  b:\n    cmd: 'true'\n    deps: [d/x.csv]\n"
    )
    with pytest.raises(StageFailed) as caught:
        bench.run()
    assert str(caught.value) == (
        "Dep `d/x.csv` of stage `b` does not exist after the stages before it ran.\n"
        "Hint: correct deps of `b` in dvc.yaml."
    )


# --- Commands -----------------------------------------------------------------------------------


def test_commands_of_a_list_run_one_after_the_other_until_one_fails(bench: Bench) -> None:
    bench.write(dvc__yaml="stages:\n  a:\n    cmd: [echo one, 'exit 3', echo three]\n")
    with pytest.raises(StageFailed) as caught:
        bench.run()
    assert caught.value.message == "Stage `a` stopped, `exit 3`: exit code 3."
    assert caught.value.returncode == 3
    assert bench.output() == "one\n"


def test_commands_run_in_the_wdir_and_know_their_stage(bench: Bench) -> None:
    bench.write(dvc__yaml="stages:\n  a:\n    cmd: pwd && echo $DVC_STAGE\n    wdir: sub\n")
    (bench.root / "sub").mkdir()
    bench.run()
    assert bench.output() == f"{bench.root}/sub\na\n"


def test_a_wdir_that_is_gone_stops_the_stage(bench: Bench) -> None:
    bench.write(dvc__yaml="stages:\n  a:\n    cmd: pwd\n    wdir: sub\n")
    with pytest.raises(StageFailed) as caught:
        bench.run()
    assert caught.value.message == "The wdir `sub` of stage `a` is no directory. Nothing was run."


# --- dvc.lock -----------------------------------------------------------------------------------


def test_dvc_lock_knows_each_stage_as_soon_as_it_is_done(project: Bench) -> None:
    project.write(dvc__yaml=PIPELINE.replace("sh -c 'cat", "sh -c 'false && cat"))
    with pytest.raises(StageFailed):
        project.run()
    lock = project.read("dvc.lock")
    assert "  prepare:\n" in lock
    assert "  train:\n" not in lock
    project.write(dvc__yaml=PIPELINE)
    assert project.actions() == ["prepare skipped", "train ran"]


def test_the_lock_is_as_dvc_writes_it(project: Bench) -> None:
    project.run("prepare")
    assert project.read("dvc.lock") == (
        "schema: '2.0'\n"
        "stages:\n"
        "  prepare:\n"
        "    cmd: cp raw.csv clean.csv\n"
        "    deps:\n"
        "    - path: raw.csv\n"
        "      hash: md5\n"
        f"      md5: {md5('a' + chr(10))}\n"
        "      size: 2\n"
        "    outs:\n"
        "    - path: clean.csv\n"
        "      hash: md5\n"
        f"      md5: {md5('a' + chr(10))}\n"
        "      size: 2\n"
    )


def test_an_entry_that_stays_is_not_written_again(project: Bench) -> None:
    project.run()
    lock = project.read("dvc.lock")
    project.write(dvc__lock=lock.replace("schema: '2.0'", "schema: '2.0' # mine"))
    project.run()
    assert "# mine" in project.read("dvc.lock")
    assert project.guard.told == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_others_write_into_dvc_lock_meanwhile_stays(bench: Bench, jobs: int) -> None:
    """DVC may run another stage while a command runs; here the command itself is that other."""
    foreign = "  foreign:\\n    cmd: x\\n"
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: echo 1 > a.txt\n    outs: [a.txt]\n"
        f"  b:\n    cmd: |\n      sleep 0.3; printf '{foreign}' >> dvc.lock; echo 1 > b.txt\n    outs: [b.txt]\n"
        "  c:\n    cmd: cp b.txt c.txt\n    deps: [b.txt]\n    outs: [c.txt]\n"
    )
    bench.run(jobs=jobs)
    lock = bench.read("dvc.lock")
    entries = [line.strip() for line in lock.splitlines() if line[:2] == "  " and line[2] != " "]
    assert entries == ["a:", "foreign:", "b:", "c:"]
    assert {one.action for one in bench.run(jobs=jobs).stages} == {"skipped"}


def test_a_stage_in_a_folder_has_its_lock_there(bench: Bench, words: Words) -> None:
    bench.write(sub___dvc__yaml="stages:\n  a:\n    cmd: echo 1 > o.txt\n    outs: [o.txt]\n")
    bench.run()
    assert bench.read("sub/dvc.lock").startswith("schema: '2.0'\nstages:\n  a:\n")
    assert bench.read("sub/o.txt") == "1\n"
    assert words(events.LockUpdated) == [events.LockUpdated("sub/dvc.lock", created=True)]
    bench.write(sub___dvc__yaml="stages:\n  a:\n    cmd: echo 2 > o.txt\n    outs: [o.txt]\n")
    bench.run(here="sub")
    assert words(events.LockUpdated) == [events.LockUpdated("dvc.lock")]


def test_a_dep_that_changes_meanwhile_is_told_and_not_kept(project: Bench, words: Words) -> None:
    project.write(
        dvc__yaml=PIPELINE.replace("cp raw.csv clean.csv", "cp raw.csv clean.csv; echo b > raw.csv")
    )
    project.run("prepare")
    (notice,) = words(events.Notice)
    assert isinstance(notice, events.Notice)
    assert notice.message == (
        "A dep of stage `prepare` changed while it ran, so the run cache does not keep this run."
    )
    assert not (project.root / ".dvc" / "cache" / "runs").exists()


# --- Git's rules --------------------------------------------------------------------------------


def test_cached_outputs_are_ignored_by_git_as_dvc_does_it(bench: Bench) -> None:
    bench.write(
        dvc__yaml="stages:\n  a:\n    cmd: mkdir -p s/d && echo 1 | tee o.txt s/d/x m.json s/p.csv\n"
        "    outs: [o.txt, s/d]\n    metrics: [{m.json: {cache: false}}]\n    plots: [s/p.csv]\n",
        __gitignore="*.log\n",
    )
    outcome = bench.run()
    assert bench.read(".gitignore") == "*.log\n/o.txt\n"
    assert bench.read("s/.gitignore") == "/d\n/p.csv\n"
    assert outcome.ignore_files == {".gitignore", "s/.gitignore"}
    assert bench.run().ignore_files == set()


def test_what_git_ignores_already_gets_no_line(bench: Bench) -> None:
    bench.write(dvc__yaml="stages:\n  a:\n    cmd: echo 1 > o.txt\n    outs: [o.txt]\n")
    bench.ignores.paths = {"o.txt"}
    bench.run()
    assert not (bench.root / ".gitignore").exists()


# --- What is told -------------------------------------------------------------------------------


def test_a_run_is_told_step_by_step(project: Bench) -> None:
    project.write(params__yaml="lr: 1\n")
    project.run("prepare")
    project.run()
    told = [event for event in project.events if not isinstance(event, events.StageFinished)]
    planned = told[0]
    assert isinstance(planned, events.Planned)
    # What has run before is known to take about as long again.
    assert [*planned.seconds] == ["prepare"]
    assert planned.seconds["prepare"] > 0
    assert told == [
        events.Planned(
            ("prepare", "train"), {"prepare": (), "train": ("prepare",)}, seconds=planned.seconds
        ),
        events.StageSkipped("prepare"),
        events.StageStarted(
            "train",
            ("sh -c 'cat clean.csv params.yaml > model.txt'",),
            ("clean.csv is new", "params.yaml:lr is new", "model.txt is missing"),
        ),
        events.CommandStarted("train", "sh -c 'cat clean.csv params.yaml > model.txt'"),
        events.LockUpdated("dvc.lock", created=False),
    ]


def test_results_say_what_happened_and_why(project: Bench) -> None:
    project.run()
    project.write(params__yaml="lr: 2\n")
    first, second = project.run().stages
    assert (first.action, first.reasons, first.seconds) == ("skipped", (), 0.0)
    assert (second.action, second.reasons) == ("ran", ("params.yaml:lr 1 -> 2",))
    assert 0 < second.seconds < 30
    assert second.started <= second.ended
    assert second.cells is None


# --- Tracked data -------------------------------------------------------------------------------


@pytest.fixture
def tracked(bench: Bench) -> Bench:
    """A file that a `.dvc` file tracks, and a stage that reads it, up to date."""
    bench.write(
        raw__csv="1\n",
        dvc__yaml="stages:\n  a: {cmd: cat raw.csv > b, deps: [raw.csv], outs: [b]}\n",
    )
    found = bench.cache.add(bench.root / "raw.csv")
    file = dvc_file.new("", locked_path("raw.csv", found))
    bench.write(raw__csv__dvc=file.dump().decode())
    assert bench.actions() == ["raw.csv.dvc skipped", "a ran"]
    return bench


def test_edited_data_is_taken_into_the_cache_before_what_reads_it(tracked: Bench) -> None:
    tracked.write(raw__csv="2\n")
    assert tracked.actions() == ["raw.csv.dvc taken", "a ran"]
    md5 = hashlib.md5(b"2\n").hexdigest()
    assert tracked.read("raw.csv.dvc") == (
        f"outs:\n- md5: {md5}\n  size: 2\n  hash: md5\n  path: raw.csv\n"
    )
    assert tracked.cache.read(md5) == b"2\n"
    assert tracked.actions() == ["raw.csv.dvc skipped", "a skipped"]


def test_data_that_is_gone_comes_back(tracked: Bench) -> None:
    (tracked.root / "raw.csv").unlink()
    assert tracked.actions() == ["raw.csv.dvc skipped", "a skipped"]
    assert tracked.read("raw.csv") == "1\n"


def test_data_that_is_nowhere_is_told_with_what_brings_it(tracked: Bench) -> None:
    (tracked.root / "raw.csv").unlink()
    shutil.rmtree(tracked.cache.folder)
    with pytest.raises(StageFailed) as caught:
        tracked.run()
    assert (
        caught.value.message
        == "`raw.csv`, which raw.csv.dvc tracks, is not there, and the cache lacks it."
    )
    assert caught.value.hint == "`nbexp data pull raw.csv.dvc` gets it from a remote."


def test_data_that_does_not_change_is_told_as_dvc_does(tracked: Bench) -> None:
    tracked.run()
    skipped = [one for one in tracked.events if isinstance(one, events.StageSkipped)]
    assert [(one.stage, one.is_data) for one in skipped] == [("raw.csv.dvc", True), ("a", False)]
