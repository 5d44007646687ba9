"""One parser for every face: verbs, their help, their options, and what is wrong with a line."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from nbexp import commands, events
from nbexp.commands import Outcome, Text
from nbexp.errors import ProjectFileError, UsageError

VERBS = commands.all_names()
FAMILIES = [name for name in commands.names() if commands.words(name)]


def execute(*argv: str, prog: str = "nbexp", folder: Path | None = None) -> Outcome:
    directory = None if folder is None else str(folder)
    return commands.execute(argv, events.ignore, prog=prog, directory=directory)


def refused(*argv: str, folder: Path | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        execute(*argv, folder=folder)
    assert caught.value.exit_code == 2
    return str(caught.value)


# --- Help ---------------------------------------------------------------------------------------

GUIDE = """\
Experiment versioning for notebooks: every run becomes a Git experiment.

  %exp init train.ipynb             make a project of a notebook with a parameters cell
  %exp run -S train.lr=0.01         run it with another value, and record it
  %exp show                         compare what was recorded
  %exp apply NAME                   bring one back

commands:
  init       Make a project of this directory"""


def test_the_guide_is_one_screen_with_every_verb() -> None:
    text = str(execute("help", prog="%exp").result)
    assert text.startswith(GUIDE)
    assert text.endswith("`%exp help COMMAND` or `%exp COMMAND -h` has options and examples.\n")
    assert len(text.splitlines()) <= 60
    *_, as_in_dvc, _, _ = text.splitlines()
    assert as_in_dvc == "  as in DVC  stage, dag, params, metrics, plots, data, remote, config"
    for verb in commands.names():
        assert re.search(rf"^  {verb} +[A-Z]", text, re.MULTILINE) or verb in re.split(
            r"[, ]+", as_in_dvc
        )
    assert str(execute().result) == str(execute("--help").result)
    assert str(execute("-h").result).replace("nbexp", "%exp") == text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_examples(verb: str) -> None:
    text = str(execute(*verb.split(), "-h").result)
    assert text.startswith(f"usage: nbexp {verb} ")
    assert f"\nexamples:\n  nbexp {verb}" in text
    assert "  -q, --quiet" in text
    assert "  --cd DIR" in text
    assert str(execute("help", *verb.split()).result) == text


@pytest.mark.parametrize("verb", VERBS)
def test_help_in_a_cell_has_the_words_of_a_cell(verb: str) -> None:
    text = str(execute("help", *verb.split(), prog="%exp").result)
    assert text.startswith(f"usage: %exp {verb} ")
    assert f"\nexamples:\n  %exp {verb}" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_example_is_a_line_that_the_parser_takes(verb: str) -> None:
    text = str(execute(*verb.split(), "-h").result)
    lines = [line.strip() for line in text.partition("\nexamples:\n")[2].splitlines()]
    parser = commands.parser(verb)
    for line in lines:
        words = re.split(r"\s{2,}| > ", line)[0].split()
        assert words[:1] == ["nbexp"], line
        end = 2 + verb.count(" ")
        assert commands.load(" ".join(words[1:end])) is commands.load(verb), line
        parser.parse_args(words[end:])


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_it_does(verb: str) -> None:
    hidden = "==SUPPRESS=="
    for action in commands.parser(verb)._actions:
        assert action.help, f"{verb}: {action.option_strings or action.dest}"
        assert action.help == hidden or not action.help.endswith(".")


def test_a_family_lists_its_verbs() -> None:
    assert "stage" in FAMILIES
    for family in FAMILIES:
        text = str(execute(family, "-h", prog="%exp").result)
        assert text.startswith(f"usage: %exp {family} COMMAND\n")
        assert text.endswith(f"`%exp {family} COMMAND -h` has options and examples.\n")
        if not hasattr(commands.load(family), "default"):
            assert str(execute(family, prog="%exp").result) == text
        assert str(execute("help", family, prog="%exp").result) == text
        for word in commands.words(family):
            summary = commands.summary_of(f"{family} {word}")
            assert re.search(rf"^  {word} +{re.escape(summary)}$", text, re.MULTILINE)


def test_a_family_may_mean_one_of_its_verbs(pipeline_project: object) -> None:
    folder = pipeline_project()  # type: ignore[operator]
    assert execute("cache", folder=folder).verb == "cache list"
    assert execute("cache", "--orphans", "--json", folder=folder).verb == "cache list"
    with pytest.raises(UsageError, match="There is no command `cache lst`"):
        execute("cache", "lst", folder=folder)


def test_an_alias_is_a_familys_verb_as_well(pipeline_project: object) -> None:
    folder = pipeline_project()  # type: ignore[operator]
    assert commands.load("stage ls") is commands.load("stage list")
    assert execute("stage", "ls", "--name-only", folder=folder).verb == "stage list"


def test_an_alias_is_its_verb() -> None:
    assert commands.load("ls") is commands.load("list")
    assert commands.load("rm") is commands.load("remove")
    assert execute("ls", "-h").verb == "help"


def test_the_version_is_told() -> None:
    for word in ("--version", "-V"):
        assert re.fullmatch(r"nbexp \d+\.\d+\.\d+\n", str(execute(word).result))


# --- What is wrong with a line ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "near"),
    [("rnu", "run"), ("shwo", "show"), ("lst", "list"), ("rmeove", "remove"), ("stauts", "status")],
)
def test_an_unknown_verb_names_the_nearest(typed: str, near: str) -> None:
    assert refused(typed) == f"There is no command `{typed}`.\nHint: did you mean `nbexp {near}`?"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stage lsit", "There is no command `stage lsit`.\nHint: did you mean `nbexp stage list`?"),
        ("stage xyzzy", "There is no command `stage xyzzy`.\nHint: `nbexp stage -h` lists what there is."),
        ("stage --all", "There is no command `stage --all`.\nHint: `nbexp stage -h` lists what there is."),
        ("help stage lsit", "There is no command `stage lsit`.\nHint: did you mean `nbexp stage list`?"),
        ("stage list --xyz", "There is no option `--xyz`. Nothing was done.\nHint: `nbexp stage list -h` has the options."),
    ],
)  # fmt: skip
def test_an_unknown_verb_of_a_family_names_the_nearest(line: str, said: str) -> None:
    assert refused(*line.split()) == said


def test_a_verb_that_is_like_none_names_the_help() -> None:
    assert refused("xyzzy") == (
        "There is no command `xyzzy`.\nHint: `nbexp help` lists what there is."
    )
    assert refused("help", "xyzzy").startswith("There is no command `xyzzy`.")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("run --nmae x", "There is no option `--nmae`. Nothing was done.\nHint: did you mean `--name`?"),
        ("run --name=x --forse", "There is no option `--forse`. Nothing was done.\nHint: did you mean `--force`?"),
        ("run --set-parm=lr=1", "There is no option `--set-parm`. Nothing was done.\nHint: did you mean `--set-param`?"),
        ("run --xxxxxxx", "There is no option `--xxxxxxx`. Nothing was done.\nHint: `nbexp run -h` has the options."),
        ("show --jsno", "There is no option `--jsno`. Nothing was done.\nHint: did you mean `--json`?"),
        ("show extra", "Unrecognized arguments: extra. Nothing was done.\nHint: `nbexp show -h` has the options."),
        ("run --nam x", "There is no option `--nam`. Nothing was done.\nHint: did you mean `--name`?"),
        ("apply", "The following arguments are required: EXPERIMENT. Nothing was done.\nHint: `nbexp apply -h` has the options."),
        ("plot", "The following arguments are required: NAME. Nothing was done.\nHint: `nbexp plot -h` has the options."),
        ("run -n", "Argument -n/--name: expected one argument. Nothing was done.\nHint: `nbexp run -h` has the options."),
        ("show --json --md", "Argument --md: not allowed with argument --json. Nothing was done.\nHint: `nbexp show -h` has the options."),
        *(
            (f"{command} 0", f"Argument {option}: `0` is no number above 0. Nothing was done.\nHint: `nbexp {verb} -h` has the options.")
            for verb, command, option in (
                ("run", "run -j", "-j/--jobs"),
                ("repro", "repro --jobs", "-j/--jobs"),
                ("status", "status -c -j", "-j/--jobs"),
                ("get", "get main x -j", "-j/--jobs"),
                ("data push", "data push -j", "-j/--jobs"),
                ("data gc", "data gc -w -j", "-j/--jobs"),
                ("data add", "data add x --to-remote --remote-jobs", "--remote-jobs"),
            )
        ),
        ("run -j two", "Argument -j/--jobs: `two` is no number above 0. Nothing was done.\nHint: `nbexp run -h` has the options."),
        ("run --cd nowhere", "There is no directory nowhere. Nothing was done.\nHint: `nbexp run --cd DIR` takes one that is there."),
    ],
)  # fmt: skip
def test_a_line_that_makes_no_command_is_explained(line: str, text: str, tmp_path: Path) -> None:
    assert refused(*line.split(), folder=tmp_path) == text


def test_nothing_is_printed_by_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    execute("run", "-h")
    refused("run", "--xyz")
    assert capsys.readouterr() == ("", "")


# --- Where it works -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [["status", "--cd", "project"], ["--cd", "project", "status"], ["status", "--cd=project"]],
)
def test_a_command_works_in_the_directory_it_is_told(
    words: list[str], pipeline_project: object, tmp_path: Path
) -> None:
    pipeline_project("project")  # type: ignore[operator]
    outcome = execute(*words, folder=tmp_path)
    assert outcome.verb == "status"
    assert sorted(outcome.result.to_json()) == ["prepare", "train"]  # type: ignore[attr-defined]


def test_the_verb_is_told_by_its_own_name(pipeline_project: object) -> None:
    folder = pipeline_project()  # type: ignore[operator]
    assert execute("ls", folder=folder).verb == "list"


def test_verbs_named_like_python_do_not_get_in_its_way(pipeline_project: object) -> None:
    """Loading the verbs `list` and `open` makes these names modules of `nbexp.commands`."""
    folder = pipeline_project()  # type: ignore[operator]
    for verb in VERBS:
        commands.load(verb)
    outcome = execute("list", "--json", folder=folder)
    assert commands.formatted(outcome) == "{}\n"
    assert commands.to_json({"a": [1, (2.5, math.nan)]}) == '{"a": [1, [2.5, null]]}'


# --- Shapes -------------------------------------------------------------------------------------


class Result:
    def to_json(self) -> object:
        return {
            "text": "é",
            "values": [math.nan, math.inf, -math.inf, 1.5],
            3: {"deep": (math.nan,)},
        }

    def to_markdown(self) -> str:
        return "| a |\n"

    def to_csv(self) -> str:
        return "a,b\n"


def test_json_is_strict_and_readable() -> None:
    text = commands.to_json(Result())
    assert text == '{"text": "é", "values": [null, null, null, 1.5], "3": {"deep": [null]}}'
    assert json.loads(text)["values"][3] == 1.5


def test_a_result_is_formatted_as_it_was_asked_for() -> None:
    assert commands.formatted(Outcome("x", Result(), "text")) is None
    assert commands.formatted(Outcome("x", Result(), "md")) == "| a |\n"
    assert commands.formatted(Outcome("x", Result(), "csv")) == "a,b\n"
    assert (commands.formatted(Outcome("x", Result(), "json")) or "").endswith("}\n")
    assert str(Text("a\n")) == "a\n"


# --- Hints that need the face -------------------------------------------------------------------


def test_a_file_that_cannot_be_read_gets_a_hint_whoever_found_it(
    pipeline_project: object,
) -> None:
    folder = pipeline_project()  # type: ignore[operator]
    (folder / "dvc.yaml").write_text("stages: 3\n")
    with pytest.raises(ProjectFileError) as caught:
        execute("run", folder=folder)
    assert caught.value.hint == (
        "correct line 1 of dvc.yaml; `git diff dvc.yaml` shows what changed since the last commit."
    )
