"""HTML of others, such as a table that a notebook shows, as HTML that does nothing.

What is known to be harmless stays, all else goes: no script, style, form, frame, event or address that loads
anything. Elements are closed in order, so that the page around them keeps its shape.
"""

from __future__ import annotations

import re
from html import escape
from html.parser import HTMLParser

from nbexp.markup import Markup

_KEPT = frozenset(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li "
    "mark ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul var".split()
)
# What stands inside of these is no text for people.
_DROPPED = frozenset(
    "applet audio button canvas datalist embed head iframe math noembed noframes noscript object "
    "plaintext script select style svg template textarea title video xmp".split()
)
_VOID = frozenset({"br", "col", "hr", "img"})
_ATTRIBUTES = {
    "th": ("colspan", "rowspan", "scope"),
    "td": ("colspan", "rowspan"),
    "ol": ("start",),
    "abbr": ("title",),
    "img": ("alt", "width", "height"),
}
_SHORT = re.compile(r"[A-Za-z0-9%]{1,12}")
_LINK = re.compile(r"(?:https?://|mailto:|#)[^\s\x00-\x20]*", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")
# Deeper than any page is; browsers give up near 500.
_MAX_DEPTH = 100


def clean(html: str) -> Markup:
    """The harmless part of a piece of HTML; text is kept, and is text.

    Examples
    --------
    >>> clean('<table onclick="x()"><tr><td>1<script>x()</script></table><b>')
    '<table><tr><td>1</td></tr></table><b></b>'
    >>> clean('<a href="javascript:x()">a</a> <a href="https://example.org">b</a>')
    '<a>a</a> <a href="https://example.org" rel="noopener noreferrer">b</a>'
    """
    parser = _Cleaner()
    parser.feed(html)
    parser.close()
    return Markup(parser.finished())


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._found: list[str] = []
        self._open: list[str] = []
        self._dropped = ""
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped:
            self._depth += tag == self._dropped
            return
        if tag in _DROPPED:
            if tag != "embed":  # has no end
                self._dropped, self._depth = tag, 1
            return
        if tag not in _KEPT or len(self._open) >= _MAX_DEPTH:
            return
        known = dict(attrs)
        written = ""
        for name in _ATTRIBUTES.get(tag, ()):
            value = known.get(name)
            if value and (name in {"alt", "title"} or _SHORT.fullmatch(value)):
                written += f' {name}="{escape(value)}"'
        if tag == "a" and _LINK.fullmatch(known.get("href") or ""):
            written += f' href="{escape(known["href"] or "")}" rel="noopener noreferrer"'
        if tag == "img":
            source = known.get("src") or ""
            if not _PICTURE.fullmatch(source):
                self._found.append(escape(known.get("alt") or ""))
                return
            written += f' src="{"".join(source.split())}"'
        self._found.append(f"<{tag}{written}>")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            return
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            self._depth -= tag == self._dropped
            self._dropped = self._dropped if self._depth else ""
        elif tag in self._open:
            while True:
                last = self._open.pop()
                self._found.append(f"</{last}>")
                if last == tag:
                    return

    def handle_data(self, data: str) -> None:
        if not self._dropped:
            self._found.append(escape(data, quote=False))

    def finished(self) -> str:
        return "".join(self._found) + "".join(f"</{tag}>" for tag in reversed(self._open))
