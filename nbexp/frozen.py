"""Frozen dataclasses that cost next to nothing to define.

`dataclasses.dataclass` writes and compiles the methods of every class while its module is imported: 0.3 ms
for each of a hundred classes, and 9 ms for what it imports itself, which was half the time of `nbexp
status`. Here all classes share their methods, which look the fields up, and defining one takes a fortieth.
Type checkers see a frozen dataclass; so do `dataclasses.fields`, `asdict` and `replace`, `inspect` and
Sphinx, which are given what they ask for when they ask for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    import dataclasses
    import inspect

__all__ = ["brief", "field", "frozen", "replace"]

T = TypeVar("T")

_NONE: Any = object()
_MAX_REPR = 90


class _Field:
    """What a field has beyond its name and type."""

    __slots__ = ("compare", "default", "default_factory", "hash", "repr")

    def __init__(
        self,
        default: object,
        default_factory: Callable[[], object] | None,
        *,
        repr: bool,
        compare: bool,
        hash: bool | None,
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.repr = repr
        self.compare = compare
        self.hash = hash

    @property
    def is_hashed(self) -> bool:
        return self.compare if self.hash is None else self.hash


def field(
    *,
    default: Any = _NONE,
    default_factory: Callable[[], Any] | None = None,
    repr: bool = True,
    compare: bool = True,
    hash: bool | None = None,
) -> Any:
    """A field of which there is more to say than its default; the words are those of `dataclasses.field`."""
    return _Field(default, default_factory, repr=repr, compare=compare, hash=hash)


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(*, eq: bool) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Any] | None = None, /, *, eq: bool = True) -> Any:
    """The class as a frozen dataclass of its annotated names; with `eq` off, equal only to itself.

    Examples
    --------
    >>> @frozen
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(1), Point(1) == Point(x=1, y=0)
    (Point(x=1, y=0), True)
    """
    if cls is None:
        return lambda cls: _made(cls, eq=eq)
    return _made(cls, eq=eq)


def replace(one: T, /, **changes: Any) -> T:
    """A copy of a frozen object with some of its fields changed.

    Examples
    --------
    >>> @frozen
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> replace(Point(1, 2), y=3)
    Point(x=1, y=3)
    """
    shape: _Shape = type(one).__shape__  # type: ignore[attr-defined]  # `T` is any frozen class
    return type(one)(**{name: getattr(one, name) for name in shape.names} | changes)


def brief(self: Any) -> str:
    """A `__repr__` for what people meet: one short line, however much the object holds.

    Examples
    --------
    >>> @frozen
    ... class Run:
    ...     name: str
    ...     stages: tuple[str, ...] = ()
    ...     error: str | None = None
    ...     __repr__ = brief
    >>> Run("low-lr", ("prepare", "train"))
    <Run: name='low-lr', 2 stages>
    """
    shape: _Shape | None = getattr(type(self), "__shape__", None)
    said = (_said(name, getattr(self, name)) for name in (shape.shown if shape else ()))
    text = ", ".join(filter(None, said))
    return f"<{type(self).__name__}{f': {_cut(text, _MAX_REPR)}' if text else ''}>"


def _said(name: str, value: object) -> str:
    """A field in a few words; nothing of one that holds nothing."""
    if value is None or value is False or value in ("", (), {}):
        return ""
    if isinstance(value, str):
        return f"{name}={_cut(value, 30)!r}"
    if isinstance(value, float):
        return f"{name}={value:.4g}"
    if isinstance(value, int):
        return f"{name}={value!r}"
    if isinstance(value, (tuple, list, dict)):
        return f"{len(value)} {name}"
    return f"{name}={_cut(repr(value), 30)}"


def _cut(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


class _Shape:
    """The fields of a class, in order; `special` has those that were made by `field`."""

    __slots__ = ("compared", "defaults", "hashed", "names", "shown", "special", "types")

    def __init__(
        self, types: dict[str, str], defaults: dict[str, object], special: dict[str, _Field]
    ) -> None:
        self.types = types
        self.defaults = defaults
        self.special = special
        self.names = self.compared = self.hashed = self.shown = tuple(types)
        if special:
            self.compared = tuple(n for n in types if n not in special or special[n].compare)
            self.hashed = tuple(n for n in types if n not in special or special[n].is_hashed)
            self.shown = tuple(n for n in types if n not in special or special[n].repr)


def _made(cls: Any, *, eq: bool) -> Any:
    body = cls.__dict__
    own: dict[str, str] = body.get("__annotations__", {})
    above: _Shape | None = getattr(cls, "__shape__", None)
    types = {**above.types, **own} if above else dict(own)
    defaults = dict(above.defaults) if above else {}
    special = dict(above.special) if above else {}
    for name, kind in own.items():
        if kind.startswith("ClassVar"):
            del types[name]
            continue
        value = body.get(name, _NONE)
        if type(value) is _Field:
            special[name] = value
            value = value.default
            if value is _NONE:
                delattr(cls, name)
            else:
                setattr(cls, name, value)
        if value is not _NONE:
            defaults[name] = value
    cls.__shape__ = _Shape(types, defaults, special)
    cls.__match_args__ = tuple(types)  # type: ignore[misc]  # mypy means it for class bodies
    cls.__init__ = _init
    cls.__setattr__ = _refuse
    cls.__delattr__ = _refuse
    if "__repr__" not in body and cls.__repr__ is object.__repr__:
        cls.__repr__ = _repr
    if eq and "__eq__" not in body:
        cls.__eq__ = _eq
        if "__hash__" not in body:
            cls.__hash__ = _hash
    cls.__dataclass_fields__ = _FIELDS
    cls.__signature__ = _SIGNATURE
    return cls


def _init(self: Any, /, *values: object, **named: object) -> None:
    shape: _Shape = self.__shape__
    names = shape.names
    own = self.__dict__
    own.update(zip(names, values, strict=False))
    count = len(values)
    if count == len(names) and not named:
        return
    if count > len(names):
        raise TypeError(f"{type(self).__name__} has {len(names)} fields, not {count}")
    used = 0
    for name in names[count:]:
        if name in named:
            own[name] = named[name]
            used += 1
        elif name in shape.defaults:
            own[name] = shape.defaults[name]
        else:
            factory = shape.special[name].default_factory if name in shape.special else None
            if factory is None:
                raise TypeError(f"{type(self).__name__} needs a value for `{name}`")
            own[name] = factory()
    if used < len(named):
        odd = next(name for name in named if name not in names[count:])
        problem = "gets two values for" if odd in names else "has no"
        raise TypeError(f"{type(self).__name__} {problem} `{odd}`")


def _refuse(self: Any, name: str, value: object = None) -> NoReturn:  # noqa: ARG001 - as Python calls it
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"`{name}` of {type(self).__name__} cannot be changed")


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    compared = self.__shape__.compared
    return [getattr(self, name) for name in compared] == [getattr(other, name) for name in compared]


def _hash(self: Any) -> int:
    return hash(tuple([getattr(self, name) for name in self.__shape__.hashed]))


def _repr(self: Any) -> str:
    fields = ", ".join([f"{name}={getattr(self, name)!r}" for name in self.__shape__.shown])
    return f"{type(self).__qualname__}({fields})"


# ---- what is made for those who ask


class _Fields:
    """`__dataclass_fields__`, by which others know a dataclass."""

    def __get__(self, one: object, cls: type[Any]) -> dict[str, dataclasses.Field[Any]]:
        import dataclasses

        shape: _Shape = cls.__shape__
        made: list[tuple[str, Any, Any]] = []
        for name, kind in shape.types.items():
            more = shape.special.get(name)
            found: Any
            if more is None:
                found = dataclasses.field(default=shape.defaults.get(name, dataclasses.MISSING))
            elif more.default_factory is not None:
                found = dataclasses.field(
                    default_factory=more.default_factory,
                    repr=more.repr, compare=more.compare, hash=more.hash,
                )  # fmt: skip
            else:
                found = dataclasses.field(
                    default=shape.defaults.get(name, dataclasses.MISSING),
                    repr=more.repr, compare=more.compare, hash=more.hash,
                )  # fmt: skip
            made.append((name, kind, found))
        twin: Any = dataclasses.make_dataclass(cls.__name__, made, kw_only=True)
        fields: dict[str, dataclasses.Field[Any]] = twin.__dataclass_fields__
        return fields


class _Signature:
    """`__signature__`, which `inspect` looks for first."""

    def __get__(self, one: object, cls: type[Any]) -> inspect.Signature:
        import inspect

        shape: _Shape = cls.__shape__
        parameters = []
        for name, kind in shape.types.items():
            default = shape.defaults.get(name, inspect.Parameter.empty)
            if name in shape.special and shape.special[name].default_factory is not None:
                default = shape.special[name].default_factory
            parameters.append(
                inspect.Parameter(
                    name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=default,
                    annotation=kind,
                )
            )
        return inspect.Signature(parameters, return_annotation=None)


_FIELDS, _SIGNATURE = _Fields(), _Signature()
