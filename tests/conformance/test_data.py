"""Tracked data under real DVC and under nbexp: the same files, objects and JSON, in both directions and in turn."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import MakeProject, MakeTwins, Ran, Twins, differences

DATA = {"data/a.txt": "a\n", "data/sub/b.txt": "b\n", "data/é ü.txt": "c\n", "raw.csv": "1\n"}
PIPELINE = (
    "stages:\n  count:\n    cmd: cat data/a.txt raw.csv > out.txt\n    deps: [data, raw.csv]\n"
    "    outs: [out.txt]\n"
)


@dataclass(frozen=True)
class Both:
    """The same data command under both tools, on two copies of one project."""

    pair: Twins

    def __call__(self, *words: str, refused: bool = False, here: str = ".") -> tuple[Ran, Ran]:
        """`dvc WORDS` and `nbexp data WORDS`; with `refused` both have to refuse."""
        look = self.pair.look
        asked = words[1:] if words[0] == "data" else words
        theirs = look.dvc(*words, cwd=self.pair.dvc_side / here, code=None)
        ours = look.nbexp("data", *asked, cwd=self.pair.nbexp_side / here, code=None)
        assert bool(theirs.returncode) == refused, theirs.stderr
        assert ours.returncode in ((2, 3) if refused else (0,)), ours.stderr
        return theirs, ours

    def json(self, *words: str) -> Any:
        """What both print, once the order that DVC leaves to chance is taken out."""
        theirs, ours = self(*words, "--json")
        found = ordered(json.loads(ours.stdout))
        assert found == ordered(json.loads(theirs.stdout))
        return found

    def agree(self, *, undo: bool = False) -> None:
        """Fail unless both sides hold the same files and objects, and each tool says the same of nbexp's.

        With `undo` nbexp may hold more objects: those that its undo points need.
        """
        __tracebackhide__ = True
        self.pair.agree_on_files()
        self.pair.agree_on_cache(undo=len(self.pair.only_ours()) if undo else 0)
        self.pair.agree_on_status()

    def commit(self, message: str = "data") -> None:
        self.pair.git("add", "--all")
        self.pair.git("commit", "--quiet", "--allow-empty", f"--message={message}")

    def state(self) -> tuple[object, object, object]:
        """All that DVC's side holds: files, objects and what Git sees."""
        side, look = self.pair.dvc_side, self.pair.look
        return look.files(side), look.cache(side), look.changes(side)


def ordered(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: ordered(found[key]) for key in sorted(found)}
    if isinstance(found, list):
        return sorted((ordered(one) for one in found), key=json.dumps)
    return found


@pytest.fixture
def both(project: MakeProject, twins: MakeTwins) -> Both:
    """A committed project with data that nothing tracks yet."""
    root = project({"dvc.yaml": "stages: {}\n"})
    pair = twins(root)
    for path, text in DATA.items():
        pair.write(path, text)
    return Both(pair)


@pytest.fixture
def tracked(both: Both) -> Both:
    """The same with the data tracked and committed, and a pipeline over it."""
    both("add", "data", "raw.csv")
    both.commit()
    return both


@pytest.fixture
def piped(tracked: Both) -> Both:
    """The same with a stage over it that has run."""
    tracked.pair.write("dvc.yaml", PIPELINE)
    tracked.pair.look.dvc("repro", "--quiet", cwd=tracked.pair.dvc_side)
    tracked.pair.look.nbexp("run", "--quiet", "-n", "one", cwd=tracked.pair.nbexp_side)
    tracked.commit("pipeline")
    return tracked


# --- add ----------------------------------------------------------------------------------------


def test_add_writes_the_bytes_of_dvc(both: Both) -> None:
    both.pair.write("run.sh", "#!/bin/sh\n", mode=0o755)
    both.pair.write("empty", "")
    both.pair.write("deep/er/x y.bin", b"\0\1")
    both("add", "data", "raw.csv", "run.sh", "empty", "deep/er/x y.bin")
    both.agree()
    assert "isexec: true" in (both.pair.nbexp_side / "run.sh.dvc").read_text()


