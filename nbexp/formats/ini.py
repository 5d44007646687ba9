"""The INI files of DVC's configuration: ConfigObj's syntax, read with its comments and written as DVC does.

Sections in square brackets, values quoted or not, lists by commas, `#` comments, text in triple quotes over
several lines. DVC writes a file anew from its values and drops the comments; what is written here is the same
bytes, with the comments still above and beside what they stood at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nbexp.errors import ProjectFileError
from nbexp.frozen import frozen, replace

Text = str | list[str]

_TITLE = r"""\s*\[\s*("[^"]*"|'[^']*'|[^'"\s\[].*?)\s*\]\s*(\#.*)?"""
_SETTING = r"""(?s:\s*("[^"]*"|'[^']*'|[^'"=\s][^=]*?)\s*=(.*))"""
_ITEM = r"""\s*(?:"([^"]*)"|'([^']*)'|([^'",\#][^,\#]*?))\s*(?=[,\#]|$)"""
_QUOTED_AT = " \r\n\v\t'\""  # a value with one of these at an end needs quotes


@frozen
class Entry:
    """A line that says something: a setting with its value, or the head of a section if `name` is None.

    Names and sections are in lower case. `above` are the comments and empty lines before it, `beside` the
    comment after it.
    """

    section: str
    name: str | None
    value: Text = ""
    line: int = 0
    above: tuple[str, ...] = ()
    beside: str = ""

    def lines(self) -> list[str]:
        """As it is written, with the comments."""
        aside = f"    {self.beside}" if self.beside else ""
        if self.name is None:
            return [*self.above, f"[{_quoted(self.section)}]{aside}"]
        above = ["    " + line if line else "" for line in self.above]
        return [*above, f"    {_quoted(self.name)} = {_written(self.value)}{aside}"]


@frozen
class Document:
    """A whole file; `below` are the comments and empty lines at its end."""

    entries: tuple[Entry, ...]
    below: tuple[str, ...] = ()

    @property
    def sections(self) -> list[str]:
        """The titles in order."""
        return [entry.section for entry in self.entries if entry.name is None]

    def head(self, section: str) -> Entry | None:
        """The line that a section begins with."""
        return self._find(section, None)

    def settings(self, section: str) -> dict[str, Entry]:
        """The settings of a section by name."""
        return {
            entry.name: entry
            for entry in self.entries
            if entry.section == section and entry.name is not None
        }

    def with_setting(self, section: str, name: str, value: Text) -> Document:
        """With the setting in place of the one of that name, else at the end of its section, else of the file."""
        old = self._find(section, name)
        if old is not None:
            changed = replace(old, value=value)
            changes = (changed if one is old else one for one in self.entries)
            return replace(self, entries=tuple(changes))
        added = Entry(section, name, value)
        if self.head(section) is None:
            return replace(self, entries=(*self.entries, Entry(section, None), added))
        at = max(n for n, one in enumerate(self.entries) if one.section == section) + 1
        return replace(self, entries=(*self.entries[:at], added, *self.entries[at:]))

    def without(self, entries: Iterable[Entry]) -> Document:
        """Without these; the comments above them go to what follows."""
        gone = {id(entry) for entry in entries}
        kept: list[Entry] = []
        waiting: tuple[str, ...] = ()
        for entry in self.entries:
            waiting += entry.above
            if id(entry) not in gone:
                kept.append(replace(entry, above=waiting))
                waiting = ()
        return Document(tuple(kept), waiting + self.below)

    def in_order(self, sections: Sequence[str]) -> Document:
        """With its sections in this order."""
        return replace(
            self, entries=tuple(e for title in sections for e in self.entries if e.section == title)
        )

    def dump(self) -> bytes:
        """The file's bytes: those of DVC, with the comments in between.

        Empty lines go as well unless there are comments, whose paragraphs they part.
        """
        lines = [line for entry in self.entries for line in entry.lines()] + [*self.below]
        if not any(self.below) and not any(any(e.above) or e.beside for e in self.entries):
            lines = [line for line in lines if line]
        return ("\n".join(lines) + "\n").encode("utf-8")

    def _find(self, section: str, name: str | None) -> Entry | None:
        return next((e for e in self.entries if e.section == section and e.name == name), None)


def parse(data: bytes, path: str) -> Document:
    """What the file says.

    Raises
    ------
    ProjectFileError
        It is no INI file; the line is told.
    """
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProjectFileError("this is not UTF-8 text.", path=path, line=line) from None
    found: dict[tuple[str, str | None], Entry] = {}
    section: str | None = None
    above: list[str] = []
    number = 0
    while number < len(lines):
        text = lines[number]
        number += 1
        if not text.strip() or text.lstrip().startswith("#"):
            above.append(text.strip())
            continue
        title = re.fullmatch(_TITLE, text)
        setting = None if title else re.fullmatch(_SETTING, text)
        name: str | None = None
        value: Text = ""
        started = number
        if title:
            section, beside = _unquoted(title[1]).lower(), title[2] or ""
            shown = f"section `{section}`"
        elif setting is None:
            raise ProjectFileError(
                f"`{text.strip()}` is neither a [section] nor `name = value`.",
                path=path,
                line=number,
            )
        elif section is None:
            raise ProjectFileError(
                f"`{setting[1]}` stands before any [section].", path=path, line=number
            )
        else:
            name = _unquoted(setting[1]).lower()
            shown = f"`{name}`"
        if (section, name) in found:
            raise ProjectFileError(f"{shown} is there a second time.", path=path, line=number)
        if setting is not None and name is not None:
            rest = setting[2].strip()
            if rest[:3] in {'"""', "'''"}:
                quote, rest = rest[:3], rest[3:]
                while quote not in rest and number < len(lines):
                    rest += "\n" + lines[number]
                    number += 1
                if quote not in rest:
                    raise _no_value(name, path, started)
                value, _, beside = rest.partition(quote)
            else:
                value, beside = _value(name, rest, path, started)
        found[section, name] = Entry(section, name, value, started, tuple(above), beside.strip())
        above = []
    return Document(tuple(found.values()), tuple(above))


def _value(name: str, text: str, path: str, line: int) -> tuple[Text, str]:
    """One value, a list if there is a comma between values as in `reflink,copy`; and the comment."""
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
    return (items if is_list else items[0] if items else ""), text[position:]


def _no_value(name: str, path: str, line: int) -> ProjectFileError:
    return ProjectFileError(
        f"the value of `{name}` cannot be read.", "put it in double quotes.", path=path, line=line
    )


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in {'"', "'"} else text


def _written(value: Text) -> str:
    if isinstance(value, list):
        items = [_quoted(item) for item in value]
        return f"{items[0]}," if len(items) == 1 else ", ".join(items) or ","
    if "\n" in value or ("'" in value and '"' in value):
        # ConfigObj takes the single ones unless they are in the text; it forgets the end.
        single = "'''" not in value and not value.endswith("'")
        return f"'''{value}'''" if single else f'"""{value}"""'
    return _quoted(value)


def _quoted(text: str) -> str:
    """Text of one line in the quotes that ConfigObj would give it, none if it needs none."""
    if not text:
        return '""'
    plain = text[0] not in _QUOTED_AT and text[-1] not in _QUOTED_AT
    if plain and "," not in text and "#" not in text:
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'
