"""The smallest change of a params file that makes it say something else: one value's characters, no other byte.

One file for each format; `steps` says what an edit means, whatever the format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbexp.errors import ProjectFileError
from nbexp.formats import limits, values, yaml12
from nbexp.formats.editing.steps import Edit, Op, Step, apply, steps_of, writable
from nbexp.formats.editing.text import Entry, Node, NotHere, Text
from nbexp.frozen import frozen

__all__ = ["Edit", "Op", "Surprise", "edit", "line_of", "make", "surprises", "writable"]


@frozen
class Surprise:
    """A YAML value that user code loading the file with PyYAML sees as something else than we do."""

    key: str
    line: int
    text: str
    value: object
    pyyaml: object


def edit(data: bytes, path: str, edits: Sequence[Edit]) -> bytes:
    """The file after the edits, made in order; what they do not name keeps its bytes.

    Comments, quotes, flow style, indents, line ends and the order of keys stay. A value that is set to what
    it is already keeps its spelling. The result is read back and compared with what was asked for before it
    is returned, so it is right or there is an error; all edits are made or none.

    Where YAML shares a value through an anchor, a scalar that is changed changes alone (as with DVC), and a key
    inside a shared mapping changes for all that use the mapping, as it would by hand.

    Parameters
    ----------
    path
        Names the file in errors; its suffix picks the format.

    Raises
    ------
    NotFound
        A key to change or delete is not there; the hint has the nearest one.
    UsageError
        A key to add is there, one to delete has another value, or the value does not exist in that format
        (null in TOML).
    ProjectFileError
        The file is not valid, or the change cannot be made without touching more than the one value.

    Notes
    -----
    The spellings are those that ruamel.yaml, `json` and `repr` choose (`.nan`; quotes where YAML 1.2 would read
    something else), but `1.0e-05`, which is a number for PyYAML too, `null` and not nothing, and a quoted string
    stays quoted. Costs two readings of the text for each edit. Only a YAML text whose spans are not enough (a
    removed anchor, `? ` keys) makes a round trip through ruamel.yaml, which keeps comments and order but not
    every byte.

    Examples
    --------
    >>> edit(b"lr: 0.1  # rate", "params.yaml", [Edit("lr", 0.01)])
    b'lr: 0.01  # rate'
    """
    mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
    text = original = limits.decoded(data, path)
    for one in edits:
        tree = values.parse(text.encode(), path)
        steps = steps_of({} if tree is None else tree, one, path)
        if steps:
            text = _edited(text, path, tree, steps)
    return data if text == original else mark + text.encode()


def make(data: bytes, path: str, steps: Sequence[Step]) -> bytes:
    """The file after the steps, which its places are known for; as `edit`, what they do not name keeps its bytes.

    Raises
    ------
    ProjectFileError
        The file is not valid, or the change cannot be made without touching more than the one value.
    """
    mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
    text = limits.decoded(data, path)
    if not steps:
        return data
    return mark + _edited(text, path, values.parse(text.encode(), path), steps).encode()


def surprises(data: bytes, path: str) -> tuple[Surprise, ...]:
    """The plain YAML values that PyYAML, and so most user code, reads as something else; in file order.

    `1e-3` is a string there, `yes` a boolean, `010` eight and `12:30:45` a number. Empty for other formats.

    Examples
    --------
    >>> surprises(b"{lr: 1e-3, batch: 32}", "params.yaml")
    (Surprise(key='lr', line=1, text='1e-3', value=0.001, pyyaml='1e-3'),)
    """
    if values.format_of(path) != "yaml":
        return ()
    import yaml

    from nbexp.formats.editing.yaml import Yaml

    text = limits.decoded(data, path)
    values.parse(data, path)
    found: list[Surprise] = []

    def walk(node: Node, key: str) -> None:
        for index, entry in enumerate(node.entries):
            inner = f"{key}{entry.key if node.kind == 'map' else index}"
            if entry.alias is not None:
                continue
            if entry.node.kind != "leaf":
                walk(entry.node, f"{inner}.")
            elif entry.node.plain:
                spelled = text[entry.node.start : entry.node.end]
                value = yaml12.plain(spelled)
                theirs = yaml12.in_pyyaml(spelled)
                if not values.same(value, theirs):
                    line = text.count("\n", 0, entry.node.start) + 1
                    found.append(Surprise(inner, line, spelled, value, theirs))

    try:
        root = Yaml(text, path).read()
    except (yaml.YAMLError, NotHere):
        return ()  # one of the odd texts that ruamel.yaml alone reads
    if root is not None:
        walk(root, "")
    return tuple(found)


def line_of(data: bytes, path: str, key: str) -> int | None:
    r"""The line that a dotted key stands in, or what it is in where there is no such key; None if that is unknown.

    Examples
    --------
    >>> line_of(b"train:\n  lr: 0.1\n", "params.yaml", "train.lr")
    2
    """
    try:
        text = limits.decoded(data, path)
        node = _text(values.format_of(path), text, path).read()
    except Exception:  # noqa: BLE001 - the scanners need not know every text; the line is a courtesy
        return None
    place = None
    for part in key.split("."):
        entry = _entry(node, part) if node is not None else None
        if entry is None:
            break
        place = entry.start or entry.node.start or place or 0
        node = entry.node
    return None if place is None else text.count("\n", 0, place) + 1


def _entry(node: Node, part: str) -> Entry | None:
    for key in [part, *([int(part)] if part.isdigit() else [])]:
        try:
            return node.entries[Text.index_of(node, key)]
        except NotHere:
            continue
    return None


def _edited(text: str, path: str, tree: object, steps: Sequence[Step]) -> str:
    """The text after the steps, proven by reading it."""
    expected = apply(tree, steps)
    kind = values.format_of(path)
    writers: list[Callable[[], str]] = [lambda: _text(kind, text, path).make(steps)]
    if kind == "yaml":
        from nbexp.formats.editing.yaml import by_ruamel

        writers.append(lambda: by_ruamel(text, steps))
    for write in writers:
        try:
            written = write()
            if _says(written, path, tree, expected, steps):
                return written
        except (NotHere, ProjectFileError, IndexError, ValueError):
            continue  # a way of writing that the scanners here do not know: the next writer, or none
    key = ".".join(map(str, steps[0].where))
    raise ProjectFileError(
        f"`{key}` cannot be changed without touching more than its value. Nothing was run.",
        "change it in an editor and run again.",
        path=path,
    )


def _text(kind: str, text: str, path: str) -> Text:
    """The text in its format, whose module is loaded now."""
    if kind == "json":
        from nbexp.formats.editing.json import Json

        return Json(text, path)
    if kind == "toml":
        from nbexp.formats.editing.toml import Toml

        return Toml(text, path)
    if kind == "py":
        from nbexp.formats.editing.python import Python

        return Python(text, path)
    from nbexp.formats.editing.yaml import Yaml

    return Yaml(text, path)


def _says(text: str, path: str, tree: object, expected: object, steps: Sequence[Step]) -> bool:
    """Whether the text says what is expected of the steps on the tree."""
    found = values.parse(text.encode(), path)
    if values.same(found, expected):
        return True
    if values.format_of(path) == "toml":
        # A table that dotted keys made goes with the last of them.
        return values.same(_without_empty(found), _without_empty(expected))
    if "*" not in text or values.format_of(path) != "yaml":
        return False
    # What a shared mapping holds changes in several places at once: what was asked for is there, and nothing
    # came up anywhere that was not asked for.
    asked = list[object]()
    for step in steps:
        here: object = found
        for key in step.where:
            inner = dict(values.children(here))
            if key not in inner:
                here = values.MISSING
                break
            here = inner[key]
        if step.op == "remove":
            asked += values.flatten(found).values()  # a key that `<<` brings may come into sight
        elif not values.same(here, step.value):
            return False
        asked += (
            values.flatten(step.value).values() if isinstance(step.value, dict) else [step.value]
        )
    before = values.flatten(tree)
    return all(
        (key in before and values.same(value, before[key]))
        or any(values.same(value, one) for one in asked)
        for key, value in values.flatten(found).items()
    )


def _without_empty(tree: object) -> object:
    if not isinstance(tree, dict):
        return tree
    inner = {key: _without_empty(value) for key, value in tree.items()}
    return {key: value for key, value in inner.items() if value != {}}
