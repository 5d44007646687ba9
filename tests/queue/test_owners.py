"""Who is alive, and what is said of those who are not."""

from __future__ import annotations

import pytest

from nbexp.queue import owners

_TRACEBACK = """\
Traceback (most recent call last):
  File "worker.py", line 3, in main
    raise QueueError("The disk is full.")
nbexp.errors.QueueError: The disk is full.
Hint: make room on the disk.
"""


@pytest.mark.parametrize(
    ("log", "died"),
    [
        (None, "worker died (signal 9)"),
        ("", "worker died (signal 9)"),
        ("ValueError: of a stage, which the worker only repeats\n", "worker died (signal 9)"),
        ("Fatal Python error: Segmentation fault\n\nThread 0x1\n", "worker died (Segmentation fault)"),
        (_TRACEBACK, "worker died (QueueError: The disk is full.)"),
    ],
)  # fmt: skip
def test_how_a_worker_died_stands_in_its_log_or_it_was_killed(log, died, tmp_path):
    owner = f"{owners.boot()}-5e-1"
    if log is not None:
        owners.log_path(tmp_path, owner).parent.mkdir()
        owners.log_path(tmp_path, owner).write_text(log)
    assert owners.how_it_died(tmp_path, owner) == died


def test_who_died_before_the_machine_was_started_anew_is_told_so(tmp_path):
    died = owners.how_it_died(tmp_path, "ffffffff-5e-1", "process")
    assert died == "process died (the machine was started anew)"


def test_an_owner_is_alive_until_it_closes(tmp_path):
    owner = owners.Owner(tmp_path)
    name = owner.id
    assert owners.is_alive(tmp_path, name)
    owner.close()
    assert not owners.is_alive(tmp_path, name)
    assert not owners.lock_path(tmp_path, name).exists()
