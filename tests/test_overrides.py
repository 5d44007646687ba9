from __future__ import annotations

import math
import re
import subprocess
import sys
from typing import Any

import pytest
from hydra.core.override_parser import types
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbexp import overrides
from nbexp.errors import UsageError
from nbexp.overrides import Axis, Interval, Override, axes, parse, resolve, spell

HYDRA = OverridesParser.create()


def one(item: str) -> Override:
    ((override,),) = parse([item])
    return override


def points(*items: str) -> list[tuple[Any, ...]]:
    return [tuple(override.value for override in point) for point in parse(items)]


def exact(value: Any) -> Any:
    """Equal for equal values of equal type in equal order; NaN is NaN."""
    if isinstance(value, dict):
        return [(exact(key), exact(inner)) for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return [exact(inner) for inner in value]
    return type(value).__name__, repr(value)


# --- Kinds, keys and files (formats.md 7.1) -----------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "override"),
    [
        ("a.b=2", Override("params.yaml", "a.b", 2, "change", True, "a.b=2")),
        ("+a.b=2", Override("params.yaml", "a.b", 2, "add", True, "+a.b=2")),
        ("++a.b=2", Override("params.yaml", "a.b", 2, "force", True, "++a.b=2")),
        ("~a.b", Override("params.yaml", "a.b", None, "delete", False, "~a.b")),
        ("~a.b=2", Override("params.yaml", "a.b", 2, "delete", True, "~a.b=2")),
        ("~a.b=", Override("params.yaml", "a.b", "", "delete", True, "~a.b=")),
        ("conf/p.json:a=1", Override("conf/p.json", "a", 1, "change", True, "conf/p.json:a=1")),
        ("p.toml:+a=1", Override("p.toml", "a", 1, "add", True, "p.toml:+a=1")),
        ("+p.toml:a=1", Override("p.toml", "a", 1, "add", True, "+p.toml:a=1")),
        ("p.py:~a", Override("p.py", "a", None, "delete", False, "p.py:~a")),
        ("a=path/to:x", Override("params.yaml", "a", "path/to:x", "change", True, "a=path/to:x")),
        ("a= 1 ", Override("params.yaml", "a", 1, "change", True, "a= 1 ")),
        ("layers.0=1", Override("params.yaml", "layers.0", 1, "change", True, "layers.0=1")),
        ("data/set-1=1", Override("params.yaml", "data/set-1", 1, "change", True, "data/set-1=1")),
        ("größe=1", Override("params.yaml", "größe", 1, "change", True, "größe=1")),
        (
            "learning rate=1",
            Override("params.yaml", "learning rate", 1, "change", True, "learning rate=1"),
        ),
    ],
)
def test_an_item_is_a_file_a_key_a_value_and_what_to_do(item: str, override: Override) -> None:
    assert one(item) == override


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("1_000", 1000),
        ("-5", -5),
        ("+5", 5),
        ("2.0", 2.0),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("5.", 5.0),
        ("nan", math.nan),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("true", True),
        ("True", True),
        ("false", False),
        ("off", "off"),
        ("yes", "yes"),
        ("null", None),
        ("NULL", None),
        ("", ""),
        ("abc", "abc"),
        ("a b", "a b"),
        ("path/x", "path/x"),
        ("0x10", "0x10"),
        ("0o17", "0o17"),
        ("010", "010"),
        ("1__0", "1__0"),
        ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("http://x:80/a?b", "http://x:80/a?b"),
        ("a@b.c", "a@b.c"),
        ("Zürich", "Zürich"),
        ('"x"', "x"),
        ("'x y'", "x y"),
        ('"5"', "5"),
        ("'a,b'", "a,b"),
        ('"1,2"', "1,2"),
        (r"a\,b", "a,b"),
        (r"'it\'s'", "it's"),
        ('"x=y"', "x=y"),
        ("[1,2,x]", [1, 2, "x"]),
        ("[1, '2', null, [true]]", [1, "2", None, [True]]),
        ("[]", []),
        ("{k:1}", {"k": 1}),
        ("{k: [1], 2: {x: y}}", {"k": [1], 2: {"x": "y"}}),
        ("{}", {}),
        ("int(3.7)", 3),
        ("str(5)", "5"),
        ("float(1)", 1.0),
        ("bool(1)", True),
        ("str([1,2])", ["1", "2"]),
        ("${s}", "${s}"),
    ],
)
def test_a_value_has_the_type_it_has_for_dvc(text: str, value: Any) -> None:
    assert exact(one(f"a={text}").value) == exact(value)


