"""Every test asks real Git whether it sees the same."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sized
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from nbexp.errors import GitError
from nbexp.git import (
    Change,
    CommitInfo,
    Entry,
    FileContent,
    Git,
    Identity,
    NewCommit,
    loose,
    writing,
)

RunGit = Callable[..., str]

EXP = "refs/exps/ab/cdef/low-lr"
# More than are written without Git.
MANY: dict[str, FileContent] = {f"many/{n}": b"%d" % n for n in range(101)}


def found(path: Path) -> Git:
    git = Git.find(path)
    assert git is not None
    return git


def write(repo: Path, files: dict[str, str | bytes]) -> None:
    for path, content in files.items():
        target = repo / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


def commit_all(git: RunGit, repo: Path, files: dict[str, str | bytes]) -> str:
    write(repo, files)
    git("add", "--force", "--all", cwd=repo)
    git("commit", "--quiet", "--message=more", cwd=repo)
    return git("rev-parse", "HEAD", cwd=repo)


def state(repo: Path) -> dict[str, bytes]:
    """All of the Git folder that users would miss: HEAD, index, branches, reflogs, stash."""
    folder = repo / ".git"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.relative_to(folder).as_posix().startswith("objects/")
    }


def tree_of_add(git: RunGit, repo: Path, extra: list[str]) -> str:
    """The tree that Git itself makes of the index, `add -u` and `add -f`."""
    index = repo / ".git" / "index.oracle"
    if (repo / ".git" / "index").exists():
        shutil.copy2(repo / ".git" / "index", index)  # with its time: Git tells racy files by it
    env = {"GIT_INDEX_FILE": str(index)}
    git("add", "--update", cwd=repo, env=env)
    if extra:
        git("--literal-pathspecs", "add", "--force", "--", *extra, cwd=repo, env=env)
    tree = git("write-tree", cwd=repo, env=env)
    index.unlink()
    return tree


def recorded_tree(git: Git, extra: list[str]) -> str:
    """The tree that a snapshot and a commit make of the same."""
    status = git.status()
    files = git.snapshot(status, extra)
    new = NewCommit(None, status.head, b"x", base=status.head, files=files)
    return git.commits(git.commit(new))[0].tree


class TestFinding:
    def test_a_repository_is_found_from_any_folder_in_it(self, repo: Path) -> None:
        (repo / "a" / "b").mkdir(parents=True)
        before = Git.processes
        assert found(repo / "a" / "b").root == repo
        assert found(repo / "README.md").root == repo
        assert found(repo / "not" / "there").folder == repo / ".git"
        assert Git.processes == before

    def test_there_is_none_outside(self, tmp_path: Path) -> None:
        (tmp_path / "sub" / ".git").mkdir(parents=True)
        assert Git.find(tmp_path / "sub") is None

    def test_a_link_into_a_repository_leads_to_where_the_files_are(
        self, repo: Path, tmp_path: Path
    ) -> None:
        (repo / "project").mkdir()
        (tmp_path / "link").symlink_to(repo / "project")
        assert found(tmp_path / "link").root == repo

    def test_a_new_repository_has_an_unborn_branch(self, tmp_path: Path) -> None:
        git = Git.init(tmp_path / "new", branch="trunk")
        assert (git.root, git.branch(), git.head()) == (tmp_path / "new", "trunk", None)

    def test_init_keeps_what_is_there(self, repo: Path) -> None:
        assert Git.init(repo).head() == found(repo).head()

    def test_a_worktree_that_another_process_is_making_is_waited_for(
        self, repo: Path, git: RunGit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nbexp.git._MAKING_S", 60.0)
        git("worktree", "add", "--quiet", "-b", "side", tmp_path / "side", cwd=repo)
        half = repo / ".git" / "worktrees" / "side" / "commondir"
        whole = half.read_text()
        half.write_text("")
        asked: list[None] = []

        def look() -> None:
            asked.append(None)
            if len(asked) == 5:
                half.write_text(whole)

        door = found(repo)
        listed = door.worktree("list", "--porcelain", before=look)
        assert listed.count(b"worktree ") == 2
        assert len(asked) == 5

    def test_a_worktree_has_its_own_head_and_shares_the_refs(
        self, repo: Path, git: RunGit, tmp_path: Path
    ) -> None:
        git("worktree", "add", "--quiet", "-b", "side", tmp_path / "side", cwd=repo)
        rev = commit_all(git, tmp_path / "side", {"new.txt": "1"})
        side = found(tmp_path / "side")
        assert (side.head(), side.branch()) == (rev, "side")
        assert side.folder == repo / ".git" / "worktrees" / "side"
        assert side.common == repo / ".git"
        [made] = side.commit(NewCommit(EXP, rev, b"m", base=rev, files={"x": b"1"}))
        assert found(repo).refs(EXP) == {EXP: made}
        assert recorded_tree(side, []) == git("rev-parse", "side^{tree}", cwd=repo)

    def test_a_broken_link_is_said_and_no_outer_repository_taken(self, repo: Path) -> None:
        (repo / "sub").mkdir()
        (repo / "sub" / ".git").write_text("gitdir: ../gone\n")
        with pytest.raises(GitError) as raised:
            Git.find(repo / "sub")
        assert raised.value.message == (
            f"{repo}/sub/.git points to {repo}/gone, where there is no Git repository."
        )

    def test_a_git_hook_may_start_us_in_another_repository(
        self, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = Git.init(tmp_path / "other")
        monkeypatch.setenv("GIT_DIR", str(other.folder))
        monkeypatch.setenv("GIT_INDEX_FILE", str(other.folder / "index"))
        assert found(repo).head() is not None
        assert found(repo).status().changes == ()

    def test_a_missing_git_is_said(self, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(repo))
        with pytest.raises(GitError, match="There is no program `git` on the PATH"):
            found(repo).resolve("HEAD")

    def test_a_repository_git_distrusts_comes_with_the_way_out(
        self, repo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        with pytest.raises(GitError) as raised:
            found(repo).resolve("HEAD")
        assert raised.value.hint == f"`git config --global --add safe.directory {repo}`"

    def test_files_that_git_looks_for_elsewhere_are_not_taken_for_deleted(
        self, repo: Path, git: RunGit, tmp_path: Path
    ) -> None:
        git("config", "core.worktree", "..", cwd=repo)  # as in a submodule: where they are
        assert found(repo).root == repo
        git("config", "core.worktree", tmp_path, cwd=repo)
        with pytest.raises(GitError) as raised:
            Git.find(repo)
        assert raised.value.message == (
            f"By `core.worktree` the files of {repo}/.git are not in {repo} but in {tmp_path}."
        )
        git("worktree", "add", "--quiet", tmp_path / "linked", cwd=repo)
        assert found(tmp_path / "linked").root == tmp_path / "linked"

    def test_an_extension_that_git_does_not_know_is_named(self, repo: Path, git: RunGit) -> None:
        git("config", "core.repositoryFormatVersion", "1", cwd=repo)
        git("config", "extensions.unheardOf", "true", cwd=repo)
        with pytest.raises(GitError) as raised:
            found(repo).status()
        assert raised.value.message == (
            "`git status` stopped: unknown repository extension found: unheardof."
        )

    def test_gitpython_opens_the_same_repository(self, repo: Path) -> None:
        git = found(repo)
        assert git.repo.head.commit.hexsha == git.head()
        assert git.repo is git.repo
        git.close()


class TestReading:
    def test_head_and_branch(self, repo: Path, git: RunGit) -> None:
        assert found(repo).resolve("HEAD") == git("rev-parse", "HEAD", cwd=repo)
        assert found(repo).branch() == "main"

    def test_a_branch_may_have_slashes(self, repo: Path, git: RunGit) -> None:
        git("switch", "--quiet", "-c", "team/ünï", cwd=repo)
        assert found(repo).branch() == "team/ünï"
        assert found(repo).branch_at("team/ünï") == found(repo).resolve("HEAD")
        assert found(repo).branch_at("team") is None

    def test_a_detached_head_has_no_branch(self, repo: Path, git: RunGit) -> None:
        git("checkout", "--quiet", "--detach", cwd=repo)
        assert found(repo).branch() is None
        assert found(repo).head() == git("rev-parse", "main", cwd=repo)

    def test_a_head_that_only_git_understands_is_asked_of_git(self, repo: Path) -> None:
        (repo / ".git" / "HEAD").unlink()
        (repo / ".git" / "HEAD").symlink_to("refs/heads/main")  # as very old Git wrote it
        assert found(repo).branch() == "main"

    def test_a_new_commit_is_seen_by_the_process_that_runs(self, repo: Path, git: RunGit) -> None:
        door = found(repo)
        first = door.resolve("HEAD")
        rev = commit_all(git, repo, {"a.txt": "2"})
        started = Git.processes
        assert (door.resolve("HEAD"), door.read(f"{rev}:a.txt")) == (rev, b"2")
        assert door.resolve(rev[:8]) == rev
        assert first != rev
        assert Git.processes == started

    def test_packed_refs_and_objects_are_seen_by_the_process_that_runs(
        self, repo: Path, git: RunGit
    ) -> None:
        door = found(repo)
        rev = door.head()
        git("update-ref", EXP, "HEAD", cwd=repo)
        git("pack-refs", "--all", cwd=repo)
        git("repack", "-adq", cwd=repo)
        assert door.resolve(EXP) == rev
        assert door.refs("refs/exps/") == {EXP: rev}

    @pytest.mark.parametrize(
        "rev", ["main", "HEAD", "HEAD~0", "main@{0}", "refs/heads/main", "v1", ":/first", "HEAD^0"]
    )
    def test_every_way_to_write_a_revision_is_understood(
        self, repo: Path, git: RunGit, rev: str
    ) -> None:
        git("tag", "--annotate", "--message=one", "v1", cwd=repo)
        assert found(repo).resolve(rev) == git("rev-parse", "HEAD", cwd=repo)

    @pytest.mark.parametrize(
        "rev",
        ["", "-", "--all", "-rf", "none", "a b", "a\nb", "a\0b", "HEAD:README.md", "main..HEAD",
         "0" * 40, ":/none", "HEAD^{tree}", "\ud800", "x" * 100_000],
    )  # fmt: skip
    def test_what_means_no_commit_is_none_and_never_an_option(self, repo: Path, rev: str) -> None:
        assert found(repo).resolve(rev) is None

    @pytest.mark.parametrize(
        "path",
        ["with space.txt", "Ünïcödé/日本.txt", "-rf", "--", '"quoted"', "tab\there", "back\\slash",
         "'", "a:b", "*", "[x]", " lead", "trail ", ":(top)x", "HEAD", "~"],
    )  # fmt: skip
    def test_a_file_of_any_name_is_read_listed_and_recorded(
        self, repo: Path, git: RunGit, path: str
    ) -> None:
        rev = commit_all(git, repo, {path: "first\n", f"folder/{path}": "second\n"})
        door = found(repo)
        assert door.read(f"HEAD:{path}") == b"first\n"
        assert set(door.tree(rev)) == {"README.md", path, f"folder/{path}"}
        assert set(door.tree(rev, prefix=path)) == {path}
        assert door.is_tracked([path, f"{path}2"]) == {path}
        write(repo, {path: "changed\n", f"new/{path}": "new\n"})
        assert [change.path for change in door.status().changes] == [path]
        assert door.status().untracked == (f"new/{path}",)
        assert recorded_tree(door, [f"new/{path}"]) == tree_of_add(git, repo, [f"new/{path}"])

    def test_a_name_that_is_no_text_comes_back_as_python_spells_it(
        self, repo: Path, git: RunGit
    ) -> None:
        name = os.fsdecode(b"caf\xe9.txt")
        commit_all(git, repo, {name: "x"})
        door = found(repo)
        assert door.read(f"HEAD:{name}") == b"x"
        write(repo, {name: "changed"})
        assert [change.path for change in door.status().changes] == [name]
        assert recorded_tree(door, []) == tree_of_add(git, repo, [])

    def test_what_is_not_there_is_none_in_its_place(self, repo: Path) -> None:
        specs = ["HEAD:README.md", "HEAD:none", "a\nb", "", "HEAD:README.md"]
        text = b"# A project\n"
        assert found(repo).read_many(specs) == [text, None, None, None, text]
        assert found(repo).info("HEAD:none") is None

    def test_info_tells_id_type_and_size(self, repo: Path, git: RunGit) -> None:
        door = found(repo)
        assert door.info("HEAD:README.md") == (
            git("rev-parse", "HEAD:README.md", cwd=repo), "blob", 12,
        )  # fmt: skip
        assert door.info("HEAD")[1:2] == ("commit",)  # type: ignore[index]
        assert door.info("HEAD:")[1:2] == ("tree",)  # type: ignore[index]

    def test_a_blob_of_30_megabytes_is_read_whole(self, repo: Path, git: RunGit) -> None:
        data = random.Random(1).randbytes(30 << 20)
        commit_all(git, repo, {"big.bin": data})
        door = found(repo)
        assert door.read("HEAD:big.bin") == data
        assert door.read_many(["HEAD:big.bin", "HEAD:README.md"])[1] == b"# A project\n"

    def test_many_questions_and_big_answers_do_not_block_each_other(
        self, repo: Path, git: RunGit
    ) -> None:
        files: dict[str, str | bytes] = {f"{n:02}.txt": f"{n:02}" * 25_000 for n in range(40)}
        commit_all(git, repo, files)
        door = found(repo)
        started = Git.processes
        specs = [f"HEAD:{n % 40:02}.txt" for n in range(2_000)] + ["HEAD:" + "x" * 4_000] * 50
        answers = door.read_many(specs)
        assert [len(answer or b"") for answer in answers[:2_000:500]] == [50_000] * 4
        assert answers[1_999] == b"39" * 25_000 and answers[2_000:] == [None] * 50
        assert Git.processes == started + 1

    def test_threads_share_one_process(self, repo: Path, git: RunGit) -> None:
        commit_all(git, repo, {f"{n}.txt": f"{n}" * n * 1_000 for n in range(8)})
        door = found(repo)
        started = Git.processes
        right = []

        def read(n: int) -> None:
            answers = {door.read(f"HEAD:{n}.txt") for _ in range(50)}
            right.append(answers == {f"{n}".encode() * n * 1_000})

        threads = [threading.Thread(target=read, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (right, Git.processes) == ([True] * 8, started + 1)

    def test_a_reader_that_died_is_started_again(self, repo: Path) -> None:
        door = found(repo)
        rev = door.resolve("HEAD")
        process = door.objects._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert door.resolve("HEAD") == rev
        door.close()
        assert door.resolve("HEAD") == rev
        door.close()
        door.close()

    def test_an_old_git_reads_as_well(
        self, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = shutil.which("git")
        old = tmp_path / "bin" / "git"
        old.parent.mkdir()
        old.write_text(
            '#!/bin/sh\ncase "$*" in *--batch-command*) exit 129;; esac\n' + f'exec {real} "$@"\n'
        )
        old.chmod(0o755)
        monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
        monkeypatch.setattr("nbexp.git.cat_file.Objects._has_commands", True)
        door = found(repo)
        info = door.info("HEAD:README.md")
        assert info is not None and info[1:] == ("blob", 12)
        assert door.read_many(["HEAD:README.md", "HEAD:none"]) == [b"# A project\n", None]
        assert door.head() is not None

    def test_a_damaged_object_is_named(self, repo: Path, git: RunGit) -> None:
        commit_all(git, repo, {"data.bin": random.Random(1).randbytes(9_000)})
        oid = git("rev-parse", "HEAD:data.bin", cwd=repo)
        damaged = repo / ".git" / "objects" / oid[:2] / oid[2:]
        damaged.chmod(0o644)
        damaged.write_bytes(damaged.read_bytes()[:4_500] + bytes(4_500))
        door = found(repo)
        assert door.head() is not None
        with pytest.raises(GitError, match=r"reading `HEAD:data\.bin`"):
            door.read_many(["HEAD:README.md", "HEAD:data.bin"])
        assert door.head() is not None

    def test_commits_are_parsed(self, repo: Path, git: RunGit) -> None:
        first = git("rev-parse", "HEAD", cwd=repo)
        env = {
            "GIT_AUTHOR_NAME": "Grace", "GIT_AUTHOR_EMAIL": "g@example.org",
            "GIT_AUTHOR_DATE": "1600000000 +0200", "GIT_COMMITTER_DATE": "1700000000 -0330",
        }  # fmt: skip
        git("commit", "--quiet", "--allow-empty", "-m", "a\n\nb ü", cwd=repo, env=env)
        door = found(repo)
        [info] = door.commits(["main"])
        assert info == CommitInfo(
            rev=git("rev-parse", "HEAD", cwd=repo),
            tree=git("rev-parse", "HEAD^{tree}", cwd=repo),
            parents=(first,),
            author="Grace <g@example.org>",
            time_s=1_700_000_000,
            message="a\n\nb ü\n",
        )
        assert [commit.message for commit in door.commits([first, "main"])] == [
            "first\n", "a\n\nb ü\n",
        ]  # fmt: skip
        with pytest.raises(GitError, match="The repository has no revision `none`"):
            door.commits(["main", "none"])

    def test_a_signed_commit_in_another_encoding_is_parsed(self, repo: Path, git: RunGit) -> None:
        tree = git("rev-parse", "HEAD^{tree}", cwd=repo)
        raw = (
            f"tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 2 +0000\n"
            "gpgsig -----BEGIN-----\n \n author B <b@c> 3 +0000\n -----END-----\n"
            "encoding ISO-8859-1\n\ncafé"
        ).encode("latin-1")
        write(repo, {"raw": raw})
        rev = git("hash-object", "-t", "commit", "-w", "raw", cwd=repo)
        [info] = found(repo).commits([rev])
        assert (info.author, info.time_s, info.message, info.parents) == ("A <a@b>", 2, "café", ())

    def test_interrupting_the_group_spares_the_reader(self, repo: Path) -> None:
        script = """
            import signal, sys, time
            from pathlib import Path
            from nbexp.git import Git
            git = Git.find(Path(sys.argv[1]))
            git.resolve("HEAD")
            try:
                print("ready", flush=True)
                time.sleep(30)
            except KeyboardInterrupt:
                print(git.resolve("HEAD"), Git.processes, git.objects._process.pid, flush=True)
        """
        child = python(script, repo, start_new_session=True)
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        os.killpg(child.pid, signal.SIGINT)
        out, err = child.communicate(timeout=60)
        rev, processes, pid = out.split()
        assert (rev, processes, err) == (found(repo).head(), "1", "")
        assert not Path(f"/proc/{pid}").exists()

    def test_an_interrupt_between_question_and_answer_spoils_no_later_answer(
        self, repo: Path, git: RunGit
    ) -> None:
        commit_all(git, repo, {"big.bin": b"x" * (8 << 20)})
        door = found(repo)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        previous = signal.signal(signal.SIGALRM, interrupt)
        try:
            with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it may come before the question
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                door.read_many(["HEAD:big.bin"] * 400)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        assert door.read("HEAD:README.md") == b"# A project\n"

    def test_a_reader_ends_with_a_process_that_is_killed(self, repo: Path) -> None:
        script = """
            import os, signal, sys
            from pathlib import Path
            from nbexp.git import Git
            git = Git.find(Path(sys.argv[1]))
            git.resolve("HEAD")
            print(git.objects._process.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
        out, _ = python(script, repo).communicate(timeout=60)
        deadline = time.monotonic() + 60
        while is_running(int(out)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_running(int(out))

    def test_a_forked_child_has_a_reader_of_its_own(self, repo: Path) -> None:
        script = """
            import os, sys
            from pathlib import Path
            from nbexp.git import Git
            git = Git.find(Path(sys.argv[1]))
            first = git.resolve("HEAD")
            child = os.fork()
            if not child:
                ok = git.resolve("HEAD") == first and git.read("HEAD:README.md") == b"# A project\\n"
                sys.exit(0 if ok and Git.processes == 2 else 9)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            print(git.read("HEAD:README.md"), Git.processes)
        """
        out, err = python(script, repo).communicate(timeout=60)
        assert (out, err) == ("0\nb'# A project\\n' 1\n", "")


def python(script: str, *arguments: Path, start_new_session: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=start_new_session,
    )


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}


class TestListing:
    def test_5000_refs_are_listed_without_a_process(
        self, repo: Path, git: RunGit, count_git: Sized
    ) -> None:
        rev = git("rev-parse", "HEAD", cwd=repo)
        names = [f"refs/exps/ab/cd/exp-{n:04}" for n in range(5_000)]
        packed = "".join(f"{rev} {name}\n" for name in names[:-5])
        (repo / ".git" / "packed-refs").write_text(f"# pack-refs with: sorted\n{packed}")
        write(repo / ".git", dict.fromkeys(names[-5:], f"{rev}\n"))
        started = len(count_git)
        assert found(repo).refs("refs/exps/") == dict.fromkeys(names, rev)
        assert len(count_git) == started
        write(repo / ".git", {"refs/exps/ab/cd/odd": "ref: refs/heads/main\n"})
        names.append("refs/exps/ab/cd/odd")
        assert found(repo).refs("refs/exps/") == dict.fromkeys(sorted(names), rev)
        assert len(count_git) == started + 1

    def test_refs_that_were_read_before_are_read_again_where_they_changed(
        self, repo: Path, git: RunGit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from nbexp.git import ref_files

        read: list[str] = []
        whole = ref_files._read_ref
        monkeypatch.setattr(
            ref_files,
            "_read_ref",
            lambda file, ref, into: read.append(ref) or whole(file, ref, into),
        )
        monkeypatch.setattr(ref_files, "_SETTLED_NS", 0)
        one, two = git("rev-parse", "HEAD^{tree}", "HEAD", cwd=repo).split()
        refs = [f"refs/nbexp/many/{number}" for number in range(20)]
        for ref in refs:
            git("update-ref", ref, two, cwd=repo)
        door = found(repo)
        for count in (20, 20, 0):
            read.clear()
            assert door.refs("refs/nbexp/many/") == dict.fromkeys(sorted(refs), two)
            assert len(read) == count
        git("update-ref", refs[7], one, cwd=repo)
        git("update-ref", "-d", refs[8], cwd=repo)
        git("update-ref", "refs/nbexp/many/new", one, cwd=repo)
        (repo / ".git" / refs[9]).write_text(f"{one}\n")
        read.clear()
        now = door.refs("refs/nbexp/many/")
        assert sorted(read) == sorted([refs[7], refs[9], "refs/nbexp/many/new"])
        listed = git("for-each-ref", "--format=%(refname) %(objectname)", "refs/nbexp", cwd=repo)
        assert now == dict(line.split() for line in listed.splitlines())
        # What is young may change once more within one tick of a coarse clock: it is read each time.
        monkeypatch.setattr(ref_files, "_SETTLED_NS", 3_600 * 10**9)
        git("update-ref", refs[7], two, cwd=repo)
        door.refs("refs/nbexp/many/")
        assert door.refs("refs/nbexp/many/")[refs[7]] == two
        assert str(repo / ".git" / refs[7]) not in {
            path for path, (_, oid) in ref_files._known.items() if oid == two
        }

    @hypothesis.given(st.data())
    @hypothesis.settings(
        max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
    )
    def test_refs_read_from_files_are_those_that_git_lists(
        self, repo: Path, git: RunGit, data: st.DataObject
    ) -> None:
        folder = repo / ".git"
        shutil.rmtree(folder / "refs" / "exps", ignore_errors=True)
        rev = git("rev-parse", "HEAD", cwd=repo)
        parts = st.sampled_from(["ab", "a", "b.c", "x-1", "Z_9", "é", "a.lock", ".b", "a..b", "c."])
        texts = st.sampled_from(
            [f"{rev}\n"] * 9
            + [
                rev,
                "0" * 40,
                "1" * 40,
                "",
                "x",
                f"{rev} x\n",
                "ref: refs/heads/main\n",
                "ref: no\n",
            ]
        )
        for _ in range(data.draw(st.integers(0, 6))):
            path = (
                folder
                / "refs"
                / "exps"
                / "/".join(data.draw(st.lists(parts, min_size=1, max_size=3)))
            )
            if not path.is_dir() and all(not above.is_file() for above in path.parents):
                write(path.parent, {path.name: data.draw(texts)})
        names = data.draw(
            st.sets(st.sampled_from(["ab/a", "a", "ab/b.c/x", "abc", "q/r"]), max_size=4)
        )
        packed = "".join(f"{rev} refs/exps/{name}\n" for name in sorted(names))
        write(folder, {"packed-refs": f"# pack-refs with: peeled fully-peeled sorted \n{packed}"})
        for prefix in ("refs/exps/", "refs/exps/ab", "refs/exps/ab/a", "refs/exps/a"):
            listed = git("for-each-ref", "--format=%(refname) %(objectname)", prefix, cwd=repo)
            theirs = dict(line.split(" ") for line in listed.splitlines())
            assert list(found(repo).refs(prefix).items()) == list(theirs.items())

    def test_a_ref_is_listed_while_another_process_packs_it(self, repo: Path, git: RunGit) -> None:
        rev = git("rev-parse", "HEAD", cwd=repo)
        names = [f"refs/exps/ab/cd/exp-{n}" for n in range(50)]
        door, counts = found(repo), set()
        for _ in range(5):
            write(repo / ".git", dict.fromkeys(names, f"{rev}\n"))
            packing = subprocess.Popen(["git", "pack-refs", "--all", "--prune"], cwd=repo)
            while packing.poll() is None:
                counts.add(len(door.refs("refs/exps/")))
        assert counts <= {50}

    def test_tags_are_peeled(self, repo: Path, git: RunGit) -> None:
        rev = git("rev-parse", "HEAD", cwd=repo)
        git("tag", "--annotate", "--message=one", "v1", cwd=repo)
        git("tag", "light", cwd=repo)
        tags = {"refs/tags/light": rev, "refs/tags/v1": rev}
        assert found(repo).refs("refs/tags") == tags
        assert found(repo).refs("refs/tags/v1") == {"refs/tags/v1": rev}
        assert found(repo).refs() == {"refs/heads/main": rev, **tags}
        assert found(repo).refs("refs/heads/", "refs/") == {"refs/heads/main": rev, **tags}
        assert found(repo).refs("refs/none") == {}

    def test_the_tree_of_any_revision_is_listed(self, repo: Path, git: RunGit) -> None:
        write(repo, {"run.sh": "x", "a/b.txt": "1", "a/c/d.txt": "1", "ab.txt": "2"})
        (repo / "run.sh").chmod(0o755)
        (repo / "link").symlink_to("a/b.txt")
        rev = commit_all(git, repo, {})
        tree = found(repo).tree("main")
        assert {path: entry.mode for path, entry in tree.items()} == {
            "README.md": "100644", "a/b.txt": "100644", "a/c/d.txt": "100644", "ab.txt": "100644",
            "link": "120000", "run.sh": "100755",
        }  # fmt: skip
        assert tree["a/b.txt"].oid == git("rev-parse", f"{rev}:a/b.txt", cwd=repo)
        assert found(repo).tree("HEAD^{tree}") == tree
        assert set(found(repo).tree(rev, prefix="a/")) == {"a/b.txt", "a/c/d.txt"}
        assert set(found(repo).tree(rev, prefix="a")) == {"a/b.txt", "a/c/d.txt"}
        with pytest.raises(GitError, match="no revision `-x`"):
            found(repo).tree("-x")

    def test_ignored_paths_need_not_exist_and_tracked_ones_are_none(
        self, repo: Path, git: RunGit
    ) -> None:
        commit_all(git, repo, {".gitignore": "*.log\n/out/\n", "kept.log": "tracked"})
        (repo / "link").symlink_to("/tmp")
        paths = ["a.log", "kept.log", "out/", "out/x", "out", "sub/b.log", "c.txt", "", "../x",
                 "link/a.log", "/tmp/a.log"]  # fmt: skip
        assert found(repo).ignored(paths) == {"a.log", "out/", "out/x", "sub/b.log"}
        assert found(repo).ignored(["c.txt"]) == set()
        assert found(repo).ignored([]) == set()

    def test_tracked_is_what_the_index_has(self, repo: Path, git: RunGit) -> None:
        write(repo, {"staged.txt": "1", "intended.txt": "1", "loose.txt": "1", "a/b/c.txt": "1"})
        git("add", "staged.txt", "a", cwd=repo)
        git("add", "--intent-to-add", "intended.txt", cwd=repo)
        paths = ["staged.txt", "intended.txt", "loose.txt", "README.md", "a", "a/b/", "a/none", "*"]
        tracked = {"staged.txt", "intended.txt", "README.md", "a", "a/b/"}
        assert found(repo).is_tracked(paths) == tracked
        many = [f"none-{n}" for n in range(10_000)]
        assert found(repo).is_tracked([*many, *paths]) == tracked


class TestIdentity:
    def test_it_is_the_configured_one(self, repo: Path) -> None:
        assert found(repo).identity() == Identity("Ada", "ada@example.org")

    def test_the_environment_wins_for_author_and_committer(
        self, repo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_AUTHOR_NAME", " Gr<a>ce,\n")
        monkeypatch.setenv("GIT_COMMITTER_EMAIL", "c@example.org")
        assert found(repo).identity() == Identity("Grace", "ada@example.org")
        assert found(repo).identity("committer") == Identity("Ada", "c@example.org")

    def test_there_is_always_one(self, repo: Path, no_identity: None) -> None:
        assert found(repo).identity() == Identity("nbexp", "nbexp@localhost")

    def test_config_is_read_again_only_when_a_file_of_it_changed(
        self, repo: Path, home: Path, git: RunGit
    ) -> None:
        write(repo, {"shared.ini": "[user]\n\tname = Included\n"})
        git("config", "include.path", "../shared.ini", cwd=repo)
        door = found(repo)
        assert door.identity().name == "Included"
        started = Git.processes
        assert door.config()["core.bare"] == "false"
        assert door.identity("committer").email == "ada@example.org"
        assert Git.processes == started
        write(repo, {"shared.ini": "[user]\n\tname = Other\n[core]\n\tmarked\n"})
        assert (door.identity().name, door.config()["core.marked"]) == ("Other", "true")
        git("config", "user.name", "Local", cwd=repo)
        assert door.identity().name == "Local"
        git("config", "--global", "Author.Email", "author@example.org", cwd=repo)
        assert door.identity() == Identity("Local", "author@example.org")
        assert Git.processes == started + 3


class TestStatus:
    def test_every_kind_of_change(self, repo: Path, git: RunGit) -> None:
        names = ["edited", "deleted", "mode", "typed", "removed", "twice", "unstaged", "same"]
        commit_all(git, repo, {f"{name}.txt": name for name in names})
        oid = {name: git("rev-parse", f"HEAD:{name}.txt", cwd=repo) for name in names}
        write(repo, {"edited.txt": "2", "twice.txt": "2", "added.txt": "1", "unstaged.txt": "2"})
        git("add", "twice.txt", "added.txt", "unstaged.txt", cwd=repo)
        write(repo, {"twice.txt": "3", "unstaged.txt": "unstaged", "intended.txt": "1", "?": "1"})
        git("add", "--intent-to-add", "intended.txt", cwd=repo)
        git("rm", "--quiet", "removed.txt", cwd=repo)
        (repo / "deleted.txt").unlink()
        (repo / "mode.txt").chmod(0o755)
        (repo / "typed.txt").unlink()
        (repo / "typed.txt").symlink_to("same.txt")
        index = (repo / ".git" / "index").read_bytes()

        def held(name: str) -> Entry:
            return Entry("100644", oid[name])

        def staged(path: str) -> Entry:
            return Entry("100644", git("rev-parse", f":{path}", cwd=repo))

        status = found(repo).status()
        assert {change.path: change for change in status.changes} == {
            "added.txt": Change("added.txt", None, staged("added.txt"), "same", mode="100644"),
            "deleted.txt": Change("deleted.txt", held("deleted"), held("deleted"), "deleted"),
            "edited.txt": Change(
                "edited.txt", held("edited"), held("edited"), "modified", mode="100644"
            ),
            "intended.txt": Change("intended.txt", None, None, "modified", mode="100644"),
            "mode.txt": Change("mode.txt", held("mode"), held("mode"), "modified", mode="100755"),
            "removed.txt": Change("removed.txt", held("removed"), None, "same"),
            "twice.txt": Change(
                "twice.txt", held("twice"), staged("twice.txt"), "modified", mode="100644"
            ),
            "typed.txt": Change("typed.txt", held("typed"), held("typed"), "type", mode="120000"),
            "unstaged.txt": Change(
                "unstaged.txt", held("unstaged"), staged("unstaged.txt"), "modified", mode="100644"
            ),
        }
        assert status.untracked == ("?",)
        assert status.head == git("rev-parse", "HEAD", cwd=repo)
        assert found(repo).status(untracked=False).untracked == ()
        assert (repo / ".git" / "index").read_bytes() == index
        assert recorded_tree(found(repo), []) == tree_of_add(git, repo, [])

    def test_a_rename_is_a_deletion_and_a_new_file(self, repo: Path, git: RunGit) -> None:
        git("config", "status.renames", "copies", cwd=repo)
        git("mv", "README.md", "READ ME.md", cwd=repo)
        changes = {change.path: change for change in found(repo).status().changes}
        assert set(changes) == {"README.md", "READ ME.md"}
        assert changes["README.md"].index is None and changes["READ ME.md"].head is None
        assert set(found(repo).snapshot(found(repo).status())) == {"README.md", "READ ME.md"}

    def test_before_the_first_commit(self, tmp_path: Path, git: RunGit) -> None:
        door = Git.init(tmp_path)
        assert door.status() == type(door.status())((), ())
        write(tmp_path, {"a.txt": "1", "b.txt": "2", "c.txt": "3"})
        git("add", "a.txt", cwd=tmp_path)
        status = door.status()
        assert [(change.path, change.head) for change in status.changes] == [("a.txt", None)]
        assert (status.untracked, status.head) == (("b.txt", "c.txt"), None)
        assert set(door.snapshot(status, ["b.txt"])) == {"a.txt", "b.txt"}
        assert recorded_tree(door, ["b.txt"]) == tree_of_add(git, tmp_path, ["b.txt"])
        assert (door.head(), door.refs()) == (None, {})

    def test_untracked_leaves_out_ignored_files_and_looks_into_folders(self, repo: Path) -> None:
        write(repo, {".gitignore": "*.log\n", "a/b/c.txt": "1", "a/d.log": "1"})
        Git.init(repo / "inner")
        write(repo, {"inner/x.txt": "1"})
        assert found(repo).status().untracked == (".gitignore", "a/b/c.txt", "inner/")

    def test_a_conflict_is_unmerged(self, repo: Path, git: RunGit) -> None:
        commit_all(git, repo, {"a.txt": "base\n", "b.txt": "base\n"})
        git("switch", "--quiet", "-c", "side", cwd=repo)
        commit_all(git, repo, {"a.txt": "theirs\n", "b.txt": "theirs\n"})
        git("switch", "--quiet", "main", cwd=repo)
        write(repo, {"a.txt": "ours\n"})
        (repo / "b.txt").unlink()
        commit_all(git, repo, {})
        git("merge", "--quiet", "side", cwd=repo, code=1)
        ours = Entry("100644", git("rev-parse", "HEAD:a.txt", cwd=repo))
        (repo / "b.txt").unlink()
        a, b = found(repo).status().changes
        assert a == Change("a.txt", ours, None, "modified", unmerged=True, mode="100644")
        assert b == Change("b.txt", None, None, "deleted", unmerged=True)
        assert recorded_tree(found(repo), []) == tree_of_add(git, repo, [])


class TestSnapshot:
    def test_it_is_what_differs_from_head(self, repo: Path, git: RunGit) -> None:
        commit_all(git, repo, {"a.txt": "1", "b.txt": "1", "c.txt": "1", "kept/d.txt": "1"})
        write(repo, {"a.txt": "2", "c.txt": "2", "out/new.txt": "new", "kept/e.txt": "new"})
        git("add", "c.txt", cwd=repo)
        write(repo, {"c.txt": "1"})  # staged, then put back
        (repo / "b.txt").unlink()
        (repo / "to-a").symlink_to("a.txt")
        door = found(repo)
        extra = ["out", "none.txt", "to-a", "kept", "README.md", "a.txt", "b.txt"]
        assert door.snapshot(door.status(), extra) == {
            "a.txt": ("100644", b"2"),
            "b.txt": None,
            "kept/e.txt": ("100644", b"new"),
            "out/new.txt": ("100644", b"new"),
            "to-a": ("120000", b"a.txt"),
        }

    def test_a_clean_work_tree_needs_no_process_but_status(self, repo: Path) -> None:
        door = found(repo)
        status = door.status()
        door.resolve("HEAD")
        started = Git.processes
        assert door.snapshot(status, ["README.md", "none"]) == {}
        assert Git.processes == started

    def test_ignored_files_are_added_when_named(self, repo: Path, git: RunGit) -> None:
        write(repo, {".gitignore": "*.json\n/out/\n", "metrics.json": "{}", "out/x": "1"})
        extra = [".gitignore", "metrics.json", "out", "./out/x"]
        assert set(found(repo).snapshot(found(repo).status(), extra)) == {
            ".gitignore", "metrics.json", "out/x",
        }  # fmt: skip
        assert recorded_tree(found(repo), extra) == tree_of_add(git, repo, extra)

    def test_the_executable_bit_is_recorded_unless_git_is_told_not_to(
        self, repo: Path, git: RunGit
    ) -> None:
        write(repo, {"new.sh": "x"})
        (repo / "new.sh").chmod(0o755)
        (repo / "README.md").chmod(0o755)
        modes = {"README.md": "100755", "new.sh": "100755"}
        for _ in range(2):
            tree = found(repo).snapshot(found(repo).status(), ["new.sh"])
            assert {path: entry[0] for path, entry in tree.items() if entry is not None} == modes
            assert recorded_tree(found(repo), ["new.sh"]) == tree_of_add(git, repo, ["new.sh"])
            git("config", "core.fileMode", "false", cwd=repo)
            modes = {"new.sh": "100644"}

    @pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x"])
    def test_a_path_outside_is_refused(self, repo: Path, path: str) -> None:
        with pytest.raises(GitError, match=f"`{re.escape(path)}` is outside of the repository"):
            found(repo).snapshot(found(repo).status(), [path])

    def test_what_lies_behind_a_link_or_in_another_repository_is_left_out(
        self, repo: Path, git: RunGit, tmp_path: Path
    ) -> None:
        write(tmp_path, {"elsewhere/x.txt": "1"})
        (repo / "link").symlink_to(tmp_path / "elsewhere")
        Git.init(repo / "inner")
        write(repo, {"inner/x.txt": "1"})
        extra = ["link/x.txt", "inner", "inner/x.txt", ".git/config", ".git"]
        assert found(repo).snapshot(found(repo).status(), extra) == {}

    def test_filters_and_line_ends_are_those_of_git_add(self, repo: Path, git: RunGit) -> None:
        git("config", "filter.upper.clean", "tr a-z A-Z", cwd=repo)
        write(repo, {"text.txt": "a\nb\n", "old.auto": "a\r\nb\r\n", "x.up": "first\n"})
        commit_all(git, repo, {"id.ident": "$Id$\n", "u16.u16": "a\n".encode("utf-16")})
        commit_all(
            git,
            repo,
            {
                ".gitattributes": "*.txt text\n*.auto text=auto\n*.up filter=upper\n*.ident ident\n"
                "*.u16 text working-tree-encoding=UTF-16\n*.bin -text\n"
            },
        )
        changed: dict[str, str | bytes] = {
            "text.txt": "a\r\nc\r\n",
            "old.auto": "a\r\nc\r\n",  # the index has CRLF: `text=auto` leaves it alone
            "x.up": "second\n",
            "id.ident": "$Id: 1234 $\nmore\n",
            "u16.u16": "b\r\n".encode("utf-16"),
        }
        new: dict[str, str | bytes] = {"new.auto": "x\r\n", "new.up": "n\n", "new.bin": "x\r\n"}
        write(repo, changed | new)
        door = found(repo)
        assert recorded_tree(door, list(new)) == tree_of_add(git, repo, list(new))
        [rev] = door.commit(
            NewCommit(EXP, "HEAD", b"", base="HEAD", files=door.snapshot(door.status(), list(new)))
        )
        assert door.read_many([f"{rev}:{path}" for path in ["text.txt", "old.auto", "x.up"]]) == [
            b"a\nc\n", b"a\r\nc\r\n", b"SECOND\n",
        ]  # fmt: skip
        git("config", "core.autocrlf", "true", cwd=repo)
        write(repo, {"README.md": "a\r\nb\r\n"})
        assert recorded_tree(door, ["new.bin"]) == tree_of_add(git, repo, ["new.bin"])

    def test_attributes_that_a_sparse_checkout_leaves_out_count(
        self, repo: Path, git: RunGit
    ) -> None:
        commit_all(git, repo, {".gitattributes": "*.txt text\n", "a.txt": "1\n", "b/c.txt": "1\n"})
        git("sparse-checkout", "set", "--no-cone", "/*", "!/.gitattributes", "!/b", cwd=repo)
        assert not (repo / ".gitattributes").exists()
        (repo / "a.txt").write_bytes(b"2\r\n")
        (repo / "new.txt").write_bytes(b"3\r\n")
        before = state(repo)
        door = found(repo)
        status = door.status()
        files = door.snapshot(status, ["new.txt"])
        new = NewCommit("refs/x/1", status.head, b"", base=status.head, files=files)
        (rev,) = door.commit(new)
        assert door.read_many([f"{rev}:{path}" for path in ("a.txt", "new.txt")]) == [
            b"2\n",
            b"3\n",
        ]
        assert git("diff", "--name-only", "HEAD", rev, cwd=repo).split() == ["a.txt", "new.txt"]
        git("update-ref", "-d", "refs/x/1", cwd=repo)
        assert state(repo) == before

    def test_a_submodule_is_what_it_has_checked_out_and_its_files_are_not_looked_at(
        self, repo: Path, git: RunGit, tmp_path: Path
    ) -> None:
        inner = Git.init(tmp_path / "inner").root
        first = commit_all(git, inner, {"x.txt": "1"})
        git("submodule", "--quiet", "add", inner, "sub", cwd=repo)
        git("commit", "--quiet", "--message=sub", cwd=repo)
        assert found(repo / "sub").root == repo / "sub"
        assert found(repo / "sub").folder == repo / ".git" / "modules" / "sub"
        write(repo, {"sub/x.txt": "edited", "sub/new.txt": "1", "README.md": "2"})
        door = found(repo)
        assert [change.path for change in door.status().changes] == ["README.md"]
        [rev] = door.commit(
            NewCommit(EXP, "HEAD", b"", base="HEAD", files=door.snapshot(door.status(), ["sub"]))
        )
        assert door.tree(rev)["sub"] == Entry("160000", first)
        assert recorded_tree(door, []) == tree_of_add(git, repo, [])
        moved = commit_all(git, repo / "sub", {})
        assert door.snapshot(door.status())["sub"] == Entry("160000", moved)
        assert recorded_tree(door, []) == tree_of_add(git, repo, [])

    def test_hashing_follows_attributes_and_writes_only_when_asked(
        self, repo: Path, git: RunGit
    ) -> None:
        write(repo, {".gitattributes": "* text\n", "a.txt": "x\r\n", '"b".txt': "y\n", "c\nd": "z"})
        door = found(repo)
        oids = door.hash_files(["a.txt", '"b".txt', "c\nd"], write=False)
        assert oids == [
            git("hash-object", "--stdin", cwd=repo, stdin=t) for t in ("x\n", "y\n", "z")
        ]
        assert door.read(oids[0]) is None
        assert door.hash_files(["a.txt"], write=True) == oids[:1]
        assert door.read(oids[0]) == b"x\n"
        assert door.hash_files([], write=True) == []
        with pytest.raises(GitError, match=r"could not open 'none.txt'"):
            door.hash_files(["none.txt"], write=True)


class TestCommit:
    def test_a_commit_is_exactly_what_was_given(self, repo: Path, git: RunGit) -> None:
        before = state(repo)
        door = found(repo)
        head = door.head()
        message = b"dvc: commit experiment \xc3\xbc\n\n  not stripped  \n# kept"
        files: dict[str, Entry | bytes | tuple[str, bytes] | None] = {
            "params.yaml": b"lr: 0.1\n",
            "bin/run": ("100755", b"#!/bin/sh\n"),
            "link": ("120000", b"params.yaml"),
            "copy.md": Entry("100644", git("rev-parse", "HEAD:README.md", cwd=repo)),
            "README.md": None,
            "none": None,
        }
        [rev] = door.commit(
            NewCommit(EXP, head, message, base=head, files=files, time_s=1234567890)
        )
        assert door.read(f"{rev}") is not None
        raw = door.read(rev) or b""
        assert raw.endswith(b"\n\n" + message)
        [info] = door.commits([rev])
        assert (info.parents, info.author, info.time_s) == (
            (head,), "Ada <ada@example.org>", 1234567890,
        )  # fmt: skip
        assert {path: entry.mode for path, entry in door.tree(rev).items()} == {
            "bin/run": "100755", "copy.md": "100644", "link": "120000", "params.yaml": "100644",
        }  # fmt: skip
        assert door.read(f"{EXP}:link") == b"params.yaml"
        after = state(repo)
        assert after.pop(EXP) == f"{rev}\n".encode()
        assert after == before
        assert git("fsck", "--strict", "--no-dangling", cwd=repo) == ""

    @pytest.mark.parametrize("message", [b"", b"\n", b"no newline", b"data 3\ndone\n", b"\xff\xfe"])
    def test_a_message_is_stored_byte_for_byte(self, repo: Path, message: bytes) -> None:
        door = found(repo)
        [rev] = door.commit(NewCommit(EXP, "HEAD", message, base="HEAD"))
        assert (door.read(rev) or b"").split(b"\n\n", 1)[1] == message

    def test_neither_hooks_nor_signing_nor_a_missing_identity_stop_it(
        self, repo: Path, git: RunGit, no_identity: None
    ) -> None:
        for hook in ("pre-commit", "commit-msg", "reference-transaction", "post-commit",
                     "prepare-commit-msg", "post-index-change", "fsmonitor-watchman"):  # fmt: skip
            write(repo, {f".git/hooks/{hook}": "#!/bin/sh\ntouch hooked\nexit 1\n"})
            (repo / ".git" / "hooks" / hook).chmod(0o755)
        for key, value in {
            "commit.gpgSign": "true", "gpg.program": "/bin/false", "user.useConfigOnly": "true",
            "core.fsmonitor": ".git/hooks/fsmonitor-watchman", "commit.template": "none",
        }.items():  # fmt: skip
            git("config", key, value, cwd=repo)
        door = found(repo)
        write(repo, {"README.md": "changed\n"})
        [rev] = door.commit(
            NewCommit(EXP, "HEAD", b"m", base="HEAD", files=door.snapshot(door.status()))
        )
        assert door.commits([rev])[0].author == "nbexp <nbexp@localhost>"
        door.update_refs([("refs/heads/side", rev, None), (EXP, None, rev)])
        made = door.commit_paths(["README.md"], "more")
        assert door.commits([made])[0].author == "nbexp <nbexp@localhost>"
        assert b"gpgsig" not in (door.read(made) or b"")
        assert not (repo / "hooked").exists()

    def test_author_and_committer_come_from_the_environment(
        self, repo: Path, git: RunGit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_AUTHOR_NAME", "Grace")
        monkeypatch.setenv("GIT_COMMITTER_EMAIL", "c@example.org")
        [rev] = found(repo).commit(NewCommit(EXP, "HEAD", b"", base="HEAD"))
        line = git("log", "-1", "--format=%an <%ae> %cn <%ce>", rev, cwd=repo)
        assert line == "Grace <ada@example.org> Ada <c@example.org>"

    def test_the_local_time_zone_is_recorded(
        self, repo: Path, git: RunGit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        try:
            [rev] = found(repo).commit(NewCommit(EXP, "HEAD", b"", base="HEAD", time_s=1))
        finally:
            monkeypatch.undo()
            time.tzset()
        assert git("log", "-1", "--format=%ad %ct", "--date=raw", rev, cwd=repo) == "1 +0530 1"

    def test_a_tree_may_start_from_another_revision_or_from_nothing(
        self, repo: Path, git: RunGit
    ) -> None:
        first = git("rev-parse", "HEAD", cwd=repo)
        second = commit_all(git, repo, {"a.txt": "1"})
        door = found(repo)
        empty = git("hash-object", "-t", "tree", "--stdin", cwd=repo)
        other, nothing, root, bare = door.commit(
            NewCommit("refs/x/other", second, b"", base=first, files={"b.txt": b"2"}),
            NewCommit("refs/x/nothing", second, b"", files={"c.txt": b"3"}),
            NewCommit("refs/x/root", None, b"", base=f"{second}^{{tree}}"),
            NewCommit("refs/x/bare", None, b"", base=empty),
        )
        assert [set(door.tree(rev)) for rev in (other, nothing, root, bare)] == [
            {"README.md", "b.txt"}, {"c.txt"}, {"README.md", "a.txt"}, set(),
        ]  # fmt: skip
        assert [info.parents for info in door.commits([other, nothing, root])] == [
            (second,), (second,), (),
        ]  # fmt: skip
        assert git("fsck", "--strict", "--no-dangling", cwd=repo) == ""

    def test_a_file_becomes_a_folder_and_a_folder_a_file(self, repo: Path, git: RunGit) -> None:
        rev = commit_all(git, repo, {"a": "file", "b/x": "in folder", "b/y": "in folder"})
        files = {"a/x": b"1", "a": None, "b": b"2", "b/x": None, "b/y": None}
        [made] = found(repo).commit(NewCommit(EXP, rev, b"", base=rev, files=files))
        assert set(found(repo).tree(made)) == {"README.md", "a/x", "b"}
        [gone] = found(repo).commit(
            NewCommit(EXP, made, b"", base=made, files={"a": None}, expect=made)
        )
        assert set(found(repo).tree(gone)) == {"README.md", "b"}
        assert git("fsck", "--strict", "--no-dangling", cwd=repo) == ""

    @pytest.mark.parametrize(
        "path", ["", "/a", "a//b", "a/", "../a", "a/./b", ".git/config", "a/.GIT/x", "x/git~1"]
    )
    def test_a_path_that_could_leave_the_work_tree_is_refused(self, repo: Path, path: str) -> None:
        with pytest.raises(GitError, match="cannot be the path of a file in a commit"):
            found(repo).commit(NewCommit(EXP, "HEAD", b"", base="HEAD", files={path: b"x"}))
        assert found(repo).refs("refs/exps") == {}

    def test_an_existing_ref_is_not_overwritten(self, repo: Path) -> None:
        door = found(repo)
        [first] = door.commit(NewCommit(EXP, "HEAD", b"1", base="HEAD"))
        with pytest.raises(GitError) as raised:
            door.commit(NewCommit(EXP, "HEAD", b"2", base="HEAD"))
        assert (
            raised.value.message
            == f"The ref {EXP} is at {first[:7]} already; it was left as it is."
        )
        assert door.refs("refs/exps") == {EXP: first}
        [second] = door.commit(NewCommit(EXP, "HEAD", b"2", base="HEAD", expect="any"))
        assert door.refs("refs/exps") == {EXP: second}

    def test_a_ref_moves_on_from_what_was_expected_only(self, repo: Path, git: RunGit) -> None:
        door = found(repo)
        [first] = door.commit(NewCommit(EXP, "HEAD", b"1", base="HEAD"))
        [second] = door.commit(NewCommit(EXP, first, b"2", base=first, expect=first))
        [third] = door.commit(NewCommit(EXP, "HEAD", b"3", base="HEAD", expect=second))
        with pytest.raises(GitError, match="it was left as it is"):
            door.commit(NewCommit(EXP, first, b"4", base=first, expect=first))
        with pytest.raises(GitError, match=r"The ref refs/x is not there; it was left as it is\."):
            door.commit(NewCommit("refs/x", first, b"4", base=first, expect=first))
        assert door.refs("refs/exps") == {EXP: third}
        git("pack-refs", "--all", cwd=repo)
        [fourth] = door.commit(NewCommit(EXP, third, b"4", base=third, expect=third))
        assert door.refs("refs/exps") == {EXP: fourth}

    def test_a_name_that_ends_like_a_described_commit_is_free(self, repo: Path) -> None:
        door = found(repo)
        ref = f"refs/exps/ab/cdef/run-g{door.head()}"
        assert door.resolve(ref) == door.head()  # Git reads it as the output of `git describe`
        [rev] = door.commit(NewCommit(ref, "HEAD", b"", base="HEAD"))
        assert door.refs("refs/exps") == {ref: rev}

    def test_several_refs_are_set_or_none(self, repo: Path, git: RunGit) -> None:
        door = found(repo)
        head = door.head() or ""
        git("update-ref", "refs/x/taken", "HEAD", cwd=repo)
        before = door.refs()
        new = [NewCommit(f"refs/x/{name}", head, b"", base=head) for name in ("free", "taken")]
        with pytest.raises(GitError, match="refs/x/taken is at"):
            door.commit(*new)
        assert door.refs() == before
        one, two = door.commit(
            NewCommit("refs/x/one", head, b"1", base=head),
            NewCommit("refs/x/one", ":1", b"2", base=":1", files={"b": b"2"}),
            resets=[("refs/x/taken", ":1"), ("refs/x/old", "HEAD")],
        )
        assert door.refs("refs/x") == {
            "refs/x/old": head, "refs/x/one": two, "refs/x/taken": one,
        }  # fmt: skip
        assert door.commits([two])[0].parents == (one,)

    def test_a_chain_of_checkpoints_is_one_new_ref(self, repo: Path, count_git: Sized) -> None:
        door = found(repo)
        head = door.resolve("HEAD")
        door.identity()
        started = len(count_git)
        one, two, three = door.commit(
            NewCommit(EXP, head, b"1", base=head, files={"a": b"1"}),
            NewCommit(EXP, ":1", b"2", base=":1", files={"b": b"2"}),
            NewCommit(EXP, ":2", b"3", base=":2", files={"a": b"3"}),
        )
        assert len(count_git) == started + 1
        assert door.refs(EXP) == {EXP: three}
        assert [info.parents for info in door.commits([three, two, one])] == [
            (two,), (one,), (head,),
        ]  # fmt: skip
        assert door.read_many([f"{EXP}:a", f"{EXP}:b"]) == [b"3", b"2"]

    def test_a_commit_without_a_ref_is_named_later(self, repo: Path) -> None:
        door = found(repo)
        before = state(repo)
        [rev] = door.commit(NewCommit(None, "HEAD", b"", base="HEAD", files={"a": b"1"}))
        assert state(repo) == before
        door.update_refs([(EXP, rev, None)])
        assert door.refs("refs/exps") == {EXP: rev}

    def test_a_thousand_commits_are_one_import(
        self, repo: Path, git: RunGit, count_git: Sized
    ) -> None:
        door = found(repo)
        head = door.resolve("HEAD")
        door.identity()
        started = len(count_git)
        refs = [f"refs/exps/{n:03}" if n < 20 else None for n in range(1_000)]
        revs = door.commit(
            *(
                NewCommit(ref, head, b"", base=head, files={"p": b"%d" % n})
                for n, ref in enumerate(refs)
            )
        )
        assert len(count_git) == started + 2
        assert door.read_many([f"{rev}:p" for rev in revs]) == [b"%d" % n for n in range(1_000)]
        assert door.refs("refs/exps") == dict(zip(refs[:20], revs[:20], strict=True))
        assert git("fsck", "--strict", "--no-dangling", cwd=repo) == ""

    def test_where_only_git_can_read_refs_it_is_asked_to_compare(
        self, repo: Path, count_git: Sized
    ) -> None:
        (repo / ".git" / "reftable").mkdir()  # as it is where refs are no files
        door = found(repo)
        [rev] = door.commit(NewCommit(EXP, "HEAD", b"1", base="HEAD"))
        with pytest.raises(GitError, match="reference already exists"):
            door.commit(NewCommit(EXP, "HEAD", b"2", base="HEAD"))
        with pytest.raises(GitError, match="but expected"):
            door.update_refs([(EXP, rev, "1" * 40)])
        assert door.refs("refs/exps") == {EXP: rev}

    @pytest.mark.parametrize(
        ("new", "named"),
        [
            (NewCommit(EXP, "none", b"", base="HEAD"), "none"),
            (NewCommit(EXP, "HEAD", b"", base="none"), "none"),
            (NewCommit(EXP, "HEAD\nreset refs/heads/main", b"", base="HEAD"), "HEAD\n"),
            (NewCommit(EXP, "HEAD", b"", base=":1"), ":1"),
            (NewCommit(EXP, ":7", b"", base=":7"), "mark :7"),
            (
                NewCommit(EXP, "HEAD", b"", base="HEAD", files={"a": Entry("100644", "1" * 40)}),
                "1" * 40,
            ),
            (NewCommit("refs/exps/a b", "HEAD", b"", base="HEAD"), "full name of a ref"),
            (NewCommit("refs/exps/a..b", "HEAD", b"", base="HEAD"), "refs/exps/a..b"),
            (
                NewCommit("refs/exps/a\nreset refs/heads/main\n", "HEAD", b"", base="HEAD"),
                "full name of a ref",
            ),
            (NewCommit("main", "HEAD", b"", base="HEAD"), "full name of a ref"),
            (NewCommit("HEAD", "HEAD", b"", base="HEAD", expect="any"), "full name of a ref"),
        ],
    )
    def test_what_cannot_be_committed_is_said_and_leaves_nothing(
        self, repo: Path, new: NewCommit, named: str
    ) -> None:
        before = state(repo)
        with pytest.raises(GitError, match=re.escape(named)):
            found(repo).commit(new)
        assert state(repo) == before

    def test_a_ref_below_another_ref_is_refused(self, repo: Path) -> None:
        door = found(repo)
        door.commit(NewCommit(EXP, "HEAD", b"", base="HEAD"))
        with pytest.raises(GitError):
            door.commit(NewCommit(f"{EXP}/more", "HEAD", b"", base="HEAD"))
        with pytest.raises(GitError):
            door.commit(NewCommit("refs/exps/ab", "HEAD", b"", base="HEAD"))
        assert list(door.refs("refs/exps")) == [EXP]

    def test_of_racing_writers_one_wins(self, repo: Path) -> None:
        for round_ in range(5):
            ref = f"refs/exps/race-{round_}"
            results: list[str | GitError] = []
            start = threading.Barrier(4)

            def race(
                n: int, ref: str = ref, start: threading.Barrier = start,
                results: list[str | GitError] = results,
            ) -> None:  # fmt: skip
                door = found(repo)
                new = NewCommit(ref, door.head(), b"", base="HEAD", files={"by": b"%d" % n})
                start.wait()
                try:
                    results.extend(door.commit(new))
                except GitError as error:
                    results.append(error)

            threads = [threading.Thread(target=race, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            [won] = [result for result in results if isinstance(result, str)]
            assert found(repo).refs(ref) == {ref: won}
            assert len(results) == 4

    @pytest.mark.parametrize("program", ["fast-import", "update-ref"])
    def test_a_writer_that_comes_between_the_look_and_the_write_wins(
        self, repo: Path, git: RunGit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
    ) -> None:
        door = found(repo)
        [theirs] = door.commit(NewCommit(None, "HEAD", b"theirs", base="HEAD"))
        real = shutil.which("git")
        between = tmp_path / "bin" / "git"
        between.parent.mkdir()
        between.write_text(
            f'#!/bin/sh\ncase "$*" in *{program}*) {real} update-ref {EXP} {theirs};; esac\n'
            f'exec {real} "$@"\n'
        )
        between.chmod(0o755)
        monkeypatch.setenv("PATH", f"{between.parent}:{os.environ['PATH']}")
        resets = [("refs/x/trash", "HEAD")] if program == "update-ref" else []
        new = NewCommit(EXP, "HEAD", b"ours", base="HEAD", files=MANY if not resets else {})
        with pytest.raises(GitError, match=f"The ref {EXP} is at {theirs[:7]} already"):
            door.commit(new, resets=resets)
        assert door.refs("refs/exps", "refs/x") == {EXP: theirs}

    @pytest.mark.parametrize("packed", [False, True])
    def test_a_writer_that_comes_before_the_ref_is_locked_wins(
        self, repo: Path, git: RunGit, monkeypatch: pytest.MonkeyPatch, packed: bool
    ) -> None:
        door = found(repo)
        [theirs] = door.commit(NewCommit(None, "HEAD", b"theirs", base="HEAD"))
        flush = loose.Writer.flush

        def late(writer: loose.Writer, learn: Callable[[str, str, bytes], object]) -> None:
            flush(writer, learn)
            git("update-ref", EXP, theirs, cwd=repo)
            if packed:
                git("pack-refs", "--all", cwd=repo)

        monkeypatch.setattr(loose.Writer, "flush", late)
        with pytest.raises(GitError, match=f"The ref {EXP} is at {theirs[:7]} already"):
            door.commit(NewCommit(EXP, "HEAD", b"ours", base="HEAD"))
        assert door.refs("refs/exps") == {EXP: theirs}
        assert not list((repo / ".git" / "refs").rglob("*.lock"))

    def test_a_locked_ref_is_waited_for_by_git_and_told(self, repo: Path) -> None:
        lock = repo / ".git" / f"{EXP}.lock"
        lock.parent.mkdir(parents=True)
        lock.write_text("")
        with pytest.raises(GitError, match=r"Another Git process has held .*low-lr\.lock"):
            found(repo).commit(NewCommit(EXP, "HEAD", b"", base="HEAD"))
        assert found(repo).refs("refs/exps") == {}
        lock.unlink()
        found(repo).commit(NewCommit(EXP, "HEAD", b"", base="HEAD"))

    def test_a_repository_of_sha256_is_read_and_written(self, tmp_path: Path, git: RunGit) -> None:
        git("init", "--quiet", "--object-format=sha256", cwd=tmp_path)
        rev = commit_all(git, tmp_path, {"a.txt": "1", "f/b.txt": "1"})
        door = found(tmp_path)
        assert (door.head(), len(rev)) == (rev, 64)
        assert door.read("HEAD:a.txt") == b"1"
        assert door.branch() == "main"
        (tmp_path / "a.txt").unlink()
        (tmp_path / "a.txt").symlink_to("f")
        write(tmp_path, {"f/new.txt": "2"})
        assert recorded_tree(door, ["f"]) == tree_of_add(git, tmp_path, ["f"])
        assert set(door.snapshot(door.status(), ["f"])) == {"a.txt", "f/new.txt"}
        [made] = door.commit(NewCommit(EXP, rev, b"m", base=rev, files={"x": b"1"}))
        assert (len(made), door.refs("refs/exps")) == (64, {EXP: made})
        door.update_refs([(EXP, rev, made)])
        assert door.refs("refs/exps") == {EXP: rev}
        assert git("fsck", "--strict", "--no-dangling", cwd=tmp_path) == ""

    def test_objects_and_refs_are_on_the_disk_when_it_returns(
        self, repo: Path, count_git: Sized
    ) -> None:
        found(repo).commit(NewCommit(EXP, "HEAD", b"", base="HEAD", files=MANY))
        [call] = [call for call in count_git.calls if "fast-import" in call]  # type: ignore[attr-defined]
        assert "core.fsync=committed,reference" in call

    def test_bytes_are_on_the_disk_before_the_names_of_objects_and_these_before_the_ref(
        self, repo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[str, int | str]] = []
        fsync, rename = os.fsync, os.rename

        def spied_fsync(descriptor: int) -> None:
            seen.append(("flush", os.fstat(descriptor).st_ino))
            fsync(descriptor)

        def spied_rename(source: str, target: str) -> None:
            seen.append((target, os.stat(source).st_ino))
            rename(source, target)

        monkeypatch.setattr(os, "fsync", spied_fsync)
        monkeypatch.setattr(os, "rename", spied_rename)
        door = found(repo)
        [rev] = door.commit(NewCommit(EXP, "HEAD", b"", base="HEAD", files={"new/a": b"1"}))
        names = [place for place, _ in seen]
        assert names == ["flush"] * 4 + [*names[4:8], "flush", str(repo / ".git" / EXP)]
        assert names[7].endswith(f"objects/{rev[:2]}/{rev[2:]}")
        assert {inode for _, inode in seen[:4]} == {inode for _, inode in seen[4:8]}
        assert seen[8][1] == seen[9][1]

    @hypothesis.given(st.data())
    @hypothesis.settings(
        max_examples=40, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
    )
    def test_what_is_written_without_git_is_what_git_writes(
        self, repo: Path, git: RunGit, data: st.DataObject
    ) -> None:
        paths = [
            "a",
            "a.b",
            "a/b",
            "a/b/c",
            "a-b/c",
            "d/e/f",
            "d/e",
            "é/\udcff x",
            "README.md",
            "z",
        ]
        values = st.sampled_from([None, b"", b"1", ("100755", b"2"), ("120000", b"a"), "entry"])
        door = found(repo)
        base = "HEAD"
        for step in range(2):
            chosen = data.draw(st.dictionaries(st.sampled_from(paths), values, max_size=6))
            blob = (
                door.hash_files(["kept.txt"], write=True)[0] if (repo / "kept.txt").exists() else ""
            )
            if not blob:
                write(repo, {"kept.txt": "kept"})
                blob = door.hash_files(["kept.txt"], write=True)[0]
            files = {
                path: Entry("100644", blob) if value == "entry" else value
                for path, value in chosen.items()
            }
            new = NewCommit(None, base, b"m\n\xc3\xa9", base=base, files=files, time_s=step)  # type: ignore[arg-type]
            written = writing._write(door, [new])
            if written is None:
                return  # a path that is a file and a folder: Git's to say
            assert written == (writing._import(door, [new], direct=False), None)
            [base], _ = written
        assert git("fsck", "--strict", "--no-dangling", cwd=repo) == ""

    def test_a_run_takes_three_processes(self, repo: Path, count_git: Sized) -> None:
        write(repo, {f"{n}.json": f"{n}" for n in range(20)})
        write(repo, {"README.md": "changed"})
        started = Git.processes
        door = found(repo)
        head, names = door.head(), door.refs("refs/exps/")
        status = door.status()
        files = door.snapshot(status, [f"{n}.json" for n in range(20)])
        [rev] = door.commit(NewCommit(EXP, head, b"m", base=head, files=files))
        assert len(door.read_many([f"{rev}:{n}.json" for n in range(20)])) == 20
        assert (names, len(count_git), Git.processes - started) == ({}, 3, 3)


class TestRefs:
    def test_refs_are_set_moved_and_deleted_in_one_transaction(
        self, repo: Path, git: RunGit, count_git: Sized
    ) -> None:
        first = git("rev-parse", "HEAD", cwd=repo)
        second = commit_all(git, repo, {"a": "1"})
        door = found(repo)
        door.update_refs([("refs/x/a", first, None), ("refs/x/b", first, None)])
        started = len(count_git)
        door.update_refs(
            [
                ("refs/x/a", second, first),
                ("refs/x/b", None, first),
                ("refs/x/c", second, "any"),
                ("refs/x/none", None, None),
                ("refs/x/none2", None, "any"),
            ]
        )
        assert len(count_git) == started + 1
        assert door.refs("refs/x") == {"refs/x/a": second, "refs/x/c": second}
        git("pack-refs", "--all", cwd=repo)
        door.update_refs([("refs/x/a", None, None), ("refs/x/c", None, "any")])
        assert door.refs("refs/x") == {}
        door.update_refs([])

    @pytest.mark.parametrize("packed", [False, True])
    def test_one_that_is_not_as_expected_stops_all(
        self, repo: Path, git: RunGit, packed: bool
    ) -> None:
        rev = git("rev-parse", "HEAD", cwd=repo)
        other = commit_all(git, repo, {"a": "1"})
        door = found(repo)
        door.update_refs([("refs/x/a", rev, None)])
        if packed:
            git("pack-refs", "--all", cwd=repo)
        for wrong in [
            ("refs/x/a", other, None), ("refs/x/a", None, other), ("refs/x/a", other, other),
        ]:  # fmt: skip
            with pytest.raises(GitError, match=f"The ref refs/x/a is at {rev[:7]} already"):
                door.update_refs([("refs/x/new", rev, None), wrong])
        with pytest.raises(GitError, match="The ref refs/x/none is not there"):
            door.update_refs([("refs/x/new", rev, None), ("refs/x/none", rev, other)])
        assert door.refs("refs/x") == {"refs/x/a": rev}

    @pytest.mark.parametrize(
        "ref", ["HEAD", "main", "", "refs/", "refs/a b", "refs/a\nb", "refs/\0"]
    )
    def test_only_full_names_are_taken(self, repo: Path, ref: str) -> None:
        with pytest.raises(GitError, match="is not the full name of a ref"):
            found(repo).update_refs([(ref, "HEAD", "any")])

    def test_a_lock_that_stays_is_named_with_its_age_and_not_removed(
        self, repo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        door = found(repo)
        door.update_refs([("refs/x/a", door.head(), None)])
        lock = repo / ".git" / "refs" / "x" / "a.lock"
        lock.touch()
        os.utime(lock, (time.time() - 90, time.time() - 90))
        started = time.monotonic()
        with pytest.raises(GitError) as raised:
            door.update_refs([("refs/x/a", None, None)])
        assert re.fullmatch(
            rf"Another Git process has held {lock} for 9\d s; nothing was changed\.",
            raised.value.message,
        )
        assert raised.value.hint == f"wait for it, or if no Git process is running: `rm {lock}`."
        assert time.monotonic() - started > 1  # Git itself waited for it
        assert lock.exists()

    def test_a_branch_is_made_where_asked(self, repo: Path, git: RunGit) -> None:
        rev = commit_all(git, repo, {"a": "1"})
        door = found(repo)
        door.create_branch("team/low-lr", "HEAD~1")
        assert door.branch_at("team/low-lr") == git("rev-parse", "HEAD~1", cwd=repo)
        assert (door.branch(), door.head()) == ("main", rev)
        with pytest.raises(GitError, match=r"The ref refs/heads/team/low-lr is at"):
            door.create_branch("team/low-lr", "HEAD")
        for name, named in [("-d", "`-d` cannot be"), ("a b", "full name"), ("a..b", "a..b")]:
            with pytest.raises(GitError, match=re.escape(named)):
                door.create_branch(name, "HEAD")
        with pytest.raises(GitError, match="no revision `none`"):
            door.create_branch("new", "none")
        assert set(door.refs("refs/heads/")) == {"refs/heads/main", "refs/heads/team/low-lr"}

    @pytest.mark.parametrize(
        ("name", "allowed"),
        [("low-lr", True), ("team/ü", True), ("", False), ("-d", False), ("HEAD", False),
         ("a b", False), ("a..b", False), ("a.lock", False), ("a\nb", False), ("a\0b", False)],
    )  # fmt: skip
    def test_branch_names_are_those_git_allows(self, repo: Path, name: str, allowed: bool) -> None:
        assert found(repo).is_branch_name(name) == allowed


class TestCommittingPaths:
    def test_only_these_paths_are_committed_and_staged_work_stays(
        self, repo: Path, git: RunGit
    ) -> None:
        commit_all(git, repo, {"mine.txt": "1", "gone.txt": "1", ".gitignore": "*.ipynb\n"})
        write(
            repo, {"mine.txt": "2", "dvc.yaml": "stages: {}\n", "a[1].ipynb": "{}", "a1.ipynb": ""}
        )
        git("add", "mine.txt", cwd=repo)
        (repo / "gone.txt").unlink()
        door = found(repo)
        message = "# kept\n\n  verbatim ü"
        rev = door.commit_paths(["dvc.yaml", "a[1].ipynb", "gone.txt"], message)
        assert rev == git("rev-parse", "main", cwd=repo)
        assert git("show", "--format=", "--name-status", rev, cwd=repo).split("\n") == [
            "A\ta[1].ipynb", "A\tdvc.yaml", "D\tgone.txt",
        ]  # fmt: skip
        assert git("diff", "--cached", "--name-only", cwd=repo) == "mine.txt"
        [info] = door.commits([rev])
        assert (info.message, info.author) == (message, "Ada <ada@example.org>")

    def test_nothing_to_commit_is_where_head_is(self, repo: Path) -> None:
        door = found(repo)
        assert door.commit_paths(["README.md"], "again") == door.head()
        assert door.commit_paths([], "again") == door.head()

    def test_it_may_be_the_first_commit(
        self, tmp_path: Path, git: RunGit, no_identity: None
    ) -> None:
        door = Git.init(tmp_path / "new")
        write(door.root, {"a.txt": "1", "b.txt": "1"})
        git("add", "b.txt", cwd=door.root)
        rev = door.commit_paths(["a.txt"], "first")
        assert set(door.tree(rev)) == {"a.txt"}
        assert (door.branch(), door.head()) == ("main", rev)
        assert git("diff", "--cached", "--name-only", cwd=door.root) == "b.txt"

    def test_a_path_that_is_nowhere_is_named(self, repo: Path) -> None:
        with pytest.raises(
            GitError, match=r"`git add` stopped: pathspec 'none\.txt' did not match"
        ):
            found(repo).commit_paths(["none.txt"], "x")

    def test_it_waits_for_a_locked_index(self, repo: Path) -> None:
        lock = repo / ".git" / "index.lock"
        lock.touch()
        threading.Timer(0.25, lock.unlink).start()
        write(repo, {"a.txt": "1"})
        rev = found(repo).commit_paths(["a.txt"], "x")
        assert found(repo).read(f"{rev}:a.txt") == b"1"

    @pytest.mark.parametrize(
        ("begin", "what", "out"),
        [
            ("merge --no-commit side", "merge", "merge --abort"),
            ("cherry-pick side", "cherry-pick", "cherry-pick --abort"),
            ("revert HEAD~1", "revert", "revert --abort"),
            ("rebase side", "rebase", "rebase --abort"),
            ("bisect start HEAD HEAD~2", "bisection", "bisect reset"),
        ],
    )
    def test_what_is_under_way_is_left_alone(
        self, begin: str, what: str, out: str, repo: Path, git: RunGit
    ) -> None:
        commit_all(git, repo, {"a.txt": "0"})
        git("switch", "--quiet", "-c", "side", cwd=repo)
        commit_all(git, repo, {"a.txt": "side"})
        git("switch", "--quiet", "main", cwd=repo)
        commit_all(git, repo, {"a.txt": "1"})
        commit_all(git, repo, {"a.txt": "2"})
        git(*begin.split(), cwd=repo, code=None)
        write(repo, {"c.txt": "1"})
        before = state(repo)
        with pytest.raises(GitError, match=f"A {what} is under way") as raised:
            found(repo).commit_paths(["c.txt"], "x")
        assert state(repo) == before
        assert raised.value.hint == f"finish it first, or leave it: `git {out}`."
        git(*out.split(), cwd=repo)
        found(repo).commit_paths(["c.txt"], "x")
        assert git("show", "--format=", "--name-only", "HEAD", cwd=repo) == "c.txt"


class TestMoreReading:
    def test_files_of_a_name_are_found_in_any_folder(self, repo: Path, git: RunGit) -> None:
        first = commit_all(git, repo, {"dvc.yaml": "1", "a/b/dvc.yaml": "1", "a/dvc.yaml.txt": "1"})
        second = commit_all(git, repo, {"ü/dvc.yaml": "1"})
        door = found(repo)
        root = git("rev-parse", "HEAD~2", cwd=repo)
        assert door.paths_named([first, second, root, "none"], "dvc.yaml") == {
            first: ["a/b/dvc.yaml", "dvc.yaml"],
            second: ["a/b/dvc.yaml", "dvc.yaml", "ü/dvc.yaml"],
            root: [],
            "none": [],
        }

    def test_the_id_of_bytes_is_that_of_their_blob(
        self, repo: Path, tmp_path: Path, git: RunGit
    ) -> None:
        assert found(repo).hash_bytes(b"x\n") == git(
            "hash-object", "--stdin", cwd=repo, stdin="x\n"
        )
        git("init", "--quiet", "--object-format=sha256", tmp_path / "new")
        long = git("hash-object", "--stdin", cwd=tmp_path / "new", stdin="x\n")
        assert found(tmp_path / "new").hash_bytes(b"x\n") == long
        assert len(long) == 64

    def test_many_are_told_in_their_order(self, repo: Path) -> None:
        door = found(repo)
        known = door.info("HEAD:README.md")
        assert door.info_many(["HEAD:README.md", "none", "HEAD:README.md"]) == [known, None, known]

    def test_files_of_a_revision_are_written_elsewhere_as_a_checkout_would(
        self, repo: Path, git: RunGit, tmp_path: Path
    ) -> None:
        rev = commit_all(
            git,
            repo,
            {".gitattributes": "*.txt text eol=crlf\n", "a/b.txt": "1\r\n", "c.bin": "2\n"},
        )
        (repo / "a" / "b.txt").unlink()
        before = state(repo)
        folder = tmp_path / "out"
        folder.mkdir()
        found(repo).export(rev, ["a/b.txt"], folder)
        assert [path.name for path in folder.rglob("*")] == ["a", "b.txt"]
        assert (folder / "a" / "b.txt").read_bytes() == b"1\r\n"
        assert state(repo) == before

    def test_filters_of_files_written_elsewhere_are_those_of_their_revision(
        self, repo: Path, git: RunGit, tmp_path: Path
    ) -> None:
        git("config", "filter.up.clean", "tr A-Z a-z", cwd=repo)
        git("config", "filter.up.smudge", "tr a-z A-Z", cwd=repo)
        rev = commit_all(git, repo, {".gitattributes": "*.dat filter=up\n", "x.dat": "BIG\n"})
        linked = tmp_path / "linked"
        git("worktree", "add", "--quiet", linked, cwd=repo)
        for number, top in enumerate((repo, linked)):
            (top / ".gitattributes").write_text("*.dat text\n")
            folder = tmp_path / f"out-{number}"
            folder.mkdir()
            found(top).export(rev, ["x.dat"], folder)
            assert [path.name for path in folder.iterdir()] == ["x.dat"]
            assert (folder / "x.dat").read_text() == "BIG\n"

    def test_new_refs_one_by_one_take_no_process(
        self, repo: Path, git: RunGit, count_git: Sized
    ) -> None:
        door = found(repo)
        head = door.resolve("HEAD")
        door.identity()
        new = [NewCommit(f"refs/x/{n}", None, b"%d" % n, base=head, time_s=1) for n in range(3)]
        started = len(count_git)
        revs = door.commit(*new, one_by_one=True)
        assert len(count_git) == started
        assert door.refs("refs/x") == {f"refs/x/{n}": rev for n, rev in enumerate(revs)}
        assert [info.parents for info in door.commits(revs)] == [()] * 3
        with pytest.raises(GitError, match="The ref refs/x/2 is at"):
            door.commit(NewCommit("refs/x/9", head, b"", base=head), new[2], one_by_one=True)

    def test_in_a_repository_of_a_group_its_members_can_make_refs_too(
        self, repo: Path, git: RunGit
    ) -> None:
        git("config", "core.sharedRepository", "group", cwd=repo)
        door = found(repo)
        head = door.resolve("HEAD")
        for one_by_one in (True, False):
            new = [NewCommit(f"refs/x/{one_by_one}/{n}", head, b"", base=head) for n in range(2)]
            revs = door.commit(*new, one_by_one=one_by_one)
            door.commit(NewCommit(new[0].ref, revs[0], b"", base=head, expect=revs[0]))
        made = [repo / ".git" / "refs" / "x", *(repo / ".git" / "refs" / "x").rglob("*")]
        assert len(made) == 1 + 2 + 4
        assert [path for path in made if not path.stat().st_mode & 0o020] == []


PATHS = ["a.txt", "b c.auto", "d/e.txt", "d/f.auto", "d/g/h", "-x", '"q', "ü.txt", "d", "a.txt/sub"]
CONTENTS = [b"", b"1\n", b"1\r\n", b"2\n3\n", b"2\r\n3\r\n", b"\0\r\n"]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "write", "delete", "chmod", "link", "add", "intend", "forget"]),
        st.sampled_from(PATHS),
        st.sampled_from(CONTENTS),
    ),
    max_size=8,
)


def edit(git: RunGit, repo: Path, kind: str, path: str, content: bytes) -> None:
    """One thing a user does; what cannot be done at the moment is left."""
    full = repo / path
    if kind in {"add", "intend", "forget"}:
        words = {"add": ["add", "--force"], "intend": ["add", "--force", "-N"],
                 "forget": ["rm", "--quiet", "-r", "--cached", "--force"]}[kind]  # fmt: skip
        git("--literal-pathspecs", *words, "--", path, cwd=repo, code=None)
        return
    if kind == "chmod":
        if full.is_file() and not full.is_symlink():
            full.chmod(full.stat().st_mode ^ 0o111)
        return
    for taken in (full, *full.parents):
        if taken != repo and repo in taken.parents and (taken.is_symlink() or taken.is_file()):
            taken.unlink()
    if full.is_dir():
        shutil.rmtree(full)
    if kind != "delete":
        full.parent.mkdir(parents=True, exist_ok=True)
        full.symlink_to("a.txt") if kind == "link" else full.write_bytes(content)


@hypothesis.settings(
    max_examples=40,
    # `git` is a function without a state, and each example has a repository of its own.
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(committed=EDITS, edits=EDITS, extra=st.sets(st.sampled_from([*PATHS, "."])))
def test_any_edits_are_recorded_as_git_would(
    git: RunGit,
    tmp_path_factory: pytest.TempPathFactory,
    committed: list[tuple[str, str, bytes]],
    edits: list[tuple[str, str, bytes]],
    extra: set[str],
) -> None:
    repo = tmp_path_factory.mktemp("edits")
    git("init", "--quiet", "--template=", cwd=repo)
    for one in committed:
        edit(git, repo, *one)
    if committed:
        git("add", "--all", cwd=repo)
        git("commit", "--quiet", "--allow-empty", "--message=x", cwd=repo)
    write(repo, {".gitattributes": "*.txt text\n*.auto text=auto\n", ".gitignore": "d/g\n"})
    for one in edits:
        edit(git, repo, *one)
    index = repo / ".git" / "index"
    before = index.read_bytes() if index.exists() else None
    there = sorted(path for path in extra if is_addable(repo, path))
    assert recorded_tree(found(repo), sorted(extra)) == tree_of_add(git, repo, there)
    assert (index.read_bytes() if index.exists() else None) == before
    assert git("fsck", "--strict", "--no-dangling", cwd=repo) == ""
    shutil.rmtree(repo)


def is_addable(repo: Path, path: str) -> bool:
    """Whether `git add` takes the path: it is a file or link, or a folder that holds one."""
    full = repo / path
    if any(parent.is_symlink() for parent in full.parents):
        return False
    return full.is_symlink() or full.is_file() or any(not each.is_dir() for each in full.rglob("*"))


def test_a_big_blob_is_read_from_its_beginning_and_git_is_ended(
    repo: Path, git: Callable[..., str], tmp_path: Path
) -> None:
    (repo / "big").write_bytes(b"0123456789" * 500_000)
    door = Git.find(repo)
    assert door is not None
    oid = door.hash_files(["big"], write=True)[0]
    with door.streamed(oid) as stream:
        assert stream.read(12) == b"012345678901"
    with door.streamed(oid) as stream:
        assert len(stream.read()) == 5_000_000
    door.close()


def test_a_repository_without_a_work_tree_is_read(repo: Path, git: Callable[..., str]) -> None:
    mirror = repo.parent / "mirror.git"
    git("clone", "--quiet", "--mirror", repo, mirror, cwd=repo)
    door = Git.bare(mirror)
    assert door is not None
    assert door.resolve("HEAD") == git("rev-parse", "HEAD", cwd=repo)
    assert door.read("HEAD:README.md") == b"# A project\n"
    assert [*door.tree("main")] == ["README.md"]
    door.close()
    assert Git.bare(repo) is None
    assert Git.bare(repo / "nowhere") is None


def test_a_lock_of_a_ref_is_taken_away_only_if_nobody_lives_who_holds_it(repo, monkeypatch):
    monkeypatch.setattr(loose, "_HELD_S", 0.1)
    lock = repo / ".git" / "refs" / "exps" / "low-lr.lock"
    lock.parent.mkdir(parents=True)
    assert not loose.release_dead(repo / ".git", "refs/exps/low-lr")
    lock.write_text("left by a killed process\n")
    assert loose.release_dead(repo / ".git", "refs/exps/low-lr")
    assert not lock.exists()
    # One that another process makes meanwhile in its place is that one's.
    lock.write_text("of one that ends in a moment\n")
    other = lock.with_name("other")
    other.write_text("of the next one\n")
    monkeypatch.setattr(loose, "_HELD_S", 60)
    sleep = time.sleep

    def meanwhile(seconds):
        if other.exists():
            os.replace(other, lock)
        sleep(seconds)

    monkeypatch.setattr(loose.time, "sleep", meanwhile)
    assert not loose.release_dead(repo / ".git", "refs/exps/low-lr")
    assert lock.read_text() == "of the next one\n"
