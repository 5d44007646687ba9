"""What is known of values that code computes: texts with gaps, what is true, what a name stands for."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from nbexp.pipeline.detection.symbols import GAP, UNKNOWN, Chosen, Config, External, PathText


def plain(value: object) -> object:
    """A value of a config file as code meets it: its texts are choices."""
    if isinstance(value, str):
        return Chosen(value)
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def keys_of(config: Config) -> set[str]:
    """The keys below a part of a config file."""
    return set(map(str, config.value)) if isinstance(config.value, Mapping) else set()


def truth(value: object) -> bool | None:
    """Whether a value counts as true; None where that is not known."""
    if value is None or isinstance(value, (bool, int, float)):
        return bool(value)
    if isinstance(value, Chosen):
        return None
    if isinstance(value, str):
        return None if GAP in value and not value.strip(GAP) else bool(value)
    return None


def is_plain(value: object) -> bool:
    """Whether a value is known, and not a choice of a config file."""
    if isinstance(value, Chosen):
        return False
    if isinstance(value, str):
        return GAP not in value
    return value is None or isinstance(value, (bool, int, float))


def text_of(value: object) -> str:
    """A value as text; what is not known is a gap."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return GAP


def formatted(value: object, spec: object) -> str:
    """A value as an f-string shows it."""
    if isinstance(spec, str) and spec and isinstance(value, (int, float)):
        try:
            return format(value, spec)
        except ValueError:
            return GAP
    return text_of(value)


def percent(text: str, right: object) -> str:
    """A text with its places filled in by `%`."""
    words = list(right) if isinstance(right, tuple) else [right]
    try:
        if all(isinstance(word, (str, int, float)) for word in words):
            return text % tuple(words)
    except (TypeError, ValueError):
        pass
    return re.sub(r"%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]", GAP, text)


def joined(*parts: str) -> str:
    """Parts of a path, put together and without detours."""
    path = posixpath.join(*parts) if parts else ""
    return posixpath.normpath(path) if path else path


def dotted_name(path: str) -> str:
    """The name under which a file is imported."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def name_of(value: object) -> str:
    """The full name of something of another package; empty for anything else."""
    if isinstance(value, External):
        return value.name
    if isinstance(value, Method):
        return f"{name_of(value.owner)}.{value.name}"
    if isinstance(value, PathText):
        return "Path"
    return value if isinstance(value, str) else ""


def path_attribute(path: PathText, name: str) -> object:
    """An attribute of a `pathlib` path."""
    if name == "parent":
        return PathText(posixpath.dirname(path) or ".")
    if name == "parents":
        found = [PathText(posixpath.dirname(path) or ".")]
        while found[-1] not in {"/", ".", ""} and len(found) < 20:
            found.append(PathText(posixpath.dirname(found[-1]) or "."))
        return found
    if name == "name":
        return posixpath.basename(path)
    if name == "stem":
        return posixpath.splitext(posixpath.basename(path))[0]
    if name == "suffix":
        return posixpath.splitext(path)[1]
    if name == "parts":
        return path.split("/")
    return Method(path, name)


def text_method(
    text: str, name: str, words: Sequence[object], named: Mapping[str, object]
) -> object:
    """What a method of a text gives; unknown where it asks for what is unknown."""
    known = [word for word in words if isinstance(word, (str, int))]
    if name == "format":
        places = iter(words)

        def fill(match: re.Match[str]) -> str:
            key, _, spec = match[1].partition(":")
            if key.isdigit() and int(key) < len(words):
                return formatted(words[int(key)], spec)
            if key in named:
                return formatted(named[key], spec)
            return formatted(next(places, UNKNOWN), spec) if not key else GAP

        return re.sub(r"\{([^{}]*)\}", fill, text)
    if name == "join" and words:
        parts = words[0]
        return (
            text.join(text_of(part) for part in parts) if isinstance(parts, (list, tuple)) else GAP
        )
    if name in {
        "strip",
        "rstrip",
        "lstrip",
        "lower",
        "upper",
        "title",
        "replace",
        "removesuffix",
        "removeprefix",
        "capitalize",
        "zfill",
    } and len(known) == len(words):
        try:
            return getattr(text, name)(*known)
        except TypeError:
            return GAP
    if name in {"split", "rsplit", "partition", "rpartition"} and len(known) == len(words):
        try:
            return list(getattr(text, name)(*known))
        except (TypeError, ValueError):
            return UNKNOWN
    return UNKNOWN


class Method:
    """An attribute of something, about to be called."""

    def __init__(self, owner: object, name: str) -> None:
        self.owner, self.name = owner, name
