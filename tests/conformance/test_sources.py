"""Deps that are no files of the project: URLs and datasets, beside real DVC."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from hashlib import md5
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins, RunGit


class Tagging(SimpleHTTPRequestHandler):
    """Serves files with an ETag that is their digest, as web servers and object stores do."""

    def end_headers(self) -> None:
        place = Path(self.translate_path(self.path))
        if place.is_file() and not place.name.startswith("untold"):
            self.send_header("ETag", f'"{md5(place.read_bytes()).hexdigest()}"')
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(Tagging, directory=str(folder))
        )
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path / "site")
    yield found
    found.stop()


def pipeline(url: str) -> str:
    """A stage between whose other deps the URL is sorted, and one that needs what it makes."""
    return (
        "stages:\n  get:\n    cmd: date +%N > x.csv; echo get >> ../ran\n"
        f"    deps: [z.txt, {url}/x.csv, a.txt]\n    outs: [x.csv]\n"
        "  sum:\n    cmd: wc -l < x.csv > sum.txt; echo sum >> ../ran\n"
        "    deps: [x.csv]\n    outs: [sum.txt]\n"
    )


def test_a_stage_runs_when_what_a_url_holds_has_changed(
    site: Site, project: MakeProject, twins: MakeTwins, ran, look: Look
) -> None:
    (site.folder / "x.csv").write_text("a,b\n")
    made = project({"dvc.yaml": pipeline(site.url), "a.txt": "a", "z.txt": "z"})
    pair = twins(made)
    sides = {"dvc": (pair.dvc_side, look.dvc), "nbexp": (pair.nbexp_side, look.nbexp)}

    def step(*words: str) -> dict[str, list[object]]:
        """Exit code, stages that ran and the lock's entry without what `date` made, for each tool."""
        found = {}
        for name, (side, tool) in sides.items():
            done = tool(*words, cwd=side)
            lock = side / "dvc.lock"
            entry = lock.read_text().split("    outs:")[0] if lock.exists() else ""
            found[name] = [done.returncode != 0, ran(side), entry]
        return found

    def status(side: Path) -> list[object]:
        return [
            json.loads(tool("status", "--json", cwd=side).stdout) for tool in (look.dvc, look.nbexp)
        ]

    first = step("repro")
    assert first["nbexp"] == first["dvc"]
    assert first["dvc"][1] == ["get", "sum"]
    assert f"path: {site.url}/x.csv\n      hash: md5\n      checksum: '\"" in str(first["dvc"][2])
    assert step("repro")["nbexp"][1] == []
    for side in (pair.dvc_side, pair.nbexp_side):
        assert status(side) == [{}, {}]

    (site.folder / "x.csv").write_text("a,c\n")
    for side in (pair.dvc_side, pair.nbexp_side):
        assert status(side) == [{"get": [{"changed deps": {f"{site.url}/x.csv": "modified"}}]}] * 2
    second = step("repro")
    assert second["nbexp"] == second["dvc"]
    assert second["dvc"][1][0] == "get"

    # What a URL held is in no cache, so a lost output is made again; and the run cache has no such run.
    for side in (pair.dvc_side, pair.nbexp_side):
        (side / "x.csv").unlink()
        assert not (side / ".dvc" / "cache" / "runs").exists() or not [
            path
            for path in (side / ".dvc" / "cache" / "runs").rglob("*")
            if path.is_file() and b"http://" in path.read_bytes()
        ]
    third = step("repro")
    assert third["nbexp"][1][0] == third["dvc"][1][0] == "get"

    # Either tool goes on where the other was.
    for side in (pair.dvc_side, pair.nbexp_side):
        look.dvc("repro", cwd=side)
        look.nbexp("repro", cwd=side)
        assert ran(side) == []


def test_an_experiment_of_what_a_url_holds(
    site: Site, project: MakeProject, look: Look, ran
) -> None:
    (site.folder / "x.csv").write_text("a,b\n")
    root = project({"dvc.yaml": pipeline(site.url), "a.txt": "a", "z.txt": "z"})
    look.nbexp("run", "-n", "one", cwd=root)
    assert look.dvc("status", "--json", cwd=root).stdout.strip() == "{}"
    same = look.nbexp("run", "--json", cwd=root)
    assert json.loads(same.stdout)["identical"] is True

    (site.folder / "x.csv").write_text("a,b\n1,2\n")
    other = json.loads(look.nbexp("run", "-n", "two", "--json", cwd=root).stdout)
    assert other["identical"] is False
    assert ran(root) == ["get", "sum", "get", "sum"]
    said = look.nbexp("why", "get", "two", cwd=root).stdout
    assert f"{site.url}/x.csv changed" in said
    # DVC's own table mangles the URL ("http:/127…"); what it says of it is the same.
    shown = json.loads(look.nbexp("show", "--json", cwd=root).stdout)[0]["data"]["deps"]
    theirs = json.loads(look.dvc("exp", "show", "--json", cwd=root).stdout)[0]["data"]["deps"]
    mangled = next(key for key in theirs if "x.csv" in key and "http:" in key)
    assert shown[f"{site.url}/x.csv"] == theirs[mangled]
    look.nbexp("apply", "one", cwd=root)


