"""Carrying an alert out: a command with what happened in its environment, or JSON to a webhook.

Nothing here raises, and nothing that a run produced becomes part of a command line: values travel in variables and in
JSON alone.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from nbexp.experiments.alerts.rules import Rule, shown_command, shown_url
from nbexp.formats.secrets import without_secrets
from nbexp.frozen import frozen

# Long enough for a program that starts slowly, short enough to wait for when a run is over.
COMMAND_S = 10.0
WEBHOOK_S = 5.0


@frozen
class Told:
    """What an alert says.

    Attributes
    ----------
    run
        The experiment's name.
    state
        `running` where a condition came true before the end.
    metrics
        The last values by name.
    """

    alert: str
    run: str
    state: str
    message: str
    rev: str | None
    metrics: Mapping[str, object]
    project: str

    def to_json(self) -> dict[str, object]:
        return {
            "alert": self.alert,
            "name": self.run,
            "state": self.state,
            "message": self.message,
            "rev": self.rev,
            "metrics": dict(self.metrics),
            "project": self.project,
        }


def command(rule: Rule, told: Told, root: Path, env: Mapping[str, str]) -> str | None:
    """Run the rule's command in the project's folder; why it did not do its work, None where it did."""
    import signal
    import subprocess

    assert rule.command is not None
    what = f"`{shown_command(rule.command)}` of the alert `{rule.name}`"
    variables = {
        "ALERT": told.alert,
        "NAME": told.run,
        "STATE": told.state,
        "MESSAGE": told.message,
        "METRICS": json.dumps(dict(told.metrics), ensure_ascii=False),
        "REV": told.rev or "",
        "PROJECT": told.project,
    }
    is_line = isinstance(rule.command, str)
    try:
        process = subprocess.Popen(
            rule.command if is_line else list(rule.command),
            shell=is_line,
            cwd=root,
            env={**env, **{key: value.replace("\0", "") for key, value in variables.items()}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"{what} cannot be run: {error}."
    try:
        out, _ = process.communicate(timeout=COMMAND_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"{what} was not done after {COMMAND_S:g} s and has been ended."
    if process.returncode:
        said = out.decode("utf-8", "replace").strip().splitlines()
        last = f": {without_secrets(said[-1])[:200]}" if said else ""
        return f"{what} ended with exit code {process.returncode}{last}."
    return None


def webhook(rule: Rule, told: Told, env: Mapping[str, str]) -> str | None:
    """Send the rule's JSON; why it did not arrive, None where it did."""
    assert rule.webhook is not None
    missing = [name for name in re.findall(r"\$\{(\w+)\}", rule.webhook) if name not in env]
    if missing:
        return f"The webhook of the alert `{rule.name}` needs the variable `{missing[0]}`, which is not set."
    url = re.sub(r"\$\{(\w+)\}", lambda found: env[found[1]].strip(), rule.webhook)
    what = f"The webhook {shown_url(url)} of the alert `{rule.name}`"
    import http.client
    import urllib.error
    import urllib.parse
    import urllib.request

    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        is_near = _is_loopback(host)
    except ValueError:
        return f"{what} has an address that cannot be read."
    if parts.scheme not in ("http", "https") or not host:
        return f"{what} has no address that begins with https://."
    if parts.scheme == "http" and not is_near and not rule.allow_http:
        return (
            f"{what} was not asked: over http anybody on the way can read it; `allow_http = true` sends it all the "
            "same."
        )
    # Slack, Mattermost and Teams show `text`, Discord `content`.
    body = {**told.to_json(), "text": told.message, "content": told.message}
    headers = {"Content-Type": "application/json", "User-Agent": "nbexp"}
    if parts.username is not None:
        import base64

        pair = (
            f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        )
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        url = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    class Stay(urllib.request.HTTPRedirectHandler):
        """A redirect could lead to another host, or to http."""

        def redirect_request(self, *_: object, **__: object) -> None:
            return None

    handlers: list[urllib.request.BaseHandler] = [Stay()]
    if is_near:
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        # Its scheme was looked at above.
        request = urllib.request.Request(  # noqa: S310
            url, data=json.dumps(body).encode(), headers=headers, method="POST"
        )
        with urllib.request.build_opener(*handlers).open(request, timeout=WEBHOOK_S) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as error:
        return f"{what} answered {error.code}."
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        text = "no answer in time" if isinstance(reason, TimeoutError) else str(reason)
        return (
            f"{what} was not reached: {without_secrets(text.replace(url, shown_url(url)))[:200]}."
        )
    return None


def _is_loopback(host: str) -> bool:
    import ipaddress

    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
