"""What the crash tests of the queue share: workers that die where one wants, and what must hold afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nbexp.queue import Queue
from nbexp.queue.site import Site

VALUES = {"one": 0.01, "two": 0.02, "three": 0.05}
PATIENCE_S = 120


class Killing:
    """A project with experiments that wait, and the workers that a test starts for them."""

    def __init__(self, project: Path, git: Callable[..., str]) -> None:
        self.project = project
        self.git = git
        self.workers: list[subprocess.Popen[bytes]] = []
        self.before = self.workspace()

    def queue_all(self, nbexp_cli: Callable[..., object], *more: str) -> None:
        """Two commands, so that two batches have an end."""
        for name, value in VALUES.items():
            words = ["-S", f"train.lr={value}", "-n", name]
            nbexp_cli("run", "--queue", *words, *more, cwd=self.project)

    def start(self, slot: int = 1, crash: str | None = None) -> subprocess.Popen[bytes]:
        env = {name: value for name, value in os.environ.items() if name != "NBEXP_CRASH"}
        if crash is not None:
            env["NBEXP_CRASH"] = crash
        words = ["-P", "-m", "nbexp.queue.worker", "--root", str(self.project), "--slot", str(slot)]
        child = subprocess.Popen(
            [sys.executable, *words, "--idle", "0.3"],
            env=env,
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.workers.append(child)
        return child

    def finish(self, workers: int = 1) -> None:
        """Workers that nobody kills see everything through."""
        children = [self.start(slot) for slot in range(1, workers + 1)]
        for child in children:
            assert child.wait(PATIENCE_S) == 0

    def end(self) -> None:
        for child in self.workers:
            if child.poll() is None:
                child.kill()
            child.wait()

    def workspace(self) -> dict[str, str]:
        """All that is the user's: files, index, HEAD, branches, stash."""
        found = {}
        for folder, folders, files in os.walk(self.project):
            folders[:] = [name for name in folders if name not in {".git", ".dvc"}]
            for name in files:
                path = Path(folder, name)
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        found["index"] = hashlib.sha256((self.project / ".git" / "index").read_bytes()).hexdigest()
        found["HEAD"] = (self.project / ".git" / "HEAD").read_text()
        found["branches"] = self.git("for-each-ref", "refs/heads", "refs/stash", cwd=self.project)
        return found

    def states(self) -> dict[str, str]:
        site = Site.at(self.project)
        try:
            return {task.name: task.state for task in Queue(site).status().tasks}
        finally:
            site.close()
            site.git.close()

    def check(self, expected: dict[str, str] | None = None) -> None:
        """Nothing lost, nothing doubled, nothing stuck, nothing left behind."""
        expected = expected or dict.fromkeys(VALUES, "done")
        assert self.states() == expected
        done = sorted(name for name, state in expected.items() if state == "done")
        listed = self.git(
            "for-each-ref", "--format=%(refname)", "refs/exps", cwd=self.project
        ).split()
        assert sorted(ref.rpartition("/")[2] for ref in listed) == done
        for ref in listed:
            name = ref.rpartition("/")[2]
            acc = json.loads(self.git("show", f"{ref}:metrics.json", cwd=self.project))["acc"]
            assert acc == round(0.95 - abs(VALUES[name] - 0.03) - 0.05 / 3, 4)
        assert self.git("for-each-ref", "refs/nbexp/queue", cwd=self.project) == ""
        assert self.workspace() == self.before
        assert list(marked(self.project)) == []
        self.git("fsck", "--strict", cwd=self.project)
        left = [path for path in self.project.rglob(".nbexp-*.tmp") if ".git" not in path.parts]
        # What a write left that was cut short is swept once it is old enough to be nobody's.
        assert [path for path in left if not path.is_relative_to(self.project / ".dvc")] == []


def marked(project: Path) -> Iterator[int]:
    """Processes that a worker of the project, or a stage of it, is or has left behind."""
    place = os.fspath(project).encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = Path(entry.path, "cmdline").read_bytes()
            environ = Path(entry.path, "environ").read_bytes()
            folder = os.readlink(f"/proc/{entry.name}/cwd")
        except OSError:
            continue
        if (b"nbexp.queue.worker" in words and place in words) or (
            b"NBEXP_ITEM=" in environ and folder.startswith(os.fspath(project))
        ):
            yield int(entry.name)


def until(what: Callable[[], object], timeout_s: float = PATIENCE_S) -> object:
    """Wait for a condition; what it came to."""
    end = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < end, f"{timeout_s} s were not enough"
        time.sleep(0.01)
    return found


def is_killed(child: subprocess.Popen[bytes]) -> bool:
    return child.wait(PATIENCE_S) == -signal.SIGKILL
