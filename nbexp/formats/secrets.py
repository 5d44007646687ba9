"""Which words of a command line are secrets, and the line without them.

A secret is what is given to a name that says so (`--token x`, `db.password=x`, `AWS_SECRET_ACCESS_KEY=x`),
the user and password of a URL, and what has the form in which well-known services hand out their keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

HIDDEN = "***"
# Of a variable's value: `1` and `true` are in every text.
_SHORTEST = 8

# Parts of names: `tokenizer` and `max_tokens`, `keyboard` and `key` of a dict are settings as any other.
_SECRET_PARTS = frozenset(
    {
        "apikey", "auth", "authorization", "cookie", "credential", "credentials", "passphrase",
        "passwd", "password", "pat", "pw", "pwd", "secret", "secrets", "token",
    }
)  # fmt: skip
# `key` alone is too common a word; in these pairs, and in capitals as of an environment variable, it is one.
_SECRET_PAIRS = frozenset(
    {"access", "account", "api", "encryption", "private", "sas", "ssh", "signing"}
)
# What is given to these is a secret whatever it looks like. `token` and `auth` are names of settings as well: `pad_token`.
_CERTAIN = frozenset({"passphrase", "passwd", "password", "secret", "secrets"})
_ENDS = ("password", "passwd", "secret", "token", "apikey", "accesskey", "privatekey")

# Patterns as text, which `re` compiles when the first is asked for: most commands ask for none.
_CAMEL = r"(?<=[a-z0-9])(?=[A-Z])"
# Where the name ends: KEY=VALUE, KEY: VALUE, also inside of a mapping or a quoted JSON text.
_PAIR = r"""(?P<name>[A-Za-z_][\w.\-\[\]]*)(?P<mark>["']?\s*[=:]\s*)(?P<value>"[^"]*"|'[^']*'|[^\s,;&}\]"']+)"""
_URL = r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)(?P<user>[^/\s@]+)@"
# Behind these words, what a header has: with a digit, a capital inside or `=`, unlike `basic augmentation`.
_BEARER = r"\b((?i:Bearer|Basic))[ \t]+(?=\S*(?:[0-9=]|[a-z][A-Z]))[A-Za-z0-9+/_.=\-]{8,}"
_SHORTEST_FORM = 15  # letters: `xoxb-` and ten
_KEY_BEGINS, _KEY_ENDS = r"-----BEGIN [A-Z ]*PRIVATE KEY-----", r"-----END [A-Z ]*PRIVATE KEY-----"
_MOST_OF_A_KEY = 8_000  # letters; those of 8,192 bits have 6,400
_FORMS = (
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w\-]{20,}"
    r"|\bxox[abprs]-[A-Za-z0-9\-]{10,}|\bhf_[A-Za-z0-9]{20,}|\bsk-[\w\-]{20,}|\bAIza[\w\-]{30,}"
    r"|\beyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]*"
    rf"|{_KEY_BEGINS}[\s\S]{{0,{_MOST_OF_A_KEY}}}?(?:{_KEY_ENDS}|\Z)"
)


def is_secret_name(name: str) -> bool:
    """Whether what is given to this name is a secret.

    Examples
    --------
    >>> [is_secret_name(name) for name in ("--api-key", "db.password", "HF_TOKEN", "max_tokens")]
    [True, True, True, False]
    """
    last = _last_of(name)
    words = _words_of(name)
    if not _SECRET_PARTS.isdisjoint(words) or "".join(words).endswith(_ENDS):
        return True
    if "key" in words or "keys" in words:
        return last.isupper() or not _SECRET_PAIRS.isdisjoint(words)
    return False


def _last_of(name: str) -> str:
    return re.split(r"[.:\[\]]", name.strip("-]"))[-1] or name


def _words_of(name: str) -> list[str]:
    return [w.lower() for w in re.split(r"[_\-]+", re.sub(_CAMEL, "_", _last_of(name))) if w]


def _may_be_hidden(name: str, value: str) -> bool:
    """Whether hiding the value leaves a text readable: not of `PWD=/home/me/project` or `AUTH_MODE=required`."""
    if name in {"PWD", "OLDPWD"} or os.path.isabs(value):
        return False
    is_word = re.fullmatch(r"[A-Za-z]?[a-z_\-]*", value) is not None
    return not is_word or not (_CERTAIN | {"token"}).isdisjoint(_words_of(name))


def without_secrets(text: str) -> str:
    """The text with each secret that stands in it hidden.

    Examples
    --------
    >>> without_secrets("-S api.token=abc lr=0.1 https://me:pw@host/x")
    '-S api.token=*** lr=0.1 https://***@host/x'
    """
    if len(text) < _SHORTEST_FORM and not re.search(r"[=:\s]", text):
        return text
    text = re.sub(_URL, rf"\g<scheme>{HIDDEN}@", text)
    text = re.sub(_BEARER, rf"\1 {HIDDEN}", text)
    return re.sub(_PAIR, _hidden, re.sub(_FORMS, HIDDEN, text))


def in_output(text: str, environment: Mapping[str, str]) -> str:
    """What a program wrote, or somebody typed as prose, with the secrets hidden that can be told for sure.

    These are the values of variables whose names say that they are secret, users and passwords in URLs, and keys of
    well-known forms. `token: the` is left alone, since a program that trains on text writes that as well.

    Examples
    --------
    >>> in_output("token: the; hunter2hunter2 at https://me:pw@host/x", {"API_TOKEN": "hunter2hunter2"})
    'token: the; *** at https://***@host/x'
    """
    known = {
        value
        for name, value in environment.items()
        if len(value) >= _SHORTEST and is_secret_name(name) and _may_be_hidden(name, value)
    }
    for value in sorted(known, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    text = re.sub(_URL, rf"\g<scheme>{HIDDEN}@", text)
    return re.sub(_FORMS, HIDDEN, re.sub(_BEARER, rf"\1 {HIDDEN}", text))


def in_prose(text: str, environment: Mapping[str, str]) -> str:
    """What somebody wrote that is recorded: as `in_output`, and what is given to a name and looks like a secret.

    Examples
    --------
    >>> in_prose("token=bpe against token=char; db.password=hunter2", {})
    'token=bpe against token=char; db.password=***'
    """

    def hidden(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        if is_secret(name, value.strip("\"'")):
            return f"{name}{match['mark']}{HIDDEN}"
        return name + match["mark"] + re.sub(_PAIR, hidden, value)

    return re.sub(_PAIR, hidden, in_output(text, environment))


def is_secret(name: str, value: object) -> bool:
    """Whether a value of this name would be one that nobody else may read.

    Examples
    --------
    >>> [is_secret("db.password", "xK9"), is_secret("max_tokens", 512), is_secret("pad_token", "<pad>")]
    [True, False, False]
    """
    if not isinstance(value, str) or not value:
        return False
    if is_secret_name(name) and "${" not in value:
        looks_random = re.fullmatch(r"(?=.*[0-9])[^\s<>\[\]|{}()]{8,}", value) is not None
        if looks_random or not _CERTAIN.isdisjoint(_words_of(name)):
            return True
    return in_output(value, {}) != value


def begins_a_key(text: str) -> int | None:
    """Where a private key begins whose end is still to come; None where there is none."""
    found = [*re.finditer(_KEY_BEGINS, text)]
    if not found or len(text) - found[-1].end() > _MOST_OF_A_KEY:
        return None
    return None if re.search(_KEY_ENDS, text[found[-1].end() :]) else found[-1].start()


def words_without_secrets(words: Sequence[str]) -> list[str]:
    """The words of a command line with each secret hidden, also that of an option's next word.

    Examples
    --------
    >>> words_without_secrets(["run", "--token", "abc", "-n", "x"])
    ['run', '--token', '***', '-n', 'x']
    """
    found: list[str] = []
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        is_value = before.startswith("-") and "=" not in before and is_secret_name(before)
        found.append(HIDDEN if is_value and not word.startswith("-") else _word(word))
    return found


def _word(word: str) -> str:
    name, mark, value = word.partition("=")
    # All of the value: behind `=`, a word of a command line goes on to its end.
    if mark and value and re.fullmatch(r"[\w.\-:/+~\[\]]+", name) and is_secret_name(name):
        return f"{name}={HIDDEN}"
    return without_secrets(word)


def _hidden(match: re.Match[str]) -> str:
    if not is_secret_name(match["name"]):
        # What looks like one pair may hold others: `a={token:x}`, `stopped: token=x`.
        return match["name"] + match["mark"] + re.sub(_PAIR, _hidden, match["value"])
    return f"{match['name']}{match['mark']}{HIDDEN}"
