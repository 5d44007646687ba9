from __future__ import annotations

import io
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from nbexp.errors import ProjectFileError
from nbexp.formats import dvc_lock
from nbexp.formats.dvc_lock import LockedPath, LockedStage, LockFile, parse

PREP = LockedStage(
    "python src/prep.py",
    (
        LockedPath("data", "1a9776c634d466e89588efc62db0c9ac.dir", 5, 2),
        LockedPath("src/prep.py", "151f51a437329ceea28cada53eb540a8", 163),
    ),
    {"params.yaml": {"prep": {"n": 2}}},
    (LockedPath("prep", "cfb1650052df897902935323baa8f739.dir", 2, 2),),
)
PREP_LOCK = b"""\
schema: '2.0'
stages:
  prep:
    cmd: python src/prep.py
    deps:
    - path: data
      hash: md5
      md5: 1a9776c634d466e89588efc62db0c9ac.dir
      size: 5
      nfiles: 2
    - path: src/prep.py
      hash: md5
      md5: 151f51a437329ceea28cada53eb540a8
      size: 163
    params:
      params.yaml:
        prep:
          n: 2
    outs:
    - path: prep
      hash: md5
      md5: cfb1650052df897902935323baa8f739.dir
      size: 2
      nfiles: 2
"""


def ruamel(tree: object) -> bytes:
    """What DVC's way of writing YAML gives."""
    yaml = YAML()
    yaml.default_flow_style = False
    stream = io.BytesIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def as_dvc_does(data: bytes, name: str, stage: LockedStage) -> bytes:
    """The file after DVC's steps to put an entry in."""
    tree = YAML().load(data) if data else None
    tree = tree or {"schema": "2.0"}
    tree["stages"] = tree.get("stages", {})
    tree["stages"].update({name: stage.entry()})
    return ruamel(tree)


# --- Entries --------------------------------------------------------------------------------------


def test_a_lock_is_read_and_written_as_it_was():
    lock = parse(PREP_LOCK, "dvc.lock")
    assert lock.stages == {"prep": PREP}
    assert lock.dump() == PREP_LOCK
    assert LockFile({}).with_stage("prep", PREP).dump() == PREP_LOCK


def test_an_entry_stands_alone_in_the_run_cache():
    data = dvc_lock.dump_entry(PREP)
    assert data.startswith(b"cmd: python src/prep.py\ndeps:\n- path: data\n  hash: md5\n")
    assert dvc_lock.parse_entry(data) == PREP
    assert dvc_lock.parse_entry(PREP.entry()) == PREP


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"deps: []", b"cmd: 1", b"\xff"])
def test_a_damaged_entry_is_none(data):
    assert dvc_lock.parse_entry(data) is None


def test_empty_sections_are_left_out_and_flags_written_only_when_set():
    stage = LockedStage(
        ("a", "b"), (), {}, (LockedPath("x", "0cc175b9c0f1b6a831c399e269772661", 1, isexec=True),)
    )
    assert LockFile({}).with_stage("s", stage).dump() == (
        b"schema: '2.0'\nstages:\n  s:\n    cmd:\n    - a\n    - b\n    outs:\n    - path: x\n"
        b"      hash: md5\n      md5: 0cc175b9c0f1b6a831c399e269772661\n      size: 1\n      isexec: true\n"
    )


def test_an_entry_of_dvc_2_stays_one():
    data = PREP_LOCK.replace(b"      hash: md5\n", b"")
    lock = parse(data, "dvc.lock")
    stage = lock.stages["prep"]
    assert isinstance(stage, LockedStage)
    assert [dep.legacy for dep in stage.deps] == [True, True]
    assert lock.dump() == data
    assert "hash" not in stage.entry()["deps"][0]


def test_deps_that_are_no_files_are_kept_as_they_are():
    deps = [
        {"path": "a.txt", "hash": "md5", "md5": "a" * 32, "size": 1},
        {"path": "ds://pets", "dataset": {"name": "pets", "type": "dvc", "rev_lock": "b" * 40}},
        {"path": "http://host/x.csv", "hash": "md5", "checksum": '"1"', "size": 4},
        {"path": "z.txt", "hash": "md5", "md5": "c" * 32, "size": 1},
    ]
    stage = LockedStage.from_entry({"cmd": "x", "deps": deps})
    assert stage is not None
    assert [dep.path for dep in stage.deps] == ["a.txt", "z.txt"]
    assert [source.path for source in stage.sources] == ["ds://pets", "http://host/x.csv"]
    assert stage.entry() == {"cmd": "x", "deps": deps}
    # Two stages that read one dataset have no alias between them, as DVC writes it.
    lock = dvc_lock.LockFile({}).with_stages({"a": stage, "b": stage})
    assert b"&" not in lock.dump()
    assert dvc_lock.parse(lock.dump(), "dvc.lock").stages["b"] == stage


