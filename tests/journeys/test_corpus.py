"""Notebooks of others, unmodified: made a project in one line, run, and run with another value.

They are downloaded from the package index into pytest's cache; `corpus.toml` has the list and the rule that
it was made by. None is in the repository.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbexp.formats import notebook, values

LIST = tomllib.loads((Path(__file__).parent / "corpus.toml").read_text("utf-8"))
DISTRIBUTIONS = LIST["distribution"]
ENTRIES = [
    pytest.param(one["name"], entry, id=f"{one['name']}-{Path(entry['path']).stem}")
    for one in DISTRIBUTIONS
    for entry in one["notebooks"]
]


@dataclass(frozen=True)
class Source:
    """An unpacked source distribution; `path` is what Python needs to import the project itself."""

    root: Path

    @property
    def path(self) -> str:
        return ":".join(str(folder) for folder in (self.root / "src", self.root) if folder.is_dir())


@pytest.fixture(scope="session")
def sources(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Source]:
    """Every distribution of the list, unpacked; downloaded once, by pip, as pip is configured here."""
    cache = request.config.cache
    assert cache is not None
    downloads, unpacked = cache.mkdir("corpus"), tmp_path_factory.mktemp("corpus")
    found = {}
    for one in DISTRIBUTIONS:
        name, version = one["name"], one["version"]
        archive = next(downloads.glob(f"{name}-{version}.tar.gz"), None)
        if archive is None:
            pip = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--no-binary",
                name,
            ]
            asked = subprocess.run(
                [*pip, f"{name}=={version}", "--dest", str(downloads)],
                capture_output=True,
                encoding="utf-8",
                timeout=500,
                check=False,
            )
            archive = next(downloads.glob(f"{name}-{version}.tar.gz"), None)
            assert archive is not None, asked.stderr
        with tarfile.open(archive) as packed:
            packed.extractall(unpacked, filter="data")
        found[name] = Source(unpacked / f"{name}-{version}")
    return found


def test_the_list_is_what_was_asked_for() -> None:
    entries = [entry for one in DISTRIBUTIONS for entry in one["notebooks"]]
    assert len(entries) >= 20
    assert sum("fails" not in entry for entry in entries) >= 18
    assert len(DISTRIBUTIONS) >= 8
    assert sum(entry.get("tagged", False) for entry in entries) >= 6


def test_the_list_follows_its_rule(sources: dict[str, Source]) -> None:
    for one in DISTRIBUTIONS:
        root = sources[one["name"]].root
        eligible = []
        for path in sorted(root.rglob("*.ipynb")):
            try:
                book = notebook.read(path.read_bytes(), path.name)
            except Exception:  # noqa: BLE001  (files of others, broken on purpose among them)
                continue
            found = notebook.parameters(book)
            code = "\n".join(cell.source for cell in book.cells)
            is_offline = not re.search(r"requests\.|urlopen|urlretrieve", code)
            is_ours = book.kernel in {None, "python3"} and is_offline
            if is_ours and any(item.is_literal for item in found.items):
                rank = 0 if found.tagged else 1 if len(book.cells) >= 5 else 2
                eligible.append((rank, path.relative_to(root).as_posix()))
        expected = [path for _, path in sorted(eligible)[:7]]
        assert [entry["path"] for entry in one["notebooks"]] == expected, one["name"]


def other(value: object) -> tuple[str, object]:
    """A value of the same kind, as it is typed and as it is."""
    if isinstance(value, bool):
        return ("false", False) if value else ("true", True)
    if isinstance(value, (int, float)):
        return str(value * 2 + 2), value * 2 + 2
    if isinstance(value, str):
        return "another", "another"
    return "[1,2]", [1, 2]


def injected(executed: Path) -> dict[str, object]:
    """The values in the cell that was injected, as the executed notebook has them."""
    book = json.loads(executed.read_text())
    cells = [c for c in book["cells"] if "injected-parameters" in c["metadata"].get("tags", [])]
    assert len(cells) == 1
    made: dict[str, Any] = {}
    exec("".join(cells[0]["source"]), made)
    return made


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "work"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(("name", "entry"), ENTRIES)
def test_a_notebook_of_others(
    name: str,
    entry: dict[str, Any],
    sources: dict[str, Source],
    place: Path,
    nbexp_cli: Callable[..., Any],
    dvc: Callable[..., Any],
) -> None:
    source = sources[name].root / entry["path"]
    mine = place / source.name
    shutil.copy(source, mine)
    before = mine.read_bytes()
    env = {"PYTHONPATH": sources[name].path, "MPLBACKEND": "agg"}
    nbexp_cli("init", source.name, "--yes", cwd=place, env=env)
    if "fails" in entry:
        # It is in the list for its reason: what fails is the notebook, told with its cell.
        ran = nbexp_cli("run", cwd=place, env=env, code=1)
        assert "stopped in cell" in ran.stderr
        assert mine.read_bytes() == before
        return
    nbexp_cli("run", cwd=place, env=env)
    params = values.parse((place / "params.yaml").read_bytes(), "params.yaml")
    assert isinstance(params, dict)
    (key,) = params
    leaves = {path: value for path, value in params[key].items() if not isinstance(value, dict)}
    if leaves:
        parameter, value = list(leaves.items())[-1]
        text, wanted = other(value)
        nbexp_cli("run", "-S", f"{key}.{parameter}={text}", cwd=place, env=env)
        assert injected(place / "runs" / source.name)[parameter] == wanted
    else:
        parameter = next(iter(params[key]))
        nbexp_cli("run", "-S", f"+{key}.{parameter}.added=7", cwd=place, env=env)
        given = injected(place / "runs" / source.name)[parameter]
        assert given == {**params[key][parameter], "added": 7}
    assert mine.read_bytes() == before
    assert "Data and pipelines are up to date." in dvc("repro", cwd=place, env=env).stdout
