"""The state that isolated runs start from: one commit and one ref, and nothing of the user's moves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp import overrides
from nbexp.errors import GitError, NotFound, QueueError, UsageError
from nbexp.events import ignore
from nbexp.experiments import environment, freezing, isolated, worktrees
from nbexp.experiments import spec as specs
from nbexp.experiments.freezing import Snapshot
from nbexp.experiments.journal import Journal
from nbexp.experiments.place import journal_folder, workspace_lock
from nbexp.experiments.run import Place
from nbexp.experiments.spec import Spec
from nbexp.frozen import replace
from nbexp.project import runs

if TYPE_CHECKING:
    from nbexp import Project

Files = Callable[[Path], dict[str, tuple[str, bytes]]]
GitState = Callable[[Path], dict[str, bytes]]
Git = Callable[..., str]


def place(project: Project) -> Place:
    """As a worker has it: the queue knows of its task already."""
    found = runs.place_of(project, ignore)
    return replace(found, attend=None)


def asked(project: Project, *texts: str, **options: object) -> Spec:
    point = specs.one_point(overrides.parse(texts))
    head = project.git.head() or ""
    return specs.make(project.root, head, {}, overrides=point, **options)  # type: ignore[arg-type]


def tree(git: Git, root: Path, rev: str) -> dict[str, str]:
    listed = git("ls-tree", "-r", rev, cwd=root).splitlines()
    return {line.split("\t")[1]: line.split()[2] for line in listed}


def test_one_commit_and_one_ref_for_any_number_of_specs(
    project: Project, git: Git, files: Files, git_state: GitState
) -> None:
    root = project.root
    (root / "train.sh").write_text("edited\n")
    (root / "README.md").unlink()
    (root / "staged.py").write_text("x = 1\n")
    (root / "untracked.py").write_text("x = 1\n")
    git("add", "staged.py", cwd=root)
    before, state = files(root), git_state(root)
    wanted = [asked(project, f"train.lr=0.{n}", name=f"lr-{n}") for n in range(1, 30)]
    made = freezing.freeze(place(project), wanted, batch="b1")
    assert files(root) == before
    assert git_state(root) == state
    head = git("rev-parse", "HEAD", cwd=root)
    assert made == Snapshot(git("rev-parse", "refs/nbexp/queue/b1", cwd=root), head, "b1")
    assert git("rev-list", "--parents", "--max-count=1", made.rev, cwd=root) == f"{made.rev} {head}"
    there = tree(git, root, made.rev)
    assert {"staged.py", "train.sh"} <= there.keys()
    assert not {"untracked.py", "README.md"} & there.keys()
    assert git("show", f"{made.rev}:train.sh", cwd=root) == "edited"
    assert "lr: 0.1" in git("show", f"{made.rev}:params.yaml", cwd=root)
    assert git("for-each-ref", "--format=%(refname)", "refs/nbexp", cwd=root) == made.ref
    assert git("fsck", "--strict", "--no-dangling", cwd=root) == ""


def test_what_was_asked_for_can_be_read_from_the_ref(project: Project) -> None:
    (project.root / "x").write_text("x")
    wanted = [
        asked(project, "train.lr=0.2", name="one", message="a\nb {c}", copies=["x"]),
        asked(project, "~seed", "+more=[1,{a: null}]", targets=["train"], pull=True),
    ]
    made = freezing.freeze(place(project), wanted, batch="b1")
    assert freezing.thaw(project.git, made.ref) == [replace(one, edits={}) for one in wanted]
    assert freezing.snapshot_at(project.git, made.ref) == made


def test_a_batch_has_its_name_for_itself(project: Project, git: Git) -> None:
    made = freezing.freeze(place(project), [asked(project)], batch="b1")
    with pytest.raises(GitError):
        freezing.freeze(place(project), [asked(project)], batch="b1")
    assert git("rev-parse", made.ref, cwd=project.root) == made.rev


def test_the_number_of_git_processes_does_not_grow(project: Project, opened, count_git) -> None:
    seen = []
    root = project.root
    for count in (1, 200):
        project = opened(root)
        wanted = [asked(project, f"train.lr=0.{n}") for n in range(1, count + 1)]
        where = place(project)
        count_git.clear()
        freezing.freeze(where, wanted, batch=f"b{count}")
        seen.append(len(count_git))
    assert seen[0] == seen[1] <= 3


def test_copies_are_kept_as_they_are_now(project: Project, git: Git) -> None:
    root = project.root
    (root / "keys").mkdir()
    (root / "keys" / "a.txt").write_text("old\n")
    (root / "keys" / "a.txt").chmod(0o600)
    (root / "keys" / "link").symlink_to("a.txt")
    freezing.freeze(place(project), [asked(project, copies=["keys"])], batch="b1")
    (root / "keys" / "a.txt").write_text("new\n")
    kept = freezing.copies_folder(root, "b1")
    assert (kept / "keys" / "a.txt").read_text() == "old\n"
    assert (kept / "keys" / "a.txt").stat().st_mode & 0o777 == 0o600
    assert os.readlink(kept / "keys" / "link") == "a.txt"
    with pytest.raises(NotFound):
        freezing.freeze(place(project), [asked(project, copies=["nowhere"])], batch="b2")
    assert git("for-each-ref", "refs/nbexp/queue/b2", cwd=root) == ""


def test_a_repository_without_a_commit(tmp_path: Path, opened, git: Git, dvc) -> None:
    git("init", "--quiet", tmp_path)
    dvc("init", "--quiet", cwd=tmp_path)
    with pytest.raises(GitError, match="has no commit yet"):
        freezing.look(place(opened(tmp_path)))


def test_line_ends_are_those_that_git_would_store(project: Project, git: Git) -> None:
    root = project.root
    (root / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (root / "a.txt").write_bytes(b"one\r\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=text", cwd=root)
    (root / "a.txt").write_bytes(b"one\r\ntwo\r\n")
    view = freezing.look(place(project))
    assert view.read("a.txt") == b"one\ntwo\n"
    made = worktrees.prepare(place(project), "test-0", view.snapshot)
    assert (made.root / "a.txt").read_bytes() == b"one\r\ntwo\r\n"


# --- While a command changes the workspace -------------------------------------------------------


@pytest.fixture
def at_work(project: Project, git: Git) -> Project:
    """A command has the workspace, and has changed files by its journal."""
    root = project.root
    (root / "tracked-out.json").write_text("old\n")
    (root / "folder").mkdir()
    (root / "folder" / "a").write_text("old a\n")
    (root / "folder" / "b").write_text("old b\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=outs", cwd=root)
    (root / "params.yaml").write_text("lr: of the user\n")
    (root / "folder" / "a").write_text("edited a\n")
    (root / "folder" / "b").unlink()
    (root / "staged.txt").write_text("staged\n")
    git("add", "staged.txt", cwd=root)
    return project


def test_what_a_command_is_writing_is_not_the_users(at_work: Project, git: Git) -> None:
    root = at_work.root
    expected = tree(git, root, freezing.look(place(at_work)).snapshot.rev)
    lock = workspace_lock(root)
    lock.acquire()
    journal = Journal(root, journal_folder(root))
    journal.begin("run other", "uid")
    try:
        journal.write("params.yaml", git("show", "HEAD:params.yaml", cwd=root).encode() + b"\n")
        journal.write("train.sh", b"of the run\n")
        journal.write("staged.txt", b"of the run\n")
        journal.write("new-lock", b"of the run\n")
        journal.set_aside("tracked-out.json")
        (root / "tracked-out.json").write_text("of the run\n")
        journal.set_aside("folder")
        (root / "folder").mkdir()
        (root / "folder" / "c").write_text("of the run\n")
        git("add", "new-lock", "folder", cwd=root)
        assert tree(git, root, freezing.look(place(at_work)).snapshot.rev) == expected
        (root / "train.sh").write_text("edited by the user meanwhile\n")
        view = freezing.look(place(at_work))
        assert view.read("train.sh") == b"edited by the user meanwhile\n"
        journal.finish()
        view = freezing.look(place(at_work))
        assert view.read("tracked-out.json") == b"of the run\n"
    finally:
        lock.release()


def test_what_a_killed_command_left_is_put_right_first(at_work: Project, git: Git) -> None:
    root = at_work.root
    expected = tree(git, root, freezing.look(place(at_work)).snapshot.rev)
    journal = Journal(root, journal_folder(root))
    journal.begin("run other", "uid")
    journal.write("train.sh", b"of the run\n")
    journal._close()
    notices: list[str] = []
    view = freezing.look(place(at_work), emit=lambda event: notices.append(str(event)))
    assert tree(git, root, view.snapshot.rev) == expected
    assert "has been rolled back" in notices[0]


# --- What a queue does with it -------------------------------------------------------------------


def run(project: Project, spec: Spec, snapshot: Snapshot, **options: object) -> object:
    where = place(project)
    lock = worktrees.lock_of(project.root, "0")
    lock.acquire()
    try:
        return isolated.run(
            where, spec, snapshot, slot="0", uid="u1", emit=ignore,
            command=environment.command_line(spec), **options,  # type: ignore[arg-type]
        )  # fmt: skip
    finally:
        lock.release()


def test_a_stored_spec_runs_later_from_what_was_then(project: Project, git: Git) -> None:
    root = project.root
    (root / "train.sh").write_text((root / "train.sh").read_text() + "# then\n")
    (root / "key.txt").write_text("then\n")
    freezing.freeze(
        place(project),
        [asked(project, "train.lr=0.03", name="later", copies=["key.txt"])],
        batch="b1",
    )
    git("checkout", "--quiet", "train.sh", cwd=root)
    (root / "key.txt").unlink()
    (root / "params.yaml").write_text("nonsense: [\n")
    ref = "refs/nbexp/queue/b1"
    (spec,) = freezing.thaw(project.git, ref)
    ran = run(project, spec, freezing.snapshot_at(project.git, ref), env={"EXTRA": "1"})
    assert git("show", f"{ran.rev}:train.sh", cwd=root).endswith("# then")  # type: ignore[attr-defined]
    assert project["later"].metrics["acc"] == 0.9333
    assert (worktrees.folder_of(root, "0") / "key.txt").read_text() == "then\n"


def test_the_fence_comes_when_all_is_there_and_nothing_has_a_name(
    project: Project, git: Git
) -> None:
    root = project.root
    seen = []

    def fence(rev: str) -> None:
        assert git("for-each-ref", "refs/exps", cwd=root) == ""
        seen.append((rev, tree(git, root, rev)))

    spec = asked(project, "train.lr=0.03", name="fenced")
    snapshot = freezing.freeze(place(project), [spec], batch="b1")
    ran = run(project, spec, snapshot, fence=fence)
    ((rev, there),) = seen
    assert rev == ran.rev == git("rev-parse", ran.ref, cwd=root)  # type: ignore[attr-defined]
    assert "dvc.lock" in there


def test_a_result_that_the_fence_refuses_is_dropped(project: Project, git: Git) -> None:
    def fence(rev: str) -> None:
        raise QueueError("Another worker has this task now.")

    spec = asked(project, "train.lr=0.03", name="fenced")
    snapshot = freezing.freeze(place(project), [spec], batch="b1")
    with pytest.raises(QueueError, match="Another worker"):
        run(project, spec, snapshot, fence=fence)
    names = git("for-each-ref", "--format=%(refname)", cwd=project.root).splitlines()
    assert names == ["refs/heads/main", "refs/nbexp/queue/b1"]
    # It can be run again by whoever has the task.
    assert run(project, spec, snapshot)


def test_a_name_that_was_taken_meanwhile_is_not_replaced(project: Project, git: Git) -> None:
    spec = asked(project, "train.lr=0.03", name="taken")
    snapshot = freezing.look(place(project)).snapshot
    rev = project.run({"train.lr": 0.5}, name="taken", temp=True).rev
    with pytest.raises(GitError):
        run(project, spec, snapshot)
    assert project["taken"].rev == rev


@pytest.mark.parametrize("point", ["freeze.looking", "freeze.copied", "freeze.named"])
def test_killed_while_freezing(point: str, project: Project, git: Git, files: Files) -> None:
    root = project.root
    (root / "train.sh").write_text("edited\n")
    (root / "key.txt").write_text("key\n")
    before = files(root)
    script = textwrap.dedent(f"""
        import nbexp
        from nbexp.events import ignore
        from nbexp.experiments import freezing, spec
        from nbexp.project import runs
        project = nbexp.open({str(root)!r})
        place = runs.place_of(project, ignore)
        one = spec.make(project.root, project.git.head(), {{}}, name="one", copies=["key.txt"])
        freezing.freeze(place, [one], batch="b1")
    """)
    killed = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "NBEXP_CRASH": point}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert files(root) == before
    listed = git("for-each-ref", "--format=%(refname)", "refs/nbexp", cwd=root)
    assert listed == ("refs/nbexp/queue/b1" if point == "freeze.named" else "")
    if listed:
        assert [one.name for one in freezing.thaw(project.git, listed)] == ["one"]
    git("fsck", "--strict", cwd=root)
    freezing.freeze(place(project), [asked(project, name="two")], batch="b2")


def test_a_baseline_that_edits_fit_on_or_not(project: Project, git: Git) -> None:
    root = project.root
    first = git("rev-parse", "HEAD", cwd=root)
    (root / "image.bin").write_bytes(b"\0one")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=second", cwd=root)
    second = git("rev-parse", "HEAD", cwd=root)
    (root / "image.bin").write_bytes(b"\0two")
    git("commit", "--quiet", "--all", "--message=third", cwd=root)
    (root / "image.bin").write_bytes(b"\0mine")
    for baseline in (first, second):
        with pytest.raises(UsageError, match=r"Your edits of image\.bin do not fit on"):
            freezing.look(place(project), baseline=baseline)
    git("checkout", "--quiet", "image.bin", cwd=root)
    (root / "README.md").unlink()
    view = freezing.look(place(project), baseline=first)
    assert view.snapshot.baseline == first
    assert view.read("README.md") is None
    assert view.read("image.bin") is None
    assert freezing.look(place(project), baseline=first, with_edits=False).snapshot.rev == first
