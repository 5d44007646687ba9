"""A Git repository elsewhere: what refs it has, and moving many of them at once, either way.

Each call is one Git process, however many refs it is about. Every move names the value that the ref must have
until then, so that of two who are at work at once none undoes what the other did.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp.errors import GitError
from nbexp.frozen import frozen
from nbexp.git import process

if TYPE_CHECKING:
    from nbexp.git import Git

# A command line has a limit, and `git push` takes refs from nowhere else (2.47).
_AT_ONCE = 2000


@frozen
class Move:
    """A ref of the remote to be set to `rev`, or deleted where that is None; it must be at `old` now.

    `rev` is a commit of this repository; `old` None: the ref is not there.
    """

    ref: str
    rev: str | None
    old: str | None


class GitRemote:
    """A repository elsewhere.

    Attributes
    ----------
    place
        What Git is given: the name of a remote, a URL or a path.
    shown
        The same for people, without secrets.
    """

    def __init__(self, git: Git, place: str) -> None:
        self._git = git
        self.place = place
        self.shown = without_secrets(place)

    def __repr__(self) -> str:
        return f"GitRemote({self.shown!r})"

    @property
    def url(self) -> str:
        """Where pushes go."""
        config = self._git.config()
        name = f"remote.{self.place}"
        return config.get(f"{name}.pushurl") or config.get(f"{name}.url") or self.place

    def refs(self, *prefixes: str) -> dict[str, str]:
        """Object id by full name; a prefix is a whole name or ends at a slash.

        Raises
        ------
        GitError
            It cannot be reached, or is no repository.
        """
        patterns = [f"{prefix}*" if prefix.endswith("/") else prefix for prefix in prefixes]
        out = self._ask("ls-remote", "--refs", "--", self.place, *patterns)
        pairs = (line.split("\t", 1) for line in os.fsdecode(out).splitlines())
        # A pattern may match from the middle of a name.
        return {ref: oid for oid, ref in pairs if ref.startswith(prefixes)}

    def fetch(self, refs: Mapping[str, str]) -> None:
        """Bring refs of the remote with all that they need; each becomes the local ref it is mapped to.

        A local ref is overwritten. No other ref is touched, and FETCH_HEAD is not.

        Raises
        ------
        GitError
            It cannot be reached, or a ref is gone. Nothing was changed.
        """
        if not refs:
            return
        lines = "".join(f"+{theirs}:{ours}\n" for theirs, ours in refs.items())
        self._ask(
            "fetch", "--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head", "--refmap=",
            "--no-recurse-submodules", "--stdin", "--", self.place, stdin=os.fsencode(lines),
        )  # fmt: skip

    def push(self, moves: Sequence[Move], *, atomic: bool = False) -> dict[str, str]:
        """Carry out the moves; each one that was refused, with the reason in words.

        Parameters
        ----------
        atomic
            All or none.

        Raises
        ------
        GitError
            It cannot be reached. What was pushed stays.
        """
        refusals: dict[str, str] = {}
        for start in range(0, len(moves), _AT_ONCE):
            refusals |= self._push(moves[start : start + _AT_ONCE], atomic=atomic)
        return refusals

    def _push(self, moves: Sequence[Move], *, atomic: bool) -> dict[str, str]:
        # With an expected value Git overwrites what has it, and nothing else: an empty one means "not there".
        leases = [f"--force-with-lease={move.ref}:{move.old or ''}" for move in moves]
        specs = [f"{move.rev or ''}:{move.ref}" for move in moves]
        out, errors, code = self._talk(
            "push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags",
            "--recurse-submodules=no", *["--atomic"] * atomic, *leases, "--", self.place, *specs,
        )  # fmt: skip
        found = {}
        for line in out.splitlines():
            flag, _, rest = line.partition("\t")
            if flag == "!":
                spec, _, why = rest.partition("\t")
                found[spec.rpartition(":")[2]] = _refusal(why, errors)
        if code and not found:
            raise self._failed("push", errors)
        return found

    def _ask(self, *arguments: str, stdin: bytes = b"") -> bytes:
        out, errors, code = self._talk(*arguments, stdin=stdin)
        if code:
            raise self._failed(arguments[0], errors)
        return os.fsencode(out)

    def _talk(self, *arguments: str, stdin: bytes = b"") -> tuple[str, str, int]:
        ssh = (
            os.environ.get("GIT_SSH_COMMAND")
            or self._git.config().get("core.sshcommand")
            or ("" if os.environ.get("GIT_SSH") else "ssh")
        )
        # A question that nobody sees would wait for ever. Messages are read, so in one language.
        env = {"LC_ALL": "C", "GIT_ASKPASS": os.environ.get("GIT_ASKPASS", "")}
        if re.match(r"(\S*/)?ssh(\s|$)", ssh):
            env["GIT_SSH_COMMAND"] = f"{ssh} -oBatchMode=yes"
        settings: tuple[str, ...] = process.SETTINGS
        if f"remote.{self.place}.mirror" in self._git.config():
            # Git pushes to a mirror all refs or none; only the setting itself says otherwise.
            settings = (*settings, f"remote.{self.place}.mirror=false")
        started = process.spawn(self._git.root, arguments, env=env, settings=settings)
        out, errors = process.talk(started, stdin)
        return os.fsdecode(out), errors.decode("utf-8", "replace"), started.returncode

    def _failed(self, verb: str, errors: str) -> GitError:
        reason = without_secrets(_reason(errors))
        word = {"ls-remote": "be asked", "fetch": "be fetched from"}.get(verb, "be pushed to")
        where = self.shown if self.place in names(self._git) else "the remote"
        return GitError(f"{self.shown} cannot {word}: {reason}.", _hint(reason, where))


def names(git: Git) -> list[str]:
    """The remotes that Git's configuration names."""
    keys = git.config()
    found = (key[7:].rpartition(".") for key in keys if key.startswith("remote."))
    return list(dict.fromkeys(name for name, _, key in found if name and key in ("url", "pushurl")))


