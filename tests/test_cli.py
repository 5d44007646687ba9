"""The command line: what goes to stdout, what to stderr, and the exit code."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import cli, events
from tests.terminals import on_a_terminal

if TYPE_CHECKING:
    from tests.conftest import Program

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def project(pipeline_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    root = pipeline_project()
    monkeypatch.chdir(root)
    return root


def masked(text: str) -> str:
    """Seconds as they differ from run to run."""
    return re.sub(r"\d+\.\d s", "0.0 s", text)


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.02)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- A run, line by line ------------------------------------------------------------------------


def test_a_first_run(project: Path, capfd: Capture) -> None:
    assert cli.main(["run", "-n", "one"]) == 0
    told = capfd.readouterr()
    assert masked(told.out) == (
        "Running experiment 'one'\n"
        "Running stage 'prepare':\n"
        "> sh prepare.sh\n"
        "20 rows\n"
        "Generating lock file 'dvc.lock'\n"
        "Updating lock file 'dvc.lock'\n"
        "Running stage 'train':\n"
        "> sh train.sh\n"
        "epoch 1 acc 0.8300\n"
        "epoch 2 acc 0.8550\n"
        "epoch 3 acc 0.8633\n"
        "Updating lock file 'dvc.lock'\n"
        "Ran experiment(s): one\n"
        "one   done in 0.0 s   (nbexp 0.0 s)\n"
        "  acc                  0.8633\n"
        "  steps.last           3\n"
        "  stages               prepare ran, train ran\n"
        "  changes vs baseline  none\n"
        "keep it as a branch: nbexp branch one my-branch\n"
    )
    assert told.err == (
        "  because data/raw.csv is new, prepare.sh is new, params.yaml:prepare.rows is new, prepared is "
        "missing\n"
        "  because prepared is new, train.sh is new, params.yaml:seed is new, params.yaml:train.epochs is "
        "new, params.yaml:train.lr is new, model.txt is missing, metrics.json is missing, plots/acc.csv "
        "is missing\n"
    )


def test_a_second_run(project: Path, capfd: Capture) -> None:
    cli.main(["run", "-n", "one"])
    capfd.readouterr()
    assert cli.main(["run", "-n", "two", "-S", "train.lr=0.03"]) == 0
    told = capfd.readouterr()
    assert masked(told.out) == (
        "Running experiment 'two'\n"
        "Stage 'prepare' didn't change, skipping\n"
        "Running stage 'train':\n"
        "> sh train.sh\n"
        "epoch 1 acc 0.9000\n"
        "epoch 2 acc 0.9250\n"
        "epoch 3 acc 0.9333\n"
        "Updating lock file 'dvc.lock'\n"
        "Ran experiment(s): two\n"
        "two   done in 0.0 s   (nbexp 0.0 s)\n"
        "  train.lr    0.1 -> 0.03\n"
        "  acc         0.9333   +0.07 vs one  (better)\n"
        "  steps.last  3   same as one\n"
        "  stages      prepare unchanged, train ran\n"
        "keep it as a branch: nbexp branch two my-branch\n"
    )
    assert told.err == "  because params.yaml:train.lr 0.1 -> 0.03\n"


def test_the_same_again(project: Path, capfd: Capture) -> None:
    cli.main(["run", "-n", "one"])
    capfd.readouterr()
    assert cli.main(["run"]) == 0
    assert masked(capfd.readouterr().out) == (
        "identical to one (same code, data and parameters): nothing to run      0.0 s      "
        "--new runs it again\n"
    )


def test_a_stage_that_comes_from_the_run_cache(project: Path, capfd: Capture) -> None:
    cli.main(["run", "-n", "one"])
    cli.main(["run", "-n", "two", "-S", "train.lr=0.03"])
    capfd.readouterr()
    cli.main(["run", "-n", "again", "-S", "train.lr=0.1", "--new"])
    lines = capfd.readouterr().out.splitlines()
    assert "Stage 'train' is cached - skipping run, checking out outputs" in lines
    assert "  stages      prepare unchanged, train restored from the run cache" in lines


def test_hints_can_be_turned_off(project: Path, capfd: Capture) -> None:
    (project / "nbexp.toml").write_text("hints = false\n")
    cli.main(["run", "-n", "one"])
    assert "keep it as a branch" not in capfd.readouterr().out


def test_every_command_in_a_card_works(
    project: Path, git: Callable[..., str], capfd: Capture
) -> None:
    cli.main(["run", "-n", "one"])
    line = capfd.readouterr().out.splitlines()[-1]
    words = line.partition("nbexp ")[2].split()
    assert cli.main(words) == 0
    assert git("rev-parse", "my-branch", cwd=project)


def test_files_that_are_not_recorded_are_named_in_the_card_and_as_json(
    project: Path, capfd: Capture
) -> None:
    edit(project / "prepare.sh", "set -eu\n", "set -eu\necho 1 > extra.csv\n")
    assert cli.main(["run", "-n", "one"]) == 0
    assert "not recorded: extra.csv. Hint: add it to outs of `prepare`\n" in capfd.readouterr().out
    (project / "extra.csv").unlink()
    assert cli.main(["run", "-n", "two", "-f", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["not_recorded"] == [{"path": "extra.csv", "stage": "prepare"}]


def test_a_module_that_no_dep_names_is_warned_about(
    project: Path, git: Callable[..., str], capfd: Capture
) -> None:
    (project / "dvc.yaml").write_text("stages:\n  a:\n    cmd: python a.py\n    deps: [a.py]\n")
    (project / "a.py").write_text("import helper\n")
    (project / "helper.py").write_text("")
    git("add", "--all", cwd=project)
    git("commit", "--quiet", "--message=python", cwd=project)
    cli.main(["run"])
    assert (
        "`a` imports helper.py, not among its deps. Hint: add it to deps of `a`\n"
        in capfd.readouterr().out
    )


# --- Output of stages ---------------------------------------------------------------------------


def test_output_is_passed_on_byte_for_byte(project: Path, nbexp_cli: Program) -> None:
    """Carriage-return bars stay bars; a last line without an end gets one before ours."""
    (project / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: printf '10%%\\r50%%\\r100%%\\n\\033[31mred\\033[0m no end'\n"
    )
    argv = [sys.executable, "-m", "nbexp.cli", "run", "-n", "one"]
    ran = subprocess.run(argv, cwd=project, capture_output=True, check=True)
    assert b"10%\r50%\r100%\n\x1b[31mred\x1b[0m no end\nGenerating lock file" in ran.stdout


def test_output_that_is_no_text_is_passed_on(project: Path) -> None:
    (project / "dvc.yaml").write_text("stages:\n  a:\n    cmd: printf '\\377\\376\\n'\n")
    argv = [sys.executable, "-m", "nbexp.cli", "run", "-n", "one"]
    ran = subprocess.run(argv, cwd=project, capture_output=True, check=True)
    assert b"\xff\xfe\n" in ran.stdout


def test_stderr_of_a_stage_is_its_output_too(project: Path, capfd: Capture) -> None:
    (project / "dvc.yaml").write_text("stages:\n  a:\n    cmd: echo out; echo err >&2\n")
    cli.main(["run", "-n", "one"])
    assert "out\nerr\n" in capfd.readouterr().out


# --- Loud and quiet -----------------------------------------------------------------------------


def test_quiet_prints_nothing_but_errors(project: Path, capfd: Capture) -> None:
    for argv in (
        ["run", "-q", "-n", "one"],
        ["show", "-q"],
        ["list", "--quiet"],
        ["apply", "one", "-q"],
        ["-q", "list"],
        ["--quiet", "--cd", ".", "run", "-S", "train.lr=0.04,0.05"],
    ):
        assert cli.main(argv) == 0
    assert capfd.readouterr() == ("", "")
    assert cli.main(["apply", "nobody", "-q"]) == 3
    assert "There is no experiment" in capfd.readouterr().err


def test_options_without_a_command_are_told(project: Path, capfd: Capture) -> None:
    assert cli.main(["-q", "--cd", "."]) == 2
    assert capfd.readouterr().err == (
        "There is no command behind `-q --cd .`. Nothing was done.\n"
        "Hint: `nbexp help` lists what there is.\n"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-q -h", "Experiment versioning for notebooks"),
        ("--cd . help", "Experiment versioning for notebooks"),
        ("-q help run", "usage: nbexp run"),
        ("-v --version", "nbexp 0."),
    ],
)
def test_help_and_version_behind_the_options_of_all_commands(
    line: str, said: str, capfd: Capture
) -> None:
    assert cli.main(line.split()) == 0
    assert capfd.readouterr().out.startswith(said)


def test_the_words_of_a_command_that_is_to_be_a_stage_are_kept(
    project: Path, capfd: Capture
) -> None:
    words = "stage add -n rank python rank.py --sort-by -acc"
    assert cli.main(words.split()) == 0
    assert "cmd: python rank.py --sort-by -acc\n" in (project / "dvc.yaml").read_text()


def test_json_is_alone_on_stdout(project: Path, capfd: Capture) -> None:
    assert cli.main(["run", "-n", "one", "--json"]) == 0
    told = capfd.readouterr()
    found = json.loads(told.out)
    assert found["name"] == "one"
    assert found["metrics"] == {"acc": 0.8633, "steps.last": 3}
    assert [(stage["name"], stage["action"]) for stage in found["stages"]] == [
        ("prepare", "ran"),
        ("train", "ran"),
    ]
    assert "Running stage 'train':" in told.err
    assert "epoch 3 acc 0.8633" in told.err


def test_quiet_json_is_json_alone(project: Path, capfd: Capture) -> None:
    cli.main(["run", "-n", "one", "--json", "-q"])
    told = capfd.readouterr()
    assert json.loads(told.out)["name"] == "one"
    assert told.err == ""


# --- Exit codes ---------------------------------------------------------------------------------


def test_status_quiet_says_by_its_exit_code_whether_something_changed(
    project: Path, capfd: Capture
) -> None:
    assert cli.main(["status", "-q"]) == 1
    cli.main(["run", "-q"])
    assert cli.main(["status", "-q"]) == 0
    edit(project / "params.yaml", "lr: 0.1", "lr: 0.2")
    assert cli.main(["status", "-q"]) == 1
    assert cli.main(["status"]) == 0
    assert capfd.readouterr().out == "train:\n  params.yaml:train.lr 0.1 -> 0.2\n"


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["show"], 0),
        (["--version"], 0),
        (["-h"], 0),
        ([], 0),
        (["run", "-h"], 0),
        (["rnu"], 2),
        (["run", "--xyz"], 2),
        (["run", "-S", "lr"], 2),
        (["run", "-n", "a..b"], 2),
        (["apply", "nobody"], 3),
        (["run", "-S", "train.lrr=1"], 3),
    ],
)
def test_the_exit_code_says_what_kind_of_end_it_was(
    argv: list[str], code: int, project: Path, capfd: Capture
) -> None:
    assert cli.main(argv) == code


def test_a_failed_stage_ends_with_1_and_its_words(project: Path, capfd: Capture) -> None:
    edit(project / "train.sh", "set -eu\n", "set -eu\nprintf working; exit 3\n")
    assert cli.main(["run", "-n", "bad"]) == 1
    told = capfd.readouterr()
    assert told.out.endswith("> sh train.sh\nworking\n")
    last, hint = told.err.splitlines()[-2:]
    assert last == "Stage `train` stopped, `sh train.sh`: exit code 3."
    log = project / re.fullmatch(r"Hint: the output is in (.*)\.", hint)[1]  # type: ignore[index]
    assert log.read_text() == "working"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_with_130_and_nothing_left_running(
    project: Path, nbexp_cli: Program, git: Callable[..., str], number: signal.Signals
) -> None:
    nap = f"sleep 301.{random.randrange(10**8):08}"  # not that of another signal's test
    edit(project / "train.sh", "set -eu\n", f"set -eu\necho started; sleep 300 & {nap}\n")
    before = (project / "params.yaml").read_bytes()
    child = nbexp_cli.start("run", "-n", "stopped", "-S", "train.lr=0.5", cwd=project)
    assert child.stdout is not None
    while "started" not in child.stdout.readline():
        pass
    began = time.monotonic()
    os.kill(child.pid, number)
    _, err = child.communicate(timeout=120)
    assert time.monotonic() - began < 60  # of 300
    assert child.returncode == 130
    assert err.splitlines()[-2:] == [
        "Run `stopped` was interrupted. Your workspace is as it was before it.",
        "Hint: `nbexp show --all-states` lists it.",
    ]
    assert (project / "params.yaml").read_bytes() == before
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert nap not in listed.stdout
    assert nbexp_cli("show", "--all-states", cwd=project).stdout.count("interrupted") == 1


def test_a_run_whose_terminal_is_closed_puts_the_files_back(
    project: Path, nbexp_cli: Program
) -> None:
    edit(project / "train.sh", "set -eu\n", "set -eu\n: > ../started; sleep 302\n")
    before = (project / "params.yaml").read_bytes()
    words = [sys.executable, "-m", "nbexp.cli", "run", "-n", "closed", "-S", "train.lr=0.5"]
    child, terminal = on_a_terminal(words, project)
    wait_for(project.parent / "started")
    os.close(terminal)
    assert child.wait(60) == 130
    assert (project / "params.yaml").read_bytes() == before
    assert nbexp_cli("show", "--all-states", cwd=project).stdout.count("interrupted") == 1


def test_a_run_in_the_background_of_a_script_can_be_told_to_go(
    project: Path, nbexp_cli: Program
) -> None:
    """Such a process ignores SIGINT, and with `nohup` it goes on when the terminal is closed."""
    edit(project / "train.sh", "set -eu\n", "set -eu\n: > ../started; sleep 302\n")
    before = (project / "params.yaml").read_bytes()
    line = f"nohup {sys.executable} -m nbexp.cli run -n away -S train.lr=0.5 > /dev/null 2>&1 & echo $!; wait $!; echo $?"
    shell = subprocess.Popen(["sh", "-c", line], cwd=project, stdout=subprocess.PIPE, text=True)
    assert shell.stdout is not None
    pid = int(shell.stdout.readline())
    wait_for(project.parent / "started")
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGTERM)
    assert shell.communicate(timeout=60)[0] == "130\n"
    assert (project / "params.yaml").read_bytes() == before
    assert nbexp_cli("show", "--all-states", cwd=project).stdout.count("interrupted") == 1


def test_a_reader_that_has_enough_is_no_error(project: Path) -> None:
    line = f"{sys.executable} -m nbexp.cli help | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


def test_a_pipeline_that_is_a_link_to_nothing_is_none(project: Path, capfd: Capture) -> None:
    for target in ("dvc.yaml", "nowhere"):
        (project / "dvc.yaml").unlink()
        (project / "dvc.yaml").symlink_to(target)
        assert cli.main(["status"]) == 0
        assert capfd.readouterr().out == "There are no stages here.\n"
        assert cli.main(["run"]) == 3
        assert capfd.readouterr().err.startswith(
            "There is no dvc.yaml and so no pipeline to run.\n"
        )


# --- In a sub-directory ---------------------------------------------------------------------------


def test_in_a_sub_directory_its_own_pipeline_runs(
    pipeline_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    root = pipeline_project(subdir="sub/deep")
    monkeypatch.chdir(root / "sub" / "deep")
    assert cli.main(["run", "-n", "one", "-S", "train.lr=0.03"]) == 0
    out = capfd.readouterr().out
    assert "Running stage 'train':" in out
    assert "Updating lock file 'dvc.lock'" in out
    assert '"acc": 0.9333' in (root / "sub" / "deep" / "metrics.json").read_text()
    assert cli.main(["status"]) == 0
    assert capfd.readouterr().out == "Data and pipelines are up to date.\n"
    monkeypatch.chdir(root)
    assert cli.main(["run"]) == 3
    assert capfd.readouterr().err == (
        "There is no dvc.yaml here; this project has sub/deep/dvc.yaml.\n"
        "Hint: `nbexp run --cd sub/deep` runs the pipeline of that directory.\n"
    )
    assert cli.main(["run", "--cd", "sub/deep"]) == 0
    assert "identical to one" in capfd.readouterr().out
    assert cli.main(["run", "sub/deep/dvc.yaml:prepare"]) == 0
    assert cli.main(["show"]) == 0
    assert cli.main(["apply", "one", "--cd", "sub"]) == 0
    (root / "sub" / "deep" / "runs").mkdir()
    capfd.readouterr()
    assert cli.main(["run", "--cd", "sub/deep/runs", "-S", "train.lr=0.5"]) == 3
    assert capfd.readouterr().err == (
        "There is neither params.yaml nor a dvc.yaml here. Nothing was run.\n"
        "Hint: `nbexp run --cd ..` runs the pipeline of that directory.\n"
    )


# --- What is told, event by event -----------------------------------------------------------------


def test_events_without_words_are_passed_over(capsys: Capture) -> None:
    narrator = cli.Narrator()
    for event in (
        events.Phase("recording"),
        events.CellStarted("train", 1, 3),
        events.CellFinished("train", 1, 3),
        events.MetricLogged("train", 1, {"acc": 0.5}),
    ):
        narrator(event)
    assert capsys.readouterr() == ("", "")
    narrator(events.Phase("restoring 812 files", 0, 812))
    narrator(events.Notice("Careful.", "do this."))
    narrator(events.Notice("Careful."))
    assert capsys.readouterr().err == "restoring 812 files\nCareful. Hint: do this.\nCareful.\n"


def test_a_quiet_narrator_tells_notices_alone(capsys: Capture) -> None:
    narrator = cli.Narrator(is_quiet=True)
    narrator(events.RunStarted("one", "a" * 40))
    narrator(events.Notice("Careful."))
    assert capsys.readouterr() == ("", "Careful.\n")


def test_of_several_stages_each_line_says_whose_it_is(capsys: Capture) -> None:
    narrator = cli.Narrator()
    narrator(events.Planned(("a", "b"), {"a": (), "b": ()}, jobs=2))
    for name in "ab":
        narrator(events.StageStarted(name, ("x",)))
        narrator(events.CommandStarted(name, "x"))
    narrator(events.OutputWritten("a", b"one\nhalf"))
    narrator(events.OutputWritten("b", b"10%\r100%\rdone\nrest"))
    narrator(events.OutputWritten("a", b" a line\n"))
    narrator(events.StageFinished("b", 0.1))
    narrator(events.StageStopped("a", "Stage `a` stopped.", ("c", "d"), goes_on=True))
    said = capsys.readouterr()
    assert said.out == (
        "Running stage 'a':\na > x\nRunning stage 'b':\nb > x\n"
        "a | one\nb | done\na | half a line\nb | rest\n"
    )
    assert said.err == ("Stage `a` stopped.\nStages 'c', 'd' will be skipped due to this failure\n")
