from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbexp.formats import cell_code


def reads(source: str) -> list[str]:
    found = cell_code.names(source)
    assert found is not None
    return list(found.reads)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("acc = lr * 2", ["lr"]),
        ("acc = acc + 1", ["acc"]),
        ("acc += 1", ["acc"]),
        ("n = 1\nn + 1", []),
        ("print(len([1]))", []),
        ("[x * k for x in data if x > low]", ["data", "low", "k"]),
        ("{k: v for k, v in pairs}", ["pairs"]),
        ("[y := x for x in xs]\ny", ["xs"]),
        ("for i in xs:\n    total = i\nelse:\n    done", ["xs", "done"]),
        ("def f(a, b=start):\n    c = a + b + scale\n    return c", ["start", "scale"]),
        ("def f():\n    return g()\ndef g():\n    return 1\nf()", []),
        ("f = lambda x: x + shift", ["shift"]),
        ("class A(Base):\n    size = width\n    def m(self):\n        return self.size + size", ["Base", "width", "size"]),
        ("import numpy as np\nnp.zeros(n)", ["n"]),
        ("from a.b import c as d\nd, c", ["c"]),
        ("with open(p) as f:\n    f.read()", ["p"]),
        ("try:\n    import a\nexcept ImportError:\n    a = None\na", []),
        ("try:\n    x = 1\nexcept E as e:\n    raise\nx, e", ["E", "e"]),
        ("if flag:\n    a = 1\nelse:\n    a = 2\na", ["flag"]),
        ("if flag:\n    a = 1\na", ["flag", "a"]),
        ("match thing:\n    case {'k': v, **rest}:\n        v, rest", ["thing"]),
        ("x: int = y", ["y"]),
        ("del gone", []),
        ("a.b = 1\nc[i] = 2", ["a", "c", "i"]),
        ("f'{lr:.2f}'", ["lr"]),
        ("%time fit(data)\n!echo {name} $other", ["fit", "data", "name", "other"]),
        ("%%time\nfit(data)", ["fit", "data"]),
        ("%%exp -n x\nlr", ["lr"]),
        ("def f():\n    global n\n    n = m\nf()\nn", ["n", "m"]),
        ("await job", ["job"]),
    ],
)  # fmt: skip
def test_what_a_cell_reads(source: str, found: list[str]) -> None:
    assert reads(source) == found


def test_what_is_bound_on_some_way_only_may_come_from_outside() -> None:
    found = cell_code.names("if flag:\n    a = 1\na\nb")
    assert found is not None
    assert found.reads == ("flag", "a", "b")
    assert found.maybe == {"a"}
    assert found.binds == {"a"}


def test_a_star_import_leaves_open_what_is_bound() -> None:
    found = cell_code.names("from math import *\nsqrt(2)")
    assert found is not None
    assert found.is_open


@pytest.mark.parametrize("source", ["x = = 1", "%%bash\nls", "def f(:"])
def test_what_is_no_python_has_no_names(source: str) -> None:
    assert cell_code.names(source) is None
    assert cell_code.definitions([source]) == {}


def test_texts_of_a_cell_are_listed_those_in_functions_too() -> None:
    found = cell_code.names("open('a.txt')\ndef f():\n    return open('b.txt')")
    assert found is not None
    assert found.strings == ("a.txt", "b.txt")


def test_the_last_definition_of_each_name_counts() -> None:
    found = cell_code.definitions(
        [
            "import a; import b as c",
            "x = 1\ndef f():\n    return x",
            "@wrap\ndef f():\n    return c\nclass K:\n    pass",
            "%matplotlib inline\ntry:\n    import fast\nexcept ImportError:\n    fast = None",
        ]
    )
    assert {name: one.source for name, one in found.items()} == {
        "a": "import a",
        "c": "import b as c",
        "f": "@wrap\ndef f():\n    return c",
        "K": "class K:\n    pass",
        "fast": "try:\n    import fast\nexcept ImportError:\n    fast = None",
    }
    assert found["f"].names.reads == ("wrap", "c")


NAMES = st.sampled_from("abcd")
EXPRESSIONS = st.recursive(
    NAMES | st.just("1"),
    lambda inner: st.builds("({} + {})".format, inner, inner),
    max_leaves=4,
)
STATEMENTS = st.builds("{} = {}".format, NAMES, EXPRESSIONS)


@given(st.lists(STATEMENTS, min_size=1, max_size=6))
def test_straight_code_runs_with_exactly_what_it_reads(lines: list[str]) -> None:
    source = "\n".join(lines)
    found = cell_code.names(source)
    assert found is not None
    exec(source, dict.fromkeys(found.reads, 1))
    for name in found.reads:
        with pytest.raises(NameError):
            exec(source, dict.fromkeys(set(found.reads) - {name}, 1))
    assert found.binds == {ast.parse(line).body[0].targets[0].id for line in lines}  # type: ignore[attr-defined]
