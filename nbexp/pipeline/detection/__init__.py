"""Finding the pipeline in a project that has none: its stages, with the reason for each of their lines.

First the code is read (`reading`), then, with the user's consent, each script and notebook runs once in a copy of
the project (`trace`). What was really opened wins over what was read; what was read gives the reasons, the
params, and the names that code computes. The result is a proposal; nothing is written here.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbexp.errors import StoreError
from nbexp.events import Emit, Notice, Phase, ScriptTraced
from nbexp.pipeline import detect
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.detection import candidates, parameters, reading, sorting, trace, units
from nbexp.pipeline.detection.candidates import Candidate
from nbexp.pipeline.detection.proposal import Entry, Proposal, ProposedStage
from nbexp.pipeline.detection.seen import Reading
from nbexp.pipeline.detection.symbols import GAP

__all__ = ["Entry", "Proposal", "ProposedStage", "propose"]

_RUNS = "runs"
# From so many files that one line of code writes, or reads of one folder, on: the folder is the line in dvc.yaml.
_MANY = 3
_UNTOLD = "it needs words behind its name; a line in Makefile, run.sh or README.md would tell them"
_DRAFTS = re.compile(
    r"(^|/)(research|experiments?|notebooks?|explor\w*|eda|prototyp\w*|playground|sandbox|scratch|drafts?|trials?)/"
    r"|(explor|(^|[^a-z])eda([^a-z]|$)|prototyp|trial|draft|scratch|untitled|playground)[^/]*\.ipynb$",
    re.IGNORECASE,
)


def propose(
    root: Path, emit: Emit, *, traced: bool = False, timeout_s: float = trace.TIMEOUT_S
) -> Proposal:
    """The stages that the scripts and notebooks below `root` make, beside those that dvc.yaml has.

    Parameters
    ----------
    traced
        Run them, once each, in a copy of the project.
    timeout_s
        The time that each may take there.

    Raises
    ------
    ProjectFileError
        A dvc.yaml of the project cannot be read.
    """
    emit(Phase("reading the code"))
    found, left = candidates.find(root, graphs.load(root))
    works, orchestrators = _read(root, found)
    left += orchestrators
    works = _ordered(_without_drafts(works, left))
    notes: list[str] = []
    copy_of: list[Path] = [root]
    if traced and works:
        try:
            with trace.Copy(root, timeout_s=timeout_s) as copy:
                _run(works, copy, emit)
                for work in works:
                    _gather(work, copy.root)
                return _assembled(root, [copy.root, *copy_of], works, left, notes, traced=True)
        except StoreError as refused:
            emit(Notice(refused.message, refused.hint))
            notes.append(refused.message)
    for work in works:
        _gather(work, root)
    return _assembled(root, copy_of, works, left, notes, traced=False)


@dataclass
class _Work:
    """A candidate with what is known of it so far."""

    candidate: Candidate
    cwd: str
    reading: Reading
    modules: tuple[str, ...]
    runs_as_module: bool = False
    needs_root: bool = False
    needs_src: bool = False  # modules in `src`, as of a package that is to be installed
    run: trace.Run | None = None
    reads: dict[str, str] = field(default_factory=dict)
    writes: dict[str, str] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    folded: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return self.candidate.path

    @property
    def is_done(self) -> bool:
        return self.run is not None and self.run.is_done


# ---- reading


def _read(root: Path, found: Sequence[Candidate]) -> tuple[list[_Work], list[tuple[str, str]]]:
    works = [_work(root, candidate) for candidate in found]
    by_path = {work.path: work for work in works}
    imported = {module for work in works for module in work.modules}
    kept, left = [], []
    for work in works:
        started = _started(work, by_path)
        is_quiet = not (work.reading.accesses or work.reading.keys)
        if started:
            left.append((work.path, f"it runs {', '.join(started)}: stages of their own"))
        elif work.path in imported and is_quiet and work.candidate.line is None:
            continue
        else:
            kept.append(work)
    return kept, left


def _work(root: Path, candidate: Candidate) -> _Work:
    line = candidate.line
    folder = posixpath.dirname(candidate.path) or "."
    words = list(line.words) if line is not None else None
    modules: tuple[str, ...] = ()
    if candidate.is_python or candidate.is_notebook:
        modules = detect.imports(root / candidate.path, root)
    if line is not None and not candidate.is_notebook:
        places = [line.cwd]
    elif candidate.is_notebook:
        places = [folder, "."]
    else:
        places = [".", folder]
    best: tuple[int, str, Reading] | None = None
    for place in dict.fromkeys(places):
        one = reading.read(root, candidate.path, words, place)
        there = sum(
            (root / access.path).exists()
            for access in one.accesses
            if access.does != "write" and GAP not in access.path
        )
        if best is None or there > best[0]:
            best = there, place, one
    assert best is not None
    work = _Work(candidate, best[1], best[2], modules)
    if candidate.is_python:
        work.needs_root = _needs_root(root, candidate.path, modules)
        work.needs_src = not work.needs_root and _needs_src(root, candidate.path, modules)
        work.runs_as_module = bool(line is not None and line.is_module)
    return work


def _needs_root(root: Path, script: str, modules: Iterable[str]) -> bool:
    """Whether modules are imported that Python does not find beside the script."""
    folder = posixpath.dirname(script)
    if not folder:
        return False
    one = units.unit(root, script)
    if one is None:
        return False
    if units.changes_path(one):
        return False
    found = set(modules)
    for name, level in units.imported_names(one):
        if level:
            return True
        tail = name.replace(".", "/")
        beside = [f"{folder}/{tail}.py", f"{folder}/{tail}/__init__.py"]
        above = [f"{tail}.py", f"{tail}/__init__.py"]
        first = name.split(".")[0]
        if (root / folder / f"{first}.py").exists() or (root / folder / first).is_dir():
            continue
        if not found & set(beside) and found & set(above):
            return True
    return False


def _needs_src(root: Path, script: str, modules: Iterable[str]) -> bool:
    """Whether modules are imported by a name that only the folder `src` has."""
    one = units.unit(root, script)
    if one is None or units.changes_path(one) or posixpath.dirname(script) == "src":
        return False
    found = set(modules)
    for name, level in units.imported_names(one):
        tail = f"src/{name.replace('.', '/')}"
        if not level and {f"{tail}.py", f"{tail}/__init__.py"} & found:
            return True
    return False


def _started(work: _Work, by_path: dict[str, _Work]) -> list[str]:
    """The other candidates that a script starts as programs."""
    found: dict[str, None] = {}
    for words in work.reading.runs:
        for place, word in enumerate(words):
            path = posixpath.normpath(posixpath.join(work.cwd, word))
            if place and words[place - 1] == "-m":
                path = word.replace(".", "/") + ".py"
            if path in by_path and path != work.path:
                found[path] = None
    if work.path.endswith(".sh"):
        return []
    return list(found)


def _ordered(works: Sequence[_Work]) -> list[_Work]:
    """Each after those that write what it reads, as far as the code tells; else as they are."""
    writers = [
        (work, access.path.split(GAP)[0])
        for work in works
        for access in work.reading.accesses
        if access.does == "write"
    ]

    def before(work: _Work) -> list[_Work]:
        own = {a.path.split(GAP)[0] for a in work.reading.accesses if a.does == "write"}
        wanted = [
            access.path.split(GAP)[0]
            for access in work.reading.accesses
            if access.does != "write" and access.path.split(GAP)[0] not in own
        ]
        return [
            other
            for other, path in writers
            if other is not work and any(_overlap(path, one) for one in wanted)
        ]

    return _sorted(works, before)


def _sorted(works: Sequence[_Work], before: Callable[[_Work], list[_Work]]) -> list[_Work]:
    """Each behind those before it; a cycle ends where it is noticed."""
    done: list[_Work] = []
    entered: list[_Work] = []

    def enter(work: _Work) -> None:
        if any(work is one for one in entered):
            return
        entered.append(work)
        for other in before(work):
            enter(other)
        done.append(work)

    for work in works:
        enter(work)
    return done


def _overlap(path: str, other: str) -> bool:
    if not path or not other:
        return False
    one, two = path.rstrip("/"), other.rstrip("/")
    return one == two or one.startswith(two + "/") or two.startswith(one + "/")


# ---- running


def _run(works: Sequence[_Work], copy: trace.Copy, emit: Emit) -> None:
    """Run each in the copy; those that fail again once others have made more files."""
    waiting = [work for work in works if not _lacks_words(work)]
    tried: dict[int, int] = {}
    made = 0
    total = len(waiting)
    while waiting:
        again = []
        for work in waiting:
            if tried.get(id(work)) == made:
                again.append(work)
                continue
            argv, env = _argv(work, copy.scratch)
            line = shlex.join([work.path, *_words(work)])
            emit(ScriptTraced(line, len(tried) + (id(work) not in tried), total))
            tried[id(work)] = made
            work.run = copy.run(argv, work.cwd, env)
            if work.run.is_done or work.run.is_late:
                made += any(one.does == "write" for one in work.run.opened)
            else:
                again.append(work)
        if len(again) == len(waiting) and all(tried.get(id(work)) == made for work in again):
            break
        waiting = again
    for work in works:
        if work.run is not None and not work.run.is_done:
            emit(Notice(f"{work.path} {_problem(work)}"))


def _lacks_words(work: _Work) -> bool:
    return work.reading.needs_words and work.candidate.line is None


def _words(work: _Work) -> list[str]:
    """The words behind the script: those that the project tells, else the config file that it asks for."""
    if work.candidate.line is not None:
        return list(work.candidate.line.words)
    return [f"{flag}={file}" for flag, file in work.reading.guesses]


def _argv(work: _Work, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """What is run in the copy."""
    line = work.candidate.line
    relative = posixpath.relpath(work.path, work.cwd)
    words = _words(work)
    env = dict(one.split("=", 1) for one in line.env) if line is not None else {}
    if work.needs_src:
        env.setdefault("PYTHONPATH", posixpath.relpath("src", work.cwd))
    if work.candidate.is_notebook:
        papermill = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR"]
        return [*papermill, relative, str(scratch / "executed.ipynb")], env
    if work.candidate.is_python:
        if work.runs_as_module or work.needs_root:
            return [sys.executable, "-m", _module(relative), *words], env
        return [sys.executable, relative, *words], env
    program = line.program if line is not None else "sh"
    return [shutil.which(program) or program, relative, *words], env


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__main__").replace("/", ".")


def _problem(work: _Work) -> str:
    run = work.run
    if run is None:
        return "was not run in the copy"
    if run.is_late:
        return (
            f"was stopped after {run.seconds:.0f} s in the copy; what it opened until then counts"
        )
    last = [text for text in run.tail.strip().splitlines() if text.strip()]
    return f"did not end well in the copy ({last[-1].strip()[:160] if last else run.returncode})"


# ---- what each opens


def _gather(work: _Work, where: Path) -> None:
    """The files that it reads, writes and looks through, each with the reason."""
    script = posixpath.basename(work.path)
    spoken = {"read": "reads", "write": "writes", "list": "goes through"}
    static: dict[str, dict[str, str]] = {"read": {}, "write": {}, "list": {}}
    for access in work.reading.accesses:
        if access.is_added_to and not sorting.is_data(access.path):
            continue
        for path in units.expand(where, access.path) or [access.path]:
            static[access.does].setdefault(
                path, f"{access.where} {spoken[access.does]} {_shown(path)}"
            )
    opened = work.run.opened if work.run is not None else ()
    is_script = not (work.candidate.is_python or work.candidate.is_notebook)
    first: dict[str, str] = {}
    for one in opened:
        if one.does in {"read", "write"}:
            first.setdefault(one.path, one.does)
    for one in opened:
        path = one.path
        if not _counts(work, path):
            continue
        is_code = path.endswith((".py", ".ipynb", ".sh", ".pyc"))
        reason = f"{_place(work, one.where)} {spoken.get(one.does, 'reads')} {_shown(path)}"
        seen = f"{script} opened it when it ran"
        if one.does == "write":
            if (where / path).is_file() and sorting.is_data(path):
                work.writes.setdefault(
                    path, static["write"].get(path) or (reason if one.where else seen)
                )
        elif one.does == "list":
            work.lists.setdefault(path, static["list"].get(path) or reason)
        elif one.does in {"read", "touched"} and sorting.is_data(path):
            if is_code and not is_script and path not in static["read"]:
                continue
            if (where / path).is_file():
                work.reads.setdefault(
                    path, static["read"].get(path) or (reason if one.where else seen)
                )
    if not work.is_done:
        for does, into in (("read", work.reads), ("write", work.writes), ("list", work.lists)):
            for path, why in static[does].items():
                if _counts(work, path) and sorting.is_data(path):
                    into.setdefault(path, why)
    for path in static["list"]:
        if path in work.lists or (where / path).is_dir():
            work.lists.setdefault(path, static["list"][path])
    for path in list(work.reads):
        if path in work.writes:
            del work.reads[path]


def _counts(work: _Work, path: str) -> bool:
    """Whether a file may be one of the stage's at all."""
    return path != work.path and not path.startswith(f"{_RUNS}/") and path not in {".", ""}


