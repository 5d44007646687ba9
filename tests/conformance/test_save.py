"""`save` beside `dvc exp save`: the same trees, messages, files and JSON; each option changes them under both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, RunGit, Twins

FILES = {
    "dvc.yaml": """\
params: [more.yaml]
metrics: [scores.json]
stages:
  first:
    cmd: cp in.txt first.txt
    deps: [in.txt]
    params: [lr]
    outs: [first.txt]
  second:
    cmd: wc -c first.txt > second.txt; echo '{"acc":1}' > acc.json
    deps: [first.txt]
    outs: [second.txt]
    metrics: [{acc.json: {cache: false}}]
""",
    "sub/dvc.yaml": """\
stages:
  below:
    cmd: cp ../in.txt below.txt
    deps: [../in.txt]
    outs: [below.txt]
""",
    "params.yaml": "lr: 0.1\n",
    "in.txt": "one\n",
    ".gitignore": "*.log\n",
}


@pytest.fixture
def pair(project: MakeProject, twins: MakeTwins, look: Look, git: RunGit) -> Twins:
    """Two copies in which all stages have run, with edits since that nothing has recorded."""
    root = project(FILES)
    look.dvc("repro", "-q", "-P", cwd=root)
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=done", cwd=root)
    made = twins(root)
    # By hand: outputs and a tracked file change, and there are files that Git does not know.
    for path in ("first.txt", "sub/below.txt", "acc.json"):
        for side in made.sides:
            (side / path).chmod(0o644)
        made.write(path, '{"acc": 2}' if path.endswith("json") else "by hand\n")
    made.write("params.yaml", "lr: 0.2\n")
    made.write("notes.md", "seen\n")
    made.write("figures/one.svg", "<svg/>\n")
    made.write("deep.log", "ignored\n")
    made.write("scores.json", '{"f1": 0.5}')
    made.write("more.yaml", "depth: 3\n")
    return made


def saved(pair: Twins, *words: str, code: int = 0) -> list[str]:
    """Save on both sides; what each printed."""
    theirs = pair.look.dvc("exp", "save", *words, cwd=pair.dvc_side, code=1 if code else 0)
    ours = pair.look.nbexp("save", *words, cwd=pair.nbexp_side, code=code)
    return [theirs.stdout + theirs.stderr, ours.stdout + ours.stderr]


def without_pickle(pair: Twins) -> None:
    """Take DVC's `.dvc/tmp/repro.dat` out of its experiments, which it puts there by mistake."""
    look, side = pair.look, pair.dvc_side
    for path, rev in look.experiments(side).items():
        if ".dvc/tmp/repro.dat" in look.tree(side, rev):
            env = {"GIT_INDEX_FILE": str(side / ".git" / "other-index")}
            look.git("read-tree", rev, cwd=side, env=env)
            look.git("rm", "--quiet", "--cached", ".dvc/tmp/repro.dat", cwd=side, env=env)
            tree = look.git("write-tree", cwd=side, env=env).strip()
            raw = look.git("cat-file", "commit", rev, cwd=side)
            old = raw.split("\n", 1)[0].removeprefix("tree ")
            new = look.git(
                "hash-object", "-w", "-t", "commit", "--stdin",
                cwd=side, stdin=raw.replace(old, tree, 1),
            ).strip()  # fmt: skip
            look.git("update-ref", f"refs/exps/{path}", new, cwd=side)


def agree(pair: Twins) -> None:
    without_pickle(pair)
    pair.agree_on_refs()
    pair.agree_on_files()
    pair.agree_on_cache(undo=len(pair.only_ours()))
    pair.agree_on_status()
    pair.agree_on_table()


@dataclass(frozen=True)
class Case:
    """Words that make a difference, in the state that `prepare` leaves."""

    option: str
    words: tuple[str, ...]
    without: tuple[str, ...] = ("-n", "one")

    def __str__(self) -> str:
        return self.option