def test_add_again_updates_and_keeps_what_was_written_by_hand(tracked: Both) -> None:
    for side in tracked.pair.sides:
        file = side / "raw.csv.dvc"
        text = (
            "# ours\n" + file.read_text() + "  desc: as it came   # in March\nmeta: {owner: Ada}\n"
        )
        file.write_text(text)
    tracked.pair.write("raw.csv", "1\n2\n")
    tracked("add", "raw.csv")
    tracked.agree()
    written = (tracked.pair.nbexp_side / "raw.csv.dvc").read_text()
    assert written.startswith("# ours\n") and "desc: as it came" in written


def test_one_more_file_of_a_tracked_directory(tracked: Both) -> None:
    tracked.pair.write("data/sub/new.txt", "new\n")
    tracked.pair.write("data/a.txt", "not this one\n")
    tracked("add", "data/sub/new.txt")
    tracked.agree()
    tracked.pair.delete("data/sub/b.txt")
    tracked("add", "data/sub/b.txt")
    tracked.agree()


def test_no_commit(both: Both) -> None:
    both("add", "--no-commit", "data")
    both.agree()
    assert both.pair.look.cache(both.pair.dvc_side) == {}
    both("commit", "data.dvc")
    both.agree()


def test_glob(both: Both) -> None:
    both("add", "--glob", "data/a*")
    both.agree()
    assert (both.pair.dvc_side / "data" / "a.txt.dvc").exists()
    both("add", "raw*", refused=True)


def test_out_and_force(both: Both, tmp_path: Path) -> None:
    far = tmp_path / "far.csv"
    far.write_text("far\n")
    both("add", str(far), "--out", "near.csv")
    left = both.pair.dvc_side.glob(".dvc/cache/files/md5/*.tmp")  # by DVC, of the download
    for path in left:
        path.unlink()
    both.agree()
    far.write_text("farther\n")
    both("add", str(far), "--out", "near.csv", refused=True)
    both("add", str(far), "--out", "near.csv", "--force")
    both.pair.agree_on_files()
    assert (both.pair.nbexp_side / "near.csv").read_text() == "farther\n"


def test_no_relink(both: Both) -> None:
    for side in both.pair.sides:
        (side / ".dvc" / "config").write_text("[cache]\n    type = hardlink\n")
    both("add", "data")
    both("add", "--no-relink", "raw.csv")
    both.agree()
    links = {
        path: (both.pair.dvc_side / path).stat().st_nlink for path in ("data/a.txt", "raw.csv")
    }
    assert links == {"data/a.txt": 2, "raw.csv": 1}
    ours = {path: (both.pair.nbexp_side / path).stat().st_nlink for path in links}
    assert ours == links


@pytest.mark.parametrize(
    "words",
    [
        ["nothing.csv"],
        ["data/nothing.txt"],
        ["data/deep/nothing"],
        ["../outside.csv"],
        ["dvc.yaml"],
        ["link/inside.csv"],
        ["out.txt"],
        ["up"],
    ],
    ids=[
        "missing",
        "never in it",
        "never in a part",
        "outside",
        "in Git",
        "through a link",
        "of a stage",
        "over another",
    ],
)
def test_what_dvc_refuses_is_refused(tracked: Both, words: list[str]) -> None:
    for side in tracked.pair.sides:
        (side.parent / "outside.csv").write_text("1\n")
        (side / "up" / "in").mkdir(parents=True)
        (side / "up" / "in" / "x").write_text("x\n")
        (side / "link").symlink_to("up")
        (side / "up" / "inside.csv").write_text("1\n")
        (side / "out.txt").write_text("made\n")
    tracked("add", "up/in")
    if words == ["out.txt"]:
        tracked.pair.write("dvc.yaml", PIPELINE)
    before = tracked.pair.look.files(tracked.pair.nbexp_side)
    tracked("add", *words, refused=True)
    assert tracked.pair.look.files(tracked.pair.nbexp_side) == before


# --- checkout -----------------------------------------------------------------------------------


def test_checkout_brings_back_what_is_missing(tracked: Both) -> None:
    tracked.pair.delete("data", "raw.csv")
    theirs, ours = tracked("checkout")
    assert ours.stdout == theirs.stdout == "A       data/\nA       raw.csv\n"
    tracked.agree()


def test_summary(tracked: Both) -> None:
    tracked.pair.delete("data/a.txt", "raw.csv")
    theirs, ours = tracked("checkout", "--summary")
    assert theirs.stdout == ours.stdout == "2 files added\n"
    assert tracked("checkout", "--summary")[1].stdout == "No changes.\n"


