"""A Vega-Lite chart as an image or a page, made on this machine: nothing is fetched, no browser is started."""

from __future__ import annotations

import html
import json
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from nbexp import filesystem
from nbexp.errors import UsageError
from nbexp.plots import Curves, Spec, line

# The newest of the fifth series, which is what JupyterLab, VS Code and the `$schema` of our charts speak.
_VERSION = "5.21"
# A chart can name its data by an address; none of ours does, and one that did is refused. (vl-convert 1.9
# still fetches the picture of an `image` mark for a PNG; there is none in our charts.)
_NO_ADDRESS: list[str] = []

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' \
'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 2em; font: 14px system-ui, sans-serif; }}
</style>
<script>{library}</script>
</head>
<body>
<div id="chart"></div>
<script>
vegaEmbed("#chart", {spec}, {{"renderer": "svg", "actions": {{"export": true, "source": false, \
"compiled": false, "editor": false}}}}).then(() => {{
  // Vega leaves the rectangle of a selection without words; what it selects has them.
  for (const one of document.querySelectorAll("g[class*=brush_]")) one.setAttribute("aria-hidden", "true");
}});
</script>
</body>
</html>
"""


def svg(spec: Mapping[str, object]) -> str:
    """The chart as SVG, on a transparent ground."""
    import vl_convert

    drawn = vl_convert.vegalite_to_svg(
        dict(spec), vl_version=_VERSION, allowed_base_urls=_NO_ADDRESS
    )
    return _numbered(str(drawn))


# `<clipPath id="clip7">`, `<linearGradient id="gradient_7" …>` and where they are used.
_DEFINED = re.compile(r'<(?:clipPath|\w+Gradient) id="([a-z]+_?)(\d+)"')


def _numbered(drawn: str) -> str:
    """The SVG with its own ids from 1 on: Vega counts on from one chart of a process to the next.

    Equal charts are equal bytes then, in a notebook under Git as in a page.
    """
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for word, number in _DEFINED.findall(drawn):
        if word + number not in names:
            counts[word] = counts.get(word, 0) + 1
            names[word + number] = f"{word}{counts[word]}"
    if not names:
        return drawn
    used = re.compile(r'(?<= id=")[a-z]+_?\d+(?=")|(?<=url\(#)[a-z]+_?\d+(?=\))')
    return used.sub(lambda found: names.get(found[0], found[0]), drawn)


def png(spec: Mapping[str, object], *, scale: float = 2) -> bytes:
    """The chart as PNG; `scale` is its pixels for each pixel of the chart."""
    import vl_convert

    return _packed(
        vl_convert.vegalite_to_png(
            dict(spec), vl_version=_VERSION, scale=scale, allowed_base_urls=_NO_ADDRESS
        )
    )


def page(spec: Mapping[str, object], title: str = "") -> str:
    """The chart as an HTML page of its own, about 0.9 MB, which needs no network and is let near none."""
    import vl_convert

    return _PAGE.format(
        title=html.escape(title),
        library=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=_VERSION),
        spec=embedded(spec),
    )


def embedded(value: object) -> str:
    """JSON that can stand in a script of a page: no text in it can end that script."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")


def _packed(image: bytes) -> bytes:
    """The same PNG, a fourth of the size: vl-convert 1.9 packs for speed, and this is saved in notebooks."""
    start, pixels, chunks = 8, b"", []
    while start < len(image):
        length = int.from_bytes(image[start : start + 4], "big")
        kind, data = image[start + 4 : start + 8], image[start + 8 : start + 8 + length]
        start += 12 + length
        if kind == b"IDAT":
            pixels += data
            continue
        if kind == b"IEND":
            chunks.append(_chunk(b"IDAT", zlib.compress(zlib.decompress(pixels), 9)))
        chunks.append(_chunk(kind, data))
    return image[:8] + b"".join(chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    """Length, kind, data and checksum: a part of a PNG file (RFC 2083, section 3.2)."""
    checksum = zlib.crc32(kind + data)
    return len(data).to_bytes(4, "big") + kind + data + checksum.to_bytes(4, "big")


def spec_of(curves: Curves) -> Spec:
    """The chart that `plot` draws of a metric."""
    return line.plot(curves.series, {"y_label": curves.metric})


def write(curves: Curves, path: str | os.PathLike[str]) -> None:
    """Write the curves as a picture; the ending of `path` says which kind.

    Raises
    ------
    UsageError
        The ending is none of .svg, .png, .html and .json, or the folder is not there. Nothing was written.
    """
    write_spec(spec_of(curves), path, curves.metric)


def write_spec(spec: Mapping[str, object], path: str | os.PathLike[str], what: str) -> None:
    """Write a chart as a picture; `what` it is about, which a page has as its title.

    Raises
    ------
    UsageError
        The ending is none of .svg, .png, .html and .json, or the folder is not there. Nothing was written.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in (".svg", ".png", ".html", ".json"):
        raise UsageError(
            f"{target} ends in none of .svg, .png, .html and .json. Nothing was written.",
            f"`nbexp plot {what} --out {target.stem}.svg`",
        )
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent}. Nothing was written.")
    if ending == ".svg":
        data = svg(spec).encode()
    elif ending == ".png":
        data = png(spec)
    elif ending == ".html":
        data = page(spec, what).encode()
    else:
        data = json.dumps(spec, indent=2, ensure_ascii=False).encode() + b"\n"
    filesystem.atomic_write(target, data)
