"""The time machine: any path of any experiment, as what it is, with the workspace untouched."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import nbexp
from nbexp import render
from nbexp.errors import NotFound, StageFailed, StoreError
from nbexp.experiments.opening import (
    OpenedBytes,
    OpenedDirectory,
    OpenedPicture,
    OpenedTable,
    OpenedText,
)
from nbexp.jupyter import display
from nbexp.store.remotes import local

if TYPE_CHECKING:
    from nbexp import Project


def png(width: int, height: int) -> bytes:
    """A black picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\0" * width) * height)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0000b080040008001011100ffd9")
SVG = b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

# What another commit of the project has, that the workspace has not.
FILES: dict[str, bytes] = {
    "figure.png": png(64, 48),
    "photo.jpg": JPEG,
    "drawing.svg": SVG,
    "rows.csv": b"name;acc\r\n<b>x</b>;0.5\r\n"
    + b"".join(b"n%d;0.%d\r\n" % (n, n) for n in range(1, 30)),
    "rows.json": b'[{"a": 1, "b": null}, {"a": 2.5, "c": "x"}]',
    "rows.yaml": b"- {a: 1}\n- {a: 2}\n",
    "curve.json": b'{"data": [{"step": 0}, {"step": 1}]}',
    "rows.jsonl": b'{"a": 1}\n{"a": 2}\n{"a": 3}\n',
    "nested.json": b'{"acc": 0.5, "steps": {"last": 3}}',
    "broken.json": b'{"acc": ',
    "notes.md": b"# Notes\n\x1b[31mred\x1b[0m <script>x</script>\n",
    "latin.txt": "gr\xfc\xdfe".encode("latin-1"),
    "weights.bin": bytes(range(256)),
    "empty.txt": b"",
    "long.txt": b"".join(b"line %d\n" % n for n in range(1000)),
}


@pytest.fixture
def two(project: Project) -> Project:
    project.run({"train.lr": 0.03}, name="low")
    project.run({"train.lr": 0.5, "prepare.rows": 1}, name="high")
    return project


