"""Undo over any number of steps, forward again, and over what changed experiments instead of files."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import events
from nbexp.errors import NameTaken, NbexpError, NotFound, StoreError, UsageError

if TYPE_CHECKING:
    from nbexp import Project

Files = dict[str, tuple[str, bytes]]
FilesOf = Callable[[Path], Files]
Git = Callable[..., str]


@pytest.fixture
def three(project: Project) -> Project:
    """Three experiments, `s1` to `s3`, the workspace as after the last."""
    for number in (1, 2, 3):
        project.run({"seed": number}, name=f"s{number}")
    return project


def test_several_steps_are_undone_at_once_and_redone_one_by_one(
    project: Project, files: FilesOf
) -> None:
    states = [files(project.root)]
    for number in (1, 2, 3):
        project.run({"seed": number}, name=f"s{number}")
        states.append(files(project.root))
    undone = project.undo(3)
    assert files(project.root) == states[0]
    assert undone.steps == ("run s3", "run s2", "run s1")
    assert undone.left == 0
    for number in (1, 2, 3):
        redone = project.undo(redo=True)
        assert redone.op == f"run s{number}"
        assert redone.left == 3 - number
        assert files(project.root) == states[number]
    # What was redone is undone as if it had never been.
    project.undo(2)
    assert files(project.root) == states[1]
    project.undo()
    assert files(project.root) == states[0]


def test_steps_are_listed_with_what_they_bring_back(three: Project) -> None:
    three.remove("s1")
    three.undo()
    three.undo()
    found = three.steps()
    assert [(one.op, one.is_ahead) for one in found.ahead] == [
        ("remove s1", True),
        ("run s3", True),
    ]
    assert [one.op for one in found.back] == ["run s2", "run s1"]
    assert set(found.back[0].paths) == {
        "params.yaml", "model.txt", "metrics.json", "plots/acc.csv", "dvc.lock",
    }  # fmt: skip
    assert found.back[0].size_bytes > 200
    assert found.ahead[0].experiments == ()
    lines = str(found).splitlines()
    assert lines[0].split() == ["step", "when", "takes", "back", "puts", "back", "size"]
    assert "you are here" in lines[3]
    assert lines[-2] == f"all down to one of them: nbexp undo --to {found.back[-1].id}"
    assert lines[-1] == "the steps above `you are here` were undone: nbexp undo --redo"


def test_a_step_is_reached_by_its_id_both_ways(project: Project, files: FilesOf) -> None:
    states = []
    for number in (1, 2, 3):
        states.append(files(project.root))
        project.run({"seed": number}, name=f"s{number}")
    last = files(project.root)
    second = project.steps().back[1]
    assert project.undo(to=second.id).steps == ("run s3", "run s2")
    assert files(project.root) == states[1]
    third = project.steps().ahead[0]
    assert project.undo(to=third.id).steps == ("run s2", "run s3")
    assert files(project.root) == last


def test_what_was_undone_is_no_way_forward_after_another_command(three: Project) -> None:
    three.undo()
    three.run({"seed": 9}, name="other")
    assert three.steps().ahead == ()
    with pytest.raises(NotFound) as caught:
        three.undo(redo=True)
    assert str(caught.value) == (
        "There is nothing to redo: no step was undone, or another command has run since.\n"
        "Hint: `nbexp undo --list` shows the steps."
    )


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"num": 4}, NotFound, "There are 3 to undo, not 4. Nothing was changed."),
        ({"num": 0}, UsageError, "0 steps are none. Nothing was changed."),
        ({"to": "abc"}, NotFound, "There is no step `abc`. Nothing was changed."),
        ({"to": "0000000"}, NotFound, "There is no step `0000000`. Nothing was changed."),
    ],
)
def test_steps_that_are_not_there_are_refused(
    words: dict[str, object],
    error: type[NbexpError],
    message: str,
    three: Project,
    files: FilesOf,
) -> None:
    before = files(three.root)
    with pytest.raises(error) as caught:
        three.undo(**words)  # type: ignore[arg-type]
    assert caught.value.message == message
    assert files(three.root) == before


def test_all_of_the_steps_or_none(three: Project, files: FilesOf) -> None:
    """The second step meets an edit that only it would overwrite."""
    path = three.root / "notes.txt"
    path.write_text("mine\n")
    three.data.add("notes.txt")
    (three.root / "notes.txt.dvc").write_text("outs: []\n")
    three.run({"seed": 7}, name="s7")
    before = files(three.root)
    with pytest.raises(StoreError) as caught:
        three.undo(2)
    assert caught.value.message == (
        "1 file has been edited since `data add notes.txt`: notes.txt.dvc. Nothing was undone."
    )
    assert files(three.root) == before
    assert len(three.steps().back) == 5
    assert three.steps().ahead == ()


def test_edits_of_several_forced_steps_come_back(three: Project, files: FilesOf) -> None:
    (three.root / "params.yaml").write_text((three.root / "params.yaml").read_text() + "# edited\n")
    before = files(three.root)
    three.undo(2, force=True)
    assert "# edited" not in (three.root / "params.yaml").read_text()
    assert [one.op for one in three.steps().back] == ["undo", "undo", "run s1"]
    three.undo(2)
    assert files(three.root) == before


def test_a_removal_is_undone_and_redone(three: Project, files: FilesOf, git: Git) -> None:
    before, refs = files(three.root), three.git.refs("refs/exps/")
    three.remove("s1", "s2")
    undone = three.undo()
    assert undone.op == "remove s1 s2"
    assert undone.experiments == ("s1", "s2")
    assert str(undone) == (
        "undid remove s1 s2: experiment s1, experiment s2 as before   (3 steps further back)"
    )
    assert three.git.refs("refs/exps/") == refs
    assert three.trash.list().entries == ()
    three.undo(redo=True)
    assert three.names == ["s3"]
    assert [one.name for one in three.trash.list().entries] == ["s1", "s2"]
    assert files(three.root) == before


def test_a_removal_is_not_undone_over_a_new_namesake(three: Project) -> None:
    (old,) = [rev for ref, rev in three.git.refs("refs/exps/").items() if ref.endswith("/s1")]
    three.remove("s1")
    three.run({"seed": 11}, name="s1")
    three.undo()  # the run; what it recorded stays
    with pytest.raises(NameTaken) as caught:
        three.undo()
    assert str(caught.value) == (
        "Experiment `s1` exists again, so that of `remove s1` cannot come back. Nothing was undone.\n"
        "Hint: `nbexp trash restore s1 --name s1-1` brings it back under another name."
    )
    three.trash.restore("s1", name="s1-1")
    assert three.experiment("s1-1").rev == old


def test_a_removal_whose_commit_is_gone_is_told(three: Project, git: Git) -> None:
    three.remove("s1")
    for ref in three.git.refs("refs/nbexp/trash/"):
        git("update-ref", "-d", ref, cwd=three.root)
    three.git.close()
    git("gc", "--quiet", "--prune=now", cwd=three.root)
    with pytest.raises(StoreError, match=r"is gone: the trash was emptied\. Nothing was undone\."):
        three.undo()


def test_a_data_checkout_is_undone(three: Project, files: FilesOf) -> None:
    (three.root / "model.txt").unlink()
    before = files(three.root)
    three.data.checkout()
    three.undo()
    assert files(three.root) == before
    three.undo(redo=True)
    assert (three.root / "model.txt").exists()


def test_an_undo_point_that_is_damaged_hides_no_other(three: Project, git: Git) -> None:
    blob = git("hash-object", "-w", "--stdin", cwd=three.root, stdin="no json")
    tree = git("mktree", cwd=three.root, stdin=f"100644 blob {blob}\tmanifest.json\n")
    rev = git("commit-tree", tree, "-m", "x", cwd=three.root)
    git("update-ref", "refs/nbexp/undo/99999999999999999-x", rev, cwd=three.root)
    assert [one.op for one in three.steps().back] == ["run s3", "run s2", "run s1"]
    assert three.undo().op == "run s3"


def test_the_other_version_of_an_open_notebook_is_offered(project: Project, git: Git) -> None:
    root = project.root
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    old = json.dumps({**notebook, "metadata": {"version": 1}}).encode()
    (root / "lab.ipynb").write_bytes(json.dumps(notebook).encode())
    git("add", "lab.ipynb", cwd=root)
    project.run(name="start")
    (root / "lab.ipynb").write_bytes(old)
    project.apply("start", force=True)
    (root / "lab.ipynb").write_bytes(new := json.dumps({**notebook, "metadata": {"n": 2}}).encode())
    project.asking_notebook = root / "lab.ipynb"
    told: list[events.Event] = []
    undone = project.undo(emit=told.append)
    assert (root / "lab.ipynb").read_bytes() == new
    assert undone.kept == ("lab.ipynb",)
    (notice,) = [event for event in told if isinstance(event, events.Notice)]
    assert notice.message == "lab.ipynb is the notebook you are in and stays as it is."
    assert notice.hint is not None
    words = notice.hint.split("`")[1].split()
    assert words[:2] == ["nbexp", "open"]
    assert words[3:] == ["lab.ipynb", "-o", "lab@undo-apply-start.ipynb"]
    assert project.open(words[2], "lab.ipynb").data == old


class Change:
    """What going along a step does: every path that differs becomes as it was, and no other."""

    def __init__(self, now: Files, then: Files, names: tuple[list[str], list[str]]) -> None:
        self.now, self.then, self.names = now, then, names

    def over(self, files: Files, names: list[str]) -> tuple[Files, list[str]]:
        found = dict(files)
        for path in self.now.keys() | self.then.keys():
            if self.now.get(path) != self.then.get(path):
                found.pop(path, None)
                if path in self.then:
                    found[path] = self.then[path]
        now, then = self.names
        return found, sorted(
            ({*names} - ({*now} - {*then})) | ({*then} - {*now})
        ) if now or then else names

    def turned(self) -> Change:
        return Change(self.then, self.now, (self.names[1], self.names[0]))


# --- Everything, in any order --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_any_walk_through_commands_and_undos_comes_back_to_the_same_bytes(
    seed: int, project: Project, files: FilesOf, git: Git
) -> None:
    """Edits, links and modes, runs, applies, checkouts, removals, undos and redos, in random order.

    A model keeps what each step must bring back: bytes, modes and links of files, and the names of experiments.
    """
    dice = random.Random(seed)
    root = project.root
    (root / "tool.sh").write_text("#!/bin/sh\n")
    (root / "latest").symlink_to("data/raw.csv")
    git("add", "tool.sh", "latest", cwd=root)
    project.run(name="start")

    def edit() -> None:
        kind = dice.randrange(6)
        if kind == 0:
            (root / "tool.sh").write_text(f"# {dice.random()}\n")
            (root / "tool.sh").chmod(dice.choice([0o644, 0o755]))
        elif kind == 1:
            (root / "latest").unlink(missing_ok=True)
            (root / "latest").symlink_to(dice.choice(["README.md", "nowhere"]))
        elif kind == 2:
            (root / "latest").unlink(missing_ok=True)
            (root / "latest").write_text(f"{dice.random()}\n")
        elif kind == 3:
            (root / "model.txt").unlink(missing_ok=True)
            (root / "model.txt").write_text(f"{dice.random()}\n")
        elif kind == 4:
            (root / "prepared" / "extra").write_text(f"{dice.random()}\n")
        else:
            (root / "params.yaml").write_text(
                (root / "params.yaml").read_text() + f"# {dice.random()}\n"
            )

    back: list[Change] = []
    ahead: list[Change] = []
    walked, undone, redone = 0, 0, 0
    while walked < 40:
        walked += 1
        before, names, count = files(root), project.names, len(project.steps().back)
        what = dice.random()
        if what < 0.4:
            way, other = (back, ahead) if what < 0.25 else (ahead, back)
            many = dice.randint(1, 3)
            if many > len(way):
                continue
            try:
                project.undo(many, redo=way is ahead)
            except StoreError:  # an edit lies in between
                assert (files(root), project.names) == (before, names)
                continue
            for _ in range(many):
                change = way.pop()
                before, names = change.over(before, names)
                other.append(change.turned())
            assert files(root) == before
            assert project.names == names
            undone, redone = undone + (way is back), redone + (way is ahead)
            continue
        for _ in range(dice.randrange(3)):
            edit()
        before = files(root)
        kind = dice.randrange(5)
        try:
            if kind < 2:
                project.run({"seed": dice.randrange(3)}, new=dice.random() < 0.2)
            elif kind == 2:
                project.apply(dice.choice(project.names), force=dice.random() < 0.8)
            elif kind == 3:
                project.data.checkout(force=True)
            elif len(names) > 1:
                project.remove(dice.choice([name for name in names if name != "start"]))
        except NbexpError:
            assert (files(root), project.names) == (before, names)
            continue
        if len(project.steps().back) > count:
            removed = kind == 4
            back.append(
                Change(files(root), before, (project.names, names) if removed else ([], []))
            )
            ahead.clear()
        else:
            assert files(root) == before
    assert undone > 0
    assert redone > 0
    assert not list((root / ".dvc" / "tmp" / "nbexp").glob("pending*"))
    assert os.path.lexists(root / "latest")
