"""`%%exp` in a shell of this process: what it records, what it refuses, what stays as it was."""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import nbexp
from nbexp import live
from nbexp.commands import Text
from nbexp.errors import Interrupted, NameTaken, NbexpError, StageFailed, UsageError
from nbexp.jupyter import cell_magic, completion
from nbexp.project import Experiment


class Session:
    """Runs cells as a notebook does."""

    def __init__(self) -> None:
        quiet = Config()
        quiet.HistoryManager.enabled = False
        new: Any = InteractiveShell  # IPython types some of its methods and not others
        self.shell = new(config=quiet)
        self.said = ""

    @property
    def names(self) -> dict[str, Any]:
        found: dict[str, Any] = self.shell.user_ns
        return found

    def run(self, *cells: str) -> Any:
        """The value of the last cell; raises what it raised."""
        result: Any = None
        for cell in cells:
            with capture_output() as shown:
                result = self.shell.run_cell(cell, store_history=True)
            self.said = shown.stdout
            if result.error_before_exec is not None:
                raise result.error_before_exec
            if result.error_in_exec is not None:
                raise result.error_in_exec
        return result.result


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    # What the shell replaces in this process is put back.
    monkeypatch.setattr(sys, "displayhook", sys.displayhook)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delattr(builtins, "_", raising=False)
    found = Session()
    yield found
    found.shell.restore_sys_module_state()


