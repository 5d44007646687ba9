"""What an isolated run will miss: files that its stages need and that are in no commit, told before it runs.

Asked are dvc.yaml (deps, params, the words of commands) and the code: what scripts and notebooks import,
and the files that they read, as far as their text says so. Nothing is run.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from nbexp.errors import NbexpError, NotFound
from nbexp.events import Emit, Notice
from nbexp.experiments import freezing
from nbexp.experiments.freezing import View
from nbexp.experiments.run import Place
from nbexp.formats.dvc_lock import LockedStage
from nbexp.frozen import frozen
from nbexp.git import Git
from nbexp.pipeline import detect
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.pipeline.plan import hash_of
from nbexp.pipeline.stage import Stage

Why = Literal["untracked", "ignored", "data", "edited"]

# Data up to here is hashed to see whether it was edited; of more, the size has to do.
_HASHED_BYTES = 64 << 20
_SHOWN = 5
# What Python and its tools leave beside code, which nothing misses.
_NEVER = ("__pycache__", ".ipynb_checkpoints", ".git", ".dvc")


@frozen
class Absent:
    """A file of the workspace that will not be where the run is, or not as it is in the workspace.

    Attributes
    ----------
    path
        Relative to the project's root.
    why
        `untracked`: it was never added to Git. `ignored`: Git ignores it. `data`: DVC tracks it, and the
        cache does not have it. `edited`: DVC tracks it, and the cache has an older state of it.
    wanted
        Who needs it and how: "imported by train.ipynb".
    """

    path: str
    why: Why
    wanted: str

    def to_json(self) -> dict[str, str]:
        return {"path": self.path, "why": self.why, "wanted": self.wanted}


def missing(
    place: Place,
    graph: Graph,
    stages: Sequence[Stage],
    *,
    view: View | None = None,
    copies: Sequence[str] = (),
) -> tuple[Absent, ...]:
    """What these stages need and will not find where an isolated run happens, sorted by path.

    Parameters
    ----------
    view
        The frozen state that the run starts from; None: look now.
    copies
        Files and folders, relative to the project's root, that will be copied or written there.

    Notes
    -----
    No process but that of `freezing.look` where there is no view. Code that cannot be parsed tells nothing.
    """
    view = view or freezing.look(place)
    top = f"{place.prefix}/" if place.prefix else ""
    rev = view.snapshot.rev
    is_old = view.snapshot.baseline != place.git.head()

    def is_same(path: str) -> bool:
        """Whether the run will have the code that is read here."""
        info = place.git.info(f"{rev}:{top}{path}") if is_old else None
        return not is_old or (
            info is not None and info[0] == place.git.hash_bytes((place.root / path).read_bytes())
        )

    wanted: dict[str, str] = {}
    for stage in stages:
        if not stage.is_data:
            for path, by in _wanted(place, graph, stage, is_same):
                wanted.setdefault(path, by)
    paths = [path for path in wanted if not any(is_inside(path, one) for one in copies)]
    if is_old:  # what HEAD has and the baseline has not is no file that somebody forgot to add
        newer = place.git.info_many([f"HEAD:{top}{path}" for path in paths])
        there = place.git.info_many([f"{rev}:{top}{path}" for path in paths])
        paths = [
            path
            for path, new, old in zip(paths, newer, there, strict=True)
            if new is None or old is not None
        ]
    known = place.git.info_many([f"{rev}:{top}{path}" for path in paths])
    found: dict[str, Absent] = {}
    untracked = [path.removeprefix(top) for path in view.untracked if path.startswith(top)]
    for path, info in zip(paths, known, strict=True):
        by = wanted[path]
        inner = [one for one in untracked if is_inside(one, path)]
        if info is not None:  # a folder that Git knows may hold files that it does not
            for one in inner:
                found.setdefault(one, Absent(one, "untracked", by))
        elif (place.root / path).exists() and not _is_in_submodule(place.git, rev, top + path):
            is_known = bool(inner) or any(is_inside(path, one.rstrip("/")) for one in untracked)
            found.setdefault(path, Absent(path, "untracked" if is_known else "ignored", by))
    for path in pipelines(place, view):
        found.setdefault(path, Absent(path, "untracked", "it says what stages there are"))
    for data in _data(place, graph, stages, view):
        if not any(is_inside(data.path, copied) for copied in copies):
            found[data.path] = data
    return tuple(found[path] for path in sorted(found))


def _is_in_submodule(git: Git, rev: str, path: str) -> bool:
    """Whether a path, from the top, is a submodule or in one, at the commit that `rev` has of it."""
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        folder, inside = "/".join(parts[:count]), "/".join(parts[count:])
        if not git.has_git(folder):
            continue
        entry = git.tree(rev, prefix=folder).get(folder)
        inner = Git.find(git.root / folder)
        if entry is None or entry.mode != "160000" or inner is None:
            return False
        try:
            is_file = inner.info(f"{entry.oid}:{inside}") is not None
            return is_file or _is_in_submodule(inner, entry.oid, inside)
        finally:
            inner.close()
    return False


def pipelines(place: Place, view: View) -> list[str]:
    """The dvc.yaml and `.dvc` files, from the project's root, that are in no commit and so not there either."""
    top = f"{place.prefix}/" if place.prefix else ""
    mine = [path.removeprefix(top) for path in view.untracked if path.startswith(top)]
    return graphs.stage_files_among(
        place.root,
        [path for path in mine if path.endswith(("/dvc.yaml", ".dvc")) or path == "dvc.yaml"],
    )


