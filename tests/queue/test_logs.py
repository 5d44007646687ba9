"""What is followed of a log as it comes: in parts, none of which may end within a secret."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nbexp.queue.logs import Held

BEGIN, END = b"-----BEGIN PRIVATE KEY-----\n", b"-----END PRIVATE KEY-----\n"


def followed(parts: Sequence[bytes]) -> list[bytes]:
    """What is shown after each part, an empty one being a look at which nothing had come; then the rest."""
    held = Held()
    shown = [held.shown(part, is_over=False) for part in parts]
    return [*shown, held.shown(b"", is_over=True)]


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        ([b"one\ntw", b"o\n"], [b"one\n", b"two\n", b""]),
        ([b"one\ntw", b""], [b"one\n", b"tw", b""]),
        ([b"10 %\r20 %"], [b"10 %\r", b"20 %"]),
        ([b"at https://me:hun", b"ter2@host/x\n"], [b"", b"at https://***@host/x\n", b""]),
        ([b"a\n" + BEGIN, b"MII\n", b"", END + b"b\n"], [b"a\n", b"", b"", b"***\nb\n", b""]),
        ([b"a\n" + BEGIN + b"MII\n"], [b"a\n", b"***"]),
    ],
)
def test_no_part_ends_within_a_secret(parts: list[bytes], shown: list[bytes]) -> None:
    assert followed(parts) == shown


def test_what_only_begins_like_a_key_does_not_hold_a_log_back_for_ever() -> None:
    lines = [b"%06d of a log\n" % number for number in range(1_000)]
    shown = followed([BEGIN, *lines])
    assert b"".join(shown) == BEGIN + b"".join(lines)
    assert shown[-2] == lines[-1]
