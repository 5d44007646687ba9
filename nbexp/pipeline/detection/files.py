"""Files as code uses them: opened, listed, written, and config files with their keys."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from nbexp.errors import NbexpError
from nbexp.formats import values
from nbexp.pipeline.detection import calls
from nbexp.pipeline.detection.seen import Seen
from nbexp.pipeline.detection.symbols import GAP, UNKNOWN, Chosen, Config, Content, Handle, PathText
from nbexp.pipeline.detection.texts import joined, plain, text_of

_MAX_CONFIG_BYTES = 1 << 20
_CONFIG_NAME = re.compile(r"param|config|conf\b|setting|hyper|hparam|option|args", re.IGNORECASE)


class Files:
    """The files of a project, as a script of it uses them."""

    def __init__(self, seen: Seen, script: str) -> None:
        self.seen = seen
        self.script = script
        self._parsed: dict[str, object] = {}

    def done(self, does: calls.Does, path: object, name: str) -> object:
        if does == "list":
            return self.listed(path, name)
        if (
            does == "write"
            and isinstance(path, str)
            and name.endswith((".save", ".savez", "savez_compressed"))
        ):
            suffix = {"numpy.save": ".npy"}.get(name, ".npz")
            if name.startswith("numpy.") and not path.endswith((".npy", ".npz")):
                path += suffix
        self.seen.touch(path, does)
        return UNKNOWN

    def listed(self, path: object, name: str = "") -> object:
        """Looking through a folder: its entries are texts with a gap."""
        if not isinstance(path, str):
            return UNKNOWN
        kind = PathText if isinstance(path, PathText) else str
        if name.endswith("glob"):
            text = re.sub(r"\*\*/?|\*|\?|\[[^\]]*\]", GAP, path)
            folder = text.split(GAP)[0].rpartition("/")[0]
            self.seen.touch(folder or ".", "list")
            return [kind(text)]
        self.seen.touch(path, "list")
        if name == "os.walk":
            return [(path, [GAP], [GAP])]
        if name == "os.listdir":
            return [GAP]
        return UNKNOWN

    def open(self, path: object, mode: object) -> object:
        if isinstance(path, (Handle, Content)):
            return path
        if calls.writes(mode):
            self.seen.touch(path, "write", is_added_to=calls.appends(mode))
        elif isinstance(mode, str) and "+" in mode:
            self.seen.touch(path, "write", is_added_to=True)
        else:
            self.seen.touch(path, "read")
        return Handle(path) if isinstance(path, str) else UNKNOWN

    def is_folder(self, text: str) -> bool:
        inside = self.seen.inside(text)
        if inside is None or GAP in inside:
            return False
        return (
            (self.seen.root / inside).is_dir()
            or text.endswith("/")
            or not posixpath.splitext(text)[1]
        )

    def load(self, source: object, name: str) -> object:
        """A config file's content, if the file is one; data otherwise."""
        if isinstance(source, (Handle, Content)):
            path = source.path
        elif isinstance(source, str) and "load" in name and not name.endswith("loads"):
            path = source
            self.seen.touch(path, "read")
        else:
            return UNKNOWN
        inside = self.seen.inside(path) if isinstance(path, str) else None
        if inside is None:
            return UNKNOWN
        if GAP in inside:
            return UNKNOWN
        suffix = posixpath.splitext(inside)[1].lower()
        is_config = suffix in {".yaml", ".yml", ".toml"} or (
            suffix in {".json", ".json5"} and bool(_CONFIG_NAME.search(inside))
        )
        found = self.config(inside) if is_config else None
        return UNKNOWN if found is None else found

    def config(self, path: str) -> Config | None:
        if path not in self._parsed:
            self._parsed[path] = _parsed(self.seen.root / path, path)
        tree = self._parsed[path]
        if not isinstance(tree, Mapping):
            return None
        self.seen.configs.setdefault(path, self.seen.where)
        return Config(path, (), tree)

    def hydra(self, named: Mapping[str, object]) -> Config | None:
        folder, name = named.get("config_path"), named.get("config_name")
        if not isinstance(name, str):
            return None
        base = posixpath.join(
            posixpath.dirname(self.script), folder if isinstance(folder, str) else "."
        )
        file = posixpath.normpath(posixpath.join(base, name if "." in name else f"{name}.yaml"))
        found = self.config(file)
        if found is None:
            return None
        groups = {}
        chosen = found.value.get("defaults") if isinstance(found.value, Mapping) else None
        for entry in chosen if isinstance(chosen, list) else ():
            if isinstance(entry, Mapping):
                for group, choice in entry.items():
                    inner = self.config(posixpath.normpath(f"{base}/{group}/{choice}.yaml"))
                    if inner is not None:
                        groups[str(group)] = inner
        return Config(found.file, (), found.value, groups)

    def path_method(
        self, path: str, name: str, words: list[object], named: dict[str, object]
    ) -> object:
        first = words[0] if words else named.get("mode", "r")
        if name == "open":
            return self.open(path, first)
        if name in {"read_text", "read_bytes"}:
            self.seen.touch(path, "read")
            return Content(path)
        if name in {"write_text", "write_bytes", "touch"}:
            self.seen.touch(path, "write")
            return None
        if name in {"glob", "rglob"}:
            pattern = re.sub(r"\*\*/?|\*|\?|\[[^\]]*\]", GAP, text_of(first))
            self.seen.touch(path, "list")
            return [PathText(joined(path, pattern))]
        if name in {"iterdir", "walk"}:
            self.seen.touch(path, "list")
            return [PathText(joined(path, GAP))]
        if name in {"rename", "replace"} and isinstance(first, PathText | str) and len(words) == 1:
            self.seen.touch(path, "read")
            self.seen.touch(first, "write")
            return first
        if name == "joinpath":
            return PathText(joined(path, *[text_of(word) for word in words]))
        if name in {"resolve", "absolute", "expanduser"}:
            return path
        if name == "with_suffix":
            return PathText(posixpath.splitext(path)[0] + text_of(first))
        if name in {"with_name", "with_stem"}:
            suffix = posixpath.splitext(path)[1] if name == "with_stem" else ""
            return PathText(joined(posixpath.dirname(path), text_of(first) + suffix))
        if name in {"as_posix", "__str__", "as_uri"}:
            return str(path)
        if name == "relative_to":
            base = text_of(first).rstrip("/") + "/"
            return PathText(path.removeprefix(base))
        if name == "mkdir":
            self.seen.make_folder(path)
            return None
        if name in {"exists", "is_file", "is_dir", "unlink", "stat", "rmdir", "chmod"}:
            return UNKNOWN
        return NotImplemented

    def part(self, config: Config, key: object) -> object:
        """What stands below a key of a config file; a scalar is taken as soon as it is reached."""
        if isinstance(key, Chosen) or not isinstance(key, (str, int)):
            self.seen.take(config)
            if not isinstance(key, Chosen) or not isinstance(config.value, Mapping):
                return UNKNOWN
            # The file's present choice is what is read now, though another may come.
            return plain(config.value.get(str(key), UNKNOWN))
        if str(key) in config.groups:
            return config.groups[str(key)]
        value: object = UNKNOWN
        if isinstance(config.value, Mapping):
            value = config.value.get(key, UNKNOWN)
        elif isinstance(config.value, list) and isinstance(key, int):
            try:
                value = config.value[key]
            except IndexError:
                value = UNKNOWN
        if value is UNKNOWN:
            return UNKNOWN
        inner = Config(config.file, (*config.keys, str(key)), value)
        if isinstance(value, Mapping):
            return inner
        self.seen.take(inner)
        return plain(value)


def _parsed(file: Path, path: str) -> object:
    try:
        if file.stat().st_size > _MAX_CONFIG_BYTES:
            return None
        return values.parse(file.read_bytes(), path)
    except (OSError, NbexpError):
        return None
