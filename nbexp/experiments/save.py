"""The workspace as it is to an experiment, without running anything.

As `dvc exp save` does (DVC 3.67.1; formats.md 1.3 and 1.5): what stages and `.dvc` files track is hashed and stored
again, dvc.lock and the `.dvc` files are rewritten, and the tree is the user's edits of tracked files, the files of
the pipeline that Git keeps, and what is asked for with `--include-untracked`.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nbexp import hashing
from nbexp.errors import NotFound, UsageError
from nbexp.events import Emit, Event, LockUpdated, Notice, Phase
from nbexp.experiments import environment, trash
from nbexp.experiments import spec as specs
from nbexp.filesystem import crash_point
from nbexp.formats import ref_names
from nbexp.frozen import field, frozen
from nbexp.git import Git, NewCommit
from nbexp.pipeline import data as tracked
from nbexp.pipeline import outputs
from nbexp.pipeline.graph import Graph, is_inside
from nbexp.results import Result

if TYPE_CHECKING:
    from nbexp.experiments.data import Site
    from nbexp.experiments.spec import Spec
    from nbexp.experiments.workspace import InPlace
    from nbexp.pipeline.plan import Inspector
    from nbexp.pipeline.stage import Stage

_FEW = 8  # so many names are told in a line


@frozen
class Saved(Result):
    """The workspace as an experiment.

    Attributes
    ----------
    identical
        An experiment of the same files was there already, and this is it.
    written
        dvc.lock and `.dvc` files that were brought up to date, relative to the user's directory.
    left_out
        Untracked files that are not part of the experiment, from the top of the repository.
    """

    name: str
    rev: str
    baseline: str
    identical: bool = False
    written: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=(), compare=False)

    def to_json(self) -> dict[str, object]:
        """DVC's `{"ref": rev}`, and what else there is to tell."""
        return {
            "ref": self.rev,
            "name": self.name,
            "baseline": self.baseline,
            "identical": self.identical,
            "written": list(self.written),
            "not_recorded": list(self.left_out),
        }


def save(
    site: Site,
    targets: Sequence[str],
    emit: Emit,
    *,
    name: str | None,
    message: str | None,
    force: bool,
    include_untracked: Sequence[str],
    recursive: bool,
    env: Mapping[str, str],
) -> Saved:
    """See `Project.save`; `env` is the environment in which stages would find their Python."""
    git = site.git
    typed = ["save", *(["-n", name] if name is not None else [])]
    typed += ["-m", message] if message is not None else []
    typed += ["-f"] * force + ["-R"] * recursive
    typed += [word for path in include_untracked for word in ("-I", path)]
    typed += [*(["--"] if any(one.startswith("-") for one in targets) else []), *targets]
    with site.workspace().held(emit) as workspace:
        refs = {ref: rev for ref, rev in git.refs("refs/exps/").items() if ref_names.parse(ref)}
        spec = _spec(site, refs, name=name, message=message, force=force)
        graph = site.graph()
        chosen = tracked.choose(graph, targets, site.here, with_deps=False, recursive=recursive)
        stages = list(dict.fromkeys(one.stage for one in chosen))
        inspector = site.inspector()
        _refuse_missing(site, graph, stages, inspector)
        checks = {stage: inspector.check(stage) for stage in stages}
        wanted = _asked_for(site, graph, include_untracked, emit)
        line = environment.typed_line(typed, as_dvc=True)
        recorder = environment.Recorder(git, site.cache, line, stages, env, site.here)
        files = [stage.file if stage.is_data else stage.lock_file for stage in stages]
        before = _texts(site, files)
        with workspace.changing(f"save {spec.name}"):
            context = site.context(workspace, relink=False)
            quietly = _without(LockUpdated, emit)  # the result tells of these files
            entries = {}
            for number, stage in enumerate(stages):
                emit(Phase(f"hashing {stage.shown}", number, len(stages)))
                with site.narrating(f"hashing {stage.shown}", emit):
                    entry = outputs.commit(checks[stage], inspector, context, quietly)
                if not stage.is_data:
                    entries[stage.name] = entry.entry()
                crash_point("save.hashed")
            emit(Phase("recording"))
            # With targets DVC hashes none, as it looks for stages in lists of them.
            digest = _digest({} if targets else entries)
            saved = _record(site, workspace, spec, graph, wanted, refs, digest)
            crash_point("record.done")
        if not saved.identical:
            note = recorder.beside(None)
            note.write(saved.rev)
            if note.error is not None:
                emit(Notice(f"Its command line and environment are not recorded: {note.error}"))
        after = _texts(site, list(before))
    written = tuple(
        posixpath.relpath(path, site.here) for path in before if before[path] != after[path]
    )
    if saved.left_out:
        emit(_left_out(saved.left_out))
    return Saved(saved.name, saved.rev, spec.baseline, saved.identical, written, saved.left_out)


