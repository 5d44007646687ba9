"""DVC's configuration: four INI files, the nearest of which wins, and the files of a new `.dvc/`.

    .dvc/config.local  >  .dvc/config  >  the user's  >  the machine's

The syntax is that of ConfigObj (`ini.py`); a remote's section is `'remote "name"'` with both quotes, names are
lowered, relative paths are relative to the file that has them (DVC 3.67.1, formats.md 3.5). Edits are from
bytes to bytes; nothing is written here.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from nbexp.formats import config_settings, ini
from nbexp.formats.config_settings import LINK_TYPES, Text, Value
from nbexp.frozen import frozen, replace

__all__ = ["LEVELS", "LINK_TYPES", "Config", "Level", "Value", "read"]

Level = Literal["system", "global", "project", "local"]
LEVELS: tuple[Level, ...] = ("system", "global", "project", "local")  # later ones win


@frozen
class Config:
    """What the files together say.

    Attributes
    ----------
    values
        Section -> setting -> value; settings of a remote stand under `remotes` instead. Booleans and
        numbers are what they are, `cache.type` is a tuple, paths are absolute, all else is text.
    remotes
        Name -> setting -> value. A remote without a `url` is one that another file only adds to.
    """

    dvc_dir: Path
    values: Mapping[str, Mapping[str, Value]]
    remotes: Mapping[str, Mapping[str, Value]]

    def get(self, section: str, name: str) -> Value | None:
        """A setting as it is in the files, None where it is in none."""
        return self.values.get(section, {}).get(name)

    def is_on(self, section: str, name: str) -> bool:
        """A setting that is true or false; false where no file has it."""
        return self.get(section, name) is True

    @property
    def remote(self) -> str | None:
        """The name of the default remote."""
        return _text(self.get("core", "remote"))

    @property
    def cache_dir(self) -> Path:
        """Where objects are, `.dvc/cache` unless set."""
        chosen = _text(self.get("cache", "dir"))
        return Path(chosen) if chosen else self.dvc_dir / "cache"

    @property
    def cache_types(self) -> tuple[str, ...]:
        """How a file may get from the cache into the workspace, the first that works is taken."""
        chosen = self.get("cache", "type")
        return chosen if isinstance(chosen, tuple) else ("reflink", "copy")

    @property
    def shared_cache(self) -> bool:
        """Whether the cache belongs to a group of users, who must be able to write into it."""
        return self.get("cache", "shared") == "group"

    @property
    def exp_auto_push(self) -> bool:
        """Whether each experiment is pushed as soon as it is there; `DVC_EXP_AUTO_PUSH` goes first."""
        said = os.environ.get("DVC_EXP_AUTO_PUSH")
        if said is None:
            return self.is_on("exp", "auto_push")
        # DVC takes any text with a `y` or a `1` in it for a yes.
        return bool(re.search(r"1|y|true", said, re.IGNORECASE))

    @property
    def exp_git_remote(self) -> str:
        """Where experiments are pushed to; `DVC_EXP_GIT_REMOTE` goes first."""
        return (
            os.environ.get("DVC_EXP_GIT_REMOTE") or _text(self.get("exp", "git_remote")) or "origin"
        )


def read(dvc_dir: Path, *, home: Path | None = None, committed: bytes | None = None) -> Config:
    """The configuration of the project whose `.dvc` this is.

    Parameters
    ----------
    home
        What `~` stands for; None is the user's own.
    committed
        The bytes of `.dvc/config` where they are not those on disk, as when pushing the data of an
        experiment whose commit has its own (formats.md 0, fact 7).

    Raises
    ------
    ProjectFileError
        A file is no INI file, or has a section, setting or value that there is not. DVC refuses it too.
    """
    dvc_dir = Path(os.path.abspath(dvc_dir))
    user = Path.home() if home is None else home
    values: dict[str, dict[str, Value]] = {}
    remotes: dict[str, dict[str, Value]] = {}
    for path in files(dvc_dir, user).values():
        if committed is not None and path == dvc_dir / "config":
            data = committed
        else:
            try:
                data = path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
        for section, remote, settings in _sections(data, _shown(path, dvc_dir, user)):
            resolved = {
                name: _resolve(value, path.parent, user) if name in _PATHS else value
                for name, value in settings.items()
            }
            if remote is not None:
                remotes.setdefault(remote, {}).update(resolved)
            else:
                values.setdefault(section, {}).update(resolved)
    return Config(dvc_dir, values, remotes)


def new_project() -> dict[str, bytes]:
    """The files that make a folder a DVC project, byte for byte those of `dvc init`.

    Paths are relative to the project's root. DVC keeps a `.dvcignore` that is there already.
    """
    return {
        ".dvc/config": b"",
        ".dvc/.gitignore": b"/config.local\n/tmp\n/cache\n",
        ".dvcignore": (
            b"# Add patterns of files dvc should ignore, which could improve\n"
            b"# the performance. Learn more at\n"
            b"# https://dvc.org/doc/user-guide/dvcignore\n"
        ),
    }


# --- Edits ---------------------------------------------------------------------------------------


def remote_section(name: str) -> str:
    """The title of a remote's section, for `set_value` and `remove`."""
    return f'remote "{name.lower()}"'


