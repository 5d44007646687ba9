"""dvc.lock: what each stage ran on and what came out of it, in the bytes DVC would write.

DVC writes YAML with ruamel.yaml's defaults, which folds, quotes and names shared values in ways of
its own. `dump` gives those very bytes: ordinary values (nearly all there are) are written by the
second half of this file, in a hundredth of the time; anything else, and a file that is not as DVC
leaves it (comments, other quotes), goes through ruamel.yaml. tests/formats/test_dvc_lock.py compares
the two on generated values, tests/conformance/test_bytes.py with real DVC (3.67.1, formats.md 3.1).
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

from nbexp.errors import ProjectFileError
from nbexp.formats import values
from nbexp.frozen import brief, field, frozen

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_source(path: str) -> bool:
    """Whether a dep is a URL or a dataset, and no file of the project.

    Examples
    --------
    >>> is_source("https://host/data.csv"), is_source("ds://pets"), is_source("data/raw.csv")
    (True, True, False)
    """
    return "://" in path and _URL.match(path) is not None


@frozen
class LockedPath:
    """A dep or out as it was: path as dvc.yaml spells it, MD5 (ending in `.dir` for a directory).

    `legacy` entries were written by DVC 2.x and hold the MD5 of text with Unix line ends. An `md5` of
    "" means that the content is not known.
    """

    path: str
    md5: str
    size: int | None = None
    nfiles: int | None = None
    isexec: bool = False
    legacy: bool = False

    def entry(self) -> dict[str, object]:
        """As dvc.lock has it, keys in DVC's order."""
        found: dict[str, object] = {"path": self.path}
        if not self.legacy:
            found["hash"] = "md5"
        if self.md5:
            found["md5"] = self.md5
        if self.size is not None:
            found["size"] = self.size
        if self.nfiles is not None:
            found["nfiles"] = self.nfiles
        if self.isexec:
            found["isexec"] = True
        return found


@frozen
class LockedSource:
    """A dep that is no file of the project, as it was: a URL, or a dataset (`ds://name`).

    `state` is what DVC keeps of it, in the order of the file: `hash`, `checksum` or `etag`, and `size` of a
    URL; `dataset` of a dataset, with the entry that dvc.lock had of it (formats.md 2.1; DVC 3.67.1).
    """

    path: str
    state: Mapping[str, object] = field(hash=False)

    def entry(self) -> dict[str, object]:
        """As dvc.lock has it."""
        return {"path": self.path, **copy.deepcopy(dict(self.state))}


@frozen
class LockedStage:
    """A stage's entry. The order of deps, outs and params is that of the file; DVC sorts each by path.

    `params` maps a params file to its keys, dotted as dvc.yaml has them, and their values. `sources` are
    those deps that are no files of the project.
    """

    __repr__ = brief

    cmd: str | tuple[str, ...]
    deps: tuple[LockedPath, ...] = ()
    params: Mapping[str, Mapping[str, object]] = field(default_factory=dict, hash=False)
    outs: tuple[LockedPath, ...] = ()
    sources: tuple[LockedSource, ...] = ()

    def entry(self) -> dict[str, object]:
        """The entry as plain values in the order of the file: for `run_cache` and for writing."""
        found: dict[str, object] = {
            "cmd": self.cmd if isinstance(self.cmd, str) else list(self.cmd)
        }
        if self.sources:
            entries = [*(dep.entry() for dep in self.deps), *(one.entry() for one in self.sources)]
            found["deps"] = sorted(entries, key=lambda entry: str(entry["path"]))
        elif self.deps:
            found["deps"] = [dep.entry() for dep in self.deps]
        if self.params:
            found["params"] = {path: dict(keys) for path, keys in self.params.items()}
        if self.outs:
            found["outs"] = [out.entry() for out in self.outs]
        return found

    @classmethod
    def from_entry(cls, entry: object) -> LockedStage | None:
        """The stage of an entry; None if there is more in it than files, directories, sources and params.

        Entries about cloud versions are DVC's alone.
        """
        if not isinstance(entry, Mapping) or not _STAGE_KEYS.issuperset(entry):
            return None
        cmd = entry.get("cmd")
        if isinstance(cmd, list) and all(isinstance(command, str) for command in cmd):
            cmd = tuple(cmd)
        elif not isinstance(cmd, str):
            return None
        listed, sources = _without_sources(entry.get("deps", []))
        deps, outs = _paths(listed), _paths(entry.get("outs", []))
        params = entry.get("params", {})
        if deps is None or outs is None or not isinstance(params, Mapping):
            return None
        for path, keys in params.items():
            if not (isinstance(path, str) and isinstance(keys, Mapping)):
                return None
            if not all(isinstance(key, str) for key in keys):
                return None
        return cls(cmd, deps, params, outs, sources)


