"""Which files of a project may be stages, and the command lines that the project itself gives for them."""

from __future__ import annotations

import ast
import os
import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from nbexp import filesystem
from nbexp.frozen import frozen
from nbexp.pipeline import detect, kinds
from nbexp.pipeline.detection import units
from nbexp.pipeline.graph import Graph

# Folders that hold no steps of a pipeline.
_NO_STEPS = frozenset(
    """
.git .dvc .venv venv env node_modules __pycache__ .ipynb_checkpoints .mypy_cache .ruff_cache .pytest_cache .tox
.nox site-packages dist-packages tests test testing docs doc build dist .github .vscode .idea .eggs htmlcov
example examples benchmarks migrations
""".split()
)
COPIED_NOT = frozenset(
    """
.git venv .venv env node_modules __pycache__ .ipynb_checkpoints .mypy_cache .ruff_cache .pytest_cache .tox .nox
site-packages mlruns wandb
""".split()
)
_NO_STEP = re.compile(
    r"(test_.*|.*_test|conftest|setup|noxfile|fabfile|manage|__init__|__main__|wsgi|asgi|versioneer|tasks"
    r"|_version|template|scaffold|create_structure)\.py|(install|setup|deploy|docker|publish|release|download_deps|entrypoint|lint|test)[^/]*\.sh"
)
_SERVERS = frozenset(
    "flask fastapi streamlit gradio dash uvicorn django starlette sanic aiogram telegram celery airflow tkinter "
    "pygame locust bentoml".split()
)
# Where projects write down how they are run, the surest first.
_RUNNERS = (
    "Makefile",
    "makefile",
    "justfile",
    "Justfile",
    "Taskfile.yml",
    "Snakefile",
    "pyproject.toml",
)
_PROGRAM = re.compile(
    r"(?P<env>(?:[A-Z_]+=\S+\s+)*)\b(?P<program>python[\d.]*|sh|bash|Rscript|papermill|uv run python|poetry run python)"
    r"\s+(?P<rest>[^|&;`<>\"]*(?:\"[^\"]*\"[^|&;`<>\"]*)*)"
)
_CHANGE = re.compile(r"\bcd\s+([\w./-]+)\s*(?:&&|;)")
_MAX_FILES, _MAX_BYTES = 400, 1 << 20
SUFFIXES = (".py", ".ipynb", ".sh", ".R", ".r", ".jl")


@frozen
class Line:
    """A command line that a file of the project gives for a script.

    `words` are those behind the script, `cwd` the folder it is run in, `where` the file and line.
    """

    script: str
    program: str
    words: tuple[str, ...]
    cwd: str
    where: str
    is_module: bool = False
    env: tuple[str, ...] = ()


@frozen
class Candidate:
    """A file that may be a stage."""

    path: str
    line: Line | None = None

    @property
    def is_notebook(self) -> bool:
        return self.path.endswith(".ipynb")

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")


def files(root: Path) -> list[str]:
    """The files of the project, without environments, caches and what Git keeps; relative and sorted."""
    found = []
    for folder, names, inside in os.walk(root):
        names[:] = sorted(
            name
            for name in names
            if name not in COPIED_NOT
            and not (name == "cache" and folder == str(root / ".dvc"))
            and not (name == "tmp" and folder == str(root / ".dvc"))
            and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
        )
        found += [
            os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
            for name in sorted(inside)
            if not filesystem.is_temporary(name)
        ]
    return found


def find(root: Path, graph: Graph) -> tuple[list[Candidate], list[tuple[str, str]]]:
    """The candidates in the order that the project names them, then by path; and what is none, with why."""
    there = files(root)
    known: dict[str, Line] = {}
    for line in lines(root, there):
        known.setdefault(line.script, line)
    taken = _in_pipeline(root, graph)
    left: list[tuple[str, str]] = []
    found: list[str] = []
    for path in there:
        suffix = posixpath.splitext(path)[1]
        parts = path.split("/")
        if suffix not in SUFFIXES:
            continue
        if path in taken:
            left.append((path, "a stage of dvc.yaml runs it"))
        elif path in known or not (
            _NO_STEPS & set(parts[:-1]) or _NO_STEP.fullmatch(parts[-1]) or parts[0] == "runs"
        ):
            reason = _no_stage(root, path, is_named=path in known)
            if reason is None:
                found.append(path)
            elif reason:
                left.append((path, reason))
    order = {script: place for place, script in enumerate(known)}
    found.sort(key=lambda path: (order.get(path, len(order)), _natural(path)))
    return [Candidate(path, known.get(path)) for path in found[:_MAX_FILES]], left


