"""Experiments from one clone to another through a bare repository: whole or not at all, and what is said of it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp.errors import GitError, NotFound, StoreError, UsageError
from nbexp.experiments.selection import Revisions
from nbexp.git import NewCommit

if TYPE_CHECKING:
    from nbexp import Project

Opened = Callable[..., "Project"]


@pytest.fixture
def shared(pipeline_project: Callable[..., Path], git: Callable[..., str], tmp_path: Path) -> Path:
    """A project with a bare repository `origin` and a data remote `store` beside it, its main pushed."""
    top = pipeline_project()
    git("init", "--quiet", "--bare", "--initial-branch=main", tmp_path / "bare.git", cwd=tmp_path)
    git("remote", "add", "origin", tmp_path / "bare.git", cwd=top)
    (top / ".dvc" / "config").write_text(
        f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'store'}\n"
    )
    git("commit", "--quiet", "--all", "--message=remote", cwd=top)
    git("push", "--quiet", "origin", "main", cwd=top)
    return top


@pytest.fixture
def mine(shared: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project with the experiments low, mid and high; the workspace is as high left it."""
    monkeypatch.chdir(shared)
    project = opened(shared)
    for name, rate in (("low", 0.01), ("mid", 0.03), ("high", 0.05)):
        project.run({"train.lr": rate}, name=name)
    return project


@pytest.fixture
def clone(
    shared: Path, git: Callable[..., str], opened: Opened, tmp_path: Path
) -> Callable[..., Project]:
    """`clone("theirs")`: the project in a new clone of the bare repository."""

    def make(folder: str, *words: str, url: str | None = None) -> Project:
        place = url or f"file://{tmp_path / 'bare.git'}"
        git("clone", "--quiet", *words, place, tmp_path / folder, cwd=tmp_path)
        return opened(tmp_path / folder)

    return make


def on(git: Callable[..., str], bare: Path) -> dict[str, str]:
    """The experiments of a repository by name."""
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps", cwd=bare)
    return {line.split()[0].rpartition("/")[2]: line.split()[1] for line in lines.splitlines()}


def ref_of(project: Project, name: str) -> str:
    """The experiment's ref below refs/exps."""
    baseline = project[name].baseline
    return f"{baseline[:2]}/{baseline[2:]}/{name}"


def objects(folder: Path) -> set[str]:
    """The data objects of a cache or remote."""
    top = folder / "files"
    found = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(".tmp")}


def test_push_without_a_word_takes_what_the_workspace_equals(mine, git, tmp_path):
    done = mine.push()
    assert str(done) == (
        "pushed high to origin (1 ref, 4 files, 380 bytes)   not pushed: 2 local experiments\n"
        "your colleague runs:   %exp pull high      or   dvc exp pull origin high"
    )
    assert on(git, tmp_path / "bare.git") == {"high": mine["high"].rev}
    assert mine.push().to_json() == {
        "remote": "origin",
        "pushed": [],
        "up_to_date": ["high"],
        "files": 0,
        "size": 0,
        "not_pushed": 2,
        "colleague": ["%exp pull high", "dvc exp pull origin high"],
    }


def test_an_applied_experiment_is_what_the_workspace_equals_on_any_commit(mine, git, tmp_path):
    (mine.root / "notes.txt").write_text("of mine\n")
    mine.apply("low")
    assert mine.push().names == ("low",)
    (mine.root / "more.txt").write_text("new\n")
    git("add", "more.txt", cwd=mine.root)
    git("commit", "--quiet", "--message=on", cwd=mine.root)
    mine.git.close()
    mine.apply("mid", force=True)
    assert mine.push().names == ("mid",)


@pytest.mark.parametrize("edited", ["train.sh", "model.txt"])
def test_push_without_a_word_and_without_a_match_says_which_there_are(mine, edited):
    (mine.root / edited).unlink()
    (mine.root / edited).write_text("edited\n")
    with pytest.raises(UsageError) as caught:
        mine.push()
    said = re.sub(r"(?<=here: )\w+, \w+, \w+", "NAMES", str(caught.value))
    said = re.sub(r"push (low|mid|high)`", "push NAME`", said)
    # Of experiments made in one second none is the newest.
    assert said == (
        "Which experiments? None is starred, and the workspace equals none of the 3 here: NAMES. "
        "Nothing was pushed.\n"
        "Hint: `nbexp push NAME` pushes one, `nbexp push origin` those of the present commit, "
        "`nbexp push --all` all."
    )
    assert caught.value.exit_code == 2