def _place(work: _Work, where: str) -> str:
    return f"{work.path} {where}" if where.startswith("cell") else where or work.path


def _shown(path: str) -> str:
    return path.replace(GAP, "*")


# ---- putting it together


def _assembled(
    root: Path,
    places: Sequence[Path],
    works: Sequence[_Work],
    left: list[tuple[str, str]],
    notes: list[str],
    *,
    traced: bool,
) -> Proposal:
    runnable = tuple(work.path for work in works if not _lacks_words(work))
    alone = [work for work in works if work.candidate.is_notebook]
    is_alone = len(alone) == len(works) == 1
    works = [work for work in works if is_alone or _is_stage(work, left)]
    works = _without_doubles(works, left)
    works = _without_copies(works, left)
    _give_owners(works, notes)
    works = [work for work in works if work.writes or is_alone]
    for work in works:
        _fold_outs(work, works, places)
    for work in works:
        _fold_deps(work, works, places[0])

    def before(work: _Work) -> list[_Work]:
        return [
            other
            for other in works
            if other is not work
            and any(_overlap(out, read) for out in other.writes for read in work.reads)
        ]

    works = _sorted(works, before)
    read_by = {
        id(work): {path for other in works if other is not work for path in other.reads}
        for work in works
    }
    written = {path for work in works for path in work.writes}
    names = _names(works, graphs.load(root))
    tracked = _tracked(root, works)
    stages = tuple(
        _stage(root, places, work, names[id(work)], read_by[id(work)], written, tracked)
        for work in works
    )
    notes += [f"{work.path} {_problem(work)}." for work in works if traced and not work.is_done]
    return Proposal(root, stages, tuple(sorted(left)), tuple(notes), () if traced else runnable)