def test_checkout_of_targets(tracked: Both) -> None:
    tracked.pair.delete("data", "raw.csv")
    tracked("checkout", "raw.csv.dvc")
    tracked.agree()
    assert not (tracked.pair.nbexp_side / "data").exists()
    tracked("checkout", "data/sub")
    tracked.agree()
    assert os.listdir(tracked.pair.nbexp_side / "data") == ["sub"]
    tracked("checkout", "data")
    tracked.agree(undo=True)
    tracked("checkout", "no such thing", refused=True)


def test_checkout_after_git_checkout(tracked: Both) -> None:
    tracked.pair.write("data/a.txt", "other\n")
    tracked.pair.write("data/new.txt", "new\n")
    tracked.pair.delete("data/sub")
    tracked("add", "data")
    tracked.commit("second")
    tracked.pair.git("checkout", "--quiet", "HEAD~1")
    theirs, ours = tracked("checkout")
    assert ours.stdout == theirs.stdout == "M       data/\n"
    tracked.agree()
    tracked.pair.git("checkout", "--quiet", "main")
    tracked("checkout")
    tracked.agree()


def test_data_that_a_branch_does_not_have_goes(tracked: Both) -> None:
    tracked.pair.write("more.csv", "more\n")
    tracked("add", "more.csv")
    tracked.commit("more")
    tracked("checkout")
    tracked.pair.git("checkout", "--quiet", "HEAD~1")
    theirs, ours = tracked("checkout")
    assert ours.stdout == theirs.stdout == "D       more.csv\n"
    tracked.agree()


def test_with_deps_and_recursive(piped: Both) -> None:
    tracked = piped
    tracked.pair.write("more/x.csv", "x\n")
    tracked("add", "more/x.csv")
    tracked.pair.delete("data", "raw.csv", "out.txt", "more/x.csv")
    tracked("checkout", "count")
    assert not (tracked.pair.dvc_side / "data").exists()
    tracked.pair.agree_on_files()
    tracked("checkout", "--with-deps", "count")
    tracked.pair.agree_on_files()
    assert (tracked.pair.dvc_side / "data").exists()
    tracked("checkout", "more", refused=True)
    tracked("checkout", "--recursive", "more")
    tracked.pair.agree_on_files()
    assert (tracked.pair.nbexp_side / "more" / "x.csv").read_text() == "x\n"


def test_edits_that_nothing_holds_stop_checkout_unless_forced(tracked: Both) -> None:
    tracked.pair.write("data/a.txt", "mine\n")
    tracked.pair.write("data/new.txt", "mine too\n")
    tracked("checkout", refused=True)
    tracked.agree()
    tracked("checkout", "--force")
    tracked.agree(undo=True)
    tracked.pair.look.nbexp("undo", cwd=tracked.pair.nbexp_side)
    assert (tracked.pair.nbexp_side / "data" / "new.txt").read_text() == "mine too\n"
    assert (tracked.pair.nbexp_side / "data" / "a.txt").read_text() == "mine\n"


@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy"])
def test_relink(tracked: Both, kind: str) -> None:
    before = "hardlink" if kind == "copy" else "copy"
    for side, after in ((s, k) for k in (before, kind) for s in tracked.pair.sides):
        (side / ".dvc" / "config").write_text(f"[cache]\n    type = {after}\n")
        program, words = (
            (tracked.pair.look.dvc, ["checkout"])
            if side == tracked.pair.dvc_side
            else (tracked.pair.look.nbexp, ["data", "checkout"])
        )
        program(*words, "--relink", cwd=side)
    tracked("checkout")
    looks = [linked(side) for side in tracked.pair.sides]
    assert looks[0] == looks[1]
    assert (
        looks[1]["data/a.txt"][0] == {"hardlink": "shared", "symlink": "link", "copy": "own"}[kind]
    )
    tracked.pair.agree_on_status()


