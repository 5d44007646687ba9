"""`get`: the model of an experiment, by its name, from wherever it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbexp
from nbexp.errors import NotFound, StoreError, UsageError


@pytest.fixture
def shared(pipeline_project: Callable[..., Path], nbexp_cli: Any, git: Any) -> Path:
    """A project with the experiments `low` and `high`, an artifact, and all data in the remote `store`."""
    top = pipeline_project()
    text = (top / "dvc.yaml").read_text()
    (top / "dvc.yaml").write_text(
        f"artifacts:\n  best:\n    path: model.txt\n    type: model\n{text}"
    )
    nbexp_cli("remote", "add", "-d", "store", top.parent / "store", cwd=top)
    git("commit", "--quiet", "--all", "--message=artifact", cwd=top)
    for name, value in (("low", "0.01"), ("high", "0.03")):
        nbexp_cli("run", "-n", name, "-S", f"train.lr={value}", cwd=top)
    project = nbexp.open(top)
    for name in ("low", "high"):
        project.apply(name)
        project.data.push()
    project.close()
    return top


def test_a_model_comes_from_each_experiment_by_path_and_by_name(shared: Path) -> None:
    project = nbexp.open(shared)
    for name in ("low", "high"):
        got = project.get(name, "model.txt", out=f"../{name}.txt")
        assert (got.files, got.out) == (1, f"../{name}.txt")
        assert (shared.parent / f"{name}.txt").read_bytes() == project[name].read("model.txt")
    project.get("low", "best", out="../named.txt")
    assert (shared.parent / "named.txt").read_bytes() == (shared.parent / "low.txt").read_bytes()
    assert (shared.parent / "low.txt").read_bytes() != (shared.parent / "high.txt").read_bytes()
    project.close()


def test_the_package_gets_it_from_here_and_from_another_repository(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G-P29: `nbexp.get(NAME, "model.pkl")`, and by the name of an artifact."""
    monkeypatch.chdir(shared)
    assert nbexp.get("low", "best", out="../low.txt").files == 1
    wanted = (shared.parent / "low.txt").read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    nbexp.get(str(shared), "model.txt", rev="low", out=Path("mine.txt"))
    assert (elsewhere / "mine.txt").read_bytes() == wanted
    with pytest.raises(NotFound):
        nbexp.get("low", "model.txt")
    assert [path.name for path in elsewhere.iterdir()] == ["mine.txt"]


def test_a_directory_and_a_part_of_it(shared: Path) -> None:
    project = nbexp.open(shared)
    names = {
        p.relative_to(shared / "prepared").as_posix()
        for p in (shared / "prepared").rglob("*")
        if p.is_file()
    }
    got = project.get("low", "prepared", out="../whole")
    assert got.files == len(names)
    assert {
        p.relative_to(shared.parent / "whole").as_posix()
        for p in (shared.parent / "whole").rglob("*")
        if p.is_file()
    } == names
    one = min(names)
    project.get("low", f"prepared/{one}", out="../one")
    assert (shared.parent / "one").read_bytes() == (shared / "prepared" / one).read_bytes()
    project.close()


def test_what_the_cache_lacks_comes_from_the_remote(shared: Path) -> None:
    project = nbexp.open(shared)
    wanted = project["low"].read("model.txt")
    project.close()
    shutil.rmtree(shared / ".dvc" / "cache")
    project = nbexp.open(shared)
    project.get("low", "model.txt", out="../model.txt")
    assert (shared.parent / "model.txt").read_bytes() == wanted
    project.close()


@pytest.mark.parametrize("form", ["{}", "file://{}"])
@pytest.mark.parametrize("rev", ["low", "main", None])
def test_another_repository_is_read_without_a_clone(
    shared: Path, tmp_path: Path, nbexp_cli: Any, form: str, rev: str | None
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ["get", form.format(shared), "dvc.yaml" if rev != "low" else "best"]
    nbexp_cli(*words, *(["--rev", rev] if rev else []), "-o", "got", cwd=elsewhere)
    if rev == "low":
        assert (elsewhere / "got").read_bytes() == nbexp.open(shared)["low"].read("model.txt")
    else:
        assert (elsewhere / "got").read_text().startswith("artifacts:")
    assert [p.name for p in elsewhere.iterdir()] == ["got"]


def test_nothing_is_overwritten_unasked(shared: Path) -> None:
    project = nbexp.open(shared)
    (shared.parent / "mine").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        project.get("low", "model.txt", out="../mine")
    assert (shared.parent / "mine").read_text() == "mine"
    project.get("low", "model.txt", out="../mine", force=True)
    assert (shared.parent / "mine").read_bytes() == project["low"].read("model.txt")
    project.close()


def test_what_there_is_not_is_told(shared: Path) -> None:
    project = nbexp.open(shared)
    with pytest.raises(NotFound) as missing:
        project.get("low", "model.tx")
    assert missing.value.hint == "did you mean `model.txt`?"
    with pytest.raises(NotFound, match="no experiment `lw`"):
        project.get("lw", "model.txt")
    with pytest.raises(NotFound, match="cannot be fetched"):
        project.get(str(shared.parent / "nowhere"), "model.txt")
    project.close()


def test_data_that_nobody_has_is_an_error_and_writes_nothing(shared: Path) -> None:
    shutil.rmtree(shared / ".dvc" / "cache")
    shutil.rmtree(shared.parent / "store")
    project = nbexp.open(shared)
    with pytest.raises(StoreError, match=r"cannot give model.txt: it is not there"):
        project.get("low", "model.txt", out="../model.txt")
    assert not (shared.parent / "model.txt").exists()
    project.close()


def test_a_password_in_the_address_is_not_shown(shared: Path) -> None:
    project = nbexp.open(shared)
    with pytest.raises(NotFound) as refused:
        project.get("https://me:a-secret@127.0.0.1:9/x", "model.txt")
    assert "a-secret" not in str(refused.value)
    project.close()
