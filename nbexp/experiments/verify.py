"""Whether an experiment comes out again: run from scratch in a fresh clone, every output compared with the record.

    .dvc/tmp/nbexp/verify/<id>/project      the clone, on its own cold cache; gone when the command ends

The clone borrows the repository's objects and has no remote, so nothing in it reaches the user's repository. In its
cache is what no stage makes, and nothing else; its stages run through the same engine as any others, forced, without a
run cache. Workspace, HEAD, index and cache of the user are read and never written.
"""

from __future__ import annotations

import ast
import hashlib
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from nbexp import filesystem
from nbexp.errors import Interrupted, NbexpError, NotFound, StageFailed, StoreError
from nbexp.events import Emit, Event, Phase, StageFinished, ignore
from nbexp.experiments import agreement, catalogue, repro
from nbexp.experiments import place as places
from nbexp.experiments.agreement import Agreement, Tolerance, Verdict
from nbexp.experiments.data import Site
from nbexp.experiments.data.located import Contents, File
from nbexp.experiments.journal import Journal
from nbexp.experiments.run import Place
from nbexp.experiments.workspace import InPlace
from nbexp.formats import config as configs
from nbexp.formats import notebook
from nbexp.formats.dvc_lock import LockedPath
from nbexp.frozen import brief, field, frozen
from nbexp.git import Git
from nbexp.pipeline import graph as graphs
from nbexp.pipeline import process
from nbexp.pipeline.context import How
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import hash_of
from nbexp.pipeline.stage import Out, Stage
from nbexp.results import Result
from nbexp.store import remotes, transfer
from nbexp.store.cache import Cache

# A copy cannot be harmed by a stage that writes into its input; a big source is not copied for that.
_KINDS = ("reflink", "hardlink", "symlink", "copy")
_STRAY_S = 3600.0
_WORDS = re.compile(r"[\w.@+-]+(?:/[\w.@+-]+)*")


@frozen
class OutputVerdict:
    """How one output came out: `detail` says where it differs first, `cell` in which notebook cell."""

    path: str
    verdict: Verdict
    detail: str = ""
    cell: int | None = None

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {"path": self.path, "verdict": self.verdict}
        if self.detail:
            found["detail"] = self.detail
        return found if self.cell is None else {**found, "cell": self.cell}


