"""A cell of a notebook as an experiment: what it needs is found before it runs, what came of it is committed after.

    cell = project.cell("{'acc': fit(lr)}", namespace=session)     # nothing is written yet
    cell.lent                                                      # {'lr': 0.03}, for its run alone
    cell.record(last={"acc": 0.95}, outputs=[...])                 # an experiment on the present commit

Who runs the cell is another's business: a kernel, or a test. The experiment holds the project as it is when the cell
has ended (tracked files with their edits, and what the pipelines keep in Git, as `save` has it) and the folder of the
cell (`cell_tree`). No file of the workspace is written, and HEAD, index and branches stay.
"""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nbexp import filesystem, pids
from nbexp.errors import NameTaken, UsageError
from nbexp.events import Emit, Notice, ignore
from nbexp.experiments import cell_needs, cell_results, cell_tree, environment, trash
from nbexp.experiments import record as recording
from nbexp.experiments import save as saving
from nbexp.experiments import spec as specs
from nbexp.experiments.cell_needs import Needs, Param, ParamsFile, Read
from nbexp.experiments.data import Site
from nbexp.experiments.place import own_folder
from nbexp.experiments.record import NotRecorded
from nbexp.experiments.workspace import uninterrupted
from nbexp.formats import cell_code, ref_names
from nbexp.formats.secrets import HIDDEN, without_secrets
from nbexp.frozen import frozen
from nbexp.git import FileContent, Git, NewCommit
from nbexp.pipeline import detect
from nbexp.pipeline.graph import bytes_of, is_inside

State = Literal["done", "failed", "interrupted"]

_UNTOUCHED = "Nothing was run."
# What is shorter may stand anywhere by chance.
_MIN_SECRET = 6


@frozen
class CellReport:
    """What a cell came to, for its card.

    Attributes
    ----------
    metrics
        As recorded, by dotted key.
    params
        Those lent from params.yaml, and those asked for.
    earlier
        How many statements of earlier cells it is recorded with.
    left_out
        Keys of the returned dict that are no metrics.
    own_s
        Seconds of `elapsed_s` that nbexp itself took.
    """

    name: str
    metrics: Mapping[str, object]
    reads: tuple[Read, ...]
    params: tuple[Param, ...]
    figures: int
    earlier: int
    left_out: tuple[str, ...]
    not_recorded: tuple[NotRecorded, ...]
    elapsed_s: float
    own_s: float
    state: State = "done"

    @property
    def lacking(self) -> tuple[Read, ...]:
        """What it read that no replay can have."""
        return tuple(read for read in self.reads if read.kind in {"missing", "secret", "undefined"})

    def to_json(self) -> dict[str, object]:
        return {
            "reads": {read.name: read.to_json() for read in self.reads},
            "params": {one.name: {"value": one.value, "from": one.origin} for one in self.params},
            "figures": self.figures,
            "earlier_statements": self.earlier,
            "left_out": list(self.left_out),
            "lacking": [read.name for read in self.lacking],
        }


@frozen
class Recorded:
    """The commit of a cell: its ref, and what is told of it."""

    ref: str
    rev: str
    report: CellReport


