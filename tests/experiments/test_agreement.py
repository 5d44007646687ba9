"""How far two files say the same, and where they begin to differ."""

from __future__ import annotations

import io
import json
import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from nbexp.experiments.agreement import Agreement, Tolerance, compare


def compared(old: bytes, new: bytes, path: str, tolerance: Tolerance | None = None) -> Agreement:
    return compare(io.BytesIO(old), io.BytesIO(new), path, tolerance or Tolerance())


def book(*cells: tuple[str, list[object]]) -> bytes:
    return json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code", "execution_count": None, "id": f"c{at}", "metadata": {},
                    "source": source, "outputs": outputs,
                }
                for at, (source, outputs) in enumerate(cells)
            ],
            "metadata": {}, "nbformat": 4, "nbformat_minor": 5,
        }
    ).encode()  # fmt: skip


def said(text: str) -> dict[str, object]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def shows(**data: object) -> dict[str, object]:
    found = {key.replace("_", "/"): value for key, value in data.items()}
    return {"output_type": "display_data", "data": found, "metadata": {}}


@pytest.mark.parametrize(
    ("path", "old", "new", "detail"),
    [
        ("m.json", b'{"a": {"b": 0.5}}', b'{"a": {"b": 0.6}}', "a.b: 0.5 -> 0.6"),
        ("m.json", b'{"a": 1}', b'{"a": 2}', "a: 1 -> 2"),
        ("m.json", b'{"a": 1000000000}', b'{"a": 1000000001}', "a: 1000000000 -> 1000000001"),
        ("m.json", b'{"a": 1, "b": 2}', b'{"a": 1}', "b is missing"),
        ("m.json", b'{"a": [1, 2]}', b'{"a": [1, 2, 3]}', "a[2] is new"),
        ("m.json", b'{"a": true}', b'{"a": 1}', "a: true -> 1"),
        ("m.json", b'{"a": NaN}', b'{"a": 1.0}', "a: NaN -> 1.0"),
        ("m.json", b'{"a": 1.0}', b'{"a": Infinity}', "a: 1.0 -> Infinity"),
        ("p.yaml", b"a:\n- x: 1.5\n", b"a:\n- x: 1.6\n", "a[0].x: 1.5 -> 1.6"),
        ("t.csv", b"x,y\n1,0.5\n2,0.25\n", b"x,y\n1,0.5\n2,0.75\n", "row 2, column y: 0.25 -> 0.75"),
        ("t.csv", b"x,y\n1,2\n", b"x,z\n1,2\n", "the header: y -> z"),
        ("t.csv", b"x\n1\n2\n", b"x\n1\n", "row 2 is missing"),
        ("t.csv", b"x\n1\n", b"x\n1\n2\n", "row 2 is new"),
        ("t.tsv", b"a b\tc\n1\t2\n", b"a b\tc\n1\t2\t3\n", "row 1 has 3 fields, not 2"),
        ("log.txt", b"one\nloss 0.5\n", b"one\nloss 0.7\n", "line 2: loss 0.5 -> loss 0.7"),
        ("log.txt", b"a\n", b"a\nb\n", "line 2 is new"),
        ("model.bin", b"\0\1\2\3", b"\0\1\2\4", "byte 3 is the first other one"),
        ("broken.json", b'{"a": 1', b'{"a": 2', 'line 1: {"a": 1 -> {"a": 2'),
        # Long lines that begin alike are shown where they part.
        ("log.txt", b"a" * 70 + b" old" + b"b" * 70, b"a" * 70 + b" new" + b"b" * 70,
         f"line 1: …{'a' * 19} old{'b' * 37}… -> …{'a' * 19} new{'b' * 37}…"),
        ("log.txt", b"a" * 70, b"a" * 70 + b" more", f"line 1: …{'a' * 20} -> …{'a' * 20} more"),
        ("log.txt", b"a" * 70 + b"c", b"b" * 70, f"line 1: {'a' * 60}… -> {'b' * 60}…"),
    ],
)  # fmt: skip
def test_the_first_difference_is_named(path: str, old: bytes, new: bytes, detail: str) -> None:
    assert compared(old, new, path) == Agreement("different", detail)


