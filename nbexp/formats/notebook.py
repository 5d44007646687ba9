"""Notebooks as data: what runs in one, what it means, and its form that equal results share.

A notebook is read with `json` alone; nbformat is loaded for files older than format 4 only. Cells have
one number throughout nbexp: code cells that have code in them, counted from 1, so that number n is the
cell that shows `In [n]` after a fresh run from top to bottom. A cell that papermill injected is not
counted, so the numbers of a source and of its executed copy agree.
"""

from __future__ import annotations

import ast
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from nbexp import hashing
from nbexp.errors import ProjectFileError
from nbexp.frozen import frozen

PARAMETERS, INJECTED = "parameters", "injected-parameters"
_RUN_TAGS = frozenset({PARAMETERS, INJECTED, "skip-execution", "raises-exception"})
# Magics of a cell whose body is Python like that of any other.
_PYTHON_MAGICS = frozenset({"time", "timeit", "capture", "prun", "exp"})


@frozen
class Cell:
    """A code cell: its number, its place among all cells from 0, and what it says."""

    number: int
    index: int
    source: str
    tags: frozenset[str]


@frozen
class Parameter:
    """A name that the parameters cell assigns.

    Attributes
    ----------
    text
        The default as it is written in the cell.
    type
        The name of the default's type, else of its annotation, else empty.
    value
        The default, where `is_literal`; None otherwise.
    is_literal
        The default stands there as a value that a params file can hold.
    """

    name: str
    text: str
    type: str
    value: object
    is_literal: bool


@frozen
class Parameters:
    """What a notebook can be given; `cell` is None when it has no such cell.

    `index` is the cell's place among all cells. `tagged` is False when no cell says that it holds
    parameters and the literal assignments of the first code cell stand in.
    """

    items: tuple[Parameter, ...]
    cell: int | None
    index: int | None
    tagged: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.items)

    def get(self, name: str) -> Parameter | None:
        return next((item for item in self.items if item.name == name), None)


@frozen
class Notebook:
    """A notebook's code; `kernel` and `language` are None where the file does not say."""

    path: str
    cells: tuple[Cell, ...]
    kernel: str | None
    language: str | None
    _tagged: Cell | None = None

    @property
    def is_python(self) -> bool:
        return (self.language or "python").lower() in {"python", "ipython"}


def read(data: bytes, path: str = "notebook") -> Notebook:
    """The notebook in `data`; `path` is what errors call it.

    Raises
    ------
    ProjectFileError
        The bytes are no notebook.
    """
    raw = _load(data, path)
    cells: list[Cell] = []
    tagged = None
    for index, cell in enumerate(raw["cells"]):
        if cell.get("cell_type") != "code":
            continue
        source, tags = _text(cell.get("source", "")), _tags(cell)
        runs = bool(source.strip()) and INJECTED not in tags
        code = Cell(len(cells) + 1 if runs else 0, index, source, tags)
        if runs:
            cells.append(code)
        if tagged is None and PARAMETERS in tags:
            tagged = code
    kernelspec, language = _section(raw, "kernelspec"), _section(raw, "language_info")
    return Notebook(
        path,
        tuple(cells),
        kernelspec.get("name"),
        language.get("name") or kernelspec.get("language"),
        tagged,
    )


def numbered(data: bytes, path: str = "notebook") -> list[tuple[int | None, str]]:
    """The code cells of a notebook: the number that each had when it ran last, and its source."""
    found: list[tuple[int | None, str]] = []
    for cell in _load(data, path)["cells"]:
        if cell.get("cell_type") == "code":
            count = cell.get("execution_count")
            number = count if isinstance(count, int) and not isinstance(count, bool) else None
            found.append((number, _text(cell.get("source", ""))))
    return found


@frozen
class Shown:
    """A cell as people see it; `number` is None of prose, and of parameters that papermill put in."""

    number: int | None
    is_code: bool
    source: str
    outputs: tuple[Mapping[str, object], ...] = ()


