"""Plots files: rows as DVC's JSON has them."""

from __future__ import annotations

import pytest

from nbexp.errors import ProjectFileError
from nbexp.formats import plot_files


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("a.csv", b"step,acc\n0,0.5\n", [{"step": "0", "acc": "0.5"}]),
        ("a.tsv", b"step\tacc\n0\t0.5\n", [{"step": "0", "acc": "0.5"}]),
        ("bom.csv", b"\xef\xbb\xbfstep\r\n0\r\n", [{"step": "0"}]),
        ("short.csv", b"a,b\n1\n", [{"a": "1", "b": None}]),
        ("long.csv", b"a\n1,2\n", [{"a": "1", None: ["2"]}]),
        ("empty.csv", b"", []),
        ("quoted.csv", b'a\n"1\n2"\n', [{"a": "1\n2"}]),
        ("a.json", b'[{"a": 1}]', [{"a": 1}]),
        ("a.yaml", b"- a: 1.5\n", [{"a": 1.5}]),
        ("a.toml", b"[[a]]\nb = 1\n", {"a": [{"b": 1}]}),
        ("a.png", b"\x89PNG", b"\x89PNG"),
    ],
)
def test_a_file_is_read_by_its_ending(path: str, data: bytes, expected: object) -> None:
    assert plot_files.parse(data, path) == expected


def test_without_a_header_columns_are_numbers_at_tabs_too() -> None:
    for path, data in (("a.csv", b"1,2\n\n3,4,5\n6\n"), ("a.tsv", b"1\t2\n\n3\t4\t5\n6\n")):
        assert plot_files.parse(data, path, has_header=False) == [
            {"0": "1", "1": "2"},
            {"0": "3", "1": "4", None: ["5"]},
            {"0": "6", "1": None},
        ]


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("a.txt", b"", "a.txt: plots are made of CSV, TSV, JSON, YAML and pictures (gif, jpeg"),
        ("a.CSV", b"", "a.CSV: plots are made of"),
        ("a.csv", b"a\n\xe9\n", "a.csv, line 2: this is not UTF-8 text."),
        ("a.csv", b"a\n" + b"x" * (1 << 21), "a.csv: this is no table: field larger than"),
        ("a.json", b"{", "a.json, line 1: this is not valid JSON"),
    ],
)
def test_a_bad_file_is_named(path: str, data: bytes, message: str) -> None:
    with pytest.raises(ProjectFileError) as told:
        plot_files.parse(data, path)
    assert told.value.message.startswith(message)