def linked(root: Path) -> dict[str, tuple[str, int]]:
    found = {}
    for path in DATA:
        place = root / path
        kind = "link" if place.is_symlink() else "shared" if place.stat().st_nlink > 1 else "own"
        found[path] = (kind, place.stat().st_mode & 0o777)
    return found


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_unprotect(both: Both, kind: str) -> None:
    for side in both.pair.sides:
        (side / ".dvc" / "config").write_text(f"[cache]\n    type = {kind}\n")
    both("add", "data", "raw.csv")
    before = linked(both.pair.dvc_side)
    both("unprotect", "data", "raw.csv")
    looks = [linked(side) for side in both.pair.sides]
    assert looks[1] == looks[0]
    assert looks[0] != before
    assert {how for how, _ in looks[1].values()} == {"own"}
    both.agree()


def test_allow_missing(tracked: Both) -> None:
    for side in tracked.pair.sides:
        shutil.rmtree(side / ".dvc" / "cache" / "files" / "md5" / "b0")  # raw.csv's
    tracked.pair.delete("data", "raw.csv")
    tracked("checkout", refused=True)
    tracked.pair.agree_on_files()
    assert (tracked.pair.nbexp_side / "data" / "a.txt").exists()
    tracked("checkout", "--allow-missing")
    tracked.pair.agree_on_files()


# --- commit -------------------------------------------------------------------------------------


def test_commit_takes_edits_with_force_only(tracked: Both) -> None:
    tracked.pair.write("raw.csv", "9\n")
    tracked("commit", refused=True)
    tracked.agree()
    tracked("commit", "--force", "raw.csv.dvc")
    tracked.agree()


def test_commit_of_a_stage_and_of_what_it_reads(piped: Both) -> None:
    tracked = piped
    tracked.pair.write("out.txt", "by hand\n")
    tracked.pair.write("raw.csv", "9\n")
    tracked("commit", "--force", "count")
    tracked.agree()
    assert "raw.csv" in json.dumps(tracked.pair.agree_on_status())
    tracked("commit", "--force", "--with-deps", "count")
    tracked.agree()
    assert tracked.pair.agree_on_status() == {}


@pytest.mark.parametrize("gone", ["raw.csv", "data", "params.yaml", "out.txt"])
def test_commit_of_a_stage_whose_files_are_gone_is_refused(piped: Both, gone: str) -> None:
    """An entry without the dep would say that the stage needs nothing else."""
    piped.pair.write("params.yaml", "lr: 1\n")
    piped.pair.replace("dvc.yaml", "    outs:", "    params: [lr]\n    outs:")
    piped("commit", "count", "--force")
    piped.agree()
    piped.pair.delete(gone)
    before = piped.pair.look.files(piped.pair.nbexp_side)
    piped("commit", "count", "--force", refused=True)
    assert piped.pair.look.files(piped.pair.nbexp_side) == before


def test_commit_of_a_stage_without_outputs(both: Both) -> None:
    both.pair.write(
        "dvc.yaml", "stages:\n  look: {cmd: cat raw.csv, deps: [raw.csv]}\n  say: {cmd: echo}\n"
    )
    both("commit", "--force", "look")
    both.agree()
    assert "raw.csv" in (both.pair.nbexp_side / "dvc.lock").read_text()
    both.pair.write("raw.csv", "other\n")
    both("commit", "--force")
    both.agree()


def test_a_directory_without_stages_is_nothing_to_do(tracked: Both) -> None:
    """`repro` says so instead: DVC runs everything then."""
    pair = tracked.pair
    pair.write("empty/notes.txt", "")
    for words in (("checkout",), ("commit",), ("fetch",)):
        tracked(*words, "--recursive", "empty")
    for program, side in ((pair.look.dvc, pair.dvc_side), (pair.look.nbexp, pair.nbexp_side)):
        assert program("status", "--json", "-R", "empty", cwd=side).stdout.strip() == "{}"
        assert program("stage", "list", "-R", "empty", cwd=side).stdout.strip() == ""
    refused = pair.look.nbexp("repro", "-R", "empty", cwd=pair.nbexp_side, code=3)
    assert refused.stderr == "There are no stages in `empty`. Nothing was run.\n"
    tracked.agree()


