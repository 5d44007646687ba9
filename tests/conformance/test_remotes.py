"""Remotes as DVC has them: the same configuration, the same objects in the same places, either tool after the other."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Said, ToldByDvc


@pytest.fixture
def dvc_many(told_by_dvc: ToldByDvc) -> Callable[..., list[Said]]:
    """`dvc_many(root, ["remote list", …])`: exit code and output of each line."""

    def run(root: Path, lines: Sequence[str], env: Mapping[str, str | None] = {}) -> list[Said]:
        return told_by_dvc(root, [shlex.split(line) for line in lines], env)

    return run


class TestConfiguration:
    """`remote …`: after each line both tools leave the same bytes, and say the same where DVC says something."""

    @pytest.fixture
    def same(
        self,
        twins: Any,
        project: Any,
        dvc_many: Callable[..., list[Said]],
        tmp_path: Path,
    ) -> Callable[..., None]:
        """Runs lines in two copies of a project and compares all four files; the last line makes a difference."""
        pair = twins(project({"a.txt": "a"}))

        def env(side: Path) -> dict[str, str | None]:
            own = side.parent / "config"
            return {
                "DVC_GLOBAL_CONFIG_DIR": str(own / "global"),
                "DVC_SYSTEM_CONFIG_DIR": str(own / "system"),
            }

        def files(side: Path) -> dict[str, str]:
            own = side.parent / "config"
            places = {
                "project": side / ".dvc" / "config",
                "local": side / ".dvc" / "config.local",
                "global": own / "global" / "config",
                "system": own / "system" / "config",
            }
            # DVC writes an empty line into files that it had nothing to change in.
            return {k: (p.read_text() if p.exists() else "") or "\n" for k, p in places.items()}

        def run(*lines: str) -> None:
            said = dvc_many(pair.dvc_side, lines[:-1], env(pair.dvc_side))
            first = files(pair.dvc_side)
            said += dvc_many(pair.dvc_side, lines[-1:], env(pair.dvc_side))
            theirs = files(pair.dvc_side)
            for line, (code, out) in zip(lines, said, strict=True):
                done = pair.look.nbexp(
                    *shlex.split(line), cwd=pair.nbexp_side, env=env(pair.nbexp_side), code=None
                )
                assert (done.returncode == 0) == (code == 0), (line, done.stderr)
                if code == 0:
                    assert done.stdout == out, line
            assert files(pair.nbexp_side) == theirs
            assert first != theirs or said[-1][1], "the last line makes no difference to DVC"

        return run

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add Store ../out"],
            ["remote add -d Store ../out"],
            ["remote add one s3://bucket/path", "remote add --default two ssh://host/path"],
            ["remote add one ../a", "remote modify one jobs 4", "remote add -f one ../b"],
            ["remote add one ../a", "remote add one ../b", "remote add --force one ../c"],
            ["remote add --local one /tmp/x"],
            ["remote add --global one /tmp/x"],
            ["remote add --system one /tmp/x"],
            ["remote add --project -d one ~/x"],
            ["remote add 'with space' gs://bucket"],
        ],
        ids=lambda lines: lines[-1],
    )
    def test_add(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)

    @pytest.mark.parametrize("level", ["", "--local", "--global", "--system", "--project"])
    def test_list(self, same: Callable[..., None], level: str) -> None:
        same(
            "remote add -d one /tmp/x",
            "remote add --local two /tmp/y",
            "remote add --global three /tmp/z",
            "remote add --system four /tmp/u",
            "remote default --local two",
            f"remote list {level}",
        )

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add one s3://b/p", "remote modify one region eu-west-1"],
            ["remote add one s3://b/p", "remote modify ONE region eu-west-1"],
            ["remote add one s3://b/p", "remote modify --local one secret_access_key x"],
            ["remote add one s3://b/p", "remote modify --local one url s3://b/q"],
            ["remote add --global one s3://b/p", "remote modify --global one jobs 3"],
            ["remote add --system one s3://b/p", "remote modify --system one jobs 3"],
            ["remote add --global one s3://b/p", "remote modify --project one jobs 3"],
            ["remote add one ssh://h/p", "remote modify one keyfile ../key"],
            ["remote add one /tmp/x", "remote modify one url ../other"],
            ["remote add one /tmp/x", "remote modify one jobs 0", "remote modify one jobs 2"],
            ["remote add one /tmp/x", "remote modify one nonsense 2", "remote modify one verify true"],
            ["remote modify none jobs 2", "remote add one /tmp/x"],
            ["remote add one s3://b/p", "remote modify one region eu", "remote modify one -u region"],
            ["remote add one s3://b/p", "remote modify --unset one region",
             "remote modify one jobs 2", "remote modify --unset one jobs"],
        ],
        ids=lambda lines: lines[-1],
    )  # fmt: skip
    def test_modify(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add -d one /tmp/x", "remote remove one"],
            ["remote add -d one /tmp/x", "remote add two /tmp/y", "remote remove TWO"],
            ["remote add one /tmp/x", "remote default --local one", "remote remove --project one"],
            ["remote add --local one /tmp/x", "remote remove one", "remote remove --local one"],
            ["remote add --global one /tmp/x", "remote default one", "remote remove --global one"],
            ["remote add --system one /tmp/x", "remote remove --system one"],
        ],
        ids=lambda lines: lines[-1],
    )
    def test_remove(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add one /tmp/x", "remote default one"],
            ["remote add one /tmp/x", "remote default nope", "remote default --project ONE"],
            ["remote add one /tmp/x", "remote default --local one"],
            ["remote add --system one /tmp/x", "remote default --system one"],
            ["remote add --global one /tmp/x", "remote default --global one"],
            ["remote add -d one /tmp/x", "remote default -u"],
            ["remote add one /tmp/x", "remote default --local one", "remote default --local --unset"],
            ["remote default", "remote add -d one /tmp/x", "remote default"],
        ],
        ids=lambda lines: lines[-1],
    )  # fmt: skip
    def test_default(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)

    @pytest.mark.parametrize(
        "lines",
        [
            ["remote add -d one s3://b/p", "remote add two /tmp/x", "remote modify one region eu",
             "remote rename one three"],
            ["remote add one /tmp/x", "remote add two /tmp/y", "remote rename one two",
             "remote rename none four", "remote rename --project one three"],
            ["remote add one /tmp/x", "remote modify one type hardlink,copy", "remote rename one two"],
            ["remote add one /tmp/x", "remote default --local one", "remote rename one two"],
            ["remote add --local one /tmp/x", "remote rename --local one two"],
            ["remote add --global one /tmp/x", "remote default one", "remote rename --global one two"],
            ["remote add --system one /tmp/x", "remote rename --system one two"],
        ],
        ids=lambda lines: lines[-1],
    )  # fmt: skip
    def test_rename(self, same: Callable[..., None], lines: list[str]) -> None:
        same(*lines)


# --- Data ---------------------------------------------------------------------------------------

PIPELINE = """\
stages:
  make:
    cmd: tr a-z A-Z < extra.txt > made.txt && mkdir -p parts && cp made.txt parts/a && echo 'acc,step' > curve.csv && cp made.txt acc.json
    deps: [extra.txt]
    outs: [made.txt, parts, {kept.txt: {push: false}}, {elsewhere.txt: {remote: other}}]
    metrics: [{acc.json: {cache: true}}]
    plots: [curve.csv]
