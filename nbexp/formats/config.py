"""DVC's configuration: four INI files, the nearest of which wins, and the files of a new `.dvc/`.

    .dvc/config.local  >  .dvc/config  >  the user's  >  the machine's

The syntax is that of ConfigObj (sections in square brackets, `'remote "name"'` with both quotes,
values quoted or not, lists by commas, `#` comments); names are lowered, relative paths are relative
to the file that has them (DVC 3.67.1, formats.md 3.5). Nothing is written here.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from nbexp.errors import ProjectFileError, nearest
from nbexp.frozen import frozen

LINK_TYPES = ("reflink", "hardlink", "symlink", "copy")

Value = str | bool | int | tuple[str, ...]


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
    for path in _files(dvc_dir, user):
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


# --- Which files, and how they are named in messages ---------------------------------------------


def _files(dvc_dir: Path, home: Path) -> list[Path]:
    """The machine's, the user's, the project's and the local file: later ones win."""
    machine = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or _machine_dir()
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or _user_dir(home)
    return [
        Path(machine) / "config",
        Path(user) / "config",
        dvc_dir / "config",
        dvc_dir / "config.local",
    ]


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


# --- What settings there are ---------------------------------------------------------------------

_TEXT, _BOOL, _INT = "text", "true or false", "a number above 0"

_SETTINGS: dict[str, dict[str, str]] = {
    "core": {
        "remote": "a name",
        "checksum_jobs": _INT,
        "interactive": _BOOL,
        "analytics": _BOOL,
        "hardlink_lock": _BOOL,
        "no_scm": _BOOL,
        "autostage": _BOOL,
        "experiments": _BOOL,
        "check_update": _BOOL,
        "site_cache_dir": _TEXT,
        "machine": "a name",
    },
    "cache": {
        "dir": _TEXT,
        "type": f"one or more of {', '.join(LINK_TYPES)}",
        "protected": _BOOL,
        "shared": "group",
        "slow_link_warning": _BOOL,
        "verify": _BOOL,
        **dict.fromkeys(("local", "s3", "gs", "hdfs", "webhdfs", "ssh", "azure"), _TEXT),
    },
    "state": dict.fromkeys(("dir", "row_limit", "row_cleanup_quota"), _TEXT),
    "index": {"dir": _TEXT},
    "plots": {"html_template": _TEXT, "auto_open": _BOOL, "out_dir": _TEXT},
    "exp": {
        **dict.fromkeys(("code", "data", "models", "metrics", "params", "plots", "live"), _TEXT),
        "auto_push": _BOOL,
        "git_remote": _TEXT,
    },
    "parsing": {
        "bool": "store_true or boolean_optional",
        "list": "nargs or append",
    },
    "hydra": {
        "enabled": _BOOL,
        **dict.fromkeys(("config_dir", "config_module", "config_name", "plugins_path"), _TEXT),
    },
    "studio": {"token": _TEXT, "url": _TEXT, "repo_url": _TEXT, "offline": _BOOL},
}
# What a remote may have depends on its kind, which is for the remotes to say; these they all know.
_REMOTE_SETTINGS = {
    "url": _TEXT,
    "jobs": _INT,
    "checksum_jobs": _INT,
    "verify": _BOOL,
    "version_aware": _BOOL,
    "worktree": _BOOL,
}
# Sections of DVC that nothing here reads.
_PASSED_OVER = frozenset({"feature", "machine", "db"})
_PATHS = frozenset(
    {
        "dir", "url", "credentialpath", "configpath", "keyfile", "cert_path", "key_path",
        "gdrive_user_credentials_file", "gdrive_service_account_json_file_path",
    }
)  # fmt: skip
_NAMED = r'\s*(remote|machine|db)\s*"(.*)"\s*'


def _sections(data: bytes, path: str) -> Iterator[tuple[str, str | None, dict[str, Value]]]:
    """Each section of a file: its name, the remote's name if it is one's, and its settings."""
    for title, line, settings in _parse(data, path):
        named = re.fullmatch(_NAMED, title)
        section = named[1] if named else title
        if section in _PASSED_OVER:
            continue
        if section == "remote" and named:
            known = _REMOTE_SETTINGS
        elif section in _SETTINGS and not named:
            known = _SETTINGS[section]
        else:
            raise _no_section(title, path, line)
        checked: dict[str, Value] = {}
        for name, (value, at) in settings.items():
            if name not in known and section != "remote":
                raise _no_setting(section, name, path, at)
            shown = f"{section}.{named[2]}.{name}" if named else f"{section}.{name}"
            checked[name] = _checked(shown, value, known.get(name, _TEXT), path, at)
        yield section, named[2] if named else None, checked


