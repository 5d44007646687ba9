from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import pytest

from nbexp.frozen import field, frozen, replace


@frozen
class Point:
    """A place."""

    x: int
    y: int = 0
    tags: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    count: ClassVar[int] = 3

    @cached_property
    def sum(self) -> int:
        return self.x + self.y


@frozen
class Point3(Point):
    z: int = 5


@dataclasses.dataclass(frozen=True)
class Twin:
    """A place."""

    x: int
    y: int = 0
    tags: Mapping[str, int] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    count: ClassVar[int] = 3


def test_values_are_given_by_place_or_by_name() -> None:
    assert (Point(1).x, Point(1).y, Point(1).tags) == (1, 0, {})
    assert Point(1, y=2) == Point(x=1, y=2) == Point(1, 2, {"a": 1})
    assert Point(1).tags is not Point(1).tags


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (Point, "Point needs a value for `x`"),
        (lambda: Point(1, 2, {}, 4), "Point has 3 fields, not 4"),  # type: ignore[call-arg]
        (lambda: Point(1, q=2), "Point has no `q`"),  # type: ignore[call-arg]
        (lambda: Point(1, x=2), "Point gets two values for `x`"),  # type: ignore[misc]
    ],
)
def test_a_wrong_call_is_refused(given: object, problem: str) -> None:
    assert callable(given)
    with pytest.raises(TypeError) as caught:
        given()
    assert str(caught.value) == problem


def test_nothing_can_be_changed() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    assert point.x == 1


def test_equality_hash_and_text_are_those_of_a_dataclass() -> None:
    ours, theirs = Point(1, 2, {"a": 1}), Twin(1, 2, {"a": 1})
    assert hash(ours) == hash(theirs)
    assert repr(ours) == repr(theirs).replace("Twin", "Point")
    assert ours != theirs
    assert ours != Point(1, 3)
    assert ours == Point(1, 2)
    assert ours != Point3(1, 2)
    assert {ours: 1}[Point(1, 2)] == 1


def test_without_eq_it_is_equal_to_itself_alone() -> None:
    @frozen(eq=False)
    class Stage:
        name: str

    one = Stage("a")
    assert one == one
    assert one != Stage("a")
    assert len({one, Stage("a")}) == 2


def test_a_class_keeps_the_methods_it_has() -> None:
    @frozen
    class Odd:
        name: str

        def __repr__(self) -> str:
            return f"<{self.name}>"

        def __hash__(self) -> int:
            return 3

    assert repr(Odd("a")) == "<a>"
    assert hash(Odd("a")) == 3
    assert Odd("a") == Odd("a")


def test_fields_are_inherited() -> None:
    assert repr(Point3(1, 2, z=7)) == "Point3(x=1, y=2, z=7)"
    assert Point3(1).z == 5
    assert isinstance(Point3(1), Point)


def test_a_copy_may_differ() -> None:
    assert replace(Point(1, 2), y=5) == Point(1, 5)
    assert dataclasses.replace(Point(1, 2), y=5) == Point(1, 5)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="Point has no `q`"):
        replace(Point(1), q=3)


def test_values_are_matched_by_place_and_by_name() -> None:
    match Point(1, 2):
        case Point(x, y=2):
            assert x == 1
        case _:
            raise AssertionError


def test_a_cached_property_works() -> None:
    point = Point(1, 2)
    assert (point.sum, point.sum) == (3, 3)
    assert point == Point(1, 2)


def test_it_can_be_copied_and_pickled() -> None:
    point = Point(1, 2, {"a": 1})
    for twin in (copy.copy(point), copy.deepcopy(point), pickle.loads(pickle.dumps(point))):
        assert (twin, twin.tags) == (point, {"a": 1})


def test_others_see_a_dataclass() -> None:
    assert dataclasses.is_dataclass(Point)
    ours, theirs = dataclasses.fields(Point), dataclasses.fields(Twin)
    for name in ("name", "default", "default_factory", "repr", "compare", "hash"):
        assert [getattr(one, name) for one in ours] == [getattr(one, name) for one in theirs]
    assert dataclasses.asdict(Point(1, 2, {"a": 1})) == {"x": 1, "y": 2, "tags": {"a": 1}}
    assert dataclasses.asdict(Point3(1)) == {"x": 1, "y": 0, "tags": {}, "z": 5}
    assert list(inspect.signature(Point).parameters) == ["x", "y", "tags"]
    assert inspect.signature(Point).parameters["y"].default == 0
    assert inspect.getdoc(Point) == "A place."


def test_defining_a_class_loads_neither_dataclasses_nor_inspect() -> None:
    code = (
        "import sys\n"
        "from nbexp.frozen import frozen, replace\n"
        "@frozen\n"
        "class A:\n"
        "    x: 'int' = 1\n"
        "assert replace(A(), x=2) == A(2) and repr(A()) == 'A(x=1)'\n"
        "print(sorted({'dataclasses', 'inspect'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