@frozen
class LockFile:
    """A dvc.lock: its stages in the order they were first written.

    A stage that is no `LockedStage` is kept as it is in the file, as are all other parts of the file.
    """

    stages: Mapping[str, LockedStage | Mapping[str, object]]
    others: Mapping[str, object] = field(default_factory=dict)
    """What else the file has at its top, `datasets` for one."""
    _origin: _Origin | None = field(default=None, repr=False, compare=False)
    _changed: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def with_stage(self, name: str, stage: LockedStage) -> LockFile:
        """The same with this entry: in its old place, or at the end."""
        return self.with_stages({name: stage})

    def with_stages(self, entries: Mapping[str, LockedStage]) -> LockFile:
        """The same with these entries: in their old places, or at the end in the order given."""
        return LockFile(
            {**self.stages, **entries},
            self.others,
            self._origin or _Origin(b""),
            self._changed.union(entries),
        )

    def dump(self) -> bytes:
        """The file's bytes, as DVC would write them after the same changes to the same file.

        Notes
        -----
        Linear in the size of the file, except that stages written before are not written anew.
        """
        origin = self._origin or _Origin(b"")
        if not origin.is_ordinary():
            return self._careful(origin)
        try:
            return self._quick(origin)
        except _Unusual:
            return self._careful(origin)

    def _quick(self, origin: _Origin) -> bytes:
        blocks = [_head(self.others, bool(self.stages), {})]
        blocks += [origin.block(name, stage) for name, stage in self.stages.items()]
        return "".join(blocks).encode("utf-8")

    def _careful(self, origin: _Origin) -> bytes:
        """As DVC goes about it: read with all that surrounds the values, put entries in, write."""
        from ruamel.yaml import YAML

        tree = YAML().load(origin.data) or {"schema": SCHEMA, **self.others}
        stages = tree.setdefault("stages", {})
        for name in [name for name in stages if name not in self.stages]:
            del stages[name]
        for name, stage in self.stages.items():
            if name in self._changed or name not in stages:
                stages[name] = _unshared(stage)
        return _ruamel(tree)


SCHEMA = "2.0"
# Nobody writes it by hand: a pipeline of 10,000 stages has some 30 values in each.
_MAX_LEAVES = 1_000_000
_STAGE_KEYS = frozenset({"cmd", "deps", "params", "outs"})
_PATH_KEYS = frozenset({"path", "hash", "md5", "size", "nfiles", "isexec"})


@lru_cache(maxsize=16)  # one run looks at the same bytes four times
def parse(data: bytes, path: str) -> LockFile:
    """The dvc.lock that these bytes are; an empty file has no stages.

    Raises
    ------
    ProjectFileError
        It is no YAML, left in the middle of a merge, or not of the form DVC 2 and later write.
    """
    check_merged(data, path)
    tree = values.parse(data, path, max_leaves=_MAX_LEAVES)
    if tree == {}:
        return LockFile({}, {}, _Origin(data))
    if not isinstance(tree, Mapping):
        raise ProjectFileError("this is no dvc.lock.", _ANEW, path=path)
    if str(tree.get("schema")) != SCHEMA:
        raise ProjectFileError(
            f"its schema is `{tree.get('schema', 'missing')}`; only {SCHEMA} is known.",
            _ANEW,
            path=path,
        )
    found = tree.get("stages", {})
    if not isinstance(found, Mapping):
        raise ProjectFileError("`stages` is no mapping of names to entries.", _ANEW, path=path)
    stages: dict[str, LockedStage | Mapping[str, object]] = {}
    for name, entry in found.items():
        if not isinstance(name, str) or not isinstance(entry, Mapping):
            raise ProjectFileError(f"the entry of stage `{name}` is no mapping.", _ANEW, path=path)
        stages[name] = LockedStage.from_entry(entry) or entry
    others = {key: value for key, value in tree.items() if key not in {"schema", "stages"}}
    return LockFile(stages, others, _Origin(data, stages, others))


def parse_entry(data: bytes | Mapping[str, object]) -> LockedStage | None:
    """A stage's entry on its own, as the run cache keeps it; None if it is damaged or DVC's alone."""
    if isinstance(data, bytes):
        try:
            return LockedStage.from_entry(values.parse(data, "dvc.lock"))
        except ProjectFileError:
            return None
    return LockedStage.from_entry(data)


