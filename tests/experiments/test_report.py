"""Reports: what a reviewer reads, what a comment takes, and what stops a pipeline."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from nbexp.errors import CheckFailed, NotFound, UsageError
from nbexp.experiments.report import patch

if TYPE_CHECKING:
    from nbexp import Project

EVIL = "a|b <script>alert(1)</script> @octocat #1 `x` **y** $z$\n| c |"
PLAIN = EVIL.replace("\n", " ")


@pytest.fixture
def recorded(project: Project) -> Project:
    """`slow` as the project is, `fast` with another rate and one epoch more."""
    project.run(name="slow")
    project.run({"train.lr": 0.03, "train.epochs": 4}, name="fast")
    return project


def cells(text: str) -> list[list[str]]:
    """The first table of a text of Markdown, its cells as a reader sees them."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [line.strip("| ").split(" | ") for line in lines]
    return [[seen(cell) for cell in row] for row in rows if not set("".join(row)) <= set("-: ")]


def seen(markup: str) -> str:
    return html.unescape(re.sub(r"</?[a-z]+>", "", markup)).strip()


def test_two_stand_side_by_side_with_what_became_better(recorded: Project) -> None:
    text = recorded.report("fast", "slow").to_markdown()
    assert text.startswith("## fast against slow\n")
    assert cells(text)[:5] == [
        ["slow", "fast"],
        ["acc ↑", "0.8633", "🟢 0.9375 (+0.0742 better)"],
        ["steps.last", "3", "4 (+1)"],
        ["train.lr", "0.1", "0.03"],
        ["train.epochs", "3", "4"],
    ]
    assert "- outputs: <code>model.txt</code> modified" in text


def test_without_a_second_name_it_is_held_against_its_baseline(recorded: Project) -> None:
    assert recorded.report("fast").diff.old == "main"
    assert recorded.report("workspace").diff.old == "HEAD"
    assert recorded.report("HEAD").diff.old == recorded.git.commits(
        [recorded.git.head() or ""]
    )[0].parents[0][:7]  # fmt: skip


def test_many_have_a_row_each_and_the_first_its_differences(recorded: Project) -> None:
    recorded.run({"train.lr": 0.05}, name="other")
    text = recorded.report("fast", "slow", "other").to_markdown()
    assert cells(text)[:4] == [
        ["experiment", "acc ↑", "steps.last", "train.lr", "train.epochs"],
        ["fast", "🟢 0.9375 (+0.0742 better)", "4 (+1)", "0.03", "4"],
        ["slow", "0.8633", "3", "0.1", "3"],
        ["other", "0.9175", "4", "0.05", "4"],
    ]


def test_the_code_that_differs_is_a_diff_that_folds(recorded: Project) -> None:
    (recorded.root / "train.sh").open("a").write("# ```` and </details>\n")
    recorded.run(name="edited")
    text = recorded.report("edited", "slow").to_markdown()
    assert "- code: <code>train.sh</code> modified" in text
    assert "<summary>Code, +1 −0 lines</summary>" in text
    assert "\n`````diff\n--- a/train.sh\n+++ b/train.sh\n" in text
    assert "\n+# ```` and </details>\n`````\n" in text


def test_pictures_are_files_beside_the_text(recorded: Project) -> None:
    written = recorded.report("fast", "slow").write(recorded.root / "report.md")
    text = (recorded.root / "report.md").read_text()
    links = re.findall(r"!\[(.*?)\]\((.*?)\)", text)
    assert links == [("acc by step", "report_files/acc.png")]
    assert written.pictures == ("report_files/acc.png",)
    with Image.open(recorded.root / "report_files" / "acc.png") as image:
        assert image.format == "PNG"
        assert image.width > 800
    assert str(written) == f"wrote {recorded.root / 'report.md'}, with 1 picture in report_files"


def test_without_pictures_a_curve_is_told_in_numbers(recorded: Project) -> None:
    text = recorded.report("fast", "slow").to_markdown()
    assert "![" not in text
    assert cells(text.partition("### By step")[2]) == [
        ["experiment", "steps", "first", "last", "lowest", "highest"],
        ["fast", "4", "0.9", "0.9375", "0.9", "0.9375"],
        ["slow", "3", "0.83", "0.8633", "0.83", "0.8633"],
    ]


