"""The ways in which a notebook's processes come to be differ in speed alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest

from nbexp.errors import StageFailed, UsageError
from nbexp.events import ignore
from nbexp.pipeline import kinds, process
from nbexp.pipeline.kinds.notebook import preloading, starting, zygote

LINE = "nbexp notebook train.ipynb runs/train.ipynb"
ZYGOTE = Path(zygote.__file__)


def write(folder: Path, *cells: str, kernel: str = "python3") -> Path:
    """`train.ipynb` of these code cells."""
    folder.mkdir(parents=True, exist_ok=True)
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    for number, cell in enumerate(node.cells):
        cell["id"] = f"c{number}"
    node.metadata["kernelspec"] = {"name": kernel, "language": "python", "display_name": kernel}
    nbformat.write(node, folder / "train.ipynb")
    return folder


def run(folder: Path, **env: str) -> list[Any]:
    """Run `train.ipynb`; the outputs of its cells."""
    run_dir = folder / ".dvc" / "tmp" / "run"
    known = {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}
    job = kinds.Job("train", LINE, folder, folder, {**known, **env}, run_dir / "train.log", run_dir)
    kinds.run(job, ignore)
    node = nbformat.read(folder / "runs" / "train.ipynb", 4)
    return [cell.outputs for cell in node.cells]


def said(folder: Path, **env: str) -> list[str]:
    """Run `train.ipynb`; what each cell printed."""
    return ["".join(output.get("text", "") for output in cell) for cell in run(folder, **env)]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in {b"Z", b"X"}


def below(root: int) -> set[int]:
    """The running processes that descend from `root`."""
    parents: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] not in {b"Z", b"X"}:
            parents.setdefault(int(fields[1]), []).append(int(name))
    found: set[int] = set()
    todo = [root]
    while todo:
        for pid in parents.get(todo.pop(), []):
            found.add(pid)
            todo.append(pid)
    return found


def until(is_so: Callable[[], object], within_s: float = 240) -> bool:
    """Wait for a condition; whether it came."""
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


# ---- the same results


_RICH = (
    "lr = 0.1",
    "import numpy as np, pandas as pd\nfrom matplotlib import pyplot as plt",
    "pd.DataFrame({'x': np.arange(3) * lr})",
    "plt.plot([1, 2, 4])\nplt.title('a curve')\nplt.show()",
    "import warnings\nwarnings.warn('careful')\nprint({'b': 1, 'a': 2})\nimport sys\nprint('!', file=sys.stderr)",
    "%env\nNone",
    "import os, threading\nprint(sys.path[0] == '', sys.argv[1], __name__, os.getcwd().startswith('/'))",
    "def f(n):\n    return 1 / n\ntry:\n    f(0)\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()\n    raise SystemExit",
)  # fmt: skip


def test_the_ways_write_equal_bytes(tmp_path: Path, choose: Callable[[str], None]) -> None:
    results = {}
    for name in ("papermill", "pool", "pool", "fork", "fork-alone"):
        choose(name)
        folder = tmp_path / f"{name}-{len(results)}"
        write(folder, *_RICH)
        try:
            run(folder)
        except StageFailed:
            kept = folder / ".dvc/tmp/run/train.ipynb"
        else:
            kept = folder / "runs/train.ipynb"
        results[folder.name] = kept.read_bytes()
    assert b"image/png" in results["papermill-0"]
    assert b"text/html" in results["papermill-0"]
    assert {
        name: data == results["papermill-0"] for name, data in results.items()
    } == dict.fromkeys(results, True)


_INSIDE = """
import json, os, sys
loaded = sorted(set(sys.modules) - {"gc"})
env = {name: os.environ[name] for name in os.environ if not name.startswith(("NBEXP_", "JPY_"))}
umask = os.umask(0o22)
os.umask(umask)
files = len(os.listdir("/proc/self/fd"))
facts = [loaded, env, sys.path, sys.argv[0], sys.orig_argv[:4], repr(sys.flags), umask, os.getcwd()]
open("inside.json", "w").write(json.dumps(facts))
"""


def test_a_forked_kernel_finds_what_a_started_one_finds(
    tmp_path: Path, choose: Callable[[str], None]
) -> None:
    folder = write(tmp_path, _INSIDE)
    found = {}
    for name in ("papermill", "fork"):
        choose(name)
        run(folder, LR="0.1")
        found[name] = json.loads((folder / "inside.json").read_text())
    for started, forked in zip(found["papermill"], found["fork"], strict=True):
        assert forked == started


@pytest.mark.usefixtures("way")
def test_each_run_has_a_kernel_that_served_no_other(tmp_path: Path) -> None:
    cells = (
        "import os, random, sys, tempfile\nprint(os.getpid(), random.random())",
        "print('left' in dir(sys), os.environ.get('LEFT'))\nsys.left = 1\nos.environ['LEFT'] = '1'",
        "import numpy as np\nprint(np.random.random())",
    )
    folder = write(tmp_path, *cells)
    first, second, third = said(folder), said(folder), said(folder)
    assert len({first[0].split()[0], second[0].split()[0], third[0].split()[0]}) == 3
    assert first[1] == second[1] == third[1] == "False None\n"
    # Generators are seeded anew, those of libraries that were loaded ahead as well.
    assert len({first[0].split()[1], second[0].split()[1], third[0].split()[1]}) == 3
    assert len({first[2], second[2], third[2]}) == 3


@pytest.mark.usefixtures("way")
def test_input_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(StageFailed) as error:
        run(write(tmp_path, "x = 1", "input('name? ')"))
    assert error.value.cell == 2
    assert "StdinNotImplementedError" in error.value.message


@pytest.mark.usefixtures("way")
def test_widgets_children_and_pictures_work_in_the_kernel(tmp_path: Path) -> None:
    cells = (
        "%matplotlib inline\nfrom matplotlib import pyplot as plt\nplt.plot([1, 2]);",
        "import ipywidgets\nw = ipywidgets.IntSlider(value=3)\nw.value = 5\nw",
        "import math, multiprocessing as mp",
        "with mp.get_context('fork').Pool(2) as pool:\n    print(pool.map(math.sqrt, [1, 4, 9]))",
        "with mp.get_context('spawn').Pool(1) as pool:\n    print(pool.map(math.sqrt, [16]))",
        "import subprocess\nprint(subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout)",
        "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')",
        "import threading\nt = threading.Thread(target=lambda: print('thread'))\nt.start(); t.join()",
    )
    outputs = run(write(tmp_path, *cells))
    assert outputs[0][-1].data["image/png"].startswith("iVBOR")
    assert "application/vnd.jupyter.widget-view+json" in outputs[1][0].data
    texts = ["".join(output.get("text", "") for output in cell) for cell in outputs[3:]]
    assert texts == ["[1.0, 2.0, 3.0]\n", "[4.0]\n", "child\n\n", "awaited\n", "thread\n"]
    node = nbformat.read(tmp_path / "runs/train.ipynb", 4)
    states = node.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert 5 in [model["state"].get("value") for model in states.values()]


@pytest.mark.usefixtures("way")
def test_the_end_of_the_kernel_does_what_the_end_of_an_interpreter_does(tmp_path: Path) -> None:
    module = "import zipfile\nkept = open('of-module', 'w')\nkept.write('m')\nz = zipfile.ZipFile('of-module.zip', 'w')\nz.writestr('a', 'b')\n"
    (tmp_path / "own.py").write_text(module)
    cells = (
        "import atexit, own, threading, time, zipfile\nf = open('of-cell', 'w')\nNone",
        "_ = f.write('c')\nz = zipfile.ZipFile('of-cell.zip', 'w')\nz.writestr('a', 'b')",
        "_ = atexit.register(lambda: open('handler', 'w').write('h'))",
        "def late():\n    time.sleep(0.3)\n    open('late', 'w').write('t')\nthreading.Thread(target=late).start()",
    )
    run(write(tmp_path, *cells))
    wrote = {
        name: (tmp_path / name).read_text() for name in ("of-module", "of-cell", "handler", "late")
    }
    assert wrote == {"of-module": "m", "of-cell": "c", "handler": "h", "late": "t"}
    import zipfile

    for name in ("of-module.zip", "of-cell.zip"):
        assert zipfile.ZipFile(tmp_path / name).read("a") == b"b"


@pytest.mark.usefixtures("way")
def test_what_a_notebook_leaves_in_the_background_lives_on(tmp_path: Path) -> None:
    cell = "import subprocess\nprint(subprocess.Popen(['sleep', '60'], start_new_session=True, stdout=-3, stderr=-3).pid)"
    pid = int(said(write(tmp_path, cell))[0])
    try:
        assert is_running(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


# ---- what is loaded ahead


def test_libraries_are_those_that_the_first_cells_import() -> None:
    def loaded(*cells: str, **env: str) -> tuple[str, ...]:
        return preloading.libraries(cells, Path("/nowhere"), {"HOME": "/nowhere", **env})

    assert loaded("import numpy as np") == ("numpy",)
    assert loaded("x = 1", "import os, pandas as pd\nfrom numpy import linalg") == (
        "numpy",
        "pandas",
    )
    assert loaded("from PIL import Image") == ("PIL.Image",)
    assert "matplotlib" in loaded("import matplotlib.pyplot as plt")
    assert loaded("import matplotlib.pyplot as plt", MATPLOTLIBRC="/x") == ()
    assert loaded("import torch, tensorflow, polars, helpers") == ()
    assert loaded("# import numpy", "'''import'''") == ()
    # What comes before may change how they load, or which ones.
    for change in (
        "import os\nos.environ['OMP_NUM_THREADS'] = '1'",
        "%env OMP_NUM_THREADS=1",
        "import sys\nsys.path.insert(0, 'vendored')",
        "%pip install numpy",
    ):
        assert loaded(change, "import numpy") == ()
        assert loaded("import numpy", change) == ("numpy",)


def test_a_module_of_the_project_wins_over_a_library_of_its_name(
    tmp_path: Path, choose: Callable[[str], None]
) -> None:
    choose("fork")
    plain = write(tmp_path / "plain", "import numpy\nprint(numpy.__file__)")
    assert "site-packages" in said(plain)[0]
    shadowed = write(tmp_path / "shadowed", "import numpy\nprint(numpy.mine)")
    (shadowed / "numpy.py").write_text("mine = 'mine'\n")
    assert said(shadowed) == ["mine\n"]
    assert "site-packages" in said(plain)[0]


def test_a_variable_set_before_the_import_is_heeded(
    tmp_path: Path, choose: Callable[[str], None]
) -> None:
    choose("fork")
    said(write(tmp_path, "import numpy"))
    cell = "import os\nos.environ['MPLBACKEND'] = 'svg'\nimport numpy, matplotlib\nprint(matplotlib.get_backend())"
    assert said(write(tmp_path, cell)) == ["svg\n"]


# ---- how much is started


@pytest.fixture
def boots(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], int]:
    """How many Python interpreters were started since."""
    folder = tmp_path_factory.mktemp("count")
    log = folder / "log"
    log.touch()
    source = f"import os\nopen({str(log)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
    (folder / "sitecustomize.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return lambda: len(log.read_text().splitlines())


def test_interpreters_are_started_once_however_many_notebooks_run(
    tmp_path: Path, choose: Callable[[str], None], boots: Callable[[], int]
) -> None:
    choose("fork")
    cell = "import os, pandas\nprint(os.getpid())"
    pids = {said(write(tmp_path / "0", cell))[0]}
    once = boots()
    for number in range(1, 6):
        pids.add(said(write(tmp_path / str(number), cell))[0])
    assert len(pids) == 6
    assert (once, boots()) == (1, 1)
    # Papermill's way, beside it: a runner and a kernel for each.
    choose("papermill")
    said(write(tmp_path / "papermill", cell))
    assert boots() == 3


def test_another_environment_has_templates_of_its_own(
    tmp_path: Path, choose: Callable[[str], None], boots: Callable[[], int]
) -> None:
    choose("fork")
    folder = write(tmp_path, "import os\nprint(hash('nbexp'), os.environ.get('DVC_X'))")
    first = said(folder, PYTHONHASHSEED="1", DVC_X="1")
    again = said(folder, PYTHONHASHSEED="1", DVC_X="2")
    assert (first[0].split()[0], boots()) == (again[0].split()[0], 1)
    assert [text.split()[1] for text in (*first, *again)] == ["1", "2"]
    other = said(folder, PYTHONHASHSEED="2", DVC_X="1")
    assert other[0].split()[0] != first[0].split()[0]
    assert boots() == 2


def test_the_pool_has_the_next_kernel_ready_and_no_used_one(
    tmp_path: Path, choose: Callable[[str], None], boots: Callable[[], int]
) -> None:
    choose("pool")
    folder = write(
        tmp_path,
        "import os\nprint(os.getpid(), os.environ['DVC_X'], os.path.basename(os.getcwd()))",
    )
    pid, *_ = said(folder, DVC_X="first")[0].split()
    # Two for the run, and two for the next one, which have come up when the second says so.
    assert until(lambda: boots() >= 4), boots()
    second = said(
        write(
            tmp_path / "deep",
            "import os\nprint(os.getpid(), os.environ['DVC_X'], os.path.basename(os.getcwd()))",
        ),
        DVC_X="second",
    )
    assert second[0].split()[1:] == ["second", "deep"]
    assert second[0].split()[0] != pid


def test_what_cannot_be_forked_is_started(
    tmp_path: Path, choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("fork")
    kernels = tmp_path / "jupyter" / "kernels"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nOTHER=1 exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    argv = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    for name, spec in {
        "other": {"argv": [str(python), *argv]},
        "own-variables": {"argv": [sys.executable, *argv], "env": {"OTHER": "1"}},
    }.items():
        (kernels / name).mkdir(parents=True)
        about = {"display_name": name, "language": "python", **spec}
        (kernels / name / "kernel.json").write_text(json.dumps(about))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for name in ("other", "own-variables"):
        folder = write(tmp_path / name, "import os\nprint(os.environ['OTHER'])", kernel=name)
        for _ in range(3):  # as found out, from the pool cold, from the pool warm
            assert said(folder) == ["1\n"]
        assert starting._owned.unforkable[name] == "pool"


def test_a_process_that_cannot_be_forked_safely_is_not(
    tmp_path: Path, choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("fork")
    site = tmp_path / "site"
    site.mkdir()
    threads = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    (site / "sitecustomize.py").write_text(threads)
    monkeypatch.setenv("PYTHONPATH", str(site))
    # The command line that the system shows is that of what was started.
    folder = write(tmp_path, "print(b'zygote' in open('/proc/self/cmdline', 'rb').read())")
    try:
        for _ in range(2):
            assert said(folder) == ["False\n"]
        assert starting._owned.unforkable["python3"] == "pool"
    finally:
        starting._owned.unforkable.clear()


def test_templates_that_do_not_come_up_are_done_without(
    tmp_path: Path, choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("fork")
    site = tmp_path / "site"
    site.mkdir()
    broken = "import sys\nif 'zygote.py' in ' '.join(sys.orig_argv):\n    raise SystemExit(1)\n"
    (site / "sitecustomize.py").write_text(broken)
    monkeypatch.setenv("PYTHONPATH", str(site))
    folder = write(tmp_path, "print('ran')")
    assert said(folder) == ["ran\n"]
    assert said(folder) == ["ran\n"]


def test_a_way_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        run(write(tmp_path, "print(1)"), NBEXP_KERNELS="frok")
    assert error.value.message == "NBEXP_KERNELS is `frok`. Nothing was run."
    assert error.value.hint == "it is one of fork, pool, papermill."
    assert not (tmp_path / "runs").exists()


def test_templates_are_replaced_when_a_package_was_installed(
    tmp_path: Path, choose: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("fork")
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.syspath_prepend(str(packages))
    folder = write(tmp_path, "print('ran')")
    run(folder)
    before = starting._owned.templates[-1].program.pid
    run(folder)
    assert starting._owned.templates[-1].program.pid == before
    (packages / "new-1.0.dist-info").mkdir()
    os.utime(packages, ns=(1, 1))
    run(folder)
    assert starting._owned.templates[-1].program.pid != before
    assert until(lambda: not is_running(before))


# ---- ends


_OWNER = """
import json, os, sys
from pathlib import Path
from nbexp.pipeline import kinds
folder = Path(sys.argv[1])
run_dir = folder / ".dvc" / "tmp" / "run"
for line in ("nbexp notebook warm/train.ipynb warm/o.ipynb", "nbexp notebook train.ipynb runs/train.ipynb"):
    job = kinds.Job("train", line, folder, folder, dict(os.environ), run_dir / "log", run_dir)
    kinds.run(job, lambda event: None)
