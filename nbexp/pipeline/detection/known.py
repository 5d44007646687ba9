"""Functions of others that are followed, not only looked up: each says what calling it gives.

All have the same form: the reader, the words of the call, and those with names.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nbexp.pipeline.detection.command_lines import Argv, ParserMethods
from nbexp.pipeline.detection.symbols import GAP, UNKNOWN, Arguments, Config, Parser, PathText
from nbexp.pipeline.detection.texts import Method, joined, text_of

if TYPE_CHECKING:
    from nbexp.pipeline.detection.reading import Reader

_MAX_ROUNDS = 40


Known = Callable[["Reader", list[object], dict[str, object]], object]


def _special_path(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return PathText(joined(*[text_of(word) for word in words])) if words else PathText(".")


def _special_join(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return joined(*[text_of(word) for word in words])


def _special_dirname(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return posixpath.dirname(words[0]) if words and isinstance(words[0], str) else UNKNOWN


def _special_basename(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return posixpath.basename(words[0]) if words and isinstance(words[0], str) else UNKNOWN


def _special_splitext(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return posixpath.splitext(words[0]) if words and isinstance(words[0], str) else UNKNOWN


def _special_str(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return text_of(words[0]) if words else ""


def _special_number(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    value = words[0] if words else UNKNOWN
    try:
        if isinstance(value, (int, float)):
            return value
        if isinstance(value, str) and GAP not in value:
            return int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        return UNKNOWN
    return UNKNOWN


def _special_len(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    value = words[0] if words else UNKNOWN
    if isinstance(value, Argv):
        return len(value.words)
    return UNKNOWN


def _special_zip(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    rows = [list(word) if isinstance(word, (list, tuple, range)) else None for word in words]
    known = [row for row in rows if row is not None]
    if not known:
        return UNKNOWN
    size = min(len(row) for row in known)
    return [
        tuple(row[place] if row is not None else UNKNOWN for row in rows)
        for place in range(min(size, _MAX_ROUNDS))
    ]


def _special_enumerate(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    value = words[0] if words else UNKNOWN
    if isinstance(value, Config):
        reader.seen.take(value)
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))[:_MAX_ROUNDS]
    return [(UNKNOWN, UNKNOWN)]


def _special_range(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    numbers = [word for word in words if isinstance(word, int)]
    for word in words:
        reader.seen.use(word)
    if len(numbers) == len(words) and 1 <= len(numbers) <= 3 and (len(numbers) < 3 or numbers[2]):
        found = range(*numbers)
        if len(found) <= _MAX_ROUNDS:
            return found
    return UNKNOWN


def _special_list(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    value = words[0] if words else []
    if isinstance(value, Config):
        return reader._elements(value)
    if isinstance(value, Argv):
        return value
    return list(value) if isinstance(value, (list, tuple, range)) else UNKNOWN


def _special_getattr(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    if len(words) > 1 and isinstance(words[1], str):
        found = reader._attribute(words[0], words[1])
        return words[2] if isinstance(found, Method) and len(words) > 2 else found
    return UNKNOWN


def _special_vars(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    value = words[0] if words else UNKNOWN
    return value if isinstance(value, (Arguments, Config)) else UNKNOWN


def _special_cwd(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return PathText(reader.seen.root / reader.seen.cwd)


def _special_parser(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    parser = ParserMethods(Parser())
    parents = named.get("parents")
    for parent in parents if isinstance(parents, list) else ():
        if isinstance(parent, ParserMethods):
            parser.parser.options += parent.parser.options
    return parser


def _special_environment(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return words[1] if len(words) > 1 else named.get("default", UNKNOWN)


def _special_params_show(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    path = words[0] if words and isinstance(words[0], str) else "params.yaml"
    inside = reader.seen.inside(path)
    found = reader.files.config(inside) if inside is not None else None
    return UNKNOWN if found is None else found


def _special_run(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    first = words[0] if words else named.get("args", UNKNOWN)
    if isinstance(first, str):
        reader.seen.runs.append(tuple(first.split()))
    elif isinstance(first, (list, tuple)):
        reader.seen.runs.append(tuple(text_of(word) for word in first))
    return UNKNOWN


def _special_mkdir(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    reader.seen.make_folder(words[0] if words else named.get("name", UNKNOWN))
    return None


def _special_sqlite(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    path = words[0] if words else named.get("database", UNKNOWN)
    if isinstance(path, str) and path != ":memory:":
        inside = reader.seen.inside(path)
        is_there = inside is not None and GAP not in inside and (reader.seen.root / inside).exists()
        reader.seen.touch(path, "read" if is_there else "write")
    return UNKNOWN


def _special_glob(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return reader.files.listed(words[0] if words else UNKNOWN, "glob")


def _special_slice(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    value = words[0] if words else UNKNOWN
    return (
        sorted(value, key=str)
        if isinstance(value, list) and all(isinstance(v, str) for v in value)
        else value
    )


def _same(reader: Reader, words: list[object], named: dict[str, object]) -> object:
    return words[0] if words else UNKNOWN


KNOWN: Mapping[str, Known] = {
    **dict.fromkeys(("pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath", "upath.UPath"), _special_path),
    **dict.fromkeys(("os.path.join", "posixpath.join"), _special_join),
    **dict.fromkeys(
        ("os.path.abspath", "os.path.realpath", "os.path.normpath", "os.path.expanduser", "os.fspath", "tqdm.tqdm",
         "tqdm.auto.tqdm", "tqdm.notebook.tqdm", "hydra.utils.to_absolute_path", "reversed", "iter", "next",
         "typing.cast", "set", "tuple", "click.format_filename"),
        _same,
    ),
    "os.path.dirname": _special_dirname,
    "os.path.basename": _special_basename,
    "os.path.splitext": _special_splitext,
    "str": _special_str,
    "int": _special_number,
    "float": _special_number,
    "len": _special_len,
    "zip": _special_zip,
    "enumerate": _special_enumerate,
    "range": _special_range,
    "list": _special_list,
    "sorted": _special_slice,
    "getattr": _special_getattr,
    "vars": _special_vars,
    "os.getcwd": _special_cwd,
    "pathlib.Path.cwd": _special_cwd,
    "argparse.ArgumentParser": _special_parser,
    "configargparse.ArgumentParser": _special_parser,
    "os.environ.get": _special_environment,
    "os.getenv": _special_environment,
    "dvc.api.params_show": _special_params_show,
    **dict.fromkeys(
        ("subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "subprocess.Popen",
         "os.system", "os.popen", "runpy.run_path", "papermill.execute_notebook"),
        _special_run,
    ),
    "sqlite3.connect": _special_sqlite,
    "os.makedirs": _special_mkdir,
    "os.mkdir": _special_mkdir,
    "glob.glob": _special_glob,
    "glob.iglob": _special_glob,
}  # fmt: skip
