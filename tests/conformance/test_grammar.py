"""Every form of `-S`: what both tools make of it, in each kind of params file.

DVC queues each form in one process, which leaves the workspace as it is and the changed file in a stash commit; nbexp
makes the same edits. What comes of a form is the points of a sweep in order, each the whole file with its types.
Where the two differ on purpose, the form says so, and the differences from DVC tell of it.
"""

from __future__ import annotations

import ast
import json
import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from nbexp import overrides
from nbexp.errors import NbexpError
from nbexp.experiments import spec

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject

REFUSED = "refused"


@dataclass(frozen=True)
class Form:
    """What is typed after `-S`, once or several times.

    `ours` is what nbexp makes of it where that is not what DVC does: the value of `a` at each point, or `REFUSED`.
    `by_dvc` is what DVC is expected to do then, so that the difference is seen to be there.
    """

    words: tuple[str, ...]
    ours: Any = None
    by_dvc: Any = None


def same(*words: str) -> Form:
    return Form(words)


def differs(*words: str, ours: Any, by_dvc: Any) -> Form:
    return Form(words, ours, by_dvc)


START = {
    "params.yaml": "a: 1\ns: base\nflag: true\nnothing: null\nb: {c: 2, d: {x: 1, y: 2}}\nl: [1, 2]\n",
    "p.json": '{"a": 1, "s": "base", "flag": true, "nothing": null, "b": {"c": 2, "d": {"x": 1, "y": 2}}, "l": [1, 2]}',
    "p.toml": 'a = 1\ns = "base"\nflag = true\nl = [1, 2]\n[b]\nc = 2\n[b.d]\nx = 1\ny = 2\n',
    "p.py": "a = 1\ns = 'base'\nflag = True\nf = 0.5\nl = [1, 2]\n\n\nclass b:\n    c = 2\n",
}

# formats.md 7.1, 7.2: each line of the tables.
YAML_FORMS = [
    # The value's text and its type.
    *(same(f"a={text}") for text in (
        "2", "1_000", "-5", "+5", "2.0", "1e-3", ".5", "5.", "nan", "inf", "-inf", "true", "True", "false", "off", "yes", "null",
        "", "abc", "a b", "path/x", "0x10", "0o17", "010", "1:30", "path/to:x", "http://x:80/y", '"x"', "'x y'", '"5"', '"1,2"',
        "'a,b'", r"a\,b", "[1,2,x]", "[]", "{k:1}", "{}", "{k:{m:[1]}}", "int(3.7)", "str(5)", "float(1)", "bool(1)", "bool(no)",
        "str([1,2])", 'json_str("[1]")', "${s}", "x${s}y", "${b.d}", "${l}", "[${a_},2]", "${nope}",
    )),
    # Change, add, either, delete.
    same("b.c=3"), same("b.d={x:2}"), same("b.d={z:2}"), same("b={c:9,d:{x:8}}"), same("b={c:9,e:1}"), same("l=[3]"), same("l=7"),
    same("nothing=5"), same("nope=1"), same("b.nope=1"), same("nope.x=1"), same("a.x=1"), same("b=5"),
    same("+n=1"), same("+n.m.o=1"), same("+b.e=1"), same("+b={e:1}"), same("+b.d={x:5,q:1}"), same("+a=1"), same("+n=[1,{k:2}]"),
    same("+b.c=3"), same("+n="), same("+nothing=5"),
    same("++a=5"), same("++n=5"), same("++b.d={x:9,q:1}"), same("++n.m={o:1}"),
    same("~a"), same("~a=1"), same("~a=2"), same("~b.c"), same("~b"), same("~nope"), same("~b.nope"), same("~s=base"),
    # Several, the later one on top of the earlier one.
    same("a=2", "a=3"), same("a=2", "s=x", "~l"), same("+n=1", "n=2"), same("~a", "+a=5"), same("b.d.x=${.y}", "b.d.y=7"),
    same("s=${a}", "a=9"),
    # What is no override.
    same("a"), same("a=x=y"), same("a=f(x"), same("a=foo(1)"), same("l[0]=9"), same("=1"), same("a=["), same("+~a=1"),
    same("gone.yaml:x=1"),
    # Sweeps.
    same("a=1,2"), same("a=1,x,null,2.5"), same("a=choice(3,x)"), same("a=choice(x)"), same("a=range(3)"), same("a=range(1,6,2)"),
    same("a=range(start=1,stop=3)"), same("a=range(5,1,-2)"), same("a=range(0,1,0.25)"), same("a=sort(3,1,2)"),
    same("a=sort(3,1,2,reverse=true)"), same("a=sort(choice(b,a))"), same("a=tag(t,choice(a,b))"), same("a=[1,2],[3]"),
    same("a={x:1},{x:2}"), same("b.d={x:1},{x:2}"), same("+zz=1,2"), same("++a=1,2"), same("a=1,2", "s=x,y"), same("a=1,2", "s=x"),
    same("a='1,2',3"), same("a=float(range(1,3))"), same("a=int(1.5,2.5)"), same("a=${s},2"),
    same("a=sort(range(1,5),reverse=true)"), same("a=glob(*)"), same("a=1,2", "p.json:a=3,4"),
    differs("a=range(0.1,0.4,0.1)", ours=[0.1, 0.2, 0.3], by_dvc=[0.1, 0.2, 0.30000000000000004, 0.4]),
    differs("a=range(0.001,0.01,0.001)", ours=[0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008, 0.009], by_dvc="longer"),
    same("a=interval(1,5)"),  # nbexp's `sweep` takes it
    same("l.0=9"), same("l.5=9"), same("größe=1"),
    differs("+größe=1", ours=[1], by_dvc=REFUSED),
    differs("a=str(choice(1,2))", ours=["1", "2"], by_dvc=[1, 2]),
    differs("a=Zürich", ours=["Zürich"], by_dvc=REFUSED),
]  # fmt: skip

