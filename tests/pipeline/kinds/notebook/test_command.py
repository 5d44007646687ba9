from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbexp.pipeline import kinds
from nbexp.pipeline.kinds.notebook import command
from nbexp.pipeline.kinds.notebook.command import Request


def asked(line: str) -> Request:
    request = command.parse(line)
    assert request is not None, line
    return request


@pytest.mark.parametrize(
    "start", ["nbexp notebook", "python -m nbexp notebook", "/opt/bin/nbexp notebook"]
)
def test_the_verb_is_known_however_it_is_called(start: str) -> None:
    request = asked(f"{start} train.ipynb runs/train.ipynb --params train --params=more.json:a.b")
    assert request == Request(
        "train.ipynb", "runs/train.ipynb", params=("train", "more.json:a.b"), is_strict=True
    )


def test_the_verbs_options_are_taken() -> None:
    request = asked("nbexp notebook a.ipynb b.ipynb --untagged -k ir --cwd work")
    assert (request.untagged, request.kernel, request.cwd) == (True, "ir", "work")


def test_papermills_options_are_taken() -> None:
    request = asked(
        "papermill in.ipynb out.ipynb -p lr -0.1 --parameters name 'two words' -r raw 1 "
        "-y '{a: [1, 2]}' -f params.yaml -b YTogMQ== -k python3 -l python --cwd work "
        "--start-timeout 9 --execution-timeout=60 --report-mode --stdout-file o.txt"
    )
    assert request == Request(
        "in.ipynb",
        "out.ipynb",
        given=(
            ("p", "lr", "-0.1"),
            ("p", "name", "two words"),
            ("r", "raw", "1"),
            ("y", "{a: [1, 2]}"),
            ("f", "params.yaml"),
            ("b", "YTogMQ=="),
        ),
        kernel="python3",
        language="python",
        cwd="work",
        start_timeout_s=9,
        timeout_s=60,
        hides_input=True,
        stdout_file="o.txt",
    )


def test_options_that_change_nothing_here_are_taken() -> None:
    line = "papermill --no-progress-bar --log-output --autosave-cell-every 5 --log-level DEBUG"
    assert asked(f"{line} in.ipynb out.ipynb") == Request("in.ipynb", "out.ipynb")


def test_paths_are_injected_as_papermill_names_them() -> None:
    assert asked("papermill a.ipynb b.ipynb --inject-paths").given == (
        ("inject", "PAPERMILL_INPUT_PATH", "a.ipynb"),
        ("inject", "PAPERMILL_OUTPUT_PATH", "b.ipynb"),
    )


def test_every_option_of_papermill_is_known_or_left_out_on_purpose() -> None:
    from nbexp.pipeline.kinds.notebook.runner import _SLOW, _without

    with _without(_SLOW):
        from papermill.cli import papermill
    spelled = {
        name
        for option in papermill.params
        for name in (*option.opts, *option.secondary_opts)
        if name.startswith("-")
    }
    known = command._PAPERMILL
    taken = {*known.values, *known.flags, *known.ignored_values, *known.ignored_flags}
    left_out = {"--help-notebook", "--engine", "--prepare-only", "--version"}
    assert spelled - left_out == taken | set(command._GIVEN)


@pytest.mark.parametrize(
    ("line", "source", "output", "cwd"),
    [
        ("jupyter execute a.ipynb", "a.ipynb", None, None),
        ("jupyter execute nb/a --output=b", "nb/a.ipynb", "nb/b.ipynb", "nb"),
        ("jupyter-execute a.ipynb --output {notebook_name}-run", None, None, None),
        ("jupyter execute a.ipynb --output '{notebook_name}-run'", "a.ipynb", "a-run.ipynb", None),
        (
            "jupyter nbconvert --execute --to notebook nb/a.ipynb",
            "nb/a.ipynb",
            "nb/a.nbconvert.ipynb",
            "nb",
        ),
        (
            "jupyter nbconvert --to=notebook --execute a.ipynb --output b.ipynb",
            "a.ipynb",
            "b.ipynb",
            None,
        ),
        (
            "jupyter-nbconvert --to notebook --execute nb/a.ipynb --output-dir runs",
            "nb/a.ipynb",
            "runs/a.ipynb",
            "nb",
        ),
        (
            "python -m nbconvert --to notebook --execute a.ipynb --output-dir=runs --output=b",
            "a.ipynb",
            "runs/b.ipynb",
            None,
        ),
    ],
)
def test_jupyters_lines_write_where_jupyter_writes(
    line: str, source: str | None, output: str | None, cwd: str | None
) -> None:
    request = command.parse(line)
    assert (request.source if request else None) == source
    if request is not None:
        assert (request.output, request.cwd, request.is_strict) == (output, cwd, False)