def _is_stage(work: _Work, left: list[tuple[str, str]]) -> bool:
    if _lacks_words(work):
        left.append((work.path, _UNTOLD))
        return False
    if work.writes:
        return True
    if work.candidate.is_notebook or work.reads or work.lists or work.candidate.line is not None:
        left.append((work.path, "it writes no file of the project"))
    return False


def _without_doubles(works: Sequence[_Work], left: list[tuple[str, str]]) -> list[_Work]:
    """Of a script and the modules it imports that do the same, one: the finer ones if they do all of it."""
    gone: set[int] = set()
    for work in works:
        inner = [
            other
            for other in works
            if other is not work
            and other.path in work.modules
            and set(other.writes) & set(work.writes)
        ]
        if not inner:
            continue
        together = {path for other in inner for path in other.writes}
        if set(work.writes) <= together:
            gone.add(id(work))
            left.append((work.path, f"it does what {', '.join(o.path for o in inner)} do"))
        else:
            for other in inner:
                gone.add(id(other))
                left.append((other.path, f"{work.path} does it as well"))
    return [work for work in works if id(work) not in gone]


def _without_drafts(works: Sequence[_Work], left: list[tuple[str, str]]) -> list[_Work]:
    """Beside a pipeline of scripts, notebooks in a folder for trying things out are no stages."""
    if sum(not work.candidate.is_notebook for work in works) < 2:
        return list(works)
    drafts = [
        work.path
        for work in works
        if work.candidate.is_notebook and _DRAFTS.search(work.path) and not work.candidate.line
    ]
    left += [(path, "a notebook beside scripts that make a pipeline") for path in drafts]
    return [work for work in works if work.path not in drafts]


