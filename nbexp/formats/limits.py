"""What keeps a hostile params file from costing memory or the interpreter's stack, and how it is refused.

Nobody writes by hand what is beyond these limits; 300 bytes of YAML's aliases can stand for 254 MB of JSON.
"""

from __future__ import annotations

from collections.abc import Iterable

from nbexp.errors import ProjectFileError

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 100
MAX_LEAVES = 100_000
MAX_DIGITS = 4_000


def decoded(data: bytes, path: str) -> str:
    """The text of a file, or a ProjectFileError when it is too big or no text."""
    if len(data) > MAX_BYTES:
        raise ProjectFileError(
            f"the file has {len(data) / 2**20:.1f} MB; up to {MAX_BYTES // 2**20} MB are read.",
            path=path,
        )
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProjectFileError("this is not UTF-8 text.", path=path, line=line) from None


def invalid(kind: str, problem: str, path: str, line: int | None) -> ProjectFileError:
    """A file that breaks the rules of its format, in the words of whoever parsed it."""
    problem = " ".join(problem.split()).rstrip(".")
    hint = None
    if kind == "YAML" and "'\\t'" in problem:
        hint = f"YAML is indented by spaces; replace the tab in line {line}."
    if problem[:1].isupper() and not problem[1:2].isupper():
        problem = problem[0].lower() + problem[1:]
    return ProjectFileError(f"this is not valid {kind}: {problem}.", hint, path=path, line=line)


def too_deep(path: str, line: int | None = None) -> ProjectFileError:
    """More levels than `MAX_DEPTH`."""
    return ProjectFileError(
        f"values are nested deeper than {MAX_DEPTH} levels.", path=path, line=line
    )


def too_many(path: str, limit: int, line: int | None = None) -> ProjectFileError:
    """More values than `limit`."""
    return ProjectFileError(
        f"the file holds more than {limit:,} values, those behind aliases counted.",
        path=path,
        line=line,
    )


def check_shape(tree: object, path: str, max_leaves: int) -> None:
    """Refuse what the limits forbid, without recursion; an empty list or mapping counts as a value."""
    leaves = 0
    waiting: list[tuple[object, int]] = [(tree, 0)]
    while waiting:
        here, depth = waiting.pop()
        inner: Iterable[object] = ()
        if isinstance(here, dict):
            inner = here.values()
        elif isinstance(here, list):
            inner = here
        if depth >= MAX_DEPTH and isinstance(here, dict | list):
            raise too_deep(path)
        before = len(waiting)
        waiting.extend((value, depth + 1) for value in inner)
        if len(waiting) == before:
            leaves += 1
        if leaves > max_leaves:
            raise too_many(path, max_leaves)


def whole_number(text: str, base: int = 10) -> int:
    """The number, or a ValueError where it has more than `MAX_DIGITS` digits."""
    # Python itself refuses more than 4,300 digits, with words that name a setting of the interpreter.
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a whole number has more than {MAX_DIGITS:,} digits")
    return int(text, base)