def test_what_is_pushed_is_whole_in_another_clone(mine, clone, tmp_path):
    mine.push("low", "mid")
    theirs = clone("theirs")
    assert theirs.names == []
    done = theirs.pull("low")
    assert str(done) == (
        "pulled low from origin (1 ref, 4 files, 380 bytes)\n"
        "bring it into the workspace: nbexp apply low"
    )
    assert theirs.names == ["low"]
    assert theirs["low"].rev == mine["low"].rev
    theirs.apply("low")
    assert (theirs.root / "model.txt").read_bytes() == mine.read("low", "model.txt")
    assert theirs.status().is_clean
    assert theirs.pull("low").up_to_date == ("low",)


def test_only_missing_objects_move(mine, tmp_path):
    first = mine.push("low")
    stored = objects(tmp_path / "store")
    assert (first.files, len(stored)) == (4, 4)
    # `prepared` is the same in all of them: what is new of mid is its model.
    assert mine.push("low", "mid").files == 1
    assert len(objects(tmp_path / "store")) == 5
    again = mine.push("low", "mid")
    assert (again.files, again.names, again.up_to_date) == (0, (), ("low", "mid"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("origin",), {"low", "mid", "high"}),
        (("origin", "low"), {"low"}),
        (("low", "mid"), {"low", "mid"}),
        (("*i*",), {"mid", "high"}),
        (("../bare.git", "low"), {"low"}),
        (("file://{bare}", "low"), {"low"}),
        (("{bare}", "low"), {"low"}),
    ],
)
def test_the_first_word_is_the_remote_only_if_it_names_one(mine, git, tmp_path, words, expected):
    bare = tmp_path / "bare.git"
    mine.push(*(word.format(bare=bare) for word in words))
    assert set(on(git, bare)) == expected


def test_a_folder_is_a_remote_only_if_a_repository_is_in_it(mine, git, tmp_path, monkeypatch):
    (mine.root / "low").mkdir()
    assert mine.push("low").names == ("low",)
    git("init", "--quiet", "--bare", mine.root / "copy", cwd=mine.root)
    assert mine.push("copy", "mid").remote == str(mine.root / "copy")
    assert set(on(git, mine.root / "copy")) == {"mid"}


def test_selectors_and_all(mine, git, tmp_path):
    from nbexp.experiments.selection import Revisions

    git("commit", "--quiet", "--allow-empty", "--message=next", cwd=mine.root)
    mine.git.close()
    mine.run({"train.lr": 0.02}, name="later")
    bare = tmp_path / "bare.git"
    assert mine.push("origin").names == ("later",)
    mine.push("origin", revisions=Revisions(rev=("HEAD~1",)))
    assert set(on(git, bare)) == {"later", "low", "mid", "high"}
    git("push", "--quiet", "origin", f":refs/exps/{ref_of(mine, 'later')}", cwd=mine.root)
    assert mine.push(everything=True).names == ("later",)


def test_pull_without_experiments_is_about_the_present_commit(mine, clone, git):
    mine.push(everything=True)
    theirs = clone("theirs")
    git("commit", "--quiet", "--allow-empty", "--message=next", cwd=theirs.root)
    assert str(theirs.pull()) == (
        "no experiments to pull   of other commits: 3\n"
        "see them: nbexp list origin -A   or bring all: nbexp pull --all"
    )
    assert theirs.pull(everything=True).names == ("high", "low", "mid")


