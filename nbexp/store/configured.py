"""The remotes that a project's configuration names: listed, added, changed. What `project.remote` offers.

Four files may say something of a remote (`formats.config`); an edit is of one of them, by DVC's words `global`,
`system`, `project` and `local`, and leaves the bytes that DVC would. What the files would then mean together is
checked first, so that DVC reads whatever is written here.
"""

from __future__ import annotations

import builtins

from nbexp.errors import NameTaken, NotFound, UsageError, nearest
from nbexp.events import Emit, ignore
from nbexp.formats import config, ini
from nbexp.formats.config import Level
from nbexp.frozen import frozen, replace
from nbexp.results import Result
from nbexp.store import remotes
from nbexp.store.config_files import ConfigFiles


@frozen
class RemoteList(Result):
    """Name, URL and whether it is the default one, in the order of the files."""

    remotes: tuple[tuple[str, str, bool], ...]

    def __repr__(self) -> str:
        return f"<RemoteList: {len(self.remotes)} remotes>"

    def __str__(self) -> str:
        lines = (
            f"{name}\t{url}" + "\t(default)" * is_default for name, url, is_default in self.remotes
        )
        return "".join(line.expandtabs() + "\n" for line in lines)

    def to_json(self) -> dict[str, object]:
        return {name: {"url": url, "default": is_default} for name, url, is_default in self.remotes}


@frozen
class RemoteChange(Result):
    """What an edit did to which remote, and in which file; empty where there is nothing to say."""

    text: str
    name: str | None
    path: str

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, object]:
        return {"remote": self.name, "file": self.path, "text": self.text}


