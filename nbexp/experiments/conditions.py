"""Which runs of the run cache are asked for, and in which order: what one types after `nbexp cache list`."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterable

from nbexp.errors import NotFound, ProjectFileError, UsageError, nearest
from nbexp.experiments.run_cache import CachedRun
from nbexp.formats import values

_CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def condition(text: str) -> Callable[[CachedRun], bool]:
    """Whether a run has a param as `text` says: `lr>0.01`, `model.kind=big`.

    Raises
    ------
    UsageError
        It is no condition.

    Notes
    -----
    Numbers are compared as numbers, text as text; a run that lacks the param does not meet any condition.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"`{text}` is no condition on a param.",
            "for example `--params 'lr>0.01'`, or `epochs=3`.",
        )
    key, sign, wanted = match[1], match[2], _value(match[3])
    return lambda run: any(
        _holds(value, sign, wanted) for name, value in run.params.items() if _names(key, name)
    )


def moment(text: str) -> float:
    """The time that a span back from now, or a date, means, in seconds since 1970.

    Raises
    ------
    UsageError
        It is neither.
    """
    span = _SPAN.fullmatch(text.strip())
    if span is not None:
        return time.time() - float(span[1]) * _SECONDS[span[2]]
    try:
        return dt.datetime.fromisoformat(text.strip()).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"`{text}` is no time.", "`--since 2h`, `3d`, or a date: `--since 2026-11-20`."
        ) from None


def _names(asked: str, name: str) -> bool:
    """Whether a param is meant by its whole name or the last parts of it."""
    return name == asked or name.endswith((f".{asked}", f":{asked}"))


def _value(text: str) -> object:
    quoted = re.fullmatch(r"'(.*)'|\"(.*)\"", text)
    if quoted is not None:
        return quoted[1] or quoted[2] or ""
    try:
        tree = values.parse(f"x: {text}\n".encode(), "condition.yaml")
    except ProjectFileError:
        return text
    return tree.get("x", text) if isinstance(tree, dict) else text


def _holds(value: object, sign: str, wanted: object) -> bool:
    if sign in {"=", "=="}:
        return _equal(value, wanted)
    if sign == "!=":
        return not _equal(value, wanted)
    numbers = _is_number(value) and _is_number(wanted)
    if not numbers and not (isinstance(value, str) and isinstance(wanted, str)):
        return False
    compare: dict[str, Callable[[object, object], bool]] = {
        "<": lambda one, other: one < other,  # type: ignore[operator]
        ">": lambda one, other: one > other,  # type: ignore[operator]
        "<=": lambda one, other: one <= other,  # type: ignore[operator]
        ">=": lambda one, other: one >= other,  # type: ignore[operator]
    }
    return compare[sign](value, wanted)


def _equal(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def of_stage(runs: Iterable[CachedRun], stage: str, names: Iterable[str]) -> list[CachedRun]:
    """The runs of a stage; `?` is the one of those that nothing names.

    Raises
    ------
    NotFound
        There is no such stage among `names`, which are all that are known; the nearest is in the hint.
    """
    known = sorted({*names})
    if stage not in {*known, "?"}:
        near = nearest(stage, known)
        hint = f"did you mean `{near}`?" if near else f"stages: {', '.join(known) or 'none'}."
        raise NotFound(f"Nothing knows of a stage `{stage}`.", hint)
    return [run for run in runs if stage in run.stages or (stage == "?" and not run.stages)]


def ordered(runs: Iterable[CachedRun], by: str) -> list[CachedRun]:
    """The runs in another order; those that lack the param come last.

    Raises
    ------
    NotFound
        No run has such a param; the nearest is in the hint.
    """
    known = [*runs]
    if by == "when":
        return known
    if by == "size":
        return sorted(known, key=lambda run: -run.size)
    if by == "stage":
        return sorted(known, key=lambda run: (not run.stages, run.stage))
    found = {
        id(run): next((value for name, value in run.params.items() if _names(by, name)), None)
        for run in known
    }
    if known and all(value is None for value in found.values()):
        names = [name for run in known for name in run.params]
        near = nearest(by, [*dict.fromkeys(names), "when", "size", "stage"])
        hint = f"did you mean `{near}`?" if near else "`when`, `size`, `stage`, or a param."
        raise NotFound(f"No run listed here has a param `{by}` to sort by.", hint)

    def place(run: CachedRun) -> tuple[int, float, str]:
        value = found[id(run)]
        if _is_number(value):
            return 0, float(value), ""  # type: ignore[arg-type]
        return (2, 0.0, "") if value is None else (1, 0.0, str(value))

    return sorted(known, key=place)
