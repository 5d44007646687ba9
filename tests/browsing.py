"""JupyterLab and Notebook 7 as their users have them: a real server, kernel and browser.

    tab = open_notebook(project, ["%load_ext nbexp", "%exp show -i"], app="notebook", theme="dark", width=1920)
    tab.run_all()
    tab.page.get_by_role("grid").wait_for()

`tests/conftest.py` makes fixtures of it (see "In a browser" in README.md); `benchmarks/bench.py` measures with it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, Playwright, expect

ROOT = Path(__file__).resolve().parents[1]
AXE = ROOT / "extension" / "node_modules" / "axe-core" / "axe.min.js"
TOKEN = "a-token-of-the-test"
App = Literal["lab", "notebook"]
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

# Of the user's settings: no news, no updates, no toast in a corner; nothing saved behind the test's back; and
# what widgets hold is saved with the notebook, as VS Code and Colab do without being asked.
_SETTINGS: Mapping[str, Mapping[str, object]] = {
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "docmanager-extension/plugin": {"autosave": False},
}
_WIDGETS = {"saveState": True}

_OPEN = """async ([app, path]) => {
  const jupyter = window.jupyterapp;
  await jupyter.restored;
  const widget = app === 'lab'
    ? await jupyter.commands.execute('docmanager:open', {path, factory: 'Notebook'})
    : jupyter.shell.currentWidget;
  await widget.context.ready;
  await widget.context.sessionContext.ready;
  await widget.context.sessionContext.session.kernel.info;
}"""
# Not awaited in the page: a promise that waits for a dialog would wait for ever, and `evaluate` with it.
_RUN = """command => {
  window.nbexpRan = false;
  window.jupyterapp.commands.execute(command).then(() => { window.nbexpRan = true; });
}"""
_CELLS = "() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.map(c => c.toJSON())"
_AXE = """async selector => {
  const found = await axe.run(selector, {resultTypes: ['violations']});
  return found.violations.map(one => ({
    id: one.id, impact: one.impact, help: one.help,
    nodes: one.nodes.map(node => node.html.slice(0, 300) + ' ' + node.failureSummary),
  }));
}"""


class Server:
    """JupyterLab or Notebook 7 on a free port, with nothing of the user's; it serves `folder`.

    The environment is the one that it is made in. `close` ends it with all its kernels.
    """

    def __init__(self, app: App, folder: Path, home: Path) -> None:
        self.app: App = app
        self.folder = folder
        runtime, settings = home / "runtime", home / "settings"
        for name, values in _SETTINGS.items():
            _write(settings / "@jupyterlab" / f"{name}.jupyterlab-settings", values)
        _write(
            settings / "@jupyter-widgets" / "jupyterlab-manager" / "plugin.jupyterlab-settings",
            _WIDGETS,
        )
        # Not `JUPYTER_NO_CONFIG`: with any value, server extensions are silently not loaded.
        env = {
            **os.environ,
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "JUPYTER_PREFER_ENV_PATH": "1",
        }
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "jupyterlab" if app == "lab" else "notebook",
                "--no-browser", "--allow-root", "--port=0", "--ServerApp.port_retries=0",
                f"--ServerApp.root_dir={folder}", f"--IdentityProvider.token={TOKEN}",
                # Notebook 7 ignores all that it is told when it is told this under its own name.
                "--expose-app-in-browser", "--LabApp.extension_manager=readonly",
            ],
            cwd=folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            self.base = self._address(runtime)
        except BaseException:
            self.close()
            raise

    def end_sessions(self) -> None:
        """End every kernel."""
        with urllib.request.urlopen(
            f"{self.base}/api/sessions?token={TOKEN}", timeout=30
        ) as answer:
            sessions = json.load(answer)
        for session in sessions:
            gone = urllib.request.Request(
                f"{self.base}/api/sessions/{session['id']}?token={TOKEN}", method="DELETE"
            )
            urllib.request.urlopen(gone, timeout=30).close()

    def close(self) -> None:
        if self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _address(self, runtime: Path) -> str:
        file = runtime / f"jpserver-{self._process.pid}.json"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if file.exists() and file.read_text().strip():
                base = str(json.loads(file.read_text())["url"]).rstrip("/")
                try:
                    urllib.request.urlopen(f"{base}/api/status?token={TOKEN}", timeout=5).close()
                    return base
                except OSError:
                    pass
            assert self._process.poll() is None, f"the server of {self.app} ended"
            time.sleep(0.1)
        raise AssertionError(f"the server of {self.app} did not answer")


@dataclass
class Tab:
    """A notebook in a browser, its kernel ready: `page` is Playwright's."""

    page: Page
    server: Server
    path: Path
    outside: list[str] = field(default_factory=list)
    """What was asked of other machines, and refused."""
    errors: list[str] = field(default_factory=list)
    """What scripts of the page raised and nobody caught."""

    def open(self) -> None:
        """Load the page, and wait for the notebook and its kernel; again, it is as after a reload."""
        inside = self.path.relative_to(self.server.folder).as_posix()
        app, page = self.server.app, self.page
        where = "lab/workspaces/t?reset&" if app == "lab" else f"notebooks/{inside}?"
        page.goto(f"{self.server.base}/{where}token={TOKEN}")
        page.wait_for_function("() => !!window.jupyterapp && !!window.jupyterapp.shell")
        if app == "notebook":
            page.wait_for_function("() => !!window.jupyterapp.shell.currentWidget?.context")
        page.evaluate(_OPEN, [app, inside])

    def run_all(self, timeout_s: float = 90) -> None:
        """Run every cell, and wait until the last is done or one has failed."""
        self.command("notebook:run-all-cells", timeout_s)

    def command(self, name: str, timeout_s: float = 90) -> None:
        """Carry out a command of the application, and wait for it."""
        self.page.evaluate(_RUN, name)
        self.page.wait_for_function("() => window.nbexpRan", timeout=timeout_s * 1000)

    def cells(self) -> list[dict[str, Any]]:
        """The cells as they would be saved, with their outputs."""
        found: list[dict[str, Any]] = self.page.evaluate(_CELLS)
        return found

    def text(self) -> str:
        """What the cells have written or shown as plain text."""
        parts: list[str] = []
        for cell in self.cells():
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                said = output.get("text") or data.get("text/plain") or output.get("traceback") or ""
                parts.append(said if isinstance(said, str) else "".join(said))
        return "\n".join(parts)

    def save(self) -> dict[str, Any]:
        """Save the notebook, and read it: the state of its widgets is in its metadata."""
        self.command("docmanager:save")
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def findings(self, selector: str) -> list[str]:
        """What axe-core finds serious or critical in the part of the page."""
        assert AXE.exists(), "axe-core is not installed: `make panels`"
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        return [
            f"{one['impact']}: {one['id']}: {one['help']}: {node}"
            for one in self.page.evaluate(_AXE, selector)
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]


