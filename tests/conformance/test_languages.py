"""Stages in other languages: awk, a compiled program, a notebook of another kernel. DVC has the same of them."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conformance.conftest import Look, MakeProject, MakeTwins

PROGRAM = """\
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    double scale = atof(argv[1]), value, total = 0;
    while (scanf("%lf", &value) == 1) total += value;
    printf("total: %g\\n", total * scale);
    return 0;
}
"""
# Where no compiler is installed, a compiled program of the system does: it counts instead of adding.
BUILD = "cc -O1 -o total total.c" if shutil.which("cc") else f"cp {shutil.which('wc')} total"
USE = "./total $(cat scale.txt) < squares.txt > total.yaml"
if BUILD.startswith("cp"):
    USE = "echo total: $(./total -l < squares.txt) > total.yaml"

PIPELINE = f"""\
stages:
  squares:
    cmd: awk -v power=$(sed -n 's/^power. //p' params.yaml) -f squares.awk numbers.txt > squares.txt
    deps: [numbers.txt, squares.awk]
    params: [power]
    outs: [squares.txt]
  build:
    cmd: {BUILD}
    deps: [total.c]
    outs: [total]
  total:
    cmd: {json.dumps(USE)}
    deps: [scale.txt, squares.txt, total]
    metrics:
    - total.yaml:
        cache: false
"""
FILES = {
    "dvc.yaml": PIPELINE,
    "params.yaml": "power: 2\n",
    "numbers.txt": "1\n2\n3\n",
    "squares.awk": "{ print $1 ^ power }\n",
    "scale.txt": "10\n",
    "total.c": PROGRAM,
}


def test_awk_and_a_compiled_program_are_stages_like_any_other(
    twins: MakeTwins, project: MakeProject
) -> None:
    """Run, lock, cache, run cache and experiment as DVC has them; what is built may be run when it is back."""
    pair = twins(project(FILES))
    pair.run("-n", "first")
    pair.agree()
    ours, look = pair.nbexp_side, pair.look
    total = (ours / "total.yaml").read_text()
    assert total.startswith("total: ")
    pair.run("-S", "power=3", "-n", "second")
    pair.agree()
    assert len(look.run_cache(ours)) == 5  # the program was built once
    look.nbexp("apply", "first", cwd=ours)
    assert (ours / "total.yaml").read_text() == total
    (ours / "total").unlink()
    (ours / "dvc.lock").unlink()
    look.dvc("repro", cwd=ours)
    look.nbexp("run", "--new", "-n", "third", cwd=ours)
    assert (ours / "total").stat().st_mode & stat.S_IXUSR
    assert subprocess.run(
        [ours / "total", "--version"], input=b"", capture_output=True, check=False
    )
    assert look.status(ours, "dvc") == look.status(ours, "nbexp") == {}


# ---- a notebook of another kernel


@pytest.fixture
def bash_kernel(home: Path) -> None:
    """The kernel `bash` of the package bash_kernel, installed for this test's user."""
    words = [sys.executable, "-m", "bash_kernel.install", "--user"]
    subprocess.run(words, check=True, capture_output=True)


def notebook(work: str, prose: str = "# Count") -> str:
    def code(name: str, source: str, *tags: str) -> dict[str, object]:
        return {
            "cell_type": "code",
            "id": name,
            "metadata": {"tags": [*tags]} if tags else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }

    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": prose},
        code("b", "lines=3  # how many\nname='a b'\nwords=(x y)\nstamp=$(date +%s)", "parameters"),
        code("c", work),
        code("d", 'echo "{\\"count\\": $(wc -l < numbers.txt)}" > metrics.json'),
    ]
    kernel = {"name": "bash", "display_name": "Bash", "language": "bash"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "bash"}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


WORK = 'seq $lines > numbers.txt\necho "$name ${words[1]}"'
STAGE = """\
stages:
  count:
    cmd: nbexp notebook count.ipynb runs/count.ipynb --params count
    deps:
    - count.ipynb
    params:
    - count
    outs:
    - numbers.txt
    - runs/count.ipynb
    metrics:
    - metrics.json:
        cache: false
"""


