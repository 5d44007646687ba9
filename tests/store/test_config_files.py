from __future__ import annotations

from pathlib import Path

import pytest

from nbexp import events
from nbexp.errors import NotFound, UsageError
from nbexp.store.config_files import Configuration


@pytest.fixture
def config(tmp_path: Path, home: Path) -> Configuration:
    (tmp_path / "p" / ".dvc").mkdir(parents=True)
    (tmp_path / "p" / ".dvc" / "config").write_text("# ours\n[core]\n    remote = a\n")
    (tmp_path / "p" / ".dvc" / "config.local").write_text("[core]\n    remote = b\n")
    return Configuration(tmp_path / "p" / ".dvc", home, tmp_path / "p")


def test_the_nearest_file_counts(config):
    assert config.get("core.remote").value == "b"
    assert config.get("core.remote", level="project").value == "a"
    assert str(config.get("Core.Remote", origin=True)) == ".dvc/config.local\tb\n"
    listed = [one for one in config.list().values if one.name == "core.remote"]
    assert [(one.value, one.file) for one in listed] == [
        ("a", ".dvc/config"),
        ("b", ".dvc/config.local"),
    ]


def test_a_change_keeps_the_comments(config, tmp_path):
    config.set("core.autostage", "true")
    config.unset("core.remote")
    text = (tmp_path / "p" / ".dvc" / "config").read_text()
    assert text == "# ours\n[core]\n    autostage = true\n"


def test_the_local_file_is_for_its_owner_alone(config, tmp_path):
    (tmp_path / "p" / ".dvc" / "config.local").unlink()
    config.set("core.autostage", "true", level="local")
    assert (tmp_path / "p" / ".dvc" / "config.local").stat().st_mode & 0o777 == 0o600


def test_a_secret_in_the_file_for_git_is_told(config):
    said: list[events.Event] = []
    config.set("remote.s.url", "s3://b/x")
    config.set("remote.s.secret_access_key", "x", level="local", emit=said.append)
    assert said == []
    config.set("remote.s.secret_access_key", "x", emit=said.append)
    assert [event.message for event in said if isinstance(event, events.Notice)] == [
        "`secret_access_key` is a secret, and .dvc/config is for Git."
    ]


def test_what_no_file_sets(config):
    with pytest.raises(NotFound) as caught:
        config.get("core.remot")
    assert caught.value.hint == "did you mean `core.remote`?"
    with pytest.raises(NotFound) as caught:
        config.unset("core.autostage", level="local")
    assert caught.value.message == ".dvc/config.local does not set `core.autostage`."


def test_outside_of_a_project_there_is_the_users_file(tmp_path, home):
    config = Configuration(None, home, tmp_path)
    config.set("core.analytics", "false", level="global")
    assert config.get("core.analytics").value == "false"
    with pytest.raises(UsageError):
        config.set("core.analytics", "false")
