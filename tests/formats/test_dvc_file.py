"""`.dvc` files: what is read, and the bytes that are written."""

from __future__ import annotations

import pytest

from nbexp.errors import ProjectFileError
from nbexp.formats import dvc_file
from nbexp.formats.dvc_lock import LockedPath

A, B = "60b725f10c9c85c70d97880dfe8191b3", "1a9776c634d466e89588efc62db0c9ac.dir"

ADDED = f"""\
outs:
- md5: {B}
  size: 5
  nfiles: 2
  hash: md5
  path: data
""".encode()

IMPORTED = b"""\
md5: 0ddb1d3a1b3a3ee3f4b6bb9de4cd1c36
frozen: true
deps:
- path: model.bin
  repo:
    url: https://example.org/models.git
    rev_lock: 0123456789abcdef0123456789abcdef01234567
outs:
- md5: 60b725f10c9c85c70d97880dfe8191b3
  size: 2
  hash: md5
  path: model.bin
"""

BY_HAND = f"""\
# what we measured
outs:
    - md5: {A}   # of March
      size: 2
      path: 'raw.csv'
      desc: as it came
      labels: [raw, csv]
      push: false
      colour: red
meta: {{owner: Ada}}
""".encode()


def test_a_new_file_has_the_order_of_dvc() -> None:
    file = dvc_file.new("sub", LockedPath("data", B, 5, 2))
    assert file.dump() == ADDED
    assert (file.path, file.spec.name) == ("sub/data.dvc", "data.dvc")
    assert file.place("data") == "sub/data"


def test_options_come_behind_the_path() -> None:
    content = LockedPath("run.sh", A, 2, isexec=True)
    file = dvc_file.new("", content, desc="d", labels=["x"], push=False, remote="far")
    assert file.dump().decode() == (
        f"outs:\n- md5: {A}\n  size: 2\n  isexec: true\n  hash: md5\n  path: run.sh\n"
        "  desc: d\n  labels:\n  - x\n  remote: far\n  push: false\n"
    )
    assert (file.spec.outs[0].remote, file.spec.outs[0].push) == ("far", False)


def test_what_is_added_is_a_stage_without_command_and_deps() -> None:
    file = dvc_file.parse(ADDED, "data.dvc")
    assert file.is_added and file.spec.commands == () and file.spec.deps == ()
    assert file.entry.outs == (LockedPath("data", B, 5, 2),)
    assert not file.spec.frozen


def test_an_import_is_read_and_its_source_is_kept() -> None:
    file = dvc_file.parse(IMPORTED, "model.bin.dvc")
    assert file.spec.frozen and not file.is_added
    assert file.dump() == IMPORTED
    after = file.with_contents([LockedPath("model.bin", B, 5, 2)])
    assert b"rev_lock: 0123456789abcdef0123456789abcdef01234567" in after.dump()
    assert after.entry.outs == (LockedPath("model.bin", B, 5, 2),)


def test_rewriting_keeps_order_comments_and_unknown_parts() -> None:
    file = dvc_file.parse(BY_HAND, "raw.csv.dvc")
    assert file.contents == (LockedPath("raw.csv", A, 2, legacy=True),)
    after = file.with_contents([LockedPath("raw.csv", "0" * 31 + "f", 7)]).dump()
    assert after.decode() == (
        "# what we measured\nouts:\n- md5: 0000000000000000000000000000000f       # of March\n"
        "  size: 7\n  path: raw.csv\n  desc: as it came\n  labels: [raw, csv]\n  push: false\n"
        "  colour: red\n  hash: md5\nmeta: {owner: Ada}\n"
    )


def test_the_same_content_leaves_an_ordinary_file_as_it_is() -> None:
    file = dvc_file.parse(ADDED, "data.dvc")
    assert file.with_contents([LockedPath("data", B, 5, 2)]).dump() == ADDED


def test_a_directory_that_becomes_a_file_loses_its_count() -> None:
    after = dvc_file.parse(ADDED, "data.dvc").with_contents([LockedPath("data", A, 2)])
    assert after.dump().decode() == f"outs:\n- md5: {A}\n  size: 2\n  hash: md5\n  path: data\n"


def test_data_that_nobody_has_hashed_yet_has_no_entry() -> None:
    file = dvc_file.parse(b"outs:\n- path: data\n", "data.dvc")
    assert file.contents == (LockedPath("data", ""),)
    assert file.entry.outs == ()


@pytest.mark.parametrize(
    ("path", "file", "message"),
    [
        ("../up", "sub.dvc", "`../up` in `outs` leads out of the project"),
        ("/etc/passwd", "sub.dvc", "`/etc/passwd` in `outs` is an absolute path"),
        (".git/config", "sub.dvc", "`.git/config` in `outs` is in .git"),
        ("../../up", "a/b.dvc", "`../../up` in `outs` leads out of the project"),
    ],
)
def test_no_output_lies_outside_the_project(path: str, file: str, message: str) -> None:
    with pytest.raises(ProjectFileError) as caught:
        dvc_file.parse(f"outs:\n- md5: {A}\n  path: {path}\n".encode(), file)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "data",
    [b"", b"[1]\n", b"outs: data\n", b"stages: {}\n"],
    ids=["empty", "list", "no list", "a pipeline"],
)
def test_what_is_no_dvc_file_is_told(data: bytes) -> None:
    with pytest.raises(ProjectFileError) as caught:
        dvc_file.parse(data, "data.dvc")
    assert "this is no .dvc file" in caught.value.message


def test_the_marks_of_a_merge_are_told_with_their_line() -> None:
    merged = ADDED.replace(b"  size", b"<<<<<<< ours\n  size")
    with pytest.raises(ProjectFileError) as caught:
        dvc_file.parse(merged, "data.dvc")
    assert caught.value.line == 3


def test_a_file_of_dvc_1_has_a_command() -> None:
    text = f"cmd: cat a > b\nwdir: .\ndeps:\n- md5: {A}\n  path: a\nouts:\n- md5: {A}\n  path: b\n"
    file = dvc_file.parse(text.encode(), "sub/b.dvc")
    assert (file.spec.commands, file.spec.deps) == (("cat a > b",), ("a",))
    assert file.place("b") == "sub/b"
    assert "wdir" not in file.with_contents([LockedPath("b", A, 2)]).tree