@pytest.fixture
def odd(project: Project, git: Callable[..., Any]) -> Project:
    """The branch `odd` has all of FILES, the workspace none."""
    git("switch", "--quiet", "--create", "odd", cwd=project.root)
    for name, data in FILES.items():
        (project.root / name).write_bytes(data)
    git("add", "--all", cwd=project.root)
    git("commit", "--quiet", "--message=odd", cwd=project.root)
    git("switch", "--quiet", "main", cwd=project.root)
    return project


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of last change of everything but what nbexp derives, the index included."""
    found = {}
    for folder, folders, names in os.walk(root):
        if Path(folder) == root / ".dvc":
            folders.remove("tmp")
        for name in (*names, *folders):
            info = os.lstat(os.path.join(folder, name))
            if ".git/objects" not in folder:
                found[os.path.join(folder, name)] = (info.st_size, info.st_mtime_ns)
    return found


class TestWhatIsShown:
    def test_a_table_of_an_experiment_is_its_first_rows_and_how_many_there_are(
        self, two: Project
    ) -> None:
        table = two.open("low", "prepared/train.csv", limit=2)
        assert isinstance(table, OpenedTable)
        assert (table.columns, table.rows, table.total) == (
            ("x", "y"),
            (("1", "1"), ("2", "4")),
            20,
        )
        assert render.text(table) == (
            "prepared/train.csv of low: the first 2 of 20 rows\n\nx  y\n1  1\n2  4"
        )
        assert render.text(two.open("high", "prepared/train.csv")) == (
            "prepared/train.csv of high: 1 row\n\nx  y\n1  1"
        )

    def test_metrics_are_a_table_of_keys(self, two: Project) -> None:
        assert render.text(two.open("low", "metrics.json")) == (
            "metrics.json of low: 2 rows\n\nkey         value\nacc         0.9333\nsteps.last  3"
        )

    def test_a_directory_is_listed_with_sizes(self, two: Project) -> None:
        listing = two.open("low", "prepared")
        assert isinstance(listing, OpenedDirectory)
        assert render.text(listing) == (
            "prepared of low: 2 files, 127 bytes\n\n  parts/     26 B   1 file\n  train.csv  101 B"
        )
        assert listing.to_json()["files"] == 2

    def test_of_a_failed_run_it_is_what_that_left(self, two: Project) -> None:
        script = two.root / "train.sh"
        script.write_text(f"{script.read_text()}echo half > model.txt; exit 1\n")
        with pytest.raises(StageFailed):
            two.run({"train.lr": 0.2}, name="bad")
        model = two.open("bad", "model.txt")
        assert isinstance(model, OpenedText)
        assert model.lines == ("half",)
        assert "0.7633" in render.text(two.open("bad", "metrics.json"))
        assert two.path("bad", "model.txt").read_bytes() == b"half\n"
        assert two.path("bad", "prepared").is_dir()

    def test_a_whole_commit_is_listed(self, two: Project) -> None:
        listing = two.open("low", ".")
        assert isinstance(listing, OpenedDirectory)
        names = {one.name for one in listing.entries}
        assert {"prepared/", "plots/", "model.txt", "dvc.yaml", "metrics.json"} <= names

    def test_params_are_text_with_their_comments(self, two: Project) -> None:
        text = two.open("low", "params.yaml")
        assert isinstance(text, OpenedText)
        assert text.lines[:2] == ("# Chosen by hand.", "prepare:")
        assert "  lr: 0.03  # the step size" in text.lines

    def test_a_branch_a_tag_and_a_commit_are_opened_as_well(self, two: Project, git: Any) -> None:
        git("tag", "v1", cwd=two.root)
        for name in ("main", "v1", two.git.head() or "", "HEAD"):
            shown = two.open(name, "params.yaml")
            assert isinstance(shown, OpenedText)
            assert "  lr: 0.1  # the step size" in shown.lines

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("figure.png", "PNG picture, 64 x 48, "),
            ("photo.jpg", "JPEG picture, 128 x 64, "),
            ("drawing.svg", "SVG picture, "),
        ],
    )
    def test_a_picture_is_told_with_its_measures(self, path: str, said: str, odd: Project) -> None:
        picture = odd.open("odd", path)
        assert isinstance(picture, OpenedPicture)
        assert picture.data == FILES[path]
        assert render.text(picture).startswith(f"{path} of odd: {said}")
        assert picture.to_json()["size"] == len(FILES[path])

    def test_a_cell_shows_a_picture_and_an_svg_runs_no_script(self, odd: Project) -> None:
        shown = display.bundle(odd.open("odd", "figure.png"))[0]["text/html"]
        assert f"data:image/png;base64,{base64.b64encode(FILES['figure.png']).decode()}" in str(
            shown
        )
        drawn = str(display.bundle(odd.open("odd", "drawing.svg"))[0]["text/html"])
        assert "<script" not in drawn
        assert '<img src="data:image/svg+xml;base64,' in drawn

    def test_a_cell_shows_a_real_table_with_everything_escaped(self, odd: Project) -> None:
        shown = str(display.bundle(odd.open("odd", "rows.csv"))[0]["text/html"])
        assert "&lt;b&gt;x&lt;/b&gt;" in shown
        assert "<b>x</b>" not in shown
        assert shown.count("<tr>") == 21
        assert "the first 20 of 30 rows" in shown
        text = str(display.bundle(odd.open("odd", "notes.md"))[0]["text/html"])
        assert "&lt;script&gt;x&lt;/script&gt;" in text

    @pytest.mark.parametrize(
        ("path", "columns", "total"),
        [
            ("rows.csv", ("name", "acc"), 30),
            ("rows.json", ("a", "b", "c"), 2),
            ("rows.yaml", ("a",), 2),
            ("curve.json", ("step",), 2),
            ("rows.jsonl", ("a",), 3),
            ("nested.json", ("key", "value"), 2),
        ],
    )
    def test_rows_of_every_format_are_a_table(
        self, path: str, columns: tuple[str, ...], total: int, odd: Project
    ) -> None:
        table = odd.open("odd", path)
        assert isinstance(table, OpenedTable)
        assert (table.columns, table.total) == (columns, total)
        json.dumps(table.to_json(), allow_nan=False)

    def test_a_value_that_a_row_lacks_is_none_of_its_json(self, odd: Project) -> None:
        assert odd.open("odd", "rows.json").to_json()["rows"] == [
            {"a": 1, "b": None}, {"a": 2.5, "c": "x"},
        ]  # fmt: skip

    def test_text_does_not_reach_the_terminal_with_its_escapes(self, odd: Project) -> None:
        shown = render.text(odd.open("odd", "notes.md"))
        assert "\x1b" not in shown
        assert r"\x1b[31mred\x1b[0m" in shown

    def test_what_cannot_be_parsed_is_text(self, odd: Project) -> None:
        assert render.text(odd.open("odd", "broken.json")) == 'broken.json of odd\n\n{"acc": '

    def test_an_empty_file_is_an_empty_text(self, odd: Project) -> None:
        opened = odd.open("odd", "empty.txt")
        assert isinstance(opened, OpenedText)
        assert (opened.lines, opened.total, opened.size) == ((), 0, 0)

    def test_of_a_long_text_the_first_lines_are_shown(self, odd: Project) -> None:
        assert render.text(odd.open("odd", "long.txt", limit=2)) == (
            "long.txt of odd: the first 2 of 1,000 lines\n\nline 0\nline 1"
        )

    @pytest.mark.parametrize("path", ["weights.bin", "latin.txt"])
    def test_other_bytes_are_told_by_size_and_md5(self, path: str, odd: Project) -> None:
        opened = odd.open("odd", path)
        digest = hashlib.md5(FILES[path], usedforsecurity=False).hexdigest()
        assert isinstance(opened, OpenedBytes)
        assert (opened.size, opened.md5) == (len(FILES[path]), digest)
        assert digest in render.text(opened)
        assert "-o FILE" in render.text(opened)

    def test_a_big_table_in_git_is_not_loaded_to_show_its_beginning(
        self, project: Project, git: Any
    ) -> None:
        row = b"abcdefghij,1234567890\n"
        (project.root / "big.csv").write_bytes(b"a,b\n" + row * 1_000_000)
        git("add", "big.csv", cwd=project.root)
        git("commit", "--quiet", "--message=big", cwd=project.root)
        shutil.rmtree(project.root / ".dvc" / "tmp", ignore_errors=True)
        project.open("HEAD", "params.yaml")  # what is imported is not counted
        tracemalloc.start()
        table = project.open("HEAD", "big.csv")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert isinstance(table, OpenedTable)
        assert (len(table.rows), table.total, table.is_exact) == (20, 1_000_000, False)
        assert peak < 4 << 20

    def test_a_big_table_in_the_cache_is_counted_by_its_lines(self, project: Project) -> None:
        (project.root / "big.csv").write_bytes(b"a,b\n" + b"abcdefghij,1234567890\n" * 1_000_000)
        project.data.add("big.csv")
        project.git.run("add", "--all")
        project.git.run("commit", "--quiet", "--message=big")
        table = project.open("HEAD", "big.csv")
        assert isinstance(table, OpenedTable)
        assert (table.total, table.is_exact) == (1_000_000, False)
        assert "the first 20 of about 1,000,000 rows" in render.text(table)


class TestTheWorkspace:
    def test_nothing_of_it_changes_whatever_is_looked_at(self, two: Project, git: Any) -> None:
        (two.root / "params.yaml").write_text("edited: true\n")
        status = git("status", "--porcelain", cwd=two.root)
        before = stamps(two.root)
        for path in (".", "prepared", "model.txt", "metrics.json", "plots/acc.csv", "params.yaml"):
            two.open("low", path)
            two.read("low", path) if path not in (".", "prepared") else None
            two.path("low", path)
        assert stamps(two.root) == before
        assert git("status", "--porcelain", cwd=two.root) == status

    def test_every_row_leads_back_to_its_code_data_params_and_outputs(
        self, two: Project, nbexp_cli: Any
    ) -> None:
        shown = json.loads(nbexp_cli("show", "--json", cwd=two.root).stdout)
        revs = {
            one["revs"][0]["name"]: one["revs"][0]["rev"]
            for base in shown
            for one in base["experiments"] or []
        }
        assert set(revs) == {"low", "high"}
        for name, rev in revs.items():
            lock = yaml.safe_load(two.read(rev, "dvc.lock"))["stages"]["train"]
            for entry in (*lock["outs"], *(e for e in lock["deps"] if e["path"] != "prepared")):
                data = two.read(rev, entry["path"])
                assert hashlib.md5(data, usedforsecurity=False).hexdigest() == entry["md5"], name
            assert lock["params"]["params.yaml"]["train.lr"] == {"low": 0.03, "high": 0.5}[name]

    def test_it_is_written_to_a_file_or_directory_on_request(
        self, two: Project, nbexp_cli: Any
    ) -> None:
        nbexp_cli("open", "high", "prepared/train.csv", "-o", "../rows.csv", cwd=two.root)
        assert (two.root.parent / "rows.csv").read_bytes() == b"x,y\n1,1\n"
        nbexp_cli("open", "high", "prepared", "--out", "../all", cwd=two.root)
        assert (two.root.parent / "all" / "train.csv").read_bytes() == b"x,y\n1,1\n"
        told = nbexp_cli("open", "low", "prepared", "-o", "../all", cwd=two.root, code=3)
        assert "../all exists already. Nothing was written." in told.stderr
        assert (two.root.parent / "all" / "train.csv").read_bytes() == b"x,y\n1,1\n"

    def test_paths_are_those_of_the_directory_one_is_in(self, two: Project, nbexp_cli: Any) -> None:
        ran = nbexp_cli("open", "low", "acc.csv", "--json", cwd=two.root / "plots")
        assert json.loads(ran.stdout)["path"] == "plots/acc.csv"
        ran = nbexp_cli("open", "low", "model.txt", "--json", cwd=two.root / "plots")
        assert json.loads(ran.stdout)["path"] == "model.txt"


class TestNotebooks:
    def test_the_executed_notebook_of_each_experiment_and_stage_is_kept(
        self, tmp_path: Path, nbexp_cli: Any
    ) -> None:
        for name, source in (
            ("first.ipynb", ["k = 1"]),
            ("second.ipynb", ["print('second', k)", "display(k)"]),
        ):
            cells = [_cell("k = 1", "parameters"), *map(_cell, source)]
            book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
            (tmp_path / name).write_text(json.dumps(book))
            nbexp_cli("init", name, cwd=tmp_path)
        nbexp_cli("run", "-n", "one", cwd=tmp_path)
        nbexp_cli("run", "-n", "two", "-S", "second.k=2", cwd=tmp_path)
        shown = {
            (name, path): nbexp_cli("open", name, f"runs/{path}", cwd=tmp_path).stdout
            for name in ("one", "two")
            for path in ("first.ipynb", "second.ipynb")
        }
        assert "second 1" in shown["one", "second.ipynb"]
        assert "second 2" in shown["two", "second.ipynb"]
        assert shown["one", "first.ipynb"].startswith("runs/first.ipynb of one")
        # The source is a notebook as well, and has no outputs.
        source = json.loads(nbexp_cli("open", "two", "second.ipynb", "--json", cwd=tmp_path).stdout)
        assert [cell["outputs"] for cell in source["notebook"]["cells"]] == [[], [], []]


def _cell(source: str, *tags: str) -> dict[str, object]:
    return {
        "cell_type": "code", "execution_count": None, "id": f"c{abs(hash(source)) % 10**6}",
        "metadata": {"tags": [*tags]}, "outputs": [], "source": source,
    }  # fmt: skip


class TestPaths:
    def test_a_file_of_the_cache_is_the_object_itself_under_its_own_name(
        self, two: Project
    ) -> None:
        path = two["low"].path("model.txt")
        assert path.name == "model.txt"
        assert path.read_bytes() == two.read("low", "model.txt")
        assert path.resolve().is_relative_to(two.root / ".dvc" / "cache")
        assert path != two["high"].path("model.txt")

    def test_a_file_of_git_is_written_once_and_read_only(self, two: Project) -> None:
        path = two["low"].path("metrics.json")
        assert json.loads(path.read_bytes()) == {"acc": 0.9333, "steps": {"last": 3}}
        assert path.stat().st_mode & 0o222 == 0
        before = path.stat()
        assert two["low"].path("metrics.json") == path
        after = path.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_a_directory_is_one_of_links(self, two: Project) -> None:
        folder = two["high"].path("prepared")
        assert folder.name == "prepared"
        assert (folder / "train.csv").read_bytes() == b"x,y\n1,1\n"
        assert (folder / "parts" / "test.csv").read_bytes().startswith(b"36,4\n")
        assert (folder / "train.csv").is_symlink()

    def test_equal_contents_have_one_path(self, two: Project) -> None:
        assert two["low"].path("dvc.yaml") == two.path("main", "dvc.yaml")

    def test_it_comes_again_when_cache_and_folder_were_emptied(
        self, two: Project, tmp_path: Path
    ) -> None:
        two.remote.add("store", str(tmp_path / "store"), default=True, level="local")
        two.apply("low")
        two.data.push()
        path = two["low"].path("model.txt")
        kept = path.read_bytes()
        shutil.rmtree(two.root / ".dvc" / "cache")
        assert not path.exists()
        assert two["low"].path("model.txt").read_bytes() == kept
        shutil.rmtree(two.root / ".dvc" / "tmp" / "nbexp" / "paths")
        assert two["low"].path("model.txt").read_bytes() == kept

    def test_a_link_out_of_the_directory_is_not_followed(self, project: Project, git: Any) -> None:
        secret = project.root.parent / "secret"
        secret.write_text("mine")
        (project.root / "d").mkdir()
        (project.root / "d" / "out").symlink_to(secret)
        (project.root / "d" / "in").symlink_to("real")
        (project.root / "d" / "real").write_text("real")
        git("add", "--all", cwd=project.root)
        git("commit", "--quiet", "--message=links", cwd=project.root)
        folder = project.path("HEAD", "d")
        assert (folder / "out").read_text() == str(secret)
        assert (folder / "in").read_text() == "real"
        assert project.path("HEAD", "d/out").read_text() == str(secret)


class TestWhatThereIsNot:
    @pytest.mark.parametrize(
        ("path", "near"), [("model.tx", "model.txt"), ("metric.json", "metrics.json")]
    )
    def test_the_nearest_path_is_named(self, path: str, near: str, two: Project) -> None:
        for call in (two.open, two.path):
            with pytest.raises(NotFound) as refused:
                call("low", path)
            assert refused.value.message == (
                f"{two['low'].rev[:7]} has no `{path}`, as a file, as data or as an artifact."
            )
            assert refused.value.hint == f"did you mean `{near}`?"

    @pytest.mark.parametrize(
        "path", ["../secret", "/etc/passwd", "<b>x</b>", "prepared/nope", "a\nb"]
    )
    def test_what_is_outside_or_odd_is_told(self, path: str, two: Project) -> None:
        (two.root.parent / "secret").write_text("mine")
        for call in (two.open, two.path, two.read):
            with pytest.raises(NotFound):
                call("low", path)

    @pytest.mark.parametrize(
        ("file", "text"), [("dvc.yaml", "stages: [1"), ("dvc.lock", "schema: '2.0'\nstages: 3\n")]
    )
    def test_a_commit_with_broken_stages_shows_what_git_has(
        self, file: str, text: str, two: Project, git: Any, nbexp_cli: Any
    ) -> None:
        (two.root / file).write_text(text)
        git("add", "--all", cwd=two.root)
        git("commit", "--quiet", "--message=broken", cwd=two.root)
        ran = nbexp_cli("open", "HEAD", "metrics.json", cwd=two.root)
        assert "0.4633" in ran.stdout
        assert "left out" in ran.stderr
        assert text.splitlines()[0] in nbexp_cli("open", "HEAD", file, cwd=two.root).stdout

    def test_wrong_numbers_are_refused(self, two: Project, nbexp_cli: Any) -> None:
        told = nbexp_cli("open", "low", "metrics.json", "-n", "0", cwd=two.root, code=2).stderr
        assert "`0` is no number above 0" in told

    def test_data_that_nobody_has_is_told(self, two: Project) -> None:
        shutil.rmtree(two.root / ".dvc" / "cache" / "files")
        for call in (two.open, two.path, two.read):
            with pytest.raises(StoreError, match=r"The cache lacks model\.txt of "):
                call("low", "model.txt")

    def test_an_unknown_experiment_may_be_at_the_git_remote(
        self, two: Project, nbexp_cli: Any, git: Any
    ) -> None:
        git("remote", "add", "origin", two.root.parent / "nowhere", cwd=two.root)
        told = nbexp_cli("open", "elsewhere", cwd=two.root, code=3).stderr
        assert told == (
            "There is no experiment `elsewhere`.\n"
            "Hint: `nbexp open elsewhere --git-remote origin` asks that remote.\n"
        )
        told = nbexp_cli("open", "elsewhere", "--git-remote", "origin", cwd=two.root, code=3).stderr
        assert told.startswith("origin cannot be fetched: ")


class TestElsewhere:
    @pytest.fixture
    def shared(self, two: Project, git: Any) -> Path:
        """A bare mirror with both experiments, their data in a DVC remote; a clone that has neither."""
        top = two.root.parent
        two.remote.add("store", str(top / "store"), default=True)
        git("commit", "--quiet", "--all", "--message=remote", cwd=two.root)
        two.run({"train.lr": 0.04}, name="far")
        two.apply("far")
        two.data.push()
        git("clone", "--quiet", "--bare", two.root, top / "bare.git", cwd=top)
        git("push", "--quiet", top / "bare.git", "refs/exps/*:refs/exps/*", cwd=two.root)
        git("clone", "--quiet", (top / "bare.git").as_uri(), top / "clone", cwd=top)
        return top / "clone"

    def test_data_that_is_only_at_the_remote_is_fetched_alone(
        self, shared: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        got: list[str] = []
        real = local.Remote.get

        def counted(self: local.Remote, key: str, target: Path, moved: Any) -> None:
            got.append(key)
            real(self, key, target, moved)

        monkeypatch.setattr(local.Remote, "get", counted)
        project = nbexp.open(shared)
        far = project.experiment("far", git_remote="origin")
        assert far.metrics == {"acc": 0.9233, "steps.last": 3}
        assert far.read("model.txt").startswith(b"3,0.9233\n")
        assert len(got) == 1
        far.open("prepared/train.csv")
        assert len(got) == 3  # the listing of the directory, and the one file
        far.open("prepared")
        far.path("model.txt")
        assert len(got) == 3
        project.close()

    def test_an_experiment_of_the_git_remote_is_looked_at_and_not_pulled(
        self, shared: Path, git: Any, nbexp_cli: Any
    ) -> None:
        before = git("for-each-ref", cwd=shared)
        config = (shared / ".git" / "config").read_bytes()
        ran = nbexp_cli("open", "far", "metrics.json", "--git-remote", "origin", cwd=shared)
        assert ran.stdout.splitlines()[2:] == [
            "key         value",
            "acc         0.9233",
            "steps.last  3",
        ]
        after = git("for-each-ref", cwd=shared).splitlines()
        new = [line.split("\t")[1] for line in after if line not in before.splitlines()]
        assert [ref for ref in new if not ref.startswith("refs/nbexp/remote/origin/exps/")] == []
        assert len(new) == 1
        assert (shared / ".git" / "config").read_bytes() == config
        assert not (shared / ".git" / "FETCH_HEAD").exists()
        assert nbexp_cli("list", "-A", cwd=shared).stdout.startswith("no experiments")
        near = nbexp_cli("open", "fer", "--git-remote", "origin", cwd=shared, code=3).stderr
        assert near == "origin has no revision `fer`.\nHint: did you mean `far`?\n"

    def test_git_sends_the_one_commit_and_a_second_look_asks_for_none(
        self, shared: Path, count_git: Any
    ) -> None:
        project = nbexp.open(shared)
        git_objects = lambda: project.git.run("count-objects", "-v").decode()  # noqa: E731
        before = git_objects()
        project.open("far", "params.yaml", git_remote="origin")
        assert git_objects() != before
        count_git.clear()
        project.open("far", "params.yaml", git_remote="origin")
        assert [call for call in count_git.calls if " fetch " in call] == []
        assert sum(" ls-remote " in call for call in count_git.calls) == 1
        project.close()

    def test_two_experiments_of_one_name_are_told_apart(
        self, shared: Path, git: Any, nbexp_cli: Any
    ) -> None:
        bare = shared.parent / "bare.git"
        low, far = (
            next(
                line.split()[0]
                for line in git("for-each-ref", "refs/exps", cwd=bare).splitlines()
                if line.endswith(f"/{name}")
            )
            for name in ("low", "far")
        )
        git("update-ref", f"refs/exps/{'a' * 2}/{'b' * 38}/far", low, cwd=bare)
        told = nbexp_cli("open", "far", "--git-remote", "origin", cwd=shared, code=3).stderr
        assert "origin has 2 experiments called `far`: " in told
        ran = nbexp_cli("open", far[:9], "metrics.json", "--git-remote", "origin", cwd=shared)
        assert "0.9233" in ran.stdout

    def test_a_bare_mirror_is_looked_into(self, shared: Path, nbexp_cli: Any) -> None:
        mirror = shared.parent / "bare.git"
        before = sorted(mirror.rglob("*"))
        assert "0.9233" in nbexp_cli("open", "far", "metrics.json", cwd=mirror).stdout
        ran = nbexp_cli("open", "far", "model.txt", "--json", cwd=mirror)
        assert json.loads(ran.stdout)["lines"][0] == "3,0.9233"
        assert sorted(mirror.rglob("*")) == before
        project = nbexp.open(shared)
        opened = project.open("far", "model.txt", repo="../bare.git")
        assert isinstance(opened, OpenedText)
        assert opened.lines[0] == "3,0.9233"
        project.close()
