r"""Templates of dvc.yaml: `${train.lr}` filled in from params.yaml and `vars`, as DVC 3.67.1 does (formats.md 2.4).

A context is what may be named in a template: the tree of params.yaml beside the file, with those of `vars` merged
into it. A text that is one template alone becomes the value with its type, any other gets the value's text;
`\${` stands for `${`. What was filled in is not read again, so no text can grow by itself.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from nbexp.errors import nearest
from nbexp.formats import values

Read = Callable[[str], bytes | None]
"""Gives the bytes of a path relative to the project's root; None where there is no file."""

Parsing = Mapping[str, object]
"""DVC's section `parsing` of the configuration: `bool` and `list` say how a mapping is written in a `cmd`."""

# What one dvc.yaml may come to. More is a mistake in a `matrix`, or meant to do harm.
MAX_STAGES = 10_000
MAX_TEXT = 32 * 2**20

# As DVC has it: whatever stands between `${` and the next `}` of the line, unless a `\` is before it.
_TEMPLATE = r"(?<!\\)\$\{(.*?)\}"
_NAME = r"[^.\[\]]+(?:\s*\.[^.\[\]]+|\s*\[[^.\[\]]+\])*\s*"
_OF_A_SHELL = r"[A-Z_][A-Z0-9_]*(?:[:#%/].*)?"


class Unfilled(Exception):
    """What is wrong with a template or with `vars`, to go on behind the name of the value that has it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Node:
    """A value of a context, which knows the file it is from and its dotted key there.

    `inner` is a scalar, or a mapping or list of nodes. `file` is None where the value is not from a file.
    """

    __slots__ = ("file", "inner", "key")

    def __init__(self, inner: object, file: str | None = None, key: str = "") -> None:
        self.inner = inner
        self.file = file
        self.key = key

    @property
    def value(self) -> object:
        """In Python's own types."""
        if isinstance(self.inner, dict):
            return {key: node.value for key, node in self.inner.items()}
        if isinstance(self.inner, list):
            return [node.value for node in self.inner]
        return self.inner


def node(value: object, file: str | None = None, key: str = "") -> Node:
    """A tree as nodes; keys that are no text cannot be named and are left out, nodes in it stay what they are."""
    if isinstance(value, Node):
        return value
    dot = "." if key else ""
    if isinstance(value, Mapping):
        inner = {
            name: node(below, file, f"{key}{dot}{name}")
            for name, below in value.items()
            if isinstance(name, str)
        }
        return Node(inner, file, key)
    if isinstance(value, (list, tuple)):
        return Node([node(one, file, f"{key}{dot}{n}") for n, one in enumerate(value)], file, key)
    return Node(value, file, key)


