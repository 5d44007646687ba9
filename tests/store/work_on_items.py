"""What `test_two_processes` has done by the other process, which has the standard library alone."""

from __future__ import annotations

import os
import signal

MANY = 5_000


def double(_: int, item: int) -> tuple[int, int]:
    return item * 2, os.getpid()


def odd_here(home: int, item: int) -> int | None:
    return item if item % 2 == 0 or os.getpid() == home else None


def fails(home: int, item: int) -> int:
    if item in (7, MANY - 7):
        raise OSError(28, f"no space for {item}")
    return item


def dies(home: int, item: int) -> int:
    if os.getpid() != home:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def echo(_: int, item: str) -> str:
    return item + item