def shown(data: bytes, path: str = "notebook") -> list[Shown]:
    """All cells that are not empty, with their outputs; those of an old notebook in the form of the present one.

    Raises
    ------
    ProjectFileError
        The bytes are no notebook.
    """
    found: list[Shown] = []
    number = 0
    for cell in _load(data, path)["cells"]:
        source, is_code = _text(cell.get("source", "")), cell.get("cell_type") == "code"
        if not source.strip():
            continue
        runs = is_code and INJECTED not in _tags(cell)
        number += runs
        outputs = cell.get("outputs") if is_code else ()
        kept = (
            [one for one in outputs if isinstance(one, dict)] if isinstance(outputs, list) else ()
        )
        found.append(Shown(number if runs else None, is_code, source, tuple(kept)))
    return found


def parameters(notebook: Notebook) -> Parameters:
    """What the cell tagged `parameters` assigns, else the literals of the first code cell.

    Only the first tagged cell counts, as for papermill. Values that are no literals are listed there
    without one; of an untagged cell they are left out, because nothing says that they may be replaced.
    """
    cell = notebook._tagged
    if cell is not None:
        items = (
            _assigned(cell.source)
            if notebook.is_python
            else _assigned_elsewhere(cell.source, notebook.language or "")
        )
        return Parameters(tuple(items), cell.number or None, cell.index, tagged=True)
    if notebook.cells and notebook.is_python:
        cell = notebook.cells[0]
        items = [item for item in _assigned(cell.source) if item.is_literal]
        if items:
            return Parameters(tuple(items), cell.number, cell.index, tagged=False)
    return Parameters((), None, None, tagged=False)


def identity(data: bytes, path: str = "notebook") -> str:
    """A digest of what the notebook does: its code cells, which of them holds parameters, its kernel.

    Prose, outputs, counts and other metadata leave it as it is; so does space after a cell's last line.
    """
    raw = _load(data, path)
    cells = []
    for cell in raw["cells"]:
        source = _text(cell.get("source", "")).rstrip()
        if cell.get("cell_type") == "code" and source:
            cells.append([source, sorted(_tags(cell) & _RUN_TAGS)])
    meaning = [_section(raw, "kernelspec").get("name"), cells]
    return hashing.sha256(json.dumps(meaning).encode())


def syntax(source: str) -> ast.Module | None:
    """The cell as Python, with IPython's magics and shell lines as `pass`; None where it is none."""
    text = python(source)
    return None if text is None else _parse(text)


def python(source: str) -> str | None:
    """The text that `syntax` reads, line by line that of the cell; None where the cell is no Python."""
    start = source.lstrip()
    while start.startswith("%%"):
        magic, _, source = start.partition("\n")
        if re.split(r"\s", magic[2:], maxsplit=1)[0] not in _PYTHON_MAGICS:
            return None
        start = source.lstrip()
    if _parse(source) is not None:
        return source
    text = "\n".join(_without_magic(line) for line in source.splitlines())
    return text if _parse(text) is not None else None


