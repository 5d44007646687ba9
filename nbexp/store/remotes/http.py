"""Objects served over HTTP, to read only: `https://host/path`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from nbexp.errors import StoreError
from nbexp.store.remotes import Entry, Moved
from nbexp.store.remotes._fsspec import FsspecRemote

SETTINGS = {
    "auth": "`basic` or `custom`",
    "user": "who logs in, with `auth = basic`",
    "password": "the password, or the value of the header of `auth = custom`",
    "ask_password": "ask for the password at the terminal",
    "custom_auth_header": "the header's name, with `auth = custom`",
    "ssl_verify": "false, or a file of certificates",
    "method": "read and ignored: nothing is written",
    "connect_timeout": "seconds to wait for a connection",
    "read_timeout": "seconds to wait for an answer",
}


class Remote(FsspecRemote):
    """One cannot list such a server, and nothing says that it takes bytes whole: there is no `put`."""

    package = "aiohttp"
    extra = "http"
    page = 0

    def root(self) -> str:
        url = urlsplit(self._address)
        host = url.netloc.rpartition("@")[2]
        return urlunsplit((url.scheme, host, url.path.rstrip("/"), "", ""))

    def itself(self) -> str:
        url = urlsplit(self._address)
        return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, url.query, ""))

    def put(self, source: Path, key: str, moved: Moved) -> None:
        raise self._read_only()

    def remove(self, key: str) -> None:
        raise self._read_only()

    def list(self, prefix: str) -> Iterator[Entry]:
        raise StoreError(f"{self.url} cannot list what it has.")

    def connect(self) -> Any:
        import aiohttp
        from fsspec.implementations.http import HTTPFileSystem

        url = urlsplit(self._address)
        kwargs: dict[str, Any] = {"trust_env": True}
        user = self._text("user") or url.username
        password = self._password() or url.password
        auth = self._text("auth") or ("basic" if user and password else None)
        if auth == "basic":
            if not user or password is None:
                raise StoreError(f"{self.url}: `auth = basic` needs `user` and `password`.")
            kwargs["auth"] = aiohttp.BasicAuth(user, password)
        elif auth == "custom":
            header = self._text("custom_auth_header")
            if not header or password is None:
                raise StoreError(
                    f"{self.url}: `auth = custom` needs `custom_auth_header` and `password`."
                )
            kwargs["headers"] = {header: password}
        elif auth:
            raise StoreError(
                f"{self.url}: `auth = {auth}` is not supported; `basic` and `custom` are."
            )
        kwargs["timeout"] = aiohttp.ClientTimeout(
            total=None,
            sock_connect=self._number("connect_timeout") or 60,
            sock_read=self._number("read_timeout") or 60,
        )
        verify = self._verifying()
        return HTTPFileSystem(
            skip_instance_cache=True,
            use_listings_cache=False,
            client_kwargs=kwargs,
            **({} if verify is True else {"ssl": _context(verify)}),
        )

    def _read_only(self) -> StoreError:
        return StoreError(
            f"{self.url} can only be read: HTTP has no safe way to write.",
            "`nbexp remote add NAME webdavs://host/path` is for servers that take files.",
        )


def _context(verify: bool | str) -> Any:
    if verify is False:
        return False
    import ssl

    context = ssl.create_default_context()
    context.load_verify_locations(str(verify))
    return context