def _without_copies(works: Sequence[_Work], left: list[tuple[str, str]]) -> list[_Work]:
    """A notebook that writes nothing but what scripts write is what they were made of."""
    scripts = [work for work in works if not work.candidate.is_notebook]
    made = {path for work in scripts for path in work.writes}
    copies = [
        work.path
        for work in works
        if scripts and work.candidate.is_notebook and set(work.writes) <= made
    ]
    left += [(path, "it writes what scripts write") for path in copies]
    return [work for work in works if work.path not in copies]


def _give_owners(works: Sequence[_Work], notes: list[str]) -> None:
    """A file that two stages write belongs to the first of them; the others get a word."""
    owner: dict[str, _Work] = {}
    # Of a notebook and a script that write the same, the notebook was the draft.
    for work in sorted(works, key=lambda one: one.candidate.is_notebook):
        for path in list(work.writes):
            if path in owner:
                notes.append(
                    f"{work.path} writes {_shown(path)} as well as {owner[path].path}; an output has one stage."
                )
                del work.writes[path]
            else:
                owner[path] = work


def _fold_outs(work: _Work, works: Sequence[_Work], places: Sequence[Path]) -> None:
    """Folders instead of files where the stage makes the folder and fills it, or computes the names."""
    folders: dict[str, list[str]] = {}
    for path in work.writes:
        folder = posixpath.dirname(path.split(GAP)[0] + "x")
        if folder not in {"", "."}:
            folders.setdefault(folder, []).append(path)
    for folder, paths in folders.items():
        if not any(path in work.writes for path in paths):
            continue  # a folder above took them
        inside = [path for path in work.writes if path.startswith(folder + "/")]
        lines = [_line_of(work.writes[path]) for path in paths]
        is_computed = any(GAP in path for path in paths) or _is_computed(work, folder, len(paths))
        is_many = any(lines.count(line) >= _MANY for line in set(lines))
        is_made = folder in work.reading.folders and len(inside) > 1
        # A metrics file in it keeps a line of its own, and so must all the others then.
        kinds = {
            sorting.kind(path, sorting.content(places, path), is_read=False)
            for path in inside
            if GAP not in path
        }
        if not (is_computed or is_many or is_made) or kinds - {"outs"}:
            continue
        if not _is_own(work, folder, works, places[-1]):
            continue
        why = _line_of(work.writes[paths[0]])
        known = tuple(sorted(path for path in inside if GAP not in path))
        for path in inside:
            del work.writes[path]
        count = f"{len(known)} files into " if len(known) > 1 else "into "
        work.writes[folder] = f"{why} writes {count}{folder}"
        work.folded[folder] = known
    for path in [path for path in work.writes if GAP in path]:
        del work.writes[path]


