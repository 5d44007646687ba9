from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from nbexp.errors import ProjectFileError
from nbexp.formats import values, yaml12
from nbexp.formats.values import MISSING, flatten, lookup, nearest, parse


def read(text: str, path: str = "params.yaml") -> Any:
    return parse(text.encode(), path)


def exact(value: Any) -> Any:
    """Equal for equal values of equal type in equal order; NaN is NaN."""
    if isinstance(value, dict):
        return [(exact(key), exact(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [exact(inner) for inner in value]
    return type(value).__name__, repr(value)


# --- Reading YAML as DVC does --------------------------------------------------------------------


def as_dvc(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


SCALARS = """
1 01 014 08 00 0 -0 +1 0o17 -0o17 0o8 0O17 0x1F -0x1f 0xg +0x1F 0b11 +0b1 0b2 1_000 _1 1_ 1__0 0_ 0_1 9_ 0o1_7
1e3 1E3 1e-3 1e+3 1.e3 1.5e-3 1.5E5 12e03 0e0 1e 1e5x e1 1e1_0 0.1e+1_0 1e400 .5 -.5 +.5 5. 0. .5e3 .5e+3 1_0.5
1_000.5_0 3.14_15 1.2.3 1,000 .inf -.inf +.INF .Inf .nan .NaN .NAN -.nan nan inf + - . .. _ -_x
yes no on off Yes NO On y n true True TRUE tRue false False FALSE null Null NULL nULL ~ None
12:30:45 1:30 1:30.5 abc a-b a_b a.b v1.0 - * ? : %a @ ` ' " # & ! | > < << /path c:\\x 1password
""".split()


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_means_what_it_means_to_dvc(text: str) -> None:
    document = f"key: {text}\n"
    try:
        theirs = as_dvc(document)
    except (YAMLError, ValueError):
        # DVC cannot use such a file at all; we may, and say so properly if not.
        with contextlib.suppress(ProjectFileError):
            read(document)
        return
    assert exact(read(document)) == exact(theirs)


@given(st.text("0123456789+-._eExXoObB:aAnNfFiItTuUlL~ ", max_size=12))
@example("-_")
@example("0x_")
def test_anything_like_a_number_means_what_it_means_to_dvc(text: str) -> None:
    try:
        theirs = as_dvc(f"key: {text}")
    except (YAMLError, ValueError, IndexError):
        return
    if not isinstance(theirs.get("key"), dt.date):
        assert exact(read(f"key: {text}")) == exact(theirs)


@pytest.mark.parametrize(
    "text", ["2020-01-01", "2020-01-01 10:00:00", "2020-01-01T10:00:00Z", "!!timestamp 2020-01-01"]
)
def test_a_date_stays_the_text_it_is(text: str) -> None:
    assert read(f"day: {text}") == {"day": text.removeprefix("!!timestamp ")}


DOCUMENTS = [
    "",
    "# only a comment\n",
    "---\n",
    "---\na: 1\n...\n",
    "--- 1",
    "[1, 2]",
    "a: &x {k: 1, m: 2}\nb: {<<: *x, k: 2, n: 3}",
    "a: &x {k: 1}\nb:\n  k: 2\n  <<: *x",
    "a: &x {k: 1, z: 5}\nb: &y {m: 2, k: 3}\nc:\n  <<: [*x, *y]\n  o: 1",
    "a: &x 1\nb: *x\nc: [*x, *x]",
    "&k a: 1\nb: *k\n",
    "a: |\n  x\n   y\n\nb: >-\n  c\n  d\n",
    "a: |+\n x\n\nb: |2\n   y\n",
    "a: 'it''s'\nb: \"\\x41\\u00e9\\n\"\nc: 'x\n  y'\nd: \"x\\\n  y\"",
    "{a: [1, {b: c}], 'q':1, \"d\":2, e: , f}",
    "? a\n: b\n? c\n",
    "- - 1\n  - 2\n- a: 1\n  b: 2\n-\n- x\n",
    "a:\n- 1\n- 2\nb:\n  - 3\n",
    "a: b # c\nd: e#f\n",
    "a: x y\n  z\n",
    "url: http://x:80/a\nlist: [http://x, a:b]\n",
    "a: !!str 5\nb: !!int '5'\nc: !!float 3\nd: !!bool yes\ne: !!null x\nf: ! 5\ng: !!seq [1]\nh: !!map {}",
    "a: 1\r\nb:\r\n  c: 'x\r\n    y'\r\n",
    "größe: 😀\nü: [ä]\n",
    "a: x\u2028y\nb: 'x\u0085y'\n",
    "%YAML 1.1\n---\na: yes\nb: 010\n",
    "%YAML 1.2\n---\na: yes\n",
    "2: a\n1.5: b\ntrue: c\nnull: d\n",
    "[:b, a]",
    "a: ?b\nc: :d\ne: -f\n",
    "a:\n",
    "- \n- ~\n- ''\n",
]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_a_document_means_what_it_means_to_dvc(text: str) -> None:
    theirs = as_dvc(text)
    assert exact(read(text)) == exact({} if theirs is None else theirs)


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=12)
    | st.sampled_from(SCALARS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(SCALARS) | st.integers(), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(TREES, st.sampled_from([None, True, False]), st.sampled_from([20, 80, 10_000]))
def test_what_ruamel_writes_is_read_as_ruamel_reads_it(tree: Any, flow: Any, width: int) -> None:
    import io

    out = io.StringIO()
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = flow
    writer.width = width
    try:
        writer.dump({"root": tree}, out)
        theirs = as_dvc(out.getvalue())
    except (YAMLError, ValueError):
        return
    assert exact(read(out.getvalue())) == exact(theirs)


@given(st.text("ab1: -[]{},#'\"\n*!|>?%@\t\\.<~é", max_size=40))
@settings(max_examples=150)
@example("a: 1\na: 2\n")
@example("a: &x [*x]")
@example('["a":1]')
@example("a:\tb")
@example("{a: !!str, b: 1}")
def test_any_text_is_read_as_dvc_reads_it_or_refused(text: str) -> None:
    try:
        ours = read(text)
    except ProjectFileError as error:
        ours = error
    try:
        theirs = as_dvc(text)
    except Exception:  # noqa: BLE001 - ruamel leaves its own exceptions on broken texts
        return  # a file that DVC cannot read may be read here
    if not isinstance(theirs, dict | list):
        return  # no params file is one piece of text, and the two differ on comments in such
    if isinstance(ours, ProjectFileError):
        # Mappings with lists as keys, text that refers to itself: DVC reads them, and fails when it writes them.
        assert re.search("used as a key|has no `&|more than|is not understood|is no ", str(ours)), (
            text
        )
        return
    assert exact(ours) == exact(theirs)


@st.composite
def simple_texts(draw: st.DrawFn) -> str:
    """Block mappings and lists as people write them, and now and then a line that does not fit."""
    keys = st.sampled_from("a b lr k1 d-e params.yaml x/y 1 yes deps outs _k null -1 <<".split())
    scalars = st.sampled_from(
        [*SCALARS, "a b", "a  b", "'x'", "'it''s'", '"x"', '"a\\n"', "[1, 2]", "[]", "{}", "[a b, -1 ,.5]", "[- 1]",
         "[a:b]", "[,]", "[1,]", "{a: 1}", "--flag", "- x", "a: b", "a:b", "a:", "a #c", "a#b", "#c", "x # it's",
         "'a' # b'", "'a # b'", "&x 1", "*x", "!t 1", "? x", "---", "sh step.sh 1", "a --x=1 > out", "$x", "(a)",
         "3c8ea0d1f5b9d8c7e6a5b4c3d2e1f0a9", "12e4567890", "a, b", "a]", "[a]b", "'a'b", "x\\y", "a'b", "a ?b", "-.5"]
    )  # fmt: skip
    ends = st.sampled_from(["", "", "", "  # c", " "])
    lines: list[str] = []

    def block(column: int, depth: int) -> None:
        is_map = depth == 0 or draw(st.booleans())
        for key in draw(st.lists(keys, min_size=1, max_size=3)):
            pad = " " * (column + draw(st.sampled_from([0] * 20 + [1, 2])))
            gap = " " * draw(st.sampled_from([1, 1, 1, 2]))
            is_scalar = depth > 2 or draw(st.booleans())
            if draw(st.integers(0, 9)) == 0:
                lines.append(draw(st.sampled_from(["", "  ", "# c", "   # c"])))
            head = f"{pad}{key}:" if is_map else f"{pad}-{gap}{key}:"
            if is_scalar and not is_map and draw(st.booleans()):
                lines.append(f"{pad}-{gap}{draw(scalars)}{draw(ends)}")
            elif is_scalar:
                lines.append(f"{head}{gap}{draw(scalars)}{draw(ends)}")
            else:
                lines.append(head + draw(ends))
                block(len(head) - len(key) - 1 + draw(st.sampled_from([0, 2, 2, 4])), depth + 1)

    block(0, 0)
    return "\n".join(lines) + draw(st.sampled_from(["\n", ""]))


@given(simple_texts())
@settings(max_examples=400)
@example("a:\n -1: b\n")
@example("a:\n- b: 1\n  c:\n  - 2\n-  d\n")
@example("a:\n  b\n")
@example("a: b\n  c\n")
def test_what_is_read_line_by_line_is_what_the_parser_reads(text: str) -> None:
    quick = yaml12._simple(text, values.MAX_LEAVES)
    if quick is not None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml12, "_simple", lambda *_: None)
            assert exact(quick) == exact(read(text))


def test_an_ordinary_project_is_read_without_a_parser() -> None:
    text = """\
# why
train:
  lr: 0.1   # rate
  layers: [64, 32]
  name: "resnet"
stages:
- cmd: python train.py --out=x
  deps:
  - path: data.csv
    md5: 3c8ea0d1f5b9d8c7e6a5b4c3d2e1f0a9
    isexec: true
"""
    assert yaml12._simple(text, values.MAX_LEAVES) == {
        "train": {"lr": 0.1, "layers": [64, 32], "name": "resnet"},
        "stages": [
            {
                "cmd": "python train.py --out=x",
                "deps": [
                    {"path": "data.csv", "md5": "3c8ea0d1f5b9d8c7e6a5b4c3d2e1f0a9", "isexec": True}
                ],
            }
        ],
    }


def test_a_params_file_of_dvcs_own_shape_is_read() -> None:
    text = """\
        # training
        train:
          lr: 1e-3      # three zeros
          shuffle: yes
          layers: [64, 32]
          optimizer:
            name: "adam"
            betas:
            - 0.9
            - 0.999
        seed: 0o17
        """
    assert read(textwrap.dedent(text)) == {
        "train": {
            "lr": 0.001,
            "shuffle": "yes",
            "layers": [64, 32],
            "optimizer": {"name": "adam", "betas": [0.9, 0.999]},
        },
        "seed": 15,
    }


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\n", "params.yaml") == {"a": 1}
    assert parse(b'\xef\xbb\xbf{"a": 1}', "params.json") == {"a": 1}


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("a: 1\na: 2\n", "params.yaml", "params.yaml, line 2: this is not valid YAML: the key `a` is there twice."),
        ("{a: 1, 1: x, 1.0: y}", "p.yml", "p.yml, line 1: this is not valid YAML: the key `1.0` is there twice."),
        ("a: [1,\nb: 2\n", "p.yaml", "p.yaml, line 3: this is not valid YAML: did not find expected ',' or ']'."),
        (
            "a: 1\nb: 2\n\tc: 3\n",
            "p.yaml",
            "p.yaml, line 3: this is not valid YAML: found a tab character that violates indentation.",
        ),
        ("a: 1\nb: *x\n", "p.yaml", "p.yaml, line 2: this is not valid YAML: `*x` has no `&x` before it."),
        ("a: &x [*x]\n", "p.yaml", "p.yaml, line 1: this is not valid YAML: `*x` has no `&x` before it."),
        ("a: !x 3\n", "p.yaml", "p.yaml, line 1: this is not valid YAML: the tag `!x` is not understood."),
        (
            "a: !!python/name:os.system\n",
            "p.yaml",
            "p.yaml, line 1: this is not valid YAML: the tag `!!python/name:os.system` is not understood.",
        ),
        ("a: !!set {b}\n", "p.yaml", "p.yaml, line 1: this is not valid YAML: the tag `!!set` is not understood."),
        ("a: !!int x\n", "p.yaml", "p.yaml, line 1: this is not valid YAML: `x` is no int."),
        ("? [a]\n: 1\n", "p.yaml", "p.yaml, line 1: this is not valid YAML: a list or mapping is used as a key."),
        ("a: 1\n---\nb: 2\n", "p.yaml", "p.yaml, line 2: this is not valid YAML: a second document begins."),
        ("a: {<<: 3}\n", "p.yaml", "p.yaml, line 1: this is not valid YAML: `<<` takes a mapping or a list of mappings."),
        ("a: b\x01\n", "p.yaml", "p.yaml, line 1: this is not valid YAML: the character U+0001 is not allowed."),
        ('{\n"a": 1,\n}', "m.json", "m.json, line 3: this is not valid JSON: expecting property name enclosed in double quotes."),
        ("", "m.json", "m.json, line 1: this is not valid JSON: expecting value."),
        ("a = 1\nb = \n", "p.toml", "p.toml, line 2: this is not valid TOML: invalid value."),
        ("a = 1\na = 2\n", "p.toml", "p.toml, line 2: this is not valid TOML: cannot overwrite a value."),
        ("a = 1\ndef (\n", "p.py", "p.py, line 2: this is not valid Python: invalid syntax."),
    ],
)  # fmt: skip
def test_a_broken_file_is_named_with_its_line(text: str, path: str, message: str) -> None:
    with pytest.raises(ProjectFileError) as caught:
        read(text, path)
    assert caught.value.message == message


def test_bytes_that_are_no_text_are_named_with_their_line() -> None:
    with pytest.raises(ProjectFileError) as caught:
        parse(b"a: 1\nb: \xff\n", "params.yaml")
    assert caught.value.message == "params.yaml, line 2: this is not UTF-8 text."


@pytest.mark.parametrize("path", ["p.yaml", "p.json", "p.toml", "p.py"])
def test_a_huge_file_is_refused_before_it_is_read(path: str) -> None:
    with pytest.raises(ProjectFileError, match=r"has 16\.0 MB; up to 16 MB are read"):
        parse(b" " * (values.MAX_BYTES + 1), path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[" * 101 + "]" * 101, "p.yaml"),
        ("- " * 101 + "1", "p.yaml"),
        ("{a: " * 200_000, "p.yaml"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(101)), "p.yaml"),
        ("[" * 101 + "]" * 101, "p.json"),
        ("[" * 500_000, "p.json"),
        ("a = " + "[" * 101 + "]" * 101, "p.toml"),
        ("a = " + "[" * 100_000, "p.toml"),
        (".".join(["a"] * 102) + " = 1", "p.toml"),
        ("a = " + "-" * 100_000 + "1", "p.py"),
    ],
)
def test_nesting_without_end_is_refused(text: str, path: str) -> None:
    with pytest.raises(ProjectFileError, match=r"nested"):
        read(text, path)


