"""Every row of the product's list names the test that performs its check, or the part it waits for.

`rows.toml` is the list. The ids stand here as well, so that no row can be dropped from it unseen.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent

# The parts of the product that are finished: their rows have tests.
DONE = {"spine", "pipelines", "experiments", "queue", "notebook"}
PARTS = {"spine", "pipelines", "experiments", "queue", "notebook", "extension", "dask"}

# Rows by letter: foundations, running, params, queue, comparing, restoring, sharing.
_ROWS = {"F": 29, "R": 23, "P": 12, "Q": 17, "C": 12, "X": 12, "S": 22}
# Goals that 1.0 must meet: what peers have, and what none of them has.
_PEERS = [*range(1, 11), *range(12, 17), *range(19, 26), 27, 28, 31, 32, 33]
_OWN = [*range(1, 10), *range(12, 19), 21, 24, 25]
IDS = [
    *(f"{letter}{number:03}" for letter, last in _ROWS.items() for number in range(1, last + 1)),
    *(f"G-P{number:02}" for number in _PEERS),
    *(f"G-U{number:02}" for number in _OWN),
]

SKIPS = {"skip", "skipif", "xfail", "importorskip"}

# A repeated id does not get this far: TOML refuses a key that stands there twice.
ROWS: dict[str, list[str] | dict[str, str]] = tomllib.loads(
    (TESTS / "rows.toml").read_text("utf-8")
)


def test_every_row_is_in_the_list_once() -> None:
    assert list(ROWS) == IDS


@pytest.mark.parametrize("row", IDS)
def test_a_row_is_tested_or_says_what_it_waits_for(row: str) -> None:
    value = ROWS[row]
    if isinstance(value, dict):
        assert set(value) == {"later"}
        assert value["later"] in PARTS
        assert value["later"] not in DONE, f"{value['later']} is done, and {row} has no test"
    else:
        assert value, "no test is named"
        assert [problem for test in value for problem in problems(test, TESTS.parent)] == []


def test_no_test_is_skipped() -> None:
    skipped = [
        f"{path.relative_to(TESTS.parent)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in skips(_tree(path))
    ]
    assert skipped == []


def problems(test: str, root: Path) -> Iterator[str]:
    """What keeps `tests/file.py::test_name` (or `::TestClass::test_name`) from being a test that runs."""
    file, *names = test.split("::")
    path = root / file
    if not path.is_file():
        yield f"{file} does not exist"
        return
    if not (path.name.startswith("test_") and names and names[-1].startswith("test_")):
        yield f"{test} is no test that pytest collects"
        return
    tree = _tree(path)
    node: ast.Module | ast.stmt = tree
    for name in names:
        # `test_name[case]` means the whole of `test_name`: a case is made when the test is collected.
        found = [
            child
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and child.name == name.partition("[")[0]
        ]
        if not found:
            yield f"{test}: there is no `{name}`"
            return
        node = found[0]
    # A mark of the module or class skips all in it.
    marks = [child for child in tree.body if isinstance(child, ast.Assign | ast.Expr)]
    yield from (
        f"{test} is skipped in line {line}" for part in (node, *marks) for line in skips(part)
    )


def skips(tree: ast.AST) -> list[int]:
    """The lines in which something is skipped or expected to fail, by mark, decorator or call."""
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in SKIPS
        and ast.unparse(node.value) in {"pytest", "pytest.mark", "mark", "unittest"}
    )


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("test", "source", "found"),
    [
        ("test_a.py::test_x", "def test_x(): pass", []),
        ("test_a.py::test_x[1]", "def test_x(n): pass", []),
        ("test_a.py::TestA::test_x", "class TestA:\n    def test_x(self): pass", []),
        ("test_a.py::test_y", "def test_x(): pass", ["there is no `test_y`"]),
        ("test_b.py::test_x", "def test_x(): pass", ["does not exist"]),
        ("test_a.py", "def test_x(): pass", ["is no test"]),
        ("test_a.py::x", "def x(): pass", ["is no test"]),
        ("test_a.py::test_x", "@pytest.mark.skip\ndef test_x(): pass", ["line 1"]),
        ("test_a.py::test_x", "@pytest.mark.xfail(strict=True)\ndef test_x(): pass", ["line 1"]),
        ("test_a.py::test_x", "def test_x():\n    pytest.skip('no')", ["line 2"]),
        ("test_a.py::test_x", "pytestmark = [pytest.mark.skip]\ndef test_x(): pass", ["line 1"]),
        ("test_a.py::test_x", "pytest.importorskip('x')\ndef test_x(): pass", ["line 1"]),
    ],
)
def test_a_test_that_would_not_run_is_found(
    test: str, source: str, found: list[str], tmp_path: Path
) -> None:
    (tmp_path / "test_a.py").write_text(source)
    told = list(problems(test, tmp_path))
    assert len(told) == len(found)
    assert all(part in line for part, line in zip(found, told, strict=True))
