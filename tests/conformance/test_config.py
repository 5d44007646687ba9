"""`.dvc/config` as DVC writes it: the same edits by DVC's own writer, all in one of its processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nbexp.formats import config

ROOT = Path(__file__).parents[2]
# DVC's own way of `dvc config`, `remote add`, `remote remove`: a file before and what it was made.
_DVC = """
import json, os, sys
from dvc.config import Config
from dvc.log import logger
edits = json.load(sys.stdin)
written = []
for before, section, name, value in edits:
    with open(".dvc/config", "wb") as file:
        file.write(before.encode())
    with Config(os.path.abspath(".dvc"), validate=False).edit("repo", validate=False) as conf:
        top, _, remote = section.partition(" ")
        held = conf["remote"] if remote else conf
        key = remote.strip('"') if remote else top
        if value is not None:
            held.setdefault(key, {})[name] = value
        elif name is not None:
            del held[key][name]
        else:
            del held[key]
    with open(".dvc/config", "rb") as file:
        written.append(file.read().decode())
json.dump(written, sys.stdout)
"""

USUAL = """\
[core]
    remote = store
['remote "store"']
    url = s3://bucket/path
    endpointurl = http://localhost:9000
"""
# Written by hand, in every way that ConfigObj reads.
ODD = """\
[CORE]
Remote=store
  autostage   =   "true"

['remote "store"']
url = "../../shared, all"
[cache]
type = reflink,copy
dir = ./x/../cache
["remote 'two'"]
['remote "z"']
jobs = 4
keyfile = ~/keys/id
password = 'say "hi" # now'
token = '''both ' and " here'''
[exp]
git_remote =
[parsing]
['machine "m"']
cloud = aws
""".replace("[\"remote 'two'\"]\n", "")
# `_` stands for what the values of a test need.
VALUES = [
    "x",
    "a b",
    " lead",
    "trail ",
    "a,b",
    "a, b",
    "",
    "it's",
    '"quoted"',
    "#1",
    "a#b",
    "k=v",
    "[a]",
]
VALUES += ["'both' \"kinds\"", "100%", "two\nlines", "back\\slash", "a'b#c", "true"]

EDITS: list[tuple[str, str, str | None, str | None]] = [
    ("", "core", "autostage", "true"),
    ("", 'remote "new"', "url", "../store"),
    *[(USUAL, "core", "remote", value) for value in VALUES],
    *[(USUAL, 'remote "store"', "password", value) for value in VALUES],
    *[(text, "cache", "dir", "/abs/x") for text in (USUAL, ODD)],
    *[(text, "hydra", "enabled", "True") for text in (USUAL, ODD)],
    *[(text, 'remote "other"', "url", "gs://b/x") for text in (USUAL, ODD)],
    *[(text, "core", "remote", None) for text in (USUAL, ODD)],
    *[(text, 'remote "store"', None, None) for text in (USUAL, ODD)],
    (ODD, "cache", "type", "hardlink"),
    (ODD, 'remote "store"', "url", None),
    (ODD, "exp", "git_remote", None),
    ("[core]\nremote = a\n", "core", "remote", None),
]
COMMENTED = """\
# The first words.

[core]  # of all
    # where data goes
    remote = store   # the shared one
# between

['remote "store"']
    # a bucket
    url = s3://bucket/path
