"""Pictures are compared pixel by pixel, whatever is in them."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

from nbexp.experiments import pixels


def picture(size: tuple[int, int] = (40, 30), dots: int = 0, kind: str = "PNG") -> bytes:
    image = Image.new("RGB", size, "white")
    for number in range(dots):
        image.putpixel((number % size[0], number // size[0]), (10, 20, 30))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def test_the_pixels_that_differ_are_counted_and_shown_in_red() -> None:
    found = pixels.compare(picture(), picture(dots=45))
    assert (found.changed, found.total, found.old_size, found.new_size) == (
        45,
        1200,
        (40, 30),
        (40, 30),
    )
    shown = Image.open(io.BytesIO(found.picture)).convert("RGB")
    assert shown.getpixel((0, 0)) == (214, 39, 40)
    assert shown.getpixel((4, 1)) == (214, 39, 40)
    assert shown.getpixel((5, 1)) == (255, 255, 255)
    assert found.to_json() == {
        "old_size": [40, 30],
        "new_size": [40, 30],
        "changed": 45,
        "total": 1200,
    }


def test_equal_pixels_in_other_bytes_are_equal() -> None:
    other = io.BytesIO()
    Image.open(io.BytesIO(picture(dots=3))).save(other, "PNG", compress_level=0)
    assert other.getvalue() != picture(dots=3)
    found = pixels.compare(picture(dots=3), other.getvalue())
    assert (found.changed, found.picture) == (0, b"")


def test_a_change_of_transparency_alone_is_a_change() -> None:
    clear, solid = (Image.new("RGBA", (2, 2), (9, 9, 9, alpha)) for alpha in (0, 255))
    data = []
    for image in (clear, solid):
        out = io.BytesIO()
        image.save(out, "PNG")
        data.append(out.getvalue())
    assert pixels.compare(*data).changed == 4


def test_pictures_of_different_sizes_are_not_compared() -> None:
    found = pixels.compare(picture(), picture((41, 30)))
    assert (found.changed, found.why) == (None, "they have different sizes")
    assert (found.old_size, found.new_size) == ((40, 30), (41, 30))


def test_a_broken_picture_is_said_and_not_raised() -> None:
    assert pixels.compare(picture(), picture()[:60]).why == "the new picture cannot be read"
    assert pixels.compare(b"no picture", picture()).why == "the old picture cannot be read"


def test_a_picture_that_says_it_is_huge_is_not_decoded() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )
    assert "too many" in pixels.compare(picture(), bomb).why