def _line_of(why: str) -> str:
    """The part of a reason that says where."""
    return re.split(r" (?:writes|reads|goes through|opened it) ", f"{why} ", maxsplit=1)[0]


def _is_computed(work: _Work, folder: str, count: int) -> bool:
    return count > 1 and any(
        access.does == "write"
        and GAP in access.path
        and posixpath.dirname(access.path.split(GAP)[0] + "x") == folder
        for access in work.reading.accesses
    )


def _is_own(work: _Work, folder: str, works: Sequence[_Work], root: Path) -> bool:
    """Whether a folder holds nothing but what the stage writes there."""
    for other in works:
        paths = [other.path, *(other.reads if other is work else other.writes)]
        if any(_overlap(folder, path) for path in paths):
            return False
    there = _inside(root, folder)
    return all(path in work.writes for path in there) or any(
        GAP in path and path.startswith(folder + "/") for path in work.writes
    )


def _fold_deps(work: _Work, works: Sequence[_Work], place: Path) -> None:
    """Folders instead of files where code goes through a folder, or takes all of what is in it."""
    outs = {path for other in works for path in other.writes if other is not work}
    by_folder: dict[str, list[str]] = {}
    for path in work.reads:
        by_folder.setdefault(posixpath.dirname(path.split(GAP)[0] + "x"), []).append(path)
    for folder in sorted(set(by_folder) | set(work.lists), key=lambda one: one.count("/")):
        paths = [path for path in work.reads if path.startswith(folder + "/")]
        if folder in {"", ".", ".."} or not (paths or folder in work.lists):
            continue
        gaps = any(GAP in path for path in paths)
        is_script = not (work.candidate.is_python or work.candidate.is_notebook)
        lines = {_line_of(work.reads[path]) for path in paths}
        same_line = len(paths) >= _MANY and len(lines) == 1
        takes_all = (
            len(paths) >= _MANY
            and set(paths) >= _inside(place, folder)
            and (is_script or same_line)
        )
        listed = folder in work.lists and bool(paths or not outs & _inside(place, folder))
        owned = folder in outs
        if not (
            gaps
            or takes_all
            or (listed and (place / folder).is_dir())
            or (owned and len(paths) > 1)
        ):
            continue
        if any(_overlap(folder, path) for path in (*work.writes, work.path)):
            continue
        if any(path.endswith((".py", ".ipynb")) for path in _inside(place, folder)):
            continue
        if folder in work.lists and not paths and not _inside(place, folder):
            continue
        # Outs of several stages in one folder: each is a dep of its own, for none of them owns the folder.
        if any(one.startswith(folder + "/") for one in outs) and not gaps and paths:
            continue
        where = _line_of(work.reads[paths[0]]) if paths else ""
        why = work.lists.get(folder) or f"{where} reads {len(paths)} files of {folder}"
        for path in paths:
            del work.reads[path]
        work.reads[folder] = why
        work.folded[folder] = tuple(sorted(path for path in paths if GAP not in path))
    for path in [path for path in work.reads if GAP in path]:
        del work.reads[path]


