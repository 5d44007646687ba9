"""Recognising a run that is recorded already, so that nothing runs twice.

Two runs are identical when they have the same baseline, equal dvc.yaml files and, for every stage, the
same command, deps and params. What a stage reads from another stage follows from that. The notebook
in which one types, or a README, does not count; a module that a stage imports does, listed or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from nbexp import hashing
from nbexp.errors import ProjectFileError
from nbexp.experiments.place import files_of
from nbexp.formats import checkpoint, ref_names
from nbexp.formats.dvc_lock import LockedStage
from nbexp.formats.dvc_yaml import PipelineFile
from nbexp.git import Git
from nbexp.pipeline import graph as graphs
from nbexp.pipeline.graph import Graph
from nbexp.pipeline.plan import Inspector, inner_deps, locked_path, notebook_sources
from nbexp.pipeline.stage import Stage
from nbexp.store.cache import Cache


def find(
    git: Git,
    cache: Cache,
    root: Path,
    prefix: str,
    baseline: str,
    refs: Mapping[str, str],
    stages: Sequence[Stage],
    graph: Graph,
    inspector: Inspector,
) -> tuple[str, str] | None:
    """The ref and rev of the newest experiment of `baseline` that a run of `stages` would repeat.

    Notes
    -----
    The digest of each experiment is remembered by its rev, so only new ones are read from Git.
    """
    if any(_depends_on_more(stage, inspector) for stage in stages):
        return None
    mine = _signature(stages, graph, inspector, None)
    if mine is None:
        return None
    texts = {path: (root / path).read_bytes() for path in graph.files}
    digest = _digest(mine, texts, graph.files)
    candidates = {ref: refs[ref] for ref, of, _ in ref_names.experiments(refs) if of == baseline}
    names = ",".join(stage.address() for stage in stages)
    which = hashing.sha256(names.encode())[:16]
    known = cache.memos("identity", [f"{rev}:{which}" for rev in candidates.values()])
    for rev in candidates.values():
        if f"{rev}:{which}" not in known:
            recorded = _recorded_digest(git, cache, prefix, rev, stages, graph, inspector)
            cache.remember("identity", f"{rev}:{which}", recorded)
            known[f"{rev}:{which}"] = recorded
    equal = [(ref, rev) for ref, rev in candidates.items() if known[f"{rev}:{which}"] == digest]
    equal = [found for found in equal if _modules_equal(git, root, prefix, found[1], stages)]
    if not equal:
        return None
    infos = {info.rev: info for info in git.commits([rev for _, rev in equal])}
    # What was stopped at a step has the deps and params of a run that is done, and is none.
    equal = [found for found in equal if checkpoint.stage_of(infos[found[1]].message) is None]
    if not equal:
        return None
    times = {rev: info.time_s for rev, info in infos.items()}
    return max(equal, key=lambda found: (times[found[1]], found[0]))


def _depends_on_more(stage: Stage, inspector: Inspector) -> bool:
    """Whether a run would do what deps and params do not tell: it always runs, or adds to an output."""
    if stage.spec.frozen:
        return False
    persists = any(out.spec.persist for out in stage.outs)
    return stage.always_runs or (persists and bool(inspector.check(stage).reasons))


def unlisted_modules(root: Path, stages: Iterable[Stage]) -> dict[str, list[str]]:
    """The project's modules that each stage imports without listing them as deps."""
    found: dict[str, list[str]] = {}
    for stage in stages:
        listed = [dep.path for dep in stage.deps]
        modules = [
            path
            for path in _imported(root, stage)
            if not any(path == dep or path.startswith(dep + "/") for dep in listed)
        ]
        if modules:
            found[stage.name] = modules
    return found


def _imported(root: Path, stage: Stage) -> list[str]:
    scripts = [
        dep.path
        for dep in stage.deps
        if dep.path.endswith((".py", ".ipynb")) and not dep.is_outside
    ]
    if not scripts:
        return []
    from nbexp.pipeline import detect  # the parser of Python comes with it

    found: dict[str, None] = {}
    for script in scripts:
        if (root / script).is_file():
            found.update(dict.fromkeys(detect.imports(root / script, root)))
    return [path for path in found if path not in scripts]


