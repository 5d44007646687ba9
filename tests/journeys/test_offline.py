"""A whole journey without a network: nothing of it asks anybody, and nothing of it needs to.

Every Python process of the journey notes the sockets it opens, by an audit hook that its start-up loads. Where the
system lets a user have a network of his own, the journey also happens in one that leads nowhere.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "example-notebooks/first-notebook/train.ipynb"

# What every Python process loads first. A hook cannot be taken off again; kernels and stages inherit it.
WATCH = """\
import os, sys

ADDRESSES = {"socket.connect": 1, "socket.bind": 1, "socket.sendto": 1, "socket.sendmsg": 1,
             "socket.getaddrinfo": 0, "socket.gethostbyname": 0, "urllib.Request": 0}

def note(event, address):
    with open(os.environ["SOCKETS_LOG"], "a") as log:
        log.write(f"{event}\\t{sys.argv[:3]}\\t{address!r}\\n")

def watch(event, arguments):
    if event in ADDRESSES:
        note(event, arguments[ADDRESSES[event]])

sys.addaudithook(watch)
note("started", None)
"""
# The face in a cell, without a front end.
CELL = """\
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "nbexp")
shell.run_cell("%exp run -S train.lr=0.2 -n in-a-cell").raise_error()
shell.run_cell("%exp plot acc").raise_error()
"""


@pytest.fixture
def nowhere() -> list[str]:
    """What stands before a command to run it in a network that has nothing in it; empty where that is not allowed."""
    words = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None:
        return []
    allowed = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    return words if allowed else []


@pytest.fixture
def watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], list[tuple[str, str, str]]]:
    """What the Python processes of the test did with sockets: event, process and arguments."""
    folder = tmp_path / "watch"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WATCH)
    log = tmp_path / "sockets"
    log.write_text("")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("SOCKETS_LOG", str(log))

    def read() -> list[tuple[str, str, str]]:
        lines = [line.split("\t") for line in log.read_text().splitlines()]
        return [(event, process, arguments) for event, process, arguments in lines]

    return read


def test_a_whole_journey_opens_no_socket_that_leads_away(
    tmp_path: Path, nowhere: list[str], watched: Callable[[], list[tuple[str, str, str]]]
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(NOTEBOOK, work)

    def run(*words: str) -> str:
        ran = subprocess.run(
            [*nowhere, sys.executable, *words],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def nbexp(line: str) -> str:
        return run("-m", "nbexp.cli", *line.split())

    nbexp("init train.ipynb")
    nbexp("run -n first")
    nbexp("run -S train.lr=0.05 -n second")
    run("-c", CELL)
    assert len(json.loads(nbexp("show --json"))[1]["experiments"]) == 3
    for line in (
        "show", "list", "status", "diff first second", "plot acc", "open first", "cache --json",
        "apply first", "undo", "branch second kept", "remove second", "stage list", "--version", "help",
    ):  # fmt: skip
        nbexp(line)
    found = watched()
    assert (
        len([one for one in found if one[0] == "started"]) >= 20
    )  # the kernels and runners as well
    away = [one for one in found if one[0] != "started" and not _is_local(one[2])]
    assert away == []


def test_the_watch_sees_a_socket_that_leads_away(
    tmp_path: Path, watched: Callable[[], list[tuple[str, str, str]]]
) -> None:
    """Else the journey would prove nothing."""
    code = (
        "import socket\n"
        "for host in ('192.0.2.1', '127.0.0.1'):\n"
        "    one = socket.socket(); one.settimeout(0.01)\n"
        "    try: one.connect((host, 9))\n"
        "    except OSError: pass\n"
        "try: socket.getaddrinfo('nowhere.invalid', 80)\n"
        "except OSError: pass\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={**os.environ})
    away = [one[2] for one in watched() if one[0] != "started" and not _is_local(one[2])]
    assert len(away) == 2
    assert "192.0.2.1" in away[0]
    assert "nowhere.invalid" in away[1]


def _is_local(address: str) -> bool:
    """Whether it is this machine, a file, or no address at all."""
    found = ast.literal_eval(address)
    if isinstance(found, tuple):
        found = found[0]
        return found in {"localhost", "::1"} or str(found).startswith("127.")
    is_file = isinstance(found, bytes) or (isinstance(found, str) and found.startswith(("/", "\0")))
    return found is None or is_file or found in {"localhost", "127.0.0.1", "::1"}
