"""What is told of a run: command line, times, machine, Python, packages."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import StageFailed
from nbexp.events import Notice
from nbexp.experiments import environment, notes
from nbexp.formats import ref_names

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]


def told(project: Project, rev: str) -> dict[str, object]:
    run = notes.read(project.git, [rev])[rev]["run"]
    assert isinstance(run, dict)
    return run


def test_a_run_tells_its_command_stages_machine_and_python(project: Project) -> None:
    made = project.run({"train.lr": 0.03}, name="low-lr", message="lower it")
    run = told(project, made.rev)
    line = "-S train.lr=0.03 -n low-lr -m 'lower it'"
    assert run["command"] == f"nbexp run {line}"
    assert run["magic"] == f"%exp run {line}"
    assert run["dvc"] == f"dvc exp run {line}"
    assert list(run["stages"]) == ["prepare", "train"]  # type: ignore[call-overload]
    stage = run["stages"]["train"]  # type: ignore[index]
    assert stage["action"] == "ran"
    assert 0 < stage["seconds"] <= run["seconds"]  # type: ignore[operator]
    assert run["host"] == os.uname().nodename
    assert run["cpus"] == os.cpu_count()
    assert str(run["platform"]).startswith(os.uname().sysname)
    assert run["user"]
    assert run["gpu"] == []
    python = ".".join(map(str, sys.version_info[:3]))
    assert run["python"] == python
    packages = notes.packages(project.git, str(run["packages"]))
    assert packages["papermill"] == next(
        one.version for one in distributions() if one.metadata["Name"] == "papermill"
    )


def test_packages_are_stored_once_for_all_experiments(project: Project, git: Git) -> None:
    revs = [project.run({"train.lr": 0.01 * n}).rev for n in range(1, 4)]
    assert len({str(told(project, rev)["packages"]) for rev in revs}) == 1
    listed = git("ls-tree", "-r", "--name-only", notes.REF, "packages/", cwd=project.root)
    assert len(listed.splitlines()) == 1


def test_the_packages_are_those_that_importlib_finds() -> None:
    own = environment.python_of([], os.environ, None)  # type: ignore[arg-type]
    normal = {
        one.metadata["Name"].lower().replace("_", "-").replace(".", "-") for one in distributions()
    }
    assert set(own.packages) == normal


def test_options_that_dvc_lacks_or_means_otherwise_give_no_line_for_dvc(project: Project) -> None:
    made = project.run(jobs=2, new=True, force=True, targets=["train"])
    run = told(project, made.rev)
    assert run["command"] == "nbexp run -f --new -j 2 train"
    assert "dvc" not in run


def test_a_cell_takes_braces_as_they_are(project: Project) -> None:
    made = project.run(["+train.net={width:3}"])
    run = told(project, made.rev)
    assert run["command"] == "nbexp run -S '+train.net={width:3}'"
    assert run["magic"] == "%exp run -S '+train.net={width:3}' --no-expand"


def test_no_secret_reaches_the_repository(project: Project, git: Git) -> None:
    secret = "hunter2hunter2"
    made = project.run(message=f"fetch https://me:{secret}@host/x with --token={secret}")
    assert secret not in git("notes", "--ref=nbexp", "show", made.rev, cwd=project.root)
    assert git("show", "-s", "--format=%B", made.rev, cwd=project.root).strip() == (
        "fetch https://***@host/x with --token=***"
    )
    assert told(project, made.rev)["command"] == (
        "nbexp run -m 'fetch https://***@host/x with --token=***'"
    )


def test_what_a_stage_writes_is_shown_without_secrets(
    project: Project, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "hunter2hunter2"
    monkeypatch.setenv("MY_API_TOKEN", secret)
    (project.root / "train.sh").write_text(
        'echo "token: the $MY_API_TOKEN"; echo https://me:pw@host/x; exit 3\n'
    )
    with pytest.raises(StageFailed):
        project.run({"train.lr": 0.5}, name="noisy", message=f"with {secret}")
    shown = project.queue.logs("noisy").text
    assert "token: the ***\nhttps://***@host/x\n" in shown
    assert secret not in shown
    assert secret not in git("log", "--all", "--format=%B", cwd=project.root)


def test_a_param_that_looks_like_a_secret_is_warned_about(project: Project) -> None:
    said: list[object] = []
    project.run({"+train.db_password": "xK9fj2ls", "+train.max_tokens": 512}, emit=said.append)
    told = [str(one.message) for one in said if isinstance(one, Notice)]
    assert told == ["`train.db_password` looks like a secret, and params.yaml is recorded with it."]


def test_a_failed_run_tells_how_it_was_asked(project: Project) -> None:
    (project.root / "train.sh").write_text("exit 3\n")
    with pytest.raises(StageFailed):
        project.run({"train.lr": 0.5})
    [rev] = project.git.refs(ref_names.FAILED).values()
    run = told(project, rev)
    assert run["command"] == "nbexp run -S train.lr=0.5"
    assert "stages" not in run


def test_a_run_that_is_recorded_already_keeps_its_note(project: Project) -> None:
    made = project.run({"train.lr": 0.03})
    before = project.git.resolve(notes.REF)
    project.run()
    again = project.run({"train.lr": 0.03})
    assert again.rev == made.rev
    assert told(project, made.rev)["command"] == "nbexp run -S train.lr=0.03"
    assert before is not None


def test_notes_that_cannot_be_written_do_not_keep_a_run_from_being_recorded(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbexp.git._PATIENCE_S", 0.1)
    project.run()
    (project.git.common / "refs" / "notes" / "nbexp.lock").write_text("")
    said: list[object] = []
    made = project.run({"train.lr": 0.03}, emit=said.append)
    assert project.experiment(made.name).rev == made.rev
    assert notes.read(project.git, [made.rev]) == {}
    assert any("its command line and environment are not" in str(one) for one in said)


# --- Another Python, a GPU ------------------------------------------------------------------------


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def test_the_python_of_commands_is_the_first_on_the_path(project: Project, tmp_path: Path) -> None:
    site = tmp_path / "lib" / "site-packages"
    for name in ("numpy-2.1.0.dist-info", "Some_Thing-1.0+cu12.dist-info", "old-3-py3.9.egg-info"):
        (site / name).mkdir(parents=True)
    (site / "~umpy-2.0.dist-info").mkdir()
    (site / "odd.dist-info").mkdir()
    (site / "odd.dist-info" / "METADATA").write_text("Name: odd\nVersion: v7\n")
    conda = tmp_path / "env" / "conda-meta"
    conda.mkdir(parents=True)
    (conda / "openblas-0.3.21-h1_0.json").write_text("{}")
    answer = json.dumps(["3.9.1", str(tmp_path / "env"), ["", str(site)]])
    count = tmp_path / "count"
    program(tmp_path / "bin", "python", f"echo x >> {count}\necho '{answer}'")
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    project.stage_env = env
    for number in range(2):
        made = project.run({"train.lr": 0.2 + number})
        run = told(project, made.rev)
        assert run["python"] == "3.9.1"
        assert notes.packages(project.git, str(run["packages"])) == {
            "numpy": "2.1.0", "odd": "v7", "old": "3", "openblas": "0.3.21", "some-thing": "1.0+cu12",
        }  # fmt: skip
    assert count.read_text() == "x\n"


def test_a_python_that_does_not_answer_is_no_reason_to_stop(
    project: Project, tmp_path: Path
) -> None:
    program(tmp_path / "bin", "python", "exit 1")
    project.stage_env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    run = told(project, project.run().rev)
    assert run["python"] == ""
    assert notes.packages(project.git, str(run["packages"])) == {}


def test_a_gpu_is_asked_once_after_each_start_of_the_machine(
    project: Project, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    program(
        tmp_path / "bin", "nvidia-smi", f"echo x >> {count}\necho 'NVIDIA A100, 40960 MiB, 535.1'"
    )
    project.stage_env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    for number in range(2):
        made = project.run({"train.lr": 0.2 + number})
        assert told(project, made.rev)["gpu"] == ["NVIDIA A100, 40960 MiB, 535.1"]
    assert count.read_text() == "x\n"


def test_a_gpu_that_hangs_is_left_alone(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_PATIENCE_S", 0.2)
    program(tmp_path / "bin", "nvidia-smi", "exec sleep 60")
    project.stage_env = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    began = time.monotonic()
    assert told(project, project.run().rev)["gpu"] == []
    assert time.monotonic() - began < 30
