"""Azure Blob Storage: `azure://container/path`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbexp.errors import StoreError
from nbexp.store.remotes._fsspec import FsspecRemote, settings_given

SETTINGS = {
    "account_name": "the storage account",
    "account_key": "its key",
    "connection_string": "account, key and address in one text",
    "sas_token": "a shared access signature",
    "tenant_id": "the tenant of a service principal",
    "client_id": "the principal's name",
    "client_secret": "the principal's secret",
    "allow_anonymous_login": "read a public container without logging in",
    "exclude_environment_credential": "do not look for credentials in the environment",
    "exclude_visual_studio_code_credential": "nor in VS Code",
    "exclude_shared_token_cache_credential": "nor in the cache of tokens",
    "exclude_managed_identity_credential": "nor from the machine's identity",
    "timeout": "seconds that a request may take at the server",
    "read_timeout": "seconds to wait for an answer",
    "connection_timeout": "seconds to wait for a connection",
}


class Remote(FsspecRemote):
    """A blob appears when its list of blocks is committed."""

    package = "adlfs"
    extra = "azure"

    def root(self) -> str:
        return self._address.partition("://")[2].strip("/")

    def md5_of(self, info: Mapping[str, Any]) -> str | None:
        found = (info.get("content_settings") or {}).get("content_md5")
        return bytes(found).hex() if found else None

    def upload(self, fs: Any, source: str, path: str, told: Any) -> None:
        # Without it, adlfs refuses what is there, as an object of the wrong size may be.
        fs.put_file(source, path, callback=told, overwrite=True)

    def connect(self) -> Any:
        from adlfs import AzureBlobFileSystem

        given = settings_given(
            {
                name: self._text(name)
                for name in (
                    "account_name", "account_key", "connection_string", "sas_token",
                    "tenant_id", "client_id", "client_secret",
                )
            }
        )  # fmt: skip
        if "account_name" not in given and "connection_string" not in given:
            raise StoreError(
                f"{self.url} has neither `account_name` nor `connection_string`, and Azure asks for one.",
                "`nbexp remote modify --local NAME connection_string VALUE` sets it.",
            )
        return AzureBlobFileSystem(
            skip_instance_cache=True,
            use_listings_cache=False,
            anon=self._flag("allow_anonymous_login"),
            **given,
            **settings_given(
                {
                    "timeout": self._number("timeout"),
                    "read_timeout": self._number("read_timeout"),
                    "connection_timeout": self._number("connection_timeout"),
                }
            ),
        )
