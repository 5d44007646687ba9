"""Google Cloud Storage: `gs://bucket/path`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from nbexp.store.remotes._fsspec import FsspecRemote, settings_given

SETTINGS = {
    "projectname": "the project that pays",
    "credentialpath": "a JSON file of a service account",
    "endpointurl": "where the service is, when it is not Google's",
    "allow_anonymous_login": "read a public bucket without logging in",
}


class Remote(FsspecRemote):
    """An object appears when its upload is complete."""

    package = "gcsfs"
    extra = "gs"

    def root(self) -> str:
        return self._address.partition("://")[2].strip("/")

    def md5_of(self, info: Mapping[str, Any]) -> str | None:
        try:
            return base64.b64decode(str(info["md5Hash"]), validate=True).hex()
        except (KeyError, binascii.Error):
            return None  # an object of several parts has none

    def connect(self) -> Any:
        # Its newer class asks another service, over gRPC, of which kind each bucket is.
        from gcsfs.core import GCSFileSystem

        anonymous = self._flag("allow_anonymous_login")
        return GCSFileSystem(
            skip_instance_cache=True,
            use_listings_cache=False,
            consistency=None,
            session_kwargs={"trust_env": True},
            **settings_given(
                {
                    "project": self._text("projectname"),
                    "token": "anon" if anonymous else self._text("credentialpath"),
                    "endpoint_url": self._text("endpointurl"),
                }
            ),
        )