# --- Sweeps (formats.md 7.2) ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2", [1, 2]),
        ("a,'b',null,true", ["a", "b", None, True]),
        ("choice(a,'1')", ["a", "1"]),
        ("choice(a)", ["a"]),
        ("range(3)", [0, 1, 2]),
        ("range(1,6,2)", [1, 3, 5]),
        ("range(start=1,stop=3)", [1, 2]),
        ("range(5,1,-2)", [5, 3]),
        ("range(0,1,0.25)", [0.0, 0.25, 0.5, 0.75]),
        ("range(0.1,0.4,0.1)", [0.1, 0.2, 0.3]),
        ("range(1,0.4,-0.2)", [1.0, 0.8, 0.6]),
        (
            "range(0.001,0.01,0.001)",
            [0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008, 0.009],
        ),
        ("range(1e-4,4e-4,1e-4)", [0.0001, 0.0002, 0.0003]),
        ("float(range(1,3))", [1.0, 2.0]),
        ("int(1.5,2.5)", [1, 2]),
        ("str(choice(1,2))", ["1", "2"]),
        ("sort(3,1,2)", [1, 2, 3]),
        ("sort(3,1,2,reverse=true)", [3, 2, 1]),
        ("sort(choice(b,a))", ["a", "b"]),
        ("sort(range(1,5),reverse=true)", [4, 3, 2, 1]),
        ("sort(range(0.1,0.5,0.1),reverse=true)", [0.4, 0.3, 0.2, 0.1]),
        ("tag(t,choice(a,b))", ["a", "b"]),
        ("[1,2],[3]", [[1, 2], [3]]),
        ("{x:1},{x:2}", [{"x": 1}, {"x": 2}]),
        ("${a},${b}", ["${a}", "${b}"]),
    ],
)
def test_a_choice_is_one_point_for_each_value(text: str, values: list[Any]) -> None:
    assert exact([value for (value,) in points(f"a={text}")]) == exact(values)


@pytest.mark.parametrize(
    "text", ["shuffle(1,2,3,4)", "shuffle(range(1,5))", "shuffle(choice(1,2,3,4))"]
)
def test_shuffled_choices_are_the_same_choices(text: str) -> None:
    found = {tuple(value for (value,) in points(f"a={text}")) for _ in range(50)}
    assert {tuple(sorted(order)) for order in found} == {(1, 2, 3, 4)}
    assert len(found) > 1


def test_all_combinations_are_points_the_first_item_slowest() -> None:
    assert points("a=1,2", "p.json:b=x,y", "c=0") == [
        (1, "x", 0),
        (1, "y", 0),
        (2, "x", 0),
        (2, "y", 0),
    ]


@pytest.mark.parametrize(
    ("items", "texts"),
    [
        (["lr=1,2", "lr=3"], [["lr=3"]]),
        (["lr=1", "seed=7", "lr=4,5"], [["lr=4", "seed=7"], ["lr=5", "seed=7"]]),
        (["a.json:lr=1,2", "lr=3"], [["a.json:lr=1", "lr=3"], ["a.json:lr=2", "lr=3"]]),
        (["lr=1", "lr=3"], [["lr=1", "lr=3"]]),
    ],
)
def test_what_is_said_last_of_a_param_makes_the_points_of_a_sweep(
    items: list[str], texts: list[list[str]]
) -> None:
    assert [[one.text for one in point] for point in parse(items)] == texts


def test_no_items_are_one_point_without_overrides() -> None:
    assert parse([]) == [()]
    assert parse({}) == [()]


def test_each_point_says_how_it_alone_would_be_typed() -> None:
    texts = [override.text for (override,) in parse(["p.json:+a=1,'1',[x,2],a b"])]
    assert texts == ["p.json:+a=1", "p.json:+a='1'", "p.json:+a=[x,2]", "p.json:+a=a b"]