def test_a_bash_notebook_is_a_stage(
    twins: MakeTwins, project: MakeProject, bash_kernel: None
) -> None:
    """Both tools run it to the same bytes; parameters get there; prose does not count."""
    files = {
        "dvc.yaml": STAGE,
        "count.ipynb": notebook(WORK),
        "params.yaml": "count:\n  lines: 4\n  name: it's\n  words: [p, q r]\n",
    }
    pair = twins(project(files))
    _, ran = pair.run("-n", "first")
    assert "params.yaml over the cell of count.ipynb: lines 4 (cell: 3)" in ran.stdout
    pair.agree()
    ours, look = pair.nbexp_side, pair.look
    executed = (ours / "runs" / "count.ipynb").read_bytes()
    cells = json.loads(executed)["cells"]
    assert "".join(cells[2]["source"]) == (
        "# Parameters\nlines=4\nname='it'\"'\"'s'\nwords=(p 'q r')\n"
    )
    assert cells[3]["outputs"][0]["text"] == ["it's q r\n"]
    assert json.loads((ours / "metrics.json").read_text()) == {"count": 4}

    # The same again is the same bytes, and nothing that is about a moment.
    look.nbexp("run", "--force", "-n", "again", cwd=ours)
    assert (ours / "runs" / "count.ipynb").read_bytes() == executed

    # Prose runs nothing; code does.
    (ours / "count.ipynb").write_text(notebook(WORK, prose="# Count the lines"))
    ran = look.nbexp("run", "-n", "prose", cwd=ours)
    assert "Stage 'count' didn't change, skipping" in ran.stdout
    assert look.status(ours, "dvc") == {}
    (ours / "count.ipynb").write_text(notebook(WORK + "\necho more"))
    assert look.status(ours, "nbexp") == {"count": [{"changed deps": {"count.ipynb": "modified"}}]}
    look.nbexp("run", "-n", "more", "-S", "count.lines=2", cwd=ours)
    look.nbexp("apply", "first", cwd=ours)
    assert (ours / "numbers.txt").read_text() == "1\n2\n3\n4\n"
    assert (ours / "runs" / "count.ipynb").read_bytes() == executed
    assert look.status(ours, "dvc") == look.status(ours, "nbexp") == {}


def test_init_reads_what_can_be_read_of_a_bash_cell(
    repo: Path, look: Look, bash_kernel: None
) -> None:
    (repo / "count.ipynb").write_text(notebook(WORK))
    made = look.nbexp("init", "count.ipynb", cwd=repo).stdout
    assert "lines=3 (int)  name='a b' (str)  words=(x y) (list)" in made
    assert "computed     stamp" in " ".join(made.split("\n"))
    assert (repo / "params.yaml").read_text() == (
        "count:\n  lines: 3\n  name: a b\n  words: [x, y]\n"
    )
    look.nbexp("run", "-S", "count.lines=5", "-n", "five", cwd=repo)
    assert (repo / "numbers.txt").read_text() == "1\n2\n3\n4\n5\n"
    assert look.dvc("repro", cwd=repo).stdout.startswith("Stage 'count' didn't change, skipping")


def test_papermills_own_line_runs_it_the_same(
    project: MakeProject, look: Look, bash_kernel: None
) -> None:
    cmd = "papermill count.ipynb runs/count.ipynb -p lines 6 -y 'name: c d'"
    text = STAGE.replace(
        "nbexp notebook count.ipynb runs/count.ipynb --params count", json.dumps(cmd)
    )
    top = project(
        {
            "dvc.yaml": text.replace("    params:\n    - count\n", ""),
            "count.ipynb": notebook(WORK),
            "runs/.keep": "",
        }
    )
    look.nbexp("run", cwd=top)
    assert (top / "numbers.txt").read_text() == "1\n2\n3\n4\n5\n6\n"
    assert look.status(top, "dvc") == {}