def test_pictures_among_the_outputs_stand_side_by_side(project: Project, tmp_path: Path) -> None:
    (project.root / "draw.py").write_text(
        "import sys, zlib, struct\n"
        "grey = int(open('shade').read())\n"
        "def part(kind, data):\n"
        "    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))\n"
        "open('shade.png', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + part(b'IHDR', struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0))"
        " + part(b'IDAT', zlib.compress(bytes([0, grey]))) + part(b'IEND', b''))\n"
    )
    (project.root / "shade").write_text("9")
    project.stage.add("draw", "python draw.py", deps=["draw.py", "shade"], outs=["shade.png"])
    project.run(name="dark")
    (project.root / "shade").write_text("200")
    project.run(name="light")
    report = project.report("light", "dark")
    report.write(project.root / "r.md")
    text = (project.root / "r.md").read_text()
    assert (
        "| ![shade.png of dark](r_files/shade-dark.png) | ![shade.png of light](r_files/shade-light.png) |"
        in text
    )
    for name, grey in (("dark", 9), ("light", 200)):
        with Image.open(project.root / "r_files" / f"shade-{name}.png") as image:
            assert image.getpixel((0, 0)) == grey
    assert report.to_html().count('src="data:image/png;base64,') == 2


NOTE = {
    "run": {
        "command": "nbexp run -S train.lr=0.03 -n fast",
        "host": "secret-host",
        "stages": {
            "prepare": {"action": "skipped", "seconds": 0.0},
            "train": {"action": "ran", "seconds": 83.4},
        },
    },
    "tags": ["paper", "<b>"],
    "star": True,
    "note": "for the <i>paper</i>",
}


def test_times_of_stages_are_told_where_they_are_known(
    recorded: Project, git: Callable[..., str]
) -> None:
    rev = recorded["fast"].rev
    git("notes", "--ref=nbexp", "add", "-f", "-m", json.dumps(NOTE), rev, cwd=recorded.root)
    report = recorded.report("fast", "slow")
    times = report.to_markdown().partition("### Times")[2].partition("###")[0]
    # What the run itself has recorded of the other may stand beside it.
    table = cells(times)
    column = table[0].index("fast")
    assert [row[column] for row in table if row[0] == "train"] == ["1 min 23 s"]
    assert "1 min 23 s" in report.to_html()
    assert "secret-host" not in report.to_html() + report.to_markdown()


def test_a_note_that_is_no_json_is_passed_over(recorded: Project, git: Callable[..., str]) -> None:
    rev = recorded["fast"].rev
    git("notes", "--ref=nbexp", "add", "-f", "-m", "mine", rev, cwd=recorded.root)
    assert rev not in recorded.report("fast", "slow").seconds


def test_a_page_of_html_is_complete_and_has_no_script(recorded: Project) -> None:
    recorded.report("fast", "slow").write(recorded.root / "report.html")
    page = (recorded.root / "report.html").read_text()
    assert "default-src 'none'" in html.unescape(page)
    assert "<script" not in page
    assert {address[:5] for address in re.findall(r'(?:src|href)="([^"]*)', page)} == {"data:"}
    assert "+0.0742 better" in page


def test_markup_in_names_and_values_stays_text(project: Project) -> None:
    params = {"prepare": {"rows": 4}, "train": {"lr": 0.1, "epochs": 3}, "seed": 0}
    (project.root / "params.yaml").write_text(json.dumps({**params, EVIL: "x"}))
    project.run(name="before")
    (project.root / "params.yaml").write_text(json.dumps({**params, EVIL: EVIL}))
    report = project.report("workspace", "before", title=EVIL)
    found = report.to_markdown()
    for sign in ("<script", "@octocat", " #1", "**y**", "`x`", "$z$"):
        assert sign not in found
    # Even as text no `@` is followed by a name, and no `#` by a number.
    assert "&#64;&#8288;octocat &#35;&#8288;1" in found.splitlines()[0]
    assert next(row for row in cells(found) if row[0] == PLAIN) == [PLAIN, "x", PLAIN]
    page = report.to_html()
    assert "<script>alert" not in page
    assert html.escape(PLAIN) in page


def test_a_bar_that_is_not_cleared_is_said_with_metric_value_and_bar(recorded: Project) -> None:
    report = recorded.report("slow", fail_under={"acc": 0.9})
    assert isinstance(report.failure, CheckFailed)
    assert str(report.failure) == "acc is 0.8633, under the bar of 0.9."
    assert "- ❌ acc is 0.8633, under the bar of 0.9" in report.to_markdown()
    assert recorded.report("fast", fail_under=["metrics.json:acc=0.9"]).failure is None
    assert str(recorded.report("fast", fail_over={"acc": 0.9}).failure) == (
        "acc is 0.9375, over the bar of 0.9."
    )


@pytest.mark.parametrize(
    ("bars", "error", "said"),
    [
        (["acc"], UsageError, "`acc` is no bar: a metric, `=` and a number are expected. Nothing was written."),
        (["acc=high"], UsageError, "`acc=high` is no bar: a metric, `=` and a number are expected. Nothing was written."),
        (["ac=1"], NotFound, "`slow` has no metric `ac`. Nothing was written."),
        (["other.json:acc=1"], NotFound, "`slow` has no metric `other.json:acc`. Nothing was written."),
    ],
)  # fmt: skip
def test_a_bar_about_nothing_does_not_pass(
    bars: list[str], error: type[Exception], said: str, recorded: Project
) -> None:
    with pytest.raises(error) as caught:
        recorded.report("slow", fail_under=bars)
    assert str(caught.value).splitlines()[0] == said