def without_secrets(text: str) -> str:
    """The text without what a URL has for logging in, of which the name may be a token.

    Examples
    --------
    >>> without_secrets("https://ghp_x:y@github.com/ada/churn ssh://git:x@host/a")
    'https://github.com/ada/churn ssh://git@host/a'
    """
    text = re.sub(r"(https?://)[^/\s'\"]*@", r"\1", text)
    return re.sub(r"(\w://[^/\s:@'\"]*):[^/\s'\"]*@", r"\1@", text)


_USELESS = "fatal: Could not read from remote repository."


def _reason(errors: str) -> str:
    """Why a remote did not do what was asked, in its or Git's words.

    Of ssh's troubles Git says only that there were some; ssh's own line stands before that.
    """
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))]
    useful = [line for line in told if line != _USELESS]
    if useful:
        found = useful[0]
    elif _USELESS in lines and lines.index(_USELESS) > 0:
        found = lines[lines.index(_USELESS) - 1]
    else:
        found = lines[-1] if lines else "Git gave no reason"
    return re.sub(r"^(fatal|error|ssh): ", "", found).rstrip(".")


def _hint(reason: str, place: str) -> str:
    if "does not appear to be a git repository" in reason or "not found" in reason.lower():
        return f"`git remote -v` shows where {place} is; `git remote set-url NAME URL` corrects it."
    if "Permission denied" in reason or "could not read" in reason.lower():
        return "log in as for `git push`: with a key that ssh-agent holds, or a credential helper."
    if "Host key verification" in reason:
        return "connect once with `ssh HOST`, and compare its key."
    return "nothing is lost: the same command goes on from here."


def _refusal(why: str, errors: str) -> str:
    """The reason in a line of `git push --porcelain`, with what a hook of the remote said."""
    inner = re.search(r"\((.*)\)\s*$", why)
    reason = inner[1] if inner else why.strip("[] ")
    if reason in ("stale info", "fetch first", "non-fast-forward", "already exists"):
        return "somebody else has changed it just now"
    said = [line[7:].strip() for line in errors.splitlines() if line.startswith("remote:")]
    words = next((line for line in said if line), "").rstrip(".")
    reason = f"{words} ({reason})" if words and "hook" in reason else reason
    return without_secrets(reason)
