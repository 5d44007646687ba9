"""Each option of `repro` and `exp run`: under DVC it changes how things end, and nbexp ends as DVC with and without it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conformance.conftest import RAN, differences, without_new_ignores

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, RunGit

PIPELINE = {
    "dvc.yaml": """\
stages:
  first:
    cmd: echo first >> ../ran; head -c 1 in.txt > first.txt
    deps: [in.txt]
    outs: [first.txt]
  second:
    cmd: echo second >> ../ran; cat first.txt first.txt > second.txt
    deps: [first.txt]
    outs: [second.txt]
  other:
    cmd: echo other >> ../ran; cp other-in.txt other.txt
    deps: [other-in.txt]
    outs:
    - other.txt
""",
    "sub/dvc.yaml": """\
stages:
  below:
    cmd: echo below >> ../../ran; cp ../in.txt below.txt
    deps: [../in.txt]
    outs: [below.txt]
""",
    "in.txt": "1 one\n",
    "other-in.txt": "a\n",
}


def edited(*paths: str) -> Callable[[Path], None]:
    """The first character, which is all that `first` takes over, becomes another."""

    def prepare(side: Path) -> None:
        for path in paths:
            (side / path).write_text("2 two\n")

    return prepare


def edited_behind(side: Path) -> None:
    """What `first` writes stays the same."""
    (side / "in.txt").write_text("1 but not one\n")


def without_first(side: Path) -> None:
    """Its output is gone, from the cache as well."""
    (side / "first.txt").unlink()
    (side / ".dvc/cache/files/md5/c4/ca4238a0b923820dcc509a6f75849b").unlink()


def without_lock(side: Path) -> None:
    (side / "dvc.lock").unlink()


def only_at_the_remote(side: Path) -> None:
    """A remote holds all, and here neither outputs nor cache nor what ran: a new clone."""
    store = side.parent / "store"
    shutil.copytree(side / ".dvc/cache/files", store / "files")
    shutil.copytree(side / ".dvc/cache/runs", store / "runs")
    shutil.rmtree(side / ".dvc/cache")
    (side / ".dvc/config").write_text(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
    )
    for name in ("first.txt", "second.txt", "other.txt"):
        (side / name).unlink()


def changed_back_at_the_remote(side: Path) -> None:
    """As `only_at_the_remote`, and dvc.lock says something else: the run cache has to be asked."""
    only_at_the_remote(side)
    without_lock(side)


def first_fails(side: Path) -> None:
    text = (side / "dvc.yaml").read_text()
    (side / "dvc.yaml").write_text(text.replace("head -c 1 in.txt > first.txt", "exit 3"))
    (side / "other-in.txt").write_text("b\n")


def as_it_is(side: Path) -> None:
    pass


@dataclass(frozen=True)
class Case:
    """Steps in which an option makes a difference.

    `code` and `plain` are nbexp's exit codes with and without it; where they are not 0, DVC's are 255.
    """

    option: str
    words: tuple[str, ...]
    without: tuple[str, ...] = ()
    start: str = "fresh"
    prepare: Callable[[Path], None] = as_it_is
    code: int = 0
    plain: int = 0

    def __str__(self) -> str:
        return self.option


BOTH = [
    Case("targets", ("first",)),
    Case("--force", ("--force",), start="done"),
    Case("--interactive", ("--interactive",), code=2),
    Case("--single-item", ("--single-item", "second"), ("second",), "done", edited("in.txt")),
    Case("--pipeline", ("--pipeline", "first"), ("first",)),
    Case("--all-pipelines", ("--all-pipelines",)),
    Case("--recursive", ("--recursive", "sub"), ("sub",), plain=3),
    Case(
        "--downstream",
        ("--downstream", "first"),
        ("first",),
        "done",
        edited("in.txt", "other-in.txt"),
    ),
    Case("--force-downstream", ("--force-downstream",), (), "done", edited_behind),
    Case("--allow-missing", ("--allow-missing",), (), "done", without_first),
    Case("--pull", ("--pull",), (), "done", only_at_the_remote),
    Case("--pull", ("--pull",), (), "done", changed_back_at_the_remote),
    Case("--dry", ("--dry", "first"), ("first",)),
    Case("--keep-going", ("--keep-going",), (), "done", first_fails, code=1, plain=1),
    Case("--ignore-errors", ("--ignore-errors",), (), "done", first_fails, plain=1),
]
REPRO = [
    *BOTH,
    Case("--glob", ("--glob", "f*t"), ("f*t",), plain=3),
    Case("--no-commit", ("--no-commit",)),
    Case("--no-run-cache", ("--no-run-cache",), (), "done", without_lock),
]


class Side:
    """A copy of the project, alone in a folder, and what a command left in it."""

    def __init__(self, root: Path, look: Look) -> None:
        self.root = root
        self.look = look

    def end(self) -> dict[str, object]:
        """How it ended: what ran, files, cache, run cache, experiments."""
        log = self.root.parent / RAN
        recorded = {}
        for name, one in self.look.recorded(self.root).items():
            baseline = self.look.tree(self.root, one.parents[0])
            recorded[name] = without_new_ignores(one, baseline)
        return {
            "ran": log.read_text().split() if log.exists() else [],
            "files": self.look.files(self.root),
            "cache": self.look.cache(self.root),
            "run cache": self.look.run_cache(self.root),
            "experiments": recorded,
        }


@pytest.fixture
def start(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    project: MakeProject,
    look: Look,
    git: RunGit,
) -> Callable[[str, str], Side]:
    """`start("done", "dvc")`: a copy of the project in that state; "done" is all reproduced, and committed."""
    kept = tmp_path_factory.getbasetemp() / "options"

    def made(state: str) -> Path:
        if not (kept / state).exists():
            root = project(PIPELINE)
            if state == "done":
                look.dvc("repro", "-P", cwd=root)
                git("add", "--all", cwd=root)
                git("commit", "--quiet", "--message=done", cwd=root)
            shutil.copytree(root, kept / state, symlinks=True)
        return kept / state

    def copy(state: str, name: str) -> Side:
        root = tmp_path / name / "project"
        shutil.copytree(made(state), root, symlinks=True)
        return Side(root, look)

    return copy


def ends(
    case: Case,
    label: str,
    words: tuple[str, ...],
    code: int,
    verb: str,
    start: Callable[[str, str], Side],
) -> tuple[dict[str, object], dict[str, object]]:
    """How DVC and nbexp end with these words after the verb."""
    found = []
    for tool in ("dvc", "nbexp"):
        side = start(case.start, f"{tool}-{label}")
        case.prepare(side.root)
        if tool == "dvc":
            command = ("exp", "run") if verb == "run" else ("repro",)
            side.look.dvc(*command, *words, cwd=side.root, code=255 if code else 0)
        else:
            side.look.nbexp(verb, *words, cwd=side.root, code=code)
        found.append(side.end())
    return found[0], found[1]


def agree(case: Case, verb: str, start: Callable[[str, str], Side]) -> None:
    name = ("-n", "one") if verb == "run" else ()
    seen = []
    for label, words, code in (
        ("with", case.words, case.code),
        ("without", case.without, case.plain),
    ):
        theirs, ours = ends(case, label, (*words, *name), code, verb, start)
        if verb == "run" and code:
            # A failed run is put back; DVC leaves it as it is (difference 10).
            theirs, ours = ({k: end[k] for k in ("ran", "experiments")} for end in (theirs, ours))
        assert differences(theirs, ours) == {}, words
        seen.append(theirs)
    assert seen[0] != seen[1], "the option changes nothing"


def test_several_stages_at_once_end_as_with_dvc(start: Callable[[str, str], Side]) -> None:
    """DVC has `--jobs` for experiments of its queue; in one run it takes and ignores it, and so the end is the same."""
    case = Case("--jobs", ("--jobs", "3", "-n", "one"))
    theirs, ours = ends(case, "with", case.words, 0, "run", start)
    ran = [end.pop("ran") for end in (theirs, ours)]
    assert sorted(ran[1]) == sorted(ran[0])
    assert differences(theirs, ours) == {}


@pytest.mark.parametrize("case", REPRO, ids=str)
def test_an_option_of_repro(case: Case, start: Callable[[str, str], Side]) -> None:
    agree(case, "repro", start)


@pytest.mark.parametrize("case", BOTH, ids=str)
def test_an_option_of_run(case: Case, start: Callable[[str, str], Side]) -> None:
    agree(case, "run", start)


@pytest.mark.parametrize("verb", ["run", "repro"])
def test_a_target_is_a_stage_a_file_or_tracked_data(
    verb: str, project: MakeProject, twins: MakeTwins, ran: Callable[[Path], list[str]]
) -> None:
    pair = twins(
        project(
            PIPELINE
            | {
                "sub/dvc.yaml": PIPELINE["sub/dvc.yaml"] + "  each:\n    foreach: [x, y]\n    do:\n"
                "      cmd: echo ${item} >> ../../ran; echo ${item} > ${item}.txt\n"
                "      outs:\n      - ${item}.txt\n"
            }
        )
    )
    for side in pair.sides:
        (side / "data.csv").write_text("1\n")
        pair.look.dvc("add", "--quiet", "data.csv", cwd=side)
        (side / "data.csv").write_text("2\n")
    dvc = ("exp", "run") if verb == "run" else ("repro",)
    for number, words in enumerate(
        (
            ("data.csv.dvc",),
            (":first",),
            ("sub/dvc.yaml:below", "other"),
            ("sub/dvc.yaml:each@y",),
            ("sub/dvc.yaml:each",),
            ("sub/dvc.yaml", "second"),
        )
    ):
        name = ("-n", f"run-{number}") if verb == "run" else ()
        pair.look.dvc(*dvc, *words, *name, cwd=pair.dvc_side)
        pair.look.nbexp(verb, *words, *name, cwd=pair.nbexp_side)
        assert sorted(ran(pair.nbexp_side)) == sorted(ran(pair.dvc_side)), words
        pair.agree_on_files()
    pair.agree_on_refs()
    pair.agree_on_cache()
    pair.look.dvc(*dvc, "no-such", cwd=pair.dvc_side, code=255)
    pair.look.nbexp(verb, "no-such", cwd=pair.nbexp_side, code=3)


def test_from_scratch_to_the_same_result(
    start: Callable[[str, str], Side], look: Look, ran: Callable[[Path], list[str]]
) -> None:
    """Outputs, cache and run cache deleted: `-f` makes all of it again, as it was, by either tool."""
    for tool in ("dvc", "nbexp"):
        side = start("done", tool)
        before = side.end()
        for name in ("first.txt", "second.txt", "other.txt", "sub/below.txt"):
            (side.root / name).unlink()
        shutil.rmtree(side.root / ".dvc/cache")
        (look.dvc if tool == "dvc" else look.nbexp)("repro", "-f", "-P", cwd=side.root)
        assert sorted(ran(side.root)) == ["below", "first", "other", "second"]
        assert differences(before, side.end()) == {}


def test_runs_and_repros_in_turn_by_either_tool(
    start: Callable[[str, str], Side], look: Look, ran: Callable[[Path], list[str]]
) -> None:
    """What one has reproduced half-way, the other goes on with."""
    root = start("fresh", "in-turn").root
    look.dvc("repro", "first", cwd=root)
    look.nbexp("repro", "-j", "2", cwd=root)
    assert sorted(ran(root)) == ["first", "other", "second"]
    look.dvc("repro", cwd=root)
    assert ran(root) == []
    edited("in.txt")(root)
    look.nbexp("repro", "-s", "first", cwd=root)
    look.dvc("repro", cwd=root)
    assert ran(root) == ["first", "second"]
    look.nbexp("repro", "-P", cwd=root)
    assert ran(root) == ["below"]
    assert look.status(root, "dvc") == look.status(root, "nbexp") == {}


def test_with_autostage_what_git_keeps_is_staged(
    start: Callable[[str, str], Side], look: Look, git: RunGit
) -> None:
    found = []
    for tool in ("dvc", "nbexp"):
        side = start("fresh", tool)
        (side.root / ".dvc/config").write_text("[core]\n    autostage = true\n")
        (look.dvc if tool == "dvc" else look.nbexp)("repro", "-P", cwd=side.root)
        found.append(git("status", "--porcelain", cwd=side.root).splitlines())
    assert sorted(found[1]) == sorted(found[0])
    assert "A  dvc.lock" in found[1]