def dump_entry(stage: LockedStage) -> bytes:
    """The bytes of an entry on its own, as DVC writes it into the run cache."""
    try:
        return _quick(stage.entry())
    except _Unusual:
        return _ruamel(_unshared(stage))


def dump_tree(tree: Mapping[str, object]) -> bytes:
    r"""Any plain values as DVC writes them.

    Examples
    --------
    >>> dump_tree({"a": {"b": [1, 1e-5], "c": "yes: no"}})
    b"a:\n  b:\n  - 1\n  - 1e-05\n  c: 'yes: no'\n"
    """
    try:
        # What ruamel.yaml read carries comments, which only it can write.
        return _quick(tree) if type(tree) is dict else _ruamel(tree)
    except _Unusual:
        return _ruamel(tree)


_ANEW = (
    "`git checkout dvc.lock` gives the committed one back; without the file, every stage runs once."
)


def check_merged(data: bytes, path: str) -> None:
    """Refuse a file that Git left with its marks around two versions of a line."""
    conflict = re.search(rb"^<<<<<<< ", data, re.MULTILINE)
    if conflict:
        raise ProjectFileError(
            "this file has the conflict marks of a Git merge.",
            f"resolve them, or keep this branch's file: `git checkout --ours {path}`.",
            path=path,
            line=data.count(b"\n", 0, conflict.start()) + 1,
        )


def _without_sources(found: object) -> tuple[object, tuple[LockedSource, ...]]:
    """The deps that are files, and those that are not."""
    if not isinstance(found, list):
        return found, ()
    files, sources = [], []
    for entry in found:
        path = entry.get("path") if isinstance(entry, Mapping) else None
        if isinstance(path, str) and is_source(path):
            sources.append(LockedSource(path, {k: entry[k] for k in entry if k != "path"}))
        else:
            files.append(entry)
    return files, tuple(sources)


def _paths(found: object) -> tuple[LockedPath, ...] | None:
    if not isinstance(found, list):
        return None
    paths = []
    for entry in found:
        if not isinstance(entry, Mapping) or not _PATH_KEYS.issuperset(entry):
            return None
        path, md5, kind = entry.get("path"), entry.get("md5", ""), entry.get("hash")
        size, nfiles, isexec = entry.get("size"), entry.get("nfiles"), entry.get("isexec", False)
        if not (isinstance(path, str) and isinstance(md5, str) and kind in {"md5", None}):
            return None
        if not (isinstance(size, int | None) and isinstance(nfiles, int | None)):
            return None
        if not isinstance(isexec, bool):
            return None
        paths.append(LockedPath(path, md5, size, nfiles, isexec, kind is None))
    return tuple(paths)


class _Origin:
    """The bytes a lock file was read from, and the text of each stage as far as it was written."""

    def __init__(
        self,
        data: bytes,
        stages: Mapping[str, LockedStage | Mapping[str, object]] | None = None,
        others: Mapping[str, object] | None = None,
    ) -> None:
        self.data = data
        self._stages = stages or {}
        self._others = others or {}
        self._ordinary: bool | None = None if data.strip() else True
        self._blocks: dict[str, tuple[object, str]] = {}

    def is_ordinary(self) -> bool:
        """Whether DVC would write just these bytes for what is in them."""
        if self._ordinary is None:
            # One memory for the whole file: what two stages share there is an alias.
            seen: dict[int, object] = {}
            try:
                parts = [_head(self._others, bool(self._stages), seen)]
                for name, stage in self._stages.items():
                    block = _block(name, stage, seen)
                    self._blocks[name] = (stage, block)
                    parts.append(block)
                self._ordinary = "".join(parts).encode("utf-8") == self.data
            except _Unusual:
                self._ordinary = False
        return self._ordinary

    def block(self, name: str, stage: LockedStage | Mapping[str, object]) -> str:
        """The lines of one stage."""
        known = self._blocks.get(name)
        if known is None or known[0] is not stage:
            known = self._blocks[name] = (stage, _block(name, stage, {}))
        return known[1]


def _head(others: Mapping[str, object], has_stages: bool, seen: dict[int, object]) -> str:
    lines: list[str] = []
    _write_mapping(lines, {"schema": SCHEMA, **others}, 0, "", seen)
    return "\n".join([*lines, "stages:\n" if has_stages else "stages: {}\n"])


def _block(name: str, stage: LockedStage | Mapping[str, object], seen: dict[int, object]) -> str:
    lines: list[str] = []
    entry = stage.entry() if isinstance(stage, LockedStage) else stage
    _write_mapping(lines, {name: entry}, 2, "  ", seen)
    return "\n".join([*lines, ""])