def _signature(
    stages: Sequence[Stage],
    graph: Graph,
    inspector: Inspector,
    locks: Mapping[str, bytes | None] | None,
) -> list[object] | None:
    """Command, params and outer deps of each stage: as they are now, or as a commit's locks have them."""
    found: list[object] = []
    for stage in stages:
        locked = None if locks is None else stage.entry_in(locks[stage.lock_file])
        if stage.is_data:
            held = _held(stage, inspector) if locks is None else locked
            if held is None:
                return None
            found.append([stage.address(), {out.path: out.md5 for out in held.outs}])
            continue
        entry = inspector.now(stage) if locks is None else locked
        if entry is None:
            return None
        inner = inner_deps(stage, graph)
        sources = notebook_sources(stage)
        deps: dict[str, object] = {}
        for dep in entry.deps:
            if dep.path in inner:
                continue
            path = stage.place(dep.path)
            meaning = inspector.notebook_identity(path, dep.md5) if path in sources else None
            deps[dep.path] = meaning or dep.md5
        deps.update({source.path: dict(source.state) for source in entry.sources})
        found.append([stage.address(), entry.cmd, deps, entry.params])
    return found


def _held(stage: Stage, inspector: Inspector) -> LockedStage | None:
    """What data of a `.dvc` file holds; what is missing will come back as the file has it."""
    locked = inspector.locked(stage)
    then = {out.path: out for out in locked.outs} if locked else {}
    outs = []
    for out in stage.outs:
        found = inspector.cache.hash(inspector.root / out.path)
        held = then.get(out.spelled) if found is None else locked_path(out.spelled, found)
        if held is None:
            return None
        outs.append(held)
    return LockedStage(stage.spec.cmd, outs=tuple(outs))


def _consistent(
    stages: Sequence[Stage], graph: Graph, locks: Mapping[str, bytes | None], cache: Cache
) -> bool:
    """Whether each stage read what the stages before it wrote (not so after `--single-item`)."""
    written = {}
    for stage in stages:
        entry = stage.entry_in(locks[stage.lock_file])
        if entry is not None:
            written.update({stage.place(out.path): out.md5 for out in entry.outs})
    for stage in stages:
        entry = stage.entry_in(locks[stage.lock_file])
        if entry is None:
            return False
        inner = inner_deps(stage, graph)
        for dep in entry.deps:
            path = stage.place(dep.path)
            if dep.path in inner and written.get(path, _inside(path, written, cache)) != dep.md5:
                return False
    return True


def _inside(path: str, written: Mapping[str, str], cache: Cache) -> str | None:
    """The md5 of a file inside a directory output, if the cache can tell."""
    for folder, md5 in written.items():
        if path.startswith(folder + "/") and md5.endswith(".dir") and cache.has_object(md5):
            relative = path[len(folder) + 1 :]
            for item in cache.items(md5):
                if item.relpath == relative:
                    return item.md5
    return None


def _recorded_digest(
    git: Git,
    cache: Cache,
    prefix: str,
    rev: str,
    stages: Sequence[Stage],
    graph: Graph,
    inspector: Inspector,
) -> str:
    """The digest of what an experiment ran with; "" where it is none that a run could repeat."""
    top = f"{prefix}/" if prefix else ""
    lock_paths = sorted({stage.lock_file for stage in stages})
    paths = [*sorted(graph.files), *lock_paths]
    read = dict(zip(paths, git.read_many([f"{rev}:{top}{path}" for path in paths]), strict=True))
    digest = ""
    if all(read[path] is not None for path in paths):
        try:
            signature = _signature(stages, graph, inspector, read)
            if signature is not None and _consistent(stages, graph, read, cache):
                texts = {path: read[path] or b"" for path in graph.files}
                files = _filled_in(git, prefix, rev, texts, graph, inspector)
                digest = _digest(signature, texts, files)
        except ProjectFileError:
            pass  # somebody's broken commit is no reason not to run
    return digest


def _filled_in(
    git: Git,
    prefix: str,
    rev: str,
    texts: Mapping[str, bytes],
    graph: Graph,
    inspector: Inspector,
) -> Mapping[str, PipelineFile]:
    """The pipelines as the commit's params fill them in; those at hand where there is nothing to fill in."""
    if not any(file.read for file in graph.files.values()):
        return graph.files
    return graphs.load(inspector.root, texts, files_of(git, prefix, rev)).files


def _digest(
    signature: list[object], pipelines: Mapping[str, bytes], files: Mapping[str, PipelineFile]
) -> str:
    texts = {path: hashing.sha256(data) for path, data in pipelines.items()}
    # With templates the text does not tell what the stages are; which values they are from is no matter.
    for path, file in files.items():
        if file.read:
            texts[path] += repr((file.stages, file.params, file.metrics, file.plots))
    text = json.dumps([signature, texts], sort_keys=True, default=str)
    return hashing.sha256(text.encode())


def _modules_equal(git: Git, root: Path, prefix: str, rev: str, stages: Sequence[Stage]) -> bool:
    modules = sorted({path for paths in unlisted_modules(root, stages).values() for path in paths})
    top = f"{prefix}/" if prefix else ""
    recorded = git.read_many([f"{rev}:{top}{path}" for path in modules])
    return all(
        data == (root / path).read_bytes() for path, data in zip(modules, recorded, strict=True)
    )