def test_a_path_whose_content_is_not_known_has_no_md5():
    assert LockedPath("x", "").entry() == {"path": "x", "hash": "md5"}
    assert LockedStage.from_entry(
        {"cmd": "x", "outs": [{"path": "x", "hash": "md5"}]}
    ) == LockedStage("x", outs=(LockedPath("x", ""),))


@pytest.mark.parametrize(
    "entry",
    [
        {"cmd": "x", "outs": [{"path": "s3://b", "etag": "1"}]},
        {"cmd": "x", "outs": [{"path": "a", "files": []}]},
        {"cmd": "x", "outs": [{"path": "a", "hash": "sha1"}]},
        {"cmd": "x", "outs": [{"path": "a", "size": "big"}]},
        {"cmd": "x", "outs": [{"path": "a", "isexec": 1}]},
        {"cmd": "x", "wdir": "."},
        {"cmd": 1},
        {"cmd": ["a", 1]},
        {"deps": []},
        {"cmd": "x", "deps": {}},
        {"cmd": "x", "deps": ["a"]},
        {"cmd": "x", "params": []},
        {"cmd": "x", "params": {"params.yaml": 1}},
        {"cmd": "x", "params": {"params.yaml": {1: 2}}},
        "x",
        None,
    ],
)
def test_an_entry_that_is_dvcs_alone_is_no_locked_stage(entry):
    assert LockedStage.from_entry(entry) is None


# --- Files ------------------------------------------------------------------------------------------


def test_a_new_entry_takes_its_old_place_or_the_last():
    lock = parse(PREP_LOCK, "dvc.lock").with_stage("a", LockedStage("make"))
    assert list(lock.stages) == ["prep", "a"]
    assert lock.dump() == PREP_LOCK + b"  a:\n    cmd: make\n"
    assert list(lock.with_stage("prep", LockedStage("x")).stages) == ["prep", "a"]


def test_the_first_lock_file_is_not_changed_by_a_new_entry():
    lock = parse(PREP_LOCK, "dvc.lock")
    lock.with_stage("a", LockedStage("make")).dump()
    assert lock.dump() == PREP_LOCK


def test_entries_of_others_survive():
    data = (
        b"schema: '2.0'\ndatasets:\n- name: d\n  url: s3://x\nstages:\n  theirs:\n    cmd: x\n"
        b"    outs:\n    - path: s3://bucket/x\n      etag: '17'\n"
    )
    lock = parse(data, "dvc.lock").with_stage("prep", PREP)
    assert lock.dump() == data + PREP_LOCK.partition(b"stages:\n")[2]
    assert lock.others == {"datasets": [{"name": "d", "url": "s3://x"}]}
    assert lock.stages["theirs"] == {
        "cmd": "x",
        "outs": [{"path": "s3://bucket/x", "etag": "17"}],
    }


@pytest.mark.parametrize(
    "data",
    [
        PREP_LOCK.replace(b"stages:\n", b"# by hand\nstages:\n"),
        PREP_LOCK.replace(b"'2.0'", b'"2.0"'),
        PREP_LOCK.replace(b"params.yaml:", b"params.yaml:    # why"),
        PREP_LOCK.replace(b"          n: 2\n", b"          n: 1_000\n          big: [1, 2]\n          x: &a {q: 1}\n          y: *a\n"),
        PREP_LOCK.replace(b"    - path: data\n      hash: md5\n", b"    - hash: md5\n      path: data\n"),
        PREP_LOCK.replace(b"cmd: python src/prep.py", b"cmd: |\n      one\n      two"),
        PREP_LOCK.rstrip(b"\n"),
        b"---\n" + PREP_LOCK,
        PREP_LOCK.replace(b"\n", b"\r\n"),
    ],
)  # fmt: skip
def test_a_file_that_somebody_edited_is_written_as_dvc_would(data):
    lock = parse(data, "dvc.lock")
    assert lock.with_stage("a", PREP).dump() == as_dvc_does(data, "a", PREP)
    new = LockedStage("make", PREP.deps)
    assert lock.with_stage("prep", new).dump() == as_dvc_does(data, "prep", new)
    assert lock.dump() == ruamel(YAML().load(data))


def test_a_float_keeps_its_last_digit_which_dvc_loses():
    data = PREP_LOCK.replace(b"n: 2", b"n: 4.554356008821014e-21  # odd")
    lock = parse(data, "dvc.lock").with_stage("a", PREP)
    assert b"n: 4.554356008821013e-21  # odd" in as_dvc_does(data, "a", PREP)
    assert b"n: 4.554356008821014e-21  # odd" in lock.dump()


