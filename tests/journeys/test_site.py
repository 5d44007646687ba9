"""A published site in a real browser, opened from the disk: 200 experiments with notebooks and pictures."""

from __future__ import annotations

import base64
import io
import json
import math
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

DIGITS = Path(__file__).parents[2] / "example-notebooks" / "digits"
COUNT = 200
EVIL = '<img src=x onerror="document.title=\'broken into\'"><script>document.title="broken into"</script>'
EPOCHS = 15


def notebook(number: int, accuracy: list[float]) -> bytes:
    """The example's notebook as it would be executed, with a picture of its own."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.2), dpi=100)
    axes = figure.subplots()
    grid = random.Random(number)
    axes.imshow([[grid.randrange(9) for _ in range(10)] for _ in range(10)], cmap="Oranges")
    axes.set_title(f"run {number}: {accuracy[-1]:.4f}")
    axes.plot(range(10), [4.5 + 4 * math.sin(at + number) for at in range(10)])
    drawn = io.BytesIO()
    FigureCanvasAgg(figure).print_png(drawn)
    book = json.loads((DIGITS / "train.ipynb").read_text())
    codes = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    for cell in codes:
        cell["outputs"] = []
    lines = [f"epoch {at + 1:2} accuracy {value:.4f}\n" for at, value in enumerate(accuracy)]
    codes[-3]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": lines}]
    picture = base64.b64encode(drawn.getvalue()).decode()
    table = "<table><tr><th>digit</th><th>errors</th></tr><tr><td>3</td><td>7</td></tr></table>"
    codes[-2]["outputs"] = [
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": picture, "text/plain": "<Figure>"}},
        {"output_type": "display_data", "metadata": {}, "data": {"text/html": table + EVIL, "text/plain": "frame"}},
    ]  # fmt: skip
    return json.dumps(book).encode()


def curve(number: int) -> list[float]:
    top = 0.7 + 0.28 * ((number * 37) % COUNT) / COUNT
    return [round(top - 0.4 / (at + 1), 4) for at in range(EPOCHS)]


def commits(count: int, baseline: str) -> Iterator[bytes]:
    """What `git fast-import` makes the experiments of: files as a run leaves them."""
    params = (DIGITS / "params.yaml").read_text()
    for number in range(count):
        accuracy = curve(number)
        gamma = round(0.001 * (number + 1), 4)
        rows = "".join(f"{at + 1}\t{value}\n" for at, value in enumerate(accuracy))
        loss = "".join(f"{at + 1}\t{round(1 - value, 4)}\n" for at, value in enumerate(accuracy))
        files = {
            "params.yaml": params.replace("gamma: 0.05", f"gamma: {gamma}").encode(),
            "metrics.json": json.dumps(
                {"accuracy": accuracy[-1], "loss": 1 - accuracy[-1]}
            ).encode(),
            "dvclive/plots/metrics/accuracy.tsv": f"step\taccuracy\n{rows}".encode(),
            "dvclive/plots/metrics/loss.tsv": f"step\tloss\n{loss}".encode(),
            "runs/train.ipynb": notebook(number, accuracy),
        }
        if number == 3:
            files["features.py"] = (DIGITS / "features.py").read_bytes() + b"# <b>edited</b>\n"
        ref = f"refs/exps/{baseline[:2]}/{baseline[2:]}/run-{number:03}"
        yield f"commit {ref}\ncommitter Ada <ada@example.org> {1_790_000_000 + number} +0000\n".encode()
        yield f"data 1\nx\nfrom {baseline}\n".encode()
        for path, data in files.items():
            yield f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n"
        yield b"\n"


def make(folder: Path, git: Callable[..., str], count: int) -> Path:
    """The digits example in Git, its outputs there as well, and many experiments of it."""
    shutil.copytree(DIGITS, folder)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    pipeline = (folder / "dvc.yaml").read_text()
    pipeline = pipeline.replace(
        "    - runs/train.ipynb\n", "    - runs/train.ipynb:\n        cache: false\n"
    )
    (folder / "dvc.yaml").write_text(pipeline)
    for ignored in ("runs/.gitignore", "plots/.gitignore"):
        (folder / ignored).unlink()
    params = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(params + f"note: {json.dumps(EVIL)}\n")
    git("init", "--quiet", "--initial-branch=main", cwd=folder)
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message=digits", cwd=folder)
    baseline = git("rev-parse", "HEAD", cwd=folder)
    stream = b"".join(commits(count, baseline))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, input=stream, check=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = shutil.which("chromium") or shutil.which("google-chrome")
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, _environment: Path) -> Path:
    """The folder of a site of 200 experiments."""

    def git(*words: str, cwd: Path) -> str:
        ran = subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=True)
        return ran.stdout.strip()

    project = make(tmp_path_factory.mktemp("site") / "digits", git, COUNT)
    ran = subprocess.run(
        [sys.executable, "-m", "nbexp.cli", "publish", "site"],
        cwd=project, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith(f"wrote site: {COUNT} experiments, 2.")
    assert "left out" not in ran.stdout
    return project / "site"


class Visit:
    """A page from the disk, and what went wrong on it: words of the console, and anything it asked the network."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("console", lambda message: self.wrong.append(message.text))
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:")):
            self.wrong.append(url)

    @property
    def names(self) -> list[str]:
        """The experiments that are seen, from the top."""
        rows = self.page.locator("tbody tr:visible th a")
        return rows.all_inner_texts()


