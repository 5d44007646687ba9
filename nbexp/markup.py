"""HTML as a value: text that cannot become anything but text.

Everything shown may come from a commit that somebody else pushed, so text is escaped here and nowhere else:
`Markup` is HTML made by this package, any other value is text.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

# Elements that have no content and no end tag.
_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """HTML made here; joining and formatting with anything else goes through `escaped`."""

    __slots__ = ()


def escaped(value: object) -> Markup:
    """The value as text in HTML; `Markup` as it is."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


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
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if name in _VOID else f"{joined(content)}</{name}>"
    return Markup(f"<{name}{written}>{end}")