def test_twenty_experiments_take_as_many_git_processes_as_one(mine, clone, count_git):
    for number in range(20):
        mine.git.commit(
            NewCommit(
                f"refs/exps/{mine.git.head()[:2]}/{mine.git.head()[2:]}/many-{number:02}",
                mine.git.head(),
                b"made",
                base=mine["low"].rev,
                files={"notes.txt": b"%d" % number},
            )
        )
    counts = []
    for words in (("many-00",), ("many-*",)):
        mine.git.close()
        count_git.clear()
        mine.push(*words)
        counts.append(len(count_git))
    assert counts[1] <= counts[0] <= 5
    theirs = clone("theirs")
    counts = []
    for words in (("many-00",), ("many-*",)):
        theirs.git.close()
        count_git.clear()
        done = theirs.pull(*words)
        counts.append(len([call for call in count_git.calls if "upload-pack" not in call]))
    assert len(done.names) == 19
    assert counts[1] <= counts[0] <= 6


@pytest.mark.parametrize(
    "point", ["remote.copied", "remote.stored@2", "share.stored", "share.pushed"]
)
def test_a_killed_push_shows_nothing_that_is_not_whole(
    mine, clone, nbexp_cli, git, tmp_path, point
):
    done = nbexp_cli("push", "low", "mid", cwd=mine.root, code=None, env={"NBEXP_CRASH": point})
    assert done.returncode == -signal.SIGKILL, done.stderr
    seen = set(on(git, tmp_path / "bare.git"))
    assert seen == ({"low", "mid"} if point == "share.pushed" else set())
    stored = objects(tmp_path / "store")
    again = json.loads(nbexp_cli("push", "low", "mid", "--json", cwd=mine.root).stdout)
    assert again["files"] == 5 - len(stored)
    theirs = clone("theirs")
    assert theirs.pull("low", "mid").files == 5
    theirs.apply("mid")


@pytest.mark.parametrize("point", ["share.fetched", "transfer.stored", "share.brought"])
def test_a_killed_pull_names_nothing_that_is_not_whole(mine, clone, nbexp_cli, git, point):
    mine.push("low", "mid")
    theirs = clone("theirs").root
    words = ("pull", "low", "mid")
    done = nbexp_cli(*words, cwd=theirs, code=None, env={"NBEXP_CRASH": point})
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert nbexp_cli("list", "--name-only", cwd=theirs).stdout == ""
    nbexp_cli(*words, cwd=theirs)
    assert set(nbexp_cli("list", "--name-only", cwd=theirs).stdout.split()) == {"low", "mid"}
    assert git("for-each-ref", "refs/nbexp/incoming", cwd=theirs) == ""
    nbexp_cli("apply", "low", cwd=theirs)


def test_another_experiment_of_the_name_is_not_replaced(mine, clone, git, tmp_path):
    mine.push("low")
    theirs = clone("theirs")
    theirs.run({"train.lr": 0.5}, name="low")
    theirs.run({"train.lr": 0.6}, name="own")
    with pytest.raises(GitError) as caught:
        theirs.push("low", "own")
    assert str(caught.value) == (
        "low is not pushed: origin has another one of that name on the same commit. One other was pushed.\n"
        "Hint: `nbexp push origin low --force` replaces it there; `nbexp rename low NEW` keeps both."
    )
    bare = tmp_path / "bare.git"
    assert on(git, bare) == {"low": mine["low"].rev, "own": theirs["own"].rev}
    with pytest.raises(GitError) as caught:
        theirs.pull("low", "own")
    assert str(caught.value) == (
        "1 experiment of origin is not pulled: another of the same name is here: low.\n"
        "Hint: `nbexp pull low --force` replaces it, the old one goes to the trash; `nbexp rename` keeps both."
    )
    old = theirs["low"].rev
    assert theirs.pull("low", force=True).names == ("low",)
    assert theirs["low"].rev == mine["low"].rev
    assert old in theirs.git.refs("refs/nbexp/trash/").values()


def test_what_a_forced_push_replaces_is_in_the_trash_here(mine, clone, git, tmp_path):
    mine.push("low")
    theirs = clone("theirs")
    new = theirs.run({"train.lr": 0.5}, name="low").rev
    assert theirs.push("low", force=True).names == ("low",)
    assert on(git, tmp_path / "bare.git") == {"low": new}
    assert mine["low"].rev in theirs.git.refs("refs/nbexp/trash/").values()
    assert theirs.git.read(f"{mine['low'].rev}:metrics.json") is not None


