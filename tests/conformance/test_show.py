"""`show`, `list` and `diff` of real DVC and of nbexp, each option with what it changes in either."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, RunGit, RunProgram

PIPELINE = """\
stages:
  train:
    cmd: sh train.sh
    deps: [train.sh]
    params: [lr, seed]
    metrics:
    - metrics.json:
        cache: false
    outs: [model.txt]
params: [more.yaml]
"""
TRAIN = """\
lr=$(sed -n 's/^lr: //p' params.yaml)
test "$lr" != bad || exit 3
echo "model $lr" > model.txt
awk -v lr="$lr" 'BEGIN { printf "{\\"acc\\": %.9f, \\"loss\\": %.9f, \\"fixed\\": 7}\\n", 0.95 - lr / 3, lr / 7 }' > metrics.json
"""


_MADE: list[Path] = []  # what takes DVC half a minute is made once, and copied


@pytest.fixture
def top(
    project: MakeProject,
    dvc: RunProgram,
    git: RunGit,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A repository with commits and experiments of DVC's, as `made` says."""
    if not _MADE:
        kept = tmp_path_factory.mktemp("made") / "project"
        shutil.copytree(made(project, dvc, git), kept, symlinks=True)
        _MADE.append(kept)
    return Path(shutil.copytree(_MADE[0], tmp_path / "copy" / "project", symlinks=True))