def canonical(data: bytes, *, source: bytes | None = None, folders: Sequence[str] = ()) -> bytes:
    """The executed notebook without what differs between two runs that did the same.

    Gone are times, durations, papermill's bookkeeping, random ids, memory addresses, and machine
    paths; execution counts are the cells' numbers; outputs that a stream delivered in pieces are one,
    and of a progress bar its last state is left. The result ends with a newline, and is its own
    canonical form.

    Parameters
    ----------
    source
        The notebook before it was executed: cells get its ids back. One that has none, and without
        `source` each cell that has none, gets an id from its place.
    folders
        Absolute paths, of the workspace; paths below one of them become relative to it.
    """
    raw = _load(data, "notebook")
    clean = _cleaner(folders)
    ids = _ids(raw, source)
    number = 0
    for cell, cell_id in zip(raw["cells"], ids, strict=True):
        if cell_id is not None:
            cell["id"] = cell_id
        text = _text(cell.get("source", ""))
        _strip_metadata(cell)
        if cell.get("cell_type") == "code":
            is_injected = INJECTED in _tags(cell)
            number += bool(text.strip()) and not is_injected
            ran = cell.get("execution_count") is not None and not is_injected
            cell["execution_count"] = number if ran else None
            cell["outputs"] = _outputs(cell.get("outputs", []), cell["execution_count"], clean)
        cell["source"] = text.splitlines(keepends=True)
        for attachment in cell.get("attachments", {}).values():
            _split(attachment)
    metadata = raw["metadata"] = dict(raw.get("metadata", {}))
    given = _section(raw, "papermill").get("parameters")
    for key in ("papermill", "signature", "orig_nbformat", "orig_nbformat_minor"):
        metadata.pop(key, None)
    if given:
        metadata["papermill"] = {"parameters": given}
    if "language_info" in metadata:
        info = metadata["language_info"]
        metadata["language_info"] = {key: info[key] for key in info if key != "version"}
    if "widgets" in metadata:
        metadata["widgets"] = _strings(metadata["widgets"], clean)
    models = _models(raw)
    if models:  # before the keys are sorted, for some of them are ids
        raw = json.loads(re.sub("|".join(models), lambda match: models[match[0]], json.dumps(raw)))
    text = json.dumps(raw, indent=1, sort_keys=True, ensure_ascii=False, separators=(",", ": "))
    return (text + "\n").encode("utf-8", "replace")


# ---- reading


def _load(data: bytes, path: str) -> dict[str, Any]:
    try:
        raw = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ProjectFileError("this is no notebook (not UTF-8).", path=path) from None
    except json.JSONDecodeError as error:
        if b"\n<<<<<<< " in data:
            raise ProjectFileError(
                "the notebook has Git's conflict markers in it.",
                "resolve the merge first; `git checkout --ours` or `--theirs` takes one side.",
                path=path,
                line=error.lineno,
            ) from None
        what = "the file is empty" if not data.strip() else f"not JSON: {error.msg}"
        raise ProjectFileError(f"this is no notebook ({what}).", path=path) from None
    except RecursionError:
        raise ProjectFileError("this is no notebook (nested too deep).", path=path) from None
    if not isinstance(raw, dict) or not isinstance(raw.get("nbformat"), int):
        raise ProjectFileError("this is no notebook (it has no `nbformat`).", path=path)
    if raw["nbformat"] < 4:
        raw = _upgraded(data, path)
    elif raw["nbformat"] > 4:
        raise ProjectFileError(
            f"the notebook has format {raw['nbformat']}; the newest one known here is 4.",
            "save it in format 4 with the program that wrote it.",
            path=path,
        )
    cells = raw.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise ProjectFileError("this is no notebook (it has no list of cells).", path=path)
    return dict(raw)


def _upgraded(data: bytes, path: str) -> dict[str, Any]:
    import nbformat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            upgraded = nbformat.reads(data.decode(), as_version=4)  # type: ignore[no-untyped-call]
    except (nbformat.ValidationError, ValueError, KeyError, AttributeError, TypeError) as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise ProjectFileError(f"this old notebook cannot be read ({what}).", path=path) from None
    return dict(upgraded)


def _section(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    metadata = raw.get("metadata")
    section = metadata.get(name) if isinstance(metadata, Mapping) else None
    return section if isinstance(section, Mapping) else {}


def _text(value: object) -> str:
    if isinstance(value, list):
        return "".join(str(line) for line in value)
    return value if isinstance(value, str) else ""


def _tags(cell: Mapping[str, Any]) -> frozenset[str]:
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, Mapping) else None
    return frozenset(str(tag) for tag in tags) if isinstance(tags, list) else frozenset()


# ---- Python in cells


