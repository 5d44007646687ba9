"""`params diff`, `metrics show` and `metrics diff` beside DVC's, every option, on files of every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import commands
from nbexp.events import ignore

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeProject, RunGit

Told = Callable[..., list[tuple[int, str]]]

PIPELINE = """\
stages:
  one:
    cmd: "true"
    params:
    - seed
    - train.lr
    - conf/deep.toml:
      - net.size
    - settings.py:
      - Train.steps
    - whole.json:
    metrics:
    - scores/eval.json:
        cache: false
    - flat.yaml:
        cache: false
    - one.toml:
        cache: false
    - folder:
        cache: false
  two:
    cmd: "true"
    wdir: sub
    params:
    - seed
    metrics:
    - m.json:
        cache: false
params:
- top.yaml
metrics:
- loose.json
"""


def files(number: int) -> dict[str, str]:
    """What the project holds, in three states that differ in every file."""
    return {
        "dvc.yaml": PIPELINE,
        "params.yaml": f"seed: {number}\ntrain: {{lr: 0.{number}, layers: [1, {number}]}}\nother: text{number}\n",
        "conf/deep.toml": f"[net]\nsize = {number}\nname = 'a'\n",
        "settings.py": f"LR = 0.{number}\n\n\nclass Train:\n    steps = {number}00\n    on = {number == 1}\n",
        "whole.json": json.dumps({"a": {"b": number, "c": None}, "d": [1, 2]}),
        "top.yaml": f"k: {number}.123456789\nsame: 1\n",
        "unlisted.yaml": f"u: {number}\n",
        "scores/eval.json": json.dumps(
            {"acc": 1 / number, "deep": {"f1": number, "no": None}, "l": [1]}
        ),
        "flat.yaml": f"loss: {number}.0e-7\nok: {str(number > 1).lower()}\nword: w{number}\n",
        "one.toml": f"t = {number}\n",
        "folder/a.json": json.dumps({"x": number}),
        "folder/deep/b.yaml": "y: 1\n",
        "sub/params.yaml": f"seed: 1{number}\n",
        "sub/m.json": json.dumps({"z": 3.14159265 * number}),
        "loose.json": json.dumps({"loose": number, "same": 1}),
        "extra.json": json.dumps({"extra": number}),
    }


@pytest.fixture
def three(project: MakeProject, git: RunGit) -> Path:
    """Commits 1 (tag v1), 2 (branch old, tag v2) and 3; the workspace is the fourth state."""
    root = project(files(1))
    git("tag", "v1", cwd=root)
    for number in (2, 3):
        _write(root, files(number))
        git("commit", "--quiet", "--all", f"--message={number}", cwd=root)
        if number == 2:
            git("branch", "old", cwd=root)
            git("tag", "v2", cwd=root)
    _write(root, files(4))
    return root


def _write(root: Path, found: dict[str, str]) -> None:
    for path, text in found.items():
        (root / path).write_text(text)


JSON = [
    "params diff",
    "params diff HEAD~1",
    "params diff v1 old",
    "params diff v1 workspace --all",
    "params diff --deps",
    "params diff --targets unlisted.yaml conf/deep.toml",
    "params diff --targets conf",
    "metrics show",
    "metrics show loose.json folder",
    "metrics show -R folder",
    "metrics show extra.json nowhere.json",
    "metrics show -a",
    "metrics show -T",
    "metrics show -A loose.json",
    "metrics show -a -T",
    "metrics diff",
    "metrics diff HEAD~2 old",
    "metrics diff v1 v2 --all",
    "metrics diff -R --targets extra.json folder",
    "metrics diff --targets nowhere.json",
]
MARKDOWN = [
    "params diff --deps --targets conf/deep.toml",
    "params diff --targets conf/deep.toml settings.py --no-path --all",
    "params diff v1 old --targets top.yaml",
    "metrics show flat.yaml",
    "metrics show flat.yaml --precision 2",
    "metrics show -a loose.json",
    "metrics show -T flat.yaml loose.json",
    "metrics diff --targets flat.yaml",
    "metrics diff v1 old --targets scores/eval.json --precision 2 --no-path",
    "metrics diff --targets loose.json --all",
    "metrics diff HEAD HEAD",
]


def test_json_and_markdown_are_dvcs(three: Path, told_by_dvc: Told) -> None:
    asked = [[*line.split(), "--json"] for line in JSON]
    asked += [[*line.split(), "--md"] for line in MARKDOWN]
    theirs = told_by_dvc(three, asked)
    wrong: dict[str, Any] = {}
    for words, (code, said) in zip(asked, theirs, strict=True):
        assert code == 0, words
        ours = _said(words, three)
        if words[-1] == "--json":
            expected, found = (
                _without_messages(json.loads(said)),
                _without_messages(json.loads(ours)),
            )
        else:
            # DVC's files come in any order, and an empty line comes last.
            expected, found = (sorted(filter(None, text.splitlines())) for text in (said, ours))
        if expected != found:
            wrong[" ".join(words)] = (expected, found)
    assert wrong == {}


def test_each_option_changes_what_dvc_says(told_by_dvc: Told, three: Path) -> None:
    """So that none of the comparisons above compares the same with the same."""
    said = dict(
        zip(JSON, told_by_dvc(three, [[*line.split(), "--json"] for line in JSON]), strict=True)
    )
    for line, other in (
        ("params diff", "params diff --deps"),
        ("params diff", "params diff --targets conf"),
        ("params diff", "params diff HEAD~1"),
        ("metrics show", "metrics show -a"),
        ("metrics show -a", "metrics show -a -T"),
        ("metrics show -T", "metrics show -A loose.json"),
        ("metrics show", "metrics show loose.json folder"),
        ("metrics diff", "metrics diff -R --targets extra.json folder"),
    ):
        assert json.loads(said[line][1]) != json.loads(said[other][1]), (line, other)


def test_from_a_sub_directory(three: Path, told_by_dvc: Told) -> None:
    asked = [
        ["params", "diff", "--json"],
        ["metrics", "show", "--json"],
        ["metrics", "show", "m.json", "../loose.json", "--json"],
        ["metrics", "diff", "--targets", "m.json", "--json"],
    ]
    for words, (_, said) in zip(asked, told_by_dvc(three / "sub", asked), strict=True):
        assert json.loads(_said(words, three / "sub")) == json.loads(said), words


def test_files_that_cannot_be_read(three: Path, told_by_dvc: Told, git: RunGit) -> None:
    for path, text in {
        "scores/eval.json": "{",
        "flat.yaml": "a: [",
        "one.toml": "=",
        "settings.py": "x = (",
    }.items():
        (three / path).write_text(text)
    (three / "loose.json").unlink()
    asked = [
        line.split() for line in ("metrics show", "metrics show -a", "metrics diff", "params diff")
    ]
    asked = [[*words, "--json"] for words in asked]
    for words, (code, said) in zip(asked, told_by_dvc(three, asked), strict=True):
        assert code == 0
        assert _without_messages(json.loads(_said(words, three))) == _without_messages(
            json.loads(said)
        ), words


def test_a_workspace_that_equals_the_branch_is_not_shown_twice(
    three: Path, told_by_dvc: Told, git: RunGit
) -> None:
    git("checkout", "--quiet", "--", ".", cwd=three)
    asked = [["metrics", "show", "-a", "--json"], ["metrics", "diff", "--json"]]
    for words, (_, said) in zip(asked, told_by_dvc(three, asked), strict=True):
        assert json.loads(_said(words, three)) == json.loads(said)


def _said(words: list[str], folder: Path) -> str:
    """What nbexp prints, without a process of its own."""
    return commands.formatted(commands.execute(words, ignore, directory=str(folder))) or ""


def _without_messages(found: Any) -> Any:
    """Without the words of errors, which are for people; the types stay."""
    if isinstance(found, dict):
        return {key: _without_messages(one) for key, one in found.items() if key != "msg"}
    return [_without_messages(one) for one in found] if isinstance(found, list) else found