def made(project: MakeProject, dvc: RunProgram, git: RunGit) -> Path:
    """Commits c1 (tagged v1), c2, c3 on main and `side` from c1, with experiments made by DVC on each."""
    root = project(
        {
            "dvc.yaml": PIPELINE,
            "train.sh": TRAIN,
            "params.yaml": "lr: 0.1\nseed: 1\nunread: 5\n",
            "more.yaml": "note: same\n",
            ".gitignore": "/model.txt\n",
        }
    )
    day = 1_700_000_000

    def commit(word: str, number: int) -> None:
        when = f"{day + number * 86_400} +0000"
        env = {"GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when}
        subprocess.run(
            ["git", "commit", "--quiet", "--allow-empty", f"--message={word}"],
            cwd=root, env={**os.environ, **env}, check=True,
        )  # fmt: skip

    def run(name: str, lr: str) -> None:
        dvc("exp", "run", "-n", name, "-S", f"lr={lr}", cwd=root)
        git("checkout", "--quiet", "--", "params.yaml", cwd=root)

    commit("c1", 1)
    git("tag", "v1", cwd=root)
    run("on-c1", "0.5")
    git("clean", "--quiet", "--force", "-d", cwd=root)
    git("checkout", "--quiet", "-b", "side", cwd=root)
    commit("side", 2)
    run("on-side", "0.4")
    git("clean", "--quiet", "--force", "-d", cwd=root)
    git("checkout", "--quiet", "main", cwd=root)
    commit("c2", 3)
    run("on-c2", "0.3")
    git("clean", "--quiet", "--force", "-d", cwd=root)
    commit("c3", 4)
    run("low", "0.01")
    time.sleep(1.1)
    run("high", "0.2")
    return root


def run(look: Look, by: str, words: tuple[str, ...], root: Path) -> str:
    """What `show` with these words prints."""
    program = look.dvc if by == "dvc" else look.nbexp
    verb = ("exp", *words) if by == "dvc" else words
    return program(*verb, cwd=root).stdout


def states(text: str) -> Any:
    """The JSON without the words of errors, which are each tool's own."""
    found = json.loads(text)

    def without(tree: Any) -> None:
        if isinstance(tree, dict):
            if isinstance(tree.get("error"), dict):
                tree["error"].pop("msg")
                tree["error"].pop("type")
            for inner in tree.values():
                without(inner)
        elif isinstance(tree, list):
            for inner in tree:
                without(inner)

    without(found)
    return found


def known(found: Any, theirs: Any) -> Any:
    """Ours without keys that DVC does not have."""
    if isinstance(found, dict) and isinstance(theirs, dict):
        return {key: known(value, theirs[key]) for key, value in found.items() if key in theirs}
    if isinstance(found, list) and isinstance(theirs, list) and len(found) == len(theirs):
        return [known(*pair) for pair in zip(found, theirs, strict=True)]
    return found


@pytest.mark.parametrize(
    "words",
    [
        ("--all-commits",),
        ("-A",),
        ("--rev", "v1"),
        ("--rev", "v1", "--rev", "side"),
        ("--rev", "low"),
        ("--num", "2"),
        ("-n", "-1"),
        ("-n", "2", "--rev", "side"),
        ("--all-branches",),
        ("-a", "-n", "2"),
        ("--all-tags",),
        ("-T", "-a"),
        ("--sha",),
        ("--hide-workspace",),
    ],
    ids=" ".join,
)
def test_baselines_and_rows_in_json(top: Path, look: Look, words: tuple[str, ...]) -> None:
    theirs = states(run(look, "dvc", ("show", "--json", *words), top))
    ours = states(run(look, "nbexp", ("show", "--json", *words), top))
    assert known(ours, theirs) == theirs
    assert states(run(look, "dvc", ("show", "--json"), top)) != theirs


@pytest.mark.parametrize("shape", ["--csv", "--md"])
@pytest.mark.parametrize(
    "words",
    [
        ("--only-changed",),
        ("--drop", "l"),
        ("--drop", "lr|Created", "--drop", "acc"),
        ("--drop", ".*", "--keep", "acc", "--keep", "Exp"),
        ("--only-changed", "--keep", "note"),
        ("--sort-by", "loss"),
        ("--sort-by", "lr"),
        ("--sort-by", "params.yaml:lr", "--sort-order", "desc"),
        ("--sort-by", "acc", "--sort-order", "desc"),
        ("-A", "--sort-by", "metrics.json:loss"),
        ("--sha", "-n", "2"),
        ("--hide-workspace",),
        ("--no-pager", "-a"),
    ],
    ids=" ".join,
)
def test_columns_and_order_in_csv_and_markdown(
    top: Path, look: Look, shape: str, words: tuple[str, ...]
) -> None:
    theirs = run(look, "dvc", ("show", shape, *words), top)
    ours = run(look, "nbexp", ("show", shape, *words), top)
    assert ours.rstrip("\n").splitlines() == theirs.rstrip("\n").splitlines()
    without = {"--keep": "--keep", "--sort-order": "--sort-order"}
    plain = [word for word in words if word.startswith("-") and word in without]
    fewer = words[: words.index(plain[0])] if plain else ()
    assert run(look, "dvc", ("show", shape, *fewer), top) != theirs


def test_precision_in_csv(top: Path, look: Look) -> None:
    theirs = run(look, "dvc", ("show", "--csv", "--precision", "2"), top)
    assert run(look, "nbexp", ("show", "--csv", "--precision", "2"), top) == theirs
    whole = run(look, "dvc", ("show", "--csv"), top)
    assert run(look, "nbexp", ("show", "--csv"), top) == whole != theirs


def test_only_the_params_that_stages_read(top: Path, look: Look) -> None:
    """DVC leaves those of the workspace out; of commits it shows all (its cache does not know of the option)."""
    words = ("show", "--json", "--param-deps", "--force")
    theirs = states(run(look, "dvc", words, top))[0]
    ours = states(run(look, "nbexp", words, top))
    assert ours[0] == theirs
    assert states(run(look, "dvc", ("show", "--json"), top))[0] != theirs
    assert all(
        set(member["revs"][0]["data"]["params"]["params.yaml"]["data"]) == {"lr", "seed"}
        for member in ours[1]["experiments"]
    )


def test_force_reads_again_what_is_remembered(top: Path, look: Look) -> None:
    """Both keep what a commit says; a copy of it that is wrong is believed until they are told not to."""
    right = states(run(look, "dvc", ("show", "--json"), top))
    assert known(states(run(look, "nbexp", ("show", "--json"), top)), right) == right
    for file in (top / ".dvc" / "tmp" / "exps" / "cache").glob("*/*"):
        file.chmod(0o644)
        file.write_bytes(file.read_bytes().replace(b'"fixed": 7', b'"fixed": 8'))
    import sqlite3

    base = sqlite3.connect(top / ".dvc" / "tmp" / "nbexp" / "state.db")
    with base:
        base.execute(
            "UPDATE facts SET value = "
            "CAST(replace(CAST(value AS TEXT), '\"fixed\": 7', '\"fixed\": 8') AS BLOB)"
        )
    base.close()
    for by in ("dvc", "nbexp"):
        wrong = run(look, by, ("show", "--json"), top)
        assert '"fixed": 8' in wrong
        again = states(run(look, by, ("show", "--json", "--force"), top))
        assert known(again, right) == right


@pytest.fixture
def queued(top: Path, dvc: RunProgram, git: RunGit) -> Path:
    """With one task of DVC's queue that failed, one that is done, and one that waits, on a commit with metrics."""
    (top / "metrics.json").write_text('{"acc": 0.5, "loss": 0.1, "fixed": 7}')
    git("add", "metrics.json", cwd=top)
    git("commit", "--quiet", "--message=c4", cwd=top)
    dvc("exp", "run", "--queue", "-n", "fails", "-S", "lr=bad", cwd=top)
    dvc("exp", "run", "--queue", "-n", "works", "-S", "lr=0.06", cwd=top)
    dvc("queue", "start", cwd=top)
    for _ in range(120):
        said = dvc("queue", "status", cwd=top).stdout
        if (
            "Failed" in said
            and "Success" in said
            and "Running" not in said
            and "Queued" not in said
        ):
            break
        time.sleep(0.5)
    dvc("queue", "stop", "--kill", cwd=top, code=None)
    dvc("exp", "run", "--queue", "-n", "waits", "-S", "lr=0.07", cwd=top)
    return top


def test_the_tasks_of_dvcs_queue(queued: Path, look: Look) -> None:
    whole = states(run(look, "dvc", ("show", "--json"), queued))
    names = [member["name"] for member in whole[1]["experiments"]]
    assert {"fails", "works", "waits"} <= set(names)
    for words in (
        ("--json",),
        ("--json", "--hide-failed"),
        ("--json", "--hide-queued"),
        ("--json", "--hide-failed", "--hide-queued", "-A"),
    ):
        theirs = states(run(look, "dvc", ("show", *words), queued))
        ours = known(states(run(look, "nbexp", ("show", *words), queued)), theirs)
        assert ours == theirs, words
        if words != ("--json",):
            assert theirs != whole
    for shape in ("--csv", "--md"):
        theirs = run(look, "dvc", ("show", shape), queued)
        ours = run(look, "nbexp", ("show", shape), queued)
        assert ours.rstrip("\n").splitlines() == theirs.rstrip("\n").splitlines()
    # The metrics that DVC shows for a run that failed are the baseline's: people are not shown them as its own.
    told = {member["name"]: member["revs"][0]["data"] for member in whole[1]["experiments"]}
    assert told["fails"]["metrics"]["metrics.json"]["data"]["acc"] == 0.5
    table = run(look, "nbexp", ("show", "--rev", "HEAD", "--keep", "acc", "--drop", ".*"), queued)
    line = next(line for line in table.splitlines() if "fails" in line)
    assert "0.5" not in line
    assert "fails" not in run(look, "nbexp", ("show", "--where", "acc >= 0"), queued)


def paged(words: list[str], root: Path, pager: Path) -> bool:
    """Whether a table went through the pager, on a terminal of few lines."""
    seen = root.parent / "paged"
    seen.unlink(missing_ok=True)
    env = {**os.environ, "DVC_PAGER": str(pager), "LINES": "5", "COLUMNS": "300", "TERM": "xterm"}
    main, terminal = pty.openpty()
    process = subprocess.Popen(words, cwd=root, env=env, stdin=terminal, stdout=terminal)
    os.close(terminal)
    # Not until the terminal is closed: what dvc leaves running in the background holds it for longer.
    while process.poll() is None:
        if select.select([main], [], [], 0.1)[0]:
            try:
                os.read(main, 65536)
            except OSError:
                break  # closed by its last user
    assert process.wait(60) == 0
    os.close(main)
    return seen.exists()


def test_a_long_table_is_shown_page_by_page(top: Path, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {top.parent}/paged\n")
    pager.chmod(0o755)
    # Real dvc pages in the same way, but does not end on a terminal that nobody sits at.
    tool = [sys.executable, "-m", "nbexp.cli"]
    assert paged([*tool, "show", "-A"], top, pager)
    assert not paged([*tool, "show", "-A", "--no-pager"], top, pager)


@pytest.mark.parametrize(
    "words",
    [
        ("--all-commits",),
        ("--rev", "v1"),
        ("--num", "3"),
        ("-n", "-1", "--rev", "side"),
        ("--rev", "v1", "--rev", "side"),
    ],
    ids=" ".join,
)
def test_lists(top: Path, look: Look, words: tuple[str, ...]) -> None:
    for shape in ("--name-only", "--names-only", "--sha-only", "--shas-only"):
        theirs = run(look, "dvc", ("list", shape, *words), top).split()
        ours = run(look, "nbexp", ("list", shape, *words), top).split()
        assert sorted(ours) == sorted(theirs)
        assert sorted(run(look, "dvc", ("list", shape), top).split()) != sorted(theirs)
    names = run(look, "dvc", ("list", "--names-only", *words), top)
    revs = run(look, "dvc", ("list", "--shas-only", *words), top)
    assert names != revs
    theirs = run(look, "dvc", ("list", *words), top).split("\n")
    ours = run(look, "nbexp", ("list", *words), top).split("\n")
    assert {line for line in theirs if line.endswith(":")} == {
        line for line in ours if line.endswith(":")
    }


@pytest.mark.parametrize(
    ("words", "fewer"),
    [
        (("--md", "--no-path"), ("--md",)),
        (("--md", "--precision", "2"), ("--md",)),
        (("--md", "--all", "--no-path", "--precision", "3"), ("--md", "--all")),
    ],
)
def test_diffs_in_markdown(
    top: Path, look: Look, words: tuple[str, ...], fewer: tuple[str, ...]
) -> None:
    theirs = run(look, "dvc", ("diff", "low", "high", *words), top)
    ours = run(look, "nbexp", ("diff", "low", "high", *words), top)
    assert sorted(ours.rstrip("\n").splitlines()) == sorted(theirs.rstrip("\n").splitlines())
    assert run(look, "dvc", ("diff", "low", "high", *fewer), top) != theirs


def test_diffs_of_params_that_stages_read(top: Path, look: Look, git: RunGit) -> None:
    text = (top / "params.yaml").read_text()
    (top / "params.yaml").write_text(text.replace("unread: 5", "unread: 6").replace("0.1", "0.2"))
    words = ("diff", "--json", "--param-deps")
    # Of a commit DVC remembers all params, and shows them whatever was asked for: it is compared anew.
    shutil.rmtree(top / ".dvc" / "tmp" / "exps" / "cache", ignore_errors=True)
    theirs = json.loads(run(look, "dvc", words, top))
    ours = json.loads(run(look, "nbexp", words, top))
    assert (
        ours["params"]
        == theirs["params"]
        == {"params.yaml": {"lr": {"old": 0.1, "new": 0.2, "diff": 0.1}}}
    )
    assert json.loads(run(look, "dvc", ("diff", "--json"), top)) != theirs


def test_a_table_that_dvc_read_back_is_the_same(top: Path, look: Look) -> None:
    """CSV is for programs: every number comes back as it was."""
    found = {
        by: list(csv.DictReader(io.StringIO(run(look, by, ("show", "--csv", "-A"), top))))
        for by in ("dvc", "nbexp")
    }
    assert found["nbexp"] == found["dvc"]
    assert {row["acc"] for row in found["dvc"]} > {"", "0.946666667"}
