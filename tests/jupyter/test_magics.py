from __future__ import annotations

import builtins
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import nbexp
from nbexp.errors import Interrupted, NotFound, UsageError
from nbexp.experiments.table import Table
from nbexp.jupyter import magics

NOTEBOOK = Path(__file__).parents[2] / "example-notebooks" / "first-notebook" / "train.ipynb"


class Cells:
    """Runs cells as a notebook does; `say` is what they printed and showed as text."""

    def __init__(self) -> None:
        quiet = Config()
        quiet.HistoryManager.enabled = False
        # IPython types some of its methods and not others.
        new: Any = InteractiveShell
        self.shell = new(config=quiet)

    def run(self, *cells: str) -> Any:
        """The value of the last cell; raises what it raised."""
        result: Any = None
        for cell in cells:
            result = self.shell.run_cell(cell, store_history=True)
            if result.error_in_exec is not None:
                raise result.error_in_exec
            assert result.error_before_exec is None
        return result.result

    def say(self, *cells: str) -> str:
        with capture_output(stderr=False, display=False) as captured:
            self.run(*cells)
        return str(captured.stdout)


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cells]:
    # What the shell replaces in this process is put back.
    monkeypatch.setattr(sys, "displayhook", sys.displayhook)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "path", [*sys.path])
    # A doctest before this in the same process may have left one, and the shell then sets none.
    monkeypatch.delattr(builtins, "_", raising=False)
    found = Cells()
    yield found
    found.shell.restore_sys_module_state()