def test_commit_of_imports_whose_source_is_another_by_now(both: Both) -> None:
    """Who takes their data as it is, takes it for that of the source as it is: in the project, and outside of it."""
    pair = both.pair
    for name, source in (("inner", "source.txt"), ("outer", "../source.txt")):
        write_import(pair, name, source)
    both.commit()
    for text in ("new\n", "newer\n"):
        for path in ("source.txt", "../source.txt", "inner", "outer"):
            pair.write(path, f"{path} {text}")
        both("commit", "--force", "inner.dvc")
        pair.look.dvc("repro", "outer.dvc", cwd=pair.dvc_side)
        pair.look.nbexp("repro", "outer.dvc", cwd=pair.nbexp_side)
        both.agree()
    held = (pair.nbexp_side / "outer.dvc").read_text()
    assert hashlib.md5(b"../source.txt newer\n", usedforsecurity=False).hexdigest() in held


def write_import(pair: Twins, name: str, source: str) -> None:
    old = "md5: 60b725f10c9c85c70d97880dfe8191b3\n  size: 2\n  hash: md5\n"
    for side in pair.sides:
        (side / f"{name}.dvc").write_text(
            f"md5: 7521fd71915fcadc7ee648f2309e9f60\nfrozen: true\ndeps:\n- {old}  path: {source}\n"
            f"outs:\n- {old}  path: {name}\n"
        )


def test_commit_recursive_and_without_links(tracked: Both) -> None:
    for side in tracked.pair.sides:
        (side / ".dvc" / "config").write_text("[cache]\n    type = hardlink\n")
    tracked.pair.write("more/x.csv", "x\n")
    tracked.pair.write("more/y.csv", "y\n")
    tracked("add", "--no-commit", "more/x.csv", "more/y.csv")
    tracked("commit", "more", refused=True)
    tracked("commit", "--no-relink", "more/y.csv.dvc")
    tracked("commit", "--recursive", "more")
    tracked.agree()
    links = [(side / "more" / "x.csv").stat().st_nlink for side in tracked.pair.sides]
    assert links == [2, 2]


# --- status and diff ----------------------------------------------------------------------------


def change(both: Both) -> None:
    """One change of each kind: edited, added, deleted, renamed, and one file that nobody tracks."""
    both.pair.write("data/a.txt", "edited\n")
    both.pair.write("data/new.txt", "new\n")
    for side in both.pair.sides:
        (side / "data" / "sub" / "b.txt").rename(side / "data" / "moved.txt")
        (side / "raw.csv").unlink()
    both.pair.write("loose.txt", "loose\n")


def test_data_status(tracked: Both) -> None:
    assert tracked.json("data", "status") == {}
    assert tracked.json("data", "status", "--unchanged") == {"unchanged": ["data/", "raw.csv"]}
    change(tracked)
    plain = tracked.json("data", "status")
    granular = tracked.json("data", "status", "--granular")
    assert plain != granular
    assert granular["uncommitted"]["renamed"] == [
        {"new": "data/moved.txt", "old": "data/sub/b.txt"}
    ]
    everything = tracked.json("data", "status", "--granular", "--unchanged", "--untracked-files")
    assert everything["untracked"] == ["loose.txt"]
    assert everything["unchanged"] == ["data/é ü.txt"]
    one = tracked.json("data", "status", "--granular", "data/sub")
    assert list(one) == ["uncommitted"]
    tracked("add", "data")
    assert "committed" in tracked.json("data", "status", "--granular")


def test_data_status_when_the_cache_lacks_something(tracked: Both) -> None:
    for side in tracked.pair.sides:
        listing = next((side / ".dvc" / "cache").rglob("*.dir"))
        listing.unlink()
    assert tracked.json("data", "status", "--granular") != {}
    change(tracked)
    tracked.json("data", "status", "--granular")
    tracked.json("data", "status")
    tracked.json("diff")


def test_diff(tracked: Both) -> None:
    assert tracked.json("diff") == {}
    change(tracked)
    found = tracked.json("diff")
    assert found["renamed"] == [{"path": {"new": "data/moved.txt", "old": "data/sub/b.txt"}}]
    assert tracked.json("diff", "--show-hash") != found
    theirs, ours = tracked("diff", "--md", "--show-hash")
    assert ours.stdout.rstrip("\n") == theirs.stdout.rstrip("\n")
    theirs, ours = tracked("diff")
    assert ours.stdout == theirs.stdout
    for side in tracked.pair.sides:
        shutil.rmtree(side / ".dvc" / "cache" / "files" / "md5" / "b0")
    assert tracked.json("diff")["not in cache"] == [{"path": "raw.csv"}]
    assert "not in cache" not in tracked.json("diff", "--hide-missing")
    assert tracked.json("diff", "--targets", "data/a.txt")["modified"] == [{"path": "data/a.txt"}]


