"""Amazon S3 and what speaks its protocol (MinIO, Ceph, R2, …): `s3://bucket/path`."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any

from nbexp.errors import StoreError
from nbexp.store.remotes._fsspec import FsspecRemote, plain_md5, settings_given

SETTINGS = {
    "region": "the bucket's region",
    "profile": "a profile of the AWS settings",
    "credentialpath": "a file of AWS credentials",
    "configpath": "a file of AWS settings",
    "endpointurl": "where the service is, when it is not Amazon's",
    "access_key_id": "the key's name",
    "secret_access_key": "the key's secret",
    "session_token": "the token of a session",
    "use_ssl": "false: plain HTTP",
    "ssl_verify": "false, or a file of certificates",
    "allow_anonymous_login": "read a public bucket without a key",
    "sse": "encryption at the server: `AES256` or `aws:kms`",
    "sse_kms_key_id": "the key of `aws:kms`",
    "sse_customer_algorithm": "encryption with a key of one's own",
    "sse_customer_key": "that key, in base 64",
    "acl": "who may do what with new objects",
    "grant_read": "who may read new objects",
    "grant_read_acp": "who may read their permissions",
    "grant_write_acp": "who may change their permissions",
    "grant_full_control": "who may do both",
    "cache_regions": "read and ignored",
    "listobjects": "read and ignored",
    "read_timeout": "seconds to wait for an answer",
    "connect_timeout": "seconds to wait for a connection",
}

_GRANTS = {
    "acl": "ACL",
    "grant_read": "GrantRead",
    "grant_read_acp": "GrantReadACP",
    "grant_write_acp": "GrantWriteACP",
    "grant_full_control": "GrantFullControl",
}


class Remote(FsspecRemote):
    """An object appears when its upload is complete; one that was killed leaves parts that S3 can expire."""

    package = "s3fs"
    extra = "s3"

    def root(self) -> str:
        return self._address.partition("://")[2].strip("/")

    def md5_of(self, info: Mapping[str, Any]) -> str | None:
        if self._text("sse") == "aws:kms" or self._text("sse_customer_key"):
            return None  # the ETag is not that of the bytes
        return plain_md5(info.get("ETag"))

    def connect(self) -> Any:
        from s3fs import S3FileSystem

        for setting, variable in (
            ("credentialpath", "AWS_SHARED_CREDENTIALS_FILE"),
            ("configpath", "AWS_CONFIG_FILE"),
        ):
            path = self._text(setting)
            if path:
                os.environ.setdefault(variable, path)
        return S3FileSystem(
            skip_instance_cache=True,
            use_listings_cache=False,
            **settings_given(
                {
                    "key": self._text("access_key_id"),
                    "secret": self._text("secret_access_key"),
                    "token": self._text("session_token"),
                    "profile": self._text("profile"),
                    "anon": self._flag("allow_anonymous_login"),
                    "use_ssl": self._flag("use_ssl", default=True),
                }
            ),
            client_kwargs=settings_given(
                {
                    "region_name": self._text("region"),
                    "endpoint_url": self._text("endpointurl"),
                    "verify": self._settings.get("ssl_verify") and self._verifying(),
                }
            )
            | ({"verify": False} if self._verifying() is False else {}),
            config_kwargs=settings_given(
                {
                    "read_timeout": self._number("read_timeout"),
                    "connect_timeout": self._number("connect_timeout"),
                }
            ),
            s3_additional_kwargs=self._for_uploads(),
        )

    def _for_uploads(self) -> dict[str, Any]:
        own_key: bytes | None = None
        text = self._text("sse_customer_key")
        if text:
            try:
                own_key = base64.b64decode(text, validate=True)
            except binascii.Error:
                raise StoreError(
                    f"The setting `sse_customer_key` of {self.url} is no base 64."
                ) from None
        for one, other in (("sse_customer_key", "sse_kms_key_id"), ("acl", "grant_")):
            if self._text(one) and any(name.startswith(other) for name in self._settings):
                raise StoreError(
                    f"{self.url} has both `{one}` and `{other}{'*' if other[-1] == '_' else ''}`; "
                    "S3 takes one of the two."
                )
        return settings_given(
            {
                "ServerSideEncryption": self._text("sse"),
                "SSEKMSKeyId": self._text("sse_kms_key_id"),
                "SSECustomerKey": own_key,
                "SSECustomerAlgorithm": self._text("sse_customer_algorithm")
                or ("AES256" if own_key else None),
                **{theirs: self._text(ours) for ours, theirs in _GRANTS.items()},
            }
        )
