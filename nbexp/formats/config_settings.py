"""The sections and settings that DVC's configuration has, and which values each takes (DVC 3.67.1)."""

from __future__ import annotations

import re

from nbexp.errors import ProjectFileError, nearest

LINK_TYPES = ("reflink", "hardlink", "symlink", "copy")

Value = str | bool | int | tuple[str, ...]
Text = str | list[str]

_TEXT, _BOOL, _INT = "text", "true or false", "a number above 0"
_NUMBER, _PART, _LINKS = (
    "a number",
    "a number, 0 or above",
    f"one or more of {', '.join(LINK_TYPES)}",
)
_NAME = "a name"


def _texts(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), _TEXT)


def _bools(names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), _BOOL)


_SETTINGS: dict[str, dict[str, str]] = {
    "core": {
        "remote": _NAME,
        "checksum_jobs": _INT,
        **_bools("interactive analytics hardlink_lock no_scm autostage experiments check_update"),
        "site_cache_dir": _TEXT,
        "machine": _NAME,
    },
    "cache": {
        "dir": _TEXT,
        "type": _LINKS,
        "shared": "group",
        **_bools("protected slow_link_warning verify"),
        **_texts("local s3 gs hdfs webhdfs ssh azure"),
    },
    "state": _texts("dir row_limit row_cleanup_quota"),
    "index": {"dir": _TEXT},
    "plots": {"html_template": _TEXT, "auto_open": _BOOL, "out_dir": _TEXT},
    "exp": {
        **_texts("code data models metrics params plots live git_remote"),
        "auto_push": _BOOL,
    },
    "parsing": {"bool": "store_true or boolean_optional", "list": "nargs or append"},
    "hydra": {"enabled": _BOOL, **_texts("config_dir config_module config_name plugins_path")},
    "studio": {**_texts("token url repo_url"), "offline": _BOOL},
}
# Sections of DVC that nothing here reads.
PASSED_OVER = frozenset({"feature", "machine", "db"})

_REMOTE = {
    "url": _TEXT,
    "jobs": _INT,
    "checksum_jobs": _INT,
    **_bools("verify version_aware worktree no_traverse"),
}
_LOCAL = {"type": _LINKS, "shared": "group", **_bools("protected slow_link_warning")}
_HTTP = {
    "auth": "basic or digest or custom",
    **_texts("custom_auth_header user password ssl_verify method"),
    "ask_password": _BOOL,
    "connect_timeout": _PART,
    "read_timeout": _PART,
}
_WEBDAV = {
    **_texts("user password token bearer_token_command custom_auth_header cert_path key_path"),
    "ask_password": _BOOL,
    "timeout": _NUMBER,
    "ssl_verify": _TEXT,
}
# By the scheme of a remote's URL; a path has none.
_REMOTES: dict[str, dict[str, str]] = {
    "": _LOCAL,
    "s3": {
        **_texts(
            "region profile credentialpath configpath endpointurl access_key_id secret_access_key "
            "session_token ssl_verify sse sse_kms_key_id sse_customer_algorithm sse_customer_key acl "
            "grant_read grant_read_acp grant_write_acp grant_full_control"
        ),
        **_bools("listobjects use_ssl allow_anonymous_login cache_regions"),
        "read_timeout": _NUMBER,
        "connect_timeout": _NUMBER,
    },
    "gs": {**_texts("projectname credentialpath endpointurl"), "allow_anonymous_login": _BOOL},
    "ssh": {
        "type": _LINKS,
        **dict.fromkeys(("port", "timeout", "max_sessions"), _NUMBER),
        **_texts("user password passphrase keyfile"),
        **_bools("ask_password ask_passphrase gss_auth allow_agent"),
    },
    "hdfs": {**_texts("user kerb_ticket"), "replication": _NUMBER},
    "webhdfs": {
        **_bools("kerberos use_https"),
        **_texts("kerberos_principal proxy_to ssl_verify token user password data_proxy_target"),
    },
    "azure": {
        **_texts(
            "connection_string sas_token account_name account_key tenant_id client_id client_secret"
        ),
        **_bools(
            "allow_anonymous_login exclude_environment_credential "
            "exclude_visual_studio_code_credential exclude_shared_token_cache_credential "
            "exclude_managed_identity_credential"
        ),
        **dict.fromkeys(("timeout", "read_timeout", "connection_timeout"), _NUMBER),
    },
    "oss": _texts("oss_key_id oss_key_secret oss_endpoint"),
    "gdrive": {
        **_texts(
            "profile gdrive_client_id gdrive_client_secret gdrive_user_credentials_file "
            "gdrive_service_account_user_email gdrive_service_account_json_file_path"
        ),
        **_bools("gdrive_use_service_account gdrive_trash_only gdrive_acknowledge_abuse"),
    },
    "http": _HTTP,
    "https": _HTTP,
    "webdav": _WEBDAV,
    "webdavs": _WEBDAV,
}