def test_diff_of_two_commits(tracked: Both) -> None:
    change(tracked)
    tracked("add", "data")
    tracked.commit("second")
    assert tracked.json("diff", "HEAD~1", "HEAD")["added"] == [{"path": "data/new.txt"}]
    assert tracked.json("diff", "HEAD", "HEAD~1")["deleted"] == [{"path": "data/new.txt"}]
    tracked("diff", "no-such-commit", refused=True)


# --- gc -----------------------------------------------------------------------------------------


@pytest.fixture
def grown(tracked: Both) -> Both:
    """Three versions of the data on main, one of them tagged, one more on a branch, one never committed."""
    for number, name in enumerate(["one", "two", "three"]):
        tracked.pair.write("raw.csv", f"{number + 5}\n")
        tracked("add", "raw.csv")
        if name == "three":
            tracked.pair.git("checkout", "--quiet", "-b", "other")
        tracked.commit(name)
        if name == "one":
            tracked.pair.git("tag", "v1")
    tracked.pair.git("checkout", "--quiet", "main")
    tracked.pair.write("raw.csv", "never\n")
    tracked("add", "raw.csv")
    tracked.pair.git("checkout", "--quiet", ".")
    tracked("checkout")
    # An undo point would keep more than DVC does, which has none.
    side, look = tracked.pair.nbexp_side, tracked.pair.look
    for ref in look.refs(side, "refs/nbexp/"):
        look.git("update-ref", "-d", ref, cwd=side)
    return tracked


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--workspace"], 5),
        (["--all-branches"], 6),
        (["--all-tags"], 6),
        (["--all-commits"], 8),
        (["--rev", "HEAD", "--num", "2"], 6),
        (["--all-branches", "--num", "2"], 7),
        (["--date", "2023-11-01"], 8),
        (["--date", "2030-01-01"], 5),
        (["--all-experiments"], 5),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else str(words),
)
def test_gc_keeps_what_is_asked_for(grown: Both, words: list[str], left: int) -> None:
    grown("gc", *words, "--force")
    grown.agree()
    assert len(grown.pair.look.cache(grown.pair.dvc_side)) == left


def test_gc_shows_and_removes_nothing_unless_told_to(grown: Both) -> None:
    before = grown.state()
    grown("gc", "--workspace", "--dry")
    grown("gc", "--workspace", "--dry", "--force")
    assert grown.state() == before
    ours = grown.pair.look.nbexp("data", "gc", "-w", cwd=grown.pair.nbexp_side)
    assert "Nothing was removed. The same with --yes removes it for good." in ours.stdout
    grown.agree()
    grown("gc", refused=True)


def test_gc_keeps_what_other_projects_need(grown: Both, look: Any) -> None:
    for side in grown.pair.sides:
        other = side.parent / "second"
        shutil.copytree(side, other, symlinks=True, ignore=shutil.ignore_patterns("cache", "tmp"))
        look.git("checkout", "--quiet", "other", cwd=other)
    grown("gc", "--workspace", "--force", "--projects", "../second")
    grown.agree()
    assert len(look.cache(grown.pair.nbexp_side)) == 6


def test_gc_goes_on_where_a_commit_cannot_be_read(grown: Both) -> None:
    grown.pair.git("checkout", "--quiet", "-b", "broken", "main")
    grown.pair.write("raw.csv.dvc", "outs: [\n")
    grown.commit("broken")
    grown.pair.git("checkout", "--quiet", "main")
    grown("gc", "--all-branches", "--force", refused=True)
    grown("gc", "--all-branches", "--force", "--skip-failed")
    grown.agree()


def test_what_gc_of_nbexp_keeps_dvc_can_still_bring_back(piped: Both) -> None:
    """Experiments, undo points and the history asked for: each is restored by its tool afterwards."""
    side, look = piped.pair.nbexp_side, piped.pair.look
    (side / "raw.csv").write_text("tried\n")
    look.nbexp("run", "--quiet", "-n", "two", cwd=side)
    (side / "raw.csv").write_text("tried again\n")
    look.nbexp("data", "checkout", "--force", "raw.csv", cwd=side)
    look.nbexp("data", "gc", "-w", "--yes", cwd=side)
    look.nbexp("undo", cwd=side)
    assert (side / "raw.csv").read_text() == "tried again\n"
    for name in ("two",):
        look.dvc("exp", "apply", name, cwd=side)
        assert look.status(side, "dvc") == {}
        assert (side / "out.txt").exists()


