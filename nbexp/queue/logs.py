"""What runs have written, followed as it comes where it is asked for."""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nbexp.errors import NotFound, UsageError
from nbexp.events import Emit, Notice, OutputWritten
from nbexp.formats import secrets
from nbexp.queue import finding, roster
from nbexp.queue.reports import TaskLog
from nbexp.queue.rows import Task
from nbexp.queue.site import Site
from nbexp.queue.state import LIVE
from nbexp.queue.watching import ACTIVE_S


def read(
    site: Site, name: str, *, follow: bool = False, encoding: str | None = None, emit: Emit
) -> TaskLog:
    """What a run has written: queued, temporary or in the workspace, at work or over."""

    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError:
        raise UsageError(
            f"There is no text encoding `{encoding}`.", "for example `nbexp logs NAME -e utf-8`"
        ) from None
    finding.recover(site, emit)
    task = finding.find(site, name)
    if task.state == "queued" and not follow:
        raise NotFound(
            f"Task `{task.name}` has not begun, so it has written nothing.",
            f"`nbexp logs {task.name} -f` waits for it.",
        )
    data = b""
    if follow:
        if task.state == "queued" and task.kind == "queued" and not roster.workers(site):
            emit(Notice(f"{task.name} waits, and no worker is at work.", "`nbexp queue start`"))
        with suppress(KeyboardInterrupt):
            followed: dict[Path, int] = {}
            held = Held()
            while True:
                task = finding.now(site, task)
                is_over = task.state not in LIVE
                written = b"".join(_written(site, task, followed))
                part = held.shown(written, is_over=is_over)
                if part:
                    data += part
                    emit(OutputWritten(task.name, part, is_log=True))
                if is_over:
                    break
                time.sleep(ACTIVE_S)
                finding.recover(site, emit)
    else:
        data = _without_secrets(b"".join(_written(site, task, {})))
    return TaskLog(
        task.name, task.state, data, task.place, encoding or "utf-8", was_followed=follow
    )


def _written(site: Site, task: Task, read: dict[Path, int]) -> Iterator[bytes]:
    """What the logs of a run have more than was read."""
    if task.snapshot:
        paths = [site.folder / "log" / f"{task.uid}-{task.attempt}.log"]
        if task.attempt == 0 or (task.state == "queued" and not paths[0].exists()):
            paths = []
    else:
        folder = site.folder / "runs" / task.uid
        paths = sorted(folder.glob("*.log"), key=_began)
    for path in paths:
        try:
            with open(path, "rb") as file:
                file.seek(read.get(path, 0))
                data = file.read()
        except OSError:
            continue
        if data:
            read[path] = read.get(path, 0) + len(data)
            yield data


def _began(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except OSError:
        return 0.0, path.name


class Held:
    """What comes in parts, of which none may end within a secret.

    The last line waits until it is whole or nothing more comes, a private key until its end is there.
    """

    def __init__(self) -> None:
        self._waiting = b""

    def shown(self, data: bytes, *, is_over: bool) -> bytes:
        """What may be shown now that these bytes have come, or none; all of it once it `is_over`."""
        text = self._waiting + data
        at = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1 if data else len(text)
        key = secrets.begins_a_key(text.decode("latin-1"))
        at = len(text) if is_over else at if key is None else min(at, key)
        self._waiting = text[at:]
        return _without_secrets(text[:at])


def _without_secrets(data: bytes) -> bytes:
    """What was written as it may be shown; the file itself stays as it is."""
    text = data.decode("utf-8", "surrogateescape")
    return secrets.in_output(text, os.environ).encode("utf-8", "surrogateescape")