def names() -> list[str]:
    """Every setting as one types it, those of a remote once each with `NAME` for its name."""
    remote = sorted({name for kind in _REMOTES.values() for name in kind} | set(_REMOTE))
    own = [f"{section}.{name}" for section, known in _SETTINGS.items() for name in known]
    return own + [f"remote.NAME.{name}" for name in remote]


def require_section(section: str, path: str, line: int | None = None) -> None:
    """Refuse a section that there is not, those of remotes and `PASSED_OVER` apart; the nearest is in the hint."""
    if section in _SETTINGS:
        return
    if section == "nbexp":
        hint = "settings of nbexp itself are in nbexp.toml, or [tool.nbexp] of pyproject.toml."
    else:
        near = nearest(section, [*_SETTINGS, "remote"])
        wanted = """['remote "name"']""" if near == "remote" else f"[{near}]" if near else ""
        hint = f"did you mean {wanted}?" if near else f"sections: {', '.join(sorted(_SETTINGS))}."
    raise ProjectFileError(f"there is no section `{section}`.", hint, path=path, line=line)


def checked(
    section: str, name: str, value: Text, path: str, line: int | None = None, remote: str = ""
) -> Value:
    """The value as what it means.

    Raises
    ------
    ProjectFileError
        The section has no such setting, or the setting takes no such value.
    """
    if section == "remote":
        # Which others there are depends on the URL, which may stand in another file: `check_remote`.
        wanted = _LINKS if name == "type" else _REMOTE.get(name, _TEXT)
    else:
        known = _SETTINGS[section]
        if name not in known:
            raise _no_setting(section, name, known, path, line)
        wanted = known[name]
    shown = f"remote.{remote}.{name}" if section == "remote" else f"{section}.{name}"
    return _meaning(shown, value, wanted, path, line)


def check_remote(remote: str, settings: dict[str, Text], path: str) -> None:
    """Refuse what a remote with this URL cannot have.

    Raises
    ------
    ProjectFileError
        There is no such setting for this kind of remote, or it takes no such value; or there is no URL.
    """
    url = settings.get("url")
    if not isinstance(url, str):
        raise ProjectFileError(
            f"remote `{remote}` has no url.",
            f"`nbexp remote add -f {remote} URL` gives it one.",
            path=path,
        )
    with_host = re.match(r"([A-Za-z][\w+.-]*)://[^/]", url)
    scheme = with_host[1].lower() if with_host else ""
    if scheme not in _REMOTES:
        near = nearest(scheme, _REMOTES)
        raise ProjectFileError(
            f"remote `{remote}` is at {url}, and there is no kind of remote `{scheme}://`.",
            f"did you mean `{near}://`?" if near else f"kinds: {', '.join(sorted(_REMOTES)[1:])}.",
            path=path,
        )
    known = {**_REMOTE, **_REMOTES[scheme]}
    for name, value in settings.items():
        if name not in known:
            raise _no_setting(f"remote.{remote}", name, known, path, None)
        _meaning(f"remote.{remote}.{name}", value, known[name], path, None)


def _meaning(setting: str, value: Text, wanted: str, path: str, line: int | None) -> Value:
    if wanted == _LINKS:
        kinds = value if isinstance(value, list) else value.split(",")
        found = tuple(kind.strip() for kind in kinds)
        if found and set(found) <= set(LINK_TYPES):
            return found
    elif isinstance(value, str):
        lowered = value.lower()
        if wanted == _BOOL:
            if lowered in {"true", "false"}:
                return lowered == "true"
        elif wanted in {_INT, _NUMBER, _PART}:
            digits = value.strip()
            if digits.isdecimal() and (int(value) > 0 or wanted != _INT):
                return int(value)
            if wanted == _PART and re.fullmatch(r"\d*\.\d+|\d+\.", digits):
                return value
        elif wanted == _NAME:
            return lowered
        elif wanted == _TEXT:
            return value
        elif lowered in wanted.split(" or "):
            return lowered
    shown = ", ".join(value) if isinstance(value, list) else value
    raise ProjectFileError(f"`{setting}` is `{shown}`; {wanted} is expected.", path=path, line=line)


def _no_setting(
    section: str, name: str, known: dict[str, str], path: str, line: int | None
) -> ProjectFileError:
    near = nearest(name, known)
    hint = (
        f"did you mean `{section}.{near}`?"
        if near
        else f"settings of {section}: {', '.join(sorted(known))}."
    )
    return ProjectFileError(f"there is no setting `{section}.{name}`.", hint, path=path, line=line)
