"""Experiments listed, removed, renamed and made branches: in bulk, here and on a Git remote."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nbexp.errors import GitError, NameTaken, NotFound, StoreError, UsageError
from nbexp.experiments.ref_changes import publishing
from nbexp.experiments.selection import Revisions
from nbexp.git import NewCommit

if TYPE_CHECKING:
    from nbexp import Project


@pytest.fixture
def many(project: Project, git: Callable[..., str], tmp_path: Path) -> Project:
    """Fifty experiments on HEAD, `lr-00` to `lr-49`, and one, `next`, on the commit after it; a bare `origin`."""
    git("init", "--quiet", "--bare", tmp_path / "bare.git", cwd=tmp_path)
    git("remote", "add", "origin", tmp_path / "bare.git", cwd=project.root)
    for number in range(50):
        add(project, f"lr-{number:02}")
    git("commit", "--quiet", "--allow-empty", "--message=next", cwd=project.root)
    project.git.close()
    add(project, "next")
    git("push", "--quiet", "origin", "main", cwd=project.root)
    return project


def add(project: Project, name: str, *, text: str = "") -> str:
    head = project.git.head()
    assert head is not None
    ref = f"refs/exps/{head[:2]}/{head[2:]}/{name}"
    files = {"notes.txt": f"{name}{text}".encode()}
    return project.git.commit(NewCommit(ref, head, b"made", base=head, files=files))[0]


def on(git: Callable[..., str], place: Path, prefix: str = "refs/exps") -> dict[str, str]:
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", prefix, cwd=place)
    return {line.split()[0].rpartition("/")[2]: line.split()[1] for line in lines.splitlines()}


def test_fifty_are_pushed_listed_removed_there_and_pulled_again(many, git, tmp_path):
    bare = tmp_path / "bare.git"
    assert len(many.push("origin", "lr-*").names) == 50
    assert str(many.list_remote("origin")) == (
        "origin has no such experiments. All it has: nbexp list origin -A"
    )
    groups = many.list_remote("origin", revisions=Revisions(num=2)).groups
    assert [len(members) for _, members in groups] == [50]
    removed = many.remove("lr-1*", "lr-00", git_remote="origin")
    assert (len(removed.names), removed.remote) == (11, "origin")
    assert len(on(git, bare)) == 39
    assert len(many.names) == 51
    # They are here as well, so that nothing had to be kept of them.
    assert many.git.refs("refs/nbexp/trash/") == {}
    kept = many.remove("lr-4*", git_remote="origin", keep=True)
    assert len(kept.names) == 29
    assert set(on(git, bare)) == {f"lr-4{n}" for n in range(10)}


def test_bulk_here(many, git):
    assert len(many.branches("lr-0*").branches) == 10
    assert len(on(git, many.root, "refs/heads")) == 11
    assert many.remove("lr-00", "lr-2?").names == ("lr-00", *(f"lr-2{n}" for n in range(10)))
    assert len(many.names) == 40
    assert many.remove(revisions=Revisions(rev=("HEAD",))).names == ("next",)
    assert many.remove("lr-4*", keep=True).names == tuple(
        f"lr-{n:02}" for n in range(50) if n not in {0, *range(20, 30)} and n < 40
    )
    assert many.names == [f"lr-4{n}" for n in range(10)]
    assert len(many.git.refs("refs/nbexp/trash/")) == 41
    assert len(many.remove(revisions=Revisions(all_commits=True)).names) == 10
    assert many.names == []


def test_one_or_fifty_take_as_many_git_processes(many, count_git):
    counts = []
    many.push("origin", "lr-*")
    for words in (("lr-00",), ("lr-*",)):
        count_git.clear()
        many.remove(*words, git_remote="origin")
        counts.append(len([call for call in count_git.calls if "receive-pack" not in call]))
    assert counts[1] <= counts[0] <= 4


def test_of_a_ref_that_stands_for_another_the_other_stays(many, git):
    head = many.git.head()
    folder = f"refs/exps/{head[:2]}/{head[2:]}"
    git("symbolic-ref", f"{folder}/alias", f"{folder}/next", cwd=many.root)
    before = on(git, many.root)
    assert before["alias"] == before["next"]
    assert many.remove("alias").names == ("alias",)
    assert on(git, many.root) == {name: rev for name, rev in before.items() if name != "alias"}


def test_what_is_removed_there_and_not_here_is_kept_in_the_trash(many, git, tmp_path):
    rev = many.push("origin", "next") and on(git, tmp_path / "bare.git")["next"]
    git("clone", "--quiet", f"file://{tmp_path / 'bare.git'}", tmp_path / "other", cwd=tmp_path)
    import nbexp

    other = nbexp.open(tmp_path / "other")
    other.remove("next", git_remote="origin")
    assert on(git, tmp_path / "bare.git") == {}
    assert list(other.git.refs("refs/nbexp/trash/").values()) == [rev]
    assert other.git.read(f"{rev}:notes.txt") == b"next"
    other.close()


def test_removing_says_what_there_is_not(many):
    with pytest.raises(UsageError, match="Which experiment"):
        many.remove()
    with pytest.raises(NotFound) as caught:
        many.remove("nxt")
    assert str(caught.value) == "There is no experiment `nxt`.\nHint: did you mean `next`?"
    with pytest.raises(NotFound) as caught:
        many.remove("lr-00", "zz*")
    assert caught.value.message == "There is no experiment `zz*`."
    with pytest.raises(NotFound) as caught:
        many.remove("lr-00", git_remote="origin")
    assert str(caught.value) == (
        "origin has no experiment named `lr-00`.\nHint: `nbexp list origin -A` shows those it has."
    )
    assert len(many.names) == 51


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ((), {}),
        (("lr-00",), {}),
        ((), {"keep": True}),
        ((), {"queued": True}),
        ((), {"git_remote": "origin"}),
    ],
)
def test_removing_counts_commits_only_from_a_rev(many, words, options):
    with pytest.raises(UsageError) as caught:
        many.remove(*words, revisions=Revisions(num=2), **options)
    assert str(caught.value) == (
        "`-n` counts commits from `--rev` back, and there is no `--rev`. Nothing was removed.\n"
        "Hint: `nbexp remove --rev HEAD -n 2`"
    )
    assert len(many.names) == 51
    assert len(many.remove(revisions=Revisions(("HEAD",), 2)).names) == 51


def test_a_remote_that_forbids_deletion_keeps_them(many, git, tmp_path):
    many.push("origin", "lr-00")
    hook = tmp_path / "bare.git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'nothing is deleted here' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(GitError) as caught:
        many.remove("lr-00", git_remote="origin")
    assert str(caught.value) == (
        "origin keeps lr-00: nothing is deleted here (hook declined).\n"
        "Hint: `nbexp list origin -A` shows what it has now."
    )


def test_renaming_keeps_the_commit(many):
    rev = many["next"].rev
    assert str(many.rename("next", "best")) == "next is now best"
    assert many["best"].rev == rev
    assert "next" not in many.names
    for name, error in (("bad name", UsageError), ("abcdef1", UsageError), ("main", NameTaken)):
        with pytest.raises(error):
            many.rename("best", name)


def test_renaming_over_another_needs_force_and_keeps_it(many):
    old = add(many, "taken")
    rev = many["next"].rev
    with pytest.raises(NameTaken) as caught:
        many.rename("next", "taken")
    assert str(caught.value) == (
        "An experiment `taken` is here on the same commit. Nothing was renamed.\n"
        "Hint: `nbexp rename next taken --force` replaces it; the old one goes to the trash."
    )
    done = many.rename("next", "taken", force=True)
    assert str(done) == f"next is now taken; the old taken ({old[:7]}) is in the trash"
    assert many["taken"].rev == rev
    assert list(many.git.refs("refs/nbexp/trash/").values()) == [old]
    assert many.rename("taken", "taken", force=True).replaced is None
    assert many["taken"].rev == rev


def test_renaming_to_the_same_name_has_nothing_to_do(many):
    rev = many["next"].rev
    many.push("origin", "next")
    for where in (None, "origin"):
        assert str(many.rename("next", "next", git_remote=where)) == "next is called so already"
    assert many["next"].rev == rev
    assert list(many.git.refs("refs/nbexp/trash/")) == []


def test_renaming_on_a_remote_renames_there_and_here(many, git, tmp_path):
    bare = tmp_path / "bare.git"
    rev = many["next"].rev
    many.push("origin", "next", "lr-00")
    assert str(many.rename("next", "best", git_remote="origin")) == (
        "next is now best here and on origin"
    )
    assert on(git, bare)["best"] == rev
    assert "next" not in {*on(git, bare), *many.names}
    git("clone", "--quiet", f"file://{bare}", tmp_path / "other", cwd=tmp_path)
    import nbexp

    other = nbexp.open(tmp_path / "other")
    # The commit is not here, and need not stay.
    assert str(other.rename("best", "better", git_remote="origin")) == (
        "best is now better on origin"
    )
    assert on(git, bare)["better"] == rev
    assert git("for-each-ref", "refs/nbexp", "refs/exps", cwd=other.root) == ""
    with pytest.raises(NotFound):
        other.rename("best", "x", git_remote="origin")
    other.close()


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("git@github.com:ada/churn.git", "gh pr create --head low-branch"),
        ("https://ghp_token@github.com/ada/churn", "gh pr create --head low-branch"),
        ("ssh://git@gitlab.example.org:2222/a.git", "glab mr create --source-branch low-branch"),
        ("https://example.org/github/a.git", None),
        ("/srv/github/a.git", None),
    ],
)
def test_the_host_says_how_a_pull_request_is_opened(many, git, url, line):
    git("remote", "set-url", "origin", url, cwd=many.root)
    told = publishing(many._site(), "low-branch")
    assert told == ("git push -u origin low-branch", *([line] if line else []))
    add(many, "low")
    shown = str(many.branch("low")).splitlines()[1:]
    assert [text.partition(":")[2].strip() for text in shown] == [*told]
    assert "ghp_token" not in str(shown)


def test_the_lines_of_a_branch_work(many, git, tmp_path):
    many.branch("next", "better")
    said = str(many.branch("lr-00"))
    assert said.splitlines()[1:] == ["share:  git push -u origin lr-00-branch"]
    git(*said.splitlines()[1].split()[2:], cwd=many.root)
    assert set(on(git, tmp_path / "bare.git", "refs/heads")) == {"main", "lr-00-branch"}


@pytest.mark.parametrize("is_here", [True, False])
def test_the_line_that_switches_to_a_branch_works(project, git, is_here):
    project.run({"train.lr": 0.5}, name="low")
    if not is_here:
        project.undo()
    said = str(project.branch("low", "better")).splitlines()[0].partition("switch to it with: ")[2]
    assert said.startswith("git symbolic-ref" if is_here else "git switch")
    files = {path: path.read_bytes() for path in project.root.glob("*.*") if path.is_file()}
    subprocess.run(said, shell=True, cwd=project.root, check=True, capture_output=True)
    assert git("status", "--porcelain", cwd=project.root) == ""
    assert git("symbolic-ref", "HEAD", cwd=project.root) == "refs/heads/better"
    if is_here:
        assert {path: path.read_bytes() for path in files} == files


def test_without_a_remote_a_branch_says_nothing_of_sharing(project):
    add(project, "low")
    assert str(project.branch("low")).count("\n") == 0


def test_several_words_are_several_branches(many, nbexp_cli, git):
    said = nbexp_cli("branch", "next", "lr-00", cwd=many.root).stdout
    assert said.splitlines()[0].split() == ["experiment", "branch", "commit"]
    assert {"next-branch", "lr-00-branch"} < set(on(git, many.root, "refs/heads"))
    nbexp_cli("branch", "next", "better", cwd=many.root)
    nbexp_cli("branch", "lr-01", "lr-02", "lr-03", cwd=many.root)
    assert {"better", "lr-03-branch"} < set(on(git, many.root, "refs/heads"))
    refused = nbexp_cli("branch", "lr-04", "lr-03", "lr-05", cwd=many.root, code=3).stderr
    assert refused.startswith("Branch `lr-03-branch` already exists.")
    assert "lr-04-branch" not in on(git, many.root, "refs/heads")


def test_experiments_here_are_listed_by_the_commits_they_start_from(many):
    def names(**asked: object) -> list[str]:
        groups = many.list(**asked).groups
        return [name for _, members in groups for name, _ in members]

    assert names() == ["next"]
    assert len(names(revisions=Revisions(rev=("HEAD~1",)))) == 50
    assert len(names(revisions=Revisions(num=2))) == len(names(everywhere=True)) == 51


# --- Refs with no commit behind them -------------------------------------------------------------

GONE = "1234567890" * 4


@pytest.fixture
def damaged(many, git):
    """Beside `next`: `gone`, whose object is not there, and `leaf`, which is a blob; a tag, and a ref that is a link."""
    head = many.git.head()
    blob = git("hash-object", "-w", "params.yaml", cwd=many.root).strip()
    folder = many.root / ".git" / "refs" / "exps" / head[:2] / head[2:]
    (folder / "gone").write_text(f"{GONE}\n")
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/leaf", blob, cwd=many.root)
    git("tag", "-am", "one", "v1", cwd=many.root)
    git("symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main", cwd=many.root)
    many.git.close()
    return many


@pytest.mark.parametrize(
    "ask",
    [
        lambda project, name: project.apply(name),
        lambda project, name: project.branch(name),
        lambda project, name: project.branches(name, "next"),
        lambda project, name: project.open(name),
        lambda project, name: project.diff(name),
        lambda project, name: project.rename(name, "other"),
        lambda project, name: project.tag(name, "good"),
        lambda project, name: project.rerun(name),
        lambda project, name: project.verify(name),
    ],
)
def test_what_has_no_commit_cannot_be_asked_for(damaged, ask):
    for name, what in (("gone", "is not in this repository"), ("leaf", "is a blob and no commit")):
        with pytest.raises(
            GitError, match=f"Experiment `{name}` points to .*, which {what}"
        ) as said:
            ask(damaged, name)
        assert said.value.hint == f"`nbexp remove {name}` takes the name away."


def test_what_has_no_commit_is_not_pushed_and_all_others_are(damaged, git, tmp_path):
    with pytest.raises(GitError) as said:
        damaged.push("origin", everything=True)
    assert str(said.value) == (
        "gone, leaf are not pushed: there is no commit behind them. 51 others were pushed.\n"
        "Hint: `nbexp remove gone` takes the name away."
    )
    assert len(on(git, tmp_path / "bare.git")) == 51


def test_what_has_no_commit_can_be_removed(damaged):
    assert damaged.remove("gone", "leaf", "lr-00").names == ("gone", "leaf", "lr-00")
    assert len(damaged.names) == 50
    assert [one.name for one in damaged.trash.list().entries] == ["leaf", "lr-00"]


def test_a_run_can_have_the_name_of_what_has_no_commit(damaged):
    made = damaged.run(name="gone", force=True)
    assert damaged["gone"].rev == made.rev
    assert damaged.trash.list().entries == ()


def test_collecting_with_a_lost_commit(damaged):
    """What nbexp keeps for itself goes; of data nothing, unless told to do without that commit."""
    damaged.remove("lr-00")
    (trash,) = (heap for heap in damaged.gc().heaps if heap.kind == "trash")
    assert trash.items == 1
    with pytest.raises(StoreError) as said:
        damaged.data.gc(all_commits=True)
    assert said.value.message.startswith("What `gone` needs cannot be told: ")
    assert said.value.hint.startswith("`--skip-failed` goes on without it")
    assert damaged.data.gc(all_commits=True, skip_failed=True).removed is False
