from __future__ import annotations

from pathlib import Path

import pytest

from nbexp.errors import ProjectFileError
from nbexp.formats import config
from nbexp.formats.config import read


@pytest.fixture
def dvc_dir(tmp_path: Path, home: Path) -> Path:
    """A `.dvc` without config; the user has none either."""
    (home / ".config" / "dvc" / "config").unlink()
    folder = tmp_path / "project" / ".dvc"
    folder.mkdir(parents=True)
    return folder


def parsed(dvc_dir: Path, text: str) -> config.Config:
    (dvc_dir / "config").write_text(text)
    return read(dvc_dir)


def refusal(dvc_dir: Path, text: str) -> str:
    with pytest.raises(ProjectFileError) as caught:
        parsed(dvc_dir, text)
    return str(caught.value)


def test_without_files_there_are_dvcs_defaults(dvc_dir):
    found = read(dvc_dir)
    assert found.remote is None
    assert found.remotes == {}
    assert found.cache_dir == dvc_dir / "cache"
    assert found.cache_types == ("reflink", "copy")
    assert not found.shared_cache
    assert not found.is_on("core", "autostage")
    assert not found.exp_auto_push
    assert found.exp_git_remote == "origin"


def test_a_config_as_dvc_writes_it(dvc_dir):
    found = parsed(
        dvc_dir,
        """\
[core]
    remote = store
    autostage = true
['remote "store"']
    url = s3://bucket/path
    jobs = 4
    endpointurl = http://localhost:9000
[cache]
    type = "reflink,hardlink"
    shared = group
""",
    )
    assert found.remote == "store"
    assert found.remotes == {
        "store": {"url": "s3://bucket/path", "jobs": 4, "endpointurl": "http://localhost:9000"}
    }
    assert found.cache_types == ("reflink", "hardlink")
    assert found.shared_cache
    assert found.is_on("core", "autostage")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", "x"),
        ('"a, b # c"', "a, b # c"),
        ("'say \"hi\"'", 'say "hi"'),
        ("a b  # comment", "a b"),
        ("a=b", "a=b"),
        ("it's", "it's"),
        ("50%", "50%"),
        ("''", ""),
        ("", ""),
        ('"""two\nlines"""', "two\nlines"),
        ("s3://b/x#y", "s3://b/x"),
    ],
)
def test_values_are_read_as_configobj_reads_them(dvc_dir, text, value):
    assert parsed(dvc_dir, f"[exp]\n  git_remote = {text}\n").get("exp", "git_remote") == value


def test_names_are_lowered_and_comments_passed_over(dvc_dir):
    found = parsed(
        dvc_dir, '# mine\n\n[ CORE ]  # c\n  Remote = Big\n[remote "Big"]\nURL = x://Y\n'
    )
    assert found.remote == "big"
    assert found.remotes["big"] == {"url": "x://Y"}


def test_a_list_may_be_quoted_or_not(dvc_dir):
    for text in ("hardlink,copy", '"hardlink, copy"', "hardlink , copy", "'hardlink',copy"):
        assert parsed(dvc_dir, f"[cache]\ntype = {text}\n").cache_types == ("hardlink", "copy")


def test_nearer_files_win(dvc_dir, home, tmp_path, monkeypatch):
    machine = tmp_path / "etc"
    machine.mkdir()
    monkeypatch.setenv("DVC_SYSTEM_CONFIG_DIR", str(machine))
    text = "[exp]\ngit_remote = {0}\n[hydra]\n{1} = x\n"
    (machine / "config").write_text("[core]\nremote = machine\nautostage = true\n")
    (home / ".config" / "dvc" / "config").write_text("[core]\nremote = user\nno_scm = true\n")
    assert read(dvc_dir).remote == "user"
    (dvc_dir / "config").write_text(text.format("project", "config_dir"))
    (dvc_dir / "config.local").write_text("[exp]\ngit_remote = local\n")
    found = read(dvc_dir)
    assert found.exp_git_remote == "local"
    assert found.get("hydra", "config_dir") == "x"
    assert found.is_on("core", "autostage")
    assert found.is_on("core", "no_scm")


def test_a_local_file_adds_the_secrets_of_a_remote(dvc_dir):
    (dvc_dir / "config.local").write_text("['remote \"s\"']\nsecret_access_key = k\n")
    assert parsed(dvc_dir, "['remote \"s\"']\nurl = s3://b\n").remotes == {
        "s": {"url": "s3://b", "secret_access_key": "k"}
    }


