"""What was asked for, frozen: checked before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbexp import overrides
from nbexp.errors import NameTaken, NotFound, UsageError
from nbexp.experiments import spec as specs
from nbexp.experiments.spec import Spec, Which
from nbexp.frozen import replace
from nbexp.overrides import Override
from nbexp.pipeline.context import How

HEAD = "5e" + "f" * 38
OTHER = "11" + "a" * 38
PARAMS = "train:\n  lr: 0.1  # by hand\n  epochs: 3\nseed: 0\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "conf.json").write_text('{"depth": 2}\n')
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "params.yaml").write_text("lr: 1\n")
    return tmp_path


def ref(name: str, baseline: str = HEAD) -> str:
    return f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}"


def make(root: Path, *texts: str, taken: dict[str, str] | None = None, **options: object) -> Spec:
    parsed = specs.one_point(overrides.parse(texts))
    return specs.make(root, HEAD, taken or {}, overrides=parsed, **options)  # type: ignore[arg-type]


# --- Names --------------------------------------------------------------------------------------


def test_without_a_name_one_is_drawn_that_nobody_has(root: Path) -> None:
    taken: dict[str, str] = {}
    for _ in range(300):
        spec = make(root, taken=taken)
        assert spec.ref not in taken
        assert not spec.named
        taken[spec.ref] = OTHER
    names = [name.rpartition("/")[2] for name in taken]
    assert len({name.lower() for name in names}) == 300


def test_a_drawn_name_is_unique_over_all_baselines(root: Path) -> None:
    taken: dict[str, str] = {}
    for number in range(50):
        spec = make(root, taken=taken)
        taken[ref(spec.name, f"{number:02x}" + "b" * 38)] = OTHER
    assert len({name.rpartition("/")[2] for name in taken}) == 50


def test_a_name_of_ones_own_is_the_refs(root: Path) -> None:
    spec = make(root, name="low-lr")
    assert spec.ref == ref("low-lr")
    assert spec.named
    assert spec.replaces is None


@pytest.mark.parametrize("asked", ["one", "ONE"])
def test_a_taken_name_is_refused_in_any_letters(asked: str, root: Path) -> None:
    with pytest.raises(NameTaken) as caught:
        make(root, name=asked, taken={ref("one"): OTHER})
    assert str(caught.value) == (
        "Experiment `one` already exists on baseline 5efffff. Nothing was run.\n"
        "Hint: `nbexp run -n one --force` replaces it; without `-n` a fresh name is drawn."
    )


def test_another_baseline_does_not_take_a_name(root: Path) -> None:
    assert make(root, name="one", taken={ref("one", OTHER): OTHER}).name == "one"


def test_force_replaces_the_experiment_of_that_name(root: Path) -> None:
    spec = make(root, name="one", force=True, taken={ref("one"): OTHER})
    assert spec.replaces == OTHER


def test_a_name_that_git_cannot_hold_is_refused(root: Path) -> None:
    with pytest.raises(UsageError):
        make(root, name="a..b")


# --- Params files -------------------------------------------------------------------------------


def test_overrides_are_written_into_the_files_they_name(root: Path) -> None:
    spec = make(root, "train.lr=0.01", "seed=7", "conf.json:depth=3")
    assert spec.edits == {
        "params.yaml": b"train:\n  lr: 0.01  # by hand\n  epochs: 3\nseed: 7\n",
        "conf.json": b'{"depth": 3}\n',
    }
    assert (root / "params.yaml").read_text() == PARAMS


def test_a_value_that_stays_changes_no_file(root: Path) -> None:
    assert make(root, "train.lr=0.1").edits == {}


def test_files_are_named_from_the_users_directory(root: Path) -> None:
    assert make(root, "lr=2", here="sub").edits == {"sub/params.yaml": b"lr: 2\n"}
    assert (
        make(root, "../params.yaml:seed=2", here="sub").edits["params.yaml"].endswith(b"seed: 2\n")
    )


def test_an_unknown_key_and_an_unknown_file_are_told(root: Path) -> None:
    with pytest.raises(NotFound) as caught:
        make(root, "train.lrr=0.03")
    assert str(caught.value) == (
        "No param `train.lrr` in params.yaml. Nothing was run.\n"
        "Hint: did you mean `train.lr`? A new param is added with a plus: "
        "`nbexp run -S +train.lrr=0.03`."
    )
    with pytest.raises(NotFound) as caught:
        make(root, "deep/er.json:lr=1", here="sub")
    assert caught.value.message == "There is no params file deep/er.json. Nothing was run."


def test_params_are_added_and_taken_out(root: Path) -> None:
    edits = make(root, "+train.momentum=0.9", "~seed").edits
    assert edits["params.yaml"] == (b"train:\n  lr: 0.1  # by hand\n  epochs: 3\n  momentum: 0.9\n")


# --- What is more than one experiment ------------------------------------------------------------


def test_a_sweep_is_explained(root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        make(root, "seed=3", "train.lr=0.1,0.2")
    assert str(caught.value) == (
        "`-S train.lr=…` gives several values, which make 2 experiments; `run` makes one. Nothing was "
        "run.\n"
        "Hint: `nbexp run -S train.lr=0.1`, then the next; text that holds a comma is quoted: "
        "`-S \"train.lr='a,b'\"`."
    )


def test_no_overrides_are_one_point() -> None:
    assert specs.one_point(overrides.parse([])) == ()


@pytest.mark.parametrize(
    "options",
    [
        {"force": True},
        {"new": True},
        {"which": Which(single=True)},
        {"which": Which(downstream=True)},
        {"how": How(force_downstream=True)},
    ],
)
def test_who_asks_to_execute_gets_no_recorded_experiment(
    options: dict[str, object], root: Path
) -> None:
    assert not make(root).asks_to_execute
    assert make(root, **options).asks_to_execute


# --- As JSON ------------------------------------------------------------------------------------


def test_a_stored_spec_is_the_same_spec(root: Path) -> None:
    spec = make(
        root,
        "train.lr=0.01",
        "++seed='1'",
        "~train.epochs",
        "conf.json:depth=null",
        here="sub/..",
        targets=["train", "sub/dvc.yaml:x"],
        name="low-lr",
        message="why\nnot",
        force=True,
        new=True,
        how=How(True, True, True, on_failure="ignore", jobs=3, totals={"gpu": 1}),
        which=Which(pipeline=True, recursive=True, glob=True),
        pull=True,
        run_cache=False,
        copies=["secret.txt", "data dir"],
    )
    spec = replace(spec, carries=("a/b",), how=replace(spec.how, force=False))
    stored = json.loads(json.dumps(spec.to_json(), allow_nan=False))
    assert Spec.from_json(stored) == replace(spec, edits={})
    assert [one.value for one in Spec.from_json(stored).overrides] == [0.01, "1", None, None]
    assert [one.has_value for one in Spec.from_json(stored).overrides] == [True, True, False, True]


@pytest.mark.parametrize(
    "value",
    [
        1,
        1.0,
        -0.0,
        True,
        None,
        "1",
        "float",
        float("inf"),
        [1, [2.5, "x", None]],
        {"map": [1], "float": "nan"},
        {1: "a", None: 2, False: {"b": {}}},
        10**40,
    ],
)
def test_a_stored_value_keeps_its_type(value: object) -> None:
    override = Override("params.yaml", "x", value, "force")
    spec = Spec(HEAD, "low-lr", overrides=(override,))
    stored = json.loads(json.dumps(spec.to_json(), allow_nan=False))
    found = Spec.from_json(stored).overrides[0].value
    assert repr(found) == repr(value)


def test_a_number_that_is_none_is_stored_too() -> None:
    spec = Spec(HEAD, "low-lr", overrides=(Override("params.yaml", "x", [float("nan")]),))
    stored = json.loads(json.dumps(spec.to_json(), allow_nan=False))
    assert repr(Spec.from_json(stored).overrides[0].value) == "[nan]"


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 0},
        {"name": ...},
        {"how": {"jobs": 1, "unknown": 2}},
        {"overrides": [{"file": "a", "key": "b", "op": "raise", "text": ""}]},
        {"which": None},
    ],
)
def test_a_spec_of_another_form_is_refused_in_one_sentence(damage: dict[str, object]) -> None:
    stored = Spec(HEAD, "low-lr").to_json() | damage
    stored = {key: value for key, value in stored.items() if value is not ...}
    with pytest.raises(UsageError, match="stored in a form that this version does not read"):
        Spec.from_json(stored)
