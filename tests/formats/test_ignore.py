from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbexp.errors import ProjectFileError
from nbexp.formats import ignore
from nbexp.formats.ignore import DvcIgnore


def test_a_new_file_gets_one_line():
    assert ignore.add_line(None, "model.bin") == b"/model.bin\n"
    assert ignore.add_line(b"", "model.bin") == b"/model.bin\n"


def test_the_lines_that_are_there_stay_and_the_last_one_is_ended():
    assert ignore.add_line(b"*.tmp\r\n# mine", "data") == b"*.tmp\r\n# mine\n/data\n"


@pytest.mark.parametrize("existing", [b"/data\n", b"a\n/data", b"/data\r\nb\r\n", b"\n\n/data\n\n"])
def test_a_line_that_is_there_is_not_added_again(existing):
    assert ignore.add_line(existing, "data") is None


def test_a_line_that_only_starts_alike_does_not_count():
    assert (
        ignore.add_line(b"/data2\n/sub/data\ndata\n", "data") == b"/data2\n/sub/data\ndata\n/data\n"
    )


def test_letters_with_a_meaning_are_escaped_as_dvc_does():
    assert ignore.add_line(None, "weird #name [1].txt") == b"/weird \\#name \\[1\\].txt\n"
    assert ignore.add_line(None, "!a*b?c\\d") == b"/\\!a\\*b\\?c\\\\d\n"
    assert ignore.add_line(None, "é") == b"/\xc3\xa9\n"
    assert ignore.add_line(None, "caf\udce9") == b"/caf\xe9\n"


NAMES = st.text(st.sampled_from("ab[]!*#?\\ -.~$é{}(),'\"^&"), min_size=1, max_size=10).filter(
    lambda name: name not in {".", ".."}
)


@settings(max_examples=40)
@given(NAMES)
def test_git_ignores_that_name_and_no_other(tmp_path_factory, name):
    folder = _repository(tmp_path_factory)
    line = ignore.add_line(None, name)
    assert line is not None
    (folder / ".gitignore").write_bytes(line)
    others = {f"{name}x", f"x{name}", name.replace("*", "z"), name.replace("?", "z"), "a", "b"}
    asked = sorted({name, *others})
    ran = subprocess.run(
        ["git", "check-ignore", "--stdin", "-z", "--no-index"],
        cwd=folder,
        input="\0".join(asked).encode(),
        capture_output=True,
        check=False,
    )
    assert ran.stdout.decode().split("\0")[:-1] == [name]


_made: list[Path] = []


def _repository(factory: pytest.TempPathFactory) -> Path:
    if not _made:
        _made.append(factory.mktemp("ignored"))
        subprocess.run(["git", "init", "--quiet"], cwd=_made[0], check=True)
    return _made[0]


def rules(**files: str) -> DvcIgnore:
    """`rules(top="*.tmp", sub="…")`: the .dvcignore of the root and of folders."""
    found = {
        (
            ".dvcignore" if folder == "top" else f"{folder.replace('_', '/')}/.dvcignore"
        ): text.encode()
        for folder, text in files.items()
    }
    return DvcIgnore(found.get)


def test_without_rules_only_the_tools_own_folders_are_left_alone():
    ignored = rules()
    assert not ignored.matches("data/a.tmp")
    assert ignored.matches(".git", True)
    assert ignored.matches("sub/.git")
    assert ignored.matches(".dvc/config")
    assert ignored.matches("sub/.hg", True)
    assert not ignored.matches(".dvcignore")
    assert not ignored.matches(".dvc")


def test_a_rule_counts_for_files_and_folders_and_all_below():
    ignored = rules(top="# caches\n\n*.tmp\nbuild/\n/only-here\n")
    assert ignored.matches("a.tmp")
    assert ignored.matches("deep/down/a.tmp")
    assert ignored.matches("build", True)
    assert ignored.matches("x/build/a.txt")
    assert not ignored.matches("build")
    assert ignored.matches("only-here")
    assert not ignored.matches("sub/only-here")
    assert not ignored.matches("a.txt")


def test_the_last_rule_that_matches_wins():
    ignored = rules(top="*.csv\n!keep.csv\n/x/keep.csv\n")
    assert ignored.matches("a.csv")
    assert not ignored.matches("keep.csv")
    assert not ignored.matches("sub/keep.csv")
    assert ignored.matches("x/keep.csv")


def test_nothing_comes_back_below_a_folder_that_is_left_alone():
    ignored = rules(top="logs/\n!logs/keep.txt\n")
    assert ignored.matches("logs/keep.txt")


def test_a_file_in_a_folder_speaks_for_that_folder_and_comes_last():
    ignored = rules(top="*.csv\n", data_raw="!*.csv\n/a.txt\n")
    assert ignored.matches("data/a.csv")
    assert not ignored.matches("data/raw/a.csv")
    assert ignored.matches("data/raw/a.txt")
    assert not ignored.matches("data/raw/sub/a.txt")
    assert not ignored.matches("data/a.txt")


def test_a_project_in_a_folder_belongs_to_itself(tmp_path):
    (tmp_path / "inner" / ".dvc").mkdir(parents=True)
    (tmp_path / ".dvcignore").write_text("*.tmp\n")
    ignored = DvcIgnore.on_disk(tmp_path)
    assert ignored.matches("inner", True)
    assert ignored.matches("inner/a.txt")
    assert ignored.matches("a.tmp")
    assert not ignored.matches("other", True)


def test_a_walk_of_a_folder_asks_with_paths_of_its_own():
    skip = rules(top="/data/raw/x\n").below("data/raw")
    assert skip("x", False)
    assert not skip("y", False)
    assert rules(top="x\n").below(".")("x", False)
    assert rules(top="/a/x\n").below("./a/")("x", False)


def test_a_rule_that_is_none_is_told_with_its_line():
    with pytest.raises(ProjectFileError) as caught:
        rules(top="ok\n!\n", sub="").matches("a")
    assert str(caught.value) == (
        ".dvcignore, line 2: `!` is no pattern.\nHint: see `man gitignore`."
    )


def test_each_file_is_read_once():
    asked = []

    def read(path):
        asked.append(path)
        return b"*.tmp\n" if path == ".dvcignore" else None

    ignored = DvcIgnore(read)
    for number in range(10):
        assert ignored.matches(f"a/b/{number}.tmp")
    assert asked == [".dvcignore", "a/.dvcignore", "a/b/.dvcignore"]