def test_an_entry_that_is_gone_is_not_written_again():
    for extra in (b"", b"# mine\n"):
        data = (extra + PREP_LOCK) + b"  a:\n    cmd: make\n"
        lock = parse(data, "dvc.lock")
        left = LockFile({"a": lock.stages["a"]}, lock.others, lock._origin)
        assert left.dump() == extra + b"schema: '2.0'\nstages:\n  a:\n    cmd: make\n"


def test_what_two_stages_share_is_written_twice_and_what_two_keys_share_is_an_alias():
    layers = [64, 32]
    one = LockedStage("a", params={"params.yaml": {"layers": layers}})
    two = LockedStage(
        "b", params={"params.yaml": {"net": {"layers": layers}, "net.layers": layers}}
    )
    lock = LockFile({}).with_stage("one", one).with_stage("two", two)
    assert lock.dump() == (
        b"schema: '2.0'\nstages:\n  one:\n    cmd: a\n    params:\n      params.yaml:\n        layers:\n"
        b"        - 64\n        - 32\n  two:\n    cmd: b\n    params:\n      params.yaml:\n        net:\n"
        b"          layers: &id001\n          - 64\n          - 32\n        net.layers: *id001\n"
    )
    assert dvc_lock.dump_entry(two) == (
        b"cmd: b\nparams:\n  params.yaml:\n    net:\n      layers: &id001\n      - 64\n      - 32\n"
        b"    net.layers: *id001\n"
    )
    again = parse(lock.dump(), "dvc.lock")
    assert again.with_stage("one", one).dump() == lock.dump()


def test_an_empty_file_has_no_stages():
    for data in (b"", b"\n", b"{}\n"):
        assert parse(data, "dvc.lock").stages == {}
        assert parse(data, "dvc.lock").with_stage("prep", PREP).dump() == PREP_LOCK
    assert LockFile({}).dump() == b"schema: '2.0'\nstages: {}\n"
    assert parse(LockFile({}).dump(), "dvc.lock").stages == {}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[]", "dvc.lock: this is no dvc.lock."),
        (b"a: {}", "dvc.lock: its schema is `missing`; only 2.0 is known."),
        (b"schema: '1.0'", "dvc.lock: its schema is `1.0`; only 2.0 is known."),
        (b"schema: '2.0'\nstages: [1]", "dvc.lock: `stages` is no mapping of names to entries."),
        (b"schema: '2.0'\nstages: {a: 1}", "dvc.lock: the entry of stage `a` is no mapping."),
        (
            PREP_LOCK.replace(b"    cmd:", b"<<<<<<< HEAD\n    cmd:"),
            "dvc.lock, line 4: this file has the conflict marks of a Git merge.",
        ),
    ],
)
def test_a_file_that_is_none_is_told_with_a_way_out(data, said):
    with pytest.raises(ProjectFileError) as caught:
        parse(data, "dvc.lock")
    assert caught.value.message == said
    assert "git checkout" in (caught.value.hint or "")


# --- The same bytes as ruamel.yaml, on generated values -----------------------------------------------