OTHERS = [
    "a=2", "a=2.5", "a=1e-3", "a=true", "a=abc", "a='x y'", "a=[1,x,[2.5]]", "b.c=3", "flag=False", "s=5", "s=other", "l=[3]",
    "nope=1", "a=1,2", "a=range(3)", "a=${s}",
]  # fmt: skip
MAPPINGS = [
    "a={k:1}", "b.d={x:2}", "b={c:9}", "+n=1", "+n.m.o=1", "+b.e=1", "+b={e:1}", "+a=1", "++a=5", "++n=5", "~a", "~a=2", "~b.c",
    "~b", "~nope", "+n=[1,{k:2}]", "+a=1,2", "+n=1,2",
]  # fmt: skip


def cases() -> list[tuple[str, Form]]:
    found = [("params.yaml", form) for form in YAML_FORMS]
    found += [("p.json", same(f"p.json:{one}")) for one in [*OTHERS, *MAPPINGS, "a=null", "a=nan"]]
    found += [("p.toml", same(f"p.toml:{one}")) for one in [*OTHERS, *MAPPINGS]]
    # No file of TOML can hold it, and DVC stops with an error of its own.
    found += [("p.toml", same("p.toml:a=null"))]
    numbers = ["a=2", "f=2.5", "f=1e-3", "flag=False", "nope=1", "a=1,2", "l=[3]"]
    found += [("p.py", same(f"p.py:{one}")) for one in numbers]
    found += [
        # DVC changes nothing and says nothing.
        ("p.py", differs("p.py:s=other", ours=["other"], by_dvc=["base"])),
    ]
    return found


@pytest.fixture(scope="module")
def _told() -> dict[str, Any]:
    """What DVC made of each form; filled by the first test that asks."""
    return {}


@pytest.fixture
def by_dvc(
    project: MakeProject,
    look: Look,
    told_by_dvc: Callable[[Path, Sequence[Sequence[str]]], list[tuple[int, str]]],
) -> tuple[Path, list[list[dict[str, str]] | str]]:
    """The project, and for each case the params files of each point that DVC has queued, or that it refused."""
    root = project(
        {**START, "dvc.yaml": "stages:\n  one:\n    cmd: echo\n    params: [a]\n    deps: [p.py]\n"}
    )
    asked = [
        ["exp", "run", "--queue", *(word for one in form.words for word in ("-S", one))]
        for _, form in cases()
    ]
    said = told_by_dvc(root, asked)
    stash = look.git("log", "-g", "--format=%H", "refs/exps/celery/stash", cwd=root).split()[::-1]
    found: list[list[dict[str, str]] | str] = []
    names = list(START)
    for code, out in said:
        count = out.count("Queued experiment ")
        if code:
            assert count == 0
            found.append(REFUSED)
            continue
        entries, stash = stash[:count], stash[count:]
        found.append(
            [
                {name: look.git("show", f"{rev}:{name}", cwd=root) + "\n" for name in names}
                for rev in entries
            ]
        )
    assert stash == []
    return root, found