class Remotes(ConfigFiles):
    """What one does with the remotes of a project; get it as `project.remote`.

    `level` is the file that is read or edited: `project` (`.dvc/config`), `local` (`.dvc/config.local`, which Git
    ignores), `global` (the user's) or `system`. None reads all of them, and edits `project`.
    """

    def list(self, *, level: Level | None = None) -> RemoteList:
        """Every remote that has a URL."""
        found: dict[str, str] = {}
        default = None
        for one in self._levels(level):
            document = ini.parse(self._data(one), self._shown(one))
            for title in document.sections:
                name = _remote_of(title)
                url = document.settings(title).get("url")
                if name is not None and url is not None:
                    found[name] = str(url.value)
            set_here = document.settings("core").get("remote")
            default = str(set_here.value) if set_here is not None else default
        return RemoteList(
            tuple(
                (name, remotes.without_secrets(url), name == default) for name, url in found.items()
            )
        )

    def add(
        self,
        name: str,
        url: str,
        *,
        default: bool = False,
        force: bool = False,
        level: Level | None = None,
    ) -> RemoteChange:
        """Add a remote; a relative path is relative to the current directory.

        Raises
        ------
        NameTaken
            The file has one of that name, and `force` is off.
        """
        name = name.lower()
        where: Level = level or "project"
        section = config.remote_section(name)
        if name in self._named(where) and not force:
            raise NameTaken(
                f"There is a remote `{name}` already. {self._shown(where)} is as it was.",
                f"`nbexp remote add -f {name} {remotes.without_secrets(url)}` replaces it.",
            )
        stored = self._stored("url", url, where)

        def edit(data: bytes) -> bytes:
            path = self._shown(where)
            for other in ini.parse(data, path).settings(section):
                if other != "url":
                    data = config.remove(data, section, other, path)
            data = config.set_value(data, section, "url", stored, path)
            return config.set_value(data, "core", "remote", name, path) if default else data

        self._write(where, edit)
        text = f"Setting '{name}' as a default remote.\n" if default else ""
        return RemoteChange(text, name, self._shown(where))

    def modify(
        self,
        name: str,
        option: str,
        value: str | None = None,
        *,
        unset: bool = False,
        level: Level | None = None,
        emit: Emit = ignore,
    ) -> RemoteChange:
        """Change one setting of a remote, or take it away.

        Raises
        ------
        NotFound
            There is no such remote.
        ProjectFileError
            A remote of its kind has no such setting, or the setting takes no such value.
        """
        name, option = name.lower(), option.lower()
        where: Level = level or "project"
        self._require(name, self._up_to(where))
        if not unset and value is None:
            raise UsageError(
                f"The value of `{option}` is missing. Nothing was done.",
                f"`nbexp remote modify --unset {name} {option}` takes the setting away.",
            )
        section, path = config.remote_section(name), self._shown(where)

        def edit(data: bytes) -> bytes:
            if unset:
                return config.remove(data, section, option, path)
            assert value is not None
            return config.set_value(data, section, option, self._stored(option, value, where), path)

        self._write(where, edit)
        if not unset:
            self._tell_of_secret(name, option, where, emit)
        return RemoteChange("", name, path)

    def remove(self, name: str, *, level: Level | None = None) -> RemoteChange:
        """Take a remote out of a file, and out of `core.remote` of that file and those that override it.

        Raises
        ------
        NotFound
            The file has none of that name.
        """
        name = name.lower()
        where: Level = level or "project"
        self._require(name, [where])
        self._write(
            where, lambda data: config.remove(data, config.remote_section(name)), check=False
        )
        for one in reversed(self._levels(None)):
            if self._default(one) == name:
                self._write(one, lambda data: config.remove(data, "core", "remote"), check=False)
            if one == where:
                break
        return RemoteChange("", name, self._shown(where))

    def default(
        self, name: str | None = None, *, unset: bool = False, level: Level | None = None
    ) -> RemoteChange:
        """The default remote: told, set, or unset.

        Raises
        ------
        NotFound
            There is no such remote, or, asked for, no default one.
        """
        where: Level = level or "project"
        if unset:
            self._write(where, lambda data: config.remove(data, "core", "remote"))
            return RemoteChange("", None, self._shown(where))
        if name is None:
            found = None
            for one in self._levels(level):
                found = self._default(one) or found
            if found is None:
                raise NotFound("No default remote is set.", "`nbexp remote default NAME` sets one.")
            return RemoteChange(f"{found}\n", found, self._shown(where))
        name = name.lower()
        self._require(name, self._up_to(where))
        self._write(where, lambda data: config.set_value(data, "core", "remote", name))
        return RemoteChange("", name, self._shown(where))

    def rename(self, name: str, new: str, *, level: Level | None = None) -> RemoteChange:
        """Give a remote of one file another name, in `core.remote` as well.

        Raises
        ------
        NotFound
            The file has none of that name.
        NameTaken
            There is one of the new name, in whichever file.
        """
        name, new = name.lower(), new.lower()
        where: Level = level or "project"
        if any(new in self._named(one) for one in self._levels(None)):
            raise NameTaken(f"There is a remote `{new}` already. Nothing was renamed.")
        self._require(name, [where])
        path = self._shown(where)

        def edit(data: bytes) -> bytes:
            document = ini.parse(data, path)
            old = config.remote_section(name)
            others = [entry for entry in document.entries if entry.section != old]
            moved = [
                replace(entry, section=config.remote_section(new))
                for entry in document.entries
                if entry.section == old
            ]
            data = replace(document, entries=(*others, *moved)).dump()
            return self._renamed_default(config.remove(data, old, path=path), name, new)

        self._write(where, edit, check=False)
        for one in reversed(self._levels(None)):
            if one == where:
                break
            if self._default(one) == name:
                self._write(one, lambda data: self._renamed_default(data, name, new), check=False)
        return RemoteChange("", new, path)

    def _named(self, level: Level) -> builtins.list[str]:
        document = ini.parse(self._data(level), self._shown(level))
        return [name for title in document.sections if (name := _remote_of(title)) is not None]

    def _default(self, level: Level) -> str | None:
        found = ini.parse(self._data(level), self._shown(level)).settings("core").get("remote")
        return None if found is None else str(found.value).lower()

    def _renamed_default(self, data: bytes, name: str, new: str) -> bytes:
        found = ini.parse(data, ".dvc/config").settings("core").get("remote")
        if found is None or str(found.value).lower() != name:
            return data
        return config.set_value(data, "core", "remote", new)

    def _require(self, name: str, levels: builtins.list[Level]) -> None:
        known = [found for level in levels for found in self._named(level)]
        if name in known:
            return
        near = nearest(name, known)
        if near:
            hint = f"did you mean `{near}`?"
        elif known:
            hint = f"there are: {', '.join(sorted(set(known)))}."
        else:
            hint = f"`nbexp remote add {name} /path/or/url` adds it."
        raise NotFound(f"There is no remote `{name}` in {self._shown(levels[-1])}.", hint)


def _remote_of(title: str) -> str | None:
    head, _, rest = title.partition('"')
    return rest.rstrip('"').lower() if head.strip() == "remote" and rest.endswith('"') else None
