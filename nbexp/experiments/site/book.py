"""An executed notebook as HTML that only shows: no script, no formula engine, nothing from the network."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from nbexp.experiments.site.clean import clean
from nbexp.experiments.site.pictures import Picture, Pictures
from nbexp.markup import Markup, tag
from nbexp.plots.render import embedded

# An output that is longer is read in the notebook itself.
_MAX_TEXT, _MAX_HTML, _MAX_SVG = 6_000, 60_000, 60_000
# What is shorter costs no more than a reference to it.
_MIN_SHARED = 60
_COLOURED = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


class Cells:
    """Code and prose of notebooks, each kept once where several pages show it: runs of one notebook differ in
    their outputs alone.

    Pages are written twice: first to count, then, after `share`, with a reference in place of what is shared.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._keys: dict[str, str] = {}
        self._is_sharing = False

    def share(self) -> None:
        """From here on, what was shown more than once is referred to."""
        self._is_sharing = True

    def show(self, content: Markup, class_: str, title: str | None = None) -> Markup:
        """The part of a cell, as itself or as a reference that the site's script fills in."""
        if not self._is_sharing:
            self._counts[content] = self._counts.get(content, 0) + 1
        elif self._counts.get(content, 0) > 1 and len(content) > _MIN_SHARED:
            key = self._keys.setdefault(content, f"c{len(self._keys)}")
            return tag("div", class_=class_, title=title, data_c=key)
        return tag("div", content, class_=class_, title=title)

    def script(self) -> str:
        """What is shared, for the site's script."""
        found = {key: str(content) for content, key in self._keys.items()}
        return f"const CELLS = {embedded(found)};\n"


def cells(data: bytes) -> Iterator[Mapping[str, Any]]:
    """The cells of a notebook; none of what is no notebook."""
    try:
        found = json.loads(data).get("cells", [])
    except (ValueError, AttributeError):
        return
    yield from (cell for cell in found if isinstance(cell, Mapping))


def pictures(data: bytes, found: Pictures) -> list[Picture]:
    """The pictures that a notebook shows, added to those of the site."""
    shown = (
        _picture(output.get("data"), found)
        for cell in cells(data)
        for output in _outputs(cell)
        if isinstance(output.get("data"), Mapping)
    )
    return [picture for picture in shown if picture is not None]


def write(data: bytes, found: Pictures, shared: Cells, up: str, hint: str) -> Markup:
    """The notebook's cells with what they showed.

    Parameters
    ----------
    shared
        Code and prose that other pages have as well.
    found
        Has the pictures that the site has room for.
    up
        From the page to the top of the site, where the pictures are.
    hint
        What shows a picture that there is no room for.
    """
    return Markup("\n".join(_cells(data, found, shared, up, hint)))


def _cells(data: bytes, found: Pictures, shared: Cells, up: str, hint: str) -> Iterator[Markup]:
    number = 0
    language = _language(data)
    for cell in cells(data):
        source = _text(cell.get("source"))
        if cell.get("cell_type") == "markdown":
            yield tag("div", shared.show(_prose(source), "prose"), class_="cell")
            continue
        if cell.get("cell_type") != "code":
            yield tag("div", tag("div", tag("pre", source), class_="prose"), class_="cell")
            continue
        metadata = cell.get("metadata")
        tags = metadata.get("tags", []) if isinstance(metadata, Mapping) else []
        injected = "injected-parameters" in tags
        outs = [shown for output in _outputs(cell) for shown in _output(output, found, up, hint)]
        if not source.strip() and not outs:
            continue
        number += not injected
        code = tag("code", source.rstrip("\n"), class_=language)
        yield tag(
            "div",
            tag("div", "" if injected else str(number), class_="no"),
            shared.show(tag("pre", code), "in", "parameters of this run" if injected else None),
            *(tag("div", shown, class_="out") for shown in outs),
            class_="cell injected" if injected else "cell",
        )


def _output(output: Mapping[str, Any], found: Pictures, up: str, hint: str) -> Iterator[Markup]:
    if output.get("output_type") == "error":
        trace = output.get("traceback")
        lines = "\n".join(map(str, trace)) if isinstance(trace, list) and trace else ""
        yield tag(
            "pre",
            _shortened(lines or f"{output.get('ename')}: {output.get('evalue')}"),
            class_="error",
        )
        return
    data = output.get("data")
    if not isinstance(data, Mapping):
        text = _shortened(_text(output.get("text")))
        if text.strip():
            yield tag("pre", text)
        return
    words = _shortened(_text(data.get("text/plain")))
    picture = _picture(data, found)
    drawing = _text(data.get("image/svg+xml"))
    table = _text(data.get("text/html"))
    if picture is not None:
        if found.has(picture):
            alt = words.splitlines()[0] if words else "picture"
            yield tag("div", tag("img", src=up + picture.path, alt=alt), class_="paper")
        else:
            yield left_out(picture, hint)
    elif drawing and len(drawing) <= _MAX_SVG:
        # As a picture it runs no script and loads nothing, and by a `data:` address none can be opened.
        encoded = base64.b64encode(drawing.encode()).decode()
        yield tag("img", src=f"data:image/svg+xml;base64,{encoded}", alt=words)
    elif table and len(table) <= _MAX_HTML and (shown := clean(table)).strip():
        yield shown
    elif markdown := _text(data.get("text/markdown")):
        yield tag("div", _prose(markdown), class_="prose")
    elif words.strip():
        yield tag("pre", words)


def left_out(picture: Picture, hint: str) -> Markup:
    """What stands where there is no room for a picture."""
    size = f"{len(picture.data) / 1000:,.0f} kB"
    return tag(
        "p",
        f"A picture of {size} is left out here; ",
        tag("code", hint),
        " shows it.",
        class_="faint",
    )


def _picture(data: object, found: Pictures) -> Picture | None:
    if not isinstance(data, Mapping):
        return None
    for mime in ("image/png", "image/jpeg", "image/gif", "image/webp"):
        encoded = _text(data.get(mime))
        if encoded:
            try:
                return found.add(base64.b64decode(encoded), mime)
            except (binascii.Error, ValueError):
                return None
    return None


@lru_cache(maxsize=4096)
def _prose(source: str) -> Markup:
    return clean(_markdown()(source[:_MAX_HTML]))


def _markdown() -> Callable[[str], str]:
    """Markdown to HTML by what nbconvert uses, without nbconvert, which takes seconds to load.

    What comes out is cleaned as if it were anybody's.
    """
    import mistune

    plugins = ["strikethrough", "table", "url"]
    made = mistune.create_markdown(escape=False, plugins=plugins)
    return lambda source: str(made(source))


def _language(data: bytes) -> str | None:
    try:
        metadata = json.loads(data)["metadata"]
        found = metadata.get("kernelspec", {}).get("language") or metadata.get(
            "language_info", {}
        ).get("name", "python")
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return "python" if found in ("python", "ipython") else None


def _outputs(cell: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = cell.get("outputs")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _text(value: object) -> str:
    """A text of the notebook format, which may be a list of lines."""
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(map(str, value))
    return str(value)


def _shortened(text: str) -> str:
    found = _UNSEEN.sub("", _COLOURED.sub("", text)).rstrip("\n")
    if len(found) <= _MAX_TEXT:
        return found
    half = _MAX_TEXT // 2
    return f"{found[:half]}\n… {len(found) - _MAX_TEXT:,} characters …\n{found[-half:]}"