"""


def names_below(folder: Path) -> set[str]:
    """The objects and run-cache entries in a cache or remote."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "files"
    }


@pytest.fixture(scope="session")
def shared_template(tmp_path_factory: pytest.TempPathFactory, told_by_dvc: ToldByDvc) -> Path:
    """A project made by DVC: data, a stage, a folder with data of its own, a branch and a tag with other data.

    Nothing is pushed. `store`, the default remote, and `other` lie beside the project.
    """
    top = tmp_path_factory.mktemp("shared") / "project"
    top.mkdir()

    def git(*words: str) -> None:
        when = "1700000000 +0000"
        env = {**os.environ, "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        subprocess.run(["git", *words], cwd=top, env=env, check=True, capture_output=True)

    def dvc(*lines: str) -> None:
        said = told_by_dvc(top, [shlex.split(line) for line in lines])
        assert all(code == 0 for code, _ in said), said

    def write(path: str, text: str) -> None:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(text)

    git("init", "--quiet", "--initial-branch=main")
    for number in range(3):
        write(f"data/{number}.txt", f"{number}\n")
    write("data/sub/ü.txt", "deep\n")
    write("extra.txt", "extra text\n")
    write("folder/inner.bin", "inner\n")
    write(
        "dvc.yaml",
        PIPELINE.replace(
            "acc.json\n", "acc.json && echo k > kept.txt && echo e > elsewhere.txt\n", 1
        ),
    )
    dvc("init --quiet", "config core.analytics false", "remote add -d store /nowhere/store",
        "remote add other /nowhere/other", "add --quiet data extra.txt folder/inner.bin", "repro --quiet")  # fmt: skip
    git("add", "--all")
    git("commit", "--quiet", "--message=main")
    for name, what in (("side", "branch"), ("v1", "tag"), (None, "commit")):
        git("checkout", "--quiet", "-b", f"tmp-{what}")
        write(f"data/{what}.txt", f"of a {what}\n")
        dvc("add --quiet data")
        git("add", "--all")
        git("commit", "--quiet", f"--message={what}")
        if what == "branch":
            git("branch", str(name))
        if what == "tag":
            git("tag", str(name))
        if what == "commit":
            # Not the tip of anything, but behind a branch.
            (top / "data" / "commit.txt").unlink()
            dvc("add --quiet data")
            git("add", "--all")
            git("commit", "--quiet", "--message=after")
            git("branch", "later")
        (top / "data" / f"{what}.txt").unlink(missing_ok=True)
        git("checkout", "--quiet", "main")
        git("branch", "-D", f"tmp-{what}")
    dvc("checkout --quiet")
    return top


@pytest.fixture
def both(shared_template: Path, twins: Any) -> Any:
    """Two copies of the shared project, each with remotes of its own.

    DVC takes a relative URL in the config of a commit for one below `/`, so they are absolute.
    """
    pair = twins(shared_template)
    for side in pair.sides:
        lines = [
            f"['remote \"{name}\"']\n    url = {side.parent / name}\n"
            for name in ("store", "other")
        ]
        (side / ".dvc" / "config.local").write_text("".join(lines))
    return pair


def ours_of(words: str) -> list[str]:
    """The command line of nbexp for one of DVC's data commands."""
    verb, *rest = shlex.split(words)
    return [verb, *rest] if verb in ("status", "remote") else ["data", verb, *rest]


class TestPush:
    """The same objects in the remote, under the same names with the same modes."""

    @pytest.fixture
    def pushed(self, both: Any, dvc_many: Any) -> Callable[[str], tuple[set[str], set[str]]]:
        """`pushed("-a")`: what DVC's and nbexp's push with these words leave in the two remotes."""

        def run(words: str) -> tuple[set[str], set[str]]:
            theirs, ours = both.sides
            dvc_many(theirs, [f"push {words}"])
            both.look.nbexp(*ours_of(f"push {words}"), cwd=ours)
            for name in ("store", "other"):
                for path in (ours.parent / name).rglob("*"):
                    twin = theirs.parent / name / path.relative_to(ours.parent / name)
                    if path.is_file() and twin.exists():
                        assert path.stat().st_mode == twin.stat().st_mode
            found = [
                {
                    f"{name}/{one}"
                    for name in ("store", "other")
                    for one in names_below(side.parent / name)
                }
                for side in (theirs, ours)
            ]
            return found[0], found[1]

        return run

    def test_everything(self, pushed: Any) -> None:
        theirs, ours = pushed("")
        assert ours == theirs
        assert len(ours) == 11
        assert any(name.startswith("other/") for name in ours)

    @pytest.mark.parametrize(
        ("words", "count"),
        [
            ("made.txt", 1),
            ("data.dvc", 5),
            ("make", 4),
            ("--remote other", 11),
            ("--all-branches", 13),
            ("--all-tags", 13),
            ("--all-commits", 17),
            ("--with-deps make", 5),
            ("--recursive folder", 1),
            ("--glob 'data*'", 5),
            ("--jobs 1 data", 5),
        ],
    )
    def test_words(self, pushed: Any, words: str, count: int) -> None:
        theirs, ours = pushed(words)
        assert ours == theirs
        assert len(ours) == count

    def test_run_cache(self, pushed: Any) -> None:
        """DVC leaves out outputs that nothing else needs, without which an entry is of no use elsewhere."""
        theirs, ours = pushed("--run-cache")
        assert ours >= theirs
        assert {name for name in ours if "/runs/" in name} == {n for n in theirs if "/runs/" in n}
        assert any("/runs/" in name for name in ours)

    def test_a_part_of_a_directory_does_not_pretend_to_be_all_of_it(
        self, pushed: Any, both: Any, dvc_many: Any
    ) -> None:
        """DVC stores the listing as well, and then takes the directory for complete for ever."""
        theirs, ours = pushed("data/sub")
        assert {name for name in theirs if name not in ours} == {
            name for name in theirs if name.endswith(".dir")
        }
        # What DVC left is mended by the next push of nbexp, and not by DVC's own.
        side = both.dvc_side
        dvc_many(side, ["push data"])
        assert len(names_below(side.parent / "store")) == 2
        both.look.nbexp("data", "push", "data", cwd=side)
        assert len(names_below(side.parent / "store")) == 5

    def test_a_second_push_moves_nothing(self, pushed: Any, both: Any) -> None:
        pushed("")
        again = both.look.nbexp("data", "push", "--json", cwd=both.nbexp_side)
        assert json.loads(again.stdout) == {"pushed": 0, "size": 0, "present": 11, "missing": []}
        # Nor does it where DVC has pushed.
        after = both.look.nbexp("data", "push", "--json", cwd=both.dvc_side)
        assert json.loads(after.stdout)["pushed"] == 0

    def test_what_the_cache_lost_is_told_and_the_rest_is_pushed(
        self, pushed: Any, both: Any, dvc_many: Any
    ) -> None:
        for side in both.sides:
            lost = (
                side / ".dvc" / "cache" / "files" / "md5" / "b0" / "26324c6904b2a9cb4b88d6d61c81d1"
            )
            lost.unlink()
        theirs, ours = pushed("")
        assert ours == theirs
        assert len(ours) == 9  # neither the file nor the listing that names it


class Refilled:
    """Both sides without cache and data, their remotes filled by one of the tools."""

    def __init__(self, both: Any, dvc_many: Any, filler: str) -> None:
        self.both, self._many = both, dvc_many
        for side in both.sides:
            if filler == "dvc":
                dvc_many(side, ["push -A --run-cache"])
            else:
                both.look.nbexp("data", "push", "-A", "--run-cache", cwd=side)
            shutil.rmtree(side / ".dvc" / "cache")
            for path in ("data", "parts"):
                shutil.rmtree(side / path)
            for path in ("extra.txt", "made.txt", "curve.csv", "acc.json", "folder/inner.bin"):
                (side / path).unlink()

    def run(self, words: str, *, code: int = 0) -> tuple[str, str]:
        """The same words under both; what each printed."""
        [(theirs, out)] = self._many(self.both.dvc_side, [words])
        ours = self.both.look.nbexp(*ours_of(words), cwd=self.both.nbexp_side, code=None)
        assert (ours.returncode == 0) == (theirs == 0) == (code == 0), (out, ours.stderr)
        return out, ours.stdout

    def caches(self) -> tuple[set[str], set[str]]:
        theirs, ours = (names_below(side / ".dvc" / "cache") for side in self.both.sides)
        return theirs, ours


@pytest.fixture(params=["dvc", "nbexp"])
def refilled(request: pytest.FixtureRequest, both: Any, dvc_many: Any) -> Refilled:
    return Refilled(both, dvc_many, request.param)


@pytest.fixture
def by_dvc(both: Any, dvc_many: Any) -> Refilled:
    return Refilled(both, dvc_many, "dvc")


class TestFetch:
    """The same objects in the cache, whichever tool has pushed them."""

    def test_everything(self, refilled: Refilled) -> None:
        _, said = refilled.run("fetch")
        theirs, ours = refilled.caches()
        assert ours == theirs
        assert len(ours) == 11
        assert said == "11 files fetched\n"
        assert refilled.run("fetch")[1] == "Everything is up to date.\n"

    @pytest.mark.parametrize(
        ("words", "count"),
        [
            ("made.txt", 1),
            ("data/sub", 2),
            ("make", 4),
            ("--remote store", 10),
            ("--all-branches", 13),
            ("--all-tags", 13),
            ("--all-commits", 17),
            ("--with-deps make", 5),
            ("--recursive folder", 1),
            ("--jobs 1 data", 5),
            ("--max-size 10", 3),
            ("--type metrics", 1),
            ("--type plots", 1),
            ("--type plots --type metrics", 2),
        ],
    )
    def test_words(self, by_dvc: Refilled, words: str, count: int) -> None:
        by_dvc.run(f"fetch {words}")
        theirs, ours = by_dvc.caches()
        assert ours == theirs
        assert len(ours) == count

    def test_run_cache(self, by_dvc: Refilled) -> None:
        by_dvc.run("fetch --run-cache")
        theirs, ours = by_dvc.caches()
        assert ours == theirs
        assert sum(name.startswith("runs/") for name in ours) == 1

    def test_an_unknown_target_or_remote_stops_both(self, by_dvc: Refilled) -> None:
        by_dvc.run("fetch nothing", code=1)
        by_dvc.run("fetch -r nowhere", code=1)
        assert by_dvc.caches() == (set(), set())


class TestPull:
    """The same cache, and the same files in the workspace."""

    def agree(self, refilled: Refilled) -> tuple[set[str], Mapping[str, Any]]:
        theirs, ours = refilled.caches()
        assert ours == theirs
        files = [refilled.both.look.files(side) for side in refilled.both.sides]
        for found in files:
            found.pop(".dvc/config.local", None)  # each has its own remotes
        assert files[1] == files[0]
        return ours, files[1]

    def test_everything(self, refilled: Refilled) -> None:
        out, said = refilled.run("pull --allow-missing")
        cache, files = self.agree(refilled)
        assert len(cache) == 11
        assert "data/sub/ü.txt" in files
        assert (
            said.splitlines()[-1] == out.splitlines()[-1] == "11 files fetched and 10 files added"
        )

    @pytest.mark.parametrize(
        "words",
        [
            "made.txt",
            "data/sub",
            "--remote store data extra.txt",
            "--all-branches data",
            "--all-tags data",
            "--all-commits data",
            "--with-deps make",
            "--recursive folder",
            "--jobs 2 data",
            "--glob 'data*'",
            "--run-cache data",
            "--allow-missing",
        ],
    )
    def test_words(self, by_dvc: Refilled, words: str) -> None:
        by_dvc.run(f"pull {words}")
        self.agree(by_dvc)

    def test_force_goes_over_edits(self, by_dvc: Refilled) -> None:
        by_dvc.run("pull data")
        for side in by_dvc.both.sides:
            (side / "data" / "0.txt").unlink()
            (side / "data" / "0.txt").write_text("edited\n")
        by_dvc.run("pull data", code=1)
        by_dvc.run("pull --force data")
        theirs, ours = by_dvc.caches()
        assert ours >= theirs
        assert (
            len(ours) == len(theirs) + 2
        )  # the edited file and its directory, which `undo` brings back
        for side in by_dvc.both.sides:
            assert (side / "data" / "0.txt").read_text() == "0\n"

    def test_what_no_side_has_is_an_error_unless_it_is_allowed(self, by_dvc: Refilled) -> None:
        """What `push: false` keeps at home is missing elsewhere."""
        for side in by_dvc.both.sides:
            (side / "kept.txt").unlink()
        by_dvc.run("pull", code=1)
        by_dvc.run("pull --allow-missing")
        _, files = self.agree(by_dvc)
        assert "kept.txt" not in files
        assert "made.txt" in files


class TestStatus:
    """`status --cloud`: the same paths with the same words."""

    @pytest.mark.parametrize(
        ("words", "count"),
        [
            ("--cloud", 10),
            ("--cloud data", 5),
            ("--remote other", 10),
            ("--cloud --all-branches", 11),
            ("--cloud --all-tags", 11),
            ("--cloud --all-commits", 13),
            ("--cloud --jobs 2", 10),
        ],
    )
    def test_words(self, both: Any, dvc_many: Any, words: str, count: int) -> None:
        line = f"status {words} --json"
        [(_, out)] = dvc_many(both.dvc_side, [line])
        theirs = json.loads(out.splitlines()[0])
        ours = json.loads(both.look.nbexp(*shlex.split(line), cwd=both.nbexp_side).stdout)
        assert ours == theirs
        assert len(ours) == count

    def test_each_word(self, both: Any, dvc_many: Any) -> None:
        both.look.nbexp("data", "push", cwd=both.nbexp_side)
        dvc_many(both.dvc_side, ["push"])
        objects = ("b0/26324c6904b2a9cb4b88d6d61c81d1", "26/ab0db90d72e28ad0ba1e22ee510510")
        for side in both.sides:
            store = side.parent / "store" / "files" / "md5"
            (side / ".dvc" / "cache" / "files" / "md5" / objects[0]).unlink()
            (side / ".dvc" / "cache" / "files" / "md5" / objects[1]).unlink()
            (store / objects[1]).unlink()
            for path in store.glob("*/*.dir"):
                path.unlink()
        [(_, out)] = dvc_many(both.dvc_side, ["status --cloud --json"])
        theirs = json.loads(out.splitlines()[0])
        ours = json.loads(both.look.nbexp("status", "-c", "--json", cwd=both.nbexp_side).stdout)
        assert ours == theirs
        assert set(ours.values()) == {"new", "deleted", "missing"}


class TestGet:
    """`get`: the same files, from a repository on this disk, its cache or its remotes."""

    @pytest.fixture
    def got(self, both: Any, dvc_many: Any, tmp_path: Path) -> Callable[..., list[Said]]:
        """`got("data", "dvc.yaml -o other")`: what each tool brings with these words, compared; DVC's answers."""
        for name in ("dvc", "nbexp"):
            (tmp_path / "got" / name).mkdir(parents=True)
            (tmp_path / "got" / name / "there").write_text("there before\n")

        def run(*lines: str) -> list[Said]:
            source = both.nbexp_side
            theirs, ours = (tmp_path / "got" / name for name in ("dvc", "nbexp"))
            said = dvc_many(theirs, [f"get {source} {line}" for line in lines])
            for line, (code, out) in zip(lines, said, strict=True):
                done = both.look.nbexp(
                    "data", "get", source, *shlex.split(line), cwd=ours, code=None
                )
                assert (done.returncode == 0) == (code == 0), (line, out, done.stderr)
                if "--show-url" in line:
                    assert done.stdout == out
            mine, others = (
                {
                    path.relative_to(top).as_posix(): (
                        path.stat().st_mode & 0o100,
                        path.read_bytes(),
                    )
                    for path in top.rglob("*")
                    if path.is_file()
                }
                for top in (ours, theirs)
            )
            assert mine == others
            assert len(mine) > 1
            return list(said)

        return run

    def test_words(self, got: Callable[..., list[Said]]) -> None:
        """One of each kind of path, and the options that say which and where."""
        said = got(
            "data",
            "data/sub/ü.txt",
            "folder/.gitignore --out ignores",
            "folder",
            "data/0.txt -o now.txt",
            "data/tag.txt --out tagged.txt --rev v1",
            "data/branch.txt --out side.txt --rev side",
            "made.txt --out there",
            "made.txt --out there --force",
            "nothing",
            "data --out jobs --jobs 1",
            "made.txt --show-url",
        )
        assert [code == 0 for code, _ in said] == [True] * 7 + [False, True, False, True, True]

    def test_from_remotes(self, got: Callable[..., list[Said]], both: Any, tmp_path: Path) -> None:
        """Without the cache, the options say which remote has the data."""
        side = both.nbexp_side
        both.look.nbexp("data", "push", cwd=side)
        store = side.parent / "store"
        shutil.copytree(store, tmp_path / "moved")
        shutil.rmtree(side / ".dvc" / "cache")
        shutil.rmtree(side / "data")
        for name in ("made.txt", "curve.csv", "elsewhere.txt"):
            (side / name).unlink()  # DVC would take it from there
        assert [code for code, _ in got("data", "made.txt --remote store", "elsewhere.txt")] == [
            0
        ] * 3
        shutil.rmtree(store)
        more = tmp_path / "more"
        more.write_text(f"['remote \"store\"']\n    url = {tmp_path / 'moved'}\n")
        shutil.rmtree(side / ".dvc" / "cache", ignore_errors=True)
        said = got(
            "curve.csv",
            f"curve.csv --config {more}",
            f"made.txt --out again --remote-config url={tmp_path / 'moved'}",
        )
        assert [code == 0 for code, _ in said] == [False, True, True]
