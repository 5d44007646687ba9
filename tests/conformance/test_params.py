"""`-S`: both tools set the same values; nbexp leaves the rest of the file as it is (difference 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeProject, MakeTwins
    from tests.conftest import MakePipelineProject

_STAGE = (
    "stages:\n  one:\n    cmd: echo {0} > {0}.txt\n    params:\n    - {0}:\n    outs: [{0}.txt]\n"
)


def test_comments_order_and_layout_are_kept(
    twins: MakeTwins, pipeline_project: MakePipelineProject
) -> None:
    """DVC keeps the comments and lays the file out anew; the values, and all that follows, are equal."""
    pair = twins(pipeline_project())
    before = (pair.nbexp_side / "params.yaml").read_text()
    pair.run("-S", "train.lr=0.01", "-S", "seed=3", "-n", "one")
    assert (pair.nbexp_side / "params.yaml").read_text() == before.replace(
        "lr: 0.1 ", "lr: 0.01 "
    ).replace("seed: 0", "seed: 3")
    for side in pair.sides:
        write = (pair.nbexp_side / "params.yaml").read_text()
        (side / "params.yaml").write_text(write)
    pair.agree_on_files()
    pair.agree_on_cache()
    assert pair.agree_on_status() == {}
    theirs, ours = (pair.look.recorded(side).popitem()[1] for side in pair.sides)
    assert ours.message == theirs.message
    assert {path for path in theirs.tree if ours.tree[path] != theirs.tree[path]} == {"params.yaml"}


@pytest.mark.parametrize("file", ["params.yaml", "conf.json", "sub/conf.toml"])
def test_values_of_every_type(twins: MakeTwins, project: MakeProject, file: str) -> None:
    start = {
        "params.yaml": "a: 1\nb: {c: 2, d: [1, 2]}\ntext: old\nflag: true\ngone: 1\ntree:\n  x: {y: 1}\n  z: 2\n",
        "conf.json": '{"a": 1, "b": {"c": 2, "d": [1, 2]}, "text": "old", "flag": true, "gone": 1, "tree": {"x": {"y": 1}, "z": 2}}',
        "sub/conf.toml": 'a = 1\ntext = "old"\nflag = true\ngone = 1\n[b]\nc = 2\nd = [1, 2]\n[tree]\nz = 2\n[tree.x]\ny = 1\n',
    }[file]
    pair = twins(
        project({file: start, "dvc.yaml": _STAGE.format(file).replace("/conf.toml.txt", ".txt")})
    )
    asked = [
        "a=1e-3",
        "b.c=2.0",
        "b.d=[3,x,4.5]",
        "text='1,2'",
        "flag=False",
        "~gone",
        "+added=yes",
        "+tree.x.new=0o17",
        "++tree.z=1_000",
        "tree.x={y:5}",
    ]
    # TOML has no null.
    asked += [] if file.endswith("toml") else ["+nothing=null"]
    prefix = "" if file == "params.yaml" else f"{file}:"
    words = [word for one in asked for word in ("-S", prefix + one)]
    pair.run(*words, "-n", "one")
    theirs, ours = (pair.look.table(side, "dvc") for side in pair.sides)
    assert ours[0]["data"]["params"] == theirs[0]["data"]["params"] != {}
    assert pair.agree_on_status() == {}
    locks = [(side / "dvc.lock").read_text() for side in pair.sides]
    assert locks[1] == locks[0]


def test_a_key_or_file_that_is_not_there_is_refused(
    twins: MakeTwins, pipeline: MakePipelineProject
) -> None:
    pair = twins(pipeline())
    before = [pair.look.files(side) for side in pair.sides]
    for word in (
        "train.lrr=0.3",
        "nothing.at.all=1",
        "gone.yaml:x=1",
        "train.lr.deep=1",
        "train={lr:0.5,nope:1}",
    ):
        pair.look.dvc("exp", "run", "-S", word, cwd=pair.dvc_side, code=255)
        ran = pair.look.nbexp("run", "-S", word, cwd=pair.nbexp_side, code=3)
        assert "Nothing was run." in ran.stderr
        assert [pair.look.files(side) for side in pair.sides] == before
    # A mistyped file is no new one, whatever the sign; DVC makes it.
    ran = pair.look.nbexp("run", "-S", "gone.yaml:+x=1", cwd=pair.nbexp_side, code=3)
    assert "There is no params file gone.yaml. Nothing was run." in ran.stderr
    assert pair.look.files(pair.nbexp_side) == before[1]
    for side in pair.sides:
        (side / "gone.yaml").write_text("{}\n")
    pair.run("-S", "gone.yaml:+x=1", "-n", "made-first")
    rev = pair.look.experiments(pair.nbexp_side)
    assert all("gone.yaml" in pair.look.tree(pair.nbexp_side, one) for one in rev.values())
    for side in pair.sides:
        (side / "gone.yaml").unlink()
    hint = pair.look.nbexp("run", "-S", "train.lrr=0.3", cwd=pair.nbexp_side, code=3).stderr
    assert "did you mean `train.lr`?" in hint
    assert "`nbexp run -S +train.lrr=0.3`" in hint
    pair.run("-S", "+train.lrr=0.3", "-n", "plus")
    assert (
        pair.look.table(pair.nbexp_side, "dvc")[0]["data"]["params"]
        == (pair.look.table(pair.dvc_side, "dvc")[0]["data"]["params"])
    )
