"""A run that only the run cache knows, as an experiment: the tree it must have run in, put together again.

    run -> baseline whose code it read -> runs of other stages that fit -> params files, dvc.lock, metrics -> commit

An entry of the run cache has the digest of all that the stage read, so whether a file of a commit is the one it
read is known, not guessed. Where two answers fit, or none, that is said.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence

from nbexp import hashing
from nbexp.errors import NameTaken, NotFound
from nbexp.events import Emit, Notice
from nbexp.experiments import environment, fitting, notes, run_cache, spec
from nbexp.experiments.fitting import Base, Member, Place, params_of, with_params
from nbexp.experiments.place import GitIgnores
from nbexp.experiments.run_cache import CachedRun
from nbexp.formats import dvc_lock, ignore, ref_names, values
from nbexp.frozen import frozen
from nbexp.git import FileContent, NewCommit
from nbexp.results import Result
from nbexp.store.cache import Cache
from nbexp.version import __version__


@frozen
class Promoted(Result):
    """An experiment that was made of a run.

    Attributes
    ----------
    stages
        The stages whose runs are in it, each with its run's short key; the one promoted first.
    params
        The params that differ from the baseline's, by dotted key.
    from_workspace
        Files that the run read and the baseline lacks: they were taken from the workspace.
    """

    name: str
    rev: str
    baseline: str
    stages: tuple[tuple[str, str], ...]
    params: Mapping[str, object]
    from_workspace: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.rev)

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "rev": self.rev,
            "baseline": self.baseline,
            "stages": dict(self.stages),
            "params": dict(self.params),
            "from_workspace": list(self.from_workspace),
        }


def promote(
    place: Place,
    run: CachedRun,
    runs: Sequence[CachedRun],
    *,
    name: str | None,
    message: str | None,
    stage: str | None,
    using: Sequence[CachedRun],
    emit: Emit,
) -> Promoted:
    """Commit the experiment of a run; see `RunCache.promote`.

    Parameters
    ----------
    run
        With its stages, owners and missing outputs.
    runs
        Every run of the cache: among them are those of the other stages.
    """
    git = place.git
    run_cache.refuse_stale(run, "Nothing was recorded.")
    head = git.head()
    if head is None:
        raise NotFound(
            "This repository has no commit yet, so an experiment has nothing to start from.",
            "`git commit` makes the first one.",
        )
    refs = {ref: rev for ref, rev in git.refs("refs/exps/").items() if ref_names.parse(ref)}
    base, members = fitting.find(place, head, run, runs, stage, using, emit)
    try:
        asked = spec.make(
            place.root, base.rev, refs, here=place.here, name=name, message=message, hydra=False
        )
    except NameTaken:
        raise _taken(
            f"Experiment `{name}` already exists on baseline {base.rev[:7]}", run
        ) from None
    for kind, prefix in (("branch", "refs/heads/"), ("tag", "refs/tags/")):
        if git.resolve(prefix + asked.name) is not None:
            raise _taken(f"`{asked.name}` is a {kind} of this repository", run)
    # As a run would have written them, one after the other.
    order = [(one.file, one.name) for one in base.graph.order(base.graph.stages)]
    place_of = {name: number for number, name in enumerate(order)}
    in_order = sorted(
        members, key=lambda one: place_of.get((one.stage.file, one.stage.name), len(order))
    )
    files = _files(place, base, in_order)
    entries = {member.stage.name: member.run.entry.entry() for member in members}
    digest = hashing.sha256(json.dumps(entries, sort_keys=True).encode())
    rev = git.commit(
        NewCommit(
            ref=asked.ref,
            parent=base.rev,
            message=(message or f"dvc: commit experiment {digest}").encode(),
            base=base.rev,
            files={f"{place.top}{path}": data for path, data in files.items()},
        )
    )[0]
    # What it ran in is not known: the present environment need not be the one.
    words = ["cache", "promote", run.short, *(["-n", name] if name is not None else [])]
    words += ["-m", message] if message is not None else []
    words += ["--stage", stage] if stage is not None else []
    words += [word for one in using for word in ("--with", one.short)]
    told = environment.typed_line(words).to_json()
    note = notes.Beside(git, {**told, "nbexp": __version__}, {})
    note.write(rev)
    if note.error is not None:
        emit(Notice(f"Its command line is not recorded: {note.error}"))
    return Promoted(
        asked.name,
        rev,
        base.rev,
        tuple((member.stage.address(place.here), member.run.short) for member in members),
        _changed_params(base, members),
        tuple(sorted(base.taken)),
    )


def _taken(what: str, run: CachedRun) -> NameTaken:
    return NameTaken(
        f"{what}. Nothing was recorded.",
        f"another name: `nbexp cache promote {run.short} -n NAME`.",
    )


# ---- the tree


def _files(place: Place, base: Base, members: Sequence[Member]) -> dict[str, FileContent]:
    """What the experiment's tree has besides the baseline's, by path from the project's root."""
    files = base.from_workspace()
    owned = {out.path for _, out in base.graph.outs}
    wanted: dict[str, dict[str, object]] = {}
    whole: set[str] = set()
    for member in members:
        for (path, key), value in params_of(member.stage, member.run.entry):
            if path not in owned:
                wanted.setdefault(path, {})[key] = value
        whole.update(param.path for param in member.stage.params if not param.keys)
    for path, section in wanted.items():
        text = base.read(path)
        files[path] = with_params(text or b"", path, section, whole=path in whole)
    for lock_file in dict.fromkeys(member.stage.lock_file for member in members):
        data = base.read(lock_file)
        lock = dvc_lock.parse(data or b"", lock_file)
        for member in members:
            if member.stage.lock_file == lock_file:
                lock = lock.with_stage(member.stage.name, member.run.entry)
        files[lock_file] = lock.dump()
    for member in members:
        files.update(_tracked_outs(place.cache, member))
    files.update(_ignore_files(place, base, members))
    return files


