"""What steers a stage: keys of config files, options with a default, constants, a notebook's parameters."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbexp.errors import NbexpError
from nbexp.formats import notebook, values
from nbexp.frozen import field, frozen
from nbexp.pipeline.detection.proposal import Entry
from nbexp.pipeline.detection.seen import Key, Reading
from nbexp.pipeline.detection.symbols import Option

_PATHS = re.compile(
    r"path|file|dir(ectory)?$|folder|input|output|out$|config|cfg|root|dest|url|checkpoint",
    re.IGNORECASE,
)
# What changes how fast or how loudly it runs, not what comes out.
_NO_PARAM = re.compile(
    r"(n_?jobs|jobs|threads|(num_?)?workers?|verbos\w*|debug|quiet|port|host|gpus?|device|cuda|log\w*|local_rank|help"
    r"|version|dry_?run|force|overwrite|figsize|dpi)",
    re.IGNORECASE,
)
_CONFIG_MODULE = re.compile(
    r"(^|/)(config|configs|configuration|settings?|params?|parameters|hparams|hyper\w*|constants?|consts?)(/|\.py$)"
)
_WORD = re.compile(r"[A-Za-z0-9_.+-]{1,60}")


@frozen
class Chosen:
    """The params of a stage.

    Attributes
    ----------
    files
        The params files, which are then no deps.
    values
        What params.yaml gets under the stage's name.
    words
        The words of the command line behind the script, params in them as `${stage.name}`.
    is_untagged
        The values are those of a notebook's first code cell, which no tag says are parameters.
    """

    entries: tuple[Entry, ...]
    files: tuple[str, ...]
    values: Mapping[str, object] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    is_untagged: bool = False


def choose(
    root: Path,
    stage: str,
    path: str,
    read: Reading,
    words: Sequence[str],
    written: set[str],
) -> Chosen:
    """The params of a stage, from what reading its code found.

    Parameters
    ----------
    words
        Of its command line, behind the script.
    written
        What stages write: a config file among it is data, not params.
    """
    entries: list[Entry] = []
    files: list[str] = []
    for file, where in read.configs:
        if file in written:
            continue
        files.append(file)
        keys = [key for key in read.keys if key.file == file]
        entries += _entries(keys) if keys else _mentioned(root, file, where, read)
    if path.endswith(".ipynb"):
        found = _of_notebook(root, path)
        given = {item.name: item.value for item in found.items if item.is_literal}
        cell = f"{path} cell {found.cell}"
        why = "the parameters cell" if found.tagged else "the first code cell, which has no tag"
        if given:
            entries.append(Entry("params.yaml", f"{cell}, {why}: {', '.join(given)}", stage))
        return Chosen(tuple(entries), tuple(files), given, (), bool(given) and not found.tagged)
    words = list(words)
    chosen: dict[str, object] = {}
    for option in read.options:
        value = _steering(option, words, read)
        if value is not None:
            assert option.flag is not None
            name = option.flag.lstrip("-").replace("-", "_")
            if len(name) == 1:
                name = option.dest
            chosen[name] = value
            words = _with_param(words, option, f"${{{stage}.{name}}}")
            entries.append(
                Entry("params.yaml", f"{path}:{option.line} takes {option.flag}", f"{stage}.{name}")
            )
    constants = _constants(root, path, read, has_others=bool(entries))
    return Chosen((*entries, *constants), tuple(files), chosen, tuple(words))


def _entries(keys: Sequence[Key]) -> list[Entry]:
    """A line for each key, but for those inside of another that is taken as a whole."""
    whole = {key.key for key in keys}
    found = []
    for key in keys:
        parts = key.key.split(".")
        above = {".".join(parts[:size]) for size in range(1, len(parts))} | {""}
        if key.key and above & whole:
            continue
        what = key.key or "all of it"
        found.append(Entry(key.file, f"{key.where} takes {what}", key.key))
    return found


def _mentioned(root: Path, file: str, where: str, read: Reading) -> list[Entry]:
    """Where the way of the values could not be followed: the keys that the code names somewhere."""
    try:
        tree = values.parse((root / file).read_bytes(), file)
    except (OSError, NbexpError):
        return [Entry(file, f"{where} reads {file}")]
    leaves = values.flatten(tree) if isinstance(tree, Mapping) else {}
    keys = [key for key in leaves if key.rpartition(".")[2] in read.mentioned]
    return [Entry(file, f"{where} reads {file}, and the code names {key}", key) for key in keys]


def _of_notebook(root: Path, path: str) -> notebook.Parameters:
    return notebook.parameters(notebook.read((root / path).read_bytes(), path))


def _steering(option: Option, words: Sequence[str], read: Reading) -> object:
    """An option's value, if it is a param: a number or a word, no switch and no path; else None."""
    if option.flag is None or option.is_switch or option.is_path:
        return None
    name = option.flag.lstrip("-")
    if _PATHS.search(name) or _NO_PARAM.fullmatch(name.replace("-", "_")):
        return None
    value = option.default
    given = _value_in(words, option)
    if given is not None:
        value = values.number(given)
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, str) or not _WORD.fullmatch(value) or value in read.path_texts:
        return None
    return None if posixpath.splitext(value)[1][1:].isalpha() else str(value)


def _value_in(words: Sequence[str], option: Option) -> str | None:
    for place, word in enumerate(words):
        if word in option.names and place + 1 < len(words):
            return words[place + 1]
        for name in option.names:
            if word.startswith(f"{name}="):
                return word[len(name) + 1 :]
    return None


def _with_param(words: list[str], option: Option, param: str) -> list[str]:
    found = list(words)
    for place, word in enumerate(found):
        if word in option.names and place + 1 < len(found):
            found[place + 1] = param
            return found
        for name in option.names:
            if word.startswith(f"{name}="):
                found[place] = f"{name}={param}"
                return found
    assert option.flag is not None
    return [*found, option.flag, param]


def _constants(root: Path, path: str, read: Reading, *, has_others: bool) -> list[Entry]:
    """Literals of config modules; of the script itself where nothing else steers it."""
    found = []
    for key in read.constants:
        is_config = bool(_CONFIG_MODULE.search(key.file)) and key.file != path
        if key.file != path and not is_config:
            continue
        if key.file == path and (has_others or not key.key.isupper()):
            continue
        name = key.key.rpartition(".")[2]
        value = _literal(root, key)
        if value is values.MISSING or name.startswith("_"):
            continue
        if _NO_PARAM.fullmatch(name) or _PATHS.search(name):
            continue
        if isinstance(value, str) and (key.file == path or _is_path(root, value, read)):
            continue
        if isinstance(value, (list, tuple)) and (key.file == path or not value):
            continue
        if value is None or isinstance(value, Mapping):
            continue
        found.append(Entry(key.file, f"{key.where} uses {key.key}", key.key))
    return found


def _literal(root: Path, key: Key) -> object:
    """The constant as a params file of Python has it; `MISSING` where it has none."""
    try:
        tree = values.parse((root / key.file).read_bytes(), key.file)
    except (OSError, NbexpError):
        return values.MISSING
    return values.lookup(tree, key.key)


def _is_path(root: Path, value: str, read: Reading) -> bool:
    return (
        value in read.path_texts
        or "/" in value
        or os.path.exists(root / value)
        or bool(posixpath.splitext(value)[1])
        or len(value) > 60
    )
