"""What a command line may hold that must not be written down."""

from __future__ import annotations

import shlex

import pytest

from nbexp.formats.secrets import is_secret_name, without_secrets, words_without_secrets

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
