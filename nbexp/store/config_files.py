"""DVC's four configuration files: read one by one, edited one at a time, checked together before they are written.

An edit leaves the bytes that DVC would. What the files would then mean together is checked first, so that DVC reads
whatever is written here.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from nbexp import filesystem
from nbexp.errors import NotFound, ProjectFileError, UsageError, nearest
from nbexp.events import Emit, Notice, ignore
from nbexp.formats import config, config_settings, ini
from nbexp.formats.config import Level
from nbexp.frozen import frozen, replace
from nbexp.results import Result
from nbexp.store import remotes

Edit = Callable[[bytes], bytes]


class ConfigFiles:
    """The files by level; `dvc_dir` is None outside of a project, where there are two of them."""

    def __init__(self, dvc_dir: Path | None, home: Path, cwd: Path) -> None:
        self._dvc_dir = dvc_dir
        self._home = home
        self._cwd = cwd

    def _levels(self, level: Level | None) -> builtins.list[Level]:
        return [level] if level else [*config.files(self._dvc_dir, self._home)]

    def _up_to(self, level: Level) -> builtins.list[Level]:
        """The file and those that it overrides."""
        every = self._levels(None)
        return every[: every.index(level) + 1]

    def _path(self, level: Level) -> Path:
        found = config.files(self._dvc_dir, self._home).get(level)
        if found is None:
            raise UsageError(
                f"`--{level}` is a file of a project, and {self._cwd} is in none. Nothing was done.",
                "`--global` is yours, for all projects.",
            )
        return found

    def _data(self, level: Level) -> bytes:
        try:
            return self._path(level).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return b""

    def _shown(self, level: Level) -> str:
        path = self._path(level)
        return f".dvc/{path.name}" if path.parent == self._dvc_dir else str(path)

    def _stored(self, option: str, value: str, level: Level) -> str:
        return config.as_stored(option, value, self._path(level).parent, self._cwd)

    def _write(self, level: Level, edit: Edit, *, check: bool = True) -> None:
        data = edit(self._data(level)) or b"\n"  # as DVC leaves a file that says nothing
        if check:
            self._check(level, data)
        path = self._path(level)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Secrets stand in it, whoever else may log in here.
        mode = 0o600 if level == "local" and not path.exists() else None
        filesystem.atomic_write(path, data, mode=mode)

    def _check(self, level: Level, data: bytes) -> None:
        """Refuse what DVC would not read, of this file as it would be and those that it overrides."""
        before = [(self._shown(one), self._data(one)) for one in self._up_to(level)]
        shown = self._shown(level)
        try:
            config.check([*before[:-1], (shown, data)])
        except ProjectFileError as error:
            config.check(before)  # what was wrong before is told with its place
            said = error.message.partition(": ")[2]
            error.message = f"{said[:1].upper()}{said[1:]} {shown} is as it was."
            error.args = (error.message,)
            error.hint = error.hint or "`nbexp config --list` has what is set."
            raise

    def _tell_of_secret(self, name: str, option: str, level: Level, emit: Emit) -> None:
        """Say so where a remote's secret went into the file that Git tracks."""
        if level == "project" and option in remotes.SECRETS:
            emit(
                Notice(
                    f"`{option}` is a secret, and {self._shown(level)} is for Git.",
                    f"`nbexp remote modify --local {name} {option} VALUE` keeps it out, and "
                    f"`nbexp remote modify --unset {name} {option}` takes it out again.",
                )
            )


@frozen
class ConfigValue(Result):
    """A setting as its file has it, paths made absolute; `file` is that file.

    `shown` is what is written of it: its value, its name and value, or nothing where it was changed.
    """

    name: str
    value: str
    file: str
    shown: Literal["value", "name", "nothing"] = "value"
    origin: bool = False

    def __str__(self) -> str:
        if self.shown == "nothing":
            return ""
        text = self.value if self.shown == "value" else f"{self.name}={self.value}"
        return f"{self.file}\t{text}\n" if self.origin else f"{text}\n"

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "value": self.value, "file": self.file}


@frozen
class ConfigValues(Result):
    """Settings, weakest file first."""

    values: tuple[ConfigValue, ...]

    def __repr__(self) -> str:
        return f"<ConfigValues: {len(self.values)} settings>"

    def __str__(self) -> str:
        return "".join(map(str, self.values))

    def to_json(self) -> object:
        return [one.to_json() for one in self.values]


