"""`status` beside DVC's: its options and what may be asked about, in a project with every kind of change."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import commands
from nbexp.events import ignore

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeProject, RunGit, RunProgram

Told = Callable[..., list[tuple[int, str]]]

PIPELINE = """\
stages:
  first:
    cmd: cp raw.csv first.txt
    deps: [raw.csv]
    outs: [first.txt]
  second:
    cmd: mkdir -p out && cp first.txt out/a.txt && cp first.txt out/b.txt && cp first.txt second.txt
    deps: [first.txt]
    params: [lr]
    outs: [out, second.txt]
  cold:
    frozen: true
    cmd: cp second.txt cold.txt
    deps: [second.txt]
    outs: [cold.txt]
  never:
    cmd: cp raw.csv never.txt
    deps: [raw.csv]
    outs: [never.txt]
"""
BELOW = """\
stages:
  deep:
    cmd: cp ../second.txt deep.txt
    deps: [../second.txt]
    outs: [deep.txt]
"""

CASES = [
    "",
    "second",
    "out",
    "out/a.txt",
    "second.txt",
    "sub/dvc.yaml",
    "sub/dvc.yaml:deep",
    "sub/deep.txt",
    "sub -R",
    ". --recursive",
    "-d sub/deep.txt",
    "--with-deps cold",
    "-d second",
    "tracked.csv.dvc",
    "tracked.csv",
    "first second --no-updates",
]


@pytest.fixture
def changed(project: MakeProject, dvc: RunProgram, git: RunGit) -> Path:
    root = project(
        {
            "dvc.yaml": PIPELINE,
            "sub/dvc.yaml": BELOW,
            "raw.csv": "a\n",
            "params.yaml": "lr: 1\n",
            "tracked.csv": "t\n",
        }
    )
    git("rm", "--quiet", "--cached", "tracked.csv", cwd=root)
    dvc("add", "--quiet", "tracked.csv", cwd=root)
    dvc("repro", "--quiet", "first", "second", "sub/dvc.yaml:deep", cwd=root)
    (root / "raw.csv").write_text("b\n")
    (root / "params.yaml").write_text("lr: 2\n")
    (root / "second.txt").chmod(0o644)
    (root / "second.txt").write_text("edited\n")
    (root / "tracked.csv").chmod(0o644)
    (root / "tracked.csv").write_text("u\n")
    return root


def test_every_option_and_kind_of_target(changed: Path, told_by_dvc: Told) -> None:
    asked = [["status", *line.split(), "--json"] for line in CASES]
    said = {}
    for line, words, (code, out) in zip(CASES, asked, told_by_dvc(changed, asked), strict=True):
        assert code == 0, words
        said[line] = _parsed(out)
        assert _parsed(_said(words, changed)) == said[line], words
    # Each option makes DVC say something else.
    assert said["-d second"] != said["second"]
    assert said["--with-deps cold"] != {}
    assert said["sub -R"] != said[""]
    assert said["out"] != said["second"]


def test_from_a_sub_directory(changed: Path, told_by_dvc: Told) -> None:
    asked = [["status", *line.split(), "--json"] for line in ("", "deep", "../out", "-d deep.txt")]
    for words, (code, out) in zip(asked, told_by_dvc(changed / "sub", asked), strict=True):
        assert code == 0, words
        assert _parsed(_said(words, changed / "sub")) == _parsed(out), words


def test_quiet_says_it_by_its_exit_code(changed: Path, told_by_dvc: Told, nbexp_cli: Any) -> None:
    asked = [["status", "-q", *line.split()] for line in ("", "sub/dvc.yaml", "never")]
    (changed / "raw.csv").write_text("a\n")
    (changed / "second.txt").write_text("a\n")
    for words, (code, out) in zip(asked, told_by_dvc(changed, asked), strict=True):
        assert out == ""
        assert nbexp_cli(*words, cwd=changed, code=code).stdout == ""
    assert [code for code, _ in told_by_dvc(changed, asked)] == [1, 0, 1]


def test_a_newer_version_of_an_import_is_looked_for_by_dvc_alone(
    changed: Path, tmp_path: Path, told_by_dvc: Told, git: RunGit, dvc: RunProgram
) -> None:
    """Which reads another repository; `--no-updates` is DVC's word for what nbexp always does."""
    other = tmp_path / "other"
    other.mkdir()
    git("init", "--quiet", cwd=other)
    (other / "data.txt").write_text("1")
    git("add", "data.txt", cwd=other)
    git("commit", "--quiet", "--message=1", cwd=other)
    dvc("import", "--quiet", other, "data.txt", cwd=changed)
    (other / "data.txt").write_text("2")
    git("commit", "--quiet", "--all", "--message=2", cwd=other)
    words = ["status", "data.txt.dvc", "--json"]
    (_, updates), (_, none) = told_by_dvc(changed, [words, [*words, "--no-updates"]])
    assert _parsed(updates) == {
        "data.txt.dvc": [{"changed deps": {f"data.txt ({other})": "update available"}}]
    }
    assert _parsed(none) == _parsed(_said(words, changed)) == {}
    assert _parsed(_said([*words, "--no-updates"], changed)) == {}


def _said(words: list[str], folder: Path) -> str:
    return commands.formatted(commands.execute(words, ignore, directory=str(folder))) or ""


def _parsed(text: str) -> Any:
    """The JSON that stands last: DVC warns of frozen stages before it."""
    return json.loads(text.strip().splitlines()[-1])