def _tracked_outs(cache: Cache, member: Member) -> Iterator[tuple[str, FileContent]]:
    """The outputs that Git keeps: metrics and plots, whose objects the run cache has as well."""
    outs = {out.spelled: out for out in member.stage.outs}
    for locked in member.run.entry.outs:
        out = outs[locked.path]
        if out.cache:
            continue
        if locked.md5.endswith(".dir"):
            yield out.path, None
            for item in cache.items(locked.md5):
                yield posixpath.join(out.path, item.relpath), cache.read(item.md5)
        else:
            data = cache.read(locked.md5)
            yield out.path, ("100755", data) if locked.isexec else data


def _ignore_files(
    place: Place, base: Base, members: Sequence[Member]
) -> Iterator[tuple[str, FileContent]]:
    """The .gitignore files with the lines of outputs that DVC keeps, where nothing else hides them."""
    hidden = GitIgnores(place.git, place.prefix)
    texts: dict[str, bytes | None] = {}
    for member in members:
        for out in member.stage.outs:
            folder, name = posixpath.split(out.path)
            path = posixpath.join(folder, ".gitignore")
            before = texts.get(path, base.read(path))
            after = ignore.add_line(before, name) if out.cache else None
            if after is None:
                continue
            # A rule of another file hides it: then DVC adds none.
            own = (place.root / path).read_bytes() if (place.root / path).is_file() else None
            if own == base.read(path) and hidden.ignored([out.path]):
                continue
            texts[path] = after
    return ((path, text) for path, text in texts.items() if text is not None)


def _changed_params(base: Base, members: Sequence[Member]) -> dict[str, object]:
    changed: dict[str, object] = {}
    for member in members:
        for (path, key), value in params_of(member.stage, member.run.entry):
            tree = values.parse(base.read(path) or b"", path) if base.read(path) else {}
            old = values.lookup(tree, key)
            flat = values.flatten(value) if isinstance(value, Mapping) else {"": value}
            for inner, leaf in flat.items():
                before = values.lookup(old, inner) if inner and isinstance(old, Mapping) else old
                if before is values.MISSING or not values.same(before, leaf):
                    name = f"{key}.{inner}" if inner else key
                    changed[name if path == "params.yaml" else f"{path}:{name}"] = leaf
    return changed
