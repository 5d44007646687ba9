"""The HTML that results share in a notebook: one style, and tables.

Text is escaped by `nbexp.markup`. There is no script, and it reads well where styles are stripped, as on GitHub.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nbexp.markup import Markup, escaped, harmless, joined, tag

__all__ = [
    "Markup",
    "cell",
    "code",
    "escaped",
    "faint",
    "grid",
    "harmless",
    "head",
    "joined",
    "page",
    "pairs",
    "tag",
]

# JupyterLab's colours, else those of VS Code, else what the page has. No background: the page's shows.
_TEXT = "var(--jp-content-font-color1, var(--vscode-editor-foreground, inherit))"
_FAINT = "var(--jp-content-font-color2, var(--vscode-descriptionForeground, inherit))"
_RULE = "var(--jp-border-color2, var(--vscode-panel-border, #80808050))"
_GOOD = "var(--jp-success-color1, var(--vscode-testing-iconPassed, #2a8a34))"
_BAD = "var(--jp-error-color1, var(--vscode-errorForeground, #d03b36))"

# Two classes on every rule outweigh what notebooks say of all tables (`.jp-RenderedHTMLCommon td`).
STYLE = (
    f".nbexp.nbexp{{color:{_TEXT};font-size:13px;line-height:1.5}}"
    ".nbexp .nbexp-scroll{overflow:auto;max-height:460px}"
    ".nbexp.nbexp table{border-collapse:collapse;border:0;margin:0;font-size:inherit;"
    "font-variant-numeric:tabular-nums;width:auto;table-layout:auto}"
    ".nbexp.nbexp.nbexp tr{background:none;border:0}"
    f".nbexp.nbexp th,.nbexp.nbexp td{{padding:3px 20px 3px 0;text-align:left;vertical-align:top;border:0;"
    "background:none;white-space:nowrap;max-width:none;font-weight:normal;color:inherit}"
    f".nbexp.nbexp .nbexp-grid th,.nbexp.nbexp .nbexp-grid td{{border-bottom:1px solid {_RULE};"
    "padding:4px 10px}"
    ".nbexp.nbexp .nbexp-grid tr>:first-child{padding-left:0}"
    f".nbexp.nbexp thead th{{color:{_FAINT};font-weight:600;vertical-align:bottom}}"
    ".nbexp.nbexp .nbexp-n{text-align:right}"
    ".nbexp.nbexp .nbexp-base th,.nbexp.nbexp b,.nbexp.nbexp .nbexp-name{font-weight:600}"
    f".nbexp .nbexp-faint{{color:{_FAINT}}}"
    f".nbexp .nbexp-good{{color:{_GOOD}}}.nbexp .nbexp-bad{{color:{_BAD}}}"
    ".nbexp p{margin:4px 0}"
    ".nbexp code,.nbexp pre{font-family:var(--jp-code-font-family,var(--vscode-editor-font-family,monospace));"
    "font-size:12px;color:inherit}"
    ".nbexp.nbexp pre{background:none;padding:0;border:0}"
    ".nbexp pre{margin:2px 0 8px;white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.4}"
    f".nbexp .nbexp-cell{{border-left:3px solid {_RULE};padding-left:10px;margin:2px 0}}"
    f".nbexp .nbexp-alert{{border:1px solid {_RULE};border-left-width:4px;padding:2px 12px;width:fit-content}}"
    ".nbexp img{max-width:100%}"
    ".nbexp.nbexp .nbexp-sides{table-layout:fixed;width:100%}.nbexp.nbexp .nbexp-sides td{white-space:normal}"
    ".nbexp progress{width:8em;vertical-align:middle}"
)


def page(*content: object) -> str:
    """A whole output: the style and the content. MathJax leaves it alone: a `$` in a name is no formula."""
    classes = "nbexp tex2jax_ignore mathjax_ignore"
    return f'<style>{STYLE}</style><div class="{classes}">{joined(content)}</div>'


def pairs(rows: Iterable[Sequence[object]]) -> Markup:
    """A table without lines: the first of each row says what the others are."""
    lines = [
        tag(
            "tr",
            tag("th", first, scope="row", class_="nbexp-faint", align="left"),
            *map(cell, others),
        )
        for first, *others in rows
    ]
    return tag("table", tag("tbody", *lines))


def cell(value: object, *, is_number: bool = False, title: str | None = None) -> Markup:
    """A cell of a table; `align` says where numbers stand even when styles are stripped."""
    align, class_ = ("right", "nbexp-n") if is_number else ("left", None)
    return tag("td", value, class_=class_, align=align, title=title)


def head(value: object, *, is_number: bool = False, span: int = 1) -> Markup:
    """A cell of a table's head."""
    align, class_ = ("right", "nbexp-n") if is_number else ("left", None)
    return tag(
        "th",
        value,
        scope="col",
        class_=class_,
        align=align,
        colspan=str(span) if span > 1 else None,
    )


def grid(heads: Sequence[Markup], rows: Sequence[Markup]) -> Markup:
    """A table with lines, in a box that scrolls."""
    body = [tag("thead", tag("tr", *heads)), tag("tbody", *rows)]
    return scrolled(tag("table", *body, class_="nbexp-grid"))


def scrolled(content: Markup) -> Markup:
    """In a box that scrolls where it does not fit, by the keyboard as well."""
    return tag("div", content, class_="nbexp-scroll", tabindex="0")


def faint(value: object) -> Markup:
    """Text that steps back."""
    return tag("span", value, class_="nbexp-faint")


def code(value: object) -> Markup:
    """What one would type, or a name of Git's."""
    return tag("code", value)