def _spec(
    site: Site, refs: Mapping[str, str], *, name: str | None, message: str | None, force: bool
) -> Spec:
    baseline = site.git.head()
    assert baseline is not None
    return specs.make(
        site.root,
        baseline,
        refs,
        here=site.here,
        name=name,
        message=message,
        force=force,
        hydra=False,
        verb="save",
        untouched="Nothing was saved.",
    )


def _refuse_missing(
    site: Site, graph: Graph, stages: Sequence[Stage], inspector: Inspector
) -> None:
    """What is not there cannot be hashed, and an experiment without it could not be brought back whole."""
    for stage in stages:
        needed = [dep.path for dep in stage.deps if graph.owner(dep.path) is not None]
        for path in (*needed, *(out.path for out in stage.outs)):
            if not (site.root / path).exists():
                raise _missing(site, stage, path)
    try:
        inspector.require_inputs([stage for stage in stages if not stage.is_data], graph)
    except NotFound as error:
        error.retell("Nothing was saved.")
        raise


def _missing(site: Site, stage: Stage, path: str) -> NotFound:
    address = stage.address(site.here)
    makes = "" if stage.is_data else f"`nbexp repro {address}` makes it; "
    return NotFound(
        f"`{posixpath.relpath(path, site.here)}` of {stage.shown} does not exist. Nothing was saved.",
        f"{makes}`nbexp data checkout {address}` brings back what was recorded.",
    )


def _record(
    site: Site,
    workspace: InPlace,
    spec: Spec,
    graph: Graph,
    wanted: Sequence[str],
    refs: Mapping[str, str],
    digest: str,
) -> Saved:
    """Commit the present files and give the commit its name, unless an experiment has these files already."""
    git = site.git
    status = git.status()
    extra = [*wanted, *of_the_pipeline(site, graph, status.untracked)]
    message = spec.message or f"dvc: commit experiment {digest}"
    rev = git.commit(
        NewCommit(
            ref=None,
            parent=spec.baseline,
            message=message.encode(),
            base=status.head or spec.baseline,
            files=git.snapshot(status, extra),
        )
    )[0]
    top = f"{site.prefix}/" if site.prefix else ""
    left_out = tuple(
        path
        for path in status.untracked
        if not _is_own(path.removeprefix(top))
        and not any(is_inside(path, place) for place in extra)
    )
    undo_point = workspace.undo_point()
    if undo_point is not None:
        git.commit(undo_point)
    equal = None if spec.message else _equal(git, rev, spec, refs)
    if equal is not None and (not spec.named or equal[0] == spec.name):
        return Saved(*equal, spec.baseline, True, (), left_out)
    if equal is not None:
        rev = equal[1]  # the same commit gets the other name as well
    crash_point("record.before")
    changes: list[tuple[str, str | None, str | None]] = [(spec.ref, rev, spec.replaces)]
    if spec.replaces is not None and spec.replaces != rev:
        kept = trash.ref_of(spec.ref, spec.replaces)
        if git.resolve(kept) is None:
            changes.append((kept, spec.replaces, None))
    git.update_refs(changes)
    return Saved(spec.name, rev, spec.baseline, equal is not None, (), left_out)


def _equal(git: Git, rev: str, spec: Spec, refs: Mapping[str, str]) -> tuple[str, str] | None:
    """Name and rev of the newest experiment of the baseline that has the files of the commit `rev`."""
    known = {
        other: parsed.name
        for ref, other in refs.items()
        if (parsed := ref_names.parse(ref)) is not None and parsed.baseline == spec.baseline
    }
    trees = git.info_many([f"{one}^{{tree}}" for one in (rev, *known)])
    equal = [one for one, tree in zip(known, trees[1:], strict=True) if tree and tree == trees[0]]
    if not equal:
        return None
    # One of the asked name first, so that saving twice under a name says that it is there.
    times = {info.rev: info.time_s for info in git.commits(equal)}
    best = max(equal, key=lambda one: (known[one] == spec.name, times[one], known[one]))
    return known[best], best