def _parse(source: str) -> ast.Module | None:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in the user's string is not our news
            tree = compile(source, "<cell>", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    assert isinstance(tree, ast.Module)
    return tree


_MAGIC_LINE = re.compile(r"(\s*)(?:[%!?].*|[\w.%]+\?{1,2}\s*)$")
_MAGIC_VALUE = re.compile(r"(\s*[\w, .\[\]'\"]+=\s*)[%!].*$")


def _without_magic(line: str) -> str:
    if found := _MAGIC_LINE.match(line):
        return f"{found[1]}pass"
    if found := _MAGIC_VALUE.match(line):
        return f"{found[1]}None"
    return line


def _assigned(source: str) -> list[Parameter]:
    tree = syntax(source)
    found: dict[str, Parameter] = {}
    for node in tree.body if tree is not None else ():
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            found[name] = _parameter(name, node.value, ast.unparse(node.annotation))
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for name, value in _pairs(target, node.value):
                    found[name] = _parameter(name, value)
    return list(found.values())


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple | ast.List):
        values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
        fits = len(values) == len(target.elts)
        for place, part in enumerate(target.elts):
            if isinstance(part, ast.Name):
                yield part.id, values[place] if fits else None


def _parameter(name: str, node: ast.expr | None, annotation: str = "") -> Parameter:
    text = ast.unparse(node) if node is not None else ""
    if node is not None:
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError, RecursionError, MemoryError):
            pass
        else:
            if _is_plain(value):
                return Parameter(name, text, type(value).__name__, value, is_literal=True)
    return Parameter(name, text, annotation, None, is_literal=False)


def _is_plain(value: object) -> bool:
    """Whether a params file can hold it: no set, no bytes, no complex number, also inside of a list.

    Nor a mapping with other keys than text, such as the weights of classes: DVC cannot show a params file that
    has one, and papermill makes text of its keys.
    """
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value) and all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _assigned_elsewhere(source: str, language: str) -> list[Parameter]:
    from nbexp.formats.assignments import assigned

    return [
        Parameter(
            one.name, one.text, _type_of(one.value, one.is_literal), one.value, one.is_literal
        )
        for one in assigned(source, language)
    ]


def _type_of(value: object, is_literal: bool) -> str:
    return type(value).__name__ if is_literal else ""


def plain_svg(text: str) -> str:
    """An SVG picture without what its program drew by lot: ids and the date."""
    return _plain_ids(text, "image/svg+xml")


# ---- the canonical form


def _ids(raw: dict[str, Any], source: bytes | None) -> list[str | None]:
    """An id for each cell; None where the notebook's format has none (before 4.5)."""
    cells = raw["cells"]
    if (raw["nbformat"], raw.get("nbformat_minor", 0)) < (4, 5):
        return [None] * len(cells)
    own = [cell for cell in cells if INJECTED not in _tags(cell)]
    given = own
    if source is not None:
        before = _load(source, "notebook")["cells"]
        kept = [cell for cell in before if INJECTED not in _tags(cell)]
        given = kept if len(kept) == len(own) else own
    by_place = iter([str(cell.get("id") or f"cell-{n}") for n, cell in enumerate(given, 1)])
    return [INJECTED if INJECTED in _tags(cell) else next(by_place) for cell in cells]


def _strip_metadata(cell: dict[str, Any]) -> None:
    metadata = dict(cell.get("metadata", {}))
    for key in ("papermill", "execution", "ExecuteTime", "trusted"):
        metadata.pop(key, None)
    if not metadata.get("tags", True):
        del metadata["tags"]  # papermill gives every cell a list of tags
    cell["metadata"] = metadata