def _checked(setting: str, value: str | list[str], wanted: str, path: str, line: int) -> Value:
    if setting == "cache.type":
        kinds = value if isinstance(value, list) else value.split(",")
        found = tuple(kind.strip() for kind in kinds)
        if found and set(found) <= set(LINK_TYPES):
            return found
    elif isinstance(value, str):
        lowered = value.lower()
        if wanted == _BOOL:
            if lowered in {"true", "false"}:
                return lowered == "true"
        elif wanted == _INT:
            if value.strip().isdecimal() and int(value) > 0:
                return int(value)
        elif wanted == "a name":
            return lowered
        elif wanted == _TEXT:
            return value
        elif lowered in wanted.split(" or "):
            return lowered
    shown = ", ".join(value) if isinstance(value, list) else value
    raise ProjectFileError(f"`{setting}` is `{shown}`; {wanted} is expected.", path=path, line=line)


def _no_section(title: str, path: str, line: int) -> ProjectFileError:
    if title == "nbexp":
        hint = "settings of nbexp itself are in nbexp.toml, or [tool.nbexp] of pyproject.toml."
    else:
        near = nearest(title, [*_SETTINGS, "remote"])
        wanted = """['remote "name"']""" if near == "remote" else f"[{near}]" if near else ""
        hint = f"did you mean {wanted}?" if near else f"sections: {', '.join(sorted(_SETTINGS))}."
    return ProjectFileError(f"there is no section `{title}`.", hint, path=path, line=line)


def _no_setting(section: str, name: str, path: str, line: int) -> ProjectFileError:
    known = sorted(_SETTINGS[section])
    near = nearest(name, known)
    hint = (
        f"did you mean `{section}.{near}`?"
        if near
        else f"settings of {section}: {', '.join(known)}."
    )
    return ProjectFileError(f"there is no setting `{section}.{name}`.", hint, path=path, line=line)


def _text(value: Value | None) -> str | None:
    return value if isinstance(value, str) and value else None


# --- Syntax --------------------------------------------------------------------------------------

_TITLE = r"""\s*\[\s*("[^"]*"|'[^']*'|[^'"\s\[].*?)\s*\]\s*(?:\#.*)?"""
_SETTING = r"""(?s:\s*("[^"]*"|'[^']*'|[^'"=\s][^=]*?)\s*=(.*))"""
_ITEM = r"""\s*(?:"([^"]*)"|'([^']*)'|([^'",\#][^,\#]*?))\s*(?=[,\#]|$)"""

_Settings = dict[str, tuple[str | list[str], int]]


def _parse(data: bytes, path: str) -> list[tuple[str, int, _Settings]]:
    """The sections of an INI file in order: title, line, and setting -> (value, line)."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProjectFileError("this is not UTF-8 text.", path=path, line=line) from None
    sections: list[tuple[str, int, _Settings]] = []
    number = 0
    while number < len(lines):
        text = lines[number]
        number += 1
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        title = re.fullmatch(_TITLE, text)
        if title:
            name = _unquoted(title[1]).lower()
            if any(name == other for other, _, _ in sections):
                raise ProjectFileError(
                    f"section `{name}` is there a second time.", path=path, line=number
                )
            sections.append((name, number, {}))
            continue
        setting = re.fullmatch(_SETTING, text)
        if setting is None:
            raise ProjectFileError(
                f"`{text.strip()}` is neither a [section] nor `name = value`.",
                path=path,
                line=number,
            )
        if not sections:
            raise ProjectFileError(
                f"`{setting[1]}` stands before any [section].", path=path, line=number
            )
        name, started = _unquoted(setting[1]).lower(), number
        if name in sections[-1][2]:
            raise ProjectFileError(f"`{name}` is there a second time.", path=path, line=number)
        rest = setting[2].strip()
        if rest[:3] in {'"""', "'''"}:
            quote, rest = rest[:3], rest[3:]
            while quote not in rest and number < len(lines):
                rest += "\n" + lines[number]
                number += 1
            if quote not in rest:
                raise _no_value(name, path, started)
            sections[-1][2][name] = (rest.partition(quote)[0], started)
        else:
            sections[-1][2][name] = (_value(name, rest, path, started), started)
    return sections


def _value(name: str, text: str, path: str, line: int) -> str | list[str]:
    """One value; a list if there is a comma between values, as in `reflink,copy`."""
    items: list[str] = []
    is_list = False
    position = 0
    while position < len(text) and text[position] != "#":
        item = re.compile(_ITEM).match(text, position)
        if item is None:
            raise _no_value(name, path, line)
        items.append(next(group for group in item.groups() if group is not None))
        position = item.end()
        if text[position : position + 1] == ",":
            is_list = True
            position += 1
            position += len(text[position:]) - len(text[position:].lstrip())
    if is_list:
        return items
    return items[0] if items else ""


def _no_value(name: str, path: str, line: int) -> ProjectFileError:
    return ProjectFileError(
        f"the value of `{name}` cannot be read.", "put it in double quotes.", path=path, line=line
    )


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in {'"', "'"} else text