def of_the_pipeline(site: Site, graph: Graph, untracked: Iterable[str]) -> list[str]:
    """Files of the pipelines that Git keeps and nobody added yet; what a dvc.yaml lists may be ignored, too.

    Of a pipeline whose dvc.yaml is no part of the experiment, dvc.lock would tell nobody anything.
    """
    top = f"{site.prefix}/" if site.prefix else ""
    new = set(untracked)
    found: set[str] = set()
    named: set[str] = set()
    for path, file in graph.files.items():
        folder = posixpath.dirname(path)
        for listed in (*file.params, *file.metrics, *(plot.id for plot in file.plots)):
            found.add(top + posixpath.normpath(posixpath.join(folder, listed)))
    for stage in graph.stages:
        if top + stage.file not in new:
            named.add(top + stage.lock_file)
        for out in stage.outs:
            ignore_file = posixpath.join(posixpath.dirname(out.path), ".gitignore")
            named.add(top + (ignore_file if out.cache else out.path))
    cached = [top + out.path for _, out in graph.outs if out.cache]
    found |= {path for path in new if any(is_inside(path, place) for place in named)}
    return sorted(
        path for path in found if not any(is_inside(path, out) or path == out for out in cached)
    )


def _asked_for(site: Site, graph: Graph, include_untracked: Sequence[str], emit: Emit) -> list[str]:
    """The files that `--include-untracked` means, from the top of the repository.

    Never what is DVC's own below `.dvc`, nor an output or data that has its hash recorded.
    """
    top = f"{site.prefix}/" if site.prefix else ""
    cached = [top + out.path for _, out in graph.outs if out.cache]
    found: list[str] = []
    for text in include_untracked:
        place = os.path.join(site.root, site.here, text)
        path = posixpath.normpath(os.path.relpath(place, site.git.root).replace(os.sep, "/"))
        if path == ".." or path.startswith("../"):
            raise UsageError(
                f"`{text}` is outside of the repository {site.git.root}. Nothing was saved.",
                "`-I` takes paths inside of it.",
            )
        if not os.path.lexists(place):
            emit(Notice(f"There is no `{text}`, so the experiment does not hold it."))
            continue
        owner = next((out for out in cached if is_inside(path, out)), None)
        if owner is not None:
            emit(Notice(f"`{text}` is data whose hash is recorded; its bytes are in the cache."))
            continue
        listed = site.git.run("--literal-pathspecs", "ls-files", "--others", "-z", "--", path)
        found += [
            file
            for file in os.fsdecode(listed).split("\0")[:-1]
            if not _is_own(file.removeprefix(top))
            and not any(is_inside(file, out) for out in cached)
        ]
    return found


def _is_own(path: str) -> bool:
    """Whether a path of the project is what DVC and nbexp have for this machine alone."""
    return path.startswith((".dvc/tmp/", ".dvc/cache/", ".dvc/config.local"))


def _without(kind: type[Event], emit: Emit) -> Emit:
    def pass_on(event: Event) -> None:
        if not isinstance(event, kind):
            emit(event)

    return pass_on


def _digest(entries: Mapping[str, object]) -> str:
    return hashing.sha256(json.dumps(entries, sort_keys=True).encode())


def _left_out(paths: Sequence[str]) -> Notice:
    named = ", ".join(paths[:_FEW])
    more = f" and {len(paths) - _FEW} more" if len(paths) > _FEW else ""
    kind = "1 untracked file is" if len(paths) == 1 else f"{len(paths)} untracked files are"
    return Notice(
        f"{kind} not part of the experiment: {named}{more}.",
        f"`nbexp save -I {_quoted(paths[0])}` takes it in, as does `git add`.",
    )


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _texts(site: Site, paths: Iterable[str]) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for path in paths:
        try:
            found[path] = (site.root / path).read_bytes()
        except FileNotFoundError:
            found[path] = None
    return found