CASES = [
    Case("targets", ("-n", "one", "first")),
    Case("several targets", ("-n", "one", "second", "sub/dvc.yaml:below")),
    Case("--recursive", ("-n", "one", "--recursive", "sub")),
    Case("--name", ("-n", "other")),
    Case("--message", ("-n", "one", "-m", "by hand:\n\ntwo lines")),
    Case("--include-untracked", ("-n", "one", "-I", "notes.md", "--include-untracked", "figures")),
    Case("an ignored file", ("-n", "one", "-I", "deep.log")),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_option_of_save(case: Case, pair: Twins) -> None:
    saved(pair, *case.words)
    agree(pair)
    with_it = pair.look.recorded(pair.dvc_side), pair.look.files(pair.dvc_side)
    for side in pair.sides:
        for path in pair.look.experiments(side):
            pair.look.git("update-ref", "-d", f"refs/exps/{path}", cwd=side)
        pair.look.git("checkout", "--quiet", "dvc.lock", "sub/dvc.lock", cwd=side)
    saved(pair, *case.without)
    without = pair.look.recorded(pair.dvc_side), pair.look.files(pair.dvc_side)
    without_pickle(pair)
    pair.agree_on_refs()
    assert with_it != without, "the option changes nothing"


def test_a_taken_name_is_refused_and_replaced_with_force(pair: Twins, git: RunGit) -> None:
    saved(pair, "-n", "one")
    pair.write("in.txt", "two\n")
    before = [pair.look.files(side) for side in pair.sides]
    told = saved(pair, "-n", "one", code=3)
    assert "conflicts with existing experiment 'one'" in told[0]
    assert "Experiment `one` already exists on baseline" in told[1]
    assert "`nbexp save -n one --force` replaces it" in told[1]
    assert [pair.look.files(side) for side in pair.sides][1] == before[1]
    old = pair.look.experiments(pair.nbexp_side)
    saved(pair, "-n", "one", "--force")
    agree(pair)
    assert pair.look.experiments(pair.nbexp_side) != old
    trash = pair.look.refs(pair.nbexp_side, "refs/nbexp/trash")
    assert [*trash.values()] == [*old.values()]


def test_the_json_is_dvcs(pair: Twins) -> None:
    theirs, ours = (
        json.loads(run.stdout.splitlines()[-1])
        for run in (
            pair.look.dvc("exp", "save", "-n", "one", "--json", cwd=pair.dvc_side),
            pair.look.nbexp("save", "-n", "one", "--json", cwd=pair.nbexp_side),
        )
    )
    assert theirs == {"ref": pair.look.experiments(pair.dvc_side).popitem()[1]}
    assert ours["ref"] == pair.look.experiments(pair.nbexp_side).popitem()[1]


def test_untracked_files_are_left_out_and_named(pair: Twins) -> None:
    theirs, ours = saved(pair, "-n", "one")
    for path in ("notes.md", "figures/one.svg"):
        assert path in theirs
        assert path in ours
    assert "deep.log" not in ours
    assert "2 untracked files are not part of the experiment" in ours
    assert "-I figures/one.svg" in ours


def test_a_project_without_a_pipeline(twins: MakeTwins, project: MakeProject) -> None:
    pair = twins(project({"params.yaml": "lr: 1\n", "train.py": "print(1)\n"}))
    pair.write("params.yaml", "lr: 2\n")
    pair.write("train.py", "print(2)\n")
    saved(pair, "-n", "plain")
    agree(pair)
    listed = pair.look.dvc("exp", "list", "--name-only", cwd=pair.nbexp_side).stdout.split()
    assert listed == ["plain"]


def test_data_files_are_brought_up_to_date(
    twins: MakeTwins, project: MakeProject, look: Look, git: RunGit
) -> None:
    root = project({"a": "1\n"})
    (root / "data.csv").write_text("1\n")
    (root / "images").mkdir()
    (root / "images/a").write_text("a")
    look.dvc("add", "-q", "data.csv", "images", cwd=root)
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=data", cwd=root)
    pair = twins(root)
    for side in pair.sides:
        (side / "data.csv").chmod(0o644)
    pair.write("data.csv", "2\n")
    pair.write("images/b", "b")
    saved(pair, "-n", "data")
    agree(pair)


def test_a_new_lock_file_is_recorded_where_dvc_leaves_it_out(
    twins: MakeTwins, project: MakeProject
) -> None:
    """Without it the outputs of the experiment could not be brought back; a metrics file that is an output, too."""
    pair = twins(project(FILES))
    pair.write("first.txt", "1\n")
    pair.write("second.txt", "2\n")
    pair.write("acc.json", "{}")
    pair.write("sub/below.txt", "3\n")
    saved(pair, "-n", "one")
    without_pickle(pair)
    theirs, ours = (pair.look.recorded(side).popitem()[1].tree for side in pair.sides)
    assert sorted(set(ours) - set(theirs)) == [
        "acc.json", "dvc.lock", "sub/.gitignore", "sub/dvc.lock",
    ]  # fmt: skip
    assert {path: ours[path] for path in theirs} == theirs


def test_what_one_saves_the_other_applies(pair: Twins) -> None:
    """Both directions on one clone."""
    side = pair.nbexp_side
    pair.look.nbexp("save", "-n", "ours", "-I", "notes.md", "-I", "figures", cwd=side)
    pair.look.git("reset", "--quiet", "--hard", cwd=side)
    pair.look.dvc("checkout", "-q", cwd=side)
    pair.look.dvc("exp", "apply", "ours", cwd=side)
    assert (side / "first.txt").read_text() == "by hand\n"
    assert pair.look.status(side, "dvc") == pair.look.status(side, "nbexp")
    (side / "params.yaml").write_text("lr: 0.7\n")
    pair.look.dvc("exp", "save", "-n", "theirs", cwd=side)
    pair.look.nbexp("apply", "ours", cwd=side)
    pair.look.nbexp("apply", "theirs", cwd=side)
    assert (side / "params.yaml").read_text() == "lr: 0.7\n"
    assert not (side / ".dvc/tmp/repro.dat").exists() or "repro.dat" not in pair.look.git(
        "status", "--short", cwd=side
    )


def test_an_output_that_is_gone_stops_both(pair: Twins) -> None:
    pair.delete("first.txt")
    before = pair.look.files(pair.nbexp_side)
    theirs, ours = saved(pair, "-n", "one", code=3)
    assert "first.txt" in theirs
    assert "first.txt" in ours
    assert pair.look.files(pair.nbexp_side) == before
    assert pair.look.experiments(pair.nbexp_side) == {}