def lines(root: Path, there: Sequence[str]) -> Iterator[Line]:
    """The command lines that run.sh, Makefile, README and their kind give, in their order."""
    scripts = [path for path in there if path.endswith(".sh") and path.count("/") < 2]
    texts = [path for path in there if re.fullmatch(r"README[^/]*", path, re.IGNORECASE)]
    flows = [path for path in there if path.startswith(".github/workflows/")]
    for path in [*(name for name in _RUNNERS if name in there), *scripts, *texts, *flows]:
        try:
            data = (root / path).read_bytes()
        except OSError:
            continue
        if len(data) <= _MAX_BYTES:
            yield from _lines_of(root, path, data.decode("utf-8", "replace"))


def _lines_of(root: Path, path: str, text: str) -> Iterator[Line]:
    text = re.sub(r"\\\n\s*", " ", text)
    here = "."
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith(("#", "//")) and not path.lower().startswith("readme"):
            continue
        change = _CHANGE.search(line)
        if path.endswith(".sh") and (alone := re.fullmatch(r"cd\s+([\w./-]+)", line)):
            here = posixpath.normpath(posixpath.join(here, alone[1]))
        cwd = posixpath.normpath(posixpath.join(here, change[1])) if change else here
        for match in _PROGRAM.finditer(line):
            found = _line(root, match, cwd, f"{path}:{number}")
            if found is not None:
                yield found


def _line(root: Path, match: re.Match[str], cwd: str, where: str) -> Line | None:
    try:
        words = shlex.split(match["rest"].rstrip(" `'\")."), comments=True)
    except ValueError:
        return None
    program = match["program"].rpartition(" ")[2]
    while words and words[0].startswith("-") and words[0] not in {"-m", "-"}:
        words = words[1:]
    is_module = words[:1] == ["-m"]
    if is_module:
        words = words[1:]
    if not words or words[0].startswith("-"):
        return None
    word = words[0]
    if is_module:
        base = word.replace(".", "/")
        options = [f"{base}.py", f"{base}/__main__.py"]
    else:
        options = [word]
    for option in options:
        path = posixpath.normpath(posixpath.join(cwd, option))
        if path.startswith("..") or posixpath.isabs(path) or not path.endswith(SUFFIXES):
            continue
        if (root / path).is_file():
            rest = tuple(words[1:])
            if any(re.search(r"[$<\[\]{}*]|\.\.\.", one) for one in rest):
                return None
            env = tuple(one for one in match["env"].split() if one)
            return Line(path, program, rest, cwd, where, is_module, env)
    return None


def _in_pipeline(root: Path, graph: Graph) -> set[str]:
    """What the stages of dvc.yaml run already."""
    found: set[str] = set()
    for stage in graph.stages:
        for command in stage.spec.commands:
            source = kinds.notebook_source(command)
            if source is not None:
                found.add(stage.place(source))
            for script in detect.scripts(command, root / stage.cwd):
                found.add(Path(os.path.relpath(script, root)).as_posix())
    return found


def _no_stage(root: Path, path: str, *, is_named: bool) -> str | None:
    """Why a file is no stage, in words; empty where it is not worth a word; None if it may be one."""
    if path.endswith(".ipynb"):
        one = units.unit(root, path)
        return None if one is not None and one.trees else "no Python notebook, or it cannot be read"
    if path.endswith(".sh"):
        return None if is_named or _redirects(root / path) else ""
    if not path.endswith(".py"):
        return None if is_named else ""
    one = units.unit(root, path)
    if one is None:
        return "it cannot be read as Python"
    tree = one.trees[0][1]
    served = sorted(_imported(tree) & _SERVERS)
    if served:
        return f"it imports {served[0]}: a program that waits for its users is no stage"
    if is_named or _acts(tree):
        return None
    return ""


def _acts(tree: ast.Module) -> bool:
    """Whether running the file does anything beyond definitions and imports."""
    for node in tree.body:
        if isinstance(node, ast.If) and "__name__" in ast.dump(node.test):
            return True
        if isinstance(node, (ast.With, ast.For, ast.While, ast.Try)) and not _guards_import(node):
            return True
        value = node.value if isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign)) else None
        if isinstance(value, ast.Call) or (
            isinstance(node, ast.Expr) and isinstance(value, ast.Await)
        ):
            return True
    return False


def _guards_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Try) and all(
        isinstance(one, (ast.Import, ast.ImportFrom)) for one in node.body
    )


def _imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def _redirects(path: Path) -> bool:
    try:
        return bool(re.search(r"[^0-9&]>>?\s*[\w./-]+\.\w+", path.read_text("utf-8", "replace")))
    except OSError:
        return False


def _natural(path: str) -> tuple[str, ...]:
    """Numbers in names count as numbers: `2_fit.py` before `10_report.py`."""
    return tuple(one.zfill(8) if one.isdigit() else one for one in re.split(r"(\d+)", path))