def test_a_longer_chain_of_checkpoints_goes_on_from_the_shorter_one(mine, clone, git, tmp_path):
    mine.push("low")
    ref = git("for-each-ref", "--format=%(refname)", "refs/exps/**/low", cwd=mine.root)
    first = mine["low"].rev
    mine.git.commit(
        NewCommit(ref, first, b"checkpoint", base=first, files={"n": b"2"}, expect=first)
    )
    assert mine.push("low").names == ("low",)
    theirs = clone("theirs")
    assert theirs.pull("low").files == 4
    assert theirs["low"].rev == mine["low"].rev


def test_a_hook_that_refuses_is_heard(mine, git, tmp_path):
    hook = tmp_path / "bare.git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        '#!/bin/sh\ncase "$1" in *mid) echo "mid is closed until May" >&2; exit 1;; esac\n'
    )
    hook.chmod(0o755)
    with pytest.raises(GitError) as caught:
        mine.push("low", "mid")
    assert str(caught.value) == (
        "origin refused mid: mid is closed until May (hook declined). One other was pushed.\n"
        "Hint: their data is there; `nbexp push origin mid` tries again."
    )
    assert set(on(git, tmp_path / "bare.git")) == {"low"}


def test_who_was_faster_is_not_overwritten(mine, clone, git, tmp_path, monkeypatch):
    """Between the look and the push somebody else takes the name."""
    theirs = clone("theirs")
    theirs.run({"train.lr": 0.5}, name="low")
    from nbexp.experiments import shared_data

    store = shared_data.store

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(shared_data, "store", store)
        theirs.push("low")
        return store(*arguments)

    monkeypatch.setattr(shared_data, "store", meanwhile)
    with pytest.raises(GitError) as caught:
        mine.push("low", force=True)
    assert caught.value.message == "origin refused low: somebody else has changed it just now."
    assert on(git, tmp_path / "bare.git") == {"low": theirs["low"].rev}


def test_an_experiment_whose_data_is_nowhere_is_not_pushed(mine, git, tmp_path):
    model = mine.root / ".dvc/cache/files/md5"
    lock = mine.read("low", "dvc.lock").decode()
    md5 = lock.split("path: model.txt")[1].split("md5: ")[1].split()[0]
    gone = model / md5[:2] / md5[2:]
    gone.chmod(0o644)
    gone.unlink()
    with pytest.raises(StoreError) as caught:
        mine.push("low", "mid")
    assert str(caught.value) == (
        "low is not pushed for want of model.txt, which neither cache nor remote has. "
        "One other was pushed.\n"
        "Hint: `nbexp push --no-cache` pushes without data."
    )
    assert set(on(git, tmp_path / "bare.git")) == {"mid"}
    assert mine.push("low", cache=False).names == ("low",)
    assert set(on(git, tmp_path / "bare.git")) == {"low", "mid"}


def test_a_pull_whose_data_is_nowhere_is_no_success(mine, clone, tmp_path):
    mine.push("low")
    shutil.rmtree(tmp_path / "store")
    theirs = clone("theirs")
    with pytest.raises(StoreError) as caught:
        theirs.pull("low")
    assert caught.value.message.startswith("low came from origin without ")
    assert "model.txt" in caught.value.message
    # What Git has of it can be looked at all the same.
    assert theirs["low"].params == mine["low"].params
    assert theirs.pull("low", cache=False).up_to_date == ("low",)
    mine.push("low")
    assert theirs.pull("low").files == 4


def test_a_data_remote_that_came_later_is_used_too(mine, clone, git, tmp_path, nbexp_cli):
    """Real DVC says nothing and leaves the data behind."""
    (mine.root / ".dvc/config").write_text("")
    git("commit", "--quiet", "--all", "--message=no remote", cwd=mine.root)
    mine.git.close()
    mine.run({"train.lr": 0.2}, name="before")
    said = nbexp_cli("push", "before", cwd=mine.root).stderr
    assert said == (
        "Only Git's part is pushed: there is no default remote for data. Hint: `nbexp remote add -d store "
        "/path/or/url` adds one; then the same command again.\n"
    )
    mine.remote.add("late", str(tmp_path / "late"), default=True)
    assert mine.push("before").files == 4
    assert len(objects(tmp_path / "late")) == 4