@pytest.fixture
def project(pipeline_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    root = pipeline_project()
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def loaded(session: Session, project: Path) -> Session:
    session.run("%load_ext nbexp")
    return session


def recorded(path: str, name: str) -> bytes:
    with_cell = nbexp.open()
    try:
        return with_cell.read(name, path)
    finally:
        with_cell.close()


def cell_of(name: str) -> dict[str, Any]:
    """The cell itself in the notebook that an experiment has of it."""
    cells = json.loads(recorded("cell/cell.ipynb", name))["cells"]
    found: dict[str, Any] = next(cell for cell in cells if cell["id"] == "cell")
    return found


def shown_by(name: str) -> list[dict[str, Any]]:
    cells = json.loads(recorded("cell/run.ipynb", name))["cells"]
    found: list[dict[str, Any]] = next(cell for cell in cells if cell["id"] == "cell")["outputs"]
    return found


# ---- what is recorded


def test_a_dict_is_its_metrics_and_a_param_is_lent(loaded: Session) -> None:
    made = loaded.run(
        "%%exp -n try-momentum\n"
        "momentum = 0.9\n"
        "acc = 0.95 - abs(lr - 0.03) * (1 - momentum)\n"
        '{"acc": round(acc, 4)}'
    )
    assert isinstance(made, Experiment)
    assert (made.name, made.metrics["acc"]) == ("try-momentum", 0.943)
    assert loaded.names["momentum"] == 0.9  # what the cell defines is the session's
    assert "lr" not in loaded.names  # what is lent is not
    assert loaded.names["_"] is made
    lines = str(made).splitlines()
    assert lines[0].startswith("try-momentum   done in ")
    assert [line.strip() for line in lines[1:]] == [
        "acc       0.943",
        "params    lr=0.1 (params.yaml)",
        "notebook  nbexp open try-momentum",
        "again     nbexp rerun try-momentum",
    ]


def test_nothing_of_the_users_changes(
    loaded: Session, project: Path, git: Callable[..., str]
) -> None:
    (project / "params.yaml").write_text(
        (project / "params.yaml").read_text().replace("0.1", "0.05")
    )
    (project / "new.txt").write_text("staged\n")
    git("add", "new.txt", cwd=project)

    def state() -> list[object]:
        kept = sorted(
            (path.as_posix(), path.read_bytes())
            for path in project.rglob("*")
            if path.is_file() and ".git/" not in path.as_posix() and ".dvc/" not in path.as_posix()
        )
        index = (project / ".git" / "index").read_bytes()
        return [
            kept,
            index,
            git("rev-parse", "HEAD", cwd=project),
            git("stash", "list", cwd=project),
        ]

    before = state()
    made = loaded.run("%%exp\n{'lr': lr}")
    assert state() == before
    # The edits and what is staged are part of the experiment.
    assert made.metrics["lr"] == 0.05
    assert recorded("new.txt", made.name) == b"staged\n"
    assert git("rev-parse", f"{made.rev}^", cwd=project) == git("rev-parse", "HEAD", cwd=project)


def test_what_it_reads_is_recorded_with_type_and_value(loaded: Session) -> None:
    loaded.run(
        "import math\nsize = 3\nnames = ('a', 'b')\ntable = object()\n"
        "def area(r):\n    return math.pi * r * size"
    )
    made = loaded.run("%%exp -n reads\n{'area': area(2), 'n': len(names)}\n")
    assert cell_of("reads")["metadata"]["nbexp"]["reads"] == {
        "area": {"kind": "code", "type": "function"},
        "math": {"kind": "code", "type": "module"},
        "names": {"kind": "value", "type": "tuple", "repr": "('a', 'b')"},
        "size": {"kind": "value", "type": "int", "repr": "3"},
    }
    assert made.cell.lacking == ()
    first, earlier, *_ = json.loads(recorded("cell/cell.ipynb", "reads"))["cells"]
    assert "names = ('a', 'b')" in "".join(first["source"]).splitlines()
    assert "".join(earlier["source"]) == (
        "import math\n\ndef area(r):\n    return math.pi * r * size"
    )


def test_params_are_taken_from_the_session_and_from_the_cell(loaded: Session) -> None:
    loaded.run("batch = 32")
    made = loaded.run("%%exp -n params -P batch,momentum,epochs\nmomentum = 0.9\n{'acc': batch}")
    assert recorded("cell/params.yaml", "params") == b"batch: 32\nmomentum: 0.9\n"
    assert {key: made.params[key] for key in ("batch", "momentum", "train.epochs")} == {
        "batch": 32,
        "momentum": 0.9,
        "train.epochs": 3,
    }
    again = loaded.run("%%exp -P train.lr\nlr")
    assert ("Out[4]: 0.1\n" in loaded.said, "lr" in loaded.names) == (True, False)
    assert again.cell.params[0].origin == "params.yaml:train.lr"


def test_a_param_that_is_asked_for_goes_before_a_variable_and_gives_it_back(
    loaded: Session,
) -> None:
    loaded.run("lr = 7")
    assert loaded.run("%%exp -P train.lr\n{'lr': lr}").metrics["lr"] == 0.1
    assert loaded.names["lr"] == 7


def test_a_lent_param_that_the_cell_assigns_stays(loaded: Session) -> None:
    loaded.run("%%exp\nlr = lr * 2")
    assert loaded.names["lr"] == 0.2


def test_logged_values_are_metrics_and_a_curve_apart_from_the_projects(
    loaded: Session, project: Path
) -> None:
    made = loaded.run(
        "%%exp -n logs\nfrom nbexp import live\nfor i in range(3):\n    live.log(loss=1 / (i + 1))"
    )
    assert made.metrics["loss"] == 1 / 3
    assert not (project / "dvclive").exists()
    with_curve = nbexp.open()
    (series,) = with_curve.plot("loss", "logs").series
    with_curve.close()
    assert series.steps == (0, 1, 2)
    # The next cell begins anew.
    assert loaded.run("%%exp\nlive.log(loss=5.0)").metrics["loss"] == 5.0
    assert "NBEXP_LIVE_DIR" not in os.environ


def test_a_live_object_writes_neither_dvc_yaml_nor_an_experiment_of_its_own(
    loaded: Session, project: Path
) -> None:
    before = (project / "dvc.yaml").read_bytes()
    made = loaded.run(
        "%%exp -n live\nfrom nbexp import Live\nwith Live() as log:\n"
        "    log.log_param('depth', 3)\n    log.log(acc=0.5)"
    )
    assert (made.metrics["acc"], made.params["depth"]) == (0.5, 3)
    assert (project / "dvc.yaml").read_bytes() == before
    with_cell = nbexp.open()
    assert with_cell.names == ["live"]
    with_cell.close()


def test_a_tables_begun_before_go_on_after_it(
    loaded: Session, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    monkeypatch.setattr(live, "_last_step", None)
    live.begin_anew()
    loaded.run(
        "from nbexp import live\nlive.log(acc=1)", "%%exp\nlive.log(acc=2)", "live.log(acc=3)"
    )
    table = project / "dvclive" / "plots" / "metrics" / "acc.tsv"
    assert table.read_text() == "step\tacc\n0\t1\n1\t3\n"
    live.begin_anew()


def test_figures_and_text_are_kept(loaded: Session) -> None:
    made = loaded.run(
        "%%exp -n figures\n"
        "import altair as alt\n"
        "print('told')\n"
        "get_ipython().display_pub.publish({'image/svg+xml': '<svg xmlns=\\'http://www.w3.org/2000/svg\\' width=\\'9\\'/>'})\n"
        "alt.Chart(alt.Data(values=[{'x': 1, 'y': 2}])).mark_point().encode(x='x:Q', y='y:Q')",
    )
    assert made.cell.figures == 2
    assert b"width='9'" in recorded("cell/figures/1.svg", "figures")
    assert recorded("cell/figures/2.svg", "figures").startswith(b"<svg")
    kinds = [output["output_type"] for output in shown_by("figures")]
    assert sorted(kinds) == ["display_data", "execute_result", "stream"]


def test_magics_inside_of_the_cell_work(loaded: Session) -> None:
    made = loaded.run("%%exp -n timed\n%%time\nx = 2\n{'x': x}")
    assert made.metrics == {**made.metrics, "x": 2}
    assert "Wall time" in loaded.said
    (text,) = [one for one in shown_by("timed") if one["output_type"] == "stream"]
    assert "".join(text["text"]) == "CPU times: -\nWall time: -\n"


def test_a_semicolon_hides_the_dict_and_its_metrics_are_recorded(loaded: Session) -> None:
    made = loaded.run("%%exp -n quiet\n{'acc': 1};")
    assert made.metrics["acc"] == 1
    assert "{" not in loaded.said
    assert shown_by("quiet") == []


def test_the_same_cell_again_runs_again(loaded: Session) -> None:
    first, second = (loaded.run("%%exp\n{'a': 1}") for _ in range(2))
    assert first.name != second.name


def test_quiet_and_json(loaded: Session) -> None:
    made = loaded.run("%%exp -q -n still\n{'a': 1}")
    assert made.name == "still"
    text = loaded.run("%%exp --json -n told\n{'a': 1}")
    assert isinstance(text, Text)
    found = json.loads(str(text))
    assert (found["name"], found["metrics"]["a"]) == ("told", 1)
    assert found["cell"]["lacking"] == []


def test_braces_are_filled_in_where_they_are_a_whole_value(loaded: Session) -> None:
    loaded.run("wish = 'from-a-name'\nx = 1")
    assert loaded.run("%%exp -n {wish}  # a comment\nt = '{x} $x'\n{'n': len(t)}").name == (
        "from-a-name"
    )
    assert loaded.names["t"] == "{x} $x"


def test_the_line_that_made_it_is_recorded(loaded: Session) -> None:
    loaded.run("%%exp -n line -P epochs -m 'why not'\n1")
    with_cell = nbexp.open()
    told = with_cell.note("line").run
    with_cell.close()
    assert told["magic"] == "%%exp -n line -P epochs -m 'why not'"
    assert told["command"] == "nbexp rerun line"


# ---- secrets and markup


def test_a_secret_is_neither_in_values_nor_in_outputs(loaded: Session) -> None:
    secret = "sk-abcdefghijklmnopqrstuvwxyz0123"
    loaded.run(f"api_key = {secret!r}\nconfig = {{'token': 'hush-hush-hush'}}")
    made = loaded.run("%%exp -n hidden\nprint(api_key)\n{'n': len(api_key) + len(config)}")
    assert made.metrics["n"] == len(secret) + 1
    for path in ("cell/cell.ipynb", "cell/run.ipynb"):
        text = recorded(path, "hidden").decode()
        assert secret not in text
        assert "hush-hush-hush" not in text
    assert [read.name for read in made.cell.lacking] == ["api_key", "config"]
    with pytest.raises(UsageError, match="`api_key` is a secret"):
        loaded.run("%%exp -P api_key\n1")


def test_markup_in_names_values_and_metrics_stays_text(loaded: Session) -> None:
    script = "<script>alert(1)</script>"
    loaded.run(f"text = {script!r}")
    made = loaded.run(f"%%exp -n markup\nlen(text)\n{{{script!r}: 1, 'b': {script!r}}}")
    html = made._repr_mimebundle_()[0]["text/html"]
    assert "<script" not in html
    assert "&lt;script&gt;" in html


# ---- what stops


def test_an_error_of_the_cell_is_shown_and_kept_as_a_failed_experiment(
    loaded: Session, git: Callable[..., str], project: Path
) -> None:
    with pytest.raises(StageFailed) as stopped:
        loaded.run("%%exp -n broken\nprint('so far')\nlr / 0")
    assert str(stopped.value) == (
        "The cell stopped with ZeroDivisionError: float division by zero and is recorded as `broken`, which failed.\n"
        "Hint: `nbexp open broken` is what there was; `nbexp show --all-states` lists it."
    )
    assert "ZeroDivisionError" in loaded.said  # the traceback of IPython
    assert "lr" not in loaded.names
    assert git("for-each-ref", "refs/exps", cwd=project) == ""
    opened = loaded.run("%exp open broken")
    assert "so far" in str(opened)
    table = str(loaded.run("%exp show --all-states"))
    assert "broken" in table
    assert "failed" in table


def test_an_interrupt_is_kept_as_an_interrupted_one(loaded: Session) -> None:
    with pytest.raises(Interrupted, match="is recorded as `stopped`"):
        loaded.run("%%exp -n stopped\nraise KeyboardInterrupt")
    assert "interrupted" in str(loaded.run("%exp show --all-states"))


BAD = [
    ("%%exp -n x\n  \n", UsageError, "There is nothing in the cell. Nothing was recorded."),
    ("%%exp\nx = = 1", UsageError, "The cell is no Python, so what it reads cannot be found."),
    ("%%exp --nam x\n1", UsageError, "There is no option `--nam`. Nothing was done."),
    ("%%exp run\n1", UsageError, "takes options alone, not `run`. Nothing was run."),
    ("%%exp -P epoch\n1", UsageError, "`-P epoch` is neither a variable of this session"),
    ("%%exp -n a..b\n1", UsageError, ""),
    ("%%exp -n {nothing}\n1", UsageError, "there is no variable `nothing`"),
    ("%%exp\nawait job()", UsageError, "`await` at the top of a cell does not work"),
    ("%%exp -P open_file\n1", UsageError, "it is a TextIOWrapper; a param is a number"),
    ("%%exp\n%%exp\n1", UsageError, "cannot hold another `%%exp`"),
]


@pytest.mark.parametrize(("cell", "kind", "says"), BAD, ids=[one[0] for one in BAD])
def test_what_cannot_be_is_refused_before_anything_runs(
    loaded: Session, git: Callable[..., str], project: Path, cell: str, kind: type, says: str
) -> None:
    loaded.run("open_file = open('params.yaml')")
    with pytest.raises((kind, StageFailed)) as stopped:
        loaded.run(cell)
    assert says in str(stopped.value) or says in loaded.said
    assert git("for-each-ref", "refs/exps", cwd=project) == ""
    loaded.run("open_file.close()")


def test_a_name_that_is_taken(loaded: Session) -> None:
    loaded.run("%%exp -n mine\n{'a': 1}")
    with pytest.raises(NameTaken, match="`%%exp -n mine -f` replaces it"):
        loaded.run("ran = False", "%%exp -n mine\nran = True")
    assert loaded.names["ran"] is False
    assert loaded.run("%%exp -n mine -f\n{'a': 2}").metrics["a"] == 2
    assert "mine" in str(loaded.run("%exp trash list"))


def test_a_name_that_may_be_several_params(loaded: Session, project: Path) -> None:
    (project / "params.yaml").write_text("train:\n  lr: 0.1\neval:\n  lr: 0.2\n")
    with pytest.raises(UsageError) as stopped:
        loaded.run("%%exp\n{'a': lr}")
    assert str(stopped.value) == (
        "`lr` may be `train.lr` or `eval.lr` of params.yaml. Nothing was run.\n"
        "Hint: `%%exp -P train.lr` says which."
    )
    assert loaded.run("%%exp -P eval.lr\n{'a': lr}").metrics["a"] == 0.2


def test_outside_of_a_project_and_without_a_commit(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: Callable[..., str]
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    session.run("%load_ext nbexp")
    with pytest.raises(NbexpError, match="is in no Git repository"):
        session.run("%%exp\nran = True")
    git("init", "--quiet", cwd=tmp_path / "empty")
    (tmp_path / "empty" / ".dvc").mkdir()
    with pytest.raises(NbexpError, match="no commit yet"):
        session.run("%%exp\nran = True")
    assert "ran" not in session.names


def test_what_was_read_and_has_no_text_is_told(loaded: Session) -> None:
    loaded.run("class Model:\n    pass", "model = Model()")
    made = loaded.run("%%exp -n opaque\n{'ok': model is not None, 'model': model}")
    assert str(made).splitlines()[-2:] == [
        "no metrics, being no numbers: model",
        (
            "it cannot be run again: it read `model` (Model) of this session, which is not recorded. "
            "Hint: make `model` in the cell, or in a function"
        ),
    ]
    with pytest.raises(NbexpError) as stopped:
        loaded.run("%exp rerun opaque")
    assert str(stopped.value).startswith(
        "The cell of `opaque` read `model` (Model) of its session, and nothing recorded gives that."
    )


def test_files_that_it_writes_and_nothing_keeps_are_named(loaded: Session, project: Path) -> None:
    made = loaded.run("%%exp\nopen('result.txt', 'w').close()")
    assert [left.path for left in made.cell.not_recorded] == ["result.txt"]
    assert (project / "result.txt").exists()


def test_a_file_that_it_reads_and_no_commit_holds_is_named(loaded: Session, project: Path) -> None:
    (project / "mine.csv").write_text("1\n")
    loaded.run("%%exp\n{'n': int(open('mine.csv').read())}")
    assert "The cell reads mine.csv, which no commit holds" in loaded.said


def test_a_folder_of_the_users_is_left_alone(
    loaded: Session, project: Path, git: Callable[..., str]
) -> None:
    (project / "cell").mkdir()
    (project / "cell" / "biology.txt").write_text("mine\n")
    git("add", "cell", cwd=project)
    made = loaded.run("%%exp -n other\n{'a': 1}")
    assert recorded("cell/biology.txt", "other") == b"mine\n"
    assert recorded("exp-cell/metrics.json", made.name) == b'{\n    "a": 1\n}\n'


# ---- help and completion


def test_the_reference_has_every_option() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "commands.md").read_text()
    options = {word for action in cell_magic.parser()._actions for word in action.option_strings}
    assert {word for word in options if f"`{word}" not in text} <= {"-h", "--help"}


def test_help(loaded: Session) -> None:
    text = str(loaded.run("%%exp -h\n"))
    assert text.startswith("usage: %%exp [options]\n")
    assert "%exp rerun NAME" in text


@pytest.mark.parametrize(
    ("before", "typed", "found"),
    [
        ([], "--p", ["--params"]),
        ([], "--", ["--help", "--name", "--params", "--message", "--force", "--json", "--quiet"]),
        (["-P"], "train.l", ["train.lr"]),
        (["-P"], "seed,train.e", ["seed,train.epochs"]),
        (["-m"], "", []),
    ],
)
def test_tab(project: Path, before: list[str], typed: str, found: list[str]) -> None:
    head, offers = completion.offers(["%%exp", *before], typed, project)
    assert [head + text for text, _ in offers] == found
