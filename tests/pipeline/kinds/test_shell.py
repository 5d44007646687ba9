from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbexp.errors import StageFailed
from nbexp.events import Event, OutputWritten
from nbexp.pipeline import kinds


def job(folder: Path, command: str, **env: str) -> kinds.Job:
    run_dir = folder / ".dvc" / "run"
    return kinds.Job(
        "train", command, folder, folder, {**os.environ, **env}, run_dir / "log", run_dir
    )


def failure(folder: Path, command: str, **env: str) -> StageFailed:
    with pytest.raises(StageFailed) as error:
        kinds.run(job(folder, command, **env), lambda _event: None)
    return error.value


def output(folder: Path, command: str, **env: str) -> str:
    events: list[Event] = []
    assert kinds.run(job(folder, command, **env), events.append) is None
    return b"".join(event.data for event in events if isinstance(event, OutputWritten)).decode()


def test_a_command_is_the_shells(tmp_path: Path) -> None:
    line = 'X=1; for i in a b; do echo "$i$X"; done | tr a-z A-Z > out.txt && cat out.txt'
    assert output(tmp_path, line) == "A1\nB1\n"


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash", ""])
def test_the_shell_is_the_users(tmp_path: Path, shell: str) -> None:
    said = output(tmp_path, 'echo "$0 ${BASH_VERSION:+bash}"', SHELL=shell)
    assert said.split()[0] == (shell or "/bin/sh")


def test_start_up_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text("echo no\n")
    (tmp_path / ".bash_profile").write_text("echo no\n")
    assert output(tmp_path, "echo yes", SHELL="/bin/bash", HOME=str(tmp_path)) == "yes\n"


def test_an_exit_code_fails_the_stage(tmp_path: Path) -> None:
    error = failure(tmp_path, "echo one; echo two >&2; exit 3")
    assert error.message == "Stage `train` stopped, `echo one; echo two >&2; exit 3`: exit code 3."
    assert error.hint == "the output is in .dvc/run/log."
    assert (error.stage, error.returncode, error.tail) == ("train", 3, "one\ntwo")
    assert error.log is not None
    assert error.log.read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (9, "killed by signal 9 (SIGKILL, likely out of memory)"),
        (15, "killed by signal 15 (SIGTERM)"),
        (11, "killed by signal 11 (SIGSEGV)"),
    ],
)
def test_a_signal_is_named(tmp_path: Path, number: int, words: str) -> None:
    error = failure(tmp_path, f"kill -{number} $$")
    assert (error.message, error.returncode) == (
        f"Stage `train` stopped, `kill -{number} $$`: {words}.",
        128 + number,
    )


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    error = failure(tmp_path, "nosuchprogram --x")
    assert error.message == "Stage `train` stopped, `nosuchprogram --x`: a program was not found."
    assert "nosuchprogram" in error.tail


def test_a_shell_that_is_not_there_is_said(tmp_path: Path) -> None:
    error = failure(tmp_path, "echo", SHELL="/no/such/shell")
    assert error.message == (
        "Stage `train` could not be started: No such file or directory: /no/such/shell."
    )


def test_the_tail_is_the_last_twenty_lines_with_bars_as_they_ended(tmp_path: Path) -> None:
    line = r"seq 100; printf '\r10%%\r90%%\n'; exit 1"
    lines = failure(tmp_path, line).tail.splitlines()
    assert (len(lines), lines[-2:]) == (19, ["100", "90%"])


def test_a_kind_of_another_package_is_asked_before_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbexp import plugins

    package = tmp_path / "lib" / "other_kind-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: other-kind\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[nbexp.pipeline.kinds]\nodd = other_kind\n")
    (tmp_path / "lib" / "other_kind.py").write_text(
        "def claims(command): return command.startswith('odd ')\n"
        "def argv(job): return ['/bin/echo', 'odd:', job.command[4:]]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    for function in (plugins.names, plugins.load, plugins._has_others):
        function.cache_clear()
    try:
        assert output(tmp_path, "odd thing") == "odd: thing\n"
        assert output(tmp_path, "echo even") == "even\n"
    finally:
        plugins.names.cache_clear()
        plugins._has_others.cache_clear()
        plugins.load.cache_clear()
