"""What is recorded about experiments: kept by Git, merged between clones, lost by nobody."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nbexp.errors import GitError
from nbexp.experiments import notes
from nbexp.git import Git, NewCommit
from nbexp.git.remote import GitRemote, Move

RunGit = Callable[..., str]


def found(path: Path) -> Git:
    git = Git.find(path)
    assert git is not None
    return git


def commits(git: Git, count: int) -> list[str]:
    """So many commits on HEAD; the first two are kept by refs."""
    head = git.head()
    return git.commit(
        *(
            NewCommit(
                f"refs/exps/aa/{n}/x" if n < 2 else None, head, b"%d" % n, base=head, time_s=n + 1
            )
            for n in range(count)
        )
    )


@pytest.fixture
def door(repo: Path) -> Git:
    return found(repo)


def shown(git: RunGit, repo: Path, rev: str) -> dict[str, object]:
    """The note as Git itself prints it."""
    loaded: dict[str, object] = json.loads(git("notes", "--ref=nbexp", "show", rev, cwd=repo))
    return loaded


def test_git_prints_a_note_as_json(door: Git, git: RunGit, repo: Path) -> None:
    [rev] = commits(door, 1)
    notes.change(door, {rev: {"tags": ["paper"], "note": "grün", "run": {"host": "a"}}})
    whole = shown(git, repo, rev)
    assert list(whole) == ["note", "tags", "run", "changed"]
    assert whole["note"] == "grün"
    assert notes.read(door, [rev]) == {
        rev: {"note": "grün", "tags": ["paper"], "run": {"host": "a"}}
    }
    assert "grün" in git("log", "-1", "--notes=nbexp", rev, cwd=repo)


def test_a_key_is_changed_and_taken_away(door: Git) -> None:
    one, two = commits(door, 2)
    notes.change(door, {one: {"star": True, "note": "a"}, two: {"note": "b"}})
    notes.change(door, {one: {"star": None}, two: {"note": None}})
    assert notes.read(door, [one, two]) == {one: {"note": "a"}}


def test_what_has_no_note_is_left_out_and_equal_values_write_nothing(door: Git) -> None:
    [rev] = commits(door, 1)
    assert notes.read(door, [rev]) == {}
    assert notes.read(door, []) == {}
    notes.change(door, {rev: {"star": True}})
    before = door.resolve(notes.REF)
    notes.change(door, {rev: {"star": True}})
    notes.change(door, {})
    assert door.resolve(notes.REF) == before


def test_text_added_with_git_is_the_note(door: Git, git: RunGit, repo: Path) -> None:
    one, two = commits(door, 2)
    notes.change(door, {one: {"star": True}})
    git("notes", "--ref=nbexp", "append", "--message=seen by git", one, cwd=repo)
    git("notes", "--ref=nbexp", "add", "--message=from git\nalone", two, cwd=repo)
    assert notes.read(door, [one, two]) == {
        one: {"star": True, "note": "seen by git"},
        two: {"note": "from git\nalone"},
    }
    notes.change(door, {one: {"star": None}})
    assert shown(git, repo, one)["note"] == "seen by git"


def test_notes_joined_by_git_keep_the_newer_values(door: Git, git: RunGit, repo: Path) -> None:
    [rev] = commits(door, 1)
    notes.change(door, {rev: {"note": "old", "tags": ["a"]}})
    git("update-ref", "refs/notes/other", notes.REF, cwd=repo)
    notes.change(door, {rev: {"note": "new"}})
    git("update-ref", "refs/notes/mine", notes.REF, cwd=repo)
    text = git("notes", "--ref=other", "show", rev, cwd=repo)
    git("notes", "--ref=nbexp", "append", f"--message={text}", rev, cwd=repo)
    assert notes.read(door, [rev]) == {rev: {"note": "new", "tags": ["a"]}}


@pytest.mark.parametrize("count", [1, 300, 3_000])
def test_notes_are_found_however_git_splits_their_names(
    door: Git, git: RunGit, repo: Path, count: int
) -> None:
    revs = commits(door, count)
    blob = git("hash-object", "-w", "--stdin", stdin='{"star": true}', cwd=repo)
    # Git's own writer, which splits by how many there are.
    orders = "".join(f"N {blob} {rev}\n" for rev in revs)
    stream = "commit refs/notes/nbexp\ncommitter a <a@b> 1 +0000\ndata 1\nx\n" + orders + "\ndone\n"
    git("fast-import", "--quiet", "--done", stdin=stream, cwd=repo)
    assert notes.read(door, revs) == {rev: {"star": True} for rev in revs}
    notes.change(door, {revs[0]: {"note": "mine"}})
    assert notes.read(door, revs[:1]) == {revs[0]: {"star": True, "note": "mine"}}
    assert len(git("notes", "--ref=nbexp", "list", cwd=repo).splitlines()) == count
    # And Git, adding one after that, splits again as it likes.
    git("notes", "--ref=nbexp", "add", "--force", "--message=x", revs[-1], cwd=repo)
    assert notes.read(door, revs[-1:]) == {revs[-1]: {"note": "x"}}


def test_ten_thousand_notes_are_read_by_one_process_and_one_more_is_four_objects(
    door: Git, git: RunGit, repo: Path
) -> None:
    # Nobody has to have the commits.
    revs = [hashlib.sha1(b"%d" % n).hexdigest() for n in range(10_000)] + [door.head() or ""]
    notes.change(door, {rev: {"run": {"seconds": n}} for n, rev in enumerate(revs[:-1])})
    before = Git.processes
    fresh = found(repo)
    assert len(notes.read(fresh, revs)) == 10_000
    assert Git.processes == before + 1
    git("gc", "--quiet", cwd=repo)
    fresh.config()
    before = Git.processes
    notes.change(fresh, {revs[-1]: {"run": {"seconds": -1}}})
    assert Git.processes == before
    loose = git("count-objects", cwd=repo)
    assert loose.startswith("4 objects")
    assert shown(git, repo, revs[-1])["run"] == {"seconds": -1}
    assert len(git("reflog", "show", notes.REF, cwd=repo).splitlines()) == 2


def test_notes_survive_collection_packing_and_git_s_own_pruning(
    door: Git, git: RunGit, repo: Path
) -> None:
    one, two = commits(door, 2)
    digest, data = notes.packages_digest({"numpy": "1.0"})
    noting = notes.Beside(door, {"packages": digest}, {digest: data})
    door.advance(lambda: noting.make([one]))
    notes.change(door, {two: {"note": "b"}})
    git("pack-refs", "--all", "--prune", cwd=repo)
    notes.change(door, {two: {"star": True}})
    git("gc", "--quiet", "--prune=now", cwd=repo)
    git("notes", "--ref=nbexp", "prune", cwd=repo)
    git("notes", "--ref=nbexp", "add", "--message=c", "HEAD", cwd=repo)
    git("fsck", "--strict", cwd=repo)
    fresh = found(repo)
    assert notes.read(fresh, [one, two]) == {
        one: {"run": {"packages": digest}},
        two: {"note": "b", "star": True},
    }
    assert notes.packages(fresh, digest) == {"numpy": "1.0"}


def _star(path: str, revs: list[str], key: str) -> None:
    git = found(Path(path))
    for number, rev in enumerate(revs):
        notes.change(git, {rev: {key: number}})


def test_many_processes_write_at_once_and_nothing_is_lost(door: Git, repo: Path) -> None:
    revs = commits(door, 12)
    workers = [
        multiprocessing.get_context("spawn").Process(target=_star, args=(str(repo), revs, f"k{n}"))
        for n in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert notes.read(door, revs) == {
        rev: {f"k{n}": number for n in range(4)} for number, rev in enumerate(revs)
    }


def test_a_git_process_that_notes_meanwhile_is_not_overwritten(
    door: Git, git: RunGit, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = commits(door, 2)
    notes.change(door, {one: {"note": "a"}})
    real = Git.entries
    done: list[int] = []

    def meddle(self: Git, trees: list[str]) -> object:
        if not done:
            done.append(1)
            git("notes", "--ref=nbexp", "add", "--message=theirs", two, cwd=repo)
        return real(self, trees)

    monkeypatch.setattr(Git, "entries", meddle)
    notes.change(door, {one: {"star": True}})
    assert notes.read(door, [one, two]) == {
        one: {"note": "a", "star": True},
        two: {"note": "theirs"},
    }


def test_notes_that_stay_locked_are_left_as_they_are(
    door: Git, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbexp.git._PATIENCE_S", 0.1)
    [rev] = commits(door, 1)
    notes.change(door, {rev: {"note": "a"}})
    (repo / ".git" / "refs" / "notes" / "nbexp.lock").write_text("")
    with pytest.raises(GitError, match=r"nbexp\.lock"):
        notes.change(door, {rev: {"note": "b"}})
    assert notes.read(door, [rev]) == {rev: {"note": "a"}}


def test_a_lock_that_a_killed_process_left_is_in_nobodys_way(door: Git, repo: Path) -> None:
    [rev] = commits(door, 1)
    notes.change(door, {rev: {"note": "a"}})
    lock = repo / ".git" / "refs" / "notes" / "nbexp.lock"
    lock.write_text("")
    os.utime(lock, (1, 1))
    notes.change(door, {rev: {"note": "b"}})
    assert notes.read(door, [rev]) == {rev: {"note": "b"}}
    assert not lock.exists()


KILLED = """
import sys
from pathlib import Path
from nbexp.experiments import notes
from nbexp.git import Git
git = Git.find(Path(sys.argv[1]))
number = 0
print("ready", flush=True)
while True:
    number += 1
    notes.change(git, {sys.argv[2]: {"note": str(number)}})
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_killed_writer_leaves_whole_notes(door: Git, git: RunGit, repo: Path, after: int) -> None:
    one, two = commits(door, 2)
    notes.change(door, {two: {"star": True}})
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(repo), one], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(after + 1)]
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    last = int((said + rest.split())[-1])
    git("fsck", "--strict", cwd=repo)
    read = notes.read(found(repo), [one, two])
    assert int(str(read[one]["note"])) in (last, last + 1)
    assert read[two] == {"star": True}