def by_nbexp(root: Path, form: Form) -> list[dict[str, str]] | str:
    """The params files of each point, or that nbexp refuses."""
    try:
        points = overrides.parse(form.words)
        found = []
        for point in points:
            made = spec.make(root, "0" * 40, {}, overrides=point)
            files = {name: (root / name).read_bytes() for name in START} | made.edits
            found.append({name: data.decode() for name, data in files.items()})
    except NbexpError as error:
        # A refusal that does not say so is none to compare with.
        return REFUSED if "Nothing was run." in error.message else error.message
    return found


def tree(name: str, text: str) -> Any:
    """What a file says, by a parser that neither tool's code is in."""
    if name.endswith(".json"):
        return json.loads(text)
    if name.endswith(".toml"):
        return tomllib.loads(text)
    if name.endswith(".py"):
        return [ast.dump(node) for node in ast.parse(text).body]
    return YAML(typ="safe", pure=True).load(text)


def exact(value: Any) -> Any:
    """Equal values of other types are not the same; and a NaN is one."""
    if isinstance(value, dict):
        return {key: exact(one) for key, one in value.items()}
    if isinstance(value, list):
        return [exact(one) for one in value]
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return type(value).__name__, value


def value_of(name: str, files: dict[str, str], form: Form) -> Any:
    key = form.words[0].partition("=")[0].rpartition(":")[2].lstrip("+")
    if name.endswith(".py"):
        space: dict[str, Any] = {}
        exec(files[name], space)
        return space[key]
    found = tree(name, files[name])
    for part in key.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def test_every_form_comes_to_the_same(
    by_dvc: tuple[Path, list[list[dict[str, str]] | str]],
) -> None:
    root, theirs = by_dvc
    wrong = []
    for (name, form), expected in zip(cases(), theirs, strict=True):
        found = by_nbexp(root, form)
        if form.ours is not None:
            ours = found if found == REFUSED else [value_of(name, one, form) for one in found]  # type: ignore[arg-type]
            dvcs = (
                expected if expected == REFUSED else [value_of(name, one, form) for one in expected]
            )  # type: ignore[arg-type]
            if form.by_dvc == "longer":
                dvcs = "longer" if dvcs != ours else dvcs
            if ours != form.ours:
                wrong.append((form.words, "nbexp", ours, form.ours))
            if dvcs != form.by_dvc:
                wrong.append((form.words, "dvc", dvcs, form.by_dvc))
            continue
        if REFUSED in (found, expected):
            if found != expected:
                wrong.append((form.words, "refused", found, expected))
            continue
        trees = [
            [exact({file: tree(file, text) for file, text in files.items()}) for files in side]
            for side in (found, expected)
        ]
        if trees[0] != trees[1]:
            wrong.append((form.words, "differs", found, expected))
    assert wrong == [], "\n".join(map(repr, wrong))


# --- Generated values, through Hydra's own parser ---------------------------------------------------

WORDS = st.sampled_from(["a", "train.lr", "b.c_d", "x-y", "deep/er", "k1.k2.k3"])
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex(r"[a-z]{1,4}_", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(WORDS, st.sampled_from(["", "+", "++"]), PLAIN)
@settings(max_examples=200)
def test_what_is_typed_for_a_value_is_that_value_to_hydra(key: str, sign: str, value: Any) -> None:
    """An override made in Python, typed as its text says, is read by Hydra's parser as the same."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (made,) = overrides.parse({sign + key: value})[0]
    read = OverridesParser.create().parse_override(overrides.hydra_text(made))
    assert read.key_or_group == key
    assert exact(read.value()) == exact(value)
    (again,) = overrides.parse([made.text])[0]
    assert exact(again.value) == exact(value)
    assert (again.key, again.op) == (made.key, made.op)
