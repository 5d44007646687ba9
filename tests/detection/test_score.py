"""The detector beside what a person would write, on ten projects that were written before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from scoring import KINDS, PROJECTS, Measured, errors, measure, total

NAMES = sorted(path.name for path in PROJECTS.iterdir() if path.is_dir())
ENOUGH = 0.9


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Measured]:
    """Every sample from reading its code alone; tests/journeys runs them as well."""
    work = tmp_path_factory.mktemp("detection")
    return [measure(PROJECTS / name, work, traced=False) for name in NAMES]


def test_there_are_ten_projects() -> None:
    assert len(NAMES) == 10


@pytest.mark.parametrize("kind", KINDS)
def test_reading_alone_finds_nine_in_ten(measured: list[Measured], kind: str) -> None:
    score = total(measured, kind)
    assert score.right >= 5, "a score of nothing says nothing"
    assert score.precision >= ENOUGH
    assert score.recall >= ENOUGH


def test_only_what_the_shell_does_cannot_be_read(measured: list[Measured]) -> None:
    assert errors(measured) == [
        "08-arguments-by-place deps missed bin/clean.sh: data/days",
        "08-arguments-by-place outs missed bin/clean.sh: build/all.csv",
        "08-arguments-by-place stage missed bin/clean.sh",
    ]


def test_every_line_has_a_reason(measured: list[Measured]) -> None:
    reasons = {
        entry.name: entry.why
        for stage in measured[0].proposal.stages
        for kind in KINDS
        for entry in getattr(stage, kind)
    }
    assert reasons["houses.csv"] == "prepare.py:8 reads houses.csv"
    assert reasons["model.pkl"] == "evaluate.py:5 reads model.pkl"
    assert reasons["train.py:EPOCHS"] == "train.py:12 uses EPOCHS"
    every = [
        entry.why
        for one in measured
        for stage in one.proposal.stages
        for kind in KINDS
        for entry in getattr(stage, kind)
    ]
    assert all(every)


def test_the_samples_are_as_they_were() -> None:
    """They are frozen: a digest over all of them, so that no change goes unseen."""
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(PROJECTS.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(PROJECTS).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    assert digest.hexdigest() == "cb485bfdb43da1bc5a4934196ee231c9df1a1fb58c3e9881afbd81c1a7ad3bea"


def test_the_proposal_is_a_dvc_yaml(measured: list[Measured]) -> None:
    by_name = {one.name: one.proposal for one in measured}
    assert (
        by_name["02-params-yaml"].files()["dvc.yaml"].decode()
        == (Path(__file__).parent / "expected" / "02.yaml").read_text()
    )
    assert (
        by_name["05-notebooks-in-a-folder"].files()["dvc.yaml"].decode()
        == (Path(__file__).parent / "expected" / "05.yaml").read_text()
    )
