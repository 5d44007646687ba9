"""HTML as a value: text that cannot become anything but text.

Everything shown may come from a commit that somebody else pushed, so text is escaped here and nowhere else:
`Markup` is HTML made by this package, any other value is text. What would colour a terminal, move its cursor or
turn the direction of reading round is told, not done.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

# Elements that have no content and no end tag.
_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


# Colours and titles of a terminal (ECMA-48: CSI, OSC, and single letters) have nothing to say in text.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
# C0 and C1 controls, and what Unicode has to change the direction (UAX 9).
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Markup(str):
    """HTML made here; joining and formatting with anything else goes through `escaped`."""

    __slots__ = ()


def escaped(value: object) -> Markup:
    """The value as text in HTML; `Markup` as it is."""
    return value if isinstance(value, Markup) else Markup(html.escape(harmless(str(value))))


def harmless(text: str) -> str:
    r"""The text without what acts on whoever shows it: escape sequences are left out, other controls are spelled.

    Examples
    --------
    >>> harmless("\x1b[31mred\x1b[0m and \u202eback\x00")
    'red and \\u202eback\\x00'
    """
    if _CONTROL.search(text) is None:
        return text
    plain = _SEQUENCE.sub("", text).replace("\r\n", "\n")
    return _CONTROL.sub(lambda found: _spelled(ord(found[0])), plain)


def _spelled(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """The parts one after the other, each escaped unless it is markup."""
    return Markup(between.join(escaped(part) for part in parts))


def tag(name: str, /, *content: object, **attributes: str | None) -> Markup:
    """An element; attributes of None are left out, `class_` and `for_` lose their underscore.

    Examples
    --------
    >>> tag("p", "a < b", class_="note", data_row="1")
    '<p class="note" data-row="1">a &lt; b</p>'
    >>> tag("img", src="a.png", alt="")
    '<img src="a.png" alt="">'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(harmless(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if name in _VOID else f"{joined(content)}</{name}>"
    return Markup(f"<{name}{written}>{end}")