def test_a_metric_that_is_not_a_number_clears_no_bar(recorded: Project) -> None:
    (recorded.root / "metrics.json").write_text('{"acc": NaN}')
    report = recorded.report("workspace", fail_under={"acc": 0.1}, fail_over={"acc": 9})
    assert str(report.failure) == (
        "acc is nan, which clears no bar of 0.1.\nacc is nan, which clears no bar of 9."
    )


def test_the_command_ends_with_1_under_a_bar_and_writes_the_report_all_the_same(
    recorded: Project, nbexp_cli: Callable[..., Any]
) -> None:
    options = ("--fail-under", "acc=0.9", "--fail-over", "acc=0.99")
    ran = nbexp_cli("report", "slow", "-o", "r.md", *options, cwd=recorded.root, code=1)
    assert ran.stdout == "wrote r.md, with 1 picture in r_files\n✓ acc is 0.8633, at most 0.99\n"
    assert ran.stderr == "acc is 0.8633, under the bar of 0.9.\n"
    assert (recorded.root / "r.md").is_file()
    ran = nbexp_cli("report", "fast", *options, cwd=recorded.root)
    assert ran.stdout.startswith("## fast against main\n\n- ✅ acc is 0.9375, at least 0.9\n")


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("report.pdf", "report.pdf ends in neither .md nor .html. Nothing was written."),
        ("no/report.md", "There is no folder no. Nothing was written."),
        ("data", "data is a folder. Nothing was written."),
    ],
)
def test_a_place_that_cannot_be_written_is_told(
    out: str, said: str, recorded: Project, nbexp_cli: Callable[..., Any]
) -> None:
    form = ["--md"] if out == "data" else []
    ran = nbexp_cli("report", "slow", "-o", out, *form, cwd=recorded.root, code=2)
    assert ran.stderr.splitlines()[0] == said


def test_a_file_where_the_pictures_would_go_is_left(
    recorded: Project, nbexp_cli: Callable[..., Any]
) -> None:
    (recorded.root / "r_files").write_text("mine")
    ran = nbexp_cli("report", "slow", "-o", "r.md", cwd=recorded.root, code=2)
    assert ran.stderr.splitlines() == [
        "r_files is a file, and pictures are written to a folder of that name. Nothing was written.",
        "Hint: `nbexp report slow -o r-2.md`",
    ]
    assert (recorded.root / "r_files").read_text() == "mine"
    assert not (recorded.root / "r.md").exists()
    nbexp_cli("report", "slow", "-o", "a (b).md", cwd=recorded.root)
    assert "](<a (b)_files/acc.png>)" in (recorded.root / "a (b).md").read_text()


def test_a_diff_that_is_too_long_for_a_comment_is_left_out(recorded: Project) -> None:
    wide = "".join(f"# {'w' * 400} {number}\n" for number in range(300))
    (recorded.root / "train.sh").open("a").write(wide)
    recorded.run(name="long")
    text = recorded.report("long", "slow").to_markdown()
    assert len(text) < 60_000
    assert "The code's diff is too long for a comment: <code>nbexp diff slow long</code>" in text


def test_of_a_notebook_the_source_of_its_cells_is_compared() -> None:
    def book(source: str) -> bytes:
        cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": []}
        return json.dumps(
            {"cells": [cell], "nbformat": 4, "nbformat_minor": 4, "metadata": {}}
        ).encode()

    sides = {"a": book("x = 1\ny = 2"), "b": book("x = 1\ny = 3")}
    found = patch.unified([("n.ipynb", "modified")], lambda _: sides["a"], lambda _: sides["b"])
    assert found.splitlines()[2:] == [
        "@@ -1,4 +1,4 @@",
        " # cell 1",
        " x = 1",
        "-y = 2",
        "+y = 3",
        " ",
    ]


def test_what_is_no_text_is_told_in_a_line() -> None:
    found = patch.unified(
        [("a.bin", "modified"), ("b.txt", "added"), ("big", "added")],
        lambda path: b"\0" if path == "a.bin" else None,
        lambda path: {"a.bin": b"\1", "b.txt": b"one\n\x1b[31m", "big": b"x" * 2_000_000}[path],
    )
    assert found.splitlines() == [
        "a.bin: not text", "--- /dev/null", "+++ b/b.txt", "@@ -0,0 +1,2 @@", "+one", "+�[31m",
        "big: 2.0 MB, not shown",
    ]  # fmt: skip
    assert patch.counted(found) == (2, 0)
