"""How the pages look that `report --html` and `publish` write: CSS and scripts, kept as files of their own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from nbexp.markup import Markup, joined, tag

# What a page of ours may load: its own style and script, pictures beside it or inside it, and nothing else.
_NETWORK = (
    "default-src 'none'; img-src 'self' file: data:; style-src {0}; script-src {0}; font-src 'none'"
)


@cache
def read(name: str) -> str:
    """A file of this folder: `site.css`, `site.js`."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def page(
    title: str, *body: object, assets: str | None = None, has_cells: bool = False, class_: str = ""
) -> str:
    """A whole HTML page.

    Parameters
    ----------
    assets
        Where `site.css` and `site.js` are, relative to the page; None: the style is in the page and there
        is no script.
    has_cells
        The page refers to cells of notebooks that it shares with others.
    """
    if assets is None:
        style = tag("style", Markup(read("site.css")))
        policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
        script = Markup()
    else:
        style = tag("link", rel="stylesheet", href=f"{assets}site.css")
        policy = _NETWORK.format("'self' file:")
        names = ("cells.js", "site.js") if has_cells else ("site.js",)
        script = joined([tag("script", src=assets + name, defer="") for name in names])
    head = joined(
        [
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", title),
            style,
            script,
        ],
        "\n",
    )
    html = tag(
        "html",
        tag("head", "\n", head, "\n"),
        "\n",
        tag("body", *body, class_=class_ or None),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{html}\n"


def number(value: object) -> Markup:
    """A number in a table's cell, aligned with those above and below it."""
    return tag("td", value, class_="n")


def faint(value: object) -> Markup:
    """Text that steps back."""
    return tag("span", value, class_="faint")


def delta(text: str, verdict: str | None) -> Markup:
    """How a metric differs, and in words whether that is better."""
    words = " ".join(filter(None, (text, verdict)))
    return tag("span", words, class_={"better": "good", "worse": "bad"}.get(verdict or "", "faint"))


def diff(text: str) -> Markup:
    """A unified diff with its lines marked."""
    lines = []
    for line in text.splitlines():
        kind = None
        if line.startswith(("--- ", "+++ ")):
            kind = "file"
        elif line.startswith("@@"):
            kind = "at"
        elif line[:1] in "+-" and line:
            kind = "add" if line[0] == "+" else "del"
        lines.append(tag("span", line, class_=kind))
    return tag("pre", joined(lines, "\n"), class_="diff")