def test_a_sampler_gets_the_choices_and_intervals_uncombined() -> None:
    assert axes(["lr=interval(1e-4,0.1)", "n=5,10", "+d=tag(log,interval(0,1))"]) == (
        Axis("params.yaml", "lr", Interval(0.0001, 0.1), "change", True, "lr=interval(1e-4,0.1)"),
        Axis("params.yaml", "n", (5, 10), "change", True, "n=5,10"),
        Axis(
            "params.yaml",
            "d",
            Interval(0.0, 1.0, ("log",)),
            "add",
            True,
            "+d=tag(log,interval(0,1))",
        ),
    )


def test_a_sampler_makes_an_override_of_the_value_it_picked() -> None:
    (axis,) = axes(["+lr=interval(0,1)"])
    assert axis.at(0.25) == Override("params.yaml", "lr", 0.25, "add", True, "+lr=0.25")


# --- A mapping -------------------------------------------------------------------------------------------------


def test_text_alone_is_one_item() -> None:
    assert parse("train.lr=0.1,0.2") == parse(["train.lr=0.1,0.2"])


def test_a_mapping_is_one_point_with_its_values_as_they_are() -> None:
    assert parse(
        {"train.layers": [1, 2], "+p.json:b": "1,2", "++c": None, "~d": None, "~e": 1}
    ) == [
        (
            Override("params.yaml", "train.layers", [1, 2], "change", True, "train.layers=[1,2]"),
            Override("p.json", "b", "1,2", "add", True, "p.json:+b='1,2'"),
            Override("params.yaml", "c", None, "force", True, "++c=null"),
            Override("params.yaml", "d", None, "delete", False, "~d"),
            Override("params.yaml", "e", 1, "delete", True, "~e=1"),
        )
    ]


# --- What cannot be read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            "train.lr",
            "`train.lr` gives `train.lr` no value. Nothing was run.\nHint: `nbexp run -S train.lr=VALUE`.",
        ),
        ("+a", "`+a` gives `a` no value. Nothing was run.\nHint: `nbexp run -S +a=VALUE`."),
        (
            "b.c[0]=9",
            (
                "`b.c[0]=9` has brackets in its key. Nothing was run.\n"
                "Hint: an element of a list is named by a dot: `nbexp run -S b.c.0=9`."
            ),
        ),
        (
            "a=x=y",
            (
                "`a=x=y` cannot be read. Nothing was run.\n"
                "Hint: text with grammar in it stands in quotes: `nbexp run -S 'a=\"x=y\"'`."
            ),
        ),
        (
            "a=f(x",
            (
                "`a=f(x` cannot be read. Nothing was run.\n"
                "Hint: text with grammar in it stands in quotes: `nbexp run -S 'a=\"f(x\"'`."
            ),
        ),
        (
            "a='it''s'",
            (
                "`a='it''s'` cannot be read. Nothing was run.\n"
                "Hint: text with grammar in it stands in quotes: `nbexp run -S \"a='it\\'\\'s'\"`."
            ),
        ),
        (
            'a=f("x',
            (
                '`a=f("x` cannot be read. Nothing was run.\n'
                'Hint: text with grammar in it stands in quotes: `nbexp run -S \'a="f(\\"x"\'`.'
            ),
        ),
        (
            "=3",
            (
                "`=3` has no key before its `=`. Nothing was run.\n"
                "Hint: a key is names with dots between them: `nbexp run -S train.lr=0.1`."
            ),
        ),
        (
            "a=foo(1)",
            (
                "`a=foo(1)` cannot be read: Unknown function 'foo'. Nothing was run.\n"
                "Hint: there are choice, range, interval, sort, shuffle, tag, int, float, str and bool."
            ),
        ),
        (
            "a=interval(1,5)",
            (
                "`a=interval(1,5)` names an interval; a run takes one value of it. Nothing was run.\n"
                "Hint: `nbexp sweep --random 20 -S 'a=interval(1,5)'` draws some, "
                "`--optuna` looks for the best."
            ),
        ),
        (
            "a=glob(*)",
            (
                "`a=glob(*)` has a glob, which stands for the files of a configuration group. Nothing was run.\n"
                "Hint: name the values: `nbexp run -S a=x,y --queue`."
            ),
        ),
        (
            "a=range(1,2,0)",
            "`a=range(1,2,0)` has a step of 0. Nothing was run.\nHint: the third number of `range` is its step.",
        ),
        (
            "a=range(3,1)",
            "`a=range(3,1)` is an empty range. Nothing was run.\nHint: the stop of `range` is not part of it.",
        ),
        (
            "a=range(0,1,1e-9)",
            (
                "With `a=range(0,1,1e-9)` there are more than 100,000 points. Nothing was run.\n"
                "Hint: give fewer values, or a larger step."
            ),
        ),
        (
            "a..b=1",
            (
                "`a..b` in `a..b=1` is no key of a param. Nothing was run.\n"
                "Hint: a key is names with dots between them: `nbexp run -S train.lr=0.1`."
            ),
        ),
        (
            ":a=1",
            "`:a=1` has no file before its colon. Nothing was run.\nHint: `nbexp run -S a=VALUE` changes params.yaml.",
        ),
        (
            "~a=1,2",
            (
                "`~a=1,2` deletes one value, not a choice of them. Nothing was run.\n"
                "Hint: `nbexp run -S '~a'` deletes the param whatever it is."
            ),
        ),
    ],
)
def test_an_item_that_cannot_be_read_says_how_to_write_it(item: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse([item])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "item",
    ["", "=1", "a=(", "a=[1", "a={x}", "a=1,", "a=,", "a=choice()", 'a="', "a=a#b", "a=~b", "+~a=1", "a b:=1",
     "a=range(0,inf)", "a=range(nan,1)", "a=" + "9" * 5000, "a=" + "[" * 3000, "a:b:c=1"],
)  # fmt: skip
def test_any_other_nonsense_is_a_usage_error(item: str) -> None:
    with pytest.raises(UsageError):
        parse([item])


