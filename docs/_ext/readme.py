"""The journey in README.md: its cells and outputs are those of the demo, and so is its picture.

A ```` ```python ```` block whose first line begins with `%` is a cell of the first example's lab notebook; the
```` ```text ```` block below it is what the cell shows, compared by the rules of `blocks`.

`python docs/_ext/readme.py` runs the demo, puts what it shows into README.md where it differs, and draws the
picture anew.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import blocks

README = blocks.ROOT / "README.md"
PICTURE = blocks.ROOT / "docs" / "_static" / "journey.svg"
EXAMPLE, LAB = "first-notebook", "lab.executed.ipynb"


@dataclass(frozen=True)
class Cell:
    """A cell of the README: what is typed, what it shows (None: nothing), the lines that hold that."""

    source: str
    shown: str | None
    first: int = 0
    last: int = 0


@dataclass(frozen=True)
class Journey:
    """What the demo made: the text that each code cell shows, by source, and the picture."""

    shown: Mapping[str, str]
    picture: str


def cells(text: str) -> list[Cell]:
    """The cells of the README, in order."""
    lines = text.splitlines()
    found: list[Cell] = []
    number = 0
    while number < len(lines):
        language = re.fullmatch(r"```(\w*)", lines[number])
        number += 1
        if language is None:
            continue
        end = lines.index("```", number)
        body = "\n".join(lines[number:end])
        if language[1] == "python" and body.startswith("%"):
            found.append(Cell(body, None))
        elif language[1] == "text" and found and found[-1].shown is None:
            found[-1] = Cell(found[-1].source, body, number, end)
        number = end + 1
    return found


def journey(folder: Path) -> Journey:
    """Run the demo below `folder`, and draw its plot."""
    environment = blocks.environment(folder / "home")
    project = folder / "demo"
    for words in (
        ["demo", "--quiet", str(project), "--example", EXAMPLE],
        ["plot", "--quiet", "--cd", str(project), "acc", "--out", str(folder / "journey.svg")],
    ):
        subprocess.run([sys.executable, "-m", "nbexp.cli", *words], env=environment, check=True)
    book = json.loads((project / LAB).read_text(encoding="utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    return Journey(
        {"".join(cell["source"]): _result(cell["outputs"]) for cell in code},
        (folder / "journey.svg").read_text(encoding="utf-8"),
    )


def labels(picture: str) -> list[str]:
    """The words and numbers in an SVG: what it says, whatever fonts it was drawn with."""
    return sorted(re.findall(r"<text[^>]*>([^<]+)</text>", picture))


def lines_drawn(picture: str) -> int:
    """How many lines an SVG has that the chart calls line marks."""
    return len(re.findall(r'aria-roledescription="line mark"', picture))


def _result(outputs: Sequence[Mapping[str, object]]) -> str:
    """The last output that is a result, else what was printed."""
    results = [output for output in outputs if output["output_type"] != "stream"]
    if not results:
        return "".join("".join(_strings(output["text"])) for output in outputs)
    if results[-1]["output_type"] == "error":
        return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(_strings(results[-1]["traceback"])))
    data = results[-1]["data"]
    assert isinstance(data, Mapping)
    return "".join(_strings(data["text/plain"]))


def _strings(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value]  # type: ignore[attr-defined]


def main() -> int:
    """Bring README.md and its picture up to date."""
    with tempfile.TemporaryDirectory() as folder:
        made = journey(Path(folder))
        if not PICTURE.exists() or labels(PICTURE.read_text()) != labels(made.picture):
            shutil.copy(Path(folder) / "journey.svg", PICTURE)
    text = README.read_text(encoding="utf-8")
    lines = text.splitlines()
    for cell in reversed(cells(text)):
        if cell.shown is not None and not blocks.matches(cell.shown, made.shown[cell.source]):
            lines[cell.first : cell.last] = blocks.lines_of(made.shown[cell.source])
    README.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
