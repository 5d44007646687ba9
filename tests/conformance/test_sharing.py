"""`push`, `pull`, `list REMOTE`, `remove` and `rename` beside DVC's, option by option, and each tool after the other."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.conftest import MANY_IN_ONE
from tests.conftest import DVC_PROGRAMS, Program

if TYPE_CHECKING:
    from tests.conformance.conftest import RunGit, RunProgram

PIPELINE = """\
stages:
  train:
    cmd: cp params.yaml model.txt && mkdir -p parts && cp params.yaml parts/a && cp fixed.txt parts/b && cp params.yaml m.json
    deps: [fixed.txt]
    params: [lr]
    outs: [model.txt, parts]
    metrics: [{m.json: {cache: false}}]
"""


class Place:
    """A folder with a clone `project`, the bare repositories `bare.git` and `second.git`, and the storages `store` and `other`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "project"

    def git(self, *words: str, cwd: Path | None = None) -> str:
        when = "1700000000 +0000"
        env = {**os.environ, "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.project, env=env, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def nbexp(self, *words: str, code: int | None = 0) -> str:
        program = Program((sys.executable, "-m", "nbexp.cli"))
        return program(*words, cwd=self.project, code=code).stdout

    def dvc(self, *lines: str) -> list[Any]:
        """Exit code and output of each command line of DVC."""
        program = Program((str(DVC_PROGRAMS / "python"),), (DVC_PROGRAMS,))
        words = json.dumps([shlex.split(line) for line in lines])
        done = program("-c", MANY_IN_ONE, str(self.project), cwd=self.project, stdin=words)
        return list(json.loads(done.stdout))

    def settle(self) -> Place:
        """Let the project know where its remotes are: the folder may be a copy."""
        for name, bare in (("origin", "bare.git"), ("second", "second.git")):
            self.git("remote", "set-url", name, str(self.folder / bare))
        lines = [
            f"['remote \"{name}\"']\n    url = {self.folder / name}\n"
            for name in ("store", "other")
        ]
        (self.project / ".dvc" / "config.local").write_text("".join(lines))
        return self

    def copy(self, folder: Path) -> Place:
        shutil.copytree(self.folder, folder, symlinks=True)
        return Place(folder).settle()

    def end(self) -> dict[str, Any]:
        """All that sharing can change: experiments of each repository, objects of each storage and the cache."""
        found: dict[str, Any] = {}
        for name in ("project", "bare.git", "second.git"):
            listed = self.git(
                "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps", "refs/heads",
                cwd=self.folder / name,
            )  # fmt: skip
            found[name] = sorted(
                line for line in listed.splitlines() if not line.startswith("refs/exps/exec/")
            )
        for name, top in (("store", "store"), ("other", "other"), ("cache", "project/.dvc/cache")):
            folder = self.folder / top
            found[name] = sorted(
                path.relative_to(folder).as_posix()
                for path in folder.rglob("*")
                if path.is_file() and path.parent.name != "files"
            )
        return found


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Experiments a and b on HEAD, and old on the commit before it; nothing is pushed but main."""
    place = Place(tmp_path_factory.mktemp("sharing") / "made")
    place.project.mkdir(parents=True)
    for name in ("bare.git", "second.git"):
        place.git("init", "--quiet", "--bare", "--initial-branch=main", name, cwd=place.folder)
    place.git("init", "--quiet", "--initial-branch=main")
    for path, text in {
        ".dvc/config": "[core]\n    remote = store\n['remote \"store\"']\n    url = /nowhere/store\n"
        "['remote \"other\"']\n    url = /nowhere/other\n",
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".dvcignore": "",
        "dvc.yaml": PIPELINE,
        "params.yaml": "lr: 1\n",
        "fixed.txt": "fixed\n",
    }.items():
        (place.project / path).parent.mkdir(parents=True, exist_ok=True)
        (place.project / path).write_text(text)
    place.git("add", "--all")
    place.git("commit", "--quiet", "--message=first")
    for name in ("origin", "second"):
        place.git("remote", "add", name, "x")
    place.settle()
    place.nbexp("run", "-q", "-S", "lr=2", "-n", "old")
    place.git("commit", "--quiet", "--all", "--allow-empty", "--message=second")
    for name, rate in (("a", 3), ("b", 4)):
        place.nbexp("run", "-q", "-S", f"lr={rate}", "-n", name)
    place.git("push", "--quiet", "origin", "main")
    place.git("push", "--quiet", "second", "main")
    return place


@pytest.fixture(scope="session")
def diverged(made: Place) -> Place:
    """The same, and the remote has another `a`."""
    place = made.copy(made.folder.parent / "diverged")
    ref = place.git("for-each-ref", "--format=%(refname)", "refs/exps/**/a")
    place.git("push", "--quiet", "origin", f"{ref.replace('/a', '')}/b:{ref}")
    return place


@pytest.fixture(scope="session")
def pushed(made: Place) -> Place:
    """Everything is on origin and in the store, `a` also on second; the clone has neither experiments nor data."""
    place = made.copy(made.folder.parent / "pushed")
    place.nbexp("push", "-q", "origin", "--all", "--run-cache")
    place.nbexp("push", "-q", "second", "a", "-r", "other")
    shutil.rmtree(place.project)
    place.git("clone", "--quiet", str(place.folder / "bare.git"), "project", cwd=place.folder)
    place.git("remote", "add", "second", "x")
    return place.settle()


@pytest.fixture(scope="session")
def pulled_before(pushed: Place) -> Place:
    """The same, and another `a` is here."""
    place = pushed.copy(pushed.folder.parent / "pulled-before")
    place.nbexp("run", "-q", "-S", "lr=7", "-n", "a")
    return place


@pytest.fixture(scope="session")
def shared(made: Place) -> Place:
    """Everything is here and on origin."""
    place = made.copy(made.folder.parent / "shared")
    place.nbexp("push", "-q", "origin", "--all")
    return place


@pytest.fixture(scope="session")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Place, str], dict[str, Any]]:
    """How things end after a command line of DVC; each is carried out once."""
    known: dict[tuple[str, str], dict[str, Any]] = {}

    def end(start: Place, line: str) -> dict[str, Any]:
        key = (start.folder.name, line)
        if key not in known:
            place = start.copy(tmp_path_factory.mktemp("dvc") / "place")
            place.dvc(f"exp {line}")
            known[key] = place.end()
        return known[key]

    return end


@pytest.fixture
def place(tmp_path: Path) -> Callable[[Place], Place]:
    return lambda start: start.copy(tmp_path / "place")


def compare(
    request: pytest.FixtureRequest,
    ends: Callable[[Place, str], dict[str, Any]],
    here: Place,
    start: str,
    line: str,
    without: str | None,
) -> None:
    theirs = ends(request.getfixturevalue(start), line)
    here.nbexp(*shlex.split(line), code=None)
    assert here.end() == theirs
    if without is not None:
        assert ends(request.getfixturevalue(start), without) != theirs


@pytest.mark.parametrize(
    ("start", "line", "without"),
    [
        ("made", "push origin", None),
        ("made", "push origin a", "push origin"),
        ("made", "push second a", "push origin a"),
        ("made", "push -A origin", "push origin"),
        ("made", "push --rev HEAD~1 origin", "push origin"),
        ("made", "push --num 2 origin", "push origin"),
        ("made", "push --no-cache origin a", "push origin a"),
        ("made", "push --remote other origin a", "push origin a"),
        ("made", "push --jobs 1 origin a", None),
        ("diverged", "push --force origin a", "push origin a"),
    ],
)  # fmt: skip
def test_push(request, ends, place, start, line, without):
    compare(request, ends, place(request.getfixturevalue(start)), start, line, without)


def test_pushing_the_run_cache_brings_its_outputs_along(made, ends, place):
    """DVC sends the entries alone, which restore nothing elsewhere."""
    line = "push --run-cache origin a"
    theirs, here = ends(made, line), place(made)
    here.nbexp(*line.split())
    ours = here.end()
    assert (
        [name for name in ours["store"] if name.startswith("runs/")]
        == [name for name in theirs["store"] if name.startswith("runs/")]
        != []
    )
    assert set(theirs["store"]) < set(ours["store"])
    assert {**ours, "store": 0} == {**theirs, "store": 0}
    assert ends(made, "push origin a") != theirs


def test_a_push_that_is_refused_moves_nothing(diverged, ends, place):
    """DVC leaves the other experiment alone as well, but sends the data of all experiments there are."""
    theirs, here = ends(diverged, "push origin a"), place(diverged)
    here.nbexp("push", "origin", "a", code=3)
    assert here.end() == {**theirs, "store": []} == diverged.end()


@pytest.mark.parametrize(
    ("start", "line", "without"),
    [
        ("pushed", "pull origin", None),
        ("pushed", "pull origin a", "pull origin"),
        ("pushed", "pull second --remote other a", None),
        ("pushed", "pull second", "pull origin"),
        ("pushed", "pull -A origin", "pull origin"),
        ("pushed", "pull --rev HEAD~1 origin", "pull origin"),
        ("pushed", "pull --num 2 origin", "pull origin"),
        ("pushed", "pull --no-cache origin a", "pull origin a"),
        ("pushed", "pull --remote other origin b", "pull origin b"),
        ("pushed", "pull --run-cache origin a", "pull origin a"),
        ("pushed", "pull --jobs 1 origin a", None),
        ("pulled_before", "pull origin a", None),
        ("pulled_before", "pull --force origin a", "pull origin a"),
    ],
)  # fmt: skip
def test_pull(request, ends, place, start, line, without):
    compare(request, ends, place(request.getfixturevalue(start)), start, line, without)


@pytest.mark.parametrize(
    ("line", "without"),
    [
        ("remove a", None),
        ("remove a b", "remove a"),
        ("remove -A", "remove a"),
        ("remove --rev HEAD~1", "remove a"),
        ("remove --rev HEAD --num 2", "remove --rev HEAD"),
        ("remove --keep a", "remove a"),
        ("remove --git-remote origin a", "remove a"),
        ("remove --git-remote origin --keep a", "remove --git-remote origin a"),
        ("remove -g origin --rev HEAD~1", "remove --rev HEAD~1"),
        ("rename a c", None),
        ("rename a b", "rename a c"),
        ("rename --force a b", "rename a b"),
    ],
)  # fmt: skip
def test_names(request, ends, place, shared, line, without):
    compare(request, ends, place(shared), "shared", line, without)


def test_renaming_on_a_remote_does_more_than_dvc(ends, place, shared):
    """DVC renames here alone, and says that it is done."""
    theirs = ends(shared, "rename --git-remote origin a c")
    here = place(shared)
    here.nbexp("rename", "--git-remote", "origin", "a", "c")
    ours = here.end()
    assert ours["project"] == theirs["project"] != shared.end()["project"]
    assert theirs["bare.git"] == shared.end()["bare.git"]
    assert [line for line in ours["bare.git"] if "exps" in line] == [
        line for line in ours["project"] if "exps" in line
    ]


@pytest.mark.parametrize("words", ["", "-A", "--rev HEAD~1", "--num 2"])
def test_a_remote_is_listed(pushed, words):
    theirs = pushed.dvc(f"exp list origin --names-only {words}", f"exp list origin {words}")
    ours = pushed.nbexp("list", "origin", "--names-only", *words.split())
    assert sorted(ours.split()) == sorted(theirs[0][1].split())
    assert len(ours.split()) == {"": 2, "--rev HEAD~1": 1}.get(words, 3)
    # nbexp also has the commits.
    shown = pushed.nbexp("list", "origin", *words.split())
    bare = [line.partition(" [")[2] or line for line in shown.splitlines()]
    named = [line.strip() for line in theirs[1][1].splitlines()]
    assert sorted(line.removesuffix("]") for line in bare) == sorted(named)
    revs = pushed.nbexp("list", "origin", "--shas-only", *words.split()).split()
    held = pushed.git(
        "for-each-ref", "--format=%(objectname)", "refs/exps", cwd=pushed.folder / "bare.git"
    )
    assert set(revs) <= set(held.split())


@pytest.mark.parametrize(("by", "other"), [("nbexp", "dvc"), ("dvc", "nbexp")])
def test_what_one_tool_shared_the_other_takes_over(
    made: Place, tmp_path: Path, by: str, other: str
) -> None:
    """Pushed by one from its clone, pulled, applied and pushed on by the other from another clone."""
    first = made.copy(tmp_path / "first")

    def do(place: Place, tool: str, *lines: str) -> None:
        if tool == "dvc":
            for line, (code, said) in zip(
                lines, place.dvc(*(f"exp {n}" for n in lines)), strict=True
            ):
                assert code == 0, (line, said)
        else:
            for line in lines:
                place.nbexp(*shlex.split(line))

    do(first, by, "push origin a", "push origin --rev HEAD~1")
    shutil.copytree(first.folder, tmp_path / "second", symlinks=True)
    shutil.rmtree(tmp_path / "second" / "project")
    second = Place(tmp_path / "second")
    second.git("clone", "--quiet", str(second.folder / "bare.git"), "project", cwd=second.folder)
    second.git("remote", "add", "second", "x")
    second.settle()
    do(second, other, "pull origin a", "pull origin -A", "apply a")
    assert (second.project / "model.txt").read_text() == "lr: 3\n"
    assert (second.project / "parts" / "b").read_text() == "fixed\n"
    assert second.dvc("status") == [[0, "Data and pipelines are up to date.\n"]]
    assert json.loads(second.nbexp("status", "--json")) == {}
    do(second, other, "run -n more -S lr=9", "push origin more")
    do(second, by, "rename a kept", "push origin kept", "remove -g origin a")
    third = second.git("ls-remote", "origin", "refs/exps/*")
    assert sorted(line.rpartition("/")[2] for line in third.splitlines()) == ["kept", "more", "old"]
    do(second, other, "remove more kept", "pull origin more kept")
    assert sorted(second.nbexp("list", "--name-only").split()) == ["kept", "more"]


def test_dvc_sees_nothing_of_what_nbexp_sends_beside_experiments(
    made: Place, tmp_path: Path
) -> None:
    first = made.copy(tmp_path / "first")
    first.nbexp("push", "origin", "a")
    code, said = first.dvc("exp list origin -A --name-only")[0]
    assert (code, said.split()) == (0, ["a"])
    assert first.dvc("exp show --json")[0][0] == 0


def test_dvc_leaves_data_behind_where_the_remote_came_later(
    pipeline_project: Callable[..., Path],
    tmp_path: Path,
    git: RunGit,
    dvc: RunProgram,
    nbexp_cli: RunProgram,
) -> None:
    """formats.md 0, fact 7: nbexp takes the remote of today where the commit names none."""
    top = pipeline_project()
    git("init", "--quiet", "--bare", tmp_path / "bare.git", cwd=tmp_path)
    git("remote", "add", "origin", tmp_path / "bare.git", cwd=top)
    nbexp_cli("run", "-n", "one", cwd=top)
    nbexp_cli("remote", "add", "-d", "late", tmp_path / "late", cwd=top)
    assert "uploaded" not in dvc("exp", "push", "origin", "one", cwd=top).stdout
    assert not (tmp_path / "late").exists()
    assert json.loads(nbexp_cli("push", "origin", "one", "--json", cwd=top).stdout)["files"] == 4