def test_a_hundred_levels_are_read() -> None:
    assert read("[" * 100 + "]" * 100) == read("[" * 100 + "]" * 100, "p.json")


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    with pytest.raises(ProjectFileError, match=r"line 6: the file holds more than 100,000 values"):
        read("\n".join(lines))


def test_an_alias_bomb_of_empty_lists_is_refused_too() -> None:
    lines = ["a0: &a0 []"] + [
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)
    ]
    with pytest.raises(ProjectFileError, match=r"the file holds more than 100,000 values"):
        read("\n".join(lines))


def test_a_bomb_of_merge_keys_is_refused_too() -> None:
    lines = ["a0: &a0 {x: 1}"] + [
        f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: 1}}" for n in range(1, 40)
    ]
    with pytest.raises(ProjectFileError, match=r"the file holds more than 100,000 values"):
        read("\n".join(lines))


@pytest.mark.parametrize("path", ["p.yaml", "p.json"])
def test_the_number_of_values_has_a_limit_that_the_caller_may_move(path: str) -> None:
    text = f"[{','.join(['1'] * 100_001)}]"
    with pytest.raises(ProjectFileError, match="more than 100,000 values"):
        read(text, path)
    assert len(parse(text.encode(), path, max_leaves=200_000)) == 100_001  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a: " + "1" * 4001, "p.yaml"),
        ("a: 0x" + "f" * 4001, "p.yaml"),
        ('{"a": ' + "1" * 4001 + "}", "p.json"),
        ("a = " + "1" * 4400, "p.toml"),
    ],
)
def test_a_number_of_thousands_of_digits_is_refused(text: str, path: str) -> None:
    with pytest.raises(ProjectFileError, match="a whole number has more than 4,000 digits"):
        read(text, path)


