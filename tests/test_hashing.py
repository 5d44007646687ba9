"""The digests of `nbexp.hashing`, against hashlib's, and that small ones do not load it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable

import pytest

from nbexp import hashing

SIZES = [0, 1, 100, 16 << 10, (16 << 10) + 1, 1 << 20]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["md5", "sha1", "sha256"])
def test_the_digests_are_those_of_hashlib(name: str, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    expected = hashlib.new(name, data).hexdigest()
    assert hashing.named(name, data) == expected
    by_name: Callable[[bytes], str] = getattr(hashing, name)
    assert by_name(data) == expected


def test_a_python_without_its_own_asks_hashlib(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = hashlib.sha256(b"x").hexdigest()
    monkeypatch.setattr(hashing, "_found", {})
    for module in ("_sha256", "_sha2"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "hashlib")
    assert hashing.sha256(b"x") == expected
    assert "hashlib" in sys.modules


def test_blake2b_is_of_all_parts() -> None:
    expected = hashlib.blake2b(b"one and two", digest_size=16).hexdigest()
    assert hashing.blake2b(b"one ", b"and ", b"two") == expected
    assert hashing.blake2b() == hashlib.blake2b(digest_size=16).hexdigest()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises((KeyError, ValueError)):
        hashing.named("md6", b"")


def test_small_digests_do_not_load_openssl() -> None:
    code = (
        "import sys; from nbexp import hashing\n"
        "hashing.md5(b'x'), hashing.sha1(b'x'), hashing.sha256(b'x'), hashing.blake2b(b'x')\n"
        "print('_hashlib' in sys.modules); hashing.md5(bytes(1 << 20)); print('_hashlib' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "True"]
