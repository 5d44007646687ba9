"""What a command line may hold that must not be written down."""

from __future__ import annotations

import shlex

import pytest

from nbexp.formats.secrets import (
    begins_a_key,
    in_output,
    in_prose,
    is_secret,
    is_secret_name,
    without_secrets,
    words_without_secrets,
)

# A line, and what of it must be gone. Everything else stays.
PLANTED = [
    ("run -S api.token=s3cr3t -n a", "run -S 'api.token=***' -n a"),
    ("run -S +auth.password=s3cr3t", "run -S '+auth.password=***'"),
    ("run -S params.yaml:db.passwd=s3cr3t", "run -S 'params.yaml:db.passwd=***'"),
    ("run -S 'db={user: a, password: s3cr3t, port: 5}'", "run -S 'db={user: a, password: ***, port: 5}'"),
    ("run -S data.url=https://me:s3cr3t@host/x", "run -S 'data.url=https://***@host/x'"),
    ("run -S data.url=postgresql://s3cr3t@host:5432/x", "run -S 'data.url=postgresql://***@host:5432/x'"),
    ("run --token s3cr3t", "run --token '***'"),
    ("run --api-key=s3cr3t", "run '--api-key=***'"),
    ("run --password 's3cr3t with spaces' train", "run --password '***' train"),
    ("run -S 'db.password=s3cr3t with s3cr3t'", "run -S 'db.password=***'"),
    ("env AWS_SECRET_ACCESS_KEY=s3cr3t run", "env 'AWS_SECRET_ACCESS_KEY=***' run"),
    ("env WANDB_API_KEY=s3cr3t OPENAI_KEY=s3cr3t run", "env 'WANDB_API_KEY=***' 'OPENAI_KEY=***' run"),
    ("run -S client_secret=s3cr3t", "run -S 'client_secret=***'"),
    ("run -S azure.accountKey=s3cr3t", "run -S 'azure.accountKey=***'"),
    ("run -m 'Authorization: Bearer s3cr3ts3cr3t'", "run -m 'Authorization: *** ***'"),
    ("run -m 'with ghp_0123456789abcdefghijABCDEFGHIJ012345 it worked'", "run -m 'with *** it worked'"),
    ("run -m AKIAIOSFODNN7EXAMPLE", "run -m '***'"),
    ("run -S hub=hf_abcdefghijklmnopqrstuvwxyz", "run -S 'hub=***'"),
    ("run -S jwt=eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2", "run -S 'jwt=***'"),
]  # fmt: skip

PLAIN = [
    "run -S train.lr=0.01 -n low-lr -m 'a better key'",
    "run -S tokenizer.name=bpe -S max_tokens=512 -S key=value",
    "run -S model.keys=[a,b] -S data.url=https://host/x?page=2",
    "run -S author=me -S keyboard=qwerty -S path=/data/x",
    "run train eval --downstream -j 4",
    "run -m 'mail to a@b.c'",
]


@pytest.mark.parametrize(("line", "kept"), PLANTED)
def test_a_planted_secret_is_gone(line: str, kept: str) -> None:
    found = shlex.join(words_without_secrets(shlex.split(line)))
    assert found == kept
    assert "s3cr3t" not in found


@pytest.mark.parametrize("line", PLAIN)
def test_what_is_no_secret_stays_as_it_is(line: str) -> None:
    assert words_without_secrets(shlex.split(line)) == shlex.split(line)


@pytest.mark.parametrize(
    "name", ["token", "api-key", "API_KEY", "dbPassword", "x.y.secret", "private_key", "SOME_KEY"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)
    assert is_secret_name(f"--{name}")


@pytest.mark.parametrize("name", ["tokenizer", "key", "lr", "passes", "monkey", "secretary", ""])
def test_names_of_what_is_none(name: str) -> None:
    assert not is_secret_name(name)


def test_text_of_any_length_and_kind_is_taken() -> None:
    assert without_secrets("") == ""
    assert without_secrets("é" * 100_000 + " token=x") == "é" * 100_000 + " token=***"


KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIB\n-----END RSA PRIVATE KEY-----"

# What a program printed, its environment, and what of it is shown.
OUTPUT = [
    ('File "/home/me/proj/train.py"', {"PWD": "/home/me/proj"}, 'File "/home/me/proj/train.py"'),
    ("at /run/agent.sock", {"SSH_AUTH_SOCK": "/run/agent.sock"}, "at /run/agent.sock"),
    ("a column is required", {"AUTH_MODE": "required"}, "a column is required"),
    ("with correcthorse in", {"DB_PASSWORD": "correcthorse"}, "with *** in"),
    ("abcdefgh12345 abcdefgh", {"A_TOKEN": "abcdefgh", "B_TOKEN": "abcdefgh12345"}, "*** ***"),
    ("Basic statistics:\nbasic augmentation, bearer instruments", {}, None),
    ("Basic \nhyperparameters1", {}, None),
    ("basic: Basic dXNlcjpwYXNz, Bearer s3cr3ts3cr3t", {}, "basic: Basic ***, Bearer ***"),
    (f"before\n{KEY}\nTraceback: after", {}, "before\n***\nTraceback: after"),
    ("-----BEGIN PRIVATE KEY-----\nMIIEpAIB", {}, "***"),
    ("token: the, pad_token=<pad>", {}, None),
]


@pytest.mark.parametrize(("text", "environment", "shown"), OUTPUT)
def test_what_a_program_printed(text: str, environment: dict[str, str], shown: str | None) -> None:
    assert in_output(text, environment) == (text if shown is None else shown)


def test_a_header_of_a_key_alone_leaves_what_comes_much_later() -> None:
    text = "-----BEGIN PRIVATE KEY-----\n" + "a line of a log\n" * 1000
    assert in_output(text, {}) == text


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("compare token=bpe with token=char", "compare token=bpe with token=char"),
        ("auth: none, cookie: off", "auth: none, cookie: off"),
        ("basic augmentation", "basic augmentation"),
        ("password=hunter2, api_token=a1b2c3d4e5", "password=***, api_token=***"),
        ("with https://me:pw@host", "with https://***@host"),
    ],
)
def test_a_message_keeps_what_is_no_secret(message: str, kept: str) -> None:
    assert in_prose(message, {}) == kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.pad_token", "<pad>"), ("eos_token", "<|endoftext|>"), ("mask_token", "[MASK]"),
        ("token_pooling", "mean"), ("auth", "none"), ("note", "basic features"), ("token", "[unused1]"),
        ("max_tokens", 512), ("tokenizer.name", "bpe-32000-cased"),
    ],
)  # fmt: skip
def test_params_that_are_no_secrets(name: str, value: object) -> None:
    assert not is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("db.password", "x"), ("api.token", "a1b2c3d4e5"), ("hub", "hf_abcdefghijklmnopqrstuvwxyz"), ("client_secret", "abc")],
)  # fmt: skip
def test_params_that_are_secrets(name: str, value: object) -> None:
    assert is_secret(name, value)


def test_where_a_key_begins_that_is_not_whole() -> None:
    assert begins_a_key("log\n-----BEGIN PRIVATE KEY-----\nMII") == 4
    assert begins_a_key(f"log\n{KEY}\n") is None
    assert begins_a_key("log") is None
