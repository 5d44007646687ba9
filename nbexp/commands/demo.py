"""Copy an example project to a new folder and run its lab notebook there, to see how it all works.

`digits` is scikit-learn's bundled digits in three stages, one of them a notebook; `first-notebook`
is a single notebook of plain Python. The folder becomes a Git repository of its own. Its lab.ipynb is
executed in a real kernel; the result is lab.executed.ipynb and lab.html beside it, and the table of the
experiments it made.

Examples
--------
  nbexp demo                              the digits, in nbexp-demo
  nbexp demo my-folder                    in a folder of your choice
  nbexp demo --example first-notebook     a single notebook instead of a pipeline
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbexp import plugins
from nbexp.errors import NbexpError, NotFound
from nbexp.events import CommandStarted, Emit, Phase
from nbexp.frozen import frozen
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.project import Project

needs_project = False

EXAMPLES = ("digits", "first-notebook")
LAB = "lab.ipynb"
EXECUTED = "lab.executed.ipynb"
PAGE = "lab.html"

# What is imported on the way, and under which name pip knows it; asked for before a first cell runs.
_NEEDS: Mapping[str, Mapping[str, str]] = {
    "digits": {"matplotlib": "matplotlib", "nbconvert": "nbconvert", "sklearn": "scikit-learn"},
    "first-notebook": {"nbconvert": "nbconvert"},
}
# What somebody who worked in a checkout's examples may have left there.
_LEFTOVERS = (".git", ".dvc", ".dvcignore", "dvc.lock", "__pycache__", ".ipynb_checkpoints")


@frozen
class DemoReport(Result):
    """What the demo made: its folder, the executed notebook, that as a page, and the experiments' table."""

    folder: Path
    notebook: Path
    html: Path
    table: Any

    def to_json(self) -> dict[str, object]:
        """Paths as text, and the table as `show --json` gives it."""
        return {
            "folder": str(self.folder),
            "notebook": str(self.notebook),
            "html": str(self.html),
            "table": self.table.to_json(),
        }

    def __str__(self) -> str:
        # The face that draws a table is found by its name: it lies beside this layer, not below.
        table = plugins.load("nbexp", "render").text(self.table)
        return (
            f"{table}\n\n"
            f"notebook  {self.notebook}\n"
            f"page      {self.html}\n"
            f"Go on there: nbexp lab {self.folder}"
        )


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        default="nbexp-demo",
        help="the new folder (default: nbexp-demo)",
    )
    parser.add_argument(
        "--example", choices=EXAMPLES, default="digits", help="which project (default: digits)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(project: Project | None, args: argparse.Namespace, emit: Emit) -> DemoReport:
    """Make the folder, run the lab notebook in it, and return what came out."""
    from nbexp import project as projects

    folder = Path(args.folder, Path(args.directory).expanduser()).resolve()
    _check(folder, args.directory, args.example)
    emit(Phase(f"copying the example to {folder}"))
    shutil.copytree(
        _source(args.example),
        folder,
        ignore=shutil.ignore_patterns(*_LEFTOVERS, EXECUTED, PAGE),
        dirs_exist_ok=True,
    )
    _prepare_git(folder, args.example)
    execute(folder, emit)
    table = projects.open(folder).show()
    return DemoReport(folder, folder / EXECUTED, folder / PAGE, table)


def _check(folder: Path, typed: str, example: str) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NbexpError(
            f"{typed} exists and is not empty. Nothing was copied.",
            "a folder of another name will do: `nbexp demo another-folder`.",
        )
    needed = _NEEDS[example].items()
    absent = [name for module, name in needed if importlib.util.find_spec(module) is None]
    if absent:
        raise NotFound(
            f"The example {example} needs {', '.join(absent)}, not installed here. "
            "Nothing was copied.",
            '`pip install "nbexp[demo]"`',
        )


def _source(example: str) -> Path:
    """The example as it was installed with the package, else that of the checkout."""
    package = Path(__file__).resolve().parents[1]
    for home in (package / "_examples", package.parent / "example-notebooks"):
        if (home / example / LAB).is_file():
            return home / example
    raise NotFound(
        f"The example {example} is not part of this installation.",
        "`pip install --force-reinstall nbexp` brings it back.",
    )


def _prepare_git(folder: Path, example: str) -> None:
    """Give the folder what its lab notebook expects to find.

    The digits are a project already, with a history. The first notebook makes its own in `%exp init`;
    only where the folder lies in somebody's repository does it get an empty one beforehand, so that
    nothing is committed to theirs.
    """
    from nbexp import project as projects
    from nbexp.git import Git

    is_project = (folder / "dvc.yaml").exists()
    if not is_project and Git.find(folder) is None:
        return
    files = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    git = Git.init(folder)
    if is_project:
        projects.init(path=str(folder))
        git.commit_paths(files, f"{example}: the pipeline")
    git.close()


# --- Running the lab notebook ------------------------------------------------------------------


def execute(folder: Path, emit: Emit) -> None:
    """Run lab.ipynb of `folder` from top to bottom in a process of its own, and check every cell.

    Guarantees that lab.ipynb keeps its bytes, that lab.executed.ipynb and lab.html hold what ran, also
    when a cell ended otherwise than its tags say, and that no process is left when it returns.

    Raises
    ------
    NbexpError
        A cell that should pass stopped, or one tagged `raises-exception` passed.
    """
    with tempfile.TemporaryDirectory(prefix="nbexp-demo-") as scratch:
        errors = Path(scratch) / "stderr"
        with errors.open("wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-m", "nbexp.commands.demo", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=_environment(Path(scratch)),
                start_new_session=True,
            )
        problem = None
        try:
            assert child.stdout is not None
            for line in child.stdout:
                told = json.loads(line)
                if "problem" in told:
                    problem = told
                else:
                    place = f"[{told['cell']}/{told['total']}]"
                    emit(CommandStarted(LAB, f"{place} {told['source']}"))
            child.wait()
        except BaseException:
            _stop(child)
            raise
        if problem is not None:
            raise NbexpError(
                f"Cell {problem['cell']} of {LAB} {problem['problem']}",
                f"the notebook as it stopped is {folder / EXECUTED}.",
            )
        if child.returncode != 0:
            tail = errors.read_text(errors="replace").strip().splitlines()[-1:]
            raise NbexpError(
                f"The kernel for {LAB} did not run: {' '.join(tail) or child.returncode}",
                f"`{sys.executable} -m ipykernel --version` shows whether it can.",
            )


def _environment(scratch: Path) -> dict[str, str]:
    """That of the child: `python`, `nbexp` and the kernel called python3 are those of this interpreter.

    The user may have a kernel of that name that starts another Python; one that is found through
    JUPYTER_PATH comes before all others (jupyter_core, `jupyter_path`).
    """
    kernel = scratch / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(
        json.dumps(
            {
                "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
            }
        )
    )
    # Which notebook a kernel belongs to: this process's is not the child's.
    env = {key: value for key, value in os.environ.items() if not key.startswith("JPY_")}
    programs = (str(Path(sys.executable).parent), env.get("PATH", os.defpath))
    env["PATH"] = os.pathsep.join(programs)
    env["JUPYTER_PATH"] = os.pathsep.join(filter(None, (str(scratch), env.get("JUPYTER_PATH"))))
    return env


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ask the child to interrupt its kernel and end; take it down if it has not in a while."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGINT)
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


# --- In the child: `python -m nbexp.commands.demo FOLDER` --------------------------------------


def _child(folder: Path, tell: Callable[[dict[str, object]], None]) -> int:
    # JupyterLab brings it, and jsonschema loads it where it finds it: 2 s to build a grammar for a
    # format that no notebook has in it.
    modules: dict[str, Any] = sys.modules
    modules["rfc3987_syntax"] = None
    import nbformat

    notebook = nbformat.read(folder / LAB, as_version=4)  # type: ignore[no-untyped-call]
    # Importing the page's writer takes 0.6 s, and this process only waits while the kernel works.
    page = threading.Thread(target=importlib.import_module, args=("nbconvert.exporters.html",))
    try:
        problem = _run_cells(notebook, folder, tell, page.start)
    finally:
        nbformat.write(notebook, folder / EXECUTED)  # type: ignore[no-untyped-call]
        if page.ident is not None:
            page.join()
        (folder / PAGE).write_text(_page(notebook), encoding="utf-8")
    if problem is not None:
        tell(problem)
    return 0


def _run_cells(
    notebook: Any,
    folder: Path,
    tell: Callable[[dict[str, object]], None],
    meanwhile: Callable[[], None],
) -> dict[str, object] | None:
    """Execute the code cells in place; the first that ended otherwise than expected, if any.

    `meanwhile` is called when the kernel is ready, and work is waited for from then on.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import DeadKernelError

    cells = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    client = NotebookClient(
        notebook,
        allow_errors=True,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
        timeout=600,
    )
    with client.setup_kernel(), _interrupting(client):
        meanwhile()
        for number, (index, cell) in enumerate(cells, start=1):
            source = cell.source.splitlines()[0] if cell.source else ""
            tell({"cell": number, "total": len(cells), "source": source})
            try:
                client.execute_cell(cell, index, execution_count=number)
                found = problem(cell)
            except DeadKernelError:
                found = "stopped: its kernel died."
            if found is not None:
                return {"cell": number, "problem": f"(`{source}`) {found}"}
    return None


@contextlib.contextmanager
def _interrupting(client: Any) -> Iterator[None]:
    """Interrupt the kernel before it is shut down, so that a run in it ends its own processes."""
    try:
        yield
    except KeyboardInterrupt:
        client.km.interrupt_kernel()
        time.sleep(2.2)  # a run promises to have ended its process tree in 2 s
        raise


def problem(cell: Any) -> str | None:
    """What is wrong with an executed cell in the light of its tags; None if it ended as it should."""
    raised = next((output for output in cell.outputs if output.output_type == "error"), None)
    meant_to = "raises-exception" in cell.metadata.get("tags", ())
    if raised is None:
        return "passed, yet it is tagged raises-exception." if meant_to else None
    return None if meant_to else f"stopped: {raised.ename}: {raised.evalue}"


def _page(notebook: Any) -> str:
    from nbconvert.exporters.html import HTMLExporter

    # The outputs are static: without the two libraries the page opens offline and asks nobody.
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        require_js_url="data:,", mathjax_url="data:,", embed_images=True
    )
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": "lab"}})
    return str(body)


def _tell(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1]), _tell))
