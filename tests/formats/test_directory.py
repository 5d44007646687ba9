from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbexp.errors import StoreError
from nbexp.formats import directory
from nbexp.formats.directory import Item

A, B = "60b725f10c9c85c70d97880dfe8191b3", "c5053d4da03789bfbc4bee760fade936"


def test_the_bytes_are_those_of_dvc():
    data = directory.dump([Item("b.txt", B), Item("a.txt", A)])
    assert data == (
        b'[{"md5": "60b725f10c9c85c70d97880dfe8191b3", "relpath": "a.txt"}, '
        b'{"md5": "c5053d4da03789bfbc4bee760fade936", "relpath": "b.txt"}]'
    )
    assert len(data) == 130
    assert (
        directory.digest([Item("a.txt", A), Item("b.txt", B)])
        == "1a9776c634d466e89588efc62db0c9ac.dir"
    )


def test_paths_are_sorted_by_code_points_and_escaped():
    names = ["é.txt", "sub/z", "empty", "A", "sub-1", "\U0001f600", "\uffff"]
    items = directory.parse(directory.dump([Item(name, A) for name in names]))
    assert [item.relpath for item in items] == sorted(names)
    assert b"\\u00e9.txt" in directory.dump(items)


def test_an_empty_directory_is_an_empty_list():
    assert directory.dump([]) == b"[]"
    assert directory.digest([]) == "d751713988987e9331980363e24189ce.dir"
    assert directory.parse(b"[]") == ()


def test_a_name_that_is_no_unicode_survives():
    items = [Item("caf\udce9", A)]
    assert directory.parse(directory.dump(items)) == tuple(items)


PARTS = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda part: part not in {".", ".."} and part.casefold() != ".git"
)


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), unique=True, max_size=5))
def test_what_is_dumped_is_read_again(paths):
    items = tuple(Item(path, A) for path in sorted(paths))
    data = directory.dump(reversed(items))
    assert directory.parse(data) == items
    assert data == json.dumps([{"md5": A, "relpath": path} for path in sorted(paths)]).encode()


@given(st.lists(st.text(st.characters(exclude_characters="/\0")), max_size=5))
def test_its_digests_are_found_without_reading_the_paths(names):
    odd = ['"md5": "60b725f10c9c85c70d97880dfe8191b3"', "\\", '\\"md5": "']
    items = [Item(f"{n}{name}", B if n % 2 else A) for n, name in enumerate([*names, *odd])]
    data = directory.dump(items)
    assert directory.digests(data) == [one["md5"] for one in json.loads(data)]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "../x", "a/../../x", "..", ".", "a/..", "./a", "a//b", "a/", "", "a\0b",
        ".git/hooks/post-checkout", "a/.git", ".GIT/config",
    ],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(path):
    with pytest.raises(StoreError, match="no path inside a directory"):
        directory.parse(directory.dump([Item("a.txt", A), Item(path, B)]))


@pytest.mark.parametrize(
    "path", [".gitignore", "a.", "a:b", "..a", "a\\b", ".git2/x", "...", "a\nb"]
)
def test_a_path_that_only_looks_like_that_is_taken(path):
    assert directory.parse(directory.dump([Item(path, A)])) == (Item(path, A),)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[", b"{}x", b"null", b'{"md5": 1}', b"[1]", b'["a"]', b'[{"md5": "x"}]', b"\xff\xfe",
        b'[{"md5": "short", "relpath": "a"}]', b'[{"md5": 5, "relpath": "a"}]',
        b'[{"md5": "60b725f10c9c85c70d97880dfe8191b3", "relpath": 5}]',
        b'[{"md5": "../../../../etc/passwd/aaaaaaaaaaa", "relpath": "a"}]', b"[" * 100_000,
    ],
)  # fmt: skip
def test_damage_is_told_as_such(data):
    with pytest.raises(StoreError, match="damaged"):
        directory.parse(data)