def _inside(place: Path, folder: str) -> set[str]:
    found: set[str] = set()
    for base, names, files in os.walk(place / folder):
        names[:] = [name for name in names if name not in candidates.COPIED_NOT]
        for name in files:
            path = os.path.relpath(os.path.join(base, name), place).replace(os.sep, "/")
            if sorting.is_data(path):
                found.add(path)
    return found


def _names(works: Sequence[_Work], graph: graphs.Graph) -> dict[int, str]:
    """A stage's name is its file's, with the folder before it where two would be alike."""
    taken = {stage.name for stage in graph.stages if stage.folder == "."}
    stems: dict[str, int] = {}
    for work in works:
        stems[_stem(work.path)] = stems.get(_stem(work.path), 0) + 1
    found: dict[int, str] = {}
    for work in works:
        name = _stem(work.path)
        if stems[name] > 1 or name in taken or name in {"main", "run", "__main__"}:
            folder = posixpath.basename(posixpath.dirname(work.path))
            name = _clean(f"{folder}-{name}" if folder and stems[_stem(work.path)] > 1 else name)
        start, number = name, 2
        while name in taken:
            name, number = f"{start}-{number}", number + 1
        taken.add(name)
        found[id(work)] = name
    return found


def _stem(path: str) -> str:
    stem = posixpath.splitext(posixpath.basename(path))[0]
    if stem == "__main__":
        stem = posixpath.basename(posixpath.dirname(path))
    return _clean(stem)


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def _tracked(root: Path, works: Sequence[_Work]) -> frozenset[str]:
    """What of the outs Git tracks: that cannot be put into the cache."""
    from nbexp.git import Git

    git = Git.find(root)
    if git is None:
        return frozenset()
    try:
        base = os.path.relpath(os.path.realpath(root), os.path.realpath(git.root))
        spelled = {
            posixpath.normpath(posixpath.join(base.replace(os.sep, "/"), path)): path
            for work in works
            for path in work.writes
        }
        return frozenset(spelled[path] for path in git.is_tracked(spelled) if path in spelled)
    finally:
        git.close()


