"""Sweeps from one line to recorded experiments: with real workers, a real leader, real Git."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp.errors import NameTaken
from nbexp.events import Event, Notice, Phase
from nbexp.sweeps import definition
from tests.sweeps.conftest import led_by, wait_for

GRID = ("-S", "train.lr=0.1,0.03", "-S", "seed=0,1")


def experiments(project: Path, git: Callable[..., str]) -> dict[str, str]:
    """Name -> rev of every experiment."""
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps", cwd=project)
    return {
        ref.rpartition("/")[2]: rev for ref, rev in (line.split() for line in lines.splitlines())
    }


def failed(project: Path, git: Callable[..., str]) -> dict[str, str]:
    """Name -> state of every record that is no experiment."""
    lines = git("for-each-ref", "--format=%(refname)", "refs/nbexp/failed", cwd=project)
    return {
        ref.rpartition("/")[2]: git("show", "-s", "--format=%B", ref, cwd=project)
        .partition("Nbexp-State: ")[2]
        .split()[0]
        for ref in lines.splitlines()
    }


class Heard(list[Event]):
    """What the engine narrated."""

    def __call__(self, event: Event) -> None:
        self.append(event)

    @property
    def notices(self) -> list[str]:
        return [one.message for one in self if isinstance(one, Notice)]


class TestGrid:
    def test_every_combination_is_an_experiment_and_the_workspace_stays(
        self,
        pipeline_project: Callable[..., Path],
        nbexp_cli: Any,
        git: Callable[..., str],
    ) -> None:
        project = pipeline_project()
        (project / "params.yaml").write_text((project / "params.yaml").read_text() + "# edited\n")
        before = git("status", "--porcelain", cwd=project), git("rev-parse", "HEAD", cwd=project)
        ran = nbexp_cli("sweep", *GRID, "-j", "2", "--maximize", "acc", cwd=project)
        assert ran.stderr == "sweep-1: 4 trials, 2 at a time, beside your files.\n"
        assert (
            git("status", "--porcelain", cwd=project),
            git("rev-parse", "HEAD", cwd=project),
        ) == before
        said = json.loads(nbexp_cli("sweep", "--resume", "sweep-1", "--json", cwd=project).stdout)
        assert said["state"] == "done"
        assert said["counts"] == {"done": 4}
        assert [(one["params"], one["value"]) for one in said["trials"]] == [
            ({"train.lr": 0.1, "seed": 0}, 0.8633),
            ({"train.lr": 0.1, "seed": 1}, 0.8643),
            ({"train.lr": 0.03, "seed": 0}, 0.9333),
            ({"train.lr": 0.03, "seed": 1}, 0.9343),
        ]
        there = experiments(project, git)
        assert {one["name"]: one["rev"] for one in said["trials"]} == there
        best = said["best"]
        assert ran.stdout.splitlines()[0].startswith(
            "sweep-1   maximize acc   4 of 4 trials: 4 done   "
        )
        assert ran.stdout.splitlines()[-1] == (
            f"best: {best['name']} acc 0.9343 (train.lr 0.03, seed 1)"
        )
        assert "# edited" in git("show", f"{best['rev']}:params.yaml", cwd=project)

    def test_the_same_line_again_shows_it_and_runs_nothing(
        self, pipeline_project: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
    ) -> None:
        project = pipeline_project()
        first = nbexp_cli("sweep", *GRID, "-j", "2", cwd=project)
        there = experiments(project, git)
        (project / "README.md").write_text("no part of the pipeline\n")
        git("add", "README.md", cwd=project)
        again = nbexp_cli("sweep", *GRID, "-j", "1", cwd=project)
        assert again.stdout == first.stdout
        assert again.stderr.startswith("sweep-1 has run this already.")
        assert experiments(project, git) == there
        # With other code it is another sweep.
        (project / "train.sh").write_text((project / "train.sh").read_text() + "# edited\n")
        other = nbexp_cli("sweep", *GRID, cwd=project)
        assert other.stderr == "sweep-2: 4 trials, one after the other, beside your files.\n"
        assert len(experiments(project, git)) == 8

    def test_a_prefix_names_the_sweep_and_its_experiments(
        self, pipeline_project: Callable[..., Path], git: Callable[..., str]
    ) -> None:
        project = nbexp.open(pipeline_project())
        sweep = project.sweep(
            {"train.lr": [0.1, 0.2]}, name="lr", repeat=2, seed_param="seed", jobs=2
        )
        assert [(one.name, one.point) for one in sweep.trials] == [
            ("lr-1", {"train.lr": 0.1, "seed": 0}),
            ("lr-2", {"train.lr": 0.1, "seed": 1}),
            ("lr-3", {"train.lr": 0.2, "seed": 0}),
            ("lr-4", {"train.lr": 0.2, "seed": 1}),
        ]
        assert sorted(experiments(project.root, git)) == ["lr-1", "lr-2", "lr-3", "lr-4"]
        with pytest.raises(NameTaken, match="Experiment `lr-1` already exists"):
            project.sweep({"train.lr": [0.3, 0.4]}, name="lr")
        project.close()

    def test_points_one_by_one_from_python_and_from_a_file(
        self, pipeline_project: Callable[..., Path], nbexp_cli: Any
    ) -> None:
        root = pipeline_project()
        project = nbexp.open(root)
        points = [{"train.lr": 0.03}, {"train.lr": 0.2, "train.epochs": 5}]
        sweep = project.sweep(points, jobs=2)
        assert [one.point for one in sweep.trials] == points
        assert [one.state for one in sweep.trials] == ["done", "done"]
        assert project[sweep.trials[1].name].params["train.epochs"] == 5
        project.close()
        (root / "points.csv").write_text("train.lr,train.epochs\n0.03,\n0.2,5\n")
        said = nbexp_cli("sweep", "--file", "points.csv", "--json", cwd=root)
        # The same points: the same sweep.
        assert "sweep-1 has run this already" in said.stderr
        typed = nbexp_cli("sweep", json.dumps(points), "--json", cwd=root)
        assert json.loads(typed.stdout) == json.loads(said.stdout)

    def test_a_trial_that_fails_is_named_and_the_others_run(
        self, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
    ) -> None:
        project = training()
        ran = nbexp_cli("sweep", "-S", "train.lr=13,0.1", cwd=project, code=1)
        said = json.loads(
            nbexp_cli("sweep", "--resume", "sweep-1", "--json", cwd=project, code=1).stdout
        )
        assert [one["state"] for one in said["trials"]] == ["failed", "done"]
        name = said["trials"][0]["name"]
        assert (
            f"failed: {name}: Stage `train` stopped, `python train.py`: exit code 1." in ran.stdout
        )
        assert "1 of 2 trials failed" in ran.stderr
        assert "no luck" in nbexp_cli("logs", name, cwd=project).stdout
        assert failed(project, git) == {name: "failed"}

    def test_a_trial_that_takes_too_long_is_stopped_and_the_others_run(
        self, training: Callable[..., Path], nbexp_cli: Any
    ) -> None:
        project = training(steps=1)
        words = ("-S", "train.pause=0,600", "-j", "2", "--minimize", "loss")
        ran = nbexp_cli("sweep", *words, "--timeout", "12s", "--json", cwd=project, code=1)
        said = json.loads(ran.stdout)
        assert [one["state"] for one in said["trials"]] == ["done", "failed"]
        assert said["trials"][1]["error"] == "it took longer than 12 s"
        kept = nbexp_cli("sweep", "--timeout", "soon", "-S", "seed=1,2", cwd=project, code=2)
        assert "`soon` is no time" in kept.stderr

    def test_how_many_and_how_long_is_said_before(
        self, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
    ) -> None:
        project = training()
        ran = nbexp_cli("sweep", "-S", "train.lr=0.1,0.2,0.3", "-j", "2", "--dry", cwd=project)
        assert ran.stdout.splitlines() == [
            "3 runs, 2 at a time, picked by grid",
            "how long one takes is not known: none has run yet",
            "  train.lr=0.1",
            "  train.lr=0.2",
            "  train.lr=0.3",
            "Nothing was run.",
        ]
        nbexp_cli("run", "-q", cwd=project)
        said = json.loads(
            nbexp_cli("run", "-S", "train.lr=0.2,0.3,0.4", "--dry", "--json", cwd=project).stdout
        )
        assert (said["trials"], said["jobs"]) == (3, 1)
        assert 0 < said["seconds_each"] < said["seconds"] == pytest.approx(3 * said["seconds_each"])
        assert git("for-each-ref", "refs/nbexp/sweeps", cwd=project) == ""


class TestRun:
    def test_several_values_without_queue_run_now_beside_the_files(
        self, pipeline_project: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
    ) -> None:
        project = pipeline_project()
        before = (project / "params.yaml").read_bytes()
        ran = nbexp_cli("run", "-S", "train.lr=0.1,0.03", "-j", "2", cwd=project)
        assert ran.stderr == "sweep-1: 2 experiments, 2 at a time, beside your files.\n"
        assert "2 of 2 trials: 2 done" in ran.stdout
        assert len(experiments(project, git)) == 2
        assert (project / "params.yaml").read_bytes() == before
        assert not (project / "metrics.json").exists()
        temp = nbexp_cli("run", "--temp", "-S", "train.lr=0.2,0.3", "-n", "pair", cwd=project)
        assert temp.stderr == "pair: 2 experiments, one after the other, beside your files.\n"
        assert {"pair-1", "pair-2"} <= set(experiments(project, git))

    def test_an_interval_leads_to_sweep(
        self, pipeline_project: Callable[..., Path], nbexp_cli: Any
    ) -> None:
        ran = nbexp_cli("run", "-S", "train.lr=interval(0.01,0.1)", cwd=pipeline_project(), code=2)
        assert ran.stderr == (
            "`train.lr=interval(0.01,0.1)` names an interval; a run takes one value of it. Nothing was run.\n"
            "Hint: `nbexp sweep --random 20 -S 'train.lr=interval(0.01,0.1)'` draws some, "
            "`--optuna` looks for the best.\n"
        )

    def test_it_asks_nobody(self, pipeline_project: Callable[..., Path], nbexp_cli: Any) -> None:
        ran = nbexp_cli("run", "-i", "-S", "train.lr=0.1,0.2", cwd=pipeline_project(), code=2)
        assert "several experiments run beside each other, and ask nobody" in ran.stderr


class TestOptuna:
    def test_hopeless_trials_are_stopped_and_recorded_as_pruned(
        self, training: Callable[..., Path], git: Callable[..., str], nbexp_cli: Any
    ) -> None:
        root = training(steps=12, pause_s=0.15)
        project = nbexp.open(root)
        heard = Heard()
        sweep = project.sweep(
            {"train.lr": "tag(log,interval(1e-5,10))"},
            sampler="optuna",
            options={"sampler": "random"},
            minimize="loss",
            trials=16,
            jobs=3,
            seed=4,
            emit=heard,
        )
        pruned = {one.name for one in sweep.trials if one.state == "pruned"}
        done = {one.name for one in sweep.trials if one.state == "done"}
        assert len(sweep.trials) == 16 == len(pruned) + len(done)
        assert pruned
        assert set(experiments(root, git)) == done
        assert failed(root, git) == dict.fromkeys(pruned, "pruned")
        assert sweep.best is not None
        assert sweep.best.value == min(one.value for one in sweep.trials if one.state == "done")
        shown = json.loads(nbexp_cli("show", "--all-states", "--json", cwd=root).stdout)
        states = [one["revs"][0]["name"] for base in shown for one in base["experiments"] or []]
        assert pruned <= set(states)
        assert any(isinstance(one, Phase) and one.total == 16 for one in heard)
        project.close()

    def test_more_trials_go_on_where_it_was(
        self, training: Callable[..., Path], git: Callable[..., str], nbexp_cli: Any
    ) -> None:
        project = training()
        line = ("sweep", "--optuna", "loss", "-S", "train.lr=interval(0.001,0.1)", "--seed", "1")
        first = json.loads(nbexp_cli(*line, "--trials", "3", "--json", cwd=project).stdout)
        more = json.loads(nbexp_cli(*line, "--trials", "5", "--json", cwd=project).stdout)
        assert (first["direction"], first["counts"], more["counts"]) == (
            "minimize", {"done": 3}, {"done": 5},
        )  # fmt: skip
        assert more["trials"][:3] == first["trials"]
        points = [json.dumps(one["params"]) for one in more["trials"]]
        assert len(set(points)) == 5

    @pytest.mark.parametrize(
        ("metric", "note"),
        [
            ("maximize acc", "There is no metric `acc`; there are loss, rest.far in "),
            ("minimize fra", "There is no metric `fra`; there are loss, rest.far in "),
        ],
    )
    def test_a_metric_that_no_trial_brings_ends_it_early(
        self, training: Callable[..., Path], nbexp_cli: Any, metric: str, note: str
    ) -> None:
        project = training()
        line = ("sweep", "--optuna", metric, "-S", "train.lr=interval(0.001,0.1)", "--trials", "30")
        ran = nbexp_cli(*line, cwd=project, code=1)
        assert f"over: {note}" in ran.stdout
        assert "1 of 30 trials: 1 done" in ran.stdout

    def test_trials_that_all_fail_end_it_early(
        self, training: Callable[..., Path], nbexp_cli: Any
    ) -> None:
        project = training()
        (project / "train.py").write_text("raise SystemExit('broken')\n")
        line = ("sweep", "--optuna", "minimize loss", "-S", "train.lr=interval(0.001,0.1)")
        ran = nbexp_cli(*line, "--trials", "30", cwd=project, code=1)
        assert "5 of 30 trials: 5 failed" in ran.stdout


def hold(project: Path, gate: Path, *, but: float | None = None) -> None:
    """Trials, but for the one of that rate, wait until the gate is there."""
    waits = f"""\
