"""A stage put into dvc.yaml, as text, so that everything around it stays as it is."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nbexp.errors import ProjectFileError, UsageError
from nbexp.formats import dvc_lock, values
from nbexp.formats.dvc_yaml import (
    DEFAULT_PARAMS_FILE,
    PUNCTUATION,
    Around,
    ParamSpec,
    PipelineFile,
    Reader,
    Refused,
    StageSpec,
    Value,
    child,
    compose,
    no_files,
    parse,
)
from nbexp.formats.interpolation import Read

if TYPE_CHECKING:
    import yaml


def add_stage(
    data: bytes | None,
    name: str,
    stage: Mapping[str, object],
    *,
    path: str = "dvc.yaml",
    force: bool = False,
    read: Read = no_files,
) -> bytes:
    """The file with one more stage at the end of `stages`, all else byte for byte as it was.

    Parameters
    ----------
    data
        The file's bytes; None where there is no file.
    stage
        The definition, with the keys of dvc.yaml. It is written as `dvc stage add` writes it: keys in
        DVC's order, paths sorted, nothing that is empty.
    force
        Replace a stage of that name instead of refusing. The file is then written anew as a whole, as
        DVC would: with its comments, but not with every quote and line break.
    read
        Gives the params files that templates of the stage are checked against.

    Raises
    ------
    UsageError
        The name or the definition cannot be, or a stage of that name is there.
    ProjectFileError
        The file is not as it should be, so nothing can be added to it.
    """
    around = Around(read)
    before = parse(data, path, around.read) if data is not None else PipelineFile()
    if not name or set(name) & PUNCTUATION:
        raise UsageError(
            f"`{name}` cannot be the name of a stage: of punctuation it may have `_` and `-` only."
        )
    if "cmd" in stage and not stage["cmd"]:
        raise UsageError(f"Stage `{name}` is given no command. Nothing was written.")
    folder = posixpath.dirname(path)
    given = Value(stage, Value({}), name, called=f"stage `{name}`")
    try:
        reader = Reader(folder, None, around)
        context = reader.context(Value({**_mapping(data, path), "": stage}).entries())
        reader.stage(name, given, context)
        definition = _definition(Reader(folder, None, None).stage(name, given, None))
    except Refused as refused:
        message = refused.message[0].upper() + refused.message[1:]
        raise UsageError(message, refused.hint) from None
    if all((other.group or other.name) != name for other in before.stages):
        added = _appended(data or b"", name, definition)
        if added is not None and _holds(added, data or b"", name, definition, path):
            return added
    elif not force:
        raise UsageError(
            f"Stage `{name}` already exists in {path}. Nothing was written.",
            f"`nbexp stage add --force -n {name} …` replaces it.",
        )
    return _rewritten(data or b"", name, definition)


def stage_as_written(data: bytes, name: str, path: str) -> StageSpec | None:
    """A stage as the file has it, its templates not filled in; None where it has none, or generates it."""
    found = _mapping(data, path).get("stages")
    stage = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(stage, Mapping) or stage.keys() & {"foreach", "do", "matrix"}:
        return None
    value = Value(stage, Value({}), name, called=f"stage `{name}`")
    try:
        return Reader(posixpath.dirname(path), None, None).stage(name, value, None)
    except Refused:
        return None


def _mapping(data: bytes | None, path: str) -> Mapping[str, object]:
    tree = values.parse(data, path) if data is not None else {}
    assert isinstance(tree, Mapping)
    return tree


def _definition(stage: StageSpec) -> dict[str, object]:
    """The stage as `dvc stage add` writes it."""
    buckets: dict[str, list[object]] = {"outs": [], "metrics": [], "plots": []}
    for out in sorted(stage.outs, key=lambda out: out.path):
        options = {
            "desc": out.desc,
            "type": out.type,
            "labels": list(out.labels),
            "meta": out.meta,
            **({} if out.cache else {"cache": False}),
            **({"checkpoint": True} if out.checkpoint else {}),
            **({"persist": True} if out.persist else {}),
            **out.plot,
            "remote": out.remote,
            **({} if out.push else {"push": False}),
        }
        given = {key: value for key, value in options.items() if value or value is False}
        buckets[out.bucket].append({out.path: given} if given else out.path)
    definition = {
        "desc": stage.desc,
        "cmd": stage.cmd if isinstance(stage.cmd, str) else list(stage.cmd),
        "wdir": stage.wdir,
        "deps": sorted(stage.deps),
        "params": _params_items(stage.params),
        **buckets,
        "frozen": stage.frozen,
        "always_changed": stage.always_changed,
        "meta": stage.meta,
    }
    return {key: value for key, value in definition.items() if value}


def _params_items(params: Iterable[ParamSpec]) -> list[object]:
    items: list[object] = []
    for param in sorted(params, key=lambda param: param.path):
        keys: list[object] = [*sorted(param.keys)]
        if keys and param.path == DEFAULT_PARAMS_FILE:
            items = keys + items
        else:
            items.append({param.path: keys or None})
    return items


def _appended(data: bytes, name: str, definition: Mapping[str, object]) -> bytes | None:
    """The file with the stage's lines in it; None where it is written so that lines cannot go in."""
    import yaml

    lines = dvc_lock.dump_tree({"stages": {name: definition}}).splitlines(keepends=True)
    text = data.splitlines(keepends=True)
    at = len(text)
    if any(mark in data.decode("utf-8", "replace") for mark in "\x85\u2028\u2029"):
        return None  # these end lines in YAML, so that its line numbers are others
    root = compose(data)
    if root is not None:
        if not isinstance(root, yaml.MappingNode) or root.flow_style or root.start_mark.column:
            return None
        found = child(root, "stages")
        if found is not None:
            stages = found[1]
            if not isinstance(stages, yaml.MappingNode) or stages.flow_style or not stages.value:
                return None
            column = stages.start_mark.column
            lines = [b" " * column + line[2:] for line in lines[1:]]
            at = _last_line(stages)
            # A comment that is indented like the stages is theirs.
            while at < len(text) and re.match(rb" {%d,}#" % max(column, 1), text[at]):
                at += 1
    if at and not text[at - 1].endswith(b"\n"):
        text[at - 1] += b"\n"
    if b"\r\n" in data:
        lines = [line.replace(b"\n", b"\r\n") for line in lines]
    return b"".join([*text[:at], *lines, *text[at:]])