def set_value(data: bytes, section: str, name: str, value: str, path: str = ".dvc/config") -> bytes:
    r"""The file with a setting, new or changed, as DVC would write it; comments are kept.

    Parameters
    ----------
    section
        Its title: `core`, or `remote_section("store")`. Made where there is none.
    value
        As it will stand in the file: `as_stored` makes it of what a user typed.
    path
        The file, for messages.

    Examples
    --------
    >>> set_value(b"[core]\nremote=s  # ours\n", "core", "autostage", "true")
    b'[core]\n    remote = s    # ours\n    autostage = true\n'
    """
    document = ini.parse(data, path).with_setting(section.lower(), name.lower(), value)
    return _as_dvc_has_it(document).dump()


def remove(data: bytes, section: str, name: str | None = None, path: str = ".dvc/config") -> bytes:
    """The file without a setting, or without the whole section; what is not there changes nothing else."""
    document = ini.parse(data, path)
    gone = [
        entry
        for entry in document.entries
        if entry.section == section.lower() and (name is None or entry.name == name.lower())
    ]
    return _as_dvc_has_it(document.without(gone)).dump()


def as_stored(name: str, value: str, folder: Path, cwd: Path) -> str:
    """A value as it is kept in a file in `folder`, when typed in `cwd`: paths are relative to the file."""
    if name not in _PATHS or re.match(r"\w+://", value) or os.path.isabs(value):
        return value
    if os.path.expanduser(value) != value:
        return value
    return Path(os.path.relpath(cwd / value, folder)).as_posix()


def name_in(title: str) -> str | None:
    """`remote.store` for a section `remote "store"`, as settings are named; None for a section without a name."""
    named = re.fullmatch(_NAMED, title)
    return f"{named[1]}.{named[2]}" if named else None


def resolved(name: str, value: Text, folder: Path, home: Path) -> str:
    """A value of a file in `folder` as it counts: a path is absolute. A list reads as DVC writes it out."""
    found = _resolve(value, folder, home) if name in _PATHS and isinstance(value, str) else value
    return str(found)


def check(texts: Sequence[tuple[str, bytes]]) -> None:
    """Refuse files that DVC would not read, the last of which is about to be written.

    Parameters
    ----------
    texts
        Path (for messages) and bytes of each file, weakest first.

    Raises
    ------
    ProjectFileError
        A section, setting or value that there is not; the nearest name is in the hint.
    """
    remotes: dict[str, dict[str, Text]] = {}
    for path, data in texts:
        for _ in _sections(data, path):
            pass
        document = ini.parse(data, path)
        for title in document.sections:
            named = re.fullmatch(_NAMED, title)
            if named and named[1] == "remote":
                found = {name: one.value for name, one in document.settings(title).items()}
                remotes.setdefault(named[2], {}).update(found)
    for name, settings in remotes.items():
        config_settings.check_remote(name, settings, texts[-1][0])


