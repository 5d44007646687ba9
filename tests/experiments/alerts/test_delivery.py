"""Commands that are run and JSON that is sent; and what is said where that does not work."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nbexp.experiments.alerts import delivery
from nbexp.experiments.alerts.delivery import Told
from nbexp.experiments.alerts.rules import Rule

ENV = {"PATH": "/usr/bin:/bin", "HOOK": "secret-path"}
TOLD = Told(
    "good", "low-lr", "running", "`low-lr`: acc > 0.9 (acc 0.95)", None, {"acc": 0.95, "t": "$(touch hacked)"}, "p"
)  # fmt: skip


@dataclass
class Hook:
    """A server on this machine that takes what is sent, and answers as told."""

    url: str = ""
    code: int = 200
    location: str | None = None
    wait: threading.Event | None = None
    taken: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    state = Hook()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.taken.append((self.path, dict(self.headers), json.loads(body)))
            if state.wait is not None:
                state.wait.wait(60)
            self.send_response(state.code)
            if state.location is not None:
                self.send_header("Location", state.location)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    if state.wait is not None:
        state.wait.set()
    server.shutdown()
    server.server_close()


def test_a_command_has_what_happened_in_its_environment(tmp_path: Path) -> None:
    rule = Rule(
        "good", command='printf "%s|" "$ALERT" "$NAME" "$STATE" "$MESSAGE" "$METRICS" "$PROJECT" > told'
    )  # fmt: skip
    assert delivery.command(rule, TOLD, tmp_path, ENV) is None
    said = (tmp_path / "told").read_text().split("|")
    assert said[:4] == ["good", "low-lr", "running", "`low-lr`: acc > 0.9 (acc 0.95)"]
    assert json.loads(said[4]) == {"acc": 0.95, "t": "$(touch hacked)"}
    assert said[5] == "p"
    assert [path.name for path in tmp_path.iterdir()] == ["told"]


def test_a_list_is_a_program_and_its_words_without_a_shell(tmp_path: Path) -> None:
    assert delivery.command(Rule("a", command=("touch", "$NAME; x")), TOLD, tmp_path, ENV) is None
    assert [path.name for path in tmp_path.iterdir()] == ["$NAME; x"]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (
            "echo no; echo token=abc >&2; exit 3",
            "`echo no; echo token=*** >&2; exit 3` of the alert `a` ended with exit code 3: token=***.",
        ),
        ("exit 1", "`exit 1` of the alert `a` ended with exit code 1."),
        (
            ("no-such-program",),
            "`no-such-program` of the alert `a` cannot be run: [Errno 2] No such file or directory: 'no-such-program'.",
        ),
    ],
)
def test_a_command_that_fails_is_told(
    tmp_path: Path, command: str | tuple[str, ...], problem: str
) -> None:
    assert delivery.command(Rule("a", command=command), TOLD, tmp_path, ENV) == problem


def test_a_command_that_does_not_end_is_ended_with_all_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "COMMAND_S", 0.5)
    problem = delivery.command(Rule("a", command="sleep 600 & sleep 600"), TOLD, tmp_path, ENV)
    assert problem == (
        "`sleep 600 & sleep 600` of the alert `a` was not done after 0.5 s and has been ended."
    )


def test_a_webhook_gets_json(hook: Hook) -> None:
    rule = Rule("good", webhook=hook.url + "/${HOOK}?x=1")
    assert delivery.webhook(rule, TOLD, ENV) is None
    ((path, headers, body),) = hook.taken
    assert path == "/secret-path?x=1"
    assert headers["Content-Type"] == "application/json"
    assert body == {
        **TOLD.to_json(),
        "text": "`low-lr`: acc > 0.9 (acc 0.95)",
        "content": "`low-lr`: acc > 0.9 (acc 0.95)",
    }


def test_user_and_password_of_a_webhook_are_a_header(hook: Hook) -> None:
    rule = Rule("good", webhook=hook.url.replace("://", "://ada:p%40w@") + "/x")
    assert delivery.webhook(rule, TOLD, ENV) is None
    assert hook.taken[0][1]["Authorization"] == "Basic YWRhOnBAdw=="


def test_a_refusal_a_redirect_and_silence_are_told_without_secrets(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = Rule("good", webhook=hook.url + "/${HOOK}")
    shown = f"The webhook {hook.url}/*** of the alert `good`"
    hook.code = 403
    assert delivery.webhook(rule, TOLD, ENV) == f"{shown} answered 403."
    # Not followed: it could lead anywhere.
    hook.code, hook.location = 307, hook.url + "/elsewhere"
    assert delivery.webhook(rule, TOLD, ENV) == f"{shown} answered 307."
    assert [path for path, _, _ in hook.taken] == ["/secret-path"] * 2
    monkeypatch.setattr(delivery, "WEBHOOK_S", 0.3)
    hook.wait = threading.Event()
    assert delivery.webhook(rule, TOLD, ENV) == f"{shown} was not reached: no answer in time."


@pytest.mark.parametrize(
    ("webhook", "problem"),
    [
        (
            "http://example.org/x",
            ("The webhook http://example.org/*** of the alert `a` was not asked: over http anybody on the way can read it; "
            "`allow_http = true` sends it all the same."),
        ),
        (
            "https://example.org/${NOT_SET}",
            "The webhook of the alert `a` needs the variable `NOT_SET`, which is not set.",
        ),
        ("${HOOK}", "The webhook *** of the alert `a` has no address that begins with https://."),
        ("https://[::1", "The webhook https://[::1 of the alert `a` has an address that cannot be read."),
        ("http://127.0.0.1:1/x", "The webhook http://127.0.0.1:1/*** of the alert `a` was not reached: [Errno 111] Connection refused."),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_asked_is_told(webhook: str, problem: str) -> None:
    assert delivery.webhook(Rule("a", webhook=webhook), TOLD, ENV) == problem


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("localhost", True), ("127.1.2.3", True), ("::1", True), ("10.0.0.1", False), ("localhost.example.org", False),
     ("169.254.169.254", False)],
)  # fmt: skip
def test_plain_http_is_for_this_machine(host: str, is_loopback: bool) -> None:
    assert delivery._is_loopback(host) is is_loopback