def test_a_url_that_is_not_there_or_does_not_answer_runs_nothing(
    site: Site, project: MakeProject, look: Look, ran
) -> None:
    (site.folder / "untold.csv").write_text("a,b\n")
    text = pipeline(site.url)
    root = project({"dvc.yaml": text, "a.txt": "a", "z.txt": "z"})
    for tool in (look.dvc, look.nbexp):
        done = tool("repro", cwd=root, code=None)
        assert done.returncode != 0
        assert ran(root) == []
    assert done.stderr == (
        f"Dep `{site.url}/x.csv` of stage `get` does not exist. Nothing was run.\n"
        "Hint: correct deps in dvc.yaml.\n"
    )
    (root / "dvc.yaml").write_text(text.replace("x.csv, a.txt", "untold.csv, a.txt"))
    done = look.nbexp("repro", cwd=root, code=3)
    assert done.stderr == (
        f"`{site.url}/untold.csv` has neither an ETag nor a digest, so nothing tells when it changes.\n"
        "Hint: `dvc import-url` brings data into the project.\n"
    )
    (root / "dvc.yaml").write_text(text)
    site.stop()
    done = look.nbexp("run", cwd=root, code=3)
    assert site.url in done.stderr
    assert ran(root) == []
    expected = {
        "changed deps": {"a.txt": "modified", "z.txt": "modified", f"{site.url}/x.csv": "deleted"}
    }
    for tool in (look.dvc, look.nbexp):
        found = json.loads(tool("status", "--json", cwd=root).stdout)
        assert found["get"][0] == expected


# --- Datasets -------------------------------------------------------------------------------------


@pytest.fixture
def with_dataset(project: MakeProject, look: Look, git: RunGit, tmp_path: Path) -> Path:
    """A project whose stage reads a dataset that `dvc ds add` has looked up in another repository."""
    source = tmp_path / "source"
    source.mkdir()
    git("init", "--quiet", cwd=source)
    look.dvc("init", "--quiet", cwd=source)
    (source / "pets.csv").write_text("cat\n")
    git("add", "--all", cwd=source)
    git("commit", "--quiet", "--message=pets", cwd=source)
    root = project({"a.txt": "a"})
    look.dvc("ds", "add", "--dvc", str(source), "--path", "pets.csv", "pets", cwd=root)
    with (root / "dvc.yaml").open("a") as file:
        file.write(
            "stages:\n  get:\n    cmd: echo $$ > x.txt; echo get >> ../ran\n"
            "    deps: [ds://pets]\n    outs: [x.txt]\n"
        )
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "--message=dataset", cwd=root)
    return root


def test_a_stage_runs_when_its_dataset_is_another(
    with_dataset: Path, twins: MakeTwins, look: Look, ran
) -> None:
    pair = twins(with_dataset)
    sides = ((pair.dvc_side, look.dvc), (pair.nbexp_side, look.nbexp))

    def step() -> list[object]:
        found = []
        for side, tool in sides:
            done = tool("repro", cwd=side, code=None)
            locked = (side / "dvc.lock").read_text().split("    outs:")[0]
            found.append((done.returncode != 0, ran(side), locked))
        return found

    def status() -> object:
        found = [
            json.loads(tool("status", "--json", cwd=side).stdout)
            for side, _ in sides
            for tool in (look.dvc, look.nbexp)
        ]
        assert all(one == found[0] for one in found), found
        return found[0]

    theirs, ours = step()
    assert ours == theirs
    assert theirs[1] == ["get"]
    assert "dataset:" in theirs[2]
    assert status() == {}
    assert [found[1] for found in step()] == [[], []]

    for side, _ in sides:
        lock = (side / "dvc.lock").read_text()
        rev = lock.split("rev_lock: ")[1][:40]
        (side / "dvc.lock").write_text(lock.replace(rev, "d" * 40, 1))
    assert status() == {"get": [{"changed deps": {"ds://pets": "modified"}}]}
    theirs, ours = step()
    assert ours == theirs
    assert theirs[1] == ["get"]

    for side, _ in sides:
        text = (side / "dvc.yaml").read_text()
        (side / "dvc.yaml").write_text(text.replace("path: pets.csv", "path: dogs.csv"))
    assert status() == {"get": [{"changed deps": {"ds://pets": "not in sync"}}]}
    assert [found[:2] for found in step()] == [(True, []), (True, [])]
    done = look.nbexp("run", cwd=pair.nbexp_side, code=3)
    assert done.stderr == (
        "dvc.lock does not hold the dataset `pets` as dvc.yaml declares it. Nothing was run.\n"
        "Hint: `dvc ds update pets` looks it up.\n"
    )

    for side, _ in sides:
        text = (side / "dvc.yaml").read_text()
        (side / "dvc.yaml").write_text(text.replace("ds://pets", "ds://pet"))
    assert [found[:2] for found in step()] == [(True, []), (True, [])]
    done = look.nbexp("run", cwd=pair.nbexp_side, code=3)
    assert done.stderr == (
        "Stage `get` reads the dataset `pet`, which no dvc.yaml declares.\nHint: did you mean `pets`?\n"
    )
