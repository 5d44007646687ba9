"""How far two pictures differ, pixel by pixel, and a picture of where.

Pillow reads them, in its one home; a picture from a commit that somebody else pushed is not decoded before its size
is known to be bearable.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from nbexp.frozen import field, frozen

if TYPE_CHECKING:
    from PIL.Image import Image

# 25 million pixels are 100 MB in memory; a figure of 100 x 50 cm at 100 dpi has 8 million.
_MAX_PIXELS = 25_000_000


@frozen
class Pixels:
    """How far two pictures differ.

    Attributes
    ----------
    old_size, new_size
        Width and height; None of a picture that could not be read.
    changed
        How many pixels differ; None where sizes differ, or a picture could not be read.
    picture
        A PNG of the new picture, faded, with what differs in red; empty where nothing does.
    why
        Why the pixels were not compared.
    """

    old_size: tuple[int, int] | None
    new_size: tuple[int, int] | None
    changed: int | None
    picture: bytes = field(default=b"", repr=False)
    why: str = ""

    @property
    def total(self) -> int:
        return self.new_size[0] * self.new_size[1] if self.new_size else 0

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {
            "old_size": self.old_size and [*self.old_size],
            "new_size": self.new_size and [*self.new_size],
            "changed": self.changed,
            "total": self.total,
        }
        return {**found, "why": self.why} if self.why else found


def compare(old: bytes, new: bytes) -> Pixels:
    """Compare two pictures of any format that Pillow reads; what cannot be read is said, not raised.

    Examples
    --------
    >>> compare(b"", b"").why
    'the old picture cannot be read'
    """
    pictures: list[Image] = []
    sizes: list[tuple[int, int] | None] = [None, None]
    why = ""
    for number, (name, data) in enumerate((("old", old), ("new", new))):
        found = _opened(data)
        if isinstance(found, str):
            why = why or f"the {name} picture {found}"
            continue
        sizes[number] = (found.width, found.height)
        pictures.append(found)
    if why:
        return Pixels(sizes[0], sizes[1], None, why=why)
    if sizes[0] != sizes[1]:
        return Pixels(sizes[0], sizes[1], None, why="they have different sizes")
    changed, picture = _difference(*pictures)
    return Pixels(sizes[0], sizes[1], changed, picture)


def small(data: bytes, side: int) -> tuple[bytes, tuple[int, int]] | None:
    """A picture as PNG, no longer than `side` on either side, and the size it had; None of what cannot be read."""
    found = _opened(data)
    if isinstance(found, str):
        return None
    size = found.size
    found.thumbnail((side, side))
    out = io.BytesIO()
    found.save(out, "PNG", optimize=True)
    return out.getvalue(), size


def _opened(data: bytes) -> Image | str:
    """The picture in RGBA, or why there is none."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are looked at here
            found = Image.open(io.BytesIO(data))
            if found.width * found.height > _MAX_PIXELS:
                return f"has {found.width} x {found.height} pixels, too many to compare"
            return found.convert("RGBA")
    except Image.DecompressionBombError:
        return "has too many pixels to compare"
    except Exception:  # noqa: BLE001 - a decoder raises what it likes about a broken file
        return "cannot be read"


def _difference(old: Image, new: Image) -> tuple[int, bytes]:
    from PIL import Image, ImageChops

    bands = ImageChops.difference(old, new).split()
    most = bands[0]
    for band in bands[1:]:
        most = ImageChops.lighter(most, band)
    mask = most.point([0] + [255] * 255)
    changed = mask.histogram()[255]
    if not changed:
        return 0, b""
    white = Image.new("RGBA", new.size, "white")
    faded = Image.blend(Image.alpha_composite(white, new).convert("L").convert("RGB"),
                        Image.new("RGB", new.size, "white"), 0.75)  # fmt: skip
    faded.paste((214, 39, 40), mask=mask)
    out = io.BytesIO()
    faded.save(out, "PNG", optimize=False)
    return changed, out.getvalue()