class Cell:
    """A cell that is about to run, or has; get it from `Project.cell`.

    Attributes
    ----------
    name
        Of the experiment; reserved by nobody, so another process may take it meanwhile.
    live
        The folder for what the cell logs by step: `$NBEXP_LIVE_DIR` while it runs.
    """

    def __init__(
        self,
        site: Site,
        source: str,
        *,
        params: Sequence[str] = (),
        name: str | None = None,
        message: str | None = None,
        force: bool = False,
        namespace: Mapping[str, object] | None = None,
        history: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        taken: Mapping[str, str] | None = None,
        finish: Callable[[Recorded], Any] | None = None,
    ) -> None:
        self._site = site
        self._namespace = {} if namespace is None else namespace
        self._finish = finish
        names = _checked(source)
        baseline = site.git.head()
        assert baseline is not None
        self._spec = _spec(site, baseline, taken or {}, name, message, force)
        self.name = self._spec.name
        here = _cwd(site, cwd)
        needs = cell_needs.find(names, self._namespace, history, params, _params_file(site, here))
        top = f"{site.prefix}/" if site.prefix else ""
        folder = cell_tree.folder_for(
            site.root, lambda path: bool(site.git.tree(baseline, prefix=f"{top}{path}/"))
        )
        texts = [*names.strings]
        for code in needs.code:
            found = cell_code.names(code)
            texts += found.strings if found is not None else ()
        self._read_files = _files(site.root, here, texts)
        self._plan = cell_tree.Plan(source, needs, folder, here)
        self._uid = os.urandom(8).hex()
        self._scratch = own_folder(site.root) / "cells" / f"{os.getpid()}-{self._uid}"
        _sweep(self._scratch.parent)
        self.live = self._scratch / "live"
        typed = ["%%exp", *(["-n", name] if name is not None else [])]
        typed += ["-P", ",".join(params)] if params else []
        typed += ["-m", message] if message is not None else []
        line = environment.typed_line(["rerun", self.name])
        own_env = env if env is not None else os.environ
        self._recorder = environment.Recorder(site.git, site.cache, line, [], own_env, site.here)
        self._magic = environment.cell_line(typed)
        self._started_s = time.time()
        self._clock = time.monotonic()

    def __repr__(self) -> str:
        return f"<Cell {self.name}>"

    @property
    def needs(self) -> Needs:
        """What the cell takes from its session."""
        return self._plan.needs

    @property
    def lent(self) -> dict[str, object]:
        """Params of the project that the cell reads and the session does not have: for its run alone."""
        return self.needs.lent

    def record(
        self,
        *,
        outputs: Sequence[Mapping[str, Any]] = (),
        last: object = None,
        namespace: Mapping[str, object] | None = None,
        state: State = "done",
        error: str = "",
        seconds: float | None = None,
        emit: Emit = ignore,
    ) -> Any:
        """Commit what the cell came to, and name the commit.

        Parameters
        ----------
        outputs
            What it showed, as the outputs of a code cell in nbformat 4.
        last
            Its last value; a dict is its metrics.
        namespace
            The session's names now; None: those from before.
        state
            `failed` and `interrupted` cells are kept aside, as runs are.
        error
            Of a failed cell: what it raised, in a line.
        seconds
            How long it ran.

        Raises
        ------
        NameTaken
            Another process has taken the name meanwhile. Nothing was recorded.
        """
        began = time.monotonic()
        try:
            recorded = self._record(
                outputs, last, namespace or self._namespace, state, error, seconds, began, emit
            )
        finally:
            filesystem.remove(self._scratch)
        return recorded if self._finish is None else self._finish(recorded)

    def drop(self) -> None:
        """Forget it: nothing is recorded."""
        filesystem.remove(self._scratch)

    def _record(
        self,
        outputs: Sequence[Mapping[str, Any]],
        last: object,
        namespace: Mapping[str, object],
        state: State,
        error: str,
        seconds: float | None,
        began: float,
        emit: Emit,
    ) -> Recorded:
        site, spec, git = self._site, self._spec, self._site.git
        ran_s = began - self._clock if seconds is None else seconds
        # What others wrote while the cell ran is theirs: only now the workspace counts.
        with (
            site.workspace().held(emit),
            uninterrupted(),
            site.cache.gathering() as unflushed,
        ):
            result = self._result(outputs, last, namespace, emit)
            filesystem.crash_point("cell.ended")
            plan = self._settled(emit)
            made, run, entry = cell_tree.files(
                plan, result, site.cache, site.root, self._scratch / "tree"
            )
            filesystem.crash_point("cell.stored")
            status = git.status()
            graph = site.graph()
            extra = saving.of_the_pipeline(site, graph, status.untracked)
            top = f"{site.prefix}/" if site.prefix else ""
            place = f"{top}{plan.folder}"
            files: dict[str, FileContent] = {
                path: content
                for path, content in git.snapshot(status, extra).items()
                if not is_inside(path, place)
            }
            base = status.head or spec.baseline
            if git.tree(base, prefix=f"{place}/"):
                files[place] = None  # that of another cell
            if state != "done":
                made = {path: made[path] for path in made if path not in ("dvc.lock", ".gitignore")}
                made[cell_tree.RUN] = site.cache.read(run)
            files |= {f"{place}/{path}": data for path, data in made.items()}
            flushed = filesystem.sync_soon(set(unflushed))
            note = self._recorder.beside(None)
            note.add(magic=self._magic)
            flushed()
            filesystem.crash_point("record.before")
            if state == "done":
                message = spec.message or recording.message({cell_tree.STAGE: entry})
                commit = NewCommit(
                    spec.ref, spec.baseline, message.encode(), base, files, spec.replaces
                )
                resets = (
                    []
                    if spec.replaces is None
                    else [(trash.ref_of(spec.ref, spec.replaces), spec.replaces)]
                )
                rev = git.commit(commit, resets=resets, one_by_one=True, beside=note)[0]
                ref = spec.ref
            else:
                ref = ref_names.FAILED + spec.ref.removeprefix("refs/exps/")
                text = (
                    f"nbexp: {state} experiment {spec.name}\n\n{without_secrets(error)}\n\n"
                    f"Nbexp-State: {state}\nNbexp-Stage: {cell_tree.STAGE}\n"
                )
                commit = NewCommit(ref, spec.baseline, text.encode(), base, files, "any")
                rev = git.commit(commit, beside=note)[0]
            filesystem.crash_point("record.done")
            left = _left_behind(git.root, site.prefix, status.untracked, extra, self._started_s)
        if note.error is not None:
            emit(Notice(f"Its command line and environment are not recorded: {note.error}"))
        own = time.monotonic() - began
        from nbexp.formats import values

        report = CellReport(
            spec.name,
            values.flatten(dict(result.metrics)),
            self.needs.reads,
            result.params,
            len(result.figures),
            len(self.needs.code),
            self._left_out,
            tuple(left),
            ran_s + own,
            own,
            state,
        )
        return Recorded(ref, rev, report)

    def _result(
        self,
        outputs: Sequence[Mapping[str, Any]],
        last: object,
        namespace: Mapping[str, object],
        emit: Emit,
    ) -> cell_tree.Result:
        found = cell_results.metrics(last, self.live)
        self._left_out = found.left_out
        params = list(self.needs.params)
        for name in self.needs.later:
            if name not in namespace:
                emit(Notice(f"`-P {name}`: the cell did not assign it, so it is no param."))
                continue
            try:
                params.append(Param(name, name, "", cell_needs.as_param(namespace[name], name)))
            except UsageError as error:
                emit(Notice(error.message.replace(_UNTOUCHED, "It is no param.")))
        shown = [_without(output, self._secrets()) for output in outputs]
        live = {
            path.relative_to(self.live).as_posix(): path.read_bytes()
            for path in sorted(self.live.rglob("*"))
            if path.is_file() and path.name != "dvc.yaml"
        }
        return cell_tree.Result(
            shown, found.values, cell_results.figures(shown), live, tuple(params)
        )

    def _secrets(self) -> list[str]:
        hidden = [read.name for read in self.needs.reads if read.kind == "secret"]
        texts = [self._namespace.get(name) for name in hidden]
        return [text for text in texts if isinstance(text, str) and len(text) >= _MIN_SECRET]

    def _settled(self, emit: Emit) -> cell_tree.Plan:
        """The plan with what the cell reads of the project as deps: modules, and files that it left as they were."""
        from nbexp.frozen import replace

        root = self._site.root
        read = [path for path, stamp in self._read_files.items() if stamp == _stamp(root / path)]
        script = self._scratch / cell_tree.NOTEBOOK
        filesystem.atomic_write(script, cell_tree.source_notebook(self._plan), durable=False)
        modules = detect.imports(script, root, folders=[root / self._plan.cwd])
        top = f"{self._site.prefix}/" if self._site.prefix else ""
        wanted = sorted({*read, *modules})
        tracked = self._site.git.is_tracked([top + path for path in wanted])
        outs = [out.path for _, out in self._site.graph().outs]
        deps = []
        for path in wanted:
            if top + path in tracked or any(is_inside(path, out) for out in outs):
                deps.append(path)
            else:
                emit(
                    Notice(
                        f"The cell reads {path}, which no commit holds, so a replay will not find it.",
                        f"`git add {path}`, or `nbexp data add {path}`.",
                    )
                )
        return replace(self._plan, deps=tuple(deps))