def test_four_thousand_digits_in_text_are_text() -> None:
    assert read('{"a": "' + "1" * 5000 + '"}', "p.json") == {"a": "1" * 5000}


# --- Reading the other formats ---------------------------------------------------------------------


def test_json_is_read_with_its_oddities() -> None:
    assert exact(read('{"a": NaN, "b": -Infinity, "c": 1.0, "c": 1}', "metrics.JSON")) == exact(
        {"a": math.nan, "b": -math.inf, "c": 1}
    )


def test_toml_dates_become_text() -> None:
    text = "[data]\nday = 1979-05-27\nat = 1979-05-27T07:32:00Z\nlist = [07:32:00]\n"
    assert read(text, "params.toml") == {
        "data": {"day": "1979-05-27", "at": "1979-05-27T07:32:00+00:00", "list": ["07:32:00"]}
    }


def test_python_params_are_the_literals_that_are_assigned() -> None:
    text = '''\
        import os

        LR = 0.1
        EPOCHS: int = 10
        later: int
        NAME = "a" "b"
        LAYERS = (64, 32)
        NEGATIVE = -1
        TAGS = {"b", "a"}
        DEEP = {"a": [1, (2, 3)], "b": {"c": None}}
        PATH = os.environ
        MIXED = {"a": os.name}
        SPREAD = {**DEEP}
        x = y = 1
        u, v = 1, 2
        RAW = b"x"
        obj.attribute = 1
        LR = 0.2

        class Train:
            """Settings."""
            bs = 32
            class Inner:
                k = True
            def __init__(self):
                self.seed = 1
                self.rate: float = 2.5
                local = 3
            def other(self):
                self.not_a_param = 1

        def function():
            inner = 1
        '''
    assert read(textwrap.dedent(text), "params.py") == {
        "LR": 0.2,
        "EPOCHS": 10,
        "NAME": "ab",
        "LAYERS": [64, 32],
        "NEGATIVE": -1,
        "TAGS": ["b", "a"],
        "DEEP": {"a": [1, [2, 3]], "b": {"c": None}},
        "Train": {"bs": 32, "Inner": {"k": True}, "seed": 1, "rate": 2.5},
    }


