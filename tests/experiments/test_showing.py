"""Which rows `show` has: baselines, what no branch leads to any more, states, odd refs; and what it costs."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import nbexp
from nbexp import commands, events, render
from nbexp.experiments import reading
from nbexp.experiments.selection import Revisions
from nbexp.experiments.table import FileError
from nbexp.formats.ref_names import ExpRef

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]
Opened = Callable[[Path], "Project"]


def rows(project: Project, **asked: object) -> list[tuple[str, str | None]]:
    return [(row.kind, row.name) for row in project.show(**asked)]  # type: ignore[call-overload]


# --- Baselines ----------------------------------------------------------------------------------


def test_every_experiment_is_shown_whatever_became_of_its_baseline(
    project: Project, git: Git
) -> None:
    root = project.root
    git("checkout", "--quiet", "-b", "work", cwd=root)
    git("commit", "--quiet", "--allow-empty", "--message=one", cwd=root)
    project.run(name="before")
    lost = git("rev-parse", "HEAD", cwd=root)
    assert not project.show()[lost].is_detached
    # A squash-merge and the branch's deletion; then all refs are packed.
    git("stash", "--quiet", cwd=root)
    git("checkout", "--quiet", "main", cwd=root)
    git("branch", "--quiet", "-D", "work", cwd=root)
    git("pack-refs", "--all", cwd=root)
    for asked in ({}, {"revisions": Revisions(all_commits=True)}):
        table = project.show(**asked)  # type: ignore[arg-type]
        assert table["before"].metrics["acc"] == 0.8633
        assert [row.rev for row in table if row.is_detached] == [lost]
        assert f"\ndetached baseline {lost[:7]}" in render.text(table)
        assert json.loads(table.json_text())[-1]["detached"] is True
    assert ("experiment", "before") not in rows(project, revisions=Revisions())
    assert "before" in render.text(project.list(revisions=Revisions(all_commits=True)))
    assert list(project.show(revisions=Revisions(rev=(lost,))).experiments)


def test_a_baseline_that_only_a_tag_or_remote_branch_leads_to_is_not_detached(
    project: Project, git: Git
) -> None:
    root = project.root
    project.run(name="one")
    git("stash", "--quiet", cwd=root)
    git("update-ref", "refs/remotes/origin/topic", "HEAD", cwd=root)
    git("commit", "--quiet", "--amend", "--message=other", cwd=root)
    assert [row.is_detached for row in project.show() if row.kind == "baseline"] == [False, False]
    git("update-ref", "-d", "refs/remotes/origin/topic", cwd=root)
    assert [row.is_detached for row in project.show() if row.kind == "baseline"] == [False, True]


def test_loose_and_packed_refs_are_the_same_table(project: Project, git: Git) -> None:
    project.run(name="one")
    project.run({"train.lr": 0.03}, name="two")
    loose = project.show()
    git("pack-refs", "--all", "--prune", cwd=project.root)
    assert project.show() == loose
    [(baseline, listed)] = project.list().to_json().items()
    assert baseline == "main"
    # Of one second, `list` has them by name, and the table as they were begun.
    assert {(one["name"], one["rev"]) for one in listed} == {
        (row.name, row.rev) for row in loose.experiments
    }


@pytest.mark.parametrize("packed", [False, True])
def test_refs_of_a_shape_that_is_no_experiment_break_nothing(
    project: Project, git: Git, packed: bool
) -> None:
    made = project.run(name="one")
    head = git("rev-parse", "HEAD", cwd=project.root)
    for ref in (
        "refs/exps/loose",
        "refs/exps/ab/cd/name",
        f"refs/exps/{head[:2]}/{head[2:]}/deep/er",
        f"refs/exps/{head[:2]}/{head[2:-1]}/short",
        f"refs/exps/{head}/whole",
        "refs/exps/temp/head-1",
        "refs/exps/exec/EXEC_HEAD",
        "refs/exps/stash",
    ):
        git("update-ref", ref, made.rev, cwd=project.root)
    if packed:
        git("pack-refs", "--all", cwd=project.root)
    assert [row.name for row in project.show().experiments] == ["one"]
    assert [
        row.name for row in project.show(revisions=Revisions(all_commits=True)).experiments
    ] == ["one"]
    assert project.names == ["one"]
    assert list(project.list(everywhere=True).to_json()) == ["main"]


def test_a_chain_of_checkpoints_is_one_row_with_what_came_before(
    project: Project, git: Git
) -> None:
    root = project.root
    first = project.run(name="chain")
    head = git("rev-parse", "HEAD", cwd=root)
    second = git("commit-tree", f"{first.rev}^{{tree}}", "-p", first.rev, "-m", "second", cwd=root)
    git("update-ref", ExpRef(head, "chain").ref, second, cwd=root)
    (row,) = project.show().experiments
    assert (row.rev, [one.rev for one in row.earlier]) == (second, [first.rev])
    (member,) = json.loads(project.show().json_text())[1]["experiments"]
    assert [(one["rev"], one["name"]) for one in member["revs"]] == [
        (second, "chain"), (first.rev, None),
    ]  # fmt: skip


def test_directories_and_branches_are_in_one_table(project: Project, git: Git) -> None:
    root = project.root
    for branch, lr in (("one", 1), ("two", 2)):
        git("checkout", "--quiet", "-b", branch, "main", cwd=root)
        for folder in ("left", "right"):
            (root / folder).mkdir(exist_ok=True)
            (root / folder / "dvc.yaml").write_text(
                "stages:\n  each:\n    foreach: [a, b]\n    do:\n      cmd: cp params.yaml ${item}.yaml\n"
                "      params: [lr]\n      metrics:\n      - ${item}.yaml:\n          cache: false\n"
            )
            (root / folder / "params.yaml").write_text(f"lr: {lr}{len(folder)}\n")
        git("add", "--all", cwd=root)
        git("commit", "--quiet", f"--message={branch}", cwd=root)
    table = project.show(revisions=Revisions(all_branches=True))
    assert [row.name for row in table] == [None, "main", "one", "two"]
    values = [
        (row.params.get("left/params.yaml:lr"), row.params.get("right/params.yaml:lr"))
        for row in table
    ]
    assert values[2:] == [(14, 15), (24, 25)]
    assert [column.title for column in table.columns() if column.key == "lr"] == [
        "left/params.yaml:lr",
        "right/params.yaml:lr",
    ]


# --- Places -------------------------------------------------------------------------------------


def test_before_the_first_commit_there_is_the_workspace(
    opened: Opened, tmp_path: Path, git: Git
) -> None:
    root = tmp_path / "unborn"
    root.mkdir()
    git("init", "--quiet", "-b", "main", cwd=root)
    (root / ".dvc").mkdir()
    (root / "params.yaml").write_text("lr: 1\n")
    table = opened(root).show(revisions=Revisions(all_commits=True, num=3))
    assert [row.kind for row in table] == ["workspace"]
    assert table.rows[0].params == {"lr": 1}


def test_a_shallow_clone_shows_what_it_has(
    project: Project, git: Git, opened: Opened, tmp_path: Path
) -> None:
    project.run(name="old")
    git("stash", "--quiet", cwd=project.root)
    git("commit", "--quiet", "--allow-empty", "--message=more", cwd=project.root)
    project.run(name="new")
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--depth=1", f"file://{project.root}", str(clone), cwd=tmp_path)
    git("fetch", "--quiet", "--depth=1", "origin", "refs/exps/*:refs/exps/*", cwd=clone)
    table = opened(clone).show()
    assert {row.name for row in table.experiments} == {"old", "new"}
    assert table["old"].metrics["acc"] == 0.8633
    everything = opened(clone).show(revisions=Revisions(all_commits=True, num=-1))
    assert {row.name for row in everything.experiments} == {"old", "new"}


def test_a_work_tree_shows_the_same_experiments(
    project: Project, git: Git, opened: Opened, tmp_path: Path
) -> None:
    project.run(name="one")
    beside = tmp_path / "beside"
    git("worktree", "add", "--quiet", "-b", "beside", str(beside), cwd=project.root)
    there = opened(beside)
    assert there.show()["one"].data == project.show()["one"].data
    there.run({"train.lr": 0.03}, name="two")
    assert {row.name for row in project.show().experiments} == {"one", "two"}


def test_commits_without_a_pipeline_have_params_alone(project: Project, git: Git) -> None:
    root = project.root
    git("rm", "--quiet", "--cached", "dvc.yaml", cwd=root)
    git("commit", "--quiet", "--message=bare", cwd=root)
    git("checkout", "--quiet", "--", ".", cwd=root)
    table = project.show(revisions=Revisions(num=2))
    bare, before = (row for row in table if row.kind == "baseline")
    assert bare.params["train.lr"] == before.params["train.lr"] == 0.1
    assert bare.data is not None
    assert bare.data.metrics == {}
    assert bare.error is None


# --- Files that cannot be read ------------------------------------------------------------------


def record(project: Project, name: str, metrics: bytes | None) -> None:
    """An experiment with these bytes as its metrics."""
    root = project.root
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=root, text=True).strip()
    stream = b"commit %s\ncommitter A <a@b> 1700000000 +0000\ndata 0\nfrom %s\n" % (
        ExpRef(head, name).ref.encode(), head.encode(),
    )  # fmt: skip
    if metrics is not None:
        stream += b"M 100644 inline metrics.json\ndata %d\n%s\n" % (len(metrics), metrics)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=root, input=stream, check=True)


@pytest.mark.parametrize(
    ("metrics", "cell"),
    [
        (b"{acc: 1}", "!"),
        (b'{"acc": 1', "!"),
        (b"\xff\xfe\x00", "!"),
        (b"<html>", "!"),
        (b"[1, 2]", "-"),
        (b"", "!"),
        (b'{"acc": NaN}', "nan"),
        (b'{"acc": Infinity}', "inf"),
        (b'{"acc": "<b>x</b>"}', "<b>x</b>"),
        (None, "-"),
    ],
    ids=repr,
)
def test_odd_metrics_cost_their_cell_and_nothing_else(
    project: Project, metrics: bytes | None, cell: str
) -> None:
    record(project, "good", b'{"acc": 0.5}')
    record(project, "odd", metrics)
    for _ in range(2):  # read, and remembered
        table = project.show()
        acc = next(column for column in table.columns() if column.key == "acc")
        assert table.text(table["odd"], acc) == cell
        assert table.text(table["good"], acc) == "0.5"
        assert table["odd"].params["train.lr"] == 0.1
        assert json.loads(table.json_text())  # strict: what is no number is null
        assert "NaN" not in table.json_text()
        assert "Infinity" not in table.json_text()
    assert len(table.to_frame()) == 4
    for shape in ("--json", "--csv", "--md"):
        done = commands.execute(["show", shape], events.ignore, directory=str(project.root))
        assert "good" in str(commands.formatted(done))


def test_a_huge_metrics_file_is_refused_in_its_cell_and_never_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(project, "good", b'{"acc": 0.5}')
    record(project, "huge", b'{"acc": 1, "text": "' + b"x" * (17 << 20) + b'"}')
    read: list[int] = []
    whole = type(project.git).read_many

    def counted(self: object, specs: list[str]) -> list[bytes | None]:
        found = whole(self, specs)  # type: ignore[arg-type]
        read.extend(len(data or b"") for data in found)
        return found

    monkeypatch.setattr(type(project.git), "read_many", counted)
    table = project.show()
    acc = next(column for column in table.columns() if column.key == "acc")
    found = table.value(table["huge"], acc)
    assert isinstance(found, FileError)
    assert found.msg == "metrics.json: the file has 17.0 MB; up to 16 MB are read."
    assert table["good"].metrics["acc"] == 0.5
    assert max(read) < 1 << 20


def test_a_huge_file_of_the_workspace_is_refused_in_its_cell(project: Project) -> None:
    with (project.root / "metrics.json").open("wb") as file:
        file.truncate(100 << 20)
    table = project.show()
    found = table.rows[0].data
    assert found is not None
    error = found.metrics["metrics.json"]
    assert isinstance(error, FileError)
    assert error.msg == "metrics.json: the file has 100.0 MB; up to 16 MB are read."


# --- States -------------------------------------------------------------------------------------


def test_failed_runs_are_shown_when_asked_for_and_can_be_filtered(project: Project) -> None:
    project.run(name="good")
    (project.root / "train.sh").write_text("exit 3\n")
    with pytest.raises(nbexp.errors.StageFailed):
        project.run(name="bad")
    assert [row.name for row in project.show().experiments] == ["good"]
    found = {row.name: row.state for row in project.show(all_states=True).experiments}
    assert found == {"bad": "failed", "good": "done"}
    only = project.show("state == 'failed'", all_states=True)
    assert [row.name for row in only.experiments] == ["bad"]
    hidden = project.show(all_states=True, hide_failed=True)
    assert [row.name for row in hidden.experiments] == ["good"]
    again = project.show(all_states=True)
    assert {row.name: row.state for row in again.experiments} == found


# --- Cost ---------------------------------------------------------------------------------------


def test_only_new_commits_are_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        record(project, f"n{number}", b'{"acc": %d}' % number)
    project.show()
    read: list[str] = []
    whole = type(project.git).read_many
    monkeypatch.setattr(
        type(project.git), "read_many", lambda self, specs: read.extend(specs) or whole(self, specs)
    )
    assert len(project.show().experiments) == 30
    assert read == []
    record(project, "one-more", b'{"acc": 99}')
    assert len(project.show().experiments) == 31
    # dvc.yaml, params.yaml, metrics.json: a blob each, dvc.lock is not there.
    assert 0 < len(read) <= 4
    read.clear()
    assert project.show(force=True)["one-more"].metrics["acc"] == 99
    assert read


def test_git_processes_do_not_grow_with_experiments(project: Project) -> None:
    def processes() -> int:
        project.git.close()
        before = project.git.processes
        project.show()
        project.list()
        project.show(revisions=Revisions(all_branches=True))
        return project.git.processes - before

    record(project, "first", b'{"acc": 1}')
    one = processes()
    for number in range(60):
        record(project, f"n{number}", b'{"acc": %d}' % number)
    assert processes() == one <= 2


def test_a_newer_second_is_above_an_older_one(project: Project) -> None:
    project.run({"seed": 5}, name="older")
    time.sleep(1.1)
    project.run({"seed": 6}, name="a-newer")
    assert [row.name for row in project.show().experiments] == ["a-newer", "older"]
    ((_, members),) = project.list().groups
    assert [name for name, _ in members] == ["a-newer", "older"]


def test_reading_thousands_of_commits_is_narrated_and_only_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = project.root / "old.csv"
    table.write_text("name,lr,acc\n" + "".join(f"run-{n},0.{n},0.5\n" for n in range(1, 8)))
    project.import_csv(table, metrics=["acc"])
    monkeypatch.setattr(reading, "_TELL_FROM", 5)
    monkeypatch.setattr(reading, "_AT_ONCE", 3)
    told: list[events.Event] = []
    project.show(force=True, emit=told.append)
    # Seven experiments and their baseline; the first is read alone.
    assert told == [
        events.Phase("reading commits: 0 of 8", 0, 8),
        events.Phase("reading commits: 3 of 8", 3, 8),
        events.Phase("reading commits: 6 of 8", 6, 8),
    ]
    told.clear()
    project.show(emit=told.append)
    assert told == []


# --- Digits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", ["-1", "-30", "99999999999"])
@pytest.mark.parametrize("words", [("show",), ("show", "--csv"), ("diff", "--md"), ("diff",)])
def test_digits_that_nobody_can_write_are_refused(
    project: Project, nbexp_cli: Callable[..., Any], words: tuple[str, ...], digits: str
) -> None:
    ran = nbexp_cli(*words, "--precision", digits, cwd=project.root, code=2)
    assert ran.stderr == (
        f"`--precision {digits}` is no number of digits from 1 to 1100. Nothing was shown.\n"
        "Hint: `--precision 3`.\n"
    )


# --- For a terminal -----------------------------------------------------------------------------


def test_in_a_terminal_heads_and_verdicts_have_colours_and_the_words_stay(project: Project) -> None:
    project.run(name="one")
    project.run({"train.lr": 0.03}, name="two")
    table = project.show(reference="one")
    coloured = render.in_colour(table)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render.text(table)
    lines = coloured.splitlines()
    assert "\x1b[1;33macc\x1b[0m" in lines[0]
    assert "\x1b[1;34mtrain.lr\x1b[0m" in lines[0]
    assert lines[1].startswith("\x1b[1mworkspace\x1b[0m")
    two = next(line for line in lines if line.startswith("  two"))
    assert re.search(r"\x1b\[32m[^\x1b]*better\)\x1b\[0m", two)
    assert "\x1b" not in render.text(table)


def test_a_column_turned_round_is_a_word_of_its_own(
    project: Project, nbexp_cli: Callable[..., Any]
) -> None:
    project.run(name="one")
    project.run({"train.lr": 0.03}, name="two")
    shown = [
        nbexp_cli("show", *words, "--hide-workspace", cwd=project.root).stdout
        for words in (("--sort-by=-acc",), ("--sort-by", "-acc"), ("--sort-by", "acc"))
    ]
    assert shown[0] == shown[1] != shown[2]


def test_names_of_metrics_move_and_colour_nothing(
    project: Project, nbexp_cli: Callable[..., Any]
) -> None:
    hostile = "\x1b[31mred\x1b[0m\nnext \u202ertl"
    project.run(name="one")
    (project.root / "metrics.json").write_text(json.dumps({hostile: 1}))
    told = "\\x1b[31mred\\x1b[0m\\x0anext \\x202ertl"
    for words in (("show",), ("diff", "one"), ("metrics", "show"), ("metrics", "diff", "one")):
        out = nbexp_cli(*words, cwd=project.root).stdout
        assert told in out, words
        assert not {"\x1b", "\u202e"} & {*out}
    coloured = render.in_colour(project.show())
    assert f"\x1b[1;33m{told}\x1b[0m" in coloured.splitlines()[0]