class Context:
    """What templates may name, and what they named: `used` has the values taken, by file and key.

    Parameters
    ----------
    parsing
        Asked when a mapping is filled into a `cmd`.
    """

    def __init__(self, read: Read, parsing: Callable[[], Parsing]) -> None:
        self.used: dict[str, dict[str, object]] = {}
        self._read = read
        self._parsing = parsing
        self._names: dict[str, Node] = {}
        self._kept: frozenset[str] = frozenset()
        # Which keys of a file are in; None: all of them.
        self._loaded: dict[str, list[str] | None] = {}
        self._written = [0]

    def copy(self, **bound: object) -> Context:
        """Another of the same names, and of those in `bound`, which no `vars` may then change."""
        new = Context(self._read, self._parsing)
        new._names = {**self._names, **{name: node(value) for name, value in bound.items()}}
        new._kept = self._kept | {*bound}
        new._loaded = {file: keys and [*keys] for file, keys in self._loaded.items()}
        new._written = self._written
        return new

    def has(self, name: str) -> bool:
        """Whether a template may name it, at the top."""
        return name in self._names

    # --- vars

    def load_default(self, path: str) -> None:
        """Merge params.yaml, which is there without being named, if it is there."""
        if self._read(path) is not None:
            self._load(path, path, [])

    def load(self, item: object, folder: str) -> None:
        """Merge one item of `vars`: a mapping, or a file (relative to `folder`), with `:key1,key2` parts of it.

        Raises
        ------
        Unfilled
            It sets what is set already, names a file that is not there or is loaded in another way, or has
            a template.
        """
        if _has_template(item):
            raise Unfilled("has a template; `vars` are what templates name, and take none.")
        if isinstance(item, Mapping):
            self._merge(node(item))
            return
        if not isinstance(item, str):
            raise Unfilled("is neither a file nor a mapping.")
        path, _, listed = item.partition(":")
        place = posixpath.normpath(posixpath.join(folder, path))
        if place == ".." or place.startswith(("../", "/")):
            raise Unfilled(f"names `{path}`, which leads out of the project.")
        self._load(place, item, [key for key in listed.split(",") if key])

    def _load(self, place: str, item: str, keys: list[str]) -> None:
        if place in self._loaded:
            known = self._loaded[place]
            if known is None and not keys:
                return
            if known is None:
                raise Unfilled(
                    f"loads parts of {place}, which is loaded as a whole.",
                    f"take `{item}` out; what is in {place} may be named already.",
                )
            if not keys or set(keys) & set(known):
                raise Unfilled(
                    f"loads {place} again, of which `{', '.join(known)}` is loaded.",
                    "name each part of a file once.",
                )
        data = self._read(place)
        if data is None:
            raise Unfilled(f"names {place}, and there is no such file.")
        tree = values.parse(data, place)
        if not isinstance(tree, Mapping):
            raise Unfilled(f"names {place}, which holds no mapping.")
        for key in keys:
            if key not in tree:
                near = nearest(key, map(str, tree))
                hint = f"did you mean `{place}:{near}`?" if near else None
                raise Unfilled(f"names `{key}` of {place}, and there is no such key.", hint)
        wanted = {key: tree[key] for key in keys} if keys else tree
        self._merge(node(wanted, place))
        if not keys:
            self._loaded[place] = None
        else:
            self._loaded[place] = [*(self._loaded.get(place) or ()), *keys]

    def _merge(self, more: Node) -> None:
        assert isinstance(more.inner, dict)
        taken = [name for name in more.inner if name in self._kept]
        if taken:
            raise Unfilled(
                f"sets `{taken[0]}`, which stands for what `foreach` or `matrix` goes through.",
                "give it another name.",
            )
        self._names = _merged(self._names, more.inner, "")

    # --- filling in

    def fill(self, text: str, key: str | None = None) -> object:
        r"""The text with its templates filled in, and `\${` made `${`.

        Parameters
        ----------
        key
            The key of the stage that has the text. Only in `cmd` a mapping may be filled in, written as
            options of a command; with None anything may.
        """
        if "${" not in text:
            return text
        name = _alone(text)
        if name is not None:
            value = self.find(name).value
            _check(text, value, key)
            self.spend(value)
            return value
        parts, end = [], 0
        for match in re.finditer(_TEMPLATE, text):
            value = self.find(match[1]).value
            _check(match[0], value, key)
            parts += [text[end : match.start()], self._text(value, match[0])]
            end = match.end()
        filled = "".join([*parts, text[end:]]).replace("\\${", "${")
        self.spend(filled)
        return filled

    def spend(self, value: object) -> None:
        """Count what is made of a file, and refuse it when that is more than anybody writes."""
        self._written[0] += len(value) if isinstance(value, str) else len(repr(value))
        if self._written[0] > MAX_TEXT:
            raise Unfilled(
                f"makes more than {MAX_TEXT // 2**20} MB of this file when templates are filled in."
            )

    def nodes(self, value: object) -> object:
        """A value of `foreach` or `matrix`: where a text is one template alone, the node that it names."""
        if isinstance(value, str):
            name = _alone(value)
            return self.fill(value) if name is None else self.find(name)
        if isinstance(value, Mapping):
            return {self._key(key): self.nodes(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.nodes(inner) for inner in value]
        return value

    def find(self, name: str) -> Node:
        """The node of a name as it stands between `${` and `}`."""
        if not re.fullmatch(_NAME, name):
            raise Unfilled(
                f"has `${{{name}}}`, which is no template.",
                f"names are like `${{train.lr}}` or `${{models[0]}}`; for the shell's own write `\\${{{name}}}`.",
            )
        found = self._find(name)
        if found is None:
            raise self._unknown(name)
        if found.file is not None and not isinstance(found.inner, dict):
            self.used.setdefault(found.file, {})[found.key] = found.value
        return found

    def _find(self, name: str) -> Node | None:
        below: Node | None = Node(self._names)
        for part in name.replace("[", ".").replace("]", "").split("."):
            inner = below.inner if below is not None else None
            step = part.strip()
            if isinstance(inner, dict):
                below = inner.get(step)
            elif isinstance(inner, list):
                below = _item(inner, step)
            else:
                return None
        return below

    def _key(self, key: object) -> object:
        return self.fill(key) if isinstance(key, str) else key

    def _text(self, value: object, template: str) -> str:
        return options(value, self._parsing(), template) if isinstance(value, dict) else text(value)

    def _unknown(self, name: str) -> Unfilled:
        said = f"has `${{{name}}}`, and "
        known = [*_names(Node(self._names), "")]
        files = [*self._loaded]
        where = f" in {' or '.join(files)}" if files else ""
        said += f"there is no `{name}`{where}." if known else "there is nothing that it could name."
        near = nearest(name.strip(), known)
        if near:
            return Unfilled(said, f"did you mean `${{{near}}}`?")
        if re.fullmatch(_OF_A_SHELL, name) or not known:
            return Unfilled(said, f"for a variable of the shell write `\\${{{name}}}`.")
        return Unfilled(said, f"there are {', '.join(known[:8])}{', …' * (len(known) > 8)}.")


def text(value: object) -> str:
    """A scalar as it stands in a text: `true` and `false` for the two, `None` for nothing, as in DVC."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def options(value: Mapping[str, object], parsing: Parsing, template: str) -> str:
    """A mapping as the options of a command: `--lr 0.1 --shuffle --layers 64 32`."""
    negates = parsing.get("bool") == "boolean_optional"
    repeats = parsing.get("list") == "append"
    words: list[str] = []
    for key, one in _flat(value, ""):
        if isinstance(one, bool):
            words += [f"--{key}"] if one else [f"--no-{key}"] * negates
        elif isinstance(one, list):
            if any(isinstance(inner, (list, Mapping)) for inner in one):
                raise Unfilled(
                    f"has `{template}`, where `{key}` is a list with lists or mappings in it; "
                    "no option of a command holds that."
                )
            items = [_word(inner) for inner in one]
            if repeats:
                words += [f"--{key} {item}" for item in items]
            elif items:
                words.append(f"--{key} {' '.join(items)}")
        else:
            words.append(f"--{key} {_word(one)}")
    return " ".join(words).rstrip()


def generated(found: object) -> Iterator[tuple[str, dict[str, object]]]:
    """For each stage of a `foreach`: the key in its name, and what `item` and `key` are.

    Raises
    ------
    Unfilled
        It is neither a list nor a mapping, or has too many stages.
    """
    inner = found.inner if isinstance(found, Node) else found
    if not isinstance(inner, (list, Mapping)):
        raise Unfilled("is neither a list nor a mapping.")
    _check_count(len(inner))
    if isinstance(inner, Mapping):
        named = {shown(key): item for key, item in inner.items()}
    elif any(map(_is_deep, inner)):
        named = {str(number): item for number, item in enumerate(inner)}
    else:
        named = {shown(item): item for item in inner}
    for key, item in named.items():
        _check_key(key)
        yield key, {"item": item, "key": key} if isinstance(inner, Mapping) else {"item": item}


def combined(axes: Mapping[object, object]) -> Iterator[tuple[str, dict[str, object]]]:
    """For each stage of a `matrix`: the key in its name, and what `item` and `key` are.

    Raises
    ------
    Unfilled
        An axis is no list, or there are too many combinations.
    """
    import itertools

    if not axes:
        raise Unfilled("has no axes.", "write it as `matrix: {model: [cnn, xgb]}`.")
    lists: list[list[tuple[str, object]]] = []
    for name, values_of in axes.items():
        inner = values_of.inner if isinstance(values_of, Node) else values_of
        if not isinstance(inner, (list, Mapping)):
            raise Unfilled(f"has an axis `{name}`, which is no list.")
        lists.append(
            [
                (f"{name}{number}" if _is_deep(one) else shown(one), one)
                for number, one in enumerate(inner)
            ]
        )
    _check_count(math.prod(map(len, lists)))
    found = {}
    for combination in itertools.product(*lists):
        key = "-".join(part for part, _ in combination)
        found[key] = dict(zip(axes, (one for _, one in combination), strict=True))
    for key, item in found.items():
        _check_key(key)
        yield key, {"item": item, "key": key}


def shown(value: object) -> str:
    """A key or an item as it stands in the name of a stage."""
    # A node of a context is `True` there and a value that stands in dvc.yaml is `true`: DVC names them so.
    return str(value.inner) if isinstance(value, Node) else text(value)


def _alone(text: str) -> str | None:
    """The name in a text that is one template and nothing else."""
    match = re.match(_TEMPLATE, text)
    return match[1] if match is not None and match.end() == len(text) else None


def _item(inner: Sequence[Node], step: str) -> Node | None:
    try:
        return inner[int(step)]
    except (ValueError, IndexError):
        return None


def _merged(into: Mapping[str, Node], more: Mapping[str, Node], above: str) -> dict[str, Node]:
    found = dict(into)
    for name, new in more.items():
        old = found.get(name)
        if old is None:
            found[name] = new
        elif isinstance(old.inner, dict) and isinstance(new.inner, dict):
            inner = _merged(old.inner, new.inner, f"{above}{name}.")
            found[name] = Node(inner, old.file, old.key)
        else:
            source = old.file or "an earlier item of `vars`"
            raise Unfilled(
                f"sets `{above}{name}`, which {source} sets already.",
                "a value is set in one place; give one of the two another name.",
            )
    return found


def _check(template: str, value: object, key: str | None) -> None:
    if key is None or not isinstance(value, (dict, list)):
        return
    if isinstance(value, dict) and key == "cmd":
        return
    kind = "mapping" if isinstance(value, dict) else "list"
    hint = "name one of its values: `${train.lr}`, `${models[0]}`."
    raise Unfilled(f"has `{template}`, which is a {kind}; text or a number can stand here.", hint)


def _check_count(count: int) -> None:
    if count > MAX_STAGES:
        raise Unfilled(f"makes {count:,} stages; {MAX_STAGES:,} are taken.")


def _check_key(key: str) -> None:
    if not key:
        raise Unfilled("has an empty text in it, which makes no name of a stage.")
    if not key.isprintable():
        raise Unfilled(f"has {key!r} in it; the name of a stage is one line that can be printed.")


def _is_deep(value: object) -> bool:
    return isinstance(value.inner if isinstance(value, Node) else value, (list, Mapping))


def _word(value: object) -> str:
    import shlex

    return shlex.quote(value) if isinstance(value, str) else str(value)


def _flat(value: Mapping[str, object], above: str) -> Iterator[tuple[str, object]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{above}{key}.")
        else:
            yield f"{above}{key}", inner


def _names(of: Node, above: str) -> Iterator[str]:
    """Every dotted name of a value that is no mapping."""
    assert isinstance(of.inner, dict)
    for name, inner in of.inner.items():
        if isinstance(inner.inner, dict):
            yield from _names(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _has_template(value: object) -> bool:
    if isinstance(value, str):
        return re.search(_TEMPLATE, value) is not None
    if isinstance(value, Mapping):
        return any(map(_has_template, _both(value)))
    return isinstance(value, list) and any(map(_has_template, value))


def _both(value: Mapping[object, object]) -> Iterable[object]:
    yield from value
    yield from value.values()
