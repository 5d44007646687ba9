"""`diff` beside `dvc exp diff`, and the command lines that are recorded, replayed by both tools."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import RunGit, RunProgram
    from tests.conftest import MakePipelineProject


@pytest.fixture
def recorded(pipeline: MakePipelineProject, nbexp_cli: RunProgram, git: RunGit) -> Path:
    """Two experiments, a branch and a tag of the first, and a workspace that is neither."""
    root = pipeline()
    nbexp_cli("run", "-n", "one", cwd=root)
    nbexp_cli("run", "-S", "train.lr=0.03", "-S", "prepare.rows=5", "-n", "two", cwd=root)
    rev = git("for-each-ref", "--format=%(objectname)", "refs/exps/*/*/one", cwd=root)
    git("branch", "kept", rev, cwd=root)
    git("tag", "v1", rev, cwd=root)
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("0.03", "0.7"))
    return root


PAIRS = [
    (), ("one",), ("one", "two"), ("two", "one"), ("kept", "two"), ("v1", "two"), ("main", "one"),
    ("HEAD", "v1"), ("one", "kept"), ("COMMIT", "two"), ("two", "main"),
]  # fmt: skip


@pytest.mark.parametrize("names", PAIRS)
def test_any_two_states_differ_as_dvc_says(
    recorded: Path, nbexp_cli: RunProgram, dvc: RunProgram, git: RunGit, names: tuple[str, ...]
) -> None:
    rev = git("rev-parse", "v1", cwd=recorded)
    words = [rev if name == "COMMIT" else name for name in names]
    theirs = json.loads(dvc("exp", "diff", *words, "--json", cwd=recorded).stdout)
    ours = json.loads(nbexp_cli("diff", *words, "--json", cwd=recorded).stdout)
    assert {key: ours[key] for key in ("metrics", "params")} == {
        key: theirs.get(key, {}) for key in ("metrics", "params")
    }
    assert set(ours) >= set(theirs)


def test_the_recorded_lines_make_the_same_experiment_again(
    recorded: Path,
    nbexp_cli: RunProgram,
    dvc: RunProgram,
    git: RunGit,
    tmp_path: Path,
    make_magic: Callable[[str, Path], object],
) -> None:
    lines = json.loads(nbexp_cli("note", "two", "--json", cwd=recorded).stdout)["run"]
    first = git("for-each-ref", "--format=%(objectname)", "refs/exps/*/*/two", cwd=recorded)
    wanted = {
        path: git("show", f"{first}:{path}", cwd=recorded)
        for path in ("params.yaml", "metrics.json", "dvc.lock")
    }
    for face in ("command", "magic", "dvc"):
        clone = tmp_path / face
        git("clone", "--quiet", recorded, clone, cwd=tmp_path)
        program, *words = shlex.split(lines[face])
        if face == "magic":
            make_magic(lines[face], clone)
        else:
            {"nbexp": nbexp_cli, "dvc": dvc}[program](*words, cwd=clone)
        made = git("for-each-ref", "--format=%(objectname)", "refs/exps/*/*/two", cwd=clone)
        assert made
        found = {path: git("show", f"{made}:{path}", cwd=clone) for path in wanted}
        assert found == wanted, face


@pytest.fixture
def make_magic(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], object]:
    """Runs a cell's line in a directory."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    quiet = Config()
    quiet.HistoryManager.enabled = False
    shell = InteractiveShell(config=quiet)
    shell.run_line_magic("load_ext", "nbexp")

    def run(line: str, folder: Path) -> object:
        monkeypatch.chdir(folder)
        done = shell.run_cell(line)
        done.raise_error()
        return done.result

    return run


def test_dvc_is_not_disturbed_by_notes(
    recorded: Path, nbexp_cli: RunProgram, dvc: RunProgram, git: RunGit
) -> None:
    nbexp_cli("tag", "one", "paper", "--star", cwd=recorded)
    nbexp_cli("note", "one", "keep", cwd=recorded)
    assert {"one", "two"} <= set(dvc("exp", "list", "--name-only", cwd=recorded).stdout.split())
    dvc("exp", "apply", "one", cwd=recorded)
    dvc("exp", "rename", "one", "other", cwd=recorded)
    told = json.loads(nbexp_cli("note", "other", "--json", cwd=recorded).stdout)
    assert (told["note"], told["tags"], told["star"]) == ("keep", ["paper"], True)
    assert told["run"]["command"] == "nbexp run -n one"
    git("fsck", cwd=recorded)