def test_a_password_kept_here_is_not_sent_where_a_commit_says(mine, git, tmp_path):
    """Somebody's commit may name a remote as ours is named, with a URL of their own."""
    from nbexp.experiments import shared_data
    from nbexp.formats import config

    (mine.root / ".dvc/config").write_text(
        "[core]\n    remote = web\n['remote \"web\"']\n    url = https://ours.example.org/data\n"
    )
    (mine.root / ".dvc/config.local").write_text("['remote \"web\"']\n    password = a-secret\n")
    theirs = b"['remote \"web\"']\n    url = https://theirs.example.org/data\n"
    found = shared_data.config_of(mine._site(), theirs, print)
    assert found.remotes["web"] == {"url": "https://theirs.example.org/data"}
    ours = (mine.root / ".dvc/config").read_bytes()
    same = shared_data.config_of(mine._site(), ours, print)
    assert same.remotes["web"]["password"] == "a-secret"
    assert config.read(mine.root / ".dvc").remotes["web"] == same.remotes["web"]


def test_a_repository_without_a_remote_says_how_to_add_one(project):
    project.run(name="one")
    with pytest.raises(NotFound) as caught:
        project.push("one")
    assert str(caught.value) == (
        "This repository has no Git remote to share experiments through.\n"
        "Hint: `git remote add origin URL` adds one."
    )


def test_unknown_names_say_the_nearest(mine):
    for words, message in (
        (
            ("orign", "low"),
            "There is no experiment `orign`.\nHint: did you mean the remote, `nbexp push origin low`?",
        ),
        (("lowe",), "There is no experiment `lowe`.\nHint: did you mean `low`?"),
    ):
        with pytest.raises(NotFound) as caught:
            mine.push(*words)
        assert str(caught.value) == message
    for everything in ({"everything": True}, {"revisions": Revisions(all_commits=True)}):
        # All there is must not go to another remote than the one that was mistyped.
        for move in (mine.push, mine.pull):
            with pytest.raises(NotFound) as caught:
                move("elsewhere", **everything)
            assert str(caught.value).endswith("\nHint: there are these Git remotes: origin.")
    with pytest.raises(NotFound) as caught:
        mine.push("low", git_remote="orign")
    assert str(caught.value) == "There is no Git remote `orign`.\nHint: did you mean `origin`?"
    with pytest.raises(NotFound) as caught:
        mine.pull("low")
    assert str(caught.value) == (
        "origin has no experiment named `low`.\nHint: it is here alone: `nbexp push low` shares it."
    )


@pytest.mark.parametrize("setting", ["remote.origin.mirror", "push.gpgSign", "push.followTags"])
def test_what_git_push_is_set_to_do_is_not_done_to_experiments(setting, mine, git, tmp_path):
    git("tag", "--annotate", "--message=v1", "v1", cwd=mine.root)
    git("config", setting, "true", cwd=mine.root)
    mine.tag("low", "good")
    assert mine.push("low").names == ("low",)
    made = git("for-each-ref", "--format=%(refname)", cwd=tmp_path / "bare.git").splitlines()
    assert made == [f"refs/exps/{ref_of(mine, 'low')}", "refs/heads/main", "refs/notes/nbexp"]


def test_a_remote_that_is_not_there_says_so_without_its_password(mine, git, tmp_path):
    git("remote", "set-url", "origin", f"file://{tmp_path}/nowhere.git", cwd=mine.root)
    with pytest.raises(GitError) as caught:
        mine.push("low")
    assert str(caught.value) == (
        f"origin cannot be asked: '{tmp_path}/nowhere.git' does not appear to be a git repository.\n"
        "Hint: `git remote -v` shows where origin is; `git remote set-url NAME URL` corrects it."
    )
    with pytest.raises(GitError) as caught:
        mine.push("https://me:a-secret@127.0.0.1:9/x.git", "low")
    assert "a-secret" not in str(caught.value)
    assert caught.value.message.startswith("https://127.0.0.1:9/x.git cannot be asked: ")


