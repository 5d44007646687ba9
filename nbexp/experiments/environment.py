"""What a run was asked and where it ran: command line, machine, Python, packages, GPU.

All of it is found without starting a program, or is remembered: it is asked in every run.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from nbexp.experiments import notes
from nbexp.experiments.spec import Spec
from nbexp.formats.secrets import words_without_secrets
from nbexp.frozen import field, frozen
from nbexp.pipeline import kinds
from nbexp.pipeline.stage import Stage
from nbexp.store.cache import Cache
from nbexp.version import __version__

if TYPE_CHECKING:
    import subprocess

    from nbexp.git import Git
    from nbexp.pipeline.execute import Outcome

# The form of what is remembered; a new form gets a new number.
_PYTHON = "python-1"
_GPU = "gpu-1"

_PATIENCE_S = 5.0


@frozen
class Python:
    """The Python that stages use: its version, and the packages that it finds, by name."""

    version: str
    packages: Mapping[str, str] = field(default_factory=dict)


@frozen
class CommandLine:
    """What would be typed to get the same run: as nbexp, as a magic and, where DVC can do it, as dvc."""

    words: tuple[str, ...]
    dvc_words: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, str]:
        found = {
            "command": _joined("nbexp", self.words),
            # In a cell, braces are Python, which has been put in already.
            "magic": _joined(
                "%exp", (*self.words, "--no-expand") if "{" in "".join(self.words) else self.words
            ),
        }
        if self.dvc_words is not None:
            found["dvc"] = _joined("dvc exp", self.dvc_words)
        return found


def command_line(spec: Spec, options: Sequence[str] = (), *, is_dvcs: bool = True) -> CommandLine:
    """The command line of a run, whichever face it was asked by; secrets are hidden.

    `options` are those that are not in the spec, such as `--temp`; `is_dvcs`: DVC has them too.
    """
    how = spec.how
    words = ["run"]
    for override in spec.overrides:
        words += ["-S", override.text]
    if spec.named:
        words += ["-n", spec.name]
    if spec.message is not None:
        words += ["-m", spec.message]
    switches = {
        "-f": spec.force,
        "-s": spec.single,
        "-p": spec.which.pipeline,
        "-P": spec.which.all_pipelines,
        "-R": spec.which.recursive,
        "--downstream": spec.downstream,
        "--force-downstream": how.force_downstream,
        "--pull": spec.pull,
        "--allow-missing": how.allow_missing,
        "-k": how.on_failure == "keep-going",
        "--ignore-errors": how.on_failure == "ignore",
        "--no-hydra": not spec.hydra,
    }
    words += [option for option, is_on in switches.items() if is_on]
    words += options
    own = []
    if spec.new:
        own.append("--new")
    if not spec.run_cache:
        own.append("--no-run-cache")
    if how.jobs > 1:
        own += ["-j", str(how.jobs)]  # to DVC, how many experiments
    targets = [*(["--"] if any(one.startswith("-") for one in spec.targets) else []), *spec.targets]
    hidden = words_without_secrets([*words, *own, *targets])
    as_dvc = None if own or not is_dvcs else tuple(words_without_secrets([*words, *targets]))
    return CommandLine(tuple(hidden), as_dvc)


def again_line(verb: str, source: str, spec: Spec, *, run_cache: bool = True) -> CommandLine:
    """The command line of `clone` and `rerun`, which DVC does not have; secrets are hidden."""
    words = [verb, source]
    for override in spec.overrides:
        words += ["-S", override.text]
    if spec.named:
        words += ["-n", spec.name]
    if spec.message is not None:
        words += ["-m", spec.message]
    if not run_cache and verb == "clone":
        words.append("--no-run-cache")
    return CommandLine(tuple(words_without_secrets(words)))


def resume_line(source: str, spec: Spec, *, reset: bool = False, temp: bool = False) -> CommandLine:
    """The command line of `run --resume`, which DVC 3 does not have; secrets are hidden."""
    words = ["run", "--resume", source]
    for override in spec.overrides:
        words += ["-S", override.text]
    if spec.named and spec.name != source:
        words += ["-n", spec.name]
    if spec.message is not None:
        words += ["-m", spec.message]
    words += [option for option, is_on in {"--reset": reset, "--temp": temp}.items() if is_on]
    targets = [*(["--"] if any(one.startswith("-") for one in spec.targets) else []), *spec.targets]
    return CommandLine(tuple(words_without_secrets([*words, *targets])))


def typed_line(words: Sequence[str], *, as_dvc: bool = False) -> CommandLine:
    """The command line of any other verb, in words; secrets are hidden.

    Examples
    --------
    >>> typed_line(["save", "-n", "by-hand"], as_dvc=True).to_json()["dvc"]
    'dvc exp save -n by-hand'
    """
    hidden = tuple(words_without_secrets(words))
    return CommandLine(hidden, hidden if as_dvc else None)


def cell_line(words: Sequence[str]) -> str:
    """The first line of a cell that is an experiment, in words; secrets are hidden."""
    first, *rest = words_without_secrets(words)
    return _joined(first, rest)


class Recorder:
    """Gathers what is told about one run, from before its first stage until its commit is made."""

    def __init__(
        self,
        git: Git,
        cache: Cache,
        command: CommandLine,
        stages: Sequence[Stage],
        env: Mapping[str, str],
        here: str,
    ) -> None:
        self._git = git
        self._command = command
        self._here = here
        self._started_s = time.time()
        self._clock = time.monotonic()
        self._python = python_of(stages, env, cache)
        self._gpu = _Gpu(cache, env)

    def beside(self, outcome: Outcome | None) -> notes.Beside:
        """The note of the run, to be written beside its commit; None where it did not come to its end."""
        run: dict[str, object] = dict(self._command.to_json())
        if self._here != ".":
            run["directory"] = self._here
        # Commits have whole seconds; with this, runs of one second can be told apart.
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._started_s))
        run["started"] = f"{moment}.{int(self._started_s % 1 * 1000):03d}Z"
        run["seconds"] = round(time.monotonic() - self._clock, 3)
        if outcome is not None:
            run["stages"] = {
                result.stage.name: {"action": result.action, "seconds": round(result.seconds, 3)}
                for result in outcome.stages
            }
        run |= machine()
        run["gpu"] = self._gpu.names()
        run["nbexp"] = __version__
        run["python"] = self._python.version
        digest, data = notes.packages_digest(self._python.packages)
        run["packages"] = digest
        return notes.Beside(self._git, run, {digest: data})


def machine() -> dict[str, object]:
    """Host, user, platform and number of processors."""
    if hasattr(os, "uname"):
        name = os.uname()
        host, platform = name.nodename, f"{name.sysname} {name.release} {name.machine}"
    else:
        import platform as platforms

        host, platform = platforms.node(), platforms.platform()
    return {"host": host, "user": _user(), "platform": platform, "cpus": os.cpu_count()}


def python_of(stages: Iterable[Stage], env: Mapping[str, str], cache: Cache) -> Python:
    """The Python of these stages: of notebooks the one that runs this, of commands the first on the PATH."""
    commands = [command for stage in stages for command in stage.spec.commands]
    if all(kinds.notebook_target(command) is not None for command in commands):
        return _own()
    import shutil  # brings three compression libraries along: 4 ms

    path = env.get("PATH", os.defpath)
    program = shutil.which("python", path=path) or shutil.which("python3", path=path)
    if program is None or _is_own(program):
        return _own()
    return _other(program, env, cache)


def present(stages: Iterable[Stage], env: Mapping[str, str], cache: Cache) -> dict[str, object]:
    """What a run made now would tell of its environment, `packages` being the list itself."""
    python = python_of(stages, env, cache)
    return {**machine(), "python": python.version, "packages": dict(python.packages)}


def installed(folders: Iterable[str]) -> Mapping[str, str]:
    """Version by name of the packages in these folders; the first folder that has one counts.

    Notes
    -----
    Read from the names of the folders that installers leave (packaging.python.org, "Recording installed
    projects"): a hundredth of the time that reading each METADATA takes. conda's own packages, which are
    not Python's, stand in `conda-meta`.
    """
    stamps = []
    for folder in folders:
        try:
            # Installing and removing a package change the folder.
            stamps.append((folder, os.stat(folder).st_mtime_ns))
        except OSError:
            continue
    return _listed(tuple(stamps))


@lru_cache(maxsize=8)
def _listed(folders: tuple[tuple[str, int], ...]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for folder, _ in folders:
        names = sorted(os.listdir(folder))
        here: dict[str, str] = {}
        is_conda = os.path.basename(folder) == "conda-meta"
        for name in names:
            if is_conda and name.endswith(".json") and name.count("-") >= 2:
                package, version, _ = name.removesuffix(".json").rsplit("-", 2)
            elif match := re.fullmatch(_INSTALLED, name):
                package, version = match["name"], match["version"]
            elif name.endswith((".dist-info", ".egg-info")) and name[0] != "~":
                package, version = _from_metadata(os.path.join(folder, name))
            else:
                continue
            if package:
                here[re.sub(r"[-_.]+", "-", package).lower()] = version
        found = here | found
    return dict(sorted(found.items()))


_INSTALLED = r"(?P<name>[A-Za-z0-9][\w.]*)-(?P<version>\d[^-]*)(?:-py[\d.]+)?\.(?:dist|egg)-info"


def _from_metadata(place: str) -> tuple[str, str]:
    """Name and version of what was installed under a folder's name that does not tell."""
    from importlib.metadata import PathDistribution
    from pathlib import Path

    try:
        found = PathDistribution(Path(place)).metadata
        return found["Name"] or "", found["Version"] or ""
    except (OSError, KeyError, ValueError):
        return "", ""


def _own() -> Python:
    version = ".".join(map(str, sys.version_info[:3]))
    return Python(version, installed(_folders(sys.path, sys.prefix)))


def _folders(path: Iterable[str], prefix: str) -> list[str]:
    """Where the packages of a Python are, of what it looks for modules in."""
    kept = ("site-packages", "dist-packages")
    found = [folder for folder in path if os.path.basename(folder.rstrip(os.sep)) in kept]
    return [*found, os.path.join(prefix, "conda-meta")]


def _is_own(program: str) -> bool:
    # A virtual environment's `python` is a link to another's: the folder it is in tells.
    return os.path.realpath(os.path.dirname(program)) == os.path.realpath(
        os.path.dirname(sys.executable)
    )


def _other(program: str, env: Mapping[str, str], cache: Cache) -> Python:
    """Another Python, asked once where it looks for packages."""
    import json

    try:
        stamp = os.stat(program)
    except OSError:
        return Python("")
    key = f"{program} {stamp.st_mtime_ns} {stamp.st_size} {env.get('PYTHONPATH', '')}"
    stored = cache.memo(_PYTHON, key)
    if stored is None:
        stored = _asked([program, "-c", _QUESTION], env)
        if stored is None:
            return Python("")
        cache.remember(_PYTHON, key, stored)
    version, prefix, path = json.loads(stored)
    return Python(version, installed(_folders(path, prefix)))


_QUESTION = (
    "import json, sys; "
    "print(json.dumps(['.'.join(map(str, sys.version_info[:3])), sys.prefix, sys.path]))"
)


def _asked(words: Sequence[str], env: Mapping[str, str]) -> str | None:
    """What a program prints, None if it cannot or does not in time."""
    import subprocess

    try:
        done = subprocess.run(
            words, env=dict(env), capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = done.stdout.decode("utf-8", "replace").strip()
    return text if done.returncode == 0 and text.startswith("[") else None


class _Gpu:
    """The graphics processors, asked once after each start of the machine and while the stages run."""

    def __init__(self, cache: Cache, env: Mapping[str, str]) -> None:
        self._cache = cache
        self._boot = _boot()
        self._known = None
        self._process: subprocess.Popen[bytes] | None = None
        import shutil

        program = shutil.which("nvidia-smi", path=env.get("PATH", os.defpath))
        if program is None:
            self._known = ""
            return
        self._known = cache.memo(_GPU, self._boot) if self._boot else None
        if self._known is None:
            import subprocess

            query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
            try:
                self._process = subprocess.Popen(
                    [program, *query],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=dict(env),
                )
            except OSError:
                self._known = ""

    def names(self) -> list[str]:
        """Name, memory and driver of each; none where there is none, or it does not answer in time."""
        if self._process is not None:
            import subprocess

            process, self._process = self._process, None
            try:
                out, _ = process.communicate(timeout=_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return []
            self._known = out.decode("utf-8", "replace") if process.returncode == 0 else ""
            if self._boot:
                self._cache.remember(_GPU, self._boot, self._known)
        return [line.strip() for line in (self._known or "").splitlines() if line.strip()]


def _boot() -> str:
    """What is new with each start of the machine; "" where the system has no such thing."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _user() -> str:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return ""


def _joined(program: str, words: Iterable[str]) -> str:
    import shlex

    return f"{program} {shlex.join(words)}"
