"""Starting the program `git`: without what of the user's set-up must not leak in, and ended without fail."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NoReturn

from nbexp.errors import GitError

if TYPE_CHECKING:
    import subprocess


# Left by a Git hook or alias that started us, or by a user for another repository.
FOREIGN = frozenset(
    f"GIT_{name}"
    for name in (
        "DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES",
        "COMMON_DIR", "NAMESPACE", "PREFIX", "IMPLICIT_WORK_TREE", "GRAFT_FILE", "SHALLOW_FILE",
        "REPLACE_REF_BASE", "QUARANTINE_PATH", "CONFIG", "ATTR_SOURCE", "LITERAL_PATHSPECS",
        "GLOB_PATHSPECS", "NOGLOB_PATHSPECS", "ICASE_PATHSPECS",
    )
)  # fmt: skip


class Counted:
    """What counts the Git programs that were started, in all of this process."""

    processes: ClassVar[int] = 0


SETTINGS = (
    f"core.hooksPath={os.devnull}",
    "core.fsmonitor=false",  # a hook, or a daemon that would outlive us
    "protocol.ext.allow=never",
    "submodule.recurse=false",  # of a work tree of ours, Git would look for submodules in the wrong place
    "core.splitIndex=false",  # an index of ours would leave a file in the user's Git folder
    "gc.auto=0",
    "maintenance.auto=false",
    # Without these Git syncs neither loose objects nor refs (2.39); older than 2.36 ignores them.
    "core.fsync=committed,reference",
    "core.fsyncMethod=batch",
    "core.filesRefLockTimeout=2000",  # milliseconds that Git itself waits for a locked ref
    "core.packedRefsTimeout=2000",
)


def end(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes and wait; the program ends with its input, or is ended."""
    import subprocess

    if process.stdin is not None:
        process.stdin.close()
    # `wait` with a timeout looks again after a pause; the pipe tells at once when Git lets go of it.
    timeout = None if _hung_up(process) else 1
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.terminate()  # on this signal Git takes its lock files away, on SIGKILL it cannot
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _hung_up(process: subprocess.Popen[bytes]) -> bool:
    """Whether the program let go of its output, which it does when it ends, within a second."""
    if sys.platform == "win32" or process.stdout is None or process.stdout.closed:
        return False
    import select

    poll = select.poll()
    poll.register(process.stdout, 0)
    return any(seen & select.POLLHUP for _, seen in poll.poll(1000))


def spawn(
    root: Path,
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    settings: Iterable[str] = SETTINGS,
    alone: bool = False,
) -> subprocess.Popen[bytes]:
    """Start `git ARGUMENTS` in `root`; with `alone` out of reach of Ctrl-C, and nobody reads its errors."""
    import subprocess

    surroundings = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    surroundings |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", **(env or {})}
    options = [word for setting in settings for word in ("-c", setting)]
    Counted.processes += 1
    try:
        return subprocess.Popen(
            ["git", *options, *arguments],
            cwd=root,
            env=surroundings,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if alone else subprocess.PIPE,
            start_new_session=alone,
            # The same for Windows: CREATE_NEW_PROCESS_GROUP.
            creationflags=0x200 if alone and sys.platform == "win32" else 0,
        )
    except FileNotFoundError:
        if root.is_dir():
            raise GitError("There is no program `git` on the PATH.", "install Git.") from None
        raise GitError(f"The folder {root} is gone.") from None


def run(
    root: Path,
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    settings: Iterable[str] = SETTINGS,
    allowed: Collection[int] = (0,),
) -> bytes:
    """What `git ARGUMENTS` printed; GitError where it ended with another code than those allowed."""
    process = spawn(root, arguments, env=env, settings=settings)
    out, errors = talk(process, stdin)
    if process.returncode not in allowed:
        raise refused(arguments, errors)
    return out


def talk(process: subprocess.Popen[bytes], stdin: bytes) -> tuple[bytes, bytes]:
    """Give a program its input and wait for it: output and errors. It is ended where that is interrupted."""
    try:
        return process.communicate(stdin)
    except BaseException:
        process.terminate()
        end(process)
        raise


def refused(arguments: Iterable[str], errors: bytes) -> GitError:
    """What Git wrote to stderr as an error; the first `fatal:` or `error:` line is the reason."""
    text = errors.decode("utf-8", "replace").strip()
    lines = text.splitlines() or ["it gave no reason"]
    reason = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1])
    lock = re.search(r"'([^'\n]+\.lock)'", text)
    if lock and (stamp := file_stamp(lock[1])):
        age = max(0, round(time.time() - stamp[0] / 1e9))
        return GitError(
            f"Another Git process has held {lock[1]} for {age} s; nothing was changed.",
            f"wait for it, or if no Git process is running: `rm {lock[1]}`.",
        )
    if reason.endswith(":"):  # what it is about stands in the lines below
        reason = " ".join([reason, *(line.strip() for line in lines[lines.index(reason) + 1 :])])
    trust = re.search(r"git config --global --add safe\.directory ('[^'\n]+'|\S+)", text)
    verb = next((word for word in arguments if word.islower() and not word.startswith("-")), "")
    reason = re.sub(r"^(fatal|error): ", "", reason).rstrip(".")
    return GitError(f"`git {verb}` stopped: {reason}.", f"`{trust[0]}`" if trust else None)


def file_stamp(path: str) -> tuple[int, int, int] | None:
    """What tells that a file was changed: inode, size and time; None where there is none."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return None
    return info.st_mtime_ns, info.st_size, info.st_ino


def no_commit(rev: str) -> NoReturn:
    """Say that there is no such revision."""
    raise GitError(f"The repository has no revision `{rev}`.")


def quoted(name: bytes) -> bytes:
    """A path as Git's programs take it where it has characters that need it."""
    escaped = name.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"%s"' % escaped


def lines(paths: Iterable[str]) -> bytes:
    """Paths as Git's programs take them with `-z`."""
    return b"".join(os.fsencode(path) + b"\0" for path in paths)