import os, time, yaml
while not os.path.exists({str(gate)!r}) and yaml.safe_load(open("params.yaml"))["train"]["lr"] != {but}:
    time.sleep(0.02)
"""
    (project / "train.py").write_text(waits + (project / "train.py").read_text())


class TestGoingOn:
    LINE = ("sweep", "-S", "train.lr=0.1,0.2,0.3,0.4,0.5,0.6", "-j", "2")

    def test_it_outlives_who_asked_for_it(
        self, training: Callable[..., Path], nbexp_cli: Any
    ) -> None:
        project = training(steps=3, pause_s=0.1)
        asked = nbexp_cli.start(*self.LINE, cwd=project)
        wait_for(lambda: led_by(project, "sweep-1"))
        asked.kill()
        wait_for(lambda: led_by(project, "sweep-1") is None)
        said = json.loads(nbexp_cli("sweep", "--json", cwd=project).stdout)
        assert [(one["state"], one["counts"]) for one in said["sweeps"]] == [("done", {"done": 6})]

    def test_its_leader_killed_the_same_line_goes_on(
        self, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str], tmp_path: Path
    ) -> None:
        project = training(steps=3)
        hold(project, tmp_path / "gate")
        nbexp_cli(*self.LINE, "--detach", cwd=project)
        pid = led_by(project, "sweep-1")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: led_by(project, "sweep-1") is None)
        said = json.loads(nbexp_cli("sweep", "--json", cwd=project).stdout)["sweeps"][0]
        assert said["state"] == "waiting"
        (tmp_path / "gate").touch()
        ran = nbexp_cli(*self.LINE, cwd=project)
        assert ran.stderr == "Going on with sweep-1, which the same line began.\n"
        assert "6 of 6 trials: 6 done" in ran.stdout
        assert len(experiments(project, git)) == 6

    def test_its_leader_killed_under_a_watcher_another_one_leads(
        self, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
    ) -> None:
        project = training(steps=3, pause_s=0.1)
        watching = nbexp_cli.start(*self.LINE, cwd=project)
        for _ in range(3):
            wait_for(lambda: led_by(project, "sweep-1") or watching.poll() is not None)
            pid = led_by(project, "sweep-1")
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                wait_for(lambda pid=pid: led_by(project, "sweep-1") != pid)
        out, _ = watching.communicate(timeout=120)
        assert watching.returncode == 0
        assert "6 of 6 trials: 6 done" in out
        assert len(experiments(project, git)) == 6

    def test_it_is_stopped_by_name_and_gone_on_with(
        self, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str], tmp_path: Path
    ) -> None:
        project = training(steps=4)
        hold(project, tmp_path / "gate", but=0.1)
        nbexp_cli(*self.LINE, "--detach", cwd=project)
        wait_for(lambda: experiments(project, git))
        stopped = nbexp_cli("stop", "sweep-1", "--json", cwd=project)
        said = json.loads(stopped.stdout)
        assert said["state"] == "stopped"
        assert led_by(project, "sweep-1") is None
        assert not {"queued", "running", "committing"} & set(said["counts"])
        done = said["counts"]["done"]
        assert len(experiments(project, git)) == done < 6
        (tmp_path / "gate").touch()
        again = json.loads(nbexp_cli("sweep", "--resume", "sweep-1", "--json", cwd=project).stdout)
        assert again["state"] == "done"
        assert again["counts"] == {"done": 6}
        assert len(experiments(project, git)) == 6

    def test_ctrl_c_ends_the_watching_of_a_sweep_and_stops_a_run(
        self, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
    ) -> None:
        project = training(steps=4, pause_s=0.3)
        watching = nbexp_cli.start(*self.LINE, cwd=project)
        wait_for(lambda: led_by(project, "sweep-1"))
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=60)
        assert watching.returncode == 130
        assert "sweep-1 goes on without you: " in err
        assert led_by(project, "sweep-1") is not None
        nbexp_cli("stop", "sweep-1", cwd=project)
        running = nbexp_cli.start("run", *self.LINE[1:], "--new", cwd=project)
        wait_for(lambda: led_by(project, "sweep-2"))
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        assert running.returncode == 130
        assert "Stopped: " in err
        assert led_by(project, "sweep-2") is None

    def test_changed_code_begins_another_sweep_and_the_old_one_can_be_gone_on_with(
        self, training: Callable[..., Path], git: Callable[..., str]
    ) -> None:
        root = training(steps=2, pause_s=0.1)
        project = nbexp.open(root)
        space = {"train.lr": [0.1, 0.2, 0.3]}
        first = project.sweep(space, detach=True)
        project.sweeps.stop(first.name)
        # The trials of the first have its code, whatever stands in the workspace.
        (root / "train.py").write_text((root / "train.py").read_text() + "# other\n")
        kept = definition.load(project.git, first.name, "")
        heard = Heard()
        second = project.sweep(space, emit=heard)
        assert second.name == "sweep-2"
        assert second.counts == {"done": 3}
        again = project.sweeps.resume(first.name)
        assert again.counts == {"done": 3}
        for one in again.trials:
            assert "# other" not in git("show", f"{one.rev}:train.py", cwd=root)
            assert git("rev-parse", f"{one.rev}^", cwd=root) == kept.baseline
        project.close()


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("-S", "train.lr=0.1"), "Nothing varies: each param has one value."),
            (("-S", "train.lrr=0.1,0.2"), "`train.lrr`"),
            (("-S", "train.lr=interval(0.1,1)"), "`train.lr=interval(0.1,1.0)` has no end of values"),
            (("--optuna", "loss", "-S", "train.lr=0.1,0.2"), "no number of trials was given"),
            (("--optuna", "what", "--trials", "3", "-S", "train.lr=0.1,0.2"), "Nothing says which way is better for `what`."),
            (("--optuna", "a b c", "--trials", "3", "-S", "train.lr=0.1,0.2"), "`a b c` is no objective"),
            (("--pruner", "median", "-S", "train.lr=0.1,0.2"), "`--pruner median` is Optuna's"),
            (("--random", "3", "--sampler", "grid", "-S", "train.lr=0.1,0.2"), "are two that pick points"),
            (("--sampler", "gird", "-S", "train.lr=0.1,0.2"), "There is no sampler `gird`."),
            (("--optuna", "loss", "--trials", "3", "--repeat", "2", "-S", "train.lr=0.1,0.2"), "`--repeat` is for points that are known before"),
            (("[1, 2]",), "`[1, 2]` is no list of points in JSON."),
            (("--minimize", "a", "--maximize", "b", "-S", "train.lr=0.1,0.2"), "one metric is expected"),
            (("--resume", "sweep-9"), "There is no sweep `sweep-9`."),
        ],
    )  # fmt: skip
    def test_what_cannot_be_met_is_told_and_nothing_is_run(
        self,
        training: Callable[..., Path],
        nbexp_cli: Any,
        git: Callable[..., str],
        words: tuple[str, ...],
        message: str,
    ) -> None:
        project = training()
        ran = nbexp_cli("sweep", *words, cwd=project, code=None)
        assert ran.returncode in (2, 3)
        assert message in ran.stderr
        assert ran.stdout == ""
        assert git("for-each-ref", "refs/nbexp", "refs/exps", cwd=project) == ""

    def test_two_notebooks_at_once_make_two_sweeps(
        self, training: Callable[..., Path], nbexp_cli: Any
    ) -> None:
        project = training()
        started = [
            nbexp_cli.start("sweep", "-S", f"train.lr=0.{n},0.{n}5", "--json", cwd=project)
            for n in (1, 2, 3)
        ]
        said = [json.loads(one.communicate(timeout=120)[0]) for one in started]
        assert sorted(one["name"] for one in said) == ["sweep-1", "sweep-2", "sweep-3"]
        assert all(one["counts"] == {"done": 2} for one in said)


class TestStart:
    def test_trials_start_from_another_version_and_get_copies(
        self, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
    ) -> None:
        project = training()
        old = git("rev-parse", "HEAD", cwd=project)
        train = project / "train.py"
        train.write_text(train.read_text() + "print(open('local.txt').read())\n")
        git("commit", "--quiet", "--all", "--message=newer", cwd=project)
        (project / "local.txt").write_text("only here\n")
        line = ("-S", "train.lr=0.1,0.2", "-j", "2")
        nbexp_cli("sweep", *line, "--baseline", old, "-n", "old", cwd=project)
        assert git("rev-parse", "refs/nbexp/sweeps/old^", cwd=project) == old
        nbexp_cli("run", *line, "-C", "local.txt", "-n", "new", cwd=project)
        assert "only here" in nbexp_cli("logs", "new-1", cwd=project).stdout
        names = set(experiments(project, git))
        assert names == {"old-1", "old-2", "new-1", "new-2"}

    def test_each_point_is_composed_where_hydra_is_on(
        self, training: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str]
    ) -> None:
        project = training()
        (project / ".dvc" / "config").write_text("[hydra]\n    enabled = True\n")
        conf = project / "conf"
        (conf / "train").mkdir(parents=True)
        (conf / "config.yaml").write_text("defaults:\n  - train: small\n  - _self_\n")
        for name, steps in (("small", 2), ("big", 4)):
            (conf / "train" / f"{name}.yaml").write_text(
                f"lr: 0.1\nsteps: {steps}\npause: 0.0\nseed: 0\n"
            )
        git("add", "--all", cwd=project)
        git("commit", "--quiet", "--message=configurations", cwd=project)
        ran = nbexp_cli(
            "sweep", "-S", "train=small,big", "-S", "train.lr=0.1,0.01", "--json", cwd=project
        )
        said = json.loads(ran.stdout)
        assert said["counts"] == {"done": 4}
        found = [git("show", f"{one['rev']}:params.yaml", cwd=project) for one in said["trials"]]
        assert [("steps: 4" in text, "lr: 0.01" in text) for text in found] == [
            (False, False), (False, True), (True, False), (True, True),
        ]  # fmt: skip


def test_a_sweep_is_of_the_work_tree_that_asked_for_it(
    pipeline_project: Callable[..., Path], nbexp_cli: Any, git: Callable[..., str], tmp_path: Path
) -> None:
    """The refs are shared, and the queue that has the trials is not: another one would run them all again."""
    project = pipeline_project()
    beside = tmp_path / "beside"
    git("worktree", "add", "--quiet", "-b", "other", str(beside), cwd=project)
    nbexp_cli("sweep", "-S", "train.lr=0.1,0.03", "-n", "mine", cwd=beside)
    assert "2 of 2 trials: 2 done" in nbexp_cli("sweep", cwd=beside).stdout
    assert "mine" not in nbexp_cli("sweep", cwd=project).stdout
    before = git("for-each-ref", cwd=project)
    refused = nbexp_cli("sweep", "--resume", "mine", cwd=project, code=2)
    assert refused.stderr == (
        "The sweep `mine` was asked for in another work tree or project of this repository.\n"
        "Hint: `nbexp sweep --resume mine`, typed there, goes on with it.\n"
    )
    nbexp_cli("stop", "mine", cwd=project, code=3)
    assert git("for-each-ref", cwd=project) == before