@pytest.fixture
def visit(browser: Browser, published: Path, request: Any) -> Iterator[Visit]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        color_scheme=getattr(request, "param", "light"),
        offline=True,
    )
    found = Visit(context.new_page())
    found.page.goto((published / "index.html").as_uri())
    yield found
    title = found.page.title()
    context.close()
    assert found.wrong == []
    assert "broken into" not in title


# The contrast of each text with the ground it stands on, as WCAG 2.1 computes it.
CONTRASTS = """() => {
  const channel = c => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parsed = text => text.match(/[\\d.]+/g).map(Number);
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const found = parsed(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return parsed(getComputedStyle(document.documentElement).backgroundColor);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.data.trim() || !parent.checkVisibility() || parent.closest("title, svg")) continue;
    const [one, two] = [light(parsed(getComputedStyle(parent).color)), light(ground(parent))];
    found.push([node.data, (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05)]);
  }
  return found;
}"""


def test_200_experiments_with_their_pictures_stay_under_three_megabytes(published: Path) -> None:
    sizes = [path.stat().st_size for path in published.rglob("*") if path.is_file()]
    assert sum(sizes) < 3_000_000
    assert len(list((published / "experiments").iterdir())) == COUNT
    assert len(list((published / "pictures").iterdir())) == COUNT


def test_a_click_on_a_head_sorts_by_its_column(visit: Visit) -> None:
    best = sorted(range(COUNT), key=lambda number: -curve(number)[-1])
    assert visit.names[:2] == ["run-199", "run-198"]
    head = visit.page.get_by_role("columnheader", name="accuracy")
    head.get_by_role("button").click()
    assert visit.names == [f"run-{number:03}" for number in best]
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").focus()
    visit.page.keyboard.press("Enter")
    assert visit.names == [f"run-{number:03}" for number in reversed(best)]
    assert head.get_attribute("aria-sort") == "ascending"
    visit.page.keyboard.press("Space")
    assert visit.names[:2] == ["run-199", "run-198"]
    assert head.get_attribute("aria-sort") is None
    assert visit.page.locator("td.best").first.inner_text() == f"{curve(best[0])[-1]:.5g}"


