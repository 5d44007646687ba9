"""One file per kind: found by its name, built in or brought by another package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbexp import plugins

KINDS = "nbexp.pipeline.kinds"


@pytest.fixture
def fresh() -> Iterator[None]:
    """What was found before the test is forgotten, and what it found after it."""
    for forget in (plugins.names, plugins.load, plugins._built_in, plugins._has_others):
        forget.cache_clear()
    yield
    for forget in (plugins.names, plugins.load, plugins._built_in, plugins._has_others):
        forget.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: None) -> Path:
    """An installed package whose entry points say `loud` of the stage kinds, and `apply` of the verbs."""
    (tmp_path / "loud_kind.py").write_text("def claims(command): return command == 'shout'\n")
    (tmp_path / "their_apply.py").write_text("mine = False\n")
    info = tmp_path / "loud-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{KINDS}]\nloud = loud_kind\nvery-loud = loud_kind\n"
        "[nbexp.commands]\napply = their_apply\nbroken = no_such_module\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield_names = ("loud_kind", "their_apply")
    for name in yield_names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_files_and_folders_are_the_built_in_ones(fresh: None) -> None:
    assert plugins.names(KINDS) == ("notebook", "shell")
    assert "__init__" not in plugins.names("nbexp.commands")
    assert {"run", "show", "init"} <= set(plugins.names("nbexp.commands"))


def test_a_built_in_one_is_loaded_by_its_name(fresh: None) -> None:
    assert plugins.load(KINDS, "shell").__name__ == "nbexp.pipeline.kinds.shell"


def test_another_package_adds_to_a_folder(package: Path) -> None:
    assert plugins.names(KINDS) == ("loud", "notebook", "shell", "very-loud")
    assert plugins.load(KINDS, "loud").claims("shout")
    assert plugins.load(KINDS, "very-loud").claims("shout")


def test_a_kind_of_another_package_is_asked_about_commands(package: Path) -> None:
    from nbexp.pipeline import kinds

    assert kinds.of("shout").__name__ == "loud_kind"  # type: ignore[attr-defined]
    assert kinds.of("echo").__name__ == "nbexp.pipeline.kinds.shell"  # type: ignore[attr-defined]


def test_a_built_in_one_wins_over_another_packages(package: Path) -> None:
    assert plugins.load("nbexp.commands", "apply").__name__ == "nbexp.commands.apply"


@pytest.mark.parametrize("name", ["nope", "", "__init__", "..", "os", "shell.py"])
def test_what_is_not_there_is_a_lookup_error(name: str, fresh: None) -> None:
    with pytest.raises(LookupError):
        plugins.load(KINDS, name)