def _outputs(
    outputs: Sequence[dict[str, Any]], count: int | None, clean: Callable[[str], str]
) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = []
    streams: dict[str, list[str]] = {}

    def end_streams() -> None:
        # ipykernel sends both streams before it sends anything else, so what lies between two other
        # outputs is always the same; how it was cut, and which stream came first, is chance.
        for name in sorted(streams, key=lambda name: (name != "stdout", name)):
            text = clean(_screen("".join(streams[name])))
            if text:
                lines = text.splitlines(keepends=True)
                result.append({"name": name, "output_type": "stream", "text": lines})
        streams.clear()

    for output in outputs:
        kind = output.get("output_type")
        if kind == "stream":
            streams.setdefault(output.get("name", "stdout"), []).append(_text(output.get("text")))
            continue
        end_streams()
        output = dict(output)
        if kind == "execute_result":
            output["execution_count"] = count
        if kind == "error":
            output["traceback"] = [clean(line) for line in output.get("traceback", [])]
            output["evalue"] = clean(str(output.get("evalue", "")))
        elif "data" in output:
            output["data"] = {
                mime: _clean_mime(mime, content, clean) for mime, content in output["data"].items()
            }
            _split(output["data"])
        result.append(output)
    end_streams()
    return result


def _clean_mime(mime: str, content: Any, clean: Callable[[str], str]) -> Any:
    if mime.endswith("json"):
        return _strings(content, clean)
    if not _is_text(mime):
        return content
    text = clean(_text(content))
    return _plain_ids(text, mime) if mime in {"text/html", "image/svg+xml"} else text


def _is_text(mime: str) -> bool:
    return mime.startswith("text/") or mime in {"application/javascript", "image/svg+xml"}


def _split(bundle: dict[str, Any]) -> None:
    """Text as a list of lines, as nbformat writes it (nbformat.v4.rwbase)."""
    for mime, content in bundle.items():
        if isinstance(content, str) and _is_text(mime):
            bundle[mime] = content.splitlines(keepends=True)


def _strings(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_strings(part, clean) for part in value]
    if isinstance(value, dict):
        return {key: _strings(part, clean) for key, part in value.items()}
    return value


_CONTROL = re.compile(r"(\r?\n|\r|\x08|\x1b\[A|\x1b\[2?K)")


def _screen(text: str) -> str:
    """What a terminal would show at the end: returns, backspaces and steps upwards carried out."""
    if "\r" not in text and "\x08" not in text and "\x1b[A" not in text:
        return text
    rows, row, at_start = [""], 0, False
    for part in _CONTROL.split(text):
        if part.endswith("\n"):
            row, at_start = row + 1, True
            if row == len(rows):
                rows.append("")
        elif part == "\r":
            at_start = True
        elif part == "\x08":
            rows[row] = rows[row][:-1]
        elif part == "\x1b[A":
            row = max(0, row - 1)
        elif part.startswith("\x1b[") and part.endswith("K"):
            rows[row] = "" if at_start else rows[row]
        elif part:
            # What was there is replaced as a whole, as notebook front ends do it; a bar that clears
            # itself with spaces leaves an empty line.
            rows[row] = part if at_start else rows[row] + part
            at_start = False
    return "\n".join(line if line.strip() else "" for line in rows)


_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,16}\b")
_FOLDER = r"(?:~|\b[A-Za-z]:)?(?:[\\/][^\s\"'<>:\\/]+)*[\\/]"
_CELL_FILE = re.compile(_FOLDER + r"ipykernel_\d+[\\/](\d+)\.py")
_PACKAGES = re.compile(_FOLDER + r"(?:site|dist)-packages[\\/]")
# tqdm: "[00:01<00:00,  9.81it/s, loss=0.5]"; what the user put behind the speed stays.
_SPEED = re.compile(r" ?\[\d+:\d\d(?::\d\d)?(?:<[^,\]]*)?,[^,\]]*(?:/s|s/)[^,\]]*(?:, ([^\]]*))?\]")
_KERAS = re.compile(r" \d+m?s \d+[mµun]?s/(?:step|epoch|sample)\b")
# IPython's %time and %timeit.
_CLOCK = re.compile(r"^(CPU times|Wall time): .*$", re.MULTILINE)
_LOOPS = re.compile(r"[\d.]+ [mµun]?s ± [\d.]+ [mµun]?s per loop \(.*\)")