def test_paths_are_relative_to_their_file(dvc_dir, home, tmp_path):
    found = parsed(
        dvc_dir,
        """\
[cache]
dir = ../../shared
['remote "up"']
url = ../../../x
['remote "home"']
url = ~/data
keyfile = key.pem
['remote "abs"']
url = /mnt/data
""",
    )
    assert found.cache_dir == tmp_path / "shared"
    assert found.remotes["up"]["url"] == str(tmp_path.parent / "x")
    assert found.remotes["home"] == {
        "url": str(home / "data"),
        "keyfile": str(dvc_dir / "key.pem"),
    }
    assert found.remotes["abs"]["url"] == "/mnt/data"


def test_the_user_can_be_another(dvc_dir, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    other = tmp_path / "other"
    (other / ".config" / "dvc").mkdir(parents=True)
    (other / ".config" / "dvc" / "config").write_text("[cache]\ndir = ~/c\n")
    assert read(dvc_dir, home=other).cache_dir == other / "c"


def test_a_commits_own_config_takes_the_place_of_that_on_disk(dvc_dir):
    (dvc_dir / "config").write_text("[core]\nremote = new\n")
    (dvc_dir / "config.local").write_text("[core]\nautostage = true\n")
    found = read(dvc_dir, committed=b"[core]\nremote = old\n")
    assert found.remote == "old"
    assert found.is_on("core", "autostage")
    assert read(dvc_dir, committed=b"").remote is None


def test_the_environment_says_whether_and_where_experiments_are_pushed(dvc_dir, monkeypatch):
    (dvc_dir / "config").write_text("[exp]\nauto_push = true\ngit_remote = up\n")
    assert read(dvc_dir).exp_auto_push
    assert read(dvc_dir).exp_git_remote == "up"
    monkeypatch.setenv("DVC_EXP_AUTO_PUSH", "0")
    monkeypatch.setenv("DVC_EXP_GIT_REMOTE", "other")
    assert not read(dvc_dir).exp_auto_push
    assert read(dvc_dir).exp_git_remote == "other"
    monkeypatch.setenv("DVC_EXP_AUTO_PUSH", "TRUE")
    assert read(dvc_dir).exp_auto_push


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[core]\nremot = x\n",
            ".dvc/config, line 2: there is no setting `core.remot`.\nHint: did you mean `core.remote`?",
        ),
        (
            "\n[nbexp]\n",
            (
                ".dvc/config, line 2: there is no section `nbexp`.\n"
                "Hint: settings of nbexp itself are in nbexp.toml, or [tool.nbexp] of pyproject.toml."
            ),
        ),
        (
            "[caches]\n",
            ".dvc/config, line 1: there is no section `caches`.\nHint: did you mean [cache]?",
        ),
        (
            "[remote]\nurl = x\n",
            (
                ".dvc/config, line 1: there is no section `remote`.\n"
                "Hint: did you mean ['remote \"name\"']?"
            ),
        ),
        (
            "[core]\nautostage = yes\n",
            ".dvc/config, line 2: `core.autostage` is `yes`; true or false is expected.",
        ),
        (
            "['remote \"s\"']\njobs = many\n",
            ".dvc/config, line 2: `remote.s.jobs` is `many`; a number above 0 is expected.",
        ),
        (
            "[cache]\ntype = hardlink,magic\n",
            (
                ".dvc/config, line 2: `cache.type` is `hardlink, magic`; one or more of reflink, hardlink, "
                "symlink, copy is expected."
            ),
        ),
        (
            "[cache]\nshared = all\n",
            ".dvc/config, line 2: `cache.shared` is `all`; group is expected.",
        ),
        (
            "[parsing]\nbool = maybe\n",
            ".dvc/config, line 2: `parsing.bool` is `maybe`; store_true or boolean_optional is expected.",
        ),
        (
            "[exp]\ngit_remote = a,b\n",
            ".dvc/config, line 2: `exp.git_remote` is `a, b`; text is expected.",
        ),
        ("remote = x\n", ".dvc/config, line 1: `remote` stands before any [section]."),
        (
            "[core]\n  what\n",
            ".dvc/config, line 2: `what` is neither a [section] nor `name = value`.",
        ),
        ("[core]\n[core]\n", ".dvc/config, line 2: section `core` is there a second time."),
        (
            "[core]\nremote = a\nremote = b\n",
            ".dvc/config, line 3: `remote` is there a second time.",
        ),
        (
            '[core]\nremote = "a" b\n',
            ".dvc/config, line 2: the value of `remote` cannot be read.\nHint: put it in double quotes.",
        ),
        (
            "[core]\nremote = '''a\n",
            ".dvc/config, line 2: the value of `remote` cannot be read.\nHint: put it in double quotes.",
        ),
    ],
)
def test_what_dvc_would_refuse_is_told_with_its_place(dvc_dir, text, said):
    assert refusal(dvc_dir, text) == said