# --- Writing YAML as ruamel.yaml does, through it ------------------------------------------------


def _ruamel(tree: object) -> bytes:
    import io

    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import ScalarNode
    from ruamel.yaml.representer import RoundTripRepresenter
    from ruamel.yaml.scalarfloat import ScalarFloat

    class Exact(RoundTripRepresenter):
        """Writes a float that was read as the float it is: ruamel.yaml may drop its last digit."""

        def represent_scalar_float(self, data: ScalarFloat) -> ScalarNode:
            node: ScalarNode = super().represent_scalar_float(data)
            if float(node.value.replace("_", "")) != data:
                node.value = repr(float(data))
            return node

    Exact.add_representer(ScalarFloat, Exact.represent_scalar_float)
    yaml = YAML()
    yaml.Representer = Exact
    yaml.default_flow_style = False
    stream = io.BytesIO()
    yaml.dump(tree, stream)
    return stream.getvalue()


def _unshared(stage: LockedStage | Mapping[str, object]) -> Mapping[str, object]:
    """The entry with each params file's values copied.

    An object that is in two places is written as anchor and alias. DVC reads a params file once for
    each stage, so within one stage and file there may be aliases in the lock, elsewhere not.
    """
    if not isinstance(stage, LockedStage):
        return stage
    entry = stage.entry()
    if stage.params:
        entry["params"] = {path: copy.deepcopy(dict(keys)) for path, keys in stage.params.items()}
    return entry


# --- Writing YAML as ruamel.yaml does, without it ------------------------------------------------
#
# Block style, two columns for each level, lists not indented below their key. Lines are folded near
# column 80, by rules that were read off what ruamel.yaml 0.19 writes.

_WIDTH = 80


class _Unusual(Exception):
    """A value that only ruamel.yaml knows how to write."""


def _quick(tree: Mapping[str, object]) -> bytes:
    if not tree:
        return b"{}\n"
    lines: list[str] = []
    _write_mapping(lines, tree, 0, "", {})
    return "\n".join([*lines, ""]).encode("utf-8")


def _write_mapping(
    lines: list[str],
    mapping: Mapping[str, object],
    indent: int,
    first: str,
    seen: dict[int, object],
) -> None:
    """Write a mapping whose keys stand in column `indent`; `first` is what goes before the first key."""
    lead = first
    for key, value in mapping.items():
        if type(key) is not str or (indent + len(key) > _WIDTH and " " in key):
            raise _Unusual
        start = f"{lead}{_key(key)}:"
        kind = type(value)
        if kind is str or value is None or kind in _PLAIN_KINDS:
            lines.append(start + _scalar(value, len(start), indent + 2))
        else:
            _write_collection(lines, value, indent + 2, indent, start, None, seen)
        lead = " " * indent


def _write_sequence(
    lines: list[str], sequence: Sequence[object], indent: int, first: str, seen: dict[int, object]
) -> None:
    """Write a list whose dashes stand in column `indent`."""
    lead = first
    for value in sequence:
        start = f"{lead}-"
        kind = type(value)
        if kind is str or value is None or kind in _PLAIN_KINDS:
            lines.append(start + (_scalar(value, len(start), indent + 2) or " "))
        else:
            _write_collection(lines, value, indent + 2, indent + 2, start, f"{start} ", seen)
        lead = " " * indent


def _write_collection(
    lines: list[str],
    value: object,
    mapping_indent: int,
    sequence_indent: int,
    start: str,
    first: str | None,
    seen: dict[int, object],
) -> None:
    """Write a mapping or list after `start`: on the same line after `first`, or below it if None."""
    if id(value) in seen:
        raise _Unusual
    seen[id(value)] = value
    if type(value) is dict:
        if not value:
            lines.append(f"{start} {{}}")
            return
        if first is None:
            lines.append(start)
            first = " " * mapping_indent
        _write_mapping(lines, value, mapping_indent, first, seen)
    elif type(value) is list:
        if not value:
            lines.append(f"{start} []")
            return
        if first is None:
            lines.append(start)
            first = " " * sequence_indent
        _write_sequence(lines, value, sequence_indent, first, seen)
    else:
        raise _Unusual


_PLAIN_KINDS = frozenset({bool, int, float})

# Letters that are written as they are: printable, and no line end by any of YAML's rules.
_LETTERS = r"\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"