def test_a_shallow_clone_pulls_and_pushes(mine, clone, git, tmp_path):
    mine.push("low")
    theirs = clone("theirs", "--depth=1")
    assert theirs.pull("low").names == ("low",)
    theirs.apply("low")
    theirs.run({"train.lr": 0.7}, name="own")
    assert theirs.push("own").names == ("own",)
    assert mine.pull("own").names == ("own",)
    assert mine["own"].metrics == theirs["own"].metrics


def test_a_second_work_tree_pushes_as_the_first(mine, git, opened, tmp_path):
    git("worktree", "add", "--quiet", "--detach", tmp_path / "second", cwd=mine.root)
    second = opened(tmp_path / "second")
    with pytest.raises(StoreError):
        second.push("low")  # its cache is its own, and empty
    assert second.push("low", cache=False).names == ("low",)
    assert second.pull("low", cache=False).up_to_date == ("low",)


def test_what_dvc_left_on_the_remote_by_a_wildcard_is_passed_over(mine, clone, git):
    git("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD", cwd=mine.root)
    git("update-ref", "refs/exps/a/b/c/d/e", "HEAD", cwd=mine.root)
    git("push", "--quiet", "origin", "refs/exps/*:refs/exps/*", cwd=mine.root)
    theirs = clone("theirs")
    assert set(theirs.pull(everything=True, cache=False).names) == {"low", "mid", "high"}
    assert not [ref for ref in theirs.git.refs("refs/exps/") if "exec" in ref or "/a/" in ref]


def test_tags_and_branches_do_not_come_along(mine, clone, git, tmp_path):
    git("tag", "on-low", mine["low"].rev, cwd=mine.root)
    git("config", "push.followTags", "true", cwd=mine.root)
    mine.push("low")
    assert git("tag", cwd=tmp_path / "bare.git") == ""
    git("push", "--quiet", "origin", "on-low", cwd=mine.root)
    theirs = clone("theirs")
    git("tag", "--delete", "on-low", cwd=theirs.root)
    theirs.pull("low")
    assert git("tag", cwd=theirs.root) == ""
    assert not (theirs.root / ".git" / "FETCH_HEAD").exists()


def test_what_is_recorded_about_experiments_goes_along(mine, clone):
    from nbexp.experiments import notes

    low = mine["low"].rev
    notes.change(mine.git, {low: {"note": "the one for the paper", "tags": ["paper"]}})
    mine.push("low")
    theirs = clone("theirs")
    theirs.pull("low")
    assert notes.read(theirs.git, [low])[low]["note"] == "the one for the paper"
    # What each adds comes to the other, also where the experiment itself is there already.
    notes.change(theirs.git, {low: {"star": True}})
    assert theirs.push("low").up_to_date == ("low",)
    assert mine.pull("low").up_to_date == ("low",)
    found = notes.read(mine.git, [low])[low]
    assert (found["star"], found["tags"]) == (True, ["paper"])


def test_starred_experiments_are_pushed_without_a_word(mine, git, tmp_path):
    from nbexp.experiments import notes

    notes.change(mine.git, {mine["low"].rev: {"star": True}, mine["mid"].rev: {"star": False}})
    assert set(mine.push().names) == {"low", "high"}
    (mine.root / "train.sh").write_text("edited\n")
    assert mine.push().up_to_date == ("low",)


def test_notes_that_did_not_arrive_are_no_success(mine, git, tmp_path):
    from nbexp.experiments import notes

    notes.change(mine.git, {mine["low"].rev: {"star": True}})
    hook = tmp_path / "bare.git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/notes/*) exit 1;; esac\n')
    hook.chmod(0o755)
    with pytest.raises(GitError) as caught:
        mine.push("low")
    assert caught.value.message.startswith(
        "The experiments are pushed, what is recorded about them (tags, notes, command lines) is not: "
    )
    assert set(on(git, tmp_path / "bare.git")) == {"low"}
    hook.unlink()
    assert mine.push("low").up_to_date == ("low",)
    assert git("for-each-ref", "--format=%(refname)", "refs/notes", cwd=tmp_path / "bare.git")