def test_other_files_are_named_as_one_knows_them(dvc_dir, home):
    (dvc_dir / "config.local").write_text("x\n")
    with pytest.raises(ProjectFileError, match=r"^\.dvc/config\.local, line 1: "):
        read(dvc_dir)
    (home / ".config" / "dvc" / "config").write_bytes(b"[core]\nremote = \xff\n")
    with pytest.raises(
        ProjectFileError, match=r"^~/\.config/dvc/config, line 2: this is not UTF-8 text"
    ):
        read(dvc_dir)


def test_sections_that_nothing_reads_are_passed_over(dvc_dir):
    found = parsed(
        dvc_dir, '[feature]\nwhatever = 1\n[\'machine "m"\']\ncloud = aws\n[db "x"]\nurl = y\n'
    )
    assert found.values == {}
    assert found.remotes == {}


def test_a_new_project_has_three_files():
    assert set(config.new_project()) == {".dvc/config", ".dvc/.gitignore", ".dvcignore"}
    assert config.new_project()[".dvc/.gitignore"] == b"/config.local\n/tmp\n/cache\n"


def test_a_comment_stays_where_it_was():
    before = b"# of all\n[core]\n    # the team's\n    remote = a  # for now\n"
    assert config.set_value(before, "core", "remote", "b").decode() == (
        "# of all\n[core]\n    # the team's\n    remote = b    # for now\n"
    )
    assert config.set_value(before, config.remote_section("B"), "url", "/x").decode() == (
        "# of all\n[core]\n    # the team's\n    remote = a    # for now\n"
        "['remote \"b\"']\n    url = /x\n"
    )


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("url", "../store", "../../store"),
        ("url", "/abs/store", "/abs/store"),
        ("url", "s3://bucket/../x", "s3://bucket/../x"),
        ("url", "~/store", "~/store"),
        ("dir", "cache", "../cache"),
        ("type", "../no/path", "../no/path"),
    ],
)
def test_a_path_is_kept_relative_to_the_file(name, value, stored):
    assert config.as_stored(name, value, Path("/p/.dvc"), Path("/p")) == stored


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            [".dvc/config"],
            ".dvc/config: remote `a` has no url.\nHint: `nbexp remote add -f a URL` gives it one.",
        ),
        (
            ["url = s3://b", "endpoint_url = x"],
            (
                ".dvc/config.local: there is no setting `remote.a.endpoint_url`.\n"
                "Hint: did you mean `remote.a.endpointurl`?"
            ),
        ),
        (
            ["url = s4://b"],
            (
                ".dvc/config: remote `a` is at s4://b, and there is no kind of remote `s4://`.\n"
                "Hint: kinds: azure, gdrive, gs, hdfs, http, https, oss, s3, ssh, webdav, webdavs, webhdfs."
            ),
        ),
        (
            ["url = ssh://host/x", "port = many"],
            ".dvc/config.local: `remote.a.port` is `many`; a number is expected.",
        ),
        (["url = ssh://host/x", "port = 22"], None),
        (["url = ../x", "type = reflink,copy"], None),
        (["url = https://x/y", "connect_timeout = 0.5"], None),
    ],
)
def test_what_a_remote_may_have_depends_on_its_kind(texts, said):
    names = [".dvc/config", ".dvc/config.local"]
    files = [
        (name, f"['remote \"a\"']\n{text if '=' in text else ''}\n".encode())
        for name, text in zip(names, texts, strict=False)
    ]
    if said is None:
        config.check(files)
        return
    with pytest.raises(ProjectFileError) as caught:
        config.check(files)
    assert str(caught.value) == said