def test_a_grid_beyond_all_measure_is_refused_before_it_is_made() -> None:
    with pytest.raises(UsageError, match=r"more than 100,000 points"):
        parse([f"{name}=range(100)" for name in "abcdefgh"])


# --- The short way says what Hydra says -------------------------------------------------------------------------


def as_hydra(text: str) -> Any:
    return HYDRA.parse_override(f"key={text}").value()


NUMBERS = st.text("0123456789+-._eE", min_size=1, max_size=10)
WORDS = st.text("aeEfFilLnNrRsStTuU_01.-+/%*@?|$: \t", min_size=1, max_size=10)


@given(
    NUMBERS
    | WORDS
    | st.integers().map(str)
    | st.floats().map(repr)
    | st.sampled_from(
        [
            "TrUe",
            "NULL",
            "nAn",
            "-INF",
            "infinity",
            "1_000.5_0",
            "0_0",
            "1e1_0",
            "1_",
            "_1",
            "1e",
            "+-1",
        ]
    )
)
@settings(max_examples=250)
@example("a: b")
@example("1.e5")
@example("-.5e-1_0")
def test_a_plain_value_is_what_hydra_reads(text: str) -> None:
    if not re.fullmatch(overrides._WORDS, text):
        return
    assert exact(one(f"key={text}").value) == exact(as_hydra(text))


PLAIN = st.sampled_from(
    ["1", "0.1", "1e-4", "true", "NULL", "nan", "-inf", "a b", "x:y", "1_0", "_", "1.", "1:2", "@x"]
)


@given(
    st.lists(PLAIN | NUMBERS | WORDS, min_size=2, max_size=4),
    st.sampled_from([",", ", ", " ,", "\t,  "]),
)
@settings(max_examples=400)
@example(["1", "1.0", "1"], ",")
@example(["a", " b "], ",")
def test_a_list_of_plain_values_is_what_hydra_reads(parts: list[str], comma: str) -> None:
    text = comma.join(parts).strip(" \t")
    found = overrides._listed(text)
    if found is None:
        return
    sweep = as_hydra(text)
    assert isinstance(sweep, types.ChoiceSweep)
    assert exact(found) == exact(sweep.list)
    assert exact([value for (value,) in points(f"key={text}")]) == exact(sweep.list)