"""
_BUSY = """
import os, subprocess, sys, time
child = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; time.sleep(600)"
plain = subprocess.Popen([sys.executable, "-c", child])
daemon = subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
open("pids.tmp", "w").write(f"{os.getpid()} {plain.pid} {daemon.pid}")
os.rename("pids.tmp", "pids")
time.sleep(600)
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[bytes], list[int]]]]:
    """A process that runs a short notebook and is in the middle of the next, and the pids of that one's kernel."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[subprocess.Popen[bytes], list[int]]:
        write(tmp_path / "warm", "x = 1")
        write(tmp_path, _BUSY)
        env = {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}
        program = subprocess.Popen(
            [sys.executable, "-c", _OWNER, str(tmp_path)], env=env, stderr=subprocess.PIPE
        )
        started.append(program)
        assert until((tmp_path / "pids").exists), program.poll()
        return program, [int(text) for text in (tmp_path / "pids").read_text().split()]

    yield start
    for program in started:
        program.kill()
        program.communicate()


def test_a_killed_owner_leaves_nothing(
    way: str, owner: Callable[[], tuple[subprocess.Popen[bytes], list[int]]]
) -> None:
    program, busy = owner()
    every = below(program.pid) | set(busy)
    program.kill()
    assert until(lambda: not [pid for pid in every if is_running(pid)], 15), way


def test_an_owner_that_ends_well_leaves_nothing(tmp_path: Path, way: str) -> None:
    write(tmp_path / "warm", "x = 1")
    write(tmp_path, "x = 1")
    env = {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}
    marker = f"test{os.getpid()}{way}"
    ran = subprocess.run(
        [sys.executable, "-c", _OWNER, str(tmp_path)],
        env={**env, "NBEXP_ITEM": marker},
        check=True,
        capture_output=True,
        timeout=300,
    )
    assert ran.stdout == b""

    def left() -> list[int]:
        pids = filter(str.isdigit, os.listdir("/proc"))
        return [
            int(pid)
            for pid in pids
            if is_running(int(pid)) and process._is_marked(int(pid), marker)
        ]

    assert until(lambda: not left(), 15), left()


def roles(program: subprocess.Popen[bytes], kernel: int) -> dict[str, int]:
    """The processes of a forked run, by what they are."""
    templates = next(
        pid for pid in below(program.pid) if b"zygote.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        and parent(pid) == program.pid
    )  # fmt: skip
    keeper = parent(kernel)
    return {"runners": templates, "kernels": parent(keeper), "keeper": keeper, "kernel": kernel}


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


@pytest.mark.parametrize("name", ["fork", "fork-alone"])
@pytest.mark.parametrize("victim", ["runners", "runner", "keeper", "kernel"])
def test_whoever_is_killed_the_run_fails_and_nothing_is_left(
    name: str,
    victim: str,
    tmp_path: Path,
    choose: Callable[[str], None],
    owner: Callable[[], tuple[subprocess.Popen[bytes], list[int]]],
) -> None:
    choose(name)
    program, busy = owner()
    found = roles(program, busy[0])
    noted = [
        json.loads(line)
        for line in (tmp_path / ".dvc/tmp/run/processes.jsonl").read_text().splitlines()
    ]
    # The owner notes the runner, the runner the kernel: in either order.
    (found["runner"],) = {note["pid"] for note in noted[-2:]} - {busy[0]}
    os.kill(found[victim], signal.SIGKILL)
    assert program.wait(60) == 1
    assert program.stderr is not None
    told = program.stderr.read().decode()
    if victim == "kernel":
        assert "killed by signal 9 (SIGKILL, likely out of memory)" in told
    every = {*busy, *(pid for role, pid in found.items())}
    assert until(lambda: not [pid for pid in every if is_running(pid)], 15), (victim, found, busy)


@pytest.mark.parametrize("name", ["fork", "fork-alone"])
def test_the_next_run_is_right_after_a_template_was_killed(
    name: str, tmp_path: Path, choose: Callable[[str], None]
) -> None:
    choose(name)
    folder = write(tmp_path, "import os\nprint(os.getppid())")
    said(folder)
    for role in ("kernels", "runners"):
        said(folder)
        runners = starting._owned.templates[-1].program.pid
        kernels = next(pid for pid in below(runners) if parent(pid) == runners)
        os.kill({"kernels": kernels, "runners": runners}[role], signal.SIGKILL)
        for _ in range(3):
            assert int(said(folder)[0]) > 0


def test_a_kernel_is_noted_before_its_first_cell(tmp_path: Path, way: str) -> None:
    cell = "import json, os\nnoted = [json.loads(l) for l in open(os.environ['NBEXP_RUN_DIR'] + '/processes.jsonl')]\nprint([os.getpid(), os.getpgid(0)] in [[n['pid'], n['group']] for n in noted])"
    assert said(write(tmp_path, cell)) == ["True\n"], way


@pytest.mark.usefixtures("way")
def test_the_marker_of_the_run_shows_in_its_processes(tmp_path: Path) -> None:
    cell = (
        "import os\n"
        "marker = os.environ['NBEXP_ITEM'].encode()\n"
        "print(b'NBEXP_ITEM=' + marker + b'\\0' in open('/proc/self/environ', 'rb').read() + b'\\0')"
    )
    if os.environ["NBEXP_KERNELS"] != "pool":  # there, a kernel that waits belongs to no run yet
        assert said(write(tmp_path, cell)) == ["True\n"]


def test_what_one_owner_keeps_waiting_is_not_marked_as_anothers() -> None:
    markers = {zygote.marker_with_room(None), zygote.marker_with_room(None)}
    below = {zygote.marker_with_room("outer"), zygote.marker_with_room("outer")}
    assert len(markers | below) == 4
    assert {len(marker) for marker in markers | below} == {240}
    assert all(marker.startswith("outer.") for marker in below)


def test_an_idle_template_ends_by_itself() -> None:
    ours, theirs = socket.socketpair()
    source = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('zygote', {str(ZYGOTE)!r})\n"
        "zygote = importlib.util.module_from_spec(spec)\nsys.modules['zygote'] = zygote\n"
        "spec.loader.exec_module(zygote)\n"
        "zygote._Runners.idle_s = 2\n"
        "try:\n    zygote.serve(sys.argv[1:])\nexcept zygote._Forked as fork:\n    fork.life()\n"
    )
    with ours, theirs:
        program = subprocess.Popen(
            [sys.executable, "-c", source, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
        )
        assert until(lambda: below(program.pid))  # the template of kernels is there
        every = below(program.pid)
        assert program.wait(60) == 0
        assert until(lambda: not [pid for pid in every if is_running(pid)])


def test_looking_at_notebooks_starts_nothing(tmp_path: Path) -> None:
    write(tmp_path, "x = 1")
    script = (
        "import nbexp, os, subprocess, sys\n"
        "from nbexp.pipeline import kinds\n"
        f"assert kinds.notebook_source({LINE!r}) == 'train.ipynb'\n"
        "from IPython.testing.globalipapp import start_ipython\n"
        "shell = start_ipython()\n"
        "shell.run_line_magic('load_ext', 'nbexp')\n"
        "assert 'nbexp.pipeline.kinds.notebook.starting' not in sys.modules\n"
        "pids = [p for p in os.listdir('/proc') if p.isdigit()]\n"
        "print([p for p in pids if os.path.exists(f'/proc/{p}/stat') and "
        "open(f'/proc/{p}/stat').read().rpartition(')')[2].split()[1] == str(os.getpid())])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"


def told(env: Mapping[str, str]) -> str:
    return starting.way(env)


def test_the_way_is_the_fastest_that_the_system_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told({}) == "fork"
    assert [told({"NBEXP_KERNELS": name}) for name in starting.WAYS] == [
        "fork",
        "pool",
        "papermill",
    ]
    monkeypatch.setattr(starting.sys, "platform", "darwin")
    assert told({}) == "pool"
    assert told({"NBEXP_KERNELS": "fork"}) == "fork"
    monkeypatch.delattr(os, "fork")
    assert told({}) == told({"NBEXP_KERNELS": "fork"}) == "pool"
