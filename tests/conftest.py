"""What tests stand on: a clean environment, real Git, real processes, and DVC as the oracle.

No test sees the user's configuration: HOME and all that Git, DVC, Jupyter and nbexp read from the
environment are replaced before the first test, and HOME again for each. The fixtures:

    repo              a Git repository of one commit, in a folder of its own
    pipeline_project  makes a DVC project with stages whose results are exact (see its docstring)
    git, nbexp_cli    run the program and fail the test with its output on any other exit code
    dvc               the same for real DVC
    count_git         counts the Git processes that anything starts from now on
    no_identity       Git knows neither name nor mail address
    chromium          runs a headless browser
    open_notebook     opens a notebook in JupyterLab or Notebook 7, in a browser, with a kernel (see its docstring)
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
DVC_PROGRAMS = ROOT / ".venv-dvc" / "bin"
# `python`, `nbexp` and `jupyter` of stages are those that the tests run with.
PROGRAMS = Path(sys.executable).parent

# A generated example may start Git processes; how long one takes is no property of the code.
hypothesis.settings.register_profile("nbexp", deadline=None, print_blob=True)
hypothesis.settings.load_profile("nbexp")

# --- A clean environment ------------------------------------------------------------------------

_DROPPED_PREFIXES = (
    "CONDA_", "DVC_", "GIT_", "IPYTHON", "JPY_", "JUPYTER", "LC_", "NBEXP_", "PAPERMILL_", "PYTHON", "XDG_",
)  # fmt: skip
_DROPPED = (
    "BROWSER", "CI", "CLICOLOR", "COLUMNS", "EDITOR", "EMAIL", "FORCE_COLOR", "LANGUAGE", "LINES",
    "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MPLBACKEND", "NO_COLOR", "PAGER", "SHELL", "VIRTUAL_ENV", "VISUAL",
)  # fmt: skip

_GIT_CONFIG = """\
[user]
\tname = Ada
\temail = ada@example.org
[init]
\tdefaultBranch = main
[gc]
\tautoDetach = false
[maintenance]
\tauto = false
[protocol "file"]
\tallow = always
"""
# The updater would start a process of its own and ask the network.
_DVC_CONFIG = "[core]\n    analytics = false\n    check_update = false\n"


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The process's environment without anything of the user's, for fixtures of every scope."""
    homes = tmp_path_factory.mktemp("homes")
    # A shell starts what runs in its background with Ctrl-C ignored, `nohup` with a closed terminal; children inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_DROPPED_PREFIXES) or name in _DROPPED:
                patch.delenv(name)
        patch.setenv("PATH", os.pathsep.join((str(PROGRAMS), os.environ.get("PATH", os.defpath))))
        patch.setenv("LANG", "C.UTF-8")
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("DVC_NO_ANALYTICS", "1")
        _move_home(homes / "session", patch)
        yield homes