def test_each_run_is_pushed_by_itself_where_dvc_would(mine, git, tmp_path):
    heard: list[Any] = []
    mine.run({"train.lr": 0.2}, name="quiet", emit=heard.append)
    assert on(git, tmp_path / "bare.git") == {}
    mine.config.set("exp.auto_push", "true", level="local")
    mine.run({"train.lr": 0.3}, name="told", emit=heard.append)
    assert set(on(git, tmp_path / "bare.git")) == {"told"}
    assert len(objects(tmp_path / "store")) > 4  # the run cache, too, as DVC does
    assert heard[-1].message == "pushed told to origin, as `exp.auto_push` says."
    (mine.root / "train.sh").write_text("edited\n")
    mine.save(name="saved", emit=heard.append)
    assert set(on(git, tmp_path / "bare.git")) == {"told", "saved"}


@pytest.mark.parametrize(
    ("env", "pushed"),
    [
        ({"DVC_EXP_AUTO_PUSH": "true"}, True),
        ({"DVC_EXP_AUTO_PUSH": "true", "DVC_EXP_GIT_REMOTE": "nowhere"}, False),
        ({"DVC_EXP_AUTO_PUSH": "true", "DVC_EXP_GIT_REMOTE": "other"}, False),
        ({"DVC_EXP_AUTO_PUSH": "0", "DVC_EXP_GIT_REMOTE": "origin"}, False),
    ],
)
def test_the_environment_says_whether_and_where_to(shared, nbexp_cli, git, tmp_path, env, pushed):
    git("init", "--quiet", "--bare", tmp_path / "other.git", cwd=tmp_path)
    git("remote", "add", "other", tmp_path / "other.git", cwd=shared)
    ran = nbexp_cli("run", "-n", "one", cwd=shared, env=env)
    assert (set(on(git, tmp_path / "bare.git")) == {"one"}) is pushed
    assert (set(on(git, tmp_path / "other.git")) == {"one"}) is (
        env.get("DVC_EXP_GIT_REMOTE") == "other"
    )
    # One that could not be pushed is recorded all the same.
    assert nbexp_cli("list", "--name-only", cwd=shared).stdout == "one\n"
    said = "one is recorded, and was not pushed by itself: There is no Git remote `nowhere`."
    assert (said in ran.stderr) is (env.get("DVC_EXP_GIT_REMOTE") == "nowhere")


def test_nothing_is_sent_unasked(shared, nbexp_cli, count_git):
    nbexp_cli("run", "-n", "one", cwd=shared)
    nbexp_cli("show", cwd=shared)
    nbexp_cli("list", cwd=shared)
    asking = ("push", "fetch", "ls-remote", "upload-pack", "receive-pack")
    assert [call for call in count_git.calls if any(word in call.split() for word in asking)] == []


def test_over_ssh_with_a_key_and_never_a_question(mine, clone, git, tmp_path, monkeypatch):
    from tests.contracts.conftest import Servers

    servers = Servers(tmp_path)
    try:
        url, settings = servers.serve("ssh")
        host = url.removeprefix("ssh://").partition("/")[0]
        place = f"ssh://{host}{tmp_path / 'bare.git'}"
        ssh = f"ssh -i {settings['keyfile']} -oIdentitiesOnly=yes -oUserKnownHostsFile={tmp_path}/known"
        git("remote", "set-url", "origin", place, cwd=mine.root)
        monkeypatch.setenv("GIT_SSH_COMMAND", ssh)
        with pytest.raises(GitError) as caught:
            mine.push("low")  # nobody has said that the host is to be trusted
        assert str(caught.value) == (
            "origin cannot be asked: Host key verification failed.\n"
            "Hint: connect once with `ssh HOST`, and compare its key."
        )
        monkeypatch.setenv("GIT_SSH_COMMAND", f"{ssh} -oStrictHostKeyChecking=accept-new")
        assert mine.push("low", "mid").names == ("low", "mid")
        theirs = clone("theirs", url=place)
        assert theirs.pull("low").names == ("low",)
        theirs.apply("low")
        assert [len(members) for _, members in theirs.list_remote("origin").groups] == [2]
        assert theirs.remove("mid", git_remote="origin").names == ("mid",)
        monkeypatch.setenv(
            "GIT_SSH_COMMAND",
            f"ssh -F /dev/null -oIdentitiesOnly=yes -oUserKnownHostsFile={tmp_path}/known",
        )
        with pytest.raises(GitError) as caught:
            mine.push("low")
        assert "Permission denied (publickey)" in caught.value.message
        assert caught.value.hint == (
            "log in as for `git push`: with a key that ssh-agent holds, or a credential helper."
        )
    finally:
        servers.stop()


