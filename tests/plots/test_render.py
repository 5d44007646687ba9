from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nbexp.errors import UsageError
from nbexp.plots import render


@dataclass(frozen=True)
class Series:
    name: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    x: str = "step"


@dataclass(frozen=True)
class Curves:
    metric: str
    series: tuple[Series, ...]


CURVES = Curves(
    "acc", (Series("low-lr", (1, 2), (0.8, 0.9)), Series("high-lr", (1, 2), (0.7, 0.95)))
)
HOSTILE = Curves("<b>acc</b>", (Series("</script><img src=x onerror=alert(1)>", (1, 2), (1, 2)),))


def test_svg_names_the_experiments_in_its_legend() -> None:
    texts = [
        element.text
        for element in ET.fromstring(render.svg(render.spec_of(CURVES))).iter()
        if element.tag.endswith("text")
    ]
    assert {"low-lr", "high-lr", "acc", "step"} <= set(texts)


def test_svg_holds_a_strange_name_as_text_alone() -> None:
    tags = {
        element.tag.rpartition("}")[2]
        for element in ET.fromstring(render.svg(render.spec_of(HOSTILE))).iter()
    }
    assert tags <= {"svg", "g", "path", "rect", "text", "line", "defs", "clipPath"}


def test_png_has_the_pixels_that_were_asked_for() -> None:
    once, twice = (render.png(render.spec_of(CURVES), scale=scale) for scale in (1, 2))
    assert [
        twice_px / once_px for once_px, twice_px in zip(_size(once), _size(twice), strict=True)
    ] == [2, 2]


def test_png_is_packed_tightly_and_whole() -> None:
    image = render.png(render.spec_of(CURVES), scale=1)
    kinds = []
    at = 8
    while at < len(image):
        length, kind = struct.unpack(">I4s", image[at : at + 8])
        data = image[at + 8 : at + 8 + length]
        assert struct.unpack(">I", image[at + 8 + length : at + 12 + length]) == (
            zlib.crc32(kind + data),
        )
        kinds.append(kind)
        at += 12 + length
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    assert kinds[0] == b"IHDR" and kinds[-2:] == [b"IDAT", b"IEND"]
    assert len(image) < 30_000


@pytest.mark.parametrize("draw", [render.svg, render.png])
def test_data_behind_an_address_is_refused(draw: Callable[..., object]) -> None:
    spec = {**render.spec_of(CURVES), "data": {"url": "http://127.0.0.1:9/rows.json"}}
    with pytest.raises(ValueError, match="data url not allowed"):
        draw(spec)


@pytest.mark.parametrize("ending", [".svg", ".png", ".html", ".json", ".SVG"])
def test_the_ending_says_what_is_written(ending: str, tmp_path: Path) -> None:
    render.write(CURVES, tmp_path / f"acc{ending}")
    start = (tmp_path / f"acc{ending}").read_bytes()[:20]
    expected = {".svg": b"<svg", ".png": b"\x89PNG", ".html": b"<!DOCTYPE html>", ".json": b"{"}
    assert start.startswith(expected[ending.lower()])


def test_json_is_the_chart(tmp_path: Path) -> None:
    render.write(CURVES, tmp_path / "acc.json")
    assert json.loads((tmp_path / "acc.json").read_bytes()) == render.spec_of(CURVES)


@pytest.mark.parametrize("name", ["acc.gif", "acc", "acc.svg.gz"])
def test_another_ending_is_refused_with_one_that_works(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        render.write(CURVES, tmp_path / name)
    assert caught.value.message == (
        f"{tmp_path / name} ends in none of .svg, .png, .html and .json. Nothing was written."
    )
    assert caught.value.hint == f"`nbexp plot acc --out {Path(name).stem}.svg`"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        render.write(CURVES, tmp_path / "pictures" / "acc.svg")
    assert (
        caught.value.message == f"There is no folder {tmp_path / 'pictures'}. Nothing was written."
    )


def test_no_name_ends_the_script_of_a_page() -> None:
    page = render.page(render.spec_of(HOSTILE), HOSTILE.metric)
    assert page.count("</script>") == 2  # the library's and ours
    assert "\\u003c/script>\\u003cimg src=x" in page
    assert "<title>&lt;b&gt;acc&lt;/b&gt;</title>" in page


def test_a_page_draws_itself_from_disk(tmp_path: Path, chromium: Callable[..., Any]) -> None:
    render.write(CURVES, tmp_path / "acc.html")
    page = chromium(tmp_path / "acc.html", width=900, height=500)
    assert 'class="marks"' in page.dom
    assert "low-lr" in page.dom.partition("<body>")[2].partition("<script>")[0]


def test_a_page_asks_no_network() -> None:
    page = render.page(render.spec_of(CURVES), "acc")
    assert "content=\"default-src 'none';" in page
    assert 'src="http' not in page


def _size(image: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", image[16:24])
    return width, height