@pytest.mark.parametrize(
    ("path", "old", "new", "worst"),
    [
        ("m.json", b'{"a": 0.5, "b": 1}', b'{"b": 1, "a": 0.500001}', "1e-06"),
        ("t.csv", b"x,y\n1,0.5\n", b"x,y\n1,0.5000001\n", "1e-07"),
        ("log.txt", b"loss 1e3 of x\n", b"loss 1000.001 of x\n", "0.001"),
        ("p.yaml", b"a: 2.0\n", b"a: 2.000002\n", "2e-06"),
    ],
)
def test_numbers_within_the_tolerance_are_close(
    path: str, old: bytes, new: bytes, worst: str
) -> None:
    assert compared(old, new, path) == Agreement("close", f"numbers differ by at most {worst}")


def test_the_tolerance_is_that_of_the_one_who_asks() -> None:
    old, new = b'{"a": 100.0}', b'{"a": 101.0}'
    assert compared(old, new, "m.json").verdict == "different"
    assert compared(old, new, "m.json", Tolerance(0.01, 0.0)).verdict == "close"
    assert compared(old, new, "m.json", Tolerance(0.0, 1.0)).verdict == "close"
    assert compared(old, new, "m.json", Tolerance(0.0, 0.9)).verdict == "different"


def test_equal_values_written_in_another_way_are_close() -> None:
    found = compared(b'{"a": 1}', b'{ "a" : 1 }\n', "m.json")
    assert found == Agreement("close", "equal values, written in another way")


def test_of_a_notebook_the_first_other_cell_is_named() -> None:
    old = book(("", []), ("x = 1", []), ("x", [said("0.5\n")]), ("y", [said("same\n")]))
    new = book(("", []), ("x = 1", []), ("x", [said("0.7\n")]), ("y", [said("other\n")]))
    # Users do not count the empty cell.
    assert compared(old, new, "a.ipynb") == Agreement("different", "cell 2: 0.5 -> 0.7", 2)


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ([said("a")], [], "cell 1: a missing output"),
        ([], [said("a")], "cell 1: a new output"),
        ([shows(image_png="QUJD")], [shows(image_png="QUJE")], "cell 1: another image/png picture"),
        ([shows(text_plain="a")], [shows(text_html="a")], "cell 1: text/plain is missing"),
        ([shows(text_plain=["a\n", "b"])], [shows(text_plain="a\nc")], "cell 1: b -> c"),
        ([said("a")], [shows(text_plain="a")], "cell 1: output stream -> display_data"),
    ],
)
def test_an_output_differs_in_what_it_shows(
    old: list[object], new: list[object], detail: str
) -> None:
    found = compared(book(("x", old)), book(("x", new)), "a.ipynb")
    assert found == Agreement("different", detail, 1)


def test_numbers_in_the_outputs_of_a_notebook_may_be_close() -> None:
    old = book(("x", [said("loss 0.5\n")]), ("y", [shows(text_plain="0.25")]))
    new = book(("x", [said("loss 0.5000001\n")]), ("y", [shows(text_plain="0.25")]))
    assert compared(old, new, "a.ipynb") == Agreement("close", "numbers differ by at most 1e-07", 1)


@given(st.floats(), st.floats())
def test_two_numbers_agree_as_numpy_has_it(old: float, new: float) -> None:
    import numpy as np

    with np.errstate(all="ignore"):
        expected = bool(np.isclose(new, old, equal_nan=True))
    assert Tolerance().agree(old, new) is expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_agrees_with_itself_in_every_format(value: float) -> None:
    assert Tolerance(0.0, 0.0).agree(value, value)
    assert Tolerance(0.0, 0.0).agree(math.nan, math.nan)
    text = json.dumps({"a": value}).encode()
    assert compared(text, text + b"\n", "m.json", Tolerance(0.0, 0.0)).verdict == "close"


@given(
    st.binary(max_size=200),
    st.binary(max_size=200),
    st.sampled_from(["a.json", "a.csv", "a.yaml", "a.ipynb", "a.bin"]),
)
def test_any_bytes_are_compared_without_an_error(old: bytes, new: bytes, path: str) -> None:
    assert compared(old, new, path).verdict in ("close", "different")
