"""`init` with a command: the stage, the questions, and what is made, as DVC 2.58 had it.

The expected files are what `dvc exp init` of DVC 2.58.2 wrote for the same words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nbexp import project as projects
from nbexp.errors import ProjectFileError, UsageError
from nbexp.experiments.guided import Setup, StageWritten

Run = Callable[..., object]

DEFAULT = """\
stages:
  train:
    cmd: python src/train.py
    deps:
    - data
    - src
    params:
    - params.yaml:
    outs:
    - models
    metrics:
    - metrics.json:
        cache: false
    plots:
    - plots:
        cache: false
"""
CHECKPOINT = """\
stages:
  two:
    cmd: python x.py
    deps:
    - d.csv
    - src
    params:
    - conf/p.json:
    outs:
    - m/model.pkl:
        checkpoint: true
    metrics:
    - logs/metrics.json:
        cache: false
        persist: true
    plots:
    - logs/plots:
        cache: false
        persist: true
"""
EXPLICIT = """\
stages:
  three:
    cmd: python y.py
    metrics:
    - m.json:
        cache: false
"""


def made(folder: Path, given: Mapping[str, str], **options: object) -> StageWritten:
    return projects.setup(str(folder), given, **options).answer({})


def test_a_command_alone_takes_the_assumed_layout(tmp_path, git):
    written = made(tmp_path, {"cmd": "python src/train.py"})
    assert (tmp_path / "dvc.yaml").read_text() == DEFAULT
    assert (tmp_path / ".gitignore").read_text() == "/models\n"
    assert (tmp_path / "params.yaml").read_bytes() == b""
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir() and p.name[0] != ".") == [
        "data",
        "models",
        "plots",
        "src",
    ]
    assert written.created == ("src/", "data/", "params.yaml", "models/", "plots/")
    assert written.outs == ("metrics.json", "models", "plots")
    assert git("log", "--format=%s", cwd=tmp_path) == "nbexp: track python src/train.py"
    assert git("status", "--porcelain", cwd=tmp_path) == ""


def test_a_checkpoint_stage_with_live(tmp_path):
    given = {
        "cmd": "python x.py",
        "data": "d.csv",
        "live": "logs",
        "models": "m/model.pkl",
        "params": "conf/p.json",
    }
    made(tmp_path, given, name="two", kind="checkpoint")
    assert (tmp_path / "dvc.yaml").read_text() == CHECKPOINT.replace(
        "    - logs/metrics.json:", "    - logs/metrics.json:"
    )
    assert (tmp_path / "m" / ".gitignore").read_text() == "/model.pkl\n"
    assert (tmp_path / "conf" / "p.json").exists()


def test_explicit_leaves_out_what_is_not_said(tmp_path):
    made(tmp_path, {"cmd": "python y.py", "metrics": "m.json"}, name="three", explicit=True)
    assert (tmp_path / "dvc.yaml").read_text() == EXPLICIT


def test_live_takes_the_place_of_metrics_and_plots(tmp_path):
    written = made(tmp_path, {"cmd": "python x.py", "live": "dvclive"})
    assert written.outs == ("dvclive/metrics.json", "dvclive/plots", "models")


def test_the_configuration_has_other_defaults(tmp_path, git):
    git("init", "--quiet", cwd=tmp_path)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[exp]\n    code = lib\n    models = weights.pt\n")
    setup = projects.setup(str(tmp_path))
    assert setup.defaults["code"] == "lib"
    assert setup.defaults["models"] == "weights.pt"
    assert setup.defaults["data"] == "data"


def test_in_a_sub_directory_the_stage_is_there(tmp_path, git):
    git("init", "--quiet", cwd=tmp_path)
    (tmp_path / "sub").mkdir()
    written = made(tmp_path / "sub", {"cmd": "sh run.sh"})
    assert written.file == "sub/dvc.yaml"
    assert (tmp_path / "sub" / ".gitignore").read_text() == "/models\n"
    assert (tmp_path / "sub" / "data").is_dir()


def test_a_stage_of_that_name_is_not_replaced_unasked(tmp_path):
    made(tmp_path, {"cmd": "python src/train.py"})
    with pytest.raises(UsageError) as refused:
        made(tmp_path, {"cmd": "other"})
    assert refused.value.message == "Stage `train` already exists in dvc.yaml. Nothing was written."
    assert (tmp_path / "dvc.yaml").read_text() == DEFAULT
    made(tmp_path, {"cmd": "other"}, force=True)
    assert "cmd: other\n" in (tmp_path / "dvc.yaml").read_text()


def test_an_output_of_another_stage_is_refused(tmp_path):
    made(tmp_path, {"cmd": "python src/train.py"})
    with pytest.raises(UsageError) as refused:
        made(tmp_path, {"cmd": "other", "models": "models/second"}, name="second")
    assert refused.value.message == (
        "`models/second` is an output of stage `train` already. Nothing was written."
    )
    assert (tmp_path / "dvc.yaml").read_text() == DEFAULT


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cmd": "x", "models": "../out"},
        {"cmd": "x", "models": "/abs"},
        {"cmd": "x", "params": "."},
        {"cmd": "x", "code": "models"},
        {"cmd": "x", "metrics": "models/m.json"},
    ],
)
def test_what_cannot_be_writes_nothing(tmp_path, given):
    with pytest.raises((UsageError, ProjectFileError)):
        made(tmp_path, given)
    assert list(tmp_path.iterdir()) == []


def test_the_stage_is_what_dvc_writes(tmp_path, dvc, git):
    folder = tmp_path / "dvc"
    folder.mkdir()
    git("init", "--quiet", cwd=folder)
    dvc("init", "--quiet", cwd=folder)
    for name in ("src", "data"):
        (folder / name).mkdir()
    (folder / "params.yaml").write_text("")
    dvc(
        *"stage add -n train -d src -d data -p params.yaml: -o models -M metrics.json".split(),
        *"--plots-no-cache plots python src/train.py".split(),
        cwd=folder,
    )
    assert (folder / "dvc.yaml").read_text() == DEFAULT


# --- The questions --------------------------------------------------------------------------------


class Answers:
    """A pipe with answers in it."""

    is_person = False

    def __init__(self, *lines: str, is_person: bool = False) -> None:
        self.lines = list(lines)
        self.is_person = is_person
        self.asked: list[str] = []
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def ask(self, question: str) -> str:
        self.asked.append(question)
        if not self.lines:
            raise EOFError
        return self.lines.pop(0)


def setup(folder: Path, given: Mapping[str, str] | None = None, **options: bool) -> Setup:
    return projects.setup(str(folder), given or {}, **options)


def test_seven_questions_in_their_order(tmp_path):
    asker = Answers("python src/train.py", "", "", "", "", "", "")
    setup(tmp_path).converse(asker)
    assert asker.asked == [
        "Command to run: ",
        "Code, a file or folder [src, n to omit]: ",
        "Data, a file or folder [data, n to omit]: ",
        "Model, a file or folder [models, n to omit]: ",
        "Params file [params.yaml, n to omit]: ",
        "Metrics file [metrics.json, n to omit]: ",
        "Plots, a file or folder [plots, n to omit]: ",
    ]
    assert (tmp_path / "dvc.yaml").read_text() == DEFAULT


def test_n_leaves_a_line_out(tmp_path):
    setup(tmp_path).converse(Answers("python y.py", "n", "N", "n", "n", "m.json", "n"))
    assert (tmp_path / "dvc.yaml").read_text() == EXPLICIT.replace("three", "train")


def test_what_is_given_is_not_asked(tmp_path):
    asker = Answers("", "", "")
    setup(tmp_path, {"cmd": "x", "live": "logs", "data": "d.csv"}).converse(asker)
    assert [question.split()[0] for question in asker.asked] == ["Code,", "Model,", "Params"]


def test_a_person_is_told_the_layout(tmp_path):
    asker = Answers("x", "", "", "", "", "", "", is_person=True)
    setup(tmp_path).converse(asker)
    assert asker.said[0].splitlines()[2:8] == [
        "├── data           data that the command reads",
        "├── metrics.json   metrics that it writes",
        "├── models         models that it writes",
        "├── params.yaml    params that it reads",
        "├── plots          plots that it writes",
        "└── src            code",
    ]


def test_an_answer_that_cannot_be_is_asked_for_again(tmp_path):
    (tmp_path / "conf").mkdir()
    asker = Answers("", "", "x", "n", "n", "n", "conf", "conf.yaml", "n", "n", is_person=True)
    written = setup(tmp_path).converse(asker)
    assert asker.said[1:] == ["`conf` is a folder; the params are in a file."]
    assert written.definition == {"cmd": "x", "params": [{"conf.yaml": None}]}


@pytest.mark.parametrize("lines", [(), ("python x.py", "src")])
def test_where_nobody_answers_one_line_says_so(tmp_path, lines):
    with pytest.raises(UsageError) as refused:
        setup(tmp_path).converse(Answers(*lines))
    assert str(refused.value).count("\n") == 1
    assert refused.value.hint == (
        "give the answers as options: `nbexp init 'python src/train.py' --data data`."
    )
    assert list(tmp_path.iterdir()) == []


# --- The command line -----------------------------------------------------------------------------


def test_words_and_options_of_the_command_line(tmp_path, nbexp_cli):
    nbexp_cli("init", "python", "src/train.py", cwd=tmp_path)
    assert (tmp_path / "dvc.yaml").read_text() == DEFAULT
    nbexp_cli(
        *"init -f -n train --explicit --code a.py --data b --params p.json --metrics m --plots q".split(),
        "--models",
        "w",
        "python a.py --fast 'two words'",
        cwd=tmp_path,
    )
    assert (tmp_path / "dvc.yaml").read_text() == (
        "stages:\n  train:\n    cmd: python a.py --fast 'two words'\n    deps:\n    - a.py\n    - b\n"
        "    params:\n    - p.json:\n    outs:\n    - w\n    metrics:\n    - m:\n        cache: false\n"
        "    plots:\n    - q:\n        cache: false\n"
    )


def test_answers_may_be_piped_in(tmp_path, nbexp_cli):
    nbexp_cli("init", "-i", cwd=tmp_path, stdin="python src/train.py\n\n\n\n\n\n\n")
    assert (tmp_path / "dvc.yaml").read_text() == DEFAULT


def test_without_a_terminal_and_answers_nothing_is_done(tmp_path, nbexp_cli):
    ran = nbexp_cli("init", "-i", cwd=tmp_path, code=2)
    assert (
        "`nbexp init -i` asks on a terminal or in a notebook, and nobody answers here."
        in ran.stderr
    )
    assert list(tmp_path.iterdir()) == []


def test_the_questions_as_json(tmp_path, nbexp_cli):
    asked = json.loads(nbexp_cli("init", "-i", "--json", cwd=tmp_path).stdout)
    assert asked["questions"] == {
        "cmd": None,
        "code": "src",
        "data": "data",
        "models": "models",
        "params": "params.yaml",
        "metrics": "metrics.json",
        "plots": "plots",
    }


def test_a_stage_of_a_command_runs(tmp_path, nbexp_cli, git):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.sh").write_text(
        "mkdir -p models plots\necho 1 > models/m\necho '{\"acc\": 1}' > metrics.json\n"
        "printf 'x,y\\n1,2\\n' > plots/p.csv\n"
    )
    nbexp_cli("init", "sh src/train.sh", cwd=tmp_path)
    assert json.loads(nbexp_cli("run", "--json", cwd=tmp_path).stdout)["metrics"] == {"acc": 1}


def test_a_command_and_the_detector_exclude_each_other(tmp_path, nbexp_cli):
    ran = nbexp_cli("init", "--detect", "python x.py", cwd=tmp_path, code=2)
    assert "`--detect` looks at all that is here" in ran.stderr