@frozen
class StageVerdict:
    """What became of one stage.

    Attributes
    ----------
    state
        `ran`, `failed`, `not run` after one that failed, or `kept`: it is frozen, so its outputs were taken.
    suspect
        What in the stage's code may make its outputs differ: "cell 2 calls `random.random` with no seed".
    """

    __repr__ = brief

    name: str
    state: Literal["ran", "failed", "not run", "kept"]
    outputs: tuple[OutputVerdict, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    suspect: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """The worst of its outputs; None where there is nothing to compare."""
        found = {one.verdict for one in self.outputs}
        order: tuple[Verdict, ...] = ("missing", "different", "close", "identical")
        return next((one for one in order if one in found), None)

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {
            "name": self.name,
            "state": self.state,
            "seconds": self.seconds,
            "outputs": [one.to_json() for one in self.outputs],
        }
        return {**found, "suspect": self.suspect} if self.suspect else found


@frozen
class Verified(Result):
    """Whether an experiment came out again.

    Attributes
    ----------
    verdict
        `identical`; `close`: but for numbers within the tolerance; `different`; `failed`: a stage did not run.
    problem
        Why a stage did not run; `missing` are files of the workspace that no commit has and that it looked for.
    """

    experiment: str
    rev: str
    verdict: Literal["identical", "close", "different", "failed"]
    stages: tuple[StageVerdict, ...]
    tolerance: Tolerance
    problem: str = ""
    missing: tuple[str, ...] = ()
    elapsed_s: float = field(default=0.0, compare=False)

    def __repr__(self) -> str:
        return f"<Verified {self.experiment}: {self.verdict}>"

    @property
    def is_reproduced(self) -> bool:
        """Whether every output came out again, as far as the tolerance goes."""
        return self.verdict in ("identical", "close")

    @property
    def exit_code(self) -> int:
        """What a process ends with."""
        return 0 if self.is_reproduced else 1

    @property
    def first(self) -> tuple[StageVerdict, OutputVerdict] | None:
        """The first stage with another output, and the output: what comes after it may be its doing."""
        for stage in self.stages:
            bad = [one for one in stage.outputs if one.verdict in ("different", "missing")]
            # A notebook says in which cell it began.
            bad.sort(key=lambda one: one.cell is None)
            if bad:
                return stage, bad[0]
        return None

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {
            "experiment": self.experiment,
            "rev": self.rev,
            "verdict": self.verdict,
            "rtol": self.tolerance.rtol,
            "atol": self.tolerance.atol,
            "seconds": self.elapsed_s,
            "stages": [stage.to_json() for stage in self.stages],
        }
        if self.first is not None:
            stage, output = self.first
            found["first"] = {"stage": stage.name, **output.to_json()}
        if self.problem:
            found |= {"problem": self.problem, "missing": [*self.missing]}
        return found


def verify(
    site: Site,
    rev: str,
    name: str,
    *,
    tolerance: Tolerance | None = None,
    env: Mapping[str, str] | None = None,
    how: How | None = None,
    emit: Emit = ignore,
) -> Verified:
    """Run the stages of a commit from scratch and compare what they make with what the commit has.

    Parameters
    ----------
    name
        What stages get as the experiment's name, and messages call it.
    env
        The environment of the stages; None is this process's.
    how
        How many stages at once, and what they share.

    Raises
    ------
    NotFound
        The commit has no stage that ran.
    StoreError
        Neither cache nor remote has data that no stage makes. Nothing was run.
    Interrupted
        The user stopped it; nothing of it is left.
    """
    import time

    clock = time.monotonic()
    try:
        with _scratch(site.root, site.prefix) as folder:
            emit(Phase(f"cloning {rev[:7]}"))
            trial = _Trial(site, rev, name, folder, emit)
            try:
                found = trial.run(tolerance or Tolerance(), env, how or How())
            finally:
                trial.close()
    except KeyboardInterrupt:
        raise Interrupted(
            f"`verify {name}` was interrupted. Nothing of it is left, and your workspace is as it was."
        ) from None
    stages, problem, missing = found
    return Verified(
        name,
        rev,
        _overall(stages, problem),
        stages,
        tolerance or Tolerance(),
        problem,
        missing,
        time.monotonic() - clock,
    )


def certificate(result: Verified, *, at: str, version: str) -> dict[str, object]:
    """What a note says of it: when, with what and how it came out; of outputs, those that are not identical."""
    import platform

    found: dict[str, object] = {
        "verdict": result.verdict,
        "at": at,
        "seconds": round(result.elapsed_s, 3),
        "rtol": result.tolerance.rtol,
        "atol": result.tolerance.atol,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "nbexp": version,
        "outputs": sum(len(stage.outputs) for stage in result.stages),
    }
    others = [
        {"stage": stage.name, **one.to_json()}
        for stage in result.stages
        for one in stage.outputs
        if one.verdict != "identical"
    ]
    if others:
        found["not_identical"] = others
    return {**found, "problem": result.problem} if result.problem else found


def _overall(
    stages: Sequence[StageVerdict], problem: str
) -> Literal["identical", "close", "different", "failed"]:
    found = {one.verdict for stage in stages for one in stage.outputs}
    if problem:
        return "failed"
    if found & {"different", "missing"}:
        return "different"
    return "close" if "close" in found else "identical"


# The clone ----------------------------------------------------------------------------------------


@contextmanager
def _scratch(root: Path, prefix: str) -> Iterator[Path]:
    """A folder that is removed at the end, as is what killed processes left beside it."""
    base = places.own_folder(root) / "verify"
    base.mkdir(parents=True, exist_ok=True)
    filesystem.sweep(base, _STRAY_S)
    for left in base.iterdir():
        is_new = filesystem.is_temporary(left.name)
        if not is_new and not filesystem.FileLock(left / "lock").held():
            _end(left / "project", prefix)
            filesystem.remove(left)
    fresh = filesystem.temporary(base)
    fresh.mkdir()
    lock = filesystem.FileLock(fresh / "lock")
    lock.acquire()
    # By the name it has from here on, others look whether it is in use.
    folder = base / os.urandom(4).hex()
    os.replace(fresh, folder)
    try:
        yield folder
    finally:
        lock.release()
        filesystem.remove(folder)


def _end(clone: Path, prefix: str) -> None:
    """End the stages that a killed command left running in its clone."""
    uid = Journal(clone, places.journal_folder(clone / prefix)).peek_uid()
    if uid:
        process.kill_marked(uid)


class _Trial:
    """One run from scratch: the clone and its cache."""

    def __init__(self, site: Site, rev: str, name: str, folder: Path, emit: Emit) -> None:
        self._site = site
        self._rev = rev
        self._name = name
        self._emit = emit
        self.git = _cloned(site.git, rev, folder / "project")
        self.root = folder / "project" / site.prefix
        (self.root / ".dvc").mkdir(parents=True, exist_ok=True)
        _own_cache(self.root)
        self.cache = Cache(
            self.root / ".dvc" / "cache",
            link_types=site.cache.link_types,
            state=places.own_folder(self.root) / "state.db",
            skip=places.DvcIgnores(self.root).below,
        )
        self._finished: dict[str, float] = {}
        nowhere = configs.Config(site.root / ".dvc", {}, {})
        self._recorded = Contents(site, rev, lambda: nowhere)

    def close(self) -> None:
        self.cache.close()
        self.git.close()

    def run(
        self, tolerance: Tolerance, env: Mapping[str, str] | None, how: How
    ) -> tuple[tuple[StageVerdict, ...], str, tuple[str, ...]]:
        """The verdict on each stage; why one failed, and what it lacked."""
        graph = graphs.load(self.root)
        locks = {stage: self._locked(stage) for stage in graph.stages}
        recorded = [s for s in graph.stages if not s.is_data and locks[s]]
        if not recorded:
            raise NotFound(
                f"No stage ran in `{self._name}`, so there is nothing to run again.",
                "`nbexp show` lists experiments that stages made.",
            )
        stages = graph.order(recorded)
        self._bring_sources(stages, locks)
        for stage in stages:
            if not (stage.is_data or stage.spec.frozen):
                for out in stage.outs:
                    filesystem.remove(self.root / out.path)
        problem, failed = "", ""
        missing: tuple[str, ...] = ()
        try:
            self._execute(stages, graph, env, how)
        except (StageFailed, NotFound) as error:
            failed = error.stage if isinstance(error, StageFailed) else ""
            problem, missing = self._explained(error, stages)
        found = []
        for stage in stages:
            if stage.is_data:
                continue
            address = stage.address(self._site.here)
            if stage.spec.frozen:
                found.append(StageVerdict(address, "kept"))
            elif address in self._finished:
                self._emit(Phase(f"comparing {address}"))
                found.append(self._judge(stage, locks[stage], tolerance))
            else:
                found.append(StageVerdict(address, "failed" if address == failed else "not run"))
        return tuple(found), problem, missing

    def _execute(
        self, stages: Sequence[Stage], graph: Graph, env: Mapping[str, str] | None, how: How
    ) -> None:
        variables = {"DVC_EXP_NAME": self._name}
        baseline = catalogue.baseline_of(self._site.git, self._rev)
        if baseline is not None:
            variables["DVC_EXP_BASELINE_REV"] = baseline
        surroundings = os.environ if env is None else env
        place = Place(
            self.git,
            self.cache,
            self.root,
            self._site.prefix,
            use_run_cache=False,
            env={**surroundings, **variables},
        )
        how = How(force=True, jobs=how.jobs, totals=how.totals)
        with InPlace(self.git, self.cache, self.root).held(self._emit) as workspace:
            repro.repro(
                place, graph, stages, how, workspace, self._heard, here=self._site.here, refs={}
            )

    def _heard(self, event: Event) -> None:
        if isinstance(event, StageFinished):
            self._finished[event.stage] = event.seconds
        self._emit(event)

    def _locked(self, stage: Stage) -> tuple[LockedPath, ...]:
        """What the commit says of the outputs of the stage; nothing where it never ran."""
        path = self.root / stage.lock_file
        entry = stage.entry_in(path.read_bytes() if path.is_file() else None)
        return entry.outs if entry is not None else ()

    def _bring_sources(
        self, stages: Sequence[Stage], locks: Mapping[Stage, tuple[LockedPath, ...]]
    ) -> None:
        """Have in the clone what no stage makes: by links from the project's cache to its own, else from a remote."""
        groups: dict[str | None, dict[str, str]] = {}
        sources: list[tuple[Path, LockedPath]] = []
        for stage in stages:
            if not (stage.is_data or stage.spec.frozen):
                continue
            for out in stage.outs:
                for locked in locks[stage]:
                    if out.cache and locked.path == out.spelled and locked.md5:
                        groups.setdefault(out.spec.remote, {})[locked.md5] = out.path
                        sources.append((self.root / out.path, locked))
        source = self._site.cache
        for remote, wanted in groups.items():
            lacking = {md5: path for md5, path in wanted.items() if not source.has(md5)}
            for md5 in wanted.keys() - lacking.keys():
                if md5.endswith(".dir"):
                    for item in source.items(md5):
                        self._link(item.md5)
                self._link(md5)
            if lacking:
                self._fetch(lacking, remote)
        for path, locked in sources:
            self.cache.checkout(hash_of(locked), path)

    def _link(self, md5: str) -> None:
        target = self.cache.path(md5)
        if not os.path.lexists(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            filesystem.link(self._site.cache.path(md5), target, _KINDS)
            if not target.is_symlink():
                target.chmod(0o444)

    def _fetch(self, lacking: Mapping[str, str], name: str | None) -> None:
        shown = next(iter(lacking.values()))
        try:
            remote = remotes.open(self._site.config(), name)
        except NotFound as error:
            raise StoreError(
                f"The cache lacks {shown}, which no stage makes. Nothing was run.", error.hint
            ) from None
        try:
            done = transfer.fetch(lacking, remote, self.cache, emit=self._emit)
        finally:
            remote.close()
        lost = [*done.missing, *done.failed]
        if lost:
            raise StoreError(
                f"Neither the cache nor {remote.url} has {lacking.get(lost[0], shown)}, which no stage "
                "makes. Nothing was run.",
                "who has the data can `nbexp data push` it.",
            )

    # What came out

    def _judge(
        self, stage: Stage, locked: Sequence[LockedPath], tolerance: Tolerance
    ) -> StageVerdict:
        known = {one.path: one for one in locked}
        now = {one.path: one for one in self._locked(stage)}
        outputs = tuple(
            self._output(out, known.get(out.spelled), now.get(out.spelled), tolerance)
            for out in stage.outs
        )
        address = stage.address(self._site.here)
        bad = [one for one in outputs if one.verdict in ("different", "missing")]
        cells = [one.cell for one in bad if one.cell is not None]
        suspect = self._suspect(stage, min(cells, default=None)) if bad else ""
        return StageVerdict(address, "ran", outputs, self._finished[address], suspect)

    def _output(
        self, out: Out, old: LockedPath | None, new: LockedPath | None, tolerance: Tolerance
    ) -> OutputVerdict:
        shown = posixpath.relpath(out.path, self._site.here)
        place = self.root / out.path
        if not os.path.lexists(place):
            return OutputVerdict(shown, "missing", "the stage did not write it")
        if old is not None and new is not None and old.md5 and old.md5 == new.md5:
            return OutputVerdict(shown, "identical")
        try:
            before = dict(self._recorded.sized(self._recorded.locate(out.path)).files)
        except (NotFound, StoreError):
            if old is None:
                return OutputVerdict(shown, "missing", "the experiment has no record of it")
            words = "its recorded bytes are not here to compare with"
            return OutputVerdict(shown, "different", words)
        found = self._files(before, place, tolerance)
        worst = next((one for one in found.values() if one.verdict == "different"), None)
        worst = worst or next((one for one in found.values() if one.verdict == "close"), None)
        if worst is None:
            return OutputVerdict(shown, "identical")
        where = next(inner for inner, one in found.items() if one is worst)
        count = sum(one.verdict == worst.verdict for one in found.values())
        detail = f"{where}: {worst.detail}" if where else worst.detail
        if count > 1:
            detail = f"{count} of {len(found)} files, first {detail}"
        return OutputVerdict(shown, worst.verdict, detail, worst.cell)

    def _files(
        self, before: Mapping[str, File], place: Path, tolerance: Tolerance
    ) -> dict[str, Agreement]:
        """How far each file of an output agrees; a file that is alone has the name ""."""
        ignores = places.DvcIgnores(self.root).below(place) if place.is_dir() else None
        after = {"": place}
        if place.is_dir():
            after = {path: place / path for path, _ in filesystem.walk(place, skip=ignores)}
        found = {}
        for inner in sorted({*before, *after}):
            if inner not in after:
                found[inner] = Agreement("different", "the stage did not write it")
            elif inner not in before:
                found[inner] = Agreement("different", "it is new")
            else:
                found[inner] = self._file(before[inner], after[inner], tolerance)
        return found

    def _file(self, before: File, after: Path, tolerance: Tolerance) -> Agreement:
        cache = self._site.cache
        if before.md5:
            if _md5(after) == before.md5:
                return Agreement("identical")
            if cache.missing([before.md5]):
                return Agreement("different", "its recorded bytes are not here to compare with")
            # DVC 2.x named texts by another digest than that of their bytes.
            if before.size == after.stat().st_size and _md5(cache.path(before.md5)) == _md5(after):
                return Agreement("identical")
        elif self._site.git.hash_bytes(after.read_bytes()) == before.oid:
            return Agreement("identical")
        size = max(before.size or 0, after.stat().st_size)
        with self._recorded.opened(before) as old, after.open("rb") as new:
            return agreement.compare(old, new, after.name, tolerance, size)

    def _suspect(self, stage: Stage, cell: int | None) -> str:
        """The first code of the stage, up to the cell, that does not do the same each time."""
        for dep in stage.deps:
            place = self.root / dep.path
            if place.suffix not in (".py", ".ipynb") or not place.is_file():
                continue
            data = place.read_bytes()
            try:
                found = _chance(data, dep.path, cell)
            except NbexpError:
                continue
            if found:
                return found
        return ""

    def _explained(
        self, error: StageFailed | NotFound, stages: Sequence[Stage]
    ) -> tuple[str, tuple[str, ...]]:
        """What stopped it, and the files it looked for that only the workspace has."""
        message = error.message.removesuffix(" Nothing was run.")
        said = message
        if isinstance(error, StageFailed):
            said = f"{message}\n{error.tail}"
            last = error.tail.strip().splitlines()[-1:]
            if last and last[0] not in message:
                message = f"{message} It said: {last[0].strip()}"
        folders = dict.fromkeys([".", *(stage.cwd for stage in stages)])
        found: dict[str, None] = {}
        for module in re.findall(r"No module named '([\w.]+)'", said):
            said += f"\n{module.replace('.', '/')}.py"
        said = said.replace(f"{self.root}/", "")
        for word in dict.fromkeys(_WORDS.findall(said)):
            for folder in folders:
                path = posixpath.normpath(posixpath.join(folder, word.rstrip(".")))
                if path.startswith("..") or path == ".":
                    continue
                if (self._site.root / path).exists() and not (self.root / path).exists():
                    made = any(
                        graphs.is_inside(path, o.path) for stage in stages for o in stage.outs
                    )
                    if not made:
                        found[path] = None
        return message, tuple(found)


def _cloned(git: Git, rev: str, folder: Path) -> Git:
    """A new repository with the commit checked out; objects are borrowed, and there is no remote."""
    clone = Git.init(folder)
    info = clone.common / "objects" / "info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_bytes(os.fsencode(git.common / "objects") + b"\n")
    clone.close()
    clone.run("checkout", "--quiet", "--detach", rev)
    return clone


def _own_cache(root: Path) -> None:
    """A cache in the clone, whatever its `.dvc/config` says: a `dvc` that a stage calls uses it, too."""
    path = root / ".dvc" / "config.local"
    data = path.read_bytes() if path.is_file() else b""
    path.write_bytes(configs.set_value(data, "cache", "dir", "cache"))


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


# What is not the same each time -------------------------------------------------------------------

# Calls that give something else each time, unless the generator they draw from was seeded.
_DRAWS = re.compile(
    r"(?:random|np\.random|numpy\.random|torch)\.(?!seed$|manual_seed$|Random$|RandomState$|default_rng$|Generator$)"
    r"(?:random|rand\w*|uniform|normal|gauss|choice\w*|sample|shuffle|permutation|integers|standard_normal|\w*variate"
    r"|binomial|poisson|exponential|bernoulli|multinomial)$"
)
_UNSEEDED = re.compile(
    r"(?:np\.random\.|numpy\.random\.)?default_rng$|(?:np\.random\.|numpy\.random\.)RandomState$|random\.Random$"
)
_CHANGING = re.compile(
    r"(?:os\.urandom|uuid\.uuid[14]|secrets\.\w+|time\.(?:time|time_ns|perf_counter|monotonic)"
    r"|(?:datetime\.)?(?:datetime|date)\.(?:now|utcnow|today))$"
)
_SEEDS = re.compile(r"(?:^|\.)(?:seed|manual_seed|seed_everything|set_seed|set_random_seed)$")


def _chance(data: bytes, path: str, cell: int | None) -> str:
    """Where the code draws at random without a seed, or asks the clock: "cell 2 calls `random.random` with no seed"."""
    if path.endswith(".ipynb"):
        book = notebook.read(data, path)
        if not book.is_python:
            return ""
        parts = [(f"cell {one.number}", notebook.syntax(one.source)) for one in book.cells]
        parts = parts[: cell if cell is not None else len(parts)]
    else:
        try:
            parts = [(path, ast.parse(data))]
        except (SyntaxError, ValueError):
            return ""
    is_seeded = False
    for where, tree in parts:
        calls = [] if tree is None else [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
        calls.sort(key=lambda call: (call.lineno, call.col_offset))
        for call in calls:
            name = ast.unparse(call.func)
            is_seeded = is_seeded or _SEEDS.search(name) is not None
            is_free = _UNSEEDED.search(name) and not (call.args or call.keywords)
            if _CHANGING.search(name):
                return f"{where} calls `{name}`, which is another each time"
            if is_free or (_DRAWS.match(name) and not is_seeded):
                return f"{where} calls `{name}` with no seed"
    return ""
