"""A published site: what is in it, and that nobody else's files are lost to it."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbexp import filesystem
from nbexp.errors import NotFound, StoreError, UsageError
from nbexp.experiments.series import Series
from nbexp.experiments.site import book, drawing, folder
from nbexp.experiments.site.clean import clean
from nbexp.experiments.site.pictures import Pictures

if TYPE_CHECKING:
    from nbexp import Project

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def recorded(project: Project) -> Project:
    project.run(name="slow")
    project.run({"train.lr": 0.03}, name="fast")
    return project


def contents(place: Path) -> dict[str, bytes]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file()
    }


def test_a_site_is_a_table_and_a_page_for_each(recorded: Project) -> None:
    result = recorded.publish("site")
    site = contents(recorded.root / "site")
    assert sorted(site) == [
        ".nbexp-site.json", "assets/cells.js", "assets/site.css", "assets/site.js",
        "experiments/fast.html", "experiments/slow.html", "index.html",
    ]  # fmt: skip
    assert result.experiments == ("fast", "slow")
    assert result.size_bytes == sum(map(len, site.values()))
    assert str(result).startswith("wrote site: 2 experiments, ")
    index = site["index.html"].decode()
    assert re.findall(r'<a href="(experiments/.*?)">(.*?)</a>', index) == [
        ("experiments/fast.html", "fast"),
        ("experiments/slow.html", "slow"),
    ]
    page = html.unescape(re.sub("<[^>]*>", " ", site["experiments/fast.html"].decode()))
    assert re.search(r"train\.lr +0\.03 +was 0\.1\b", page)
    assert re.search(r"acc ↑ +0\.9333", page)


def test_experiments_can_be_named_and_the_site_too(recorded: Project) -> None:
    result = recorded.publish("site", "slow", title=f"Digits {EVIL}")
    index = (recorded.root / "site" / "index.html").read_text()
    assert result.experiments == ("slow",)
    assert not (recorded.root / "site" / "experiments" / "fast.html").exists()
    assert "<h1>Digits &lt;script&gt;alert(1)&lt;/script&gt;</h1>" in index
    with pytest.raises(NotFound, match="There is no experiment `slwo`"):
        recorded.publish("other", "slwo")
    assert not (recorded.root / "other").exists()


def test_what_is_recorded_about_an_experiment_stands_on_its_page(
    recorded: Project, git: Callable[..., str]
) -> None:
    note = {
        "run": {
            "command": "nbexp run -S 'a=<b>'",
            "host": "secret-host",
            "user": "secret-user",
            "stages": {"train": {"action": "ran", "seconds": 4000}},
        },
        "tags": ["paper"],
        "star": True,
        "note": EVIL,
    }
    rev = recorded["fast"].rev
    git("notes", "--ref=nbexp", "add", "-f", "-m", json.dumps(note), rev, cwd=recorded.root)
    recorded.publish("site")
    site = contents(recorded.root / "site")
    page = site["experiments/fast.html"].decode()
    assert "<code>nbexp run -S &#x27;a=&lt;b&gt;&#x27;</code>" in page
    assert "train 1 h 6 min" in page
    assert f"<p>{html.escape(EVIL)}</p>" in page
    assert "#paper" in page
    assert '<span class="faint"> ★ #paper</span>' in site["index.html"].decode()
    assert b"secret" not in b"".join(site.values())


def test_without_experiments_the_site_says_how_to_make_one(project: Project) -> None:
    assert project.publish("site").experiments == ()
    assert (
        "No experiment yet. <code>nbexp run</code> makes one."
        in (project.root / "site" / "index.html").read_text()
    )


def test_of_two_baselines_each_experiment_says_its_own(
    recorded: Project, git: Callable[..., str]
) -> None:
    git("commit", "--quiet", "--allow-empty", "--message=next", cwd=recorded.root)
    recorded.run({"train.lr": 0.2}, name="slow")
    assert recorded.publish("site").experiments == ("slow", "fast", "slow")
    site = contents(recorded.root / "site")
    assert {"experiments/slow.html", "experiments/slow-2.html"} <= set(site)
    assert 'data-title="baseline"' in site["index.html"].decode()


def test_a_metrics_file_that_cannot_be_read_costs_its_cells_only(recorded: Project) -> None:
    pipeline = (recorded.root / "train.sh").read_text()
    (recorded.root / "train.sh").write_text(f"{pipeline}\necho '{{' >metrics.json\n")
    recorded.run(name="broken")
    recorded.publish("site")
    index = (recorded.root / "site" / "index.html").read_text()
    assert "unreadable" in index
    assert "0.9333" in index


def test_pictures_beyond_the_size_are_left_out_the_oldest_first(
    project: Project, nbexp_cli: Callable[..., Any]
) -> None:
    (project.root / "draw.py").write_text(
        "import random, struct, zlib\n"
        "dice = random.Random(open('seed').read())\n"
        "def part(kind, data):\n"
        "    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))\n"
        "rows = b''.join(bytes([0]) + dice.randbytes(200) for _ in range(200))\n"
        "open('noise.png', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n'"
        " + part(b'IHDR', struct.pack('>IIBBBBB', 200, 200, 8, 0, 0, 0, 0))"
        " + part(b'IDAT', zlib.compress(rows)) + part(b'IEND', b''))\n"
    )
    (project.root / "seed").write_text("0")
    project.stage.add("draw", "python draw.py", deps=["draw.py", "seed"], outs=["noise.png"])
    for number in range(3):
        (project.root / "seed").write_text(str(number))
        project.run(name=f"run-{number}")
    ran = nbexp_cli("publish", "site", "--max-size", "0.15", cwd=project.root)
    assert ran.stdout.splitlines()[1:] == [
        "1 picture left out, for the size.",
        "Hint: `nbexp publish site --max-size 1` has room for all.",
    ]
    site = project.root / "site"
    assert sum(map(len, contents(site).values())) < 150_000
    *newer, oldest = project.publish("again", max_size_mb=0.15).experiments
    assert "left out here" in (site / "experiments" / f"{oldest}.html").read_text()
    for name in newer:
        assert '<img src="../pictures/' in (site / "experiments" / f"{name}.html").read_text()
    ran = nbexp_cli("publish", "site", "--max-size", "1", cwd=project.root)
    assert len(ran.stdout.splitlines()) == 1
    assert len(list((site / "pictures").iterdir())) == 3
    nbexp_cli("publish", "site", "--max-size", "0", cwd=project.root, code=2)


def test_an_experiment_whose_dvc_yaml_is_broken_says_so_on_its_page(
    recorded: Project, git: Callable[..., str]
) -> None:
    head = git("rev-parse", "HEAD", cwd=recorded.root)
    (recorded.root / "dvc.yaml").write_text("stages: [")
    git("stash", cwd=recorded.root)
    rev = git("rev-parse", "stash@{0}", cwd=recorded.root)
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/broken", rev, cwd=recorded.root)
    assert set(recorded.publish("site").experiments) == {"broken", "fast", "slow"}
    page = (recorded.root / "site" / "experiments" / "broken.html").read_text()
    assert '<p class="bad">dvc.yaml' in page


def test_names_that_are_no_text_are_told_by_their_bytes(
    recorded: Project, git: Callable[..., str]
) -> None:
    odd = recorded.root / os.fsdecode(b"caf\xe9.py")
    odd.write_text("x = 1\n")
    git("add", "--all", cwd=recorded.root)
    git("commit", "--quiet", "--message=odd", cwd=recorded.root)
    odd.write_text("x = 2\n")
    recorded.run(name="odd")
    for name in ("r.md", "r.html"):
        recorded.report("odd").write(recorded.root / name)
        assert b"caf\\udce9.py" in (recorded.root / name).read_bytes()
    recorded.publish("site")
    assert b"caf\\udce9.py" in (recorded.root / "site" / "experiments" / "odd.html").read_bytes()


def test_publishing_again_replaces_the_site_and_leaves_other_files(recorded: Project) -> None:
    site = recorded.root / "site"
    recorded.publish("site")
    (site / "CNAME").write_text("example.org")
    (site / ".git").mkdir()
    (site / ".git" / "config").write_text("of a branch for pages")
    (site / "link").symlink_to("CNAME")
    recorded.remove("slow")
    recorded.publish("site")
    assert not (site / "experiments" / "slow.html").exists()
    assert (site / "CNAME").read_text() == "example.org"
    assert (site / ".git" / "config").read_text() == "of a branch for pages"
    assert os.readlink(site / "link") == "CNAME"
    assert [path.name for path in recorded.root.glob(".*nbexp*")] == []


def test_a_folder_with_hidden_files_alone_is_taken(recorded: Project) -> None:
    (recorded.root / "site" / ".git").mkdir(parents=True)
    (recorded.root / "site" / ".git" / "HEAD").write_text("ref: refs/heads/gh-pages")
    recorded.publish("site")
    assert (recorded.root / "site" / "index.html").is_file()
    assert (recorded.root / "site" / ".git" / "HEAD").is_file()


def test_a_folder_that_publish_did_not_make_is_left_alone(recorded: Project) -> None:
    before = contents(recorded.root / "data")
    with pytest.raises(StoreError) as caught:
        recorded.publish("data")
    assert caught.value.message == (
        "data holds what `publish` did not make: raw.csv. Nothing was written."
    )
    assert contents(recorded.root / "data") == before
    with pytest.raises(StoreError, match="did not make: \\.dvc, "):
        recorded.publish(".")


def test_a_page_that_was_edited_is_not_overwritten(recorded: Project) -> None:
    recorded.publish("site")
    index = recorded.root / "site" / "index.html"
    index.write_text("mine")
    with pytest.raises(StoreError, match="was edited since it was published"):
        recorded.publish("site")
    assert index.read_text() == "mine"
    index.unlink()
    recorded.publish("site")
    assert index.read_text() != "mine"


def test_a_new_page_does_not_take_the_place_of_a_foreign_file(recorded: Project) -> None:
    recorded.publish("site", "slow")
    mine = recorded.root / "site" / "experiments" / "fast.html"
    mine.write_text("mine")
    with pytest.raises(StoreError, match="a page of the site has its name"):
        recorded.publish("site")
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("place", ["params.yaml", "no/site"])
def test_a_place_that_is_no_folder_is_told(place: str, recorded: Project) -> None:
    with pytest.raises(UsageError, match="Nothing was written"):
        recorded.publish(place)


@pytest.mark.parametrize("point", ["site.written", "site.swapped"])
def test_killed_at_any_moment_the_folder_is_the_old_site_or_the_new_one(
    point: str, recorded: Project, nbexp_cli: Callable[..., Any]
) -> None:
    site = recorded.root / "site"
    recorded.publish("site", "slow")
    (site / "CNAME").write_text("example.org")
    old = contents(site)
    ran = nbexp_cli("publish", "site", cwd=recorded.root, code=None, env={"NBEXP_CRASH": point})
    assert ran.returncode == -signal.SIGKILL
    found = contents(site)
    assert ("experiments/fast.html" in found) == (point == "site.swapped")
    assert found["CNAME"] == b"example.org"
    assert found == old or json.loads(found[".nbexp-site.json"])["files"].keys() == (
        found.keys() - {"CNAME", ".nbexp-site.json"}
    )
    nbexp_cli("publish", "site", cwd=recorded.root)
    assert contents(site)["CNAME"] == b"example.org"
    # What the killed one left beside it goes with a later command.
    assert filesystem.sweep(recorded.root, 0) == 1


def test_where_folders_cannot_be_exchanged_in_one_step_two_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    target = tmp_path / "site"
    folder.replace(target, {"a": b"1"})
    folder.replace(target, {"b": b"2"})
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert (target / "b").read_bytes() == b"2"
    # As a kill between the two steps leaves it.
    target.rename(tmp_path / ".site.before-publish")
    folder.replace(target, {"c": b"3"})
    assert sorted(path.name for path in target.iterdir()) == [folder.MARK, "c"]
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


# ---- notebooks


def shown(*outputs: dict[str, object], source: str = "x", pictures: Pictures | None = None) -> str:
    cell = {"cell_type": "code", "metadata": {}, "source": source, "outputs": list(outputs)}
    data = json.dumps({"cells": [cell]}).encode()
    return str(book.write(data, pictures or Pictures(), book.Cells(), "../", "nbexp open a"))


def test_outputs_of_a_notebook_are_shown_and_do_nothing() -> None:
    stream = shown({"output_type": "stream", "text": [f"\x1b[31m{EVIL}\x1b[0m\n", "two\n"]})
    assert "<pre>&lt;script&gt;alert(1)&lt;/script&gt;\ntwo</pre>" in stream
    error = shown({"output_type": "error", "ename": "E", "evalue": EVIL, "traceback": []})
    assert '<pre class="error">E: &lt;script&gt;' in error
    table = f"<style>*{{}}</style><table onclick='x()'><tr><td>7{EVIL}</td></tr></table>"
    frame = shown({"output_type": "display_data", "data": {"text/html": table}})
    assert "<table><tr><td>7</td></tr></table>" in frame
    drawing = '<svg xmlns="http://www.w3.org/2000/svg"><script>x()</script></svg>'
    svg = shown({"output_type": "display_data", "data": {"image/svg+xml": drawing}})
    assert 'src="data:image/svg+xml;base64,' in svg
    assert "<svg" not in svg
    widget = shown({"output_type": "display_data", "data": {"text/html": EVIL, "text/plain": "W"}})
    assert "<pre>W</pre>" in widget


def test_a_long_output_keeps_its_ends() -> None:
    found = shown({"output_type": "stream", "text": "a" * 5000 + "middle" + "z" * 5000})
    assert "… 4,006 characters …" in found
    assert "middle" not in found


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"cells": [1, {"cell_type": "code", "outputs": 3, "source": "x"}]}'],
)
def test_what_is_no_notebook_shows_little_and_breaks_nothing(data: bytes) -> None:
    assert "script" not in book.write(data, Pictures(), book.Cells(), "../", "x")
    assert book.pictures(data, Pictures()) == []


def test_a_picture_without_room_says_what_shows_it() -> None:
    pictures = Pictures()
    encoded = base64.b64encode(b"\x89PNG" + bytes(5000)).decode()
    output = {
        "output_type": "display_data",
        "data": {"image/png": encoded, "text/plain": "<Figure>"},
    }
    book.pictures(
        json.dumps({"cells": [{"cell_type": "code", "outputs": [output]}]}).encode(), pictures
    )
    assert 'alt="&lt;Figure&gt;"' in shown(output, pictures=pictures)
    assert pictures.fit(1000) == [5004]
    assert "A picture of 5 kB is left out here; <code>nbexp open a</code> shows it." in shown(
        output, pictures=pictures
    )


def test_cells_that_several_notebooks_have_are_kept_once() -> None:
    cells = book.Cells()
    data = json.dumps({"cells": [{"cell_type": "code", "source": "x = 1  # " + "y" * 80}]}).encode()
    for _ in range(2):
        assert "x = 1" in book.write(data, Pictures(), cells, "", "")
    cells.share()
    assert '<div class="in" data-c="c0"></div>' in book.write(data, Pictures(), cells, "", "")
    assert cells.script().startswith('const CELLS = {"c0": "\\u003cpre>\\u003ccode>x = 1')


# ---- HTML of others


@pytest.mark.parametrize(
    ("given_html", "kept"),
    [
        ("<b>x</b> &lt;i&gt;", "<b>x</b> &lt;i&gt;"),
        ("<script>x()</script>a", "a"),
        ("<img src=x onerror=y()>", ""),
        ('<img src="data:image/png;base64,AAAA" style="x" alt="a">', '<img alt="a" src="data:image/png;base64,AAAA">'),
        ('<img src="data:image/svg+xml;base64,AAAA" alt="a<b">', "a&lt;b"),
        ('<a href="JaVaScRiPt:x()" onclick="y()">a</a>', "<a>a</a>"),
        ('<a href="https://example.org/?a=1&b">a</a>', '<a href="https://example.org/?a=1&amp;b" rel="noopener noreferrer">a</a>'),
        ("</div></table><td colspan=2 style=x>a", '<td colspan="2">a</td>'),
        ("<table><tr><td>a<div><p>b</table>c", "<table><tr><td>a<div><p>b</p></div></td></tr></table>c"),
        ("<svg><svg></svg><b>x</b></svg>y", "y"),
        ("<iframe src=x>a</iframe><form><input value=1>b</form>", "b"),
        ("<!-- a --><?b?><![CDATA[c]]><!DOCTYPE d>e", "e"),
        ("<style/>a", "a"),
    ],
)  # fmt: skip
def test_of_html_the_harmless_part_is_kept(given_html: str, kept: str) -> None:
    assert clean(given_html) == kept


@given(
    st.lists(
        st.sampled_from(
            ["<", ">", "/", "script", "svg", "img", "a", "table", " href=", " onload=", "'", '"', "javascript:x",
             "<script", "</script>", "<!--", "-->", "&lt;", "=", " ", "data:", "<b>", "</b>", "x", "\0", "<![CDATA["]
        ),
        max_size=25,
    )
)  # fmt: skip
def test_whatever_is_fed_nothing_acts_and_every_element_is_closed(parts: list[str]) -> None:
    found = clean("".join(parts))
    tags = re.findall(r"<(/?)([a-z0-9]+)((?: [a-z]+=\"[^\"<>]*\")*)>", found)
    assert len(tags) == found.count("<")
    assert not {name for _, name, _ in tags} & {"script", "svg", "style", "iframe"}
    assert not any(" on" in attributes or "javascript" in attributes for *_, attributes in tags)
    open_tags: list[str] = []
    for end, name, _ in tags:
        if name in {"br", "hr", "img", "col"}:
            continue
        if end:
            assert open_tags.pop() == name
        else:
            open_tags.append(name)
    assert open_tags == []


# ---- curves


def chart(*values: float, steps: tuple[float, ...] | None = None) -> str:
    series = Series("a", "step", steps or tuple(range(len(values))), values)
    return str(drawing.curves([series], {"a": "c0"}, "acc", points=100))


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.705, 0.96), ["0.7", "0.8", "0.9", "1.0"]),
        ((0.0001, 0.0004), ["0.0001", "0.0002", "0.0003", "0.0004"]),
        ((2_000_000.0, 9_000_000.0), ["2e+06", "4e+06", "6e+06", "8e+06", "1e+07"]),
        ((-3.0, 5.0), ["-4", "-2", "0", "2", "4", "6"]),
        ((1.0, 1.0), ["1"]),
    ],
)
def test_an_axis_has_round_numbers(values: tuple[float, ...], labels: list[str]) -> None:
    up = chart(*values).partition('<g class="up">')[2].partition("</g>")[0]
    assert re.findall(r">([^<]+)</text>", up) == labels


def test_what_is_no_number_is_not_drawn() -> None:
    assert "NaN" not in chart(0.5, float("nan"), float("inf"), 0.6)
    assert chart(float("nan")) == '<p class="empty">No value that is a number.</p>'
    assert "<circle" in chart(0.5)


@given(
    st.lists(st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)), min_size=1, max_size=30)
)
def test_any_curve_stays_inside_its_chart(points: list[tuple[float, float]]) -> None:
    drawn = chart(*(value for _, value in points), steps=tuple(step for step, _ in points))
    path = re.search(r'class="line" d="M(-?\d+),(-?\d+)l?([^"]*)"', drawn)
    if path is None:
        assert "<circle" in drawn
        return
    x, y = int(path[1]), int(path[2])
    numbers = list(map(int, re.findall(r"-?\d+", path[3])))
    for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
        x, y = x + dx, y + dy
        assert 0 <= x <= 880
        assert 0 <= y <= 480
