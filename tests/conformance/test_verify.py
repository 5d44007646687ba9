"""What real DVC recorded is looked at and proved; what nbexp proved, DVC reads as before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.conftest import Look
    from tests.conftest import MakePipelineProject


def test_an_experiment_of_dvc_is_opened_and_comes_out_again(
    pipeline: MakePipelineProject, look: Look, tmp_path: Path
) -> None:
    top = pipeline()
    look.dvc("exp", "run", "-n", "theirs", "-S", "train.lr=0.03", cwd=top)
    look.nbexp("run", "-n", "ours", "-S", "train.lr=0.05", cwd=top)
    refs, table = look.refs(top, "refs/exps"), look.table(top, "dvc")
    cache = look.cache(top)
    for name in ("theirs", "ours"):
        found = json.loads(look.nbexp("verify", name, "--json", cwd=top).stdout)
        assert found["verdict"] == "identical"
        assert [stage["name"] for stage in found["stages"]] == ["prepare", "train"]
    assert look.refs(top, "refs/exps") == refs
    assert look.table(top, "dvc") == table
    assert look.cache(top) == cache

    [rev] = [rev for name, rev in look.experiments(top).items() if name.endswith("/theirs")]
    for number, path in enumerate(("model.txt", "prepared/train.csv", "metrics.json", "prepared")):
        ours, theirs = tmp_path / f"ours-{number}", tmp_path / f"theirs-{number}"
        look.nbexp("open", "theirs", path, "-o", ours, cwd=top)
        look.dvc("get", ".", path, "--rev", rev, "-o", theirs, cwd=top)
        assert contents(ours) == contents(theirs)


def contents(place: Path) -> dict[str, bytes]:
    """The files of a directory, or the one that the place is."""
    files = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else [place]
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}