class TestRemotes:
    """Two clones and a bare repository between them."""

    @pytest.fixture
    def clones(self, door: Git, git: RunGit, repo: Path, tmp_path: Path) -> tuple[Git, Git]:
        git("clone", "--quiet", "--bare", repo, tmp_path / "hub.git")
        git("clone", "--quiet", tmp_path / "hub.git", tmp_path / "other")
        git("remote", "add", "origin", tmp_path / "hub.git", cwd=repo)
        return door, found(tmp_path / "other")

    def test_a_note_arrives_with_its_packages(self, clones: tuple[Git, Git]) -> None:
        here, there = clones
        head = here.head() or ""
        digest, data = notes.packages_digest({"numpy": "2.1"})
        here.advance(lambda: notes.Beside(here, {"packages": digest}, {digest: data}).make([head]))
        assert notes.send(here, "origin", [head]) == (head,)
        assert notes.send(here, "origin", [head]) == ()
        assert notes.receive(there, "origin", [head]) == (head,)
        assert notes.receive(there, "origin", [head]) == ()
        assert notes.read(there, [head]) == notes.read(here, [head])
        assert notes.packages(there, digest) == {"numpy": "2.1"}

    def test_of_one_key_the_newer_wins_in_both_clones(self, clones: tuple[Git, Git]) -> None:
        here, there = clones
        head = here.head() or ""
        notes.change(here, {head: {"note": "first", "tags": ["a"]}})
        notes.change(there, {head: {"note": "second", "star": True}})
        notes.send(there, "origin", [head])
        notes.send(here, "origin", [head])
        notes.receive(here, "origin", [head])
        notes.receive(there, "origin", [head])
        both = {"note": "second", "tags": ["a"], "star": True}
        assert notes.read(here, [head])[head] == both
        assert notes.read(there, [head])[head] == both

    def test_what_was_taken_away_stays_away(self, clones: tuple[Git, Git]) -> None:
        here, there = clones
        head = here.head() or ""
        notes.change(here, {head: {"tags": ["a"], "note": "x"}})
        notes.send(here, "origin", [head])
        notes.receive(there, "origin", [head])
        notes.change(there, {head: {"tags": None}})
        notes.send(there, "origin", [head])
        notes.receive(here, "origin", [head])
        assert notes.read(here, [head]) == {head: {"note": "x"}}

    def test_tags_of_both_clones_are_kept_and_those_taken_away_stay_away(
        self, clones: tuple[Git, Git]
    ) -> None:
        here, there = clones
        head = here.head() or ""
        notes.change(here, {head: {"tags": ["paper", "old"]}})
        notes.send(here, "origin", [head])
        notes.receive(there, "origin", [head])
        notes.change(there, {head: {"tags": ["paper", "old", "theirs"]}})
        notes.change(here, {head: {"tags": ["paper", "mine"]}})
        notes.send(there, "origin", [head])
        notes.send(here, "origin", [head])
        notes.receive(here, "origin", [head])
        notes.receive(there, "origin", [head])
        tags = notes.read(here, [head])[head]["tags"]
        assert tags == notes.read(there, [head])[head]["tags"] == ["paper", "mine", "theirs"]
        # What both took away is gone, and a tag that is set again is there again.
        notes.change(here, {head: {"tags": None}})
        notes.change(there, {head: {"tags": ["old"]}})
        for clone in (here, there, here):
            notes.send(clone, "origin", [head])
            notes.receive(clone, "origin", [head])
        assert notes.read(here, [head]) == notes.read(there, [head]) == {head: {"tags": ["old"]}}

    def test_a_clock_that_is_ahead_does_not_win_for_ever(
        self, clones: tuple[Git, Git], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, there = clones
        head = here.head() or ""
        with monkeypatch.context() as ahead:
            ahead.setattr("nbexp.experiments.notes.time.time_ns", lambda: 4_000_000_000 * 10**9)
            notes.change(here, {head: {"note": "from the future"}})
        notes.send(here, "origin", [head])
        notes.receive(there, "origin", [head])
        notes.change(there, {head: {"note": "later"}})
        notes.send(there, "origin", [head])
        notes.receive(here, "origin", [head])
        assert notes.read(here, [head]) == {head: {"note": "later"}}

    def test_only_the_commits_asked_for_travel(self, clones: tuple[Git, Git]) -> None:
        here, there = clones
        one, two = commits(here, 2)
        notes.change(here, {one: {"note": "1"}, two: {"note": "2"}})
        assert notes.send(here, "origin", [one]) == (one,)
        notes.receive(there, "origin", [one, two])
        assert notes.read(there, [one, two]) == {one: {"note": "1"}}

    def test_who_pushes_at_the_same_time_is_merged_with(
        self, clones: tuple[Git, Git], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here, there = clones
        one, two = commits(here, 2)
        notes.change(here, {one: {"note": "here"}})
        notes.change(there, {two: {"note": "there"}})
        real = GitRemote.push
        pushed: list[str] = []

        def race(self: GitRemote, moves: Sequence[Move], **how: bool) -> dict[str, str]:
            monkeypatch.setattr(GitRemote, "push", real)
            pushed.extend(notes.send(there, "origin", [two]))
            return real(self, moves, **how)

        monkeypatch.setattr(GitRemote, "push", race)
        assert notes.send(here, "origin", [one]) == (one,)
        assert pushed == [two]
        notes.receive(here, "origin", [one, two])
        assert notes.read(here, [one, two]) == {one: {"note": "here"}, two: {"note": "there"}}

    def test_a_remote_that_is_not_there_is_told(self, door: Git, tmp_path: Path) -> None:
        head = door.head() or ""
        notes.change(door, {head: {"note": "x"}})
        for move in (notes.send, notes.receive):
            with pytest.raises(GitError, match="ls-remote"):
                move(door, str(tmp_path / "nowhere"), [head])
        assert notes.read(door, [head]) == {head: {"note": "x"}}