@cache
def _printable() -> re.Pattern[str]:
    """What is printable; it takes 6 ms to compile, and nearly every lock is ASCII."""
    return re.compile(rf"[{_LETTERS}]*")


def _is_printable(text: str) -> bool:
    return text.isprintable() if text.isascii() else _printable().fullmatch(text) is not None


def _is_simple(text: str) -> bool:
    """Whether it needs no quotes as text: no indicator at its start, no `: ` and no ` #` in it."""
    if not text or text[0] in _INDICATORS or text[-1] in ": " or not _is_printable(text):
        return False
    if text[0] in "?:-" and text[1:2] in {"", " "}:
        return False
    return ": " not in text and " #" not in text and text[:3] not in {"---", "..."}


# What would not be read back as text without quotes (YAML 1.2 as ruamel.yaml has it).
_WORDS = frozenset(
    ["true", "True", "TRUE", "false", "False", "FALSE", "null", "Null", "NULL", "~", "<<", "="]
)
_INDICATORS = frozenset(" #,[]{}&*!|>'\"%@`")
# What a number or date that begins with a digit consists of, `0x` and its kind apart.
_IN_NUMBERS = frozenset("0123456789_.eE+-TtZ: \t")
_NUMBERS = r"""[-+]?0b[0-1_]+ | [-+]?0o?[0-7_]+ | [-+]?[0-9_]+ | [-+]?0x[0-9a-fA-F_]+
    | [-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)? | [-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    | [-+]?\.[0-9_]+(?:[eE][-+][0-9]+)? | [-+]?\.(?:inf|Inf|INF) | \.(?:nan|NaN|NAN)
    | [0-9]{4}-[0-9]{2}-[0-9]{2}
    | [0-9]{4}-[0-9]{2}?-[0-9]{2}?(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?
      (?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?"""
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


@lru_cache(maxsize=1024)
def _key(key: str) -> str:
    # Longer ones are folded or get a `?`; nobody types such a key.
    if not 0 < len(key) < 60 or not _is_printable(key):
        raise _Unusual
    if _is_unquoted(key):
        return key
    if "'" in key:
        raise _Unusual
    return f"'{key}'"


def _scalar(value: object, column: int, indent: int) -> str:
    """One value with the space before it; `column` is how far the line is, `indent` where it goes on."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _text(value, column, indent)
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and not math.isfinite(value):
        text = ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    else:
        text = repr(value)
    return _unquoted(text, column, indent)


def _text(text: str, column: int, indent: int) -> str:
    if _is_unquoted(text):
        return _unquoted(text, column, indent)
    if "'" not in text and _is_printable(text):
        if column + 2 + len(text) <= _WIDTH:
            return f" '{text}'"
        return _folded_in_quotes(text, column, indent)
    escaped = "".join(_ESCAPED.get(letter, letter) for letter in text)
    if not _is_printable(escaped) or column + 2 + len(escaped) > _WIDTH:
        raise _Unusual
    return f' "{escaped}"'


def _is_unquoted(text: str) -> bool:
    if not _is_simple(text) or text in _WORDS:
        return False
    if text[0] not in "-+.0123456789":
        return True
    has_prefix = text[:2] in {"0b", "0o", "0x"}
    if text[0].isdigit() and not has_prefix and not _IN_NUMBERS.issuperset(text):
        return True  # a digest, nearly always
    return not re.fullmatch(_NUMBERS, text, re.VERBOSE)


def _unquoted(text: str, column: int, indent: int) -> str:
    """Text as it is: a line ends before a word that would cross the margin, and at a space beyond it."""
    if column + 1 + len(text) <= _WIDTH:
        return f" {text}"
    parts = [" "]
    column += 1
    for word in re.findall(r" +|[^ ]+", text):
        if word == " " and column >= _WIDTH:
            parts.append("\n" + " " * indent)
            column = indent
            continue
        # The space before a word that goes to the next line stays, at the end of this one.
        if word[0] != " " and column + len(word) > _WIDTH and column > indent:
            parts.append("\n" + " " * indent)
            column = indent
        parts.append(word)
        column += len(word)
    return "".join(parts)


def _folded_in_quotes(text: str, column: int, indent: int) -> str:
    """Text in single quotes: a line ends at the first single space beyond the margin."""
    parts = [" '"]
    column += 2
    words = re.findall(r" +|[^ ]+", text)
    for number, word in enumerate(words):
        if word == " " and column > _WIDTH and 0 < number < len(words) - 1:
            parts.append("\n" + " " * indent)
            column = indent
        else:
            parts.append(word)
            column += len(word)
    return "".join([*parts, "'"])