def test_before_the_first_commit_there_is_nothing_to_push(tmp_path, git, opened, nbexp_cli):
    git("init", "--quiet", tmp_path / "new", cwd=tmp_path)
    (tmp_path / "new" / ".dvc").mkdir()
    git("remote", "add", "origin", "nowhere", cwd=tmp_path / "new")
    said = nbexp_cli("push", cwd=tmp_path / "new", code=2).stderr
    assert said == "There is no experiment to push yet.\nHint: `nbexp run` makes one.\n"


def test_a_rebase_in_progress_is_no_obstacle(mine, clone, git):
    mine.push("low")
    theirs = clone("theirs")
    (theirs.root / ".git" / "rebase-merge").mkdir()
    git("checkout", "--quiet", "--detach", cwd=theirs.root)
    assert theirs.pull("low").names == ("low",)
    assert (theirs.root / ".git" / "rebase-merge").is_dir()


def test_words_that_look_like_options_are_words(mine, nbexp_cli):
    """Such a name can come from DVC, and Git must not take it for an option."""
    said = nbexp_cli("push", "--", "--upload-pack=touch x", cwd=mine.root, code=3).stderr
    assert said.startswith("There is no experiment `--upload-pack=touch x`.")
    for place in ("--upload-pack=touch hacked:x", "ext::sh -c touch% hacked"):
        nbexp_cli("pull", "--json", "--", place, "low", cwd=mine.root, code=3)
        nbexp_cli("list", "--", place, cwd=mine.root, code=3)
    assert not (mine.root / "hacked").exists()


def test_a_broken_commit_among_them_stops_nobody(mine, clone, git, nbexp_cli):
    """Somebody's dvc.yaml cannot be read: what it needs cannot be known, and that is told."""
    mine.git.commit(
        NewCommit(
            f"refs/exps/{mine.git.head()[:2]}/{mine.git.head()[2:]}/broken",
            mine.git.head(),
            b"made",
            base=mine["low"].rev,
            files={"dvc.yaml": b"stages: [\n", ".dvc/config": b"[core\n"},
        )
    )
    done = nbexp_cli("push", "broken", "low", "--json", cwd=mine.root)
    assert json.loads(done.stdout)["pushed"] == ["broken", "low"]
    assert "is left out: dvc.yaml, line" in done.stderr
    assert "A commit's configuration is left out: .dvc/config, line 1:" in done.stderr
    assert set(clone("theirs").pull("broken", "low").names) == {"broken", "low"}


def test_a_push_that_is_stopped_says_what_it_leaves(mine, nbexp_cli, git, tmp_path):
    hook = tmp_path / "bare.git" / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/waits\nsleep 120\n")
    hook.chmod(0o755)
    running = nbexp_cli.start("push", "low", cwd=mine.root)
    end = time.monotonic() + 60
    while not (tmp_path / "waits").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said == (
        "Stopped. What has arrived stays, and no experiment shows that is not whole.\n"
        "Hint: the same `nbexp push` goes on from there.\n"
    )
    hook.unlink()
    again = json.loads(nbexp_cli("push", "low", "--json", cwd=mine.root).stdout)
    assert (again["pushed"] or again["up_to_date"], again["files"]) == (["low"], 0)