def reader(place: Place, view: View, made: Collection[str] = ()) -> Callable[[str], bytes | None]:
    """Reads params files of the frozen state; one that is in the workspace alone is an error that says so.

    Those that are `made` for the run may be missing.

    Raises
    ------
    NotFound
        When such a file is read.
    """

    def read(path: str) -> bytes | None:
        data = view.read(path)
        if data is None and path not in made and (place.root / path).is_file():
            raise absent_file(path)
        return data

    return read


def absent_file(path: str) -> NotFound:
    """What the run cannot do without, and would not have."""
    return NotFound(
        f"{path} is in your files and in no commit, so a run beside them does not have it. Nothing was run.",
        f"`git add {shlex.quote(path)}`",
    )


def tell(absent: Sequence[Absent], here: str, emit: Emit) -> None:
    """Say what will be missing, one notice for each reason, and what to type so that it is not."""
    for why in ("untracked", "ignored", "data", "edited"):
        ones = [one for one in absent if one.why == why]
        if not ones:
            continue
        names = [posixpath.relpath(one.path, here) for one in ones]
        shown = [
            f"{name} ({_BECAUSE[why]}, {one.wanted})"
            for name, one in zip(names[:_SHOWN], ones, strict=False)
        ]
        if len(ones) > _SHOWN:
            shown.append(f"{len(ones) - _SHOWN} more")
        listed = ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + shown[-1]
        words = " ".join(shlex.quote(name) for name in names)
        copied = " ".join(f"-C {shlex.quote(name)}" for name in names)
        hint = {
            "untracked": f"`git add {words}`, or `{copied}`",
            "ignored": f"`{copied}` copies {'it' if len(ones) == 1 else 'them'} there.",
            "data": "`--pull` fetches it from the remote; "
            f"`nbexp data add {words}` keeps what is in the workspace.",
            "edited": f"`nbexp data add {words}` keeps the edit.",
        }[why]
        what = "will not be in the run's folder"
        if why == "edited":
            what = "will be in the run's folder as it was added"
        emit(Notice(f"{listed} {what}.", hint))


_BECAUSE: Mapping[str, str] = {
    "untracked": "untracked",
    "ignored": "ignored by Git",
    "data": "not in the cache",
    "edited": "edited since it was added",
}


# ---- what stages need