def folder_at(git: Git, prefix: str, rev: str) -> str | None:
    """The folder of the cell that a commit is an experiment of, from the project's root; None if of none.

    A cell that was merged into a branch is part of every experiment on it; only of the one that changed it is it the
    experiment.
    """
    top = f"{prefix}/" if prefix else ""
    for name in cell_tree.NAMES:
        data = git.read(f"{rev}:{top}{name}/dvc.yaml")
        if data is not None and cell_tree.is_cells(data):
            # A failed one has no lock.
            lock = git.read(f"{rev}:{top}{name}/dvc.lock")
            before = git.read(f"{rev}^:{top}{name}/dvc.lock")
            return name if lock is None or lock != before else None
    return None


def lacking(site: Site, rev: str, folder: str) -> list[Read]:
    """What the cell of a commit read and no replay can have."""
    import json

    top = f"{site.prefix}/" if site.prefix else ""
    data = site.git.read(f"{rev}:{top}{folder}/{cell_tree.NOTEBOOK}")
    if data is None:
        return []
    for cell in json.loads(data).get("cells", []):
        about = cell.get("metadata", {}).get("nbexp", {})
        if cell.get("id") == cell_tree.STAGE and isinstance(about, dict):
            return [
                Read(name, one["kind"], one.get("type", ""))
                for name, one in about.get("reads", {}).items()
                if one.get("kind") in {"missing", "secret", "undefined"}
            ]
    return []


