"""The documentation says what is there, and what it shows is what comes out."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

import nbexp
from nbexp import commands, settings
from nbexp.project import Experiment, Project

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_ext"))

import blocks  # noqa: E402  # found through the line above
import generated  # noqa: E402
import readme  # noqa: E402

PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if not path.relative_to(DOCS).parts[0].startswith("_")
)
RUN = [page for page in PAGES if blocks.read(DOCS / page).steps]


def page(name: str) -> str:
    """A page with what is generated in it."""
    return generated.expand((DOCS / name).read_text(encoding="utf-8"))


def sections(text: str, level: int = 2) -> dict[str, str]:
    """What stands below each heading of a level."""
    parts = re.split(rf"^{'#' * level} (.+)$", text, flags=re.MULTILINE)
    return {title.strip(): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}


# --- Nothing is missing -------------------------------------------------------------------------


def test_every_verb_option_and_argument_has_an_entry() -> None:
    entries = sections(page("reference/commands.md"))
    missing = []
    for verb in commands.all_names():
        entry = entries.get(verb, "")
        if not entry:
            missing.append(verb)
        for word, meaning in generated.option_words(verb).items():
            if not meaning or f"`{word}" not in entry:
                missing.append(f"{verb} {word}")
    for alias, verb in commands.ALIASES.items():
        if f"`nbexp {alias}`" not in entries.get(verb, ""):
            missing.append(f"{alias} for {verb}")
    assert missing == []


def test_every_verb_shows_examples() -> None:
    entries = sections(page("reference/commands.md"))
    assert [verb for verb in commands.all_names() if "Examples:" not in entries[verb]] == []


def test_every_error_setting_event_and_exit_code_has_an_entry() -> None:
    errors = sections(page("reference/errors.md"))
    found = sections(page("reference/settings.md"))
    events = page("reference/events.md")
    codes = page("reference/exit-codes.md")
    missing = [name for name in generated.error_names() if name not in errors]
    missing += [name for name in settings.Settings.__dataclass_fields__ if name not in found]
    missing += [name for name in generated.event_names() if f"| `{name}` |" not in events]
    used = {getattr(nbexp.errors, name).exit_code for name in generated.error_names()}
    missing += [str(code) for code in sorted(used | {0}) if f"| {code} |" not in codes]
    assert missing == []


def test_every_public_name_of_the_package_has_an_entry() -> None:
    text = page("reference/python.md")
    missing = [name for name in nbexp.__all__ if f"nbexp.{name}" not in text]
    for cls in (Project, Experiment):
        for name, value in vars(cls).items():
            is_told = not name.startswith("_") and name != "to_json" and callable(value)
            if is_told and f"### {cls.__name__.lower()}.{name}\n" not in text:
                missing.append(f"{cls.__name__}.{name}")
    for home, cls, at in generated.FAMILIES:
        public = [name for name in vars(generated.public(home, cls)) if not name.startswith("_")]
        missing += [f"{at}.{name}" for name in public if f"### {at}.{name}\n" not in text]
    for home, name in generated.RESULTS:
        if not (generated.public(home, name).__doc__ or "").strip():
            missing.append(name)
    assert missing == []


def test_no_page_names_a_verb_that_does_not_exist() -> None:
    known = {*commands.names(), *commands.ALIASES, "help", "VERB", "COMMAND", "best"}
    typed = re.compile(r"(?:`nbexp|^\$ nbexp|%exp) ([a-zA-Z]+)", re.MULTILINE)
    wrong = [
        f"{name}: {verb}"
        for name in [*PAGES, "../README.md", "../CONTRIBUTING.md"]
        for verb in typed.findall(page(name))
        if verb not in known
    ]
    # Shown as what somebody mistyped.
    assert wrong == ["reference/exit-codes.md: shwo"]


@pytest.mark.parametrize("verb", commands.all_names())
def test_the_examples_in_a_verbs_help_are_accepted(verb: str) -> None:
    _, examples = commands.help_of(commands.load(verb))
    lines = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    assert lines
    for line in lines:
        typed = re.split(r"\s{2,}", line)[0]
        words = shlex.split(typed.partition(" > ")[0])
        assert words[:1] == ["nbexp"]
        end = 2 + verb.count(" ")
        assert commands.load(" ".join(words[1:end])) is commands.load(verb)
        commands.parser(verb).parse_args(words[end:])


def test_no_page_holds_a_path_of_this_machine() -> None:
    texts = [(DOCS / name).read_text(encoding="utf-8") for name in PAGES]
    texts.append(readme.README.read_text(encoding="utf-8"))
    path = re.compile(rf"{re.escape(str(ROOT))}|(?<!\w)/(?:tmp|home|root)/\w")
    assert [found[0] for text in texts if (found := path.search(text))] == []


def test_what_is_generated_points_to_nothing_outside_of_the_documentation() -> None:
    notes = re.compile(r"\b(?:decisions|execution|formats|jupyter|performance|product|style)\.md\b")
    assert [name for name in PAGES if notes.search(page(name))] == []


def test_the_readme_has_every_cell_of_the_demo_in_order() -> None:
    book = json.loads((blocks.EXAMPLES / readme.EXAMPLE / "lab.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell.source for cell in readme.cells(readme.README.read_text("utf-8"))] == cells


def test_the_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", readme.README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


# --- What is shown is what comes out: slow, as kernels run --------------------------------------


class TestPages:
    @pytest.mark.parametrize("name", RUN)
    def test_the_commands_of_a_page_do_what_it_shows(self, name: str, tmp_path: Path) -> None:
        found = blocks.problems(blocks.run(blocks.read(DOCS / name), tmp_path))
        if found:
            pytest.fail("\n\n".join([f"docs/{name}", *found]), pytrace=False)

    def test_the_readme_shows_what_the_demo_shows(self, tmp_path: Path) -> None:
        demo = readme.journey(tmp_path)
        for cell in readme.cells(readme.README.read_text(encoding="utf-8")):
            if cell.shown is not None and not blocks.matches(cell.shown, demo.shown[cell.source]):
                pytest.fail(
                    f"README.md, line {cell.first}: {cell.source}\n--- the page\n{cell.shown}\n"
                    f"--- what came\n{demo.shown[cell.source]}",
                    pytrace=False,
                )
        kept = readme.PICTURE.read_text(encoding="utf-8")
        assert readme.labels(kept) == readme.labels(demo.picture)
        assert {"acc", "step", "dusty-crow", "mauve-pike"} <= set(readme.labels(kept))
        assert readme.lines_drawn(kept) == readme.lines_drawn(demo.picture) == 2
        assert "](docs/_static/journey.svg)" in readme.README.read_text(encoding="utf-8")


# --- How it is compared -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "output", "is_match"),
    [
        ("done in 2.9 s", "done in 12.4 s\n", True),
        ("done in 2.9 s", "done in 2.9 min\n", False),
        ("main  10:04  0.9", "main  23:59  0.9", True),
        ("baseline 4f2c1e9", "baseline 0123abc", True),
        ("baseline 4f2c1e9", "baseline 0123abcd", False),
        ("acc  0.945", "acc  0.875", False),
        ("in ... is", "in /a/b is\n", True),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...\nd", "a\nd\n", True),
        ("a\n...\nd", "a\nb\n", False),
        ("", "\n", True),
        ("", "something\n", False),
        ("a  ", "a\n\n", True),
        ("x (y) [z]* $", "x (y) [z]* $", True),
    ],
)
def test_an_output_matches_by_kind(shown: str, output: str, is_match: bool) -> None:
    assert blocks.matches(shown, output) is is_match


def test_a_page_is_read_as_one_session(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text(
        "# A page\n<!-- project: empty -->\n<!-- hidden\n$ x=5\n-->\n"
        "```{code-block} text\n:caption: sub/a.txt\n\nhello\n```\n"
        "```console\n$ cat sub/a.txt\nhello\n$ echo $x \\\n> $x\n5 5\n$ false\n$ echo $?\n1\n```\n"
        "````text\n```console\n$ never\n```\n````\n"
    )
    read = blocks.read(written)
    assert [step.text for step in read.steps] == [
        "x=5", "hello\n", "cat sub/a.txt", "echo $x \\\n$x", "false", "echo $?",
    ]  # fmt: skip
    assert blocks.problems(blocks.run(read, tmp_path / "a")) == []


def test_a_failure_that_a_page_does_not_show_is_a_problem(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text("```console\n$ false\n$ echo one\ntwo\n```\n")
    found = blocks.problems(blocks.run(blocks.read(written), tmp_path / "a"))
    assert [problem.splitlines()[1] for problem in found] == ["exit code 1", "--- the page"]
