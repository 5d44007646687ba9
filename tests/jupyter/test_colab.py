from __future__ import annotations

from pathlib import Path

import pytest

from nbexp.jupyter import colab

MOUNTS = "overlay / overlay rw 0 0\ndrive /content/my\\040drive fuse.drive rw 0 0\n"


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mounts"
    path.write_text(MOUNTS)
    return path


def test_a_folder_of_the_machine_goes_with_it(mounts: Path) -> None:
    assert colab.warning(Path("/content/churn"), has_git_remote=True, mounts=mounts) == (
        "Colab: this folder goes with the machine. Before it does: %exp push --all"
    )


def test_without_a_remote_one_is_added_first(mounts: Path) -> None:
    assert colab.warning(Path("/content/churn"), has_git_remote=False, mounts=mounts).endswith(
        "Before it does: !git remote add origin URL, then %exp push --all"
    )


@pytest.mark.parametrize("folder", ["/content/my drive/churn", "/content/drive/MyDrive/churn"])
def test_a_folder_on_drive_stays(folder: str, mounts: Path) -> None:
    said = colab.warning(Path(folder), has_git_remote=True, mounts=mounts)
    assert said.startswith(
        "Colab: this folder is on Google Drive and stays when the machine goes; "
    )
    assert "%exp push --all keeps" in said


def test_only_colab_is_colab() -> None:
    assert colab.is_here({"COLAB_RELEASE_TAG": "release-colab_20240101"})
    assert not colab.is_here({})