def _cleaner(folders: Sequence[str]) -> Callable[[str], str]:
    spelled: set[str] = set()
    home = os.path.expanduser("~")
    for folder in folders:
        for path in {folder.rstrip("/\\"), os.path.realpath(folder)}:
            if path.count(os.sep) < 2:
                continue  # `/` or `/tmp` as a workspace: replacing it would garble other paths
            spelled.add(path)
            if path.startswith(home + os.sep):
                spelled.add("~" + path[len(home) :])  # as IPython shortens it in tracebacks
    # A path starts where none goes on to the left; `\x1b[32m` is a colour that tracebacks put there.
    places = "|".join(re.escape(path) for path in sorted(spelled, key=len, reverse=True))
    inside = re.compile(rf"(?:(?<=\dm)|(?<![\w.\-~]))(?:{places})(?:([/\\])|(?![\w.\-]))")

    def clean(text: str) -> str:
        if "ipykernel_" in text:
            text = _CELL_FILE.sub(r"ipykernel/\1.py", text)
        if "-packages" in text:
            text = _PACKAGES.sub("site-packages/", text)
        if spelled and any(path in text for path in spelled):
            text = inside.sub(lambda match: "" if match[1] else ".", text)
        if "at 0x" in text:
            text = _ADDRESS.sub("at 0x0", text)
        if "/s" in text or "s/" in text:
            text = _SPEED.sub(lambda match: f" [{match[1]}]" if match[1] else "", text)
            text = _KERAS.sub("", text)
        if "Wall time: " in text:
            text = _CLOCK.sub(r"\1: -", text)
        if " per loop (" in text:
            text = _LOOPS.sub("- per loop", text)
        return text

    def settled(text: str) -> str:
        # What is taken out can bring together what is to be taken out as well.
        while (cleaned := clean(text)) != text:
            text = cleaned
        return text

    return settled


_HTML_ID = re.compile(r"\bid=[\"']?([^\"'\s>]+)")
_RANDOM = {
    # altair, plotly and bokeh put 32 hex digits or a UUID into ids, pandas' Styler `T_` and five.
    "text/html": re.compile(
        r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\bT_[0-9a-f]{5}(?![0-9a-f])"
    ),
    # matplotlib: a letter and ten digits of a salted hash.
    "image/svg+xml": re.compile(r"^[a-zA-Z][0-9a-f]{10}$"),
}
_SVG_DATE = re.compile(r"<dc:date>[^<]*</dc:date>")


def _plain_ids(text: str, mime: str) -> str:
    if mime == "image/svg+xml":
        text = _SVG_DATE.sub("<dc:date></dc:date>", text)
    names: dict[str, str] = {}
    for found in _HTML_ID.finditer(text):
        for match in _RANDOM[mime].finditer(found[1]):
            if match[0] not in names:
                names[match[0]] = _numbered(match[0], len(names))
    if not names:
        return text
    longest_first = sorted(names, key=len, reverse=True)
    return re.sub("|".join(longest_first), lambda match: names[match[0]], text)


def _numbered(name: str, number: int) -> str:
    """`name` with its hex digits, but not a letter in front of them, counting instead."""
    if "-" in name:
        return f"{0:08x}-0000-0000-0000-{number:012x}"
    lead = re.match(r"T_|[a-zA-Z](?=[0-9a-f]{10}$)|", name)
    assert lead is not None
    return lead[0] + f"{number:x}".zfill(len(name) - len(lead[0]))


def _models(raw: Mapping[str, Any]) -> dict[str, str]:
    """New ids for widget models, in the order in which they are shown, then made."""
    found: dict[str, str] = {}

    def note(model: object) -> None:
        if isinstance(model, str) and re.fullmatch("[0-9a-f]{32}", model) and model not in found:
            found[model] = f"{len(found):032x}"

    for cell in raw["cells"]:
        for output in cell.get("outputs", []):
            view = output.get("data", {}).get("application/vnd.jupyter.widget-view+json")
            if isinstance(view, dict):
                note(view.get("model_id"))
    states = _section(raw, "widgets").get("application/vnd.jupyter.widget-state+json")
    for model in states.get("state", {}) if isinstance(states, dict) else ():
        note(model)
    return found
