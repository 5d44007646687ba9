"""A WebDAV server (Nextcloud, ownCloud, SharePoint, …): `webdavs://host/path`."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from nbexp.errors import StoreError
from nbexp.store.remotes._fsspec import FsspecRemote

SETTINGS = {
    "user": "who logs in",
    "password": "the password",
    "ask_password": "ask for the password at the terminal",
    "token": "a bearer token",
    "bearer_token_command": "refused: set `token`",
    "custom_auth_header": "a header that has the password as its value",
    "cert_path": "a client's certificate",
    "key_path": "its key",
    "ssl_verify": "false, or a file of certificates",
    "timeout": "seconds to wait for an answer",
}


class Remote(FsspecRemote):
    """Bytes get their name by a MOVE, when all of them are there."""

    package = "webdav4"
    extra = "webdav"
    is_atomic = False
    page = 50

    def root(self) -> str:
        return ""

    def rename(self, fs: Any, old: str, new: str) -> None:
        fs.client.move(old, new, overwrite=True)

    def upload(self, fs: Any, source: str, path: str, told: Any) -> None:
        with open(source, "rb") as file:
            fs.client.upload_fileobj(
                file,
                path,
                overwrite=True,
                size=os.path.getsize(source),
                callback=told.relative_update,
            )

    def _path(self, key: str) -> str:
        return key

    def connect(self) -> Any:
        from webdav4.fsspec import WebdavFileSystem

        url = urlsplit(self._address)
        scheme = "https" if url.scheme == "webdavs" else "http"
        base = urlunsplit((scheme, url.netloc.rpartition("@")[2], url.path.rstrip("/"), "", ""))
        user = self._text("user") or (unquote(url.username) if url.username else None)
        password = self._password() or (unquote(url.password) if url.password else None)
        token, header = self._token(), self._text("custom_auth_header")
        headers: dict[str, str] = {}
        auth = None
        if token:
            headers["Authorization"] = f"Bearer {token}"
        elif user:
            auth = (user, password or "")
        elif header:
            headers[header] = password or ""
        cert, key = self._text("cert_path"), self._text("key_path")
        return WebdavFileSystem(
            base,
            auth=auth,
            skip_instance_cache=True,
            headers=headers,
            verify=self._verifying(),
            timeout=self._number("timeout") or 30,
            **({"cert": (cert, key) if key else cert} if cert else {}),
        )

    def _token(self) -> str | None:
        if self._text("bearer_token_command") and not self._text("token"):
            # The command stands in a file that came with the repository: fetching must run nothing.
            raise StoreError(
                f"{self.url} has a `bearer_token_command`, and commands from a config are not run.",
                "`nbexp remote modify --local NAME token VALUE` gives the token itself.",
            )
        return self._text("token")
