"""Objects elsewhere: one file per kind of storage, each with a class `Remote`. The file's name is the URL's scheme.

A remote moves bytes between files of this disk and keys, which are posix paths below its URL; what the keys mean
(`files/md5/<2>/<30>`, `runs/<2>/<key>/<value>`) is for `nbexp.store.transfer`. A kind of another package is an
entry point of the group `nbexp.store.remotes`. Each one is held to the contract in `nbexp.testing.remotes`.

Besides the class, a module has `SETTINGS`, what `remote modify` may set for it, with a line of help each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, cast

from nbexp import plugins
from nbexp.errors import NotFound, StoreError, nearest
from nbexp.formats.config import Config, Value
from nbexp.frozen import frozen

Moved = Callable[[int], None]
"""Told how many bytes more have moved; it may raise to stop the transfer."""


@frozen
class Entry:
    """What lies under a key: its size in bytes, and its MD5 (32 hex digits) where the storage knows that."""

    key: str
    size: int
    md5: str | None = None


class Remote(Protocol):
    """A storage. Its methods are called by several threads at once.

    What a method cannot do raises StoreError in words that hold no secret; a disk error of this machine stays an
    OSError.

    Attributes
    ----------
    url
        Where it is, for people: without a password.
    jobs
        How many transfers at once serve it best.
    page
        How many keys one listing brings for the time that one `exists` takes; 0 if it cannot list.
    """

    url: str
    jobs: int
    page: int

    def exists(self, key: str) -> Entry | None:
        """What is under a key, None when nothing is."""

    def get(self, key: str, target: Path, moved: Moved) -> None:
        """Bring the bytes to the new file `target`. FileNotFoundError says that nothing is under the key.

        What is at `target` after any other end is for the caller to remove.
        """

    def put(self, source: Path, key: str, moved: Moved) -> None:
        """Store the bytes of a file. At no instant, killed or not, does the key have a part of them."""

    def remove(self, key: str) -> None:
        """Take a key away; nothing under it is fine."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """Everything whose key begins with `prefix` (which ends a folder's name: `files/md5/0a/`), in no order."""

    def flush(self) -> None:
        """What was put stays, should the power fail after this returns."""

    def close(self) -> None:
        """Let go of connections."""


# Schemes that are another kind's under a second name.
_SAME = {"": "local", "file": "local", "https": "http", "webdavs": "webdav", "gcs": "gs"}

# What every remote may have, whatever its kind.
SETTINGS = {
    "url": "where it is",
    "jobs": "how many objects move at once, unless `-j` says",
    "checksum_jobs": "read and ignored: hashing takes as many threads as there are processors",
    "verify": "read and ignored: whatever comes from a remote is verified",
    "version_aware": "only false: objects are addressed by content, not by the storage's versions",
    "worktree": "only false, as `version_aware`",
    "no_traverse": "read and ignored",
}

# Values that no message may show.
SECRETS = frozenset(
    "password passphrase token access_key_id secret_access_key session_token sse_customer_key account_key "
    "connection_string sas_token client_secret kerb_ticket gdrive_client_secret oss_key_secret oss_key_id".split()
)


def kind(url: str) -> str:
    """Which kind of storage a URL is of: the name of a module here, if there is one.

    Examples
    --------
    >>> kind("s3://bucket/path"), kind("/mnt/data"), kind("https://host/data")
    ('s3', 'local', 'http')
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    name = scheme[1].lower() if scheme else ""
    return _SAME.get(name, name)


def open(  # noqa: A001 - as `project.open`
    config: Config, name: str | None = None
) -> Remote:
    """The remote of that name, None being the default one.

    Raises
    ------
    NotFound
        There is no such remote, or no default one.
    StoreError
        Its kind is not known, needs a package that is not installed, or a setting does not fit.
    """
    if name is None:
        name = config.remote
        if name is None:
            raise _no_default(config)
    return at(*settings_of(config, name), name=name)


def at(url: str, settings: Mapping[str, Value], *, name: str = "") -> Remote:
    """The storage at a URL; `name` is what messages call it.

    Raises
    ------
    StoreError
        As `open`.
    """
    shown = f"remote `{name}`" if name else f"`{without_secrets(url)}`"
    found = kind(url)
    try:
        module = plugins.load(__name__, found)
    except LookupError:
        known = sorted(plugins.names(__name__))
        raise StoreError(
            f"The {shown} is of the kind `{found}`, which there is not.",
            f"kinds of storage: {', '.join(known)}.",
        ) from None
    for word in ("version_aware", "worktree"):
        if settings.get(word) is True:
            raise StoreError(
                f"The {shown} has `{word}` on, and only storage by content is supported.",
                f"`nbexp remote modify {name} {word} false` stores objects by content.",
            )
    allowed = {*SETTINGS, *module.SETTINGS}
    for word in settings:
        if word not in allowed:
            near = nearest(word, allowed)
            raise StoreError(
                f"The {shown} has a setting `{word}`, which `{found}` has not.",
                f"did you mean `{near}`?" if near else f"settings: {', '.join(sorted(allowed))}.",
            )
    remote = cast("Remote", module.Remote(url, {k: v for k, v in settings.items() if k != "url"}))
    jobs = settings.get("jobs")
    if isinstance(jobs, int) and not isinstance(jobs, bool):
        remote.jobs = jobs
    return remote


def settings_of(config: Config, name: str) -> tuple[str, dict[str, Value]]:
    """URL and settings of a remote; one at `remote://OTHER/path` has OTHER's, and its own go first.

    Raises
    ------
    NotFound
        There is none of that name, or it has no URL.
    """
    settings: dict[str, Value] = {}
    path = ""
    seen: list[str] = []
    while True:
        found = config.remotes.get(name)
        if found is None or not isinstance(found.get("url"), str):
            raise _unknown(config, name)
        settings = {**found, **settings}
        url = str(found["url"])
        if not url.startswith("remote://"):
            del settings["url"]
            return (f"{url.rstrip('/')}/{path}" if path else url), settings
        seen.append(name)
        settings.pop("url")
        name, _, inner = url.removeprefix("remote://").partition("/")
        path = "/".join(part for part in (inner.strip("/"), path) if part)
        if name in seen:
            raise NotFound(f"The remote `{name}` is part of itself: {' > '.join([*seen, name])}.")


def without_secrets(text: str, settings: Mapping[str, Value] | None = None) -> str:
    """The text without passwords and keys: those of settings, those in URLs, those of queries.

    Examples
    --------
    >>> without_secrets("https://me:pass@host/data?sig=abc")
    'https://me@host/data'
    """
    for name, value in (settings or {}).items():
        if name in SECRETS and isinstance(value, str) and value:
            text = text.replace(value, "***")
    text = re.sub(r"(\w://[^/\s:@]*):[^/\s@]*@", r"\1@", text)
    return re.sub(r"(\w://[^\s?'\"]*)\?[^\s'\"]*", r"\1", text)


def _no_default(config: Config) -> NotFound:
    known = sorted(config.remotes)
    if known:
        return NotFound(
            "No default remote is set.",
            f"`nbexp remote default {known[0]}` sets one; `-r {known[0]}` is for this time.",
        )
    return NotFound(
        "The project has no remote.", "`nbexp remote add -d store /path/or/url` adds one."
    )


def _unknown(config: Config, name: str) -> NotFound:
    known = sorted(config.remotes)
    near = nearest(name, known)
    if near and near != name:
        hint = f"did you mean `{near}`?"
    elif known and name not in known:
        hint = f"there are: {', '.join(known)}."
    else:
        hint = f"`nbexp remote add {name} /path/or/url` adds it."
    return NotFound(f"There is no remote `{name}`.", hint)
