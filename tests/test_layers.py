"""The arrows of the architecture, read from every import statement, those inside functions too.

A module imports lower layers and its own folder; a heavy library is imported in its one home; nothing
but the command line prints. A new module is given its place in `LAYERS`, or the first test fails.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "nbexp"

# The first name below nbexp -> its layer. Modules of one number and different names are strangers.
LAYERS = {
    # What the standard library does for others, at a fortieth of the cost.
    "frozen": -1,
    "errors": 0,
    "events": 0,
    "filesystem": 0,
    "hashing": 0,
    "pids": 0,
    "plugins": 0,
    "version": 0,
    "formats": 1,
    "git": 1,
    "markup": 1,
    "overrides": 1,
    "results": 1,
    "settings": 1,
    "store": 2,
    "live": 3,
    "pipeline": 3,
    "plots": 3,
    "experiments": 4,
    "queue": 5,
    "sweeps": 6,
    "project": 7,
    "commands": 8,
    "render": 8,
    "cli": 9,
    "jupyter": 9,
    # `import nbexp` hands out names of any layer, on first use; `python -m nbexp` is the command line.
    "": 10,
    "__main__": 10,
    # Contracts for plugin authors: they drive whatever they test.
    "testing": 10,
}

# What outside of the standard library may be imported, and where. A folder stands for all in it.
HOMES = {
    "adlfs": {"store.remotes.azure"},
    "aiohttp": {"store.remotes.http"},
    "gcsfs": {"store.remotes.gs"},
    "IPython": {"jupyter"},
    # Of these, training code brings its own to `Live`.
    "PIL": {"experiments.pixels", "experiments.site.pictures", "live.plots"},
    "altair": {"jupyter"},
    "anywidget": {"jupyter"},
    "dask": {"queue.executors.dask"},
    "distributed": {"queue.executors.dask"},
    "fsspec": {"store.remotes"},
    "git": {"git"},
    # The grammar of overrides; and the process that composes params, which nothing else runs in.
    "hydra": {"overrides", "experiments.composition"},
    "ipykernel": {"jupyter", "pipeline.kinds.notebook"},
    "ipywidgets": {"jupyter"},
    "jupyter_client": {"pipeline.kinds.notebook"},
    # Of these `Live` takes objects, or what only they can compute or see.
    "matplotlib": {"live.plots"},
    "psutil": {"live.system"},
    "pynvml": {"live.system"},
    "sklearn": {"live.plots"},
    # Each callback is imported by who trains with that framework.
    "fastai": {"live.fastai"},
    "keras": {"live.keras"},
    "lightning": {"live.lightning"},
    "pytorch_lightning": {"live.lightning"},
    "tensorflow": {"live.keras"},
    "transformers": {"live.huggingface"},
    "xgboost": {"live.xgb"},
    "mistune": {"experiments.site.book"},
    # The demo plays the user: it executes a lab notebook, in a process of its own.
    "nbclient": {"pipeline.kinds.notebook", "commands.demo"},
    "nbconvert": {"commands.demo"},
    "nbformat": {"formats.notebook", "pipeline.kinds.notebook", "commands.demo"},
    "omegaconf": {"overrides", "experiments.composition"},
    "optuna": {"sweeps.samplers.optuna"},
    "papermill": {"pipeline.kinds.notebook"},
    "pathspec": {"formats.ignore"},
    "pyarrow": {"store.remotes.hdfs"},
    "rich": {"cli", "render"},
    "ruamel": {"formats"},
    "s3fs": {"store.remotes.s3"},
    "sshfs": {"store.remotes.ssh"},
    "traitlets": {"jupyter"},
    "vl_convert": {"plots.render"},
    "webdav4": {"store.remotes.webdav"},
    "yaml": {"formats"},
}
# Libraries that only functions of this name import, wherever they are.
FUNCTIONS = {"pandas": "to_frame"}

# A library is imported when it is needed, inside a function. At a module's top it may stand only where
# something else has loaded it, or where the module is the start of a process of its own.
AT_THE_TOP = {
    "jupyter": {"IPython"},  # a kernel has loaded it before `%load_ext`
    "jupyter.panels": {
        "anywidget",
        "ipywidgets",
        "traitlets",
    },  # a panel is loaded when it is shown
    "live.fastai": {"fastai"},  # a callback is a class of the framework's
    "live.huggingface": {"transformers"},
    "live.keras": {"keras", "tensorflow"},
    "live.lightning": {"lightning", "pytorch_lightning"},
    "live.xgb": {"xgboost"},
    "pipeline.kinds.notebook": {"jupyter_client", "nbclient", "nbformat", "papermill"},
    "testing": {"pytest"},
}

PRINTS = {"cli"}


@dataclass(frozen=True)
class Import:
    """One imported name: `module` is absolute, `function` where it stands (None: at the top)."""

    module: str
    line: int
    function: str | None
    only_types: bool


@dataclass(frozen=True)
class Module:
    """A source file; `name` is below nbexp, with dots, "" for the package itself."""

    name: str
    tree: ast.Module

    @property
    def unit(self) -> str:
        """What has a layer: the first part of the name."""
        return self.name.partition(".")[0]

    def imports(self) -> Iterator[Import]:
        yield from _imports(self.tree, None, only_types=False)

    def printed(self) -> list[int]:
        return [
            node.lineno
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]


def _imports(node: ast.AST, function: str | None, *, only_types: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, function, only_types)
        elif isinstance(child, ast.ImportFrom):
            source = "." * child.level + (child.module or "")
            yield from (
                Import(f"{source}.{alias.name}", child.lineno, function, only_types)
                for alias in child.names
            )
        elif isinstance(child, ast.Call) and _is_import_call(child):
            assert isinstance(child.args[0], ast.Constant)
            yield Import(str(child.args[0].value), child.lineno, function, only_types)
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(child, child.name, only_types=only_types)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for part in child.body:
                yield from _imports(ast.Module([part], []), function, only_types=True)
            for part in child.orelse:
                yield from _imports(ast.Module([part], []), function, only_types=only_types)
        else:
            yield from _imports(child, function, only_types=only_types)


def _is_import_call(node: ast.Call) -> bool:
    """`importlib.import_module("nbexp.project")` is an import as well."""
    name = ast.unparse(node.func).rpartition(".")[2]
    return (
        name in {"import_module", "__import__"}
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
    )


def read(name: str, source: str) -> Module:
    return Module(name, ast.parse(source))


def _read_package() -> list[Module]:
    modules = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(read(name, path.read_text(encoding="utf-8")))
    return modules


MODULES = _read_package()


def arrows_up(module: Module) -> list[str]:
    """The imports that the layers forbid, in words."""
    found = []
    for item in module.imports():
        if item.module.startswith("."):
            found.append(f"{module.name}:{item.line} imports {item.module}, which hides its layer")
        if item.module.partition(".")[0] != "nbexp" or module.unit == "testing":
            continue
        target = item.module.split(".")[1:] or [""]
        # `from nbexp import Project` reaches for layer 7 under the name of none; `__version__` is data.
        unit = target[0] if target[0] in LAYERS else ""
        if target[0] == "__version__" or unit == module.unit:
            continue
        if unit == "testing" or LAYERS[unit] >= LAYERS[module.unit]:
            found.append(
                f"{module.name or 'nbexp'}:{item.line} ({LAYERS[module.unit]}) imports "
                f"{item.module} ({LAYERS[unit]})"
            )
    return found


def homeless(module: Module) -> list[str]:
    """The imports of libraries outside of their homes, or at the top of a module, in words."""
    found = []
    for item in module.imports():
        library = item.module.partition(".")[0]
        if item.only_types or library in {"", "nbexp", "__future__", *sys.stdlib_module_names}:
            continue
        place = f"{module.name or 'nbexp'}:{item.line} imports {library}"
        if module.unit == "testing":
            continue
        if library in FUNCTIONS:
            if item.function != FUNCTIONS[library]:
                found.append(f"{place} outside of a function `{FUNCTIONS[library]}`")
        elif not any(_is_in(module.name, home) for home in HOMES.get(library, ())):
            found.append(f"{place}, whose home is {sorted(HOMES.get(library, ())) or 'nowhere'}")
        if item.function is None and not any(
            _is_in(module.name, home) and library in libraries
            for home, libraries in AT_THE_TOP.items()
        ):
            found.append(f"{place} at its top: every start of the program would pay for it")
    return found


def _is_in(name: str, home: str) -> bool:
    return name == home or name.startswith(f"{home}.")


def test_every_module_has_a_layer() -> None:
    assert sorted({module.unit for module in MODULES} - set(LAYERS)) == []


def test_imports_go_down_only() -> None:
    known = [module for module in MODULES if module.unit in LAYERS]
    assert [line for module in known for line in arrows_up(module)] == []


def test_each_library_has_one_home() -> None:
    assert [line for module in MODULES for line in homeless(module)] == []


def test_only_the_command_line_prints() -> None:
    printing = {module.name: module.printed() for module in MODULES if module.printed()}
    assert sorted(set(printing) - PRINTS) == []


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("store.cache", "from nbexp.git import Git", 0),
        ("store.cache", "from nbexp.store.state import State", 0),
        ("store.cache", "from nbexp import __version__", 0),
        ("store.cache", "from nbexp import git", 0),
        ("store.cache", "from nbexp import Project", 1),
        ("store.cache", "from nbexp.pipeline import plan", 1),
        ("store.cache", "def f():\n    from nbexp.pipeline import plan", 1),
        ("store.cache", "class A:\n    async def f(self):\n        import nbexp.cli", 1),
        ("store.cache", "import importlib\nimportlib.import_module('nbexp.project')", 1),
        ("store.cache", "if TYPE_CHECKING:\n    from nbexp.project import Project", 1),
        ("store.cache", "from .state import State", 1),
        ("git", "from nbexp.formats import values", 1),
        ("formats.values", "from nbexp.formats import config", 0),
        ("commands.run", "from nbexp.render import table", 1),
        ("project", "from nbexp.testing import fixtures", 1),
        ("testing.samplers", "from nbexp.project import Project", 0),
    ],
)
def test_an_arrow_up_is_found(name: str, source: str, found: int) -> None:
    assert len(arrows_up(read(name, source))) == found


@pytest.mark.parametrize(
    ("name", "source", "found"),
    [
        ("overrides", "def f():\n    from hydra.core import parser", 0),
        ("overrides", "from hydra.core import parser", 1),
        ("project", "def f():\n    import hydra", 1),
        ("git", "def f():\n    import git", 0),
        ("experiments.table", "def to_frame(self):\n    import pandas as pd", 0),
        ("experiments.table", "def frame(self):\n    import pandas as pd", 1),
        ("experiments.table", "if TYPE_CHECKING:\n    import pandas as pd", 0),
        ("experiments.table", "def f():\n    import requests", 1),
        ("jupyter.magics", "from IPython.core.magic import Magics", 0),
        ("jupyter.panels", "import altair", 1),
        ("live", "import json, time", 0),
    ],
)
def test_a_library_out_of_its_home_is_found(name: str, source: str, found: int) -> None:
    assert len(homeless(read(name, source))) == found


def _loaded_by(statement: str) -> set[str]:
    """The top-level names of what `statement` loads in a fresh interpreter."""
    script = (
        "import sys, json; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps([name.partition('.')[0] for name in set(sys.modules) - before]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, encoding="utf-8"
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout)) - {"nbexp"}


def test_importing_the_package_loads_the_standard_library_only() -> None:
    loaded = _loaded_by("import nbexp")
    assert sorted(loaded - sys.stdlib_module_names) == []
    # These cost 5 to 20 ms each, and most uses of `import nbexp` need none.
    assert sorted(loaded & {"asyncio", "multiprocessing", "sqlite3", "unittest"}) == []


def test_importing_live_in_training_code_loads_the_standard_library_only() -> None:
    assert sorted(_loaded_by("import nbexp.live") - sys.stdlib_module_names) == []


def test_starting_the_command_line_loads_the_standard_library_only() -> None:
    assert sorted(_loaded_by("import nbexp.cli") - sys.stdlib_module_names) == []