# --- Looking up --------------------------------------------------------------------------------------

TREE = {
    "train": {"lr": 0.1, "layers": [64, 9], "opt": {"name": "adam"}, "none": None},
    "a.b": 3,
    3: "three",
    True: "yes",
    "one": {"only": 1},
}


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("train.lr", 0.1),
        ("train.layers.1", 9),
        ("train.layers.-1", 9),
        ("train.layers.2", MISSING),
        ("train.layers.x", MISSING),
        ("train.opt", {"name": "adam"}),
        ("train.none", None),
        ("train.none.x", MISSING),
        ("train.lr.x", MISSING),
        ("a.b", MISSING),
        ("3", "three"),
        ("True", "yes"),
        ("nope", MISSING),
        ("one.*", 1),
        ("*.lr", 0.1),
        ("train.*", MISSING),
        ("**.name", "adam"),
        ("train.[o]pt.name", "adam"),
        ("train.layers.?", MISSING),
        ("nope.*", MISSING),
    ],
)
def test_a_key_is_looked_up_as_dvc_does(key: str, found: object) -> None:
    assert lookup(TREE, key) == found


def test_the_empty_key_is_the_whole_file() -> None:
    assert lookup(TREE, "") is TREE


def test_a_metrics_file_is_flattened_to_columns() -> None:
    tree = {"acc": 0.9, "by": {"cat": {"f1": 1}, 2: [1, {"x": 1}], "none": None, "empty": {}}}
    assert flatten(tree) == {"acc": 0.9, "by.cat.f1": 1, "by.2": [1, {"x": 1}], "by.none": None}
    assert flatten(0.5) == {"": 0.5}
    assert flatten({}) == flatten(None) == {}


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("train.lrr", "train.lr"),
        ("lr", "train.lr"),
        ("tran.lr", "train.lr"),
        ("model.lr", "train.lr"),
        ("name", "train.opt.name"),
        ("zzz", None),
    ],
)
def test_a_mistyped_key_has_a_nearest_one(key: str, near: str | None) -> None:
    assert nearest(key, TREE) == near


def test_a_key_that_no_key_names_is_not_proposed_for_itself() -> None:
    assert nearest("do.t", {"do.t": 2, "lr": 1}) is None
    assert nearest("model.rl", {"model": {"lr": 1, "r1": 2}}) == "model.lr"


# --- Cost -------------------------------------------------------------------------------------------------


def test_importing_the_module_loads_no_parser() -> None:
    heavy = "{'yaml', 'ruamel', 'json', 'tomllib', 'ast', 'difflib'}"
    code = f"import dataclasses, sys; old = set(sys.modules); import nbexp.formats.values, nbexp.formats.editing; print(sorted({heavy} & (set(sys.modules) - old)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
