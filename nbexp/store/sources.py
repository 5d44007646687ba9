"""What tells that a URL still holds the same, without fetching it: the fields that DVC keeps of it in dvc.lock.

DVC 3.67.1 keeps the ETag or Content-MD5 of HTTP as `checksum`, and the ETag of the clouds as `etag`, each as its
own storage writes it; beside it `hash: md5`, although none is taken, and the size.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from nbexp.errors import StoreError
from nbexp.formats import config
from nbexp.formats.config import Value
from nbexp.store import remotes
from nbexp.store.remotes._fsspec import FsspecRemote


def look(url: str, dvc_dir: Path) -> dict[str, object] | None:
    """What dvc.lock says of the URL as it is now; None where nothing is there.

    Parameters
    ----------
    url
        `http(s)://`, `s3://`, `gs://`, `azure://`, or `remote://NAME/path`, which has the settings of that remote.
    dvc_dir
        The project's `.dvc`, for these settings.

    Raises
    ------
    StoreError
        The storage does not answer, is of another kind, or tells nothing that changes with the content.
    NotFound
        There is no such remote.

    Notes
    -----
    One question to the storage.
    """
    address, settings = _address(url, dvc_dir)
    fields = _FIELDS.get(remotes.kind(address))
    remote = remotes.at(address, settings) if fields is not None else None
    if fields is None or not isinstance(remote, FsspecRemote):
        raise StoreError(
            f"`{remotes.without_secrets(url)}` is in a storage that does not tell when it changes.",
            "`dvc import-url` brings data into the project.",
        )
    try:
        info = remote.look()
    finally:
        remote.close()
    if info is None:
        return None
    told = fields(info)
    if told is None:
        raise StoreError(
            f"`{remotes.without_secrets(url)}` has neither an ETag nor a digest, so nothing tells when it changes.",
            "`dvc import-url` brings data into the project.",
        )
    name, value = told
    size = info.get("size")
    return {"hash": "md5", name: value, **({"size": int(str(size))} if size is not None else {})}


def _address(url: str, dvc_dir: Path) -> tuple[str, Mapping[str, Value]]:
    if not url.startswith("remote://"):
        return url, {}
    name, _, path = url.removeprefix("remote://").partition("/")
    base, settings = remotes.settings_of(config.read(dvc_dir), name)
    return f"{base.rstrip('/')}/{path}", settings


def _of_http(info: Mapping[str, object]) -> tuple[str, str] | None:
    told = info.get("ETag") or info.get("Content-MD5")
    return ("checksum", str(told)) if told else None


def _of_s3(info: Mapping[str, object]) -> tuple[str, str] | None:
    told = str(info.get("ETag") or "").strip('"')
    return ("etag", told) if told else None


def _of_gs(info: Mapping[str, object]) -> tuple[str, str] | None:
    told = info.get("etag")
    if not told:
        return None
    try:
        return "etag", base64.b64decode(str(told)).hex()
    except binascii.Error:
        return "etag", str(told)


def _of_azure(info: Mapping[str, object]) -> tuple[str, str] | None:
    told = str(info.get("etag") or "").strip('"')
    return ("etag", f'"{told}"') if told else None


_FIELDS = {"http": _of_http, "s3": _of_s3, "gs": _of_gs, "azure": _of_azure}