def _checked(source: str) -> cell_code.Names:
    if not source.strip():
        raise UsageError(
            "There is nothing in the cell. Nothing was recorded.",
            "what is below `%%exp` is run and recorded.",
        )
    names = cell_code.names(source)
    if names is None:
        hint = "run it without `%%exp` to see the syntax error."
        if source.lstrip().startswith("%%"):
            hint = "`!` lines in a cell of Python run a shell as well."
        raise UsageError(
            "The cell is no Python, so what it reads cannot be found. Nothing was run.", hint
        )
    return names


def _spec(
    site: Site,
    baseline: str,
    taken: Mapping[str, str],
    name: str | None,
    message: str | None,
    force: bool,
) -> specs.Spec:
    try:
        return specs.make(
            site.root,
            baseline,
            taken,
            here=site.here,
            name=name,
            message=message,
            force=force,
            hydra=False,
            untouched=_UNTOUCHED,
        )
    except NameTaken as error:
        raise NameTaken(
            error.message,
            f"`%%exp -n {name} -f` replaces it; without `-n` a fresh name is drawn.",
        ) from None


def _cwd(site: Site, cwd: Path | None) -> str:
    """Where the code runs, from the project's root; the root where that is outside of it."""
    place = site.root / site.here if cwd is None else cwd
    relative = posixpath.normpath(os.path.relpath(place.resolve(), site.root.resolve()))
    return "." if relative.startswith("..") else Path(relative).as_posix()


def _params_file(site: Site, here: str) -> ParamsFile:
    """The params.yaml beside the code, else that of the project's root."""
    for folder in dict.fromkeys([here, "."]):
        path = posixpath.normpath(posixpath.join(folder, "params.yaml"))
        data = bytes_of(site.root, path)
        if data is not None:
            return cell_needs.params_file(data, path, path)
    return cell_needs.params_file(None, "params.yaml", "params.yaml")


def _files(root: Path, here: str, texts: Sequence[str]) -> dict[str, object]:
    """The files of the project that these texts name, and how each of them is now."""
    found: dict[str, object] = {}
    for text in texts:
        if not text or len(text) > 255 or "\n" in text or "\0" in text:
            continue
        place = os.path.normpath(os.path.join(root, here, text))
        path = os.path.relpath(place, root)
        own = path.startswith(("..", f".dvc{os.sep}", f".git{os.sep}"))
        if not own and path not in (".", ".dvc", ".git", "params.yaml") and os.path.exists(place):
            found[Path(path).as_posix()] = _stamp(Path(place))
    return found


def _stamp(path: Path) -> object:
    """What changes when a file is written; of a folder, that of all below it."""
    try:
        if path.is_dir():
            return [(one.as_posix(), one.stat().st_mtime_ns) for one in sorted(path.rglob("*"))]
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _without(output: Mapping[str, Any], secrets: Sequence[str]) -> Mapping[str, Any]:
    """The output with the values hidden that are not to be written down."""
    if not secrets:
        return output

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            for secret in secrets:
                value = value.replace(secret, HIDDEN)
            return value
        if isinstance(value, list):
            return [clean(one) for one in value]
        return {key: clean(one) for key, one in value.items()} if isinstance(value, dict) else value

    return {key: clean(value) for key, value in output.items()}


def _left_behind(
    top: Path, prefix: str, untracked: Sequence[str], extra: Sequence[str], started_s: float
) -> list[NotRecorded]:
    """The files that the cell wrote and nothing keeps."""
    found = []
    for path in untracked:
        if path in extra or "/.ipynb_checkpoints/" in f"/{path}":
            continue
        try:
            changed_s = os.lstat(top / path).st_mtime
        except OSError:
            continue
        # The clock of a file system may run some milliseconds behind.
        if changed_s >= started_s - 0.05 and not path.endswith(".ipynb"):
            shown = posixpath.relpath(path, prefix) if prefix else path
            found.append(NotRecorded(shown, cell_tree.STAGE))
    return found


def _sweep(folder: Path) -> None:
    """Remove what cells of processes left that were killed."""
    if not folder.is_dir():
        return
    for one in folder.iterdir():
        pid = one.name.partition("-")[0]
        if pid.isdigit() and not pids.is_there(int(pid)):
            filesystem.remove(one)