@pytest.mark.parametrize(
    ("work", "words"),
    [
        ("echo hi\ngrep -q x /dev/null", "stopped in cell 2 of count.ipynb: exit code 1."),
        (
            "set -e\nfalse\necho no",
            (
                "stopped in cell 2 of count.ipynb: bash ended in it: `exit`, or a command that failed "
                "after `set -e`."
            ),
        ),
        ("exit 0", "bash ended in it"),
        ("kill -9 $PPID", "the kernel was killed"),
    ],
)
def test_a_cell_that_fails_fails_the_stage(
    work: str, words: str, project: MakeProject, look: Look, bash_kernel: None
) -> None:
    """Also where the kernel takes no notice, and goes on in a new shell without the variables."""
    files = {
        "dvc.yaml": STAGE,
        "count.ipynb": notebook(work),
        "params.yaml": "count:\n  lines: 4\n",
    }
    top = project(files)
    ran = look.nbexp("run", "-n", "bad", cwd=top, code=1)
    assert words in ran.stderr
    assert look.experiments(top) == {}
    stopped = json.loads(look.nbexp("open", "bad", "--json", cwd=top).stdout)["notebook"]
    assert len(stopped["cells"]) == 5


def test_values_that_a_language_has_no_words_for_are_told(
    project: MakeProject, look: Look, bash_kernel: None
) -> None:
    files = {
        "dvc.yaml": STAGE,
        "count.ipynb": notebook(WORK),
        "params.yaml": "count:\n  lines: {a: 1}\n",
    }
    top = project(files)
    ran = look.nbexp("run", cwd=top, code=1)
    assert (
        "`lines` is a dict, which papermill cannot write in bash. Nothing was run.\n"
        "Hint: give count.ipynb its parts under names of their own."
    ) in ran.stderr
    cobol = notebook(WORK).replace('"bash"', '"cobol"').replace("Bash", "Cobol")
    (top / "count.ipynb").write_text(cobol)
    (top / "params.yaml").write_text("count:\n  lines: 1\n")
    (top / "dvc.yaml").write_text(
        STAGE.replace("--params count", "--params count --kernel python3")
    )
    ran = look.nbexp("run", cwd=top, code=1)
    assert "papermill cannot write parameters in cobol" in ran.stderr


# ---- kernels that know nothing of IPython

ECHO = """\
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class Echo(Kernel):
    implementation = language = "R"
    implementation_version = language_version = banner = "1"
    language_info = {"name": "R", "mimetype": "text/x-r-source", "file_extension": ".r"}

    def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False):
        self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": code})
        return {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}


IPKernelApp.launch_instance(kernel_class=Echo)
"""


def test_a_kernel_gets_its_parameters_in_its_own_language(
    project: MakeProject, look: Look, home: Path
) -> None:
    """A kernel that says what it is given stands for R's: it comes over TCP, and is started for this run alone."""
    spec = home / ".local" / "share" / "jupyter" / "kernels" / "ir"
    spec.mkdir(parents=True)
    (spec / "echo.py").write_text(ECHO)
    argv = [sys.executable, str(spec / "echo.py"), "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "R", "language": "R"})
    )
    text = notebook("fit(lr)").replace('"bash"', '"ir"', 1).replace('"bash"', '"R"')
    text = text.replace("lines=3  # how many", "lr <- 0.1  # the rate\\nverbose <- TRUE")
    text = text.replace("words=(x y)\\nstamp=$(date +%s)", "steps <- c(1, 2)")
    top = project(
        {
            "dvc.yaml": STAGE.replace("    - numbers.txt\n", "").partition("    metrics")[0],
            "count.ipynb": text,
            "params.yaml": "count:\n  lr: 0.25\n  verbose: false\n  steps: [3, 4]\n",
        }
    )
    ran = look.nbexp("run", "-n", "first", cwd=top)
    assert "lr 0.25 (cell: 0.1), verbose False (cell: TRUE)" in ran.stdout
    executed = (top / "runs" / "count.ipynb").read_bytes()
    cells = json.loads(executed)["cells"]
    assert "".join(cells[2]["source"]) == (
        "# Parameters\nlr = 0.25\nverbose = FALSE\nsteps = list(3, 4)\n"
    )
    assert "".join(cells[3]["outputs"][0]["text"]) == "fit(lr)"
    look.nbexp("run", "--force", "-n", "again", cwd=top)
    assert (top / "runs" / "count.ipynb").read_bytes() == executed
    assert look.status(top, "dvc") == look.status(top, "nbexp") == {}