# the last words
"""


@pytest.fixture
def by_dvc(tmp_path: Path) -> list[str]:
    (tmp_path / ".dvc").mkdir()
    python = ROOT / ".venv-dvc" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", _DVC],
        check=False,
        input=json.dumps(EDITS),
        cwd=tmp_path,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def edited(before: str, section: str, name: str | None, value: str | None) -> str:
    data = before.encode()
    if value is not None and name is not None:
        root = Path("/project")
        stored = config.as_stored(name, value, root / ".dvc", root)
        return config.set_value(data, section, name, stored).decode()
    return config.remove(data, section, name).decode()


def test_every_edit_gives_dvcs_bytes(by_dvc):
    found = [edited(*edit) for edit in EDITS]
    wrong = [
        (edit, theirs, ours)
        for edit, theirs, ours in zip(EDITS, by_dvc, found, strict=True)
        if theirs != ours
    ]
    assert wrong == []
    assert len({*by_dvc}) > 30, sys.version  # the edits differ in what they do


@pytest.mark.parametrize(
    ("edit", "lost"),
    [
        (("core", "autostage", "true"), set()),
        (("core", "remote", "two"), set()),
        # What stood beside a line that is gone.
        (("core", "remote", None), {"# of all", "# the shared one"}),
        (('remote "store"', None, None), set()),
    ],
)
def test_with_comments_the_rest_is_as_dvc_writes_it(edit, lost):
    bare = re.sub(r" *#.*$", "", COMMENTED, flags=re.MULTILINE)
    ours = edited(COMMENTED, *edit)
    without = re.sub(r" *#.*$", "", ours, flags=re.MULTILINE)
    assert [line for line in without.splitlines() if line] == edited(bare, *edit).splitlines()
    assert {*re.findall("#.*", COMMENTED)} - {*re.findall("#.*", ours)} == lost


HELD = """\
[CORE]
Remote=store
['remote "store"']
url = s3://bucket/x
[cache]
type = reflink,copy
dir = ./x/../cache
['remote "z"']
url = "../../shared, all"
jobs = 4
"""
SAID = [
    "-l",
    "--list --show-origin",
    "-l --project",
    "--local -l",
    "core.remote",
    "cache.dir",
    "cache.type",
    "remote.store.url",
    "remote.store.url --show-origin",
    "--local core.remote",
    "CORE.Remote",
]
SET = [
    "core.autostage true",
    "--local core.autostage FALSE",
    "--project cache.dir other/cache",
    "remote.store.endpointurl http://x",
    "remote.Other.url ../there",
    "--local remote.other.jobs 3",
    "--global core.interactive false",
    "--system core.check_update false",
    "-u core.autostage",
    "--unset --local core.remote",
    "-u remote.store.endpointurl",
]
REFUSED = [
    "core.autostag true",
    "corr.remote x",
    "core.autostage maybe",
    "remote.store.jobs none",
    "cache.type copy,magic",
    "-u core.nothing",
    "--local hydra.enabled --unset",
    "no_section x",
]


@pytest.fixture
def configured(project: Any, dvc: Any) -> Path:
    """Where each of the project's two files says something."""
    root: Path = project({".dvc/config": HELD})
    (root / ".dvc" / "config.local").write_text("[core]\n    remote = mine\n")
    return root


def test_what_is_set_is_told_as_dvc_tells_it(
    configured: Path, told_by_dvc: Any, nbexp_cli: Any
) -> None:
    for line, (code, said) in zip(
        SAID, told_by_dvc(configured, [["config", *line.split()] for line in SAID]), strict=True
    ):
        assert code == 0, line
        assert nbexp_cli("config", *line.split(), cwd=configured).stdout == said, line


def test_what_is_set_is_written_as_dvc_writes_it(
    configured: Path, told_by_dvc: Any, nbexp_cli: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    """Each on its own, after those before it, in all four files."""
    for name in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{name}_CONFIG_DIR", str(tmp_path / name))
    files = [configured / ".dvc" / "config", configured / ".dvc" / "config.local"]
    files += [tmp_path / "GLOBAL" / "config", tmp_path / "SYSTEM" / "config"]

    def state() -> list[str | None]:
        return [path.read_text() if path.exists() else None for path in files]

    before = state()
    written = {}
    for by in ("dvc", "nbexp"):
        for path, text in zip(files, before, strict=True):
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text)
        for line in SET:
            words = ["config", *line.split()]
            if by == "dvc":
                assert told_by_dvc(configured, [words])[0][0] == 0, line
            else:
                nbexp_cli(*words, cwd=configured)
            written[by, line] = state()
    for line in SET:
        assert written["nbexp", line] == written["dvc", line], line
    assert len({str(written["dvc", line]) for line in SET}) == len(SET)


def test_what_dvc_refuses_is_refused(configured: Path, told_by_dvc: Any, nbexp_cli: Any) -> None:
    before = (configured / ".dvc" / "config").read_bytes()
    asked = [["config", *line.split()] for line in REFUSED]
    for line, (code, _) in zip(REFUSED, told_by_dvc(configured, asked), strict=True):
        assert code != 0, line
        wanted = 2 if line.startswith("no_section") else 3
        nbexp_cli("config", *line.split(), cwd=configured, code=wanted)
    assert (configured / ".dvc" / "config").read_bytes() == before
    assert nbexp_cli("config", "core.autostag", "true", cwd=configured, code=3).stderr == (
        "There is no setting `core.autostag`. .dvc/config is as it was.\n"
        "Hint: did you mean `core.autostage`?\n"
    )
    assert nbexp_cli("config", "core.autostage", "maybe", cwd=configured, code=3).stderr == (
        "`core.autostage` is `maybe`; true or false is expected. .dvc/config is as it was.\n"
        "Hint: `nbexp config --list` has what is set.\n"
    )