def _stage(
    root: Path,
    places: Sequence[Path],
    work: _Work,
    name: str,
    read_by_others: set[str],
    written: set[str],
    tracked: frozenset[str],
) -> ProposedStage:
    chosen = parameters.choose(root, name, work.path, work.reading, _words(work), written)
    for path in chosen.files:
        work.reads.pop(path, None)
    deps = [
        Entry(module, f"{posixpath.basename(work.path)} imports {module}")
        for module in _modules(root, work)
    ]
    deps += [
        Entry(path, why, files=work.folded.get(path, ()))
        for path, why in sorted(work.reads.items())
        if path not in {entry.path for entry in deps}
    ]
    sorted_out: dict[str, list[Entry]] = {"outs": [], "metrics": [], "plots": []}
    for path, why in sorted(work.writes.items()):
        content = sorting.content(places, path)
        is_read = any(_overlap(path, one) for one in read_by_others)
        sorted_out[sorting.kind(path, content, is_read=is_read)].append(
            Entry(path, why, files=work.folded.get(path, ()))
        )
    output = None
    if work.candidate.is_notebook:
        output = posixpath.join(work.cwd, _RUNS, posixpath.basename(work.path))
    return ProposedStage(
        name=name,
        source=work.path,
        cmd=_cmd(work, name, chosen, output, is_installed=_is_package(root)),
        wdir=work.cwd,
        deps=tuple(deps),
        params=chosen.entries,
        outs=tuple(sorted_out["outs"]),
        metrics=tuple(sorted_out["metrics"]),
        plots=tuple(sorted_out["plots"]),
        values=chosen.values,
        is_traced=work.is_done,
        problem="" if work.is_done else _problem(work),
        output=posixpath.normpath(output) if output else None,
        in_git=tracked & set(work.writes),
    )


def _modules(root: Path, work: _Work) -> list[str]:
    found = set(work.modules)
    for one in work.run.opened if work.run is not None else ():
        if one.does == "import" and one.path.endswith(".py") and (root / one.path).is_file():
            found.add(one.path)
    found.discard(work.path)
    return sorted(found)


def _is_package(root: Path) -> bool:
    """Whether the project is one to install, so that its modules are found wherever one is."""
    if (root / "setup.py").exists() or (root / "setup.cfg").exists():
        return True
    try:
        return b"[project]" in (root / "pyproject.toml").read_bytes()
    except OSError:
        return False


def _cmd(
    work: _Work, name: str, chosen: parameters.Chosen, output: str | None, *, is_installed: bool
) -> str:
    line = work.candidate.line
    relative = posixpath.relpath(work.path, work.cwd)
    if work.candidate.is_notebook:
        assert output is not None
        out = posixpath.relpath(output, work.cwd)
        words = ["nbexp", "notebook", relative, out]
        if chosen.values:
            file = posixpath.relpath("params.yaml", work.cwd)
            key = name if file == "params.yaml" else f"{file}:{name}"
            words += ["--params", key]
            if chosen.is_untagged:
                words.append("--untagged")
        return shlex.join(words)
    env = list(line.env) if line is not None else []
    if work.runs_as_module or work.needs_root:
        env = [one for one in env if not one.startswith("PYTHONPATH=")]
    if work.needs_src and not is_installed and not env:
        env = [f"PYTHONPATH={posixpath.relpath('src', work.cwd)}"]
    words = list(chosen.words)
    if work.candidate.is_python:
        start = ["python"]
        if work.runs_as_module or work.needs_root:
            start += ["-m", _module(relative)]
        else:
            start.append(relative)
    else:
        start = [line.program if line is not None else "sh", relative]
    return " ".join([*env, shlex.join(start), *(_word(word) for word in words)])


def _word(word: str) -> str:
    """A word of a command line; a param in it stays as DVC fills it in."""
    return word if re.fullmatch(r"(--?[\w-]+=?)?\$\{[^}]+\}", word) else shlex.quote(word)