@pytest.fixture
def project(pipeline_project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    root = pipeline_project()
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def loaded(cells: Cells, project: Path) -> Cells:
    cells.say("%load_ext nbexp")
    return cells


# ---- loading


def test_loading_says_that_there_is_no_project_and_what_to_type(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cells.say("%load_ext nbexp") == (
        f"nbexp {nbexp.__version__} - no project here yet. "
        "Next: %exp init train.ipynb     (help: %exp?)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_loading_names_the_notebook_that_is_there(tmp_path: Path) -> None:
    lab = tmp_path / "lab.ipynb"
    for path in (lab, tmp_path / "my model.ipynb"):
        path.write_text("{}")
    assert "Next: %exp init 'my model.ipynb' " in magics.greeting(tmp_path, lab)


def test_loading_in_a_project_counts_what_it_holds(
    cells: Cells, project: Path, git: Callable[..., str]
) -> None:
    head = git("rev-parse", "HEAD", cwd=project)
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/low-lr", head, cwd=project)
    assert cells.say("%load_ext nbexp") == (
        f'nbexp {nbexp.__version__} - project "project", 2 stages, 1 experiment. Next: %exp show\n'
    )


def test_a_project_without_experiments_is_told_to_run(project: Path) -> None:
    assert magics.greeting(project).endswith("2 stages, 0 experiments. Next: %exp run")
    (project / "dvc.yaml").unlink()
    (project / "train.ipynb").write_text("{}")
    assert magics.greeting(project).endswith("0 stages, 0 experiments. Next: %exp init train.ipynb")


def test_on_a_machine_that_is_taken_away_it_is_said_once_how_to_keep_a_project(
    cells: Cells, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    said = "Colab: this folder goes with the machine. Before it does: !git remote add origin URL"
    assert said in cells.say("%load_ext nbexp")
    assert "Colab" not in cells.say("%exp show", "%exp list")
    other = project.parent / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    assert "Colab" not in cells.say("%exp init")  # nothing to lose yet
    assert cells.say("%exp list", "%exp list").count(said) == 1


def test_loading_starts_no_git_process(cells: Cells, project: Path, count_git: Any) -> None:
    cells.say("%load_ext nbexp")
    assert len(count_git) == 0


def test_loading_twice_says_nothing_of_ours(loaded: Cells) -> None:
    assert "- project" not in loaded.say("%load_ext nbexp")


def test_unloading_leaves_the_shell_as_it_was(cells: Cells, project: Path) -> None:
    shell = cells.shell

    def state() -> list[object]:
        formatter = shell.display_formatter
        return [
            sorted(shell.magics_manager.magics["line"]),
            [*shell.Completer.custom_matchers],
            [*shell.input_transformers_cleanup],
            {**formatter.ipython_display_formatter.type_printers},
            sorted(shell.user_ns),
        ]

    before = state()
    magics.load(shell)
    assert state() != before
    magics.unload(shell)
    assert state() == before


def test_reloading_works(loaded: Cells) -> None:
    assert "- project" in loaded.say("%reload_ext nbexp")
    assert isinstance(loaded.run("%exp show"), Table)


def test_loading_puts_nothing_into_the_users_names(cells: Cells, project: Path) -> None:
    before = {*cells.shell.user_ns}
    magics.load(cells.shell)
    assert {*cells.shell.user_ns} == before


def test_loading_costs_own_modules_only_and_no_thread_file_or_socket(tmp_path: Path) -> None:
    script = """
import os, sys, threading
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
import IPython.core.magics.extension
quiet = Config()
quiet.HistoryManager.enabled = False
shell = InteractiveShell(config=quiet)
shell.run_cell("%precision %r")
modules, threads = set(sys.modules), threading.active_count()
descriptors = os.listdir("/dev/fd")
shell.run_cell("%load_ext nbexp")
print(sorted(name for name in set(sys.modules) - modules if not name.startswith("nbexp")))
print(len(set(sys.modules) - modules) <= 12, threading.active_count() - threads)
print(len(os.listdir("/dev/fd")) - len(descriptors), os.listdir())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert ran.stdout.splitlines()[-3:] == ["[]", "True 0", "0 []"]


# ---- commands


def test_a_command_returns_its_result(loaded: Cells) -> None:
    table = loaded.run("%exp show")
    assert isinstance(table, Table)
    assert loaded.run("_.to_frame().columns.tolist()")[:1] == ["experiment"]


def test_a_result_can_be_assigned(loaded: Cells) -> None:
    assert loaded.say("x = %exp show  # the table") == ""
    assert isinstance(loaded.run("x"), Table)


def test_a_result_is_shown_as_the_text_of_a_terminal(
    loaded: Cells, nbexp_cli: Any, project: Path
) -> None:
    shown = loaded.say("%exp show").partition("\n")[2]
    assert shown.strip() == nbexp_cli("show", cwd=project).stdout.strip()


@pytest.mark.parametrize(
    "cell", ["%exp show;", "%exp show -q", "%exp show --quiet", "%exp show; # x"]
)
def test_a_semicolon_or_quiet_shows_nothing_and_returns_all_the_same(
    cell: str, loaded: Cells
) -> None:
    assert "experiment" not in loaded.say(cell)
    assert "experiment" in loaded.say("_")


def test_python_in_braces_is_filled_in(loaded: Cells) -> None:
    with pytest.raises(NotFound) as caught:
        loaded.run("name = 'no-such'", "%exp apply {name}")
    assert caught.value.message.startswith("There is no experiment `no-such`")


def test_a_dollar_and_other_braces_arrive_as_typed(loaded: Cells) -> None:
    with pytest.raises(NotFound) as caught:
        loaded.run("train = 3", "%exp apply ${train}")
    assert "`${train}`" in caught.value.message


def test_commands_work_one_after_the_other(loaded: Cells) -> None:
    for cell in ("%exp list", "%exp status", "%exp show", "%exp list", "%exp help run"):
        loaded.run(cell)


@pytest.mark.parametrize(
    "cell", ["%exp run -h", "%exp help run", "%exp run?", "%exp run ??", "  %exp run?"]
)
def test_help_of_a_command_is_spelled_for_cells(cell: str, loaded: Cells) -> None:
    shown = loaded.say(cell)
    assert "usage: %exp run [-h] [-S [FILE:]KEY=VALUE]" in shown
    assert "%exp run -S train.lr=0.01" in shown
    assert "nbexp run" not in shown


@pytest.mark.parametrize("cell", ["%exp stage list -h", "%exp stage list?", "%exp help stage list"])
def test_help_of_a_familys_command_is_found_as_well(cell: str, loaded: Cells) -> None:
    assert "usage: %exp stage list [-h] [--all]" in loaded.say(cell)


@pytest.mark.parametrize("cell", ["%exp?", "%exp", "%exp help"])
def test_the_guide_is_one_screen_with_examples(cell: str, loaded: Cells) -> None:
    shown = loaded.say(cell)
    assert "%exp init train.ipynb" in shown
    assert "%exp run -S train.lr=0.01" in shown
    assert len(shown.splitlines()) <= 60


def test_help_of_other_names_is_ipythons(loaded: Cells) -> None:
    assert magics.help_asked(["print?\n", "x = '%exp run'\n", "%exp run -m 'why?'\n"]) == [
        "print?\n",
        "x = '%exp run'\n",
        "%exp run -m 'why?'\n",
    ]


@pytest.mark.parametrize("shape", ["--json", "--csv", "--md"])
def test_other_shapes_are_the_text_that_the_command_line_prints(
    shape: str, loaded: Cells, nbexp_cli: Any, project: Path
) -> None:
    printed = nbexp_cli("show", shape, cwd=project).stdout
    assert str(loaded.run(f"%exp show {shape}")).splitlines() == printed.splitlines()


# ---- errors


def test_a_mistake_is_two_lines_and_fails_the_cell(loaded: Cells) -> None:
    with capture_output(stderr=False, display=False) as captured:
        result = loaded.shell.run_cell("%exp run -S train.lrr=0.03")
    assert not result.success
    assert captured.stdout == (
        "No param `train.lrr` in params.yaml. Nothing was run.\n"
        "Hint: did you mean `train.lr`? A new param is added with a plus: "
        "`%exp run -S +train.lrr=0.03`.\n"
    )


def test_a_metric_under_its_bar_fails_the_cell_that_shows_the_report(loaded: Cells) -> None:
    loaded.run("%exp run -q -n first")
    with capture_output(stderr=False, display=False) as captured:
        result = loaded.shell.run_cell("%exp report first --fail-under acc=0.9")
    assert not result.success
    assert captured.stdout.startswith("## first against main\n")
    assert captured.stdout.endswith("\nacc is 0.8633, under the bar of 0.9.\n")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%exp rnu", "There is no command `rnu`.\nHint: did you mean `%exp run`?\n"),
        (
            "%exp show --xyzzy",
            "There is no option `--xyzzy`. Nothing was done.\nHint: `%exp show -h` has the options.\n",
        ),
        (
            "%exp apply {nosuch}",
            (
                "`{nosuch}`: there is no variable `nosuch` in this notebook. Nothing was done.\n"
                "Hint: `--no-expand` passes braces on as they are.\n"
            ),
        ),
    ],
)
def test_wrong_usage_is_explained_without_a_traceback(
    cell: str, message: str, loaded: Cells
) -> None:
    with capture_output(stderr=False, display=False) as captured:
        result = loaded.shell.run_cell(cell)
    assert isinstance(result.error_in_exec, UsageError)
    assert captured.stdout == message


def test_a_bug_has_its_traceback(loaded: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbexp.project.Project.show", lambda *_, **__: 1 / 0)
    with capture_output(stderr=False, display=False) as captured:
        loaded.shell.run_cell("%exp show")
    assert "ZeroDivisionError" in captured.stdout
    assert "Traceback" in captured.stdout


def test_an_interrupt_says_what_was_stopped(loaded: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: object, *_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nbexp.project.Project.show", stop)
    with pytest.raises(Interrupted) as caught:
        loaded.run("%exp show")
    assert caught.value.message == "`%exp show` was interrupted."


def test_no_git_process_outlives_a_command(loaded: Cells) -> None:
    before = _children()  # of what other tests have opened
    loaded.run("%exp show")
    with pytest.raises(NotFound):
        loaded.run("%exp apply no-such")
    assert [name for pid, name in _children().items() if "git" in name and pid not in before] == []


# ---- what stages inherit


def test_a_stage_gets_the_kernels_python_and_nothing_of_the_kernels_own() -> None:
    kernel = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/home/ada",
        "JPY_SESSION_NAME": "lab.ipynb",
        "JPY_PARENT_PID": "7",
        "PYDEVD_USE_FRAME_EVAL": "NO",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "FORCE_COLOR": "1",
        "CLICOLOR": "1",
        "CLICOLOR_FORCE": "1",
        "PAGER": "cat",
        "GIT_PAGER": "cat",
        "TERM": "xterm-color",
    }
    folder = os.path.dirname(sys.executable)
    assert magics.stage_environment(kernel) == {
        "PATH": f"{folder}:/usr/bin:/bin",
        "HOME": "/home/ada",
        "TERM": "dumb",
    }


def test_what_the_user_set_is_inherited() -> None:
    own = {"MPLBACKEND": "agg", "PAGER": "less", "TERM": "xterm-256color", "PATH": ""}
    found = magics.stage_environment(own)
    assert {name: found[name] for name in ("MPLBACKEND", "PAGER", "TERM")} == {
        "MPLBACKEND": "agg",
        "PAGER": "less",
        "TERM": "xterm-256color",
    }


def test_the_kernels_python_is_first_even_if_it_was_later_in_the_path() -> None:
    folder = os.path.dirname(sys.executable)
    found = magics.stage_environment({"PATH": f"/usr/bin:{folder}:/bin"})
    assert found["PATH"] == f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize("source", ["JPY_SESSION_NAME", "__vsc_ipynb_file__"])
def test_the_notebook_that_asks_is_the_one_the_front_end_names(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = tmp_path / "lab.ipynb"
    names: dict[str, object] = {}
    if source.startswith("JPY"):
        monkeypatch.setenv(source, str(notebook))
    else:
        names[source] = str(notebook)
    assert magics.asking_notebook(names) is None  # renamed since, or not saved yet
    notebook.write_text("{}")
    assert magics.asking_notebook(names) == notebook


def _children() -> dict[int, str]:
    import psutil

    return {child.pid: child.name() for child in psutil.Process().children(recursive=True)}


# ---- where the line stands


def test_braces_see_the_variables_of_the_function_they_are_in(loaded: Cells) -> None:
    run = "%exp run -q -S train.lr={value} -n {name} --new"
    loaded.run(
        f"def go(value, name):\n    {run}\n    return [value for _ in range(2)]",
        "go(0.75, 'inner')",
    )
    assert (
        loaded.run("%exp show").to_frame().set_index("experiment").loc["inner", "train.lr"] == 0.75
    )
    # A comprehension in the braces sees them too.
    pick = "def pick(k):\n    %exp plan -S train.lr={sum(k for _ in range(2))}\n    return k"
    assert loaded.run(pick, "pick(5)") == 5


def test_a_dollar_is_passed_on_and_said_to_be(loaded: Cells) -> None:
    loaded.run("p = 0.5")
    told = loaded.say("%exp plan -S train.lr=$p;")
    assert "`$p` goes on as it is; the value of `p` is `{p}`" in told