@pytest.mark.parametrize(
    "text",
    [
        "1,",
        ",1",
        "1,,2",
        "a,'b'",
        "a,[1]",
        "a,${b}",
        "f(1),2",
        "a,b=c",
        "a\\,b",
        '"a",b',
        "a,{b:1}",
    ],
)
def test_a_list_with_grammar_in_it_goes_the_long_way(text: str) -> None:
    assert overrides._listed(text) is None


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=10)
    | st.text("ab'\"\\,:=[]{}() \t\n$", max_size=8)
    | st.sampled_from(["1", "true", "null", "inf", "1e3", "it's", "\\", "\\'", "a\\'b\\", "${", "a b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]_[a-z]{0,3}", fullmatch=True), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(VALUES)
@settings(max_examples=100)
def test_what_is_spelled_is_read_as_the_same_value(value: Any) -> None:
    assert exact(one(f"key={spell(value)}").value) == exact(value)


@given(st.lists(VALUES, min_size=2, max_size=3))
def test_the_long_way_says_what_hydra_says(values: list[Any]) -> None:
    text = ",".join(map(spell, values))
    sweep = as_hydra(text)
    assert isinstance(sweep, types.ChoiceSweep)
    assert exact([value for (value,) in points(f"key={text}")]) == exact(values)


@given(st.text("ab1,.:=[]{}()'\"\\ $-+~", max_size=8))
def test_any_text_is_read_as_hydra_reads_it_or_refused(text: str) -> None:
    try:
        theirs: Any = as_hydra(text.strip(" \t"))
    except (HydraException, ValueError):
        theirs = UsageError
    if isinstance(theirs, types.Sweep):
        return
    try:
        ours: Any = one(f"key={text}").value
    except UsageError:
        ours = UsageError
    assert exact(ours) == exact(theirs)


def test_plain_values_load_no_parser() -> None:
    code = (
        "import sys; from nbexp import overrides; "
        "overrides.parse(['a.b=1', '+c=x y', '~d', 'f.json:e=1e-3', '++g=', 'h=/a/b:c', 'i=Zürich', 'j=1,2e-3, x y']); "
        "overrides.parse({'a': [1, 'x']}); "
        "print(sorted({'hydra', 'omegaconf', 'antlr4', 'yaml', 'decimal'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- Interpolation -----------------------------------------------------------------------------------------------


TREE = {"a": 1, "s": "base", "b": {"d": {"x": 1, "y": 2}}, "list": [1, 2], "kept": "${not.ours}"}


@pytest.mark.parametrize(
    ("items", "values"),
    [
        (["s=${a}"], [1]),
        (["s='${a}'"], [1]),
        (["s=x${a}y"], ["x1y"]),
        (["s=${b.d}"], [{"x": 1, "y": 2}]),
        (["b.d.x=${.y}"], [2]),
        (["a=[${s},2]"], [["base", 2]]),
        (["+new.key=${list}"], [[1, 2]]),
        (["+new={k:${s}}"], [{"k": "base"}]),
        (["b.d={x:${a}}"], [{"x": 1}]),
        (["s=${a}", "a=7"], [7, 7]),
        (["s=${b.d.y}", "q=1,2"], [2, 1]),
        (["a=5"], [5]),
    ],
)
def test_an_interpolation_takes_what_the_file_says_after_all_overrides(
    items: list[str], values: list[Any]
) -> None:
    found = resolve(parse(items)[0], {"params.yaml": TREE}.__getitem__)
    assert exact([override.value for override in found]) == exact(values)


def test_an_interpolation_is_of_its_own_file() -> None:
    trees = {"params.yaml": {"a": 1}, "p.json": {"a": 2, "b": 0}}
    found = resolve(parse(["p.json:b=${a}", "a=9"])[0], trees.__getitem__)
    assert [override.value for override in found] == [2, 9]


def test_only_a_file_with_something_to_resolve_is_read() -> None:
    def read(file: str) -> object:
        raise AssertionError(file)

    assert resolve(parse(["a=1", "b=x"])[0], read) == parse(["a=1", "b=x"])[0]


def test_a_package_of_a_group_is_no_key_of_a_params_file() -> None:
    with pytest.raises(UsageError) as caught:
        resolve(parse(["model@big=1"])[0], lambda _: TREE)
    assert str(caught.value) == (
        "`model@big` in `model@big=1` is no key of a param. Nothing was run.\n"
        "Hint: a key is names with dots between them: `nbexp run -S train.lr=0.1`."
    )


def test_an_interpolation_of_nothing_names_it() -> None:
    with pytest.raises(UsageError) as caught:
        resolve(parse(["s=${nope}"])[0], lambda _: TREE)
    assert str(caught.value) == (
        "`s=${nope}` cannot be resolved: there is no `nope` in params.yaml. Nothing was run.\n"
        "Hint: `${key}` stands for the value of another param of the same file."
    )
