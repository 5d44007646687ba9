"""A folder on another machine, over SFTP: `ssh://user@host:port/path`."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

from nbexp.store.remotes._fsspec import FsspecRemote, settings_given

SETTINGS = {
    "user": "who logs in",
    "port": "the server's port",
    "keyfile": "a private key",
    "password": "the password",
    "ask_password": "ask for the password at the terminal",
    "passphrase": "what opens the key",
    "ask_passphrase": "ask for that at the terminal",
    "timeout": "seconds to wait for a connection",
    "gss_auth": "log in by Kerberos",
    "allow_agent": "false: do not ask the SSH agent",
    "max_sessions": "how many channels one connection may have",
    "type": "read and ignored",
}


class Remote(FsspecRemote):
    """Bytes get their name by SFTP's POSIX rename, when all of them are there."""

    package = "sshfs"
    extra = "ssh"
    is_atomic = False
    page = 50  # a folder is listed by one request and its files by none; there are 256 of them

    def root(self) -> str:
        return unquote(urlsplit(self._address).path).rstrip("/")

    def connect(self) -> Any:
        from sshfs import SSHFileSystem

        url = urlsplit(self._address)
        password = self._password() or (unquote(url.password) if url.password else None)
        passphrase = self._password("passphrase")
        keyfile = self._text("keyfile")
        timeout = self._number("timeout")
        sessions = self._number("max_sessions")
        port = self._number("port")
        return SSHFileSystem(
            url.hostname,
            skip_instance_cache=True,
            **settings_given(
                {
                    "port": int(port) if port is not None else url.port,
                    "username": self._text("user") or (url.username and unquote(url.username)),
                    "password": password,
                    "passphrase": passphrase,
                    "client_keys": [os.path.expanduser(keyfile)] if keyfile else None,
                    "max_sessions": None if sessions is None else int(sessions),
                    "connect_timeout": 1800 if timeout is None else timeout,
                    "agent_path": None if self._flag("allow_agent", default=True) else "",
                }
            ),
            gss_auth=self._flag("gss_auth"),
            # Compression is slower than any network it would spare.
            compression_algs=None,
        )
