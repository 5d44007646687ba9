"""nbexp.toml, else `[tool.nbexp]` of pyproject.toml, else the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbexp import settings
from nbexp.errors import ProjectFileError
from nbexp.settings import Settings


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert settings.read(tmp_path) == Settings(hints=True, canonical=True, run_cache=True)


def test_a_file_of_its_own_is_read(tmp_path: Path) -> None:
    (tmp_path / "nbexp.toml").write_text("hints = false\nrun_cache = false\n")
    assert settings.read(tmp_path) == Settings(hints=False, canonical=True, run_cache=False)


def test_pyproject_is_read_where_there_is_no_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\n[tool.nbexp]\nhints = false\n[tool.ruff]\nline-length = 9\n'
    )
    assert settings.read(tmp_path) == Settings(hints=False)
    (tmp_path / "nbexp.toml").write_text("")
    assert settings.read(tmp_path) == Settings()


def test_a_pyproject_that_says_nothing_of_nbexp_may_be_broken(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    assert settings.read(tmp_path) == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hint = true", "nbexp.toml: there is no setting `hint`.\nHint: did you mean `hints`?"),
        ("zzz = 1", "nbexp.toml: there is no setting `zzz`.\nHint: did you mean `alerts`?"),
        ("hints = 3", "nbexp.toml: `hints` is 3; true or false is expected."),
        ("hints = 'no'", "nbexp.toml: `hints` is 'no'; true or false is expected."),
        ("better = 3", "nbexp.toml: `better` is 3; a table is expected."),
        (
            'better = {acc = "up"}',
            'nbexp.toml: `better.acc` is \'up\'; "higher" or "lower" is expected.',
        ),
        ("resources = 3", "nbexp.toml: `resources` is 3; a table is expected."),
        ("hints = maybe", "nbexp.toml: this is not TOML (Invalid value (at line 1, column 9))."),
    ],
)
def test_a_mistake_is_told(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "nbexp.toml").write_text(text + "\n")
    with pytest.raises(ProjectFileError) as caught:
        settings.read(tmp_path)
    assert str(caught.value) == said


@pytest.mark.parametrize("text", ["[tool]\nnbexp = 3 # tool.nbexp\n", "tool = 1 # tool.nbexp\n"])
def test_a_section_that_is_none_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ProjectFileError) as caught:
        settings.read(tmp_path)
    assert caught.value.path == "pyproject.toml"


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "nbexp.toml").write_bytes(b"hints = \xff\n")
    with pytest.raises(ProjectFileError) as caught:
        settings.read(tmp_path)
    assert caught.value.message.startswith("nbexp.toml: this is not TOML (")


def test_which_way_is_better_is_said_by_dotted_keys(tmp_path: Path) -> None:
    (tmp_path / "nbexp.toml").write_text(
        '[better]\nratio = "lower"\n"val.loss" = "higher"\nnested.deep = "lower"\n'
    )
    found = settings.read(tmp_path).better
    assert found == {"ratio": "lower", "val.loss": "higher", "nested.deep": "lower"}