def _last_line(node: yaml.Node) -> int:
    """The number of the last line that a node's text is on."""
    import yaml

    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(node, yaml.MappingNode) else last)
    end = node.end_mark
    # A block text ends where the next line begins.
    return int(end.line) + (0 if end.column == 0 and end.line > node.start_mark.line else 1)


def _holds(
    added: bytes, data: bytes, name: str, definition: Mapping[str, object], path: str
) -> bool:
    """Whether the bytes say what was there, and the new stage, and nothing else."""
    before = values.parse(data, path)
    assert isinstance(before, Mapping)
    try:
        after = values.parse(added, path)
    except ProjectFileError:
        return False
    return after == {**before, "stages": {**before.get("stages", {}), name: definition}}


def _rewritten(data: bytes, name: str, definition: Mapping[str, object]) -> bytes:
    from ruamel.yaml import YAML

    tree = YAML().load(data) or {}
    if not tree.get("stages"):
        tree["stages"] = {}
    if isinstance(tree["stages"].get(name), dict):
        _changed_to(definition, tree["stages"][name])
    else:
        tree["stages"][name] = dict(definition)
    return dvc_lock.dump_tree(tree)


def _changed_to(new: Mapping[str, object], old: dict[str, object]) -> None:
    """Make a mapping say what another says: keys stay where they are, new ones come last, as in DVC."""
    for key in [key for key in old if key not in new]:
        del old[key]
    for key, value in new.items():
        there = old.get(key)
        if isinstance(value, Mapping) and isinstance(there, dict):
            _changed_to(value, there)
        elif value != there:
            old[key] = value