def test_jupyters_time_limits_are_taken() -> None:
    request = asked(
        "jupyter nbconvert --execute --to notebook a.ipynb --output b "
        "--ExecutePreprocessor.timeout=600 --ExecutePreprocessor.kernel_name=ir"
    )
    assert (request.timeout_s, request.kernel) == (600, "ir")
    assert asked("jupyter execute a.ipynb --timeout=-1").timeout_s is None


@pytest.mark.parametrize(
    "line",
    [
        "python train.py",
        "echo papermill in.ipynb out.ipynb",
        "papermill in.ipynb",
        "papermill in.ipynb out.ipynb third",
        "papermill in.ipynb -",
        "papermill - out.ipynb",
        "papermill in.py out.ipynb",
        "papermill s3://bucket/in.ipynb out.ipynb",
        "papermill in.ipynb 'out-{lr}.ipynb'",
        "papermill in.ipynb in.ipynb",
        "papermill in.ipynb ./in.ipynb",
        "papermill in.ipynb out.ipynb -p lr",
        "papermill in.ipynb out.ipynb --engine other",
        "papermill in.ipynb out.ipynb --prepare-only",
        "papermill in.ipynb out.ipynb --newer-option",
        "papermill in.ipynb out.ipynb --start-timeout soon",
        "papermill in.ipynb out.ipynb -p lr $LR",
        'papermill in.ipynb out.ipynb -p lr "$LR"',
        "papermill in.ipynb out.ipynb && echo done",
        "papermill in.ipynb out.ipynb > log",
        "papermill in.ipynb out.ipynb # note",
        "papermill in.ipynb out.ipynb\necho done",
        "LR=1 papermill in.ipynb out.ipynb",
        "cd nb; papermill in.ipynb out.ipynb",
        "papermill *.ipynb out.ipynb",
        "papermill 'in.ipynb out.ipynb",
        "./papermill in.ipynb out.ipynb",
        "jupyter execute a.ipynb b.ipynb",
        "jupyter execute a.ipynb --inplace",
        "jupyter execute a.ipynb --allow-errors",
        "jupyter nbconvert --to notebook a.ipynb",
        "jupyter nbconvert --execute --to html a.ipynb",
        "jupyter nbconvert --execute --to notebook --inplace a.ipynb",
        "jupyter nbconvert --execute --to notebook a.ipynb --output a.ipynb",
        "jupyter lab a.ipynb",
        "nbexp run",
        "nbexp notebook a.ipynb",
        "nbexp notebook a.ipynb b.ipynb --unknown",
        "nbexp",
        "",
        "   ",
    ],
)
def test_a_line_that_is_not_understood_to_its_last_word_is_the_shells(line: str) -> None:
    assert command.parse(line) is None
    assert kinds.of(line).__name__ == "nbexp.pipeline.kinds.shell"  # type: ignore[attr-defined]
    assert kinds.notebook_source(line) is None


def test_the_source_is_told() -> None:
    assert kinds.notebook_source("papermill nb/in.ipynb out.ipynb") == "nb/in.ipynb"


def test_a_program_of_another_environment_does_its_work_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "papermill"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command.parse("papermill in.ipynb out.ipynb") is None
    assert command.parse(f"{tmp_path}/papermill in.ipynb out.ipynb") is None
    monkeypatch.setenv("PATH", "")
    assert command.parse("papermill in.ipynb out.ipynb") is not None
    ours = Path(sys.executable).parent / "papermill"
    assert command.parse(f"{ours} in.ipynb out.ipynb") is not None


@given(
    st.lists(st.text(st.sampled_from("ab=.-_\n'\"\\ \t$*|é"), max_size=6), min_size=1, max_size=4)
)
@example(["\\"])
@example(["a\\\nb"])
@example(['"a\\\nb"'])
@example(["'a' \"\\$b\\c\"d"])
def test_words_are_those_of_the_shell_or_none(words: list[str]) -> None:
    line = "printf '%s\\0' " + " ".join(words)
    found = command.simple_words(line)
    if found is not None:
        said = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True).stdout
        spoken = [word.decode() for word in said.split(b"\0")[:-1]]
        assert found[2:] == (spoken if found[2:] else [])


def test_a_request_survives_the_way_to_the_runner() -> None:
    line = "papermill a.ipynb b.ipynb -p x 1 -y 'a: é' -k ir --cwd w --report-mode"
    assert Request.load(asked(line).dump()) == asked(line)
    verb = "nbexp notebook a.ipynb b.ipynb --params train --untagged"
    assert Request.load(asked(verb).dump()) == asked(verb)


def test_a_line_is_judged_in_microseconds() -> None:
    before = os.times().user
    for number in range(500):
        command.parse(f"python train.py --step {number}")
    assert os.times().user - before < 0.5