_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def home(_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own HOME, with a Git identity (Ada <ada@example.org>) and DVC kept off the network."""
    folder = _environment / str(next(_numbers))
    _move_home(folder, monkeypatch)
    return folder


def _move_home(folder: Path, patch: pytest.MonkeyPatch) -> None:
    config = folder / ".config"
    (config / "dvc").mkdir(parents=True)
    (config / "dvc" / "config").write_text(_DVC_CONFIG)
    (folder / ".gitconfig").write_text(_GIT_CONFIG)
    patch.setenv("HOME", str(folder))
    patch.setenv("GIT_CONFIG_GLOBAL", str(folder / ".gitconfig"))
    patch.setenv("XDG_CONFIG_HOME", str(config))
    patch.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
    patch.setenv("XDG_DATA_HOME", str(folder / ".local" / "share"))
    patch.setenv("XDG_STATE_HOME", str(folder / ".local" / "state"))
    # DVC's default is one folder for all users of the machine, /var/tmp/dvc.
    patch.setenv("DVC_SITE_CACHE_DIR", str(folder / ".cache" / "dvc-site"))
    patch.setenv("IPYTHONDIR", str(folder / ".ipython"))
    patch.setenv("JUPYTER_CONFIG_DIR", str(folder / ".jupyter"))


@pytest.fixture
def no_identity(home: Path) -> None:
    """Git knows neither name nor mail address."""
    kept = _GIT_CONFIG.partition("[init]")
    (home / ".gitconfig").write_text(kept[1] + kept[2])


# --- Programs -----------------------------------------------------------------------------------

Ran = subprocess.CompletedProcess[str]


@dataclass
class Program:
    """A program as tests call it: `dvc("repro", cwd=path)`.

    `code` is the exit code the test expects (None: any); with another one the test fails and shows
    what was written. `env` is laid over the environment, None removing a variable.
    """

    argv: tuple[str, ...]
    programs: tuple[Path, ...] = ()
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        code: int | None = 0,
        stdin: str | None = None,
        env: Mapping[str, str | None] | None = None,
        timeout_s: float = 300,
    ) -> Ran:
        ran = subprocess.run(
            [*self.argv, *map(str, arguments)],
            cwd=cwd,
            env=self._env(env),
            input="" if stdin is None else stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout_s,
            check=False,
        )
        __tracebackhide__ = True
        if code is not None and ran.returncode != code:
            pytest.fail(
                f"`{' '.join([Path(self.argv[-1]).name, *map(str, arguments)])}` ended with "
                f"{ran.returncode}, not {code}.\n{ran.stdout}\n{ran.stderr}"
            )
        return ran

    def start(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> subprocess.Popen[str]:
        """The running program, in a session of its own; killed with all of that when the test ends."""
        child = subprocess.Popen(
            [*self.argv, *map(str, arguments)],
            cwd=cwd,
            env=self._env(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        self.started.append(child)
        return child

    def stop_all(self) -> None:
        for child in self.started:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
            for stream in (child.stdout, child.stderr):
                if stream is not None:
                    stream.close()

    def _env(self, changes: Mapping[str, str | None] | None) -> dict[str, str]:
        path = os.environ["PATH"].replace(
            str(PROGRAMS), os.pathsep.join(map(str, (PROGRAMS, *self.programs))), 1
        )
        env = {**os.environ, "PATH": path, **(changes or {})}
        return {name: value for name, value in env.items() if value is not None}


@pytest.fixture
def nbexp_cli() -> Iterator[Program]:
    """`nbexp_cli("run", "-S", "train.lr=0.1", cwd=project, code=0)`: the command line as a process."""
    program = Program((sys.executable, "-m", "nbexp.cli"))
    yield program
    program.stop_all()


@pytest.fixture
def dvc() -> Iterator[Program]:
    """Real DVC, called like `nbexp_cli`. Stages it runs find the same `python` as those of nbexp."""
    executable = DVC_PROGRAMS / "dvc"
    assert executable.exists(), "DVC, the oracle, is not installed: `make test` does it"
    program = Program((str(executable),), (DVC_PROGRAMS,))
    yield program
    program.stop_all()


class RunGit(Protocol):
    """`git("rev-parse", "HEAD", cwd=repo)`: what Git wrote, without the last line end."""

    def __call__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        code: int | None = 0,
        stdin: str | None = None,
        env: Mapping[str, str | None] | None = None,
    ) -> str: ...


@pytest.fixture
def git() -> RunGit:
    """Real Git; returns what it wrote to stdout, without the last line end."""
    return _git


def _git(
    *arguments: str | Path,
    cwd: Path | None = None,
    code: int | None = 0,
    stdin: str | None = None,
    env: Mapping[str, str | None] | None = None,
) -> str:
    ran = Program(("git",))(*arguments, cwd=cwd, code=code, stdin=stdin, env=env)
    return ran.stdout.removesuffix("\n")


@dataclass(frozen=True)
class GitCalls:
    """The Git processes started so far by whatever found `git` on PATH: this process or a child."""

    log: Path

    @property
    def calls(self) -> list[str]:
        """The arguments of each, joined by spaces, in the order they started."""
        return self.log.read_text(encoding="utf-8", errors="replace").split("\x1e\n")[:-1]

    def clear(self) -> None:
        """Count from here on."""
        self.log.write_text("")

    def __len__(self) -> int:
        return len(self.calls)


@pytest.fixture
def count_git(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> GitCalls:
    """Counts Git processes: `len(count_git)`, `count_git.calls`, `count_git.clear()`."""
    real = shutil.which("git")
    assert real is not None
    folder = tmp_path_factory.mktemp("count-git")
    counted = GitCalls(folder / "log")
    counted.clear()
    wrapper = folder / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f"#!/bin/sh\nprintf '%s\\036\\n' \"$*\" >>'{counted.log}'\nexec '{real}' \"$@\"\n"
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(wrapper.parent), os.environ["PATH"])))
    return counted


@dataclass(frozen=True)
class Page:
    """A page after its scripts ran: `dom` is its HTML, `picture` a PNG of the window."""

    dom: str
    picture: Path


@pytest.fixture
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Page]:
    """`chromium(path_or_url, width=1280, height=1600)`: opens the page in a headless browser."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    assert executable is not None, "no Chromium: `apt-get install chromium`, or `make test`"

    def look(page: Path | str, *, width: int = 1280, height: int = 1600) -> Page:
        folder = tmp_path_factory.mktemp("chromium")
        picture = folder / "page.png"
        ran = Program((executable,))(
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--hide-scrollbars", "--allow-file-access-from-files",
            f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}",
            # Waits for the page's timers and requests, without waiting in real time.
            "--virtual-time-budget=10000", f"--screenshot={picture}", "--dump-dom",
            page.resolve().as_uri() if isinstance(page, Path) else page,
        )  # fmt: skip
        return Page(ran.stdout, picture)

    return look


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--write-pictures`: what the documentation shows of the panels, as the tests see them."""
    parser.addoption(
        "--write-pictures", action="store_true", help="write pictures of panels into docs/_static"
    )


# --- Jupyter in a browser -----------------------------------------------------------------------

SCREENSHOTS = ROOT / "build" / "screenshots"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Tells fixtures whether their test failed: `request.node.stash`."""
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


_FAILED = pytest.StashKey[bool]()


def load(path: Path) -> ModuleType:
    """A module of the tests, which are no package, by its path."""
    name = f"nbexp_tests_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def _browsing() -> ModuleType:
    return load(ROOT / "tests" / "browsing.py")


@pytest.fixture(scope="session")
def _jupyter_servers(
    _environment: Path, _browsing: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Any]]:
    """Each application's server, started when it is first asked for."""
    started: dict[str, Any] = {}

    def server(app: str) -> Any:
        if app not in started:
            # Every `tmp_path` is below.
            folder = tmp_path_factory.getbasetemp()
            started[app] = _browsing.Server(app, folder, _environment / f"jupyter-{app}")
        return started[app]

    yield server
    for one in started.values():
        one.close()


@pytest.fixture
def _browser(_browsing: ModuleType) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    # Not for the session: while Playwright is there, its event loop runs in this thread, and `asyncio.run` of
    # other tests would be refused. To start a browser takes a fifth of what it takes to open JupyterLab in it.
    with sync_playwright() as playwright:
        browser = _browsing.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_notebook(
    _browsing: ModuleType,
    _jupyter_servers: Callable[[str], Any],
    _browser: Any,
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., Any]]:
    """`tab = open_notebook(folder, ["%load_ext nbexp", "%exp show"])`: a notebook in a real browser, kernel ready.

    `folder` is below `tmp_path`; the cells are written to `name` ("lab.ipynb") in it, or, where there are none,
    that notebook is opened as it is. `app` is "lab" or "notebook", `theme` "light" or "dark", `width` 1280 and
    `height` 1000 pixels. The kernel has the HOME of the session, not the test's. What comes back is a
    `browsing.Tab`: `page` (Playwright's), `run_all()`, `command(name)`, `cells()`, `text()`, `save()`,
    `findings(selector)` of axe-core, `outside` and `errors`.

    When the test ends, nothing may have asked for another machine and no script may have raised; of a test that
    failed, a picture of each tab is in build/screenshots.
    """
    tabs: list[Any] = []
    used: set[Any] = set()

    def opened(folder: Path, cells: Any = (), *, app: str = "lab", **options: Any) -> Any:
        server = _jupyter_servers(app)
        used.add(server)
        tab = _browsing.open_tab(server, _browser, folder, cells, **options)
        tabs.append(tab)
        return tab

    yield opened
    failed = request.node.stash.get(_FAILED, True)
    for number, tab in enumerate(tabs):
        if failed:
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            name = re.sub(r"\W+", "-", request.node.nodeid.partition("::")[2]).strip("-")
            tab.page.screenshot(path=SCREENSHOTS / f"{name}-{number}.png")
        tab.page.context.close()
    for server in used:
        server.end_sessions()
    if not failed:
        assert [url for tab in tabs for url in tab.outside] == []
        assert [error for tab in tabs for error in tab.errors] == []


# --- Projects -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _repo_template(_environment: Path) -> Path:
    """Made once: copying a small repository costs a ninth of making it."""
    folder = _environment / "template"
    folder.mkdir()
    # No template: sample hooks would be copied with every test.
    _git("init", "--quiet", "--template=", cwd=folder)
    (folder / "README.md").write_text("# A project\n")
    _git("add", "README.md", cwd=folder)
    _git("commit", "--quiet", "--message=first", cwd=folder)
    return folder


@pytest.fixture
def repo(_repo_template: Path, tmp_path: Path) -> Path:
    """A Git repository of one commit on `main`, holding README.md: the folder `repo` of `tmp_path`."""
    return Path(shutil.copytree(_repo_template, tmp_path / "repo", symlinks=True))


class MakePipelineProject(Protocol):
    """See `pipeline_project`."""

    def __call__(
        self, folder: str = "project", *, language: str = "sh", stages: int = 2, subdir: str = ""
    ) -> Path: ...


@pytest.fixture
def pipeline_project(_repo_template: Path, tmp_path: Path) -> MakePipelineProject:
    """Makes a committed DVC project whose results are exact: `pipeline_project()` is its path.

    `prepare` (params prepare.rows) makes the directory `prepared` from data/raw.csv; `train` (params
    train.lr, train.epochs and seed) makes model.txt, plots/acc.csv and metrics.json, the last two with
    `cache: false`. As in product examples, acc is 0.95 - |lr - 0.03| - 0.05 / epochs + 0.001 * seed:
    0.8633 for the lr 0.1 and the 3 epochs it starts with, 0.9333 for lr 0.03.

    Parameters
    ----------
    folder
        Its name below `tmp_path`; may have several parts. Two projects with the same arguments have the
        same files, not the same commits: copy one (`shutil.copytree(a, b, symlinks=True)`) for that.
    language
        `"sh"`: the stages' commands are shell and awk, 5 ms each; `"python"`: Python scripts, 40 ms.
    stages
        1: `prepare` alone; more than 2: after `train` a chain `report-1`, `report-2`, …, each of which
        copies what the one before it made.
    subdir
        Where in the repository dvc.yaml and its files stand; `.dvc` is always at the top.
    """

    def make(
        folder: str = "project", *, language: str = "sh", stages: int = 2, subdir: str = ""
    ) -> Path:
        top = Path(shutil.copytree(_repo_template, tmp_path / folder, symlinks=True))
        # As `dvc init` leaves it, but for the comment in .dvcignore.
        files = {
            ".dvc/config": "",
            ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
            ".dvcignore": "",
        }
        for path, text in _pipeline_files(language, stages).items():
            files[(Path(subdir) / path).as_posix()] = text
        for path, text in files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text)
        _git("add", "--all", cwd=top)
        _git("commit", "--quiet", "--message=pipeline", cwd=top)
        return top

    return make


def _pipeline_files(language: str, stages: int) -> dict[str, str]:
    suffix, program = {"sh": ("sh", "sh"), "python": ("py", "python")}[language]
    blocks = [
        f"""\
  prepare:
    cmd: {program} prepare.{suffix}
    deps:
    - data/raw.csv
    - prepare.{suffix}
    params:
    - prepare.rows
    outs:
    - prepared
"""
    ]
    if stages > 1:
        blocks.append(f"""\
  train:
    cmd: {program} train.{suffix}
    deps:
    - prepared
    - train.{suffix}
    params:
    - seed
    - train.epochs
    - train.lr
    outs:
    - model.txt
    metrics:
    - metrics.json:
        cache: false
    plots:
    - plots/acc.csv:
        x: step
        y: acc
        cache: false
""")
    for number in range(1, stages - 1):
        source = "model.txt" if number == 1 else f"report-{number - 1}.txt"
        blocks.append(f"""\
  report-{number}:
    cmd: cp {source} report-{number}.txt
    deps:
    - {source}
    outs:
    - report-{number}.txt
""")
    files = {
        "data/raw.csv": "x,y\n" + "".join(f"{n},{n * n % 17}\n" for n in range(1, 41)),
        "params.yaml": _PARAMS,
        "dvc.yaml": "stages:\n" + "".join(blocks),
        f"prepare.{suffix}": _PREPARE_SH if language == "sh" else _PREPARE_PY,
    }
    if stages > 1:
        files[f"train.{suffix}"] = _TRAIN_SH if language == "sh" else _TRAIN_PY
    return files


@pytest.fixture
def training_project(_repo_template: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a committed DVC project whose stage makes a checkpoint after each epoch: `training_project()` is its path.

    `train` (params lr, epochs) makes the directory `model`, whose weights.txt is the number of the last epoch,
    and metrics.json (`cache: false`); `report`, behind it, report.txt. It goes on from the model that is there.
    With `TROUBLE=exit@3` in the environment it ends with exit code 3 after epoch 3, with `kill@3` by SIGKILL, with
    `wait@3` it waits until it is stopped.
    """

    def make(folder: str = "project") -> Path:
        top = Path(shutil.copytree(_repo_template, tmp_path / folder, symlinks=True))
        for path, text in _TRAINING.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text)
        _git("add", "--all", cwd=top)
        _git("commit", "--quiet", "--message=training", cwd=top)
        return top

    return make


_TRAINING = {
    ".dvc/config": "",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvcignore": "",
    "params.yaml": "lr: 0.5\nepochs: 4\n",
    "dvc.yaml": """\
stages:
  train:
    cmd: python train.py
    deps:
    - train.py
    params:
    - epochs
    - lr
    outs:
    - model
    metrics:
    - metrics.json:
        cache: false
  report:
    cmd: cp model/weights.txt report.txt
    deps:
    - model
    outs:
    - report.txt
""",
    "train.py": """\
import json, os, signal, sys, time
from pathlib import Path

from nbexp import live

params = dict(line.split(": ") for line in Path("params.yaml").read_text().splitlines())
trouble = os.environ.get("TROUBLE", "")
weights = Path("model/weights.txt")
done = int(weights.read_text()) if weights.exists() else 0
print(f"from epoch {done}, step {live.resumed_step()}", flush=True)
for epoch in range(done + 1, int(params["epochs"]) + 1):
    weights.parent.mkdir(exist_ok=True)
    weights.write_text(f"{epoch}\\n")
    acc = round(1 - float(params["lr"]) / epoch, 4)
    Path("metrics.json").write_text(json.dumps({"acc": acc, "epoch": epoch}) + "\\n")
    print(f"epoch {epoch} is step {live.checkpoint()}", flush=True)
    if trouble == f"exit@{epoch}":
        sys.exit(3)
    if trouble == f"kill@{epoch}":
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == f"wait@{epoch}":
        Path("waiting").touch()
        time.sleep(600)
""",
}


_PARAMS = """\
# Chosen by hand.
prepare:
  rows: 20
train:
  lr: 0.1  # the step size
  epochs: 3
seed: 0
"""

_PREPARE_SH = """\
set -eu
rows=$(awk '$1 == "rows:" { print $2 }' params.yaml)
rm -rf prepared
mkdir -p prepared/parts
head -n "$((rows + 1))" data/raw.csv > prepared/train.csv
tail -n 5 data/raw.csv > prepared/parts/test.csv
echo "$rows rows"
"""

_TRAIN_SH = """\
set -eu
mkdir -p plots
awk '
    $1 == "lr:" { lr = $2 } $1 == "epochs:" { epochs = $2 } $1 == "seed:" { seed = $2 }
    END {
        print "step,acc" > "plots/acc.csv"
        off = lr > 0.03 ? lr - 0.03 : 0.03 - lr
        for (step = 1; step <= epochs; step++) {
            acc = 0.95 - off - 0.05 / step + 0.001 * seed
            printf "%d,%.4f\\n", step, acc > "plots/acc.csv"
            printf "epoch %d acc %.4f\\n", step, acc
        }
        printf "{\\"acc\\": %.4f, \\"steps\\": {\\"last\\": %d}}\\n", acc, epochs > "metrics.json"
    }
' params.yaml
{ tail -n 1 plots/acc.csv; cat prepared/train.csv; } > model.txt
"""

_PREPARE_PY = """\
import shutil
from pathlib import Path

import yaml

rows = yaml.safe_load(Path("params.yaml").read_text())["prepare"]["rows"]
lines = Path("data/raw.csv").read_text().splitlines(keepends=True)
shutil.rmtree("prepared", ignore_errors=True)
Path("prepared/parts").mkdir(parents=True)
Path("prepared/train.csv").write_text("".join(lines[: rows + 1]))
Path("prepared/parts/test.csv").write_text("".join(lines[-5:]))
print(rows, "rows")
"""

_TRAIN_PY = """\
from pathlib import Path

import yaml

params = yaml.safe_load(Path("params.yaml").read_text())
lr, epochs = params["train"]["lr"], params["train"]["epochs"]
curve = []
for step in range(1, epochs + 1):
    acc = 0.95 - abs(lr - 0.03) - 0.05 / step + 0.001 * params["seed"]
    curve.append(f"{step},{acc:.4f}\\n")
    print(f"epoch {step} acc {acc:.4f}")
Path("plots").mkdir(exist_ok=True)
Path("plots/acc.csv").write_text("step,acc\\n" + "".join(curve))
Path("metrics.json").write_text(f'{{"acc": {acc:.4f}, "steps": {{"last": {epochs}}}}}\\n')
Path("model.txt").write_text(curve[-1] + Path("prepared/train.csv").read_text())
"""
