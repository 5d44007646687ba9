"""What changed between any two states: code by line, data by file, environment by package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nbexp import commands, render
from nbexp.experiments import differences, environment, notes
from nbexp.experiments.compare import Diff
from nbexp.experiments.differences import DataChange, EnvironmentChange, Patch
from nbexp.jupyter import display
from nbexp.render import diffs

if TYPE_CHECKING:
    from nbexp import Project

Git = Callable[..., str]


def patch(old: bytes | None, new: bytes | None, path: str = "a.py") -> Patch:
    change = differences.word(old, new)
    [found] = differences.patches([(path, change)], lambda _: [old], lambda _: [new])
    return found


# --- Code -----------------------------------------------------------------------------------------


def test_code_is_compared_line_by_line_with_context() -> None:
    old = b"a\nb\nc\nd\ne\nf\ng\n"
    found = patch(old, old.replace(b"e\n", b"E\nnew\n"))
    assert found.lines == (
        "@@ -2,6 +2,7 @@", " b", " c", " d", "-e", "+E", "+new", " f", " g",
    )  # fmt: skip
    assert (found.added, found.removed) == (2, 1)


def test_new_and_deleted_files_are_whole() -> None:
    assert patch(None, b"a\nb\n").lines == ("@@ -0,0 +1,2 @@", "+a", "+b")
    assert patch(b"a\n", None).lines == ("@@ -1 +0,0 @@", "-a")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"\0\1", b"\0\2", "binary"),
        (b"a" * (1 << 20) + b"b", b"a", "too large to compare line by line"),
        (b"a\n" * 10_001, b"a\n", "too long to compare line by line"),
        (b"a\r\n", b"a\n", "same text"),
    ],
)
def test_what_has_no_lines_says_why(old: bytes, new: bytes, why: str) -> None:
    found = patch(old, new)
    assert (found.lines, found.why) == ((), why)


def test_text_that_is_not_utf8_is_compared_all_the_same() -> None:
    assert patch("# für\n".encode("latin-1"), b"# fuer\n").lines[1:] == ("-# für", "+# fuer")


def notebook(*cells: str, prose: str = "") -> bytes:
    listed: list[dict[str, Any]] = [
        {"cell_type": "markdown", "metadata": {}, "source": prose, "id": "p"}
    ]
    for number, source in enumerate(cells):
        listed.append(
            {
                "cell_type": "code", "metadata": {}, "source": source, "id": f"c{number}",
                "outputs": [], "execution_count": number,
            }
        )  # fmt: skip
    whole = {"cells": listed, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole).encode()


def test_of_a_notebook_the_code_cells_are_compared_as_their_source() -> None:
    old, new = notebook("lr = 0.1", "fit(lr)"), notebook("lr = 0.1", "fit(lr)\nplot()")
    assert patch(old, new, "train.ipynb").lines == (
        "@@ -2,3 +2,4 @@", " lr = 0.1", " # %% cell 2", " fit(lr)", "+plot()",
    )  # fmt: skip
    only_prose = patch(old, notebook("lr = 0.1", "fit(lr)", prose="words"), "train.ipynb")
    assert (only_prose.lines, only_prose.why) == ((), "code unchanged")


def test_a_notebook_that_is_broken_is_compared_as_text() -> None:
    assert patch(b"{", b"[", "x.ipynb").lines == ("@@ -1 +1 @@", "-{", "+[")


def test_code_of_any_two_states(project: Project, git: Git) -> None:
    root = project.root
    project.run(name="before")
    script = (root / "train.sh").read_text()
    (root / "train.sh").write_text(script + "# longer\n")
    project.run(name="after")
    (root / "train.sh").write_text(script + "# longer\n# still\n")
    git("branch", "side", cwd=root)
    git("tag", "v1", cwd=root)
    for old, new, added in (
        ("before", "after", ["+# longer"]),
        ("side", "after", ["+# longer"]),
        ("v1", "workspace", ["+# longer", "+# still"]),
        ("after", "workspace", ["+# still"]),
        ("before", project["after"].rev[:10], ["+# longer"]),
    ):
        [found] = project.diff(old, new).patches
        assert (found.path, found.change) == ("train.sh", "modified")
        assert [line for line in found.lines if line.startswith("+")] == added
    assert project.diff("workspace", "after").patches[0].removed == 1
    text = render.text(project.diff("before", "after"))
    assert text.splitlines()[0] == "code     train.sh modified"
    assert "train.sh modified (+1 -0)" in text
    assert text.endswith("+# longer")
    code = project.diff("before", "after").to_json()["code"]
    assert isinstance(code, list)
    assert code[0]["path"] == "train.sh"
    assert code[0]["diff"].endswith("+# longer")


def test_the_files_that_differ_are_those_that_git_lists(
    project: Project, git: Git, tmp_path: Path
) -> None:
    root = project.root
    first = project.git.head() or ""
    (root / "deep" / "er").mkdir(parents=True)
    (root / "deep" / "er" / "x").write_text("1")
    (root / "train.sh").unlink()
    (root / "train.sh").mkdir()
    (root / "train.sh" / "inside").write_text("2")
    (root / "data" / "ünï cödé.csv").write_text("3")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=more", cwd=root)
    second = project.git.head() or ""
    listed = git(
        "diff", "--no-renames", "--name-only", "-z", first, second, cwd=root
    ).split("\0")[:-1]  # fmt: skip
    found = differences.changed_files(project.git, first, second)
    assert [path for path, _, _ in found] == sorted(listed)
    assert differences.changed_files(project.git, first, first) == []


# --- Data -----------------------------------------------------------------------------------------


@pytest.fixture
def images(project: Project, git: Git) -> Project:
    """A directory of three tracked files, and an experiment on it; then a second with other files."""
    root = project.root
    (root / "images").mkdir()
    for number in range(3):
        (root / "images" / f"{number}.png").write_bytes(b"x" * (number + 1))
    project.data.add("images")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=images", cwd=root)
    project.run(name="first", new=True, force=True)
    (root / "images" / "0.png").unlink()
    (root / "images" / "1.png").write_bytes(b"y" * 2000)
    (root / "images" / "9.png").write_bytes(b"z" * 7)
    (root / "images" / "2.png").rename(root / "images" / "2b.png")
    return project


EXPECTED = {
    ("images", "modified", 6, 2010, ""),
    ("images/0.png", "deleted", 1, None, ""),
    ("images/1.png", "modified", 2, 2000, ""),
    ("images/9.png", "added", None, 7, ""),
    ("images/2b.png", "renamed", 3, 3, "images/2.png"),
}


def rows(diff: Diff) -> set[tuple[str, str, int | None, int | None, str]]:
    return {
        (one.path, one.change, one.old_size, one.new_size, one.old_path)
        for one in diff.data
        if one.path.startswith("images")
    }


def test_files_inside_of_tracked_directories_are_named_with_their_sizes(images: Project) -> None:
    now = images.diff("first", "workspace")
    assert {row for row in rows(now) if row[0] != "images"} == {
        row for row in EXPECTED if row[0] != "images"
    }
    images.data.add("images")
    images.run(name="second", new=True)
    diff = images.diff("first", "second")
    assert rows(diff) == EXPECTED
    text = render.text(diff)
    assert "images/1.png modified (2 B -> 2 kB)" in text
    assert "images/2.png -> images/2b.png renamed (3 B)" in text
    back = images.diff("second", "first")
    assert ("images/0.png", "added", None, 1, "") in rows(back)
    report = images["second"].to_json()
    assert "changed" not in report


def test_params_and_metrics_are_not_told_of_a_second_time(images: Project) -> None:
    images.run({"train.lr": 0.03}, name="second")
    diff = images.diff("first", "second")
    assert "metrics.json" not in {one.path for one in diff.data}
    assert "model.txt" in {one.path for one in diff.data}


def test_the_json_has_dvcs_keys_and_more(images: Project) -> None:
    found = json.loads(commands.to_json(images.diff("first", "workspace")))
    assert list(found) == [
        "metrics", "params", "code", "notebooks", "outs", "data", "environment",
    ]  # fmt: skip
    assert {
        "path": "images/2b.png", "change": "renamed", "old_path": "images/2.png",
        "old_size": 3, "new_size": 3,
    } in found["data"]  # fmt: skip


# --- Environment ----------------------------------------------------------------------------------


def test_packages_that_were_added_removed_and_changed_are_told() -> None:
    old = {"python": "3.11.7", "packages": {"numpy": "1.26.4", "pandas": "2.2.0", "same": "1"}}
    new = {"python": "3.12.1", "packages": {"numpy": "2.1.0", "torch": "2.5", "same": "1"}}
    found = differences.environment(old, new)
    assert found == EnvironmentChange(
        (("python", "3.11.7", "3.12.1"),),
        (("numpy", "1.26.4", "2.1.0"), ("pandas", "2.2.0", None), ("torch", None, "2.5")),
    )
    assert diffs.environment_words(found) == [
        "python 3.11.7 -> 3.12.1", "numpy 1.26.4 -> 2.1.0", "- pandas 2.2.0", "+ torch 2.5",
    ]  # fmt: skip
    assert differences.environment(old, old) is None
    assert differences.environment(old, {}) is None
    assert differences.environment(None, new) is None


def with_packages(monkeypatch: pytest.MonkeyPatch, **packages: str) -> None:
    monkeypatch.setattr(environment, "_own", lambda: environment.Python("3.11.7", packages))
    monkeypatch.setattr(environment, "_is_own", lambda _: True)


def test_environments_of_two_experiments_and_of_the_workspace_are_compared(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_packages(monkeypatch, numpy="1.26.4")
    project.run(name="first")
    with_packages(monkeypatch, numpy="2.1.0", torch="2.5")
    second = project.run({"train.lr": 0.03}, name="second")
    diff = project.diff("first", "second")
    assert diff.environment == EnvironmentChange(
        (), (("numpy", "1.26.4", "2.1.0"), ("torch", None, "2.5"))
    )
    assert "environment  numpy 1.26.4 -> 2.1.0\n             + torch 2.5" in render.text(diff)
    assert project.diff("main", "second").environment is None
    assert project.diff("second", "workspace").environment is None
    with_packages(monkeypatch, numpy="2.2.0", torch="2.5")
    now = project.diff("second").environment
    assert now == EnvironmentChange((), (("numpy", "2.1.0", "2.2.0"),))
    # The card of the second run says it as well, in one line.
    assert second.report is not None
    card = render.text(second)
    assert "environment  numpy 1.26.4 -> 2.1.0, + torch 2.5\n" in card


def test_a_gpu_that_is_another_is_told() -> None:
    found = differences.environment(
        {"gpu": ["A100"], "platform": "Linux 6"}, {"gpu": [], "platform": "Linux 6"}
    )
    assert found == EnvironmentChange((("gpu", "A100", ""),))


# --- The card, and how it looks -------------------------------------------------------------------


def test_the_card_tells_what_else_changed_and_only_then(project: Project) -> None:
    project.run(name="first")
    second = project.run({"train.lr": 0.03}, name="second")
    names = [line.split()[0] for line in render.text(second).splitlines()]
    assert not {"code", "data", "environment"} & {*names}
    script = project.root / "train.sh"
    script.write_text(script.read_text() + "# longer\n")
    third = project.run(name="third")
    assert third.report is not None
    [found] = third.report.code
    assert (found.path, found.added, found.removed) == ("train.sh", 1, 0)
    assert "train.sh modified (+1 -0)" in render.text(third)
    assert "train.sh modified (+1 -0)" in str(display.bundle(third)[0]["text/html"])
    changed = third.to_json()["changed"]
    assert isinstance(changed, dict)
    assert [one["path"] for one in changed["code"]] == ["train.sh"]


def test_telling_what_changed_starts_no_git_process(project: Project, count_git: Any) -> None:
    project.run(name="first")
    script = project.root / "train.sh"
    script.write_text(script.read_text() + "# longer\n")
    count_git.clear()
    project.run(name="second")
    assert not [call for call in count_git.calls if "ls-tree" in call or "diff" in call]
    assert len(count_git) <= 6


def diff_of(line: str) -> Diff:
    return Diff(
        "a", "b", (), (), (("x.py", "modified"),),
        patches=(Patch("x.py", "modified", ("@@ -1 +1 @@", "-old", f"+{line}")),),
        data=(DataChange("d/<b>.csv", "added", None, 5, inside="d"),),
    )  # fmt: skip


def test_in_a_cell_what_is_new_is_green_and_all_of_it_is_text() -> None:
    page = str(display.bundle(diff_of("<script>alert(1)</script>"))[0]["text/html"])
    assert '<span class="nbexp-good">+&lt;script&gt;alert(1)&lt;/script&gt;</span>' in page
    assert '<span class="nbexp-bad">-old</span>' in page
    assert "d/&lt;b&gt;.csv added (5 B)" in page


def test_in_a_terminal_what_is_new_is_green_and_code_obeys_nothing() -> None:
    text = render.in_colour(diff_of("x \x1b[2J\x07\tend"))
    assert "\x1b[31m-old\x1b[0m" in text
    assert "\x1b[32m+x \\x1b[2J\\x07\tend\x1b[0m" in text
    assert "\x1b" not in render.text(diff_of("plain"))


def test_a_hostile_note_does_not_break_a_diff(project: Project) -> None:
    one, two = project.run(name="one"), project.run({"train.lr": 0.03}, name="two")
    notes.change(project.git, {one.rev: {"run": {"packages": {"a": 1}, "python": ["x"]}}})
    notes.change(project.git, {two.rev: {"run": {"packages": "../../etc", "python": None}}})
    assert project.diff("one", "two").to_json()