# --- Either continues what the other began ------------------------------------------------------


Step = Callable[[Path], object]


def test_both_in_turn_on_one_clone(tracked: Both) -> None:
    """Each command by the one and by the other in turn; after each, both call the data clean."""
    side, look = tracked.pair.nbexp_side, tracked.pair.look

    def dvc(*words: str) -> None:
        look.dvc(*words, cwd=side)

    def ours(*words: str) -> None:
        look.nbexp("data", *words, cwd=side)

    edits: Mapping[str, str] = {"data/a.txt": "1\n", "data/n.txt": "2\n", "raw.csv": "3\n"}
    for number, tools in enumerate([(dvc, ours), (ours, dvc), (dvc, ours)]):
        first, second = tools
        for path, text in edits.items():
            (side / path).unlink(missing_ok=True)
            (side / path).write_text(f"{number}{text}")
        first("add", "data")
        second("commit", "--force", "raw.csv.dvc")
        shutil.rmtree(side / "data")
        (side / "raw.csv").unlink()
        second("checkout", "data")
        first("checkout")
        assert (side / "data" / "n.txt").read_text() == f"{number}2\n"
        for tool in ("dvc", "nbexp"):
            stages = look.status(side, tool)
            assert [name for name in stages if name.endswith(".dvc")] == []
        look.git("commit", "--quiet", "--all", f"--message={number}", cwd=side)
    assert json.loads(look.dvc("data", "status", "--json", cwd=side).stdout) == {}
    assert json.loads(look.nbexp("data", "status", "--json", cwd=side).stdout) == {}


def test_data_of_dvc_2_is_read_and_stays_as_it_is(tracked: Both) -> None:
    """Hashes without `hash: md5`, objects in `<2>/<30>`, carriage returns not counted."""
    for side in tracked.pair.sides:
        legacy = "dd8c6a395b5dd36c56d23275028f526c"  # of a\\nb\\n, which counts for a\\r\\nb\\r\\n
        place = side / ".dvc" / "cache" / legacy[:2] / legacy[2:]
        place.parent.mkdir(parents=True)
        place.write_bytes(b"a\r\nb\r\n")
        place.chmod(0o444)
        (side / "old.txt.dvc").write_text(f"outs:\n- md5: {legacy}\n  size: 6\n  path: old.txt\n")
        (side / ".gitignore").write_text((side / ".gitignore").read_text() + "/old.txt\n")
    tracked("checkout")
    tracked.agree()
    assert (tracked.pair.nbexp_side / "old.txt").read_bytes() == b"a\r\nb\r\n"
    tracked("commit", "--force", "old.txt.dvc")
    tracked.agree()
    assert tracked.json("data", "status", "--granular") != {}


def test_dvcignore_counts_everywhere(both: Both) -> None:
    both.pair.write(".dvcignore", "*.tmp\n")
    both.pair.write("data/x.tmp", "not this\n")
    both("add", "data")
    both.agree()
    both.pair.write("data/x.tmp", "nor this\n")
    both.pair.delete("data/a.txt")
    both("checkout")
    both.agree(undo=True)
    assert (both.pair.nbexp_side / "data" / "x.tmp").read_text() == "nor this\n"


def test_a_cache_elsewhere(both: Both) -> None:
    for side in both.pair.sides:
        (side / ".dvc" / "config").write_text("[cache]\n    dir = ../../shared\n")
    both("add", "data")
    places = [side.parent / "shared" for side in both.pair.sides]
    found = [
        {path.relative_to(place).as_posix(): path.stat().st_mode for path in place.rglob("*")}
        for place in places
    ]
    assert differences(found[0], found[1]) == {}
    assert any(name.endswith(".dir") for name in found[1])
    both.pair.agree_on_files()