def test_the_filter_takes_words_and_comparisons(visit: Visit) -> None:
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("run-1 accuracy>=0.9 gamma<0.15")
    kept = [n for n in range(100, COUNT) if curve(n)[-1] >= 0.9 and 0.001 * (n + 1) < 0.15]
    assert visit.names == [f"run-{number:03}" for number in reversed(kept)]
    assert visit.page.locator("#count").inner_text() == f"{len(kept)} of {COUNT} experiments"
    shown = visit.page.locator("svg").first.locator("g[data-e]:visible")
    assert shown.count() == len(kept)
    visit.page.locator("#find").fill("no such thing")
    assert visit.names == []
    assert visit.page.get_by_text("No experiment matches the filter.").is_visible()


def test_columns_that_say_nothing_are_chosen_not_shown(visit: Visit) -> None:
    heads = visit.page.locator("thead th:visible")
    titles = [text.split("\n")[-1].strip() for text in heads.all_inner_texts()]
    assert titles == ["experiment", "created", "accuracy ↑", "loss ↓", "train.gamma", "note"]
    visit.page.get_by_text("Columns").click()
    visit.page.get_by_label("train.seed").check()
    visit.page.get_by_label("note").uncheck()
    visit.page.keyboard.press("Escape")
    titles = [text.split("\n")[-1].strip() for text in heads.all_inner_texts()]
    assert titles == ["experiment", "created", "accuracy ↑", "loss ↓", "train.gamma", "train.seed"]


def test_a_row_lights_up_its_lines(visit: Visit) -> None:
    visit.page.hover("tr[data-e=run-042]")
    assert visit.page.locator("svg .on").count() == 2
    assert visit.page.locator("svg .on").first.get_attribute("data-e") == "run-042"


def test_the_notebook_of_an_experiment_opens_with_its_picture(visit: Visit) -> None:
    visit.page.locator("#find").fill("run-003")
    visit.page.get_by_role("link", name="run-003").click()
    assert visit.page.title() == "run-003 – digits"
    assert visit.page.locator(".diff .add").text_content() == "+# <b>edited</b>"
    assert visit.page.get_by_text(f"epoch 15 accuracy {curve(3)[-1]:.4f}").is_visible()
    code = visit.page.locator(".cell .in").nth(1)
    assert "from nbexp import live" in code.inner_text()
    assert code.locator("span.k").first.inner_text() == "import"
    assert visit.page.locator(".prose h1").inner_text() == "Which digit is it?"
    assert visit.page.locator(".out table td").all_inner_texts() == ["3", "7"]
    picture = visit.page.locator(".out img")
    assert picture.count() == 1
    assert picture.evaluate("image => image.naturalWidth") == 420
    visit.page.get_by_role("link", name="All experiments").click()
    assert visit.page.locator("h1").inner_text() == "digits"


@pytest.mark.parametrize("visit", ["light", "dark"], indirect=True)
def test_everything_is_legible_and_nothing_stands_out(visit: Visit, published: Path) -> None:
    for place in ("index.html", "experiments/run-003.html"):
        visit.page.goto((published / place).as_uri())
        visit.page.evaluate("document.querySelectorAll('details.more').forEach(d => d.open = true)")
        texts = visit.page.evaluate(CONTRASTS)
        assert len(texts) > 50
        assert [(text, ratio) for text, ratio in texts if ratio < 4.5] == []
        for width in (1280, 390):
            visit.page.set_viewport_size({"width": width, "height": 900})
            over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert visit.page.evaluate(over) == 0


def test_numbers_end_on_one_line(visit: Visit) -> None:
    edges = visit.page.evaluate("""() => [...document.querySelectorAll('tbody tr')].slice(0, 40).map(row =>
      [...row.querySelectorAll('td.n:not([hidden])')].map(cell => {
        const range = document.createRange(); range.selectNodeContents(cell);
        return Math.round(range.getBoundingClientRect().right); }))""")
    assert len({tuple(line) for line in edges}) == 1
    assert len(edges[0]) == 3
