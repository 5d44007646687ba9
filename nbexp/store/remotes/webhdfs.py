"""A Hadoop file system over its web interface: `webhdfs://host:port/path`."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from nbexp.store.remotes._fsspec import FsspecRemote, settings_given

SETTINGS = {
    "user": "who it is done as",
    "password": "the password",
    "token": "a delegation token",
    "kerberos": "log in by Kerberos",
    "kerberos_principal": "the principal",
    "proxy_to": "the user that is acted for",
    "use_https": "true: HTTPS",
    "ssl_verify": "false, or a file of certificates",
    "data_proxy_target": "where the data nodes are reached through",
}


class Remote(FsspecRemote):
    """Bytes get their name by a rename, when all of them are there."""

    package = "requests"
    extra = "webhdfs"
    is_atomic = False
    page = 50

    def root(self) -> str:
        return unquote(urlsplit(self._address).path).rstrip("/")

    def rename(self, fs: Any, old: str, new: str) -> None:
        # HDFS's rename answers false, and no error, where the name is taken.
        if fs.exists(new):
            fs.rm_file(new)
        fs.mv(old, new)

    def upload(self, fs: Any, source: str, path: str, told: Any) -> None:
        with open(source, "rb") as file, fs.open(path, "wb") as there:
            while data := file.read(1 << 22):
                there.write(data)
                told.relative_update(len(data))

    def connect(self) -> Any:
        from fsspec.implementations.webhdfs import WebHDFS

        url = urlsplit(self._address)
        https = self._flag("use_https")
        port = url.port or (9871 if https else 9870)
        principal, proxy = self._text("kerberos_principal"), self._text("data_proxy_target")
        source = f"{'https' if https else 'http'}://{url.hostname}:{port}/webhdfs/v1"
        fs = WebHDFS(
            url.hostname,
            port=port,
            skip_instance_cache=True,
            kerberos=self._flag("kerberos"),
            use_https=https,
            **settings_given(
                {
                    "user": self._text("user") or (url.username and unquote(url.username)),
                    "password": self._text("password"),
                    "token": self._text("token"),
                    "proxy_to": self._text("proxy_to"),
                    "kerb_kwargs": {"principal": principal} if principal else None,
                    "data_proxy": {source: proxy} if proxy else None,
                }
            ),
        )
        fs.session.verify = self._verifying()
        return fs
