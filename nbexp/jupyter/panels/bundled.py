"""What a panel is in the browser: one module and one style sheet, made of `extension/` by `make panels`.

A wheel brings them along. They load nothing from elsewhere, so that they work without a network.
"""

from __future__ import annotations

from pathlib import Path

from nbexp.errors import NotFound

FOLDER = Path(__file__).with_name("static")


def read(name: str) -> tuple[str, str]:
    """The JavaScript and CSS of a panel.

    Raises
    ------
    NotFound
        It was not built.
    """
    try:
        return tuple(  # type: ignore[return-value]  # two of them
            (FOLDER / f"{name}.{suffix}").read_text(encoding="utf-8") for suffix in ("js", "css")
        )
    except FileNotFoundError:
        raise NotFound(
            f"The panel `{name}` is not built: this is nbexp from a checkout, without {name}.js.",
            "`make panels` in the checkout builds it.",
        ) from None