def _wanted(
    place: Place, graph: Graph, stage: Stage, is_same: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """Paths that the stage needs of Git, as far as anything says so, and who says it."""
    root = place.root
    code: dict[str, None] = {}
    needed: dict[str, str] = {}
    for dep in stage.deps:
        if not dep.is_outside:
            needed[dep.path] = f"a dep of {stage.name}"
    for param in stage.params:
        if not param.is_outside:
            needed.setdefault(param.path, f"params of {stage.name}")
    for command in stage.spec.commands:
        for word in _words(command):
            path = _inside(root, root / stage.cwd / word)
            if path is not None and (root / path).is_file():
                needed.setdefault(path, f"named by {stage.name}")
        for script in detect.scripts(command, root / stage.cwd):
            path = _inside(root, script)
            if path is not None:
                code[path] = None
    code.update(
        (path, None) for path in needed if path.endswith((".py", ".ipynb")) and path not in code
    )
    for path in code:
        if not (root / path).is_file():
            continue
        needed.setdefault(path, f"run by {stage.name}")
        if not is_same(path):
            continue
        modules = detect.imports(root / path, root, folders=[root / stage.cwd])
        for module in modules:
            needed.setdefault(module, f"imported by {path}")
        for read in _read_by(place, path, modules, stage.cwd):
            needed.setdefault(read, f"read by {path}")
    for path, by in needed.items():
        parts = path.split("/")
        if graph.owner(path) is None and not any(name in parts for name in _NEVER):
            yield path, by


def _words(command: str) -> Iterable[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return command.split()


def _inside(root: Path, path: Path) -> str | None:
    """The path relative to the root, None where it is none of the project's."""
    try:
        relative = posixpath.relpath(path.as_posix(), root.as_posix())
    except ValueError:
        return None
    return None if relative.split("/")[0] in ("..", ".") else relative


def _read_by(place: Place, script: str, modules: Sequence[str], cwd: str) -> Iterator[str]:
    """The files that code reads, and that are there; what it writes as well is its own to make."""
    root = place.root
    for path in _reads(place, script, modules, cwd):
        if (root / path).is_file():
            yield path
    # `load_dotenv()` names no file; everybody knows which one it is.
    if (root / ".env").is_file() and "dotenv" in _text(root / script):
        yield ".env"


def _reads(place: Place, script: str, modules: Sequence[str], cwd: str) -> list[str]:
    """The paths that code reads, found once for each state of it: reading a big program takes a second."""
    import hashlib

    digest = hashlib.sha256(f"{script}\0{cwd}".encode())
    for path in (script, *modules):
        digest.update(hashlib.sha256(_text(place.root / path).encode()).digest())
    known = place.cache.memo(_FORM, digest.hexdigest())
    if known is not None:
        return [str(path) for path in json.loads(known)]
    from nbexp.pipeline.detection import reading
    from nbexp.pipeline.detection.symbols import GAP

    try:
        found = reading.read(place.root, script, None, cwd, steps=_STEPS).accesses
    except (NbexpError, RecursionError, OSError):
        found = ()
    written = {one.path for one in found if one.does == "write"}
    paths = {
        posixpath.normpath(one.path)
        for one in found
        if one.does != "write" and GAP not in one.path and one.path not in written
    }
    inside = sorted(path for path in paths if path.split("/")[0] not in ("..", ".", ""))
    place.cache.remember(_FORM, digest.hexdigest(), json.dumps(inside))
    return inside


# The form of what is remembered; a new form gets a new number.
_FORM = "reads-1"
# Of evaluating code; a script of a hundred lines takes a few hundred.
_STEPS = 10_000


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


# ---- data


def _data(place: Place, graph: Graph, stages: Sequence[Stage], view: View) -> Iterator[Absent]:
    """Data that stages read and none of them makes, of which the cache has nothing, or something else."""
    run = set(stages)
    for stage in stages:
        for dep in stage.deps:
            owner = graph.owner(dep.path)
            if stage.is_data or owner is None or (owner in run and not owner.is_data):
                continue
            entry = owner.entry_in(view.read(owner.lock_file if owner.data is None else owner.file))
            if entry is not None:
                yield from _of_owner(place, owner, entry, f"a dep of {stage.name}")


def _of_owner(place: Place, owner: Stage, entry: LockedStage, by: str) -> Iterator[Absent]:
    spelled = {out.spelled: out for out in owner.outs}
    for locked in entry.outs:
        out = spelled.get(locked.path)
        if out is None or not out.cache or not locked.md5:
            continue
        wanted = hash_of(locked)
        if place.fetch is None and place.cache.lacking([wanted]):
            yield Absent(out.path, "data", by)
            continue
        target = place.root / out.path
        if not target.exists() or not owner.is_data:
            continue
        if 0 <= wanted.size <= _HASHED_BYTES:
            there = place.cache.hash(target)
            is_other = there is not None and there.md5 != wanted.md5
        else:
            is_other = target.is_file() and 0 <= wanted.size != target.stat().st_size
        if is_other:
            yield Absent(out.path, "edited", by)
