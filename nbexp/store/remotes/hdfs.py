"""A Hadoop file system by its own protocol, where pyarrow and Hadoop are installed: `hdfs://user@host:port/path`."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from nbexp.store.remotes._fsspec import FsspecRemote, settings_given

SETTINGS = {
    "user": "who it is done as",
    "kerb_ticket": "the cache of Kerberos tickets",
    "replication": "how many copies the file system keeps",
}


class Remote(FsspecRemote):
    """Bytes get their name by a rename, when all of them are there."""

    package = "pyarrow"
    extra = "hdfs"
    is_atomic = False
    page = 50

    def root(self) -> str:
        return unquote(urlsplit(self._address).path).rstrip("/")

    def rename(self, fs: Any, old: str, new: str) -> None:
        if fs.exists(new):
            fs.rm_file(new)
        fs.mv(old, new)

    def connect(self) -> Any:
        import pyarrow as pa  # noqa: F401 - fsspec's own word for its absence names no package
        from fsspec.implementations.arrow import HadoopFileSystem

        url = urlsplit(self._address)
        copies = self._number("replication")
        return HadoopFileSystem(
            url.hostname or "default",
            skip_instance_cache=True,
            **settings_given(
                {
                    "port": url.port,
                    "user": self._text("user") or (url.username and unquote(url.username)),
                    "kerb_ticket": self._text("kerb_ticket"),
                    "replication": None if copies is None else int(copies),
                }
            ),
        )
