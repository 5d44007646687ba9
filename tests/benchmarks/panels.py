"""What the compare panel takes with 10,000 experiments of 30 columns, in a real JupyterLab and headless Chromium.

python tests/benchmarks/bench.py --only-panels
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

EMPTY = """\
import anywidget
class Empty(anywidget.AnyWidget):
    _esm = "export default {render({el}) { el.innerHTML = '<b id=nbx-empty>here</b>'; }}"
Empty()"""
ROUND_TRIP = """async () => {
  const times = [];
  for (let i = 0; i < 11; i += 1) {
    const row = document.querySelectorAll('.nbx-body .nbx-row[data-row]')[3 + (i % 5)];
    const heard = new Promise(done => document.addEventListener('nbexp-selected', done, {once: true}));
    const began = performance.now();
    row.querySelector('.nbx-name').click();
    await heard;
    times.push(performance.now() - began);
  }
  return times;
}"""
SCROLL = """async () => {
  const grid = document.querySelector('.nbx-grid');
  const frame = () => new Promise(done => requestAnimationFrame(done));
  await frame();
  const began = performance.now();
  for (let i = 0; i < 90; i += 1) { grid.scrollTop += 333; grid.scrollLeft = (i % 30) * 40; await frame(); }
  return 90 / ((performance.now() - began) / 1000);
}"""


def measure(folder: Path, count: int = 10_000) -> list[tuple[str, float, str]]:
    """Each figure: what it is, its value, and its unit with the bar."""
    browsing = _browsing()
    from playwright.sync_api import sync_playwright

    project = folder / "panels"
    _grow(project, count)
    # The index of the commits is there then, as it is for whoever has looked once.
    subprocess.run(
        [sys.executable, "-m", "nbexp.cli", "show", "--json"],
        cwd=project,
        check=True,
        capture_output=True,
    )
    server = browsing.Server("lab", folder, folder / "jupyter")
    found: list[tuple[str, float, str]] = []
    try:
        with sync_playwright() as playwright:
            browser = browsing.launch(playwright)
            # Once with nothing measured.
            _visible(
                browsing,
                server,
                browser,
                project,
                ["%load_ext nbexp", "%exp show -i"],
                ".nbx-body .nbx-name",
            )[1].page.context.close()
            empty, tab = _visible(browsing, server, browser, project, [EMPTY], "#nbx-empty")
            tab.page.context.close()
            server.end_sessions()
            cells = ["%load_ext nbexp", "panel = %exp show -i", _WIRE]
            shown, tab = _visible(browsing, server, browser, project, cells, ".nbx-body .nbx-name")
            page = tab.page
            page.locator(".jp-OutputArea-output", has_text='"whole":').first.wait_for()
            bar = 2 * empty + 1500
            found.append(
                (
                    f"visible, {count:,} rows × 30; an empty widget {empty:.0f} ms",
                    shown,
                    f"ms (bar: {bar:.0f})",
                )
            )
            said = json.loads(tab.text().strip().splitlines()[-1])
            found.append(("on the wire", said["whole"] / 1000, "kB (bar: 2,500)"))
            found.append(("one more row", said["more"] / 1000, "kB (bar: 10)"))
            took = "() => Number(document.querySelector('.nbx-compare').dataset.arrangedMs)"
            head = page.locator("[role=columnheader]", has_text="m1").first
            times = []
            for _ in range(4):
                head.click()
                times.append(page.evaluate(took))
            found.append(("sort", statistics.median(times), "ms (bar: 100)"))
            field = page.locator(".nbx-filter")
            times = []
            for text in ("m1 > 0.5", 'm1 > 0.5 and kind0 == "adam"', 'name ~ "exp-1*"', ""):
                before = page.locator(".nbx-count").first.inner_text()
                field.fill(text)
                page.wait_for_function(
                    "b => document.querySelector('.nbx-count').textContent !== b", arg=before
                )
                times.append(page.evaluate(took))
            found.append(("filter", statistics.median(times), "ms (bar: 100)"))
            found.append(
                ("scroll, both ways", page.evaluate(SCROLL), "frames/s (bar: at least 30)")
            )
            page.evaluate("() => { document.querySelector('.nbx-grid').scrollTop = 0; }")
            page.wait_for_timeout(300)
            found.append(
                (
                    "choose a row, to Python and back",
                    statistics.median(page.evaluate(ROUND_TRIP)),
                    "ms (bar: 150)",
                )
            )
            browser.close()
    finally:
        server.close()
    return found


_WIRE = """\
import json, dataclasses
from nbexp.jupyter.panels import rows
from nbexp.frozen import replace
sent = panel._sent
whole = len(panel.widget.packed())
one = next(row for row in sent.table.rows if row.kind == "experiment")
more = rows.of(replace(sent.table, rows=(*sent.table.rows[:2], replace(one, rev="f" * 40, name="one-more"), *sent.table.rows[2:])))
print(json.dumps({"whole": whole, "more": len(rows.change(sent, more))}))"""


def _visible(
    browsing: Any, server: Any, browser: Any, project: Path, cells: list[str], selector: str
) -> tuple[float, Any]:
    tab = browsing.open_tab(server, browser, project, cells)
    began = time.perf_counter()
    tab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    try:
        tab.page.locator(selector).first.wait_for()
    except Exception as error:
        raise RuntimeError(f"{tab.text()}\n{tab.errors}") from error
    return (time.perf_counter() - began) * 1000, tab


def _browsing() -> Any:
    path = HERE.parent / "browsing.py"
    spec = importlib.util.spec_from_file_location("nbexp_browsing", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules["nbexp_browsing"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _grow(project: Path, count: int) -> None:
    """A project with so many experiments: 14 metrics, 12 params that are numbers and 4 that are words."""
    chance = random.Random(7)
    project.mkdir(parents=True)

    def git(*words: str, stdin: bytes | None = None) -> bytes:
        return subprocess.run(
            ["git", *words], cwd=project, input=stdin, check=True, capture_output=True
        ).stdout

    def files() -> Mapping[str, bytes]:
        metrics = {f"m{n}": chance.random() for n in range(14)}
        params = {f"lr{n}": chance.choice([0.1, 0.01, chance.random()]) for n in range(12)}
        words = {f"kind{n}": chance.choice(["adam", "sgd", "rmsprop"]) for n in range(4)}
        return {
            "params.yaml": "".join(
                f"{key}: {value}\n" for key, value in {**params, **words}.items()
            ).encode(),
            "metrics.json": json.dumps(metrics).encode(),
        }

    for path, text in {
        ".dvc/config": "", ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n", ".dvcignore": "",
        "dvc.yaml": "stages:\n  train:\n    cmd: echo\n    params:\n    - params.yaml:\n    metrics:\n    - metrics.json:\n        cache: false\n",
        **{path: data.decode() for path, data in files().items()},
    }.items():  # fmt: skip
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)
    git("init", "--quiet", "--template=", "--initial-branch=main")
    git("add", "--all")
    git(
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=ada@example.org",
        "commit",
        "--quiet",
        "--message=base",
    )
    head = git("rev-parse", "HEAD").decode().strip()
    when = int(git("show", "--no-patch", "--format=%ct", "HEAD"))
    stream = bytearray()
    for number in range(count):
        stream += b"commit refs/exps/%s/%s/exp-n%05d\n" % (
            head[:2].encode(),
            head[2:].encode(),
            number,
        )
        stream += b"committer Ada <ada@example.org> %d +0000\ndata 0\nfrom %s\n" % (
            when + number + 1,
            head.encode(),
        )
        for path, data in files().items():
            stream += b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(data), data)
    git("fast-import", "--quiet", stdin=bytes(stream))
    git("pack-refs", "--all")


def text(found: list[tuple[str, float, str]]) -> str:
    """The figures as lines."""
    return "\n".join(f"{what:<60} {value:>9.1f} {unit}" for what, value, unit in found)


if __name__ == "__main__":
    import tempfile

    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    with tempfile.TemporaryDirectory(prefix="nbexp-bench-") as made:
        print(text(measure(Path(made), int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)))
