"""`run` beside `dvc exp run`: the same steps leave the same experiment, files, cache and lock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, Ran, RunProgram
    from tests.conftest import MakePipelineProject


def test_a_first_run(
    twins: MakeTwins, pipeline: MakePipelineProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(pipeline())
    theirs, ours = pair.run("-n", "first")
    assert lines(ours) == lines(theirs)
    assert "Ran experiment(s): first" in theirs.stdout
    assert "Ran experiment(s): first\n" in ours.stdout
    assert ours.stdout.rstrip().splitlines()[-1] == (
        "keep it as a branch: nbexp branch first my-branch"
    )
    assert pair.agree_on_status() == {}
    pair.agree()
    (name,) = pair.look.experiments(pair.nbexp_side)
    baseline = pair.look.git("rev-parse", "HEAD", cwd=pair.nbexp_side)
    assert name == f"{baseline[:2]}/{baseline[2:]}/first"


def test_the_status_of_some_stages(twins: MakeTwins, pipeline: MakePipelineProject) -> None:
    pair = twins(pipeline(stages=3))
    pair.run("-n", "first")
    pair.replace("train.sh", "set -eu", "set -eu\n# edited")
    for words, code in ((("train",), 1), (("prepare",), 0), (("prepare", "train"), 1), ((), 1)):
        theirs = pair.look.dvc("status", "--json", *words, cwd=pair.dvc_side).stdout
        ours = pair.look.nbexp("status", "--json", *words, cwd=pair.nbexp_side).stdout
        assert json.loads(ours) == json.loads(theirs)
        pair.look.dvc("status", "-q", *words, cwd=pair.dvc_side, code=code)
        pair.look.nbexp("status", "-q", *words, cwd=pair.nbexp_side, code=code)


def test_runs_with_other_params_and_a_message(
    twins: MakeTwins, pipeline: MakePipelineProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(pipeline())
    pair.run("-n", "first")
    for words in (
        ("-S", "train.lr=0.01", "-n", "low"),
        (
            "-S",
            "prepare.rows=10",
            "-S",
            "train.epochs=5",
            "-m",
            "fewer rows\n\nbut more epochs",
            "-n",
            "rows",
        ),
    ):
        theirs, ours = pair.run(*words)
        assert lines(ours) == lines(theirs)
    pair.agree()


def test_the_table_in_csv_and_markdown(twins: MakeTwins, pipeline: MakePipelineProject) -> None:
    pair = twins(pipeline())
    pair.run("-n", "first")
    pair.run("-S", "train.lr=0.01", "-n", "low")
    for side in pair.sides:
        for shape in ("--csv", "--md"):
            theirs = pair.look.dvc("exp", "show", shape, cwd=side).stdout
            assert pair.look.nbexp("show", shape, cwd=side).stdout.split("\n") == [
                *theirs.rstrip("\n").split("\n"),
                "",
            ]


def test_a_run_of_nothing_new(twins: MakeTwins, pipeline: MakePipelineProject) -> None:
    """DVC records a second commit; nbexp does so with --new and else returns the first (difference 2)."""
    pair = twins(pipeline())
    pair.run("-n", "first")
    pair.look.dvc("exp", "run", "-n", "again", cwd=pair.dvc_side)
    pair.look.nbexp("run", "--new", "-n", "again", cwd=pair.nbexp_side)
    pair.agree()


def test_force_runs_every_stage_again(
    twins: MakeTwins,
    pipeline: MakePipelineProject,
    lines: Callable[[Ran], list[str]],
) -> None:
    pair = twins(pipeline())
    pair.run("-n", "first")
    theirs, ours = pair.run("-f", "-n", "second")
    assert lines(ours) == lines(theirs)
    pair.agree()
    pair.run("-f", "-n", "first", "-m", "replaced")
    pair.agree()


def test_targets(
    twins: MakeTwins, pipeline: MakePipelineProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(pipeline(stages=4))
    for words in (
        ("prepare", "-n", "one"),
        ("report-1", "-n", "two"),
        ("train", "report-2", "-n", "all"),
    ):
        theirs, ours = pair.run(*words)
        assert lines(ours) == lines(theirs)
    pair.agree()


def test_a_single_stage(
    twins: MakeTwins, pipeline: MakePipelineProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(pipeline())
    pair.run("-n", "first")
    pair.write("data/raw.csv", "x,y\n1,2\n3,4\n")
    theirs, ours = pair.run("-s", "train", "-S", "train.lr=0.5", "-n", "alone")
    assert lines(ours) == lines(theirs)
    pair.agree()


def test_a_stage_that_fails(
    twins: MakeTwins, pipeline: MakePipelineProject, git: Callable[..., str]
) -> None:
    """No experiment under either; nbexp puts the workspace back (difference 10)."""
    pair = twins(pipeline())
    pair.run("-n", "first")
    before = pair.look.files(pair.nbexp_side)
    pair.replace("train.sh", "set -eu", "set -eu\nexit 3")
    edited = pair.look.files(pair.nbexp_side)
    theirs, ours = pair.run("-S", "prepare.rows=5", "-n", "broken", code=1)
    assert "train" in theirs.stderr
    assert "train" in ours.stderr
    pair.agree_on_refs()
    assert pair.look.files(pair.nbexp_side) == edited
    assert set(edited) == set(before)
    # What DVC left is what `repro` leaves. Both go on from there to the same end; nbexp brings `prepare`
    # back from the run cache, so it is in the hash of the message.
    pair.replace("train.sh", "exit 3\n", "")
    pair.run("-S", "prepare.rows=5", "-n", "mended", "-m", "mended")
    pair.agree()


def test_a_taken_name_is_refused(twins: MakeTwins, pipeline: MakePipelineProject) -> None:
    pair = twins(pipeline())
    pair.run("-n", "first")
    before = pair.look.files(pair.nbexp_side)
    pair.look.dvc("exp", "run", "-n", "first", "-S", "train.lr=0.5", cwd=pair.dvc_side, code=255)
    pair.look.nbexp("run", "-n", "first", "-S", "train.lr=0.5", cwd=pair.nbexp_side, code=3)
    assert pair.look.files(pair.nbexp_side) == before
    pair.agree()


def test_an_edited_dep_an_edited_param_and_an_edited_script(
    twins: MakeTwins, pipeline: MakePipelineProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(pipeline())
    pair.run("-n", "first")
    stages = {}
    edits = {
        "data": ("data/raw.csv", "1,1\n", "1,9\n"),
        "params": ("params.yaml", "lr: 0.1", "lr: 0.3"),
        "comment": ("params.yaml", "# Chosen by hand.", "# Chosen by eye."),
        "another-param": ("params.yaml", "seed: 0", "seed: 0\nunrelated: 1"),
        "script": ("train.sh", "acc %.4f", "accuracy %.4f"),
    }
    for name, (path, old, new) in edits.items():
        pair.replace(path, old, new)
        pair.agree_on_status()
        words = ("--new",) if name in {"comment", "another-param"} else ()
        theirs = pair.look.dvc("exp", "run", "-n", name, cwd=pair.dvc_side)
        ours = pair.look.nbexp("run", "-n", name, *words, cwd=pair.nbexp_side)
        assert lines(ours) == lines(theirs)
        stages[name] = [line for line in lines(ours) if line.startswith(("Stage", "Running"))]
    pair.agree()
    prepare, train = "Stage 'prepare' didn't change, skipping", "Running stage 'train':"
    assert stages["params"] == stages["script"] == [prepare, train]
    assert (
        stages["comment"]
        == stages["another-param"]
        == [
            prepare,
            "Stage 'train' didn't change, skipping",
        ]
    )


def test_outputs_deleted_or_edited_by_hand(
    twins: MakeTwins, pipeline: MakePipelineProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(pipeline(stages=3))
    pair.run("-n", "first")
    pair.delete("prepared", "report-1.txt")
    pair.write("model.txt", "edited\n")
    pair.agree_on_status()
    pair.look.dvc("exp", "run", "-n", "second", cwd=pair.dvc_side)
    pair.look.nbexp("run", "-n", "second", "--new", cwd=pair.nbexp_side)
    pair.agree(undo=1)
    pair.delete("prepared")
    pair.run("-S", "train.lr=0.7", "-n", "third")
    pair.agree(undo=1)
    # What a single stage reads is as dvc.lock has it, edited or missing.
    pair.delete("prepared")
    pair.run("-s", "train", "-S", "train.lr=0.8", "-n", "fourth")
    pair.write("prepared/train.csv", "edited\n")
    pair.run("-s", "train", "-S", "train.lr=0.9", "-n", "fifth")
    pair.agree(undo=2)


def test_an_output_that_the_cache_has_lost(
    twins: MakeTwins, pipeline: MakePipelineProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(pipeline())
    pair.run("-n", "first")
    lock = (pair.dvc_side / "dvc.lock").read_text()
    model = lock.split("path: model.txt")[1].split("md5: ")[1].split("\n")[0]
    pair.delete("model.txt", f".dvc/cache/files/md5/{model[:2]}/{model[2:]}")
    assert pair.agree_on_status() == {"train": [{"changed outs": {"model.txt": "not in cache"}}]}
    theirs, ours = pair.run("-n", "second")
    assert lines(ours) == lines(theirs)
    assert "Running stage 'train':" in lines(ours)
    pair.agree()
    # The bytes are there, only the cache has lost them.
    pair.delete(f".dvc/cache/files/md5/{model[:2]}/{model[2:]}")
    assert pair.agree_on_status() != {}
    pair.run("-n", "third")
    pair.agree()


def test_ten_runs_of_the_same_make_one_experiment(
    pipeline: MakePipelineProject, nbexp_cli: RunProgram, look: Look
) -> None:
    """Difference 2, and with --new as DVC has it."""
    top = pipeline()
    nbexp_cli("run", "-n", "first", cwd=top)
    before = look.experiments(top)
    for _ in range(10):
        again = nbexp_cli("run", cwd=top)
        assert again.stdout.startswith("identical to first ")
    assert look.experiments(top) == before
    nbexp_cli("run", "--new", cwd=top)
    nbexp_cli("run", "-n", "also", cwd=top)
    after = look.experiments(top)
    assert len(after) == 3
    assert len(set(after.values())) == 2


@pytest.mark.parametrize("by", ["file", "key"])
def test_a_params_file_in_json(twins: MakeTwins, project: MakeProject, by: str) -> None:
    listed = "    - model.json:\n" + (
        "    " if by == "file" else "      - net.depth\n      - seed\n"
    )
    pair = twins(
        project(
            {
                "dvc.yaml": "stages:\n  one:\n    cmd: cp model.json out.json\n"
                f"    params:\n{listed}\n    metrics:\n    - out.json:\n        cache: false\n",
                "model.json": '{\n  "net": {"depth": 2, "names": ["a", "b"]},\n  "seed": 1\n}\n',
            }
        )
    )
    pair.run("-n", "first")
    pair.agree()
    pair.run("-S", "model.json:net.depth=3", "-S", "model.json:seed=null", "-n", "deeper")
    # DVC writes the whole file anew on one line, nbexp changes the two values in place (difference 11).
    assert (pair.nbexp_side / "model.json").read_text() == (
        '{\n  "net": {"depth": 3, "names": ["a", "b"]},\n  "seed": null\n}\n'
    )
    assert pair.look.status(pair.nbexp_side, "dvc") == pair.look.status(pair.dvc_side, "dvc") == {}
    theirs, ours = (pair.look.table(side, "dvc")[0]["data"] for side in pair.sides)
    assert ours["params"] == theirs["params"]
    assert ours["metrics"] == theirs["metrics"]
    if by == "key":
        locks = [(side / "dvc.lock").read_text().split("outs:")[0] for side in pair.sides]
        assert locks[0] == locks[1]


def test_sub_directory_pipelines(
    twins: MakeTwins, project: MakeProject, lines: Callable[[Ran], list[str]]
) -> None:
    pair = twins(
        project(
            {
                "top.txt": "top\n",
                "dvc.yaml": "stages:\n  top:\n    cmd: cp top.txt copy.txt\n    deps: [top.txt]\n    outs: [copy.txt]\n",
                "sub/params.yaml": "depth: 2\n",
                "sub/dvc.yaml": "stages:\n  low:\n    cmd: cat ../copy.txt params.yaml > low.txt\n"
                "    deps: [../copy.txt]\n    params: [depth]\n    outs: [low.txt]\n"
                "  last:\n    cmd: cp low.txt last.txt\n    deps: [low.txt]\n    outs: [last.txt]\n",
            }
        )
    )
    for words, cwd in (
        (("-n", "top"), "."),
        (("-n", "sub"), "sub"),
        (("low", "-S", "depth=3", "-n", "low"), "sub"),
        (("sub/dvc.yaml:last", "-n", "from-top"), "."),
        (("sub/dvc.yaml", "-f", "-n", "whole-file"), "."),
        ((":low", "-f", "-n", "with-colon"), "sub"),
    ):
        theirs, ours = pair.run(*words, cwd=cwd)
        assert lines(ours) == lines(theirs), words
    assert pair.look.status(pair.nbexp_side, "nbexp", pair.nbexp_side / "sub") == {}
    pair.write("top.txt", "changed\n")
    found = pair.look.status(pair.dvc_side, "dvc", pair.dvc_side / "sub")
    assert pair.look.status(pair.nbexp_side, "nbexp", pair.nbexp_side / "sub") == found
    pair.agree()


@pytest.mark.parametrize("kind", ["hardlink", "symlink"])
def test_outputs_as_links(
    twins: MakeTwins, pipeline: MakePipelineProject, kind: str, home: Path
) -> None:
    top = pipeline()
    (top / ".dvc" / "config").write_text(f"[cache]\n    type = {kind}\n")
    pair = twins(top)
    pair.git("commit", "--quiet", "--all", "--message=links")
    pair.run("-n", "first")
    pair.agree()
    pair.run("-S", "train.lr=0.5", "-n", "second")
    pair.run("-S", "train.lr=0.1", "-S", "prepare.rows=7", "-n", "third")
    pair.agree()
    pair.delete("model.txt", "metrics.json", "plots/acc.csv")
    pair.look.dvc("exp", "run", "-n", "fourth", cwd=pair.dvc_side)
    pair.look.nbexp("run", "--new", "-n", "fourth", cwd=pair.nbexp_side)
    pair.agree()