def chromium() -> str:
    """The browser's program."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    assert found is not None, "no Chromium: `apt-get install chromium`, or `make test`"
    return found


def launch(playwright: Playwright) -> Browser:
    """A browser without a window."""
    expect.set_options(timeout=30_000)  # a slow machine is no failure
    return playwright.chromium.launch(
        executable_path=chromium(),
        args=[
            "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--disable-component-update", "--disable-sync",
        ],
    )  # fmt: skip


def open_tab(
    server: Server,
    browser: Browser,
    folder: Path,
    cells: Sequence[str],
    *,
    name: str = "lab.ipynb",
    theme: str = "light",
    width: int = 1280,
    height: int = 1000,
) -> Tab:
    """Write a notebook of these cells into the folder, unless it is there, and open it in a context of its own."""
    path = folder / name
    if cells:
        path.write_text(json.dumps(_notebook(cells)))
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(90_000)
    tab = Tab(page, server, path)

    def allow(route: Any) -> None:
        if route.request.url.startswith((server.base, "data:", "blob:")):
            route.continue_()
        else:
            tab.outside.append(route.request.url)
            route.abort()

    context.route("**/*", allow)
    sockets = server.base.replace("http", "ws", 1)
    page.on(
        "websocket",
        lambda one: None if one.url.startswith(sockets) else tab.outside.append(one.url),
    )
    page.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.open()
    page.evaluate(
        "async theme => { await window.jupyterapp.commands.execute('apputils:change-theme', {theme}); }",
        THEMES[theme],
    )
    page.wait_for_function(
        "theme => document.body.dataset.jpThemeName === theme", arg=THEMES[theme]
    )
    if server.app == "lab":
        page.evaluate(
            "() => { const s = window.jupyterapp.shell; s.collapseLeft(); s.collapseRight(); }"
        )
    # What the application raises while it starts is its own: Notebook 7.6 reads the `schema` of nothing once.
    tab.errors.clear()
    return tab


def _notebook(cells: Sequence[str]) -> dict[str, object]:
    made = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": cell, "outputs": [], "execution_count": None}
        for n, cell in enumerate(cells)
    ]  # fmt: skip
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": made,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _write(path: Path, values: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
