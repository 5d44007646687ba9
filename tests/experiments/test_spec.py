from __future__ import annotations

from pathlib import Path

import pytest

from nbexp.errors import NotFound, UsageError
from nbexp.experiments import spec as specs
from nbexp.experiments.spec import Spec
from nbexp.overrides import parse

BASELINE = "5e" * 20


def spec(root: Path, *items: str, here: str = ".") -> Spec:
    return specs.make(root, BASELINE, {}, here=here, overrides=parse(items)[0])


def test_a_reference_to_another_param_is_written_as_its_value(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("base: 64  # width\ntrain: {hidden: 1, name: x}\n")
    asked = spec(tmp_path, "train.hidden=${base}", "train.name=net-${base}")
    assert asked.edits == {"params.yaml": b"base: 64  # width\ntrain: {hidden: 64, name: net-64}\n"}
    assert [one.value for one in asked.overrides] == [64, "net-64"]


def test_a_reference_sees_what_the_same_request_sets(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("base: 64\nhidden: 1\n")
    asked = spec(tmp_path, "hidden=${base}", "base=32")
    assert asked.edits == {"params.yaml": b"base: 32\nhidden: 32\n"}


def test_a_reference_is_looked_up_in_the_file_of_its_override(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.json").write_text('{"a": 1, "b": 2}')
    asked = spec(tmp_path, "more.json:a=${b}", here="sub")
    assert asked.edits == {"sub/more.json": b'{"a": 2, "b": 2}'}


def test_a_reference_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: 1\n")
    with pytest.raises(UsageError) as caught:
        spec(tmp_path, "a=${nope}")
    assert str(caught.value) == (
        "`a=${nope}` cannot be resolved: there is no `nope` in params.yaml. Nothing was run.\n"
        "Hint: `${key}` stands for the value of another param of the same file."
    )


@pytest.mark.parametrize("item", ["other.yaml:a=1", "other.yaml:a=${b}"])
def test_a_params_file_that_is_not_there_is_named(tmp_path: Path, item: str) -> None:
    with pytest.raises(NotFound) as caught:
        spec(tmp_path, item)
    assert str(caught.value) == (
        "There is no params file other.yaml. Nothing was run.\n"
        "Hint: a value of another file is set as `nbexp run -S other.json:key=value`."
    )