def test_a_cache_of_a_group(both: Both) -> None:
    for side in both.pair.sides:
        (side / ".dvc" / "config").write_text("[cache]\n    shared = group\n")
    both("add", "data", "raw.csv")
    both.pair.write("dvc.yaml", PIPELINE)
    both.pair.look.dvc("repro", "--quiet", cwd=both.pair.dvc_side)
    both.pair.look.nbexp("repro", "--quiet", cwd=both.pair.nbexp_side)
    both.agree()  # the modes of run-cache entries, too
    assert {mode for mode, _ in both.pair.look.run_cache(both.pair.nbexp_side).values()} == {0o664}
    folders = [
        {
            p.relative_to(s).as_posix(): p.stat().st_mode
            for p in (s / ".dvc/cache").rglob("*")
            if p.is_dir()
        }
        for s in both.pair.sides
    ]
    assert differences(folders[0], folders[1]) == {}


# --- With a remote ------------------------------------------------------------------------------


@pytest.fixture
def shared(tracked: Both) -> Both:
    """Each side with a remote folder beside it that has the data, and a second, empty one."""
    for side in tracked.pair.sides:
        (side / ".dvc" / "config").write_text(
            "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
            "['remote \"second\"']\n    url = ../../second\n"
        )
    tracked.commit("remote")
    tracked.pair.look.dvc("push", "--quiet", cwd=tracked.pair.dvc_side)
    tracked.pair.look.nbexp("data", "push", "--quiet", cwd=tracked.pair.nbexp_side)
    return tracked


def stored(both: Both, name: str = "store") -> list[list[str]]:
    """The objects of each side's remote, without what DVC's transfers leave."""
    folders = [side.parent / name for side in both.pair.sides]
    return [
        sorted(
            path.relative_to(one).as_posix()
            for path in one.rglob("*")
            if path.is_file() and path.suffix != ".tmp"
        )
        for one in folders
    ]


def test_data_goes_to_a_remote_and_not_into_the_cache(shared: Both, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (far / "x.bin").write_bytes(b"x" * 100)
    (far / "y.bin").write_bytes(b"y" * 100)
    shared("add", str(far), "--to-remote", "--remote", "second", "--remote-jobs", "2")
    shared("add", str(far / "x.bin"), "--to-remote", "--out", "near.bin")
    theirs, ours = shared.state()[1], shared.pair.look.cache(shared.pair.nbexp_side)
    assert {name for name in theirs if not name.endswith(".tmp")} == set(ours)
    shared.pair.agree_on_files()
    for name, count in (("second", 3), ("store", 6)):
        dvcs, mine = stored(shared, name)
        assert mine == dvcs
        assert len(mine) == count


def test_what_the_remote_lacks(shared: Both) -> None:
    assert shared.json("data", "status", "--not-in-remote") == {}
    shared.pair.write("data/more.txt", "more\n")
    shared("add", "data")
    found = shared.json("data", "status", "--not-in-remote", "--granular")
    assert found["not_in_remote"] == ["data/", "data/more.txt"]
    plain = shared.json("data", "status", "--not-in-remote", "--no-remote-refresh")
    assert plain["not_in_remote"] == ["data/"]
    second = shared.json("data", "status", "--not-in-remote", "--remote", "second")
    assert second["not_in_remote"] == ["data/", "raw.csv"]


def forget_undo_points(both: Both) -> None:
    side, look = both.pair.nbexp_side, both.pair.look
    for ref in look.refs(side, "refs/nbexp/"):
        look.git("update-ref", "-d", ref, cwd=side)


def test_gc_of_the_remote(shared: Both) -> None:
    shared.pair.write("raw.csv", "newer\n")
    shared("add", "raw.csv")
    forget_undo_points(shared)
    shared("gc", "--workspace", "--cloud", "--force", "--jobs", "2")
    shared.agree()
    theirs, ours = stored(shared)
    assert ours == theirs
    assert len(ours) == 4
    shared("gc", "--workspace", "--cloud", "--remote", "nowhere", "--force", refused=True)


def test_gc_of_what_the_remote_has(shared: Both) -> None:
    shared.pair.write("raw.csv", "newer\n")
    shared("add", "raw.csv")
    forget_undo_points(shared)
    shared("gc", "--workspace", "--not-in-remote", "--force")
    shared.pair.agree_on_cache()
    assert len(shared.pair.look.cache(shared.pair.nbexp_side)) == 1