def _as_dvc_has_it(document: ini.Document) -> ini.Document:
    """As DVC rewrites a file: empty sections gone, those with a name last, paths without detours."""
    empty = [
        entry
        for entry in document.entries
        if entry.name is None
        and not re.fullmatch(_NAMED, entry.section)
        and not document.settings(entry.section)
    ]
    document = document.without(empty)
    ranks = {"remote": 1, "machine": 2, "db": 3}
    titles = {title: re.fullmatch(_NAMED, title) for title in document.sections}
    order = sorted(titles, key=lambda title: ranks[named[1]] if (named := titles[title]) else 0)
    spelled = {
        title: f'{named[1]} "{named[2]}"' if named else title for title, named in titles.items()
    }
    entries = (
        replace(entry, section=spelled[entry.section], value=_without_detours(entry))
        for entry in document.in_order(order).entries
    )
    return replace(document, entries=tuple(entries))


def _without_detours(entry: ini.Entry) -> Text:
    """A path's shortest spelling; anything else as it is."""
    value = entry.value
    if entry.name is None or not isinstance(value, str):
        return value
    return as_stored(entry.name, value, Path("/x/.dvc"), Path("/x/.dvc"))


# --- Which files, and how they are named in messages ---------------------------------------------


def files(dvc_dir: Path | None, home: Path) -> dict[Level, Path]:
    """The machine's, the user's, the project's and the local file; outside a project the first two."""
    machine = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or _machine_dir()
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or _user_dir(home)
    found: dict[Level, Path] = {"system": Path(machine) / "config", "global": Path(user) / "config"}
    if dvc_dir is not None:
        found["project"] = dvc_dir / "config"
        found["local"] = dvc_dir / "config.local"
    return found


def _machine_dir() -> str:
    if sys.platform == "win32":
        return os.path.join(os.environ.get("PROGRAMDATA", r"C:\ProgramData"), "iterative", "dvc")
    if sys.platform == "darwin":
        return "/Library/Application Support/dvc"
    first = os.environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep)[0]
    return os.path.join(first.strip() or "/etc/xdg", "dvc")


def _user_dir(home: Path) -> str:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or str(home / "AppData" / "Local")
        return os.path.join(local, "iterative", "dvc")
    if sys.platform == "darwin":
        return str(home / "Library" / "Application Support" / "dvc")
    return os.path.join(
        os.environ.get("XDG_CONFIG_HOME", "").strip() or str(home / ".config"), "dvc"
    )


def _shown(path: Path, dvc_dir: Path, home: Path) -> str:
    if path.parent == dvc_dir:
        return f".dvc/{path.name}"
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)


def _resolve(value: Value, folder: Path, home: Path) -> Value:
    """A path or URL of a config file that stands in `folder`, with a path made absolute."""
    if not isinstance(value, str) or re.match(r"\w+://", value) or os.path.isabs(value):
        return value
    if value == "~" or value.startswith("~/"):
        return str(home / value[2:])
    expanded = os.path.expanduser(value)  # ~somebody
    return os.path.abspath(os.path.join(folder, expanded))


# --- What is in them -----------------------------------------------------------------------------

_PATHS = frozenset(
    {
        "dir", "url", "credentialpath", "configpath", "keyfile", "cert_path", "key_path",
        "gdrive_user_credentials_file", "gdrive_service_account_json_file_path",
    }
)  # fmt: skip
_NAMED = r'\s*(remote|machine|db)\s*"(.*)"\s*'


def _sections(data: bytes, path: str) -> Iterator[tuple[str, str | None, dict[str, Value]]]:
    """Each section of a file: its name, the remote's name if it is one's, and its settings."""
    document = ini.parse(data, path)
    for head in document.entries:
        if head.name is not None:
            continue
        named = re.fullmatch(_NAMED, head.section)
        section, remote = (named[1], named[2]) if named else (head.section, None)
        if section in config_settings.PASSED_OVER:
            continue
        if section != "remote" or remote is None:
            config_settings.require_section(head.section, path, head.line)
        checked = {
            name: config_settings.checked(
                section, name, entry.value, path, entry.line, remote or ""
            )
            for name, entry in document.settings(head.section).items()
        }
        yield section, remote, checked


def _text(value: Value | None) -> str | None:
    return value if isinstance(value, str) and value else None
