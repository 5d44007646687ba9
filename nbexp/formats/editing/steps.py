"""What an edit means: the steps on the tree that it takes, or why it cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from nbexp.errors import NotFound, UsageError
from nbexp.formats import values, yaml12
from nbexp.frozen import frozen

Op = Literal["change", "add", "force", "delete"]


@frozen
class Edit:
    """One change of a file, with the meaning of an override of the same kind.

    Attributes
    ----------
    key
        Dotted; a list's elements are reached by number (`layers.0`).
    op
        `change` an existing key, `add` a new one, `force` either, `delete`. A mapping is merged into a
        mapping, any other value replaces what was there.
    has_value
        For `delete`: only if the key has just this value.
    """

    key: str
    value: object = None
    op: Op = "change"
    has_value: bool = True


Where = tuple[object, ...]


class Step(NamedTuple):
    """One change of the text: `set` what stands at `where`, `insert` a key or element there, `remove` it."""

    op: Literal["set", "insert", "remove"]
    where: Where
    value: object = None


def steps_of(tree: object, edit: Edit, path: str) -> list[Step]:
    """The steps that make of the tree what the edit asks for; none where it says so already.

    Raises
    ------
    NotFound
        A key to change or delete is not there; the hint has the nearest one.
    UsageError
        A key to add is there, one to delete has another value, or the value is none that a file can hold.
    """
    value = None if edit.op == "delete" else writable(edit.value, edit.key)
    if values.format_of(path) in {"json", "toml"}:
        value = _with_text_keys(value)
    parts = edit.key.split(".")
    where: list[object] = []
    here = tree
    for part in parts:
        step = values.child(here, part)
        if step is None:
            break
        where.append(step[0])
        here = step[1]
    at = tuple(where)
    if len(at) == len(parts):
        if edit.op == "delete":
            if edit.has_value and edit.value != here:
                raise UsageError(
                    f"`{edit.key}` in {path} is {_spelled(here)}, not {_spelled(edit.value)}. Nothing was run.",
                    f"`nbexp run -S {_typed(path, '~', edit.key)}` removes it whatever it is.",
                )
            return [Step("remove", at)]
        if edit.op == "add" and here is not None and not isinstance(value, list | dict):
            change = f"{_typed(path, '', edit.key)}={_spelled(value)}"
            raise UsageError(
                f"`{edit.key}` is in {path} already ({_spelled(here)}). Nothing was run.",
                f"without the plus it is changed: `nbexp run -S {change}`.",
            )
        return list(_merged(at, here, value, edit, path, edit.key))
    if edit.op in {"change", "delete"}:
        raise _no_param(edit.key, edit, tree, path)
    rest = parts[len(at) :]
    if isinstance(here, list):
        if rest[0] != str(len(here)):
            raise NotFound(
                f"The list `{'.'.join(parts[: len(at)])}` in {path} has no place {rest[0]}; it has {len(here)} elements. "
                "Nothing was run.",
                f"the next one is added by `nbexp run -S "
                f"{_typed(path, '+', '.'.join([*parts[: len(at)], str(len(here))]))}={_spelled(value)}`.",
            )
        key: object = len(here)
    else:
        key = rest[0]
    for part in reversed(rest[1:]):
        value = {part: value}
    if isinstance(here, list | dict):
        return [Step("insert", (*at, key), value)]
    return [Step("set", at, {key: value})]


def _merged(at: Where, old: object, new: object, edit: Edit, path: str, key: str) -> Iterator[Step]:
    """The steps that make `new` of `old`; none if it is that already."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name, value in new.items():
            step = values.child(old, str(name))
            if step is not None:
                yield from _merged((*at, step[0]), step[1], value, edit, path, f"{key}.{name}")
            elif edit.op == "change":
                raise _no_param(f"{key}.{name}", Edit(f"{key}.{name}", value), old, path, at)
            else:
                yield Step("insert", (*at, name), value)
    elif not values.same(old, new):
        yield Step("set", at, new)


def _no_param(key: str, edit: Edit, tree: object, path: str, at: Where = ()) -> NotFound:
    prefix = "".join(f"{part}." for part in at)
    near = values.nearest(key.removeprefix(prefix), tree)
    near = near and prefix + near
    message = f"No param `{key}` in {path}. Nothing was run."
    if edit.op == "delete":
        known = [near] if near else [prefix + name for name in values.flatten(tree)][:5]
        there = ", ".join(f"`{name}`" for name in known)
        return NotFound(
            message, f"did you mean {there}?" if near else f"{path} has {there or 'none'}."
        )
    add = f"A new param is added with a plus: `nbexp run -S {_typed(path, '+', key)}={_spelled(edit.value)}`."
    if near:
        return NotFound(message, f"did you mean `{near}`? {add}")
    known = [prefix + name for name in values.flatten(tree) if name]
    there = ", ".join(f"`{name}`" for name in known[:5]) + (", …" if len(known) > 5 else "")
    return NotFound(message, f"{path} has {there}. {add}" if known else add)


def _typed(path: str, sign: str, key: str) -> str:
    """A key as it is typed after `-S`."""
    return f"{sign}{key}" if path == "params.yaml" else f"{path}:{sign}{key}"


def _spelled(value: object) -> str:
    """A value as it is typed after `-S`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_spelled, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_spelled(k)}:{_spelled(v)}" for k, v in value.items()) + "}"
    text = str(value)
    simple = not isinstance(value, str) or re.fullmatch(r"[\w/.+*@%-]+( [\w/.+*@%-]+)*", text)
    return (
        text
        if simple and (not isinstance(value, str) or yaml12.plain(text) == text)
        else f"'{text}'"
    )


def writable(value: object, key: str) -> object:
    """The value in Python's own types (numbers of NumPy are not), or a UsageError."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UsageError(f"The value of `{key}` is not valid text: {value!r}.") from None
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dict):
        return {
            writable(name, key): writable(inner, f"{key}.{name}") for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [writable(inner, f"{key}.{index}") for index, inner in enumerate(value)]
    for convert in ("tolist", "item"):  # numpy arrays and scalars, which are the usual guests
        method = getattr(value, convert, None)
        if callable(method):
            plain = method()
            if isinstance(plain, bool | int | float | str | list):
                return writable(plain, key)
    raise UsageError(
        f"The value of `{key}` is a {type(value).__name__}; numbers, text, true, false, null, lists and mappings "
        "can be params.",
    )


def _with_text_keys(value: object) -> object:
    """The value with the keys that JSON and TOML can have."""
    if isinstance(value, dict):
        pairs = (
            (key if isinstance(key, str) else _spelled(key), one) for key, one in value.items()
        )
        return {key: _with_text_keys(one) for key, one in pairs}
    return [_with_text_keys(one) for one in value] if isinstance(value, list) else value


def apply(tree: object, steps: Iterable[Step]) -> object:
    """The tree after the steps; the text has to say just this afterwards."""
    tree = _copied({} if tree is None else tree)
    for step in steps:
        if not step.where:
            tree = step.value
            continue
        here = tree
        for key in step.where[:-1]:
            here = here[key]  # type: ignore[index]  # a mapping or a list, as `steps_of` found it
        last = step.where[-1]
        if step.op == "remove":
            del here[last]  # type: ignore[attr-defined]
        elif isinstance(here, list) and last == len(here):
            here.append(step.value)
        else:
            here[last] = step.value  # type: ignore[index]
    return tree


def _copied(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, list) else tree
