"""What a parameters cell assigns, in languages that are not Python."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbexp.formats.assignments import assigned


def read(language: str, source: str) -> dict[str, object]:
    """Values by name; `...` where only the name is known."""
    return {one.name: one.value if one.is_literal else ... for one in assigned(source, language)}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("lines=3  # how many", {"lines": 3}),
        ('name="a b"', {"name": "a b"}),
        ("name='it is $5'", {"name": "it is $5"}),
        ('name="costs $5"', {"name": ...}),
        ("rate=0.5", {"rate": 0.5}),
        ("rate=1e-3", {"rate": 0.001}),
        ("fast=true", {"fast": True}),
        ("model=small", {"model": "small"}),
        ("empty=", {"empty": ""}),
        ("code=007", {"code": "007"}),
        ('version="3"', {"version": "3"}),
        ('files=(one "t wo" 3)', {"files": ["one", "t wo", 3]}),
        ("none=()", {"none": []}),
        ("out=$HOME/x", {"out": ...}),
        ("now=$(date +%s)", {"now": ...}),
        ("glob=*.csv", {"glob": ...}),
        ("export epochs=3", {"epochs": 3}),
        ("declare -i epochs=3", {"epochs": 3}),
        ("a=1; b=2", {"a": 1, "b": 2}),
        ("a=1 b=2", {"a": 1, "b": 2}),
        ("a=1 # b=2", {"a": 1}),
        ("a=b#c", {"a": "b#c"}),
        ("color='#fff'", {"color": "#fff"}),
        ("LC_ALL=C sort file", {}),
        ("a=1 | cat", {}),
        ("a=1 > file", {}),
        ("if a=1; then", {}),
        ("a='goes on", {}),
        ("echo a=1", {}),
        ("[ $a = 1 ]", {}),
        ("", {}),
        ("# a=1", {}),
    ],
)
def test_a_line_of_shell(line: str, values: dict[str, object]) -> None:
    assert read("bash", line) == values


@pytest.mark.parametrize(
    ("language", "line", "values"),
    [
        ("R", "lr <- 0.1  # the rate", {"lr": 0.1}),
        ("R", "n <- 3L", {"n": 3}),
        ("R", "color = '#fff'", {"color": "#fff"}),
        ("R", "on <- TRUE", {"on": True}),
        ("R", "layers <- c(1, 2)", {"layers": ...}),
        ("R", "x == 2", {}),
        ("julia", "layers = [1, 2]", {"layers": [1, 2]}),
        ("julia", "rest = nothing", {"rest": None}),
        ("scala", "val lr: Double = 0.1  // the rate", {"lr": 0.1}),
        ("scala", 'val url = "http://x"  // where', {"url": "http://x"}),
        ("scala", "val n = 10L", {"n": 10}),
        ("matlab", "x = 'a'; % c", {"x": "a"}),
        (".net-csharp", "double x = 0.5;", {"x": 0.5}),
        (".net-powershell", "$x = 5", {"x": 5}),
        ("javascript", "let f = x => 1", {"f": ...}),
    ],
)
def test_a_line_of_another_language(language: str, line: str, values: dict[str, object]) -> None:
    assert read(language, line) == values


def test_the_last_assignment_of_a_name_counts() -> None:
    assert read("bash", "a=1\na=2") == {"a": 2}


@given(st.text(alphabet=st.sampled_from("ab1.'\"$`\\ #;=()|<>&*\t-"), max_size=20))
def test_what_is_read_of_a_shell_line_is_what_bash_makes_of_it(text: str) -> None:
    """Whatever stands there: a value that is told is the one that bash would have."""
    found = read("bash", f"v={text}")
    if isinstance(found.get("v"), (str, int)) and not isinstance(found["v"], bool):
        ran = subprocess.run(
            ["bash", "--norc", "-c", f'v={text}\nprintf %s "$v"'],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        # A line that bash cannot read at all assigns nothing, and the notebook fails there.
        assert ran.stdout == str(found["v"]) or ran.returncode != 0
