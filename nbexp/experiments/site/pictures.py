"""The pictures of a site: each once however often it is shown, and together no larger than asked."""

from __future__ import annotations

import io
from collections.abc import Iterable

from nbexp import hashing
from nbexp.frozen import frozen

_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}
FOLDER = "pictures"


@frozen
class Picture:
    """A picture as it was found; `key` tells it from all that differ by a byte."""

    key: str
    mime: str
    data: bytes

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.key}{_ENDINGS[self.mime]}"


class Pictures:
    """Collects the pictures that pages ask for, then decides which of them there is room for."""

    def __init__(self) -> None:
        self._found: dict[str, Picture] = {}
        self._files: dict[str, bytes] | None = None

    def add(self, data: bytes, mime: str) -> Picture | None:
        """The picture, to be shown by its `path`; None of a kind that no browser shows as a picture."""
        if mime not in _ENDINGS or not data:
            return None
        key = hashing.md5(data)[:12]
        return self._found.setdefault(key, Picture(key, mime, data))

    def has(self, picture: Picture) -> bool:
        """Whether the site has it; before `fit`, all are had."""
        return self._files is None or picture.path in self._files

    @property
    def files(self) -> dict[str, bytes]:
        return (
            {p.path: p.data for p in self._found.values()} if self._files is None else self._files
        )

    def fit(self, room: int) -> list[int]:
        """Keep what fits into `room` bytes, those added first before the others; the sizes of what does not.

        Where not all fit as they are, PNG with more than 256 colours is told with 256 of its own, which a
        plot does not show: a third of the bytes.
        """
        found = [*self._found.values()]
        files = {picture.path: picture.data for picture in found}
        sizes = {}
        if sum(map(len, files.values())) > room:
            for picture in found:
                if picture.mime == "image/png":
                    files[picture.path] = _smaller(picture.data)
            sizes = {path: len(data) for path, data in files.items()}
            files = dict(_first(files.items(), room))
        self._files = files
        return [size for path, size in sizes.items() if path not in files]


def _first(files: Iterable[tuple[str, bytes]], room: int) -> Iterable[tuple[str, bytes]]:
    for path, data in files:
        if len(data) <= room:
            room -= len(data)
            yield path, data


def _smaller(data: bytes) -> bytes:
    """The PNG in at most 256 colours where that is smaller."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode not in ("RGB", "RGBA", "P") or getattr(image, "n_frames", 1) > 1:
                return data
            whole = image.convert("RGBA")
            if whole.getchannel("A").getextrema() == (255, 255):
                few = whole.convert("RGB").quantize(256)
            else:
                few = whole.quantize(256, method=Image.Quantize.FASTOCTREE)
            out = io.BytesIO()
            few.save(out, "PNG", optimize=True)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return data
    return out.getvalue() if out.tell() < len(data) else data
