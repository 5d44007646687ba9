"""Widgets in JupyterLab, through a real server, kernel and browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

PICTURE = "setup-form.png"
OPEN = """async path => {
  const app = window.jupyterapp;
  await app.restored;
  const widget = await app.commands.execute('docmanager:open', {path, factory: 'Notebook'});
  await widget.context.ready;
  await widget.context.sessionContext.ready;
  await widget.context.sessionContext.session.kernel.info;
}"""
RUN = "async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }"


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, and the folder it serves."""

    base: str
    token: str
    folder: Path


@pytest.fixture
def lab(tmp_path: Path, home: Path) -> Iterator[Lab]:
    """JupyterLab on a free port, with nothing of the user's, in a folder that holds one notebook."""
    folder = tmp_path / "work"
    folder.mkdir()
    cells = ["%load_ext nbexp", "%exp init -i"]
    made = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": cell, "outputs": [], "execution_count": None}
        for n, cell in enumerate(cells)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "lab.ipynb").write_text(json.dumps(book))
    runtime, settings = home / "runtime", home / "settings"
    quiet = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True})
    )
    token = "a-token-of-the-test"
    env = {
        **os.environ,
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    server = subprocess.Popen(
        [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--allow-root", "--expose-app-in-browser",
            f"--IdentityProvider.token={token}", "--LabApp.extension_manager=readonly", "--ServerApp.port_retries=0",
        ],
        cwd=folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield Lab(_address(runtime, server, token), token, folder)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _address(runtime: Path, server: subprocess.Popen[bytes], token: str) -> str:
    deadline = time.monotonic() + 90
    file = runtime / f"jpserver-{server.pid}.json"
    while time.monotonic() < deadline:
        if file.exists() and file.read_text().strip():
            base = str(json.loads(file.read_text())["url"]).rstrip("/")
            try:
                urllib.request.urlopen(f"{base}/api/status?token={token}", timeout=5).close()
                return base
            except OSError:
                pass
        assert server.poll() is None, "JupyterLab ended"
        time.sleep(0.2)
    raise AssertionError("JupyterLab did not answer")


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    """The notebook in JupyterLab, its kernel ready; every request that leaves this machine is refused."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    assert executable is not None, "no Chromium: `apt-get install chromium`, or `make test`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
            ],
        )
        context = browser.new_context(viewport={"width": 1200, "height": 1100})
        outside: list[str] = []

        def allow(route: Any) -> None:
            if route.request.url.startswith((lab.base, "data:", "blob:")):
                route.continue_()
            else:
                outside.append(route.request.url)
                route.abort()

        context.route("**/*", allow)
        found = context.new_page()
        found.set_default_timeout(90_000)
        found.goto(f"{lab.base}/lab/workspaces/t?reset&token={lab.token}")
        found.wait_for_function("() => !!window.jupyterapp")
        found.evaluate(OPEN, "lab.ipynb")
        yield found
        assert outside == []
        browser.close()


def test_the_seven_questions_are_a_form(lab: Lab, page: Page, tmp_path: Path) -> None:
    page.evaluate(RUN)
    command = page.get_by_label("Command to run")
    command.wait_for()
    # The static part is beside it, and stays when the widgets have gone.
    assert page.get_by_text("├── metrics.json").first.is_visible()
    values = {
        label: page.get_by_label(label).input_value()
        for label in (
            "Code, a file or folder",
            "Data, a file or folder",
            "Metrics file",
            "Plots, a file or folder",
        )
    }
    assert list(values.values()) == ["src", "data", "metrics.json", "plots"]
    # By the keyboard alone: a field, the next one with Tab, and the button with Enter.
    command.focus()
    page.keyboard.type("python train.py")
    for word in ("train.py", None, "n", None, None, "n"):
        page.keyboard.press("Tab")
        if word is not None:
            page.keyboard.press("Control+A")
            page.keyboard.type(word)
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Write the stage"
    page.screenshot(path=tmp_path / PICTURE)
    page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text="python train.py").wait_for()
    assert (lab.folder / "dvc.yaml").read_text() == (
        "stages:\n"
        "  train:\n"
        "    cmd: python train.py\n"
        "    deps:\n"
        "    - data\n"
        "    - train.py\n"
        "    params:\n"
        "    - params.yaml:\n"
        "    metrics:\n"
        "    - metrics.json:\n"
        "        cache: false\n"
    )
    assert page.get_by_role("button", name="Write the stage").is_disabled()
    page.screenshot(path=tmp_path / "setup-written.png")


def test_a_wrong_answer_is_said_in_the_form(lab: Lab, page: Page) -> None:
    page.evaluate(RUN)
    page.get_by_label("Command to run").wait_for()
    page.get_by_role("button", name="Write the stage").click()
    page.get_by_role("alert").filter(has_text="There is no command").wait_for()
    assert not (lab.folder / "dvc.yaml").exists()
