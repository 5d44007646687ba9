"""Where a stage's paths are, and how one names it from a directory."""

from __future__ import annotations

from nbexp.formats import dvc_yaml
from nbexp.pipeline.stage import Stage

PLAIN = b"""\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    outs: [model.pkl]
"""
TEXT = b"""\
stages:
  train:
    cmd: python train.py
    wdir: ../code
    deps: [train.py, ../data/raw.csv]
    params:
    - lr
    - ../conf.json:
    - ../data/params.toml: [a.b, c]
    outs:
    - model.pkl
    metrics:
    - ../metrics.json: {cache: false}
"""


def stage(file: str = "notebooks/dvc.yaml", text: bytes = TEXT) -> Stage:
    return Stage(dvc_yaml.parse(text, file).stages[0], file)


def test_paths_are_seen_from_the_root_and_spelled_as_in_the_file() -> None:
    train = stage()
    assert train.cwd == "code"
    assert [(dep.path, dep.spelled) for dep in train.deps] == [
        ("code/train.py", "train.py"),
        ("data/raw.csv", "../data/raw.csv"),
    ]
    assert [(out.path, out.spelled, out.cache) for out in train.outs] == [
        ("code/model.pkl", "model.pkl", True),
        ("metrics.json", "../metrics.json", False),
    ]
    assert {(param.path, param.keys) for param in train.params} == {
        ("code/params.yaml", ("lr",)),
        ("conf.json", ()),
        ("data/params.toml", ("a.b", "c")),
    }


def test_its_lock_is_beside_its_file_whatever_the_wdir() -> None:
    assert stage().lock_file == "notebooks/dvc.lock"
    assert stage("dvc.yaml", PLAIN).lock_file == "dvc.lock"


def test_without_a_wdir_it_runs_where_its_file_is() -> None:
    assert stage("dvc.yaml", PLAIN).cwd == "."
    assert stage("a/b/dvc.yaml", PLAIN).cwd == "a/b"


def test_it_is_named_as_one_would_type_it() -> None:
    assert stage().address() == "notebooks/dvc.yaml:train"
    assert stage().address("notebooks") == "train"
    assert stage().address("code") == "../notebooks/dvc.yaml:train"
    assert stage("dvc.yaml", PLAIN).address() == "train"
    assert stage("dvc.yaml", PLAIN).address("notebooks") == "../dvc.yaml:train"


def test_a_stage_is_equal_only_to_itself() -> None:
    one, other = stage(), stage()
    assert one == one
    assert one != other
    assert len({one, other}) == 2
