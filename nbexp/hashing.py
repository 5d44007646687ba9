"""Digests of bytes that are at hand.

Loading hashlib loads OpenSSL: 4 ms, a twentieth of a command that finds nothing changed. Python's own
implementations load in a tenth of that, and are as fast for what is small: names, signatures, a dvc.lock,
small files, which are read in two processes and need no thread's help.
Nothing here is for secrecy, so a Python that allows only approved digests computes them too.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

# Those of CPython 3.11 and of 3.12 on; a Python built without them has hashlib alone.
_BUILT_IN = {"md5": ("_md5",), "sha1": ("_sha1",), "sha256": ("_sha256", "_sha2")}
_SMALL = 16 << 10
"""Bytes up to which they are worth it: SHA-256 of as many takes 0.05 ms, by OpenSSL 0.01 ms."""
_found: dict[str, Callable[[bytes], Any]] = {}


def md5(data: bytes) -> str:
    """The MD5 of some bytes, as 32 hexadecimal digits."""
    return named("md5", data)


def sha1(data: bytes) -> str:
    """The SHA-1 of some bytes, as 40 hexadecimal digits."""
    return named("sha1", data)


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, as 64 hexadecimal digits."""
    return named("sha256", data)


def named(name: str, data: bytes) -> str:
    """The digest of some bytes by `md5`, `sha1` or `sha256`, as hexadecimal digits."""
    if len(data) <= _SMALL:
        digest = _found.get(name) or _find(name)
        if digest is not None:
            return str(digest(data).hexdigest())
    import hashlib

    return hashlib.new(name, data, usedforsecurity=False).hexdigest()


def blake2b(*parts: bytes) -> str:
    """The 128 bits of BLAKE2b of some bytes, one part after the other, as 32 hexadecimal digits."""
    from _blake2 import blake2b as new  # hashlib's: OpenSSL has none of this size

    digest = new(digest_size=16)
    for part in parts:
        digest.update(part)
    return str(digest.hexdigest())


def _find(name: str) -> Callable[[bytes], Any] | None:
    for module in _BUILT_IN[name]:
        try:
            _found[name] = digest = getattr(import_module(module), name)
        except ImportError:
            continue
        return digest  # type: ignore[no-any-return]
    return None
