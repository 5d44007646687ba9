"""Starts workers, waits until so many experiments are named, and tells the times, the memory and the CPU time of it all.

    python drain.py '{"start": [...], "stop": [...], "count": 40}'

Workers leave the process that started them. Here they become children again (Linux's subreaper), so that what they
used, and all that they started, is counted to the millisecond however busy the machine is.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

_SUBREAPER = 36  # prctl's PR_SET_CHILD_SUBREAPER
# refs/exps has refs of dvc's own as well.
_EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/\S")
_LOOK_S, _MEMORY_S, _PATIENCE_S = 0.02, 0.25, 900.0


def main() -> None:
    """Print what happened as JSON: `stamps` are seconds since the start, one for each result."""
    asked = json.loads(sys.argv[1])
    if ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit("this system has no subreapers")
    before, began = experiments(), time.monotonic()
    run(asked["start"])
    started = time.monotonic() - began
    stamps: list[float] = []
    memory: list[tuple[int, float, float]] = []
    looked = 0.0
    while len(stamps) < asked["count"]:
        now = time.monotonic() - began
        if now > _PATIENCE_S:
            raise SystemExit(f"{len(stamps)} of {asked['count']} after {now:.0f} s")
        stamps += [now] * (experiments() - before - len(stamps))
        if now - looked > _MEMORY_S:
            looked = now
            memory.append((len(stamps), *sizes_mb()))
            # A worker of dvc's that hears nothing of its task for some seconds, on a busy machine, takes it that there
            # is none, and goes: its user starts another.
            if not memory[-1][1] and len(stamps) < asked["count"]:
                run(asked["start"])
        time.sleep(_LOOK_S)
    run(asked["stop"])
    reap()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "started_s": started,
        "stamps": stamps,
        "cpu_s": used.ru_utime + used.ru_stime,
        "memory": memory,
    }
    print(json.dumps(told))


def experiments() -> int:
    """How many there are, in files and packed."""
    exps = Path(".git/refs/exps")
    names = {
        os.path.join(folder, name)[len(".git/") :]
        for folder, _, files in os.walk(exps)
        for name in files
        if not name.endswith(".lock")
    }
    try:
        names |= {line.split()[-1] for line in Path(".git/packed-refs").read_text().splitlines()}
    except FileNotFoundError:
        pass
    return sum(_EXPERIMENT.match(name) is not None for name in names)


def sizes_mb() -> tuple[float, float]:
    """What all processes of this one hold in memory, and the largest one of them."""
    sizes = [0]
    for process in psutil.Process().children(recursive=True):
        try:
            sizes.append(process.memory_info().rss)
        except psutil.Error:
            continue
    return sum(sizes) / 1e6, max(sizes) / 1e6


def run(words: list[str]) -> None:
    """Run a command to its end; a file hears it, since what it leaves running may keep a pipe open."""
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(words, stdout=said, stderr=said, check=False)
        if done.returncode:
            said.seek(0)
            raise SystemExit(f"{words} ended with {done.returncode}: {said.read().decode()}")


def reap() -> None:
    """Wait for all that was started, and end what stays."""
    end = time.monotonic() + 20
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if time.monotonic() > end:
            for process in psutil.Process().children(recursive=True):
                process.kill()
        time.sleep(0.02)


if __name__ == "__main__":
    main()