PIECES = st.sampled_from(
    ["a", "lr", "x y", ".", "/", "-", "--", "_", ":", ": ", "#", " #", "?", "'", '"', "\\", "%", "@", "`", "=",
     "~", "<<", "!", "&", "*", "|", ">", "{", "}", "[", "]", ",", " ", "  ", "0", "1", "9", "e", "E", "+", "0x",
     "0o", "0b", "1e5", ".5", "2020-01-01", "T", "12:00:00", "true", "null", "yes", "---", "...", "\n", "\t",
     "é", "\xa0", "\x85", "\u2028", "\ufeff", "\ud7ff", "\U0001f600", "\x07", "\x7f"]
)  # fmt: skip
ODD = st.lists(PIECES, max_size=8).map("".join)
WORDS = st.sampled_from(
    ["python", "train.py", "--lr", "0.1", "a", "src/nbexp/formats/dvc_lock.py", "x=1", "a:b", "é", "'q'", "a: b",
     "#", "-y", "{lr: 1}", "x" * 30, "x" * 79, "x" * 90]
)  # fmt: skip
COMMANDS = st.lists(WORDS, min_size=1, max_size=25).map(" ".join)
NUMBERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**60, max_value=10**90),
    st.floats(),
    st.sampled_from([1e-5, 1e5, 1e16, 1e20, 0.1, -0.0, 5e-324, 1.7976931348623157e308]),
)
KEYS = st.one_of(st.sampled_from(["a", "train", "train.lr", "1", "true", "x y"]), ODD, COMMANDS)
VALUES = st.recursive(
    st.one_of(ODD, COMMANDS, NUMBERS, st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
TREES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=3)


@settings(max_examples=150)
@given(TREES)
def test_any_values_are_written_as_ruamel_writes_them(tree):
    assert dvc_lock.dump_tree(tree) == ruamel(tree)


@settings(max_examples=60)
@given(st.lists(st.tuples(KEYS, COMMANDS), min_size=1, max_size=6), st.integers(0, 60))
def test_lines_are_folded_at_every_depth_as_ruamel_folds_them(pairs, depth):
    tree: object = dict(pairs)
    for level in range(depth):
        tree = {"k": tree} if level % 3 else [tree]
    tree = {"top": tree}
    assert dvc_lock.dump_tree(tree) == ruamel(tree)


# What ruamel.yaml itself reads again as it wrote it: DVC reads the file before it adds to it.
TAME = ODD.filter(lambda text: not set(text) & set("\x85\u2028\ufeff\x07\x7f\xa0\t\n"))
TAME_KEYS = st.one_of(st.sampled_from(["a", "train", "train.lr", "1", "true", "x y"]), TAME).filter(
    lambda key: 0 < len(key) < 40 and key != "<<"
)
TAME_NUMBERS = NUMBERS.filter(lambda number: number is None or "e" not in repr(number))
TAME_VALUES = st.recursive(
    st.one_of(TAME, COMMANDS, TAME_NUMBERS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(TAME_KEYS, inner, max_size=3)
    ),
    max_leaves=6,
)
LOCKED = st.builds(
    LockedPath,
    path=st.one_of(COMMANDS, TAME),
    md5=st.from_regex(r"[0-9a-f]{32}(\.dir)?", fullmatch=True),
    size=st.one_of(st.none(), st.integers(0, 10**12)),
    nfiles=st.one_of(st.none(), st.integers(0, 10**6)),
    isexec=st.booleans(),
    legacy=st.booleans(),
)
STAGES = st.builds(
    LockedStage,
    cmd=st.one_of(COMMANDS, TAME, st.lists(COMMANDS, min_size=1, max_size=3).map(tuple)),
    deps=st.lists(LOCKED, max_size=2).map(tuple),
    params=st.dictionaries(
        st.sampled_from(["params.yaml", "other.json", "a b.toml"]),
        st.dictionaries(TAME_KEYS, TAME_VALUES, min_size=1, max_size=3),
        max_size=2,
    ),
    outs=st.lists(LOCKED, max_size=2).map(tuple),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.dictionaries(TAME_KEYS, STAGES, min_size=1, max_size=3), STAGES)
def test_a_whole_file_is_what_dvc_writes_step_by_step(stages, last):
    lock, again, data = LockFile({}), LockFile({}), b""
    for name, stage in [*stages.items(), ("last", last)]:
        data = as_dvc_does(data, name, stage)
        lock = lock.with_stage(name, stage)
        again = parse(again.with_stage(name, stage).dump(), "dvc.lock")
        assert lock.dump() == data
        assert again.dump() == data
        # `repr`, because a NaN does not equal itself.
        assert repr(again.stages[name]) == repr(stage)


# --- Cost ---------------------------------------------------------------------------------------------


def five_stages() -> bytes:
    lock = LockFile({})
    for number in range(5):
        md5 = f"{number + 2**124:032x}"
        lock = lock.with_stage(
            f"stage-{number}",
            LockedStage(
                f"papermill stage{number}.ipynb runs/stage{number}.ipynb -p lr 0.1 -p epochs 3 --no-progress-bar",
                (
                    LockedPath(f"src/{number}.py", md5, 100),
                    LockedPath("data", f"{md5}.dir", 100, 3),
                ),
                {"params.yaml": {"train.lr": 0.1, "train.epochs": 3, "seed": None}},
                (
                    LockedPath(f"out/{number}", f"{md5}.dir", 9, 2),
                    LockedPath("metrics.json", md5, 30),
                ),
            ),
        )
    return lock.dump()


def test_a_lock_of_five_stages_is_read_changed_and_written_in_two_milliseconds():
    data = five_stages()
    times = []
    for _ in range(30):
        started = time.perf_counter()
        lock = parse(data, "dvc.lock")
        stage = lock.stages["stage-2"]
        assert isinstance(stage, LockedStage)
        written = lock.with_stage("stage-2", stage).dump()
        times.append(time.perf_counter() - started)
        assert written == data
    assert min(times) < 0.002


def test_an_ordinary_lock_does_not_load_ruamel_yaml(tmp_path):
    (tmp_path / "dvc.lock").write_bytes(five_stages())
    code = (
        "import sys; from nbexp.formats import dvc_lock; data = open('dvc.lock', 'rb').read();"
        "lock = dvc_lock.parse(data, 'dvc.lock');"
        "stage = lock.stages['stage-1'];"
        "assert lock.with_stage('new', stage).dump().startswith(data);"
        "assert dvc_lock.dump_entry(stage);"
        "sys.exit('ruamel' in str(sorted(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