class Configuration(ConfigFiles):
    """DVC's settings; get it as `project.config`.

    `level` is the file that is read or edited: `project` (`.dvc/config`), `local` (`.dvc/config.local`, which Git
    ignores), `global` (the user's) or `system`. None reads all of them, and edits `project`.
    """

    def list(self, *, level: Level | None = None, origin: bool = False) -> ConfigValues:
        """Every setting of each file, with `origin` written with its file; of one in several files the last counts."""
        found = [one for which in self._levels(level) for one in self._settings(which)]
        return ConfigValues(tuple(replace(one, shown="name", origin=origin) for one in found))

    def get(self, name: str, *, level: Level | None = None, origin: bool = False) -> ConfigValue:
        """The setting of that name in the file that counts, such as `core.remote` or `remote.store.url`.

        Raises
        ------
        NotFound
            No file has it.
        """
        wanted = ".".join(part for part in _parts(name) if part)
        for which in reversed(self._levels(level)):
            for one in self._settings(which):
                if one.name == wanted:
                    return replace(one, origin=origin)
        raise self._not_set(wanted, level)

    def set(
        self, name: str, value: str, *, level: Level | None = None, emit: Emit = ignore
    ) -> ConfigValue:
        """Set it in one file; a path is relative to the current directory.

        Raises
        ------
        ProjectFileError
            There is no such setting, or it takes no such value; the nearest name is in the hint.
        """
        top, section, option = _parts(name)
        where = self._edited(level)
        title, path = _title(top, section), self._shown(where)
        stored = self._stored(option, value, where)
        self._write(where, lambda data: config.set_value(data, title, option, stored, path))
        if top:
            self._tell_of_secret(section, option, where, emit)
        if (section, option) == ("cache", "type"):
            emit(
                Notice(
                    "Files that are there keep the links they have.",
                    "`nbexp data checkout --relink` makes them anew.",
                )
            )
        return ConfigValue(
            ".".join(part for part in (top, section, option) if part), stored, path, "nothing"
        )

    def unset(self, name: str, *, level: Level | None = None) -> ConfigValue:
        """Take it out of one file.

        Raises
        ------
        NotFound
            That file has no such setting.
        """
        top, section, option = _parts(name)
        where = self._edited(level)
        title, path = _title(top, section), self._shown(where)
        found = ini.parse(self._data(where), path).settings(title).get(option)
        full = ".".join(part for part in (top, section, option) if part)
        if found is None:
            raise self._not_set(full, where)
        self._write(where, lambda data: config.remove(data, title, option, path))
        return ConfigValue(full, "", path, "nothing")

    def _edited(self, level: Level | None) -> Level:
        """The file to edit, which is the project's unless another is asked for."""
        where: Level = level or "project"
        self._path(where)
        return where

    def _settings(self, level: Level) -> builtins.list[ConfigValue]:
        """As DVC lists them: those of remotes first."""
        path = self._path(level)
        document = ini.parse(self._data(level), self._shown(level))
        named: builtins.list[ConfigValue] = []
        plain: builtins.list[ConfigValue] = []
        for title in document.sections:
            name = config.name_in(title)
            for option, entry in document.settings(title).items():
                value = config.resolved(option, entry.value, path.parent, self._home)
                one = ConfigValue(f"{name or title}.{option}", value, self._shown(level))
                (named if name else plain).append(one)
        return named + plain

    def _not_set(self, name: str, level: Level | None) -> NotFound:
        where = self._shown(level) if level else "no configuration file"
        text = f"{where} does not set `{name}`." if level else f"`{name}` is set in {where}."
        known = config_settings.names()
        # A name that there is needs no other; a remote's may be called anything.
        is_known = name in known or name.startswith("remote.")
        near = None if is_known else nearest(name, known)
        return NotFound(
            text, f"did you mean `{near}`?" if near else "`nbexp config --list` has what is set."
        )


def _parts(name: str) -> tuple[str, str, str]:
    """`remote` or nothing, section or remote's name, option; all in lower case."""
    top, section, option = "", *name.lower().partition(".")[::2]
    if section in {"remote", "db"} and option.count(".") == 1:
        top, (section, option) = section, option.split(".")
    if not section or not option or "." in option:
        near = nearest(name, config_settings.names())
        hint = (
            f"did you mean `{near}`?" if near else "for example `core.remote`, `remote.NAME.url`."
        )
        raise UsageError(
            f"`{name}` is no name of a setting: SECTION.OPTION or remote.NAME.OPTION. Nothing was done.",
            hint,
        )
    return top, section, option


def _title(top: str, section: str) -> str:
    return f'{top} "{section}"' if top else section
